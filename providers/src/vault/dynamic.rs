//! Secrets that Vault or OpenBao makes when they are asked for.
//!
//! Their leases belong to the token that asked. So it is not revoked afterwards, unlike that of a store: its end, or that of
//! the lease, takes the secret back.

use sealwright_crypto::secret::SecretBytes;

use super::VaultStore;
use super::client::{Call, Reply};
use super::kv::converted;
use crate::json::{Json, Kind, Numbers};
use crate::outcome::{StoreError, Trouble, shown};
use crate::remote::SecretMap;
use crate::settings::generators::{VaultDynamicSecretSettings, VaultResultType};
use crate::store::Connection;

/// Has a secret made.
///
/// # Errors
///
/// When signing in or the call fails, or the answer has not the part that is wanted.
pub(crate) async fn dynamic_secret(
    settings: &VaultDynamicSecretSettings,
    connection: &Connection,
) -> Result<SecretMap, StoreError> {
    let store = VaultStore::vault(&settings.provider, connection).await?;
    let client = &store.client;
    let path = settings.path.trim_matches('/');
    let attempt = format!("ask for a secret at `{}`", shown(path));
    let placed = |error: StoreError| error.while_trying(attempt.clone()).at_store(client.name());
    let query: Vec<(&str, &str)> = settings
        .get_parameters
        .iter()
        .flatten()
        .flat_map(|(name, values)| {
            values
                .iter()
                .map(move |value| (name.as_str(), value.as_str()))
        })
        .collect();
    let call = match settings.method.as_deref() {
        None | Some("" | "GET") => Call {
            query: &query,
            ..Call::get(path)
        },
        Some("LIST") => Call::list(path),
        Some("DELETE") => Call::delete(path),
        Some(_) => {
            let body = match &settings.parameters {
                Some(parameters) => parameters.to_string(),
                None => "{}".to_owned(),
            };
            Call::put(path, SecretBytes::from(body.into_bytes()))
        }
    };
    let body = match client.call(call).await.map_err(placed)? {
        Reply::Data(body) | Reply::Gone(body) => body,
        Reply::Done | Reply::Nothing if settings.allow_empty_response => {
            return Ok(SecretMap::new());
        }
        Reply::Done | Reply::Nothing => {
            let error = StoreError::new(Trouble::Missing, "the answer is empty").public();
            return Err(placed(error.with_hint(
                "set `allowEmptyResponse` if that is what the path answers",
            )));
        }
    };
    part(&body, settings.result_type).map_err(placed)
}

/// The values of the wanted part of an answer.
fn part(body: &SecretBytes, wanted: VaultResultType) -> Result<SecretMap, StoreError> {
    let whole = Json::parse(body.expose())
        .map_err(|_| StoreError::new(Trouble::Malformed, "the answer is no JSON"))?;
    let name = match wanted {
        VaultResultType::Raw => return Ok(values(whole)),
        VaultResultType::Data => "data",
        VaultResultType::Auth => "auth",
    };
    match whole.member(name) {
        Some(part) if part.kind() == Kind::Object => Ok(values(part)),
        // Vault has both parts in every answer, and null where there is nothing.
        _ if wanted == VaultResultType::Data => Ok(SecretMap::new()),
        _ => Err(StoreError::new(Trouble::Missing, "the answer has no part `auth`").public()),
    }
}

fn values(object: Json<'_>) -> SecretMap {
    object
        .members()
        .map(|(name, value)| (name.expose().to_owned(), converted(value, Numbers::Float)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_that_is_wanted_becomes_values() {
        let body = SecretBytes::copy_of(
            br#"{"request_id": "r", "data": {"username": "u", "ttl": 60, "nested": {"a": [1]}}, "auth": null}"#,
        );
        let texts = |wanted| {
            let values = part(&body, wanted).unwrap();
            let values = values
                .into_iter()
                .map(|(key, value)| (key, String::from_utf8(value.expose().to_vec()).unwrap()));
            values.collect::<std::collections::BTreeMap<_, _>>()
        };
        let data = texts(VaultResultType::Data);
        assert_eq!(data["username"], "u");
        assert_eq!(data["ttl"], "60");
        assert_eq!(data["nested"], r#"{"a":[1]}"#);
        assert_eq!(texts(VaultResultType::Raw)["request_id"], "r");
        assert!(part(&body, VaultResultType::Auth).is_err());
        let none = SecretBytes::copy_of(br#"{"data": null}"#);
        assert!(part(&none, VaultResultType::Data).unwrap().is_empty());
    }
}
