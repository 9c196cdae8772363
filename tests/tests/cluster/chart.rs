//! The Helm chart: what it renders is admitted, does its work under exactly the roles it brings, and leaves what must stay.

#[path = "chart/alerts.rs"]
mod alerts;
#[path = "chart/helm.rs"]
mod helm;
#[path = "chart/release.rs"]
mod release;
#[path = "chart/values.rs"]
mod values;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Patch, PatchParams, PostParams};
use sealwright_tests::harness::cluster::Cluster;
use serde_json::json;

use self::helm::{EVERYTHING, FURNISHED, NAMESPACED, chart, helm_ok, template};
pub(crate) use self::release::Release;

#[tokio::test]
async fn what_the_chart_renders_is_admitted_by_the_api_server() {
    let cluster = Cluster::start();
    cluster.apply(MONITORING);
    let namespace = cluster.namespace("chart-admitted").await;
    let here = format!("--namespace={}", namespace.name());
    let announced = "externalSecrets.enabled=true,refresh.enabled=true,refresh.certificateSecret=c,systemAuthDelegator=true";
    let all = [
        "replicaCount=1",
        EVERYTHING,
        NAMESPACED,
        announced,
        FURNISHED,
    ];
    for (number, values) in all.iter().enumerate() {
        let output = template(&[&here, "--set", values]);
        let file = cluster
            .sandbox()
            .path()
            .join(format!("chart-{number}.yaml"));
        std::fs::write(&file, &output.stdout).unwrap();
        let file = file.to_str().unwrap();
        // Unknown and duplicate fields are errors.
        cluster.kubectl(&[
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "-f",
            file,
        ]);
    }
    // The profile `restricted`, judged by the API server itself.
    let output = helm_ok(&[
        "template",
        "release",
        &chart(),
        "--kube-version=1.33.0",
        "--show-only=templates/deployment.yaml",
    ]);
    let file = cluster.sandbox().path().join("deployment.yaml");
    std::fs::write(&file, output).unwrap();
    let text = cluster.kubectl(&[
        "create",
        "--dry-run=client",
        "-o",
        "json",
        "-f",
        file.to_str().unwrap(),
    ]);
    let deployment: Deployment = serde_json::from_str(&text).unwrap();
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> =
        Api::all(namespace.client().clone());
    let enforce =
        json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    namespaces
        .patch(
            namespace.name(),
            &PatchParams::default(),
            &Patch::Merge(enforce),
        )
        .await
        .unwrap();
    let mut pod = Pod {
        spec: deployment.spec.unwrap().template.spec,
        ..Pod::default()
    };
    pod.metadata.name = Some("controller".into());
    let pods: Api<Pod> = namespace.api();
    pods.create(&PostParams::default(), &pod).await.unwrap();
}

/// As much of the Prometheus Operator as its objects need to be stored.
const MONITORING: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: servicemonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: ServiceMonitor, plural: servicemonitors, singular: servicemonitor}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: podmonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: PodMonitor, plural: podmonitors, singular: podmonitor}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: prometheusrules.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: PrometheusRule, plural: prometheusrules, singular: prometheusrule}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
";
