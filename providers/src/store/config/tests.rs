use super::super::providers::OTHER_PROVIDERS;
use super::*;
use crate::credential::{NeededObject, StoreKind};

fn parse(text: &str) -> Result<StoreConfig, serde_json::Error> {
    serde_json::from_str(text)
}

#[test]
fn exactly_one_provider_is_named() {
    let error = parse("{}").unwrap_err().to_string();
    assert!(error.contains("names no provider"), "{error}");
    let both = r#"{"fake": {"data": []}, "file": {"path": "x"}}"#;
    let error = parse(both).unwrap_err().to_string();
    assert!(error.contains("both fake and file"), "{error}");
    let error = parse(r#"{"valut": {}}"#).unwrap_err().to_string();
    assert!(error.contains("no provider valut"), "{error}");
}

#[test]
fn providers_of_other_builds_parse_and_are_refused_by_name() {
    for name in OTHER_PROVIDERS {
        let text = format!(r#"{{"{name}": {{"projectID": "p", "auth": {{}}}}}}"#);
        let config = parse(&text).unwrap();
        assert_eq!(config.provider(), *name);
        let error = config.check(&Scope::default()).unwrap_err();
        assert_eq!(error.trouble(), Trouble::Unsupported);
        assert!(error.to_string().contains(name), "{error}");
        let back: serde_json::Value = serde_json::to_value(&config).unwrap();
        assert_eq!(
            back,
            serde_json::from_str::<serde_json::Value>(&text).unwrap()
        );
    }
}

#[test]
fn vault_settings_have_upstreams_fields() {
    let text = r#"{"vault": {
            "server": "https://v:8200", "path": "secret", "version": "v1", "namespace": "team",
            "caProvider": {"type": "ConfigMap", "name": "ca", "key": "ca.crt"},
            "tls": {"certSecretRef": {"name": "c"}, "keySecretRef": {"name": "c"}},
            "readYourWrites": true, "forwardInconsistent": true, "headers": {"X-A": "b"},
            "checkAndSet": {"required": false},
            "auth": {"namespace": "admin",
                "appRole": {"roleId": "r", "secretRef": {"name": "s", "key": "id"}},
                "kubernetes": {"mountPath": "k8s", "role": "r", "serviceAccountRef": {"name": "sa", "audiences": ["v"]}},
                "iam": {"vaultRole": "v", "externalID": "e", "vaultAwsIamServerID": "i",
                    "secretRef": {"accessKeyIDSecretRef": {"name": "a"}, "secretAccessKeySecretRef": {"name": "b"}}},
                "gcp": {"role": "g", "projectID": "p", "workloadIdentity": {"serviceAccountRef": {"name": "w"}, "clusterProjectID": "c"}},
                "jwt": {"role": "j", "kubernetesServiceAccountToken": {"serviceAccountRef": {"name": "t"}}},
                "userPass": {"username": "u", "secretRef": {"name": "p", "key": "p"}}}}}"#;
    let config = parse(text).unwrap();
    let StoreConfig::Vault(vault) = &config else {
        panic!("it is a Vault")
    };
    let auth = vault.auth.as_ref().unwrap();
    assert_eq!(auth.app_role.as_ref().unwrap().path, "approle");
    assert_eq!(auth.iam.as_ref().unwrap().server_id.as_deref(), Some("i"));
    let needs = config.needs();
    assert!(
        needs
            .iter()
            .any(|need| need.field == "auth.appRole.secretRef")
    );
    assert!(needs.iter().all(Need::depends_on_consumer));
    assert!(matches!(
        needs
            .iter()
            .find(|need| need.field == "caProvider")
            .unwrap()
            .object,
        NeededObject::ConfigMap { .. }
    ));
    let again: StoreConfig =
        serde_json::from_value(serde_json::to_value(&config).unwrap()).unwrap();
    assert_eq!(again, config);
}

#[test]
fn entries_of_a_fake_store_have_keys_and_values() {
    let checked = |data: &str| {
        let config = parse(&format!(r#"{{"fake": {{"data": [{data}]}}}}"#)).unwrap();
        config.check(&Scope::default())
    };
    assert!(checked(r#"{"key": "k", "value": "v"}"#).is_ok());
    for (data, what) in [
        (r#"{"key": "", "value": "v"}"#, "a key"),
        (r#"{"key": "k", "value": ""}"#, "a value"),
    ] {
        let error = checked(data).unwrap_err();
        assert!(error.reason().contains(what), "{error}");
    }
}

#[test]
fn sessions_with_tags_of_a_policy_tell_who_asks() {
    let tells = |more: &str| {
        let text =
            format!(r#"{{"aws": {{"service": "SecretsManager", "region": "eu-west-1"{more}}}}}"#);
        parse(&text).unwrap().tells_consumer()
    };
    assert!(tells(r#", "role": "r", "sessionTagsPolicy": "Simple""#));
    assert!(tells(r#", "role": "r", "sessionTagsPolicy": "Custom""#));
    for silent in [
        "",
        r#", "role": "r""#,
        r#", "role": "r", "sessionTagsPolicy": "None""#,
        r#", "role": "", "sessionTagsPolicy": "Simple""#,
        r#", "sessionTagsPolicy": "Simple""#,
    ] {
        assert!(!tells(silent), "{silent}");
    }
    assert!(!parse(r#"{"fake": {"data": []}}"#).unwrap().tells_consumer());
}

#[test]
fn a_store_of_a_namespace_may_not_refer_to_another_one() {
    let config = parse(
        r#"{"vault": {"server": "https://v", "auth": {"tokenSecretRef": {"name": "t", "key": "k", "namespace": "other"}}}}"#,
    )
    .unwrap();
    let mut scope = Scope {
        store_namespace: "own".into(),
        ..Scope::default()
    };
    let error = config.check(&scope).unwrap_err();
    assert!(error.to_string().contains("auth.tokenSecretRef"), "{error}");
    scope.kind = StoreKind::Cluster;
    config.check(&scope).unwrap();
}

#[test]
fn the_schema_names_every_provider() {
    let schema = schemars::generate::SchemaSettings::draft07()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<StoreConfig>();
    let schema = serde_json::to_value(&schema).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    assert_eq!(
        properties.len(),
        OTHER_PROVIDERS.len() + OWN_PROVIDERS.len()
    );
    let vault = &properties["vault"]["properties"];
    assert_eq!(vault["version"]["default"], "v2");
    assert!(
        vault["auth"]
            .to_string()
            .contains("kubernetesServiceAccountToken")
    );
}
