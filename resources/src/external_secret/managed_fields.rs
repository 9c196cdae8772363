//! What an earlier write of ours put into an object, as the API server remembers it in `managedFields`.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

/// The parts of a Secret whose keys are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `data`.
    Data,
    /// `metadata.labels`.
    Labels,
    /// `metadata.annotations`.
    Annotations,
}

/// The keys of a part that a field manager wrote last.
///
/// Entries that cannot be read count as nothing: then nothing is taken away.
#[must_use]
pub fn keys(metadata: &ObjectMeta, manager: &str, part: Part) -> BTreeSet<String> {
    let path: &[&str] = match part {
        Part::Data => &["f:data"],
        Part::Labels => &["f:metadata", "f:labels"],
        Part::Annotations => &["f:metadata", "f:annotations"],
    };
    let entries = metadata.managed_fields.iter().flatten();
    entries
        .filter(|entry| entry.manager.as_deref() == Some(manager))
        .filter_map(|entry| entry.fields_v1.as_ref())
        .filter_map(|fields| {
            path.iter()
                .try_fold(&fields.0, |value, step| value.get(step))
                .and_then(Value::as_object)
        })
        .flat_map(|fields| fields.keys())
        .filter_map(|key| key.strip_prefix("f:").map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_our_own_keys_are_found() {
        let metadata: ObjectMeta = serde_json::from_value(json!({"managedFields": [
            {"manager": "us", "operation": "Update", "fieldsV1": {
                "f:data": {".": {}, "f:a": {}, "f:f:b": {}},
                "f:metadata": {"f:labels": {"f:l": {}}, "f:annotations": {".": {}}},
            }},
            {"manager": "us", "operation": "Apply", "fieldsV1": {"f:data": {"f:c": {}}}},
            {"manager": "them", "operation": "Update", "fieldsV1": {"f:data": {"f:d": {}}}},
            {"manager": "us", "operation": "Update"},
            {"manager": "us", "operation": "Update", "fieldsV1": {"f:data": "broken"}},
        ]}))
        .unwrap();
        let found = |part| keys(&metadata, "us", part).into_iter().collect::<Vec<_>>();
        assert_eq!(found(Part::Data), ["a", "c", "f:b"]);
        assert_eq!(found(Part::Labels), ["l"]);
        assert!(found(Part::Annotations).is_empty());
    }
}
