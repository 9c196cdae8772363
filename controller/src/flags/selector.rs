//! Label selectors in flags, as the API server reads them.
//!
//! ```text
//! selector    = [ requirement { "," requirement } ]
//! requirement = "!" key | key | key operator value | key ( "in" | "notin" ) "(" [ value ] { "," [ value ] } ")"
//! operator    = "=" | "==" | "!=" | "<" | ">"
//! ```
//!
//! A value may be empty, but for `<` and `>` it is a whole number. The API server refuses every request with another selector, so
//! one that is wrong would be a controller that sees nothing.

use thiserror::Error;

/// Why a selector is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("at position {position}: {reason}")]
pub(super) struct NoSelector {
    /// Which character it is about, counted from 1.
    position: usize,
    reason: String,
}

/// Checks a label selector.
pub(super) fn check(text: &str) -> Result<(), NoSelector> {
    let mut tokens = Tokens::of(text);
    if tokens.peek().text.is_empty() {
        return Ok(());
    }
    loop {
        requirement(&mut tokens)?;
        let next = tokens.take();
        match next.text {
            "" => return Ok(()),
            "," => {}
            _ => return Err(next.is_not("a comma or the end")),
        }
    }
}

fn requirement(tokens: &mut Tokens<'_>) -> Result<(), NoSelector> {
    let negated = tokens.peek().text == "!";
    if negated {
        tokens.take();
    }
    let key = tokens.take();
    if !key.is_word() {
        return Err(key.is_not("the name of a label"));
    }
    if !is_key(key.text) {
        return Err(key.fails("cannot be the name of a label"));
    }
    if negated || matches!(tokens.peek().text, "" | ",") {
        return Ok(());
    }
    let operator = tokens.take();
    match operator.text {
        "in" | "notin" => values(tokens),
        "=" | "==" | "!=" => value(tokens).map(drop),
        "<" | ">" => {
            let value = value(tokens)?;
            match value.text.parse::<i64>() {
                Ok(_) => Ok(()),
                Err(_) => Err(value.is_not("a whole number")),
            }
        }
        _ => Err(operator.is_not("one of =, ==, !=, in, notin, < and >")),
    }
}

/// Reads one value; it is what follows if it is empty.
fn value<'a>(tokens: &mut Tokens<'a>) -> Result<Token<'a>, NoSelector> {
    let next = tokens.peek();
    if matches!(next.text, "" | ",") {
        return Ok(next);
    }
    tokens.take().value()
}

/// Reads values in parentheses.
fn values(tokens: &mut Tokens<'_>) -> Result<(), NoSelector> {
    let open = tokens.take();
    if open.text != "(" {
        return Err(open.is_not("("));
    }
    loop {
        if tokens.peek().is_word() {
            tokens.take().value()?;
        }
        let next = tokens.take();
        match next.text {
            ")" => return Ok(()),
            "," => {}
            _ => return Err(next.is_not("a value, a comma or )")),
        }
    }
}

/// A word, an operator or a mark; without text the end.
#[derive(Clone, Copy)]
struct Token<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Token<'a> {
    fn is_word(&self) -> bool {
        !self.text.is_empty() && !self.text.starts_with(is_mark)
    }

    /// The token, if it can be a value.
    fn value(self) -> Result<Token<'a>, NoSelector> {
        if !self.is_word() {
            return Err(self.is_not("a value"));
        }
        match is_name(self.text) {
            true => Ok(self),
            false => Err(self.fails("cannot be the value of a label")),
        }
    }

    fn is_not(&self, expected: &str) -> NoSelector {
        let reason = match self.text {
            "" => format!("it ends, where {expected} is expected"),
            found => format!("found {found:?}, where {expected} is expected"),
        };
        let position = self.position;
        NoSelector { position, reason }
    }

    fn fails(&self, why: &str) -> NoSelector {
        NoSelector {
            position: self.position,
            reason: format!("{:?} {why}", self.text),
        }
    }
}

/// What is left of a selector.
struct Tokens<'a> {
    rest: &'a str,
    position: usize,
}

impl<'a> Tokens<'a> {
    fn of(text: &'a str) -> Self {
        let mut tokens = Self {
            rest: text,
            position: 1,
        };
        tokens.skip_blanks();
        tokens
    }

    fn peek(&self) -> Token<'a> {
        let length = match self.rest {
            rest if rest.starts_with("==") || rest.starts_with("!=") => 2,
            rest if rest.starts_with(is_mark) => 1,
            rest => rest
                .find(|found| is_mark(found) || is_blank(found))
                .unwrap_or(rest.len()),
        };
        Token {
            text: &self.rest[..length],
            position: self.position,
        }
    }

    fn take(&mut self) -> Token<'a> {
        let token = self.peek();
        self.advance(token.text.len());
        self.skip_blanks();
        token
    }

    fn skip_blanks(&mut self) {
        let blanks = self.rest.len() - self.rest.trim_start_matches(is_blank).len();
        self.advance(blanks);
    }

    fn advance(&mut self, bytes: usize) {
        let (passed, rest) = self.rest.split_at(bytes);
        self.position += passed.chars().count();
        self.rest = rest;
    }
}

fn is_blank(found: char) -> bool {
    matches!(found, ' ' | '\t' | '\r' | '\n')
}

fn is_mark(found: char) -> bool {
    matches!(found, '=' | '!' | '(' | ')' | ',' | '<' | '>')
}

/// Returns true for a name, and for one behind the name of a domain and a slash.
fn is_key(text: &str) -> bool {
    const LONGEST_DOMAIN: usize = 253;
    let is_part = |part: &str| {
        let is_small = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        is_enclosed(part, is_small) && part.bytes().all(|byte| is_small(byte) || byte == b'-')
    };
    match text.split_once('/') {
        None => is_name(text),
        Some((domain, name)) => {
            domain.len() <= LONGEST_DOMAIN && domain.split('.').all(is_part) && is_name(name)
        }
    }
}

/// Returns true for what a label may be called, and for what its value may be.
fn is_name(text: &str) -> bool {
    const LONGEST: usize = 63;
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    text.len() <= LONGEST
        && is_enclosed(text, |byte| byte.is_ascii_alphanumeric())
        && text.bytes().all(is_inner)
}

/// Returns true if the first and the last byte are such.
fn is_enclosed(text: &str, is_outer: impl Fn(u8) -> bool) -> bool {
    let ends = (text.bytes().next(), text.bytes().next_back());
    matches!(ends, (Some(first), Some(last)) if is_outer(first) && is_outer(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_server_takes_is_a_selector() {
        let longest = "a".repeat(63);
        for text in [
            "",
            "  ",
            "a",
            "!a",
            "! a , b",
            "a=b",
            "a==b,c!=d",
            "a = b",
            "a=",
            "a=,b==",
            "a in (b)",
            "a notin(b,c)",
            "a in ()",
            "a in (,)",
            "a in (,b,,c,)",
            "in in (in,notin)",
            "a>1,b<02",
            "example.com/A_b.c=1-a",
            "team=a\n,\ttier",
            &longest,
            &format!("{longest}={longest}"),
        ] {
            assert_eq!(check(text), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_selector_is_told_with_its_position() {
        let long = "a".repeat(64);
        let too_long = format!("at position 3: {long:?} cannot be the value of a label");
        for (text, expected) in [
            (
                "=a",
                "at position 1: found \"=\", where the name of a label is expected",
            ),
            (
                "a,",
                "at position 3: it ends, where the name of a label is expected",
            ),
            (
                "a, ,b",
                "at position 4: found \",\", where the name of a label is expected",
            ),
            (
                "!",
                "at position 2: it ends, where the name of a label is expected",
            ),
            (
                "!a=b",
                "at position 3: found \"=\", where a comma or the end is expected",
            ),
            (
                "a b",
                "at position 3: found \"b\", where one of =, ==, !=, in, notin, < and > is expected",
            ),
            (
                "a===b",
                "at position 4: found \"=\", where a value is expected",
            ),
            (
                "a=b c",
                "at position 5: found \"c\", where a comma or the end is expected",
            ),
            ("a in b", "at position 6: found \"b\", where ( is expected"),
            (
                "a in (b",
                "at position 8: it ends, where a value, a comma or ) is expected",
            ),
            (
                "a in (b c)",
                "at position 9: found \"c\", where a value, a comma or ) is expected",
            ),
            (
                "a in (b))",
                "at position 9: found \")\", where a comma or the end is expected",
            ),
            (
                "a>b",
                "at position 3: found \"b\", where a whole number is expected",
            ),
            (
                "a<",
                "at position 3: it ends, where a whole number is expected",
            ),
            (
                "ü-=b",
                "at position 1: \"ü-\" cannot be the name of a label",
            ),
            (
                "ü, a=b",
                "at position 1: \"ü\" cannot be the name of a label",
            ),
            (
                "a=ü, b",
                "at position 3: \"ü\" cannot be the value of a label",
            ),
            (
                "a/b/c",
                "at position 1: \"a/b/c\" cannot be the name of a label",
            ),
            (
                "A/b",
                "at position 1: \"A/b\" cannot be the name of a label",
            ),
            ("a/", "at position 1: \"a/\" cannot be the name of a label"),
            (
                "a=-b",
                "at position 3: \"-b\" cannot be the value of a label",
            ),
            (&format!("a={long}"), &too_long),
        ] {
            let error = check(text).unwrap_err();
            assert_eq!(error.to_string(), expected, "{text:?}");
        }
    }
}
