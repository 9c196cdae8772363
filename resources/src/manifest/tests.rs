//! Manifests as users write them and scripts read them.

use super::*;

fn values(text: &str) -> Vec<(String, String)> {
    let secrets = read_secrets(text.as_bytes()).unwrap();
    secrets[0]
        .iter()
        .map(|(key, value)| {
            (
                key.to_owned(),
                String::from_utf8(value.expose().to_vec()).unwrap(),
            )
        })
        .collect()
}

fn reason(text: &str) -> String {
    read_secrets(text.as_bytes())
        .err()
        .expect("refused")
        .to_string()
}

#[test]
fn k54_t13_yaml_1_1_scalars_in_text_fields() {
    let cases = [
        ("y", "true"),
        ("n", "false"),
        ("yes", "true"),
        ("No", "false"),
        ("on", "true"),
        ("OFF", "false"),
        ("1.50", "1.5"),
        ("1e3", "1000"),
        ("017", "15"),
        ("0o17", "15"),
        ("0x1F", "31"),
        ("0b11", "3"),
        ("1_000", "1000"),
        ("+5", "5"),
        ("-0", "0"),
        (".inf", "+Inf"),
        ("123456789012345678901234567890", "1.2345679e+29"),
        ("18446744073709551615", "18446744073709551615"),
        ("null", ""),
        ("~", ""),
        ("2020-01-01", "2020-01-01"),
        ("1:30:00", "1:30:00"),
        ("1.10.0", "1.10.0"),
        ("\"yes\"", "yes"),
        ("'017'", "017"),
    ];
    for (plain, read) in cases {
        let text = format!("metadata: {{name: a, namespace: b}}\nstringData:\n  k: {plain}\n");
        assert_eq!(
            values(&text),
            [("k".to_owned(), read.to_owned())],
            "{plain}"
        );
    }
    assert_eq!(values("stringData: {y: x}\n")[0].0, "true", "keys too");
    let secret = read_secrets(b"metadata: {name: a, namespace: n}\nstringData: {a: b}\n").unwrap();
    assert_eq!(secret[0].namespace(), "false", "and namespaces");
}

#[test]
fn k51_t37_nothing_is_skipped() {
    let good = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {a: b}\n";
    let text = format!("{good}---\nkind: Secret\n  bad: [\n---\n{good}");
    assert!(read_secrets(text.as_bytes()).is_err());
    let text = format!("{good}---\n# only a comment\n---\n{good}");
    assert_eq!(
        read_secrets(text.as_bytes()).unwrap().len(),
        2,
        "empty documents are no objects"
    );
    assert_eq!(
        reason(""),
        "no secrets found. Ensure the input is valid and UTF-8 encoded"
    );
    let text = format!("{good}---\n- a\n");
    assert_eq!(
        reason(&text),
        "document 2 (line 6): an object with kind and metadata is expected"
    );
}

#[test]
fn t15_kinds() {
    assert_eq!(
        reason("kind: ConfigMap\ndata: {a: Zm9v}\n"),
        "document 1 (line 1): kind: a Secret is expected, this is a ConfigMap"
    );
    assert_eq!(
        values("data: {a: Zm9v}\n"),
        [("a".to_owned(), "foo".to_owned())],
        "a missing kind is common"
    );
}

#[test]
fn k53_lists_are_expanded() {
    let text = "kind: List\nitems:\n- kind: Secret\n  data: {a: Zm9v}\n- kind: Secret\n  data: {a: Zm9v}\n";
    assert_eq!(read_secrets(text.as_bytes()).unwrap().len(), 2);
    let text = r#"{"kind":"SecretList","items":[{"data":{"a":"Zm9v"}}]} {"Data":{"b":"Zm9v"}}"#;
    assert_eq!(
        read_secrets(text.as_bytes()).unwrap().len(),
        2,
        "concatenated JSON, names in any case"
    );
}

#[test]
fn k45_a_stream_that_begins_as_json_may_go_on_in_yaml() {
    let object = r#"{"metadata":{"name":"a"},"data":{"a":"Zm9v"}}"#;
    let yaml = "metadata: {name: b}\ndata: {b: Zm9v}\n";
    for (text, count) in [
        (format!("{object}\n---\n{object}\n"), 2),
        (format!("{object}\n---\n{yaml}---\n{object}\n"), 3),
        (format!("{object}\n{yaml}"), 2),
        (format!("{object}\n---\n"), 1),
        ("{metadata: {name: a}, data: {a: Zm9v}}\n".to_owned(), 1),
        (
            format!("{{metadata: {{name: a}}, data: {{}}}}\n---\n{yaml}"),
            2,
        ),
    ] {
        let read = read_secrets(text.as_bytes()).map(|secrets| secrets.len());
        assert_eq!(read, Ok(count), "{text}");
    }
    // Two objects are JSON, and so is what follows.
    let error = reason(&format!("{object}\n{object}\n---\n{object}\n"));
    assert!(error.starts_with("line 3, "), "{error}");
    assert!(error.ends_with(": no valid JSON"), "{error}");
    // Places are those of the whole stream.
    let error = reason(&format!("{object}\n---\nmetadata: [\n"));
    assert!(error.ends_with(": no valid YAML"), "{error}");
    assert!(!error.starts_with("line 1,"), "{error}");
    let error = reason(&format!("{object}\n---\nkind: ConfigMap\n"));
    assert!(error.starts_with("document 2 (line 3): kind: "), "{error}");
}

#[test]
fn k56_errors_name_the_field_and_not_the_value() {
    let error = reason("data: {a: Zm9v, b: 'canary canary'}\n");
    assert!(
        error.starts_with("document 1 (line 1): data.b: "),
        "{error}"
    );
    assert!(!error.contains("canary"));
    assert_eq!(
        reason("data: {a: 5}\n"),
        "document 1 (line 1): data.a: text in base64 is expected"
    );
    assert_eq!(
        reason("kind: Secret\nimmutable: maybe\n"),
        "document 1 (line 1): immutable: true or false is expected"
    );
    assert_eq!(reason("a: [\n"), "line 1, column 4: no valid YAML");
    assert_eq!(reason("{\"a\": ]"), "line 1, column 7: no valid JSON");
}

#[test]
fn anchors_and_merges() {
    let text = "metadata: {name: a}\nx: &x {p: q}\nstringData:\n  <<: *x\n  r: s\n";
    let pairs = [
        ("p".to_owned(), "q".to_owned()),
        ("r".to_owned(), "s".to_owned()),
    ];
    assert_eq!(values(text), pairs);
    let mut bomb = String::from("a: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let alias = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!(
            "b{level}: &a{level} [{}]\n",
            alias.trim_end_matches(", ")
        ));
    }
    assert!(reason(&bomb).contains("too much"));
}

const SEALED: &str = r#"{
  "kind": "SealedSecret",
  "apiVersion": "bitnami.com/v1alpha1",
  "metadata": {
    "name": "demo",
    "namespace": "ns1",
    "annotations": {
      "sealedsecrets.bitnami.com/cluster-wide": "true"
    }
  },
  "spec": {
    "template": {
      "metadata": {
        "name": "demo",
        "namespace": "ns1",
        "labels": {
          "html": "\u003ca\u0026b\u003e"
        }
      },
      "type": "Opaque",
      "data": {
        "none": null
      }
    },
    "encryptedData": {
      "foo": "AgB"
    }
  }
}
"#;

#[test]
fn k61_t16_json_has_the_shape_of_the_reference() {
    let sealed = read_sealed_secrets(SEALED.as_bytes()).unwrap();
    assert_eq!(
        String::from_utf8(write_sealed_secret(&sealed[0], Output::Json)).unwrap(),
        SEALED
    );
}

#[test]
fn k62_yaml_has_the_shape_of_the_reference() {
    let sealed = read_sealed_secrets(SEALED.as_bytes()).unwrap();
    let text = String::from_utf8(write_sealed_secret(&sealed[0], Output::Yaml)).unwrap();
    let expected = "---\napiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata:\n  annotations:\n    \
        sealedsecrets.bitnami.com/cluster-wide: \"true\"\n  name: demo\n  namespace: ns1\nspec:\n  encryptedData:\n    \
        foo: AgB\n  template:\n    data:\n      none: null\n    metadata:\n      labels:\n        html: <a&b>\n      \
        name: demo\n      namespace: ns1\n    type: Opaque\n";
    assert_eq!(text, expected);
    assert_eq!(
        read_sealed_secrets(text.as_bytes()).unwrap(),
        sealed,
        "and reads back"
    );
}

#[test]
fn k62_texts_are_quoted_for_old_readers() {
    let cases = [
        ("true", "\"true\""),
        ("no", "\"no\""),
        ("y", "\"y\""),
        ("010", "\"010\""),
        ("2020-01-01", "\"2020-01-01\""),
        ("", "\"\""),
        ("a: b", "'a: b'"),
        ("a #b", "'a #b'"),
        (" a", "' a'"),
        ("12:30:45", "\"12:30:45\""),
        ("plain text", "plain text"),
        ("a\tb", "\"a\\tb\""),
        ("it's", "it's"),
        ("'q'", "'''q'''"),
        ("a\nb", "|-\n  a\n  b"),
        ("a\nb\n", "|\n  a\n  b"),
        ("a\n\n", "|+\n  a\n"),
        ("- a", "'- a'"),
        ("-a", "-a"),
    ];
    for (text, written) in cases {
        let node = Node::Map(vec![(
            Node::text("k".to_owned()).into(),
            Node::text(text.to_owned()).into(),
        )]);
        let document = yaml::document(&node);
        let document = std::str::from_utf8(document.expose()).unwrap();
        assert_eq!(document, format!("---\nk: {written}\n"), "{text:?}");
    }
}

#[test]
fn secrets_come_back_from_both_outputs() {
    let text = "metadata: {name: a, annotations: {long: 'word word word word word word word word word word word word \
                word word word word word word word word word'}}\nstringData: {a: 'x', empty: ''}\ntype: t\n";
    let secrets = read_secrets(text.as_bytes()).unwrap();
    for output in [Output::Json, Output::Yaml] {
        let written = write_secret(&secrets[0], output);
        let again = read_secrets(written.expose()).unwrap();
        assert_eq!(again[0].to_json(), secrets[0].to_json());
    }
}

#[test]
fn sealed_secrets_are_found_among_other_objects() {
    let other = "kind: ConfigMap\nmetadata: {name: x}\n---\n";
    let text = format!("{other}{SEALED}\n---\n{other}");
    let (sealed, others) = read_sealed_secrets_among(text.as_bytes()).unwrap();
    assert_eq!(sealed, read_sealed_secrets(SEALED.as_bytes()).unwrap());
    assert_eq!(others.len(), 2);
    assert_eq!(others[0], "document 1 (line 1), a ConfigMap");
    // Nothing but others is an error, and so is a broken one among them.
    for text in [
        other.to_owned(),
        format!("{other}kind: SealedSecret\nmetadata: {{name: a}}\n"),
        String::new(),
    ] {
        assert!(
            read_sealed_secrets_among(text.as_bytes()).is_err(),
            "{text}"
        );
    }
}

#[test]
fn a_tab_that_indents_is_named() {
    let told = |text: &str| read_secrets(text.as_bytes()).err().unwrap().to_string();
    assert_eq!(
        told("kind: Secret\nmetadata:\n\tname: a\n"),
        "line 3, column 2: no valid YAML: a tab cannot indent, only blanks can"
    );
    assert!(told("kind: Secret\nmetadata: [\n").ends_with(": no valid YAML"));
}

/// The line of each object is counted on from the one before.
#[test]
fn a_stream_of_thousands_of_objects_is_read_once() {
    let mut text = "{\"kind\": \"ConfigMap\"}\n".repeat(100_000);
    assert_eq!(kinds(text.as_bytes()).unwrap().len(), 100_000);
    text.push_str("[]\n");
    let error = kinds(text.as_bytes()).unwrap_err().to_string();
    assert!(
        error.starts_with("document 100001 (line 100001)"),
        "{error}"
    );
}
