//! The kinds of failures, which scripts see as exit codes and in JSON.

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
    /// The reader of standard output is gone.
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
    /// The exit code, the same in every front-end (`docs/src/exit-codes.md`).
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
