//! What `helm` renders and installs of the chart.

use std::process::{Command, Output};

use sealwright_tests::harness::cluster::run;
use sealwright_tests::harness::upstream;

/// Every optional part of the chart.
pub(super) const EVERYTHING: &str = "metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true,metrics.prometheusRule.enabled=true,metrics.dashboards.create=true,networkPolicy.enabled=true,networkPolicy.egress.enabled=true,networkPolicy.egress.kubeapiCidr=10.0.0.1/32";
/// What installations give a pod beside.
pub(super) const FURNISHED: &str = "externalSecrets.enabled=true,refresh.enabled=true,refresh.certificateSecret=of-refresh,\
    deploymentAnnotations.seen=here,extraEnv[0].name=SSL_CERT_FILE,extraEnv[0].value=/ca/ca.crt,\
    extraVolumes[0].name=ca,extraVolumes[0].configMap.name=of-vault,\
    extraVolumeMounts[0].name=ca,extraVolumeMounts[0].mountPath=/ca,\
    extraContainers[0].name=beside,extraContainers[0].image=i,extraInitContainers[0].name=before,extraInitContainers[0].image=i,\
    dnsConfig.nameservers[0]=10.0.0.1,hostAliases[0].ip=10.0.0.2,hostAliases[0].hostnames[0]=vault,schedulerName=other";
pub(super) const NAMESPACED: &str = "rbac.clusterRole=false,rbac.namespacedRoles=true";

pub(super) fn chart() -> String {
    format!("{}/../deploy/chart", env!("CARGO_MANIFEST_DIR"))
}

fn helm(arguments: &[&str]) -> Output {
    let mut command = Command::new(upstream::helm());
    // Helm keeps caches and settings below these; nothing of the user's counts.
    let home = std::env::temp_dir();
    for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(variable, home.join("no-such-helm-home"));
    }
    run(command.args(arguments), b"")
}

pub(super) fn helm_ok(arguments: &[&str]) -> String {
    let output = helm(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "helm {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

pub(super) fn template(more: &[&str]) -> Output {
    let chart = chart();
    let mut arguments = vec!["template", "release", &chart, "--kube-version=1.33.0"];
    arguments.extend(more);
    helm(&arguments)
}

/// One template of the chart with these values, in the namespace `here`.
pub(super) fn rendered(name: &str, values: &str) -> String {
    let only = format!("--show-only=templates/{name}");
    let output = template(&["--namespace=here", &only, "--set", values]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{values}: {error}");
    String::from_utf8(output.stdout).unwrap()
}
