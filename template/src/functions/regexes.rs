//! Regular expressions in the syntax of RE2.

use std::borrow::Cow;
use std::ops::Range;

use regex::bytes::{Captures, Regex, RegexBuilder};
use zeroize::Zeroizing;

use crate::format::runes;
use crate::function::Parameter::{Int, Text as TextParameter};
use crate::function::{Entry, Environment, Function, bytes, fixed, int};
use crate::sink::Sink;
use crate::text::{TEXT_SIZE, Text};
use crate::value::{List, ListKind, Value};

const FIND: Function = fixed(&[TextParameter, TextParameter], |e, a| {
    let subject = Subject::new(bytes(a, 1));
    let regex = compile(bytes(a, 0), &subject)?;
    let found = subject.matches(e, &regex).next().transpose()?;
    Ok(Value::text(
        found.map(|found| &subject.all[found]).unwrap_or_default(),
    ))
});
const FIND_ALL: Function = fixed(&[TextParameter, TextParameter, Int], |e, a| {
    let subject = Subject::new(bytes(a, 1));
    let regex = compile(bytes(a, 0), &subject)?;
    let count = usize::try_from(int(a, 2)).unwrap_or(usize::MAX);
    let mut charge = e.budget.charge(0)?;
    let mut texts = Vec::new();
    for found in subject.matches(e, &regex).take(count) {
        let found = found?;
        charge.grow(TEXT_SIZE + size_of::<Value>() + found.len())?;
        texts.push(Text::from(&subject.all[found]));
    }
    Ok(if texts.is_empty() {
        Value::List(List::nil(ListKind::Text))
    } else {
        Value::texts(texts)
    })
});
const REPLACE_ALL: Function = fixed(&[TextParameter, TextParameter, TextParameter], |e, a| {
    let by = bytes(a, 2);
    let subject = Subject::new(bytes(a, 1));
    let regex = compile(bytes(a, 0), &subject)?;
    let mut expanded = Zeroizing::new(Vec::new());
    subject.replaced(e, &regex, |found, out| {
        // Every group that `by` names is at most the match.
        let most = by.len().saturating_mul(1 + found.get_match().len());
        if e.budget.check_room(most).is_err() {
            out.overflow();
            return;
        }
        expanded.clear();
        found.expand(by, &mut expanded);
        out.extend_from_slice(&expanded);
    })
});
const REPLACE_ALL_LITERAL: Function =
    fixed(&[TextParameter, TextParameter, TextParameter], |e, a| {
        let by = bytes(a, 2);
        let subject = Subject::new(bytes(a, 1));
        let regex = compile(bytes(a, 0), &subject)?;
        subject.replaced(e, &regex, |_, out| out.extend_from_slice(by))
    });
const SPLIT: Function = fixed(&[TextParameter, TextParameter, Int], |e, a| {
    let subject = Subject::new(bytes(a, 1));
    let regex = compile(bytes(a, 0), &subject)?;
    split(e, &regex, bytes(a, 0), &subject, int(a, 2))
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

    fn is_match(&self, e: &Environment, regex: &Regex) -> Result<bool, String> {
        Ok(self.matches(e, regex).next().transpose()?.is_some())
    }

    fn is_possible(&self, start: usize, end: usize) -> bool {
        start < end || self.seen.is_char_boundary(start)
    }

    /// Where an expression matches, in the bytes as they are. Every search may go to the end of the text, so each counts
    /// as one.
    fn matches(
        &self,
        e: &Environment,
        regex: &Regex,
    ) -> impl Iterator<Item = Result<Range<usize>, String>> {
        let all = self.seen.len();
        regex
            .find_iter(self.seen.as_bytes())
            .map(move |found| (found, e.budget.tick(64 + all - found.start())))
            .filter(|(found, _)| self.is_possible(found.start(), found.end()))
            .map(|(found, ticked)| {
                ticked?;
                Ok(self.place(found.start())..self.place(found.end()))
            })
    }

    fn replaced(
        &self,
        e: &Environment,
        regex: &Regex,
        mut put: impl FnMut(&Captures<'_>, &mut Sink<'_>),
    ) -> Result<Value, String> {
        let mut out = Sink::new(&e.budget);
        let mut done = 0;
        for captures in regex.captures_iter(self.seen.as_bytes()) {
            let found = captures.get_match();
            e.budget.tick(64 + self.seen.len() - found.start())?;
            if self.is_possible(found.start(), found.end()) {
                out.extend_from_slice(&self.all[done..self.place(found.start())]);
                put(&captures, &mut out);
                done = self.place(found.end());
            }
            if out.is_full() {
                break;
            }
        }
        out.extend_from_slice(&self.all[done..]);
        Ok(Value::Text(out.finish()?))
    }
}

pub(super) const FUNCTIONS: &[Entry] = &[
    // The lenient form takes a broken expression for one that never matches.
    (
        "regexMatch",
        fixed(&[TextParameter, TextParameter], |e, a| {
            let subject = Subject::new(bytes(a, 1));
            let regex = compile(bytes(a, 0), &subject);
            Ok(Value::Bool(match regex {
                Ok(regex) => subject.is_match(e, &regex)?,
                Err(_) => false,
            }))
        }),
    ),
    (
        "mustRegexMatch",
        fixed(&[TextParameter, TextParameter], |e, a| {
            let subject = Subject::new(bytes(a, 1));
            let regex = compile(bytes(a, 0), &subject)?;
            Ok(Value::Bool(subject.is_match(e, &regex)?))
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

/// Longer texts are not searched; a Secret holds at most 1 MiB.
const MAX_SUBJECT: usize = 1024 * 1024;
/// Bytes of a compiled expression times bytes of the text: a search can be neither interrupted nor told how long it may
/// take, and takes as long as their product at worst.
const MAX_PRODUCT: usize = 4_000_000_000;

/// Compiles an expression, the larger the text the smaller; the error does not quote it, because it may be made of
/// values.
fn compile(expression: &[u8], subject: &Subject<'_>) -> Result<Regex, String> {
    let invalid = || "error parsing regexp".to_owned();
    if subject.all.len() > MAX_SUBJECT {
        return Err("the text is too long to be searched".to_owned());
    }
    let expression = std::str::from_utf8(expression).map_err(|_| invalid())?;
    let translated = sealwright_re2::translate(expression).map_err(|_| invalid())?;
    let size = MAX_PRODUCT / (1 + subject.seen.len());
    RegexBuilder::new(&translated)
        .size_limit(size.clamp(32 * 1024, 2 * 1024 * 1024))
        .dfa_size_limit(1024 * 1024)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                "the regular expression is too large for a text of this length".to_owned()
            }
            _ => invalid(),
        })
}

/// `regexp.Split`.
fn split(
    e: &Environment,
    regex: &Regex,
    expression: &[u8],
    subject: &Subject<'_>,
    count: i64,
) -> Result<Value, String> {
    let nil = || Ok(Value::List(List::nil(ListKind::Text)));
    let all = subject.all;
    let limit = match usize::try_from(count) {
        Ok(0) => return nil(),
        Ok(limit) => limit,
        Err(_) => usize::MAX,
    };
    if !expression.is_empty() && all.is_empty() {
        return Ok(Value::texts(vec![Text::from("")]));
    }
    let mut charge = e.budget.charge(0)?;
    let mut parts = Vec::new();
    let (mut start, mut end) = (0, 0);
    for found in subject.matches(e, regex).take(limit) {
        let found = found?;
        if parts.len() + 1 == limit {
            break;
        }
        end = found.start;
        if found.end != 0 {
            charge.grow(TEXT_SIZE + size_of::<Value>() + end - start)?;
            parts.push(Text::from(&all[start..end]));
        }
        start = found.end;
    }
    if end != all.len() {
        parts.push(Text::from(&all[start..]));
    }
    Ok(Value::texts(parts))
}
