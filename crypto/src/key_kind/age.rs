//! age, in all its recipient types.

use super::{
    Field, FlagNames, FlatForm, GroupForm, KeyFields, KeyKind, RuleNames, anything, first_field,
};

/// age, in all its recipient types.
pub static AGE: KeyKind = KeyKind {
    section: "age",
    title: "age",
    announced: "age key with recipient",
    fields: &[Field::text("recipient", 1)],
    dated: false,
    always_listed: true,
    skips_empty: false,
    rule: RuleNames {
        flat: "age",
        flat_form: FlatForm::Texts,
        group: "age",
        group_form: GroupForm::Lists,
        place: 0,
    },
    flags: FlagNames {
        names: &["age", "a"],
        variable: "SOPS_AGE_RECIPIENTS",
        one: "an age recipient",
        many: "age recipients",
        note: "",
        value: "RECIPIENT",
        place: 6,
    },
    message: 6,
    parse: |text| Ok(KeyFields::of(&AGE, text)),
    check_entry: anything,
    check_named,
    address: first_field,
    identity: first_field,
    advice,
};

#[cfg(feature = "age")]
fn check_named(key: &KeyFields) -> Result<(), String> {
    crate::age::recipient::check(key.text("recipient")).map_err(|error| error.to_string())
}

/// A build that cannot use age keys cannot tell which of them are valid.
#[cfg(not(feature = "age"))]
fn check_named(_: &KeyFields) -> Result<(), String> {
    Ok(())
}

fn advice(recipient: &str) -> String {
    if recipient.starts_with("ssh-") {
        format!("SSH: let SOPS_AGE_SSH_PRIVATE_KEY_FILE name the private half of {recipient}")
    } else {
        format!(
            "age: let SOPS_AGE_KEY_FILE name the file that holds the identity (AGE-SECRET-KEY-…) of {recipient}, or add it to sops/age/keys.txt in your settings"
        )
    }
}
