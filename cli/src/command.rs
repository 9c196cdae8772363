//! What the program can do, one struct per command: no strings left to interpret, no front-end known.

mod adopt;
pub(crate) mod batch;
mod cluster_status;
pub(crate) mod config;
mod conflict;
pub(crate) mod data_key;
mod decrypt;
mod diff;
mod doctor;
pub(crate) mod document;
mod edit;
mod encrypt;
mod exec_env;
mod exec_file;
mod fetch;
mod file_status;
pub(crate) mod found;
mod groups;
mod init;
mod key_service;
mod keygen;
mod new_keys;
mod objects;
mod publish;
mod push;
mod recipients;
mod resolve;
mod rotate;
pub(crate) mod seal;
mod secret_text;
mod set;
mod sharing;
mod status;
mod store;
mod template;
mod typed_value;
mod unset;
pub(crate) mod update_keys;
pub(crate) mod version;

use std::path::Path;

use sealwright_documents::format::by_name;
use sealwright_documents::metadata::Metadata;

use crate::config::Rule;
use crate::error::Result;
use crate::key_texts::KeySettings;
use crate::visible::recipient;
use crate::world::World;

pub(crate) use crate::absolute::{absolute, absolute_by_name};
pub(crate) use crate::change::{Change, Input, Output};
pub(crate) use crate::key_texts::KeyTexts;
pub(crate) use crate::settings::Settings;
pub(crate) use crate::tree_path::parse_tree_path;

pub(crate) use adopt::Adopt;
pub(crate) use cluster_status::ClusterStatus;
pub(crate) use decrypt::Decrypt;
pub(crate) use diff::{Diff, Textconv};
pub(crate) use doctor::Doctor;
pub(crate) use document::by_suffix as format_by_suffix;
pub(crate) use edit::{Edit, find_kept};
pub(crate) use encrypt::{Encrypt, refuse_sealed};
pub(crate) use exec_env::{ExecEnv, ExecHow};
pub(crate) use exec_file::ExecFile;
pub(crate) use fetch::{Fetch, FetchForm};
pub(crate) use file_status::FileStatus;
pub(crate) use groups::{GroupsAdd, GroupsDelete};
pub(crate) use init::Init;
pub(crate) use key_service::KeyService;
pub(crate) use keygen::{Keygen, KeygenOutput};
pub(crate) use publish::Publish;
pub(crate) use push::Push;
pub(crate) use recipients::{
    KeyOrName, RecipientsAdd, RecipientsList, RecipientsRemove, Scope as RecipientsScope,
};
pub(crate) use resolve::{Resolve, ResolvedForm};
pub(crate) use rotate::{Rotate, RotatedKeys, Unless};
pub(crate) use secret_text::Values as Spelling;
pub(crate) use set::{Replacing, Set, SetValue, read_value_file, read_value_stdin};
pub(crate) use sharing::{Lockout, Recipients};
pub(crate) use status::{Status, StatusBy};
pub(crate) use store::{StoreCheck, StoreList, StorePlace};
pub(crate) use template::Template;
pub(crate) use typed_value::ValueType;
pub(crate) use unset::Unset;
pub(crate) use update_keys::UpdateKeys;

/// Refuses a configuration that cannot be read, before anything else is looked at.
pub(crate) fn check_configuration(world: &World, settings: &Settings) -> Result<()> {
    world.configuration(settings).map(drop)
}

/// Refuses a file that no rule of a configuration with rules is for.
pub(crate) fn check_rule(world: &World, settings: &Settings, name: &Path) -> Result<()> {
    rule_for(world, settings, name, &KeySettings::default()).map(drop)
}

/// Returns whether a creation rule covers a file; `None` when there are no rules, an error when they cannot be used.
pub(crate) fn covers(world: &World, settings: &Settings, name: &Path) -> Result<Option<bool>> {
    match world.configuration(settings)? {
        Some(config) => config.covers(name),
        None => Ok(None),
    }
}

/// The rule of a file; `None` when there are no rules at all, an error when there are and none matches (S149, S151).
pub(crate) fn rule_for(
    world: &World,
    settings: &Settings,
    name: &Path,
    given: &KeySettings,
) -> Result<Option<Rule>> {
    match world.configuration(settings)? {
        Some(config) => config.rule_for(name, given),
        None => Ok(None),
    }
}

/// Refuses an order of kinds of keys that names one twice.
pub(crate) fn check_order(settings: &Settings) -> Result<()> {
    data_key::Order::parse(settings.decryption_order.as_deref()).map(drop)
}

/// Which leaves shall be secret, as flags have it; at most one may be set in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SelectionTexts {
    pub(crate) unencrypted_suffix: Option<String>,
    pub(crate) encrypted_suffix: Option<String>,
    pub(crate) unencrypted_regex: Option<String>,
    pub(crate) encrypted_regex: Option<String>,
    pub(crate) unencrypted_comment_regex: Option<String>,
    pub(crate) encrypted_comment_regex: Option<String>,
}

/// The master keys of a file, for people.
pub(crate) fn key_names(metadata: &Metadata) -> Vec<String> {
    let entries = metadata.groups.iter().flatten();
    entries
        .map(|entry| {
            let identity = entry.key.identity();
            format!("{} {}", entry.key.kind().section, recipient(&identity))
        })
        .collect()
}

/// The name of a format, as flags have it; others are ignored as upstream does (2.1).
pub(crate) fn format_name(text: &str) -> Option<&'static str> {
    by_name(text).map(|format| format.name())
}
