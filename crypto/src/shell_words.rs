//! Splits a command that a variable holds into words, as a POSIX shell would, without expanding anything.

/// Splits `text` at blanks; quotes and backslashes protect, and `#` at the start of a word begins a comment.
///
/// Inside single quotes nothing is special; inside double quotes and outside of quotes a backslash takes the next
/// character as it is. This is the dialect of upstream's splitter: a shell would keep most backslashes inside
/// double quotes.
pub fn split(text: &str) -> Result<Vec<String>, UnfinishedCommand> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text.chars();
    while let Some(char) = rest.next() {
        match char {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '#' if word.is_none() => {
                rest.by_ref().find(|&char| char == '\n');
            }
            '\\' => {
                let protected = rest.next().ok_or(UnfinishedCommand::Backslash)?;
                word.get_or_insert_default().push(protected);
            }
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next().ok_or(UnfinishedCommand::Quote)? {
                        end if end == char => break,
                        '\\' if char == '"' => {
                            word.push(rest.next().ok_or(UnfinishedCommand::Backslash)?);
                        }
                        other => word.push(other),
                    }
                }
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

/// A command ends in the middle of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnfinishedCommand {
    /// Nothing follows a backslash.
    #[error("nothing follows the last backslash")]
    Backslash,
    /// A quote is never closed.
    #[error("a quote is not closed")]
    Quote,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        split(text).unwrap()
    }

    #[test]
    fn words_are_split_as_upstream_does() {
        assert_eq!(words("  a  b\tc\nd\r\n"), ["a", "b", "c", "d"]);
        assert_eq!(words("code --wait"), ["code", "--wait"]);
        assert_eq!(words("'a b' \"c d\"e f\\ g"), ["a b", "c de", "f g"]);
        assert_eq!(words(r#"'a\b' "c\"d\n" "#), [r"a\b", "c\"dn"]);
        assert_eq!(words("'' \"\" x"), ["", "", "x"]);
        assert_eq!(words("a#b # c d\ne"), ["a#b", "e"]);
        assert_eq!(words(" \n # nothing"), [""; 0]);
    }

    #[test]
    fn unfinished_words_are_refused() {
        assert_eq!(split("a 'b"), Err(UnfinishedCommand::Quote));
        assert_eq!(split("a \"b"), Err(UnfinishedCommand::Quote));
        assert_eq!(split("a\\"), Err(UnfinishedCommand::Backslash));
        assert_eq!(split("\"a\\"), Err(UnfinishedCommand::Backslash));
    }
}
