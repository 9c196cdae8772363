//! AWS KMS.

use super::{
    Field, FlagNames, FlatForm, GroupForm, KeyFields, KeyKind, RuleNames, Setting, Shape, anything,
    first_field,
};

/// AWS KMS. The role to assume, the encryption context and the shared profile say how a key is reached.
pub static AWS_KMS: KeyKind = KeyKind {
    section: "kms",
    title: "AWS KMS",
    announced: "AWS KMS key with ARN",
    fields: &[
        Field::text("arn", 1),
        Field {
            may_be_absent: true,
            ..Field::text("role", 2)
        },
        Field {
            shape: Shape::Map,
            may_be_absent: true,
            setting: Some(Setting {
                flag: "encryption-context",
                help: "comma list of key:value pairs for KMS keys",
                in_rule: None,
                is_bound: true,
            }),
            ..Field::text("context", 3)
        },
        Field {
            setting: Some(Setting {
                flag: "aws-profile",
                help: "the AWS profile for KMS keys",
                in_rule: Some("aws_profile"),
                is_bound: false,
            }),
            ..Field::text("aws_profile", 4)
        },
    ],
    dated: true,
    always_listed: false,
    skips_empty: false,
    rule: RuleNames {
        flat: "kms",
        flat_form: FlatForm::Texts,
        group: "kms",
        group_form: GroupForm::Maps,
        place: 2,
    },
    flags: FlagNames {
        names: &["kms", "k"],
        variable: "SOPS_KMS_ARN",
        one: "an AWS KMS key ARN",
        many: "AWS KMS key ARNs",
        note: ", each with +role-ARN if need be",
        value: "ARN",
        place: 0,
    },
    message: 1,
    parse: |text| {
        let text = text.replace(' ', "");
        let (arn, role) = match text.find("+arn:") {
            Some(at) => (&text[..at], &text[at + 1..]),
            None => (&text[..], ""),
        };
        let mut key = KeyFields::of(&AWS_KMS, arn);
        key.set_text("role", role);
        Ok(key)
    },
    check_entry: anything,
    check_named: anything,
    address: first_field,
    identity,
    advice: |identity| {
        format!(
            "AWS KMS: sign in with `aws sso login`, or let AWS_PROFILE or AWS_ACCESS_KEY_ID name an account that may decrypt with {identity}"
        )
    },
};

fn identity(key: &KeyFields) -> String {
    let mut text = key.text("arn").to_owned();
    let (role, profile) = (key.text("role"), key.text("aws_profile"));
    if !role.is_empty() {
        text.push('+');
        text.push_str(role);
    }
    let pairs = key.map("context").iter();
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{name}:{value}"))
        .collect();
    if !profile.is_empty() {
        text.push_str(&format!("|{}|{profile}", pairs.join(",")));
    } else if !pairs.is_empty() {
        text.push_str(&format!("|{}", pairs.join(",")));
    }
    text
}
