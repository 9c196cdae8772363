//! Google Secret Manager.

mod push;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use http::Method;
use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use tokio::sync::OnceCell;

use super::api::GoogleErrors;
use super::checksum::crc32c;
use super::metadata::Metadata;
use super::sign_in;
use crate::bearer::{Call, CallError, Rest};
use crate::credential::Scope;
use crate::http::url::Url;
use crate::http::{HttpClient, HttpSettings, Limits};
use crate::json::{self, Html, Json, write_text};
use crate::listing::Listing;
use crate::message::{Reply, bytes_in, name_in};
use crate::outcome::{Absent, Answer, Outcome, Proof, StoreError, Trouble, shown};
use crate::remote::{Find, MetadataPolicy, PushItem, PushSource, RemoteRef, SecretMap};
use crate::settings::gcp::{GcpSettings, GcpVersionSelection};
use crate::store::{
    Capabilities, Connection, Content, Deleted, Inspection, Match, Payload, Pushed, ReadKey, Store,
    Validation, WriteMode,
};

/// How many entries a page of a listing has.
const PAGE: &str = "500";
/// How many pages a listing may have.
const MOST_PAGES: usize = 1_000;
/// The version that is read when none is named.
const LATEST: &str = "latest";

/// Google Secret Manager as a store.
pub(super) struct SecretManager {
    rest: Rest,
    base: Url,
    project: OnceCell<String>,
    location: Option<String>,
    selection: GcpVersionSelection,
    scope: Scope,
    depends_on_consumer: bool,
    timeout: Option<Duration>,
}

impl SecretManager {
    pub(super) fn new(settings: &GcpSettings, connection: &Connection) -> Result<Self, StoreError> {
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let location = text(&settings.location);
        let host = match &location {
            Some(location) => format!("https://secretmanager.{location}.rep.googleapis.com"),
            None => "https://secretmanager.googleapis.com".to_owned(),
        };
        let base = Url::parse(&host).map_err(|error| error.at_field("location"))?;
        let http = Arc::new(HttpClient::new(HttpSettings {
            guard: connection.guard,
            limits: Limits::within(connection.timeout),
            ..HttpSettings::default()
        })?);
        let tokens = sign_in::of_store(settings, connection, &http)?;
        let identity = settings
            .auth
            .as_ref()
            .and_then(|auth| auth.workload_identity.as_ref());
        let cluster_project = identity.and_then(|identity| text(&identity.cluster_project_id));
        let project = text(&settings.project_id);
        let describe = match (&project, &location) {
            (Some(project), Some(location)) => {
                format!(
                    "Google Secret Manager of {} in {}",
                    shown(project),
                    shown(location)
                )
            }
            (Some(project), None) => format!("Google Secret Manager of {}", shown(project)),
            (None, _) => "Google Secret Manager".to_owned(),
        };
        Ok(Self {
            rest: Rest::new(http, Arc::new(tokens), &GoogleErrors, describe),
            base,
            project: OnceCell::new_with(project.or(cluster_project)),
            location,
            selection: settings.secret_version_selection_policy.unwrap_or_default(),
            scope: connection.scope.clone(),
            depends_on_consumer: settings.depends_on_consumer(),
            timeout: connection.timeout,
        })
    }

    /// Where the secrets of the project lie.
    async fn parent(&self) -> Result<Url, StoreError> {
        let project = self.project.get_or_try_init(|| async {
            let metadata = Metadata::new(
                &sealwright_crypto::surroundings::SystemSurroundings,
                self.timeout,
            )?;
            let path = ["project", "project-id"];
            let project = metadata.text(path, "project").await;
            project.map_err(|error| {
                error
                    .at_store(self.rest.describe())
                    .with_hint("set projectID in the store")
            })
        });
        let url = self.base.with_segments(["v1", "projects", project.await?]);
        Ok(match &self.location {
            Some(location) => url.with_segments(["locations", location]),
            None => url,
        })
    }

    async fn secret(&self, key: &str) -> Result<Url, StoreError> {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if key.is_empty() || key.len() > 255 || !key.bytes().all(valid) {
            return Err(StoreError::invalid(format!(
                "{:?} is no name of a secret of Google: those have letters, digits, - and _",
                shown(key)
            ))
            .public()
            .at_store(self.rest.describe()));
        }
        Ok(self.parent().await?.with_segments(["secrets", key]))
    }

    /// Reads a version; an absence is proved by the service's own words.
    async fn access(&self, key: &str, version: &str) -> Result<Answer<SecretBytes>, CallError> {
        let url = self.secret(key).await.map_err(call_error)?;
        let url = url.with_segments(["versions", &format!("{version}:access")]);
        let what = format!("read version {} of {}", shown(version), shown(key));
        let call = Call::get(url, &what, "secretmanager.versions.access");
        match self.rest.call(call).await {
            Ok(reply) => {
                let value = self.value_of(&reply).map_err(|error| {
                    call_error(error.while_trying(what).at_store(self.rest.describe()))
                })?;
                Ok(Answer::Found(value))
            }
            Err(error) => match proof_of(&error) {
                Some(absent) => Ok(Answer::Absent(absent)),
                None => Err(error),
            },
        }
    }

    fn value_of(&self, reply: &Reply) -> Result<SecretBytes, StoreError> {
        let malformed = |text: &str| StoreError::new(Trouble::Malformed, text.to_owned());
        let payload = reply.json().member("payload");
        let payload = payload.ok_or_else(|| malformed("the answer has no `payload`"))?;
        // An empty value is left out of the JSON.
        let value = match payload.member("data") {
            Some(_) => bytes_in(payload, "data", &STANDARD)?,
            None => SecretBytes::default(),
        };
        if let Some(sum) = name_in(payload, "dataCrc32c")
            && sum.parse() != Ok(crc32c(value.expose()))
        {
            return Err(malformed("the value does not agree with its checksum"));
        }
        Ok(value)
    }

    async fn read_value(&self, key: &ReadKey) -> Outcome<Payload> {
        let version = key.version.as_deref();
        let outcome = self.access(&key.key, version.unwrap_or(LATEST)).await;
        let falls_back = version.is_none() && self.selection == GcpVersionSelection::LatestOrFetch;
        let outcome = match outcome {
            Err(error) if falls_back && is_unusable(&error) => {
                match self.newest_enabled(&key.key).await? {
                    Some(version) => self.access(&key.key, &version).await,
                    None => Err(error),
                }
            }
            outcome => outcome,
        };
        Ok(outcome?.map(Payload::whole))
    }

    /// The newest version that can be read, if there is one.
    async fn newest_enabled(&self, key: &str) -> Result<Option<String>, StoreError> {
        let url = self.secret(key).await?.with_segments(["versions"]);
        let what = format!("list the versions of {}", shown(key));
        let mut newest: Option<(jiff::Timestamp, String)> = None;
        self.pages(
            &url,
            Some("state:ENABLED"),
            &what,
            "secretmanager.versions.list",
            |page, _| {
                for version in page.member("versions").into_iter().flat_map(Json::elements) {
                    let name = name_in(version, "name").unwrap_or_default();
                    let number = name.rsplit('/').next().unwrap_or_default();
                    let made = name_in(version, "createTime").and_then(|text| text.parse().ok());
                    let enabled = name_in(version, "state").is_none_or(|state| state == "ENABLED");
                    let Some(made) = made.filter(|_| enabled) else {
                        continue;
                    };
                    if newest.as_ref().is_none_or(|(time, _)| made > *time) {
                        newest = Some((made, number.to_owned()));
                    }
                }
                Ok(())
            },
        )
        .await?;
        Ok(newest.map(|(_, number)| number))
    }

    /// Reads all pages of a listing.
    async fn pages(
        &self,
        url: &Url,
        filter: Option<&str>,
        what: &str,
        permission: &str,
        mut page: impl FnMut(Json<'_>, &mut Listing) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let placed = |error: StoreError| error.while_trying(what).at_store(self.rest.describe());
        let (mut token, mut listing) = (None::<String>, Listing::of_pages(MOST_PAGES));
        loop {
            listing.page().map_err(placed)?;
            let mut query = vec![("pageSize", PAGE)];
            query.extend(filter.map(|filter| ("filter", filter)));
            query.extend(token.as_deref().map(|token| ("pageToken", token)));
            let call = Call::get(url.with_query(query), what, permission);
            let reply = self.rest.call(call).await?;
            page(reply.json(), &mut listing).map_err(placed)?;
            token = reply.name("nextPageToken");
            if token.is_none() {
                return Ok(());
            }
        }
    }

    /// The secret without its value, if there is one.
    async fn there(&self, key: &str) -> Result<Option<Reply>, StoreError> {
        let url = self.secret(key).await?;
        let what = format!("look up {}", shown(key));
        let call = Call::of(Method::GET, url, &what, "secretmanager.secrets.get");
        match self.rest.call(call).await {
            Ok(reply) => Ok(Some(reply)),
            Err(error) if proof_of(&error).is_some() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn read_metadata(&self, key: &ReadKey) -> Outcome<Payload> {
        let Some(reply) = self.there(&key.key).await? else {
            return Ok(Answer::Absent(Absent::proved(Proof::NoSuchKey)));
        };
        let mut parts = SecretMap::new();
        for name in [LABELS, ANNOTATIONS] {
            let texts = texts_of(reply.json().member(name));
            parts.insert(name.to_owned(), object_of(&texts));
        }
        Ok(Answer::Found(Payload::of_parts(parts)))
    }

    async fn list_matches(&self, what: &Find) -> Result<Vec<Match>, StoreError> {
        let path = what.path.as_deref().filter(|path| !path.is_empty());
        // A name wins over tags, as upstream has it.
        let tags = what.tags.as_ref().filter(|_| what.name.is_none());
        let mut filters: Vec<String> = path
            .map(|path| format!("name:{path}"))
            .into_iter()
            .collect();
        let wanted = tags.into_iter().flatten();
        filters.extend(wanted.map(|(key, value)| format!("labels.{key}={value}")));
        if what.name.is_none() && tags.is_none_or(BTreeMap::is_empty) {
            return Err(StoreError::invalid("`find` needs `name` or `tags`")
                .public()
                .at_store(self.rest.describe()));
        }
        let filter = Some(filters.join(" ")).filter(|filter| !filter.is_empty());
        let url = self.parent().await?.with_segments(["secrets"]);
        let mut matches = Vec::new();
        let permission = "secretmanager.secrets.list";
        self.pages(
            &url,
            filter.as_deref(),
            "list secrets",
            permission,
            |page, listing| {
                for secret in page.member("secrets").into_iter().flat_map(Json::elements) {
                    let full = name_in(secret, "name").unwrap_or_default();
                    let name = full.rsplit('/').next().unwrap_or_default();
                    let has_path = path.is_none_or(|path| name.starts_with(path));
                    let has_name = what
                        .name
                        .as_ref()
                        .is_none_or(|name_of| name_of.matches(name));
                    // The service's filter is looser than an equality.
                    let labels = texts_of(secret.member(LABELS));
                    let mut wanted = tags.into_iter().flatten();
                    let has_tags = wanted.all(|(key, value)| labels.get(key) == Some(value));
                    if has_path && has_name && has_tags {
                        let found = Match {
                            content: Content::At(ReadKey::value(name, None)),
                            name: what.conversion.convert(name),
                        };
                        listing.found(&found)?;
                        matches.push(found);
                    }
                }
                Ok(())
            },
        )
        .await?;
        Ok(matches)
    }
}

const LABELS: &str = "labels";
const ANNOTATIONS: &str = "annotations";

impl Store for SecretManager {
    fn describe(&self) -> &str {
        self.rest.describe()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ReadWrite
    }

    fn locate(&self, at: &RemoteRef) -> Result<ReadKey, StoreError> {
        let version = at.wanted_version();
        // It becomes a part of a path.
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !version.is_none_or(|version| version.bytes().all(valid)) {
            return Err(
                StoreError::invalid("`version` is no number or alias of a version")
                    .public()
                    .at_store(self.rest.describe()),
            );
        }
        Ok(match at.metadata {
            MetadataPolicy::None => ReadKey::value(&at.key, version),
            MetadataPolicy::Fetch => ReadKey::metadata(&at.key, None),
        })
    }

    fn read<'a>(&'a self, key: &'a ReadKey) -> BoxFuture<'a, Outcome<Payload>> {
        Box::pin(async move {
            match key.operation {
                "metadata" => self.read_metadata(key).await,
                _ => self.read_value(key).await,
            }
        })
    }

    fn value(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretBytes> {
        if at.metadata == MetadataPolicy::Fetch {
            return metadata_of(at, payload).map_err(|error| error.at_store(self.rest.describe()));
        }
        let Some(property) = at.wanted_property() else {
            return Ok(Answer::Found(SecretBytes::copy_of(payload.bytes())));
        };
        let missing = |text: String| {
            StoreError::new(Trouble::Missing, text)
                .public()
                .at_store(self.rest.describe())
        };
        if Json::parse(payload.bytes()).is_err() {
            return Err(missing(format!(
                "the value of {} is no JSON, so it has no property {}",
                shown(&at.key),
                shown(property)
            )));
        }
        match json::path::get_literal_first(payload.bytes(), property) {
            Some(found) => Ok(Answer::Found(found.text())),
            None => Err(missing(format!(
                "key {} does not exist in secret {}",
                shown(property),
                shown(&at.key)
            ))),
        }
    }

    fn map(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretMap> {
        let Answer::Found(document) = self.value(at, payload)? else {
            return Ok(Answer::Absent(Absent::proved(Proof::NoSuchProperty)));
        };
        json::map_at(document.expose(), &at.key, self.rest.describe())
    }

    fn list<'a>(&'a self, what: &'a Find) -> BoxFuture<'a, Outcome<Vec<Match>>> {
        Box::pin(async move { self.list_matches(what).await.map(Answer::Found) })
    }

    fn push<'a>(
        &'a self,
        source: &'a PushSource,
        item: &'a PushItem,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Pushed, StoreError>> {
        let push = self.push_item(source, item, mode);
        self.rest.writing("push to", &item.remote_key, push)
    }

    fn delete<'a>(
        &'a self,
        item: &'a PushItem,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Deleted, StoreError>> {
        let delete = self.delete_item(item, mode);
        self.rest.writing("delete", &item.remote_key, delete)
    }

    fn exists<'a>(&'a self, item: &'a PushItem) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let key = &item.remote_key;
            match self.access(key, LATEST).await {
                Ok(answer) => Ok(answer.found().is_some()),
                Err(error) if is_unusable(&error) => Ok(self.newest_enabled(key).await?.is_some()),
                Err(error) => Err(error.into()),
            }
        })
    }

    fn validate(&self) -> BoxFuture<'_, Result<Validation, StoreError>> {
        Box::pin(async move {
            if self.depends_on_consumer && self.scope.is_unbound() {
                return Ok(Validation::Unknown);
            }
            self.rest.sign_in().await?;
            Ok(Validation::Ready)
        })
    }

    fn inspect<'a>(&'a self, at: Option<&'a RemoteRef>) -> BoxFuture<'a, Inspection> {
        Box::pin(self.rest.inspect(self, at))
    }
}

/// Picks what is known beside a value: all, the labels, the annotations, or one of them.
fn metadata_of(at: &RemoteRef, payload: &Payload) -> Outcome<SecretBytes> {
    let part = |name: &str| payload.part(name).map_or(&b"{}"[..], SecretBytes::expose);
    let Some(property) = at.wanted_property() else {
        let mut all = SecretWriter::default();
        all.push(b"{\"annotations\":");
        all.push(part(ANNOTATIONS));
        all.push(b",\"labels\":");
        all.push(part(LABELS));
        all.push(b"}");
        return Ok(Answer::Found(all.finish()));
    };
    let (kind, name) = match property.split_once('.') {
        Some((kind, name)) => (kind, Some(name)),
        None => (property, None),
    };
    if kind != LABELS && kind != ANNOTATIONS {
        return Err(StoreError::invalid(format!(
            "invalid property {}: it begins with labels or annotations",
            shown(property)
        ))
        .public());
    }
    let Some(name) = name else {
        return Ok(Answer::Found(SecretBytes::copy_of(part(kind))));
    };
    let text = Json::parse(part(kind)).ok();
    let text = text.and_then(|texts| texts.member(name)?.string());
    match text {
        Some(text) => Ok(Answer::Found(text.into())),
        None => Err(StoreError::new(
            Trouble::Missing,
            format!("{} has no {kind} {}", shown(&at.key), shown(name)),
        )
        .public()),
    }
}

/// What an error of a read proves: only a 404 in the words of Secret Manager, about a secret or one of its versions.
fn proof_of(error: &CallError) -> Option<Absent> {
    if !error.is(404, "NOT_FOUND") {
        return None;
    }
    if error.message.starts_with("Secret Version [") {
        return Some(Absent::proved(Proof::NoSuchVersion));
    }
    let about_secret = error.message.starts_with("Secret [");
    about_secret.then(|| Absent::proved(Proof::NoSuchKey))
}

/// Returns true if the version is there and cannot be read.
fn is_unusable(error: &CallError) -> bool {
    let states = ["DESTROYED state", "DISABLED state"];
    error.is(400, "FAILED_PRECONDITION") && states.iter().any(|state| error.message.contains(state))
}

fn call_error(error: StoreError) -> CallError {
    CallError {
        error,
        status: 0,
        code: None,
        message: String::new(),
    }
}

/// Names and texts: labels and annotations are no secrets.
fn texts_of(object: Option<Json<'_>>) -> BTreeMap<String, String> {
    let members = object.into_iter().flat_map(Json::members);
    members
        .filter_map(|(name, value)| {
            let value = value.string()?.expose().to_owned();
            Some((name.expose().to_owned(), value))
        })
        .collect()
}

/// One JSON object, escaped as Go escapes it.
fn object_of(texts: &BTreeMap<String, String>) -> SecretBytes {
    let mut out = SecretWriter::default();
    out.push_byte(b'{');
    for (count, (name, value)) in texts.iter().enumerate() {
        if count > 0 {
            out.push_byte(b',');
        }
        write_text(name.as_bytes(), Html::Escaped, &mut out);
        out.push_byte(b':');
        write_text(value.as_bytes(), Html::Escaped, &mut out);
    }
    out.push_byte(b'}');
    out.finish()
}
