//! Which objects read which others, so that a change of one wakes those that read it.
//!
//! An ExternalSecret reads a store, the store reads a Secret with its credentials, a template may come from a ConfigMap. Each
//! kind says what its objects [need](super::kind::Kind::needs); the watches say what has changed.
//!
//! Objects do not wait for these watches: they read what they need from the API server when they are worked on. So one may have
//! been worked on before the first listing of what it reads, or may have begun to read it after the last; and what went in
//! between is shown by no event. The end of a listing wakes it then, if it may have missed something.

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

    /// Returns true if an object was worked on, and may not have seen this version of something that it reads; without a
    /// version, that it is gone.
    fn may_have_missed(&self, key: &Key, version: Option<&str>) -> bool;
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

    /// The key of the object, if it is one.
    fn key(&self) -> Option<Key> {
        let name = self.name.as_ref()?;
        Some(Key {
            namespace: Arc::clone(&self.namespace),
            name: Arc::clone(name),
        })
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
    readers: HashMap<Need, Readers>,
    needs: HashMap<Dependent, Vec<Need>>,
    /// The versions of what is read, where a watch shows them, and the listing that showed them last.
    versions: HashMap<(&'static str, Key), (Box<str>, u64)>,
    listing: u64,
}

/// The objects that read something.
#[derive(Default)]
struct Readers {
    all: HashSet<Dependent>,
    /// The last listing when the first of them came; nothing since another one has shown all of what they read.
    unlisted: Option<u64>,
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
            let listing = inner.listing;
            for need in &needs {
                let readers = inner.readers.entry(need.clone());
                let readers = readers.or_insert_with(|| Readers {
                    unlisted: Some(listing),
                    ..Readers::default()
                });
                readers.all.insert(dependent.clone());
            }
            // What is known of things that it still reads stays.
            for need in inner.needs.remove(&dependent).unwrap_or_default() {
                if !named.contains(&need) {
                    inner.forget(&dependent, &need);
                }
            }
            if !needs.is_empty() {
                inner.needs.insert(dependent, needs);
            }
        });
    }

    /// Forgets everything that objects of a kind read.
    pub(super) fn clear(&self, kind: usize) {
        self.with(|inner| {
            inner.needs.retain(|(number, _), _| *number != kind);
            inner.versions.clear();
            let listing = inner.listing;
            inner.readers.retain(|_, readers| {
                readers.all.retain(|(number, _)| *number != kind);
                readers.unlisted = Some(listing);
                !readers.all.is_empty()
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
    /// In the `first` listing only what may have missed it is woken: objects read what they need when they are worked on.
    pub(super) fn listed(&self, kind: &'static str, key: &Key, version: &str, first: bool) {
        let before = self.with(|inner| {
            if !inner.is_read(kind, key) {
                return None;
            }
            let entry = (Box::from(version), inner.listing);
            Some(inner.versions.insert((kind, key.clone()), entry))
        });
        match before {
            None => {}
            Some(Some((before, _))) if *before == *version => {}
            Some(None) if first => self.missed(kind, key, version),
            Some(_) => self.changed(kind, key),
        }
    }

    /// Wakes what reads this object and was worked on when this version of it may not have been there yet.
    pub(super) fn missed(&self, kind: &'static str, key: &Key, version: &str) {
        self.wake(&needs_of(kind, key), |reader, key| {
            reader.may_have_missed(key, Some(version))
        });
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

    /// Ends a listing of a kind in the namespace, or in all: wakes what reads objects that were not shown any more, or may have
    /// been there when it was worked on.
    ///
    /// What reads all objects of a kind would nearly always be worked on twice when the process starts. So it counts as having
    /// seen what the first listing does, if that came `at_start`, without a failure before.
    pub(super) fn end_listing(
        &self,
        kind: &'static str,
        namespace: Option<&str>,
        began: u64,
        at_start: bool,
    ) {
        let (gone, doubtful) = self.with(|inner| {
            let is_listed = |what: &str, place: &str| {
                what == kind && namespace.is_none_or(|name| *place == *name)
            };
            let mut gone: Vec<Key> = Vec::new();
            for ((what, key), (_, listing)) in &inner.versions {
                if is_listed(what, &key.namespace) && *listing < began {
                    gone.push(key.clone());
                }
            }
            let mut doubtful: Vec<Need> = Vec::new();
            for (need, readers) in &mut inner.readers {
                let is_news = readers.unlisted.is_some_and(|listing| listing < began);
                if !is_news || !is_listed(need.kind, &need.namespace) {
                    continue;
                }
                readers.unlisted = None;
                let may_be_gone = match need.key() {
                    Some(key) => !inner.versions.contains_key(&(kind, key)),
                    None => !at_start,
                };
                if may_be_gone {
                    doubtful.push(need.clone());
                }
            }
            (gone, doubtful)
        });
        for key in gone {
            self.deleted(kind, &key);
        }
        for need in doubtful {
            self.wake(&[need], |reader, key| reader.may_have_missed(key, None));
        }
    }

    /// Wakes everything that reads this object, which has changed, come or gone.
    pub(crate) fn changed(&self, kind: &'static str, key: &Key) {
        self.wake(&needs_of(kind, key), |_, _| true);
    }

    /// Wakes what has one of these needs and is meant.
    fn wake(&self, needs: &[Need], is_meant: impl Fn(&dyn Wake, &Key) -> bool) {
        let mut woken: Vec<(Arc<dyn Wake>, Key)> = self.with(|inner| {
            let readers: HashSet<&Dependent> = needs
                .iter()
                .filter_map(|need| inner.readers.get(need))
                .flat_map(|readers| &readers.all)
                .collect();
            readers
                .into_iter()
                .filter_map(|(number, key)| {
                    Some((inner.kinds.get(*number)?.upgrade()?, key.clone()))
                })
                .collect()
        });
        woken.retain(|(kind, key)| is_meant(&**kind, key));
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

    /// Takes note that an object does not read something any more.
    fn forget(&mut self, dependent: &Dependent, need: &Need) {
        let Some(readers) = self.readers.get_mut(need) else {
            return;
        };
        readers.all.remove(dependent);
        if readers.all.is_empty() {
            self.readers.remove(need);
            if let Some(key) = need.key()
                && !self.is_read(need.kind, &key)
            {
                self.versions.remove(&(need.kind, key));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readers(dependents: &Dependents) -> usize {
        dependents.with(|inner| inner.readers.values().map(|it| it.all.len()).sum())
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

    /// A kind that notes which of its objects are woken. All were worked on when the API server was this far, or not at all.
    #[derive(Default)]
    struct Woken {
        woken: Mutex<Vec<String>>,
        looked: Mutex<Option<u64>>,
    }

    impl Woken {
        fn take(&self) -> Vec<String> {
            let mut woken = std::mem::take(&mut *self.woken.lock().unwrap());
            woken.sort();
            woken
        }
    }

    impl Wake for Woken {
        fn wake(&self, key: &Key, _: Urgency) {
            self.woken.lock().unwrap().push(key.to_string());
        }

        fn may_have_missed(&self, _: &Key, version: Option<&str>) -> bool {
            let looked = *self.looked.lock().unwrap();
            let is_newer = |looked: u64, version: &str| version.parse::<u64>().unwrap() > looked;
            looked.is_some_and(|looked| version.is_none_or(|version| is_newer(looked, version)))
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
        dependents.end_listing("Secret", Some("elsewhere"), began, false);
        dependents.end_listing("ConfigMap", None, began, false);
        assert_eq!(woken.take(), [""; 0]);
        dependents.end_listing("Secret", None, began, false);
        assert_eq!(woken.take(), ["ns/three"]);
        dependents.deleted("Secret", &secret("a"));
        assert_eq!(woken.take(), ["ns/one"]);
    }

    #[test]
    fn a_listing_wakes_what_was_worked_on_and_may_have_missed_something() {
        for looked in [None, Some(5)] {
            let dependents = Dependents::default();
            let woken = Arc::new(Woken::default());
            *woken.looked.lock().unwrap() = looked;
            let number = dependents.join(Arc::downgrade(&woken) as Weak<dyn Wake>);
            let reads = |name: &str, need: Need| {
                dependents.set(number, &Key::new("ns", name), vec![need]);
            };
            let secret = |name: &str| Need::one("Secret", "ns", name);
            let list = |began: u64, first: bool| {
                for (name, version) in [("old", "3"), ("edited", "9")] {
                    let key = Key::new("ns", name);
                    dependents.listed("Secret", &key, version, first);
                }
                dependents.end_listing("Secret", None, began, first);
                woken.take()
            };
            for name in ["old", "edited", "gone"] {
                reads(&format!("reader of {name}"), secret(name));
            }
            let expected: &[&str] = match looked {
                // It reads them when it is worked on.
                None => &[],
                Some(_) => &["ns/reader of edited", "ns/reader of gone"],
            };
            assert_eq!(list(dependents.begin_listing(), true), expected);
            assert_eq!(list(dependents.begin_listing(), false), [""; 0]);
            // One that comes later may have read what goes while the watch is broken; one that comes during a listing reads
            // later than that.
            reads("late", secret("gone since"));
            reads("another", secret("gone"));
            let began = dependents.begin_listing();
            reads("later", secret("gone later"));
            let expected: &[&str] = match looked {
                None => &[],
                Some(_) => &["ns/late"],
            };
            assert_eq!(list(began, false), expected);
            let expected: &[&str] = match looked {
                None => &[],
                Some(_) => &["ns/later"],
            };
            assert_eq!(list(dependents.begin_listing(), false), expected);
            assert_eq!(list(dependents.begin_listing(), false), [""; 0]);
        }
    }

    #[test]
    fn what_reads_all_of_a_kind_is_woken_if_something_may_have_gone_meanwhile() {
        let dependents = Dependents::default();
        let woken = Arc::new(Woken::default());
        *woken.looked.lock().unwrap() = Some(5);
        let number = dependents.join(Arc::downgrade(&woken) as Weak<dyn Wake>);
        let reads = |name: &str, needs: Vec<Need>| {
            dependents.set(number, &Key::new("", name), needs);
        };
        let list = |at_start: bool| {
            let began = dependents.begin_listing();
            dependents.listed("Namespace", &Key::new("", "a"), "3", at_start);
            dependents.end_listing("Namespace", None, began, at_start);
            woken.take()
        };
        let all = || vec![Need::any("Namespace", "")];
        reads("first", all());
        assert_eq!(list(true), [""; 0]);
        assert_eq!(list(false), [""; 0]);
        reads("first", Vec::new());
        // No one has read any since the last listing.
        reads("late", all());
        assert_eq!(list(false), ["late"]);
        assert_eq!(list(false), [""; 0]);
        // Another that reads one of them, and goes, takes nothing along that is still read.
        let one = Need::one("Namespace", "", "a");
        reads("other", vec![one]);
        reads("other", Vec::new());
        let began = dependents.begin_listing();
        dependents.end_listing("Namespace", None, began, false);
        assert_eq!(woken.take(), ["late"]);
    }
}
