//! Where the certificate comes from that Secrets are sealed to: a file, a URL, or the controller.

use std::time::{SystemTime, UNIX_EPOCH};

use sealwright_crypto::sealing::{Certificate, PrivateKey};
use sealwright_crypto::secret::SecretBytes;

use super::in_cluster;
use crate::cluster::{self, ClusterOptions, Controller, ControllerService};
use crate::error::{Error, Fault, Result};

/// Where the certificate is.
#[derive(Clone)]
pub(crate) enum CertificateSource {
    /// A path, or an `http`, `https` or `file` URL.
    Named(String),
    /// The controller of the cluster.
    Controller(ControllerService, Box<ClusterOptions>),
}

impl CertificateSource {
    /// The bytes as they come.
    pub(crate) fn fetch(&self) -> Result<Vec<u8>> {
        match self {
            CertificateSource::Named(name) => fetch_named(name),
            CertificateSource::Controller(service, options) => in_cluster(async {
                Controller::find(options, service)
                    .await?
                    .certificate()
                    .await
            }),
        }
    }

    /// What scripts want to know of it, expired or not.
    pub(crate) fn describe(&self) -> Result<serde_json::Value> {
        let certificate = self.read()?;
        let time = |second| {
            jiff::Timestamp::from_second(second)
                .map_or_else(|_| String::new(), |time| time.to_string())
        };
        Ok(serde_json::json!({
            "fingerprint": certificate.fingerprint().as_str(),
            "bits": certificate.bits(),
            "not_before": time(certificate.not_before()),
            "not_after": time(certificate.not_after()),
            "expired": certificate.is_expired(seconds_now()),
            "certificate": certificate.to_pem(),
        }))
    }

    /// The certificates as text for people to pass on: as they come, but never with a private key that lies beside them.
    pub(crate) fn show(&self) -> Result<Vec<u8>> {
        let bytes = self.fetch()?;
        let certificate = self.parse(&bytes)?;
        Ok(match memchr::memmem::find(&bytes, b"PRIVATE KEY") {
            None => bytes,
            Some(_) => certificate.to_pem().into_bytes(),
        })
    }

    fn read(&self) -> Result<Certificate> {
        self.parse(&self.fetch()?)
    }

    fn parse(&self, bytes: &[u8]) -> Result<Certificate> {
        Certificate::from_pem(bytes).map_err(|error| {
            let from = match self {
                CertificateSource::Named(name) => {
                    let name = cluster::without_password(name);
                    format!("cannot use the certificate of {name}")
                }
                CertificateSource::Controller(..) => {
                    "cannot use the controller's certificate".to_owned()
                }
            };
            Error::generic(from).because(error)
        })
    }

    /// The certificate, unless it has expired.
    pub(crate) fn load(&self) -> Result<Certificate> {
        let certificate = self.read()?;
        if certificate.is_expired(seconds_now()) {
            let date = jiff::Timestamp::from_second(certificate.not_after())
                .map(|time| time.strftime("%B %-d, %Y").to_string())
                .unwrap_or_default();
            return Err(Error::of(Fault::ExpiredCertificate(date))
                .hint("fetch the newest one from the controller"));
        }
        Ok(certificate)
    }
}

/// Makes a private key (PEM) and its certificate (PEM).
pub(crate) fn new_sealing_key(bits: u64, days: u64) -> Result<(SecretBytes, String)> {
    let failed = |error: &dyn std::error::Error| {
        Error::generic(format!("cannot make a sealing key: {error}"))
    };
    let bits = usize::try_from(bits).expect("clap keeps it small");
    let key = PrivateKey::generate(bits).map_err(|error| failed(&error))?;
    let now = seconds_now();
    let certificate =
        Certificate::self_signed(&key, "", now, days * 86_400).map_err(|error| failed(&error))?;
    let text = key.to_pkcs1_pem().map_err(|error| failed(&error))?;
    Ok((text, certificate.to_pem()))
}

fn seconds_now() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    i64::try_from(now).unwrap_or(i64::MAX)
}

fn fetch_named(name: &str) -> Result<Vec<u8>> {
    let scheme = name
        .split_once("://")
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    let path = match scheme.as_deref() {
        Some("http" | "https") => return in_cluster(cluster::fetch_url(name)),
        Some("file") => name[7..].strip_prefix("localhost").unwrap_or(&name[7..]),
        Some(scheme) if scheme.len() > 1 => {
            return Err(Error::generic(format!(
                "cannot fetch {:?}: the scheme {scheme:?} is not supported",
                cluster::without_password(name)
            ))
            .hint("give a file, or an http, https or file URL"));
        }
        _ => name,
    };
    // Scripts and the reference's own tests look for these words.
    std::fs::read(path).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.split(" (os error").next().unwrap_or(&reason);
        Error::generic(format!("open {path}: {}", reason.to_ascii_lowercase()))
    })
}
