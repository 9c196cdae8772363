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

impl Pattern {
    /// Compiles an expression.
    pub fn new(text: &str) -> Result<Self, InvalidPattern> {
        let invalid = |reason: String| InvalidPattern {
            pattern: text.to_owned(),
            reason,
        };
        let translated =
            sealwright_re2::translate(text).map_err(|reason| invalid(reason.to_string()))?;
        let regex = RegexBuilder::new(&translated).build().map_err(|error| {
            let reason = match &error {
                regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
                _ => {
                    let text = error.to_string();
                    let last = text.lines().last().unwrap_or_default();
                    last.strip_prefix("error: ").unwrap_or(last).to_owned()
                }
            };
            invalid(reason)
        })?;
        Ok(Self(regex))
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
