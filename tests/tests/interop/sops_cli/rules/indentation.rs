//! The indentation of what is written.

use super::super::{Desk, Whose};
use super::TEXT;

#[test]
fn s71_an_indentation_that_is_asked_for_lays_a_document_out() {
    let desk = Desk::with_rule();
    for (name, text) in [
        (
            "a.yaml",
            "# top\na:\n  b: 1\n  c:\n  - x\n  -   y: [1, 2]\n---\nd: {e: 'f'}\n",
        ),
        ("a.json", "{\"a\": {\"b\": [1, 2.50]}, \"c\": {}}"),
        ("a.env", "A=1\n# c\nB=2\n"),
    ] {
        desk.theirs_encrypts(name, text, &[]);
        for indent in ["2", "3", "0", "7"] {
            let [theirs, ours] = [Whose::Theirs, Whose::Ours].map(|whose| {
                let decrypted = desk.run(whose, ["--indent", indent, "decrypt", name]);
                let words = ["--indent", indent, "exec-file", name, "cat {}"];
                assert_eq!(desk.run(whose, words).good(), decrypted.text());
                decrypted.good()
            });
            assert_eq!(ours, theirs, "{name} with {indent}");
        }
    }
    desk.write("b.yaml", "a:\n  b: 1\n\n  c: 2\n");
    desk.ours(["encrypt", "-i", "b.yaml"]).good();
    assert_eq!(
        desk.ours(["decrypt", "b.yaml"]).good(),
        "a:\n  b: 1\n\n  c: 2\n"
    );
    desk.ours(["--indent", "-1", "decrypt", "b.yaml"]).fails(4);
    desk.theirs(["--indent", "-1", "decrypt", "b.yaml"])
        .fails(4);
}

#[test]
fn s172_s173_s71_indentation_of_what_is_written() {
    let desk = Desk::new();
    desk.write("a.json", "{\"a\": {\"b\": 1}}");
    desk.write("a.yaml", "a:\n  b: 1\n");
    for (config, words) in [
        (
            "stores:\n  json:\n    indent: 2\n",
            vec!["encrypt", "a.yaml", "--output-type", "json"],
        ),
        (
            "stores:\n  json:\n    indent: -1\n",
            vec!["encrypt", "a.yaml", "--output-type", "json"],
        ),
        (
            "stores:\n  yaml:\n    indent: 2\n",
            vec!["encrypt", "a.json", "--output-type", "yaml"],
        ),
        ("{}\n", vec!["encrypt", "a.json", "--output-type", "yaml"]),
    ] {
        desk.write(".sops.yaml", config);
        let [theirs, ours] = [Whose::Theirs, Whose::Ours].map(|whose| {
            let mut words = words.clone();
            words.extend(["--age", &desk.recipients[0]]);
            let out = desk.run(whose, words).good();
            let value = out
                .lines()
                .find(|line| line.contains("b\": ") || line.trim_start().starts_with("b: "))
                .unwrap()
                .to_owned();
            value
                .chars()
                .take_while(|char| char.is_whitespace())
                .collect::<String>()
        });
        assert_eq!(theirs, ours, "{config} {words:?}");
    }
    let [theirs, ours] = [Whose::Theirs, Whose::Ours].map(|whose| {
        let words = [
            "--indent",
            "3",
            "encrypt",
            "--age",
            &desk.recipients[0],
            "a.yaml",
            "--output-type",
            "json",
        ];
        desk.run(whose, words)
            .good()
            .lines()
            .nth(2)
            .unwrap()
            .find('"')
    });
    assert_eq!(theirs, ours);
    // A malformed part fails even a decryption (S78).
    desk.theirs_encrypts("enc.yaml", TEXT, &[]);
    desk.write(".sops.yaml", "stores: 5\n");
    for whose in [Whose::Theirs, Whose::Ours] {
        desk.run(whose, ["decrypt", "enc.yaml"]).fails(1);
    }
}
