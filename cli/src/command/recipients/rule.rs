//! A creation rule and the keys that it names.

use std::path::Path;

use sealwright_crypto::key_kind::KeyFields;

use super::super::absolute;
use crate::config::Config;
use crate::config::rule_text::Id;
use crate::error::{Error, Result};
use crate::visible::shown;

/// A rule for people.
pub(super) fn heading(config: &Config, number: usize) -> String {
    let rule = config.rules().creation_rules.iter().flatten().nth(number);
    let Some(rule) = rule else {
        return shown(config.path());
    };
    let files = match rule.path_regex.text.as_str() {
        "" => "every file".to_owned(),
        pattern => format!("path_regex {pattern:?}"),
    };
    format!("{}, line {}: {files}", shown(config.path()), rule.line)
}

pub(super) fn rule_of(config: &Config, path: &Path) -> Result<usize> {
    let path = absolute(path)?;
    config.rule_number(&path)?.ok_or_else(|| {
        Error::generic(format!("no creation rule covers {}", shown(&path)))
            .hint("`sealwright config explain` tells which rules were looked at")
    })
}

/// Whether a rule names a key, in a certain group or in any.
pub(super) fn has(rule: &[Vec<KeyFields>], key: &Id, group: Option<usize>) -> bool {
    let mut groups = rule.iter().enumerate();
    groups.any(|(number, keys)| {
        group.is_none_or(|group| group == number) && keys.iter().any(|known| id(known) == *key)
    })
}

pub(super) fn id(key: &KeyFields) -> Id {
    (key.kind().section, key.identity())
}
