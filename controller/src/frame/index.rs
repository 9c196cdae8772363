//! All objects of one kind that are known.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::object::{Key, Version};
use super::tracked::{Seen, Target, TargetName, Tracked};

/// All objects of one kind, and what is known of each.
///
/// Watches note what they see, and are told whether it asks for work.
pub(crate) struct Index<E> {
    /// A status that is not true is something to do.
    statuses: bool,
    inner: Mutex<Inner<E>>,
}

struct Inner<E> {
    /// In boxes: the places that a map keeps free would be as large as what it holds.
    objects: HashMap<Key, Box<Tracked<E>>>,
    /// The objects that write a Secret of another name, by that Secret.
    writers: HashMap<Key, Vec<Key>>,
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
                writers: HashMap::new(),
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
    /// `target` is the Secret that it writes. `note` completes what its kind remembers, and is told whether the object is new
    /// or has changed in what decides.
    pub(crate) fn see(
        &self,
        key: &Key,
        uid: &str,
        seen: Seen,
        target: Option<&str>,
        note: impl FnOnce(&mut E, bool),
    ) -> bool {
        let target = match target {
            None => TargetName::None,
            Some(name) if *name == *key.name => TargetName::Same,
            Some(name) => TargetName::Other(name.into()),
        };
        self.with(|inner| {
            // A listing of targets that is under way may have shown this one before anyone asked for it, so it says nothing.
            let (listing, asked) = (inner.listing, inner.target_listing);
            inner.note_writer(key, &target);
            match inner.objects.get_mut(key) {
                Some(known) if known.uid() == uid => {
                    known.listing = listing;
                    let changed = known.observed().digest != seen.digest;
                    note(&mut known.extra, changed);
                    if known.target_name != target {
                        known.target_listing = asked;
                    }
                    known.rename_target(target);
                    known.observe(seen, self.statuses)
                }
                // Another object of the same name: what was known of the old one says nothing, but its target is still there.
                before => {
                    let (there, target_listing) = before
                        .filter(|known| known.target_name == target)
                        .map_or((Target::Unknown, asked), |known| {
                            (known.target().clone(), known.target_listing)
                        });
                    let mut extra = E::default();
                    note(&mut extra, true);
                    let mut known = Tracked::new(uid.to_owned(), seen, there, extra);
                    known.target_name = target;
                    known.listing = listing;
                    known.target_listing = target_listing;
                    inner.objects.insert(key.clone(), Box::new(known));
                    true
                }
            }
        })
    }

    /// Returns true if this version of an object is the one that was observed last.
    pub(crate) fn has_seen(&self, key: &Key, resource_version: Option<&str>) -> bool {
        self.with(|inner| {
            let known = inner.objects.get(key);
            known.is_some_and(|known| known.is_last_seen(resource_version))
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
                inner.remove(key);
            }
            gone
        })
    }

    /// Forgets an object that is gone; returns true if it was known.
    pub(crate) fn remove(&self, key: &Key) -> bool {
        self.with(|inner| inner.remove(key))
    }

    /// Starts a listing of targets; one that it does not show is gone when it [ends](Self::end_listing_targets).
    pub(crate) fn begin_listing_targets(&self) -> u64 {
        self.with(|inner| {
            inner.target_listing += 1;
            inner.target_listing
        })
    }

    /// Takes note of a Secret, which may not be the target of anything; returns the objects that it asks to be worked on.
    ///
    /// `reclaimed` says whether the Secret comes back when it is deleted, given the uid of the object.
    pub(crate) fn see_target(
        &self,
        secret: &Key,
        version: &Version,
        reclaimed: impl Fn(&str) -> bool,
    ) -> Vec<Key> {
        self.with(|inner| {
            let listing = inner.target_listing;
            inner.wake_writers(secret, |known| {
                known.target_listing = listing;
                let reclaimed = reclaimed(known.uid());
                known.observe_target(version.clone(), reclaimed, self.statuses)
            })
        })
    }

    /// Takes note that a Secret was deleted, `version` being its last one; returns the objects that this asks to be worked on.
    pub(crate) fn lose_target(
        &self,
        secret: &Key,
        version: &Version,
        reclaimed: impl Fn(&str) -> bool,
    ) -> Vec<Key> {
        self.with(|inner| {
            inner.wake_writers(secret, |known| {
                let reclaimed = reclaimed(known.uid());
                known.observe_target_gone(version, reclaimed, self.statuses)
            })
        })
    }

    /// Ends a listing of targets in the namespace, or in all: what was not shown is not there.
    pub(crate) fn end_listing_targets(&self, began: u64, namespace: Option<&str>) {
        self.with(|inner| {
            for (key, known) in &mut inner.objects {
                if known.target_name != TargetName::None
                    && known.target_listing < began
                    && is_in(key, namespace)
                {
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

    /// Takes note that something that an object reads has changed; returns how long the object has to wait, if it is known.
    pub(crate) fn disturb(&self, key: &Key, now: Instant) -> Option<Duration> {
        self.with(|inner| {
            let known = inner.objects.get_mut(key);
            known.map(|known| known.disturb(now))
        })
    }

    /// Returns true if an object [may not have seen](Tracked::may_have_missed) this version of something that it reads.
    pub(super) fn may_have_missed(&self, key: &Key, version: Option<&str>) -> bool {
        self.with(|inner| {
            let known = inner.objects.get(key);
            known.is_some_and(|known| known.may_have_missed(version))
        })
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
        self.with(|inner| inner.objects.get(key).map(|known| (**known).clone()))
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
        self.with(|inner| {
            inner.objects = HashMap::new();
            inner.writers = HashMap::new();
        });
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner<E>) -> T) -> T {
        change(&mut self.inner.lock().expect("no holder panics"))
    }
}

impl<E> Inner<E> {
    fn remove(&mut self, key: &Key) -> bool {
        self.note_writer(key, &TargetName::None);
        self.objects.remove(key).is_some()
    }

    /// Remembers which Secret of another name an object writes now.
    fn note_writer(&mut self, key: &Key, target: &TargetName) {
        let before = self.objects.get(key).map(|known| &known.target_name);
        if before == Some(target) {
            return;
        }
        let secret = |name: &Arc<str>| Key {
            namespace: Arc::clone(&key.namespace),
            name: Arc::clone(name),
        };
        if let Some(TargetName::Other(name)) = before {
            let secret = secret(name);
            if let Some(writers) = self.writers.get_mut(&secret) {
                writers.retain(|writer| writer != key);
                if writers.is_empty() {
                    self.writers.remove(&secret);
                }
            }
        }
        if let TargetName::Other(name) = target {
            let writers = self.writers.entry(secret(name)).or_default();
            writers.push(key.clone());
        }
    }

    /// Lets the objects that write a Secret take note of it; returns those for which `note` returns true.
    fn wake_writers(
        &mut self,
        secret: &Key,
        mut note: impl FnMut(&mut Tracked<E>) -> bool,
    ) -> Vec<Key> {
        let mut woken = Vec::new();
        let namesake = self.objects.get_mut(secret);
        if let Some(known) = namesake.filter(|known| known.target_name == TargetName::Same)
            && note(known)
        {
            woken.push(secret.clone());
        }
        for key in self.writers.get(secret).into_iter().flatten() {
            if let Some(known) = self.objects.get_mut(key)
                && note(known)
            {
                woken.push(key.clone());
            }
        }
        woken
    }
}

fn is_in(key: &Key, namespace: Option<&str>) -> bool {
    namespace.is_none_or(|name| *key.namespace == *name)
}

#[cfg(test)]
mod tests {
    use super::super::tracked::{Digest, State};
    use super::*;

    fn index() -> Index<()> {
        Index::new(false)
    }

    fn see(index: &Index<()>, name: &str, target: Option<&str>) -> bool {
        let seen = Seen {
            resource_version: "1".into(),
            digest: Digest([1; 32]),
            generation: None,
            status: 0,
            surroundings: 0,
        };
        index.see(&Key::new("ns", name), "u", seen, target, |(), _| {})
    }

    fn version(resource_version: &str) -> Version {
        Version {
            uid: "s".into(),
            resource_version: resource_version.into(),
        }
    }

    #[test]
    fn t36_a_listing_finds_what_is_gone() {
        let index = index();
        see(&index, "a", None);
        let began = index.begin_listing();
        assert_eq!(index.end_listing(began, Some("other")), []);
        assert_eq!(index.end_listing(began, Some("ns")), [Key::new("ns", "a")]);
        see(&index, "a", None);
        let began = index.begin_listing();
        see(&index, "a", None);
        assert_eq!(index.end_listing(began, None), []);
    }

    #[test]
    fn a_target_that_was_asked_for_during_a_listing_is_not_taken_for_gone() {
        let index = index();
        for name in ["old", "renamed"] {
            see(&index, name, Some(name));
        }
        let began = index.begin_listing_targets();
        // The listing has shown their Secrets already.
        see(&index, "new", Some("new"));
        see(&index, "renamed", Some("other"));
        for name in ["old", "new", "renamed"] {
            let settle = |known: &mut Tracked<()>| known.settle_as_observed(version("5"));
            index.update(&Key::new("ns", name), "u", settle);
        }
        let end = |began| {
            index.end_listing_targets(began, None);
            let state = |name| index.get(&Key::new("ns", name)).unwrap().state(false);
            ["old", "new", "renamed"].map(state)
        };
        // One that is gone and settled at the same time would be worked on for ever.
        let (gone, settled) = (State::TargetGone, State::Settled);
        assert_eq!(end(began), [gone, settled, settled]);
        assert_eq!(end(index.begin_listing_targets()), [gone, gone, gone]);
    }

    #[test]
    fn a_secret_wakes_whatever_writes_it_and_nothing_else() {
        let index = index();
        for (name, target) in [
            ("a", Some("a")),
            ("b", Some("shared")),
            ("c", Some("shared")),
            ("shared", None),
        ] {
            see(&index, name, target);
            let key = Key::new("ns", name);
            index.update(&key, "u", |known| known.settle_as_observed(version("5")));
        }
        let changed = |name: &str, resource_version: &str| {
            let mut woken =
                index.see_target(&Key::new("ns", name), &version(resource_version), |_| true);
            woken.sort();
            woken
        };
        assert_eq!(changed("a", "5"), []);
        assert_eq!(changed("a", "6"), [Key::new("ns", "a")]);
        assert_eq!(changed("none", "6"), []);
        let both = [Key::new("ns", "b"), Key::new("ns", "c")];
        assert_eq!(changed("shared", "6"), both);
        // Another target, none, and gone.
        see(&index, "b", Some("b"));
        assert_eq!(changed("shared", "7"), [Key::new("ns", "c")]);
        index.remove(&Key::new("ns", "c"));
        assert_eq!(changed("shared", "8"), []);
        index.with(|inner| assert!(inner.writers.is_empty()));
    }
}
