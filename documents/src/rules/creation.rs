//! Rules for new files.

use std::collections::HashSet;

use sealwright_crypto::key_kind::{FlatForm, GroupForm, KeyFields, KeyKind, Shape};

use super::path_pattern::Room;
use super::reader::{Map, Reader};
use super::{ConfigError, PathPattern};
use crate::selection::{InvalidRule, SelectionRule};

/// A rule for new files: which keys open them, and what in them is secret.
#[derive(Clone, Debug)]
pub struct CreationRule {
    /// Its line, from 1.
    pub line: usize,
    /// The files that it is for.
    pub path_regex: PathPattern,
    /// How many key groups it takes; 0 for all.
    pub shamir_threshold: u32,
    /// Whether the MAC covers encrypted values alone.
    pub mac_only_encrypted: bool,
    groups: Result<Vec<Vec<KeyFields>>, ConfigError>,
    selection: Result<Option<Selection>, ConfigError>,
}

/// What is secret, and where that stands. The expression is compiled when the rule is used.
#[derive(Clone, Debug)]
struct Selection {
    rule: SelectionRule,
    line: usize,
    path: String,
}

impl Selection {
    fn invalid(&self, invalid: InvalidRule) -> ConfigError {
        ConfigError {
            line: self.line,
            path: self.path.clone(),
            reason: invalid.source.to_string(),
        }
    }
}

impl CreationRule {
    /// The keys, in groups; one empty group when the rule names none. Azure keys may lack a version, which is to be
    /// looked up.
    pub fn groups(&self) -> Result<&[Vec<KeyFields>], ConfigError> {
        self.groups.as_deref().map_err(Clone::clone)
    }

    /// The rule that says what is secret; `None` when it is left to the default.
    pub fn selection(&self) -> Result<Option<&SelectionRule>, ConfigError> {
        let Some(selection) = self.selection.as_ref().map_err(Clone::clone)? else {
            return Ok(None);
        };
        match selection.rule.compile() {
            Ok(_) => Ok(Some(&selection.rule)),
            Err(invalid) => Err(selection.invalid(invalid)),
        }
    }

    /// Whether everything in it can be used, as far as there is room to find out.
    pub(super) fn usable(&self, room: &Room) -> Result<(), ConfigError> {
        self.groups()?;
        if let Some(selection) = self.selection.as_ref().map_err(Clone::clone)? {
            let compile = |text: &str| room.compile(text).map(Some);
            let compiled = selection.rule.compile_with(compile);
            compiled.map_err(|invalid| selection.invalid(invalid))?;
        }
        Ok(())
    }
}

pub(super) fn read(reader: &mut Reader<'_>, map: Map) -> Result<CreationRule, ConfigError> {
    let mut known = vec![
        "path_regex",
        "key_groups",
        "shamir_threshold",
        "mac_only_encrypted",
    ];
    known.extend(KeyKind::in_rule_order().map(|kind| kind.rule.flat));
    known.extend(KeyKind::settings().filter_map(|(_, _, setting)| setting.in_rule));
    known.extend(SelectionRule::FIELDS);
    reader.check_names(&map, &known);
    let path_regex = PathPattern::new(
        reader.text(&map, "path_regex")?,
        map.line_of("path_regex"),
        map.path.clone(),
        &reader.room,
    );
    let threshold = reader.integer(&map, "shamir_threshold")?.unwrap_or(0);
    let threshold = u32::try_from(threshold)
        .map_err(|_| map.error("shamir_threshold", "not a number of key groups"));
    let mac_only_encrypted = reader.boolean(&map, "mac_only_encrypted")?;
    let groups: Result<Vec<Vec<KeyFields>>, ConfigError> = match reader.list(&map, "key_groups")? {
        Some(groups) if !groups.is_empty() => groups
            .into_iter()
            .map(|(node, path)| {
                let group = reader.map(node, &path)?;
                let mut keys = Keys::default();
                if let Some(group) = group {
                    read_group(reader, &group, &mut keys, 0)?;
                }
                Ok(keys.list)
            })
            .collect(),
        _ => read_flat(reader, &map).map(|keys| vec![keys]),
    };
    Ok(CreationRule {
        line: map.line,
        path_regex,
        shamir_threshold: threshold.as_ref().copied().unwrap_or(0),
        mac_only_encrypted,
        groups: threshold.and(groups),
        selection: read_selection(reader, &map)?,
    })
}

/// An error of its own is one of the whole configuration, one inside is one of the rule.
fn read_selection(
    reader: &Reader<'_>,
    map: &Map,
) -> Result<Result<Option<Selection>, ConfigError>, ConfigError> {
    let mut found: Option<SelectionRule> = None;
    for name in SelectionRule::FIELDS {
        let Some(rule) = SelectionRule::of_field(name, reader.text(map, name)?) else {
            continue;
        };
        if let Some(first) = &found {
            let reason = format!(
                "a rule has one of these at most, and {} is there",
                first.field()
            );
            return Ok(Err(map.error(name, reason)));
        }
        found = Some(rule);
    }
    Ok(Ok(found.map(|rule| Selection {
        line: map.line_of(rule.field()),
        path: map.path_of(rule.field()),
        rule,
    })))
}

/// The keys that stand flat in a rule: one group.
fn read_flat(reader: &Reader<'_>, map: &Map) -> Result<Vec<KeyFields>, ConfigError> {
    let mut keys = Vec::new();
    for kind in KeyKind::in_rule_order() {
        let name = kind.rule.flat;
        let texts = match kind.rule.flat_form {
            FlatForm::Texts => reader.comma_list(map, name)?,
            FlatForm::List => split_by_commas(reader.texts(map, name)?),
        };
        for text in texts.iter().filter(|text| !kind.skips(text)) {
            let mut key = parse(map, name, kind, text)?;
            for field in kind.fields {
                if let Some(name) = field.setting.and_then(|setting| setting.in_rule) {
                    key.set_text(field.name, reader.text(map, name)?);
                }
            }
            keys.push(key);
        }
    }
    Ok(keys)
}

/// Keys of a group, each once.
#[derive(Default)]
struct Keys {
    list: Vec<KeyFields>,
    known: HashSet<(&'static str, String)>,
}

impl Keys {
    fn add(&mut self, key: KeyFields) {
        if self.known.insert((key.kind().section, key.identity())) {
            self.list.push(key);
        }
    }
}

fn read_group(
    reader: &mut Reader<'_>,
    map: &Map,
    keys: &mut Keys,
    depth: usize,
) -> Result<(), ConfigError> {
    let kinds = KeyKind::in_rule_order();
    let mut known = vec!["merge"];
    known.extend(kinds.map(|kind| kind.rule.group));
    reader.check_names(map, &known);
    if depth > 16 {
        return Err(map.error("merge", "groups merge too deeply"));
    }
    let mut merged = Keys::default();
    for (node, path) in reader.list(map, "merge")?.unwrap_or_default() {
        if let Some(group) = reader.map(node, &path)? {
            read_group(reader, &group, &mut merged, depth + 1)?;
        }
    }
    merged.list.into_iter().for_each(|key| keys.add(key));
    for kind in kinds {
        let name = kind.rule.group;
        let texts = match kind.rule.group_form {
            GroupForm::List => reader.texts(map, name)?,
            GroupForm::Lists => split_by_commas(reader.texts(map, name)?),
            GroupForm::Maps => {
                for (node, path) in reader.list(map, name)?.unwrap_or_default() {
                    if let Some(entry) = reader.map(node, &path)? {
                        keys.add(read_entry(reader, &entry, kind)?);
                    }
                }
                continue;
            }
        };
        for text in texts {
            keys.add(parse(map, name, kind, &text)?);
        }
    }
    Ok(())
}

/// Reads a key that is written as a map. What has one field is read as flags have it.
fn read_entry(
    reader: &mut Reader<'_>,
    entry: &Map,
    kind: &'static KeyKind,
) -> Result<KeyFields, ConfigError> {
    let names: Vec<&str> = kind.fields.iter().map(|field| field.in_rule).collect();
    reader.check_names(entry, &names);
    if let [field] = kind.fields {
        let text = reader.text(entry, field.in_rule)?;
        return parse(entry, field.in_rule, kind, &text);
    }
    let mut key = KeyFields::new(kind);
    for field in kind.fields {
        match field.shape {
            Shape::Text => key.set_text(field.name, reader.text(entry, field.in_rule)?),
            Shape::Map => {
                if let Some(pairs) = reader.map_at(entry, field.in_rule)? {
                    key.set_map(field.name, reader.pairs(&pairs)?);
                }
            }
        }
    }
    Ok(key)
}

/// An element without any character in it has no keys.
fn split_by_commas(texts: Vec<String>) -> Vec<String> {
    let texts = texts.iter().filter(|text| !text.is_empty());
    let parts = texts.flat_map(|text| text.split(','));
    parts.map(str::to_owned).collect()
}

fn parse(
    map: &Map,
    name: &str,
    kind: &'static KeyKind,
    text: &str,
) -> Result<KeyFields, ConfigError> {
    kind.parse(text)
        .map_err(|error| map.error(name, error.to_string()))
}
