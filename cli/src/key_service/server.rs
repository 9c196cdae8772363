//! Serves the master keys of this machine to others.

use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use sealwright_crypto::{
    data_key::KeyPart,
    key_kind::KeyFields,
    master_key::{Callbacks, KeyError, MasterKey, Wrapped},
    secret::SecretBytes,
};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tonic::{Response, Status, body::Body};

use super::{Method, client::Plain, message};

/// Opens the master key that a request names.
pub(crate) type OpenKey = Arc<dyn Fn(&KeyFields) -> Arc<dyn MasterKey> + Send + Sync>;

/// Answers requests with the keys of this machine.
#[derive(Clone)]
pub(crate) struct Server {
    open: OpenKey,
    consent: Option<Arc<Mutex<Arc<dyn Callbacks>>>>,
    log: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Server {
    /// Serves keys as `open` opens them. `consent` is asked before each answer leaves, one at a time; `log` hears of
    /// each request, without anything secret.
    pub(crate) fn new(
        open: OpenKey,
        consent: Option<Arc<dyn Callbacks>>,
        log: Arc<dyn Fn(&str) + Send + Sync>,
    ) -> Self {
        Self {
            open,
            consent: consent.map(|callbacks| Arc::new(Mutex::new(callbacks))),
            log,
        }
    }

    /// Answers at `door` until `stop` is over.
    pub(crate) async fn serve(
        self,
        door: Door,
        stop: impl Future<Output = ()>,
    ) -> Result<(), tonic::transport::Error> {
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let server = self.clone();
            async move { Ok::<_, Infallible>(server.route(request).await) }
        });
        let transport = tonic::transport::Server::builder();
        match &door {
            Door::Tcp(listener) => {
                let incoming = futures::stream::unfold(listener, async |listener| {
                    let accepted = listener.accept().await.map(|(stream, _)| stream);
                    Some((accepted, listener))
                });
                let incoming: Incoming<'_, TcpStream> = Box::pin(incoming);
                transport
                    .serve_with_incoming_shutdown(service, incoming, stop)
                    .await
            }
            #[cfg(unix)]
            Door::Unix { listener, .. } => {
                let incoming = futures::stream::unfold(listener, async |listener| {
                    let accepted = listener.accept().await.map(|(stream, _)| stream);
                    Some((accepted, listener))
                });
                let incoming: Incoming<'_, UnixStream> = Box::pin(incoming);
                transport
                    .serve_with_incoming_shutdown(service, incoming, stop)
                    .await
            }
        }
    }

    async fn route(self, request: http::Request<Body>) -> http::Response<Body> {
        let Some(method) = Method::of_path(request.uri().path()) else {
            return Status::unimplemented("there is no such method").into_http();
        };
        let answer = tower::service_fn(move |request: tonic::Request<SecretBytes>| {
            let server = self.clone();
            async move {
                let answer = server.answer(method, request.into_inner());
                answer.await.map(Response::new)
            }
        });
        tonic::server::Grpc::new(Plain).unary(answer, request).await
    }

    async fn answer(self, method: Method, request: SecretBytes) -> Result<SecretBytes, Status> {
        let request = message::decode_request(&request)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let Some(fields) = request.key else {
            return Err(Status::not_found(
                "the request names no key that is known here",
            ));
        };
        let name = fields.announced();
        // Keys may block, on programs and on persons: off the threads that answer others.
        let runtime = tokio::runtime::Handle::current();
        let server = self.clone();
        let work = tokio::task::spawn_blocking(move || {
            let key = (server.open)(&fields);
            let output = runtime.block_on(run(&*key, method, &request.input));
            output.and_then(|output| {
                server.ask(method, &fields)?;
                Ok(message::encode_response(output.expose()))
            })
        });
        let answer = work
            .await
            .unwrap_or_else(|_| Err(Status::internal("the key service failed")));
        let outcome = match &answer {
            Ok(_) => "done".to_owned(),
            Err(status) => format!("refused: {}", status.message()),
        };
        (self.log)(&format!("{} with {name}: {outcome}", method.name()));
        answer
    }

    fn ask(&self, method: Method, fields: &KeyFields) -> Result<(), Status> {
        let Some(consent) = &self.consent else {
            return Ok(());
        };
        let callbacks = consent.lock().unwrap_or_else(PoisonError::into_inner);
        let question = format!(
            "Received {} request using {}. Respond to request? (y/n)",
            method.name(),
            fields.announced()
        );
        loop {
            match callbacks.ask(&question).as_deref().map(str::trim) {
                Some("y") => return Ok(()),
                Some("n") => return Err(Status::permission_denied("Request rejected by user")),
                Some(_) => {}
                None => {
                    return Err(Status::permission_denied(
                        "there is no one to ask for consent",
                    ));
                }
            }
        }
    }
}

async fn run(
    key: &dyn MasterKey,
    method: Method,
    input: &SecretBytes,
) -> Result<SecretBytes, Status> {
    let failed = |error: KeyError| Status::unknown(error.lines().collect::<Vec<_>>().join("; "));
    match method {
        Method::Encrypt => {
            let part = KeyPart::copy_of(input.expose());
            let wrapped = key.wrap_key(&part).await.map_err(failed)?;
            Ok(SecretBytes::from(wrapped.0.into_bytes()))
        }
        Method::Decrypt => {
            let wrapped = std::str::from_utf8(input.expose())
                .map_err(|_| Status::invalid_argument("the ciphertext is not text"))?;
            let wrapped = Wrapped(wrapped.to_owned());
            match key.unwrap_key(&wrapped).await.map_err(failed)? {
                Some(part) => Ok(SecretBytes::copy_of(part.expose())),
                None => Err(failed(key.not_mine(&wrapped))),
            }
        }
    }
}

type Incoming<'a, S> = std::pin::Pin<Box<dyn futures::Stream<Item = io::Result<S>> + Send + 'a>>;

/// Where requests come in. A socket in the file system is removed when it is closed.
pub(crate) enum Door {
    /// A port.
    Tcp(TcpListener),
    /// A socket.
    #[cfg(unix)]
    Unix {
        /// What listens there.
        listener: UnixListener,
        /// Where it lies.
        path: std::path::PathBuf,
    },
}

impl Door {
    /// Opens an address of a network: `tcp` and `host:port` (an empty host is every interface), or `unix` and a path.
    /// A socket that is already there belongs to another process, and is an error.
    pub(crate) async fn open(network: &str, address: &str) -> io::Result<Self> {
        match network {
            "tcp" | "tcp4" | "tcp6" => {
                let everywhere = if network == "tcp4" { "0.0.0.0" } else { "[::]" };
                let address = match address.strip_prefix(':') {
                    Some(port) => format!("{everywhere}:{port}"),
                    None => address.to_owned(),
                };
                Ok(Self::Tcp(TcpListener::bind(address).await?))
            }
            #[cfg(unix)]
            "unix" => Ok(Self::Unix {
                listener: UnixListener::bind(address)?,
                path: address.into(),
            }),
            _ => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("the network {network:?} is neither tcp nor unix"),
            )),
        }
    }

    /// The address, with the port that the system chose where 0 was asked for.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => listener.local_addr().map_or_else(
                |_| "tcp://".to_owned(),
                |address| format!("tcp://{address}"),
            ),
            #[cfg(unix)]
            Self::Unix { path, .. } => format!("unix://{}", path.display()),
        }
    }
}

#[cfg(unix)]
impl Drop for Door {
    fn drop(&mut self) {
        if let Self::Unix { path, .. } = self {
            drop(std::fs::remove_file(path));
        }
    }
}
