//! Objects by the label that names their owner.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use crate::frame::object::Key;

/// Objects that were made for others, by the label that names the other.
///
/// Anyone who may write such an object may change its labels, so the label that it was seen with last is kept beside it. There may be
/// tens of thousands of them: namespace and label are kept as a hash, and two that have the same by chance cost a request.
#[derive(Default)]
pub(crate) struct Owned {
    hasher: RandomState,
    /// What each object was made for.
    owners: HashMap<Key, u64>,
    /// The names of the objects of each owner.
    names: HashMap<u64, Vec<Arc<str>>>,
}

impl Owned {
    fn owner(&self, namespace: &str, label: &str) -> u64 {
        self.hasher.hash_one((namespace, label))
    }

    /// Takes note of the owner label that an object has now; one that is gone has none.
    pub(crate) fn set(&mut self, key: &Key, label: Option<&str>) {
        let owner = label.map(|label| self.owner(&key.namespace, label));
        let before = self.owners.get(key).copied();
        if before == owner {
            return;
        }
        if let Some(before) = before {
            self.owners.remove(key);
            self.retain(before, |name| *name != *key.name);
        }
        if let Some(owner) = owner {
            self.owners.insert(key.clone(), owner);
            let names = self.names.entry(owner);
            let names = names.or_insert_with(|| Vec::with_capacity(1));
            names.push(Arc::clone(&key.name));
        }
    }

    /// Returns true if an owner has an object.
    pub(crate) fn has_any(&self, namespace: &str, label: &str) -> bool {
        self.names.contains_key(&self.owner(namespace, label))
    }

    /// Returns true if an owner has an object with another name than this.
    pub(crate) fn has_others(&self, namespace: &str, label: &str, name: &str) -> bool {
        let names = self.names.get(&self.owner(namespace, label));
        names.is_some_and(|names| names.iter().any(|other| **other != *name))
    }

    /// Forgets the objects of an owner that have another name than this.
    pub(crate) fn forget_others(&mut self, namespace: &str, label: &str, name: &str) {
        let owner = self.owner(namespace, label);
        let names = self.names.get(&owner).into_iter().flatten();
        for other in names.filter(|other| ***other != *name) {
            self.owners.remove(&Key::new(namespace, other));
        }
        self.retain(owner, |other| *other == *name);
    }

    fn retain(&mut self, owner: u64, stays: impl Fn(&str) -> bool) {
        if let Some(names) = self.names.get_mut(&owner) {
            names.retain(|name| stays(name));
            if names.is_empty() {
                self.names.remove(&owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("ns", name)
    }

    #[test]
    fn an_object_is_known_under_its_last_label_only() {
        let mut owned = Owned::default();
        for label in ["a", "b", "c", "c"] {
            owned.set(&key("s"), Some(label));
        }
        assert!(owned.has_others("ns", "c", "t"));
        assert!(!owned.has_others("ns", "c", "s"));
        assert!(!owned.has_others("ns", "a", "t") && !owned.has_others("other", "c", "t"));
        assert!(owned.has_any("ns", "c"));
        assert!(!owned.has_any("ns", "a") && !owned.has_any("other", "c"));
        assert_eq!((owned.owners.len(), owned.names.len()), (1, 1));
        // The label may be gone before the object is.
        owned.set(&key("s"), None);
        owned.set(&key("s"), None);
        assert!(!owned.has_any("ns", "c"));
        assert_eq!((owned.owners.len(), owned.names.len()), (0, 0));
    }

    #[test]
    fn an_owner_has_objects_until_the_last_is_gone() {
        let mut owned = Owned::default();
        for name in ["s", "t"] {
            owned.set(&key(name), Some("a"));
        }
        owned.set(&key("s"), None);
        assert!(owned.has_any("ns", "a"));
        owned.set(&key("t"), Some("b"));
        assert!(!owned.has_any("ns", "a") && owned.has_any("ns", "b"));
        owned.set(&key("t"), None);
        assert_eq!((owned.owners.len(), owned.names.len()), (0, 0));
    }

    #[test]
    fn others_are_forgotten_until_they_are_seen_again() {
        let mut owned = Owned::default();
        for name in ["s", "t"] {
            owned.set(&key(name), Some("a"));
        }
        owned.forget_others("ns", "a", "t");
        assert!(!owned.has_others("ns", "a", "t"));
        assert_eq!((owned.owners.len(), owned.names.len()), (1, 1));
        owned.set(&key("s"), Some("a"));
        assert!(owned.has_others("ns", "a", "t"));
        owned.forget_others("ns", "a", "neither");
        assert_eq!((owned.owners.len(), owned.names.len()), (0, 0));
    }
}
