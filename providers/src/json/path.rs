//! Paths into JSON, as `property` of most stores has them: the language of gjson.
//!
//! Parts are separated by `.` or `|`; `\` takes the next character literally. `*` and `?` match parts of names. Of an
//! array, a number is an element, `#` its length, `#.x` the `x` of every element, `#(x=="y")` the first element that
//! agrees and `#(x=="y")#` all of them. `@this`, `@reverse`, `@keys`, `@values`, `@valid`, `@ugly`, `@flatten`,
//! `@tostr` and `@fromstr` change what was found, and `{a,b}` and `[a,b]` gather several paths.

mod modifier;
mod pattern;
mod syntax;

use sealwright_crypto::go_bool::read_bool;
use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use super::{Html, Json, Kind, write_text};
use modifier::{modify, of_nothing};
use pattern::matches;
use syntax::{
    Next, closing, is_pattern, last_name, literal, modifier, named, part, query, split_list,
    split_query, top_level_pipe,
};

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
        work: work_for(document),
        room: room_for(document),
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

/// How many bytes may be looked at for one path into this document.
pub(crate) fn work_for(document: &[u8]) -> usize {
    WORK.max(PASSES.saturating_mul(document.len()))
}

/// How many bytes may be put together for one path into this document.
pub(crate) fn room_for(document: &[u8]) -> usize {
    ROOM.max(document.len().saturating_mul(2))
}

struct Walk {
    work: usize,
    room: usize,
    depth: usize,
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
            return self.gather(Some(value), path);
        }
        match value.kind() {
            Kind::Object => {
                let (name, next, rest) = part(path);
                let (pattern, wanted) = (is_pattern(name), literal(name));
                for (key, member) in value.members() {
                    let agrees = match pattern {
                        true => self.matches(key.expose(), name),
                        false => key.expose() == wanted,
                    };
                    if !agrees {
                        continue;
                    }
                    // Of several members the first counts from which the path goes on.
                    let found = self.go_on(Found::Part(member), next, rest);
                    if found.is_some() || next != Next::Dot {
                        return found;
                    }
                }
                match next {
                    Next::Pipe => self.of_nothing(rest),
                    Next::Dot | Next::End => None,
                }
            }
            Kind::Array => self.step_into_array(value, path),
            _ => None,
        }
    }

    /// Follows a path from where nothing is. Lists are made of nothing, too.
    fn of_nothing<'a>(&mut self, path: &str) -> Option<Found<'a>> {
        if self.depth == DEPTH {
            return None;
        }
        self.depth += 1;
        let found = if let Some((name, _, next, rest)) = modifier(path) {
            match (of_nothing(name), next) {
                (Some(made), next) => {
                    self.go_on(Found::Made(SecretBytes::copy_of(made)), next, rest)
                }
                (None, Next::End) => None,
                (None, Next::Dot | Next::Pipe) => self.of_nothing(rest),
            }
        } else if path.starts_with(['{', '[']) {
            self.gather(None, path)
        } else {
            None
        };
        self.depth -= 1;
        found
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
            // Behind a dot everything is done to each element, modifiers and lists as well.
            let next = match path.as_bytes().get(1) {
                Some(b'.') => Next::Dot,
                _ => next,
            };
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
        let element = name.parse().ok();
        let element = element.and_then(|index: usize| array.elements().nth(index));
        match (element, next) {
            (Some(element), _) => self.go_on(Found::Part(element), next, rest),
            (None, Next::Pipe) => self.of_nothing(rest),
            (None, Next::Dot | Next::End) => None,
        }
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
    fn gather<'a>(&mut self, value: Option<Json<'a>>, path: &str) -> Option<Found<'a>> {
        let close = closing(path)?;
        let object = path.starts_with('{');
        let mut out = SecretWriter::default();
        out.push_byte(if object { b'{' } else { b'[' });
        for item in split_list(&path[1..close]) {
            let (name, item) = if object { named(item) } else { (None, item) };
            let found = match value {
                Some(value) => self.follow(Found::Part(value), item),
                None => self.of_nothing(item),
            };
            let Some(found) = found else {
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
            read_bool(text.expose()) == Some(true)
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

#[cfg(test)]
mod tests;
