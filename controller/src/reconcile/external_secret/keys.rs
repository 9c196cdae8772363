//! The keys of stores that objects are made of, and what it means that they are gone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use sealwright_providers::fetch::Lane;
use sealwright_providers::outcome::Answer as Told;
use sealwright_providers::remote::RemoteRef;
use sealwright_resources::external_secret::data::{self, Answer, Query, Request, Source};
use sealwright_resources::external_secret::{ExternalSecret, hash, plan, status};

use super::ExternalSecrets;
use super::access::Access;
use super::bounds::{AT_ONCE, failed};
use crate::stores::StoreId;

/// How many keys of a store are asked for at most to find out whether it has lost most of them.
const SAMPLE: usize = 64;

/// Why nothing is deleted although a value is gone.
const MASS_DELETION: &str = "more than half of the known keys of the store are gone at once; nothing is deleted unless the \
    annotation sealwright.dev/allow-mass-deletion of the store is true";

impl ExternalSecrets {
    /// What is there is known to be there.
    pub(super) fn note_keys(
        &self,
        object: &ExternalSecret,
        requests: &[Request<'_>],
        answers: &[Answer],
    ) {
        for (request, answer) in requests.iter().zip(answers) {
            if matches!(answer, Answer::Value(_) | Answer::Values(_))
                && let Some((store, key)) = key_of(request, object.namespace())
            {
                self.known_keys.note(&store, key, false);
            }
        }
    }

    /// Takes absences for failures if most of what is known of their store is gone: then nothing is deleted.
    pub(super) async fn hold_mass_deletion(
        &self,
        object: &ExternalSecret,
        requests: &[Request<'_>],
        answers: &mut [Answer],
        stores: &HashMap<StoreId, Access>,
    ) {
        if self.rules.upstream_deletion {
            return;
        }
        let mut judged: HashMap<StoreId, bool> = HashMap::new();
        for (request, answer) in requests.iter().zip(answers) {
            if !matches!(answer, Answer::Absent) {
                continue;
            }
            let Some((store, key)) = key_of(request, object.namespace()) else {
                continue;
            };
            if !self.known_keys.is_known(&store, key) {
                continue;
            }
            let held = match judged.get(&store) {
                Some(held) => *held,
                None => {
                    let held = match stores.get(&store) {
                        Some(Ok(lane)) => self.is_mostly_gone(&store, lane).await,
                        _ => false,
                    };
                    judged.insert(store.clone(), held);
                    held
                }
            };
            match held {
                true => *answer = failed(MASS_DELETION, true),
                false => self.known_keys.note(&store, key, true),
            }
        }
    }

    /// Asks a store for keys that it had, and returns true if more than half of them are gone, or if that cannot be told.
    async fn is_mostly_gone(&self, id: &StoreId, lane: &Arc<Lane>) -> bool {
        let allowed = self.stores.get(id);
        if allowed.is_some_and(|store| store.allows_mass_deletion) {
            return false;
        }
        let (sample, known) = self.known_keys.sample(id, SAMPLE);
        if known < plan::FEW_KEYS {
            return false;
        }
        let mut asked = Vec::with_capacity(sample.len());
        for key in &sample {
            let at = RemoteRef::new(key.as_str());
            let asking = async move {
                let told = lane.get(&at, Duration::from_secs(10)).await;
                told.map(|told| matches!(told, Told::Absent(_)))
            };
            asked.push(asking.boxed());
        }
        let answers: Vec<_> = stream::iter(asked).buffered(AT_ONCE).collect().await;
        let mut gone = 0;
        for answer in answers {
            match answer {
                Ok(is_absent) => gone += usize::from(is_absent),
                Err(error) if error.trouble().is_passing() => return true,
                Err(_) => {}
            }
        }
        let held = 2 * gone > sample.len();
        if held {
            tracing::error!(
                store = %id.name,
                namespace = %id.namespace,
                gone,
                asked = sample.len(),
                "most of what was known of the store is gone; nothing is deleted"
            );
        }
        held
    }
}

/// The key of a store that a request reads.
fn key_of<'a>(request: &Request<'a>, namespace: &str) -> Option<(StoreId, &'a str)> {
    let Source::Store(reference) = request.source else {
        return None;
    };
    match request.query {
        Query::Value(remote) | Query::Map(remote) => {
            Some((StoreId::of(reference, namespace), remote.key.as_str()))
        }
        Query::Find(_) | Query::Generate => None,
    }
}

/// The keys of stores that an object is made of; `None` if it has not been made as it is now, which says nothing about its keys.
pub(super) fn keys_of(object: &ExternalSecret) -> Option<Vec<(StoreId, String)>> {
    let status = object.status.as_ref();
    let made = status.and_then(|status| {
        let ready = status::condition(&status.conditions, status::READY);
        let reason = ready.and_then(|ready| ready.reason.as_deref());
        let version = status.synced_resource_version.as_deref();
        version.filter(|_| reason != Some(status::SECRET_DELETED))
    });
    let Some(made) = made else {
        return Some(Vec::new());
    };
    if made != hash::synced_version(&object.metadata) {
        return None;
    }
    let requests = data::requests(&object.spec);
    let mut keys: Vec<_> = requests
        .iter()
        .filter_map(|request| key_of(request, object.namespace()))
        .map(|(store, key)| (store, key.to_owned()))
        .collect();
    let mut seen = HashSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    Some(keys)
}

#[cfg(test)]
mod tests {
    use sealwright_resources::external_secret::{API_VERSION, KIND};
    use serde_json::json;

    use super::*;

    #[test]
    fn an_edited_object_says_nothing_of_keys_before_it_is_made_again() {
        let mut object: ExternalSecret = serde_json::from_value(json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": "a", "namespace": "ns", "generation": 1},
            "spec": {
                "secretStoreRef": {"name": "vault"},
                "data": [{"secretKey": "k", "remoteRef": {"key": "real"}}],
            },
        }))
        .unwrap();
        assert_eq!(keys_of(&object).map(|keys| keys.len()), Some(0));
        let version = hash::synced_version(&object.metadata);
        object.status = serde_json::from_value(json!({"syncedResourceVersion": version})).unwrap();
        assert_eq!(keys_of(&object).unwrap()[0].1, "real");
        object.spec.data[0].remote_ref.key = "made up".to_owned();
        object.metadata.generation = Some(2);
        assert!(keys_of(&object).is_none());
    }
}
