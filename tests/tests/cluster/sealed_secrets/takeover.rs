//! The real controller before us and after us, on the same cluster.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use sealwright_resources::scope::Scope;
use sealwright_tests::harness::cluster::{Account, Cluster, Namespace, cluster, eventually, rule};
use sealwright_tests::harness::server::{Server, free_port};
use sealwright_tests::harness::{programs, upstream};

use super::rig::{Rig, Variant, condition, sealed_for, version};

/// Upstream's CustomResourceDefinition, which differs from ours in what it says of null.
pub(crate) fn upstreams_definition() -> String {
    let ours = include_str!("../../../../deploy/base/crd.yaml");
    let theirs = ours.replace(
        "                      nullable: true\n                      type: string\n",
        "                      type: string\n",
    );
    assert_ne!(ours, theirs);
    theirs
}

/// The rights that upstream's own manifests give.
async fn upstreams_account(namespace: &Namespace<'_>) -> Account {
    let rules = [
        rule("bitnami.com", &["sealedsecrets"], &["get", "list", "watch"]),
        rule("bitnami.com", &["sealedsecrets/status"], &["update"]),
        rule(
            "",
            &["secrets"],
            &["get", "list", "create", "update", "delete", "watch"],
        ),
        rule("", &["events"], &["create", "patch"]),
        rule("", &["namespaces"], &["get"]),
    ];
    namespace.cluster_account("upstream", &rules).await
}

fn start_upstream(account: &Account, namespace: &Namespace<'_>, name: &str) -> (Server, u16) {
    let prepare = || {
        let (port, metrics) = (free_port()?, free_port()?);
        let mut command = account.in_pod(&upstream::sealed_secrets_controller());
        command.arg(format!("--listen-addr=127.0.0.1:{port}"));
        command.arg(format!("--listen-metrics-addr=127.0.0.1:{metrics}"));
        command.args(["--all-namespaces=false", "--kubeclient-qps=-1"]);
        Ok((command, port))
    };
    let sandbox = namespace.cluster().sandbox();
    let ready = |port: &u16| {
        TcpStream::connect(("127.0.0.1", *port))
            .map(drop)
            .map_err(|error| error.to_string())
    };
    Server::start(sandbox, name, prepare, ready).unwrap_or_else(|error| panic!("{error}"))
}

async fn secret_versions(rig: &Rig<'_>) -> Vec<(String, String)> {
    let list = rig.secrets().list(&Default::default()).await.unwrap();
    let mut versions: Vec<_> = list
        .items
        .iter()
        .map(|secret| (secret.metadata.name.clone().unwrap(), version(secret)))
        .collect();
    versions.sort();
    versions
}

#[tokio::test]
async fn takeover_from_upstream_and_back_changes_no_secret() {
    let cluster = Cluster::start();
    let mut rig = Rig::prepare(&cluster, "takeover", Variant::Namespaced).await;
    let account = upstreams_account(&rig.namespace).await;
    cluster.apply(&upstreams_definition());

    let (mut upstream, port) = start_upstream(&account, &rig.namespace, "upstream-1");
    let pem = super::rig::Reply::to(port, "GET", "/v1/cert.pem", "", "").body;
    let certificate = sealwright_crypto::sealing::Certificate::from_pem(pem.as_bytes()).unwrap();
    let here = rig.namespace.name().to_owned();
    let values = [("foo", "bar"), ("empty", "")];
    let sealed = |scope, name: &str| sealed_for(&certificate, scope, &here, name, &values);
    rig.create(&sealed(Scope::Strict, "plain")).await;
    rig.create(&sealed(Scope::NamespaceWide, "namespace-wide"))
        .await;
    rig.create(&sealed(Scope::ClusterWide, "cluster-wide"))
        .await;
    let mut typed = sealed(Scope::Strict, "typed");
    typed.spec.template.kind = Some("example.com/kind".into());
    typed.spec.template.immutable = Some(true);
    typed.spec.template.metadata.labels = Some([("l".into(), "m".into())].into());
    typed.spec.template.metadata.annotations = Some([("n".into(), "o".into())].into());
    rig.create(&typed).await;
    let mut template = sealed(Scope::Strict, "template");
    template.spec.template.data = [
        (
            "url".into(),
            Some("https://{{ .foo }}/{{ .host | upper }}".into()),
        ),
        ("host".into(), Some("example".into())),
        ("json".into(), Some("{{ toJson . }}".into())),
    ]
    .into();
    rig.create(&template).await;
    let mut patched = sealed(Scope::Strict, "patched");
    patched.spec.template.metadata.annotations =
        Some([("sealedsecrets.bitnami.com/patch".into(), "true".into())].into());
    rig.create(&patched).await;
    let mut broken = sealed(Scope::Strict, "broken");
    broken.metadata.name = Some("renamed".into());
    rig.create(&broken).await;
    let names = [
        "plain",
        "namespace-wide",
        "cluster-wide",
        "typed",
        "template",
        "patched",
    ];
    for name in names {
        rig.eventually_synced(name, "True").await;
    }
    rig.eventually_synced("renamed", "False").await;
    let before = secret_versions(&rig).await;
    let keys = rig.key_names().await;
    upstream.terminate(Duration::from_secs(10)).unwrap();

    // Ours, with no more rights than upstream had.
    rig.flag(&format!("--kubeconfig={}", account.kubeconfig.display()));
    rig.add_replica();
    eventually("it works alone", async || {
        rig.logs()
            .contains("no permission for leader election")
            .then_some(())
    })
    .await;
    assert_eq!(rig.certificate().fingerprint(), certificate.fingerprint());
    for name in names {
        eventually("it is adopted", async || {
            let sealed = rig.sealed_secrets().get(name).await.unwrap();
            let conditions = sealed.status.unwrap().conditions;
            conditions
                .iter()
                .any(|condition| condition.kind == "Applied")
                .then_some(())
        })
        .await;
    }
    let failed = rig.eventually_synced("renamed", "False").await;
    assert_eq!(condition(&failed, "Stalled").status, "True");
    assert_eq!(secret_versions(&rig).await, before);
    assert_eq!(rig.key_names().await, keys);
    rig.create(&rig.sealed("ours", &values)).await;
    rig.eventually_synced("ours", "True").await;
    let mut with_ours = secret_versions(&rig).await;
    rig.terminate(0);

    // And back again: upstream unseals everything and finds it as it should be.
    let (upstream, port) = start_upstream(&account, &rig.namespace, "upstream-2");
    eventually("upstream has been through", async || {
        let log = upstream.log_text();
        let done = names
            .iter()
            .chain(&["ours"])
            .all(|name| log.contains(&format!("msg=Updating key={here}/{name}")));
        (done && log.matches("reason: 'Unsealed'").count() > names.len()).then_some(())
    })
    .await;
    assert_eq!(secret_versions(&rig).await, with_ours);
    for name in names {
        rig.eventually_synced(name, "True").await;
    }
    let again = super::rig::Reply::to(port, "GET", "/v1/cert.pem", "", "").body;
    assert_eq!(again, pem);
    with_ours.retain(|(name, _)| name != "ours");
    assert_eq!(with_ours, before);
}

#[tokio::test]
async fn clean_status_leaves_only_what_upstreams_controller_knows() {
    let mut rig = Rig::start(cluster(), "clean", &[]).await;
    rig.create(&rig.sealed("good", &[("foo", "bar")])).await;
    let mut bad = rig.sealed("bad", &[("foo", "bar")]);
    bad.spec.encrypted_data.insert("foo".into(), "AgBy".into());
    rig.create(&bad).await;
    rig.eventually_synced("good", "True").await;
    let stalled = rig.eventually_synced("bad", "False").await;
    assert_eq!(condition(&stalled, "Stalled").status, "True");
    rig.terminate(0);
    let secrets = secret_versions(&rig).await;
    let clean = |flags: &[&str]| {
        let mut command = Command::new(programs::sealwright_controller());
        command
            .arg("clean-status")
            .arg("--kubeconfig")
            .arg(rig.namespace.cluster().kubeconfig())
            .args(["--namespace", rig.namespace.name()])
            .args(flags);
        programs::output(&mut command).unwrap()
    };
    assert_eq!(
        clean(&["--dry-run"]),
        "2 SealedSecrets, 2 would be cleaned\n"
    );
    assert_eq!(clean(&[]), "2 SealedSecrets, 2 cleaned\n");
    assert_eq!(clean(&[]), "2 SealedSecrets, 0 cleaned\n");
    for (name, synced) in [("good", "True"), ("bad", "False")] {
        let sealed = rig.sealed_secrets().get(name).await.unwrap();
        let conditions = &sealed.status.as_ref().unwrap().conditions;
        assert_eq!(conditions.len(), 1, "{conditions:?}");
        assert_eq!(condition(&sealed, "Synced").status, synced);
    }
    assert_eq!(secret_versions(&rig).await, secrets);
}
