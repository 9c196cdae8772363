//! Which objects read which others, so that a change of one wakes those that read it.
//!
//! An ExternalSecret reads a store, the store reads a Secret with its credentials, a template may come from a ConfigMap. Each
//! kind says what its objects [need](super::kind::Kind::needs); the watches say what has changed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, Weak};

use super::object::Key;
use super::queue::Urgency;

/// More dependents than these are a backlog, which goes behind single changes.
const MANY: usize = 50;

/// More of what one object reads does not wake it: it looks at the rest when it is refreshed. Each costs a hundred times what
/// stands for it in the object.
const MOST_NEEDS: usize = 256;

/// A kind whose objects read others.
pub(crate) trait Wake: Send + Sync {
    /// Enqueues an object because something that it reads has changed.
    fn wake(&self, key: &Key, urgency: Urgency);
}

/// Something that an object reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Need {
    kind: &'static str,
    namespace: Arc<str>,
    /// Nothing for every object of the kind in the namespace.
    name: Option<Arc<str>>,
}

impl Need {
    /// One object; an object without a namespace has an empty one.
    pub(crate) fn one(kind: &'static str, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            name: Some(name.into()),
        }
    }

    /// Every object of the kind in the namespace, or every one that has no namespace.
    pub(crate) fn any(kind: &'static str, namespace: &str) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            name: None,
        }
    }
}

/// An object that reads others: the kind it belongs to, and its key.
type Dependent = (usize, Key);

/// Who reads what, of all kinds.
#[derive(Default)]
pub(crate) struct Dependents {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    kinds: Vec<Weak<dyn Wake>>,
    readers: HashMap<Need, HashSet<Dependent>>,
    needs: HashMap<Dependent, Vec<Need>>,
    /// The versions of what is read, where a watch shows them, and the listing that showed them last.
    versions: HashMap<(&'static str, Key), (Box<str>, u64)>,
    listing: u64,
}

impl Dependents {
    /// Makes a kind known; its number names it from now on.
    pub(super) fn join(&self, kind: Weak<dyn Wake>) -> usize {
        self.with(|inner| {
            inner.kinds.push(kind);
            inner.kinds.len() - 1
        })
    }

    /// Says what an object reads, in place of what was said before.
    pub(super) fn set(&self, kind: usize, key: &Key, mut needs: Vec<Need>) {
        let mut named = HashSet::new();
        needs.retain(|need| named.len() < MOST_NEEDS && named.insert(need.clone()));
        needs.shrink_to_fit();
        let dependent = (kind, key.clone());
        self.with(|inner| {
            if inner.needs.get(&dependent).map_or(&[][..], Vec::as_slice) == needs.as_slice() {
                return;
            }
            inner.forget(&dependent);
            if needs.is_empty() {
                return;
            }
            for need in &needs {
                let readers = inner.readers.entry(need.clone()).or_default();
                readers.insert(dependent.clone());
            }
            inner.needs.insert(dependent, needs);
        });
    }

    /// Forgets everything that objects of a kind read.
    pub(super) fn clear(&self, kind: usize) {
        self.with(|inner| {
            inner.needs.retain(|(number, _), _| *number != kind);
            inner.versions.clear();
            inner.readers.retain(|_, readers| {
                readers.retain(|(number, _)| *number != kind);
                !readers.is_empty()
            });
        });
    }

    /// Starts a listing of objects of a kind; what it does not show is gone when it [ends](Self::end_listing).
    pub(super) fn begin_listing(&self) -> u64 {
        self.with(|inner| {
            inner.listing += 1;
            inner.listing
        })
    }

    /// Takes note of the version of an object in a listing, and wakes what reads it if it is another one than before.
    ///
    /// In the `first` listing nothing is woken: objects read what they need when they are worked on first.
    pub(super) fn listed(&self, kind: &'static str, key: &Key, version: &str, first: bool) {
        let changed = self.with(|inner| {
            if !inner.is_read(kind, key) {
                return false;
            }
            let entry = (Box::from(version), inner.listing);
            let before = inner.versions.insert((kind, key.clone()), entry);
            before.is_none_or(|(before, _)| *before != *version)
        });
        if changed && !first {
            self.changed(kind, key);
        }
    }

    /// Takes note of a new version of an object, and wakes what reads it.
    pub(super) fn shown(&self, kind: &'static str, key: &Key, version: &str) {
        self.listed(kind, key, version, false);
    }

    /// Takes note that an object was deleted, and wakes what reads it.
    pub(super) fn deleted(&self, kind: &'static str, key: &Key) {
        self.with(|inner| inner.versions.remove(&(kind, key.clone())));
        self.changed(kind, key);
    }

    /// Ends a listing of a kind in the namespace, or in all: wakes what reads objects that were not shown any more.
    pub(super) fn end_listing(&self, kind: &'static str, namespace: Option<&str>, began: u64) {
        let gone: Vec<Key> = self.with(|inner| {
            let is_gone = |what: &str, key: &Key, listing: u64| {
                what == kind
                    && listing < began
                    && namespace.is_none_or(|name| *key.namespace == *name)
            };
            inner
                .versions
                .iter()
                .filter(|((what, key), (_, listing))| is_gone(what, key, *listing))
                .map(|((_, key), _)| key.clone())
                .collect()
        });
        for key in gone {
            self.deleted(kind, &key);
        }
    }

    /// Wakes everything that reads this object, which has changed, come or gone.
    pub(crate) fn changed(&self, kind: &'static str, key: &Key) {
        let woken = self.with(|inner| {
            if inner.readers.is_empty() {
                return Vec::new();
            }
            let readers: HashSet<&Dependent> = needs_of(kind, key)
                .iter()
                .filter_map(|need| inner.readers.get(need))
                .flatten()
                .collect();
            readers
                .into_iter()
                .filter_map(|(number, key)| {
                    Some((inner.kinds.get(*number)?.upgrade()?, key.clone()))
                })
                .collect()
        });
        let urgency = match woken.len() > MANY {
            true => Urgency::Backlog,
            false => Urgency::Now,
        };
        for (kind, key) in woken {
            kind.wake(&key, urgency);
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.inner.lock().expect("no holder panics"))
    }
}

/// The needs that an object meets.
fn needs_of(kind: &'static str, key: &Key) -> [Need; 2] {
    let one = Need {
        kind,
        namespace: Arc::clone(&key.namespace),
        name: Some(Arc::clone(&key.name)),
    };
    let any = Need {
        name: None,
        ..one.clone()
    };
    [one, any]
}

impl Inner {
    fn is_read(&self, kind: &'static str, key: &Key) -> bool {
        !self.readers.is_empty()
            && needs_of(kind, key)
                .iter()
                .any(|need| self.readers.contains_key(need))
    }

    fn forget(&mut self, dependent: &Dependent) {
        for need in self.needs.remove(dependent).unwrap_or_default() {
            if let Some(readers) = self.readers.get_mut(&need) {
                readers.remove(dependent);
                if readers.is_empty() {
                    self.readers.remove(&need);
                    if let Some(name) = need.name {
                        let key = Key {
                            namespace: need.namespace,
                            name,
                        };
                        self.versions.remove(&(need.kind, key));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readers(dependents: &Dependents) -> usize {
        dependents.with(|inner| inner.readers.values().map(HashSet::len).sum())
    }

    #[test]
    fn what_an_object_no_longer_reads_is_forgotten() {
        let dependents = Dependents::default();
        let (one, two) = (Key::new("ns", "one"), Key::new("ns", "two"));
        let store = || Need::one("SecretStore", "ns", "vault");
        dependents.set(0, &one, vec![store(), Need::any("ConfigMap", "ns")]);
        dependents.set(0, &two, vec![store()]);
        assert_eq!(readers(&dependents), 3);
        dependents.set(0, &one, vec![store()]);
        assert_eq!(readers(&dependents), 2);
        dependents.set(0, &two, Vec::new());
        assert_eq!(readers(&dependents), 1);
        dependents.clear(0);
        assert_eq!(readers(&dependents), 0);
    }

    #[test]
    fn what_one_object_reads_has_a_bound() {
        let dependents = Dependents::default();
        let many = (0..5000).map(|number| Need::one("SecretStore", "ns", &format!("s{number}")));
        dependents.set(0, &Key::new("ns", "one"), many.collect());
        assert_eq!(readers(&dependents), MOST_NEEDS);
        let same = (0..5000).map(|_| Need::one("SecretStore", "ns", "s"));
        let other = std::iter::once(Need::one("SecretStore", "ns", "t"));
        dependents.set(0, &Key::new("ns", "one"), same.chain(other).collect());
        assert_eq!(readers(&dependents), 2);
    }

    /// A kind that notes which of its objects are woken.
    #[derive(Default)]
    struct Woken(Mutex<Vec<String>>);

    impl Woken {
        fn take(&self) -> Vec<String> {
            let mut woken = std::mem::take(&mut *self.0.lock().unwrap());
            woken.sort();
            woken
        }
    }

    impl Wake for Woken {
        fn wake(&self, key: &Key, _: Urgency) {
            self.0.lock().unwrap().push(key.to_string());
        }
    }

    #[test]
    fn a_listing_wakes_only_what_reads_something_that_changed_or_went() {
        let dependents = Dependents::default();
        let woken = Arc::new(Woken::default());
        let number = dependents.join(Arc::downgrade(&woken) as Weak<dyn Wake>);
        let secret = |name: &str| Key::new("ns", name);
        for (name, reads) in [("one", "a"), ("two", "b"), ("three", "c")] {
            let needs = vec![Need::one("Secret", "ns", reads)];
            dependents.set(number, &Key::new("ns", name), needs);
        }
        dependents.begin_listing();
        for name in ["a", "b", "c", "other"] {
            dependents.listed("Secret", &secret(name), "1", true);
        }
        assert_eq!(woken.take(), [""; 0]);
        dependents.shown("Secret", &secret("a"), "2");
        dependents.shown("Secret", &secret("other"), "2");
        assert_eq!(woken.take(), ["ns/one"]);
        // While the watch was broken, b changed and c was deleted.
        let began = dependents.begin_listing();
        for (name, version) in [("a", "2"), ("b", "3"), ("other", "4")] {
            dependents.listed("Secret", &secret(name), version, false);
        }
        assert_eq!(woken.take(), ["ns/two"]);
        dependents.end_listing("Secret", Some("elsewhere"), began);
        dependents.end_listing("ConfigMap", None, began);
        assert_eq!(woken.take(), [""; 0]);
        dependents.end_listing("Secret", None, began);
        assert_eq!(woken.take(), ["ns/three"]);
        dependents.deleted("Secret", &secret("a"));
        assert_eq!(woken.take(), ["ns/one"]);
    }
}
