//! The one place that writes to the API server.
//!
//! Secrets are created with POST and replaced with PUT under the resource version that was seen.
//! Server-side apply is not used on purpose: it cannot take away what another writer put into an
//! object, while the contract with users is that a Secret is replaced as a whole; and it takes
//! away what we once set from Secrets that are only patched, where the contract is that nothing is
//! ever removed. It would also need a permission that installations of upstream lack.

mod body;
mod list;
mod path;
mod target;

pub(crate) use self::body::{JSON, metadata_of, read};
#[cfg(test)]
pub(crate) use self::list::tests as list_tests;
pub(crate) use self::list::{essentials, list};
pub(crate) use self::path::{labelled, leases, namespace, part, path_of, secret};
pub(crate) use self::target::{
    config_map, create_object, create_secret_as, delete_object, delete_secret_of, each_namespace,
    each_secret, mark_secret, patch_object, read_config_map, replace_object, replace_secret_as,
    request_token, review_access, review_token, secrets_of_owner, service_account,
};

use hyper::Method;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use sealwright_resources::plain_secret::PlainSecret;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::body::{METADATA, bytes, written};
use self::path::{MANAGER, secrets};
use crate::api::{Api, ApiError};
use crate::frame::event::{Event, Recorder};
use crate::frame::object::{Key, Version, key_of};

/// Creates a Secret; its plaintext becomes JSON here.
pub(crate) async fn create_secret(api: &Api, secret: &PlainSecret) -> Result<Version, ApiError> {
    let path = format!("{}?{MANAGER}", secrets(secret.namespace()));
    written(api, Method::POST, &path, &secret.to_json()).await
}

/// Replaces the Secret of the resource version in its metadata.
pub(crate) async fn replace_secret(api: &Api, secret: &PlainSecret) -> Result<Version, ApiError> {
    let path = format!(
        "{}?{MANAGER}",
        self::secret(secret.namespace(), secret.name())
    );
    written(api, Method::PUT, &path, &secret.to_json()).await
}

/// Deletes a Secret; that it is gone already is fine.
pub(crate) async fn delete_secret(api: &Api, namespace: &str, name: &str) -> Result<(), ApiError> {
    let path = secret(namespace, name);
    match api.call(Method::DELETE, &path, JSON, None).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes the status of the object with this metadata, if it still has this resource version.
pub(crate) async fn set_status<K, S>(
    api: &Api,
    metadata: &ObjectMeta,
    status: &S,
) -> Result<Version, ApiError>
where
    K: Resource<DynamicType = ()>,
    S: Serialize + Sync,
{
    let path = format!("{}/status?{MANAGER}", path_of::<K>(&key_of(metadata)));
    // A write to the status subresource takes the status alone; the version makes it conditional.
    let body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {
            "name": metadata.name,
            "namespace": metadata.namespace,
            "uid": metadata.uid,
            "resourceVersion": metadata.resource_version,
        },
        "status": status,
    });
    written(api, Method::PUT, &path, &bytes(&body)).await
}

/// Changes the metadata of the object of this key by a merge patch: finalizers, labels, annotations.
///
/// With a resource version in the patch, only that version is changed.
pub(crate) async fn patch_metadata<K: Resource<DynamicType = ()>>(
    api: &Api,
    key: &Key,
    metadata: serde_json::Value,
) -> Result<ObjectMeta, ApiError> {
    let path = format!("{}?{MANAGER}", path_of::<K>(key));
    let body = bytes(&json!({ "metadata": metadata }));
    let answer = api
        .call(Method::PATCH, &path, METADATA, Some(&body))
        .await?;
    metadata_of(&answer)
}

/// Writes an event, unless the object has had enough of them; one that cannot be written is only logged.
pub(crate) async fn emit(api: &Api, recorder: &Recorder, event: &Event) {
    let Some(write) = recorder.write(event, Timestamp::now()) else {
        return;
    };
    let mut namespace = event.namespace.as_str();
    if namespace.is_empty() {
        namespace = "default";
    }
    let events = format!("{}/events", self::namespace(namespace));
    let result = match &write.again {
        Some(name) => {
            let path = format!("{events}/{name}?{MANAGER}");
            api.call(Method::PATCH, &path, METADATA, Some(&bytes(&write.patch)))
                .await
        }
        None => Err(ApiError::Unreadable),
    };
    // Events expire, so the one to be counted up may be gone.
    let result = match result {
        Err(error) if write.again.is_none() || error.is_not_found() => {
            let path = format!("{events}?{MANAGER}");
            api.call(Method::POST, &path, METADATA, Some(&bytes(&write.event)))
                .await
        }
        other => other,
    };
    if let Err(error) = result {
        tracing::warn!(reason = event.reason, error = %error, "cannot write an event");
    }
}

/// Writes a sealing key; the API server completes its name.
pub(crate) async fn create_key(
    api: &Api,
    namespace: &str,
    key: &PlainSecret,
) -> Result<String, ApiError> {
    let path = format!("{}?{MANAGER}", secrets(namespace));
    let answer = api
        .call(Method::POST, &path, METADATA, Some(&key.to_json()))
        .await?;
    Ok(metadata_of(&answer)?.name.unwrap_or_default())
}

/// Creates the Lease.
pub(crate) async fn create_lease(
    api: &Api,
    namespace: &str,
    lease: &Lease,
) -> Result<Lease, ApiError> {
    let path = leases(namespace);
    let body = bytes(&serde_json::to_value(lease).expect("a Lease is JSON"));
    read(&api.call(Method::POST, &path, JSON, Some(&body)).await?)
}

/// Asks whether the Lease could be created, and creates nothing.
pub(crate) async fn rehearse_lease(
    api: &Api,
    namespace: &str,
    lease: &Lease,
) -> Result<(), ApiError> {
    let path = format!("{}?dryRun=All", leases(namespace));
    let body = bytes(&serde_json::to_value(lease).expect("a Lease is JSON"));
    api.call(Method::POST, &path, JSON, Some(&body))
        .await
        .map(drop)
}

/// Replaces the Lease of the resource version in its metadata.
pub(crate) async fn replace_lease(
    api: &Api,
    namespace: &str,
    lease: &Lease,
) -> Result<Lease, ApiError> {
    let name = lease.metadata.name.as_deref().unwrap_or_default();
    let path = format!("{}/{name}", leases(namespace));
    let body = bytes(&serde_json::to_value(lease).expect("a Lease is JSON"));
    read(&api.call(Method::PUT, &path, JSON, Some(&body)).await?)
}

/// Reads an object of a kind, in the form that is wanted of it.
pub(crate) async fn object<K, T>(api: &Api, key: &Key) -> Result<T, ApiError>
where
    K: Resource<DynamicType = ()>,
    T: for<'de> Deserialize<'de>,
{
    read(&api.get(&path_of::<K>(key)).await?)
}

/// Says in one text which versions the objects at these paths have; one that cannot be read has none.
pub(crate) async fn versions(api: &Api, paths: Vec<String>) -> String {
    let mut versions = String::new();
    for path in paths {
        let metadata = api.get_metadata(&path).await;
        let metadata = metadata.and_then(|answer| metadata_of(&answer));
        let version = metadata.ok().and_then(|metadata| metadata.resource_version);
        versions.push_str(version.as_deref().unwrap_or("-"));
        versions.push(' ');
    }
    versions
}
