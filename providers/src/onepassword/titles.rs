//! Which items a vault has. When several items are wanted at once, one list of the vault finds them all; else each costs a
//! search of its own before it can be read.
//!
//! A list is shared by those who ask shortly after each other. What it says of an item is checked when the item is read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use tokio::sync::Mutex;

use super::payload::Room;
use super::search::is_id;
use super::{OnePassword, Vault, reading};
use crate::listing::Listing;
use crate::message::{Reply, name_in};
use crate::outcome::{Outcome, StoreError, Trouble, shown};
use crate::store::{Payload, ReadKey};

/// For how long a list is used by those who did not ask for it themselves.
const TRUSTED: Duration = Duration::from_secs(10);
/// How many items are read at once.
pub(super) const AT_ONCE: usize = 16;

/// The titles of the items of a vault, with their ids.
pub(super) struct Titles {
    ids: HashMap<String, Vec<String>>,
    /// When the list was asked for.
    at: Instant,
}

impl Titles {
    fn ids(&self, title: &str) -> &[String] {
        self.ids.get(title).map(Vec::as_slice).unwrap_or_default()
    }

    fn is_trusted(&self) -> bool {
        self.at.elapsed() < TRUSTED
    }
}

/// The newest list of a vault.
#[derive(Default)]
pub(super) struct LastList(Mutex<Listed>);

#[derive(Default)]
enum Listed {
    /// It was not asked for, or is not true any more.
    #[default]
    Not,
    Titles(Arc<Titles>),
    /// The vault has more items than one answer may have bytes: they are searched for one by one.
    TooLarge,
}

impl LastList {
    async fn trusted(&self) -> Option<Arc<Titles>> {
        match &*self.0.lock().await {
            Listed::Titles(titles) if titles.is_trusted() => Some(Arc::clone(titles)),
            _ => None,
        }
    }
}

/// What the lists say of a title.
enum Place<'a> {
    /// It is in this vault, by this id.
    At(&'a Vault, &'a str),
    /// So many items of the vault have it.
    Several(&'a Vault, usize),
    /// No vault has it.
    Nowhere,
}

impl OnePassword {
    /// Forgets the lists, which are not true any more after a write.
    pub(super) async fn forget_titles(&self) {
        for vault in &self.vaults {
            *vault.list.0.lock().await = Listed::Not;
        }
    }

    /// Reads several items: each vault is listed once, and each item read once.
    pub(super) async fn read_several(&self, keys: &[ReadKey]) -> Vec<Outcome<Payload>> {
        let asked = Instant::now();
        let titles: Vec<&str> = keys.iter().map(|key| key.key.as_str()).collect();
        let mut lists = self.trusted_lists(&titles).await;
        if lists.is_none() && titles.len() > 1 {
            lists = match self.lists(&titles, asked).await {
                Ok(lists) => lists,
                Err(error) => return keys.iter().map(|_| Err(error.clone())).collect(),
            };
        }
        let lists = lists.as_deref();
        let together = Room::together();
        let together = &together;
        let reads = stream::iter(0..keys.len()).map(|number| async move {
            let key = &keys[number];
            let _turn = self.turns.acquire().await;
            let what = reading(&key.key);
            let item = match lists {
                Some(lists) => self.item_by_lists(&key.key, lists, &what).await?,
                None => self.find_item(&key.key, &what).await?,
            };
            self.payload_of(key, item, together, &what).await
        });
        reads.buffered(AT_ONCE).collect().await
    }

    /// The lists that are there already, if they know all of the titles.
    async fn trusted_lists(&self, titles: &[&str]) -> Option<Vec<Arc<Titles>>> {
        let mut wanted: Vec<&str> = titles.iter().copied().filter(|key| !is_id(key)).collect();
        let mut lists = Vec::new();
        for vault in &self.vaults {
            if wanted.is_empty() {
                break;
            }
            let list = vault.list.trusted().await?;
            if wanted.iter().any(|title| list.ids(title).len() > 1) {
                return None;
            }
            wanted.retain(|title| list.ids(title).is_empty());
            lists.push(list);
        }
        wanted.is_empty().then_some(lists)
    }

    /// The lists of as many vaults as it takes to find the titles. Nothing where a vault is too large to be listed.
    async fn lists(
        &self,
        titles: &[&str],
        asked: Instant,
    ) -> Result<Option<Vec<Arc<Titles>>>, StoreError> {
        let mut wanted: Vec<&str> = titles.iter().copied().filter(|key| !is_id(key)).collect();
        let mut lists = Vec::new();
        for vault in &self.vaults {
            if wanted.is_empty() {
                break;
            }
            let Some(list) = self.list_since(vault, asked).await? else {
                return Ok(None);
            };
            wanted.retain(|title| list.ids(title).is_empty());
            lists.push(list);
        }
        Ok(Some(lists))
    }

    /// The list of a vault, no older than that. Nothing where the vault is too large to be listed.
    async fn list_since(
        &self,
        vault: &Vault,
        asked: Instant,
    ) -> Result<Option<Arc<Titles>>, StoreError> {
        // Those who come while it is fetched wait for it.
        let mut listed = vault.list.0.lock().await;
        match &*listed {
            Listed::TooLarge => return Ok(None),
            Listed::Titles(list) if list.at >= asked => return Ok(Some(Arc::clone(list))),
            Listed::Titles(_) | Listed::Not => {}
        }
        let at = Instant::now();
        match self.titles_of(vault, at).await {
            Ok(titles) => {
                let titles = Arc::new(titles);
                *listed = Listed::Titles(Arc::clone(&titles));
                Ok(Some(titles))
            }
            Err(error) if error.trouble() == Trouble::TooLarge => {
                *listed = Listed::TooLarge;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn titles_of(&self, vault: &Vault, at: Instant) -> Result<Titles, StoreError> {
        let what = format!("list the items of the vault {}", shown(&vault.named));
        let vault = self.id_of(vault).await?;
        let items = self
            .listed(&["vaults", vault, "items"], None, &what)
            .await?;
        let mut ids: HashMap<String, Vec<String>> = HashMap::new();
        let mut listing = Listing::of_pages(1);
        for item in items.json().elements() {
            let id = name_in(item, "id");
            let id = id.ok_or_else(|| self.malformed("an item has no `id`", &what))?;
            let title = name_in(item, "title").unwrap_or_default();
            listing.taken(id.len() + title.len())?;
            ids.entry(title).or_default().push(id);
        }
        Ok(Titles { ids, at })
    }

    /// Finds an item by the lists.
    async fn item_by_lists(
        &self,
        key: &str,
        lists: &[Arc<Titles>],
        what: &str,
    ) -> Result<Option<Reply>, StoreError> {
        if is_id(key) {
            return self.find_item(key, what).await;
        }
        match self.place_of(key, lists) {
            Place::Nowhere => Ok(None),
            Place::Several(vault, count) => Err(self.ambiguous(vault, count, what)),
            Place::At(vault, id) => {
                let vault = self.id_of(vault).await?;
                match self.item(vault, id, what).await {
                    Ok(item) if name_in(item.json(), "title").as_deref() == Some(key) => {
                        Ok(Some(item))
                    }
                    Err(error) if error.trouble() != Trouble::Missing => Err(error),
                    // It was renamed or deleted since it was listed.
                    _ => self.find_item(key, what).await,
                }
            }
        }
    }

    fn place_of<'a>(&'a self, key: &str, lists: &'a [Arc<Titles>]) -> Place<'a> {
        for (vault, list) in self.vaults.iter().zip(lists) {
            match list.ids(key) {
                [] => {}
                [id] => return Place::At(vault, id),
                several => return Place::Several(vault, several.len()),
            }
        }
        Place::Nowhere
    }
}
