//! How much of a listing is in memory at a time: how many objects a page has, and how many pages there are beside it.
//!
//! Most objects have a few thousand bytes and may come by hundreds; one may have 1.5 MiB, and one author may have many of those. So
//! pages grow while the objects are small, and one whose text is larger than [`MOST_BYTES`] is not read to its end but asked for
//! again with fewer objects: what came before says nothing about what an author has put behind it.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many times larger a page may be than the one before.
const GROWTH: usize = 3;
/// How many times smaller the page is that is asked for instead of one that is too long.
const SHRINKING: usize = 8;
/// The text of a page of several objects.
pub(crate) const MOST_BYTES: usize = 3 << 20;
/// The text that the next page should have.
const GOOD_BYTES: usize = 2 << 20;

/// Places in memory for answers that are not small, of all listings together: there may be as many listings as kinds times
/// namespaces, and tenants decide how large the objects are.
#[derive(Clone)]
pub(crate) struct Places(Arc<Semaphore>);

impl Places {
    /// An answer of this size needs no place.
    pub(crate) const SMALL: usize = 16 << 10;
    /// So many others are in memory at a time.
    const COUNT: usize = 4;

    /// Takes a place for an answer. Only one that is known not to be small waits for it.
    pub(crate) async fn take(&self, is_small: bool) -> Option<OwnedSemaphorePermit> {
        match Arc::clone(&self.0).try_acquire_owned() {
            Ok(place) => Some(place),
            Err(_) if is_small => None,
            Err(_) => Arc::clone(&self.0).acquire_owned().await.ok(),
        }
    }
}

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(Self::COUNT)))
    }
}

/// A place for an answer; none for one that has to be small.
pub(crate) type Place = Option<OwnedSemaphorePermit>;

/// How large the next page of a listing is.
pub(crate) struct PageSize {
    /// How many objects are asked for, and at most.
    objects: usize,
    most: usize,
    /// As far as is known.
    is_small: bool,
}

impl PageSize {
    /// Begins with so many objects, and asks for no more than `most` at once.
    pub(crate) fn new(first: usize, most: usize) -> Self {
        Self {
            objects: first.min(most),
            most,
            is_small: true,
        }
    }

    /// How many objects are asked for next.
    pub(crate) fn objects(&self) -> usize {
        self.objects
    }

    /// Takes a place for the next page. Returns it with how many bytes the text of that page may have.
    pub(crate) async fn place(&self, places: &Places) -> (Place, usize) {
        let place = places.take(self.is_small).await;
        let most = match (&place, self.objects) {
            (None, _) => Places::SMALL,
            // One object alone is read however large it is.
            (Some(_), 1) => usize::MAX,
            (Some(_), _) => MOST_BYTES,
        };
        (place, most)
    }

    /// Takes note that the page has more bytes than it may have. What had no place needs one; what had one is too long.
    pub(crate) fn exceeded(&mut self, place: &Place) {
        match place {
            None => self.is_small = false,
            Some(_) => self.objects = (self.objects / SHRINKING).max(1),
        }
    }

    /// Takes note of how many objects a page had, and how many bytes. Returns its place if it needs one.
    pub(crate) fn read(&mut self, objects: usize, bytes: usize, place: Place) -> Place {
        self.is_small = bytes <= Places::SMALL;
        let fitting = GOOD_BYTES * objects / bytes.max(1);
        let largest = self.objects.saturating_mul(GROWTH).min(self.most);
        self.objects = fitting.clamp(1, largest.max(1));
        place.filter(|_| !self.is_small)
    }
}
