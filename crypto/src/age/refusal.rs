//! Words for what the age crate reports.

use ::age::DecryptError;

/// Words for what the age crate reports; its own are sentences in the user's language.
pub(super) fn describe(error: DecryptError) -> String {
    match error {
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
            "it does not open".to_owned()
        }
        DecryptError::ExcessiveWork { required, .. } => {
            format!("its passphrase needs too much work (2^{required})")
        }
        DecryptError::InvalidHeader => "the header of the age file is invalid".to_owned(),
        DecryptError::InvalidMac => "the header of the age file was changed".to_owned(),
        DecryptError::NoMatchingKeys => "it is for another recipient".to_owned(),
        DecryptError::UnknownFormat => "it is not an age file of version 1".to_owned(),
        DecryptError::Io(error) => one_line(&error.to_string()),
        other => one_line(&other.to_string()),
    }
}

pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
