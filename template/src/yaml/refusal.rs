//! How the reader of Kubernetes' programs words what is no YAML: templates that ask for a document get these words in its place.
//!
//! Only words that quote nothing of the document are known here.

use granit_parser::ErrorKind;

/// Who notices it: the two count lines in different ways.
enum Finder {
    Scanner,
    Parser,
}

/// The words for an error at this line, counted from 1; none if they are not known.
pub(super) fn words(kind: &ErrorKind, line: usize, text: &str) -> Option<String> {
    use Finder::{Parser, Scanner};
    let mut line = line;
    let mut end = || line = text.lines().count();
    let (words, finder) = match kind {
        ErrorKind::MappingValueNotAllowed => {
            ("mapping values are not allowed in this context", Scanner)
        }
        ErrorKind::MappingKeyNotAllowed => {
            ("mapping keys are not allowed in this context", Scanner)
        }
        ErrorKind::BlockSequenceEntryNotAllowed => (
            "block sequence entries are not allowed in this context",
            Scanner,
        ),
        ErrorKind::UnexpectedCharacter { .. } => {
            ("found character that cannot start any token", Scanner)
        }
        ErrorKind::UnclosedQuotedScalar => {
            end();
            ("found unexpected end of stream", Scanner)
        }
        ErrorKind::UnknownQuotedScalarEscape => ("found unknown escape character", Scanner),
        ErrorKind::MissingAnchorOrAliasName => (
            "did not find expected alphabetic or numeric character",
            Scanner,
        ),
        ErrorKind::InvalidBlockScalarHeader => {
            ("did not find expected comment or line break", Scanner)
        }
        ErrorKind::ExpectedNodeContent => ("did not find expected node content", Parser),
        ErrorKind::ExpectedBlockMappingKey => ("did not find expected key", Parser),
        ErrorKind::ExpectedBlockSequenceEntry => ("did not find expected '-' indicator", Parser),
        ErrorKind::ExpectedFlowMappingSeparator => ("did not find expected ',' or '}'", Parser),
        ErrorKind::ExpectedFlowSequenceSeparator => ("did not find expected ',' or ']'", Parser),
        ErrorKind::UnclosedFlowCollection { open } => {
            end();
            line += 1;
            let is_empty = text.trim_end().ends_with(*open);
            match (is_empty, open) {
                (true, _) => ("did not find expected node content", Parser),
                (false, '{') => ("did not find expected ',' or '}'", Parser),
                (false, _) => ("did not find expected ',' or ']'", Parser),
            }
        }
        ErrorKind::UnexpectedEofFlowSequence => {
            end();
            line += 1;
            ("did not find expected ',' or ']'", Parser)
        }
        ErrorKind::UnexpectedEofFlowMapping => {
            end();
            line += 1;
            ("did not find expected ',' or '}'", Parser)
        }
        _ => return None,
    };
    Some(match (finder, line) {
        (Scanner, 0..=1) | (Parser, 0..=1) => words.to_owned(),
        (Scanner, line) => format!("line {line}: {words}"),
        (Parser, line) => format!("line {}: {words}", line - 1),
    })
}
