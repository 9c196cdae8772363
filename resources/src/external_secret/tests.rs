use serde_json::{Value, json};

use super::*;

fn walk(schema: &Value, path: &str, visit: &mut dyn FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(property, &format!("{path}.{name}"), visit);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            walk(&schema[inner], path, visit);
        }
    }
}

#[test]
fn t44_the_schema_writes_upstreams_defaults_and_no_others() {
    let crd = custom_resource_definition(false);
    let mut defaults = Vec::new();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    walk(schema, "", &mut |path, schema| {
        if let Some(default) = schema.get("default") {
            defaults.push(format!("{path}={default}"));
        }
        assert!(
            schema["type"].is_string()
                || schema["x-kubernetes-int-or-string"] == json!(true)
                || schema["x-kubernetes-preserve-unknown-fields"] == json!(true),
            "{path} is not structural: {schema}"
        );
    });
    defaults.sort();
    let generator = "sourceRef.generatorRef.apiVersion=\"generators.external-secrets.io/v1alpha1\"";
    let template = ".spec.target.template";
    assert_eq!(
        defaults,
        [
            format!(".spec.data.{generator}"),
            ".spec.dataFrom.rewrite.merge.conflictPolicy=\"Error\"".to_owned(),
            ".spec.dataFrom.rewrite.merge.into=\"\"".to_owned(),
            ".spec.dataFrom.rewrite.merge.priorityPolicy=\"Strict\"".to_owned(),
            ".spec.dataFrom.rewrite.merge.strategy=\"Extract\"".to_owned(),
            format!(".spec.dataFrom.{generator}"),
            ".spec.refreshInterval=\"1h0m0s\"".to_owned(),
            ".spec.target.creationPolicy=\"Owner\"".to_owned(),
            ".spec.target.deletionPolicy=\"Retain\"".to_owned(),
            format!("{template}.engineVersion=\"v2\""),
            format!("{template}.mergePolicy=\"Replace\""),
            format!("{template}.templateFrom.configMap.items.templateAs=\"Values\""),
            format!("{template}.templateFrom.secret.items.templateAs=\"Values\""),
            format!("{template}.templateFrom.target=\"Data\""),
            ".spec.target={\"creationPolicy\":\"Owner\",\"deletionPolicy\":\"Retain\"}".to_owned(),
            ".status.binding.name=\"\"".to_owned(),
        ]
    );
}

#[test]
fn every_definition_is_small_enough_for_a_plain_apply() {
    for served in [false, true] {
        for crd in [
            custom_resource_definition(served),
            crate::cluster_external_secret::custom_resource_definition(served),
            crate::secret_store::secret_store_definition(served),
            crate::secret_store::cluster_secret_store_definition(served),
            crate::push_secret::push_secret_definition(),
            crate::push_secret::cluster_push_secret_definition(),
        ] {
            let size = serde_json::to_string(&crd).unwrap().len();
            assert!(size < 262_144, "{}: {size}", crd["metadata"]["name"]);
            let text = crd.to_string();
            assert!(!text.contains("x-default") && !text.contains("x-nullable"));
        }
    }
}

#[test]
fn the_older_version_has_its_own_defaults_and_lacks_what_is_new() {
    let crd = custom_resource_definition(true);
    let older = &crd["spec"]["versions"][1];
    assert_eq!(older["name"], "v1beta1");
    assert_eq!(older["served"], true);
    assert!(older.get("selectableFields").is_none());
    let spec = &older["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    assert!(spec.get("syncWindows").is_none());
    let remote = &spec["data"]["items"]["properties"]["remoteRef"]["properties"];
    assert_eq!(remote["conversionStrategy"]["default"], "Default");
    assert_eq!(remote["decodingStrategy"]["default"], "None");
    assert!(remote.get("nullBytePolicy").is_none());
    let target = &spec["target"]["properties"];
    assert!(
        !target["creationPolicy"]["enum"]
            .to_string()
            .contains("CreateOrMerge")
    );
    assert!(
        target["template"]["properties"]["templateFrom"]["items"]["properties"]["target"]["enum"]
            .is_array()
    );
    assert_eq!(
        custom_resource_definition(false)["spec"]["versions"][1]["served"],
        false
    );
}

#[test]
fn an_object_comes_back_as_it_was() {
    let object = json!({
        "apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "es", "namespace": "ns"},
        "spec": {
            "refreshInterval": "1h", "secretStoreRef": {"name": "s"},
            "target": {"creationPolicy": "Owner", "deletionPolicy": "Retain", "template": {
                "engineVersion": "v2", "mergePolicy": "Replace", "metadata": {"labels": {"a": "b"}},
                "templateFrom": [{"target": "Data", "literal": "a: b"}]}},
            "data": [{"secretKey": "k", "remoteRef": {"key": "a", "decodingStrategy": "Base64URL"}}],
            "dataFrom": [{"find": {"name": {"regexp": "x"}}, "rewrite": [{"merge": {
                "into": "", "conflictPolicy": "Error", "strategy": "JSON", "priorityPolicy": "Strict"}}]}],
        },
        "status": {"refreshTime": null, "binding": {"name": ""}},
    });
    let read: ExternalSecret = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), object);
    assert_eq!(read.target_name(), "es");
}

#[test]
fn stores_are_listed_once_each() {
    let object = json!({
        "apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "es"},
        "spec": {"secretStoreRef": {"name": "a"}, "dataFrom": [
            {"extract": {"key": "k"}, "sourceRef": {"storeRef": {"name": "a", "kind": "SecretStore"}}},
            {"extract": {"key": "k"}, "sourceRef": {"storeRef": {"name": "a", "kind": "ClusterSecretStore"}}},
        ]},
    });
    let read: ExternalSecret = serde_json::from_value(object).unwrap();
    let kinds: Vec<_> = read.stores().iter().map(StoreRef::kind).collect();
    assert_eq!(
        kinds,
        [StoreKind::SecretStore, StoreKind::ClusterSecretStore]
    );
}
