//! The paths of `result.jsonPath`: `$.a.b`, `$['a']`, `[0]`, `[-1]`, `[*]`, `.*` and `..name`.

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

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
/// # Errors
///
/// When the path is none, or has filters, which are not supported.
pub(super) fn find(document: Json<'_>, path: &str) -> Result<Option<SecretBytes>, StoreError> {
    let steps = parse(path)?;
    let many = steps
        .iter()
        .any(|step| matches!(step, Step::All | Step::Below(_)));
    let mut found = vec![document];
    for step in &steps {
        let mut next = Vec::new();
        for value in found {
            follow(value, step, &mut next);
            if next.len() > MOST {
                return Err(
                    StoreError::invalid("`result.jsonPath` finds too many values").public(),
                );
            }
        }
        found = next;
    }
    if !many {
        return Ok(found.first().map(|value| SecretBytes::copy_of(value.raw())));
    }
    let mut list = SecretWriter::default();
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

fn follow<'a>(value: Json<'a>, step: &Step, next: &mut Vec<Json<'a>>) {
    match (step, value.kind()) {
        (Step::Name(name), Kind::Object) => next.extend(value.member(name)),
        (Step::Index(index), Kind::Array) => {
            let count = i64::try_from(value.elements().count()).unwrap_or(i64::MAX);
            let at = if *index < 0 { count + index } else { *index };
            if let Ok(at) = usize::try_from(at) {
                next.extend(value.elements().nth(at));
            }
        }
        (Step::All, Kind::Array) => next.extend(value.elements()),
        (Step::All, Kind::Object) => next.extend(value.members().map(|(_, value)| value)),
        (Step::Below(name), kind) => {
            if kind == Kind::Object {
                next.extend(value.member(name));
            }
            let inner: Vec<Json<'a>> = match kind {
                Kind::Object => value.members().map(|(_, value)| value).collect(),
                Kind::Array => value.elements().collect(),
                _ => Vec::new(),
            };
            for value in inner {
                if next.len() > MOST {
                    return;
                }
                follow(value, step, next);
            }
        }
        _ => {}
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
}
