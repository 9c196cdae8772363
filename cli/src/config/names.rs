//! The names that people have in a configuration.
//!
//! A key has the name that stands behind it in a comment, or that of its anchor:
//!
//! ```yaml
//! age:
//!   - age1… # alice
//! keys:
//!   - &bob age1…
//! ```

use std::collections::BTreeMap;

use sealwright_crypto::key_kind::KeyFields;

use crate::visible::recipient;

/// The bytes that are looked through for names: those of a file of 100 kB for 2,500 keys. Without names, keys are shown as they are.
const MOST_BYTES: usize = 1 << 28;

/// Names of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// By what tells a key apart among those of its kind.
    names: BTreeMap<(&'static str, String), String>,
}

impl Names {
    /// Looks for the names of keys in the text of a configuration.
    pub(super) fn read<'a>(text: &str, keys: impl Iterator<Item = &'a KeyFields>) -> Self {
        let mut keys: BTreeMap<_, String> = keys
            .map(|key| ((key.kind().section, key.identity()), key.address()))
            .collect();
        keys.retain(|_, address| !address.is_empty());
        // Each key is looked for in each line.
        if keys.len().saturating_mul(text.len()) > MOST_BYTES {
            return Self::default();
        }
        let mut names = BTreeMap::new();
        for line in text.lines() {
            let mut on_line = keys
                .iter()
                .filter_map(|(id, address)| Some((id, position(line, address)?, address.len())));
            // Of several keys on one line no one can tell which of them is meant.
            let (Some((id, at, length)), None) = (on_line.next(), on_line.next()) else {
                continue;
            };
            let name = anchor(&line[..at]).or_else(|| comment(&line[at + length..]));
            if let Some(name) = name {
                names.entry(id.clone()).or_insert(name);
            }
        }
        Self { names }
    }

    /// The name of a key, if it has one.
    pub(crate) fn of(&self, section: &str, identity: &str) -> Option<&str> {
        let mut all = self.names.iter();
        all.find(|((kind, key), _)| *kind == section && key == identity)
            .map(|(_, name)| name.as_str())
    }

    /// A key for people: with its name where it has one.
    pub(crate) fn shown(&self, section: &str, identity: &str) -> String {
        match self.of(section, identity) {
            Some(name) => format!("{name} ({})", recipient(identity)),
            None => recipient(identity).into_owned(),
        }
    }

    /// The keys of a person, by the section of their kind and their identity.
    pub(crate) fn keys_of(&self, person: &str) -> Vec<(&'static str, String)> {
        let all = self.names.iter().filter(|(_, name)| *name == person);
        all.map(|(id, _)| id.clone()).collect()
    }

    /// All names, each once.
    pub(crate) fn all(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.names.values().map(String::as_str).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Where a key stands as a word of its own.
fn position(line: &str, key: &str) -> Option<usize> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | ':');
    line.match_indices(key).map(|(at, _)| at).find(|at| {
        let before = line[..*at].chars().next_back();
        let after = line[at + key.len()..].chars().next();
        // In a comment a key is only mentioned.
        !line[..*at].contains('#') && !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// The anchor in front of a key.
fn anchor(before: &str) -> Option<String> {
    let name = before.trim_end().rsplit(char::is_whitespace).next()?;
    let name = name.strip_prefix('&')?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// The comment behind a key.
fn comment(after: &str) -> Option<String> {
    let (between, text) = after.split_once('#')?;
    let is_mark = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',');
    let text = text.trim();
    (between.ends_with(char::is_whitespace) && between.chars().all(is_mark) && !text.is_empty())
        .then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use sealwright_crypto::key_kind::AGE;

    use super::*;

    #[test]
    fn people_have_the_names_of_comments_and_anchors() {
        let keys: Vec<KeyFields> = ["age1aa", "age1bb", "age1cc", "age1dd", "age1ee"]
            .map(|text| KeyFields::of(&AGE, text))
            .to_vec();
        let text = "# age1ee # nobody\nkeys:\n  - &bob age1bb # laptop\nrules:\n  - age: 'age1aa' # alice a.\n  \
                    - age: age1cc,age1dd # both\n  - age: [age1dd] # list\n  - age: age1eex # other\n";
        let names = Names::read(text, keys.iter());
        assert_eq!(names.of("age", "age1aa"), Some("alice a."));
        assert_eq!(names.of("age", "age1bb"), Some("bob"));
        for nameless in ["age1cc", "age1dd", "age1ee"] {
            assert_eq!(names.of("age", nameless), None, "{nameless}");
        }
        assert_eq!(names.of("pgp", "age1aa"), None);
        assert_eq!(names.keys_of("bob"), [("age", "age1bb".to_owned())]);
        assert_eq!(names.all(), ["alice a.", "bob"]);
        assert_eq!(names.shown("age", "age1aa"), "alice a. (age1aa)");
    }
}
