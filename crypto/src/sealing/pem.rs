//! PEM as Go writes it (64 columns, LF) and as forgiving as Go reads it.

use zeroize::Zeroizing;

use super::base64;

/// One block of a PEM text.
pub struct Block<'a> {
    /// The words behind `BEGIN`.
    pub label: &'a str,
    /// The header lines (`Proc-Type: …`) before the data.
    pub headers: Vec<&'a [u8]>,
    /// The decoded data, or nothing if it was not base64.
    pub content: Option<Zeroizing<Vec<u8>>>,
    /// Where the block ends in the text, its line break included.
    pub end: usize,
}

/// Reads all blocks; text between them is skipped.
#[must_use]
pub fn read(text: &[u8]) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut lines = Lines { text, at: 0 };
    while let Some(line) = lines.next() {
        let Some(label) = boundary(line, b"-----BEGIN ") else {
            continue;
        };
        let begin = lines.at;
        let mut last = begin;
        let is_end = |line: &[u8]| boundary(line, b"-----END ") == Some(label);
        let ended = loop {
            match lines.next() {
                Some(line) if is_end(line) => break true,
                Some(_) => last = lines.at,
                None => break false,
            }
        };
        if !ended {
            continue;
        }
        // The buffer never grows, as the content may be a key; and is no larger than its block, as there may be many.
        let mut body = Zeroizing::new(Vec::with_capacity(last - begin));
        let mut headers = Vec::new();
        let mut inside = Lines {
            text: &text[..last],
            at: begin,
        };
        while let Some(line) = inside.next() {
            if line.contains(&b':') {
                headers.push(line);
            } else {
                body.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()));
            }
        }
        blocks.push(Block {
            label,
            headers,
            content: base64::decode(&body).ok().map(Zeroizing::new),
            end: lines.at,
        });
    }
    blocks
}

/// Lines without their ends.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = &self.text[self.at..];
        if rest.is_empty() {
            return None;
        }
        let length = rest.iter().position(|&byte| byte == b'\n');
        self.at += length.map_or(rest.len(), |length| length + 1);
        Some(rest[..length.unwrap_or(rest.len())].trim_ascii_end())
    }
}

/// Writes one block, without ever growing the buffer: the content may be a key.
#[must_use]
pub fn write(label: &str, content: &[u8]) -> Zeroizing<Vec<u8>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_of_blocks_are_read_once() {
        let block = write("CERTIFICATE", &[7; 300]);
        let mut text = block.repeat(20_000);
        text.extend_from_slice(b"-----BEGIN OTHER-----\nno end\n");
        let blocks = read(&text);
        assert_eq!(blocks.len(), 20_000);
        assert!(
            blocks
                .iter()
                .all(|it| it.content.as_ref().is_some_and(|it| it[..] == [7; 300]))
        );
        assert_eq!(blocks[19_999].end, 20_000 * block.len());
    }

    #[test]
    fn an_empty_block_has_no_content() {
        let blocks = read(b"-----BEGIN X-----\n-----END X-----");
        assert_eq!(
            (blocks.len(), blocks[0].content.as_ref().map(|it| it.len())),
            (1, Some(0))
        );
    }
}
