//! What reads of objects may take, for each and for all together.

use std::sync::atomic::{AtomicUsize, Ordering};

use sealwright_resources::external_secret::data::{Answer, Failure};

/// How many entries of one object are read at a time.
pub(super) const AT_ONCE: usize = 32;
/// How many bytes the values of one object may have together: a Secret has at most 1 MiB, but a rewrite may leave some out.
const MOST_BYTES: usize = 4 << 20;

/// How many bytes the values of all objects may have that are read at the same time.
const MOST_HELD: usize = 24 << 20;
/// An object with no more than this gets its values all the same.
const FEW_BYTES: usize = 256 << 10;

pub(super) const TOO_LARGE: &str = "the values are together larger than a Secret can be";

/// The bytes of the values of all objects that are being read.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// The bytes of the values that one object has been given, until it is done.
#[derive(Default)]
pub(super) struct Held(AtomicUsize);

impl Held {
    /// Returns true if the object can be given no more.
    pub(super) fn is_full(&self) -> bool {
        self.0.load(Ordering::Relaxed) > MOST_BYTES
    }

    /// Counts the bytes of an answer; one that is beyond a limit is not kept.
    pub(super) fn keep(&self, answer: Answer) -> Answer {
        let size = match &answer {
            Answer::Value(value) => value.len(),
            Answer::Values(values) => values
                .iter()
                .map(|(key, value)| key.len() + value.len())
                .sum(),
            _ => 0,
        };
        let own = self.0.fetch_add(size, Ordering::Relaxed) + size;
        let all = HELD.fetch_add(size, Ordering::Relaxed) + size;
        if own > MOST_BYTES {
            failed(TOO_LARGE, true)
        } else if own > FEW_BYTES && all > MOST_HELD {
            let text =
                "too many large values are being read at the moment, they are read again later";
            failed(text, true)
        } else {
            answer
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.fetch_sub(*self.0.get_mut(), Ordering::Relaxed);
    }
}

pub(super) fn failed(text: &str, definite: bool) -> Answer {
    Answer::Failed(Failure {
        public: Some(text.to_owned()),
        definite,
    })
}

#[cfg(test)]
mod tests {
    use sealwright_crypto::secret::SecretBytes;

    use super::*;

    fn value(bytes: usize) -> Answer {
        Answer::Value(SecretBytes::copy_of(&vec![b'v'; bytes]))
    }

    #[test]
    fn values_are_counted_for_each_object_and_for_all() {
        let is_kept = |answer: &Answer| matches!(answer, Answer::Value(_));
        let greedy: Vec<Held> = (0..10).map(|_| Held::default()).collect();
        let kept = greedy
            .iter()
            .filter(|held| is_kept(&held.keep(value(3 << 20))));
        let kept = kept.count();
        assert!((1..=8).contains(&kept), "{kept}");
        // An object with little is not held up by them.
        let modest = Held::default();
        assert!(is_kept(&modest.keep(value(100 << 10))));
        drop(greedy);
        let next = Held::default();
        assert!(is_kept(&next.keep(value(3 << 20))));
        assert!(!next.is_full() && !is_kept(&next.keep(value(2 << 20))));
        assert!(next.is_full());
    }
}
