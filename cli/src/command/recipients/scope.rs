//! The rules and files that a change of recipients is about.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::found::{Found, Wanted, What, what_is};
use super::super::{Settings, absolute};
use super::rule::rule_of;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::visible::shown;
use crate::world::World;

/// Which rules and files are meant, and how the command goes about it.
#[derive(Debug)]
pub(crate) struct Scope {
    /// A file or folder: the rules of its files are meant.
    pub(crate) path: Option<PathBuf>,
    /// All rules are meant.
    pub(crate) all: bool,
    pub(crate) yes: bool,
    pub(crate) dry_run: bool,
    pub(crate) json: bool,
    pub(crate) settings: Settings,
}

impl Scope {
    /// The rules that a path means; `None` when none was given.
    pub(super) fn rules(&self, world: &World, config: &Config) -> Result<Option<BTreeSet<usize>>> {
        if self.all {
            let count = config.rules().creation_rules.iter().flatten().count();
            return Ok(Some((0..count).collect()));
        }
        let Some(path) = &self.path else {
            return Ok(None);
        };
        if !path.is_dir() {
            return Ok(Some(BTreeSet::from([rule_of(config, path)?])));
        }
        let found = Found::look(
            world,
            &self.settings,
            std::slice::from_ref(path),
            Wanted::Any,
        )?;
        let rules = found.files.iter().map(|file| config.rule_number(file));
        let rules: BTreeSet<Option<usize>> = rules.collect::<Result<_>>()?;
        let rules: BTreeSet<usize> = rules.into_iter().flatten().collect();
        match rules.is_empty() {
            true => Err(Error::generic(format!(
                "no creation rule covers a file below {}",
                shown(path)
            ))),
            false => Ok(Some(rules)),
        }
    }

    /// The places where encrypted files of the rules are looked for: the folder of the configuration, and what was named.
    /// Behind a link into that folder, files have other names, and by these another rule: where no path was named, the
    /// working folder is looked through, too.
    pub(super) fn places(&self, config: &Config) -> Result<Vec<PathBuf>> {
        let own = config.place().own_folder();
        let mut places = vec![own.to_owned()];
        match &self.path {
            Some(path) if path.is_dir() => places.push(path.clone()),
            // A file that is not there yet can name a rule, too.
            Some(path) if path.exists() => {
                let what = what_is(path, &self.settings).map_err(|error| {
                    Error::new(Kind::Read, format!("cannot read {}", shown(path))).because(error)
                })?;
                if what == What::Encrypted {
                    places.push(path.clone());
                }
            }
            Some(_) => {}
            None => {
                let here = absolute(Path::new(""))?;
                let is_inside = || {
                    Some(
                        here.canonicalize()
                            .ok()?
                            .starts_with(own.canonicalize().ok()?),
                    )
                };
                if !here.starts_with(own) && is_inside() == Some(true) {
                    places.push(here);
                }
            }
        }
        Ok(places)
    }
}
