//! Lists, read page by page: all objects of a namespace together may be larger than the memory.

use std::collections::BTreeMap;

use hyper::Method;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta, Time};
use serde::{Deserialize, Deserializer};

use super::body::read;
use crate::api::{Api, ApiError};

/// Lists what is behind a path, with at most `limit` objects to a page, and shows each of them to `see`.
pub(crate) async fn list<T: for<'de> Deserialize<'de>>(
    api: &Api,
    (path, accept): (&str, &str),
    limit: usize,
    mut see: impl FnMut(T),
) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    struct Page<T> {
        #[serde(default)]
        metadata: ListMeta,
        // An empty list of metadata has null here.
        items: Option<Vec<T>>,
    }
    let separator = match path.contains('?') {
        true => '&',
        false => '?',
    };
    let mut token = String::new();
    loop {
        let path = format!("{path}{separator}limit={limit}&continue={token}");
        let page: Page<T> = read(&api.call(Method::GET, &path, accept, None).await?)?;
        for item in page.items.into_iter().flatten() {
            see(item);
        }
        match page.metadata.continue_ {
            Some(next) if !next.is_empty() => token = next,
            _ => return Ok(()),
        }
    }
}

/// Reads the parts of metadata that are needed of the objects of a list. Annotations and managed fields take hundreds of kilobytes
/// where their author wants them to.
pub(crate) fn essentials<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Essentials {
        name: Option<String>,
        uid: Option<String>,
        labels: Option<BTreeMap<String, String>>,
        creation_timestamp: Option<Time>,
        deletion_timestamp: Option<Time>,
    }
    let read = Essentials::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: read.name,
        uid: read.uid,
        labels: read.labels,
        creation_timestamp: read.creation_timestamp,
        deletion_timestamp: read.deletion_timestamp,
        ..ObjectMeta::default()
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use hyper::Request;
    use kube::client::Body;
    use serde_json::{Value, json};

    /// The page of a list of `all` objects that a request asks for, and how many it wants at most.
    pub(crate) fn page(
        request: &Request<Body>,
        all: usize,
        object: impl Fn(usize) -> Value,
    ) -> (Option<usize>, Value) {
        let query = request.uri().query().unwrap_or_default();
        let number = |name: &str| -> Option<usize> {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name)?.1.parse().ok()
        };
        let (first, limit) = (number("continue").unwrap_or(0), number("limit"));
        let end = (first + limit.unwrap_or(all)).min(all);
        let token = match end < all {
            true => end.to_string(),
            false => String::new(),
        };
        let items: Vec<Value> = (first..end).map(object).collect();
        (
            limit,
            json!({"metadata": {"continue": token}, "items": items}),
        )
    }
}
