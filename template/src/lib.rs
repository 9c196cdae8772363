//! Go templates over secret values, with the functions of sprig and of each dialect.
//!
//! This crate owns the template language: how a template is parsed, the values it works on, its
//! functions, and the bounds of time and memory within which it runs. It leaves which templates
//! there are, and what becomes of their results, to `resources` and `providers`.
//!
//! A template works on secrets: strings are bytes as in Go and are wiped, and errors name the place
//! and never a value. Where Go's own error texts would quote a value (`range can't iterate over …`,
//! the text given to `fail`), ours name its type.
//!
//! A template may be written by someone who must not hurt others. Its depth is bounded where it is
//! parsed and where values are built, so no stack overflows; a [`Budget`] of processor time and
//! memory is checked by everything that loops or multiplies, and all templates of one object share
//! it.
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

mod budget;
mod certificate;
mod dialect;
mod error;
mod evaluate;
mod format;
mod function;
mod functions;
pub mod go_duration;
mod number;
mod parse;
pub mod pkcs12;
mod random;
mod sink;
mod text;
mod time;
mod tree;
pub mod uuid;
mod value;
mod version;
pub mod yaml;

pub use budget::{Budget, Limits};
pub use dialect::{Delimiters, Dialect, MissingKey, Options};
pub use error::{Cause, TemplateError};

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealwright_crypto::secret::SecretBytes;

use self::parse::Parsed;
use self::text::Text;
use self::value::{TextMap, Value};

/// The values a template sees, by name, and the time it sees.
#[derive(Default)]
pub struct Context {
    values: BTreeMap<Text, Text>,
    maps: BTreeMap<Text, BTreeMap<Text, Text>>,
    now: Option<Timestamp>,
}

static_assertions::assert_not_impl_any!(Context: Clone, std::fmt::Debug, std::fmt::Display);

impl Context {
    /// Starts a context in which it is always `now`; the default one looks at the clock.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self {
            now: Some(now),
            ..Self::default()
        }
    }

    /// Adds a value; it need not be UTF-8.
    pub fn insert(&mut self, key: &str, value: &[u8]) {
        self.values.insert(Text::from(key), Text::from(value));
    }

    /// Adds values below a name, as in `.remoteRef.key`.
    pub fn insert_map<'a>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) {
        let values = values
            .into_iter()
            .map(|(key, value)| (Text::from(key), Text::from(value)));
        self.maps.insert(Text::from(name), values.collect());
    }

    /// What templates see as `.`: a map of texts, as long as nothing stands below a name.
    fn dot(&self) -> Value {
        if self.maps.is_empty() {
            return Value::TextMap(TextMap::new(self.values.clone()));
        }
        let texts = self.values.iter();
        let texts = texts.map(|(key, value)| (key.clone(), Value::Text(value.clone())));
        let maps = self.maps.iter();
        let maps = maps.map(|(key, map)| (key.clone(), Value::TextMap(TextMap::new(map.clone()))));
        Value::dict(texts.chain(maps))
    }
}

/// A parsed template.
pub struct Template(Parsed);

static_assertions::assert_impl_all!(Template: Send, Sync);

impl Template {
    /// Parses a template within the limits of its options; `name` stands in its errors.
    ///
    /// # Errors
    ///
    /// Names the line and the reason; a function that the dialect does not have is an error too.
    pub fn parse(name: &str, source: &str, options: &Options) -> Result<Self, TemplateError> {
        Self::parse_within(name, source, options, &Budget::new(options.limits))
    }

    /// Parses one of several templates that share a budget.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn parse_within(
        name: &str,
        source: &str,
        options: &Options,
        budget: &Budget,
    ) -> Result<Self, TemplateError> {
        budget
            .run(|| parse::parse(name, source, options, budget))
            .map(Self)
    }

    /// Renders the template within the limits of its options.
    ///
    /// # Errors
    ///
    /// Names the place and the reason, never a value.
    pub fn render(&self, context: &Context) -> Result<SecretBytes, TemplateError> {
        self.render_within(context, &Budget::new(self.0.options.limits))
    }

    /// Renders one of several templates that share a budget; what they render counts together.
    ///
    /// # Errors
    ///
    /// As [`render`](Self::render).
    pub fn render_within(
        &self,
        context: &Context,
        budget: &Budget,
    ) -> Result<SecretBytes, TemplateError> {
        let dot = context.dot();
        let now = context.now.unwrap_or_else(Timestamp::now);
        budget.run(|| evaluate::render(&self.0, &dot, now, budget))
    }
}

#[cfg(test)]
mod tests;
