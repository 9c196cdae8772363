use super::*;

const TEXT: &str = r#"{
  "a" : "hello",
  "n": {"i": 42, "f": 1.50, "t": true, "z": null, "e": ""},
  "l": ["x", "x", {"k": "y"}, [1, [2]], "x"],
  "p_unencrypted": 5,
  "html": "<\u003c>", "u": "\u00e9é"
}
"#;

#[test]
fn a_document_comes_back_byte_for_byte() {
    let text = encrypted(&Json, TEXT, metadata(Some(SelectionRule::default())));
    assert!(text.contains("\"sealwright\": \"ENC["));
    assert!(text.contains("\"p_unencrypted\": 5,") && text.contains("\"e\": \"\""));
    assert!(!text.contains("hello"));
    assert_eq!(decrypted(&Json, &text), TEXT);
    let rewritten = crate::data::Data::of(parsed(&Json, &text).tree(), 0);
    assert!(rewritten.get("sops").is_none());
}

#[test]
fn without_hints_the_data_is_the_same() {
    let text = encrypted(&Json, TEXT, metadata(None));
    let file = parsed(&Json, &text);
    let mut without = file.metadata().clone();
    without.hints = None;
    let out = write_metadata(&file, &without, Layout::default()).unwrap();
    let text = std::str::from_utf8(out.text.expose()).unwrap().to_owned();
    assert!(!text.contains("sealwright"));
    let plain = decrypted(&Json, &text);
    assert_eq!(
        plain,
        TEXT.replace("1.50", "1.5")
            .replace("\\u003c", "<")
            .replace("\\u00e9", "é")
    );
}

#[test]
fn documents_without_hints_have_no_field_for_them() {
    let text = encrypted(&Json, "{\"a\": \"b\"}", metadata(None));
    assert!(!text.contains("sealwright"));
    assert_eq!(decrypted(&Json, &text), "{\"a\": \"b\"}");
    for empty in ["{}", "{}\n", "{\n}\n", "{\"a\": {}, \"b\": []}"] {
        let text = encrypted(&Json, empty, metadata(None));
        assert_eq!(decrypted(&Json, &text), empty);
    }
}

#[test]
fn t37_one_edited_value_changes_its_line_and_two_more() {
    let text = encrypted(&Json, TEXT, metadata(None));
    let (after, changed) = edited(&Json, &text, |plain| plain.replace("hello", "bye"));
    assert!(changed);
    let lines = changed_lines(&text, &after);
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[0].contains("\"a\" : ") && lines[1].contains("lastmodified"));
    assert!(lines[2].contains("\"mac\""));
    assert_eq!(decrypted(&Json, &after), TEXT.replace("hello", "bye"));
}

#[test]
fn a_no_op_is_the_same_file() {
    let text = encrypted(&Json, TEXT, metadata(None));
    let (after, changed) = edited(&Json, &text, str::to_owned);
    assert!(!changed);
    assert_eq!(after, text);
}

#[test]
fn t37_equal_values_of_a_list_keep_their_own_ciphertexts() {
    let text = encrypted(&Json, TEXT, metadata(None));
    let (after, _) = edited(&Json, &text, |plain| plain.replace("\"y\"", "\"changed\""));
    let ciphertexts = |text: &str| -> Vec<String> {
        let file = parsed(&Json, text);
        (0..file.tree().nodes.len())
            .filter_map(|node| Some(String::from_utf8_lossy(file.tree().key(node)?).into_owned()))
            .collect()
    };
    assert_eq!(ciphertexts(&text), ciphertexts(&after));
    let line = |text: &str| {
        text.lines()
            .nth(3)
            .unwrap()
            .split(", ")
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (before, after) = (line(&text), line(&after));
    let differing = before.iter().zip(&after).filter(|(a, b)| a != b).count();
    assert_eq!(differing, 1);
}

#[test]
fn files_of_others_keep_their_block() {
    let text = encrypted(&Json, TEXT, metadata(None));
    let odd = text.replace(
        "\"lastmodified\"",
        "\"future\": {\"x\": 1},\n  \"kms\":   [ ],\n  \"lastmodified\"",
    );
    let (after, _) = edited(&Json, &odd, |plain| plain.replace("hello", "bye"));
    assert_eq!(changed_lines(&odd, &after).len(), 3);
    assert!(after.contains("\"future\": {\"x\": 1},\n  \"kms\":   [ ],\n"));
}

#[test]
fn t13_t63_documents_without_values_have_a_mac() {
    for only in [false, true] {
        let mut metadata = metadata(None);
        metadata.mac_only_encrypted = only;
        let text = encrypted(&Json, "{\"a\": null, \"b\": \"\"}", metadata);
        assert_eq!(decrypted(&Json, &text), "{\"a\": null, \"b\": \"\"}");
    }
}

#[test]
fn what_was_changed_without_the_key_does_not_come_out() {
    let text = encrypted(&Json, TEXT, metadata(Some(SelectionRule::default())));
    let open = |text: &str| decrypt(&parsed(&Json, text), &key()).err();
    let changed = text.replace("\"p_unencrypted\": 5", "\"p_unencrypted\": 6");
    assert_eq!(open(&changed), Some(DecryptError::MacMismatch));
    let file = parsed(&Json, &changed);
    let unverified = decrypt_unverified(&file, &key()).unwrap();
    assert_eq!(*unverified.mac(), Err(DecryptError::MacMismatch));
    let plain = unverified.accept().document.into_text();
    assert_eq!(plain.expose(), TEXT.replace("5,\n", "6,\n").as_bytes());

    let moved = text.replace("\"a\" :", "\"b\" :");
    let error = open(&moved).unwrap();
    assert!(matches!(error, DecryptError::Value { .. }));
    assert!(
        error
            .to_string()
            .starts_with("line 2, column 9, b: the value does not open")
    );
    let plain = text.replace("\"html\": \"ENC", "\"html\": \"X");
    assert!(matches!(open(&plain), Some(DecryptError::Value { .. })));
    let number = text.replace("\"e\": \"\"", "\"e\": 7");
    assert!(
        matches!(open(&number), Some(DecryptError::NotEncrypted(place)) if place.path == "n.e")
    );
    let dated = text.replace("2024-05-06T07:08:09Z", "2024-05-06T07:08:10Z");
    assert!(matches!(open(&dated), Some(DecryptError::Mac(_))));
    let spelled = text.replace("2024-05-06T07:08:09Z", "2024-05-06T07:08:09.5+00:00");
    assert_eq!(open(&spelled), None, "t4");
    let start = text.find("\"mac\": \"").unwrap() + 8;
    let end = start + text[start..].find('"').unwrap();
    let without = format!("{}{}", &text[..start], &text[end..]);
    assert_eq!(open(&without), Some(DecryptError::NoMac));
    assert!(open(&without).unwrap().is_about_mac());
}

#[test]
fn t64_reserved_keys() {
    let refused = refusal(&Json, "{\"sops\": {}}");
    assert!(matches!(refused, EncryptError::AlreadyEncrypted { key, .. } if key == "sops"));
}

#[test]
fn d2_an_invalid_rule_encrypts_nothing() {
    let rule = SelectionRule::EncryptedRegex("(".into());
    let document = Document::parse(&Json, SecretBytes::copy_of(b"{\"a\": 1}")).unwrap();
    let out = encrypt(
        document,
        metadata(Some(rule)),
        &key(),
        None,
        now(),
        Layout::default(),
    );
    assert!(matches!(out.unwrap_err(), EncryptError::Rule(_)));
}

#[test]
fn d14_list_comments_of_others_go() {
    let plain = "{\"l\": [\"x\", \"COMMENT\", \"COMMENT\", \"y\"], \"m\": [\"COMMENT\"]}";
    let text = encrypted(&Json, plain, metadata(None));
    // The same ciphertexts as comments: the type is not part of what is authenticated, the MAC is made again.
    let as_comments = text.clone();
    let file = parsed(&Json, &as_comments);
    let tree = file.tree();
    let mut comments = as_comments.clone();
    for node in (0..tree.nodes.len()).rev() {
        let spelling = String::from_utf8_lossy(tree.spelling(node)).into_owned();
        let short =
            sealwright_crypto::cipher::encrypted_len(7, sealwright_crypto::cipher::Kind::Str);
        if spelling.len() == short + 2 {
            comments = comments.replace(&spelling, &spelling.replace("type:str", "type:comment"));
        }
    }
    let file = parsed(&Json, &comments);
    let out = decrypt_unverified(&file, &key()).unwrap().accept();
    let text = String::from_utf8(out.document.text().expose().to_vec()).unwrap();
    assert_eq!(text, "{\"l\": [\"x\", \"y\"], \"m\": []}");
    assert_same_tree(&Json, out.document.tree());
}

/// Programs that sort keys put the block before others, with a comma behind it instead of one before it.
#[test]
fn a_block_that_is_not_the_last_is_moved_and_the_file_stays_readable() {
    use crate::format::dotenv::Dotenv;
    use crate::format::ini::Ini;

    let last = encrypted(&Json, "{\"tls\": \"x\", \"user\": \"y\"}", metadata(None));
    let at = last.find(",\n\t\"sops\"").unwrap();
    let first = format!("{{{}, {}}}", &last[at + 3..last.len() - 1], &last[1..at]);
    let (after, changed) = edited(&Json, &first, |plain| plain.replace("\"y\"", "\"z\""));
    assert!(changed);
    assert_eq!(
        decrypted(&Json, &after),
        "{\"tls\": \"x\", \"user\": \"z\"}"
    );

    let last = encrypted(&Dotenv, "tls=x\nuser=y\n", metadata(None));
    let at = last.find("sops_").unwrap();
    // The last line has no line break, as some editors leave it.
    let first = format!("{}{}", &last[at..], last[..at].trim_end());
    let (after, changed) = edited(&Dotenv, &first, |plain| plain.replace("=y", "=z"));
    assert!(changed);
    assert_eq!(decrypted(&Dotenv, &after), "tls=x\nuser=z");

    let last = encrypted(&Ini, "[a]\ntls = x\n[b]\nuser = y\n", metadata(None));
    let (at, middle) = (last.find("\n[sops]").unwrap(), last.find("[b]").unwrap());
    let parts = [&last[..middle], &last[at..], last[middle..at].trim_end()];
    let (after, changed) = edited(&Ini, &parts.concat(), |plain| plain.replace("= y", "= z"));
    assert!(changed);
    assert!(decrypted(&Ini, &after).contains("user = z"));
}

#[test]
fn an_empty_block_is_as_good_as_none() {
    use crate::format::ini::Ini;

    for (format, text) in [
        (&Json as &'static dyn Format, "{\"a\": \"b\", \"sops\": {}}"),
        (&Ini, "[a]\nb = c\n[sops]\n"),
    ] {
        let file = Encrypted::parse(format, SecretBytes::copy_of(text.as_bytes()));
        let error = file.err().expect("it is not encrypted");
        assert_eq!(error.to_string(), "sops metadata not found");
    }
}
