//! One attempt at an ExternalSecret: what its Secret is, what it should be, and what is done about that.

use std::time::Instant;

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
use super::answer_age::oldest_answer;
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

pub(super) fn at(again: Again) -> Option<Timestamp> {
    match again {
        Again::At(at) => Some(at),
        Again::Now => Some(Timestamp::now()),
        Again::Never | Again::Retry | Again::RetrySeldom => None,
    }
}
