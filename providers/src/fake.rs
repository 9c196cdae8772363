//! The store whose values stand in its manifest.
//!
//! What is pushed lives in the memory of the process, by the kind, the namespace and the name of the store. Upstream goes by the
//! name alone, which hands one namespace what another has pushed.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use sealwright_crypto::secret::SecretBytes;

use crate::credential::{Scope, StoreKind};
use crate::json;
use crate::outcome::{Absent, Answer, Outcome, Proof, StoreError, Trouble, shown};
use crate::remote::{Find, PushItem, PushSource, RemoteRef, SecretMap};
use crate::settings::fake::FakeSettings;
use crate::store::{
    Capabilities, Content, Deleted, Match, Payload, Pushed, ReadKey, Store, Validation, WriteMode,
};

/// A store whose values stand in its manifest.
pub struct FakeStore {
    name: String,
    /// By key and version, written one behind the other; the second is the version, which must agree (upstream).
    values: BTreeMap<String, (String, SecretBytes)>,
    validation: i32,
    id: StoreId,
}

/// The kind, the namespace and the name of a store.
type StoreId = (StoreKind, String, String);

/// What was pushed to all stores.
#[derive(Default)]
struct Memory {
    stores: BTreeMap<StoreId, SecretMap>,
    bytes: usize,
}

static PUSHED: Mutex<Memory> = Mutex::new(Memory {
    stores: BTreeMap::new(),
    bytes: 0,
});

/// As many bytes may be pushed to one store, and to all.
const MOST_OF_STORE: usize = 1 << 20;
const MOST_OF_ALL: usize = 16 << 20;
/// What an entry takes beside its key and its value.
const ENTRY: usize = 128;

impl Memory {
    /// Keeps a value; false if there is no room for it.
    fn keep(&mut self, id: &StoreId, key: &str, value: SecretBytes) -> bool {
        let size = |key: &str, value: &SecretBytes| key.len() + value.len() + ENTRY;
        let store = self.stores.get(id);
        let own: usize = store
            .into_iter()
            .flatten()
            .map(|(key, value)| size(key, value))
            .sum();
        let before = store.and_then(|store| store.get(key));
        let before = before.map_or(0, |before| size(key, before));
        let grows = size(key, &value);
        if own - before + grows > MOST_OF_STORE || self.bytes - before + grows > MOST_OF_ALL {
            return false;
        }
        self.bytes = self.bytes - before + grows;
        let store = self.stores.entry(id.clone()).or_default();
        store.insert(key.to_owned(), value);
        true
    }
}

fn pushed() -> MutexGuard<'static, Memory> {
    PUSHED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeStore {
    /// Makes the store.
    pub fn new(settings: &FakeSettings, scope: &Scope) -> Self {
        let values = settings.data.iter().map(|value| {
            let version = value.version.clone().unwrap_or_default();
            (
                format!("{}{version}", value.key),
                (version, SecretBytes::copy_of(value.value.as_bytes())),
            )
        });
        let namespace = scope.store_namespace.clone();
        Self {
            name: format!("fake store {:?}", shown(&scope.name)),
            values: values.collect(),
            validation: settings.validation_result.unwrap_or_default(),
            id: (scope.kind, namespace, scope.name.clone()),
        }
    }

    fn look_up(&self, key: &str, version: &str) -> Option<SecretBytes> {
        if let Some((stored, value)) = self.values.get(&format!("{key}{version}")) {
            return (stored == version).then(|| SecretBytes::copy_of(value.expose()));
        }
        if !version.is_empty() {
            return None;
        }
        let memory = pushed();
        let value = memory.stores.get(&self.id)?.get(key)?;
        Some(SecretBytes::copy_of(value.expose()))
    }
}

impl Store for FakeStore {
    fn describe(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ReadWrite
    }

    fn locate(&self, at: &RemoteRef) -> Result<ReadKey, StoreError> {
        Ok(ReadKey::value(at.key.clone(), at.wanted_version()))
    }

    fn read<'a>(&'a self, key: &'a ReadKey) -> BoxFuture<'a, Outcome<Payload>> {
        let version = key.version.as_deref().unwrap_or_default();
        let answer = match self.look_up(&key.key, version) {
            Some(value) => Answer::Found(Payload::whole(value)),
            None => Answer::Absent(Absent::proved(Proof::NoSuchKey)),
        };
        Box::pin(async move { Ok(answer) })
    }

    fn value(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretBytes> {
        let Some(property) = at.wanted_property() else {
            return Ok(Answer::Found(SecretBytes::copy_of(payload.bytes())));
        };
        Ok(match json::path::get(payload.bytes(), property) {
            Some(found) => Answer::Found(found.text()),
            None => Answer::Absent(Absent::proved(Proof::NoSuchProperty)),
        })
    }

    fn map(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretMap> {
        match self.value(at, payload)? {
            Answer::Absent(absent) => Ok(Answer::Absent(absent)),
            Answer::Found(value) => json::object_values(value.expose())
                .map(Answer::Found)
                .map_err(|error| error.at_store(&self.name)),
        }
    }

    fn list<'a>(&'a self, what: &'a Find) -> BoxFuture<'a, Outcome<Vec<Match>>> {
        Box::pin(async move {
            let Some(pattern) = &what.name else {
                return Err(StoreError::new(
                    Trouble::Unsupported,
                    "the fake store finds by `name` only",
                )
                .public()
                .at_store(&self.name));
            };
            // Of each key the version that comes last in the order of texts (upstream).
            let mut newest: BTreeMap<&str, (&str, &SecretBytes)> = BTreeMap::new();
            for (joined, (version, value)) in &self.values {
                let key = &joined[..joined.len() - version.len()];
                if !pattern.matches(key) {
                    continue;
                }
                let entry = newest.entry(key).or_insert((version, value));
                if version.as_str() > entry.0 {
                    *entry = (version, value);
                }
            }
            let mut matches: Vec<Match> = Vec::new();
            for (key, (_, value)) in newest {
                matches.push(Match {
                    name: what.conversion.convert(key),
                    content: Content::Here(SecretBytes::copy_of(value.expose())),
                });
            }
            let memory = pushed();
            let pushed = memory.stores.get(&self.id).into_iter().flatten();
            for (key, value) in pushed.filter(|(key, _)| pattern.matches(key)) {
                matches.push(Match {
                    name: what.conversion.convert(key),
                    content: Content::Here(SecretBytes::copy_of(value.expose())),
                });
            }
            Ok(Answer::Found(matches))
        })
    }

    fn push<'a>(
        &'a self,
        source: &'a PushSource,
        item: &'a PushItem,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Pushed, StoreError>> {
        Box::pin(async move {
            let key = &item.remote_key;
            if self.values.contains_key(key) {
                return Err(StoreError::new(
                    Trouble::Conflict,
                    "key already exists in the manifest",
                )
                .public()
                .at_store(&self.name));
            }
            // Of a whole Secret upstream stores the value of the empty key, which is none.
            let is_whole = item.secret_key.as_deref().is_none_or(str::is_empty);
            let value = match is_whole {
                true => SecretBytes::default(),
                false => source.value(item)?,
            };
            let mut memory = pushed();
            let before = memory.stores.get(&self.id).and_then(|store| store.get(key));
            let done = match before {
                None => Pushed::Created,
                Some(before) if *before == value => Pushed::Unchanged,
                Some(_) => Pushed::Updated,
            };
            if mode == WriteMode::Apply && !memory.keep(&self.id, key, value) {
                let text = "more is pushed to it than it can remember";
                return Err(StoreError::new(Trouble::TooLarge, text)
                    .public()
                    .at_store(&self.name));
            }
            Ok(done)
        })
    }

    fn delete<'a>(
        &'a self,
        _: &'a PushItem,
        _: WriteMode,
    ) -> BoxFuture<'a, Result<Deleted, StoreError>> {
        // Upstream does nothing.
        Box::pin(async { Ok(Deleted::Nothing) })
    }

    fn exists<'a>(&'a self, item: &'a PushItem) -> BoxFuture<'a, Result<bool, StoreError>> {
        let there = self.look_up(&item.remote_key, "").is_some();
        Box::pin(async move { Ok(there) })
    }

    fn validate(&self) -> BoxFuture<'_, Result<Validation, StoreError>> {
        let result = match self.validation {
            0 => Ok(Validation::Ready),
            1 => Ok(Validation::Unknown),
            _ => Err(StoreError::invalid("the manifest asks for this error")
                .public()
                .at_store(&self.name)),
        };
        Box::pin(async move { result })
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::remote::NamePattern;

    fn store(name: &str, text: &str) -> FakeStore {
        let settings: FakeSettings = serde_json::from_str(text).unwrap();
        let scope = Scope {
            name: name.into(),
            ..Scope::default()
        };
        FakeStore::new(&settings, &scope)
    }

    const DATA: &str = r#"{"data": [{"key": "a/b", "value": "1"}, {"key": "a/b", "value": "2", "version": "v2"},
        {"key": "j", "value": "{\"x\": {\"y\": \"z\"}, \"n\": 1e3}"}]}"#;

    fn get(store: &FakeStore, at: &RemoteRef) -> Option<Vec<u8>> {
        let found = block_on(store.get(at)).unwrap().found();
        found.map(|value| value.expose().to_vec())
    }

    #[test]
    fn values_have_versions_and_properties() {
        let store = store("values", DATA);
        assert_eq!(get(&store, &RemoteRef::new("a/b")).unwrap(), b"1");
        assert_eq!(
            get(&store, &RemoteRef::new("a/b").version("v2")).unwrap(),
            b"2"
        );
        assert_eq!(get(&store, &RemoteRef::new("a/b").version("v3")), None);
        // The version stands behind the key: the joined text is no key by itself.
        assert_eq!(get(&store, &RemoteRef::new("a/bv2")), None);
        assert_eq!(
            get(&store, &RemoteRef::new("j").property("x.y")).unwrap(),
            b"z"
        );
        assert_eq!(get(&store, &RemoteRef::new("j").property("x.q")), None);
        let map = block_on(store.get_map(&RemoteRef::new("j"))).unwrap();
        let map = map.found().unwrap();
        assert_eq!(map["n"].expose(), b"1e3");
        assert_eq!(map["x"].expose(), br#"{"y": "z"}"#);
    }

    #[test]
    fn find_converts_names_and_takes_the_newest() {
        let store = store("find", DATA);
        let find = Find {
            name: Some(NamePattern::new("^a").unwrap()),
            ..Find::default()
        };
        let found = block_on(store.find(&find)).unwrap().found().unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found["a_b"].expose(), b"2");
    }

    #[test]
    fn pushed_values_live_as_long_as_the_process() {
        let first = store("pushed", DATA);
        let source = PushSource {
            data: SecretMap::from([("k".to_owned(), SecretBytes::copy_of(b"v"))]),
            ..PushSource::default()
        };
        let item = PushItem {
            secret_key: Some("k".into()),
            remote_key: "new".into(),
            ..PushItem::default()
        };
        let push = |mode| block_on(first.push(&source, &item, mode));
        assert_eq!(push(WriteMode::DryRun).unwrap(), Pushed::Created);
        assert_eq!(push(WriteMode::Apply).unwrap(), Pushed::Created);
        assert_eq!(push(WriteMode::Apply).unwrap(), Pushed::Unchanged);
        let second = store("pushed", DATA);
        assert_eq!(get(&second, &RemoteRef::new("new")).unwrap(), b"v");
        assert!(block_on(second.exists(&item)).unwrap());
        let taken = PushItem {
            remote_key: "a/b".into(),
            ..item.clone()
        };
        let error = block_on(second.push(&source, &taken, WriteMode::Apply)).unwrap_err();
        assert_eq!(error.trouble(), Trouble::Conflict);
        let elsewhere = store("elsewhere", DATA);
        assert_eq!(get(&elsewhere, &RemoteRef::new("new")), None);
    }

    #[test]
    fn what_is_pushed_has_a_limit_and_is_seen_by_its_own_store_only() {
        let store = store("limit", DATA);
        let source = PushSource {
            data: SecretMap::from([("k".to_owned(), SecretBytes::copy_of(&[b'v'; 300 << 10]))]),
            ..PushSource::default()
        };
        let item = |key: &str, secret_key: Option<&str>| PushItem {
            secret_key: secret_key.map(str::to_owned),
            remote_key: key.into(),
            ..PushItem::default()
        };
        let push =
            |key: &str| block_on(store.push(&source, &item(key, Some("k")), WriteMode::Apply));
        for key in ["a", "b", "c", "a", "b"] {
            push(key).unwrap();
        }
        assert_eq!(push("d").unwrap_err().trouble(), Trouble::TooLarge);
        assert_eq!(get(&store, &RemoteRef::new("d")), None);
        // The same name in another namespace is another store.
        let scope = Scope {
            name: "limit".into(),
            store_namespace: "other".into(),
            ..Scope::default()
        };
        let settings = serde_json::from_str(DATA).unwrap();
        let other = FakeStore::new(&settings, &scope);
        assert_eq!(get(&other, &RemoteRef::new("a")), None);
        // A whole Secret has no key, and so no value.
        let whole = item("whole", None);
        block_on(other.push(&source, &whole, WriteMode::Apply)).unwrap();
        assert_eq!(get(&other, &RemoteRef::new("whole")).unwrap(), b"");
    }

    #[test]
    fn validation_answers_what_the_manifest_says() {
        let answer = |number| {
            let text = format!(r#"{{"data": [], "validationResult": {number}}}"#);
            block_on(store("validation", &text).validate())
        };
        assert_eq!(answer(0).unwrap(), Validation::Ready);
        assert_eq!(answer(1).unwrap(), Validation::Unknown);
        assert!(answer(2).is_err());
    }
}
