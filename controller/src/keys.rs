//! The sealing keys in use, shared by everything that needs them.

use std::sync::RwLock;

use sealwright_resources::keyring::{Keyring, SealingKey};
use tokio::sync::watch;

/// The keyring of the process. Work with it is short or happens on the threads of the pool.
pub(crate) struct SealingKeys {
    ring: RwLock<Keyring>,
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
        look(&self.ring.read().expect("no holder panics"))
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
        // The change is told after the lock is gone.
        let changed = change(&mut self.ring.write().expect("no holder panics"));
        if changed {
            self.changes.send_modify(|changes| changes.version += 1);
        }
        changed
    }
}
