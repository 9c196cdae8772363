//! Secret bytes and text: wiped when dropped, never shown, never copied by accident.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::optimization_barrier;

/// Plaintext bytes that are wiped when dropped and shown as `[redacted]`.
#[derive(Default)]
pub struct SecretBytes(Wiped);

static_assertions::assert_not_impl_any!(SecretBytes: Clone, fmt::Display);

impl SecretBytes {
    /// Copies `bytes` into a buffer of exactly their size.
    pub fn copy_of(bytes: &[u8]) -> Self {
        Self(Wiped(bytes.to_vec()))
    }

    /// Gives access to the plaintext; every call is a place to review.
    pub fn expose(&self) -> &[u8] {
        &self.0.0
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.0.0.len()
    }

    /// Returns true if there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.0.is_empty()
    }
}

impl From<Vec<u8>> for SecretBytes {
    /// Takes ownership of the buffer without copying. Wipes its spare capacity now and its content on drop.
    fn from(mut bytes: Vec<u8>) -> Self {
        let len = bytes.len();
        bytes.resize(bytes.capacity(), 0);
        optimization_barrier(&bytes[len..]);
        bytes.truncate(len);
        Self(Wiped(bytes))
    }
}

impl From<SecretText> for SecretBytes {
    fn from(text: SecretText) -> Self {
        text.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl PartialEq for SecretBytes {
    /// Compares in constant time for equal lengths.
    fn eq(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

impl Eq for SecretBytes {}

/// Like [`SecretBytes`], for plaintext that is known to be UTF-8.
#[derive(Default)]
pub struct SecretText(SecretBytes);

static_assertions::assert_not_impl_any!(SecretText: Clone, fmt::Display);

impl SecretText {
    /// Copies `text` into a buffer of exactly its size.
    pub fn copy_of(text: &str) -> Self {
        Self(SecretBytes::copy_of(text.as_bytes()))
    }

    /// Converts bytes that are UTF-8, and gives any others back.
    pub fn from_bytes(bytes: SecretBytes) -> Result<Self, SecretBytes> {
        match std::str::from_utf8(bytes.expose()) {
            Ok(_) => Ok(Self(bytes)),
            Err(_) => Err(bytes),
        }
    }

    /// Gives access to the plaintext; every call is a place to review.
    pub fn expose(&self) -> &str {
        std::str::from_utf8(self.0.expose()).expect("checked when it was made")
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(SecretBytes::from(text.into_bytes()))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl PartialEq for SecretText {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for SecretText {}

/// Builds [`SecretBytes`]. Growing moves the content to a new buffer and wipes the old one.
pub struct SecretWriter {
    written: Wiped,
    /// What the buffer does not grow beyond on its own account.
    most: usize,
}

static_assertions::assert_not_impl_any!(SecretWriter: Clone, fmt::Display, fmt::Debug);

impl Default for SecretWriter {
    fn default() -> Self {
        Self::with_most(usize::MAX)
    }
}

impl SecretWriter {
    /// Reserves room for `capacity` bytes at once.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            written: Wiped(Vec::with_capacity(capacity)),
            ..Self::default()
        }
    }

    /// Expects `most` bytes at most, so that a buffer that doubles does not become larger than anyone can fill it.
    pub fn with_most(most: usize) -> Self {
        Self {
            written: Wiped::default(),
            most,
        }
    }

    /// Appends `bytes`.
    pub fn push(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.written.0.extend_from_slice(bytes);
    }

    /// Appends one byte.
    pub fn push_byte(&mut self, byte: u8) {
        self.make_room(1);
        self.written.0.push(byte);
    }

    /// Appends `len` zero bytes and hands them out to be filled in place.
    pub fn extend_zeroed(&mut self, len: usize) -> &mut [u8] {
        self.make_room(len);
        let at = self.written.0.len();
        self.written.0.resize(at + len, 0);
        &mut self.written.0[at..]
    }

    /// Appends up to `most` bytes from `reader` and returns how many there were. Reserves room for all of them first and
    /// reads straight into it, without zeroing or moving anything.
    ///
    /// # Errors
    ///
    /// Returns the errors of `reader`. The bytes read before an error are kept.
    pub fn read_from(&mut self, reader: impl std::io::Read, most: usize) -> std::io::Result<usize> {
        // With less spare room than this, `read_to_end` probes for the end with a stack buffer, which nothing would wipe.
        const PROBE: usize = 32;
        self.make_room(most + PROBE);
        let mut reader = std::io::Read::take(reader, most as u64);
        std::io::Read::read_to_end(&mut reader, &mut self.written.0)
    }

    /// Shortens the content to its first `len` bytes and wipes the rest.
    pub fn truncate(&mut self, len: usize) {
        if len < self.written.0.len() {
            wipe(&mut self.written.0[len..]);
            self.written.0.truncate(len);
        }
    }

    /// Gives access to the bytes written so far.
    pub fn expose(&self) -> &[u8] {
        &self.written.0
    }

    /// Returns the number of bytes written so far.
    pub fn len(&self) -> usize {
        self.written.0.len()
    }

    /// Returns true if nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.written.0.is_empty()
    }

    /// Returns the bytes without copying them.
    pub fn finish(mut self) -> SecretBytes {
        SecretBytes(std::mem::take(&mut self.written))
    }

    fn make_room(&mut self, more: usize) {
        let needed = self.written.0.len() + more;
        let capacity = self.written.0.capacity();
        if needed > capacity {
            let capacity = capacity.saturating_mul(2).min(self.most).max(needed);
            let mut larger = Wiped(Vec::with_capacity(capacity));
            larger.0.extend_from_slice(&self.written.0);
            self.written = larger; // the old buffer is wiped here
        }
    }
}

impl From<SecretBytes> for SecretWriter {
    /// Continues writing after the existing bytes.
    fn from(mut bytes: SecretBytes) -> Self {
        Self {
            written: std::mem::take(&mut bytes.0),
            ..Self::default()
        }
    }
}

impl std::io::Write for SecretWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A buffer that is wiped when dropped. Its spare capacity never holds secrets, because truncating wipes what it cuts off.
/// The unused pages of a large buffer are therefore never touched and take no memory.
#[derive(Default)]
struct Wiped(Vec<u8>);

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Wipes in bulk, because `Zeroize` writes byte by byte and files have millions of bytes.
fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    optimization_barrier(bytes); // keeps the compiler from removing the writes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let shown = format!(
            "{:?} {:?}",
            SecretBytes::copy_of(b"canary"),
            SecretText::copy_of("canary")
        );
        assert_eq!(shown, "[redacted] [redacted]");
    }

    #[test]
    fn a_writer_keeps_everything_while_it_grows() {
        let mut writer = SecretWriter::with_capacity(3);
        for byte in 0..=255u8 {
            writer.push(&[byte, byte]);
        }
        writer.extend_zeroed(2).copy_from_slice(b"ok");
        let bytes = writer.finish();
        assert_eq!(bytes.len(), 514);
        assert_eq!(&bytes.expose()[510..], b"\xff\xffok");
    }

    #[test]
    fn a_writer_reads_no_more_than_asked_for_and_never_moves_meanwhile() {
        let source: Vec<u8> = (0..100_000u32).map(|number| number as u8).collect();
        for most in [0, 1, 31, 32, 33, 8192, 99_999, 100_000, 200_000] {
            let mut writer = SecretWriter::default();
            writer.push(b"x");
            writer.make_room(most + 32);
            let before = writer.expose().as_ptr();
            let got = writer.read_from(&source[..], most).unwrap();
            assert_eq!(got, most.min(source.len()));
            assert_eq!(&writer.expose()[1..], &source[..got]);
            assert_eq!(writer.expose().as_ptr(), before, "{most}");
        }
    }

    #[test]
    fn text_is_checked() {
        assert!(SecretText::from_bytes(SecretBytes::copy_of(b"\xff")).is_err());
        let text = SecretText::from_bytes(SecretBytes::copy_of("ж".as_bytes())).unwrap();
        assert_eq!(text.expose(), "ж");
    }
}
