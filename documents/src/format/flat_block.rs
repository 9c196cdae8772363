//! Rewrites the lines of a flattened `sops` block, and only those that change.

use std::collections::HashMap;
use std::ops::Range;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::flatten::{Flat, canonical};
use crate::splice::Edit;
use crate::tree::Span;

/// A line of the block as it is in the file.
pub(super) struct OldLine {
    /// What it says.
    pub(super) flat: Flat,
    /// The line with its end.
    pub(super) whole: Range<usize>,
    /// The bytes that a new value replaces.
    pub(super) value: Range<usize>,
}

/// The edits that turn the old lines, of which there is at least one, into the new ones.
pub(super) fn rewrite(
    text: &[u8],
    old: &[OldLine],
    new: &[Flat],
    newline: &[u8],
    spell_line: &dyn Fn(&Flat, &mut SecretWriter),
    spell_value: &dyn Fn(&Flat, &mut SecretWriter),
) -> Vec<Edit> {
    let by_key: HashMap<Vec<u8>, usize> = (0..)
        .zip(old)
        .map(|(at, line)| (canonical(&line.flat.key), at))
        .collect();
    let mut stays = vec![false; old.len()];
    let mut edits = Vec::new();
    let mut added: Vec<(usize, SecretWriter)> = Vec::new();
    let mut anchor = old[0].whole.start;
    for line in new {
        let Some(at) = by_key.get(&line.key[..]).copied() else {
            let mut out = SecretWriter::default();
            spell_line(line, &mut out);
            added.push((anchor, out));
            continue;
        };
        stays[at] = true;
        anchor = old[at].whole.end;
        if old[at].flat.value != line.value {
            let mut out = SecretWriter::default();
            spell_value(line, &mut out);
            edits.push(edit(old[at].value.clone(), out));
        }
    }
    for (line, stays) in old.iter().zip(stays) {
        // An empty value says nothing; it goes or stays with the program that wrote it.
        if !stays && !line.flat.value.is_empty() {
            edits.push(edit(line.whole.clone(), SecretWriter::default()));
        }
    }
    for (at, line) in added {
        let mut out = SecretWriter::default();
        // The last line of a file may have no end, and then keeps none.
        let starts_line = at == 0 || text[at - 1] == b'\n';
        if !starts_line {
            out.push(newline);
        }
        out.push(line.expose());
        if starts_line {
            out.push(newline);
        }
        edits.push(edit(at..at, out));
    }
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    keep_open_end(text, edits)
}

/// When the last line of a file without a final line break goes, the break before it goes instead of none.
fn keep_open_end(text: &[u8], mut edits: Vec<Edit>) -> Vec<Edit> {
    let ends_open = !text.ends_with(b"\n");
    let Some(last) = edits.last() else {
        return edits;
    };
    let cuts_end =
        last.text.is_empty() && !last.span.is_empty() && last.span.end as usize == text.len();
    if !ends_open || !cuts_end {
        return edits;
    }
    // Join the cuts that reach the end, so that they can start one byte earlier together.
    let mut start = text.len();
    while let Some(edit) = edits.last()
        && edit.text.is_empty()
        && edit.span.end as usize == start
    {
        start = edit.span.start as usize;
        edits.pop();
    }
    let mut inserted = SecretBytes::default();
    if let Some(edit) = edits.last()
        && edit.span.is_empty()
        && edit.span.start as usize == start
    {
        // Lines put in place of the cut ones: they lose the break at their end.
        let text = edit.text.expose();
        inserted = SecretBytes::copy_of(&text[..text.len() - break_at_end(text)]);
        edits.pop();
    } else {
        start -= break_at_end(&text[..start]);
    }
    edits.push(Edit {
        span: Span::new(start..text.len()),
        text: inserted,
    });
    edits
}

/// How long the line break at the end of a text is.
pub(super) fn break_at_end(text: &[u8]) -> usize {
    match text {
        [.., b'\r', b'\n'] => 2,
        [.., b'\n'] => 1,
        _ => 0,
    }
}

fn edit(range: Range<usize>, text: SecretWriter) -> Edit {
    Edit {
        span: Span::new(range),
        text: text.finish(),
    }
}
