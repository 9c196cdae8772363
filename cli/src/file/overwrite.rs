//! A file that is written over in place, where no new one can take its place.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, OFlags};
use sealwright_crypto::secret::SecretBytes;

use super::{Content, shared_folder};

/// Opens a file to write over it: never through a link, and with plaintext only one of the user's own.
pub(super) fn open_to_overwrite(target: &Path, content: Content) -> io::Result<File> {
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
pub(super) fn overwrite(
    file: &mut File,
    bytes: &SecretBytes,
    old: Option<&SecretBytes>,
) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

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
}
