//! Types, emptiness and choices.

use crate::function::Parameter::{Any, Bool, Text};
use crate::function::{Entry, Environment, boolean, bytes, fixed, variadic};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Entry] = &[
    (
        "typeOf",
        fixed(&[Any], |_, a| Ok(Value::text(a[0].type_name()))),
    ),
    (
        "typeIs",
        fixed(&[Text, Any], |_, a| {
            Ok(Value::Bool(bytes(a, 0) == a[1].type_name().as_bytes()))
        }),
    ),
    (
        "typeIsLike",
        fixed(&[Text, Any], |_, a| {
            let name = a[1].type_name();
            let bare = name.strip_prefix('*').unwrap_or(name);
            let wanted = bytes(a, 0);
            Ok(Value::Bool(
                wanted == name.as_bytes() || wanted == bare.as_bytes(),
            ))
        }),
    ),
    (
        "kindOf",
        fixed(&[Any], |_, a| Ok(Value::text(a[0].kind_name()))),
    ),
    (
        "kindIs",
        fixed(&[Text, Any], |_, a| {
            Ok(Value::Bool(bytes(a, 0) == a[1].kind_name().as_bytes()))
        }),
    ),
    (
        "deepEqual",
        fixed(&[Any, Any], |e, a| {
            Ok(Value::Bool(a[0].deep_equal(&a[1], &e.budget)?))
        }),
    ),
    ("deepCopy", fixed(&[Any], deep_copy)),
    ("mustDeepCopy", fixed(&[Any], deep_copy)),
    (
        "default",
        variadic(&[Any, Any], |_, a| {
            Ok(match a.get(1) {
                Some(given) if !is_empty(given) => given.clone(),
                _ => a[0].clone(),
            })
        }),
    ),
    (
        "empty",
        fixed(&[Any], |_, a| Ok(Value::Bool(is_empty(&a[0])))),
    ),
    (
        "coalesce",
        variadic(&[Any], |_, a| {
            let found = a.iter().find(|value| !is_empty(value));
            Ok(found.cloned().unwrap_or(Value::Nil))
        }),
    ),
    (
        "all",
        variadic(&[Any], |_, a| Ok(Value::Bool(!a.iter().any(is_empty)))),
    ),
    (
        "any",
        variadic(&[Any], |_, a| Ok(Value::Bool(!a.iter().all(is_empty)))),
    ),
    (
        "ternary",
        fixed(&[Any, Any, Bool], |_, a| {
            Ok(a[if boolean(a, 2) { 0 } else { 1 }].clone())
        }),
    ),
    (
        "fail",
        fixed(&[Text], |_, a| {
            Err(String::from_utf8_lossy(bytes(a, 0)).into_owned())
        }),
    ),
    ("hello", fixed(&[], |_, _| Ok(Value::text("Hello!")))),
];

fn deep_copy(environment: &mut Environment, arguments: &[Value]) -> Result<Value, String> {
    match &arguments[0] {
        Value::Nil => Err("there is nothing to copy".to_owned()),
        value => value.deep_copy(&environment.budget),
    }
}

/// What sprig takes for not set: the same as what is not true.
pub(super) fn is_empty(value: &Value) -> bool {
    !value.is_true()
}
