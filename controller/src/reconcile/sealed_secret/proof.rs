//! How a restart knows, without unsealing, that a Secret is what its SealedSecret asks for.
//!
//! After a success the status carries a condition `Applied` whose message says: this version of
//! this Secret came from this object, and here is a proof. The proof is an HMAC under a key
//! derived from the private key that opened the values, over
//!
//! - a digest of all that decides what comes out: the object's uid, namespace, name, scope and
//!   `spec`;
//! - the uid and the resource version of the Secret that was written.
//!
//! A tenant may be able to write the status, the Secret, or both, but has no private key, so none
//! can make a proof. Replaying an old one is of no use: it names a version of the Secret, and the
//! API server gives each version out once, so the Secret still is what it was then. A proof made
//! with a sealing key that was withdrawn since can no longer be checked, and the values are
//! unsealed again (or not, for want of the key). The condition lies in the status because the
//! upstream's permissions and CRD allow that, and nothing more.

use sealwright_crypto::sealing::base64;
use sealwright_resources::condition;
use sealwright_resources::drift::Drift;
use sealwright_resources::keyring::Keyring;
use sealwright_resources::scope::Scope;
use sealwright_resources::sealed_secret::{SealedSecret, SealedSecretStatus};
use sha2::{Digest as _, Sha256};

use crate::frame::object::Version;
use crate::frame::tracked::Digest;

/// Condition that carries the proof.
pub(crate) const APPLIED: &str = "Applied";
/// Its reason.
pub(super) const REASON: &str = "SecretWritten";
/// Why an object is not ready whose Secret another writer has changed.
pub(super) const DRIFTED: &str = "Drifted";
const FORMAT: &str = "v1";

/// Digests all that decides what Secret comes out of an object; `accept_deprecated_data` is the flag, which also decides.
pub(super) fn digest(sealed: &SealedSecret, accept_deprecated_data: bool) -> Digest {
    let metadata = &sealed.metadata;
    let mut hash = Sha256::new();
    for part in [
        metadata.uid.as_deref().unwrap_or_default(),
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
        &Scope::of(metadata).to_string(),
        if accept_deprecated_data { "1" } else { "0" },
    ] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    // Back from a report only, the object has something to do. Others keep the digest that they have always had.
    if Drift::of(metadata) == Drift::Report {
        hash.update(b"drift: report");
    }
    // Maps are sorted, so the same spec has the same text.
    hash.update(serde_json::to_vec(&sealed.spec).expect("a spec is JSON"));
    Digest(hash.finalize().into())
}

/// What a condition claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    target: Version,
    key: String,
    proof: Vec<u8>,
}

impl Claim {
    /// Makes the claim that `target` was written from an object of this digest, proved with the
    /// key that opened it, or the newest one if nothing had to be opened.
    pub(super) fn make(
        ring: &Keyring,
        opened_by: Option<&str>,
        digest: Digest,
        target: &Version,
    ) -> Option<Self> {
        let key = opened_by
            .and_then(|fingerprint| ring.find(fingerprint))
            .or_else(|| ring.newest())?;
        Some(Self {
            target: target.clone(),
            key: key.fingerprint().as_str().to_owned(),
            proof: key.prove(&message(digest, target)).ok()?.to_vec(),
        })
    }

    /// Reads the claim of a status that says that all is well with this generation, or was.
    pub(super) fn read(
        status: Option<&SealedSecretStatus>,
        generation: Option<i64>,
    ) -> Option<Self> {
        let status = status?;
        let holds = |kind| {
            condition::get(&status.conditions, kind).filter(|condition| condition.status == "True")
        };
        if status.observed_generation != generation {
            return None;
        }
        // One whose Secret another writer has changed, and that is only reported, says what was written last.
        let ready = condition::get(&status.conditions, condition::READY)?;
        if ready.reason != DRIFTED {
            holds(condition::SYNCED)?;
            holds(condition::READY)?;
        }
        let words: Vec<&str> = holds(APPLIED)?.message.split(' ').collect();
        let [FORMAT, uid, resource_version, key, proof] = words[..] else {
            return None;
        };
        Some(Self {
            target: Version {
                uid: uid.to_owned(),
                resource_version: resource_version.to_owned(),
            },
            key: key.to_owned(),
            proof: base64::decode(proof.as_bytes()).ok()?,
        })
    }

    /// The message of the condition.
    pub(super) fn text(&self) -> String {
        let Version {
            uid,
            resource_version,
        } = &self.target;
        let proof = base64::encode(&self.proof);
        format!("{FORMAT} {uid} {resource_version} {} {proof}", self.key)
    }

    /// Hands out which version of the Secret came from an object of this digest, and the key that
    /// opened it, if the proof holds.
    pub(super) fn check(&self, ring: &Keyring, digest: Digest) -> Option<(Version, String)> {
        let key = ring.find(&self.key)?;
        let proof = key.prove(&message(digest, &self.target)).ok()?;
        let equal = sealwright_crypto::secret::SecretBytes::copy_of(&proof)
            == sealwright_crypto::secret::SecretBytes::copy_of(&self.proof);
        equal.then(|| (self.target.clone(), self.key.clone()))
    }
}

fn message(digest: Digest, target: &Version) -> Vec<u8> {
    let mut message = b"applied".to_vec();
    message.extend_from_slice(&digest.0);
    for part in [&target.uid, &target.resource_version] {
        message.extend_from_slice(&part.len().to_be_bytes());
        message.extend_from_slice(part.as_bytes());
    }
    message
}

#[cfg(test)]
mod tests {
    use sealwright_crypto::sealing::{Certificate, PrivateKey};
    use sealwright_resources::keyring::SealingKey;
    use serde_json::json;

    use super::*;

    fn ring() -> Keyring {
        let mut ring = Keyring::default();
        for (name, time) in [("old", 1), ("new", 2)] {
            let key = PrivateKey::generate(2048).unwrap();
            let certificate = Certificate::self_signed(&key, "", time, 60).unwrap();
            ring.insert(SealingKey::new(name, key, certificate, time));
        }
        ring
    }

    fn object(change: impl FnOnce(&mut serde_json::Value)) -> SealedSecret {
        let mut json = json!({
            "apiVersion": "bitnami.com/v1alpha1",
            "kind": "SealedSecret",
            "metadata": {"name": "a", "namespace": "ns", "uid": "u"},
            "spec": {"encryptedData": {"k": "v"}, "template": {"metadata": {"labels": {"x": "y"}}}},
        });
        change(&mut json);
        serde_json::from_value(json).unwrap()
    }

    fn digest(change: impl FnOnce(&mut serde_json::Value)) -> Digest {
        super::digest(&object(change), true)
    }

    fn version(uid: &str, resource_version: &str) -> Version {
        Version {
            uid: uid.into(),
            resource_version: resource_version.into(),
        }
    }

    #[test]
    fn the_digest_covers_all_that_decides() {
        let plain = digest(|_| {});
        assert_eq!(
            plain,
            digest(|json| json["metadata"]["labels"] = json!({"l": "m"}))
        );
        let wide = json!({"sealedsecrets.bitnami.com/cluster-wide": "true"});
        assert_ne!(plain, digest(|json| json["metadata"]["annotations"] = wide));
        assert_ne!(plain, digest(|json| json["metadata"]["uid"] = "w".into()));
        assert_ne!(plain, digest(|json| json["metadata"]["name"] = "b".into()));
        assert_ne!(
            plain,
            digest(|json| json["spec"]["encryptedData"]["k"] = "w".into())
        );
        assert_ne!(
            plain,
            digest(|json| json["spec"]["template"]["type"] = "T".into())
        );
        assert_ne!(plain, super::digest(&object(|_| {}), false));
    }

    #[test]
    fn a_proof_holds_for_one_object_one_version_and_only_while_its_key_is_there() {
        let mut ring = ring();
        let digest_a = digest(|_| {});
        let other = digest(|json| json["metadata"]["name"] = "b".into());
        let old = ring
            .iter()
            .last()
            .unwrap()
            .fingerprint()
            .as_str()
            .to_owned();
        let claim = Claim::make(&ring, Some(&old), digest_a, &version("s", "7")).unwrap();
        assert_eq!(claim.check(&ring, digest_a), Some((version("s", "7"), old)));
        assert_eq!(claim.check(&ring, other), None);
        let mut moved = claim.clone();
        moved.target = version("s", "8");
        assert_eq!(moved.check(&ring, digest_a), None);
        let mut forged = claim.clone();
        forged.proof = vec![0; 32];
        assert_eq!(forged.check(&ring, digest_a), None);
        forged.proof = vec![];
        assert_eq!(forged.check(&ring, digest_a), None);
        assert!(ring.remove("old"));
        assert_eq!(claim.check(&ring, digest_a), None);
    }

    #[test]
    fn claims_survive_the_status_and_need_it_to_be_well() {
        let ring = ring();
        let claim = Claim::make(&ring, None, digest(|_| {}), &version("s", "7")).unwrap();
        let status = |synced: &str, observed: i64, text: &str| -> SealedSecretStatus {
            serde_json::from_value(json!({
                "observedGeneration": observed,
                "conditions": [
                    {"type": "Synced", "status": synced},
                    {"type": "Ready", "status": "True"},
                    {"type": "Applied", "status": "True", "message": text},
                ],
            }))
            .unwrap()
        };
        let text = claim.text();
        assert_eq!(
            Claim::read(Some(&status("True", 3, &text)), Some(3)),
            Some(claim)
        );
        assert_eq!(Claim::read(Some(&status("False", 3, &text)), Some(3)), None);
        assert_eq!(Claim::read(Some(&status("True", 2, &text)), Some(3)), None);
        assert_eq!(Claim::read(Some(&status("True", 3, "v2 x")), Some(3)), None);
        assert_eq!(Claim::read(Some(&status("True", 3, "")), Some(3)), None);
        assert_eq!(Claim::read(None, Some(3)), None);
    }
}
