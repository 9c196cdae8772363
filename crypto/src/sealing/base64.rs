//! Base64 as Go's non-strict standard decoder reads it.
//!
//! Manifests in Git were written for that decoder: line breaks inside the text are skipped and
//! bits behind the last byte may be anything, but padding must be there and nothing else may.

use ::base64::Engine;
use ::base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use zeroize::Zeroizing;

/// The text is not base64; the offset counts bytes of the text as Go's decoder counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("illegal base64 data at input byte {offset}")]
pub struct Base64Error {
    /// Where the first impossible byte stands.
    pub offset: usize,
}

/// Encodes with the standard alphabet and padding.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes the standard alphabet with padding, skipping CR and LF and ignoring trailing bits.
///
/// What was decoded before an error is wiped.
///
/// # Errors
///
/// Returns the offset of the first byte that does not belong.
pub fn decode(text: &[u8]) -> Result<Vec<u8>, Base64Error> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len() / 4 * 3 + 3));
    let mut at = 0;
    loop {
        let mut quantum = [0u8; 4];
        let mut filled = 0;
        while filled < 4 {
            let Some(&byte) = text.get(at) else {
                return if filled == 0 {
                    Ok(std::mem::take(&mut *out))
                } else {
                    Err(Base64Error {
                        offset: at - filled,
                    })
                };
            };
            at += 1;
            match byte {
                b'\r' | b'\n' => {}
                b'=' => {
                    read_padding(text, at, filled)?;
                    push(&mut out, quantum, filled);
                    return Ok(std::mem::take(&mut *out));
                }
                _ => {
                    quantum[filled] = value(byte).ok_or(Base64Error { offset: at - 1 })?;
                    filled += 1;
                }
            }
        }
        push(&mut out, quantum, filled);
    }
}

/// Checks what stands behind the first `=`, which stands before `at`.
fn read_padding(text: &[u8], mut at: usize, filled: usize) -> Result<(), Base64Error> {
    let skip_breaks = |at: &mut usize| {
        while matches!(text.get(*at), Some(b'\r' | b'\n')) {
            *at += 1;
        }
    };
    if filled < 2 {
        return Err(Base64Error { offset: at - 1 });
    }
    if filled == 2 {
        skip_breaks(&mut at);
        match text.get(at) {
            Some(b'=') => at += 1,
            Some(_) => return Err(Base64Error { offset: at - 1 }),
            None => return Err(Base64Error { offset: text.len() }),
        }
    }
    skip_breaks(&mut at);
    if at < text.len() {
        return Err(Base64Error { offset: at });
    }
    Ok(())
}

/// Appends the bytes of a quantum of which `filled` sextets are known.
fn push(out: &mut Vec<u8>, quantum: [u8; 4], filled: usize) {
    let bits = quantum
        .iter()
        .fold(0u32, |bits, &sextet| bits << 6 | u32::from(sextet));
    let [_, a, b, c] = bits.to_be_bytes();
    out.extend_from_slice(&[a, b, c][..filled - 1]);
}

fn value(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t10_line_breaks_and_trailing_bits_are_fine() {
        assert_eq!(decode(b"").unwrap(), b"");
        assert_eq!(decode(b"Zm9v").unwrap(), b"foo");
        assert_eq!(decode(b"Zm\r\n9v\nYg=\n=\n").unwrap(), b"foob");
        assert_eq!(decode(b"Zm9vYh==").unwrap(), b"foob");
        assert_eq!(decode(b"Zm9vYmF=").unwrap(), b"fooba");
    }

    #[test]
    fn t10_missing_padding_url_alphabet_and_blanks_are_refused() {
        // Offsets as Go 1.26's encoding/base64 reports them for these inputs.
        for (text, offset) in [
            ("Zm9vYg", 4),
            ("Zm9vYg=", 7),
            ("Zg=x", 2),
            ("Z", 0),
            ("Zm9v Yg==", 4),
            ("-_-_", 0),
            ("Zm9vYg==x", 8),
            ("=", 0),
            ("Zm9vY===", 5),
        ] {
            assert_eq!(
                decode(text.as_bytes()).unwrap_err().offset,
                offset,
                "{text}"
            );
        }
    }

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        for end in 0..all.len() {
            assert_eq!(decode(encode(&all[..end]).as_bytes()).unwrap(), &all[..end]);
        }
    }
}
