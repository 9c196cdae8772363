//! What goes wrong while sealing and unsealing objects.

use std::collections::BTreeSet;
use std::fmt;

use sealwright_crypto::sealing::base64::Base64Error;
use sealwright_template::{Cause, TemplateError};
use thiserror::Error;

use crate::keyring::NoKey;
use crate::plain_secret::PlainSecretError;

/// Why a Secret cannot be sealed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SealError {
    /// The scope needs a namespace and there is none.
    #[error("secret must declare a namespace")]
    NoNamespace,
    /// The encryption of one value failed.
    #[error("cannot seal the value of key {key:?}")]
    Encrypt {
        /// The key of the value.
        key: String,
        /// What the cipher says.
        source: sealwright_crypto::sealing::SealError,
    },
    /// The values to be resealed cannot be opened.
    #[error(transparent)]
    Unseal(#[from] UnsealError),
}

/// Why a SealedSecret cannot be unsealed. The texts are those of upstream, because alerts
/// and scripts match on them; none of them holds a value.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UnsealError {
    /// Some items failed.
    #[error(transparent)]
    Items(ItemErrors),
    /// More private-key operations are needed than may be made.
    #[error("more private-key operations are needed than may be made")]
    ManyOperations,
    /// Both formats at once.
    #[error(
        "cannot use the field 'encryptedData' and the deprecated field 'data' at the same time"
    )]
    BothFormats,
    /// The deprecated format is switched off.
    #[error("using deprecated 'data' field, use 'encryptedData' or flip the feature flag")]
    DeprecatedRefused,
    /// The deprecated blob is no base64.
    #[error(transparent)]
    DeprecatedBase64(Base64Error),
    /// No key opens the deprecated blob.
    #[error(transparent)]
    DeprecatedNoKey(NoKey),
    /// The deprecated blob holds no Secret.
    #[error(transparent)]
    DeprecatedSecret(PlainSecretError),
}

impl UnsealError {
    /// Returns true if more was needed than the caller permits: time, memory or depth of templates, or private-key operations.
    /// It will not do better next time.
    #[must_use]
    pub fn exceeds_budget(&self) -> bool {
        match self {
            Self::Items(errors) => errors.exceeds_budget,
            Self::ManyOperations => true,
            _ => false,
        }
    }
}

/// The failures of single items: grouped by message, each message followed by the names of the
/// items in parentheses.
///
/// Upstream writes the names in random order; here they are sorted, so that the same fault
/// has the same text every time.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ItemErrors {
    groups: Vec<(String, BTreeSet<String>)>,
    exceeds_budget: bool,
    /// The others were not tried.
    pub(super) stops: bool,
}

impl ItemErrors {
    /// Adds the failure of one item.
    pub fn push(&mut self, item: &str, error: &impl fmt::Display) {
        let message = error.to_string();
        match self.groups.iter_mut().find(|(known, _)| *known == message) {
            Some((_, items)) => {
                items.insert(item.to_owned());
            }
            None => self.groups.push((message, [item.to_owned()].into())),
        }
    }

    /// Adds the failure of a template.
    pub(super) fn push_template(&mut self, item: &str, error: &TemplateError) {
        self.exceeds_budget |= error.cause() == Cause::Budget;
        self.push(item, error);
    }

    /// Tells whether nothing failed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The messages, each with the names of its items.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.groups
            .iter()
            .map(|(message, items)| (message.as_str(), items))
    }

    /// Turns a list with failures into an error.
    pub(super) fn into_result(self) -> Result<(), UnsealError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(UnsealError::Items(self))
        }
    }
}

impl fmt::Display for ItemErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (message, items)) in self.groups.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            let items: Vec<&str> = items.iter().map(String::as_str).collect();
            write!(f, "{message} ({})", items.join(", "))?;
        }
        Ok(())
    }
}

impl std::error::Error for ItemErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t34_names_are_grouped_by_message_and_sorted() {
        let mut errors = ItemErrors::default();
        errors.push("str", &NoKey);
        errors.push("out", &"template: out:1: function \"env\" not defined");
        errors.push("a", &NoKey);
        assert_eq!(
            errors.to_string(),
            "no key could decrypt secret (a, str)\ntemplate: out:1: function \"env\" not defined (out)"
        );
    }
}
