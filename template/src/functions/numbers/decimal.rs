//! Decimal fractions of any length, so that 0.1 + 0.2 is 0.3.

use num_bigint::{BigInt, Sign};

/// `digits · 10^exponent`
pub(super) struct Decimal {
    digits: BigInt,
    exponent: i64,
}

/// Digits behind the point of a quotient.
const DIVISION_DIGITS: i64 = 16;
/// A chain of products ends here; no template needs numbers of this length.
const MAX_EXPONENT: i64 = 10_000;
/// The same for whole numbers, whose exponent stays 0.
const MAX_BITS: u64 = 40_000;

impl Decimal {
    /// The shortest decimal that is this number.
    pub(super) fn from_float(value: f64) -> Result<Self, String> {
        if !value.is_finite() {
            return Err("cannot create a Decimal from NaN or Inf".to_owned());
        }
        let text = format!("{value:e}");
        let (number, exponent) = text.split_once('e').expect("an exponent");
        let exponent: i64 = exponent.parse().expect("a small number");
        let decimals = number
            .split_once('.')
            .map_or(0, |(_, decimals)| decimals.len());
        let digits = number.replace('.', "");
        Ok(Self {
            digits: digits.parse().expect("digits"),
            exponent: exponent - i64::try_from(decimals).expect("few digits"),
        })
    }

    /// The nearest number.
    pub(super) fn to_float(&self) -> f64 {
        let text = format!("{}e{}", self.digits, self.exponent);
        text.parse().expect("a number with an exponent")
    }

    pub(super) fn add(&self, other: &Self) -> Result<Self, String> {
        let (left, right, exponent) = self.aligned(other);
        Ok(Self {
            digits: left + right,
            exponent,
        })
    }

    pub(super) fn sub(&self, other: &Self) -> Result<Self, String> {
        let (left, right, exponent) = self.aligned(other);
        Ok(Self {
            digits: left - right,
            exponent,
        })
    }

    pub(super) fn mul(&self, other: &Self) -> Result<Self, String> {
        let exponent = self.exponent + other.exponent;
        let bits = self.digits.bits() + other.digits.bits();
        if exponent.abs() > MAX_EXPONENT || bits > MAX_BITS {
            return Err("the number has too many digits".to_owned());
        }
        Ok(Self {
            digits: &self.digits * &other.digits,
            exponent,
        })
    }

    /// Divides to 16 digits behind the point, rounding halves away from zero.
    pub(super) fn div(&self, other: &Self) -> Result<Self, String> {
        if other.digits.sign() == Sign::NoSign {
            return Err("decimal division by 0".to_owned());
        }
        let shift = self.exponent - other.exponent + DIVISION_DIGITS;
        let (mut left, mut right) = (self.digits.clone(), other.digits.clone());
        if shift >= 0 {
            left *= power(shift);
        } else {
            right *= power(-shift);
        }
        let (mut quotient, rest) = (&left / &right, &left % &right);
        if rest.magnitude() * 2u32 >= *right.magnitude() && rest.sign() != Sign::NoSign {
            quotient += if left.sign() == right.sign() { 1 } else { -1 };
        }
        Ok(Self {
            digits: quotient,
            exponent: -DIVISION_DIGITS,
        })
    }

    fn aligned(&self, other: &Self) -> (BigInt, BigInt, i64) {
        let exponent = self.exponent.min(other.exponent);
        let scaled = |number: &Self| &number.digits * power(number.exponent - exponent);
        (scaled(self), scaled(other), exponent)
    }
}

fn power(exponent: i64) -> BigInt {
    BigInt::from(10).pow(u32::try_from(exponent).expect("bounded exponents"))
}
