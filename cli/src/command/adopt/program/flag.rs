//! The flags of upstream's programs, and how our chart takes each of them over.

use k8s_openapi::api::core::v1::Container;

use super::component::Component;

/// How our chart takes over a flag of an upstream program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Becomes {
    /// It becomes a value of the chart.
    Value(&'static str),
    /// It becomes a list value of the chart, which `--set` writes with braces.
    List(&'static str),
    /// It becomes an entry of `extraArgs`.
    Extra,
    /// It determines which RBAC roles the chart creates: see `roles` in `chart.rs`.
    Scope,
    /// The chart sets it itself.
    OfChart,
    /// It is accepted and changes nothing.
    Nothing,
    /// It switches on a feature that needs files in the pod, which our chart does not mount.
    Files,
}

/// The flags of the Sealed Secrets controller.
const SEALED_SECRETS: &[(&str, Becomes)] = &[
    ("accept-deprecated-v1-data", Becomes::Extra),
    (
        "additional-namespaces",
        Becomes::List("additionalNamespaces"),
    ),
    ("all-namespaces", Becomes::Scope),
    ("key-cutoff-time", Becomes::Value("keycutofftime")),
    ("key-order-priority", Becomes::Extra),
    ("key-prefix", Becomes::Value("secretName")),
    ("key-renew-period", Becomes::Value("keyrenewperiod")),
    ("key-size", Becomes::Extra),
    ("key-ttl", Becomes::Value("keyttl")),
    ("kubeclient-burst", Becomes::Value("kubeClientBurst")),
    ("kubeclient-qps", Becomes::Value("kubeClientQPS")),
    ("label-selector", Becomes::Extra),
    ("listen-addr", Becomes::OfChart),
    ("listen-metrics-addr", Becomes::OfChart),
    ("log-format", Becomes::Value("logFormat")),
    ("log-info-stdout", Becomes::Value("logInfoStdout")),
    ("log-level", Becomes::Value("logLevel")),
    ("max-unseal-retries", Becomes::Value("maxRetries")),
    (
        "metrics-omit-secret-labels",
        Becomes::Value("metricsOmitSecretLabels"),
    ),
    ("my-cn", Becomes::Extra),
    ("old-gc-behavior", Becomes::Extra),
    ("privatekey-annotations", Becomes::Extra),
    ("privatekey-labels", Becomes::Extra),
    ("rate-limit", Becomes::Value("rateLimit")),
    ("rate-limit-burst", Becomes::Value("rateLimitBurst")),
    ("read-timeout", Becomes::Extra),
    ("rotate-period", Becomes::Value("keyrenewperiod")),
    ("skip-recreate", Becomes::Value("skipRecreate")),
    ("update-status", Becomes::Value("updateStatus")),
    ("watch-for-secrets", Becomes::Nothing),
    ("write-timeout", Becomes::Extra),
];

/// The flags of the External Secrets Operator.
const EXTERNAL_SECRETS: &[(&str, Becomes)] = &[
    ("client-burst", Becomes::Extra),
    ("client-qps", Becomes::Extra),
    ("concurrent", Becomes::Value("concurrent")),
    ("controller-class", Becomes::Value("controllerClass")),
    ("doppler-etag-cache-size", Becomes::Nothing),
    (
        "enable-cluster-external-secret-reconciler",
        Becomes::Value("processClusterExternalSecret"),
    ),
    (
        "enable-cluster-push-secret-reconciler",
        Becomes::Value("processClusterPushSecret"),
    ),
    (
        "enable-cluster-store-reconciler",
        Becomes::Value("processClusterStore"),
    ),
    ("enable-configmaps-caching", Becomes::Nothing),
    (
        "enable-extended-metric-labels",
        Becomes::Value("extendedMetricLabels"),
    ),
    ("enable-flood-gate", Becomes::Extra),
    ("enable-generator-state", Becomes::Extra),
    ("enable-http2", Becomes::Nothing),
    ("enable-leader-election", Becomes::OfChart),
    ("enable-managed-secrets-caching", Becomes::Nothing),
    (
        "enable-push-secret-reconciler",
        Becomes::Value("processPushSecret"),
    ),
    ("enable-secret-api-read-on-cache-mismatch", Becomes::Nothing),
    (
        "enable-secret-store-reconciler",
        Becomes::Value("processSecretStore"),
    ),
    ("enable-secrets-caching", Becomes::Nothing),
    ("enable-vault-token-cache", Becomes::Nothing),
    ("experimental-doppler-oidc-cache-size", Becomes::Nothing),
    ("experimental-enable-doppler-oidc-cache", Becomes::Nothing),
    ("experimental-enable-vault-token-cache", Becomes::Nothing),
    ("experimental-vault-token-cache-size", Becomes::Nothing),
    ("generator-gc-grace-period", Becomes::Extra),
    ("leader-election-id", Becomes::OfChart),
    ("leader-election-lease-duration", Becomes::OfChart),
    ("leader-election-renew-deadline", Becomes::OfChart),
    ("leader-election-retry-period", Becomes::OfChart),
    ("live-addr", Becomes::OfChart),
    ("loglevel", Becomes::Value("logLevel")),
    ("metrics-addr", Becomes::OfChart),
    ("metrics-auth", Becomes::Extra),
    ("metrics-cert-dir", Becomes::Extra),
    ("metrics-cert-name", Becomes::Extra),
    ("metrics-key-name", Becomes::Extra),
    ("metrics-secure", Becomes::Files),
    ("mysterybox-connections-cache-size", Becomes::Nothing),
    ("mysterybox-tokens-cache-size", Becomes::Nothing),
    ("namespace", Becomes::Value("scopedNamespace")),
    (
        "store-requeue-interval",
        Becomes::Value("storeRequeueInterval"),
    ),
    ("template-left-delimiter", Becomes::Extra),
    ("template-right-delimiter", Becomes::Extra),
    ("tls-ciphers", Becomes::Extra),
    ("tls-curve-preferences", Becomes::Extra),
    ("tls-min-version", Becomes::Extra),
    (
        "unsafe-allow-generic-targets",
        Becomes::Value("genericTargets.enabled"),
    ),
    ("vault-token-cache-size", Becomes::Nothing),
    // Our chart logs in the format of the Sealed Secrets controller, which has only one time encoding.
    ("zap-time-encoding", Becomes::Nothing),
];

/// Looks up how a flag is taken over. Returns `None` for an unknown flag.
pub(crate) fn becomes(component: Component, flag: &str) -> Option<Becomes> {
    let table = match component {
        Component::SealedSecrets => SEALED_SECRETS,
        _ => EXTERNAL_SECRETS,
    };
    table
        .iter()
        .find(|(name, _)| *name == flag)
        .map(|(_, becomes)| *becomes)
}

/// Returns the flag that an environment variable sets. The Sealed Secrets controller also reads all of its flags from the
/// environment.
pub(super) fn flag_of_variable(component: Component, variable: &str) -> Option<String> {
    if component != Component::SealedSecrets {
        return None;
    }
    let flag = variable.strip_prefix("SEALED_SECRETS_")?;
    let flag = flag.to_ascii_lowercase().replace('_', "-");
    becomes(component, &flag).map(|_| flag)
}

/// Returns the flags that a container sets through environment variables.
pub(super) fn variables(component: Component, container: &Container) -> Vec<(String, String)> {
    let variables = container.env.iter().flatten();
    let flags = variables.filter_map(|variable| {
        let flag = flag_of_variable(component, &variable.name)?;
        // Upstream ignores an empty variable as well.
        let value = variable.value.clone().filter(|value| !value.is_empty())?;
        Some((flag, value))
    });
    flags.collect()
}
