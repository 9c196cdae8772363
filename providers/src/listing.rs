//! Bounds on listings: how many pages a server may answer with, and how many bytes of names and values a search may hold.
//!
//! A server decides how long its list is, and the author of a store decides which server that is. So a list that goes on
//! and on ends as an error before it has taken the memory of the program.

use crate::outcome::{StoreError, Trouble, shown};
use crate::store::{Content, Match};

/// How many bytes of names and values one search may hold: far more than the Secrets of a cluster can take.
pub(crate) const MOST_BYTES: usize = 32 << 20;
/// How many bytes a server may answer one search with, whatever of it is found.
const MOST_ANSWERED: usize = 128 << 20;
/// What an entry costs besides its texts.
const ENTRY: usize = 96;

/// What a search has taken so far.
#[derive(Debug)]
pub(crate) struct Listing {
    pages: usize,
    most_pages: usize,
    answered: usize,
    bytes: usize,
}

impl Listing {
    /// Begins a listing that may have so many pages.
    pub(crate) fn of_pages(most_pages: usize) -> Self {
        Self {
            pages: 0,
            most_pages,
            answered: 0,
            bytes: 0,
        }
    }

    /// Counts a page before it is asked for.
    ///
    /// # Errors
    ///
    /// When there were too many.
    pub(crate) fn page(&mut self) -> Result<(), StoreError> {
        if self.pages == self.most_pages {
            return Err(too_large("the list has no end".to_owned()));
        }
        self.pages += 1;
        Ok(())
    }

    /// Counts the bytes of a page that came: reading them takes time, also where nothing in them is kept.
    ///
    /// # Errors
    ///
    /// When all pages together are too large.
    pub(crate) fn answer(&mut self, bytes: usize) -> Result<(), StoreError> {
        self.answered = self.answered.saturating_add(bytes);
        match self.answered > MOST_ANSWERED {
            true => Err(too_large(format!(
                "the list has more than {} MiB",
                MOST_ANSWERED >> 20
            ))),
            false => Ok(()),
        }
    }

    /// Counts a name that is kept.
    ///
    /// # Errors
    ///
    /// When all that was kept is too much.
    pub(crate) fn name(&mut self, name: &str) -> Result<(), StoreError> {
        self.taken(name.len())
    }

    /// Counts what was found.
    ///
    /// # Errors
    ///
    /// When all that was found is too much.
    pub(crate) fn found(&mut self, one: &Match) -> Result<(), StoreError> {
        self.taken(one.name.len() + one.content.size())
    }

    /// Counts so many bytes of an entry that is kept.
    ///
    /// # Errors
    ///
    /// When all that was kept is too much.
    pub(crate) fn taken(&mut self, bytes: usize) -> Result<(), StoreError> {
        self.bytes = self.bytes.saturating_add(bytes).saturating_add(ENTRY);
        match self.bytes > MOST_BYTES {
            true => Err(too_large(format!(
                "what the search finds has more than {} MiB",
                MOST_BYTES >> 20
            ))),
            false => Ok(()),
        }
    }
}

impl Content {
    /// How many bytes it holds.
    fn size(&self) -> usize {
        match self {
            Self::Here(value) => value.len(),
            Self::At(key) => key.key.len() + key.version.as_ref().map_or(0, String::len),
        }
    }
}

fn too_large(reason: String) -> StoreError {
    StoreError::new(Trouble::TooLarge, shown(&reason))
        .public()
        .with_hint("narrow the search with `path`, `name` or `tags`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_bytes_are_bounded() {
        let mut listing = Listing::of_pages(2);
        assert!(listing.page().is_ok() && listing.page().is_ok());
        let error = listing.page().unwrap_err();
        assert_eq!(error.trouble(), Trouble::TooLarge);
        let name = "x".repeat(1 << 20);
        let fits = (0..).take_while(|_| listing.name(&name).is_ok()).count();
        assert_eq!(fits, 31);
        // Many short names cost more than their letters.
        let mut listing = Listing::of_pages(1);
        let names = (0..1_000_000).take_while(|_| listing.name("").is_ok());
        assert!(names.count() < 400_000);
    }
}
