//! Parses command lines in the syntax of Go's pflag, which Kubernetes programs use.
//!
//! A value follows its flag as `--flag value` or `--flag=value`. Naming a switch turns it on; `--flag=false` turns it off.
//! Short flags can share a word: `-abo json`, `-abojson` or `-abo=json`. Everything after `--` is an operand. The caller
//! defines the flags, validates their values and words the error messages.
//!
//! ```
//! use sealwright_pflag::{CommandLine, Found, Name, Part};
//!
//! let found = |name: Name<'_>| match name {
//!     Name::Long("output") | Name::Short('o') => Some(Found { flag: "output", is_switch: false }),
//!     Name::Long("quiet") | Name::Short('q') => Some(Found { flag: "quiet", is_switch: true }),
//!     _ => None,
//! };
//! let mut line = CommandLine::new(["-qojson", "file"].map(str::to_owned));
//! let mut read = Vec::new();
//! while let Some(part) = line.read(found).unwrap() {
//!     read.push(match part {
//!         Part::Flag { flag, value, .. } => format!("{flag} is {value}"),
//!         Part::Word(word) => word,
//!     });
//! }
//! assert_eq!(read, ["quiet is true", "output is json", "file"]);
//! ```

/// How a flag appears on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name<'a> {
    /// By its name, after two dashes.
    Long(&'a str),
    /// By a letter, after one dash.
    Short(char),
}

/// A flag that the program defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<F> {
    /// What the program knows it by.
    pub flag: F,
    /// Whether the flag is a switch, which needs no value.
    pub is_switch: bool,
}

/// One parsed element of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<F> {
    /// A flag.
    Flag {
        /// What the program knows it by.
        flag: F,
        /// How it was named, with its dashes.
        name: String,
        /// Its value; `true` for a switch given without one.
        value: String,
    },
    /// An operand: a word that is not a flag.
    Word(String),
}

/// Why a command line cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The program has no flag of this name.
    Unknown(String),
    /// The program has no flag of this letter.
    UnknownShort {
        /// The letter.
        letter: char,
        /// The word that contains it, with its dash.
        word: String,
    },
    /// The last word names a flag whose value is missing.
    MissingValue {
        /// How it was named, with its dashes.
        name: String,
    },
}

/// A command line, parsed one element at a time.
#[derive(Debug)]
pub struct CommandLine<W> {
    words: W,
    /// The word of short flags being read, and the offset of the next one.
    shorts: Option<(String, usize)>,
    /// Whether `--` was seen, so that only operands follow.
    only_words: bool,
}

impl<W: Iterator<Item = String>> CommandLine<W> {
    /// Starts parsing `words`, which must not include the name of the program.
    pub fn new(words: impl IntoIterator<Item = String, IntoIter = W>) -> Self {
        Self {
            words: words.into_iter(),
            shorts: None,
            only_words: false,
        }
    }

    /// Reads the next flag or operand, or returns `None` at the end. `find` looks up a flag of the program.
    ///
    /// # Errors
    ///
    /// Fails if the next word names an unknown flag, or a flag whose value is missing.
    pub fn read<F>(
        &mut self,
        find: impl Fn(Name<'_>) -> Option<Found<F>>,
    ) -> Result<Option<Part<F>>, Problem> {
        if let Some((word, at)) = self.shorts.take() {
            return self.short(word, at, find).map(Some);
        }
        let mut next = self.words.next();
        if !self.only_words && next.as_deref() == Some("--") {
            self.only_words = true;
            next = self.words.next();
        }
        let Some(word) = next else { return Ok(None) };
        if self.only_words || word == "-" || !word.starts_with('-') {
            return Ok(Some(Part::Word(word)));
        }
        let Some(long) = word.strip_prefix("--") else {
            return self.short(word, 1, find).map(Some);
        };
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        let Some(found) = find(Name::Long(name)) else {
            return Err(Problem::Unknown(name.to_owned()));
        };
        self.flag(found, format!("--{name}"), value).map(Some)
    }

    fn short<F>(
        &mut self,
        word: String,
        at: usize,
        find: impl Fn(Name<'_>) -> Option<Found<F>>,
    ) -> Result<Part<F>, Problem> {
        let letter = word[at..].chars().next().expect("a letter is left");
        let Some(found) = find(Name::Short(letter)) else {
            return Err(Problem::UnknownShort { letter, word });
        };
        let behind = at + letter.len_utf8();
        let rest = &word[behind..];
        let mut value = None;
        // An equals sign with nothing after it is an ordinary value or letter.
        let given = rest.strip_prefix('=').filter(|given| !given.is_empty());
        if let Some(given) = given {
            value = Some(given.to_owned());
        } else if !rest.is_empty() && !found.is_switch {
            value = Some(rest.to_owned());
        } else if !rest.is_empty() {
            self.shorts = Some((word, behind));
        }
        self.flag(found, format!("-{letter}"), value)
    }

    fn flag<F>(
        &mut self,
        found: Found<F>,
        name: String,
        value: Option<String>,
    ) -> Result<Part<F>, Problem> {
        let value = match value {
            Some(value) => value,
            None if found.is_switch => "true".to_owned(),
            None => match self.words.next() {
                Some(value) => value,
                None => return Err(Problem::MissingValue { name }),
            },
        };
        Ok(Part::Flag {
            flag: found.flag,
            name,
            value,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(name: Name<'_>) -> Option<Found<char>> {
        let (flag, is_switch) = match name {
            Name::Long("output") | Name::Short('o') => ('o', false),
            Name::Long("quiet") | Name::Short('q') => ('q', true),
            Name::Short('ä') => ('ä', true),
            _ => return None,
        };
        Some(Found { flag, is_switch })
    }

    /// Reads all parts: flags as `o:json`, words as they are.
    fn read(words: &[&str]) -> Result<Vec<String>, Problem> {
        let mut line = CommandLine::new(words.iter().map(|word| (*word).to_owned()));
        let mut parts = Vec::new();
        while let Some(part) = line.read(find)? {
            parts.push(match part {
                Part::Flag { flag, value, .. } => format!("{flag}:{value}"),
                Part::Word(word) => word,
            });
        }
        Ok(parts)
    }

    #[test]
    fn long_flags_take_the_next_word_and_switches_do_not() {
        let words = ["--output", "--quiet", "--output=", "--quiet", "a", "-", ""];
        assert_eq!(
            read(&words).unwrap(),
            ["o:--quiet", "o:", "q:true", "a", "-", ""]
        );
        let words = ["--quiet=false", "--output=a=b", "--", "--quiet", "--", "-q"];
        assert_eq!(
            read(&words).unwrap(),
            ["q:false", "o:a=b", "--quiet", "--", "-q"]
        );
    }

    #[test]
    fn short_flags_share_a_word() {
        for words in [&["-qäojson"][..], &["-qäo=json"], &["-qäo", "json"]] {
            assert_eq!(read(words).unwrap(), ["q:true", "ä:true", "o:json"]);
        }
        assert_eq!(read(&["-q=0", "-o="]).unwrap(), ["q:0", "o:="]);
        let (letter, word) = ('=', "-q=".to_owned());
        assert_eq!(read(&["-q="]), Err(Problem::UnknownShort { letter, word }));
        assert_eq!(read(&["-oq", "-q"]).unwrap(), ["o:q", "q:true"]);
    }

    #[test]
    fn problems_name_what_was_written() {
        assert_eq!(read(&["--nope=1"]), Err(Problem::Unknown("nope".into())));
        let word = "-qxo".to_owned();
        assert_eq!(
            read(&["-qxo"]),
            Err(Problem::UnknownShort { letter: 'x', word })
        );
        for (word, name) in [("--output", "--output"), ("-qo", "-o")] {
            let name = name.to_owned();
            assert_eq!(read(&[word]), Err(Problem::MissingValue { name }));
        }
    }
}
