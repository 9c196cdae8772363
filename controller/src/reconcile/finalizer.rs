//! Finalizers: what keeps a deleted object until what it stands for has ended.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde_json::json;

use crate::action;
use crate::api::{Api, ApiError};
use crate::frame::kind::{Kind, Trouble};
use crate::frame::object::Key;

/// Returns true if the object has this finalizer.
pub(super) fn is_set(metadata: &ObjectMeta, finalizer: &str) -> bool {
    let mut finalizers = metadata.finalizers.iter().flatten();
    finalizers.any(|known| known == finalizer)
}

/// Adds a finalizer or takes it away, and touches nothing else; the object must still be of the version that was seen.
pub(super) async fn set<K: Resource<DynamicType = ()>>(
    api: &Api,
    key: &Key,
    metadata: &ObjectMeta,
    finalizer: &str,
    wanted: bool,
) -> Result<(), ApiError> {
    let mut finalizers = metadata.finalizers.clone().unwrap_or_default();
    finalizers.retain(|known| known != finalizer);
    if wanted {
        finalizers.push(finalizer.to_owned());
    }
    let patch = json!({
        "finalizers": finalizers,
        "resourceVersion": metadata.resource_version,
    });
    action::patch_metadata::<K>(api, key, patch).await.map(drop)
}

/// Takes a finalizer away from an object that has ended. Returns when to try again if the API server refuses.
pub(super) async fn release<K: Kind>(
    kind: &K,
    key: &Key,
    metadata: &ObjectMeta,
    finalizer: &str,
) -> Option<Duration> {
    match set::<K::Object>(kind.frame().api(), key, metadata, finalizer, false).await {
        Err(error) if !error.is_not_found() => {
            kind.trouble(key, Trouble::Fetch, &error);
            Some(Duration::from_secs(5))
        }
        _ => None,
    }
}
