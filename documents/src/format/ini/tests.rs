use super::*;
use crate::format::properties::{blocks, hold, hold_for_mutations};
use crate::splice::apply;

const SAMPLES: [&str; 20] = [
    "",
    "\n",
    "a = 1",
    "a = 1\n",
    "a = 1\r\n\r\n[s]\r\nb = 2\r\n",
    "; top\n\n[s]\n# one\n#two\n\n  ; three\nk = v\n[t]\n",
    "k = v ; beside\n[s]\nk=v#beside\n",
    "# above\nk = v ; beside\n",
    "[s] ; beside\nk = v\n",
    "# above\n[s] junk ; beside [t]\nk = v\n",
    "k = 1\nl = 2\n; c\nk = 3 ; d\nm = 4\n",
    "[s]\n- = a\n- = b\n-= c\n[t]\n-=d",
    "[s]\na = \"x y \"\nb = ' z'\nc = `#;=`\nd = \"\"\"q\"\"\" ; ignored\ne = \"u\" v\nf = \"\"\n",
    "[s]\na = \"\"\"one\ntwo\"\"\" ; beside\nb = `x\n y \n`\nc = last\\\n  joined\\\n more ; no comment\n",
    "\u{feff}[s]\n\"a=b\" = 1\n`c:d` = 2\n\"\"\"e\"\"\" junk = 3\nf:g=h\n",
    "[s]\na =\nb = ; c\nc=   \n[s]\na = 1\n[DEFAULT]\nx = y\n",
    "[s]\nk = v\n; at the end\n# two lines\n",
    "[s]\nk = v\\\n",
    "k = x\\",
    "#\n# b\n##  \nk=v\n\n\n",
];

fn parse(text: &str) -> Tree {
    Ini.parse(SecretBytes::copy_of(text.as_bytes())).unwrap()
}

fn shown(bytes: &SecretBytes) -> String {
    String::from_utf8(bytes.expose().to_vec()).unwrap()
}

/// `section.key=value` and `section;comment`, in the order of the tree.
fn told(tree: &Tree) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut told = Vec::new();
    for section in tree.children(0) {
        let name = text(tree.key(section).unwrap());
        for node in tree.children(section) {
            told.push(match tree.scalar(node) {
                Some(Scalar::Comment(comment)) => format!("{name};{}", text(comment)),
                Some(Scalar::Str(value)) => {
                    format!("{name}.{}={}", text(tree.key(node).unwrap()), text(value))
                }
                _ => format!("{name}.{} null", text(tree.key(node).unwrap())),
            });
        }
    }
    told
}

fn prepared(text: &str) -> Prepared {
    Ini.prepare(parse(text)).unwrap()
}

#[test]
fn every_sample_comes_back() {
    for sample in SAMPLES {
        assert!(hold(&Ini, sample.as_bytes()), "{sample:?}");
    }
    assert!(hold(&Ini, b"[\xff]\n\xe9 = \xff\xfe ; \xff\n"));
}

#[test]
fn mutations_never_panic_and_come_back() {
    let mut seeds: Vec<Vec<u8>> = SAMPLES
        .iter()
        .map(|sample| sample.as_bytes().to_vec())
        .collect();
    for sample in ["[s]\na = 1\n", "a = 1"] {
        let edits = Ini
            .write_block(&parse(sample), &blocks()[1], Layout::default())
            .unwrap();
        seeds.push(apply(sample.as_bytes(), &edits).expose().to_vec());
    }
    let seeds: Vec<&[u8]> = seeds.iter().map(|seed| &seed[..]).collect();
    let pieces: [&[u8]; 19] = [
        b"=",
        b":",
        b"#",
        b";",
        b"\n",
        b"\r\n",
        b"\r",
        b"\\",
        b" ",
        b"\"",
        b"\"\"\"",
        b"`",
        b"'",
        b"[",
        b"]",
        b"k = v\n",
        b"[sops]\n",
        b"\xc2\xa0",
        b"; c\n",
    ];
    hold_for_mutations(&Ini, &seeds, &pieces, 20_000);
}

#[test]
fn t25_t26_t27_values_are_read_as_the_reference_reads_them() {
    let text = "x: 1\n[s]\npw = a#b\nq = \"a;b\"\ne = \"x\" y\nl = 'it''s'\nj = a\\\n b\nm = \"\"\"a\n b\"\"\"\n- = p\n- = q\n[s]\npw = 2\n";
    assert_eq!(
        told(&parse(text)),
        [
            "DEFAULT.x=1",
            "s.pw=a",
            "s;b",
            "s.q=\"a",
            "s;b\"",
            "s.e=\"x\" y",
            "s.l='it''s'",
            "s.j=ab",
            "s.m=a\n b",
            "s.#1=p",
            "s.#2=q",
            "s.pw=2",
        ]
    );
    assert_eq!(parse("").nodes.len(), 2);
}

#[test]
fn comments_of_several_lines_are_one() {
    assert_eq!(
        told(&parse("## a\n\n  # b\n[s]\n;; c ;\nk = v\n# end\n")),
        ["s;a\n# b", "s;c ;", "s.k=v", "s;end"]
    );
}

#[test]
fn what_cannot_be_encrypted_in_place_is_rewritten() {
    for (text, regular) in [
        ("# a\nk = v ; b\n", "# a\n; b\nk = v\n"),
        ("[s] ; b\nk = v", "; b\n[s]\nk = v"),
        (
            "# a\r\n[s] x ; b]\r\nk = v\r\n",
            "# a\r\n[s] x ; b]\r\nk = v\r\n",
        ),
        ("# a\n[s] x ; b\n", "# a\n; b\n[s]\n"),
        (
            "k = 1\nl = 2\n\n; c\nk = '3' ; d\nm = 4\n",
            "; c\n; d\nk = '3'\nl = 2\n\nm = 4\n",
        ),
        ("\"k\" junk = 1", "\"k\"= 1"),
        (
            "#  \n # b \nk = 3\\ ; d\nl = 2\n",
            "#  \n# b \n; d\nk = \"3\\\"\nl = 2\n",
        ),
        ("k = 1\nl = 2\nk = 4\\", "k = 4\nl = 2\n"),
        ("k = \"\"\"", "k = `\"\"\"`"),
    ] {
        let Prepared {
            tree, former_text, ..
        } = prepared(text);
        assert_eq!(shown(&tree.text), regular);
        assert_eq!(former_text.is_some(), text != regular);
        assert_eq!(tree.nodes[0].place, 0);
    }
}

#[test]
fn d22_comments_at_the_end_stand_before_the_block() {
    let text = "[s]\nk = v\n# end\n";
    let edits = Ini
        .write_block(&parse(text), &blocks()[0], Layout::default())
        .unwrap();
    let with = apply(text.as_bytes(), &edits);
    assert!(shown(&with).starts_with("[s]\nk = v\n# end\n\n[sops]\nlastmodified = 2020"));
    let tree = Ini.parse(with).unwrap();
    assert_eq!(told(&tree), ["s.k=v", "s;end"]);
}

#[test]
fn t20_t21_both_newline_forms_of_the_block_are_read_and_one_is_written() {
    let block =
        |enc: &str| format!("[s]\nk = v\n\n[sops]\nage__list_0__map_enc = {enc}\nmac = x\n");
    let armor = "-----BEGIN AGE ENCRYPTED FILE-----\nYQ==\n-----END AGE ENCRYPTED FILE-----\n";
    let escaped = armor.replace('\n', "\\n");
    for text in [block(&escaped), block(&format!("\"\"\"{armor}\"\"\""))] {
        let tree = parse(&text);
        let Some(Data::List(list)) = tree.blocks[0].data.get("age") else {
            panic!("a list");
        };
        assert_eq!(list[0].get("enc"), Some(&Data::str(armor)));
    }
    let edits = Ini
        .write_block(&parse(""), &blocks()[1], Layout::default())
        .unwrap();
    let text = shown(&apply(b"", &edits));
    assert!(
        text.starts_with(&format!("[sops]\nage__list_0__map_enc = {escaped}\n")),
        "{text}"
    );
    assert!(
        text.contains("encrypted_regex = `^(a|\"b\"|c#;<d>|=)$`\n"),
        "{text}"
    );
}

#[test]
fn d22_values_that_the_reference_breaks_are_quoted() {
    let tree = parse("k = v\n");
    let spelled = |text: &str| {
        let mut out = SecretWriter::default();
        Ini.spell(&tree, 1 + 1, Scalar::Str(text.as_bytes()), &mut out)
            .unwrap();
        String::from_utf8(out.expose().to_vec()).unwrap()
    };
    for (value, spelling) in [
        ("plain text", "plain text"),
        ("C:\\dir\\", "\"C:\\dir\\\""),
        ("a#b", "`a#b`"),
        (" a", "\" a\""),
        ("\"q\"", "`\"q\"`"),
        ("a\nb", "\"\"\"a\nb\"\"\""),
        ("a`b", "\"\"\"a`b\"\"\""),
        ("é", "é"),
        ("", ""),
    ] {
        assert_eq!(spelled(value), spelling);
    }
    let mut out = SecretWriter::default();
    assert!(
        Ini.spell(&tree, 2, Scalar::Str(b"a\n\"\"\"\nb`c\nd"), &mut out)
            .is_err()
    );
    assert!(Ini.spell(&tree, 2, Scalar::Null, &mut out).is_err());
}

#[test]
fn refusals_say_where_and_never_what() {
    for (text, reason) in [
        (
            "[s\nk = v",
            "line 1, column 1: the section name has no closing bracket",
        ),
        ("[]\n", "line 1, column 1: the section has no name"),
        (
            "[s]\n hunter2\n",
            "line 2, column 2: the line has neither = nor :",
        ),
        ("= x", "line 1, column 1: the key has no name"),
        ("\"a = x", "line 1, column 1: the key has no closing quote"),
        ("\"\" = x", "line 1, column 1: the key has no name"),
        (
            "k = \"\"\"a\nb",
            "line 1, column 5: the value has no closing quote",
        ),
        (
            "[sops]\nmac = 1\n[sops]\n",
            "line 3, column 1: a second sops section in one file",
        ),
        (
            "a = 1\na = 2\n[sops]\nmac = 1\n",
            "line 2, column 1: a key is there twice in one section of an encrypted file",
        ),
    ] {
        let Err(error) = Ini.parse(SecretBytes::copy_of(text.as_bytes())) else {
            panic!("{text:?} was read");
        };
        assert_eq!(error.to_string(), reason, "{text:?}");
    }
    assert!(Ini.parse(SecretBytes::copy_of(b"\xff\xfek\0=\0")).is_err());
}

#[test]
fn d12_null_is_a_text_outside_of_the_envelope() {
    let text = "k = <nil>\n[sops]\nmac = x\n";
    assert_eq!(told(&parse(text)), ["DEFAULT.k=<nil>"]);
}

fn set(text: &str, path: &[&str], value: Data) -> Result<String, EmitError> {
    let path: Vec<Step> = path.iter().map(|key| Step::Key((*key).into())).collect();
    let edits = Ini.set(&parse(text), &path, &value, Layout::default())?;
    let changed = shown(&apply(text.as_bytes(), &edits));
    let tree = parse(&changed);
    if let ([section, key], Data::Str(wanted)) = (&path[..], &value) {
        let (Step::Key(section), Step::Key(key)) = (section, key) else {
            panic!()
        };
        let told = told(&tree);
        let line = format!("{section}.{key}={}", shown(wanted));
        assert!(told.contains(&line), "{told:?}");
    }
    Ok(changed)
}

#[test]
fn setting_changes_what_it_must() {
    let text = "x=1\n\n[s]\nk = \"v\" ; c\nl : 2\n\n[t]\n";
    let value = Data::str;
    assert_eq!(set(text, &["s", "k"], value("v")).unwrap(), text);
    assert_eq!(
        set(text, &["s", "k"], value("w")).unwrap(),
        text.replace("\"v\"", "w")
    );
    assert_eq!(
        set(text, &["s", "k"], value("a#b")).unwrap(),
        text.replace("k = \"v\" ; c", "; c\nk = `a#b`")
    );
    assert_eq!(
        set(text, &["s", "m"], Data::Int(3)).unwrap(),
        text.replace("2\n", "2\nm : 3\n")
    );
    assert_eq!(
        set(text, &["DEFAULT", "y"], value("2")).unwrap(),
        text.replace("x=1\n", "x=1\ny=2\n")
    );
    assert_eq!(
        set(text, &["t", "k"], value("1")).unwrap(),
        format!("{text}k = 1\n")
    );
    assert_eq!(
        set(text, &["u", "#k"], value("1")).unwrap(),
        format!("{text}\n[u]\n`#k` = 1\n")
    );
    assert_eq!(
        set("[s]\nk = 1", &["s", "l"], value("2")).unwrap(),
        "[s]\nk = 1\nl = 2"
    );
    assert_eq!(
        set("[s]\nk = 1", &["t", "l"], value("2")).unwrap(),
        "[s]\nk = 1\n\n[t]\nl = 2"
    );
    assert_eq!(
        set("[s]\nk = 1\n", &["DEFAULT", "l"], value("2")).unwrap(),
        "l = 2\n[s]\nk = 1\n"
    );
    assert_eq!(
        set("[s]\nk = 1\n\n[sops]\nmac = x\n", &["t", "l"], value("2")).unwrap(),
        "[s]\nk = 1\n\n[t]\nl = 2\n\n[sops]\nmac = x\n"
    );
    let map = Data::Map(vec![
        (Data::key("l"), value("9")),
        (Data::key("z"), value("8")),
    ]);
    assert_eq!(
        set(text, &["s"], map).unwrap(),
        "x=1\n\n[s]\nl : 9\nz : 8\n\n[t]\n"
    );
    for (path, value) in [
        (&["s", "k"][..], Data::Null),
        (&["s", "k"], Data::List(Vec::new())),
        (&["s"], Data::Int(1)),
        (&["sops", "k"], Data::Int(1)),
        (&["s", "a\nb"], Data::Int(1)),
        (&["s", "a", "b"], Data::Int(1)),
        (&[], Data::Int(1)),
    ] {
        assert!(set(text, path, value).is_err());
    }
}

#[test]
fn removing_takes_whole_lines() {
    let removed = |text: &str, node: usize| {
        let edits = Ini.remove(&parse(text), node).unwrap();
        shown(&apply(text.as_bytes(), &edits))
    };
    let text = "x = 1\n# c\n[s]\nk = \"\"\"a\nb\"\"\"\nl = 2 ; d\n[t]\n# e\nm = 3\n";
    assert_eq!(told(&parse(text)).len(), 7);
    assert_eq!(removed(text, 1), text.replace("x = 1\n", ""));
    assert_eq!(removed(text, 2), text.replace("x = 1\n", ""));
    assert_eq!(removed(text, 3), "x = 1\n[t]\n# e\nm = 3\n");
    assert_eq!(removed(text, 4), text.replace("# c\n", ""));
    assert_eq!(removed(text, 5), text.replace("k = \"\"\"a\nb\"\"\"\n", ""));
    assert_eq!(removed(text, 6), text.replace("l = 2 ; d\n", ""));
    assert_eq!(removed(text, 7), text.replace(" ; d", ""));
    assert_eq!(removed(text, 8), text.replace("[t]\n# e\nm = 3\n", ""));
    assert_eq!(removed(text, 9), text.replace("# e\n", ""));
    assert_eq!(removed("a = 1\nb = 2", 3), "a = 1");
}

#[test]
fn documents_are_printed_as_the_reference_prints_them() {
    let text = "x = 1\n; c1\n; c2\n[sec]\nkey = v\n# c3\nlonger = \"a#b\"\n`a=b` = 1\n";
    let tree = parse(text);
    let rendered = Ini
        .render(&[Data::of(&tree, 0)], Layout::default())
        .unwrap();
    assert_eq!(
        shown(&rendered),
        "x = 1\n\n; c1\n; c2\n[sec]\nkey    = v\n; c3\n# b\"\nlonger = \"a\n`a=b`  = 1\n"
    );
    let section = |entries: Vec<(&str, Data)>| {
        let entries = entries
            .into_iter()
            .map(|(key, value)| (Data::key(key), value));
        Data::Map(vec![(Data::key("s"), Data::Map(entries.collect()))])
    };
    let scalars = section(vec![
        ("f", Data::Float(5.0)),
        ("b", Data::Bool(true)),
        ("s", Data::str(" x")),
        ("m", Data::str("a\nb")),
    ]);
    assert_eq!(
        shown(&Ini.render(&[scalars], Layout::default()).unwrap()),
        "[s]\nf = 5.0\nb = true\ns = \" x\"\nm = \"\"\"a\nb\"\"\"\n"
    );
    for wrong in [
        section(vec![("n", Data::Null)]),
        section(vec![("n", Data::List(Vec::new()))]),
        section(vec![("n", Data::Map(Vec::new()))]),
        Data::Map(vec![(Data::key("s"), Data::Int(1))]),
        Data::Map(vec![(Data::key("sops"), Data::Map(Vec::new()))]),
    ] {
        let error = Ini.render(&[wrong], Layout::default()).unwrap_err();
        assert!(error.path.starts_with('s'), "{error}");
    }
}

#[test]
fn extracted_values() {
    let shown = |value: Data| shown(&Ini.render_value(&value, Layout::default()).unwrap());
    assert_eq!(shown(Data::str("a b")), "a b");
    assert_eq!(shown(Data::Int(1)), "1");
    assert_eq!(
        shown(Data::Map(vec![(Data::key("a"), Data::str("b"))])),
        "{\n\t\"a\": \"b\"\n}"
    );
}

#[test]
fn comments_of_several_lines_have_one_mark_a_line_in_yaml() {
    let tree = parse("# a\n# b\n; c\n[s]\nk = v\n");
    let rendered = crate::format::yaml::Yaml.render(&Data::listed(&tree), Layout::default());
    let text = String::from_utf8(rendered.unwrap().expose().to_vec()).unwrap();
    assert_eq!(
        text,
        "DEFAULT: {}\ns:\n    #a\n    # b\n    # ; c\n    k: v\n"
    );
}
