//! The standard streams, byte for byte and without a buffer, which could keep plaintext.
//!
//! They are shared with other programs, and some leave them in a state where nothing waits: a stream that is not ready is waited
//! for.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, Result};

/// Reads what is there of standard input; nothing at its end.
pub(crate) fn read(buffer: &mut [u8]) -> Result<usize> {
    let stdin = rustix::stdio::stdin();
    loop {
        match rustix::io::read(stdin, &mut *buffer) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait(stdin, PollFlags::IN)?,
            done => return done,
        }
    }
}

/// Writes all of it to a stream.
pub(crate) fn write_all(stream: BorrowedFd<'_>, bytes: &[u8]) -> Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match rustix::io::write(stream, rest) {
            Ok(written) => rest = &rest[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait(stream, PollFlags::OUT)?,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Waits until a stream is ready, or will never be.
fn wait(stream: BorrowedFd<'_>, until: PollFlags) -> Result<()> {
    match poll(&mut [PollFd::new(&stream, until)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}
