//! The data key: 32 random bytes that encrypt the values of one file; and the parts of it that master keys wrap.

use zeroize::Zeroizing;

/// The key of one file's values. Master keys wrap it, whole or in Shamir shares.
pub struct DataKey(Box<Zeroizing<[u8; 32]>>);

static_assertions::assert_not_impl_any!(DataKey: Clone, std::fmt::Debug, std::fmt::Display);

impl DataKey {
    /// Draws a new key from the operating system.
    pub fn generate() -> Self {
        let mut key = Self(Box::new(Zeroizing::new([0; 32])));
        getrandom::fill(&mut key.0[..]).expect("the operating system's random source answers");
        key
    }

    /// Takes a whole key from what a master key unwrapped.
    pub fn from_part(part: &KeyPart) -> Result<Self, WrongKeyLength> {
        let bytes = part.expose();
        if bytes.len() != 32 {
            return Err(WrongKeyLength { got: bytes.len() });
        }
        let mut key = Self(Box::new(Zeroizing::new([0; 32])));
        key.0.copy_from_slice(bytes);
        Ok(key)
    }

    /// Gives the whole key as the one part of a file without Shamir shares.
    pub fn to_part(&self) -> KeyPart {
        KeyPart::copy_of(self.expose())
    }

    /// Gives access to the key bytes; every call is a place to review.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What one key group holds: the whole data key (32 bytes), or one Shamir share of it (33 bytes).
pub struct KeyPart(Zeroizing<Vec<u8>>);

static_assertions::assert_not_impl_any!(KeyPart: Clone, std::fmt::Debug, std::fmt::Display);

impl KeyPart {
    /// Copies `bytes` into a buffer of exactly their size.
    pub fn copy_of(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// Gives access to the bytes; every call is a place to review.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for KeyPart {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

/// A recovered data key is not 32 bytes long.
#[derive(Debug, thiserror::Error)]
#[error("a data key has 32 bytes, this one has {got}")]
pub struct WrongKeyLength {
    /// The length that was found.
    pub got: usize,
}
