//! The configuration of a repository, `.sops.yaml`: which keys and which selection rule a new file gets, where files are
//! published, how formats are laid out.
//!
//! Reading is strict where the reference is silent: an unknown field is a warning with its line and the name
//! that was probably meant. Wrong types are errors. What is wrong within one rule is an error when that rule is used, so
//! that it does not stop work on files of other rules; [`Config::problems`] has them all.

mod creation;
mod destination;
mod path_pattern;
mod reader;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::format::Layout;
use crate::tree::Tree;

pub use creation::CreationRule;
pub use destination::{Destination, DestinationRule};
pub use path_pattern::PathPattern;

use path_pattern::Room;
use reader::Reader;

/// A configuration.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The rules for new files; `None` when the file has no list of them, as if there were no configuration (T69).
    pub creation_rules: Option<Vec<CreationRule>>,
    /// The rules for publishing.
    pub destination_rules: Vec<DestinationRule>,
    /// How YAML is laid out.
    pub yaml: Layout,
    /// How JSON is laid out.
    pub json: Layout,
    /// How the JSON around a binary file is laid out.
    pub json_binary: Layout,
    /// What is odd in it.
    pub warnings: Vec<ConfigWarning>,
    /// For the expressions of all rules.
    room: Arc<Room>,
}

/// A configuration, or one rule of it, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {path}: {reason}")]
pub struct ConfigError {
    /// The line, from 1.
    pub line: usize,
    /// Which field, such as `creation_rules[1].age`.
    pub path: String,
    /// What is wrong.
    pub reason: String,
}

/// Something that has no effect and was probably meant to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigWarning {
    /// The line, from 1.
    pub line: usize,
    /// Which field.
    pub path: String,
    /// What is odd, and what was probably meant.
    pub text: String,
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: {}", self.line, self.path, self.text)
    }
}

/// The rule that a file falls under.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// There is no list of rules: as if there were no configuration.
    NoRules,
    /// No rule matches.
    NoMatch,
    /// This one, with its number from 0.
    Rule(usize, &'a CreationRule),
}

/// Why a file falls under a rule: each rule that was looked at, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The text that patterns were searched in.
    pub path: String,
    /// The rules that were looked at; the last one may have matched.
    pub steps: Vec<ExplanationStep>,
}

/// One rule that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplanationStep {
    /// Its number, from 0.
    pub rule: usize,
    /// Its line, from 1.
    pub line: usize,
    /// Its pattern; empty matches everything.
    pub path_regex: String,
    /// Whether it matches, or why that cannot be told.
    pub outcome: Result<bool, ConfigError>,
}

impl Config {
    /// Reads a configuration from the first document of a file; a file without any is an empty configuration.
    pub fn read(tree: &Tree) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(tree);
        let mut config = Self::default();
        let Some(root) = tree.documents.first() else {
            return Ok(config);
        };
        let Some(top) = reader.map(*root as usize, "")? else {
            return Ok(config);
        };
        let known = ["creation_rules", "destination_rules", "stores"];
        reader.check_names(&top, &known);
        if let Some(rules) = reader.list(&top, "creation_rules")? {
            let rules = rules.into_iter().filter_map(|(node, path)| {
                let map = reader.map(node, &path).transpose()?;
                Some(map.and_then(|map| creation::read(&mut reader, map)))
            });
            config.creation_rules = Some(rules.collect::<Result<_, _>>()?);
        }
        for (node, path) in reader.list(&top, "destination_rules")?.unwrap_or_default() {
            if let Some(map) = reader.map(node, &path)? {
                config
                    .destination_rules
                    .push(destination::read(&mut reader, &map)?);
            }
        }
        if let Some(stores) = reader.map_at(&top, "stores")? {
            let known = ["yaml", "json", "json_binary", "dotenv", "ini"];
            reader.check_names(&stores, &known);
            for (name, layout) in [
                ("yaml", &mut config.yaml),
                ("json", &mut config.json),
                ("json_binary", &mut config.json_binary),
            ] {
                if let Some(store) = reader.map_at(&stores, name)? {
                    reader.check_names(&store, &["indent"]);
                    layout.indent = reader
                        .integer(&store, "indent")?
                        .map(|indent| indent.try_into().unwrap_or(i32::MIN));
                }
            }
        }
        // The reference takes 0 for the default of YAML.
        config.yaml.indent = config.yaml.indent.filter(|indent| *indent != 0);
        config.room = reader.room;
        config.warnings = reader.warnings;
        config.warnings.sort_by_key(|warning| warning.line);
        Ok(config)
    }

    /// The first creation rule whose pattern is found in `path` (see [`relative_path`]).
    pub fn creation_rule(&self, path: &str) -> Result<Found<'_>, ConfigError> {
        let Some(rules) = &self.creation_rules else {
            return Ok(Found::NoRules);
        };
        for (number, rule) in rules.iter().enumerate() {
            if rule.path_regex.matches(path)? {
                return Ok(Found::Rule(number, rule));
            }
        }
        Ok(Found::NoMatch)
    }

    /// The first destination rule whose pattern is found in `path`, as it was typed; a broken pattern never is.
    pub fn destination_rule(&self, path: &str) -> Option<&DestinationRule> {
        self.destination_rules
            .iter()
            .find(|rule| rule.path_regex.matches(path).unwrap_or(false))
    }

    /// Every rule that decides about `path`, up to the one that matches.
    pub fn explain(&self, path: &str) -> Explanation {
        let mut steps = Vec::new();
        for (number, rule) in self.creation_rules.iter().flatten().enumerate() {
            let outcome = rule.path_regex.matches(path);
            let ends = outcome != Ok(false);
            steps.push(ExplanationStep {
                rule: number,
                line: rule.line,
                path_regex: rule.path_regex.text.clone(),
                outcome,
            });
            if ends {
                break;
            }
        }
        Explanation {
            path: path.to_owned(),
            steps,
        }
    }

    /// The creation rules that no file comes to: the first pattern that is found decides, and an earlier one is found
    /// wherever theirs is.
    pub fn unreached(&self) -> Vec<ConfigWarning> {
        let rules: Vec<&CreationRule> = self.creation_rules.iter().flatten().collect();
        let mut unreached = Vec::new();
        let mut first_of: HashMap<&str, usize> = HashMap::new();
        let mut takes_everything: Option<usize> = None;
        for (number, rule) in rules.iter().enumerate() {
            let pattern = &rule.path_regex;
            let earlier = match (takes_everything, first_of.get(pattern.text.as_str())) {
                (Some(one), Some(other)) => Some(one.min(*other)),
                (one, other) => one.or(other.copied()),
            };
            first_of.entry(&pattern.text).or_insert(number);
            if pattern.takes_everything() {
                takes_everything.get_or_insert(number);
            }
            if let Some(earlier) = earlier {
                let why = if rules[earlier].path_regex.takes_everything() {
                    "takes every file"
                } else {
                    "has the same pattern"
                };
                unreached.push(ConfigWarning {
                    line: rule.line,
                    path: format!("creation_rules[{number}]"),
                    text: format!(
                        "no file comes to this rule: rule {earlier} (line {}) {why}",
                        rules[earlier].line
                    ),
                });
            }
        }
        unreached
    }

    /// Everything that would fail if it were used.
    pub fn problems(&self) -> Vec<ConfigError> {
        let mut problems = Vec::new();
        for rule in self.creation_rules.iter().flatten() {
            problems.extend(rule.path_regex.matches("").err());
            problems.extend(rule.usable(&self.room).err());
        }
        for rule in &self.destination_rules {
            problems.extend(rule.path_regex.matches("").err());
            problems.extend(rule.destination.clone().err());
            if let Some(recreation) = &rule.recreation_rule {
                problems.extend(recreation.usable(&self.room).err());
            }
        }
        problems
    }
}

/// The text that the patterns of creation rules are searched in: the absolute path of the file without the directory of
/// the configuration, when it lies below it (T41).
pub fn relative_path<'a>(file: &'a str, config_dir: &str) -> &'a str {
    let dir = config_dir.trim_end_matches('/');
    file.strip_prefix(dir)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(file)
}

#[cfg(test)]
mod tests;
