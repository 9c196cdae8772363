//! Objects that an object of the cluster makes in many namespaces.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::Value;

use crate::action;
use crate::api::{Api, ApiError};

/// The metadata of all namespaces.
pub(super) async fn namespaces(api: &Api) -> Result<Vec<ObjectMeta>, ApiError> {
    #[derive(Deserialize)]
    struct Namespace {
        metadata: ObjectMeta,
    }
    #[derive(Deserialize)]
    struct Namespaces {
        items: Vec<Namespace>,
    }
    let list: Namespaces = action::read(&api.get("/api/v1/namespaces").await?)?;
    let metadata = list.items.into_iter().map(|namespace| namespace.metadata);
    Ok(metadata.collect())
}

/// Returns true if the object of this kind and name controls the child.
pub(super) fn is_controlled_by(child: &Value, kind: &str, name: Option<&str>) -> bool {
    let references = child["metadata"]["ownerReferences"].as_array();
    references.into_iter().flatten().any(|reference| {
        reference["controller"] == true
            && reference["kind"] == kind
            && reference["name"].as_str() == name
    })
}

/// The existing child with labels, annotations, owner and spec of the wanted one; nothing if it has them already.
pub(super) fn merged(
    existing: &Value,
    wanted: &Value,
    same_spec: impl Fn(&Value, &Value) -> bool,
) -> Option<Value> {
    let mut changed = existing.clone();
    let texts = |object: &Value, name: &str| {
        let texts = object["metadata"][name].as_object();
        texts.cloned().unwrap_or_default()
    };
    let same_texts = ["labels", "annotations"]
        .iter()
        .all(|name| texts(existing, name) == texts(wanted, name));
    let owner = &wanted["metadata"]["ownerReferences"][0];
    let references = existing["metadata"]["ownerReferences"].as_array();
    let same_owner = references.into_iter().flatten().any(|known| known == owner);
    if same_texts && same_owner && same_spec(existing, wanted) {
        return None;
    }
    for name in ["labels", "annotations"] {
        changed["metadata"][name] = Value::Object(texts(wanted, name));
    }
    if let Some(references) = changed["metadata"]["ownerReferences"].as_array_mut() {
        for known in references {
            if known["controller"] == true {
                *known = owner.clone();
            }
        }
    }
    changed["spec"] = wanted["spec"].clone();
    Some(changed)
}
