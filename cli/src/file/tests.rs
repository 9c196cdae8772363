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
