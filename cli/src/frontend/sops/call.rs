//! One command line of the `sops` front-end, and what each command makes of it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::command::{
    self, Input, KeyTexts, Lockout, Output, Recipients, RotatedKeys, SelectionTexts, Settings,
    Unless, absolute, parse_tree_path,
};
use crate::error::{Error, Kind, Result};
use crate::world::World;

use super::parser::Values;
use super::words::theirs;

/// One command line, read.
pub(super) struct Call<'a> {
    pub(super) world: &'a World,
    pub(super) root: &'a Values,
    pub(super) values: &'a Values,
    pub(super) operands: &'a [OsString],
}

impl Call<'_> {
    pub(super) fn encrypt(&self) -> Result<()> {
        self.refuse_in_place_without_file()?;
        self.refuse_two_outputs()?;
        let from = self.input_or_stdin()?;
        if from == Input::Stdin && self.values.text("filename-override").is_empty() {
            return Err(Error::new(
                Kind::Conflict,
                "Error: must specify --filename-override when reading from stdin",
            ));
        }
        self.encrypt_from(from)
    }

    pub(super) fn encrypt_from(&self, from: Input) -> Result<()> {
        self.encryption(from)?.run(self.world)
    }

    pub(super) fn encryption(&self, from: Input) -> Result<command::Encrypt> {
        let name = self.name(&from)?;
        Ok(command::Encrypt {
            to: self.output()?,
            name,
            from,
            keys: self.keys(),
            selection: self.selection(),
            threshold: self.threshold()?,
            mac_only_encrypted: self.root.on("mac-only-encrypted"),
            settings: self.settings(),
        })
    }

    pub(super) fn decrypt(&self) -> Result<()> {
        self.refuse_in_place_without_file()?;
        self.refuse_two_outputs()?;
        let from = self.input_or_stdin()?;
        self.decrypt_from(from)
    }

    pub(super) fn decrypt_from(&self, from: Input) -> Result<()> {
        self.decryption(from)?.run(self.world)
    }

    fn decryption(&self, from: Input) -> Result<command::Decrypt> {
        let settings = self.settings_to_decrypt()?;
        let extract = parse_tree_path(self.values.text("extract")).map_err(|reason| {
            Error::new(
                Kind::ExtractPath,
                format!("error parsing --extract path: {reason}"),
            )
        });
        let extract = self.after_configuration(extract)?;
        Ok(command::Decrypt {
            to: self.output()?,
            name: self.name(&from)?,
            from,
            extract,
            as_json: false,
            ignore_mac: self.values.on("ignore-mac"),
            first_of_several: true,
            settings,
        })
    }

    pub(super) fn rotate(&self) -> Result<()> {
        self.refuse_two_outputs()?;
        let file = self.file()?;
        if !file.exists() && self.changes_keys() {
            return Err(Error::new(
                Kind::NoFileToRotate,
                format!(
                    "Error: cannot add or remove keys on non-existent file {file:?}, use the `edit` subcommand instead."
                ),
            ));
        }
        self.rotate_file(file)
    }

    pub(super) fn rotate_file(&self, file: PathBuf) -> Result<()> {
        self.rotation(file)?.run(self.world)
    }

    fn rotation(&self, file: PathBuf) -> Result<command::Rotate> {
        let from = Input::File(file);
        Ok(command::Rotate {
            to: self.output()?,
            name: self.name(&from)?,
            from,
            keys: RotatedKeys::Changed {
                add: self.prefixed_keys("add-"),
                remove: self.prefixed_keys("rm-"),
            },
            ignore_mac: self.values.on("ignore-mac"),
            recipients: Recipients::AsTheyAre,
            unless: Unless::default(),
            lockout: Lockout::Happens,
            settings: self.settings_to_decrypt()?,
        })
    }

    pub(super) fn edit(&self) -> Result<()> {
        let file = self.file()?;
        self.edit_file(file)
    }

    pub(super) fn edit_file(&self, file: PathBuf) -> Result<()> {
        command::Edit {
            name: self.name(&Input::File(file.clone()))?,
            file,
            keys: self.keys(),
            selection: self.selection(),
            threshold: self.threshold()?,
            mac_only_encrypted: self.root.on("mac-only-encrypted"),
            show_master_keys: self.values.on("show-master-keys"),
            ignore_mac: self.values.on("ignore-mac"),
            recipients: Recipients::AsTheyAre,
            resume: false,
            settings: self.settings_to_decrypt()?,
        }
        .run(self.world)
    }

    pub(super) fn set(&self) -> Result<()> {
        let (from_file, from_stdin) = (self.values.on("value-file"), self.values.on("value-stdin"));
        let wanted = if from_stdin { 2 } else { 3 };
        if from_file && from_stdin {
            return Err(Error::generic(
                "Error: cannot use both --value-file and --value-stdin",
            ));
        }
        if self.operands.len() != wanted {
            return Err(Error::new(
                Kind::NoFile,
                if from_stdin {
                    "Error: no file specified, or index is missing. Need precisely 2 positional arguments since --value-stdin is used."
                } else {
                    "Error: no file specified, or index and value are missing. Need precisely 3 positional arguments."
                },
            ));
        }
        let value = match self.operands.get(2) {
            None => command::SetValue::Stdin,
            Some(path) if from_file => command::SetValue::File(PathBuf::from(path)),
            Some(text) => command::SetValue::json(text.to_string_lossy().as_bytes()),
        };
        let file = absolute(Path::new(&self.operands[0]))?;
        command::Set {
            name: file.clone(),
            file,
            path: self.after_configuration(self.tree_path(1))?,
            value,
            replacing: command::Replacing::Anything,
            idempotent: self.values.on("idempotent"),
            ignore_mac: self.values.on("ignore-mac"),
            settings: self.settings(),
        }
        .run(self.world)
    }

    pub(super) fn unset(&self) -> Result<()> {
        if self.operands.len() != 2 {
            return Err(Error::new(
                Kind::NoFile,
                "Error: no file specified, or index is missing. Need precisely 2 positional arguments.",
            ));
        }
        let file = absolute(Path::new(&self.operands[0]))?;
        command::Unset {
            name: file.clone(),
            file,
            path: self.after_configuration(self.tree_path(1))?,
            idempotent: self.values.on("idempotent"),
            ignore_mac: self.values.on("ignore-mac"),
            settings: self.settings_to_decrypt()?,
        }
        .run(self.world)
    }

    pub(super) fn exec_env(&self) -> Result<()> {
        let (file, command) = self.file_and_command()?;
        command::ExecEnv {
            file,
            command,
            how: self.how(),
            settings: self.settings_to_decrypt()?,
        }
        .run(self.world)
    }

    pub(super) fn exec_file(&self) -> Result<()> {
        let (file, command) = self.file_and_command()?;
        command::ExecFile {
            file,
            command,
            how: self.how(),
            no_fifo: self.values.on("no-fifo"),
            filename: self.values.some_text("filename"),
            settings: self.settings_to_decrypt()?,
        }
        .run(self.world)
    }

    pub(super) fn publish(&self) -> Result<()> {
        self.need_config()?;
        let file = self.file()?;
        command::Publish {
            file,
            typed: PathBuf::from(&self.operands[0]),
            recursive: self.values.on("recursive"),
            yes: self.values.on("yes"),
            omit_extensions: self.values.on("omit-extensions"),
            settings: self.settings(),
        }
        .run(self.world)
    }

    pub(super) fn keyservice(&self) -> Result<()> {
        command::KeyService {
            network: self.values.text("network").to_owned(),
            address: self.values.text("address").to_owned(),
            prompt: self.values.on("prompt"),
        }
        .run(self.world)
    }

    pub(super) fn filestatus(&self) -> Result<()> {
        let file = self.file()?;
        command::FileStatus {
            file,
            settings: self.settings(),
        }
        .run(self.world)
    }

    pub(super) fn updatekeys(&self) -> Result<()> {
        self.need_config()?;
        if self.operands.is_empty() {
            return Err(no_file());
        }
        let files = self
            .operands
            .iter()
            .map(|path| absolute(Path::new(path)))
            .collect::<Result<Vec<_>>>()?;
        let mut failed = 0;
        for file in &files {
            let updated = command::UpdateKeys {
                file: file.clone(),
                yes: self.values.on("yes"),
                settings: self.settings(),
            }
            .run(self.world);
            match updated {
                Ok(()) => {}
                Err(error) if files.len() == 1 => return Err(error),
                Err(error) => {
                    failed += 1;
                    let error = theirs(error).message();
                    let line = format!("{}: {error}", file.display());
                    self.world.terminal.tell(&line);
                }
            }
        }
        match failed {
            0 => Ok(()),
            failed => Err(Error::generic(format!(
                "failed to update the keys of {failed} of {} files",
                files.len()
            ))),
        }
    }

    pub(super) fn groups_add(&self) -> Result<()> {
        if !self.operands.is_empty() {
            return Err(Error::generic(
                "error: groups add takes no arguments besides its options",
            ));
        }
        let list = |name: &str| {
            let items = self.values.list(name);
            (!items.is_empty()).then(|| items.join(","))
        };
        command::GroupsAdd {
            file: self.group_file()?,
            keys: KeyTexts::collect(
                |kind| list(kind.flags.names[0]),
                |flag| self.values.some_text(flag),
            ),
            in_place: self.values.on("in-place"),
            threshold: self.threshold()?,
            recipients: Recipients::AsTheyAre,
            lockout: Lockout::Happens,
            settings: self.settings(),
        }
        .run(self.world)
    }

    pub(super) fn groups_delete(&self) -> Result<()> {
        if self.operands.len() != 1 {
            return Err(Error::generic(
                "error: groups delete takes one argument: the index of the group",
            ));
        }
        let text = self.operands[0].to_string_lossy();
        let index = text.parse::<usize>().map_err(|error| {
            Error::generic(format!("failed to parse the group index {text:?}")).because(error)
        })?;
        command::GroupsDelete {
            file: self.group_file()?,
            index,
            in_place: self.values.on("in-place"),
            threshold: self.threshold()?,
            recipients: Recipients::AsTheyAre,
            lockout: Lockout::Happens,
            settings: self.settings(),
        }
        .run(self.world)
    }

    /// Some commands make no sense without a configuration, and say so before they miss a file.
    fn need_config(&self) -> Result<()> {
        match self
            .world
            .configurations
            .find(self.settings().config.as_deref())?
        {
            Some(_) => Ok(()),
            None => Err(Error::generic("config file not found")),
        }
    }

    fn group_file(&self) -> Result<PathBuf> {
        if self.values.text("file").is_empty() {
            return Err(Error::new(
                Kind::Read,
                "Error reading file: none was named with --file",
            ));
        }
        absolute(Path::new(self.values.text("file")))
    }

    /// The file operand; further operands are ignored with a warning.
    pub(super) fn file(&self) -> Result<PathBuf> {
        let Some(first) = self.operands.first() else {
            return Err(no_file());
        };
        self.warn_of_more();
        absolute(Path::new(first))
    }

    fn warn_of_more(&self) {
        if self.operands.len() < 2 {
            return;
        }
        self.world
            .terminal
            .warn("More than one positional argument provided. Only the first one will be used!");
        let late = self.operands[1..]
            .iter()
            .find(|word| word.as_encoded_bytes().starts_with(b"-"));
        if let Some(late) = late {
            self.world.terminal.warn(&format!(
                "{} after the file is not read as an option: put options before the file",
                late.to_string_lossy()
            ));
        }
    }

    fn input_or_stdin(&self) -> Result<Input> {
        if self.operands.is_empty() {
            return Ok(Input::Stdin);
        }
        let file = self.file()?;
        refuse_missing(&file)?;
        Ok(Input::File(file))
    }

    fn file_and_command(&self) -> Result<(PathBuf, OsString)> {
        match self.operands {
            [file, command] => Ok((absolute(Path::new(file))?, command.clone())),
            _ => Err(Error::generic(
                "error: missing file to decrypt, or command to run; both are needed, and nothing else",
            )),
        }
    }

    fn refuse_in_place_without_file(&self) -> Result<()> {
        if self.operands.is_empty() && self.values.on("in-place") {
            return Err(Error::new(
                Kind::Conflict,
                "Error: cannot use --in-place when reading from stdin",
            ));
        }
        Ok(())
    }

    pub(super) fn refuse_two_outputs(&self) -> Result<()> {
        if self.values.on("in-place") && !self.values.text("output").is_empty() {
            return Err(Error::new(
                Kind::Conflict,
                "Error: cannot operate on both --output and --in-place",
            ));
        }
        Ok(())
    }

    fn output(&self) -> Result<Output> {
        Ok(if self.values.on("in-place") {
            Output::InPlace
        } else if self.values.text("output").is_empty() {
            Output::Stdout
        } else {
            Output::File(absolute(Path::new(self.values.text("output")))?)
        })
    }

    /// The path that rules and types go by; `None` for standard input without a name.
    pub(super) fn name(&self, from: &Input) -> Result<PathBuf> {
        match (self.values.text("filename-override"), from) {
            ("", Input::File(file)) => Ok(file.clone()),
            ("", Input::Stdin) => Ok(PathBuf::new()),
            (name, _) => absolute(Path::new(name)),
        }
    }

    fn tree_path(&self, at: usize) -> Result<Vec<sealwright_documents::format::Step>> {
        let text = self.operands[at].to_string_lossy();
        let path = parse_tree_path(&text).map_err(|reason| {
            Error::new(Kind::Path, format!("Invalid set index format: {reason}"))
        })?;
        if path.is_empty() {
            return Err(Error::new(
                Kind::Path,
                "Invalid set index format: the path is empty",
            ));
        }
        Ok(path)
    }

    fn how(&self) -> command::ExecHow {
        command::ExecHow {
            background: self.values.on("background"),
            pristine: self.values.on("pristine"),
            same_process: self.values.on("same-process"),
            user: self.values.some_text("user"),
        }
    }

    fn threshold(&self) -> Result<u32> {
        let value = self.values.int("shamir-secret-sharing-threshold");
        u32::try_from(value)
            .map_err(|_| Error::generic(format!("{value} is no threshold for key groups")))
    }

    fn keys(&self) -> KeyTexts {
        self.prefixed_keys("")
    }

    fn prefixed_keys(&self, prefix: &str) -> KeyTexts {
        KeyTexts::collect(
            |kind| {
                let flag = format!("{prefix}{}", kind.flags.names[0]);
                self.values.some_text(&flag)
            },
            |flag| self.values.some_text(flag),
        )
    }

    pub(super) fn changes_keys(&self) -> bool {
        ["add-", "rm-"]
            .iter()
            .any(|prefix| !self.prefixed_keys(prefix).is_empty())
    }

    fn selection(&self) -> SelectionTexts {
        let text = |name: &str| self.values.some_text(name);
        SelectionTexts {
            unencrypted_suffix: text("unencrypted-suffix"),
            encrypted_suffix: text("encrypted-suffix"),
            unencrypted_regex: text("unencrypted-regex"),
            encrypted_regex: text("encrypted-regex"),
            unencrypted_comment_regex: text("unencrypted-comment-regex"),
            encrypted_comment_regex: text("encrypted-comment-regex"),
        }
    }

    /// Refuses a file that no rule of a configuration with rules is for.
    pub(super) fn check_rule(&self, file: &Path) -> Result<()> {
        let name = self.name(&Input::File(file.to_owned()))?;
        command::check_rule(self.world, &self.settings(), &name)
    }

    /// The settings of a command that decrypts; an order that makes no sense is refused before anything is read.
    pub(super) fn settings_to_decrypt(&self) -> Result<Settings> {
        let settings = self.settings();
        self.after_configuration(command::check_order(&settings))?;
        Ok(settings)
    }

    /// What a part of the command line says, where a fault of the configuration is told before one of that part. Without
    /// a fault the configuration is read by the command alone.
    fn after_configuration<T>(&self, part: Result<T>) -> Result<T> {
        part.or_else(|error| {
            command::check_configuration(self.world, &self.settings())?;
            Err(error)
        })
    }

    fn settings(&self) -> Settings {
        let format = |name: &str| command::format_name(self.values.text(name));
        let indent = self.root.int("indent");
        Settings {
            config: self.root.some_text("config").map(PathBuf::from),
            indent: (indent != 0).then(|| i32::try_from(indent).unwrap_or(i32::MIN)),
            decryption_order: self.values.some_text("decryption-order"),
            local_keys: !self.values.off("enable-local-keyservice"),
            key_services: self.values.list("keyservice").to_vec(),
            input_type: format("input-type"),
            output_type: format("output-type"),
            output_follows_input: false,
        }
    }
}

fn no_file() -> Error {
    Error::new(Kind::NoFile, "Error: no file specified")
}

pub(super) fn refuse_missing(file: &Path) -> Result<()> {
    match std::fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Error::new(
            Kind::NoFile,
            format!("Error: cannot operate on non-existent file {file:?}"),
        )),
        _ => Ok(()),
    }
}
