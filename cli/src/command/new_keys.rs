//! The master keys and selection of a new file: from flags, variables and the creation rules.

use std::path::Path;

use jiff::Timestamp;
use sealwright_crypto::data_key::DataKey;
use sealwright_documents::format::Format;
use sealwright_documents::metadata::{KeyFields, Metadata, VERSION};
use sealwright_documents::selection::SelectionRule;

use super::{SelectionTexts, Settings, data_key};
use crate::config::Rule;
use crate::error::{Error, Fault, Result, with_causes};
use crate::key_texts::{KeySettings, KeyTexts};
use crate::world::World;

/// What flags say about a new file.
pub(crate) struct NewKeys<'a> {
    pub(crate) name: &'a Path,
    pub(crate) keys: &'a KeyTexts,
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
        let settings = self.keys.settings(&world.terminal);
        let none = KeySettings::default();
        // What is wrong with the configuration is reported first, as upstream does.
        let rule = super::rule_for(
            world,
            self.settings,
            self.name,
            settings.as_ref().unwrap_or(&none),
        )?;
        let settings = settings?;
        let selection = self.selection(world, rule.as_ref())?;
        let mut groups = if self.keys.is_empty() {
            match &rule {
                Some(rule) => rule.groups.clone(),
                None => {
                    return Err(Error::of(Fault::NoKeys).hint(
                        "`sealwright init` makes a key and a .sops.yaml with a rule; or give --age or another key",
                    ));
                }
            }
        } else {
            vec![self.keys.parse(&settings)?]
        };
        world.keys.complete(groups.iter_mut().flatten())?;
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
    fn selection(&self, world: &World, rule: Option<&Rule>) -> Result<Option<SelectionRule>> {
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
        let mut told = 0;
        for (field, text) in flags {
            let from_flag = text
                .as_ref()
                .and_then(|text| SelectionRule::of_field(field, text.clone()));
            let from_rule = || rule.and_then(|rule| rule.selection_of(field));
            if let Some(selection) = from_flag.or_else(from_rule) {
                given += 1;
                told += usize::from(field != "unencrypted_comment_regex");
                chosen = Some(selection);
            }
        }
        if self.format.name() == "binary" {
            let ignored =
                "binary files are encrypted as a whole: the selection options are ignored";
            if told > 0 {
                world.terminal.warn(ignored);
            } else if given > 0 || self.mac_only_encrypted {
                // Upstream is silent about what has no effect on a single value anyway.
                world.terminal.advise(ignored);
            }
            return Ok(None);
        }
        if given > 1 {
            return Err(Error::of(Fault::ManySelections));
        }
        if let Some(rule) = &chosen {
            // An expression that matches nothing would leave everything plain (D2).
            rule.compile()
                .map_err(|error| Error::generic(with_causes(&error)))?;
        }
        Ok(Some(chosen.unwrap_or_default()))
    }
}

impl Recipe {
    /// The keys and options of a rule alone; without a selection values are chosen by the usual suffix.
    pub(crate) fn of_rule(rule: Rule, format: &'static dyn Format) -> Result<Self> {
        let selection = match format.name() {
            "binary" => None,
            _ => Some(rule.selection.unwrap_or_default()),
        };
        if let Some(selection) = &selection {
            selection
                .compile()
                .map_err(|error| Error::generic(with_causes(&error)))?;
        }
        Ok(Self {
            groups: rule.groups,
            threshold: rule.threshold,
            mac_only_encrypted: selection.is_some() && rule.mac_only_encrypted,
            selection,
        })
    }

    /// The keys of its groups.
    pub(crate) fn groups(&self) -> &[Vec<KeyFields>] {
        &self.groups
    }

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
