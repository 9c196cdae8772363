//! The command line of sealwright. Called by the name `sops`, `kubeseal` or `esoctl` (a link, or as the first word)
//! it is that program.
#![forbid(unsafe_code)]

mod absolute;
mod audit;
mod change;
mod cluster;
mod command;
mod config;
mod editor;
mod error;
mod exec;
mod file;
mod frontend;
mod key_service;
mod key_texts;
mod keys;
mod network;
mod private;
mod settings;
mod signals;
mod stdio;
mod terminal;
mod tree_path;
mod visible;
mod wait;
mod working_folder;
mod world;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let called = words.next().unwrap_or_default();
    let name = Path::new(&called)
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let mut words: Vec<OsString> = words.collect();
    let code = match name.as_str() {
        "sops" => frontend::sops::run(words),
        "kubeseal" => frontend::kubeseal::run(words),
        "esoctl" => frontend::esoctl::run(words),
        _ => match words.first().and_then(|word| word.to_str()) {
            Some("sops") => {
                words.remove(0);
                frontend::sops::run(words)
            }
            Some("kubeseal") => {
                words.remove(0);
                frontend::kubeseal::run(words)
            }
            Some("esoctl") => {
                words.remove(0);
                frontend::esoctl::run(words)
            }
            _ => frontend::sealwright::run(words),
        },
    };
    ExitCode::from(code)
}
