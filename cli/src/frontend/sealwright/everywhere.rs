//! Options of every verb, as clap reads them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::command::Settings;

/// Options of every verb.
#[derive(Debug, Args)]
pub(super) struct Everywhere {
    /// How results are shown.
    #[arg(long, global = true, help_heading = "Global options", value_enum, default_value_t = Shown::Text, value_name = "FORM")]
    output: Shown,
    /// The configuration file; by default .sops.yaml here or in a folder above.
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        env = "SOPS_CONFIG",
        value_name = "FILE"
    )]
    pub(super) config: Option<PathBuf>,
    /// Say more on standard error; twice, say everything.
    #[arg(long, short, global = true, help_heading = "Global options", action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub(super) verbose: u8,
    /// Say nothing but warnings and errors.
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub(super) quiet: bool,
    /// When to use colours.
    #[arg(long, global = true, help_heading = "Global options", value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    pub(super) color: When,
    /// Fail instead of warning when a rule would leave every value in plaintext.
    #[arg(long, global = true, help_heading = "Global options")]
    pub(super) strict: bool,
}

/// When something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    /// On a terminal that can.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Everywhere {
    pub(super) fn json(&self) -> bool {
        self.output == Shown::Json
    }

    pub(super) fn env(&self) -> bool {
        self.output == Shown::Env
    }

    /// What every command that opens documents goes by.
    pub(super) fn settings(&self) -> Settings {
        Settings {
            config: self.config.clone(),
            decryption_order: std::env::var("SOPS_DECRYPTION_ORDER").ok(),
            output_follows_input: true,
            ..Settings::new()
        }
    }
}

/// Forms of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shown {
    /// For people.
    Text,
    /// For scripts: one JSON object.
    Json,
    /// For shells, with the verb fetch: NAME='value', one a line.
    Env,
}
