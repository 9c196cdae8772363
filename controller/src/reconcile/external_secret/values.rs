//! The values of an ExternalSecret, read from its stores.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use sealwright_providers::fetch::Lane;
use sealwright_providers::outcome::{Answer as Told, StoreError};
use sealwright_resources::external_secret::access::{self, NamespaceSeen, StoreSeen};
use sealwright_resources::external_secret::data::{
    self, Answer, Assembled, Failure, Query, Request, Source,
};
use sealwright_resources::external_secret::{DeletionPolicy, ExternalSecret, StoreKind, StoreRef};

use super::ExternalSecrets;
use crate::action;
use crate::stores::StoreId;

/// A store that may be read from, or why it may not.
type Access = Result<Arc<Lane>, Failure>;

/// How many entries of one object are read at a time.
const AT_ONCE: usize = 32;

impl ExternalSecrets {
    /// Reads everything that the object asks for, and makes its data out of it. Answers no older than `max_age` will do.
    pub(super) async fn read_values(
        &self,
        object: &ExternalSecret,
        max_age: Duration,
    ) -> Assembled {
        let requests = data::requests(&object.spec);
        let mut stores = HashMap::new();
        for request in &requests {
            if let Source::Store(reference) = request.source {
                let id = StoreId::of(reference, object.namespace());
                if let Entry::Vacant(vacant) = stores.entry(id) {
                    vacant.insert(self.access(object, reference).await);
                }
            }
        }
        let mut asked = Vec::with_capacity(requests.len());
        for request in &requests {
            asked.push(self.ask(object, request, &stores, max_age).boxed());
        }
        let mut answers: Vec<Answer> = stream::iter(asked).buffered(AT_ONCE).collect().await;
        // What is about to be taken away was looked for once; absence has to be proved again.
        if object.spec.target.deletion_policy != DeletionPolicy::Retain {
            for (request, answer) in requests.iter().zip(&mut answers) {
                if matches!(answer, Answer::Absent) {
                    *answer = self.ask(object, request, &stores, Duration::ZERO).await;
                }
            }
        }
        data::assemble(&object.spec, answers)
    }

    async fn ask(
        &self,
        object: &ExternalSecret,
        request: &Request<'_>,
        stores: &HashMap<StoreId, Access>,
        max_age: Duration,
    ) -> Answer {
        let reference = match request.source {
            Source::Store(reference) => reference,
            Source::Generator(_) => return failed("this build has no generators", true),
            Source::Missing => return failed("no store is named", false),
        };
        let namespace = object.namespace();
        let lane = match stores.get(&StoreId::of(reference, namespace)) {
            Some(Ok(lane)) => lane,
            Some(Err(failure)) => return Answer::Failed(failure.clone()),
            None => return failed("no store is named", false),
        };
        let values = match request.query {
            Query::Value(remote) => {
                return match lane.get(&remote.asked_by(namespace), max_age).await {
                    Ok(Told::Found(value)) => Answer::Value(value),
                    Ok(Told::Absent(_)) => Answer::Absent,
                    Err(error) => self.unread_value(object, request, &error),
                };
            }
            Query::Map(remote) => lane.get_map(&remote.asked_by(namespace), max_age).await,
            Query::Find(find) => match find.asked() {
                Ok(find) => lane.find(&find, max_age).await,
                Err(error) => Err(error),
            },
            Query::Generate => return failed("this build has no generators", true),
        };
        match values {
            Ok(Told::Found(values)) => Answer::Values(values),
            Ok(Told::Absent(_)) => Answer::Absent,
            Err(error) => self.unread_value(object, request, &error),
        }
    }

    fn unread_value(
        &self,
        object: &ExternalSecret,
        request: &Request<'_>,
        error: &StoreError,
    ) -> Answer {
        tracing::warn!(
            namespace = object.namespace(),
            name = object.name(),
            entry = ?request.entry,
            error = %error,
            "cannot read a value"
        );
        Answer::Failed(Failure {
            public: error.public_detail().map(str::to_owned),
            definite: !error.trouble().is_passing(),
        })
    }

    /// Opens a store, if objects of the namespace may use it.
    async fn access(&self, object: &ExternalSecret, reference: &StoreRef) -> Access {
        let refused = |error: access::AccessError| Failure {
            public: Some(format!(
                "{} {:?}: {error}",
                reference.kind().as_str(),
                reference.name()
            )),
            definite: false,
        };
        let id = StoreId::of(reference, object.namespace());
        let store = self.stores.get(&id);
        let store = store
            .ok_or_else(|| refused(access::AccessError::Missing(reference.kind().as_str())))?;
        let mut labels = None;
        if id.kind == StoreKind::ClusterSecretStore && !store.spec.conditions.is_empty() {
            let path = format!("/api/v1/namespaces/{}", object.namespace());
            let metadata = self.api().get_metadata(&path).await;
            let metadata = metadata.and_then(|answer| action::metadata_of(&answer));
            let metadata = metadata.map_err(|error| Failure {
                public: Some(format!(
                    "the namespace cannot be read: {}",
                    error.category()
                )),
                definite: false,
            })?;
            labels = metadata.labels;
        }
        let seen = StoreSeen {
            kind: id.kind,
            spec: &store.spec,
            conditions: &store.status.conditions,
        };
        let namespace = NamespaceSeen {
            name: object.namespace(),
            labels: labels.as_ref(),
        };
        let rules = access::Rules {
            class: &self.rules.class,
            flood_gate: self.rules.flood_gate,
        };
        access::check(&seen, &namespace, &rules).map_err(refused)?;
        let config = store.spec.provider.config().map_err(|_| Failure {
            public: Some("the settings of the store's provider cannot be read".to_owned()),
            definite: false,
        })?;
        let opened = self
            .stores
            .open(&id, &store, &config, Some(object.namespace()))
            .await;
        opened.map_err(|error| {
            tracing::warn!(
                namespace = object.namespace(),
                name = object.name(),
                store = %id.name,
                error = %error,
                "cannot open the store"
            );
            Failure {
                public: error.public_detail().map(str::to_owned),
                definite: false,
            }
        })
    }
}

fn failed(text: &str, definite: bool) -> Answer {
    Answer::Failed(Failure {
        public: Some(text.to_owned()),
        definite,
    })
}
