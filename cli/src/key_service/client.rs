//! Asks a key service that runs elsewhere.

use std::fmt;
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::uri::PathAndQuery;
#[cfg(unix)]
use hyper_util::rt::TokioIo;
use sealwright_crypto::data_key::KeyPart;
use sealwright_crypto::key_kind::{KeyFields, KeyKind};
use sealwright_crypto::master_key::{KeyError, MasterKey, Pending, Wrapped};
use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use tonic::{
    Request, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::{Channel, Endpoint},
};

use super::{Method, message};
use crate::error::with_causes;
use crate::network::Network;

/// How long one service may take: the person at its end may be asked for consent.
const PATIENCE: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(10);

/// A service at an address.
#[derive(Debug)]
pub(crate) struct Remote {
    address: String,
    place: Place,
    /// Connects at the first call, and again when the connection is lost.
    channel: OnceLock<Channel>,
}

#[derive(Debug)]
enum Place {
    Tcp(Box<Endpoint>),
    #[cfg(unix)]
    Unix(PathBuf),
}

impl Remote {
    /// Takes `tcp://host:port`, `unix:///path` or, as gRPC has it, `unix:path`.
    pub(crate) fn parse(address: &str) -> Result<Self, NotAnAddress> {
        let refused = |reason: &str| NotAnAddress {
            address: address.to_owned(),
            reason: reason.to_owned(),
        };
        let (scheme, rest) = match address.strip_prefix("unix:") {
            Some(path) if !path.starts_with("//") => ("unix:", path),
            _ => address
                .split_once("://")
                .ok_or_else(|| refused("it has no scheme"))?,
        };
        let place = match scheme {
            "tcp" | "tcp4" | "tcp6" => {
                let host = rest.trim_end_matches('/');
                if host
                    .rsplit_once(':')
                    .is_none_or(|(_, port)| port.parse::<u16>().is_err())
                {
                    return Err(refused("it has no port"));
                }
                let host = match host.strip_prefix(':') {
                    Some(port) => format!("localhost:{port}"),
                    None => host.to_owned(),
                };
                let endpoint = Endpoint::from_shared(format!("http://{host}"))
                    .map_err(|_| refused("its host is not valid"))?;
                Place::Tcp(Box::new(endpoint))
            }
            #[cfg(unix)]
            "unix" if rest.starts_with('/') => Place::Unix(rest.into()),
            #[cfg(unix)]
            "unix:" if !rest.is_empty() => Place::Unix(rest.into()),
            "unix:" => return Err(refused("it has no path")),
            "unix" => return Err(refused("its path is not absolute")),
            _ => return Err(refused("its scheme is neither tcp nor unix")),
        };
        Ok(Self {
            address: address.to_owned(),
            place,
            channel: OnceLock::new(),
        })
    }

    async fn call(&self, method: Method, request: SecretBytes) -> Result<SecretBytes, String> {
        let channel = self.channel.get_or_init(|| self.connect_later()).clone();
        let mut client = tonic::client::Grpc::new(channel);
        let answering = async {
            client.ready().await.map_err(|error| with_causes(&error))?;
            let mut request = Request::new(request);
            request.set_timeout(PATIENCE);
            let path = PathAndQuery::from_static(method.path());
            let answer = client.unary(request, path, Plain).await;
            answer.map_err(|status| said(&status))
        };
        let answer = tokio::time::timeout(PATIENCE, answering)
            .await
            .map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))??
            .into_inner();
        let output = message::decode_response(&answer).map_err(|error| error.to_string())?;
        if output.is_empty() {
            return Err("it answered with nothing".to_owned());
        }
        Ok(output)
    }

    fn connect_later(&self) -> Channel {
        match &self.place {
            Place::Tcp(endpoint) => endpoint.clone().connect_timeout(CONNECT).connect_lazy(),
            #[cfg(unix)]
            Place::Unix(path) => {
                let path = path.clone();
                let connector = tower::service_fn(move |_: http::Uri| {
                    let path = path.clone();
                    async move {
                        let connected = tokio::net::UnixStream::connect(path).await;
                        connected.map(TokioIo::new)
                    }
                });
                Endpoint::from_static("http://localhost").connect_with_connector_lazy(connector)
            }
        }
    }
}

/// What a service said, or why it could not be asked.
fn said(status: &Status) -> String {
    let cause = std::error::Error::source(status).map(with_causes);
    match (status.message(), cause) {
        ("", None) => format!("{:?}", status.code()),
        (_, Some(cause)) => cause,
        (message, None) => message.to_owned(),
    }
}

/// A master key that a remote service serves.
pub(crate) struct RemoteKey {
    fields: KeyFields,
    remote: Arc<Remote>,
    network: Network,
}

impl RemoteKey {
    /// Has a service at a remote address use a key.
    pub(crate) fn new(fields: KeyFields, remote: &Arc<Remote>, network: &Network) -> Self {
        Self {
            fields,
            remote: Arc::clone(remote),
            network: network.clone(),
        }
    }

    async fn call(&self, method: Method, input: &[u8]) -> Result<SecretBytes, KeyError> {
        let request = message::encode_request(&self.fields, input);
        let remote = Arc::clone(&self.remote);
        let calling = self
            .network
            .spawn(async move { remote.call(method, request).await })?;
        calling
            .await?
            .map_err(|reason| KeyError::new(format!("key service {}: {reason}", self.remote)))
    }
}

impl MasterKey for RemoteKey {
    fn kind(&self) -> &'static KeyKind {
        self.fields.kind()
    }

    fn identity(&self) -> String {
        self.fields.identity()
    }

    fn wrap_key<'a>(&'a self, part: &'a KeyPart) -> Pending<'a, Result<Wrapped, KeyError>> {
        Box::pin(async move {
            let answer = self.call(Method::Encrypt, part.expose()).await?;
            String::from_utf8(answer.expose().to_vec())
                .map(Wrapped)
                .map_err(|_| {
                    KeyError::new(format!(
                        "key service {}: it answered with something else than text",
                        self.remote
                    ))
                })
        })
    }

    fn unwrap_key<'a>(
        &'a self,
        wrapped: &'a Wrapped,
    ) -> Pending<'a, Result<Option<KeyPart>, KeyError>> {
        Box::pin(async move {
            let answer = self.call(Method::Decrypt, wrapped.0.as_bytes()).await?;
            Ok(Some(KeyPart::copy_of(answer.expose())))
        })
    }

    fn is_far(&self) -> bool {
        true
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

/// A text is not the address of a key service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot use the key service {address:?}: {reason}")]
pub(crate) struct NotAnAddress {
    address: String,
    reason: String,
}

/// Messages as bytes: the layer above reads and writes them, so that they stay in secret types.
#[derive(Clone, Copy, Default)]
pub(super) struct Plain;

impl Codec for Plain {
    type Encode = SecretBytes;
    type Decode = SecretBytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Plain {
    type Item = SecretBytes;
    type Error = Status;

    fn encode(&mut self, message: SecretBytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(buffer, message.expose());
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = SecretBytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<SecretBytes>, Status> {
        let mut message = SecretWriter::with_capacity(bytes::Buf::remaining(buffer));
        while bytes::Buf::has_remaining(buffer) {
            let chunk = bytes::Buf::chunk(buffer);
            message.push(chunk);
            let taken = chunk.len();
            bytes::Buf::advance(buffer, taken);
        }
        Ok(Some(message.finish()))
    }
}
