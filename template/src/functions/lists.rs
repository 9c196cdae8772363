//! Lists. Each function comes twice: `mustX` and `X`; both fail alike inside a template.

use super::numbers::to_int;
use super::reflection::is_empty;
use super::strings;
use crate::function::Parameter::{Any, Int, Text as TextParameter};
use crate::function::{Entry, Function, bytes, fixed, int, variadic};
use crate::text::Text;
use crate::value::{List, ListKind, Value};

const PUSH: Function = fixed(&[Any, Any], |_, a| {
    let mut items = items(&a[0], "Cannot push on type")?.to_vec();
    items.push(a[1].clone());
    Ok(Value::list(items))
});
const PREPEND: Function = fixed(&[Any, Any], |_, a| {
    let mut all = vec![a[1].clone()];
    all.extend_from_slice(items(&a[0], "Cannot prepend on type")?);
    Ok(Value::list(all))
});
const FIRST: Function = fixed(&[Any], |_, a| {
    let items = items(&a[0], "Cannot find first on type")?;
    Ok(items.first().cloned().unwrap_or(Value::Nil))
});
const LAST: Function = fixed(&[Any], |_, a| {
    let items = items(&a[0], "Cannot find last on type")?;
    Ok(items.last().cloned().unwrap_or(Value::Nil))
});
const REST: Function = fixed(&[Any], |_, a| {
    let items = items(&a[0], "Cannot find rest on type")?;
    Ok(match items.split_first() {
        Some((_, rest)) => Value::list(rest.to_vec()),
        None => Value::List(List::nil(ListKind::Any)),
    })
});
const INITIAL: Function = fixed(&[Any], |_, a| {
    let items = items(&a[0], "Cannot find initial on type")?;
    Ok(match items.split_last() {
        Some((_, initial)) => Value::list(initial.to_vec()),
        None => Value::List(List::nil(ListKind::Any)),
    })
});
const REVERSE: Function = fixed(&[Any], |_, a| {
    let mut items = items(&a[0], "Cannot find reverse on type")?.to_vec();
    items.reverse();
    Ok(Value::list(items))
});
const COMPACT: Function = fixed(&[Any], |_, a| {
    let items = items(&a[0], "Cannot compact on type")?.iter();
    Ok(Value::list(
        items.filter(|item| !is_empty(item)).cloned().collect(),
    ))
});
const UNIQ: Function = fixed(&[Any], |_, a| {
    let mut found: Vec<Value> = Vec::new();
    for item in items(&a[0], "Cannot find uniq on type")? {
        if !contains(&found, item) {
            found.push(item.clone());
        }
    }
    Ok(Value::list(found))
});
const WITHOUT: Function = variadic(&[Any, Any], |_, a| {
    let items = items(&a[0], "Cannot find without on type")?.iter();
    Ok(Value::list(
        items
            .filter(|item| !contains(&a[1..], item))
            .cloned()
            .collect(),
    ))
});
const HAS: Function = fixed(&[Any, Any], |_, a| {
    if matches!(a[1], Value::Nil) {
        return Ok(Value::Bool(false));
    }
    let items = items(&a[1], "Cannot find has on type")?;
    Ok(Value::Bool(contains(items, &a[0])))
});
const CHUNK: Function = fixed(&[Int, Any], |_, a| {
    let items = items(&a[1], "Cannot chunk type")?;
    let size = usize::try_from(int(a, 0)).ok().filter(|&size| size > 0);
    let size = size.ok_or("the size of a chunk must be positive")?;
    let chunks = items.chunks(size).map(|chunk| Value::list(chunk.to_vec()));
    Ok(Value::List(List::new(ListKind::Lists, chunks.collect())))
});
const SLICE: Function = variadic(&[Any, Any], |_, a| {
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
        Some(value) => usize::try_from(to_int(value)).unwrap_or(usize::MAX),
        None => default,
    };
    let slice = items.get(at(1, 0)..at(2, items.len()));
    let slice = slice.ok_or("reflect.Value.Slice: slice index out of bounds")?;
    Ok(Value::List(List::new(list.kind, slice.to_vec())))
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
        variadic(&[Any], |_, a| {
            let mut all = Vec::new();
            for list in a {
                let Value::List(list) = list else {
                    return Err(format!("Cannot concat type {} as list", list.kind_name()));
                };
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
        fixed(&[TextParameter, Any], |_, a| {
            let words = strings::to_texts(&a[1]);
            let words: Vec<&[u8]> = words.iter().map(Text::bytes).collect();
            Ok(Value::text(words.join(bytes(a, 0))))
        }),
    ),
    (
        "sortAlpha",
        fixed(&[Any], |_, a| {
            let mut texts = match &a[0] {
                Value::List(_) => strings::to_texts(&a[0]),
                other => vec![strings::to_text(other)],
            };
            texts.sort();
            Ok(Value::texts(texts))
        }),
    ),
    (
        "toStrings",
        fixed(&[Any], |_, a| Ok(Value::texts(strings::to_texts(&a[0])))),
    ),
];

fn items<'a>(value: &'a Value, complaint: &str) -> Result<&'a [Value], String> {
    match value {
        Value::List(list) => Ok(list.items()),
        other => Err(format!("{complaint} {}", other.kind_name())),
    }
}

fn contains(items: &[Value], wanted: &Value) -> bool {
    items.iter().any(|item| item.deep_equal(wanted))
}
