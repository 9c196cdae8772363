//! What `genCA` and its like give: a certificate with its key.

use crate::text::Text;

/// A certificate and its key, both PEM.
#[derive(PartialEq, Eq)]
pub(crate) struct Certificate {
    pub(crate) cert: Text,
    pub(crate) key: Text,
}
