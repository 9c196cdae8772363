//! Documents that come back byte for byte, which leaves in them are secret, and the `sops` block.
//!
//! A parsed document is a [`Tree`](tree::Tree): nodes over one secret buffer. Nothing is ever printed from the tree: encrypting,
//! decrypting and editing splice the bytes that must change and copy all others. Formats know their syntax and where
//! their `sops` block lies; the envelope knows keys and ciphers; neither knows the other.

pub mod attachment;
mod copied;
pub mod data;
pub mod envelope;
pub mod error;
pub mod flatten;
pub mod float;
pub mod format;
pub mod keyring;
pub mod metadata;
pub mod presentation;
pub mod rules;
pub mod scalar;
pub mod selection;
pub mod span;
pub mod splice;
pub mod tree;
mod visits;
