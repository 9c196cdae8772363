//! The programs that this one can be: each turns argv and environment into one struct of `command/`, and errors into
//! its own messages and exit codes.

pub(crate) mod esoctl;
pub(crate) mod kubeseal;
pub(crate) mod sealwright;
pub(crate) mod sops;

use crate::error::Error;
use crate::terminal::{Colour, Terminal};

/// Shows an error as every front-end does, one line with its causes and one for each hint, and gives its exit code.
pub(crate) fn report(terminal: &Terminal, error: &Error) -> u8 {
    for line in error.lines() {
        tell_line(terminal, &line);
    }
    hints(terminal, error);
    error.kind.code()
}

/// Shows what to do about an error.
pub(crate) fn hints(terminal: &Terminal, error: &Error) {
    for hint in &error.hints {
        terminal.tell_marked(Colour::Cyan, "hint:", hint);
    }
}

/// Shows a line of an error; the verdicts of key reports are in a colour.
fn tell_line(terminal: &Terminal, line: &str) {
    for (verdict, colour) in [("FAILED", Colour::Red), ("SUCCESS", Colour::Green)] {
        if let Some(text) = line.strip_suffix(verdict)
            && text.ends_with(": ")
        {
            return terminal.tell_verdict(text, colour, verdict);
        }
    }
    terminal.tell(line);
}
