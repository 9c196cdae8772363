//! A file as it was read: its bytes, and what tells whether another writer changed it meanwhile.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::FlockOperation;
use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use super::remains;
use crate::stdio;

/// What a file was when it was read, so that a writer can tell whether another writer changed it meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// What stood under a name when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A pipe or a device, which no one can compare with anything.
    Stream,
    /// A file in this state.
    File(Stamp),
    /// Nothing.
    Absent,
}

/// The bytes of a file, and which state of it they are.
#[derive(Debug)]
pub(crate) struct Original {
    /// The content.
    pub(crate) bytes: SecretBytes,
    /// What it was when it was read.
    pub(super) state: State,
    /// Holds the lock of a file that is to be updated.
    pub(super) _lock: Option<File>,
}

impl Original {
    /// What came through a pipe.
    pub(crate) fn of_pipe(bytes: SecretBytes) -> Self {
        Self {
            bytes,
            state: State::Stream,
            _lock: None,
        }
    }

    /// A file that is not there yet, and that no one else may make meanwhile.
    pub(crate) fn absent() -> Self {
        Self {
            bytes: SecretBytes::default(),
            state: State::Absent,
            _lock: None,
        }
    }

    /// The content alone; the lock is given up.
    pub(crate) fn into_bytes(self) -> SecretBytes {
        self.bytes
    }

    /// Takes the content out and keeps what tells of other writers.
    pub(crate) fn take_bytes(&mut self) -> SecretBytes {
        std::mem::take(&mut self.bytes)
    }
}

/// Reads a file. What a killed run left beside it is cleared away.
pub(crate) fn read(path: &Path) -> io::Result<Original> {
    remains::clear(path);
    let file = File::open(path)?;
    read_open(file)
}

/// Reads a file that will be replaced at once: another program that updates it the same way waits until this one is
/// done, so that both changes last.
pub(crate) fn read_to_update(path: &Path) -> io::Result<Original> {
    remains::clear(path);
    let file = open_locked(path)?;
    let lock = file.try_clone()?;
    let mut original = read_open(file)?;
    original._lock = Some(lock);
    Ok(original)
}

/// The most that is read of anything: all of it is held in memory, several times over.
const LARGEST: u64 = 4 << 30;

/// Refuses what has more than [`LARGEST`].
fn refuse_large(length: u64) -> io::Result<()> {
    if length <= LARGEST {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::FileTooLarge,
        "it has more than 4 GiB, which is more than this program holds in memory",
    ))
}

/// Reads all of standard input.
pub(crate) fn read_stdin() -> io::Result<SecretBytes> {
    let mut writer = SecretWriter::with_capacity(64 << 10);
    loop {
        let at = writer.len();
        let room = writer.extend_zeroed(64 << 10);
        let got = stdio::read(room)?;
        writer.truncate(at + got);
        refuse_large(writer.len() as u64)?;
        if got == 0 {
            return Ok(writer.finish());
        }
    }
}

fn read_open(mut file: File) -> io::Result<Original> {
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    refuse_large(metadata.len())?;
    let expected = usize::try_from(metadata.len()).unwrap_or(0);
    // Room for the file, and a little to see that it ends there; more only for what has no size, or grew meanwhile.
    const STEP: usize = 8 << 10;
    let mut writer = SecretWriter::with_capacity(expected + 64);
    let mut most = if expected > 0 { expected + 1 } else { STEP };
    while writer.read_from(&mut file, most)? == most {
        refuse_large(writer.len() as u64)?;
        most = STEP;
    }
    Ok(Original {
        bytes: writer.finish(),
        state: match metadata.is_file() {
            true => State::File(Stamp::of(&metadata)),
            false => State::Stream,
        },
        _lock: None,
    })
}

/// Opens the file at `path` under an exclusive lock. A file that was replaced while we waited is opened again.
pub(super) fn open_locked(path: &Path) -> io::Result<File> {
    loop {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(file);
        }
        // Some network file systems have no locks; the stamp still tells of another writer.
        let _ = rustix::fs::flock(&file, FlockOperation::LockExclusive);
        let now = fs::metadata(path)?;
        if (now.dev(), now.ino()) == (metadata.dev(), metadata.ino()) {
            return Ok(file);
        }
    }
}
