//! Settings of the store that is a folder or a file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A folder with a file for each key, or one file whose members are the keys (`provider.file`; not known upstream).
///
/// The file may be encrypted with SOPS. Keys are paths below the folder: no `..`, and no symbolic link is followed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileSettings {
    /// The folder or the file. On the command line a relative path begins at the manifest's folder; in the controller it
    /// lies below the folder that `--file-store-root` names.
    pub path: String,
}
