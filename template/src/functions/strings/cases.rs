//! Upper and lower case, and the names that programs make of words.

use super::{is_space, push};
use crate::format::runes;

/// `unicode.ToUpper`: one character for one.
pub(super) fn upper(rune: char) -> char {
    let behind = match rune {
        // With an iota below: several characters in full, one in Unicode's simple mapping.
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => 8,
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => 9,
        _ => return single(rune, rune.to_uppercase()),
    };
    char::from_u32(u32::from(rune) + behind).unwrap_or(rune)
}

/// `unicode.ToTitle`: as upper case, but for letters that are two in one, and the Georgian ones.
fn title_case(rune: char) -> char {
    match rune {
        'Ǆ' | 'ǅ' | 'ǆ' => 'ǅ',
        'Ǉ' | 'ǈ' | 'ǉ' => 'ǈ',
        'Ǌ' | 'ǋ' | 'ǌ' => 'ǋ',
        'Ǳ' | 'ǲ' | 'ǳ' => 'ǲ',
        'ა'..='ჺ' | 'ჽ'..='ჿ' => rune,
        _ => upper(rune),
    }
}

/// `unicode.ToLower`: one character for one.
pub(super) fn lower(rune: char) -> char {
    match rune {
        'İ' => 'i',
        _ => single(rune, rune.to_lowercase()),
    }
}

fn single(rune: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(mapped), None) => mapped,
        _ => rune,
    }
}

/// `strings.Title`: a letter behind anything but letters, digits, underscores and marks.
pub(super) fn title(all: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(all.len());
    let mut previous = ' ';
    for (rune, _) in runes(all) {
        let rune = rune.unwrap_or('\u{fffd}');
        let is_start = match previous {
            '0'..='9' | 'a'..='z' | 'A'..='Z' | '_' => false,
            _ if previous.is_ascii() => true,
            _ if previous.is_alphanumeric() => false,
            _ => is_space(previous),
        };
        push(&mut out, if is_start { title_case(rune) } else { rune });
        previous = rune;
    }
    out
}

/// The first letter of every word in lower case.
pub(super) fn untitle(all: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(all.len());
    let mut is_start = true;
    for (rune, _) in runes(all) {
        let rune = rune.unwrap_or('\u{fffd}');
        if is_space(rune) {
            is_start = true;
            push(&mut out, rune);
        } else {
            push(&mut out, if is_start { lower(rune) } else { rune });
            is_start = false;
        }
    }
    out
}

/// Upper for lower and lower for upper; title case where a word starts.
pub(super) fn swap(all: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(all.len());
    let mut is_start = true;
    for (rune, _) in runes(all) {
        let rune = rune.unwrap_or('\u{fffd}');
        let swapped = if rune.is_uppercase() || matches!(rune, 'ǅ' | 'ǈ' | 'ǋ' | 'ǲ') {
            is_start = false;
            lower(rune)
        } else if rune.is_lowercase() {
            if std::mem::take(&mut is_start) {
                title_case(rune)
            } else {
                upper(rune)
            }
        } else {
            is_start = is_space(rune);
            rune
        };
        push(&mut out, swapped);
    }
    out
}

fn is_connector(rune: char) -> bool {
    rune == '-' || rune == '_' || is_space(rune)
}

/// `SomeWords` of `some_words`.
pub(super) fn camel(all: &[u8]) -> Vec<u8> {
    let runes: Vec<char> = runes(all)
        .map(|(rune, _)| rune.unwrap_or('\u{fffd}'))
        .collect();
    let mut out = Vec::with_capacity(all.len());
    let start = runes.iter().take_while(|&&rune| is_connector(rune)).count();
    runes[..start].iter().for_each(|&rune| push(&mut out, rune));
    let Some((&first, rest)) = runes[start..].split_first() else {
        // Upstream writes the last of nothing but connectors twice.
        runes
            .last()
            .into_iter()
            .for_each(|&rune| push(&mut out, rune));
        return out;
    };
    let mut word_is_upper = first.is_uppercase();
    let mut current = upper(first);
    for &next in rest {
        let previous = current;
        current = next;
        if is_connector(current) && is_connector(previous) {
            push(&mut out, previous);
            continue;
        }
        if is_connector(previous) {
            word_is_upper = current.is_uppercase();
            current = upper(current);
            continue;
        }
        if word_is_upper {
            if current.is_uppercase() {
                current = lower(current);
            } else {
                word_is_upper = false;
            }
        }
        push(&mut out, previous);
    }
    push(&mut out, current);
    out
}

/// The kinds of words that names consist of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    None,
    Number,
    Upper,
    Letters,
    Connector,
    Punctuation,
    Other,
}

/// `some_words` of `SomeWords`, with the connector given.
pub(super) fn separated(all: &[u8], connector: u8) -> Vec<u8> {
    let runes = with_attached_bytes(all);
    if runes.is_empty() {
        return all.to_vec();
    }
    let mut words = Words { runes: &runes };
    let mut out = Vec::with_capacity(all.len() + 8);
    let (mut kind, mut word) = words.next();
    let splits = |kind: Word| !matches!(kind, Word::Connector | Word::Punctuation);
    while !words.runes.is_empty() {
        if kind != Word::Connector {
            push_word(&mut out, kind, word, connector);
        }
        let (before, last) = (kind, word);
        (kind, word) = words.next();
        match before {
            Word::Number => {
                while matches!(kind, Word::Letters | Word::Number) {
                    push_word(&mut out, kind, word, connector);
                    (kind, word) = words.next();
                }
                if kind != Word::None && splits(kind) {
                    out.push(connector);
                }
            }
            Word::Connector => push_word(&mut out, before, last, connector),
            Word::Punctuation => {}
            _ if kind != Word::Number => {
                if splits(kind) {
                    out.push(connector);
                }
            }
            _ if words.runes.is_empty() => {}
            _ => {
                let number = word;
                (kind, word) = words.next();
                if kind != Word::Letters {
                    push_word(&mut out, Word::Number, number, connector);
                    if splits(kind) {
                        out.push(connector);
                    }
                    continue;
                }
                out.push(connector);
                push_word(&mut out, Word::Number, number, connector);
                while matches!(kind, Word::Letters | Word::Number) {
                    push_word(&mut out, kind, word, connector);
                    (kind, word) = words.next();
                }
                if kind != Word::None && splits(kind) {
                    out.push(connector);
                }
            }
        }
    }
    push_word(&mut out, kind, word, connector);
    out
}

/// A character with its bytes and the invalid bytes around it, which belong to its word.
type Attached<'a> = (char, &'a [u8]);

/// The characters of a text; invalid bytes, and the character that stands for them elsewhere, go with the character
/// behind them, at the end with the one before. Empty if there is no character.
fn with_attached_bytes(all: &[u8]) -> Vec<Attached<'_>> {
    let mut found: Vec<Attached<'_>> = Vec::with_capacity(all.len());
    let (mut start, mut at) = (0, 0);
    for (rune, raw) in runes(all) {
        at += raw.len();
        if let Some(rune) = rune.filter(|rune| *rune != '\u{fffd}') {
            found.push((rune, &all[start..at]));
            start = at;
        }
    }
    if let Some((_, last)) = found.last_mut() {
        *last = &all[start - last.len()..];
    }
    found
}

fn push_word(out: &mut Vec<u8>, kind: Word, word: &[Attached<'_>], connector: u8) {
    for &(_, raw) in word {
        if !matches!(kind, Word::Upper | Word::Connector) {
            out.extend_from_slice(raw);
            continue;
        }
        for (rune, _) in runes(raw) {
            match rune.unwrap_or('\u{fffd}') {
                rune if is_connector(rune) => out.push(connector),
                rune => push(out, lower(rune)),
            }
        }
    }
}

struct Words<'a> {
    runes: &'a [Attached<'a>],
}

impl<'a> Words<'a> {
    fn next(&mut self) -> (Word, &'a [Attached<'a>]) {
        let runes = self.runes;
        let Some(&(first, _)) = runes.first() else {
            return (Word::None, &[]);
        };
        let run = |belongs: &dyn Fn(char) -> bool, from: usize| {
            from + runes[from..]
                .iter()
                .take_while(|(rune, _)| belongs(*rune))
                .count()
        };
        let letters = |rune: char| rune.is_alphabetic() && !rune.is_uppercase();
        let (kind, end) = if is_connector(first) {
            (Word::Connector, run(&is_connector, 1))
        } else if is_punctuation(first) {
            (Word::Punctuation, run(&is_punctuation, 1))
        } else if first.is_uppercase() {
            let end = run(&char::is_uppercase, 1);
            let end = match runes.get(end) {
                // In `HTTPServer` the last capital begins the next word.
                Some((rune, _)) if end > 1 && rune.is_alphabetic() => end - 1,
                _ if end == 1 => run(&letters, 1),
                _ => end,
            };
            (Word::Upper, end)
        } else if first.is_alphabetic() {
            (Word::Letters, run(&letters, 1))
        } else if first.is_numeric() {
            (Word::Number, run(&char::is_numeric, 1))
        } else {
            let other = |rune: char| {
                !(is_connector(rune) || is_punctuation(rune) || rune.is_alphanumeric())
            };
            (Word::Other, run(&other, 1))
        };
        let (word, rest) = runes.split_at(end);
        self.runes = rest;
        (kind, word)
    }
}

/// `unicode.IsPunct` for ASCII and the common blocks behind it; `$+<=>^` and the backtick and bar are symbols.
fn is_punctuation(rune: char) -> bool {
    match rune {
        '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~' => false,
        _ if rune.is_ascii() => rune.is_ascii_punctuation(),
        '¡' | '§' | '«' | '¶' | '·' | '»' | '¿' => true,
        '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{2043}' | '\u{2045}'..='\u{2051}' => true,
        '\u{2053}'..='\u{205e}' | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}' => true,
        _ => false,
    }
}
