//! Bytes that may be held at the same time.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// Room for so many bytes, which those who hold them share.
pub(crate) struct Room {
    taken: AtomicUsize,
    most: usize,
}

impl Room {
    /// Room for `most` bytes.
    pub(crate) const fn new(most: usize) -> Self {
        Self {
            taken: AtomicUsize::new(0),
            most,
        }
    }

    /// Counts so many more bytes, if there is room for them.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let grown = |taken: usize| taken.checked_add(bytes).filter(|taken| *taken <= self.most);
        self.taken.fetch_update(Relaxed, Relaxed, grown).is_ok()
    }

    /// Counts bytes no more that were taken.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Relaxed);
    }
}
