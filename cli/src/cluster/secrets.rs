//! The Secrets that hold a controller's sealing keys.

use kube::client::Body;
use sealwright_crypto::secret::SecretBytes;

use super::kubeconfig;
use super::request_timeout::RequestTimeout;
use super::{ClusterError, ClusterOptions, get, path_part, reason};

/// The label that a controller knows its keys by.
const LABEL: &str = "sealedsecrets.bitnami.com/sealed-secrets-key";

/// The sealing keys in a namespace.
pub(crate) struct KeySecrets {
    client: kube::Client,
    timeout: RequestTimeout,
    path: String,
}

impl KeySecrets {
    /// Those of a controller that runs in `namespace`.
    pub(crate) async fn of(
        options: &ClusterOptions,
        namespace: &str,
    ) -> Result<Self, ClusterError> {
        Ok(Self {
            timeout: RequestTimeout::parse(options.request_timeout.as_deref())?,
            client: kubeconfig::connect(options).await?,
            path: format!("/api/v1/namespaces/{}/secrets", path_part(namespace)),
        })
    }

    /// All of them, as the API server lists them.
    pub(crate) async fn list(&self) -> Result<SecretBytes, ClusterError> {
        let query = self.timeout.query();
        let and = if query.is_empty() { "" } else { "&" };
        let path = format!(
            "{}?labelSelector={}{and}{}",
            self.path,
            path_part(LABEL),
            query.trim_start_matches('?')
        );
        let text = self
            .timeout
            .limit(self.client.request_text(get(&path, "application/json")))
            .await
            .map_err(|reason| {
                ClusterError::Controller(format!("cannot list the sealing keys: {reason}"))
            })?;
        Ok(SecretBytes::from(text.into_bytes()))
    }

    /// Creates one, given as JSON. Returns false if there is a Secret of that name already.
    pub(crate) async fn create(
        &self,
        name: &str,
        secret: &SecretBytes,
    ) -> Result<bool, ClusterError> {
        let failed = |reason: String| {
            ClusterError::Controller(format!("cannot create the Secret {name}: {reason}"))
        };
        let request = http::Request::post(format!("{}{}", self.path, self.timeout.query()))
            .header("Content-Type", "application/json")
            .body(Body::from(secret.expose().to_vec()))
            .expect("the path was made of checked parts");
        let attempt = async {
            let response = self.client.send(request).await?;
            let status = response.status().as_u16();
            Ok((status, response.into_body().collect_bytes().await?))
        };
        let (status, body) = self.timeout.limit(attempt).await.map_err(failed)?;
        match status {
            200..=299 => Ok(true),
            409 => Ok(false),
            _ => Err(failed(format!(
                "the API server answered {status}{}",
                reason(&body)
            ))),
        }
    }

    /// One, as JSON.
    pub(crate) async fn get(&self, name: &str) -> Result<SecretBytes, ClusterError> {
        let path = format!("{}/{}{}", self.path, path_part(name), self.timeout.query());
        let text = self
            .timeout
            .limit(self.client.request_text(get(&path, "application/json")))
            .await
            .map_err(|reason| {
                ClusterError::Controller(format!("cannot read the Secret {name}: {reason}"))
            })?;
        Ok(SecretBytes::from(text.into_bytes()))
    }
}
