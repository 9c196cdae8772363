//! TLS as stores set it up: which authorities are trusted, and as whom the client presents itself.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sealwright_crypto::secret::SecretBytes;

use crate::outcome::StoreError;

/// What TLS is set up with.
#[derive(Default)]
pub struct TlsSettings {
    /// The authorities in PEM; the system's when there are none. They stand in the place of the system's.
    pub authorities: Option<Vec<u8>>,
    /// The client's own certificate.
    pub identity: Option<ClientIdentity>,
    /// The name that the server's certificate must have, when it is not the host of the address.
    pub server_name: Option<String>,
    /// Whether the server's certificate counts at all.
    pub verification: Verification,
}

/// Whether a server's certificate is verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verification {
    /// It is.
    #[default]
    Full,
    /// It is not. Only a user's own environment may ask for that (`VAULT_SKIP_VERIFY`).
    Skipped,
}

/// A client's certificate and private key.
pub struct ClientIdentity {
    /// The certificate and those between it and its authority, in PEM.
    pub certificates: Vec<u8>,
    /// The private key in PEM.
    pub key: SecretBytes,
}

/// What is wrong with a server that presents the certificate of an authority. Go accepts it where that very certificate is
/// trusted; the TLS library here never does (K81).
pub const AUTHORITY_AS_SERVER: &str = "the certificate of the server is marked as one of an authority (CA:TRUE), which is not accepted from a server";
/// What to do about that.
pub(super) const MARK_IS_TO_GO: &str = "give it one without the mark, signed by that authority";
/// What the TLS library calls it; it has no words for it.
pub(super) const IN_THE_LIBRARY: &str = "CaUsedAsEndEntity";

/// Puts into words what the TLS library names only in its code, in the text of an error of a connection.
#[must_use]
pub fn in_words(mut text: String) -> String {
    if text.contains(IN_THE_LIBRARY) {
        let start = text.find("invalid peer certificate").unwrap_or_default();
        text.truncate(start);
        text.push_str(AUTHORITY_AS_SERVER);
        text.push_str("; ");
        text.push_str(MARK_IS_TO_GO);
    }
    text
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The given authorities are none.
    #[error("the CA bundle holds no certificate in PEM")]
    Authorities,
    /// The system has none, and none are given.
    #[error("this system has no certificates of authorities, and the store names none")]
    NoAuthorities,
    /// The client's certificate is none.
    #[error("the client certificate is no certificate in PEM")]
    Certificate,
    /// The client's key is none.
    #[error("the client key is no private key in PEM")]
    Key,
    /// Certificate and key do not fit, or the library refuses them.
    #[error("the client certificate and its key cannot be used together")]
    Identity,
    /// The name for the server is none.
    #[error("the server name for TLS is not valid")]
    ServerName,
    /// The protocol versions are not there.
    #[error("TLS cannot be set up")]
    Library,
}

impl From<TlsError> for StoreError {
    fn from(error: TlsError) -> Self {
        Self::invalid(error.to_string()).public()
    }
}

/// Makes the configuration of a client.
pub(super) fn configuration(settings: &TlsSettings) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|_| TlsError::Library)?;
    let builder = match settings.verification {
        Verification::Full => builder.with_root_certificates(roots(settings)?),
        Verification::Skipped => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))),
    };
    let mut config = match &settings.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = certificates(&identity.certificates).ok_or(TlsError::Certificate)?;
            let key =
                PrivateKeyDer::from_pem_slice(identity.key.expose()).map_err(|_| TlsError::Key)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|_| TlsError::Identity)?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn roots(settings: &TlsSettings) -> Result<Arc<RootCertStore>, TlsError> {
    static SYSTEM: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(bundle) = &settings.authorities {
        let mut store = RootCertStore::empty();
        let given = certificates(bundle).ok_or(TlsError::Authorities)?;
        let (added, _) = store.add_parsable_certificates(given);
        return match added {
            0 => Err(TlsError::Authorities),
            _ => Ok(Arc::new(store)),
        };
    }
    let system = SYSTEM.get_or_init(|| {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(store)
    });
    if system.is_empty() {
        return Err(TlsError::NoAuthorities);
    }
    Ok(Arc::clone(system))
}

/// The certificates of a text in PEM; nothing when there is none, or one of them is broken.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.ok().filter(|all| !all.is_empty())
}

/// Accepts any certificate whose key the server has.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
