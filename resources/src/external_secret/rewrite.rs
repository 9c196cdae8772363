//! Changes of keys before they are used: by regular expressions, by templates, and by merging JSON values.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use schemars::JsonSchema;
use sealwright_crypto::secret::SecretBytes;
use sealwright_template::Budget;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::render;
use super::values::Values;
use crate::json_value;

/// One step: exactly one of the three.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("maxProperties" = 1, "minProperties" = 1))]
pub struct Rewrite {
    /// Merges the values, which are JSON objects, into one set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<Merge>,
    /// Replaces what a regular expression matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regexp: Option<Regexp>,
    /// Makes each key with a template, in which it is `.value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<Transform>,
}

/// Replaces what a regular expression matches, everywhere in each key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Regexp {
    /// The regular expression.
    pub source: String,
    /// What stands in its place; `$1` and `${name}` are its groups.
    pub target: String,
}

/// Makes each key with a template.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Transform {
    /// The template, in which the key is `.value`.
    pub template: String,
}

/// Merges the values, which are JSON objects, into one set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Merge {
    /// With the strategy JSON: the key of the merged object.
    #[serde(default)]
    #[schemars(extend("x-default" = ""))]
    pub into: String,
    /// The keys whose values win, the last one over all others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub priority: Vec<String>,
    /// Whether a key of the list that is not there is an error.
    #[serde(default)]
    #[schemars(extend("x-default" = "Strict"))]
    pub priority_policy: PriorityPolicy,
    /// Whether two values with the same inner key are an error.
    #[serde(default)]
    #[schemars(extend("x-default" = "Error"))]
    pub conflict_policy: ConflictPolicy,
    /// Whether the merged pairs replace the keys or are one JSON object.
    #[serde(default)]
    #[schemars(extend("x-default" = "Extract"))]
    pub strategy: MergeStrategy,
}

/// Whether a key of the list that is not there is an error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PriorityPolicy {
    /// It is skipped.
    IgnoreNotFound,
    /// It is an error.
    #[default]
    Strict,
}

/// Whether two values with the same inner key are an error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConflictPolicy {
    /// The later one wins.
    Ignore,
    /// They are an error.
    #[default]
    Error,
}

/// Whether the merged pairs replace the keys or are one JSON object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MergeStrategy {
    /// They replace the keys.
    #[default]
    Extract,
    /// They are one JSON object beside the keys.
    #[serde(rename = "JSON")]
    Json,
}

/// A step that cannot be done. The text names the step and never a key, which a template may have made out of secrets.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RewriteError {
    /// The regular expression is none.
    #[error("step {0} of the rewrite: the regular expression is not valid")]
    Regexp(usize),
    /// The template does not parse or does not run.
    #[error("step {0} of the rewrite: the template cannot be rendered")]
    Template(usize),
    /// A value to merge is not a JSON object.
    #[error("step {0} of the rewrite: a value to merge is not a JSON object")]
    NotAnObject(usize),
    /// A key of the priority list is not there.
    #[error("step {0} of the rewrite: a key of the priority list is not there")]
    Priority(usize),
    /// Two values have the same inner key.
    #[error("step {0} of the rewrite: {1} keys of the values to merge are the same")]
    Conflict(usize, usize),
    /// The strategy JSON needs a key for its result.
    #[error("step {0} of the rewrite: the strategy JSON needs a key in `into`")]
    Into(usize),
    /// The result is not UTF-8.
    #[error("step {0} of the rewrite: a key is not UTF-8")]
    NotText(usize),
    /// The replacement, or a key that it makes, is far longer than a key of a Secret can be.
    #[error("step {0} of the rewrite: a key or its replacement is longer than {LONGEST} bytes")]
    TooLong(usize),
    /// It takes more time or memory than the object may.
    #[error("step {0} of the rewrite exceeds the budget of time and memory")]
    Budget(usize),
}

/// Keys of Secrets have 253 characters at most; between two steps they may be longer.
const LONGEST: usize = 4096;
/// A longer key is not searched: a search cannot be interrupted, and may look at what follows once for each byte.
const LONGEST_SEARCHED: usize = 1024;

/// Applies the steps in order.
///
/// Keys are worked on in their order, so that of two keys with one result the later one wins; upstream leaves that to
/// chance. Steps multiply with keys, so all of them share the `budget` of the object.
///
/// # Errors
///
/// Names the first step that cannot be done.
pub fn rewrite(
    mut values: Values,
    steps: &[Rewrite],
    budget: &Budget,
) -> Result<Values, RewriteError> {
    for (index, step) in steps.iter().enumerate() {
        values = match step {
            Rewrite {
                regexp: Some(regexp),
                ..
            } => by_regexp(values, regexp, index, budget)?,
            Rewrite {
                transform: Some(transform),
                ..
            } => by_template(values, transform, index, budget)?,
            Rewrite {
                merge: Some(merge), ..
            } => {
                let used_up = RewriteError::Budget(index);
                let merged = budget.spend(|| by_merging(values, merge, index));
                let merged = merged.ok_or(used_up.clone())??;
                // What was merged before stays in what is merged next.
                let into = merged.get(&merge.into).map_or(0, SecretBytes::len);
                budget.take(into).ok_or(used_up)?;
                merged
            }
            Rewrite { .. } => values,
        };
    }
    Ok(values)
}

fn by_regexp(
    values: Values,
    step: &Regexp,
    index: usize,
    budget: &Budget,
) -> Result<Values, RewriteError> {
    let mut renamed = Values::new();
    let used_up = RewriteError::Budget(index);
    let regexp = budget
        .spend(|| compiled(step, index))
        .ok_or(used_up.clone())??;
    for (key, value) in values {
        let key = budget.spend(|| replaced(&regexp, &key, &step.target, index));
        renamed.insert(key.ok_or(used_up.clone())??, value);
    }
    Ok(renamed)
}

fn compiled(step: &Regexp, index: usize) -> Result<Regex, RewriteError> {
    go_regexp(&step.source).ok_or(RewriteError::Regexp(index))
}

/// Replaces every match, as long as the result is not beyond all bounds: a replacement may hold a group many times, and the
/// next step can do the same to what this one made.
fn replaced(regexp: &Regex, key: &str, target: &str, index: usize) -> Result<String, RewriteError> {
    if target.len() > LONGEST || key.len() > LONGEST_SEARCHED {
        return Err(RewriteError::TooLong(index));
    }
    let mut result = String::new();
    let mut rest = 0;
    for groups in regexp.captures_iter(key) {
        let whole = groups.get_match();
        result.push_str(&key[rest..whole.start()]);
        groups.expand(target, &mut result);
        rest = whole.end();
        if result.len() > LONGEST {
            return Err(RewriteError::TooLong(index));
        }
    }
    result.push_str(&key[rest..]);
    match result.len() > LONGEST {
        true => Err(RewriteError::TooLong(index)),
        false => Ok(result),
    }
}

/// Compiles a regular expression as Go does, within bounds.
pub(crate) fn go_regexp(source: &str) -> Option<Regex> {
    regex::RegexBuilder::new(&sealwright_re2::translate(source).ok()?)
        .size_limit(256 << 10)
        .dfa_size_limit(1 << 20)
        .nest_limit(100)
        .build()
        .ok()
}

/// Renames keys with the pattern and template of one rewrite, as pushes do.
///
/// # Errors
///
/// Names the step.
pub fn rename(
    key: &str,
    step: &Rewrite,
    index: usize,
    budget: &Budget,
) -> Result<String, RewriteError> {
    if let Some(step) = &step.regexp {
        let renamed = budget.spend(|| {
            let regexp = compiled(step, index)?;
            replaced(&regexp, key, &step.target, index)
        });
        return renamed.ok_or(RewriteError::Budget(index))?;
    }
    if let Some(step) = &step.transform {
        return transformed(key, step, index, budget);
    }
    Ok(key.to_owned())
}

fn by_template(
    values: Values,
    step: &Transform,
    index: usize,
    budget: &Budget,
) -> Result<Values, RewriteError> {
    let mut renamed = Values::new();
    for (key, value) in values {
        renamed.insert(transformed(&key, step, index, budget)?, value);
    }
    Ok(renamed)
}

fn transformed(
    key: &str,
    step: &Transform,
    index: usize,
    budget: &Budget,
) -> Result<String, RewriteError> {
    let rendered = render::transform(&step.template, key, budget);
    let rendered = rendered.map_err(|_| match budget.is_exceeded() {
        true => RewriteError::Budget(index),
        false => RewriteError::Template(index),
    })?;
    if rendered.expose().len() > LONGEST {
        return Err(RewriteError::TooLong(index));
    }
    String::from_utf8(rendered.expose().to_vec()).map_err(|_| RewriteError::NotText(index))
}

fn by_merging(values: Values, step: &Merge, index: usize) -> Result<Values, RewriteError> {
    let wanted: BTreeSet<&str> = step.priority.iter().map(String::as_str).collect();
    let mut order: Vec<&str> = values
        .keys()
        .map(String::as_str)
        .filter(|key| !wanted.contains(key))
        .collect();
    for key in &step.priority {
        if values.contains_key(key) {
            order.push(key);
        } else if step.priority_policy == PriorityPolicy::Strict {
            return Err(RewriteError::Priority(index));
        }
    }
    let mut merged: BTreeMap<String, SecretBytes> = BTreeMap::new();
    let mut conflicts = BTreeSet::new();
    for key in order {
        let members =
            json_value::members(values[key].expose()).ok_or(RewriteError::NotAnObject(index))?;
        for (name, raw) in members {
            if merged.insert(name.clone(), raw).is_some() {
                conflicts.insert(name);
            }
        }
    }
    if step.conflict_policy == ConflictPolicy::Error && !conflicts.is_empty() {
        return Err(RewriteError::Conflict(index, conflicts.len()));
    }
    match step.strategy {
        MergeStrategy::Extract => merged
            .into_iter()
            .map(|(key, raw)| Some((key, json_value::to_bytes(raw.expose())?)))
            .collect::<Option<Values>>()
            .ok_or(RewriteError::NotAnObject(index)),
        MergeStrategy::Json if step.into.is_empty() => Err(RewriteError::Into(index)),
        MergeStrategy::Json => {
            let mut values = values;
            let object = json_value::object(&merged).ok_or(RewriteError::NotAnObject(index))?;
            values.insert(step.into.clone(), object);
            Ok(values)
        }
    }
}
