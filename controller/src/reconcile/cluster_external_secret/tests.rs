use std::convert::Infallible;
use std::sync::Mutex;

use hyper::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;

use super::*;
use crate::frame::plain;

/// What is asked for beside reading, with two namespaces that hold an ExternalSecret. In one of them nothing can be deleted.
async fn written(
    work: impl AsyncFnOnce(&ClusterExternalSecrets, &ClusterExternalSecret),
) -> Vec<String> {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let service = tower::service_fn({
        let asked = Arc::clone(&asked);
        move |request: Request<Body>| {
            let path = request.uri().path().to_owned();
            let namespace = |name: &str| {
                json!({"metadata": {"name": name, "resourceVersion": "1",
                    "finalizers": ["externalsecrets.external-secrets.io/ces-ces"]}})
            };
            let answer = match path.rsplit('/').next() {
                Some("namespaces") => {
                    json!({"metadata": {}, "items": [namespace("stuck"), namespace("was")]})
                }
                Some("es") => json!({"metadata": {"name": "es", "uid": "u", "ownerReferences": [
                    {"controller": true, "kind": KIND, "name": "ces"}]}}),
                _ => namespace("was"),
            };
            let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
            if request.method() != Method::GET {
                asked
                    .lock()
                    .unwrap()
                    .push(format!("{} {path}", request.method()));
                if path.contains("/stuck/") {
                    *response.status_mut() = StatusCode::FORBIDDEN;
                }
            }
            async move { Ok::<_, Infallible>(response) }
        }
    });
    let shared = plain::shared(Client::new(service, "ns"));
    let kind = ClusterExternalSecrets::new(shared, plain::watching());
    // Its status was not written after they were made.
    let object = json!({
        "apiVersion": API_VERSION, "kind": KIND,
        "metadata": {"name": "ces", "uid": "c", "finalizers": [FINALIZER]},
        "spec": {"externalSecretName": "es", "externalSecretSpec": {}},
    });
    work(&kind, &serde_json::from_value(object).unwrap()).await;
    let asked = asked.lock().unwrap();
    asked.clone()
}

const STUCK: &str = "DELETE /apis/external-secrets.io/v1/namespaces/stuck/externalsecrets/es";
const WAS: [&str; 2] = [
    "DELETE /apis/external-secrets.io/v1/namespaces/was/externalsecrets/es",
    "PATCH /api/v1/namespaces/was",
];

#[tokio::test]
async fn a_namespace_with_the_finalizer_is_cleaned_up_although_the_status_does_not_name_it() {
    let asked = written(async |kind, object| {
        let attempt = kind.work(&Key::new("", "ces"), object).await;
        assert!(attempt.outcome.again_soon);
        let status = attempt.outcome.status.unwrap();
        assert_eq!(status.provisioned_namespaces, ["stuck"]);
        assert_eq!(status.failed_namespaces[0].namespace, "stuck");
    });
    assert_eq!(asked.await, [STUCK, WAS[0], WAS[1]]);
}

#[tokio::test]
async fn one_namespace_that_cannot_be_cleaned_up_does_not_stop_the_others() {
    let asked = written(async |kind, object| {
        let again = kind.finalize(&Key::new("", "ces"), object).await;
        assert!(again.is_some());
    });
    // The finalizer of the object itself stays.
    assert_eq!(asked.await, [STUCK, WAS[0], WAS[1]]);
}

#[test]
fn an_object_that_cannot_be_read_keeps_the_record_of_what_was_made() {
    let before = ClusterExternalSecretStatus {
        external_secret_name: Some("es".to_owned()),
        conditions: vec![cluster_external_secret::ready(&[])],
        provisioned_namespaces: vec!["one".to_owned(), "two".to_owned()],
        failed_namespaces: Vec::new(),
    };
    let after = faulty(Some(&before), "spec.refreshTime cannot be read");
    assert_eq!(after.provisioned_namespaces, ["one", "two"]);
    assert_eq!(after.external_secret_name.as_deref(), Some("es"));
    assert_eq!(after.conditions[0].status, "False");
    let reason = after.failed_namespaces[0].reason.as_deref();
    assert_eq!(reason, Some("spec.refreshTime cannot be read"));
    assert_eq!(faulty(Some(&after), reason.unwrap()), after);
}
