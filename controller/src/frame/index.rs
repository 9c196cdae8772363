//! All objects of one kind that are known.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use super::tracked::{Seen, Target, Tracked};
use crate::action::Version;

/// Namespace and name of an object; an object without a namespace has an empty one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
}

impl Key {
    /// The key of an object.
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.namespace {
            "" => f.write_str(&self.name),
            namespace => write!(f, "{namespace}/{}", self.name),
        }
    }
}

/// All objects of one kind, and what is known of each.
///
/// Watches note what they see, and are told whether it asks for work.
pub(crate) struct Index<E> {
    /// A status that is not true is something to do.
    statuses: bool,
    inner: Mutex<Inner<E>>,
}

struct Inner<E> {
    objects: HashMap<Key, Tracked<E>>,
    listing: u64,
    target_listing: u64,
}

impl<E: Clone + Default> Index<E> {
    /// An empty index of a kind whose statuses are written, or not.
    pub(crate) fn new(statuses: bool) -> Self {
        Self {
            statuses,
            inner: Mutex::new(Inner {
                objects: HashMap::new(),
                listing: 0,
                target_listing: 0,
            }),
        }
    }

    /// Starts a listing; what it does not show is gone when it [ends](Self::end_listing).
    pub(crate) fn begin_listing(&self) -> u64 {
        self.with(|inner| {
            inner.listing += 1;
            inner.listing
        })
    }

    /// Takes note of an object as it is now; returns true if that asks for work.
    ///
    /// `note` completes what its kind remembers, and is told whether the object is new or has changed in what decides.
    pub(crate) fn see(
        &self,
        key: &Key,
        uid: &str,
        seen: Seen,
        note: impl FnOnce(&mut E, bool),
    ) -> bool {
        self.with(|inner| {
            let listing = inner.listing;
            match inner.objects.get_mut(key) {
                Some(known) if known.uid() == uid => {
                    known.listing = listing;
                    let changed = known.observed().digest != seen.digest;
                    note(&mut known.extra, changed);
                    known.observe(seen, self.statuses)
                }
                // Another object of the same name: what was known of the old one says nothing, but its target is still there.
                before => {
                    let (target, target_listing) = before.map_or((Target::Unknown, 0), |known| {
                        (known.target().clone(), known.target_listing)
                    });
                    let mut extra = E::default();
                    note(&mut extra, true);
                    let mut known = Tracked::new(uid.to_owned(), seen, target, extra);
                    known.listing = listing;
                    known.target_listing = target_listing;
                    inner.objects.insert(key.clone(), known);
                    true
                }
            }
        })
    }

    /// Ends a listing of the namespace, or of all: returns what is gone.
    pub(crate) fn end_listing(&self, began: u64, namespace: Option<&str>) -> Vec<Key> {
        self.with(|inner| {
            let gone: Vec<Key> = inner
                .objects
                .iter()
                .filter(|(key, known)| known.listing < began && is_in(key, namespace))
                .map(|(key, _)| key.clone())
                .collect();
            for key in &gone {
                inner.objects.remove(key);
            }
            gone
        })
    }

    /// Forgets an object that is gone; returns true if it was known.
    pub(crate) fn remove(&self, key: &Key) -> bool {
        self.with(|inner| inner.objects.remove(key).is_some())
    }

    /// Starts a listing of targets; one that it does not show is gone when it [ends](Self::end_listing_targets).
    pub(crate) fn begin_listing_targets(&self) -> u64 {
        self.with(|inner| {
            inner.target_listing += 1;
            inner.target_listing
        })
    }

    /// Takes note of a Secret, which may not be the target of anything; returns true if that asks for work.
    ///
    /// `reclaimed` says whether the Secret comes back when it is deleted, given the uid of the object.
    pub(crate) fn see_target(
        &self,
        key: &Key,
        version: Version,
        reclaimed: impl FnOnce(&str) -> bool,
    ) -> bool {
        self.with(|inner| {
            let listing = inner.target_listing;
            let Some(known) = inner.objects.get_mut(key) else {
                return false;
            };
            known.target_listing = listing;
            let reclaimed = reclaimed(known.uid());
            known.observe_target(version, reclaimed, self.statuses)
        })
    }

    /// Takes note that a Secret was deleted, `version` being its last one; returns true if that asks for work.
    pub(crate) fn lose_target(
        &self,
        key: &Key,
        version: &Version,
        reclaimed: impl FnOnce(&str) -> bool,
    ) -> bool {
        self.with(|inner| {
            let Some(known) = inner.objects.get_mut(key) else {
                return false;
            };
            let reclaimed = reclaimed(known.uid());
            known.observe_target_gone(version, reclaimed, self.statuses)
        })
    }

    /// Ends a listing of targets in the namespace, or in all: what was not shown is not there.
    pub(crate) fn end_listing_targets(&self, began: u64, namespace: Option<&str>) {
        self.with(|inner| {
            for (key, known) in &mut inner.objects {
                if known.target_listing < began && is_in(key, namespace) {
                    known.observe_no_target();
                }
            }
        });
    }

    /// Goes through all objects of the namespace, or all.
    pub(crate) fn for_each(
        &self,
        namespace: Option<&str>,
        mut visit: impl FnMut(&Key, &mut Tracked<E>),
    ) {
        self.with(|inner| {
            for (key, known) in &mut inner.objects {
                if is_in(key, namespace) {
                    visit(key, known);
                }
            }
        });
    }

    /// The objects that fail, because something changed that may help them.
    pub(crate) fn failing(&self) -> Vec<Key> {
        let mut failing = Vec::new();
        self.for_each(None, |key, known| {
            if known.is_failing() {
                failing.push(key.clone());
            }
        });
        failing
    }

    /// Looks an object up.
    pub(crate) fn get(&self, key: &Key) -> Option<Tracked<E>> {
        self.with(|inner| inner.objects.get(key).cloned())
    }

    /// Changes what is known of the object of this uid, and returns what `change` does, if it is known.
    pub(crate) fn update<T>(
        &self,
        key: &Key,
        uid: &str,
        change: impl FnOnce(&mut Tracked<E>) -> T,
    ) -> Option<T> {
        self.with(|inner| {
            let known = inner.objects.get_mut(key)?;
            (known.uid() == uid).then(|| change(known))
        })
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.with(|inner| inner.objects = HashMap::new());
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner<E>) -> T) -> T {
        change(&mut self.inner.lock().expect("no holder panics"))
    }
}

fn is_in(key: &Key, namespace: Option<&str>) -> bool {
    namespace.is_none_or(|name| *key.namespace == *name)
}
