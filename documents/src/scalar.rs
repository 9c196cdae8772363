//! One value: its types, and the wire form that is encrypted and hashed.

use std::io::Write as _;

use sealwright_crypto::cipher::Kind;
use sealwright_crypto::go_bool::read_bool;
use sealwright_crypto::secret::SecretWriter;

/// A value that is no collection, borrowed from a tree.
#[derive(Clone, Copy, PartialEq)]
pub enum Scalar<'a> {
    /// Null: never encrypted, never hashed.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A timestamp in RFC 3339 form, up to nine digits of fraction without trailing zeros.
    Time(&'a [u8]),
    /// Text or bytes.
    Str(&'a [u8]),
    /// The text of a comment after its mark.
    Comment(&'a [u8]),
}

/// A decrypted text is not a value of the type that its `ENC[…]` form names.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the decrypted value is not a valid {}", .kind.name())]
pub struct NotOfKind {
    /// The type that was named.
    pub kind: Kind,
}

impl<'a> Scalar<'a> {
    /// The type in the `ENC[…]` form; null has none.
    pub fn kind(&self) -> Option<Kind> {
        Some(match self {
            Scalar::Null => return None,
            Scalar::Bool(_) => Kind::Bool,
            Scalar::Int(_) => Kind::Int,
            Scalar::Float(_) => Kind::Float,
            Scalar::Time(_) => Kind::Time,
            Scalar::Str(_) => Kind::Str,
            Scalar::Comment(_) => Kind::Comment,
        })
    }

    /// Appends the wire form: what is encrypted, and what the MAC hashes. Null has none.
    pub fn write_wire(&self, out: &mut SecretWriter) {
        match self {
            Scalar::Null => {}
            Scalar::Bool(value) => out.push(if *value { b"True" } else { b"False" }),
            Scalar::Int(value) => write!(out, "{value}").expect("memory takes it"),
            Scalar::Float(value) => write_float(*value, out),
            Scalar::Time(text) | Scalar::Str(text) | Scalar::Comment(text) => out.push(text),
        }
    }

    /// Reads a wire form, as decryption yields it. Takes everything that the reference takes: signs, leading zeros,
    /// exponents, several spellings of booleans.
    pub fn read_wire(kind: Kind, wire: &'a [u8]) -> Result<Self, NotOfKind> {
        let wrong = NotOfKind { kind };
        let text = || std::str::from_utf8(wire).map_err(|_| NotOfKind { kind });
        Ok(match kind {
            Kind::Str | Kind::Bytes => Scalar::Str(wire),
            Kind::Comment => Scalar::Comment(wire),
            Kind::Int => Scalar::Int(text()?.parse().map_err(|_| wrong)?),
            Kind::Float => Scalar::Float(read_float(text()?).ok_or(wrong)?),
            Kind::Bool => Scalar::Bool(read_bool(wire).ok_or(wrong)?),
            Kind::Time => {
                crate::scalar::check_rfc3339(text()?).ok_or(wrong)?;
                Scalar::Time(wire)
            }
        })
    }
}

/// Writes the shortest digits that read back as the same float, never with an exponent: `1e21` is
/// `1000000000000000000000`, `1.0` is `1`.
fn write_float(value: f64, out: &mut SecretWriter) {
    if value.is_nan() {
        out.push(b"NaN");
    } else if value.is_infinite() {
        out.push(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else {
        write!(out, "{value}").expect("memory takes it");
    }
}

fn read_float(text: &str) -> Option<f64> {
    // Go refuses what overflows, Rust reads it as infinity; spelled-out infinities are fine in both.
    let value: f64 = text.parse().ok()?;
    let spelled = text.trim_start_matches(['+', '-']).starts_with(['i', 'I']);
    (!value.is_infinite() || spelled).then_some(value)
}

/// Accepts a strict RFC 3339 timestamp: date, `T`, time, optional fraction, zone.
pub fn check_rfc3339(text: &str) -> Option<()> {
    let bytes = text.as_bytes();
    let number = |range: std::ops::Range<usize>| -> Option<u32> {
        let digits = bytes.get(range)?;
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| digits.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0')))
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if !separators.iter().all(|(at, byte)| bytes[*at] == *byte) {
        return None;
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut at = 19;
    if bytes.get(at) == Some(&b'.') {
        let digits = bytes[at + 1..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if digits == 0 {
            return None;
        }
        at += 1 + digits;
    }
    match &bytes[at..] {
        b"Z" => Some(()),
        [b'+' | b'-', rest @ ..] if rest.len() == 5 && rest[2] == b':' => {
            (number(at + 1..at + 3)? < 24 && number(at + 4..at + 6)? < 60).then_some(())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(scalar: Scalar<'_>) -> String {
        let mut out = SecretWriter::default();
        scalar.write_wire(&mut out);
        String::from_utf8(out.expose().to_vec()).unwrap()
    }

    #[test]
    fn t1_t2_wire_forms() {
        assert_eq!(wire(Scalar::Bool(true)), "True");
        assert_eq!(wire(Scalar::Int(-7)), "-7");
        let floats: [(f64, &str); 7] = [
            (1e21, "1000000000000000000000"),
            (1e-7, "0.0000001"),
            (1.0, "1"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (value, text) in floats {
            assert_eq!(wire(Scalar::Float(value)), text);
        }
        assert_eq!(wire(Scalar::Float(f64::NAN)), "NaN");
        assert_eq!(wire(Scalar::Null), "");
    }

    #[test]
    fn wire_forms_are_read_as_the_reference_reads_them() {
        assert!(matches!(
            Scalar::read_wire(Kind::Int, b"+05"),
            Ok(Scalar::Int(5))
        ));
        assert!(Scalar::read_wire(Kind::Int, b"0x5").is_err());
        assert!(matches!(
            Scalar::read_wire(Kind::Float, b"1e3"),
            Ok(Scalar::Float(1000.0))
        ));
        assert!(matches!(
            Scalar::read_wire(Kind::Float, b"-Inf"),
            Ok(Scalar::Float(f64::NEG_INFINITY))
        ));
        assert!(Scalar::read_wire(Kind::Float, b"1e400").is_err());
        assert!(matches!(
            Scalar::read_wire(Kind::Bool, b"t"),
            Ok(Scalar::Bool(true))
        ));
        assert!(Scalar::read_wire(Kind::Bool, b"yes").is_err());
        assert!(Scalar::read_wire(Kind::Time, b"2006-01-02T15:04:05.5+07:06").is_ok());
        assert!(Scalar::read_wire(Kind::Time, b"2024-02-30T00:00:00Z").is_err());
        assert!(Scalar::read_wire(Kind::Time, b"2024-01-01").is_err());
    }
}
