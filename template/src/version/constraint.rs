//! `>= 1.2, < 2 || ~3.4`

use std::cmp::Ordering;
use std::sync::LazyLock;

use regex::Regex;

use super::{Version, compare_prereleases};

const VERSION: &str = concat!(
    r"v?([0-9|x|X|\*]+)(\.[0-9|x|X|\*]+)?(\.[0-9|x|X|\*]+)?",
    r"(-([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?(\+([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?",
);
const OPERATORS: &str = r"=||!=|>|<|>=|=>|<=|=<|~|~>|\^";

fn expression(pattern: &str) -> Regex {
    let pattern = pattern.replace("OPS", OPERATORS).replace("VER", VERSION);
    Regex::new(&pattern).expect("the expression is a constant")
}

static ONE: LazyLock<Regex> =
    LazyLock::new(|| expression(r"^[\t\n\f\r ]*(OPS)[\t\n\f\r ]*(VER)[\t\n\f\r ]*$"));
static RANGE: LazyLock<Regex> =
    LazyLock::new(|| expression(r"[\t\n\f\r ]*(VER)[\t\n\f\r ]+-[\t\n\f\r ]+(VER)[\t\n\f\r ]*"));
static EACH: LazyLock<Regex> = LazyLock::new(|| expression(r"(OPS)[\t\n\f\r ]*(VER)"));
static VALID: LazyLock<Regex> = LazyLock::new(|| {
    expression(
        r"^([\t\n\f\r ]*(OPS)[\t\n\f\r ]*(VER)[\t\n\f\r ]*)((?:[\t\n\f\r ]+|,[\t\n\f\r ]*)(OPS)[\t\n\f\r ]*(VER)[\t\n\f\r ]*)*$",
    )
});

/// Longer constraints are refused.
const MAX_LENGTH: usize = 4096;

/// Tells whether a version meets a constraint.
pub(crate) fn holds(constraint: &str, version: &str) -> Result<bool, String> {
    // What has ranges is rewritten once for each of them.
    if constraint.len() > MAX_LENGTH {
        return Err("improper constraint".to_owned());
    }
    let mut alternatives = Vec::new();
    for alternative in without_ranges(constraint).split("||") {
        if !VALID.is_match(alternative) {
            return Err("improper constraint".to_owned());
        }
        let found: Vec<&str> = EACH
            .find_iter(alternative)
            .map(|found| found.as_str())
            .collect();
        let conditions: Result<Vec<_>, _> = found.into_iter().map(Condition::parse).collect();
        alternatives.push(conditions?);
    }
    let version = Version::parse(version)?;
    Ok(alternatives.iter().any(|conditions| {
        // Pre-releases only meet constraints that speak of some.
        let speaks = conditions
            .iter()
            .any(|condition| !condition.version.prerelease.is_empty());
        let may = version.prerelease.is_empty() || speaks;
        may && conditions.iter().all(|condition| condition.holds(&version))
    }))
}

/// `1 - 2` is `>= 1, <= 2`.
fn without_ranges(constraint: &str) -> String {
    let mut out = constraint.to_owned();
    for range in RANGE.captures_iter(constraint) {
        let bounds = format!(">= {}, <= {} ", &range[1], &range[11]);
        out = out.replacen(&range[0], &bounds, 1);
    }
    out
}

struct Condition {
    operator: String,
    version: Version,
    /// Parts that were left out or are wild cards.
    is_open: bool,
    minor_is_open: bool,
    patch_is_open: bool,
}

impl Condition {
    fn parse(text: &str) -> Result<Self, String> {
        let improper = || "improper constraint".to_owned();
        let found = ONE.captures(text).ok_or_else(improper)?;
        let part = |index: usize| found.get(index).map_or("", |part| part.as_str());
        let is_open = |part: &str| matches!(part.trim_start_matches('.'), "" | "x" | "X" | "*");
        let (major, minor, patch, prerelease) = (part(3), part(4), part(5), part(6));
        let major_is_open = is_open(major);
        let minor_is_open = !major_is_open && is_open(minor);
        let patch_is_open = !major_is_open && !minor_is_open && is_open(patch);
        let version = if major_is_open {
            format!("0.0.0{prerelease}")
        } else if minor_is_open {
            format!("{major}.0.0{prerelease}")
        } else if patch_is_open {
            format!("{major}{minor}.0{prerelease}")
        } else {
            part(2).to_owned()
        };
        Ok(Self {
            operator: part(1).to_owned(),
            version: Version::parse(&version).map_err(|_| "constraint parser error")?,
            is_open: major_is_open || minor_is_open || patch_is_open,
            minor_is_open,
            patch_is_open,
        })
    }

    fn holds(&self, version: &Version) -> bool {
        let [major, minor, patch] = version.numbers;
        let [own_major, own_minor, own_patch] = self.version.numbers;
        let ordering = version.compare(&self.version);
        match self.operator.as_str() {
            "" | "=" if !self.is_open => ordering == Ordering::Equal,
            "" | "=" | "~" | "~>" => {
                ordering != Ordering::Less
                    && (self.is_anything()
                        || major == own_major && (self.minor_is_open || minor == own_minor))
            }
            "!=" if !self.is_open => ordering != Ordering::Equal,
            "!=" if major != own_major => true,
            "!=" if self.minor_is_open => false,
            "!=" if minor != own_minor => true,
            "!=" if self.patch_is_open => {
                compare_prereleases(&version.prerelease, &self.version.prerelease)
                    != Ordering::Equal
            }
            "!=" if patch != own_patch => true,
            "!=" => ordering != Ordering::Equal,
            ">" if self.is_open && major != own_major => major > own_major,
            ">" if self.minor_is_open => false,
            ">" if self.patch_is_open => minor > own_minor,
            ">" => ordering == Ordering::Greater,
            "<" => ordering == Ordering::Less,
            ">=" | "=>" => ordering != Ordering::Less,
            "<=" | "=<" if !self.is_open => ordering != Ordering::Greater,
            "<=" | "=<" => {
                major < own_major
                    || major == own_major && (self.minor_is_open || minor <= own_minor)
            }
            "^" => ordering != Ordering::Less && self.is_compatible([major, minor, patch]),
            _ => false,
        }
    }

    /// `~0.0.0` and wild cards, which upstream takes for any version.
    fn is_anything(&self) -> bool {
        self.version.numbers == [0; 3] && !self.minor_is_open && !self.patch_is_open
    }

    /// The first number that is not 0 stays.
    fn is_compatible(&self, [major, minor, patch]: [u64; 3]) -> bool {
        let [own_major, own_minor, own_patch] = self.version.numbers;
        if major != own_major {
            return false;
        }
        if own_major > 0 || self.minor_is_open {
            return true;
        }
        if own_minor > 0 || self.patch_is_open {
            return minor == own_minor;
        }
        minor == 0 && patch == own_patch
    }
}
