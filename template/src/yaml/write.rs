//! YAML as Kubernetes' programs print it: keys sorted, lists not indented, texts quoted when a YAML 1.1 reader would
//! take them for something else, long texts folded at blanks.

use std::cmp::Ordering;
use std::rc::Rc;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use super::Node;
use super::read::resolve;

/// The column after which a text is folded at the next blank.
const WIDTH: usize = 80;

/// Writes one document, `---` before it.
#[must_use]
pub fn document(node: &Node) -> SecretBytes {
    written("---\n", node)
}

/// Writes one document without a mark before it.
#[must_use]
pub fn text(node: &Node) -> SecretBytes {
    written("", node)
}

fn written(start: &str, node: &Node) -> SecretBytes {
    let mut writer = Writer {
        out: SecretWriter::with_capacity(4096),
        column: 0,
    };
    writer.push(start);
    match node {
        Node::Map(entries) if !entries.is_empty() => writer.map(entries, 0),
        Node::List(items) if !items.is_empty() => writer.list(items, 0),
        // A block text at the top is indented as if it stood in a map.
        other => {
            writer.value(other, 0);
            writer.end_line();
        }
    }
    writer.out.finish()
}

struct Writer {
    out: SecretWriter,
    column: usize,
}

impl Writer {
    fn push(&mut self, text: &str) {
        self.out.push(text.as_bytes());
        match text.rfind('\n') {
            Some(at) => self.column = text[at + 1..].chars().count(),
            None => self.column += text.chars().count(),
        }
    }

    fn indent(&mut self, columns: usize) {
        for _ in 0..columns {
            self.push(" ");
        }
    }

    fn end_line(&mut self) {
        if self.column > 0 {
            self.push("\n");
        }
    }

    fn map(&mut self, entries: &[(Rc<Node>, Rc<Node>)], indent: usize) {
        let mut sorted: Vec<(&str, &Node)> = entries
            .iter()
            .map(|(key, value)| (key.as_string().unwrap_or_default(), &**value))
            .collect();
        sorted.sort_by(|(a, _), (b, _)| natural(a, b));
        for (index, (key, value)) in sorted.into_iter().enumerate() {
            if index > 0 || self.column == 0 {
                self.end_line();
                self.indent(indent);
            }
            let long = key.chars().count() > 128 || key.contains(['\n', '\r']);
            if long {
                self.push("? ");
            }
            self.text(key, indent, !long);
            if long {
                self.end_line();
                self.indent(indent);
            }
            self.push(":");
            match value {
                // Behind a key of its own lines they begin on the line of the colon.
                Node::Map(entries) if !entries.is_empty() => {
                    self.push(if long { " " } else { "\n" });
                    self.map(entries, indent + 2);
                }
                Node::List(items) if !items.is_empty() => {
                    self.push(if long { " " } else { "\n" });
                    self.list(items, if long { indent + 2 } else { indent });
                }
                other => {
                    self.push(" ");
                    self.value(other, indent);
                }
            }
        }
        self.end_line();
    }

    fn list(&mut self, items: &[Rc<Node>], indent: usize) {
        for (index, item) in items.iter().enumerate() {
            // The first item of a list in a list stands on the line of its parent.
            if index > 0 || self.column == 0 {
                self.end_line();
                self.indent(indent);
            }
            self.push("- ");
            match &**item {
                Node::Map(entries) if !entries.is_empty() => self.map(entries, indent + 2),
                Node::List(items) if !items.is_empty() => self.list(items, indent + 2),
                other => self.value(other, indent),
            }
        }
        self.end_line();
    }

    /// A value that needs no lines of its own, or a block text.
    fn value(&mut self, node: &Node, indent: usize) {
        match node {
            Node::Null => self.push("null"),
            Node::Bool(value) => self.push(if *value { "true" } else { "false" }),
            Node::Int(value) => self.push(&value.to_string()),
            Node::Float(value) => self.push(&float(*value)),
            Node::Text(text) => self.text(text, indent, false),
            Node::List(_) => self.push("[]"),
            Node::Map(_) => self.push("{}"),
        }
    }

    fn text(&mut self, text: &str, indent: usize, is_key: bool) {
        match style(text, is_key) {
            Style::Plain => self.folded(text, indent, is_key, |_| None),
            Style::Single => {
                self.push("'");
                self.folded(text, indent, is_key, |letter| {
                    (letter == '\'').then(|| "''".to_owned())
                });
                self.push("'");
            }
            Style::Double => self.double_quoted(text, indent, is_key),
            Style::Literal => self.literal(text, indent),
        }
    }

    /// Writes a text, breaking the line at single blanks beyond the width.
    fn folded(
        &mut self,
        text: &str,
        indent: usize,
        is_key: bool,
        escape: impl Fn(char) -> Option<String>,
    ) {
        let mut previous_blank = false;
        let mut letters = text.chars().enumerate().peekable();
        let last = text.chars().count().saturating_sub(1);
        while let Some((at, letter)) = letters.next() {
            if letter == ' ' {
                let next_blank = letters.peek().is_some_and(|(_, next)| *next == ' ');
                let breaks = !is_key
                    && !previous_blank
                    && self.column > WIDTH
                    && at != 0
                    && at != last
                    && !next_blank;
                if breaks {
                    self.push("\n");
                    self.indent(indent + 2);
                } else {
                    self.push(" ");
                }
                previous_blank = true;
                continue;
            }
            match escape(letter) {
                Some(escaped) => self.push(&escaped),
                None => self.push(letter.encode_utf8(&mut [0; 4])),
            }
            previous_blank = false;
        }
    }

    fn double_quoted(&mut self, text: &str, indent: usize, is_key: bool) {
        self.push("\"");
        let mut previous_blank = false;
        let mut letters = text.chars().enumerate().peekable();
        let last = text.chars().count().saturating_sub(1);
        while let Some((at, letter)) = letters.next() {
            if letter == ' ' {
                if !is_key && !previous_blank && self.column > WIDTH && at != 0 && at != last {
                    self.push("\n");
                    self.indent(indent + 2);
                    if letters.peek().is_some_and(|(_, next)| *next == ' ') {
                        self.push("\\");
                    }
                } else {
                    self.push(" ");
                }
                previous_blank = true;
                continue;
            }
            previous_blank = false;
            let escaped = match letter {
                '"' => "\\\"".to_owned(),
                '\\' => "\\\\".to_owned(),
                '\0' => "\\0".to_owned(),
                '\u{7}' => "\\a".to_owned(),
                '\u{8}' => "\\b".to_owned(),
                '\t' => "\\t".to_owned(),
                '\n' => "\\n".to_owned(),
                '\u{b}' => "\\v".to_owned(),
                '\u{c}' => "\\f".to_owned(),
                '\r' => "\\r".to_owned(),
                '\u{1b}' => "\\e".to_owned(),
                '\u{85}' => "\\N".to_owned(),
                '\u{2028}' => "\\L".to_owned(),
                '\u{2029}' => "\\P".to_owned(),
                letter if is_printable(letter) => letter.to_string(),
                letter => match u32::from(letter) {
                    code @ 0..=0xff => format!("\\x{code:02X}"),
                    code @ 0..=0xffff => format!("\\u{code:04X}"),
                    code => format!("\\U{code:08X}"),
                },
            };
            self.push(&escaped);
        }
        self.push("\"");
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.push("|");
        if text.starts_with([' ', '\n']) {
            self.push("2");
        }
        let body = text.trim_end_matches('\n');
        match text.len() - body.len() {
            0 => self.push("-"),
            1 if !body.is_empty() => {}
            _ => self.push("+"),
        }
        self.push("\n");
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            if !line.is_empty() {
                self.indent(indent + 2);
                self.push(line);
            }
            self.push("\n");
        }
    }
}

/// A number as Go's `strconv` gives it, with the words of YAML for what is none.
fn float(value: f64) -> String {
    match value {
        value if value.is_nan() => ".nan".to_owned(),
        f64::INFINITY => ".inf".to_owned(),
        f64::NEG_INFINITY => "-.inf".to_owned(),
        value => crate::format::float(value, 6),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

fn style(text: &str, is_key: bool) -> Style {
    if text.is_empty()
        || !matches!(resolve(text), Node::Text(_))
        || is_sexagesimal(text)
        || is_date(text)
    {
        return Style::Double;
    }
    if !text
        .chars()
        .all(|letter| letter == '\n' || is_printable(letter))
    {
        return Style::Double;
    }
    if text.contains('\n') {
        let blank_before_break = text.contains(" \n") || text.ends_with(' ');
        return if is_key || blank_before_break {
            Style::Double
        } else {
            Style::Literal
        };
    }
    if is_plain(text) {
        Style::Plain
    } else {
        Style::Single
    }
}

/// What stands for itself. U+2028 and U+2029 end a line for readers of YAML 1.1 and for no others, so they are escaped: the
/// reference writes them raw, which only its own reader takes for the same text.
fn is_printable(letter: char) -> bool {
    matches!(letter, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        && !matches!(letter, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Whether a one-line text can stand without quotes in block context.
fn is_plain(text: &str) -> bool {
    if text.starts_with(' ')
        || text.ends_with(' ')
        || text.starts_with("---")
        || text.starts_with("...")
    {
        return false;
    }
    let letters: Vec<char> = text.chars().collect();
    let followed_by_blank = |at: usize| letters.get(at + 1).is_none_or(|next| *next == ' ');
    let first = match letters[0] {
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%'
        | '@' | '`' => false,
        '-' | '?' => !followed_by_blank(0),
        _ => true,
    };
    first
        && letters.iter().enumerate().all(|(at, letter)| match letter {
            ':' => !followed_by_blank(at),
            '#' => at == 0 || letters[at - 1] != ' ',
            _ => true,
        })
}

/// `12:30:45` is a number of base 60 to old readers.
fn is_sexagesimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = unsigned.split(':');
    let first = parts.next().unwrap_or_default();
    let mut rest = 0;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let digits_and_underscores = |text: &str| digits(&text.replace('_', ""));
    let mut is_last = false;
    first.starts_with(|letter: char| letter.is_ascii_digit())
        && digits_and_underscores(first)
        && parts.all(|part| {
            rest += 1;
            let (whole, fraction) = part.split_once('.').unwrap_or((part, ""));
            let tens = whole.len() == 1
                || (whole.len() == 2 && whole.starts_with(['0', '1', '2', '3', '4', '5']));
            // Only the last part has a fraction.
            let fits = tens && digits(whole) && digits_and_underscores(fraction) && !is_last;
            is_last |= part.contains('.');
            fits
        })
        && rest > 0
}

/// A date or a timestamp of YAML 1.1, as far as the reference knows them: with `T` and a zone, or with a blank and none.
fn is_date(text: &str) -> bool {
    let number = |text: &str, most: usize| -> Option<u32> {
        let is_short = (1..=most).contains(&text.len());
        (is_short && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse().ok())
            .flatten()
    };
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (
            &text[..at],
            Some((text.as_bytes()[at] == b' ', &text[at + 1..])),
        ),
        None => (text, None),
    };
    let mut parts = date.splitn(3, '-');
    let year = parts
        .next()
        .filter(|year| year.len() == 4)
        .and_then(|year| number(year, 4));
    let mut part = |range: std::ops::RangeInclusive<u32>| {
        parts
            .next()
            .and_then(|part| number(part, 2))
            .filter(|part| range.contains(part))
    };
    let (Some(year), Some(month), Some(day)) = (year, part(1..=12), part(1..=31)) else {
        return false;
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if day > days {
        return false;
    }
    let Some((is_without_zone, time)) = time else {
        return true;
    };
    let time = if is_without_zone {
        time
    } else if let Some(time) = time.strip_suffix('Z') {
        time
    } else {
        let Some((time, zone)) = time.rfind(['+', '-']).map(|at| time.split_at(at)) else {
            return false;
        };
        let is_zone = zone.len() == 6
            && zone[1..].split_once(':').is_some_and(|(hours, minutes)| {
                number(hours, 2).is_some_and(|hours| hours <= 24)
                    && minutes.len() == 2
                    && number(minutes, 2).is_some_and(|minutes| minutes < 60)
            });
        if !is_zone {
            return false;
        }
        time
    };
    let mut parts = time.splitn(3, ':');
    let mut part = |limit: u32| {
        let part = parts.next().unwrap_or_default();
        let (whole, fraction) = match part.split_once(['.', ',']).filter(|_| limit == 61) {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (part, None),
        };
        let fraction_fits = fraction.is_none_or(|digits| {
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        });
        fraction_fits && number(whole, 2).is_some_and(|part| part < limit.min(60))
    };
    part(24) && part(60) && part(61)
}

/// Orders keys as people count: `a2` before `a10`, letters after everything else.
fn natural(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = a.iter().zip(&b).position(|(a, b)| a != b) else {
        return a.len().cmp(&b.len());
    };
    match (a[at].is_alphabetic(), b[at].is_alphabetic()) {
        (true, true) => return a[at].cmp(&b[at]),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let number = |letters: &[char]| {
        let len = letters[at..]
            .iter()
            .take_while(|letter| letter.is_ascii_digit())
            .count();
        // A zero after other digits continues their number.
        let continued = (a[at] == '0' || b[at] == '0')
            && letters[..at]
                .iter()
                .rev()
                .take_while(|letter| letter.is_ascii_digit())
                .any(|digit| *digit != '0');
        // A number beyond 64 bits wraps round, as in Go.
        let start = i64::from(continued);
        let value = letters[at..at + len].iter().fold(start, |n, digit| {
            n.wrapping_mul(10)
                .wrapping_add(i64::from(digit.to_digit(10).unwrap_or(0)))
        });
        (value, len)
    };
    number(&a).cmp(&number(&b)).then_with(|| a[at].cmp(&b[at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_ordered_as_people_count() {
        let mut keys = ["b", "a10", "a2", "B", "a", "a-b", "a.b", "1", "_"];
        keys.sort_by(|a, b| natural(a, b));
        assert_eq!(keys, ["_", "1", "B", "a", "a-b", "a.b", "a2", "a10", "b"]);
    }
}
