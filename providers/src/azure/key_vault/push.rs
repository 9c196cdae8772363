//! Writing to Azure Key Vault. Only objects with the tag `managed-by: external-secrets` are changed or deleted; the newer
//! dialect also takes over keys and certificates without any tags, as upstream does.

use std::collections::BTreeMap;

use http::Method;
use sealwright_crypto::sealing::{der, pem};
use sealwright_crypto::secret::SecretBytes;
use sealwright_template::pkcs12;
use serde::Deserialize;
use serde_json::json;

use super::jwk::Jwk;
use super::{KeyVault, Object, certificate_in, texts_of};
use crate::bearer::Call;
use crate::json::Json;
use crate::message::{Body, Reply, name_in};
use crate::outcome::{Answer, StoreError, Trouble};
use crate::remote::{PushItem, PushSource};
use crate::store::{Deleted, Pushed, WriteMode};

/// The tag that marks what was pushed from here.
const MANAGED_BY: (&str, &str) = ("managed-by", "external-secrets");

type Tags = BTreeMap<String, String>;

/// What the metadata of a push may say.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Metadata {
    expiration_date: Option<String>,
    content_type: Option<String>,
    tags: Tags,
}

impl Metadata {
    /// The type of the value, unless it is empty.
    fn content_type(&self) -> Option<String> {
        self.content_type.clone().filter(|kind| !kind.is_empty())
    }

    /// The tags that the object gets.
    fn tags(&self) -> Result<Tags, StoreError> {
        if self.tags.contains_key(MANAGED_BY.0) {
            return Err(
                StoreError::invalid("the tag `managed-by` is set by this program").public(),
            );
        }
        let mut tags = self.tags.clone();
        tags.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
        Ok(tags)
    }

    /// When the value expires, in seconds since 1970.
    fn expiry(&self) -> Result<Option<i64>, StoreError> {
        let Some(text) = self
            .expiration_date
            .as_deref()
            .filter(|text| !text.is_empty())
        else {
            return Ok(None);
        };
        let time: Result<jiff::Timestamp, _> = text.parse();
        let wrong = |_| {
            StoreError::invalid("`expirationDate` is no time such as 2030-01-02T15:04:05Z").public()
        };
        Ok(Some(time.map_err(wrong)?.as_second()))
    }
}

/// What is written.
struct Wanted<'a> {
    name: &'a str,
    value: &'a SecretBytes,
    metadata: &'a Metadata,
    tags: Tags,
    there: Option<Reply>,
    mode: WriteMode,
}

impl Wanted<'_> {
    fn outcome(&self, same: bool) -> Pushed {
        match (&self.there, same) {
            (None, _) => Pushed::Created,
            (Some(_), true) => Pushed::Unchanged,
            (Some(_), false) => Pushed::Updated,
        }
    }

    fn there(&self) -> Option<Json<'_>> {
        self.there.as_ref().map(Reply::json)
    }
}

impl KeyVault {
    pub(super) async fn push_item(
        &self,
        source: &PushSource,
        item: &PushItem,
        mode: WriteMode,
    ) -> Result<Pushed, StoreError> {
        let (object, name) = Object::of(&item.remote_key)?;
        let metadata: Metadata = item.metadata_spec()?;
        let value = source.value(item)?;
        let there = match self.get_object(object, name, None).await? {
            Answer::Found(there) => Some(there),
            Answer::Absent(_) => None,
        };
        if let Some(there) = &there {
            let tags = texts_of(there.json().member("tags"));
            let taken = self.new_dialect && object != Object::Secret && tags.is_empty();
            if !is_managed(&tags) && !taken {
                return Err(not_managed());
            }
        }
        let wanted = Wanted {
            name,
            value: &value,
            tags: metadata.tags()?,
            metadata: &metadata,
            there,
            mode,
        };
        match object {
            Object::Secret => self.push_secret(wanted).await,
            Object::Certificate => self.push_certificate(wanted).await,
            Object::Key => self.push_key(wanted).await,
        }
    }

    async fn push_secret(&self, wanted: Wanted<'_>) -> Result<Pushed, StoreError> {
        // The newer dialect knows no expiry.
        let expiry = match self.new_dialect {
            true => None,
            false => wanted.metadata.expiry()?,
        };
        let text = std::str::from_utf8(wanted.value.expose()).map_err(|_| {
            StoreError::invalid("the value is not valid UTF-8, and a vault stores only text")
                .public()
        })?;
        let held = wanted.there();
        let content_type = wanted.metadata.content_type();
        let there_type = held.and_then(|there| name_in(there, "contentType"));
        let same = held.is_some_and(|there| {
            let value = there.member("value").and_then(Json::string);
            let same_value = value.is_some_and(|value| value.expose() == text);
            let until = there.member("attributes");
            let until = until.and_then(|attributes| attributes.member("exp")?.integer());
            let same_expiry = self.new_dialect || until == expiry;
            let same_type = content_type.is_none() || content_type == there_type;
            same_value && same_expiry && same_type
        });
        let outcome = wanted.outcome(same);
        if outcome == Pushed::Unchanged || wanted.mode == WriteMode::DryRun {
            return Ok(outcome);
        }
        let mut attributes = json!({"enabled": true});
        if let Some(expiry) = expiry {
            attributes["exp"] = expiry.into();
        }
        let mut body = Body::new()
            .secret_text("value", wanted.value.expose())
            .value("attributes", &attributes)
            .value("tags", &json!(wanted.tags));
        if let Some(kind) = content_type.or(there_type) {
            body = body.value("contentType", &json!(kind));
        }
        let path = ["secrets", wanted.name];
        self.send(Method::PUT, &path, body, "set the secret", "secrets/set")
            .await?;
        Ok(outcome)
    }

    async fn push_certificate(&self, wanted: Wanted<'_>) -> Result<Pushed, StoreError> {
        let (leaf, content_type) = leaf_of(wanted.value).ok_or_else(|| {
            StoreError::invalid(
                "the value is no certificate: it is neither PKCS#12 without a password, nor DER, nor PEM",
            )
            .public()
        })?;
        let same = match wanted.there() {
            Some(there) => certificate_in(there)?.expose() == leaf,
            None => false,
        };
        let outcome = wanted.outcome(same);
        if outcome == Pushed::Unchanged || wanted.mode == WriteMode::DryRun {
            return Ok(outcome);
        }
        let policy = json!({"secret_props": {"contentType": content_type}});
        let body = Body::new()
            .secret_bytes("value", wanted.value.expose())
            .value("policy", &policy)
            .value("attributes", &json!({"enabled": true}))
            .value("tags", &json!(wanted.tags));
        let path = ["certificates", wanted.name, "import"];
        let what = "import the certificate";
        self.send(Method::POST, &path, body, what, "certificates/import")
            .await?;
        Ok(outcome)
    }

    async fn push_key(&self, wanted: Wanted<'_>) -> Result<Pushed, StoreError> {
        let jwk = Jwk::read(wanted.value).ok_or_else(|| {
            StoreError::invalid(
                "the value is PEM without a private key that a vault takes: RSA, P-256, P-384, P-521",
            )
            .public()
        })?;
        let held = wanted.there().and_then(|there| there.member("key"));
        // The vault never shows what is private, so a symmetric key can only be written again.
        let comparable = jwk.public.len() > 1;
        let same = comparable
            && held.is_some_and(|held| {
                jwk.public.iter().all(|(name, value)| {
                    let there = name_in(held, name).unwrap_or_default();
                    there == *value || *name == "kty" && there == format!("{value}-HSM")
                })
            });
        let outcome = wanted.outcome(same);
        if outcome == Pushed::Unchanged || wanted.mode == WriteMode::DryRun {
            return Ok(outcome);
        }
        let body = Body::new()
            .secret_json("key", jwk.text.expose())
            .value("attributes", &json!({"enabled": true}))
            .value("tags", &json!(wanted.tags));
        let path = ["keys", wanted.name];
        self.send(Method::PUT, &path, body, "import the key", "keys/import")
            .await?;
        Ok(outcome)
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        body: Body,
        what: &str,
        permission: &str,
    ) -> Result<(), StoreError> {
        let body = body.finish();
        let url = self.url(path.iter().copied());
        let call = Call::of(method, url, what, permission).with(&body);
        self.rest.call(call).await?;
        Ok(())
    }

    pub(super) async fn delete_item(
        &self,
        item: &PushItem,
        mode: WriteMode,
    ) -> Result<Deleted, StoreError> {
        let (object, name) = Object::of(&item.remote_key)?;
        let Answer::Found(there) = self.get_object(object, name, None).await? else {
            return Ok(Deleted::Nothing);
        };
        if !is_managed(&texts_of(there.json().member("tags"))) {
            return match self.new_dialect {
                true => Ok(Deleted::NotManaged),
                false => Err(not_managed()),
            };
        }
        if mode == WriteMode::Apply {
            let url = self.url([object.path(), name]);
            let permission = format!("{}/delete", object.path());
            let call = Call::of(Method::DELETE, url, "delete it", &permission);
            self.rest.call(call).await?;
        }
        Ok(Deleted::Key)
    }
}

fn not_managed() -> StoreError {
    StoreError::new(Trouble::Conflict, "not managed by external-secrets")
        .public()
        .with_hint("add the tag managed-by=external-secrets to hand it over")
}

fn is_managed(tags: &Tags) -> bool {
    tags.get(MANAGED_BY.0).map(String::as_str) == Some(MANAGED_BY.1)
}

/// The certificate that a value is about, in DER, and what kind of value it is.
fn leaf_of(value: &SecretBytes) -> Option<(Vec<u8>, &'static str)> {
    let bytes = value.expose();
    let block = pem::read(bytes)
        .into_iter()
        .find(|block| block.label == "CERTIFICATE");
    if let Some(block) = block {
        return Some((block.content?.to_vec(), "application/x-pem-file"));
    }
    if let Ok(chain) = pkcs12::read(bytes, "") {
        let first = chain.certificates.into_iter().next()?;
        return Some((first, "application/x-pkcs12"));
    }
    // A certificate is a sequence of a sequence and nothing behind it.
    let (inner, rest) = der::read(bytes, der::SEQUENCE)?;
    let is_certificate = rest.is_empty() && der::read(inner, der::SEQUENCE).is_some();
    is_certificate.then(|| (bytes.to_vec(), "application/x-pkcs12"))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn metadata_is_strict_and_read() {
        let metadata: Metadata = serde_json::from_value(json!({
            "expirationDate": "2030-01-02T15:04:05Z", "contentType": "text/plain", "tags": {"a": "b"},
        }))
        .unwrap();
        assert_eq!(metadata.expiry().unwrap(), Some(1_893_596_645));
        assert_eq!(metadata.tags().unwrap().len(), 2);
        assert_eq!(metadata.content_type().as_deref(), Some("text/plain"));
        // An empty type is none: what the value has stays.
        let empty: Metadata = serde_json::from_value(json!({"contentType": ""})).unwrap();
        assert_eq!(empty.content_type(), None);
        let reserved: Metadata =
            serde_json::from_value(json!({"tags": {"managed-by": "me"}})).unwrap();
        assert!(reserved.tags().is_err());
        let typo: Result<Metadata, _> = serde_json::from_value(json!({"contentTyp": "x"}));
        assert!(typo.is_err());
        let wrong: Value = json!({"expirationDate": "tomorrow"});
        let wrong: Metadata = serde_json::from_value(wrong).unwrap();
        assert!(wrong.expiry().is_err());
    }

    #[test]
    fn certificates_are_found_in_all_their_clothes() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default()
            .self_signed(&key)
            .unwrap();
        let der = certificate.der().to_vec();
        let of = |bytes: &[u8]| leaf_of(&SecretBytes::copy_of(bytes));
        assert_eq!(of(&der).unwrap().0, der);
        let pem = format!("{}{}", key.serialize_pem(), certificate.pem());
        assert_eq!(of(pem.as_bytes()).unwrap(), (der, "application/x-pem-file"));
        assert!(of(b"no certificate").is_none());
    }
}
