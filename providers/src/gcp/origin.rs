//! Where credentials come from, and whose they are.

use std::sync::Arc;

use sealwright_crypto::surroundings::Surroundings;

use crate::credential::{Credentials, Scope};
use crate::http::HttpClient;

/// Whose a file is. That of a store comes from the author of a manifest, who may not read the program's own files or have
/// programs run.
pub(super) enum Origin {
    /// The user's own.
    User {
        surroundings: Arc<dyn Surroundings>,
        http: Arc<HttpClient>,
    },
    /// That of a store.
    Store { http: Arc<HttpClient> },
}

impl Origin {
    pub(super) fn http(&self) -> Arc<HttpClient> {
        match self {
            Self::User { http, .. } | Self::Store { http } => Arc::clone(http),
        }
    }
}

/// What answers the references of a store.
#[derive(Clone)]
pub(super) struct StoreSecrets {
    pub(super) credentials: Arc<dyn Credentials>,
    pub(super) scope: Scope,
}

/// Reads a variable; an empty one counts as none.
pub(super) fn variable(surroundings: &dyn Surroundings, name: &str) -> Option<String> {
    let value = surroundings.var(name)?.into_string().ok()?;
    Some(value).filter(|value| !value.is_empty())
}
