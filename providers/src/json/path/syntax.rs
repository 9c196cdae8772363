//! The words of a path: where its parts, queries, lists and modifiers end.

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    End,
    Dot,
    Pipe,
}

/// The first part of a path, what follows it, and the rest.
pub(super) fn part(path: &str) -> (&str, Next, &str) {
    let mut escaped = false;
    for (at, character) in path.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '.' => {
                let rest = &path[at + 1..];
                let next = match is_piper(rest) {
                    true => Next::Pipe,
                    false => Next::Dot,
                };
                return (&path[..at], next, rest);
            }
            '|' => return (&path[..at], Next::Pipe, &path[at + 1..]),
            _ => {}
        }
    }
    (path, Next::End, "")
}

/// Returns true for what takes the whole of a value, whatever separates it: a modifier, or a list of paths.
fn is_piper(path: &str) -> bool {
    path.starts_with(['{', '[']) || modifier(path).is_some()
}

pub(super) fn is_pattern(name: &str) -> bool {
    let mut escaped = false;
    name.chars().any(|character| {
        let pattern = !escaped && matches!(character, '*' | '?');
        escaped = !escaped && character == '\\';
        pattern
    })
}

pub(super) fn literal(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut escaped = false;
    for character in name.chars() {
        if character == '\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            out.push(character);
        }
    }
    out
}

/// A query at the beginning of a path: its inside, whether all are wanted, what follows, and the rest.
pub(super) fn query(path: &str) -> Option<(&str, bool, Next, &str)> {
    let open = path.strip_prefix('#')?;
    if !open.starts_with(['(', '[']) {
        return None;
    }
    let close = closing(open)?;
    let inside = open[1..close].trim();
    let mut rest = &open[close + 1..];
    let all = rest.starts_with('#');
    if all {
        rest = &rest[1..];
    }
    let (next, rest) = match rest.chars().next() {
        None => (Next::End, ""),
        Some('.') => (Next::Dot, &rest[1..]),
        Some('|') => (Next::Pipe, &rest[1..]),
        Some(_) => return None,
    };
    Some((inside, all, next, rest))
}

/// The characters of a text outside of its quotes, each with its place and with how many brackets are open behind it.
fn unquoted(text: &str) -> impl Iterator<Item = (usize, char, usize)> {
    let mut depth = 0usize;
    let (mut quoted, mut escaped) = (false, false);
    text.char_indices().filter_map(move |(at, character)| {
        match character {
            _ if escaped => {
                escaped = false;
                return None;
            }
            '\\' => {
                escaped = true;
                return None;
            }
            '"' => {
                quoted = !quoted;
                return None;
            }
            _ if quoted => return None,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        Some((at, character, depth))
    })
}

/// Where the bracket that a text begins with is closed.
pub(super) fn closing(text: &str) -> Option<usize> {
    let closes = |(_, character, depth): &(usize, char, usize)| {
        *depth == 0 && matches!(character, ')' | ']' | '}')
    };
    unquoted(text).find(closes).map(|(at, ..)| at)
}

/// Left side, operator and right side of a query.
pub(super) fn split_query(query: &str) -> (&str, &str, &str) {
    const OPERATORS: [&str; 9] = ["==", "!=", "!%", "<=", ">=", "=", "<", ">", "%"];
    for (at, _, depth) in unquoted(query) {
        let rest = &query[at..];
        let operator = OPERATORS
            .into_iter()
            .find(|operator| depth == 0 && rest.starts_with(operator));
        if let Some(operator) = operator {
            return (query[..at].trim(), operator, rest[operator.len()..].trim());
        }
    }
    (query.trim(), "", "")
}

pub(super) fn top_level_pipe(path: &str) -> Option<usize> {
    let is_pipe = |(_, character, depth): &(usize, char, usize)| *character == '|' && *depth == 0;
    unquoted(path).find(is_pipe).map(|(at, ..)| at)
}

/// The items of a list of paths.
pub(super) fn split_list(inside: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let mut start = 0;
    for (at, character, depth) in unquoted(inside) {
        if character == ',' && depth == 0 {
            items.push(inside[start..at].trim());
            start = at + 1;
        }
    }
    items.push(inside[start..].trim());
    items.retain(|item| !item.is_empty());
    items
}

/// The name that an item of a list gives to what it finds: `"name":path`.
pub(super) fn named(item: &str) -> (Option<String>, &str) {
    let Some(rest) = item.strip_prefix('"') else {
        return (None, item);
    };
    let Some((name, path)) = rest.split_once("\":") else {
        return (None, item);
    };
    (Some(name.to_owned()), path)
}

pub(super) fn last_name(path: &str) -> String {
    let bytes = path.as_bytes();
    let separates =
        |at: &usize| matches!(bytes[*at], b'.' | b'|') && (*at == 0 || bytes[*at - 1] != b'\\');
    let start = (0..bytes.len()).rev().find(separates);
    let name = &path[start.map_or(0, |at| at + 1)..];
    let odd = |character: char| character < ' ' || "[]{}()#|!".contains(character);
    match name.contains(odd) {
        true => "_".to_owned(),
        false => name.to_owned(),
    }
}

pub(super) const MODIFIERS: [&str; 9] = [
    "this", "reverse", "keys", "values", "valid", "ugly", "flatten", "tostr", "fromstr",
];

/// A modifier at the beginning of a path: its name, its argument, what follows, and the rest.
pub(super) fn modifier(path: &str) -> Option<(&str, &str, Next, &str)> {
    let text = path.strip_prefix('@')?;
    let end = text.find(['.', '|', ':']).unwrap_or(text.len());
    let name = &text[..end];
    if !MODIFIERS.contains(&name) {
        return None;
    }
    let (argument, rest) = match text[end..].strip_prefix(':') {
        None => ("", &text[end..]),
        Some(argument) if argument.starts_with(['{', '[', '"']) => {
            let close = match argument.strip_prefix('"') {
                Some(inside) => inside.find('"')? + 1,
                None => closing(argument)?,
            };
            argument.split_at(close + 1)
        }
        Some(argument) => argument.split_at(argument.find(['.', '|']).unwrap_or(argument.len())),
    };
    match rest.chars().next() {
        None => Some((name, argument, Next::End, "")),
        Some('.') => Some((name, argument, Next::Dot, &rest[1..])),
        Some('|') => Some((name, argument, Next::Pipe, &rest[1..])),
        Some(_) => None,
    }
}
