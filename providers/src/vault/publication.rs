//! Decrypted files that are published into a KV engine, as `sops publish` does.

use std::sync::Arc;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use sealwright_crypto::surroundings::Surroundings;

use super::call::{Call, Reply};
use super::client::VaultClient;
use super::user::{connect, variable};
use crate::json::{Json, Kind, Numbers, encode};
use crate::outcome::{StoreError, Trouble};
use crate::store::{Pushed, WriteMode};

/// A place in a KV engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvPlace {
    /// The address of the server.
    pub address: String,
    /// The mount with a slash at its end.
    pub mount: String,
    /// The version of the engine, 1 or 2.
    pub version: u8,
    /// The path in it.
    pub path: String,
}

impl KvPlace {
    /// A place as a destination rule names it: the address of the environment where there is none, the mount `secret/`,
    /// and folders that end with a slash.
    #[must_use]
    pub fn of_rule(
        surroundings: &dyn Surroundings,
        (address, mount, version): (&str, &str, u8),
        folder: &str,
        name: &str,
    ) -> Self {
        let closed = |text: &str| match text.ends_with('/') {
            true => text.to_owned(),
            false => format!("{text}/"),
        };
        let address = match address.is_empty() {
            true => variable(surroundings, "VAULT_ADDR"),
            false => Some(address.to_owned()),
        };
        Self {
            address: address.unwrap_or_else(|| "https://127.0.0.1:8200".to_owned()),
            mount: closed(if mount.is_empty() { "secret" } else { mount }),
            version,
            path: format!("{}{name}", closed(folder)),
        }
    }

    /// The path that requests have behind `/v1/`.
    #[must_use]
    pub fn request_path(&self) -> String {
        let data = if self.version == 1 { "" } else { "data/" };
        format!("{}{data}{}", self.mount, self.path)
    }
}

/// What came of a publication.
#[derive(Debug)]
pub struct Published {
    /// Whether it was written.
    pub pushed: Pushed,
    /// Why it could not be told whether the same was there already.
    pub unseen: Option<StoreError>,
}

/// Writes a JSON object, unless the same is there.
///
/// # Errors
///
/// When the server refuses, or there is no such engine.
pub async fn publish(
    surroundings: &Arc<dyn Surroundings>,
    place: &KvPlace,
    object: &SecretBytes,
    mode: WriteMode,
) -> Result<Published, StoreError> {
    let client = connect(&**surroundings, &place.address)?;
    let path = place.request_path();
    let placed = |error: StoreError| {
        error
            .while_trying(format!("publish to {path}"))
            .at_store(client.name())
    };
    let (there, unseen) = match held(&client, place, &path).await {
        Ok(there) => (there, None),
        // Who may write need not be allowed to read, and a server that fails to read may write: as upstream.
        Err(error) => (None, Some(error)),
    };
    let pushed = match &there {
        Some(there) if is_same(there, object) => Pushed::Unchanged,
        Some(_) => Pushed::Updated,
        None => Pushed::Created,
    };
    if pushed != Pushed::Unchanged && mode == WriteMode::Apply {
        let reply = client.call(Call::put(&path, body(place, object))).await;
        if let Reply::Nothing = reply.map_err(placed)? {
            let text = format!(
                "there is no key-value engine of version {} there",
                place.version
            );
            let error = StoreError::new(Trouble::Invalid, text);
            return Err(placed(error.with_hint(
                "check `vault_kv_mount_name` and `vault_kv_version` of the destination rule",
            )));
        }
    }
    Ok(Published { pushed, unseen })
}

fn body(place: &KvPlace, object: &SecretBytes) -> SecretBytes {
    if place.version == 1 {
        return SecretBytes::copy_of(object.expose());
    }
    let mut body = SecretWriter::with_capacity(object.len() + 16);
    body.push(b"{\"data\":");
    body.push(object.expose());
    body.push(b"}");
    body.finish()
}

/// What is there now, as JSON.
async fn held(
    client: &VaultClient,
    place: &KvPlace,
    path: &str,
) -> Result<Option<SecretBytes>, StoreError> {
    let Reply::Data(answer) = client.call(Call::get(path)).await? else {
        return Ok(None);
    };
    let data = Json::parse(answer.expose()).ok();
    let data = data.and_then(|answer| answer.member("data"));
    let data = match place.version {
        1 => data,
        _ => data.and_then(|data| data.member("data")),
    };
    let data = data.filter(|data| data.kind() == Kind::Object);
    Ok(data.map(|data| SecretBytes::copy_of(data.raw())))
}

/// Returns true if two objects hold the same, however their members are ordered and numbers spelled.
fn is_same(one: &SecretBytes, other: &SecretBytes) -> bool {
    let spelled = |text: &SecretBytes| {
        let value = Json::parse(text.expose()).ok()?;
        let mut out = SecretWriter::with_capacity(text.len());
        encode(value, Numbers::Float, &mut out);
        Some(out.finish())
    };
    match (spelled(one), spelled(other)) {
        (Some(one), Some(other)) => one.expose() == other.expose(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use sealwright_crypto::surroundings::SystemSurroundings;

    use super::*;

    #[test]
    fn places_are_those_of_sops() {
        let place = |rule, folder: &str| {
            let place = KvPlace::of_rule(&SystemSurroundings, rule, folder, "f.yaml");
            (place.address.clone(), place.request_path())
        };
        let (address, path) = place(("http://v", "", 2), "app");
        assert_eq!((&*address, &*path), ("http://v", "secret/data/app/f.yaml"));
        let (_, path) = place(("http://v", "kv/x", 1), "app/");
        assert_eq!(path, "kv/x/app/f.yaml");
    }

    #[test]
    fn the_same_is_the_same_however_it_is_spelled() {
        let same = |one: &str, other: &str| {
            let bytes = |text: &str| SecretBytes::copy_of(text.as_bytes());
            is_same(&bytes(one), &bytes(other))
        };
        assert!(same(
            r#"{"a":1,"b":[{"c":"x"}]}"#,
            r#"{ "b": [ {"c": "x"} ], "a": 1 }"#
        ));
        assert!(!same(r#"{"a":1}"#, r#"{"a":2}"#));
        assert!(!same(r#"{"a":"1"}"#, r#"{"a":1}"#));
    }
}
