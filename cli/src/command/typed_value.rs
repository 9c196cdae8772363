//! A value as a person types it, given the type of what stands in its place.

use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::data::Data;
use sealwright_documents::format::Step;
use sealwright_documents::tree::Tree;

use super::document;
use crate::error::{Error, Kind, Result};

/// The type of a new value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ValueType {
    /// That of the value that is replaced; text where none is.
    #[default]
    Kept,
    /// Text.
    String,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// `true` or `false`.
    Bool,
}

/// Gives a text the type of the value at `path`, or the one that was asked for.
pub(super) fn typed(
    text: SecretBytes,
    wanted: ValueType,
    tree: &Tree,
    path: &[Step],
) -> Result<Data> {
    let old = || match document::find(tree, path) {
        Ok(node) => Data::of(tree, node),
        Err(_) => Data::Null,
    };
    let is_kept = wanted == ValueType::Kept;
    let wanted = match wanted {
        ValueType::Kept => match old() {
            Data::Int(_) => ValueType::Int,
            Data::Float(_) => ValueType::Float,
            Data::Bool(_) => ValueType::Bool,
            Data::Time(_) => return time(text),
            _ => ValueType::String,
        },
        wanted => wanted,
    };
    let parsed = std::str::from_utf8(text.expose()).ok().and_then(|text| {
        let text = text.trim();
        match wanted {
            ValueType::Int => text.parse().map(Data::Int).ok().or_else(|| {
                // A whole number may become one with a fraction: both are numbers.
                is_kept.then(|| float(text)).flatten()
            }),
            ValueType::Float => float(text),
            ValueType::Bool => text.parse().map(Data::Bool).ok(),
            ValueType::Kept | ValueType::String => None,
        }
    });
    let (name, example) = match wanted {
        ValueType::Int if is_kept => ("a number", "5432"),
        ValueType::Int => ("a whole number", "5432"),
        ValueType::Float => ("a number", "0.5"),
        ValueType::Bool => ("true or false", "true"),
        ValueType::Kept | ValueType::String => return Ok(Data::Str(text)),
    };
    parsed.ok_or_else(|| {
        let text = match is_kept {
            true => format!("the value there is {name}, and the new one is not"),
            false => format!("the value is not {name}"),
        };
        let error = Error::new(Kind::Path, text);
        match is_kept {
            true => error.hint(format!(
                "give {name} such as {example}, or --string to make it a text"
            )),
            false => error,
        }
    })
}

fn float(text: &str) -> Option<Data> {
    text.parse::<f64>()
        .ok()
        .filter(|number| number.is_finite())
        .map(Data::Float)
}

fn time(text: SecretBytes) -> Result<Data> {
    let parsed = std::str::from_utf8(text.expose())
        .ok()
        .filter(|text| text.trim().parse::<jiff::Timestamp>().is_ok());
    match parsed {
        Some(text) => Ok(Data::Time(text.trim().to_owned())),
        None => Err(Error::new(
            Kind::Path,
            "the value there is a time, and the new one is not",
        )
        .hint("give a time such as 2026-01-02T03:04:05Z, or --string to make it a text")),
    }
}

/// Refuses a change that would lose more than a value: a map or list for a scalar or the reverse, a map in the place of a
/// scalar on the way, an element behind the end of a list.
pub(super) fn refuse_surprises(tree: &Tree, path: &[Step], new: &Data) -> Result<()> {
    let refused = |text: String| {
        Err(Error::new(Kind::Path, text).hint("with --force it is done all the same"))
    };
    for length in 1..path.len() {
        if let Ok(node) = document::find(tree, &path[..length])
            && !is_collection(&Data::of(tree, node))
            && Data::of(tree, node) != Data::Null
        {
            return refused(format!(
                "{} is a value and no map: it would be replaced",
                spelled(&path[..length])
            ));
        }
    }
    if let Ok(node) = document::find(tree, path) {
        let (old, new) = (kind_of(&Data::of(tree, node)), kind_of(new));
        if old != new && !old.is_empty() {
            return refused(format!(
                "{} is {old}, and would become {new}",
                spelled(path)
            ));
        }
        return Ok(());
    }
    if let Some((Step::Index(index), before)) = path.split_last()
        && let Ok(node) = document::find(tree, before)
        && let Data::List(elements) = Data::of(tree, node)
    {
        let count = elements
            .iter()
            .filter(|element| !matches!(element, Data::Comment { .. }))
            .count();
        return refused(format!(
            "the list has {count} elements, and {index} is behind its end (the first is 0)"
        ));
    }
    Ok(())
}

fn is_collection(data: &Data) -> bool {
    matches!(data, Data::Map(_) | Data::List(_))
}

/// The kind of a value for people; empty for nothing, which anything may replace.
fn kind_of(data: &Data) -> &'static str {
    match data {
        Data::Map(_) => "a map",
        Data::List(_) => "a list",
        Data::Null => "",
        _ => "a single value",
    }
}

/// A path as people write it.
fn spelled(path: &[Step]) -> String {
    let parts: Vec<String> = path
        .iter()
        .map(|step| match step {
            Step::Key(key) => key.clone(),
            Step::Index(index) | Step::IndexWithComments(index) => index.to_string(),
        })
        .collect();
    parts.join(".")
}
