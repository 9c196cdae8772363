//! What a Deployment runs, and which values of our chart mean what its flags mean.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::report::Program;

/// The programs that Deployments are recognised as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Component {
    /// The Sealed Secrets controller.
    SealedSecrets,
    /// The External Secrets Operator.
    ExternalSecrets,
    /// Its webhook.
    Webhook,
    /// What keeps the certificate of its webhook.
    CertController,
    /// This project's controller, and which sides of it are on.
    Sealwright {
        sealed_secrets: bool,
        external_secrets: bool,
    },
}

/// A Deployment of one of them.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    pub(super) component: Component,
    pub(super) namespace: String,
    pub(super) name: String,
    /// The tag of its image, or what its label says.
    pub(super) version: String,
    pub(super) replicas: i32,
    /// How many there were before `adopt` stopped it.
    pub(super) replicas_before: Option<i32>,
    /// Name and value of each flag, the variables of the environment that stand for flags included.
    pub(super) flags: Vec<(String, String)>,
    /// The labels of its pods, as a selector of `kubectl`.
    pub(super) selector: String,
    /// The ServiceAccount of its pods, unless that is the one of every pod.
    pub(super) account: Option<String>,
    /// The labels of its pods that are neither of its chart nor of its selector.
    pub(super) labels: Vec<(String, String)>,
    /// What its pods have beside, which is not taken over: fields of the pod, and variables of the environment.
    pub(super) beside: Vec<String>,
    /// The Helm release that it is of.
    pub(super) release: Option<String>,
    /// The namespace in which Helm keeps the record of the release.
    pub(super) release_namespace: String,
    /// What would put it back when it is changed by hand: Flux or Argo CD, and its object.
    pub(super) manager: Option<(&'static str, String)>,
}

/// On a Deployment that `adopt` stopped: how many replicas it had.
pub(super) const REPLICAS: &str = "sealwright.dev/replicas";

const RELEASE: &str = "meta.helm.sh/release-name";
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";

/// Namespace and name of the Helm release that a Deployment is of.
pub(super) fn release_of(deployment: &Deployment) -> Option<(String, String)> {
    let annotations = deployment.metadata.annotations.as_ref()?;
    let namespace = annotations.get(RELEASE_NAMESPACE);
    let namespace = namespace.or(deployment.metadata.namespace.as_ref())?;
    Some((namespace.clone(), annotations.get(RELEASE)?.clone()))
}

impl Workload {
    /// Recognises a Deployment by its image and its command.
    pub(super) fn of(deployment: &Deployment) -> Option<Self> {
        let spec = deployment.spec.as_ref()?;
        let pod = spec.template.spec.as_ref()?;
        let (component, container) = pod
            .containers
            .iter()
            .find_map(|container| Some((component(container)?, container)))?;
        let metadata = &deployment.metadata;
        let annotation = |name: &str| metadata.annotations.as_ref()?.get(name).cloned();
        let label = |name: &str| metadata.labels.as_ref()?.get(name).cloned();
        let manager = [
            ("Flux", "helm.toolkit.fluxcd.io/name"),
            ("Flux", "kustomize.toolkit.fluxcd.io/name"),
            ("Argo CD", "argocd.argoproj.io/instance"),
        ]
        .into_iter()
        .find_map(|(manager, name)| Some((manager, label(name)?)))
        .or_else(|| {
            let tracked = annotation("argocd.argoproj.io/tracking-id")?;
            let application = tracked.split(':').next().unwrap_or_default().to_owned();
            Some(("Argo CD", application))
        });
        Some(Self {
            component,
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            version: tag(container.image.as_deref().unwrap_or_default())
                .map(str::to_owned)
                .or_else(|| label("app.kubernetes.io/version"))
                .unwrap_or_else(|| "unknown".to_owned()),
            replicas: spec.replicas.unwrap_or(1),
            replicas_before: annotation(REPLICAS).and_then(|text| text.parse().ok()),
            // The command line wins, and is read last.
            flags: [variables(component, container), flags(container)].concat(),
            selector: spec
                .selector
                .match_labels
                .iter()
                .flatten()
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
                .join(","),
            account: pod
                .service_account_name
                .clone()
                .filter(|name| !name.is_empty() && name != "default"),
            labels: labels_beside(spec),
            beside: beside(component, pod, container),
            release: annotation(RELEASE),
            release_namespace: annotation(RELEASE_NAMESPACE)
                .or_else(|| metadata.namespace.clone())
                .unwrap_or_default(),
            manager,
        })
    }

    /// Returns true if it does the work of the Sealed Secrets controller.
    pub(super) fn unseals(&self) -> bool {
        match self.component {
            Component::SealedSecrets => true,
            Component::Sealwright { sealed_secrets, .. } => sealed_secrets,
            _ => false,
        }
    }

    /// Returns true if it does the work of the External Secrets Operator.
    pub(super) fn syncs(&self) -> bool {
        match self.component {
            Component::ExternalSecrets => true,
            Component::Sealwright {
                external_secrets, ..
            } => external_secrets,
            _ => false,
        }
    }

    /// Returns true if it is one of the Deployments of an upstream program.
    pub(super) fn is_of(&self, program: Program) -> bool {
        match program {
            Program::SealedSecrets => self.component == Component::SealedSecrets,
            Program::ExternalSecrets => matches!(
                self.component,
                Component::ExternalSecrets | Component::Webhook | Component::CertController
            ),
            Program::Sops | Program::Sealwright => false,
        }
    }

    /// Returns true if it is this project's.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self.component, Component::Sealwright { .. })
    }

    /// The value of a flag. Where it is given twice, the last one counts.
    fn flag(&self, name: &str) -> Option<&str> {
        let mut flags = self.flags.iter().rev();
        let (_, value) = flags.find(|(known, _)| known == name)?;
        Some(value)
    }

    /// The values of the chart that say which roles it makes: none for the whole cluster where the program works in
    /// single namespaces, as it may have had none before.
    fn roles(&self) -> &'static [&'static str] {
        let is_off = |name: &str| self.flag(name) == Some("false");
        let names_some = |name: &str| {
            self.flag(name)
                .is_some_and(|list| entries(list).next().is_some())
        };
        match self.component {
            Component::SealedSecrets
                if is_off("all-namespaces") || names_some("additional-namespaces") =>
            {
                &["rbac.clusterRole=false", "rbac.namespacedRoles=true"]
            }
            // As upstream's chart runs it with scopedRBAC.
            Component::ExternalSecrets
                if names_some("namespace")
                    && is_off("enable-cluster-store-reconciler")
                    && is_off("enable-cluster-external-secret-reconciler")
                    && is_off("enable-cluster-push-secret-reconciler") =>
            {
                &["scopedRBAC=true"]
            }
            _ => &[],
        }
    }

    pub(super) fn place(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Namespace and name of its Helm release.
    pub(super) fn record(&self) -> Option<(&str, &str)> {
        Some((self.release_namespace.as_str(), self.release.as_deref()?))
    }

    /// The labels that every object of its chart has and no object of another chart: the release, and the chart in it.
    /// Names of releases are not unique in a cluster, and a release can hold several charts.
    pub(super) fn labels_of_chart(&self) -> Option<&str> {
        let release = self.release.as_deref()?;
        let (mut of_release, mut of_chart) = (false, false);
        for label in self.selector.split(',') {
            match label.split_once('=') {
                Some(("app.kubernetes.io/instance", value)) => of_release |= value == release,
                Some(("app.kubernetes.io/name", _)) => of_chart = true,
                _ => {}
            }
        }
        (of_release && of_chart).then_some(self.selector.as_str())
    }
}

/// Those of some Deployments that work, or worked until `adopt` stopped them.
pub(super) fn working<'a>(workloads: impl Iterator<Item = &'a Workload>) -> Vec<&'a Workload> {
    workloads
        .filter(|one| one.replicas > 0 || one.replicas_before.is_some())
        .collect()
}

/// The last part of an image's path, without tag and digest.
fn image_name(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split(':').next().unwrap_or(last)
}

fn tag(image: &str) -> Option<&str> {
    let image = image.split('@').next().unwrap_or(image);
    let last = image.rsplit('/').next().unwrap_or(image);
    let (_, tag) = last.split_once(':')?;
    Some(tag.trim_start_matches('v'))
}

fn words(container: &Container) -> Vec<&str> {
    let command = container.command.iter().flatten();
    let words = command.chain(container.args.iter().flatten());
    words.map(String::as_str).collect()
}

fn component(container: &Container) -> Option<Component> {
    let words = words(container);
    let program = words
        .first()
        .map(|word| word.rsplit('/').next().unwrap_or(word));
    let image = image_name(container.image.as_deref().unwrap_or_default());
    if image == "sealwright-controller" || program == Some("sealwright-controller") {
        let flags = flags(container);
        let on = |name: &str| {
            let found = flags.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value == "true")
        };
        let is_operator = words.contains(&"external-secrets");
        return Some(Component::Sealwright {
            sealed_secrets: on("enable-sealed-secrets").unwrap_or(!is_operator),
            external_secrets: on("enable-external-secrets").unwrap_or(is_operator),
        });
    }
    match image {
        "sealed-secrets-controller" | "sealed-secrets" => Some(Component::SealedSecrets),
        "external-secrets" if words.contains(&"webhook") => Some(Component::Webhook),
        "external-secrets" if words.contains(&"certcontroller") => Some(Component::CertController),
        "external-secrets" => Some(Component::ExternalSecrets),
        _ => None,
    }
}

/// The flags as programs in Go read them: one or two dashes, a value behind `=` or in the next word, a switch without one.
/// A negative number is a value.
fn flags(container: &Container) -> Vec<(String, String)> {
    let mut flags = Vec::new();
    let words = words(container);
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let name = word.trim_start_matches('-');
        if name.len() == word.len() || name.is_empty() {
            continue;
        }
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => match words.next_if(|next| {
                next.strip_prefix('-')
                    .is_none_or(|rest| rest.starts_with(|digit: char| digit.is_ascii_digit()))
            }) {
                Some(value) => (name, (*value).to_owned()),
                None => (name, "true".to_owned()),
            },
        };
        flags.push((name.to_owned(), value));
    }
    flags
}

/// The labels of the pods of a Deployment that are not those of charts or of its selector.
fn labels_beside(spec: &DeploymentSpec) -> Vec<(String, String)> {
    let selected = spec.selector.match_labels.as_ref();
    let metadata = spec.template.metadata.as_ref();
    let labels = metadata.and_then(|metadata| metadata.labels.as_ref());
    let beside = labels.into_iter().flatten().filter(|(name, _)| {
        let is_charts = name.starts_with("app.kubernetes.io/") || *name == "helm.sh/chart";
        !is_charts && !selected.is_some_and(|labels| labels.contains_key(*name))
    });
    beside
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// What the pods of a Deployment have beside the program, its flags and what charts give to every pod, by the names of the
/// fields. Of variables only the names are told.
fn beside(component: Component, pod: &PodSpec, container: &Container) -> Vec<String> {
    const OF_CHARTS: [&str; 5] = [
        "GOMAXPROCS",
        "GOMEMLIMIT",
        "POD_NAME",
        "POD_NAMESPACE",
        "POD_UID",
    ];
    let variables = container.env.iter().flatten();
    let variables = variables.filter(|variable| {
        let is_flag = flag_of_variable(component, &variable.name).is_some();
        !OF_CHARTS.contains(&variable.name.as_str()) && !(is_flag && variable.value.is_some())
    });
    let mut beside: Vec<String> = variables
        .map(|variable| format!("env {}", variable.name))
        .collect();
    // The chart of Sealed Secrets mounts an empty folder.
    let mut volumes = pod.volumes.iter().flatten();
    let has_volumes = volumes.any(|volume| volume.empty_dir.is_none());
    let scheduler = pod.scheduler_name.as_deref().unwrap_or_default();
    let fields = [
        (
            "envFrom",
            container.env_from.iter().flatten().next().is_some(),
        ),
        ("volumes", has_volumes),
        ("containers", pod.containers.len() > 1),
        (
            "initContainers",
            pod.init_containers.iter().flatten().next().is_some(),
        ),
        (
            "nodeSelector",
            pod.node_selector.iter().flatten().next().is_some(),
        ),
        (
            "tolerations",
            pod.tolerations.iter().flatten().next().is_some(),
        ),
        ("affinity", pod.affinity.is_some()),
        (
            "topologySpreadConstraints",
            pod.topology_spread_constraints
                .iter()
                .flatten()
                .next()
                .is_some(),
        ),
        ("priorityClassName", pod.priority_class_name.is_some()),
        ("runtimeClassName", pod.runtime_class_name.is_some()),
        (
            "schedulerName",
            !matches!(scheduler, "" | "default-scheduler"),
        ),
        ("hostNetwork", pod.host_network == Some(true)),
        (
            "hostAliases",
            pod.host_aliases.iter().flatten().next().is_some(),
        ),
        ("dnsConfig", pod.dns_config.is_some()),
    ];
    let fields = fields.into_iter().filter(|(_, is_set)| *is_set);
    beside.extend(fields.map(|(name, _)| name.to_owned()));
    beside
}

/// The flag that a variable of the environment stands for: the Sealed Secrets controller takes all of its flags from there, too.
fn flag_of_variable(component: Component, variable: &str) -> Option<String> {
    if component != Component::SealedSecrets {
        return None;
    }
    let flag = variable.strip_prefix("SEALED_SECRETS_")?;
    let flag = flag.to_ascii_lowercase().replace('_', "-");
    becomes(component, &flag).map(|_| flag)
}

/// The flags that are given as variables of the environment.
fn variables(component: Component, container: &Container) -> Vec<(String, String)> {
    let variables = container.env.iter().flatten();
    let flags = variables.filter_map(|variable| {
        let flag = flag_of_variable(component, &variable.name)?;
        // An empty one is ignored by upstream, too.
        let value = variable.value.clone().filter(|value| !value.is_empty())?;
        Some((flag, value))
    });
    flags.collect()
}

/// What becomes of a flag of an upstream program under our chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Becomes {
    /// A value of the chart.
    Value(&'static str),
    /// A value of the chart that is a list or a map, written with braces.
    List(&'static str),
    /// A value of `extraArgs`.
    Extra,
    /// It decides what the controller may do: see [`Workload::roles`].
    Scope,
    /// The chart sets it itself.
    OfChart,
    /// It is accepted and changes nothing.
    Nothing,
    /// It is a switch of what needs files in the pod, which our chart does not mount.
    Files,
}

/// The flags of the Sealed Secrets controller.
pub(super) const SEALED_SECRETS: &[(&str, Becomes)] = &[
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
pub(super) const EXTERNAL_SECRETS: &[(&str, Becomes)] = &[
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
    // The lines of the chart's Deployment have the form of the other program, which has one kind of time.
    ("zap-time-encoding", Becomes::Nothing),
];

/// What becomes of a flag; `None` when this program does not know it.
pub(super) fn becomes(component: Component, flag: &str) -> Option<Becomes> {
    let table = match component {
        Component::SealedSecrets => SEALED_SECRETS,
        _ => EXTERNAL_SECRETS,
    };
    table
        .iter()
        .find(|(name, _)| *name == flag)
        .map(|(_, becomes)| *becomes)
}

/// A text as a value in `helm`'s `--set`.
fn escaped(value: &str) -> String {
    let value = value.replace('\\', r"\\").replace(',', r"\,");
    // A list would begin so.
    match value.starts_with('{') {
        true => format!(r"\{value}"),
        false => value,
    }
}

/// The labels of a Deployment's pods as words of `helm`'s `--set-string`. Clouds go by them: those of Azure give a token to
/// pods with one of theirs.
pub(super) fn labels(workload: &Workload) -> Vec<String> {
    if workload.component != Component::ExternalSecrets {
        return Vec::new();
    }
    let labels = workload.labels.iter().map(|(name, value)| {
        let name = name.replace('.', r"\.");
        format!("podLabels.{name}={}", escaped(value))
    });
    labels.collect()
}

/// The flags of a Deployment, and the account of its pods, as words of `helm`'s `--set`.
pub(super) fn values(workload: &Workload) -> Vec<String> {
    let mut values = Vec::new();
    for (flag, value) in &workload.flags {
        match becomes(workload.component, flag) {
            Some(Becomes::Value(name)) => values.push(format!("{name}={}", escaped(value))),
            Some(Becomes::List(name)) => {
                let names: Vec<&str> = entries(value).collect();
                values.push(format!("{name}={{{}}}", names.join(",")));
            }
            Some(Becomes::Extra) => values.push(format!("extraArgs.{flag}={}", escaped(value))),
            Some(Becomes::Scope | Becomes::OfChart | Becomes::Nothing | Becomes::Files) | None => {}
        }
    }
    values.extend(workload.roles().iter().map(|value| (*value).to_owned()));
    // Clouds and vaults know the operator by its account, where a store names no other one.
    if let (Component::ExternalSecrets, Some(account)) = (workload.component, &workload.account) {
        values.push("serviceAccount.create=false".to_owned());
        values.push(format!("serviceAccount.name={account}"));
    }
    values
}

/// The entries of a list with commas between them.
fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workload(image: &str, command: &[&str], args: &[&str]) -> Option<Workload> {
        let deployment = json!({
            "metadata": {"name": "d", "namespace": "n"},
            "spec": {"replicas": 2, "selector": {}, "template": {"spec": {"containers": [
                {"name": "sidecar", "image": "example.com/proxy:1"},
                {"name": "c", "image": image, "command": command, "args": args},
            ]}}},
        });
        Workload::of(&serde_json::from_value(deployment).unwrap())
    }

    #[test]
    fn programs_are_recognised_by_image_and_command() {
        let runs = |image: &str, command: &[&str], args: &[&str]| {
            workload(image, command, args).map(|workload| (workload.component, workload.version))
        };
        let version = |text: &str| text.to_owned();
        assert_eq!(
            runs(
                "docker.io/bitnami/sealed-secrets-controller:0.36.6",
                &["controller"],
                &[]
            ),
            Some((Component::SealedSecrets, version("0.36.6")))
        );
        assert_eq!(
            runs(
                "localhost:5000/mirror/external-secrets:v2.9.0@sha256:00",
                &[],
                &["webhook", "--port=1"]
            ),
            Some((Component::Webhook, version("2.9.0")))
        );
        assert_eq!(
            runs(
                "ghcr.io/external-secrets/external-secrets:v2.9.0",
                &[],
                &["--concurrent=1"]
            ),
            Some((Component::ExternalSecrets, version("2.9.0")))
        );
        let ours = |sealed_secrets, external_secrets| Component::Sealwright {
            sealed_secrets,
            external_secrets,
        };
        for (args, runs_it) in [
            (&["--update-status=true"][..], ours(true, false)),
            (&["--enable-external-secrets=true"][..], ours(true, true)),
            (
                &["--enable-sealed-secrets=false", "--enable-external-secrets"][..],
                ours(false, true),
            ),
        ] {
            let found = runs("mirror/image", &["/bin/sealwright-controller"], args);
            assert_eq!(found.unwrap().0, runs_it, "{args:?}");
        }
        assert_eq!(runs("example.com/other:1", &["controller"], &[]), None);
    }

    #[test]
    fn who_works_in_single_namespaces_gets_no_role_of_the_whole_cluster() {
        let roles = |image: &str, args: &[&str]| {
            let mut values = values(&workload(image, &["controller"], args).unwrap());
            values.retain(|value| {
                ["rbac.", "scopedRBAC", "additionalNamespaces"]
                    .iter()
                    .any(|start| value.starts_with(start))
            });
            values
        };
        let sealed = |args: &[&str]| roles("x/sealed-secrets-controller:0.40.0", args);
        let single = ["rbac.clusterRole=false", "rbac.namespacedRoles=true"];
        assert_eq!(sealed(&["--all-namespaces=false"]), single);
        let named = ["--additional-namespaces", "a, b,"];
        assert_eq!(
            sealed(&named),
            [&["additionalNamespaces={a,b}"][..], &single].concat()
        );
        assert!(sealed(&["--all-namespaces=false", "--all-namespaces=true"]).is_empty());
        assert_eq!(
            sealed(&["--additional-namespaces="]),
            ["additionalNamespaces={}"]
        );
        let operator = |args: &[&str]| roles("x/external-secrets:v2.9.0", args);
        let scoped = [
            "--namespace=team",
            "--enable-cluster-store-reconciler=false",
            "--enable-cluster-external-secret-reconciler=false",
            "--enable-cluster-push-secret-reconciler=false",
        ];
        assert_eq!(operator(&scoped), ["scopedRBAC=true"]);
        assert!(operator(&scoped[..3]).is_empty());
        assert!(operator(&scoped[1..]).is_empty());
    }

    #[test]
    fn variables_of_the_environment_are_flags_of_the_sealed_secrets_controller() {
        let of = |image: &str| {
            let deployment = json!({
                "metadata": {"name": "d", "namespace": "n"},
                "spec": {"selector": {}, "template": {"spec": {"containers": [
                    {"name": "c", "image": image, "args": ["--key-ttl=1h"], "env": [
                        {"name": "SEALED_SECRETS_KEY_RENEW_PERIOD", "value": "0"},
                        {"name": "SEALED_SECRETS_KEY_TTL", "value": "2h"},
                        {"name": "SEALED_SECRETS_LABEL_SELECTOR", "value": ""},
                        {"name": "SEALED_SECRETS_PORT", "value": "tcp://10.0.0.1:8080"},
                        {"name": "GOMAXPROCS", "value": "1"},
                    ]}]}}},
            });
            values(&Workload::of(&serde_json::from_value(deployment).unwrap()).unwrap())
        };
        assert_eq!(
            of("x/sealed-secrets-controller:0.40.0"),
            ["keyrenewperiod=0", "keyttl=2h", "keyttl=1h"]
        );
        assert!(of("x/external-secrets:v2.9.0").is_empty());
    }

    /// A Deployment as upstream's charts make them, with what people add.
    fn furnished(image: &str) -> Workload {
        let deployment = json!({
            "metadata": {"name": "d", "namespace": "n"},
            "spec": {
                "selector": {"matchLabels": {"app.kubernetes.io/name": "d", "of": "selector"}},
                "template": {
                    "metadata": {"labels": {
                        "app.kubernetes.io/name": "d", "of": "selector", "helm.sh/chart": "d-1",
                        "azure.workload.identity/use": "true"}},
                    "spec": {
                        "serviceAccountName": "of-upstream",
                        "schedulerName": "default-scheduler",
                        "tolerations": [{"key": "a"}],
                        "hostNetwork": false,
                        "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "ca", "configMap": {"name": "ca"}}],
                        "containers": [{"name": "c", "image": image, "env": [
                            {"name": "GOMEMLIMIT", "value": "1"},
                            {"name": "SEALED_SECRETS_KEY_TTL", "value": "2h"},
                            {"name": "HTTPS_PROXY", "value": "http://user:hidden@proxy"}]}],
                    },
                },
            },
        });
        Workload::of(&serde_json::from_value(deployment).unwrap()).unwrap()
    }

    #[test]
    fn the_operators_account_and_labels_are_kept_because_clouds_go_by_them() {
        let operator = furnished("x/external-secrets:v2.9.0");
        assert_eq!(
            values(&operator),
            [
                "serviceAccount.create=false",
                "serviceAccount.name=of-upstream"
            ]
        );
        assert_eq!(
            labels(&operator),
            [r"podLabels.azure\.workload\.identity/use=true"]
        );
        let sealed = furnished("x/sealed-secrets-controller:0.40.0");
        assert_eq!(values(&sealed), ["keyttl=2h"]);
        assert!(labels(&sealed).is_empty());
        let of_every_pod = workload("x/external-secrets:v2.9.0", &[], &[]).unwrap();
        assert!(values(&of_every_pod).is_empty());
    }

    #[test]
    fn what_pods_have_beside_is_told_by_name() {
        let sealed = furnished("x/sealed-secrets-controller:0.40.0");
        assert_eq!(sealed.beside, ["env HTTPS_PROXY", "volumes", "tolerations"]);
        let operator = furnished("x/external-secrets:v2.9.0");
        assert_eq!(operator.beside[0], "env SEALED_SECRETS_KEY_TTL");
        let plain = workload("x/external-secrets:v2.9.0", &[], &[]).unwrap();
        assert_eq!(plain.beside, ["containers"], "there is a sidecar");
    }

    #[test]
    fn every_flag_that_upstream_takes_is_known() {
        for flag in ["metrics-omit-secret-labels", "rotate-period"] {
            assert!(becomes(Component::SealedSecrets, flag).is_some(), "{flag}");
        }
        for flag in [
            "doppler-etag-cache-size",
            "mysterybox-connections-cache-size",
            "mysterybox-tokens-cache-size",
        ] {
            assert_eq!(
                becomes(Component::ExternalSecrets, flag),
                Some(Becomes::Nothing)
            );
        }
        // The chart's Deployment reads the level from the flag of the Sealed Secrets controller.
        let operator = workload("x/external-secrets:v2.9.0", &[], &["--loglevel=debug"]);
        assert_eq!(values(&operator.unwrap()), ["logLevel=debug"]);
    }

    #[test]
    fn flags_become_values_of_the_chart() {
        let of = |args: &[&str]| {
            values(&workload("x/sealed-secrets-controller:0.40.0", &["controller"], args).unwrap())
        };
        assert_eq!(
            of(&[
                "--key-renew-period",
                "0",
                "-update-status",
                "--my-cn=a,b",
                "--listen-addr=:1"
            ]),
            [
                "keyrenewperiod=0",
                "updateStatus=true",
                r"extraArgs.my-cn=a\,b"
            ]
        );
        // As upstream's chart writes them: a switch, and a word of its own for each value.
        assert_eq!(
            of(&[
                "--update-status",
                "--kubeclient-qps",
                "-1",
                "--log-level",
                "INFO"
            ]),
            ["updateStatus=true", "kubeClientQPS=-1", "logLevel=INFO"]
        );
        let operator = workload(
            "x/external-secrets:v2.9.0",
            &[],
            &["--template-left-delimiter={{"],
        );
        assert_eq!(
            values(&operator.unwrap()),
            [r"extraArgs.template-left-delimiter=\{{"]
        );
        assert_eq!(becomes(Component::ExternalSecrets, "no-such-flag"), None);
    }
}
