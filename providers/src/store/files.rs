//! Where File stores may lie, and how their files are opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealwright_crypto::secret::SecretBytes;

/// Turns what lies in a file into plain JSON or plain bytes.
pub trait Decrypt: Send + Sync {
    /// Reads a file's bytes: a map of a document as JSON, decrypted if it was encrypted. `whole` is true when the file is
    /// the store, and false when it is one key of a folder, whose bytes are the value unless they are encrypted.
    ///
    /// # Errors
    ///
    /// Says why it cannot be read, without a value.
    fn open(&self, path: &Path, bytes: SecretBytes, whole: bool) -> Result<SecretBytes, String>;
}

/// Where File stores may lie, and how their files are opened.
#[derive(Clone)]
pub struct Files {
    /// What relative paths begin at.
    pub base: PathBuf,
    /// Whether absolute paths and paths out of the base are allowed: on the command line they are, in a cluster not.
    pub anywhere: bool,
    /// How files are opened; without it they are plain JSON or plain bytes.
    pub decrypt: Option<Arc<dyn Decrypt>>,
}
