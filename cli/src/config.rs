//! The configuration of a run: found, read and checked once, and asked for the rule of a file.

mod names;
pub(crate) mod rule_text;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use sealwright_crypto::key_kind::KeyFields;
use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::format::{Format, by_name};
use sealwright_documents::rules::{
    Config as Rules, ConfigError, CreationRule, Found, relative_path,
};
use sealwright_documents::selection::SelectionRule;

use crate::absolute::{absolute, absolute_by_name};
use crate::error::{Error, Fault, Result};
use crate::file;
use crate::key_texts::KeySettings;
use crate::terminal::{Terminal, Voice};
use crate::working_folder::{is_same, working_folder};

pub(crate) use self::names::Names;

/// How many warnings about a configuration a command prints that is about something else.
const MOST_WARNINGS: usize = 20;

/// The configurations that commands of this run go by, each read once.
pub(crate) struct Configurations {
    terminal: Arc<Terminal>,
    found: OnceLock<std::result::Result<Option<Place>, String>>,
    /// By the path that was named; `None` for the one that is found.
    loaded: Mutex<HashMap<Option<PathBuf>, Loaded>>,
}

type Loaded = std::result::Result<Option<Arc<Config>>, Arc<Error>>;

/// Where a configuration is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    path: PathBuf,
    /// As the user calls it.
    named: PathBuf,
    /// The folder that the paths of files are relative to. It has the name by which the shell came to the working folder,
    /// as many folders above it as the configuration was found: behind a symbolic link that is another one than the
    /// folder of the file, and rules match what upstream has them match.
    folder: PathBuf,
    /// Whether the paths below the folder that the file is in are relative to that one, too: behind such a link, files
    /// that the working folder's name does not lead to have no other name. Upstream does not find those files.
    knows_own_folder: bool,
}

impl Place {
    /// That of a configuration that was named.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let by_name = absolute_by_name(path)?;
        Ok(Self {
            path: absolute(path)?,
            named: path.to_owned(),
            folder: by_name.parent().unwrap_or(Path::new("/")).to_owned(),
            knows_own_folder: true,
        })
    }

    /// The folder that the file is in.
    pub(crate) fn own_folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// The folders that paths are relative to; the first one that a path lies below counts.
    fn folders(&self) -> impl Iterator<Item = &Path> {
        let own = self.knows_own_folder.then(|| self.own_folder());
        std::iter::once(self.folder.as_path()).chain(own)
    }
}

impl Configurations {
    /// Nothing is looked for before the first need.
    pub(crate) fn new(terminal: &Arc<Terminal>) -> Self {
        Self {
            terminal: Arc::clone(terminal),
            found: OnceLock::new(),
            loaded: Mutex::default(),
        }
    }

    /// The configuration that was named, or else the one that is found; a malformed one fails every command (S78).
    pub(crate) fn of(&self, named: Option<&Path>) -> Result<Option<Arc<Config>>> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let known = loaded
            .entry(named.map(Path::to_owned))
            .or_insert_with(|| self.load(named).map_err(Arc::new));
        known.clone().map_err(|error| error.again())
    }

    /// Where the configuration is: as named, or `.sops.yaml` in the working folder or the nearest one above (S146). It is
    /// looked for once.
    pub(crate) fn find(&self, named: Option<&Path>) -> Result<Option<Place>> {
        let found = match named {
            Some(path) => Place::of(path).map(Some),
            None => self
                .found
                .get_or_init(|| self.look().map_err(|error| error.message()))
                .clone()
                .map_err(Error::generic),
        };
        Ok(found?.map(|place| Place {
            knows_own_folder: self.terminal.voice() == Voice::Own,
            ..place
        }))
    }

    /// Lets commands go by another configuration from now on, under the name of the one that it takes the place of.
    pub(crate) fn put(&self, named: Option<&Path>, config: Config) {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.insert(named.map(Path::to_owned), Ok(Some(Arc::new(config))));
    }

    fn look(&self) -> Result<Option<Place>> {
        let gone = |error: std::io::Error| {
            Error::generic("the working folder is not there").because(error)
        };
        // The folders above are those that the system finds, whatever the shell calls them.
        let here = std::env::current_dir().map_err(gone)?;
        let named = working_folder().map_err(gone)?;
        for (height, folder) in here.ancestors().take(100).enumerate() {
            let folder_by_name = named.ancestors().nth(height).unwrap_or(Path::new("/"));
            let folder = match is_same(folder, folder_by_name) {
                true => folder_by_name,
                false => folder,
            };
            let path = folder.join(".sops.yaml");
            if path.exists() {
                return Ok(Some(Place {
                    named: path.clone(),
                    path,
                    folder: folder_by_name.to_owned(),
                    knows_own_folder: true,
                }));
            }
            let other = folder.join(".sops.yml");
            if other.exists() {
                // Real sops says so to scripts, too.
                self.terminal.warn(&format!(
                    "ignoring {}: the configuration file is called .sops.yaml",
                    other.display()
                ));
            }
        }
        Ok(None)
    }

    fn load(&self, named: Option<&Path>) -> Result<Option<Arc<Config>>> {
        let Some(place) = self.find(named)? else {
            return Ok(None);
        };
        let config = Config::read(&place)?;
        let warnings = &config.rules.warnings;
        for warning in warnings.iter().take(MOST_WARNINGS) {
            self.terminal.advise(&format!(
                "{}, line {}: {}: {}",
                place.named.display(),
                warning.line,
                warning.path,
                warning.text
            ));
        }
        if warnings.len() > MOST_WARNINGS {
            self.terminal.advise(&format!(
                "{}: {} more warnings; `sealwright config check` prints all",
                place.named.display(),
                warnings.len() - MOST_WARNINGS
            ));
        }
        Ok(Some(Arc::new(config)))
    }
}

/// A configuration and where it lies.
#[derive(Debug)]
pub(crate) struct Config {
    place: Place,
    text: SecretBytes,
    rules: Rules,
}

impl Config {
    /// Reads a configuration; one that says nothing has no rules (S147).
    pub(crate) fn read(place: &Place) -> Result<Self> {
        let original = file::read(&place.path)
            .map_err(|error| Self::unusable(&place.named, &crate::error::reason(&error)))?;
        Self::of_text(place, original.into_bytes())
    }

    fn unusable(path: &Path, reason: &str) -> Error {
        Error::of(Fault::Configuration(path.to_owned())).because(reason)
    }

    /// Reads the text of a configuration that lies, or will lie, in a place.
    pub(crate) fn of_text(place: &Place, text: SecretBytes) -> Result<Self> {
        let failed = |reason: String| Self::unusable(&place.named, &reason);
        let mut bytes = SecretBytes::copy_of(first_document(text.expose()));
        if is_blank(bytes.expose()) {
            bytes = b"{}\n".to_vec().into();
        }
        let yaml = by_name("yaml").expect("YAML is in the list of formats");
        let tree = yaml
            .parse(bytes)
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            place: place.clone(),
            text,
            rules: Rules::read(&tree).map_err(|error| failed(error.to_string()))?,
        })
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.place.path
    }

    /// Where it lies, and what paths are relative to.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Its text.
    pub(crate) fn text(&self) -> &SecretBytes {
        &self.text
    }

    /// The names that it gives to the keys of its rules.
    pub(crate) fn names(&self) -> Names {
        let rules = self.rules.creation_rules.iter().flatten();
        let groups = rules.filter_map(|rule| rule.groups().ok());
        Names::read(
            &String::from_utf8_lossy(self.text.expose()),
            groups.flatten().flatten(),
        )
    }

    /// The number of the rule that a file falls under, from 0; an error when a rule before it cannot be used.
    pub(crate) fn rule_number(&self, name: &Path) -> Result<Option<usize>> {
        Ok(match self.found(name)? {
            Found::Rule(number, _) => Some(number),
            Found::NoRules | Found::NoMatch => None,
        })
    }

    /// What the creation rules say of a file.
    fn found(&self, name: &Path) -> Result<Found<'_>> {
        self.rules
            .creation_rule(&self.matched_text(name))
            .map_err(|error| Self::unusable(&self.place.path, &error.to_string()))
    }

    /// What it says.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Columns per level in a format, where it says so.
    pub(crate) fn indent(&self, format: &dyn Format) -> Option<i32> {
        match format.name() {
            "yaml" => self.rules.yaml.indent,
            "json" => self.rules.json.indent,
            "binary" => self.rules.json_binary.indent,
            _ => None,
        }
    }

    /// The text that patterns are searched in.
    pub(crate) fn matched_text(&self, name: &Path) -> String {
        let name = name.to_string_lossy();
        let mut texts = self
            .place
            .folders()
            .map(|folder| relative_path(&name, &folder.to_string_lossy()).to_owned());
        texts
            .find(|text| text.len() < name.len())
            .unwrap_or_else(|| name.to_string())
    }

    /// The rule of a file; `None` when there are no rules at all, an error when there are and none matches (S149, S151).
    pub(crate) fn rule_for(&self, name: &Path, given: &KeySettings) -> Result<Option<Rule>> {
        let failed = |error: &dyn std::fmt::Display| {
            Error::of(Fault::Configuration(self.place.path.clone())).because(error.to_string())
        };
        let text = self.matched_text(name);
        match self
            .rules
            .creation_rule(&text)
            .map_err(|error| failed(&error))?
        {
            Found::NoRules => Ok(None),
            Found::NoMatch => Err(Error::of(Fault::NoRule(self.place.path.clone())).hint(
                match text.as_str() {
                    "" => "a name that rules can match is needed, too".to_owned(),
                    text => format!("no path_regex is found in {text:?}"),
                },
            )),
            Found::Rule(_, rule) => {
                let rule = Rule::of(rule, given).map_err(|error| failed(&error))?;
                for key in rule.groups.iter().flatten() {
                    key.check_named().map_err(|error| failed(&error))?;
                }
                Ok(Some(rule))
            }
        }
    }

    /// Returns whether a creation rule covers a file; `None` when there are no rules, an error when one of them cannot be
    /// used: then no one knows.
    pub(crate) fn covers(&self, name: &Path) -> Result<Option<bool>> {
        Ok(match self.found(name)? {
            Found::NoRules => None,
            Found::NoMatch => Some(false),
            Found::Rule(..) => Some(true),
        })
    }

    /// The rule that matches a file, and its line; `None` when none does, or there are none.
    pub(crate) fn matching_rule(&self, name: &Path) -> Result<Option<(usize, Rule)>> {
        let failed = |error: ConfigError| {
            Error::of(Fault::Configuration(self.place.path.clone())).because(error.to_string())
        };
        let text = self.matched_text(name);
        match self.rules.creation_rule(&text).map_err(failed)? {
            Found::NoRules | Found::NoMatch => Ok(None),
            Found::Rule(_, rule) => {
                let line = rule.line;
                let rule = Rule::of(rule, &KeySettings::default()).map_err(failed)?;
                Ok(Some((line, rule)))
            }
        }
    }
}

/// The first document of a configuration. Upstream reads no other, and what follows may be anything.
fn first_document(text: &[u8]) -> &[u8] {
    let mut has_begun = false;
    let mut at = 0;
    for line in text.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
        let content = line.trim_ascii_end();
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        let is_mark = |mark: &[u8]| {
            let rest = content.strip_prefix(mark);
            rest.is_some_and(|rest| matches!(rest.first(), None | Some(b' ' | b'\t')))
        };
        let (is_start, is_end) = (is_mark(b"---"), is_mark(b"..."));
        if has_begun && (is_start || is_end) {
            return &text[..at];
        }
        let says_nothing =
            is_end || matches!(content.trim_ascii_start().first(), None | Some(b'#'));
        has_begun |= !says_nothing && !content.starts_with(b"%");
        at += line.len();
    }
    text
}

/// Returns true if there is nothing but blanks and comments.
fn is_blank(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n').all(|line| {
        let line = line.trim_ascii();
        line.is_empty() || line.starts_with(b"#")
    })
}

/// What the creation rules say about one file.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) groups: Vec<Vec<KeyFields>>,
    pub(crate) threshold: u32,
    pub(crate) mac_only_encrypted: bool,
    pub(crate) selection: Option<SelectionRule>,
}

impl Rule {
    /// What a rule says, with the settings that flags give for its keys.
    pub(crate) fn of(
        rule: &CreationRule,
        given: &KeySettings,
    ) -> std::result::Result<Self, ConfigError> {
        let mut groups = rule.groups()?.to_vec();
        for key in groups.iter_mut().flatten() {
            given.complete_key_of_rule(key);
        }
        Ok(Self {
            groups,
            threshold: rule.shamir_threshold,
            mac_only_encrypted: rule.mac_only_encrypted,
            selection: rule.selection()?.cloned(),
        })
    }

    /// What a selection field says, when the rule has it.
    pub(crate) fn selection_of(&self, field: &str) -> Option<SelectionRule> {
        self.selection
            .clone()
            .filter(|selection| selection.field() == field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        let mut file = std::fs::File::create(path).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    }

    #[test]
    fn a_configuration_is_read_once_in_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yaml");
        write(&path, "creation_rules: [{ pgp: AB }]\n");
        let configurations = Configurations::new(&Arc::new(Terminal::new(Voice::Own)));
        let first = configurations.of(Some(&path)).unwrap().unwrap();
        write(&path, "creation_rules: 5\n");
        let again = configurations.of(Some(&path)).unwrap().unwrap();
        assert!(Arc::ptr_eq(&first, &again));

        let bad = folder.path().join("bad.yaml");
        write(&bad, "creation_rules: 5\n");
        let error = configurations.of(Some(&bad)).unwrap_err();
        std::fs::remove_file(&bad).unwrap();
        let same = configurations.of(Some(&bad)).unwrap_err();
        assert_eq!(error.message(), same.message());
    }

    #[test]
    fn what_follows_the_first_document_is_not_read() {
        let first = |text: &'static str| std::str::from_utf8(first_document(text.as_bytes()));
        for (text, document) in [
            ("a: 1\n---\nb: [}\n", "a: 1\n"),
            ("a: 1\n...\n][", "a: 1\n"),
            ("a: 1\r\n---\tb", "a: 1\r\n"),
            (
                "# c\n%YAML 1.2\n\n--- # c\na: 1\n--- b",
                "# c\n%YAML 1.2\n\n--- # c\na: 1\n",
            ),
            ("\u{feff}---\na: 1\n---\n", "\u{feff}---\na: 1\n"),
            ("---\n---\na: 1\n", "---\n"),
            ("...\na: 1\n", "...\na: 1\n"),
            ("a: |\n  ---\n---b: 1\n", "a: |\n  ---\n---b: 1\n"),
            ("", ""),
        ] {
            assert_eq!(first(text), Ok(document), "{text:?}");
        }
    }

    #[test]
    fn a_rule_checks_its_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".sops.yaml");
        write(
            &path,
            "creation_rules:\n  - path_regex: a\n    pgp: AB\n  - path_regex: b\n    age: age1x\n",
        );
        let config = Config::read(&Place::of(&path).unwrap()).unwrap();
        let rule = |name: &str| {
            let name = folder.path().join(name);
            config.rule_for(&name, &KeySettings::default())
        };
        assert_eq!(rule("a").unwrap().unwrap().groups[0][0].identity(), "AB");
        assert!(rule("b").unwrap_err().message().contains("\"age1x\""));
        assert!(rule("c").unwrap_err().hints[0].contains("\"c\""));
    }
}
