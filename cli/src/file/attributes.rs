//! What a file keeps when it is replaced: its owner and its extended attributes.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::terminal::Terminal;
use crate::visible::visible_path;

/// Gives the new file the owner of the old one.
pub(super) fn keep_owner(
    terminal: &Terminal,
    target: &Path,
    file: &File,
    old: &fs::Metadata,
) -> io::Result<()> {
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid())
        && std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid())).is_err()
    {
        let group_kept = std::os::unix::fs::fchown(file, None, Some(old.gid())).is_ok();
        terminal.warn(&format!(
            "the {} of {} changes: this user may not keep it",
            if group_kept {
                "owner"
            } else {
                "owner and group"
            },
            visible_path(target)
        ));
    }
    Ok(())
}

/// Copies what can be copied: not every file system has extended attributes, and some belong to the system.
pub(super) fn copy(target: &Path, file: &File) {
    let mut names = vec![0; 4096];
    let Ok(length) = rustix::fs::listxattr(target, &mut names[..]) else {
        return;
    };
    for name in names[..length].split(|byte| *byte == 0) {
        let Ok(name) = std::str::from_utf8(name) else {
            continue;
        };
        let mut value = vec![0; 64 << 10];
        if name.is_empty() {
            continue;
        }
        if let Ok(length) = rustix::fs::getxattr(target, name, &mut value[..]) {
            let _ = rustix::fs::fsetxattr(
                file,
                name,
                &value[..length],
                rustix::fs::XattrFlags::empty(),
            );
        }
    }
}
