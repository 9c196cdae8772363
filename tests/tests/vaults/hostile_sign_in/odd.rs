//! The hostile answers.

use serde_json::{Value, json};

use super::super::hostile::PEERS;

/// The token that the vaults accept.
pub(super) const GOOD: &str = "good-token";

/// What a service says in the place of credentials.
pub(super) struct Odd {
    pub(super) name: &'static str,
    pub(super) token: fn() -> String,
    pub(super) end: End,
    /// A JSON value beside the token.
    pub(super) beside: fn() -> String,
}

/// When credentials end.
#[derive(Clone, Copy)]
pub(super) enum End {
    Usual,
    Past,
    Far,
    Absent,
    Nonsense,
}

impl End {
    pub(super) fn seconds(self) -> Value {
        match self {
            Self::Usual => json!(3600),
            Self::Past => json!(0),
            Self::Far => json!(u64::MAX),
            Self::Absent => Value::Null,
            Self::Nonsense => json!("soon"),
        }
    }

    pub(super) fn date(self) -> Value {
        match self {
            Self::Usual => json!("2099-01-01T00:00:00Z"),
            Self::Past => json!("1970-01-01T00:00:00Z"),
            Self::Far => json!("9999-12-31T23:59:59Z"),
            Self::Absent => Value::Null,
            Self::Nonsense => json!("soon"),
        }
    }
}

const fn odd(name: &'static str, token: fn() -> String, end: End) -> Odd {
    Odd {
        name,
        token,
        end,
        beside: || "1".to_owned(),
    }
}

fn good() -> String {
    GOOD.to_owned()
}

pub(super) const USUAL: Odd = odd("credentials", good, End::Usual);

pub(super) const ODDS: &[Odd] = &[
    odd("an end in the past", good, End::Past),
    odd("an end beyond all times", good, End::Far),
    odd("no end", good, End::Absent),
    odd("an end that is none", good, End::Nonsense),
    Odd {
        name: "a hundred thousand lists",
        token: good,
        end: End::Usual,
        beside: || "[".repeat(100_000) + &"]".repeat(100_000),
    },
    odd(
        "a wrong token that never ends",
        || "canary-of-another".to_owned(),
        End::Far,
    ),
    odd("no token", String::new, End::Usual),
    odd(
        "a token with a line break",
        || "canary\r\nX-Evil: 1".to_owned(),
        End::Far,
    ),
    odd("a token with NUL", || "canary\0".to_owned(), End::Far),
    odd(
        "a token that hides what it says",
        || "canary\u{1b}[2J\u{202e}".to_owned(),
        End::Far,
    ),
    odd(
        "a token of half a megabyte",
        || "canary".repeat(80_000),
        End::Far,
    ),
    odd(
        "a token of ten megabytes",
        || "canary".repeat(1_700_000),
        End::Far,
    ),
];

/// Answers that repeat what was sent, by their status.
pub(super) type Echo = (&'static str, u16, fn(&str) -> String);

pub(super) const ECHOES: &[Echo] = &[
    ("an echo as an error with status 200", 200, |text| {
        json!({"Code": "Failed", "Message": text, "error": text, "errors": [text]}).to_string()
    }),
    ("an echo as a code", 400, |text| {
        json!({"__type": text, "Code": text, "message": text, "error": text, "error_description": text,
            "errors": [text]})
        .to_string()
    }),
    ("an echo in XML", 400, |text| {
        format!(
            "<ErrorResponse><Error><Code>Failed</Code><Message>{text}</Message></Error></ErrorResponse>"
        )
    }),
    ("an echo in a page", 403, |text| {
        format!("<html>{text}</html>")
    }),
];

/// How many hostile answers there are; 0 stands for the usual one.
pub(super) fn answers() -> usize {
    PEERS.len() + ODDS.len() + ECHOES.len()
}

pub(super) fn name_of(answer: usize) -> &'static str {
    let number = answer - 1;
    match number.checked_sub(PEERS.len()) {
        None => PEERS[number].0,
        Some(number) => match number.checked_sub(ODDS.len()) {
            None => ODDS[number].name,
            Some(number) => ECHOES[number].0,
        },
    }
}
