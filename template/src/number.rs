//! Numbers as Go's `strconv` reads them.

/// Reads a decimal or hexadecimal number; underscores may stand between digits.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.starts_with("0x") || unsigned.starts_with("0X") {
        return hex_float(text);
    }
    if !text.contains('_') {
        return text.parse().ok();
    }
    let separates = |at: usize| {
        let bytes = text.as_bytes();
        let digit = |at: Option<usize>| {
            at.and_then(|at| bytes.get(at))
                .is_some_and(u8::is_ascii_digit)
        };
        digit(at.checked_sub(1)) && digit(at.checked_add(1))
    };
    let fits = text.match_indices('_').all(|(at, _)| separates(at));
    fits.then(|| text.replace('_', ""))?.parse().ok()
}

/// `0x1.8p3`
fn hex_float(written: &str) -> Option<f64> {
    let (sign, unsigned) = match written.as_bytes().first()? {
        b'-' => (-1.0, &written[1..]),
        b'+' => (1.0, &written[1..]),
        _ => (1.0, written),
    };
    let plain = unsigned.replace('_', "");
    let body = plain.strip_prefix("0x").or(plain.strip_prefix("0X"))?;
    let (mantissa, exponent) = body.split_once(['p', 'P'])?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0f64;
    let mut scale = 0i32;
    for digit in whole.chars() {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    for digit in fraction.chars() {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
        scale = scale.checked_sub(4)?;
    }
    let value = sign * value * 2f64.powi(scale.checked_add(exponent)?);
    value.is_finite().then_some(value)
}
