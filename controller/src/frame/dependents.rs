//! Which objects read which others, so that a change of one wakes those that read it.
//!
//! An ExternalSecret reads a store, the store reads a Secret with its credentials, a template may come from a ConfigMap. Each
//! kind says what its objects [need](super::kind::Kind::needs); the watches say what has changed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, Weak};

use super::AnyKind;
use super::index::Key;
use super::queue::Urgency;

/// More dependents than these are a backlog, which goes behind single changes.
const MANY: usize = 50;

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
    #[allow(dead_code, reason = "SealedSecrets read nothing")]
    pub(crate) fn one(kind: &'static str, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            name: Some(name.into()),
        }
    }

    /// Every object of the kind in the namespace, or every one that has no namespace.
    #[allow(dead_code, reason = "SealedSecrets read nothing")]
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
    kinds: Vec<Weak<dyn AnyKind>>,
    readers: HashMap<Need, HashSet<Dependent>>,
    needs: HashMap<Dependent, Vec<Need>>,
}

impl Dependents {
    /// Makes a kind known; its number names it from now on.
    pub(super) fn join(&self, kind: Weak<dyn AnyKind>) -> usize {
        self.with(|inner| {
            inner.kinds.push(kind);
            inner.kinds.len() - 1
        })
    }

    /// Says what an object reads, in place of what was said before.
    pub(super) fn set(&self, kind: usize, key: &Key, needs: Vec<Need>) {
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
            inner.readers.retain(|_, readers| {
                readers.retain(|(number, _)| *number != kind);
                !readers.is_empty()
            });
        });
    }

    /// Wakes everything that reads this object, which has changed, come or gone.
    pub(crate) fn changed(&self, kind: &'static str, key: &Key) {
        let woken = self.with(|inner| {
            if inner.readers.is_empty() {
                return Vec::new();
            }
            let one = Need {
                kind,
                namespace: Arc::clone(&key.namespace),
                name: Some(Arc::clone(&key.name)),
            };
            let any = Need {
                name: None,
                ..one.clone()
            };
            let readers: HashSet<&Dependent> = [one, any]
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

impl Inner {
    fn forget(&mut self, dependent: &Dependent) {
        for need in self.needs.remove(dependent).unwrap_or_default() {
            if let Some(readers) = self.readers.get_mut(&need) {
                readers.remove(dependent);
                if readers.is_empty() {
                    self.readers.remove(&need);
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
}
