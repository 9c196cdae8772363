//! Regular expressions in the syntax of RE2.

use std::borrow::Cow;
use std::ops::Range;

use regex::bytes::{Captures, Regex, RegexBuilder};

use crate::format::runes;
use crate::function::Parameter::{Int, Text as TextParameter};
use crate::function::{Entry, Function, bytes, fixed, int};
use crate::text::Text;
use crate::value::{List, ListKind, Value};

const FIND: Function = fixed(&[TextParameter, TextParameter], |_, a| {
    let regex = compile(bytes(a, 0))?;
    let subject = Subject::new(bytes(a, 1));
    let found = subject.matches(&regex).next();
    Ok(Value::text(
        found.map(|found| &subject.all[found]).unwrap_or_default(),
    ))
});
const FIND_ALL: Function = fixed(&[TextParameter, TextParameter, Int], |_, a| {
    let regex = compile(bytes(a, 0))?;
    let count = usize::try_from(int(a, 2)).unwrap_or(usize::MAX);
    let subject = Subject::new(bytes(a, 1));
    let found = subject.matches(&regex).take(count);
    let found: Vec<Text> = found.map(|found| Text::from(&subject.all[found])).collect();
    Ok(if found.is_empty() {
        Value::List(List::nil(ListKind::Text))
    } else {
        Value::texts(found)
    })
});
const REPLACE_ALL: Function = fixed(&[TextParameter, TextParameter, TextParameter], |_, a| {
    let regex = compile(bytes(a, 0))?;
    let by = bytes(a, 2);
    Ok(Value::text(
        Subject::new(bytes(a, 1)).replaced(&regex, |found, out| found.expand(by, out)),
    ))
});
const REPLACE_ALL_LITERAL: Function =
    fixed(&[TextParameter, TextParameter, TextParameter], |_, a| {
        let regex = compile(bytes(a, 0))?;
        let by = bytes(a, 2);
        Ok(Value::text(
            Subject::new(bytes(a, 1)).replaced(&regex, |_, out| out.extend_from_slice(by)),
        ))
    });
const SPLIT: Function = fixed(&[TextParameter, TextParameter, Int], |_, a| {
    let regex = compile(bytes(a, 0))?;
    Ok(split(&regex, bytes(a, 0), bytes(a, 1), int(a, 2)))
});

/// A text that is searched. RE2 takes an invalid byte for the character U+FFFD, and matches nothing only between
/// characters.
struct Subject<'a> {
    all: &'a [u8],
    seen: Cow<'a, str>,
    /// Where each byte of `seen` stands in `all`, and the end; empty if they are the same.
    places: Vec<usize>,
}

impl<'a> Subject<'a> {
    fn new(all: &'a [u8]) -> Self {
        if let Ok(text) = std::str::from_utf8(all) {
            return Self {
                all,
                seen: Cow::Borrowed(text),
                places: Vec::new(),
            };
        }
        let mut seen = String::with_capacity(all.len() * 3);
        let mut places = Vec::with_capacity(all.len() * 3 + 1);
        let mut at = 0;
        for (rune, raw) in runes(all) {
            seen.push(rune.unwrap_or('\u{fffd}'));
            places.resize(seen.len(), at);
            at += raw.len();
        }
        places.push(all.len());
        Self {
            all,
            seen: Cow::Owned(seen),
            places,
        }
    }

    fn place(&self, seen: usize) -> usize {
        self.places.get(seen).copied().unwrap_or(seen)
    }

    fn is_possible(&self, start: usize, end: usize) -> bool {
        start < end || self.seen.is_char_boundary(start)
    }

    /// Where an expression matches, in the bytes as they are.
    fn matches(&self, regex: &Regex) -> impl Iterator<Item = Range<usize>> {
        regex
            .find_iter(self.seen.as_bytes())
            .filter(|found| self.is_possible(found.start(), found.end()))
            .map(|found| self.place(found.start())..self.place(found.end()))
    }

    fn replaced(&self, regex: &Regex, put: impl Fn(&Captures<'_>, &mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.all.len());
        let mut done = 0;
        for captures in regex.captures_iter(self.seen.as_bytes()) {
            let found = captures.get_match();
            if self.is_possible(found.start(), found.end()) {
                out.extend_from_slice(&self.all[done..self.place(found.start())]);
                put(&captures, &mut out);
                done = self.place(found.end());
            }
        }
        out.extend_from_slice(&self.all[done..]);
        out
    }
}

pub(super) const FUNCTIONS: &[Entry] = &[
    // The lenient form takes a broken expression for one that never matches.
    (
        "regexMatch",
        fixed(&[TextParameter, TextParameter], |_, a| {
            let matches = compile(bytes(a, 0)).is_ok_and(|regex| is_match(&regex, bytes(a, 1)));
            Ok(Value::Bool(matches))
        }),
    ),
    (
        "mustRegexMatch",
        fixed(&[TextParameter, TextParameter], |_, a| {
            Ok(Value::Bool(is_match(&compile(bytes(a, 0))?, bytes(a, 1))))
        }),
    ),
    ("regexFind", FIND),
    ("mustRegexFind", FIND),
    ("regexFindAll", FIND_ALL),
    ("mustRegexFindAll", FIND_ALL),
    ("regexReplaceAll", REPLACE_ALL),
    ("mustRegexReplaceAll", REPLACE_ALL),
    ("regexReplaceAllLiteral", REPLACE_ALL_LITERAL),
    ("mustRegexReplaceAllLiteral", REPLACE_ALL_LITERAL),
    ("regexSplit", SPLIT),
    ("mustRegexSplit", SPLIT),
];

fn is_match(regex: &Regex, all: &[u8]) -> bool {
    Subject::new(all).matches(regex).next().is_some()
}

/// Compiles an expression; the error does not quote it, because it may be made of values.
fn compile(expression: &[u8]) -> Result<Regex, String> {
    let invalid = || "error parsing regexp".to_owned();
    let expression = std::str::from_utf8(expression).map_err(|_| invalid())?;
    RegexBuilder::new(&translate(expression))
        .size_limit(2 * 1024 * 1024)
        .build()
        .map_err(|_| invalid())
}

/// Translates what RE2 and this crate's engine understand differently: `\d`, `\s`, `\w` and `\b`
/// are ASCII in RE2, `\Q…\E` quotes, and a class knows no nesting and no operators.
fn translate(expression: &str) -> String {
    let mut out = String::with_capacity(expression.len() + 16);
    let mut rest = expression.chars().peekable();
    let mut class_depth = 0;
    let mut class_start = false;
    while let Some(rune) = rest.next() {
        let at_class_start = std::mem::take(&mut class_start);
        match rune {
            '\\' => match rest.next() {
                Some('Q') => {
                    let mut quoted = String::new();
                    while let Some(rune) = rest.next() {
                        if rune == '\\' && rest.peek() == Some(&'E') {
                            rest.next();
                            break;
                        }
                        quoted.push(rune);
                    }
                    out.push_str(&regex::escape(&quoted));
                }
                Some('b') if class_depth == 0 => out.push_str("(?-u:\\b)"),
                Some('B') if class_depth == 0 => out.push_str("(?-u:\\B)"),
                Some('d') => out.push_str("[0-9]"),
                Some('D') => out.push_str("[^0-9]"),
                Some('s') => out.push_str("[\\t\\n\\f\\r ]"),
                Some('S') => out.push_str("[^\\t\\n\\f\\r ]"),
                Some('w') => out.push_str("[0-9A-Za-z_]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some(other) => {
                    out.push('\\');
                    out.push(other);
                    if matches!(other, 'p' | 'P' | 'x') && rest.peek() == Some(&'{') {
                        for rune in rest.by_ref() {
                            out.push(rune);
                            if rune == '}' {
                                break;
                            }
                        }
                    }
                }
                None => out.push('\\'),
            },
            '[' if class_depth == 0 => {
                class_depth = 1;
                class_start = true;
                out.push('[');
                if rest.peek() == Some(&'^') {
                    rest.next();
                    out.push('^');
                }
                if rest.peek() == Some(&']') {
                    rest.next();
                    out.push_str("\\]");
                    class_start = false;
                }
            }
            '[' if rest.peek() == Some(&':') => {
                out.push('[');
                for rune in rest.by_ref() {
                    out.push(rune);
                    if rune == ']' {
                        break;
                    }
                }
            }
            '[' => out.push_str("\\["),
            ']' if class_depth == 1 => {
                class_depth = 0;
                out.push(']');
            }
            '&' | '~' if class_depth == 1 => {
                out.push('\\');
                out.push(rune);
            }
            '{' if class_depth == 0 && !is_repetition(rest.clone()) => out.push_str("\\{"),
            '-' if class_depth == 1 && (at_class_start || rest.peek() == Some(&']')) => {
                out.push_str("\\-");
            }
            other => out.push(other),
        }
    }
    out
}

/// `{2}`, `{2,}`, `{2,5}`: any other brace stands for itself in RE2.
fn is_repetition(rest: impl Iterator<Item = char>) -> bool {
    let inside: String = rest.take_while(|&rune| rune != '}').take(10).collect();
    let (least, most) = inside.split_once(',').unwrap_or((&inside, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && is_number(least) && is_number(most)
}

/// `regexp.Split`.
fn split(regex: &Regex, expression: &[u8], all: &[u8], count: i64) -> Value {
    let Ok(limit) = usize::try_from(count).or(if count < 0 { Ok(usize::MAX) } else { Err(()) })
    else {
        return Value::List(List::nil(ListKind::Text));
    };
    if limit == 0 {
        return Value::List(List::nil(ListKind::Text));
    }
    if !expression.is_empty() && all.is_empty() {
        return Value::texts(vec![Text::from("")]);
    }
    let mut parts = Vec::new();
    let (mut start, mut end) = (0, 0);
    for found in Subject::new(all).matches(regex).take(limit) {
        if parts.len() + 1 == limit {
            break;
        }
        end = found.start;
        if found.end != 0 {
            parts.push(Text::from(&all[start..end]));
        }
        start = found.end;
    }
    if end != all.len() {
        parts.push(Text::from(&all[start..]));
    }
    Value::texts(parts)
}
