//! Whose templates these are: the functions they may call, their delimiters, and what a missing key is.

use crate::budget::Limits;

/// The program whose templates are rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// The Sealed Secrets controller: Go's own functions and those of sprig that do not look at
    /// the machine; a missing key is `<no value>`.
    SealedSecrets,
    /// Version 2 of the engine of the External Secrets Operator: with functions for PEM, PKCS#12,
    /// JSON Web Keys and YAML, and without `fail`, whose text could publish values; a missing key is an
    /// error.
    ExternalSecrets,
}

/// What `.key` gives when the map has no such key; `index` gives an empty value in every mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingKey {
    /// No value, which prints as `<no value>` (`missingkey=default`).
    NoValue,
    /// The zero value of the map's element type (`missingkey=zero`).
    Zero,
    /// An error that names the key (`missingkey=error`).
    Error,
}

/// The marks around an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delimiters {
    pub(crate) left: String,
    pub(crate) right: String,
}

impl Delimiters {
    /// Takes a pair of delimiters; an empty one stands for Go's own, as in Go.
    #[must_use]
    pub fn new(left: &str, right: &str) -> Self {
        let or = |text: &str, default: &str| match text {
            "" => default.to_owned(),
            text => text.to_owned(),
        };
        Self {
            left: or(left, "{{"),
            right: or(right, "}}"),
        }
    }
}

impl Default for Delimiters {
    fn default() -> Self {
        Self::new("", "")
    }
}

/// How a template is read and rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The functions there are.
    pub dialect: Dialect,
    /// The marks around actions.
    pub delimiters: Delimiters,
    /// What a missing key gives.
    pub missing_key: MissingKey,
    /// The time and memory that a rendering may take.
    pub limits: Limits,
}

impl Options {
    /// Renders as the program of this dialect does by default.
    #[must_use]
    pub fn of(dialect: Dialect) -> Self {
        Self {
            dialect,
            delimiters: Delimiters::default(),
            missing_key: match dialect {
                Dialect::SealedSecrets => MissingKey::NoValue,
                Dialect::ExternalSecrets => MissingKey::Error,
            },
            limits: Limits::default(),
        }
    }

    /// Uses other delimiters.
    #[must_use]
    pub fn with_delimiters(self, delimiters: Delimiters) -> Self {
        Self { delimiters, ..self }
    }

    /// Treats missing keys in another way.
    #[must_use]
    pub fn with_missing_key(self, missing_key: MissingKey) -> Self {
        Self {
            missing_key,
            ..self
        }
    }

    /// Sets other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }
}
