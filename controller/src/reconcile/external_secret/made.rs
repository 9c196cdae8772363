//! The Secrets that were made for an object, under whatever names.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealwright_resources::external_secret::{CreationPolicy, ExternalSecret, OWNER_LABEL, hash};

use super::{ExternalSecrets, Extra};
use crate::action;
use crate::api::ApiError;
use crate::frame::object::{Key, key_of};
use crate::frame::tracked::{Target, Tracked};

/// The Secrets that were made for objects.
///
/// Anyone who may write Secrets may change their labels, so the label that a Secret was seen with last is kept beside it. There may be
/// tens of thousands of them: namespace and label are kept as a hash, and two that have the same by chance cost a request.
#[derive(Default)]
pub(super) struct Made {
    hasher: RandomState,
    /// What each Secret was made for.
    owners: HashMap<Key, u64>,
    /// The names of the Secrets of each owner.
    names: HashMap<u64, Vec<Arc<str>>>,
}

impl Made {
    fn owner(&self, namespace: &str, label: &str) -> u64 {
        self.hasher.hash_one((namespace, label))
    }

    /// Takes note of the owner label that a Secret has now; one that is gone has none.
    fn set(&mut self, key: &Key, label: Option<&str>) {
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

    /// Returns true if an object has a Secret with another name than this.
    fn has_others(&self, namespace: &str, label: &str, name: &str) -> bool {
        let names = self.names.get(&self.owner(namespace, label));
        names.is_some_and(|names| names.iter().any(|made| **made != *name))
    }

    /// Forgets the Secrets of an object that have another name than this.
    fn forget_others(&mut self, namespace: &str, label: &str, name: &str) {
        let owner = self.owner(namespace, label);
        let names = self.names.get(&owner).into_iter().flatten();
        for other in names.filter(|made| ***made != *name) {
            self.owners.remove(&Key::new(namespace, other));
        }
        self.retain(owner, |made| *made == *name);
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

impl ExternalSecrets {
    /// The metadata of Secrets that the object made under another name.
    pub(super) async fn orphans(
        &self,
        object: &ExternalSecret,
        known: &Tracked<Extra>,
    ) -> Result<Vec<ObjectMeta>, ApiError> {
        if object.spec.target.creation_policy != CreationPolicy::Owner {
            return Ok(Vec::new());
        }
        let owner = hash::of_owner(object.namespace(), object.name());
        let is_orphan = |name: &str| name != object.target_name();
        // Where Secrets are watched, a list is worth its request only if there is something to find.
        let is_watched = !matches!(known.target(), Target::Unknown);
        let shown = {
            let made = self.made.lock().expect("no holder panics");
            made.has_others(object.namespace(), &owner, object.target_name())
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
            made.forget_others(object.namespace(), &owner, object.target_name());
        }
        Ok(owned)
    }

    pub(super) fn note_made(&self, secret: &ObjectMeta, exists: bool) {
        let label = secret.labels.as_ref().and_then(|all| all.get(OWNER_LABEL));
        let label = label.filter(|_| exists).map(String::as_str);
        let mut made = self.made.lock().expect("no holder panics");
        made.set(&key_of(secret), label);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_under_its_last_label_only() {
        let mut made = Made::default();
        let key = |name: &str| Key::new("ns", name);
        for label in ["a", "b", "c", "c"] {
            made.set(&key("s"), Some(label));
        }
        assert!(made.has_others("ns", "c", "t"));
        assert!(!made.has_others("ns", "c", "s"));
        assert!(!made.has_others("ns", "a", "t") && !made.has_others("other", "c", "t"));
        assert_eq!((made.owners.len(), made.names.len()), (1, 1));
        // The label may be gone before the Secret is.
        made.set(&key("s"), None);
        assert_eq!((made.owners.len(), made.names.len()), (0, 0));
    }

    #[test]
    fn others_are_forgotten_until_they_are_seen_again() {
        let mut made = Made::default();
        let key = |name: &str| Key::new("ns", name);
        for name in ["s", "t"] {
            made.set(&key(name), Some("a"));
        }
        made.forget_others("ns", "a", "t");
        assert!(!made.has_others("ns", "a", "t"));
        assert_eq!((made.owners.len(), made.names.len()), (1, 1));
        made.set(&key("s"), Some("a"));
        assert!(made.has_others("ns", "a", "t"));
        made.forget_others("ns", "a", "neither");
        assert_eq!((made.owners.len(), made.names.len()), (0, 0));
    }
}
