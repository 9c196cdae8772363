//! What is read of an item: its JSON and its files, within the room that there is for them.

use std::sync::atomic::{AtomicUsize, Ordering};

use sealwright_crypto::secret::SecretBytes;

use super::item::{DOCUMENT, Fields, field_of, fields_of, files_of};
use super::{FILE, OnePassword, READ, reading};
use crate::bearer::{Call, Expects};
use crate::json::Json;
use crate::listing::MOST_BYTES;
use crate::message::{Reply, name_in};
use crate::outcome::{Answer, Outcome, StoreError, Trouble, shown};
use crate::remote::{RemoteRef, SecretMap};
use crate::store::{Payload, ReadKey};

/// How many bytes an item may have with its files: far more than a Secret takes.
const MOST_OF_ITEM: usize = MOST_BYTES;
/// How many bytes all items may have that are read together.
const MOST_TOGETHER: usize = 2 * MOST_OF_ITEM;
/// What a file costs besides its name and its content.
const ENTRY: usize = 96;
/// What parts of a payload that are files are called before their names.
const FILE_PART: &str = "file/";

impl OnePassword {
    /// What a read comes to that has found this item. What the server sends counts when it is there, file by file.
    pub(super) async fn payload_of(
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
    pub(super) fn files(payload: &Payload) -> impl Iterator<Item = (&str, &SecretBytes)> {
        let parts = payload.parts().iter();
        parts.filter_map(|(name, value)| Some((name.strip_prefix(FILE_PART)?, value)))
    }

    pub(super) fn one_file(
        &self,
        at: &RemoteRef,
        payload: &Payload,
        name: &str,
    ) -> Outcome<SecretBytes> {
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

    pub(super) fn field(
        &self,
        at: &RemoteRef,
        payload: &Payload,
        label: &str,
    ) -> Outcome<SecretBytes> {
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

    pub(super) fn all_fields(
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
}

/// The item of a payload, which was checked when it came.
pub(super) fn parsed(payload: &Payload) -> Json<'_> {
    Json::parse(payload.bytes()).expect("an item is JSON")
}

pub(super) fn is_document(payload: &Payload) -> bool {
    name_in(parsed(payload), "category").as_deref() == Some(DOCUMENT)
}

/// How many bytes those who read may still keep.
pub(super) struct Room(AtomicUsize);

impl Room {
    fn new(bytes: usize) -> Self {
        Self(AtomicUsize::new(bytes))
    }

    /// The room of items that are read together.
    pub(super) fn together() -> Self {
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
}
