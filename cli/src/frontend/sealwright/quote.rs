//! Words of a command line as one line for a shell.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::exec::in_quotes;

/// One word is a shell command; several are a program with arguments, quoted so that the shell keeps them as they are.
pub(super) fn quote_words(words: &[OsString]) -> OsString {
    if let [line] = words {
        return line.clone();
    }
    let mut line = b"exec".to_vec();
    for word in words {
        line.extend_from_slice(b" '");
        line.extend(in_quotes(word.as_bytes()));
        line.push(b'\'');
    }
    OsString::from_vec(line)
}

/// Whether [`quote_words`] has these words in quotes.
pub(super) fn has_quotes(words: &[OsString]) -> bool {
    words.len() != 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_program_as_they_are() {
        let words = ["a b", "it's", "{}", "$HOME"].map(OsString::from);
        assert_eq!(quote_words(&words), r"exec 'a b' 'it'\''s' '{}' '$HOME'");
        assert_eq!(quote_words(&["a | b".into()]), "a | b");
        let words = [b"a".to_vec(), b"\xff".to_vec()].map(OsString::from_vec);
        assert_eq!(quote_words(&words).as_bytes(), b"exec 'a' '\xff'");
    }
}
