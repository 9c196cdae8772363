//! Go templates over secret values, with the functions of sprig and of each dialect.
//!
//! This crate owns the template language: how a template is parsed, the values it works on, its
//! functions, and the bounds of time and memory within which it runs. It leaves which templates
//! there are, and what becomes of their results, to `resources` and `providers`.
//!
//! The syntax is parsed by `gotmpl`; everything behind the syntax is here, because a template
//! works on secrets: strings are bytes as in Go and are wiped, errors name the place and never a
//! value, and what runs has bounds. Where Go's own error texts would quote a value (`range can't
//! iterate over …`, the text given to `fail`), ours name its type.
//!
//! ```
//! use sealwright_template::{Context, Dialect, Options, Template};
//!
//! # fn main() -> Result<(), sealwright_template::TemplateError> {
//! let mut context = Context::default();
//! context.insert("user", b"admin");
//! let options = Options::of(Dialect::SealedSecrets);
//! let template = Template::parse("url", "{{ .user | upper | b64enc }}@{{ .host }}", &options)?;
//! assert_eq!(template.render(&context)?.expose(), b"QURNSU4=@<no value>");
//! # Ok(())
//! # }
//! ```

mod certificate;
mod check;
mod dialect;
mod error;
mod evaluate;
mod format;
mod function;
mod functions;
mod parse;
mod random;
mod text;
mod time;
mod value;
mod version;

pub use dialect::{Delimiters, Dialect, MissingKey, Options};
pub use error::TemplateError;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use sealwright_crypto::secret::SecretBytes;

use self::parse::Parsed;
use self::text::Text;
use self::value::Value;

/// The values a template sees, by name, and the time it sees.
#[derive(Default)]
pub struct Context {
    values: BTreeMap<Text, Text>,
    now: Option<Timestamp>,
}

static_assertions::assert_not_impl_any!(Context: Clone, std::fmt::Debug, std::fmt::Display);

impl Context {
    /// Starts a context in which it is always `now`; the default one looks at the clock.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self {
            values: BTreeMap::new(),
            now: Some(now),
        }
    }

    /// Adds a value; it need not be UTF-8.
    pub fn insert(&mut self, key: &str, value: &[u8]) {
        self.values.insert(Text::from(key), Text::from(value));
    }
}

/// A parsed template.
#[derive(Debug)]
pub struct Template(Parsed);

impl Template {
    /// Parses a template; `name` stands in its errors.
    ///
    /// # Errors
    ///
    /// Names the line and the reason; a function that the dialect does not have is an error too.
    pub fn parse(name: &str, source: &str, options: &Options) -> Result<Self, TemplateError> {
        parse::parse(name, source, options).map(Self)
    }

    /// Renders the template.
    ///
    /// # Errors
    ///
    /// Names the place and the reason, never a value.
    pub fn render(&self, context: &Context) -> Result<SecretBytes, TemplateError> {
        let dot = Value::TextMap(Arc::new(context.values.clone()));
        let now = context.now.unwrap_or_else(Timestamp::now);
        evaluate::render(&self.0, dot, now)
    }
}

#[cfg(test)]
mod tests;
