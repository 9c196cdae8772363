//! One attempt at an ExternalSecret: what its Secret is, what it should be, and what is done about that.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealwright_resources::drift::Drift;
use sealwright_resources::external_secret::data::Assembled;
use sealwright_resources::external_secret::plan::{
    Action, Again, Beginning, Plan, Seen, TargetSeen,
};
use sealwright_resources::external_secret::render::Inputs;
use sealwright_resources::external_secret::{
    ExternalSecret, FINALIZER, hash, plan, refresh, status,
};
use sealwright_resources::plain_secret::PlainSecret;
use sealwright_template::Budget;

use super::super::finalizer;
use super::super::template_sources::SourcesError;
use super::{ExternalSecrets, Extra, Outcome, turn};
use crate::action;
use crate::api::ApiError;
use crate::frame::kind::{Attempt, Kind, LookedAt, Trouble};
use crate::frame::object::{Key, Version};
use crate::frame::secret_target;
use crate::frame::tracked::{Compared, Target, Tracked};
use crate::stores::StoreId;

impl ExternalSecrets {
    pub(super) async fn work(
        &self,
        key: &Key,
        known: &Tracked<Extra>,
        object: &ExternalSecret,
    ) -> Attempt<Outcome> {
        let started = Timestamp::now();
        if !plan::has_finalizer(object) {
            return self.add_finalizer(key, object).await;
        }
        if let Some(fault) = refresh::unreadable_duration(&object.spec)
            && !self.is_foreign(object).await
        {
            return Attempt {
                ended: Err(LookedAt::default()),
                outcome: self.unreadable(fault),
            };
        }
        if let Some(manifest) = &object.spec.target.manifest {
            if self.is_foreign(object).await {
                return Attempt {
                    ended: Ok(None),
                    outcome: Outcome::quiet(object, Again::Never),
                };
            }
            return self
                .work_generic(key, known, object, manifest, started)
                .await;
        }
        let target_key = Key::new(&key.namespace, object.target_name());
        // A Secret that is as it was written last needs no look: the watch would have shown a change.
        let kept = self.kept(known, object);
        let mut target = match kept.is_none() {
            true => match secret_target::read(self.api(), &target_key).await {
                Ok(target) => target,
                Err(error) => return self.unread(object, &error, started),
            },
            false => None,
        };
        let foreign = self.is_foreign(object).await;
        if let Some(there) = target.as_ref().filter(|_| !foreign)
            && plan::is_only_reported(object, &there.metadata, || {
                Some(hash::of_data(there.iter()))
            })
        {
            return self.left_as_it_is(object, &there.metadata, started);
        }
        let sources_key = match foreign {
            false => self.sources_versions(object).await,
            true => None,
        };
        let news = self.news(known, object, started);
        let edited = known.extra.sources.is_some() && known.extra.sources != sources_key;
        let changed = news.is_some()
            || (edited && refresh::follows_sources(object, started, &self.rules.zone));
        let windows = object.spec.sync_windows.as_ref();
        let is_turn = known.extra.next.is_some_and(|next| next <= started)
            && !windows.is_some_and(|windows| windows.block(started, &self.rules.zone));
        let begin = |target: Option<&PlainSecret>| {
            let seen = TargetSeen {
                metadata: target.map(|target| &target.metadata),
                data_hash: &|| target.map(|target| hash::of_data(target.iter())),
                untouched: kept.is_some(),
            };
            plan::begin(object, foreign, &seen, started, &self.rules.zone)
        };
        let mut beginning = begin(target.as_ref());
        if matches!(beginning, Beginning::Mark(_)) {
            target = match self.mark(object, &target_key).await {
                Ok(marked) => marked,
                Err(error) => return self.unread(object, &error, started),
            };
            beginning = begin(target.as_ref());
        }
        let remember = |next: Option<Timestamp>, values: Option<String>| {
            self.frame.index.update(key, known.uid(), |known| {
                known.extra.next = next;
                known.extra.sources = sources_key.clone();
                known.extra.heard = news.or(known.extra.heard);
                known.extra.values = values;
            });
        };
        let version = |target: Option<&PlainSecret>| {
            let read = target.map(|target| Version::of(&target.metadata));
            read.or_else(|| kept.clone())
        };
        match beginning {
            Beginning::Done(mut plan) if foreign || !(changed || is_turn) => {
                plan.again = turn::of(object, plan.again, &self.rules.zone);
                let wrong = plan
                    .actions
                    .iter()
                    .any(|action| matches!(action, Action::Emit(event) if event.warning));
                remember(at(plan.again), known.extra.values.clone());
                let outcome = Self::told(object, plan);
                return Attempt {
                    ended: match wrong {
                        true => Err(LookedAt::default()),
                        false => Ok(version(target.as_ref())),
                    },
                    outcome,
                };
            }
            // If another writer takes the label off again at once, the values are read all the same.
            Beginning::Done(_) | Beginning::Read(_) | Beginning::Mark(_) => {}
        }
        if self.is_early(object) {
            let again = started.checked_add(SignedDuration::from_secs(1));
            return Attempt {
                ended: Ok(version(target.as_ref())),
                outcome: Outcome::quiet(object, again.map_or(Again::Retry, Again::At)),
            };
        }
        let allowance = self.frame.allowance(key);
        let budget = Budget::new(allowance.limits);
        let has_target = target.is_some() || kept.is_some();
        let data = self
            .read(key, known, object, has_target, news, &budget)
            .await;
        let values = match &data.values {
            Ok(values) if !values.is_empty() => {
                let pairs = values.iter().map(|(key, value)| (key.as_str(), value));
                Some(hash::of_data(pairs))
            }
            _ => None,
        };
        // Without a template, the same values make the same Secret. Copies of it go with a refresh.
        if let Some(kept) = &kept
            && values.is_some()
            && values == known.extra.values
            && object.spec.target.template.is_none()
            && !self.is_copied(object)
        {
            let mut plan = plan::unchanged(object, data.missing, started, &self.rules.zone);
            plan.again = turn::of(object, plan.again, &self.rules.zone);
            remember(at(plan.again), values);
            return Attempt {
                ended: Ok(Some(kept.clone())),
                outcome: Self::told(object, plan),
            };
        }
        if kept.is_some() {
            target = match secret_target::read(self.api(), &target_key).await {
                Ok(target) => target,
                Err(error) => return self.unread(object, &error, started),
            };
        }
        let sources = match self.read_sources(object).await {
            Ok(sources) => sources,
            Err(SourcesError::Api(error)) => return self.unread(object, &error, started),
            Err(error @ SourcesError::TooLarge) => {
                let detail = error.to_string();
                let fixed = status::NOT_UPDATED;
                let plan = Plan {
                    actions: plan::failure(object, fixed, Some(&detail), started),
                    again: Again::RetrySeldom,
                };
                return Attempt {
                    ended: Err(LookedAt::default()),
                    outcome: Self::told(object, plan),
                };
            }
        };
        let orphans = match self.orphans(object, known).await {
            Ok(orphans) => orphans,
            Err(error) => return self.unread(object, &error, started),
        };
        let mut plan = {
            let seen = Seen {
                target: target.as_ref(),
                orphans: &orphans,
                inputs: Inputs {
                    sources: &sources,
                    options: &self.rules.options,
                    budget: &budget,
                },
                started,
                zone: &self.rules.zone,
                mass_deletion: self.may_lose_most(object),
            };
            let finish = || plan::finish(object, &seen, data);
            let plain = object.spec.target.template.is_none();
            self.frame.shared.render(plain, finish).await
        };
        plan.again = turn::of(object, plan.again, &self.rules.zone);
        if allowance.is_partial && budget.is_exceeded() {
            self.frame.queue.slow_down(key);
            return Attempt {
                ended: Err(LookedAt::default()),
                outcome: Outcome::quiet(object, Again::Now),
            };
        }
        let drifted = target.is_some() && known.is_applied(self.digest(object));
        if drifted
            && plan
                .actions
                .iter()
                .any(|action| matches!(action, Action::Update(_)))
        {
            // New values of a store are no drift.
            let is_edited = target.as_ref().is_some_and(|target| {
                let found = || Some(hash::of_data(target.iter()));
                !refresh::is_target_valid(object, Some(&target.metadata), found)
            });
            if is_edited {
                let metrics = &self.frame.shared.metrics;
                metrics.drifted(Self::NAME, &key.namespace, Drift::Revert);
            }
            self.frame
                .index
                .update(key, known.uid(), |known| known.edits().put_back());
        }
        let again = at(plan.again);
        let found = target.as_ref();
        let found = found.map(|target| Version::of(&target.metadata));
        let done = self
            .perform(object, &target_key, found, plan, started)
            .await;
        match done.ended.is_ok() {
            true => remember(again, values),
            false => remember(None, None),
        }
        if done.ended.is_err() && done.outcome.status.is_some() {
            self.frame.index.update(key, known.uid(), |known| {
                known.extra.has_failed();
            });
        }
        done
    }

    /// Reads the values of an object, and remembers how that went.
    pub(super) async fn read(
        &self,
        key: &Key,
        known: &Tracked<Extra>,
        object: &ExternalSecret,
        has_target: bool,
        news: Option<Instant>,
        budget: &Budget,
    ) -> Assembled {
        let began = Instant::now();
        let max_age = oldest_answer(known, object, has_target, news);
        let (data, silent) = self.read_values(object, max_age, budget).await;
        let failure = data.values.as_ref().err();
        let is_definite = failure.map(|error| error.problem.is_definite());
        self.frame.index.update(key, known.uid(), |known| {
            let extra = &mut known.extra;
            (extra.asked, extra.failed) = match is_definite {
                // It goes on with more time, or fails because there is no more.
                _ if budget.is_exceeded() => (extra.asked, extra.failed),
                None => (None, None),
                Some(true) => (None, Some(Instant::now())),
                Some(false) => (extra.asked.or(Some(began)), extra.failed),
            };
            known.extra.waits_for = silent;
        });
        data
    }

    /// The version of the target, if it is known to be as it was written last for what the object asks for now.
    fn kept(&self, known: &Tracked<Extra>, object: &ExternalSecret) -> Option<Version> {
        // Only a watch knows that nothing has happened since.
        if !matches!(known.target(), Target::Present { .. }) {
            return None;
        }
        let written = known.applied(self.digest(object))?;
        (known.compare_target(written) == Compared::Same).then(|| written.clone())
    }

    /// Leaves a Secret as it is that another writer has changed, and says so.
    fn left_as_it_is(
        &self,
        object: &ExternalSecret,
        there: &ObjectMeta,
        now: Timestamp,
    ) -> Attempt<Outcome> {
        let metrics = &self.frame.shared.metrics;
        metrics.drifted(Self::NAME, object.namespace(), Drift::Report);
        let plan = Plan {
            actions: plan::drifted(object, now),
            // Nothing but a change of the object or of the Secret makes it another.
            again: Again::Never,
        };
        Attempt {
            ended: Err(LookedAt(Some(Some(Version::of(there))))),
            outcome: Self::told(object, plan),
        }
    }

    /// Returns true if a Secret may lose most of its values because the stores no longer have them.
    fn may_lose_most(&self, object: &ExternalSecret) -> bool {
        self.rules.upstream_deletion
            || object.stores().iter().all(|reference| {
                let store = self.stores.get(&StoreId::of(reference, object.namespace()));
                store.is_some_and(|store| store.allows_mass_deletion)
            })
    }

    /// Adds the finalizer; the watch shows the object again, and then it is worked on.
    async fn add_finalizer(&self, key: &Key, object: &ExternalSecret) -> Attempt<Outcome> {
        let metadata = &object.metadata;
        let added =
            finalizer::set::<ExternalSecret>(self.api(), key, metadata, FINALIZER, true).await;
        let again = match added {
            Ok(()) => Again::Never,
            Err(error) if error.is_conflict() || error.is_not_found() => Again::Never,
            Err(error) => {
                self.trouble(key, Trouble::Fetch, &error);
                Again::Retry
            }
        };
        Attempt {
            ended: match again {
                Again::Retry => Err(LookedAt::default()),
                _ => Ok(None),
            },
            outcome: Outcome::quiet(object, again),
        }
    }

    /// A store that was made a moment ago, or that was there before this controller, has not been validated yet: that is no
    /// failure.
    pub(super) fn is_early(&self, object: &ExternalSecret) -> bool {
        const EARLY: SignedDuration = SignedDuration::from_secs(10);
        if !self.rules.flood_gate {
            return false;
        }
        object.stores().iter().any(|reference| {
            let id = StoreId::of(reference, object.namespace());
            self.stores.get(&id).is_some_and(|store| {
                let since = store.created.map(|created| created.max(self.started));
                let age = since.map(|since| Timestamp::now().duration_since(since));
                status::condition(&store.status.conditions, status::READY).is_none()
                    && age.is_some_and(|age| age < EARLY)
            })
        })
    }

    pub(super) fn told(object: &ExternalSecret, plan: Plan) -> Outcome {
        let mut outcome = Outcome::quiet(object, plan.again);
        for action in plan.actions {
            match action {
                Action::Emit(event) => outcome.events.push(event),
                Action::SetStatus(status) => outcome.status = Some(status),
                _ => {}
            }
        }
        outcome
    }

    /// The API server did not give what the Secret is made of.
    fn unread(
        &self,
        object: &ExternalSecret,
        error: &ApiError,
        now: Timestamp,
    ) -> Attempt<Outcome> {
        // The condition has fixed words.
        tracing::warn!(namespace = object.namespace(), name = object.name(), error = %error, "the API server refuses what the ExternalSecret needs");
        let existing = false;
        let actions = plan::failed(
            object,
            plan::Attempt::Write { existing },
            error.category(),
            now,
        );
        let plan = Plan {
            actions,
            again: Again::Retry,
        };
        Attempt {
            ended: Err(LookedAt::default()),
            outcome: Self::told(object, plan),
        }
    }

    /// Puts the label on a Secret that is there already, and reads it again.
    async fn mark(
        &self,
        object: &ExternalSecret,
        target: &Key,
    ) -> Result<Option<PlainSecret>, ApiError> {
        let manager = hash::field_manager(object.name());
        match action::mark_secret(self.api(), target, &manager).await {
            Ok(()) => {}
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        }
        secret_target::read(self.api(), target).await
    }
}

/// An answer that is older is good for nothing: that long, the last of ten thousand objects may wait on a slow machine.
const OLDEST: Duration = Duration::from_secs(300);

/// How old an answer may be that was read before a refresh was due.
const OLDEST_BEFORE_DUE: Duration = Duration::from_secs(60);

/// How old an answer may be for an object that may have failed before: an answer from before the failure is not used again.
fn oldest_answer(
    known: &Tracked<Extra>,
    object: &ExternalSecret,
    has_target: bool,
    news: Option<Instant>,
) -> Duration {
    let allowed = max_age(object, has_target, news);
    let allowed = match news {
        Some(_) => allowed,
        None => allowed.max(waited(known, object, has_target)),
    };
    match known.extra.failed {
        Some(failed) => allowed.min(failed.elapsed()),
        None => allowed,
    }
}

/// How long an object that could not be read for has waited. What was read meanwhile is newer than its question, so objects that
/// wait for the same store share what one of them reads when it is back.
fn waited(known: &Tracked<Extra>, object: &ExternalSecret, has_target: bool) -> Duration {
    let status = object.status.as_ref();
    let is_new = status.is_none_or(|status| status.synced_resource_version.is_none());
    let version = object.metadata.resource_version.as_deref();
    match known.extra.asked {
        Some(asked) if (has_target || is_new) && known.is_last_seen(version) => {
            asked.elapsed().min(OLDEST)
        }
        _ => Duration::ZERO,
    }
}

/// How old an answer of a store may be. Objects that are refreshed together share answers, and so do new ones with everything
/// that was read since they were made, and late ones with everything that was read since they were due; one that has changed, or
/// whose Secret has, gets a new one; what was announced as changed gets one that is newer than the announcement.
fn max_age(object: &ExternalSecret, has_target: bool, news: Option<Instant>) -> Duration {
    const SHORTEST: Duration = Duration::from_secs(1);
    if let Some(announced) = news {
        return announced.elapsed();
    }
    let status = object.status.as_ref();
    let synced = status.and_then(|status| status.synced_resource_version.as_deref());
    let is_new = synced.is_none();
    let unchanged = synced == Some(hash::synced_version(&object.metadata).as_str());
    if is_new {
        let made = object.metadata.creation_timestamp.as_ref();
        let age = made.map(|made| Timestamp::now().duration_since(made.0));
        let age = age.and_then(|age| Duration::try_from(age).ok());
        // The API server keeps whole seconds.
        let age = age.unwrap_or_default().saturating_sub(SHORTEST);
        // What was read a moment before it was made is shared by objects that are made together, and replaced by their next
        // refresh. One that is read only once would keep it.
        let least = match refresh::is_periodic(object) {
            true => SHORTEST,
            false => Duration::ZERO,
        };
        return age.clamp(least, OLDEST);
    }
    if !unchanged || !has_target {
        return Duration::ZERO;
    }
    let interval = refresh::interval(object);
    let due = refresh::last_refresh(object).and_then(|last| last.checked_add(interval).ok());
    let late = due.map(|due| Timestamp::now().duration_since(due));
    let late = late.and_then(|late| Duration::try_from(late).ok());
    // The status keeps whole seconds.
    let late = late.unwrap_or_default().saturating_sub(SHORTEST);
    let interval = Duration::try_from(interval).unwrap_or_default();
    (interval / 20).min(OLDEST_BEFORE_DUE).max(late.min(OLDEST))
}

pub(super) fn at(again: Again) -> Option<Timestamp> {
    match again {
        Again::At(at) => Some(at),
        Again::Now => Some(Timestamp::now()),
        Again::Never | Again::Retry | Again::RetrySeldom => None,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use sealwright_resources::external_secret::status::Status;
    use serde_json::json;

    use super::*;
    use crate::frame::tracked::{Digest, Seen};

    /// An object that was made so many seconds ago.
    fn object(spec: serde_json::Value, age: i64) -> ExternalSecret {
        let mut object = ExternalSecret::new("es", serde_json::from_value(spec).unwrap());
        object.metadata.resource_version = Some("7".to_owned());
        let made = Timestamp::now() - SignedDuration::from_secs(age);
        object.metadata.creation_timestamp = Some(Time(made));
        object
    }

    /// What is known of it if it asked in vain and failed so many seconds ago.
    fn known(asked: Option<u64>, failed: Option<u64>) -> Tracked<Extra> {
        let seen = Seen {
            resource_version: "7".into(),
            digest: Digest([0; 32]),
            generation: None,
            status: 0,
            surroundings: 0,
        };
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds));
        let extra = Extra {
            asked: asked.and_then(ago),
            failed: failed.and_then(ago),
            ..Extra::default()
        };
        Tracked::new("uid".to_owned(), seen, Target::Unknown, extra)
    }

    #[test]
    fn nothing_that_an_object_was_told_when_it_failed_is_told_to_it_again() {
        let new = object(json!({"refreshInterval": "1h"}), 40);
        let mut synced = new.clone();
        synced.status = Some(Status {
            synced_resource_version: Some(hash::synced_version(&synced.metadata)),
            ..Status::default()
        });
        for (name, object, at_first) in [("new", &new, 39), ("synced", &synced, 60)] {
            let oldest = |asked, failed| {
                let known = known(asked, failed);
                oldest_answer(&known, object, true, None).as_secs()
            };
            for failed in [None, Some(300)] {
                let found = oldest(None, failed);
                assert!((at_first - 1..=at_first).contains(&found), "{name}");
            }
            for asked in [None, Some(20)] {
                assert_eq!(oldest(asked, Some(5)), 5, "{name}");
            }
        }
        // An announcement is no excuse for an older one.
        let news = Instant::now().checked_sub(Duration::from_secs(30));
        for (failed, oldest) in [(None, 30), (Some(5), 5)] {
            let answer = oldest_answer(&known(None, failed), &synced, true, news);
            assert_eq!(answer.as_secs(), oldest);
        }
        // A Secret that is gone is made of what its store has now.
        let answer = oldest_answer(&known(Some(20), Some(5)), &synced, false, None);
        assert_eq!(answer, Duration::ZERO);
    }

    #[test]
    fn an_object_that_is_late_takes_what_was_read_since_it_was_due() {
        for (interval, refreshed, oldest) in [
            ("1h", 600, 60),
            ("10m", 590, 30),
            ("10m", 600 + 201, 200),
            ("10m", 100_000, 300),
            ("1s", 1, 0),
        ] {
            let mut object = object(json!({"refreshInterval": interval}), 200_000);
            object.status = Some(Status {
                synced_resource_version: Some(hash::synced_version(&object.metadata)),
                refresh_time: Some(Time(
                    Timestamp::now() - SignedDuration::from_secs(refreshed),
                )),
                ..Status::default()
            });
            let answer = oldest_answer(&known(None, None), &object, true, None).as_secs();
            let expected = oldest..=oldest + 1;
            assert!(
                expected.contains(&answer),
                "{interval}, {refreshed}: {answer}"
            );
        }
    }

    #[test]
    fn what_is_read_once_is_not_read_from_before_the_object_was_made() {
        for (spec, least) in [
            (json!({"refreshInterval": "1h"}), 1),
            (json!({"refreshInterval": "0"}), 0),
            (json!({"refreshPolicy": "CreatedOnce"}), 0),
            (json!({"refreshPolicy": "OnChange"}), 0),
        ] {
            let new = object(spec.clone(), 0);
            let answer = oldest_answer(&known(None, None), &new, false, None);
            assert_eq!(answer, Duration::from_secs(least), "{spec}");
        }
    }
}
