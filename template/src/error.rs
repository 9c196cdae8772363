//! Errors of templates, in the shape that Go gives them.

use thiserror::Error;

/// A template does not parse or does not run; the text holds places, names and types, no values.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct TemplateError(pub(crate) String);

impl TemplateError {
    /// `template: name:line: reason`.
    pub(crate) fn parse(name: &str, line: usize, reason: &str) -> Self {
        Self(format!("template: {name}:{line}: {reason}"))
    }

    /// Translates an error of the parser, which knows columns that Go does not tell.
    pub(crate) fn from_parser(name: &str, error: gotmpl::TemplateError) -> Self {
        match error {
            gotmpl::TemplateError::Parse { line, message, .. }
            | gotmpl::TemplateError::Lex { line, message, .. } => Self::parse(name, line, &message),
            other => Self(format!("template: {name}: {other}")),
        }
    }
}
