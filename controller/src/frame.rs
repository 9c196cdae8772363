//! What every kind of resource is reconciled with.
//!
//! The state of an object is kept in two halves that never write each other: what the watches
//! [observed](tracked::Tracked::observed) and what a worker has [done](tracked::Done). An object is settled only if what was done
//! covers the newest observation, so a change that arrives while its predecessor is worked on cannot be lost.

pub(crate) mod index;
pub(crate) mod read;
pub(crate) mod tracked;
