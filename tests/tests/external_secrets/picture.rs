//! Pictures: what a case looks like at one moment, in the form of the recorded answers.

use kube::Client;
use serde_json::{Map, Value, json};

use super::case::Play;
use super::kinds::Kind;

/// Kinds in a picture.
const SHOWN: &[&str] = &[
    "Secret",
    "ConfigMap",
    "ExternalSecret",
    "SecretStore",
    "ClusterSecretStore",
    "ClusterExternalSecret",
    "PushSecret",
    "ClusterPushSecret",
];

/// Takes a picture.
pub(crate) async fn take(play: &Play<'_>) -> Value {
    let client = &play.stage.client;
    let mut picture = Map::new();
    let mut columns = Map::new();
    for name in SHOWN {
        let kind = Kind::named(name);
        for namespace in namespaces(play, &kind) {
            let list: Value = get(client, &kind.path(namespace), "application/json").await;
            for object in list["items"].as_array().unwrap() {
                let object_name = object["metadata"]["name"].as_str().unwrap();
                if is_hidden(play, name, object_name) {
                    continue;
                }
                let title = match kind.namespaced && namespace != play.namespace {
                    true => format!("{name} {namespace}/{object_name}"),
                    false => format!("{name} {object_name}"),
                };
                let mut shown = shown(name, object);
                if *name == "Secret" {
                    blur(&mut shown, &play.opaque);
                }
                picture.insert(title, shown);
            }
            if !matches!(*name, "Secret" | "ConfigMap") {
                take_columns(play, name, &kind, namespace, &mut columns).await;
            }
        }
    }
    let mut picture: Map<String, Value> = picture;
    picture.insert("columns".to_owned(), Value::Object(columns));
    picture.insert("events".to_owned(), events(play).await);
    picture.insert("refused".to_owned(), json!(play.refused));
    let content = play.stage.vault.map(|vault| vault.content(&play.namespace));
    picture.insert("vault".to_owned(), content.unwrap_or_default());
    Value::Object(picture)
}

fn namespaces<'a>(play: &'a Play<'_>, kind: &Kind) -> Vec<&'a str> {
    match kind.namespaced {
        true => play.namespaces.iter().map(String::as_str).collect(),
        false => vec![""],
    }
}

fn is_hidden(play: &Play<'_>, kind: &str, name: &str) -> bool {
    match kind {
        "Secret" => name == "bao-token",
        "ConfigMap" => name == "kube-root-ca.crt",
        "ClusterSecretStore" | "ClusterExternalSecret" | "ClusterPushSecret" => !play
            .cluster_objects
            .contains(&(kind.to_owned(), name.to_owned())),
        _ => false,
    }
}

fn shown(kind: &str, object: &Value) -> Value {
    let mut shown = Map::new();
    let metadata = &object["metadata"];
    let mut put = |name: &str, value: Value| {
        let empty = match &value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        if !empty {
            shown.insert(name.to_owned(), value);
        }
    };
    put("labels", metadata["labels"].clone());
    put("annotations", metadata["annotations"].clone());
    put("finalizers", metadata["finalizers"].clone());
    let owners = metadata["ownerReferences"].as_array().into_iter().flatten();
    let yes = |value: &Value| if value == true { "True" } else { "False" };
    put(
        "owners",
        owners
            .map(|owner| {
                format!(
                    "{} {} {} {}",
                    owner["kind"].as_str().unwrap(),
                    owner["name"].as_str().unwrap(),
                    yes(&owner["controller"]),
                    yes(&owner["blockOwnerDeletion"])
                )
            })
            .collect(),
    );
    if metadata.get("deletionTimestamp").is_some() {
        put("deleting", json!(true));
    }
    if matches!(kind, "Secret" | "ConfigMap") {
        put("data", object["data"].clone());
        put("type", object["type"].clone());
        put("immutable", object["immutable"].clone());
        let managers = metadata["managedFields"].as_array().into_iter().flatten();
        let mut managers: Vec<String> = managers
            .filter(|entry| entry["manager"].as_str().unwrap().contains('/'))
            .map(|entry| {
                let word = |name: &str| entry[name].as_str().unwrap().to_owned();
                format!("{} {}", word("manager"), word("operation"))
            })
            .collect();
        managers.sort();
        managers.dedup();
        put("managers", json!(managers));
    } else {
        put("status", status(&object["status"]));
    }
    Value::Object(shown)
}

/// Shows only the shape of random values, and no hash of them.
fn blur(secret: &mut Value, opaque: &[String]) {
    let is_opaque = |name: &str| opaque.iter().any(|known| known == "*" || known == name);
    let mut blurred = false;
    let data = secret.get_mut("data").and_then(Value::as_object_mut);
    for (name, value) in data.into_iter().flatten() {
        if is_opaque(name) {
            let bytes =
                sealwright_crypto::sealing::base64::decode(value.as_str().unwrap().as_bytes());
            *value = shape(&String::from_utf8_lossy(&bytes.unwrap())).into();
            blurred = true;
        }
    }
    let hash = secret.pointer_mut("/annotations/reconcile.external-secrets.io~1data-hash");
    if let (true, Some(hash)) = (blurred, hash) {
        *hash = "<hash>".into();
    }
}

fn shape(text: &str) -> String {
    let some = |kind: fn(&char) -> bool| match text.chars().any(|letter| kind(&letter)) {
        true => "some",
        false => "none",
    };
    let symbols = text.chars().filter(|letter| !letter.is_alphanumeric());
    format!(
        "len={} digits={} upper={} lower={} symbols={}",
        text.chars().count(),
        some(char::is_ascii_digit),
        some(char::is_ascii_uppercase),
        some(char::is_ascii_lowercase),
        symbols.count()
    )
}

fn status(status: &Value) -> Value {
    let mut status = status.clone();
    if status.is_null() {
        return status;
    }
    if status.get("refreshTime").is_some_and(Value::is_string) {
        status["refreshTime"] = json!("<set>");
    }
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        condition
            .as_object_mut()
            .unwrap()
            .remove("lastTransitionTime");
    }
    status
}

async fn take_columns(
    play: &Play<'_>,
    name: &str,
    kind: &Kind,
    namespace: &str,
    columns: &mut Map<String, Value>,
) {
    let accept = "application/json;as=Table;g=meta.k8s.io;v=v1";
    let table = get(&play.stage.client, &kind.path(namespace), accept).await;
    let definitions = table["columnDefinitions"].as_array().unwrap();
    for row in table["rows"].as_array().into_iter().flatten() {
        let cells = row["cells"].as_array().unwrap();
        let object_name = cells[0].as_str().unwrap();
        if is_hidden(play, name, object_name) {
            continue;
        }
        let mut shown = Map::new();
        for (definition, cell) in definitions.iter().zip(cells) {
            let cell = match definition["type"].as_str() {
                Some("date") if !cell.is_null() => json!("<date>"),
                _ => cell.clone(),
            };
            let title = definition["name"].as_str().unwrap();
            shown.insert(title.to_owned(), cell);
        }
        columns.insert(format!("{name} {object_name}"), Value::Object(shown));
    }
}

async fn events(play: &Play<'_>) -> Value {
    let mut events = Map::new();
    let mut paths: Vec<String> = play
        .namespaces
        .iter()
        .map(|namespace| format!("/api/v1/namespaces/{namespace}/events"))
        .collect();
    paths.push("/api/v1/namespaces/default/events".to_owned());
    for path in paths {
        let list = get(&play.stage.client, &path, "application/json").await;
        for event in list["items"].as_array().unwrap() {
            let object = &event["involvedObject"];
            let (kind, name) = (
                object["kind"].as_str().unwrap(),
                object["name"].as_str().unwrap(),
            );
            if !SHOWN.contains(&kind) || is_hidden(play, kind, name) {
                continue;
            }
            let word = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            let title = format!(
                "{kind} {name} {} {} {}",
                word("type"),
                word("reason"),
                word("message")
            );
            events.insert(title, event["source"]["component"].clone());
        }
    }
    Value::Object(events)
}

async fn get(client: &Client, path: &str, accept: &str) -> Value {
    let request = http::Request::get(path)
        .header("Accept", accept)
        .body(Vec::new())
        .unwrap();
    client.request(request).await.unwrap()
}
