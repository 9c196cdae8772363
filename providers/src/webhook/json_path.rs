//! The paths of `result.jsonPath`: `$.a.b`, `$['a']`, `[0]`, `[-1]`, `[*]`, `.*` and `..name`.

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::json::path::{room_for, work_for};
use crate::json::{Json, Kind};
use crate::outcome::StoreError;

enum Step {
    Name(String),
    Index(i64),
    All,
    /// The name at any depth.
    Below(String),
}

/// How many values a path may find.
const MOST: usize = 10_000;

/// Finds a value. Paths that can find several give a list; nothing is found when there is no such value.
///
/// The path and the document may both come from someone who means harm: a value inside of many others of the same name is found,
/// and looked at, many times. So a path has the budget that paths of [`json::path`](crate::json::path) have.
///
/// # Errors
///
/// When the path is none, or has filters, which are not supported, or when following it would cost too much.
pub(super) fn find(document: Json<'_>, path: &str) -> Result<Option<SecretBytes>, StoreError> {
    let steps = parse(path)?;
    let many = steps
        .iter()
        .any(|step| matches!(step, Step::All | Step::Below(_)));
    let mut walk = Walk {
        work: work_for(document.raw()),
    };
    let mut found = vec![document];
    for step in &steps {
        let mut next = Vec::new();
        for value in found {
            walk.follow(value, step, &mut next)?;
            if next.len() > MOST {
                return Err(too_costly("finds too many values"));
            }
        }
        found = next;
    }
    if !many {
        return Ok(found.first().map(|value| SecretBytes::copy_of(value.raw())));
    }
    let size: usize = found.iter().map(|value| value.raw().len() + 1).sum();
    if size > room_for(document.raw()) {
        return Err(too_costly(
            "finds values that are together more than 1 MiB and more than twice the answer",
        ));
    }
    let mut list = SecretWriter::with_capacity(size + 2);
    list.push_byte(b'[');
    for (count, value) in found.iter().enumerate() {
        if count > 0 {
            list.push_byte(b',');
        }
        list.push(value.raw());
    }
    list.push_byte(b']');
    Ok(Some(list.finish()))
}

/// The path itself may be made of a secret, so the text names its field.
fn too_costly(why: &str) -> StoreError {
    StoreError::invalid(format!("`result.jsonPath` {why}")).public()
}

struct Walk {
    /// How many bytes may still be looked at.
    work: usize,
}

impl Walk {
    /// Counts one pass over the text of a value.
    fn look_through(&mut self, value: Json<'_>) -> Result<(), StoreError> {
        let left = self.work.checked_sub(value.raw().len());
        self.work = left.ok_or_else(|| {
            too_costly("has to look at more than 8 MiB and at more than 16 times the answer")
        })?;
        Ok(())
    }

    fn follow<'a>(
        &mut self,
        value: Json<'a>,
        step: &Step,
        next: &mut Vec<Json<'a>>,
    ) -> Result<(), StoreError> {
        let kind = value.kind();
        if !matches!(kind, Kind::Object | Kind::Array) {
            return Ok(());
        }
        self.look_through(value)?;
        // One more than allowed is enough to be refused.
        let left = (MOST + 1).saturating_sub(next.len());
        match (step, kind) {
            (Step::Name(name), Kind::Object) => next.extend(value.member(name)),
            (Step::Index(index), Kind::Array) => {
                let mut at = *index;
                if at < 0 {
                    self.look_through(value)?;
                    at += i64::try_from(value.elements().count()).unwrap_or(i64::MAX);
                }
                if let Ok(at) = usize::try_from(at) {
                    next.extend(value.elements().nth(at));
                }
            }
            (Step::All, Kind::Array) => next.extend(value.elements().take(left)),
            (Step::All, Kind::Object) => {
                next.extend(value.members().map(|(_, value)| value).take(left));
            }
            (Step::Below(name), Kind::Object) => {
                let place = next.len();
                let mut named = None;
                for (key, member) in value.members() {
                    if key.expose() == name.as_str() {
                        named = Some(member);
                    }
                    if next.len() <= MOST {
                        self.follow(member, step, next)?;
                    }
                }
                // The member of the name comes before those that are further in.
                if let Some(named) = named {
                    next.insert(place, named);
                }
            }
            (Step::Below(_), Kind::Array) => {
                for element in value.elements() {
                    if next.len() > MOST {
                        return Ok(());
                    }
                    self.follow(element, step, next)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn parse(path: &str) -> Result<Vec<Step>, StoreError> {
    let wrong = |why: &str| StoreError::invalid(format!("`result.jsonPath` {why}")).public();
    let mut rest = path.trim();
    rest = rest.strip_prefix('$').unwrap_or(rest);
    let mut steps = Vec::new();
    let mut first = true;
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix("..") {
            let end = tail.find(['.', '[']).unwrap_or(tail.len());
            let (name, tail) = tail.split_at(end);
            if name.is_empty() || name == "*" {
                return Err(wrong("wants a name behind `..`"));
            }
            steps.push(Step::Below(name.to_owned()));
            rest = tail;
        } else if let Some(tail) = rest.strip_prefix('[') {
            let end = tail
                .find(']')
                .ok_or_else(|| wrong("has a bracket that is not closed"))?;
            let inside = tail[..end].trim();
            let quoted = |mark: char| {
                inside
                    .strip_prefix(mark)
                    .and_then(|inside| inside.strip_suffix(mark))
            };
            steps.push(if inside == "*" {
                Step::All
            } else if let Some(name) = quoted('\'').or_else(|| quoted('"')) {
                Step::Name(name.to_owned())
            } else {
                let index = inside.parse();
                Step::Index(
                    index.map_err(|_| wrong("has a filter or a slice, which are not supported"))?,
                )
            });
            rest = &tail[end + 1..];
        } else {
            let tail = match rest.strip_prefix('.') {
                Some(tail) => tail,
                None if first => rest,
                None => return Err(wrong("is not valid")),
            };
            let end = tail.find(['.', '[']).unwrap_or(tail.len());
            let (name, tail) = tail.split_at(end);
            if name.is_empty() {
                return Err(wrong("is not valid"));
            }
            steps.push(match name {
                "*" => Step::All,
                name => Step::Name(name.to_owned()),
            });
            rest = tail;
        }
        first = false;
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"{"a": {"b": [1, "two", {"c": "x"}]}, "c": "y", "d e": 5}"#;

    fn text(path: &str) -> Option<String> {
        let document = Json::parse(DOCUMENT.as_bytes()).unwrap();
        let found = find(document, path).unwrap()?;
        Some(String::from_utf8(found.expose().to_vec()).unwrap())
    }

    #[test]
    fn paths_find_values() {
        for (path, expected) in [
            ("$.a.b[1]", r#""two""#),
            ("$.a.b[-1].c", r#""x""#),
            ("$['d e']", "5"),
            ("a.b[0]", "1"),
            ("$.a.b[*].c", r#"["x"]"#),
            ("$..c", r#"["y","x"]"#),
            ("$", DOCUMENT),
        ] {
            assert_eq!(text(path).as_deref(), Some(expected), "{path}");
        }
        assert_eq!(text("$.a.nothing"), None);
        assert_eq!(text("$.a.b[9]"), None);
        let document = Json::parse(DOCUMENT.as_bytes()).unwrap();
        for bad in ["$.a[?(@.x==1)]", "$.a[", "$..", "$.a[0:1]"] {
            assert!(find(document, bad).is_err(), "{bad}");
        }
    }

    /// A text inside of so many objects, each the member `a` of the one around it.
    fn nested(depth: usize, text: usize) -> String {
        let (open, close) = (r#"{"a":"#.repeat(depth), "}".repeat(depth));
        format!("{open}\"{}\"{close}", "x".repeat(text))
    }

    fn refusal(document: &str, path: &str) -> String {
        let document = Json::parse(document.as_bytes()).unwrap();
        find(document, path).unwrap_err().reason().to_owned()
    }

    #[test]
    fn what_a_path_costs_is_limited() {
        let work =
            "`result.jsonPath` has to look at more than 8 MiB and at more than 16 times the answer";
        // Made of 190 copies of nearly the whole document.
        assert_eq!(refusal(&nested(190, 1 << 20), "$..a"), work);
        // The same objects, looked through thousands of times.
        assert_eq!(refusal(&nested(100, 1), "$..a..a..zz"), work);
        assert_eq!(
            refusal(&nested(100, 40_000), "$..a"),
            "`result.jsonPath` finds values that are together more than 1 MiB and more than twice the answer"
        );
        let list = format!("[{}1]", "1,".repeat(MOST));
        for path in ["$[*]", "$.*"] {
            assert_eq!(
                refusal(&list, path),
                "`result.jsonPath` finds too many values"
            );
        }
    }

    #[test]
    fn a_large_value_is_found_as_ever() {
        let text = format!("\"{}\"", "x".repeat(2 << 20));
        let document = format!(r#"{{"a": {{"b": [{{"c": {text}}}]}}}}"#);
        let document = Json::parse(document.as_bytes()).unwrap();
        for path in ["$.a.b[-1].c", "$..c", "$.a.b[*].c"] {
            let found = find(document, path).unwrap().unwrap();
            assert!(found.len() >= text.len(), "{path}");
        }
    }

    #[test]
    fn the_values_of_a_name_come_from_outside_to_inside() {
        let document = r#"{"x": {"a": 1}, "a": {"a": 2, "b": [{"a": 3}]}, "y": {"a": 4}}"#;
        let document = Json::parse(document.as_bytes()).unwrap();
        let found = find(document, "$..a").unwrap().unwrap();
        let expected = r#"[{"a": 2, "b": [{"a": 3}]},1,2,3,4]"#;
        assert_eq!(std::str::from_utf8(found.expose()).unwrap(), expected);
    }
}
