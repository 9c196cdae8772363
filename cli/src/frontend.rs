//! The programs that this one can be: each turns argv and environment into one struct of `command/`, and errors into
//! its own messages and exit codes.

pub(crate) mod kubeseal;
pub(crate) mod sealwright;
pub(crate) mod sops;

use crate::error::Error;
use crate::terminal::Terminal;

/// Shows an error as every front-end does, one line with its causes and one for each hint, and gives its exit code.
pub(crate) fn report(terminal: &Terminal, error: &Error) -> u8 {
    let message = error.message();
    if !message.is_empty() {
        terminal.tell(&message);
    }
    for hint in &error.hints {
        terminal.tell(&format!("{} {hint}", terminal.paint("36", "hint:")));
    }
    error.kind.code()
}
