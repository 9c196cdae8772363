use super::*;

fn settings() -> Settings {
    Settings {
        namespace: "kube-system".into(),
        prefix: "sealed-secrets-key".into(),
        order: KeyOrder::CertNotBefore,
        size: 2048,
        valid: Duration::from_secs(3600),
        common_name: String::new(),
        renew_period: Duration::from_secs(3600),
        cutoff: None,
        labels: vec![
            ("a".into(), "b".into()),
            (SEALING_KEY_LABEL.into(), "mine".into()),
        ],
        annotations: vec![],
        log_base64: false,
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn secret(name: &str, created: i64, key: &[u8], certificate: &[u8]) -> KeySecret {
    let encode = sealwright_crypto::sealing::base64::encode;
    serde_json::from_value(json!({
        "metadata": {"name": name, "creationTimestamp": at(created).to_string()},
        "data": {"tls.key": encode(key), "tls.crt": encode(certificate)},
    }))
    .unwrap()
}

#[test]
fn t26_a_restart_does_not_shift_the_schedule() {
    let period = Duration::from_secs(100);
    assert_eq!(due(Some(1000), period, None, at(1050)), Due::At(at(1100)));
    assert_eq!(due(Some(1000), period, None, at(1100)), Due::Now);
    assert_eq!(due(Some(1000), period, None, at(9000)), Due::Now);
    // T25: a certificate from the future stays the newest, and no storm of keys comes of it.
    assert_eq!(due(Some(5000), period, None, at(1000)), Due::At(at(5100)));
}

#[test]
fn c39_c40_c42_first_key_period_zero_and_cutoff() {
    let never = Duration::ZERO;
    assert_eq!(due(None, never, None, at(0)), Due::Now);
    assert_eq!(due(Some(1000), never, None, at(2000)), Due::Never);
    assert_eq!(due(Some(1000), never, Some(at(1500)), at(2000)), Due::Now);
    assert_eq!(due(Some(1500), never, Some(at(1500)), at(2000)), Due::Never);
    let huge = Duration::from_secs(u64::MAX / 4);
    assert_eq!(due(Some(1000), huge, None, at(2000)), Due::Never);
}

#[test]
fn key_secrets_look_like_upstreams() {
    let private = PrivateKey::generate(2048).unwrap();
    let certificate = Certificate::self_signed(&private, "", 1_700_000_000, 60).unwrap();
    let secret = key_secret(&settings(), &private, &certificate).unwrap();
    let labels = secret.metadata.labels.as_ref().unwrap();
    assert_eq!(labels[SEALING_KEY_LABEL], "active");
    assert_eq!(labels["a"], "b");
    assert_eq!(secret.metadata.annotations, None);
    assert_eq!(
        secret.metadata.generate_name.as_deref(),
        Some("sealed-secrets-key")
    );
    assert_eq!(secret.kind.as_deref(), Some("kubernetes.io/tls"));
    let pem = secret.get("tls.key").unwrap().expose();
    assert!(pem.starts_with(b"-----BEGIN RSA PRIVATE KEY-----\n"));
}

#[test]
fn t24_ordering_by_not_before_or_by_creation() {
    let private = PrivateKey::generate(2048).unwrap();
    let certificate = Certificate::self_signed(&private, "", 5000, 60).unwrap();
    let pem = private.to_pkcs1_pem().unwrap();
    let secret = secret("k", 9000, pem.expose(), certificate.to_pem().as_bytes());
    let (key, bad) = read(KeyOrder::CertNotBefore, &secret);
    assert!(bad.is_none());
    assert_eq!(key.unwrap().ordering_time(), 5000);
    let (key, _) = read(KeyOrder::SecretCreationTimestamp, &secret);
    assert_eq!(key.unwrap().ordering_time(), 9000);
}

#[test]
fn a_malformed_key_secret_is_an_error_and_never_a_crash() {
    let private = PrivateKey::generate(2048).unwrap();
    let other = PrivateKey::generate(2048).unwrap();
    let foreign = Certificate::self_signed(&other, "", 5000, 60).unwrap();
    let pem = private.to_pkcs1_pem().unwrap();
    let order = KeyOrder::CertNotBefore;

    let (key, bad) = read(order, &secret("k", 1, b"canary", b""));
    assert!(key.is_none());
    assert!(!bad.unwrap().to_string().contains("canary"));

    let (key, bad) = read(order, &secret("k", 1, pem.expose(), b""));
    assert!(!key.unwrap().can_seal());
    assert!(matches!(bad, Some(BadKey::Certificate(_))));

    let (key, bad) = read(
        order,
        &secret("k", 1, pem.expose(), foreign.to_pem().as_bytes()),
    );
    assert!(!key.unwrap().can_seal());
    assert!(matches!(bad, Some(BadKey::Mismatch)));

    for data in [json!({}), json!({"tls.key": "%%%", "tls.crt": null})] {
        let json = json!({"metadata": {"name": "k"}, "data": data});
        let secret: KeySecret = serde_json::from_value(json).unwrap();
        assert!(read(order, &secret).0.is_none());
        assert_eq!(format!("{secret:?}"), "KeySecret(k)");
    }
}

#[test]
fn t27_a_key_seen_by_both_watches_goes_when_neither_shows_it() {
    let mut seen = Seen::default();
    let one = || secret("sealed-secrets-key", 1, b"", b"");
    let listed = |seen: &mut Seen, source, secrets: Vec<KeySecret>| {
        seen.take(source, watcher::Event::Init);
        for secret in secrets {
            seen.take(source, watcher::Event::InitApply(secret));
        }
        seen.take(source, watcher::Event::InitDone)
    };
    let changed = listed(
        &mut seen,
        Source::Active,
        vec![secret("b", 2, b"", b""), one()],
    );
    let order: Vec<_> = changed.here.iter().map(KeySecret::name).collect();
    assert_eq!(order, ["sealed-secrets-key", "b"]);
    assert!(!seen.is_complete());
    listed(&mut seen, Source::Legacy, vec![one()]);
    assert!(seen.is_complete());
    let gone = |changed: Changed| changed.gone;
    assert!(gone(seen.take(Source::Active, watcher::Event::Delete(one()))).is_empty());
    assert_eq!(gone(listed(&mut seen, Source::Active, vec![])), ["b"]);
    assert_eq!(
        gone(seen.take(Source::Legacy, watcher::Event::Delete(one()))),
        ["sealed-secrets-key"]
    );
}
