//! What a killed run left beside a file: its new content under the temporary name.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags};

use super::shared_folder::folder_of;

/// How the temporary name ends.
pub(super) const SUFFIX: &[u8] = b".sealwright";
/// Longer names are shortened in the middle: a name has at most 255 bytes.
const LONGEST: usize = 255 - 1 - SUFFIX.len();

/// The name that the new content of a file has for a moment: hidden, beside it, the same in every run.
pub(super) fn name_of(target: &Path) -> PathBuf {
    let base = target.file_name().unwrap_or_default().as_bytes();
    let mut name = vec![b'.'];
    if base.len() <= LONGEST {
        name.extend_from_slice(base);
    } else {
        name.extend_from_slice(&base[..LONGEST / 2]);
        name.extend_from_slice(&base[base.len() - LONGEST / 2..]);
    }
    name.extend_from_slice(SUFFIX);
    folder_of(target).join(OsString::from_vec(name))
}

/// Removes what a killed run left beside the file, if it left anything. What a living run is about to rename stays.
pub(super) fn clear(path: &Path) {
    let Ok(target) = super::shared_folder::resolve_input(path) else {
        return;
    };
    clear_name(&name_of(&target));
}

/// Removes a file met in a folder if its name says that a run left it.
pub(crate) fn clear_if_remains(name: &Path) {
    let file_name = name.file_name().unwrap_or_default().as_bytes();
    if file_name.starts_with(b".")
        && file_name.len() > SUFFIX.len() + 1
        && file_name.ends_with(SUFFIX)
    {
        clear_name(name);
    }
}

/// The same by the temporary name.
fn clear_name(name: &Path) {
    let Ok(file) = open(name) else { return };
    // Without locks it could be a living run's.
    let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
    if locked.is_ok() && is_ours(&file) && is_named(&file, name) {
        let _ = fs::remove_file(name);
    }
}

/// Waits until no living process holds the temporary name, then frees it.
pub(super) fn wait_and_remove(name: &Path) -> io::Result<()> {
    let in_the_way = |error: io::Error| {
        let text = format!("{} is in the way: {error}", name.display());
        io::Error::other(text)
    };
    let file = match open(name) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(in_the_way(error)),
    };
    if !is_ours(&file) {
        return Err(in_the_way(io::Error::other(
            "it is no file that this program left",
        )));
    }
    // Where there are no locks, the other's rename fails, and its file stays as it is.
    let _ = rustix::fs::flock(&file, FlockOperation::LockExclusive);
    if is_named(&file, name) {
        fs::remove_file(name).map_err(in_the_way)?;
    }
    Ok(())
}

/// Whether that name still means this file.
pub(super) fn is_named(file: &File, name: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(name)) {
        (Ok(file), Ok(name)) => (file.dev(), file.ino()) == (name.dev(), name.ino()),
        _ => false,
    }
}

fn open(name: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    File::options()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(name)
}

fn is_ours(file: &File) -> bool {
    // One of another user is no run of ours: it might hold its lock for ever.
    file.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.uid() == super::shared_folder::user())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use sealwright_crypto::secret::SecretBytes;

    use super::super::{Content, Existing, NewFile, read, read_to_update, replace};
    use super::*;
    use crate::terminal::{Terminal, Voice};

    /// Leaves what a run leaves that is killed after naming and before renaming.
    fn killed(target: &Path) -> PathBuf {
        let mut new = NewFile::create(target).unwrap();
        io::Write::write_all(&mut new.file, b"plaintext").unwrap();
        new.link().unwrap();
        new.kill();
        let name = name_of(target);
        // A child that another test has forked may hold a copy of the lock until it runs its program.
        let file = open(&name).unwrap();
        rustix::fs::flock(&file, FlockOperation::LockExclusive).unwrap();
        rustix::fs::flock(&file, FlockOperation::Unlock).unwrap();
        name
    }

    fn put(path: &Path, text: &str) {
        let (terminal, bytes) = (
            Terminal::new(Voice::Own),
            SecretBytes::copy_of(text.as_bytes()),
        );
        replace(&terminal, path, &bytes, Content::Plain, None).unwrap();
    }

    #[test]
    fn what_a_kill_leaves_is_its_owners_alone_and_the_next_run_removes_it() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.yaml");
        let link = folder.path().join("link.yaml");
        std::os::unix::fs::symlink("a.yaml", &link).unwrap();
        put(&target, "old");
        fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).unwrap();
        type Next<'a> = &'a dyn Fn(&Path);
        let nexts: [Next<'_>; 4] = [
            &|path| drop(read(path).unwrap()),
            &|path| drop(read_to_update(path).unwrap()),
            &|path| put(path, "new"),
            &|_| drop(read(&link).unwrap()),
        ];
        for next in nexts {
            let left = killed(&target);
            assert_eq!(left, folder.path().join(".a.yaml.sealwright"));
            assert_eq!(fs::metadata(&left).unwrap().mode() & 0o777, 0o600);
            next(&target);
            assert!(!left.exists());
            assert_eq!(fs::metadata(&target).unwrap().mode() & 0o777, 0o644);
        }
    }

    #[test]
    fn what_a_living_run_names_is_left_alone_and_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.yaml");
        let mut other = NewFile::create(&target).unwrap();
        other.link().unwrap();
        clear(&target);
        assert!(name_of(&target).exists());
        std::thread::scope(|scope| {
            let second = scope.spawn(|| put(&target, "second"));
            std::thread::sleep(std::time::Duration::from_millis(50));
            assert!(!second.is_finished());
            drop(other.rename_over(&target, Existing::Replaced).unwrap());
        });
        assert_eq!(fs::read(&target).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_not_ours_under_that_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.yaml");
        fs::create_dir(name_of(&target)).unwrap();
        let bytes = SecretBytes::copy_of(b"new");
        let refused = replace(
            &Terminal::new(Voice::Own),
            &target,
            &bytes,
            Content::Plain,
            None,
        );
        assert!(refused.unwrap_err().message().contains("is in the way"));
        clear(&target);
        assert!(name_of(&target).is_dir());
    }

    #[test]
    fn long_names_fit() {
        let long = "x".repeat(255);
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join(long);
        put(&target, "one");
        put(&target, "two");
        assert_eq!(fs::read(&target).unwrap(), b"two");
    }
}
