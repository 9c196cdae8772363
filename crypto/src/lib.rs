//! Keys, ciphers and wraps: everything in sealwright that touches key material.
//!
//! This crate owns the secret types, the data key, the `ENC[…]` value cipher, the document MAC, Shamir shares, the
//! table of [key kinds](key_kind), the [`MasterKey`](master_key::MasterKey) trait with age and PGP, and the sealing of
//! bytes. It leaves files, networks, YAML and Kubernetes to others, and it never reads the clock. Because every other crate
//! depends on it, it also holds the one reader of Go's booleans ([`go_bool`]).
//!
//! ```
//! use sealwright_crypto::{cipher::{Kind, Nonces, ValueCipher}, data_key::DataKey, secret::SecretWriter};
//!
//! let key = DataKey::generate();
//! let cipher = ValueCipher::new(&key);
//! let mut text = Vec::new();
//! cipher.encrypt(b"s3cr3t", b"password:", Kind::Str, &mut Nonces::default(), &mut text);
//!
//! let mut plain = SecretWriter::with_capacity(64);
//! let kind = cipher.decrypt(&text, b"password:", &mut plain)?;
//! assert_eq!((kind, plain.expose()), (Kind::Str, &b"s3cr3t"[..]));
//! # Ok::<(), sealwright_crypto::cipher::CipherError>(())
//! ```
#![forbid(unsafe_code)]

#[cfg(feature = "age")]
pub mod age;
pub mod cipher;
pub mod data_key;
pub mod go_bool;
pub mod key_kind;
pub mod mac;
pub mod master_key;
#[cfg(feature = "pgp")]
pub mod pgp;
pub mod sealing;
pub mod secret;
pub mod shamir;
pub mod shell_words;
pub mod surroundings;
