//! Objects of the cluster, listed for reading.

use super::kubeconfig;
use super::request_timeout::RequestTimeout;
use super::{ClusterError, ClusterOptions, get};

/// Lists objects of a cluster.
pub(crate) struct Lister {
    client: kube::Client,
    timeout: RequestTimeout,
}

impl Lister {
    /// Connects to the cluster.
    pub(crate) async fn connect(options: &ClusterOptions) -> Result<Self, ClusterError> {
        Ok(Self {
            timeout: RequestTimeout::parse(options.request_timeout.as_deref())?,
            client: kubeconfig::connect(options).await?,
        })
    }

    /// All objects of a collection such as `/apis/bitnami.com/v1alpha1/sealedsecrets`; `None` when the cluster has no such
    /// kind.
    pub(crate) async fn list<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Option<Vec<T>>, ClusterError> {
        #[derive(serde::Deserialize)]
        struct Page<T> {
            #[serde(default)]
            metadata: Next,
            items: Vec<T>,
        }
        #[derive(Default, serde::Deserialize)]
        struct Next {
            #[serde(default, rename = "continue")]
            after: Option<String>,
        }
        let mut all = Vec::new();
        let mut after = String::new();
        loop {
            let query = self.timeout.query();
            let and = if query.is_empty() { "" } else { "&" };
            let rest = query.trim_start_matches('?');
            let path = format!("{path}?limit=500&continue={after}{and}{rest}");
            let attempt = async {
                let response = self.client.send(get_body(&path)).await?;
                let status = response.status().as_u16();
                Ok((status, response.into_body().collect_bytes().await?))
            };
            let failed =
                |reason: String| ClusterError::Controller(format!("cannot list {path}: {reason}"));
            let (status, body) = self.timeout.limit(attempt).await.map_err(failed)?;
            match status {
                200..=299 => {}
                404 => return Ok(None),
                _ => {
                    return Err(failed(format!(
                        "the API server answered {status}{}",
                        super::reason(&body)
                    )));
                }
            }
            let page: Page<T> = serde_json::from_slice(&body)
                .map_err(|_| failed("the answer cannot be read".to_owned()))?;
            all.extend(page.items);
            match page.metadata.after.filter(|after| !after.is_empty()) {
                Some(next) => after = super::path_part(&next),
                None => return Ok(Some(all)),
            }
        }
    }
}

fn get_body(path: &str) -> http::Request<kube::client::Body> {
    get(path, "application/json").map(kube::client::Body::from)
}
