//! A program before a terminal, and this end of the terminal.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// A program with a terminal of its own, and this end of it.
pub(crate) struct AtTerminal {
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
    /// How much of it was looked at by [`AtTerminal::expect`].
    read: usize,
    pub(crate) child: Child,
}

impl AtTerminal {
    /// A command that gives the program a terminal of its own.
    ///
    /// Taking one needs code between fork and exec; util-linux has a program for it.
    pub(crate) fn command(program: &Path) -> Command {
        let mut command = Command::new("setsid");
        // A shell without job control has what it starts in the background ignore the keys of a terminal.
        command.args(["--ctty", "--wait", "env", "--default-signal=INT,QUIT"]);
        command.arg(program);
        command
    }

    /// Runs a command of [`AtTerminal::command`], its three streams at the terminal.
    pub(crate) fn run(mut command: Command) -> Self {
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
        let (sender, screen) = mpsc::channel();
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
            screen,
            seen: String::new(),
            read: 0,
            child,
        }
    }

    /// Waits until the screen shows a text after what was expected before.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(at) = self.seen[self.read..].find(text) {
                self.read += at + text.len();
                return;
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Timeout) => panic!("no {text:?} within 30 s:\n{}", self.seen),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("no {text:?} to the end:\n{}", self.seen)
                }
            }
        }
    }

    /// Types.
    pub(crate) fn send(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// Waits for the end. Gives the exit code and all that the screen showed.
    pub(crate) fn finish(mut self) -> (i32, String) {
        let status = self.child.wait().unwrap();
        while let Ok(bytes) = self.screen.recv_timeout(Duration::from_secs(1)) {
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
        (status.code().unwrap_or(-1), self.seen)
    }
}
