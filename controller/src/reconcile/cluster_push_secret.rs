//! ClusterPushSecrets: one PushSecret in each namespace that is selected.
//!
//! The namespaces of the status are the record of what was made: one that is selected no longer loses its PushSecret. There are no
//! finalizers: with a ClusterPushSecret its PushSecrets go by their owner references.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealwright_resources::cluster_external_secret::{FailedNamespace, SOME_FAILED};
use sealwright_resources::external_secret::status::{self, Condition, READY};
use sealwright_resources::label_selector;
use sealwright_resources::push_secret::{
    self, API_VERSION, CLUSTER_KIND as KIND, ClusterPushSecret, ClusterPushSecretStatus,
    PushSecretSpec,
};
use serde_json::Value;

use super::children::{self, Children, Kinds};
use super::due::{after, until};
use crate::api::{Api, ApiError};
use crate::frame::dependents::Need;
use crate::frame::event::Event;
use crate::frame::kind::Neighbours;
use crate::frame::kind::{Attempt, Frame, Kind, LookedAt, Shared, Watching};
use crate::frame::object::Key;
use crate::frame::tracked::{Digest, Tracked};
use crate::frame::verdict::{self, Verdict};
use crate::metrics::SyncedKind;

/// The component of the events.
const COMPONENT: &str = "external-secrets-controller";
/// Message: it is not known which namespaces are meant.
const NO_NAMESPACES: &str = "failed to get target Namespaces";
/// Message: the PushSecrets are not as they should be.
const NOT_WRITTEN: &str = "could not create or update push secret";
/// Message: PushSecrets of an earlier name are left.
const OLD_LEFT: &str = "failed to delete push secret";

const KINDS: Kinds = Kinds {
    api_version: API_VERSION,
    parent: KIND,
    child: push_secret::KIND,
    plural: "pushsecrets",
    same_spec: children::same_spec::<PushSecretSpec>,
};

/// The reconciler of ClusterPushSecrets.
pub(crate) struct ClusterPushSecrets {
    frame: Frame<Self>,
}

/// What is remembered of a ClusterPushSecret.
#[derive(Clone, Default)]
pub(crate) struct Extra {
    next: Option<Timestamp>,
}

/// What came of an attempt.
pub(crate) struct Outcome {
    status: Option<ClusterPushSecretStatus>,
    /// The text of a warning.
    warning: Option<String>,
    again: Option<Duration>,
    /// It cannot be read, as the warning says.
    faulty: bool,
}

/// What was found out about the namespaces.
#[derive(Default)]
struct Found {
    provisioned: BTreeSet<String>,
    failed: Vec<FailedNamespace>,
    /// The API server has refused something, which may pass.
    refused: bool,
}

impl Found {
    /// Takes note of what the API server refuses; its own words are for the log.
    fn refuse(
        &mut self,
        children: &Children<'_>,
        namespace: &str,
        reason: String,
        error: &ApiError,
    ) {
        children.refused(namespace, error);
        self.refused = true;
        self.fail(namespace, reason);
    }

    fn fail(&mut self, namespace: &str, reason: String) {
        self.failed.push(FailedNamespace {
            namespace: namespace.to_owned(),
            reason: Some(reason),
        });
    }
}

impl ClusterPushSecrets {
    pub(crate) fn new(shared: Shared, watching: Watching) -> Self {
        Self {
            frame: Frame::new(shared, watching),
        }
    }

    fn api(&self) -> &Api {
        self.frame.api()
    }

    fn children<'a>(&'a self, object: &'a ClusterPushSecret) -> Children<'a> {
        Children {
            api: self.api(),
            kinds: &KINDS,
            parent: &object.metadata,
        }
    }

    async fn work(&self, object: &ClusterPushSecret) -> Outcome {
        let children = self.children(object);
        let before = object.status.clone().unwrap_or_default();
        let name = object.push_secret_name();
        let interval = match children::interval(object.spec.refresh_time.as_deref()) {
            Ok(interval) => interval,
            Err(fault) => return self.unreadable(fault),
        };
        let old = before.push_secret_name.as_deref();
        if let Some(old) = old.filter(|old| *old != name) {
            let mut found = Found::default();
            for namespace in &before.provisioned_namespaces {
                if let Err(error) = children.delete(namespace, old).await {
                    found.refuse(&children, namespace, not_deleted(&error), &error);
                }
            }
            if !found.failed.is_empty() {
                return self.failed(before.clone(), OLD_LEFT, found.failed);
            }
        }
        let selected = match self.selected(object).await {
            Ok(selected) => selected,
            Err(error) => {
                tracing::warn!(kind = KIND, name = object.metadata.name.as_deref().unwrap_or_default(), error = %error, "cannot list the namespaces");
                let failed = before.failed_namespaces.clone();
                let status = ClusterPushSecretStatus {
                    push_secret_name: Some(name.to_owned()),
                    ..before
                };
                return self.failed(status, NO_NAMESPACES, failed);
            }
        };
        let mut found = Found::default();
        for namespace in &before.provisioned_namespaces {
            if selected.contains(namespace) {
                continue;
            }
            if let Err(error) = children.delete(namespace, name).await {
                // It stays in the record, and is tried again.
                found.provisioned.insert(namespace.clone());
                found.refuse(&children, namespace, not_deleted(&error), &error);
            }
        }
        for namespace in &selected {
            match self.provision(object, namespace).await {
                Ok(true) => {
                    found.provisioned.insert(namespace.clone());
                }
                Ok(false) => found.fail(
                    namespace,
                    "push secret already exists in namespace".to_owned(),
                ),
                Err(error) => {
                    // What is there is to go when the namespace is selected no longer, and without an answer it may be there.
                    let no_answer = matches!(error, ApiError::Unreachable(_));
                    if no_answer || before.provisioned_namespaces.contains(namespace) {
                        found.provisioned.insert(namespace.clone());
                    }
                    let reason = format!("{NOT_WRITTEN}: {}", error.category());
                    found.refuse(&children, namespace, reason, &error);
                }
            }
        }
        found.failed.sort_by(|a, b| a.namespace.cmp(&b.namespace));
        let all = found.failed.is_empty();
        Outcome {
            status: Some(ClusterPushSecretStatus {
                push_secret_name: Some(name.to_owned()),
                conditions: vec![ready(all, None, (!all).then_some(SOME_FAILED))],
                provisioned_namespaces: found.provisioned.into_iter().collect(),
                failed_namespaces: found.failed,
            }),
            warning: None,
            again: match found.refused {
                true => None,
                false => Some(interval),
            },
            faulty: false,
        }
    }

    fn failed(
        &self,
        mut status: ClusterPushSecretStatus,
        text: &'static str,
        failed: Vec<FailedNamespace>,
    ) -> Outcome {
        status.failed_namespaces = failed;
        let reason = push_secret::refresh::ERRORED;
        status.conditions = vec![ready(false, Some(reason), Some(text))];
        Outcome {
            status: Some(status),
            warning: Some(text.to_owned()),
            again: None,
            faulty: false,
        }
    }

    async fn selected(&self, object: &ClusterPushSecret) -> Result<BTreeSet<String>, Unlisted> {
        let mut selected = BTreeSet::new();
        for namespace in children::namespaces(self.api()).await? {
            for selector in &object.spec.namespace_selectors {
                let labels = namespace.labels.as_ref();
                if label_selector::matches(selector, labels).map_err(|_| Unlisted::Selector)? {
                    selected.extend(namespace.name.clone());
                    break;
                }
            }
        }
        Ok(selected)
    }

    /// Makes the PushSecret of one namespace what it should be; false if there is one that is not ours.
    async fn provision(
        &self,
        object: &ClusterPushSecret,
        namespace: &str,
    ) -> Result<bool, ApiError> {
        let children = self.children(object);
        let name = object.push_secret_name();
        let existing = children.get(namespace, name).await?;
        let foreign = |existing: &Value| !children.is_ours(existing);
        if existing.as_ref().is_some_and(foreign) {
            return Ok(false);
        }
        let metadata = &object.spec.push_secret_metadata;
        let (labels, annotations) = (&metadata.labels, &metadata.annotations);
        let spec = &object.spec.push_secret_spec;
        let wanted = children.object(namespace, name, labels, annotations, spec);
        children.write(existing.as_ref(), &wanted).await?;
        Ok(true)
    }
}

/// Why the namespaces are not known.
#[derive(Debug, thiserror::Error)]
enum Unlisted {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("a namespaceSelector is not valid")]
    Selector,
}

fn not_deleted(error: &ApiError) -> String {
    format!("could not delete the push secret: {}", error.category())
}

fn ready(holds: bool, reason: Option<&str>, message: Option<&str>) -> Condition {
    Condition {
        kind: READY.to_owned(),
        status: if holds { "True" } else { "False" }.to_owned(),
        reason: reason.map(str::to_owned),
        message: message.map(str::to_owned),
        last_transition_time: None,
    }
}

impl Kind for ClusterPushSecrets {
    const NAME: &'static str = KIND;
    const PLURAL: &'static str = "ClusterPushSecrets";
    const METRICS: Option<SyncedKind> = Some(SyncedKind::ClusterPushSecret);
    const NEIGHBOURS: &'static [Neighbours] = &[Neighbours::Namespaces];

    type Object = ClusterPushSecret;
    type Status = ClusterPushSecretStatus;
    type Extra = Extra;
    type Outcome = Outcome;

    fn frame(&self) -> &Frame<Self> {
        &self.frame
    }

    fn digest(&self, object: &ClusterPushSecret) -> Digest {
        Digest::of_json(&[&serde_json::to_value(&object.spec).unwrap_or_default()])
    }

    fn status(object: &ClusterPushSecret) -> Option<&ClusterPushSecretStatus> {
        object.status.as_ref()
    }

    fn conditions(status: &ClusterPushSecretStatus) -> Vec<(&str, bool)> {
        status::truths(&status.conditions)
    }

    fn needs(&self, object: &ClusterPushSecret) -> Vec<Need> {
        let status = object.status.as_ref();
        let provisioned = status.map(|status| status.provisioned_namespaces.iter());
        let children = provisioned
            .into_iter()
            .flatten()
            .map(|namespace| Need::one(push_secret::KIND, namespace, object.push_secret_name()));
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
        object: &Arc<ClusterPushSecret>,
    ) -> Attempt<Outcome> {
        let outcome = self.work(object).await;
        let next = outcome.again;
        let next = next.and_then(after);
        self.frame
            .index
            .update(key, known.uid(), |known| known.extra.next = next);
        Attempt {
            ended: match outcome.again {
                None => Err(LookedAt::default()),
                Some(_) => Ok(None),
            },
            outcome,
        }
    }

    fn unreadable(&self, fault: String) -> Outcome {
        Outcome {
            status: None,
            warning: Some(status::message(NOT_WRITTEN, Some(&fault))),
            again: None,
            faulty: true,
        }
    }

    fn report(
        &self,
        _metadata: &ObjectMeta,
        status: Option<&ClusterPushSecretStatus>,
        outcome: &Outcome,
        _now: Timestamp,
    ) -> Option<ClusterPushSecretStatus> {
        let next = match (&outcome.status, &outcome.warning) {
            (Some(next), _) => next.clone(),
            // What cannot be read keeps the record of what was made.
            (None, Some(text)) => ClusterPushSecretStatus {
                conditions: vec![ready(
                    false,
                    Some(push_secret::refresh::ERRORED),
                    Some(text),
                )],
                ..status.cloned().unwrap_or_default()
            },
            (None, None) => return None,
        };
        (status != Some(&next)).then_some(next)
    }

    fn events(&self, metadata: &ObjectMeta, outcome: &Outcome) -> Vec<Event> {
        let reason = push_secret::refresh::ERRORED;
        let warning = outcome.warning.as_ref().map(|text| {
            Event::about::<ClusterPushSecret>(COMPONENT, metadata, true, reason, text.clone())
        });
        warning.into_iter().collect()
    }

    fn again(&self, _key: &Key, outcome: &Outcome, failures: u32) -> Option<Duration> {
        let failed = outcome.status.as_ref();
        let failed = failed.is_some_and(|status| !status.failed_namespaces.is_empty());
        match outcome.again {
            None if outcome.faulty => None,
            None => Some(verdict::pause(Verdict::TryAgain, failures, 5)),
            // What another writer has in a namespace may go away without a word to us.
            Some(again) if failed => Some(again.min(Duration::from_secs(300))),
            again => again,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use hyper::{Request, Response, StatusCode};
    use kube::Client;
    use kube::client::Body;
    use serde_json::json;

    use super::*;
    use crate::frame::plain;

    #[tokio::test]
    async fn new_namespaces_wake_an_object_with_a_great_many() {
        let service = tower::service_fn(|_: Request<Body>| async {
            Ok::<_, Infallible>(Response::new(Body::from(Vec::new())))
        });
        let shared = plain::shared(Client::new(service, "ns"));
        let kind = ClusterPushSecrets::new(shared, plain::watching());
        let all: Vec<String> = (0..300).map(|number| format!("ns{number}")).collect();
        let object = json!({
            "apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "cps"},
            "spec": {"namespaceSelectors": [{}], "pushSecretSpec": {
                "secretStoreRefs": [{"name": "s"}], "selector": {"secret": {"name": "src"}}}},
            "status": {"provisionedNamespaces": all},
        });
        let needs = kind.needs(&serde_json::from_value(object).unwrap());
        // A need beyond the first 256 does not count.
        let at = needs
            .iter()
            .position(|need| *need == Need::any("Namespace", ""));
        assert_eq!(at, Some(0));
    }

    #[tokio::test]
    async fn a_namespace_whose_push_secret_cannot_be_written_stays_in_the_record() {
        let service = tower::service_fn(|request: Request<Body>| async move {
            let namespaces = ["new", "old"];
            let namespaces = namespaces.map(|name| json!({"metadata": {"name": name}}));
            let list = json!({"metadata": {}, "items": namespaces});
            let mut response = Response::new(Body::from(list.to_string().into_bytes()));
            if request.uri().path() != "/api/v1/namespaces" {
                *response.status_mut() = StatusCode::FORBIDDEN;
            }
            Ok::<_, Infallible>(response)
        });
        let shared = plain::shared(Client::new(service, "ns"));
        let kind = ClusterPushSecrets::new(shared, plain::watching());
        let object = json!({
            "apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "cps"},
            "spec": {"namespaceSelectors": [{}], "pushSecretSpec": {
                "secretStoreRefs": [{"name": "s"}], "selector": {"secret": {"name": "src"}}}},
            "status": {"pushSecretName": "cps", "provisionedNamespaces": ["old"]},
        });
        let outcome = kind.work(&serde_json::from_value(object).unwrap()).await;
        let status = outcome.status.unwrap();
        assert_eq!(status.provisioned_namespaces, ["old"]);
        let failed = status.failed_namespaces.iter();
        let failed: Vec<&str> = failed.map(|failed| failed.namespace.as_str()).collect();
        assert_eq!(failed, ["new", "old"]);
    }
}
