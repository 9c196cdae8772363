//! Text from outside, made safe to show.
//!
//! Names, recipients, paths and error texts come from files, network peers and vaults. A terminal obeys the control
//! characters in them: they can move the cursor, erase the line above, or turn the direction of writing, so that a person
//! agrees to something else than what stands there. [`Terminal`](crate::terminal::Terminal) passes all lines through this
//! module; only documents that were asked for leave the program as they are.
//!
//! Messages ([`visible`]) are also without private keys and tokens. Results ([`escaped`]) are not: the name of a file, a key of a
//! store, or a value that was asked for is what it is. A message that stands in a result goes through [`without_secrets`].

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

/// Returns `text` on one line with every character that a terminal would obey or hide written as an escape, and without
/// private keys and tokens: someone may give one where a public key or a name belongs.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    match without_secrets(text) {
        Cow::Borrowed(text) => escaped(text),
        Cow::Owned(text) => Cow::Owned(escaped(&text).into_owned()),
    }
}

/// Leaves out what no message has a use for: private keys, tokens, and the numbers of system errors.
pub(crate) fn without_secrets(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for part in [without_private_keys, without_tokens, without_error_numbers] {
        if let Cow::Owned(rest) = part(&text) {
            text = Cow::Owned(rest);
        }
    }
    text
}

/// Leaves out ` (os error 2)`, which the text before it says in words.
fn without_error_numbers(text: &str) -> Cow<'_, str> {
    const MARK: &str = " (os error ";

    let mut kept: Option<String> = None;
    let (mut copied, mut from) = (0, 0);
    while let Some(at) = text[from..].find(MARK) {
        let start = from + at;
        from = start + MARK.len();
        let digits = &text[from..];
        let length = digits.bytes().take_while(u8::is_ascii_digit).count();
        if length > 0 && digits[length..].starts_with(')') {
            kept.get_or_insert_default().push_str(&text[copied..start]);
            from += length + 1;
            copied = from;
        }
    }
    match kept {
        Some(mut kept) => {
            kept.push_str(&text[copied..]);
            Cow::Owned(kept)
        }
        None => Cow::Borrowed(text),
    }
}

/// What tokens of widespread services begin with, how many characters follow at least, and whether those are letters and
/// digits alone: words with `_` between them are names.
const TOKENS: [(&str, usize, bool); 16] = [
    ("hvs.", 8, false),
    ("hvb.", 8, false),
    ("hvr.", 8, false),
    ("ghp_", 16, true),
    ("gho_", 16, true),
    ("ghu_", 16, true),
    ("ghs_", 16, true),
    ("ghr_", 16, true),
    ("github_pat_", 16, true),
    ("glpat-", 12, false),
    ("xoxb-", 12, false),
    ("xoxp-", 12, false),
    ("sk_live_", 12, true),
    ("rk_live_", 12, true),
    ("npm_", 20, true),
    ("eyJ", 40, false),
];

/// Leaves out the tokens of widespread services.
fn without_tokens(text: &str) -> Cow<'_, str> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let bytes = text.as_bytes();
    let mut kept: Option<String> = None;
    let mut copied = 0;
    let mut at = 0;
    while at < bytes.len() {
        if !is_part(bytes[at]) {
            at += 1;
            continue;
        }
        let length = bytes[at..]
            .iter()
            .take_while(|byte| is_part(**byte))
            .count();
        let word = &text[at..at + length];
        let is_token = |(start, least, alone): &(&str, usize, bool)| {
            let rest = word.strip_prefix(start).and_then(|rest| rest.get(..*least));
            rest.is_some_and(|rest| !alone || rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        };
        if TOKENS.iter().any(is_token) {
            let kept = kept.get_or_insert_default();
            kept.push_str(&text[copied..at]);
            kept.push_str("[token]");
            copied = at + length;
        }
        at += length;
    }
    match kept {
        Some(mut kept) => {
            kept.push_str(&text[copied..]);
            Cow::Owned(kept)
        }
        None => Cow::Borrowed(text),
    }
}

/// Returns `text` on one line with every character that a terminal would obey or hide written as an escape.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
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
        Some(text) => escaped(text).into_owned(),
        None => {
            let quoted = format!("{path:?}");
            escaped(quoted.trim_matches('"')).into_owned()
        }
    }
}

/// Writes JSON on one line with such characters in JSON's own escapes, so that programs read the same text.
pub(crate) fn json_line(value: &Value) -> String {
    let text = value.to_string();
    if !text.chars().any(is_obeyed_or_hidden) {
        return text;
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

/// The same for messages: without private keys and tokens in its texts.
pub(crate) fn json_message(value: &Value) -> String {
    json_line(&all_without_secrets(value))
}

fn all_without_secrets(value: &Value) -> Value {
    match value {
        Value::String(text) => without_secrets(text).into_owned().into(),
        Value::Array(values) => values.iter().map(all_without_secrets).collect(),
        Value::Object(members) => {
            let members = members.iter();
            members
                .map(|(name, value)| (name.clone(), all_without_secrets(value)))
                .collect()
        }
        other => other.clone(),
    }
}

/// A recipient as it is shown: someone may have put a private key in its place.
pub(crate) fn recipient(text: &str) -> Cow<'_, str> {
    without_private_keys(text)
}

/// What age identities begin with; Bech32 follows.
const IDENTITY: &str = "AGE-SECRET-KEY-";
/// What the first line of private keys in armor has in it; the key follows to the end of the text.
const ARMOR: &str = "PRIVATE KEY";

/// Leaves out age identities, and what follows the first line of an armored private key.
fn without_private_keys(text: &str) -> Cow<'_, str> {
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
    // In capitals every byte is where it was.
    let upper = text.to_ascii_uppercase();
    let mut from = 0;
    while let Some(at) = upper[from..].find(IDENTITY) {
        kept.push_str(&text[from..from + at]);
        from += at + IDENTITY.len();
        let key = &text[from..];
        let end = key
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .unwrap_or(key.len());
        // Our own hints name keys by their beginning.
        kept.push_str(if end < 6 { IDENTITY } else { "[private key]" });
        from += if end < 6 { 0 } else { end };
    }
    kept.push_str(&text[from..]);
    if armor
        && let Some(at) = kept.find("-----BEGIN")
        && let Some(mark) = kept[at..].find(ARMOR)
    {
        // One that begins behind the last end has lost its own.
        let end = kept[at..].rfind("-----END").map(|end| at + end);
        let end = end
            .filter(|end| !kept[*end..].contains("-----BEGIN"))
            .unwrap_or(kept.len());
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

/// A path as people read it: relative to the working folder where it lies below it, on one line whatever is in it.
pub(crate) fn shown(path: &Path) -> String {
    visible_path(relative(path))
}

/// A path relative to the working folder where it lies below it.
pub(crate) fn relative(path: &Path) -> &Path {
    static HERE: std::sync::OnceLock<std::path::PathBuf> = std::sync::OnceLock::new();
    let here = HERE.get_or_init(|| crate::working_folder::working_folder().unwrap_or_default());
    match path.strip_prefix(here) {
        Ok(below) if !below.as_os_str().is_empty() => below,
        _ => path,
    }
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
            let line = json_message(&serde_json::json!({ "message": text }));
            assert!(!line.to_ascii_uppercase().contains("ABCDEF"), "{line}");
        }
        assert_eq!(visible("(AGE-SECRET-KEY-…)"), "(AGE-SECRET-KEY-…)");
        let pem =
            "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nabcdef\n-----END PGP PRIVATE KEY BLOCK-----";
        assert!(!visible(pem).contains("abcdef"), "{}", visible(pem));
        assert!(!visible("x -----BEGIN PRIVATE KEY-----abc").contains("abc"));
        let cut = format!("{pem} -----BEGIN PRIVATE KEY-----abc");
        assert!(!visible(&cut).contains("abc"), "{}", visible(&cut));
    }

    #[test]
    fn tokens_are_never_shown() {
        for token in [
            "hvs.CAESIJlU9JMYEhOPYv4igdhm9PnZDrabYTobQ4Ymnlq1qY",
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "glpat-ABCDEFGHIJKLMNOPQRST",
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
        ] {
            let text = format!("cannot use {token:?} as a recipient, ü");
            assert_eq!(visible(&text), "cannot use \"[token]\" as a recipient, ü");
            let line = json_message(&serde_json::json!({ "message": [{ "a": text }] }));
            assert!(!line.contains(token), "{line}");
        }
        for text in [
            "hvs.",
            "ghp_x",
            "task-force",
            "eyJ",
            "age1xlfde4vg8lqd47wvyk2chvgw769vtr59rxrqmflu7",
            "npm_registry_credentials.yaml",
            "npm_publish_token_for_the_ci",
        ] {
            assert_eq!(visible(text), text);
        }
    }

    /// The end of a key in armor may be missing; what stands behind the text is no part of it.
    #[test]
    fn a_message_with_half_a_private_key_is_still_json() {
        let value = serde_json::json!({ "message": "-----BEGIN PRIVATE KEY-----\nabc", "code": 1 });
        let line = json_message(&value);
        assert!(!line.contains("abc"), "{line}");
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["code"], 1);
    }

    #[test]
    fn results_are_as_they_are() {
        let jwt = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N";
        for text in [jwt, "-----BEGIN PRIVATE KEY-----", "a (os error 2)"] {
            assert_eq!(escaped(text), text);
            assert_eq!(visible_path(Path::new(text)), text);
            let value = serde_json::json!({ "file": text });
            assert_eq!(json_line(&value), format!("{{\"file\":\"{text}\"}}"));
        }
    }

    #[test]
    fn numbers_of_system_errors_are_left_out() {
        assert_eq!(
            visible("a: No such file (os error 2); b: Denied (os error 13)"),
            "a: No such file; b: Denied"
        );
        assert_eq!(visible("an (os error of mine)"), "an (os error of mine)");
    }

    /// Recipients and messages of peers may be as long as their authors like.
    #[test]
    fn long_messages_are_read_once() {
        let count = 100_000;
        let text = "a (os error 2) AGE-SECRET-KEY- ".repeat(count);
        let shown = visible(&text);
        assert_eq!(shown.len(), count * "a AGE-SECRET-KEY- ".len());
        let text = "AGE-SECRET-KEY-1ABCDEF ".repeat(count);
        assert_eq!(visible(&text), "[private key] ".repeat(count));
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
