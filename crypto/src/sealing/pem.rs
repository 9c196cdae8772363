//! PEM as Go writes it (64 columns, LF) and as forgiving as Go reads it.

use zeroize::Zeroizing;

use super::base64;

/// One block of a PEM text.
pub(super) struct Block<'a> {
    /// The words behind `BEGIN`.
    pub(super) label: &'a str,
    /// Whether header lines (`Proc-Type: …`) stood before the data.
    pub(super) has_headers: bool,
    /// The decoded data, or nothing if it was not base64.
    pub(super) content: Option<Zeroizing<Vec<u8>>>,
}

/// Reads all blocks; text between them is skipped.
pub(super) fn read(text: &[u8]) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut lines = text.split(|&byte| byte == b'\n').map(trim_end);
    while let Some(line) = lines.next() {
        let Some(label) = boundary(line, b"-----BEGIN ") else {
            continue;
        };
        let mut body = Zeroizing::new(Vec::with_capacity(text.len()));
        let mut has_headers = false;
        let mut ended = false;
        for line in lines.by_ref() {
            if boundary(line, b"-----END ") == Some(label) {
                ended = true;
                break;
            }
            if line.contains(&b':') {
                has_headers = true;
            } else {
                body.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()));
            }
        }
        if ended {
            blocks.push(Block {
                label,
                has_headers,
                content: base64::decode(&body).ok().map(Zeroizing::new),
            });
        }
    }
    blocks
}

/// Writes one block, without ever growing the buffer: the content may be a key.
pub(super) fn write(label: &str, content: &[u8]) -> Zeroizing<Vec<u8>> {
    const COLUMNS: usize = 64;
    let encoded = Zeroizing::new(base64::encode(content));
    let room = encoded.len() + encoded.len() / COLUMNS + 2 * label.len() + 64;
    let mut out = Zeroizing::new(Vec::with_capacity(room));
    out.extend_from_slice(b"-----BEGIN ");
    out.extend_from_slice(label.as_bytes());
    out.extend_from_slice(b"-----\n");
    for line in encoded.as_bytes().chunks(COLUMNS) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.extend_from_slice(b"-----END ");
    out.extend_from_slice(label.as_bytes());
    out.extend_from_slice(b"-----\n");
    out
}

fn boundary<'a>(line: &'a [u8], start: &[u8]) -> Option<&'a str> {
    let label = line.strip_prefix(start)?.strip_suffix(b"-----")?;
    std::str::from_utf8(label).ok()
}

fn trim_end(line: &[u8]) -> &[u8] {
    line.trim_ascii_end()
}
