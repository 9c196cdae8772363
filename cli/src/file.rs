//! Files: read into wiped memory, replaced whole or not at all.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, FlockOperation, OFlags};
use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::error::{Error, Kind, Result};
use crate::stdio;
use crate::terminal::{Terminal, Voice};
use crate::visible::visible_path;

mod attributes;
mod new_file;
mod remains;
mod shared_folder;

use new_file::{Existing, NewFile};
pub(crate) use remains::clear_if_remains as clear_remains;
use shared_folder::folder_of;

/// What a file was when it was read, so that a writer can tell whether another writer changed it meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
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
enum State {
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
    state: State,
    /// Holds the lock of a file that is to be updated.
    _lock: Option<File>,
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

/// Reads the file that an output will replace. `None` when nothing is there, and when the output goes to a pipe or a
/// device: reading from it would wait for what only this program writes.
pub(crate) fn read_replaced(path: &Path) -> io::Result<Option<Original>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Ok(metadata) if is_special(&metadata) || is_standard_output(path) => Ok(None),
        _ => read(path).map(Some),
    }
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
fn open_locked(path: &Path) -> io::Result<File> {
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

fn open_to_overwrite(target: &Path, content: Content) -> io::Result<File> {
    let file = File::options()
        .write(true)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(target)?;
    let metadata = file.metadata()?;
    shared_folder::refuse_of_others(target, &metadata)?;
    if content != Content::Encrypted && metadata.uid() != shared_folder::user() {
        return Err(io::Error::other(
            "it belongs to another user, who must not be given what is in it",
        ));
    }
    if content == Content::Private {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Writes over the content of a file, which may be the only copy of it: the room is there before the first byte is
/// written, and after a failure the file has its `old` content again, whose room it still has.
fn overwrite(file: &mut File, bytes: &SecretBytes, old: Option<&SecretBytes>) -> io::Result<()> {
    let length = file.metadata()?.len();
    if let Err(error) = reserve(file, bytes.len() as u64) {
        let _ = file.set_len(length);
        return Err(error);
    }
    let written = write_whole(file, bytes);
    if let (Err(_), Some(old)) = (&written, old) {
        let _ = write_whole(file, old);
    }
    written
}

/// Gets the room for so many bytes, where the file system can tell.
fn reserve(file: &File, length: u64) -> io::Result<()> {
    use rustix::io::Errno;

    if length == 0 {
        return Ok(());
    }
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, length) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn write_whole(file: &mut File, bytes: &SecretBytes) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(bytes.expose())?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()
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
mod tests {
    use std::io::Read as _;
    use std::os::fd::AsRawFd as _;
    use std::path::PathBuf;

    use super::*;

    fn content(path: &Path) -> Vec<u8> {
        read(path).unwrap().bytes.expose().to_vec()
    }

    fn put(path: &Path, bytes: &[u8]) {
        let bytes = SecretBytes::copy_of(bytes);
        replace(
            &Terminal::new(Voice::Own),
            path,
            &bytes,
            Content::Plain,
            None,
        )
        .unwrap();
    }

    #[test]
    fn t61_mode_and_symlink_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real");
        let link = folder.path().join("link");
        put(&real, b"old");
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        put(&link, b"new and longer");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(content(&real), b"new and longer");
        assert_eq!(fs::metadata(&real).unwrap().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_private_file_is_its_owners_and_a_pipe_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = SecretBytes::copy_of(b"private");
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        let [new, old, dangling] = ["new", "old", "dangling"].map(|name| folder.path().join(name));
        put(&old, b"open to all");
        fs::set_permissions(&old, fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink("behind", &dangling).unwrap();
        for path in [&new, &old, &dangling] {
            replace(
                &Terminal::new(Voice::Own),
                path,
                &bytes,
                Content::Private,
                None,
            )
            .unwrap();
            assert_eq!((content(path), mode(path)), (b"private".to_vec(), 0o600));
        }
        assert!(fs::symlink_metadata(&dangling).unwrap().is_symlink());
        let nowhere = folder.path().join("no/where");
        assert!(
            replace(
                &Terminal::new(Voice::Own),
                &nowhere,
                &bytes,
                Content::Private,
                None
            )
            .is_err()
        );

        // `-w /dev/null` of an administrator must not take /dev/null away from everybody else.
        let pipe = folder.path().join("pipe");
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            kind,
            rustix::fs::Mode::from_raw_mode(0o622),
            0,
        )
        .unwrap();
        fs::set_permissions(&pipe, fs::Permissions::from_mode(0o622)).unwrap();
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        replace(
            &Terminal::new(Voice::Own),
            &pipe,
            &bytes,
            Content::Private,
            None,
        )
        .unwrap();
        assert_eq!(
            (reader.join().unwrap(), mode(&pipe)),
            (b"private".to_vec(), 0o622)
        );
    }

    #[test]
    fn a_pipe_without_a_name_is_written_to() {
        let (mut reader, writer) = io::pipe().unwrap();
        let path = PathBuf::from(format!("/dev/fd/{}", writer.as_raw_fd()));
        put(&path, b"through");
        drop(writer);
        let mut got = Vec::new();
        reader.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"through");
    }

    #[test]
    fn a_file_that_cannot_grow_keeps_its_content_when_it_is_overwritten() {
        use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

        const OLD: usize = 1 << 20;
        let old = SecretBytes::from(vec![b'o'; OLD]);
        let mut file = File::from(memfd_create("x", MemfdFlags::ALLOW_SEALING).unwrap());
        file.write_all(old.expose()).unwrap();
        // As on a full disk: there is room for what is there, and for no more.
        fcntl_add_seals(&file, SealFlags::GROW).unwrap();
        let long = SecretBytes::from(vec![b'n'; OLD + (1 << 20)]);
        let now = |file: &mut File| {
            let mut text = Vec::new();
            file.seek(SeekFrom::Start(0)).unwrap();
            file.read_to_end(&mut text).unwrap();
            SecretBytes::from(text)
        };
        assert!(overwrite(&mut file, &long, None).is_err());
        assert!(now(&mut file) == old);
        let short = SecretBytes::copy_of(b"new");
        overwrite(&mut file, &short, Some(&old)).unwrap();
        assert!(now(&mut file) == short);
    }

    #[test]
    fn a_file_in_a_folder_that_takes_no_new_one_is_overwritten() {
        for kind in [
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::ReadOnlyFilesystem,
            io::ErrorKind::ResourceBusy,
            io::ErrorKind::CrossesDevices,
        ] {
            assert!(cannot_rename(&kind.into()), "{kind}");
        }
        // There the file would fare no better.
        assert!(!cannot_rename(&io::ErrorKind::StorageFull.into()));
    }

    #[test]
    fn another_writer_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        put(&path, b"one");
        let original = read(&path).unwrap();
        put(&path, b"two");
        let refused = replace(
            &Terminal::new(Voice::Own),
            &path,
            &SecretBytes::copy_of(b"three"),
            Content::Encrypted,
            Some(&original),
        );
        assert_eq!(refused.unwrap_err().kind, Kind::Write);
        assert_eq!(content(&path), b"two");
    }

    #[test]
    fn updates_wait_for_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("count");
        put(&path, b"0");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        let original = read_to_update(&path).unwrap();
                        let count: u32 = std::str::from_utf8(original.bytes.expose())
                            .unwrap()
                            .parse()
                            .unwrap();
                        let next = SecretBytes::copy_of((count + 1).to_string().as_bytes());
                        let (terminal, content) = (Terminal::new(Voice::Own), Content::Encrypted);
                        replace(&terminal, &path, &next, content, Some(&original)).unwrap();
                    }
                });
            }
        });
        assert_eq!(content(&path), b"100");
    }

    #[test]
    fn a_missing_file_is_created_with_the_usual_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        put(&path, b"");
        let mode = fs::metadata(&path).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o666 & !umask());
    }
}
