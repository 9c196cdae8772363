//! What a plan asks for, done one after the other.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sealwright_resources::external_secret::plan::{
    self, Action, Again, Beginning, Plan, TargetSeen,
};
use sealwright_resources::external_secret::{DeletionPolicy, ExternalSecret, FINALIZER, hash};

use super::super::finalizer;
use super::{ExternalSecrets, Outcome};
use crate::action;
use crate::api::{Api, ApiError};
use crate::frame::kind::{Attempt, LookedAt};
use crate::frame::object::{Key, Version};

impl ExternalSecrets {
    /// Does what the plan says. An action that fails replaces all that come after it.
    pub(super) async fn perform(
        &self,
        object: &ExternalSecret,
        target: &Key,
        mut version: Option<Version>,
        plan: Plan,
        started: Timestamp,
    ) -> Attempt<Outcome> {
        let manager = hash::field_manager(object.name());
        let existing = version.is_some();
        let mut outcome = Outcome::quiet(object, plan.again);
        let mut failed = false;
        for action in plan.actions {
            let (attempt, result) = match action {
                Action::AddFinalizer | Action::RemoveFinalizer | Action::MarkTarget => continue,
                Action::Emit(event) => {
                    failed |= event.warning;
                    outcome.events.push(event);
                    continue;
                }
                Action::SetStatus(status) => {
                    outcome.status = Some(status);
                    continue;
                }
                Action::Create(secret) => {
                    let written = action::create_secret_as(self.api(), &secret, &manager).await;
                    (plan::Attempt::Write { existing }, written.map(Some))
                }
                Action::Update(secret) => {
                    let written = action::replace_secret_as(self.api(), &secret, &manager).await;
                    (plan::Attempt::Write { existing }, written.map(Some))
                }
                Action::Delete { name, uid, orphan } => {
                    let key = Key::new(&target.namespace, &name);
                    let deleted = action::delete_secret_of(self.api(), &key, &uid).await;
                    match orphan {
                        true => (
                            plan::Attempt::DeleteOrphan,
                            deleted.map(|()| version.clone()),
                        ),
                        false => (plan::Attempt::Delete, deleted.map(|()| None)),
                    }
                }
            };
            match result {
                Ok(now) => version = now,
                // Another writer was faster: everything is looked at again, and nothing is reported.
                Err(error) if error.is_conflict() || error.is_not_found() => {
                    return Attempt {
                        ended: Err(LookedAt::default()),
                        outcome: Outcome::quiet(object, Again::Retry),
                    };
                }
                Err(error) => {
                    tracing::warn!(namespace = %target.namespace, name = object.name(), error = %error.about_values(), "the API server refuses to write the Secret");
                    let actions = plan::failed(object, attempt, error.category(), started);
                    let after = Self::told(
                        object,
                        Plan {
                            actions,
                            again: Again::Retry,
                        },
                    );
                    outcome.events.extend(after.events);
                    outcome.status = after.status;
                    outcome.again = after.again;
                    failed = true;
                    break;
                }
            }
        }
        Attempt {
            ended: match failed {
                true => Err(LookedAt(Some(version))),
                false => Ok(version),
            },
            outcome,
        }
    }
}

/// Ends what a deleted object stands for, and lets it go.
pub(super) async fn finalize(
    api: &Api,
    key: &Key,
    object: &ExternalSecret,
    zone: &TimeZone,
) -> Result<(), ApiError> {
    let target = Key::new(&key.namespace, object.target_name());
    let metadata = match object.spec.target.deletion_policy {
        DeletionPolicy::Delete => {
            let path = action::secret(&target.namespace, &target.name);
            match api.get_metadata(&path).await {
                Ok(answer) => Some(action::metadata_of(&answer)?),
                Err(error) if error.is_not_found() => None,
                Err(error) => return Err(error),
            }
        }
        DeletionPolicy::Merge | DeletionPolicy::Retain => None,
    };
    let beginning = {
        let seen = TargetSeen {
            metadata: metadata.as_ref(),
            data_hash: &|| None,
            untouched: false,
        };
        plan::begin(object, false, &seen, Timestamp::now(), zone)
    };
    let Beginning::Done(Plan { actions, .. }) = beginning else {
        return Ok(());
    };
    for action in actions {
        match action {
            Action::Delete { name, uid, .. } => {
                let key = Key::new(&target.namespace, &name);
                action::delete_secret_of(api, &key, &uid).await?;
            }
            Action::RemoveFinalizer => {
                let metadata = &object.metadata;
                let removed =
                    finalizer::set::<ExternalSecret>(api, key, metadata, FINALIZER, false).await;
                match removed {
                    Err(error) if !error.is_not_found() => return Err(error),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    Ok(())
}
