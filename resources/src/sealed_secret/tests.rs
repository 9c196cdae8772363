//! Sealing and unsealing of objects, without a cluster.

mod definition;
mod reseal;

use std::sync::LazyLock;

use sealwright_crypto::sealing::{Certificate, PrivateKey, base64};
use sealwright_crypto::secret::SecretBytes;
use serde_json::{Value, json};

use super::*;
use crate::keyring::{Keyring, SealingKey};
use crate::plain_secret::PlainSecret;
use crate::scope::{CLUSTER_WIDE_ANNOTATION, NAMESPACE_WIDE_ANNOTATION, Scope};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crypto/src/sealing/vectors");

/// Two key pairs, the second one newer, and the certificates once more for sealing.
struct Keys {
    ring: Keyring,
    old: Certificate,
    new: Certificate,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let mut ring = Keyring::default();
    let mut add = |name: &str, time: i64| {
        let key = PrivateKey::generate(2048).unwrap();
        let certificate = Certificate::self_signed(&key, "", time, 3600).unwrap();
        let again = Certificate::from_der(certificate.der()).unwrap();
        ring.insert(SealingKey::new(name, key, certificate, time));
        again
    };
    let (old, new) = (add("old", 1_000_000), add("new", 2_000_000));
    Keys { ring, old, new }
});

fn vector_ring() -> Keyring {
    let key = std::fs::read(format!("{VECTORS}/key.pem")).unwrap();
    let key = PrivateKey::from_pem(&key).unwrap();
    let mut ring = Keyring::default();
    ring.insert(SealingKey::without_certificate("vector", key));
    ring
}

fn vector(name: &str) -> String {
    std::fs::read_to_string(format!("{VECTORS}/{name}.b64")).unwrap()
}

fn secret(values: &[(&str, &[u8])]) -> PlainSecret {
    let mut secret = PlainSecret::named("ns", "name");
    for (key, value) in values {
        secret.insert(key, SecretBytes::copy_of(value));
    }
    secret
}

fn object(value: Value) -> SealedSecret {
    serde_json::from_value(value).unwrap()
}

fn opened(sealed: &SealedSecret) -> PlainSecret {
    unseal(sealed, &KEYS.ring, &UnsealOptions::default())
        .map_err(|error| error.to_string())
        .unwrap()
        .secret
}

fn failure(sealed: &SealedSecret) -> String {
    unseal(sealed, &KEYS.ring, &UnsealOptions::default())
        .err()
        .expect("must not open")
        .to_string()
}

fn values(secret: &PlainSecret) -> Vec<(&str, &[u8])> {
    secret.iter().map(|(k, v)| (k, v.expose())).collect()
}

#[test]
fn what_was_sealed_opens_in_every_scope() {
    for scope in [Scope::Strict, Scope::NamespaceWide, Scope::ClusterWide] {
        let plain = secret(&[("empty", b""), ("bytes", b"\x00\xff"), ("text", b"t")]);
        let sealed = seal(&plain, &KEYS.new, scope).unwrap();
        assert_eq!(Scope::of(&sealed.metadata), scope);
        assert_eq!(Scope::of(&sealed.spec.template.metadata), scope);
        assert_eq!(values(&opened(&sealed)), values(&plain));

        let mut renamed = sealed.clone();
        renamed.metadata.name = Some("other".into());
        let may_rename = scope != Scope::Strict;
        assert_eq!(
            verify(&renamed, &KEYS.ring, &UnsealOptions::default()).is_ok(),
            may_rename
        );
        let mut moved = sealed;
        moved.metadata.namespace = Some("other".into());
        let may_move = scope == Scope::ClusterWide;
        assert_eq!(
            verify(&moved, &KEYS.ring, &UnsealOptions::default()).is_ok(),
            may_move
        );
    }
}

#[test]
fn a3_to_a6_objects_of_upstream_open() {
    let ring = vector_ring();
    for (file, annotation) in [
        ("strict", None),
        ("namespace-wide", Some(NAMESPACE_WIDE_ANNOTATION)),
        ("cluster-wide", Some(CLUSTER_WIDE_ANNOTATION)),
        ("empty", Some(CLUSTER_WIDE_ANNOTATION)),
    ] {
        let mut sealed = object(json!({
            "metadata": {"name": "vec-name", "namespace": "vec-ns"},
            "spec": {"encryptedData": {"k": vector(file)}},
        }));
        if let Some(annotation) = annotation {
            sealed.metadata.annotations = Some([(annotation.into(), "true".into())].into());
        }
        let options = UnsealOptions::default();
        let value = unseal(&sealed, &ring, &options)
            .map_err(|e| e.to_string())
            .unwrap();
        let expected: &[u8] = if file == "empty" {
            b""
        } else {
            b"s3cr3t-value"
        };
        assert_eq!(values(&value.secret), [("k", expected)]);
    }
}

#[test]
fn a7_the_deprecated_format_opens_when_it_is_accepted() {
    let sealed = object(json!({
        "metadata": {"name": "vec-name", "namespace": "vec-ns", "uid": "u"},
        "spec": {"data": vector("deprecated-data"), "encryptedData": {}},
    }));
    let ring = vector_ring();
    let value = unseal(&sealed, &ring, &UnsealOptions::default())
        .map_err(|e| e.to_string())
        .unwrap();
    assert_eq!(values(&value.secret), [("foo", &b"bar"[..])]);
    assert_eq!(value.secret.kind.as_deref(), Some("Opaque"));
    assert_eq!(
        value.secret.metadata.owner_references.as_ref().unwrap()[0].uid,
        "u"
    );

    let strict = UnsealOptions {
        accept_deprecated_data: false,
        ..UnsealOptions::default()
    };
    assert_eq!(
        unseal(&sealed, &ring, &strict).err().unwrap().to_string(),
        "using deprecated 'data' field, use 'encryptedData' or flip the feature flag"
    );
    let mut both = sealed.clone();
    both.spec.encrypted_data.insert("a".into(), String::new());
    assert_eq!(
        unseal(&both, &ring, &UnsealOptions::default())
            .err()
            .unwrap()
            .to_string(),
        "cannot use the field 'encryptedData' and the deprecated field 'data' at the same time"
    );
    assert!(matches!(
        unseal(&both, &ring, &strict),
        Err(UnsealError::DeprecatedRefused)
    ));

    let renewed = reseal(
        &sealed,
        &ring,
        &KEYS.new,
        Refresh::All,
        &UnsealOptions::default(),
    )
    .unwrap();
    assert_eq!(renewed.sealed.spec.data, None);
    assert_eq!(values(&opened(&renewed.sealed)), [("foo", &b"bar"[..])]);
}

#[test]
fn t12_the_empty_deprecated_string_selects_that_format() {
    let sealed = object(json!({
        "metadata": {"name": "n", "namespace": "ns"},
        "spec": {"data": "", "encryptedData": {}},
    }));
    assert_eq!(failure(&sealed), "no key could decrypt secret");
    let null = object(json!({
        "metadata": {"name": "n", "namespace": "ns"},
        "spec": {"data": null, "encryptedData": {}},
    }));
    assert!(opened(&null).is_empty());
}

#[test]
fn t1_the_scope_comes_from_the_outer_metadata() {
    let mut sealed = seal(&secret(&[("k", b"v")]), &KEYS.new, Scope::Strict).unwrap();
    Scope::ClusterWide.annotate(&mut sealed.spec.template.metadata);
    assert_eq!(values(&opened(&sealed)), [("k", &b"v"[..])]);

    let mut wide = seal(&secret(&[("k", b"v")]), &KEYS.new, Scope::ClusterWide).unwrap();
    wide.metadata.annotations = None;
    assert_eq!(failure(&wide), "no key could decrypt secret (k)");
}

#[test]
fn t42_cluster_wide_needs_no_namespace_and_gets_none() {
    let mut plain = secret(&[("k", b"v")]);
    plain.metadata.namespace = None;
    assert_eq!(
        seal(&plain, &KEYS.new, Scope::NamespaceWide)
            .unwrap_err()
            .to_string(),
        "secret must declare a namespace"
    );
    let sealed = seal(&plain, &KEYS.new, Scope::ClusterWide).unwrap();
    assert_eq!(sealed.metadata.namespace, None);
    assert_eq!(values(&opened(&sealed)), [("k", &b"v"[..])]);
}

#[test]
fn t18_the_template_keeps_metadata_but_no_copy_of_the_cleartext() {
    let mut plain = secret(&[("k", b"v")]);
    plain.metadata = serde_json::from_value(json!({
        "name": "name", "namespace": "ns", "generateName": "gen-", "finalizers": ["f/x"],
        "labels": {"l": "1"},
        "annotations": {
            "a": "b",
            "kubectl.kubernetes.io/last-applied-configuration": "canary",
            "kubecfg.ksonnet.io/last-applied-configuration": "canary",
        },
        "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "n", "uid": "u"}],
        "managedFields": [{"manager": "m", "operation": "Update"}],
    }))
    .unwrap();
    plain.kind = Some("kubernetes.io/tls".into());
    plain.immutable = Some(true);
    let sealed = seal(&plain, &KEYS.new, Scope::Strict).unwrap();
    let shown = serde_json::to_value(&sealed).unwrap();
    assert!(!shown.to_string().contains("canary"));
    assert_eq!(
        shown["metadata"],
        json!({"name": "name", "namespace": "ns"})
    );
    assert_eq!(
        shown["spec"]["template"],
        json!({
            "metadata": {
                "name": "name", "namespace": "ns", "generateName": "gen-", "finalizers": ["f/x"],
                "labels": {"l": "1"}, "annotations": {"a": "b"},
                "managedFields": [{"manager": "m", "operation": "Update"}],
            },
            "type": "kubernetes.io/tls",
            "immutable": true,
        })
    );
}

#[test]
fn t3_both_marks_of_a_strictly_called_input_stay() {
    let mut plain = secret(&[("k", b"v")]);
    plain.metadata.annotations = Some(
        [CLUSTER_WIDE_ANNOTATION, NAMESPACE_WIDE_ANNOTATION]
            .map(|key| (key.to_owned(), "true".to_owned()))
            .into(),
    );
    let sealed = seal(&plain, &KEYS.new, Scope::of(&plain.metadata)).unwrap();
    assert_eq!(sealed.metadata.annotations.as_ref().unwrap().len(), 1);
    assert_eq!(
        sealed
            .spec
            .template
            .metadata
            .annotations
            .as_ref()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn the_secret_is_named_and_owned_by_its_sealed_secret() {
    let mut sealed = seal(&secret(&[("k", b"v")]), &KEYS.new, Scope::ClusterWide).unwrap();
    sealed.metadata.uid = Some("uid-1".into());
    sealed.metadata.name = Some("outer".into());
    sealed.spec.template.metadata = serde_json::from_value(json!({
        "name": "inner", "namespace": "inner", "labels": {"a": "b"}, "finalizers": ["f/x"],
        "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "n", "uid": "u"}],
    }))
    .unwrap();
    let secret = opened(&sealed);
    assert_eq!(
        serde_json::to_value(&secret.metadata).unwrap(),
        json!({
            "name": "outer", "namespace": "ns", "labels": {"a": "b"}, "finalizers": ["f/x"],
            "ownerReferences": [{
                "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "name": "outer",
                "uid": "uid-1", "controller": true,
            }],
        })
    );

    let skip = |value: &str| {
        let mut sealed = sealed.clone();
        sealed.spec.template.metadata.annotations =
            Some([(SKIP_OWNER_ANNOTATION.into(), value.into())].into());
        opened(&sealed).metadata.owner_references.unwrap()[0]
            .uid
            .clone()
    };
    assert_eq!(skip("true"), "u", "the template's own owner stays");
    assert_eq!(skip("True"), "uid-1");
}

#[test]
fn errors_name_items_and_never_values() {
    let mut sealed = seal(
        &secret(&[("good", b"canary"), ("b", b"canary"), ("a", b"canary")]),
        &KEYS.new,
        Scope::Strict,
    )
    .unwrap();
    let other = KEYS.new.seal(b"canary", b"elsewhere").unwrap();
    let other = base64::encode(&other);
    sealed.spec.encrypted_data.insert("a".into(), other.clone());
    sealed.spec.encrypted_data.insert("b".into(), other);
    sealed.spec.encrypted_data.insert("c".into(), "!".into());
    assert_eq!(
        failure(&sealed),
        "no key could decrypt secret (a, b)\nillegal base64 data at input byte 0 (c)"
    );
}

#[test]
fn t10_line_breaks_in_ciphertexts_are_skipped() {
    let mut sealed = seal(&secret(&[("k", b"v")]), &KEYS.new, Scope::Strict).unwrap();
    let text = sealed.spec.encrypted_data.get_mut("k").unwrap();
    text.insert(40, '\n');
    text.push('\n');
    assert_eq!(values(&opened(&sealed)), [("k", &b"v"[..])]);
}

#[test]
fn encrypted_data_is_decoded_leniently() {
    let odd = object(json!({
        "metadata": {"name": "n", "namespace": "ns"},
        "spec": {"encryptedData": {"a": 1, "b": null, "c": {"x": "y"}}, "template": null},
    }));
    assert_eq!(failure(&odd), "no key could decrypt secret (a, b, c)");
    let list = object(json!({
        "metadata": {"name": "n", "namespace": "ns"}, "spec": {"encryptedData": ["x"]},
    }));
    assert!(opened(&list).is_empty());
}

#[test]
fn t50_sealed_values_win_and_their_broken_templates_still_fail() {
    let mut sealed = seal(&secret(&[("k", b"sealed")]), &KEYS.new, Scope::Strict).unwrap();
    let template = &mut sealed.spec.template.data;
    template.insert("k".into(), Some("rendered".into()));
    template.insert("shown".into(), Some("{{ .k }}".into()));
    assert_eq!(
        values(&opened(&sealed)),
        [("k", &b"sealed"[..]), ("shown", b"sealed")]
    );
    sealed
        .spec
        .template
        .data
        .insert("k".into(), Some("{{".into()));
    assert!(failure(&sealed).ends_with(" (k)"));
}

#[test]
fn t49_raw_sources_are_visible_to_their_siblings() {
    let mut sealed = seal(&secret(&[("pw", b"p")]), &KEYS.new, Scope::Strict).unwrap();
    sealed.spec.template.data = BTreeMap::from([
        ("user".into(), Some("admin".into())),
        (
            "url".into(),
            Some("{{ .user }}:{{ .pw }}@{{ .raw }}".into()),
        ),
        ("raw".into(), Some("{{ .raw }}".into())),
        ("gone".into(), None),
        ("all".into(), Some("{{ len . }}".into())),
    ]);
    assert_eq!(
        values(&opened(&sealed)),
        [
            ("all", &b"5"[..]),
            ("pw", b"p"),
            ("raw", b"{{ .raw }}"),
            ("url", b"admin:p@{{ .raw }}"),
            ("user", b"admin"),
        ]
    );
}

#[test]
fn t48_null_leaves_an_item_out_but_it_must_still_open() {
    let mut sealed = seal(&secret(&[("k", b"v")]), &KEYS.new, Scope::Strict).unwrap();
    let json = json!({"k": null, "other": null, "t": "{{ .k }}"});
    sealed.spec.template.data = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(values(&opened(&sealed)), [("t", &b"v"[..])]);
    assert_eq!(
        serde_json::to_value(&sealed).unwrap()["spec"]["template"]["data"],
        json
    );

    sealed.spec.encrypted_data.insert("k".into(), "AAAA".into());
    assert_eq!(failure(&sealed), "no key could decrypt secret (k)");
}

#[test]
fn t23_verify_never_looks_at_templates() {
    let mut sealed = seal(&secret(&[("k", b"v")]), &KEYS.new, Scope::Strict).unwrap();
    sealed
        .spec
        .template
        .data
        .insert("t".into(), Some("{{ fail .k }}".into()));
    sealed
        .spec
        .template
        .data
        .insert("u".into(), Some("{{".into()));
    verify(&sealed, &KEYS.ring, &UnsealOptions::default()).unwrap();
    unseal(&sealed, &KEYS.ring, &UnsealOptions::default())
        .err()
        .unwrap();
    reseal(
        &sealed,
        &KEYS.ring,
        &KEYS.new,
        Refresh::All,
        &UnsealOptions::default(),
    )
    .unwrap();
}

#[test]
fn many_secrets_are_sealed_in_their_order() {
    let secrets: Vec<_> = (0..7)
        .map(|n| {
            let mut secret = secret(&[("k", format!("{n}").as_bytes())]);
            secret.metadata.name = Some(format!("s{n}"));
            secret
        })
        .collect();
    for count in [0, 1, 2, 7] {
        let sealed = seal_each(&secrets[..count], &KEYS.new, |_| Scope::Strict);
        assert_eq!(sealed.len(), count);
        for (n, sealed) in sealed.into_iter().enumerate() {
            let sealed = sealed.unwrap();
            assert_eq!(values(&opened(&sealed)), [("k", format!("{n}").as_bytes())]);
        }
    }
}

#[test]
fn the_key_that_opened_is_reported() {
    let sealed = seal(&secret(&[("k", b"v")]), &KEYS.old, Scope::Strict).unwrap();
    let first = unseal(&sealed, &KEYS.ring, &UnsealOptions::default());
    let opened_by = first.map_err(|e| e.to_string()).unwrap().opened_by.unwrap();
    assert_eq!(&opened_by, KEYS.old.fingerprint());
    let options = UnsealOptions {
        remembered: Some(&opened_by),
        ..UnsealOptions::default()
    };
    assert!(unseal(&sealed, &KEYS.ring, &options).is_ok());
}

#[test]
fn opening_ends_where_it_needs_more_operations_than_permitted() {
    let keys: Vec<String> = (0..7).map(|number| format!("k{number}")).collect();
    let values: Vec<(&str, &[u8])> = keys.iter().map(|key| (key.as_str(), &b"v"[..])).collect();
    let attempt = |sealed: &SealedSecret, operations| {
        let options = UnsealOptions {
            operations: Some(operations),
            ..UnsealOptions::default()
        };
        unseal(sealed, &KEYS.ring, &options).map(drop)
    };
    // The first value finds the key, and the others need one operation each.
    let mut sealed = seal(&secret(&values), &KEYS.old, Scope::Strict).unwrap();
    assert!(attempt(&sealed, 8).is_ok());
    let error = attempt(&sealed, 4).unwrap_err();
    assert!(error.exceeds_budget(), "{error}");
    // What opens with no key costs one with each.
    sealed.metadata.name = Some("other".to_owned());
    let error = attempt(&sealed, 8).unwrap_err();
    assert!(error.exceeds_budget(), "{error}");
    let error = attempt(&sealed, 14).unwrap_err();
    assert!(!error.exceeds_budget(), "{error}");
}

#[test]
fn opening_ends_after_as_many_failures_as_permitted() {
    let keys: Vec<String> = (0..7).map(|number| format!("k{number}")).collect();
    let values: Vec<(&str, &[u8])> = keys.iter().map(|key| (key.as_str(), &b"v"[..])).collect();
    let mut sealed = seal(&secret(&values), &KEYS.old, Scope::Strict).unwrap();
    let options = UnsealOptions {
        failures: Some(2),
        ..UnsealOptions::default()
    };
    assert!(unseal(&sealed, &KEYS.ring, &options).is_ok());
    sealed.metadata.name = Some("other".to_owned());
    let error = unseal(&sealed, &KEYS.ring, &options).map(drop).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("k1") && !error.contains("k2"), "{error}");
}

#[test]
fn several_threads_open_the_same_and_fail_the_same() {
    let keys: Vec<String> = (0..7).map(|number| format!("k{number}")).collect();
    let values: Vec<(&str, &[u8])> = keys
        .iter()
        .map(|key| (key.as_str(), key.as_bytes()))
        .collect();
    let mut sealed = seal(&secret(&values), &KEYS.old, Scope::Strict).unwrap();
    let told = |sealed: &SealedSecret| {
        [1, 2, 3, 7, 50].map(|threads| {
            match unseal_on(threads, sealed, &KEYS.ring, &UnsealOptions::default()) {
                Ok(opened) => String::from_utf8(opened.secret.to_json().expose().to_vec()).unwrap(),
                Err(error) => error.to_string(),
            }
        })
    };
    let opened = told(&sealed);
    assert!(
        opened
            .iter()
            .all(|text| *text == opened[0] && text.contains("k6"))
    );
    for key in ["k2", "k5"] {
        sealed
            .spec
            .encrypted_data
            .insert(key.to_owned(), "AAAA".to_owned());
    }
    assert_eq!(
        told(&sealed),
        [(); 5].map(|()| "no key could decrypt secret (k2, k5)".to_owned())
    );
}
