//! What is to be done about an object, and when it is looked at again.

use jiff::Timestamp;

use super::super::status::Status;
use crate::plain_secret::PlainSecret;

/// One thing to do.
pub enum Action {
    /// Add the finalizer, without touching anything else of the object.
    AddFinalizer,
    /// Take the finalizer off.
    RemoveFinalizer,
    /// Put the managed label on the target that exists.
    MarkTarget,
    /// Create the Secret.
    Create(PlainSecret),
    /// Replace the Secret of the resource version in its metadata.
    Update(PlainSecret),
    /// Delete a Secret, unless it has been replaced by another of its name.
    Delete {
        /// Its name.
        name: String,
        /// Its UID.
        uid: String,
        /// What it was deleted for.
        orphan: bool,
    },
    /// Write an event about the object.
    Emit(Event),
    /// Write the status, if it is not what the object has.
    SetStatus(Status),
}

/// An event about the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Whether it is a warning.
    pub warning: bool,
    /// Its reason.
    pub reason: &'static str,
    /// Its text.
    pub message: String,
}

/// When the object is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// When something changes.
    Never,
    /// At this moment.
    At(Timestamp),
    /// At once.
    Now,
    /// Soon, and less and less often.
    Retry,
    /// A few times, and then hardly ever: nothing but a change of the store can help.
    RetrySeldom,
}

/// What to do, and when to look again if all of it succeeds.
pub struct Plan {
    /// What to do, in this order.
    pub actions: Vec<Action>,
    /// When to look again.
    pub again: Again,
}
