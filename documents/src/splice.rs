//! Copies a text while replacing, inserting and cutting bytes of it, in ascending order.

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::tree::Span;

/// One change of a text.
#[derive(Debug)]
pub struct Edit {
    /// The bytes to replace; empty to insert.
    pub span: Span,
    /// What stands there afterwards; empty to cut.
    pub text: SecretBytes,
}

/// Builds the new text from the old one.
pub struct Splicer<'a> {
    from: &'a [u8],
    copied: usize,
    out: SecretWriter,
}

impl<'a> Splicer<'a> {
    /// Starts with a guess of the size of the result.
    pub fn new(from: &'a [u8], capacity: usize) -> Self {
        Self {
            from,
            copied: 0,
            out: SecretWriter::with_capacity(capacity),
        }
    }

    /// Copies up to `span`, skips it, and hands out the end of the result for the replacement.
    ///
    /// # Panics
    /// When spans do not ascend: sites of a tree do.
    pub fn replace(&mut self, span: Span) -> &mut SecretWriter {
        let span = span.range();
        assert!(
            self.copied <= span.start && span.end <= self.from.len(),
            "edits ascend"
        );
        self.out.push(&self.from[self.copied..span.start]);
        self.copied = span.end;
        &mut self.out
    }

    /// How many bytes the result has so far, counted up to `offset` of the old text, which lies past all edits made.
    pub fn position_of(&self, offset: u32) -> usize {
        self.out.len() + (offset as usize - self.copied)
    }

    /// Up to where the old text was dealt with.
    pub fn copied(&self) -> u32 {
        u32::try_from(self.copied).expect("formats refuse files of 4 GiB and more")
    }

    /// Copies the rest.
    pub fn finish(mut self) -> SecretBytes {
        self.out.push(&self.from[self.copied..]);
        self.out.finish()
    }
}

/// Applies ascending edits to a text.
pub fn apply(text: &[u8], edits: &[Edit]) -> SecretBytes {
    let added: usize = edits.iter().map(|edit| edit.text.len()).sum();
    let mut splicer = Splicer::new(text, text.len() + added);
    for edit in edits {
        splicer.replace(edit.span).push(edit.text.expose());
    }
    splicer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_inserts_and_cuts() {
        let edit = |range, text: &str| Edit {
            span: Span::new(range),
            text: SecretBytes::copy_of(text.as_bytes()),
        };
        let edits = [edit(0..1, "A"), edit(2..2, "+"), edit(3..5, "")];
        assert_eq!(apply(b"abcdef", &edits).expose(), b"Ab+cf");
    }
}
