use super::*;
use crate::format::properties::{blocks, hold, hold_for_mutations};
use crate::splice::apply;

fn parse(text: &str) -> Tree {
    Dotenv.parse(SecretBytes::copy_of(text.as_bytes())).unwrap()
}

fn shown(bytes: &SecretBytes) -> String {
    String::from_utf8(bytes.expose().to_vec()).unwrap()
}

fn entries(tree: &Tree) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (1..tree.nodes.len())
        .map(|at| match tree.scalar(at) {
            Some(Scalar::Comment(comment)) => ("#".into(), text(comment)),
            Some(Scalar::Str(value)) => (text(tree.key(at).unwrap()), text(value)),
            other => (
                text(tree.key(at).unwrap()),
                format!("{:?}", other.is_none()),
            ),
        })
        .collect()
}

const SAMPLES: [&str; 11] = [
    "",
    "\n",
    "A=1",
    "A=1\n",
    "\n\nA=1\n\n# c\n#\n\nB=\n",
    "export X=1\nA = b\nQ=\"x\" # y\n # x=1\n=v\n",
    "A=1\r\n# c\r\nB=2\r\n",
    "M=one\\ntwo\\\\nthree\\n\n",
    "A=1\nA=2\nA=2",
    "\u{feff}A=1\nsops=1\nSOPS_X=2",
    "K=v=w==\n#no final line break",
];

#[test]
fn every_sample_comes_back() {
    for sample in SAMPLES {
        assert!(hold(&Dotenv, sample.as_bytes()), "{sample:?}");
    }
    assert!(hold(&Dotenv, b"A=\xff\xfe\n\xe9=1\n#\xe9"));
}

#[test]
fn mutations_never_panic_and_come_back() {
    let mut seeds: Vec<Vec<u8>> = SAMPLES
        .iter()
        .map(|sample| sample.as_bytes().to_vec())
        .collect();
    for sample in ["A=1\n", "A=1"] {
        let edits = Dotenv
            .write_block(&parse(sample), &blocks()[1], Layout::default())
            .unwrap();
        seeds.push(apply(sample.as_bytes(), &edits).expose().to_vec());
    }
    let seeds: Vec<&[u8]> = seeds.iter().map(|seed| &seed[..]).collect();
    let pieces: [&[u8]; 11] = [
        b"=",
        b"#",
        b"\n",
        b"\r\n",
        b"\\n",
        b"\\",
        b" ",
        b"A=1\n",
        b"sops_mac=x\n",
        b"sops_",
        b"\xff",
    ];
    hold_for_mutations(&Dotenv, &seeds, &pieces, 20_000);
}

#[test]
fn t22_t23_t24_lines_are_read_as_the_reference_reads_them() {
    let read = |text: &str| entries(&parse(text));
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter()
            .map(|(a, b)| ((*a).into(), (*b).into()))
            .collect()
    };
    assert_eq!(
        read("export X=1\nA = b\nQ='x' # y\n # x=1\n=v\nN=a\\nb\n#c \nC=1\r\n"),
        pairs(&[
            ("export X", "1"),
            ("A ", " b"),
            ("Q", "'x' # y"),
            (" # x", "1"),
            ("", "v"),
            ("N", "a\nb"),
            ("#", "c "),
            ("C", "1\r"),
        ])
    );
    let Err(error) = Dotenv.parse(SecretBytes::copy_of(b"A=1\nhunter2\n")) else {
        panic!("a line without = was read");
    };
    assert_eq!(error.to_string(), "line 2, column 1: the line has no =");
    assert!(Dotenv.parse(SecretBytes::copy_of(b"A=1\r\n\r\n")).is_err());
}

#[test]
fn a_block_tells_whether_the_file_ended_with_a_line_break() {
    let small = &blocks()[0];
    for (plain, with) in [
        (
            "A=1\n",
            "A=1\nsops_lastmodified=2020-01-01T00:00:00Z\nsops_mac=ENC[AES256_GCM,data:YQ==,iv:YQ==,tag:YQ==,type:str]\nsops_version=3.13.3\n",
        ),
        (
            "A=1",
            "A=1\nsops_lastmodified=2020-01-01T00:00:00Z\nsops_mac=ENC[AES256_GCM,data:YQ==,iv:YQ==,tag:YQ==,type:str]\nsops_version=3.13.3",
        ),
    ] {
        let edits = Dotenv
            .write_block(&parse(plain), small, Layout::default())
            .unwrap();
        assert_eq!(shown(&apply(plain.as_bytes(), &edits)), with);
    }
}

#[test]
fn t20_t21_line_breaks_in_the_block_are_two_characters() {
    let edits = Dotenv
        .write_block(&parse(""), &blocks()[1], Layout::default())
        .unwrap();
    let text = shown(&apply(b"", &edits));
    assert!(text.starts_with(
        "sops_age__list_0__map_enc=-----BEGIN AGE ENCRYPTED FILE-----\\nYQ==\\n-----END AGE ENCRYPTED FILE-----\\n\nsops_age__list_0__map_recipient=age1a\n"
    ));
}

#[test]
fn a_block_in_pieces_is_cut_everywhere() {
    let text = "sops_mac=x\nA=1\nsops_version=3.1\n#c\nsops_lastmodified=y";
    let tree = parse(text);
    assert_eq!(tree.blocks.len(), 3);
    assert_eq!(
        tree.blocks[0].data.get("lastmodified"),
        Some(&Data::str("y"))
    );
    let cuts: Vec<Edit> = tree
        .blocks
        .iter()
        .map(|block| Edit {
            span: block.cut,
            text: SecretBytes::default(),
        })
        .collect();
    assert_eq!(shown(&apply(text.as_bytes(), &cuts)), "A=1\n#c");
    let edits = Dotenv
        .write_block(&tree, &blocks()[0], Layout::default())
        .unwrap();
    assert_eq!(
        shown(&apply(text.as_bytes(), &edits)),
        "sops_mac=ENC[AES256_GCM,data:YQ==,iv:YQ==,tag:YQ==,type:str]\nA=1\nsops_version=3.13.3\n#c\nsops_lastmodified=2020-01-01T00:00:00Z"
    );
}

#[test]
fn d12_null_is_a_text_and_never_written() {
    // Only the envelope knows whether a value is selected for encryption.
    let tree = parse("A=<nil>\nB=x<nil>\nsops_mac=\n");
    assert!(tree.scalar(1) == Some(Scalar::Str(NULL)));
    let mut out = SecretWriter::default();
    assert!(Dotenv.spell(&tree, 1, Scalar::Null, &mut out).is_err());
    let document = Data::Map(vec![(Data::key("A"), Data::Null)]);
    let error = Dotenv.render(&[document], Layout::default()).unwrap_err();
    assert_eq!(error.to_string(), "A: dotenv has no null");
}

#[test]
fn documents_are_printed_as_the_reference_prints_them() {
    let document = Data::Map(vec![
        (
            Data::key(""),
            Data::Comment {
                text: SecretBytes::copy_of(b" one\ntwo"),
                inline: true,
            },
        ),
        (Data::key("A "), Data::str(" b\nc")),
        (Data::key("I"), Data::Int(-5)),
        (Data::key("F"), Data::Float(5.0)),
        (Data::key("G"), Data::Float(1e6)),
        (Data::key("B"), Data::Bool(true)),
        (Data::key("sops"), Data::Time("2024-01-01T00:00:00Z".into())),
    ]);
    assert_eq!(
        shown(&Dotenv.render(&[document], Layout::default()).unwrap()),
        "# one\n#two\nA = b\\nc\nI=-5\nF=5.0\nG=1E+06\nB=true\nsops=2024-01-01T00:00:00Z\n"
    );
    for (key, value) in [
        ("K", Data::List(Vec::new())),
        ("K", Data::Map(Vec::new())),
        ("a=b", Data::Int(1)),
        ("a\nb", Data::Int(1)),
        ("#a", Data::Int(1)),
        ("sops_a", Data::Int(1)),
    ] {
        let document = Data::Map(vec![(Data::key(key), value)]);
        let error = Dotenv.render(&[document], Layout::default()).unwrap_err();
        assert!(error.to_string().starts_with(key));
    }
}

#[test]
fn t64_the_prefix_is_reserved_and_the_word_is_not() {
    assert!(Dotenv.reserves(b"sops_x") && !Dotenv.reserves(b"sops"));
}

#[test]
fn t35_only_text_can_be_extracted() {
    let shown = |value: Data| {
        Dotenv
            .render_value(&value, Layout::default())
            .map(|text| shown(&text))
    };
    assert_eq!(shown(Data::str("a\nb")).unwrap(), "a\nb");
    assert!(shown(Data::Int(1)).is_err());
}

fn set(text: &str, name: &str, value: &str) -> String {
    let path = [Step::Key(name.into())];
    let edits = Dotenv
        .set(&parse(text), &path, &Data::str(value), Layout::default())
        .unwrap();
    shown(&apply(text.as_bytes(), &edits))
}

#[test]
fn setting_and_removing_change_one_line() {
    assert_eq!(set("A=1\nB=2\n", "A", "x\ny"), "A=x\\ny\nB=2\n");
    assert_eq!(set("A=a\\nb\n", "A", "a\nb"), "A=a\\nb\n");
    assert_eq!(set("A=1", "B", "2"), "A=1\nB=2");
    assert_eq!(set("", "B", "2"), "B=2\n");
    assert_eq!(set("A=1\nsops_mac=x\n", "B", "2"), "A=1\nB=2\nsops_mac=x\n");
    assert_eq!(set("A=1\nsops_mac=x", "B", "2"), "A=1\nB=2\nsops_mac=x");
    let removed = |text: &str, node: usize| {
        let edits = Dotenv.remove(&parse(text), node).unwrap();
        shown(&apply(text.as_bytes(), &edits))
    };
    assert_eq!(removed("A=1\n\nB=2\n", 2), "A=1\n\n");
    assert_eq!(removed("A=1\nB=2", 2), "A=1");
    assert_eq!(removed("A=1\n#c\nB=2", 2), "A=1\nB=2");
    assert_eq!(removed("A=1", 1), "");
    let tree = parse("A=1\n");
    for path in [
        vec![],
        vec![Step::Index(0)],
        vec![Step::Key("A".into()), Step::Key("b".into())],
    ] {
        assert!(
            Dotenv
                .set(&tree, &path, &Data::Int(1), Layout::default())
                .is_err()
        );
    }
    assert!(
        Dotenv
            .set(
                &tree,
                &[Step::Key("A".into())],
                &Data::Null,
                Layout::default()
            )
            .is_err()
    );
}
