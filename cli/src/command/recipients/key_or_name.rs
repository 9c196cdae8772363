//! Someone who joins or leaves, as the command line names them.

use sealwright_crypto::key_kind::{
    AGE, AWS_KMS, AZURE_KEY_VAULT, GCP_KMS, KeyFields, PGP, VAULT_TRANSIT,
};

use crate::config::Names;
use crate::error::{Error, Result};

/// Someone, by a key or by a name of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct KeyOrName(pub(crate) String);

impl KeyOrName {
    /// The key that the text is, if it is one.
    pub(super) fn key(&self) -> Result<Option<KeyFields>> {
        let text = self.0.trim();
        let upper = text.to_ascii_uppercase();
        let is_fingerprint = text.len() >= 16
            && text
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b' ');
        let kind = if upper.starts_with("AGE1")
            || upper.starts_with("AGE-SECRET-KEY-")
            || text.starts_with("ssh-")
            || upper.contains("PRIVATE KEY")
        {
            &AGE
        } else if text.starts_with("arn:") {
            &AWS_KMS
        } else if text.starts_with("projects/") {
            &GCP_KMS
        } else if text.starts_with("https://") && text.contains("/keys/") && !text.contains("/v1/")
        {
            &AZURE_KEY_VAULT
        } else if text.contains("://") {
            &VAULT_TRANSIT
        } else if is_fingerprint {
            &PGP
        } else {
            return Ok(None);
        };
        let failed =
            |error: sealwright_crypto::key_kind::KeyTextError| Error::generic(error.to_string());
        let key = kind.parse(text).map_err(failed)?;
        key.check_named().map_err(failed)?;
        Ok(Some(key))
    }

    /// The age recipient that the text is, if it is a key.
    pub(crate) fn recipient(&self) -> Result<Option<String>> {
        match self.key()? {
            Some(key) if key.kind() == &AGE => Ok(Some(key.identity())),
            Some(key) => Err(
                Error::generic(format!("{} is no age recipient", key.identity())).hint(
                    "begin with an age key; `sealwright recipients add` takes keys of all kinds",
                ),
            ),
            None => Ok(None),
        }
    }

    pub(super) fn unknown(&self, names: &Names) -> Error {
        let error = Error::generic(format!("no recipient is called {:?}", self.0));
        match names.all().join(", ") {
            known if known.is_empty() => error.hint(
                "a key gets a name by a comment behind it in the configuration: `- age1… # alice`",
            ),
            known => error.hint(format!("the configuration knows {known}")),
        }
    }
}
