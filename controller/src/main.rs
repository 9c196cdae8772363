//! The in-cluster controller: Secrets out of SealedSecrets, under the flags, permissions and
//! paths of the controller it replaces.

mod action;
mod api;
mod clean_status;
mod credentials;
mod external_secrets;
mod flags;
mod frame;
mod http_api;
mod keys;
mod leader;
mod log;
mod metrics;
mod pool;
mod program;
mod reconcile;
mod server;
mod stores;

use std::io::Write as _;
use std::process::ExitCode;

use flags::Invocation;

/// The version, as releases print it.
const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));

/// How this program introduces itself to the API server.
const USER_AGENT: &str = concat!(
    "sealwright-controller/v",
    env!("CARGO_PKG_VERSION"),
    " (linux)"
);

/// A start-up that fails ends with this code, as the incumbent's does.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, others)) = words.split_first()
        && first == "clean-status"
    {
        return clean_status::main(others);
    }
    let environment = |name: &str| std::env::var(name).ok();
    match flags::parse(words, environment) {
        Ok(Invocation::Run(flags)) => run(*flags),
        Ok(Invocation::Version) => print(&format!("controller version: {VERSION}\n")),
        Ok(Invocation::Help) => {
            complain(&flags::usage());
            ExitCode::SUCCESS
        }
        Ok(Invocation::Crd) => print(&program::custom_resource_definitions()),
        Err(error) => {
            complain(&format!("{error}\n{}", flags::usage()));
            ExitCode::from(FAILED)
        }
    }
}

fn run(flags: flags::Flags) -> ExitCode {
    log::start(flags.log);
    // Work that takes a processor has threads of its own; what is left is waiting.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(4)
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(program::run(flags)),
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("error: {}\n", error_text(&error)));
            ExitCode::from(FAILED)
        }
    }
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn complain(text: &str) {
    // Without a stderr there is nobody to tell.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// An error with its causes, on one line; a cause that its error already tells is not repeated.
fn error_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
