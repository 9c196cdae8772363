//! The Secret that an ExternalSecret asks for: made out of its data, its templates and what is in the cluster.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use thiserror::Error;

use super::managed_fields::{self, Part};
use super::render::{self, Inputs, RenderError};
use super::validate::{self, PrivilegeError};
use super::values::Values;
use super::{
    API_VERSION, CreationPolicy, DATA_HASH_ANNOTATION, ExternalSecret, GROUP, KIND, MANAGED_LABEL,
    OWNER_LABEL, hash, status,
};
use crate::plain_secret::PlainSecret;

/// What to do to the Secret.
pub enum Write {
    /// Nothing: it is as it should be, or it is not to be written.
    Nothing,
    /// Create it.
    Create(PlainSecret),
    /// Replace it.
    Update(PlainSecret),
    /// Replace the metadata of an immutable Secret, which keeps its content.
    UpdateMetadata {
        /// The Secret with its new metadata and its old content.
        secret: PlainSecret,
        /// Whether the content would have to change as well, which is a failure. The metadata is written all the same,
        /// its hash of the wanted data included, as upstream does.
        stale: bool,
    },
    /// There is none, and none is to be created.
    Missing,
}

/// The Secret cannot be what the object asks for. The text is public.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TargetError {
    /// Another ExternalSecret controls it.
    #[error("another ExternalSecret controls the Secret")]
    OwnedByOther,
    /// Something else controls it.
    #[error("another controller owns the Secret")]
    CannotOwn,
    /// It is immutable, and its data or type would change.
    #[error("the Secret is immutable and its data would change")]
    Immutable,
    /// It would be privileged.
    #[error(transparent)]
    Privileged(#[from] PrivilegeError),
    /// A template fails.
    #[error("spec.target.{0}")]
    Template(#[from] RenderError),
}

impl TargetError {
    /// The fixed text of the condition.
    #[must_use]
    pub fn fixed_text(&self) -> &'static str {
        match self {
            Self::OwnedByOther => status::OWNED_BY_OTHER,
            Self::CannotOwn => status::NOT_OWNED,
            Self::Immutable => status::IMMUTABLE,
            Self::Privileged(_) | Self::Template(_) => status::NOT_UPDATED,
        }
    }

    /// Returns true if trying again without a change of the objects can help.
    ///
    /// Templates may read ConfigMaps that come later; the others wait for an event of the object or its target (T12).
    #[must_use]
    pub fn is_retried(&self) -> bool {
        matches!(self, Self::Template(_) | Self::Privileged(_))
    }
}

/// Makes the Secret.
///
/// # Errors
///
/// Says why it cannot be made; what is in the cluster stays as it is then.
pub fn build(
    object: &ExternalSecret,
    existing: Option<&PlainSecret>,
    values: Values,
    inputs: Inputs<'_>,
) -> Result<Write, TargetError> {
    let policy = object.spec.target.creation_policy;
    match (policy, existing) {
        (CreationPolicy::None, _) => return Ok(Write::Nothing),
        (CreationPolicy::Merge, None) => return Ok(Write::Missing),
        _ => {}
    }
    let mut secret = match existing {
        Some(existing) => existing.copy(),
        None => PlainSecret::named(object.namespace(), object.target_name()),
    };
    set_owner(object, &mut secret.metadata)?;
    if object.spec.target.immutable {
        secret.immutable = Some(true);
    }
    // A Secret that is frozen keeps the content that it has (T11).
    if existing.is_none() || !object.spec.target.immutable {
        let manager = hash::field_manager(object.name());
        for key in managed_fields::keys(&secret.metadata, &manager, Part::Data) {
            secret.remove(&key);
        }
        apply_template(object, &manager, &mut secret, values, inputs)?;
    }
    let owner = hash::of_owner(object.namespace(), object.name());
    let labels = secret.metadata.labels.get_or_insert_default();
    match policy {
        CreationPolicy::Owner => {
            labels.insert(OWNER_LABEL.to_owned(), owner);
        }
        _ => {
            labels.remove(OWNER_LABEL);
        }
    }
    labels.insert(MANAGED_LABEL.to_owned(), "true".to_owned());
    let data_hash = hash::of_data(secret.iter());
    let annotations = secret.metadata.annotations.get_or_insert_default();
    annotations.insert(DATA_HASH_ANNOTATION.to_owned(), data_hash);
    // However the Secret got its type and annotations, a privileged one is never written.
    validate::check_secret(secret.kind.as_deref(), &secret.metadata)?;

    let Some(existing) = existing else {
        return Ok(Write::Create(secret));
    };
    let same_content = existing.kind == secret.kind
        && existing.immutable == secret.immutable
        && existing.iter().eq(secret.iter());
    if same_content && is_same(&existing.metadata, &secret.metadata) {
        return Ok(Write::Nothing);
    }
    if existing.immutable != Some(true) {
        return Ok(Write::Update(secret));
    }
    if is_same(&existing.metadata, &secret.metadata) {
        return Err(TargetError::Immutable);
    }
    let mut frozen = existing.copy();
    frozen.metadata = secret.metadata;
    Ok(Write::UpdateMetadata {
        secret: frozen,
        stale: !same_content,
    })
}

/// The parts of metadata that are ever changed here; a missing map is an empty one.
fn is_same(old: &ObjectMeta, new: &ObjectMeta) -> bool {
    fn map(map: Option<&BTreeMap<String, String>>) -> impl Iterator<Item = (&String, &String)> {
        map.into_iter().flatten()
    }
    map(old.labels.as_ref()).eq(map(new.labels.as_ref()))
        && map(old.annotations.as_ref()).eq(map(new.annotations.as_ref()))
        && old
            .finalizers
            .iter()
            .flatten()
            .eq(new.finalizers.iter().flatten())
        && old
            .owner_references
            .iter()
            .flatten()
            .eq(new.owner_references.iter().flatten())
}

/// Takes the Secret over, or lets it go.
///
/// Controllers are compared by group, kind and name: version and UID change when objects are restored (2.6).
fn set_owner(object: &ExternalSecret, metadata: &mut ObjectMeta) -> Result<(), TargetError> {
    let references = metadata.owner_references.get_or_insert_default();
    let controller = references
        .iter()
        .position(|reference| reference.controller == Some(true));
    let by_external_secret = controller.is_some_and(|at| is_external_secret(&references[at]));
    let is_ours =
        by_external_secret && controller.is_some_and(|at| references[at].name == object.name());
    if by_external_secret && !is_ours {
        return Err(TargetError::OwnedByOther);
    }
    if object.spec.target.creation_policy != CreationPolicy::Owner {
        if let Some(at) = controller.filter(|_| is_ours) {
            references.remove(at);
        }
    } else {
        if controller.is_some() && !is_ours {
            return Err(TargetError::CannotOwn);
        }
        let reference = owner_reference(object);
        // A reference to the same object that does not control becomes one that does.
        let known = references
            .iter()
            .position(|known| is_external_secret(known) && known.name == object.name());
        match known {
            Some(at) => references[at] = reference,
            None => references.push(reference),
        }
    }
    if references.is_empty() {
        metadata.owner_references = None;
    }
    Ok(())
}

fn is_external_secret(reference: &OwnerReference) -> bool {
    let group = reference
        .api_version
        .split_once('/')
        .map_or("", |(group, _)| group);
    group == GROUP && reference.kind == KIND
}

/// The owner reference of Secrets that the object controls.
#[must_use]
pub fn owner_reference(object: &ExternalSecret) -> OwnerReference {
    OwnerReference {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        name: object.name().to_owned(),
        uid: object.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Returns true if this very object controls the Secret.
#[must_use]
pub fn is_controlled_by(metadata: &ObjectMeta, object: &ExternalSecret) -> bool {
    let references = metadata.owner_references.iter().flatten();
    let uid = object.metadata.uid.as_deref();
    references
        .filter(|reference| reference.controller == Some(true))
        .any(|reference| uid.is_some_and(|uid| uid == reference.uid))
}

fn apply_template(
    object: &ExternalSecret,
    manager: &str,
    secret: &mut PlainSecret,
    values: Values,
    inputs: Inputs<'_>,
) -> Result<(), TargetError> {
    let template = object.spec.target.template.as_ref();
    if let Some(template) = template {
        validate::check_template(template)?;
        render::check_targets(template)?;
    }
    set_metadata(object, manager, &mut secret.metadata);
    if !object.spec.target.creation_policy.keeps_other_keys() {
        secret.clear();
    }
    let Some(template) = template else {
        for (key, value) in values {
            secret.insert(&key, value);
        }
        return Ok(());
    };
    if let Some(kind) = template.kind.as_ref().filter(|kind| !kind.is_empty()) {
        secret.kind = Some(kind.clone());
    }
    let output = render::render(template, &values, inputs)?;
    if template.keeps_values() {
        for (key, value) in values {
            secret.insert(&key, value);
        }
    }
    for (key, value) in output.data {
        secret.insert(&key, value);
    }
    secret
        .metadata
        .labels
        .get_or_insert_default()
        .extend(output.labels);
    secret
        .metadata
        .annotations
        .get_or_insert_default()
        .extend(output.annotations);
    Ok(())
}

/// Takes away the labels and annotations of earlier writes, and adds those of now.
///
/// Without a template all of the object's own are copied, those of other tools included; with one, even an empty one, only
/// those of the template (T5).
fn set_metadata(object: &ExternalSecret, manager: &str, metadata: &mut ObjectMeta) {
    // Upstream looks labels and annotations up under another name than it writes them by, if that is a hash of a name up to
    // 63 characters: those of such objects stay (T2).
    let manager = match object.name().len() {
        ..=63 => hash::plain_field_manager(object.name()),
        _ => manager.to_owned(),
    };
    let old_labels = managed_fields::keys(metadata, &manager, Part::Labels);
    let old_annotations = managed_fields::keys(metadata, &manager, Part::Annotations);
    let labels = metadata.labels.get_or_insert_default();
    labels.retain(|key, _| !old_labels.contains(key));
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.retain(|key, _| !old_annotations.contains(key));
    let copy = |from: &BTreeMap<String, String>, to: &mut BTreeMap<String, String>| {
        to.extend(from.iter().map(|(key, value)| (key.clone(), value.clone())));
    };
    let Some(template) = &object.spec.target.template else {
        if let Some(own) = &object.metadata.labels {
            copy(own, labels);
        }
        if let Some(own) = &object.metadata.annotations {
            copy(own, annotations);
        }
        return;
    };
    copy(&template.metadata.labels, labels);
    copy(&template.metadata.annotations, annotations);
    if metadata.deletion_timestamp.is_none() {
        let finalizers = metadata.finalizers.get_or_insert_default();
        for finalizer in &template.metadata.finalizers {
            if !finalizers.contains(finalizer) {
                finalizers.push(finalizer.clone());
            }
        }
        if finalizers.is_empty() {
            metadata.finalizers = None;
        }
    }
}

#[cfg(test)]
mod tests;
