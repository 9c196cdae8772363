//! `sealwright rotate`, as clap reads it.

use std::path::PathBuf;

use clap::Args;

use super::everywhere::Everywhere;
use super::files::{Acceptance, Caution, Consent};
use super::key_options::{Add, KeyOptions, Remove};
use super::words;
use crate::command::found::Wanted;
use crate::command::{self, Input, Output, RotatedKeys};
use crate::error::{Error, Kind, Result};
use crate::world::World;

/// Make new data keys and re-encrypt all values; add and remove master keys.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealwright rotate --rm-age age1… secrets/\n  \
    sealwright rotate --dry-run secrets/"
)]
pub(super) struct Rotate {
    /// Files and folders.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    add: KeyOptions<Add>,
    #[command(flatten)]
    remove: KeyOptions<Remove>,
    /// Only files that were last written longer ago than this, such as 90d or 12h.
    #[arg(long, value_name = "TIME")]
    older_than: Option<jiff::Span>,
    #[command(flatten)]
    acceptance: Acceptance,
    #[command(flatten)]
    consent: Consent,
    /// Show what would be done, write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Write nothing, and exit with 1 when the recipients of a file differ from its rule, or when it is older than
    /// --older-than says.
    #[arg(long)]
    check: bool,
}

impl Rotate {
    /// The file that the verb works on, where that is one file; the empty path is standard input.
    pub(super) fn subject(&self) -> Option<PathBuf> {
        words::one(&self.paths)
    }

    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        let unless = command::Unless {
            idle: true,
            written_after: self.older_than.map(time_ago).transpose()?,
            always: self.check && self.older_than.is_none(),
        };
        let settings = everywhere.settings();
        let over = (Wanted::Encrypted, &settings);
        let caution = Caution::new(self.dry_run, self.check);
        caution.each(world, everywhere, "rotated", &self.paths, over, &|path| {
            let rotate = command::Rotate {
                from: Input::File(path.to_owned()),
                to: Output::InPlace,
                name: path.to_owned(),
                keys: RotatedKeys::Changed {
                    add: self.add.texts(),
                    remove: self.remove.texts(),
                },
                ignore_mac: false,
                recipients: self.acceptance.recipients(),
                unless,
                lockout: self.consent.lockout(),
                settings: settings.clone(),
            };
            rotate.change(world)
        })
    }
}

/// The time so long ago.
fn time_ago(span: jiff::Span) -> Result<jiff::Timestamp> {
    jiff::Zoned::now()
        .checked_sub(span)
        .map(|time| time.timestamp())
        .map_err(|error| Error::new(Kind::Usage, "--older-than is no time ago").because(error))
}
