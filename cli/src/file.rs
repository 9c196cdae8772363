//! Files: read into wiped memory, replaced whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use sealwright_crypto::secret::SecretBytes;

use crate::error::{Error, Kind, Result};
use crate::terminal::{Terminal, Voice};
use crate::visible::visible_path;

mod attributes;
mod new_file;
mod original;
mod overwrite;
mod remains;
mod shared_folder;

use new_file::{Existing, NewFile};
pub(crate) use original::{Original, read, read_stdin, read_to_update};
use original::{Stamp, State, open_locked};
use overwrite::{open_to_overwrite, overwrite};
pub(crate) use remains::clear_if_remains as clear_remains;
use shared_folder::folder_of;

/// Reads the file that an output will replace. `None` when nothing is there, and when the output goes to a pipe or a
/// device: reading from it would wait for what only this program writes.
pub(crate) fn read_replaced(path: &Path) -> io::Result<Option<Original>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Ok(metadata) if is_special(&metadata) || is_standard_output(path) => Ok(None),
        _ => read(path).map(Some),
    }
}

/// What is in a file that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// For its owner alone until it has its place: a killed run may leave it under the temporary name.
    Plain,
    /// Readable by those who may read the file it replaces.
    Encrypted,
    /// For its owner alone, even if others could read the file it replaces. Pipes and devices keep their mode: they
    /// belong to others, too.
    Private,
}

/// Replaces a file in one step: readers see the old content or the new, also after a crash.
///
/// The new content is written to a file without a name in the same folder, synced, named and renamed over the old one
/// ([`new_file`] tells what a kill can leave); then the folder is synced. Mode, owner, extended attributes and the target
/// of a symbolic link are kept, but nothing that may be plaintext is given to another owner, and in folders that others
/// may write into nothing of theirs is followed or written to ([`shared_folder`]). With the `original` that the new
/// content was made of, a file that another program changed or made meanwhile is left alone. A pipe or a device is simply
/// written to.
pub(crate) fn replace(
    terminal: &Terminal,
    path: &Path,
    bytes: &SecretBytes,
    content: Content,
    original: Option<&Original>,
) -> Result<()> {
    let failed = |error: io::Error| {
        Error::new(Kind::Write, format!("cannot write {}", visible_path(path))).because(error)
    };
    // What stands behind the links of `/dev/fd` may have no name: a pipe of the shell's, or the program's own output.
    if is_standard_output(path) {
        return terminal.out(bytes.expose());
    }
    let target = shared_folder::resolve_output(path).map_err(failed)?;
    if fs::metadata(path).is_ok_and(|metadata| is_special(&metadata)) {
        return write_through(path, &target, bytes).map_err(failed);
    }
    let old = match fs::metadata(&target) {
        Ok(metadata) if metadata.is_dir() => {
            return Err(failed(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    if let Some(old) = &old {
        shared_folder::refuse_of_others(&target, old).map_err(failed)?;
    }

    if let Some(old) = &old {
        refuse_read_only(terminal, path, old)?;
    }

    let held = original.is_some_and(|original| original._lock.is_some());
    let _lock = match (&old, original, held) {
        (Some(_), Some(_), false) => open_locked(&target).ok(),
        _ => None,
    };
    let existing = match original.map(|original| &original.state) {
        Some(State::File(stamp)) => {
            let now = fs::metadata(&target).map_err(failed)?;
            if Stamp::of(&now) != *stamp {
                return Err(interfered(path, "was changed"));
            }
            Existing::Replaced
        }
        Some(State::Absent) if old.is_some() => return Err(interfered(path, "was made")),
        Some(State::Absent) => Existing::Kept,
        Some(State::Stream) | None => Existing::Replaced,
    };

    match replace_by_rename(terminal, &target, bytes, content, old.as_ref(), existing) {
        Err(error)
            if existing == Existing::Kept && error.kind() == io::ErrorKind::AlreadyExists =>
        {
            Err(interfered(path, "was made"))
        }
        Err(error) if old.is_some() && cannot_rename(&error) => {
            // A folder that takes no new file, or a single file mounted into a container.
            let mut file = open_to_overwrite(&target, content).map_err(failed)?;
            terminal.warn(&format!(
                "{} cannot be replaced in one step ({error}): it is overwritten in place",
                visible_path(path)
            ));
            let old = read(&target).map(Original::into_bytes).ok();
            overwrite(&mut file, bytes, old.as_ref()).map_err(failed)
        }
        other => other.map_err(failed),
    }
}

/// Refuses what [`replace`] would refuse in the end, before a person works on it.
pub(crate) fn check_writable(terminal: &Terminal, path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Ok(old) => refuse_read_only(terminal, path, &old),
        Err(_) => Ok(()),
    }
}

/// Refuses a file that its owner may not write to: someone made it so. Upstream overwrites it where the system lets it, and
/// so does its front-end for root.
fn refuse_read_only(terminal: &Terminal, path: &Path, old: &fs::Metadata) -> Result<()> {
    let upstream_writes = terminal.voice() == Voice::Upstream && shared_folder::user() == 0;
    if old.mode() & 0o222 != 0 || upstream_writes {
        return Ok(());
    }
    let path = visible_path(path);
    Err(Error::new(
        Kind::Write,
        format!("{path} is read-only (mode {:04o})", old.mode() & 0o7777),
    )
    .hint(format!("chmod u+w {path} lets it be written")))
}

/// Says that another program came first.
fn interfered(path: &Path, did: &str) -> Error {
    Error::new(
        Kind::Write,
        format!(
            "{} {did} by another program while this one worked on it; nothing was written",
            visible_path(path)
        ),
    )
    .hint("look at the other change, then run the command again")
}

/// Whether a name means standard output, which may be a file that others append to, and is written where they are.
fn is_standard_output(path: &Path) -> bool {
    ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"]
        .iter()
        .any(|name| path == Path::new(name))
}

fn is_special(metadata: &fs::Metadata) -> bool {
    let kind = metadata.file_type();
    kind.is_fifo() || kind.is_char_device() || kind.is_block_device() || kind.is_socket()
}

fn cannot_rename(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::ResourceBusy
            | io::ErrorKind::CrossesDevices
    )
}

fn write_through(path: &Path, target: &Path, bytes: &SecretBytes) -> io::Result<()> {
    let mut stream = File::options().write(true).open(path)?;
    // What was opened counts, and not what stood there a moment before. The links of `/dev/fd` lead to no name.
    if target.exists() {
        shared_folder::refuse_of_others(target, &stream.metadata()?)?;
    }
    stream.write_all(bytes.expose())
}

fn replace_by_rename(
    terminal: &Terminal,
    target: &Path,
    bytes: &SecretBytes,
    content: Content,
    old: Option<&fs::Metadata>,
    existing: Existing,
) -> io::Result<()> {
    let mut new = NewFile::create(target)?;
    new.file.write_all(bytes.expose())?;
    let mut mode = old.map_or_else(|| 0o666 & !umask(), |old| old.mode() & 0o7777);
    if let Some(old) = old {
        if content == Content::Encrypted || old.uid() == shared_folder::user() {
            attributes::keep_owner(terminal, target, &new.file, old)?;
        } else {
            terminal.warn(&format!(
                "{} belonged to another user and is yours alone now: it holds plaintext",
                visible_path(target)
            ));
            mode &= 0o700;
        }
        // Access lists are among the attributes, and would let others in.
        if content != Content::Private && mode & 0o077 != 0 {
            attributes::copy(target, &new.file);
            // An access list has the old mode in it.
            new.file
                .set_permissions(fs::Permissions::from_mode(0o600))?;
        }
    }
    let mode = fs::Permissions::from_mode(mode);
    if content == Content::Encrypted {
        new.file.set_permissions(mode.clone())?;
    }
    new.file.sync_all()?;
    let file = new.rename_over(target, existing)?;
    if content == Content::Plain {
        file.set_permissions(mode)?;
    }
    let others = old.map_or(0, |old| old.nlink().saturating_sub(1));
    if others > 0 {
        terminal.warn(&format!(
            "{} had {others} other {} (hard links), which keep what it held before",
            visible_path(target),
            if others == 1 { "name" } else { "names" },
        ));
    }
    // Some file systems cannot sync a folder; the rename itself is done.
    let _ = File::open(folder_of(target)).and_then(|folder| folder.sync_all());
    Ok(())
}

/// The mask for new files. Linux tells it without changing it.
fn umask() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("Umask:"))
        .and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok())
        .unwrap_or(0o022)
}

#[cfg(test)]
mod tests;
