//! The configuration file: found, read, asked for the rule of a file; and the verbs that look at it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sealwright_crypto::age::AgeKey;
use sealwright_documents::format::by_name;
use sealwright_documents::metadata::KeyFields;
use sealwright_documents::rules::{Config as Rules, CreationRule, Found, relative_path};
use sealwright_documents::selection::SelectionRule;
use serde_json::json;

use super::stores::Stores;
use super::{Settings, absolute, batch};
use crate::error::{Error, Kind, Result};
use crate::file;
use crate::world::World;

/// A configuration and where it lies.
pub(crate) struct Config {
    path: PathBuf,
    rules: Rules,
}

/// What the creation rules say about one file.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) groups: Vec<Vec<KeyFields>>,
    pub(crate) threshold: u32,
    pub(crate) mac_only_encrypted: bool,
    selection: Option<SelectionRule>,
}

impl Rule {
    /// What a selection field says, when the rule has it.
    pub(crate) fn selection_of(&self, field: &str) -> Option<SelectionRule> {
        self.selection
            .clone()
            .filter(|selection| selection.field() == field)
    }
}

impl Config {
    /// How files are laid out.
    pub(crate) fn stores(&self) -> Stores {
        Stores {
            yaml: self.rules.yaml.indent,
            json: self.rules.json.indent,
            json_binary: self.rules.json_binary.indent,
        }
    }

    /// The text that patterns are searched in.
    fn matched_text(&self, name: &Path) -> String {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        relative_path(&name.to_string_lossy(), &folder.to_string_lossy()).to_owned()
    }
}

/// Loads the configuration that was named, or the one that is found. Oddities in it are told once.
pub(crate) fn load(world: &World, settings: &Settings) -> Result<Option<Config>> {
    let Some(path) = find(world, settings)? else {
        return Ok(None);
    };
    let config = read(&path)?;
    if world.first_time(&path) {
        for warning in &config.rules.warnings {
            world.terminal.warn(&format!(
                "{}, line {}: {}: {}",
                path.display(),
                warning.line,
                warning.path,
                warning.text
            ));
        }
    }
    Ok(Some(config))
}

fn read(path: &Path) -> Result<Config> {
    let failed = |reason: String| {
        Error::generic(format!(
            "error loading config: {}: {reason}",
            path.display()
        ))
    };
    let original = file::read(path).map_err(|error| failed(error.to_string()))?;
    let yaml = by_name("yaml").expect("YAML is in the list of formats");
    let bytes = original.into_bytes();
    let rules = if is_blank(bytes.expose()) {
        Rules::read(
            &yaml
                .parse(b"{}\n".to_vec().into())
                .map_err(|error| failed(error.to_string()))?,
        )
    } else {
        Rules::read(
            &yaml
                .parse(bytes)
                .map_err(|error| failed(error.to_string()))?,
        )
    };
    let rules = rules.map_err(|error| failed(error.to_string()))?;
    Ok(Config {
        path: absolute(path)?,
        rules,
    })
}

/// Nothing but blanks and comments: no rules (S147).
fn is_blank(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n').all(|line| {
        let line = line.trim_ascii();
        line.is_empty() || line.starts_with(b"#")
    })
}

/// Where the configuration is: as named, or `.sops.yaml` in the working folder or the nearest one above (S146).
pub(crate) fn find(world: &World, settings: &Settings) -> Result<Option<PathBuf>> {
    if let Some(path) = &settings.config {
        return Ok(Some(path.clone()));
    }
    let here = std::env::current_dir()
        .map_err(|error| Error::generic("the working folder is not there").because(error))?;
    for folder in here.ancestors().take(100) {
        let path = folder.join(".sops.yaml");
        if path.exists() {
            return Ok(Some(path));
        }
        let other = folder.join(".sops.yml");
        if other.exists() && world.first_time(&other) {
            world.terminal.warn(&format!(
                "ignoring {}: the configuration file is called .sops.yaml",
                other.display()
            ));
        }
    }
    Ok(None)
}

/// The rule that matches a file, and where it stands; `None` when none does, or there are none.
pub(crate) fn matching_rule(
    world: &World,
    settings: &Settings,
    name: &Path,
) -> Result<Option<(String, Rule)>> {
    let Some(config) = load(world, settings)? else {
        return Ok(None);
    };
    let failed = |error: &dyn std::fmt::Display| {
        Error::generic(format!(
            "error loading config: {}: {error}",
            config.path.display()
        ))
    };
    let found = config
        .rules
        .creation_rule(&config.matched_text(name))
        .map_err(|error| failed(&error))?;
    let Found::Rule(_, rule) = found else {
        return Ok(None);
    };
    let place = format!("{}, line {}", batch::shown(&config.path), rule.line);
    let rule = read_rule(rule, &BTreeMap::new()).map_err(|error| failed(&error))?;
    Ok(Some((place, rule)))
}

/// The rule of a file; `None` when there are no rules at all, an error when there are and none matches (S149, S151).
pub(crate) fn rule_for(
    world: &World,
    settings: &Settings,
    name: &Path,
    context: &BTreeMap<String, String>,
) -> Result<Option<Rule>> {
    let Some(config) = load(world, settings)? else {
        return Ok(None);
    };
    let failed = |error: &dyn std::fmt::Display| {
        Error::generic(format!(
            "error loading config: {}: {error}",
            config.path.display()
        ))
    };
    let text = config.matched_text(name);
    match config
        .rules
        .creation_rule(&text)
        .map_err(|error| failed(&error))?
    {
        Found::NoRules => Ok(None),
        Found::NoMatch => Err(failed(&"no matching creation rules found")
            .hint(format!("no path_regex is found in {text:?}"))),
        Found::Rule(_, rule) => {
            let rule = read_rule(rule, context).map_err(|error| failed(&error))?;
            for key in rule.groups.iter().flatten() {
                if let KeyFields::Age { recipient } = key {
                    AgeKey::parse(recipient, world.keys.identities())
                        .map_err(|error| failed(&error))?;
                }
            }
            Ok(Some(rule))
        }
    }
}

fn read_rule(
    rule: &CreationRule,
    context: &BTreeMap<String, String>,
) -> std::result::Result<Rule, sealwright_documents::rules::ConfigError> {
    let mut groups = rule.groups()?.to_vec();
    // A context that was given is for the keys that have none of their own (D16).
    for key in groups.iter_mut().flatten() {
        if let KeyFields::Kms { context: own, .. } = key
            && own.is_empty()
        {
            own.clone_from(context);
        }
    }
    Ok(Rule {
        groups,
        threshold: rule.shamir_threshold,
        mac_only_encrypted: rule.mac_only_encrypted,
        selection: rule.selection()?.cloned(),
    })
}

fn settings_of(path: Option<&Path>) -> Settings {
    Settings {
        config: path.map(Path::to_owned),
        ..Settings::new()
    }
}

fn existing(world: &World, path: Option<&Path>) -> Result<Config> {
    let path = find(world, &settings_of(path))?.ok_or_else(|| {
        Error::new(
            Kind::NoFile,
            "there is no .sops.yaml here or in a folder above",
        )
    })?;
    read(&path)
}

/// `config check`: everything that cannot be used, and everything that has no effect, is a failure.
pub(crate) fn check(world: &World, path: Option<&Path>, as_json: bool) -> Result<()> {
    let config = existing(world, path)?;
    let shown = config.path.display();
    let problems = config.rules.problems();
    let mut findings: Vec<(usize, String, String)> = problems
        .into_iter()
        .map(|problem| (problem.line, problem.path, problem.reason))
        .collect();
    let unreached = config.rules.unreached();
    findings.extend(
        config
            .rules
            .warnings
            .iter()
            .chain(&unreached)
            .map(|warning| (warning.line, warning.path.clone(), warning.text.clone())),
    );
    for (number, rule) in config.rules.creation_rules.iter().flatten().enumerate() {
        for key in rule.groups().into_iter().flatten().flatten() {
            if let KeyFields::Age { recipient } = key
                && let Err(error) = AgeKey::parse(recipient, world.keys.identities())
            {
                let field = format!("creation_rules[{number}].age");
                findings.push((rule.line, field, error.to_string()));
            }
        }
    }
    findings.sort();
    if as_json {
        let list: Vec<_> = findings
            .iter()
            .map(|(line, field, text)| json!({ "line": line, "field": field, "message": text }))
            .collect();
        let value = json!({ "file": shown.to_string(), "problems": list });
        world.terminal.say_json(&value)?;
    } else {
        for (line, field, text) in &findings {
            world
                .terminal
                .say(&format!("{shown}:{line}: {field}: {text}"))?;
        }
    }
    if findings.is_empty() {
        if !as_json {
            world.terminal.say(&format!("{shown}: no problems"))?;
        }
        return Ok(());
    }
    Err(Error::generic(String::new()))
}

/// `config schema`: for editors that know JSON schema.
pub(crate) fn schema(world: &World) -> Result<()> {
    world.terminal.out(include_bytes!("config/schema.json"))
}

/// `config explain`: which rule a file falls under, which were looked at, and what the rule says.
pub(crate) fn explain(
    world: &World,
    path: Option<&Path>,
    name: &Path,
    as_json: bool,
) -> Result<()> {
    let config = existing(world, path)?;
    let name = absolute(name)?;
    let text = config.matched_text(&name);
    let explanation = config.rules.explain(&text);
    let mut steps = Vec::new();
    if !as_json {
        world
            .terminal
            .say(&format!("configuration {}", config.path.display()))?;
        world
            .terminal
            .say(&format!("patterns are searched in {:?}", explanation.path))?;
    }
    for step in &explanation.steps {
        let outcome = match &step.outcome {
            Ok(true) => "matches".to_owned(),
            Ok(false) => "does not match".to_owned(),
            Err(error) => format!("cannot be used: {}", error.reason),
        };
        steps.push(json!({
            "rule": step.rule,
            "line": step.line,
            "path_regex": step.path_regex,
            "outcome": outcome,
        }));
        if !as_json {
            let pattern = if step.path_regex.is_empty() {
                "no path_regex".to_owned()
            } else {
                format!("path_regex {:?}", step.path_regex)
            };
            world.terminal.say(&format!(
                "rule {} (line {}): {pattern} {outcome}",
                step.rule, step.line
            ))?;
        }
    }
    let found = config
        .rules
        .creation_rule(&text)
        .map_err(|error| Error::generic(error.to_string()))?;
    let Found::Rule(_, rule) = found else {
        if as_json {
            world
                .terminal
                .say_json(&json!({ "path": explanation.path, "steps": steps, "rule": null }))?;
        }
        return Err(Error::generic("no creation rule matches the file"));
    };
    let rule =
        read_rule(rule, &BTreeMap::new()).map_err(|error| Error::generic(error.to_string()))?;
    let selection = rule.selection.clone().unwrap_or_default();
    let groups: Vec<Vec<String>> = rule
        .groups
        .iter()
        .map(|group| {
            let names = group.iter();
            names
                .map(|key| format!("{} {}", key.kind().section(), key.identity()))
                .collect()
        })
        .collect();
    if as_json {
        let value = json!({
            "path": explanation.path,
            "steps": steps,
            "groups": groups,
            "threshold": rule.threshold,
            "selection": { selection.field(): selection.text() },
            "mac_only_encrypted": rule.mac_only_encrypted,
        });
        return world.terminal.say_json(&value);
    }
    for (index, group) in groups.iter().enumerate() {
        for key in group {
            let place = if groups.len() > 1 {
                format!("group {index}: ")
            } else {
                String::new()
            };
            world.terminal.say(&format!("    {place}{key}"))?;
        }
    }
    if groups.len() > 1 {
        let needed = if rule.threshold == 0 {
            groups.len()
        } else {
            rule.threshold as usize
        };
        world.terminal.say(&format!(
            "    {needed} of {} groups are needed",
            groups.len()
        ))?;
    }
    world.terminal.say(&format!(
        "    {}: {:?}",
        selection.field(),
        selection.text()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d16_a_given_context_is_for_kms_keys_without_one_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".sops.yaml");
        let arn = "arn:aws:kms:eu-west-1:000000000000:key/00000000-0000-0000-0000-00000000000";
        let rules = format!(
            "creation_rules:\n  - path_regex: flat\n    kms: {arn}1\n  - key_groups:\n      - kms:\n          - arn: {arn}1\n          - arn: {arn}2\n            context:\n              own: one\n"
        );
        std::fs::File::create(&path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, rules.as_bytes()))
            .unwrap();
        let config = read(&path).unwrap();
        let given = BTreeMap::from([("given".to_owned(), "yes".to_owned())]);
        let contexts: Vec<Vec<String>> = config
            .rules
            .creation_rules
            .iter()
            .flatten()
            .map(|rule| {
                let rule = read_rule(rule, &given).unwrap();
                let names = |key| match key {
                    KeyFields::Kms { context, .. } => context.into_keys().collect(),
                    _ => "another kind".to_owned(),
                };
                rule.groups.into_iter().flatten().map(names).collect()
            })
            .collect();
        assert_eq!(contexts, [vec!["given"], vec!["given", "own"]]);
    }
}
