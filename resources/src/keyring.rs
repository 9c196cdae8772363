//! The sealing keys of a cluster: which one seals, and in which order they are tried.

use std::sync::Arc;

use sealwright_crypto::sealing::{Certificate, Fingerprint, KeyError, PrivateKey};
use sealwright_crypto::secret::SecretBytes;
use thiserror::Error;

/// A key pair and where it comes from.
pub struct SealingKey {
    name: String,
    private: PrivateKey,
    certificate: Option<Certificate>,
    ordering_time: i64,
}

/// All key pairs at hand, newest first.
///
/// The newest is the one with the greatest ordering time; of several with the same time the one
/// that was inserted first stays in front, so that replicas and restarts agree.
#[derive(Default)]
pub struct Keyring {
    keys: Vec<Arc<SealingKey>>,
}

static_assertions::assert_not_impl_any!(SealingKey: Clone, std::fmt::Debug, std::fmt::Display);
static_assertions::assert_not_impl_any!(Keyring: Clone, std::fmt::Debug, std::fmt::Display);
static_assertions::assert_impl_all!(Keyring: Send, Sync);

/// None of the keys opens a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no key could decrypt secret")]
pub struct NoKey;

impl SealingKey {
    /// Describes a key pair that lies in the Secret `name`; the ordering time is in seconds since
    /// 1970 (the certificate's start, the Secret's creation, or the moment of registration).
    #[must_use]
    pub fn new(
        name: &str,
        private: PrivateKey,
        certificate: Certificate,
        ordering_time: i64,
    ) -> Self {
        Self {
            name: name.to_owned(),
            private,
            certificate: Some(certificate),
            ordering_time,
        }
    }

    /// Describes a private key from a backup, which can unseal but not seal.
    #[must_use]
    pub fn without_certificate(name: &str, private: PrivateKey) -> Self {
        Self {
            name: name.to_owned(),
            private,
            certificate: None,
            ordering_time: 0,
        }
    }

    /// The Secret or file the key comes from.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The certificate, if it came with the key.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// The fingerprint of the private key.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        self.private.fingerprint()
    }

    /// Makes a proof over `message` that only a holder of the private key can make or check.
    ///
    /// # Errors
    ///
    /// Fails only if the key cannot be serialized.
    pub fn prove(&self, message: &[u8]) -> Result<[u8; 32], KeyError> {
        self.private.prove(message)
    }

    /// The time that decides which key is the newest.
    #[must_use]
    pub fn ordering_time(&self) -> i64 {
        self.ordering_time
    }

    /// Tells whether the certificate is there and belongs to the key. A pair that does not match
    /// would seal values that no one can open, so it never becomes the sealing key.
    #[must_use]
    pub fn can_seal(&self) -> bool {
        self.certificate
            .as_ref()
            .is_some_and(|certificate| certificate.belongs_to(&self.private))
    }
}

impl Keyring {
    /// Adds a key, or replaces the one that came from the same place.
    pub fn insert(&mut self, key: SealingKey) {
        self.remove(&key.name);
        let at = self
            .keys
            .partition_point(|other| other.ordering_time >= key.ordering_time);
        self.keys.insert(at, Arc::new(key));
    }

    /// Forgets the key that came from `name`; tells whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.keys.len();
        self.keys.retain(|key| key.name != name);
        self.keys.len() < before
    }

    /// Returns a ring of the same keys, which are shared and not copied: a snapshot, that changes of this one leave alone.
    #[must_use]
    pub fn share(&self) -> Self {
        Self {
            keys: self.keys.clone(),
        }
    }

    /// The key to seal with: the newest that can.
    #[must_use]
    pub fn newest(&self) -> Option<&SealingKey> {
        self.iter().find(|key| key.can_seal())
    }

    /// The key of this fingerprint.
    #[must_use]
    pub fn find(&self, fingerprint: &str) -> Option<&SealingKey> {
        self.iter()
            .find(|key| key.fingerprint().as_str() == fingerprint)
    }

    /// The keys, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &SealingKey> {
        self.keys.iter().map(|key| &**key)
    }

    /// The number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Tells whether there is no key at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Opens a value and tells with which key: first with the key remembered from last time, then
    /// with the others, newest first.
    ///
    /// # Errors
    ///
    /// Fails if no key opens it.
    pub fn unseal(
        &self,
        sealed: &[u8],
        label: &[u8],
        remembered: Option<&Fingerprint>,
    ) -> Result<(SecretBytes, &Fingerprint), NoKey> {
        let is_first = |key: &&SealingKey| Some(key.fingerprint()) == remembered;
        let first = self.iter().find(is_first);
        let mut tried: Vec<&Fingerprint> = Vec::with_capacity(self.keys.len());
        for key in first.into_iter().chain(self.iter()) {
            // Two Secrets may hold one key pair; a failed private operation is not repeated.
            if tried.contains(&key.fingerprint()) {
                continue;
            }
            if let Ok(plaintext) = key.private.unseal(sealed, label) {
                return Ok((plaintext, key.fingerprint()));
            }
            tried.push(key.fingerprint());
        }
        Err(NoKey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(time: i64) -> (PrivateKey, Certificate) {
        let key = PrivateKey::generate(2048).unwrap();
        let certificate = Certificate::self_signed(&key, "", time, 60).unwrap();
        (key, certificate)
    }

    fn insert(keys: &mut Keyring, name: &str, time: i64) {
        let (key, certificate) = pair(time);
        keys.insert(SealingKey::new(name, key, certificate, time));
    }

    fn names(keys: &Keyring) -> Vec<&str> {
        keys.iter().map(SealingKey::name).collect()
    }

    #[test]
    fn t24_the_newest_seals_and_ties_keep_the_first() {
        let mut keys = Keyring::default();
        for (name, time) in [("b", 20), ("a", 10), ("c", 20), ("d", 30), ("e", 30)] {
            insert(&mut keys, name, time);
        }
        assert_eq!(names(&keys), ["d", "e", "b", "c", "a"]);
        assert_eq!(keys.newest().unwrap().name(), "d");
        assert!(keys.remove("d"));
        assert!(!keys.remove("d"));
        assert_eq!(keys.newest().unwrap().name(), "e");
        insert(&mut keys, "e", 5);
        assert_eq!(names(&keys), ["b", "c", "a", "e"]);
    }

    #[test]
    fn t25_a_pair_that_does_not_match_never_seals_but_still_opens() {
        let (old, old_certificate) = pair(10);
        let sealed = old_certificate.seal(b"x", b"l").unwrap();
        let (_, foreign_certificate) = pair(99);
        let mut keys = Keyring::default();
        keys.insert(SealingKey::new("bad", old, foreign_certificate, 99));
        assert!(keys.newest().is_none());
        insert(&mut keys, "good", 50);
        assert_eq!(keys.newest().unwrap().name(), "good");
        assert_eq!(keys.unseal(&sealed, b"l", None).unwrap().0.expose(), b"x");
    }

    #[test]
    fn the_remembered_key_is_tried_first_and_the_others_still_are() {
        let (key, certificate) = pair(10);
        let sealed = certificate.seal(b"x", b"l").unwrap();
        let own = key.fingerprint().clone();
        let mut keys = Keyring::default();
        keys.insert(SealingKey::new("old", key, certificate, 10));
        insert(&mut keys, "new", 20);
        let newest = keys.newest().unwrap().fingerprint().clone();
        for remembered in [None, Some(&own), Some(&newest)] {
            let (plaintext, opened_by) = keys.unseal(&sealed, b"l", remembered).unwrap();
            assert_eq!(plaintext.expose(), b"x");
            assert_eq!(opened_by, &own);
        }
        assert_eq!(keys.unseal(&sealed, b"m", Some(&own)).unwrap_err(), NoKey);
        assert_eq!(
            Keyring::default().unseal(&sealed, b"l", None).unwrap_err(),
            NoKey
        );
    }
}
