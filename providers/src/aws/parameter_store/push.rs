//! Writing to AWS Parameter Store. A push replaces the whole value, also where it names a property, as upstream's does.
//! Only parameters with the tag `managed-by: external-secrets` are changed or deleted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use serde::Deserialize;
use serde_json::json;

use super::{ParameterStore, malformed, value_of};
use crate::aws::tags::{self, Tags};
use crate::json::{Html, write_text};
use crate::message::{Body, name_in};
use crate::outcome::{StoreError, Trouble, shown};
use crate::remote::{PushItem, PushSource};
use crate::store::{Deleted, Pushed, WriteMode};

/// What the metadata of a push may say.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Metadata {
    secret_type: Option<ParameterType>,
    #[serde(rename = "kmsKeyID")]
    kms_key_id: Option<String>,
    tier: Option<Tier>,
    #[serde(default)]
    encode_as_decoded: bool,
    tags: Option<Tags>,
    description: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum ParameterType {
    String,
    SecureString,
    StringList,
}

impl ParameterType {
    fn name(self) -> &'static str {
        match self {
            Self::String => "String",
            Self::SecureString => "SecureString",
            Self::StringList => "StringList",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tier {
    #[serde(rename = "type", default)]
    kind: TierKind,
    policies: Option<serde_json::Value>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum TierKind {
    #[default]
    Standard,
    Advanced,
}

impl ParameterStore {
    pub(super) async fn push_item(
        &self,
        source: &PushSource,
        item: &PushItem,
        mode: WriteMode,
    ) -> Result<Pushed, StoreError> {
        let name = self.parameter(&item.remote_key, None);
        let pushed = self.push_to(&name, source, item, mode).await;
        pushed.map_err(|error| {
            error
                .while_trying(format!("push to {}", shown(&name)))
                .at_store(self.api.describe())
        })
    }

    async fn push_to(
        &self,
        name: &str,
        source: &PushSource,
        item: &PushItem,
        mode: WriteMode,
    ) -> Result<Pushed, StoreError> {
        let metadata: Metadata = item.metadata_spec()?;
        let wanted = tags::wanted(metadata.tags.as_ref().unwrap_or(&Tags::new()))?;
        let value = value_to_push(source, item, metadata.encode_as_decoded)?;
        let body = Body::new()
            .text("Name", name)
            .value("WithDecryption", &json!(true));
        let there = match self.api.call("GetParameter", body).await {
            Ok(reply) => Some(reply),
            Err(error) if error.is("ParameterNotFound") => None,
            Err(error) => return Err(error.into()),
        };
        let Some(there) = there else {
            if mode == WriteMode::Apply {
                let body = self.put(name, &metadata, ParameterType::String.name(), &value)?;
                let body = body
                    .value("Overwrite", &json!(false))
                    .value("Tags", &tags::to_list(&wanted));
                self.api.call("PutParameter", body).await?;
            }
            return Ok(Pushed::Created);
        };
        let tags = self.tags(name).await?;
        if !tags::is_managed(&tags) {
            return Err(StoreError::new(
                Trouble::Conflict,
                "parameter not managed by external-secrets",
            )
            .public()
            .with_hint("add the tag managed-by=external-secrets to hand it over"));
        }
        let parameter = there.json().member("Parameter").ok_or_else(malformed)?;
        let held = value_of(parameter)?;
        let kind = name_in(parameter, "Type").unwrap_or_default();
        let same_kind = metadata
            .secret_type
            .is_none_or(|wanted| wanted.name() == kind);
        let same_value = held == value && same_kind;
        // Upstream stops at an equal value, and then tags never reach AWS.
        let (gone, set) = match metadata.tags.as_ref().is_none_or(Tags::is_empty) {
            true => Default::default(),
            false => tags::change(&tags, &wanted),
        };
        if same_value && gone.is_empty() && set.is_empty() {
            return Ok(Pushed::Unchanged);
        }
        if mode == WriteMode::DryRun {
            return Ok(Pushed::Updated);
        }
        if !same_value {
            let body = self.put(name, &metadata, &kind, &value)?;
            self.api
                .call("PutParameter", body.value("Overwrite", &json!(true)))
                .await?;
        }
        let resource = || {
            Body::new()
                .text("ResourceType", "Parameter")
                .text("ResourceId", name)
        };
        if !gone.is_empty() {
            let body = resource().value("TagKeys", &json!(gone));
            self.api.call("RemoveTagsFromResource", body).await?;
        }
        if !set.is_empty() {
            let body = resource().value("Tags", &tags::to_list(&set));
            self.api.call("AddTagsToResource", body).await?;
        }
        Ok(Pushed::Updated)
    }

    fn put(
        &self,
        name: &str,
        metadata: &Metadata,
        held: &str,
        value: &SecretBytes,
    ) -> Result<Body, StoreError> {
        if std::str::from_utf8(value.expose()).is_err() {
            return Err(StoreError::invalid(
                "the value is not valid UTF-8, which parameters must be",
            )
            .public());
        }
        // What is encrypted there stays so unless the metadata names a type.
        let kind = metadata.secret_type.map_or(held, |kind| kind.name());
        let mut body = Body::new().text("Name", name).text("Type", kind).text(
            "Description",
            tags::description(metadata.description.as_deref()),
        );
        if kind == ParameterType::SecureString.name() {
            let key = metadata.kms_key_id.as_deref();
            let key = key.filter(|key| !key.is_empty());
            body = body.text("KeyId", key.unwrap_or("alias/aws/ssm"));
        }
        if let Some(Tier {
            kind: TierKind::Advanced,
            policies,
        }) = &metadata.tier
        {
            body = body.text("Tier", "Advanced");
            if let Some(policies) = policies {
                body = body.text("Policies", &policies.to_string());
            }
        }
        Ok(body.secret_text("Value", value.expose()))
    }

    pub(super) async fn delete_item(
        &self,
        item: &PushItem,
        mode: WriteMode,
    ) -> Result<Deleted, StoreError> {
        let name = self.parameter(&item.remote_key, None);
        let deleted = self.delete_at(&name, mode).await;
        deleted.map_err(|error| {
            error
                .while_trying(format!("delete {}", shown(&name)))
                .at_store(self.api.describe())
        })
    }

    async fn delete_at(&self, name: &str, mode: WriteMode) -> Result<Deleted, StoreError> {
        let body = Body::new()
            .text("Name", name)
            .value("WithDecryption", &json!(true));
        match self.api.call("GetParameter", body).await {
            Ok(_) => {}
            Err(error) if error.is("ParameterNotFound") => return Ok(Deleted::Nothing),
            Err(error) => return Err(error.into()),
        }
        if !tags::is_managed(&self.tags(name).await?) {
            return Ok(Deleted::NotManaged);
        }
        if mode == WriteMode::Apply {
            self.api
                .call("DeleteParameter", Body::new().text("Name", name))
                .await?;
        }
        Ok(Deleted::Key)
    }
}

/// The pushed value. All keys together become an object whose values are in base64, as Kubernetes spells them, unless
/// the metadata asks for the plain ones.
fn value_to_push(
    source: &PushSource,
    item: &PushItem,
    decoded: bool,
) -> Result<SecretBytes, StoreError> {
    let all = item.secret_key.as_deref().is_none_or(str::is_empty);
    if !all || decoded {
        return source.value(item);
    }
    let mut out = SecretWriter::default();
    out.push_byte(b'{');
    for (count, (name, value)) in source.data.iter().enumerate() {
        if count > 0 {
            out.push_byte(b',');
        }
        write_text(name.as_bytes(), Html::Plain, &mut out);
        out.push(b":\"");
        let place = out.extend_zeroed(value.len().div_ceil(3) * 4);
        STANDARD
            .encode_slice(value.expose(), place)
            .expect("the place is of that size");
        out.push_byte(b'"');
    }
    out.push_byte(b'}');
    Ok(out.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::SecretMap;

    #[test]
    fn all_keys_together_are_in_base64_unless_asked_otherwise() {
        let source = PushSource {
            data: SecretMap::from([("a".to_owned(), SecretBytes::copy_of(b"1"))]),
            ..PushSource::default()
        };
        let item = PushItem::default();
        let text = |decoded| value_to_push(&source, &item, decoded).unwrap();
        assert_eq!(text(false).expose(), br#"{"a":"MQ=="}"#);
        assert_eq!(text(true).expose(), br#"{"a":"1"}"#);
    }
}
