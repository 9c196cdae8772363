//! Asks a key service that runs elsewhere.

use std::{fmt, path::PathBuf, time::Duration};

use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use tonic::{
    Request, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Endpoint,
};

use super::{Method, message};

/// How long one service may take: the person at its end may be asked for consent.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(10);

/// A service at an address.
#[derive(Debug)]
pub(crate) struct Remote {
    address: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Tcp(Box<Endpoint>),
    #[cfg(unix)]
    Unix(PathBuf),
}

impl Remote {
    /// Takes `tcp://host:port` or `unix:///path`.
    pub(crate) fn parse(address: &str) -> Result<Self, NotAnAddress> {
        let refused = |reason: &str| NotAnAddress {
            address: address.to_owned(),
            reason: reason.to_owned(),
        };
        let (scheme, rest) = address
            .split_once("://")
            .ok_or_else(|| refused("it has no scheme"))?;
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
            "unix" => return Err(refused("its path is not absolute")),
            _ => return Err(refused("its scheme is neither tcp nor unix")),
        };
        Ok(Self {
            address: address.to_owned(),
            place,
        })
    }

    pub(super) async fn call(
        &self,
        method: Method,
        request: &SecretBytes,
    ) -> Result<SecretBytes, String> {
        if tokio::runtime::Handle::try_current().is_ok() {
            return self.call_now(method, request).await;
        }
        // Whoever waits for this future has no runtime; one for this call does.
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?
            .block_on(self.call_now(method, request))
    }

    async fn call_now(&self, method: Method, request: &SecretBytes) -> Result<SecretBytes, String> {
        let channel = match &self.place {
            Place::Tcp(endpoint) => endpoint.clone().connect_timeout(CONNECT).connect().await,
            #[cfg(unix)]
            Place::Unix(path) => {
                let path = path.clone();
                Endpoint::from_static("http://localhost")
                    .connect_with_connector(tower::service_fn(move |_: http::Uri| {
                        let path = path.clone();
                        async move {
                            tokio::net::UnixStream::connect(path)
                                .await
                                .map(TokioIo::new)
                        }
                    }))
                    .await
            }
        };
        let channel = channel.map_err(|error| with_causes(&error))?;
        let mut client = tonic::client::Grpc::new(channel);
        client.ready().await.map_err(|error| with_causes(&error))?;
        let mut request = Request::new(SecretBytes::copy_of(request.expose()));
        request.set_timeout(PATIENCE);
        let answer = client
            .unary(request, PathAndQuery::from_static(method.path()), Plain)
            .await
            .map_err(|status| match status.message() {
                "" => format!("{:?}", status.code()),
                message => message.to_owned(),
            })?
            .into_inner();
        let output = message::decode_response(&answer).map_err(|error| error.to_string())?;
        if output.is_empty() {
            return Err("it answered with nothing".to_owned());
        }
        Ok(output)
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
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
