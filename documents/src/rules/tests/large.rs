//! A repository may hold any configuration, and every command reads it.

use super::*;

fn list(count: usize, item: impl Fn(usize) -> String) -> String {
    (0..count).map(item).collect::<Vec<_>>().join(",")
}

#[test]
fn a_long_configuration_is_gone_through_once() {
    let fields = list(100_000, |at| format!("\n\"f{at}\": 1"));
    let rules = list(30_000, |_| "{\"path_regex\": \"a\"}".to_owned());
    let keys = list(10_000, |at| {
        format!("{{\"arn\": \"arn:aws:kms:r:1:key/{at}\"}}")
    });
    let group = format!("{{\"key_groups\": [{{\"kms\": [{keys}, {keys}]}}]}}");
    let config = config(&format!(
        "{{{fields}, \"creation_rules\": [{rules}, {group}]}}"
    ));
    assert_eq!(config.warnings.len(), 100_000);
    assert_eq!(config.warnings[99_999].line, 100_001);
    let unreached = config.unreached();
    assert_eq!(unreached.len(), 29_999);
    assert!(unreached[0].text.ends_with("has the same pattern"));
    let rules = config.creation_rules.unwrap();
    assert_eq!(rules[30_000].groups().unwrap()[0].len(), 10_000);
}

#[test]
fn expressions_are_compiled_when_a_file_comes_to_them() {
    let rules = list(2_000, |at| {
        format!(
            "{{\"path_regex\": \"\\\\pL{{200}}{at}\", \"encrypted_regex\": \"\\\\pL{{200}}{at}\"}}"
        )
    });
    let config = config(&format!(
        "{{\"creation_rules\": [{{\"path_regex\": \"a$\"}}, {rules}]}}"
    ));
    assert!(matches!(config.creation_rule("a"), Ok(Found::Rule(0, _))));
}

#[test]
fn ordinary_expressions_have_room_however_many_there_are() {
    let rules = list(1_200, |at| {
        format!("{{\"path_regex\": \"^{at}/.*\\\\.ya?ml$\"}}")
    });
    let config = config(&format!("{{\"creation_rules\": [{rules}]}}"));
    for _ in 0..2 {
        let found = config.creation_rule("1199/a.yaml");
        assert!(matches!(found, Ok(Found::Rule(1_199, _))));
    }
    assert!(config.problems().is_empty());
}
