//! Go templates with the functions of sprig, as Secrets are filled by them.
//!
//! The syntax is parsed by `gotmpl`; everything behind the syntax is here, because a template
//! works on secrets: strings are bytes as in Go and are wiped, errors tell the place and never a
//! value, and what runs has bounds. Where Go's own error texts would quote a value (`range can't
//! iterate over …`, the text given to `fail`), ours name its type.
//!
//! ```
//! use sealwright_resources::template::{Context, Template};
//!
//! # fn main() -> Result<(), sealwright_resources::template::TemplateError> {
//! let mut context = Context::default();
//! context.insert("user", b"admin");
//! let template = Template::parse("url", "{{ .user | upper | b64enc }}@{{ .host }}")?;
//! assert_eq!(template.render(&context)?.expose(), b"QURNSU4=@<no value>");
//! # Ok(())
//! # }
//! ```

mod check;
mod error;
mod evaluate;
mod format;
mod functions;
mod value;

pub use error::TemplateError;

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::parse::{ListNode, Node, Parser};
use k8s_openapi::jiff::Timestamp;
use sealwright_crypto::secret::SecretBytes;

use self::value::{Text, Value};

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
pub struct Template {
    name: String,
    source: String,
    trees: BTreeMap<String, ListNode>,
}

impl Template {
    /// Parses a template; the name stands in its errors.
    ///
    /// # Errors
    ///
    /// Gives line and reason, unknown functions included.
    pub fn parse(name: &str, source: &str) -> Result<Self, TemplateError> {
        // The parser takes an `{{end}}` too many for the end of the whole; with a mark behind the
        // source it is seen whether it got there.
        let marked = format!("{source}{END_MARK}");
        let (mut root, defines) = Parser::with_name(Some(name), &marked, "{{", "}}")
            .and_then(Parser::parse)
            .map_err(|error| TemplateError::from_parser(name, error))?;
        if !cut_mark(&mut root) {
            let line = 1 + source.matches('\n').count();
            return Err(TemplateError::parse(
                name,
                line,
                "unexpected {{end}} or {{else}}",
            ));
        }
        let mut trees = BTreeMap::new();
        for define in defines {
            let tree: &mut ListNode = match trees.entry(define.name.to_string()) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(define.body);
                    continue;
                }
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            };
            // An empty definition never replaces another one.
            match (tree.is_empty_tree(), define.body.is_empty_tree()) {
                (true, _) => *tree = define.body,
                (false, true) => {}
                (false, false) => {
                    return Err(TemplateError::parse(
                        name,
                        define.pos.line,
                        &format!("multiple definition of template {:?}", define.name.as_str()),
                    ));
                }
            }
        }
        if !root.is_empty_tree() || !trees.contains_key(name) {
            trees.insert(name.to_owned(), root);
        }
        for tree in trees.values() {
            check::tree(name, tree)?;
        }
        Ok(Self {
            name: name.to_owned(),
            source: source.to_owned(),
            trees,
        })
    }

    /// Renders the template.
    ///
    /// # Errors
    ///
    /// Gives place and reason, never a value.
    pub fn render(&self, context: &Context) -> Result<SecretBytes, TemplateError> {
        let dot = Value::TextMap(Arc::new(context.values.clone()));
        let now = context.now.unwrap_or_else(Timestamp::now);
        evaluate::render(self, dot, now)
    }
}

/// Stands behind every source while it is parsed; no template can contain it, as a Secret's texts
/// in JSON and YAML have no such character.
const END_MARK: &str = "\u{0}end";

/// Takes the mark off the last text again; tells whether it was there.
fn cut_mark(root: &mut ListNode) -> bool {
    let Some(Node::Text(last)) = root.nodes.last_mut() else {
        return false;
    };
    let Some(text) = last.text.strip_suffix(END_MARK) else {
        return false;
    };
    if text.is_empty() {
        root.nodes.pop();
    } else {
        last.text = text.into();
    }
    true
}

#[cfg(test)]
mod tests;
