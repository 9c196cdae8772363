//! What a flag is, and the flags that the personality of Sealed Secrets shows.

use std::time::Duration;

use jiff::SignedDuration;
use sealwright_template::{Limits, go_duration};

/// A flag.
pub(super) struct Definition {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Empty for hidden flags.
    pub(super) help: &'static str,
}

/// The kind of a flag with its default.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text(&'static str),
    Switch(bool),
    Whole(i64),
    Float(&'static str),
    Time(Duration),
}

impl Kind {
    /// How the usage text names a value.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::Switch(_) => "",
            Self::Whole(_) => "int",
            Self::Float(_) => "float32",
            Self::Time(_) => "duration",
        }
    }

    pub(super) fn default(self) -> String {
        match self {
            Self::Text(text) | Self::Float(text) => text.to_owned(),
            Self::Switch(on) => on.to_string(),
            Self::Whole(number) => number.to_string(),
            Self::Time(time) => go_duration::to_text(
                SignedDuration::try_from(time).expect("the defaults are days at most"),
            ),
        }
    }
}

pub(super) const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

pub(super) const fn flag(name: &'static str, kind: Kind, help: &'static str) -> Definition {
    Definition { name, kind, help }
}

/// The flags of the Sealed Secrets controller, and ours.
pub(super) const SEALED_SECRETS: &[Definition] = &[
    flag(
        "key-prefix",
        Kind::Text("sealed-secrets-key"),
        "Prefix of the names of sealing key Secrets, and exact name of the one from before 0.9.",
    ),
    flag(
        "key-size",
        Kind::Whole(4096),
        "Bits of generated sealing keys: 2048, 3072, 4096 or 8192.",
    ),
    flag(
        "key-ttl",
        Kind::Time(hours(87600)),
        "How long the certificate of a generated key is valid.",
    ),
    flag(
        "my-cn",
        Kind::Text(""),
        "Common name of issuer and subject of generated certificates.",
    ),
    flag(
        "key-renew-period",
        Kind::Time(hours(720)),
        "Interval at which new sealing keys are generated; 0 means never by timer.",
    ),
    flag(
        "key-order-priority",
        Kind::Text("CertNotBefore"),
        "Which time makes a sealing key the newest: CertNotBefore or SecretCreationTimestamp.",
    ),
    flag(
        "accept-deprecated-v1-data",
        Kind::Switch(true),
        "Accept the deprecated field spec.data.",
    ),
    flag(
        "key-cutoff-time",
        Kind::Text(""),
        "Generate a new key at start if the newest one is older than this (RFC 1123 with numeric zone, as date -R prints).",
    ),
    flag(
        "all-namespaces",
        Kind::Switch(true),
        "Watch all namespaces, or only the controller's own.",
    ),
    flag(
        "additional-namespaces",
        Kind::Text(""),
        "Comma-separated list of namespaces to watch beside the controller's own; turns off the watch of all namespaces.",
    ),
    flag(
        "label-selector",
        Kind::Text(""),
        "Only reconcile SealedSecrets with these labels.",
    ),
    flag(
        "rate-limit",
        Kind::Whole(2),
        "Sustained requests per second on each of /v1/verify and /v1/rotate.",
    ),
    flag(
        "rate-limit-burst",
        Kind::Whole(2),
        "Requests beyond the rate limit that are let through at once.",
    ),
    flag(
        "privatekey-annotations",
        Kind::Text(""),
        "Comma-separated annotations (k=v) of generated key Secrets.",
    ),
    flag(
        "privatekey-labels",
        Kind::Text(""),
        "Comma-separated labels (k=v) of generated key Secrets.",
    ),
    flag(
        "old-gc-behavior",
        Kind::Switch(false),
        "Delete the Secret of a deleted SealedSecret ourselves instead of leaving it to the garbage collector.",
    ),
    flag(
        "update-status",
        Kind::Switch(true),
        "Write the status subresource of SealedSecrets.",
    ),
    flag(
        "watch-for-secrets",
        Kind::Switch(false),
        "Accepted for compatibility: key Secrets are always watched.",
    ),
    flag(
        "skip-recreate",
        Kind::Switch(false),
        "Do not watch Secrets: a deleted or changed target is only put back when its SealedSecret changes.",
    ),
    flag(
        "log-info-stdout",
        Kind::Switch(true),
        "Write INFO and below to stdout and the rest to stderr; off means everything to stderr.",
    ),
    flag(
        "log-level",
        Kind::Text("INFO"),
        "Log level: DEBUG, INFO, WARN or ERROR.",
    ),
    flag(
        "log-format",
        Kind::Text("text"),
        "Log format: text or json.",
    ),
    flag(
        "max-unseal-retries",
        Kind::Whole(5),
        "Quick retries of a failing SealedSecret before it is only retried slowly.",
    ),
    flag(
        "kubeclient-qps",
        Kind::Float("-1"),
        "Limit of requests per second to the API server; negative means that its own fairness (429, Retry-After) is the only limit.",
    ),
    flag(
        "kubeclient-burst",
        Kind::Whole(10),
        "Burst beyond kubeclient-qps.",
    ),
    flag(
        "listen-addr",
        Kind::Text(":8080"),
        "HTTP address of certificate, verify, rotate and probes.",
    ),
    flag(
        "listen-metrics-addr",
        Kind::Text(":8081"),
        "HTTP address of the metrics.",
    ),
    flag(
        "read-timeout",
        Kind::Time(Duration::from_secs(120)),
        "How long a request may take to arrive.",
    ),
    flag(
        "write-timeout",
        Kind::Time(Duration::from_secs(120)),
        "How long an answer may take.",
    ),
    flag("rotate-period", Kind::Time(hours(720)), ""),
    flag(
        "metrics-omit-secret-labels",
        Kind::Switch(false),
        "Leave out the metric condition_info, which names SealedSecrets.",
    ),
    flag(
        "version",
        Kind::Switch(false),
        "Print version information and exit.",
    ),
    flag(
        "leader-elect",
        Kind::Switch(true),
        "Elect a leader among the replicas with a Lease; without permission for it, the process works without an election.",
    ),
    flag(
        "leader-elect-lease",
        Kind::Text("sealed-secrets-controller"),
        "Name of the Lease in the controller's own namespace.",
    ),
    flag(
        "trusted-proxies",
        Kind::Text(""),
        "Comma-separated IP addresses and CIDR ranges of proxies whose X-Forwarded-For names the client that the rate limit counts; the API server's, for those who use kubeseal through its service proxy.",
    ),
    flag(
        "template-time-limit",
        Kind::Time(Limits::DEFAULT.time),
        "Processor time that the templates of one object may use together.",
    ),
    flag(
        "template-memory-limit",
        Kind::Text("16Mi"),
        "Memory that the templates of one object may use together: bytes, or with Ki, Mi or Gi.",
    ),
    flag(
        "kubeconfig",
        Kind::Text(""),
        "Path of a kubeconfig; by default KUBECONFIG, then the pod's service account.",
    ),
    flag(
        "enable-sealed-secrets",
        Kind::Switch(true),
        "Unseal SealedSecrets; on when called sealed-secrets, off when called external-secrets.",
    ),
    flag(
        "enable-external-secrets",
        Kind::Switch(false),
        "Sync ExternalSecrets; off when called sealed-secrets, on when called external-secrets.",
    ),
];
