//! The sealing keys in use, shared by everything that needs them.

use std::sync::{Arc, RwLock};

use sealwright_resources::keyring::{Keyring, SealingKey};
use tokio::sync::watch;

/// The keyring of the process.
///
/// Readers get a snapshot of the keys: an object of thousands of values is opened for seconds, and a key that
/// comes meanwhile must not wait for that, nor hold up those who come after it.
pub(crate) struct SealingKeys {
    ring: RwLock<Arc<Keyring>>,
    /// Counts changes, and whether the keys have been read at all.
    changes: watch::Sender<Changes>,
}

/// What happened to the keys so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Goes up with every change of the set of keys.
    pub(crate) version: u64,
    /// The key Secrets of the cluster have been read.
    pub(crate) loaded: bool,
}

impl SealingKeys {
    pub(crate) fn new() -> Self {
        Self {
            ring: RwLock::default(),
            changes: watch::Sender::default(),
        }
    }

    /// Looks at the keys.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&Keyring) -> T) -> T {
        let ring = Arc::clone(&self.ring.read().expect("no holder panics"));
        look(&ring)
    }

    /// Adds a key, or replaces the one of the same name.
    pub(crate) fn insert(&self, key: SealingKey) {
        self.change(|ring| {
            // Seeing our own key again is no change.
            let same = ring.iter().any(|known| {
                known.name() == key.name() && known.fingerprint() == key.fingerprint()
            });
            ring.insert(key);
            !same
        });
    }

    /// Forgets the key that lay in this Secret; tells whether there was one.
    pub(crate) fn remove(&self, name: &str) -> bool {
        self.change(|ring| ring.remove(name))
    }

    /// The certificate to seal with, as PEM.
    pub(crate) fn certificate(&self) -> Option<String> {
        self.with(|ring| Some(ring.newest()?.certificate()?.to_pem()))
    }

    /// Says that the cluster's keys have been read.
    pub(crate) fn loaded(&self) {
        self.changes.send_modify(|changes| changes.loaded = true);
    }

    /// What happened so far.
    pub(crate) fn changes(&self) -> Changes {
        *self.changes.borrow()
    }

    /// Tells of everything that happens from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<Changes> {
        self.changes.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut Keyring) -> bool) -> bool {
        let changed = {
            let mut ring = self.ring.write().expect("no holder panics");
            let mut next = ring.share();
            let changed = change(&mut next);
            *ring = Arc::new(next);
            changed
        };
        // The change is told after the lock is gone.
        if changed {
            self.changes.send_modify(|changes| changes.version += 1);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use sealwright_crypto::sealing::{Certificate, PrivateKey};

    use super::*;

    #[test]
    fn a_key_that_comes_does_not_wait_for_those_who_use_the_others() {
        let keys = Arc::new(SealingKeys::new());
        let key = PrivateKey::generate(2048).unwrap();
        let certificate = Certificate::self_signed(&key, "", 1_700_000_000, 60).unwrap();
        let (done, is_done) = mpsc::channel();
        let counts = keys.with(|ring| {
            let others = Arc::clone(&keys);
            std::thread::spawn(move || {
                others.insert(SealingKey::new("k", key, certificate, 1));
                done.send(others.with(Keyring::len)).unwrap();
            });
            let meanwhile = is_done.recv_timeout(Duration::from_secs(60));
            (meanwhile, ring.len())
        });
        assert_eq!(counts, (Ok(1), 0));
    }
}
