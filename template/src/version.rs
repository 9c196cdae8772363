//! Semantic versions and constraints on them.

mod constraint;

use std::cmp::Ordering;
use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

pub(crate) use self::constraint::holds;

/// A version.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) numbers: [u64; 3],
    pub(crate) prerelease: String,
    pub(crate) metadata: String,
    pub(crate) original: String,
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
    pub(crate) fn parse(original: &str) -> Result<Self, String> {
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

    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        self.numbers
            .cmp(&other.numbers)
            .then_with(|| compare_prereleases(&self.prerelease, &other.prerelease))
    }

    /// The next version; a pre-release is followed by its own release.
    pub(crate) fn increased(&self, index: usize) -> Self {
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
        Self {
            numbers,
            prerelease: String::new(),
            metadata: String::new(),
            original: format!("{prefix}{major}.{minor}.{patch}"),
        }
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
