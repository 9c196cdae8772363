//! Tags as AWS lists them, and which of them a push has to change.

use std::collections::BTreeMap;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use serde_json::{Value, json};

use crate::json::{Html, Json, write_text};
use crate::outcome::StoreError;

/// The tag that marks what was pushed from here.
pub(super) const MANAGED_BY: (&str, &str) = ("managed-by", "external-secrets");

/// What a push describes a value by unless its metadata say something else.
const DESCRIPTION: &str = "secret 'managed-by:external-secrets'";

/// What describes a value: the text of the metadata, or the one that upstream takes where that is missing or empty.
pub(super) fn description(wanted: Option<&str>) -> &str {
    wanted
        .filter(|text| !text.is_empty())
        .unwrap_or(DESCRIPTION)
}

/// Names and values.
pub(super) type Tags = BTreeMap<String, String>;

/// Reads a list of `{"Key": …, "Value": …}`.
pub(super) fn of_list(list: Option<Json<'_>>) -> Tags {
    let texts = |tag: Json<'_>, name: &str| {
        let text = tag.member(name).and_then(Json::string);
        text.map(|text| text.expose().to_owned())
            .unwrap_or_default()
    };
    let tags = list.into_iter().flat_map(Json::elements);
    tags.map(|tag| (texts(tag, "Key"), texts(tag, "Value")))
        .collect()
}

/// Writes a list of `{"Key": …, "Value": …}`.
pub(super) fn to_list<'a>(tags: impl IntoIterator<Item = (&'a String, &'a String)>) -> Value {
    let tags = tags.into_iter();
    tags.map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect()
}

/// The tags as one JSON object, escaped as Go escapes it.
pub(super) fn to_object(tags: &Tags) -> SecretBytes {
    let mut out = SecretWriter::default();
    out.push_byte(b'{');
    for (count, (key, value)) in tags.iter().enumerate() {
        if count > 0 {
            out.push_byte(b',');
        }
        write_text(key.as_bytes(), Html::Escaped, &mut out);
        out.push_byte(b':');
        write_text(value.as_bytes(), Html::Escaped, &mut out);
    }
    out.push_byte(b'}');
    out.finish()
}

pub(super) fn is_managed(tags: &Tags) -> bool {
    tags.get(MANAGED_BY.0).map(String::as_str) == Some(MANAGED_BY.1)
}

/// The tags that a push wants: those of its metadata and the mark.
pub(super) fn wanted(tags: &Tags) -> Result<Tags, StoreError> {
    if tags.contains_key(MANAGED_BY.0) {
        return Err(StoreError::invalid("the tag `managed-by` is set by this program").public());
    }
    let mut wanted = tags.clone();
    wanted.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
    Ok(wanted)
}

/// What has to be removed and what has to be set to come from `there` to `wanted`.
pub(super) fn change(there: &Tags, wanted: &Tags) -> (Vec<String>, Tags) {
    let gone = there
        .keys()
        .filter(|key| !wanted.contains_key(*key) && !key.starts_with("aws:"));
    let set = wanted
        .iter()
        .filter(|(key, value)| there.get(*key) != Some(value));
    (
        gone.cloned().collect(),
        set.map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn only_what_differs_is_changed() {
        let there = tags(&[("a", "1"), ("b", "2"), ("aws:owner", "x")]);
        let (gone, set) = change(&there, &tags(&[("a", "1"), ("c", "3")]));
        assert_eq!(gone, ["b"]);
        assert_eq!(set, tags(&[("c", "3")]));
        assert!(wanted(&tags(&[("managed-by", "me")])).is_err());
        assert!(is_managed(&wanted(&tags(&[])).unwrap()));
    }

    #[test]
    fn what_is_pushed_has_a_description() {
        assert_eq!(description(Some("mine")), "mine");
        for missing in [None, Some("")] {
            let text = description(missing);
            assert_eq!(text, "secret 'managed-by:external-secrets'");
        }
    }

    #[test]
    fn lists_are_read_and_written() {
        let list = Json::parse(br#"[{"Key": "a", "Value": "<"}, {"Key": "b"}]"#).unwrap();
        let read = of_list(Some(list));
        assert_eq!(read, tags(&[("a", "<"), ("b", "")]));
        assert_eq!(to_object(&read).expose(), br#"{"a":"\u003c","b":""}"#);
        assert_eq!(to_list(&read)[0], json!({"Key": "a", "Value": "<"}));
    }
}
