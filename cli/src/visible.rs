//! Text from outside, made safe to show.
//!
//! Names, recipients, paths and error texts come from files, network peers and vaults. A terminal obeys the control
//! characters in them: they can move the cursor, erase the line above, or turn the direction of writing, so that a person
//! agrees to something else than what stands there. [`Terminal`](crate::terminal::Terminal) passes every message through
//! this module; only documents that were asked for leave the program as they are.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

/// Returns `text` on one line with every character that a terminal would obey or hide written as an escape.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
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
