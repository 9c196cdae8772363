//! `fmt.Sprintf`.

use super::floats::{binary, general, hexadecimal, scientific, with_point, with_zeros};
use super::{float, quote, runes};
use crate::budget::{Budget, Exceeded};
use crate::sink::Sink;
use crate::text::Text;
use crate::value::{MAX_DEPTH, Value};

/// The flags, width and precision of one verb.
#[derive(Default, Clone, Copy)]
struct Spec {
    plus: bool,
    minus: bool,
    sharp: bool,
    /// `#` before `v`: Go's own syntax.
    syntax: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Widths and precisions beyond this are refused, as in Go.
const MAX_NUMBER: usize = 1_000_000;

/// Formats `arguments`; what does not fit is told in the text, as Go does it.
pub(crate) fn sprintf(
    format: &[u8],
    arguments: &[Value],
    budget: &Budget,
) -> Result<Text, Exceeded> {
    let mut out = Sink::new(budget);
    let mut at = 0;
    let mut next = 0;
    let mut reordered = false;
    while at < format.len() && !out.is_full() {
        if format[at] != b'%' {
            let length = memchr::memchr(b'%', &format[at..]).unwrap_or(format.len() - at);
            out.extend_from_slice(&format[at..at + length]);
            at += length;
            continue;
        }
        budget.tick(64)?;
        at += 1;
        let mut spec = Spec::default();
        while let Some(flag) = format.get(at) {
            match flag {
                b'+' => spec.plus = true,
                b'-' => (spec.minus, spec.zero) = (true, false),
                b'#' => spec.sharp = true,
                b' ' => spec.space = true,
                b'0' => spec.zero = !spec.minus,
                _ => break,
            }
            at += 1;
        }
        let mut argument = ArgumentNumber::read(format, &mut at, &mut next, arguments.len());
        reordered |= argument.is_there;
        let mut is_good = argument.is_good;
        if format.get(at) == Some(&b'*') {
            at += 1;
            match star(arguments.get(next)) {
                Some(width) => {
                    spec.minus |= width < 0;
                    spec.zero &= width >= 0;
                    spec.width = Some(width.unsigned_abs());
                }
                None => out.extend_from_slice(b"%!(BADWIDTH)"),
            }
            next += 1;
            argument.is_last = false;
        } else {
            spec.width = number(format, &mut at);
            is_good &= !(argument.is_last && spec.width.is_some());
        }
        if format.get(at) == Some(&b'.') {
            at += 1;
            is_good &= !argument.is_last;
            argument = ArgumentNumber::read(format, &mut at, &mut next, arguments.len());
            reordered |= argument.is_there;
            is_good &= argument.is_good;
            if format.get(at) == Some(&b'*') {
                at += 1;
                match star(arguments.get(next)) {
                    Some(precision) if precision >= 0 => {
                        spec.precision = Some(precision.unsigned_abs());
                    }
                    _ => out.extend_from_slice(b"%!(BADPREC)"),
                }
                next += 1;
                argument.is_last = false;
            } else {
                spec.precision = Some(number(format, &mut at).unwrap_or(0));
            }
        }
        if !argument.is_last {
            argument = ArgumentNumber::read(format, &mut at, &mut next, arguments.len());
            reordered |= argument.is_there;
            is_good &= argument.is_good;
        }
        let Some((rune, raw)) = runes(&format[at..]).next() else {
            out.extend_from_slice(b"%!(NOVERB)");
            break;
        };
        at += raw.len();
        let verb = rune.unwrap_or('\u{fffd}');
        if verb == '%' {
            out.push(b'%');
            continue;
        }
        if !is_good {
            out.extend_from_slice(b"%!");
            out.push_char(verb);
            out.extend_from_slice(b"(BADINDEX)");
            continue;
        }
        if verb == 'v' {
            // With `%+v` only structures look different, and there are none.
            (spec.plus, spec.syntax, spec.sharp) = (false, spec.sharp, false);
        }
        match arguments.get(next) {
            Some(argument) => one(&mut out, verb, spec, argument),
            None => {
                out.extend_from_slice(b"%!");
                out.push_char(verb);
                out.extend_from_slice(b"(MISSING)");
            }
        }
        next += 1;
    }
    if !reordered && next < arguments.len() {
        out.extend_from_slice(b"%!(EXTRA ");
        for (index, argument) in arguments[next..].iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(argument.type_name().as_bytes());
            if !matches!(argument, Value::Nil) {
                out.push(b'=');
                super::push(&mut out, argument, 0);
            }
        }
        out.push(b')');
    }
    out.finish()
}

/// `[n]`, which chooses the argument.
struct ArgumentNumber {
    /// Whether there is anything like it.
    is_there: bool,
    /// Whether it is in front of what is read next.
    is_last: bool,
    /// Whether there is such an argument.
    is_good: bool,
}

impl ArgumentNumber {
    fn read(format: &[u8], at: &mut usize, next: &mut usize, count: usize) -> Self {
        let mut read = Self {
            is_there: format.get(*at) == Some(&b'['),
            is_last: false,
            is_good: true,
        };
        if !read.is_there {
            return read;
        }
        let Some(end) = format[*at..].iter().position(|&byte| byte == b']') else {
            *at += 1;
            read.is_good = false;
            return read;
        };
        let digits = std::str::from_utf8(&format[*at + 1..*at + end]).unwrap_or_default();
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse().ok().filter(|&number| number <= MAX_NUMBER);
        *at += end + 1;
        read.is_last = is_number && number.is_some();
        match number {
            Some(number) if is_number && (1..=count).contains(&number) => *next = number - 1,
            _ => read.is_good = false,
        }
        read
    }
}

fn number(format: &[u8], at: &mut usize) -> Option<usize> {
    let start = *at;
    while format.get(*at).is_some_and(u8::is_ascii_digit) {
        *at += 1;
    }
    let digits = std::str::from_utf8(&format[start..*at]).ok()?;
    digits.parse().ok().filter(|&number| number <= MAX_NUMBER)
}

fn star(argument: Option<&Value>) -> Option<isize> {
    match argument {
        Some(Value::Int(value) | Value::Int64(value)) => isize::try_from(*value)
            .ok()
            .filter(|value| value.unsigned_abs() <= MAX_NUMBER),
        _ => None,
    }
}

fn one(out: &mut Sink<'_>, verb: char, spec: Spec, argument: &Value) {
    match (verb, argument) {
        _ if out.is_full() => {}
        ('T', _) => pad(out, spec, argument.type_name().as_bytes()),
        ('v', Value::Nil) => pad(out, spec, b"<nil>"),
        (_, Value::Nil) => bad(out, verb, spec, argument),
        ('v', _) if spec.syntax => {
            let mut text = out.beside();
            go_syntax(&mut text, argument, 0);
            out.absorb(&text, |out, text| pad(out, spec, text));
        }
        (_, Value::List(list)) => {
            out.push(b'[');
            for (index, item) in list.items().iter().enumerate() {
                if index > 0 {
                    out.push(b' ');
                }
                inner(out, verb, spec, item);
            }
            out.push(b']');
        }
        (_, Value::TextMap(_) | Value::Dict(_)) => map(out, verb, spec, argument),
        ('t' | 'v', Value::Bool(value)) => pad(out, spec, value.to_string().as_bytes()),
        (_, Value::Int(value) | Value::Int64(value)) => {
            integer(out, verb, spec, *value < 0, value.unsigned_abs(), argument);
        }
        (_, Value::Uint8(value)) => integer(out, verb, spec, false, u64::from(*value), argument),
        (_, Value::Uint64(value)) => integer(out, verb, spec, false, *value, argument),
        (_, Value::Float(value)) => real(out, verb, spec, *value, argument),
        (_, Value::Text(text)) => string(out, verb, spec, text.bytes(), argument),
        ('v' | 's' | 'q' | 'x' | 'X', Value::Time(_) | Value::Version(_) | Value::Duration(_)) => {
            let mut text = out.beside();
            super::push(&mut text, argument, 0);
            out.absorb(&text, |out, text| string(out, verb, spec, text, argument));
        }
        ('v' | 's', Value::Certificate(_)) => {
            super::push(out, argument, 0);
        }
        (_, Value::Duration(value)) => {
            integer(out, verb, spec, *value < 0, value.unsigned_abs(), argument);
        }
        _ => bad(out, verb, spec, argument),
    }
}

/// What is inside a list or map; a nil there is no fault.
fn inner(out: &mut Sink<'_>, verb: char, spec: Spec, argument: &Value) {
    match argument {
        Value::Nil if verb != 'T' => pad(out, spec, b"<nil>"),
        _ => one(out, verb, spec, argument),
    }
}

fn map(out: &mut Sink<'_>, verb: char, spec: Spec, argument: &Value) {
    out.extend_from_slice(b"map[");
    for (index, (key, value)) in entries(argument).into_iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        inner(out, verb, spec, &Value::Text(key));
        out.push(b':');
        inner(out, verb, spec, &value);
    }
    out.push(b']');
}

fn entries(map: &Value) -> Vec<(Text, Value)> {
    match map {
        Value::TextMap(map) => map
            .entries()
            .iter()
            .map(|(k, v)| (k.clone(), Value::Text(v.clone())))
            .collect(),
        Value::Dict(dict) => dict.entries().into_iter().collect(),
        _ => Vec::new(),
    }
}

/// `%!verb(type=value)`, with the value as `%v` under the same flags.
fn bad(out: &mut Sink<'_>, verb: char, spec: Spec, argument: &Value) {
    out.extend_from_slice(b"%!");
    out.push_char(verb);
    out.push(b'(');
    out.extend_from_slice(argument.type_name().as_bytes());
    if !matches!(argument, Value::Nil) {
        out.push(b'=');
        one(out, 'v', spec, argument);
    }
    out.push(b')');
}

fn integer(
    out: &mut Sink<'_>,
    verb: char,
    spec: Spec,
    negative: bool,
    size: u64,
    argument: &Value,
) {
    let (digits, prefix) = match verb {
        'd' | 'v' => (size.to_string(), ""),
        'b' => (format!("{size:b}"), if spec.sharp { "0b" } else { "" }),
        'o' => (format!("{size:o}"), if spec.sharp { "0" } else { "" }),
        'O' => (format!("{size:o}"), "0o"),
        'x' => (format!("{size:x}"), if spec.sharp { "0x" } else { "" }),
        'X' => (format!("{size:X}"), if spec.sharp { "0X" } else { "" }),
        'c' | 'q' | 'U' => return character(out, verb, spec, negative, size),
        _ => return bad(out, verb, spec, argument),
    };
    let sign = sign(spec, negative);
    let mut digits = digits;
    if let Some(precision) = spec.precision {
        if precision == 0 && size == 0 {
            let width = spec.width.unwrap_or(0);
            out.fill(b' ', width);
            return;
        }
        digits = format!("{digits:0>precision$}");
    } else if spec.zero
        && let Some(width) = spec.width
    {
        let room = width.saturating_sub(sign.len());
        digits = format!("{digits:0>room$}");
    }
    let prefix = if prefix == "0" && digits.starts_with('0') {
        ""
    } else {
        prefix
    };
    let text = format!("{sign}{prefix}{digits}");
    pad(
        out,
        Spec {
            zero: false,
            ..spec
        },
        text.as_bytes(),
    );
}

fn character(out: &mut Sink<'_>, verb: char, spec: Spec, negative: bool, size: u64) {
    let rune = u32::try_from(size)
        .ok()
        .filter(|_| !negative)
        .and_then(char::from_u32)
        .unwrap_or('\u{fffd}');
    match verb {
        'c' => pad(out, spec, rune.encode_utf8(&mut [0; 4]).as_bytes()),
        'U' => {
            let mut text = format!("U+{size:04X}");
            if spec.sharp {
                text.push_str(&format!(" '{rune}'"));
            }
            pad(out, spec, text.as_bytes());
        }
        _ => {
            let mut text = out.beside();
            text.push(b'\'');
            match rune {
                '\'' => text.extend_from_slice(b"\\'"),
                '"' => text.push(b'"'),
                rune => super::push_escaped(&mut text, rune, spec.plus),
            }
            text.push(b'\'');
            out.absorb(&text, |out, text| pad(out, spec, text));
        }
    }
}

fn real(out: &mut Sink<'_>, verb: char, spec: Spec, value: f64, argument: &Value) {
    let size = value.abs();
    let body = if !value.is_finite() {
        if value.is_nan() {
            "NaN".to_owned()
        } else {
            "Inf".to_owned()
        }
    } else {
        match (verb, spec.precision) {
            ('v' | 'g' | 'G', None) if spec.sharp => with_zeros(&float(size, 6), 6),
            ('v' | 'g' | 'G', None) => float(size, 6),
            ('f' | 'F', precision) => {
                with_point(format!("{size:.*}", precision.unwrap_or(6)), spec.sharp)
            }
            ('e' | 'E', precision) => {
                with_point(scientific(size, precision.unwrap_or(6)), spec.sharp)
            }
            ('g' | 'G' | 'v', Some(precision)) if spec.sharp => {
                with_zeros(&general(size, precision), precision)
            }
            ('g' | 'G' | 'v', Some(precision)) => general(size, precision),
            ('x' | 'X', precision) => hexadecimal(size, precision),
            ('b', _) => binary(size),
            _ => return bad(out, verb, spec, argument),
        }
    };
    let body = if verb.is_ascii_uppercase() && value.is_finite() {
        body.to_uppercase()
    } else {
        body
    };
    let sign = if value.is_infinite() && value > 0.0 && !spec.space {
        "+"
    } else {
        sign(spec, value.is_sign_negative() && !value.is_nan())
    };
    let text = if spec.zero
        && value.is_finite()
        && let Some(width) = spec.width
    {
        let room = width.saturating_sub(sign.len());
        format!("{sign}{body:0>room$}")
    } else {
        format!("{sign}{body}")
    };
    pad(
        out,
        Spec {
            zero: false,
            ..spec
        },
        text.as_bytes(),
    );
}

fn string(out: &mut Sink<'_>, verb: char, spec: Spec, bytes: &[u8], argument: &Value) {
    let cut = match spec.precision {
        Some(precision) if matches!(verb, 's' | 'v' | 'q') => {
            let end = runes(bytes).take(precision).map(|(_, raw)| raw.len()).sum();
            &bytes[..end]
        }
        _ => bytes,
    };
    match verb {
        's' | 'v' => pad(out, spec, cut),
        'q' if spec.sharp && can_backquote(cut) => pad(out, spec, &[b"`", cut, b"`"].concat()),
        'q' => {
            let mut text = out.beside();
            super::quote_as(&mut text, cut, spec.plus);
            out.absorb(&text, |out, text| pad(out, spec, text));
        }
        'x' | 'X' => {
            let cut = &bytes[..spec.precision.unwrap_or(usize::MAX).min(bytes.len())];
            let digits: &[u8; 16] = match verb {
                'X' => b"0123456789ABCDEF",
                _ => b"0123456789abcdef",
            };
            let prefix: &[u8] = if verb == 'X' { b"0X" } else { b"0x" };
            let mut text = out.beside();
            for (index, byte) in cut.iter().enumerate() {
                if text.is_full() {
                    break;
                }
                if spec.space && index > 0 {
                    text.push(b' ');
                }
                if spec.sharp && (spec.space || index == 0) {
                    text.extend_from_slice(prefix);
                }
                text.push(digits[usize::from(byte >> 4)]);
                text.push(digits[usize::from(byte & 15)]);
            }
            out.absorb(&text, |out, text| pad(out, spec, text));
        }
        _ => bad(out, verb, spec, argument),
    }
}

fn can_backquote(bytes: &[u8]) -> bool {
    runes(bytes).all(|(rune, _)| {
        rune.is_some_and(|rune| {
            rune != '`' && rune != '\u{feff}' && rune != '\u{7f}' && (rune == '\t' || rune >= ' ')
        })
    })
}

/// `%#v`.
fn go_syntax(out: &mut Sink<'_>, value: &Value, depth: usize) {
    if depth > MAX_DEPTH || out.is_full() {
        return;
    }
    match value {
        Value::Text(text) => quote(out, text.bytes()),
        Value::Float(value) => out.extend_from_slice(float(*value, 6).as_bytes()),
        Value::Uint8(value) => out.extend_from_slice(format!("{value:#x}").as_bytes()),
        Value::Uint64(value) => out.extend_from_slice(format!("{value:#x}").as_bytes()),
        Value::Nil => out.extend_from_slice(b"interface {}(nil)"),
        Value::List(list) if list.is_nil() => {
            out.extend_from_slice(format!("{}(nil)", value.type_name()).as_bytes());
        }
        Value::List(list) => {
            out.extend_from_slice(value.type_name().as_bytes());
            out.push(b'{');
            for (index, item) in list.items().iter().enumerate() {
                if index > 0 {
                    out.extend_from_slice(b", ");
                }
                go_syntax(out, item, depth + 1);
            }
            out.push(b'}');
        }
        Value::TextMap(_) | Value::Dict(_) => {
            out.extend_from_slice(value.type_name().as_bytes());
            out.push(b'{');
            for (index, (key, item)) in entries(value).iter().enumerate() {
                if index > 0 {
                    out.extend_from_slice(b", ");
                }
                quote(out, key.bytes());
                out.push(b':');
                go_syntax(out, item, depth + 1);
            }
            out.push(b'}');
        }
        other => super::push(out, other, 0),
    }
}

fn sign(spec: Spec, negative: bool) -> &'static str {
    match (negative, spec.plus, spec.space) {
        (true, _, _) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    }
}

/// Widths count characters.
fn pad(out: &mut Sink<'_>, spec: Spec, text: &[u8]) {
    let missing = spec.width.unwrap_or(0).saturating_sub(runes(text).count());
    let filler = if spec.zero { b'0' } else { b' ' };
    if spec.minus {
        out.extend_from_slice(text);
        out.fill(b' ', missing);
    } else {
        out.fill(filler, missing);
        out.extend_from_slice(text);
    }
}
