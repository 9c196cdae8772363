//! A kind for tests, whose objects ask for nothing.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use sealwright_resources::sealed_secret::{SealedSecret, SealedSecretStatus};
use sealwright_template::Limits;
use serde_json::{Value, json};

use super::dependents::Dependents;
use super::event::Recorder;
use super::kind::{Attempt, Frame, Kind, SecretUse, Shared, Watching};
use super::object::Key;
use super::tracked::{Digest, Tracked};
use crate::api::Api;
use crate::metrics::Metrics;
use crate::pool::Pool;

/// What kinds share.
pub(crate) fn shared(client: Client) -> Shared {
    let metrics = Arc::new(Metrics::new(false, false));
    Shared {
        api: Arc::new(Api::new(client, None, 1)),
        recorder: Arc::new(Recorder::default()),
        dependents: Arc::new(Dependents::default()),
        watches: Arc::clone(metrics.watches()),
        metrics,
        limits: Limits::default(),
        pool: Arc::new(Pool::slow()),
        slow_pool: Arc::new(Pool::slow()),
        ahead: Arc::default(),
        rendering: Shared::rendering(),
    }
}

/// How objects are watched that use no Secrets.
pub(crate) fn watching() -> Watching {
    Watching {
        scopes: vec![None],
        label_selector: String::new(),
        secrets: SecretUse::None,
        statuses: true,
        workers: 1,
    }
}

/// The kind; what comes of an attempt is the status.
pub(super) struct Plain {
    frame: Frame<Self>,
}

impl Plain {
    /// One that asks this API server.
    pub(super) fn new(client: Client) -> Self {
        Self {
            frame: Frame::new(shared(client), watching()),
        }
    }

    /// An object of the kind in the namespace `ns`.
    pub(super) fn object(name: &str, uid: &str, version: &str) -> Value {
        json!({
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
            "metadata": {"name": name, "namespace": "ns", "uid": uid, "resourceVersion": version},
            "spec": {"encryptedData": {"k": "v"}},
        })
    }
}

impl Kind for Plain {
    const NAME: &'static str = "SealedSecret";
    const PLURAL: &'static str = "SealedSecrets";

    type Object = SealedSecret;
    type Status = SealedSecretStatus;
    type Extra = ();
    type Outcome = SealedSecretStatus;

    fn frame(&self) -> &Frame<Self> {
        &self.frame
    }

    fn digest(&self, object: &SealedSecret) -> Digest {
        Digest::of_json(&[&object.spec])
    }

    fn status(object: &SealedSecret) -> Option<&SealedSecretStatus> {
        object.status.as_ref()
    }

    async fn attempt(
        &self,
        _key: &Key,
        _known: &Tracked<()>,
        _object: &Arc<SealedSecret>,
    ) -> Attempt<SealedSecretStatus> {
        Attempt {
            ended: Ok(None),
            outcome: SealedSecretStatus::default(),
        }
    }

    fn unreadable(&self, _fault: String) -> SealedSecretStatus {
        SealedSecretStatus::default()
    }

    fn report(
        &self,
        _metadata: &ObjectMeta,
        status: Option<&SealedSecretStatus>,
        outcome: &SealedSecretStatus,
        _now: Timestamp,
    ) -> Option<SealedSecretStatus> {
        (status != Some(outcome)).then(|| outcome.clone())
    }

    fn again(&self, _key: &Key, _outcome: &SealedSecretStatus, _failures: u32) -> Option<Duration> {
        None
    }
}
