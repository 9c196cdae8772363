//! The document MAC: one SHA-512 over all values of a file, kept encrypted beside them.
//!
//! `MAC = HEX(SHA-512([SHA-256("sops") if only encrypted values count] ‖ v₁ ‖ v₂ ‖ …))` with every value in its wire
//! form and nothing in between.

use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// SHA-256 of `sops`: what a MAC over encrypted values alone begins with.
const ONLY_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b,
    0x0b, 0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

/// Collects the values of a document in order.
pub struct Mac(Sha512);

impl Mac {
    /// Starts a MAC; `only_encrypted` is the file's `mac_only_encrypted`.
    pub fn new(only_encrypted: bool) -> Self {
        let mut hash = Sha512::new();
        if only_encrypted {
            hash.update(ONLY_ENCRYPTED);
        }
        Self(hash)
    }

    /// Adds one value in its wire form.
    pub fn update(&mut self, wire: &[u8]) {
        self.0.update(wire);
    }

    /// Ends it: 128 upper-case hexadecimal characters.
    pub fn finish(self) -> MacText {
        let mut text = Zeroizing::new(Vec::with_capacity(128));
        for byte in self.0.finalize() {
            for nibble in [byte >> 4, byte & 15] {
                text.push(b"0123456789ABCDEF"[usize::from(nibble)]);
            }
        }
        MacText(text)
    }
}

/// The text of a MAC: a hash of plaintext, so it is as secret as that.
pub struct MacText(Zeroizing<Vec<u8>>);

impl MacText {
    /// Gives access to the text, to be encrypted.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Compares with a decrypted MAC in constant time.
    pub fn agrees_with(&self, stored: &[u8]) -> bool {
        self.0.ct_eq(stored).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(only_encrypted: bool, values: &[&str]) -> String {
        let mut mac = Mac::new(only_encrypted);
        for value in values {
            mac.update(value.as_bytes());
        }
        String::from_utf8(mac.finish().expose().to_vec()).unwrap()
    }

    #[test]
    fn t13_t63_the_mac_of_nothing() {
        assert!(mac(false, &[]).starts_with("CF83E1357EEFB8BDF1542850D66D8007"));
        assert!(mac(true, &[]).starts_with("1EE9AD533B409ABB860E3F836F93434D"));
    }

    #[test]
    fn t12_values_without_separators() {
        let values = [
            "hello",
            "42",
            "True",
            "1.5",
            "2024-01-01T00:00:00Z",
            "x",
            "y",
        ];
        let whole: Vec<&str> = values.iter().copied().chain(["5"]).collect();
        assert!(mac(false, &whole).starts_with("42DDF3F306B29EAF154C2EE138A8EA00CD5240CE8DB137C7"));
        assert!(mac(true, &values).starts_with("FAFEC87BDB91AD2377715D74EF61AF85DCA055474D920C20"));
    }
}
