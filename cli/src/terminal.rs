//! Standard output, error and input, the terminal behind them, and the program's log.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::{Timestamp, Unit};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use sealwright_crypto::master_key::Callbacks;
use sealwright_crypto::secret::{SecretText, SecretWriter};

use crate::error::{Error, Kind, Result};
use crate::signals::{Watch, code_of, end};

/// How important a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Only with `--verbose`.
    Debug,
    /// Only with `--verbose`, and in servers.
    Info,
    /// Always.
    Warning,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warning => "warning",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Level::Debug => "37",
            Level::Info => "36",
            Level::Warning => "33",
        }
    }
}

/// The program's way to people and to other programs.
#[derive(Debug)]
pub(crate) struct Terminal {
    verbose: AtomicBool,
    colours: bool,
    progress_shown: AtomicBool,
}

impl Terminal {
    /// Looks at what the standard streams are.
    pub(crate) fn new() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == OsStr::new("dumb"));
        Self {
            verbose: AtomicBool::new(false),
            colours: !unwanted && io::stderr().is_terminal(),
            progress_shown: AtomicBool::new(false),
        }
    }

    /// Shows lines of the log below a warning, too.
    pub(crate) fn set_verbose(&self, verbose: bool) {
        self.verbose.store(verbose, Ordering::Relaxed);
    }

    /// Whether standard error is a terminal that wants colours.
    pub(crate) fn colours(&self) -> bool {
        self.colours
    }

    /// `text` in a colour (an SGR code such as `31`) where colours are wanted.
    pub(crate) fn paint(&self, sgr: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{sgr}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// Writes to standard output without a buffer of our own, which could keep plaintext. When the reader went away the
    /// rest is not wanted: the program ends without a word, as if SIGPIPE had ended it.
    pub(crate) fn out(&self, bytes: &[u8]) -> Result<()> {
        self.clear_progress();
        let mut rest = bytes;
        while !rest.is_empty() {
            match rustix::io::write(rustix::stdio::stdout(), rest) {
                Ok(written) => rest = &rest[written..],
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::PIPE) => return Err(Error::new(Kind::Pipe, "")),
                Err(errno) => {
                    return Err(
                        Error::new(Kind::Write, "cannot write to standard output").because(errno)
                    );
                }
            }
        }
        Ok(())
    }

    /// Writes a line to standard output.
    pub(crate) fn say(&self, line: &str) -> Result<()> {
        self.out(format!("{line}\n").as_bytes())
    }

    /// Writes a line to standard error.
    pub(crate) fn tell(&self, line: &str) {
        self.clear_progress();
        // Nobody is left to hear that standard error is closed.
        let _ = writeln!(io::stderr(), "{line}");
    }

    /// Writes a line of the log: the part of the program in brackets, then time, level and message; on a terminal the
    /// short form in colour (S82).
    pub(crate) fn log(&self, level: Level, part: &str, message: &str) {
        if level >= Level::Warning || self.verbose.load(Ordering::Relaxed) {
            self.log_always(level, part, message);
        }
    }

    /// Writes a line of the log whatever its level, as servers do.
    pub(crate) fn log_always(&self, level: Level, part: &str, message: &str) {
        if self.colours {
            let mark = level.name()[..4].to_uppercase();
            let mark = self.paint(level.colour(), &mark);
            self.tell(&format!("[{part}]\t {mark} {message}"));
        } else {
            let now = Timestamp::now()
                .round(Unit::Second)
                .unwrap_or_else(|_| Timestamp::now());
            let message = serde_json::Value::from(message);
            self.tell(&format!(
                "[{part}]\t time=\"{now}\" level={} msg={message}",
                level.name()
            ));
        }
    }

    /// A warning of the command line.
    pub(crate) fn warn(&self, message: &str) {
        self.log(Level::Warning, "CMD", message);
    }

    /// Asks a question on standard output and reads a line from standard input; `None` at its end.
    pub(crate) fn ask_line(&self, question: &str) -> Option<String> {
        self.out(question.as_bytes()).ok()?;
        let mut line = Vec::new();
        let mut byte = [0];
        // Byte by byte, so that what follows the line is left for a child or the next question.
        loop {
            match rustix::io::read(rustix::stdio::stdin(), &mut byte) {
                Ok(0) if line.is_empty() => return None,
                Ok(0) => break,
                Ok(_) if byte[0] == b'\n' => break,
                Ok(_) => line.push(byte[0]),
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return None,
            }
        }
        Some(String::from_utf8_lossy(&line).trim().to_owned())
    }

    /// Asks until the answer is `y` or `n`; `None` when there is nobody to answer.
    pub(crate) fn ask_yes_no(&self, question: &str) -> Option<bool> {
        loop {
            match self.ask_line(&format!("{question} (y/n):"))?.as_str() {
                "y" | "Y" => return Some(true),
                "n" | "N" => return Some(false),
                _ => {}
            }
        }
    }

    /// Shows how far a long work is, on a terminal only; the next line takes its place.
    pub(crate) fn progress(&self, done: usize, total: usize, what: &str) {
        if self.colours && total > 1 {
            self.progress_shown.store(true, Ordering::Relaxed);
            let _ = write!(io::stderr(), "\r\x1b[K{done}/{total} {what}");
        }
    }

    /// Takes the progress line away.
    pub(crate) fn clear_progress(&self) {
        if self.progress_shown.swap(false, Ordering::Relaxed) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Callbacks for Terminal {
    fn show(&self, message: &str) {
        self.tell(message);
    }

    fn passphrase(&self, what: &str) -> Option<SecretText> {
        let mut tty = open_tty().ok()?;
        self.clear_progress();
        write!(tty, "{what}: ").ok()?;
        let text = read_unseen(&mut tty);
        writeln!(tty).ok()?;
        text
    }

    fn ask(&self, what: &str) -> Option<String> {
        let mut tty = open_tty().ok()?;
        self.clear_progress();
        write!(tty, "{what}: ").ok()?;
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

    /// Sets it that way again. In the background it belongs to somebody else.
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

/// Reads a line with echo switched off. Signal keys are read as bytes meanwhile: a killed program would leave the
/// terminal silent.
fn read_unseen(tty: &mut File) -> Option<SecretText> {
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

    let mut line = SecretWriter::with_capacity(256);
    let mut byte = [0];
    let finished = loop {
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
