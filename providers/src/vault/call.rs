//! Calls to a server, and what they come to.

use sealwright_crypto::secret::SecretBytes;

/// A call to the server.
pub(crate) struct Call<'a> {
    pub(crate) method: &'static str,
    /// Segments of the path behind `/v1`.
    pub(crate) path: &'a str,
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) body: Option<SecretBytes>,
}

impl<'a> Call<'a> {
    pub(crate) fn get(path: &'a str) -> Self {
        Self {
            method: "GET",
            path,
            query: &[],
            body: None,
        }
    }

    pub(crate) fn list(path: &'a str) -> Self {
        Self {
            method: "LIST",
            ..Self::get(path)
        }
    }

    pub(crate) fn put(path: &'a str, body: SecretBytes) -> Self {
        Self {
            method: "PUT",
            body: Some(body),
            ..Self::get(path)
        }
    }

    pub(crate) fn delete(path: &'a str) -> Self {
        Self {
            method: "DELETE",
            ..Self::get(path)
        }
    }
}

/// What a call came to.
pub(crate) enum Reply {
    /// A body, which is a JSON object.
    Data(SecretBytes),
    /// Done, without a body.
    Done,
    /// A version that was deleted or destroyed: the body says so.
    Gone(SecretBytes),
    /// Nothing there, if there is an engine.
    Nothing,
}
