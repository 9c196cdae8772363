//! The master keys and selection of a new file: from flags, variables and the creation rules.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use sealwright_crypto::data_key::DataKey;
use sealwright_documents::format::Format;
use sealwright_documents::metadata::{KeyFields, Metadata, VERSION};
use sealwright_documents::selection::SelectionRule;

use super::{KeyTexts, SelectionTexts, Settings, config, data_key};
use crate::error::{Error, Kind, Result};
use crate::world::World;

/// What flags say about a new file.
pub(crate) struct NewKeys<'a> {
    pub(crate) name: &'a Path,
    pub(crate) keys: &'a KeyTexts,
    pub(crate) aws_profile: Option<&'a str>,
    pub(crate) encryption_context: Option<&'a str>,
    pub(crate) selection: &'a SelectionTexts,
    pub(crate) threshold: u32,
    pub(crate) mac_only_encrypted: bool,
    /// The format of what is encrypted: binary files are encrypted as a whole.
    pub(crate) format: &'static dyn Format,
    pub(crate) settings: &'a Settings,
}

/// What a new file is encrypted with.
#[derive(Debug)]
pub(crate) struct Recipe {
    groups: Vec<Vec<KeyFields>>,
    threshold: u32,
    selection: Option<SelectionRule>,
    mac_only_encrypted: bool,
}

impl NewKeys<'_> {
    /// Puts flags and the matching rule together (S85–S90).
    pub(crate) fn resolve(&self, world: &World) -> Result<Recipe> {
        let context = parse_context(world, self.encryption_context);
        let none = BTreeMap::new();
        // What is wrong with the configuration is told first, as by the incumbent.
        let rule = config::rule_for(
            world,
            self.settings,
            self.name,
            context.as_ref().unwrap_or(&none),
        )?;
        let context = context?;
        let selection = self.selection(world, rule.as_ref())?;
        let groups = if self.keys.is_empty() {
            match &rule {
                Some(rule) => rule.groups.clone(),
                None => {
                    return Err(Error::generic(
                        "config file not found, or has no creation rules, and no keys provided through command line options",
                    )
                    .hint("give --age or another key, or write a .sops.yaml with creation_rules"));
                }
            }
        } else {
            vec![self.keys.parse(world, self.aws_profile, &context)?]
        };
        let threshold = match (self.threshold, &rule) {
            (0, Some(rule)) => rule.threshold,
            (given, _) => given,
        };
        Ok(Recipe {
            groups,
            threshold,
            mac_only_encrypted: selection.is_some()
                && (self.mac_only_encrypted || rule.is_some_and(|rule| rule.mac_only_encrypted)),
            selection,
        })
    }

    /// The selection: each option from the flag, else from the rule; one in total (S86). Binary files have one value, so
    /// none makes sense there, and however many are given they are ignored (2.6).
    fn selection(
        &self,
        world: &World,
        rule: Option<&config::Rule>,
    ) -> Result<Option<SelectionRule>> {
        let flags = [
            ("unencrypted_suffix", &self.selection.unencrypted_suffix),
            ("encrypted_suffix", &self.selection.encrypted_suffix),
            ("unencrypted_regex", &self.selection.unencrypted_regex),
            ("encrypted_regex", &self.selection.encrypted_regex),
            (
                "unencrypted_comment_regex",
                &self.selection.unencrypted_comment_regex,
            ),
            (
                "encrypted_comment_regex",
                &self.selection.encrypted_comment_regex,
            ),
        ];
        let mut chosen: Option<SelectionRule> = None;
        let mut given = 0;
        for (field, text) in flags {
            let from_flag = text
                .as_ref()
                .and_then(|text| SelectionRule::of_field(field, text.clone()));
            let from_rule = || rule.and_then(|rule| rule.selection_of(field));
            if let Some(selection) = from_flag.or_else(from_rule) {
                given += 1;
                chosen = Some(selection);
            }
        }
        if self.format.name() == "binary" {
            if given > 0 || self.mac_only_encrypted {
                world.terminal.warn(
                    "binary files are encrypted as a whole: the selection options are ignored",
                );
            }
            return Ok(None);
        }
        if given > 1 {
            return Err(Error::new(
                Kind::Conflict,
                "Error: cannot use more than one of encrypted_suffix, unencrypted_suffix, encrypted_regex, unencrypted_regex, encrypted_comment_regex, or unencrypted_comment_regex in the same file",
            ));
        }
        if let Some(rule) = &chosen {
            // An expression that matches nothing would leave everything plain (D2).
            rule.compile()
                .map_err(|error| Error::generic(describe(&error)))?;
        }
        Ok(Some(chosen.unwrap_or_default()))
    }
}

impl Recipe {
    /// Makes a data key and wraps it.
    pub(crate) fn make(
        self,
        world: &World,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<(Metadata, DataKey)> {
        let key = DataKey::generate();
        let now = now.into();
        let (groups, shamir_threshold) =
            data_key::wrap_for(world, settings, &key, &self.groups, self.threshold, &now)?;
        let metadata = Metadata {
            groups,
            shamir_threshold,
            selection: self.selection,
            mac_only_encrypted: self.mac_only_encrypted,
            last_modified: now,
            mac: String::new(),
            version: VERSION.to_owned(),
            hints: None,
        };
        Ok((metadata, key))
    }
}

/// Reads `key:value,key:value` for KMS keys, if any was given.
pub(crate) fn parse_context(world: &World, text: Option<&str>) -> Result<BTreeMap<String, String>> {
    let mut context = BTreeMap::new();
    for pair in text.into_iter().flat_map(|text| text.split(',')) {
        let mut parts = pair.split(':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(key), Some(value), None) => {
                context.insert(key.to_owned(), value.to_owned());
            }
            _ => {
                world
                    .terminal
                    .warn(&format!("invalid KMS encryption context pair {pair:?}"));
                return Err(Error::new(
                    Kind::KeyContext,
                    "Invalid KMS encryption context format: pairs are key:value, separated by commas",
                ));
            }
        }
    }
    Ok(context)
}

/// An error with its causes on one line.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
