//! Google Cloud KMS.

use super::{
    Field, FlagNames, FlatForm, GroupForm, KeyFields, KeyKind, RuleNames, anything, first_field,
};

/// Google Cloud KMS.
pub static GCP_KMS: KeyKind = KeyKind {
    section: "gcp_kms",
    title: "Google Cloud KMS",
    announced: "GCP KMS key with resource ID",
    fields: &[Field::text("resource_id", 1)],
    dated: true,
    always_listed: false,
    skips_empty: false,
    rule: RuleNames {
        flat: "gcp_kms",
        flat_form: FlatForm::Texts,
        group: "gcp_kms",
        group_form: GroupForm::Maps,
        place: 3,
    },
    flags: FlagNames {
        names: &["gcp-kms"],
        variable: "SOPS_GCP_KMS_IDS",
        one: "a Google Cloud KMS resource id",
        many: "Google Cloud KMS resource ids",
        note: "",
        value: "RESOURCE",
        place: 1,
    },
    message: 3,
    parse: |text| Ok(KeyFields::of(&GCP_KMS, text.replace(' ', ""))),
    check_entry: anything,
    check_named: anything,
    address: first_field,
    identity: first_field,
    advice: |resource| {
        format!(
            "Google Cloud KMS: sign in with `gcloud auth application-default login`, or let GOOGLE_CREDENTIALS name the credentials of an account that may decrypt with {resource}"
        )
    },
};
