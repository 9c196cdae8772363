//! `sealwright adopt`: a cluster that upstream's programs have filled is taken over and given back, and no Secret changes.

#[path = "adopt/external_secrets.rs"]
mod external_secrets;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Secret, Service};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use sealwright_resources::scope::Scope;
use sealwright_resources::sealed_secret::SealedSecret;
use sealwright_tests::harness::cluster::{Cluster, Namespace, eventually, rule, run};
use sealwright_tests::harness::sealed_secrets::{CONTROLLER_NAME, Controller};
use sealwright_tests::harness::{programs, upstream};
use serde_json::{Value, json};

use super::kubelet::{self, Replica};
use super::sealed_secrets::rig::{condition, sealed_for};
use crate::schema::assert_is;

/// How many objects of each kind there are; `make soak` takes 200.
fn many() -> usize {
    match std::env::var_os("SEALWRIGHT_SOAK") {
        Some(_) => 200,
        None => 12,
    }
}

/// The command line with the tools that its steps call.
struct Desk {
    folder: PathBuf,
    kubeconfig: PathBuf,
}

impl Desk {
    fn new(cluster: &Cluster) -> Self {
        let folder = cluster.sandbox().path().join("tools");
        std::fs::create_dir_all(&folder).unwrap();
        for program in [
            upstream::kubectl(),
            upstream::helm(),
            programs::sealwright_controller(),
        ] {
            let link = folder.join(program.file_name().unwrap());
            std::os::unix::fs::symlink(&program, link).unwrap();
        }
        Self {
            folder,
            kubeconfig: cluster.kubeconfig().to_owned(),
        }
    }

    fn command(&self, kubeconfig: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(programs::sealwright());
        command.args(["--output", "json", "adopt"]);
        command.arg("--kubeconfig").arg(kubeconfig);
        if !words.contains(&"--chart") {
            let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/chart");
            command.args(["--chart", chart]);
        }
        command.args(words);
        command.env("PATH", &self.folder);
        for variable in [
            "HOME",
            "HELM_CACHE_HOME",
            "HELM_CONFIG_HOME",
            "HELM_DATA_HOME",
        ] {
            command.env(variable, self.folder.join("no-such-home"));
        }
        command
    }

    /// What it says, and its exit code.
    fn look(&self, words: &[&str]) -> (Value, Option<i32>) {
        let output = run(&mut self.command(&self.kubeconfig, words), b"");
        (json_of(&output), output.status.code())
    }

    /// Runs the steps, while `meanwhile` does what nodes would do.
    async fn run(&self, words: &[&str], meanwhile: impl Future<Output = ()>) -> Value {
        let mut command = self.command(&self.kubeconfig, words);
        command.args(["--run", "--yes"]);
        let mut steps = tokio::task::spawn_blocking(move || run(&mut command, b""));
        let output = tokio::select! {
            ended = &mut steps => {
                let output = ended.unwrap();
                panic!("it ended early: {}", String::from_utf8_lossy(&output.stderr));
            }
            () = meanwhile => steps.await.unwrap(),
        };
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{error}");
        let value = json_of(&output);
        for step in value["steps"].as_array().unwrap() {
            if step["when"] == "run" {
                assert_eq!(step["status"], "done", "{step}");
            }
        }
        value
    }
}

fn json_of(output: &Output) -> Value {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.stdout.is_empty(), "{error}");
    assert_is("adoption", &String::from_utf8_lossy(&output.stdout))
}

/// Who does the work of a program.
fn state<'a>(value: &'a Value, program: &str) -> &'a str {
    let mut programs = value["programs"].as_array().unwrap().iter();
    let found = programs.find(|one| one["program"] == program).unwrap();
    found["state"].as_str().unwrap()
}

fn blocking(value: &Value) -> Vec<&Value> {
    let problems = value["problems"].as_array().unwrap().iter();
    problems
        .filter(|problem| problem["blocks"] == true)
        .collect()
}

fn found<'a>(value: &'a Value, kind: &str) -> &'a Value {
    let mut found = value["found"].as_array().unwrap().iter();
    let one = found.find(|one| one["kind"] == kind);
    one.unwrap_or_else(|| panic!("no {kind} in {value}"))
}

/// Name, UID and resource version of every Secret, but those that Helm keeps its releases in.
async fn secrets(namespace: &Namespace<'_>) -> Vec<(String, String, String)> {
    let api: Api<Secret> = namespace.api();
    let list = api.list(&Default::default()).await.unwrap();
    let mut all: Vec<_> = list
        .items
        .into_iter()
        .filter(|secret| secret.type_.as_deref() != Some("helm.sh/release.v1"))
        .map(|secret| {
            let metadata = secret.metadata;
            (
                metadata.name.unwrap(),
                metadata.uid.unwrap(),
                metadata.resource_version.unwrap(),
            )
        })
        .collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sealed_secrets_of_the_real_controller_are_adopted_and_given_back() {
    let cluster = Cluster::start();
    cluster.apply(&super::sealed_secrets::takeover::upstreams_definition());
    let namespace = cluster.namespace("adopt-sealed").await;
    let here = namespace.name().to_owned();
    let flags = ["--kubeclient-qps=-1", "--key-renew-period=720h0m0s"];
    let mut theirs = Controller::start(&namespace, &flags).await;
    kubelet::deploy(
        &namespace,
        CONTROLLER_NAME,
        "docker.io/bitnami/sealed-secrets-controller:0.40.0",
        &["controller"],
        &flags,
    )
    .await;
    let (_, pem) = kubelet::get(theirs.port, "/v1/cert.pem").unwrap();
    let certificate = sealwright_crypto::sealing::Certificate::from_pem(pem.as_bytes()).unwrap();
    let sealed: Api<SealedSecret> = namespace.api();
    let names: Vec<String> = (0..many()).map(|number| format!("db-{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        let scope = [Scope::Strict, Scope::NamespaceWide, Scope::ClusterWide][number % 3];
        let values = [("user", "shop"), ("password", name.as_str())];
        let object = sealed_for(&certificate, scope, &here, name, &values);
        sealed
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    }
    let all_are_synced = async || {
        for name in &names {
            eventually("the real controller has unsealed it", async || {
                let object = sealed.get(name).await.unwrap();
                let status = object.status.as_ref()?;
                status.conditions.first()?;
                (condition(&object, "Synced").status == "True").then_some(())
            })
            .await;
        }
    };
    all_are_synced().await;
    let before = secrets(&namespace).await;
    assert!(before.len() > many());

    let desk = Desk::new(&cluster);
    // Looking needs nothing but lists, and what may not be seen is said.
    let kinds = [
        rule("apps", &["deployments"], &["list"]),
        rule("", &["services"], &["list"]),
        rule("bitnami.com", &["sealedsecrets"], &["list"]),
    ];
    let looker = namespace.cluster_account("looker", &kinds).await;
    let output = run(&mut desk.command(&looker.kubeconfig, &[]), b"");
    assert!(output.status.success());
    let seen = json_of(&output);
    assert_eq!(state(&seen, "sealed-secrets"), "upstream");
    let problems = seen["problems"].as_array().unwrap();
    assert!(
        problems
            .iter()
            .any(|problem| problem["object"] == "sealing keys"),
        "{problems:?}"
    );
    for request in cluster.requests() {
        if request.user() == looker.user() {
            assert_eq!(request.verb, "list", "{}", request.uri);
        }
    }

    let (seen, code) = desk.look(&["--check"]);
    assert_eq!(code, Some(0), "{seen}");
    assert_eq!(state(&seen, "sealed-secrets"), "upstream");
    assert_eq!(state(&seen, "external-secrets"), "absent");
    let deployment = found(&seen, "deployment");
    assert_eq!(deployment["name"], format!("{here}/{CONTROLLER_NAME}"));
    let text = deployment["text"].as_str().unwrap();
    assert!(text.contains("version 0.40.0") && text.contains("--key-renew-period=720h0m0s"));
    assert_eq!(found(&seen, "sealing keys in")["name"], here);
    let objects = found(&seen, "SealedSecrets");
    assert_eq!(objects["name"], many().to_string());
    assert_eq!(objects["text"], "all synced");
    assert_eq!(secrets(&namespace).await, before, "looking changes nothing");

    // There.
    let mut ours = Vec::new();
    let meanwhile = async {
        eventually("upstream's Deployment is stopped", async || {
            (kubelet::replicas(&namespace, CONTROLLER_NAME).await? == 0).then_some(())
        })
        .await;
        theirs.server.terminate(Duration::from_secs(20)).unwrap();
        kubelet::remove_pod(&namespace, &format!("{CONTROLLER_NAME}-0")).await;
        eventually("ours is installed", async || {
            kubelet::replicas(&namespace, "sealwright").await
        })
        .await;
        let account = namespace.existing_account("sealwright").await;
        ours.push(Replica::start(&namespace, &account, "sealwright", 0).await);
        kubelet::report_ready(&namespace, "sealwright").await;
    };
    let registry = ["--set", "image.registry=registry.example.com"];
    let done = desk.run(&registry, meanwhile).await;
    let install = done["steps"].to_string();
    assert!(install.contains("keyrenewperiod=720h0m0s"), "{install}");
    for name in &names {
        eventually("ours has looked at it", async || {
            let object = sealed.get(name).await.unwrap();
            let mut conditions = object.status.unwrap().conditions.into_iter();
            conditions.find(|one| one.kind == "Applied").map(drop)
        })
        .await;
    }
    assert_eq!(secrets(&namespace).await, before, "taken over");
    let services: Api<Service> = namespace.api();
    let selector = async || {
        let service = services.get(CONTROLLER_NAME).await.unwrap();
        json!(service.spec.unwrap().selector.unwrap_or_default())
    };
    assert_eq!(selector().await["app.kubernetes.io/instance"], "sealwright");
    let (seen, _) = desk.look(&["--check"]);
    assert_eq!(state(&seen, "sealed-secrets"), "adopted");
    // What is sealed now is unsealed by ours.
    let certificate = {
        let (_, pem) = kubelet::get(ours[0].api, "/v1/cert.pem").unwrap();
        sealwright_crypto::sealing::Certificate::from_pem(pem.as_bytes()).unwrap()
    };
    let object = sealed_for(&certificate, Scope::Strict, &here, "new", &[("a", "b")]);
    sealed
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
    let api: Api<Secret> = namespace.api();
    eventually("it is unsealed", async || api.get_opt("new").await.unwrap()).await;
    let with_new = secrets(&namespace).await;

    // And back.
    let meanwhile = async {
        eventually("ours is stopped", async || {
            (kubelet::replicas(&namespace, "sealwright")
                .await
                .unwrap_or(0)
                == 0)
                .then_some(())
        })
        .await;
        for replica in ours.drain(..) {
            replica.stop(&namespace).await;
        }
    };
    desk.run(&["--back"], meanwhile).await;
    assert_eq!(kubelet::replicas(&namespace, "sealwright").await, None);
    assert_eq!(
        kubelet::replicas(&namespace, CONTROLLER_NAME).await,
        Some(1)
    );
    assert_eq!(selector().await, json!({}));
    for name in &names {
        let object = sealed.get(name).await.unwrap();
        assert_eq!(object.status.unwrap().conditions.len(), 1);
    }
    let port = theirs.port;
    theirs
        .server
        .start_again(|| {
            std::net::TcpStream::connect(("127.0.0.1", port))
                .map(drop)
                .map_err(|error| error.to_string())
        })
        .unwrap();
    eventually("the real controller has been through", async || {
        let log = theirs.server.log_text();
        let after = log.rsplit("Starting sealed-secrets controller").next()?;
        names
            .iter()
            .all(|name| after.contains(&format!("msg=Updating key={here}/{name}")))
            .then_some(())
    })
    .await;
    all_are_synced().await;
    assert_eq!(secrets(&namespace).await, with_new, "given back");
    let (_, again) = kubelet::get(theirs.port, "/v1/cert.pem").unwrap();
    assert_eq!(again, pem);
    let (seen, _) = desk.look(&[]);
    assert_eq!(state(&seen, "sealed-secrets"), "upstream");
}

/// Why the last step of a take-over is no `helm uninstall`: Helm goes by the manifests of the release.
#[tokio::test]
async fn helm_deletes_a_definition_that_was_annotated_to_be_kept_afterwards() {
    let cluster = Cluster::start();
    let namespace = cluster.namespace("adopt-helm").await;
    let desk = Desk::new(&cluster);
    let chart = desk.folder.join("upstream");
    std::fs::create_dir_all(chart.join("templates")).unwrap();
    std::fs::write(
        chart.join("Chart.yaml"),
        "apiVersion: v2\nname: upstream\nversion: 1.0.0\n",
    )
    .unwrap();
    let definition = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: things.example.com}\n\
        spec:\n  group: example.com\n  names: {kind: Thing, plural: things}\n  scope: Namespaced\n  versions:\n\
        \x20   - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}\n";
    std::fs::write(chart.join("templates/crd.yaml"), definition).unwrap();
    let helm = |words: &[&str]| {
        let mut command = Command::new(upstream::helm());
        command.args(words);
        command.arg("--kubeconfig").arg(&desk.kubeconfig);
        command.args(["--namespace", namespace.name()]);
        for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(variable, desk.folder.join("no-such-home"));
        }
        let output = run(&mut command, b"");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {error}");
    };
    helm(&["install", "upstream", chart.to_str().unwrap()]);
    let name = "things.example.com";
    cluster.kubectl(&["annotate", "crd", name, "helm.sh/resource-policy=keep"]);
    helm(&["uninstall", "upstream", "--wait"]);
    let left = cluster.kubectl(&["get", "crd", "--output=name"]);
    assert!(!left.contains(name), "{left}");
}

/// The present time as objects carry it.
fn now() -> String {
    let now = k8s_openapi::jiff::Timestamp::now();
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Objects of a kind of External Secrets.
fn kind(namespace: &Namespace<'_>, kind: &str, plural: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("external-secrets.io", "v1", kind);
    let resource = ApiResource::from_gvk_with_plural(&kind, plural);
    Api::namespaced_with(namespace.client().clone(), namespace.name(), &resource)
}

/// Writes an object as the real operator does: with its field manager, and the status by itself.
async fn leave(api: &Api<DynamicObject>, object: Value, manager: &str) -> DynamicObject {
    let params = PostParams {
        field_manager: Some(manager.to_owned()),
        ..PostParams::default()
    };
    let status = json!({"status": object["status"]});
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let made = api.create(&params, &object).await.unwrap();
    let name = made.metadata.name.clone().unwrap();
    let params = PatchParams::apply("external-secrets");
    let params = PatchParams {
        force: false,
        ..params
    };
    api.patch_status(&name, &params, &Patch::Merge(status))
        .await
        .unwrap()
}
