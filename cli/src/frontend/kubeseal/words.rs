//! What kubeseal says about failures; scripts search for these sentences.

use crate::error::{Error, Fault};

/// Puts an error into the words of kubeseal.
pub(super) fn theirs(mut error: Error) -> Error {
    error.text = match error.fault.as_deref() {
        Some(Fault::NoValues) => "secret.data is empty in input Secret, assuming this is an error and aborting. To work with empty data, --allow-empty-data can be used".to_owned(),
        Some(Fault::NoName) => "missing metadata.name in input Secret".to_owned(),
        Some(Fault::OtherNamespace(own, wished)) => {
            format!("namespace mismatch: input secret is in namespace {own:?} but {wished:?} was specified")
        }
        Some(Fault::NoNameForStrict) => {
            "must provide the --name flag with --raw and --scope strict".to_owned()
        }
        Some(Fault::ExpiredCertificate(date)) => {
            error.hints.push("--fetch-cert prints it".to_owned());
            format!("failed to encrypt using an expired certificate on {date}")
        }
        _ => return error,
    };
    error
}
