//! The list of stores, and the trait behind which each of them is.
//!
//! [`StoreConfig`] is what a manifest says (`spec.provider`); [`Store`] is what answers. A new store is a variant here,
//! a file in [`settings`](crate::settings), and a client that implements the trait.

mod config;
pub mod files;
mod providers;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use sealwright_crypto::secret::SecretBytes;

pub use self::config::StoreConfig;
use self::files::Files;
pub use self::providers::{OTHER_PROVIDERS, OWN_PROVIDERS};
use crate::address::Guard;
use crate::credential::{Credentials, NoCredentials, Scope};
use crate::outcome::{Absent, Answer, Outcome, StoreError, Trouble};
use crate::remote::{Find, PushItem, PushSource, RemoteRef, SecretMap, add_found};
use crate::settings::RetrySettings;

/// What a store is connected with.
pub struct Connection {
    /// Answers what the settings refer to.
    pub credentials: Arc<dyn Credentials>,
    /// Which store it is, and for whom.
    pub scope: Scope,
    /// `spec.retrySettings` of the store.
    pub retry: Option<RetrySettings>,
    /// Which addresses the store may not have.
    pub guard: Guard,
    /// The folder that relative paths of File stores begin at. Without one there are no File stores.
    pub files: Option<Files>,
    /// How long one call may take; that of the client when none is given.
    pub timeout: Option<std::time::Duration>,
}

impl Default for Connection {
    /// For a store that needs nothing.
    fn default() -> Self {
        Self {
            credentials: Arc::new(NoCredentials),
            scope: Scope::default(),
            retry: None,
            guard: Guard::default(),
            files: None,
            timeout: None,
        }
    }
}

/// What a store can do (`status.capabilities`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capabilities {
    /// It can be read.
    ReadOnly,
    /// It can be written.
    WriteOnly,
    /// Both.
    ReadWrite,
}

impl Capabilities {
    /// The word that manifests have.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "ReadOnly",
            Self::WriteOnly => "WriteOnly",
            Self::ReadWrite => "ReadWrite",
        }
    }
}

/// What has to be asked of the server for a reference. References with equal read keys are answered by one call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReadKey {
    /// Which call: a word of the store's own, such as `value` or `metadata`.
    pub operation: &'static str,
    /// The key, or whatever else the call depends on, as one text.
    pub key: String,
    /// The version.
    pub version: Option<String>,
}

impl ReadKey {
    /// The read of a value.
    pub fn value(key: impl Into<String>, version: Option<&str>) -> Self {
        Self {
            operation: "value",
            key: key.into(),
            version: version.map(str::to_owned),
        }
    }

    /// The read of what is known beside a value.
    pub fn metadata(key: impl Into<String>, version: Option<&str>) -> Self {
        Self {
            operation: "metadata",
            key: key.into(),
            version: version.map(str::to_owned),
        }
    }
}

/// What a store has read: one or more secret parts, whose meaning the store knows. Shared by all who waited for it.
#[derive(Debug)]
pub struct Payload(BTreeMap<String, SecretBytes>);

static_assertions::assert_not_impl_any!(Payload: Clone, fmt::Display);

impl Payload {
    /// A payload of one part, with an empty name.
    pub fn whole(bytes: SecretBytes) -> Self {
        Self(BTreeMap::from([(String::new(), bytes)]))
    }

    /// A payload of named parts.
    pub fn of_parts(parts: SecretMap) -> Self {
        Self(parts)
    }

    /// The part with an empty name; nothing counts as empty.
    pub fn bytes(&self) -> &[u8] {
        self.part("").map(SecretBytes::expose).unwrap_or_default()
    }

    /// A part.
    pub fn part(&self, name: &str) -> Option<&SecretBytes> {
        self.0.get(name)
    }

    /// All parts.
    pub fn parts(&self) -> &SecretMap {
        &self.0
    }

    /// How many bytes there are, for budgets.
    pub fn size(&self) -> usize {
        self.0.values().map(SecretBytes::len).sum()
    }
}

/// What a reference is used for: stores answer some questions differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// One value (`data[].remoteRef`).
    Value,
    /// Names and values (`dataFrom[].extract`).
    Map,
}

/// Something that [`Store::list`] has found.
#[derive(Debug)]
pub struct Match {
    /// Its name, as `find` returns it.
    pub name: String,
    /// Its value.
    pub content: Content,
}

/// The value of a [`Match`].
#[derive(Debug)]
pub enum Content {
    /// It came with the listing.
    Here(SecretBytes),
    /// It has to be read, and its whole value is meant. A proved absence means that it vanished meanwhile, and it is
    /// left out.
    At(ReadKey),
}

/// Whether a write is made or only said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteMode {
    /// It is made.
    #[default]
    Apply,
    /// Everything is looked at, nothing is written.
    DryRun,
}

/// What a push did, or would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// There was nothing.
    Created,
    /// There was something else.
    Updated,
    /// There was the same already.
    Unchanged,
}

/// What a deletion did, or would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The key is gone.
    Key,
    /// One property of it is gone.
    Property,
    /// There was nothing to delete.
    Nothing,
    /// It was left alone, because it was not pushed from here.
    NotManaged,
}

/// What the validation of a store came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validation {
    /// It works.
    Ready,
    /// It cannot be known, as when it depends on the consumer.
    Unknown,
}

/// How often a store has signed in: what lanes count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignIns {
    /// All attempts.
    pub made: u64,
    /// Those that failed.
    pub failed: u64,
}

/// What `store check` shows: one step after another, up to the first that failed.
#[derive(Debug, Default)]
pub struct Inspection {
    /// As whom the store was asked.
    pub principal: Option<String>,
    /// The steps.
    pub steps: Vec<Step>,
}

/// One step of an [`Inspection`].
#[derive(Debug)]
pub struct Step {
    /// What was tried.
    pub what: String,
    /// What was seen, or why it failed.
    pub result: Result<String, StoreError>,
}

impl Step {
    /// The step of reading a value; what the value is does not show.
    pub(crate) fn of_read(at: &RemoteRef, outcome: Outcome<SecretBytes>) -> Self {
        Self {
            what: format!("read {}", crate::outcome::shown(&at.key)),
            result: outcome.map(|answer| match answer {
                Answer::Found(value) => format!("{} bytes", value.len()),
                Answer::Absent(absent) => absent.proof().to_string(),
            }),
        }
    }
}

/// A store that answers.
///
/// [`locate`](Self::locate), [`value`](Self::value) and [`map`](Self::map) are pure; everything else asks the server,
/// ends within a bounded time, and reads a bounded number of bytes. Implementations sign in by themselves when they must,
/// once for all that wait.
pub trait Store: Send + Sync {
    /// Says which store it is, for errors: its kind and address, never a credential.
    fn describe(&self) -> &str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Says what has to be read for a reference.
    ///
    /// # Errors
    ///
    /// When the reference makes no sense to this store.
    fn locate(&self, at: &RemoteRef) -> Result<ReadKey, StoreError>;

    /// Reads it: one call, or as few as there can be.
    fn read<'a>(&'a self, key: &'a ReadKey) -> BoxFuture<'a, Outcome<Payload>>;

    /// How many reads one call can answer.
    fn batch_size(&self) -> usize {
        1
    }

    /// Reads several, at most [`batch_size`](Self::batch_size); the answers stand in the order of the keys.
    fn read_many<'a>(&'a self, keys: &'a [ReadKey]) -> BoxFuture<'a, Vec<Outcome<Payload>>> {
        Box::pin(async move {
            let mut outcomes = Vec::with_capacity(keys.len());
            for key in keys {
                outcomes.push(self.read(key).await);
            }
            outcomes
        })
    }

    /// Picks the value that a reference means out of what was read.
    ///
    /// # Errors
    ///
    /// When it is not in there.
    fn value(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretBytes>;

    /// Picks names and values out of what was read.
    ///
    /// # Errors
    ///
    /// When it is no map.
    fn map(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretMap>;

    /// Judges a proved absence. Some stores have upstream report an error where others report absence.
    ///
    /// # Errors
    ///
    /// When absence is an error of this store for this purpose.
    fn absence(
        &self,
        at: &RemoteRef,
        purpose: Purpose,
        absent: Absent,
    ) -> Result<Absent, StoreError> {
        let _ = (at, purpose);
        Ok(absent)
    }

    /// Lists what matches. Nothing is left out silently: what cannot be listed is an error.
    fn list<'a>(&'a self, what: &'a Find) -> BoxFuture<'a, Outcome<Vec<Match>>> {
        let _ = what;
        unsupported(self, "find")
    }

    /// Writes a value; writes nothing when the same is there.
    fn push<'a>(
        &'a self,
        source: &'a PushSource,
        item: &'a PushItem,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Pushed, StoreError>> {
        let _ = (source, item, mode);
        unsupported(self, "push")
    }

    /// Deletes a value, if it was pushed from here.
    fn delete<'a>(
        &'a self,
        item: &'a PushItem,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Deleted, StoreError>> {
        let _ = (item, mode);
        unsupported(self, "delete")
    }

    /// Returns true if there is a value.
    fn exists<'a>(&'a self, item: &'a PushItem) -> BoxFuture<'a, Result<bool, StoreError>> {
        let _ = item;
        unsupported(self, "exists")
    }

    /// Finds out whether the store can be used.
    fn validate(&self) -> BoxFuture<'_, Result<Validation, StoreError>>;

    /// Tries one step after another, for a person: with a key also whether that can be read.
    fn inspect<'a>(&'a self, at: Option<&'a RemoteRef>) -> BoxFuture<'a, Inspection> {
        Box::pin(async move {
            let mut inspection = Inspection::default();
            let ready = self.validate().await;
            let failed = ready.is_err();
            inspection.steps.push(Step {
                what: "sign in".to_owned(),
                result: ready.map(|validation| format!("{validation:?}").to_lowercase()),
            });
            if let (Some(at), false) = (at, failed) {
                inspection.steps.push(Step::of_read(at, self.get(at).await));
            }
            inspection
        })
    }

    /// Names that are near a key, for a person who has mistyped it. Nothing when they cannot be seen.
    fn neighbours<'a>(&'a self, at: &'a RemoteRef) -> BoxFuture<'a, Vec<String>> {
        let _ = at;
        Box::pin(async { Vec::new() })
    }

    /// Says how often it has signed in, as far as upstream counts that for its kind.
    fn sign_ins(&self) -> SignIns {
        SignIns::default()
    }

    /// Gives up what the store was lent, such as a token that it signed in for.
    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    /// Reads one value, by itself. Programs with many references use the joining layer instead.
    fn get<'a>(&'a self, at: &'a RemoteRef) -> BoxFuture<'a, Outcome<SecretBytes>> {
        Box::pin(async move {
            match self.read(&self.locate(at)?).await? {
                Answer::Found(payload) => self.value(at, &payload),
                Answer::Absent(absent) => {
                    self.absence(at, Purpose::Value, absent).map(Answer::Absent)
                }
            }
        })
    }

    /// Reads names and values, by itself.
    fn get_map<'a>(&'a self, at: &'a RemoteRef) -> BoxFuture<'a, Outcome<SecretMap>> {
        Box::pin(async move {
            match self.read(&self.locate(at)?).await? {
                Answer::Found(payload) => self.map(at, &payload),
                Answer::Absent(absent) => {
                    self.absence(at, Purpose::Map, absent).map(Answer::Absent)
                }
            }
        })
    }

    /// Lists what matches and reads what did not come with the listing, by itself.
    fn find<'a>(&'a self, what: &'a Find) -> BoxFuture<'a, Outcome<SecretMap>> {
        Box::pin(async move {
            let matches = match self.list(what).await? {
                Answer::Found(matches) => matches,
                Answer::Absent(absent) => return Ok(Answer::Absent(absent)),
            };
            let mut found = SecretMap::new();
            for Match { name, content } in matches {
                let value = match content {
                    Content::Here(value) => Some(value),
                    Content::At(key) => match self.read(&key).await? {
                        Answer::Found(payload) => self
                            .value(&RemoteRef::new(name.as_str()), &payload)?
                            .found(),
                        Answer::Absent(_) => None,
                    },
                };
                if let Some(value) = value {
                    add_found(&mut found, name, value)?;
                }
            }
            Ok(Answer::Found(found))
        })
    }
}

/// Says that a store cannot do something.
fn unsupported<'a, T: Send + 'a>(
    store: &(impl Store + ?Sized),
    operation: &'static str,
) -> BoxFuture<'a, Result<T, StoreError>> {
    let error = StoreError::new(
        Trouble::Unsupported,
        format!("{operation} is not supported by this kind of store"),
    )
    .public()
    .at_store(store.describe());
    Box::pin(async move { Err(error) })
}
