//! Rules for new files.

use sealwright_crypto::master_key::Kind;

use super::reader::{Map, Reader};
use super::{ConfigError, PathPattern};
use crate::metadata::KeyFields;
use crate::selection::SelectionRule;

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
    selection: Result<Option<SelectionRule>, ConfigError>,
}

impl CreationRule {
    /// The keys, in groups; one empty group when the rule names none. Azure keys may lack a version, which is to be
    /// looked up.
    pub fn groups(&self) -> Result<&[Vec<KeyFields>], ConfigError> {
        self.groups.as_deref().map_err(Clone::clone)
    }

    /// The rule that says what is secret; `None` when it is left to the default.
    pub fn selection(&self) -> Result<Option<&SelectionRule>, ConfigError> {
        match &self.selection {
            Ok(rule) => Ok(rule.as_ref()),
            Err(error) => Err(error.clone()),
        }
    }

    /// Whether everything in it can be used.
    pub fn usable(&self) -> Result<(), ConfigError> {
        self.groups()?;
        self.selection()?;
        Ok(())
    }
}

const FLAT_KEYS: [(&str, Kind); 6] = [
    ("age", Kind::Age),
    ("pgp", Kind::Pgp),
    ("kms", Kind::Kms),
    ("gcp_kms", Kind::GcpKms),
    ("azure_keyvault", Kind::AzureKv),
    ("hc_vault_transit_uri", Kind::HcVault),
];

pub(super) fn read(reader: &mut Reader<'_>, map: Map) -> Result<CreationRule, ConfigError> {
    let mut known = vec![
        "path_regex",
        "aws_profile",
        "hckms",
        "key_groups",
        "shamir_threshold",
        "mac_only_encrypted",
    ];
    known.extend(FLAT_KEYS.map(|(name, _)| name));
    known.extend(SelectionRule::FIELDS);
    reader.check_names(&map, &known);
    let path_regex = PathPattern::new(
        reader.text(&map, "path_regex")?,
        map.line_of("path_regex"),
        map.path.clone(),
    );
    let threshold = reader.integer(&map, "shamir_threshold")?.unwrap_or(0);
    let shamir_threshold = u32::try_from(threshold)
        .map_err(|_| map.error("shamir_threshold", "not a number of key groups"))?;
    let mac_only_encrypted = reader.boolean(&map, "mac_only_encrypted")?;
    let groups = match reader.list(&map, "key_groups")? {
        Some(groups) if !groups.is_empty() => groups
            .into_iter()
            .map(|(node, path)| {
                let group = reader.map(node, &path)?;
                let mut keys = Vec::new();
                if let Some(group) = group {
                    read_group(reader, &group, &mut keys, 0)?;
                }
                Ok(keys)
            })
            .collect(),
        _ => read_flat(reader, &map).map(|keys| vec![keys]),
    };
    Ok(CreationRule {
        line: map.line,
        path_regex,
        shamir_threshold,
        mac_only_encrypted,
        groups,
        selection: read_selection(reader, &map)?,
    })
}

type Selection = Result<Option<SelectionRule>, ConfigError>;

fn read_selection(reader: &Reader<'_>, map: &Map) -> Result<Selection, ConfigError> {
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
    if let Some(rule) = &found
        && let Err(invalid) = rule.compile()
    {
        return Ok(Err(map.error(rule.field(), invalid.source.to_string())));
    }
    Ok(Ok(found))
}

/// The keys that stand flat in a rule: one group.
fn read_flat(reader: &Reader<'_>, map: &Map) -> Result<Vec<KeyFields>, ConfigError> {
    let mut keys = Vec::new();
    let profile = reader.text(map, "aws_profile")?;
    for (name, kind) in FLAT_KEYS {
        for text in reader.comma_list(map, name)? {
            let mut key = parse(map, name, kind, &text)?;
            if let KeyFields::Kms { aws_profile, .. } = &mut key {
                aws_profile.clone_from(&profile);
            }
            keys.push(key);
        }
        if name == "gcp_kms" {
            for text in reader.texts(map, "hckms")? {
                for part in text.split(',') {
                    keys.push(parse(map, "hckms", Kind::HcKms, part)?);
                }
            }
        }
    }
    Ok(keys)
}

fn read_group(
    reader: &mut Reader<'_>,
    map: &Map,
    keys: &mut Vec<KeyFields>,
    depth: usize,
) -> Result<(), ConfigError> {
    let known = [
        "merge",
        "age",
        "pgp",
        "kms",
        "gcp_kms",
        "hckms",
        "azure_keyvault",
        "hc_vault",
    ];
    reader.check_names(map, &known);
    if depth > 16 {
        return Err(map.error("merge", "groups merge too deeply"));
    }
    let mut add = |key: KeyFields| {
        let is_same =
            |known: &KeyFields| known.kind() == key.kind() && known.identity() == key.identity();
        if !keys.iter().any(is_same) {
            keys.push(key);
        }
    };
    let mut merged = Vec::new();
    for (node, path) in reader.list(map, "merge")?.unwrap_or_default() {
        if let Some(group) = reader.map(node, &path)? {
            read_group(reader, &group, &mut merged, depth + 1)?;
        }
    }
    merged.into_iter().for_each(&mut add);
    for text in reader.texts(map, "age")? {
        for part in text.split(',') {
            add(parse(map, "age", Kind::Age, part)?);
        }
    }
    for text in reader.texts(map, "pgp")? {
        add(parse(map, "pgp", Kind::Pgp, &text)?);
    }
    for entry in maps(
        reader,
        map,
        "kms",
        &["arn", "role", "context", "aws_profile"],
    )? {
        let context = reader.map_at(&entry, "context")?;
        let context = context.map(|context| reader.pairs(&context)).transpose()?;
        add(KeyFields::Kms {
            arn: reader.text(&entry, "arn")?,
            role: reader.text(&entry, "role")?,
            context: context.unwrap_or_default().into_iter().collect(),
            aws_profile: reader.text(&entry, "aws_profile")?,
        });
    }
    for entry in maps(reader, map, "gcp_kms", &["resource_id"])? {
        let text = reader.text(&entry, "resource_id")?;
        add(parse(&entry, "resource_id", Kind::GcpKms, &text)?);
    }
    for entry in maps(reader, map, "hckms", &["key_id"])? {
        let text = reader.text(&entry, "key_id")?;
        add(parse(&entry, "key_id", Kind::HcKms, &text)?);
    }
    for entry in maps(
        reader,
        map,
        "azure_keyvault",
        &["vaultUrl", "key", "version"],
    )? {
        add(KeyFields::AzureKv {
            vault_url: reader.text(&entry, "vaultUrl")?,
            name: reader.text(&entry, "key")?,
            version: reader.text(&entry, "version")?,
        });
    }
    for text in reader.texts(map, "hc_vault")? {
        add(parse(map, "hc_vault", Kind::HcVault, &text)?);
    }
    Ok(())
}

fn maps(
    reader: &mut Reader<'_>,
    map: &Map,
    name: &str,
    known: &[&str],
) -> Result<Vec<Map>, ConfigError> {
    let mut out = Vec::new();
    for (node, path) in reader.list(map, name)?.unwrap_or_default() {
        if let Some(entry) = reader.map(node, &path)? {
            reader.check_names(&entry, known);
            out.push(entry);
        }
    }
    Ok(out)
}

fn parse(map: &Map, name: &str, kind: Kind, text: &str) -> Result<KeyFields, ConfigError> {
    KeyFields::parse(kind, text).map_err(|error| map.error(name, error.to_string()))
}
