//! The command line of our own verbs, as clap reads it.

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "brackets in help texts are no links"
)]

mod key_options;
mod perform;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use key_options::{Add, Group, KeyOptions, Remove, Use};
pub(super) use perform::one_change;

/// Keeps secrets safe from the editor to the pod.
#[derive(Debug, Parser)]
#[command(
    name = "sealwright",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Called as `sealwright sops …`, or through a link named sops, it is a drop-in for sops.\n\n\
                  Examples:\n  sealwright keygen --out ~/.config/sops/age/keys.txt\n  \
                  sealwright encrypt --in-place --age age1… secrets/\n  sealwright edit secrets/db.yaml\n  \
                  sealwright get secrets/db.yaml db.password"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) everywhere: Everywhere,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

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

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    #[command(flatten)]
    Sealing(super::sealing::SealVerb),
    #[command(flatten)]
    Storing(super::storing::StoreVerb),
    /// Encrypt files, or standard input.
    #[command(
        after_help = "Examples:\n  sealwright encrypt --age age1… app.yaml > app.enc.yaml\n  \
        sealwright encrypt --in-place --dry-run secrets/\n  generate | sealwright encrypt --name app.env > app.env"
    )]
    Encrypt {
        #[command(flatten)]
        files: Files,
        #[command(flatten)]
        keys: KeyOptions<Use>,
        #[command(flatten)]
        selection: SelectionOptions,
        #[command(flatten)]
        formats: Formats,
    },
    /// Decrypt files, or standard input.
    #[command(after_help = "Examples:\n  sealwright decrypt app.yaml\n  \
        sealwright decrypt --output-type json app.yaml | jq .")]
    Decrypt {
        #[command(flatten)]
        files: Files,
        #[command(flatten)]
        formats: Formats,
        /// Decrypt even if the MAC does not agree: somebody may have changed the file.
        #[arg(long)]
        ignore_mac: bool,
    },
    /// Print one value of an encrypted file.
    #[command(after_help = "Examples:\n  sealwright get app.yaml db.password\n  \
        sealwright get app.yaml '[\"a.b\"][0]'")]
    Get {
        /// The file.
        file: PathBuf,
        /// The value: keys with dots between (db.password, list.0), or ["key"][0].
        path: String,
        #[command(flatten)]
        formats: Formats,
    },
    /// Decrypt a file into an editor and encrypt what comes back.
    #[command(after_help = "Examples:\n  sealwright edit app.yaml\n  \
        EDITOR='code --wait' sealwright edit app.yaml")]
    Edit {
        /// The file; it is created when it does not exist.
        #[arg(required_unless_present = "resume")]
        file: Option<PathBuf>,
        /// Go on with an edited text that could not be written.
        #[arg(long)]
        resume: bool,
        #[command(flatten)]
        acceptance: Acceptance,
        #[command(flatten)]
        keys: KeyOptions<Use>,
        #[command(flatten)]
        selection: SelectionOptions,
        /// Show the sops block in the editor too.
        #[arg(long)]
        show_master_keys: bool,
    },
    /// Set one value of an encrypted file.
    #[command(
        after_help = "Examples:\n  printf %s \"$PASSWORD\" | sealwright set app.yaml db.password --stdin\n  \
        sealwright set app.yaml replicas --json 3"
    )]
    Set {
        /// The file.
        file: PathBuf,
        /// The value: keys with dots between (db.password, list.0), or ["key"][0].
        path: String,
        /// The new value; - reads it from standard input, and without it a terminal asks for it unseen. Other users of
        /// this machine can read it from the list of processes: --stdin is safer.
        #[arg(allow_hyphen_values = true)]
        value: Option<String>,
        /// The value is JSON: a number, a map, a list.
        #[arg(long, group = "type_of_value")]
        json: bool,
        /// The value is a text, whatever stands there.
        #[arg(long, group = "type_of_value")]
        string: bool,
        /// The type of the value; by default that of the value that is replaced, or text.
        #[arg(
            long = "type",
            value_enum,
            value_name = "TYPE",
            group = "type_of_value"
        )]
        of_type: Option<TypeName>,
        /// Replace a map or a list by a value or the reverse, append to a list.
        #[arg(long)]
        force: bool,
        /// Read the value from standard input; one line break at its end does not count.
        #[arg(long, conflicts_with = "value")]
        stdin: bool,
        /// Keep the line break at the end of standard input.
        #[arg(long)]
        raw: bool,
        /// Read the value from a file.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["value", "stdin"])]
        from_file: Option<PathBuf>,
        /// Show what would be done, write nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Remove one value of an encrypted file.
    #[command(after_help = "Examples:\n  sealwright unset app.yaml db.password\n  \
        sealwright unset --dry-run app.yaml '[\"db\"][\"password\"]'")]
    Unset {
        /// The file.
        file: PathBuf,
        /// The value: keys with dots between (db.password, list.0), or ["key"][0].
        path: String,
        /// Show what would be done, write nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Make new data keys and encrypt all values anew; add and remove master keys.
    #[command(
        after_help = "Examples:\n  sealwright rotate --rm-age age1… secrets/\n  \
        sealwright rotate --dry-run secrets/"
    )]
    Rotate {
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
    },
    /// Give files the master keys that the configuration names for them.
    #[command(
        name = "updatekeys",
        after_help = "Examples:\n  sealwright updatekeys --check .   # in CI\n  \
        sealwright updatekeys secrets/"
    )]
    UpdateKeys {
        /// Files and folders.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        #[command(flatten)]
        consent: Consent,
        #[command(flatten)]
        caution: Caution,
    },
    /// Add and remove key groups.
    Groups {
        #[command(subcommand)]
        verb: GroupVerb,
    },
    /// Run a command with the decrypted values in its environment.
    #[command(after_help = "Example:\n  sealwright exec-env app.env -- ./server --port 80")]
    ExecEnv {
        /// The file.
        file: PathBuf,
        /// The command and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
        /// Give it no variables but the decrypted ones.
        #[arg(long)]
        pristine: bool,
        /// Run it as this user.
        #[arg(long)]
        user: Option<String>,
    },
    /// Run a command with the decrypted file as a named pipe; {} stands for its path.
    #[command(after_help = "Example:\n  sealwright exec-file config.json -- server --config {}")]
    ExecFile {
        /// The file.
        file: PathBuf,
        /// The command and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
        /// Hand over a regular file, in memory where the system can, instead of a named pipe.
        #[arg(long)]
        no_fifo: bool,
        /// The name of the file that the command gets.
        #[arg(long)]
        filename: Option<String>,
        /// Run it as this user.
        #[arg(long)]
        user: Option<String>,
    },
    /// Make an age key.
    #[command(
        after_help = "Examples:\n  sealwright keygen --out ~/.config/sops/age/keys.txt\n  \
        sealwright keygen --hybrid"
    )]
    Keygen {
        /// Make a hybrid post-quantum key (age 1.3 and later).
        #[arg(long)]
        hybrid: bool,
        /// Write the identity to this new file, mode 0600, and print the recipient.
        #[arg(long, short = 'o', value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Tell which files are encrypted, when, with which keys; nothing is decrypted.
    #[command(after_help = "Examples:\n  sealwright status secrets/\n  \
        sealwright status --check secrets/   # in CI\n  sealwright --output json status . | jq .files[].keys")]
    Status {
        /// Files and folders.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Fail when a file that a rule names is not encrypted.
        #[arg(long)]
        check: bool,
    },
    /// Show what changed in encrypted files since a revision of Git.
    #[command(
        after_help = "Examples:\n  sealwright diff\n  sealwright diff --reveal HEAD~1 secrets/"
    )]
    Diff {
        /// The revision to compare with.
        #[arg(default_value = "HEAD")]
        revision: String,
        /// Files and folders; by default all below the working folder.
        paths: Vec<PathBuf>,
        /// Show the values, and not only which of them changed.
        #[arg(long)]
        reveal: bool,
    },
    /// Help Git to compare encrypted files.
    Git {
        #[command(subcommand)]
        verb: GitVerb,
    },
    /// Look at the configuration file.
    Config {
        #[command(subcommand)]
        verb: ConfigVerb,
    },
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  \
        sealwright completions bash > ~/.local/share/bash-completion/completions/sealwright")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual, or write the pages of all verbs into a folder.
    #[command(after_help = "Examples:\n  sealwright man | man -l -\n  \
        sealwright man ~/.local/share/man/man1")]
    Man {
        /// The folder.
        folder: Option<PathBuf>,
    },
}

/// Types of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum TypeName {
    /// Text.
    String,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// true or false.
    Bool,
    /// As JSON says.
    Json,
}

/// What can be done with key groups.
#[derive(Debug, Subcommand)]
pub(super) enum GroupVerb {
    /// Add a key group.
    #[command(after_help = "Example:\n  sealwright groups add app.yaml --age age1… --threshold 2")]
    Add {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        keys: KeyOptions<Group>,
        /// How many groups it then takes.
        #[arg(long, value_name = "N")]
        threshold: Option<u32>,
        #[command(flatten)]
        acceptance: Acceptance,
        #[command(flatten)]
        consent: Consent,
    },
    /// Remove a key group.
    #[command(after_help = "Example:\n  sealwright groups delete app.yaml 1 --threshold 1")]
    Delete {
        /// The file.
        file: PathBuf,
        /// Its index; the first is 0.
        index: usize,
        /// How many groups it then takes.
        #[arg(long, value_name = "N")]
        threshold: Option<u32>,
        #[command(flatten)]
        acceptance: Acceptance,
        #[command(flatten)]
        consent: Consent,
    },
}

/// What Git can be helped with.
#[derive(Debug, Subcommand)]
pub(super) enum GitVerb {
    /// Print a file as `git diff` should compare it; plain files as they are.
    #[command(
        after_help = "Examples:\n  git config diff.sealwright.textconv 'sealwright git textconv'\n  \
        echo '*.yaml diff=sealwright' >> .gitattributes\n  sealwright git textconv app.yaml"
    )]
    Textconv {
        /// The file.
        file: PathBuf,
        /// Print the values decrypted, where a key here opens the file.
        #[arg(long)]
        reveal: bool,
    },
}

/// What can be asked about the configuration.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigVerb {
    /// Check it strictly: unknown fields, keys that cannot be read, rules that can never match.
    #[command(after_help = "Example:\n  sealwright config check   # in CI")]
    Check,
    /// Print its JSON schema, for editors.
    #[command(after_help = "Example:\n  sealwright config schema > sops.schema.json")]
    Schema,
    /// Tell which rule a file falls under and why, and what it says.
    #[command(after_help = "Example:\n  sealwright config explain secrets/db.yaml")]
    Explain {
        /// The file, which need not exist.
        file: PathBuf,
    },
}

/// Which files, and where results go.
#[derive(Debug, Args)]
pub(super) struct Files {
    /// Files and folders; standard input when there is none.
    paths: Vec<PathBuf>,
    /// Write each result over its file; needed for several files.
    #[arg(long, short = 'i')]
    in_place: bool,
    /// Write the result to this file.
    #[arg(long, short = 'o', value_name = "FILE", conflicts_with = "in_place")]
    out: Option<PathBuf>,
    /// Take this name for rules and types.
    #[arg(long, value_name = "NAME")]
    name: Option<PathBuf>,
    /// Show what would be done and with which keys, write nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Whom a data key is wrapped for.
#[derive(Debug, Args)]
pub(super) struct Acceptance {
    /// Keep the recipients of the file even where they differ from its creation rule.
    #[arg(long)]
    accept_recipients: bool,
}

/// What a person agrees to beforehand.
#[derive(Debug, Args)]
pub(super) struct Consent {
    /// Write files that no key of this machine will open any more.
    #[arg(long, short)]
    yes: bool,
}

/// How careful a command over many files is.
#[derive(Debug, Args)]
pub(super) struct Caution {
    /// Show what would be done, write nothing.
    #[arg(long)]
    dry_run: bool,
    /// As --dry-run, and exit with 1 when there is something to do.
    #[arg(long)]
    check: bool,
}

/// Document formats.
#[derive(Debug, Args)]
pub(super) struct Formats {
    /// The format of the input; by default what the name says.
    #[arg(long, value_name = "FORMAT", value_parser = ["yaml", "json", "dotenv", "ini", "binary"])]
    input_type: Option<String>,
    /// The format of the output; by default what the name says.
    #[arg(long, value_name = "FORMAT", value_parser = ["yaml", "json", "dotenv", "ini", "binary"])]
    output_type: Option<String>,
}

/// Which values are secret in new files.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct SelectionOptions {
    /// Encrypt only values under matching keys.
    #[arg(long, value_name = "REGEX")]
    encrypted_regex: Option<String>,
    /// Leave values under matching keys plain.
    #[arg(long, value_name = "REGEX")]
    unencrypted_regex: Option<String>,
    /// Encrypt only values under keys with this ending.
    #[arg(long, value_name = "SUFFIX")]
    encrypted_suffix: Option<String>,
    /// Leave values under keys with this ending plain.
    #[arg(long, value_name = "SUFFIX")]
    unencrypted_suffix: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
