//! Admission webhooks that the External Secrets Operator has left in a cluster.
//!
//! Its chart installs them with `failurePolicy: Fail`: as soon as their server is gone, the API server refuses every change
//! of stores and ExternalSecrets. This program has no need of them, because the controller checks the same rules itself.
//! So they are looked for and reported, and never touched.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::action;
use crate::api::{Api, ApiError};
use crate::metrics::Metrics;

/// Those with upstream's label.
const PATH: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations?labelSelector=external-secrets.io%2Fcomponent%3Dwebhook";

#[derive(Deserialize)]
struct List {
    items: Vec<Configuration>,
}

#[derive(Deserialize)]
struct Configuration {
    metadata: Named,
    #[serde(default)]
    webhooks: Vec<Webhook>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhook {
    name: String,
    failure_policy: Option<String>,
}

impl Configuration {
    /// Returns true if the API server refuses changes when the server of one of these webhooks is gone.
    fn blocks(&self) -> bool {
        self.webhooks.iter().any(|webhook| {
            webhook.name.ends_with("external-secrets.io")
                && webhook.failure_policy.as_deref() != Some("Ignore")
        })
    }
}

/// Looks for left-over webhooks every `interval`, and reports each when it is found first.
pub(crate) async fn watch(api: Arc<Api>, metrics: Arc<Metrics>, interval: Duration) {
    let mut known: Vec<String> = Vec::new();
    let mut refused = false;
    loop {
        match look(&api).await {
            Ok(found) => {
                metrics.show_leftover_webhooks(found.len());
                for name in found.iter().filter(|name| !known.contains(name)) {
                    tracing::warn!(
                        name = name,
                        "a webhook of the External Secrets Operator with failurePolicy Fail is in the cluster: when its server is gone, no store and no ExternalSecret can be changed. Remove it: kubectl delete validatingwebhookconfiguration {name}"
                    );
                }
                known = found;
            }
            Err(error) if error.is_forbidden() => {
                if !std::mem::replace(&mut refused, true) {
                    tracing::info!(
                        "no permission to list ValidatingWebhookConfigurations: left-over webhooks of the External Secrets Operator are not looked for"
                    );
                }
            }
            Err(error) => {
                tracing::debug!(error = %error, "cannot look for left-over webhooks");
            }
        }
        tokio::time::sleep(interval).await;
    }
}

async fn look(api: &Api) -> Result<Vec<String>, ApiError> {
    let list: List = action::read(&api.get(PATH).await?)?;
    let found = list.items.into_iter().filter(Configuration::blocks);
    Ok(found
        .map(|configuration| configuration.metadata.name)
        .collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn e70_to_e72_what_blocks_changes_is_told_from_what_does_not() {
        let blocks = |name: &str, policy: serde_json::Value| {
            let configuration: Configuration = serde_json::from_value(json!({
                "metadata": {"name": "externalsecret-validate"},
                "webhooks": [{"name": name, "failurePolicy": policy}],
            }))
            .unwrap();
            configuration.blocks()
        };
        let name = "validate.externalsecret.external-secrets.io";
        assert!(blocks(name, "Fail".into()));
        // The API server's default.
        assert!(blocks(name, serde_json::Value::Null));
        assert!(!blocks(name, "Ignore".into()));
        assert!(!blocks("other.example.com", "Fail".into()));
    }
}
