//! Targets of other kinds than Secret: made out of the values, the templates and what is in the cluster.
//!
//! Such an object is JSON in ordinary memory: its kind is not known, and its values are not wiped. That is one reason why these
//! targets are off by default.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealwright_template::Budget;
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::destination::{Destination, Step};
use super::refresh;
use super::remote_ref::DecodingStrategy;
use super::render::{self, Inputs, Part, RenderError, RenderProblem, Rendering, spend, take};
use super::target::owner_reference;
use super::validate::{self, PrivilegeError};
use super::values::{Values, decode};
use super::{
    CreationPolicy, DATA_HASH_ANNOTATION, ExternalSecret, GROUP, KIND, MANAGED_LABEL, Manifest,
    OWNER_LABEL, hash,
};
use crate::manifest;

/// What to do to the object.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Nothing: it is not to be written.
    Nothing,
    /// Create it.
    Create(Value),
    /// Replace it, under the resource version in its metadata.
    Update(Value),
    /// There is none, and none is to be created.
    Missing,
}

/// What is known about the object in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is as it was written.
    Valid,
    /// It is not, or it does not exist.
    Invalid,
    /// It has neither a spec nor data, so nothing can be known about it.
    Unknowable,
}

/// The object cannot be what the ExternalSecret asks for. The text is public.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GenericError {
    /// Another ExternalSecret controls it.
    #[error("another ExternalSecret controls the object")]
    OwnedByOther,
    /// Something else controls it.
    #[error("another controller owns the object")]
    CannotOwn,
    /// It would be a privileged Secret.
    #[error(transparent)]
    Privileged(#[from] PrivilegeError),
    /// A template fails.
    #[error("spec.target.{0}")]
    Template(#[from] RenderError),
    /// A template would change what kind of object it is, or its name or place.
    #[error("the templates change the kind, the name or the namespace of the object")]
    OtherObject,
    /// It would have neither a spec nor data.
    #[error("the object has neither a spec nor data")]
    NoContent,
}

impl GenericError {
    /// Returns true if trying again without a change of the objects can help.
    #[must_use]
    pub fn is_retried(&self) -> bool {
        !matches!(self, Self::OwnedByOther | Self::CannotOwn)
    }
}

/// Looks at the target as it is in the cluster.
///
/// A target that was left behind on purpose is never looked at, whether it exists or not (T9).
#[must_use]
pub fn state(object: &ExternalSecret, existing: Option<&Value>) -> State {
    if object.spec.target.creation_policy == CreationPolicy::Orphan {
        return State::Valid;
    }
    let Some(existing) = existing else {
        return State::Invalid;
    };
    let Some(actual) = hash::of_object(existing) else {
        return State::Unknowable;
    };
    let known = &existing["metadata"]["annotations"][DATA_HASH_ANNOTATION];
    match is_managed(existing) && known.as_str() == Some(actual.as_str()) {
        true => State::Valid,
        false => State::Invalid,
    }
}

fn is_managed(existing: &Value) -> bool {
    existing["metadata"]["labels"][MANAGED_LABEL] == "true"
}

/// Returns true if the object may be deleted for this ExternalSecret: it has the label of ours, and no other ExternalSecret
/// owns it.
#[must_use]
pub fn may_delete(object: &ExternalSecret, metadata: &ObjectMeta) -> bool {
    let owner = metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(OWNER_LABEL));
    let own = hash::of_owner(object.namespace(), object.name());
    refresh::is_managed(metadata) && owner.is_none_or(|owner| *owner == own)
}

/// Makes the object.
///
/// # Errors
///
/// Says why it cannot be made; what is in the cluster stays as it is then.
pub fn build(
    object: &ExternalSecret,
    manifest: &Manifest,
    existing: Option<&Value>,
    values: &Values,
    inputs: Inputs<'_>,
) -> Result<Write, GenericError> {
    let policy = object.spec.target.creation_policy;
    match (policy, existing) {
        (CreationPolicy::None, _) => return Ok(Write::Nothing),
        (CreationPolicy::Merge, None) => return Ok(Write::Missing),
        _ => {}
    }
    let mut made = match existing {
        Some(existing) if policy.keeps_other_keys() => existing.clone(),
        existing => blank(object, manifest, existing),
    };
    set_metadata(object, &mut made);
    match &object.spec.target.template {
        None => put_values(manifest, &mut made, values),
        Some(_) => apply_templates(object, &mut made, values, inputs)?,
    }
    let same_place = made["apiVersion"] == manifest.api_version.as_str()
        && made["kind"] == manifest.kind.as_str()
        && made["metadata"]["name"] == object.target_name()
        && made["metadata"]["namespace"] == object.namespace();
    if !same_place {
        return Err(GenericError::OtherObject);
    }
    let content = hash::of_object(&made).ok_or(GenericError::NoContent)?;
    put_text(&mut made, "annotations", DATA_HASH_ANNOTATION, &content);
    set_owner(object, existing, &mut made)?;
    if manifest.api_version == "v1" && manifest.kind == "Secret" {
        let metadata = ObjectMeta {
            annotations: texts(&made, "annotations"),
            ..ObjectMeta::default()
        };
        validate::check_secret(made["type"].as_str(), &metadata)?;
    }
    // One that exists is written at every refresh, as upstream does: the API server keeps a version that is the same.
    Ok(match existing {
        None => Write::Create(made),
        Some(_) => Write::Update(made),
    })
}

/// A new object in the place of the one that may be there: of that one only what holds its deletion up is kept.
fn blank(object: &ExternalSecret, manifest: &Manifest, existing: Option<&Value>) -> Value {
    let mut blank = json!({
        "apiVersion": manifest.api_version,
        "kind": manifest.kind,
        "metadata": {"name": object.target_name(), "namespace": object.namespace()},
    });
    let content = match manifest.kind.as_str() {
        "ConfigMap" | "Secret" => "data",
        _ => "spec",
    };
    blank[content] = json!({});
    for kept in ["uid", "resourceVersion", "finalizers", "ownerReferences"] {
        let value = existing.and_then(|existing| existing["metadata"].get(kept));
        if let Some(value) = value {
            blank["metadata"][kept] = value.clone();
        }
    }
    blank
}

/// Labels and annotations are those of the ExternalSecret, or of its template; they are no templates here.
fn set_metadata(object: &ExternalSecret, made: &mut Value) {
    let (labels, annotations) = match &object.spec.target.template {
        Some(template) => (
            Some(&template.metadata.labels),
            Some(&template.metadata.annotations),
        ),
        None => (
            object.metadata.labels.as_ref(),
            object.metadata.annotations.as_ref(),
        ),
    };
    for (field, pairs) in [("labels", labels), ("annotations", annotations)] {
        for (name, value) in pairs.into_iter().flatten() {
            put_text(made, field, name, value);
        }
    }
    put_text(made, "labels", MANAGED_LABEL, "true");
}

fn put_text(made: &mut Value, field: &str, name: &str, value: &str) {
    if !made["metadata"][field].is_object() {
        made["metadata"][field] = json!({});
    }
    made["metadata"][field][name] = value.into();
}

fn texts(made: &Value, field: &str) -> Option<BTreeMap<String, String>> {
    let texts = made["metadata"][field].as_object()?.iter();
    let texts = texts.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    Some(texts.collect())
}

/// Without a template a ConfigMap has the values as its data, and everything else below `spec.data`.
fn put_values(manifest: &Manifest, made: &mut Value, values: &Values) {
    let texts: Map<String, Value> = values
        .iter()
        .map(|(key, value)| (key.clone(), text(value.expose()).into()))
        .collect();
    if manifest.kind == "ConfigMap" {
        made["data"] = Value::Object(texts);
        return;
    }
    if !made["spec"].is_object() {
        made["spec"] = json!({});
    }
    made["spec"]["data"] = Value::Object(texts);
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Each `templateFrom` with its literal, and then its ConfigMap and Secret; then `data`.
///
/// What a template of a ConfigMap or Secret makes is rendered once more, as upstream does: a value that holds an action is
/// executed then. Only the target Data gets anything of it (T49).
fn apply_templates(
    object: &ExternalSecret,
    made: &mut Value,
    values: &Values,
    inputs: Inputs<'_>,
) -> Result<(), GenericError> {
    let Some(template) = &object.spec.target.template else {
        return Ok(());
    };
    let mut rendering = Rendering::new(values, inputs);
    let budget = inputs.budget;
    for (index, from) in template.template_from.iter().enumerate() {
        let place = Destination::of(from.target.as_deref());
        let fail = |problem| RenderError {
            place: render::Place::Literal(index),
            problem,
        };
        if let Some(literal) = from.literal.as_deref() {
            let place = place.as_ref().ok_or(fail(RenderProblem::Path))?;
            let rendered = rendering.text(literal).map_err(fail)?;
            let decoding = from.values_decoding_strategy.unwrap_or_default();
            put_document(made, place, rendered.expose(), decoding, budget).map_err(fail)?;
        }
        if from.config_map.is_some() || from.secret.is_some() {
            // What fails in them fails also where nothing comes of them.
            let made_of_objects = rendering.objects(index, from, inputs.sources)?;
            if Part::of(from.target.as_deref()) != Some(Part::Data) {
                continue;
            }
            for (key, once) in made_of_objects {
                let source = text(once.expose());
                let place = render::Place::Data;
                let twice = rendering.text(&source);
                let twice = twice.map_err(|problem| RenderError { place, problem })?;
                put_value(made, &Destination::Data, &key, twice.expose(), budget).map_err(fail)?;
            }
        }
    }
    for (key, source) in &template.data {
        let fail = |problem| RenderError {
            place: render::Place::Data,
            problem,
        };
        let rendered = rendering.text(source).map_err(fail)?;
        put_value(made, &Destination::Data, key, rendered.expose(), budget).map_err(fail)?;
    }
    Ok(())
}

/// Returns true if a template of the object is rendered twice, so that an action in a value would be executed.
#[must_use]
pub fn renders_twice(object: &ExternalSecret) -> bool {
    let template = object.spec.target.template.as_ref();
    let from = template.map(|template| template.template_from.iter());
    from.into_iter()
        .flatten()
        .any(|from| from.config_map.is_some() || from.secret.is_some())
}

/// Puts one rendered value where a key of a template belongs.
fn put_value(
    made: &mut Value,
    place: &Destination,
    key: &str,
    value: &[u8],
    budget: &Budget,
) -> Result<(), RenderProblem> {
    match place {
        Destination::Metadata(field) => put_text(made, field, key, &text(value)),
        Destination::Data => {
            if made["data"].is_null() {
                made["data"] = json!({});
            }
            let fields = made["data"].as_object_mut().ok_or(RenderProblem::Path)?;
            fields.insert(key.to_owned(), text(value).into());
        }
        Destination::Path(steps) => *at(made, steps, budget)? = document(value, budget)?,
    }
    Ok(())
}

/// Puts a rendered document where it belongs: pairs into a known part, with their values decoded, and anything at a path.
fn put_document(
    made: &mut Value,
    place: &Destination,
    yaml: &[u8],
    decoding: DecodingStrategy,
    budget: &Budget,
) -> Result<(), RenderProblem> {
    match place {
        Destination::Metadata(_) | Destination::Data => {
            let pairs = spend(budget, || manifest::read_text_pairs(yaml))?
                .map_err(|_| RenderProblem::Yaml)?;
            take(budget, manifest::weight_of_pairs(&pairs))?;
            for (key, value) in pairs {
                let value = decode(value, decoding).map_err(|_| RenderProblem::Decoding)?;
                put_value(made, place, &key, value.expose(), budget)?;
            }
        }
        Destination::Path(steps) => {
            let document = document(yaml, budget)?;
            let place = at(made, steps, budget)?;
            // A path of one step replaces what is there; a longer one adds to a map.
            match (place, document) {
                (Value::Object(there), Value::Object(fields)) if steps.len() > 1 => {
                    there.extend(fields);
                }
                (place, document) => *place = document,
            }
        }
    }
    Ok(())
}

/// Reads the first document of a text, which lives as long as the object that it becomes a part of.
fn document(yaml: &[u8], budget: &Budget) -> Result<Value, RenderProblem> {
    let read = spend(budget, || manifest::first_document(yaml))?;
    let Some(document) = read.map_err(|_| RenderProblem::Document)? else {
        return Ok(Value::Null);
    };
    take(budget, manifest::weight(&document))?;
    Ok(manifest::to_value(&document))
}

/// Walks to a place, and makes what is missing on the way.
fn at<'a>(
    made: &'a mut Value,
    steps: &[Step],
    budget: &Budget,
) -> Result<&'a mut Value, RenderProblem> {
    let mut place = made;
    for step in steps {
        match step {
            Step::Key(key) => {
                if place.is_null() {
                    *place = json!({});
                }
                let fields = place.as_object_mut().ok_or(RenderProblem::Path)?;
                place = fields.entry(key.clone()).or_insert(Value::Null);
            }
            Step::Item(item) => {
                if place.is_null() {
                    *place = json!([]);
                }
                let items = place.as_array_mut().ok_or(RenderProblem::Path)?;
                if let Some(more) = (item + 1).checked_sub(items.len()) {
                    take(budget, more * size_of::<Value>())?;
                    items.resize(item + 1, Value::Null);
                }
                place = &mut items[*item];
            }
        }
    }
    Ok(place)
}

/// Takes the object over, or lets it go; compared by group, kind and name.
fn set_owner(
    object: &ExternalSecret,
    existing: Option<&Value>,
    made: &mut Value,
) -> Result<(), GenericError> {
    let owns = object.spec.target.creation_policy == CreationPolicy::Owner;
    let known = existing.and_then(|existing| existing["metadata"]["ownerReferences"].as_array());
    let mut references = known.cloned().unwrap_or_default();
    let is_external_secret = |reference: &Value| {
        let version = reference["apiVersion"].as_str().unwrap_or_default();
        version.split('/').next() == Some(GROUP) && reference["kind"] == KIND
    };
    let is_ours =
        |reference: &Value| is_external_secret(reference) && reference["name"] == object.name();
    let controller = references
        .iter()
        .find(|reference| reference["controller"] == true);
    if let Some(controller) = controller.filter(|controller| !is_ours(controller)) {
        if is_external_secret(controller) {
            return Err(GenericError::OwnedByOther);
        }
        if owns {
            return Err(GenericError::CannotOwn);
        }
    }
    references.retain(|reference| !is_ours(reference));
    if owns {
        references.push(json!(owner_reference(object)));
        let owner = hash::of_owner(object.namespace(), object.name());
        put_text(made, "labels", OWNER_LABEL, &owner);
    } else if let Some(labels) = made["metadata"]["labels"].as_object_mut() {
        labels.remove(OWNER_LABEL);
    }
    let metadata = made["metadata"].as_object_mut();
    let metadata = metadata.ok_or(GenericError::OtherObject)?;
    match references.is_empty() {
        true => metadata.remove("ownerReferences"),
        false => metadata.insert("ownerReferences".to_owned(), Value::Array(references)),
    };
    Ok(())
}

#[cfg(test)]
mod tests;
