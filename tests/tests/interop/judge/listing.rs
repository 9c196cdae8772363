//! Trees as upstream lists them: what is a comment, what is a value, and texts with small changes.

use serde_json::Value;

use super::ours::Step;
use super::upstream;

/// The key that stands for the block.
const KEY_OF_BLOCK: &str = "zzz";

/// A YAML text with one key more at the end of each document.
pub(super) fn text_with_key(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 32);
    // What the document begins with.
    let mut first = None;
    let add = |out: &mut Vec<u8>, first: &mut Option<u8>| {
        // One in braces takes no key.
        if first.take().is_some_and(|byte| byte != b'{') {
            if !out.ends_with(b"\n") {
                out.push(b'\n');
            }
            out.extend_from_slice(format!("{KEY_OF_BLOCK}: 1\n").as_bytes());
        }
    };
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let is_marker = line.starts_with(b"---") || line.starts_with(b"...");
        if is_marker {
            add(&mut out, &mut first);
        }
        out.extend_from_slice(line);
        let content = line.trim_ascii();
        if !is_marker && !content.is_empty() && !matches!(content[0], b'#' | b'%') {
            first.get_or_insert(content[0]);
        }
    }
    add(&mut out, &mut first);
    out
}

/// A YAML text without comments that have no text.
pub(super) fn without_empty_comments(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let content = line.trim_ascii_end();
        match content.strip_suffix(b"#") {
            Some(before) if before.trim_ascii().is_empty() => {}
            Some(before) if before.ends_with(b" ") => {
                out.extend_from_slice(before.trim_ascii_end());
                out.extend_from_slice(&line[content.len()..]);
            }
            _ => out.extend_from_slice(line),
        }
    }
    out
}

/// A listing without that key.
pub(super) fn without_key(listing: &[Value]) -> Vec<Value> {
    let key = format!("string {}", upstream::hex(KEY_OF_BLOCK.as_bytes()));
    let mut documents = listing.to_vec();
    for document in &mut documents {
        if let Value::Array(items) = document {
            items.retain(|item| item.get(0) != Some(&Value::from(key.as_str())));
        }
    }
    documents
}

/// A listing without empty comments, and with numbers as upstream writes them: a float without a fraction is an integer.
pub(super) fn normal(listing: &Value) -> Value {
    match listing {
        Value::Array(items) if *items == ["enc", "int"] || *items == ["enc", "float"] => {
            serde_json::json!(["enc", "number"])
        }
        Value::Array(items) if items.len() == 2 && (items[0] == "int" || items[0] == "float") => {
            let text = items[1].as_str().filter(|text| *text != "2d30");
            serde_json::json!(["number", text.unwrap_or("30")])
        }
        Value::Array(items) => {
            let kept = items
                .iter()
                .filter(|item| **item != serde_json::json!(["#", ""]));
            Value::Array(kept.map(normal).collect())
        }
        other => other.clone(),
    }
}

pub(super) fn is_comment(item: &Value) -> bool {
    item.get(0) == Some(&Value::from("#"))
}

/// Whether a ciphertext stands in a decrypted listing as a text. `ENC[AES256_GCM,`
pub(super) fn has_ciphertext(listing: &Value) -> bool {
    const START: &str = "454e435b4145533235365f47434d2c";
    match listing {
        Value::Array(items) => items.iter().any(has_ciphertext),
        Value::String(text) => text.starts_with(START),
        _ => false,
    }
}

/// A comment that one listing has and the other has not, and that is not in the text either: upstream's reader drops what stands
/// behind a bracket, the only place in an empty list that is an element of a list.
pub(super) fn lost_comment(theirs: &[Value], ours: &[Value], text: &[u8]) -> Option<String> {
    let comments = |of: &[Value]| {
        let mut out = Vec::new();
        of.iter()
            .for_each(|document| comment_texts(document, &mut out));
        out
    };
    let mut left = comments(ours);
    // `ENC[`: upstream does not find the path of some comments of its own files.
    let wanted = comments(theirs).into_iter();
    for comment in wanted.filter(|text| !text.starts_with("454e435b")) {
        match left.iter().position(|other| *other == comment) {
            Some(at) => drop(left.remove(at)),
            None => {
                let lost = format!("#{}", upstream::text_of(&comment).unwrap_or_default());
                if !String::from_utf8_lossy(text).contains(&lost) {
                    return Some(lost);
                }
            }
        }
    }
    None
}

/// Takes all comments, by their texts.
pub(super) fn take_comments(value: &mut Value, out: &mut Vec<String>) {
    let Value::Array(items) = value else {
        return;
    };
    items.retain(|item| {
        let is_any = is_any_comment(item);
        if is_any {
            out.push(name_of(item));
        }
        !is_any
    });
    items.iter_mut().for_each(|item| take_comments(item, out));
}

/// Takes the comments behind the last value, in whatever collection that ends there.
pub(super) fn take_last_comments(value: &mut Value, out: &mut Vec<String>) {
    let Value::Array(items) = value else {
        return;
    };
    while let Some(last) = items.pop_if(|last| is_any_comment(last)) {
        out.push(name_of(&last));
    }
    if let Some(last) = items.last_mut() {
        take_last_comments(last, out);
    }
}

pub(super) fn take_empty_texts(value: &mut Value) {
    let Value::Array(items) = value else {
        return;
    };
    if items.first() == Some(&Value::from("l")) {
        items.retain(|item| *item != serde_json::json!(["str", ""]));
    }
    items.iter_mut().for_each(take_empty_texts);
}

/// The texts of the comments that have one.
pub(super) fn comment_texts(listing: &Value, out: &mut Vec<String>) {
    match listing {
        _ if is_comment(listing) => {
            let text = listing[1].as_str().filter(|text| !text.is_empty());
            out.extend(text.map(str::to_owned));
        }
        Value::Array(items) => items.iter().for_each(|item| comment_texts(item, out)),
        _ => {}
    }
}

/// Where a listing of an encrypted file has a value encrypted that another has in clear, as numbers of values; `None` when
/// they differ in anything else. Both are without comments.
pub(super) fn only_covered(theirs: &Value, ours: &Value) -> Option<Vec<Vec<usize>>> {
    fn walk(theirs: &Value, ours: &Value, way: &mut Vec<usize>, out: &mut Vec<Vec<usize>>) -> bool {
        let is_leaf = |value: &Value| value.get(1).is_some_and(Value::is_string);
        if theirs == ours {
            return true;
        }
        if is_leaf(theirs) && ours.get(0) == Some(&Value::from("enc")) {
            out.push(way.clone());
            return true;
        }
        let (Value::Array(theirs), Value::Array(ours)) = (theirs, ours) else {
            return false;
        };
        let is_pair = theirs
            .first()
            .is_some_and(|first| first != "m" && first != "l")
            && theirs.first().is_some_and(Value::is_string);
        if theirs.len() != ours.len() {
            return false;
        }
        let pairs = theirs.iter().zip(ours);
        if is_pair {
            // A key and its value.
            return pairs
                .into_iter()
                .all(|(theirs, ours)| walk(theirs, ours, way, out));
        }
        // The first is the kind; of documents there is none.
        let first = usize::from(theirs.first().is_some_and(Value::is_string));
        pairs.enumerate().all(|(at, (theirs, ours))| {
            if at < first {
                return theirs == ours;
            }
            way.push(at - first);
            let is_same = walk(theirs, ours, way, out);
            way.pop();
            is_same
        })
    }
    let mut out = Vec::new();
    walk(theirs, ours, &mut Vec::new(), &mut out).then_some(out)
}

/// The way to something in a document, as numbers of values.
pub(super) fn numbers_of(document: &Value, path: &[Step]) -> Option<Vec<usize>> {
    let mut at = document;
    let mut way = Vec::new();
    for step in path {
        let items = at.as_array()?;
        let index = match step {
            Step::Index(index) => index + 1,
            Step::Key(key) => {
                let key = format!("string {}", upstream::hex(key.as_bytes()));
                let is_it = |item: &Value| item.get(0) == Some(&Value::from(key.as_str()));
                items.iter().position(is_it)?
            }
        };
        let before = items[1..index].iter();
        way.push(before.filter(|item| !is_any_comment(item)).count());
        at = items.get(index)?;
        if matches!(step, Step::Key(_)) {
            at = at.get(1)?;
        }
    }
    Some(way)
}

/// The way to what follows an entry when that is gone; `None` when nothing does.
pub(super) fn following(document: &Value, way: &[usize]) -> Option<Vec<usize>> {
    let (last, mut way_up) = way.split_last()?;
    if last + 1 < count_at(document, way_up)? {
        return Some(way.to_vec());
    }
    while let Some((last, around)) = way_up.split_last() {
        if last + 1 < count_at(document, around)? {
            let mut next = around.to_vec();
            next.push(last + 1);
            return Some(next);
        }
        way_up = around;
    }
    None
}

/// How many values the collection has that a way leads to.
fn count_at(document: &Value, way: &[usize]) -> Option<usize> {
    let values = |collection: &'_ Value| -> Option<Vec<Value>> {
        let items = collection.as_array()?[1..].iter();
        Some(
            items
                .filter(|item| !is_any_comment(item))
                .cloned()
                .collect(),
        )
    };
    let mut at = document.clone();
    for number in way {
        let is_map = at.get(0) == Some(&Value::from("m"));
        let child = values(&at)?.into_iter().nth(*number)?;
        at = if is_map { child[1].clone() } else { child };
    }
    Some(values(&at)?.len())
}

/// Whether it is a comment, be it encrypted or not.
pub(super) fn is_any_comment(item: &Value) -> bool {
    is_comment(item) || *item == serde_json::json!(["enc", "comment"])
}

/// The text of a comment, or [`HIDDEN`].
pub(super) fn name_of(comment: &Value) -> String {
    match is_comment(comment) {
        true => comment[1].as_str().unwrap_or_default().to_owned(),
        false => HIDDEN.to_owned(),
    }
}

/// Stands for the text of a comment that is encrypted.
pub(super) const HIDDEN: &str = "encrypted";

pub(super) fn without_comments(listing: &Value) -> Value {
    match listing {
        Value::Array(items) => {
            let kept = items.iter().filter(|item| !is_any_comment(item));
            Value::Array(kept.map(without_comments).collect())
        }
        other => other.clone(),
    }
}

/// Something in a document.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) path: Vec<Step>,
    pub(super) is_comment: bool,
    pub(super) is_scalar: bool,
}

/// Everything in a document.
pub(super) fn paths(document: &Value) -> Vec<Leaf> {
    fn walk(value: &Value, path: &mut Vec<Step>, out: &mut Vec<Leaf>) {
        let items = value.as_array().map_or(&[][..], Vec::as_slice);
        let kind = items.first().and_then(Value::as_str).unwrap_or_default();
        if !path.is_empty() {
            out.push(Leaf {
                path: path.clone(),
                is_comment: is_comment(value),
                is_scalar: !matches!(kind, "m" | "l"),
            });
        }
        for (index, item) in items.iter().skip(1).enumerate() {
            match kind {
                "l" => {
                    path.push(Step::Index(index));
                    walk(item, path, out);
                    path.pop();
                }
                "m" if !is_comment(item) => {
                    let key = item[0].as_str().and_then(|key| key.strip_prefix("string "));
                    let Some(key) = key.and_then(upstream::text_of) else {
                        continue;
                    };
                    // The first of several equal keys is the one that counts.
                    let is_first = items[1..1 + index]
                        .iter()
                        .all(|other| is_comment(other) || other[0] != item[0]);
                    if is_first {
                        path.push(Step::Key(key));
                        walk(&item[1], path, out);
                        path.pop();
                    }
                }
                _ => {}
            }
        }
    }
    let mut out = Vec::new();
    walk(document, &mut Vec::new(), &mut out);
    out
}
