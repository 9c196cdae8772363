//! The text with which a new file opens in the editor.

use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::data::Data;
use sealwright_documents::format::{Format, Layout};

use crate::command::document;
use crate::error::Result;

/// A small document of each kind of value that a format has (S112).
pub(super) fn sample(format: &'static dyn Format, layout: Layout) -> Result<SecretBytes> {
    let key = |name: &str| SecretBytes::copy_of(name.as_bytes());
    let comment = |text: &str| {
        (
            SecretBytes::default(),
            Data::Comment {
                text: SecretBytes::copy_of(text.as_bytes()),
                inline: false,
            },
        )
    };
    let hello = || {
        (
            key("hello"),
            Data::str("Welcome! Edit this file as you please."),
        )
    };
    let example = || (key("example_key"), Data::str("example_value"));
    let list = |values: Vec<Data>| Data::List(values);
    let content = match format.name() {
        "binary" => {
            return Ok(SecretBytes::copy_of(
                b"Welcome! Edit this file as you please.",
            ));
        }
        "dotenv" => Data::Map(vec![
            comment(" An example comment"),
            hello(),
            example(),
            (
                key("example_multiline"),
                Data::str("this is a\nmulti-line\nvalue"),
            ),
        ]),
        "ini" => Data::Map(vec![(
            key("Welcome!"),
            Data::Map(vec![comment(" An example comment"), hello(), example()]),
        )]),
        _ => {
            let mut entries = vec![hello(), example()];
            if format.name() == "yaml" {
                entries.push(comment(" An example comment"));
            }
            entries.push((
                key("example_array"),
                list(vec![
                    Data::str("example_value1"),
                    Data::str("example_value2"),
                ]),
            ));
            entries.push((key("example_number"), Data::Float(1_234.567_89)));
            entries.push((
                key("example_booleans"),
                list(vec![Data::Bool(true), Data::Bool(false)]),
            ));
            Data::Map(entries)
        }
    };
    format
        .render(&[content], layout)
        .map_err(|error| document::emit_error(&error))
}
