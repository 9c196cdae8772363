//! The program at a terminal, and what a person sees on its screen.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::desk::{Desk, program};

/// The program with a terminal of its own, and this end of it.
pub(crate) struct Screen {
    keyboard: File,
    output: Receiver<Vec<u8>>,
    /// A terminal as people have it: it obeys every control sequence.
    terminal: vt100::Parser,
    child: Child,
}

impl Screen {
    /// Starts the program at a terminal of 50 lines and 160 columns.
    ///
    /// Taking a terminal needs code between fork and exec; `setsid` of util-linux has it.
    pub(crate) fn start(desk: &Desk, words: &[&str]) -> Self {
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait", "env", "--default-signal=INT,QUIT"]);
        command.arg(program()).args(words);
        desk.furnish(&mut command);
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = File::options()
            .read(true)
            .write(true)
            .open(OsStr::from_bytes(name.as_bytes()))
            .unwrap();
        let end = || Stdio::from(OwnedFd::from(slave.try_clone().unwrap()));
        let child = command
            .env("TERM", "xterm")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("setsid of util-linux is there");
        drop(command);
        drop(slave);
        let keyboard = File::from(master);
        let mut reader = keyboard.try_clone().unwrap();
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // A terminal that everyone left is an error to read from.
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            keyboard,
            output,
            terminal: vt100::Parser::new(50, 160, 200),
            child,
        }
    }

    /// Waits until the screen shows a text.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) {
        let end = Instant::now() + Duration::from_secs(30);
        while !self.text().contains(text) {
            let left = end.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.terminal.process(&bytes),
                Err(RecvTimeoutError::Timeout) => {
                    panic!("no {text:?} within 30 s:\n{}", self.text())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("no {text:?} to the end:\n{}", self.text())
                }
            }
        }
    }

    /// Types.
    pub(crate) fn send(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// What a person sees now.
    pub(crate) fn text(&self) -> String {
        self.terminal.screen().contents()
    }

    /// Waits for the end. Gives the exit code and what a person sees then.
    #[track_caller]
    pub(crate) fn finish(mut self) -> (i32, String) {
        let end = Instant::now() + Duration::from_secs(60);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "no end within 60 s:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        };
        while let Ok(bytes) = self.output.recv_timeout(Duration::from_secs(1)) {
            self.terminal.process(&bytes);
        }
        (status.code().unwrap_or(-1), self.text())
    }
}

impl Drop for Screen {
    /// A program that waits for a person must not outlive its test.
    fn drop(&mut self) {
        self.keyboard.write_all(b"\x03").ok();
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
