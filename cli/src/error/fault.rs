//! Failures that the programs this one can be have different sentences for.

use std::path::PathBuf;

use super::kind::Kind;
use crate::visible::shown;

/// What failed. A command names it, and each front-end puts it into its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A file cannot be read.
    ReadFile(PathBuf),
    /// Standard input cannot be read.
    ReadStdin,
    /// A file of this format that should be encrypted is no document of it.
    ParseEncrypted(&'static str),
    /// A file of this format that should be encrypted now is no document of it.
    ParsePlain(&'static str),
    /// A file has no `sops` block.
    NotEncrypted,
    /// A file has no document in it.
    Empty,
    /// A plain file has this key, which belongs to the `sops` block.
    Reserved(String),
    /// The values and the MAC do not agree.
    Mac,
    /// A value cannot be decrypted.
    Decrypt,
    /// A value cannot be encrypted.
    Encrypt,
    /// A document cannot be written in a format.
    Emit,
    /// There is no such value to print.
    Extract,
    /// The editor gave back the text that it got.
    Unchanged,
    /// A new value is no JSON.
    NoJson,
    /// A configuration file cannot be used.
    Configuration(PathBuf),
    /// No creation rule of this configuration file is for a file.
    NoRule(PathBuf),
    /// Neither a rule nor a flag names a master key.
    NoKeys,
    /// More than one option selects what is encrypted.
    ManySelections,
    /// No master key opens a file.
    Unwrap,
    /// A master key cannot wrap the data key.
    Wrap,
    /// A kind of master key stands twice in the decryption order.
    RepeatedKind(String),
    /// A Secret to seal has no values.
    NoValues,
    /// A Secret to seal has no name.
    NoName,
    /// A Secret is in the first namespace, and the second one was asked for.
    OtherNamespace(String, String),
    /// A single value of scope strict is sealed for no name.
    NoNameForStrict,
    /// A certificate to seal with expired on this day.
    ExpiredCertificate(String),
    /// The process cannot be replaced by a command that runs in the background.
    BackgroundInSameProcess,
}

impl Fault {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::ReadFile(_) | Self::ReadStdin => Kind::Read,
            Self::ParsePlain(_) => Kind::Parse,
            Self::NotEncrypted => Kind::NotEncrypted,
            Self::Empty => Kind::NoDocument,
            Self::Reserved(_) => Kind::AlreadyEncrypted,
            Self::Mac => Kind::Mac,
            Self::Decrypt => Kind::DecryptTree,
            Self::Encrypt => Kind::EncryptTree,
            Self::Emit => Kind::Emit,
            Self::Unchanged => Kind::Unchanged,
            Self::NoJson => Kind::Path,
            Self::ManySelections | Self::BackgroundInSameProcess => Kind::Conflict,
            Self::Unwrap => Kind::NoDataKey,
            Self::RepeatedKind(_) => Kind::DecryptionOrder,
            Self::ParseEncrypted(_)
            | Self::Extract
            | Self::Configuration(_)
            | Self::NoRule(_)
            | Self::NoKeys
            | Self::Wrap
            | Self::NoValues
            | Self::NoName
            | Self::OtherNamespace(..)
            | Self::NoNameForStrict
            | Self::ExpiredCertificate(_) => Kind::Generic,
        }
    }

    /// Our own words, to stand behind the name of a file.
    pub(super) fn text(&self) -> String {
        match self {
            Self::ReadFile(_) => "cannot be read".to_owned(),
            Self::ReadStdin => "standard input cannot be read".to_owned(),
            Self::ParseEncrypted(format) | Self::ParsePlain(format) => {
                format!("not valid {}", name_of(format))
            }
            Self::NotEncrypted => "not encrypted".to_owned(),
            Self::Empty => "empty: there is nothing to encrypt".to_owned(),
            Self::Reserved(_) => "encrypted already".to_owned(),
            Self::Mac => "the MAC does not match the values".to_owned(),
            Self::Decrypt => "cannot be decrypted".to_owned(),
            Self::Encrypt => "cannot be encrypted".to_owned(),
            Self::Emit => "cannot be written in this format".to_owned(),
            Self::Extract => "there is no such value".to_owned(),
            Self::Unchanged => "as it was".to_owned(),
            Self::NoJson => "the value is not JSON".to_owned(),
            Self::Configuration(path) => shown(path),
            Self::NoRule(path) => format!("no creation rule in {} covers it", shown(path)),
            Self::NoKeys => "no creation rule and no option names a key to encrypt for".to_owned(),
            Self::ManySelections => {
                "only one option or field can select which values are encrypted".to_owned()
            }
            Self::Unwrap => "no key here opens it".to_owned(),
            Self::Wrap => "the data key cannot be encrypted for all keys".to_owned(),
            Self::RepeatedKind(kind) => format!("{kind} stands twice in the decryption order"),
            Self::NoValues => "the Secret has no values; --allow-empty-data seals it".to_owned(),
            Self::NoName => "the Secret has no metadata.name".to_owned(),
            Self::OtherNamespace(own, wished) => {
                format!("the Secret is in the namespace {own:?}, and {wished:?} was asked for")
            }
            Self::NoNameForStrict => {
                "a value of scope strict is sealed for one Secret: give its --name".to_owned()
            }
            Self::ExpiredCertificate(date) => format!("the certificate expired on {date}"),
            Self::BackgroundInSameProcess => {
                "a command in the background cannot replace this process".to_owned()
            }
        }
    }
}

/// A format as its users write it.
fn name_of(format: &str) -> &str {
    match format {
        "yaml" => "YAML",
        "json" => "JSON",
        "ini" => "INI",
        other => other,
    }
}
