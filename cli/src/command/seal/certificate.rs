//! Where the certificate comes from that Secrets are sealed to: a file, a URL, or the controller.

use std::time::{SystemTime, UNIX_EPOCH};

use sealwright_crypto::sealing::Certificate;

use super::in_cluster;
use crate::cluster::{self, ClusterOptions, Controller, ControllerService};
use crate::error::{Error, Result};

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
            CertificateSource::Controller(service, options) => {
                in_cluster(async { Controller::find(options, service).await?.certificate().await })
            }
        }
    }

    /// The certificate, unless it has expired.
    pub(crate) fn load(&self) -> Result<Certificate> {
        let bytes = self.fetch()?;
        let certificate = Certificate::from_pem(&bytes).map_err(|error| {
            let from = match self {
                CertificateSource::Named(name) => format!("cannot use the certificate of {name}"),
                CertificateSource::Controller(..) => "cannot use the controller's certificate".to_owned(),
            };
            Error::generic(from).because(error)
        })?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if certificate.is_expired(i64::try_from(now).unwrap_or(i64::MAX)) {
            let date = jiff::Timestamp::from_second(certificate.not_after())
                .map(|time| time.strftime("%B %-d, %Y").to_string())
                .unwrap_or_default();
            return Err(Error::generic(format!("failed to encrypt using an expired certificate on {date}"))
                .hint("fetch the newest one from the controller with --fetch-cert"));
        }
        Ok(certificate)
    }
}

fn fetch_named(name: &str) -> Result<Vec<u8>> {
    let scheme = name.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    let path = match scheme.as_deref() {
        Some("http" | "https") => return in_cluster(cluster::fetch_url(name)),
        Some("file") => name[7..].strip_prefix("localhost").unwrap_or(&name[7..]),
        Some(scheme) if scheme.len() > 1 => {
            return Err(Error::generic(format!("cannot fetch {name:?}: the scheme {scheme:?} is not supported"))
                .hint("give a file, or an http, https or file URL"));
        }
        _ => name,
    };
    std::fs::read(path).map_err(|error| Error::generic(format!("cannot read the certificate {path}")).because(error))
}
