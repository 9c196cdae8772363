use super::*;
use crate::format::properties::{blocks, hold};
use crate::splice::apply;

fn parse(text: &[u8]) -> Tree {
    Binary.parse(SecretBytes::copy_of(text)).unwrap()
}

fn encrypted(value: &str) -> String {
    format!("{{\n\t\"data\": \"{value}\",\n\t\"sops\": {{\n\t\t\"mac\": \"\"\n\t}}\n}}\n")
}

#[test]
fn every_sample_comes_back() {
    let every_byte: Vec<u8> = (0..=255).collect();
    let encrypted = encrypted("ENC[x]");
    let samples: [&[u8]; 7] = [
        b"",
        b"x",
        b"{\"data\": \"x\"}",
        b"{\"sops\": {\"version\": 1}}\n",
        b"{ \"sops\" \"mac\" ",
        &every_byte,
        encrypted.as_bytes(),
    ];
    for sample in samples {
        let is_read = hold(&Binary, sample);
        assert_eq!(is_read, !sample.starts_with(b"{ "), "{sample:?}");
    }
}

#[test]
fn the_encrypted_form_is_that_of_the_reference() {
    let with = |text: &[u8], indent| {
        let edits = Binary
            .write_block(&parse(text), &blocks()[0], Layout { indent })
            .unwrap();
        String::from_utf8(apply(text, &edits).expose().to_vec()).unwrap()
    };
    let mac = "ENC[AES256_GCM,data:YQ==,iv:YQ==,tag:YQ==,type:str]";
    let expected = format!(
        "{{\n\t\"data\": \"\",\n\t\"sops\": {{\n\t\t\"lastmodified\": \"2020-01-01T00:00:00Z\",\n\t\t\"mac\": \"{mac}\",\n\t\t\"version\": \"3.13.3\"\n\t}}\n}}\n"
    );
    assert_eq!(with(b"", None), expected);
    assert_eq!(with(b"", Some(2)), expected.replace('\t', "  "));
    assert_eq!(with(b"\"ENC\"", None), expected.replace("\"\"", "\"ENC\""));
}

#[test]
fn the_value_is_found_wherever_it_stands() {
    for text in [
        encrypted("ENC[x]"),
        "{\"data\":\"ENC[x]\",\"sops\":{\"mac\":\"\"}}".into(),
        "{\"sops\":{\"mac\":\"\"},\"data\":\"ENC[x]\"}\n".into(),
    ] {
        let tree = parse(text.as_bytes());
        assert!(tree.key(1) == Some(DATA) && tree.scalar(1) == Some(Scalar::Str(b"ENC[x]")));
        let mut out = SecretWriter::default();
        Binary
            .spell(&tree, 1, Scalar::Str(b"\xff\"\n"), &mut out)
            .unwrap();
        let edit = |span, text| Edit { span, text };
        let edits = [
            edit(tree.blocks[0].cut, SecretBytes::default()),
            edit(tree.nodes[1].site, out.finish()),
            edit(tree.blocks[1].cut, SecretBytes::default()),
        ];
        assert_eq!(apply(text.as_bytes(), &edits).expose(), b"\xff\"\n");
    }
    let tree = parse(encrypted("").as_bytes());
    assert!(tree.nodes[1].site.is_empty() && tree.scalar(1) == Some(Scalar::Str(b"")));
    assert_eq!(tree.blocks[0].cut.end, tree.blocks[1].cut.start);
}

#[test]
fn a_document_of_another_kind_is_read_and_not_written_as_bytes() {
    let tree = parse(b"{\"a\": \"ENC[x]\", \"b\": [1], \"sops\": {\"mac\": \"\"}}");
    assert_eq!(tree.nodes.len(), 4);
    let format = Binary.of_encrypted(&tree);
    assert_eq!(format.map(|format| format.name()), Some("json"));
    let own = parse(encrypted("ENC[x]").as_bytes());
    assert!(Binary.of_encrypted(&own).is_none());
    let mut out = SecretWriter::default();
    let error = Binary
        .spell(&tree, 1, Scalar::Str(b"x"), &mut out)
        .unwrap_err();
    assert!(error.to_string().contains("json"));
    assert!(
        Binary
            .render(&[Data::of(&tree, 0)], Layout::default())
            .is_err()
    );
    assert!(
        Binary
            .parse(SecretBytes::copy_of(b"{\"sops\": {\"mac\": \"\"}"))
            .is_err()
    );
}

#[test]
fn changing_a_block_keeps_the_rest() {
    let text = encrypted("ENC[x]");
    let edits = Binary
        .write_block(&parse(text.as_bytes()), &blocks()[0], Layout::default())
        .unwrap();
    let changed = apply(text.as_bytes(), &edits);
    let tree = parse(changed.expose());
    assert!(tree.blocks[0].data == blocks()[0] && tree.scalar(1) == Some(Scalar::Str(b"ENC[x]")));
}

#[test]
fn only_the_value_can_be_set() {
    let key = |name: &str| Step::Key(name.into());
    let set =
        |path: &[Step], value: Data| Binary.set(&parse(b"abc"), path, &value, Layout::default());
    assert_eq!(
        apply(b"abc", &set(&[key("data")], Data::str("x")).unwrap()).expose(),
        b"x"
    );
    assert!(set(&[key("data")], Data::str("abc")).unwrap().is_empty());
    assert!(set(&[key("other")], Data::str("x")).is_err());
    assert!(set(&[key("data")], Data::Int(1)).is_err());
    assert!(Binary.remove(&parse(b"abc"), 1).is_err());
    assert!(Binary.reserves(b"sops") && !Binary.reserves(b"sops_x"));
}
