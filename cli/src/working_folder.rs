//! The folder that the program works in, by the name that the user sees.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// The working folder under the name that the shell has for it, or else the one without links. A name is believed only as it
/// is used, which is without `..`: behind a link that may be another folder than before.
pub(crate) fn working_folder() -> io::Result<PathBuf> {
    let named = std::env::var_os("PWD").map(PathBuf::from);
    let named = named.filter(|named| named.is_absolute());
    match named.map(|named| clean(&named)) {
        Some(named) if is_same(&named, Path::new(".")) => Ok(named),
        _ => std::env::current_dir(),
    }
}

/// As Go's `Clean` has it for an absolute path, so that rules see the same text.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    clean
}

/// Whether two paths lead to the same file or folder.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    let number = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    matches!((number(one), number(other)), (Some(one), Some(other)) if one == other)
}
