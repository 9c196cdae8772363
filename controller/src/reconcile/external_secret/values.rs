//! The values of an ExternalSecret, read from its stores and generators.

use std::collections::hash_map::Entry as Place;
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use sealwright_providers::fetch::Lane;
use sealwright_providers::outcome::{Answer as Told, StoreError};
use sealwright_providers::remote::RemoteRef;
use sealwright_resources::external_secret::access::{self, NamespaceSeen, StoreSeen};
use sealwright_resources::external_secret::data::{
    self, Answer, Assembled, DataError, DataProblem, Entry, Failure, Query, Request, Source,
};
use sealwright_resources::external_secret::{
    API_VERSION, DeletionPolicy, ExternalSecret, GeneratorRef, KIND, StoreKind, StoreRef, hash,
    plan, status,
};
use sealwright_template::Budget;
use tokio::time::Instant;

use super::ExternalSecrets;
use crate::action;
use crate::generators::{Asker, Left};
use crate::stores::StoreId;

/// A store that may be read from, or why it may not.
type Access = Result<Arc<Lane>, Closed>;

/// Why a store may not be read from.
struct Closed {
    failure: Failure,
    /// It does not answer: one sign of life is worth a retry.
    silent: bool,
}

impl From<Failure> for Closed {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            silent: false,
        }
    }
}

/// How many keys of a store are asked for at most to find out whether it has lost most of them.
const SAMPLE: usize = 64;

/// Why nothing is deleted although a value is gone.
const MASS_DELETION: &str = "more than half of the known keys of the store are gone at once; nothing is deleted unless the \
    annotation sealwright.dev/allow-mass-deletion of the store is true";

/// What came back, and what it left behind.
struct Asked {
    answer: Answer,
    left: Option<Left>,
}

impl From<Answer> for Asked {
    fn from(answer: Answer) -> Self {
        Self { answer, left: None }
    }
}

/// What the stores and generators of an object gave.
struct Gathered {
    answers: Vec<Answer>,
    left: Vec<Option<Left>>,
    /// A store that does not answer.
    silent: Option<StoreId>,
    /// Stores that have answered.
    answered: Vec<StoreId>,
}

impl Gathered {
    /// A store has fallen silent before everything was there.
    fn nothing(requests: &[Request<'_>], silent: StoreId) -> Self {
        Self {
            answers: requests.iter().map(|_| failed(SILENT, false)).collect(),
            left: requests.iter().map(|_| None).collect(),
            silent: Some(silent),
            answered: Vec::new(),
        }
    }
}

/// Why nothing was read.
const SILENT: &str = "the store does not answer";
const TOO_LARGE: &str = "the values are together larger than a Secret can be";

/// How many entries of one object are read at a time.
const AT_ONCE: usize = 32;
/// How many bytes the values of one object may have together: a Secret has at most 1 MiB, but a rewrite may leave some out.
const MOST_BYTES: usize = 4 << 20;

/// How many bytes the values of all objects may have that are read at the same time.
const MOST_HELD: usize = 24 << 20;
/// An object with no more than this gets its values all the same.
const FEW_BYTES: usize = 256 << 10;

/// The bytes of the values of all objects that are being read.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// The bytes of the values that one object has been given, until it is done.
#[derive(Default)]
struct Held(AtomicUsize);

impl Held {
    /// Returns true if the object can be given no more.
    fn is_full(&self) -> bool {
        self.0.load(Ordering::Relaxed) > MOST_BYTES
    }

    /// Counts the bytes of an answer; one that is beyond a limit is not kept.
    fn keep(&self, answer: Answer) -> Answer {
        let size = match &answer {
            Answer::Value(value) => value.len(),
            Answer::Values(values) => values
                .iter()
                .map(|(key, value)| key.len() + value.len())
                .sum(),
            _ => 0,
        };
        let own = self.0.fetch_add(size, Ordering::Relaxed) + size;
        let all = HELD.fetch_add(size, Ordering::Relaxed) + size;
        if own > MOST_BYTES {
            failed(TOO_LARGE, true)
        } else if own > FEW_BYTES && all > MOST_HELD {
            let text =
                "too many large values are being read at the moment, they are read again later";
            failed(text, true)
        } else {
            answer
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.fetch_sub(*self.0.get_mut(), Ordering::Relaxed);
    }
}

impl ExternalSecrets {
    /// Reads everything that the object asks for, and makes its data out of it; names a store that does not answer. Answers no
    /// older than `max_age` will do.
    pub(super) async fn read_values(
        &self,
        object: &ExternalSecret,
        max_age: Duration,
        budget: &Budget,
    ) -> (Assembled, Option<StoreId>) {
        let requests = data::requests(&object.spec);
        let held = Held::default();
        let gathered = self.patiently(object, self.gather(object, &requests, max_age, &held));
        let Gathered {
            answers,
            left,
            silent,
            answered,
        } = gathered
            .await
            .unwrap_or_else(|silent| Gathered::nothing(&requests, silent));
        self.note_silence(object, silent.as_ref(), &answered);
        let entries = requests.iter().map(|request| request.entry).zip(left);
        let entries: Vec<(String, Option<Left>)> = entries
            .filter_map(|(entry, left)| match entry {
                Entry::DataFrom(index) => Some((index.to_string(), left)),
                Entry::Data(_) => None,
            })
            .collect();
        let assemble = || data::assemble(&object.spec, answers, budget);
        let plain = object
            .spec
            .data_from
            .iter()
            .all(|entry| entry.rewrite.is_empty());
        let assembled = self.frame.shared.render(plain, assemble).await;
        (self.settle(object, assembled, entries).await, silent)
    }

    /// Asks for everything.
    async fn gather(
        &self,
        object: &ExternalSecret,
        requests: &[Request<'_>],
        max_age: Duration,
        held: &Held,
    ) -> Gathered {
        let mut stores = HashMap::new();
        for request in requests {
            if let Source::Store(reference) = request.source {
                let id = StoreId::of(reference, object.namespace());
                if let Place::Vacant(vacant) = stores.entry(id) {
                    vacant.insert(self.access(object, reference).await);
                }
            }
        }
        let ask = async |request| {
            if held.is_full() {
                return failed(TOO_LARGE, true).into();
            }
            let asked = self.ask(object, request, &stores, max_age).await;
            // Counted as they come: those that are finished may wait long for the first.
            Asked {
                answer: held.keep(asked.answer),
                ..asked
            }
        };
        let mut asked: Vec<Asked> = Vec::new();
        // A question takes far more memory than the entry that asks it, and there may be ten thousands of those.
        for some in requests.chunks(4 * AT_ONCE) {
            let mut asking = Vec::with_capacity(some.len());
            for request in some {
                asking.push(ask(request).boxed());
            }
            let mut asking = stream::iter(asking).buffered(AT_ONCE);
            while let Some(answer) = asking.next().await {
                // Paths into answers take processor time, and other tasks want some too.
                tokio::task::yield_now().await;
                asked.push(answer);
            }
        }
        let (mut answers, mut left): (Vec<Answer>, Vec<Option<Left>>) = asked
            .into_iter()
            .map(|asked| (asked.answer, asked.left))
            .unzip();
        // What is about to be taken away was looked for once; absence has to be proved again.
        if object.spec.target.deletion_policy != DeletionPolicy::Retain {
            let parts = requests.iter().zip(&mut answers).zip(&mut left);
            for ((request, answer), left) in parts {
                if matches!(answer, Answer::Absent) {
                    let asked = self.ask(object, request, &stores, Duration::ZERO).await;
                    (*answer, *left) = (asked.answer, asked.left);
                }
            }
        }
        self.note_keys(object, requests, &answers);
        self.hold_mass_deletion(object, requests, &mut answers, &stores)
            .await;
        let (mut silent, mut answered) = (None, Vec::new());
        for (request, answer) in requests.iter().zip(&answers) {
            let Source::Store(reference) = request.source else {
                continue;
            };
            let id = StoreId::of(reference, object.namespace());
            // A store that was opened and does not answer, or that cannot be opened because it does not.
            match (stores.get(&id), answer) {
                (Some(Ok(_)), Answer::Failed(failure)) if !failure.definite => silent = Some(id),
                (Some(Ok(_)), _) => answered.push(id),
                (Some(Err(Closed { silent: true, .. })), _) => silent = Some(id),
                _ => {}
            }
        }
        Gathered {
            answers,
            left,
            silent,
            answered,
        }
    }

    /// Records what generators left on servers, or takes it back if the data could not be made.
    async fn settle(
        &self,
        object: &ExternalSecret,
        mut assembled: Assembled,
        entries: Vec<(String, Option<Left>)>,
    ) -> Assembled {
        if !self.generators.keeps_state() || entries.is_empty() {
            return assembled;
        }
        let asker = Asker {
            api_version: API_VERSION,
            kind: KIND,
            metadata: &object.metadata,
        };
        let failed = match &assembled.values {
            Ok(_) => false,
            Err(error) => error.problem != DataProblem::Absent,
        };
        if failed {
            self.generators.roll_back(&asker, entries).await;
            return assembled;
        }
        if let Err(error) = self.generators.commit(&asker, entries).await {
            let text = format!(
                "the state of a generator cannot be recorded: {}",
                error.category()
            );
            assembled.values = Err(DataError {
                entry: Entry::DataFrom(0),
                key: None,
                problem: DataProblem::Public {
                    text,
                    definite: false,
                },
            });
        }
        assembled
    }

    /// What is there is known to be there.
    fn note_keys(&self, object: &ExternalSecret, requests: &[Request<'_>], answers: &[Answer]) {
        for (request, answer) in requests.iter().zip(answers) {
            if matches!(answer, Answer::Value(_) | Answer::Values(_))
                && let Some((store, key)) = key_of(request, object.namespace())
            {
                self.known_keys.note(&store, key, false);
            }
        }
    }

    /// Takes absences for failures if most of what is known of their store is gone: then nothing is deleted.
    async fn hold_mass_deletion(
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

    async fn ask(
        &self,
        object: &ExternalSecret,
        request: &Request<'_>,
        stores: &HashMap<StoreId, Access>,
        max_age: Duration,
    ) -> Asked {
        match request.source {
            Source::Generator(reference) => self.ask_generator(object, request, reference).await,
            Source::Store(reference) => {
                let asked = self.ask_store(object, request, reference, stores, max_age);
                asked.await.into()
            }
            Source::Missing => failed("no store is named", false).into(),
        }
    }

    async fn ask_generator(
        &self,
        object: &ExternalSecret,
        request: &Request<'_>,
        reference: &GeneratorRef,
    ) -> Asked {
        let made = self.generators.generate(reference, object.namespace());
        match made.await {
            Ok(Told::Found(made)) => Asked {
                answer: Answer::Values(made.values),
                left: made.left,
            },
            Ok(Told::Absent(_)) => Answer::Absent.into(),
            Err(error) => self.unread_value(object, request, &error).into(),
        }
    }

    async fn ask_store(
        &self,
        object: &ExternalSecret,
        request: &Request<'_>,
        reference: &StoreRef,
        stores: &HashMap<StoreId, Access>,
        max_age: Duration,
    ) -> Answer {
        let namespace = object.namespace();
        let lane = match stores.get(&StoreId::of(reference, namespace)) {
            Some(Ok(lane)) => lane,
            Some(Err(closed)) => return Answer::Failed(closed.failure.clone()),
            None => return failed("no store is named", false),
        };
        let values = match request.query {
            Query::Value(remote) => {
                return match lane.get(&remote.asked_by(namespace), max_age).await {
                    Ok(Told::Found(value)) => Answer::Value(value),
                    Ok(Told::Absent(_)) => Answer::Absent,
                    Err(error) => self.unread_value(object, request, &error),
                };
            }
            Query::Map(remote) => lane.get_map(&remote.asked_by(namespace), max_age).await,
            Query::Find(find) => match find.asked() {
                Ok(find) => lane.find(&find, max_age).await,
                Err(error) => Err(error),
            },
            Query::Generate => return failed("a store generates nothing", true),
        };
        match values {
            Ok(Told::Found(values)) => Answer::Values(values),
            Ok(Told::Absent(_)) => Answer::Absent,
            Err(error) => self.unread_value(object, request, &error),
        }
    }

    fn unread_value(
        &self,
        object: &ExternalSecret,
        request: &Request<'_>,
        error: &StoreError,
    ) -> Answer {
        tracing::warn!(
            namespace = object.namespace(),
            name = object.name(),
            entry = ?request.entry,
            error = %error,
            "cannot read a value"
        );
        Answer::Failed(Failure {
            public: error.public_detail().map(str::to_owned),
            definite: !error.trouble().is_passing(),
        })
    }

    /// Opens a store, if objects of the namespace may use it.
    async fn access(&self, object: &ExternalSecret, reference: &StoreRef) -> Access {
        let refused = |why: &dyn Display| Failure {
            public: Some(format!(
                "{} {:?}: {why}",
                reference.kind().as_str(),
                reference.name()
            )),
            definite: false,
        };
        let id = StoreId::of(reference, object.namespace());
        if !self.outages.admits(&id, Instant::now()) {
            return Err(Closed {
                failure: Failure {
                    public: Some(SILENT.to_owned()),
                    definite: false,
                },
                silent: true,
            });
        }
        let store = self.stores.find(&id).await;
        let store = store
            .map_err(|error| refused(&format_args!("it cannot be read: {}", error.category())))?
            .ok_or_else(|| refused(&access::AccessError::Missing(reference.kind().as_str())))?;
        let mut labels = None;
        if id.kind == StoreKind::ClusterSecretStore && !store.spec.conditions.is_empty() {
            let path = action::namespace(object.namespace());
            let metadata = self.api().get_metadata(&path).await;
            let metadata = metadata.and_then(|answer| action::metadata_of(&answer));
            let metadata = metadata.map_err(|error| Failure {
                public: Some(format!(
                    "the namespace cannot be read: {}",
                    error.category()
                )),
                definite: false,
            })?;
            labels = metadata.labels;
        }
        let seen = StoreSeen {
            kind: id.kind,
            spec: &store.spec,
            conditions: &store.status.conditions,
        };
        let namespace = NamespaceSeen {
            name: object.namespace(),
            labels: labels.as_ref(),
        };
        let rules = access::Rules {
            class: &self.rules.class,
            flood_gate: self.rules.flood_gate,
        };
        access::check(&seen, &namespace, &rules).map_err(|error| refused(&error))?;
        let config = store.spec.provider.config().map_err(|_| Failure {
            public: Some("the settings of the store's provider cannot be read".to_owned()),
            definite: false,
        })?;
        let opened = self
            .stores
            .open(&id, &store, &config, Some(object.namespace()))
            .await;
        opened.map_err(|error| {
            tracing::warn!(
                namespace = object.namespace(),
                name = object.name(),
                store = %id.name,
                error = %error,
                "cannot open the store"
            );
            Closed {
                failure: Failure {
                    public: error.public_detail().map(str::to_owned),
                    definite: false,
                },
                silent: error.trouble().is_passing(),
            }
        })
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

fn failed(text: &str, definite: bool) -> Answer {
    Answer::Failed(Failure {
        public: Some(text.to_owned()),
        definite,
    })
}

#[cfg(test)]
mod tests {
    use sealwright_crypto::secret::SecretBytes;
    use serde_json::json;

    use super::*;

    fn value(bytes: usize) -> Answer {
        Answer::Value(SecretBytes::copy_of(&vec![b'v'; bytes]))
    }

    #[test]
    fn values_are_counted_for_each_object_and_for_all() {
        let is_kept = |answer: &Answer| matches!(answer, Answer::Value(_));
        let greedy: Vec<Held> = (0..10).map(|_| Held::default()).collect();
        let kept = greedy
            .iter()
            .filter(|held| is_kept(&held.keep(value(3 << 20))));
        let kept = kept.count();
        assert!((1..=8).contains(&kept), "{kept}");
        // An object with little is not held up by them.
        let modest = Held::default();
        assert!(is_kept(&modest.keep(value(100 << 10))));
        drop(greedy);
        let next = Held::default();
        assert!(is_kept(&next.keep(value(3 << 20))));
        assert!(!next.is_full() && !is_kept(&next.keep(value(2 << 20))));
        assert!(next.is_full());
    }

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
