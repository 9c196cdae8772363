//! OpenPGP, through gpg.

use super::{
    Field, FlagNames, FlatForm, GroupForm, KeyFields, KeyKind, RuleNames, anything, first_field,
};

/// OpenPGP, through gpg.
pub static PGP: KeyKind = KeyKind {
    section: "pgp",
    title: "OpenPGP",
    announced: "PGP key with fingerprint",
    fields: &[Field::text("fp", 1)],
    dated: true,
    always_listed: false,
    skips_empty: false,
    rule: RuleNames {
        flat: "pgp",
        flat_form: FlatForm::Texts,
        group: "pgp",
        group_form: GroupForm::List,
        place: 1,
    },
    flags: FlagNames {
        names: &["pgp", "p"],
        variable: "SOPS_PGP_FP",
        one: "an OpenPGP fingerprint",
        many: "OpenPGP fingerprints",
        note: "",
        value: "FINGERPRINT",
        place: 4,
    },
    message: 2,
    parse: |text| Ok(KeyFields::of(&PGP, text.replace(' ', ""))),
    check_entry: anything,
    check_named: anything,
    address: first_field,
    identity: first_field,
    advice: |fingerprint| {
        format!(
            "OpenPGP: `gpg --list-secret-keys {fingerprint}` must show the key; import it with `gpg --import`, or let GNUPGHOME name the folder that has it"
        )
    },
};
