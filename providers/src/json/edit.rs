//! Changes of one place in a JSON document; everything else keeps its spelling.
//!
//! A path is parts separated by `.`, with `\.` for a dot in a name. Objects on the way are made where there are none, and
//! lists for numbers.

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use super::{Html, Json, Kind, write_text};

/// How many parts a path may have.
const MOST_PARTS: usize = 64;
/// How many empty elements a list is given before the one that is set.
const MOST_ADDED: usize = 1000;

/// Sets the place to a string. A document in which it is that string already comes out as it was, with its spaces. Nothing
/// comes out if the document is no JSON object or the path leads through a value that is neither object nor array.
pub fn set(document: &[u8], path: &str, text: &[u8]) -> Option<SecretBytes> {
    let root = object(document)?;
    let parts = parts(path)?;
    if holds(root, &parts, text) {
        return Some(SecretBytes::copy_of(document));
    }
    let mut out = SecretWriter::with_capacity(document.len() + path.len() + text.len() + 16);
    put(Some(root), &parts, text, &mut out)?;
    Some(out.finish())
}

/// Removes the place. Nothing comes out if there is no such place.
pub fn remove(document: &[u8], path: &str) -> Option<SecretBytes> {
    let root = object(document)?;
    let parts = parts(path)?;
    let mut out = SecretWriter::with_capacity(document.len());
    take(root, &parts, &mut out)?;
    Some(out.finish())
}

fn object(document: &[u8]) -> Option<Json<'_>> {
    Json::parse(document)
        .ok()
        .filter(|root| root.kind() == Kind::Object)
}

fn parts(path: &str) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut characters = path.chars();
    while let Some(character) = characters.next() {
        match character {
            '.' => parts.push(String::new()),
            '\\' => parts.last_mut()?.push(characters.next()?),
            _ => parts.last_mut()?.push(character),
        }
    }
    (parts.len() <= MOST_PARTS && parts.iter().all(|part| !part.is_empty())).then_some(parts)
}

/// Whether the place is that string already; of members of one name all have to be.
fn holds(value: Json<'_>, parts: &[String], text: &[u8]) -> bool {
    let Some((part, rest)) = parts.split_first() else {
        return value
            .string()
            .is_some_and(|held| held.expose().as_bytes() == text);
    };
    match value.kind() {
        Kind::Object => {
            let named = value.members().filter(|(name, _)| name.expose() == part);
            let mut found = named.map(|(_, member)| holds(member, rest, text));
            found.next() == Some(true) && found.all(|same| same)
        }
        Kind::Array => {
            let element = part.parse().ok().and_then(|at| value.elements().nth(at));
            element.is_some_and(|element| holds(element, rest, text))
        }
        _ => false,
    }
}

fn put(
    value: Option<Json<'_>>,
    parts: &[String],
    text: &[u8],
    out: &mut SecretWriter,
) -> Option<()> {
    let Some((part, rest)) = parts.split_first() else {
        write_text(text, Html::Plain, out);
        return Some(());
    };
    match value.map(Json::kind) {
        // A number leads into a list that is made for it.
        Some(Kind::Null) | None if is_index(part) => {
            let at: usize = part.parse().ok().filter(|at| *at <= MOST_ADDED)?;
            out.push_byte(b'[');
            for _ in 0..at {
                out.push(b"null,");
            }
            put(None, rest, text, out)?;
            out.push_byte(b']');
        }
        Some(Kind::Object) | Some(Kind::Null) | None => {
            let mut done = false;
            let members = value.into_iter().flat_map(Json::members);
            out.push_byte(b'{');
            let mut first = true;
            for (name, member) in members {
                separate(&mut first, out);
                write_text(name.expose().as_bytes(), Html::Plain, out);
                out.push_byte(b':');
                if name.expose() == part {
                    done = true;
                    put(Some(member), rest, text, out)?;
                } else {
                    out.push(member.raw());
                }
            }
            if !done {
                separate(&mut first, out);
                write_text(part.as_bytes(), Html::Plain, out);
                out.push_byte(b':');
                put(None, rest, text, out)?;
            }
            out.push_byte(b'}');
        }
        Some(Kind::Array) => {
            let at: usize = part.parse().ok()?;
            let array = value?;
            let count = array.elements().count();
            if at > count {
                return None;
            }
            out.push_byte(b'[');
            let mut first = true;
            for (index, element) in array.elements().enumerate() {
                separate(&mut first, out);
                if index == at {
                    put(Some(element), rest, text, out)?;
                } else {
                    out.push(element.raw());
                }
            }
            if at == count {
                separate(&mut first, out);
                put(None, rest, text, out)?;
            }
            out.push_byte(b']');
        }
        // Upstream's library replaces a scalar on the way by an object, and what stood there is lost.
        Some(_) => return None,
    }
    Some(())
}

fn is_index(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

fn take(value: Json<'_>, parts: &[String], out: &mut SecretWriter) -> Option<()> {
    let (part, rest) = parts.split_first()?;
    if value.kind() != Kind::Object {
        return None;
    }
    let mut found = false;
    out.push_byte(b'{');
    let mut first = true;
    for (name, member) in value.members() {
        let here = name.expose() == part;
        found |= here;
        if here && rest.is_empty() {
            continue;
        }
        separate(&mut first, out);
        write_text(name.expose().as_bytes(), Html::Plain, out);
        out.push_byte(b':');
        if here {
            take(member, rest, out)?;
        } else {
            out.push(member.raw());
        }
    }
    out.push_byte(b'}');
    found.then_some(())
}

fn separate(first: &mut bool, out: &mut SecretWriter) {
    if !std::mem::take(first) {
        out.push_byte(b',');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: Option<SecretBytes>) -> Option<String> {
        bytes.map(|bytes| String::from_utf8(bytes.expose().to_vec()).unwrap())
    }

    #[test]
    fn a_place_is_set_and_the_rest_stays() {
        let set = |document: &str, path| text(set(document.as_bytes(), path, b"x\"y"));
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(
            set(r#"{"n": 1e3, "a": "b"}"#, "a"),
            is(r#"{"n":1e3,"a":"x\"y"}"#)
        );
        assert_eq!(set("{}", "a.b"), is(r#"{"a":{"b":"x\"y"}}"#));
        assert_eq!(set("{}", "a\\.b"), is(r#"{"a.b":"x\"y"}"#));
        assert_eq!(set(r#"{"a":[1,2]}"#, "a.1"), is(r#"{"a":[1,"x\"y"]}"#));
        assert_eq!(set(r#"{"a":[1]}"#, "a.1"), is(r#"{"a":[1,"x\"y"]}"#));
        assert_eq!(set("{}", "a.1.b"), is(r#"{"a":[null,{"b":"x\"y"}]}"#));
        assert_eq!(set("{}", "a.99999"), None);
        assert_eq!(set(r#"{"a":"scalar"}"#, "a.b"), None);
        assert_eq!(set("text", "a"), None);
        assert_eq!(set("{}", "a..b"), None);
    }

    #[test]
    fn a_document_that_has_the_text_already_stays_as_it_is() {
        for (document, path, text) in [
            (r#"{ "a": "b" }"#, "a", "b"),
            (r#"{"a": {"b.c": ["x", "\u0079"]}}"#, "a.b\\.c.1", "y"),
            (" {\"a\": \"1\", \"a\": \"1\"}\n", "a", "1"),
        ] {
            let set = set(document.as_bytes(), path, text.as_bytes()).unwrap();
            assert_eq!(set.expose(), document.as_bytes());
        }
        // A number is no text, and of two members of one name a reader may take either.
        for (document, changed) in [
            (r#"{ "a": 1 }"#, r#"{"a":"1"}"#),
            (r#"{"a": "2", "a": "1"}"#, r#"{"a":"1","a":"1"}"#),
        ] {
            let set = set(document.as_bytes(), "a", b"1").unwrap();
            assert_eq!(set.expose(), changed.as_bytes());
        }
    }

    #[test]
    fn a_place_is_removed() {
        let remove = |document: &str, path| text(remove(document.as_bytes(), path));
        assert_eq!(
            remove(r#"{"a":1,"b":{"c":2}}"#, "a"),
            Some(r#"{"b":{"c":2}}"#.to_owned())
        );
        assert_eq!(
            remove(r#"{"b":{"c":2}}"#, "b.c"),
            Some(r#"{"b":{}}"#.to_owned())
        );
        assert_eq!(remove(r#"{"a":1}"#, "x"), None);
        assert_eq!(remove(r#"{"a":1}"#, "a.b"), None);
    }
}
