//! Where text is written: a buffer that is wiped when it grows, and that stops at the end of the budget.

use sealwright_crypto::secret::SecretWriter;

use crate::budget::{Budget, Exceeded};
use crate::text::{TEXT_SIZE, Text};

/// Takes what fits. What does not fit is lost and makes [`finish`](Self::finish) fail, so that those who write need not
/// look; loops look at [`is_full`](Self::is_full) to end early.
pub(crate) struct Sink<'a> {
    budget: &'a Budget,
    writer: SecretWriter,
    most: usize,
    is_full: bool,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(budget: &'a Budget) -> Self {
        let most = budget.room().saturating_sub(TEXT_SIZE);
        Self {
            budget,
            writer: SecretWriter::with_most(most),
            most,
            is_full: false,
        }
    }

    pub(crate) fn push(&mut self, byte: u8) {
        self.extend_from_slice(&[byte]);
    }

    pub(crate) fn push_char(&mut self, rune: char) {
        self.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes());
    }

    pub(crate) fn extend_from_slice(&mut self, bytes: &[u8]) {
        if self.is_full || self.writer.len() + bytes.len() > self.most {
            self.is_full = true;
            return;
        }
        self.writer.push(bytes);
    }

    /// Writes the same byte again and again.
    pub(crate) fn fill(&mut self, byte: u8, count: usize) {
        if self.is_full || count > self.most - self.writer.len() {
            self.is_full = true;
            return;
        }
        self.writer.extend_zeroed(count).fill(byte);
    }

    /// Starts a text that will be written here later; it has the same room.
    pub(crate) fn beside(&self) -> Sink<'a> {
        let most = self.most - self.writer.len();
        Sink {
            budget: self.budget,
            writer: SecretWriter::with_most(most),
            most,
            is_full: self.is_full,
        }
    }

    /// Writes a text that was started with [`beside`](Self::beside), as `write` does it.
    pub(crate) fn absorb(&mut self, other: &Sink<'_>, write: impl FnOnce(&mut Self, &[u8])) {
        self.is_full |= other.is_full;
        write(self, other.writer.expose());
    }

    /// Refuses a text that would not fit, before it is made.
    pub(crate) fn overflow(&mut self) {
        self.is_full = true;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Hands the text out if all of it fitted.
    pub(crate) fn finish(self) -> Result<Text, Exceeded> {
        if self.is_full {
            return Err(self.budget.no_room());
        }
        self.budget.tick(self.writer.len())?;
        Ok(Text::from(self.writer.finish()))
    }
}
