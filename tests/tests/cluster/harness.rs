//! What the other cases take for granted of the API server and the harness.

use std::io::{Read, Write};
use std::net::TcpListener;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use sealwright_tests::harness::cluster;
use sealwright_tests::harness::cluster::{Cluster, eventually, rule};
use serde_json::json;

#[tokio::test]
async fn a_narrow_role_is_refused_what_it_does_not_grant() {
    let namespace = cluster().namespace("narrow-role").await;
    let account = namespace
        .account("reader", &[rule("", &["configmaps"], &["get", "list"])])
        .await;
    let client = account.client().await;

    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace.name());
    config_maps.list(&ListParams::default()).await.unwrap();

    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace.name());
    assert_eq!(code(secrets.list(&ListParams::default()).await), 403);
    assert_eq!(
        code(
            config_maps
                .create(&PostParams::default(), &config_map("new"))
                .await
        ),
        403
    );
    let elsewhere: Api<ConfigMap> = Api::namespaced(client, "default");
    assert_eq!(code(elsewhere.list(&ListParams::default()).await), 403);
}

#[tokio::test]
async fn a_custom_resource_with_a_status_subresource_is_applied_and_read() {
    cluster().apply(WIDGET);
    let namespace = cluster().namespace("custom-resource").await;
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(
        "test.sealwright.dev",
        "v1",
        "Widget",
    ));
    let widgets: Api<DynamicObject> =
        Api::namespaced_with(namespace.client().clone(), namespace.name(), &kind);
    let apply = PatchParams::apply("test").force();
    let object = json!({
        "apiVersion": "test.sealwright.dev/v1", "kind": "Widget", "metadata": { "name": "one" },
        "spec": { "size": 3 }, "status": { "seen": 1 },
    });
    let applied = widgets
        .patch("one", &apply, &Patch::Apply(&object))
        .await
        .unwrap();
    assert_eq!(
        applied.data.get("status"),
        None,
        "the main resource does not write the status"
    );
    assert_eq!(applied.metadata.generation, Some(1));

    let status = json!({
        "apiVersion": "test.sealwright.dev/v1", "kind": "Widget", "status": { "seen": 7 },
    });
    widgets
        .patch_status("one", &apply, &Patch::Apply(&status))
        .await
        .unwrap();
    let read = widgets.get("one").await.unwrap();
    assert_eq!(read.data["spec"]["size"], 3);
    assert_eq!(read.data["status"]["seen"], 7);
    assert_eq!(
        read.metadata.generation,
        Some(1),
        "a status is no new generation"
    );
}

#[tokio::test]
async fn an_owned_object_is_collected() {
    let namespace = cluster().namespace("owned").await;
    let owner = namespace.create(&config_map("owner")).await;
    let mut owned = config_map("owned");
    owned.metadata.owner_references = Some(vec![
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid,
        }))
        .unwrap(),
    ]);
    namespace.create(&owned).await;
    let config_maps: Api<ConfigMap> = namespace.api();
    config_maps
        .delete("owner", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    eventually("the owned object is gone", async || {
        config_maps
            .get_opt("owned")
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_program_is_reached_through_the_service_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            let length = connection.read(&mut request).unwrap();
            let path = String::from_utf8_lossy(&request[..length])
                .split(' ')
                .nth(1)
                .unwrap()
                .to_owned();
            let answer = format!("you asked for {path}");
            write!(
                connection,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
                answer.len()
            )
            .unwrap();
        }
    });
    let namespace = cluster().namespace("service-proxy").await;
    namespace.expose("door", 8080, port).await;
    let path = format!(
        "/api/v1/namespaces/{}/services/http:door:8080/proxy/v1/cert.pem",
        namespace.name()
    );
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    let answer = namespace.client().request_text(request).await.unwrap();
    assert_eq!(answer, "you asked for /v1/cert.pem");
}

#[tokio::test]
async fn requests_are_told_apart_by_who_asked_what() {
    let namespace = cluster().namespace("requests").await;
    let account = namespace
        .account("counted", &[rule("", &["secrets"], &["get"])])
        .await;
    let secrets: Api<Secret> = Api::namespaced(account.client().await, namespace.name());
    for _ in 0..3 {
        assert!(secrets.get_opt("absent").await.unwrap().is_none());
    }
    assert_eq!(code(secrets.list(&ListParams::default()).await), 403);
    let seen = eventually("all four requests are written down", async || {
        let mut requests = cluster().requests();
        requests.retain(|request| request.user() == account.user());
        (requests.len() >= 4).then_some(requests)
    })
    .await;
    let told: Vec<_> = seen
        .iter()
        .map(|request| {
            (
                &*request.verb,
                request.resource(),
                request.name(),
                request.code(),
            )
        })
        .collect();
    let get = ("get", "secrets".to_owned(), "absent", 404);
    assert_eq!(
        told,
        [
            get.clone(),
            get.clone(),
            get,
            ("list", "secrets".to_owned(), "", 403)
        ]
    );
}

#[tokio::test]
async fn an_api_server_comes_back_with_its_data_and_two_clusters_do_not_meet() {
    let own = Cluster::start();
    assert_ne!(own.port(), cluster().port());
    let namespace = own.namespace("restart").await;
    namespace.create(&config_map("kept")).await;
    own.stop_api_server();
    let config_maps: Api<ConfigMap> = namespace.api();
    assert!(config_maps.get("kept").await.is_err());
    own.start_api_server();
    let config_maps: Api<ConfigMap> = Api::namespaced(own.client().await, namespace.name());
    config_maps.get("kept").await.unwrap();
    let folder = own.sandbox().path().to_owned();
    drop(own);
    assert!(!folder.exists());
}

fn config_map(name: &str) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.name = Some(name.to_owned());
    object
}

fn code<T: std::fmt::Debug>(answer: kube::Result<T>) -> u16 {
    match answer {
        Err(kube::Error::Api(status)) => status.code,
        other => panic!("not refused: {other:?}"),
    }
}

const WIDGET: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: widgets.test.sealwright.dev
spec:
  group: test.sealwright.dev
  names: {kind: Widget, plural: widgets, singular: widget}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: integer}}}
          status: {type: object, properties: {seen: {type: integer}}}
";
