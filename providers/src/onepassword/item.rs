//! What an item of 1Password holds: fields with labels, files with names, tags.

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::json::{Html, Json, write_text};
use crate::message::name_in;
use crate::remote::SecretMap;

/// The category of items that are about a file.
pub(super) const DOCUMENT: &str = "DOCUMENT";
/// The field that counts where none is named.
const PASSWORD: &str = "password";

/// The label that a property means.
pub(super) fn field_of(property: &str) -> &str {
    match property.is_empty() {
        true => PASSWORD,
        false => property,
    }
}

/// The fields of an item: labels and values, in their order.
pub(super) struct Fields(Vec<(String, SecretBytes)>);

impl Fields {
    pub(super) fn of(item: Json<'_>) -> Self {
        let fields = item.member("fields").into_iter().flat_map(Json::elements);
        Self(
            fields
                .map(|field| {
                    let value = field.member("value").and_then(Json::string);
                    let label = name_in(field, "label").unwrap_or_default();
                    (label, value.unwrap_or_default().into())
                })
                .collect(),
        )
    }

    /// The values of all fields of a label.
    pub(super) fn labelled(&self, label: &str) -> Vec<&SecretBytes> {
        let fields = self.0.iter().filter(|(named, _)| named == label);
        fields.map(|(_, value)| value).collect()
    }
}

/// The wanted fields of an item as a map; a label that several have is an error.
pub(super) fn fields_of(
    item: Json<'_>,
    wanted: impl Fn(&str) -> bool,
) -> Result<SecretMap, String> {
    let mut map = SecretMap::new();
    for (label, value) in Fields::of(item).0 {
        if wanted(&label) && map.insert(label.clone(), value).is_some() {
            return Err(label);
        }
    }
    Ok(map)
}

/// A file of an item.
pub(super) struct File {
    pub(super) id: String,
    pub(super) name: String,
}

/// The files of an item, in their order.
pub(super) fn files_of(item: Json<'_>) -> Vec<File> {
    let files = item.member("files").into_iter().flat_map(Json::elements);
    files
        .filter_map(|file| {
            Some(File {
                id: name_in(file, "id")?,
                name: name_in(file, "name").unwrap_or_default(),
            })
        })
        .collect()
}

/// Returns true if an item has a tag.
pub(super) fn has_tag(item: Json<'_>, tag: &str) -> bool {
    let tags = item.member("tags").into_iter().flat_map(Json::elements);
    tags.filter_map(Json::string).any(|it| it.expose() == tag)
}

/// The tags of an item.
pub(super) fn tags_of(item: Json<'_>) -> Vec<String> {
    let tags = item.member("tags").into_iter().flat_map(Json::elements);
    tags.filter_map(|tag| Some(tag.string()?.expose().to_owned()))
        .collect()
}

/// Writes the item again with other fields or tags; everything else stays as it is.
pub(super) fn with(
    item: Json<'_>,
    fields: Option<&SecretBytes>,
    tags: Option<&[String]>,
) -> SecretBytes {
    let tags = tags.map(|tags| serde_json::json!(tags).to_string());
    let new = [
        ("fields", fields.map(SecretBytes::expose)),
        ("tags", tags.as_deref().map(str::as_bytes)),
    ];
    let new = new.into_iter().filter_map(|(name, raw)| Some((name, raw?)));
    let new: Vec<(&str, &[u8])> = new.collect();
    let mut out = SecretWriter::with_capacity(item.raw().len() + 256);
    out.push_byte(b'{');
    let mut first = true;
    let mut put = |name: &str, raw: &[u8]| {
        if !std::mem::take(&mut first) {
            out.push_byte(b',');
        }
        write_text(name.as_bytes(), Html::Plain, &mut out);
        out.push_byte(b':');
        out.push(raw);
    };
    for (name, value) in item.members() {
        if new.iter().all(|(there, _)| *there != name.expose()) {
            put(name.expose(), value.raw());
        }
    }
    for (name, raw) in new {
        put(name, raw);
    }
    out.push_byte(b'}');
    out.finish()
}

/// The list of an item's fields in which the one of this label has the value, or is left out without one; a field is added
/// where there is none. The label must not be there twice.
pub(super) fn fields_with(item: Json<'_>, label: &str, value: Option<&[u8]>) -> SecretBytes {
    let mut out = SecretWriter::with_capacity(item.raw().len() + 256);
    out.push_byte(b'[');
    let (mut first, mut done) = (true, false);
    let fields = item.member("fields").into_iter().flat_map(Json::elements);
    for field in fields {
        let named = name_in(field, "label").unwrap_or_default() == label;
        if named && value.is_none() {
            continue;
        }
        if !std::mem::take(&mut first) {
            out.push_byte(b',');
        }
        match value.filter(|_| named) {
            Some(value) => {
                done = true;
                write_field(field, value, &mut out);
            }
            None => out.push(field.raw()),
        }
    }
    if let Some(value) = value.filter(|_| !done) {
        if !first {
            out.push_byte(b',');
        }
        new_field(label, value, &mut out);
    }
    out.push_byte(b']');
    out.finish()
}

/// The list of the one field that a new item has.
pub(super) fn only_field(label: &str, value: &[u8]) -> SecretBytes {
    let mut out = SecretWriter::with_capacity(label.len() + value.len() + 64);
    out.push_byte(b'[');
    new_field(label, value, &mut out);
    out.push_byte(b']');
    out.finish()
}

fn new_field(label: &str, value: &[u8], out: &mut SecretWriter) {
    out.push(br#"{"type":"CONCEALED","label":"#);
    write_text(label.as_bytes(), Html::Plain, out);
    out.push(br#","value":"#);
    write_text(value, Html::Plain, out);
    out.push_byte(b'}');
}

fn write_field(field: Json<'_>, value: &[u8], out: &mut SecretWriter) {
    out.push_byte(b'{');
    for (name, member) in field.members() {
        if name.expose() == "value" {
            continue;
        }
        write_text(name.expose().as_bytes(), Html::Plain, out);
        out.push_byte(b':');
        out.push(member.raw());
        out.push_byte(b',');
    }
    out.push(br#""value":"#);
    write_text(value, Html::Plain, out);
    out.push_byte(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEM: &str = r#"{"id": "i", "x": 1e3, "tags": ["a"], "fields": [{"label": "user", "value": "u", "id": "f"}, {"label": "password"}]}"#;

    fn text(bytes: &SecretBytes) -> String {
        String::from_utf8(bytes.expose().to_vec()).unwrap()
    }

    #[test]
    fn one_field_changes_and_everything_else_stays() {
        let item = Json::parse(ITEM.as_bytes()).unwrap();
        let changed = fields_with(item, "user", Some(b"n\"ew"));
        assert_eq!(
            text(&changed),
            r#"[{"label":"user","id":"f","value":"n\"ew"},{"label": "password"}]"#
        );
        let added = fields_with(item, "other", Some(b"o"));
        assert!(text(&added).ends_with(r#",{"type":"CONCEALED","label":"other","value":"o"}]"#));
        let left = fields_with(item, "user", None);
        assert_eq!(text(&left), r#"[{"label": "password"}]"#);
        let whole = with(item, Some(&left), Some(&["b".to_owned()]));
        assert_eq!(
            text(&whole),
            r#"{"id":"i","x":1e3,"fields":[{"label": "password"}],"tags":["b"]}"#
        );
    }

    #[test]
    fn labels_that_several_fields_have_are_told() {
        let twice = br#"{"fields": [{"label": "a", "value": "1"}, {"label": "a", "value": "2"}, {"label": "b"}]}"#;
        let item = Json::parse(twice).unwrap();
        assert_eq!(fields_of(item, |_| true).unwrap_err(), "a");
        assert_eq!(fields_of(item, |label| label == "b").unwrap().len(), 1);
        assert_eq!(Fields::of(item).labelled("a").len(), 2);
    }
}
