//! Rewrites what cannot be encrypted where it stands, so that every reader sees the same data in plain lines: comments in
//! two places that are read as one, comments beside a section name, keys that are there twice, text that readers ignore.

use std::collections::HashMap;
use std::ops::Range;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::scalar::Scalar;

use super::read::LONE_QUOTES;
use super::scan::{Content, Entry, Kind, Name, Wrong, scan, trim_end};
use super::spell;

/// The regular form of a text.
pub(super) fn regular(text: &[u8]) -> Result<SecretBytes, Wrong> {
    let scan = scan(text)?;
    let repeats = repeats(text, &scan.entries);
    let newline = newline_of(text);
    let mut out = SecretWriter::with_capacity(text.len());
    let mut copied = 0;
    for (at, entry) in scan.entries.iter().enumerate() {
        let region = entry.comments.first().map_or(entry.start, |line| {
            memchr::memrchr(b'\n', &text[..line.start]).map_or(copied, |end| end + 1)
        });
        let last = repeats.get(&at).copied();
        if last == Some(None) {
            // An earlier entry has this key, and says what the last one says.
            out.push(&text[copied..region]);
            copied = entry.end;
            continue;
        }
        let speaker = last.flatten().map_or(entry, |last| &scan.entries[last]);
        let is_repeated = last.is_some();
        let has_tail = match &entry.kind {
            Kind::Section { tail, .. } => !tail.is_empty(),
            Kind::Key {
                name_end,
                delimiter,
                ..
            } => trim_end(&text[*name_end..*delimiter]) > 0,
        };
        let is_lone = match &entry.kind {
            Kind::Section { .. } => false,
            Kind::Key { site, .. } => text[site.clone()] == *LONE_QUOTES,
        };
        let is_split = !entry.comments.is_empty() && entry.inline.is_some();
        if !is_repeated && !has_tail && !is_lone && !is_split {
            continue;
        }
        out.push(&text[copied..region]);
        for line in &speaker.comments {
            out.push(&text[line.clone()]);
        }
        if let Some(comment) = &speaker.inline {
            out.push(&text[comment.clone()]);
            out.push(newline);
        }
        match (&entry.kind, &speaker.kind) {
            (Kind::Section { name, .. }, _) => out.push(&text[entry.start..name.end + 1]),
            (
                Kind::Key {
                    name_end,
                    delimiter,
                    ..
                },
                Kind::Key {
                    site,
                    value,
                    delimiter: other,
                    ..
                },
            ) => {
                out.push(&text[entry.start..*name_end]);
                if !has_tail {
                    out.push(&text[*name_end..*delimiter]);
                }
                out.push(&text[*delimiter..*delimiter + 1]);
                out.push(&text[*other + 1..site.start]);
                self_contained(text, site.clone(), value, &mut out)?;
            }
            (Kind::Key { .. }, Kind::Section { .. }) => unreachable!("keys repeat keys"),
        }
        if text[..entry.end].ends_with(b"\n") {
            out.push(newline);
        }
        copied = entry.end;
    }
    out.push(&text[copied..]);
    Ok(out.finish())
}

/// Writes a value so that it says the same in front of any other line and without a comment beside it.
fn self_contained(
    text: &[u8],
    site: Range<usize>,
    value: &Content,
    out: &mut SecretWriter,
) -> Result<(), Wrong> {
    const NEXT: &[u8] = b"\nk = v\n";
    let at = site.start;
    let spelling = &text[site];
    let content = match value {
        Content::File(range) => &text[range.clone()],
        Content::Joined(content) => content.expose(),
    };
    if spell::read_value(spelling, NEXT).is_some_and(|read| read.expose() == content) {
        out.push(spelling);
        return Ok(());
    }
    spell::value(Scalar::Str(content), NEXT, out).map_err(|reason| (at, reason))
}

/// For keys that are there several times in one section: the first has the index of the last, all others none.
fn repeats(text: &[u8], entries: &[Entry]) -> HashMap<usize, Option<usize>> {
    let mut found: HashMap<usize, Option<usize>> = HashMap::new();
    let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
    for (at, entry) in entries.iter().enumerate() {
        let name = match &entry.kind {
            Kind::Section { .. } => {
                seen.clear();
                continue;
            }
            Kind::Key { name, .. } => match name {
                Name::Text(range) => text[range.clone()].to_vec(),
                Name::Counted(number) => format!("#{number}").into_bytes(),
            },
        };
        match seen.get(&name) {
            None => {
                seen.insert(name, at);
            }
            Some(first) => {
                found.insert(*first, Some(at));
                found.insert(at, None);
            }
        }
    }
    found
}

/// The line break of a file: that of its first line.
pub(super) fn newline_of(text: &[u8]) -> &'static [u8] {
    match memchr::memchr(b'\n', text) {
        Some(at) if text[..at].ends_with(b"\r") => b"\r\n",
        None if text.ends_with(b"\r") => b"\r\n",
        _ => b"\n",
    }
}
