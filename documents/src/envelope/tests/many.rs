//! Documents with so many values that they are worked on by two threads.

use std::fmt::Write as _;

use super::*;
use crate::format::yaml::Yaml;

/// Values of all kinds, lists, comments, null and empty texts.
fn many() -> String {
    let mut text = String::new();
    for map in 0..60 {
        let _ = writeln!(text, "# about {map}\nmap-{map}:");
        for value in 0..25 {
            let _ = writeln!(text, "    text-{value}: secret {value} of {map}");
            let _ = writeln!(text, "    number-{value}: {value} # inline {value}");
        }
        text.push_str("    'yes': true\n    nothing: null\n    empty: \"\"\n    rate: 1.5\n");
        text.push_str("    list:\n        - one\n        # between\n        - 2\n");
        text.push_str("    plain_unencrypted: as it is\n");
    }
    text
}

#[test]
fn many_values_come_back_and_in_order() {
    let plain = many();
    let file = encrypted(&Yaml, &plain, metadata(None));
    assert!(!file.contains("secret 3 of 4") && file.contains("plain_unencrypted: as it is"));
    assert!(parsed(&Yaml, &file).tree().nodes.len() > 4000);
    assert_eq!(decrypted(&Yaml, &file), plain);

    let change = |text: &str| text.replace("secret 7 of 50\n", "another one\n");
    let (after, changed) = edited(&Yaml, &file, change);
    assert!(changed);
    // The value, `lastmodified` and the MAC.
    assert_eq!(changed_lines(&file, &after).len(), 3);
    assert_eq!(decrypted(&Yaml, &after), change(&plain));
    assert!(!edited(&Yaml, &file, str::to_owned).1);
}

#[test]
fn of_many_values_the_one_that_does_not_open_is_named() {
    let file = encrypted(&Yaml, &many(), metadata(None));
    let line = |key: &str, map: &str| {
        let from = file.find(map).unwrap();
        let at = from + file[from..].find(key).unwrap() + key.len();
        at..at + file[at..].find('\n').unwrap()
    };
    let (one, other) = (line("text-3: ", "map-41:"), line("text-4: ", "map-41:"));
    let mut moved = file.clone();
    moved.replace_range(one.clone(), &file[other]);
    let error = decrypt(&parsed(&Yaml, &moved), &key()).err().unwrap();
    assert!(
        matches!(&error, DecryptError::Value { place, .. } if place.path == "map-41.text-3"),
        "{error}"
    );
    assert!(decrypt_unverified(&parsed(&Yaml, &moved), &key()).is_err());

    let mut gone = file.clone();
    gone.replace_range(one, "plain");
    let error = decrypt(&parsed(&Yaml, &gone), &key()).err().unwrap();
    assert!(
        matches!(&error, DecryptError::Value { place, .. } if place.path == "map-41.text-3"),
        "{error}"
    );

    let mac = file.rfind("    mac: ").unwrap();
    let without = format!(
        "{}    mac: \"\"\n{}",
        &file[..mac],
        &file[mac..].split_once('\n').unwrap().1
    );
    let error = decrypt(&parsed(&Yaml, &without), &key()).err().unwrap();
    assert!(matches!(error, DecryptError::NoMac), "{error}");
}

#[test]
fn what_cannot_be_encrypted_among_many_is_refused() {
    let plain = format!("{}odd:\n    1: x\n", many());
    assert!(matches!(refusal(&Yaml, &plain), EncryptError::Key(_)));
}

/// Comments that were never encrypted stand in files that were merged by hand, as many as someone likes.
#[test]
fn of_many_comments_that_do_not_open_some_are_named_and_all_are_counted() {
    let file = encrypted(&Yaml, "a: x\n", metadata(None));
    let file = "# c\n".repeat(20_000) + &file;
    let out = decrypt(&parsed(&Yaml, &file), &key()).unwrap();
    let (last, named) = out.warnings.split_last().unwrap();
    assert_eq!(named.len(), 100);
    assert!(matches!(&named[99], Warning::CommentKept(place) if place.line == 100));
    assert_eq!(*last, Warning::CommentsKept(19_900));

    let file = encrypted(&Yaml, &many(), metadata(None));
    let changed = file.replace("sops:\n", "sops:\n    encrypted_regex: ^none$\n");
    let out = decrypt_unverified(&parsed(&Yaml, &changed), &key()).unwrap();
    let mut warnings = out.accept().warnings.into_iter();
    assert!(warnings.any(|it| matches!(it, Warning::LookEncrypted(more) if more > 1_000)));
}
