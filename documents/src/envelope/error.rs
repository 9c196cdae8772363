//! What can go wrong between a plain and an encrypted document. Always where, never what.

use std::fmt;

use sealwright_crypto::cipher::CipherError;

use crate::error::{EmitError, ParseError};
use crate::metadata::MetadataError;
use crate::scalar::NotOfKind;
use crate::selection::InvalidRule;

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The path in the tree, such as `a.b[0]`.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, ", {}", self.path)?;
        }
        Ok(())
    }
}

/// A text is not an encrypted document.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The text is not of its format.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The `sops` block is missing.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The `sops` block is wrong.
    #[error("line {line}, column {column}: {source}")]
    Block {
        /// The line of the field, or of the block where it is about no field that is there.
        line: usize,
        /// The column in characters.
        column: usize,
        /// What is wrong.
        #[source]
        source: MetadataError,
    },
}

/// A document cannot be encrypted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// It is encrypted already, or has a key that only encrypted documents have.
    #[error("{place}: the top-level key {key:?} is reserved, the file is already encrypted")]
    AlreadyEncrypted {
        /// Where the key stands.
        place: Place,
        /// The key.
        key: String,
    },
    /// The rule that says which leaves are secret cannot be used.
    #[error(transparent)]
    Rule(#[from] InvalidRule),
    /// A key is not text.
    #[error("{0}: only text keys can be encrypted")]
    Key(Place),
    /// A value has no encrypted form.
    #[error("{0}: the number is beyond the 64-bit integers and cannot be encrypted")]
    Unsupported(Place),
    /// What the file would look like could not be decrypted.
    #[error("{0}: the encrypted comment itself matches unencrypted_comment_regex")]
    CommentMatches(Place),
    /// A comment decides whether a value is encrypted, and upstream would find it elsewhere in the encrypted file.
    #[error(
        "{0}: a comment decides whether this value is encrypted, and the encrypted file has no place for it; write the comment on a line of its own above the value"
    )]
    Selection(Place),
    /// A comment is secret, and the encrypted file has no place for it where it would be encrypted.
    #[error(
        "{0}: this comment is in an encrypted collection, and the encrypted file has no place for it there; write it on a line of its own above a value"
    )]
    CommentUncovered(Place),
    /// The document cannot be laid out so that it can be encrypted in place.
    #[error(transparent)]
    Prepare(#[from] ParseError),
    /// The format cannot hold the block.
    #[error("cannot write the sops block: {0}")]
    Block(#[source] EmitError),
}

/// A document cannot be decrypted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// A value does not open.
    #[error("{place}: {source}")]
    Value {
        /// Where it stands.
        place: Place,
        /// What is wrong with it.
        #[source]
        source: CipherError,
    },
    /// A value opens and is not of the type that it names.
    #[error("{place}: {source}")]
    Kind {
        /// Where it stands.
        place: Place,
        /// Which type.
        #[source]
        source: NotOfKind,
    },
    /// A value that should be encrypted is no text.
    #[error("{0}: the value should be encrypted and is not")]
    NotEncrypted(Place),
    /// A key is not text.
    #[error("{0}: only text keys can be decrypted")]
    Key(Place),
    /// A plain value cannot be hashed.
    #[error("{0}: the number is beyond the 64-bit integers")]
    Unsupported(Place),
    /// The format cannot hold a decrypted value.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// The file has no MAC.
    #[error("the file has no MAC")]
    NoMac,
    /// The MAC does not open.
    #[error("the MAC of the file does not open: {0}")]
    Mac(#[source] CipherError),
    /// The MAC is that of other values.
    #[error(
        "the MAC does not agree with the values of the file: they were changed without the data key"
    )]
    MacMismatch,
}

impl DecryptError {
    /// Whether it is about the MAC, which programs report apart.
    pub fn is_about_mac(&self) -> bool {
        matches!(self, Self::NoMac | Self::Mac(_) | Self::MacMismatch)
    }
}

/// Something that did not stop the work.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A comment was kept as it stands: it does not open, so it was perhaps never encrypted.
    CommentKept(Place),
    /// So many more comments were kept as they stand.
    CommentsKept(usize),
    /// A value looks encrypted and the file's rule leaves it plain.
    LooksEncrypted(Place),
    /// So many more values look encrypted.
    LookEncrypted(usize),
    /// The presentation hints do not open or do not fit and were left aside.
    HintsLeft,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommentKept(place) => write!(
                f,
                "{place}: the comment does not open and is kept as it is; older programs did not encrypt comments"
            ),
            Self::CommentsKept(more) => {
                write!(
                    f,
                    "{more} more comments do not open and are kept as they are"
                )
            }
            Self::LookEncrypted(more) => write!(
                f,
                "{more} more values look encrypted, but the rule of the file leaves them plain"
            ),
            Self::LooksEncrypted(place) => write!(
                f,
                "{place}: the value looks encrypted, but the rule of the file leaves it plain"
            ),
            Self::HintsLeft => {
                f.write_str("the presentation hints do not fit any more and were left aside")
            }
        }
    }
}
