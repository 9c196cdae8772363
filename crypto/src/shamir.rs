//! Shamir shares of a data key, one for each key group.
//!
//! Every byte of the key is the constant term of its own random polynomial of degree `threshold - 1` over GF(2^8) with
//! the reduction polynomial `x^8 + x^4 + x^3 + x + 1`. Share `x` holds the values of all polynomials at `x`, and then
//! the byte `x` itself: 33 bytes for a data key. The shares of group 0, 1, … are those at 1, 2, ….
//!
//! No table is indexed by a secret and no branch depends on one.

use zeroize::Zeroizing;

use crate::data_key::{DataKey, KeyPart};

/// Splits `key` into `parts` shares, any `threshold` of which bring it back.
pub fn split(key: &DataKey, parts: usize, threshold: usize) -> Result<Vec<KeyPart>, ShamirError> {
    if threshold < 2 {
        return Err(ShamirError::ThresholdTooSmall { threshold });
    }
    if threshold > parts {
        return Err(ShamirError::ThresholdTooLarge { threshold, parts });
    }
    if parts > 255 {
        return Err(ShamirError::TooManyParts { parts });
    }
    let secret = key.expose();
    let mut coefficients = Zeroizing::new(vec![0; secret.len() * (threshold - 1)]);
    getrandom::fill(&mut coefficients).expect("the operating system's random source answers");
    Ok((1..=parts)
        .map(|x| {
            let x = u8::try_from(x).expect("there are at most 255 parts");
            share_at(x, secret, &coefficients)
        })
        .collect())
}

/// Brings back what was split, from all the given shares.
///
/// Fewer shares than the threshold give a wrong secret, not an error: the shares do not tell their threshold.
pub fn combine(shares: &[KeyPart]) -> Result<KeyPart, ShamirError> {
    if shares.len() < 2 {
        return Err(ShamirError::TooFewShares { got: shares.len() });
    }
    let length = shares[0].expose().len();
    if length < 2 {
        return Err(ShamirError::ShareTooShort { length });
    }
    let mut points = Vec::with_capacity(shares.len());
    for share in shares {
        let bytes = share.expose();
        if bytes.len() != length {
            return Err(ShamirError::UnequalLengths {
                one: length,
                other: bytes.len(),
            });
        }
        let x = bytes[length - 1];
        if x == 0 {
            return Err(ShamirError::ShareAtZero);
        }
        if points.contains(&x) {
            return Err(ShamirError::RepeatedShare { x });
        }
        points.push(x);
    }

    let mut secret = vec![0; length - 1];
    for (share, &x) in shares.iter().zip(&points) {
        let weight = weight_at_zero(x, &points);
        for (byte, &y) in secret.iter_mut().zip(share.expose()) {
            *byte ^= multiply(y, weight);
        }
    }
    Ok(KeyPart::from(secret))
}

/// The data key cannot be split as asked, or the shares do not belong together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShamirError {
    /// One share alone would be the key.
    #[error("the Shamir threshold must be at least 2, not {threshold}")]
    ThresholdTooSmall {
        /// The threshold asked for.
        threshold: usize,
    },
    /// There would never be enough shares.
    #[error("the Shamir threshold of {threshold} is more than the {parts} key groups")]
    ThresholdTooLarge {
        /// The threshold asked for.
        threshold: usize,
        /// How many shares there would be.
        parts: usize,
    },
    /// The field has 255 points besides zero.
    #[error("a key splits into at most 255 Shamir shares, not {parts}")]
    TooManyParts {
        /// How many shares were asked for.
        parts: usize,
    },
    /// One share says nothing.
    #[error("at least 2 Shamir shares are needed, there are {got}")]
    TooFewShares {
        /// How many there were.
        got: usize,
    },
    /// A share without a value.
    #[error("a Shamir share has at least 2 bytes, this one has {length}")]
    ShareTooShort {
        /// Its length.
        length: usize,
    },
    /// Shares of different keys.
    #[error("the Shamir shares have different lengths: {one} and {other} bytes")]
    UnequalLengths {
        /// One length.
        one: usize,
        /// Another.
        other: usize,
    },
    /// The same share twice, or two keys mixed.
    #[error("the Shamir share {x} is there twice")]
    RepeatedShare {
        /// The share's number.
        x: u8,
    },
    /// The value at zero is never handed out: it is the secret.
    #[error("a Shamir share has the number 0")]
    ShareAtZero,
}

/// Evaluates all polynomials at `x`; `coefficients` holds the linear ones of all bytes, then the quadratic ones, ….
fn share_at(x: u8, secret: &[u8], coefficients: &[u8]) -> KeyPart {
    let mut share = Vec::with_capacity(secret.len() + 1);
    share.extend_from_slice(secret);
    let mut power = x;
    for degree in coefficients.chunks_exact(secret.len()) {
        for (byte, &coefficient) in share.iter_mut().zip(degree) {
            *byte ^= multiply(coefficient, power);
        }
        power = multiply(power, x);
    }
    share.push(x);
    KeyPart::from(share)
}

/// The Lagrange basis of the point `x` at zero: `∏ xᵢ / (xᵢ − x)` over the other points.
fn weight_at_zero(x: u8, points: &[u8]) -> u8 {
    points
        .iter()
        .filter(|&&other| other != x)
        .fold(1, |weight, &other| {
            multiply(weight, multiply(other, invert(other ^ x)))
        })
}

/// `a · b` in GF(2^8): eight shift-and-add steps, with masks in the place of branches.
fn multiply(a: u8, b: u8) -> u8 {
    let (mut a, mut product) = (a, 0);
    for bit in 0..8 {
        product ^= a & (b >> bit & 1).wrapping_neg();
        a = (a << 1) ^ (0x1b & (a >> 7).wrapping_neg());
    }
    product
}

/// `1 / a` as `a^254`; zero stays zero.
fn invert(a: u8) -> u8 {
    // 254 = 2 + 4 + 8 + 16 + 32 + 64 + 128
    let (mut power, mut result) = (a, 1);
    for _ in 0..7 {
        power = multiply(power, power);
        result = multiply(result, power);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting_key() -> DataKey {
        let bytes: Vec<u8> = (0..32).collect();
        DataKey::from_part(&KeyPart::from(bytes)).unwrap()
    }

    const VECTORS: [&str; 3] = [
        "030b131b1b232b33334b435b5b536b63636b939b9b838bb3b3aba3dbdbd3cbc301",
        "061520333a495c6f7e8d98aba2b1c4d7f6e50b181122374455667380899aafbc02",
        "051f312b256f715b45cfd1fbf5efa1bb859f8a909eb4aae0fed4ca404e547a6003",
    ];

    fn unhex(text: &str) -> KeyPart {
        let bytes: Vec<u8> = (0..text.len() / 2)
            .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
            .collect();
        KeyPart::from(bytes)
    }

    #[test]
    fn the_field_is_that_of_aes() {
        assert_eq!(multiply(0x57, 0x83), 0xc1);
        for a in 1..=255 {
            assert_eq!(multiply(a, invert(a)), 1, "{a}");
        }
        assert_eq!(invert(0), 0);
    }

    #[test]
    fn t49_shares_are_the_values_and_then_x() {
        let coefficients: Vec<u8> = (0..32).map(|i| (7 * i + 3) as u8).collect();
        for (x, vector) in (1..).zip(VECTORS) {
            let share = share_at(x, counting_key().expose(), &coefficients);
            assert_eq!(share.expose(), unhex(vector).expose());
        }
    }

    #[test]
    fn any_two_shares_of_the_reference_recombine() {
        let key = counting_key();
        for (one, other) in [(0, 1), (1, 0), (0, 2), (2, 1)] {
            let secret = combine(&[unhex(VECTORS[one]), unhex(VECTORS[other])]).unwrap();
            assert_eq!(secret.expose(), key.expose());
        }
        let all: Vec<KeyPart> = VECTORS.iter().map(|v| unhex(v)).collect();
        assert_eq!(combine(&all).unwrap().expose(), key.expose());
    }

    #[test]
    fn every_threshold_holds_and_one_share_less_does_not() {
        let key = DataKey::generate();
        for parts in 2..=6 {
            for threshold in 2..=parts {
                let shares = split(&key, parts, threshold).unwrap();
                assert!(shares.iter().all(|share| share.expose().len() == 33));
                let copies = |range: std::ops::Range<usize>| -> Vec<KeyPart> {
                    shares[range]
                        .iter()
                        .map(|share| KeyPart::copy_of(share.expose()))
                        .collect()
                };
                assert_eq!(
                    combine(&copies(parts - threshold..parts)).unwrap().expose(),
                    key.expose()
                );
                assert_eq!(combine(&copies(0..parts)).unwrap().expose(), key.expose());
                if threshold > 2 {
                    let short = combine(&copies(0..threshold - 1)).unwrap();
                    assert_ne!(short.expose(), key.expose());
                }
            }
        }
    }

    #[test]
    fn the_largest_split_works() {
        let key = DataKey::generate();
        let shares = split(&key, 255, 255).unwrap();
        assert_eq!(combine(&shares).unwrap().expose(), key.expose());
    }

    #[test]
    fn impossible_splits_are_refused() {
        let key = DataKey::generate();
        let refused = |parts, threshold| split(&key, parts, threshold).err().unwrap();
        assert_eq!(
            refused(3, 1),
            ShamirError::ThresholdTooSmall { threshold: 1 }
        );
        assert_eq!(
            refused(3, 0),
            ShamirError::ThresholdTooSmall { threshold: 0 }
        );
        assert_eq!(
            refused(2, 3),
            ShamirError::ThresholdTooLarge {
                threshold: 3,
                parts: 2
            }
        );
        assert_eq!(refused(256, 2), ShamirError::TooManyParts { parts: 256 });
    }

    #[test]
    fn shares_that_do_not_belong_together_are_refused() {
        let refused = |shares: &[&[u8]]| {
            let shares: Vec<KeyPart> = shares.iter().map(|s| KeyPart::copy_of(s)).collect();
            combine(&shares).err().unwrap()
        };
        assert_eq!(refused(&[]), ShamirError::TooFewShares { got: 0 });
        assert_eq!(refused(&[&[1, 1]]), ShamirError::TooFewShares { got: 1 });
        assert_eq!(
            refused(&[&[1], &[2]]),
            ShamirError::ShareTooShort { length: 1 }
        );
        assert_eq!(
            refused(&[&[1, 1], &[1, 2, 2]]),
            ShamirError::UnequalLengths { one: 2, other: 3 }
        );
        assert_eq!(
            refused(&[&[1, 7], &[2, 7]]),
            ShamirError::RepeatedShare { x: 7 }
        );
        assert_eq!(refused(&[&[1, 7], &[2, 0]]), ShamirError::ShareAtZero);
    }
}
