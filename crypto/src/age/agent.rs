//! Asks a running gpg-agent for the passphrase of an identity file: it has a cache and a prompt of its own.
//!
//! Other programs keep passphrases of the same files in the same cache, so the identifier is theirs: `SopsAge` and the
//! base32 of the first 25 bytes of the file's SHA-256.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::{fs::FileTypeExt, net::UnixStream},
    path::PathBuf,
    time::Duration,
};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{secret::SecretText, surroundings::Surroundings};

/// What the agent said.
pub(super) enum Answer {
    /// The passphrase.
    Passphrase(SecretText),
    /// The person pressed cancel, who must not be asked again elsewhere.
    Cancelled,
    /// There is no agent, or it cannot ask.
    Nothing,
}

/// Asks for the passphrase with which `file` (without its armor) is encrypted; `what` and a colon are shown.
pub(super) fn ask(surroundings: &dyn Surroundings, file: &[u8], what: &str) -> Answer {
    let Some(mut agent) = Agent::connect(surroundings) else {
        return Answer::Nothing;
    };
    if let Some(display) = text_of(surroundings, "DISPLAY") {
        drop(agent.command(&format!("OPTION display={display}")));
    }
    if let Ok(terminal) = std::fs::read_link("/proc/self/fd/0") {
        drop(agent.command(&format!("OPTION ttyname={}", terminal.display())));
    }
    if let Some(kind) = text_of(surroundings, "TERM") {
        drop(agent.command(&format!("OPTION ttytype={kind}")));
    }
    let request = format!(
        "GET_PASSPHRASE {} X Passphrase {}",
        cache_identifier(file),
        percent_encode(&format!("{what}:"))
    );
    match agent.command(&request) {
        Ok(line) => match line.strip_prefix("OK ").and_then(unhex) {
            Some(passphrase) if !passphrase.expose().is_empty() => Answer::Passphrase(passphrase),
            // An empty passphrase opens nothing, but the agent would remember it.
            Some(_) => {
                forget(surroundings, file);
                Answer::Cancelled
            }
            None if line.split(' ').nth(1) == Some(CANCELLED) => Answer::Cancelled,
            None => Answer::Nothing,
        },
        Err(_) => Answer::Nothing,
    }
}

/// Lets the agent forget a passphrase that turned out wrong.
pub(super) fn forget(surroundings: &dyn Surroundings, file: &[u8]) {
    if let Some(mut agent) = Agent::connect(surroundings) {
        drop(agent.command(&format!("CLEAR_PASSPHRASE {}", cache_identifier(file))));
    }
}

/// `GPG_ERR_CANCELED` from `GPG_ERR_SOURCE_PINENTRY`.
const CANCELLED: &str = "83886179";
const LINE_LIMIT: u64 = 4096;

struct Agent {
    lines: BufReader<UnixStream>,
}

impl Agent {
    fn connect(surroundings: &dyn Surroundings) -> Option<Self> {
        let stream = UnixStream::connect(socket(surroundings)?).ok()?;
        // Only the greeting must come at once; a person may take their time with the rest.
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        let mut agent = Self {
            lines: BufReader::new(stream),
        };
        agent.line().ok()?.starts_with("OK").then_some(())?;
        agent.lines.get_ref().set_read_timeout(None).ok()?;
        Some(agent)
    }

    /// Sends a command and reads the answer. A line break in it would be a second command, of another's choice: the
    /// names of terminals and displays come from outside.
    fn command(&mut self, command: &str) -> io::Result<Zeroizing<String>> {
        if !is_one_line(command) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.lines
            .get_mut()
            .write_all(format!("{command}\n").as_bytes())?;
        loop {
            let line = self.line()?;
            if !line.starts_with('#') && !line.starts_with("S ") {
                return Ok(line);
            }
        }
    }

    fn line(&mut self) -> io::Result<Zeroizing<String>> {
        let mut line = Zeroizing::new(String::with_capacity(LINE_LIMIT as usize));
        self.lines.by_ref().take(LINE_LIMIT).read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let kept = line.trim_end().len();
        line.truncate(kept);
        Ok(line)
    }
}

/// `GPG_AGENT_INFO` names the socket before its first colon; otherwise it lies in one of two places.
fn socket(surroundings: &dyn Surroundings) -> Option<PathBuf> {
    if let Some(info) = text_of(surroundings, "GPG_AGENT_INFO") {
        let path = info.split(':').next().unwrap_or_default();
        return (!path.is_empty()).then(|| path.into());
    }
    let at_home = surroundings
        .home()
        .map(|home| home.join(".gnupg/S.gpg-agent"));
    let is_socket = |path: &PathBuf| {
        std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
    };
    match surroundings.var("XDG_RUNTIME_DIR") {
        Some(run) if !at_home.as_ref().is_some_and(is_socket) => {
            Some(PathBuf::from(run).join("gnupg/S.gpg-agent"))
        }
        _ => at_home,
    }
}

fn text_of(surroundings: &dyn Surroundings, name: &str) -> Option<String> {
    let value = surroundings.var(name)?.into_string().ok()?;
    (!value.is_empty()).then_some(value)
}

/// Whether a command is what the agent takes for one: no control characters, and not longer than its protocol allows.
fn is_one_line(command: &str) -> bool {
    const LONGEST: usize = 1000;
    command.len() < LONGEST && !command.chars().any(char::is_control)
}

fn cache_identifier(file: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let hash = Sha256::digest(file);
    let mut identifier = String::from("SopsAge");
    for group in hash[..25].chunks_exact(5) {
        let bits = group
            .iter()
            .fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
        for index in (0..8).rev() {
            let letter = ALPHABET[(bits >> (5 * index) & 31) as usize];
            identifier.push(char::from(letter));
        }
    }
    identifier
}

/// As in a web form: what is neither letter, digit nor one of `-_.~` is escaped, a blank becomes `+`.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            b' ' => encoded.push('+'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn unhex(digits: &str) -> Option<SecretText> {
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    let digits = digits.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    for pair in digits.chunks_exact(2) {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let byte = digit(pair[0])? << 4 | digit(pair[1])?;
        bytes.push(u8::try_from(byte).expect("two digits are one byte"));
    }
    SecretText::from_bytes(bytes.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_identifier_is_that_of_upstream() {
        // printf abc | sha256sum | xxd -r -p | head -c 25 | base32
        assert_eq!(
            cache_identifier(b"abc"),
            "SopsAgeXJ4BNP4PAHH6UQKBIDPF3LRCEOYAGYNDSYLXVHFU"
        );
    }

    #[test]
    fn a_command_with_a_line_break_never_reaches_the_agent() {
        let (here, there) = UnixStream::pair().unwrap();
        let mut agent = Agent {
            lines: BufReader::new(here),
        };
        for name in ["/dev/pts/1\nKILLAGENT", "a\rb", "a\u{0}b"] {
            let sent = agent.command(&format!("OPTION ttyname={name}"));
            assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        drop(agent);
        let mut seen = Vec::new();
        BufReader::new(there).read_to_end(&mut seen).unwrap();
        assert_eq!(seen, b"");
    }

    #[test]
    fn texts_are_escaped_for_the_agent() {
        assert_eq!(percent_encode("a b'c/é"), "a+b%27c%2F%C3%A9");
        assert_eq!(unhex("666F6f").unwrap().expose(), "foo");
        assert!(unhex("6").is_none());
        assert!(unhex("6x").is_none());
    }
}
