//! Many ExternalSecrets with two values each over few keys of an OpenBao: the load of tests and of the benchmark.

use futures::{StreamExt, stream};
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use super::cluster::Namespace;
use super::openbao::{OpenBao, ROOT};

const GROUP: &str = "external-secrets.io";

/// So many objects over so many keys.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// ExternalSecrets, `es-0` and so on.
    pub objects: usize,
    /// Keys of the vault, each with two values.
    pub keys: usize,
    /// How often they are refreshed.
    pub interval: &'static str,
}

impl Load {
    /// Creates everything. The keys are those of the namespace, so loads of several namespaces do not share any. The store is at
    /// `address`, which may be that of a proxy.
    ///
    /// # Errors
    ///
    /// Says what cannot be created.
    pub async fn create(
        self,
        namespace: &Namespace<'_>,
        bao: &OpenBao,
        address: &str,
    ) -> Result<(), String> {
        for key in 0..self.keys {
            let values =
                json!({"data": {"user": format!("user {key}"), "pass": format!("pass {key}")}});
            let path = format!("secret/data/{}/key-{key}", namespace.name());
            bao.api("POST", &path, Some(&values));
        }
        let token = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bao-token"},
            "stringData": {"token": ROOT}});
        create(namespace, ("", "v1", "Secret"), token).await?;
        let provider = json!({"vault": {"server": address, "path": "secret", "version": "v2",
            "auth": {"tokenSecretRef": {"name": "bao-token", "key": "token"}}}});
        let store = json!({"apiVersion": "external-secrets.io/v1", "kind": "SecretStore",
            "metadata": {"name": "bao"}, "spec": {"provider": provider}});
        create(namespace, (GROUP, "v1", "SecretStore"), store).await?;
        let all = (0..self.objects)
            .map(|number| self.create_one(namespace, number))
            .collect::<Vec<_>>();
        let mut all = stream::iter(all).buffer_unordered(20);
        while let Some(created) = all.next().await {
            created?;
        }
        Ok(())
    }

    /// Creates one more object.
    ///
    /// # Errors
    ///
    /// As [`Load::create`].
    pub async fn create_one(self, namespace: &Namespace<'_>, number: usize) -> Result<(), String> {
        let value = |half: &str, key: usize| {
            let key = format!("{}/key-{}", namespace.name(), key % self.keys);
            json!({"secretKey": half, "remoteRef": {"key": key, "property": half}})
        };
        let object = json!({
            "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
            "metadata": {"name": format!("es-{number}")},
            "spec": {"secretStoreRef": {"name": "bao"}, "refreshInterval": self.interval,
                "data": [value("user", number), value("pass", number + 1)]},
        });
        create(namespace, (GROUP, "v1", "ExternalSecret"), object).await
    }

    /// How often the keys of the namespace were read so far.
    #[must_use]
    pub fn reads(namespace: &Namespace<'_>, bao: &OpenBao) -> usize {
        bao.reads_below(&format!("secret/data/{}/", namespace.name()))
    }

    /// How many ExternalSecrets are ready, by the metrics of the controller.
    #[must_use]
    pub fn ready(metrics: &str) -> usize {
        let ready = metrics.lines().filter(|line| {
            line.starts_with("externalsecret_status_condition{")
                && line.contains("condition=\"Ready\"")
                && line.contains("status=\"True\"")
                && line.ends_with(" 1")
        });
        ready.count()
    }
}

async fn create(
    namespace: &Namespace<'_>,
    (group, version, kind): (&str, &str, &str),
    object: Value,
) -> Result<(), String> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let api: Api<DynamicObject> =
        Api::namespaced_with(namespace.client().clone(), namespace.name(), &resource);
    let object = serde_json::from_value(object).map_err(|error| error.to_string())?;
    let created = api.create(&PostParams::default(), &object).await;
    created.map(drop).map_err(|error| error.to_string())
}
