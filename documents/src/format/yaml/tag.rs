//! Tags and the `%TAG` directives that shorten them.

/// What a tag asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// No tag, or `!`, which yaml.v3 takes for none.
    None,
    Str,
    Bool,
    Int,
    Float,
    Null,
    Timestamp,
    Binary,
    /// `!!merge`.
    Merge,
    /// Any other; the value stays text.
    Other,
}

/// The `%TAG` directives of a document: handle and prefix.
#[derive(Debug, Default)]
pub(super) struct Directives(Vec<(Vec<u8>, Vec<u8>)>);

const STANDARD: &[u8] = b"tag:yaml.org,2002:";

impl Directives {
    /// Forgets those of the document before.
    pub(super) fn reset(&mut self) {
        self.0.clear();
    }

    /// Adds one from `handle prefix`; says no when there is one for the handle already.
    pub(super) fn add(&mut self, text: &[u8]) -> bool {
        let split = text.iter().position(|byte| matches!(byte, b' ' | b'\t'));
        let (handle, prefix) = text.split_at(split.unwrap_or(text.len()));
        if self.0.iter().any(|(known, _)| known == handle) {
            return false;
        }
        self.0
            .push((handle.to_vec(), unescape(prefix.trim_ascii_start())));
        true
    }

    /// What a tag as it is written asks for; `None` when its handle is unknown.
    pub(super) fn resolve(&self, spelling: &[u8]) -> Option<Tag> {
        if let Some(verbatim) = spelling.strip_prefix(b"!<") {
            let verbatim = unescape(verbatim.strip_suffix(b">").unwrap_or(verbatim));
            return Some(Tag::of(&verbatim));
        }
        if spelling == b"!" {
            return Some(Tag::None);
        }
        let handle_end = spelling[1..]
            .iter()
            .position(|byte| !super::characters::is_word(*byte))
            .filter(|at| spelling[at + 1] == b'!')
            .map_or(1, |at| at + 2);
        let (handle, suffix) = spelling.split_at(handle_end);
        let declared = self.0.iter().find(|(known, _)| known == handle);
        let prefix = match (declared, handle) {
            (Some((_, prefix)), _) => prefix.as_slice(),
            (None, b"!") => b"!",
            (None, b"!!") => STANDARD,
            _ => return None,
        };
        let mut tag = prefix.to_vec();
        tag.extend(unescape(suffix));
        Some(Tag::of(&tag))
    }
}

impl Tag {
    fn of(tag: &[u8]) -> Self {
        let short = tag
            .strip_prefix(STANDARD)
            .or_else(|| tag.strip_prefix(b"!!"));
        match short {
            Some(b"str") => Tag::Str,
            Some(b"bool") => Tag::Bool,
            Some(b"int") => Tag::Int,
            Some(b"float") => Tag::Float,
            Some(b"null") => Tag::Null,
            Some(b"timestamp") => Tag::Timestamp,
            Some(b"binary") => Tag::Binary,
            Some(b"merge") => Tag::Merge,
            _ if tag == b"!" || tag.is_empty() => Tag::None,
            _ => Tag::Other,
        }
    }
}

/// Undoes `%xx`; the scanner has checked the escapes.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let digits = (text[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten();
        let code = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    out
}
