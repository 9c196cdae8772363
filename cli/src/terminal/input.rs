//! What a person is asked, and what they type.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::atomic::Ordering;

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use sealwright_crypto::master_key::Callbacks;
use sealwright_crypto::secret::{SecretText, SecretWriter};

use super::Terminal;
use crate::signals::{Watch, code_of, end};
use crate::stdio;
use crate::visible::visible;

impl Terminal {
    /// Asks a question on standard output and reads a line from standard input; `None` at its end.
    pub(crate) fn ask_line(&self, question: &str) -> Option<String> {
        self.out(visible(question).as_bytes()).ok()?;
        let mut line = Vec::new();
        let mut byte = [0];
        // Byte by byte, so that what follows the line is left for a child or the next question.
        loop {
            match stdio::read(&mut byte).ok()? {
                0 if line.is_empty() => return None,
                0 => break,
                _ if byte[0] == b'\n' => break,
                _ => line.push(byte[0]),
            }
        }
        Some(String::from_utf8_lossy(&line).trim().to_owned())
    }

    /// Asks until the answer is `y` or `n`; `None` when no one answers, and with JSON: a program reads standard output, and
    /// has no answer.
    pub(crate) fn ask_yes_no(&self, question: &str) -> Option<bool> {
        if self.json.load(Ordering::Relaxed) {
            return None;
        }
        loop {
            match self.ask_line(&format!("{question} (y/n):"))?.as_str() {
                "y" | "Y" => return Some(true),
                "n" | "N" => return Some(false),
                _ => {}
            }
        }
    }

    /// Asks for a secret on the terminal, which does not show it; `None` without a terminal, or when it was given up.
    pub(crate) fn ask_secret(&self, question: &str) -> Option<SecretText> {
        let mut tty = open_tty().ok()?;
        self.clear_progress();
        let text = read_unseen(&mut tty, &format!("{}: ", visible(question)));
        writeln!(tty).ok()?;
        text
    }
}

impl Callbacks for Terminal {
    fn show(&self, message: &str) {
        self.tell(message);
    }

    fn passphrase(&self, what: &str) -> Option<SecretText> {
        self.ask_secret(what)
    }

    fn ask(&self, what: &str) -> Option<String> {
        let mut tty = open_tty().ok()?;
        self.clear_progress();
        write!(tty, "{}: ", visible(what)).ok()?;
        let mut line = Vec::new();
        let mut byte = [0];
        while tty.read(&mut byte).ok()? == 1 && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        Some(String::from_utf8_lossy(&line).trim().to_owned())
    }
}

/// How the terminal of this process was set, for when another program leaves it otherwise.
#[derive(Clone, Debug)]
pub(crate) struct TerminalModes(Option<Termios>);

impl TerminalModes {
    /// How it is set at the moment.
    pub(crate) fn now() -> Self {
        Self(
            open_tty()
                .ok()
                .and_then(|tty| rustix::termios::tcgetattr(tty).ok()),
        )
    }

    /// Sets it that way again. In the background it belongs to another process.
    pub(crate) fn restore(&self) {
        if let (Some(modes), Ok(tty)) = (&self.0, open_tty())
            && rustix::termios::tcgetpgrp(&tty)
                .is_ok_and(|group| group == rustix::process::getpgrp())
        {
            let _ = rustix::termios::tcsetattr(&tty, OptionalActions::Now, modes);
        }
    }
}

fn open_tty() -> io::Result<File> {
    File::options().read(true).write(true).open("/dev/tty")
}

/// Reads a line with echo switched off, and asks for it once it is: what is typed at the sight of the question is not shown.
/// Signal keys are read as bytes meanwhile: a killed program would leave the
/// terminal silent.
fn read_unseen(tty: &mut File, question: &str) -> Option<SecretText> {
    const INTERRUPT: u8 = 3;
    const END: u8 = 4;
    const ERASE_ALL: u8 = 21;

    let modes = TerminalModes::now();
    let before = rustix::termios::tcgetattr(&*tty).ok()?;
    let mut silent = before.clone();
    silent
        .local_modes
        .remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    silent.special_codes[SpecialCodeIndex::VMIN] = 1;
    silent.special_codes[SpecialCodeIndex::VTIME] = 0;
    let _watch = Watch::start(move |signal| {
        modes.restore();
        end(code_of(signal))
    });
    rustix::termios::tcsetattr(&*tty, OptionalActions::Flush, &silent).ok()?;
    let asked = tty.write_all(question.as_bytes());

    let mut line = SecretWriter::with_capacity(256);
    let mut byte = [0];
    let finished = loop {
        if asked.is_err() {
            break false;
        }
        match tty.read(&mut byte) {
            Ok(1) => match byte[0] {
                b'\n' | b'\r' => break true,
                INTERRUPT => break false,
                END if line.is_empty() => break false,
                END => break true,
                ERASE_ALL => line.truncate(0),
                8 | 127 => line.truncate(start_of_last_char(line.expose())),
                other => line.push_byte(other),
            },
            Ok(_) => break false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break false,
        }
    };
    rustix::termios::tcsetattr(&*tty, OptionalActions::Now, &before).ok()?;
    if !finished {
        return None;
    }
    SecretText::from_bytes(line.finish()).ok()
}

fn start_of_last_char(text: &[u8]) -> usize {
    text.iter()
        .rposition(|byte| byte & 0xC0 != 0x80)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erasing_takes_whole_characters() {
        assert_eq!(start_of_last_char("aж".as_bytes()), 1);
        assert_eq!(start_of_last_char(b""), 0);
    }
}
