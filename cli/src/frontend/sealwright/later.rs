//! Options that are described to clap only for the verb that is called: those of all verbs take longer than many a run.

use std::cell::Cell;

use clap::error::Error;
use clap::{ArgMatches, Args, Command, FromArgMatches};

thread_local! {
    static AT_ONCE: Cell<bool> = const { Cell::new(false) };
}

/// The options of a verb. Until the verb is called, clap knows nothing but its name.
#[derive(Debug)]
pub(super) struct Later<T>(pub(super) T);

/// Makes a command whose verbs are described at once. For help: what comes later comes after the global options.
pub(super) fn at_once(command: fn() -> Command) -> Command {
    AT_ONCE.set(true);
    let command = command();
    AT_ONCE.set(false);
    command
}

impl<T: Args> Args for Later<T> {
    fn augment_args(command: Command) -> Command {
        match AT_ONCE.get() {
            true => T::augment_args(command),
            false => command.defer(T::augment_args),
        }
    }

    fn augment_args_for_update(command: Command) -> Command {
        command.defer(T::augment_args_for_update)
    }
}

impl<T: FromArgMatches> FromArgMatches for Later<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}
