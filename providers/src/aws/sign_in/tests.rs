use super::role::session_tags;
use super::*;
use crate::credential::StoreKind;

fn settings(text: &str) -> AwsSettings {
    serde_json::from_str(text).unwrap()
}

fn scope() -> Scope {
    Scope {
        kind: StoreKind::Cluster,
        name: "aws".into(),
        store_namespace: String::new(),
        consumer_namespace: Some("team".into()),
    }
}

#[test]
fn session_tags_say_who_asks_when_the_policy_wants_it() {
    let base = r#"{"service": "SecretsManager", "region": "eu-west-1", "role": "r",
        "sessionTags": [{"key": "a", "value": "b"}], "customSessionTags": {"c": "d", "e": ""}"#;
    let tags = |more: &str| session_tags(&settings(&format!("{base}{more}}}")), &scope());
    assert_eq!(tags(""), [("a".into(), "b".into())]);
    let simple = tags(r#", "sessionTagsPolicy": "Simple""#);
    assert_eq!(
        simple,
        [
            ("esoNamespace".to_owned(), "team".to_owned()),
            ("esoStoreName".to_owned(), "aws".to_owned()),
            ("esoStoreKind".to_owned(), "ClusterSecretStore".to_owned()),
        ]
    );
    let custom = tags(r#", "sessionTagsPolicy": "Custom""#);
    assert_eq!(custom[..3], simple[..]);
    assert_eq!(custom[3..], [("c".to_owned(), "d".to_owned())]);
}

#[tokio::test]
async fn a_key_that_no_request_can_carry_is_an_error_before_a_role_is_assumed() {
    let settings = settings(
        r#"{"service": "SecretsManager", "region": "eu-west-1", "role": "r", "auth": {"secretRef": {
            "accessKeyIDSecretRef": {"name": "aws", "key": "id"},
            "secretAccessKeySecretRef": {"name": "aws", "key": "key"},
            "sessionTokenSecretRef": {"name": "aws", "key": "token"}}}}"#,
    );
    let long = "x".repeat(LARGEST + 1);
    for (id, token, trouble, part, hint) in [
        (
            "AKIACANARY\n",
            "t",
            Trouble::Unauthenticated,
            "access key id",
            true,
        ),
        (
            "AKIA\0CANARY",
            "t",
            Trouble::Unauthenticated,
            "access key id",
            false,
        ),
        (
            "A",
            "canary\u{e9}",
            Trouble::Unauthenticated,
            "session token",
            false,
        ),
        (
            "A",
            "canary\r\nx: y\n",
            Trouble::Unauthenticated,
            "session token",
            true,
        ),
        ("A", &*long, Trouble::Malformed, "session token", false),
    ] {
        let held = crate::credential::held::Held::default();
        held.put("aws", "id", id.as_bytes());
        held.put("aws", "key", b"canary");
        held.put("aws", "token", token.as_bytes());
        let connection = Connection {
            credentials: Arc::new(held),
            ..Connection::default()
        };
        let sign_in = SignIn::of_store(&settings, &connection).unwrap();
        let error = sign_in.credentials().await.unwrap_err();
        assert_eq!(error.trouble(), trouble, "{error}");
        assert!(error.to_string().contains(part), "{error}");
        assert!(
            !format!("{error:?}").to_ascii_lowercase().contains("canary"),
            "{error}"
        );
        assert_eq!(error.hint().is_some(), hint, "{error}");
    }
}

#[test]
fn a_region_is_a_name() {
    for region in ["eu-west-1\n", "eu west", "eu/west", "\u{e9}"] {
        let error = SignIn::of_surroundings(region, None, None).unwrap_err();
        assert_eq!(error.trouble(), Trouble::Invalid, "{region}");
    }
}

#[test]
fn only_the_last_role_has_an_external_id_and_tags() {
    let settings = settings(
        r#"{"service": "ParameterStore", "region": "eu-west-1", "role": "last", "externalID": "x",
            "additionalRoles": ["one", "two"], "sessionTags": [{"key": "a", "value": "b"}],
            "transitiveTagKeys": ["a"]}"#,
    );
    let sign_in = SignIn::of_store(&settings, &Connection::default()).unwrap();
    let roles: Vec<_> = sign_in
        .0
        .roles
        .iter()
        .map(|role| role.arn.as_str())
        .collect();
    assert_eq!(roles, ["one", "two", "last"]);
    assert_eq!(
        sign_in.0.roles[0],
        Role {
            arn: "one".into(),
            ..Role::default()
        }
    );
    assert_eq!(sign_in.0.roles[2].external_id.as_deref(), Some("x"));
    assert_eq!(sign_in.0.roles[2].transitive_tag_keys, ["a"]);
}
