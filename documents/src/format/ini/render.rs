//! Rewrites a whole INI file, laid out as upstream's library does it: equals signs in one column per section, a
//! blank line between sections.

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::data::Data;
use crate::error::EmitError;
use crate::scalar::Scalar;

use super::read::{BLOCK, DEFAULT};
use super::spell;

pub(super) fn document(sections: &[(SecretBytes, Data)]) -> Result<SecretBytes, EmitError> {
    let mut out = SecretWriter::default();
    for (at, (name, section)) in sections.iter().enumerate() {
        let name = name.expose();
        let wrong = |reason: &str| EmitError::new(String::from_utf8_lossy(name), reason);
        let entries = match section {
            // A comment between sections stands above the next one.
            Data::Comment { text, .. } => {
                write_comment(text.expose(), &mut out);
                continue;
            }
            Data::Map(entries) => entries,
            _ => return Err(wrong("a section of INI is a map")),
        };
        if name == BLOCK {
            return Err(wrong("the section is reserved for the sops block"));
        }
        if name.is_empty() || name.contains(&b'\n') {
            return Err(wrong("INI cannot hold a section of this name"));
        }
        let mut entries = &entries[..];
        if let [(_, Data::Comment { text, .. }), rest @ ..] = entries {
            write_comment(text.expose(), &mut out);
            entries = rest;
        }
        let is_default = at == 0 && name.eq_ignore_ascii_case(DEFAULT);
        if is_default && entries.is_empty() {
            continue;
        }
        if !is_default {
            out.push_byte(b'[');
            out.push(name);
            out.push_byte(b']');
            out.push_byte(b'\n');
        }
        let in_section = |error: EmitError| {
            EmitError::new(
                format!("{}.{}", String::from_utf8_lossy(name), error.path),
                error.reason,
            )
        };
        write_section(entries, &mut out).map_err(in_section)?;
        if at + 1 < sections.len() {
            out.push_byte(b'\n');
        }
    }
    Ok(out.finish())
}

fn write_section(entries: &[(SecretBytes, Data)], out: &mut SecretWriter) -> Result<(), EmitError> {
    let mut names = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let mut name = SecretWriter::default();
        if !matches!(value, Data::Comment { .. }) {
            spell::name(key.expose(), &mut name)
                .map_err(|reason| EmitError::new(String::from_utf8_lossy(key.expose()), reason))?;
        }
        names.push(name.finish());
    }
    let widest = names.iter().map(SecretBytes::len).max().unwrap_or(0);
    for ((key, value), name) in entries.iter().zip(&names) {
        let wrong = |reason: &str| EmitError::new(String::from_utf8_lossy(key.expose()), reason);
        let scalar = match value.as_scalar() {
            Some(Scalar::Comment(text)) => {
                write_comment(text, out);
                continue;
            }
            Some(scalar) => scalar,
            None => return Err(wrong("INI cannot hold lists, or maps in a section")),
        };
        out.push(name.expose());
        for _ in name.len()..widest {
            out.push_byte(b' ');
        }
        out.push(b" = ");
        spell::value(scalar, b"\n\n", out).map_err(wrong)?;
        out.push_byte(b'\n');
    }
    Ok(())
}

fn write_comment(text: &[u8], out: &mut SecretWriter) {
    for line in text.split(|byte| *byte == b'\n') {
        let line = &line[super::scan::trim_start(line)..];
        let line = &line[..super::scan::trim_end(line)];
        match line {
            [mark @ (b'#' | b';'), rest @ ..] => {
                out.push_byte(*mark);
                out.push_byte(b' ');
                out.push(&rest[super::scan::trim_start(rest)..]);
            }
            _ => {
                out.push(b"; ");
                out.push(line);
            }
        }
        out.push_byte(b'\n');
    }
}
