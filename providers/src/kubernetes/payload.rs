//! What is read of a Secret: its data, decoded, its labels and annotations, and properties of them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::json::{self, Html, Json, Kind, Numbers, write_text};
use crate::outcome::{StoreError, Trouble, shown};
use crate::remote::{MetadataPolicy, RemoteRef, SecretMap};
use crate::store::Payload;

/// What stands before the names of data in a payload; the others are metadata.
const DATA: &str = "data/";

/// The data of a Secret, decoded, with its labels and annotations.
pub(super) fn payload_of(secret: Json<'_>) -> Result<Payload, StoreError> {
    let mut parts = SecretMap::new();
    for (name, value) in secret.member("data").into_iter().flat_map(Json::members) {
        let text = value.string().unwrap_or_default();
        let bytes = STANDARD
            .decode(text.expose())
            .map_err(|_| malformed("its data is not base64"))?;
        parts.insert(format!("{DATA}{}", name.expose()), SecretBytes::from(bytes));
        json::check_count(parts.len())?;
    }
    let metadata = secret.member("metadata");
    for part in ["labels", "annotations"] {
        let value = metadata.and_then(|metadata| metadata.member(part));
        let mut out = SecretWriter::default();
        match value.filter(|value| value.kind() == Kind::Object) {
            Some(value) => json::encode_with(value, Numbers::Literal, Html::Plain, &mut out),
            // To upstream, a map that the Secret does not have is null.
            None => out.push(b"null"),
        }
        parts.insert(part.to_owned(), out.finish());
    }
    Ok(Payload::of_parts(parts))
}

fn data_of(payload: &Payload) -> impl Iterator<Item = (&str, &SecretBytes)> {
    let parts = payload.parts().iter();
    parts.filter_map(|(name, value)| Some((name.strip_prefix(DATA)?, value)))
}

/// All data as a JSON object of strings; what is not UTF-8 is replaced, as upstream does.
pub(super) fn data_as_json(payload: &Payload) -> SecretBytes {
    let mut members = BTreeMap::new();
    for (name, value) in data_of(payload) {
        let mut text = SecretWriter::with_capacity(value.len() + 2);
        write_text(value.expose(), Html::Plain, &mut text);
        members.insert(name.to_owned(), text.finish());
    }
    json::object_of_raw(&members)
}

/// What a property of a Secret's data means: the key of that very name, or a path into the JSON behind the first dot.
pub(super) fn data_property(payload: &Payload, property: &str) -> Option<SecretBytes> {
    if let Some(value) = payload.part(&format!("{DATA}{property}")) {
        return Some(SecretBytes::copy_of(value.expose()));
    }
    let (key, path) = property.split_once('.')?;
    if key.is_empty() || path.is_empty() || path.ends_with('.') {
        return None;
    }
    let value = payload.part(&format!("{DATA}{key}"))?;
    json::path::get(value.expose(), path).map(|found| found.text())
}

pub(super) fn metadata_property(payload: &Payload, property: Option<&str>) -> Option<SecretBytes> {
    let part = |name: &str| {
        payload
            .part(name)
            .map(|part| SecretBytes::copy_of(part.expose()))
    };
    let Some(property) = property else {
        let mut members = BTreeMap::new();
        for name in ["annotations", "labels"] {
            members.insert(name.to_owned(), part(name)?);
        }
        return Some(json::object_of_raw(&members));
    };
    let (name, rest) = match property.split_once('.') {
        None => return matches!(property, "labels" | "annotations").then(|| part(property))?,
        Some(split) => split,
    };
    if !matches!(name, "labels" | "annotations") {
        return None;
    }
    let object = payload.part(name)?;
    let object = Json::parse(object.expose()).ok()?;
    if let Some(value) = object.member(rest) {
        return Some(value.unquoted());
    }
    let (label, path) = rest.split_once('.')?;
    let text = object.member(label)?.string()?;
    json::path::get(text.expose().as_bytes(), path).map(|found| found.text())
}

/// The names and values that `extract` gives: the data or the metadata, or with a property the members of one of them.
///
/// A property is the name of a data key, `labels` or `annotations`. Upstream looks for it in an object of base64 texts, so a
/// path never leads into a value.
pub(super) fn map_of(at: &RemoteRef, payload: &Payload) -> Result<SecretMap, StoreError> {
    let copy = |value: &SecretBytes| SecretBytes::copy_of(value.expose());
    let is_metadata = at.metadata == MetadataPolicy::Fetch;
    let metadata = ["labels", "annotations"];
    let Some(property) = at.wanted_property() else {
        if !is_metadata {
            let data = data_of(payload);
            return Ok(data
                .map(|(name, value)| (name.to_owned(), copy(value)))
                .collect());
        }
        let parts = metadata.into_iter();
        return Ok(parts
            .filter_map(|name| Some((name.to_owned(), copy(payload.part(name)?))))
            .collect());
    };
    let value = if !is_metadata {
        payload.part(&format!("{DATA}{property}"))
    } else if metadata.contains(&property) {
        payload.part(property)
    } else {
        None
    };
    let value = value.ok_or_else(|| {
        let text = format!(
            "property {} does not exist in key {}",
            shown(property),
            shown(&at.key)
        );
        StoreError::new(Trouble::Missing, text).public()
    })?;
    let object = Json::parse(value.expose())
        .ok()
        // To upstream, null is an object without members.
        .filter(|object| matches!(object.kind(), Kind::Object | Kind::Null))
        .ok_or_else(|| StoreError::new(Trouble::Missing, "the value is no JSON object").public())?;
    // Members stay JSON: strings keep their quotes, as upstream has it.
    json::values_of(object, |value| {
        let mut out = SecretWriter::default();
        json::encode_with(value, Numbers::Float, Html::Plain, &mut out);
        out.finish()
    })
}

pub(super) fn malformed(what: &str) -> StoreError {
    StoreError::new(
        Trouble::Malformed,
        format!("the answer is not one of an API server: {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(secret: &str) -> Payload {
        payload_of(Json::parse(secret.as_bytes()).unwrap()).unwrap()
    }

    fn text(value: &SecretBytes) -> String {
        String::from_utf8(value.expose().to_vec()).unwrap()
    }

    #[test]
    fn metadata_that_is_missing_is_null_and_signs_stay_unescaped() {
        let bare = payload(r#"{"metadata": {"name": "db"}}"#);
        assert_eq!(
            text(&metadata_property(&bare, None).unwrap()),
            r#"{"annotations":null,"labels":null}"#
        );
        assert_eq!(
            text(&metadata_property(&bare, Some("labels")).unwrap()),
            "null"
        );
        assert!(metadata_property(&bare, Some("labels.app")).is_none());
        let noted = payload(
            r#"{"metadata": {"annotations": {"note": "<a&b>", "app": "\u003c"}, "labels": {}}}"#,
        );
        assert_eq!(
            text(&metadata_property(&noted, None).unwrap()),
            r#"{"annotations":{"app":"<","note":"<a&b>"},"labels":{}}"#
        );
    }

    #[test]
    fn an_extracted_property_is_a_whole_key_and_its_members_stay_json() {
        // {"a": {"b": "<c>"}, "n": 1.50}, {"d": "&"} and null.
        let secret = payload(
            r#"{"data": {"json": "eyJhIjogeyJiIjogIjxjPiJ9LCAibiI6IDEuNTB9", "x.json": "eyJkIjogIiYifQ==", "none": "bnVsbA=="},
                "metadata": {"labels": {"app": "shop"}}}"#,
        );
        let lines = |at: &RemoteRef| -> Vec<String> {
            let map = map_of(at, &secret).unwrap();
            let lines = map.iter();
            lines
                .map(|(name, value)| format!("{name}={}", text(value)))
                .collect()
        };
        let at = |property: &str| RemoteRef::new("db").property(property);
        assert_eq!(lines(&at("json")), [r#"a={"b":"<c>"}"#, "n=1.5"]);
        assert_eq!(lines(&at("x.json")), [r#"d="&""#]);
        assert!(lines(&at("none")).is_empty());
        assert_eq!(lines(&at("labels").metadata()), [r#"app="shop""#]);
        assert!(lines(&at("annotations").metadata()).is_empty());
        let all = RemoteRef::new("db").metadata();
        assert_eq!(
            lines(&all),
            ["annotations=null", r#"labels={"app":"shop"}"#]
        );
        for (at, property) in [
            (at("json.a"), "json.a"),
            (at("labels.app").metadata(), "labels.app"),
            (at("json").metadata(), "json"),
            (at("labels"), "labels"),
        ] {
            let error = map_of(&at, &secret).unwrap_err();
            assert_eq!(error.trouble(), Trouble::Missing);
            let wanted = format!("property {property} does not exist in key db");
            assert!(error.to_string().contains(&wanted), "{error}");
        }
    }
}
