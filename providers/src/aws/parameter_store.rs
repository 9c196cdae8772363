//! AWS Parameter Store (Systems Manager). Values are text; ten of them are read in a call.

mod push;

use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::BoxFuture;
use sealwright_crypto::secret::SecretBytes;
use serde_json::json;

use super::api::{Api, CallError};
use super::secrets_manager::property_of;
use super::tags::{self, Tags};
use crate::json::{self, Json};
use crate::listing::Listing;
use crate::message::{Body, name_in};
use crate::outcome::{Absent, Answer, Outcome, Proof, StoreError, Trouble, shown};
use crate::remote::{Find, MetadataPolicy, PushItem, PushSource, RemoteRef, SecretMap};
use crate::settings::aws::AwsSettings;
use crate::store::{
    Capabilities, Connection, Content, Deleted, Inspection, Match, Payload, Pushed, ReadKey, Store,
    Validation, WriteMode,
};

/// How many parameters one call gives at most.
const BATCH: usize = 10;
/// How many pages a listing may have: 100,000 parameters are all that an account can have.
const MOST_PAGES: usize = 10_000;

/// AWS Parameter Store as a store.
pub(super) struct ParameterStore {
    api: Api,
    prefix: String,
    waits_for_consumer: bool,
    /// Whether reading several at once was refused.
    one_by_one: AtomicBool,
}

impl ParameterStore {
    pub(super) fn new(api: Api, settings: &AwsSettings, connection: &Connection) -> Self {
        Self {
            api,
            prefix: settings.prefix.clone().unwrap_or_default(),
            waits_for_consumer: settings.depends_on_consumer()
                && connection.scope.consumer_namespace.is_none(),
            one_by_one: AtomicBool::new(false),
        }
    }

    fn parameter(&self, key: &str, version: Option<&str>) -> String {
        match version {
            Some(version) => format!("{}{key}:{version}", self.prefix),
            None => format!("{}{key}", self.prefix),
        }
    }

    async fn read_value(&self, name: &str) -> Outcome<Payload> {
        let body = Body::new()
            .text("Name", name)
            .value("WithDecryption", &json!(true));
        match self.api.call("GetParameter", body).await {
            Ok(reply) => {
                let parameter = reply.json().member("Parameter").ok_or_else(malformed)?;
                value_of(parameter).map(|value| Answer::Found(Payload::whole(value)))
            }
            Err(error) if error.is("ParameterNotFound") => {
                Ok(Answer::Absent(Absent::proved(Proof::NoSuchKey)))
            }
            Err(error) => Err(error.error.while_trying(format!("read {}", shown(name)))),
        }
    }

    async fn tags(&self, name: &str) -> Result<Tags, CallError> {
        let body = Body::new()
            .text("ResourceType", "Parameter")
            .text("ResourceId", name);
        let reply = self.api.call("ListTagsForResource", body).await?;
        Ok(tags::of_list(reply.json().member("TagList")))
    }

    /// Reads several values in one call; `None` where the call says nothing about one.
    async fn read_batch(&self, names: &[&str]) -> Result<Vec<Option<Outcome<Payload>>>, CallError> {
        let body = Body::new()
            .value("Names", &json!(names))
            .value("WithDecryption", &json!(true));
        let reply = self.api.call("GetParameters", body).await?;
        let mut outcomes: Vec<Option<Outcome<Payload>>> = names.iter().map(|_| None).collect();
        let found = reply.json().member("Parameters").into_iter();
        for parameter in found.flat_map(Json::elements) {
            let plain = name_in(parameter, "Name").unwrap_or_default();
            let selector = name_in(parameter, "Selector").unwrap_or_default();
            let arn = name_in(parameter, "ARN");
            for (name, outcome) in names.iter().zip(&mut outcomes) {
                let meant = *name == format!("{plain}{selector}") || arn.as_deref() == Some(*name);
                // Without a selector in the answer, a version could be another one's.
                if meant && (!selector.is_empty() || !name.contains(':')) {
                    *outcome =
                        Some(value_of(parameter).map(|value| Answer::Found(Payload::whole(value))));
                }
            }
        }
        // Invalid names may be missing parameters or missing versions: each is asked for by itself.
        Ok(outcomes)
    }

    async fn read_several(&self, keys: &[ReadKey]) -> Vec<Outcome<Payload>> {
        let can_share = |key: &ReadKey| key.operation == "value";
        let names: Vec<&str> = keys
            .iter()
            .filter(|key| can_share(key))
            .map(|key| key.key.as_str())
            .collect();
        let mut together = Vec::new();
        if names.len() > 1 && !self.one_by_one.load(Ordering::Relaxed) {
            match self.read_batch(&names).await {
                Ok(outcomes) => together = outcomes,
                Err(error) if error.error.trouble() == Trouble::Forbidden => {
                    self.one_by_one.store(true, Ordering::Relaxed);
                }
                // One name that the service does not take must not cost the others their answer.
                Err(error) if error.error.trouble() == Trouble::Invalid => {}
                Err(error) => {
                    let error = StoreError::from(error);
                    together = names.iter().map(|_| Some(Err(error.clone()))).collect();
                }
            }
        }
        let mut together = together.into_iter();
        let mut outcomes = Vec::with_capacity(keys.len());
        for key in keys {
            let shared = can_share(key).then(|| together.next()).flatten().flatten();
            outcomes.push(match shared {
                Some(outcome) => outcome,
                None => self.read(key).await,
            });
        }
        outcomes
    }

    /// Lists what lies below a path, with values.
    async fn list_by_path(&self, what: &Find, path: &str) -> Result<Vec<Match>, CallError> {
        let (mut matches, mut listing) = (Vec::new(), Listing::of_pages(MOST_PAGES));
        let mut token = None;
        loop {
            self.counted(listing.page())?;
            let body = Body::new()
                .text("Path", path)
                .value("Recursive", &json!(true))
                .value("WithDecryption", &json!(true))
                .optional("NextToken", token.as_deref());
            let reply = self.api.call("GetParametersByPath", body).await?;
            let found = reply.json().member("Parameters").into_iter();
            for parameter in found.flat_map(Json::elements) {
                let name = name_in(parameter, "Name").unwrap_or_default();
                if what
                    .name
                    .as_ref()
                    .is_none_or(|pattern| pattern.matches(&name))
                {
                    let value = value_of(parameter).map_err(CallError::from)?;
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

    /// Lists names by filters and reads each value.
    async fn list_by_filters(
        &self,
        what: &Find,
        filters: &[serde_json::Value],
    ) -> Result<Vec<Match>, StoreError> {
        let (mut names, mut listing) = (Vec::new(), Listing::of_pages(MOST_PAGES));
        let mut token = None;
        loop {
            self.counted(listing.page())?;
            let body = Body::new()
                .value("ParameterFilters", &json!(filters))
                .optional("NextToken", token.as_deref());
            let reply = self.api.call("DescribeParameters", body).await?;
            let listed = reply.json().member("Parameters").into_iter();
            let listed = listed
                .flat_map(Json::elements)
                .filter_map(|entry| name_in(entry, "Name"));
            let wanted = |name: &String| {
                what.name
                    .as_ref()
                    .is_none_or(|pattern| pattern.matches(name))
            };
            for name in listed.filter(wanted) {
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
                        content: Content::Here(SecretBytes::copy_of(payload.bytes())),
                    };
                    self.counted(listing.found(&found))?;
                    matches.push(found);
                }
            }
        }
        Ok(matches)
    }

    fn counted(&self, counted: Result<(), StoreError>) -> Result<(), StoreError> {
        counted.map_err(|error| {
            error
                .while_trying("list parameters")
                .at_store(self.api.describe())
        })
    }
}

impl Store for ParameterStore {
    fn describe(&self) -> &str {
        self.api.describe()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ReadWrite
    }

    fn locate(&self, at: &RemoteRef) -> Result<ReadKey, StoreError> {
        let name = self.parameter(&at.key, at.wanted_version());
        Ok(match at.metadata {
            MetadataPolicy::None => ReadKey::value(name, None),
            MetadataPolicy::Fetch => ReadKey::metadata(name, None),
        })
    }

    fn read<'a>(&'a self, key: &'a ReadKey) -> BoxFuture<'a, Outcome<Payload>> {
        Box::pin(async move {
            if key.operation == "metadata" {
                let tags = self.tags(&key.key).await?;
                return Ok(Answer::Found(Payload::whole(tags::to_object(&tags))));
            }
            self.read_value(&key.key).await
        })
    }

    fn batch_size(&self) -> usize {
        match self.one_by_one.load(Ordering::Relaxed) {
            true => 1,
            false => BATCH,
        }
    }

    fn read_many<'a>(&'a self, keys: &'a [ReadKey]) -> BoxFuture<'a, Vec<Outcome<Payload>>> {
        Box::pin(self.read_several(keys))
    }

    fn value(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretBytes> {
        match at.wanted_property() {
            None => Ok(Answer::Found(SecretBytes::copy_of(payload.bytes()))),
            Some(property) => {
                let name = self.parameter(&at.key, at.wanted_version());
                property_of(payload.bytes(), property, &name, self.api.describe())
            }
        }
    }

    fn map(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretMap> {
        let Answer::Found(document) = self.value(at, payload)? else {
            return Ok(Answer::Absent(Absent::proved(Proof::NoSuchProperty)));
        };
        json::map_at(document.expose(), &at.key, self.api.describe())
    }

    fn list<'a>(&'a self, what: &'a Find) -> BoxFuture<'a, Outcome<Vec<Match>>> {
        Box::pin(async move {
            let path = what.path.as_deref().filter(|path| !path.is_empty());
            let below =
                |path: &str| json!({"Key": "Path", "Option": "Recursive", "Values": [path]});
            if what.name.is_some() {
                let path = path.unwrap_or("/");
                let matches = match self.list_by_path(what, path).await {
                    Ok(matches) => matches,
                    Err(error) if error.error.trouble() == Trouble::Forbidden => {
                        self.list_by_filters(what, &[below(path)]).await?
                    }
                    Err(error) => return Err(error.into()),
                };
                return Ok(Answer::Found(matches));
            }
            let Some(tags) = &what.tags else {
                return Err(StoreError::invalid("`find` needs `name` or `tags`")
                    .public()
                    .at_store(self.api.describe()));
            };
            let by_tag = tags.iter().map(|(key, value)| {
                json!({"Key": format!("tag:{key}"), "Option": "Equals", "Values": [value]})
            });
            let filters: Vec<_> = by_tag.chain(path.map(below)).collect();
            let matches = self.list_by_filters(what, &filters).await?;
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
            let name = self.parameter(&item.remote_key, None);
            Ok(matches!(self.read_value(&name).await?, Answer::Found(_)))
        })
    }

    fn validate(&self) -> BoxFuture<'_, Result<Validation, StoreError>> {
        Box::pin(async move {
            if self.waits_for_consumer {
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

fn value_of(parameter: Json<'_>) -> Result<SecretBytes, StoreError> {
    let value = parameter.member("Value").and_then(Json::string);
    value.map(SecretBytes::from).ok_or_else(malformed)
}

fn malformed() -> StoreError {
    StoreError::new(Trouble::Malformed, "the answer has no value")
}
