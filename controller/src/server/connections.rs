//! The open connections of a server, and which of them has to go when there are too many.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::admission::Slot;

const UNPOISONED: &str = "no holder panics";

/// The open connections of one server.
pub(super) struct Connections {
    most: usize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    next: u64,
    open: BTreeMap<u64, Entry>,
}

struct Entry {
    peer: IpAddr,
    stage: Stage,
    since: Instant,
    evict: Arc<Notify>,
}

/// What a connection is at, the first to be closed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// There is no request, or one whose head has not arrived.
    Waiting,
    /// A request waits for a slot or for its body.
    Reading,
    /// A request is answered at once, or its answer is being taken.
    Answering,
    /// A request has been paid for by a slot: it is never closed for others.
    Admitted,
}

impl Connections {
    /// Keeps `most` connections open.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            table: Mutex::default(),
        }
    }

    /// Registers a connection from `peer`, and closes another one if that makes one too many.
    pub(super) fn open(self: &Arc<Self>, peer: IpAddr) -> Arc<Connection> {
        let evict = Arc::new(Notify::new());
        let mut table = self.table.lock().expect(UNPOISONED);
        if table.open.len() >= self.most {
            table.evict();
        }
        let id = table.next;
        table.next += 1;
        table.open.insert(
            id,
            Entry {
                peer,
                stage: Stage::Waiting,
                since: Instant::now(),
                evict: Arc::clone(&evict),
            },
        );
        Arc::new(Connection {
            id,
            connections: Arc::clone(self),
            evict,
            writing: Mutex::default(),
        })
    }
}

impl Table {
    /// Closes the connection that has been longest at the least advanced stage, of the peer that has most of them.
    fn evict(&mut self) {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for entry in self.open.values() {
            *counts.entry(entry.peer).or_default() += 1;
        }
        let victim = self
            .open
            .iter()
            .filter(|(_, entry)| entry.stage != Stage::Admitted)
            .min_by_key(|(id, entry)| {
                let others = usize::MAX - counts[&entry.peer];
                (others, entry.stage, entry.since, **id)
            })
            .map(|(id, _)| *id);
        // There are fewer slots than connections, so there is one.
        if let Some(entry) = victim.and_then(|id| self.open.remove(&id)) {
            entry.evict.notify_one();
        }
    }
}

/// One open connection, shared by its stream and its requests.
pub(super) struct Connection {
    id: u64,
    connections: Arc<Connections>,
    evict: Arc<Notify>,
    writing: Mutex<Writing>,
}

/// The answer that is under way.
#[derive(Default)]
struct Writing {
    deadline: Option<Instant>,
    /// All of the answer is in the buffer.
    buffered: bool,
    slot: Option<Slot>,
}

impl Connection {
    /// A request has arrived; its answer has to be written within `patience`.
    pub(super) fn begin(&self, patience: Duration) {
        let mut writing = self.writing.lock().expect(UNPOISONED);
        *writing = Writing {
            deadline: Instant::now().checked_add(patience),
            ..Writing::default()
        };
        drop(writing);
        self.enter(Stage::Answering);
    }

    /// Notes what the connection is at.
    pub(super) fn enter(&self, stage: Stage) {
        let mut table = self.connections.table.lock().expect(UNPOISONED);
        if let Some(entry) = table.open.get_mut(&self.id) {
            entry.stage = stage;
            entry.since = Instant::now();
        }
    }

    /// The whole answer is in the connection's buffer; `slot` is given back when that has been written.
    pub(super) fn buffered(&self, slot: Option<Slot>) {
        let mut writing = self.writing.lock().expect(UNPOISONED);
        writing.buffered = true;
        writing.slot = slot;
    }

    /// All that was in the buffer has been written.
    pub(super) fn flushed(&self) {
        let mut writing = self.writing.lock().expect(UNPOISONED);
        if std::mem::take(&mut writing.buffered) {
            let slot = writing.slot.take();
            drop(writing);
            drop(slot);
            self.enter(Stage::Waiting);
        }
    }

    /// When the answer that is under way has to be written.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.writing.lock().expect(UNPOISONED).deadline
    }

    /// Waits until the connection has to make room for another one.
    pub(super) async fn evicted(&self) {
        self.evict.notified().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut table = self.connections.table.lock().expect(UNPOISONED);
        table.open.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn peer(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    fn is_open(connection: &Connection) -> bool {
        let table = connection.connections.table.lock().unwrap();
        table.open.contains_key(&connection.id)
    }

    #[test]
    fn the_connection_that_waits_longest_makes_room() {
        let connections = Arc::new(Connections::new(3));
        let open: Vec<_> = (0..3).map(|_| connections.open(peer(1))).collect();
        // The first has had a request since the second came.
        open[0].begin(Duration::MAX);
        open[0].buffered(None);
        open[0].flushed();
        open[2].enter(Stage::Reading);
        let fourth = connections.open(peer(1));
        assert_eq!(
            open.iter().map(|one| is_open(one)).collect::<Vec<_>>(),
            [true, false, true]
        );
        assert!(is_open(&fourth));
    }

    #[test]
    fn a_peer_with_many_connections_pays_for_them() {
        let connections = Arc::new(Connections::new(4));
        let probe = connections.open(peer(9));
        let many: Vec<_> = (0..10).map(|_| connections.open(peer(1))).collect();
        assert!(is_open(&probe), "it is older than all of them");
        assert_eq!(many.iter().filter(|one| is_open(one)).count(), 3);
    }

    #[tokio::test]
    async fn what_has_a_slot_is_never_closed_and_the_closed_one_hears_of_it() {
        let connections = Arc::new(Connections::new(2));
        let admitted = connections.open(peer(1));
        admitted.enter(Stage::Admitted);
        let waiting = connections.open(peer(1));
        let _third = connections.open(peer(1));
        assert!(is_open(&admitted) && !is_open(&waiting));
        waiting.evicted().await;
    }

    #[test]
    fn a_slot_is_given_back_when_the_answer_is_written_and_not_before() {
        let connections = Arc::new(Connections::new(2));
        let connection = connections.open(peer(1));
        connection.begin(Duration::from_secs(60));
        connection.enter(Stage::Admitted);
        connection.flushed();
        let stage = || {
            let table = connections.table.lock().unwrap();
            table.open[&connection.id].stage
        };
        assert_eq!(stage(), Stage::Admitted);
        connection.buffered(None);
        connection.flushed();
        assert_eq!(stage(), Stage::Waiting);
    }
}
