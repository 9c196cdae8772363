//! The functions that templates may call: Go's own and those of sprig, but for the three that
//! look at the machine (`env`, `expandenv`, `getHostByName`).

mod builtin;
pub(super) mod certificates;
pub(super) mod dates;
mod dicts;
mod encodings;
mod lists;
mod numbers;
mod passwords;
mod paths;
mod reflection;
mod regexes;
mod strings;
mod urls;
pub(super) mod versions;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use k8s_openapi::jiff::Timestamp;

use super::value::{Dict, List, Text, Value};

/// What functions may see of the world.
pub(super) struct Environment {
    /// The time at which the template is rendered.
    pub(super) now: Timestamp,
}

/// The type of a parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Parameter {
    /// `interface {}`
    Any,
    /// `string`
    Text,
    /// `int`
    Int,
    /// `uint32`
    Uint32,
    /// `float64`
    Float,
    /// `bool`
    Bool,
    /// `map[string]interface {}`
    Dict,
    /// `[]interface {}`
    List,
    /// `time.Time`
    Time,
    /// `sprig.certificate`
    Certificate,
}

impl Parameter {
    /// The name of the type as Go prints it.
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Text => "string",
            Self::Int => "int",
            Self::Uint32 => "uint32",
            Self::Float => "float64",
            Self::Bool => "bool",
            Self::Dict => "map[string]interface {}",
            Self::List => "[]interface {}",
            Self::Time => "time.Time",
            Self::Certificate => "sprig.certificate",
        }
    }

    /// What Go calls a literal of the type when it finds another one.
    pub(super) fn literal_name(self) -> Option<&'static str> {
        match self {
            Self::Text => Some("string"),
            Self::Int => Some("integer"),
            Self::Uint32 => Some("unsigned integer"),
            Self::Float => Some("float"),
            Self::Bool => Some("bool"),
            _ => None,
        }
    }
}

type Run = fn(&mut Environment, &[Value]) -> Result<Value, String>;

/// A function with its signature.
#[derive(Clone, Copy)]
pub(super) struct Function {
    parameters: &'static [Parameter],
    /// Whether the last parameter may come any number of times.
    is_variadic: bool,
    run: Run,
}

/// A line of a list of functions.
type Entry = (&'static str, Function);

/// A function of a fixed number of parameters.
const fn fixed(parameters: &'static [Parameter], run: Run) -> Function {
    Function {
        parameters,
        is_variadic: false,
        run,
    }
}

/// A function whose last parameter may come any number of times.
const fn variadic(parameters: &'static [Parameter], run: Run) -> Function {
    Function {
        parameters,
        is_variadic: true,
        run,
    }
}

static FUNCTIONS: LazyLock<BTreeMap<&'static str, Function>> = LazyLock::new(|| {
    // Later lists win: sprig's `slice` hides Go's own, as it does there.
    [
        builtin::FUNCTIONS,
        certificates::FUNCTIONS,
        dates::FUNCTIONS,
        dicts::FUNCTIONS,
        encodings::FUNCTIONS,
        lists::FUNCTIONS,
        numbers::FUNCTIONS,
        passwords::FUNCTIONS,
        paths::FUNCTIONS,
        reflection::FUNCTIONS,
        regexes::FUNCTIONS,
        strings::FUNCTIONS,
        urls::FUNCTIONS,
        versions::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
    .copied()
    .collect()
});

/// Looks a function up.
pub(super) fn find(name: &str) -> Option<Function> {
    FUNCTIONS.get(name).copied()
}

/// Tells whether a template may name this function; `and` and `or` are part of the language.
pub(super) fn exists(name: &str) -> bool {
    matches!(name, "and" | "or") || FUNCTIONS.contains_key(name)
}

/// The names of all functions.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.keys().copied().chain(["and", "or"])
}

/// Texts longer than this are not made; Kubernetes stores Secrets of at most 1 MiB.
const MAX_TEXT: usize = 16 * 1024 * 1024;
/// Lists longer than this are not made.
const MAX_ITEMS: usize = 1_000_000;

impl Function {
    /// Refuses a wrong number of arguments.
    pub(super) fn check_count(self, name: &str, given: usize) -> Result<(), String> {
        let wanted = self.parameters.len();
        if self.is_variadic {
            if given + 1 < wanted {
                let least = wanted - 1;
                return Err(format!(
                    "wrong number of args for {name}: want at least {least} got {given}"
                ));
            }
        } else if given != wanted {
            return Err(format!(
                "wrong number of args for {name}: want {wanted} got {given}"
            ));
        }
        Ok(())
    }

    /// The type of the argument at `index`.
    pub(super) fn parameter(self, index: usize) -> Parameter {
        let last = self.parameters.len().saturating_sub(1);
        self.parameters[index.min(last)]
    }

    /// Calls the function with arguments that fit its signature.
    pub(super) fn run(
        self,
        environment: &mut Environment,
        arguments: &[Value],
    ) -> Result<Value, String> {
        let result = (self.run)(environment, arguments)?;
        let fits = match &result {
            Value::Text(text) => text.bytes().len() <= MAX_TEXT,
            Value::List(list) => list.items().len() <= MAX_ITEMS,
            _ => true,
        };
        if fits { Ok(result) } else { Err(too_large()) }
    }
}

fn too_large() -> String {
    "the result is too large".to_owned()
}

fn text(arguments: &[Value], index: usize) -> &Text {
    match &arguments[index] {
        Value::Text(text) => text,
        _ => unreachable!("checked against the signature"),
    }
}

fn bytes(arguments: &[Value], index: usize) -> &[u8] {
    text(arguments, index).bytes()
}

fn int(arguments: &[Value], index: usize) -> i64 {
    match arguments[index] {
        Value::Int(value) => value,
        _ => unreachable!("checked against the signature"),
    }
}

fn boolean(arguments: &[Value], index: usize) -> bool {
    match arguments[index] {
        Value::Bool(value) => value,
        _ => unreachable!("checked against the signature"),
    }
}

fn dict(arguments: &[Value], index: usize) -> &Dict {
    match &arguments[index] {
        Value::Dict(dict) => dict,
        _ => unreachable!("checked against the signature"),
    }
}

fn list(arguments: &[Value], index: usize) -> &List {
    match &arguments[index] {
        Value::List(list) => list,
        _ => unreachable!("checked against the signature"),
    }
}
