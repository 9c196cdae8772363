//! Output into folders that other users may write into, such as `/tmp`. Other users need root to be played.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use super::desk::Desk;

const OTHER: u32 = 65_534;

/// A sticky folder for all, an encrypted file beside it, and a folder of the other user with a file in it.
struct Shared {
    desk: Desk,
    folder: PathBuf,
    theirs: PathBuf,
}

impl Shared {
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let desk = Desk::with_rule();
        desk.encrypted("a.yaml", "password: s3cr3t\n");
        let folder = desk.root().join("shared");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777)).unwrap();
        let private = desk.root().join("theirs");
        fs::create_dir(&private).unwrap();
        chown(&private, Some(OTHER), Some(OTHER)).unwrap();
        let theirs = private.join("file");
        fs::write(&theirs, "old").unwrap();
        chown(&theirs, Some(OTHER), Some(OTHER)).unwrap();
        Some(Self {
            desk,
            folder,
            theirs,
        })
    }

    #[track_caller]
    fn refused(&self, words: &[&str], target: &Path) {
        let mut words = words.to_vec();
        words.push(target.to_str().unwrap());
        let err = self.desk.run(&words).fails(3);
        assert!(err.contains("another user"), "{err}");
    }
}

#[test]
fn links_and_files_of_others_are_refused() {
    let Some(shared) = Shared::new() else { return };
    let link = shared.folder.join("link");
    symlink(&shared.theirs, &link).unwrap();
    lchown(&link, Some(OTHER), Some(OTHER)).unwrap();
    let dangling = shared.folder.join("dangling");
    symlink(shared.theirs.with_file_name("new"), &dangling).unwrap();
    lchown(&dangling, Some(OTHER), Some(OTHER)).unwrap();
    let file = shared.folder.join("file");
    fs::write(&file, "old").unwrap();
    chown(&file, Some(OTHER), Some(OTHER)).unwrap();
    for words in [
        &["decrypt", "a.yaml", "--out"][..],
        &["encrypt", "plain.yaml", "--out"],
        &["sops", "decrypt", "a.yaml", "--output"],
        &["sealing-key", "--bits", "2048", "--cert", "c.pem", "--key"],
    ] {
        shared.desk.write("plain.yaml", "a: 1\n");
        for target in [&link, &dangling, &file] {
            if words[0] == "sealing-key" && *target != dangling {
                continue; // What is there is refused anyway.
            }
            shared.refused(words, target);
        }
    }
    assert_eq!(fs::read(&shared.theirs).unwrap(), b"old");
    assert_eq!(fs::read(&file).unwrap(), b"old");
    assert!(!shared.theirs.with_file_name("new").exists());
}

#[test]
fn a_pipe_of_another_user_gets_nothing() {
    let Some(shared) = Shared::new() else { return };
    let pipe = shared.folder.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    chown(&pipe, Some(OTHER), Some(OTHER)).unwrap();
    // Both ends stay open here, so that nothing waits.
    let _reader = fs::File::options()
        .read(true)
        .write(true)
        .open(&pipe)
        .unwrap();
    shared.refused(&["decrypt", "a.yaml", "--out"], &pipe);
}

#[test]
fn plaintext_is_never_given_to_another_owner() {
    let Some(shared) = Shared::new() else { return };
    fs::set_permissions(&shared.theirs, fs::Permissions::from_mode(0o644)).unwrap();
    let target = shared.theirs.to_str().unwrap();
    let ran = shared.desk.run(["decrypt", "a.yaml", "--out", target]);
    assert!(ran.err.contains("is yours alone now"), "{}", ran.err);
    ran.good();
    let metadata = fs::metadata(&shared.theirs).unwrap();
    assert_eq!((metadata.uid(), metadata.mode() & 0o777), (0, 0o600));
    // Ciphertext keeps the owner, outside shared folders.
    chown(&shared.theirs, Some(OTHER), Some(OTHER)).unwrap();
    shared.desk.write("plain.yaml", "a: 1\n");
    shared
        .desk
        .run(["encrypt", "plain.yaml", "--out", target])
        .good();
    assert_eq!(fs::metadata(&shared.theirs).unwrap().uid(), OTHER);
}

#[test]
fn what_is_ones_own_is_written_as_ever() {
    let Some(shared) = Shared::new() else { return };
    let target = shared.folder.join("mine");
    let link = shared.folder.join("link");
    symlink("mine", &link).unwrap();
    for path in [&target, &link, &target] {
        let path = path.to_str().unwrap();
        shared.desk.run(["decrypt", "a.yaml", "--out", path]).good();
    }
    assert_eq!(fs::read(&target).unwrap(), b"password: s3cr3t\n");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

/// The temporary name of an output may be taken, under a lock that is never given up.
#[test]
fn another_users_file_under_the_temporary_name_is_not_waited_for() {
    let Some(shared) = Shared::new() else { return };
    let name = shared.folder.join(".x.sealwright");
    let held = fs::File::create(&name).unwrap();
    chown(&name, Some(OTHER), Some(OTHER)).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let target = shared.folder.join("x");
    let err = shared
        .desk
        .run(["decrypt", "a.yaml", "--out", target.to_str().unwrap()])
        .fails(3);
    assert!(err.contains("is in the way"), "{err}");
}
