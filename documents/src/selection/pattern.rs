//! Regular expressions as upstream understands them, which is RE2 syntax.

use regex::bytes::{Regex, RegexBuilder};

/// A compiled pattern: searched for, not anchored.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

/// A regular expression is not one that RE2 takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid regular expression `{pattern}`: {reason}")]
pub struct InvalidPattern {
    /// The expression.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

/// What an expression may take once it is compiled, in bytes.
pub(crate) const LARGEST: usize = 10 << 20;

impl Pattern {
    /// Compiles an expression.
    pub fn new(text: &str) -> Result<Self, InvalidPattern> {
        Self::within(text, LARGEST)?.ok_or_else(|| InvalidPattern {
            pattern: text.to_owned(),
            reason: "it is too large".to_owned(),
        })
    }

    /// Compiles an expression that takes so many bytes at most; `None` when it would take more.
    pub(crate) fn within(text: &str, bytes: usize) -> Result<Option<Self>, InvalidPattern> {
        let invalid = |reason: String| InvalidPattern {
            pattern: text.to_owned(),
            reason,
        };
        let translated =
            sealwright_re2::translate(text).map_err(|reason| invalid(reason.to_string()))?;
        match RegexBuilder::new(&translated).size_limit(bytes).build() {
            Ok(regex) => Ok(Some(Self(regex))),
            Err(regex::Error::CompiledTooBig(_)) => Ok(None),
            Err(error) => {
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default();
                let reason = last.strip_prefix("error: ").unwrap_or(last);
                Err(invalid(reason.to_owned()))
            }
        }
    }

    /// Whether it matches anywhere.
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.0.is_match(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_is_refused_is_named_with_the_reason() {
        assert_eq!(
            Pattern::new("a**").unwrap_err().to_string(),
            "invalid regular expression `a**`: a repetition cannot be repeated"
        );
        assert!(Pattern::new(r"^\d+$").unwrap().is_match(b"12"));
    }
}
