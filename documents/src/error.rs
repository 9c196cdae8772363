//! What can be wrong with a document: always where, never what the secret was.

/// A document cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
#[non_exhaustive]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong, without any value of the document.
    pub reason: String,
    /// Whether the file had no document at all, which programs report apart.
    pub empty: bool,
}

impl ParseError {
    /// An error at an offset of `text`.
    pub fn at(text: &[u8], offset: usize, reason: impl Into<String>) -> Self {
        let (line, column) = position(text, offset);
        Self {
            line,
            column,
            reason: reason.into(),
            empty: false,
        }
    }

    /// The error of a document whose encrypted form would say something else.
    pub fn layout(text: &[u8]) -> Self {
        let reason = "this layout cannot be kept while values are encrypted, please simplify it";
        Self::at(text, 0, reason)
    }

    /// The error of a file without any document.
    pub fn no_document() -> Self {
        Self {
            line: 1,
            column: 1,
            reason: "file cannot be completely empty, it must contain at least one document".into(),
            empty: true,
        }
    }
}

/// A document cannot be written in this format.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
#[non_exhaustive]
pub struct EmitError {
    /// The path of the value in the tree, such as `a.b[0]`; empty for the document itself.
    pub path: String,
    /// Why the format cannot hold it.
    pub reason: String,
}

impl EmitError {
    /// An error at a path of the tree.
    pub fn new(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            reason: reason.into(),
        }
    }
}

/// The line and column of an offset, both from 1; columns count characters.
pub fn position(text: &[u8], offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
    let line = memchr::memchr_iter(b'\n', before).count() + 1;
    let column = before[line_start..]
        .iter()
        .filter(|byte| (**byte & 0xC0) != 0x80)
        .count()
        + 1;
    (line, column)
}
