//! Go templates.

use gotmpl::Value;
use sealwright_crypto::secret::SecretBytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use thiserror::Error;

/// A template does not parse or does not run.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct TemplateError(String);

/// The values a template sees.
#[derive(Default)]
pub struct Context(BTreeMap<Arc<str>, Value>);

impl Context {
    /// Adds a value.
    pub fn insert(&mut self, key: &str, value: &[u8]) {
        let text = String::from_utf8_lossy(value);
        self.0.insert(key.into(), Value::String(text.into()));
    }
}

/// A parsed template.
pub struct Template(gotmpl::Template);

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    ///
    /// Gives line and reason.
    pub fn parse(name: &str, source: &str) -> Result<Self, TemplateError> {
        gotmpl::Template::new(name)
            .parse(source)
            .map(Self)
            .map_err(|error| TemplateError(error.to_string()))
    }

    /// Renders the template.
    ///
    /// # Errors
    ///
    /// Gives the reason.
    pub fn render(&self, context: &Context) -> Result<SecretBytes, TemplateError> {
        let text = self
            .0
            .execute_to_string(&Value::Map(Arc::new(context.0.clone())))
            .map_err(|_| TemplateError("the template does not run".to_owned()))?;
        Ok(SecretBytes::from(text.into_bytes()))
    }
}
