//! OpenPGP master keys, through the `gpg` program: keyrings, agents and smart cards stay with it.

use std::{ffi::OsString, io, sync::Arc};

use crate::{
    data_key::KeyPart,
    key_kind::{KeyFields, KeyKind, PGP},
    master_key::{KeyError, MasterKey, Opener, Pending, Wrapped},
    surroundings::{Call, Outcome, Surroundings},
};

/// Wraps key parts for one OpenPGP key.
pub struct PgpKey {
    fingerprint: String,
    surroundings: Arc<dyn Surroundings>,
}

impl PgpKey {
    /// Takes a fingerprint, a key id, or either with the `!` of a subkey. Blanks are dropped; letters keep their case,
    /// so the same fingerprint in lower case names another key when keys are compared.
    pub fn parse(fingerprint: &str, surroundings: &Arc<dyn Surroundings>) -> Self {
        Self {
            fingerprint: fingerprint.replace(' ', ""),
            surroundings: Arc::clone(surroundings),
        }
    }

    /// The fingerprint as it is compared and stored.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn wrap(&self, part: &KeyPart) -> Result<Wrapped, KeyError> {
        let fingerprint = self.fingerprint.as_str();
        if fingerprint.is_empty() || fingerprint.starts_with('-') {
            return Err(KeyError::new(format!(
                "{fingerprint:?} is not the fingerprint of an OpenPGP key"
            )));
        }
        let arguments = [
            "--no-default-recipient",
            "--yes",
            "--encrypt",
            "-a",
            "-r",
            fingerprint,
            "--trusted-key",
            shorten(fingerprint),
            "--no-encrypt-to",
        ];
        let outcome = self.gpg(&arguments, part.expose())?;
        if outcome.failure.is_some() {
            return Err(KeyError::new(format!(
                "gpg cannot wrap the data key for {fingerprint}: {}",
                complaint(&outcome)
            )));
        }
        let message = std::str::from_utf8(outcome.output.expose())
            .map_err(|_| KeyError::new("gpg wrote something else than text"))?
            .trim();
        if message.is_empty() {
            return Err(KeyError::new("gpg wrote nothing"));
        }
        Ok(Wrapped(message.to_owned()))
    }

    fn unwrap(&self, wrapped: &Wrapped) -> Result<Option<KeyPart>, KeyError> {
        let outcome = self.gpg(&["-d"], wrapped.0.as_bytes())?;
        if outcome.failure.is_some() {
            if complains_of_no_secret_key(&outcome) {
                return Ok(None);
            }
            return Err(KeyError::new(format!(
                "gpg cannot unwrap the data key of {}: {}",
                self.fingerprint,
                complaint(&outcome)
            )));
        }
        if outcome.output.is_empty() {
            // An old gpg drops the packets of newer ciphers, prints nothing and succeeds.
            return Err(KeyError::new(format!(
                "gpg found nothing in the data key of {}; it may be too old for its cipher",
                self.fingerprint
            )));
        }
        Ok(Some(KeyPart::copy_of(outcome.output.expose())))
    }

    /// Key material goes through pipes only: arguments and files can be read by others.
    fn gpg(&self, arguments: &[&str], input: &[u8]) -> Result<Outcome, KeyError> {
        let program = self
            .surroundings
            .var("SOPS_GPG_EXEC")
            .filter(|program| !program.is_empty())
            .unwrap_or_else(|| OsString::from("gpg"));
        self.surroundings
            .run(&Call {
                program: &program,
                arguments,
                // The complaint is read below; this changes the language of messages and nothing of a prompt's encoding.
                variables: &[("LANGUAGE", "en")],
                input: Some(input),
            })
            .map_err(|error| {
                let program = program.to_string_lossy();
                KeyError::new(match error.kind() {
                    io::ErrorKind::NotFound => {
                        format!("there is no program {program:?}: install GnuPG, or name it in SOPS_GPG_EXEC")
                    }
                    _ => format!("cannot run {program:?}: {error}"),
                })
            })
    }
}

impl MasterKey for PgpKey {
    fn kind(&self) -> &'static KeyKind {
        &PGP
    }

    fn identity(&self) -> String {
        self.fingerprint.clone()
    }

    fn wrap_key<'a>(&'a self, part: &'a KeyPart) -> Pending<'a, Result<Wrapped, KeyError>> {
        Box::pin(async move { self.wrap(part) })
    }

    /// Answers "not mine" when gpg says that it has no secret key for the message.
    fn unwrap_key<'a>(
        &'a self,
        wrapped: &'a Wrapped,
    ) -> Pending<'a, Result<Option<KeyPart>, KeyError>> {
        Box::pin(async move { self.unwrap(wrapped) })
    }

    fn not_mine(&self, _wrapped: &Wrapped) -> KeyError {
        let home = self.surroundings.var("GNUPGHOME");
        let looked = match home.filter(|home| !home.is_empty()) {
            Some(home) => format!("GNUPGHOME, {}", home.to_string_lossy()),
            None => "~/.gnupg; GNUPGHOME is not set".to_owned(),
        };
        KeyError::new(format!(
            "gpg has no private key for it (looked in {looked})"
        ))
    }
}

/// Makes OpenPGP keys.
pub struct PgpKeys(pub Arc<dyn Surroundings>);

impl Opener for PgpKeys {
    fn kind(&self) -> &'static KeyKind {
        &PGP
    }

    fn open(&self, key: &KeyFields) -> Arc<dyn MasterKey> {
        Arc::new(PgpKey::parse(key.text("fp"), &self.0))
    }
}

/// The last 16 characters, and one more where the last is the `!` of a subkey: gpg trusts keys by their id.
fn shorten(fingerprint: &str) -> &str {
    let kept = if fingerprint.ends_with('!') { 17 } else { 16 };
    fingerprint
        .char_indices()
        .rev()
        .nth(kept - 1)
        .map_or(fingerprint, |(at, _)| &fingerprint[at..])
}

fn complains_of_no_secret_key(outcome: &Outcome) -> bool {
    String::from_utf8_lossy(&outcome.complaint)
        .lines()
        .any(|line| line.contains("decryption failed") && line.contains("No secret key"))
}

/// What gpg said, on one line; it names keys and reasons and has no key material.
fn complaint(outcome: &Outcome) -> String {
    let said = String::from_utf8_lossy(&outcome.complaint);
    let said: Vec<&str> = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    match &outcome.failure {
        Some(failure) if said.is_empty() => failure.clone(),
        _ => said.join("; "),
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
