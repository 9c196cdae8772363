//! Keys as flags, variables and rules name them: one text for each.

use std::collections::BTreeMap;

use sealwright_crypto::master_key::Kind;

use super::KeyFields;

/// A text does not name a key of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} {reason}")]
pub struct KeyTextError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl KeyFields {
    /// Reads one key as flags and rules name it. Whether an age recipient or an ARN is a valid one is told by the key
    /// itself when it is used.
    pub fn parse(kind: Kind, text: &str) -> Result<Self, KeyTextError> {
        let wrong = |reason| KeyTextError {
            text: text.to_owned(),
            reason,
        };
        let trimmed = text.trim();
        let without_spaces = || trimmed.replace(' ', "");
        if trimmed.is_empty() {
            return Err(wrong("names no key"));
        }
        Ok(match kind {
            Kind::Age => KeyFields::Age {
                recipient: trimmed.to_owned(),
            },
            Kind::Pgp => KeyFields::Pgp {
                fingerprint: without_spaces(),
            },
            Kind::Kms => {
                let text = without_spaces();
                let (arn, role) = match text.find("+arn:") {
                    Some(at) => (text[..at].to_owned(), text[at + 1..].to_owned()),
                    None => (text, String::new()),
                };
                KeyFields::Kms {
                    arn,
                    role,
                    context: BTreeMap::new(),
                    aws_profile: String::new(),
                }
            }
            Kind::GcpKms => KeyFields::GcpKms {
                resource_id: without_spaces(),
            },
            Kind::HcKms => {
                let (region, key) = trimmed
                    .split_once(':')
                    .ok_or_else(|| wrong("is not of the form region:key"))?;
                let (region, key) = (region.trim(), key.trim());
                if region.is_empty() || key.is_empty() {
                    return Err(wrong("is not of the form region:key"));
                }
                KeyFields::HcKms {
                    key_id: format!("{region}:{key}"),
                }
            }
            Kind::AzureKv => azure(trimmed).ok_or_else(|| {
                wrong("is not of the form https://<vault>/keys/<name>[/<version>]")
            })?,
            Kind::HcVault => vault(trimmed).ok_or_else(|| {
                wrong("is not of the form https://<server>/v1/<engine>/keys/<name>")
            })?,
        })
    }
}

/// `^(https://[^/]+)/keys/([^/]+)(/[^/]*)?$`
fn azure(text: &str) -> Option<KeyFields> {
    let rest = text.strip_prefix("https://")?;
    let (host, path) = rest.split_once('/')?;
    let path = path.strip_prefix("keys/")?;
    let (name, version) = path.split_once('/').unwrap_or((path, ""));
    let valid = !host.is_empty() && !name.is_empty() && !version.contains('/');
    valid.then(|| KeyFields::AzureKv {
        vault_url: format!("https://{host}"),
        name: name.to_owned(),
        version: version.to_owned(),
    })
}

/// The version segment stands first in the path, the name last, a segment (`keys`) before it; the engine between.
fn vault(text: &str) -> Option<KeyFields> {
    let (scheme, rest) = text.split_once("://")?;
    let (host, path) = rest.split_once('/')?;
    if scheme.is_empty() || host.is_empty() {
        return None;
    }
    let path = path.trim_end_matches('/');
    let segments: Vec<&str> = path.split('/').collect();
    let is_version = |segment: &str| {
        let digits = segment.strip_prefix('v').unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    };
    let [version, engine @ .., _, name] = &segments[..] else {
        return None;
    };
    let nested = segments.iter().skip(1).any(|segment| is_version(segment)) && segments.len() > 5;
    let valid = is_version(version)
        && !engine.is_empty()
        && !nested
        && segments.iter().all(|segment| !segment.is_empty());
    valid.then(|| KeyFields::HcVault {
        vault_address: format!("{scheme}://{host}"),
        engine_path: engine.join("/"),
        key_name: (*name).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(kind: Kind, text: &str) -> Option<String> {
        KeyFields::parse(kind, text).ok().map(|key| key.identity())
    }

    #[test]
    fn keys_are_read_as_the_reference_reads_them() {
        let cases = [
            (Kind::Age, " age1x ", Some("age1x")),
            (Kind::Age, "", None),
            (Kind::Pgp, "AB CD", Some("ABCD")),
            (
                Kind::Kms,
                "arn:aws:kms:r:1:key/k + arn:aws:iam::1:role/x",
                Some("arn:aws:kms:r:1:key/k+arn:aws:iam::1:role/x"),
            ),
            (Kind::GcpKms, "projects/p/l", Some("projects/p/l")),
            (Kind::HcKms, "eu : id", Some("eu:id")),
            (Kind::HcKms, "eu:", None),
            (
                Kind::AzureKv,
                "https://v.example/keys/k/1",
                Some("https://v.example/keys/k/1"),
            ),
            (
                Kind::AzureKv,
                "https://v.example/keys/k",
                Some("https://v.example/keys/k/"),
            ),
            (Kind::AzureKv, "http://v.example/keys/k", None),
            (
                Kind::HcVault,
                "https://v:8200/v1/a/b/transit/keys/dev",
                Some("https://v:8200/v1/a/b/transit/keys/dev"),
            ),
            (
                Kind::HcVault,
                "http://v/v1/transit/keys/dev",
                Some("http://v/v1/transit/keys/dev"),
            ),
            (Kind::HcVault, "http://v/x/v1/transit/keys/dev", None),
            (Kind::HcVault, "v/v1/transit/keys/dev", None),
        ];
        for (kind, text, expected) in cases {
            assert_eq!(identity(kind, text).as_deref(), expected, "{text}");
        }
    }
}
