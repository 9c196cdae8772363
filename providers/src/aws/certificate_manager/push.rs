//! Imports of TLS Secrets. A certificate is found again by a tag with the remote key.

use serde::Deserialize;
use serde_json::json;

use super::{CertificateManager, fingerprint};
use crate::aws::tags::{self, MANAGED_BY, Tags};
use crate::json::Json;
use crate::message::{Body, name_in};
use crate::outcome::{StoreError, Trouble, shown};
use crate::remote::{PushItem, PushSource};
use crate::store::{Deleted, Pushed, WriteMode};

/// The tag that holds the remote key.
const REMOTE_KEY: &str = "external-secrets-remote-key";
/// How many pages of found certificates are read.
const MOST_PAGES: usize = 100;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    #[serde(default)]
    tags: Tags,
}

impl CertificateManager {
    pub(super) async fn push_item(
        &self,
        source: &PushSource,
        item: &PushItem,
        mode: WriteMode,
    ) -> Result<Pushed, StoreError> {
        let remote = format!("{}{}", self.prefix, item.remote_key);
        let pushed = self.push_to(&remote, source, item, mode).await;
        pushed.map_err(|error| {
            error
                .while_trying(format!("push to {}", shown(&remote)))
                .at_store(self.api.describe())
        })
    }

    async fn push_to(
        &self,
        remote: &str,
        source: &PushSource,
        item: &PushItem,
        mode: WriteMode,
    ) -> Result<Pushed, StoreError> {
        if item
            .secret_key
            .as_deref()
            .is_some_and(|key| !key.is_empty())
        {
            return Err(StoreError::invalid(
                "secretKey must be empty for the AWS Certificate Manager provider: the whole kubernetes.io/tls secret is required (tls.crt and tls.key)",
            )
            .public());
        }
        let metadata: Metadata = item.metadata_spec()?;
        let part = |key: &str| match source.data.get(key).filter(|value| !value.is_empty()) {
            Some(value) => Ok(value),
            None => Err(StoreError::invalid(format!("the source has no key {key:?}")).public()),
        };
        let (leaf, chain) = split(part("tls.crt")?.expose())?;
        let key = part("tls.key")?;
        let arn = self.arn_of(remote).await?;
        let there = match &arn {
            Some(arn) => self.certificate(arn).await?.map(|public| (arn, public)),
            None => None,
        };
        let import = || {
            let body = Body::new()
                .secret_bytes("Certificate", leaf.as_bytes())
                .secret_bytes("PrivateKey", key.expose());
            match chain.is_empty() {
                true => body,
                false => body.secret_bytes("CertificateChain", chain.as_bytes()),
            }
        };
        let Some((arn, public)) = there else {
            if mode == WriteMode::Apply {
                let marks = Tags::from([
                    (MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned()),
                    (REMOTE_KEY.to_owned(), remote.to_owned()),
                ]);
                let body = import().value("Tags", &tags::to_list(&marks));
                let reply = self.api.call("ImportCertificate", body).await?;
                let arn = reply.name("CertificateArn").unwrap_or_default();
                self.set_tags(&arn, &metadata.tags, mode).await?;
            }
            return Ok(Pushed::Created);
        };
        // One that was imported without a chain is answered with itself as its chain.
        let own_chain = if chain.is_empty() { &leaf } else { &chain };
        let theirs = fingerprint(
            &public.name("Certificate").unwrap_or_default(),
            &public.name("CertificateChain").unwrap_or_default(),
        );
        let same = theirs == fingerprint(&leaf, own_chain) || theirs == fingerprint(&leaf, &chain);
        if !same && mode == WriteMode::Apply {
            self.api
                .call("ImportCertificate", import().text("CertificateArn", arn))
                .await?;
        }
        let tagged = self.set_tags(arn, &metadata.tags, mode).await?;
        Ok(if same && !tagged {
            Pushed::Unchanged
        } else {
            Pushed::Updated
        })
    }

    pub(super) async fn delete_item(
        &self,
        item: &PushItem,
        mode: WriteMode,
    ) -> Result<Deleted, StoreError> {
        let remote = format!("{}{}", self.prefix, item.remote_key);
        let deleted = self.delete_at(&remote, mode).await;
        deleted.map_err(|error| {
            error
                .while_trying(format!("delete {}", shown(&remote)))
                .at_store(self.api.describe())
        })
    }

    async fn delete_at(&self, remote: &str, mode: WriteMode) -> Result<Deleted, StoreError> {
        let Some(arn) = self.arn_of(remote).await? else {
            return Ok(Deleted::Nothing);
        };
        let Some(tags) = self.tags_of(&arn).await? else {
            return Ok(Deleted::Nothing);
        };
        if !tags::is_managed(&tags) {
            return Err(StoreError::new(
                Trouble::Conflict,
                "certificate not managed by external-secrets",
            )
            .public());
        }
        if mode == WriteMode::Apply {
            let body = Body::new().text("CertificateArn", &arn);
            self.api.call("DeleteCertificate", body).await?;
        }
        Ok(Deleted::Key)
    }

    /// Finds the certificate that was imported for a remote key; of several the one whose ARN sorts first.
    pub(super) async fn arn_of(&self, remote: &str) -> Result<Option<String>, StoreError> {
        let filters = json!([
            {"Key": MANAGED_BY.0, "Values": [MANAGED_BY.1]},
            {"Key": REMOTE_KEY, "Values": [remote]},
        ]);
        let mut found: Option<String> = None;
        let mut token = None;
        for _ in 0..MOST_PAGES {
            let body = Body::new()
                .value("ResourceTypeFilters", &json!(["acm:certificate"]))
                .value("TagFilters", &filters)
                .optional("PaginationToken", token.as_deref());
            let reply = self.tagging.call("GetResources", body).await?;
            let resources = reply.json().member("ResourceTagMappingList").into_iter();
            let arns = resources
                .flat_map(Json::elements)
                .filter_map(|one| name_in(one, "ResourceARN"));
            found = found.into_iter().chain(arns).min();
            token = reply.name("PaginationToken");
            if token.is_none() {
                return Ok(found);
            }
        }
        Err(StoreError::new(
            Trouble::TooLarge,
            "the list of certificates has no end",
        ))
    }

    /// The tags of a certificate; nothing where it is gone.
    pub(super) async fn tags_of(&self, arn: &str) -> Result<Option<Tags>, StoreError> {
        let body = Body::new().text("CertificateArn", arn);
        match self.api.call("ListTagsForCertificate", body).await {
            Ok(reply) => Ok(Some(tags::of_list(reply.json().member("Tags")))),
            Err(error) if error.is("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn set_tags(
        &self,
        arn: &str,
        wanted: &Tags,
        mode: WriteMode,
    ) -> Result<bool, StoreError> {
        let is_mark = |key: &String| key == MANAGED_BY.0 || key == REMOTE_KEY;
        let mut there = self.tags_of(arn).await?.unwrap_or_default();
        there.retain(|key, _| !is_mark(key));
        let mut wanted = wanted.clone();
        wanted.retain(|key, _| !is_mark(key));
        let (gone, set) = tags::change(&there, &wanted);
        if mode == WriteMode::Apply {
            let body = || Body::new().text("CertificateArn", arn);
            if !gone.is_empty() {
                let removed: Tags = there
                    .into_iter()
                    .filter(|(key, _)| gone.contains(key))
                    .collect();
                let body = body().value("Tags", &tags::to_list(&removed));
                self.api.call("RemoveTagsFromCertificate", body).await?;
            }
            if !set.is_empty() {
                let body = body().value("Tags", &tags::to_list(&set));
                self.api.call("AddTagsToCertificate", body).await?;
            }
        }
        Ok(!gone.is_empty() || !set.is_empty())
    }
}

/// The first certificate of a PEM text, and the others.
fn split(text: &[u8]) -> Result<(String, String), StoreError> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let none = || StoreError::invalid("`tls.crt` holds no certificate in PEM").public();
    let text = std::str::from_utf8(text).map_err(|_| none())?;
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(BEGIN) {
        let end = rest[start..].find(END).ok_or_else(none)? + start + END.len();
        blocks.push(format!("{}\n", rest[start..end].replace("\r\n", "\n")));
        rest = &rest[end..];
    }
    let mut blocks = blocks.into_iter();
    let leaf = blocks.next().ok_or_else(none)?;
    Ok((leaf, blocks.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_split_into_leaf_and_chain() {
        let one = |name: &str| {
            format!("-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n")
        };
        let text = format!("# comment\n{}{}", one("a"), one("b"));
        assert_eq!(split(text.as_bytes()).unwrap(), (one("a"), one("b")));
        assert!(split(b"none").is_err());
    }
}
