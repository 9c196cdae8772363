//! Absolute paths, as rules and reports see them.
//!
//! The working folder has the name by which the shell came there (`PWD`), as in programs in Go: rules are for the paths that
//! people see, whatever symbolic links lead to them. Every verb takes the rule of a file by the name that it opens the file by
//! ([`absolute`], and [`absolute_by_name`] where upstream opens nothing else), and a verb that looks through a folder names
//! the files in it after that folder.

use std::io;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};
use crate::working_folder::{clean, is_same, working_folder};

/// Makes a path absolute against the working folder by its text alone, as upstream does (S75): `..` leads back over a
/// symbolic link. No path at all is the working folder.
pub(crate) fn absolute_by_name(path: &Path) -> Result<PathBuf> {
    let here = working_folder().map_err(|error| not_absolute(path, error))?;
    Ok(clean(&here.join(path)))
}

/// Makes a path absolute against the working folder, without following symbolic links. Where `..` behind a link leads
/// elsewhere than its text says, it is the file that the system finds.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    let named = absolute_by_name(path)?;
    let leads_back = path.components().any(|part| part == Component::ParentDir);
    if !leads_back || is_same(&named, path) {
        return Ok(named);
    }
    let here = std::env::current_dir().map_err(|error| not_absolute(path, error))?;
    Ok(clean(&here.join(path)))
}

fn not_absolute(path: &Path, error: io::Error) -> Error {
    Error::generic(format!("cannot make {} absolute", path.display())).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_absolute_and_clean() {
        let here = working_folder().unwrap();
        assert!(is_same(&here, Path::new(".")));
        for make in [absolute, absolute_by_name] {
            assert_eq!(make(Path::new("./a/../b")).unwrap(), here.join("b"));
            assert_eq!(make(Path::new("/x/./y")).unwrap(), Path::new("/x/y"));
            assert_eq!(make(Path::new("/../x")).unwrap(), Path::new("/x"));
            assert_eq!(make(Path::new("")).unwrap(), here);
        }
    }
}
