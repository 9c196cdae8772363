//! What to do with the target Secret: purely a question of what is wanted and what is there.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use sealwright_crypto::secret::SecretBytes;
use sealwright_resources::plain_secret::PlainSecret;
use sealwright_resources::sealed_secret::{KIND, MANAGED_ANNOTATION, PATCH_ANNOTATION};

use crate::frame::secret_target::Judgement;

/// The type of a Secret that does not say; the API server fills it in.
const DEFAULT_KIND: &str = "Opaque";

/// Judges the Secret that is there (1.9 of the contract).
///
/// `uid` is that of the SealedSecret. When the Secret is known to have come from this very spec,
/// labels and annotations that others have added since are `tolerated` and no reason to write;
/// whatever came from the spec is put back all the same.
pub(super) fn plan<'a>(
    wanted: &'a PlainSecret,
    uid: &str,
    target: Option<&PlainSecret>,
    tolerated: bool,
) -> Judgement<'a> {
    let Some(target) = target else {
        return Judgement::Create(wanted);
    };
    let managed = is_true(&target.metadata, MANAGED_ANNOTATION);
    let patched = is_true(&target.metadata, PATCH_ANNOTATION);
    // Refused even if the Secret happens to be equal: the answer would tell anyone who may write
    // SealedSecrets but not read Secrets whether a guess is right.
    if !managed && !patched && !is_controlled_by(&target.metadata, uid) {
        return Judgement::Refuse;
    }
    if patched {
        return merge(wanted, target);
    }
    let same_labels = |wanted, there| match tolerated {
        true => is_part_of(wanted, there),
        false => is_same(wanted, there),
    };
    let same = has_same_data(wanted, target)
        && kind(wanted) == kind(target)
        && owners(&wanted.metadata) == owners(&target.metadata)
        && same_labels(&wanted.metadata.labels, &target.metadata.labels)
        && same_labels(&wanted.metadata.annotations, &target.metadata.annotations);
    if same {
        return Judgement::Keep;
    }
    let mut new = shell(wanted, target);
    new.metadata.labels = wanted.metadata.labels.clone();
    new.metadata.annotations = wanted.metadata.annotations.clone();
    new.metadata.owner_references = wanted.metadata.owner_references.clone();
    copy(wanted, &mut new);
    Judgement::Replace(Box::new(new))
}

/// Tells whether the controller may write a Secret that looks like this.
pub(super) fn is_ours(metadata: &ObjectMeta, uid: &str) -> bool {
    is_reclaimed(metadata, uid) || is_true(metadata, PATCH_ANNOTATION)
}

/// Tells whether a Secret with this metadata comes back when it is deleted (C48).
pub(super) fn is_reclaimed(metadata: &ObjectMeta, uid: &str) -> bool {
    is_controlled_by(metadata, uid) || is_true(metadata, MANAGED_ANNOTATION)
}

/// Returns true if a Secret that was deleted is one to put there again, or one whose place is free now: a Secret of a
/// SealedSecret that had the same name and was deleted is taken away by the garbage collector.
pub(super) fn makes_room(metadata: &ObjectMeta, uid: &str) -> bool {
    let of_namesake = owners(metadata).iter().any(|owner| {
        owner.controller == Some(true)
            && owner.kind == KIND
            && Some(&owner.name) == metadata.name.as_ref()
    });
    of_namesake || is_reclaimed(metadata, uid)
}

/// Merges into a Secret that is only patched; nothing is ever removed from it.
fn merge<'a>(wanted: &PlainSecret, target: &PlainSecret) -> Judgement<'a> {
    let mut new = shell(wanted, target);
    add(&mut new.metadata.labels, &wanted.metadata.labels);
    add(&mut new.metadata.annotations, &wanted.metadata.annotations);
    if is_true(&new.metadata, MANAGED_ANNOTATION) {
        new.metadata.owner_references = wanted.metadata.owner_references.clone();
    }
    copy(target, &mut new);
    copy(wanted, &mut new);
    let same = has_same_data(&new, target)
        && kind(&new) == kind(target)
        && owners(&new.metadata) == owners(&target.metadata)
        && is_same(&new.metadata.labels, &target.metadata.labels)
        && is_same(&new.metadata.annotations, &target.metadata.annotations);
    match same {
        true => Judgement::Keep,
        false => Judgement::Replace(Box::new(new)),
    }
}

/// The target without its data and with the wanted type: what neither replacing nor merging
/// touches, resource version included, so that a write in between is noticed.
fn shell(wanted: &PlainSecret, target: &PlainSecret) -> PlainSecret {
    let mut metadata = target.metadata.clone();
    // Absent means unchanged here.
    metadata.managed_fields = None;
    let mut new = PlainSecret::default();
    new.metadata = metadata;
    new.kind = Some(kind(wanted).to_owned());
    new.immutable = target.immutable;
    new
}

fn copy(from: &PlainSecret, to: &mut PlainSecret) {
    for (key, value) in from.iter() {
        to.insert(key, SecretBytes::copy_of(value.expose()));
    }
}

fn has_same_data(one: &PlainSecret, other: &PlainSecret) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other.iter())
            .all(|((key, value), (other_key, other_value))| {
                key == other_key && value == other_value
            })
}

/// T7: a Secret without a type is the same as one of the default type.
fn kind(secret: &PlainSecret) -> &str {
    secret.kind.as_deref().unwrap_or(DEFAULT_KIND)
}

fn owners(metadata: &ObjectMeta) -> &[OwnerReference] {
    metadata.owner_references.as_deref().unwrap_or_default()
}

fn is_controlled_by(metadata: &ObjectMeta, uid: &str) -> bool {
    !uid.is_empty()
        && owners(metadata)
            .iter()
            .any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

/// T2: only the exact text counts.
fn is_true(metadata: &ObjectMeta, annotation: &str) -> bool {
    metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(annotation))
        .is_some_and(|value| value == "true")
}

type Texts = Option<BTreeMap<String, String>>;

fn is_same(one: &Texts, other: &Texts) -> bool {
    let empty = BTreeMap::new();
    one.as_ref().unwrap_or(&empty) == other.as_ref().unwrap_or(&empty)
}

fn is_part_of(part: &Texts, whole: &Texts) -> bool {
    part.iter().flatten().all(|(key, value)| {
        whole
            .as_ref()
            .and_then(|whole| whole.get(key))
            .is_some_and(|there| there == value)
    })
}

fn add(to: &mut Texts, from: &Texts) {
    if let Some(from) = from.as_ref().filter(|from| !from.is_empty()) {
        to.get_or_insert_default().extend(from.clone());
    }
}

#[cfg(test)]
mod tests;
