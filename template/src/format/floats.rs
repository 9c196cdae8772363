//! Digits of floating-point numbers, as the verbs of `fmt` write them.

use super::with_exponent;

pub(super) fn scientific(size: f64, precision: usize) -> String {
    let text = format!("{size:.precision$e}");
    let (digits, exponent) = text.split_once('e').expect("an exponent");
    with_exponent(digits, exponent.parse().expect("a small number"))
}

/// `%x`: `0x1.8p+00`, rounded to even.
pub(super) fn hexadecimal(size: f64, precision: Option<usize>) -> String {
    let (mut digits, mut exponent) = parts(size);
    if digits == 0 {
        exponent = 0;
    } else {
        let missing = digits.leading_zeros() - 11; // a number too small for a leading one
        digits <<= missing;
        exponent -= i32::try_from(missing).expect("at most 52");
    }
    if let Some(precision) = precision.filter(|precision| *precision < 13) {
        let cut = 52 - 4 * precision;
        let (kept, lost, half) = (digits >> cut, digits & ((1 << cut) - 1), 1 << (cut - 1));
        let up = lost > half || lost == half && kept & 1 == 1;
        digits = (kept + u64::from(up)) << cut;
        if digits >> 53 == 1 {
            digits >>= 1;
            exponent += 1;
        }
    }
    let behind = format!("{:013x}", digits & ((1 << 52) - 1));
    let behind = match precision {
        None => behind.trim_end_matches('0').to_owned(),
        Some(precision) => format!("{behind:0<precision$}")[..precision].to_owned(),
    };
    let point = if behind.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!(
        "0x{}{point}{behind}p{sign}{:02}",
        digits >> 52,
        exponent.unsigned_abs()
    )
}

/// `%b`: `4503599627370496p-52`.
pub(super) fn binary(size: f64) -> String {
    let (digits, exponent) = parts(size);
    format!("{digits}p{:+}", exponent - 52)
}

/// `%.3g`: so many digits in all, without zeros at the end.
pub(super) fn general(size: f64, precision: usize) -> String {
    let precision = precision.max(1);
    let text = format!("{size:.*e}", precision - 1);
    let (digits, exponent) = text.split_once('e').expect("an exponent");
    let exponent: i32 = exponent.parse().expect("a small number");
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    let limit = i32::try_from(precision).unwrap_or(i32::MAX);
    if (-4..limit).contains(&exponent) {
        let decimals = usize::try_from(limit - 1 - exponent).unwrap_or(0);
        trim(&format!("{size:.decimals$}"))
    } else {
        with_exponent(&trim(digits), exponent)
    }
}

/// With `#` a number has a point, even with nothing behind it.
pub(super) fn with_point(text: String, sharp: bool) -> String {
    if !sharp || text.contains('.') {
        return text;
    }
    let at = text.find('e').unwrap_or(text.len());
    format!("{}.{}", &text[..at], &text[at..])
}

/// With `#` a general number has a point, and zeros up to so many digits.
pub(super) fn with_zeros(text: &str, digits: usize) -> String {
    let at = text.find('e').unwrap_or(text.len());
    let (mantissa, exponent) = text.split_at(at);
    let point = if mantissa.contains('.') { "" } else { "." };
    let counted = mantissa.trim_start_matches(['0', '.']);
    let known = counted.bytes().filter(u8::is_ascii_digit).count();
    // A zero before the point counts when there is nothing else.
    let known = if known == 0 {
        usize::from(!mantissa.is_empty())
    } else {
        known
    };
    let zeros = "0".repeat(digits.saturating_sub(known));
    format!("{mantissa}{point}{zeros}{exponent}")
}

/// The digits behind the binary point, with the leading one unless it is nothing at all, and the exponent of two.
fn parts(size: f64) -> (u64, i32) {
    const DIGITS: u32 = 52;
    let bits = size.to_bits();
    let digits = bits & ((1 << DIGITS) - 1);
    match i32::try_from(bits >> DIGITS & 0x7ff).expect("eleven bits") {
        0 => (digits, -1022),
        exponent => (digits | 1 << DIGITS, exponent - 1023),
    }
}
