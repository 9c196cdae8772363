//! What a command reports when it fails: a kind, a text with its cause, and hints.

mod fault;
mod kind;

use std::borrow::Cow;
use std::error::Error as StdError;

use crate::visible::without_secrets;

pub(crate) use self::fault::Fault;
pub(crate) use self::kind::Kind;

/// A failed command.
#[derive(Debug)]
pub(crate) struct Error {
    /// Decides the exit code.
    pub(crate) kind: Kind,
    /// What was attempted and with what; may be empty when the child or the report said it all.
    pub(crate) text: String,
    /// Why it failed.
    pub(crate) cause: Option<Box<dyn StdError + Send + Sync>>,
    /// More lines about it, each of them one line of text.
    pub(crate) report: Vec<String>,
    /// What to do about it.
    pub(crate) hints: Vec<String>,
    /// What failed, where the front-ends have words of their own for it.
    pub(crate) fault: Option<Box<Fault>>,
}

impl Error {
    /// An error without a cause.
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            cause: None,
            report: Vec::new(),
            hints: Vec::new(),
            fault: None,
        }
    }

    /// An error of no special kind.
    pub(crate) fn generic(text: impl Into<String>) -> Self {
        Self::new(Kind::Generic, text)
    }

    /// A failure that every front-end has words of its own for.
    pub(crate) fn of(fault: Fault) -> Self {
        let mut error = Self::new(fault.kind(), fault.text());
        error.fault = Some(Box::new(fault));
        error
    }

    /// Adds why it failed.
    pub(crate) fn because(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds lines that say more about it.
    pub(crate) fn report(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.report.extend(lines);
        self
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same error for another command that meets it.
    pub(crate) fn again(&self) -> Self {
        Self {
            kind: self.kind,
            text: self.text.clone(),
            cause: self
                .cause
                .as_ref()
                .map(|cause| with_causes(&**cause).into()),
            report: self.report.clone(),
            hints: self.hints.clone(),
            fault: self.fault.clone(),
        }
    }

    /// The same error, of the kind "there is no such file" where that is why a file could not be read.
    pub(crate) fn absent_as_no_file(mut self) -> Self {
        let cause = self.cause.as_ref();
        let cause = cause.and_then(|cause| cause.downcast_ref::<std::io::Error>());
        let is_absent = cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::NotFound);
        if self.kind == Kind::Read && is_absent {
            self.kind = Kind::NoFile;
        }
        self
    }

    /// The text and its causes, and behind them the report, if any, with line breaks between; without private keys and
    /// tokens.
    pub(crate) fn message(&self) -> String {
        self.lines().join("\n")
    }

    /// The text with its causes, then the lines of the report; without private keys and tokens.
    pub(crate) fn lines(&self) -> Vec<String> {
        let first = self.first_line();
        let mut lines = Vec::with_capacity(1 + self.report.len());
        if !first.is_empty() || !self.report.is_empty() {
            lines.push(first);
        }
        lines.extend_from_slice(&self.report);
        for line in &mut lines {
            if let Cow::Owned(rest) = without_secrets(line) {
                *line = rest;
            }
        }
        lines
    }

    /// What to do about it, without private keys and tokens.
    pub(crate) fn shown_hints(&self) -> Vec<String> {
        let hints = self.hints.iter();
        hints
            .map(|hint| without_secrets(hint).into_owned())
            .collect()
    }

    fn first_line(&self) -> String {
        match &self.cause {
            Some(cause) if self.text.is_empty() => with_causes(&**cause),
            Some(cause) => format!("{}: {}", self.text, with_causes(&**cause)),
            None => self.text.clone(),
        }
    }
}

/// An error and its causes on one line, each once: some libraries repeat what is below them.
pub(crate) fn with_causes(error: &(dyn StdError + 'static)) -> String {
    let say = |error: &(dyn StdError + 'static)| match error.downcast_ref::<std::io::Error>() {
        Some(error) => reason(error),
        None => error.to_string(),
    };
    let mut text = say(error);
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = say(error);
        if !text.contains(&said) {
            let separator = if text.is_empty() { "" } else { ": " };
            text.push_str(separator);
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

/// What an error of the system says, without the number that only programmers know.
pub(crate) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match (text.rfind(" (os error "), text.ends_with(')')) {
        (Some(at), true) => {
            let mut words = text[..at].to_owned();
            if let Some(first) = words.get_mut(..1) {
                first.make_ascii_lowercase();
            }
            words
        }
        _ => text,
    }
}

/// The result of whatever a command does.
pub(crate) type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_every_cause() {
        let error =
            Error::generic("cannot read a.yaml").because(std::io::Error::other("disk on fire"));
        assert_eq!(error.message(), "cannot read a.yaml: disk on fire");
        assert_eq!(error.kind.code(), 1);
    }

    #[test]
    fn nothing_of_an_error_shows_a_token() {
        let token = "hvs.CAESIJlU9JMYEhOPYv4igdhm9PnZDrabYTobQ4Ymnlq1qY";
        let said = format!("the peer says {token}");
        let error = Error::generic("cannot read")
            .because(std::io::Error::other(said.clone()))
            .report([said.clone()])
            .hint(said);
        let hidden = "the peer says [token]";
        assert_eq!(
            error.lines(),
            [format!("cannot read: {hidden}"), hidden.to_owned()]
        );
        assert_eq!(error.shown_hints(), [hidden]);
    }
}
