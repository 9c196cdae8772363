//! Objects that an object of the cluster makes in many namespaces: all of one kind, one in each namespace.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealwright_resources::external_secret::refresh;
use sealwright_template::go_duration;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::action;
use crate::api::{Api, ApiError};

/// The kinds of the two sides.
pub(super) struct Kinds {
    /// The group and version of both.
    pub(super) api_version: &'static str,
    /// The kind of the object that makes the others.
    pub(super) parent: &'static str,
    /// The kind of what is made.
    pub(super) child: &'static str,
    /// Several of them, as paths have it.
    pub(super) plural: &'static str,
    /// Whether two of them ask for the same.
    pub(super) same_spec: fn(&Value, &Value) -> bool,
}

/// The children of one object.
pub(super) struct Children<'a> {
    pub(super) api: &'a Api,
    pub(super) kinds: &'static Kinds,
    pub(super) parent: &'a ObjectMeta,
}

impl Children<'_> {
    /// The child of this name in a namespace.
    pub(super) async fn get(&self, namespace: &str, name: &str) -> Result<Option<Value>, ApiError> {
        match self.api.get(&self.path(namespace, name)).await {
            Ok(answer) => Ok(Some(action::read(&answer)?)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Tells the log what the API server says of a namespace; the status has fixed words.
    pub(super) fn refused(&self, namespace: &str, error: &ApiError) {
        let name = self.parent.name.as_deref().unwrap_or_default();
        tracing::warn!(kind = self.kinds.parent, key = name, namespace = namespace, error = %error, "the API server refuses what belongs into a namespace");
    }

    /// Returns true if the parent made this object.
    pub(super) fn is_ours(&self, child: &Value) -> bool {
        let references = child["metadata"]["ownerReferences"].as_array();
        references.into_iter().flatten().any(|reference| {
            reference["controller"] == true
                && reference["kind"] == self.kinds.parent
                && reference["name"].as_str() == self.parent.name.as_deref()
        })
    }

    /// Creates the child, or makes the one that is there the same.
    pub(super) async fn write(
        &self,
        existing: Option<&Value>,
        wanted: &Value,
    ) -> Result<(), ApiError> {
        let text = |name: &str| wanted["metadata"][name].as_str().unwrap_or_default();
        let (namespace, name) = (text("namespace"), text("name"));
        match existing {
            None => {
                action::create_object(self.api, &self.path(namespace, ""), wanted).await?;
            }
            Some(existing) => {
                if let Some(changed) = merged(existing, wanted, self.kinds.same_spec) {
                    action::replace_object(self.api, &self.path(namespace, name), &changed).await?;
                }
            }
        }
        Ok(())
    }

    /// Deletes the child of this name in a namespace, if it is one of ours.
    pub(super) async fn delete(&self, namespace: &str, name: &str) -> Result<(), ApiError> {
        match self.get(namespace, name).await? {
            Some(existing) if self.is_ours(&existing) => {
                let uid = existing["metadata"]["uid"].as_str().unwrap_or_default();
                action::delete_object(self.api, &self.path(namespace, name), uid).await
            }
            _ => Ok(()),
        }
    }

    /// A child as it should be.
    pub(super) fn object(
        &self,
        namespace: &str,
        name: &str,
        labels: &impl serde::Serialize,
        annotations: &impl serde::Serialize,
        spec: &impl serde::Serialize,
    ) -> Value {
        json!({
            "apiVersion": self.kinds.api_version,
            "kind": self.kinds.child,
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": labels,
                "annotations": annotations,
                "ownerReferences": [{
                    "apiVersion": self.kinds.api_version,
                    "kind": self.kinds.parent,
                    "name": self.parent.name,
                    "uid": self.parent.uid,
                    "controller": true,
                    "blockOwnerDeletion": true,
                }],
            },
            "spec": spec,
        })
    }

    fn path(&self, namespace: &str, name: &str) -> String {
        let Kinds {
            api_version,
            plural,
            ..
        } = self.kinds;
        let namespace = action::part(namespace);
        let all = format!("/apis/{api_version}/namespaces/{namespace}/{plural}");
        match name {
            "" => all,
            name => format!("{all}/{}", action::part(name)),
        }
    }
}

/// Compares the specs of two objects as this type understands them: what is left out is the same as its default.
pub(super) fn same_spec<S: DeserializeOwned + PartialEq>(existing: &Value, wanted: &Value) -> bool {
    let read = |object: &Value| serde_json::from_value::<S>(object["spec"].clone()).ok();
    match (read(existing), read(wanted)) {
        (Some(existing), Some(wanted)) => existing == wanted,
        _ => false,
    }
}

/// The time between two comparisons of the children; an hour if none is asked for.
///
/// # Errors
///
/// Says that the text is no duration.
pub(super) fn interval(refresh_time: Option<&str>) -> Result<Duration, String> {
    const HOUR: Duration = Duration::from_secs(3600);
    let Some(text) = refresh_time.filter(|text| !text.is_empty()) else {
        return Ok(HOUR);
    };
    if let Some(fault) = refresh::no_duration("spec.refreshTime", text) {
        return Err(fault);
    }
    let interval = go_duration::parse(text).and_then(|interval| Duration::try_from(interval).ok());
    Ok(interval
        .filter(|interval| !interval.is_zero())
        .unwrap_or(HOUR))
}

/// The metadata of all namespaces, without their annotations.
pub(super) async fn namespaces(api: &Api) -> Result<Vec<ObjectMeta>, ApiError> {
    let mut all = Vec::new();
    action::each_namespace(api, |metadata| all.push(metadata)).await?;
    Ok(all)
}

/// The existing child with labels, annotations, owner and spec of the wanted one; nothing if it has them already.
fn merged(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_that_cannot_be_read_is_a_fault_and_none_is_an_hour() {
        let hour = Ok(Duration::from_secs(3600));
        for none in [None, Some(""), Some("0s"), Some("-1h")] {
            assert_eq!(interval(none), hour, "{none:?}");
        }
        assert_eq!(interval(Some("90s")), Ok(Duration::from_secs(90)));
        for bad in ["1d", "10", "hourly", "9999999999h"] {
            let fault = interval(Some(bad)).unwrap_err();
            assert!(
                fault.starts_with("spec.refreshTime cannot be read"),
                "{fault}"
            );
            assert!(!fault.contains(bad), "{fault}");
        }
    }
}
