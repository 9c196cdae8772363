//! How one text differs from another: a common start, a common end, and what stands between them.

use sealwright_crypto::secret::SecretWriter;

/// Lengths of the common start and end of two texts; together not longer than either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) prefix: usize,
    pub(super) suffix: usize,
}

impl Difference {
    pub(super) fn between(base: &[u8], text: &[u8]) -> Self {
        let limit = base.len().min(text.len());
        let prefix = (0..limit)
            .find(|at| base[*at] != text[*at])
            .unwrap_or(limit);
        let limit = limit - prefix;
        let suffix = (0..limit)
            .find(|at| base[base.len() - 1 - at] != text[text.len() - 1 - at])
            .unwrap_or(limit);
        Self { prefix, suffix }
    }

    /// What stands between start and end in the text that differs.
    pub(super) fn middle(self, text: &[u8]) -> &[u8] {
        &text[self.prefix..text.len() - self.suffix]
    }

    /// Writes it with the middle.
    pub(super) fn write(self, text: &[u8], out: &mut SecretWriter) {
        let middle = self.middle(text);
        for number in [self.prefix, self.suffix, middle.len()] {
            write_number(number as u64, out);
        }
        out.push(middle);
    }
}

/// Appends a number, seven bits a byte, the lowest first (LEB128).
pub(super) fn write_number(mut number: u64, out: &mut SecretWriter) {
    while number >= 0x80 {
        out.push_byte((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push_byte(number as u8);
}

/// Reads what was written; every method gives `None` at a broken place.
pub(super) struct Input<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            len: bytes.len(),
        }
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    pub(super) fn number(&mut self) -> Option<u32> {
        let mut number = 0u64;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(number).ok();
            }
        }
        None
    }

    /// A difference and where its middle lies.
    pub(super) fn difference(&mut self) -> Option<(Difference, std::ops::Range<usize>)> {
        let difference = Difference {
            prefix: self.number()? as usize,
            suffix: self.number()? as usize,
        };
        let len = self.number()? as usize;
        let start = self.len - self.rest.len();
        self.rest = self.rest.get(len..)?;
        Some((difference, start..start + len))
    }

    /// Whether only padding is left.
    pub(super) fn is_padding(&self) -> bool {
        self.rest.iter().all(|byte| *byte == 0)
    }
}
