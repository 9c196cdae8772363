//! Azure Key Vault.

use super::{Field, FlagNames, FlatForm, GroupForm, KeyFields, KeyKind, RuleNames, anything};

/// Azure Key Vault. A key that is named without its version is to be completed before it wraps
/// ([`Opener::complete`](crate::master_key::Opener::complete)).
pub static AZURE_KEY_VAULT: KeyKind = KeyKind {
    section: "azure_kv",
    title: "Azure Key Vault",
    announced: "Azure Key Vault key with URL",
    fields: &[
        Field {
            in_rule: "vaultUrl",
            ..Field::text("vault_url", 1)
        },
        Field {
            in_rule: "key",
            ..Field::text("name", 2)
        },
        Field {
            may_be_open: true,
            ..Field::text("version", 3)
        },
    ],
    dated: true,
    always_listed: false,
    skips_empty: false,
    rule: RuleNames {
        flat: "azure_keyvault",
        flat_form: FlatForm::Texts,
        group: "azure_keyvault",
        group_form: GroupForm::Maps,
        place: 5,
    },
    flags: FlagNames {
        names: &["azure-kv"],
        variable: "SOPS_AZURE_KEYVAULT_URLS",
        one: "an Azure Key Vault key URL",
        many: "Azure Key Vault key URLs",
        note: "",
        value: "URL",
        place: 3,
    },
    message: 4,
    parse,
    check_entry: anything,
    check_named: anything,
    address,
    identity: address,
    advice: |url| {
        format!(
            "Azure Key Vault: sign in with `az login`, or let AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET name an account that may unwrap with {url}"
        )
    },
};

/// `^(https://[^/]+)/keys/([^/]+)(/[^/]*)?$`
fn parse(text: &str) -> Result<KeyFields, String> {
    let split = || {
        let rest = text.strip_prefix("https://")?;
        let (host, path) = rest.split_once('/')?;
        let path = path.strip_prefix("keys/")?;
        let (name, version) = path.split_once('/').unwrap_or((path, ""));
        let valid = !host.is_empty() && !name.is_empty() && !version.contains('/');
        valid.then_some((host, name, version))
    };
    let (host, name, version) = split().ok_or_else(|| {
        format!("{text:?} is not of the form https://<vault>/keys/<name>[/<version>]")
    })?;
    let mut key = KeyFields::new(&AZURE_KEY_VAULT);
    key.set_text("vault_url", format!("https://{host}"));
    key.set_text("name", name);
    key.set_text("version", version);
    Ok(key)
}

fn address(key: &KeyFields) -> String {
    format!(
        "{}/keys/{}/{}",
        key.text("vault_url"),
        key.text("name"),
        key.text("version")
    )
}
