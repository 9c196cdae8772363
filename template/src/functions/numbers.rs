//! Arithmetic.

mod decimal;

use self::decimal::Decimal;
use crate::dialect::Dialect;
use crate::format;
use crate::function::Parameter::{Any, Float, Int, Text as TextParameter};
use crate::function::{Entry, Environment, Function, bytes, fixed, int, variadic};
use crate::number::parse_float;
use crate::sink::Sink;
use crate::text::Text;
use crate::value::{List, ListKind, Value};

const MAX: Function = variadic(&[Any, Any], |e, a| {
    Ok(Value::Int64(
        a.iter().map(|value| to_int(e, value)).max().unwrap_or(0),
    ))
});

pub(super) const FUNCTIONS: &[Entry] = &[
    (
        "atoi",
        fixed(&[TextParameter], |_, a| {
            let text = String::from_utf8_lossy(bytes(a, 0));
            Ok(Value::Int(text.parse().unwrap_or_else(
                |error: std::num::ParseIntError| {
                    // Go gives the nearest number when there are too many digits.
                    match error.kind() {
                        std::num::IntErrorKind::PosOverflow => i64::MAX,
                        std::num::IntErrorKind::NegOverflow => i64::MIN,
                        _ => 0,
                    }
                },
            )))
        }),
    ),
    (
        "int",
        fixed(&[Any], |e, a| Ok(Value::Int(to_int(e, &a[0])))),
    ),
    (
        "int64",
        fixed(&[Any], |e, a| Ok(Value::Int64(to_int(e, &a[0])))),
    ),
    (
        "float64",
        fixed(&[Any], |_, a| Ok(Value::Float(to_float(&a[0])))),
    ),
    (
        "toDecimal",
        fixed(&[Any], |e, a| {
            let text = format::sprint(&a[0], &e.budget)?;
            let text = String::from_utf8_lossy(text.bytes());
            Ok(Value::Int64(i64::from_str_radix(&text, 8).unwrap_or(0)))
        }),
    ),
    (
        "add",
        variadic(&[Any], |e, a| {
            Ok(Value::Int64(
                a.iter()
                    .map(|value| to_int(e, value))
                    .fold(0, i64::wrapping_add),
            ))
        }),
    ),
    (
        "add1",
        fixed(&[Any], |e, a| {
            Ok(Value::Int64(to_int(e, &a[0]).wrapping_add(1)))
        }),
    ),
    (
        "sub",
        fixed(&[Any, Any], |e, a| {
            Ok(Value::Int64(
                to_int(e, &a[0]).wrapping_sub(to_int(e, &a[1])),
            ))
        }),
    ),
    (
        "mul",
        variadic(&[Any, Any], |e, a| {
            Ok(Value::Int64(
                a.iter()
                    .map(|value| to_int(e, value))
                    .fold(1, i64::wrapping_mul),
            ))
        }),
    ),
    (
        "div",
        fixed(&[Any, Any], |e, a| {
            let divisor = divisor(e, &a[1])?;
            Ok(Value::Int64(to_int(e, &a[0]).wrapping_div(divisor)))
        }),
    ),
    (
        "mod",
        fixed(&[Any, Any], |e, a| {
            let divisor = divisor(e, &a[1])?;
            Ok(Value::Int64(to_int(e, &a[0]).wrapping_rem(divisor)))
        }),
    ),
    ("biggest", MAX),
    ("max", MAX),
    (
        "min",
        variadic(&[Any, Any], |e, a| {
            Ok(Value::Int64(
                a.iter().map(|value| to_int(e, value)).min().unwrap_or(0),
            ))
        }),
    ),
    (
        "maxf",
        variadic(&[Any, Any], |_, a| {
            fold(a, |x, y| match x.is_nan() || y.is_nan() {
                true => f64::NAN,
                false => x.max(y),
            })
        }),
    ),
    (
        "minf",
        variadic(&[Any, Any], |_, a| {
            fold(a, |x, y| match x.is_nan() || y.is_nan() {
                true => f64::NAN,
                false => x.min(y),
            })
        }),
    ),
    (
        "floor",
        fixed(&[Any], |_, a| Ok(Value::Float(to_float(&a[0]).floor()))),
    ),
    (
        "ceil",
        fixed(&[Any], |_, a| Ok(Value::Float(to_float(&a[0]).ceil()))),
    ),
    (
        "round",
        variadic(&[Any, Int, Float], |_, a| {
            let on = match a.get(2) {
                Some(Value::Float(on)) => *on,
                _ => 0.5,
            };
            #[allow(clippy::cast_precision_loss)] // as in Go
            let power = 10f64.powf(int(a, 1) as f64);
            let digit = power * to_float(&a[0]);
            let rounded = if digit.fract() >= on {
                digit.ceil()
            } else {
                digit.floor()
            };
            Ok(Value::Float(rounded / power))
        }),
    ),
    (
        "add1f",
        fixed(&[Any], |e, a| {
            decimal(e, &[a[0].clone(), Value::Int(1)], Decimal::add)
        }),
    ),
    (
        "addf",
        variadic(&[Any], |e, a| {
            let terms = [&[Value::Float(0.0)], a].concat();
            decimal(e, &terms, Decimal::add)
        }),
    ),
    (
        "subf",
        variadic(&[Any, Any], |e, a| decimal(e, a, Decimal::sub)),
    ),
    (
        "mulf",
        variadic(&[Any, Any], |e, a| decimal(e, a, Decimal::mul)),
    ),
    (
        "divf",
        variadic(&[Any, Any], |e, a| decimal(e, a, Decimal::div)),
    ),
    (
        "until",
        fixed(&[Int], |e, a| {
            let end = int(a, 0);
            ints(e, 0, end, if end < 0 { -1 } else { 1 }).map(int_list)
        }),
    ),
    (
        "untilStep",
        fixed(&[Int, Int, Int], |e, a| {
            ints(e, int(a, 0), int(a, 1), int(a, 2)).map(int_list)
        }),
    ),
    (
        "seq",
        variadic(&[Int], |e, a| {
            let given: Vec<i64> = (0..a.len()).map(|index| int(a, index)).collect();
            let (start, step, end) = match given[..] {
                [end] => (1, None, end),
                [start, end] => (start, None, end),
                [start, step, end] => (start, Some(step), end),
                _ => return Ok(Value::text("")),
            };
            let direction = if end < start { -1 } else { 1 };
            if end < start && step.is_some_and(|step| step > 0) {
                return Ok(Value::text(""));
            }
            let end = end.saturating_add(direction);
            let numbers = ints(e, start, end, step.unwrap_or(direction))?;
            let mut out = Sink::new(&e.budget);
            for (index, number) in numbers.iter().enumerate() {
                if index > 0 {
                    out.push(b' ');
                }
                out.extend_from_slice(number.to_string().as_bytes());
            }
            Ok(Value::Text(out.finish()?))
        }),
    ),
];

/// What sprig makes of any value where it wants an integer; what is none counts as 0.
pub(super) fn to_int(e: &Environment, value: &Value) -> i64 {
    match value {
        Value::Text(text) => match e.dialect {
            Dialect::SealedSecrets => parse_int(text).unwrap_or(0),
            // Its newer library cuts all decimals off, not only zeros.
            Dialect::ExternalSecrets => {
                let whole = without_decimals(text.bytes());
                parse_int(&whole).unwrap_or(0)
            }
        },
        other => whole(other),
    }
}

/// `12.9` is `12`, and a text that is no such number stays as it is.
fn without_decimals(text: &[u8]) -> Text {
    let digits = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
    let unsigned = text
        .strip_prefix(b"+")
        .or(text.strip_prefix(b"-"))
        .unwrap_or(text);
    let point = text.iter().position(|&byte| byte == b'.');
    match (point, unsigned.iter().position(|&byte| byte == b'.')) {
        (Some(at), Some(whole)) if digits(&unsigned[..whole]) && digits(&text[at + 1..]) => {
            match whole {
                0 => Text::from("0"),
                _ => Text::from(&text[..at]),
            }
        }
        _ => Text::from(text),
    }
}

/// As the processor does it for Go: everything out of range is the smallest number.
fn truncate(value: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&value) {
        #[allow(clippy::cast_possible_truncation)] // in range
        return value as i64;
    }
    i64::MIN
}

/// Reads an integer as Go's literals are written, `12.00` included.
fn parse_int(text: &Text) -> Option<i64> {
    let text = std::str::from_utf8(text.bytes()).ok()?;
    let text = match text.rsplit_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') => whole,
        _ => text,
    };
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    // Underscores stand between digits, and behind a prefix.
    if body.contains('_') {
        let starts_badly = radix == 10 && body.starts_with('_');
        if starts_badly || body.ends_with('_') || body.contains("__") {
            return None;
        }
    }
    let body = body.replace('_', "");
    if body.starts_with(['+', '-']) {
        return None;
    }
    let size = u64::from_str_radix(&body, radix).ok()?;
    match negative {
        true => 0i64.checked_sub_unsigned(size),
        false => i64::try_from(size).ok(),
    }
}

/// The number of a value that is no text.
fn whole(value: &Value) -> i64 {
    match value {
        Value::Int(value) | Value::Int64(value) | Value::Duration(value) => *value,
        Value::Uint8(value) => i64::from(*value),
        #[allow(clippy::cast_possible_wrap)] // as in Go
        Value::Uint64(value) => *value as i64,
        Value::Bool(value) => i64::from(*value),
        Value::Float(value) => truncate(*value),
        _ => 0,
    }
}

/// What sprig makes of any value where it wants a number; what is none counts as 0.
pub(super) fn to_float(value: &Value) -> f64 {
    match value {
        Value::Float(value) => *value,
        Value::Text(text) => std::str::from_utf8(text.bytes())
            .ok()
            .and_then(parse_float)
            .unwrap_or(0.0),
        #[allow(clippy::cast_precision_loss)] // as in Go
        Value::Uint64(value) => *value as f64,
        #[allow(clippy::cast_precision_loss)] // as in Go
        other => whole(other) as f64,
    }
}

fn divisor(e: &Environment, value: &Value) -> Result<i64, String> {
    match to_int(e, value) {
        0 => Err("runtime error: integer divide by zero".to_owned()),
        divisor => Ok(divisor),
    }
}

fn fold(arguments: &[Value], choose: impl Fn(f64, f64) -> f64) -> Result<Value, String> {
    let numbers = arguments.iter().map(to_float);
    Ok(Value::Float(numbers.reduce(choose).unwrap_or(0.0)))
}

fn decimal(
    e: &Environment,
    arguments: &[Value],
    operation: impl Fn(&Decimal, &Decimal) -> Result<Decimal, String>,
) -> Result<Value, String> {
    let mut numbers = arguments
        .iter()
        .map(|value| Decimal::from_float(to_float(value)));
    let mut result = numbers.next().unwrap_or_else(|| Decimal::from_float(0.0))?;
    for number in numbers {
        e.budget.tick(1024)?;
        result = operation(&result, &number?)?;
    }
    Ok(Value::Float(result.to_float()))
}

/// Numbers from `start` to before `end`, as many as there is room for.
fn ints(e: &Environment, start: i64, end: i64, step: i64) -> Result<Vec<i64>, String> {
    let goes_on = |at: i64| match end < start {
        true => step < 0 && at > end,
        false => step > 0 && at < end,
    };
    let most = e.budget.room() / (size_of::<i64>() + size_of::<Value>());
    let mut numbers = Vec::new();
    let mut at = start;
    while goes_on(at) {
        if numbers.len() == most {
            return Err(e.budget.no_room().into());
        }
        numbers.push(at);
        let Some(next) = at.checked_add(step) else {
            break;
        };
        at = next;
    }
    Ok(numbers)
}

fn int_list(numbers: Vec<i64>) -> Value {
    let items = numbers.into_iter().map(Value::Int).collect();
    Value::List(List::new(ListKind::Int, items))
}
