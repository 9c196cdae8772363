//! The version of the program that wrote a file.

use std::str::FromStr;

use super::MetadataError;

/// The version that new files name: the contract that is implemented. Other programs compare it with 3.3.0 and, when
/// they edit, with their own.
pub const VERSION: &str = "3.13.3";

/// A version that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    numbers: [u64; 3],
    pre_release: bool,
}

impl Version {
    /// Whether files of it may need the repair of KMS contexts.
    pub fn is_before_3_3(&self) -> bool {
        self.numbers < [3, 3, 0] || self.numbers == [3, 3, 0] && self.pre_release
    }

    /// Whether a program of this version is older than the one that wrote [`VERSION`]; `edit` raises those.
    pub fn is_older_than_ours(&self) -> bool {
        let ours: Version = VERSION.parse().expect("our own version is one");
        self.numbers < ours.numbers || self.numbers == ours.numbers && self.pre_release
    }
}

impl FromStr for Version {
    type Err = MetadataError;

    /// Takes three numbers with or without a `v` before and a pre-release or build after them; whatever starts with
    /// `1.` counts as old (T65).
    fn from_str(text: &str) -> Result<Self, MetadataError> {
        let wrong = || MetadataError::Version(text.to_owned());
        if text.is_empty() {
            return Err(MetadataError::Missing("version".into()));
        }
        if text.starts_with("1.") {
            return Ok(Self {
                numbers: [1, 0, 0],
                pre_release: false,
            });
        }
        let rest = text.strip_prefix('v').unwrap_or(text);
        let (rest, build) = match rest.split_once('+') {
            Some((rest, build)) => (rest, Some(build)),
            None => (rest, None),
        };
        let (core, pre) = match rest.split_once('-') {
            Some((core, pre)) => (core, Some(pre)),
            None => (rest, None),
        };
        let identifiers = |part: Option<&str>| {
            part.is_none_or(|part| {
                part.split('.').all(|id| {
                    !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                })
            })
        };
        if !identifiers(pre) || !identifiers(build) {
            return Err(wrong());
        }
        let mut numbers = [0; 3];
        let mut parts = core.split('.');
        for number in &mut numbers {
            let part = parts.next().ok_or_else(wrong)?;
            let leading_zero = part.len() > 1 && part.starts_with('0');
            if leading_zero || !part.bytes().all(|b| b.is_ascii_digit()) {
                return Err(wrong());
            }
            *number = part.parse().map_err(|_| wrong())?;
        }
        if parts.next().is_some() {
            return Err(wrong());
        }
        Ok(Self {
            numbers,
            pre_release: pre.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t65_versions() {
        let old = |text: &str| text.parse::<Version>().map(|v| v.is_before_3_3()).ok();
        assert_eq!(old("1.anything"), Some(true));
        assert_eq!(old("v3.2.9"), Some(true));
        assert_eq!(old("3.3.0-rc.1"), Some(true));
        assert_eq!(old("3.3.0"), Some(false));
        assert_eq!(old("3.13.3+build.5"), Some(false));
        for wrong in [
            "", "3.13", "3.13.3.1", "3.x.1", "03.1.1", "3.1.1-", "-1.0.0",
        ] {
            assert_eq!(old(wrong), None, "{wrong}");
        }
        let older = |text: &str| text.parse::<Version>().unwrap().is_older_than_ours();
        assert!(older("3.9.4") && older("3.13.3-alpha"));
        assert!(!older("3.13.3") && !older("4.0.0"));
    }
}
