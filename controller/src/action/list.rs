//! Lists, read page by page: all objects of a namespace together may be larger than the memory.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta, Time};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::api::{Api, ApiError};
use crate::page_size::PageSize;

/// Lists what is behind a path, with at most `limit` objects to a page, and shows each of them to `see`. A page that is too long
/// is asked for again with fewer; its objects are read one by one, as they may take ten times the memory of their text.
pub(crate) async fn list<T: for<'de> Deserialize<'de>>(
    api: &Api,
    (path, accept): (&str, &str),
    limit: usize,
    mut see: impl FnMut(T),
) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(default)]
        metadata: ListMeta,
        // An empty list of metadata has null here.
        #[serde(borrow)]
        items: Option<Vec<&'a RawValue>>,
    }
    let unreadable = |_| ApiError::Unreadable;
    let separator = match path.contains('?') {
        true => '&',
        false => '?',
    };
    let mut token = String::new();
    let mut size = PageSize::new(limit, limit);
    loop {
        let asked = size.objects();
        let path = format!("{path}{separator}limit={asked}&continue={token}");
        let (place, most) = size.place(api.places()).await;
        let answer = match api.get_within(&path, accept, most).await {
            Err(ApiError::TooLong) => {
                size.exceeded(&place);
                continue;
            }
            answer => answer?,
        };
        let page: Page<'_> = serde_json::from_slice(answer.expose()).map_err(unreadable)?;
        let items = page.items.unwrap_or_default();
        let _place = size.read(items.len(), answer.len(), place);
        for item in items {
            see(serde_json::from_str(item.get()).map_err(unreadable)?);
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
