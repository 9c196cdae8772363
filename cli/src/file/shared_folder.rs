//! Folders that other users may write into, such as `/tmp`: what stands there under the name of an output may be theirs.
//!
//! A link would lead the output to a file of their choice, a file or a pipe of theirs would hand it to them. The kernel
//! refuses some of this (`fs.protected_symlinks`, `protected_regular`), depending on how it is set, and nothing where an
//! output is renamed into place; so this program looks itself.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::visible::visible_path;

/// The folder a file is in.
pub(super) fn folder_of(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Follows symbolic links to the file that is to be written, whether it exists or not. In a shared folder only links of
/// this user and of root are followed.
pub(super) fn resolve_output(path: &Path) -> io::Result<PathBuf> {
    resolve(path, |link, of| judge_link(link, of.uid(), user()))
}

/// The same for what is read: links are followed wherever they lead.
pub(super) fn resolve_input(path: &Path) -> io::Result<PathBuf> {
    resolve(path, |_, _| Ok(()))
}

fn resolve(path: &Path, allow: impl Fn(&Path, &Metadata) -> io::Result<()>) -> io::Result<PathBuf> {
    let mut at = path.to_path_buf();
    for _ in 0..40 {
        match fs::read_link(&at) {
            Ok(next) => {
                if let Ok(of) = fs::symlink_metadata(&at) {
                    allow(&at, &of)?;
                }
                at = folder_of(&at).join(next);
            }
            Err(_) => return Ok(at),
        }
    }
    Err(io::Error::other("too many levels of symbolic links"))
}

/// Refuses to write to something of another user in a shared folder: a file, a pipe, a device.
pub(super) fn refuse_of_others(path: &Path, existing: &Metadata) -> io::Result<()> {
    judge_file(path, existing.uid(), user())
}

fn judge_link(link: &Path, owner: u32, user: u32) -> io::Result<()> {
    if owner == user || owner == 0 || !is_shared(folder_of(link)) {
        return Ok(());
    }
    Err(refusal(link, "is a link of another user", owner))
}

fn judge_file(path: &Path, owner: u32, user: u32) -> io::Result<()> {
    if owner == user || !is_shared(folder_of(path)) {
        return Ok(());
    }
    Err(refusal(path, "belongs to another user", owner))
}

/// Whether others may put something into a folder: it is sticky, or the world may write to it.
fn is_shared(folder: &Path) -> bool {
    const STICKY: u32 = 0o1000;
    const WORLD_WRITES: u32 = 0o002;
    // A folder that cannot be looked at is one of others.
    fs::metadata(folder).map_or(true, |metadata| {
        metadata.mode() & (STICKY | WORLD_WRITES) != 0
    })
}

/// The user for whom this program works.
pub(super) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn refusal(path: &Path, what: &str, owner: u32) -> io::Error {
    let path = visible_path(path);
    io::Error::other(format!(
        "{path} {what} (user {owner}) in a folder that all may write to; remove it, or choose another folder"
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn in_a_shared_folder_only_what_is_ones_own_is_written_to_and_followed() {
        const ME: u32 = 1000;
        const OTHER: u32 = 1001;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        for (mode, shared) in [
            (0o1777, true),
            (0o777, true),
            (0o1755, true),
            (0o755, false),
        ] {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            let allowed = |result: io::Result<()>| result.is_ok();
            assert!(allowed(judge_file(&path, ME, ME)), "{mode:o}");
            assert_eq!(allowed(judge_file(&path, OTHER, ME)), !shared, "{mode:o}");
            assert_eq!(allowed(judge_file(&path, OTHER, 0)), !shared, "{mode:o}");
            assert!(allowed(judge_link(&path, 0, ME)), "{mode:o}");
            assert_eq!(allowed(judge_link(&path, OTHER, ME)), !shared, "{mode:o}");
            assert_eq!(allowed(judge_link(&path, OTHER, 0)), !shared, "{mode:o}");
        }
    }
}
