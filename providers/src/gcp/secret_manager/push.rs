//! Writing to Google Secret Manager. Whole secrets are changed and deleted only with the label
//! `managed-by: external-secrets`.

use std::collections::BTreeMap;

use http::Method;
use sealwright_crypto::secret::SecretBytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{LATEST, SecretManager, texts_of};
use crate::bearer::Call;
use crate::gcp::checksum::crc32c;
use crate::http::url::Url;
use crate::json::{self, Json};
use crate::message::{Body, Reply, name_in};
use crate::outcome::{Answer, StoreError, Trouble};
use crate::remote::{PushItem, PushSource};
use crate::store::{Deleted, Pushed, WriteMode};

/// The label that marks what was pushed from here.
const MANAGED_BY: (&str, &str) = ("managed-by", "external-secrets");

type Texts = BTreeMap<String, String>;

/// What the metadata of a push may say.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Metadata {
    annotations: Texts,
    labels: Texts,
    topics: Vec<String>,
    merge_policy: MergePolicy,
    cmek_key_name: Option<String>,
    replication_location: Option<String>,
    replication_locations: Vec<String>,
}

/// What becomes of labels that are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum MergePolicy {
    /// They are replaced by those of the push.
    #[default]
    Replace,
    /// They stay, and win over those of the push.
    Merge,
}

impl Metadata {
    /// The single location, which upstream has deprecated, counts only where there is no list.
    fn locations(&self) -> impl Iterator<Item = &String> {
        let one = self.replication_location.iter();
        let one = one.filter(|name| !name.is_empty() && self.replication_locations.is_empty());
        one.chain(&self.replication_locations)
    }

    fn encryption(&self) -> Option<Value> {
        let key = self
            .cmek_key_name
            .as_deref()
            .filter(|key| !key.is_empty())?;
        Some(json!({"kmsKeyName": key}))
    }

    /// Where the values of a new secret are kept.
    fn replication(&self) -> Value {
        let replicas: Vec<Value> = self
            .locations()
            .map(|location| match self.encryption() {
                Some(key) => json!({"location": location, "customerManagedEncryption": key}),
                None => json!({"location": location}),
            })
            .collect();
        match (replicas.is_empty(), self.encryption()) {
            (false, _) => json!({"userManaged": {"replicas": replicas}}),
            (true, Some(key)) => json!({"automatic": {"customerManagedEncryption": key}}),
            (true, None) => json!({"automatic": {}}),
        }
    }

    fn topics(&self) -> Vec<Value> {
        self.topics
            .iter()
            .map(|name| json!({"name": name}))
            .collect()
    }

    /// The labels that the secret has afterwards.
    fn labels_over(&self, there: &Texts) -> Texts {
        let mut labels = self.labels.clone();
        if self.merge_policy == MergePolicy::Merge {
            labels.extend(there.clone());
        }
        labels.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
        labels
    }
}

impl SecretManager {
    pub(super) async fn push_item(
        &self,
        source: &PushSource,
        item: &PushItem,
        mode: WriteMode,
    ) -> Result<Pushed, StoreError> {
        let has_metadata = item.metadata.as_ref().is_some_and(|value| !value.is_null());
        if item.wanted_property().is_some() && has_metadata {
            return Err(StoreError::invalid(
                "cannot specify metadata and property at the same time",
            )
            .public());
        }
        let metadata: Metadata = item.metadata_spec()?;
        let value = source.value(item)?;
        let key = &item.remote_key;
        let Some(there) = self.there(key).await? else {
            let value = with_property(None, item, &value)?;
            if mode == WriteMode::Apply {
                self.create(key, &metadata).await?;
                self.add_version(key, &value).await?;
            }
            return Ok(Pushed::Created);
        };
        let labels = texts_of(there.json().member("labels"));
        if item.wanted_property().is_none() && !is_managed(&labels) {
            return Err(StoreError::new(
                Trouble::Conflict,
                "secret not managed by external-secrets",
            )
            .public()
            .with_hint("add the label managed-by=external-secrets to hand it over"));
        }
        let mut changed = self.describe_anew(item, &metadata, &there, mode).await?;
        let held = self.access(key, LATEST).await?.found();
        let value = with_property(held.as_ref().map(SecretBytes::expose), item, &value)?;
        if held.as_ref() != Some(&value) {
            changed = true;
            if mode == WriteMode::Apply {
                self.add_version(key, &value).await?;
            }
        }
        Ok(match changed {
            true => Pushed::Updated,
            false => Pushed::Unchanged,
        })
    }

    async fn create(&self, key: &str, metadata: &Metadata) -> Result<(), StoreError> {
        let mut secret = json!({"labels": metadata.labels_over(&Texts::new())});
        if !metadata.annotations.is_empty() {
            secret["annotations"] = json!(metadata.annotations);
        }
        if !metadata.topics.is_empty() {
            secret["topics"] = metadata.topics().into();
        }
        match (&self.location, metadata.encryption()) {
            // Regional secrets lie where they are.
            (Some(_), Some(key)) => secret["customerManagedEncryption"] = key,
            (Some(_), None) => {}
            (None, _) => secret["replication"] = metadata.replication(),
        }
        // The name was checked when the secret was looked up.
        let url = self.parent().await?.with_segments(["secrets"]);
        let url = url.with_query([("secretId", key)]);
        self.send(Method::POST, url, &secret, "create the secret", "create")
            .await
    }

    /// Sets labels, annotations and topics where they differ.
    async fn describe_anew(
        &self,
        item: &PushItem,
        metadata: &Metadata,
        there: &Reply,
        mode: WriteMode,
    ) -> Result<bool, StoreError> {
        let json = there.json();
        let before = texts_of(json.member("labels"));
        let notes = texts_of(json.member("annotations"));
        let (labels, annotations) = match item.wanted_property() {
            // One property says nothing about the whole: only the mark is added.
            Some(_) => {
                let mut labels = before.clone();
                labels.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
                (labels, notes.clone())
            }
            None => (metadata.labels_over(&before), metadata.annotations.clone()),
        };
        let topics: Vec<String> = json
            .member("topics")
            .into_iter()
            .flat_map(Json::elements)
            .filter_map(|topic| name_in(topic, "name"))
            .collect();
        let mut mask = Vec::new();
        let mut secret = json!({});
        if labels != before {
            mask.push("labels");
            secret["labels"] = json!(labels);
        }
        if annotations != notes {
            mask.push("annotations");
            secret["annotations"] = json!(annotations);
        }
        // Upstream compares the topics and never sends them, so it writes again and again.
        if !metadata.topics.is_empty() && metadata.topics != topics {
            mask.push("topics");
            secret["topics"] = metadata.topics().into();
        }
        if mask.is_empty() {
            return Ok(false);
        }
        if mode == WriteMode::DryRun {
            return Ok(true);
        }
        if let Some(etag) = there.name("etag") {
            secret["etag"] = etag.into();
        }
        let mask = mask.join(",");
        let url = self.secret(&item.remote_key).await?;
        let url = url.with_query([("updateMask", mask.as_str())]);
        self.send(Method::PATCH, url, &secret, "change the labels", "update")
            .await?;
        Ok(true)
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        secret: &Value,
        what: &str,
        verb: &str,
    ) -> Result<(), StoreError> {
        let body = SecretBytes::from(secret.to_string().into_bytes());
        let permission = format!("secretmanager.secrets.{verb}");
        let body = (body, false);
        let call = Call::of(method, url, what, &permission).with(&body);
        self.rest.call(call).await?;
        Ok(())
    }

    async fn add_version(&self, key: &str, value: &SecretBytes) -> Result<(), StoreError> {
        let mut payload = Body::new().secret_bytes("data", value.expose());
        let sum = crc32c(value.expose()).to_string();
        payload = payload.value("dataCrc32c", &json!(sum));
        let (payload, _) = payload.finish();
        let body = Body::new()
            .secret_json("payload", payload.expose())
            .finish();
        // `with_segments` would put a slash before the verb.
        let parent = self.parent().await?.with_segments(["secrets"]);
        let url = parent.with_segments([format!("{key}:addVersion").as_str()]);
        let permission = "secretmanager.versions.add";
        let call = Call::of(Method::POST, url, "add a version", permission).with(&body);
        self.rest.call(call).await?;
        Ok(())
    }

    pub(super) async fn delete_item(
        &self,
        item: &PushItem,
        mode: WriteMode,
    ) -> Result<Deleted, StoreError> {
        let key = &item.remote_key;
        let Some(there) = self.there(key).await? else {
            return Ok(Deleted::Nothing);
        };
        if !is_managed(&texts_of(there.json().member("labels"))) {
            return Ok(Deleted::NotManaged);
        }
        // Upstream deletes the whole secret for one property, and with it what others pushed there.
        if let Some(property) = item.wanted_property() {
            let Answer::Found(held) = self.access(key, LATEST).await? else {
                return Ok(Deleted::Nothing);
            };
            let Some(rest) = json::edit::remove(held.expose(), property) else {
                return Ok(Deleted::Nothing);
            };
            let others =
                Json::parse(rest.expose()).is_ok_and(|rest| rest.members().next().is_some());
            if others {
                if mode == WriteMode::Apply {
                    self.add_version(key, &rest).await?;
                }
                return Ok(Deleted::Property);
            }
        }
        if mode == WriteMode::Apply {
            let etag = there.name("etag");
            let url = self.secret(key).await?;
            let url = url.with_query(etag.as_deref().map(|etag| ("etag", etag)));
            let permission = "secretmanager.secrets.delete";
            let call = Call::of(Method::DELETE, url, "delete the secret", permission);
            self.rest.call(call).await?;
        }
        Ok(Deleted::Key)
    }
}

fn is_managed(labels: &Texts) -> bool {
    labels.get(MANAGED_BY.0).map(String::as_str) == Some(MANAGED_BY.1)
}

/// The whole value that is written: the pushed one, or the one that is there with a property set.
fn with_property(
    held: Option<&[u8]>,
    item: &PushItem,
    value: &SecretBytes,
) -> Result<SecretBytes, StoreError> {
    let Some(property) = item.wanted_property() else {
        return Ok(SecretBytes::copy_of(value.expose()));
    };
    let held = held.filter(|held| !held.is_empty()).unwrap_or(b"{}");
    // Where a reader finds that text already, upstream writes nothing.
    let found = json::path::get_literal_first(held, property);
    if found.is_some_and(|found| found.text() == *value) {
        return Ok(SecretBytes::copy_of(held));
    }
    json::edit::set(held, property, value.expose()).ok_or_else(|| {
        StoreError::new(
            Trouble::Conflict,
            "a property can be pushed only into a JSON object of text",
        )
        .public()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(spec: Value) -> Metadata {
        let item = PushItem {
            metadata: Some(json!({
                "apiVersion": "kubernetes.external-secrets.io/v1alpha1",
                "kind": "PushSecretMetadata", "spec": spec,
            })),
            ..PushItem::default()
        };
        item.metadata_spec().unwrap()
    }

    #[test]
    fn labels_are_replaced_or_win() {
        let there = Texts::from([("a".into(), "there".into()), ("b".into(), "there".into())]);
        let mark = ("managed-by".to_owned(), "external-secrets".to_owned());
        let replaced = metadata(json!({"labels": {"a": "pushed"}})).labels_over(&there);
        assert_eq!(
            replaced,
            Texts::from([("a".into(), "pushed".into()), mark.clone()])
        );
        let merged = json!({"labels": {"a": "pushed", "c": "pushed"}, "mergePolicy": "Merge"});
        let merged = metadata(merged).labels_over(&there);
        assert_eq!(merged["a"], "there");
        assert_eq!(merged["c"], "pushed");
        assert_eq!(merged[&mark.0], mark.1);
    }

    #[test]
    fn a_property_that_reads_so_already_is_not_written_again() {
        let written = |held: &str, property: &str| {
            let item = PushItem {
                property: Some(property.to_owned()),
                ..PushItem::default()
            };
            let value = SecretBytes::copy_of(b"1");
            let written = with_property(Some(held.as_bytes()), &item, &value).unwrap();
            String::from_utf8(written.expose().to_vec()).unwrap()
        };
        for (held, property) in [
            (r#"{ "a": "1" }"#, "a"),
            (r#"{ "a": 1 }"#, "a"),
            (r#"{ "a.b": "1" }"#, "a.b"),
        ] {
            assert_eq!(written(held, property), held);
        }
        assert_eq!(written(r#"{ "a": "2" }"#, "a"), r#"{"a":"1"}"#);
    }

    #[test]
    fn replication_is_where_the_metadata_says() {
        let replication = |spec| metadata(spec).replication();
        assert_eq!(replication(json!({})), json!({"automatic": {}}));
        assert_eq!(
            replication(json!({"replicationLocations": ["a", "b"], "cmekKeyName": "k"})),
            json!({"userManaged": {"replicas": [
                {"location": "a", "customerManagedEncryption": {"kmsKeyName": "k"}},
                {"location": "b", "customerManagedEncryption": {"kmsKeyName": "k"}}]}})
        );
        assert_eq!(
            replication(json!({"replicationLocation": "a"})),
            json!({"userManaged": {"replicas": [{"location": "a"}]}})
        );
        assert_eq!(
            replication(json!({"replicationLocation": "a", "replicationLocations": ["b"]})),
            json!({"userManaged": {"replicas": [{"location": "b"}]}})
        );
        assert_eq!(
            replication(json!({"cmekKeyName": "k"})),
            json!({"automatic": {"customerManagedEncryption": {"kmsKeyName": "k"}}})
        );
    }
}
