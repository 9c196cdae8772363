//! What is remembered of every SealedSecret: some hundred bytes, and no value, sealed or not.
//!
//! Bodies are read when they are worked on. What is kept is enough to know whether there is
//! anything to do at all.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sealwright_resources::sealed_secret::{SealedSecret, SealedSecretStatus};
use tokio::time::Instant;

use super::proof::{Claim, Digest};
use crate::action::Version;
use crate::queue::Urgency;

/// Namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(super) namespace: Arc<str>,
    pub(super) name: Arc<str>,
}

impl Key {
    pub(super) fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What is known of a target Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// Nobody looked.
    Unknown,
    Absent,
    Present {
        version: Version,
        /// It comes back when it is deleted.
        reclaimed: bool,
    },
}

/// One SealedSecret.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) uid: String,
    /// The version that the watch showed last.
    seen: Option<Box<str>>,
    pub(super) digest: Digest,
    pub(super) instance: String,
    pub(super) target: Target,
    /// Which version of the Secret came from which spec.
    pub(super) applied: Option<(Digest, Version)>,
    /// The key that opened it last time.
    pub(super) opened_by: Option<String>,
    /// Attempts that failed in a row.
    pub(super) failures: u32,
    /// An attempt with this digest and this set of keys failed and would fail again, and how.
    pub(super) hopeless: Option<(Digest, u64, String)>,
    /// Somebody else wrote the status.
    pub(super) misstated: bool,
    /// The target was seen last without a mark that it is ours: if it is gone, it stays gone.
    released: bool,
    claim: Option<Claim>,
    /// The status as we last wrote it and the one before, whose echo may still come.
    stated: [Option<u64>; 2],
    /// How often the target was put back in short order, and when last.
    strikes: (u32, Option<Instant>),
    epoch: u64,
}

impl Known {
    /// Tells whether there is nothing to do.
    pub(super) fn is_settled(&self, targets_watched: bool) -> bool {
        let Some((digest, applied)) = &self.applied else {
            return false;
        };
        *digest == self.digest
            && !self.misstated
            && match &self.target {
                Target::Present { version, .. } => version == applied,
                Target::Unknown => !targets_watched,
                Target::Absent => false,
            }
    }

    /// Tells whether an object is the one that the watch showed last.
    pub(super) fn is_last_seen(&self, sealed: &SealedSecret) -> bool {
        let version = sealed.metadata.resource_version.as_deref();
        version.is_some() && self.seen.as_deref() == version
    }

    /// Tells whether the Secret is known to have come from this very spec.
    pub(super) fn is_applied(&self) -> bool {
        self.applied
            .as_ref()
            .is_some_and(|(digest, _)| *digest == self.digest)
    }
}

/// When an object is to be worked on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    No,
    Yes(Urgency),
    After(Duration),
}

/// All of them.
pub(super) struct Index {
    accept_deprecated_data: bool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    objects: HashMap<Key, Known>,
    epoch: u64,
}

impl Index {
    pub(super) fn new(accept_deprecated_data: bool) -> Self {
        Self {
            accept_deprecated_data,
            inner: Mutex::default(),
        }
    }

    /// Starts a listing; what it does not show is gone when it [ends](Self::end_listing).
    pub(super) fn begin_listing(&self) -> u64 {
        self.with(|inner| {
            inner.epoch += 1;
            inner.epoch
        })
    }

    /// Takes note of a SealedSecret as it is now.
    pub(super) fn see(&self, sealed: &SealedSecret) -> (Key, Wanted) {
        let metadata = &sealed.metadata;
        let key = Key::new(
            metadata.namespace.as_deref().unwrap_or_default(),
            metadata.name.as_deref().unwrap_or_default(),
        );
        let digest = Digest::of(sealed, self.accept_deprecated_data);
        let uid = metadata.uid.clone().unwrap_or_default();
        let instance = instance(sealed);
        let seen = metadata.resource_version.as_deref().map(Box::from);
        let stated = fingerprint(sealed.status.as_ref());
        let claim = || Claim::read(sealed.status.as_ref(), metadata.generation);
        let wanted = self.with(|inner| {
            let epoch = inner.epoch;
            match inner.objects.get_mut(&key) {
                Some(known) if known.uid == uid => {
                    known.epoch = epoch;
                    known.seen = seen;
                    known.instance = instance;
                    if known.digest != digest {
                        known.digest = digest;
                        known.failures = 0;
                        known.claim = claim();
                        return Wanted::Yes(Urgency::Now);
                    }
                    known.misstated =
                        known.stated[0].is_some() && !known.stated.contains(&Some(stated));
                    match known.misstated {
                        true => Wanted::Yes(Urgency::Now),
                        false => Wanted::No,
                    }
                }
                // Another object of the same name: what was known of the old one says nothing.
                before => {
                    let target = before.map_or(Target::Unknown, |known| known.target.clone());
                    let known = Known {
                        uid,
                        seen,
                        digest,
                        instance,
                        target,
                        applied: None,
                        opened_by: None,
                        failures: 0,
                        hopeless: None,
                        misstated: false,
                        released: false,
                        claim: claim(),
                        stated: [None, None],
                        strikes: (0, None),
                        epoch,
                    };
                    inner.objects.insert(key.clone(), known);
                    Wanted::Yes(Urgency::Now)
                }
            }
        });
        (key, wanted)
    }

    /// Ends a listing of the namespace, or of all: hands out what is gone.
    pub(super) fn end_listing(&self, began: u64, namespace: Option<&str>) -> Vec<Key> {
        self.with(|inner| {
            let gone: Vec<Key> = inner
                .objects
                .iter()
                .filter(|(key, known)| {
                    known.epoch < began && namespace.is_none_or(|name| *key.namespace == *name)
                })
                .map(|(key, _)| key.clone())
                .collect();
            for key in &gone {
                inner.objects.remove(key);
            }
            gone
        })
    }

    /// Forgets an object that is gone; tells whether it was known.
    pub(super) fn remove(&self, key: &Key) -> bool {
        self.with(|inner| inner.objects.remove(key).is_some())
    }

    /// Says that nothing is known of the targets any more, for a new listing of Secrets.
    pub(super) fn forget_targets(&self, namespace: Option<&str>) {
        self.with(|inner| {
            for (key, known) in &mut inner.objects {
                if namespace.is_none_or(|name| *key.namespace == *name) {
                    known.lose();
                }
            }
        });
    }

    /// Takes note of a Secret; it may not be the target of anything.
    pub(super) fn see_target(
        &self,
        key: &Key,
        version: Version,
        reclaimed: impl FnOnce(&str) -> bool,
    ) -> Wanted {
        self.with(|inner| {
            let Some(known) = inner.objects.get_mut(key) else {
                return Wanted::No;
            };
            // An echo of what was before our own write.
            if let Some((_, applied)) = &known.applied
                && applied.uid == version.uid
                && is_older(&version.resource_version, &applied.resource_version)
            {
                return Wanted::No;
            }
            let reclaimed = reclaimed(&known.uid);
            let echo = matches!(&known.applied, Some((_, applied)) if *applied == version);
            known.target = Target::Present { version, reclaimed };
            known.released = false;
            match echo {
                true => Wanted::No,
                false => known.disturbed(Instant::now()),
            }
        })
    }

    /// Takes note that a Secret is gone (C48: only what is controlled or managed comes back).
    pub(super) fn lose_target(&self, key: &Key, uid: &str) -> Wanted {
        self.with(|inner| {
            let Some(known) = inner.objects.get_mut(key) else {
                return Wanted::No;
            };
            match &known.target {
                // It is another one already.
                Target::Present { version, .. } if version.uid != uid => Wanted::No,
                Target::Present { .. } => {
                    known.lose();
                    match known.released {
                        true => Wanted::No,
                        false => known.disturbed(Instant::now()),
                    }
                }
                Target::Unknown | Target::Absent => {
                    known.lose();
                    Wanted::No
                }
            }
        })
    }

    /// After a listing: hands out what has to be worked on, and what is newly proved to be as it
    /// should, with the label of its metric.
    pub(super) fn unsettled(
        &self,
        namespace: Option<&str>,
        targets_watched: bool,
        check: impl Fn(&Claim, Digest) -> Option<(Version, String)>,
    ) -> (Vec<Key>, Vec<(Key, String)>) {
        self.with(|inner| {
            let (mut work, mut settled) = (Vec::new(), Vec::new());
            for (key, known) in &mut inner.objects {
                if namespace.is_some_and(|name| *key.namespace != *name) {
                    continue;
                }
                let mut proved = false;
                if known.applied.is_none()
                    && let Some(claim) = known.claim.take()
                    && let Some((version, opened_by)) = check(&claim, known.digest)
                {
                    known.applied = Some((known.digest, version));
                    known.opened_by = Some(opened_by);
                    proved = true;
                }
                // Without a watch of Secrets nobody has looked at the target yet.
                if targets_watched && known.is_settled(true) {
                    if proved {
                        settled.push((key.clone(), known.instance.clone()));
                    }
                } else if !(known.released && known.is_applied()) {
                    work.push(key.clone());
                }
            }
            (work, settled)
        })
    }

    /// Hands out the objects that fail, because something changed that may help them.
    pub(super) fn failing(&self) -> Vec<Key> {
        self.with(|inner| {
            inner
                .objects
                .iter()
                .filter(|(_, known)| known.failures > 0)
                .map(|(key, _)| key.clone())
                .collect()
        })
    }

    /// Looks an object up.
    pub(super) fn get(&self, key: &Key) -> Option<Known> {
        self.with(|inner| inner.objects.get(key).cloned())
    }

    /// Changes what is known of the object of this uid.
    pub(super) fn update(&self, key: &Key, uid: &str, change: impl FnOnce(&mut Known)) {
        self.with(|inner| {
            if let Some(known) = inner.objects.get_mut(key).filter(|known| known.uid == uid) {
                change(known);
            }
        });
    }

    /// Says what the status is going to be, before it is written.
    pub(super) fn state(&self, key: &Key, uid: &str, status: &SealedSecretStatus) {
        let stated = Some(fingerprint(Some(status)));
        self.update(key, uid, |known| {
            known.misstated = false;
            if known.stated[0] != stated {
                known.stated = [stated, known.stated[0]];
            }
        });
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.with(|inner| inner.objects = HashMap::new());
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.inner.lock().expect("no holder panics"))
    }
}

impl Known {
    fn lose(&mut self) {
        if let Target::Present { reclaimed, .. } = self.target {
            self.released = !reclaimed;
        }
        self.target = Target::Absent;
    }

    /// Somebody changed the target: put it back at once, but do not fight for ever at full speed
    /// with somebody who keeps changing it.
    fn disturbed(&mut self, now: Instant) -> Wanted {
        const CALM: Duration = Duration::from_secs(300);
        const FREE: u32 = 5;
        let (count, last) = &mut self.strikes;
        if last.is_some_and(|last| now - last > CALM) {
            *count = 0;
        }
        *last = Some(now);
        *count = count.saturating_add(1);
        match count.checked_sub(FREE) {
            None | Some(0) => Wanted::Yes(Urgency::Now),
            Some(over) => Wanted::After(Duration::from_secs(1) * 2u32.pow(over.min(6))),
        }
    }
}

/// The label that the metric shows.
pub(super) fn instance(sealed: &SealedSecret) -> String {
    sealed
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get("app.kubernetes.io/instance"))
        .cloned()
        .unwrap_or_default()
}

/// Resource versions are numbers that grow; what is no number is never older.
fn is_older(one: &str, other: &str) -> bool {
    matches!((one.parse::<u128>(), other.parse::<u128>()), (Ok(one), Ok(other)) if one < other)
}

/// A short name for what a status says, its times left out.
fn fingerprint(status: Option<&SealedSecretStatus>) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    if let Some(status) = status {
        status.observed_generation.hash(&mut hasher);
        for condition in &status.conditions {
            (
                &condition.kind,
                &condition.status,
                &condition.reason,
                &condition.message,
            )
                .hash(&mut hasher);
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
