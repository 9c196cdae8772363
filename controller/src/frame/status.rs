//! Statuses: written where they are not true already, under the version of the object that they are about.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;

use super::kind::{Kind, Trouble, fetch, seen};
use super::object::Key;
use super::tracked::Digest;
use crate::action;

/// How often one attempt looks again because another writer was faster.
const LOOKS: u32 = 4;

/// Whether the status of an object is true now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Yes,
    /// The object has changed meanwhile.
    Overtaken,
    No,
}

/// Writes the status that is true after `outcome`; `digest` is that of the object that was worked on.
pub(super) async fn tell<K: Kind>(
    kind: &K,
    key: &Key,
    digest: Digest,
    mut metadata: ObjectMeta,
    mut status: Option<K::Status>,
    outcome: &K::Outcome,
) -> Told {
    let frame = kind.frame();
    if !frame.watching.statuses {
        return Told::Yes;
    }
    let uid = metadata.uid.clone().unwrap_or_default();
    let is_true = |status: Option<&K::Status>, version: &str| {
        let fingerprint = K::fingerprint(status);
        frame.index.update(key, &uid, |known| {
            known.state_written(fingerprint, version);
        });
        Told::Yes
    };
    let mut told = Told::No;
    for _ in 0..LOOKS {
        let Some(new) = kind.report(&metadata, status.as_ref(), outcome, Timestamp::now()) else {
            let version = metadata.resource_version.unwrap_or_default();
            return is_true(status.as_ref(), &version);
        };
        let written = action::set_status::<K::Object, _>(frame.api(), &metadata, &new).await;
        let error = match written {
            Ok(version) => return is_true(Some(&new), &version.resource_version),
            Err(error) => error,
        };
        if error.is_not_found() {
            told = Told::Overtaken;
            break;
        }
        if error.is_conflict() {
            match fetch::<K>(frame.api(), key).await {
                // Another object of the same name has nothing to do with what was done.
                Ok(fresh)
                    if fresh.meta().uid.as_deref().unwrap_or_default() == uid
                        && seen(kind, &fresh).digest == digest =>
                {
                    metadata = fresh.meta().clone();
                    status = match &fresh.0 {
                        Ok(object) => K::status(object).cloned(),
                        Err(fault) => fault.status(),
                    };
                    continue;
                }
                Ok(_) => {
                    told = Told::Overtaken;
                    break;
                }
                Err(error) if error.is_not_found() => {
                    told = Told::Overtaken;
                    break;
                }
                Err(_) => {}
            }
        }
        kind.trouble(key, Trouble::Status, &error);
        break;
    }
    frame
        .index
        .update(key, &uid, |known| known.state_not_written());
    told
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;

    use hyper::{Method, Request, Response, StatusCode};
    use kube::Client;
    use kube::client::Body;
    use sealwright_resources::sealed_secret::{SealedSecret, SealedSecretStatus};
    use serde_json::json;

    use super::super::plain::Plain;
    use super::super::read::Read;
    use super::*;

    #[tokio::test]
    async fn an_object_that_was_made_anew_does_not_get_the_status_of_the_old_one() {
        let writes = Arc::new(AtomicUsize::new(0));
        let service = tower::service_fn({
            let writes = Arc::clone(&writes);
            move |request: Request<Body>| {
                let (code, answer) = match *request.method() == Method::GET {
                    true => (StatusCode::OK, Plain::object("a", "new", "9")),
                    false => {
                        writes.fetch_add(1, Relaxed);
                        (StatusCode::CONFLICT, json!({"reason": "Conflict"}))
                    }
                };
                let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
                *response.status_mut() = code;
                async move { Ok::<_, Infallible>(response) }
            }
        });
        let kind = Plain::new(Client::new(service, "ns"));
        let old = Plain::object("a", "old", "5").to_string();
        let old = Read::<SealedSecret>::from_json(&old).unwrap();
        let digest = seen(&kind, &old).digest;
        let outcome = SealedSecretStatus {
            observed_generation: Some(1),
            ..SealedSecretStatus::default()
        };
        let key = Key::new("ns", "a");
        let told = tell(&kind, &key, digest, old.meta().clone(), None, &outcome).await;
        assert_eq!((told, writes.load(Relaxed)), (Told::Overtaken, 1));
    }
}
