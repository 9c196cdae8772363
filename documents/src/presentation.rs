//! Presentation hints: the look of a plain document that its encrypted form cannot carry.
//!
//! A ciphertext has one spelling; the value behind it may have had many (`"x"`, `'x'`, `0x1F`, a folded block, an alias).
//! What differs from the spelling that the format would choose is written down here in a compact form, padded, encrypted
//! with the data key and kept as one more field of the `sops` block. Data always wins: a hint that does not read as the
//! very value is left aside. `docs/src/presentation-hints.md` has the form for other programs.

mod difference;
mod reader;
mod writer;

pub(crate) use reader::Hints;
pub(crate) use writer::HintsWriter;

/// The associated data of the field. It ends in no colon, so no value of a document has it, and it is no time, so no MAC.
pub(crate) const AAD: &[u8] = b"sealwright presentation hints 1";

const VERSION: u8 = 1;

/// What a spelling is described against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    /// The spelling that the format chooses.
    Canonical = 0,
    /// The content as it is.
    Content = 1,
    /// The content in double quotes.
    DoubleQuoted = 2,
    /// The content in single quotes.
    SingleQuoted = 3,
}

impl Base {
    const ALL: [Base; 4] = [
        Base::Canonical,
        Base::Content,
        Base::DoubleQuoted,
        Base::SingleQuoted,
    ];

    fn quote(self) -> &'static [u8] {
        match self {
            Base::Canonical | Base::Content => b"",
            Base::DoubleQuoted => b"\"",
            Base::SingleQuoted => b"'",
        }
    }
}

/// The flag in a record that says: exactly the base, for as many leaves as follow.
const EXACT: u8 = 4;

#[cfg(test)]
mod tests;
