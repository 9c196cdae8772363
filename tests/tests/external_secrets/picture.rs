//! Pictures: what a case looks like at one moment, in the form of the recorded answers.

use std::time::Instant;

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

/// Everything that pictures are made of, as it was at one moment. One look at the cluster serves all cases.
pub(crate) struct Snapshot {
    began: Instant,
    /// The objects of each kind in [`SHOWN`], and the table that the API server makes of them.
    objects: Vec<(Value, Value)>,
    events: Value,
}

impl Snapshot {
    /// Looks at the cluster.
    pub(crate) async fn take(client: &Client) -> Self {
        let began = Instant::now();
        let mut objects = Vec::new();
        for name in SHOWN {
            let path = Kind::named(name).path();
            let list = get(client, &path, "application/json").await;
            let table = match has_columns(name) {
                true => {
                    get(
                        client,
                        &path,
                        "application/json;as=Table;g=meta.k8s.io;v=v1",
                    )
                    .await
                }
                false => Value::Null,
            };
            objects.push((list, table));
        }
        Self {
            began,
            objects,
            events: get(client, "/api/v1/events", "application/json").await,
        }
    }

    /// Returns true if every store says what became of its validation.
    pub(crate) fn is_validated(&self) -> bool {
        let kinds = SHOWN.iter().zip(&self.objects);
        let stores = kinds.filter(|(kind, _)| kind.ends_with("SecretStore"));
        let mut all = stores.flat_map(|(_, (list, _))| list["items"].as_array().unwrap());
        all.all(|store| store["status"]["conditions"].is_array())
    }

    /// Returns true if nothing in it is older than this.
    pub(crate) fn is_after(&self, moment: Instant) -> bool {
        self.began >= moment
    }
}

fn has_columns(kind: &str) -> bool {
    !matches!(kind, "Secret" | "ConfigMap")
}

/// Makes the picture of a case; `with_vault` says whether the vault is in it.
pub(crate) fn of(play: &Play<'_>, snapshot: &Snapshot, with_vault: bool) -> Value {
    let mut picture = Map::new();
    let mut columns = Map::new();
    for (name, (list, table)) in SHOWN.iter().zip(&snapshot.objects) {
        let kind = Kind::named(name);
        for object in list["items"].as_array().unwrap() {
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
            let object_name = object["metadata"]["name"].as_str().unwrap();
            if !is_of(play, &kind, namespace) || is_hidden(play, name, object_name) {
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
        take_columns(play, name, &kind, table, &mut columns);
    }
    picture.insert("columns".to_owned(), Value::Object(columns));
    picture.insert("events".to_owned(), events(play, &snapshot.events));
    picture.insert("refused".to_owned(), json!(play.refused));
    let vault = play.stage.vault.filter(|_| with_vault);
    let content = vault.map(|vault| vault.content(&play.namespace));
    picture.insert("vault".to_owned(), content.unwrap_or_default());
    Value::Object(picture)
}

fn is_of(play: &Play<'_>, kind: &Kind, namespace: &str) -> bool {
    !kind.namespaced || play.namespaces.contains(namespace)
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

fn take_columns(
    play: &Play<'_>,
    name: &str,
    kind: &Kind,
    table: &Value,
    columns: &mut Map<String, Value>,
) {
    let rows = table["rows"].as_array().into_iter().flatten();
    for row in rows {
        let namespace = row["object"]["metadata"]["namespace"].as_str();
        let cells = row["cells"].as_array().unwrap();
        let object_name = cells[0].as_str().unwrap();
        if !is_of(play, kind, namespace.unwrap_or_default()) || is_hidden(play, name, object_name) {
            continue;
        }
        let mut shown = Map::new();
        let definitions = table["columnDefinitions"].as_array().unwrap();
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

fn events(play: &Play<'_>, list: &Value) -> Value {
    let mut events = Map::new();
    for event in list["items"].as_array().unwrap() {
        let namespace = event["metadata"]["namespace"].as_str().unwrap();
        let object = &event["involvedObject"];
        let (kind, name) = (
            object["kind"].as_str().unwrap(),
            object["name"].as_str().unwrap(),
        );
        // Events about objects of the cluster are in the namespace default.
        let is_of = namespace == "default" || play.namespaces.contains(namespace);
        if !is_of || !SHOWN.contains(&kind) || is_hidden(play, kind, name) {
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
    Value::Object(events)
}

async fn get(client: &Client, path: &str, accept: &str) -> Value {
    let request = http::Request::get(path)
        .header("Accept", accept)
        .body(Vec::new())
        .unwrap();
    client.request(request).await.unwrap()
}
