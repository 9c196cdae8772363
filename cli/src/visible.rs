//! Text from outside, made safe to show.
//!
//! Names, recipients, paths and error texts come from files, network peers and vaults. A terminal obeys the control
//! characters in them: they can move the cursor, erase the line above, or turn the direction of writing, so that a person
//! agrees to something else than what stands there. [`Terminal`](crate::terminal::Terminal) passes every message through
//! this module; only documents that were asked for leave the program as they are.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

/// Returns `text` on one line with every character that a terminal would obey or hide written as an escape, and without
/// private keys: someone may give one where a public key or a name belongs.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    match without_private_keys(text) {
        Cow::Borrowed(text) => escaped(text),
        Cow::Owned(text) => Cow::Owned(escaped(&text).into_owned()),
    }
}

fn escaped(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_obeyed_or_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_obeyed_or_hidden(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Returns a path as people read it, on one line; bytes that are no text become `\xff`.
pub(crate) fn visible_path(path: &Path) -> String {
    match path.to_str() {
        Some(text) => visible(text).into_owned(),
        None => {
            let quoted = format!("{path:?}");
            visible(quoted.trim_matches('"')).into_owned()
        }
    }
}

/// Writes JSON on one line with those characters in JSON's own escapes, so that programs read the same text.
pub(crate) fn json_line(value: &serde_json::Value) -> String {
    let text = value.to_string();
    let text = without_private_keys(&text);
    if !text.chars().any(is_obeyed_or_hidden) {
        return text.into_owned();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_obeyed_or_hidden(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(shown, "\\u{unit:04x}").expect("memory takes it");
            }
        } else {
            shown.push(character);
        }
    }
    shown
}

/// What age identities begin with; Bech32 follows.
const IDENTITY: &str = "AGE-SECRET-KEY-";
/// What the first line of private keys in armor has in it; the key follows to the end of the text.
const ARMOR: &str = "PRIVATE KEY";

/// Leaves out age identities, and what follows the first line of an armored private key.
fn without_private_keys(text: &str) -> Cow<'_, str> {
    let upper = |part: &str| part.to_ascii_uppercase();
    let has = |mark: &str| {
        text.as_bytes()
            .windows(mark.len())
            .any(|part| part.eq_ignore_ascii_case(mark.as_bytes()))
    };
    let (identity, armor) = (has(IDENTITY), has(ARMOR));
    if !identity && !armor {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = upper(rest).find(IDENTITY) {
        kept.push_str(&rest[..at]);
        let key = &rest[at + IDENTITY.len()..];
        let end = key
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .unwrap_or(key.len());
        // Our own hints name keys by their beginning.
        kept.push_str(if end < 6 { IDENTITY } else { "[private key]" });
        rest = if end < 6 { key } else { &key[end..] };
    }
    kept.push_str(rest);
    if armor
        && let Some(at) = kept.find("-----BEGIN")
        && let Some(mark) = kept[at..].find(ARMOR)
    {
        let end = kept[at..]
            .rfind("-----END")
            .map_or(kept.len(), |end| at + end);
        let start = (at + mark + ARMOR.len()).min(end);
        kept.replace_range(start..end, " [left out] ");
    }
    Cow::Owned(kept)
}

/// Control characters, and what changes the direction of writing or has no width.
fn is_obeyed_or_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_written_out() {
        for (text, shown) in [
            ("age1abc, é 漢", "age1abc, é 漢"),
            ("\u{1b}[2K\r", "\\u{1b}[2K\\r"),
            ("a\nb\tc", "a\\nb\\tc"),
            ("\u{9b}1A", "\\u{9b}1A"),
            ("\u{202e}txt", "\\u{202e}txt"),
        ] {
            assert_eq!(visible(text), shown);
        }
        let path = Path::new(OsStr::from_bytes(b"a\x1b[2K\xff"));
        assert_eq!(visible_path(path), "a\\u{1b}[2K\\xFF");
    }

    #[test]
    fn private_keys_are_never_shown() {
        for key in ["AGE-SECRET-KEY-1ABCDEF", "age-secret-key-pq-1abcdef"] {
            let text = format!("cannot use {key:?} as a recipient");
            assert_eq!(
                visible(&text),
                "cannot use \"[private key]\" as a recipient"
            );
            let line = json_line(&serde_json::json!({ "message": text }));
            assert!(!line.to_ascii_uppercase().contains("ABCDEF"), "{line}");
        }
        assert_eq!(visible("(AGE-SECRET-KEY-…)"), "(AGE-SECRET-KEY-…)");
        let pem =
            "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nabcdef\n-----END PGP PRIVATE KEY BLOCK-----";
        assert!(!visible(pem).contains("abcdef"), "{}", visible(pem));
        assert!(!visible("x -----BEGIN PRIVATE KEY-----abc").contains("abc"));
    }

    #[test]
    fn json_says_the_same_without_them() {
        let value = serde_json::json!({ "file": "a\u{1b}\u{9b}\u{202e}\u{e0041}" });
        let line = json_line(&value);
        assert!(!line.chars().any(is_obeyed_or_hidden), "{line}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&line).unwrap(),
            value
        );
    }
}
