//! A Deployment of upstream's programs or of ours, as found in the cluster.

use k8s_openapi::api::apps::v1::Deployment;

use super::super::report::Program;
use super::component::Component;
use super::container::{flags, tag};
use super::flag::variables;
use super::pod::{beside, labels_beside};

/// A Deployment of a known component.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) component: Component,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The tag of its image, or else the version in its labels.
    pub(crate) version: String,
    pub(crate) replicas: i32,
    /// The number of replicas before `adopt` stopped it.
    pub(crate) replicas_before: Option<i32>,
    /// The name and value of each flag, including those set through environment variables.
    pub(crate) flags: Vec<(String, String)>,
    /// The labels that select its pods, as a selector for `kubectl`.
    pub(crate) selector: String,
    /// The ServiceAccount of its pods, unless it is `default`.
    pub(crate) account: Option<String>,
    /// The labels of its pods that come neither from its chart nor from its selector.
    pub(crate) labels: Vec<(String, String)>,
    /// What was added to its pods and is not taken over: pod fields and environment variables.
    pub(crate) beside: Vec<String>,
    /// The Helm release that it belongs to.
    pub(crate) release: Option<String>,
    /// The namespace in which Helm stores the release.
    pub(crate) release_namespace: String,
    /// The GitOps tool that would revert manual changes, Flux or Argo CD, and its object.
    pub(crate) manager: Option<(&'static str, String)>,
}

/// The annotation that keeps the number of replicas of a Deployment that `adopt` stopped.
pub(crate) const REPLICAS: &str = "sealwright.dev/replicas";

const RELEASE: &str = "meta.helm.sh/release-name";
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";

/// Returns the namespace and name of the Helm release that a Deployment belongs to.
pub(crate) fn release_of(deployment: &Deployment) -> Option<(String, String)> {
    let annotations = deployment.metadata.annotations.as_ref()?;
    let namespace = annotations.get(RELEASE_NAMESPACE);
    let namespace = namespace.or(deployment.metadata.namespace.as_ref())?;
    Some((namespace.clone(), annotations.get(RELEASE)?.clone()))
}

impl Workload {
    /// Recognises a Deployment by its image and its command.
    pub(crate) fn of(deployment: &Deployment) -> Option<Self> {
        let spec = deployment.spec.as_ref()?;
        let pod = spec.template.spec.as_ref()?;
        let (component, container) = pod
            .containers
            .iter()
            .find_map(|container| Some((Component::of(container)?, container)))?;
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
            // The command line takes precedence, so it comes last.
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
    pub(crate) fn unseals(&self) -> bool {
        match self.component {
            Component::SealedSecrets => true,
            Component::Sealwright { sealed_secrets, .. } => sealed_secrets,
            _ => false,
        }
    }

    /// Returns true if it does the work of the External Secrets Operator.
    pub(crate) fn syncs(&self) -> bool {
        match self.component {
            Component::ExternalSecrets => true,
            Component::Sealwright {
                external_secrets, ..
            } => external_secrets,
            _ => false,
        }
    }

    /// Returns true if it is a Deployment of this upstream program.
    pub(in crate::command::adopt) fn is_of(&self, program: Program) -> bool {
        match program {
            Program::SealedSecrets => self.component == Component::SealedSecrets,
            Program::ExternalSecrets => matches!(
                self.component,
                Component::ExternalSecrets | Component::Webhook | Component::CertController
            ),
            Program::Sops | Program::Sealwright => false,
        }
    }

    /// Returns true if it runs our controller.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self.component, Component::Sealwright { .. })
    }

    /// Returns the value of a flag. If it is given twice, the last one counts.
    pub(super) fn flag(&self, name: &str) -> Option<&str> {
        let mut flags = self.flags.iter().rev();
        let (_, value) = flags.find(|(known, _)| known == name)?;
        Some(value)
    }

    /// Returns its namespace and name, for messages.
    pub(crate) fn place(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Returns the namespace and name of its Helm release.
    pub(crate) fn record(&self) -> Option<(&str, &str)> {
        Some((self.release_namespace.as_str(), self.release.as_deref()?))
    }

    /// Returns a selector for exactly the objects of its chart, by release and chart. Neither is enough on its own: release
    /// names are not unique in a cluster, and a release can contain several charts.
    pub(crate) fn labels_of_chart(&self) -> Option<&str> {
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

/// Returns the Deployments that run, or ran until `adopt` stopped them.
pub(crate) fn working<'a>(workloads: impl Iterator<Item = &'a Workload>) -> Vec<&'a Workload> {
    workloads
        .filter(|one| one.replicas > 0 || one.replicas_before.is_some())
        .collect()
}
