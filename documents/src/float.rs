//! Floats as the reference's formats print them: the shortest digits that read back as the same number.

use std::io::Write as _;

use sealwright_crypto::secret::SecretWriter;

/// Writes a finite float as JSON has it: without an exponent from 1e-6 up to 1e21, else `1e+21`, `1e-7`.
pub fn write_json(value: f64, out: &mut SecretWriter) {
    let size = value.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        write!(out, "{value}").expect("memory takes it");
    } else {
        write_exponent(value, b'e', 1, out);
    }
}

/// Writes a float as `%g` does: without an exponent from 1e-4 up to 1e6, else `1e+06`, `1e-05`; `+Inf`, `-Inf`, `NaN`.
pub fn write_general(value: f64, out: &mut SecretWriter) {
    general(value, b'e', out);
}

/// Writes a float as flat formats have it: `%G`, and at least one decimal where an integer would be read: `5.0`.
pub fn write_flat(value: f64, out: &mut SecretWriter) {
    let start = out.len();
    general(value, b'E', out);
    let written = &out.expose()[start..];
    if value.is_finite() && !written.contains(&b'.') && !written.contains(&b'E') {
        out.push(b".0");
    }
}

fn general(value: f64, mark: u8, out: &mut SecretWriter) {
    if value.is_nan() {
        out.push(b"NaN");
    } else if value.is_infinite() {
        out.push(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else if value != 0.0 && !(-4..6).contains(&exponent(value)) {
        write_exponent(value, mark, 2, out);
    } else {
        write!(out, "{value}").expect("memory takes it");
    }
}

/// The decimal exponent of the first digit.
fn exponent(value: f64) -> i32 {
    let text = format!("{value:e}");
    let (_, exponent) = text.split_once('e').expect("the form has an exponent");
    exponent.parse().expect("the exponent is a number")
}

fn write_exponent(value: f64, mark: u8, digits: usize, out: &mut SecretWriter) {
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').expect("the form has an exponent");
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => (b'-', exponent),
        None => (b'+', exponent),
    };
    out.push(mantissa.as_bytes());
    out.push_byte(mark);
    out.push_byte(sign);
    for _ in exponent.len()..digits {
        out.push_byte(b'0');
    }
    out.push(exponent.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut SecretWriter)) -> String {
        let mut out = SecretWriter::default();
        write(&mut out);
        String::from_utf8(out.expose().to_vec()).unwrap()
    }

    #[test]
    fn t2_formats_print_floats_each_in_its_own_way() {
        let cases = [
            (1.0, "1", "1", "1.0"),
            (-0.0, "-0", "-0", "-0.0"),
            (1.5, "1.5", "1.5", "1.5"),
            (100_000.0, "100000", "100000", "100000.0"),
            (1e6, "1000000", "1e+06", "1E+06"),
            (
                123_456_789.5,
                "123456789.5",
                "1.234567895e+08",
                "1.234567895E+08",
            ),
            (1e-7, "1e-7", "1e-07", "1E-07"),
            (1e-5, "0.00001", "1e-05", "1E-05"),
            (1e21, "1e+21", "1e+21", "1E+21"),
            (1e300, "1e+300", "1e+300", "1E+300"),
            (
                9_223_372_036_854_775_808.0,
                "9223372036854776000",
                "9.223372036854776e+18",
                "9.223372036854776E+18",
            ),
        ];
        for (value, json, general, flat) in cases {
            assert_eq!(text(|out| write_json(value, out)), json);
            assert_eq!(text(|out| write_general(value, out)), general);
            assert_eq!(text(|out| write_flat(value, out)), flat);
        }
        assert_eq!(text(|out| write_flat(f64::INFINITY, out)), "+Inf");
        assert_eq!(text(|out| write_flat(f64::NAN, out)), "NaN");
    }
}
