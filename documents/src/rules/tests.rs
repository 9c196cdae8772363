use sealwright_crypto::secret::SecretBytes;

use super::*;
use crate::format::Format;
use crate::format::json::Json;
use crate::metadata::KeyFields;
use crate::selection::SelectionRule;

mod large;

fn try_config(text: &str) -> Result<Config, ConfigError> {
    let tree = Json.parse(SecretBytes::copy_of(text.as_bytes())).unwrap();
    Config::read(&tree)
}

fn config(text: &str) -> Config {
    try_config(text).unwrap()
}

fn rule(text: &str) -> CreationRule {
    let config = config(&format!("{{\"creation_rules\": [{text}]}}"));
    config.creation_rules.unwrap().remove(0)
}

fn identities(groups: &[Vec<KeyFields>]) -> Vec<Vec<String>> {
    let each = |group: &Vec<KeyFields>| group.iter().map(KeyFields::identity).collect();
    groups.iter().map(each).collect()
}

#[test]
fn t41_t42_the_first_pattern_that_is_found_decides() {
    let config = config(
        r#"{"creation_rules": [
            {"path_regex": "foo.yaml", "age": "one"},
            {"path_regex": "\\.enc\\.", "age": "two"},
            {"age": "three"}
        ]}"#,
    );
    let found = |path: &str| match config.creation_rule(path).unwrap() {
        Found::Rule(number, rule) => (number, identities(rule.groups().unwrap())[0][0].clone()),
        _ => panic!("a rule was expected"),
    };
    assert_eq!(found("xfoo_yaml/a"), (0, "one".into()));
    assert_eq!(found("a.enc.json"), (1, "two".into()));
    assert_eq!(found("other"), (2, "three".into()));
    let explanation = config.explain("a.enc.json");
    let steps: Vec<_> = explanation
        .steps
        .iter()
        .map(|s| (s.rule, s.line, s.outcome == Ok(true)))
        .collect();
    assert_eq!(steps, [(0, 2, false), (1, 3, true)]);
    assert_eq!(relative_path("/repo/a/b.yaml", "/repo"), "a/b.yaml");
    assert_eq!(relative_path("/repo2/b.yaml", "/repo"), "/repo2/b.yaml");
    assert_eq!(relative_path("/b.yaml", "/"), "b.yaml");
}

#[test]
fn t69_no_rules_and_no_match_differ() {
    let found = |text: &str| format!("{:?}", config(text).creation_rule("x").unwrap());
    assert_eq!(found("{}"), "NoRules");
    assert_eq!(found(r#"{"creation_rules": null}"#), "NoRules");
    assert_eq!(found(r#"{"creation_rules": []}"#), "NoMatch");
}

#[test]
fn flat_keys_make_one_group() {
    let rule = rule(
        r#"{"age": "a1, a2,", "pgp": ["F 1", "F2,F3"], "kms": "k1+arn:r", "aws_profile": "p",
            "gcp_kms": ["g"], "hckms": ["r:1,r:2"], "azure_keyvault": "https://v/keys/z/1",
            "hc_vault_transit_uri": "https://v/v1/transit/keys/k", "shamir_threshold": 2}"#,
    );
    assert_eq!(
        identities(rule.groups().unwrap()),
        [[
            "a1",
            "a2",
            "F1",
            "F2",
            "F3",
            "k1+arn:r||p",
            "g",
            "r:1",
            "r:2",
            "https://v/keys/z/1",
            "https://v/v1/transit/keys/k"
        ]]
    );
    assert_eq!(rule.shamir_threshold, 2);
    assert_eq!(rule.selection().unwrap(), None);
}

#[test]
fn key_groups_win_over_flat_keys_and_merge() {
    let rule = rule(
        r#"{"age": "ignored", "key_groups": [
            {"age": ["a,b"], "merge": [{"pgp": ["P"]}, {"age": ["b"], "merge": [{"age": ["deep"]}]}],
             "kms": [{"arn": "k", "role": "r", "context": {"c": "d"}, "aws_profile": "p"}],
             "gcp_kms": [{"resource_id": "g"}], "hckms": [{"key_id": "x:y"}],
             "azure_keyvault": [{"vaultUrl": "https://v", "key": "z", "version": ""}],
             "hc_vault": ["https://v/v1/transit/keys/k"]},
            {}
        ]}"#,
    );
    assert_eq!(
        identities(rule.groups().unwrap()),
        [
            vec![
                "P",
                "deep",
                "b",
                "a",
                "k+r|c:d|p",
                "g",
                "x:y",
                "https://v/keys/z/",
                "https://v/v1/transit/keys/k"
            ],
            vec![]
        ]
    );
}

#[test]
fn d24_unknown_fields_are_told() {
    let config = config(
        "{\"creation_rules\": [\n{\"filename_regex\": \"x\",\n\"encrypted-regex\": \"y\"}],\n\"destination_rules\": [{\"vault_path\": \"v\", \"reencryption_rule\": {}}],\n\"stores\": {\"yml\": 1}, \"whatever\": 2}",
    );
    let told: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "line 2: creation_rules[0].filename_regex: unknown field, it has no effect; did you mean path_regex?",
            "line 3: creation_rules[0].encrypted-regex: unknown field, it has no effect; did you mean encrypted_regex?",
            "line 4: destination_rules[0].reencryption_rule: unknown field, it has no effect; did you mean recreation_rule?",
            "line 5: whatever: unknown field, it has no effect",
            "line 5: stores.yml: unknown field, it has no effect; did you mean yaml?",
        ]
    );
}

#[test]
fn wrong_types_are_errors_and_wrong_rules_are_errors_when_used() {
    let error = |text: &str| try_config(text).unwrap_err().to_string();
    assert_eq!(
        error("{\"creation_rules\": {}}"),
        "line 1: creation_rules: a list expected"
    );
    assert_eq!(
        error("{\"creation_rules\": [{\n\"mac_only_encrypted\": \"true\"}]}"),
        "line 2: creation_rules[0].mac_only_encrypted: true or false expected, without quotes"
    );
    let both = rule(r#"{"encrypted_suffix": "a", "encrypted_regex": "b"}"#);
    assert_eq!(
        both.selection().unwrap_err().to_string(),
        "line 1: creation_rules[0].encrypted_regex: a rule has one of these at most, and encrypted_suffix is there"
    );
    assert!(rule(r#"{"age": {}}"#).groups().is_err());
    assert!(
        rule(r#"{"age": ["a", ""]}"#)
            .usable(&Room::default())
            .is_err()
    );
    assert!(
        rule(r#"{"encrypted_regex": "("}"#)
            .usable(&Room::default())
            .is_err()
    );
    let config = config(r#"{"creation_rules": [{"path_regex": "a"}, {"path_regex": "("}]}"#);
    assert!(config.creation_rule("a").is_ok());
    assert!(config.creation_rule("b").is_err());
    assert_eq!(config.problems().len(), 1);
}

#[test]
fn booleans_and_numbers_are_read_as_loosely_as_upstream_reads_them() {
    for (word, value) in [
        ("true", true),
        ("\"yes\"", true),
        ("\"On\"", true),
        ("\"Y\"", true),
        ("\"n\"", false),
        ("\"OFF\"", false),
        ("null", false),
    ] {
        assert_eq!(
            rule(&format!(r#"{{"mac_only_encrypted": {word}}}"#)).mac_only_encrypted,
            value,
            "{word}"
        );
        let config = config(&format!(
            r#"{{"destination_rules": [{{"vault_path": "v", "omit_extensions": {word}}}]}}"#
        ));
        assert_eq!(config.destination_rules[0].omit_extensions, value, "{word}");
    }
    for word in ["\"yEs\"", "\"true\"", "\"\"", "1", "[]"] {
        let text = format!(r#"{{"creation_rules": [{{"mac_only_encrypted": {word}}}]}}"#);
        assert!(try_config(&text).is_err(), "{word}");
    }
    for (number, value) in [("2.0", 2), ("1.9", 1), ("2e0", 2), ("-0.5", 0)] {
        let text = format!(
            r#"{{"stores": {{"json": {{"indent": {number}}}}}, "creation_rules": [{{"shamir_threshold": {number}}}]}}"#
        );
        let config = config(&text);
        assert_eq!(config.json.indent, Some(value), "{number}");
        let rules = config.creation_rules.unwrap();
        assert_eq!(i64::from(rules[0].shamir_threshold), i64::from(value));
    }
    for word in ["1e300", "\"2\"", "true"] {
        let text = format!(r#"{{"creation_rules": [{{"shamir_threshold": {word}}}]}}"#);
        assert!(try_config(&text).is_err(), "{word}");
    }
    // What no number of groups is stops the files of its rule alone.
    assert!(
        rule(r#"{"age": "a", "shamir_threshold": -1}"#)
            .usable(&Room::default())
            .is_err()
    );
}

#[test]
fn null_and_empty_elements_are_none_where_upstream_drops_them() {
    let config = config(r#"{"creation_rules": [null, {"path_regex": "x"}, null, {"age": "a"}]}"#);
    assert_eq!(config.creation_rules.as_ref().map(Vec::len), Some(2));
    assert!(matches!(
        config.creation_rule("y").unwrap(),
        Found::Rule(1, _)
    ));
    for (text, keys) in [
        (
            r#"{"key_groups": [null, {"age": ["a", null, "", "b"], "pgp": [null], "kms": [null], "merge": [null]}]}"#,
            vec!["a", "b"],
        ),
        (r#"{"key_groups": [null], "age": "a"}"#, vec!["a"]),
        (
            r#"{"age": ["a"], "hckms": [null, "", "r:1,"]}"#,
            vec!["a", "r:1"],
        ),
        (
            r#"{"age": [""], "pgp": [""], "kms": [""], "gcp_kms": [""], "azure_keyvault": [""], "hc_vault_transit_uri": [""]}"#,
            vec![],
        ),
        (
            r#"{"hc_vault_transit_uri": ["", "https://v/v1/transit/keys/k"]}"#,
            vec!["https://v/v1/transit/keys/k"],
        ),
    ] {
        assert_eq!(identities(rule(text).groups().unwrap()), [keys], "{text}");
    }
    for text in [
        r#"{"age": ["a", null]}"#,
        r#"{"pgp": [5]}"#,
        r#"{"age": ["a,,b"]}"#,
        r#"{"key_groups": [{"pgp": [""]}]}"#,
        r#"{"key_groups": [{"hc_vault": [""]}]}"#,
        r#"{"key_groups": [{"age": ["a,,b"]}]}"#,
    ] {
        assert!(rule(text).usable(&Room::default()).is_err(), "{text}");
    }
}

#[test]
fn stores_and_destinations() {
    let config = config(
        r#"{"stores": {"yaml": {"indent": 2}, "json": {"indent": -1}, "json_binary": {"indent": 0}},
            "destination_rules": [
                {"path_regex": "^a", "s3_bucket": "b", "s3_prefix": "p/", "omit_extensions": true},
                {"path_regex": "(", "gcs_bucket": "g"},
                {"path_regex": "^c", "vault_path": "v", "recreation_rule": {"age": "x", "encrypted_suffix": "s"}},
                {"gcs_bucket": "g", "vault_path": "v"}
            ]}"#,
    );
    assert_eq!(config.yaml.indent, Some(2));
    assert_eq!(
        (config.json.indent, config.json_binary.indent),
        (Some(-1), Some(0))
    );
    let bucket = config.destination_rule("a.yaml").unwrap();
    assert!(bucket.omit_extensions);
    assert!(matches!(&bucket.destination, Ok(Destination::S3 { prefix, .. }) if prefix == "p/"));
    let vault = config.destination_rule("c").unwrap();
    let recreation = vault.recreation_rule.as_ref().unwrap();
    assert_eq!(
        recreation.selection().unwrap(),
        Some(&SelectionRule::EncryptedSuffix("s".into()))
    );
    assert!(config.destination_rule("z").unwrap().destination.is_err());
}
