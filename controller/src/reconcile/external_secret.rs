//! ExternalSecrets become Secrets and stay so.
//!
//! Flow of one object: the target is read, [`plan::begin`] says whether anything is due, the values are read from their stores,
//! [`plan::finish`] says what is written, and the actions are done one after the other. Guarantees:
//!
//! - Nothing of a store's, an API server's or a template's own text reaches a status or an event.
//! - A Secret is written under the version that was looked at. If another writer was faster, everything begins again.
//! - A value counts as gone only if its store has proved so twice.
//! - What fails is tried again, and at once when the object, its target, its stores or its templates change. A value that a store
//!   does not have is asked for a few times, and then hardly ever.

mod actions;
mod generic;
mod values;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealwright_resources::external_secret::access::is_own_class;
use sealwright_resources::external_secret::plan::{
    self, Action, Again, Beginning, Plan, Seen, TargetSeen,
};
use sealwright_resources::external_secret::render::{self, Inputs, Options, Sources};
use sealwright_resources::external_secret::status::Status;
use sealwright_resources::external_secret::{
    CreationPolicy, ExternalSecret, FINALIZER, OWNER_LABEL, RefreshPolicy, StoreKind, hash,
    refresh, status,
};
use sealwright_resources::plain_secret::PlainSecret;
use sealwright_template::Budget;

use super::finalizer;
use crate::action::{self, Version};
use crate::announcement::{Announced, Announcement, Reads};
use crate::api::{Api, ApiError, jitter};
use crate::frame::dependents::{Need, Wake};
use crate::frame::event::Event;
use crate::frame::index::Key;
use crate::frame::kind::{Attempt, Frame, Kind, LookedAt, Shared, Trouble, Watching};
use crate::frame::queue::Urgency;
use crate::frame::read::Read;
use crate::frame::secret_target;
use crate::frame::secrets::Neighbours;
use crate::frame::tracked::{Compared, Digest, Target, Tracked};
use crate::generators::Generators;
use crate::generic_targets::{self, GenericTargets};
use crate::known_keys::{Claim, KnownKeys};
use crate::metrics::SyncedKind;
use crate::outages::Outages;
use crate::stores::{StoreId, Stores};

/// The component of the events.
const COMPONENT: &str = "external-secrets";

/// What decides how ExternalSecrets are treated.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// The class of this controller.
    pub(crate) class: String,
    /// Stores must be ready.
    pub(crate) flood_gate: bool,
    /// ClusterSecretStores are looked after.
    pub(crate) cluster_stores: bool,
    /// Targets may be of other kinds than Secret.
    pub(crate) generic_targets: bool,
    /// How templates are spelled.
    pub(crate) options: Options,
    /// The time zone of sync windows.
    pub(crate) zone: TimeZone,
    /// What is gone from a store is deleted, however much it is.
    pub(crate) upstream_deletion: bool,
}

/// The reconciler of ExternalSecrets.
pub(crate) struct ExternalSecrets {
    frame: Frame<Self>,
    rules: Rules,
    stores: Arc<Stores>,
    generators: Arc<Generators>,
    /// Targets of other kinds than Secret, if they are allowed.
    targets: Option<GenericTargets>,
    /// The Secrets that were made for an object, by namespace and owner label, as the watch shows them.
    made: Mutex<HashMap<(String, String), BTreeSet<String>>>,
    /// The keys of stores that objects were made of.
    known_keys: Arc<KnownKeys>,
    /// Stores that do not answer.
    outages: Outages,
}

/// What is remembered of an ExternalSecret.
#[derive(Clone, Default)]
pub(crate) struct Extra {
    /// When it is due.
    next: Option<Timestamp>,
    /// The versions of the objects that its templates were read from.
    sources: Option<String>,
    /// What it reads.
    reads: Reads,
    /// When something that it reads was last announced as changed, and the announcement that was dealt with last.
    announced: Option<Instant>,
    heard: Option<Instant>,
    /// The hash of the values that the Secret was made of.
    values: Option<String>,
    /// The keys of stores that it was made of.
    claim: Option<Arc<Claim>>,
    /// The store that does not answer.
    waits_for: Option<StoreId>,
}

impl Extra {
    /// The time of an announcement that has not been dealt with yet.
    fn news(&self) -> Option<Instant> {
        self.announced
            .filter(|announced| Some(*announced) != self.heard)
    }
}

/// What came of an attempt.
pub(crate) struct Outcome {
    /// The status to be written, if there is anything to say.
    status: Option<Status>,
    events: Vec<plan::Event>,
    again: Again,
    /// The interval of the object, which limits how seldom a failing one is tried.
    interval: SignedDuration,
    /// What cannot be read of the object.
    fault: Option<String>,
}

impl Outcome {
    fn quiet(object: &ExternalSecret, again: Again) -> Self {
        Self {
            status: None,
            events: Vec::new(),
            again,
            interval: refresh::interval(object),
            fault: None,
        }
    }
}

impl ExternalSecrets {
    pub(crate) fn new(
        shared: Shared,
        watching: Watching,
        rules: Rules,
        stores: Arc<Stores>,
        generators: Arc<Generators>,
    ) -> Self {
        let targets = rules
            .generic_targets
            .then(|| GenericTargets::new(Arc::clone(&shared.api)));
        Self {
            frame: Frame::new(shared, watching),
            rules,
            stores,
            generators,
            targets,
            made: Mutex::default(),
            known_keys: Arc::default(),
            outages: Outages::default(),
        }
    }

    fn api(&self) -> &Api {
        self.frame.api()
    }

    /// The time of an announcement that is to be dealt with now. Objects that are created once never are refreshed, and windows
    /// hold for announcements too: they are there to freeze what is in use.
    fn news(
        &self,
        known: &Tracked<Extra>,
        object: &ExternalSecret,
        now: Timestamp,
    ) -> Option<Instant> {
        let windows = object.spec.sync_windows.as_ref();
        let frozen = object.spec.refresh_policy == Some(RefreshPolicy::CreatedOnce)
            || windows.is_some_and(|windows| windows.block(now, &self.rules.zone));
        known.extra.news().filter(|_| !frozen)
    }

    /// Returns true if another controller looks after one of its stores or generators, or no one does.
    async fn is_foreign(&self, object: &ExternalSecret) -> bool {
        let default = object.spec.secret_store_ref.as_ref();
        let is_cluster = default.is_some_and(|store| store.kind() == StoreKind::ClusterSecretStore);
        if is_cluster && !self.rules.cluster_stores {
            return true;
        }
        let foreign_store = object.stores().iter().any(|reference| {
            let id = StoreId::of(reference, object.namespace());
            let store = self.stores.get(&id);
            store.is_some_and(|store| {
                !is_own_class(store.spec.controller.as_deref(), &self.rules.class)
            })
        });
        let generators = object.generators();
        foreign_store
            || self
                .generators
                .are_foreign(generators, object.namespace())
                .await
    }

    async fn work(
        &self,
        key: &Key,
        known: &Tracked<Extra>,
        object: &ExternalSecret,
    ) -> Attempt<Outcome> {
        let started = Timestamp::now();
        if !plan::has_finalizer(object) {
            return self.add_finalizer(key, object).await;
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
        let sources_key = match foreign {
            false => self.sources_versions(object).await,
            true => None,
        };
        let news = self.news(known, object, started);
        let changed =
            (known.extra.sources.is_some() && known.extra.sources != sources_key) || news.is_some();
        let beginning = {
            let seen = TargetSeen {
                metadata: target.as_ref().map(|target| &target.metadata),
                data_hash: &|| target.as_ref().map(|target| hash::of_data(target.iter())),
                untouched: kept.is_some(),
            };
            plan::begin(object, foreign, &seen, started, &self.rules.zone)
        };
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
            Beginning::Done(plan) if !changed || foreign => {
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
            Beginning::Done(_) => {}
            Beginning::Read(actions) => {
                if actions
                    .iter()
                    .any(|action| matches!(action, Action::MarkTarget))
                {
                    match self.mark(object, &target_key).await {
                        Ok(marked) => target = marked,
                        Err(error) => return self.unread(object, &error, started),
                    }
                }
            }
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
        let max_age = max_age(object, has_target, news);
        let (data, silent) = self.read_values(object, max_age, &budget).await;
        if let Some(store) = &silent {
            let now = tokio::time::Instant::now();
            self.outages.report(store, object.namespace(), now);
        }
        self.frame
            .index
            .update(key, known.uid(), |known| known.extra.waits_for = silent);
        let values = match &data.values {
            Ok(values) if !values.is_empty() => {
                let pairs = values.iter().map(|(key, value)| (key.as_str(), value));
                Some(hash::of_data(pairs))
            }
            _ => None,
        };
        // Without a template, the same values make the same Secret.
        if let Some(kept) = &kept
            && values.is_some()
            && values == known.extra.values
            && object.spec.target.template.is_none()
        {
            let plan = plan::unchanged(object, data.missing, started, &self.rules.zone);
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
            Err(error) => return self.unread(object, &error, started),
        };
        let orphans = match self.orphans(object, known).await {
            Ok(orphans) => orphans,
            Err(error) => return self.unread(object, &error, started),
        };
        let plan = {
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
            // Rewrites and templates may take all the time of the budget, and other tasks of the runtime must not wait for it.
            tokio::task::block_in_place(|| plan::finish(object, &seen, data))
        };
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
        done
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

    /// Asks stores that do not answer for signs of life, for all objects that wait for them.
    async fn ask_silent_stores(&self) {
        loop {
            let (store, consumer) = self.outages.next().await;
            let is_back = self.stores.answers(&store, &consumer).await;
            let now = tokio::time::Instant::now();
            match is_back {
                None => self.outages.forget(&store),
                Some(is_back) => self.outages.asked(&store, is_back, now),
            }
            if is_back == Some(true) {
                self.resume(&store);
            }
        }
    }

    /// Watches targets of other kinds than Secret.
    async fn watch_targets(&self) {
        if let Some(targets) = &self.targets {
            let scopes = &self.frame.watching.scopes;
            targets.run(&self.frame.shared.dependents, scopes).await;
        }
    }

    /// Works on what has failed because a store did not answer.
    fn resume(&self, store: &StoreId) {
        let mut waiting = Vec::new();
        self.frame.index.for_each(None, |key, known| {
            if known.extra.waits_for.as_ref() == Some(store) {
                known.extra.waits_for = None;
                waiting.push(key.clone());
            }
        });
        for key in waiting {
            self.frame.queue.add(key, Urgency::Now);
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

    /// A store that was made a moment ago has not been validated yet: that is no failure.
    fn is_early(&self, object: &ExternalSecret) -> bool {
        const EARLY: SignedDuration = SignedDuration::from_secs(10);
        if !self.rules.flood_gate {
            return false;
        }
        object.stores().iter().any(|reference| {
            let id = StoreId::of(reference, object.namespace());
            self.stores.get(&id).is_some_and(|store| {
                let age = store
                    .created
                    .map(|created| Timestamp::now().duration_since(created));
                status::condition(&store.status.conditions, status::READY).is_none()
                    && age.is_some_and(|age| age < EARLY)
            })
        })
    }

    fn told(object: &ExternalSecret, plan: Plan) -> Outcome {
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

    /// The metadata of Secrets that the object made under another name.
    async fn orphans(
        &self,
        object: &ExternalSecret,
        known: &Tracked<Extra>,
    ) -> Result<Vec<ObjectMeta>, ApiError> {
        if object.spec.target.creation_policy != CreationPolicy::Owner {
            return Ok(Vec::new());
        }
        let owner = hash::of_owner(object.namespace(), object.name());
        let is_orphan = |name: &str| name != object.target_name();
        let place = (object.namespace().to_owned(), owner.clone());
        // Where Secrets are watched, a list is worth its request only if there is something to find.
        let is_watched = !matches!(known.target(), Target::Unknown);
        let shown = {
            let made = self.made.lock().expect("no holder panics");
            let names = made.get(&place);
            names.is_some_and(|names| names.iter().any(|name| is_orphan(name)))
        };
        if is_watched && !shown {
            return Ok(Vec::new());
        }
        let mut owned = action::secrets_of_owner(self.api(), object.namespace(), &owner).await?;
        owned.retain(|metadata| {
            metadata.name.as_deref().is_some_and(is_orphan) && metadata.deletion_timestamp.is_none()
        });
        if owned.is_empty() && shown {
            let mut made = self.made.lock().expect("no holder panics");
            if let Some(names) = made.get_mut(&place) {
                names.retain(|name| !is_orphan(name));
            }
        }
        Ok(owned)
    }

    fn note_made(&self, secret: &ObjectMeta, exists: bool) {
        let label = secret.labels.as_ref().and_then(|all| all.get(OWNER_LABEL));
        let (Some(label), Some(name)) = (label, &secret.name) else {
            return;
        };
        let place = (
            secret.namespace.clone().unwrap_or_default(),
            label.to_owned(),
        );
        let mut made = self.made.lock().expect("no holder panics");
        if exists {
            made.entry(place).or_default().insert(name.clone());
        } else if let Some(names) = made.get_mut(&place) {
            names.remove(name);
            if names.is_empty() {
                made.remove(&place);
            }
        }
    }

    /// Says in one text which versions of ConfigMaps and Secrets the templates are read from.
    async fn sources_versions(&self, object: &ExternalSecret) -> Option<String> {
        let template = object.spec.target.template.as_ref()?;
        let (config_maps, secrets) = render::sources_of(template);
        if config_maps.is_empty() && secrets.is_empty() {
            return None;
        }
        let namespace = object.namespace();
        let paths = config_maps
            .iter()
            .map(|name| action::config_map(namespace, name))
            .chain(
                secrets
                    .iter()
                    .map(|name| format!("{}/{name}", action::secrets(namespace))),
            );
        let mut versions = String::new();
        for path in paths {
            let metadata = self.api().get_metadata(&path).await;
            let metadata = metadata.and_then(|answer| action::metadata_of(&answer));
            let version = metadata.ok().and_then(|metadata| metadata.resource_version);
            versions.push_str(version.as_deref().unwrap_or("-"));
            versions.push(' ');
        }
        Some(versions)
    }

    /// Reads the ConfigMaps and Secrets that templates come from; what is not there is left out.
    async fn read_sources(&self, object: &ExternalSecret) -> Result<Sources, ApiError> {
        let mut sources = Sources::default();
        let Some(template) = &object.spec.target.template else {
            return Ok(sources);
        };
        let (config_maps, secrets) = render::sources_of(template);
        for name in config_maps {
            if let Some(data) =
                action::read_config_map(self.api(), object.namespace(), name).await?
            {
                sources.config_maps.insert(name.to_owned(), data);
            }
        }
        for name in secrets {
            let key = Key::new(object.namespace(), name);
            if let Some(secret) = secret_target::read(self.api(), &key).await? {
                sources
                    .secrets
                    .insert(name.to_owned(), secret.into_values());
            }
        }
        Ok(sources)
    }
}

impl Announced for ExternalSecrets {
    fn announce(&self, announcement: &Announcement) -> usize {
        let now = Instant::now();
        let mut meant = Vec::new();
        self.frame
            .index
            .for_each(announcement.namespace(), |key, known| {
                if announcement.is_about(&key.name, &known.extra.reads) {
                    known.extra.announced = Some(now);
                    meant.push(key.clone());
                }
            });
        for key in &meant {
            self.wake(key, Urgency::Now);
        }
        meant.len()
    }
}

/// How old an answer of a store may be. Objects that are refreshed together share answers, and so do new ones with everything
/// that was read since they were made; one that has changed, or whose Secret has, gets a new one; what was announced as changed
/// gets one that is newer than the announcement.
fn max_age(object: &ExternalSecret, has_target: bool, news: Option<Instant>) -> Duration {
    const LONGEST: Duration = Duration::from_secs(10);
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
        return age.clamp(SHORTEST, LONGEST);
    }
    if !unchanged || !has_target {
        return Duration::ZERO;
    }
    let interval = Duration::try_from(refresh::interval(object)).unwrap_or_default();
    (interval / 20).min(LONGEST)
}

fn at(again: Again) -> Option<Timestamp> {
    match again {
        Again::At(at) => Some(at),
        Again::Now => Some(Timestamp::now()),
        Again::Never | Again::Retry | Again::RetrySeldom => None,
    }
}

/// How long until this moment, and never less than nothing.
fn until(at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default()
}

impl Kind for ExternalSecrets {
    const NAME: &'static str = "ExternalSecret";
    const PLURAL: &'static str = "ExternalSecrets";
    const METRICS: Option<SyncedKind> = Some(SyncedKind::ExternalSecret);
    const NEIGHBOURS: &'static [Neighbours] = &[Neighbours::ConfigMaps, Neighbours::Namespaces];

    type Object = ExternalSecret;
    type Status = Status;
    type Extra = Extra;
    type Outcome = Outcome;

    fn frame(&self) -> &Frame<Self> {
        &self.frame
    }

    fn digest(&self, object: &ExternalSecret) -> Digest {
        Digest::of_json(&[
            &serde_json::to_value(&object.spec).unwrap_or_default(),
            &object.metadata.labels,
            &object.metadata.annotations,
            &plan::has_finalizer(object),
        ])
    }

    fn status(object: &ExternalSecret) -> Option<&Status> {
        object.status.as_ref()
    }

    fn conditions(status: &Status) -> Vec<(&str, bool)> {
        status::truths(&status.conditions)
    }

    fn target<'a>(&self, object: &'a ExternalSecret) -> Option<&'a str> {
        let writes = object.spec.target.manifest.is_none()
            && object.spec.target.creation_policy != CreationPolicy::None;
        writes.then(|| object.target_name())
    }

    fn neighbours(&self) -> &'static [Neighbours] {
        match self.rules.cluster_stores {
            true => Self::NEIGHBOURS,
            // Only conditions of ClusterSecretStores look at namespaces.
            false => &[Neighbours::ConfigMaps],
        }
    }

    fn needs(&self, object: &ExternalSecret) -> Vec<Need> {
        let namespace = object.namespace();
        let mut needs = Vec::new();
        let mut cluster = false;
        for store in object.stores() {
            let id = StoreId::of(&store, namespace);
            cluster |= id.kind == StoreKind::ClusterSecretStore;
            needs.push(Need::one(id.kind.as_str(), &id.namespace, &id.name));
        }
        if cluster {
            // The conditions of the store look at its labels.
            needs.push(Need::one("Namespace", "", namespace));
        }
        needs.extend(generic_targets::need_of(object));
        if let Some(template) = &object.spec.target.template {
            let (config_maps, secrets) = render::sources_of(template);
            let config_maps = config_maps.into_iter();
            needs.extend(config_maps.map(|name| Need::one("ConfigMap", namespace, name)));
            let secrets = secrets.into_iter();
            needs.extend(secrets.map(|name| Need::one("Secret", namespace, name)));
        }
        needs
    }

    fn reclaims(&self, secret: &ObjectMeta, _uid: &str) -> bool {
        refresh::is_managed(secret)
    }

    fn is_watched(&self, secret: &ObjectMeta) -> bool {
        // Whoever takes the label away is left alone until the next refresh, as upstream does.
        refresh::is_managed(secret)
    }

    fn sees_secret(&self, secret: &ObjectMeta) {
        self.note_made(secret, true);
    }

    fn loses_secret(&self, secret: &ObjectMeta) {
        self.note_made(secret, false);
    }

    fn note(&self, read: &Read<ExternalSecret>, extra: &mut Extra, changed: bool) {
        if changed {
            extra.next = None;
            extra.reads = read.0.as_ref().map(Reads::of).unwrap_or_default();
        }
        let keys = read.0.as_ref().map(values::keys_of).unwrap_or_default();
        let before = extra.claim.as_deref().map_or(&[][..], Claim::keys);
        if before != keys {
            extra.claim = (!keys.is_empty()).then(|| self.known_keys.claim(keys));
        }
    }

    fn due(&self, known: &Tracked<Extra>) -> Option<Duration> {
        known.extra.next.map(until)
    }

    async fn attempt(
        &self,
        key: &Key,
        known: &Tracked<Extra>,
        object: &Arc<ExternalSecret>,
    ) -> Attempt<Outcome> {
        self.work(key, known, object).await
    }

    fn unreadable(&self, fault: String) -> Outcome {
        Outcome {
            status: None,
            events: Vec::new(),
            again: Again::Never,
            interval: SignedDuration::from_hours(1),
            fault: Some(fault),
        }
    }

    fn report(
        &self,
        _metadata: &ObjectMeta,
        status: Option<&Status>,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Option<Status> {
        let next = match (&outcome.status, &outcome.fault) {
            (Some(next), _) => next.clone(),
            (None, Some(fault)) => {
                plan::unreadable(status.cloned().unwrap_or_default(), fault, now).0
            }
            (None, None) => return None,
        };
        (status != Some(&next)).then_some(next)
    }

    fn events(&self, metadata: &ObjectMeta, outcome: &Outcome) -> Vec<Event> {
        let fault = outcome.fault.as_ref();
        let fault =
            fault.map(|fault| plan::unreadable(Status::default(), fault, Timestamp::now()).1);
        let events = outcome.events.iter().chain(&fault);
        events
            .map(|event| {
                let message = event.message.clone();
                Event::about::<ExternalSecret>(
                    COMPONENT,
                    metadata,
                    event.warning,
                    event.reason,
                    message,
                )
            })
            .collect()
    }

    fn again(&self, _key: &Key, outcome: &Outcome, failures: u32) -> Option<Duration> {
        let wait = match outcome.again {
            Again::Never => return None,
            Again::Now => Duration::ZERO,
            Again::At(at) => return Some(until(at)),
            Again::Retry => retry(failures),
            Again::RetrySeldom => retry_seldom(failures, outcome.interval),
        };
        Some(wait + jitter(wait))
    }

    fn trouble(&self, key: &Key, trouble: Trouble, error: &ApiError) {
        tracing::warn!(kind = Self::NAME, key = %key, error = %error, "the API server refuses ({trouble:?})");
    }

    async fn beside(&self) {
        tokio::join!(self.ask_silent_stores(), self.watch_targets());
    }

    async fn finalize(&self, key: &Key, object: &ExternalSecret) -> Option<Duration> {
        let ended = async {
            let events = match (&self.targets, &object.spec.target.manifest) {
                (Some(targets), Some(manifest)) if plan::has_finalizer(object) => {
                    self.finalize_generic(targets, object, manifest).await?
                }
                _ => Vec::new(),
            };
            let zone = &self.rules.zone;
            actions::finalize(self.api(), key, object, zone).await?;
            Ok::<_, ApiError>(events)
        };
        match ended.await {
            Ok(events) => {
                for event in self.events(
                    &object.metadata,
                    &Outcome {
                        events,
                        ..Outcome::quiet(object, Again::Never)
                    },
                ) {
                    action::emit(self.api(), &self.frame.shared.recorder, &event).await;
                }
                None
            }
            Err(error) => {
                self.trouble(key, Trouble::Fetch, &error);
                Some(retry(3))
            }
        }
    }
}

/// A second, then twice as long each time, up to seven minutes.
fn retry(failures: u32) -> Duration {
    const LONGEST: Duration = Duration::from_secs(7 * 60);
    let doubled = 1u64 << failures.saturating_sub(1).min(16);
    Duration::from_secs(doubled).min(LONGEST)
}

/// A value that is not there is asked for as seldom as the object would be refreshed, at most four times a day, after some
/// questions that become rarer: a broken reference must not use up the calls of a store.
///
/// An object that is refreshed every hour or more often costs its store much already, and may ask more often at first.
fn retry_seldom(failures: u32, interval: SignedDuration) -> Duration {
    const FIRST: [u64; 5] = [3, 12, 45, 240, 1500];
    const LONGEST: Duration = Duration::from_secs(6 * 3600);
    const SHORTEST: Duration = Duration::from_secs(15);
    const OFTEN: Duration = Duration::from_secs(3600);
    let interval = Duration::try_from(interval).unwrap_or_default();
    let limit = match interval.is_zero() {
        true => LONGEST,
        false => interval.clamp(SHORTEST, LONGEST),
    };
    let index = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    let wait = match limit <= OFTEN {
        true => Some(1 << index.min(16)),
        false => FIRST.get(index).copied(),
    };
    wait.map_or(LONGEST, Duration::from_secs).min(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_key_costs_at_most_ten_calls_a_day() {
        let calls_a_day = |interval| {
            let day = Duration::from_secs(24 * 3600);
            let (mut calls, mut failures, mut clock) = (1, 0, Duration::ZERO);
            loop {
                failures += 1;
                clock += retry_seldom(failures, interval);
                if clock > day {
                    return calls;
                }
                calls += 1;
            }
        };
        assert!(calls_a_day(SignedDuration::from_hours(24)) <= 10);
        assert!(calls_a_day(SignedDuration::ZERO) <= 10);
        // One that is refreshed 24 times a day asks little more often when it fails.
        assert!(calls_a_day(SignedDuration::from_hours(1)) <= 36);
        // An object that is refreshed often may ask as often when it fails.
        assert_eq!(
            retry_seldom(20, SignedDuration::from_secs(2)),
            Duration::from_secs(15)
        );
        assert_eq!(
            retry_seldom(20, SignedDuration::ZERO),
            Duration::from_secs(6 * 3600)
        );
    }

    #[test]
    fn t13_retries_double_up_to_seven_minutes() {
        let waits: Vec<u64> = (1..12).map(|failures| retry(failures).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 420, 420]);
    }
}
