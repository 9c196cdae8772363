//! What was asked, as commands.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sealwright_crypto::secret::SecretBytes;

use crate::command::batch::{Batch, Outcome, Report};
use crate::command::found::Wanted;
use crate::command::{
    self, Input, Lockout, Output, Recipients, SelectionTexts, Settings, ValueType, absolute,
    parse_tree_path,
};
use crate::error::{Error, Kind, Result};
use crate::frontend::sealwright::words;
use crate::world::World;

use super::{
    Acceptance, Caution, ConfigVerb, Consent, Everywhere, Files, Formats, GitVerb, GroupVerb,
    SelectionOptions, TypeName, Verb,
};

impl Verb {
    /// The file that the verb works on, where that is one file; the empty path is standard input.
    pub(in crate::frontend::sealwright) fn subject(&self) -> Option<PathBuf> {
        match self {
            Verb::Encrypt { files, .. } | Verb::Decrypt { files, .. } => words::one(&files.paths),
            Verb::Rotate { paths, .. } | Verb::UpdateKeys { paths, .. } => words::one(paths),
            Verb::Edit { file, .. } => file.clone(),
            Verb::Get { file, .. }
            | Verb::Set { file, .. }
            | Verb::Unset { file, .. }
            | Verb::ExecEnv { file, .. }
            | Verb::ExecFile { file, .. }
            | Verb::Groups {
                verb: GroupVerb::Add { file, .. } | GroupVerb::Delete { file, .. },
            } => Some(file.clone()),
            _ => None,
        }
    }

    /// Does what was asked.
    pub(in crate::frontend::sealwright) fn perform(
        self,
        world: &World,
        everywhere: &Everywhere,
    ) -> Result<()> {
        let json = everywhere.json();
        if everywhere.env() && !matches!(self, Verb::Storing(_)) {
            return Err(crate::frontend::sealwright::storing::only_for_fetch());
        }
        let settings = |formats: Option<&Formats>| Settings {
            config: everywhere.config.clone(),
            decryption_order: std::env::var("SOPS_DECRYPTION_ORDER").ok(),
            input_type: formats
                .and_then(|formats| command::format_name(formats.input_type.as_deref()?)),
            output_type: formats
                .and_then(|formats| command::format_name(formats.output_type.as_deref()?)),
            output_follows_input: true,
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
                Wanted::Plain,
                &settings(Some(&formats)),
                &|from, to, name| {
                    command::refuse_sealed(&from, &settings(Some(&formats)))?;
                    command::Encrypt {
                        from,
                        to,
                        name,
                        keys: keys.texts(),
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
                Wanted::Encrypted,
                &settings(Some(&formats)),
                &|from, to, name| {
                    command::Decrypt {
                        from,
                        to,
                        name,
                        extract: Vec::new(),
                        as_json: false,
                        ignore_mac,
                        first_of_several: false,
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
                let from = match file.as_os_str() == "-" {
                    true => Input::Stdin,
                    false => Input::File(absolute(&file)?),
                };
                let name = match &from {
                    Input::File(file) => file.clone(),
                    Input::Stdin => PathBuf::new(),
                };
                let mut settings = settings(Some(&formats));
                if json {
                    settings.output_type = Some("json");
                }
                let change = command::Decrypt {
                    from,
                    to: Output::Stdout,
                    name,
                    extract: read_path(&path).map_err(|reason| {
                        Error::new(Kind::ExtractPath, format!("cannot read the path: {reason}"))
                    })?,
                    as_json: json,
                    ignore_mac: false,
                    first_of_several: false,
                    settings,
                }
                .change(world)?;
                change.finish(&world.terminal)
            }
            Verb::Edit {
                file,
                resume,
                acceptance,
                keys,
                selection,
                show_master_keys,
            } => {
                let named = file.clone();
                let file = file
                    .as_deref()
                    .map(absolute)
                    .transpose()?
                    .unwrap_or_default();
                command::Edit {
                    name: file.clone(),
                    file,
                    keys: keys.texts(),
                    selection: selection.texts(),
                    threshold: 0,
                    mac_only_encrypted: false,
                    show_master_keys,
                    ignore_mac: false,
                    recipients: acceptance.recipients(),
                    resume,
                    settings: settings(None),
                }
                .run(world)?;
                if json {
                    let shown = named.as_deref().map(|file| file.to_string_lossy());
                    world
                        .terminal
                        .say_json(&serde_json::json!({ "file": shown, "status": "done-edited" }))?;
                }
                Ok(())
            }
            Verb::Set {
                file,
                path,
                value,
                json: is_json,
                string,
                of_type,
                force,
                stdin,
                raw,
                from_file,
                dry_run,
            } => {
                let file = absolute(&file)?;
                let steps = path_of(&path)?;
                let bytes = match (value, from_file) {
                    (Some(text), _) if text != "-" => SecretBytes::copy_of(text.as_bytes()),
                    (_, Some(path)) => command::read_value_file(&path)?,
                    (None, None) if !stdin && world.terminal.reads_from_person() => {
                        typed_unseen(world, &path)?
                    }
                    _ => match raw {
                        true => command::read_value_stdin()?,
                        false => without_line_break(command::read_value_stdin()?),
                    },
                };
                let set = command::Set {
                    name: file.clone(),
                    file: file.clone(),
                    path: steps,
                    value: match (is_json, string, of_type) {
                        (true, ..) | (_, _, Some(TypeName::Json)) => command::SetValue::Json(bytes),
                        (_, true, _) | (_, _, Some(TypeName::String)) => {
                            command::SetValue::Text(bytes, ValueType::String)
                        }
                        (_, _, Some(TypeName::Int)) => {
                            command::SetValue::Text(bytes, ValueType::Int)
                        }
                        (_, _, Some(TypeName::Float)) => {
                            command::SetValue::Text(bytes, ValueType::Float)
                        }
                        (_, _, Some(TypeName::Bool)) => {
                            command::SetValue::Text(bytes, ValueType::Bool)
                        }
                        (_, _, None) => command::SetValue::Text(bytes, ValueType::Kept),
                    },
                    replacing: match force {
                        true => command::Replacing::Anything,
                        false => command::Replacing::SameKind,
                    },
                    idempotent: true,
                    ignore_mac: false,
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
                add,
                remove,
                older_than,
                acceptance,
                consent,
                dry_run,
                check,
            } => {
                let unless = command::Unless {
                    idle: true,
                    written_after: older_than.map(time_ago).transpose()?,
                    always: check && older_than.is_none(),
                };
                let caution = Caution { dry_run, check };
                let over = (Wanted::Encrypted, &settings(None));
                caution.each(world, json, "rotated", &paths, over, &|path| {
                    let rotate = command::Rotate {
                        from: Input::File(path.to_owned()),
                        to: Output::InPlace,
                        name: path.to_owned(),
                        add: add.texts(),
                        remove: remove.texts(),
                        ignore_mac: false,
                        recipients: acceptance.recipients(),
                        unless,
                        lockout: consent.lockout(),
                        settings: settings(None),
                    };
                    rotate.change(world)
                })
            }
            Verb::UpdateKeys {
                paths,
                consent,
                caution,
            } => {
                let over = (Wanted::Encrypted, &settings(None));
                caution.each(world, json, "updated", &paths, over, &|path| {
                    command::update_keys::change(world, path, &settings(None), consent.lockout())
                })
            }
            Verb::Groups { verb } => match verb {
                GroupVerb::Add {
                    file,
                    keys,
                    threshold,
                    acceptance,
                    consent,
                } => command::GroupsAdd {
                    file: absolute(&file)?,
                    keys: keys.texts(),
                    in_place: true,
                    threshold: threshold.unwrap_or(0),
                    recipients: acceptance.recipients(),
                    lockout: consent.lockout(),
                    settings: settings(None),
                }
                .run(world),
                GroupVerb::Delete {
                    file,
                    index,
                    threshold,
                    acceptance,
                    consent,
                } => command::GroupsDelete {
                    file: absolute(&file)?,
                    index,
                    in_place: true,
                    threshold: threshold.unwrap_or(0),
                    recipients: acceptance.recipients(),
                    lockout: consent.lockout(),
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
            Verb::Diff {
                revision,
                paths,
                reveal,
            } => command::Diff {
                revision,
                paths,
                reveal,
                json,
                settings: settings(None),
            }
            .run(world),
            Verb::Git {
                verb: GitVerb::Textconv { file, reveal },
            } => command::Textconv {
                file,
                reveal,
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
            Verb::Storing(verb) => verb.perform(world, everywhere),
            Verb::Completions { .. } | Verb::Man { .. } => {
                unreachable!("done before any command")
            }
        }
    }
}

impl Files {
    /// Runs a command for standard input, one file, or many. Of folders, those files that are wanted.
    fn each(
        &self,
        world: &World,
        json: bool,
        done: &'static str,
        wanted: Wanted,
        settings: &Settings,
        work: &(dyn Fn(Input, Output, PathBuf) -> Result<command::Change> + Sync),
    ) -> Result<()> {
        let one = match &self.paths[..] {
            [] => Some(Input::Stdin),
            [path] if path.as_os_str() == "-" => Some(Input::Stdin),
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
                way_back: match done {
                    "encrypted" => Some("sealwright decrypt --in-place with the same files"),
                    _ => Some("sealwright encrypt --in-place with the same files"),
                },
                wanted,
                settings,
            };
            return batch.run(world, &|path| {
                let (from, name) = (Input::File(path.to_owned()), path.to_owned());
                work(from, Output::InPlace, name)
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
        if from == Input::Stdin {
            world.terminal.announce_typing();
        }
        let change = work(from, to, name)?;
        if self.dry_run {
            return Report::new(json, done, true)
                .finish(world, vec![(shown, Ok(Outcome::of(change)))]);
        }
        change.finish(&world.terminal)
    }
}

impl Caution {
    pub(in crate::frontend::sealwright) fn each(
        &self,
        world: &World,
        json: bool,
        done: &'static str,
        paths: &[PathBuf],
        (wanted, settings): (Wanted, &Settings),
        work: &(dyn Fn(&Path) -> Result<command::Change> + Sync),
    ) -> Result<()> {
        Batch {
            paths,
            dry_run: self.dry_run || self.check,
            check: self.check,
            json,
            done,
            way_back: None,
            wanted,
            settings,
        }
        .run(world, work)
    }
}

pub(in crate::frontend::sealwright) fn one_change(
    world: &World,
    json: bool,
    dry_run: bool,
    done: &'static str,
    file: &Path,
    work: impl FnOnce() -> Result<command::Change>,
) -> Result<()> {
    let change = work()?;
    if !dry_run {
        if !json {
            return change.finish(&world.terminal);
        }
        change.deliver(&world.terminal)?;
    }
    Report::new(json, done, dry_run).finish(world, vec![(file.to_owned(), Ok(Outcome::of(change)))])
}

/// Asks for a value on the terminal, which does not show it.
fn typed_unseen(world: &World, path: &str) -> Result<SecretBytes> {
    let typed = world.terminal.ask_secret(&format!("New value of {path}"));
    match typed {
        Some(text) => Ok(SecretBytes::copy_of(text.expose().as_bytes())),
        None => Err(Error::new(
            Kind::Interrupted,
            "no value was given; nothing was written",
        )),
    }
}

/// A value without the one line break that `echo` and editors put behind it.
fn without_line_break(text: SecretBytes) -> SecretBytes {
    let bytes = text.expose();
    let Some(rest) = bytes.strip_suffix(b"\n") else {
        return text;
    };
    SecretBytes::copy_of(rest.strip_suffix(b"\r").unwrap_or(rest))
}

/// The time so long ago.
fn time_ago(span: jiff::Span) -> Result<jiff::Timestamp> {
    jiff::Zoned::now()
        .checked_sub(span)
        .map(|time| time.timestamp())
        .map_err(|error| Error::new(Kind::Usage, "--older-than is no time ago").because(error))
}

impl Consent {
    fn lockout(&self) -> Lockout {
        match self.yes {
            true => Lockout::IsWanted,
            false => Lockout::Asks,
        }
    }
}

impl Acceptance {
    fn recipients(&self) -> Recipients {
        match self.accept_recipients {
            true => Recipients::AsTheyAre,
            false => Recipients::AsTheRuleSays,
        }
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

/// A path in brackets, or keys with dots between them; a part of digits is a list index. Comments are no elements.
fn read_path(text: &str) -> std::result::Result<Vec<sealwright_documents::format::Step>, String> {
    use sealwright_documents::format::Step;

    if text.starts_with('[') {
        let mut steps = parse_tree_path(text)?;
        for step in &mut steps {
            if let Some(index) = step.index() {
                *step = Step::Index(index);
            }
        }
        return Ok(steps);
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
    use super::*;

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
            read_path(r#"["a"]["b"][0]"#).unwrap()
        );
        assert!(read_path("a..b").is_err());
    }
}
