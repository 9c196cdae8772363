//! Connections: names are resolved and judged here, proxies asked, TLS spoken.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::tls::{
    AUTHORITY_AS_SERVER, IN_THE_LIBRARY, MARK_IS_TO_GO, TlsError, TlsSettings, configuration,
};
use super::{HttpSettings, Limits};
use crate::address::Guard;
use crate::proxy::Proxies;

/// Why there is no connection.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name has no address.
    #[error("the name has no address")]
    Resolve,
    /// The name leads to an address that stores may not have.
    #[error("{0} is an address of the machine's own services, which stores may not ask")]
    RefusedAddress(IpAddr),
    /// No one listens there, or it cannot be reached.
    #[error("{0}")]
    Io(&'static str),
    /// It took too long.
    #[error("there was no connection within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The certificate's authority is not known.
    #[error("its certificate is signed by an authority that is not trusted")]
    UnknownAuthority,
    /// The certificate is that of an authority.
    #[error("{}", AUTHORITY_AS_SERVER)]
    AuthorityAsServer,
    /// The certificate is for other names.
    #[error("its certificate is for another name")]
    WrongName,
    /// The certificate is not valid at this time.
    #[error("its certificate has expired or is not valid yet, or the clock is wrong")]
    NotNow,
    /// The server does not accept the client's certificate, or wants one.
    #[error("it does not accept the client certificate")]
    ClientCertificate,
    /// Something else about TLS.
    #[error("TLS failed: {0}")]
    Tls(&'static str),
    /// The proxy does not do what it is asked for.
    #[error("the proxy {proxy} answers {status} to CONNECT")]
    Proxy {
        /// The proxy.
        proxy: String,
        /// What it answers.
        status: String,
    },
    /// The proxy is of a kind that is not spoken here.
    #[error("the proxy {0} is neither http nor https")]
    ProxyKind(String),
}

impl ConnectError {
    pub(super) fn is_refused_address(&self) -> bool {
        matches!(self, Self::RefusedAddress(_))
    }

    pub(super) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Resolve => Some("look for a typo in the server's name"),
            Self::UnknownAuthority => {
                Some("give the authority's certificate as caBundle or caProvider")
            }
            Self::AuthorityAsServer => Some(MARK_IS_TO_GO),
            Self::WrongName => Some("use a name that the certificate has"),
            Self::NotNow => Some("renew the server's certificate, and compare the clocks"),
            Self::Tls("the other side does not speak TLS") => Some("use http:// if that is meant"),
            Self::ClientCertificate => Some("set a client certificate that the server accepts"),
            _ => None,
        }
    }
}

/// Makes connections for hyper.
#[derive(Clone)]
pub(super) struct Connector(Arc<Inner>);

struct Inner {
    tls: Arc<ClientConfig>,
    /// For proxies that speak TLS themselves: the system's authorities, and no certificate of the client.
    proxy_tls: Option<Arc<ClientConfig>>,
    server_name: Option<ServerName<'static>>,
    proxies: Arc<Proxies>,
    guard: Guard,
    limits: Limits,
}

impl Connector {
    pub(super) fn new(settings: &HttpSettings, proxies: Arc<Proxies>) -> Result<Self, TlsError> {
        let server_name = match &settings.tls.server_name {
            Some(name) => {
                Some(ServerName::try_from(name.clone()).map_err(|_| TlsError::ServerName)?)
            }
            None => None,
        };
        Ok(Self(Arc::new(Inner {
            tls: configuration(&settings.tls)?,
            proxy_tls: configuration(&TlsSettings::default()).ok(),
            server_name,
            proxies,
            guard: settings.guard,
            limits: settings.limits,
        })))
    }
}

impl tower::Service<Uri> for Connector {
    type Response = Stream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let patience = inner.limits.connect;
            match tokio::time::timeout(patience, inner.connect(&uri)).await {
                Ok(stream) => stream,
                Err(_) => Err(ConnectError::TimedOut(patience)),
            }
        })
    }
}

impl Inner {
    async fn connect(&self, uri: &Uri) -> Result<Stream, ConnectError> {
        let https = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        if let Some(proxy) = self.proxies.intercept(uri) {
            // The proxy resolves the name; an address that is written out can be judged here all the same.
            if let Ok(address) = bare(host).parse() {
                self.judge(address)?;
            }
            let io = self.to_proxy(&proxy).await?;
            if !https {
                return Ok(Bounded::stream(io, true, self.limits));
            }
            let io = tunnel(io, host, port, &proxy).await?;
            return self.encrypt(io, host).await;
        }
        let io: Box<dyn Io> = Box::new(self.tcp(host, port, self.guard).await?);
        if https {
            self.encrypt(io, host).await
        } else {
            Ok(Bounded::stream(io, false, self.limits))
        }
    }

    fn judge(&self, address: IpAddr) -> Result<(), ConnectError> {
        if self.guard.allows(address) {
            Ok(())
        } else {
            Err(ConnectError::RefusedAddress(address))
        }
    }

    /// Tries the addresses of a name one after another.
    async fn tcp(&self, host: &str, port: u16, guard: Guard) -> Result<TcpStream, ConnectError> {
        let host = bare(host);
        let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => tokio::net::lookup_host((host, port))
                .await
                .map_err(|_| ConnectError::Resolve)?
                .collect(),
        };
        let mut why = ConnectError::Resolve;
        let each = self.limits.connect / u32::try_from(addresses.len().clamp(1, 4)).unwrap_or(1);
        for address in addresses {
            if !guard.allows(address.ip()) {
                why = ConnectError::RefusedAddress(address.ip());
                continue;
            }
            match tokio::time::timeout(each, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Requests are small and wait for answers.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => why = ConnectError::Io(io_reason(&error)),
                Err(_) => why = ConnectError::TimedOut(each),
            }
        }
        Err(why)
    }

    async fn to_proxy(&self, proxy: &Intercept) -> Result<Box<dyn Io>, ConnectError> {
        let uri = proxy.uri();
        let host = uri.host().unwrap_or_default();
        let (https, usual) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => return Err(ConnectError::ProxyKind(name_of(proxy))),
        };
        // Proxies come from the program's own surroundings.
        let port = uri.port_u16().unwrap_or(usual);
        let io: Box<dyn Io> = Box::new(self.tcp(host, port, Guard::Open).await?);
        if !https {
            return Ok(io);
        }
        let config = self.proxy_tls.as_ref();
        let config = config.ok_or(ConnectError::Tls("the system has no authorities"))?;
        let name = server_name(host)?;
        let stream = TlsConnector::from(Arc::clone(config))
            .connect(name, io)
            .await
            .map_err(|error| tls_reason(&error))?;
        Ok(Box::new(stream))
    }

    async fn encrypt(&self, io: Box<dyn Io>, host: &str) -> Result<Stream, ConnectError> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => server_name(host)?,
        };
        let stream = TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, io)
            .await
            .map_err(|error| tls_reason(&error))?;
        Ok(Bounded::stream(Box::new(stream), false, self.limits))
    }
}

/// Asks a proxy for a way to the server.
async fn tunnel(
    mut io: Box<dyn Io>,
    host: &str,
    port: u16,
    proxy: &Intercept,
) -> Result<Box<dyn Io>, ConnectError> {
    const LONGEST_ANSWER: usize = 16 * 1024;
    let broken = |_| ConnectError::Io("the proxy closed the connection");
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
    if let Some(basic) = proxy.basic_auth() {
        let basic = basic.to_str().unwrap_or_default();
        request.push_str(&format!("Proxy-Authorization: {basic}\r\n"));
    } else if let Some((user, password)) = proxy.raw_auth() {
        let both = STANDARD.encode(format!("{user}:{password}"));
        request.push_str(&format!("Proxy-Authorization: Basic {both}\r\n"));
    }
    request.push_str("\r\n");
    io.write_all(request.as_bytes()).await.map_err(broken)?;
    io.flush().await.map_err(broken)?;
    // Byte by byte: what follows the answer belongs to the server.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() == LONGEST_ANSWER {
            return Err(ConnectError::Io("the answer of the proxy has no end"));
        }
        answer.push(io.read_u8().await.map_err(broken)?);
    }
    let answer = String::from_utf8_lossy(&answer);
    let line = answer.lines().next().unwrap_or_default();
    let status = line.split(' ').nth(1).unwrap_or_default();
    if line.starts_with("HTTP/1.") && status.starts_with('2') {
        return Ok(io);
    }
    Err(ConnectError::Proxy {
        proxy: name_of(proxy),
        status: crate::outcome::shown(line),
    })
}

/// The proxy without its credentials.
fn name_of(proxy: &Intercept) -> String {
    let uri = proxy.uri();
    let host = uri.host().unwrap_or_default();
    match uri.port_u16() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// A host without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

fn server_name(host: &str) -> Result<ServerName<'static>, ConnectError> {
    ServerName::try_from(bare(host).to_owned())
        .map_err(|_| ConnectError::Tls("the host is no name that a certificate can have"))
}

fn io_reason(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "no one listens there",
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
            "it closed the connection"
        }
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            "there is no way to it"
        }
        io::ErrorKind::TimedOut => "it does not answer",
        io::ErrorKind::PermissionDenied => "this machine does not allow it",
        _ => "the connection failed",
    }
}

fn tls_reason(error: &io::Error) -> ConnectError {
    let inner = error.get_ref();
    let Some(error) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                ConnectError::Io("it closed the connection during the TLS handshake")
            }
            _ => ConnectError::Io(io_reason(error)),
        };
    };
    match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            // An authority of the same name with another key.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                ConnectError::UnknownAuthority
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                ConnectError::WrongName
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => ConnectError::NotNow,
            CertificateError::Other(other) if format!("{other:?}").contains(IN_THE_LIBRARY) => {
                ConnectError::AuthorityAsServer
            }
            _ => ConnectError::Tls("its certificate is not valid"),
        },
        rustls::Error::InvalidMessage(_) => ConnectError::Tls("the other side does not speak TLS"),
        rustls::Error::AlertReceived(alert) => match alert {
            rustls::AlertDescription::CertificateRequired
            | rustls::AlertDescription::BadCertificate
            | rustls::AlertDescription::UnknownCA
            | rustls::AlertDescription::CertificateExpired
            | rustls::AlertDescription::CertificateUnknown
            | rustls::AlertDescription::AccessDenied => ConnectError::ClientCertificate,
            rustls::AlertDescription::ProtocolVersion => {
                ConnectError::Tls("it speaks no version of TLS from 1.2 on")
            }
            rustls::AlertDescription::UnrecognisedName => ConnectError::WrongName,
            _ => ConnectError::Tls("the other side ended the handshake"),
        },
        _ => ConnectError::Tls("the handshake failed"),
    }
}

/// A connection of any kind.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// How many bytes the head of an answer, and what stands between the parts of its body, may have beside the body.
const AROUND_THE_BODY: usize = 1 << 20;

pub(super) type Stream = TokioIo<Bounded>;

/// A connection that ends when the other side goes on for too long after a request: hyper reads on when no one waits
/// for the answer any more, and a peer that sends interim answers without an end would keep it busy for ever.
pub(super) struct Bounded {
    io: Box<dyn Io>,
    /// Whether requests on it are for a proxy.
    proxied: bool,
    limits: Limits,
    /// Until when an answer to what was written last may come.
    until: Option<Instant>,
    /// How many bytes came since then.
    came: usize,
}

impl Bounded {
    /// A connection as hyper wants it.
    fn stream(io: Box<dyn Io>, proxied: bool, limits: Limits) -> Stream {
        TokioIo::new(Self {
            io,
            proxied,
            limits,
            until: None,
            came: 0,
        })
    }

    fn wrote<T>(&mut self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Ok(_)) = &written {
            self.until = Some(Instant::now() + self.limits.total);
            self.came = 0;
        }
        written
    }
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let late = self.until.is_some_and(|until| Instant::now() > until);
        if late || self.came > self.limits.answer.saturating_add(AROUND_THE_BODY) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        self.came += buffer.filled().len() - before;
        read
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.wrote(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, parts);
        self.wrote(written)
    }
}

impl Connection for Bounded {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.proxied)
    }
}
