//! What YAML reads and writes, row by row of the contract.

use sealwright_crypto::secret::SecretBytes;

use crate::data::Data;
use crate::format::Format as _;
use crate::format::yaml::Yaml;
use crate::tree::{Key, Tree, Value};

fn parse(text: &str) -> Tree {
    Yaml.parse(SecretBytes::copy_of(text.as_bytes()))
        .unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn show(tree: &Tree) -> String {
    let mut out = String::new();
    for (index, root) in tree.documents.iter().enumerate() {
        if index > 0 {
            out.push_str(" --- ");
        }
        show_node(tree, *root as usize, &mut out);
    }
    out
}

fn show_node(tree: &Tree, node: usize, out: &mut String) {
    use std::fmt::Write as _;
    let text = |text| String::from_utf8_lossy(tree.content(text)).into_owned();
    match tree.nodes[node].key {
        Key::None => {}
        Key::Text(key) => write!(out, "{}: ", text(key)).unwrap(),
        Key::NotText(key) => write!(out, "?{}: ", text(key)).unwrap(),
    }
    match tree.nodes[node].value {
        Value::Map | Value::List => {
            let is_map = tree.nodes[node].value == Value::Map;
            out.push(if is_map { '{' } else { '[' });
            for (index, child) in tree.children(node).enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                show_node(tree, child, out);
            }
            out.push(if is_map { '}' } else { ']' });
        }
        Value::Null => out.push_str("null"),
        Value::Bool(value) => write!(out, "{value}").unwrap(),
        Value::Int(value) => write!(out, "{value}").unwrap(),
        Value::Float(value) => write!(out, "float {value}").unwrap(),
        Value::Time(value) => write!(out, "time {}", text(value)).unwrap(),
        Value::Str(value) => write!(out, "{:?}", text(value)).unwrap(),
        Value::Comment {
            text: value,
            inline,
            ..
        } => {
            let mark = if inline { "##" } else { "#" };
            write!(out, "{mark}{}", text(value)).unwrap();
        }
        Value::Unsupported(value) => write!(out, "unsupported {}", text(value)).unwrap(),
    }
}

#[test]
fn maps_lists_and_scalars() {
    let cases = [
        (
            "a: 1\nb:\n  - x\n  - y: 2\n    z: 3\n",
            "{a: 1, b: [\"x\", {y: 2, z: 3}]}",
        ),
        ("a: [1, {b: c}, [d]]\n", "{a: [1, {b: \"c\"}, [\"d\"]]}"),
        ("a:\n- 1\n- 2\nb: x\n", "{a: [1, 2], b: \"x\"}"),
        ("a: b\n  c\n", "{a: \"b c\"}"),
        ("a: 'it''s'\nb: \"x\\ty\"\n", "{a: \"it's\", b: \"x\\ty\"}"),
        (
            "a: |\n  x\n   y\n\n  z\n\nb: >-\n  x\n  y\n\n  z\n",
            "{a: \"x\\n y\\n\\nz\\n\", b: \"x y\\nz\"}",
        ),
        ("a: |+\n  x\n\n\nb: 1\n", "{a: \"x\\n\\n\\n\", b: 1}"),
        ("? a\n: 1\n? b\n", "{a: 1, b: null}"),
        ("- a\n".trim_start_matches("- a\n"), ""),
        (
            "a: 1\n---\nb: 2\n...\n---\nc: 3\n",
            "{a: 1} --- {b: 2} --- {c: 3}",
        ),
        ("---\n", "{}"),
        ("a: [x: 1, y]\n", "{a: [{x: 1}, \"y\"]}"),
        ("a: &x {b: 1}\nc: *x\n", "{a: {b: 1}, c: {b: 1}}"),
        ("a: &x 1\nc: [*x]\n*x : 2\n", "{a: 1, c: [1], ?1: 2}"),
    ];
    for (text, shown) in cases {
        if !text.is_empty() {
            assert_eq!(show(&parse(text)), shown, "{text:?}");
        }
    }
}

#[test]
fn comments_belong_to_collections() {
    let cases = [
        ("# head\na: 1 # x\n# foot\n", "{# head, a: 1, ## x, # foot}"),
        (
            "a:\n  # in\n  b: 1\n  # end\nc: 2\n",
            "{a: {# in, b: 1, # end}, c: 2}",
        ),
        ("a: # x\n  b: 1\n", "{# x, a: {b: 1}}"),
        ("a:\n  - 1 # x\n  # y\n  - 2\n", "{a: [1, ## x, # y, 2]}"),
    ];
    for (text, shown) in cases {
        assert_eq!(show(&parse(text)), shown, "{text:?}");
    }
}

#[test]
fn data_of_a_block_is_read() {
    let tree = parse("a: 1\nsops:\n    mac: x\n    version: 3.13.3\n");
    assert_eq!(show(&tree), "{a: 1}");
    assert_eq!(tree.blocks.len(), 1);
    assert_eq!(tree.blocks[0].data.get("mac"), Some(&Data::str("x")));
    assert_eq!(tree.blocks[0].cut.range(), 5..tree.text.len());
    assert_eq!(tree.blocks[0].fields.len(), 2);
}

mod properties {
    use super::*;
    use crate::format::properties;

    const SEEDS: &[&[u8]] = &[
        b"# head\na: 1 # x\nb:\n  - x\n  # c\n  - y: 2\n    z: 'q'\n\n# foot\n",
        b"a: |\n  text\n\n  more\nb: >-\n  folded\n  text\nc: {d: [1, \"x\"], e: ~}\n",
        b"a: &x {b: 1}\nc: *x\nd: &y z\ne: [*y, *y]\n",
        b"? complex\n: value\nt: 2024-01-01\nf: 1e3\nh: 0x1F\ni: !!str 5\n",
        b"l:\n- a\n- - b\n  - c\n-\n  d: e\n",
        b"\xef\xbb\xbfa: 1\r\nb: |+\r\n  x\r\n\r\n# c\r\n",
        b"k: \"a\\tb\\\n  c\"\nl: a\n  b\n\n  c\nm: |2-\n    x\n   y",
    ];

    #[test]
    fn hold_for_the_seeds() {
        for seed in SEEDS {
            assert!(
                properties::hold(&Yaml, seed),
                "{:?}",
                String::from_utf8_lossy(seed)
            );
        }
    }

    #[test]
    fn hold_for_mutations() {
        const PIECES: &[&[u8]] = &[
            b"\n",
            b" ",
            b"  ",
            b"#",
            b" #x",
            b"- ",
            b"-",
            b": ",
            b":",
            b"? ",
            b"[",
            b"]",
            b"{",
            b"}",
            b",",
            b"'",
            b"\"",
            b"|",
            b">",
            b"|+\n",
            b"&x ",
            b"*x",
            b"!!str ",
            b"!",
            b"%",
            b"---\n",
            b"...\n",
            b"\t",
            b"\r\n",
            b"\xc2\x85",
            b"\\",
            b"a: b\n",
            b"x",
            b"1",
            b"~",
            b"<<: ",
        ];
        properties::hold_for_mutations(&Yaml, SEEDS, PIECES, 20_000);
    }
}

mod edits {
    use super::*;
    use crate::format::{Layout, Step};
    use crate::splice::apply;

    fn path(text: &str) -> Vec<Step> {
        text.split('.')
            .map(|step| match step.parse() {
                Ok(index) => Step::Index(index),
                Err(_) => Step::Key(step.into()),
            })
            .collect()
    }

    fn map(key: &str, value: Data) -> Data {
        Data::Map(vec![(Data::key(key), value)])
    }

    fn set(text: &str, at: &str, value: &Data) -> String {
        let tree = parse(text);
        let edits = Yaml
            .set(&tree, &path(at), value, Layout::default())
            .unwrap_or_else(|error| panic!("{text:?}, {at}: {error}"));
        String::from_utf8(apply(text.as_bytes(), &edits).expose().to_vec()).unwrap()
    }

    fn remove(text: &str, at: &str) -> String {
        let tree = parse(text);
        let mut node = tree.documents[0] as usize;
        for step in path(at) {
            node = match step {
                Step::Key(key) => tree
                    .children(node)
                    .find(|child| tree.key(*child) == Some(key.as_bytes())),
                step => step.find(&tree, node),
            }
            .unwrap();
        }
        let edits = Yaml.remove(&tree, node).unwrap();
        String::from_utf8(apply(text.as_bytes(), &edits).expose().to_vec()).unwrap()
    }

    #[test]
    fn a_value_is_replaced_where_it_stands() {
        let new = Data::str("new");
        for (text, at, after) in [
            ("a: 1 # x\nb: 2\n", "a", "a: new # x\nb: 2\n"),
            ("a: 'x'\n", "a", "a: 'new'\n"),
            ("a: \"x\"\n", "a", "a: \"new\"\n"),
            ("a:\nb: 1\n", "a", "a: new\nb: 1\n"),
            ("a: |\n  x\n  y\nb: 1\n", "a", "a: new\nb: 1\n"),
            ("a: [1, 2]\n", "a.1", "a: [1, new]\n"),
            ("a:\n  - 1\n  - 2 # x\n", "a.0", "a:\n  - new\n  - 2 # x\n"),
            ("a:\n  b: 1\n  c: 2\nd: 3\n", "a", "a: new\nd: 3\n"),
            ("a:\n- 1\n- 2\nd: 3\n", "a", "a: new\nd: 3\n"),
            ("a: # x\n  b: 1\nd: 3\n", "a", "a: # x\n  new\nd: 3\n"),
            ("a:\n  - b: 1\n    c: 2\n", "a.0", "a:\n  - new\n"),
            (
                "a: &x 1\nb: *x\nc: [*x]\n",
                "b",
                "a: &x 1\nb: new\nc: [*x]\n",
            ),
            (
                "a: &x {y: 1}\nb: *x\n",
                "b.y",
                "a: &x {y: 1}\nb: {\"y\": new}\n",
            ),
            ("a: &x 1\nb: *x\n", "a", "a: &x new\nb: 1\n"),
            ("a: 1\r\nb: 2\r\n", "a", "a: new\r\nb: 2\r\n"),
        ] {
            assert_eq!(set(text, at, &new), after, "{text:?}");
        }
    }

    #[test]
    fn a_collection_takes_the_place_of_a_value() {
        let new = map("x", Data::List(vec![Data::Int(1), Data::str("y")]));
        for (text, at, after) in [
            (
                "a: 1\nb: 2\n",
                "a",
                "a:\n    x:\n        - 1\n        - y\nb: 2\n",
            ),
            ("a: 1 # c\n", "a", "a: {x: [1, \"y\"]} # c\n"),
            ("a: [1]\n", "a.0", "a: [{x: [1, \"y\"]}]\n"),
            (
                "a:\n  b:\n    c: 1\n",
                "a.b",
                "a:\n  b:\n    x:\n      - 1\n      - y\n",
            ),
            (
                "a:\n  - 1\n",
                "a.0",
                "a:\n  -\n    x:\n        - 1\n        - y\n",
            ),
        ] {
            let got = set(text, at, &new);
            assert_eq!(show(&parse(&got)), show(&parse(after)), "{text:?}: {got}");
        }
        assert_eq!(
            set("a: 1\nb: 2\n", "a", &new),
            "a:\n    x:\n        - 1\n        - \"y\"\nb: 2\n"
        );
    }

    #[test]
    fn what_is_missing_on_the_way_is_made() {
        let new = Data::str("new");
        for (text, at, after) in [
            ("a: 1\n", "b", "a: 1\nb: new\n"),
            ("a: 1", "b", "a: 1\nb: new\n"),
            ("a: 1\n# foot\n", "b", "a: 1\nb: new\n# foot\n"),
            ("a:\n  b: 1\nc: 2\n", "a.d", "a:\n  b: 1\n  d: new\nc: 2\n"),
            ("a:\n- 1\nc: 2\n", "a.9", "a:\n- 1\n- new\nc: 2\n"),
            ("a: {b: 1}\n", "a.c", "a: {b: 1, c: new}\n"),
            ("a: {}\n", "a.c", "a: {c: new}\n"),
            (
                "a: [\n  1,\n  2,\n]\n",
                "a.9",
                "a: [\n  1,\n  2,\n  new,\n]\n",
            ),
            ("a: [x: 1]\n", "a.0.y", "a: [{x: 1, \"y\": new}]\n"),
            (
                "a: [1, # c\n x: 1]\n",
                "a.1.y",
                "a: [1, # c\n {x: 1, \"y\": new}]\n",
            ),
            ("a: 1\n", "b.c.0", "a: 1\nb:\n    c:\n        - new\n"),
            (
                "a: 1\nsops:\n    mac: x\n",
                "b",
                "a: 1\nb: new\nsops:\n    mac: x\n",
            ),
            ("sops:\n    mac: x\n", "b", "b: new\nsops:\n    mac: x\n"),
            ("a: 1\n---\nb: 2\n", "c", "a: 1\nc: new\n---\nb: 2\n"),
            ("a: |+\n  x\n\n\n", "b", "a: |+\n  x\n\n\nb: new\n"),
            ("---\n", "b", "---\nb: new\n"),
        ] {
            assert_eq!(set(text, at, &new), after, "{text:?}");
        }
    }

    #[test]
    fn an_entry_goes_with_its_line() {
        for (text, at, after) in [
            ("a: 1\nb: 2\n", "a", "b: 2\n"),
            ("a: 1\nb: 2\n", "b", "a: 1\n"),
            ("a: 1 # x\nb: 2\n", "a", "# x\nb: 2\n"),
            ("a:\n  b: 1\n", "a.b", "a: {}\n"),
            ("a:\n  - b\n", "a.0", "a: []\n"),
            ("a:\n  # c\n  b: 1\n", "a.b", "a:\n  # c\n  {}\n"),
            ("a:\n  - b: 1\n    c: 2\n", "a.0.b", "a:\n  - c: 2\n"),
            ("a:\n  - b: 1\n    c: 2\n", "a.0.c", "a:\n  - b: 1\n"),
            ("a:\n  - b\n  - c\n", "a.0", "a:\n  - c\n"),
            ("a:\n  - - b\n    - c\n", "a.0.0", "a:\n  - - c\n"),
            ("a: [1, 2, 3]\n", "a.1", "a: [1, 3]\n"),
            ("a: [1, 2, 3]\n", "a.0", "a: [2, 3]\n"),
            ("a: [1]\n", "a.0", "a: []\n"),
            // A pair of a list stays an element, whatever stands around it.
            ("a: [x: 1]\n", "a.0.x", "a: [{}]\n"),
            (
                "a: [1, # c\n x: 1\n] # d\n",
                "a.1.x",
                "a: [1, # c\n {}\n] # d\n",
            ),
            ("a: [1, # c\n ? x : 1]\n", "a.1.x", "a: [1, # c\n {}]\n"),
            ("a: {b: 1, c: 2}\n", "a.c", "a: {b: 1}\n"),
            ("a: 1\n", "a", "{}\n"),
            ("a: 1\nsops:\n    mac: x\n", "a", "sops:\n    mac: x\n"),
            ("a: &x 1\nb: *x\n", "a", "b: 1\n"),
            ("a: |\n  x\n\n  y\nb: 1\n", "a", "b: 1\n"),
            ("? a\n: 1\n? b\n: 2\n", "a", "? b\n: 2\n"),
        ] {
            assert_eq!(remove(text, at), after, "{text:?}");
        }
    }
}

mod refusals {
    use super::*;
    use crate::format::{Layout, Step};

    fn refused(text: impl AsRef<[u8]>) -> (usize, usize, String) {
        let error = Yaml
            .parse(SecretBytes::copy_of(text.as_ref()))
            .err()
            .unwrap_or_else(|| panic!("{:?} is read", String::from_utf8_lossy(text.as_ref())));
        (error.line, error.column, error.reason)
    }

    #[test]
    fn say_where_and_why() {
        let cases: &[(&[u8], usize, usize, &str)] = &[
            (b"a: 1\na: 2\n", 2, 1, "the key `a` occurs twice"),
            (
                b"a:\n  b: 1\n  c: 2\n  b: 3\n",
                4,
                3,
                "the key `b` occurs twice",
            ),
            (b"a:\n\tb: 1\n", 2, 1, "tab"),
            (b"a: \"x\nb: 1\n", 1, 4, "quote"),
            (b"a: 'x\n", 1, 4, "quote"),
            (b"a: [1, 2\n", 2, 1, "the collection that starts on line 1"),
            (b"a: {b: 1\nc: 2\n", 2, 2, "expected `,` or `}`"),
            (b"a: 1\n b: 2\n", 2, 3, "a value cannot start here"),
            (b"a: \"\\q\"\n", 1, 5, "unknown escape"),
            (b"a: *x\n", 1, 4, "unknown anchor"),
            (b"a: &x [*x]\n", 1, 8, "contains itself"),
            (b"a: @x\n", 1, 4, "`@` cannot start a value, quote it"),
            (b"a: x\xff\n", 1, 5, "invalid UTF-8"),
            (b"a: \xff\xfe\n", 1, 4, "invalid UTF-8"),
            (b"\xff\xfea\0", 1, 1, "UTF-16"),
            (b"a: x\x07\n", 1, 5, "control characters"),
            (b"- a\n- b\n", 1, 1, "a document that is a list"),
            (b"just text\n", 1, 1, "a document that is a single value"),
            (b"# only\n\n", 3, 1, "no document"),
            (b"", 1, 1, "empty"),
            (b"? [a]\n: 1\n", 1, 3, "a key that is a map or a list"),
            (b"a: !!int abc\n", 1, 4, "int"),
            (b"a: !!binary \"%\"\n", 1, 4, "base64"),
            (b"a: !x!y 1\n", 1, 4, "unknown tag handle"),
            (
                b"%YAML 1.2\n---\na: 1\n",
                1,
                1,
                "only `%YAML 1.1` is supported",
            ),
            (b"a: |x\n  y\n", 1, 5, "block"),
            (b"a: 1\n---\nb: [\n", 4, 1, "unexpected end of the file"),
            (b"a: 1\nsops: {}\nsops: {}\n", 3, 1, "occurs twice"),
        ];
        let mut wrong = Vec::new();
        for (text, line, column, reason) in cases {
            let (got_line, got_column, got) = refused(text);
            if (got_line, got_column) != (*line, *column) || !got.contains(reason) {
                let text = text.escape_ascii();
                wrong.push(format!(
                    "{text}: line {got_line}, column {got_column}: {got}"
                ));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn hold_no_value() {
        for text in [
            "a: \"s3cr3t\\q\"\n",
            "a: !!int s3cr3t\n",
            "a: [s3cr3t\n",
            "s3cr3t\n",
        ] {
            let (.., reason) = refused(text);
            assert!(!reason.contains("s3cr3t"), "{reason}");
        }
    }

    #[test]
    fn nesting_has_a_limit_and_no_stack_runs_over() {
        for (open, close) in [("[", "]"), ("{a: ", "}")] {
            let nested = |depth| format!("a: {}{}\n", open.repeat(depth), close.repeat(depth));
            let tree = parse(&nested(1_000));
            assert!(tree.nodes.len() > 1_000);
            let (_, _, reason) = refused(nested(20_000));
            assert!(reason.contains("deep"), "{reason}");
        }
        // What is read can be gone through with the stack of a program's first thread.
        let through = || {
            let text = format!("a: {}x{}\nb: 1\n", "[".repeat(9_990), "]".repeat(9_990));
            let tree = parse(&text);
            assert!(matches!(Data::of(&tree, 0), Data::Map(_)));
            let set = Yaml.set(
                &tree,
                &[Step::Key("b".into())],
                &Data::Int(2),
                Layout::default(),
            );
            assert!(set.unwrap_err().reason.contains("deep"));
            assert!(Yaml.prepare(tree).is_ok());
        };
        let thread = std::thread::Builder::new()
            .stack_size(8 << 20)
            .spawn(through);
        thread.unwrap().join().unwrap();
        let blocks: String = (0..11_000).map(|_| "- ").collect();
        let (_, _, reason) = refused(format!("a:\n  {blocks}x\n"));
        assert!(reason.contains("deep"), "{reason}");
        let (_, _, reason) = refused("a: ".to_owned() + &"[".repeat(3_000_000));
        assert!(reason.contains("deep"), "{reason}");
    }

    #[test]
    fn aliases_cannot_blow_a_document_up() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let names = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{names}]\n"));
        }
        let (_, _, reason) = refused(text);
        assert!(reason.contains("aliases blow this document up"), "{reason}");
    }

    #[test]
    fn keys_that_are_aliases_count_by_their_length() {
        let long = "x".repeat(60_000);
        for item in ["{*x : 1}, ", "*y, "] {
            let text = |times| {
                let items = item.repeat(times);
                format!("a: &x {long}\nb: &y {{*x : 1}}\nc: [{items}]\n")
            };
            assert!(parse(&text(60)).nodes.len() > 60);
            let (_, _, reason) = refused(text(100));
            assert!(reason.contains("aliases blow this document up"), "{reason}");
        }
    }

    #[test]
    fn comments_behind_aliases_count_by_their_length() {
        let long = "x".repeat(60_000);
        // Before a value, behind a value, behind a tag, and outside of what the anchor is for.
        for target in [
            format!("a: &x\n  # {long}\n  k: 1\n"),
            format!("a: &x\n  k: 1 # {long}\n"),
            format!("a: &x\n  k: !!str # {long}\n   v\n"),
            format!("a:\n# {long}\n- &x\n  k: 1\n"),
        ] {
            let text = |times| {
                let items = "- *x\n".repeat(times);
                format!("{target}b:\n{items}")
            };
            assert!(parse(&text(60)).nodes.len() > 60);
            let (_, _, reason) = refused(text(100));
            assert!(reason.contains("aliases blow this document up"), "{reason}");
        }
    }
}

#[test]
fn t30_merge_keys_are_kept_and_aliases_read_as_copies() {
    assert_eq!(
        show(&parse("a: &x {b: 1}\nc:\n  <<: *x\n  d: 2\n")),
        "{a: {b: 1}, c: {<<: {b: 1}, d: 2}}"
    );
    assert_eq!(
        show(&parse("a: &x {b: 1}\nc:\n  <<: [*x, *x]\n")),
        "{a: {b: 1}, c: {<<: [{b: 1}, {b: 1}]}}"
    );
}

#[test]
fn t29_duplicate_keys_are_refused_in_the_first_document_only() {
    assert!(Yaml.parse(SecretBytes::copy_of(b"a: 1\na: 2\n")).is_err());
    assert_eq!(
        show(&parse("a: 1\n---\nb: 1\nb: 2\n")),
        "{a: 1} --- {b: 1, b: 2}"
    );
}

#[test]
fn scalars_have_the_kinds_of_the_reference() {
    for (text, kind) in [
        ("true", "true"),
        ("False", "false"),
        ("yes", "\"yes\""),
        ("on", "\"on\""),
        ("y", "\"y\""),
        ("~", "null"),
        ("", "null"),
        ("+5", "5"),
        ("0x1F", "31"),
        ("0o17", "15"),
        ("017", "15"),
        ("0b11", "3"),
        ("1_000", "1000"),
        ("09", "float 9"),
        ("18446744073709551615", "unsupported 18446744073709551615"),
        ("18446744073709551616", "float 18446744073709552000"),
        ("1e3", "float 1000"),
        (".inf", "float inf"),
        ("1e400", "\"1e400\""),
        ("2024-01-01", "time 2024-01-01T00:00:00Z"),
        ("2001-12-15 2:59:43.10", "time 2001-12-15T02:59:43.1Z"),
        ("2001-12-14 21:59:43.10 -5", "\"2001-12-14 21:59:43.10 -5\""),
        ("20:30:20", "\"20:30:20\""),
        ("2024-13-45", "\"2024-13-45\""),
        ("!!str 5", "\"5\""),
        ("!!int \"5\"", "5"),
        ("!!float 5", "float 5"),
        ("!foo bar", "\"bar\""),
        ("!!binary aGk=", "\"hi\""),
    ] {
        assert_eq!(
            show(&parse(&format!("a: {text}\n"))),
            format!("{{a: {kind}}}"),
            "{text}"
        );
    }
}
