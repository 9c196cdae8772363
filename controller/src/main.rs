//! The in-cluster controller: Secrets out of SealedSecrets and ExternalSecrets, under the flags, permissions and paths of the
//! controllers it replaces.

mod action;
mod announcement;
mod api;
mod clean_status;
mod credentials;
mod external_secrets;
mod flags;
mod frame;
mod generators;
mod generic_targets;
mod helper;
mod http_api;
mod keys;
mod known_keys;
mod leader;
mod leftover;
mod log;
mod metrics;
mod outages;
mod owned;
mod page_size;
mod pool;
mod program;
mod readiness;
mod reconcile;
mod room;
mod server;
mod stores;
mod tls;

use std::io::Write as _;
use std::process::ExitCode;

use flags::{Invocation, Personality};
use program::StartError;
use sealwright_providers::http::tls::in_words;

/// The version, as releases print it.
const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));

/// How this program introduces itself to the API server.
const USER_AGENT: &str = concat!(
    "sealwright-controller/v",
    env!("CARGO_PKG_VERSION"),
    " (linux)"
);

/// As Sealed Secrets, a command line that is wrong and a start-up that fails end with this code, as upstream's do.
const FAILED: u8 = 2;

/// As External Secrets, with this one.
const COMMAND_FAILED: u8 = 1;

fn main() -> ExitCode {
    let environment = |name: &str| std::env::var(name).ok();
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    let mut arguments: Vec<String> = arguments.collect();
    let personality = Personality::choose(&program, &mut arguments);
    if let Some((first, others)) = arguments.split_first()
        && first == "clean-status"
    {
        return clean_status::main(others);
    }
    match flags::parse(personality, arguments, environment) {
        Ok(Invocation::Run(flags)) => run(flags.log, program::run(*flags)),
        Ok(Invocation::Helper(flags)) => run(flags.log, helper::run(*flags)),
        Ok(Invocation::Version) => print(&format!("controller version: {VERSION}\n")),
        Ok(Invocation::Usage(text)) => {
            complain(&text);
            ExitCode::SUCCESS
        }
        Ok(Invocation::Metrics) => print(&metrics::reference::table()),
        Ok(Invocation::Crd) => print(&program::custom_resource_definitions()),
        Ok(Invocation::ExternalSecretsCrds { serve_v1beta1 }) => {
            print(&external_secrets::definitions(serve_v1beta1))
        }
        Err(error) => {
            let usage = flags::usage(personality);
            match personality {
                Personality::SealedSecrets => {
                    complain(&format!("{error}\n{usage}"));
                    ExitCode::from(FAILED)
                }
                Personality::ExternalSecrets => {
                    complain(&format!("Error: {error}\n{usage}\n"));
                    ExitCode::from(COMMAND_FAILED)
                }
            }
        }
    }
}

fn run(log: log::LogSettings, work: impl Future<Output = Result<(), StartError>>) -> ExitCode {
    log::start(log);
    // Work that takes a processor has threads of its own; what is left is waiting.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(4)
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(work),
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
    // Without a standard error there is no one to tell.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// An error with its causes, on one line; a cause that its error already names is not repeated, and what the TLS library names
/// only in its code is explained in words.
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
    in_words(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_with_the_certificate_of_an_authority_is_told_in_words() {
        let words = "client error (Connect): invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))";
        let text = error_text(&kube::Error::Service(words.into()));
        assert!(text.contains("marked as one of an authority"), "{text}");
        assert!(!text.contains("OtherError"), "{text}");
    }
}
