//! Lets the age crate and its plugins talk to a person through our [`Callbacks`].

use std::sync::Arc;

use age_core::secrecy::SecretString;

use crate::{master_key::Callbacks, surroundings::Surroundings};

/// Whom an identity may ask.
#[derive(Clone, Copy)]
pub(super) struct Helpers<'a> {
    pub(super) surroundings: &'a dyn Surroundings,
    pub(super) callbacks: &'a Arc<dyn Callbacks>,
}

#[derive(Clone)]
pub(super) struct Dialog(Arc<dyn Callbacks>);

impl Dialog {
    pub(super) fn new(callbacks: &Arc<dyn Callbacks>) -> Self {
        Self(Arc::clone(callbacks))
    }
}

impl ::age::Callbacks for Dialog {
    fn display_message(&self, message: &str) {
        self.0.show(message);
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        let no = no.unwrap_or("no");
        let answer = self.0.ask(&format!("{message} [{yes}/{no}]"))?;
        let answer = answer.trim().to_lowercase();
        let begins =
            |choice: &str| !answer.is_empty() && choice.to_lowercase().starts_with(&answer);
        Some(["y", "yes"].contains(&answer.as_str()) || (begins(yes) && !begins(no)))
    }

    fn request_public_string(&self, description: &str) -> Option<String> {
        self.0.ask(description)
    }

    fn request_passphrase(&self, description: &str) -> Option<SecretString> {
        let passphrase = self.0.passphrase(description)?;
        Some(SecretString::from(passphrase.expose().to_owned()))
    }
}
