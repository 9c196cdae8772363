//! `toYaml`, `fromYaml` and `printf` of templates of ExternalSecrets, as the template engine of the External Secrets Operator 2.9.0
//! answers: every pair here was measured with it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sealwright_template::{Context, Dialect, Options, Template};

fn rendered(source: &str) -> String {
    let text = Template::parse("out", source, &Options::of(Dialect::ExternalSecrets))
        .and_then(|template| template.render(&Context::default()))
        .unwrap_or_else(|error| panic!("{source}: {error}"));
    String::from_utf8(text.expose().to_vec()).unwrap()
}

fn check(pairs: &[(&str, &str)]) {
    for (source, wanted) in pairs {
        assert_eq!(rendered(source), *wanted, "{source}");
    }
}

#[test]
fn a_block_text_keeps_no_line_break_that_is_not_written() {
    check(&[
        (
            r#"{{ (fromYaml "a: |\n  x\n  y").a | quote }}"#,
            r#""x\ny""#,
        ),
        (
            r#"{{ (fromYaml "a: |\n  x\n  y\n").a | quote }}"#,
            r#""x\ny\n""#,
        ),
        (r#"{{ (fromYaml "a: |+\n  x").a | quote }}"#, r#""x""#),
        (r#"{{ (fromYaml "a: >\n  x\n  y").a | quote }}"#, r#""x y""#),
        (
            r#"{{ (fromYaml "a: |\n  x\nb: x").a | quote }}"#,
            r#""x\n""#,
        ),
        (
            r#"{{ (fromYaml "a: |\n  y b: x\nb: x").a | quote }}"#,
            r#""y b: x\n""#,
        ),
        (r#"{{ (fromYaml "a: |\n  x\n  ").a | quote }}"#, r#""x\n""#),
        (
            r#"{{ (fromYaml "a:\n- |\n  x\n  y").a | first | quote }}"#,
            r#""x\ny""#,
        ),
    ]);
}

#[test]
fn only_the_first_document_counts() {
    check(&[
        (r#"{{ fromYaml "a: 1\n---\nb: [" | toJson }}"#, r#"{"a":1}"#),
        (r#"{{ fromYaml "---\n---\nb: 1" | toJson }}"#, "{}"),
    ]);
}

#[test]
fn what_is_no_yaml_is_told_in_the_words_of_the_operator() {
    let told =
        |words: &str| format!(r#"{{"Error":"error converting YAML to JSON: yaml: {words}"}}"#);
    for (document, words) in [
        ("a: b: c", "mapping values are not allowed in this context"),
        (
            r"a: b\n\nc: d: e",
            "line 3: mapping values are not allowed in this context",
        ),
        (
            "key: - a",
            "block sequence entries are not allowed in this context",
        ),
        ("a: @x", "found character that cannot start any token"),
        (
            r"a: b\nc: @d",
            "line 2: found character that cannot start any token",
        ),
        ("[1", "line 1: did not find expected ',' or ']'"),
        ("a: {b: 1", "line 1: did not find expected ',' or '}'"),
        ("{", "line 1: did not find expected node content"),
        ("'abc", "found unexpected end of stream"),
        (r"a: 1\n- b", "line 1: did not find expected key"),
        (r"- a\nb: c", "line 1: did not find expected '-' indicator"),
        (r"a: \x7f", "control characters are not allowed"),
    ] {
        let source = format!(r#"{{{{ fromYaml "{document}" | toJson }}}}"#);
        assert_eq!(rendered(&source), told(words), "{document}");
    }
    // Keys are texts.
    for document in ["{a: 1}: b", "[q]: b", "? z: 1", r"{{ x }}"] {
        let source = format!(r#"{{{{ (fromYaml {document:?}).Error | empty }}}}"#);
        assert_eq!(rendered(&source), "false", "{document}");
    }
}

#[test]
fn yaml_is_written_as_the_operator_writes_it() {
    check(&[
        (
            r#"{{ dict "a\nb" (list 1 (list 2)) "k" 1 | toYaml }}"#,
            "? |-\n  a\n  b\n: - 1\n  - - 2\nk: 1",
        ),
        (
            r#"{{ dict "a\nb" (dict "c" 1 "d" 2) | toYaml }}"#,
            "? |-\n  a\n  b\n: c: 1\n  d: 2",
        ),
        (r#"{{ toYaml "12:30..." }}"#, "12:30..."),
        (r#"{{ toYaml "12:30.5" }}"#, r#""12:30.5""#),
        (r#"{{ toYaml "a\x7fb" | quote }}"#, r#""""#),
        (r#"{{ toYaml (dict "a" (list "\x7f")) | quote }}"#, r#""""#),
        (
            r#"{{ dict "12345678901234567890" 1 "-a" 2 | toYaml }}"#,
            "\"12345678901234567890\": 1\n-a: 2",
        ),
    ]);
}

#[test]
fn formats_choose_their_arguments_as_in_go() {
    check(&[
        (r#"{{ printf "%[3]s" "a" }}"#, "%!s(BADINDEX)"),
        (
            r#"{{ printf "%[2]*.[1]*f|" 2 8 3.14159 }}"#,
            "%!f(int=      08)|",
        ),
        (r#"{{ printf "%[1]5d" 3 }}"#, "%!d(BADINDEX)"),
        (r#"{{ printf "%+v|%+v" 1 (dict "a" 1) }}"#, "1|map[a:1]"),
        (r#"{{ printf "%+q" "é" }}"#, r#""\u00e9""#),
        (r#"{{ printf "%12.G" 7 }}"#, "%!G(int=           7)"),
        (
            r#"{{ printf "%#e|%#.0f|%#.3g" 1.0 1.0 1.0 }}"#,
            "1.000000e+00|1.|1.00",
        ),
    ]);
}
