//! Go's strings.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::{Arc, OnceLock};

use sealwright_crypto::secret::SecretBytes;
use zeroize::Zeroizing;

use crate::budget::{Budget, Charge, Exceeded};

/// A Go string: bytes that need not be UTF-8, wiped when the last holder drops them.
#[derive(Clone)]
pub(crate) struct Text(Arc<Content>);

struct Content {
    bytes: SecretBytes,
    /// The memory it takes of a budget, from the moment on in which a template holds it.
    charge: OnceLock<Charge>,
}

static_assertions::assert_not_impl_any!(Text: std::fmt::Debug, std::fmt::Display);

/// What a text takes beside its bytes.
pub(crate) const TEXT_SIZE: usize = size_of::<Content>() + 32;

impl Text {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.bytes.expose()
    }

    /// The text with invalid bytes replaced, for what only works on characters.
    pub(crate) fn lossy(&self) -> Zeroizing<String> {
        Zeroizing::new(String::from_utf8_lossy(self.bytes()).into_owned())
    }

    /// Lets the text count; one that counts already stays where it is.
    pub(crate) fn adopt(&self, budget: &Budget) -> Result<(), Exceeded> {
        if self.0.charge.get().is_some() {
            return Ok(());
        }
        let charge = budget.charge(TEXT_SIZE + self.bytes().len())?;
        let _ = self.0.charge.set(charge);
        Ok(())
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.bytes() == other.bytes()
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes().cmp(other.bytes())
    }
}

impl Borrow<[u8]> for Text {
    fn borrow(&self) -> &[u8] {
        self.bytes()
    }
}

impl From<SecretBytes> for Text {
    fn from(bytes: SecretBytes) -> Self {
        Self(Arc::new(Content {
            bytes,
            charge: OnceLock::new(),
        }))
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(SecretBytes::from(bytes))
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self::from(SecretBytes::copy_of(bytes))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::from(text.into_bytes())
    }
}
