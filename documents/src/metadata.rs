//! The `sops` block as a typed value: which keys open the file, which leaves are secret, when it was written, its MAC.
//!
//! Reading is as lenient as the reference's reader (names in any case, numbers and booleans as text, one map where a
//! list of maps belongs); writing is strict: fields ascend, empty ones are left out, lists of keys stand flat when there
//! is one group. What the block says is not authenticated by itself: it only becomes true when the MAC agrees.

use std::collections::HashSet;
use std::fmt;

use sealwright_crypto::key_kind::{self, KeyKind, Shape};
use sealwright_crypto::master_key::Wrapped;

use crate::data::Data;
use crate::selection::SelectionRule;

mod fields;
mod timestamp;
mod version;

pub use sealwright_crypto::key_kind::KeyFields;
pub use timestamp::Timestamp;
pub use version::{VERSION, Version};

use fields::Fields;

/// The field that carries the presentation hints; no other program knows it, and all ignore it.
pub const HINTS_FIELD: &str = "sealwright";

/// A master key as the file has it: which key, since when, and the data key (or a share of it) wrapped by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEntry {
    /// Which key.
    pub key: KeyFields,
    /// When it was added; age keys have no such time.
    pub created_at: Option<Timestamp>,
    /// What the key made of the data key.
    pub enc: Wrapped,
}

/// Keys of which any one is enough to get the group's part of the data key.
pub type KeyGroup = Vec<KeyEntry>;

/// The content of a `sops` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The key groups; one, unless the data key is shared among several.
    pub groups: Vec<KeyGroup>,
    /// How many groups it takes; 0 when unset.
    pub shamir_threshold: u32,
    /// Which leaves are secret; `None` when the block does not say, which means the rule by default.
    pub selection: Option<SelectionRule>,
    /// Whether the MAC covers the encrypted values alone.
    pub mac_only_encrypted: bool,
    /// When the values were written; the MAC is bound to it.
    pub last_modified: Timestamp,
    /// The encrypted MAC; empty when the block has none.
    pub mac: String,
    /// The version of the program that wrote the file.
    pub version: String,
    /// The encrypted presentation hints.
    pub hints: Option<String>,
}

/// A `sops` block cannot be taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// The file has no block: it is not encrypted.
    #[error("sops metadata not found")]
    NotFound,
    /// The block is no map.
    #[error("the sops block is not a map")]
    NotAMap,
    /// A field that must be there is not.
    #[error("the sops block has no {0}")]
    Missing(String),
    /// A field has content of the wrong type or form.
    #[error("sops.{field}: {reason}")]
    Field {
        /// Its path in the block, such as `kms[0].created_at`.
        field: String,
        /// What is wrong.
        reason: String,
    },
    /// More than one rule says which leaves are secret.
    #[error("the sops block has both {0} and {1}; a file has one selection rule at most")]
    SeveralRules(&'static str, &'static str),
    /// Nothing could ever open the file.
    #[error("no keys found in the sops block")]
    NoKeys,
    /// The version is missing or no semantic version.
    #[error("cannot read the version {0:?} of the sops block as a semantic version")]
    Version(String),
}

impl MetadataError {
    /// The top-level field of the block that it is about; `None` when it is about the whole block.
    pub fn field_name(&self) -> Option<&str> {
        let path = match self {
            Self::Field { field, .. } => field,
            Self::Missing(field) if field.contains(['.', '[']) => field,
            Self::Version(_) => "version",
            _ => return None,
        };
        path.split(['.', '[']).next()
    }

    fn field(field: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::Field {
            field: field.into(),
            reason: reason.to_string(),
        }
    }
}

impl Metadata {
    /// The block of a new file; [`encrypt`](crate::envelope::encrypt) fills in time and MAC.
    pub fn new(
        groups: Vec<KeyGroup>,
        shamir_threshold: u32,
        selection: Option<SelectionRule>,
        mac_only_encrypted: bool,
    ) -> Self {
        Self {
            groups,
            shamir_threshold,
            selection,
            mac_only_encrypted,
            last_modified: Timestamp::from(jiff::Timestamp::UNIX_EPOCH),
            mac: String::new(),
            version: VERSION.to_owned(),
            hints: None,
        }
    }

    /// Reads a block.
    pub fn from_data(block: &Data) -> Result<Self, MetadataError> {
        let fields = Fields::of(block, "").ok_or(MetadataError::NotAMap)?;
        let flat = read_group(&fields)?;
        let groups = if flat.is_empty() {
            let groups = fields
                .maps("key_groups")?
                .iter()
                .map(read_group)
                .collect::<Result<Vec<_>, _>>()?;
            if groups.iter().all(Vec::is_empty) {
                return Err(MetadataError::NoKeys);
            }
            groups
        } else {
            vec![flat]
        };
        let mut selection: Option<SelectionRule> = None;
        for name in SelectionRule::FIELDS {
            let Some(rule) = SelectionRule::of_field(name, fields.text(name)?) else {
                continue;
            };
            if let Some(first) = &selection {
                return Err(MetadataError::SeveralRules(first.field(), name));
            }
            selection = Some(rule);
        }
        // A negative one asks for nothing; upstream copies it from a rule into files with one group.
        let threshold = fields.integer("shamir_threshold")?.max(0);
        Ok(Self {
            groups,
            shamir_threshold: u32::try_from(threshold).map_err(|_| {
                MetadataError::field("shamir_threshold", "not a number of key groups")
            })?,
            selection,
            mac_only_encrypted: fields.boolean("mac_only_encrypted")?,
            last_modified: fields
                .time("lastmodified")?
                .ok_or_else(|| MetadataError::Missing("lastmodified".into()))?,
            mac: fields.text("mac")?,
            version: fields.text("version")?,
            hints: Some(fields.text(HINTS_FIELD)?).filter(|text| !text.is_empty()),
        })
    }

    /// The block as it is written: sorted, without what is unset.
    pub fn to_data(&self) -> Data {
        let mut out = Vec::new();
        if let [group] = &self.groups[..] {
            let lists = lists_of(group).into_iter();
            let filled = lists.filter(|(_, keys)| *keys != Data::List(Vec::new()));
            out.extend(filled.map(|(kind, keys)| (kind.section, keys)));
        } else {
            let groups = self.groups.iter().map(|group| {
                let lists = lists_of(group).into_iter();
                let written = lists
                    .filter(|(kind, keys)| kind.always_listed || *keys != Data::List(Vec::new()));
                sorted_map(written.map(|(kind, keys)| (kind.section, keys)).collect())
            });
            out.push(("key_groups", Data::List(groups.collect())));
        }
        if let Some(rule) = &self.selection {
            out.push((rule.field(), Data::str(rule.text())));
        }
        if self.shamir_threshold != 0 {
            let threshold = Data::Int(i64::from(self.shamir_threshold));
            out.push(("shamir_threshold", threshold));
        }
        if self.mac_only_encrypted {
            out.push(("mac_only_encrypted", Data::Bool(true)));
        }
        out.push(("lastmodified", Data::str(self.last_modified.as_str())));
        out.push(("mac", Data::str(&self.mac)));
        out.push(("version", Data::str(&self.version)));
        if let Some(hints) = &self.hints {
            out.push((HINTS_FIELD, Data::str(hints)));
        }
        sorted_map(out)
    }

    /// The block as it is written over `earlier`, which was read as `was`: fields that mean the same keep their content
    /// as it stands there, however it is typed, and unknown fields stay.
    pub fn to_data_over(&self, earlier: &Data, was: &Metadata) -> Data {
        let (Data::Map(earlier), Data::Map(was), Data::Map(mut new)) =
            (earlier, was.to_data(), self.to_data())
        else {
            return self.to_data();
        };
        let find = |entries: &[(_, Data)], name: &str| {
            entries.iter().position(
                |(key, _): &(sealwright_crypto::secret::SecretBytes, Data)| {
                    key.expose() == name.as_bytes()
                },
            )
        };
        let exact: HashSet<&[u8]> = earlier.iter().map(|(key, _)| key.expose()).collect();
        let mut seen = HashSet::new();
        let mut out = Vec::new();
        for (raw_name, raw) in earlier {
            if matches!(raw, Data::Comment { .. }) {
                continue;
            }
            let text = String::from_utf8_lossy(raw_name.expose()).into_owned();
            // Of several spellings of a field the one counts that is read: the exact one, otherwise the first.
            let known = fields::known_name(&text);
            let is_first = known.is_some_and(|name| seen.insert(name));
            let name = known
                .filter(|name| *name == text || is_first && !exact.contains(name.as_bytes()))
                .unwrap_or(&text);
            let before = find(&was, name).map(|at| &was[at].1);
            match find(&new, name).map(|at| new.swap_remove(at).1) {
                Some(now) if before != Some(&now) => out.push((Data::key(&text), now)),
                None if before.is_some() => {} // it was there, and is no more
                _ => out.push((Data::key(&text), raw.copy())),
            }
        }
        out.append(&mut new);
        out.sort_by(|a, b| a.0.expose().cmp(b.0.expose()));
        Data::Map(out)
    }

    /// The rule that says which leaves are secret.
    pub fn selection(&self) -> SelectionRule {
        self.selection.clone().unwrap_or_default()
    }

    /// Checks that `version` is one that programs take; older ones than 3.3.0 may need [`Metadata::has_mixed_contexts`].
    pub fn version(&self) -> Result<Version, MetadataError> {
        self.version.parse()
    }

    /// Whether the file may have been written with one key's encryption context for all keys: it is older than 3.3.0 and
    /// a key has at least two context entries with different values.
    pub fn has_mixed_contexts(&self) -> bool {
        self.version().is_ok_and(|version| version.is_before_3_3())
            && self.groups.iter().flatten().any(|entry| {
                let fields = entry.key.kind().fields.iter();
                let mut contexts = fields.filter(|field| field.shape == Shape::Map);
                contexts.any(|field| {
                    let mut values = entry.key.map(field.name).values();
                    let first = values.next();
                    values.any(|value| Some(value) != first)
                })
            })
    }
}

fn read_group(fields: &Fields<'_>) -> Result<KeyGroup, MetadataError> {
    let mut group = Vec::new();
    for kind in key_kind::ALL {
        for entry in fields.maps(kind.section)? {
            group.push(KeyEntry {
                key: read_key(kind, &entry)?,
                created_at: match kind.dated {
                    false => None,
                    true => Some(
                        entry
                            .time("created_at")?
                            .ok_or_else(|| MetadataError::Missing(entry.path("created_at")))?,
                    ),
                },
                enc: Wrapped(entry.text("enc")?),
            });
        }
    }
    Ok(group)
}

fn read_key(kind: &'static KeyKind, entry: &Fields<'_>) -> Result<KeyFields, MetadataError> {
    let mut key = KeyFields::new(kind);
    for field in kind.fields {
        match field.shape {
            Shape::Text => key.set_text(field.name, entry.text(field.name)?),
            Shape::Map => key.set_map(field.name, entry.text_map(field.name)?),
        }
    }
    match (kind.check_entry)(&key) {
        Ok(()) => Ok(key),
        Err((field, reason)) => Err(MetadataError::field(entry.path(field), reason)),
    }
}

fn fields_of(key: &KeyFields) -> Vec<(&'static str, Data)> {
    let fields = key.kind().fields.iter();
    let written = fields.filter(|field| !(field.may_be_absent && key.is_empty(field.name)));
    let data = written.map(|field| match field.shape {
        Shape::Text => (field.name, Data::str(key.text(field.name))),
        Shape::Map => {
            let pairs = key.map(field.name).iter();
            let pairs = pairs.map(|(name, value)| (Data::key(name), Data::str(value)));
            (field.name, Data::Map(pairs.collect()))
        }
    });
    data.collect()
}

fn lists_of(group: &KeyGroup) -> Vec<(&'static KeyKind, Data)> {
    key_kind::ALL
        .into_iter()
        .map(|kind| {
            let keys = group.iter().filter(|entry| entry.key.kind() == kind);
            let list = keys.map(|entry| {
                let mut out = fields_of(&entry.key);
                if let Some(time) = &entry.created_at {
                    out.push(("created_at", Data::str(time.as_str())));
                }
                out.push(("enc", Data::str(&entry.enc.0)));
                sorted_map(out)
            });
            (kind, Data::List(list.collect()))
        })
        .collect()
}

fn sorted_map(mut entries: Vec<(&'static str, Data)>) -> Data {
    entries.sort_by_key(|(name, _)| *name);
    Data::Map(
        entries
            .into_iter()
            .map(|(name, value)| (Data::key(name), value))
            .collect(),
    )
}

#[cfg(test)]
mod tests;
