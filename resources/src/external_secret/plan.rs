//! Plans the reconciliation of one ExternalSecret from what was observed and the current time.
//!
//! A reconcile has two plans. [`begin`] examines the object and the metadata of its target and decides whether values have to
//! be read. [`finish`] takes those values and decides what to write. If an action fails, [`failed`] replaces the actions that
//! would have followed it.

mod action;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

pub use self::action::{Action, Again, Event, Plan};
use super::data::{Assembled, DataError};
use super::refresh::{self, Due};
use super::render::Inputs;
use super::status::{self, Status};
use super::target::{self, TargetError, Write};
use super::{
    CreationPolicy, DATA_HASH_ANNOTATION, DeletionPolicy, ExternalSecret, FINALIZER, hash,
    managed_fields,
};
use crate::drift::Drift;
use crate::plain_secret::PlainSecret;

/// What [`begin`] decides.
pub enum Beginning {
    /// There is nothing more to do.
    Done(Plan),
    /// The target lacks the managed label. These actions add it; then the target is read again and [`begin`] decides again.
    Mark(Vec<Action>),
    /// The values have to be read, after these actions.
    Read(Vec<Action>),
}

/// What [`begin`] examines of the target.
pub struct TargetSeen<'a> {
    /// Its metadata, if it exists.
    pub metadata: Option<&'a ObjectMeta>,
    /// Hashes its data. Called only if the hash matters.
    pub data_hash: &'a dyn Fn() -> Option<String>,
    /// Whether it is known to be unchanged since the last write, in which case the other two fields are not filled in.
    pub untouched: bool,
}

/// Decides whether there is anything to do.
///
/// An object of another controller class gets its finalizer and is otherwise left alone, as upstream does (T6).
#[must_use]
pub fn begin(
    object: &ExternalSecret,
    foreign_class: bool,
    target: &TargetSeen<'_>,
    now: Timestamp,
    zone: &TimeZone,
) -> Beginning {
    let mut actions = Vec::new();
    let done = |actions, again| Beginning::Done(Plan { actions, again });
    if object.is_deleting() {
        return done(deletion(object, target.metadata), Again::Never);
    }
    if !has_finalizer(object) {
        actions.push(Action::AddFinalizer);
    }
    if foreign_class {
        return done(actions, Again::Never);
    }
    if target
        .metadata
        .is_some_and(|metadata| !refresh::is_managed(metadata))
    {
        // A missing label alone is no reason to read the values.
        actions.push(Action::MarkTarget);
        return Beginning::Mark(actions);
    }
    let valid =
        || target.untouched || refresh::is_target_valid(object, target.metadata, target.data_hash);
    if !refresh::should_refresh(object, now, zone) && valid() {
        return done(actions, next_look(object, now, zone));
    }
    Beginning::Read(actions)
}

/// Returns true if deletion of the object waits for this controller.
#[must_use]
pub fn has_finalizer(object: &ExternalSecret) -> bool {
    let finalizers = object.metadata.finalizers.iter().flatten();
    finalizers
        .into_iter()
        .any(|finalizer| finalizer == FINALIZER)
}

/// Deletes the Secret only under the policy Delete, and only if this object controls it. The garbage collector deletes the
/// Secrets of owners whatever the policy (T28).
fn deletion(object: &ExternalSecret, target: Option<&ObjectMeta>) -> Vec<Action> {
    let mut actions = Vec::new();
    if !has_finalizer(object) {
        return actions;
    }
    if object.spec.target.deletion_policy == DeletionPolicy::Delete
        && object.spec.target.manifest.is_none()
        && let Some(metadata) = target
        && metadata.deletion_timestamp.is_none()
        && target::is_controlled_by(metadata, object)
    {
        actions.push(delete(metadata, false));
    }
    actions.push(Action::RemoveFinalizer);
    actions
}

fn delete(metadata: &ObjectMeta, orphan: bool) -> Action {
    Action::Delete {
        name: metadata.name.clone().unwrap_or_default(),
        uid: metadata.uid.clone().unwrap_or_default(),
        orphan,
    }
}

fn deleted() -> Event {
    Event {
        warning: false,
        reason: "Deleted",
        message: status::DELETED.to_owned(),
    }
}

/// What was observed besides the object.
pub struct Seen<'a> {
    /// The target, if it exists.
    pub target: Option<&'a PlainSecret>,
    /// The metadata of the other Secrets in the namespace that carry the owner label of the object.
    pub orphans: &'a [ObjectMeta],
    /// The inputs of templates.
    pub inputs: Inputs<'a>,
    /// When this reconcile began.
    pub started: Timestamp,
    /// The controller's time zone.
    pub zone: &'a TimeZone,
    /// Whether the Secret may lose most of its values at once.
    pub mass_deletion: bool,
}

/// A Secret or store with fewer keys than this may lose all of them at once.
pub const FEW_KEYS: usize = 10;

/// Returns true if the Secret would lose more than half of the values that a search had found. A search does not prove that
/// what it misses is gone, so the Secret of an unchanged object is not rewritten in that case.
fn loses_most(object: &ExternalSecret, seen: &Seen<'_>, values: &super::values::Values) -> bool {
    let status = object.status.as_ref();
    let synced = status.and_then(|status| status.synced_resource_version.as_deref());
    let Some(target) = seen.target else {
        return false;
    };
    let template = object.spec.target.template.as_ref();
    let searches = object
        .spec
        .data_from
        .iter()
        .any(|entry| entry.find.is_some());
    if seen.mass_deletion
        || !searches
        || template.is_some()
        || synced != Some(hash::synced_version(&object.metadata).as_str())
    {
        return false;
    }
    let manager = hash::field_manager(object.name());
    let ours = managed_fields::keys(&target.metadata, &manager, managed_fields::Part::Data);
    let lost = ours.iter().filter(|key| !values.contains_key(*key)).count();
    ours.len() >= FEW_KEYS && 2 * lost > ours.len()
}

/// Decides what is written, once the values have been read.
#[must_use]
pub fn finish(object: &ExternalSecret, seen: &Seen<'_>, data: Assembled) -> Plan {
    let mut actions: Vec<Action> = data.missing.into_iter().map(missing).collect();
    let values = match data.values {
        Ok(values) => values,
        Err(error) => {
            actions.extend(unread(object, &error, seen.started));
            let again = match error.problem.is_definite() {
                true => Again::RetrySeldom,
                false => Again::Retry,
            };
            return Plan { actions, again };
        }
    };
    if loses_most(object, seen, &values) && !retains(object, &values) {
        let detail = "more than half of what was found before is gone at once; nothing is deleted unless the annotation \
            sealwright.dev/allow-mass-deletion of the store is true";
        actions.extend(failure(object, status::NO_DATA, Some(detail), seen.started));
        return Plan {
            actions,
            again: Again::RetrySeldom,
        };
    }
    let deletion = object.spec.target.deletion_policy;
    if retains(object, &values) {
        return finished(
            object,
            actions,
            (status::SECRET_SYNCED, status::RETAINED),
            None,
            seen.started,
            seen.zone,
        );
    }
    if values.is_empty() && deletion == DeletionPolicy::Delete {
        return vanished(object, seen, actions);
    }
    if object.spec.target.creation_policy == CreationPolicy::Owner {
        for orphan in seen.orphans {
            actions.push(delete(orphan, true));
            actions.push(Action::Emit(Event {
                warning: false,
                reason: "Deleted",
                message: "secret deleted because it was orphaned".to_owned(),
            }));
        }
    }
    let written = target::build(object, seen.target, values, seen.inputs);
    let binding = Some(object.target_name());
    let done = (status::SECRET_SYNCED, status::SYNCED);
    match written {
        Ok(Write::Nothing) => {
            let binding = binding.filter(|_| {
                object.spec.target.creation_policy != CreationPolicy::None && seen.target.is_some()
            });
            finished(object, actions, done, binding, seen.started, seen.zone)
        }
        Ok(Write::Missing) => finished(
            object,
            actions,
            (status::SECRET_MISSING, status::MISSING),
            None,
            seen.started,
            seen.zone,
        ),
        Ok(Write::Create(secret)) => {
            actions.push(Action::Create(secret));
            actions.push(emit("Created", "secret created"));
            finished(object, actions, done, binding, seen.started, seen.zone)
        }
        Ok(Write::Update(secret)) => {
            actions.push(Action::Update(secret));
            actions.push(emit("Updated", "secret updated"));
            finished(object, actions, done, binding, seen.started, seen.zone)
        }
        Ok(Write::UpdateMetadata {
            secret,
            stale: false,
        }) => {
            actions.push(Action::Update(secret));
            finished(object, actions, done, binding, seen.started, seen.zone)
        }
        Ok(Write::UpdateMetadata {
            secret,
            stale: true,
        }) => {
            actions.push(Action::Update(secret));
            unbuilt(object, seen, actions, &TargetError::Immutable)
        }
        Err(error) => unbuilt(object, seen, actions, &error),
    }
}

/// Returns true if no values are left and the policy keeps the Secret as it is.
fn retains(object: &ExternalSecret, values: &super::values::Values) -> bool {
    values.is_empty() && object.spec.target.deletion_policy == DeletionPolicy::Retain
}

/// Plans the report for a Secret that already holds the values just read. `missing` lists the entries without a secret.
#[must_use]
pub fn unchanged(
    object: &ExternalSecret,
    missing_entries: Vec<String>,
    started: Timestamp,
    zone: &TimeZone,
) -> Plan {
    let actions = missing_entries.into_iter().map(missing).collect();
    let binding = Some(object.target_name());
    let done = (status::SECRET_SYNCED, status::SYNCED);
    finished(object, actions, done, binding, started, zone)
}

/// Returns the event about an optional secret that does not exist.
#[must_use]
pub fn missing(text: String) -> Action {
    Action::Emit(Event {
        warning: false,
        reason: "MissingProviderSecret",
        message: text,
    })
}

fn emit(reason: &'static str, message: &str) -> Action {
    Action::Emit(Event {
        warning: false,
        reason,
        message: message.to_owned(),
    })
}

/// Plans the deletion of the Secret after all of its values disappeared, as the policy asks.
fn vanished(object: &ExternalSecret, seen: &Seen<'_>, mut actions: Vec<Action>) -> Plan {
    if object.spec.target.creation_policy != CreationPolicy::Owner {
        actions.extend(failure(
            object,
            status::NOT_DELETED,
            Some("deletionPolicy Delete needs creationPolicy Owner"),
            seen.started,
        ));
        return Plan {
            actions,
            again: Again::Never,
        };
    }
    if let Some(target) = seen.target {
        let controller = target.metadata.owner_references.iter().flatten();
        let foreign = controller
            .filter(|reference| reference.controller == Some(true))
            .any(|reference| reference.kind != super::KIND || reference.name != object.name());
        if foreign {
            return unbuilt(object, seen, actions, &TargetError::CannotOwn);
        }
        actions.push(delete(&target.metadata, false));
        actions.push(Action::Emit(deleted()));
    }
    finished(
        object,
        actions,
        (status::SECRET_DELETED, status::DELETED),
        None,
        seen.started,
        seen.zone,
    )
}

fn unbuilt(
    object: &ExternalSecret,
    seen: &Seen<'_>,
    mut actions: Vec<Action>,
    error: &TargetError,
) -> Plan {
    let detail = error.to_string();
    let mut next = status_of(object);
    // Upstream names the Secret before it tries to change one (T41).
    if seen.target.is_some() {
        next.binding.name = object.target_name().to_owned();
    }
    let fixed = error.fixed_text();
    let detail =
        (fixed != status::IMMUTABLE && fixed != status::OWNED_BY_OTHER).then_some(detail.as_str());
    actions.extend(failure_in(object, next, fixed, detail, seen.started));
    Plan {
        actions,
        again: match error.is_retried() {
            true => Again::Retry,
            false => Again::Never,
        },
    }
}

/// Ends a successful reconcile with the reason and message of its condition, and the time of the next one.
#[must_use]
pub fn finished(
    object: &ExternalSecret,
    mut actions: Vec<Action>,
    (reason, message): (&str, &str),
    binding: Option<&str>,
    started: Timestamp,
    zone: &TimeZone,
) -> Plan {
    let mut next = status_of(object);
    let now = to_time(started);
    if let Some(name) = binding {
        next.binding.name = name.to_owned();
    }
    next.synced_resource_version = Some(hash::synced_version(&object.metadata));
    status::set_condition(
        &mut next.conditions,
        status::READY,
        "True",
        reason,
        message,
        &now,
    );
    next.refresh_time = Some(now);
    let mut as_written = object.clone();
    as_written.status = Some(next.clone());
    actions.push(Action::SetStatus(next));
    Plan {
        actions,
        again: next_look(&as_written, started, zone),
    }
}

/// Returns when to reconcile the object next if nothing changes before.
#[must_use]
pub fn next_look(object: &ExternalSecret, now: Timestamp, zone: &TimeZone) -> Again {
    match refresh::next(object, now, zone) {
        Due::Now => Again::Now,
        Due::At(at) => Again::At(at),
        Due::Never => Again::Never,
    }
}

/// Plans the report for values that could not be read.
#[must_use]
pub fn unread(object: &ExternalSecret, error: &DataError, now: Timestamp) -> Vec<Action> {
    failure(object, status::NO_DATA, Some(&error.to_string()), now)
}

/// Which action failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Writing the Secret, or reading its inputs.
    Write {
        /// Whether the Secret existed before.
        existing: bool,
    },
    /// Deleting the Secret.
    Delete,
    /// Deleting a Secret with a previous name.
    DeleteOrphan,
}

/// Plans the report for an action that the API server refused. Only the category of the error is shown, because the server's
/// own message may quote a value.
#[must_use]
pub fn failed(
    object: &ExternalSecret,
    attempt: Attempt,
    category: &'static str,
    now: Timestamp,
) -> Vec<Action> {
    let mut next = status_of(object);
    let fixed = match attempt {
        Attempt::Write { existing } => {
            if existing {
                next.binding.name = object.target_name().to_owned();
            }
            status::NOT_UPDATED
        }
        Attempt::Delete => status::NOT_DELETED,
        Attempt::DeleteOrphan => status::ORPHANS_LEFT,
    };
    failure_in(object, next, fixed, Some(category), now)
}

/// Returns true if another writer changed the values of the target, so that they no longer match its hash annotation, and the
/// object asks only to report such changes.
#[must_use]
pub fn is_only_reported(
    object: &ExternalSecret,
    target: &ObjectMeta,
    data_hash: impl FnOnce() -> Option<String>,
) -> bool {
    let is_written = target
        .annotations
        .as_ref()
        .is_some_and(|annotations| annotations.contains_key(DATA_HASH_ANNOTATION));
    Drift::of(&object.metadata) == Drift::Report
        // A shared Secret has other writers by design.
        && object.spec.target.creation_policy == CreationPolicy::Owner
        && object.metadata.deletion_timestamp.is_none()
        && is_written
        && refresh::is_managed(target)
        && !refresh::is_target_valid(object, Some(target), data_hash)
}

/// Plans the report for a target that another writer changed.
#[must_use]
pub fn drifted(object: &ExternalSecret, now: Timestamp) -> Vec<Action> {
    let detail = "another writer has changed it, and the annotation sealwright.dev/drift asks for a report only";
    failure(object, status::NOT_UPDATED, Some(detail), now)
}

/// Returns the status and event of an object that cannot be parsed. `fault` names a field and quotes no value.
#[must_use]
pub fn unreadable(mut status_now: Status, fault: &str, now: Timestamp) -> (Status, Event) {
    let message = status::message(status::NOT_UPDATED, Some(fault));
    status::set_condition(
        &mut status_now.conditions,
        status::READY,
        "False",
        status::SECRET_SYNCED_ERROR,
        &message,
        &to_time(now),
    );
    let event = Event {
        warning: true,
        reason: "UpdateFailed",
        message,
    };
    (status_now, event)
}

/// Plans the report for an object that cannot be fulfilled. `detail` is shown to everyone in full.
#[must_use]
pub fn failure(
    object: &ExternalSecret,
    fixed: &str,
    detail: Option<&str>,
    now: Timestamp,
) -> Vec<Action> {
    failure_in(object, status_of(object), fixed, detail, now)
}

/// Reports a failure; the status keeps the time of the last refresh and the synced version.
fn failure_in(
    object: &ExternalSecret,
    mut next: Status,
    fixed: &str,
    detail: Option<&str>,
    now: Timestamp,
) -> Vec<Action> {
    let message = status::message(fixed, detail);
    let reason = match object.spec.target.manifest {
        // An error found before any target is examined uses the reason for Secrets, as upstream does.
        Some(_) if fixed != status::INVALID_GENERIC => status::RESOURCE_SYNCED_ERROR,
        _ => status::SECRET_SYNCED_ERROR,
    };
    status::set_condition(
        &mut next.conditions,
        status::READY,
        "False",
        reason,
        &message,
        &to_time(now),
    );
    vec![
        Action::Emit(Event {
            warning: true,
            reason: "UpdateFailed",
            message,
        }),
        Action::SetStatus(next),
    ]
}

fn status_of(object: &ExternalSecret) -> Status {
    object.status.clone().unwrap_or_default()
}

/// Truncates to whole seconds, which is what Kubernetes stores.
fn to_time(now: Timestamp) -> Time {
    let whole = Timestamp::from_second(now.as_second()).unwrap_or(now);
    Time(whole)
}

#[cfg(test)]
mod tests;
