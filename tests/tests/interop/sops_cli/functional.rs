//! The reference's functional tests, by behaviour: F1 to F41 of its own list. What needs a cloud or a Vault is theirs to
//! show when those are there.

use serde_json::{Value, json};

use super::{Desk, Whose, run};

fn json_of(desk: &Desk, name: &str) -> Value {
    serde_json::from_str(&desk.ours(["decrypt", "--output-type", "json", name]).good()).unwrap()
}

#[test]
fn f01_f02_f08_encrypting_hides_values_from_a_file_and_from_a_pipe() {
    let desk = Desk::with_rule();
    desk.write("a.json", r#"{"foo": 2, "bar": "baz"}"#);
    let out: Value = serde_json::from_str(&desk.ours(["encrypt", "a.json"]).good()).unwrap();
    assert!(out["sops"].is_object());
    for key in ["foo", "bar"] {
        assert!(out[key].as_str().unwrap().starts_with("ENC["), "{out}");
    }
    let words = [
        "encrypt",
        "--filename-override",
        "x.yaml",
        "--output-type",
        "json",
    ];
    let ran = run(desk.command(Whose::Ours).args(words), b"foo: 2\nbar: baz\n");
    let out: Value = serde_json::from_str(&ran.good()).unwrap();
    assert!(out["sops"].is_object() && out["foo"].as_str().unwrap().starts_with("ENC["));
    desk.write("a.yaml", "foo: 2\nbar: baz\n");
    let out = desk.ours(["encrypt", "a.yaml"]).good();
    assert!(
        out.starts_with("foo: ENC[") && out.contains("\nbar: ENC[") && out.contains("\nsops:\n"),
        "{out}"
    );
}

#[test]
fn f07_values_become_texts_in_ini() {
    let desk = Desk::with_rule();
    desk.write(
        "a.yaml",
        "the_section:\n  int: 123\n  float: 1.23\n  bool: true\n  date: 2025-01-02\n  timestamp: 2025-01-02T03:04:05Z\n  utc_timestamp: 2025-01-02T03:04:05+02:00\n  string: this is a string\n",
    );
    desk.ours(["encrypt", "-i", "a.yaml"]).good();
    let theirs = desk
        .theirs(["decrypt", "--output-type", "ini", "a.yaml"])
        .good();
    assert_eq!(
        desk.ours(["decrypt", "--output-type", "ini", "a.yaml"])
            .good(),
        theirs
    );
    assert!(theirs.contains("bool          = true"), "{theirs}");
}

#[test]
fn f09_f12_f15_f16_set_replaces_and_inserts() {
    let desk = Desk::with_rule();
    for (name, text) in [
        ("a.json", "{\"a\": 2, \"b\": \"ba\"}"),
        ("a.yaml", "a: 2\nb: ba\n"),
    ] {
        desk.write(name, text);
        desk.ours(["encrypt", "-i", name]).good();
        desk.ours(["set", name, "[\"a\"]", "{\"aa\": \"aaa\"}"])
            .good();
        desk.ours(["set", name, "[\"c\"]", "{\"cc\": \"ccc\"}"])
            .good();
        let expected = json!({"a": {"aa": "aaa"}, "b": "ba", "c": {"cc": "ccc"}});
        assert_eq!(json_of(&desk, name), expected);
        let theirs = desk
            .theirs(["decrypt", "--output-type", "json", name])
            .good();
        assert_eq!(serde_json::from_str::<Value>(&theirs).unwrap(), expected);
    }
}

#[test]
fn f10_f11_an_equal_value_rewrites_the_file_only_without_idempotent() {
    let desk = Desk::with_rule();
    desk.write("a.json", "{\"a\": \"b\"}");
    desk.ours(["encrypt", "-i", "a.json"]).good();
    let before = desk.bytes("a.json");
    desk.ours(["set", "--idempotent", "a.json", "[\"a\"]", "\"b\""])
        .good();
    assert_eq!(desk.bytes("a.json"), before);
    desk.ours(["set", "--output-type", "yaml", "a.json", "[\"a\"]", "\"b\""])
        .good();
    assert!(
        desk.read("a.json").starts_with("a: ENC["),
        "{}",
        desk.read("a.json")
    );
    let words = [
        "decrypt",
        "--input-type",
        "yaml",
        "--output-type",
        "yaml",
        "a.json",
    ];
    assert_eq!(desk.ours(words).good(), "a: b\n");
}

#[test]
fn f13_f14_values_come_from_a_file_and_from_standard_input() {
    let desk = Desk::with_rule();
    desk.write("a.json", "{\"a\": 1}");
    desk.write("value", "{\"x\": [1, 2]}");
    desk.ours(["encrypt", "-i", "a.json"]).good();
    desk.ours(["set", "--value-file", "a.json", "[\"f\"]", "value"])
        .good();
    let words = ["set", "--value-stdin", "a.json", "[\"s\"]"];
    run(desk.command(Whose::Ours).args(words), b"{\"y\": \"z\"}\n").good();
    assert_eq!(
        json_of(&desk, "a.json"),
        json!({"a": 1, "f": {"x": [1, 2]}, "s": {"y": "z"}})
    );
}

#[test]
fn f17_f18_the_old_flags_do_what_the_commands_do() {
    let desk = Desk::with_rule();
    desk.write("a.yaml", "a: 1\n");
    desk.ours(["encrypt", "-i", "a.yaml"]).good();
    desk.ours(["set", "a.yaml", "[\"a\"]", "\"aaa\""]).good();
    desk.ours(["decrypt", "-i", "a.yaml"]).good();
    assert_eq!(desk.read("a.yaml"), "a: aaa\n");
    desk.ours(["-e", "-i", "a.yaml"]).good();
    desk.ours(["--set", "[\"a\"] \"bbb\"", "-i", "a.yaml"])
        .good();
    desk.ours(["-d", "-i", "a.yaml"]).good();
    assert_eq!(desk.read("a.yaml"), "a: bbb\n");
}

#[test]
fn f19_dates_come_back() {
    let desk = Desk::with_rule();
    let text =
        "date: 2025-01-02\ntimestamp: 2025-01-02T03:04:05Z\noffset: 2025-01-02T03:04:05+02:00\n";
    desk.write("a.yaml", text);
    desk.ours(["encrypt", "-i", "a.yaml"]).good();
    // The real program spells a date with a time; here the text comes back as it was (Q1).
    let theirs = desk.theirs(["decrypt", "a.yaml"]).good();
    assert_eq!(
        theirs,
        text.replace("2025-01-02\n", "2025-01-02T00:00:00Z\n")
    );
    assert_eq!(desk.ours(["decrypt", "a.yaml"]).good(), text);
    desk.write("b.yaml", text);
    desk.theirs(["encrypt", "-i", "b.yaml"]).good();
    assert_eq!(desk.ours(["decrypt", "b.yaml"]).good(), theirs);
}

#[test]
fn f20_f21_unset_removes_and_repeats_quietly() {
    let desk = Desk::with_rule();
    for (name, text) in [
        ("a.json", "{\"a\": 1, \"key\": \"v\", \"list\": [1, 2]}"),
        ("a.yaml", "{a: 1, key: v, list: [1, 2]}\n"),
    ] {
        desk.write(name, text);
        desk.ours(["encrypt", "-i", name]).good();
        desk.ours(["unset", name, "[\"key\"]"]).good();
        desk.ours(["unset", name, "[\"list\"][1]"]).good();
        let before = desk.bytes(name);
        for path in ["[\"key\"]", "[\"list\"][1]"] {
            desk.ours(["unset", "--idempotent", name, path]).good();
            desk.ours(["unset", name, path]).fails(1);
        }
        assert_eq!(desk.bytes(name), before);
        assert_eq!(json_of(&desk, name), json!({"a": 1, "list": [1]}));
        desk.theirs(["decrypt", name]).good();
    }
}

#[test]
fn f22_a_file_without_a_mac_needs_to_be_asked_for() {
    let desk = Desk::with_rule();
    desk.theirs_encrypts("a.yaml", "a: 1\n", &[]);
    let text: String = desk
        .read("a.yaml")
        .lines()
        .filter(|line| !line.contains("mac:"))
        .map(|line| format!("{line}\n"))
        .collect();
    desk.write("a.yaml", text);
    let (theirs, ours) = (
        desk.theirs(["decrypt", "a.yaml"]),
        desk.ours(["decrypt", "a.yaml"]),
    );
    assert_eq!(theirs.code, ours.code);
    assert_ne!(ours.code, 0);
    assert_eq!(
        desk.ours(["decrypt", "--ignore-mac", "a.yaml"]).good(),
        "a: 1\n"
    );
}

#[test]
fn f23_decrypting_a_pipe() {
    let desk = Desk::with_rule();
    desk.theirs_encrypts("a.yaml", "a: 1\n", &[]);
    let words = ["decrypt", "--input-type", "yaml", "--output-type", "yaml"];
    assert_eq!(
        run(desk.command(Whose::Ours).args(words), &desk.bytes("a.yaml")).good(),
        "a: 1\n"
    );
    // Without types it is binary, which this is not (S2).
    let ran = run(
        desk.command(Whose::Ours).arg("decrypt"),
        &desk.bytes("a.yaml"),
    );
    assert_eq!(
        ran.code,
        run(
            desk.command(Whose::Theirs).arg("decrypt"),
            &desk.bytes("a.yaml")
        )
        .code
    );
}

#[test]
fn f24_to_f27_comments_are_hidden_and_come_back() {
    let desk = Desk::with_rule();
    let text = "# first comment\na: 1\nlist:\n    # in a list\n    - x\n";
    desk.write("a.yaml", text);
    let encrypted = desk.ours(["encrypt", "a.yaml"]).good();
    assert!(
        !encrypted.contains("first") && !encrypted.contains("in a list"),
        "{encrypted}"
    );
    desk.write("enc.yaml", &encrypted);
    assert_eq!(desk.ours(["decrypt", "enc.yaml"]).good(), text);
    let theirs = desk.theirs(["decrypt", "enc.yaml"]).good();
    assert!(
        theirs.contains("# first comment") && theirs.contains("# in a list"),
        "{theirs}"
    );
    // A comment that somebody wrote into the encrypted file stays, with a warning.
    desk.write("enc.yaml", format!("# plain\n{encrypted}"));
    let ran = desk.ours(["decrypt", "enc.yaml"]);
    assert!(ran.text().contains("# plain"), "{}", ran.err);
}

#[test]
fn f28_f29_f30_groups_and_several_keys() {
    let desk = Desk::new();
    let two = |other: usize, threshold: u32| {
        format!(
            "creation_rules:\n  - shamir_threshold: {threshold}\n    key_groups:\n      - age: [{}]\n      - age: [{}]\n",
            desk.recipients[0], desk.recipients[other]
        )
    };
    desk.write("a.yaml", "a: 1\n");
    for (other, threshold, code) in [(1, 2, 0), (2, 2, 128)] {
        desk.write(".sops.yaml", two(other, threshold));
        let encrypted = desk.ours(["encrypt", "a.yaml"]).good();
        desk.write("enc.yaml", encrypted);
        assert_eq!(desk.ours(["decrypt", "enc.yaml"]).code, code);
        assert_eq!(desk.theirs(["decrypt", "enc.yaml"]).code, code);
    }
    desk.theirs_encrypts(
        "b.yaml",
        "b: 1\n",
        &[
            "--age",
            &format!("{},{}", desk.recipients[2], desk.recipients[1]),
        ],
    );
    assert_eq!(desk.ours(["decrypt", "b.yaml"]).good(), "b: 1\n");
}

#[test]
fn f31_f32_f33_a_rule_without_keys_says_so_in_the_same_words() {
    let desk = Desk::new();
    desk.write("a.yaml", "a: 1\n");
    for rule in ["path_regex: a", "key_groups: []", "key_groups: [{}]"] {
        desk.write(".sops.yaml", format!("creation_rules:\n  - {rule}\n"));
        let err = desk.ours(["encrypt", "a.yaml"]).fails(1);
        assert_eq!(
            err, "Could not generate data key: [empty key group provided]\n",
            "{rule}"
        );
        assert_eq!(desk.theirs(["encrypt", "a.yaml"]).err, err);
        // What only this program warns of is not for scripts, which compare standard error.
        let odd = "destination_rules:\n  - s3_bucket: b\n    vault_kv_mount: x\n    unknown: 1\n";
        desk.write(
            ".sops.yaml",
            format!("creation_rules:\n  - {rule}\n    typo: 1\n{odd}"),
        );
        assert_eq!(desk.ours(["encrypt", "a.yaml"]).fails(1), err, "{rule}");
        assert_eq!(desk.theirs(["encrypt", "a.yaml"]).err, err);
    }
}

/// One configuration for all three, with rules before and behind them that these files do not match, and a destination with
/// a field that upstream spells in two ways.
#[test]
fn f31_f32_f33_test_no_keygroups_zero_keygroups_and_empty_keygroup_byte_for_byte() {
    let desk = Desk::new();
    let [first, second] = [&desk.recipients[0], &desk.recipients[1]];
    desk.write(
        ".sops.yaml",
        format!(
            "creation_rules:
    - path_regex: test_roundtrip_keygroups.yaml
      key_groups:
      - age:
        - {first}
      - age:
        - {second}
    - path_regex: test_no_keygroups.yaml
    - path_regex: test_zero_keygroups.yaml
      key_groups: []
    - path_regex: test_empty_keygroup.yaml
      key_groups:
        - {{}}
    - age: {first}
destination_rules:
    - s3_bucket: \"a-bucket\"
      s3_prefix: \"a-prefix/\"
      path_regex: test_encrypt_publish_s3.json
      reencryption_rule:
        age: {second}
    - vault_path: \"a-path/\"
      vault_kv_mount_name: \"secret/\"
      vault_kv_version: 2
      path_regex: test_encrypt_publish_vault.json
"
        ),
    );
    for name in [
        "test_no_keygroups.yaml",
        "test_zero_keygroups.yaml",
        "test_empty_keygroup.yaml",
    ] {
        for words in [
            vec!["encrypt", "-i", name],
            vec!["encrypt", name],
            vec!["-e", "-i", name],
        ] {
            desk.write(name, "a: secret");
            let theirs = desk.theirs(&words);
            let ours = desk.ours(&words);
            let expected = "Could not generate data key: [empty key group provided]\n";
            assert_eq!(
                (theirs.code, theirs.err.as_str()),
                (1, expected),
                "{words:?}"
            );
            assert_eq!((ours.code, ours.err.as_str()), (1, expected), "{words:?}");
            assert_eq!(ours.out, theirs.out);
            assert_eq!(desk.read(name), "a: secret");
        }
    }
    desk.write("test_roundtrip_keygroups.yaml", "a: secret");
    desk.ours(["encrypt", "-i", "test_roundtrip_keygroups.yaml"])
        .good();
    let read = ["decrypt", "test_roundtrip_keygroups.yaml"];
    assert_eq!(desk.theirs(read).good(), "a: secret\n");
}

#[test]
fn s159_unknown_fields_are_told_by_the_own_front_end_only() {
    let desk = Desk::with_rule();
    desk.rule("    typo_of_mine: 1\n");
    desk.write("a.yaml", "a: 1\n");
    assert_eq!(desk.ours(["encrypt", "a.yaml"]).err, "");
    let own = desk.sealwright(["encrypt", "a.yaml"]).err;
    assert!(own.contains("typo_of_mine"), "{own}");
}

#[test]
fn d13_of_several_documents_the_first_is_decrypted_to_a_format_of_one() {
    let desk = Desk::with_rule();
    desk.write("a.yaml", "s:\n  a: x\n---\nt:\n  b: y\n");
    desk.ours(["encrypt", "-i", "a.yaml"]).good();
    for format in ["json", "ini"] {
        let words = ["decrypt", "--output-type", format, "a.yaml"];
        let theirs = desk.theirs(words).good();
        let ours = desk.ours(words);
        assert_eq!((ours.err.as_str(), ours.text()), ("", &*theirs), "{format}");
    }
    let refused = desk.sealwright(["decrypt", "--output-type", "json", "a.yaml"]);
    assert!(refused.err.contains("document"), "{}", refused.err);
}

#[test]
fn f34_an_extracted_block_is_exact() {
    let desk = Desk::with_rule();
    desk.write(
        "a.yaml",
        "multiline: |\n    multi\n    line\nkept: |-\n    no end\n",
    );
    desk.ours(["encrypt", "-i", "a.yaml"]).good();
    for (key, text) in [("multiline", "multi\nline\n"), ("kept", "no end")] {
        let words = ["decrypt", "--extract", &format!("[\"{key}\"]"), "a.yaml"];
        assert_eq!(desk.ours(words).good(), text);
        assert_eq!(desk.theirs(words).good(), text);
    }
}

#[test]
fn f35_l10_binary_bytes_come_back_exactly() {
    let desk = Desk::with_rule();
    let bytes: Vec<u8> = (0..=255).cycle().take(3000).collect();
    desk.write("a.bin", &bytes);
    desk.ours(["encrypt", "-i", "a.bin"]).good();
    assert_eq!(desk.ours(["decrypt", "a.bin"]).out, bytes);
    assert_eq!(desk.theirs(["decrypt", "a.bin"]).out, bytes);
}

#[test]
fn f37_output_goes_to_a_file_and_nowhere_else() {
    let desk = Desk::with_rule();
    desk.write("a.yaml", "a: 1\n");
    assert_eq!(
        desk.ours(["encrypt", "--output", "out.yaml", "a.yaml"])
            .good(),
        ""
    );
    assert_eq!(
        desk.ours(["decrypt", "--output", "plain.yaml", "out.yaml"])
            .good(),
        ""
    );
    assert_eq!(desk.read("plain.yaml"), "a: 1\n");
}

#[test]
fn f38_f39_f40_commands_get_values_and_files() {
    let desk = Desk::with_rule();
    desk.write("a.env", "foo=bar\nmulti=one\\ntwo\n");
    desk.ours(["encrypt", "-i", "a.env"]).good();
    let out = desk
        .ours(["exec-env", "a.env", "printf '%s|%s' \"$foo\" \"$multi\""])
        .good();
    assert_eq!(out, "bar|one\ntwo");
    desk.write("a.json", "{\"foo\": \"bar\"}");
    desk.ours(["encrypt", "-i", "a.json"]).good();
    let words = ["exec-file", "--output-type", "json", "a.json", "cat {}"];
    assert_eq!(desk.ours(words).good(), "{\"foo\": \"bar\"}");
    let shown = desk
        .ours([
            "exec-file",
            "--no-fifo",
            "--filename",
            "foobar",
            "a.json",
            "echo {}",
        ])
        .good();
    assert!(shown.trim().ends_with("/foobar"), "{shown}");
    assert!(
        !std::path::Path::new(shown.trim()).exists(),
        "the file is gone afterwards"
    );
}

#[test]
fn f41_files_of_all_formats_of_the_real_program_decrypt_to_the_same_text() {
    let desk = Desk::with_rule();
    for (name, text) in [
        ("a.yaml", "foo: bar\nlist:\n    - 1\n"),
        ("a.json", "{\n\t\"foo\": \"bar\"\n}\n"),
        ("a.env", "foo = bar\n"),
        ("a.ini", "[s]\nfoo = bar\n"),
    ] {
        desk.theirs_encrypts(name, text, &[]);
        assert_eq!(
            desk.ours(["decrypt", name]).good(),
            desk.theirs(["decrypt", name]).good(),
            "{name}"
        );
    }
}

#[test]
fn a_document_that_is_no_binary_file_is_json_where_the_type_is_binary() {
    let desk = Desk::with_rule();
    desk.rule("stores:\n  json:\n    indent: 2\n  json_binary:\n    indent: 5\n");
    let fields = |bytes: &[u8]| {
        let value: Value = serde_json::from_slice(bytes).unwrap();
        let map = value.as_object().unwrap();
        let kind = |value: &Value| {
            let text = value.as_str().unwrap_or_default();
            text.rsplit("type:").next().unwrap_or_default().to_owned()
        };
        let fields = map.iter().map(|(key, value)| (key.clone(), kind(value)));
        fields.collect::<Vec<_>>()
    };
    for (name, text) in [
        ("a.yaml", "a: 1\nb: text\n"),
        ("data.yaml", "data: text\nx: 1\n"),
        ("a.json", "{\"a\": 1}"),
        ("a.env", "A=1\n"),
    ] {
        for words in [&["encrypt"][..], &["rotate"], &["set"], &["unset"]] {
            let [theirs, ours] = [Whose::Theirs, Whose::Ours].map(|whose| {
                desk.write(name, text);
                if words != ["encrypt"] {
                    desk.theirs(["encrypt", "-i", name]).good();
                }
                let mut all = words.to_vec();
                all.extend(["--output-type", "binary"]);
                match words {
                    ["set"] => all.extend([name, "[\"new\"]", "\"x\""]),
                    ["unset"] => all.extend(["--idempotent=false", name, "[\"a\"]"]),
                    _ => all.extend(["-i", name]),
                }
                let ran = desk.run(whose, all);
                (ran.code, desk.bytes(name))
            });
            assert_eq!(ours.0, theirs.0, "{name} {words:?}");
            if theirs.0 == 0 {
                assert_eq!(fields(&ours.1), fields(&theirs.1), "{name} {words:?}");
                // What is JSON already keeps its own layout here.
                let indent = |bytes: &[u8]| {
                    let text = String::from_utf8_lossy(bytes).into_owned();
                    let line = text.lines().nth(1).unwrap_or_default().to_owned();
                    line.len() - line.trim_start().len()
                };
                if name != "a.json" {
                    assert_eq!(indent(&ours.1), indent(&theirs.1), "{name} {words:?}");
                }
            }
        }
    }
}
