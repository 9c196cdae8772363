//! The templates of a webhook store, and what they see.

use std::collections::BTreeMap;
use std::time::Duration;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use sealwright_template::{Budget, Context, Dialect, MissingKey, Options, Template};

use crate::credential::WholeSecret;
use crate::http::url::is_unreserved;
use crate::outcome::StoreError;

/// What all templates of one call may use: they are rendered between calls of others, and put texts together.
const TEMPLATE_LIMITS: sealwright_template::Limits = sealwright_template::Limits {
    time: Duration::from_millis(100),
    memory: 4 << 20,
};

/// What templates see, and what they may use.
pub(super) struct Seen {
    reference: BTreeMap<String, SecretBytes>,
    secrets: Vec<(String, WholeSecret)>,
    budget: Budget,
}

impl Seen {
    pub(super) fn new(
        reference: BTreeMap<String, SecretBytes>,
        secrets: Vec<(String, WholeSecret)>,
    ) -> Self {
        Self {
            reference,
            secrets,
            budget: Budget::new(TEMPLATE_LIMITS),
        }
    }

    /// Renders the template of a field.
    pub(super) fn render(
        &self,
        field: &str,
        source: &str,
        escaping: Escaping,
    ) -> Result<SecretBytes, StoreError> {
        let options = Options::of(Dialect::ExternalSecrets).with_missing_key(MissingKey::NoValue);
        // The library's words about a template may hold its text, and the text may hold anything.
        let wrong = |what: &str| StoreError::invalid(format!("`{field}` {what}")).public();
        let template = Template::parse_within(field, source, &options, &self.budget)
            .map_err(|_| wrong("is no template, or uses a function that is not known"))?;
        let mut context = Context::default();
        let mut escaped = BTreeMap::new();
        for (name, value) in &self.reference {
            let value = match escaping {
                Escaping::None => SecretBytes::copy_of(value.expose()),
                Escaping::Reference => query_escape(value.expose()),
            };
            escaped.insert(name.as_str(), value);
        }
        context.insert_map(
            "remoteRef",
            escaped.iter().map(|(name, value)| (*name, value.expose())),
        );
        for (name, secret) in &self.secrets {
            let data = secret.data.iter();
            context.insert_map(
                name,
                data.map(|(key, value)| (key.as_str(), value.expose())),
            );
        }
        template
            .render_within(&context, &self.budget)
            .map_err(|_| wrong("cannot be rendered"))
    }
}

/// Whether the parts of the reference are escaped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Escaping {
    None,
    Reference,
}

/// Escapes as Go does for a query: a space becomes `+`.
fn query_escape(text: &[u8]) -> SecretBytes {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = SecretWriter::with_capacity(text.len() * 3);
    for byte in text {
        match byte {
            b' ' => out.push_byte(b'+'),
            byte if is_unreserved(*byte) => out.push_byte(*byte),
            byte => out.push(&[
                b'%',
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 15)],
            ]),
        }
    }
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_escaped_as_go_escapes_queries() {
        let escaped = query_escape("a b/ж&~".as_bytes());
        assert_eq!(escaped.expose(), b"a+b%2F%D0%B6%26~");
    }
}
