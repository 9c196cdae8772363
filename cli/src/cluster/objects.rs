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
        match self.look(path, "", "application/json").await? {
            Listing::All(all) => Ok(Some(all)),
            Listing::NoSuchKind => Ok(None),
            Listing::Forbidden(reason) => Err(ClusterError::Controller(format!(
                "cannot list {path}: {reason}"
            ))),
        }
    }

    /// The same for one who may not be permitted to see everything.
    pub(crate) async fn list_if_permitted<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Listing<T>, ClusterError> {
        self.look(path, "", "application/json").await
    }

    /// The metadata of the objects with a label; nothing else of them is sent.
    pub(crate) async fn list_metadata(
        &self,
        path: &str,
        label: &str,
    ) -> Result<Listing<OnlyMetadata>, ClusterError> {
        let selector = match label {
            "" => String::new(),
            label => format!("&labelSelector={}", super::path_part(label)),
        };
        let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        self.look(path, &selector, accept).await
    }

    async fn look<T: serde::de::DeserializeOwned>(
        &self,
        collection: &str,
        selector: &str,
        accept: &str,
    ) -> Result<Listing<T>, ClusterError> {
        #[derive(serde::Deserialize)]
        struct Page<T> {
            #[serde(default)]
            metadata: Next,
            // A list of metadata that is empty has null here.
            items: Option<Vec<T>>,
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
            let path = format!("{collection}?limit=500&continue={after}{selector}{and}{rest}");
            let attempt = async {
                let request = get(&path, accept).map(kube::client::Body::from);
                let response = self.client.send(request).await?;
                let status = response.status().as_u16();
                Ok((status, response.into_body().collect_bytes().await?))
            };
            let failed =
                |reason: String| ClusterError::Controller(format!("cannot list {path}: {reason}"));
            let (status, body) = self.timeout.limit(attempt).await.map_err(failed)?;
            let answered = || format!("the API server answered {status}{}", super::reason(&body));
            match status {
                200..=299 => {}
                404 => return Ok(Listing::NoSuchKind),
                403 => return Ok(Listing::Forbidden(answered())),
                _ => return Err(failed(answered())),
            }
            let page: Page<T> = serde_json::from_slice(&body)
                .map_err(|_| failed("the answer cannot be read".to_owned()))?;
            all.extend(page.items.into_iter().flatten());
            match page.metadata.after.filter(|after| !after.is_empty()) {
                Some(next) => after = super::path_part(&next),
                None => return Ok(Listing::All(all)),
            }
        }
    }
}

/// What a list came to.
pub(crate) enum Listing<T> {
    /// All objects.
    All(Vec<T>),
    /// The cluster has no such kind.
    NoSuchKind,
    /// The one who asks may not see them; what the API server says.
    Forbidden(String),
}

/// An object without its content.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct OnlyMetadata {
    pub(crate) metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
}
