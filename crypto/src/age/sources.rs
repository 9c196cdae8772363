//! Finds age identities in a fixed list of places, in order.
//!
//! # Contract
//! - Every place is searched. Finding identities in one does not hide the next.
//! - Nothing is read, run or asked for until something has to be unwrapped, and each result is cached for the lifetime of
//!   the program. Commands receive the recipient, so they run once per recipient.
//! - Identities that need no user interaction are tried first, in order. Those that may prompt the user or start a plugin
//!   come last.
//! - A place that fails does not stop the search. What happened at each place is reported only if no identity fits.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeSet, HashMap},
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use ::age::DecryptError;
use age_core::format::{FileKey, Stanza};

use super::{
    dialog::Helpers,
    identity::{self, Held, Identity, LockedFile},
};
use crate::{
    master_key::Callbacks,
    secret::{SecretBytes, SecretText},
    shell_words,
    surroundings::{Call, Surroundings},
};

/// The most bytes read from one place: a 16 MiB age file and its armor.
const READ_LIMIT: usize = 24 * 1024 * 1024;
/// The most stanza types that a report names.
const MOST_KINDS: usize = 4;

/// All identities that the program can find, shared by its age keys.
pub struct Identities {
    surroundings: Arc<dyn Surroundings>,
    callbacks: Arc<dyn Callbacks>,
    places: &'static [Place],
    found: Mutex<HashMap<Asked, Arc<Found>>>,
    locked: Mutex<Vec<Arc<LockedFile>>>,
}

impl Identities {
    /// Searches all places of `surroundings`, once something has to be unwrapped.
    pub fn new(surroundings: Arc<dyn Surroundings>, callbacks: Arc<dyn Callbacks>) -> Arc<Self> {
        Arc::new(Self {
            surroundings,
            callbacks,
            places: &Place::ALL,
            found: Mutex::default(),
            locked: Mutex::default(),
        })
    }

    /// Uses the identities in `text`, one per line, and searches nowhere else.
    pub fn only(
        text: &SecretText,
        surroundings: Arc<dyn Surroundings>,
        callbacks: Arc<dyn Callbacks>,
    ) -> Result<Arc<Self>, IdentitiesError> {
        let identities = identity::parse_all(text.expose(), false).map_err(IdentitiesError)?;
        let asked = Asked {
            place: Place::Given,
            recipient: None,
        };
        let found = Found {
            label: Place::Given.label().to_owned(),
            outcome: Outcome::Identities(identities),
        };
        Ok(Arc::new(Self {
            surroundings,
            callbacks,
            places: &[Place::Given],
            found: Mutex::new(HashMap::from([(asked, Arc::new(found))])),
            locked: Mutex::default(),
        }))
    }

    /// Lists what each place contains without running a program or prompting. Identities behind a command or a passphrase are
    /// listed as such.
    pub fn inventory(&self) -> Vec<Inventory> {
        let places = self.places.iter().map(|&place| {
            if place.is_command() {
                let is_set = self.surroundings.var(place.label()).is_some();
                return Inventory {
                    place: place.label().to_owned(),
                    content: match is_set {
                        true => Content::Command,
                        false => Content::Absent,
                    },
                };
            }
            let found = self.look(place, "");
            let content = match &found.outcome {
                Outcome::Absent => Content::Absent,
                Outcome::Failed(reason) => Content::Failed(reason.clone()),
                Outcome::Identities(identities) => {
                    Content::Identities(identities.iter().map(Identity::held).collect())
                }
            };
            Inventory {
                place: found.label.clone(),
                content,
            }
        });
        places.collect()
    }

    pub(super) fn callbacks(&self) -> &Arc<dyn Callbacks> {
        &self.callbacks
    }

    fn helpers(&self) -> Helpers<'_> {
        Helpers {
            surroundings: &*self.surroundings,
            callbacks: &self.callbacks,
        }
    }

    /// Returns what a place holds, and looks it up on the first call.
    fn look(&self, place: Place, recipient: &str) -> Arc<Found> {
        let asked = Asked {
            place,
            recipient: place.is_command().then(|| recipient.to_owned()),
        };
        // Held during the search, so that two threads never prompt for the same thing.
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(found.entry(asked).or_insert_with(|| {
            let (label, read) = self.read(place, recipient);
            let outcome = match read {
                Ok(Some(content)) => self.parse(place, &label, content),
                Ok(None) => Outcome::Absent,
                Err(reason) => Outcome::Failed(reason),
            };
            Arc::new(Found { label, outcome })
        }))
    }

    /// Fetches the text of a place. Returns its name for reports, and the text, nothing, or why it is unavailable.
    fn read(&self, place: Place, recipient: &str) -> (String, Result<Option<SecretBytes>, String>) {
        let label = place.label();
        match place {
            Place::SshFile | Place::KeyFile => match self.surroundings.var(label) {
                Some(path) => {
                    let path = PathBuf::from(path);
                    let content = self.read_file(&path).map_err(|error| error.to_string());
                    (format!("{label} ({})", path.display()), content.map(Some))
                }
                None => (label.to_owned(), Ok(None)),
            },
            Place::SshCommand | Place::KeyCommand => match self.surroundings.var(label) {
                Some(command) => (label.to_owned(), self.run(&command, recipient).map(Some)),
                None => (label.to_owned(), Ok(None)),
            },
            Place::Key => {
                let text = match self.surroundings.var(label).map(|text| text.into_string()) {
                    Some(Ok(text)) => Ok(Some(SecretText::from(text).into())),
                    Some(Err(_)) => Err("it is not text".to_owned()),
                    None => Ok(None),
                };
                (label.to_owned(), text)
            }
            Place::SshEd25519 => self.read_if_there(self.home("id_ed25519"), label),
            Place::SshRsa => self.read_if_there(self.home("id_rsa"), label),
            Place::Config => {
                let directory = self.surroundings.config_dir();
                self.read_if_there(directory.map(|path| path.join("sops/age/keys.txt")), label)
            }
            Place::Given => (label.to_owned(), Ok(None)),
        }
    }

    fn home(&self, name: &str) -> Option<PathBuf> {
        let home = self.surroundings.home()?;
        Some(home.join(".ssh").join(name))
    }

    fn read_if_there(
        &self,
        path: Option<PathBuf>,
        label: &str,
    ) -> (String, Result<Option<SecretBytes>, String>) {
        let Some(path) = path else {
            let reason = "there is no home directory";
            return (label.to_owned(), Err(reason.to_owned()));
        };
        let content = match self.read_file(&path) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        };
        (path.display().to_string(), content)
    }

    fn read_file(&self, path: &Path) -> io::Result<SecretBytes> {
        self.surroundings.read(path, READ_LIMIT)
    }

    fn run(&self, command: &OsStr, recipient: &str) -> Result<SecretBytes, String> {
        let command = command.to_str().ok_or("the command is not text")?;
        let words = shell_words::split(command)
            .map_err(|error| format!("the command {command:?} cannot be split: {error}"))?;
        let Some((program, arguments)) = words.split_first() else {
            return Err("the command is empty".to_owned());
        };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let outcome = self
            .surroundings
            .run(&Call {
                program: OsStr::new(program),
                arguments: &arguments,
                variables: &[("SOPS_AGE_RECIPIENT", recipient)],
                input: None,
            })
            .map_err(|error| format!("the command {command:?} cannot be run: {error}"))?;
        match outcome.failure {
            None => Ok(outcome.output),
            Some(failure) => {
                let complaint = String::from_utf8_lossy(&outcome.complaint);
                let complaint = complaint.lines().find(|line| !line.trim().is_empty());
                let complaint = complaint.map(|line| format!(": {}", line.trim()));
                Err(format!(
                    "the command {command:?} failed: {failure}{}",
                    complaint.unwrap_or_default()
                ))
            }
        }
    }

    fn parse(&self, place: Place, label: &str, content: SecretBytes) -> Outcome {
        let identities = if place.is_ssh() {
            parse_ssh(place, label, &content)
        } else if let Some(locked) = LockedFile::recognise(&content, label) {
            locked.map(|locked| vec![Identity::LockedFile(self.share(locked))])
        } else {
            match std::str::from_utf8(content.expose()) {
                Ok(text) => identity::parse_all(text, place == Place::Key),
                Err(_) => Err("it is not text".to_owned()),
            }
        };
        match identities {
            Ok(identities) => Outcome::Identities(identities),
            Err(reason) => Outcome::Failed(reason),
        }
    }

    /// Returns the known copy of an encrypted file, if there is one: the user enters its passphrase once even if two places,
    /// or a command that runs for every recipient, provide the same file.
    fn share(&self, file: LockedFile) -> Arc<LockedFile> {
        let mut locked = self.locked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = locked.iter().find(|known| known.content == file.content) {
            return Arc::clone(known);
        }
        let file = Arc::new(file);
        locked.push(Arc::clone(&file));
        file
    }
}

#[cfg(feature = "ssh")]
fn parse_ssh(place: Place, label: &str, key: &SecretBytes) -> Result<Vec<Identity>, String> {
    match super::ssh::parse(key, label)? {
        super::ssh::Parsed::Locked(_) if place.is_command() => {
            Err("the key is behind a passphrase, which only a key file may be".to_owned())
        }
        parsed => Ok(vec![parsed.into()]),
    }
}

#[cfg(not(feature = "ssh"))]
fn parse_ssh(_: Place, _: &str, _: &SecretBytes) -> Result<Vec<Identity>, String> {
    Err("this build is without SSH keys".to_owned())
}

/// What a place holds, for reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// The place: a path, or a variable and the file it names.
    pub place: String,
    /// What is there.
    pub content: Content,
}

/// What is in a place of identities.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// Nothing: the variable is not set, or the file is not there.
    Absent,
    /// The place cannot be used, for this reason.
    Failed(String),
    /// A command, which runs only when a file needs it.
    Command,
    /// These.
    Identities(Vec<Held>),
}

/// A place where identities are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    SshFile,
    SshCommand,
    SshEd25519,
    SshRsa,
    Key,
    KeyFile,
    KeyCommand,
    Config,
    Given,
}

impl Place {
    /// All places of the surroundings, in their order.
    const ALL: [Self; 8] = [
        Self::SshFile,
        Self::SshCommand,
        Self::SshEd25519,
        Self::SshRsa,
        Self::Key,
        Self::KeyFile,
        Self::KeyCommand,
        Self::Config,
    ];

    /// The environment variable behind the place, or a description of it.
    fn label(self) -> &'static str {
        match self {
            Self::SshFile => "SOPS_AGE_SSH_PRIVATE_KEY_FILE",
            Self::SshCommand => "SOPS_AGE_SSH_PRIVATE_KEY_CMD",
            Self::SshEd25519 => "~/.ssh/id_ed25519",
            Self::SshRsa => "~/.ssh/id_rsa",
            Self::Key => "SOPS_AGE_KEY",
            Self::KeyFile => "SOPS_AGE_KEY_FILE",
            Self::KeyCommand => "SOPS_AGE_KEY_CMD",
            Self::Config => "sops/age/keys.txt in the user's settings",
            Self::Given => "the given identities",
        }
    }

    fn is_ssh(self) -> bool {
        matches!(
            self,
            Self::SshFile | Self::SshCommand | Self::SshEd25519 | Self::SshRsa
        )
    }

    fn is_command(self) -> bool {
        matches!(self, Self::SshCommand | Self::KeyCommand)
    }

    fn is_variable(self) -> bool {
        !matches!(self, Self::SshEd25519 | Self::SshRsa | Self::Config)
    }
}

#[derive(PartialEq, Eq, Hash)]
struct Asked {
    place: Place,
    recipient: Option<String>,
}

struct Found {
    label: String,
    outcome: Outcome,
}

enum Outcome {
    Absent,
    Failed(String),
    Identities(Vec<Identity>),
}

/// One search through all places, as an identity of the `age` crate.
pub(super) struct Search<'a> {
    identities: &'a Identities,
    recipient: &'a str,
    tried: RefCell<Vec<String>>,
    /// Whether a place or an identity failed that might have fitted.
    failed: Cell<bool>,
    /// Whether to try identities, or only to build the report.
    trying: bool,
}

impl<'a> Search<'a> {
    pub(super) fn new(identities: &'a Identities, recipient: &'a str) -> Self {
        Self {
            identities,
            recipient,
            tried: RefCell::default(),
            failed: Cell::default(),
            trying: true,
        }
    }

    /// Creates a search that tries no identity and only reports what each place contains.
    pub(super) fn looking_only(identities: &'a Identities, recipient: &'a str) -> Self {
        Self {
            trying: false,
            ..Self::new(identities, recipient)
        }
    }

    /// Returns what happened at each place, if a place that failed might hold the identity.
    pub(super) fn into_failure(self) -> Option<Vec<String>> {
        self.failed.get().then(|| self.tried.into_inner())
    }

    /// Returns what happened at each place when no identity fitted.
    pub(super) fn into_report(self) -> Vec<String> {
        self.tried.into_inner()
    }

    fn run(&self, stanzas: &[Stanza]) -> Option<FileKey> {
        let for_ssh = stanzas.iter().any(|stanza| stanza.tag.starts_with("ssh-"));
        let helpers = self.identities.helpers();
        let mut seen = Vec::new();
        for &place in self.identities.places {
            if place.is_ssh() && !for_ssh {
                continue;
            }
            let found = self.identities.look(place, self.recipient);
            let mut failures = Vec::new();
            if self.trying
                && let Outcome::Identities(identities) = &found.outcome
            {
                for identity in identities.iter().filter(|identity| !identity.may_ask()) {
                    match identity.unwrap(stanzas, helpers) {
                        Some(Ok(file_key)) => return Some(file_key),
                        Some(Err(reason)) => failures.push(reason),
                        None => {}
                    }
                }
            }
            seen.push((place, found, failures));
        }
        for (_, found, failures) in &mut seen {
            if self.trying
                && let Outcome::Identities(identities) = &found.outcome
            {
                for identity in identities.iter().filter(|identity| identity.may_ask()) {
                    match identity.unwrap(stanzas, helpers) {
                        Some(Ok(file_key)) => return Some(file_key),
                        Some(Err(reason)) => failures.push(reason),
                        None => {}
                    }
                }
            }
        }
        self.failed.set(seen.iter().any(|(_, found, failures)| {
            matches!(found.outcome, Outcome::Failed(_)) || !failures.is_empty()
        }));
        self.tried.replace(
            seen.iter()
                .map(|(place, found, failures)| report(*place, found, failures))
                .collect(),
        );
        if !for_ssh && self.identities.places.iter().any(|place| place.is_ssh()) {
            // Every file carries a random stanza that is meant for no recipient, so that readers learn to skip unknown types.
            let kinds = stanzas.iter().map(|stanza| stanza.tag.as_str());
            let kinds: BTreeSet<&str> = kinds.filter(|tag| !tag.ends_with("-grease")).collect();
            // A hostile file may have thousands of stanzas, each of a different type.
            let mut named: Vec<&str> = kinds.iter().copied().take(MOST_KINDS).collect();
            if kinds.len() > MOST_KINDS {
                named.push("and more");
            }
            self.tried.borrow_mut().push(format!(
                "SSH keys: not looked at, they do not open {}",
                named.join(", ")
            ));
        }
        None
    }
}

fn report(place: Place, found: &Found, failures: &[String]) -> String {
    let label = &found.label;
    match &found.outcome {
        Outcome::Absent if place.is_variable() => format!("{label}: not set"),
        Outcome::Absent => format!("{label}: not there"),
        Outcome::Failed(reason) => format!("{label}: {reason}"),
        Outcome::Identities(identities) if identities.is_empty() => {
            format!("{label}: holds no identity")
        }
        Outcome::Identities(identities) => {
            const SHOWN: usize = 5;
            let mut names: Vec<String> = identities
                .iter()
                .take(SHOWN)
                .map(Identity::describe)
                .collect();
            if identities.len() > SHOWN {
                names.push(format!("{} more", identities.len() - SHOWN));
            }
            let reason = match failures {
                [] => "not the one it is for".to_owned(),
                failures => failures.join("; "),
            };
            format!("{label} ({}): {reason}", names.join(", "))
        }
    }
}

impl ::age::Identity for Search<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        self.run(stanzas).map(Ok)
    }
}

/// A text that should hold identities does not. Names the line, and never quotes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot use the age identities: {0}")]
pub struct IdentitiesError(String);
