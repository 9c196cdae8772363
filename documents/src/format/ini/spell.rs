//! Spells values, names and comments so that the reference's library reads what was meant.

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::data::Data;
use crate::flatten::write_scalar;
use crate::scalar::Scalar;
use crate::tree::{NodeId, Tree, Value};

use super::read::comment_text;
use super::scan::{Content, Entry, Kind, Name, scan_key, trim_end, trim_start};

/// Writes a scalar that is no comment, to be followed by `rest` of the text.
pub(super) fn value(
    scalar: Scalar<'_>,
    rest: &[u8],
    out: &mut SecretWriter,
) -> Result<(), &'static str> {
    match scalar {
        Scalar::Null => Err("INI has no null"),
        Scalar::Str(text) => {
            if is_simple(text) {
                out.push(text);
                return Ok(());
            }
            for [open, close] in quotes_for(text) {
                let mut candidate = SecretWriter::with_capacity(text.len() + 6);
                candidate.push(open);
                candidate.push(text);
                candidate.push(close);
                if read_value(candidate.expose(), rest).is_some_and(|read| read.expose() == text) {
                    out.push(candidate.expose());
                    return Ok(());
                }
            }
            Err("INI cannot hold this text")
        }
        other => {
            write_scalar(other, out);
            Ok(())
        }
    }
}

/// Whether a text needs no quotes, whatever follows.
fn is_simple(text: &[u8]) -> bool {
    let safe =
        |byte: &u8| byte.is_ascii_alphanumeric() || b" _-+./,:=[](){}<>@!$%^&*|~?".contains(byte);
    text.iter().all(safe) && !text.starts_with(b" ") && !text.ends_with(b" ")
}

/// The quotes to try: first those that the reference would choose.
fn quotes_for(text: &[u8]) -> Vec<[&'static [u8]; 2]> {
    let (plain, double, single, back, triple): ([&[u8]; 2], _, _, _, _) = (
        [b"", b""],
        [&b"\""[..], b"\""],
        [&b"'"[..], b"'"],
        [&b"`"[..], b"`"],
        [&b"\"\"\""[..], b"\"\"\""],
    );
    let has = |bytes: &[u8]| text.iter().any(|byte| bytes.contains(byte));
    let first = if has(b"\n`") {
        triple
    } else if has(b"#;") {
        back
    } else if trim_start(text) > 0 || trim_end(text) < text.len() {
        double
    } else {
        plain
    };
    vec![first, plain, double, back, triple, single]
}

/// What a spelling in front of `rest` is read as, if it is read entirely and `rest` as what it is.
pub(super) fn read_value(spelling: &[u8], rest: &[u8]) -> Option<SecretBytes> {
    let rest = &rest[..context(rest)];
    let line_end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    let comment = memchr::memchr2(b'#', b';', &rest[..line_end]);
    let mut text = SecretWriter::with_capacity(spelling.len() + rest.len() + 2);
    text.push(b"k=");
    text.push(spelling);
    text.push(rest);
    let text = text.finish();
    let text = text.expose();
    let Ok(Entry {
        inline,
        kind: Kind::Key { site, value, .. },
        ..
    }) = scan_key(text)
    else {
        return None;
    };
    let end = 2 + spelling.len();
    let is_entire = if spelling.is_empty() {
        site.is_empty()
    } else {
        site == (2..end)
    };
    if !is_entire || inline.map(|comment| comment.start) != comment.map(|at| end + at) {
        return None;
    }
    Some(match value {
        Content::File(range) => SecretBytes::copy_of(&text[range]),
        Content::Joined(text) => text,
    })
}

/// How much of what follows a value can matter to it: its own line, and the next for a joined value.
fn context(rest: &[u8]) -> usize {
    let mut breaks = memchr::memchr_iter(b'\n', rest);
    breaks.next();
    breaks.next().map_or(rest.len(), |at| at + 1)
}

/// Writes a name, if it can be written at all.
pub(super) fn name(name: &[u8], out: &mut SecretWriter) -> Result<(), &'static str> {
    let forms: [[&[u8]; 2]; 4] = [
        [b"", b""],
        [b"`", b"`"],
        [b"\"\"\"", b"\"\"\""],
        [b"\"", b"\""],
    ];
    for [open, close] in forms {
        let quoted = [open, name, close].concat();
        let starts_key = !matches!(quoted.first(), None | Some(b'#' | b';' | b'['));
        let line = [&quoted[..], b" = x"].concat();
        if !starts_key || quoted.contains(&b'\n') {
            continue;
        }
        if let Ok(Entry {
            kind:
                Kind::Key {
                    name: Name::Text(read),
                    delimiter,
                    ..
                },
            ..
        }) = scan_key(&line)
            && line[read] == *name
            && delimiter == quoted.len() + 1
        {
            out.push(&quoted);
            return Ok(());
        }
    }
    Err("INI cannot hold this key")
}

/// Writes the text of a comment behind the marks of its first line.
pub(super) fn comment(
    text: &[u8],
    inline: bool,
    out: &mut SecretWriter,
) -> Result<(), &'static str> {
    for (at, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if at > 0 {
            if inline {
                return Err("a comment beside a value has one line");
            }
            if !line.starts_with(b"#") && !line.starts_with(b";") {
                out.push(b"; ");
            }
        }
        out.push(line);
    }
    Ok(())
}

/// What a spelling of a comment is read as.
pub(super) fn read_comment(tree: &Tree, at: NodeId, spelling: &[u8]) -> Option<Data> {
    let node = &tree.nodes[at];
    let Value::Comment { inline, .. } = node.value else {
        return None;
    };
    let marks = &tree.text.expose()[node.place as usize..node.site.start as usize];
    let mut text = SecretWriter::with_capacity(marks.len() + spelling.len());
    text.push(marks);
    text.push(spelling);
    let text = text.finish();
    let mut lines = Vec::new();
    for line in text.expose().split_inclusive(|byte| *byte == b'\n') {
        let line = &line[trim_start(line)..];
        match line.first() {
            None => continue,
            Some(b'#' | b';') => lines.push(line),
            Some(_) => return None,
        }
    }
    if lines.is_empty() || inline && spelling.contains(&b'\n') {
        return None;
    }
    Some(Data::Comment {
        text: comment_text(lines.into_iter()),
        inline,
    })
}
