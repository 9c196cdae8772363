//! What reads of objects may take, for each and for all together.

use std::sync::atomic::{AtomicUsize, Ordering};

use sealwright_resources::external_secret::data::{Answer, Failure};

/// How many entries of one object are read at a time.
pub(super) const AT_ONCE: usize = 32;
/// How many bytes the values of one object may have together: a Secret has at most 1 MiB, but a rewrite may leave some out.
const MOST_BYTES: usize = 4 << 20;

/// When the values of all objects that are read at the same time have more bytes than the first, an object gets no more of them
/// than the second. Hundreds of objects may wait for a slow answer with what they have, so even the modest are bounded.
const LEVELS: [(usize, usize); 2] = [(24 << 20, 256 << 10), (32 << 20, 16 << 10)];

pub(super) const TOO_LARGE: &str = "the values are together larger than a Secret can be";

/// The bytes of the values of all objects that are being read.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// The bytes of the values that one object has been given, until it is done.
#[derive(Default)]
pub(super) struct Held {
    /// With what it was not given.
    read: AtomicUsize,
    kept: AtomicUsize,
}

impl Held {
    /// Returns true if the object can be given no more.
    pub(super) fn is_full(&self) -> bool {
        self.read.load(Ordering::Relaxed) > MOST_BYTES
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
        let own = self.read.fetch_add(size, Ordering::Relaxed) + size;
        if own > MOST_BYTES {
            return failed(TOO_LARGE, true);
        }
        let all = HELD.fetch_add(size, Ordering::Relaxed) + size;
        let mut levels = LEVELS.iter();
        if levels.any(|(many, few)| all > *many && own > *few) {
            HELD.fetch_sub(size, Ordering::Relaxed);
            let text =
                "too many large values are being read at the moment, they are read again later";
            return failed(text, true);
        }
        self.kept.fetch_add(size, Ordering::Relaxed);
        answer
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.fetch_sub(*self.kept.get_mut(), Ordering::Relaxed);
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
        drop(modest);
        // Many with little are together no more than that; who has very little is not held up by them either.
        let crowd: Vec<Held> = (0..200).map(|_| Held::default()).collect();
        let kept = crowd
            .iter()
            .filter(|held| is_kept(&held.keep(value(200 << 10))));
        let kept = kept.count();
        assert!((40..=60).contains(&kept), "{kept}");
        assert!(is_kept(&Held::default().keep(value(10 << 10))));
        // What was not given takes no room from others.
        drop(crowd);
        drop(greedy);
        assert_eq!(HELD.load(Ordering::Relaxed), 0);
        let next = Held::default();
        assert!(is_kept(&next.keep(value(3 << 20))));
        assert!(!next.is_full() && !is_kept(&next.keep(value(2 << 20))));
        assert!(next.is_full());
    }
}
