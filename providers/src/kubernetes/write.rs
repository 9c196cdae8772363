//! Writing Secrets.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use serde::Deserialize;

use super::connection::Reply;
use super::payload::malformed;
use super::{KubernetesStore, check_name};
use crate::json::{self, Html, Json, write_text};
use crate::outcome::{Answer, StoreError, shown};
use crate::remote::{PushItem, PushSource};
use crate::store::{Deleted, Pushed, WriteMode};

/// The metadata that a write keeps as the Secret has it, beside its labels and annotations. Without it the API server would
/// take it off: owners would no longer delete the Secret, and finalizers no longer hold it.
const KEPT: &[&str] = &["finalizers", "generateName", "ownerReferences"];

/// What the metadata of a push may say.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct PushSpec {
    target_merge_policy: TargetMergePolicy,
    source_merge_policy: SourceMergePolicy,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    remote_namespace: Option<String>,
}

/// What becomes of the labels and annotations that the target has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum TargetMergePolicy {
    #[default]
    Merge,
    Replace,
    Ignore,
}

/// Whether the labels and annotations of the source count beside those of the metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum SourceMergePolicy {
    #[default]
    Merge,
    Replace,
}

impl KubernetesStore {
    /// The namespace that a push goes to; only cluster-wide stores may leave their own.
    pub(super) fn target_namespace(&self, item: &PushItem) -> Result<String, StoreError> {
        let spec: PushSpec = item.metadata_spec()?;
        match spec
            .remote_namespace
            .filter(|namespace| !namespace.is_empty())
        {
            None => Ok(self.namespace.clone()),
            Some(namespace) if namespace == self.namespace => Ok(namespace),
            Some(namespace) if self.cluster_wide => {
                check_name(&namespace)?;
                Ok(namespace)
            }
            Some(_) => Err(StoreError::invalid(
                "only a ClusterSecretStore may push to another namespace (`remoteNamespace`)",
            )
            .public()),
        }
    }

    pub(super) async fn push_secret(
        &self,
        source: &PushSource,
        item: &PushItem,
        mode: WriteMode,
    ) -> Result<Pushed, StoreError> {
        let spec: PushSpec = item.metadata_spec()?;
        let namespace = self.target_namespace(item)?;
        let whole = item.secret_key.as_deref().is_none_or(str::is_empty);
        if !whole && item.wanted_property().is_none() {
            return Err(StoreError::invalid(
                "requires property in RemoteReference to push secret value if secret key is defined",
            )
            .public());
        }
        let before = self
            .read_secret(&namespace, &item.remote_key)
            .await?
            .found();
        let old = match &before {
            Some(body) => {
                let old = Json::parse(body.expose()).map_err(|_| malformed("it is no JSON"))?;
                Some(Stored::of(old)?)
            }
            None => None,
        };
        let next = next(source, item, &spec, old.as_ref())?;
        let done = match &old {
            None => Pushed::Created,
            Some(old) if old.same_as(&next) => return Ok(Pushed::Unchanged),
            Some(_) => Pushed::Updated,
        };
        if mode == WriteMode::DryRun {
            return Ok(done);
        }
        let body = next.write(&namespace, &item.remote_key);
        let folder = ["api", "v1", "namespaces", &namespace, "secrets"];
        let reply = match done {
            Pushed::Created => self.api.post(&folder, body).await?,
            _ => {
                let mut path = folder.to_vec();
                path.push(&item.remote_key);
                self.api.put(&path, body).await?
            }
        };
        match reply {
            Reply::Object(_) => Ok(done),
            Reply::NotFound { .. } => Err(StoreError::invalid(format!(
                "there is no namespace {:?}, or the Secret has just vanished",
                shown(&namespace)
            ))),
        }
    }

    pub(super) async fn delete_secret(
        &self,
        item: &PushItem,
        mode: WriteMode,
    ) -> Result<Deleted, StoreError> {
        let namespace = self.target_namespace(item)?;
        let Answer::Found(body) = self.read_secret(&namespace, &item.remote_key).await? else {
            return Ok(Deleted::Nothing);
        };
        let old = Json::parse(body.expose()).map_err(|_| malformed("it is no JSON"))?;
        let mut stored = Stored::of(old)?;
        let path = [
            "api",
            "v1",
            "namespaces",
            &namespace,
            "secrets",
            &item.remote_key,
        ];
        if let Some(property) = item.wanted_property() {
            if stored.data.remove(property).is_none() {
                return Ok(Deleted::Nothing);
            }
            if !stored.data.is_empty() {
                if mode == WriteMode::Apply {
                    let body = stored.write(&namespace, &item.remote_key);
                    self.api.put(&path, body).await?;
                }
                return Ok(Deleted::Property);
            }
        }
        if mode == WriteMode::Apply {
            self.api.delete(&path, stored.deletion()).await?;
        }
        Ok(Deleted::Key)
    }
}

/// The Secret as a push makes it of what is there.
fn next(
    source: &PushSource,
    item: &PushItem,
    spec: &PushSpec,
    old: Option<&Stored>,
) -> Result<Stored, StoreError> {
    let mut data: BTreeMap<String, SecretBytes> = BTreeMap::new();
    match item.wanted_property() {
        None => data.extend(copies(&source.data)),
        Some(property) => {
            data.extend(old.iter().flat_map(|old| copies(&old.data)));
            data.insert(property.to_owned(), source.value(item)?);
        }
    }
    let mut labels = spec.labels.clone();
    let mut annotations = spec.annotations.clone();
    if spec.source_merge_policy == SourceMergePolicy::Merge {
        add_missing(&mut labels, &source.labels);
        add_missing(&mut annotations, &source.annotations);
    }
    match (spec.target_merge_policy, old) {
        (TargetMergePolicy::Merge, Some(old)) => {
            add_missing(&mut labels, &old.labels);
            add_missing(&mut annotations, &old.annotations);
        }
        (TargetMergePolicy::Merge, None) | (TargetMergePolicy::Replace, _) => {}
        // Without a target there is nothing to leave alone, and nothing is added.
        (TargetMergePolicy::Ignore, old) => {
            labels = old.map(|old| old.labels.clone()).unwrap_or_default();
            annotations = old.map(|old| old.annotations.clone()).unwrap_or_default();
        }
    }
    // The type is that of the source, also where the target has another one: the API server refuses to change it, so that nothing of a
    // Secret becomes part of one that is read in another way. What comes from no Secret leaves the type as it is.
    let secret_type = match (&source.secret_type, old) {
        (Some(kind), _) => Some(kind),
        (None, old) => old.map(|old| &old.secret_type),
    };
    let secret_type = secret_type.filter(|kind| !kind.is_empty()).cloned();
    Ok(Stored {
        data,
        labels,
        annotations,
        secret_type: secret_type.unwrap_or_else(|| "Opaque".to_owned()),
        resource_version: old.and_then(|old| old.resource_version.clone()),
        kept: old.iter().flat_map(|old| copies(&old.kept)).collect(),
        immutable: old.and_then(|old| old.immutable.as_ref().map(copy)),
    })
}

fn add_missing(map: &mut BTreeMap<String, String>, more: &BTreeMap<String, String>) {
    for (name, value) in more {
        map.entry(name.clone()).or_insert_with(|| value.clone());
    }
}

fn copy(bytes: &SecretBytes) -> SecretBytes {
    SecretBytes::copy_of(bytes.expose())
}

fn copies(map: &BTreeMap<String, SecretBytes>) -> impl Iterator<Item = (String, SecretBytes)> {
    map.iter().map(|(name, value)| (name.clone(), copy(value)))
}

/// A text as JSON.
fn text(value: &str) -> SecretBytes {
    let mut out = SecretWriter::default();
    write_text(value.as_bytes(), Html::Plain, &mut out);
    out.finish()
}

/// A Secret as it is written.
struct Stored {
    data: BTreeMap<String, SecretBytes>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    secret_type: String,
    resource_version: Option<String>,
    /// The rest of its metadata that stays, as JSON.
    kept: BTreeMap<String, SecretBytes>,
    /// Its field `immutable`, as JSON.
    immutable: Option<SecretBytes>,
}

impl Stored {
    fn of(secret: Json<'_>) -> Result<Self, StoreError> {
        let metadata = secret.member("metadata");
        let texts = |field: &str| {
            metadata
                .and_then(|metadata| metadata.member(field))
                .into_iter()
                .flat_map(Json::members)
                .filter_map(|(name, value)| {
                    Some((
                        name.expose().to_owned(),
                        value.string()?.expose().to_owned(),
                    ))
                })
                .collect()
        };
        let mut data = BTreeMap::new();
        for (name, value) in secret.member("data").into_iter().flat_map(Json::members) {
            let text = value.string().unwrap_or_default();
            let bytes = STANDARD
                .decode(text.expose())
                .map_err(|_| malformed("its data is not base64"))?;
            data.insert(name.expose().to_owned(), SecretBytes::from(bytes));
        }
        let raw = |value: Json<'_>| SecretBytes::copy_of(value.raw());
        let kept = KEPT.iter().filter_map(|name| {
            let value = metadata?.member(name)?;
            Some(((*name).to_owned(), raw(value)))
        });
        Ok(Self {
            kept: kept.collect(),
            immutable: secret.member("immutable").map(raw),
            data,
            labels: texts("labels"),
            annotations: texts("annotations"),
            secret_type: secret
                .member("type")
                .and_then(Json::string)
                .map_or_else(|| "Opaque".to_owned(), |kind| kind.expose().to_owned()),
            resource_version: metadata
                .and_then(|metadata| metadata.member("resourceVersion"))
                .and_then(Json::string)
                .map(|version| version.expose().to_owned()),
        })
    }

    fn same_as(&self, other: &Self) -> bool {
        self.data == other.data
            && self.labels == other.labels
            && self.annotations == other.annotations
            && self.secret_type == other.secret_type
    }

    /// The options of its deletion: what another writer has put into it meanwhile is not to go with it.
    fn deletion(&self) -> SecretBytes {
        let version = self.resource_version.iter();
        let version = version.map(|version| ("resourceVersion".to_owned(), text(version)));
        let preconditions = json::object_of_raw(&version.collect());
        json::object_of_raw(&BTreeMap::from([
            ("apiVersion".to_owned(), text("v1")),
            ("kind".to_owned(), text("DeleteOptions")),
            ("preconditions".to_owned(), preconditions),
        ]))
    }

    fn write(&self, namespace: &str, name: &str) -> SecretBytes {
        let texts = |map: &BTreeMap<String, String>| {
            let members = map.iter().map(|(name, value)| (name.clone(), text(value)));
            json::object_of_raw(&members.collect())
        };
        let mut metadata = BTreeMap::from([
            ("name".to_owned(), text(name)),
            ("namespace".to_owned(), text(namespace)),
            ("labels".to_owned(), texts(&self.labels)),
            ("annotations".to_owned(), texts(&self.annotations)),
        ]);
        if let Some(version) = &self.resource_version {
            metadata.insert("resourceVersion".to_owned(), text(version));
        }
        metadata.extend(copies(&self.kept));
        let data = self.data.iter().map(|(name, value)| {
            let mut out = SecretWriter::with_capacity(value.len() * 4 / 3 + 8);
            out.push_byte(b'"');
            let length = base64::encoded_len(value.len(), true).unwrap_or_default();
            let place = out.extend_zeroed(length);
            // The place is as long as the text.
            let _ = STANDARD.encode_slice(value.expose(), place);
            out.push_byte(b'"');
            (name.clone(), out.finish())
        });
        let mut secret = BTreeMap::from([
            ("apiVersion".to_owned(), text("v1")),
            ("kind".to_owned(), text("Secret")),
            ("type".to_owned(), text(&self.secret_type)),
            ("metadata".to_owned(), json::object_of_raw(&metadata)),
            ("data".to_owned(), json::object_of_raw(&data.collect())),
        ]);
        if let Some(immutable) = &self.immutable {
            secret.insert("immutable".to_owned(), copy(immutable));
        }
        json::object_of_raw(&secret)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn stored(secret: &Value) -> Stored {
        Stored::of(Json::parse(secret.to_string().as_bytes()).unwrap()).unwrap()
    }

    fn written(secret: &Stored) -> Value {
        serde_json::from_slice(secret.write("ns", "db").expose()).unwrap()
    }

    fn source() -> PushSource {
        PushSource {
            data: [("b".to_owned(), SecretBytes::copy_of(b"2"))].into(),
            secret_type: Some("Opaque".to_owned()),
            ..PushSource::default()
        }
    }

    /// The item that pushes the key `b` into a property, or the whole source without one.
    fn item(property: Option<&str>) -> PushItem {
        PushItem {
            secret_key: property.map(|_| "b".to_owned()),
            remote_key: "db".to_owned(),
            property: property.map(str::to_owned),
            ..PushItem::default()
        }
    }

    #[test]
    fn owners_finalizers_and_immutability_outlast_a_write() {
        let secret = json!({
            "metadata": {
                "name": "db", "namespace": "ns", "resourceVersion": "7", "uid": "u", "generateName": "db-",
                "labels": {"app": "shop"}, "finalizers": ["demo/hold"], "managedFields": [{"manager": "m"}],
                "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "1"}],
            },
            "immutable": false, "type": "Opaque", "data": {"a": "MQ=="},
        });
        let old = stored(&secret);
        let spec = PushSpec::default();
        for (property, data) in [
            (None, json!({"b": "Mg=="})),
            (Some("c"), json!({"a": "MQ==", "c": "Mg=="})),
        ] {
            let next = next(&source(), &item(property), &spec, Some(&old)).unwrap();
            let next = written(&next);
            for field in ["finalizers", "generateName", "ownerReferences", "labels"] {
                assert_eq!(
                    next["metadata"][field], secret["metadata"][field],
                    "{field}"
                );
            }
            assert_eq!(next["metadata"]["resourceVersion"], "7");
            assert_eq!(next["metadata"].get("managedFields"), None);
            assert_eq!(next["immutable"], false);
            assert_eq!(next["data"], data);
        }
        // Without a property of its data it is written as it is.
        assert_eq!(
            written(&old)["metadata"]["finalizers"],
            json!(["demo/hold"])
        );
        let created = next(&source(), &item(None), &spec, None).unwrap();
        let created = written(&created);
        assert_eq!(created.get("immutable"), None);
        assert_eq!(created["metadata"].get("ownerReferences"), None);
    }

    #[test]
    fn a_pushed_secret_has_the_type_of_its_source() {
        let old = stored(&json!({"type": "kubernetes.io/tls", "data": {"a": "MQ=="}}));
        for (kind, expected) in [
            (Some(""), "Opaque"),
            (Some("Opaque"), "Opaque"),
            (Some("example.com/one"), "example.com/one"),
            (Some("kubernetes.io/tls"), "kubernetes.io/tls"),
        ] {
            let source = PushSource {
                secret_type: kind.map(str::to_owned),
                ..source()
            };
            for property in [None, Some("c")] {
                for old in [None, Some(&old)] {
                    let next = next(&source, &item(property), &PushSpec::default(), old).unwrap();
                    assert_eq!(written(&next)["type"], expected);
                }
            }
        }
        // The command line has no Secret to push.
        let source = PushSource {
            secret_type: None,
            ..source()
        };
        for (old, expected) in [(None, "Opaque"), (Some(&old), "kubernetes.io/tls")] {
            let next = next(&source, &item(Some("c")), &PushSpec::default(), old).unwrap();
            assert_eq!(written(&next)["type"], expected);
        }
    }

    #[test]
    fn bytes_are_pushed_as_they_are_or_refused() {
        let source = PushSource {
            data: [("b".to_owned(), SecretBytes::copy_of(b"\xff"))].into(),
            ..PushSource::default()
        };
        let spec = PushSpec::default();
        let by_itself = next(&source, &item(Some("c")), &spec, None).unwrap();
        assert_eq!(written(&by_itself)["data"], json!({"c": "/w=="}));
        let whole = next(&source, &item(None), &spec, None).unwrap();
        assert_eq!(written(&whole)["data"], json!({"b": "/w=="}));
        let as_json = PushItem {
            secret_key: None,
            ..item(Some("c"))
        };
        assert!(next(&source, &as_json, &spec, None).is_err());
    }
}
