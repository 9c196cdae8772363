//! Which keys of stores the ExternalSecrets of the cluster have been made of.
//!
//! One secret that is gone from a vault is a deletion, and the policies of the objects that read it say what becomes of it.
//! Most of a vault gone at once is an accident: a wrong mount, an emptied test instance, a restored backup. This is what
//! tells them apart. Nothing here is a value.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use sealwright_resources::external_secret::StoreKind;

use crate::stores::StoreId;

/// A key of a store. Those that are claimed are the same two texts for all objects.
pub(crate) type StoreKey = (Arc<StoreId>, Arc<str>);

/// The keys of one store.
type KeysOfStore = HashMap<Arc<str>, Known>;

/// The keys that objects have been made of.
#[derive(Default)]
pub(crate) struct KnownKeys {
    stores: Mutex<HashMap<Arc<StoreId>, KeysOfStore>>,
}

/// What is known of a key.
struct Known {
    /// How many objects are made of it.
    objects: usize,
    /// It is gone from the store, and that was acted on.
    gone: bool,
    /// The namespace of the first of them.
    namespace: Arc<str>,
}

/// The keys that one object is made of; they are known as long as it lives.
pub(crate) struct Claim {
    known: Arc<KnownKeys>,
    keys: Box<[StoreKey]>,
}

impl KnownKeys {
    /// Takes note of the keys that an object is made of.
    pub(crate) fn claim(
        self: &Arc<Self>,
        namespace: &str,
        keys: Vec<(StoreId, String)>,
    ) -> Arc<Claim> {
        let namespace: Arc<str> = namespace.into();
        let mut stores = self.stores.lock().expect("no holder panics");
        let keys = keys.into_iter().map(|(store, key)| {
            let store = match stores.get_key_value(&store) {
                Some((store, _)) => Arc::clone(store),
                None => Arc::new(store),
            };
            let known = stores.entry(Arc::clone(&store)).or_default();
            let key = match known.get_key_value(key.as_str()) {
                Some((key, _)) => Arc::clone(key),
                None => key.into(),
            };
            let known = known.entry(Arc::clone(&key)).or_insert_with(|| Known {
                objects: 0,
                gone: false,
                namespace: Arc::clone(&namespace),
            });
            known.objects += 1;
            (store, key)
        });
        Arc::new(Claim {
            keys: keys.collect(),
            known: Arc::clone(self),
        })
    }

    /// Up to `most` keys of a store that should be there, any of them, and how many there are. Of a store that namespaces share,
    /// one of them has no more than an eighth of the sample: none can decide alone what is said of the store.
    pub(crate) fn sample(&self, store: &StoreId, most: usize) -> (Vec<String>, usize) {
        let share = match store.kind {
            StoreKind::ClusterSecretStore => most.div_ceil(8),
            StoreKind::SecretStore => most,
        };
        let stores = self.stores.lock().expect("no holder panics");
        let (mut sample, mut count) = (Vec::new(), 0);
        let mut shares: HashMap<&str, usize> = HashMap::new();
        // The order of a map is another one in each process.
        for (key, known) in stores.get(store).into_iter().flatten() {
            if known.gone {
                continue;
            }
            count += 1;
            let taken = shares.entry(&known.namespace).or_default();
            if sample.len() < most && *taken < share {
                *taken += 1;
                sample.push(key.to_string());
            }
        }
        (sample, count)
    }

    /// Returns true if a key should be there.
    pub(crate) fn is_known(&self, store: &StoreId, key: &str) -> bool {
        let stores = self.stores.lock().expect("no holder panics");
        let known = stores.get(store).and_then(|known| known.get(key));
        known.is_some_and(|known| !known.gone)
    }

    /// Takes note that a key is there, or that its absence was acted on.
    pub(crate) fn note(&self, store: &StoreId, key: &str, gone: bool) {
        let mut stores = self.stores.lock().expect("no holder panics");
        if let Some(known) = stores.get_mut(store).and_then(|known| known.get_mut(key)) {
            known.gone = gone;
        }
    }
}

impl Claim {
    /// The keys.
    pub(crate) fn keys(&self) -> &[StoreKey] {
        &self.keys
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut stores = self.known.stores.lock().expect("no holder panics");
        for (store, key) in &self.keys {
            let Some(known) = stores.get_mut(store) else {
                continue;
            };
            if let Some(counted) = known.get_mut(key) {
                counted.objects -= 1;
                if counted.objects == 0 {
                    known.remove(key);
                }
            }
            if known.is_empty() {
                stores.remove(store);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sealwright_resources::external_secret::StoreKind;

    use super::*;

    #[test]
    fn keys_are_known_as_long_as_an_object_is_made_of_them() {
        let known = Arc::new(KnownKeys::default());
        let store = StoreId {
            kind: StoreKind::SecretStore,
            namespace: "ns".to_owned(),
            name: "vault".to_owned(),
        };
        let keys = |names: &[&str]| -> Vec<(StoreId, String)> {
            let names = names.iter();
            names
                .map(|name| (store.clone(), (*name).to_owned()))
                .collect()
        };
        let one = known.claim("ns", keys(&["a", "b"]));
        let two = known.claim("ns", keys(&["b", "c"]));
        assert_eq!(known.sample(&store, 2).1, 3);
        assert_eq!(known.sample(&store, 2).0.len(), 2);
        known.note(&store, "c", true);
        assert!(!known.is_known(&store, "c"));
        assert_eq!(known.sample(&store, 9).1, 2);
        known.note(&store, "c", false);
        assert!(known.is_known(&store, "c"));
        drop(one);
        assert!(!known.is_known(&store, "a") && known.is_known(&store, "b"));
        drop(two);
        assert!(known.stores.lock().unwrap().is_empty());
    }

    #[test]
    fn no_namespace_decides_alone_about_a_store_that_others_share() {
        let known = Arc::new(KnownKeys::default());
        let store = StoreId {
            kind: StoreKind::ClusterSecretStore,
            namespace: String::new(),
            name: "vault".to_owned(),
        };
        let keys = |namespace: &str, count: usize| -> Vec<(StoreId, String)> {
            let keys = (0..count).map(|number| format!("{namespace}/{number}"));
            keys.map(|key| (store.clone(), key)).collect()
        };
        let greedy = known.claim("greedy", keys("greedy", 5000));
        let others: Vec<_> = (0..20)
            .map(|number| format!("other-{number}"))
            .map(|namespace| known.claim(&namespace, keys(&namespace, 10)))
            .collect();
        let (sample, count) = known.sample(&store, 64);
        assert_eq!((sample.len(), count), (64, 5200));
        let of_greedy = sample.iter().filter(|key| key.starts_with("greedy/"));
        assert!(of_greedy.count() <= 8);
        drop((greedy, others));
        assert!(known.stores.lock().unwrap().is_empty());
    }
}
