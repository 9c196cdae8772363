//! Paths into a document.

use sealwright_documents::format::Step;

/// How many steps a path may have: what is missing on the way is made by recursion.
const MOST_STEPS: usize = 1_000;

/// Reads a path into a document, such as `["a"][0]['b']` (S91).
pub(crate) fn parse_tree_path(text: &str) -> std::result::Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut parts = text.trim_end().split('[');
    let before = parts.next().unwrap_or_default();
    if !before.trim().is_empty() {
        return Err(format!("{text:?} does not begin with ["));
    }
    for part in parts {
        if steps.len() == MOST_STEPS {
            return Err(format!("a path has at most {MOST_STEPS} steps"));
        }
        let inner = part
            .strip_suffix(']')
            .ok_or_else(|| format!("a step of {text:?} does not end with ]"))?;
        let quoted = inner.starts_with(['"', '\'']);
        if quoted {
            let mut chars = inner.chars();
            chars.next();
            if chars.next_back().is_none() {
                return Err(format!("a key of {text:?} has no closing quote"));
            }
            steps.push(Step::Key(chars.as_str().to_owned()));
        } else {
            let index = inner
                .parse::<i64>()
                .map_err(|_| format!("{inner:?} is neither a quoted key nor a list index"))?;
            let index = usize::try_from(index)
                .map_err(|_| format!("the list index {index} is negative"))?;
            steps.push(Step::IndexWithComments(index));
        }
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s91_tree_paths() {
        let path = parse_tree_path(r#"["a b"][12]['c]d']"#).unwrap();
        assert_eq!(
            path,
            [
                Step::Key("a b".into()),
                Step::IndexWithComments(12),
                Step::Key("c]d".into())
            ]
        );
        assert_eq!(parse_tree_path("").unwrap(), []);
        for wrong in [
            "a",
            r#"["a""#,
            "[x]",
            r#"["]"#,
            r#"["a"] ["b"]"#,
            "[-1]",
            "[1",
            "[]",
        ] {
            assert!(parse_tree_path(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_tree_path(&"[0]".repeat(1_000)).unwrap().len(), 1_000);
        assert!(parse_tree_path(&"[0]".repeat(1_001)).is_err());
    }
}
