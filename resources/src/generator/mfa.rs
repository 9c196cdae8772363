//! One-time passwords (RFC 6238).

use aws_lc_rs::hmac;
use k8s_openapi::jiff::Timestamp;
use kube::CustomResource;
use schemars::JsonSchema;
use sealwright_crypto::secret::SecretBytes;
use serde::{Deserialize, Serialize};

use super::{GeneratorError, Values, base32};

/// MFASpec says which seed one-time passwords are made of, and how.
#[derive(
    CustomResource, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[kube(
    group = "generators.external-secrets.io",
    version = "v1alpha1",
    kind = "MFA",
    root = "Mfa",
    plural = "mfas",
    category = "external-secrets",
    category = "external-secrets-generators",
    namespaced,
    derive = "PartialEq",
    doc = "MFA makes one-time passwords out of a seed."
)]
#[serde(rename_all = "camelCase")]
pub struct MfaSpec {
    /// The Secret with the seed, in base32.
    pub secret: SeedRef,
    /// The number of digits; 6 if it is not positive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<i64>,
    /// How many seconds a password is valid; 30 if it is not positive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_period: Option<i64>,
    /// The hash function: sha1, sha256 or sha512.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// The time for which a password is made; now without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub when: Option<String>,
}

/// A key of a Secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SeedRef {
    /// The name of the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: Option<String>,
    /// The namespace of the Secret; it is always that of the generator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub namespace: Option<String>,
    /// The key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: Option<String>,
}

impl MfaSpec {
    /// Makes the password that is valid at `now`, and says for how many seconds it will be.
    ///
    /// # Errors
    ///
    /// Fails if the seed is no base32 or a field makes no sense.
    pub fn generate(&self, seed: &SecretBytes, now: Timestamp) -> Result<Values, GeneratorError> {
        let invalid = GeneratorError::Invalid;
        let at = match self.when.as_deref() {
            None | Some("") => now,
            Some(when) => when
                .parse()
                .map_err(|_| invalid("`when` is no date and time"))?,
        };
        let length = self.length.filter(|&length| length > 0).unwrap_or(6);
        // Beyond that the result of upstream depends on its processor.
        let length = u32::try_from(length)
            .ok()
            .filter(|&length| length <= 18)
            .ok_or(invalid("the length must be at most 18"))?;
        let period = self.time_period.filter(|&period| period > 0);
        let period = period
            .and_then(|period| u64::try_from(period).ok())
            .unwrap_or(30);
        let seconds = u64::try_from(at.as_second()).map_err(|_| invalid("it is before 1970"))?;
        // Upstream takes a hash function and never uses it: existing seeds were set up with SHA-1.
        let seed = base32::decode(seed.expose()).ok_or(invalid("the seed is no base32"))?;
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &seed);
        let tag = hmac::sign(&key, &(seconds / period).to_be_bytes());
        let tag = tag.as_ref();
        let offset = usize::from(tag[tag.len() - 1] & 0x0f);
        let word: [u8; 4] = tag[offset..offset + 4].try_into().expect("four bytes");
        let code = u64::from(u32::from_be_bytes(word) & 0x7fff_ffff) % 10u64.pow(length);
        let token = format!("{code:0width$}", width = length as usize);
        let left = period - seconds % period;
        Ok(Values::from([
            ("token".to_owned(), SecretBytes::from(token.into_bytes())),
            (
                "timeLeft".to_owned(),
                SecretBytes::from(left.to_string().into_bytes()),
            ),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B: the seed is `12345678901234567890`.
    #[test]
    fn passwords_are_those_of_the_specification() {
        let seed = SecretBytes::copy_of(b"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        for (second, wanted) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_234_567_890, "89005924"),
            (20_000_000_000, "65353130"),
        ] {
            let spec = MfaSpec {
                length: Some(8),
                ..MfaSpec::default()
            };
            let now = Timestamp::from_second(second).unwrap();
            let values = spec.generate(&seed, now).unwrap();
            assert_eq!(values["token"].expose(), wanted.as_bytes());
        }
        let spec = MfaSpec {
            when: Some("1970-01-01T00:00:59Z".to_owned()),
            ..MfaSpec::default()
        };
        let values = spec.generate(&seed, Timestamp::now()).unwrap();
        assert_eq!(values["token"].expose(), b"287082");
        assert_eq!(values["timeLeft"].expose(), b"1");
        let bad = SecretBytes::copy_of(b"not base32!");
        assert!(spec.generate(&bad, Timestamp::now()).is_err());
    }

    /// 94287082 are the last digits of 1094287082 in the specification.
    #[test]
    fn fields_that_are_not_positive_count_as_left_out_and_long_passwords_have_zeros_before() {
        let seed = SecretBytes::copy_of(b"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let token = |length: i64, period: i64| {
            let spec = MfaSpec {
                length: Some(length),
                time_period: Some(period),
                ..MfaSpec::default()
            };
            let values = spec.generate(&seed, Timestamp::from_second(59).unwrap());
            let token = values.ok()?["token"].expose().to_vec();
            Some(String::from_utf8(token).unwrap())
        };
        for (length, wanted) in [
            (0, "287082"),
            (-8, "287082"),
            (10, "1094287082"),
            (12, "001094287082"),
            (18, "000000001094287082"),
        ] {
            for period in [30, 0, -60] {
                let found = token(length, period);
                assert_eq!(found.as_deref(), Some(wanted), "{length} {period}");
            }
        }
        assert_eq!(token(19, 30), None);
    }
}
