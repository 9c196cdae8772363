//! Errors of templates, in the shape that Go gives them.

use std::fmt;

use thiserror::Error;

/// A template does not parse or does not run; the text holds places, names and types, no values.
///
/// Its whole text may quote the template itself. Where the template may be a secret, or the text is published to
/// readers who may not see the template, [`public_text`](Self::public_text) is what may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct TemplateError {
    name: String,
    line: usize,
    cause: Cause,
    place: Option<Place>,
    reason: String,
}

/// Why a template failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// It does not parse.
    Syntax,
    /// It names a function that the dialect does not have.
    UnknownFunction,
    /// A key is missing, and that is an error here.
    MissingKey,
    /// A function failed, or was given what it does not take.
    Function,
    /// The language itself was misused, for example a range over what is no list.
    Evaluation,
    /// It needed more time, memory or depth than it may have.
    Budget,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    column: usize,
    executing: String,
    node: String,
}

/// Longer pieces of templates are cut in errors.
const MAX_NODE: usize = 200;

impl TemplateError {
    /// `template: name:line: reason`
    pub(crate) fn at_line(name: &str, line: usize, cause: Cause, reason: String) -> Self {
        Self {
            name: name.to_owned(),
            line,
            cause,
            place: None,
            reason,
        }
    }

    /// `template: name:line:column: executing "executing" at <node>: reason`
    pub(crate) fn executing(mut self, column: usize, executing: &str, node: &str) -> Self {
        let cut = node.char_indices().nth(MAX_NODE).map(|(at, _)| at);
        self.place = Some(Place {
            column,
            executing: executing.to_owned(),
            node: match cut {
                Some(at) => format!("{}…", &node[..at]),
                None => node.to_owned(),
            },
        });
        self
    }

    /// Why it failed.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// The line of the template, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Says where and what class of failure it is, in fixed words that quote nothing of the template: `name:line: …`.
    #[must_use]
    pub fn public_text(&self) -> String {
        let words = match self.cause {
            Cause::Syntax => "the template does not parse",
            Cause::UnknownFunction => "the template calls a function that does not exist",
            Cause::MissingKey => "the template uses a key that the data does not have",
            Cause::Function => "a function failed",
            Cause::Evaluation => "the template does not fit its data",
            Cause::Budget => "the template exceeds its budget of time, memory or depth",
        };
        format!("{}:{}: {words}", self.name, self.line)
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "template: {}:{}", self.name, self.line)?;
        if let Some(place) = &self.place {
            let Place {
                column,
                executing,
                node,
            } = place;
            write!(f, ":{column}: executing {executing:?} at <{node}>")?;
        }
        write!(f, ": {}", self.reason)
    }
}
