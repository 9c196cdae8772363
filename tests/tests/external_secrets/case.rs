//! Cases: what they say, and their steps as requests.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use kube::Client;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Map, Value, json};

use super::kinds::Kind;
use super::rig::Vault;

/// A case of `fixtures/eso/cases`.
pub(crate) struct Case {
    pub(crate) name: String,
    body: Value,
}

/// Where a case is played.
pub(crate) struct Stage<'a> {
    pub(crate) client: Client,
    pub(crate) api_server: String,
    pub(crate) authority: String,
    pub(crate) vault: Option<&'a Vault>,
}

/// A case that is being played.
pub(crate) struct Play<'a> {
    pub(crate) stage: &'a Stage<'a>,
    pub(crate) namespace: String,
    /// Every namespace of the case.
    pub(crate) namespaces: BTreeSet<String>,
    /// Objects of the case that have no namespace: kind and name.
    pub(crate) cluster_objects: BTreeSet<(String, String)>,
    pub(crate) refused: Vec<String>,
    /// Names of values that are random.
    pub(crate) opaque: Vec<String>,
    default_store: String,
    fakes: HashMap<String, Value>,
}

impl Case {
    /// Reads a case.
    pub(crate) fn read(name: &str, text: &str) -> Self {
        // To the reader that the cases were recorded with `y` and `n` are texts, to Kubernetes' they are true and false.
        let text = ["y", "n"].iter().fold(text.to_owned(), |text, word| {
            let quoted = format!(": '{word}'");
            let text = text
                .replace(&format!(": {word},"), &format!("{quoted},"))
                .replace(&format!(": {word}}}"), &format!("{quoted}}}"));
            ["{", ", "].iter().fold(text, |text, before| {
                text.replace(&format!("{before}{word}: "), &format!("{before}'{word}': "))
            })
        });
        let body = sealwright_resources::manifest::read_values(text.as_bytes()).unwrap();
        Self {
            name: name.to_owned(),
            body: body.into_iter().next().unwrap(),
        }
    }

    /// The flags that its controller needs besides.
    pub(crate) fn flags(&self) -> &str {
        self.body["flags"].as_str().unwrap_or_default()
    }

    /// Returns true if nothing of it is random.
    pub(crate) fn is_reproducible(&self) -> bool {
        self.body.get("opaque").is_none()
    }

    pub(crate) fn phases(&self) -> &[Value] {
        self.body["phases"].as_array().unwrap()
    }

    /// Begins a case: its namespace, its stores and what exists before the controller looks.
    pub(crate) async fn begin<'a>(&self, stage: &'a Stage<'a>) -> Play<'a> {
        let namespace = format!("c-{}", self.name);
        let kind_of_store = ["fake", "bao"]
            .into_iter()
            .find(|kind| self.body.get(*kind).is_some());
        let store = self.body["store"]
            .as_str()
            .or(kind_of_store)
            .unwrap_or("fake");
        let default_store = match store {
            "fake" => namespace.clone(),
            other => other.to_owned(),
        };
        let mut play = Play {
            stage,
            namespaces: [namespace.clone()].into(),
            cluster_objects: BTreeSet::new(),
            refused: Vec::new(),
            opaque: {
                let names = self.body["opaque"].as_array().into_iter().flatten();
                names
                    .map(|name| name.as_str().unwrap().to_owned())
                    .collect()
            },
            default_store,
            fakes: HashMap::new(),
            namespace: namespace.clone(),
        };
        play.apply(
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
        )
        .await;
        play.steps(&self.body["first"]).await;
        if let Some(values) = self.body.get("bao") {
            play.bao_store().await;
            play.put(values).await;
        } else if store == "bao" {
            play.bao_store().await;
        }
        if store == "k8s" {
            play.kubernetes_store().await;
        }
        if let Some(values) = self.body.get("fake") {
            play.fake("", values).await;
        }
        for object in self.body["objects"].as_array().into_iter().flatten() {
            play.apply(object.clone()).await;
        }
        play
    }
}

impl Play<'_> {
    /// Plays one phase, and waits as long as it says at least.
    pub(crate) async fn phase(&mut self, phase: &Value) {
        self.steps(phase).await;
        if let Some(seconds) = phase["min"].as_u64() {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
    }

    pub(crate) async fn steps(&mut self, steps: &Value) {
        for (step, argument) in steps.as_object().into_iter().flatten() {
            let (verb, name) = step.split_once(' ').unwrap_or((step, ""));
            match verb {
                "min" => {}
                "es" => self.external_secret(name, argument).await,
                "ps" => self.push_secret(name, argument).await,
                "fake" => self.fake(name, argument).await,
                "gen" => {
                    for (object, spec) in argument.as_object().unwrap() {
                        let (kind, name) = object.split_once('/').unwrap();
                        self.apply(json!({
                            "apiVersion": "generators.external-secrets.io/v1alpha1", "kind": kind,
                            "metadata": {"name": name}, "spec": spec,
                        }))
                        .await;
                    }
                }
                "put" => self.put(argument).await,
                "rm" => {
                    for path in argument.as_array().unwrap() {
                        let path = format!("{}/{}", self.namespace, path.as_str().unwrap());
                        self.vault().remove(&path).await;
                    }
                }
                "secret" | "cm" => {
                    for (name, values) in argument.as_object().unwrap() {
                        let (kind, field) = match verb {
                            "cm" => ("ConfigMap", "data"),
                            _ => ("Secret", "stringData"),
                        };
                        let metadata = json!({"name": name});
                        self.apply(json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, field: values}))
                            .await;
                    }
                }
                "apply" => {
                    for object in argument.as_array().unwrap() {
                        self.apply(object.clone()).await;
                    }
                }
                "patch" => {
                    for (object, patch) in argument.as_object().unwrap() {
                        let (kind, name) = self.object(object);
                        let params = PatchParams {
                            field_manager: Some("case".to_owned()),
                            ..PatchParams::default()
                        };
                        let api = kind.api(&self.stage.client, &self.namespace);
                        api.patch(&name, &params, &Patch::Merge(self.filled(patch)))
                            .await
                            .unwrap();
                    }
                }
                "delete" => {
                    for object in argument.as_array().unwrap() {
                        let (kind, name) = self.object(object.as_str().unwrap());
                        let api = kind.api(&self.stage.client, &self.namespace);
                        api.delete(&name, &DeleteParams::default()).await.unwrap();
                    }
                }
                other => panic!("no step {other}"),
            }
        }
    }

    async fn external_secret(&mut self, name: &str, spec: &Value) {
        let mut spec = spec.as_object().unwrap().clone();
        if let Some(Value::Object(picked)) = spec.remove("pick") {
            let data = picked.iter().map(|(key, at)| {
                let at = at.as_str().unwrap();
                let remote = match at.split_once('#') {
                    Some((remote, property)) => json!({"key": remote, "property": property}),
                    None => json!({"key": at}),
                };
                json!({"secretKey": key, "remoteRef": remote})
            });
            spec.insert("data".to_owned(), data.collect());
        }
        let store = json!({"name": self.default_store, "kind": "SecretStore"});
        spec.entry("secretStoreRef").or_insert(store);
        spec.entry("refreshInterval").or_insert(json!("1h"));
        spec.retain(|_, value| !value.is_null());
        let name = if name.is_empty() { "es" } else { name };
        self.apply(json!({
            "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
            "metadata": {"name": name}, "spec": spec,
        }))
        .await;
    }

    async fn push_secret(&mut self, name: &str, spec: &Value) {
        let mut spec = spec.as_object().unwrap().clone();
        let store = json!([{"name": self.default_store, "kind": "SecretStore"}]);
        spec.entry("secretStoreRefs").or_insert(store);
        spec.entry("refreshInterval").or_insert(json!("1h"));
        spec.retain(|_, value| !value.is_null());
        let name = if name.is_empty() { "ps" } else { name };
        self.apply(json!({
            "apiVersion": "external-secrets.io/v1alpha1", "kind": "PushSecret",
            "metadata": {"name": name}, "spec": spec,
        }))
        .await;
    }

    /// Fills the Fake provider of the namespace's name, and a suffix.
    async fn fake(&mut self, suffix: &str, values: &Value) {
        let name = format!("{}{suffix}", self.namespace);
        let data: Vec<Value> = match values {
            Value::Array(list) => list.clone(),
            values => values
                .as_object()
                .unwrap()
                .iter()
                .map(|(key, value)| json!({"key": key, "value": value}))
                .collect(),
        };
        self.fakes.insert(name.clone(), json!(data));
        self.apply(json!({
            "apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": name},
            "spec": {"provider": {"fake": {"data": data}}},
        }))
        .await;
    }

    async fn bao_store(&mut self) {
        let token = json!({"token": self.vault().token()});
        self.apply(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bao-token"}, "stringData": token}))
            .await;
        self.apply(json!({
            "apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": "bao"},
            "spec": {"provider": {"vault": {
                "server": "$BAO", "path": "secret", "version": "v2",
                "auth": {"tokenSecretRef": {"name": "bao-token", "key": "token"}},
            }}},
        }))
        .await;
    }

    async fn kubernetes_store(&mut self) {
        let metadata = json!({"name": "reader"});
        for object in [
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": [
                {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"]},
                {"apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectrulesreviews"], "verbs": ["create"]},
            ]}),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
                "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": self.namespace}]}),
            json!({"apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": "k8s"},
                "spec": {"provider": {"kubernetes": {
                    "remoteNamespace": "$NS", "server": {"url": "$API", "caBundle": "$CA"},
                    "auth": {"serviceAccount": {"name": "reader"}}}}}}),
        ] {
            self.apply(object).await;
        }
    }

    async fn put(&self, values: &Value) {
        for (path, value) in values.as_object().unwrap() {
            let path = format!("{}/{path}", self.namespace);
            let mut value = value.as_object().unwrap().clone();
            let metadata = value.remove("$meta");
            self.vault().put(&path, &Value::Object(value)).await;
            if let Some(metadata) = metadata {
                self.vault().set_metadata(&path, &metadata).await;
            }
        }
    }

    fn vault(&self) -> &Vault {
        self.stage.vault.expect("the case has a vault")
    }

    /// Writes an object with server-side apply, as the case has it now.
    async fn apply(&mut self, object: Value) {
        let mut object = self.filled(&object);
        let kind_name = object["kind"].as_str().unwrap().to_owned();
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let Some(kind) = Kind::of_object(&object) else {
            let version = object["apiVersion"].as_str().unwrap();
            self.refused.push(format!(
                "apply {kind_name}/{name}: 404 no kind {kind_name} in {version}"
            ));
            return;
        };
        let namespace = object["metadata"]["namespace"]
            .as_str()
            .unwrap_or(&self.namespace)
            .to_owned();
        if kind.namespaced {
            object["metadata"]["namespace"] = json!(namespace);
        } else if kind_name == "Namespace" {
            self.namespaces.insert(name.clone());
        } else {
            self.cluster_objects
                .insert((kind_name.clone(), name.clone()));
        }
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let api = kind.api(&self.stage.client, &namespace);
        let params = PatchParams::apply("case").force();
        match api.patch(&name, &params, &Patch::Apply(&object)).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) => self.refused.push(format!(
                "apply {kind_name}/{name}: {} {}",
                status.code, status.message
            )),
            Err(error) => panic!("apply {kind_name}/{name}: {error}"),
        }
    }

    fn object(&self, text: &str) -> (Kind, String) {
        let text = self.fill(text);
        let (kind, name) = text.split_once('/').unwrap();
        (Kind::named(kind), name.to_owned())
    }

    fn fill(&self, text: &str) -> String {
        let vault = self.stage.vault.map(Vault::url).unwrap_or_default();
        text.replace("$NS", &self.namespace)
            .replace("$API", &self.stage.api_server)
            .replace("$BAO", &vault)
            .replace("$CA", &self.stage.authority)
    }

    /// Fills the placeholders of all texts.
    fn filled(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.fill(text)),
            Value::Array(items) => items.iter().map(|item| self.filled(item)).collect(),
            Value::Object(fields) => {
                let fields: Map<String, Value> = fields
                    .iter()
                    .map(|(name, value)| (self.fill(name), self.filled(value)))
                    .collect();
                Value::Object(fields)
            }
            value => value.clone(),
        }
    }
}
