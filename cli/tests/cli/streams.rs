//! Standard streams that another program left in a state where nothing waits, as Node and SSH do.

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use super::desk::Desk;

/// Time enough for the program to meet a stream that is not ready.
const MOMENT: Duration = Duration::from_millis(500);

/// Our end, and one for the program that is never waited for.
fn impatient() -> (UnixStream, Stdio) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    (ours, Stdio::from(OwnedFd::from(theirs)))
}

#[test]
fn all_of_a_document_comes_through_a_full_stream() {
    let desk = Desk::with_rule();
    let text = "0123456789".repeat(200_000);
    desk.encrypted("big.bin", &text);
    let (mut reader, end) = impatient();
    let mut child = desk
        .command()
        .args(["decrypt", "big.bin"])
        .stdin(Stdio::null())
        .stdout(end)
        .spawn()
        .unwrap();
    sleep(MOMENT);
    let mut got = String::new();
    reader.read_to_string(&mut got).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(got == text, "{} of {} bytes", got.len(), text.len());
}

#[test]
fn input_that_comes_late_is_waited_for() {
    let desk = Desk::with_rule();
    let (mut writer, end) = impatient();
    let child = desk
        .command()
        .args(["encrypt", "--name", "a.yaml"])
        .stdin(end)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    sleep(MOMENT);
    writer.write_all(b"a: 1\n").unwrap();
    drop(writer);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("a: ENC["), "{text}");
}
