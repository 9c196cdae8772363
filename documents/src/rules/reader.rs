//! Reading typed fields out of a tree, with lines.

use std::collections::{HashMap, hash_map};
use std::sync::Arc;

use sealwright_crypto::secret::SecretWriter;

use super::path_pattern::Room;
use super::{ConfigError, ConfigWarning};
use crate::scalar::Scalar;
use crate::tree::{Key, NodeId, Text, Tree, Value};

/// A map of the configuration.
pub(super) struct Map {
    pub(super) path: String,
    pub(super) line: usize,
    entries: Vec<Entry>,
    /// The places of the entries by their names.
    by_name: HashMap<String, usize>,
}

struct Entry {
    name: String,
    line: usize,
    node: NodeId,
}

impl Map {
    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// The line of a field; that of the map when it is absent.
    pub(super) fn line_of(&self, name: &str) -> usize {
        self.get(name).map_or(self.line, |entry| entry.line)
    }

    fn get(&self, name: &str) -> Option<&Entry> {
        self.by_name.get(name).map(|at| &self.entries[*at])
    }

    pub(super) fn node(&self, name: &str) -> Option<NodeId> {
        self.get(name).map(|entry| entry.node)
    }

    pub(super) fn error(&self, name: &str, reason: impl Into<String>) -> ConfigError {
        ConfigError {
            line: self.line_of(name),
            path: self.path_of(name),
            reason: reason.into(),
        }
    }
}

pub(super) struct Reader<'a> {
    tree: &'a Tree,
    /// Where the lines of the file end.
    line_ends: Vec<usize>,
    pub(super) warnings: Vec<ConfigWarning>,
    /// For the expressions of all rules.
    pub(super) room: Arc<Room>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(tree: &'a Tree) -> Self {
        Self {
            tree,
            line_ends: memchr::memchr_iter(b'\n', tree.text.expose()).collect(),
            warnings: Vec::new(),
            room: Arc::default(),
        }
    }

    /// The elements of a list, comments and null left out, with their paths; `None` for null. (Upstream's reader drops null
    /// where it expects anything else.)
    pub(super) fn list(
        &self,
        map: &Map,
        name: &str,
    ) -> Result<Option<Vec<(NodeId, String)>>, ConfigError> {
        let Some(node) = map.node(name) else {
            return Ok(None);
        };
        match self.tree.nodes[node].value {
            Value::Null => Ok(None),
            Value::List => {
                let path = map.path_of(name);
                let elements = self
                    .tree
                    .children(node)
                    .filter(|child| !self.is_comment(*child));
                let numbered = elements.enumerate();
                Ok(Some(
                    numbered
                        .filter(|(_, node)| self.tree.nodes[*node].value != Value::Null)
                        .map(|(at, node)| (node, format!("{path}[{at}]")))
                        .collect(),
                ))
            }
            _ => Err(map.error(name, "a list expected")),
        }
    }

    /// A map, with merge keys resolved; `None` for null.
    pub(super) fn map(&self, node: NodeId, path: &str) -> Result<Option<Map>, ConfigError> {
        let line = self.line(node);
        match self.tree.nodes[node].value {
            Value::Null => Ok(None),
            Value::Map => {
                let mut map = Map {
                    path: path.to_owned(),
                    line,
                    entries: Vec::new(),
                    by_name: HashMap::new(),
                };
                self.collect(node, &mut map, 0);
                Ok(Some(map))
            }
            _ => Err(ConfigError {
                line,
                path: if path.is_empty() { "the file" } else { path }.to_owned(),
                reason: "a map expected".into(),
            }),
        }
    }

    pub(super) fn map_at(&self, map: &Map, name: &str) -> Result<Option<Map>, ConfigError> {
        match map.node(name) {
            None => Ok(None),
            Some(node) => self.map(node, &map.path_of(name)),
        }
    }

    /// Entries of the map itself come first, then those that it merges in under other names.
    fn collect(&self, node: NodeId, map: &mut Map, depth: usize) {
        let mut merged = Vec::new();
        for child in self.tree.children(node) {
            let Some(key) = self.tree.key(child) else {
                continue;
            };
            if key == b"<<" && depth < 16 {
                merged.push(child);
                continue;
            }
            let name = String::from_utf8_lossy(key).into_owned();
            if let hash_map::Entry::Vacant(vacant) = map.by_name.entry(name.clone()) {
                vacant.insert(map.entries.len());
                map.entries.push(Entry {
                    name,
                    line: self.line(child),
                    node: child,
                });
            }
        }
        for node in merged {
            match self.tree.nodes[node].value {
                Value::Map => self.collect(node, map, depth + 1),
                Value::List => {
                    for child in self.tree.children(node) {
                        if self.tree.nodes[child].value == Value::Map {
                            self.collect(child, map, depth + 1);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Text; other scalars as they are spelled, null and absent as nothing.
    pub(super) fn text(&self, map: &Map, name: &str) -> Result<String, ConfigError> {
        let Some(node) = map.node(name) else {
            return Ok(String::new());
        };
        self.text_of(node)
            .ok_or_else(|| map.error(name, "text expected"))
    }

    pub(super) fn text_of(&self, node: NodeId) -> Option<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match self.tree.scalar(node)? {
            Scalar::Null => Some(String::new()),
            Scalar::Str(content) => Some(text(content)),
            Scalar::Comment(_) => None,
            Scalar::Int(_) | Scalar::Bool(_) | Scalar::Time(_) => {
                Some(text(self.tree.spelling(node)))
            }
            scalar => {
                let mut out = SecretWriter::default();
                scalar.write_wire(&mut out);
                Some(text(out.expose()))
            }
        }
    }

    /// A whole number; of a fraction the whole part, as upstream's reader has it.
    pub(super) fn integer(&self, map: &Map, name: &str) -> Result<Option<i64>, ConfigError> {
        const ABOVE_ALL: f64 = 9_223_372_036_854_775_808.0;

        match map.node(name).map(|node| self.tree.nodes[node].value) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Int(value)) => Ok(Some(value)),
            // What is below all numbers becomes the lowest; NaN is none.
            Some(Value::Float(value)) if value < ABOVE_ALL => Ok(Some(value as i64)),
            _ => Err(map.error(name, "a whole number expected")),
        }
    }

    /// A boolean. As in upstream, the words of YAML 1.1 count as well, with quotes or without; `true` with quotes does not.
    pub(super) fn boolean(&self, map: &Map, name: &str) -> Result<bool, ConfigError> {
        let scalar = map.node(name).map(|node| self.tree.scalar(node));
        match scalar {
            None | Some(Some(Scalar::Null)) => Ok(false),
            Some(Some(Scalar::Bool(value))) => Ok(value),
            Some(Some(Scalar::Str(
                b"y" | b"Y" | b"yes" | b"Yes" | b"YES" | b"on" | b"On" | b"ON",
            ))) => Ok(true),
            Some(Some(Scalar::Str(
                b"n" | b"N" | b"no" | b"No" | b"NO" | b"off" | b"Off" | b"OFF",
            ))) => Ok(false),
            _ => Err(map.error(name, "true or false expected, without quotes")),
        }
    }

    /// A list of texts.
    pub(super) fn texts(&self, map: &Map, name: &str) -> Result<Vec<String>, ConfigError> {
        self.list(map, name)?
            .unwrap_or_default()
            .into_iter()
            .map(|(node, _)| {
                self.text_of(node)
                    .ok_or_else(|| map.error(name, "a list of texts expected"))
            })
            .collect()
    }

    /// Pairs of a map of texts.
    pub(super) fn pairs(&self, map: &Map) -> Result<Vec<(String, String)>, ConfigError> {
        map.entries
            .iter()
            .map(|entry| Ok((entry.name.clone(), self.text(map, &entry.name)?)))
            .collect()
    }

    /// Text separated by commas, or a list of such texts, as key fields have it (S154). Of a list every element has to be
    /// text; one without any character in it is none.
    pub(super) fn comma_list(&self, map: &Map, name: &str) -> Result<Vec<String>, ConfigError> {
        let Some(node) = map.node(name) else {
            return Ok(Vec::new());
        };
        let trimmed = |text: &str| -> Vec<String> {
            text.split(',').map(|part| part.trim().to_owned()).collect()
        };
        match self.tree.nodes[node].value {
            Value::List => {
                let is_text = |child: NodeId| {
                    self.is_comment(child) || matches!(self.tree.nodes[child].value, Value::Str(_))
                };
                if !self.tree.children(node).all(is_text) {
                    return Err(map.error(name, "a list of texts expected"));
                }
                let joined = self.texts(map, name)?.join(",");
                Ok(match joined.is_empty() {
                    true => Vec::new(),
                    false => trimmed(&joined),
                })
            }
            Value::Null | Value::Str(_) => {
                let mut parts = trimmed(&self.text(map, name)?);
                parts.retain(|part| !part.is_empty());
                Ok(parts)
            }
            _ => Err(map.error(name, "text or a list of texts expected")),
        }
    }

    /// Warns of fields that have no effect.
    pub(super) fn check_names(&mut self, map: &Map, known: &[&str]) {
        for entry in &map.entries {
            if known.contains(&entry.name.as_str()) {
                continue;
            }
            let meant = match entry.name.as_str() {
                "filename_regex" => Some("path_regex"),
                "reencryption_rule" => Some("recreation_rule"),
                name => nearest(name, known),
            };
            let text = match meant {
                Some(meant) => format!("unknown field, it has no effect; did you mean {meant}?"),
                None => "unknown field, it has no effect".to_owned(),
            };
            self.warnings.push(ConfigWarning {
                line: entry.line,
                path: map.path_of(&entry.name),
                text,
            });
        }
    }

    fn is_comment(&self, node: NodeId) -> bool {
        matches!(self.tree.nodes[node].value, Value::Comment { .. })
    }

    fn line(&self, node: NodeId) -> usize {
        let at = match self.tree.nodes[node].key {
            Key::Text(Text::File(span)) => span.start,
            _ => self.tree.nodes[node].site.start,
        };
        1 + self.line_ends.partition_point(|end| *end < at as usize)
    }
}

/// The known name that is most like `name`, if one is.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let folded = name.to_lowercase().replace('-', "_");
    known
        .iter()
        .map(|known| (distance(&folded, &known.to_lowercase()), *known))
        .min()
        .filter(|(distance, known)| *distance <= 1 + known.len() / 5)
        .map(|(_, known)| known)
}

/// Edits from one text to another (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
