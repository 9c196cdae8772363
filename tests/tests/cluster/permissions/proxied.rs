//! The permissions of users who ask the controller through the API server.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use sealwright_crypto::sealing::Certificate;
use sealwright_resources::scope::Scope;
use sealwright_tests::harness::cluster::{Account, Cluster, Namespace, eventually, rule, run};
use sealwright_tests::harness::{programs, upstream};
use serde_json::json;

use super::super::chart::Release;
use super::super::kubelet::{self, Replica};
use super::super::objects;
use super::super::sealed_secrets::rig::sealed_for;
use super::{Permission, permissions, rules};

const ROLE: &str = "sealwright-service-proxier";

/// Calls kubeseal, upstream's and ours, as a user who has no other rights.
fn kubeseal(
    account: &Account,
    namespace: &Namespace<'_>,
    words: &[&str],
    input: &str,
) -> [Output; 2] {
    [
        (upstream::kubeseal(), None),
        (programs::sealwright(), Some("kubeseal")),
    ]
    .map(|(program, first)| {
        let mut command = Command::new(program);
        command
            .args(first)
            .arg("--kubeconfig")
            .arg(&account.kubeconfig);
        command.args(["--controller-name=sealwright", "--controller-namespace"]);
        command.arg(namespace.name()).args(words);
        run(&mut command, input.as_bytes())
    })
}

async fn set(namespace: &Namespace<'_>, permissions: &BTreeSet<Permission>) {
    let patch = json!({"rules": rules(permissions)});
    objects::patch(namespace, "Role", ROLE, patch).await;
}

#[tokio::test]
async fn each_permission_of_those_who_ask_through_the_api_server_is_needed() {
    let cluster = Cluster::start();
    let namespace = cluster.namespace("permissions-proxy").await;
    let release = Release::install(&namespace, "replicaCount=1,leaderElect=false").await;
    let replica = Replica::start(&namespace, &release.account, "sealwright", 1).await;
    namespace
        .answer_for("sealwright", Some("http"), 8080, replica.api)
        .await;
    let user = namespace
        .account("developer", &[rule("", &["configmaps"], &["get"])])
        .await;
    let (_, pem) = kubelet::get(replica.api, "/v1/cert.pem").unwrap();
    let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
    let sealed = sealed_for(
        &certificate,
        Scope::Strict,
        namespace.name(),
        "a",
        &[("k", "v")],
    );
    let sealed = serde_json::to_string(&sealed).unwrap();

    let role = objects::get(&namespace, "Role", ROLE).await.unwrap();
    let all = permissions(&role["rules"]);
    let granted: BTreeSet<(&str, &str)> = all
        .iter()
        .map(|one| (one.verb.as_str(), one.resource.as_str()))
        .collect();
    let needs = [
        ("get", "services", "--fetch-cert"),
        ("get", "services/proxy", "--fetch-cert"),
        ("create", "services/proxy", "--validate"),
    ];
    assert_eq!(
        granted,
        needs.map(|(verb, resource, _)| (verb, resource)).into()
    );
    for (verb, resource, word) in needs {
        let mut left = all.clone();
        left.retain(|one| (one.verb.as_str(), one.resource.as_str()) != (verb, resource));
        set(&namespace, &left).await;
        let says = format!("cannot {verb} resource \"{resource}\"");
        eventually(
            &format!("{word} fails without {verb} {resource}"),
            async || {
                let outputs = kubeseal(&user, &namespace, &[word], &sealed);
                let fails = outputs.iter().all(|output| {
                    let told = String::from_utf8_lossy(&output.stderr).replace('\\', "");
                    !output.status.success() && told.contains(&says)
                });
                fails.then_some(())
            },
        )
        .await;
        set(&namespace, &all).await;
        eventually(
            &format!("{word} works with {verb} {resource}"),
            async || {
                let outputs = kubeseal(&user, &namespace, &[word], &sealed);
                outputs
                    .iter()
                    .all(|output| output.status.success())
                    .then_some(())
            },
        )
        .await;
    }
    replica.stop(&namespace).await;
}
