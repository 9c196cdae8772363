//! 1Password behind a Connect server: fields and files of items.
//!
//! An item is found by its title in the first vault that has it, or by its id in the first vault of all.

mod item;
mod payload;
mod push;
mod refusal;
mod search;
mod titles;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::BoxFuture;
use sealwright_crypto::secret::SecretBytes;
use tokio::sync::{OnceCell, Semaphore};

use self::item::Fields;
use self::payload::{is_document, parsed};
use self::refusal::ConnectErrors;
use self::titles::{AT_ONCE, LastList};
use crate::bearer::token::{OfSecret, Tokens};
use crate::bearer::{Call, Rest};
use crate::credential::{Need, Scope};
use crate::http::url::Url;
use crate::http::{HttpClient, HttpSettings, Limits};
use crate::json::Kind;
use crate::listing::Listing;
use crate::message::{Reply, name_in};
use crate::outcome::{Answer, Outcome, StoreError, Trouble, shown};
use crate::remote::{Find, PushItem, PushSource, RemoteRef, SecretMap};
use crate::settings::onepassword::{OnePasswordSettings, TOKEN_FIELD};
use crate::store::{
    Capabilities, Connection, Content, Deleted, Inspection, Match, Payload, Pushed, ReadKey, Store,
    Validation, WriteMode,
};

const READ: &str = "read access to the vault";

/// Reads of an item: the parts are its JSON, and its files if it is a document.
const ITEM: &str = "item";
/// Reads of files of an item.
const FILE: &str = "file";
/// How many items are looked up together.
const BATCH: usize = 50;

/// A Connect server as a store.
pub(crate) struct OnePassword {
    rest: Rest,
    base: Url,
    vaults: Vec<Vault>,
    scope: Scope,
    depends_on_consumer: bool,
    /// Those who read an item, of those that were asked for together.
    turns: Semaphore,
}

/// A vault by the name or id that the manifest has for it; its id is looked up once.
struct Vault {
    named: String,
    id: OnceCell<String>,
    list: LastList,
}

/// What a property means: a field or a file of that name.
enum Part<'a> {
    Field(&'a str),
    File(&'a str),
    /// A field, or a file if the item is a document.
    ByCategory(&'a str),
}

impl<'a> Part<'a> {
    fn of(property: Option<&'a str>) -> Self {
        let property = property.unwrap_or_default();
        match property.split_once('/') {
            Some(("field", name)) => Self::Field(name),
            Some(("file", name)) => Self::File(name),
            _ => Self::ByCategory(property),
        }
    }
}

impl OnePassword {
    pub(crate) fn new(
        settings: &OnePasswordSettings,
        connection: &Connection,
    ) -> Result<Self, StoreError> {
        let base = Url::parse(&settings.connect_host);
        let base = base.map_err(|error| error.at_field("connectHost"))?;
        let http = Arc::new(HttpClient::new(HttpSettings {
            guard: connection.guard,
            limits: Limits::within(connection.timeout),
            ..HttpSettings::default()
        })?);
        let token = OfSecret {
            credentials: Arc::clone(&connection.credentials),
            scope: connection.scope.clone(),
            at: settings.auth.secret_ref.connect_token_secret_ref.clone(),
            field: TOKEN_FIELD,
        };
        let tokens = Arc::new(Tokens::new(Box::new(token)));
        let describe = format!("1Password Connect at {base}");
        let needs = settings.needs().finish();
        let vault = |named| Vault {
            named,
            id: OnceCell::new(),
            list: LastList::default(),
        };
        Ok(Self {
            rest: Rest::new(http, tokens, &ConnectErrors, describe),
            base: base.with_segments(["v1"]),
            vaults: settings.ordered().into_iter().map(vault).collect(),
            scope: connection.scope.clone(),
            depends_on_consumer: needs.iter().any(Need::depends_on_consumer),
            turns: Semaphore::new(AT_ONCE),
        })
    }

    fn error(&self, trouble: Trouble, reason: impl Into<String>, what: &str) -> StoreError {
        StoreError::new(trouble, reason)
            .public()
            .while_trying(what)
            .at_store(self.rest.describe())
    }

    fn malformed(&self, reason: &str, what: &str) -> StoreError {
        StoreError::new(Trouble::Malformed, reason)
            .while_trying(what)
            .at_store(self.rest.describe())
    }

    async fn get(
        &self,
        path: &[&str],
        query: Option<&str>,
        what: &str,
    ) -> Result<Reply, StoreError> {
        let url = self.base.with_segments(path.iter().copied());
        let url = url.with_query(query.map(|filter| ("filter", filter)));
        Ok(self.rest.call(Call::get(url, what, READ)).await?)
    }

    /// Gets a list of objects.
    async fn listed(
        &self,
        path: &[&str],
        filter: Option<&str>,
        what: &str,
    ) -> Result<Reply, StoreError> {
        let reply = self.get(path, filter, what).await?;
        match reply.json().kind() {
            Kind::Array => Ok(reply),
            _ => Err(self.malformed("the answer is no list", what)),
        }
    }

    async fn list_matches(&self, what: &Find) -> Result<Vec<Match>, StoreError> {
        let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
        let mut listing = Listing::of_pages(self.vaults.len());
        for vault in &self.vaults {
            let vault = self.id_of(vault).await?;
            let trying = "list items";
            let items = self
                .listed(&["vaults", vault, "items"], None, trying)
                .await?;
            for item in items.json().elements() {
                let title = name_in(item, "title").unwrap_or_default();
                let wanted = match &what.tags {
                    Some(tags) => tags.keys().all(|tag| item::has_tag(item, tag)),
                    None => what.path.as_ref().is_none_or(|path| *path == title),
                };
                if !wanted {
                    continue;
                }
                let id = name_in(item, "id");
                let id = id.ok_or_else(|| self.malformed("an item has no `id`", trying))?;
                let trying = reading(&title);
                let item = self.item(vault, &id, &trying).await?;
                for (label, value) in self.all_fields(item.json(), None, &trying)? {
                    let matches = what.name.as_ref().is_none_or(|name| name.matches(&label));
                    // The first of a label counts.
                    if matches && seen.insert(label.clone()) {
                        let one = Match {
                            name: label,
                            content: Content::Here(value),
                        };
                        let counted = listing.found(&one);
                        counted.map_err(|error| error.at_store(self.rest.describe()))?;
                        found.push(one);
                    }
                }
            }
            // With tags only the first vault is looked in, as upstream has it.
            if what.tags.is_some() {
                break;
            }
        }
        Ok(found)
    }
}

fn reading(key: &str) -> String {
    format!("read {}", shown(key))
}

impl Store for OnePassword {
    fn describe(&self) -> &str {
        self.rest.describe()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ReadWrite
    }

    fn locate(&self, at: &RemoteRef) -> Result<ReadKey, StoreError> {
        let invalid = |text: &str| {
            let error = StoreError::invalid(text).public();
            Err(error.at_store(self.rest.describe()))
        };
        if at.wanted_version().is_some() {
            return invalid("`version` is not supported by 1Password");
        }
        if at.key.is_empty() {
            return invalid("the key is empty");
        }
        let (operation, version) = match Part::of(at.wanted_property()) {
            Part::File(name) => (FILE, Some(name.to_owned())),
            Part::Field(_) | Part::ByCategory(_) => (ITEM, None),
        };
        Ok(ReadKey {
            operation,
            key: at.key.clone(),
            version,
        })
    }

    fn read<'a>(&'a self, key: &'a ReadKey) -> BoxFuture<'a, Outcome<Payload>> {
        Box::pin(async move {
            let mut outcomes = self.read_several(std::slice::from_ref(key)).await;
            outcomes.pop().expect("there is one outcome for each key")
        })
    }

    fn batch_size(&self) -> usize {
        BATCH
    }

    fn read_many<'a>(&'a self, keys: &'a [ReadKey]) -> BoxFuture<'a, Vec<Outcome<Payload>>> {
        Box::pin(self.read_several(keys))
    }

    fn value(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretBytes> {
        match Part::of(at.wanted_property()) {
            Part::Field(label) => self.field(at, payload, label),
            Part::File(name) => self.one_file(at, payload, name),
            Part::ByCategory(name) if is_document(payload) => self.one_file(at, payload, name),
            Part::ByCategory(label) => self.field(at, payload, label),
        }
    }

    fn map(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretMap> {
        let part = Part::of(at.wanted_property());
        let (name, files) = match part {
            Part::Field(name) => (name, false),
            Part::File(name) => (name, true),
            Part::ByCategory(name) => (name, is_document(payload)),
        };
        let only = Some(name).filter(|name| !name.is_empty());
        if files {
            let files = Self::files(payload);
            let files = files.filter(|(name, _)| only.is_none_or(|only| only == *name));
            let copied =
                files.map(|(name, it)| (name.to_owned(), SecretBytes::copy_of(it.expose())));
            return Ok(Answer::Found(copied.collect()));
        }
        self.all_fields(parsed(payload), only, &reading(&at.key))
            .map(Answer::Found)
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
            let found = self
                .find_item(&item.remote_key, &reading(&item.remote_key))
                .await?;
            // Without a property the item itself is meant, as upstream has it.
            Ok(found.is_some_and(|found| match item.wanted_property() {
                Some(label) => !Fields::of(found.json()).labelled(label).is_empty(),
                None => true,
            }))
        })
    }

    fn validate(&self) -> BoxFuture<'_, Result<Validation, StoreError>> {
        Box::pin(async move {
            if self.depends_on_consumer && self.scope.is_unbound() {
                return Ok(Validation::Unknown);
            }
            for vault in &self.vaults {
                let id = match vault.id.get() {
                    // It was found before; whether it is still there has to be asked.
                    Some(id) => id,
                    None => self.id_of(vault).await?,
                };
                let what = format!("see the vault {}", shown(&vault.named));
                self.get(&["vaults", id], None, &what).await?;
            }
            Ok(Validation::Ready)
        })
    }

    fn inspect<'a>(&'a self, at: Option<&'a RemoteRef>) -> BoxFuture<'a, Inspection> {
        Box::pin(self.rest.inspect(self, at))
    }

    fn neighbours<'a>(&'a self, _: &'a RemoteRef) -> BoxFuture<'a, Vec<String>> {
        Box::pin(async {
            let mut titles = Vec::new();
            for vault in &self.vaults {
                let Ok(id) = self.id_of(vault).await else {
                    continue;
                };
                let items = self
                    .listed(&["vaults", id, "items"], None, "list items")
                    .await;
                if let Ok(items) = items {
                    titles.extend(
                        items
                            .json()
                            .elements()
                            .filter_map(|one| name_in(one, "title")),
                    );
                }
            }
            titles
        })
    }
}
