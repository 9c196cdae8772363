//! Objects that are read one by one: one that cannot be read costs the others of a list or a watch nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::DynamicResourceScope;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::tracked::Digest;

/// An object of a list, of a watch or of an answer, or why it cannot be read.
///
/// A status that cannot be read counts as none: it is ours to write, and is written again. `managedFields` are left out: they take
/// twenty times the memory of their text, and nothing here needs them. The second field is about what the object takes in memory.
#[derive(Debug, Clone)]
pub(crate) struct Read<K>(pub(crate) Result<K, Box<Unreadable>>, usize);

/// An object that cannot be read. Its text names the field, never a value.
#[derive(Debug, Clone, Error)]
#[error("{fault}")]
pub(crate) struct Unreadable {
    /// Its metadata, which the API server has checked.
    pub(crate) metadata: ObjectMeta,
    /// What cannot be read, and what was expected there.
    fault: String,
    /// A digest of everything but metadata and status.
    pub(crate) digest: Digest,
    /// Its status as it lies there.
    status: Option<Value>,
}

impl Unreadable {
    /// Its status, if that can be read.
    pub(crate) fn status<S: DeserializeOwned>(&self) -> Option<S> {
        serde_json::from_value(self.status.clone()?).ok()
    }
}

impl<K> Read<K> {
    /// About what it takes in memory, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.1
    }
}

impl<K: DeserializeOwned + Resource> Read<K> {
    /// Reads the JSON text of one object; fails only if it is no JSON object with metadata.
    pub(crate) fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let lean;
        let text = match text.len() {
            0..=LARGE => text,
            _ => {
                lean = lean_object(text)?;
                &*lean
            }
        };
        let mut read = match serde_json::from_str(text) {
            Ok(object) => Self(Ok(object), in_memory(text)),
            Err(_) => Self::from_faulty(text)?,
        };
        read.meta_mut().managed_fields = None;
        Ok(read)
    }

    /// Reads an object that cannot be read at once: without its status, and without `managedFields`.
    ///
    /// Those follow the fields of the object, two levels for each of its own: a tenant who nests deeply enough in a part that is
    /// kept as it is makes metadata that no reader with a limit of depth takes, and nothing here needs them. So the parts are
    /// taken apart by their texts, which is no recursion.
    fn from_faulty(text: &str) -> Result<Self, serde_json::Error> {
        let mut parts: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
        let status = parts.remove("status");
        let metadata = match parts.remove("metadata") {
            Some(metadata) => without_managed_fields(metadata.get())?,
            None => return Err(serde::de::Error::missing_field("metadata")),
        };
        let mut digest = Sha256::new();
        for (name, part) in &parts {
            digest.update(name.len().to_be_bytes());
            digest.update(name);
            digest.update(part.get().len().to_be_bytes());
            digest.update(part.get());
        }
        let digest = Digest(digest.finalize().into());
        parts.insert("metadata".to_owned(), &metadata);
        let rest = serde_json::to_string(&parts)?;
        let mut reader = serde_json::Deserializer::from_str(&rest);
        let fault = match serde_path_to_error::deserialize(&mut reader) {
            Ok(object) => return Ok(Self(Ok(object), in_memory(text))),
            Err(error) => fault(&error),
        };
        let unreadable = Unreadable {
            metadata: serde_json::from_str(metadata.get())?,
            fault,
            digest,
            status: status.and_then(|status| serde_json::from_str(status.get()).ok()),
        };
        Ok(Self(Err(Box::new(unreadable)), in_memory(text)))
    }
}

/// An object with a longer text is read without its `managedFields` from the start.
const LARGE: usize = 64 << 10;

/// About how many bytes an object of this text takes in memory: beside the text itself, some for every string, however short, and
/// for every entry of a list or a map.
fn in_memory(text: &str) -> usize {
    const STRING: usize = 40;
    const ENTRY: usize = 32;
    let count = |wanted: u8| text.bytes().filter(|byte| *byte == wanted).count();
    text.len() + count(b'"') / 2 * STRING + count(b',') * ENTRY
}

/// The text of an object without its `managedFields`.
fn lean_object(text: &str) -> Result<String, serde_json::Error> {
    let mut parts: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
    let metadata = match parts.get("metadata") {
        Some(metadata) => without_managed_fields(metadata.get())?,
        None => return Err(serde::de::Error::missing_field("metadata")),
    };
    parts.insert("metadata".to_owned(), &metadata);
    serde_json::to_string(&parts)
}

/// Reads metadata without `managedFields`.
pub(crate) fn metadata(text: &str) -> Result<ObjectMeta, serde_json::Error> {
    serde_json::from_str(without_managed_fields(text)?.get())
}

fn without_managed_fields(metadata: &str) -> Result<Box<RawValue>, serde_json::Error> {
    let mut fields: BTreeMap<String, &RawValue> = serde_json::from_str(metadata)?;
    fields.remove("managedFields");
    serde_json::value::to_raw_value(&fields)
}

/// The keys on the way to a field are its author's, and may be long and many.
fn shortened(mut path: String) -> String {
    const LONGEST: usize = 200;
    if path.len() > LONGEST {
        path.truncate(path.floor_char_boundary(LONGEST));
        path.push('…');
    }
    path
}

/// Names the field and what was expected; the library's own text quotes the value, which may be a secret.
pub(crate) fn fault(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let path = shortened(error.path().to_string());
    let text = error.inner().to_string();
    // Where it stands in a text that no one sees.
    let text = text
        .rsplit_once(" at line ")
        .map_or(&*text, |(text, _)| text);
    let expected = text
        .rsplit_once(", expected ")
        .map(|(_, expected)| expected);
    match (text.starts_with("missing field "), expected) {
        (true, _) => format!("{path}: {text}"),
        (false, Some(expected)) => format!("{path} cannot be read: expected {expected}"),
        (false, None) => format!("{path} cannot be read"),
    }
}

impl<'de, K: DeserializeOwned + Resource> Deserialize<'de> for Read<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Self::from_json(text.get()).map_err(serde::de::Error::custom)
    }
}

impl<K: Resource> Resource for Read<K> {
    type DynamicType = K::DynamicType;
    /// Whether there is a namespace is for the caller to say.
    type Scope = DynamicResourceScope;

    fn kind(kind: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(kind)
    }

    fn group(kind: &Self::DynamicType) -> Cow<'_, str> {
        K::group(kind)
    }

    fn version(kind: &Self::DynamicType) -> Cow<'_, str> {
        K::version(kind)
    }

    fn plural(kind: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(kind)
    }

    fn api_version(kind: &Self::DynamicType) -> Cow<'_, str> {
        K::api_version(kind)
    }

    fn url_path(kind: &Self::DynamicType, namespace: Option<&str>) -> String {
        K::url_path(kind, namespace)
    }

    /// A watch of metadata must stay one: the values of Secrets are not to travel.
    fn metadata_api() -> bool {
        K::metadata_api()
    }

    fn meta(&self) -> &ObjectMeta {
        self.0
            .as_ref()
            .map_or_else(|fault| &fault.metadata, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0
            .as_mut()
            .map_or_else(|fault| &mut fault.metadata, K::meta_mut)
    }
}

#[cfg(test)]
mod tests {
    use sealwright_resources::sealed_secret::SealedSecret;
    use serde_json::json;

    use super::*;

    fn sealed(change: impl FnOnce(&mut Value)) -> Value {
        let mut sealed = json!({
            "apiVersion": "bitnami.com/v1alpha1",
            "kind": "SealedSecret",
            "metadata": {"name": "a", "namespace": "ns", "uid": "u", "resourceVersion": "7"},
            "spec": {"encryptedData": {"k": "v"}},
            "status": {"conditions": []},
        });
        change(&mut sealed);
        sealed
    }

    fn read(value: &Value) -> Result<SealedSecret, Box<Unreadable>> {
        Read::from_json(&value.to_string()).unwrap().0
    }

    #[test]
    fn a_fault_names_the_field_and_never_the_value() {
        for (metadata, expected) in [
            (
                json!({"generation": "tops, expected ecret"}),
                "spec.template.metadata.generation cannot be read: expected i64",
            ),
            (
                json!({"ownerReferences": 5}),
                "spec.template.metadata.ownerReferences cannot be read: expected a sequence",
            ),
        ] {
            let value = sealed(|value| value["spec"]["template"] = json!({"metadata": metadata}));
            let fault = read(&value).unwrap_err();
            assert_eq!(fault.to_string(), expected);
            assert_eq!(fault.metadata.name.as_deref(), Some("a"));
        }
    }

    #[test]
    fn one_faulty_object_costs_a_list_and_a_watch_nothing_else() {
        let faulty = sealed(|value| value["spec"]["template"] = json!(["topsecret"]));
        let list = json!({
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecretList",
            "metadata": {"resourceVersion": "9"},
            "items": [sealed(|_| {}), faulty, sealed(|_| {})],
        });
        let list: kube::core::ObjectList<Read<SealedSecret>> =
            serde_json::from_str(&list.to_string()).unwrap();
        let read: Vec<_> = list.items.iter().map(|read| read.0.is_ok()).collect();
        assert_eq!(read, [true, false, true]);
        let event = json!({"type": "MODIFIED", "object": faulty}).to_string();
        let event: kube::core::WatchEvent<Read<SealedSecret>> =
            serde_json::from_str(&event).unwrap();
        let kube::core::WatchEvent::Modified(read) = event else {
            panic!("another event");
        };
        assert!(!format!("{read:?}").contains("topsecret"));
        assert_eq!(read.meta().resource_version.as_deref(), Some("7"));
    }

    #[test]
    fn an_object_that_is_nested_deeper_than_readers_go_costs_a_list_nothing() {
        // As the API server stores it: it takes 10,000 levels, and notes who owns each.
        let deep = |depth: usize, key: &str| {
            format!(
                "{}1{}",
                format!("{{\"{key}\":").repeat(depth),
                "}".repeat(depth)
            )
        };
        let managed = format!(
            r#"[{{"manager":"t","operation":"Update","apiVersion":"v1","time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{}}}]"#,
            deep(4000, "f:a").replace(":1}", ":{}}")
        );
        let object = |template: &str, data: &str| {
            format!(
                r#"{{"apiVersion":"bitnami.com/v1alpha1","kind":"SealedSecret","metadata":{{"name":"a","namespace":"ns","uid":"u","resourceVersion":"7","managedFields":{managed}}},"spec":{{"encryptedData":{data},"template":{template}}},"status":{}}}"#,
                deep(4000, "x")
            )
        };
        // A field that no one reads does no harm.
        let template = format!(r#"{{"metadata":{{"x":{}}}}}"#, deep(4000, "a"));
        let readable = object(&template, r#"{"k":"v"}"#);
        let read = Read::<SealedSecret>::from_json(&readable)
            .unwrap()
            .0
            .unwrap();
        assert_eq!(read.metadata.name.as_deref(), Some("a"));
        assert_eq!(read.spec.encrypted_data["k"], "v");
        // One that is read is a fault of its object.
        let faulty = object("{}", &format!(r#"{{"k":{}}}"#, deep(4000, "a")));
        let list = format!(
            r#"{{"apiVersion":"bitnami.com/v1alpha1","kind":"SealedSecretList","metadata":{{"resourceVersion":"9"}},"items":[{faulty},{readable}]}}"#
        );
        let list: kube::core::ObjectList<Read<SealedSecret>> = serde_json::from_str(&list).unwrap();
        let fault = list.items[0].0.as_ref().unwrap_err();
        let text = fault.to_string();
        assert!(text.starts_with("spec.encryptedData.k.a.a.a."), "{text}");
        assert!(text.ends_with("… cannot be read"), "{text}");
        assert_eq!(fault.metadata.resource_version.as_deref(), Some("7"));
        assert!(list.items[1].0.is_ok());
        let event = format!(r#"{{"type":"ADDED","object":{faulty}}}"#);
        assert!(serde_json::from_str::<kube::core::WatchEvent<Read<SealedSecret>>>(&event).is_ok());
    }

    #[test]
    fn what_is_asked_for_as_metadata_is_asked_for_as_metadata() {
        use k8s_openapi::api::core::v1::Secret;
        assert!(Read::<kube::core::PartialObjectMeta<Secret>>::metadata_api());
        assert!(!Read::<SealedSecret>::metadata_api());
        assert_eq!(
            Read::<Secret>::url_path(&(), Some("ns")),
            "/api/v1/namespaces/ns/secrets"
        );
    }

    #[test]
    fn managed_fields_are_left_out_and_what_takes_much_memory_counts_as_much() {
        for copies in [1, 8000] {
            let fields: serde_json::Map<String, Value> = (0..copies)
                .map(|number| (format!("f:{number}"), json!({})))
                .collect();
            let managed = json!([{"manager": "m", "operation": "Update", "apiVersion": "v1",
                "fieldsType": "FieldsV1", "fieldsV1": fields}]);
            let value = sealed(|value| value["metadata"]["managedFields"] = managed.clone());
            let read = Read::<SealedSecret>::from_json(&value.to_string()).unwrap();
            assert_eq!(read.meta().managed_fields, None);
            assert_eq!(read.meta().name.as_deref(), Some("a"));
            let object = read.0.unwrap();
            assert!(object.status.is_some() && object.spec.encrypted_data["k"] == "v");
        }
        let size = |data: Value| {
            let value = sealed(|value| value["spec"]["encryptedData"] = data);
            let read = Read::<SealedSecret>::from_json(&value.to_string()).unwrap();
            read.size()
        };
        let usual = size(json!({"k": "v".repeat(12_000)}));
        assert!((12_000..14_000).contains(&usual), "{usual}");
        let short: serde_json::Map<String, Value> = (0..1000)
            .map(|number| (format!("k{number:04}"), json!("")))
            .collect();
        let many = size(Value::Object(short));
        assert!(many > 100_000, "{many}");
    }

    #[test]
    fn a_status_that_cannot_be_read_counts_as_none() {
        let value = sealed(|value| value["status"] = json!({"observedGeneration": "x"}));
        assert_eq!(read(&value).unwrap().status, None);
    }

    #[test]
    fn the_digest_of_a_faulty_object_follows_what_it_asks_for_only() {
        let faulty = |version: &str, template: Value, status: Value| {
            let value = sealed(|value| {
                value["metadata"]["resourceVersion"] = version.into();
                value["spec"]["template"] = template;
                value["status"] = status;
            });
            read(&value).unwrap_err().digest
        };
        let first = faulty("7", json!([1]), json!({}));
        assert_eq!(first, faulty("8", json!([1]), json!({"conditions": []})));
        assert_ne!(first, faulty("8", json!([2]), json!({})));
    }
}
