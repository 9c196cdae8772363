use serde_json::json;

use super::*;

fn spec(value: serde_json::Value) -> ExternalSecretSpec {
    serde_json::from_value(value).unwrap()
}

fn bytes(text: &str) -> SecretBytes {
    SecretBytes::copy_of(text.as_bytes())
}

fn values(pairs: &[(&str, &str)]) -> Answer {
    let pairs = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), bytes(value)));
    Answer::Values(pairs.collect())
}

fn shown(values: &Values) -> Vec<(String, String)> {
    let text = |value: &SecretBytes| String::from_utf8_lossy(value.expose()).into_owned();
    values
        .iter()
        .map(|(key, value)| (key.clone(), text(value)))
        .collect()
}

#[track_caller]
fn check(spec_of: serde_json::Value, answers: Vec<Answer>, expected: &[(&str, &str)]) {
    let assembled = assemble(&spec(spec_of), answers, &Budget::default());
    let expected: Vec<_> = expected
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(shown(&assembled.values.unwrap()), expected);
}

#[track_caller]
fn problem(spec_of: serde_json::Value, answers: Vec<Answer>) -> DataProblem {
    assemble(&spec(spec_of), answers, &Budget::default())
        .values
        .unwrap_err()
        .problem
}

#[test]
fn t16_data_comes_after_data_from_and_later_entries_win() {
    let of = json!({
        "secretStoreRef": {"name": "s"},
        "dataFrom": [{"extract": {"key": "j"}}, {"find": {"name": {"regexp": "."}}}],
        "data": [
            {"secretKey": "c", "remoteRef": {"key": "v"}},
            {"secretKey": "c", "remoteRef": {"key": "w"}},
        ],
    });
    let asked = spec(of.clone());
    let asked: Vec<Entry> = requests(&asked).iter().map(|one| one.entry).collect();
    assert_eq!(
        asked,
        [
            Entry::DataFrom(0),
            Entry::DataFrom(1),
            Entry::Data(0),
            Entry::Data(1)
        ]
    );
    let answers = vec![
        values(&[("a", "j"), ("b", "j")]),
        values(&[("b", "k"), ("c", "k")]),
        Answer::Value(bytes("v")),
        Answer::Value(bytes("w")),
    ];
    check(of, answers, &[("a", "j"), ("b", "k"), ("c", "w")]);
}

#[test]
fn t27_absence_is_an_error_only_with_retain() {
    let of = |policy: &str| {
        json!({
            "secretStoreRef": {"name": "s"},
            "target": {"deletionPolicy": policy},
            "dataFrom": [{"extract": {"key": "j"}}],
            "data": [{"secretKey": "c", "remoteRef": {"key": "v"}}],
        })
    };
    let answers = || vec![Answer::Absent, Answer::Absent];
    assert_eq!(problem(of("Retain"), answers()), DataProblem::Absent);
    let assembled = assemble(&spec(of("Delete")), answers(), &Budget::default());
    assert!(assembled.values.unwrap().is_empty());
    // T26: the text says dataFrom for both.
    assert_eq!(
        assembled.missing,
        [
            "secret does not exist at provider using spec.dataFrom[0]",
            "secret does not exist at provider using spec.dataFrom[0] (key=v)"
        ]
    );
    // A failure is no absence, whatever the policy.
    let failed = || {
        Answer::Failed(Failure {
            public: None,
            definite: false,
        })
    };
    for policy in ["Retain", "Merge", "Delete"] {
        assert_eq!(
            problem(of(policy), vec![failed(), Answer::Absent]),
            DataProblem::Failed { definite: false }
        );
    }
}

#[test]
fn t17_a_rewrite_switches_conversion_off() {
    let of = |rewrite: serde_json::Value| {
        json!({
            "secretStoreRef": {"name": "s"},
            "dataFrom": [{"extract": {"key": "j"}, "rewrite": rewrite}],
        })
    };
    let answer = || vec![values(&[("a/b", "x")])];
    check(of(json!([])), answer(), &[("a_b", "x")]);
    assert_eq!(
        problem(
            of(json!([{"regexp": {"source": "a", "target": "c"}}])),
            answer()
        ),
        DataProblem::Key(KeyError::Invalid)
    );
    check(
        of(json!([{"regexp": {"source": "(.)/(.)", "target": "$2-${1}"}}])),
        answer(),
        &[("b-a", "x")],
    );
}

#[test]
fn t19_auto_decodes_whatever_looks_like_base64() {
    let of = |strategy: &str| {
        json!({
            "secretStoreRef": {"name": "s"},
            "data": [{"secretKey": "k", "remoteRef": {"key": "v", "decodingStrategy": strategy}}],
        })
    };
    let one = |text: &str| vec![Answer::Value(bytes(text))];
    check(of("Auto"), one("test"), &[("k", "\u{fffd}\u{fffd}-")]);
    check(of("Auto"), one("not base64!"), &[("k", "not base64!")]);
    check(of("Auto"), one("aGVsbG8"), &[("k", "aGVsbG8")]);
    check(of("Base64"), one("aGVs\r\nbG8=\n"), &[("k", "hello")]);
    check(of("Base64"), one("aGVsbG9="), &[("k", "hello")]);
    check(of("Base64URL"), one("Pz8_"), &[("k", "???")]);
    check(of("None"), one("aGVsbG8="), &[("k", "aGVsbG8=")]);
    assert_eq!(
        problem(of("Base64"), one("Pz8_")),
        DataProblem::Decoding("Base64")
    );
    assert_eq!(
        problem(of("Base64URL"), one("aGVsbG8")),
        DataProblem::Decoding("Base64URL")
    );
}

#[test]
fn values_with_the_byte_zero_can_be_refused() {
    let of = |policy: &str| {
        json!({
            "secretStoreRef": {"name": "s"},
            "data": [{"secretKey": "k", "remoteRef": {
                "key": "v", "decodingStrategy": "Base64", "nullBytePolicy": policy}}],
        })
    };
    let one = || vec![Answer::Value(bytes("YQBi"))];
    check(of("Ignore"), one(), &[("k", "a\0b")]);
    assert_eq!(problem(of("Fail"), one()), DataProblem::NullByte);
}

#[test]
fn rewrites_that_grow_or_take_long_are_refused() {
    let of = |steps: serde_json::Value| {
        json!({
            "secretStoreRef": {"name": "s"},
            "dataFrom": [{"find": {"name": {"regexp": "."}}, "rewrite": steps}],
        })
    };
    let one = || vec![values(&[("some-key", "v")])];
    // Each step makes the key ten times as long: 12 of them make 10 terabytes.
    let grows = json!({"regexp": {"source": ".+", "target": "$0".repeat(10)}});
    let grown = problem(of(vec![grows; 12].into()), one());
    assert_eq!(grown, DataProblem::Rewrite(RewriteError::TooLong(2)));
    let long = json!([{"regexp": {"source": "x", "target": "y".repeat(5000)}}]);
    let long = problem(of(long), one());
    assert_eq!(long, DataProblem::Rewrite(RewriteError::TooLong(0)));
    let made = json!([{"transform": {"template": "{{ repeat 5000 .value }}"}}]);
    let made = problem(of(made), one());
    assert_eq!(made, DataProblem::Rewrite(RewriteError::TooLong(0)));
    // A search that looks at what follows once for each byte.
    let tail = "a".repeat(100_000);
    let quadratic = json!([{"regexp": {"source": "[^z]*z|a", "target": ""}}]);
    let quadratic = problem(of(quadratic), vec![values(&[(tail.as_str(), "v")])]);
    assert_eq!(quadratic, DataProblem::Rewrite(RewriteError::TooLong(0)));
    // Each step adds what all others have made.
    let merges = (0..40).map(|step| {
        json!({"merge": {"strategy": "JSON", "into": format!("k{step}"), "conflictPolicy": "Ignore"}})
    });
    let merges: Vec<serde_json::Value> = merges.collect();
    let object = format!("{{\"a\": \"{}\"}}", "x".repeat(1 << 20));
    let merged = problem(
        of(merges.into()),
        vec![values(&[("object", object.as_str())])],
    );
    assert!(
        matches!(merged, DataProblem::Rewrite(RewriteError::Budget(_))),
        "{merged}"
    );
    // Every key has its own rendering, and all of them one budget.
    let names: Vec<String> = (0..10_000).map(|number| format!("k{number}")).collect();
    let keys: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    let template = "{{ range until 100000 }}{{ end }}{{ .value }}";
    let slow = json!([{"transform": {"template": template}}]);
    let slow = problem(of(slow), vec![values(&keys)]);
    assert_eq!(slow, DataProblem::Rewrite(RewriteError::Budget(0)));
    // As have the steps, each of which is compiled.
    let step = json!({"regexp": {"source": "(a|b|c|d){50}x?".repeat(8), "target": "z"}});
    let many = problem(of(vec![step; 20_000].into()), one());
    assert!(
        matches!(many, DataProblem::Rewrite(RewriteError::Budget(_))),
        "{many}"
    );
    // Ordinary ones go on as before.
    let steps = json!([
        {"regexp": {"source": "^some-(.*)$", "target": "${1}_$1-x"}},
        {"transform": {"template": "{{ .value | upper }}"}},
    ]);
    check(of(steps), one(), &[("KEY_KEY-X", "v")]);
}

#[test]
fn entries_without_a_store_are_an_error() {
    let of = json!({"data": [{"secretKey": "k", "remoteRef": {"key": "v"}}]});
    assert_eq!(
        problem(of, vec![Answer::Value(bytes("x"))]),
        DataProblem::NoStore
    );
    let of = json!({
        "secretStoreRef": {"name": "s"},
        "data": [{"secretKey": "k", "remoteRef": {"key": "v"},
            "sourceRef": {"generatorRef": {"kind": "Fake", "name": "g"}}}],
    });
    assert_eq!(requests(&spec(of))[0].source, Source::Missing);
}

#[test]
fn t25_errors_name_the_place_in_the_spec_and_no_value() {
    let of = json!({
        "secretStoreRef": {"name": "s"},
        "data": [{"secretKey": "k", "remoteRef": {"key": "v", "decodingStrategy": "Base64"}}],
    });
    let error = assemble(
        &spec(of),
        vec![Answer::Value(bytes("canary"))],
        &Budget::default(),
    )
    .values
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "spec.data[0] (key: v): a value cannot be decoded as Base64"
    );
}
