//! Words of a command line as one line for a shell.

use std::ffi::OsString;

/// One word is a shell command; several are a program with arguments, quoted so that the shell keeps them as they are.
pub(super) fn quote_words(words: &[OsString]) -> OsString {
    if let [line] = words {
        return line.clone();
    }
    let mut line = OsString::from("exec");
    for word in words {
        line.push(" ");
        // The place of the file stays bare: its path has no character that a shell would touch.
        if word == "{}" {
            line.push(word);
            continue;
        }
        let quoted = word.to_string_lossy().replace('\'', r"'\''");
        line.push(format!("'{quoted}'"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_program_as_they_are() {
        let words = ["a b", "it's", "{}", "$HOME"].map(OsString::from);
        assert_eq!(quote_words(&words), r"exec 'a b' 'it'\''s' {} '$HOME'");
        assert_eq!(quote_words(&["a | b".into()]), "a | b");
    }
}
