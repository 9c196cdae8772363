//! What a function is: the types of its parameters, and the code behind it.

use jiff::Timestamp;

use crate::budget::Budget;
use crate::dialect::Dialect;
use crate::text::Text;
use crate::value::{Dict, List, Value};

/// What functions may see of the world.
pub(crate) struct Environment {
    /// The time at which the template is rendered.
    pub(crate) now: Timestamp,
    /// What the rendering may still use.
    pub(crate) budget: Budget,
    /// Whose functions these are.
    pub(crate) dialect: Dialect,
}

/// The type of a parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parameter {
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
    /// A string type of its own in Go, which only a literal can become.
    Literal,
}

impl Parameter {
    /// The name of the type as Go prints it.
    pub(crate) fn type_name(self) -> &'static str {
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
            Self::Literal => "sprig.HashAlgorithm",
        }
    }

    /// What Go calls a literal of the type when it finds another one.
    pub(crate) fn literal_name(self) -> Option<&'static str> {
        match self {
            Self::Text | Self::Literal => Some("string"),
            Self::Int => Some("integer"),
            Self::Uint32 => Some("unsigned integer"),
            Self::Float => Some("float"),
            Self::Bool => Some("bool"),
            _ => None,
        }
    }
}

pub(crate) type Run = fn(&mut Environment, &[Value]) -> Result<Value, String>;

/// A function with its signature.
#[derive(Clone, Copy)]
pub(crate) struct Function {
    parameters: &'static [Parameter],
    /// Whether the last parameter may come any number of times.
    is_variadic: bool,
    /// How many times the size of the texts it is given it may need to work.
    growth: usize,
    run: Run,
}

/// A line of a list of functions.
pub(crate) type Entry = (&'static str, Function);

/// A function of a fixed number of parameters.
pub(crate) const fn fixed(parameters: &'static [Parameter], run: Run) -> Function {
    Function {
        parameters,
        is_variadic: false,
        growth: 3,
        run,
    }
}

/// A function whose last parameter may come any number of times.
pub(crate) const fn variadic(parameters: &'static [Parameter], run: Run) -> Function {
    Function {
        parameters,
        is_variadic: true,
        growth: 3,
        run,
    }
}

impl Function {
    /// States that the function may need this many times the size of its texts.
    pub(crate) const fn growing(self, growth: usize) -> Self {
        Self { growth, ..self }
    }

    /// Refuses a wrong number of arguments.
    pub(crate) fn check_count(self, name: &str, given: usize) -> Result<(), String> {
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
    pub(crate) fn parameter(self, index: usize) -> Parameter {
        let last = self.parameters.len().saturating_sub(1);
        self.parameters[index.min(last)]
    }

    /// Calls the function with arguments that fit its signature.
    pub(crate) fn run(
        self,
        environment: &mut Environment,
        arguments: &[Value],
    ) -> Result<Value, String> {
        let texts = arguments.iter().map(|argument| match argument {
            Value::Text(text) => text.bytes().len(),
            _ => 0,
        });
        let size = texts.fold(0, usize::saturating_add);
        environment
            .budget
            .check_room(size.saturating_mul(self.growth))?;
        let result = (self.run)(environment, arguments)?;
        environment.budget.tick(size)?;
        Ok(result)
    }
}

pub(crate) fn text(arguments: &[Value], index: usize) -> &Text {
    match &arguments[index] {
        Value::Text(text) => text,
        _ => unreachable!("checked against the signature"),
    }
}

pub(crate) fn bytes(arguments: &[Value], index: usize) -> &[u8] {
    text(arguments, index).bytes()
}

pub(crate) fn int(arguments: &[Value], index: usize) -> i64 {
    match arguments[index] {
        Value::Int(value) => value,
        _ => unreachable!("checked against the signature"),
    }
}

pub(crate) fn boolean(arguments: &[Value], index: usize) -> bool {
    match arguments[index] {
        Value::Bool(value) => value,
        _ => unreachable!("checked against the signature"),
    }
}

pub(crate) fn dict(arguments: &[Value], index: usize) -> &Dict {
    match &arguments[index] {
        Value::Dict(dict) => dict,
        _ => unreachable!("checked against the signature"),
    }
}

pub(crate) fn list(arguments: &[Value], index: usize) -> &List {
    match &arguments[index] {
        Value::List(list) => list,
        _ => unreachable!("checked against the signature"),
    }
}

/// What Go says of a slice that does not lie inside its text.
pub(crate) fn out_of_bounds() -> String {
    "runtime error: slice bounds out of range".to_owned()
}
