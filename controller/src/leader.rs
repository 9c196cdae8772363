//! One replica works, the others stand by: leader election by a Lease.
//!
//! - A Lease is taken only when it is free, given up, or was not renewed for its whole duration
//!   *by this replica's own monotonic clock*, counted from when the replica saw it last change; the
//!   times in the Lease are never compared with a clock.
//! - Every write names the resource version it is based on, so of two that try, one wins.
//! - A leader that cannot renew stops working before anybody else may start. What it may still have
//!   under way is harmless: writes of Secrets name the version they replace.
//! - Installations of the incumbent lack the permission for Leases: then there is one replica, as
//!   there always was.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::action;
use crate::api::{Api, ApiError, jitter};

/// How long a Lease holds without being renewed.
const DURATION: Duration = Duration::from_secs(15);
/// How long a leader goes on without having renewed.
const DEADLINE: Duration = Duration::from_secs(8);
/// How long one look at the Lease may take.
const LOOK: Duration = Duration::from_secs(3);
/// How often the Lease is looked at.
const PERIOD: Duration = Duration::from_secs(2);

/// Takes part in the election.
pub(crate) struct Candidate {
    api: Arc<Api>,
    namespace: String,
    lease: String,
    identity: String,
    leading: watch::Sender<bool>,
}

impl Candidate {
    /// Announces itself as `identity`, which no other process may share.
    pub(crate) fn new(api: Arc<Api>, namespace: &str, lease: &str, identity: &str) -> Self {
        Self {
            api,
            namespace: namespace.to_owned(),
            lease: lease.to_owned(),
            identity: identity.to_owned(),
            leading: watch::Sender::new(false),
        }
    }

    /// Tells whether this replica leads, and of every change.
    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.leading.subscribe()
    }

    /// Leads without asking anybody.
    pub(crate) fn lead_alone(&self) {
        self.leading.send_replace(true);
    }

    /// Takes part until `stop` turns true, then gives the Lease up.
    pub(crate) async fn run(&self, mut stop: watch::Receiver<bool>) {
        let mut view = View::default();
        let mut told = None;
        loop {
            let turn = tokio::time::timeout(LOOK, self.turn(&mut view)).await;
            let turn =
                turn.unwrap_or_else(|_| Err(ApiError::Unreachable("no answer in time".to_owned())));
            let wait = match turn {
                Ok(()) => {
                    told = None;
                    PERIOD
                }
                Err(error) if error.is_forbidden() && view.lease.is_none() => {
                    tracing::warn!(error = %error, "no permission for leader election: this process works without it and must be the only one");
                    self.lead_alone();
                    return;
                }
                Err(error) => {
                    let text = error.to_string();
                    if !error.is_conflict() && told.as_ref() != Some(&text) {
                        tracing::warn!(error = text, "leader election does not work, trying again");
                        told = Some(text);
                    }
                    PERIOD / 2
                }
            };
            if *self.leading.borrow() && view.renewed.is_none_or(|at| at.elapsed() >= DEADLINE) {
                tracing::error!("leadership is lost: the Lease could not be renewed");
                self.leading.send_replace(false);
            }
            tokio::select! {
                () = tokio::time::sleep(wait + jitter(wait)) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        if self.leading.send_replace(false) {
            self.give_up(view).await;
        }
    }

    /// Looks at the Lease and takes or renews it where that is right.
    async fn turn(&self, view: &mut View) -> Result<(), ApiError> {
        let now = Timestamp::now();
        let started = Instant::now();
        // A leader renews what it wrote; whoever stands by looks first.
        let own = *self.leading.borrow();
        if !own || view.lease.is_none() {
            let found = self.read().await;
            match found {
                Ok(lease) => view.see(lease, Instant::now()),
                Err(error) if error.is_not_found() => {
                    let lease = self.claim(None, now);
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
                self.leading.send_replace(false);
            }
            return Ok(());
        }
        let claim = self.claim(Some(lease), now);
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

    async fn read(&self) -> Result<Lease, ApiError> {
        let path = format!("{}/{}", action::leases(&self.namespace), self.lease);
        action::read(&self.api.get(&path).await?)
    }

    fn won(&self, view: &mut View, lease: Lease, started: Instant) {
        view.see(lease, started);
        // Counted from before the request: the others may have seen it that early.
        view.renewed = Some(started);
        if !self.leading.send_replace(true) {
            tracing::info!(identity = self.identity, "this replica leads");
        }
    }

    /// The Lease as it is when we have it.
    fn claim(&self, before: Option<&Lease>, now: Timestamp) -> Lease {
        let old = before
            .and_then(|lease| lease.spec.clone())
            .unwrap_or_default();
        let same = old.holder_identity.as_ref() == Some(&self.identity);
        let now = MicroTime(now);
        Lease {
            metadata: before.map_or_else(
                || ObjectMeta {
                    name: Some(self.lease.clone()),
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
                lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
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

/// The Lease as it was last seen.
struct View {
    lease: Option<Lease>,
    /// When it last changed before our eyes.
    seen: Instant,
    /// When we last had it for certain.
    renewed: Option<Instant>,
}

impl Default for View {
    fn default() -> Self {
        Self {
            lease: None,
            seen: Instant::now(),
            renewed: None,
        }
    }
}

impl View {
    fn see(&mut self, lease: Lease, now: Instant) {
        let version = |lease: &Lease| lease.metadata.resource_version.clone();
        if self.lease.as_ref().map(version) != Some(version(&lease)) {
            self.seen = now;
        }
        self.lease = Some(lease);
    }
}

/// Tells whether `identity` may write itself into this Lease, which has not changed for `unchanged`.
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
mod tests {
    use super::*;

    fn lease(holder: &str, version: &str) -> Lease {
        Lease {
            metadata: ObjectMeta {
                resource_version: Some(version.into()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.into()),
                lease_duration_seconds: Some(15),
                // Long ago by the clock of another machine, which counts for nothing.
                renew_time: Some(MicroTime(Timestamp::UNIX_EPOCH)),
                ..LeaseSpec::default()
            }),
        }
    }

    #[test]
    fn a_lease_is_free_when_it_did_not_change_for_its_duration_before_our_eyes() {
        let held = lease("other", "1");
        assert!(!may_take(&held, "me", Duration::from_secs(15)));
        assert!(may_take(&held, "me", Duration::from_secs(16)));
        assert!(may_take(&lease("me", "1"), "me", Duration::ZERO));
        assert!(may_take(&lease("", "1"), "me", Duration::ZERO));
    }

    #[test]
    fn a_renewed_lease_starts_to_count_anew() {
        let start = Instant::now();
        let mut view = View::default();
        view.see(lease("other", "1"), start);
        view.see(lease("other", "1"), start + Duration::from_secs(9));
        assert_eq!(view.seen, start);
        view.see(lease("other", "2"), start + Duration::from_secs(10));
        assert_eq!(view.seen, start + Duration::from_secs(10));
    }

    #[test]
    fn the_deadline_of_a_leader_is_before_the_others_may_start() {
        // The longest way to notice: a pause with its jitter and a look that hangs.
        assert!(DEADLINE + PERIOD + PERIOD / 2 + LOOK < DURATION);
    }
}
