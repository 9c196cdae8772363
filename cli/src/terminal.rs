//! Standard output, error and input, the terminal behind them, and the program's log.
//!
//! # Contract
//! - [`Terminal::out`] writes documents and other results byte for byte. In everything else every character that a terminal
//!   would obey is written out ([`crate::visible`]), wherever the text came from.
//! - Standard error has messages, and those are without private keys and tokens. Lines of results on standard output are as they
//!   are: who puts a message into one uses [`Terminal::say_message`] or [`crate::visible::without_secrets`].
//! - A message is one line. Only [`Terminal::tell_text`] keeps line breaks, for texts of this program.

mod input;

use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use jiff::{Timestamp, Unit};

use crate::error::{Error, Kind, Result};
use crate::stdio;
use crate::visible::{escaped, json_line, json_message, visible};

pub(crate) use input::TerminalModes;

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

    fn colour(self) -> Colour {
        match self {
            Level::Debug => Colour::Grey,
            Level::Info => Colour::Cyan,
            Level::Warning => Colour::Yellow,
        }
    }
}

/// A colour of a message or of a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    /// What failed or goes.
    Red,
    /// What succeeded or comes.
    Green,
    /// Warnings.
    Yellow,
    /// Hints.
    Cyan,
    /// What matters least.
    Grey,
}

impl Colour {
    fn sgr(self) -> u8 {
        match self {
            Colour::Red => 31,
            Colour::Green => 32,
            Colour::Yellow => 33,
            Colour::Cyan => 36,
            Colour::Grey => 37,
        }
    }
}

/// In whose manner warnings and log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    /// As `sops` writes them: the part of the program in brackets, time, level and message. Warnings that upstream does
    /// not have appear on a terminal only: scripts compare standard error byte for byte.
    Upstream,
    /// In our own: `warning: …`.
    Own,
}

/// The program's way to people and to other programs.
#[derive(Debug)]
pub(crate) struct Terminal {
    voice: Voice,
    /// 0 with `--quiet`, 1 by default, 2 and more with `--verbose`.
    verbosity: AtomicU8,
    colours: AtomicBool,
    is_terminal: bool,
    json: AtomicBool,
    progress_shown: AtomicBool,
}

impl Terminal {
    /// Looks at what the standard streams are.
    pub(crate) fn new(voice: Voice) -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == OsStr::new("dumb"));
        let is_terminal = io::stderr().is_terminal();
        Self {
            voice,
            verbosity: AtomicU8::new(1),
            colours: AtomicBool::new(!unwanted && is_terminal),
            is_terminal,
            json: AtomicBool::new(false),
            progress_shown: AtomicBool::new(false),
        }
    }

    /// Shows lines of the log below a warning, too.
    pub(crate) fn set_verbose(&self, verbose: bool) {
        self.set_verbosity(if verbose { 2 } else { 1 });
    }

    /// How much is told beside results: 0 is warnings and errors only, 2 and more are the log.
    pub(crate) fn set_verbosity(&self, verbosity: u8) {
        self.verbosity.store(verbosity, Ordering::Relaxed);
    }

    /// How much is told beside results.
    pub(crate) fn verbosity(&self) -> u8 {
        self.verbosity.load(Ordering::Relaxed)
    }

    /// Uses colours, or none, whatever standard error is.
    pub(crate) fn set_colours(&self, colours: bool) {
        self.colours.store(colours, Ordering::Relaxed);
    }

    /// Writes warnings as JSON, one object a line.
    pub(crate) fn set_json(&self, json: bool) {
        self.json.store(json, Ordering::Relaxed);
    }

    /// Whether standard input is a terminal, and a person may be typing there.
    pub(crate) fn reads_from_person(&self) -> bool {
        rustix::termios::isatty(rustix::stdio::stdin())
    }

    /// Tells a person at a terminal that the program waits for what they type.
    pub(crate) fn announce_typing(&self) {
        if self.voice == Voice::Own && self.reads_from_person() {
            self.remark("reading from the terminal; end with Ctrl-D");
        }
    }

    /// In whose manner this program speaks.
    pub(crate) fn voice(&self) -> Voice {
        self.voice
    }

    fn colours(&self) -> bool {
        self.colours.load(Ordering::Relaxed)
    }

    /// `text` in a colour where colours are wanted. What a terminal would obey is written out in it already.
    fn paint(&self, colour: Colour, text: &str) -> String {
        if self.colours() {
            format!("\x1b[{}m{text}\x1b[0m", colour.sgr())
        } else {
            text.to_owned()
        }
    }

    /// Writes to standard output. When the reader went away the rest is not wanted: the program ends without a word, as if
    /// SIGPIPE had ended it.
    pub(crate) fn out(&self, bytes: &[u8]) -> Result<()> {
        self.clear_progress();
        stdio::write_all(rustix::stdio::stdout(), bytes).map_err(|errno| {
            if errno == rustix::io::Errno::PIPE {
                return Error::new(Kind::Pipe, "");
            }
            // sops has a code of its own for files only.
            let kind = match self.voice {
                Voice::Own => Kind::Write,
                Voice::Upstream => Kind::Generic,
            };
            Error::new(kind, "cannot write to standard output").because(errno)
        })
    }

    /// Writes a line of a result to standard output.
    pub(crate) fn say(&self, line: &str) -> Result<()> {
        self.out(format!("{}\n", escaped(line)).as_bytes())
    }

    /// Writes a line to standard output that is a message, or has one in it.
    pub(crate) fn say_message(&self, line: &str) -> Result<()> {
        self.out(format!("{}\n", visible(line)).as_bytes())
    }

    /// Writes a line of a result to standard output in a colour.
    pub(crate) fn say_painted(&self, colour: Colour, line: &str) -> Result<()> {
        self.out(format!("{}\n", self.paint(colour, &escaped(line))).as_bytes())
    }

    /// Writes JSON to standard output, on one line.
    pub(crate) fn say_json(&self, value: &serde_json::Value) -> Result<()> {
        self.out(format!("{}\n", json_line(value)).as_bytes())
    }

    /// Writes a line to standard error.
    pub(crate) fn tell(&self, line: &str) {
        self.tell_raw(&visible(line));
    }

    /// Writes several lines to standard error.
    pub(crate) fn tell_text(&self, text: &str) {
        let lines: Vec<_> = text.split('\n').map(visible).collect();
        self.tell_raw(&lines.join("\n"));
    }

    /// Writes a line to standard error with a mark in a colour before it.
    pub(crate) fn tell_marked(&self, colour: Colour, mark: &str, text: &str) {
        let mark = self.paint(colour, &visible(mark));
        self.tell_raw(&format!("{mark} {}", visible(text)));
    }

    /// Writes a line to standard error whose end is in a colour.
    pub(crate) fn tell_verdict(&self, text: &str, colour: Colour, verdict: &str) {
        let verdict = self.paint(colour, &visible(verdict));
        self.tell_raw(&format!("{}{verdict}", visible(text)));
    }

    /// Writes JSON to standard error, on one line.
    pub(crate) fn tell_json(&self, value: &serde_json::Value) {
        self.tell_raw(&json_message(value));
    }

    /// Writes a line to standard error that is of interest to a person who waits, and nothing with `--quiet`.
    pub(crate) fn remark(&self, line: &str) {
        if self.verbosity() > 0 && !self.json.load(Ordering::Relaxed) {
            self.tell(line);
        }
    }

    fn tell_raw(&self, text: &str) {
        self.clear_progress();
        // Lines of several threads stay whole. No one is left to read a message about a closed standard error.
        let _alone = io::stderr().lock();
        let _ = stdio::write_all(rustix::stdio::stderr(), format!("{text}\n").as_bytes());
    }

    /// Writes a line of the log: the part of the program in brackets, then time, level and message; on a terminal the
    /// short form in colour (S82).
    pub(crate) fn log(&self, level: Level, part: &str, message: &str) {
        if level >= Level::Warning || self.verbosity() > 1 {
            self.log_always(level, part, message);
        }
    }

    /// Writes a line of the log whatever its level, as servers do.
    pub(crate) fn log_always(&self, level: Level, part: &str, message: &str) {
        if self.voice == Voice::Own {
            if self.json.load(Ordering::Relaxed) {
                let value = serde_json::json!({ "level": level.name(), "message": message });
                return self.tell_json(&value);
            }
            return self.tell_marked(level.colour(), &format!("{}:", level.name()), message);
        }
        if self.colours() {
            let mark = level.name()[..4].to_uppercase();
            let mark = self.paint(level.colour(), &mark);
            self.tell_raw(&format!("[{part}]\t {mark} {}", visible(message)));
        } else {
            let now = Timestamp::now()
                .round(Unit::Second)
                .unwrap_or_else(|_| Timestamp::now());
            let message = json_message(&serde_json::Value::from(message));
            self.tell_raw(&format!(
                "[{part}]\t time=\"{now}\" level={} msg={message}",
                level.name()
            ));
        }
    }

    /// A warning of the command line.
    pub(crate) fn warn(&self, message: &str) {
        self.log(Level::Warning, "CMD", message);
    }

    /// Whether warnings and hints that upstream does not have are shown.
    pub(crate) fn advises(&self) -> bool {
        self.voice == Voice::Own || self.is_terminal
    }

    /// A warning that upstream does not have.
    pub(crate) fn advise(&self, message: &str) {
        if self.advises() {
            self.warn(message);
        }
    }

    /// Shows how far a long work is, on a terminal only; the next line takes its place.
    pub(crate) fn progress(&self, done: usize, total: usize, what: &str) {
        if self.colours() && self.is_terminal && total > 1 && self.verbosity() > 0 {
            self.progress_shown.store(true, Ordering::Relaxed);
            let _ = write!(io::stderr(), "\r\x1b[K{done}/{total} {}", escaped(what));
        }
    }

    /// Takes the progress line away.
    pub(crate) fn clear_progress(&self) {
        if self.progress_shown.swap(false, Ordering::Relaxed) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
