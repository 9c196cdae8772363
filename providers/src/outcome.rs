//! What a store answers: a value, a proved absence, or an error of a known kind.
//!
//! Whether "not found" is believed decides whether a Secret in a cluster may be deleted. So [`Absent`] can only be made
//! inside this crate, from an answer that proves it: of Vault, a 404 with an empty `errors` list under a mount that
//! exists. A wrong namespace, an engine that is not mounted, a missing permission, a proxy's 404 and an HTML page are
//! errors.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What comes of asking a store.
pub type Outcome<T> = Result<Answer<T>, StoreError>;

/// A store's answer.
#[derive(Debug)]
pub enum Answer<T> {
    /// The value.
    Found(T),
    /// The store has proved that there is none.
    Absent(Absent),
}

impl<T> Answer<T> {
    /// Returns the value, if there is one.
    pub fn found(self) -> Option<T> {
        match self {
            Self::Found(value) => Some(value),
            Self::Absent(_) => None,
        }
    }

    /// Applies `change` to the value, if there is one.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        match self {
            Self::Found(value) => Answer::Found(change(value)),
            Self::Absent(absent) => Answer::Absent(absent),
        }
    }
}

/// The proof that a store holds nothing under a key. Only the clients of this crate can make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absent {
    proof: Proof,
}

impl Absent {
    /// Records what proved the absence. Call it only where the answer cannot mean anything else.
    pub(crate) const fn proved(proof: Proof) -> Self {
        Self { proof }
    }

    /// Returns what proved it.
    pub const fn proof(self) -> Proof {
        self.proof
    }
}

/// What proves an absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proof {
    /// The server says in its own words that there is no such key.
    NoSuchKey,
    /// The server says that there is no such version of the key.
    NoSuchVersion,
    /// The server knows the key, and its value was deleted or destroyed.
    Deleted,
    /// The value is there and has no such property; only stores for which upstream treats this as absence say so.
    NoSuchProperty,
    /// The server lists nothing below the path.
    NothingListed,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchKey => "there is no such key",
            Self::NoSuchVersion => "there is no such version",
            Self::Deleted => "it was deleted",
            Self::NoSuchProperty => "it has no such property",
            Self::NothingListed => "nothing is listed there",
        })
    }
}

/// The kind of an error of a store; programs decide by it and never by a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trouble {
    /// The store knows who asks, and refuses.
    Forbidden,
    /// The store does not accept the credentials, or there are none.
    Unauthenticated,
    /// The store asks for fewer calls.
    Throttled {
        /// When it may be asked again, if it said so.
        retry_after: Option<Duration>,
    },
    /// The store cannot be reached, is sealed, or fails by itself.
    Unavailable,
    /// The answer is not what this store answers: an HTML page, cut JSON, another protocol.
    Malformed,
    /// What the reference names is not there, and that is no proof of absence: a missing property, or a key of a store
    /// that upstream does not delete for.
    Missing,
    /// The reference or the settings are wrong; asking again changes nothing until they are changed.
    Invalid,
    /// Another writer was faster, or what is there belongs to someone else.
    Conflict,
    /// More bytes than allowed.
    TooLarge,
    /// The store answers that nothing has changed (webhook, 304).
    NotModified,
    /// This store, or this build, cannot do that.
    Unsupported,
}

impl Trouble {
    /// Returns true if the same call may succeed later without any change of settings.
    pub const fn is_passing(self) -> bool {
        matches!(
            self,
            Self::Throttled { .. } | Self::Unavailable | Self::Malformed
        )
    }

    /// Returns a word for metrics and JSON output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Unauthenticated => "unauthenticated",
            Self::Throttled { .. } => "throttled",
            Self::Unavailable => "unavailable",
            Self::Malformed => "malformed",
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::Conflict => "conflict",
            Self::TooLarge => "too-large",
            Self::NotModified => "not-modified",
            Self::Unsupported => "unsupported",
        }
    }
}

/// Why a store gave no answer: what was attempted, where, and what to do about it. It never holds a value, and can be
/// shared by all readers that waited for one call.
///
/// Its text is for the log and for the person at the command line. Conditions and events of a cluster show only what
/// [`public_detail`](Self::public_detail) returns.
#[derive(Clone)]
pub struct StoreError(Arc<Details>);

#[derive(Default)]
struct Details {
    trouble: Option<Trouble>,
    reason: String,
    store: Option<String>,
    attempt: Option<String>,
    principal: Option<String>,
    permission: Option<String>,
    hint: Option<String>,
    public: bool,
    before_any_call: bool,
}

impl StoreError {
    /// Makes an error of a kind. `reason` says what went wrong, in lower case and without a full stop; text of a server
    /// in it goes through [`shown`] first, and never comes from an answer to a request that carried a secret.
    pub fn new(trouble: Trouble, reason: impl Into<String>) -> Self {
        Self(Arc::new(Details {
            trouble: Some(trouble),
            reason: reason.into(),
            ..Details::default()
        }))
    }

    /// Makes an error about settings or a reference.
    pub fn invalid(reason: impl Into<String>) -> Self {
        Self::new(Trouble::Invalid, reason)
    }

    /// Names the store, as [`Store::describe`](crate::store::Store::describe) does.
    #[must_use]
    pub fn at_store(self, store: &str) -> Self {
        self.change(|details| {
            details.store.get_or_insert_with(|| store.to_owned());
        })
    }

    /// Says what was attempted, such as "read `db/password`".
    #[must_use]
    pub fn while_trying(self, attempt: impl Into<String>) -> Self {
        self.change(|details| {
            details.attempt.get_or_insert_with(|| attempt.into());
        })
    }

    /// Says as whom the store was asked.
    #[must_use]
    pub fn as_principal(self, principal: impl Into<String>) -> Self {
        self.change(|details| details.principal = Some(principal.into()))
    }

    /// Names the permission that is missing.
    #[must_use]
    pub fn lacking(self, permission: impl Into<String>) -> Self {
        self.change(|details| details.permission = Some(permission.into()))
    }

    /// Says what to do.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        self.change(|details| details.hint = Some(hint.into()))
    }

    /// Declares that the reason holds nothing but fixed words and names from the manifest, so that it may be shown to
    /// everyone who can see the object's status.
    #[must_use]
    pub fn public(self) -> Self {
        self.change(|details| details.public = true)
    }

    /// Says that the store was not asked at all: what is needed to sign in is not there.
    #[must_use]
    pub fn before_any_call(self) -> Self {
        self.change(|details| details.before_any_call = true)
    }

    /// Returns true if the store was not asked at all, because what is needed to sign in is not there.
    pub fn is_before_any_call(&self) -> bool {
        self.0.before_any_call
    }

    /// The kind.
    pub fn trouble(&self) -> Trouble {
        self.0.trouble.unwrap_or(Trouble::Unavailable)
    }

    /// What went wrong, without what was attempted.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// As whom the store was asked, if that is known.
    pub fn principal(&self) -> Option<&str> {
        self.0.principal.as_deref()
    }

    /// The permission that is missing, if that is known.
    pub fn permission(&self) -> Option<&str> {
        self.0.permission.as_deref()
    }

    /// What to do, if that is known.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The reason, if its producer declared that everyone may see it.
    pub fn public_detail(&self) -> Option<&str> {
        self.0.public.then_some(self.0.reason.as_str())
    }

    fn change(mut self, change: impl FnOnce(&mut Details)) -> Self {
        match Arc::get_mut(&mut self.0) {
            Some(details) => {
                change(details);
                self
            }
            None => {
                let old = &self.0;
                let mut details = Details {
                    trouble: old.trouble,
                    reason: old.reason.clone(),
                    store: old.store.clone(),
                    attempt: old.attempt.clone(),
                    principal: old.principal.clone(),
                    permission: old.permission.clone(),
                    hint: old.hint.clone(),
                    public: old.public,
                    before_any_call: old.before_any_call,
                };
                change(&mut details);
                Self(Arc::new(details))
            }
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details = &*self.0;
        match (&details.attempt, &details.store) {
            (Some(attempt), Some(store)) => write!(f, "cannot {attempt} at {store}: ")?,
            (Some(attempt), None) => write!(f, "cannot {attempt}: ")?,
            (None, Some(store)) => write!(f, "{store}: ")?,
            (None, None) => {}
        }
        f.write_str(&details.reason)?;
        if let Some(principal) = &details.principal {
            write!(f, " (asked as {principal})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreError({}: {self})", self.trouble().name())
    }
}

impl std::error::Error for StoreError {}

/// Returns text of a server or a manifest fit to be shown: control characters escaped, at most 200 characters.
pub fn shown(text: &str) -> String {
    const MOST: usize = 200;
    let mut out = String::new();
    for (count, character) in text.trim().chars().enumerate() {
        if count == MOST {
            out.push('…');
            break;
        }
        // What turns the direction of writing or has no width hides text as control characters do.
        let hides = matches!(character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if character.is_control() || hides {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_where_why_and_as_whom() {
        let error = StoreError::new(Trouble::Forbidden, "permission denied")
            .while_trying("read `db`")
            .at_store("Vault at https://v")
            .as_principal("token of approle web");
        assert_eq!(
            error.to_string(),
            "cannot read `db` at Vault at https://v: permission denied (asked as token of approle web)"
        );
        assert_eq!(error.public_detail(), None);
        let shared = error.clone();
        let told = error.public();
        assert_eq!(told.public_detail(), Some("permission denied"));
        assert_eq!(shared.public_detail(), None);
    }

    #[test]
    fn the_first_place_counts() {
        let error = StoreError::invalid("no")
            .at_store("inner")
            .at_store("outer");
        assert_eq!(error.to_string(), "inner: no");
    }

    #[test]
    fn shown_text_hides_nothing() {
        assert_eq!(shown("a\u{1b}[2J\u{202e}b\n"), "a\\u{1b}[2J\\u{202e}b");
        assert_eq!(shown(&"x".repeat(500)).chars().count(), 201);
    }
}
