//! 1Password behind a Connect server: fields and files of items.
//!
//! An item is found by its title in the first vault that has it, or by its id in the first vault of all.

mod item;
mod push;
mod refusal;
mod titles;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::BoxFuture;
use sealwright_crypto::secret::SecretBytes;
use tokio::sync::{OnceCell, Semaphore};

use self::item::{DOCUMENT, Fields, field_of, fields_of, files_of};
use self::refusal::ConnectErrors;
use self::titles::{AT_ONCE, LastList};
use crate::bearer::token::{OfSecret, Tokens};
use crate::bearer::{Call, Expects, Rest};
use crate::credential::{Need, Scope};
use crate::http::url::Url;
use crate::http::{HttpClient, HttpSettings, Limits};
use crate::json::{Json, Kind};
use crate::listing::{Listing, MOST_BYTES};
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
/// How many bytes an item may have with its files: far more than a Secret takes.
const MOST_OF_ITEM: usize = MOST_BYTES;
/// How many bytes all items may have that are read together.
const MOST_TOGETHER: usize = 2 * MOST_OF_ITEM;
/// What a file costs besides its name and its content.
const ENTRY: usize = 96;
/// What parts of a payload that are files are called before their names.
const FILE_PART: &str = "file/";

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

/// How many bytes those who read may still keep.
struct Room(AtomicUsize);

impl Room {
    fn new(bytes: usize) -> Self {
        Self(AtomicUsize::new(bytes))
    }

    /// The room of items that are read together.
    fn together() -> Self {
        Self::new(MOST_TOGETHER)
    }

    /// Takes so many bytes; false if there are not as many.
    fn take(&self, bytes: usize) -> bool {
        let less = |left: usize| left.checked_sub(bytes);
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.is_ok()
    }
}

/// Returns true for what 1Password has as an id of a vault or an item.
fn is_id(text: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() == 26 && text.bytes().all(valid)
}

/// The filter that finds a title.
fn titled(title: &str) -> String {
    let mut filter = String::from("title eq \"");
    for character in title.chars() {
        if matches!(character, '"' | '\\') {
            filter.push('\\');
        }
        filter.push(character);
    }
    filter.push('"');
    filter
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

    /// The id of a vault, which is asked for once.
    async fn id_of<'a>(&self, vault: &'a Vault) -> Result<&'a str, StoreError> {
        let named = &vault.named;
        let id = vault.id.get_or_try_init(|| async {
            let what = format!("find the vault {}", shown(named));
            if is_id(named) {
                self.get(&["vaults", named], None, &what).await?;
                return Ok(named.clone());
            }
            let found = self
                .listed(&["vaults"], Some(&titled(named)), &what)
                .await?;
            let ids: Vec<_> = found
                .json()
                .elements()
                .map(|one| name_in(one, "id"))
                .collect();
            match ids.as_slice() {
                [Some(id)] => Ok(id.clone()),
                [] => {
                    let error = self.error(Trouble::Missing, "there is no such vault", &what);
                    Err(error.with_hint("the token may not see it"))
                }
                [None] => Err(self.malformed("a vault has no `id`", &what)),
                several => Err(self.error(
                    Trouble::Conflict,
                    format!("{} vaults have that name: name the id", several.len()),
                    &what,
                )),
            }
        });
        Ok(id.await?.as_str())
    }

    /// Finds an item: the one with that id in the first vault, or the only one of that title in the first vault that has
    /// one.
    async fn find_item(&self, key: &str, what: &str) -> Result<Option<Reply>, StoreError> {
        for vault in &self.vaults {
            let vault_id = self.id_of(vault).await?;
            if is_id(key) {
                return self.item(vault_id, key, what).await.map(Some);
            }
            let path = ["vaults", vault_id, "items"];
            let found = self.listed(&path, Some(&titled(key)), what).await?;
            let ids: Vec<_> = found
                .json()
                .elements()
                .map(|one| name_in(one, "id"))
                .collect();
            match ids.as_slice() {
                [] => {}
                [Some(id)] => return self.item(vault_id, id, what).await.map(Some),
                [None] => return Err(self.malformed("an item has no `id`", what)),
                several => return Err(self.ambiguous(vault, several.len(), what)),
            }
        }
        Ok(None)
    }

    fn ambiguous(&self, vault: &Vault, count: usize, what: &str) -> StoreError {
        let vault = shown(&vault.named);
        let reason = format!("{count} items of the vault {vault} have that title");
        let error = self.error(Trouble::Conflict, reason, what);
        error.with_hint("name the id of the item")
    }

    async fn item(&self, vault: &str, id: &str, what: &str) -> Result<Reply, StoreError> {
        let item = self
            .get(&["vaults", vault, "items", id], None, what)
            .await?;
        match item.json().kind() {
            Kind::Object => Ok(item),
            _ => Err(self.malformed("the answer is no item", what)),
        }
    }

    /// What a read comes to that has found this item. What the server sends counts when it is there, file by file.
    async fn payload_of(
        &self,
        key: &ReadKey,
        item: Option<Reply>,
        together: &Room,
        what: &str,
    ) -> Outcome<Payload> {
        let Some(item) = item else {
            // Upstream takes this for an error, so nothing is deleted for it.
            let reason = "no vault of the store has an item of that title";
            return Err(self.error(Trouble::Missing, reason, what));
        };
        let own = Room::new(MOST_OF_ITEM);
        let count = |bytes: usize| {
            if own.take(bytes) && together.take(bytes) {
                return Ok(());
            }
            let reason = format!(
                "the item has more than {} MiB with its files, or those that are read with it more than {} MiB",
                MOST_OF_ITEM >> 20,
                MOST_TOGETHER >> 20
            );
            let error = self.error(Trouble::TooLarge, reason, what);
            Err(error.with_hint("name one of its files by `property: file/NAME`"))
        };
        count(item.json().raw().len())?;
        let mut parts = SecretMap::new();
        let document = name_in(item.json(), "category").as_deref() == Some(DOCUMENT);
        if key.operation == FILE || document {
            // 1Password has no versions: the name of the file stands in their place.
            let wanted = key.version.as_deref().filter(|name| !name.is_empty());
            for file in files_of(item.json()) {
                if wanted.is_some_and(|wanted| wanted != file.name) {
                    continue;
                }
                let content = self.content_of(item.json(), &file.id, what).await?;
                count(content.len() + file.name.len() + ENTRY)?;
                parts.insert(format!("{FILE_PART}{}", file.name), content);
            }
        }
        parts.insert(String::new(), item.into_bytes());
        Ok(Answer::Found(Payload::of_parts(parts)))
    }

    async fn content_of(
        &self,
        item: Json<'_>,
        file: &str,
        what: &str,
    ) -> Result<SecretBytes, StoreError> {
        let vault = item.member("vault").and_then(|vault| name_in(vault, "id"));
        let (Some(vault), Some(item)) = (vault, name_in(item, "id")) else {
            return Err(self.malformed("the item has no ids", what));
        };
        let path = ["vaults", &vault, "items", &item, "files", file, "content"];
        let url = self.base.with_segments(path);
        let call = Call::get(url, what, READ).expecting(Expects::File);
        Ok(self.rest.call(call).await?.into_bytes())
    }

    /// The files of a payload by their names.
    fn files(payload: &Payload) -> impl Iterator<Item = (&str, &SecretBytes)> {
        let parts = payload.parts().iter();
        parts.filter_map(|(name, value)| Some((name.strip_prefix(FILE_PART)?, value)))
    }

    fn one_file(&self, at: &RemoteRef, payload: &Payload, name: &str) -> Outcome<SecretBytes> {
        // Without a name the first file of the item counts.
        let item = parsed(payload);
        let first = files_of(item).into_iter().next().map(|file| file.name);
        let name = match name.is_empty() {
            true => first.unwrap_or_default(),
            false => name.to_owned(),
        };
        match payload.part(&format!("{FILE_PART}{name}")) {
            Some(content) => Ok(Answer::Found(SecretBytes::copy_of(content.expose()))),
            None => Err(self.error(
                Trouble::Missing,
                format!("the item has no file {:?}", shown(&name)),
                &reading(&at.key),
            )),
        }
    }

    fn field(&self, at: &RemoteRef, payload: &Payload, label: &str) -> Outcome<SecretBytes> {
        let label = field_of(label);
        let fields = Fields::of(parsed(payload));
        match fields.labelled(label).as_slice() {
            [only] => Ok(Answer::Found(SecretBytes::copy_of(only.expose()))),
            found => Err(self.error(
                Trouble::Missing,
                format!(
                    "the item has {} fields {:?}, and one is expected",
                    found.len(),
                    shown(label)
                ),
                &reading(&at.key),
            )),
        }
    }

    fn all_fields(
        &self,
        item: Json<'_>,
        only: Option<&str>,
        what: &str,
    ) -> Result<SecretMap, StoreError> {
        let wanted = |label: &str| only.is_none_or(|only| only == label);
        fields_of(item, wanted).map_err(|label| {
            let reason = format!("the item has several fields {:?}", shown(&label));
            self.error(Trouble::Missing, reason, what)
        })
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

/// The item of a payload, which was checked when it came.
fn parsed(payload: &Payload) -> Json<'_> {
    Json::parse(payload.bytes()).expect("an item is JSON")
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

fn is_document(payload: &Payload) -> bool {
    name_in(parsed(payload), "category").as_deref() == Some(DOCUMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_that_are_read_together_share_their_room() {
        let room = Room::new(10);
        assert!(room.take(4) && room.take(6));
        assert!(!room.take(1) && room.take(0));
        let together = Room::together();
        let several = (0..).take_while(|_| together.take(MOST_OF_ITEM)).count();
        assert_eq!(several, 2);
    }

    #[test]
    fn titles_and_ids_are_told_apart_and_escaped() {
        assert!(is_id("abcdefghijklmnopqrstuvwx12"));
        assert!(!is_id("abcdefghijklmnopqrstuvwx1"));
        assert!(!is_id("Abcdefghijklmnopqrstuvwx12"));
        assert_eq!(titled(r#"a" or \"#), r#"title eq "a\" or \\""#);
    }
}
