//! What generators leave on servers: recorded in GeneratorStates, which the reconciler of these takes back in time.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use sealwright_resources::generator::API_VERSION;
use sealwright_resources::generator::state::{
    self, FINALIZER, GeneratorState, GeneratorStateSpec, OWNER_LABEL,
};
use serde::Deserialize;
use serde_json::json;

use super::{Asker, Generators, Left};
use crate::action;
use crate::api::ApiError;
use crate::frame::object::Key;
use crate::frame::worker::aside;

impl Generators {
    /// Takes note of a state as the watch shows it.
    pub(crate) fn see(&self, key: &Key, owner: Option<&str>) {
        let mut seen = self.seen.lock().expect("no holder panics");
        seen.set(key, owner);
    }

    /// Forgets a state that is gone.
    pub(crate) fn forget(&self, key: &Key) {
        let mut seen = self.seen.lock().expect("no holder panics");
        seen.set(key, None);
    }

    fn has_states(&self, namespace: &str, owner: &str) -> bool {
        let seen = self.seen.lock().expect("no holder panics");
        seen.has_any(namespace, owner)
    }

    /// Records what was left for the entries of an object, and gives older states their deadlines.
    ///
    /// # Errors
    ///
    /// If a state cannot be recorded: what was left is taken back then.
    pub(crate) async fn commit(
        &self,
        asker: &Asker<'_>,
        entries: Vec<(String, Option<Left>)>,
    ) -> Result<(), ApiError> {
        let mut failed = None;
        for (entry, left) in entries {
            let owner = asker.key(&entry);
            if failed.is_none() && (left.is_some() || self.has_states(asker.namespace(), &owner)) {
                failed = self.outdate(asker.namespace(), &owner).await.err();
            }
            let Some(left) = left else { continue };
            if failed.is_none() {
                failed = self.create(asker, &owner, &left, None).await.err();
            }
            if failed.is_some() {
                self.take_back(asker, &owner, left).await;
            }
        }
        let Some(error) = failed else { return Ok(()) };
        tracing::warn!(namespace = asker.namespace(), name = asker.name(), error = %error, "what a generator makes cannot be recorded");
        Err(error)
    }

    /// Takes back what was left for an object that could not be refreshed.
    pub(crate) async fn roll_back(&self, asker: &Asker<'_>, entries: Vec<(String, Option<Left>)>) {
        for (entry, left) in entries {
            if let Some(left) = left {
                self.take_back(asker, &asker.key(&entry), left).await;
            }
        }
    }

    async fn take_back(&self, asker: &Asker<'_>, owner: &str, left: Left) {
        let cleaned = self.clean_up(&left.manifest, &left.state, asker.namespace());
        let Err(error) = aside(cleaned).await else {
            return;
        };
        tracing::warn!(namespace = asker.namespace(), name = asker.name(), error = %error, "cannot take back at once what a generator made");
        let now = state::deadline(Timestamp::now(), SignedDuration::ZERO);
        if let Err(error) = self.create(asker, owner, &left, Some(now)).await {
            tracing::error!(namespace = asker.namespace(), name = asker.name(), error = %error, "what a generator made can be neither taken back nor recorded");
        }
    }

    async fn outdate(&self, namespace: &str, owner: &str) -> Result<(), ApiError> {
        let states_without_deadline = self.without_deadline(namespace, owner).await?;
        let deadline = state::deadline(Timestamp::now(), self.rules.grace);
        for outdated in state::outdated(&states_without_deadline) {
            let name = outdated.metadata.name.as_deref().unwrap_or_default();
            let path = format!("{}/{name}", states(namespace));
            let spec = json!({"garbageCollectionDeadline": Time(deadline)});
            match action::patch_object(&self.api, &path, &json!({ "spec": spec })).await {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// The states of an owner that have no deadline yet, without their manifests and what they stand for.
    async fn without_deadline(
        &self,
        namespace: &str,
        owner: &str,
    ) -> Result<Vec<GeneratorState>, ApiError> {
        /// A state may have more than 1 MiB, and few objects have more than two.
        const LIMIT: usize = 10;
        #[derive(Deserialize)]
        struct Item {
            #[serde(deserialize_with = "action::essentials")]
            metadata: ObjectMeta,
            #[serde(default)]
            spec: Spec,
        }
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Spec {
            garbage_collection_deadline: Option<Time>,
        }
        let path = action::labelled(&states(namespace), OWNER_LABEL, owner);
        let mut found = Vec::new();
        let see = |item: Item| {
            if item.spec.garbage_collection_deadline.is_none() {
                found.push(GeneratorState {
                    metadata: ObjectMeta {
                        labels: None,
                        ..item.metadata
                    },
                    spec: GeneratorStateSpec::default(),
                    status: None,
                });
            }
        };
        action::list(&self.api, (path.as_str(), action::JSON), LIMIT, see).await?;
        Ok(found)
    }

    async fn create(
        &self,
        asker: &Asker<'_>,
        owner: &str,
        left: &Left,
        deadline: Option<Timestamp>,
    ) -> Result<(), ApiError> {
        let mut spec = json!({"resource": left.manifest, "state": left.state});
        if let Some(deadline) = deadline {
            spec["garbageCollectionDeadline"] = json!(Time(deadline));
        }
        let kind = asker.kind.to_ascii_lowercase();
        let object = json!({
            "apiVersion": API_VERSION,
            "kind": state::KIND,
            "metadata": {
                "generateName": format!("gen-{kind}-{}-", asker.name()),
                "namespace": asker.namespace(),
                "labels": {OWNER_LABEL: owner},
                "finalizers": [FINALIZER],
                "ownerReferences": [{
                    "apiVersion": asker.api_version,
                    "kind": asker.kind,
                    "name": asker.name(),
                    "uid": asker.metadata.uid,
                }],
            },
            "spec": spec,
        });
        action::create_object(&self.api, &states(asker.namespace()), &object).await
    }
}

fn states(namespace: &str) -> String {
    format!("/apis/{API_VERSION}/namespaces/{namespace}/generatorstates")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use hyper::{Method, Request, Response};
    use kube::Client;
    use kube::client::Body;

    use super::*;
    use crate::action::list_tests::page;
    use crate::api::Api;
    use crate::generators::GeneratorRules;
    use crate::pool::Pool;

    fn generators(api: Api) -> Generators {
        let rules = GeneratorRules {
            class: "default".to_owned(),
            keeps_state: true,
            grace: SignedDuration::from_mins(1),
        };
        let (pool, slow_pool) = (Arc::new(Pool::start()), Arc::new(Pool::slow()));
        Generators::new(Arc::new(api), pool, slow_pool, rules)
    }

    #[tokio::test]
    async fn states_are_listed_in_pages() {
        const ALL: usize = 25;
        let (limits, changed) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let service = tower::service_fn({
            let (limits, changed) = (Arc::clone(&limits), Arc::clone(&changed));
            move |request: Request<Body>| {
                let answer = if request.method() == Method::GET {
                    let (limit, list) = page(&request, ALL, |number| {
                        let spec = match number {
                            // Its deadline is not moved.
                            3 => json!({"garbageCollectionDeadline": "2026-01-01T00:00:00Z"}),
                            _ => json!({"resource": {}, "state": "x".repeat(1000)}),
                        };
                        json!({"metadata": {"name": format!("s{number}")}, "spec": spec})
                    });
                    limits.lock().unwrap().push(limit);
                    list
                } else {
                    *changed.lock().unwrap() += 1;
                    json!({"metadata": {}})
                };
                let answer = Response::new(Body::from(answer.to_string().into_bytes()));
                async move { Ok::<_, Infallible>(answer) }
            }
        });
        let generators = generators(Api::new(Client::new(service, "ns"), None, 1));
        generators.outdate("ns", "owner").await.unwrap();
        assert_eq!(*limits.lock().unwrap(), [Some(10); 3]);
        // All but the newest and the one that has a deadline.
        assert_eq!(*changed.lock().unwrap(), ALL - 2);
    }
}
