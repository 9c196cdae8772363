//! Finds what was added to the pods of a Deployment and is not taken over.

use k8s_openapi::api::apps::v1::DeploymentSpec;
use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::component::Component;
use super::flag::flag_of_variable;

/// Returns the labels of the pods that come neither from a chart nor from the selector of the Deployment.
pub(super) fn labels_beside(spec: &DeploymentSpec) -> Vec<(String, String)> {
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

/// Returns the names of the pod fields and environment variables that were added to what upstream's chart gives every pod.
/// Variables that stand for flags are not among them. Values are never included.
pub(super) fn beside(component: Component, pod: &PodSpec, container: &Container) -> Vec<String> {
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
        !(OF_CHARTS.contains(&variable.name.as_str()) || is_flag && variable.value.is_some())
    });
    let mut beside: Vec<String> = variables
        .map(|variable| format!("env {}", variable.name))
        .collect();
    // The Sealed Secrets chart itself mounts an emptyDir.
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
