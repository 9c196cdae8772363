//! The new content of a file until it takes the place of the old one.
//!
//! Flow: written without a name (`O_TMPFILE`), named, renamed over the target. No system call puts a file without a name
//! over one that has a name, so between the last two a kill leaves the complete new content under the temporary name.
//! That name is the same in every run ([`remains::name_of`]) and the file is its owner's alone, so the next run on the
//! target knows what it is and removes it.
//!
//! Guarantee: a file that has the temporary name and no lock on it belongs to no living process. Whatever names a file
//! locks it first, where the file system has locks.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};

use super::remains;
use super::shared_folder::folder_of;

/// A file that has no name until it is complete, where the file system can do that; so a killed program leaves nothing.
pub(super) struct NewFile {
    /// Open for writing, mode 0600.
    pub(super) file: File,
    /// The name it has or will have for a moment.
    name: PathBuf,
    named: bool,
}

/// What becomes of a file that stands in the place already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// It gives way.
    Replaced,
    /// It stays, and the new one does not get its place.
    Kept,
}

impl NewFile {
    /// Makes one in the folder of the target.
    pub(super) fn create(target: &Path) -> io::Result<Self> {
        let name = remains::name_of(target);
        let nameless = rustix::fs::open(
            folder_of(target),
            OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::RUSR | Mode::WUSR,
        );
        match nameless {
            Ok(descriptor) => Ok(Self {
                file: File::from(descriptor),
                name,
                named: false,
            }),
            Err(_) => Self::create_named(name),
        }
    }

    fn create_named(name: PathBuf) -> io::Result<Self> {
        loop {
            let created = rustix::fs::open(
                &name,
                OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW,
                Mode::RUSR | Mode::WUSR,
            );
            match created {
                Ok(descriptor) => {
                    let file = File::from(descriptor);
                    lock(&file);
                    // Before the lock another run could take it for a dead one's.
                    if remains::is_named(&file, &name) {
                        return Ok(Self {
                            file,
                            name,
                            named: true,
                        });
                    }
                }
                Err(rustix::io::Errno::EXIST) => remains::wait_and_remove(&name)?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Puts the file in the target's place; what stands there already is replaced, or kept and an error.
    pub(super) fn rename_over(mut self, target: &Path, existing: Existing) -> io::Result<File> {
        let file = self.file.try_clone()?;
        if !self.named {
            self.link()?;
        }
        match existing {
            Existing::Replaced => fs::rename(&self.name, target)?,
            Existing::Kept => rename_to_free_name(&self.name, target)?,
        }
        self.named = false;
        Ok(file)
    }

    pub(super) fn link(&mut self) -> io::Result<()> {
        lock(&self.file);
        let source = format!("/proc/self/fd/{}", self.file.as_fd().as_raw_fd());
        loop {
            let linked = rustix::fs::linkat(
                rustix::fs::CWD,
                source.as_str(),
                rustix::fs::CWD,
                &self.name,
                AtFlags::SYMLINK_FOLLOW,
            );
            match linked {
                Ok(()) => {
                    self.named = true;
                    return Ok(());
                }
                Err(rustix::io::Errno::EXIST) => remains::wait_and_remove(&self.name)?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What a kill does: the name stays, the lock goes.
    #[cfg(test)]
    pub(super) fn kill(mut self) {
        self.named = false;
    }
}

/// Renames a file to a name that must be free.
fn rename_to_free_name(name: &Path, target: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};

    match renameat_with(CWD, name, CWD, target, RenameFlags::NOREPLACE) {
        // Not every file system can do that; a second name takes no one's place either.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            fs::hard_link(name, target)?;
            fs::remove_file(name)
        }
        renamed => Ok(renamed?),
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.named {
            let _ = fs::remove_file(&self.name);
        }
    }
}

/// No one else has this file yet, so it is never waited for. Some network file systems have no locks.
fn lock(file: &File) {
    let _ = rustix::fs::flock(file, FlockOperation::LockExclusive);
}
