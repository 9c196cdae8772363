//! Key services: programs that wrap and unwrap data keys for others, over gRPC without TLS.
//!
//! The protocol is that of `sops keyservice`: service `KeyService` without a package, methods `Encrypt` and `Decrypt`.
//! What goes over the wire beside the name of the master key is the text of a file's `enc` field, or the data key itself:
//! both sides trust the socket between them.
//!
//! # Contract
//! - The local service, which is this program itself, is asked first, then the remote ones in their order; the first
//!   that succeeds wins.
//! - A remote service is connected to when it is first needed, and the connection is not kept.

mod client;
mod message;
mod server;

use std::{sync::Arc, time::Duration};

use sealwright_crypto::{
    data_key::KeyPart,
    master_key::{KeyError, Kind, MasterKey, Pending, Wrapped},
    secret::SecretBytes,
};
use sealwright_documents::metadata::KeyFields;

pub(crate) use self::{
    client::Remote,
    server::{Door, OpenKey, Server},
};

/// The name of a method, as a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Encrypt,
    Decrypt,
}

impl Method {
    fn path(self) -> &'static str {
        match self {
            Self::Encrypt => "/KeyService/Encrypt",
            Self::Decrypt => "/KeyService/Decrypt",
        }
    }

    fn of_path(path: &str) -> Option<Self> {
        [Self::Encrypt, Self::Decrypt]
            .into_iter()
            .find(|method| method.path() == path)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
        }
    }
}

/// A master key that this program and other services try to serve.
pub(crate) struct ServedKey {
    fields: KeyFields,
    local: Option<Box<dyn MasterKey>>,
    remotes: Arc<[Remote]>,
}

impl ServedKey {
    /// Serves `fields` by `local`, unless the local service is switched off, and then by `remotes`.
    pub(crate) fn new(
        fields: KeyFields,
        local: Option<Box<dyn MasterKey>>,
        remotes: &Arc<[Remote]>,
    ) -> Self {
        Self {
            fields,
            local,
            remotes: Arc::clone(remotes),
        }
    }

    async fn ask_remotes(
        &self,
        method: Method,
        input: &[u8],
        mut tried: Vec<String>,
    ) -> Result<SecretBytes, KeyError> {
        let request = message::encode_request(&self.fields, input);
        for remote in self.remotes.iter() {
            match remote.call(method, &request).await {
                Ok(answer) => return Ok(answer),
                Err(reason) => tried.push(format!("key service {remote}: {reason}")),
            }
        }
        let reason = match tried.len() {
            0 => "there is no key service to ask",
            _ => "no key service could do it",
        };
        Err(KeyError {
            reason: reason.to_owned(),
            tried,
        })
    }

    fn local_failed(&self, error: KeyError) -> Result<Vec<String>, KeyError> {
        if self.remotes.is_empty() {
            return Err(error);
        }
        let mut tried = vec![format!("local key service: {error}")];
        tried.extend(error.tried);
        Ok(tried)
    }
}

impl MasterKey for ServedKey {
    fn kind(&self) -> Kind {
        self.fields.kind()
    }

    fn identity(&self) -> String {
        self.fields.identity()
    }

    fn wrap_key<'a>(&'a self, part: &'a KeyPart) -> Pending<'a, Result<Wrapped, KeyError>> {
        Box::pin(async move {
            let mut tried = Vec::new();
            if let Some(local) = &self.local {
                match local.wrap_key(part).await {
                    Ok(wrapped) => return Ok(wrapped),
                    Err(error) => tried = self.local_failed(error)?,
                }
            }
            let answer = self
                .ask_remotes(Method::Encrypt, part.expose(), tried)
                .await?;
            String::from_utf8(answer.expose().to_vec())
                .map(Wrapped)
                .map_err(|_| {
                    KeyError::new("the key service answered with something else than text")
                })
        })
    }

    fn unwrap_key<'a>(
        &'a self,
        wrapped: &'a Wrapped,
    ) -> Pending<'a, Result<Option<KeyPart>, KeyError>> {
        Box::pin(async move {
            let mut tried = Vec::new();
            if let Some(local) = &self.local {
                match local.unwrap_key(wrapped).await {
                    Ok(None) if !self.remotes.is_empty() => {
                        tried.push("local key service: it has no secret key for it".to_owned());
                    }
                    Ok(part) => return Ok(part),
                    Err(error) => tried = self.local_failed(error)?,
                }
            }
            let answer = self
                .ask_remotes(Method::Decrypt, wrapped.0.as_bytes(), tried)
                .await?;
            Ok(Some(KeyPart::copy_of(answer.expose())))
        })
    }

    fn patience(&self) -> Duration {
        let near = self
            .local
            .as_ref()
            .map_or(Duration::ZERO, |key| key.patience());
        let remotes = u32::try_from(self.remotes.len()).unwrap_or(u32::MAX);
        near.saturating_add(client::PATIENCE.saturating_mul(remotes))
    }
}

#[cfg(test)]
mod tests;
