//! TLS to a database, verified as far as `sslmode` asks for.

use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use sealwright_crypto::surroundings::{Surroundings, SystemSurroundings};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::connection_string::Settings;

/// The authorities that a user keeps for servers of databases.
const OWN_AUTHORITIES: &str = "~/.postgresql/root.crt";

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum TlsError {
    /// A setting has a value that makes no sense, which is not shown.
    #[error("`{name}` of the connection string must be {expected}")]
    Setting {
        name: &'static str,
        expected: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read the file that `{name}` names: {reason}")]
    File { name: &'static str, reason: String },
    /// The user's own authorities cannot be read.
    #[error("cannot read ~/.postgresql/root.crt: {0}")]
    OwnAuthorities(String),
    /// A text is no certificate or key.
    #[error("`{0}` holds nothing of use in PEM")]
    Pem(&'static str),
    /// Others can read the private key.
    #[error(
        "others can read the file that `sslkey` names: it must have mode 0600, or 0640 as root's"
    )]
    KeyIsOpen,
    /// The system has no certificates.
    #[error("this system has no certificates of authorities to verify the server with")]
    NoRoots,
    /// The library refuses.
    #[error("TLS cannot be set up: {0}")]
    Config(#[from] rustls::Error),
}

/// Makes connections encrypted.
#[derive(Clone)]
pub(super) struct Tls(Arc<ClientConfig>);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Reads the `ssl…` settings; `None` when no encryption is wanted. A server is verified if an authority is named or the
    /// mode asks for it; without a named one, the system's authorities count. As upstream's client has it, `require` verifies
    /// with the authorities that the user keeps, but only where it is said, not as the default.
    pub(super) fn new(settings: &Settings) -> Result<Option<Self>, TlsError> {
        let (verified, name) = match settings.get("sslmode") {
            Some("disable") => return Ok(None),
            None | Some("require") => (false, false),
            Some("verify-ca") => (true, false),
            Some("verify-full") => (true, true),
            Some(_) => {
                return Err(TlsError::Setting {
                    name: "sslmode",
                    expected: "disable, require, verify-ca or verify-full",
                });
            }
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let roots = match settings.get("sslrootcert") {
            Some(path) => Roots::Pem(
                "sslrootcert",
                read("sslrootcert", Path::new(path))?.to_vec(),
            ),
            None if verified => Roots::System,
            None if settings.get("sslmode").is_some() => {
                own_roots(SystemSurroundings.home().as_deref())?
            }
            None => Roots::None,
        };
        let verifier = Verifier::new(roots, name, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match identity(settings)? {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
            None => builder.with_no_client_auth(),
        };
        Ok(Some(Self(Arc::new(config))))
    }
}

fn read(name: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    fs::read(path)
        .map(Zeroizing::new)
        .map_err(|error| file(name, &error))
}

fn file(name: &'static str, error: &io::Error) -> TlsError {
    TlsError::File {
        name,
        reason: error.to_string(),
    }
}

/// The authorities below a home. They count only where the server would not be verified at all: in the modes that verify, a
/// user could let a server of their own take the rows.
fn own_roots(home: Option<&Path>) -> Result<Roots, TlsError> {
    let path = home.map(|home| home.join(".postgresql/root.crt"));
    // What cannot be looked for is not there, as upstream's client has it.
    match path.filter(|path| path.exists()) {
        None => Ok(Roots::None),
        Some(path) => {
            let pem = fs::read(path);
            let pem = pem.map_err(|error| TlsError::OwnAuthorities(error.to_string()))?;
            Ok(Roots::Pem(OWN_AUTHORITIES, pem))
        }
    }
}

/// Whether a private key is kept as PostgreSQL's clients ask for: for its owner alone, or root's and for a group to read.
fn is_well_kept(path: &Path) -> std::io::Result<bool> {
    let metadata = fs::metadata(path)?;
    let mode = metadata.mode() & 0o777;
    Ok(mode & !0o600 == 0 || (metadata.uid() == 0 && mode & !0o640 == 0))
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The client's own certificate, if one is named.
fn identity(settings: &Settings) -> Result<Option<Identity>, TlsError> {
    let (Some(chain), Some(key)) = (settings.get("sslcert"), settings.get("sslkey")) else {
        return match settings.get("sslcert").or(settings.get("sslkey")) {
            None => Ok(None),
            Some(_) => Err(TlsError::Setting {
                name: "sslcert",
                expected: "given together with sslkey",
            }),
        };
    };
    let (chain, key) = (Path::new(chain), Path::new(key));
    if !is_well_kept(key).map_err(|error| file("sslkey", &error))? {
        return Err(TlsError::KeyIsOpen);
    }
    let chain = certificates("sslcert", &read("sslcert", chain)?)?;
    let key = PrivateKeyDer::from_pem_slice(&read("sslkey", key)?)
        .map_err(|_| TlsError::Pem("sslkey"))?;
    Ok(Some((chain, key)))
}

fn certificates(name: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| TlsError::Pem(name))?;
    if certificates.is_empty() {
        return Err(TlsError::Pem(name));
    }
    Ok(certificates)
}

enum Roots {
    None,
    System,
    /// Certificates, and the name of where they are.
    Pem(&'static str, Vec<u8>),
}

/// Looks at a server's certificate as far as it is asked to.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// Follows the chain to an authority; without it any certificate will do.
    chain: Option<Arc<WebPkiServerVerifier>>,
    /// What is trusted by itself, be it an authority or not.
    trusted: Vec<CertificateDer<'static>>,
    /// Whether the name has to agree as well.
    name: bool,
}

impl Verifier {
    fn new(roots: Roots, name: bool, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let mut store = RootCertStore::empty();
        let trusted = match roots {
            Roots::None => {
                return Ok(Self {
                    provider: Arc::clone(provider),
                    chain: None,
                    trusted: Vec::new(),
                    name: false,
                });
            }
            Roots::System => {
                store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                Vec::new()
            }
            Roots::Pem(name, pem) => {
                let certificates = certificates(name, &pem)?;
                store.add_parsable_certificates(certificates.iter().cloned());
                certificates
            }
        };
        let chain =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider))
                .build()
                .map_err(|_| TlsError::NoRoots)?;
        Ok(Self {
            provider: Arc::clone(provider),
            chain: Some(chain),
            trusted,
            name,
        })
    }

    /// A certificate that is trusted by itself: a server's self-signed one, which calls itself an authority as often as not.
    fn is_trusted(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
        let known = self.trusted.iter().any(|trusted| trusted == certificate);
        known
            && X509Certificate::from_der(certificate).is_ok_and(|(_, parsed)| {
                let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
                let validity = parsed.validity();
                validity.not_before.timestamp() <= now && now <= validity.not_after.timestamp()
            })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        match chain.verify_server_cert(certificate, intermediates, server, ocsp, now) {
            // The name is looked at last: what comes so far has a good chain.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.name => Ok(ServerCertVerified::assertion()),
            Err(error) if self.is_trusted(certificate, now) => {
                if self.name {
                    let parsed = rustls::server::ParsedCertificate::try_from(certificate)
                        .map_err(|_| error)?;
                    rustls::client::verify_server_name(&parsed, server)?;
                }
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Encrypted;
    type TlsConnect = Handshake;
    type Error = rustls::pki_types::InvalidDnsNameError;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, Self::Error> {
        Ok(Handshake {
            connector: TlsConnector::from(Arc::clone(&self.0)),
            server: ServerName::try_from(host)?.to_owned(),
        })
    }
}

/// A handshake to be made.
pub(super) struct Handshake {
    connector: TlsConnector,
    server: ServerName<'static>,
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let stream = self.connector.connect(self.server, socket).await?;
            Ok(Encrypted(stream))
        })
    }
}

/// An encrypted connection. Without channel binding, as upstream's client.
pub(super) struct Encrypted(tokio_rustls::client::TlsStream<Socket>);

impl TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_that_the_user_keeps_count() {
        let home = tempfile::tempdir().unwrap();
        assert!(matches!(own_roots(None), Ok(Roots::None)));
        assert!(matches!(own_roots(Some(home.path())), Ok(Roots::None)));
        let folder = home.path().join(".postgresql");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("root.crt"), "pem").unwrap();
        let kept = own_roots(Some(home.path()));
        assert!(matches!(kept, Ok(Roots::Pem(_, pem)) if pem == b"pem"));
    }
}
