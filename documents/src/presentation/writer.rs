//! Collecting hints while a document is encrypted.

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use super::difference::{Difference, write_number};
use super::{Base, EXACT, VERSION};
use crate::scalar::Scalar;
use crate::tree::{NodeId, Tree};

/// Collects the hints of one document.
#[derive(Default)]
pub(crate) struct HintsWriter {
    leaves: SecretWriter,
    records: u64,
    /// The leaf that the next record counts from.
    expected: u32,
    /// Leaves that look exactly like a base, one after the other.
    run: Option<Run>,
}

struct Run {
    base: Base,
    start: u32,
    count: u32,
}

impl HintsWriter {
    /// Notes how a leaf is spelled when it is not spelled as the format would.
    pub(crate) fn leaf(
        &mut self,
        leaf: u32,
        scalar: Scalar<'_>,
        spelling: &[u8],
        canonical: &[u8],
    ) {
        if spelling == canonical {
            return;
        }
        let content = match scalar {
            Scalar::Str(text) | Scalar::Comment(text) => Some(text),
            _ => None,
        };
        let exact = content.and_then(|content| {
            let bases = Base::ALL.into_iter().skip(1);
            bases.into_iter().find(|base| {
                let quote = base.quote();
                spelling.len() == content.len() + 2 * quote.len()
                    && spelling.starts_with(quote)
                    && spelling.ends_with(quote)
                    && &spelling[quote.len()..spelling.len() - quote.len()] == content
            })
        });
        if let Some(base) = exact {
            match &mut self.run {
                Some(run) if run.base == base && run.start + run.count == leaf => run.count += 1,
                _ => {
                    self.end_run();
                    self.run = Some(Run {
                        base,
                        start: leaf,
                        count: 1,
                    });
                }
            }
            return;
        }
        self.end_run();
        let mut best = (Base::Canonical, Difference::between(canonical, spelling));
        if let Some(content) = content {
            let mut quoted = SecretWriter::with_capacity(content.len() + 2);
            for base in Base::ALL.into_iter().skip(1) {
                quoted.truncate(0);
                quoted.push(base.quote());
                quoted.push(content);
                quoted.push(base.quote());
                let difference = Difference::between(quoted.expose(), spelling);
                if difference.prefix + difference.suffix > best.1.prefix + best.1.suffix {
                    best = (base, difference);
                }
            }
        }
        self.record(leaf, best.0 as u8);
        best.1.write(spelling, &mut self.leaves);
        self.expected = leaf + 1;
    }

    fn record(&mut self, leaf: u32, tag: u8) {
        write_number(u64::from(leaf - self.expected), &mut self.leaves);
        self.leaves.push_byte(tag);
        self.records += 1;
    }

    fn end_run(&mut self) {
        if let Some(run) = self.run.take() {
            self.record(run.start, run.base as u8 | EXACT);
            write_number(u64::from(run.count), &mut self.leaves);
            self.expected = run.start + run.count;
        }
    }

    /// The hints in their padded form; nothing when there is nothing to hint.
    pub(crate) fn finish(
        mut self,
        tree: &Tree,
        former: &[(NodeId, SecretBytes)],
        former_text: Option<&SecretBytes>,
    ) -> Option<SecretBytes> {
        self.end_run();
        let plain = tree.text.expose();
        let former_text = former_text.filter(|text| text.expose() != plain);
        if self.records == 0 && former.is_empty() && former_text.is_none() {
            return None;
        }
        let more: usize = former.iter().map(|(_, text)| text.len() + 16).sum();
        let mut out = SecretWriter::with_capacity(self.leaves.len() + more + 64);
        out.push_byte(VERSION);
        write_number(tree.nodes.len() as u64, &mut out);
        write_number(self.records, &mut out);
        out.push(self.leaves.expose());
        write_number(former.len() as u64, &mut out);
        let mut expected = 0;
        for (node, text) in former {
            write_number((node - expected) as u64, &mut out);
            Difference::between(tree.spelling(*node), text.expose()).write(text.expose(), &mut out);
            expected = node + 1;
        }
        match former_text {
            None => out.push_byte(0),
            Some(text) => {
                out.push_byte(1);
                write_number(plain.len() as u64, &mut out);
                Difference::between(plain, text.expose()).write(text.expose(), &mut out);
            }
        }
        let padding = padded(out.len()) - out.len();
        out.extend_zeroed(padding);
        Some(out.finish())
    }
}

/// The Padmé length (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files"): at most 12% more, and one of few
/// lengths.
pub(super) fn padded(len: usize) -> usize {
    if len <= 32 {
        return 32;
    }
    let exponent = len.ilog2();
    let kept = exponent.ilog2() + 1;
    let mask = (1usize << (exponent - kept)) - 1;
    (len + mask) & !mask
}
