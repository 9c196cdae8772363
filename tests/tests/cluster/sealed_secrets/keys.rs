//! Sealing keys: made, renewed, added, withdrawn, damaged; and the HTTP door.

use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams};
use sealwright_crypto::sealing::{Certificate, PrivateKey};
use sealwright_resources::scope::Scope;
use sealwright_tests::harness::cluster;
use sealwright_tests::harness::cluster::eventually;
use serde_json::json;

use super::rig::{A_MOMENT, Rig, Variant, sealed_for};

const LABEL: &str = "sealedsecrets.bitnami.com/sealed-secrets-key";

fn key_secret(name: &str, key: &PrivateKey, certificate: &Certificate) -> serde_json::Value {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    json!({
        "metadata": {"name": name, "labels": {LABEL: "active"}},
        "type": "kubernetes.io/tls",
        "stringData": {
            "tls.key": text(key.to_pkcs1_pem().unwrap().expose()),
            "tls.crt": certificate.to_pem(),
        },
    })
}

fn pair(not_before: i64) -> (PrivateKey, Certificate) {
    let key = PrivateKey::generate(2048).unwrap();
    let certificate = Certificate::self_signed(&key, "", not_before, 3600).unwrap();
    (key, certificate)
}

#[tokio::test]
async fn p11_keys_count_when_they_are_added_and_when_they_are_withdrawn() {
    let rig = Rig::start(cluster(), "p11", &[]).await;
    let first = rig.key_names().await;
    assert_eq!(first.len(), 1);
    assert!(
        first[0].starts_with("sealed-secrets-key") && !first[0].starts_with("sealed-secrets-key-")
    );

    // What fails for want of a key is tried again when the key comes.
    let (key, certificate) = pair(1_600_000_000);
    let sealed = sealed_for(
        &certificate,
        Scope::Strict,
        rig.namespace.name(),
        "a",
        &[("foo", "bar")],
    );
    rig.create(&sealed).await;
    rig.eventually_synced("a", "False").await;
    rig.create_secret(key_secret("restored", &key, &certificate))
        .await;
    rig.eventually_data("a", &[("foo", "bar")]).await;
    // T24: an older one does not seal.
    assert_ne!(rig.certificate().fingerprint(), certificate.fingerprint());

    // A newer one does, until it is withdrawn.
    let (key, newer) = pair(1_900_000_000);
    rig.create_secret(key_secret("newer", &key, &newer)).await;
    eventually("the newest certificate is served", async || {
        (rig.certificate().fingerprint() == newer.fingerprint()).then_some(())
    })
    .await;
    rig.create(&sealed_for(
        &newer,
        Scope::Strict,
        rig.namespace.name(),
        "b",
        &[("foo", "bar")],
    ))
    .await;
    rig.eventually_synced("b", "True").await;
    rig.patch_secret(
        "newer",
        json!({"metadata": {"labels": {LABEL: "compromised"}}}),
    )
    .await;
    eventually("the withdrawn certificate is not served", async || {
        (rig.certificate().fingerprint() != newer.fingerprint()).then_some(())
    })
    .await;
    rig.create(&sealed_for(
        &newer,
        Scope::Strict,
        rig.namespace.name(),
        "c",
        &[("foo", "bar")],
    ))
    .await;
    rig.eventually_synced("c", "False").await;
    rig.secrets()
        .delete("restored", &DeleteParams::default())
        .await
        .unwrap();
    eventually("the deleted key is gone", async || {
        rig.logs()
            .contains("private key is no longer used\" secretname=restored")
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn c41_sigusr1_makes_a_key_at_once_and_old_ones_stay() {
    let rig = Rig::start(cluster(), "c41", &["--key-renew-period=0"]).await;
    let old = rig.certificate();
    rig.create(&rig.sealed("old", &[("foo", "bar")])).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(rig.pid(0)).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::USR1).unwrap();
    eventually("there are two keys", async || {
        (rig.key_names().await.len() == 2).then_some(())
    })
    .await;
    eventually("the new one is served", async || {
        (rig.certificate().fingerprint() != old.fingerprint()).then_some(())
    })
    .await;
    rig.create(&sealed_for(
        &old,
        Scope::Strict,
        rig.namespace.name(),
        "late",
        &[("foo", "bar")],
    ))
    .await;
    rig.eventually_synced("late", "True").await;
    assert!(rig.logs().contains("Certificate generated"));
}

#[tokio::test]
async fn c40_keys_are_renewed_after_their_period() {
    let rig = Rig::start(cluster(), "c40", &["--key-renew-period=2s"]).await;
    eventually("there are three keys", async || {
        (rig.key_names().await.len() >= 3).then_some(())
    })
    .await;
}

#[tokio::test]
async fn c42_a_cutoff_makes_a_key_at_start_and_only_once() {
    let now = jiff_rfc2822(10);
    let mut rig = Rig::start(cluster(), "c42", &[]).await;
    rig.terminate(0);
    rig.flag(&format!("--key-cutoff-time={now}"));
    rig.add_replica();
    eventually("there are two keys", async || {
        (rig.key_names().await.len() == 2).then_some(())
    })
    .await;
    tokio::time::sleep(A_MOMENT).await;
    assert_eq!(rig.key_names().await.len(), 2);
}

/// A date some seconds from now, as `date -R` prints it.
fn jiff_rfc2822(seconds: i64) -> String {
    let output = std::process::Command::new("date")
        .args(["-R", "-d", &format!("{seconds} seconds")])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_malformed_key_secret_stops_nothing() {
    let mut rig = Rig::prepare(cluster(), "bad-key", Variant::Namespaced).await;
    for (name, data) in [
        (
            "no-pem",
            json!({"tls.key": "canary-key", "tls.crt": "canary-crt"}),
        ),
        ("nothing", json!({})),
    ] {
        rig.create_secret(
            json!({"metadata": {"name": name, "labels": {LABEL: "active"}}, "stringData": data}),
        )
        .await;
    }
    rig.add_replica();
    rig.create(&rig.sealed("a", &[("foo", "bar")])).await;
    rig.eventually_synced("a", "True").await;
    rig.create_secret(json!({"metadata": {"name": "later", "labels": {LABEL: "active"}}, "stringData": {"tls.key": "canary-key"}})).await;
    rig.eventually_event("later", "ErrSealingKey").await;
    rig.create(&rig.sealed("b", &[("foo", "bar")])).await;
    rig.eventually_synced("b", "True").await;
    assert!(!rig.logs().contains("canary"));
    assert!(rig.logs().contains("Error reading key"));
}

#[tokio::test]
async fn t27_the_key_from_before_names_is_used() {
    let mut rig = Rig::prepare(cluster(), "t27", Variant::Namespaced).await;
    let (key, certificate) = pair(1_900_000_000);
    let mut legacy = key_secret("sealed-secrets-key", &key, &certificate);
    legacy["metadata"]["labels"] = json!({});
    rig.create_secret(legacy).await;
    rig.add_replica();
    assert_eq!(rig.certificate().fingerprint(), certificate.fingerprint());
    assert!(rig.key_names().await.is_empty(), "no other key was needed");
}

#[tokio::test]
async fn c63_to_c68_the_http_door() {
    let rig = Rig::start(cluster(), "door", &[]).await;
    for method in ["GET", "POST", "DELETE"] {
        let reply = rig.http(method, "/healthz", "", "");
        assert_eq!((reply.status, reply.body.as_str()), (200, "ok\n"));
        assert!(reply.head.contains("text/plain; charset=utf-8"));
    }
    assert_eq!(rig.http("GET", "/readyz", "", "").body, "ok\n");
    assert_eq!(rig.http("GET", "/metrics", "", "").status, 404);
    assert_eq!(rig.http("GET", "/v1/other", "", "").status, 404);
    let reply = rig.http("GET", "/v1/cert.pem", "", "");
    assert!(reply.head.contains("application/x-pem-file"));

    let sealed = serde_json::to_string(&rig.sealed("a", &[("foo", "bar")])).unwrap();
    let mut moved = rig.sealed("a", &[("foo", "bar")]);
    moved.metadata.name = Some("b".into());
    let moved = serde_json::to_string(&moved).unwrap();
    for (body, path, status) in [
        (sealed.as_str(), "/v1/verify", 200),
        (&moved, "/v1/verify", 409),
        ("kind: Secret", "/v1/verify", 500),
        (&moved, "/v1/rotate", 500),
        ("no", "/v1/rotate", 500),
    ] {
        let reply = rig.http("POST", path, "X-Forwarded-For: 10.0.0.1\r\n", body);
        assert_eq!(reply.status, status, "{path} {body}");
        assert!(reply.body.is_empty());
    }
    let rotated = rig.http("POST", "/v1/rotate", "", &sealed);
    assert_eq!(rotated.status, 200);
    assert!(
        rotated.head.contains("\r\nX-Ratelimit-Limit: 3\r\n"),
        "{}",
        rotated.head
    );
    let codes: Vec<u16> = (0..4)
        .map(|_| {
            rig.http(
                "POST",
                "/v1/verify",
                "X-Forwarded-For: 10.0.0.2\r\n",
                &sealed,
            )
            .status
        })
        .collect();
    assert_eq!(codes, [200, 200, 200, 429]);
    let refused = rig.http(
        "POST",
        "/v1/verify",
        "X-Forwarded-For: 10.0.0.2\r\n",
        &sealed,
    );
    assert!(
        refused.head.contains("\r\nRetry-After: 1"),
        "{}",
        refused.head
    );
    assert_eq!(refused.body, "limit exceeded\n");
    assert!(
        rig.metric("http_requests_total{code=\"429\",method=\"post\",path=\"/v1/verify\"}") >= 2.0
    );
}

#[tokio::test]
async fn t41_probes_answer_while_the_api_server_is_unreachable() {
    let mut rig = Rig::prepare(cluster(), "t41", Variant::Namespaced).await;
    let text = std::fs::read_to_string(&rig.account.kubeconfig).unwrap();
    let wrong = rig.account.kubeconfig.with_extension("wrong");
    let port = sealwright_tests::harness::server::free_port().unwrap();
    let text = text.replace(
        &format!(":{}", rig.namespace.cluster().port()),
        &format!(":{port}"),
    );
    std::io::Write::write_all(&mut std::fs::File::create(&wrong).unwrap(), text.as_bytes())
        .unwrap();
    rig.flag(&format!("--kubeconfig={}", wrong.display()));
    rig.add_unready_replica();
    assert_eq!(rig.http("GET", "/healthz", "", "").status, 200);
    let reply = rig.http("GET", "/readyz", "", "");
    assert_eq!((reply.status, reply.body.as_str()), (503, "not ready\n"));
    assert_eq!(rig.http("GET", "/v1/cert.pem", "", "").status, 500);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let complaints = rig.logs().matches("cannot watch").count();
    assert!(complaints <= 2, "said once, not in a loop: {complaints}");
    assert_eq!(rig.terminate(0), "exited exit status: 0");
}

#[tokio::test]
async fn a_broken_object_is_tried_again_when_it_is_mended() {
    let rig = Rig::start(cluster(), "mended", &[]).await;
    let mut sealed = rig.sealed("a", &[("foo", "bar")]);
    let good = sealed.spec.encrypted_data["foo"].clone();
    sealed
        .spec
        .encrypted_data
        .insert("foo".into(), "not base64".into());
    rig.create(&sealed).await;
    let failed = rig.eventually_synced("a", "False").await;
    assert!(
        super::rig::condition(&failed, "Synced")
            .message
            .ends_with("(foo)")
    );
    let patch = json!({"spec": {"encryptedData": {"foo": good}}});
    rig.sealed_secrets()
        .patch("a", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    rig.eventually_data("a", &[("foo", "bar")]).await;
}
