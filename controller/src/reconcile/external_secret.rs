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

mod access;
mod actions;
mod answer_age;
mod attempt;
mod bounds;
mod generic;
mod keys;
mod kind;
mod made;
mod retry;
mod silence;
mod sources;
mod turn;
mod values;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sealwright_resources::external_secret::access::is_own_class;
use sealwright_resources::external_secret::plan::Again;
use sealwright_resources::external_secret::render::Options;
use sealwright_resources::external_secret::status::Status;
use sealwright_resources::external_secret::{
    ExternalSecret, RefreshPolicy, StoreKind, plan, refresh,
};

use self::silence::Crowds;
use crate::announcement::{Announced, Announcement, Reads};
use crate::api::Api;
use crate::frame::dependents::Wake;
use crate::frame::kind::{Frame, Shared, Watching};
use crate::frame::queue::Urgency;
use crate::frame::tracked::Tracked;
use crate::generators::Generators;
use crate::generic_targets::GenericTargets;
use crate::known_keys::{Claim, KnownKeys};
use crate::outages::Outages;
use crate::owned::Owned;
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
    /// When this controller was started.
    started: Timestamp,
    frame: Frame<Self>,
    rules: Rules,
    stores: Arc<Stores>,
    generators: Arc<Generators>,
    /// Targets of other kinds than Secret, if they are allowed.
    targets: Option<GenericTargets>,
    /// The Secrets that were made for an object, as the watch shows them.
    made: Mutex<Owned>,
    /// The keys of stores that objects were made of.
    known_keys: Arc<KnownKeys>,
    /// Stores that do not answer.
    outages: Outages,
    /// How many objects wait for them.
    crowds: Crowds,
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
    /// The store that does not answer, and when the object wanted to read from it first.
    waits_for: Option<StoreId>,
    asked: Option<Instant>,
    /// When it failed with what it was told.
    failed: Option<Instant>,
}

impl Extra {
    /// The time of an announcement that has not been dealt with yet.
    fn news(&self) -> Option<Instant> {
        self.announced
            .filter(|announced| Some(*announced) != self.heard)
    }

    /// Takes note that the object has failed, and not for want of an answer.
    fn has_failed(&mut self) {
        if self.asked.is_none() {
            self.failed = Some(Instant::now());
        }
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
            started: Timestamp::now(),
            frame: Frame::new(shared, watching),
            rules,
            stores,
            generators,
            targets,
            made: Mutex::default(),
            known_keys: Arc::default(),
            outages: Outages::default(),
            crowds: Crowds::default(),
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
        // Windows are looked at only if there is something that they may hold up.
        let news = known.extra.news()?;
        let windows = object.spec.sync_windows.as_ref();
        let frozen = object.spec.refresh_policy == Some(RefreshPolicy::CreatedOnce)
            || windows.is_some_and(|windows| windows.block(now, &self.rules.zone));
        (!frozen).then_some(news)
    }

    /// Returns true if another controller looks after one of its stores or generators, or no one does.
    async fn is_foreign(&self, object: &ExternalSecret) -> bool {
        let default = object.spec.secret_store_ref.as_ref();
        let is_cluster = default.is_some_and(|store| store.kind() == StoreKind::ClusterSecretStore);
        if is_cluster && !self.rules.cluster_stores {
            return true;
        }
        for reference in object.stores() {
            let id = StoreId::of(&reference, object.namespace());
            // One that cannot be read is reported where its values are read.
            let store = self.stores.find(&id).await.ok().flatten();
            if store.is_some_and(|store| {
                !is_own_class(store.spec.controller.as_deref(), &self.rules.class)
            }) {
                return true;
            }
        }
        let generators = object.generators();
        self.generators
            .are_foreign(generators, object.namespace())
            .await
    }

    /// Drops what is old of the stores, also where no one looks after those themselves.
    async fn sweep_stores(&self) {
        loop {
            tokio::time::sleep(Duration::from_secs(60)).await;
            self.stores.sweep();
        }
    }

    /// Watches targets of other kinds than Secret.
    async fn watch_targets(&self) {
        if let Some(targets) = &self.targets {
            let scopes = &self.frame.watching.scopes;
            targets.run(&self.frame.shared.dependents, scopes).await;
        }
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
