//! Key services: programs that wrap and unwrap data keys for others, over gRPC without TLS.
//!
//! The protocol is that of `sops keyservice`: service `KeyService` without a package, methods `Encrypt` and `Decrypt`.
//! What goes over the wire beside the name of the master key is the text of a file's `enc` field, or the data key itself:
//! both sides trust the socket between them.
//!
//! # Contract
//! - The local service, which is this program itself, is asked first, then the remote ones in their order; the first
//!   that succeeds wins.
//! - A remote service is connected to when it is first needed. The connection is kept for the rest of the run.

mod client;
mod message;
mod server;

use std::sync::Arc;
use std::time::Duration;

use sealwright_crypto::{
    data_key::KeyPart,
    key_kind::{KeyFields, KeyKind},
    master_key::{KeyError, MasterKey, Pending, Wrapped},
};

use crate::network::Network;

use self::client::RemoteKey;
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

/// A master key that several services can serve: the first that succeeds wins.
pub(crate) struct ServedKey {
    fields: KeyFields,
    services: Vec<Arc<dyn MasterKey>>,
}

impl ServedKey {
    /// Serves `fields` by `services`, in their order.
    pub(crate) fn new(fields: KeyFields, services: Vec<Arc<dyn MasterKey>>) -> Self {
        Self { fields, services }
    }

    /// The failure of all services.
    fn failure(mut failures: Vec<KeyError>) -> KeyError {
        match failures.len() {
            0 => KeyError::new("no key service is configured"),
            1 => failures.remove(0),
            _ => KeyError {
                reason: "no key service succeeded".to_owned(),
                tried: failures.into_iter().flat_map(KeyError::lines).collect(),
            },
        }
    }
}

impl MasterKey for ServedKey {
    fn kind(&self) -> &'static KeyKind {
        self.fields.kind()
    }

    fn identity(&self) -> String {
        self.fields.identity()
    }

    fn wrap_key<'a>(&'a self, part: &'a KeyPart) -> Pending<'a, Result<Wrapped, KeyError>> {
        Box::pin(async move {
            let mut failures = Vec::new();
            for service in &self.services {
                match service.wrap_key(part).await {
                    Ok(wrapped) => return Ok(wrapped),
                    Err(error) => failures.push(error),
                }
            }
            Err(Self::failure(failures))
        })
    }

    fn unwrap_key<'a>(
        &'a self,
        wrapped: &'a Wrapped,
    ) -> Pending<'a, Result<Option<KeyPart>, KeyError>> {
        Box::pin(async move {
            let mut failures = Vec::new();
            for service in &self.services {
                match service.unwrap_key(wrapped).await {
                    Ok(Some(part)) => return Ok(Some(part)),
                    Ok(None) => failures.push(service.not_mine(wrapped)),
                    Err(error) => failures.push(error),
                }
            }
            Err(Self::failure(failures))
        })
    }
}

/// The ways to a key: through this machine, then through each remote service. Where there are several, what fails names
/// its service.
pub(crate) fn ways(
    fields: &KeyFields,
    local: Option<Arc<dyn MasterKey>>,
    remotes: &[Arc<Remote>],
    network: &Network,
) -> Vec<Arc<dyn MasterKey>> {
    let local = local.map(|key| match remotes {
        [] => key,
        _ => Arc::new(LocalService(key)),
    });
    let mut ways = Vec::from_iter(local);
    for remote in remotes {
        ways.push(Arc::new(RemoteKey::new(fields.clone(), remote, network)));
    }
    ways
}

/// A key of this machine beside those of remote services: what it says names it.
struct LocalService(Arc<dyn MasterKey>);

impl LocalService {
    fn named(error: KeyError) -> KeyError {
        KeyError {
            reason: format!("local key service: {}", error.reason),
            ..error
        }
    }
}

impl MasterKey for LocalService {
    fn kind(&self) -> &'static KeyKind {
        self.0.kind()
    }

    fn identity(&self) -> String {
        self.0.identity()
    }

    fn wrap_key<'a>(&'a self, part: &'a KeyPart) -> Pending<'a, Result<Wrapped, KeyError>> {
        Box::pin(async move { self.0.wrap_key(part).await.map_err(Self::named) })
    }

    fn unwrap_key<'a>(
        &'a self,
        wrapped: &'a Wrapped,
    ) -> Pending<'a, Result<Option<KeyPart>, KeyError>> {
        Box::pin(async move { self.0.unwrap_key(wrapped).await.map_err(Self::named) })
    }

    fn not_mine(&self, wrapped: &Wrapped) -> KeyError {
        Self::named(self.0.not_mine(wrapped))
    }

    fn is_far(&self) -> bool {
        self.0.is_far()
    }

    fn patience(&self) -> Duration {
        self.0.patience()
    }
}

#[cfg(test)]
mod tests;
