//! The expressions that say which files a rule is for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::ConfigError;
use crate::selection::{InvalidPattern, LARGEST, Pattern};

/// A `path_regex` with the place where it stands. It is compiled when it is asked for the first time: of many rules a file
/// comes to the first ones only.
#[derive(Clone, Debug)]
pub struct PathPattern {
    /// The expression; empty matches everything.
    pub text: String,
    line: usize,
    path: String,
    room: Arc<Room>,
    compiled: OnceLock<Result<Pattern, InvalidPattern>>,
}

impl PathPattern {
    pub(super) fn new(text: String, line: usize, path: String, room: &Arc<Room>) -> Self {
        Self {
            text,
            line,
            path,
            room: Arc::clone(room),
            compiled: OnceLock::new(),
        }
    }

    /// Whether it is found in every path, as far as that shows at once.
    pub(super) fn takes_everything(&self) -> bool {
        let rest = self.text.trim_start_matches('^').trim_end_matches('$');
        matches!(rest, "" | ".*" | ".+")
    }

    /// Whether it is found anywhere in a path; a broken one is an error when it is reached.
    pub fn matches(&self, path: &str) -> Result<bool, ConfigError> {
        if self.text.is_empty() {
            return Ok(true);
        }
        let matches = match self.compiled.get() {
            Some(kept) => Self::find(kept, path),
            None => {
                let compiled = self.room.compile(&self.text);
                let found = Self::find(&compiled, path);
                if self.room.keeps_one_more() {
                    self.compiled.get_or_init(|| compiled);
                }
                found
            }
        };
        matches.map_err(|reason| ConfigError {
            line: self.line,
            path: format!("{}.path_regex", self.path),
            reason,
        })
    }

    fn find(compiled: &Result<Pattern, InvalidPattern>, path: &str) -> Result<bool, String> {
        match compiled {
            Ok(pattern) => Ok(pattern.is_match(path.as_bytes())),
            Err(invalid) => Err(invalid.to_string()),
        }
    }
}

/// The memory that the expressions of one configuration may take together. A short expression can take ten megabytes and a
/// tenth of a second once it is compiled, and a configuration can have thousands.
#[derive(Debug)]
pub(super) struct Room {
    bytes: AtomicUsize,
    /// How many expressions more are kept; others are compiled each time.
    kept: AtomicUsize,
}

/// An expression that takes so much is not counted: it is like nearly all that people write.
const SMALL: usize = 16 << 10;
/// What others are tried with, one after the other.
const SIZES: [usize; 4] = [64 << 10, 512 << 10, 4 << 20, LARGEST];
const MOST_BYTES: usize = 64 << 20;
const MOST_KEPT: usize = 1_000;

impl Default for Room {
    fn default() -> Self {
        Self {
            bytes: AtomicUsize::new(MOST_BYTES),
            kept: AtomicUsize::new(MOST_KEPT),
        }
    }
}

impl Room {
    /// Compiles an expression while there is room.
    pub(super) fn compile(&self, text: &str) -> Result<Pattern, InvalidPattern> {
        let too_large = |reason: &str| InvalidPattern {
            pattern: text.to_owned(),
            reason: reason.to_owned(),
        };
        if let Some(small) = Pattern::within(text, SMALL)? {
            return Ok(small);
        }
        for size in SIZES {
            if !take(&self.bytes, size) {
                return Err(too_large("it and those before it are too large together"));
            }
            if let Some(pattern) = Pattern::within(text, size)? {
                return Ok(pattern);
            }
        }
        Err(too_large("it is too large"))
    }

    fn keeps_one_more(&self) -> bool {
        take(&self.kept, 1)
    }
}

fn take(from: &AtomicUsize, much: usize) -> bool {
    let rest = |left: usize| left.checked_sub(much);
    from.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest)
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_expressions_share_what_there_is() {
        let room = Room {
            bytes: AtomicUsize::new(600 << 10),
            kept: AtomicUsize::new(1),
        };
        let room = Arc::new(room);
        let pattern = |text: &str| PathPattern::new(text.into(), 7, "rules[0]".into(), &room);
        // One of these is larger than 16 KiB, and smaller than 512.
        let (first, second) = (pattern(r"^\pL{3}$"), pattern(r"^\pN\pL{3}$"));
        assert_eq!(first.matches("abc"), Ok(true));
        assert_eq!(first.matches("1"), Ok(false), "it is kept");
        let refused = second.matches("1abc").unwrap_err();
        assert_eq!(refused.line, 7);
        assert!(refused.reason.contains("too large together"), "{refused}");
        // What is small is not counted, and works without being kept.
        let small = pattern("^a+$");
        assert_eq!(
            (small.matches("aa"), small.matches("b")),
            (Ok(true), Ok(false))
        );
        assert_eq!(pattern("").matches("x"), Ok(true));
    }
}
