//! Identities: the secret texts that open what was wrapped for their recipients.

use std::{
    io::Read,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use ::age::DecryptError;
use age_core::{
    format::{FileKey, Stanza},
    secrecy::SecretString,
};
use zeroize::Zeroizing;

use super::{
    armor,
    dialog::{Dialog, Helpers},
    header, hybrid,
    refusal::{describe, one_line},
};
use crate::secret::{SecretBytes, SecretText};

/// Bounds the work that a passphrase-encrypted file may ask for: 2^22 as in the age program, a few seconds.
const WORK_LIMIT: u8 = 22;
/// Bounds an encrypted identity file.
const FILE_LIMIT: usize = 16 * 1024 * 1024;

/// One thing that may open a file key.
pub(super) enum Identity {
    /// Opens without asking anybody.
    Plain(Plain),
    /// Asks a program, which may ask a person.
    Plugin(::age::plugin::Identity),
    /// A file of identities behind a passphrase.
    LockedFile(Arc<LockedFile>),
    /// An SSH key behind a passphrase.
    #[cfg(feature = "ssh")]
    LockedSsh(super::ssh::LockedKey),
}

/// An identity in memory.
pub(super) struct Plain {
    opener: Box<dyn Opener>,
    recipient: OnceLock<String>,
}

impl Plain {
    fn new(opener: impl Opener + 'static) -> Self {
        Self {
            opener: Box::new(opener),
            recipient: OnceLock::new(),
        }
    }

    /// Its public half. Only reports ask for it: to compute it takes a quarter of what opening takes.
    fn recipient(&self) -> &str {
        self.recipient.get_or_init(|| self.opener.recipient())
    }
}

/// Opens without asking anybody, and can tell its public half.
trait Opener: ::age::Identity + Send + Sync {
    fn recipient(&self) -> String;
}

impl Opener for ::age::x25519::Identity {
    fn recipient(&self) -> String {
        self.to_public().to_string()
    }
}

impl Opener for hybrid::Identity {
    fn recipient(&self) -> String {
        self.recipient().text()
    }
}

#[cfg(feature = "ssh")]
impl Opener for super::ssh::OpenKey {
    fn recipient(&self) -> String {
        self.recipient.clone()
    }
}

/// An identity, without anything secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its name for a report.
    pub name: String,
    /// What is encrypted for it; `None` where a passphrase or a plugin would have to tell.
    pub recipient: Option<String>,
}

impl Identity {
    /// Tells whether trying it may start a program or ask a person.
    pub(super) fn may_ask(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }

    /// Opens one of the stanzas; `None` when none is for it, an error when one is and does not open.
    pub(super) fn unwrap(
        &self,
        stanzas: &[Stanza],
        helpers: Helpers<'_>,
    ) -> Option<Result<FileKey, String>> {
        match self {
            Self::Plain(plain) => plain
                .opener
                .unwrap_stanzas(stanzas)
                .map(|result| result.map_err(describe)),
            Self::Plugin(identity) => {
                let plugin = ::age::plugin::IdentityPluginV1::new(
                    identity.plugin(),
                    std::slice::from_ref(identity),
                    Dialog::new(helpers.callbacks),
                );
                match plugin {
                    Ok(plugin) => ::age::Identity::unwrap_stanzas(&plugin, stanzas)
                        .map(|result| result.map_err(describe)),
                    Err(error) => Some(Err(one_line(&error.to_string()))),
                }
            }
            Self::LockedFile(file) => match file.open(helpers) {
                Ok(identities) => identities
                    .iter()
                    .find_map(|identity| identity.unwrap(stanzas, helpers)),
                Err(reason) => Some(Err(reason)),
            },
            #[cfg(feature = "ssh")]
            Self::LockedSsh(key) => key.unwrap(stanzas, helpers),
        }
    }

    /// What a report tells of it.
    pub(super) fn held(&self) -> Held {
        Held {
            name: self.describe(),
            recipient: match self {
                Self::Plain(plain) => Some(plain.recipient().to_owned()),
                _ => None,
            },
        }
    }

    /// Names it for a report, without anything secret.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Plain(plain) => shorten(plain.recipient()),
            Self::Plugin(identity) => format!("plugin {}", identity.plugin()),
            Self::LockedFile(_) => "behind a passphrase".to_owned(),
            #[cfg(feature = "ssh")]
            Self::LockedSsh(_) => "an SSH key behind a passphrase".to_owned(),
        }
    }
}

#[cfg(feature = "ssh")]
impl From<super::ssh::Parsed> for Identity {
    fn from(parsed: super::ssh::Parsed) -> Self {
        match parsed {
            super::ssh::Parsed::Open(key) => Self::Plain(Plain::new(key)),
            super::ssh::Parsed::Locked(key) => Self::LockedSsh(key),
        }
    }
}

/// Parses a text of identities, one a line, or several a line where `several` says so.
///
/// Nothing is trimmed: a blank before an identity makes the line invalid, and one invalid line the whole text. Empty
/// lines and those that begin with `#` are skipped. Errors name the line and never show it.
pub(super) fn parse_all(text: &str, several: bool) -> Result<Vec<Identity>, String> {
    let mut identities = Vec::new();
    for (number, line) in (1..).zip(text.split('\n')) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let refused = |reason| format!("line {number} is not an identity: {reason}");
        if several {
            for word in line.split_whitespace() {
                identities.push(parse(word).map_err(refused)?);
            }
        } else {
            identities.push(parse(line).map_err(refused)?);
        }
    }
    Ok(identities)
}

fn parse(text: &str) -> Result<Identity, &'static str> {
    if text.starts_with("AGE-PLUGIN-") {
        text.parse().map(Identity::Plugin)
    } else if text.starts_with(hybrid::IDENTITY_START) {
        let identity = hybrid::Identity::parse(text)?;
        Ok(Identity::Plain(Plain::new(identity)))
    } else if text.starts_with("AGE-SECRET-KEY-1") {
        let identity: ::age::x25519::Identity = text.parse()?;
        Ok(Identity::Plain(Plain::new(identity)))
    } else {
        Err("it begins with none of the known prefixes")
    }
}

/// A passphrase-encrypted file of identities. It is opened at most once, when it is first needed.
pub(super) struct LockedFile {
    /// The age file, without armor.
    pub(super) content: Vec<u8>,
    location: String,
    opened: Mutex<Option<Opened>>,
}

type Opened = Result<Arc<Vec<Identity>>, String>;

impl LockedFile {
    /// Recognises an age file by its first 14 bytes.
    pub(super) fn recognise(content: &SecretBytes, location: &str) -> Option<Result<Self, String>> {
        let content = match content.expose().get(..14)? {
            b"age-encryption" => content.expose().to_vec(),
            b"-----BEGIN AGE" => match std::str::from_utf8(content.expose()).map(armor::decode) {
                Ok(Ok(file)) => file,
                Ok(Err(error)) => return Some(Err(error.to_string())),
                Err(_) => return Some(Err("it is not text".to_owned())),
            },
            _ => return None,
        };
        if content.len() >= FILE_LIMIT {
            return Some(Err("the file is too long".to_owned()));
        }
        Some(Ok(Self {
            content,
            location: location.to_owned(),
            opened: Mutex::new(None),
        }))
    }

    fn open(&self, helpers: Helpers<'_>) -> Opened {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.get_or_insert_with(|| self.decrypt(helpers)).clone()
    }

    fn decrypt(&self, helpers: Helpers<'_>) -> Opened {
        let file = header::decryptor(&self.content).map_err(describe)?;
        if !file.is_scrypt() {
            return Err("it is an age file, but not one with a passphrase".to_owned());
        }
        let what = format!("Enter passphrase for identity '{}'", self.location);
        let passphrase = passphrase(&self.content, &what, helpers)?;
        let mut identity =
            ::age::scrypt::Identity::new(SecretString::from(passphrase.expose().to_owned()));
        identity.set_max_work_factor(WORK_LIMIT);
        let mut plain = match file.decrypt(std::iter::once(&identity as &dyn ::age::Identity)) {
            Ok(plain) => plain,
            Err(DecryptError::DecryptionFailed | DecryptError::NoMatchingKeys) => {
                forget(&self.content, helpers);
                return Err("the passphrase is wrong".to_owned());
            }
            Err(error) => return Err(describe(error)),
        };
        // Never longer than its ciphertext, so the buffer does not grow.
        let mut text = Zeroizing::new(Vec::with_capacity(self.content.len()));
        plain
            .read_to_end(&mut text)
            .map_err(|error| format!("it is damaged: {error}"))?;
        let text = std::str::from_utf8(&text).map_err(|_| "it does not hold text".to_owned())?;
        let identities = parse_all(text, false)?;
        if identities.is_empty() {
            return Err("it holds no identity".to_owned());
        }
        Ok(Arc::new(identities))
    }
}

/// Asks the agent, and then the person at the terminal.
fn passphrase(file: &[u8], what: &str, helpers: Helpers<'_>) -> Result<SecretText, String> {
    #[cfg(unix)]
    match super::agent::ask(helpers.surroundings, file, what) {
        super::agent::Answer::Passphrase(passphrase) => return Ok(passphrase),
        super::agent::Answer::Cancelled => return Err("its passphrase was not given".to_owned()),
        super::agent::Answer::Nothing => {}
    }
    #[cfg(not(unix))]
    let _ = file;
    helpers
        .callbacks
        .passphrase(what)
        .ok_or_else(|| "there is no one to ask for its passphrase".to_owned())
}

fn forget(file: &[u8], helpers: Helpers<'_>) {
    #[cfg(unix)]
    super::agent::forget(helpers.surroundings, file);
    #[cfg(not(unix))]
    let _ = (file, helpers);
}

/// Hybrid recipients have about two thousand characters; the first of them tell enough.
fn shorten(recipient: &str) -> String {
    match recipient.get(..24) {
        Some(start) if recipient.len() > 100 => format!("{start}…"),
        _ => recipient.to_owned(),
    }
}
