//! Recipients: the public texts that a key part is wrapped for.

use std::sync::Arc;

use super::{dialog::Dialog, hybrid};
use crate::master_key::Callbacks;

/// Checks that a text is a recipient that can wrap.
pub(crate) fn check(text: &str) -> Result<(), RecipientError> {
    Recipient::parse(text).map(drop)
}

/// A recipient of any kind that the file format knows.
pub(super) enum Recipient {
    X25519(::age::x25519::Recipient),
    Hybrid(hybrid::Recipient),
    /// Hardware keys, whose public half needs no plugin.
    Tag(::age::tag::Recipient),
    TagPq(Box<::age::tagpq::Recipient>),
    Plugin(::age::plugin::Recipient),
    #[cfg(feature = "ssh")]
    Ssh(Box<::age::ssh::Recipient>),
}

impl Recipient {
    /// Tells the kinds apart by their beginnings, as upstream does, and parses.
    pub(super) fn parse(text: &str) -> Result<Self, RecipientError> {
        if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") || text.contains("PRIVATE KEY")
        {
            return Err(RecipientError {
                recipient: "[private key]".to_owned(),
                reason: "this is a private key; use its public key, which begins with age1"
                    .to_owned(),
            });
        }
        let invalid = |kind, reason: &str| RecipientError {
            recipient: text.to_owned(),
            reason: format!("it is not {kind}: {reason}"),
        };
        if text.starts_with(hybrid::RECIPIENT_START) {
            hybrid::Recipient::parse(text)
                .map(Self::Hybrid)
                .map_err(|reason| invalid("a hybrid age recipient", reason))
        } else if text.starts_with("age1") && text.matches('1').count() > 1 {
            if text.starts_with("age1tag1") {
                if let Ok(recipient) = text.parse() {
                    return Ok(Self::Tag(recipient));
                }
            } else if text.starts_with("age1tagpq1")
                && let Ok(recipient) = text.parse()
            {
                return Ok(Self::TagPq(Box::new(recipient)));
            }
            text.parse()
                .map(Self::Plugin)
                .map_err(|reason| invalid("a recipient of an age plugin", reason))
        } else if text.starts_with("age1") {
            text.parse()
                .map(Self::X25519)
                .map_err(|reason| invalid("an age recipient", reason))
        } else if text.starts_with("ssh-") {
            parse_ssh(text)
        } else {
            Err(RecipientError {
                recipient: text.to_owned(),
                reason: "it begins neither with age1 nor with ssh-".to_owned(),
            })
        }
    }

    /// The recipient as the age crate takes it; a plugin is looked for in `PATH` here.
    pub(super) fn into_wrapper(
        self,
        callbacks: &Arc<dyn Callbacks>,
    ) -> Result<Box<dyn ::age::Recipient>, String> {
        Ok(match self {
            Self::X25519(recipient) => Box::new(recipient),
            Self::Hybrid(recipient) => Box::new(recipient),
            Self::Tag(recipient) => Box::new(recipient),
            Self::TagPq(recipient) => recipient,
            #[cfg(feature = "ssh")]
            Self::Ssh(recipient) => recipient,
            Self::Plugin(recipient) => Box::new(
                ::age::plugin::RecipientPluginV1::new(
                    recipient.plugin(),
                    std::slice::from_ref(&recipient),
                    &[],
                    Dialog::new(callbacks),
                )
                .map_err(|error| error.to_string())?,
            ),
        })
    }
}

#[cfg(feature = "ssh")]
fn parse_ssh(text: &str) -> Result<Recipient, RecipientError> {
    use ::age::ssh::ParseRecipientKeyError as Error;

    let invalid = |reason: &str| RecipientError {
        recipient: text.to_owned(),
        reason: reason.to_owned(),
    };
    let mut fields = text.split_whitespace();
    let (kind, key) = match (fields.next(), fields.next()) {
        (Some(kind), Some(key)) => (kind, key),
        _ => return Err(invalid("it has no key after its type")),
    };
    // The parser wants exactly one blank before the key, and something after it.
    format!("{kind} {key} ")
        .parse()
        .map(|recipient| Recipient::Ssh(Box::new(recipient)))
        .map_err(|error| match error {
            Error::RsaModulusTooSmall => invalid("RSA keys need at least 2048 bits"),
            Error::RsaModulusTooLarge => {
                invalid("RSA keys of more than 4096 bits are not supported")
            }
            Error::Unsupported(_) | Error::Ignore => {
                invalid("only ssh-ed25519 and ssh-rsa keys can encrypt")
            }
            _ => invalid("it is not an SSH public key"),
        })
}

#[cfg(not(feature = "ssh"))]
fn parse_ssh(text: &str) -> Result<Recipient, RecipientError> {
    Err(RecipientError {
        recipient: text.to_owned(),
        reason: "this build is without SSH keys".to_owned(),
    })
}

/// A text is not a recipient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot use {recipient:?} as an age recipient: {reason}")]
pub struct RecipientError {
    /// The text.
    pub recipient: String,
    /// What is wrong with it.
    pub reason: String,
}
