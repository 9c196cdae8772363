use super::*;
use crate::format::properties::{hold, hold_for_mutations};
use crate::splice::apply;
use crate::tree::Value;

fn parse(text: &str) -> Tree {
    Json.parse(SecretBytes::copy_of(text.as_bytes())).unwrap()
}

fn refusal(text: &str) -> String {
    let Err(error) = Json.parse(SecretBytes::copy_of(text.as_bytes())) else {
        panic!("{text:?} was read");
    };
    error.to_string()
}

fn shown(bytes: SecretBytes) -> String {
    String::from_utf8(bytes.expose().to_vec()).unwrap()
}

fn value_of(literal: &str) -> Data {
    let tree = parse(&format!("{{\"a\": {literal}}}"));
    Data::of(&tree, 1)
}

const SAMPLES: [&str; 14] = [
    "{}",
    " { } \n",
    "{\"a\":1}",
    "{\"a\":1 }",
    "{\n}\n",
    "{\n  \"a\": \"x\",\n  \"b\": [1, 2.5, {\"c\": null}],\n  \"c\": {}\n}\n",
    "{\r\n\t\"a\": true,\r\n\t\"a\": false\r\n}",
    "{\"q\\\"\\u0041\": \"\\ud83d\\ude00\\ud800 \\/ \\b\\f\", \"\": \"\"}",
    "{\"n\": -0, \"f\": -0.0, \"g\": 1E3, \"h\": 9223372036854775808, \"i\": -9223372036854775808}",
    "\u{feff}{\"a\": \"\u{2028}<&>\"}",
    "{\"sops_x\": {\"sops\": 1}, \"l\": [[], [[]], [\"\"]]}",
    "{\"data\" : \"a\" , \"b\" : \"c\"  }\n\n",
    "{\n\"a\": 1\n}",
    "{\"a\": \"\u{7f}\u{0416}\u{1f600}\"}",
];

#[test]
fn every_sample_comes_back() {
    for sample in SAMPLES {
        assert!(hold(&Json, sample.as_bytes()), "{sample:?}");
    }
}

#[test]
fn mutations_never_panic_and_come_back() {
    let seeds: Vec<&[u8]> = SAMPLES.iter().map(|sample| sample.as_bytes()).collect();
    let pieces: [&[u8]; 16] = [
        b"\"",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\\",
        b"\n",
        b" ",
        b"1",
        b"\"a\": 1,",
        b"\"sops\": {}",
        b",\"sops\": {\"mac\":\"\"}",
        b"\xc3\xa9",
        b"e",
    ];
    hold_for_mutations(&Json, &seeds, &pieces, 20_000);
}

#[test]
fn t34_numbers_are_read_as_the_reference_reads_them() {
    assert_eq!(value_of("9223372036854775807"), Data::Int(i64::MAX));
    assert_eq!(value_of("-0"), Data::Int(0));
    assert_eq!(value_of("1e-400"), Data::Float(0.0));
    assert!(
        matches!(value_of("9223372036854775808"), Data::Float(value) if value == 9_223_372_036_854_775_808.0)
    );
    assert!(matches!(value_of("1.0"), Data::Float(value) if value == 1.0));
    for wrong in [
        "01", "1.", ".5", "+1", "-", "1e", "1e400", "0x1", "Infinity", "1_000",
    ] {
        assert!(
            refusal(&format!("{{\"a\": {wrong}}}")).starts_with("line 1, column "),
            "{wrong}"
        );
    }
}

#[test]
fn refusals_say_where_and_never_what() {
    for (text, reason) in [
        (
            "",
            "line 1, column 1: the file is empty, it must hold a JSON object",
        ),
        (
            "[1]",
            "line 1, column 1: the top level must be an object; wrap the list in one, such as {\"data\": […]}",
        ),
        ("7", "line 1, column 1: the top level must be an object"),
        (
            "{\"a\": 1} x",
            "line 1, column 10: text after the end of the document",
        ),
        (
            "{\"a\": 1,}",
            "line 1, column 9: expected a key in double quotes",
        ),
        ("{\"a\": [1,]}", "line 1, column 10: expected a value"),
        (
            "{\"a\": 1\n\"b\": 2}",
            "line 2, column 1: expected a comma or the end of the object",
        ),
        (
            "{\"a\": \"x\ny\"}",
            "line 1, column 9: a control character in a string must be escaped",
        ),
        (
            "{\"ж\": \"\\x\"}",
            "line 1, column 8: unknown escape in a string",
        ),
        (
            "{\"a\": \"\\ud8\"}",
            "line 1, column 8: expected four hexadecimal digits after \\u",
        ),
        (
            "{\"a\": {",
            "line 1, column 8: the file ends inside an object or a list",
        ),
        (
            "{\"a\": \"hunter2",
            "line 1, column 7: the string has no end",
        ),
        ("{\"a\": hunter2}", "line 1, column 7: expected a value"),
        (
            "{\"a\" 1}",
            "line 1, column 6: expected a colon after the key",
        ),
        (
            "{\"sops\": {}, \"sops\": {}}",
            "line 1, column 14: a second sops block in one document",
        ),
    ] {
        assert_eq!(refusal(text), reason, "{text:?}");
    }
    let Err(error) = Json.parse(SecretBytes::copy_of(b"{\"a\":\n \"\xff\"}")) else {
        panic!("invalid UTF-8 was read");
    };
    assert_eq!(error.to_string(), "line 2, column 3: invalid UTF-8");
}

#[test]
fn deep_nesting_has_a_limit_and_no_recursion() {
    let nested = |depth: usize| {
        format!(
            "{{\"a\":{}{}}}",
            "[".repeat(depth - 1),
            "]".repeat(depth - 1)
        )
    };
    assert_eq!(parse(&nested(10_000)).nodes.len(), 10_000);
    assert!(refusal(&nested(10_001)).ends_with("objects and lists nest too deeply"));
    assert!(refusal(&"{\"a\":".repeat(1_000_000)).ends_with("objects and lists nest too deeply"));
    let block = format!("{{\"sops\":{}{}}}", "[".repeat(100), "]".repeat(100));
    assert!(refusal(&block).ends_with("the sops block nests too deeply"));
}

#[test]
fn strings_without_escapes_are_not_copied() {
    let tree = parse("{\"plain\": \"text\", \"esc\": \"a\\nb\"}");
    assert_eq!(tree.decoded.expose(), b"a\nb");
}

#[test]
fn t27_repeated_keys_are_kept() {
    let tree = parse("{\"a\": 1, \"a\": 2}");
    assert_eq!(tree.nodes.len(), 3);
}

#[test]
fn a_block_stands_behind_the_last_member_in_the_style_of_the_file() {
    let block = Data::Map(vec![(SecretBytes::copy_of(b"mac"), Data::str("ENC[x]"))]);
    for (plain, with) in [
        ("{}", "{\n\t\"sops\": {\n\t\t\"mac\": \"ENC[x]\"\n\t}}"),
        (
            "{\"a\":1}",
            "{\"a\":1,\n\t\"sops\": {\n\t\t\"mac\": \"ENC[x]\"\n\t}}",
        ),
        (
            "{\r\n  \"a\": 1\r\n}\r\n",
            "{\r\n  \"a\": 1,\r\n  \"sops\": {\r\n    \"mac\": \"ENC[x]\"\r\n  }\r\n}\r\n",
        ),
    ] {
        let tree = parse(plain);
        let edits = Json.write_block(&tree, &block, Layout::default()).unwrap();
        assert_eq!(shown(apply(plain.as_bytes(), &edits)), with);
    }
}

#[test]
fn a_block_anywhere_is_cut_with_one_comma() {
    for (with, without) in [
        ("{\"sops\": {\"mac\": \"\"}, \"a\": 1}", "{\"a\": 1}"),
        (
            "{\"a\": 1, \"sops\": {\"mac\": \"\"}, \"b\": 2}",
            "{\"a\": 1, \"b\": 2}",
        ),
        ("{\"a\": [] , \"sops\": 5 }", "{\"a\": []  }"),
        ("{\n\t\"sops\": {}\n}\n", "{\n}\n"),
        ("{\"so\\u0070s\": {}}", "{}"),
    ] {
        let tree = parse(with);
        let span = tree.blocks[0].cut.range();
        let text = tree.text.expose();
        let cut = [&text[..span.start], &text[span.end..]].concat();
        assert_eq!(String::from_utf8(cut).unwrap(), without);
        assert!(
            tree.nodes
                .iter()
                .all(|node| node.end as usize <= tree.nodes.len())
        );
    }
}

#[test]
fn only_changed_fields_of_a_block_are_rewritten() {
    let field = |name: &str, value: Data| (SecretBytes::copy_of(name.as_bytes()), value);
    let text = "{\n\t\"a\": \"x\",\n\t\"sops\": {\n\t\t\"kms\": [],\n\t\t\"lastmodified\": \"old\",\n\t\t\"mac\":   \"m\",\n\t\t\"version\": \"3\\u002e1\"\n\t}\n}\n";
    let edited = |block: Vec<(SecretBytes, Data)>| {
        let edits = Json
            .write_block(&parse(text), &Data::Map(block), Layout::default())
            .unwrap();
        shown(apply(text.as_bytes(), &edits))
    };
    assert_eq!(
        edited(vec![
            field("lastmodified", Data::str("new")),
            field("mac", Data::str("m")),
            field("version", Data::str("3.1")),
        ]),
        text.replace("\"old\"", "\"new\"")
    );
    let list = || Data::List(vec![Data::Map(vec![field("fp", Data::str("F"))])]);
    assert_eq!(
        edited(vec![
            field("age", list()),
            field("lastmodified", Data::str("old")),
            field("pgp", list()),
            field("version", Data::str("3.1")),
            field("zz", Data::Bool(true)),
        ]),
        "{\n\t\"a\": \"x\",\n\t\"sops\": {\n\t\t\"age\": [\n\t\t\t{\n\t\t\t\t\"fp\": \"F\"\n\t\t\t}\n\t\t],\n\t\t\"kms\": [],\n\t\t\"lastmodified\": \"old\",\n\t\t\"pgp\": [\n\t\t\t{\n\t\t\t\t\"fp\": \"F\"\n\t\t\t}\n\t\t],\n\t\t\"version\": \"3\\u002e1\",\n\t\t\"zz\": true\n\t}\n}\n"
    );
}

#[test]
fn t34_documents_are_printed_as_the_reference_prints_them() {
    let tree =
        parse("{\"a\":[1,1e3,{}],\"<&>\":\"\u{2028}\\u0001\\b\",\"e\":{\"x\":[]},\"t\":1e21}");
    let document = Data::of(&tree, 0);
    let render = |indent| {
        shown(
            Json.render(std::slice::from_ref(&document), Layout { indent })
                .unwrap(),
        )
    };
    let expected = "{\n\t\"a\": [\n\t\t1,\n\t\t1000,\n\t\t{}\n\t],\n\t\"\\u003c\\u0026\\u003e\": \"\\u2028\\u0001\\b\",\n\t\"e\": {\n\t\t\"x\": []\n\t},\n\t\"t\": 1e+21\n}\n";
    assert_eq!(render(None), expected);
    assert_eq!(render(Some(-1)), expected);
    assert_eq!(render(Some(2)), expected.replace('\t', "  "));
    assert_eq!(render(Some(0)), expected.replace('\t', ""));
    assert!(Json.render(&[], Layout::default()).is_err());
    assert!(
        Json.render(&[document], Layout { indent: Some(-2) })
            .is_err()
    );
}

#[test]
fn d13_a_second_document_is_refused() {
    let documents = [Data::Map(Vec::new()), Data::Map(Vec::new())];
    assert!(Json.render(&documents, Layout::default()).is_err());
}

#[test]
fn what_json_cannot_hold_is_refused_with_its_path() {
    let wrong = |value: Data| {
        let list = Data::List(vec![Data::Null, value]);
        let document = Data::Map(vec![(SecretBytes::copy_of(b"a"), list)]);
        Json.render(&[document], Layout::default())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        wrong(Data::Float(f64::NAN)),
        "a[1]: JSON has no infinity and no NaN"
    );
    assert_eq!(
        wrong(Data::Str(SecretBytes::copy_of(b"\xff"))),
        "a[1]: JSON cannot hold bytes that are not UTF-8"
    );
}

#[test]
fn t35_extracted_values() {
    let shown = |value: Data| shown(Json.render_value(&value, Layout::default()).unwrap());
    assert_eq!(shown(Data::str("a\n")), "a\n");
    assert_eq!(shown(Data::Int(5)), "5");
    assert_eq!(
        shown(Data::Time("2024-01-01T00:00:00Z".into())),
        "\"2024-01-01T00:00:00Z\""
    );
    assert_eq!(shown(Data::List(vec![Data::Int(1)])), "[\n\t1\n]");
}

fn set(text: &str, path: &[Step], value: Data) -> Result<String, EmitError> {
    let edits = Json.set(&parse(text), path, &value, Layout::default())?;
    let changed = shown(apply(text.as_bytes(), &edits));
    parse(&changed);
    Ok(changed)
}

fn key(name: &str) -> Step {
    Step::Key(name.into())
}

#[test]
fn setting_changes_what_it_must() {
    let text = "{\n  \"a\": \"x\\u0041\",\n  \"b\": [1, 2],\n  \"sops\": {}\n}\n";
    assert_eq!(set(text, &[key("a")], Data::str("xA")).unwrap(), text);
    assert_eq!(
        set(text, &[key("a")], Data::str("y<")).unwrap(),
        text.replace("x\\u0041", "y<")
    );
    assert_eq!(
        set(text, &[key("b"), Step::Index(1)], Data::Int(7)).unwrap(),
        text.replace("2]", "7]")
    );
    assert_eq!(
        set(text, &[key("b"), Step::Index(9)], Data::Int(7)).unwrap(),
        text.replace("2]", "2, 7]")
    );
    assert_eq!(
        set(
            text,
            &[key("b"), Step::Index(0)],
            Data::List(vec![Data::Int(7), Data::Null])
        )
        .unwrap(),
        text.replace("[1,", "[[7, null],")
    );
    assert_eq!(
        set(text, &[key("c"), key("d")], Data::Bool(true)).unwrap(),
        text.replace("[1, 2],", "[1, 2],\n  \"c\": {\n    \"d\": true\n  },")
    );
    assert_eq!(
        set(
            "{\"a\":{}}",
            &[key("a"), key("b"), Step::Index(0)],
            Data::Int(1)
        )
        .unwrap(),
        "{\"a\":{\"b\":[1]}}"
    );
    assert_eq!(
        set("{\n\t\"a\": {}\n}", &[key("a"), key("b")], Data::Int(1)).unwrap(),
        "{\n\t\"a\": {\n\t\t\"b\": 1\n\t}\n}"
    );
    assert_eq!(
        set("{\"sops\": {}}", &[key("b")], Data::Int(1)).unwrap(),
        "{\"b\": 1,\"sops\": {}}"
    );
    assert_eq!(
        set("{\"a\": 1}", &[key("a"), key("b")], Data::Int(1)).unwrap(),
        "{\"a\": {\"b\": 1}}"
    );
}

#[test]
fn d7_paths_that_do_not_fit_are_errors() {
    assert!(set("{\"a\": []}", &[key("a"), key("b")], Data::Int(1)).is_err());
    assert!(set("{\"a\": {}}", &[Step::Index(0)], Data::Int(1)).is_err());
    assert!(set("{}", &[], Data::Int(1)).is_err());
    assert!(set("{}", &[key("sops")], Data::Int(1)).is_err());
}

#[test]
fn removing_takes_one_comma_along() {
    let removed = |text: &str, node: usize| {
        let edits = Json.remove(&parse(text), node).unwrap();
        shown(apply(text.as_bytes(), &edits))
    };
    let text = "{\n  \"a\": 1,\n  \"b\": [true, [null]],\n  \"c\": 3\n}\n";
    assert_eq!(removed(text, 1), text.replace("\"a\": 1,\n  ", ""));
    assert_eq!(
        removed(text, 2),
        text.replace("\n  \"b\": [true, [null]],", "")
    );
    assert_eq!(removed(text, 3), text.replace("true, ", ""));
    assert_eq!(removed(text, 4), text.replace(", [null]", ""));
    assert_eq!(removed(text, 5), text.replace("null", ""));
    assert_eq!(removed(text, 6), text.replace(",\n  \"c\": 3", ""));
    assert_eq!(removed("{\"a\": 1, \"sops\": {}}", 1), "{\"sops\": {}}");
}

#[test]
fn d14_list_comments_of_other_formats_go() {
    let comment = "\"ENC[AES256_GCM,data:YQ==,iv:YQ==,tag:YQ==,type:comment]\"";
    for (pattern, left) in [
        ("[c, 1, 2]", "[1, 2]"),
        ("[c, c, 1, c, 2]", "[1, 2]"),
        ("[1, c, c]", "[1]"),
        ("[\n c ,\n c\n]", "[\n \n]"),
        ("[[1] , c, 2]", "[[1], 2]"),
        ("[[], c, c , {}, c]", "[[] , {}]"),
        ("[c]", "[]"),
    ] {
        let text = format!("{{\"x\": 0, \"l\": {}}}", pattern.replace('c', comment));
        let tree = parse(&text);
        let mut done = 0;
        let edits: Vec<Edit> = (0..tree.nodes.len())
            .filter(|at| matches!(tree.nodes[*at].value, Value::Str(_)))
            .map(|at| {
                let edit = Json.spell_list_comment(&tree, at, b" note", done).unwrap();
                done = edit.span.end;
                edit
            })
            .collect();
        assert_eq!(
            shown(apply(text.as_bytes(), &edits)),
            format!("{{\"x\": 0, \"l\": {left}}}")
        );
    }
}
