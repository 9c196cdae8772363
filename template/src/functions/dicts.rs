//! Dictionaries, which functions change in place.

use std::collections::{BTreeMap, BTreeSet};

use crate::format;
use crate::function::Parameter::{Any, Dict as DictParameter, Text as TextParameter};
use crate::function::{Entry, Environment, Function, bytes, dict, fixed, text, variadic};
use crate::text::Text;
use crate::value::{Dict, ENTRY_SIZE, MAX_DEPTH, Value, too_deep};

const MERGE: Function = variadic(&[DictParameter, DictParameter], |e, a| {
    merge_all(e, a, false)
});
const MERGE_OVERWRITE: Function = variadic(&[DictParameter, DictParameter], |e, a| {
    merge_all(e, a, true)
});

pub(super) const FUNCTIONS: &[Entry] = &[
    (
        "dict",
        variadic(&[Any], |e, a| {
            let mut entries = BTreeMap::new();
            for pair in a.chunks(2) {
                let value = pair.get(1).cloned().unwrap_or_else(|| Value::text(""));
                entries.insert(format::sprint(&pair[0], &e.budget)?, value);
            }
            Ok(Value::dict(entries))
        }),
    ),
    (
        "get",
        fixed(&[DictParameter, TextParameter], |_, a| {
            Ok(dict(a, 0)
                .get(bytes(a, 1))
                .unwrap_or_else(|| Value::text("")))
        }),
    ),
    (
        "set",
        fixed(&[DictParameter, TextParameter, Any], |e, a| {
            dict(a, 0).set(text(a, 1).clone(), a[2].clone(), &e.budget)?;
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
            Ok(Value::Bool(dict(a, 0).get(bytes(a, 1)).is_some()))
        }),
    ),
    (
        "pluck",
        variadic(&[TextParameter, DictParameter], |_, a| {
            let found = (1..a.len()).filter_map(|index| dict(a, index).get(bytes(a, 0)));
            Ok(Value::list(found.collect()))
        }),
    ),
    // Go gives keys and values in random order; here they are sorted.
    (
        "keys",
        variadic(&[DictParameter], |e, a| {
            let count = (0..a.len())
                .map(|index| dict(a, index).len())
                .sum::<usize>();
            e.budget.check_room(count * ENTRY_SIZE)?;
            let keys = (0..a.len()).flat_map(|index| dict(a, index).entries().into_keys());
            Ok(Value::texts(keys.collect()))
        }),
    ),
    (
        "values",
        fixed(&[DictParameter], |e, a| {
            e.budget.check_room(dict(a, 0).len() * ENTRY_SIZE)?;
            Ok(Value::list(dict(a, 0).entries().into_values().collect()))
        }),
    ),
    (
        "pick",
        variadic(&[DictParameter, TextParameter], |e, a| {
            e.budget.check_room(dict(a, 0).len() * ENTRY_SIZE)?;
            let entries = dict(a, 0).entries();
            let wanted = (1..a.len()).map(|index| text(a, index));
            Ok(Value::dict(wanted.filter_map(|key| {
                Some((key.clone(), entries.get(key)?.clone()))
            })))
        }),
    ),
    (
        "omit",
        variadic(&[DictParameter, TextParameter], |e, a| {
            e.budget.check_room(dict(a, 0).len() * ENTRY_SIZE)?;
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

fn merge_all(e: &Environment, arguments: &[Value], overwrite: bool) -> Result<Value, String> {
    let target = match dict(arguments, 0) {
        // Go makes a map of its own then, which the caller's variable never sees.
        target if target.is_nil() && arguments.len() > 1 => Dict::new(BTreeMap::new()),
        target => target.clone(),
    };
    for index in 1..arguments.len() {
        merge(e, &target, dict(arguments, index), overwrite, 0)?;
    }
    Ok(Value::Dict(target))
}

/// Merges as upstream's library does: what is missing or empty is taken over, maps are merged
/// inside, and with `overwrite` everything but an empty list gives way.
fn merge(
    e: &Environment,
    target: &Dict,
    source: &Dict,
    overwrite: bool,
    depth: usize,
) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    e.budget.check_room(source.len() * ENTRY_SIZE)?;
    for (key, new) in source.entries() {
        e.budget.tick(32)?;
        let old = target.get(key.bytes());
        if matches!(new, Value::Nil) {
            if overwrite {
                target.set(key, new, &e.budget)?;
            }
            continue;
        }
        let old_is_empty = old.as_ref().is_none_or(|old| !old.is_true());
        if let (Some(Value::Dict(inner)), Value::Dict(more)) = (&old, &new) {
            merge(e, inner, more, overwrite, depth + 1)?;
            if !old_is_empty {
                continue;
            }
        }
        if matches!(new, Value::List(_)) && !old_is_empty {
            if overwrite {
                target.set(key, new, &e.budget)?;
            }
            continue;
        }
        let old_is_time = matches!(old, Some(Value::Time(_) | Value::Certificate(_)));
        if overwrite || (old_is_empty && !old_is_time) {
            target.set(key, new, &e.budget)?;
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
        match step.get(key.bytes()) {
            Some(next) => at = next,
            None => return Ok(default.clone()),
        }
    }
    Ok(at)
}
