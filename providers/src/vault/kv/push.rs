//! Writing values of a KV engine. What was pushed from here carries a mark, and nothing else is changed.

use std::collections::BTreeMap;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::json::{self, Html, Json, Kind, Numbers, write_text};
use crate::outcome::{Answer, StoreError, Trouble};
use crate::remote::{PushItem, PushSource, SecretMap};
use crate::settings::vault::KvVersion;
use crate::store::{Deleted, Payload, Pushed, ReadKey, WriteMode};
use crate::vault::VaultStore;
use crate::vault::call::Call;

/// The mark of what was pushed from here.
const MANAGER: (&str, &str) = ("managed-by", "external-secrets");

impl VaultStore {
    /// Reads what a push or a deletion looks at first: the data, and what is known about it.
    async fn current(&self, key: &str) -> Result<Current, StoreError> {
        let path = self.engine.data(key)?;
        let data = match self.read_value(&ReadKey::value(path.clone(), None)).await? {
            Answer::Found(payload) => Some(payload),
            Answer::Absent(_) => None,
        };
        let (managed, version, metadata) = match self.engine.version {
            KvVersion::V1 => {
                let managed = data.as_ref().is_some_and(|data| {
                    Json::parse(data.bytes())
                        .ok()
                        .and_then(|data| data.member("custom_metadata"))
                        .is_some_and(is_managed)
                });
                (managed, None, None)
            }
            KvVersion::V2 => {
                let metadata = self.metadata_of(&self.engine.metadata(key)?).await?;
                let known = metadata
                    .as_ref()
                    .and_then(|body| Json::parse(body.expose()).ok())
                    .and_then(|root| root.member("data"));
                let version = known
                    .and_then(|known| known.member("current_version"))
                    .and_then(Json::integer);
                let mut managed = known
                    .and_then(|known| known.member("custom_metadata"))
                    .is_some_and(is_managed);
                if !managed && data.is_some() {
                    managed = self.is_managed_at_old_place(key).await?;
                }
                (managed, version, metadata)
            }
        };
        Ok(Current {
            path,
            data,
            managed,
            version,
            metadata,
        })
    }

    async fn is_managed_at_old_place(&self, key: &str) -> Result<bool, StoreError> {
        let Some(path) = self.engine.doubled_metadata(key) else {
            return Ok(false);
        };
        let Some(body) = self.metadata_of(&path).await? else {
            return Ok(false);
        };
        Ok(Json::parse(body.expose())
            .ok()
            .and_then(|root| root.member("data"))
            .and_then(|data| data.member("custom_metadata"))
            .is_some_and(is_managed))
    }

    pub(super) async fn push_value(
        &self,
        source: &PushSource,
        item: &PushItem,
        mode: WriteMode,
    ) -> Result<Pushed, StoreError> {
        let value = source.value(item)?;
        let current = self.current(&item.remote_key).await?;
        if current.data.is_some() && !current.managed {
            return Err(not_managed());
        }
        let before = current.data.as_ref().map(Payload::bytes);
        let next = match item.wanted_property() {
            Some(property) => with_property(before, property, &value)?,
            None => {
                let object = Json::parse(value.expose())
                    .ok()
                    .filter(|value| value.kind() == Kind::Object)
                    .ok_or_else(|| {
                        StoreError::invalid(
                            "a value that is pushed without a property must be a JSON object",
                        )
                        .public()
                    })?;
                SecretBytes::copy_of(object.raw())
            }
        };
        let same = before.is_some_and(|before| {
            canonical(before, self.engine.version) == canonical(next.expose(), KvVersion::V2)
        });
        if same {
            return Ok(Pushed::Unchanged);
        }
        let done = if before.is_some() {
            Pushed::Updated
        } else {
            Pushed::Created
        };
        if mode == WriteMode::DryRun {
            return Ok(done);
        }
        match self.engine.version {
            KvVersion::V1 => {
                let marked = with_manager(next.expose())?;
                self.client.call(Call::put(&current.path, marked)).await?;
            }
            KvVersion::V2 => self.write_version(item, &current, &next).await?,
        }
        Ok(done)
    }

    /// Marks the key and writes a version. The mark comes first: a key that is marked and has no value yet is taken over by
    /// the next push, one that has a value and no mark never again.
    async fn write_version(
        &self,
        item: &PushItem,
        current: &Current,
        next: &SecretBytes,
    ) -> Result<(), StoreError> {
        let metadata_path = self.engine.metadata(&item.remote_key)?;
        let known = current
            .metadata
            .as_ref()
            .and_then(|body| Json::parse(body.expose()).ok())
            .and_then(|root| root.member("data"));
        let custom = known.and_then(|known| known.member("custom_metadata"));
        if !custom.is_some_and(is_managed) {
            let mut tags: SecretMap = custom
                .into_iter()
                .flat_map(Json::members)
                .map(|(name, value)| (name.expose().to_owned(), value.unquoted()))
                .collect();
            tags.insert(
                MANAGER.0.to_owned(),
                SecretBytes::copy_of(MANAGER.1.as_bytes()),
            );
            let mut body = SecretWriter::default();
            body.push(b"{\"custom_metadata\":");
            body.push(json::object_of_texts(&tags)?.expose());
            body.push(b"}");
            self.client
                .call(Call::put(&metadata_path, body.finish()))
                .await?;
        }
        let body = version_body(
            next,
            self.guards_writes.then(|| current.version.unwrap_or(0)),
        );
        let written = self.client.call(Call::put(&current.path, body)).await;
        if written.is_err()
            && current.metadata.is_none()
            && self.has_no_version(&metadata_path).await
        {
            // Nothing was there before: the mark goes again. If that fails too, the next push finds it.
            let _ = self.client.call(Call::delete(&metadata_path)).await;
        }
        written.map(drop)
    }

    /// Returns true if a key has a mark and no value. A write may fail because another writer has made the key meanwhile, or be
    /// done although no answer came: with its metadata all of that would go.
    async fn has_no_version(&self, metadata_path: &str) -> bool {
        let Ok(Some(body)) = self.metadata_of(metadata_path).await else {
            return false;
        };
        let version = Json::parse(body.expose())
            .ok()
            .and_then(|root| root.member("data")?.member("current_version"))
            .and_then(Json::integer);
        version == Some(0)
    }

    pub(super) async fn delete_value(
        &self,
        item: &PushItem,
        mode: WriteMode,
    ) -> Result<Deleted, StoreError> {
        let current = self.current(&item.remote_key).await?;
        let Some(data) = &current.data else {
            return Ok(Deleted::Nothing);
        };
        if !current.managed {
            return Ok(Deleted::NotManaged);
        }
        if let Some(property) = item.wanted_property() {
            match without_property(data.bytes(), property, self.engine.version) {
                Removed::Nothing => return Ok(Deleted::Nothing),
                Removed::Everything => {}
                Removed::Property { rest } => {
                    if mode == WriteMode::Apply {
                        let body = match self.engine.version {
                            KvVersion::V1 => rest,
                            KvVersion::V2 => {
                                let guard = self.guards_writes;
                                version_body(&rest, guard.then(|| current.version.unwrap_or(0)))
                            }
                        };
                        self.client.call(Call::put(&current.path, body)).await?;
                    }
                    return Ok(Deleted::Property);
                }
            }
        }
        if mode == WriteMode::Apply {
            self.client.call(Call::delete(&current.path)).await?;
            if self.engine.version == KvVersion::V2 {
                let metadata = self.engine.metadata(&item.remote_key)?;
                self.client.call(Call::delete(&metadata)).await?;
            }
        }
        Ok(Deleted::Key)
    }
}

/// What is at a key before it is written.
struct Current {
    path: String,
    data: Option<Payload>,
    managed: bool,
    version: Option<i64>,
    metadata: Option<SecretBytes>,
}

fn not_managed() -> StoreError {
    StoreError::new(Trouble::Conflict, "secret not managed by external-secrets")
        .public()
        .with_hint(
            "push to another key, or mark it with the custom metadata managed-by=external-secrets",
        )
}

fn is_managed(custom: Json<'_>) -> bool {
    custom
        .member(MANAGER.0)
        .and_then(Json::string)
        .is_some_and(|manager| manager.expose() == MANAGER.1)
}

/// The members of an object by name, as they stand; of equal names the last.
fn members(object: &[u8]) -> BTreeMap<String, SecretBytes> {
    Json::parse(object)
        .ok()
        .into_iter()
        .flat_map(Json::members)
        .map(|(name, value)| (name.expose().to_owned(), SecretBytes::copy_of(value.raw())))
        .collect()
}

/// Sets a property to a text.
fn with_property(
    before: Option<&[u8]>,
    property: &str,
    value: &SecretBytes,
) -> Result<SecretBytes, StoreError> {
    if std::str::from_utf8(value.expose()).is_err() {
        return Err(
            StoreError::invalid("the value is not valid UTF-8, which a property must be").public(),
        );
    }
    let mut members = before.map(members).unwrap_or_default();
    if let Some(old) = members.get(property)
        && Json::parse(old.expose()).map(Json::kind) != Ok(Kind::Text)
    {
        return Err(StoreError::new(
            Trouble::Conflict,
            "the property is there and is no text, so it is not replaced",
        )
        .public());
    }
    let mut text = SecretWriter::with_capacity(value.len() + 2);
    write_text(value.expose(), Html::Plain, &mut text);
    members.insert(property.to_owned(), text.finish());
    Ok(json::object_of_raw(&members))
}

/// What the removal of a property does to a document.
enum Removed {
    /// There was no such property, and there are others. Upstream writes the same document once more.
    Nothing,
    /// The property is gone, and others are left.
    Property { rest: SecretBytes },
    /// Nothing is left, and the key goes, also where the property was gone already.
    Everything,
}

fn without_property(before: &[u8], property: &str, version: KvVersion) -> Removed {
    let mut members = members(before);
    let removed = members.remove(property).is_some();
    // The mark of an engine without metadata is no value.
    let is_mark = |name: &str| version == KvVersion::V1 && name == "custom_metadata";
    if members.keys().all(|name| is_mark(name)) {
        return Removed::Everything;
    }
    match removed {
        true => Removed::Property {
            rest: json::object_of_raw(&members),
        },
        false => Removed::Nothing,
    }
}

/// The body that writes a version.
fn version_body(data: &SecretBytes, replaces: Option<i64>) -> SecretBytes {
    let mut body = SecretWriter::with_capacity(data.len() + 48);
    body.push(b"{\"data\":");
    body.push(data.expose());
    if let Some(version) = replaces {
        body.push(format!(",\"options\":{{\"cas\":{version}}}").as_bytes());
    }
    body.push(b"}");
    body.finish()
}

/// The object with the mark of engines without metadata.
fn with_manager(object: &[u8]) -> Result<SecretBytes, StoreError> {
    let mut members = members(object);
    let tags = SecretMap::from([(
        MANAGER.0.to_owned(),
        SecretBytes::copy_of(MANAGER.1.as_bytes()),
    )]);
    members.insert("custom_metadata".to_owned(), json::object_of_texts(&tags)?);
    Ok(json::object_of_raw(&members))
}

/// An object in one spelling, for comparison; the mark of engines without metadata does not count.
fn canonical(object: &[u8], version: KvVersion) -> SecretBytes {
    let mut members = members(object);
    if version == KvVersion::V1 {
        members.remove("custom_metadata");
    }
    let object = json::object_of_raw(&members);
    let mut out = SecretWriter::with_capacity(object.len());
    if let Ok(value) = Json::parse(object.expose()) {
        json::encode(value, Numbers::Float, &mut out);
    }
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_with_its_last_property_also_where_that_was_gone_already() {
        let left =
            |document: &str, version| match without_property(document.as_bytes(), "a", version) {
                Removed::Nothing => "nothing".to_owned(),
                Removed::Property { rest } => String::from_utf8(rest.expose().to_vec()).unwrap(),
                Removed::Everything => "everything".to_owned(),
            };
        let mark = r#"{"custom_metadata":{"managed-by":"external-secrets"}}"#;
        let last = r#"{"a":"1","custom_metadata":{"managed-by":"external-secrets"}}"#;
        for (document, of_v1, of_v2) in [
            (r#"{"a":"1","b":1.50}"#, r#"{"b":1.50}"#, r#"{"b":1.50}"#),
            (r#"{"b":"2"}"#, "nothing", "nothing"),
            (r#"{"a":"1"}"#, "everything", "everything"),
            ("{}", "everything", "everything"),
            (mark, "everything", "nothing"),
            (last, "everything", mark),
        ] {
            assert_eq!(left(document, KvVersion::V1), of_v1, "{document}");
            assert_eq!(left(document, KvVersion::V2), of_v2, "{document}");
        }
    }

    #[test]
    fn a_property_is_text_and_nothing_is_replaced_in_it() {
        let value = |bytes: &[u8]| SecretBytes::copy_of(bytes);
        let text = with_property(None, "a", &value("\u{fc}".as_bytes())).unwrap();
        assert_eq!(text.expose(), "{\"a\":\"\u{fc}\"}".as_bytes());
        assert!(with_property(None, "a", &value(b"\xff")).is_err());
    }
}
