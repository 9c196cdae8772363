//! Azure Key Vault as a store of secrets, keys and certificates.
//!
//! Upstream has two dialects, by the vendor's library that it uses (`useAzureSDK`): they differ in what is fetched beside a
//! value, in expiry dates, and in what becomes of objects that were not pushed from here.

mod jwk;
mod push;

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures::future::BoxFuture;
use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use sealwright_crypto::surroundings::{Surroundings, SystemSurroundings};

use super::api::{AzureErrors, Cloud, VERSION};
use super::sign_in;
use crate::address::Guard;
use crate::bearer::{Call, CallError, Rest};
use crate::credential::Scope;
use crate::http::url::Url;
use crate::http::{HttpClient, HttpSettings, Limits};
use crate::json::path::Found;
use crate::json::{self, Html, Json, Kind, write_text};
use crate::listing::Listing;
use crate::message::{Reply, bytes_in, decoded, name_in};
use crate::outcome::{Absent, Answer, Outcome, Proof, StoreError, Trouble, shown};
use crate::remote::{Find, MetadataPolicy, PushItem, PushSource, RemoteRef, SecretMap};
use crate::settings::azure::AzureSettings;
use crate::store::{
    Capabilities, Connection, Content, Deleted, Inspection, Match, Payload, Pushed, ReadKey, Store,
    Validation, WriteMode,
};

/// How many entries a page of a listing has; the vault gives no more.
const PAGE: (&str, &str) = ("maxresults", "25");
/// How many pages a listing may have.
const MOST_PAGES: usize = 10_000;

/// Parts of a payload beside the value: the tags, and the times of the object.
const TAGS: &str = "tags";
const TIMES: &str = "times";

/// What a key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Object {
    Secret,
    Key,
    Certificate,
}

impl Object {
    /// Reads `name` or `type/name`; what follows a second slash does not count, as upstream has it.
    fn of(key: &str) -> Result<(Self, &str), StoreError> {
        let mut parts = key.split('/');
        let (first, second) = (parts.next().unwrap_or_default(), parts.next());
        let (object, name) = match (first, second) {
            (name, None) => (Self::Secret, name),
            ("secret", Some(name)) => (Self::Secret, name),
            ("key", Some(name)) => (Self::Key, name),
            ("cert", Some(name)) => (Self::Certificate, name),
            (other, Some(_)) => {
                return Err(StoreError::invalid(format!(
                    "unknown Azure Keyvault object Type for {}: it is secret, key or cert",
                    shown(other)
                ))
                .public());
            }
        };
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if name.is_empty() || name.len() > 127 || !name.bytes().all(valid) {
            return Err(StoreError::invalid(format!(
                "{:?} is no name in a vault: those have letters, digits and -",
                shown(name)
            ))
            .public());
        }
        Ok((object, name))
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Secret => "secrets",
            Self::Key => "keys",
            Self::Certificate => "certificates",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Key => "key",
            Self::Certificate => "cert",
        }
    }

    fn of_word(word: &str) -> Self {
        match word {
            "key" => Self::Key,
            "cert" => Self::Certificate,
            _ => Self::Secret,
        }
    }

    const fn not_found(self) -> &'static str {
        match self {
            Self::Secret => "SecretNotFound",
            Self::Key => "KeyNotFound",
            Self::Certificate => "CertificateNotFound",
        }
    }
}

/// Azure Key Vault as a store.
pub(super) struct KeyVault {
    rest: Rest,
    base: Url,
    /// Whether it behaves as upstream with the vendor's newer library.
    new_dialect: bool,
    scope: Scope,
    depends_on_consumer: bool,
}

impl KeyVault {
    pub(super) fn new(
        settings: &AzureSettings,
        connection: &Connection,
    ) -> Result<Self, StoreError> {
        let base = Url::parse(&settings.vault_url).map_err(|error| error.at_field("vaultUrl"))?;
        let cloud = Cloud::of_store(settings);
        // The author of the manifest names the host, and the token may be the program's own.
        if !cloud.has(&base) {
            return Err(StoreError::invalid(format!(
                "`vaultUrl`: {} is no vault of this cloud, and tokens are sent to no other host",
                shown(base.host())
            ))
            .public()
            .with_hint("set environmentType, or customCloudConfig with keyVaultDNSSuffix"));
        }
        // What the store says of its cloud must not carry the identity of the program to a host of the author.
        if settings.is_of_program() && !cloud.is_made_for(&base) {
            return Err(StoreError::invalid(format!(
                "`vaultUrl`: {} is not below {}, and the identity of the machine or of this program is shown to no other host",
                shown(base.host()),
                shown(&cloud.resource)
            ))
            .public()
            .with_hint("set customCloudConfig.keyVaultEndpoint to what its vaults take tokens for"));
        }
        let http = Arc::new(HttpClient::new(HttpSettings {
            guard: connection.guard,
            limits: Limits::within(connection.timeout),
            ..HttpSettings::default()
        })?);
        let tokens = sign_in::of_store(settings, cloud, connection, &http)?;
        let describe = format!("Azure Key Vault {}", shown(base.host()));
        Ok(Self {
            rest: Rest::new(http, Arc::new(tokens), &AzureErrors, describe),
            base,
            new_dialect: settings.is_new_dialect(),
            scope: connection.scope.clone(),
            depends_on_consumer: settings.depends_on_consumer(),
        })
    }

    /// A vault with the credentials that are found in the program's surroundings.
    pub(super) fn of_user(vault_url: &str) -> Result<Self, StoreError> {
        let base = Url::parse(vault_url).map_err(|error| error.at_field("the vault"))?;
        let cloud = Cloud::of_vault(&base).ok_or_else(|| {
            StoreError::invalid(format!("{} is no vault of Azure", shown(base.host()))).public()
        })?;
        let surroundings: Arc<dyn Surroundings> = Arc::new(SystemSurroundings);
        let tokens = sign_in::of_surroundings(&surroundings, &cloud)?;
        let http = Arc::new(HttpClient::new(HttpSettings {
            guard: Guard::Open,
            ..HttpSettings::default()
        })?);
        let describe = format!("Azure Key Vault {}", shown(base.host()));
        Ok(Self {
            rest: Rest::new(http, Arc::new(tokens), &AzureErrors, describe),
            base,
            new_dialect: true,
            scope: Scope::default(),
            depends_on_consumer: false,
        })
    }

    fn url<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        self.base.with_segments(segments).with_query([VERSION])
    }

    /// Reads an object; an absence is proved by the vault's own words.
    async fn get_object(
        &self,
        object: Object,
        name: &str,
        version: Option<&str>,
    ) -> Result<Answer<Reply>, StoreError> {
        let url = self.url([object.path(), name, version.unwrap_or_default()]);
        let what = format!("read {}/{}", object.word(), shown(name));
        let permission = format!("{}/get", object.path());
        match self.rest.call(Call::get(url, &what, &permission)).await {
            Ok(reply) => Ok(Answer::Found(reply)),
            Err(error) => match proof_of(&error, object, version.is_some()) {
                Some(absent) => Ok(Answer::Absent(absent)),
                None => Err(error.into()),
            },
        }
    }

    async fn read_object(&self, key: &ReadKey) -> Outcome<Payload> {
        let object = Object::of_word(key.operation);
        let version = key.version.as_deref();
        let reply = match self.get_object(object, &key.key, version).await? {
            Answer::Found(reply) => reply,
            Answer::Absent(absent) => return Ok(Answer::Absent(absent)),
        };
        let parts = parts_of(object, reply.json()).map_err(|error| {
            error
                .while_trying(format!("read {}/{}", object.word(), shown(&key.key)))
                .at_store(self.rest.describe())
        })?;
        Ok(Answer::Found(Payload::of_parts(parts)))
    }

    /// What is known beside a value: the tags, and in the older dialect the times.
    fn facts(&self, payload: &Payload) -> BTreeMap<String, String> {
        let texts = |part: &str| {
            let part = payload.part(part).map_or(&b"{}"[..], SecretBytes::expose);
            texts_of(Json::parse(part).ok())
        };
        let mut facts = texts(TAGS);
        if !self.new_dialect {
            facts.extend(texts(TIMES));
        }
        facts
    }

    fn fact(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretBytes> {
        let facts = self.facts(payload);
        let Some(property) = at.wanted_property() else {
            return Ok(Answer::Found(object_of(&facts)));
        };
        if let Some(value) = facts.get(property) {
            return Ok(Answer::Found(SecretBytes::copy_of(value.as_bytes())));
        }
        let inside = property.split_once('.').and_then(|(tag, path)| {
            let value = facts.get(tag)?;
            Some(at_path(value.as_bytes(), path)?.text())
        });
        match inside {
            Some(value) => Ok(Answer::Found(value)),
            None => Err(self.missing(format!("tag {} does not exist", shown(property)))),
        }
    }

    fn missing(&self, text: String) -> StoreError {
        StoreError::new(Trouble::Missing, text)
            .public()
            .at_store(self.rest.describe())
    }

    /// What is known beside a value as names and values, each tag that is an object of texts spread out.
    fn map_of_facts(&self, at: &RemoteRef, payload: &Payload) -> SecretMap {
        let name = at.key.rsplit('/').next().unwrap_or_default();
        let mut map = SecretMap::new();
        for (tag, value) in self.facts(payload) {
            if at.wanted_property().is_some_and(|wanted| wanted != tag) {
                continue;
            }
            let inner = Json::parse(value.as_bytes()).ok();
            let inner = inner.filter(|inner| {
                inner.kind() == Kind::Object
                    && inner.members().all(|(_, value)| value.kind() == Kind::Text)
            });
            match inner {
                Some(inner) => map.extend(inner.members().map(|(key, value)| {
                    let name = format!("{name}_{tag}_{}", key.expose());
                    (name, value.unquoted())
                })),
                None => {
                    let value = SecretBytes::from(value.into_bytes());
                    map.insert(format!("{name}_{tag}"), value);
                }
            }
        }
        map
    }

    async fn list_matches(&self, what: &Find) -> Result<Vec<Match>, StoreError> {
        let (mut matches, mut listing) = (Vec::new(), Listing::of_pages(MOST_PAGES));
        let counted = |counted: Result<(), StoreError>| {
            counted.map_err(|error| {
                error
                    .while_trying("list secrets")
                    .at_store(self.rest.describe())
            })
        };
        let first = self.base.with_segments(["secrets"]);
        let mut url = first.with_query([VERSION, PAGE]);
        loop {
            counted(listing.page())?;
            let call = Call::get(url.clone(), "list secrets", "secrets/list");
            let reply = self.rest.call(call).await?;
            let listed = reply.json().member("value");
            for secret in listed.into_iter().flat_map(Json::elements) {
                let enabled = secret.member("attributes");
                let enabled = enabled.and_then(|attributes| attributes.member("enabled"));
                let id = name_in(secret, "id").unwrap_or_default();
                let name = id.rsplit('/').next().unwrap_or_default();
                let tags = texts_of(secret.member(TAGS));
                let mut wanted = what.tags.iter().flatten();
                let has_tags = wanted.all(|(key, value)| tags.get(key) == Some(value));
                let has_name = what.name.as_ref().is_none_or(|wanted| wanted.matches(name));
                if enabled.is_none_or(Json::is_true) && has_tags && has_name {
                    let mut key = ReadKey::value(name, None);
                    key.operation = Object::Secret.word();
                    let found = Match {
                        name: name.to_owned(),
                        content: Content::At(key),
                    };
                    counted(listing.found(&found))?;
                    matches.push(found);
                }
            }
            let Some(next) = reply.name("nextLink") else {
                return Ok(matches);
            };
            // The token goes to this vault and nowhere else.
            url = match Url::parse(&next) {
                Ok(next) if next.origin() == self.base.origin() => next,
                _ => {
                    return Err(StoreError::new(
                        Trouble::Malformed,
                        "the list goes on at another host",
                    )
                    .while_trying("list secrets")
                    .at_store(self.rest.describe()));
                }
            };
        }
    }
}

impl Store for KeyVault {
    fn describe(&self) -> &str {
        self.rest.describe()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ReadWrite
    }

    fn locate(&self, at: &RemoteRef) -> Result<ReadKey, StoreError> {
        let placed = |error: StoreError| error.at_store(self.rest.describe());
        let (object, name) = Object::of(&at.key).map_err(placed)?;
        let version = at.wanted_version();
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if !version.is_none_or(|version| version.bytes().all(valid)) {
            return Err(placed(
                StoreError::invalid("`version` is no id of a version").public(),
            ));
        }
        Ok(ReadKey {
            operation: object.word(),
            key: name.to_owned(),
            version: version.map(str::to_owned),
        })
    }

    fn read<'a>(&'a self, key: &'a ReadKey) -> BoxFuture<'a, Outcome<Payload>> {
        Box::pin(self.read_object(key))
    }

    fn value(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretBytes> {
        if at.metadata == MetadataPolicy::Fetch {
            return self.fact(at, payload);
        }
        let (object, _) = Object::of(&at.key)?;
        let wanted = at
            .wanted_property()
            .filter(|_| object != Object::Certificate);
        let Some(property) = wanted else {
            return Ok(Answer::Found(SecretBytes::copy_of(payload.bytes())));
        };
        match at_path(payload.bytes(), property) {
            Some(found) => Ok(Answer::Found(found.text())),
            None => Err(self.missing(format!(
                "property {} does not exist in key {}",
                shown(property),
                shown(&at.key)
            ))),
        }
    }

    fn map(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretMap> {
        let invalid = |text: &str| {
            Err(StoreError::invalid(text)
                .public()
                .at_store(self.rest.describe()))
        };
        match Object::of(&at.key)?.0 {
            Object::Secret => {}
            Object::Certificate => {
                return invalid("cannot get use dataFrom to get certificate secret");
            }
            Object::Key => return invalid("cannot get use dataFrom to get key secret"),
        }
        if at.metadata == MetadataPolicy::Fetch {
            return Ok(Answer::Found(self.map_of_facts(at, payload)));
        }
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
            let (object, name) = Object::of(&item.remote_key)?;
            let answer = self.get_object(object, name, None).await?;
            Ok(answer.found().is_some())
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

/// What a document holds at a path, or else under that very name.
fn at_path<'a>(document: &'a [u8], path: &str) -> Option<Found<'a>> {
    let found = json::path::get(document, path);
    found.or_else(|| json::path::get_literal_first(document, path))
}

/// What an error of a read proves: only the code that the vault has for such an object.
fn proof_of(error: &CallError, object: Object, with_version: bool) -> Option<Absent> {
    if !error.is(404, object.not_found()) {
        return None;
    }
    Some(Absent::proved(match with_version {
        true => Proof::NoSuchVersion,
        false => Proof::NoSuchKey,
    }))
}

/// The value of an object, its tags and its times.
fn parts_of(object: Object, json: Json<'_>) -> Result<SecretMap, StoreError> {
    let malformed = |text: &str| StoreError::new(Trouble::Malformed, text.to_owned());
    let value = match object {
        Object::Secret => json
            .member("value")
            .and_then(Json::string)
            .ok_or_else(|| malformed("the answer has no `value`"))?
            .into(),
        Object::Certificate => certificate_in(json)?,
        Object::Key => {
            let key = json.member("key");
            let key = key.filter(|key| key.kind() == Kind::Object);
            let key = key.ok_or_else(|| malformed("the answer has no `key`"))?;
            SecretBytes::copy_of(key.raw())
        }
    };
    let attributes = json.member("attributes");
    let mut times = BTreeMap::new();
    for (name, member) in [
        ("expires", "exp"),
        ("created", "created"),
        ("updated", "updated"),
        ("notBefore", "nbf"),
    ] {
        let seconds = attributes.and_then(|attributes| attributes.member(member)?.integer());
        if let Some(time) = seconds.and_then(|time| jiff::Timestamp::from_second(time).ok()) {
            times.insert(name.to_owned(), time.to_string());
        }
    }
    Ok(SecretMap::from([
        (String::new(), value),
        (TAGS.to_owned(), object_of(&texts_of(json.member(TAGS)))),
        (TIMES.to_owned(), object_of(&times)),
    ]))
}

/// The certificate in DER. The vault writes it in the standard alphabet; some of its doubles in the other one.
fn certificate_in(json: Json<'_>) -> Result<SecretBytes, StoreError> {
    let text = json.member("cer").and_then(Json::string);
    if let Some(bytes) = text
        .as_ref()
        .and_then(|text| decoded(text, &URL_SAFE_NO_PAD))
    {
        return Ok(bytes);
    }
    bytes_in(json, "cer", &STANDARD)
}

/// Names and texts: tags are no secrets.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_objects_of_three_types() {
        let of = |key| Object::of(key).unwrap();
        assert_eq!(of("a"), (Object::Secret, "a"));
        assert_eq!(of("secret/a/b"), (Object::Secret, "a"));
        assert_eq!(of("key/a"), (Object::Key, "a"));
        assert_eq!(of("cert/a"), (Object::Certificate, "a"));
        for wrong in ["other/a", "secret/", "", "a_b", "secret/..", "a?x"] {
            assert!(Object::of(wrong).is_err(), "{wrong}");
        }
    }
}
