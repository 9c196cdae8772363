//! Null in formats that have none: `<nil>` in clear text, where upstream left it (D12).

use super::*;
use crate::format::dotenv::Dotenv;
use crate::format::ini::Ini;
use crate::tree::Value;

fn rule(pattern: &str) -> Metadata {
    metadata(Some(SelectionRule::EncryptedRegex(pattern.to_owned())))
}

#[test]
fn a_nil_that_is_not_selected_is_a_text() {
    for (format, text) in [
        (&Dotenv as &'static dyn Format, "V=<nil>\nA=1\n"),
        (&Ini, "V = <nil>\nA = 1\n"),
    ] {
        let file = encrypted(format, text, rule("^A"));
        assert!(file.contains("<nil>"), "{file}");
        assert_eq!(decrypted(format, &file), text);
    }
}

#[test]
fn a_nil_that_is_selected_is_encrypted_like_any_text() {
    let file = encrypted(&Dotenv, "V=<nil>\n", rule("^V"));
    assert!(!file.contains("<nil>"), "{file}");
    assert_eq!(decrypted(&Dotenv, &file), "V=<nil>\n");
}

#[test]
fn a_nil_in_clear_where_a_value_is_selected_is_null() {
    // Null is never hashed, so the MAC is the same without the line.
    for (format, text, with_nil) in [
        (
            &Dotenv as &'static dyn Format,
            "A=1\n",
            ("sops_", "V=<nil>\nsops_"),
        ),
        (&Ini, "A = 1\n", ("A = ", "V = <nil>\nA = ")),
    ] {
        let file = encrypted(format, text, metadata(None));
        let file = file.replacen(with_nil.0, with_nil.1, 1);
        let out = decrypt(&parsed(format, &file), &key()).unwrap();
        let tree = out.document.tree();
        let value = (0..tree.nodes.len()).find(|at| tree.key(*at) == Some(b"V"));
        assert_eq!(tree.nodes[value.unwrap()].value, Value::Null, "{file}");
    }
}
