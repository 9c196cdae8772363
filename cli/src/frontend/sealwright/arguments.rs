//! The command line of our own verbs, as clap reads it, and its translation into commands.

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "brackets in help texts are no links"
)]

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::command::batch::{Batch, Outcome, Report, is_encrypted, is_plain, unless};
use crate::command::{
    self, Input, KeyTexts, Output, SelectionTexts, Settings, absolute, parse_tree_path,
};
use crate::error::{Error, Kind, Result};
use crate::world::World;

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
    #[arg(long, global = true, value_enum, default_value_t = Shown::Text, value_name = "FORM")]
    output: Shown,
    /// The configuration file; by default .sops.yaml here or in a folder above.
    #[arg(long, global = true, env = "SOPS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Say more on standard error.
    #[arg(long, short, global = true)]
    pub(super) verbose: bool,
}

impl Everywhere {
    pub(super) fn json(&self) -> bool {
        self.output == Shown::Json
    }
}

/// Forms of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shown {
    /// For people.
    Text,
    /// For scripts: one JSON object.
    Json,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    #[command(flatten)]
    Sealing(super::sealing::SealVerb),
    /// Encrypt files, or standard input.
    #[command(
        after_help = "Examples:\n  sealwright encrypt --age age1… app.yaml > app.enc.yaml\n  \
        sealwright encrypt --in-place --dry-run secrets/\n  generate | sealwright encrypt --name app.env > app.env"
    )]
    Encrypt {
        #[command(flatten)]
        files: Files,
        #[command(flatten)]
        keys: KeyOptions,
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
        file: PathBuf,
        #[command(flatten)]
        keys: KeyOptions,
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
        /// The new text. Other users of this machine can read it from the list of processes: --stdin is safer.
        #[arg(required_unless_present_any = ["stdin", "from_file"])]
        value: Option<String>,
        /// The value is JSON: a number, a map, a list.
        #[arg(long)]
        json: bool,
        /// Read the value from standard input.
        #[arg(long, conflicts_with = "value")]
        stdin: bool,
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
        /// Add this age recipient (repeatable).
        #[arg(long, value_name = "RECIPIENT")]
        add_age: Vec<String>,
        /// Remove this age recipient (repeatable).
        #[arg(long, value_name = "RECIPIENT")]
        rm_age: Vec<String>,
        /// Add this OpenPGP key (repeatable).
        #[arg(long, value_name = "FINGERPRINT")]
        add_pgp: Vec<String>,
        /// Remove this OpenPGP key (repeatable).
        #[arg(long, value_name = "FINGERPRINT")]
        rm_pgp: Vec<String>,
        #[command(flatten)]
        caution: Caution,
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

/// What can be done with key groups.
#[derive(Debug, Subcommand)]
pub(super) enum GroupVerb {
    /// Add a key group.
    #[command(after_help = "Example:\n  sealwright groups add app.yaml --age age1… --threshold 2")]
    Add {
        /// The file.
        file: PathBuf,
        /// An age recipient (repeatable).
        #[arg(long, value_name = "RECIPIENT")]
        age: Vec<String>,
        /// An OpenPGP key (repeatable).
        #[arg(long, value_name = "FINGERPRINT")]
        pgp: Vec<String>,
        /// How many groups it then takes.
        #[arg(long, value_name = "N")]
        threshold: Option<u32>,
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

/// Master keys for new files.
#[derive(Debug, Args)]
pub(super) struct KeyOptions {
    /// An age recipient (repeatable).
    #[arg(
        long,
        env = "SOPS_AGE_RECIPIENTS",
        value_name = "RECIPIENT",
        value_delimiter = ','
    )]
    age: Vec<String>,
    /// An OpenPGP key (repeatable).
    #[arg(
        long,
        env = "SOPS_PGP_FP",
        value_name = "FINGERPRINT",
        value_delimiter = ','
    )]
    pgp: Vec<String>,
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

impl Verb {
    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        let json = everywhere.json();
        let settings = |formats: Option<&Formats>| Settings {
            config: everywhere.config.clone(),
            decryption_order: std::env::var("SOPS_DECRYPTION_ORDER").ok(),
            input_type: formats
                .and_then(|formats| command::format_name(formats.input_type.as_deref()?)),
            output_type: formats
                .and_then(|formats| command::format_name(formats.output_type.as_deref()?)),
            ..Settings::new()
        };
        match self {
            Verb::Encrypt {
                files,
                keys,
                selection,
                formats,
            } => files.each(
                world,
                json,
                "encrypted",
                &|file| is_encrypted(file, &settings(Some(&formats))),
                &|from, to, name| {
                    command::Encrypt {
                        from,
                        to,
                        name,
                        keys: keys.texts(),
                        aws_profile: None,
                        encryption_context: None,
                        selection: selection.texts(),
                        threshold: 0,
                        mac_only_encrypted: false,
                        settings: settings(Some(&formats)),
                    }
                    .change(world)
                },
            ),
            Verb::Decrypt {
                files,
                formats,
                ignore_mac,
            } => files.each(
                world,
                json,
                "decrypted",
                &|file| is_plain(file, &settings(Some(&formats))),
                &|from, to, name| {
                    command::Decrypt {
                        from,
                        to,
                        name,
                        extract: Vec::new(),
                        ignore_mac,
                        settings: settings(Some(&formats)),
                    }
                    .change(world)
                },
            ),
            Verb::Get {
                file,
                path,
                formats,
            } => {
                let file = absolute(&file)?;
                command::Decrypt {
                    from: Input::File(file.clone()),
                    to: Output::Stdout,
                    name: file,
                    extract: read_path(&path).map_err(|reason| {
                        Error::new(Kind::ExtractPath, format!("cannot read the path: {reason}"))
                    })?,
                    ignore_mac: false,
                    settings: settings(Some(&formats)),
                }
                .run(world)
            }
            Verb::Edit {
                file,
                keys,
                selection,
                show_master_keys,
            } => {
                let file = absolute(&file)?;
                command::Edit {
                    name: file.clone(),
                    file,
                    keys: keys.texts(),
                    aws_profile: None,
                    encryption_context: None,
                    selection: selection.texts(),
                    threshold: 0,
                    mac_only_encrypted: false,
                    show_master_keys,
                    ignore_mac: false,
                    needs_rule: false,
                    settings: settings(None),
                }
                .run(world)
            }
            Verb::Set {
                file,
                path,
                value,
                json: is_json,
                stdin,
                from_file,
                dry_run,
            } => {
                let file = absolute(&file)?;
                let bytes = match (value, from_file) {
                    (Some(text), _) => {
                        sealwright_crypto::secret::SecretBytes::copy_of(text.as_bytes())
                    }
                    (None, Some(path)) => command::read_value_file(&path)?,
                    (None, None) => {
                        debug_assert!(stdin, "clap asks for one of the three");
                        command::read_value_stdin()?
                    }
                };
                let set = command::Set {
                    name: file.clone(),
                    file: file.clone(),
                    path: path_of(&path)?,
                    value: if is_json {
                        command::SetValue::Json(bytes)
                    } else {
                        command::SetValue::Text(bytes)
                    },
                    idempotent: true,
                    ignore_mac: false,
                    needs_rule: false,
                    settings: settings(None),
                };
                one_change(world, json, dry_run, "set", &file, || set.change(world))
            }
            Verb::Unset {
                file,
                path,
                dry_run,
            } => {
                let file = absolute(&file)?;
                let unset = command::Unset {
                    name: file.clone(),
                    file: file.clone(),
                    path: path_of(&path)?,
                    idempotent: false,
                    ignore_mac: false,
                    settings: settings(None),
                };
                one_change(world, json, dry_run, "unset", &file, || unset.change(world))
            }
            Verb::Rotate {
                paths,
                add_age,
                rm_age,
                add_pgp,
                rm_pgp,
                caution,
            } => {
                let add = texts(&add_age, &add_pgp);
                let remove = texts(&rm_age, &rm_pgp);
                caution.each(world, json, "rotated", &paths, &|path| {
                    let rotate = command::Rotate {
                        from: Input::File(path.to_owned()),
                        to: Output::InPlace,
                        name: path.to_owned(),
                        add: add.clone(),
                        remove: remove.clone(),
                        encryption_context: None,
                        ignore_mac: false,
                        needs_rule: false,
                        settings: settings(None),
                    };
                    let is_plain = |file: &Path| is_plain(file, &settings(None));
                    unless(is_plain, &paths, path, || rotate.change(world))
                })
            }
            Verb::UpdateKeys { paths, caution } => {
                caution.each(world, json, "updated", &paths, &|path| {
                    let settings = settings(None);
                    unless(
                        |file| is_plain(file, &settings),
                        &paths,
                        path,
                        || command::update_keys::change(world, path, &settings),
                    )
                })
            }
            Verb::Groups { verb } => match verb {
                GroupVerb::Add {
                    file,
                    age,
                    pgp,
                    threshold,
                } => command::GroupsAdd {
                    file: absolute(&file)?,
                    keys: texts(&age, &pgp),
                    aws_profile: None,
                    encryption_context: None,
                    in_place: true,
                    threshold: threshold.unwrap_or(0),
                    settings: settings(None),
                }
                .run(world),
                GroupVerb::Delete {
                    file,
                    index,
                    threshold,
                } => command::GroupsDelete {
                    file: absolute(&file)?,
                    index,
                    in_place: true,
                    threshold: threshold.unwrap_or(0),
                    settings: settings(None),
                }
                .run(world),
            },
            Verb::ExecEnv {
                file,
                command,
                pristine,
                user,
            } => command::ExecEnv {
                file: absolute(&file)?,
                command: quote_words(&command),
                how: command::ExecHow {
                    pristine,
                    user,
                    ..command::ExecHow::default()
                },
                settings: settings(None),
            }
            .run(world),
            Verb::ExecFile {
                file,
                command,
                no_fifo,
                filename,
                user,
            } => command::ExecFile {
                file: absolute(&file)?,
                command: quote_words(&command),
                how: command::ExecHow {
                    user,
                    ..command::ExecHow::default()
                },
                no_fifo,
                filename,
                settings: settings(None),
            }
            .run(world),
            Verb::Keygen { hybrid, out } => command::Keygen { hybrid, out, json }.run(world),
            Verb::Status { paths, check } => command::Status {
                paths,
                check,
                json,
                settings: settings(None),
            }
            .run(world),
            Verb::Config { verb } => match verb {
                ConfigVerb::Check => {
                    command::config::check(world, everywhere.config.as_deref(), json)
                }
                ConfigVerb::Schema => command::config::schema(world),
                ConfigVerb::Explain { file } => {
                    command::config::explain(world, everywhere.config.as_deref(), &file, json)
                }
            },
            Verb::Sealing(verb) => verb.perform(world, json),
            Verb::Completions { .. } | Verb::Man { .. } => {
                unreachable!("done before any command")
            }
        }
    }
}

impl Files {
    /// Runs a command for standard input, one file, or many. Of folders, what `is_done` is passed over.
    fn each(
        &self,
        world: &World,
        json: bool,
        done: &'static str,
        is_done: &(dyn Fn(&Path) -> bool + Sync),
        work: &(dyn Fn(Input, Output, PathBuf) -> Result<command::Change> + Sync),
    ) -> Result<()> {
        let one = match &self.paths[..] {
            [] => Some(Input::Stdin),
            [path] if !path.is_dir() && !self.in_place => Some(Input::File(absolute(path)?)),
            _ => None,
        };
        let Some(from) = one else {
            if !self.in_place && !self.dry_run {
                return Err(Error::new(
                    Kind::Conflict,
                    "several files are written over themselves: say so with --in-place",
                ));
            }
            if self.name.is_some() {
                return Err(Error::new(Kind::Conflict, "--name is for one file"));
            }
            let batch = Batch {
                paths: &self.paths,
                dry_run: self.dry_run,
                check: false,
                json,
                done,
            };
            return batch.run(world, &|path| {
                unless(is_done, &self.paths, path, || {
                    let (from, name) = (Input::File(path.to_owned()), path.to_owned());
                    work(from, Output::InPlace, name)
                })
            });
        };
        if from == Input::Stdin && self.in_place {
            return Err(Error::new(
                Kind::Conflict,
                "--in-place needs a file to write over",
            ));
        }
        let name = match (&self.name, &from) {
            (Some(name), _) => absolute(name)?,
            (None, Input::File(path)) => path.clone(),
            (None, Input::Stdin) => PathBuf::new(),
        };
        let to = match &self.out {
            Some(path) => Output::File(absolute(path)?),
            None => Output::Stdout,
        };
        let shown = name.clone();
        let change = work(from, to, name)?;
        if self.dry_run {
            return Report::new(json, done, true)
                .finish(world, vec![(shown, Ok(Outcome::of(change)))]);
        }
        change.deliver(&world.terminal)
    }
}

impl Caution {
    pub(super) fn each(
        &self,
        world: &World,
        json: bool,
        done: &'static str,
        paths: &[PathBuf],
        work: &(dyn Fn(&Path) -> Result<command::Change> + Sync),
    ) -> Result<()> {
        Batch {
            paths,
            dry_run: self.dry_run || self.check,
            check: self.check,
            json,
            done,
        }
        .run(world, work)
    }
}

pub(super) fn one_change(
    world: &World,
    json: bool,
    dry_run: bool,
    done: &'static str,
    file: &Path,
    work: impl FnOnce() -> Result<command::Change>,
) -> Result<()> {
    let change = work()?;
    if !dry_run {
        change.deliver(&world.terminal)?;
        if !json {
            return Ok(());
        }
    }
    Report::new(json, done, dry_run).finish(world, vec![(file.to_owned(), Ok(Outcome::of(change)))])
}

impl KeyOptions {
    fn texts(&self) -> KeyTexts {
        texts(&self.age, &self.pgp)
    }
}

fn texts(age: &[String], pgp: &[String]) -> KeyTexts {
    let join = |list: &[String]| (!list.is_empty()).then(|| list.join(","));
    KeyTexts {
        age: join(age),
        pgp: join(pgp),
        ..KeyTexts::default()
    }
}

impl SelectionOptions {
    fn texts(&self) -> SelectionTexts {
        SelectionTexts {
            unencrypted_suffix: self.unencrypted_suffix.clone(),
            encrypted_suffix: self.encrypted_suffix.clone(),
            unencrypted_regex: self.unencrypted_regex.clone(),
            encrypted_regex: self.encrypted_regex.clone(),
            ..SelectionTexts::default()
        }
    }
}

fn path_of(text: &str) -> Result<Vec<sealwright_documents::format::Step>> {
    read_path(text)
        .map_err(|reason| Error::new(Kind::Path, format!("cannot read the path: {reason}")))
}

/// A path in brackets, or keys with dots between them; a part of digits is a list index.
fn read_path(text: &str) -> std::result::Result<Vec<sealwright_documents::format::Step>, String> {
    use sealwright_documents::format::Step;

    if text.starts_with('[') {
        return parse_tree_path(text);
    }
    if text.is_empty() {
        return Err("it is empty".into());
    }
    text.split('.')
        .map(|part| match part.parse() {
            _ if part.is_empty() => Err(format!("{text:?} has an empty part")),
            Ok(index) => Ok(Step::Index(index)),
            Err(_) => Ok(Step::Key(part.to_owned())),
        })
        .collect()
}

/// One word is a shell command; several are a program with arguments, quoted so that the shell keeps them as they are.
fn quote_words(words: &[OsString]) -> OsString {
    if let [line] = words {
        return line.clone();
    }
    let mut line = OsString::from("exec");
    for word in words {
        line.push(" ");
        // The place of the file stays bare: its path has no character that a shell would touch.
        if word == "{}" {
            line.push(word);
            continue;
        }
        let quoted = word.to_string_lossy().replace('\'', r"'\''");
        line.push(format!("'{quoted}'"));
    }
    line
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn words_reach_the_program_as_they_are() {
        let words = ["a b", "it's", "{}", "$HOME"].map(OsString::from);
        assert_eq!(quote_words(&words), r"exec 'a b' 'it'\''s' {} '$HOME'");
        assert_eq!(quote_words(&["a | b".into()]), "a | b");
    }

    #[test]
    fn paths_have_two_spellings() {
        assert_eq!(
            read_path("a.b.0").unwrap(),
            parse_tree_path(r#"["a"]["b"][0]"#).unwrap()
        );
        assert!(read_path("a..b").is_err());
    }
}
