//! What must not get out, and what tenants must not get at.

use kube::api::{Api, ListParams};
use sealwright_resources::scope::Scope;
use sealwright_tests::harness::cluster;
use sealwright_tests::harness::cluster::eventually;
use serde_json::json;

use super::rig::{Rig, condition};

const CANARY: &str = "canary-7b1f-value";

/// The canary and what it looks like in base64, at each of the three offsets.
fn shapes() -> Vec<String> {
    let encode = |text: &str| sealwright_crypto::sealing::base64::encode(text.as_bytes());
    let inner = |text: String, from: usize, cut: usize| text[from..text.len() - cut].to_owned();
    vec![
        CANARY.to_owned(),
        CANARY.to_uppercase(),
        inner(encode(CANARY), 0, 4),
        inner(encode(&format!("x{CANARY}")), 4, 4),
        inner(encode(&format!("xx{CANARY}")), 4, 4),
    ]
}

fn assert_clean(what: &str, text: &str) {
    for shape in shapes() {
        let at = text.find(&shape);
        assert!(
            at.is_none(),
            "{what} gives it away: {}",
            &text[at.unwrap().saturating_sub(100)..]
        );
    }
    assert!(!text.contains("PRIVATE KEY"), "{what} gives a key away");
}

#[tokio::test]
async fn a_canary_gets_out_nowhere() {
    let mut rig = Rig::start(cluster(), "canary", &["--log-level=DEBUG-8"]).await;
    let mut bodies = String::new();
    let values = [("foo", CANARY), ("bar", "x")];
    rig.create(&rig.sealed("good", &values)).await;
    rig.eventually_data("good", &values).await;
    // Templates that try to get the value into an error.
    let attempts = [
        "{{ fail .foo }}",
        "{{ .foo | atoi | div 0 }}",
        "{{ .foo.bar }}",
        "{{ index .foo 99 }}",
        "{{ mustToDate \"2006\" .foo }}",
        "{{ mustFromJson .foo }}",
        "{{ mustRegexMatch .foo \"[\" }}",
        "{{ semverCompare .foo \"1\" }}",
        "{{ template .foo }}",
        "{{ b64dec .foo | fail }}",
        "{{ call .foo }}",
        "{{ .foo | upper | fail }}",
        "{{ .foo | b64enc | fail }}",
        "{{ slice .foo 1 900 }}",
        "{{ genPrivateKey .foo }}",
        "{{ derivePassword 1 .foo .foo .foo .foo }}",
        "{{ dig \"a\" .foo . .foo }}",
        "{{ buildCustomCert .foo .foo }}",
        "{{ decryptAES .foo .foo }}",
        "{{ mustSlice .foo 9 1 }}",
        "{{ get .foo .foo }}",
        "{{ printf \"%d\" .foo | fail }}",
        "{{ urlParse (printf \"%%zz:%s\" .foo) }}",
        "{{ mustDateModify .foo now }}",
        "{{ duration .foo | fail }}",
        "{{ splitn .foo .foo .foo }}",
        "{{ mustRegexReplaceAll (printf \"(%s\" .foo) \"a\" \"b\" }}",
    ];
    for (number, attempt) in attempts.iter().enumerate() {
        let mut sealed = rig.sealed(&format!("t{number}"), &values);
        sealed.spec.template.data = [("out".to_owned(), Some((*attempt).to_owned()))].into();
        rig.create(&sealed).await;
    }
    for number in 0..attempts.len() {
        eventually("it is dealt with", async || {
            let sealed = rig
                .sealed_secrets()
                .get(&format!("t{number}"))
                .await
                .unwrap();
            sealed.status.map(drop)
        })
        .await;
    }
    // A target that refuses the write, one that is somebody else's, drift, a damaged value.
    let mut fixed = rig.sealed("fixed", &values);
    fixed.spec.template.immutable = Some(true);
    rig.create(&fixed).await;
    rig.eventually_synced("fixed", "True").await;
    let other = rig.sealed("fixed", &[("foo", "else")]);
    rig.update("fixed", |sealed| {
        sealed.spec.encrypted_data = other.spec.encrypted_data.clone()
    })
    .await;
    rig.eventually_synced("fixed", "False").await;
    rig.create_secret(json!({"metadata": {"name": "foreign"}, "stringData": {"foo": CANARY}}))
        .await;
    rig.create(&rig.sealed("foreign", &values)).await;
    rig.eventually_synced("foreign", "False").await;
    let mut badtype = rig.sealed("badtype", &values);
    badtype.spec.template.kind = Some("kubernetes.io/tls".into());
    rig.create(&badtype).await;
    rig.eventually_synced("badtype", "False").await;
    let mut badkey = rig.sealed("badkey", &[("foo", CANARY)]);
    badkey.spec.template.data = [("in valid/key".to_owned(), Some("{{ .foo }}".to_owned()))].into();
    rig.create(&badkey).await;
    rig.eventually_synced("badkey", "False").await;
    rig.patch_secret("good", json!({"stringData": {"foo": "edited"}}))
        .await;
    rig.eventually_data("good", &values).await;
    for (number, body) in [
        serde_json::to_string(&rig.sealed("x", &values)).unwrap(),
        serde_json::to_string(&{
            let mut sealed = rig.sealed("x", &values);
            sealed.spec.template.data =
                [("o".to_owned(), Some("{{ fail .foo }}".to_owned()))].into();
            sealed
        })
        .unwrap(),
        format!("{{\"kind\": \"{CANARY}"),
    ]
    .iter()
    .enumerate()
    {
        for path in ["/v1/verify", "/v1/rotate"] {
            let reply = rig.http(
                "POST",
                path,
                &format!("X-Forwarded-For: 10.0.0.{number}\r\n"),
                body,
            );
            bodies += &format!("{}{}", reply.head, reply.body);
        }
    }
    bodies += &rig.http("GET", "/v1/cert.pem", "", "").body;
    let metrics = rig.metrics_of(0);
    rig.kill_and_restart(0);

    assert_clean("the log", &rig.logs());
    assert_clean("an answer", &bodies);
    assert_clean("a metric", &metrics);
    let events: Api<k8s_openapi::api::core::v1::Event> = rig.namespace.api();
    let events = events.list(&ListParams::default()).await.unwrap();
    assert_clean("an event", &serde_json::to_string(&events.items).unwrap());
    let sealed = rig
        .sealed_secrets()
        .list(&ListParams::default())
        .await
        .unwrap();
    assert_clean(
        "a SealedSecret",
        &serde_json::to_string(&sealed.items).unwrap(),
    );
    for secret in rig
        .secrets()
        .list(&ListParams::default())
        .await
        .unwrap()
        .items
    {
        assert_clean(
            "metadata",
            &serde_json::to_string(&secret.metadata).unwrap(),
        );
    }
}

#[tokio::test]
async fn tenants_do_not_get_at_each_others_values() {
    let rig = Rig::start(cluster(), "tenants", &[]).await;
    let victim = rig.sealed_in(Scope::NamespaceWide, "victim", &[("foo", "bar")]);
    // T23, rotate: scope and place are those of the outer metadata; a claim in the template that
    // the value may go anywhere does not come back in what is resealed.
    for wide in [
        "sealedsecrets.bitnami.com/cluster-wide",
        "sealedsecrets.bitnami.com/namespace-wide",
    ] {
        for outer in [true, false] {
            let mut sealed = rig.sealed("strict", &[("foo", "bar")]);
            let marks = Some([(wide.to_owned(), "true".to_owned())].into());
            match outer {
                true => sealed.metadata.annotations = marks,
                false => sealed.spec.template.metadata.annotations = marks,
            }
            let body = serde_json::to_string(&sealed).unwrap();
            let reply = rig.http(
                "POST",
                "/v1/rotate",
                &format!(
                    "X-Forwarded-For: 10.1.{}.{}\r\n",
                    wide.len(),
                    u8::from(outer)
                ),
                &body,
            );
            match outer {
                true => assert_eq!(reply.status, 500, "another scope is another label"),
                false => {
                    assert_eq!(reply.status, 200);
                    assert!(!reply.body.contains(wide), "{}", reply.body);
                }
            }
        }
    }
    let mut moved = victim.clone();
    moved.metadata.namespace = Some("elsewhere".into());
    let body = serde_json::to_string(&moved).unwrap();
    assert_eq!(
        rig.http("POST", "/v1/rotate", "X-Forwarded-For: 10.2.0.1\r\n", &body)
            .status,
        500
    );
    assert_eq!(
        rig.http("POST", "/v1/verify", "X-Forwarded-For: 10.2.0.1\r\n", &body)
            .status,
        409
    );

    // A guess at a Secret that one may not read is answered the same way, right or wrong.
    rig.create_secret(json!({"metadata": {"name": "theirs"}, "stringData": {"foo": "bar"}}))
        .await;
    let mut told = Vec::new();
    for guess in ["bar", "baz"] {
        let mut sealed = rig.sealed("theirs", &[("foo", guess)]);
        let skip = "sealedsecrets.bitnami.com/skip-set-owner-references";
        sealed.spec.template.metadata.annotations = Some([(skip.into(), "true".into())].into());
        let made = rig.create(&sealed).await;
        let sealed = rig.eventually_synced("theirs", "False").await;
        told.push(condition(&sealed, "Synced").message);
        rig.sealed_secrets()
            .delete("theirs", &Default::default())
            .await
            .unwrap();
        eventually("it is gone", async || {
            let left = rig.sealed_secrets().get_opt("theirs").await.unwrap();
            left.is_none_or(|left| left.metadata.uid != made.metadata.uid)
                .then_some(())
        })
        .await;
    }
    assert_eq!(told[0], told[1]);
}
