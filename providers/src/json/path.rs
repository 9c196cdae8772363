//! Paths into JSON, as `property` of most stores has them: the language of gjson.
//!
//! Parts are separated by `.` or `|`; `\` takes the next character literally. `*` and `?` match parts of names. Of an
//! array, a number is an element, `#` its length, `#.x` the `x` of every element, `#(x=="y")` the first element that
//! agrees and `#(x=="y")#` all of them. `@this`, `@reverse`, `@keys`, `@values`, `@valid`, `@ugly`, `@flatten`,
//! `@tostr` and `@fromstr` change what was found, and `{a,b}` and `[a,b]` gather several paths.

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use super::{Html, Json, Kind, write_text};

/// What a path leads to: a part of the document, or something that was put together of its parts.
pub enum Found<'a> {
    /// A part.
    Part(Json<'a>),
    /// Put together.
    Made(SecretBytes),
}

impl Found<'_> {
    /// What was found.
    pub fn json(&self) -> Json<'_> {
        match self {
            Found::Part(value) => *value,
            // What this module puts together is JSON; an empty buffer cannot come about.
            Found::Made(bytes) => Json(bytes.expose()),
        }
    }

    /// What was found, as text.
    pub fn text(&self) -> SecretBytes {
        self.json().text()
    }
}

/// Follows a path. Nothing is found when there is no such thing, the document is no JSON, or the path would cost too much.
pub fn get<'a>(document: &'a [u8], path: &str) -> Option<Found<'a>> {
    if path.len() > LONGEST {
        return None;
    }
    let root = Json::parse(document).ok()?;
    Walk {
        work: WORK.max(PASSES * document.len()),
        room: ROOM.max(2 * document.len()),
        depth: 0,
    }
    .follow(Found::Part(root), path)
}

/// Follows a path after having looked for a member of that very name, and, when there are dots in it, only then.
/// Several stores do so: the literal name wins.
pub fn get_literal_first<'a>(document: &'a [u8], path: &str) -> Option<Found<'a>> {
    if path.contains('.') {
        let literal = path.replace('.', "\\.");
        if let Some(found) = get(document, &literal) {
            return Some(found);
        }
    }
    get(document, path)
}

/// How many bytes may be looked at for one path, or how often the whole document. The path and the document may come from
/// someone who means no good, and an object may have thousands of paths.
const WORK: usize = 8 << 20;
const PASSES: usize = 16;
/// How many bytes may be put together for one path, unless the document is larger.
const ROOM: usize = 1 << 20;
/// How long a path may be.
const LONGEST: usize = 4096;
/// How many paths may stand inside of each other.
const DEPTH: usize = 64;

struct Walk {
    work: usize,
    room: usize,
    depth: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    End,
    Dot,
    Pipe,
}

impl Walk {
    fn follow<'a>(&mut self, value: Found<'a>, path: &str) -> Option<Found<'a>> {
        if self.depth == DEPTH {
            return None;
        }
        self.depth += 1;
        let found = match value {
            Found::Part(part) => self.step(part, path),
            // What was made is owned here, so what is found in it is copied out.
            Found::Made(bytes) => self.step(Json(bytes.expose()), path).map(|found| {
                Found::Made(match found {
                    Found::Part(part) => SecretBytes::copy_of(part.raw()),
                    Found::Made(made) => made,
                })
            }),
        };
        self.depth -= 1;
        found
    }

    fn step<'a>(&mut self, value: Json<'a>, path: &str) -> Option<Found<'a>> {
        self.work = self.work.checked_sub(value.raw().len())?;
        if let Some((name, argument, next, rest)) = modifier(path) {
            let changed = modify(value, name, argument)?;
            if let Found::Made(made) = &changed {
                self.make(made.len())?;
            }
            return self.go_on(changed, next, rest);
        }
        if path.starts_with(['{', '[']) {
            return self.gather(value, path);
        }
        match value.kind() {
            Kind::Object => {
                let (name, next, rest) = part(path);
                let member = if is_pattern(name) {
                    value
                        .members()
                        .find(|(key, _)| self.matches(key.expose(), name))
                        .map(|(_, value)| value)
                } else {
                    let name = literal(name);
                    value
                        .members()
                        .find(|(key, _)| key.expose() == name)
                        .map(|(_, value)| value)
                };
                self.go_on(Found::Part(member?), next, rest)
            }
            Kind::Array => self.step_into_array(value, path),
            _ => None,
        }
    }

    /// Matches a pattern; once there is no work left, nothing matches, and nothing is found any more.
    fn matches(&mut self, text: &str, pattern: &str) -> bool {
        let most = text.len().saturating_mul(pattern.len());
        match self.work.checked_sub(most) {
            Some(rest) => {
                self.work = rest;
                matches(text, pattern)
            }
            None => {
                self.work = 0;
                false
            }
        }
    }

    /// Takes room for what is put together.
    fn make(&mut self, bytes: usize) -> Option<()> {
        self.room = self.room.checked_sub(bytes)?;
        Some(())
    }

    fn go_on<'a>(&mut self, value: Found<'a>, next: Next, rest: &str) -> Option<Found<'a>> {
        match next {
            Next::End => Some(value),
            Next::Dot | Next::Pipe => self.follow(value, rest),
        }
    }

    fn step_into_array<'a>(&mut self, array: Json<'a>, path: &str) -> Option<Found<'a>> {
        if let Some((query, all, next, rest)) = query(path) {
            if !all {
                for element in array.elements() {
                    if self.agrees(element, query) {
                        return self.go_on(Found::Part(element), next, rest);
                    }
                }
                return None;
            }
            let mut chosen = Vec::new();
            for element in array.elements() {
                if self.agrees(element, query) {
                    chosen.push(element);
                }
            }
            return self.each(chosen.into_iter(), next, rest);
        }
        let (name, next, rest) = part(path);
        if name == "#" {
            return match next {
                Next::Dot => self.each(array.elements(), next, rest),
                Next::End | Next::Pipe => {
                    let length = array.elements().count().to_string();
                    self.go_on(
                        Found::Made(SecretBytes::from(length.into_bytes())),
                        next,
                        rest,
                    )
                }
            };
        }
        let index: usize = name.parse().ok()?;
        let element = array.elements().nth(index)?;
        self.go_on(Found::Part(element), next, rest)
    }

    /// Follows the rest of a path, up to a `|`, from every element, and goes on with the array of what was found.
    fn each<'a>(
        &mut self,
        elements: impl Iterator<Item = Json<'a>>,
        next: Next,
        rest: &str,
    ) -> Option<Found<'a>> {
        let (inner, after) = match next {
            Next::Dot => match top_level_pipe(rest) {
                Some(at) => (Some(&rest[..at]), Some(&rest[at + 1..])),
                None => (Some(rest), None),
            },
            Next::Pipe => (None, Some(rest)),
            Next::End => (None, None),
        };
        let mut out = SecretWriter::default();
        out.push_byte(b'[');
        for element in elements {
            let found = match inner {
                Some(path) => self.follow(Found::Part(element), path),
                None => Some(Found::Part(element)),
            };
            if let Some(found) = found {
                if out.len() > 1 {
                    out.push_byte(b',');
                }
                self.make(found.json().raw().len() + 1)?;
                out.push(found.json().raw());
            }
        }
        out.push_byte(b']');
        let made = Found::Made(out.finish());
        match after {
            Some(path) => self.follow(made, path),
            None => Some(made),
        }
    }

    /// Gathers several paths in an object or an array.
    fn gather<'a>(&mut self, value: Json<'a>, path: &str) -> Option<Found<'a>> {
        let close = closing(path)?;
        let object = path.starts_with('{');
        let mut out = SecretWriter::default();
        out.push_byte(if object { b'{' } else { b'[' });
        for item in split_list(&path[1..close]) {
            let (name, item) = if object { named(item) } else { (None, item) };
            let Some(found) = self.follow(Found::Part(value), item) else {
                continue;
            };
            if out.len() > 1 {
                out.push_byte(b',');
            }
            if object {
                let name = name.unwrap_or_else(|| last_name(item));
                write_text(name.as_bytes(), Html::Plain, &mut out);
                out.push_byte(b':');
            }
            self.make(found.json().raw().len() + 1)?;
            out.push(found.json().raw());
        }
        out.push_byte(if object { b'}' } else { b']' });
        let made = Found::Made(out.finish());
        let rest = &path[close + 1..];
        match rest.strip_prefix(['.', '|']) {
            Some(rest) => self.follow(made, rest),
            None if rest.is_empty() => Some(made),
            None => None,
        }
    }

    /// Returns true if an element agrees with a query such as `name=="x"`.
    fn agrees(&mut self, element: Json<'_>, query: &str) -> bool {
        let (left, operator, right) = split_query(query);
        let found;
        let value = if left.is_empty() {
            element
        } else {
            match self.follow(Found::Part(element), left) {
                Some(value) => {
                    found = value;
                    found.json()
                }
                None => {
                    return right.strip_prefix('~').is_some_and(|right| {
                        truth(None, right).is_some_and(|holds| (operator == "!=") != holds)
                    });
                }
            }
        };
        if operator.is_empty() {
            return true;
        }
        if let Some(right) = right.strip_prefix('~') {
            return truth(Some(value), right).is_some_and(|holds| (operator == "!=") != holds);
        }
        let right = match Json::parse(right.as_bytes()) {
            Ok(text) if text.kind() == Kind::Text => text.text(),
            _ => SecretBytes::copy_of(right.as_bytes()),
        };
        let right = std::str::from_utf8(right.expose()).unwrap_or_default();
        match value.kind() {
            Kind::Text => {
                let text = value.string().unwrap_or_default();
                let left = text.expose();
                match operator {
                    "%" => self.matches(left, right),
                    "!%" => !self.matches(left, right),
                    _ => compare(left.cmp(right), operator),
                }
            }
            Kind::Number => {
                let number = |text: &str| text.parse::<f64>().unwrap_or_default();
                let left = number(std::str::from_utf8(value.raw()).unwrap_or_default());
                left.partial_cmp(&number(right))
                    .is_some_and(|order| compare(order, operator))
            }
            Kind::Bool => {
                let right = match right {
                    "true" => true,
                    "false" => false,
                    _ => return operator == "!=",
                };
                compare(value.is_true().cmp(&right), operator)
            }
            _ => false,
        }
    }
}

/// Whether a value counts as what stands behind `~`; nothing for other words.
fn truth(value: Option<Json<'_>>, word: &str) -> Option<bool> {
    let truthy = value.is_some_and(|value| match value.kind() {
        Kind::Bool => value.is_true(),
        Kind::Number => {
            let number: Option<f64> = std::str::from_utf8(value.raw())
                .ok()
                .and_then(|text| text.parse().ok());
            number.is_some_and(|number| number != 0.0)
        }
        Kind::Text => {
            let text = value.string().unwrap_or_default();
            matches!(text.expose(), "1" | "t" | "T" | "true" | "TRUE" | "True")
        }
        Kind::Object | Kind::Array => true,
        Kind::Null => false,
    });
    match word {
        "true" => Some(truthy),
        "false" => Some(!truthy),
        "null" => Some(value.is_none_or(|value| value.kind() == Kind::Null)),
        "*" => Some(value.is_some()),
        _ => None,
    }
}

fn compare(order: std::cmp::Ordering, operator: &str) -> bool {
    match operator {
        "=" | "==" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        ">=" => order.is_ge(),
        _ => false,
    }
}

/// The first part of a path, what follows it, and the rest.
fn part(path: &str) -> (&str, Next, &str) {
    let mut escaped = false;
    for (at, character) in path.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '.' => return (&path[..at], Next::Dot, &path[at + 1..]),
            '|' => return (&path[..at], Next::Pipe, &path[at + 1..]),
            _ => {}
        }
    }
    (path, Next::End, "")
}

fn is_pattern(name: &str) -> bool {
    let mut escaped = false;
    name.chars().any(|character| {
        let pattern = !escaped && matches!(character, '*' | '?');
        escaped = !escaped && character == '\\';
        pattern
    })
}

fn literal(name: &str) -> String {
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

/// Returns true if a text matches a pattern of `*`, `?` and `\`, in time that is at most the product of their lengths.
fn matches(text: &str, pattern: &str) -> bool {
    enum Token {
        Any,
        One,
        Only(char),
    }
    let mut tokens = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        tokens.push(match character {
            '*' => Token::Any,
            '?' => Token::One,
            '\\' => Token::Only(characters.next().unwrap_or('\\')),
            other => Token::Only(other),
        });
    }
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut token) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while at < text.len() {
        match tokens.get(token) {
            Some(Token::Any) => {
                back = Some((token + 1, at));
                token += 1;
            }
            Some(Token::One) => {
                at += 1;
                token += 1;
            }
            Some(Token::Only(character)) if *character == text[at] => {
                at += 1;
                token += 1;
            }
            _ => match &mut back {
                Some((after, from)) => {
                    *from += 1;
                    at = *from;
                    token = *after;
                }
                None => return false,
            },
        }
    }
    tokens[token..]
        .iter()
        .all(|token| matches!(token, Token::Any))
}

/// A query at the beginning of a path: its inside, whether all are wanted, what follows, and the rest.
fn query(path: &str) -> Option<(&str, bool, Next, &str)> {
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

/// Where the bracket that a text begins with is closed.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let (mut quoted, mut escaped) = (false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Left side, operator and right side of a query.
fn split_query(query: &str) -> (&str, &str, &str) {
    let mut depth = 0usize;
    let (mut quoted, mut escaped) = (false, false);
    for (at, character) in query.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '=' | '!' | '<' | '>' | '%' if depth == 0 => {
                let rest = &query[at..];
                let operator = ["==", "!=", "!%", "<=", ">=", "=", "<", ">", "%"]
                    .into_iter()
                    .find(|operator| rest.starts_with(operator))
                    .unwrap_or_default();
                if operator.is_empty() {
                    continue;
                }
                return (query[..at].trim(), operator, rest[operator.len()..].trim());
            }
            _ => {}
        }
    }
    (query.trim(), "", "")
}

fn top_level_pipe(path: &str) -> Option<usize> {
    let mut depth = 0usize;
    let (mut quoted, mut escaped) = (false, false);
    for (at, character) in path.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

/// The items of a list of paths.
fn split_list(inside: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let mut depth = 0usize;
    let (mut quoted, mut escaped, mut start) = (false, false, 0);
    for (at, character) in inside.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                items.push(inside[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(inside[start..].trim());
    items.retain(|item| !item.is_empty());
    items
}

/// The name that an item of a list gives to what it finds: `"name":path`.
fn named(item: &str) -> (Option<String>, &str) {
    let Some(rest) = item.strip_prefix('"') else {
        return (None, item);
    };
    let Some((name, path)) = rest.split_once("\":") else {
        return (None, item);
    };
    (Some(name.to_owned()), path)
}

fn last_name(path: &str) -> String {
    let name = path.rsplit(['.', '|']).next().unwrap_or_default();
    if name.is_empty() || name.starts_with(['#', '@', '{', '[']) {
        "_".to_owned()
    } else {
        literal(name)
    }
}

/// A modifier at the beginning of a path: its name, its argument, what follows, and the rest.
fn modifier(path: &str) -> Option<(&str, &str, Next, &str)> {
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

const MODIFIERS: [&str; 9] = [
    "this", "reverse", "keys", "values", "valid", "ugly", "flatten", "tostr", "fromstr",
];

fn modify<'a>(value: Json<'a>, name: &str, argument: &str) -> Option<Found<'a>> {
    let mut out = SecretWriter::default();
    match name {
        "this" | "valid" => return Some(Found::Part(value)),
        "reverse" => match value.kind() {
            Kind::Array => {
                let elements: Vec<Json<'_>> = value.elements().collect();
                write_array(elements.into_iter().rev(), &mut out);
            }
            Kind::Object => {
                let members: Vec<_> = value.members().collect();
                out.push_byte(b'{');
                for (count, (name, value)) in members.iter().rev().enumerate() {
                    if count > 0 {
                        out.push_byte(b',');
                    }
                    write_text(name.expose().as_bytes(), Html::Plain, &mut out);
                    out.push_byte(b':');
                    out.push(value.raw());
                }
                out.push_byte(b'}');
            }
            _ => return Some(Found::Part(value)),
        },
        "keys" => {
            out.push_byte(b'[');
            for (count, (name, _)) in value.members().enumerate() {
                if count > 0 {
                    out.push_byte(b',');
                }
                write_text(name.expose().as_bytes(), Html::Plain, &mut out);
            }
            out.push_byte(b']');
        }
        "values" => match value.kind() {
            Kind::Array => return Some(Found::Part(value)),
            _ => write_array(value.members().map(|(_, value)| value), &mut out),
        },
        "ugly" => write_compact(value, &mut out),
        "flatten" => {
            if value.kind() != Kind::Array {
                return Some(Found::Part(value));
            }
            let deep = argument.contains("\"deep\":true");
            out.push_byte(b'[');
            flatten(value, deep, &mut out);
            out.push_byte(b']');
        }
        "tostr" => write_text(value.raw(), Html::Plain, &mut out),
        _ => {
            let text = value.string()?;
            let inner = Json::parse(text.expose().as_bytes()).ok()?;
            out.push(inner.raw());
        }
    }
    Some(Found::Made(out.finish()))
}

fn write_array<'a>(elements: impl Iterator<Item = Json<'a>>, out: &mut SecretWriter) {
    out.push_byte(b'[');
    for (count, element) in elements.enumerate() {
        if count > 0 {
            out.push_byte(b',');
        }
        out.push(element.raw());
    }
    out.push_byte(b']');
}

fn flatten(array: Json<'_>, deep: bool, out: &mut SecretWriter) {
    for element in array.elements() {
        if element.kind() == Kind::Array {
            if deep {
                flatten(element, true, out);
                continue;
            }
            for inner in element.elements() {
                push_item(inner.raw(), out);
            }
            continue;
        }
        push_item(element.raw(), out);
    }
}

fn push_item(raw: &[u8], out: &mut SecretWriter) {
    if out.expose().last() != Some(&b'[') || out.len() > 1 {
        out.push_byte(b',');
    }
    out.push(raw);
}

fn write_compact(value: Json<'_>, out: &mut SecretWriter) {
    let (mut quoted, mut escaped) = (false, false);
    for byte in value.raw() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b' ' | b'\t' | b'\n' | b'\r' if !quoted => continue,
            _ => {}
        }
        out.push_byte(*byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"{
        "name": {"first": "Tom", "last": "Anderson"}, "age": 37, "pi": 3.50, "big": 12345678901234567890,
        "children": ["Sara", "Alex", "Jack"], "fav.movie": "Deer Hunter", "none": null, "yes": true,
        "friends": [
            {"first": "Dale", "last": "Murphy", "age": 44, "nets": ["ig", "fb", "tw"]},
            {"first": "Roger", "last": "Craig", "age": 68, "nets": ["fb", "tw"]},
            {"first": "Jane", "last": "Murphy", "age": 47, "nets": ["ig", "tw"]}
        ], "@odd": "at", "inner": "{\"a\": [1, 2]}"}"#;

    fn text(path: &str) -> Option<String> {
        let found = get(DOCUMENT.as_bytes(), path)?;
        Some(String::from_utf8(found.text().expose().to_vec()).unwrap())
    }

    #[test]
    fn paths_lead_where_gjson_leads() {
        for (path, expected) in [
            ("name.last", "Anderson"),
            ("age", "37"),
            ("pi", "3.5"),
            ("big", "12345678901234567890"),
            ("none", ""),
            ("yes", "true"),
            ("children", r#"["Sara", "Alex", "Jack"]"#),
            ("children.1", "Alex"),
            ("children.#", "3"),
            ("child*.2", "Jack"),
            ("c?ildren.0", "Sara"),
            (r"fav\.movie", "Deer Hunter"),
            ("friends.#.first", r#"["Dale","Roger","Jane"]"#),
            ("friends.1.last", "Craig"),
            (r#"friends.#(last=="Murphy").first"#, "Dale"),
            (r#"friends.#(last=="Murphy")#.first"#, r#"["Dale","Jane"]"#),
            (r#"friends.#(age>45)#.last"#, r#"["Craig","Murphy"]"#),
            (r#"friends.#(first%"D*").last"#, "Murphy"),
            (r#"friends.#(first!%"D*").last"#, "Craig"),
            (r#"friends.#(nets.#(=="fb"))#.first"#, r#"["Dale","Roger"]"#),
            (r#"children.#(="Alex")"#, "Alex"),
            ("friends.#.first|0", "Dale"),
            (r#"friends.#(last=="Murphy")#|#"#, "2"),
            ("children|@reverse", r#"["Jack","Alex","Sara"]"#),
            ("children.@reverse.0", "Jack"),
            ("name.@keys", r#"["first","last"]"#),
            ("name|@values|1", "Anderson"),
            ("name.@this.first", "Tom"),
            ("@odd", "at"),
            ("inner.@fromstr.a.1", "2"),
            ("{age,name.first}", r#"{"age":37,"first":"Tom"}"#),
            (r#"[age,"x",yes]"#, r#"[37,true]"#),
            (r#"friends.#(missing=="x")#.first"#, "[]"),
        ] {
            assert_eq!(text(path).as_deref(), Some(expected), "{path}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for path in [
            "nome",
            "name.middle",
            "age.x",
            "children.3",
            "children.x",
            r#"friends.#(first=="X")"#,
            "friends.#(",
            "fav.movie",
            "name|",
        ] {
            assert_eq!(text(path), None, "{path}");
        }
        assert!(get(b"plain text", "a").is_none());
    }

    #[test]
    fn the_literal_name_wins() {
        let document = br#"{"a.b": "literal", "a": {"b": "path", "c": "only"}}"#;
        let text = |path| get_literal_first(document, path).unwrap().text();
        assert_eq!(text("a.b").expose(), b"literal");
        assert_eq!(text("a.c").expose(), b"only");
    }

    #[test]
    fn hostile_paths_end() {
        let deep = "a.".repeat(10_000);
        assert!(get(b"{\"a\": 1}", &deep).is_none());
        let nested = "[".repeat(1000) + &"]".repeat(1000);
        let found = get(b"{\"a\": 1}", &nested).map(|found| found.text().len());
        assert!(found.is_none_or(|length| length <= 2 * DEPTH), "{found:?}");
        let many = format!("[{}]", vec!["1"; 20_000].join(","));
        let query = "#(=1)#.".repeat(70);
        let found = get(many.as_bytes(), &query).map(|found| found.text().len());
        assert_eq!(found, Some(2), "the elements have no parts: an empty list");
        let stars = "*a".repeat(200);
        let long = format!("{{\"{}\": 1}}", "a".repeat(2000) + "b");
        assert!(get(long.as_bytes(), &stars).is_none());
    }

    #[test]
    fn a_path_cannot_multiply_what_it_finds() {
        let document = format!("{{\"a\": \"{}\"}}", "\\\"".repeat(50_000));
        let most =
            |path: &str| get(document.as_bytes(), path).map_or(0, |found| found.text().len());
        // Eight copies, eight of each of those, and so on; and each step doubles the backslashes.
        assert!(most(&"[@this,@this,@this,@this,@this,@this,@this,@this].".repeat(20)) <= ROOM);
        assert!(most(&"@tostr|".repeat(500)) <= ROOM);
        assert!(
            most("[@this,@this,@this]") > 300_000,
            "a few copies are all right"
        );
        let large = format!("[{}]", vec!["[1]"; 100_000].join(","));
        let reversed = get(large.as_bytes(), "@reverse").map(|found| found.text().len());
        assert_eq!(reversed, Some(large.len()));
    }

    #[test]
    fn a_pattern_is_not_matched_for_ever() {
        let document = format!("[\"{}\"]", "a".repeat(100_000));
        let pattern = format!("#(%\"{}b\")", "*a".repeat(1000));
        assert!(get(document.as_bytes(), &pattern).is_none());
        assert!(get(document.as_bytes(), "#(%\"a*\")").is_some());
    }
}
