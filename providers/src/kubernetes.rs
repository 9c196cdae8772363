//! The Secrets of one namespace of a cluster.
//!
//! A Secret that is not there is a proved absence only if its namespace is: the API server answers the same for both. The
//! namespace is asked for; where that is not allowed, rights that hold in this namespace only prove it, because they are
//! granted inside of it.

mod connection;
mod payload;
mod rights;
mod write;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use sealwright_crypto::secret::SecretBytes;

use self::connection::{ApiServer, Reply};
use self::payload::{
    data_as_json, data_property, malformed, map_of, metadata_property, payload_of,
};
use crate::json::{Json, Kind};
use crate::listing::Listing;
use crate::outcome::{Absent, Answer, Outcome, Proof, StoreError, Trouble, shown};
use crate::remote::{Find, MetadataPolicy, PushItem, PushSource, RemoteRef, SecretMap};
use crate::settings::kubernetes::KubernetesSettings;
use crate::store::{
    Capabilities, Connection, Content, Deleted, Inspection, Match, Payload, Purpose, Pushed,
    ReadKey, Step, Store, Validation, WriteMode,
};

/// For how long a namespace that was seen counts as being there.
const NAMESPACE_TRUSTED: Duration = Duration::from_secs(60);
/// How many Secrets one search may list.
const MOST_SECRETS: usize = 50_000;
/// How many pages a listing may have.
const MOST_PAGES: usize = 1_000;

/// The Secrets of one namespace of a cluster.
pub struct KubernetesStore {
    api: ApiServer,
    namespace: String,
    cluster_wide: bool,
    referent: bool,
    namespace_seen: Mutex<Option<Instant>>,
}

impl KubernetesStore {
    /// Makes the store. It asks for a token at the first call.
    ///
    /// # Errors
    ///
    /// When settings, certificates or the kubeconfig are wrong.
    pub async fn new(
        settings: &KubernetesSettings,
        connection: &Connection,
    ) -> Result<Self, StoreError> {
        let needs = settings.needs().finish();
        Ok(Self {
            api: ApiServer::new(settings, connection).await?,
            namespace: settings
                .remote_namespace
                .clone()
                .filter(|namespace| !namespace.is_empty())
                .unwrap_or_else(|| "default".to_owned()),
            cluster_wide: connection.scope.kind == crate::credential::StoreKind::Cluster,
            referent: connection.scope.is_unbound()
                && needs
                    .iter()
                    .any(crate::credential::Need::depends_on_consumer),
            namespace_seen: Mutex::new(None),
        })
    }

    async fn read_secret(&self, namespace: &str, name: &str) -> Outcome<SecretBytes> {
        check_name(name)?;
        let path = ["api", "v1", "namespaces", namespace, "secrets", name];
        match self.api.get(&path, &[]).await? {
            Reply::Object(body) => Ok(Answer::Found(body)),
            Reply::NotFound { kind, name: named } if kind == "secrets" && named == name => {
                self.prove_namespace(namespace).await?;
                Ok(Answer::Absent(Absent::proved(Proof::NoSuchKey)))
            }
            Reply::NotFound { .. } => Err(StoreError::invalid(
                "the server does not know Secrets at this address",
            )
            .with_hint("look at `server.url`")),
        }
    }

    /// Makes sure that a namespace exists.
    async fn prove_namespace(&self, namespace: &str) -> Result<(), StoreError> {
        let seen = *self
            .namespace_seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let own = namespace == self.namespace;
        if own && seen.is_some_and(|seen| seen.elapsed() < NAMESPACE_TRUSTED) {
            return Ok(());
        }
        let there = match self
            .api
            .get(&["api", "v1", "namespaces", namespace], &[])
            .await
        {
            Ok(Reply::Object(_)) => true,
            Ok(Reply::NotFound { .. }) => {
                return Err(StoreError::invalid(format!(
                    "there is no namespace {:?}",
                    shown(namespace)
                ))
                .public()
                .with_hint("look at `remoteNamespace`"));
            }
            Err(error) if error.trouble() == Trouble::Forbidden => {
                // A right that holds everywhere says nothing about this namespace.
                !rights::may_get_secrets(&self.api, "sealwright-no-such-namespace").await?
            }
            Err(error) => return Err(error),
        };
        if !there {
            return Err(StoreError::new(
                Trouble::Missing,
                "there is no such Secret, and that its namespace exists cannot be proved",
            )
            .with_hint(format!("allow `get` on the namespace {}", shown(namespace))));
        }
        if own {
            *self
                .namespace_seen
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        Ok(())
    }

    async fn list_secrets(&self, what: &Find) -> Outcome<Vec<Match>> {
        if what.name.is_none() && what.tags.is_none() {
            return Err(StoreError::new(
                Trouble::Unsupported,
                "Kubernetes finds by `name` or `tags` only",
            )
            .public());
        }
        for (name, value) in what.tags.iter().flatten() {
            let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            let named = name.bytes().all(|byte| valid(byte) || byte == b'/') && !name.is_empty();
            // What is no label would be read as more than one condition.
            if !named || !value.bytes().all(valid) {
                let text = format!("`find.tags` holds {:?}, which is no label", shown(name));
                return Err(StoreError::invalid(text).public());
            }
        }
        let selector = what.tags.as_ref().map(|tags| {
            let labels = tags.iter().map(|(name, value)| format!("{name}={value}"));
            labels.collect::<Vec<_>>().join(",")
        });
        let (mut matches, mut listing) = (Vec::new(), Listing::of_pages(MOST_PAGES));
        let mut from: Option<String> = None;
        loop {
            listing.page()?;
            let mut query = vec![("limit", "500")];
            if let Some(selector) = selector.as_deref().filter(|selector| !selector.is_empty()) {
                query.push(("labelSelector", selector));
            }
            if let Some(from) = &from {
                query.push(("continue", from));
            }
            let path = ["api", "v1", "namespaces", &self.namespace, "secrets"];
            let Reply::Object(body) = self.api.get(&path, &query).await? else {
                return Err(malformed("it lists no Secrets"));
            };
            let page = Json::parse(body.expose()).map_err(|_| malformed("it is no JSON"))?;
            let items = page
                .member("items")
                .filter(|items| items.kind() == Kind::Array)
                .ok_or_else(|| malformed("it lists no Secrets"))?;
            for item in items.elements() {
                let metadata = item.member("metadata");
                let name = metadata
                    .and_then(|metadata| metadata.member("name"))
                    .and_then(Json::string)
                    .ok_or_else(|| malformed("a Secret has no name"))?;
                let wanted = selector.is_some()
                    || what
                        .name
                        .as_ref()
                        .is_none_or(|pattern| pattern.matches(name.expose()));
                if !wanted {
                    continue;
                }
                if matches.len() == MOST_SECRETS {
                    return Err(StoreError::new(
                        Trouble::TooLarge,
                        format!("more than {MOST_SECRETS} Secrets match"),
                    ));
                }
                let payload = payload_of(item)?;
                let found = Match {
                    name: what.conversion.convert(name.expose()),
                    content: Content::Here(data_as_json(&payload)),
                };
                listing.found(&found)?;
                matches.push(found);
            }
            from = page
                .member("metadata")
                .and_then(|metadata| metadata.member("continue"))
                .and_then(Json::string)
                .map(|from| from.expose().to_owned())
                .filter(|from| !from.is_empty());
            if from.is_none() {
                return Ok(Answer::Found(matches));
            }
        }
    }

    fn placed<T>(
        &self,
        result: Result<T, StoreError>,
        verb: &str,
        key: &str,
    ) -> Result<T, StoreError> {
        result.map_err(|error| {
            error
                .while_trying(format!("{verb} Secret {}/{}", self.namespace, shown(key)))
                .at_store(self.api.name())
        })
    }
}

/// Refuses what no Secret can be called: such a name would lead to another path.
fn check_name(name: &str) -> Result<(), StoreError> {
    let good = |part: &str| {
        let bytes = part.as_bytes();
        let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
        !bytes.is_empty()
            && bytes.iter().all(inner)
            && bytes[0] != b'-'
            && bytes[bytes.len() - 1] != b'-'
    };
    if name.len() <= 253 && name.split('.').all(good) {
        Ok(())
    } else {
        Err(StoreError::invalid(format!("no Secret can be called {:?}", shown(name))).public())
    }
}

impl Store for KubernetesStore {
    fn describe(&self) -> &str {
        self.api.name()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ReadWrite
    }

    fn locate(&self, at: &RemoteRef) -> Result<ReadKey, StoreError> {
        // Versions do not count, and one call brings data and metadata.
        Ok(ReadKey::value(at.key.as_str(), None))
    }

    fn read<'a>(&'a self, key: &'a ReadKey) -> BoxFuture<'a, Outcome<Payload>> {
        Box::pin(async move {
            let read = async {
                Ok(match self.read_secret(&self.namespace, &key.key).await? {
                    Answer::Found(body) => {
                        let secret = Json::parse(body.expose());
                        let secret = secret.map_err(|_| malformed("it is no JSON"))?;
                        Answer::Found(payload_of(secret)?)
                    }
                    Answer::Absent(absent) => Answer::Absent(absent),
                })
            };
            self.placed(read.await, "read", &key.key)
        })
    }

    fn value(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretBytes> {
        let property = at.wanted_property();
        let found = match (at.metadata, property) {
            (MetadataPolicy::Fetch, property) => metadata_property(payload, property),
            (MetadataPolicy::None, Some(property)) => data_property(payload, property),
            (MetadataPolicy::None, None) => Some(data_as_json(payload)),
        };
        let found = found.ok_or_else(|| {
            let part = match at.metadata {
                MetadataPolicy::Fetch => "metadata",
                MetadataPolicy::None => "data",
            };
            StoreError::new(
                Trouble::Missing,
                format!(
                    "property {} does not exist in {part} of secret {:?}",
                    shown(property.unwrap_or_default()),
                    shown(&at.key)
                ),
            )
            .public()
        });
        self.placed(found, "read", &at.key).map(Answer::Found)
    }

    fn map(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretMap> {
        let values = map_of(at, payload);
        self.placed(values, "read", &at.key).map(Answer::Found)
    }

    fn absence(
        &self,
        at: &RemoteRef,
        purpose: Purpose,
        absent: Absent,
    ) -> Result<Absent, StoreError> {
        match purpose {
            Purpose::Map => Ok(absent),
            // Upstream reports an error here, so that deletion policies have no effect on single values of this store.
            Purpose::Value => self.placed(
                Err(StoreError::new(Trouble::Missing, "there is no such Secret").public()),
                "read",
                &at.key,
            ),
        }
    }

    fn list<'a>(&'a self, what: &'a Find) -> BoxFuture<'a, Outcome<Vec<Match>>> {
        Box::pin(async move { self.placed(self.list_secrets(what).await, "list", "*") })
    }

    fn push<'a>(
        &'a self,
        source: &'a PushSource,
        item: &'a PushItem,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Pushed, StoreError>> {
        Box::pin(async move {
            let pushed = self.push_secret(source, item, mode).await;
            self.placed(pushed, "push", &item.remote_key)
        })
    }

    fn delete<'a>(
        &'a self,
        item: &'a PushItem,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Deleted, StoreError>> {
        Box::pin(async move {
            let deleted = self.delete_secret(item, mode).await;
            self.placed(deleted, "delete", &item.remote_key)
        })
    }

    fn exists<'a>(&'a self, item: &'a PushItem) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let there = async {
                let namespace = self.target_namespace(item)?;
                let body = self.read_secret(&namespace, &item.remote_key).await?;
                let Some(body) = body.found() else {
                    return Ok(false);
                };
                let secret = Json::parse(body.expose()).map_err(|_| malformed("it is no JSON"))?;
                let data = secret.member("data");
                Ok(item
                    .wanted_property()
                    .is_none_or(|key| data.is_some_and(|data| data.member(key).is_some())))
            };
            self.placed(there.await, "look for", &item.remote_key)
        })
    }

    fn validate(&self) -> BoxFuture<'_, Result<Validation, StoreError>> {
        Box::pin(async move {
            if self.referent {
                return Ok(Validation::Unknown);
            }
            let allowed = async {
                if rights::rules_allow_get(&self.api, &self.namespace).await? {
                    return Ok(true);
                }
                rights::may_get_secrets(&self.api, &self.namespace).await
            };
            let allowed = allowed.await;
            match self.placed(allowed, "ask for the rights on", "*") {
                Ok(true) => Ok(Validation::Ready),
                Ok(false) => Err(StoreError::new(
                    Trouble::Forbidden,
                    "client is not allowed to get secrets",
                )
                .public()
                .lacking(format!("get secrets in namespace {}", self.namespace))
                .at_store(self.api.name())),
                // What the review itself fails with says nothing about Secrets (upstream).
                Err(error) if error.trouble() == Trouble::Forbidden => Ok(Validation::Unknown),
                Err(error) => Err(error),
            }
        })
    }

    fn inspect<'a>(&'a self, at: Option<&'a RemoteRef>) -> BoxFuture<'a, Inspection> {
        Box::pin(async move {
            let mut inspection = Inspection {
                principal: self.api.who_am_i().await,
                steps: Vec::new(),
            };
            let allowed = self.validate().await;
            let failed = allowed.is_err();
            inspection.steps.push(Step {
                what: format!("see the rights in namespace {}", self.namespace),
                result: allowed.map(|validation| match validation {
                    Validation::Ready => "may get Secrets".to_owned(),
                    Validation::Unknown => "not known".to_owned(),
                }),
            });
            if let (Some(at), false) = (at, failed) {
                inspection.steps.push(Step::of_read(at, self.get(at).await));
            }
            inspection
        })
    }

    fn neighbours<'a>(&'a self, _: &'a RemoteRef) -> BoxFuture<'a, Vec<String>> {
        Box::pin(async move {
            let all = self.list_secrets(&Find::default()).await;
            let all = all.ok().and_then(Answer::found).unwrap_or_default();
            all.into_iter().map(|found| found.name).collect()
        })
    }
}
