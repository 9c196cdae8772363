//! Writing to AWS Secrets Manager. Only secrets with the tag `managed-by: external-secrets` are changed or deleted.

use std::collections::BTreeSet;

use sealwright_crypto::secret::SecretBytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{BINARY, SecretsManager, TEXT, preferred};
use crate::aws::tags::{self, Tags};
use crate::json::{self, Json};
use crate::message::{Body, Reply, name_in};
use crate::outcome::{StoreError, Trouble, shown};
use crate::remote::{PushItem, PushSource};
use crate::settings::SecretKeySelector;
use crate::store::{Deleted, Payload, Pushed, ReadKey, WriteMode};

/// The token of the first version: a push that is repeated makes no second one.
const FIRST_TOKEN: &str = "00000000-0000-0000-0000-000000000001";

/// What the metadata of a push may say.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Metadata {
    tags: Option<Tags>,
    description: Option<String>,
    #[serde(default)]
    secret_push_format: Format,
    kms_key_id: Option<String>,
    resource_policy: Option<ResourcePolicy>,
    replication_locations: Option<Vec<String>>,
}

/// In which field the value is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Binary,
    String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ResourcePolicy {
    block_public_policy: Option<bool>,
    policy_source_ref: PolicySource,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicySource {
    kind: String,
    name: String,
    key: String,
}

/// A secret as it is at AWS.
struct There {
    reply: Reply,
    tags: Tags,
    has_versions: bool,
}

impl There {
    fn replicas(&self) -> BTreeSet<String> {
        let list = self.reply.json().member("ReplicationStatus").into_iter();
        list.flat_map(Json::elements)
            .filter_map(|replica| name_in(replica, "Region"))
            .collect()
    }
}

impl SecretsManager {
    pub(super) async fn push_item(
        &self,
        source: &PushSource,
        item: &PushItem,
        mode: WriteMode,
    ) -> Result<Pushed, StoreError> {
        let id = self.id(&item.remote_key);
        let pushed = self.push_to(&id, source, item, mode).await;
        pushed.map_err(|error| {
            error
                .while_trying(format!("push to {}", shown(&id)))
                .at_store(self.api.describe())
        })
    }

    async fn push_to(
        &self,
        id: &str,
        source: &PushSource,
        item: &PushItem,
        mode: WriteMode,
    ) -> Result<Pushed, StoreError> {
        let metadata: Metadata = item.metadata_spec()?;
        let wanted_tags = tags::wanted(metadata.tags.as_ref().unwrap_or(&Tags::new()))?;
        let policy = metadata.resource_policy.as_ref();
        let policy = self.policy(policy, source.namespace.as_deref()).await?;
        let value = source.value(item)?;
        let Some(there) = self.there(id).await? else {
            let value = with_property(None, item, &value)?;
            if mode == WriteMode::Apply {
                self.create(id, &metadata, &wanted_tags, &value).await?;
                self.set_policy(id, &metadata, policy.as_ref(), None)
                    .await?;
            }
            return Ok(Pushed::Created);
        };
        if !tags::is_managed(&there.tags) {
            return Err(not_managed());
        }
        let before = match there.has_versions {
            true => self.current(id).await?,
            false => None,
        };
        let held = before
            .as_ref()
            .map(|payload| preferred(payload, [BINARY, TEXT]));
        let value = with_property(held.as_ref().map(SecretBytes::expose), item, &value)?;
        let same = before.as_ref().is_some_and(|payload| {
            [BINARY, TEXT]
                .iter()
                .any(|part| payload.part(part) == Some(&value))
        });
        if mode == WriteMode::DryRun {
            return Ok(if same {
                Pushed::Unchanged
            } else {
                Pushed::Updated
            });
        }
        let mut changed = self
            .set_tags(id, &metadata, &there.tags, &wanted_tags)
            .await?;
        changed |= self
            .set_policy(id, &metadata, policy.as_ref(), Some(&there))
            .await?;
        changed |= self.set_replicas(id, &metadata, &there).await?;
        if !same {
            let token = match there.has_versions {
                true => random_token(),
                false => FIRST_TOKEN.to_owned(),
            };
            let body = Body::new()
                .text("SecretId", id)
                .text("ClientRequestToken", &token);
            let body = with_value(body, metadata.secret_push_format, &value)?;
            self.api.call("PutSecretValue", body).await?;
            changed = true;
        }
        Ok(if changed {
            Pushed::Updated
        } else {
            Pushed::Unchanged
        })
    }

    async fn there(&self, id: &str) -> Result<Option<There>, StoreError> {
        let Some(reply) = self.describe_secret(id).await? else {
            return Ok(None);
        };
        let versions = reply.json().member("VersionIdsToStages");
        Ok(Some(There {
            tags: tags::of_list(reply.json().member("Tags")),
            has_versions: versions.is_some_and(|versions| versions.members().next().is_some()),
            reply,
        }))
    }

    async fn current(&self, id: &str) -> Result<Option<Payload>, StoreError> {
        Ok(self.read_value(&ReadKey::value(id, None)).await?.found())
    }

    async fn create(
        &self,
        id: &str,
        metadata: &Metadata,
        tags: &Tags,
        value: &SecretBytes,
    ) -> Result<(), StoreError> {
        let description = tags::description(metadata.description.as_deref());
        let key = metadata
            .kms_key_id
            .as_deref()
            .filter(|key| !key.is_empty())
            .unwrap_or("alias/aws/secretsmanager");
        let mut body = Body::new()
            .text("Name", id)
            .text("ClientRequestToken", FIRST_TOKEN)
            .text("Description", description)
            .text("KmsKeyId", key)
            .value("Tags", &tags::to_list(tags));
        if let Some(regions) = metadata
            .replication_locations
            .as_ref()
            .filter(|list| !list.is_empty())
        {
            body = body.value(
                "AddReplicaRegions",
                &replicas(regions, metadata.kms_key_id.as_deref()),
            );
        }
        let body = with_value(body, metadata.secret_push_format, value)?;
        self.api.call("CreateSecret", body).await?;
        Ok(())
    }

    async fn set_tags(
        &self,
        id: &str,
        metadata: &Metadata,
        there: &Tags,
        wanted: &Tags,
    ) -> Result<bool, StoreError> {
        if metadata.tags.as_ref().is_none_or(Tags::is_empty) {
            return Ok(false);
        }
        let (gone, set) = tags::change(there, wanted);
        if !gone.is_empty() {
            let body = Body::new()
                .text("SecretId", id)
                .value("TagKeys", &json!(gone));
            self.api.call("UntagResource", body).await?;
        }
        if !set.is_empty() {
            let body = Body::new()
                .text("SecretId", id)
                .value("Tags", &tags::to_list(&set));
            self.api.call("TagResource", body).await?;
        }
        Ok(!gone.is_empty() || !set.is_empty())
    }

    /// Reads the resource policy that the metadata refers to, in the namespace of the push.
    async fn policy(
        &self,
        wanted: Option<&ResourcePolicy>,
        namespace: Option<&str>,
    ) -> Result<Option<Value>, StoreError> {
        const FIELD: &str = "resourcePolicy.policySourceRef";
        let Some(ResourcePolicy {
            policy_source_ref: source,
            ..
        }) = wanted
        else {
            return Ok(None);
        };
        // The store may have been opened for no one in particular.
        let mut scope = self.scope.clone();
        if let Some(namespace) = namespace {
            scope.consumer_namespace = Some(namespace.to_owned());
        }
        let bytes = match source.kind.as_str() {
            "ConfigMap" => self
                .credentials
                .config_map(&scope, &source.name, &source.key, None)
                .await
                .map_err(|error| error.at_field(FIELD))?,
            "Secret" => {
                let at = SecretKeySelector {
                    name: Some(source.name.clone()),
                    namespace: None,
                    key: Some(source.key.clone()),
                };
                let bytes = self.credentials.secret(&scope, &at).await;
                bytes
                    .map_err(|error| error.at_field(FIELD))?
                    .expose()
                    .to_vec()
            }
            _ => {
                return Err(StoreError::invalid(format!(
                    "`{FIELD}.kind` must be ConfigMap or Secret"
                ))
                .public());
            }
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|_| {
            StoreError::invalid(format!("`{FIELD}` refers to something that is no JSON")).public()
        })
    }

    async fn set_policy(
        &self,
        id: &str,
        metadata: &Metadata,
        wanted: Option<&Value>,
        there: Option<&There>,
    ) -> Result<bool, StoreError> {
        if wanted.is_none() && there.is_none() {
            return Ok(false);
        }
        let body = || Body::new().text("SecretId", id);
        let held = match there {
            None => None,
            Some(_) => {
                let reply = self.api.call("GetResourcePolicy", body()).await?;
                let text = reply.json().member("ResourcePolicy").and_then(Json::string);
                text.and_then(|text| serde_json::from_str::<Value>(text.expose()).ok())
            }
        };
        if held.as_ref() == wanted {
            return Ok(false);
        }
        match wanted {
            Some(policy) => {
                let block = metadata
                    .resource_policy
                    .as_ref()
                    .and_then(|policy| policy.block_public_policy);
                let mut body = body().text("ResourcePolicy", &policy.to_string());
                if let Some(block) = block {
                    body = body.value("BlockPublicPolicy", &json!(block));
                }
                self.api.call("PutResourcePolicy", body).await?;
            }
            // Upstream removes a policy that the metadata does not name.
            None => drop(self.api.call("DeleteResourcePolicy", body()).await?),
        }
        Ok(true)
    }

    async fn set_replicas(
        &self,
        id: &str,
        metadata: &Metadata,
        there: &There,
    ) -> Result<bool, StoreError> {
        let Some(wanted) = &metadata.replication_locations else {
            return Ok(false);
        };
        let held = there.replicas();
        let wanted: BTreeSet<String> = wanted.iter().cloned().collect();
        let gone: Vec<&String> = held.difference(&wanted).collect();
        let new: Vec<String> = wanted.difference(&held).cloned().collect();
        if !gone.is_empty() {
            let body = Body::new()
                .text("SecretId", id)
                .value("RemoveReplicaRegions", &json!(gone));
            self.api.call("RemoveRegionsFromReplication", body).await?;
        }
        if !new.is_empty() {
            let key = there.reply.name("KmsKeyId");
            let body = Body::new()
                .text("SecretId", id)
                .value("AddReplicaRegions", &replicas(&new, key.as_deref()));
            self.api.call("ReplicateSecretToRegions", body).await?;
        }
        Ok(!gone.is_empty() || !new.is_empty())
    }

    pub(super) async fn delete_item(
        &self,
        item: &PushItem,
        mode: WriteMode,
    ) -> Result<Deleted, StoreError> {
        let id = self.id(&item.remote_key);
        let deleted = self.delete_at(&id, item, mode).await;
        deleted.map_err(|error| {
            error
                .while_trying(format!("delete {}", shown(&id)))
                .at_store(self.api.describe())
        })
    }

    async fn delete_at(
        &self,
        id: &str,
        item: &PushItem,
        mode: WriteMode,
    ) -> Result<Deleted, StoreError> {
        let Some(payload) = self.current(id).await? else {
            return Ok(Deleted::Nothing);
        };
        let Some(there) = self.there(id).await? else {
            return Ok(Deleted::Nothing);
        };
        if !tags::is_managed(&there.tags) {
            return Ok(Deleted::NotManaged);
        }
        // Upstream deletes the whole secret for one property, and with it what others pushed there.
        if let Some(property) = item.wanted_property() {
            let held = preferred(&payload, [BINARY, TEXT]);
            let Some(rest) = json::edit::remove(held.expose(), property) else {
                return Ok(Deleted::Nothing);
            };
            let others =
                Json::parse(rest.expose()).is_ok_and(|rest| rest.members().next().is_some());
            if others {
                if mode == WriteMode::Apply {
                    let format = match payload.part(TEXT) {
                        Some(_) => Format::String,
                        None => Format::Binary,
                    };
                    let body = Body::new()
                        .text("SecretId", id)
                        .text("ClientRequestToken", &random_token());
                    let body = with_value(body, format, &rest)?;
                    self.api.call("PutSecretValue", body).await?;
                }
                return Ok(Deleted::Property);
            }
        }
        if mode == WriteMode::Apply {
            let replicas = there.replicas();
            if !replicas.is_empty() {
                let body = Body::new()
                    .text("SecretId", id)
                    .value("RemoveReplicaRegions", &json!(replicas));
                self.api.call("RemoveRegionsFromReplication", body).await?;
            }
            let arn = there.reply.name("ARN").unwrap_or_else(|| id.to_owned());
            let mut body = Body::new().text("SecretId", &arn);
            if self.deletion.force_delete_without_recovery == Some(true) {
                body = body.value("ForceDeleteWithoutRecovery", &json!(true));
            } else if let Some(days) = self.deletion.recovery_window() {
                body = body.value("RecoveryWindowInDays", &json!(days));
            }
            self.api.call("DeleteSecret", body).await?;
        }
        Ok(Deleted::Key)
    }
}

fn not_managed() -> StoreError {
    StoreError::new(Trouble::Conflict, "secret not managed by external-secrets")
        .public()
        .with_hint("add the tag managed-by=external-secrets to hand it over")
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
    json::edit::set(held, property, value.expose()).ok_or_else(|| {
        StoreError::new(
            Trouble::Conflict,
            "PushSecret for aws secrets manager with a pushSecretData property requires a json secret",
        )
        .public()
    })
}

fn with_value(body: Body, format: Format, value: &SecretBytes) -> Result<Body, StoreError> {
    match format {
        Format::Binary => Ok(body.secret_bytes("SecretBinary", value.expose())),
        Format::String if std::str::from_utf8(value.expose()).is_ok() => {
            Ok(body.secret_text("SecretString", value.expose()))
        }
        Format::String => Err(StoreError::invalid(
            "the value is not valid UTF-8; push it with `secretPushFormat: binary`",
        )
        .public()),
    }
}

fn replicas(regions: &[String], key: Option<&str>) -> Value {
    let one = |region: &String| match key {
        Some(key) => json!({"Region": region, "KmsKeyId": key}),
        None => json!({"Region": region}),
    };
    regions.iter().map(one).collect()
}

/// A random UUID of version 4, which makes a new version.
fn random_token() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system gives random numbers");
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (count, byte) in bytes.iter().enumerate() {
        if matches!(count, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_uuids() {
        let token = random_token();
        assert_eq!(token.len(), 36);
        assert_eq!(token.as_bytes()[14], b'4');
        assert_ne!(token, random_token());
    }

    #[test]
    fn metadata_is_strict() {
        let item = |spec: Value| PushItem {
            metadata: Some(json!({
                "apiVersion": "kubernetes.external-secrets.io/v1alpha1",
                "kind": "PushSecretMetadata", "spec": spec,
            })),
            ..PushItem::default()
        };
        let good: Metadata = item(json!({"secretPushFormat": "string"}))
            .metadata_spec()
            .unwrap();
        assert_eq!(good.secret_push_format, Format::String);
        assert!(
            item(json!({"secretPushFormat": "text"}))
                .metadata_spec::<Metadata>()
                .is_err()
        );
        assert!(
            item(json!({"kmsKeyID": "x"}))
                .metadata_spec::<Metadata>()
                .is_err()
        );
    }
}
