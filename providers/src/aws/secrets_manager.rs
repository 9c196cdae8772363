//! AWS Secrets Manager.
//!
//! Values of many secrets are read twenty in a call where the identity may do so (`BatchGetSecretValue` is a permission
//! of its own); once that is refused, this store reads one by one.

mod push;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use sealwright_crypto::secret::SecretBytes;
use serde_json::{Value, json};

use super::api::{Api, CallError};
use super::tags;
use crate::credential::{Credentials, Scope};
use crate::json::{self, Json};
use crate::listing::Listing;
use crate::message::{Body, Reply, name_in, optional_bytes_in};
use crate::outcome::{Absent, Answer, Outcome, Proof, StoreError, Trouble, shown};
use crate::remote::{Find, MetadataPolicy, PushItem, PushSource, RemoteRef, SecretMap};
use crate::settings::aws::{AwsSecretsManager, AwsSettings};
use crate::store::{
    Capabilities, Connection, Content, Deleted, Inspection, Match, Payload, Pushed, ReadKey, Store,
    Validation, WriteMode,
};

/// How many values one call gives at most.
const BATCH: usize = 20;
/// How many pages a listing may have: half a million secrets.
const MOST_PAGES: usize = 5_000;

/// A part of a payload: the text of the secret.
const TEXT: &str = "text";
/// A part of a payload: the bytes of the secret.
const BINARY: &str = "binary";

/// AWS Secrets Manager as a store.
pub(super) struct SecretsManager {
    api: Api,
    prefix: String,
    deletion: AwsSecretsManager,
    credentials: Arc<dyn Credentials>,
    scope: Scope,
    depends_on_consumer: bool,
    /// Whether reading several at once was refused.
    one_by_one: AtomicBool,
}

impl SecretsManager {
    pub(super) fn new(api: Api, settings: &AwsSettings, connection: &Connection) -> Self {
        Self {
            api,
            prefix: settings.prefix.clone().unwrap_or_default(),
            deletion: settings.secrets_manager.clone().unwrap_or_default(),
            credentials: Arc::clone(&connection.credentials),
            scope: connection.scope.clone(),
            depends_on_consumer: settings.depends_on_consumer(),
            one_by_one: AtomicBool::new(false),
        }
    }

    fn id(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    async fn read_value(&self, key: &ReadKey) -> Outcome<Payload> {
        let body = Body::new().text("SecretId", &key.key);
        let body = match key.version.as_deref() {
            None => body.text("VersionStage", "AWSCURRENT"),
            Some(version) => match version.strip_prefix("uuid/") {
                Some(id) => body.text("VersionId", id),
                None => body.text("VersionStage", version),
            },
        };
        match self.api.call("GetSecretValue", body).await {
            Ok(reply) => payload_of(reply.json()).map(Answer::Found),
            Err(error) => match proof_of(&error, key.version.is_some()) {
                Some(absent) => Ok(Answer::Absent(absent)),
                None => Err(error
                    .error
                    .while_trying(format!("read {}", shown(&key.key)))),
            },
        }
    }

    async fn describe_secret(&self, id: &str) -> Result<Option<Reply>, StoreError> {
        let body = Body::new().text("SecretId", id);
        match self.api.call("DescribeSecret", body).await {
            Ok(reply) => Ok(Some(reply)),
            Err(error) if error.is("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn read_tags(&self, key: &ReadKey) -> Outcome<Payload> {
        let Some(reply) = self.describe_secret(&key.key).await? else {
            return Err(StoreError::new(
                Trouble::Missing,
                format!("there is no secret {}, so it has no tags", shown(&key.key)),
            )
            .at_store(self.api.describe()));
        };
        let tags = tags::of_list(reply.json().member("Tags"));
        Ok(Answer::Found(Payload::whole(tags::to_object(&tags))))
    }

    /// Reads values of several secrets in one call; `None` where the call says nothing about one.
    async fn read_batch(
        &self,
        keys: &[&ReadKey],
    ) -> Result<Vec<Option<Outcome<Payload>>>, CallError> {
        let ids: Vec<&str> = keys.iter().map(|key| key.key.as_str()).collect();
        let body = Body::new().value("SecretIdList", &json!(ids));
        let reply = self.api.call("BatchGetSecretValue", body).await?;
        let mut outcomes: Vec<Option<Outcome<Payload>>> = ids.iter().map(|_| None).collect();
        let values = reply.json().member("SecretValues").into_iter();
        for value in values.flat_map(Json::elements) {
            let (name, arn) = (name_in(value, "Name"), name_in(value, "ARN"));
            for (id, outcome) in ids.iter().zip(&mut outcomes) {
                if is_meant(id, name.as_deref(), arn.as_deref()) {
                    *outcome = Some(payload_of(value).map(Answer::Found));
                }
            }
        }
        let errors = reply.json().member("Errors").into_iter();
        for error in errors.flat_map(Json::elements) {
            // Other errors are not decided here: the secret is asked for by itself, which gives the whole answer.
            let absent =
                name_in(error, "ErrorCode").as_deref() == Some("ResourceNotFoundException");
            let of = name_in(error, "SecretId");
            for (id, outcome) in ids.iter().zip(&mut outcomes) {
                if absent && of.as_deref() == Some(*id) {
                    *outcome = Some(Ok(Answer::Absent(Absent::proved(Proof::NoSuchKey))));
                }
            }
        }
        Ok(outcomes)
    }

    fn may_batch(&self) -> bool {
        !self.one_by_one.load(Ordering::Relaxed)
    }

    fn batch_was_refused(&self, error: &CallError) -> bool {
        let refused = error.error.trouble() == Trouble::Forbidden;
        if refused {
            self.one_by_one.store(true, Ordering::Relaxed);
        }
        refused
    }

    /// Lists with a filter of the service, with values where the identity may have them together.
    async fn list_filtered(&self, what: &Find, filters: &Value) -> Result<Vec<Match>, StoreError> {
        let (mut matches, mut listing) = (Vec::new(), Listing::of_pages(MOST_PAGES));
        let mut token = None;
        loop {
            self.counted(listing.page())?;
            let body = Body::new()
                .value("Filters", filters)
                .optional("NextToken", token.as_deref());
            let reply = match self.api.call("BatchGetSecretValue", body).await {
                Ok(reply) => reply,
                Err(error) if self.batch_was_refused(&error) => {
                    return self.list_names(what, Some(filters)).await;
                }
                Err(error) => return Err(error.into()),
            };
            let mut errors = reply
                .json()
                .member("Errors")
                .into_iter()
                .flat_map(Json::elements);
            if let Some(error) = errors.next() {
                return Err(self.unreadable(error));
            }
            let values = reply.json().member("SecretValues").into_iter();
            for value in values.flat_map(Json::elements) {
                let name = name_in(value, "Name").unwrap_or_default();
                if is_wanted(what, &name) {
                    let value = preferred(&payload_of(value)?, [TEXT, BINARY]);
                    let found = Match {
                        name,
                        content: Content::Here(value),
                    };
                    self.counted(listing.found(&found))?;
                    matches.push(found);
                }
            }
            token = reply.name("NextToken");
            if token.is_none() {
                return Ok(matches);
            }
        }
    }

    /// Lists names and reads the values of those that are wanted.
    async fn list_names(
        &self,
        what: &Find,
        filters: Option<&Value>,
    ) -> Result<Vec<Match>, StoreError> {
        let (mut names, mut listing) = (Vec::new(), Listing::of_pages(MOST_PAGES));
        let mut token = None;
        loop {
            self.counted(listing.page())?;
            let mut body = Body::new().optional("NextToken", token.as_deref());
            if let Some(filters) = filters {
                body = body.value("Filters", filters);
            }
            let reply = self.api.call("ListSecrets", body).await?;
            let listed = reply.json().member("SecretList").into_iter();
            let listed = listed
                .flat_map(Json::elements)
                .filter_map(|entry| name_in(entry, "Name"));
            for name in listed.filter(|name| is_wanted(what, name)) {
                self.counted(listing.name(&name))?;
                names.push(name);
            }
            token = reply.name("NextToken");
            if token.is_none() {
                break;
            }
        }
        let keys: Vec<ReadKey> = names
            .iter()
            .map(|name| ReadKey::value(name, None))
            .collect();
        let mut matches = Vec::with_capacity(names.len());
        for chunk in keys.chunks(BATCH) {
            for (key, outcome) in chunk.iter().zip(self.read_several(chunk).await) {
                // What vanished since it was listed is left out.
                if let Answer::Found(payload) = outcome? {
                    let found = Match {
                        name: key.key.clone(),
                        content: Content::Here(preferred(&payload, [TEXT, BINARY])),
                    };
                    self.counted(listing.found(&found))?;
                    matches.push(found);
                }
            }
        }
        Ok(matches)
    }

    async fn read_several(&self, keys: &[ReadKey]) -> Vec<Outcome<Payload>> {
        let can_share = |key: &&ReadKey| key.operation == "value" && key.version.is_none();
        let shared: Vec<&ReadKey> = keys.iter().filter(can_share).collect();
        let mut together = Vec::new();
        if shared.len() > 1 && self.may_batch() {
            match self.read_batch(&shared).await {
                Ok(outcomes) => together = outcomes,
                Err(error) if self.batch_was_refused(&error) => {}
                // One key that the service does not take must not cost the others their answer.
                Err(error) if error.error.trouble() == Trouble::Invalid => {}
                Err(error) => {
                    let error = StoreError::from(error);
                    together = shared.iter().map(|_| Some(Err(error.clone()))).collect();
                }
            }
        }
        let mut together = together.into_iter();
        let mut outcomes = Vec::with_capacity(keys.len());
        for key in keys {
            let shared = can_share(&key).then(|| together.next()).flatten().flatten();
            outcomes.push(match shared {
                Some(outcome) => outcome,
                None => self.read(key).await,
            });
        }
        outcomes
    }

    /// A secret that a filter found and whose value is refused: left out, it would vanish from the target.
    fn unreadable(&self, error: Json<'_>) -> StoreError {
        let id = name_in(error, "SecretId").unwrap_or_default();
        let code = name_in(error, "ErrorCode").unwrap_or_default();
        super::refusal::classified(&code, 400, "", None, "secretsmanager:GetSecretValue")
            .while_trying(format!("read {}, which the search has found,", shown(&id)))
            .at_store(self.api.describe())
    }

    fn counted(&self, counted: Result<(), StoreError>) -> Result<(), StoreError> {
        counted.map_err(|error| {
            error
                .while_trying("list secrets")
                .at_store(self.api.describe())
        })
    }
}

impl Store for SecretsManager {
    fn describe(&self) -> &str {
        self.api.describe()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ReadWrite
    }

    fn locate(&self, at: &RemoteRef) -> Result<ReadKey, StoreError> {
        let id = self.id(&at.key);
        Ok(match at.metadata {
            MetadataPolicy::None => ReadKey::value(id, at.wanted_version()),
            MetadataPolicy::Fetch => ReadKey::metadata(id, None),
        })
    }

    fn read<'a>(&'a self, key: &'a ReadKey) -> BoxFuture<'a, Outcome<Payload>> {
        Box::pin(async move {
            match key.operation {
                "metadata" => self.read_tags(key).await,
                _ => self.read_value(key).await,
            }
        })
    }

    fn batch_size(&self) -> usize {
        if self.may_batch() { BATCH } else { 1 }
    }

    fn read_many<'a>(&'a self, keys: &'a [ReadKey]) -> BoxFuture<'a, Vec<Outcome<Payload>>> {
        Box::pin(self.read_several(keys))
    }

    fn value(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretBytes> {
        let Some(property) = at.wanted_property() else {
            return Ok(Answer::Found(preferred(payload, [TEXT, BINARY])));
        };
        let document = preferred(payload, [BINARY, TEXT]);
        property_of(
            document.expose(),
            property,
            &self.id(&at.key),
            self.api.describe(),
        )
    }

    fn map(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretMap> {
        let Answer::Found(document) = self.value(at, payload)? else {
            return Ok(Answer::Absent(Absent::proved(Proof::NoSuchProperty)));
        };
        json::map_at(document.expose(), &self.id(&at.key), self.api.describe())
    }

    fn list<'a>(&'a self, what: &'a Find) -> BoxFuture<'a, Outcome<Vec<Match>>> {
        Box::pin(async move {
            let mut filters = Vec::new();
            if let Some(path) = what.path.as_deref().filter(|path| !path.is_empty()) {
                filters.push(json!({"Key": "name", "Values": [path]}));
            }
            let has_path = !filters.is_empty();
            for (key, value) in what.tags.iter().flatten() {
                filters.push(json!({"Key": "tag-key", "Values": [key]}));
                filters.push(json!({"Key": "tag-value", "Values": [value]}));
            }
            let has_tags = what.tags.as_ref().is_some_and(|tags| !tags.is_empty());
            let filters = Value::Array(filters);
            let matches = match (what.name.is_some(), has_path, has_tags) {
                (true, false, false) => self.list_names(what, None).await?,
                (true, false, true) => self.list_names(what, Some(&filters)).await?,
                (true, true, _) | (false, _, true) => self.list_filtered(what, &filters).await?,
                (false, _, false) => {
                    return Err(StoreError::invalid(
                        "`find` needs `name` or `tags`; `path` alone does not do",
                    )
                    .public()
                    .at_store(self.api.describe()));
                }
            };
            Ok(Answer::Found(matches))
        })
    }

    fn push<'a>(
        &'a self,
        source: &'a PushSource,
        item: &'a PushItem,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Pushed, StoreError>> {
        Box::pin(self.push_item(source, item, mode))
    }

    fn delete<'a>(
        &'a self,
        item: &'a PushItem,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Deleted, StoreError>> {
        Box::pin(self.delete_item(item, mode))
    }

    fn exists<'a>(&'a self, item: &'a PushItem) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let key = ReadKey::value(self.id(&item.remote_key), None);
            Ok(matches!(self.read_value(&key).await?, Answer::Found(_)))
        })
    }

    fn validate(&self) -> BoxFuture<'_, Result<Validation, StoreError>> {
        Box::pin(async move {
            if self.depends_on_consumer && self.scope.consumer_namespace.is_none() {
                return Ok(Validation::Unknown);
            }
            self.api.signed_in().await?;
            Ok(Validation::Ready)
        })
    }

    fn inspect<'a>(&'a self, at: Option<&'a RemoteRef>) -> BoxFuture<'a, Inspection> {
        Box::pin(super::inspect(self, &self.api, at))
    }
}

/// The parts of a payload, from an answer that has `SecretString` or `SecretBinary`.
fn payload_of(value: Json<'_>) -> Result<Payload, StoreError> {
    let mut parts = SecretMap::new();
    if let Some(text) = value.member("SecretString").and_then(Json::string) {
        parts.insert(TEXT.to_owned(), text.into());
    }
    if let Some(bytes) = optional_bytes_in(value, "SecretBinary", &STANDARD)? {
        parts.insert(BINARY.to_owned(), bytes);
    }
    if parts.is_empty() {
        return Err(StoreError::new(
            Trouble::Malformed,
            "the answer has neither SecretString nor SecretBinary",
        ));
    }
    Ok(Payload::of_parts(parts))
}

/// The first of these parts that is there; tags have one part without a name.
fn preferred(payload: &Payload, order: [&str; 2]) -> SecretBytes {
    let part = order.into_iter().find_map(|name| payload.part(name));
    SecretBytes::copy_of(part.map_or(payload.bytes(), SecretBytes::expose))
}

/// Picks a property: a member of that very name if there are dots in it, else a path.
pub(super) fn property_of(
    document: &[u8],
    property: &str,
    key: &str,
    store: &str,
) -> Outcome<SecretBytes> {
    match json::path::get_literal_first(document, property) {
        Some(found) => Ok(Answer::Found(found.text())),
        None => Err(StoreError::new(
            Trouble::Missing,
            format!(
                "key {} does not exist in secret {}",
                shown(property),
                shown(key)
            ),
        )
        .public()
        .at_store(store)),
    }
}

/// What an error of a read proves, if it proves that there is nothing.
fn proof_of(error: &CallError, with_version: bool) -> Option<Absent> {
    if error.is("ResourceNotFoundException") {
        let proof = match with_version {
            true => Proof::NoSuchVersion,
            false => Proof::NoSuchKey,
        };
        return Some(Absent::proved(proof));
    }
    // AWS has sent the text under either code.
    let refused = error.is("InvalidRequestException") || error.is("InvalidParameterException");
    let deleted = error.says("was marked for deletion") || error.says("currently marked deleted");
    (refused && deleted).then(|| Absent::proved(Proof::Deleted))
}

fn is_meant(id: &str, name: Option<&str>, arn: Option<&str>) -> bool {
    // An id may be a name, an ARN, or an ARN without its last six characters and the dash before them.
    let partial =
        |arn: &str| arn.len() == id.len() + 7 && arn.starts_with(id) && id.starts_with("arn:");
    name == Some(id) || arn == Some(id) || arn.is_some_and(partial)
}

fn is_wanted(what: &Find, name: &str) -> bool {
    what.name
        .as_ref()
        .is_none_or(|pattern| pattern.matches(name))
}
