//! Base32 (RFC 4648).

use zeroize::Zeroizing;

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Encodes with padding.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for chunk in bytes.chunks(5) {
        let mut block = [0u8; 8];
        block[3..3 + chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(block);
        let digits = (chunk.len() * 8).div_ceil(5);
        for index in 0..8 {
            let digit = usize::try_from(bits >> (35 - 5 * index) & 31).expect("5 bits");
            out.push(match index < digits {
                true => char::from(ALPHABET[digit]),
                false => '=',
            });
        }
    }
    out
}

/// Decodes in either case, with or without padding and blanks, as seeds are shown to people.
pub(super) fn decode(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len() * 5 / 8 + 1));
    let (mut bits, mut count) = (0u32, 0u32);
    let text = text.trim_ascii();
    let end = text.iter().rposition(|&byte| byte != b'=')? + 1;
    for byte in &text[..end] {
        if *byte == b' ' {
            continue;
        }
        let upper = byte.to_ascii_uppercase();
        let digit = ALPHABET.iter().position(|&letter| letter == upper)?;
        bits = bits << 5 | u32::try_from(digit).ok()?;
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        for (text, encoded) in [
            ("f", "MY======"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI======"),
        ] {
            assert_eq!(encode(text.as_bytes()), encoded);
            assert_eq!(*decode(encoded.as_bytes()).unwrap(), text.as_bytes());
        }
        assert_eq!(*decode(b"mzxw 6ytb oi").unwrap(), b"foobar");
        assert!(decode(b"1").is_none());
    }
}
