//! Paths to values, as people type them.

use sealwright_documents::format::Step;

use crate::command::parse_tree_path;
use crate::error::{Error, Kind, Result};

/// The help of the argument, in one place, and no doc comment: its brackets would be links there.
pub(super) const HELP: &str =
    "The value: keys with dots between (db.password, list.0), or [\"key\"][0]";

/// Reads the path of a verb that changes a value.
pub(super) fn of(text: &str) -> Result<Vec<Step>> {
    read(text).map_err(|reason| Error::new(Kind::Path, format!("cannot read the path: {reason}")))
}

/// A path in brackets, or keys with dots between them; a part of digits is a list index. Comments are no elements.
pub(super) fn read(text: &str) -> std::result::Result<Vec<Step>, String> {
    if text.starts_with('[') {
        let mut steps = parse_tree_path(text)?;
        for step in &mut steps {
            if let Some(index) = step.index() {
                *step = Step::Index(index);
            }
        }
        return Ok(steps);
    }
    if text.is_empty() {
        return Err("it is empty".into());
    }
    text.split('.')
        .map(|part| match part.parse() {
            _ if part.is_empty() => Err(format!("{text:?} has an empty part")),
            Ok(index) => Ok(Step::Index(index)),
            Err(_) => Ok(Step::Key(part.to_owned())),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_two_spellings() {
        assert_eq!(read("a.b.0").unwrap(), read(r#"["a"]["b"][0]"#).unwrap());
        assert!(read("a..b").is_err());
    }
}
