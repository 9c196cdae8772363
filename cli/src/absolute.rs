//! Absolute paths, as rules and reports see them.

use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};

/// Makes a path absolute against the working folder, without following symbolic links (S75).
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    let joined = std::path::absolute(path).map_err(|error| {
        Error::generic(format!("cannot make {} absolute", path.display())).because(error)
    })?;
    // As upstream cleans it, so that rules see the same text.
    let mut clean = PathBuf::new();
    for part in joined.components() {
        match part {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_absolute_and_clean() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute(Path::new("./a/../b")).unwrap(), here.join("b"));
        assert_eq!(absolute(Path::new("/x/./y")).unwrap(), Path::new("/x/y"));
    }
}
