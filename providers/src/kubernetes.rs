//! The Secrets of one namespace of a cluster.
//!
//! A Secret that is not there is a proved absence only if its namespace is: the API server answers the same for both. The
//! namespace is asked for; where that is not allowed, rights that hold in this namespace only prove it, because they are
//! granted inside of it.

mod connection;
mod write;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use self::connection::{ApiServer, Reply};
use crate::json::{self, Html, Json, Kind, Numbers, write_text};
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
/// What stands before the names of data in a payload; the others are metadata.
const DATA: &str = "data/";

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
                !self.may_get_secrets("sealwright-no-such-namespace").await?
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

    async fn may_get_secrets(&self, namespace: &str) -> Result<bool, StoreError> {
        let mut body = SecretWriter::default();
        body.push(
            br#"{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"verb":"get","resource":"secrets","namespace":"#,
        );
        write_text(namespace.as_bytes(), Html::Plain, &mut body);
        body.push(b"}}}");
        let path = [
            "apis",
            "authorization.k8s.io",
            "v1",
            "selfsubjectaccessreviews",
        ];
        let Reply::Object(answer) = self.api.post(&path, body.finish()).await? else {
            return Ok(false);
        };
        let answer = Json::parse(answer.expose()).ok();
        let allowed = answer
            .and_then(|answer| answer.member("status"))
            .and_then(|status| status.member("allowed"));
        Ok(allowed.is_some_and(Json::is_true))
    }

    /// Whether the rules of the namespace let this store read Secrets.
    async fn rules_allow_get(&self) -> Result<bool, StoreError> {
        let mut body = SecretWriter::default();
        body.push(
            br#"{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectRulesReview","spec":{"namespace":"#,
        );
        write_text(self.namespace.as_bytes(), Html::Plain, &mut body);
        body.push(b"}}");
        let path = [
            "apis",
            "authorization.k8s.io",
            "v1",
            "selfsubjectrulesreviews",
        ];
        let Reply::Object(answer) = self.api.post(&path, body.finish()).await? else {
            return Ok(false);
        };
        let Ok(answer) = Json::parse(answer.expose()) else {
            return Ok(false);
        };
        Ok(allows_get(answer))
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

fn malformed(what: &str) -> StoreError {
    StoreError::new(
        Trouble::Malformed,
        format!("the answer is not one of an API server: {what}"),
    )
}

/// Returns true if a rule of a review lets Secrets be read: those of the core group, which a rule without groups means too.
fn allows_get(review: Json<'_>) -> bool {
    let holds = |rule: Json<'_>, field: &str, wanted: &str| {
        rule.member(field)
            .into_iter()
            .flat_map(Json::elements)
            .filter_map(Json::string)
            .any(|item| item.expose() == wanted || item.expose() == "*")
    };
    let has_no_groups = |rule: Json<'_>| {
        let groups = rule.member("apiGroups");
        groups.is_none_or(|groups| groups.elements().next().is_none())
    };
    let rules = review
        .member("status")
        .and_then(|status| status.member("resourceRules"));
    rules.into_iter().flat_map(Json::elements).any(|rule| {
        holds(rule, "resources", "secrets")
            && holds(rule, "verbs", "get")
            && (has_no_groups(rule) || holds(rule, "apiGroups", ""))
    })
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

/// The data of a Secret, decoded, with its labels and annotations.
fn payload_of(secret: Json<'_>) -> Result<Payload, StoreError> {
    let mut parts = SecretMap::new();
    for (name, value) in secret.member("data").into_iter().flat_map(Json::members) {
        let text = value.string().unwrap_or_default();
        let bytes = STANDARD
            .decode(text.expose())
            .map_err(|_| malformed("its data is not base64"))?;
        parts.insert(format!("{DATA}{}", name.expose()), SecretBytes::from(bytes));
    }
    let metadata = secret.member("metadata");
    for part in ["labels", "annotations"] {
        let value = metadata.and_then(|metadata| metadata.member(part));
        let mut out = SecretWriter::default();
        match value.filter(|value| value.kind() == Kind::Object) {
            Some(value) => json::encode_with(value, Numbers::Literal, Html::Plain, &mut out),
            // To upstream, a map that the Secret does not have is null.
            None => out.push(b"null"),
        }
        parts.insert(part.to_owned(), out.finish());
    }
    Ok(Payload::of_parts(parts))
}

fn data_of(payload: &Payload) -> impl Iterator<Item = (&str, &SecretBytes)> {
    let parts = payload.parts().iter();
    parts.filter_map(|(name, value)| Some((name.strip_prefix(DATA)?, value)))
}

/// All data as a JSON object of strings; what is not UTF-8 is replaced, as upstream does.
fn data_as_json(payload: &Payload) -> SecretBytes {
    let mut members = BTreeMap::new();
    for (name, value) in data_of(payload) {
        let mut text = SecretWriter::with_capacity(value.len() + 2);
        write_text(value.expose(), Html::Plain, &mut text);
        members.insert(name.to_owned(), text.finish());
    }
    json::object_of_raw(&members)
}

/// What a property of a Secret's data means: the key of that very name, or a path into the JSON behind the first dot.
fn data_property(payload: &Payload, property: &str) -> Option<SecretBytes> {
    if let Some(value) = payload.part(&format!("{DATA}{property}")) {
        return Some(SecretBytes::copy_of(value.expose()));
    }
    let (key, path) = property.split_once('.')?;
    if key.is_empty() || path.is_empty() || path.ends_with('.') {
        return None;
    }
    let value = payload.part(&format!("{DATA}{key}"))?;
    json::path::get(value.expose(), path).map(|found| found.text())
}

fn metadata_property(payload: &Payload, property: Option<&str>) -> Option<SecretBytes> {
    let part = |name: &str| {
        payload
            .part(name)
            .map(|part| SecretBytes::copy_of(part.expose()))
    };
    let Some(property) = property else {
        let mut members = BTreeMap::new();
        for name in ["annotations", "labels"] {
            members.insert(name.to_owned(), part(name)?);
        }
        return Some(json::object_of_raw(&members));
    };
    let (name, rest) = match property.split_once('.') {
        None => return matches!(property, "labels" | "annotations").then(|| part(property))?,
        Some(split) => split,
    };
    if !matches!(name, "labels" | "annotations") {
        return None;
    }
    let object = payload.part(name)?;
    let object = Json::parse(object.expose()).ok()?;
    if let Some(value) = object.member(rest) {
        return Some(value.unquoted());
    }
    let (label, path) = rest.split_once('.')?;
    let text = object.member(label)?.string()?;
    json::path::get(text.expose().as_bytes(), path).map(|found| found.text())
}

/// The names and values that `extract` gives: the data or the metadata, or with a property the members of one of them.
///
/// A property is the name of a data key, `labels` or `annotations`. Upstream looks for it in an object of base64 texts, so a
/// path never leads into a value.
fn map_of(at: &RemoteRef, payload: &Payload) -> Result<SecretMap, StoreError> {
    let copy = |value: &SecretBytes| SecretBytes::copy_of(value.expose());
    let is_metadata = at.metadata == MetadataPolicy::Fetch;
    let metadata = ["labels", "annotations"];
    let Some(property) = at.wanted_property() else {
        if !is_metadata {
            let data = data_of(payload);
            return Ok(data
                .map(|(name, value)| (name.to_owned(), copy(value)))
                .collect());
        }
        let parts = metadata.into_iter();
        return Ok(parts
            .filter_map(|name| Some((name.to_owned(), copy(payload.part(name)?))))
            .collect());
    };
    let value = if !is_metadata {
        payload.part(&format!("{DATA}{property}"))
    } else if metadata.contains(&property) {
        payload.part(property)
    } else {
        None
    };
    let value = value.ok_or_else(|| {
        let text = format!(
            "property {} does not exist in key {}",
            shown(property),
            shown(&at.key)
        );
        StoreError::new(Trouble::Missing, text).public()
    })?;
    let object = Json::parse(value.expose())
        .ok()
        // To upstream, null is an object without members.
        .filter(|object| matches!(object.kind(), Kind::Object | Kind::Null))
        .ok_or_else(|| StoreError::new(Trouble::Missing, "the value is no JSON object").public())?;
    // Members stay JSON: strings keep their quotes, as upstream has it.
    let members = object.members().map(|(name, value)| {
        let mut out = SecretWriter::default();
        json::encode_with(value, Numbers::Float, Html::Plain, &mut out);
        (name.expose().to_owned(), out.finish())
    });
    Ok(members.collect())
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
                if self.rules_allow_get().await? {
                    return Ok(true);
                }
                self.may_get_secrets(&self.namespace).await
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
                inspection.steps.push(Step {
                    what: format!("read {}", shown(&at.key)),
                    result: self.get(at).await.map(|answer| match answer {
                        Answer::Found(value) => format!("{} bytes", value.len()),
                        Answer::Absent(absent) => absent.proof().to_string(),
                    }),
                });
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

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(secret: &str) -> Payload {
        payload_of(Json::parse(secret.as_bytes()).unwrap()).unwrap()
    }

    fn text(value: &SecretBytes) -> String {
        String::from_utf8(value.expose().to_vec()).unwrap()
    }

    #[test]
    fn metadata_that_is_missing_is_null_and_signs_stay_unescaped() {
        let bare = payload(r#"{"metadata": {"name": "db"}}"#);
        assert_eq!(
            text(&metadata_property(&bare, None).unwrap()),
            r#"{"annotations":null,"labels":null}"#
        );
        assert_eq!(
            text(&metadata_property(&bare, Some("labels")).unwrap()),
            "null"
        );
        assert!(metadata_property(&bare, Some("labels.app")).is_none());
        let noted = payload(
            r#"{"metadata": {"annotations": {"note": "<a&b>", "app": "\u003c"}, "labels": {}}}"#,
        );
        assert_eq!(
            text(&metadata_property(&noted, None).unwrap()),
            r#"{"annotations":{"app":"<","note":"<a&b>"},"labels":{}}"#
        );
    }

    #[test]
    fn rules_of_other_groups_say_nothing_about_secrets() {
        for (rule, expected) in [
            (
                r#""apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]"#,
                true,
            ),
            (
                r#""apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]"#,
                true,
            ),
            (
                r#""apiGroups": [], "resources": ["secrets"], "verbs": ["get"]"#,
                true,
            ),
            (
                r#""apiGroups": null, "resources": ["secrets"], "verbs": ["get"]"#,
                true,
            ),
            (
                r#""resources": ["secrets"], "verbs": ["list", "get"]"#,
                true,
            ),
            (
                r#""apiGroups": ["apps"], "resources": ["*"], "verbs": ["*"]"#,
                false,
            ),
            (
                r#""apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]"#,
                false,
            ),
        ] {
            let review = format!(r#"{{"status": {{"resourceRules": [{{{rule}}}]}}}}"#);
            let review = Json::parse(review.as_bytes()).unwrap();
            assert_eq!(allows_get(review), expected, "{rule}");
        }
        assert!(!allows_get(Json::parse(b"{}").unwrap()));
    }

    #[test]
    fn an_extracted_property_is_a_whole_key_and_its_members_stay_json() {
        // {"a": {"b": "<c>"}, "n": 1.50}, {"d": "&"} and null.
        let secret = payload(
            r#"{"data": {"json": "eyJhIjogeyJiIjogIjxjPiJ9LCAibiI6IDEuNTB9", "x.json": "eyJkIjogIiYifQ==", "none": "bnVsbA=="},
                "metadata": {"labels": {"app": "shop"}}}"#,
        );
        let lines = |at: &RemoteRef| -> Vec<String> {
            let map = map_of(at, &secret).unwrap();
            let lines = map.iter();
            lines
                .map(|(name, value)| format!("{name}={}", text(value)))
                .collect()
        };
        let at = |property: &str| RemoteRef::new("db").property(property);
        assert_eq!(lines(&at("json")), [r#"a={"b":"<c>"}"#, "n=1.5"]);
        assert_eq!(lines(&at("x.json")), [r#"d="&""#]);
        assert!(lines(&at("none")).is_empty());
        assert_eq!(lines(&at("labels").metadata()), [r#"app="shop""#]);
        assert!(lines(&at("annotations").metadata()).is_empty());
        let all = RemoteRef::new("db").metadata();
        assert_eq!(
            lines(&all),
            ["annotations=null", r#"labels={"app":"shop"}"#]
        );
        for (at, property) in [
            (at("json.a"), "json.a"),
            (at("labels.app").metadata(), "labels.app"),
            (at("json").metadata(), "json"),
            (at("labels"), "labels"),
        ] {
            let error = map_of(&at, &secret).unwrap_err();
            assert_eq!(error.trouble(), Trouble::Missing);
            let wanted = format!("property {property} does not exist in key db");
            assert!(error.to_string().contains(&wanted), "{error}");
        }
    }
}
