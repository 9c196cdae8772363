//! Traps of the format, each under its number in the contract.

use sealwright_crypto::cipher::{Kind, ValueCipher};
use sealwright_crypto::key_kind::{AZURE_KEY_VAULT, PGP};
use sealwright_crypto::secret::SecretWriter;

use super::*;
use crate::data::Data;
use crate::format::binary::Binary;
use crate::format::dotenv::Dotenv;
use crate::format::ini::Ini;
use crate::format::yaml::Yaml;

/// Opens one `ENC[…]` text with the associated data that it should have.
fn opened(text: &str, aad: &str) -> Option<(Kind, String)> {
    let mut out = SecretWriter::default();
    let kind = ValueCipher::new(&key()).decrypt(text.as_bytes(), aad.as_bytes(), &mut out);
    Some((
        kind.ok()?,
        String::from_utf8(out.expose().to_vec()).unwrap(),
    ))
}

/// What stands in an encrypted file at a path.
fn stored(format: &'static dyn Format, file: &str, path: &str) -> String {
    let file = parsed(format, file);
    let tree = file.tree();
    let node = (0..tree.nodes.len()).find(|node| tree.path(*node) == path);
    let text = match tree.scalar(node.unwrap_or_else(|| panic!("nothing at {path}"))) {
        Some(crate::scalar::Scalar::Str(text) | crate::scalar::Scalar::Comment(text)) => text,
        _ => panic!("neither text nor a comment at {path}"),
    };
    String::from_utf8(text.to_vec()).unwrap()
}

/// The hash that a file's MAC holds.
fn mac_of(format: &'static dyn Format, plain: &str) -> String {
    let file = encrypted(format, plain, metadata(None));
    let metadata = parsed(format, &file).metadata().clone();
    opened(&metadata.mac, metadata.last_modified.as_str())
        .unwrap()
        .1
}

/// The file without its presentation hints.
fn without_hints(format: &'static dyn Format, file: &str) -> String {
    let file = parsed(format, file);
    let mut metadata = file.metadata().clone();
    metadata.hints = None;
    let out = write_metadata(&file, &metadata, Layout::default()).unwrap();
    String::from_utf8(out.text.expose().to_vec()).unwrap()
}

#[test]
fn t1_booleans_are_true_and_false_in_title_case_on_the_wire_only() {
    let file = encrypted(&Yaml, "a: true\nb: False\n", metadata(None));
    assert_eq!(
        opened(&stored(&Yaml, &file, "a"), "a:"),
        Some((Kind::Bool, "True".into()))
    );
    assert_eq!(
        decrypted(&Yaml, &without_hints(&Yaml, &file)),
        "a: true\nb: false\n"
    );
    assert_eq!(
        mac_of(&Yaml, "a: true\nb: false\n"),
        mac_of(&Yaml, "a: \"TrueFalse\"\n")
    );
}

#[test]
fn t3_a_whole_float_prints_as_an_integer_and_has_its_mac() {
    let file = encrypted(&Yaml, "a: 1.0\n", metadata(None));
    assert_eq!(
        opened(&stored(&Yaml, &file, "a"), "a:"),
        Some((Kind::Float, "1".into()))
    );
    assert_eq!(decrypted(&Yaml, &without_hints(&Yaml, &file)), "a: 1\n");
    assert_eq!(
        decrypted(&Yaml, &file),
        "a: 1.0\n",
        "the hints keep the spelling"
    );
    assert_eq!(mac_of(&Yaml, "a: 1.0\n"), mac_of(&Yaml, "a: 1\n"));
}

#[test]
fn t5_t6_t7_associated_data() {
    let plain = "# c\na: x\nl:\n  - y\n  - - z\n  - k: w\n\"x:y\": v\nm:\n  # d\n  n: u\n";
    let file = encrypted(&Yaml, plain, metadata(None));
    for (path, aad, value) in [
        ("a", "a:", "x"),
        ("l[0]", "l:", "y"),
        ("l[1][0]", "l:", "z"),
        ("l[2].k", "l:k:", "w"),
        ("x:y", "x:y:", "v"),
        ("m.n", "m:n:", "u"),
    ] {
        let text = stored(&Yaml, &file, path);
        assert_eq!(
            opened(&text, aad),
            Some((Kind::Str, value.into())),
            "{path}"
        );
    }
    let comments: Vec<&str> = file
        .lines()
        .filter_map(|line| line.trim().strip_prefix('#'))
        .collect();
    assert_eq!(opened(comments[0], ":"), Some((Kind::Comment, " c".into())));
    assert_eq!(
        opened(comments[1], "m:"),
        Some((Kind::Comment, " d".into()))
    );
    let ini = encrypted(&Ini, "k = v\n[s]\nq = w\n", metadata(None));
    assert!(opened(&stored(&Ini, &ini, "DEFAULT.k"), "DEFAULT:k:").is_some());
    assert!(opened(&stored(&Ini, &ini, "s.q"), "s:q:").is_some());
    let dotenv = encrypted(&Dotenv, "export A =v\n", metadata(None));
    assert!(opened(&stored(&Dotenv, &dotenv, "export A "), "export A :").is_some());
    let binary = encrypted(&Binary, "v", metadata(None));
    assert!(opened(&stored(&Binary, &binary, "data"), "data:").is_some());
}

#[test]
fn t11_nulls_and_empty_collections_are_left_alone() {
    let plain = "a: ~\nb: {}\nc: []\nd:\n  - null\n";
    let file = encrypted(&Yaml, plain, metadata(None));
    assert!(file.starts_with(plain));
    assert_eq!(mac_of(&Yaml, plain), mac_of(&Yaml, "e: \"\"\n"));
}

#[test]
fn t12_values_in_clear_are_hashed_as_they_are_read() {
    for (spelled, read) in [
        ("0x10", "16"),
        ("1e3", "1000"),
        ("yes", "\"yes\""),
        ("True", "true"),
    ] {
        let plain = |value: &str| format!("a_unencrypted: {value}\n");
        assert_eq!(
            mac_of(&Yaml, &plain(spelled)),
            mac_of(&Yaml, &plain(read)),
            "{spelled}"
        );
    }
}

/// A file as the reference writes it: comments of lists are elements. Texts of 7 bytes become comments; the MAC is that
/// of `hashed`.
fn with_list_comments(plain: &str, hashed: &str) -> String {
    let file = encrypted(&Yaml, plain, metadata(None));
    let other = encrypted(&Yaml, hashed, metadata(None));
    let mac = |file: &str| parsed(&Yaml, file).metadata().mac.clone();
    let short = sealwright_crypto::cipher::encrypted_len(7, Kind::Str);
    let (values, block) = file.split_once("sops:\n").unwrap();
    let lines = values.lines().map(|line| {
        let is_comment = line.find("ENC[").is_some_and(|at| line.len() - at == short);
        if is_comment {
            line.replace("type:str", "type:comment")
        } else {
            line.to_owned()
        }
    });
    let values: String = lines.map(|line| line + "\n").collect();
    format!(
        "{values}sops:\n{}",
        block.replace(&mac(&file), &mac(&other))
    )
}

#[test]
fn t14_d1_list_comments_are_not_hashed() {
    for (plain, hashed, expected) in [
        (
            "l:\n  - COMMENT\n  - x\n",
            "l:\n  - x\n",
            "l:\n  #COMMENT\n  - x\n",
        ),
        (
            "l:\n  - x\n  - COMMENT\n  - COMMENT\n",
            "l:\n  - x\n",
            "l:\n  - x\n  #COMMENT\n  #COMMENT\n",
        ),
        (
            "l:\n  - - COMMENT\n    - x\n",
            "l:\n  - x\n",
            "l:\n  - #COMMENT\n    - x\n",
        ),
        (
            "l:\n  - COMMENT\nm: x\n",
            "m: x\n",
            "l:\n    [] #COMMENT\nm: x\n",
        ),
        (
            "l:\n- COMMENT\n- COMMENT\nm: x\n",
            "m: x\n",
            "l:\n  [] #COMMENT\n#COMMENT\nm: x\n",
        ),
        (
            "l:\n  - - COMMENT\n",
            "m: ''\n",
            "l:\n  -   [ #COMMENT\n      ]\n",
        ),
    ] {
        let file = with_list_comments(plain, hashed);
        assert_eq!(decrypted(&Yaml, &file), expected);
        let data = |text: &str| {
            let tree = Yaml.parse(SecretBytes::copy_of(text.as_bytes())).unwrap();
            values_of(Data::of(&tree, 0))
        };
        let is_list = |data: Data| matches!(data.get("l"), Some(Data::List(_)));
        assert!(is_list(data(expected)), "{expected}");
    }
}

/// The data without its comments.
fn values_of(data: Data) -> Data {
    match data {
        Data::List(items) => Data::List(
            items
                .into_iter()
                .filter(|item| !matches!(item, Data::Comment { .. }))
                .map(values_of)
                .collect(),
        ),
        Data::Map(entries) => Data::Map(
            entries
                .into_iter()
                .filter(|(_, value)| !matches!(value, Data::Comment { .. }))
                .map(|(key, value)| (key, values_of(value)))
                .collect(),
        ),
        other => other,
    }
}

#[test]
fn t16_comments_that_do_not_open_are_kept_and_nothing_else_is() {
    let file = encrypted(&Yaml, "# secret\na: x\nl:\n  - y\n", metadata(None));
    let comment = file.lines().next().unwrap().to_owned();
    let old = file.replace(&comment, "# from an old version");
    let out = decrypt(&parsed(&Yaml, &old), &key()).unwrap();
    assert!(matches!(out.warnings[..], [Warning::CommentKept(_)]));
    assert_eq!(
        out.document.text().expose(),
        b"# from an old version\na: x\nl:\n  - y\n"
    );
    for path in ["a", "l[0]"] {
        let broken = file.replace(&stored(&Yaml, &file, path), "plain");
        let error = decrypt(&parsed(&Yaml, &broken), &key()).err().unwrap();
        assert!(
            matches!(&error, DecryptError::Value { place, .. } if place.path == path),
            "{error}"
        );
    }
}

#[test]
fn t19_the_block_is_quoted_as_the_reference_quotes_it() {
    let mut metadata = metadata(None);
    let time = "2020-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap();
    metadata.groups[0].push(KeyEntry {
        key: AZURE_KEY_VAULT.parse("https://v.example/keys/n/1").unwrap(),
        created_at: Some(crate::metadata::Timestamp::from(time)),
        enc: Wrapped("AA-_".into()),
    });
    let file = encrypted(&Yaml, "a: x\n", metadata);
    for line in [
        "    lastmodified: \"2024-05-06T07:08:09Z\"\n",
        "    version: 3.13.3\n",
        "name: \"n\"\n",
        "version: \"1\"\n",
        "created_at: \"2020-01-01T00:00:00Z\"\n",
        "enc: AA-_\n",
    ] {
        assert!(file.contains(line), "{line}{file}");
    }
    let by_hand = file.replace("    version: 3.13.3\n", "    version: 3.13\n");
    assert!(parsed(&Yaml, &by_hand).metadata().version().is_err());
}

#[test]
fn t20_the_last_line_break_of_a_wrap_is_kept_or_not() {
    let mut metadata = metadata(None);
    let armor = metadata.groups[0][0].enc.0.clone();
    let time = "2020-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap();
    metadata.groups[0].push(KeyEntry {
        key: KeyFields::of(&PGP, "AB"),
        created_at: Some(crate::metadata::Timestamp::from(time)),
        enc: Wrapped("-----BEGIN PGP MESSAGE-----\n\nx\n-----END PGP MESSAGE-----".into()),
    });
    for format in [&Yaml as &'static dyn Format, &Json, &Dotenv, &Ini, &Binary] {
        let plain = if format.name() == "json" { "{}" } else { "" };
        let plain = if format.name() == "yaml" {
            "a: x\n"
        } else {
            plain
        };
        let file = encrypted(format, plain, metadata.clone());
        let groups = parsed(format, &file).metadata().groups.clone();
        assert!(groups[0].iter().any(|entry| entry.enc.0 == armor));
        assert!(
            groups[0]
                .iter()
                .any(|entry| entry.enc.0.ends_with("PGP MESSAGE-----"))
        );
        if format.name() == "yaml" {
            assert!(
                file.contains("enc: |\n") && file.contains("enc: |-\n"),
                "{file}"
            );
        }
    }
}

#[test]
fn t28_documents_share_the_block_and_the_mac() {
    let plain = "a: x\n---\nb: y\n";
    let file = encrypted(&Yaml, plain, metadata(None));
    let blocks: Vec<&str> = file
        .split("\n---\n")
        .map(|document| document.split_once("sops:\n").unwrap().1)
        .collect();
    assert_eq!(blocks.len(), 2);
    assert_eq!(blocks[0].trim_end(), blocks[1].trim_end());
    assert_eq!(mac_of(&Yaml, plain), mac_of(&Yaml, "a: xy\n"));
    assert_eq!(decrypted(&Yaml, &file), plain);
    let plain = "a: x\n---\nb_unencrypted: y\n";
    let file = encrypted(&Yaml, plain, metadata(None));
    let changed = file.replace("b_unencrypted: y", "b_unencrypted: z");
    assert_eq!(
        decrypt(&parsed(&Yaml, &changed), &key()).err(),
        Some(DecryptError::MacMismatch)
    );
}

#[test]
fn t29_repeated_keys_are_refused_in_the_first_document_only() {
    let parse = |text: &str| Document::parse(&Yaml, SecretBytes::copy_of(text.as_bytes()));
    let error = parse("a: 1\nb:\n  c: 1\n  c: 2\n").err().unwrap();
    assert_eq!((error.line, error.column), (4, 3));
    let plain = "a: 1\n---\nb: 1\nb: 2\n";
    let file = encrypted(&Yaml, plain, metadata(None));
    assert_eq!(decrypted(&Yaml, &file), plain);
    assert!(parse("- a\n").is_err() && parse("text\n").is_err());
}

#[test]
fn t30_aliases_are_expanded_and_merge_keys_are_keys() {
    let plain = "a: &x\n  k: v\nb: *x\nc:\n  <<: *x\n  m: w\n";
    let file = encrypted(&Yaml, plain, metadata(None));
    assert!(!file.contains("*x"));
    assert!(opened(&stored(&Yaml, &file, "b.k"), "b:k:").is_some());
    assert!(opened(&stored(&Yaml, &file, "c.<<.k"), "c:<<:k:").is_some());
    assert_eq!(decrypted(&Yaml, &file), plain);
    let values = values_of(Data::of(
        &Yaml
            .parse(SecretBytes::copy_of(without_hints(&Yaml, &file).as_bytes()))
            .unwrap(),
        0,
    ));
    assert!(values.get("b").is_some_and(|b| b.get("k").is_some()));
}

#[test]
fn t31_integers_are_read_as_the_reference_reads_them() {
    for (spelled, kind, wire) in [
        ("017", Kind::Int, "15"),
        ("0777", Kind::Int, "511"),
        ("09", Kind::Float, "9"),
        ("0o17", Kind::Int, "15"),
        ("1_000", Kind::Int, "1000"),
        ("99999999999999999999", Kind::Float, "100000000000000000000"),
    ] {
        let file = encrypted(&Yaml, &format!("a: {spelled}\n"), metadata(None));
        let stored = stored(&Yaml, &file, "a");
        assert_eq!(
            opened(&stored, "a:"),
            Some((kind, wire.into())),
            "{spelled}"
        );
    }
    let error = refusal(&Yaml, "a: 18446744073709551615\n");
    assert!(
        matches!(error, EncryptError::Unsupported(place) if (place.line, place.column) == (1, 4))
    );
}

#[test]
fn t32_timestamps_have_a_type_of_their_own() {
    let file = encrypted(&Yaml, "a: 2024-01-01\nb: \"2024-01-01\"\n", metadata(None));
    assert_eq!(
        opened(&stored(&Yaml, &file, "a"), "a:"),
        Some((Kind::Time, "2024-01-01T00:00:00Z".into()))
    );
    assert_eq!(
        opened(&stored(&Yaml, &file, "b"), "b:"),
        Some((Kind::Str, "2024-01-01".into()))
    );
    assert_eq!(
        decrypted(&Yaml, &without_hints(&Yaml, &file)),
        "a: 2024-01-01T00:00:00Z\nb: \"2024-01-01\"\n"
    );
}

#[test]
fn t33_keys_that_are_not_text_are_refused_and_text_keys_that_look_otherwise_are_quoted() {
    for plain in ["1: a\n", "true: a\n", "null: a\n", "1.5: a\n"] {
        assert!(
            matches!(refusal(&Yaml, plain), EncryptError::Key(_)),
            "{plain}"
        );
    }
    for key in ["y", "n", "on", "1", "null"] {
        let data = Data::Map(vec![(Data::key(key), Data::str("v"))]);
        let out = Yaml.render(&[data], Layout::default()).unwrap();
        assert_eq!(out.expose(), format!("\"{key}\": v\n").as_bytes());
    }
}

#[test]
fn t38_a_changed_value_has_a_nonce_of_its_own() {
    let file = encrypted(&Yaml, "a: one\nb: one\n", metadata(None));
    let (after, _) = edited(&Yaml, &file, |plain| plain.replace("a: one", "a: two"));
    let nonce = |file: &str, path| {
        let text = stored(&Yaml, file, path);
        text.split_once(",iv:").unwrap().1[..44].to_owned()
    };
    assert_ne!(nonce(&file, "a"), nonce(&after, "a"));
    assert_ne!(nonce(&file, "a"), nonce(&file, "b"));
    assert_eq!(nonce(&file, "b"), nonce(&after, "b"));
}

#[test]
fn t39_new_keys_touch_neither_time_nor_mac() {
    let file = encrypted(&Yaml, "a: x\n", metadata(None));
    let was = parsed(&Yaml, &file);
    let mut now = was.metadata().clone();
    now.groups[0][0].key.set_text("recipient", "age1ab");
    let out = write_metadata(&was, &now, Layout::default()).unwrap();
    let out = String::from_utf8(out.text.expose().to_vec()).unwrap();
    let changed = changed_lines(&file, &out);
    assert!(matches!(changed[..], [line] if line.contains("recipient: age1ab")));
}

#[test]
fn t62_binary_files_name_no_rule() {
    let file = encrypted(&Binary, "\u{1}x", metadata(None));
    assert!(!file.contains("unencrypted_suffix"));
    assert_eq!(decrypted(&Binary, &file), "\u{1}x");
}

#[test]
fn t70_d15_comments_stay_where_they_are() {
    let plain = "a: # over a map\n  b: 1 # beside\n\nc: [x] # in a list\nd: | # on a block\n  text\n# last\n";
    let file = encrypted(&Yaml, plain, metadata(None));
    assert!(!file.contains("beside") && !file.contains("over"));
    assert_eq!(decrypted(&Yaml, &file), plain);
    assert!(decrypted(&Yaml, &without_hints(&Yaml, &file)).contains("b: 1 # beside\n"));
}

#[test]
fn d7_values_of_the_type_bytes_are_text() {
    let file = encrypted(&Yaml, "a: x\n", metadata(None));
    let file = file.replacen("type:str", "type:bytes", 1);
    assert_eq!(decrypted(&Yaml, &file), "a: x\n");
}

#[test]
fn d7_a_nonce_of_another_length_is_not_used_again() {
    // Made by another program with the key of these tests.
    let short =
        "ENC[AES256_GCM,data:JFO0Hc8=,iv:BQUFBQUFBQUFBQUF,tag:N/KK+2qUF2FncqQyVG3ZAQ==,type:str]";
    let file = encrypted(&Yaml, "a: hello\nb: x\n", metadata(None));
    let file = file.replace(&stored(&Yaml, &file, "a"), short);
    assert_eq!(decrypted(&Yaml, &file), "a: hello\nb: x\n");
    // Another value in its place gets a nonce as long as ours are; as long as it is itself, it keeps its bytes.
    let (after, _) = edited(&Yaml, &file, |plain| plain.replace("hello", "bye"));
    let text = stored(&Yaml, &after, "a");
    assert_eq!(text.split_once(",iv:").unwrap().1.find(','), Some(44));
    let (after, _) = edited(&Yaml, &file, |plain| plain.replace("b: x", "b: y"));
    assert_eq!(stored(&Yaml, &after, "a"), short);
}

#[test]
fn d21_nested_values_have_no_place_in_an_ini_file() {
    let nested = |inner: Data| {
        Data::Map(vec![(
            Data::key("s"),
            Data::Map(vec![(Data::key("k"), inner)]),
        )])
    };
    for inner in [
        Data::Map(vec![(Data::key("b"), Data::Int(1))]),
        Data::List(vec![Data::Int(1), Data::str("x")]),
    ] {
        let error = Ini.render(&[nested(inner)], Layout::default()).unwrap_err();
        assert_eq!(error.path, "s.k");
    }
}

#[test]
fn d26_values_that_look_encrypted_and_are_left_plain_are_told() {
    let file = encrypted(&Yaml, "a: x\nb: y\n", metadata(None));
    let changed = file.replace("sops:\n", "sops:\n    encrypted_regex: ^b$\n");
    let out = decrypt_unverified(&parsed(&Yaml, &changed), &key()).unwrap();
    assert_eq!(*out.mac(), Err(DecryptError::MacMismatch));
    let warnings = out.accept().warnings;
    assert!(matches!(&warnings[..], [Warning::LooksEncrypted(place)] if place.path == "a"));
}
