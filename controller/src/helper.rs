//! `external-secrets webhook` and `external-secrets certcontroller`: the helpers that the External Secrets Operator's chart
//! starts beside the controller.
//!
//! Here the controller checks what upstream's webhook checks, so there is nothing for them to do but to be there: a cluster
//! whose API server still asks the webhook must get an answer, or no ExternalSecret could be changed. The webhook admits
//! every object; the other helper looks for webhooks that are left over. Neither writes anything.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use x509_parser::prelude::{ASN1Time, FromDer, GeneralName, X509Certificate};

use crate::api::Api;
use crate::flags::external_secrets::{HelperFlags, HelperWork};
use crate::leftover;
use crate::metrics::Metrics;
use crate::program::{self, StartError};
use crate::readiness::Readiness;
use crate::server::{self, Handler, ServerSettings};
use crate::tls::TlsServer;

/// A certificate is valid if it is so in an hour (E50).
const MARGIN: Duration = Duration::from_secs(3600);
const CERTIFICATE: &str = "a valid certificate";
const HALF_MINUTE: Duration = Duration::from_secs(30);

/// Is one of the helpers until the process is told to stop.
pub(crate) async fn run(flags: HelperFlags) -> Result<(), StartError> {
    for notice in &flags.notices {
        tracing::warn!("{notice}");
    }
    let stop = program::stop_signal()?;
    let metrics = Arc::new(Metrics::new(true, false));
    let readiness = Arc::new(Readiness::new(Arc::clone(metrics.watches())));
    let mut servers = vec![
        start(
            &flags.healthz_addr,
            Handler::Probes(Arc::clone(&readiness)),
            None,
            &stop,
        )
        .await?,
        start(
            &flags.metrics_addr,
            Handler::metrics(Arc::clone(&metrics), None),
            flags.metrics_tls.map(TlsServer::new).map(Arc::new),
            &stop,
        )
        .await?,
    ];
    let work: JoinHandle<()> = match flags.work {
        HelperWork::Webhook {
            port,
            tls,
            dns_name,
            check_interval,
            lookahead,
        } => {
            tracing::info!(
                "the webhook admits every object: the controller checks them itself, and this process can be removed together with the ValidatingWebhookConfigurations externalsecret-validate and secretstore-validate"
            );
            readiness.wait_for(CERTIFICATE);
            let tls = Arc::new(TlsServer::new(tls));
            let listen = format!(":{port}");
            servers.push(start(&listen, Handler::webhook(), Some(Arc::clone(&tls)), &stop).await?);
            tokio::spawn(async move {
                watch_certificate(&tls, &readiness, &dns_name, check_interval, lookahead).await;
            })
        }
        HelperWork::CertController { interval } => {
            tracing::info!(
                "certificates of the webhook are not renewed: this program needs no webhook, and this process can be removed"
            );
            let client = program::client(&flags.kubeconfig).await?;
            let api = Arc::new(Api::new(client, None, 1));
            tokio::spawn(leftover::watch(api, metrics, interval))
        }
    };
    let mut stopped = stop.clone();
    let _ = stopped.wait_for(|stop| *stop).await;
    work.abort();
    for server in servers {
        let _ = server.await;
    }
    Ok(())
}

/// Opens a port and answers requests on it.
pub(crate) async fn start(
    listen: &str,
    handler: Handler,
    tls: Option<Arc<TlsServer>>,
    stop: &watch::Receiver<bool>,
) -> Result<JoinHandle<()>, StartError> {
    let settings = ServerSettings {
        listen: listen.to_owned(),
        read_timeout: HALF_MINUTE,
        write_timeout: HALF_MINUTE,
    };
    let listener = server::listen(&settings).await?;
    let address = server::address(&listener).map(|address| address.to_string());
    tracing::info!(
        addr = address.unwrap_or_default(),
        "serving {}",
        handler.name()
    );
    let serving = server::serve(listener, settings, handler, tls, stop.clone());
    Ok(tokio::spawn(serving))
}

async fn watch_certificate(
    tls: &TlsServer,
    readiness: &Readiness,
    dns_name: &str,
    interval: Duration,
    lookahead: Duration,
) {
    let mut reported = None;
    loop {
        let now = jiff::Timestamp::now().as_second();
        let at = |later: Duration| {
            now.saturating_add(i64::try_from(later.as_secs()).unwrap_or(i64::MAX / 2))
        };
        let trouble = match tls.certificate() {
            Err(error) => Some(crate::error_text(&error)),
            Ok(der) => is_valid(&der, dns_name, at(MARGIN)).err(),
        };
        let trouble = trouble.or_else(|| {
            let acceptor = tls.acceptor().err();
            acceptor.map(|error| crate::error_text(&error))
        });
        match &trouble {
            None => readiness.reached(CERTIFICATE),
            Some(_) => readiness.wait_for(CERTIFICATE),
        }
        let early = match &trouble {
            None => tls
                .certificate()
                .ok()
                .and_then(|der| is_valid(&der, dns_name, at(lookahead)).err()),
            Some(_) => None,
        };
        if let Some(text) = trouble.clone().or(early)
            && reported.as_ref() != Some(&text)
        {
            tracing::warn!(error = text, "the webhook's certificate needs a renewal");
            reported = Some(text);
        }
        // One that is missing may be mounted any moment.
        let wait = match trouble {
            Some(_) => interval.min(Duration::from_secs(2)),
            None => interval,
        };
        tokio::time::sleep(wait).await;
    }
}

/// Checks that a certificate is valid for a name at a time in seconds since 1970; returns what is wrong with it.
fn is_valid(der: &[u8], name: &str, at: i64) -> Result<(), String> {
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|_| "the certificate cannot be read".to_owned())?;
    let time = ASN1Time::from_timestamp(at).map_err(|_| "the time is out of range".to_owned())?;
    if !certificate.validity().is_valid_at(time) {
        return Err(format!(
            "the certificate is valid from {} to {} only",
            certificate.validity().not_before,
            certificate.validity().not_after
        ));
    }
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|extension| &extension.value.general_names);
    let matches = |pattern: &str| match pattern.strip_prefix("*.") {
        Some(rest) => name
            .split_once('.')
            .is_some_and(|(_, parent)| parent.eq_ignore_ascii_case(rest)),
        None => pattern.eq_ignore_ascii_case(name),
    };
    let covered = names.into_iter().flatten().any(|known| match known {
        GeneralName::DNSName(pattern) => matches(pattern),
        _ => false,
    });
    match covered {
        true => Ok(()),
        false => Err(format!("the certificate is not for {name}")),
    }
}
