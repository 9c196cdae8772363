//! The values of a KV engine: read, found and looked at.

mod find;
mod push;

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use super::call::{Call, Reply};
use super::{Dialect, VaultStore};
use crate::json::{self, Json, Kind, Numbers, converted};
use crate::outcome::{Absent, Answer, Outcome, Proof, StoreError, Trouble, shown};
use crate::remote::{Find, MetadataPolicy, PushItem, PushSource, RemoteRef, SecretMap};
use crate::settings::vault::KvVersion;
use crate::store::{
    Capabilities, Deleted, Inspection, Match, Payload, Pushed, ReadKey, SignIns, Step, Store,
    Validation, WriteMode,
};

/// For how long an engine that was seen counts as being there.
const ENGINE_TRUSTED: Duration = Duration::from_secs(60);

impl VaultStore {
    fn version(&self, at: &RemoteRef) -> Result<Option<String>, StoreError> {
        let Some(version) = at.wanted_version() else {
            return Ok(None);
        };
        if self.engine.version == KvVersion::V1 {
            return match self.dialect {
                Dialect::Vault => Ok(None),
                Dialect::OpenBao => Err(StoreError::invalid(
                    "OpenBao KVv1 secrets do not support versioning (use KVv2)",
                )
                .public()),
            };
        }
        match version.parse::<u64>() {
            Ok(number) => Ok(Some(number.to_string())),
            Err(_) => Err(StoreError::invalid(format!(
                "the version {:?} is no number",
                shown(version)
            ))
            .public()),
        }
    }

    async fn read_value(&self, key: &ReadKey) -> Outcome<Payload> {
        let version = key.version.as_deref();
        let query: Vec<(&str, &str)> = version
            .map(|version| ("version", version))
            .into_iter()
            .collect();
        let call = Call {
            query: &query,
            ..Call::get(&key.key)
        };
        let body = match self.client.call(call).await? {
            Reply::Nothing => {
                self.prove_engine(&key.key).await?;
                let proof = match version {
                    Some(_) => Proof::NoSuchVersion,
                    None => Proof::NoSuchKey,
                };
                return Ok(Answer::Absent(Absent::proved(proof)));
            }
            Reply::Done => return Err(self.malformed("it has no body")),
            Reply::Data(body) | Reply::Gone(body) => body,
        };
        let root = Json::parse(body.expose()).map_err(|_| self.malformed("it is no JSON"))?;
        let data = root
            .member("data")
            .ok_or_else(|| self.malformed("failed to find data field"))?;
        let value = match self.engine.version {
            KvVersion::V1 => data,
            KvVersion::V2 => {
                let known = data
                    .member("metadata")
                    .filter(|known| known.kind() == Kind::Object);
                match (data.member("data"), known) {
                    (Some(value), Some(known)) if value.kind() == Kind::Null => {
                        let deleted = known
                            .member("deletion_time")
                            .and_then(Json::string)
                            .is_some_and(|time| !time.expose().is_empty());
                        let destroyed = known.member("destroyed").is_some_and(Json::is_true);
                        if deleted || destroyed {
                            return Ok(Answer::Absent(Absent::proved(Proof::Deleted)));
                        }
                        return Err(self.malformed("it has no data, and does not say why"));
                    }
                    (Some(value), Some(_)) => {
                        self.saw_engine();
                        value
                    }
                    (Some(_), None) | (None, _) => {
                        return Err(StoreError::new(
                            Trouble::Invalid,
                            "failed to find data field: the engine keeps no versions (v1)",
                        )
                        .public()
                        .with_hint("set `version: v1`, or look at `path`"));
                    }
                }
            }
        };
        if value.kind() != Kind::Object {
            return Err(self.malformed("its data is no object"));
        }
        Ok(Answer::Found(Payload::whole(SecretBytes::copy_of(
            value.raw(),
        ))))
    }

    /// Reads what is known about a key, as an object of strings.
    async fn read_metadata(&self, key: &ReadKey) -> Outcome<Payload> {
        let Some(body) = self.metadata_of(&key.key).await? else {
            return Err(StoreError::new(Trouble::Missing, "secret not found").public());
        };
        let root = Json::parse(body.expose()).map_err(|_| self.malformed("it is no JSON"))?;
        let data = root
            .member("data")
            .filter(|data| data.kind() == Kind::Object)
            .ok_or_else(|| self.malformed("failed to find data field"))?;
        let mut known = SecretMap::new();
        for name in ["created_time", "current_version", "delete_version_after"] {
            if let Some(value) = data.member(name) {
                known.insert(name.to_owned(), value.unquoted());
            }
        }
        let custom = data.member("custom_metadata");
        for (name, value) in custom.into_iter().flat_map(Json::members) {
            known.insert(name.expose().to_owned(), value.unquoted());
        }
        Ok(Answer::Found(Payload::whole(json::object_of_texts(
            &known,
        )?)))
    }

    async fn metadata_of(&self, path: &str) -> Result<Option<SecretBytes>, StoreError> {
        match self.client.call(Call::get(path)).await? {
            Reply::Data(body) => Ok(Some(body)),
            Reply::Nothing => {
                self.prove_engine(path).await?;
                Ok(None)
            }
            Reply::Done | Reply::Gone(_) => Err(self.malformed("it has no body")),
        }
    }

    fn malformed(&self, what: &str) -> StoreError {
        StoreError::new(
            Trouble::Malformed,
            format!("the answer is not one of a KV engine: {what}"),
        )
    }

    fn saw_engine(&self) {
        *self
            .engine_seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Makes sure that an engine of the configured version is mounted there. Without it, "nothing there" proves nothing:
    /// an engine of the other version answers so to every key.
    async fn prove_engine(&self, path: &str) -> Result<(), StoreError> {
        let seen = *self
            .engine_seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if seen.is_some_and(|seen| seen.elapsed() < ENGINE_TRUSTED) {
            return Ok(());
        }
        let path = match &self.engine.mount {
            Some(mount) => mount.clone(),
            None => path.trim_matches('/').to_owned(),
        };
        let question = format!("sys/internal/ui/mounts/{path}");
        let unproved = |why: &str| {
            StoreError::new(
                Trouble::Missing,
                format!("nothing is there, and that the engine is cannot be proved: {why}"),
            )
            .with_hint(format!(
                "look at `path`, or allow `read` on `{}`",
                shown(&question)
            ))
        };
        let body = match self.client.call(Call::get(&question)).await {
            Ok(Reply::Data(body)) => body,
            Ok(_) => return Err(unproved("the server says nothing about its mounts")),
            Err(error) if error.trouble() == Trouble::Forbidden => {
                return Err(unproved("the token may not see the mount"));
            }
            Err(error) => return Err(error),
        };
        let root = Json::parse(body.expose()).map_err(|_| self.malformed("it is no JSON"))?;
        let mount = root.member("data").unwrap_or(root);
        let text = |value: Option<Json<'_>>| {
            value
                .and_then(Json::string)
                .map(|text| text.expose().to_owned())
                .unwrap_or_default()
        };
        let kind = text(mount.member("type"));
        if !matches!(kind.as_str(), "kv" | "generic") {
            return Err(StoreError::invalid(format!(
                "expected mount type \"kv\" found \"{}\"",
                shown(&kind)
            ))
            .with_hint("look at `path` of the store"));
        }
        let options = mount.member("options");
        let version = text(options.and_then(|options| options.member("version")));
        let found = if version == "2" {
            KvVersion::V2
        } else {
            KvVersion::V1
        };
        if found != self.engine.version {
            let number = |version| match version {
                KvVersion::V1 => "1",
                KvVersion::V2 => "2",
            };
            return Err(StoreError::invalid(format!(
                "expected kv engine version {} found version {}",
                number(self.engine.version),
                number(found)
            ))
            .public()
            .with_hint(format!("set `version: v{}`", number(found))));
        }
        self.saw_engine();
        Ok(())
    }

    fn placed<T>(
        &self,
        result: Result<T, StoreError>,
        verb: &str,
        key: &str,
    ) -> Result<T, StoreError> {
        result.map_err(|error| {
            error
                .while_trying(format!("{verb} `{}`", shown(key)))
                .at_store(self.client.name())
        })
    }
}

impl Store for VaultStore {
    fn describe(&self) -> &str {
        self.client.name()
    }

    fn capabilities(&self) -> Capabilities {
        match self.dialect {
            Dialect::Vault => Capabilities::ReadWrite,
            Dialect::OpenBao => Capabilities::ReadOnly,
        }
    }

    fn locate(&self, at: &RemoteRef) -> Result<ReadKey, StoreError> {
        let located = || {
            if at.metadata == MetadataPolicy::Fetch && self.dialect == Dialect::Vault {
                if self.engine.version == KvVersion::V1 {
                    return Err(StoreError::new(
                        Trouble::Unsupported,
                        "cannot perform metadata fetch operations with kv version v1",
                    )
                    .public());
                }
                return Ok(ReadKey::metadata(self.engine.metadata(&at.key)?, None));
            }
            let version = self.version(at)?;
            Ok(ReadKey::value(
                self.engine.data(&at.key)?,
                version.as_deref(),
            ))
        };
        self.placed(located(), "read", &at.key)
    }

    fn read<'a>(&'a self, key: &'a ReadKey) -> BoxFuture<'a, Outcome<Payload>> {
        Box::pin(async move {
            let outcome = match key.operation {
                "metadata" => self.read_metadata(key).await,
                _ => self.read_value(key).await,
            };
            self.placed(outcome, "read", &key.key)
        })
    }

    fn value(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretBytes> {
        let picked = || {
            let document =
                Json::parse(payload.bytes()).map_err(|_| self.malformed("it is no JSON"))?;
            let Some(property) = at.wanted_property() else {
                return Ok(written(document));
            };
            match property_of(document, property) {
                Property::Member(value) => Ok(converted(value, Numbers::Literal)),
                Property::AtPath(value) => Ok(value),
                Property::Missing => Err(StoreError::new(
                    Trouble::Missing,
                    format!("cannot find secret data for key: {:?}", shown(property)),
                )
                .public()),
            }
        };
        self.placed(picked(), "read", &at.key).map(Answer::Found)
    }

    fn map(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretMap> {
        let Answer::Found(value) = self.value(at, payload)? else {
            return Err(self.malformed("it has no value"));
        };
        let object = Json::parse(value.expose())
            .ok()
            .filter(|value| value.kind() == Kind::Object)
            .ok_or_else(|| {
                StoreError::new(Trouble::Missing, "the value is no JSON object").public()
            });
        let object = self.placed(object, "read", &at.key)?;
        let values = json::values_of(object, |value| converted(value, Numbers::Float));
        self.placed(values, "read", &at.key).map(Answer::Found)
    }

    fn list<'a>(&'a self, what: &'a Find) -> BoxFuture<'a, Outcome<Vec<Match>>> {
        Box::pin(async move {
            let path = what.path.as_deref().unwrap_or("/");
            self.placed(self.find_names(what).await, "find in", path)
        })
    }

    fn push<'a>(
        &'a self,
        source: &'a PushSource,
        item: &'a PushItem,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Pushed, StoreError>> {
        Box::pin(async move {
            let pushed = match self.dialect {
                Dialect::Vault => self.push_value(source, item, mode).await,
                Dialect::OpenBao => Err(read_only()),
            };
            self.placed(pushed, "push", &item.remote_key)
        })
    }

    fn delete<'a>(
        &'a self,
        item: &'a PushItem,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Deleted, StoreError>> {
        Box::pin(async move {
            let deleted = match self.dialect {
                Dialect::Vault => self.delete_value(item, mode).await,
                Dialect::OpenBao => Err(read_only()),
            };
            self.placed(deleted, "delete", &item.remote_key)
        })
    }

    fn exists<'a>(&'a self, item: &'a PushItem) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let there = async {
                if self.dialect == Dialect::OpenBao {
                    return Err(read_only());
                }
                let path = self.engine.data(&item.remote_key)?;
                let Answer::Found(payload) = self.read_value(&ReadKey::value(path, None)).await?
                else {
                    return Ok(false);
                };
                let Some(property) = item.wanted_property() else {
                    return Ok(true);
                };
                let document =
                    Json::parse(payload.bytes()).map_err(|_| self.malformed("it is no JSON"))?;
                Ok(property_of(document, property).exists())
            };
            self.placed(there.await, "look for", &item.remote_key)
        })
    }

    fn validate(&self) -> BoxFuture<'_, Result<Validation, StoreError>> {
        Box::pin(async move {
            if self.referent {
                return Ok(Validation::Unknown);
            }
            let checked = async {
                self.client.who_am_i().await?;
                if self.dialect == Dialect::OpenBao {
                    let mount = self.engine.mount.clone().unwrap_or_default();
                    self.prove_engine(&mount).await?;
                }
                Ok(Validation::Ready)
            };
            checked.await.map_err(|error: StoreError| {
                error
                    .while_trying("use the credentials")
                    .at_store(self.client.name())
            })
        })
    }

    fn inspect<'a>(&'a self, at: Option<&'a RemoteRef>) -> BoxFuture<'a, Inspection> {
        Box::pin(async move {
            let mut inspection = Inspection::default();
            let me = self.client.who_am_i().await;
            let failed = me.is_err();
            inspection.principal = me.as_ref().ok().map(|facts| facts.principal.clone());
            inspection.steps.push(Step {
                what: "sign in".to_owned(),
                result: me.map(|facts| {
                    let lease = match facts.lease {
                        Some(lease) => format!("for {} s more", lease.as_secs()),
                        None => "without an end".to_owned(),
                    };
                    let kind = match (facts.batch, facts.renewable) {
                        (true, _) => "batch token",
                        (false, true) => "token that can be renewed",
                        (false, false) => "token",
                    };
                    format!("as {}: a {kind}, {lease}", facts.principal)
                }),
            });
            if failed {
                return inspection;
            }
            if let Some(mount) = &self.engine.mount {
                let engine = self.prove_engine(mount).await;
                let missing = engine.is_err();
                inspection.steps.push(Step {
                    what: format!("find the engine at {}", shown(mount)),
                    result: engine.map(|()| format!("KV {:?}", self.engine.version).to_lowercase()),
                });
                if missing {
                    return inspection;
                }
            }
            let Some(at) = at else {
                return inspection;
            };
            if let Ok(key) = self.locate(at) {
                let rights = self.client.rights(&key.key).await;
                inspection.steps.push(Step {
                    what: format!("see the rights on {}", shown(&key.key)),
                    result: rights.map(|rights| rights.join(", ")),
                });
            }
            inspection.steps.push(Step::of_read(at, self.get(at).await));
            inspection
        })
    }

    fn neighbours<'a>(&'a self, at: &'a RemoteRef) -> BoxFuture<'a, Vec<String>> {
        Box::pin(async move {
            // Without a mount path in the settings only the path of the value shows where the engine begins.
            let path = match self.engine.mount {
                Some(_) => Ok(at.key.clone()),
                None => self.engine.data(&at.key),
            };
            let path = path.unwrap_or_default();
            let (folder, _) = path.rsplit_once('/').unwrap_or(("", &path));
            let Ok((mount, inside)) = self.engine.folder(folder) else {
                return Vec::new();
            };
            let path = self.engine.listed(&mount, &inside);
            let listed = self.list_folder(&path).await.ok().flatten();
            listed
                .unwrap_or_default()
                .into_iter()
                .map(|name| match folder {
                    "" => name,
                    folder => format!("{folder}/{name}"),
                })
                .collect()
        })
    }

    fn sign_ins(&self) -> SignIns {
        SignIns {
            made: self.client.logins(),
            failed: self.client.failed_logins(),
        }
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.client.give_up_token())
    }
}

/// What a property of a document means.
enum Property<'a> {
    /// The member of that very name.
    Member(Json<'a>),
    /// The text that it leads to as a path.
    AtPath(SecretBytes),
    Missing,
}

impl Property<'_> {
    /// Whether a push of the property would find it there. To upstream, a member that is null is not; at the end of a path it is.
    fn exists(&self) -> bool {
        match self {
            Self::Member(value) => value.kind() != Kind::Null,
            Self::AtPath(_) => true,
            Self::Missing => false,
        }
    }
}

fn property_of<'a>(document: Json<'a>, property: &str) -> Property<'a> {
    if let Some(value) = document.member(property) {
        return Property::Member(value);
    }
    let whole = written(document);
    match json::path::get(whole.expose(), property) {
        Some(found) => Property::AtPath(found.text()),
        None => Property::Missing,
    }
}

/// A document as upstream writes it again.
fn written(document: Json<'_>) -> SecretBytes {
    let mut out = SecretWriter::with_capacity(document.raw().len());
    json::encode(document, Numbers::Literal, &mut out);
    out.finish()
}

fn read_only() -> StoreError {
    StoreError::new(
        Trouble::Unsupported,
        "the provider openBao reads only, as upstream's does",
    )
    .public()
    .with_hint("push through the provider vault, which speaks to OpenBao as well")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_exists_where_it_would_be_read() {
        let document = br#"{"a": "1", "b": {"c": null, "d": ""}, "x.y": "2", "none": null}"#;
        let document = Json::parse(document).unwrap();
        for (property, exists) in [
            ("a", true),
            ("b", true),
            ("b.c", true),
            ("b.d", true),
            ("b.e", false),
            ("x.y", true),
            ("none", false),
            ("other", false),
        ] {
            let found = property_of(document, property).exists();
            assert_eq!(found, exists, "{property}");
        }
    }
}
