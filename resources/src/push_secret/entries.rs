//! What a PushSecret pushes: the entries of its `data`, and those that its `dataTo` stands for.

use std::collections::{BTreeMap, BTreeSet};

use sealwright_template::Budget;
use thiserror::Error;

use super::{
    PushConversionStrategy, PushData, PushDataTo, PushMatch, PushRemoteRef, PushSecretSpec,
    PushStoreRef,
};
use crate::external_secret::StoreKind;
use crate::external_secret::keys::reverse_unicode;
use crate::external_secret::rewrite::{Rewrite, RewriteError, go_regexp, rename};
use crate::external_secret::values::Values;
use crate::label_selector;

/// One thing to push: the entry as the status records it, and the keys of the Secret that it is limited to.
#[derive(Debug, Clone, PartialEq)]
pub struct PushEntry {
    /// The entry.
    pub data: PushData,
    /// The keys of the Secret that a whole value is made of, by the names that they have in it; none means all.
    pub keys: Option<BTreeMap<String, String>>,
}

impl PushEntry {
    /// The keys of the Secret that may be pushed, by the names under which the entry sees them.
    ///
    /// # Errors
    ///
    /// Says that the key of the entry does not exist, or that a conversion makes two keys the same.
    pub fn visible_keys(&self, values: &Values) -> Result<BTreeMap<String, String>, EntryError> {
        let strategy = self.data.conversion_strategy;
        let keys = match &self.keys {
            Some(keys) => keys
                .iter()
                .map(|(name, original)| (name.as_str(), original.as_str()))
                .collect(),
            None => plain_keys(values),
        };
        let keys = converted(keys, strategy).ok_or(EntryError::Collision)?;
        let wanted = self.data.matching.secret_key.as_deref();
        match wanted.filter(|key| !key.is_empty() && !keys.contains_key(*key)) {
            Some(key) => Err(EntryError::NoKey(key.to_owned())),
            None => Ok(keys),
        }
    }
}

/// A PushSecret that cannot be pushed as it stands. The text is public.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EntryError {
    /// A store of `dataTo` is not one of the PushSecret.
    #[error("dataTo[{0}]: the store is none of secretStoreRefs")]
    ForeignStore(usize),
    /// A selector of `dataTo` matches none of the stores.
    #[error("dataTo[{0}]: the labelSelector matches no store")]
    NoStore(usize),
    /// The regular expression is none.
    #[error("dataTo[{0}]: the regular expression of match is not valid")]
    Regexp(usize),
    /// It stands for more than there may be.
    #[error("dataTo[{0}] exceeds the budget of time and memory")]
    Budget(usize),
    /// A key cannot be rewritten.
    #[error("dataTo[{0}]: {1}")]
    Rewrite(usize, RewriteError),
    /// A rewrite leaves nothing of a key.
    #[error("dataTo[{0}]: a rewritten key is empty")]
    EmptyKey(usize),
    /// Two keys of the Secret become the same for an entry of `dataTo`.
    #[error("dataTo[{0}]: two keys are the same after their conversion")]
    Conversion(usize),
    /// Two keys of the Secret become the same for an entry of `data`.
    #[error("two keys are the same after their conversion")]
    Collision,
    /// Two values go to one place.
    #[error("two entries have the same remoteKey and property")]
    Duplicate,
    /// The Secret has no such key.
    #[error("secret key {0} does not exist")]
    NoKey(String),
}

/// A store that values are pushed to.
#[derive(Debug, Clone, Copy)]
pub struct PushStore<'a> {
    /// Its kind.
    pub kind: StoreKind,
    /// Its name.
    pub name: &'a str,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
}

/// The name of a store in the status.
#[must_use]
pub fn store_key(kind: StoreKind, name: &str) -> String {
    format!("{}/{name}", kind.as_str())
}

/// The name of an entry in the status.
#[must_use]
pub fn entry_key(data: &PushData) -> String {
    let remote = &data.matching.remote_ref;
    match remote.property.as_deref() {
        None | Some("") => remote.remote_key.clone(),
        Some(property) => format!("{}/{property}", remote.remote_key),
    }
}

/// Checks that every named store of `dataTo` is one of the PushSecret.
///
/// # Errors
///
/// Names the first that is none.
pub fn check_stores(spec: &PushSecretSpec) -> Result<(), EntryError> {
    for (index, to) in spec.data_to.iter().enumerate() {
        let Some(store) = &to.store_ref else {
            return Err(EntryError::ForeignStore(index));
        };
        let Some(name) = store.name.as_deref().filter(|name| !name.is_empty()) else {
            continue;
        };
        let mut known = spec.secret_store_refs.iter();
        if !known.any(|known| known.name.as_deref() == Some(name) && known.kind == store.kind) {
            return Err(EntryError::ForeignStore(index));
        }
    }
    Ok(())
}

/// Checks that every selector of `dataTo` matches one of the stores that were found.
///
/// # Errors
///
/// Names the first that matches none.
pub fn check_selectors(spec: &PushSecretSpec, stores: &[PushStore<'_>]) -> Result<(), EntryError> {
    for (index, to) in spec.data_to.iter().enumerate() {
        let by_labels = to.store_ref.as_ref().filter(|store| {
            store.name.as_deref().is_none_or(str::is_empty) && store.label_selector.is_some()
        });
        if let Some(reference) = by_labels
            && !stores.iter().any(|store| is_meant(reference, store))
        {
            return Err(EntryError::NoStore(index));
        }
    }
    Ok(())
}

/// Returns true if a reference means this store.
#[must_use]
pub fn is_meant(reference: &PushStoreRef, store: &PushStore<'_>) -> bool {
    if reference.kind != store.kind {
        return false;
    }
    match reference.name.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => name == store.name,
        None => reference.label_selector.as_ref().is_some_and(|selector| {
            label_selector::matches(selector, Some(store.labels)).unwrap_or(false)
        }),
    }
}

/// Lists what goes to one store: the entries of `dataTo`, unless `data` takes the same key, and then those of `data`. An entry
/// of `data` for the whole Secret takes the place of every bundle.
///
/// Every entry of `dataTo` may stand for every key, so all of them share the `budget` of the object.
///
/// # Errors
///
/// Says which entry cannot be made.
pub fn entries(
    spec: &PushSecretSpec,
    store: &PushStore<'_>,
    values: &Values,
    budget: &Budget,
) -> Result<Vec<PushEntry>, EntryError> {
    let mut entries = Vec::new();
    for (index, to) in spec.data_to.iter().enumerate() {
        if to
            .store_ref
            .as_ref()
            .is_some_and(|reference| is_meant(reference, store))
        {
            entries.extend(expanded(to, index, values, budget)?);
        }
    }
    let mut places = BTreeSet::new();
    for entry in &entries {
        if !places.insert(place(&entry.data)) {
            return Err(EntryError::Duplicate);
        }
    }
    let explicit = explicit_keys(spec, values);
    // A bundle that an entry for the same place replaces still limits that entry to its keys, as upstream does.
    let wanted: BTreeSet<String> = spec.data.iter().map(entry_key).collect();
    let bundles: BTreeMap<String, BTreeMap<String, String>> = entries
        .iter()
        .filter_map(|entry| {
            let place = entry_key(&entry.data);
            let keys = entry.keys.as_ref().filter(|_| wanted.contains(&place))?;
            Some((place, keys.clone()))
        })
        .collect();
    entries.retain(|entry| {
        let key = entry.data.matching.secret_key.as_deref();
        !explicit.contains(key.unwrap_or_default())
    });
    entries.extend(spec.data.iter().map(|data| PushEntry {
        data: data.clone(),
        keys: bundles.get(&entry_key(data)).cloned(),
    }));
    let mut places = BTreeSet::new();
    for entry in &entries {
        if !places.insert(place(&entry.data)) {
            return Err(EntryError::Duplicate);
        }
    }
    Ok(entries)
}

/// The keys of the Secret that entries of `data` take from those of `dataTo`. An entry for the whole Secret takes the empty one,
/// which is that of every bundle.
fn explicit_keys(spec: &PushSecretSpec, values: &Values) -> BTreeSet<String> {
    let originals: BTreeMap<String, &str> = values
        .keys()
        .map(|key| (reverse_unicode(key), key.as_str()))
        .collect();
    let keys = spec.data.iter().map(|data| {
        let key = data.matching.secret_key.as_deref().unwrap_or_default();
        let original = match data.conversion_strategy {
            PushConversionStrategy::None => None,
            PushConversionStrategy::ReverseUnicode => originals.get(key),
        };
        original.copied().unwrap_or(key).to_owned()
    });
    keys.collect()
}

fn place(data: &PushData) -> (String, String) {
    let remote = &data.matching.remote_ref;
    (
        remote.remote_key.clone(),
        remote.property.clone().unwrap_or_default(),
    )
}

fn expanded(
    to: &PushDataTo,
    index: usize,
    values: &Values,
    budget: &Budget,
) -> Result<Vec<PushEntry>, EntryError> {
    let used_up = EntryError::Budget(index);
    let pattern = to
        .matching
        .as_ref()
        .and_then(|matching| matching.regexp.as_deref());
    let pattern = match pattern.filter(|pattern| !pattern.is_empty()) {
        Some(pattern) => {
            let compiled = budget.spend(|| go_regexp(pattern)).ok_or(used_up.clone())?;
            Some(compiled.ok_or(EntryError::Regexp(index))?)
        }
        None => None,
    };
    let mut keys = converted(plain_keys(values), to.conversion_strategy)
        .ok_or(EntryError::Conversion(index))?;
    if let Some(pattern) = &pattern {
        let matched = budget.spend(|| keys.retain(|key, _| pattern.is_match(key)));
        matched.ok_or(used_up.clone())?;
    }
    let metadata = to
        .metadata
        .as_ref()
        .map_or(0, |metadata| metadata.to_string().len());
    let entry = |secret_key: Option<String>, remote_key: String| PushData {
        matching: PushMatch {
            remote_ref: PushRemoteRef {
                property: None,
                remote_key,
            },
            secret_key,
        },
        metadata: to.metadata.clone(),
        conversion_strategy: PushConversionStrategy::None,
    };
    if let Some(remote) = to.remote_key.as_deref().filter(|remote| !remote.is_empty()) {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let size: usize = keys
            .iter()
            .map(|(name, key)| name.len() + key.len() + 2 * size_of::<String>())
            .sum();
        budget.take(size + metadata).ok_or(used_up)?;
        return Ok(vec![PushEntry {
            data: entry(None, remote.to_owned()),
            keys: Some(keys),
        }]);
    }
    keys.into_iter()
        .map(|(key, original)| {
            let mut remote = key;
            for (number, step) in to.rewrite.iter().enumerate() {
                let step = Rewrite {
                    merge: None,
                    regexp: step.regexp.clone(),
                    transform: step.transform.clone(),
                };
                remote = rename(&remote, &step, number, budget)
                    .map_err(|error| EntryError::Rewrite(index, error))?;
            }
            if remote.is_empty() {
                return Err(EntryError::EmptyKey(index));
            }
            let size = size_of::<PushEntry>() + original.len() + remote.len() + metadata;
            budget.take(size).ok_or(used_up.clone())?;
            Ok(PushEntry {
                data: entry(Some(original), remote),
                keys: None,
            })
        })
        .collect()
}

/// The keys of a Secret, each under its own name.
fn plain_keys(values: &Values) -> BTreeMap<&str, &str> {
    let keys = values.keys();
    keys.map(|key| (key.as_str(), key.as_str())).collect()
}

/// The keys by their converted names; nothing if two of them become the same.
fn converted(
    keys: BTreeMap<&str, &str>,
    strategy: PushConversionStrategy,
) -> Option<BTreeMap<String, String>> {
    let mut converted = BTreeMap::new();
    for (name, original) in keys {
        let name = match strategy {
            PushConversionStrategy::None => name.to_owned(),
            PushConversionStrategy::ReverseUnicode => reverse_unicode(name),
        };
        if converted.insert(name, original.to_owned()).is_some() {
            return None;
        }
    }
    Some(converted)
}

#[cfg(test)]
mod tests {
    use sealwright_crypto::secret::SecretBytes;
    use serde_json::json;

    use super::*;

    fn values(keys: &[&str]) -> Values {
        keys.iter()
            .map(|key| ((*key).to_owned(), SecretBytes::copy_of(b"v")))
            .collect()
    }

    fn made(spec: serde_json::Value, keys: &[&str]) -> Result<Vec<PushEntry>, EntryError> {
        let mut spec = spec;
        spec["secretStoreRefs"] = json!([{"name": "s"}]);
        spec["selector"] = json!({"secret": {"name": "src"}});
        let spec: PushSecretSpec = serde_json::from_value(spec).unwrap();
        check_stores(&spec)?;
        let labels = [("tier".to_owned(), "gold".to_owned())].into();
        let store = PushStore {
            kind: StoreKind::SecretStore,
            name: "s",
            labels: &labels,
        };
        check_selectors(&spec, &[store])?;
        entries(&spec, &store, &values(keys), &Budget::default())
    }

    fn listed(spec: serde_json::Value, keys: &[&str]) -> Result<Vec<(String, String)>, EntryError> {
        Ok(made(spec, keys)?
            .into_iter()
            .map(|entry| {
                let key = entry.data.matching.secret_key.clone().unwrap_or_default();
                (key, entry_key(&entry.data))
            })
            .collect())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(key, place)| ((*key).to_owned(), (*place).to_owned()))
            .collect()
    }

    #[test]
    fn keys_become_names_of_secrets() {
        let to = json!({"dataTo": [{"storeRef": {"name": "s"}, "match": {"regexp": "^db-"},
            "rewrite": [{"regexp": {"source": "^db-", "target": "app/"}},
                {"transform": {"template": "{{ .value | upper }}"}}]}]});
        assert_eq!(
            listed(to, &["db-user", "db-pass", "other"]).unwrap(),
            pairs(&[("db-pass", "APP/PASS"), ("db-user", "APP/USER")])
        );
        let unicode = json!({"dataTo": [{"storeRef": {"labelSelector": {"matchLabels": {"tier": "gold"}}},
            "conversionStrategy": "ReverseUnicode"}]});
        assert_eq!(
            listed(unicode, &["a_U002f_b"]).unwrap(),
            pairs(&[("a_U002f_b", "a/b")])
        );
    }

    #[test]
    fn data_wins_over_data_to() {
        let spec = json!({
            "dataTo": [{"storeRef": {"name": "s"}}],
            "data": [{"match": {"secretKey": "a", "remoteRef": {"remoteKey": "x", "property": "p"}}}],
        });
        assert_eq!(
            listed(spec, &["a", "b"]).unwrap(),
            pairs(&[("b", "b"), ("a", "x/p")])
        );
    }

    #[test]
    fn data_wins_over_bundles_and_over_keys_before_their_conversion() {
        let whole = |place: &str| {
            json!({
                "dataTo": [{"storeRef": {"name": "s"}, "remoteKey": "all", "match": {"regexp": "^a"}}],
                "data": [{"match": {"remoteRef": {"remoteKey": place}}}],
            })
        };
        let keys = ["a", "b"];
        assert_eq!(listed(whole("x"), &keys).unwrap(), pairs(&[("", "x")]));
        let entries = made(whole("x"), &keys).unwrap();
        assert_eq!(entries[0].visible_keys(&values(&keys)).unwrap().len(), 2);
        // The bundle that would have gone to the same place limits the entry.
        let entries = made(whole("all"), &keys).unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].visible_keys(&values(&keys)).unwrap().len(), 1);
        let converted = json!({
            "dataTo": [{"storeRef": {"name": "s"}}],
            "data": [{"conversionStrategy": "ReverseUnicode",
                "match": {"secretKey": "a/b", "remoteRef": {"remoteKey": "x"}}}],
        });
        assert_eq!(
            listed(converted, &["a_U002f_b", "c"]).unwrap(),
            pairs(&[("c", "c"), ("a/b", "x")])
        );
    }

    #[test]
    fn bundles_hold_all_keys_that_match() {
        let spec = json!({"dataTo": [{"storeRef": {"name": "s"}, "remoteKey": "all"}]});
        assert_eq!(listed(spec, &["a", "b"]).unwrap(), pairs(&[("", "all")]));
    }

    #[test]
    fn bundles_hold_converted_keys() {
        let spec = json!({"dataTo": [{"storeRef": {"name": "s"}, "remoteKey": "all",
            "match": {"regexp": "/"}, "conversionStrategy": "ReverseUnicode"}]});
        let keys = ["a_U002f_b", "other"];
        let entries = made(spec.clone(), &keys).unwrap();
        let visible = entries[0].visible_keys(&values(&keys)).unwrap();
        let visible: Vec<_> = visible.into_iter().collect();
        assert_eq!(visible, pairs(&[("a/b", "a_U002f_b")]));
        assert_eq!(
            listed(spec, &["a_U002f_b", "a_U0002f_b"]),
            Err(EntryError::Conversion(0))
        );
        let explicit = json!({"data": [{"conversionStrategy": "ReverseUnicode",
            "match": {"secretKey": "a/b", "remoteRef": {"remoteKey": "x"}}}]});
        let entry = &made(explicit, &keys).unwrap()[0];
        assert_eq!(
            entry.visible_keys(&values(&keys)).unwrap()["a/b"],
            "a_U002f_b"
        );
        assert_eq!(
            entry.visible_keys(&values(&["a_U002f_b", "a_U0002f_b"])),
            Err(EntryError::Collision)
        );
        assert_eq!(
            entry.visible_keys(&values(&["other"])),
            Err(EntryError::NoKey("a/b".to_owned()))
        );
    }

    #[test]
    fn what_cannot_be_pushed_is_said() {
        let to = |value: serde_json::Value| json!({"dataTo": [value]});
        assert_eq!(
            listed(to(json!({"storeRef": {"name": "other"}})), &["a"]),
            Err(EntryError::ForeignStore(0))
        );
        assert_eq!(
            listed(
                to(json!({"storeRef": {"labelSelector": {"matchLabels": {"tier": "iron"}}}})),
                &["a"]
            ),
            Err(EntryError::NoStore(0))
        );
        assert_eq!(
            listed(
                to(json!({"storeRef": {"name": "s"},
                    "rewrite": [{"regexp": {"source": ".*", "target": ""}}]})),
                &["a"]
            ),
            Err(EntryError::EmptyKey(0))
        );
        assert_eq!(
            listed(
                to(json!({"storeRef": {"name": "s"},
                    "rewrite": [{"regexp": {"source": ".*", "target": "x"}}]})),
                &["a", "b"]
            ),
            Err(EntryError::Duplicate)
        );
    }

    #[test]
    fn entries_that_stand_for_too_much_are_refused_before_they_are_made() {
        let names: Vec<String> = (0..1000).map(|number| format!("k{number}")).collect();
        let keys: Vec<&str> = names.iter().map(String::as_str).collect();
        let entry = |more: serde_json::Value| {
            let mut entry = json!({"storeRef": {"name": "s"}});
            entry
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            entry
        };
        let one = |more| json!({"dataTo": [entry(more)]});
        assert_eq!(listed(one(json!({})), &keys).unwrap().len(), 1000);
        // Metadata goes with each key, every entry stands for all of them, and each is compiled, matched and rewritten on its own.
        let metadata = json!({"metadata": {"note": "x".repeat(100_000)}});
        let template = "{{ range until 100000 }}{{ end }}{{ .value }}";
        let transform = json!({"rewrite": [{"transform": {"template": template}}]});
        let bundles: Vec<_> = (0..2000)
            .map(|number| entry(json!({"remoteKey": format!("r{number}")})))
            .collect();
        for (what, spec, at) in [
            ("metadata", one(metadata), 0),
            ("bundles", json!({"dataTo": bundles}), usize::MAX),
            (
                "entries",
                json!({"dataTo": vec![entry(json!({})); 2000]}),
                usize::MAX,
            ),
            ("templates", one(transform), 0),
        ] {
            match listed(spec, &keys) {
                Err(EntryError::Budget(_)) if at == usize::MAX => {}
                Err(EntryError::Budget(index)) => assert_eq!(index, at, "{what}"),
                Err(EntryError::Rewrite(_, RewriteError::Budget(_))) => {}
                other => panic!("{what}: {other:?}"),
            }
        }
    }
}
