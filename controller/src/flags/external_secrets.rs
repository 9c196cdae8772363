//! The flags of the External Secrets Operator and of its two helpers, and what the program makes of them.

use std::path::PathBuf;
use std::time::Duration;

use sealwright_resources::external_secret::render::Options;
use sealwright_template::Delimiters;

use super::table::{Definition, Kind, flag, hours};
use super::values::Values;
use super::{FlagError, unusable};
use crate::external_secrets::Settings;
use crate::leader::ElectionSettings;
use crate::log;
use crate::tls::{TlsPolicy, TlsSettings};

const MINUTE: Duration = Duration::from_secs(60);
/// Objects worked on at a time, unless that is given.
const WORKERS: usize = 12;
/// Workers of a kind there are at least: most of them only wait, and a few stores that do not answer must not hold up
/// the objects of all others.
const FEWEST_WORKERS: usize = 24;
/// Accepted, without effect: memory is bounded without it, or the answer is the same.
const NO_EFFECT: &str = "Accepted for compatibility, without effect.";

/// The flags of the operator itself (E1 to E38, F2).
#[rustfmt::skip]
pub(super) const OPERATOR: &[Definition] = &[
    flag("metrics-addr", Kind::Text(":8080"), "HTTP address of the metrics."),
    flag("metrics-auth", Kind::Switch(false), "Restrict the metrics to users whom the API server permits; needs --metrics-secure."),
    flag("metrics-secure", Kind::Switch(false), "Serve the metrics over HTTPS."),
    flag("metrics-cert-dir", Kind::Text(""), "Folder of the certificate and key of the metrics server."),
    flag("metrics-cert-name", Kind::Text("tls.crt"), "File of the certificate in --metrics-cert-dir."),
    flag("metrics-key-name", Kind::Text("tls.key"), "File of the key in --metrics-cert-dir."),
    flag("controller-class", Kind::Text("default"), "Only reconcile stores and objects of this class."),
    flag("enable-leader-election", Kind::Switch(false), "Elect a leader among the replicas with a Lease."),
    flag("leader-election-id", Kind::Text("external-secrets-controller"), "Name of the Lease in the controller's own namespace."),
    flag("leader-election-lease-duration", Kind::Time(Duration::from_secs(15)), "How long the Lease holds without being renewed."),
    flag("leader-election-renew-deadline", Kind::Time(Duration::from_secs(10)), "How long the leader goes on without having renewed the Lease."),
    flag("leader-election-retry-period", Kind::Time(Duration::from_secs(2)), "How often the Lease is checked."),
    flag("concurrent", Kind::Whole(1), "Number of objects of a kind reconciled concurrently; never fewer than 24, as most of them only wait for a store."),
    flag("client-qps", Kind::Float("50"), "Limit of requests per second to the API server."),
    flag("client-burst", Kind::Whole(100), "Burst beyond client-qps."),
    flag("live-addr", Kind::Text(":8082"), "HTTP address of the probes /healthz and /readyz."),
    flag("loglevel", Kind::Text("info"), "Log level: debug, info, warn, error, dpanic, panic or fatal."),
    flag("zap-time-encoding", Kind::Text("epoch"), "Time in log lines: epoch, millis, nano, iso8601, rfc3339 or rfc3339nano."),
    flag("namespace", Kind::Text(""), "Only reconcile objects in this namespace, or in a comma-separated list of namespaces."),
    flag("enable-cluster-store-reconciler", Kind::Switch(true), "Use ClusterSecretStores."),
    flag("enable-secret-store-reconciler", Kind::Switch(true), "Use SecretStores."),
    flag("enable-cluster-external-secret-reconciler", Kind::Switch(true), "Use ClusterExternalSecrets."),
    flag("enable-cluster-push-secret-reconciler", Kind::Switch(true), "Use ClusterPushSecrets."),
    flag("enable-push-secret-reconciler", Kind::Switch(true), "Use PushSecrets."),
    flag("enable-secrets-caching", Kind::Switch(false), NO_EFFECT),
    flag("enable-configmaps-caching", Kind::Switch(false), NO_EFFECT),
    flag("enable-managed-secrets-caching", Kind::Switch(true), NO_EFFECT),
    flag("enable-secret-api-read-on-cache-mismatch", Kind::Switch(true), NO_EFFECT),
    flag("store-requeue-interval", Kind::Time(Duration::from_secs(300)), "How often a store is validated."),
    flag("enable-flood-gate", Kind::Switch(true), "ExternalSecrets wait until their store is ready."),
    flag("enable-generator-state", Kind::Switch(true), "Keep the state of generators."),
    flag("enable-extended-metric-labels", Kind::Switch(false), "Put the app.kubernetes.io labels of objects into their metrics."),
    flag("enable-http2", Kind::Switch(false), NO_EFFECT),
    flag("unsafe-allow-generic-targets", Kind::Switch(false), "Let ExternalSecrets write objects that are no Secrets."),
    flag("template-left-delimiter", Kind::Text("{{"), "Left delimiter of templates."),
    flag("template-right-delimiter", Kind::Text("}}"), "Right delimiter of templates."),
    flag("generator-gc-grace-period", Kind::Time(Duration::from_secs(120)), "How long the state of a generator stays after it was replaced."),
    flag("enable-vault-token-cache", Kind::Switch(false), NO_EFFECT),
    flag("upstream-deletion", Kind::Switch(false), "Delete what is gone from a store even if more than half of it is gone at once."),
    flag("vault-token-cache-size", Kind::Whole(262_144), NO_EFFECT),
    flag("experimental-enable-vault-token-cache", Kind::Switch(false), ""),
    flag("experimental-vault-token-cache-size", Kind::Whole(262_144), ""),
    flag("experimental-enable-doppler-oidc-cache", Kind::Switch(false), ""),
    flag("experimental-doppler-oidc-cache-size", Kind::Whole(262_144), ""),
    flag("doppler-etag-cache-size", Kind::Whole(16_384), ""),
    flag("mysterybox-tokens-cache-size", Kind::Whole(4096), ""),
    flag("mysterybox-connections-cache-size", Kind::Whole(128), ""),
    flag("tls-ciphers", Kind::Text(""), "Comma-separated cipher suites of TLS 1.2; empty means all that are safe."),
    flag("tls-min-version", Kind::Text("1.2"), "Oldest version of TLS: 1.2 or 1.3."),
    flag("tls-curve-preferences", Kind::Text(""), "Comma-separated key exchange groups in order; empty means the defaults."),
    flag("object-selector", Kind::Text(""), "Only reconcile ExternalSecrets and PushSecrets with these labels. Not a flag of upstream's."),
    flag("refresh-addr", Kind::Text(""), "HTTP address at which changed values are announced; empty means nowhere. Not a flag of upstream's."),
    flag("refresh-token-file", Kind::Text(""), "File with the token of clients that announce changes; without it, users of the cluster who may update ExternalSecrets may announce them."),
    flag("refresh-cert-dir", Kind::Text(""), "Folder of tls.crt and tls.key of the refresh server; empty means plain HTTP."),
];

/// What the helpers share (E41, E51, F2).
#[rustfmt::skip]
const HELPER: [Definition; 12] = [
    flag("metrics-addr", Kind::Text(":8080"), "HTTP address of the metrics."),
    flag("metrics-auth", Kind::Switch(false), "Restrict the metrics to users whom the API server permits; needs --metrics-secure."),
    flag("metrics-secure", Kind::Switch(false), "Serve the metrics over HTTPS."),
    flag("metrics-cert-dir", Kind::Text(""), "Folder of the certificate and key of the metrics server."),
    flag("metrics-cert-name", Kind::Text("tls.crt"), "File of the certificate in --metrics-cert-dir."),
    flag("metrics-key-name", Kind::Text("tls.key"), "File of the key in --metrics-cert-dir."),
    flag("healthz-addr", Kind::Text(":8081"), "HTTP address of the probes /healthz and /readyz."),
    flag("loglevel", Kind::Text("info"), "Log level: debug, info, warn, error, dpanic, panic or fatal."),
    flag("zap-time-encoding", Kind::Text("epoch"), "Time in log lines: epoch, millis, nano, iso8601, rfc3339 or rfc3339nano."),
    flag("enable-http2", Kind::Switch(false), NO_EFFECT),
    flag("tls-curve-preferences", Kind::Text(""), "Comma-separated key exchange groups in order; empty means the defaults."),
    flag("kubeconfig", Kind::Text(""), "Path of a kubeconfig; by default KUBECONFIG, then the pod's service account."),
];

/// The flags of `webhook` beside those of both helpers (E42 to E49).
#[rustfmt::skip]
const WEBHOOK_ONLY: &[Definition] = &[
    flag("port", Kind::Whole(10_250), "Port of the webhook."),
    flag("dns-name", Kind::Text("localhost"), "Name that the certificate has to be valid for."),
    flag("cert-dir", Kind::Text("/tmp/k8s-webhook-server/serving-certs"), "Folder of tls.crt and tls.key."),
    flag("check-interval", Kind::Time(Duration::from_secs(300)), "How often the certificate is checked."),
    flag("lookahead-interval", Kind::Time(hours(2160)), "A certificate that expires within this is reported."),
    flag("tls-ciphers", Kind::Text(""), "Comma-separated cipher suites of TLS 1.2; empty means all that are safe."),
    flag("tls-min-version", Kind::Text("1.2"), "Oldest version of TLS: 1.2 or 1.3."),
];

/// The flags of `certcontroller` beside those of both helpers (E52 to E57).
#[rustfmt::skip]
const CERT_CONTROLLER_ONLY: &[Definition] = &[
    flag("service-name", Kind::Text("external-secrets-webhook"), NO_EFFECT),
    flag("service-namespace", Kind::Text("default"), NO_EFFECT),
    flag("secret-name", Kind::Text("external-secrets-webhook"), NO_EFFECT),
    flag("secret-namespace", Kind::Text("default"), NO_EFFECT),
    flag("crd-names", Kind::Text("externalsecrets.external-secrets.io,clustersecretstores.external-secrets.io,secretstores.external-secrets.io"), NO_EFFECT),
    flag("enable-partial-cache", Kind::Switch(false), NO_EFFECT),
    flag("enable-leader-election", Kind::Switch(false), NO_EFFECT),
    flag("crd-requeue-interval", Kind::Time(Duration::from_secs(300)), "How often the cluster is checked for left-over webhooks."),
    flag("tls-ciphers", Kind::Text(""), "Comma-separated cipher suites of TLS 1.2; empty means all that are safe."),
    flag("tls-min-version", Kind::Text("1.2"), "Oldest version of TLS: 1.2 or 1.3."),
];

/// The tables of flags of `webhook`.
pub(super) const WEBHOOK: &[&[Definition]] = &[&HELPER, WEBHOOK_ONLY];
/// The tables of flags of `certcontroller`.
pub(super) const CERT_CONTROLLER: &[&[Definition]] = &[&HELPER, CERT_CONTROLLER_ONLY];

/// How ExternalSecrets are treated.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ExternalSecretsFlags {
    pub(crate) controller_class: String,
    /// The labels of the ExternalSecrets and PushSecrets that are looked at, as a selector; empty means all.
    pub(crate) object_selector: String,
    /// Only these namespaces; none means all.
    pub(crate) namespaces: Vec<String>,
    pub(crate) concurrent: usize,
    pub(crate) cluster_stores: bool,
    pub(crate) secret_stores: bool,
    pub(crate) cluster_external_secrets: bool,
    pub(crate) push_secrets: bool,
    pub(crate) cluster_push_secrets: bool,
    pub(crate) store_requeue_interval: Duration,
    pub(crate) flood_gate: bool,
    pub(crate) generator_state: bool,
    pub(crate) generator_gc_grace_period: Duration,
    pub(crate) extended_metric_labels: bool,
    pub(crate) generic_targets: bool,
    pub(crate) refresh: Option<RefreshServer>,
    pub(crate) upstream_deletion: bool,
    pub(crate) template_delimiters: (String, String),
}

/// Where changed values are announced.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RefreshServer {
    pub(crate) listen: String,
    /// The token of those who may announce something; without it the API server decides.
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) tls: Option<TlsSettings>,
}

/// What both helpers need.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HelperFlags {
    pub(crate) metrics_addr: String,
    pub(crate) metrics_tls: Option<TlsSettings>,
    pub(crate) healthz_addr: String,
    pub(crate) log: log::LogSettings,
    pub(crate) kubeconfig: String,
    pub(crate) work: HelperWork,
    pub(crate) notices: Vec<String>,
}

/// Which of the helpers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum HelperWork {
    /// Admits every object: what upstream checks there, the controller checks itself.
    Webhook {
        port: u16,
        tls: TlsSettings,
        dns_name: String,
        check_interval: Duration,
        lookahead: Duration,
    },
    /// Looks for left-over webhooks.
    CertController { interval: Duration },
}

impl ExternalSecretsFlags {
    /// What the reconcilers need of them.
    pub(crate) fn settings(&self) -> Settings {
        let (left, right) = &self.template_delimiters;
        Settings {
            scopes: match self.namespaces.as_slice() {
                [] => vec![None],
                some => some.iter().cloned().map(Some).collect(),
            },
            selector: self.object_selector.clone(),
            class: self.controller_class.clone(),
            flood_gate: self.flood_gate,
            cluster_stores: self.cluster_stores,
            stores: self.secret_stores,
            cluster_external_secrets: self.cluster_external_secrets,
            push_secrets: self.push_secrets,
            cluster_push_secrets: self.cluster_push_secrets,
            generator_state: self.generator_state,
            generator_grace: self.generator_gc_grace_period,
            upstream_deletion: self.upstream_deletion,
            store_interval: self.store_requeue_interval,
            generic_targets: self.generic_targets,
            options: Options {
                delimiters: Delimiters::new(left, right),
            },
            workers: self.concurrent.max(FEWEST_WORKERS),
        }
    }
}

impl Values {
    /// Settles the flags of the operator.
    pub(super) fn external_secrets(&self) -> Result<ExternalSecretsFlags, FlagError> {
        let on = |name| self.switch(name);
        let namespaces = self.text("namespace");
        let namespaces = namespaces.split(',').map(str::trim);
        Ok(ExternalSecretsFlags {
            controller_class: self.text("controller-class"),
            object_selector: self.selector("object-selector")?,
            namespaces: namespaces
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            // Upstream's default of one is a worker that waits for the vault; here waiting costs nothing.
            concurrent: match self.is_given("concurrent") {
                true => usize::try_from(self.whole("concurrent").max(1)).unwrap_or(1),
                false => WORKERS,
            },
            cluster_stores: on("enable-cluster-store-reconciler"),
            secret_stores: on("enable-secret-store-reconciler"),
            cluster_external_secrets: on("enable-cluster-external-secret-reconciler"),
            push_secrets: on("enable-push-secret-reconciler"),
            cluster_push_secrets: on("enable-cluster-push-secret-reconciler"),
            store_requeue_interval: self.time("store-requeue-interval"),
            flood_gate: on("enable-flood-gate"),
            generator_state: on("enable-generator-state"),
            generator_gc_grace_period: self.time("generator-gc-grace-period"),
            extended_metric_labels: on("enable-extended-metric-labels"),
            generic_targets: on("unsafe-allow-generic-targets"),
            refresh: self.refresh_server()?,
            upstream_deletion: on("upstream-deletion"),
            template_delimiters: (
                self.text("template-left-delimiter"),
                self.text("template-right-delimiter"),
            ),
        })
    }

    fn refresh_server(&self) -> Result<Option<RefreshServer>, FlagError> {
        let listen = self.text("refresh-addr");
        let (token, folder) = (
            self.text("refresh-token-file"),
            self.text("refresh-cert-dir"),
        );
        if listen.is_empty() {
            return match token.is_empty() && folder.is_empty() {
                true => Ok(None),
                false => Err(unusable(
                    "--refresh-token-file and --refresh-cert-dir need --refresh-addr",
                )),
            };
        }
        let tls = match folder.is_empty() {
            true => None,
            false => Some(TlsSettings {
                certificate: format!("{folder}/tls.crt").into(),
                key: format!("{folder}/tls.key").into(),
                policy: self.tls_policy()?,
            }),
        };
        Ok(Some(RefreshServer {
            listen,
            token_file: Some(token)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            tls,
        }))
    }

    /// Settles the election as the operator has it (E6 to E8).
    pub(super) fn operator_election(&self) -> Result<Option<ElectionSettings>, FlagError> {
        if !self.switch("enable-leader-election") {
            return Ok(None);
        }
        let settings = ElectionSettings {
            lease: self.text("leader-election-id"),
            duration: self.time("leader-election-lease-duration"),
            deadline: self.time("leader-election-renew-deadline"),
            period: self.time("leader-election-retry-period"),
        };
        if settings.duration < Duration::from_secs(1) || settings.duration <= settings.deadline {
            return Err(unusable(
                "--leader-election-lease-duration must be at least 1s and longer than --leader-election-renew-deadline",
            ));
        }
        // As upstream's library demands it, with its jitter.
        if settings.period.is_zero() || settings.deadline <= settings.period * 6 / 5 {
            return Err(unusable(
                "--leader-election-renew-deadline must be longer than 1.2 times --leader-election-retry-period, which must not be 0",
            ));
        }
        Ok(Some(settings))
    }

    /// Settles how the metrics are served over HTTPS, if they are (E2 to E4).
    pub(super) fn metrics_tls(&self) -> Result<Option<TlsSettings>, FlagError> {
        if self.switch("metrics-auth") && !self.switch("metrics-secure") {
            return Err(unusable("--metrics-auth needs --metrics-secure"));
        }
        if !self.switch("metrics-secure") {
            return Ok(None);
        }
        let folder = self.text("metrics-cert-dir");
        if folder.is_empty() {
            return Err(unusable(
                "--metrics-secure needs --metrics-cert-dir: a certificate made at start would be trusted by no one",
            ));
        }
        Ok(Some(TlsSettings {
            certificate: format!("{folder}/{}", self.text("metrics-cert-name")).into(),
            key: format!("{folder}/{}", self.text("metrics-key-name")).into(),
            policy: self.tls_policy()?,
        }))
    }

    fn tls_policy(&self) -> Result<TlsPolicy, FlagError> {
        TlsPolicy::parse(
            &self.text("tls-min-version"),
            &self.text("tls-ciphers"),
            &self.text("tls-curve-preferences"),
        )
        .map_err(|error| unusable(&error.to_string()))
    }

    /// Settles how upstream's library writes its log (E13, E14).
    pub(super) fn zap_log(&self) -> Result<log::LogSettings, FlagError> {
        let (level, time) = (self.text("loglevel"), self.text("zap-time-encoding"));
        let level = log::Level::parse_zap(&level).ok_or_else(|| {
            unusable(&format!(
                "--loglevel {level:?} is none of debug, info, warn, error, dpanic, panic and fatal"
            ))
        })?;
        let encoding = log::ZapTime::parse(&time).ok_or_else(|| {
            unusable(&format!(
                "--zap-time-encoding {time:?} is none of epoch, millis, nano, iso8601, rfc3339 and rfc3339nano"
            ))
        })?;
        Ok(log::LogSettings {
            level,
            form: log::Form::Zap(encoding),
            info_to_stdout: false,
        })
    }

    /// Settles the flags of `webhook`.
    pub(super) fn webhook(&self) -> Result<HelperFlags, FlagError> {
        let port = self.whole("port");
        let port = u16::try_from(port)
            .map_err(|_| unusable(&format!("--port {port} is not between 0 and 65535")))?;
        let folder = self.text("cert-dir");
        self.helper(HelperWork::Webhook {
            port,
            tls: TlsSettings {
                certificate: format!("{folder}/tls.crt").into(),
                key: format!("{folder}/tls.key").into(),
                policy: self.tls_policy()?,
            },
            dns_name: self.text("dns-name"),
            check_interval: self.time("check-interval").max(Duration::from_secs(1)),
            lookahead: self.time("lookahead-interval"),
        })
    }

    /// Settles the flags of `certcontroller`.
    pub(super) fn cert_controller(&self) -> Result<HelperFlags, FlagError> {
        self.helper(HelperWork::CertController {
            interval: self.time("crd-requeue-interval").max(MINUTE),
        })
    }

    fn helper(&self, work: HelperWork) -> Result<HelperFlags, FlagError> {
        Ok(HelperFlags {
            metrics_addr: self.text("metrics-addr"),
            metrics_tls: match self.switch("metrics-auth") {
                // The helpers have no rights in the cluster that they could ask with.
                true => {
                    return Err(unusable(
                        "--metrics-auth is not available for the helpers: let a NetworkPolicy say who may connect to the metrics",
                    ));
                }
                false => self.metrics_tls()?,
            },
            healthz_addr: self.text("healthz-addr"),
            log: self.zap_log()?,
            kubeconfig: self.text("kubeconfig"),
            work,
            notices: self.notices_of_operator(),
        })
    }

    /// What is worth a word in the log about flags of the operator.
    pub(super) fn notices_of_operator(&self) -> Vec<String> {
        // Upstream speaks of them at every start; here only when they are given.
        [
            "experimental-enable-vault-token-cache",
            "experimental-vault-token-cache-size",
        ]
        .into_iter()
        .filter(|name| self.is_given(name))
        .map(|name| format!("Flag --{name} has been deprecated and has no effect"))
        .collect()
    }
}
