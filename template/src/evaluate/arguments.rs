//! Arguments against the types of parameters, as strictly as Go.

use super::{State, Stop, Walk};
use crate::error::Cause;
use crate::function::Parameter;
use crate::tree::{Number, Operand, OperandKind};
use crate::value::{Dict, List, ListKind, Value};

impl<'a> State<'a> {
    /// Evaluates one argument for a parameter of a given type.
    pub(super) fn argument(
        &mut self,
        operand: &'a Operand,
        parameter: Parameter,
        dot: &Value,
    ) -> Walk<Value> {
        match (&operand.kind, parameter) {
            (OperandKind::Nil, _) => {
                return nil_of(parameter).ok_or_else(|| {
                    let reason = format!("cannot assign nil to {}", parameter.type_name());
                    self.unfit(operand, reason)
                });
            }
            (OperandKind::Number(Number::Int(value)), Parameter::Int) => {
                return Ok(Value::Int(*value));
            }
            (OperandKind::Number(Number::Int(value)), Parameter::Uint32) if *value >= 0 => {
                return Ok(Value::Int(*value));
            }
            // A constant such as 3.0 is an integer, too.
            (OperandKind::Number(Number::Float(value)), Parameter::Int)
                if value.fract() == 0.0 && value.abs() < 9.0e18 =>
            {
                #[allow(clippy::cast_possible_truncation)] // checked in the guard
                return Ok(Value::Int(*value as i64));
            }
            #[allow(clippy::cast_precision_loss)] // as Go's constants lose it
            (OperandKind::Number(Number::Int(value)), Parameter::Float) => {
                return Ok(Value::Float(*value as f64));
            }
            (OperandKind::Text(_), Parameter::Any | Parameter::Text)
            | (OperandKind::Bool(_), Parameter::Any | Parameter::Bool)
            | (OperandKind::Number(_), Parameter::Any)
            | (OperandKind::Number(Number::Float(_)), Parameter::Float) => {}
            (OperandKind::Text(text), Parameter::Literal) => return Ok(Value::Text(text.clone())),
            (OperandKind::Text(_) | OperandKind::Number(_) | OperandKind::Bool(_), _) => {
                let text = self.written(&operand.source);
                let reason = match parameter.literal_name() {
                    Some(wanted) => format!("expected {wanted}; found {text}"),
                    None => format!(
                        "can't handle {text} for arg of type {}",
                        parameter.type_name()
                    ),
                };
                return Err(self.unfit(operand, reason));
            }
            _ => {}
        }
        let value = self.operand(operand, dot)?;
        validate(value, parameter).map_err(|reason| self.unfit(operand, reason))
    }

    fn unfit(&self, operand: &Operand, reason: String) -> Stop {
        let text = self.written(&operand.source);
        self.failed(operand.position, text, Cause::Function, reason)
    }
}

/// Refuses a value that cannot be assigned to a parameter.
pub(super) fn validate(value: Value, parameter: Parameter) -> Result<Value, String> {
    let fits = match (&value, parameter) {
        (Value::Nil, _) => {
            return nil_of(parameter)
                .ok_or_else(|| format!("invalid value; expected {}", parameter.type_name()));
        }
        (_, Parameter::Any)
        | (Value::Text(_), Parameter::Text)
        | (Value::Int(_), Parameter::Int)
        | (Value::Float(_), Parameter::Float)
        | (Value::Bool(_), Parameter::Bool)
        | (Value::Dict(_), Parameter::Dict)
        | (Value::Time(_), Parameter::Time)
        | (Value::Certificate(_), Parameter::Certificate) => true,
        (Value::List(list), Parameter::List) => list.kind == ListKind::Any,
        _ => false,
    };
    if fits {
        return Ok(value);
    }
    Err(format!(
        "wrong type for value; expected {}; got {}",
        parameter.type_name(),
        value.type_name()
    ))
}

/// The nil of a type that has one.
fn nil_of(parameter: Parameter) -> Option<Value> {
    match parameter {
        Parameter::Any => Some(Value::Nil),
        Parameter::Dict => Some(Value::Dict(Dict::nil())),
        Parameter::List => Some(Value::List(List::nil(ListKind::Any))),
        _ => None,
    }
}
