//! `kubeseal` and a controller, all four pairs of upstream's programs and ours, through the service proxy.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};

use k8s_openapi::api::core::v1::Secret;
use sealwright_crypto::sealing::{Certificate, base64};
use sealwright_resources::scope::Scope;
use sealwright_tests::harness::cluster::{Namespace, eventually, run};
use sealwright_tests::harness::sealed_secrets::Controller;
use sealwright_tests::harness::{cluster, programs, upstream};
use serde_json::{Value, json};

use super::rig::{Rig, data};

/// One of the two programs, as somebody calls it.
struct Kubeseal {
    program: PathBuf,
    first: Option<&'static str>,
    kubeconfig: PathBuf,
    namespace: String,
}

impl Kubeseal {
    fn theirs(kubeconfig: PathBuf, namespace: &str) -> Self {
        let (program, namespace) = (upstream::kubeseal(), namespace.to_owned());
        Self {
            program,
            first: None,
            kubeconfig,
            namespace,
        }
    }

    fn ours(kubeconfig: PathBuf, namespace: &str) -> Self {
        let (program, namespace) = (programs::sealwright(), namespace.to_owned());
        Self {
            program,
            first: Some("kubeseal"),
            kubeconfig,
            namespace,
        }
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(&self.program);
        command
            .args(self.first)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig);
        command
            .args(["--controller-namespace", &self.namespace])
            .args(arguments);
        run(&mut command, input.as_bytes())
    }

    /// What it prints when it succeeds; it says nothing beside that.
    fn ok(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success(),
            "{} {arguments:?}: {told}",
            self.program.display()
        );
        assert_eq!(told, "", "{} {arguments:?}", self.program.display());
        String::from_utf8(output.stdout).unwrap()
    }
}

fn signal_for_a_key(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::USR1).unwrap();
}

fn manifest(namespace: &str, name: &str) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": {"l": "m"}},
        "type": "example.com/kind",
        "stringData": {"foo": format!("value of {name}"), "empty": ""},
    })
    .to_string()
}

fn encrypted(sealed: &str) -> BTreeMap<String, String> {
    let sealed: Value = serde_json::from_str(sealed).unwrap();
    serde_json::from_value(sealed["spec"]["encryptedData"].clone()).unwrap()
}

async fn unsealed(namespace: &Namespace<'_>, name: &str, value: &str) -> Secret {
    let secrets: kube::Api<Secret> = namespace.api();
    eventually(&format!("{name} is {value}"), async || {
        let secret = secrets.get_opt(name).await.unwrap()?;
        (data(&secret).get("foo").map(String::as_str) == Some(value)).then_some(secret)
    })
    .await
}

/// What a team does with the two; `renew` makes the controller take a new key.
async fn work(namespace: &Namespace<'_>, kubeseal: &Kubeseal, renew: impl Fn()) {
    let here = namespace.name();
    // The roles of the proxy count a moment after they were applied.
    eventually("the certificate is there", async || {
        kubeseal
            .run(&["--fetch-cert"], "")
            .status
            .success()
            .then_some(())
    })
    .await;
    let old = kubeseal.ok(&["--fetch-cert"], "");
    let certificate = Certificate::from_pem(old.as_bytes()).unwrap();

    // I11, I12: every scope is sealed through the cluster, valid in its place, and opens.
    let mut all = Vec::new();
    for scope in ["strict", "namespace-wide", "cluster-wide"] {
        let sealed = kubeseal.ok(&["--scope", scope], &manifest(here, scope));
        kubeseal.ok(&["--validate"], &sealed);
        namespace.cluster().apply(&sealed);
        let secret = unsealed(namespace, scope, &format!("value of {scope}")).await;
        assert_eq!(secret.type_.as_deref(), Some("example.com/kind"));
        assert_eq!(data(&secret)["empty"], "");
        assert_eq!(secret.metadata.labels.unwrap()["l"], "m");
        all.push(sealed);
    }
    let renamed = all[0].replace("\"strict\"", "\"renamed\"");
    let output = kubeseal.run(&["--validate"], &renamed);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("unable to decrypt sealed secret"), "{told}");

    // The deprecated form: one ciphertext of a whole Secret.
    let blob = format!(
        "{}\n",
        json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "blob", "namespace": here}, "data": {"foo": "YmFy"}})
    );
    let label = Scope::Strict.label(here, "blob");
    let blob = base64::encode(&certificate.seal(blob.as_bytes(), &label).unwrap());
    let blob = json!({
        "apiVersion": "bitnami.com/v1alpha1",
        "kind": "SealedSecret",
        "metadata": {"name": "blob", "namespace": here},
        "spec": {"data": blob, "encryptedData": {}},
    });
    namespace.cluster().apply(&blob.to_string());
    unsealed(namespace, "blob", "bar").await;

    // A second key: what the first one sealed is valid, and resealed for the second.
    renew();
    eventually("the new certificate is served", async || {
        (kubeseal.ok(&["--fetch-cert"], "") != old).then_some(())
    })
    .await;
    kubeseal.ok(&["--validate"], &all[0]);
    for (name, sealed) in ["strict", "namespace-wide", "cluster-wide"]
        .iter()
        .zip(&all)
    {
        let anew = kubeseal.ok(&["--re-encrypt"], sealed);
        let (before, after) = (encrypted(sealed), encrypted(&anew));
        assert!(before.keys().eq(after.keys()));
        assert!(
            before
                .values()
                .zip(after.values())
                .all(|(one, other)| one != other)
        );
        namespace
            .cluster()
            .kubectl(&["-n", here, "delete", "sealedsecret", name]);
        eventually("its Secret is gone", async || {
            let secrets: kube::Api<Secret> = namespace.api();
            secrets.get_opt(name).await.unwrap().is_none().then_some(())
        })
        .await;
        namespace.cluster().apply(&anew);
        unsealed(namespace, name, &format!("value of {name}")).await;
    }
    let anew = kubeseal.ok(&["--re-encrypt"], &blob.to_string());
    assert_eq!(encrypted(&anew).len(), 1);
    kubeseal.ok(&["--validate"], &anew);

    // T33: more of them than the bucket holds.
    let many: String = (0..8).map(|_| all[0].clone() + "\n").collect();
    kubeseal.ok(&["--validate"], &many);
    let anew = kubeseal.ok(&["--re-encrypt"], &many);
    assert_eq!(
        anew.matches("\"kind\": \"SealedSecret\"").count(),
        8,
        "{anew}"
    );
}

/// Somebody who may log in, and nothing else.
async fn anybody(rig: &Rig<'_>) -> PathBuf {
    rig.namespace.account("anybody", &[]).await.kubeconfig
}

#[tokio::test(flavor = "multi_thread")]
async fn i9_i11_i12_t19_t20_t33_the_real_kubeseal_with_our_controller() {
    let rig = Rig::start(cluster(), "kubeseal-theirs", &["--key-renew-period=0"]).await;
    rig.serve().await;
    let kubeseal = Kubeseal::theirs(anybody(&rig).await, rig.namespace.name());
    work(&rig.namespace, &kubeseal, || signal_for_a_key(rig.pid(0))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i9_i11_i12_t21_t33_our_kubeseal_with_our_controller() {
    let rig = Rig::start(cluster(), "kubeseal-ours", &["--key-renew-period=0"]).await;
    rig.serve().await;
    let kubeseal = Kubeseal::ours(anybody(&rig).await, rig.namespace.name());
    work(&rig.namespace, &kubeseal, || signal_for_a_key(rig.pid(0))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i9_i11_i12_our_kubeseal_with_the_real_controller() {
    let cluster = cluster();
    cluster.apply(include_str!("../../../../deploy/base/crd.yaml"));
    let namespace = cluster.namespace("real-ours").await;
    let flags = [
        "--all-namespaces=false",
        "--key-size=2048",
        "--kubeclient-qps=-1",
        "--key-renew-period=0",
    ];
    let controller = Controller::start(&namespace, &flags).await;
    let kubeseal = Kubeseal::ours(cluster.kubeconfig().to_owned(), namespace.name());
    work(&namespace, &kubeseal, || {
        signal_for_a_key(controller.server.pid().unwrap())
    })
    .await;
}
