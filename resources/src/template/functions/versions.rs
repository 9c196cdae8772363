//! Semantic versions and constraints on them.

mod constraint;

use std::cmp::Ordering;
use std::fmt;
use std::sync::{Arc, LazyLock};

use regex::Regex;

use super::super::value::Value;
use super::Parameter::Text;
use super::{Entry, fixed, text};

pub(super) const FUNCTIONS: &[Entry] = &[
    (
        "semver",
        fixed(&[Text], |_, a| {
            let version = Version::parse(&text(a, 0).lossy())?;
            Ok(Value::Version(Arc::new(version)))
        }),
    ),
    (
        "semverCompare",
        fixed(&[Text, Text], |_, a| {
            let constraint = text(a, 0).lossy();
            let version = text(a, 1).lossy();
            constraint::holds(&constraint, &version).map(Value::Bool)
        }),
    ),
];

/// A version.
#[derive(Clone, PartialEq, Eq)]
pub(in super::super) struct Version {
    numbers: [u64; 3],
    prerelease: String,
    metadata: String,
    original: String,
}

static VERSION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"^v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?",
        r"(?:-((?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*))?",
        r"(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$",
    ))
    .expect("the expression is a constant")
});

impl Version {
    /// Reads a version; minor and patch may be missing, and numbers may start with zeros.
    fn parse(original: &str) -> Result<Self, String> {
        let invalid = || "invalid semantic version".to_owned();
        let found = VERSION.captures(original).ok_or_else(invalid)?;
        let part = |index: usize| found.get(index).map_or("", |part| part.as_str());
        let number = |index: usize| match part(index) {
            "" => Ok(0),
            digits => digits.parse().map_err(|_| invalid()),
        };
        Ok(Self {
            numbers: [number(1)?, number(2)?, number(3)?],
            prerelease: part(4).to_owned(),
            metadata: part(5).to_owned(),
            original: original.to_owned(),
        })
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.numbers
            .cmp(&other.numbers)
            .then_with(|| compare_prereleases(&self.prerelease, &other.prerelease))
    }

    /// Calls a method of the incumbent's type; `None` if there is no such method here.
    pub(in super::super) fn method(
        &self,
        name: &str,
        arguments: &[Value],
    ) -> Option<Result<Value, String>> {
        let number = |index: usize| Some(Ok(Value::Uint64(self.numbers[index])));
        let text = |text: &str| Some(Ok(Value::text(text)));
        match (name, arguments) {
            ("Major", []) => number(0),
            ("Minor", []) => number(1),
            ("Patch", []) => number(2),
            ("Prerelease", []) => text(&self.prerelease),
            ("Metadata", []) => text(&self.metadata),
            ("Original", []) => text(&self.original),
            ("String", []) => text(&self.to_string()),
            ("Compare", [Value::Version(other)]) => {
                Some(Ok(Value::Int(self.compare(other) as i64)))
            }
            ("Equal", [Value::Version(other)]) => {
                Some(Ok(Value::Bool(self.compare(other) == Ordering::Equal)))
            }
            ("LessThan", [Value::Version(other)]) => {
                Some(Ok(Value::Bool(self.compare(other) == Ordering::Less)))
            }
            ("GreaterThan", [Value::Version(other)]) => {
                Some(Ok(Value::Bool(self.compare(other) == Ordering::Greater)))
            }
            ("IncMajor", []) => Some(Ok(self.increased(0))),
            ("IncMinor", []) => Some(Ok(self.increased(1))),
            ("IncPatch", []) => Some(Ok(self.increased(2))),
            _ => None,
        }
    }

    /// The next version; a pre-release is followed by its own release.
    fn increased(&self, index: usize) -> Value {
        let mut numbers = self.numbers;
        if index < 2 || self.prerelease.is_empty() {
            numbers[index] = numbers[index].wrapping_add(1);
        }
        numbers[index + 1..].fill(0);
        let [major, minor, patch] = numbers;
        let prefix = if self.original.starts_with('v') {
            "v"
        } else {
            ""
        };
        Value::Version(Arc::new(Self {
            numbers,
            prerelease: String::new(),
            metadata: String::new(),
            original: format!("{prefix}{major}.{minor}.{patch}"),
        }))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        if !self.prerelease.is_empty() {
            write!(f, "-{}", self.prerelease)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

/// A release comes after its pre-releases; numbers come before words.
fn compare_prereleases(left: &str, right: &str) -> Ordering {
    match (left.is_empty(), right.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let ordering = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => a.cmp(b),
            },
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
}
