//! Vault's transit engine.

use super::{Field, FlagNames, FlatForm, GroupForm, KeyFields, KeyKind, RuleNames, anything};

/// Vault's transit engine.
pub static VAULT_TRANSIT: KeyKind = KeyKind {
    section: "hc_vault",
    title: "Vault transit",
    announced: "Hashicorp Vault key with URI",
    fields: &[
        Field::text("vault_address", 1),
        Field::text("engine_path", 2),
        Field::text("key_name", 3),
    ],
    dated: true,
    always_listed: true,
    skips_empty: true,
    rule: RuleNames {
        flat: "hc_vault_transit_uri",
        flat_form: FlatForm::Texts,
        group: "hc_vault",
        group_form: GroupForm::List,
        place: 6,
    },
    flags: FlagNames {
        names: &["hc-vault-transit"],
        variable: "SOPS_VAULT_URIS",
        one: "a Vault transit key URL",
        many: "Vault transit key URLs",
        note: "",
        value: "URL",
        place: 5,
    },
    message: 5,
    parse,
    check_entry: anything,
    check_named: anything,
    address,
    identity: address,
    advice: |uri| {
        format!(
            "Vault: let VAULT_TOKEN, or `vault login`, give a token that may decrypt with {uri}"
        )
    },
};

/// The version segment stands first in the path, the name last, a segment (`keys`) before it; the engine between.
fn parse(text: &str) -> Result<KeyFields, String> {
    let split = || {
        let (scheme, rest) = text.split_once("://")?;
        let (host, path) = rest.split_once('/')?;
        if scheme.is_empty() || host.is_empty() {
            return None;
        }
        let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        let is_version = |segment: &str| {
            let digits = segment.strip_prefix('v').unwrap_or_default();
            !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
        };
        let [version, engine @ .., _, name] = &segments[..] else {
            return None;
        };
        // Upstream takes what stands before a version with three segments behind it for a prefix. The last segment of the
        // engine and the name have fewer behind them, and may look like a version: `v1/team/v2/keys/name`.
        let nested = engine.iter().rev().skip(1).any(|part| is_version(part));
        let valid = is_version(version)
            && !engine.is_empty()
            && !nested
            && segments.iter().all(|segment| !segment.is_empty());
        valid.then(|| {
            let mut key = KeyFields::new(&VAULT_TRANSIT);
            key.set_text("vault_address", format!("{scheme}://{host}"));
            key.set_text("engine_path", engine.join("/"));
            key.set_text("key_name", *name);
            key
        })
    };
    split().ok_or_else(|| {
        format!("{text:?} is not of the form https://<server>/v1/<engine>/keys/<name>")
    })
}

fn address(key: &KeyFields) -> String {
    format!(
        "{}/v1/{}/keys/{}",
        key.text("vault_address"),
        key.text("engine_path"),
        key.text("key_name")
    )
}
