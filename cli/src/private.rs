//! A folder of our own for plaintext that another program must read from a file.
//!
//! It lies in memory where the system has such a place (`$XDG_RUNTIME_DIR` or `/dev/shm`, when a tmpfs), so that not even
//! a kill or a power cut leaves plaintext on a disk. Its mode is 0700, its name is drawn at random; what is in it is
//! overwritten and removed when the value is dropped, and on SIGINT, SIGTERM and SIGHUP. No program can do that on SIGKILL:
//! the next run of the same user does. A folder whose maker lives is locked, and the lock of a dead process is gone.
//!
//! An edited text that could not be written is kept on purpose: its folder gets a name of another kind
//! ([`PrivateFolder::keep`]), which no run wipes but the one that resumes the edit ([`PrivateFolder::reopen`]), and that one
//! only on purpose ([`PrivateFolder::discard`]): until then the text exists nowhere else.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags};

/// How the names of such folders begin; what follows are sixteen hexadecimal digits.
const PREFIXES: [&str; 2] = [EDIT, EXEC];
/// Of what is edited.
pub(crate) const EDIT: &str = "sealwright-edit-";
/// Of files made for a command (S118). Those of upstream have fewer digits behind it.
pub(crate) const EXEC: &str = ".sops";

/// Of edits that wait to be resumed.
const KEPT: &str = "sealwright-kept-";

/// A private folder; dropping it wipes and removes it, unless it is kept.
#[derive(Debug)]
pub(crate) struct PrivateFolder {
    path: PathBuf,
    in_memory: bool,
    kept: bool,
    // Tells other runs that this one lives.
    _lock: Option<File>,
}

impl PrivateFolder {
    /// Makes one whose name begins with `prefix`. `TMPDIR` decides where when it is set and is in memory, or when nothing
    /// else is. What killed runs of this user left in those places is wiped first.
    pub(crate) fn create(prefix: &str) -> io::Result<Self> {
        let parents = parents();
        for (parent, _) in &parents {
            wipe_abandoned(parent);
        }
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for (parent, in_memory) in parents {
            match make_in(&parent, prefix) {
                Ok((path, lock)) => {
                    return Ok(Self {
                        path,
                        in_memory,
                        kept: false,
                        _lock: lock,
                    });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its content lies in memory and on no disk.
    pub(crate) fn in_memory(&self) -> bool {
        self.in_memory
    }

    /// Lets the folder outlive the program, and gives its new place.
    pub(crate) fn keep(mut self) -> io::Result<PathBuf> {
        if !self.kept {
            let name = self.path.file_name().unwrap_or_default();
            let name = name.to_string_lossy();
            let digits = name.rsplit('-').next().unwrap_or_default();
            let kept = self.path.with_file_name(format!("{KEPT}{digits}"));
            fs::rename(&self.path, &kept)?;
            self.path = kept;
            self.kept = true;
        }
        Ok(std::mem::take(&mut self.path))
    }

    /// Whether it outlives this value.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept
    }

    /// Wipes and removes it, kept or not.
    pub(crate) fn discard(mut self) {
        self.kept = false;
    }

    /// The folders of this user that were kept.
    pub(crate) fn kept() -> Vec<PathBuf> {
        let user = rustix::process::geteuid().as_raw();
        let mut kept = Vec::new();
        for (parent, _) in parents() {
            for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
                let named = entry.file_name().to_string_lossy().starts_with(KEPT);
                let of_user = || {
                    entry.metadata().is_ok_and(|metadata| {
                        metadata.is_dir() && metadata.uid() == user && metadata.mode() & 0o077 == 0
                    })
                };
                if named && of_user() && !kept.contains(&entry.path()) {
                    kept.push(entry.path());
                }
            }
        }
        kept
    }

    /// Takes a kept folder over; `None` when another run has it open.
    pub(crate) fn reopen(path: PathBuf) -> Option<Self> {
        let lock = match lock(&path) {
            Locked::Here(lock) => Some(lock),
            Locked::Impossible => None,
            Locked::ByAnother | Locked::Gone => return None,
        };
        Some(Self {
            in_memory: path.parent().is_some_and(is_in_memory),
            path,
            kept: true,
            _lock: lock,
        })
    }

    /// Removes the folder ahead of its time, when a signal is about to end the program. One that is kept stays.
    pub(crate) fn wiper(&self) -> Wiper {
        Wiper((!self.kept).then(|| self.path.clone()))
    }
}

/// Wipes a private folder from another thread.
#[derive(Debug)]
pub(crate) struct Wiper(Option<PathBuf>);

impl Wiper {
    /// Does it.
    pub(crate) fn wipe(&self) {
        if let Some(path) = &self.0 {
            wipe(path);
        }
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        if !self.kept {
            wipe(&self.path);
        }
    }
}

fn parents() -> Vec<(PathBuf, bool)> {
    let mut parents = Vec::new();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let temporary = std::env::temp_dir();
    let candidates = [
        runtime.filter(|path| path.is_absolute()),
        Some(temporary.clone()),
        Some(PathBuf::from("/dev/shm")),
    ];
    for candidate in candidates.into_iter().flatten() {
        if is_in_memory(&candidate) {
            parents.push((candidate, true));
        }
    }
    parents.push((temporary, false));
    parents
}

fn is_in_memory(folder: &Path) -> bool {
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    rustix::fs::statfs(folder).is_ok_and(|system| {
        let kind = system.f_type as u64 & 0xffff_ffff; // its width and sign differ between machines
        kind == TMPFS || kind == RAMFS
    })
}

fn make_in(parent: &Path, prefix: &str) -> io::Result<(PathBuf, Option<File>)> {
    for _ in 0..16 {
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        let path = parent.join(format!("{prefix}{:016x}", u64::from_ne_bytes(random)));
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error),
        }
        match lock(&path) {
            Locked::Here(lock) => return Ok((path, Some(lock))),
            // No locks in this file system: no run wipes anything here.
            Locked::Impossible => return Ok((path, None)),
            // Another run took it for an abandoned one before it was locked.
            Locked::ByAnother | Locked::Gone => {}
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

enum Locked {
    Here(File),
    ByAnother,
    Impossible,
    Gone,
}

/// Locks a folder, if it is one and still there.
fn lock(folder: &Path) -> Locked {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let opened = File::options()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(folder);
    let Ok(file) = opened else {
        return Locked::Gone;
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Locked::ByAnother,
        Err(_) => return Locked::Impossible,
    }
    match (file.metadata(), fs::symlink_metadata(folder)) {
        (Ok(file_is), Ok(name_is))
            if (file_is.dev(), file_is.ino()) == (name_is.dev(), name_is.ino()) =>
        {
            Locked::Here(file)
        }
        _ => Locked::Gone,
    }
}

/// Wipes the folders of this user's runs that are no more.
fn wipe_abandoned(parent: &Path) {
    let user = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !name.to_str().is_some_and(is_ours) {
            continue;
        }
        let of_user = entry
            .metadata()
            .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == user);
        if of_user && let Locked::Here(_lock) = lock(&entry.path()) {
            wipe(&entry.path());
        }
    }
}

fn is_ours(name: &str) -> bool {
    PREFIXES.iter().any(|prefix| {
        name.strip_prefix(prefix).is_some_and(|digits| {
            let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            digits.len() == 16 && digits.bytes().all(hexadecimal)
        })
    })
}

/// Overwrites every regular file below with zeros, then removes all of it. Best effort: it runs on the way out.
fn wipe(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            wipe(&path);
        } else if kind.is_file() && !kind.is_fifo() {
            let _ = overwrite(&path);
        }
    }
    let _ = fs::remove_dir_all(folder);
}

fn overwrite(path: &Path) -> io::Result<()> {
    let mut file = File::options().write(true).open(path)?;
    let mut left = file.metadata()?.len();
    let zeros = [0; 4096];
    while left > 0 {
        let step = usize::try_from(left.min(4096)).unwrap_or(4096);
        file.write_all(&zeros[..step])?;
        left -= step as u64;
    }
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn it_is_private_and_goes_away() {
        let folder = PrivateFolder::create(EDIT).unwrap();
        let path = folder.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        File::create(path.join("a")).unwrap();
        fs::create_dir(path.join("b")).unwrap();
        folder.wiper().wipe();
        assert!(!path.exists());
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_kept_goes_away_on_purpose_only() {
        let kept = PrivateFolder::create(EDIT).unwrap().keep().unwrap();
        let again = PrivateFolder::reopen(kept.clone()).unwrap();
        again.wiper().wipe();
        drop(again);
        assert!(kept.exists());
        let again = PrivateFolder::reopen(kept.clone()).unwrap();
        assert_eq!(again.keep().unwrap(), kept);
        PrivateFolder::reopen(kept.clone()).unwrap().discard();
        assert!(!kept.exists());
    }

    #[test]
    fn abandoned_folders_are_wiped_and_all_others_stay() {
        let parent = tempfile::tempdir().unwrap();
        let (alive, _lock) = make_in(parent.path(), EDIT).unwrap();
        let (edited, _) = make_in(parent.path(), EDIT).unwrap();
        let (made, _) = make_in(parent.path(), EXEC).unwrap();
        fs::write(edited.join("a.yaml"), "plaintext").unwrap();
        let others = [".sops1234567890", "sealwright-edit-", ".sops", "notes"];
        for name in others {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink("notes", parent.path().join(".sops0123456789abcdef")).unwrap();
        wipe_abandoned(parent.path());
        assert!(!edited.exists() && !made.exists());
        assert!(alive.exists());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 6);
    }
}
