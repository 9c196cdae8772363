//! Flags that change what happens in the cluster.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use sealwright_resources::scope::Scope;
use sealwright_resources::sealed_secret::SealedSecret;
use sealwright_tests::harness::cluster;
use sealwright_tests::harness::cluster::{eventually, rule};
use serde_json::json;

use super::rig::{A_MOMENT, Rig, Variant, data, sealed_for};

#[tokio::test]
async fn c11_c17_c22_c80_t30_selector_status_and_series() {
    let flags = [
        "--label-selector=team=a",
        "--update-status=false",
        "--metrics-omit-secret-labels",
        "--log-format=json",
    ];
    let rig = Rig::start(cluster(), "selector", &flags).await;
    let mut chosen = rig.sealed("chosen", &[("foo", "bar")]);
    chosen.metadata.labels = Some([("team".into(), "a".into())].into());
    rig.create(&rig.sealed("other", &[("foo", "bar")])).await;
    rig.create(&chosen).await;
    rig.eventually_data("chosen", &[("foo", "bar")]).await;
    rig.eventually_event("chosen", "Unsealed").await;
    assert!(rig.secret("other").await.is_none());
    let sealed = rig.sealed_secrets().get("chosen").await.unwrap();
    assert_eq!(sealed.status, None);
    assert!(!rig.metrics_of(0).contains("condition_info"));
    for line in rig.logs().lines() {
        let line: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["time"].is_string() && line["level"].is_string() && line["msg"].is_string());
    }
    // T30: the Secret that comes back need not carry the label.
    rig.delete_secret("chosen").await;
    rig.eventually_data("chosen", &[("foo", "bar")]).await;
}

#[tokio::test]
async fn two_installations_with_other_selectors_share_a_namespace_and_never_write_the_same_object()
{
    const OBJECTS: usize = 5;
    let shared = cluster().namespace("selected").await;
    let rules = [
        rule("bitnami.com", &["sealedsecrets"], &["get", "list", "watch"]),
        rule("bitnami.com", &["sealedsecrets/status"], &["update"]),
        rule(
            "",
            &["secrets"],
            &["get", "list", "watch", "create", "update"],
        ),
        rule("", &["events"], &["create", "patch"]),
        rule("", &["namespaces"], &["get"]),
    ];
    let mut rigs = Vec::new();
    for team in ["red", "blue"] {
        let mut rig = Rig::prepare(cluster(), team, Variant::Namespaced).await;
        shared.grant(&rig.account, &rules).await;
        rig.flag(&format!("--additional-namespaces={}", shared.name()));
        rig.flag(&format!("--label-selector=team={team}"));
        rig.add_replica();
        rigs.push((team, rig));
    }
    for (team, rig) in &rigs {
        let certificate = rig.certificate();
        for number in 0..OBJECTS {
            let name = format!("{team}-{number}");
            let values = [("foo", *team)];
            let mut sealed = sealed_for(&certificate, Scope::Strict, shared.name(), &name, &values);
            sealed.metadata.labels = Some([("team".into(), (*team).into())].into());
            shared.create(&sealed).await;
        }
    }
    let secrets: Api<Secret> = shared.api();
    for round in 0..2 {
        for (team, _) in &rigs {
            let wanted = BTreeMap::from([("foo".to_owned(), (*team).to_owned())]);
            for number in 0..OBJECTS {
                let name = format!("{team}-{number}");
                eventually(&format!("{name} is there"), async || {
                    let secret = secrets.get_opt(&name).await.unwrap()?;
                    (data(&secret) == wanted).then_some(())
                })
                .await;
            }
            // Each puts its own in order again.
            if round == 0 {
                let params = DeleteParams::default();
                secrets.delete(&format!("{team}-0"), &params).await.unwrap();
                let edited = Patch::Merge(json!({"stringData": {"foo": "edited"}}));
                let params = PatchParams::default();
                let name = format!("{team}-1");
                secrets.patch(&name, &params, &edited).await.unwrap();
            }
        }
    }
    let sealed_secrets: Api<SealedSecret> = shared.api();
    for (team, rig) in &rigs {
        let last = format!("{team}-{}", OBJECTS - 1);
        eventually("the status is written", async || {
            let sealed = sealed_secrets.get(&last).await.unwrap();
            sealed.status.map(drop)
        })
        .await;
        let own = cluster().requests_of(&rig.account.user());
        let writes = own.iter().filter(|request| {
            let writes = ["create", "update", "patch", "delete"];
            request.namespace() == shared.name() && writes.contains(&request.verb.as_str())
        });
        let mut count = 0;
        for request in writes {
            count += 1;
            assert!(
                request.name().starts_with(team),
                "{team}: {} {}",
                request.verb,
                request.uri
            );
        }
        assert!(count >= 2 * OBJECTS, "{team} has written {count} times");
    }
}

#[tokio::test]
async fn c16_c19_deleting_ourselves_and_not_watching_secrets() {
    let mut rig = Rig::prepare(cluster(), "old-gc", Variant::Namespaced).await;
    // As the comment in deploy/namespaced/unsealer.yaml says.
    rig.namespace
        .grant(&rig.account, &[rule("", &["secrets"], &["delete"])])
        .await;
    rig.flag("--old-gc-behavior");
    rig.flag("--skip-recreate");
    rig.add_replica();
    let mut sealed = rig.sealed("a", &[("foo", "bar")]);
    let marks = ["skip-set-owner-references", "managed"];
    let marks = marks.map(|mark| {
        (
            format!("sealedsecrets.bitnami.com/{mark}"),
            "true".to_owned(),
        )
    });
    sealed.spec.template.metadata.annotations = Some(marks.into());
    rig.create(&sealed).await;
    rig.eventually_synced("a", "True").await;
    let secret = rig.secret("a").await.unwrap();
    assert_eq!(
        secret.metadata.owner_references, None,
        "no garbage collector is responsible"
    );

    rig.create(&rig.sealed("b", &[("foo", "bar")])).await;
    rig.eventually_synced("b", "True").await;
    rig.delete_secret("b").await;
    rig.sealed_secrets()
        .delete("a", &DeleteParams::default())
        .await
        .unwrap();
    eventually("we deleted it", async || {
        rig.secret("a").await.is_none().then_some(())
    })
    .await;
    assert!(rig.secret("b").await.is_none(), "no watch of Secrets");
}

#[tokio::test]
async fn c7_the_deprecated_form_is_refused_when_asked() {
    let rig = Rig::start(cluster(), "no-v1", &["--accept-deprecated-v1-data=false"]).await;
    let mut sealed = rig.sealed("a", &[]);
    sealed.spec.data = Some("AgAA".into());
    rig.create(&sealed).await;
    let sealed = rig.eventually_synced("a", "False").await;
    let message = super::rig::condition(&sealed, "Synced").message;
    assert_eq!(
        message,
        "using deprecated 'data' field, use 'encryptedData' or flip the feature flag"
    );
}

#[tokio::test]
async fn c2_to_c4_c14_c15_keys_as_they_are_asked_for() {
    let flags = [
        "--key-size=3072",
        "--key-ttl=48h",
        "--my-cn=unit.example",
        "--key-prefix=own-prefix-",
        "--privatekey-labels=l=m,n=o",
        "--privatekey-annotations=p=q",
    ];
    let rig = Rig::start(cluster(), "made-keys", &flags).await;
    let names = rig.key_names().await;
    assert!(names[0].starts_with("own-prefix-"), "{names:?}");
    let secret = rig.secret(&names[0]).await.unwrap();
    assert_eq!(secret.type_.as_deref(), Some("kubernetes.io/tls"));
    assert_eq!(json!(secret.metadata.annotations), json!({"p": "q"}));
    assert_eq!(
        json!(secret.metadata.labels),
        json!({"l": "m", "n": "o", "sealedsecrets.bitnami.com/sealed-secrets-key": "active"})
    );
    let certificate = rig.certificate();
    assert_eq!(certificate.bits(), 3072);
    assert_eq!(
        certificate.not_after() - certificate.not_before(),
        48 * 3600
    );
    tokio::time::sleep(A_MOMENT).await;
    assert_eq!(rig.key_names().await, names, "one is enough");
}

#[tokio::test]
async fn c26_to_c28_a_client_that_says_nothing_is_let_go() {
    let rig = Rig::start(cluster(), "silent", &["--read-timeout=1s"]).await;
    for said in [
        "",
        "GET /healthz HTTP/1.1\r\nHost: ",
        "POST /v1/verify HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nno",
    ] {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", rig.port())).unwrap();
        stream.write_all(said.as_bytes()).unwrap();
        let mut answer = String::new();
        // Ends only when the other side closes; the client itself never does.
        stream.read_to_string(&mut answer).unwrap();
        assert!(!answer.contains("200 OK"), "{answer}");
    }
    assert_eq!(rig.http("GET", "/healthz", "", "").status, 200);
}

/// A connection that takes little at a time.
fn narrow(port: u16) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, connect, socket, sockopt};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    sockopt::set_socket_recv_buffer_size(&socket, 4096).unwrap();
    connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).unwrap();
    socket.into()
}

#[tokio::test]
async fn c29_an_answer_that_nobody_takes_is_given_up() {
    let rig = Rig::start(cluster(), "untaken", &["--write-timeout=2s"]).await;
    // One answer fits into the buffers of the system; those to many requests, sent one after the other, do not.
    let request = "GET /v1/cert.pem HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    let mut stream = narrow(rig.port());
    let patience = Duration::from_secs(60);
    stream.set_write_timeout(Some(patience)).unwrap();
    // The server reads nothing while it writes, so that this ends when both are stuck, and goes on only when the server has
    // given the connection up.
    let mut sent = 0;
    let ended = loop {
        match stream.write(request.as_bytes()) {
            Ok(written) => sent += written,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(
            ended.kind(),
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
        ),
        "the connection is still open after {patience:?}: {ended}"
    );
    let (mut answers, mut chunk) = (0, [0; 4096]);
    while let Ok(length @ 1..) = stream.read(&mut chunk) {
        answers += length;
    }
    assert!(answers > 0 && sent > 1_000_000, "{answers} for {sent}");
    // A client that takes its answers gets all of them, however many there are.
    let mut stream = TcpStream::connect(("127.0.0.1", rig.port())).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        for _ in 0..50 {
            writer.write_all(request.as_bytes()).unwrap();
        }
        let last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        writer.write_all(last.as_bytes()).unwrap();
    });
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    writing.join().unwrap();
    assert_eq!(text.matches("END CERTIFICATE").count(), 5000);
    assert!(text.ends_with("ok\n"));
}

#[tokio::test]
async fn c28_c29_zero_is_no_limit() {
    let flags = ["--read-timeout=0", "--write-timeout=0s"];
    let rig = Rig::start(cluster(), "no-limit", &flags).await;
    assert_eq!(rig.http("GET", "/v1/cert.pem", "", "").status, 200);
    let sealed = serde_json::to_string(&rig.sealed("a", &[("foo", "bar")])).unwrap();
    assert_eq!(rig.http("POST", "/v1/verify", "", &sealed).status, 200);
}

#[tokio::test]
async fn c85_a_template_that_contradicts_is_warned_of_in_rotate() {
    let rig = Rig::start(cluster(), "align", &[]).await;
    let warning = "Sealed Secret metadata doesn't match. Please align your Sealed Secret metadata";
    let mut sealed = rig.sealed("a", &[("foo", "bar")]);
    sealed.spec.template.metadata.labels = Some([("own".into(), "1".into())].into());
    let rotate = |sealed: &SealedSecret| {
        let body = serde_json::to_string(sealed).unwrap();
        assert_eq!(rig.http("POST", "/v1/rotate", "", &body).status, 200);
    };
    rotate(&sealed);
    assert!(!rig.logs().contains(warning), "{}", rig.logs());
    let mark = ("sealedsecrets.bitnami.com/cluster-wide", "true");
    sealed.spec.template.metadata.annotations =
        Some([mark].map(|(k, v)| (k.into(), v.into())).into());
    rotate(&sealed);
    let logs = rig.logs();
    let line = logs.lines().find(|line| line.contains(warning)).unwrap();
    assert!(
        line.contains("level=WARN") && line.contains("name=a"),
        "{line}"
    );
}
