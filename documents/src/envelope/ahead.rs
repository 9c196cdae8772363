//! Work on values that runs ahead on a thread of its own: the ciphers on that one, hashing and spelling on this.
//!
//! Both threads walk the same tree by the same rule, so what comes out on one side in order is asked for on the other
//! side in order; each result says of which node it is, and one of another node would not be taken. A tree too small to
//! be worth a thread, or a machine without a second processor, has none.

use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope};

use sealwright_crypto::secret::SecretWriter;

use crate::tree::{NodeId, Tree};

/// From so many nodes on a thread is worth its start.
const WORTH_IT: usize = 2000;
/// Results of about so many bytes travel together.
const BATCH: usize = 32 << 10;
/// How many batches may wait; with them the memory is limited, too.
const WAITING: usize = 4;

/// Results in order.
pub(super) struct Ahead<T> {
    batches: Receiver<Batch<T>>,
    current: Batch<T>,
    next: usize,
    from: usize,
}

/// Some results and the bytes that they are about, one after the other.
struct Batch<T> {
    bytes: SecretWriter,
    /// What came out for which node, and where its bytes end.
    results: Vec<(NodeId, T, usize)>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self {
            bytes: SecretWriter::default(),
            results: Vec::new(),
        }
    }
}

/// Takes the results on the other side.
pub(super) struct Results<T> {
    batches: SyncSender<Batch<T>>,
    current: Batch<T>,
}

/// The caller is gone.
pub(super) struct Unwanted;

impl<T: Copy + Send> Ahead<T> {
    /// Lets `work` run ahead, if that is of use and possible.
    pub(super) fn start<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        tree: &Tree,
        work: impl FnOnce(&mut Results<T>) -> Result<(), Unwanted> + Send + 'scope,
    ) -> Option<Self>
    where
        T: 'scope,
    {
        let processors = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        if tree.nodes.len() < WORTH_IT || processors() < 2 {
            return None;
        }
        let (sender, batches) = sync_channel(WAITING);
        let mut results = Results {
            batches: sender,
            current: Batch::default(),
        };
        let run = move || {
            if work(&mut results).is_ok() {
                // The rest may not be wanted.
                let _ = results.send();
            }
        };
        thread::Builder::new().spawn_scoped(scope, run).ok()?;
        Some(Self {
            batches,
            current: Batch::default(),
            next: 0,
            from: 0,
        })
    }

    /// The result for a node with its bytes; `None` when the other side stopped.
    pub(super) fn take(&mut self, node: NodeId) -> Option<(T, &[u8])> {
        while self.next == self.current.results.len() {
            self.current = self.batches.recv().ok()?;
            (self.next, self.from) = (0, 0);
        }
        let (of, result, end) = self.current.results[self.next];
        if of != node {
            return None;
        }
        let bytes = &self.current.bytes.expose()[self.from..end];
        self.next += 1;
        self.from = end;
        Some((result, bytes))
    }
}

impl<T> Results<T> {
    /// Adds the result for a node; `write` appends its bytes.
    pub(super) fn add(
        &mut self,
        node: NodeId,
        write: impl FnOnce(&mut SecretWriter) -> T,
    ) -> Result<(), Unwanted> {
        if self.current.results.is_empty() {
            self.current.bytes = SecretWriter::with_capacity(BATCH + BATCH / 4);
        }
        let result = write(&mut self.current.bytes);
        let end = self.current.bytes.len();
        self.current.results.push((node, result, end));
        if end >= BATCH {
            return self.send();
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), Unwanted> {
        let batch = std::mem::take(&mut self.current);
        self.batches.send(batch).map_err(|_| Unwanted)
    }
}
