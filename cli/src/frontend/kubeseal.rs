//! `kubeseal`: its flags and modes, its messages and exit codes.

mod call;
mod flags;
mod words;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::{Error, Kind, Result};
use crate::terminal::{Terminal, Voice};
use call::Call;
use flags::Flags;

/// The version of the contract that is implemented; scripts compare it.
const VERSION: &str = "0.40.0";

/// Runs `kubeseal` and gives its exit code: 0, 1 for an error, 2 for a wrong flag.
pub(crate) fn run(words: Vec<OsString>) -> u8 {
    let terminal = Terminal::new(Voice::Upstream);
    let words = words
        .into_iter()
        .map(|word| word.to_string_lossy().into_owned());
    let flags = match Flags::parse(words, |name| std::env::var(name).ok()) {
        Ok(flags) => flags,
        Err(error) => {
            terminal.tell(&error.to_string());
            terminal.tell_text(&flags::usage());
            return 2;
        }
    };
    match work(&terminal, &flags) {
        Ok(()) => 0,
        Err(error) => {
            let error = words::theirs(error);
            for (at, line) in error.lines().iter().enumerate() {
                let mark = if at == 0 { "error: " } else { "" };
                terminal.tell(&format!("{mark}{line}"));
            }
            super::hints(&terminal, &error);
            1
        }
    }
}

fn work(terminal: &Terminal, flags: &Flags) -> Result<()> {
    // On standard output, as there: scripts that still use the old name take the line away again (T40).
    for notice in flags.notices() {
        terminal.say(&notice)?;
    }
    if flags.is_on("version") {
        return terminal.say(&format!("kubeseal version: {VERSION}"));
    }
    if flags.is_on("help") {
        return terminal.out(flags::usage().as_bytes());
    }
    if !flags.list("from-file").is_empty() && !flags.is_on("raw") {
        return Err(Error::new(Kind::Usage, "--from-file requires --raw"));
    }
    let call = Call::new(terminal, flags);
    if flags.is_on("recovery-unseal") {
        return call.unseal();
    }
    call.warn_of_useless_keys();
    if flags.is_on("validate") {
        return call.validate();
    }
    if flags.is_on("re-encrypt") {
        return call.re_encrypt();
    }
    if flags.is_on("fetch-cert") {
        return call.fetch_certificate();
    }
    let options = call.seal_options()?;
    if let Some(sealed) = flags.text("merge-into") {
        return call.merge_into(&PathBuf::from(sealed), &options);
    }
    match flags.is_on("raw") {
        true => call.seal_value(&options),
        false => call.seal(&options),
    }
}
