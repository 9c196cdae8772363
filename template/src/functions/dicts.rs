//! Dictionaries, which functions change in place.

use std::collections::{BTreeMap, BTreeSet};

use super::strings;
use crate::function::Parameter::{Any, Dict as DictParameter, Text as TextParameter};
use crate::function::{Entry, Function, dict, fixed, text, variadic};
use crate::text::Text;
use crate::value::{Dict, Value};

const MERGE: Function = variadic(&[DictParameter, DictParameter], |_, a| merge_all(a, false));
const MERGE_OVERWRITE: Function =
    variadic(&[DictParameter, DictParameter], |_, a| merge_all(a, true));

pub(super) const FUNCTIONS: &[Entry] = &[
    (
        "dict",
        variadic(&[Any], |_, a| {
            let mut entries = BTreeMap::new();
            for pair in a.chunks(2) {
                let value = pair.get(1).cloned().unwrap_or_else(|| Value::text(""));
                entries.insert(strings::to_text(&pair[0]), value);
            }
            Ok(Value::dict(entries))
        }),
    ),
    (
        "get",
        fixed(&[DictParameter, TextParameter], |_, a| {
            Ok(dict(a, 0)
                .get(text(a, 1))
                .unwrap_or_else(|| Value::text("")))
        }),
    ),
    (
        "set",
        fixed(&[DictParameter, TextParameter, Any], |_, a| {
            dict(a, 0).set(text(a, 1).clone(), a[2].clone())?;
            Ok(a[0].clone())
        }),
    ),
    (
        "unset",
        fixed(&[DictParameter, TextParameter], |_, a| {
            dict(a, 0).unset(text(a, 1));
            Ok(a[0].clone())
        }),
    ),
    (
        "hasKey",
        fixed(&[DictParameter, TextParameter], |_, a| {
            Ok(Value::Bool(dict(a, 0).get(text(a, 1)).is_some()))
        }),
    ),
    (
        "pluck",
        variadic(&[TextParameter, DictParameter], |_, a| {
            let found = (1..a.len()).filter_map(|index| dict(a, index).get(text(a, 0)));
            Ok(Value::list(found.collect()))
        }),
    ),
    // Go gives keys and values in random order; here they are sorted.
    (
        "keys",
        variadic(&[DictParameter], |_, a| {
            let keys = (0..a.len()).flat_map(|index| dict(a, index).entries().into_keys());
            Ok(Value::texts(keys.collect()))
        }),
    ),
    (
        "values",
        fixed(&[DictParameter], |_, a| {
            Ok(Value::list(dict(a, 0).entries().into_values().collect()))
        }),
    ),
    (
        "pick",
        variadic(&[DictParameter, TextParameter], |_, a| {
            let entries = dict(a, 0).entries();
            let wanted = (1..a.len()).map(|index| text(a, index));
            Ok(Value::dict(wanted.filter_map(|key| {
                Some((key.clone(), entries.get(key)?.clone()))
            })))
        }),
    ),
    (
        "omit",
        variadic(&[DictParameter, TextParameter], |_, a| {
            let unwanted: BTreeSet<&Text> = (1..a.len()).map(|index| text(a, index)).collect();
            let entries = dict(a, 0).entries().into_iter();
            Ok(Value::dict(
                entries.filter(|(key, _)| !unwanted.contains(key)),
            ))
        }),
    ),
    ("merge", MERGE),
    ("mustMerge", MERGE),
    ("mergeOverwrite", MERGE_OVERWRITE),
    ("mustMergeOverwrite", MERGE_OVERWRITE),
    ("dig", variadic(&[Any], |_, a| dig(a))),
];

fn merge_all(arguments: &[Value], overwrite: bool) -> Result<Value, String> {
    let target = dict(arguments, 0);
    if target.is_nil() && arguments.len() > 1 {
        // Go makes a map of its own then, which the caller's variable never sees.
        let made = Dict::new(BTreeMap::new());
        for index in 1..arguments.len() {
            merge(&made, dict(arguments, index), overwrite)?;
        }
        return Ok(Value::Dict(made));
    }
    for index in 1..arguments.len() {
        merge(target, dict(arguments, index), overwrite)?;
    }
    Ok(arguments[0].clone())
}

/// Merges as the library of the incumbent does: what is missing or empty is taken over, maps are
/// merged inside, and with `overwrite` everything but an empty list gives way.
fn merge(target: &Dict, source: &Dict, overwrite: bool) -> Result<(), String> {
    for (key, new) in source.entries() {
        let old = target.get(&key);
        if matches!(new, Value::Nil) {
            if overwrite {
                target.set(key, new)?;
            }
            continue;
        }
        let old_is_empty = old.as_ref().is_none_or(|old| !old.is_true());
        if let (Some(Value::Dict(inner)), Value::Dict(more)) = (&old, &new) {
            merge(inner, more, overwrite)?;
            if !old_is_empty {
                continue;
            }
        }
        if matches!(new, Value::List(_)) && !old_is_empty {
            if overwrite {
                target.set(key, new)?;
            }
            continue;
        }
        let old_is_time = matches!(old, Some(Value::Time(_) | Value::Certificate(_)));
        if overwrite || (old_is_empty && !old_is_time) {
            target.set(key, new)?;
        }
    }
    Ok(())
}

fn dig(arguments: &[Value]) -> Result<Value, String> {
    let [path @ .., default, dict] = arguments else {
        return Err("dig needs at least three arguments".to_owned());
    };
    if path.is_empty() {
        return Err("dig needs at least three arguments".to_owned());
    }
    let mut at = dict.clone();
    for key in path {
        let Value::Text(key) = key else {
            return Err(format!(
                "interface conversion: interface {{}} is {}, not string",
                key.type_name()
            ));
        };
        let Value::Dict(step) = &at else {
            return Err(format!(
                "interface conversion: interface {{}} is {}, not map[string]interface {{}}",
                at.type_name().replace("<nil>", "nil")
            ));
        };
        match step.get(key) {
            Some(next) => at = next,
            None => return Ok(default.clone()),
        }
    }
    Ok(at)
}
