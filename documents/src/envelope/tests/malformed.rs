//! Malformed files: each is refused with its line, its column and the reason, and never with its content.

use super::*;
use crate::format::binary::Binary;
use crate::format::dotenv::Dotenv;
use crate::format::ini::Ini;
use crate::format::yaml::Yaml;

fn read_error(format: &'static dyn Format, text: &[u8]) -> String {
    match Encrypted::parse(format, SecretBytes::copy_of(text)) {
        Ok(_) => panic!("read: {}", String::from_utf8_lossy(text)),
        Err(error) => error.to_string(),
    }
}

#[test]
fn plain_files_that_are_malformed_say_where() {
    let deep_yaml = format!("a: {}", "[".repeat(20_000));
    let bomb = {
        let mut text = String::from("a: &a [x, x, x, x, x, x, x, x, x]\n");
        for (name, of) in "bcdefghijkl".chars().zip("abcdefghijk".chars()) {
            let many = vec![format!("*{of}"); 9].join(", ");
            text.push_str(&format!("{name}: &{name} [{many}]\n"));
        }
        text
    };
    let cases: Vec<(&'static dyn Format, &[u8], &str)> = vec![
        (&Json, b"{\"a\": 1,\n \"b\": tru}", "line 2, column 7"),
        (&Json, b"{\"a\": \"x", "line 1, column "),
        (&Json, b"[1]", "line 1, column 1"),
        (&Json, b"{\"a\": 1e400}", "line 1, column 7"),
        (&Json, b"", "line 1, column 1"),
        (&Yaml, b"a: 1\n\tb: 2\n", "line 2, column "),
        (&Yaml, b"a: *x\n", "line 1, column 4"),
        (&Yaml, b"a: 1\na: 2\n", "line 2, column 1"),
        (&Yaml, b"a: \"\\q\"\n", "line 1, column "),
        (&Yaml, b"a: &x [*x]\n", "line 1, column "),
        (&Yaml, b"a: !!int abc\n", "line 1, column "),
        (&Yaml, b"a: \xff\n", "line 1, column 4"),
        (&Yaml, deep_yaml.as_bytes(), "line 1, column "),
        (&Yaml, bomb.as_bytes(), "line "),
        (&Yaml, b"- a\n", "line 1, column 1"),
        (&Dotenv, b"A=1\nno assignment\n", "line 2, column 1"),
        (&Ini, b"[s]\nno assignment\n", "line 2, column 1"),
        (&Ini, b"a = 1\n[s\n", "line 2, column "),
        (&Ini, b"= 1\n", "line 1, column 1"),
    ];
    for (format, text, at) in cases {
        let shown: String = String::from_utf8_lossy(text).chars().take(60).collect();
        let error = match Document::parse(format, SecretBytes::copy_of(text)) {
            Ok(_) => panic!("{}: read: {shown}", format.name()),
            Err(error) => error.to_string(),
        };
        assert!(error.starts_with(at), "{}: {shown}: {error}", format.name());
        assert!(!error.contains("assignment"), "{error}");
    }
}

#[test]
fn blocks_that_are_malformed_say_where() {
    let file = encrypted(&Yaml, "a: x\n", metadata(None));
    let with = |from: &str, to: &str| {
        assert!(file.contains(from), "{from}: {file}");
        file.replacen(from, to, 1)
    };
    let time = "    lastmodified: \"2024-05-06T07:08:09Z\"\n";
    for (text, expected) in [
        (
            with(time, ""),
            "line 2, column 1: the sops block has no lastmodified",
        ),
        (
            with("2024-05-06T07:08:09Z", "yesterday"),
            "line 9, column 5: sops.lastmodified: not an RFC 3339 time",
        ),
        (
            with("recipient: age1a", "recipient: [age1a]"),
            "line 3, column 5: sops.age[0].recipient: text expected, a list found",
        ),
        (
            with(
                time,
                &format!("{time}    encrypted_regex: a\n    unencrypted_suffix: b\n"),
            ),
            "line 2, column 1: the sops block has both unencrypted_suffix and encrypted_regex",
        ),
        (
            file.replace("age:", "none:"),
            "line 2, column 1: no keys found in the sops block",
        ),
    ] {
        let error = read_error(&Yaml, text.as_bytes());
        assert!(error.starts_with(expected), "{error}\n{text}");
    }
    let scalar = read_error(&Yaml, b"a: x\nsops: y\n");
    assert!(scalar.starts_with("line 2, column "), "{scalar}");
    assert_eq!(read_error(&Yaml, b"a: x\n"), "sops metadata not found");
    let twice = format!("{file}sops: {{}}\n");
    assert!(read_error(&Yaml, twice.as_bytes()).starts_with("line "));
    let dotenv = encrypted(&Dotenv, "A=x\n", metadata(None));
    let broken = dotenv.replace("sops_age__list_0__", "sops_age__list_1__");
    assert!(
        read_error(&Dotenv, broken.as_bytes()).starts_with("line "),
        "{broken}"
    );
}

#[test]
fn ciphertexts_that_are_malformed_say_where() {
    for format in [&Yaml as &'static dyn Format, &Json, &Dotenv, &Ini] {
        let plain = match format.name() {
            "yaml" => "first: x\nsecond: hidden\n",
            "json" => "{\"first\": \"x\",\n \"second\": \"hidden\"}\n",
            _ => "first=x\nsecond=hidden\n",
        };
        let file = encrypted(format, plain, metadata(None));
        let line = file.lines().find(|line| line.contains("second")).unwrap();
        let number = file.lines().position(|other| other == line).unwrap() + 1;
        let cut = |mark: &str, by: &str| file.replacen(line, &line.replacen(mark, by, 1), 1);
        let long = line.find(",iv:").unwrap();
        for (broken, reason) in [
            (cut("ENC[AES256_GCM", "ENC[AES256_CBC"), "not of the form"),
            (cut(",tag:", ",tga:"), "not of the form"),
            (cut(",iv:", ",iv:!"), "the iv field is not valid base64"),
            (cut("type:str", "type:text"), "unknown value type"),
            (
                file.replacen(&line[long..long + 8], ",iv:AAAA", 1),
                "does not open",
            ),
            (
                cut(",tag:", ",tag:AAAA"),
                "the tag field has 19 bytes, not 16",
            ),
        ] {
            let error = decrypt(&parsed(format, &broken), &key()).err();
            let error = error
                .unwrap_or_else(|| panic!("opens: {broken}"))
                .to_string();
            assert!(
                error.starts_with(&format!("line {number}, column ")) && error.contains(reason)
                    || reason == "does not open" && error.contains(reason),
                "{}: {error}, {reason} expected\n{broken}",
                format.name()
            );
        }
    }
}

#[test]
fn reserved_keys_say_where() {
    let refused = |format, text| refusal(format, text).to_string();
    let error = refused(&Dotenv, "A=1\nsops_x=1\n");
    assert!(error.starts_with("line 2, column 1: "), "{error}");
    assert!(refused(&Yaml, "a: 1\n---\nsops: x\n").starts_with("line 3, column "));
}

#[test]
fn cut_files_are_errors_and_never_panics() {
    for (format, plain) in [
        (
            &Yaml as &'static dyn Format,
            "# c\na: x\nl:\n  - y\n  - {k: 1}\n---\nb: |\n  text\nc: z\n",
        ),
        (&Json, "{\"a\": \"x\", \"l\": [1, {\"k\": null}]}\n"),
        (&Dotenv, "# c\nA=x\nB=y\\nz\n"),
        (&Ini, "; c\na = x\n[s]\nb = `y\n z`\n"),
        (&Binary, "some bytes"),
    ] {
        let file = encrypted(format, plain, metadata(None));
        for end in 0..file.len() {
            let Ok(file) = Encrypted::parse(format, SecretBytes::copy_of(&file.as_bytes()[..end]))
            else {
                continue;
            };
            if let Ok(out) = decrypt(&file, &key()) {
                // What was cut off said how values were quoted, or was the last line break.
                let data = |tree: &Tree| -> Vec<crate::data::Data> {
                    let roots = tree.documents.iter();
                    roots
                        .map(|root| crate::data::Data::of(tree, *root as usize))
                        .collect()
                };
                let expected = format
                    .parse(SecretBytes::copy_of(plain.as_bytes()))
                    .unwrap();
                assert!(
                    data(out.document.tree()) == data(&expected),
                    "{} cut at {end} opens to something else",
                    format.name()
                );
            }
        }
    }
}
