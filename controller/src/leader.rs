//! One replica works, the others stand by: leader election by a Lease.
//!
//! - A Lease is taken only when it is free, given up, or was not renewed for its whole duration *by this replica's own
//!   monotonic clock*, counted from when the replica saw it last change; the times in the Lease are never compared with a
//!   clock.
//! - Every write names the resource version it is based on, so of two replicas that try, one wins.
//! - A leader that cannot renew stops at its deadline, before another replica may start. What it may still have under way
//!   is harmless: writes of Secrets name the version they replace.
//! - Installations of upstream lack the permission for Leases: then there is one replica, as there always was, and it works
//!   alone. But a starting API server, and one that has not heard of a new Role, refuse everything for a moment. So a
//!   replica works alone only after it was refused (403) for [`ALONE_AFTER`] without a pause and has never seen a Lease. It
//!   goes on asking, and stops working at once when it is no longer refused. A replica that was ever refused waits for a
//!   whole duration of the Lease before it takes it, so that those that work alone have noticed by then.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::action;
use crate::api::{Api, ApiError, jitter};
use crate::metrics::Metrics;

/// How long one look at the Lease may take.
const LOOK: Duration = Duration::from_secs(3);
/// How long permission has to be refused before a replica works alone. Longer than an API server or a `kubectl apply` of
/// many manifests takes until Roles count.
const ALONE_AFTER: Duration = Duration::from_secs(30);

/// The Lease, and how it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ElectionSettings {
    /// Its name.
    pub(crate) lease: String,
    /// How long it holds without being renewed.
    pub(crate) duration: Duration,
    /// How long a leader goes on without having renewed.
    pub(crate) deadline: Duration,
    /// How often it is looked at.
    pub(crate) period: Duration,
}

/// Takes part in the election.
pub(crate) struct Candidate {
    api: Api,
    metrics: Arc<Metrics>,
    namespace: String,
    identity: String,
    leading: watch::Sender<bool>,
}

impl Candidate {
    /// Announces itself as `identity`, which no other process may share.
    ///
    /// A Lease that waits for its turn behind the requests of all objects expires, so it does not count in their limit.
    pub(crate) fn new(api: &Api, metrics: Arc<Metrics>, namespace: &str, identity: &str) -> Self {
        Self {
            api: api.without_limit(),
            metrics,
            namespace: namespace.to_owned(),
            identity: identity.to_owned(),
            leading: watch::Sender::new(false),
        }
    }

    /// Reports whether this replica leads, and every change.
    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.leading.subscribe()
    }

    /// Leads without an election.
    pub(crate) fn lead_alone(&self) {
        self.lead(true);
    }

    /// Takes part until `stop` turns true, then gives the Lease up.
    pub(crate) async fn run(&self, settings: ElectionSettings, mut stop: watch::Receiver<bool>) {
        let mut view = View::new(settings);
        let mut reported = None;
        loop {
            let started = Instant::now();
            // A look that would end after the deadline is broken off there.
            let until = view.held_until().unwrap_or(started + LOOK);
            let until = until.min(started + LOOK);
            let turn = tokio::time::timeout_at(until, self.turn(&mut view)).await;
            let turn =
                turn.unwrap_or_else(|_| Err(ApiError::Unreachable("no answer in time".to_owned())));
            let mut wait = view.settings.period;
            match turn {
                Ok(()) => {
                    reported = None;
                    view.refused_since = None;
                }
                Err(error) => {
                    let text = error.to_string();
                    if !error.is_conflict() && reported.as_ref() != Some(&text) {
                        tracing::warn!(error = text, "leader election does not work, trying again");
                        reported = Some(text);
                    }
                    match error.is_forbidden() {
                        true => self.refused(&mut view, started),
                        false => view.refused_since = None,
                    }
                    wait /= 2;
                }
            }
            self.stop_at_deadline(&mut view);
            let mut next = Instant::now() + wait + jitter(wait);
            if let Some(until) = view.held_until() {
                next = next.min(until);
            }
            tokio::select! {
                () = tokio::time::sleep_until(next) => self.stop_at_deadline(&mut view),
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        if self.lead(false) && !view.alone {
            self.give_up(view).await;
        }
    }

    /// Changes whether this replica leads; returns whether it did before.
    fn lead(&self, leading: bool) -> bool {
        // Series of objects may be shown from before the first of them until after the last.
        if leading {
            self.metrics.show_leading(true);
        }
        let before = self.leading.send_replace(leading);
        if !leading {
            self.metrics.show_leading(false);
        }
        before
    }

    /// The API server refuses what the election needs.
    fn refused(&self, view: &mut View, started: Instant) {
        if view.refused(started) {
            view.held = Some(started);
            if !self.lead(true) {
                tracing::warn!(
                    "no permission for leader election: this process works without it and must be the only one"
                );
            }
        }
    }

    fn stop_at_deadline(&self, view: &mut View) {
        let until = view.held_until();
        if until.is_some_and(|until| until <= Instant::now()) {
            match view.alone {
                true => tracing::error!(
                    "the API server does not answer, this process stops working alone"
                ),
                false => tracing::error!("leadership is lost: the Lease could not be renewed"),
            }
            view.held = None;
            view.alone = false;
            self.lead(false);
        }
    }

    /// Looks at the Lease and takes or renews it where that is right.
    async fn turn(&self, view: &mut View) -> Result<(), ApiError> {
        if view.alone {
            return self.probe(view).await;
        }
        let now = Timestamp::now();
        let started = Instant::now();
        // A leader renews what it wrote; one that stands by looks first.
        let own = view.held.is_some();
        if !own || view.lease.is_none() {
            match self.read(view).await {
                Ok(lease) => {
                    view.see(lease, Instant::now());
                    view.permitted();
                }
                Err(error) if error.is_not_found() => {
                    let lease = self.claim(&view.settings, None, now);
                    if view.was_refused {
                        action::rehearse_lease(&self.api, &self.namespace, &lease).await?;
                        view.permitted();
                    }
                    if view.must_wait() {
                        return Ok(());
                    }
                    let lease = action::create_lease(&self.api, &self.namespace, &lease).await?;
                    self.won(view, lease, started);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        let Some(lease) = &view.lease else {
            return Ok(());
        };
        if !may_take(lease, &self.identity, view.seen.elapsed()) {
            if own {
                tracing::error!("leadership is lost: another replica has the Lease");
                view.held = None;
                self.lead(false);
            }
            return Ok(());
        }
        if view.must_wait() {
            return Ok(());
        }
        let claim = self.claim(&view.settings, Some(lease), now);
        match action::replace_lease(&self.api, &self.namespace, &claim).await {
            Ok(lease) => {
                self.won(view, lease, started);
                Ok(())
            }
            Err(error) => {
                if error.is_conflict() || error.is_not_found() {
                    view.lease = None;
                }
                Err(error)
            }
        }
    }

    /// Asks, while working alone, whether there is permission for an election now, and stops working if there is.
    async fn probe(&self, view: &mut View) -> Result<(), ApiError> {
        match self.read(view).await {
            Ok(lease) => view.see(lease, Instant::now()),
            Err(error) if error.is_not_found() => {
                let lease = self.claim(&view.settings, None, Timestamp::now());
                action::rehearse_lease(&self.api, &self.namespace, &lease).await?;
            }
            Err(error) => return Err(error),
        }
        tracing::info!(
            "there is permission for leader election now: this process stops working alone and takes part"
        );
        view.alone = false;
        view.held = None;
        self.lead(false);
        view.permitted();
        Ok(())
    }

    async fn read(&self, view: &View) -> Result<Lease, ApiError> {
        let path = format!(
            "{}/{}",
            action::leases(&self.namespace),
            view.settings.lease
        );
        action::read(&self.api.get(&path).await?)
    }

    fn won(&self, view: &mut View, lease: Lease, started: Instant) {
        view.see(lease, started);
        // Counted from before the request: the others may have seen it that early.
        view.held = Some(started);
        if !self.lead(true) {
            tracing::info!(identity = self.identity, "this replica leads");
        }
    }

    /// The Lease as it is when we have it.
    fn claim(&self, settings: &ElectionSettings, before: Option<&Lease>, now: Timestamp) -> Lease {
        let old = before
            .and_then(|lease| lease.spec.clone())
            .unwrap_or_default();
        let same = old.holder_identity.as_ref() == Some(&self.identity);
        let now = MicroTime(now);
        Lease {
            metadata: before.map_or_else(
                || ObjectMeta {
                    name: Some(settings.lease.clone()),
                    namespace: Some(self.namespace.clone()),
                    ..ObjectMeta::default()
                },
                |lease| {
                    let mut metadata = lease.metadata.clone();
                    metadata.managed_fields = None;
                    metadata
                },
            ),
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: i32::try_from(settings.duration.as_secs().max(1)).ok(),
                acquire_time: old
                    .acquire_time
                    .clone()
                    .filter(|_| same)
                    .or_else(|| Some(now.clone())),
                renew_time: Some(now),
                lease_transitions: Some(
                    old.lease_transitions.unwrap_or_default()
                        + i32::from(!same && before.is_some()),
                ),
                ..LeaseSpec::default()
            }),
        }
    }

    async fn give_up(&self, view: View) {
        let Some(mut lease) = view.lease else { return };
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
        }
        lease.metadata.managed_fields = None;
        let release = action::replace_lease(&self.api, &self.namespace, &lease);
        if let Ok(Err(error)) = tokio::time::timeout(Duration::from_secs(3), release).await {
            tracing::warn!(error = %error, "cannot give the Lease up, the next replica waits for it to expire");
        }
    }
}

/// What this replica knows.
struct View {
    settings: ElectionSettings,
    /// The Lease as it was last seen.
    lease: Option<Lease>,
    /// When it last changed before our eyes.
    seen: Instant,
    /// When the lead was last certain: by the Lease, or by the refusal that makes this replica work alone.
    held: Option<Instant>,
    /// The lead is without a Lease.
    alone: bool,
    /// Since when every answer has been a refusal.
    refused_since: Option<Instant>,
    /// There has been a refusal since permission was last seen.
    was_refused: bool,
    /// There has been a Lease, so there are or were others that take part.
    met_lease: bool,
    /// Before this the Lease is not taken.
    not_before: Option<Instant>,
}

impl View {
    fn new(settings: ElectionSettings) -> Self {
        Self {
            settings,
            lease: None,
            seen: Instant::now(),
            held: None,
            alone: false,
            refused_since: None,
            was_refused: false,
            met_lease: false,
            not_before: None,
        }
    }

    fn see(&mut self, lease: Lease, now: Instant) {
        let version = |lease: &Lease| lease.metadata.resource_version.clone();
        if self.lease.as_ref().map(version) != Some(version(&lease)) {
            self.seen = now;
        }
        self.lease = Some(lease);
        self.met_lease = true;
    }

    /// The request that started then was refused. Returns true if this replica works alone now.
    fn refused(&mut self, started: Instant) -> bool {
        self.was_refused = true;
        let since = *self.refused_since.get_or_insert(started);
        self.alone |= !self.met_lease && started.duration_since(since) >= ALONE_AFTER;
        self.alone
    }

    /// There is permission for the election, so any replica that works alone is about to notice.
    fn permitted(&mut self) {
        self.refused_since = None;
        if std::mem::take(&mut self.was_refused) {
            self.not_before = Some(Instant::now() + self.settings.duration);
        }
    }

    /// When the lead ends unless it is confirmed.
    fn held_until(&self) -> Option<Instant> {
        self.held.map(|held| held + self.settings.deadline)
    }

    fn must_wait(&self) -> bool {
        self.not_before.is_some_and(|until| Instant::now() < until)
    }
}

/// Returns true if `identity` may write itself into this Lease, which has not changed for `unchanged`.
fn may_take(lease: &Lease, identity: &str, unchanged: Duration) -> bool {
    let Some(spec) = &lease.spec else {
        return true;
    };
    let holder = spec.holder_identity.as_deref().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.unwrap_or_default();
    let duration = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    holder.is_empty() || holder == identity || unchanged > duration
}

#[cfg(test)]
mod tests;
