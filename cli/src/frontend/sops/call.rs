//! One command line of the `sops` front-end; what each command makes of it is in a file of its own.

mod decrypt;
mod edit;
mod encrypt;
mod exec;
mod groups;
mod rotate;
mod set;
mod update_keys;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::command::{
    self, Input, KeyTexts, Output, SelectionTexts, Settings, absolute, absolute_by_name,
};
use crate::error::{Error, Kind, Result};
use crate::world::World;

use super::parser::Values;

/// One command line, read.
pub(super) struct Call<'a> {
    pub(super) world: &'a World,
    pub(super) root: &'a Values,
    pub(super) values: &'a Values,
    pub(super) operands: &'a [OsString],
}

impl Call<'_> {
    pub(super) fn publish(&self) -> Result<()> {
        self.need_config()?;
        self.file()?;
        command::Publish {
            typed: PathBuf::from(&self.operands[0]),
            recursive: self.values.on("recursive"),
            yes: self.values.on("yes"),
            dry_run: false,
            omit_extensions: self.values.on("omit-extensions"),
            json: false,
            settings: self.settings_to_decrypt()?,
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
        self.file()?;
        command::FileStatus {
            // Opened as it was typed.
            file: absolute(Path::new(&self.operands[0]))?,
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

    /// The file operand; further operands are ignored with a warning.
    pub(super) fn file(&self) -> Result<PathBuf> {
        let Some(first) = self.operands.first() else {
            return Err(no_file());
        };
        self.warn_of_more();
        absolute_by_name(Path::new(first))
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
            (name, _) => absolute_by_name(Path::new(name)),
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

    /// What a part of the command line says, where a fault of the configuration is reported before one of that part. Without
    /// a fault the configuration is read by the command alone.
    fn after_configuration<T>(&self, part: Result<T>) -> Result<T> {
        part.or_else(|error| {
            command::check_configuration(self.world, &self.settings())?;
            Err(error)
        })
    }

    fn settings(&self) -> Settings {
        let format = |name: &str| command::format_name(self.values.text(name));
        let indent = self.root.some_int("indent");
        Settings {
            config: self.root.some_text("config").map(PathBuf::from),
            indent: indent.map(|indent| i32::try_from(indent).unwrap_or(i32::MIN)),
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
