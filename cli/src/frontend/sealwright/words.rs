//! What our own front-end says about failures: in one voice, with the file, and with what to do next.

use std::path::{Path, PathBuf};

use crate::command::found::{What, what_is};
use crate::command::{Settings, absolute};
use crate::error::{Error, Fault, Kind};
use crate::visible::shown;

/// Puts an error into our own words. `file` is what the command worked on, where that was one file.
pub(super) fn ours(mut error: Error, file: Option<&Path>) -> Error {
    let Some(file) = file else {
        return error;
    };
    let name = match file.as_os_str().is_empty() {
        true => "standard input".to_owned(),
        false => shown(file),
    };
    match error.kind {
        Kind::NotEncrypted => {
            error.text = format!("{name} is {}", error.text);
            error = match what_is(file, &Settings::new()) {
                Ok(What::Sealed) => error.hint(format!(
                    "it holds SealedSecrets: `sealwright unseal --key BACKUP {name}` opens them"
                )),
                // What came through a pipe has no place to be encrypted in.
                Ok(What::Plain) if file.is_file() => error.hint(format!(
                    "`sealwright encrypt --in-place {name}` encrypts it"
                )),
                _ => error,
            };
        }
        Kind::Read | Kind::NoFile => {
            // A command reads more than its subject: keys, values, texts of other files.
            if let Some(Fault::ReadFile(path)) = error.fault.as_deref() {
                let is_subject = absolute(file).is_ok_and(|file| file == *path);
                let name = if is_subject { name } else { shown(path) };
                error.text = format!("cannot read {name}");
            }
            error = error.absent_as_no_file();
        }
        Kind::Parse => error.text = format!("cannot read {name}"),
        Kind::NoDocument => error.text = format!("{name} is {}", error.text),
        Kind::AlreadyEncrypted if matches!(error.fault.as_deref(), Some(Fault::Reserved(_))) => {
            error.text = format!("{name} is {}", error.text);
            error = error.hint(format!("`sealwright edit {name}` changes it"));
        }
        // A backup of private keys may be encrypted, too, and is named already.
        Kind::NoDataKey if error.text.starts_with("cannot decrypt ") => {
            error.text.push_str(": no key here opens it");
        }
        Kind::NoDataKey => error.text = format!("cannot decrypt {name}: no key here opens it"),
        Kind::Unchanged => error.text = format!("{name} is {}", error.text),
        Kind::Generic if matches!(error.fault.as_deref(), Some(Fault::Configuration(_))) => {}
        Kind::Generic if matches!(error.fault.as_deref(), Some(Fault::NoRule(_))) => {
            error.text = error
                .text
                .replacen("covers it", &format!("covers {name}"), 1);
        }
        Kind::Generic
        | Kind::Emit
        | Kind::Path
        | Kind::EncryptTree
        | Kind::DecryptTree
        | Kind::Mac
        | Kind::ExtractPath
        | Kind::Version
            if !error.text.is_empty() =>
        {
            error.text = format!("{name}: {}", error.text);
        }
        _ => {}
    }
    error
}

/// The one file that a list of operands means, if it means one.
pub(super) fn one(paths: &[PathBuf]) -> Option<PathBuf> {
    match paths {
        [] => Some(PathBuf::new()),
        [path] if path.as_os_str() == "-" => Some(PathBuf::new()),
        [path] if !path.is_dir() => Some(path.clone()),
        _ => None,
    }
}

/// What became of a flag of `sops` or `kubeseal` in our own verbs.
pub(super) fn successor(flag: &str) -> Option<&'static str> {
    Some(match flag.split('=').next().unwrap_or(flag) {
        "--extract" => "`sealwright get FILE PATH` prints one value",
        "--filename-override" => "--name says which file the input counts as",
        "--shamir-secret-sharing-threshold" => "`sealwright groups` has --threshold",
        "--value-stdin" => "--stdin reads the value from standard input",
        "--value-file" => "--from-file reads the value from a file",
        "--idempotent" => "a value that is there already is never written again",
        "--ignore-mac" => {
            "`sealwright decrypt --ignore-mac` decrypts a file whose MAC does not agree"
        }
        "--decrypt" | "-d" => "`sealwright decrypt FILE`",
        "--encrypt" | "-e" => "`sealwright encrypt FILE`",
        "--rotate" | "-r" => "`sealwright rotate FILE`",
        "--set" => "`sealwright set FILE PATH VALUE`",
        "--in-place" => "this verb always writes in place",
        "--input-type" | "--output-type" => "this verb takes the format from the name of the file",
        "--show-master-keys" => "`sealwright status FILE` lists the keys",
        "--fetch-cert" => "`sealwright cert` prints the certificate",
        "--re-encrypt" => "`sealwright reseal` seals for a new certificate",
        "--recovery-unseal" => "`sealwright unseal --key BACKUP FILE`",
        "--recovery-private-key" => "--key names a backup of private keys",
        "--secret-file" => "the file is the first argument",
        "--sealed-secret-file" | "-w" => "--out names the file to write",
        "--from-file" => "`sealwright seal --raw FILE` seals one value",
        "--add-kms"
        | "--add-gcp-kms"
        | "--add-azure-kv"
        | "--add-hc-vault-transit"
        | "--rm-kms"
        | "--rm-gcp-kms"
        | "--rm-azure-kv"
        | "--rm-hc-vault-transit" => "change the creation rule, then `sealwright updatekeys FILE`",
        "--encrypted-comment-regex" | "--unencrypted-comment-regex" => {
            "a creation rule in .sops.yaml has it"
        }
        _ => return None,
    })
}
