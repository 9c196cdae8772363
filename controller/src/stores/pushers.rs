//! The PushSecrets that hold stores: a store that one of them may still have to delete from must not go before it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Mutex;

use sealwright_resources::external_secret::StoreKind;
use sealwright_resources::push_secret::PushStoreRef;
use sealwright_resources::push_secret::entries::{PushStore, is_meant, store_key};

use super::store_id::StoreId;
use crate::frame::object::Key;

/// What a store reads of PushSecrets: whether one of them holds it.
pub(crate) fn pushes_to(kind: StoreKind) -> &'static str {
    match kind {
        StoreKind::SecretStore => "pushes to a SecretStore",
        StoreKind::ClusterSecretStore => "pushes to a ClusterSecretStore",
    }
}

/// PushSecrets that would have to delete from stores: those stores must not go before them.
#[derive(Default)]
pub(crate) struct Pushers(Mutex<AllPushers>);

#[derive(Default)]
struct AllPushers {
    holds: HashMap<Key, Hold>,
    /// Where PushSecrets are looked after, if they are: all namespaces or each of some, and whether those there have been seen.
    scopes: Option<BTreeMap<Option<String>, bool>>,
    /// The stores that may be free when more PushSecrets have been seen.
    waiting: HashSet<StoreId>,
}

impl AllPushers {
    /// Says which PushSecrets have not been seen that may hold the store.
    fn unseen(&self, id: &StoreId) -> Option<String> {
        const MOST_NAMED: usize = 5;
        let Some(scopes) = &self.scopes else {
            return Some("this controller does not look after PushSecrets".to_owned());
        };
        let may_hold = |scope: &Option<String>| match (id.kind, scope) {
            (StoreKind::SecretStore, Some(namespace)) => *namespace == id.namespace,
            (StoreKind::SecretStore, None) | (StoreKind::ClusterSecretStore, _) => true,
        };
        let unseen = scopes
            .iter()
            .filter(|(scope, seen)| !**seen && may_hold(scope));
        let unseen: Vec<Option<&str>> = unseen.map(|(scope, _)| scope.as_deref()).collect();
        let named: Vec<&str> = unseen.iter().copied().flatten().take(MOST_NAMED).collect();
        match (unseen.len(), named.join(", ")) {
            (0, _) => None,
            (_, named) if named.is_empty() => Some("PushSecrets cannot be listed".to_owned()),
            (count, named) => {
                let more = match count.saturating_sub(MOST_NAMED) {
                    0 => String::new(),
                    more => format!(" and {more} others"),
                };
                Some(format!(
                    "PushSecrets cannot be listed in the namespaces {named}{more}"
                ))
            }
        }
    }
}

/// The stores that one PushSecret holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hold {
    /// Those that it names or selects.
    pub(crate) references: Vec<PushStoreRef>,
    /// Those that it has pushed to (`Kind/name`).
    pub(crate) synced: Vec<String>,
}

impl Hold {
    pub(super) fn is_on(
        &self,
        holder: &Key,
        id: &StoreId,
        labels: &BTreeMap<String, String>,
    ) -> bool {
        if id.kind == StoreKind::SecretStore && *holder.namespace != *id.namespace {
            return false;
        }
        let store = PushStore {
            kind: id.kind,
            name: &id.name,
            labels,
        };
        let key = store_key(id.kind, &id.name);
        self.synced.contains(&key)
            || self
                .references
                .iter()
                .any(|reference| is_meant(reference, &store))
    }
}

impl Pushers {
    /// Takes note of what a PushSecret holds now; returns what it held before, if that has changed.
    pub(crate) fn set(&self, key: &Key, hold: Option<Hold>) -> Option<[Option<Hold>; 2]> {
        let mut all = self.0.lock().expect("no holder panics");
        let before = match &hold {
            Some(hold) => all.holds.insert(key.clone(), hold.clone()),
            None => all.holds.remove(key),
        };
        (before != hold).then_some([before, hold])
    }

    /// Returns true if it is known what a PushSecret holds.
    pub(crate) fn has(&self, key: &Key) -> bool {
        let all = self.0.lock().expect("no holder panics");
        all.holds.contains_key(key)
    }

    /// Returns true if a PushSecret holds the store.
    pub(crate) fn hold(&self, id: &StoreId, labels: &BTreeMap<String, String>) -> bool {
        let all = self.0.lock().expect("no holder panics");
        let mut holds = all.holds.iter();
        holds.any(|(holder, hold)| hold.is_on(holder, id, labels))
    }

    /// Forgets all PushSecrets, and where they are looked after.
    pub(crate) fn clear(&self) {
        *self.0.lock().expect("no holder panics") = AllPushers::default();
    }

    /// Says where PushSecrets are looked after; none of them have been seen.
    pub(crate) fn expect(&self, scopes: &[Option<String>]) {
        let mut all = self.0.lock().expect("no holder panics");
        all.scopes = Some(scopes.iter().map(|scope| (scope.clone(), false)).collect());
    }

    /// Takes note that all PushSecrets of a scope have been seen; returns the stores that waited for them and no others.
    pub(crate) fn have_seen(&self, scope: Option<&str>) -> Vec<StoreId> {
        let mut all = self.0.lock().expect("no holder panics");
        if let Some(scopes) = &mut all.scopes {
            scopes.insert(scope.map(str::to_owned), true);
        }
        let waiting = all.waiting.iter();
        let free = waiting.filter(|id| all.unseen(id).is_none());
        let free: Vec<StoreId> = free.cloned().collect();
        all.waiting.retain(|id| !free.contains(id));
        free
    }

    /// Says which PushSecrets have not been seen that may hold the store, if it has to wait for some.
    pub(crate) fn wait(&self, id: &StoreId) -> Option<String> {
        let mut all = self.0.lock().expect("no holder panics");
        let unseen = all.unseen(id)?;
        all.waiting.insert(id.clone());
        Some(unseen)
    }

    /// Forgets a store that is gone.
    pub(super) fn forget(&self, id: &StoreId) {
        let mut all = self.0.lock().expect("no holder panics");
        all.waiting.remove(id);
    }
}
