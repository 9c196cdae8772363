//! The controller under the name of the External Secrets Operator: its flags, ports, Lease and helpers.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, PostParams};
use sealwright_tests::harness::cluster::{Account, Namespace, eventually, rule, run};
use sealwright_tests::harness::server::{Server, free_port};
use sealwright_tests::harness::{cluster, programs};
use serde_json::json;

/// The controller by the name `external-secrets`, as a link.
fn external_secrets(namespace: &Namespace<'_>) -> std::path::PathBuf {
    let folder = namespace.cluster().sandbox().folder(namespace.name());
    let link = folder.unwrap().join("external-secrets");
    if !link.exists() {
        symlink(programs::sealwright_controller(), &link).unwrap();
    }
    link
}

/// A GET with curl: status and body. Anything but an answer is an error.
fn get(url: &str, more: &[&str]) -> Result<(u16, String), String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "10"]);
    command.args(["--write-out", "\n%{http_code}"]).args(more);
    let output = run(command.arg(url), b"");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap_or_default();
    match output.status.success() {
        true => Ok((status.parse().unwrap(), body.to_owned())),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn is_ready(port: u16) -> Result<(), String> {
    match get(&format!("http://127.0.0.1:{port}/readyz"), &[])? {
        (200, _) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// Starts the program with ports for metrics and probes.
fn start(
    namespace: &Namespace<'_>,
    account: &Account,
    words: &[&str],
    probes: &str,
    flags: &[String],
    ready: fn(u16) -> Result<(), String>,
) -> (Server, u16, u16) {
    let program = external_secrets(namespace);
    let prepare = || {
        let (metrics, live) = (free_port()?, free_port()?);
        let mut command = Command::new(&program);
        command.env("POD_NAMESPACE", namespace.name());
        command.env("KUBECONFIG", &account.kubeconfig);
        command.args(words);
        command.arg(format!("--metrics-addr=127.0.0.1:{metrics}"));
        command.arg(format!("--{probes}=127.0.0.1:{live}"));
        command.args(flags);
        Ok((command, (metrics, live)))
    };
    let sandbox = namespace.cluster().sandbox();
    let name = format!("{}-{}", namespace.name(), words.first().unwrap_or(&"main"));
    let started = Server::start(sandbox, &name, prepare, |(_, live)| ready(*live));
    let (server, (metrics, live)) = started.unwrap_or_else(|error| panic!("{error}"));
    (server, metrics, live)
}

#[tokio::test]
async fn e1_e7_e12_it_leads_by_upstreams_lease_and_reports_left_over_webhooks() {
    let namespace = cluster().namespace("operator").await;
    let leases = rule(
        "coordination.k8s.io",
        &["leases"],
        &["get", "create", "update"],
    );
    let account = namespace.account("external-secrets", &[leases]).await;
    let webhooks = rule(
        "admissionregistration.k8s.io",
        &["validatingwebhookconfigurations"],
        &["list"],
    );
    let reader = namespace.cluster_account("webhooks", &[webhooks]).await;
    drop(reader);
    // As upstream's chart leaves it, for objects that do not exist.
    let left: ValidatingWebhookConfiguration = serde_json::from_value(json!({
        "metadata": {
            "name": format!("externalsecret-validate-{}", namespace.name()),
            "labels": {"external-secrets.io/component": "webhook"},
        },
        "webhooks": [{
            "name": "validate.externalsecret.external-secrets.io",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "clientConfig": {"service": {"name": "gone", "namespace": namespace.name()}},
            "rules": [{
                "apiGroups": ["absent.example.com"], "apiVersions": ["v1"],
                "operations": ["CREATE"], "resources": ["absent"],
            }],
        }],
    }))
    .unwrap();
    let all: Api<ValidatingWebhookConfiguration> = Api::all(namespace.client().clone());
    let left = all.create(&PostParams::default(), &left).await.unwrap();
    let name = left.metadata.name.unwrap();
    grant_in_cluster(&namespace, &account, "webhooks");

    let flags = ["--enable-leader-election", "--loglevel=debug"].map(str::to_owned);
    let (mut server, metrics, live) =
        start(&namespace, &account, &[], "live-addr", &flags, is_ready);
    let metrics = format!("http://127.0.0.1:{metrics}/metrics");
    eventually("it leads and has found the webhook", async || {
        let (_, text) = get(&metrics, &[]).ok()?;
        let whole = text.contains("sealwright_leader 1\n")
            && text.contains("sealwright_leftover_webhooks 1\n");
        whole.then_some(())
    })
    .await;
    let leases: Api<Lease> = namespace.api();
    let lease = leases.get("external-secrets-controller").await.unwrap();
    let spec = lease.spec.unwrap();
    assert_eq!(spec.lease_duration_seconds, Some(15));
    let probe = get(&format!("http://127.0.0.1:{live}/healthz"), &[]).unwrap();
    assert_eq!(probe, (200, "ok\n".to_owned()));
    let log = server.log_text();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(
        lines.iter().any(|line| line["level"] == "warn"
            && line["ts"].is_f64()
            && line["name"] == name.as_str()
            && line["msg"].as_str().unwrap().contains(&format!(
                "kubectl delete validatingwebhookconfiguration {name}"
            ))),
        "{log}"
    );
    let ended = server.terminate(Duration::from_secs(20)).unwrap();
    assert!(ended.contains('0'), "{ended}");
    let lease = leases.get("external-secrets-controller").await.unwrap();
    assert_eq!(lease.spec.unwrap().holder_identity.as_deref(), Some(""));
    all.delete(&name, &DeleteParams::default()).await.unwrap();
}

/// Binds the role of another account of this namespace to this one too.
fn grant_in_cluster(namespace: &Namespace<'_>, account: &Account, other: &str) {
    let role = format!("{}-{other}", namespace.name());
    let subject = format!("{}:{}", account.namespace, account.name);
    namespace.cluster().kubectl(&[
        "create",
        "clusterrolebinding",
        &format!("{role}-too"),
        &format!("--clusterrole={role}"),
        &format!("--serviceaccount={subject}"),
    ]);
}

#[test]
fn a_wrong_command_line_is_answered_as_upstream_answers_it() {
    for (words, error) in [
        (&["--nope"][..], "Error: unknown flag: --nope\n"),
        (
            &["serve"],
            "Error: unknown command \"serve\" for \"external-secrets\"\n",
        ),
        (
            &["webhook", "--concurrent=1"],
            "Error: unknown flag: --concurrent\n",
        ),
    ] {
        let mut command = Command::new(programs::sealwright_controller());
        let output = run(command.arg("external-secrets").args(words), b"");
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with(error), "{text}");
    }
}

/// Writes a certificate for a name, and its key; returns the certificate.
fn write_certificate(folder: &Path, name: &str) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(vec![name.to_owned(), "127.0.0.1".to_owned()]);
    let certificate = parameters.unwrap().self_signed(&key).unwrap().pem();
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
    std::fs::write(folder.join("tls.crt"), &certificate).unwrap();
    certificate
}

#[tokio::test]
async fn e42_to_e50_the_webhook_admits_what_the_api_server_asks_about() {
    let namespace = cluster().namespace("webhook").await;
    let account = namespace.account("external-secrets-webhook", &[]).await;
    let dns_name = format!("external-secrets-webhook.{}.svc", namespace.name());
    let folder = namespace
        .cluster()
        .sandbox()
        .folder("webhook-certs")
        .unwrap();
    let port = free_port().unwrap();
    let flags = [
        format!("--port={port}"),
        format!("--dns-name={dns_name}"),
        format!("--cert-dir={}", folder.display()),
        "--check-interval=1s".to_owned(),
    ];
    let alive = |live: u16| match get(&format!("http://127.0.0.1:{live}/healthz"), &[])? {
        (200, _) => Ok(()),
        other => Err(format!("{other:?}")),
    };
    let (mut server, _, live) = start(
        &namespace,
        &account,
        &["webhook"],
        "healthz-addr",
        &flags,
        alive,
    );
    assert!(
        is_ready(live).unwrap_err().contains("503"),
        "no certificate"
    );
    write_certificate(&folder, "other.example.com");
    eventually("it says what is wrong with the certificate", async || {
        let complaint = format!("the certificate is not for {dns_name}");
        server.log_text().contains(&complaint).then_some(())
    })
    .await;
    let certificate = write_certificate(&folder, &dns_name);
    eventually("the certificate is good", async || is_ready(live).ok()).await;

    namespace
        .expose("external-secrets-webhook", 443, port)
        .await;
    let name = format!("webhook-{}", namespace.name());
    let bundle = sealwright_crypto::sealing::base64::encode(certificate.as_bytes());
    let configuration: ValidatingWebhookConfiguration = serde_json::from_value(json!({
        "metadata": {"name": name},
        "webhooks": [{
            "name": "validate.externalsecret.external-secrets.io",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "timeoutSeconds": 5,
            "clientConfig": {
                "caBundle": bundle,
                "service": {
                    "name": "external-secrets-webhook", "namespace": namespace.name(),
                    "path": "/validate-external-secrets-io-v1-externalsecret",
                },
            },
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name()}},
            "rules": [{
                "apiGroups": [""], "apiVersions": ["v1"],
                "operations": ["CREATE"], "resources": ["configmaps"],
            }],
        }],
    }))
    .unwrap();
    let all: Api<ValidatingWebhookConfiguration> = Api::all(namespace.client().clone());
    all.create(&PostParams::default(), &configuration)
        .await
        .unwrap();
    let maps: Api<ConfigMap> = namespace.api();
    let create = async |name: &str| {
        let mut map = ConfigMap::default();
        map.metadata.name = Some(name.to_owned());
        maps.create(&PostParams::default(), &map).await
    };
    create("admitted").await.unwrap();
    // It was asked: without it, nothing is admitted.
    server.stop();
    let mut number = 0;
    let refused = eventually("the API server asks the webhook", async || {
        number += 1;
        create(&format!("refused-{number}")).await.err()
    })
    .await;
    assert!(
        refused.to_string().contains("failed calling webhook"),
        "{refused}"
    );
    all.delete(&name, &DeleteParams::default()).await.unwrap();
}

#[tokio::test]
async fn e51_to_e58_the_certcontroller_serves_and_writes_nothing() {
    let namespace = cluster().namespace("certcontroller").await;
    let account = namespace.account("cert-controller", &[]).await;
    let flags = ["--enable-partial-cache=true", "--crd-requeue-interval=5m"].map(str::to_owned);
    let words = ["certcontroller"];
    let (server, metrics, _) = start(
        &namespace,
        &account,
        &words,
        "healthz-addr",
        &flags,
        is_ready,
    );
    eventually("it says what it may not look for", async || {
        let log = server.log_text();
        log.contains("no permission to list ValidatingWebhookConfigurations")
            .then_some(())
    })
    .await;
    let (status, text) = get(&format!("http://127.0.0.1:{metrics}/metrics"), &[]).unwrap();
    assert!(status == 200 && text.contains("process_open_fds"), "{text}");
    let user = account.user();
    for request in cluster().requests() {
        let ours = request.user() == user;
        assert!(!ours || request.verb == "list", "{request:?}");
    }
}

#[tokio::test]
async fn e3_e4_metrics_over_https_with_a_certificate_that_is_renewed() {
    let namespace = cluster().namespace("metrics-tls").await;
    let account = namespace.account("external-secrets", &[]).await;
    let folder = namespace
        .cluster()
        .sandbox()
        .folder("metrics-certs")
        .unwrap();
    write_certificate(&folder, "first.example.com");
    let flags = [
        "--metrics-secure".to_owned(),
        format!("--metrics-cert-dir={}", folder.display()),
        "--tls-min-version=1.3".to_owned(),
    ];
    let (_server, port, _) = start(&namespace, &account, &[], "live-addr", &flags, is_ready);
    let url = format!("https://127.0.0.1:{port}/metrics");
    let scrape = |more: &[&str]| {
        let certificate = folder.join("tls.crt");
        let trusted = ["--cacert", certificate.to_str().unwrap()];
        get(&url, &[&trusted, more].concat())
    };
    let (status, text) = scrape(&[]).unwrap();
    assert!(status == 200 && text.contains("sealwright_build_info"));
    assert!(scrape(&["--tls-max", "1.2"]).is_err(), "TLS 1.2 is too old");
    assert!(get(&format!("http://127.0.0.1:{port}/metrics"), &[]).is_err());
    write_certificate(&folder, "second.example.com");
    eventually("the new certificate is served", async || scrape(&[]).ok()).await;
}

#[tokio::test]
async fn metrics_are_for_those_who_may_get_them() {
    let namespace = cluster().namespace("metrics-auth").await;
    let rules = [
        rule("authentication.k8s.io", &["tokenreviews"], &["create"]),
        rule(
            "authorization.k8s.io",
            &["subjectaccessreviews"],
            &["create"],
        ),
    ];
    let account = namespace.cluster_account("external-secrets", &rules).await;
    let scraper = namespace.account("scraper", &[]).await;
    let stranger = namespace.account("stranger", &[]).await;
    let name = format!("{}-scraper", namespace.name());
    cluster().apply(&format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {name}}}\n\
         rules: [{{nonResourceURLs: [/metrics], verbs: [get]}}]\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: {name}}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {name}}}\n\
         subjects: [{{kind: ServiceAccount, name: scraper, namespace: {}}}]\n",
        namespace.name()
    ));
    let sandbox = namespace.cluster().sandbox();
    let folder = sandbox.folder("metrics-auth-certs").unwrap();
    write_certificate(&folder, "metrics.example.com");
    let flags = [
        "--metrics-secure".to_owned(),
        "--metrics-auth".to_owned(),
        format!("--metrics-cert-dir={}", folder.display()),
    ];
    let (server, port, _) = start(&namespace, &account, &[], "live-addr", &flags, is_ready);
    let url = format!("https://127.0.0.1:{port}/metrics");
    let scrape = |token: &str| {
        let certificate = folder.join("tls.crt");
        let header = format!("Authorization: Bearer {token}");
        get(
            &url,
            &[
                "--cacert",
                certificate.to_str().unwrap(),
                "--header",
                &header,
            ],
        )
    };
    eventually("the scraper is let in", async || {
        let (status, text) = scrape(&scraper.token).unwrap();
        (status == 200 && text.contains("sealwright_build_info")).then_some(())
    })
    .await;
    assert_eq!(scrape(&stranger.token).unwrap().0, 403);
    assert_eq!(scrape("no.such.token").unwrap().0, 401);
    let certificate = folder.join("tls.crt");
    let without = get(&url, &["--cacert", certificate.to_str().unwrap()]);
    assert_eq!(without.unwrap().0, 401);
    // Who was let in is believed for a while, and who guesses is slowed down.
    let refused = (0..60).find(|_| scrape("no.such.token").unwrap().0 == 429);
    assert!(refused.is_some());
    assert_eq!(scrape(&scraper.token).unwrap().0, 200);
    for token in [&scraper.token, &stranger.token] {
        assert!(!server.log_text().contains(token.as_str()));
    }
}

#[tokio::test]
async fn both_sides_share_one_process_and_one_metrics_endpoint() {
    let namespace = cluster().namespace("both-sides").await;
    cluster().apply(include_str!("../../../deploy/base/crd.yaml"));
    let rules = [
        rule(
            "bitnami.com",
            &["sealedsecrets", "sealedsecrets/status"],
            &["get", "list", "watch", "update"],
        ),
        rule(
            "",
            &["secrets"],
            &["get", "list", "watch", "create", "update"],
        ),
        rule("", &["events"], &["create", "patch"]),
    ];
    let account = namespace.account("both", &rules).await;
    let api = free_port().unwrap();
    let flags = [
        "--enable-sealed-secrets".to_owned(),
        "--all-namespaces=false".to_owned(),
        "--key-size=2048".to_owned(),
        format!("--listen-addr=127.0.0.1:{api}"),
    ];
    let (_server, metrics, live) = start(&namespace, &account, &[], "live-addr", &flags, is_ready);
    // Ready means that there is a key, on both ports.
    is_ready(api).unwrap();
    is_ready(live).unwrap();
    let (status, pem) = get(&format!("http://127.0.0.1:{api}/v1/cert.pem"), &[]).unwrap();
    assert!(status == 200 && pem.contains("BEGIN CERTIFICATE"));
    let (_, text) = get(&format!("http://127.0.0.1:{metrics}/metrics"), &[]).unwrap();
    for series in [
        "sealed_secrets_controller_unseal_requests_total",
        "sealwright_sealing_keys 1",
        "sealwright_leftover_webhooks",
    ] {
        assert!(text.contains(series), "{series}\n{text}");
    }
}
