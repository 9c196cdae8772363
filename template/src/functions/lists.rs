//! Lists. Each function comes twice: `mustX` and `X`; both fail alike inside a template.

use super::numbers::to_int;
use super::reflection::is_empty;
use crate::format;
use crate::function::Parameter::{Any, Int, Text as TextParameter};
use crate::function::{Entry, Environment, Function, bytes, fixed, int, variadic};
use crate::sink::Sink;
use crate::text::{TEXT_SIZE, Text};
use crate::value::{CONTAINER_SIZE, List, ListKind, Value};

const PUSH: Function = fixed(&[Any, Any], |e, a| {
    let mut items = copied(e, items(&a[0], "Cannot push on type")?, 1)?;
    items.push(a[1].clone());
    Ok(Value::list(items))
});
const PREPEND: Function = fixed(&[Any, Any], |e, a| {
    let mut items = copied(e, items(&a[0], "Cannot prepend on type")?, 1)?;
    items.insert(0, a[1].clone());
    Ok(Value::list(items))
});
const FIRST: Function = fixed(&[Any], |_, a| {
    let items = items(&a[0], "Cannot find first on type")?;
    Ok(items.first().cloned().unwrap_or(Value::Nil))
});
const LAST: Function = fixed(&[Any], |_, a| {
    let items = items(&a[0], "Cannot find last on type")?;
    Ok(items.last().cloned().unwrap_or(Value::Nil))
});
const REST: Function = fixed(&[Any], |e, a| {
    let items = items(&a[0], "Cannot find rest on type")?;
    Ok(match items.split_first() {
        Some((_, rest)) => Value::list(copied(e, rest, 0)?),
        None => Value::List(List::nil(ListKind::Any)),
    })
});
const INITIAL: Function = fixed(&[Any], |e, a| {
    let items = items(&a[0], "Cannot find initial on type")?;
    Ok(match items.split_last() {
        Some((_, initial)) => Value::list(copied(e, initial, 0)?),
        None => Value::List(List::nil(ListKind::Any)),
    })
});
const REVERSE: Function = fixed(&[Any], |e, a| {
    let mut items = copied(e, items(&a[0], "Cannot find reverse on type")?, 0)?;
    items.reverse();
    Ok(Value::list(items))
});
const COMPACT: Function = fixed(&[Any], |e, a| {
    let mut items = copied(e, items(&a[0], "Cannot compact on type")?, 0)?;
    items.retain(|item| !is_empty(item));
    Ok(Value::list(items))
});
const UNIQ: Function = fixed(&[Any], |e, a| {
    let all = items(&a[0], "Cannot find uniq on type")?;
    e.budget.check_room(size_of_val(all))?;
    let mut found: Vec<Value> = Vec::new();
    for item in all {
        if !contains(e, &found, item)? {
            found.push(item.clone());
        }
    }
    Ok(Value::list(found))
});
const WITHOUT: Function = variadic(&[Any, Any], |e, a| {
    let all = items(&a[0], "Cannot find without on type")?;
    e.budget.check_room(size_of_val(all))?;
    let mut kept = Vec::new();
    for item in all {
        if !contains(e, &a[1..], item)? {
            kept.push(item.clone());
        }
    }
    Ok(Value::list(kept))
});
const HAS: Function = fixed(&[Any, Any], |e, a| {
    if matches!(a[1], Value::Nil) {
        return Ok(Value::Bool(false));
    }
    let items = items(&a[1], "Cannot find has on type")?;
    Ok(Value::Bool(contains(e, items, &a[0])?))
});
const CHUNK: Function = fixed(&[Int, Any], |e, a| {
    let items = items(&a[1], "Cannot chunk type")?;
    let size = usize::try_from(int(a, 0)).ok().filter(|&size| size > 0);
    let size = size.ok_or("the size of a chunk must be positive")?;
    let lists = items.len().div_ceil(size) * (CONTAINER_SIZE + size_of::<Value>());
    e.budget.check_room(lists + size_of_val(items))?;
    let chunks = items.chunks(size).map(|chunk| Value::list(chunk.to_vec()));
    Ok(Value::List(List::new(ListKind::Lists, chunks.collect())))
});
const SLICE: Function = variadic(&[Any, Any], |e, a| {
    let Value::List(list) = &a[0] else {
        return Err(format!(
            "list should be type of slice or array but {}",
            a[0].kind_name()
        ));
    };
    let items = list.items();
    if items.is_empty() {
        return Ok(Value::Nil);
    }
    let at = |index: usize, default: usize| match a.get(index) {
        Some(value) => usize::try_from(to_int(e, value)).unwrap_or(usize::MAX),
        None => default,
    };
    let slice = items.get(at(1, 0)..at(2, items.len()));
    let slice = slice.ok_or("reflect.Value.Slice: slice index out of bounds")?;
    Ok(Value::List(List::new(list.kind, copied(e, slice, 0)?)))
});

pub(super) const FUNCTIONS: &[Entry] = &[
    ("list", variadic(&[Any], |_, a| Ok(Value::list(a.to_vec())))),
    (
        "tuple",
        variadic(&[Any], |_, a| Ok(Value::list(a.to_vec()))),
    ),
    ("append", PUSH),
    ("push", PUSH),
    ("mustAppend", PUSH),
    ("mustPush", PUSH),
    ("prepend", PREPEND),
    ("mustPrepend", PREPEND),
    ("first", FIRST),
    ("mustFirst", FIRST),
    ("last", LAST),
    ("mustLast", LAST),
    ("rest", REST),
    ("mustRest", REST),
    ("initial", INITIAL),
    ("mustInitial", INITIAL),
    ("reverse", REVERSE),
    ("mustReverse", REVERSE),
    ("compact", COMPACT),
    ("mustCompact", COMPACT),
    ("uniq", UNIQ),
    ("mustUniq", UNIQ),
    ("without", WITHOUT),
    ("mustWithout", WITHOUT),
    ("has", HAS),
    ("mustHas", HAS),
    ("chunk", CHUNK),
    ("mustChunk", CHUNK),
    ("slice", SLICE),
    ("mustSlice", SLICE),
    (
        "concat",
        variadic(&[Any], |e, a| {
            let mut all = Vec::new();
            for list in a {
                let Value::List(list) = list else {
                    return Err(format!("Cannot concat type {} as list", list.kind_name()));
                };
                let length = all.len() + list.items().len();
                e.budget.check_room(length * size_of::<Value>())?;
                e.budget.tick(list.items().len())?;
                all.extend_from_slice(list.items());
            }
            Ok(if all.is_empty() {
                Value::List(List::nil(ListKind::Any))
            } else {
                Value::list(all)
            })
        }),
    ),
    (
        "join",
        fixed(&[TextParameter, Any], |e, a| {
            let mut out = Sink::new(&e.budget);
            for (index, word) in to_texts(e, &a[1])?.iter().enumerate() {
                if index > 0 {
                    out.extend_from_slice(bytes(a, 0));
                }
                out.extend_from_slice(word.bytes());
                if out.is_full() {
                    break;
                }
            }
            Ok(Value::Text(out.finish()?))
        }),
    ),
    (
        "sortAlpha",
        fixed(&[Any], |e, a| {
            let mut texts = match &a[0] {
                Value::List(_) => to_texts(e, &a[0])?,
                other => vec![format::sprint(other, &e.budget)?],
            };
            // Every text is compared as often as the length of the list has bits.
            let bytes = texts.iter().map(|text| 8 + text.bytes().len());
            let compared = bytes.fold(0, usize::saturating_add);
            let rounds = texts.len().checked_ilog2().unwrap_or(0) as usize + 1;
            if compared.saturating_mul(rounds) > MAX_SORTED {
                return Err("the texts are too long to be sorted".to_owned());
            }
            texts.sort();
            e.budget.tick(compared)?;
            Ok(Value::texts(texts))
        }),
    ),
    (
        "toStrings",
        fixed(&[Any], |e, a| Ok(Value::texts(to_texts(e, &a[0])?))),
    ),
];

/// Bytes that sorting may compare; lists hold the same text many times without being large.
const MAX_SORTED: usize = 1 << 30;

/// The items in a list of their own, with room for `more`.
fn copied(e: &Environment, items: &[Value], more: usize) -> Result<Vec<Value>, String> {
    e.budget
        .check_room((items.len() + more) * size_of::<Value>())?;
    e.budget.tick(items.len())?;
    let mut copied = Vec::with_capacity(items.len() + more);
    copied.extend_from_slice(items);
    Ok(copied)
}

/// What sprig makes of any value where it wants texts.
fn to_texts(e: &Environment, value: &Value) -> Result<Vec<Text>, String> {
    let list = match value {
        Value::List(list) => list,
        Value::Nil => return Ok(Vec::new()),
        other => return Ok(vec![format::sprint(other, &e.budget)?]),
    };
    let mut charge = e.budget.charge(0)?;
    let mut texts = Vec::new();
    for item in list.items() {
        if matches!(item, Value::Nil) {
            continue;
        }
        let text = format::sprint(item, &e.budget)?;
        let made = match item {
            Value::Text(_) => 0,
            _ => TEXT_SIZE + text.bytes().len(),
        };
        charge.grow(size_of::<Text>() + made)?;
        e.budget.tick(8)?;
        texts.push(text);
    }
    Ok(texts)
}

fn items<'a>(value: &'a Value, complaint: &str) -> Result<&'a [Value], String> {
    match value {
        Value::List(list) => Ok(list.items()),
        other => Err(format!("{complaint} {}", other.kind_name())),
    }
}

fn contains(e: &Environment, items: &[Value], wanted: &Value) -> Result<bool, String> {
    for item in items {
        if item.deep_equal(wanted, &e.budget)? {
            return Ok(true);
        }
    }
    Ok(false)
}
