//! The verbs that look at the configuration.

use std::path::Path;

use sealwright_documents::rules::Found;
use serde_json::json;

use crate::absolute::absolute;
use crate::config::{Config, Rule};
use crate::error::{Error, Kind, Result};
use crate::key_texts::KeySettings;
use crate::visible::{recipient, without_secrets};
use crate::world::World;

/// The configuration to look at. It is read without the warnings of other commands: to find what is odd is the verb's task.
fn existing(world: &World, path: Option<&Path>) -> Result<Config> {
    let place = world.configurations.find(path)?.ok_or_else(|| {
        Error::new(
            Kind::NoFile,
            "there is no .sops.yaml here or in a folder above",
        )
    })?;
    Config::read(&place)
}

/// `config check`: everything that cannot be used, and everything that has no effect, is a failure.
pub(crate) fn check(world: &World, path: Option<&Path>, as_json: bool) -> Result<()> {
    let config = existing(world, path)?;
    let shown = config.path().display();
    let findings = findings(&config);
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

/// Everything in a configuration that cannot be used or has no effect: the line, the field, and what is wrong.
pub(super) fn findings(config: &Config) -> Vec<(usize, String, String)> {
    let problems = config.rules().problems();
    let mut findings: Vec<(usize, String, String)> = problems
        .into_iter()
        .map(|problem| (problem.line, problem.path, problem.reason))
        .collect();
    let unreached = config.rules().unreached();
    findings.extend(
        config
            .rules()
            .warnings
            .iter()
            .chain(&unreached)
            .map(|warning| (warning.line, warning.path.clone(), warning.text.clone())),
    );
    for (number, rule) in config.rules().creation_rules.iter().flatten().enumerate() {
        for key in rule.groups().into_iter().flatten().flatten() {
            if let Err(error) = key.check_named() {
                let field = format!("creation_rules[{number}].{}", key.kind().rule.flat);
                findings.push((rule.line, field, error.to_string()));
            }
        }
    }
    findings.sort();
    let findings = findings.into_iter();
    findings
        .map(|(line, field, text)| (line, field, without_secrets(&text).into_owned()))
        .collect()
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
    let explanation = config.rules().explain(&text);
    let mut steps = Vec::new();
    if !as_json {
        world
            .terminal
            .say(&format!("configuration {}", config.path().display()))?;
        world
            .terminal
            .say(&format!("patterns are searched in {:?}", explanation.path))?;
    }
    for step in &explanation.steps {
        let outcome = match &step.outcome {
            Ok(true) if step.path_regex.is_empty() => "it is for every file".to_owned(),
            Ok(true) => "it matches".to_owned(),
            Ok(false) => "it does not match".to_owned(),
            Err(error) => format!("it cannot be used: {}", without_secrets(&error.reason)),
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
                "rule {} (line {}): {pattern}; {outcome}",
                step.rule + 1,
                step.line
            ))?;
        }
    }
    let found = config
        .rules()
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
    let rule = Rule::of(rule, &KeySettings::default())
        .map_err(|error| Error::generic(error.to_string()))?;
    for key in rule.groups.iter().flatten() {
        key.check_named()
            .map_err(|error| Error::generic(error.to_string()))?;
    }
    let selection = rule.selection.clone().unwrap_or_default();
    let groups: Vec<Vec<String>> = rule
        .groups
        .iter()
        .map(|group| {
            let names = group.iter();
            names
                .map(|key| {
                    let identity = key.identity();
                    format!("{} {}", key.kind().section, recipient(&identity))
                })
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
