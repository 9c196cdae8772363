//! Huawei Cloud KMS.

use super::{
    Field, FlagNames, FlatForm, GroupForm, KeyFields, KeyKind, RuleNames, anything, first_field,
};

/// Huawei Cloud KMS.
pub static HUAWEI_KMS: KeyKind = KeyKind {
    section: "hckms",
    title: "Huawei Cloud KMS",
    announced: "HuaweiCloud KMS key with ID",
    fields: &[Field::text("key_id", 1)],
    dated: true,
    always_listed: false,
    skips_empty: true,
    rule: RuleNames {
        flat: "hckms",
        flat_form: FlatForm::List,
        group: "hckms",
        group_form: GroupForm::Maps,
        place: 4,
    },
    flags: FlagNames {
        names: &["hckms"],
        variable: "SOPS_HUAWEICLOUD_KMS_IDS",
        one: "a Huawei Cloud KMS key id",
        many: "Huawei Cloud KMS key ids",
        note: " (region:uuid)",
        value: "ID",
        place: 2,
    },
    message: 7,
    parse: |text| {
        let (region, key) = halves(text).ok_or_else(|| format!("{text:?} is {WRONG}"))?;
        Ok(KeyFields::of(&HUAWEI_KMS, format!("{region}:{key}")))
    },
    check_entry: |key| match halves(key.text("key_id")) {
        Some(_) => Ok(()),
        None => Err(("key_id", WRONG)),
    },
    check_named: anything,
    address: first_field,
    identity: first_field,
    advice: |id| {
        format!(
            "Huawei Cloud KMS: let HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK and HUAWEICLOUD_SDK_PROJECT_ID name an account that may decrypt with {id}"
        )
    },
};

const WRONG: &str = "not of the form region:key";

fn halves(text: &str) -> Option<(&str, &str)> {
    let (region, key) = text.split_once(':')?;
    let (region, key) = (region.trim(), key.trim());
    (!region.is_empty() && !key.is_empty()).then_some((region, key))
}
