//! Semantic versions and constraints on them.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::function::Parameter::Text;
use crate::function::{Entry, fixed, text};
use crate::value::Value;
use crate::version::{self, Version};

pub(super) const FUNCTIONS: &[Entry] = &[
    (
        "semver",
        fixed(&[Text], |_, a| {
            let version = Version::parse(&text(a, 0).lossy())?;
            Ok(Value::Version(Arc::new(version)))
        }),
    ),
    (
        "semverCompare",
        fixed(&[Text, Text], |_, a| {
            let constraint = text(a, 0).lossy();
            let version = text(a, 1).lossy();
            version::holds(&constraint, &version).map(Value::Bool)
        }),
    ),
];

/// Calls a method of the upstream's type; `None` if there is no such method here.
pub(crate) fn method(
    version: &Version,
    name: &str,
    arguments: &[Value],
) -> Option<Result<Value, String>> {
    let number = |index: usize| Some(Ok(Value::Uint64(version.numbers[index])));
    let text = |text: &str| Some(Ok(Value::text(text)));
    match (name, arguments) {
        ("Major", []) => number(0),
        ("Minor", []) => number(1),
        ("Patch", []) => number(2),
        ("Prerelease", []) => text(&version.prerelease),
        ("Metadata", []) => text(&version.metadata),
        ("Original", []) => text(&version.original),
        ("String", []) => text(&version.to_string()),
        ("Compare", [Value::Version(other)]) => Some(Ok(Value::Int(version.compare(other) as i64))),
        ("Equal", [Value::Version(other)]) => {
            Some(Ok(Value::Bool(version.compare(other) == Ordering::Equal)))
        }
        ("LessThan", [Value::Version(other)]) => {
            Some(Ok(Value::Bool(version.compare(other) == Ordering::Less)))
        }
        ("GreaterThan", [Value::Version(other)]) => {
            Some(Ok(Value::Bool(version.compare(other) == Ordering::Greater)))
        }
        ("IncMajor", []) => Some(Ok(Value::Version(Arc::new(version.increased(0))))),
        ("IncMinor", []) => Some(Ok(Value::Version(Arc::new(version.increased(1))))),
        ("IncPatch", []) => Some(Ok(Value::Version(Arc::new(version.increased(2))))),
        _ => None,
    }
}
