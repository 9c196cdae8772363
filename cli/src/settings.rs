//! What every command that opens a document needs to know.

use std::path::PathBuf;

/// The options of a document command that have to do with no single document.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// The configuration file that was named; otherwise one is looked for from the working folder upwards.
    pub(crate) config: Option<PathBuf>,
    /// Columns per level in what is written out in full; overrides the configuration.
    pub(crate) indent: Option<i32>,
    /// Kinds of keys to try first, as given.
    pub(crate) decryption_order: Option<String>,
    /// Whether keys of this machine may be used.
    pub(crate) local_keys: bool,
    /// Key services to ask.
    pub(crate) key_services: Vec<String>,
    /// The format of what is read, when the file name does not decide.
    pub(crate) input_type: Option<&'static str>,
    /// The format of what is written, when the file name does not decide.
    pub(crate) output_type: Option<&'static str>,
    /// Whether the type of the input decides where neither the name nor `output_type` does.
    pub(crate) output_follows_input: bool,
}

impl Settings {
    /// Settings of a plain call.
    pub(crate) fn new() -> Self {
        Self {
            local_keys: true,
            ..Self::default()
        }
    }
}
