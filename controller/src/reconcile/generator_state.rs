//! GeneratorStates: what generators left on servers is taken back when its deadline has passed, or its owner is gone.
//!
//! The finalizer keeps a state until the server has confirmed. What cannot be taken back now is tried again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use sealwright_resources::generator::state::{
    FINALIZER, GeneratorState, GeneratorStateStatus, KIND, OWNER_LABEL,
};

use super::due::until;
use super::finalizer;
use crate::action;
use crate::api::{Api, ApiError};
use crate::frame::kind::{Attempt, Frame, Kind, LookedAt, Shared, Trouble, Watching};
use crate::frame::object::{Key, key_of};
use crate::frame::read::Read;
use crate::frame::tracked::{Digest, Tracked};
use crate::frame::verdict::{self, Verdict};
use crate::frame::worker::aside;
use crate::generators::Generators;

/// The reconciler of GeneratorStates.
pub(crate) struct GeneratorStates {
    frame: Frame<Self>,
    generators: Arc<Generators>,
}

/// What is remembered of a state.
#[derive(Clone, Default)]
pub(crate) struct Extra {
    /// When it is deleted.
    deadline: Option<Timestamp>,
}

/// What came of an attempt.
pub(crate) struct Outcome {
    again: Option<Duration>,
    retry: bool,
}

impl GeneratorStates {
    pub(crate) fn new(shared: Shared, watching: Watching, generators: Arc<Generators>) -> Self {
        Self {
            frame: Frame::new(shared, watching),
            generators,
        }
    }

    fn api(&self) -> &Api {
        self.frame.api()
    }

    async fn work(&self, key: &Key, object: &GeneratorState) -> Result<Option<Duration>, ApiError> {
        if !finalizer::is_set(&object.metadata, FINALIZER) {
            // The watch shows the object again.
            finalizer::set::<GeneratorState>(self.api(), key, &object.metadata, FINALIZER, true)
                .await?;
            return Ok(None);
        }
        let Some(deadline) = deadline(object) else {
            return Ok(None);
        };
        let now = Timestamp::now();
        if deadline > now {
            return Ok(Some(until(deadline)));
        }
        let path = action::path_of::<GeneratorState>(key);
        let uid = object.metadata.uid.as_deref().unwrap_or_default();
        action::delete_object(self.api(), &path, uid).await?;
        Ok(None)
    }
}

fn deadline(object: &GeneratorState) -> Option<Timestamp> {
    let deadline = object.spec.garbage_collection_deadline.as_ref();
    deadline.map(|deadline| deadline.0)
}

impl Kind for GeneratorStates {
    const NAME: &'static str = KIND;
    const PLURAL: &'static str = "GeneratorStates";

    type Object = GeneratorState;
    type Status = GeneratorStateStatus;
    type Extra = Extra;
    type Outcome = Outcome;

    fn frame(&self) -> &Frame<Self> {
        &self.frame
    }

    fn digest(&self, object: &GeneratorState) -> Digest {
        Digest::of_json(&[
            &serde_json::to_value(&object.spec).unwrap_or_default(),
            &finalizer::is_set(&object.metadata, FINALIZER),
        ])
    }

    fn status(object: &GeneratorState) -> Option<&GeneratorStateStatus> {
        object.status.as_ref()
    }

    fn note(&self, read: &Read<GeneratorState>, extra: &mut Extra, _changed: bool) {
        let metadata = read.meta();
        let labels = metadata.labels.as_ref();
        let owner = labels.and_then(|labels| labels.get(OWNER_LABEL));
        self.generators
            .see(&key_of(metadata), owner.map(String::as_str));
        extra.deadline = read.0.as_ref().ok().and_then(deadline);
    }

    fn due(&self, known: &Tracked<Extra>) -> Option<Duration> {
        known.extra.deadline.map(until)
    }

    async fn attempt(
        &self,
        key: &Key,
        _known: &Tracked<Extra>,
        object: &Arc<GeneratorState>,
    ) -> Attempt<Outcome> {
        match self.work(key, object).await {
            Ok(again) => Attempt {
                ended: Ok(None),
                outcome: Outcome {
                    again,
                    retry: false,
                },
            },
            Err(error) if error.is_conflict() || error.is_not_found() => Attempt {
                ended: Ok(None),
                outcome: Outcome {
                    again: None,
                    retry: false,
                },
            },
            Err(error) => {
                self.trouble(key, Trouble::Fetch, &error);
                Attempt {
                    ended: Err(LookedAt::default()),
                    outcome: Outcome {
                        again: None,
                        retry: true,
                    },
                }
            }
        }
    }

    fn unreadable(&self, _fault: String) -> Outcome {
        Outcome {
            again: None,
            retry: false,
        }
    }

    fn report(
        &self,
        _metadata: &ObjectMeta,
        _status: Option<&GeneratorStateStatus>,
        _outcome: &Outcome,
        _now: Timestamp,
    ) -> Option<GeneratorStateStatus> {
        // There is no status subresource, and upstream writes none either.
        None
    }

    fn again(&self, _key: &Key, outcome: &Outcome, failures: u32) -> Option<Duration> {
        match outcome.retry {
            true => Some(verdict::pause(Verdict::TryAgain, failures, 5)),
            false => outcome.again,
        }
    }

    async fn finalize(&self, key: &Key, object: &GeneratorState) -> Option<Duration> {
        if !finalizer::is_set(&object.metadata, FINALIZER) {
            return None;
        }
        let spec = &object.spec;
        let cleaned = self
            .generators
            .clean_up(&spec.resource, &spec.state, &key.namespace);
        if let Err(error) = aside(cleaned).await {
            tracing::warn!(kind = KIND, key = %key, error = %error, "cannot take back what a generator made; the state stays until it can");
            return Some(finalizer::again(&object.metadata, Timestamp::now()));
        }
        finalizer::release(self, key, &object.metadata, FINALIZER).await
    }

    async fn gone(&self, key: &Key) -> Option<Duration> {
        self.generators.forget(key);
        None
    }
}
