//! Writes for ExternalSecrets: their targets, under the field manager that upstream uses, and the objects around them.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::Method;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealwright_crypto::secret::SecretBytes;
use sealwright_resources::external_secret::{MANAGED_LABEL, OWNER_LABEL};
use sealwright_resources::plain_secret::PlainSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{JSON, METADATA, bytes, read, written};
use super::list::{essentials, list};
use super::path::{self, MANAGER, labelled, part, secrets};
use crate::api::{Api, ApiError, METADATA_LIST};
use crate::frame::object::{Key, Version};

/// How many objects of a list are asked for at a time.
const LIMIT: usize = 100;

/// Creates a Secret as this field manager.
pub(crate) async fn create_secret_as(
    api: &Api,
    secret: &PlainSecret,
    manager: &str,
) -> Result<Version, ApiError> {
    let path = format!("{}?fieldManager={manager}", secrets(secret.namespace()));
    written(api, Method::POST, &path, &secret.to_json()).await
}

/// Replaces the Secret of the resource version in its metadata, as this field manager.
///
/// The whole object is written: what a field manager owns is pruned by what its last whole write recorded (T3).
pub(crate) async fn replace_secret_as(
    api: &Api,
    secret: &PlainSecret,
    manager: &str,
) -> Result<Version, ApiError> {
    let path = path::secret(secret.namespace(), secret.name());
    let path = format!("{path}?fieldManager={manager}");
    written(api, Method::PUT, &path, &secret.to_json()).await
}

/// Puts the managed label on a Secret.
pub(crate) async fn mark_secret(api: &Api, key: &Key, manager: &str) -> Result<(), ApiError> {
    let path = path::secret(&key.namespace, &key.name);
    let path = format!("{path}?fieldManager={manager}");
    let body = bytes(&json!({"metadata": {"labels": {MANAGED_LABEL: "true"}}}));
    api.call(Method::PATCH, &path, METADATA, Some(&body))
        .await
        .map(drop)
}

/// Deletes the Secret of this UID; that it is gone already is fine.
pub(crate) async fn delete_secret_of(api: &Api, key: &Key, uid: &str) -> Result<(), ApiError> {
    let path = path::secret(&key.namespace, &key.name);
    delete_object(api, &path, uid).await
}

/// The Secrets of a namespace that an ExternalSecret made: their names, UIDs and the times of their creation and deletion.
///
/// A list that is read from the API server's own cache has no pages, so this one is not.
pub(crate) async fn secrets_of_owner(
    api: &Api,
    namespace: &str,
    owner: &str,
) -> Result<Vec<ObjectMeta>, ApiError> {
    let path = labelled(&secrets(namespace), OWNER_LABEL, owner);
    let mut owned = Vec::new();
    let see = |metadata: ObjectMeta| {
        owned.push(ObjectMeta {
            labels: None,
            ..metadata
        });
    };
    list_metadata(api, &path, see).await?;
    Ok(owned)
}

/// Shows the essential metadata of all Secrets of a namespace.
pub(crate) async fn each_secret(
    api: &Api,
    namespace: &str,
    see: impl FnMut(ObjectMeta),
) -> Result<(), ApiError> {
    list_metadata(api, &secrets(namespace), see).await
}

/// Shows the metadata of all namespaces, without their annotations.
pub(crate) async fn each_namespace(
    api: &Api,
    mut see: impl FnMut(ObjectMeta),
) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    struct Item {
        metadata: ObjectMeta,
    }
    let see = |item: Item| {
        see(ObjectMeta {
            annotations: None,
            managed_fields: None,
            ..item.metadata
        });
    };
    list(api, ("/api/v1/namespaces", METADATA_LIST), LIMIT, see).await
}

async fn list_metadata(
    api: &Api,
    path: &str,
    mut see: impl FnMut(ObjectMeta),
) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    struct Item {
        #[serde(deserialize_with = "essentials")]
        metadata: ObjectMeta,
    }
    let see = |item: Item| see(item.metadata);
    list(api, (path, METADATA_LIST), LIMIT, see).await
}

/// The path of a ConfigMap.
pub(crate) fn config_map(namespace: &str, name: &str) -> String {
    format!("{}/configmaps/{}", path::namespace(namespace), part(name))
}

/// Reads the texts of a ConfigMap, if it exists; binary data is left out (T50).
pub(crate) async fn read_config_map(
    api: &Api,
    namespace: &str,
    name: &str,
) -> Result<Option<BTreeMap<String, String>>, ApiError> {
    #[derive(Deserialize)]
    struct ConfigMap {
        #[serde(default)]
        data: Option<BTreeMap<String, String>>,
    }
    match api.get(&config_map(namespace, name)).await {
        Ok(answer) => Ok(Some(read::<ConfigMap>(&answer)?.data.unwrap_or_default())),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The path of a ServiceAccount.
pub(crate) fn service_account(namespace: &str, name: &str) -> String {
    format!(
        "{}/serviceaccounts/{}",
        path::namespace(namespace),
        part(name)
    )
}

/// Asks for a token of a ServiceAccount.
pub(crate) async fn request_token(
    api: &Api,
    namespace: &str,
    account: &str,
    audiences: &[String],
    lifetime: Option<Duration>,
) -> Result<SecretBytes, ApiError> {
    #[derive(Deserialize)]
    struct Answer {
        status: Status,
    }
    #[derive(Deserialize)]
    struct Status {
        token: String,
    }
    let path = format!("{}/token", service_account(namespace, account));
    let mut spec = json!({"audiences": audiences});
    if let Some(lifetime) = lifetime {
        spec["expirationSeconds"] = lifetime.as_secs().into();
    }
    let body = bytes(&json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": spec,
    }));
    let answer: Answer = read(&api.call(Method::POST, &path, JSON, Some(&body)).await?)?;
    Ok(SecretBytes::from(answer.status.token.into_bytes()))
}

/// Asks whose token this is; nothing if it is no one's, or not made for us.
pub(crate) async fn review_token(
    api: &Api,
    token: &str,
    audience: Option<&str>,
) -> Result<Option<Value>, ApiError> {
    #[derive(Deserialize)]
    struct Answer {
        status: Status,
    }
    #[derive(Deserialize)]
    struct Status {
        #[serde(default)]
        authenticated: bool,
        #[serde(default)]
        audiences: Vec<String>,
        #[serde(default)]
        user: Value,
    }
    let mut spec = json!({"token": token});
    if let Some(audience) = audience {
        spec["audiences"] = json!([audience]);
    }
    let body = bytes(&json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": spec,
    }));
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let answer: Answer = read(&api.call(Method::POST, path, JSON, Some(&body)).await?)?;
    let status = answer.status;
    // A server that does not know audiences says nothing about them.
    let is_meant = audience.is_none_or(|audience| {
        let mut audiences = status.audiences.iter();
        audiences.any(|known| known == audience)
    });
    let is_ours = status.authenticated && is_meant;
    Ok(is_ours.then_some(status.user))
}

/// Asks whether a user may do something: `asked` has the attributes of a resource, or of a path.
pub(crate) async fn review_access(
    api: &Api,
    user: &Value,
    mut asked: Value,
) -> Result<bool, ApiError> {
    #[derive(Deserialize)]
    struct Answer {
        status: Status,
    }
    #[derive(Deserialize)]
    struct Status {
        #[serde(default)]
        allowed: bool,
    }
    for (field, name) in [
        ("user", "username"),
        ("uid", "uid"),
        ("groups", "groups"),
        ("extra", "extra"),
    ] {
        asked[field] = user[name].clone();
    }
    let body = bytes(&json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": asked,
    }));
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let answer: Answer = read(&api.call(Method::POST, path, JSON, Some(&body)).await?)?;
    Ok(answer.status.allowed)
}

/// Creates an object.
pub(crate) async fn create_object(api: &Api, path: &str, object: &Value) -> Result<(), ApiError> {
    let path = format!("{path}?{MANAGER}");
    written(api, Method::POST, &path, &bytes(object))
        .await
        .map(drop)
}

/// Changes an object by a merge patch.
pub(crate) async fn patch_object(api: &Api, path: &str, patch: &Value) -> Result<(), ApiError> {
    let path = format!("{path}?{MANAGER}");
    let body = bytes(patch);
    api.call(Method::PATCH, &path, METADATA, Some(&body))
        .await
        .map(drop)
}

/// Replaces the object of the resource version in its metadata.
pub(crate) async fn replace_object(api: &Api, path: &str, object: &Value) -> Result<(), ApiError> {
    let path = format!("{path}?{MANAGER}");
    written(api, Method::PUT, &path, &bytes(object))
        .await
        .map(drop)
}

/// Deletes the object of this UID; that it is gone already is fine.
pub(crate) async fn delete_object(api: &Api, path: &str, uid: &str) -> Result<(), ApiError> {
    let body = bytes(&json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": uid},
    }));
    match api.call(Method::DELETE, path, JSON, Some(&body)).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use hyper::{Request, Response};
    use kube::Client;
    use kube::client::Body;

    use super::super::list::tests::page;
    use super::*;
    use crate::page_size::MOST_BYTES;

    #[tokio::test]
    async fn secrets_are_listed_in_pages() {
        const ALL: usize = 250;
        let limits = Arc::new(Mutex::new(Vec::new()));
        let service = tower::service_fn({
            let limits = Arc::clone(&limits);
            move |request: Request<Body>| {
                let (limit, list) = page(&request, ALL, |number| {
                    json!({"metadata": {
                        "name": format!("s{number}"),
                        "uid": format!("u{number}"),
                        "labels": {"a": "b"},
                        "annotations": {"note": "x".repeat(1000)},
                    }})
                });
                limits.lock().unwrap().push(limit);
                let answer = Response::new(Body::from(list.to_string().into_bytes()));
                async move { Ok::<_, Infallible>(answer) }
            }
        });
        let api = Api::new(Client::new(service, "ns"), None, 1);
        let expected: Vec<String> = (0..ALL).map(|number| format!("s{number}")).collect();
        let owned = secrets_of_owner(&api, "ns", "o").await.unwrap();
        let names = owned.iter().filter_map(|metadata| metadata.name.clone());
        assert_eq!(names.collect::<Vec<_>>(), expected);
        let last = ObjectMeta {
            name: Some("s249".to_owned()),
            uid: Some("u249".to_owned()),
            ..ObjectMeta::default()
        };
        assert_eq!(owned.last(), Some(&last));
        let mut names = Vec::new();
        let see = |metadata: ObjectMeta| {
            assert_eq!(metadata.labels.unwrap()["a"], "b");
            names.extend(metadata.name);
        };
        each_secret(&api, "ns", see).await.unwrap();
        assert_eq!(names, expected);
        assert_eq!(*limits.lock().unwrap(), [Some(100); 6]);
    }

    #[tokio::test]
    async fn a_page_that_is_too_long_is_asked_for_again_with_fewer_objects() {
        // One author may have a great many annotations on every Secret, and in a single one more than fits in a page.
        const ALL: usize = 60;
        let limits = Arc::new(Mutex::new(Vec::new()));
        let service = tower::service_fn({
            let limits = Arc::clone(&limits);
            move |request: Request<Body>| {
                let (limit, list) = page(&request, ALL, |number| {
                    let size = if number == 40 { MOST_BYTES } else { 200 << 10 };
                    json!({"metadata": {
                        "name": format!("s{number}"),
                        "annotations": {"note": "x".repeat(size)},
                    }})
                });
                limits.lock().unwrap().push(limit.unwrap());
                let answer = Response::new(Body::from(list.to_string().into_bytes()));
                async move { Ok::<_, Infallible>(answer) }
            }
        });
        let api = Api::new(Client::new(service, "ns"), None, 1);
        let mut names = Vec::new();
        let see = |metadata: ObjectMeta| names.extend(metadata.name);
        // One place is enough, and is given back.
        let mut places = Vec::new();
        while let Some(place) = api.places().take(true).await {
            places.push(place);
        }
        drop(places.pop());
        each_secret(&api, "ns", see).await.unwrap();
        assert!(api.places().take(true).await.is_some());
        let expected: Vec<String> = (0..ALL).map(|number| format!("s{number}")).collect();
        assert_eq!(names, expected);
        let limits = limits.lock().unwrap();
        assert_eq!(limits[..3], [100, 12, 10]);
        assert!(limits.contains(&1), "{limits:?}");
    }
}
