//! `sealwright-controller clean-status`: takes what this controller adds to the status of SealedSecrets away again.
//!
//! Upstream's controller keeps conditions that it does not know and exports them for ever, so they go before it comes back.
//! Nothing but the status is touched, and of it nothing but our own conditions.

use std::process::ExitCode;

use kube::Resource;
use kube::core::ObjectList;
use sealwright_resources::condition::{READY, RECONCILING, STALLED};
use sealwright_resources::sealed_secret::{SealedSecret, SealedSecretStatus};
use thiserror::Error;

use crate::action;
use crate::api::{Api, ApiError};
use crate::frame::object::{Key, key_of};
use crate::frame::read::Read;
use crate::program::{self, StartError};
use crate::reconcile::sealed_secret::APPLIED;

/// How often one object is read again because another writer was faster.
const LOOKS: u32 = 4;

const USAGE: &str = "\
Usage: sealwright-controller clean-status [--kubeconfig FILE] [--namespace NAME] [--dry-run]

Removes the conditions Ready, Reconciling, Stalled and Applied from the status of every SealedSecret, or of those in
one namespace. Stop the controller before: it would add them again.
";

/// What is to be cleaned, and how.
#[derive(Debug, Default, PartialEq, Eq)]
struct Arguments {
    kubeconfig: String,
    namespace: Option<String>,
    dry_run: bool,
}

/// Why the statuses cannot be cleaned.
#[derive(Debug, Error)]
#[non_exhaustive]
enum CleanError {
    /// The system refuses what the process needs.
    #[error("the system refuses what the process needs")]
    System(#[from] std::io::Error),
    /// There is no way to the API server.
    #[error(transparent)]
    Start(#[from] StartError),
    /// SealedSecrets cannot be listed.
    #[error("cannot list SealedSecrets")]
    List(#[source] ApiError),
    /// One of them cannot be written.
    #[error("cannot clean the status of {0}")]
    Write(Key, #[source] ApiError),
}

/// How many there were.
#[derive(Debug, Default, PartialEq, Eq)]
struct Cleaned {
    seen: usize,
    cleaned: usize,
}

/// Runs the command with the words that follow its name.
pub(crate) fn main(words: &[String]) -> ExitCode {
    let arguments = match parse(words) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return crate::print(USAGE),
        Err(fault) => {
            crate::complain(&format!("{fault}\n{USAGE}"));
            return ExitCode::from(crate::FAILED);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let cleaned = match runtime {
        Ok(runtime) => runtime.block_on(run(&arguments)),
        Err(error) => Err(error.into()),
    };
    match cleaned {
        Ok(Cleaned { seen, cleaned }) => {
            let what = match arguments.dry_run {
                true => "would be cleaned",
                false => "cleaned",
            };
            crate::print(&format!("{seen} SealedSecrets, {cleaned} {what}\n"))
        }
        Err(error) => {
            crate::complain(&format!("error: {}\n", crate::error_text(&error)));
            ExitCode::from(crate::FAILED)
        }
    }
}

/// Reads the words; nothing means that help is asked for.
fn parse(words: &[String]) -> Result<Option<Arguments>, String> {
    let mut arguments = Arguments::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        let mut value = || {
            value
                .clone()
                .or_else(|| words.next().cloned())
                .filter(|value| !value.is_empty())
                .ok_or_else(|| format!("{name} needs a value"))
        };
        match name {
            "--kubeconfig" => arguments.kubeconfig = value()?,
            "--namespace" | "-n" => arguments.namespace = Some(value()?),
            "--dry-run" => arguments.dry_run = true,
            "--help" | "-h" => return Ok(None),
            _ => return Err(format!("unknown argument: {word}")),
        }
    }
    Ok(Some(arguments))
}

async fn run(arguments: &Arguments) -> Result<Cleaned, CleanError> {
    let client = program::client(&arguments.kubeconfig).await?;
    let api = Api::new(client, None, 0);
    let path = SealedSecret::url_path(&(), arguments.namespace.as_deref());
    let mut cleaned = Cleaned::default();
    let mut token = String::new();
    loop {
        let answer = api.get(&format!("{path}?limit=100&continue={token}")).await;
        let page: ObjectList<Read<SealedSecret>> = answer
            .and_then(|answer| action::read(&answer))
            .map_err(CleanError::List)?;
        for read in page.items {
            cleaned.seen += 1;
            let key = key_of(read.meta());
            match clean(&api, read, arguments.dry_run).await {
                Ok(changed) => cleaned.cleaned += usize::from(changed),
                Err(error) => return Err(CleanError::Write(key, error)),
            }
        }
        match page.metadata.continue_ {
            Some(next) if !next.is_empty() => token = next,
            _ => return Ok(cleaned),
        }
    }
}

/// Cleans one status; returns true if there was something of ours in it.
async fn clean(api: &Api, mut read: Read<SealedSecret>, dry_run: bool) -> Result<bool, ApiError> {
    let key = key_of(read.meta());
    for look in 1.. {
        let before = match &read.0 {
            Ok(sealed) => sealed.status.clone(),
            Err(fault) => fault.status(),
        };
        let Some(status) = before.and_then(without_ours) else {
            return Ok(false);
        };
        if dry_run {
            return Ok(true);
        }
        match action::set_status::<SealedSecret, _>(api, read.meta(), &status).await {
            Ok(_) => return Ok(true),
            Err(error) if error.is_not_found() => return Ok(false),
            Err(error) if error.is_conflict() && look < LOOKS => {}
            Err(error) => return Err(error),
        }
        match api.get(&action::path_of::<SealedSecret>(&key)).await {
            Ok(answer) => read = action::read(&answer)?,
            Err(error) if error.is_not_found() => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// The status without our conditions, or nothing if it has none of them.
fn without_ours(mut status: SealedSecretStatus) -> Option<SealedSecretStatus> {
    let ours = [READY, RECONCILING, STALLED, APPLIED];
    let before = status.conditions.len();
    status
        .conditions
        .retain(|condition| !ours.contains(&condition.kind.as_str()));
    (status.conditions.len() != before).then_some(status)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_our_own_conditions_go() {
        let status = |kinds: &[&str]| -> SealedSecretStatus {
            let conditions: Vec<_> = kinds
                .iter()
                .map(|kind| json!({"type": kind, "status": "True"}))
                .collect();
            serde_json::from_value(json!({"observedGeneration": 3, "conditions": conditions}))
                .unwrap()
        };
        let left = without_ours(status(&["Synced", "Ready", "Applied", "Stalled", "Theirs"]));
        assert_eq!(left, Some(status(&["Synced", "Theirs"])));
        assert_eq!(without_ours(status(&["Synced"])), None);
    }

    #[test]
    fn arguments_are_read_and_others_are_refused() {
        let parsed = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            parse(&words)
        };
        let expected = Arguments {
            kubeconfig: "k".into(),
            namespace: Some("ns".into()),
            dry_run: true,
        };
        assert_eq!(
            parsed(&["--kubeconfig=k", "-n", "ns", "--dry-run"]),
            Ok(Some(expected))
        );
        assert_eq!(parsed(&["--help"]), Ok(None));
        assert!(parsed(&["--namespace"]).is_err() && parsed(&["x"]).is_err());
    }
}
