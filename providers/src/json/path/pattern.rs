//! Patterns of `*` and `?` for names and texts.

/// Returns true if a text matches a pattern of `*`, `?` and `\`, in time that is at most the product of their lengths.
pub(super) fn matches(text: &str, pattern: &str) -> bool {
    enum Token {
        Any,
        One,
        Only(char),
    }
    let mut tokens = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        tokens.push(match character {
            '*' => Token::Any,
            '?' => Token::One,
            '\\' => Token::Only(characters.next().unwrap_or('\\')),
            other => Token::Only(other),
        });
    }
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut token) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while at < text.len() {
        match tokens.get(token) {
            Some(Token::Any) => {
                back = Some((token + 1, at));
                token += 1;
            }
            Some(Token::One) => {
                at += 1;
                token += 1;
            }
            Some(Token::Only(character)) if *character == text[at] => {
                at += 1;
                token += 1;
            }
            _ => match &mut back {
                Some((after, from)) => {
                    *from += 1;
                    at = *from;
                    token = *after;
                }
                None => return false,
            },
        }
    }
    tokens[token..]
        .iter()
        .all(|token| matches!(token, Token::Any))
}
