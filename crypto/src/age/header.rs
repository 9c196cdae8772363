//! Hands an age file to the age crate with its header in one piece.
//!
//! The crate parses the header from its start again after every line that it reads: 2,000 stanzas take it half a minute.
//! When the whole header comes as one line, it parses the header once.

use std::io::{self, BufRead, Read};

use ::age::{DecryptError, Decryptor};

/// Reads the header of an age file, in time that grows with its length and no faster.
pub(super) fn decryptor(file: &[u8]) -> Result<Decryptor<impl Read + '_>, DecryptError> {
    Decryptor::new_buffered(Pieces {
        header: header_len(file),
        rest: file,
    })
}

/// The length of a header: up to the end of the line that begins with three dashes. All of the file when there is none.
fn header_len(file: &[u8]) -> usize {
    let Some(mac) = memchr::memmem::find(file, b"\n---") else {
        return file.len();
    };
    let line = &file[mac + 1..];
    memchr::memchr(b'\n', line).map_or(file.len(), |end| mac + 1 + end + 1)
}

struct Pieces<'a> {
    /// How much of `rest` is the header.
    header: usize,
    rest: &'a [u8],
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.rest.read(buffer)?;
        self.header = self.header.saturating_sub(count);
        Ok(count)
    }
}

impl BufRead for Pieces<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.rest)
    }

    fn consume(&mut self, count: usize) {
        self.rest = &self.rest[count..];
        self.header = self.header.saturating_sub(count);
    }

    /// The whole header counts as one line.
    fn read_until(&mut self, delimiter: u8, out: &mut Vec<u8>) -> io::Result<usize> {
        let header = std::mem::take(&mut self.header);
        if header == 0 {
            return self.rest.read_until(delimiter, out);
        }
        let (piece, rest) = self.rest.split_at(header);
        out.extend_from_slice(piece);
        self.rest = rest;
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_ends_with_its_mac() {
        assert_eq!(
            header_len(b"v1\n-> X25519 a\nb\n--- mac\nbody\n--- x\n"),
            25
        );
        assert_eq!(header_len(b"v1\n-> X25519 a\nb\n--- mac"), 24);
        assert_eq!(header_len(b"v1\n"), 3);
        assert_eq!(header_len(b""), 0);
    }

    #[test]
    fn a_header_of_many_stanzas_is_parsed_once() {
        // The age crate would parse 2,000 stanzas 4,000 times, which takes half a minute and more.
        let mut file = b"age-encryption.org/v1\n".to_vec();
        for _ in 0..2_000 {
            file.extend_from_slice(b"-> X25519 CEQXBGmRYHIMcCvyjxOsbMyPBi2kmW+wWh4rNpY3nDM\n");
            file.extend_from_slice(b"Xqj+Y3UBkOYJtHvDEJmVFQZbCaJFEVHC5WxlhZ+xZBs\n");
        }
        file.extend_from_slice(
            b"--- gxhoSa5BciRDt8lOpYNcx4EYtKpS0CJ06F3ZwN82VaM\n0123456789abcdef",
        );
        let identity = ::age::x25519::Identity::generate();
        let file_key = decryptor(&file).and_then(|it| {
            let identity = std::iter::once(&identity as &dyn ::age::Identity);
            it.decrypt(identity).map(drop)
        });
        assert!(matches!(file_key, Err(DecryptError::NoMatchingKeys)));
        let mut pieces = Pieces {
            header: header_len(&file),
            rest: &file,
        };
        let mut first = Vec::new();
        pieces.read_until(b'\n', &mut first).unwrap();
        assert_eq!(first.len(), file.len() - 16);
    }
}
