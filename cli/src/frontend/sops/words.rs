//! What sops says about failures; its clients search for some of these sentences (L8).

use crate::error::{Error, Fault, Kind};

/// Puts an error into the words of sops.
pub(super) fn theirs(mut error: Error) -> Error {
    let Some(fault) = &error.fault else {
        return error;
    };
    error.text = match &**fault {
        Fault::ReadFile(path) => {
            let call = if path.is_dir() { "read" } else { "open" };
            format!("Error reading file: {call} {}", path.display())
        }
        Fault::ReadStdin => "Error reading standard input".to_owned(),
        Fault::ParseEncrypted(format) => format!("Error unmarshalling input {format}"),
        Fault::ParsePlain(format) => format!("Error unmarshalling file: {format}"),
        Fault::NotEncrypted => "sops metadata not found".to_owned(),
        Fault::Empty => {
            "File cannot be completely empty, it must contain at least one document".to_owned()
        }
        Fault::Reserved(key) => format!(
            "The file you have provided contains a top-level entry called '{key}', or for flat file formats top-level entries starting with 'sops_'. This is how encrypted files carry their metadata, so the file is encrypted already, or the entry must be renamed."
        ),
        Fault::Mac => "MAC mismatch".to_owned(),
        Fault::Decrypt => "Error decrypting tree".to_owned(),
        Fault::Encrypt => "Error encrypting tree".to_owned(),
        Fault::Emit => "Error dumping file".to_owned(),
        Fault::Extract => "error extracting value".to_owned(),
        Fault::Unchanged => "File has not changed, exiting.".to_owned(),
        Fault::NoJson => "Value should be JSON".to_owned(),
        Fault::Configuration(path) => format!("error loading config: {}", path.display()),
        Fault::NoRule(path) => {
            let hint = format!("the rules are in {}", path.display());
            error.hints.insert(0, hint);
            "error loading config: no matching creation rules found".to_owned()
        }
        Fault::NoKeys => "config file not found, or has no creation rules, and no keys provided through command line options".to_owned(),
        Fault::ManySelections => "Error: cannot use more than one of encrypted_suffix, unencrypted_suffix, encrypted_regex, unencrypted_regex, encrypted_comment_regex, or unencrypted_comment_regex in the same file".to_owned(),
        // `groups` reports it as a failure of its own.
        Fault::Unwrap if error.kind == Kind::Generic => "Error getting data key:".to_owned(),
        Fault::Unwrap => {
            "Failed to get the data key required to decrypt the SOPS file.".to_owned()
        }
        Fault::Wrap => {
            let cause = error.cause.take().map(|cause| cause.to_string());
            format!("Could not generate data key: [{}]", cause.unwrap_or_default())
        }
        Fault::RepeatedKind(kind) => format!("Duplicate decryption key type: {kind}"),
        Fault::BackgroundInSameProcess => {
            "Error: The --same-process flag cannot be used with --background".to_owned()
        }
        // What sops has no command for.
        Fault::NoValues
        | Fault::NoName
        | Fault::OtherNamespace(..)
        | Fault::NoNameForStrict
        | Fault::ExpiredCertificate(_) => return error,
    };
    error
}
