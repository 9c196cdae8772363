//! What users see of an attempt: status, event, metric.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use sealwright_resources::condition::{self, Holds};
use sealwright_resources::sealed_secret::{SealedSecret, SealedSecretStatus};

use super::proof;
use crate::api::ApiError;
use crate::frame::event::Event;
use crate::frame::verdict::Verdict;
use crate::metrics::Failure;

/// The component that upstream's events come from.
pub(in crate::reconcile) const COMPONENT: &str = "sealed-secrets";

/// The end of the API server's answer to a change of an immutable Secret.
const IMMUTABLE: &str = "field is immutable when `immutable` is set";

/// What went wrong with one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) failure: Failure,
    pub(super) verdict: Verdict,
    /// The text in the status.
    pub(super) text: String,
    reason: &'static str,
    event_reason: &'static str,
    event_text: String,
}

impl Problem {
    /// C59: a value does not open, or a template does not render.
    pub(super) fn unseal(text: String) -> Self {
        Self {
            failure: Failure::Unseal,
            verdict: Verdict::Wait,
            reason: "UnsealFailed",
            event_reason: "ErrUnsealFailed",
            event_text: format!("Failed to unseal: {text}"),
            text,
        }
    }

    /// C61: the Secret is somebody else's.
    pub(super) fn unmanaged(name: &str) -> Self {
        let text = format!("Resource \"{name}\" already exists and is not managed by SealedSecret");
        Self {
            failure: Failure::Unmanaged,
            verdict: Verdict::Wait,
            text: format!("failed update: {text}"),
            reason: "NotManaged",
            event_reason: "ErrUpdateFailed",
            event_text: text,
        }
    }

    /// C60, C62: the API server did not take the Secret.
    pub(super) fn write(key: &str, error: &ApiError) -> Self {
        let text = error.to_string();
        let immutable = text.ends_with(IMMUTABLE);
        Self {
            failure: Failure::Update,
            verdict: match error.may_pass() && !immutable {
                true => Verdict::TryAgain,
                false => Verdict::Wait,
            },
            reason: if immutable {
                "Immutable"
            } else {
                "UpdateFailed"
            },
            event_reason: "ErrUpdateFailed",
            event_text: match immutable {
                true => format!(
                    "Error updating {key}: the target Secret is immutable. Once a Secret is marked as immutable, it is not possible to revert this change nor to mutate the contents of the data field. You can only delete and recreate the Secret."
                ),
                false => text.clone(),
            },
            text,
        }
    }

    /// The object cannot be read; `text` names the field and no value.
    pub(super) fn unreadable(text: String) -> Self {
        Self {
            failure: Failure::Unreadable,
            verdict: Verdict::Wait,
            reason: "Unreadable",
            event_reason: "ErrUnsealFailed",
            event_text: format!("Failed to unseal: {text}"),
            text,
        }
    }

    /// Another writer keeps changing the Secret.
    pub(super) fn contested() -> Self {
        let text = "another writer keeps changing the Secret: it is put back after a pause";
        Self {
            failure: Failure::Update,
            verdict: Verdict::TryAgain,
            text: text.to_owned(),
            reason: "Contested",
            event_reason: "ErrUpdateFailed",
            event_text: text.to_owned(),
        }
    }

    /// Another writer has changed the Secret, and the object asks to be told only.
    pub(super) fn drifted() -> Self {
        let text = "another writer has changed the Secret, and the annotation sealwright.dev/drift asks for a report only";
        Self {
            failure: Failure::Drifted,
            verdict: Verdict::Wait,
            text: text.to_owned(),
            reason: proof::DRIFTED,
            event_reason: proof::DRIFTED,
            event_text: text.to_owned(),
        }
    }

    /// A fault of this program.
    pub(super) fn internal(text: String) -> Self {
        Self {
            failure: Failure::Unseal,
            verdict: Verdict::Wait,
            reason: "InternalError",
            event_reason: "ErrUnsealFailed",
            event_text: format!("Failed to unseal: {text}"),
            text,
        }
    }
}

/// What came of one attempt: the text of a [claim](proof::Claim), or a problem.
type Outcome = Result<Option<String>, Problem>;

/// The status that is true after `outcome`, or nothing if `before` is already.
pub(super) fn status(
    generation: Option<i64>,
    before: Option<&SealedSecretStatus>,
    outcome: &Outcome,
    now: Timestamp,
) -> Option<SealedSecretStatus> {
    // Upstream writes whole seconds, and so do all who read them.
    let now = Time(Timestamp::from_second(now.as_second()).unwrap_or(now));
    let mut status = before.cloned().unwrap_or_default();
    let list = &mut status.conditions;
    let mut changed = false;
    let mut set = |kind, holds, reason: &str, message: &str| {
        changed |= condition::set(list, kind, holds, reason, message, &now);
    };
    let kept: &[&str] = match outcome {
        Ok(claim) => {
            set(condition::SYNCED, Holds::True, "", "");
            set(condition::READY, Holds::True, "Unsealed", "");
            match claim {
                Some(claim) => {
                    set(proof::APPLIED, Holds::True, proof::REASON, claim);
                    &[proof::APPLIED]
                }
                None => &[],
            }
        }
        Err(problem) => {
            set(condition::SYNCED, Holds::False, "", &problem.text);
            set(
                condition::READY,
                Holds::False,
                problem.reason,
                &problem.text,
            );
            let kind = match problem.verdict {
                Verdict::TryAgain => condition::RECONCILING,
                Verdict::Wait => condition::STALLED,
            };
            set(kind, Holds::True, problem.reason, &problem.text);
            match problem.verdict {
                Verdict::TryAgain => &[condition::RECONCILING],
                // What was written last is how drift is known after a restart.
                Verdict::Wait if problem.reason == proof::DRIFTED => {
                    &[condition::STALLED, proof::APPLIED]
                }
                Verdict::Wait => &[condition::STALLED],
            }
        }
    };
    let ours = [condition::RECONCILING, condition::STALLED, proof::APPLIED];
    let before = status.conditions.len();
    status.conditions.retain(|condition| {
        !ours.contains(&condition.kind.as_str()) || kept.contains(&condition.kind.as_str())
    });
    changed |= status.conditions.len() != before;
    changed |= status.observed_generation != generation;
    if !changed {
        return None;
    }
    status.observed_generation = generation;
    // 2.2: each write moves this time.
    if let Some(synced) = status
        .conditions
        .iter_mut()
        .find(|condition| condition.kind == condition::SYNCED)
    {
        synced.last_update_time = Some(now);
    }
    Some(status)
}

/// The event about `outcome` (C58 to C62).
pub(super) fn event(metadata: &ObjectMeta, outcome: &Outcome) -> Event {
    let (warning, reason, message) = match outcome {
        Ok(_) => (
            false,
            "Unsealed",
            "SealedSecret unsealed successfully".to_owned(),
        ),
        Err(problem) => (true, problem.event_reason, problem.event_text.clone()),
    };
    Event::about::<SealedSecret>(COMPONENT, metadata, warning, reason, message)
}

#[cfg(test)]
mod tests {
    use sealwright_resources::sealed_secret::{API_VERSION, KIND};
    use serde_json::json;

    use super::*;

    fn status(
        sealed: &SealedSecret,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Option<SealedSecretStatus> {
        super::status(
            sealed.metadata.generation,
            sealed.status.as_ref(),
            outcome,
            now,
        )
    }

    fn sealed(status: Option<SealedSecretStatus>, generation: i64) -> SealedSecret {
        let mut sealed: SealedSecret = serde_json::from_value(json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": "a", "namespace": "ns", "uid": "u", "generation": generation},
            "spec": {"encryptedData": {}},
        }))
        .unwrap();
        sealed.status = status;
        sealed
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::new(1_700_000_000 + second, 5_000_000).unwrap()
    }

    fn kinds(status: &SealedSecretStatus) -> Vec<(&str, &str)> {
        status
            .conditions
            .iter()
            .map(|condition| (condition.kind.as_str(), condition.status.as_str()))
            .collect()
    }

    fn refused(code: u16, message: &str) -> ApiError {
        ApiError::Refused {
            code,
            reason: String::new(),
            message: message.to_owned(),
        }
    }

    #[test]
    fn i16_i17_t31_times_and_generation() {
        let done: Outcome = Ok(Some("claim".into()));
        let first = status(&sealed(None, 1), &done, at(0)).unwrap();
        assert_eq!(
            kinds(&first),
            [("Synced", "True"), ("Ready", "True"), ("Applied", "True")]
        );
        let synced = &first.conditions[0];
        assert_eq!(synced.last_update_time, synced.last_transition_time);
        assert_eq!(
            serde_json::to_value(synced).unwrap()["lastUpdateTime"],
            "2023-11-14T22:13:20Z"
        );
        assert_eq!(first.observed_generation, Some(1));

        assert!(status(&sealed(Some(first.clone()), 1), &done, at(5)).is_none());

        let second = status(&sealed(Some(first), 2), &done, at(5)).unwrap();
        let synced = &second.conditions[0];
        assert_ne!(synced.last_update_time, synced.last_transition_time);
        assert_eq!(second.observed_generation, Some(2));
    }

    #[test]
    fn p10_the_status_never_goes_stale() {
        let no_key = Problem::unseal("no key could decrypt secret (a)".into());
        let failed = status(&sealed(None, 1), &Err(no_key), at(0)).unwrap();
        assert_eq!(
            kinds(&failed),
            [("Synced", "False"), ("Ready", "False"), ("Stalled", "True")]
        );
        assert_eq!(
            failed.conditions[0].message,
            "no key could decrypt secret (a)"
        );

        let other = Problem::unmanaged("a");
        let moved = status(&sealed(Some(failed), 1), &Err(other), at(1)).unwrap();
        assert!(
            moved.conditions[0]
                .message
                .starts_with("failed update: Resource \"a\"")
        );

        let busy = Problem::write("ns/a", &refused(500, "busy"));
        let busy = status(&sealed(Some(moved), 1), &Err(busy), at(2)).unwrap();
        assert_eq!(kinds(&busy)[2..], [("Reconciling", "True")]);

        let well = status(&sealed(Some(busy), 1), &Ok(None), at(3)).unwrap();
        assert_eq!(kinds(&well), [("Synced", "True"), ("Ready", "True")]);
        assert_eq!(well.conditions[0].message, "");
    }

    #[test]
    fn takeover_keeps_upstreams_condition_in_front_and_its_transition_time() {
        let old: SealedSecretStatus = serde_json::from_value(json!({
            "observedGeneration": 1,
            "conditions": [{"type": "Synced", "status": "True", "lastUpdateTime": "2020-01-01T00:00:00Z", "lastTransitionTime": "2020-01-01T00:00:00Z"}],
        }))
        .unwrap();
        let new = status(&sealed(Some(old.clone()), 1), &Ok(None), at(0)).unwrap();
        assert_eq!(
            new.conditions[0].last_transition_time,
            old.conditions[0].last_transition_time
        );
    }

    #[test]
    fn c58_to_c62_reasons_and_messages() {
        let object = sealed(None, 1);
        let told = |outcome: Outcome| {
            let event = event(&object.metadata, &outcome);
            (event.warning, event.reason, event.message)
        };
        assert_eq!(
            told(Ok(None)),
            (
                false,
                "Unsealed",
                "SealedSecret unsealed successfully".into()
            )
        );
        assert_eq!(
            told(Err(Problem::unseal("x (a)".into()))),
            (true, "ErrUnsealFailed", "Failed to unseal: x (a)".into())
        );
        assert_eq!(
            told(Err(Problem::unmanaged("a"))),
            (
                true,
                "ErrUpdateFailed",
                "Resource \"a\" already exists and is not managed by SealedSecret".into()
            )
        );
        let immutable = refused(
            422,
            "Secret \"a\" is invalid: data: Forbidden: field is immutable when `immutable` is set",
        );
        let problem = Problem::write("ns/a", &immutable);
        assert_eq!(
            (problem.verdict, problem.text.clone()),
            (Verdict::Wait, immutable.to_string())
        );
        assert!(
            told(Err(problem))
                .2
                .starts_with("Error updating ns/a: the target Secret is immutable.")
        );
    }
}
