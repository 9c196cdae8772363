//! Go's strings.

use std::cmp::Ordering;
use std::sync::Arc;

use zeroize::Zeroizing;

/// A Go string: bytes that need not be UTF-8, wiped when the last holder drops them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Text(Arc<Zeroizing<Vec<u8>>>);

static_assertions::assert_not_impl_any!(Text: std::fmt::Debug, std::fmt::Display);

impl Text {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text with invalid bytes replaced, for what only works on characters.
    pub(crate) fn lossy(&self) -> Zeroizing<String> {
        Zeroizing::new(String::from_utf8_lossy(&self.0).into_owned())
    }
}

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

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self::from(bytes.to_vec())
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
