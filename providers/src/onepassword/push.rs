//! Writing fields of items. A Connect server shows what was written a little later, so a write waits until it is seen.

use std::time::Duration;

use http::Method;
use sealwright_crypto::secret::SecretBytes;
use serde::Deserialize;
use serde_json::json;

use super::item::{Fields, field_of, fields_with, files_of, only_field, tags_of, with};
use super::{OnePassword, Vault, reading};
use crate::bearer::{Call, Expects};
use crate::json::Json;
use crate::message::{Body, Reply, name_in};
use crate::outcome::{StoreError, Trouble, shown};
use crate::remote::{PushItem, PushSource};
use crate::store::{Deleted, Pushed, WriteMode};

const WRITE: &str = "write access to the vault";
/// How often, and how many times, a server is asked whether it shows what was written.
const PAUSE: Duration = Duration::from_millis(500);
const LOOKS: usize = 10;

/// What the metadata of a push may say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Metadata {
    tags: Option<Vec<String>>,
    vault: Option<String>,
}

impl OnePassword {
    pub(super) async fn push_item(
        &self,
        source: &PushSource,
        item: &PushItem,
        mode: WriteMode,
    ) -> Result<Pushed, StoreError> {
        let value = source.value(item)?;
        if std::str::from_utf8(value.expose()).is_err() {
            let text = "the value is not valid UTF-8, and 1Password stores only text";
            return Err(StoreError::invalid(text).public());
        }
        let metadata: Metadata = item.metadata_spec()?;
        let label = field_of(item.wanted_property().unwrap_or_default());
        let Some(there) = self.find_item(&item.remote_key, "find the item").await? else {
            if mode == WriteMode::Apply {
                self.create(item, label, &value, &metadata).await?;
            }
            return Ok(Pushed::Created);
        };
        let fields = Fields::of(there.json());
        let same_value = match fields.labelled(label).as_slice() {
            [] => false,
            [only] => only.expose() == value.expose(),
            several => return Err(several_fields(several.len(), label)),
        };
        let same_tags = metadata
            .tags
            .as_ref()
            .is_none_or(|tags| *tags == tags_of(there.json()));
        if same_value && same_tags {
            return Ok(Pushed::Unchanged);
        }
        if mode == WriteMode::Apply {
            let fields = fields_with(there.json(), label, Some(value.expose()));
            let whole = with(there.json(), Some(&fields), metadata.tags.as_deref());
            self.put(&there, whole).await?;
            self.seen(&item.remote_key, Some((label, &value))).await?;
        }
        Ok(Pushed::Updated)
    }

    async fn create(
        &self,
        item: &PushItem,
        label: &str,
        value: &SecretBytes,
        metadata: &Metadata,
    ) -> Result<(), StoreError> {
        let vault = self.vault_of(metadata)?;
        let vault = self.id_of(vault).await?;
        let mut body = Body::new()
            .text("title", &item.remote_key)
            .text("category", "SERVER")
            .value("vault", &json!({ "id": vault }))
            .secret_json("fields", only_field(label, value.expose()).expose());
        if let Some(tags) = &metadata.tags {
            body = body.value("tags", &json!(tags));
        }
        let body = body.finish();
        let url = self.base.with_segments(["vaults", vault, "items"]);
        let call = Call::of(Method::POST, url, "create the item", WRITE).with(&body);
        self.rest.call(call).await?;
        self.forget_titles().await;
        self.seen(&item.remote_key, None).await
    }

    /// The vault of a new item: that of the metadata, or the first.
    fn vault_of(&self, metadata: &Metadata) -> Result<&Vault, StoreError> {
        let named = metadata.vault.as_deref().filter(|name| !name.is_empty());
        let Some(named) = named else {
            return Ok(&self.vaults[0]);
        };
        let vault = self.vaults.iter().find(|vault| vault.named == named);
        vault.ok_or_else(|| {
            StoreError::invalid(format!("the store has no vault {:?}", shown(named))).public()
        })
    }

    /// Puts a whole item in the place of one.
    async fn put(&self, there: &Reply, whole: SecretBytes) -> Result<(), StoreError> {
        let url = self
            .base
            .with_segments(self.path_of(there.json())?.iter().map(String::as_str));
        let body = (whole, true);
        let call = Call::of(Method::PUT, url, "update the item", WRITE).with(&body);
        self.rest.call(call).await?;
        Ok(())
    }

    fn path_of(&self, item: Json<'_>) -> Result<[String; 4], StoreError> {
        let vault = item.member("vault").and_then(|vault| name_in(vault, "id"));
        match (vault, name_in(item, "id")) {
            (Some(vault), Some(id)) => Ok(["vaults".to_owned(), vault, "items".to_owned(), id]),
            _ => Err(self.malformed("the item has no ids", "find the item")),
        }
    }

    /// Waits until the server shows an item, or a field of it with its new value.
    async fn seen(&self, key: &str, field: Option<(&str, &SecretBytes)>) -> Result<(), StoreError> {
        for look in 0..LOOKS {
            if look > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            let Some(item) = self.find_item(key, &reading(key)).await? else {
                continue;
            };
            let fields = Fields::of(item.json());
            let shows = field.is_none_or(|(label, value)| {
                let held = fields.labelled(label);
                held.iter().any(|held| held.expose() == value.expose())
            });
            if shows {
                return Ok(());
            }
        }
        let text = "it was written, and the server does not show it yet";
        Err(StoreError::new(Trouble::Unavailable, text).public())
    }

    pub(super) async fn delete_item(
        &self,
        item: &PushItem,
        mode: WriteMode,
    ) -> Result<Deleted, StoreError> {
        let Some(there) = self.find_item(&item.remote_key, "find the item").await? else {
            return Ok(Deleted::Nothing);
        };
        let label = field_of(item.wanted_property().unwrap_or_default());
        let held = Fields::of(there.json()).labelled(label).len();
        match held {
            0 => return Ok(Deleted::Nothing),
            1 => {}
            several => return Err(several_fields(several, label)),
        }
        let fields = fields_with(there.json(), label, None);
        let last = Json::parse(fields.expose()).is_ok_and(|list| list.elements().next().is_none());
        let whole = last && files_of(there.json()).is_empty() && !has_sections(there.json());
        if mode == WriteMode::DryRun {
            return Ok(if whole {
                Deleted::Key
            } else {
                Deleted::Property
            });
        }
        if !whole {
            self.put(&there, with(there.json(), Some(&fields), None))
                .await?;
            return Ok(Deleted::Property);
        }
        let url = self
            .base
            .with_segments(self.path_of(there.json())?.iter().map(String::as_str));
        let call = Call::of(Method::DELETE, url, "delete the item", WRITE);
        self.rest.call(call.expecting(Expects::Nothing)).await?;
        self.forget_titles().await;
        Ok(Deleted::Key)
    }
}

/// Returns true if the item has a section that has a name: the one without is made by the server.
fn has_sections(item: Json<'_>) -> bool {
    let mut sections = item.member("sections").into_iter().flat_map(Json::elements);
    let named = |section: Json<'_>| {
        ["id", "label"]
            .iter()
            .any(|member| name_in(section, member).is_some())
    };
    sections.any(named)
}

fn several_fields(count: usize, label: &str) -> StoreError {
    let text = format!("the item has {count} fields {:?}", shown(label));
    StoreError::new(Trouble::Conflict, text).public()
}
