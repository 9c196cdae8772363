//! A SealedSecret as it was read, also where it cannot be read.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use sealwright_resources::sealed_secret::{SealedSecret, SealedSecretSpec, SealedSecretStatus};

use super::proof::{self, Claim};
use crate::frame::index::Key;
use crate::frame::read::{Read, Unreadable};
use crate::frame::tracked::{Digest, Seen, fingerprint};

/// A SealedSecret to work on.
pub(super) struct Subject {
    /// The object; of one that cannot be read there is only what its status needs.
    pub(super) sealed: SealedSecret,
    /// Why it cannot be read.
    pub(super) fault: Option<String>,
    pub(super) seen: Seen,
}

impl Subject {
    /// Takes an object as it was read; `accept_deprecated_data` is the flag.
    pub(super) fn of(read: Read<SealedSecret>, accept_deprecated_data: bool) -> Self {
        let seen = seen(&read, accept_deprecated_data);
        match read.0 {
            Ok(sealed) => Self {
                sealed,
                fault: None,
                seen,
            },
            Err(fault) => {
                let mut sealed = SealedSecret::new("", SealedSecretSpec::default());
                sealed.status = status(&fault);
                let text = fault.to_string();
                sealed.metadata = fault.metadata;
                Self {
                    sealed,
                    fault: Some(text),
                    seen,
                }
            }
        }
    }
}

/// What an observation of the object says.
pub(super) fn seen(read: &Read<SealedSecret>, accept_deprecated_data: bool) -> Seen {
    match &read.0 {
        Ok(sealed) => {
            let digest = proof::digest(sealed, accept_deprecated_data);
            seen_with(&sealed.metadata, digest, sealed.status.as_ref())
        }
        Err(fault) => seen_with(&fault.metadata, fault.digest, status(fault).as_ref()),
    }
}

/// The claim in the status of an object.
pub(super) fn claim(read: &Read<SealedSecret>) -> Option<Claim> {
    let sealed = read.0.as_ref().ok()?;
    Claim::read(sealed.status.as_ref(), sealed.metadata.generation)
}

/// The label that the metric shows.
pub(super) fn instance(metadata: &ObjectMeta) -> String {
    metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get("app.kubernetes.io/instance"))
        .cloned()
        .unwrap_or_default()
}

/// The key of an object.
pub(super) fn key_of(metadata: &ObjectMeta) -> Key {
    Key::new(
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
    )
}

/// The key of an object that was read, or not.
pub(super) fn key_of_read(read: &Read<SealedSecret>) -> Key {
    key_of(read.meta())
}

/// A short name for what a status says, its times left out.
pub(super) fn status_fingerprint(status: Option<&SealedSecretStatus>) -> u64 {
    let Some(status) = status else {
        return fingerprint(());
    };
    let conditions: Vec<_> = status
        .conditions
        .iter()
        .map(|condition| {
            (
                &condition.kind,
                &condition.status,
                &condition.reason,
                &condition.message,
            )
        })
        .collect();
    fingerprint((status.observed_generation, conditions))
}

fn seen_with(metadata: &ObjectMeta, digest: Digest, status: Option<&SealedSecretStatus>) -> Seen {
    Seen {
        resource_version: metadata
            .resource_version
            .as_deref()
            .unwrap_or_default()
            .into(),
        digest,
        generation: metadata.generation,
        status: status_fingerprint(status),
    }
}

fn status(fault: &Unreadable) -> Option<SealedSecretStatus> {
    serde_json::from_value(fault.status.clone()?).ok()
}
