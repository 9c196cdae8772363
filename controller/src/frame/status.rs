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
                Ok(fresh) if seen(kind, &fresh).digest == digest => {
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
