//! ClusterExternalSecrets: one ExternalSecret in each namespace that is selected.
//!
//! The namespaces of the status, and those with the finalizer, are the record of what was made: one that is selected no longer
//! loses its ExternalSecret and the finalizer that was put on it. The finalizer comes first, as an ExternalSecret may be made and the
//! status not be written. A namespace that cannot be cleaned up stays in the record and is tried again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealwright_resources::cluster_external_secret::{
    self, ClusterExternalSecret, ClusterExternalSecretStatus, FINALIZER, FailedNamespace, KIND,
    namespace_finalizer,
};
use sealwright_resources::external_secret::{
    API_VERSION, ExternalSecretSpec, FORCE_SYNC_ANNOTATION,
};
use serde_json::{Value, json};

use super::children::{self, Children, Kinds};
use super::due::{after, until};
use super::finalizer;
use crate::action;
use crate::api::{Api, ApiError};
use crate::frame::dependents::Need;
use crate::frame::kind::Neighbours;
use crate::frame::kind::{Attempt, Frame, Kind, LookedAt, Shared, Trouble, Watching};
use crate::frame::object::Key;
use crate::frame::tracked::{Digest, Tracked};
use crate::frame::verdict::{self, Verdict};
use crate::metrics::SyncedKind;

const KINDS: Kinds = Kinds {
    api_version: API_VERSION,
    parent: KIND,
    child: sealwright_resources::external_secret::KIND,
    plural: "externalsecrets",
    same_spec: children::same_spec::<ExternalSecretSpec>,
};

/// The reconciler of ClusterExternalSecrets.
pub(crate) struct ClusterExternalSecrets {
    frame: Frame<Self>,
}

/// What is remembered of a ClusterExternalSecret.
#[derive(Clone, Default)]
pub(crate) struct Extra {
    next: Option<Timestamp>,
}

/// What came of an attempt.
pub(crate) struct Outcome {
    status: Option<ClusterExternalSecretStatus>,
    again: Option<Duration>,
    again_soon: bool,
    /// What cannot be read.
    fault: Option<String>,
}

/// What became of a namespace.
enum Made {
    Yes,
    /// It is being deleted.
    Skipped,
    No(Problem),
}

/// Why a namespace has no proper ExternalSecret.
enum Problem {
    Exists,
    Api(ApiError),
}

impl Problem {
    fn text(&self) -> String {
        match self {
            Self::Exists => "external secret already exists in namespace".to_owned(),
            Self::Api(error) => {
                format!("could not write the external secret: {}", error.category())
            }
        }
    }
}

impl ClusterExternalSecrets {
    pub(crate) fn new(shared: Shared, watching: Watching) -> Self {
        Self {
            frame: Frame::new(shared, watching),
        }
    }

    fn api(&self) -> &Api {
        self.frame.api()
    }

    fn children<'a>(&'a self, object: &'a ClusterExternalSecret) -> Children<'a> {
        Children {
            api: self.api(),
            kinds: &KINDS,
            parent: &object.metadata,
        }
    }

    async fn work(&self, key: &Key, object: &ClusterExternalSecret) -> Attempt<Outcome> {
        let quiet = |again| Outcome {
            status: None,
            again,
            again_soon: false,
            fault: None,
        };
        if !finalizer::is_set(&object.metadata, FINALIZER) {
            let added = finalizer::set::<ClusterExternalSecret>(
                self.api(),
                key,
                &object.metadata,
                FINALIZER,
                true,
            )
            .await;
            return match added {
                Err(error) if !error.is_conflict() && !error.is_not_found() => {
                    self.trouble(key, Trouble::Fetch, &error);
                    Attempt {
                        ended: Err(LookedAt::default()),
                        outcome: quiet(None),
                    }
                }
                _ => Attempt {
                    ended: Ok(None),
                    outcome: quiet(None),
                },
            };
        }
        let interval = match children::interval(object.spec.refresh_time.as_deref()) {
            Ok(interval) => interval,
            Err(fault) => {
                return Attempt {
                    ended: Err(LookedAt::default()),
                    outcome: self.unreadable(fault),
                };
            }
        };
        let name = object.external_secret_name();
        let before = object.status.clone().unwrap_or_default();
        let mut failed = Vec::new();
        let mut again_soon = false;
        let namespaces = match children::namespaces(self.api()).await {
            Ok(namespaces) => namespaces,
            Err(error) => {
                self.trouble(key, Trouble::Fetch, &error);
                failed.push(FailedNamespace {
                    namespace: "unknown".to_owned(),
                    reason: Some(format!("could not list namespaces: {}", error.category())),
                });
                return self.unchanged(object, before, failed, interval, true);
            }
        };
        let mut selected = Vec::new();
        for namespace in &namespaces {
            match cluster_external_secret::selects(&object.spec, namespace.labels.as_ref()) {
                Ok(true) => selected.push(namespace),
                Ok(false) => {}
                Err(error) => {
                    failed.push(FailedNamespace {
                        namespace: "unknown".to_owned(),
                        reason: Some(error.to_string()),
                    });
                    return self.unchanged(object, before, failed, interval, false);
                }
            }
        }
        let wanted: BTreeSet<&str> = selected
            .iter()
            .filter_map(|namespace| namespace.name.as_deref())
            .collect();
        // A changed name leaves ExternalSecrets of the old one behind. As long as one of them is there, the old name is the record.
        let old_name = before.external_secret_name.as_deref();
        if let Some(old_name) = old_name.filter(|old| *old != name) {
            for namespace in &before.provisioned_namespaces {
                if let Err(error) = self.children(object).delete(namespace, old_name).await {
                    failed.push(self.not_deleted(object, namespace, &error));
                }
            }
            if !failed.is_empty() {
                return self.unchanged(object, before, failed, interval, true);
            }
        }
        let finalizer = namespace_finalizer(object.metadata.name.as_deref().unwrap_or_default());
        let held = held_by(&finalizer, &namespaces);
        let recorded = before.provisioned_namespaces.iter().map(String::as_str);
        let left: BTreeSet<&str> = recorded
            .chain(held)
            .filter(|namespace| !wanted.contains(namespace))
            .collect();
        let mut kept = BTreeSet::new();
        for namespace in left {
            if let Err(error) = self.clean(object, namespace, &[name]).await {
                again_soon = true;
                kept.insert(namespace.to_owned());
                failed.push(self.not_deleted(object, namespace, &error));
            }
        }
        let mut provisioned = kept;
        for namespace in selected {
            let place = namespace.name.clone().unwrap_or_default();
            match self.provision(object, namespace).await {
                Made::Yes => {
                    provisioned.insert(place);
                }
                Made::Skipped => {}
                Made::No(problem) => {
                    if let Problem::Api(error) = &problem {
                        self.children(object).refused(&place, error);
                        again_soon = true;
                    }
                    failed.push(FailedNamespace {
                        namespace: place,
                        reason: Some(problem.text()),
                    });
                }
            }
        }
        self.ended(
            object,
            provisioned.into_iter().collect(),
            failed,
            interval,
            again_soon,
        )
    }

    /// Deletes the ExternalSecrets of these names in a namespace, and then takes the finalizer off it.
    async fn clean(
        &self,
        object: &ClusterExternalSecret,
        namespace: &str,
        names: &[&str],
    ) -> Result<(), ApiError> {
        for name in names {
            self.children(object).delete(namespace, name).await?;
        }
        self.release(object, namespace).await
    }

    fn not_deleted(
        &self,
        object: &ClusterExternalSecret,
        namespace: &str,
        error: &ApiError,
    ) -> FailedNamespace {
        self.children(object).refused(namespace, error);
        let category = error.category();
        FailedNamespace {
            namespace: namespace.to_owned(),
            reason: Some(format!("could not delete the external secret: {category}")),
        }
    }

    /// The record stays what it was, the name included: nothing was done that would change it.
    fn unchanged(
        &self,
        object: &ClusterExternalSecret,
        before: ClusterExternalSecretStatus,
        failed: Vec<FailedNamespace>,
        interval: Duration,
        again_soon: bool,
    ) -> Attempt<Outcome> {
        let provisioned = before.provisioned_namespaces;
        let mut ended = self.ended(object, provisioned, failed, interval, again_soon);
        if let (Some(status), Some(name)) = (&mut ended.outcome.status, before.external_secret_name)
        {
            status.external_secret_name = Some(name);
        }
        ended
    }

    fn ended(
        &self,
        object: &ClusterExternalSecret,
        provisioned: Vec<String>,
        mut failed: Vec<FailedNamespace>,
        interval: Duration,
        again_soon: bool,
    ) -> Attempt<Outcome> {
        failed.sort_by(|a, b| a.namespace.cmp(&b.namespace));
        let status = ClusterExternalSecretStatus {
            external_secret_name: Some(object.external_secret_name().to_owned()),
            conditions: vec![cluster_external_secret::ready(&failed)],
            provisioned_namespaces: provisioned,
            failed_namespaces: failed,
        };
        Attempt {
            ended: match again_soon {
                true => Err(LookedAt::default()),
                false => Ok(None),
            },
            outcome: Outcome {
                status: Some(status),
                again: Some(interval),
                again_soon,
                fault: None,
            },
        }
    }

    /// Makes the ExternalSecret of one namespace what it should be.
    async fn provision(&self, object: &ClusterExternalSecret, namespace: &ObjectMeta) -> Made {
        let place = namespace.name.as_deref().unwrap_or_default();
        if namespace.deletion_timestamp.is_some() {
            return match self.release(object, place).await {
                Ok(()) => Made::Skipped,
                Err(error) => Made::No(Problem::Api(error)),
            };
        }
        let made = async {
            let children = self.children(object);
            let existing = children.get(place, object.external_secret_name()).await?;
            let foreign = |existing: &Value| !children.is_ours(existing);
            if existing.as_ref().is_some_and(foreign) {
                return Ok(false);
            }
            self.hold(object, namespace).await?;
            let wanted = child(&children, object, place);
            children.write(existing.as_ref(), &wanted).await?;
            Ok(true)
        };
        match made.await {
            Ok(true) => Made::Yes,
            Ok(false) => Made::No(Problem::Exists),
            Err(error) => Made::No(Problem::Api(error)),
        }
    }

    /// Puts the finalizer on a namespace, so that its ExternalSecret can go before it.
    async fn hold(
        &self,
        object: &ClusterExternalSecret,
        namespace: &ObjectMeta,
    ) -> Result<(), ApiError> {
        let finalizer = namespace_finalizer(object.metadata.name.as_deref().unwrap_or_default());
        let mut finalizers = namespace.finalizers.clone().unwrap_or_default();
        if finalizers.contains(&finalizer) {
            return Ok(());
        }
        finalizers.push(finalizer);
        self.set_namespace_finalizers(namespace, &finalizers).await
    }

    /// Takes the finalizer off a namespace.
    async fn release(
        &self,
        object: &ClusterExternalSecret,
        namespace: &str,
    ) -> Result<(), ApiError> {
        let path = action::namespace(namespace);
        let metadata = match self.api().get_metadata(&path).await {
            Ok(answer) => action::metadata_of(&answer)?,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        let finalizer = namespace_finalizer(object.metadata.name.as_deref().unwrap_or_default());
        let mut finalizers = metadata.finalizers.clone().unwrap_or_default();
        if !finalizers.contains(&finalizer) {
            return Ok(());
        }
        finalizers.retain(|known| *known != finalizer);
        match self.set_namespace_finalizers(&metadata, &finalizers).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }

    async fn set_namespace_finalizers(
        &self,
        namespace: &ObjectMeta,
        finalizers: &[String],
    ) -> Result<(), ApiError> {
        let key = Key::new("", namespace.name.as_deref().unwrap_or_default());
        let patch = json!({
            "finalizers": finalizers,
            "resourceVersion": namespace.resource_version,
        });
        action::patch_metadata::<k8s_openapi::api::core::v1::Namespace>(self.api(), &key, patch)
            .await
            .map(drop)
    }
}

/// The namespaces that have this finalizer.
fn held_by<'a>(finalizer: &'a str, namespaces: &'a [ObjectMeta]) -> impl Iterator<Item = &'a str> {
    namespaces
        .iter()
        .filter(move |namespace| finalizer::is_set(namespace, finalizer))
        .filter_map(|namespace| namespace.name.as_deref())
}

/// The status of an object that cannot be read. It keeps the record of what was made.
fn faulty(
    status: Option<&ClusterExternalSecretStatus>,
    fault: &str,
) -> ClusterExternalSecretStatus {
    let failed = vec![FailedNamespace {
        namespace: "unknown".to_owned(),
        reason: Some(fault.to_owned()),
    }];
    ClusterExternalSecretStatus {
        conditions: vec![cluster_external_secret::ready(&failed)],
        failed_namespaces: failed,
        ..status.cloned().unwrap_or_default()
    }
}

/// The ExternalSecret of a namespace.
fn child(children: &Children<'_>, object: &ClusterExternalSecret, namespace: &str) -> Value {
    let metadata = &object.spec.external_secret_metadata;
    let mut annotations = metadata.annotations.clone();
    let own = object.metadata.annotations.as_ref();
    match own.and_then(|own| own.get(FORCE_SYNC_ANNOTATION)) {
        Some(value) => {
            annotations.insert(FORCE_SYNC_ANNOTATION.to_owned(), value.clone());
        }
        None => {
            annotations.remove(FORCE_SYNC_ANNOTATION);
        }
    }
    let spec = &object.spec.external_secret_spec;
    let name = object.external_secret_name();
    children.object(namespace, name, &metadata.labels, &annotations, spec)
}

impl Kind for ClusterExternalSecrets {
    const NAME: &'static str = KIND;
    const PLURAL: &'static str = "ClusterExternalSecrets";
    const METRICS: Option<SyncedKind> = Some(SyncedKind::ClusterExternalSecret);
    const NEIGHBOURS: &'static [Neighbours] = &[Neighbours::Namespaces];

    type Object = ClusterExternalSecret;
    type Status = ClusterExternalSecretStatus;
    type Extra = Extra;
    type Outcome = Outcome;

    fn frame(&self) -> &Frame<Self> {
        &self.frame
    }

    fn digest(&self, object: &ClusterExternalSecret) -> Digest {
        let annotations = object.metadata.annotations.as_ref();
        let force = annotations.and_then(|all| all.get(FORCE_SYNC_ANNOTATION));
        Digest::of_json(&[
            &serde_json::to_value(&object.spec).unwrap_or_default(),
            &force,
            &finalizer::is_set(&object.metadata, FINALIZER),
        ])
    }

    fn status(object: &ClusterExternalSecret) -> Option<&ClusterExternalSecretStatus> {
        object.status.as_ref()
    }

    fn conditions(status: &ClusterExternalSecretStatus) -> Vec<(&str, bool)> {
        let conditions = status.conditions.iter();
        conditions
            .map(|condition| (condition.kind.as_str(), condition.status == "True"))
            .collect()
    }

    fn needs(&self, object: &ClusterExternalSecret) -> Vec<Need> {
        let status = object.status.as_ref();
        let provisioned = status.map(|status| status.provisioned_namespaces.iter());
        let children = provisioned
            .into_iter()
            .flatten()
            .map(|namespace| Need::one("ExternalSecret", namespace, object.external_secret_name()));
        // First, as only so many count: a new namespace has nothing else to wake the object.
        let namespaces = Need::any("Namespace", "");
        [namespaces].into_iter().chain(children).collect()
    }

    fn due(&self, known: &Tracked<Extra>) -> Option<Duration> {
        known.extra.next.map(until)
    }

    async fn attempt(
        &self,
        key: &Key,
        known: &Tracked<Extra>,
        object: &Arc<ClusterExternalSecret>,
    ) -> Attempt<Outcome> {
        let attempt = self.work(key, object).await;
        let again = attempt.outcome.again;
        let next = again.and_then(after);
        self.frame
            .index
            .update(key, known.uid(), |known| known.extra.next = next);
        attempt
    }

    fn unreadable(&self, fault: String) -> Outcome {
        Outcome {
            status: None,
            again: None,
            again_soon: false,
            fault: Some(fault),
        }
    }

    fn report(
        &self,
        _metadata: &ObjectMeta,
        status: Option<&ClusterExternalSecretStatus>,
        outcome: &Outcome,
        _now: Timestamp,
    ) -> Option<ClusterExternalSecretStatus> {
        let next = match (&outcome.status, &outcome.fault) {
            (Some(next), _) => next.clone(),
            (None, Some(fault)) => faulty(status, fault),
            (None, None) => return None,
        };
        (status != Some(&next)).then_some(next)
    }

    fn again(&self, _key: &Key, outcome: &Outcome, failures: u32) -> Option<Duration> {
        if outcome.fault.is_some() {
            return None;
        }
        if outcome.again_soon || (outcome.status.is_none() && failures > 0) {
            return Some(verdict::pause(Verdict::TryAgain, failures, 5));
        }
        outcome.again
    }

    async fn finalize(&self, key: &Key, object: &ClusterExternalSecret) -> Option<Duration> {
        if !finalizer::is_set(&object.metadata, FINALIZER) {
            return None;
        }
        let status = object.status.clone().unwrap_or_default();
        let names: BTreeSet<&str> = status
            .external_secret_name
            .as_deref()
            .into_iter()
            .chain([object.external_secret_name()])
            .collect();
        let names = Vec::from_iter(names);
        let cleaned = async {
            let namespaces = children::namespaces(self.api()).await?;
            let finalizer =
                namespace_finalizer(object.metadata.name.as_deref().unwrap_or_default());
            let recorded = status.provisioned_namespaces.iter().map(String::as_str);
            let left: BTreeSet<&str> = recorded.chain(held_by(&finalizer, &namespaces)).collect();
            let mut cleaned = Ok(());
            for namespace in left {
                if let Err(error) = self.clean(object, namespace, &names).await {
                    self.children(object).refused(namespace, &error);
                    // The others need not wait for this one.
                    cleaned = Err(error);
                }
            }
            cleaned?;
            match finalizer::set::<ClusterExternalSecret>(
                self.api(),
                key,
                &object.metadata,
                FINALIZER,
                false,
            )
            .await
            {
                Err(error) if error.is_not_found() => Ok(()),
                other => other,
            }
        };
        match cleaned.await {
            Ok(()) => None,
            Err(error) => {
                self.trouble(key, Trouble::Fetch, &error);
                Some(verdict::pause(Verdict::TryAgain, 1, 5))
            }
        }
    }
}

#[cfg(test)]
mod tests;
