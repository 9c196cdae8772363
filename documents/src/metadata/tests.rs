use super::*;

fn map(entries: &[(&str, Data)]) -> Data {
    Data::Map(
        entries
            .iter()
            .map(|(key, value)| (Data::key(key), value.copy()))
            .collect(),
    )
}

fn age(recipient: &str) -> Data {
    map(&[
        ("recipient", Data::str(recipient)),
        ("enc", Data::str("armor\n")),
    ])
}

fn block(more: &[(&str, Data)]) -> Data {
    let mut entries = vec![
        ("age", Data::List(vec![age("age1a")])),
        ("lastmodified", Data::str("2020-01-01T00:00:00Z")),
        ("mac", Data::str("ENC[x]")),
        ("version", Data::str("3.13.3")),
    ];
    for (name, value) in more {
        entries.retain(|(known, _)| known != name);
        entries.push((name, value.copy()));
    }
    map(&entries)
}

fn names(data: &Data) -> Vec<String> {
    let Data::Map(entries) = data else {
        panic!("a map was expected")
    };
    entries
        .iter()
        .map(|(name, _)| String::from_utf8(name.expose().to_vec()).unwrap())
        .collect()
}

#[test]
fn t17_fields_ascend_and_empty_ones_are_left_out() {
    let mut metadata = Metadata::from_data(&block(&[])).unwrap();
    assert_eq!(
        names(&metadata.to_data()),
        ["age", "lastmodified", "mac", "version"]
    );
    metadata.selection = Some(SelectionRule::default());
    metadata.shamir_threshold = 1;
    metadata.mac_only_encrypted = true;
    metadata.hints = Some("ENC[h]".into());
    assert_eq!(
        names(&metadata.to_data()),
        [
            "age",
            "lastmodified",
            "mac",
            "mac_only_encrypted",
            "sealwright",
            "shamir_threshold",
            "unencrypted_suffix",
            "version"
        ]
    );
    assert_eq!(Metadata::from_data(&metadata.to_data()).unwrap(), metadata);
    metadata.groups.push(Vec::new());
    let data = metadata.to_data();
    assert!(data.get("age").is_none());
    let Some(Data::List(groups)) = data.get("key_groups") else {
        panic!("key_groups was expected")
    };
    assert_eq!(names(&groups[0]), ["age", "hc_vault"]);
    assert_eq!(names(&groups[1]), ["age", "hc_vault"]);
    assert_eq!(Metadata::from_data(&data).unwrap(), metadata);
}

#[test]
fn t18_kms_fields() {
    let kms = |fields: &[(&str, Data)]| {
        let mut entry = vec![
            ("arn", Data::str("arn:aws:kms:x:1:key/k")),
            ("created_at", Data::str("2020-01-01T00:00:00.5+00:00")),
            ("enc", Data::str("AA==")),
        ];
        entry.extend(fields.iter().map(|(name, value)| (*name, value.copy())));
        block(&[("age", Data::Null), ("kms", Data::List(vec![map(&entry)]))])
    };
    let written = |data: &Data| {
        let data = Metadata::from_data(data).unwrap().to_data();
        let Some(Data::List(list)) = data.get("kms") else {
            panic!("kms was expected")
        };
        (names(&list[0]), list[0].get("created_at").unwrap().copy())
    };
    let (fields, created) = written(&kms(&[]));
    assert_eq!(fields, ["arn", "aws_profile", "created_at", "enc"]);
    assert_eq!(created, Data::str("2020-01-01T00:00:00Z"));
    let context = map(&[("b", Data::Int(2)), ("a", Data::str("1"))]);
    let full = kms(&[("role", Data::str("r")), ("context", context)]);
    let (fields, _) = written(&full);
    assert_eq!(
        fields,
        ["arn", "aws_profile", "context", "created_at", "enc", "role"]
    );
    let metadata = Metadata::from_data(&full).unwrap();
    assert_eq!(
        metadata.groups[0][0].key.identity(),
        "arn:aws:kms:x:1:key/k+r|a:1,b:2"
    );
    assert!(!metadata.has_mixed_contexts());
    let old = Metadata {
        version: "3.2.0".into(),
        ..metadata
    };
    assert!(old.has_mixed_contexts());
}

#[test]
fn t48_keys_of_a_group_have_one_order() {
    let created = ("created_at", Data::str("2020-01-01T00:00:00Z"));
    let entry = |name, value: &str| map(&[(name, Data::str(value)), (created.0, created.1.copy())]);
    let data = block(&[
        ("pgp", entry("fp", "F")),
        ("gcp_kms", Data::List(vec![entry("resource_id", "g")])),
        ("hckms", Data::List(vec![entry("key_id", "r:k")])),
        ("hc_vault", Data::List(vec![entry("key_name", "v")])),
        ("azure_kv", Data::List(vec![entry("name", "z")])),
        ("kms", Data::List(vec![entry("arn", "a")])),
    ]);
    let metadata = Metadata::from_data(&data).unwrap();
    let kinds: Vec<&KeyKind> = metadata.groups[0]
        .iter()
        .map(|entry| entry.key.kind())
        .collect();
    assert_eq!(kinds, key_kind::ALL);
}

#[test]
fn fields_are_converted_as_the_reference_converts_them() {
    let data = block(&[
        ("lastmodified", Data::Null),
        ("LastModified", Data::Time("2020-01-01T00:00:00.25Z".into())),
        ("lastmodified", Data::Time("2020-01-01T00:00:00.25Z".into())),
        ("shamir_threshold", Data::str("0x2")),
        ("mac_only_encrypted", Data::str("t")),
        ("mac", Data::Int(5)),
        ("version", Data::Float(3.5)),
        ("kms", Data::Map(Vec::new())),
    ]);
    let metadata = Metadata::from_data(&data).unwrap();
    assert_eq!(metadata.shamir_threshold, 2);
    assert!(metadata.mac_only_encrypted);
    assert_eq!(
        (metadata.mac.as_str(), metadata.version.as_str()),
        ("5", "3.5")
    );
    assert!(matches!(metadata.version(), Err(MetadataError::Version(_))));
    let upper = map(&[
        ("AGE", age("age1a")),
        ("LastModified", Data::str("2020-01-01T00:00:00Z")),
        ("Mac", Data::str("m")),
    ]);
    let metadata = Metadata::from_data(&upper).unwrap();
    assert_eq!((metadata.groups[0].len(), metadata.mac.as_str()), (1, "m"));
}

#[test]
fn d17_unquoted_times_are_taken() {
    let data = block(&[("lastmodified", Data::Time("2020-01-01T00:00:00Z".into()))]);
    let metadata = Metadata::from_data(&data).unwrap();
    assert_eq!(metadata.last_modified.as_str(), "2020-01-01T00:00:00Z");
}

#[test]
fn errors_name_the_field() {
    let text = |data: &Data| Metadata::from_data(data).unwrap_err().to_string();
    assert_eq!(text(&Data::Null), "the sops block is not a map");
    assert_eq!(
        text(&block(&[("lastmodified", Data::str("yesterday"))])),
        "sops.lastmodified: not an RFC 3339 time"
    );
    assert_eq!(
        text(&block(&[("lastmodified", Data::Null)])),
        "the sops block has no lastmodified"
    );
    assert_eq!(
        text(&block(&[(
            "pgp",
            Data::List(vec![map(&[("fp", Data::str("F"))])])
        )])),
        "the sops block has no pgp[0].created_at"
    );
    assert_eq!(
        text(&block(&[("mac", Data::List(Vec::new()))])),
        "sops.mac: text expected, a list found"
    );
    assert_eq!(
        text(&block(&[("age", Data::str("age1"))])),
        "sops.age: a list of maps expected, text found"
    );
    assert_eq!(
        text(&block(&[("age", Data::Null)])),
        "no keys found in the sops block"
    );
    let both = block(&[
        ("encrypted_regex", Data::str("a")),
        ("unencrypted_suffix", Data::str("b")),
    ]);
    assert!(text(&both).contains("both"));
}

#[test]
fn t47_an_empty_suffix_means_the_default() {
    let metadata = Metadata::from_data(&block(&[("unencrypted_suffix", Data::str(""))])).unwrap();
    assert_eq!(metadata.selection, None);
    assert_eq!(
        metadata.selection(),
        SelectionRule::UnencryptedSuffix("_unencrypted".into())
    );
}

#[test]
fn unchanged_and_unknown_fields_keep_their_content() {
    let raw = block(&[
        ("kms", Data::List(Vec::new())),
        ("shamir_threshold", Data::str("2")),
        ("future", Data::Bool(true)),
        ("mac_only_encrypted", Data::Bool(true)),
    ]);
    let was = Metadata::from_data(&raw).unwrap();
    let mut now = was.clone();
    assert_eq!(names(&now.to_data_over(&raw, &was)).len(), 8);
    now.mac = "ENC[y]".into();
    now.mac_only_encrypted = false;
    let written = now.to_data_over(&raw, &was);
    assert_eq!(written.get("mac"), Some(&Data::str("ENC[y]")));
    assert_eq!(written.get("kms"), Some(&Data::List(Vec::new())));
    assert_eq!(written.get("shamir_threshold"), Some(&Data::str("2")));
    assert_eq!(written.get("future"), Some(&Data::Bool(true)));
    assert_eq!(written.get("mac_only_encrypted"), None);
}

#[test]
fn a_field_in_another_case_beside_the_exact_one_stays_apart() {
    let raw = map(&[
        ("age", Data::List(vec![age("age1a")])),
        ("lastmodifiEd", Data::str("nonsense")),
        ("lastmodified", Data::str("2020-01-01T00:00:00Z")),
        ("mac", Data::str("ENC[x]")),
    ]);
    let was = Metadata::from_data(&raw).unwrap();
    let mut now = was.clone();
    now.mac = "ENC[y]".into();
    let written = now.to_data_over(&raw, &was);
    assert_eq!(Metadata::from_data(&written).unwrap(), now);
    assert_eq!(
        written.get("lastmodifiEd"),
        Some(&Data::str("nonsense")),
        "an unknown field is kept"
    );
}

#[test]
fn what_upstream_reads_of_a_block_is_read() {
    let raw = block(&[
        ("age", Data::List(vec![age("age1a"), Data::Null])),
        ("shamir_threshold", Data::Int(-1)),
    ]);
    let was = Metadata::from_data(&raw).unwrap();
    assert_eq!((was.groups[0].len(), was.shamir_threshold), (2, 0));
    let mut now = was.clone();
    now.mac = "ENC[y]".into();
    let written = now.to_data_over(&raw, &was);
    assert_eq!(written.get("shamir_threshold"), Some(&Data::Int(-1)));
    assert_eq!(written.get("age"), raw.get("age"));
}
