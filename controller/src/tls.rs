//! TLS for the servers: certificate and key from files that others renew, under the policy that the flags state.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CipherSuite, NamedGroup, ServerConfig, SupportedCipherSuite};
use sealwright_crypto::secret::SecretBytes;
use thiserror::Error;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

/// How long files are believed to be as they were.
const FRESH: Duration = Duration::from_secs(10);

/// Where certificate and key are, and how they are used.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TlsSettings {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) policy: TlsPolicy,
}

/// Which versions, cipher suites and key exchange groups are offered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TlsPolicy {
    only_1_3: bool,
    /// Those of TLS 1.2; TLS 1.3 has its own. Empty means all.
    ciphers: Vec<CipherSuite>,
    /// In order; empty means the defaults.
    groups: Vec<NamedGroup>,
}

/// TLS cannot be offered.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum TlsError {
    /// The version is not one that is offered.
    #[error("TLS {0:?} is not offered: only 1.2 and 1.3 are")]
    Version(String),
    /// The cipher suite is not one that is offered.
    #[error(
        "the cipher suite {0:?} is not offered: only those of TLS 1.2 with forward secrecy and authenticated encryption are"
    )]
    Cipher(String),
    /// The group is not one that is offered.
    #[error("the key exchange group {0:?} is not offered")]
    Group(String),
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("no PEM of a {what} in {path}")]
    Pem { what: &'static str, path: PathBuf },
    /// Certificate and key are of no use together.
    #[error("cannot use the certificate {path}")]
    Unusable {
        path: PathBuf,
        #[source]
        source: rustls::Error,
    },
}

impl TlsPolicy {
    /// Reads the flags: the oldest version, and lists separated by commas.
    pub(crate) fn parse(oldest: &str, ciphers: &str, groups: &str) -> Result<Self, TlsError> {
        let only_1_3 = match oldest {
            "1.2" => false,
            "1.3" => true,
            other => return Err(TlsError::Version(other.to_owned())),
        };
        let provider = aws_lc_rs::default_provider();
        let cipher = |name: &str| {
            let mut suites = provider.cipher_suites.iter();
            suites
                .find(|suite| is_1_2(suite) && suite.suite().as_str() == Some(name))
                .map(SupportedCipherSuite::suite)
                .ok_or_else(|| TlsError::Cipher(name.to_owned()))
        };
        let group = |name: &str| {
            group(name)
                .filter(|group| find_group(*group).is_some())
                .ok_or_else(|| TlsError::Group(name.to_owned()))
        };
        Ok(Self {
            only_1_3,
            ciphers: entries(ciphers).map(cipher).collect::<Result<_, _>>()?,
            groups: entries(groups).map(group).collect::<Result<_, _>>()?,
        })
    }

    fn provider(&self) -> CryptoProvider {
        let mut provider = aws_lc_rs::default_provider();
        if !self.ciphers.is_empty() {
            provider
                .cipher_suites
                .retain(|suite| !is_1_2(suite) || self.ciphers.contains(&suite.suite()));
        }
        if !self.groups.is_empty() {
            let groups = self.groups.iter().filter_map(|group| find_group(*group));
            provider.kx_groups = groups.collect();
        }
        provider
    }
}

fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
}

fn is_1_2(suite: &SupportedCipherSuite) -> bool {
    matches!(suite, SupportedCipherSuite::Tls12(_))
}

fn find_group(group: NamedGroup) -> Option<&'static dyn SupportedKxGroup> {
    let mut all = aws_lc_rs::ALL_KX_GROUPS.iter();
    all.find(|known| known.name() == group).copied()
}

/// Reads a group by Go's name, by the name of its curve, or by its number (F2).
fn group(name: &str) -> Option<NamedGroup> {
    Some(match name {
        "X25519" => NamedGroup::X25519,
        "CurveP256" | "P256" | "P-256" => NamedGroup::secp256r1,
        "CurveP384" | "P384" | "P-384" => NamedGroup::secp384r1,
        "X25519MLKEM768" => NamedGroup::X25519MLKEM768,
        "SecP256r1MLKEM768" => NamedGroup::secp256r1MLKEM768,
        number => NamedGroup::from(number.parse::<u16>().ok()?),
    })
}

/// Certificate and key of one server, read again as they change.
pub(crate) struct TlsServer {
    settings: TlsSettings,
    loaded: Mutex<Option<Loaded>>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    at: Instant,
}

impl TlsServer {
    /// Reads nothing yet.
    pub(crate) fn new(settings: TlsSettings) -> Self {
        Self {
            settings,
            loaded: Mutex::default(),
        }
    }

    /// Accepts connections with the certificate as it is now. Files that cannot be used do not replace what was in use.
    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        let mut loaded = self.loaded.lock().expect("no holder panics");
        if let Some(loaded) = &*loaded
            && loaded.at.elapsed() < FRESH
        {
            return Ok(Arc::clone(&loaded.config).into());
        }
        let config = match (self.read(), &*loaded) {
            (Ok(config), _) => config,
            (Err(error), None) => return Err(error),
            (Err(error), Some(before)) => {
                tracing::error!(error = %crate::error_text(&error), "the certificate cannot be renewed, the one before stays in use");
                Arc::clone(&before.config)
            }
        };
        *loaded = Some(Loaded {
            config: Arc::clone(&config),
            at: Instant::now(),
        });
        Ok(config.into())
    }

    /// The certificate in its file, in DER.
    pub(crate) fn certificate(&self) -> Result<Vec<u8>, TlsError> {
        let path = &self.settings.certificate;
        let pem = read_file(path)?;
        CertificateDer::from_pem_slice(pem.expose())
            .map(|certificate| certificate.to_vec())
            .map_err(|_| pem_error("certificate", path))
    }

    fn read(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let TlsSettings {
            certificate: path,
            key,
            policy,
        } = &self.settings;
        let chain = read_file(path)?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain.expose())
            .collect::<Result<_, _>>()
            .map_err(|_| pem_error("certificate", path))?;
        let private = PrivateKeyDer::from_pem_slice(read_file(key)?.expose())
            .map_err(|_| pem_error("private key", key))?;
        let versions: &[_] = match policy.only_1_3 {
            true => &[&rustls::version::TLS13],
            false => &[&rustls::version::TLS13, &rustls::version::TLS12],
        };
        let unusable = |source| TlsError::Unusable {
            path: path.clone(),
            source,
        };
        let config = ServerConfig::builder_with_provider(Arc::new(policy.provider()))
            .with_protocol_versions(versions)
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(unusable)?;
        Ok(Arc::new(config))
    }
}

fn read_file(path: &PathBuf) -> Result<SecretBytes, TlsError> {
    std::fs::read(path)
        .map(SecretBytes::from)
        .map_err(|source| TlsError::Read {
            path: path.clone(),
            source,
        })
}

fn pem_error(what: &'static str, path: &Path) -> TlsError {
    TlsError::Pem {
        what,
        path: path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f2_policies_are_upstreams_names_and_unknown_ones_end_the_start() {
        let policy = TlsPolicy::parse(
            "1.2",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "X25519MLKEM768,P-256,29",
        )
        .unwrap();
        let provider = policy.provider();
        let old = provider.cipher_suites.iter().filter(|suite| is_1_2(suite));
        assert_eq!(old.count(), 2);
        assert!(provider.cipher_suites.iter().any(|suite| !is_1_2(suite)));
        let groups: Vec<_> = provider
            .kx_groups
            .iter()
            .map(|group| group.name())
            .collect();
        assert_eq!(
            groups,
            [
                NamedGroup::X25519MLKEM768,
                NamedGroup::secp256r1,
                NamedGroup::X25519
            ]
        );
        assert_eq!(
            TlsPolicy::parse("1.2", "", "").unwrap(),
            TlsPolicy::default()
        );
        for (oldest, ciphers, groups) in [
            ("1.1", "", ""),
            ("", "", ""),
            ("1.2", "TLS_RSA_WITH_AES_128_CBC_SHA", ""),
            ("1.2", "TLS_AES_128_GCM_SHA256", ""),
            ("1.2", "", "P-521"),
            ("1.2", "", "9999"),
        ] {
            assert!(TlsPolicy::parse(oldest, ciphers, groups).is_err());
        }
    }

    #[test]
    fn files_that_are_missing_or_wrong_are_named() {
        let folder = std::env::temp_dir();
        let settings = |certificate: &str| TlsSettings {
            certificate: folder.join(certificate),
            key: folder.join("no-such-key.pem"),
            policy: TlsPolicy::default(),
        };
        let error = TlsServer::new(settings("no-such.pem"))
            .acceptor()
            .err()
            .unwrap();
        assert!(error.to_string().ends_with("no-such.pem"), "{error}");
    }
}
