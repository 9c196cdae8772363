//! Values that are announced as changed: what depends on them is refreshed at once, and not at the end of its interval.
//!
//! Who announces something proves who they are: by a token that the controller reads from a file, or as a user of the cluster
//! who may update ExternalSecrets ([`Gate`]). Nothing of a value is in a request or an answer: the values are read from the
//! store, as in every refresh.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

use sealwright_crypto::secret::SecretBytes;
use sealwright_resources::external_secret::data::{self, Query, Source};
use sealwright_resources::external_secret::{ExternalSecret, StoreKind};
use serde::Deserialize;
use serde_json::json;

use crate::action;
use crate::api::{Api, ApiError};
use crate::stores::StoreId;

/// Whom tokens of the cluster have to be made for.
const AUDIENCE: &str = "sealwright";
/// Tokens are not longer.
const LONGEST_TOKEN: u64 = 16 << 10;
/// Keys of one announcement.
const MOST_KEYS: usize = 1000;
/// Stands for every key of a store that is searched.
const ANY_KEY: &str = "*";

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Announcement {
    /// One ExternalSecret is to be refreshed.
    Object { namespace: String, name: String },
    /// Keys of a store have changed; without keys all of it.
    Store { id: StoreId, keys: Vec<String> },
}

/// Why an announcement is not understood; the text is for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misunderstood(&'static str);

impl Announcement {
    /// Reads the body of a request.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Misunderstood> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        struct Body {
            namespace: Option<String>,
            name: Option<String>,
            store: Option<String>,
            cluster_store: Option<String>,
            #[serde(default)]
            keys: Vec<String>,
        }
        let body: Body = serde_json::from_slice(body)
            .map_err(|_| Misunderstood("the body is no JSON of an announcement"))?;
        if body.keys.len() > MOST_KEYS {
            return Err(Misunderstood("there are more than 1000 keys"));
        }
        match (body.namespace, body.name, body.store, body.cluster_store) {
            (Some(namespace), Some(name), None, None) if body.keys.is_empty() => {
                Ok(Self::Object { namespace, name })
            }
            (Some(namespace), None, Some(name), None) => Ok(Self::Store {
                id: StoreId {
                    kind: StoreKind::SecretStore,
                    namespace,
                    name,
                },
                keys: body.keys,
            }),
            (None, None, None, Some(name)) => Ok(Self::Store {
                id: StoreId {
                    kind: StoreKind::ClusterSecretStore,
                    namespace: String::new(),
                    name,
                },
                keys: body.keys,
            }),
            _ => Err(Misunderstood(
                "namespace and name, namespace and store, or clusterStore are needed",
            )),
        }
    }

    /// The namespace whose ExternalSecrets it is about; nothing for all of them.
    pub(crate) fn namespace(&self) -> Option<&str> {
        match self {
            Self::Object { namespace, .. } => Some(namespace),
            Self::Store { id, .. } => Some(&*id.namespace).filter(|name| !name.is_empty()),
        }
    }

    /// Returns true if it is about an object that reads this.
    pub(crate) fn is_about(&self, name: &str, reads: &Reads) -> bool {
        match self {
            Self::Object { name: meant, .. } => meant == name,
            Self::Store { id, keys } if keys.is_empty() => reads.has(id, ""),
            Self::Store { id, keys } => {
                reads.has(id, ANY_KEY) || keys.iter().any(|key| reads.has(id, key))
            }
        }
    }
}

/// What an ExternalSecret reads, in eight bytes for each store and key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reads(Box<[u64]>);

impl Reads {
    /// What this object reads.
    pub(crate) fn of(object: &ExternalSecret) -> Self {
        let mut all = Vec::new();
        for request in data::requests(&object.spec) {
            let Source::Store(reference) = request.source else {
                continue;
            };
            let id = StoreId::of(reference, object.namespace());
            all.push(short(&id, ""));
            all.push(match request.query {
                Query::Value(remote) | Query::Map(remote) => short(&id, &remote.key),
                Query::Find(_) | Query::Generate => short(&id, ANY_KEY),
            });
        }
        all.sort_unstable();
        all.dedup();
        Self(all.into_boxed_slice())
    }

    fn has(&self, id: &StoreId, key: &str) -> bool {
        self.0.binary_search(&short(id, key)).is_ok()
    }
}

/// A short name; two that are the same by chance cost a refresh and nothing else.
fn short(id: &StoreId, key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (id, key).hash(&mut hasher);
    hasher.finish()
}

/// Refreshes what announcements are about.
pub(crate) trait Announced: Send + Sync {
    /// Has everything refreshed that an announcement is about; returns how many objects that is.
    fn announce(&self, announcement: &Announcement) -> usize;
}

/// Whether a caller may announce something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    /// It may.
    Granted,
    /// It is not known who that is.
    Unknown,
    /// It may not.
    Denied,
}

/// Decides who may announce what.
pub(crate) enum Gate {
    /// Anyone who has the token in this file.
    Token(PathBuf),
    /// Users of the cluster who may update ExternalSecrets.
    Cluster(Arc<Api>),
}

impl Gate {
    /// Decides about a caller with this token.
    pub(crate) async fn passes(
        &self,
        token: &SecretBytes,
        announcement: &Announcement,
    ) -> Result<Passage, ApiError> {
        match self {
            Self::Token(path) => Ok(match expected(path) {
                Some(expected) if expected == *token => Passage::Granted,
                _ => Passage::Unknown,
            }),
            Self::Cluster(api) => review(api, token, announcement).await,
        }
    }
}

/// Reads the token each time, because others renew it.
fn expected(path: &PathBuf) -> Option<SecretBytes> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(LONGEST_TOKEN).read_to_end(&mut bytes).ok()?;
    let bytes = SecretBytes::from(bytes);
    let token = SecretBytes::copy_of(bytes.expose().trim_ascii());
    // An empty file would let everyone in.
    (!token.is_empty()).then_some(token)
}

async fn review(
    api: &Api,
    token: &SecretBytes,
    announcement: &Announcement,
) -> Result<Passage, ApiError> {
    let Ok(token) = std::str::from_utf8(token.expose()) else {
        return Ok(Passage::Unknown);
    };
    let reviewed = action::review_token(api, token, Some(AUDIENCE)).await?;
    let Some(user) = reviewed else {
        return Ok(Passage::Unknown);
    };
    let name = match announcement {
        Announcement::Object { name, .. } => Some(name),
        Announcement::Store { .. } => None,
    };
    let asked = json!({"resourceAttributes": {
        "group": sealwright_resources::external_secret::GROUP,
        "resource": "externalsecrets",
        "verb": "update",
        "namespace": announcement.namespace(),
        "name": name,
    }});
    Ok(match action::review_access(api, &user, asked).await? {
        true => Passage::Granted,
        false => Passage::Denied,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Announcement, Misunderstood> {
        Announcement::read(body.as_bytes())
    }

    #[test]
    fn announcements_name_an_object_or_a_store() {
        assert_eq!(
            read(r#"{"namespace": "a", "name": "b"}"#),
            Ok(Announcement::Object {
                namespace: "a".to_owned(),
                name: "b".to_owned()
            })
        );
        let store = read(r#"{"namespace": "a", "store": "s", "keys": ["k"]}"#).unwrap();
        assert_eq!(store.namespace(), Some("a"));
        let cluster = read(r#"{"clusterStore": "s"}"#).unwrap();
        assert_eq!(cluster.namespace(), None);
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"namespace": "a"}"#,
            r#"{"name": "b"}"#,
            r#"{"store": "s"}"#,
            r#"{"namespace": "a", "name": "b", "keys": ["k"]}"#,
            r#"{"namespace": "a", "name": "b", "value": "v"}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_object_is_meant_by_what_it_reads() {
        let object: ExternalSecret = serde_json::from_value(json!({
            "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
            "metadata": {"namespace": "a", "name": "es"},
            "spec": {
                "secretStoreRef": {"name": "s"},
                "data": [{"secretKey": "x", "remoteRef": {"key": "k"}}],
                "dataFrom": [{"find": {}, "sourceRef": {"storeRef": {"kind": "ClusterSecretStore", "name": "c"}}}],
            },
        }))
        .unwrap();
        let reads = Reads::of(&object);
        let is_about = |body: &str| read(body).unwrap().is_about("es", &reads);
        assert!(is_about(r#"{"namespace": "a", "name": "es"}"#));
        assert!(!is_about(r#"{"namespace": "a", "name": "other"}"#));
        assert!(is_about(r#"{"namespace": "a", "store": "s"}"#));
        assert!(is_about(
            r#"{"namespace": "a", "store": "s", "keys": ["j", "k"]}"#
        ));
        assert!(!is_about(
            r#"{"namespace": "a", "store": "s", "keys": ["j"]}"#
        ));
        assert!(!is_about(
            r#"{"namespace": "b", "store": "s", "keys": ["k"]}"#
        ));
        // What is searched may be anything.
        assert!(is_about(r#"{"clusterStore": "c", "keys": ["j"]}"#));
        assert!(!is_about(r#"{"clusterStore": "d"}"#));
    }

    #[test]
    fn an_empty_file_lets_no_one_in() {
        let path = std::env::temp_dir().join(format!("sealwright-token-{}", std::process::id()));
        for (content, token) in [("", None), (" \n", None), ("abc\n", Some(&b"abc"[..]))] {
            std::fs::write(&path, content).unwrap();
            let read = expected(&path);
            assert_eq!(read.as_ref().map(SecretBytes::expose), token);
        }
        std::fs::remove_file(&path).unwrap();
        assert!(expected(&path).is_none());
    }
}
