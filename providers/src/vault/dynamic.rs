//! Secrets that Vault or OpenBao makes when they are asked for.
//!
//! Their leases belong to the token that asked. So it is not revoked afterwards, unlike that of a store: its end, or that of
//! the lease, takes the secret back.

use std::collections::BTreeMap;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use super::VaultStore;
use super::call::{Call, Reply};
use crate::json::{self, Json, Kind, Numbers, converted};
use crate::outcome::{StoreError, Trouble, shown};
use crate::remote::SecretMap;
use crate::settings::generators::{VaultDynamicSecretSettings, VaultResultType};
use crate::store::Connection;

/// Has a secret made.
///
/// # Errors
///
/// When signing in or the call fails, or the answer is no JSON.
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

/// The fields of an answer that upstream knows, and what stands for one that is missing. It passes on no others.
const ANSWER: &[(&str, &str)] = &[
    ("data", "null"),
    ("lease_duration", "0"),
    ("lease_id", r#""""#),
    ("renewable", "false"),
    ("request_id", r#""""#),
    ("warnings", "null"),
];
/// Fields of an answer that are passed on only if there is something in them.
const OPTIONAL: &[&str] = &["auth", "mount_type", "wrap_info"];
/// The same of its part `auth`.
const AUTH: &[(&str, &str)] = &[
    ("accessor", r#""""#),
    ("client_token", r#""""#),
    ("entity_id", r#""""#),
    ("identity_policies", "null"),
    ("lease_duration", "0"),
    ("metadata", "null"),
    ("mfa_requirement", "null"),
    ("orphan", "false"),
    ("policies", "null"),
    ("renewable", "false"),
    ("token_policies", "null"),
];

/// The values of the wanted part of an answer.
fn part(body: &SecretBytes, wanted: VaultResultType) -> Result<SecretMap, StoreError> {
    let whole = Json::parse(body.expose())
        .map_err(|_| StoreError::new(Trouble::Malformed, "the answer is no JSON"))?;
    let auth = whole
        .member("auth")
        .filter(|auth| auth.kind() == Kind::Object)
        .map(|auth| json::object_of_raw(&known(auth, AUTH)));
    // Vault has both parts in every answer, and null where there is nothing: no values, then.
    let object = match wanted {
        VaultResultType::Data => {
            let data = whole.member("data");
            let data = data.filter(|data| data.kind() == Kind::Object);
            // Upstream decodes these numbers as texts, and those of the other parts as floats.
            return match data {
                Some(data) => values(data, Numbers::Literal),
                None => Ok(SecretMap::new()),
            };
        }
        VaultResultType::Auth => match auth {
            Some(auth) => auth,
            None => return Ok(SecretMap::new()),
        },
        VaultResultType::Raw => {
            let mut fields = known(whole, ANSWER);
            for name in OPTIONAL {
                let value = whole.member(name).filter(|value| {
                    value.kind() != Kind::Null && !matches!(value.raw(), b"\"\"" | b"{}")
                });
                if let Some(value) = value {
                    fields.insert((*name).to_owned(), encoded(value));
                }
            }
            if let Some(auth) = auth {
                fields.insert("auth".to_owned(), auth);
            }
            json::object_of_raw(&fields)
        }
    };
    let object = Json::parse(object.expose())
        .map_err(|_| StoreError::new(Trouble::Malformed, "the answer is no JSON"))?;
    values(object, Numbers::Float)
}

/// These fields of an object, as JSON.
fn known(object: Json<'_>, fields: &[(&str, &str)]) -> BTreeMap<String, SecretBytes> {
    let fields = fields.iter().map(|(name, missing)| {
        let value = object
            .member(name)
            .filter(|value| value.kind() != Kind::Null);
        let value = match value {
            Some(value) => encoded(value),
            None => SecretBytes::copy_of(missing.as_bytes()),
        };
        ((*name).to_owned(), value)
    });
    fields.collect()
}

fn encoded(value: Json<'_>) -> SecretBytes {
    let mut out = SecretWriter::default();
    json::encode(value, Numbers::Float, &mut out);
    out.finish()
}

fn values(object: Json<'_>, numbers: Numbers) -> Result<SecretMap, StoreError> {
    json::values_of(object, |value| converted(value, numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_that_is_wanted_becomes_values() {
        let body = SecretBytes::copy_of(
            br#"{"request_id": "r", "data": {"username": "u", "ttl": 60, "ratio": 1.10, "nested": {"a": [1.50]}}, "auth": null}"#,
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
        assert_eq!(data["ratio"], "1.10");
        assert_eq!(data["nested"], r#"{"a":[1.50]}"#);
        let raw = texts(VaultResultType::Raw);
        assert_eq!(
            raw["data"],
            r#"{"nested":{"a":[1.5]},"ratio":1.1,"ttl":60,"username":"u"}"#
        );
        assert_eq!(raw["request_id"], "r");
        assert_eq!(raw["lease_duration"], "0");
        assert_eq!(raw["renewable"], "false");
        assert_eq!(raw["warnings"], "");
        assert!(!raw.contains_key("auth"));
        assert!(part(&body, VaultResultType::Auth).unwrap().is_empty());
        // What upstream does not know is not passed on.
        let body = SecretBytes::copy_of(
            br#"{"request_id": "r", "data": null, "auth": {"client_token": "t", "policies": ["a"], "token_type": "service", "num_uses": 0}}"#,
        );
        let auth = part(&body, VaultResultType::Auth).unwrap();
        let auth: Vec<&str> = auth.keys().map(String::as_str).collect();
        let known: Vec<&str> = AUTH.iter().map(|(name, _)| *name).collect();
        assert_eq!(auth, known);
        let raw = part(&body, VaultResultType::Raw).unwrap();
        assert_eq!(
            String::from_utf8(raw["auth"].expose().to_vec()).unwrap(),
            r#"{"accessor":"","client_token":"t","entity_id":"","identity_policies":null,"lease_duration":0,"metadata":null,"mfa_requirement":null,"orphan":false,"policies":["a"],"renewable":false,"token_policies":null}"#
        );
        let none = SecretBytes::copy_of(br#"{"data": null}"#);
        assert!(part(&none, VaultResultType::Data).unwrap().is_empty());
    }
}
