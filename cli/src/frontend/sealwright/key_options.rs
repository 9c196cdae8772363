//! Options for master keys, made from the table of key kinds. Kinds that this build cannot use are hidden, not unknown:
//! naming one says that the build lacks it.

use std::marker::PhantomData;

use clap::error::Error;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use sealwright_crypto::key_kind::{self, KeyKind};

use crate::command::KeyTexts;
use crate::keys::can_use;

/// Master keys that are named on the command line.
#[derive(Debug)]
pub(super) struct KeyOptions<P> {
    texts: KeyTexts,
    purpose: PhantomData<P>,
}

impl<P> KeyOptions<P> {
    /// What was given.
    pub(super) fn texts(&self) -> KeyTexts {
        self.texts.clone()
    }
}

/// What the keys are named for.
pub(super) trait Purpose: Sized + Send + Sync + 'static {
    /// What stands before the names of the options.
    const PREFIX: &'static str;
    /// Whether the kind's variable stands in for its option.
    const VARIABLES: bool = false;
    /// Whether the options of settings come with these. A verb has them once.
    const SETTINGS: bool = true;
    /// The help of an option.
    fn help(one: &str) -> String;
}

/// They are for a new file.
#[derive(Debug)]
pub(super) struct Use;

/// They are added to a file.
#[derive(Debug)]
pub(super) struct Add;

/// They are removed from a file.
#[derive(Debug)]
pub(super) struct Remove;

/// They make a group.
#[derive(Debug)]
pub(super) struct Group;

impl Purpose for Use {
    const PREFIX: &'static str = "";
    const VARIABLES: bool = true;

    fn help(one: &str) -> String {
        format!("Encrypt for {one} (repeatable)")
    }
}

impl Purpose for Add {
    const PREFIX: &'static str = "add-";

    fn help(one: &str) -> String {
        format!("Add {one} (repeatable)")
    }
}

impl Purpose for Remove {
    const PREFIX: &'static str = "rm-";
    const SETTINGS: bool = false;

    fn help(one: &str) -> String {
        format!("Remove {one} (repeatable)")
    }
}

impl Purpose for Group {
    const PREFIX: &'static str = "";

    fn help(one: &str) -> String {
        format!("Put {one} into the group (repeatable)")
    }
}

fn name<P: Purpose>(kind: &KeyKind) -> String {
    format!("{}{}", P::PREFIX, kind.flags.names[0])
}

impl<P: Purpose> Args for KeyOptions<P> {
    fn augment_args(mut command: Command) -> Command {
        // The kinds that most people use stand first in the help.
        for kind in key_kind::ALL.into_iter().rev() {
            let name = name::<P>(kind);
            let mut option = Arg::new(name.clone())
                .long(name)
                .help(P::help(kind.flags.one))
                .value_name(kind.flags.value)
                .value_delimiter(',')
                .action(ArgAction::Append)
                .hide(!can_use(kind));
            if P::VARIABLES {
                option = option.env(kind.flags.variable);
            }
            command = command.arg(option);
        }
        for (kind, _, setting) in KeyKind::settings().filter(|_| P::SETTINGS) {
            command = command.arg(
                Arg::new(setting.flag)
                    .long(setting.flag)
                    .help(setting.help)
                    .value_name("VALUE")
                    .hide(!can_use(kind)),
            );
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<P: Purpose> FromArgMatches for KeyOptions<P> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let texts = KeyTexts::collect(
            |kind| {
                let texts = matches.get_many::<String>(&name::<P>(kind))?;
                let texts: Vec<&str> = texts.map(String::as_str).collect();
                // A variable that is set and empty names no key.
                (texts != [""]).then(|| texts.join(","))
            },
            |flag| matches.get_one::<String>(flag).cloned(),
        );
        Ok(Self {
            texts,
            purpose: PhantomData,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
