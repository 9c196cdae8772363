//! A namespace of a test, and what is done in it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use sealwright_tests::harness::server::Server;
use serde_json::{Value, json};

use super::kinds::Kind;
use super::rig::{self, Vault};

/// How long something may take on a machine under load.
const PATIENCE: Duration = Duration::from_secs(90);

/// Asks until there is an answer.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "it never comes that {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A namespace.
pub(crate) struct Place {
    client: Client,
    name: String,
    /// All namespaces of the test.
    names: Arc<Mutex<Vec<String>>>,
}

impl Place {
    /// Makes a namespace of this name; the definitions are there.
    pub(crate) async fn new(name: &str) -> Self {
        Self::on(Arc::default(), name).await
    }

    /// Makes another namespace for the same test.
    pub(crate) async fn beside(&self, name: &str) -> Self {
        Self::on(Arc::clone(&self.names), name).await
    }

    async fn on(names: Arc<Mutex<Vec<String>>>, name: &str) -> Self {
        names.lock().unwrap().push(name.to_owned());
        let place = Self {
            client: rig::shared().client().await,
            name: name.to_owned(),
            names,
        };
        place
            .apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
            .await;
        place
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Starts a controller for the namespaces of the test. Objects of the whole cluster are another's, unless the flags say so.
    pub(crate) fn controller(&self, flags: &str) -> Server {
        self.controller_with(flags, &[])
    }

    /// The same with these variables in its environment.
    pub(crate) fn controller_with(
        &self,
        flags: &str,
        variables: &[(&'static str, String)],
    ) -> Server {
        let names = self.names.lock().unwrap().join(",");
        let flags = format!(
            "--namespace={names} --enable-cluster-store-reconciler=false --enable-cluster-external-secret-reconciler=false \
             --enable-cluster-push-secret-reconciler=false {flags}"
        );
        let name = format!("controller-{}", self.name);
        rig::controller_with(rig::shared(), &name, &flags, variables)
    }

    fn api(&self, kind: &Kind) -> Api<DynamicObject> {
        kind.api(&self.client, &self.name)
    }

    pub(crate) async fn apply(&self, object: &Value) {
        let kind = Kind::of_object(object).unwrap();
        let name = object["metadata"]["name"].as_str().unwrap();
        let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
        let params = PatchParams::apply("test").force();
        let api = self.api(&kind);
        api.patch(name, &params, &Patch::Apply(&object))
            .await
            .unwrap();
    }

    pub(crate) async fn patch(&self, kind: &str, name: &str, patch: &Value) {
        let api = self.api(&Kind::named(kind));
        let params = PatchParams::default();
        api.patch(name, &params, &Patch::Merge(patch))
            .await
            .unwrap();
    }

    pub(crate) async fn label_namespace(&self, label: &str, value: &str) {
        let patch = json!({"metadata": {"labels": {label: value}}});
        self.patch("Namespace", &self.name, &patch).await;
    }

    pub(crate) async fn secret(&self, name: &str, values: &Value) {
        self.apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}))
            .await;
    }

    pub(crate) async fn external_secret(&self, name: &str, spec: &Value) {
        self.apply(
            &json!({"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
            "metadata": {"name": name}, "spec": spec}),
        )
        .await;
    }

    /// Makes a SecretStore of OpenBao, called `bao`.
    pub(crate) async fn vault_store(&self, vault: &Vault) {
        self.secret("bao-token", &json!({"token": vault.token()}))
            .await;
        self.apply(&json!({"apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": "bao"},
            "spec": {"provider": {"vault": {"server": vault.url(), "path": "secret", "version": "v2",
                "auth": {"tokenSecretRef": {"name": "bao-token", "key": "token"}}}}}}))
            .await;
    }

    pub(crate) async fn get(&self, kind: &str, name: &str) -> Option<Value> {
        let object = self.api(&Kind::named(kind)).get_opt(name).await.unwrap()?;
        Some(serde_json::to_value(object).unwrap())
    }

    pub(crate) async fn list(&self, kind: &str) -> Vec<Value> {
        let api = self.api(&Kind::named(kind));
        let list = api.list(&ListParams::default()).await.unwrap();
        let items = list.items.into_iter();
        items
            .map(|object| serde_json::to_value(object).unwrap())
            .collect()
    }

    /// Deletes an object; that it is gone already is fine.
    pub(crate) async fn delete(&self, kind: &str, name: &str) {
        let api = self.api(&Kind::named(kind));
        match api.delete(name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => panic!("{kind}/{name}: {error}"),
        }
    }

    /// A value of a Secret as text.
    pub(crate) fn value(&self, secret: &Value, key: &str) -> Option<String> {
        let text = secret["data"][key].as_str()?;
        let bytes = sealwright_crypto::sealing::base64::decode(text.as_bytes()).unwrap();
        Some(String::from_utf8(bytes).unwrap())
    }

    /// A token of a ServiceAccount for an audience.
    pub(crate) async fn token(&self, account: &str, audience: &str) -> String {
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "metadata": {}, "spec": {"audiences": [audience], "expirationSeconds": 600}});
        let api: Api<k8s_openapi::api::core::v1::ServiceAccount> =
            Api::namespaced(self.client.clone(), &self.name);
        let request = serde_json::from_value(request).unwrap();
        let answer = api
            .create_token_request(account, &PostParams::default(), &request)
            .await
            .unwrap();
        answer.status.unwrap().token
    }

    /// Gives a ServiceAccount a right in the namespace.
    pub(crate) async fn allow(&self, account: &str, verb: &str, resource: &str) {
        let metadata = json!({"name": account});
        let rules = json!([{"apiGroups": ["external-secrets.io"], "resources": [resource], "verbs": [verb]}]);
        self.apply(
            &json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": metadata, "rules": rules}),
        )
        .await;
        self.apply(&json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": self.name}]}))
            .await;
    }

    /// Writes a file that is there as long as the cluster, and gives its path.
    pub(crate) fn sandbox_file(&self, name: &str, content: &str) -> String {
        let path = rig::shared().sandbox().path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}
