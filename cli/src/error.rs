//! What a command reports when it fails: a kind, a text with its cause, and hints.

use std::error::Error as StdError;

/// What kind of failure it was; the front-ends make the exit code of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Kind {
    /// Anything without a code of its own.
    Generic,
    /// The command line makes no sense.
    Usage,
    /// The input cannot be read.
    Read,
    /// The input is no document of its format.
    Parse,
    /// The input has no `sops` block.
    NotEncrypted,
    /// The output cannot be opened or written.
    Write,
    /// The document cannot be written in the wished format.
    Emit,
    /// The encryption context of a KMS key makes no sense.
    KeyContext,
    /// The path or value given to `set` or `unset` makes no sense.
    Path,
    /// Options that exclude each other.
    Conflict,
    /// A value cannot be encrypted.
    EncryptTree,
    /// A value cannot be decrypted.
    DecryptTree,
    /// Master keys shall be added to or removed from a file that does not exist.
    NoFileToRotate,
    /// The MAC does not agree.
    Mac,
    /// The path given to `--extract` makes no sense.
    ExtractPath,
    /// The file holds no document.
    NoDocument,
    /// The file is not there, or none was named.
    NoFile,
    /// A kind of master key stands twice in the decryption order.
    DecryptionOrder,
    /// No master key gave the data key.
    NoDataKey,
    /// The editor left the file as it was.
    Unchanged,
    /// The editor did not run or failed.
    Editor,
    /// The file's version cannot be compared with ours.
    Version,
    /// The file is encrypted already, or uses the reserved key.
    AlreadyEncrypted,
    /// A topic without help.
    HelpTopic,
    /// A check found something to do.
    Outdated,
    /// A person gave up.
    Interrupted,
    /// A file's recipients are not those of its creation rule.
    Recipients,
    /// A selection rule would leave every value in plaintext.
    LeftPlain,
    /// Nobody reads standard output any more.
    Pipe,
    /// A store has no such key.
    Absent,
    /// A store refuses, fails or cannot be reached.
    Store,
    /// A signal asked the program to stop; the exit code that shells show for it.
    Stopped(u8),
    /// A child's own exit code.
    Child(u8),
}

impl Kind {
    /// The exit code, the same in every front-end (`docs/exit-codes.md`).
    pub(crate) fn code(self) -> u8 {
        match self {
            Kind::Generic
            | Kind::Usage
            | Kind::NotEncrypted
            | Kind::Outdated
            | Kind::Interrupted
            | Kind::Recipients
            | Kind::LeftPlain
            | Kind::Absent
            | Kind::Store => 1,
            Kind::Read | Kind::Parse => 2,
            Kind::Write | Kind::HelpTopic => 3,
            Kind::Emit => 4,
            Kind::KeyContext => 6,
            Kind::Path => 7,
            Kind::Conflict => 8,
            Kind::EncryptTree => 23,
            Kind::DecryptTree => 25,
            Kind::NoFileToRotate => 49,
            Kind::Mac => 51,
            Kind::ExtractPath => 91,
            Kind::NoDocument => 92,
            Kind::NoFile => 100,
            Kind::DecryptionOrder => 112,
            Kind::NoDataKey => 128,
            Kind::Unchanged => 200,
            Kind::Editor => 201,
            Kind::Version => 202,
            Kind::AlreadyEncrypted => 203,
            Kind::Pipe => 141,
            Kind::Stopped(code) | Kind::Child(code) => code,
        }
    }

    /// The stable name for scripts, in JSON output.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Generic => "failed",
            Kind::Usage => "usage",
            Kind::Read | Kind::Parse => "unreadable",
            Kind::NotEncrypted => "not-encrypted",
            Kind::Write => "unwritable",
            Kind::Emit => "not-representable",
            Kind::KeyContext => "key-context",
            Kind::Path => "path",
            Kind::Conflict => "conflicting-options",
            Kind::EncryptTree => "encrypt-value",
            Kind::DecryptTree => "decrypt-value",
            Kind::NoFileToRotate => "no-file-to-rotate",
            Kind::Mac => "mac",
            Kind::ExtractPath => "extract-path",
            Kind::NoDocument => "no-document",
            Kind::NoFile => "no-file",
            Kind::DecryptionOrder => "decryption-order",
            Kind::NoDataKey => "no-data-key",
            Kind::Unchanged => "unchanged",
            Kind::Editor => "editor",
            Kind::Version => "version",
            Kind::AlreadyEncrypted => "already-encrypted",
            Kind::HelpTopic => "help-topic",
            Kind::Outdated => "outdated",
            Kind::Interrupted => "interrupted",
            Kind::Recipients => "recipients-differ",
            Kind::LeftPlain => "left-in-plaintext",
            Kind::Pipe => "pipe",
            Kind::Absent => "absent",
            Kind::Store => "store",
            Kind::Stopped(_) => "stopped",
            Kind::Child(_) => "child",
        }
    }
}

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
        }
    }

    /// An error of no special kind.
    pub(crate) fn generic(text: impl Into<String>) -> Self {
        Self::new(Kind::Generic, text)
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

    /// The text and its causes, and behind them the report, if any, with line breaks between.
    pub(crate) fn message(&self) -> String {
        self.lines().join("\n")
    }

    /// The text with its causes, then the lines of the report.
    pub(crate) fn lines(&self) -> Vec<String> {
        let first = self.first_line();
        let mut lines = Vec::with_capacity(1 + self.report.len());
        if !first.is_empty() || !self.report.is_empty() {
            lines.push(first);
        }
        lines.extend_from_slice(&self.report);
        lines
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
}
