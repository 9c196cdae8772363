//! Arguments against the types of parameters, as strictly as Go.

use gotmpl::parse::{Expr, Number};

use super::{State, Stop, Walk, node_text};
use crate::function::Parameter;
use crate::value::{Dict, List, ListKind, Value};

impl<'a> State<'a> {
    /// Evaluates one argument for a parameter of a given type.
    pub(super) fn argument(
        &mut self,
        expression: &'a Expr,
        parameter: Parameter,
        dot: &Value,
    ) -> Walk<Value> {
        let text = || node_text::expression(expression);
        match (expression, parameter) {
            (Expr::Nil(_), _) => {
                return nil_of(parameter).ok_or_else(|| {
                    let reason = format!("cannot assign nil to {}", parameter.type_name());
                    self.fail(expression, &reason)
                });
            }
            (Expr::Number(_, Number::Int(value)), Parameter::Int) => return Ok(Value::Int(*value)),
            (Expr::Number(_, Number::Int(value)), Parameter::Uint32) if *value >= 0 => {
                return Ok(Value::Int(*value));
            }
            // A constant such as 3.0 is an integer, too.
            (Expr::Number(_, Number::Float(value)), Parameter::Int)
                if value.fract() == 0.0 && value.abs() < 9.0e18 =>
            {
                #[allow(clippy::cast_possible_truncation)] // checked in the guard
                return Ok(Value::Int(*value as i64));
            }
            #[allow(clippy::cast_precision_loss)] // as Go's constants lose it
            (Expr::Number(_, Number::Int(value)), Parameter::Float) => {
                return Ok(Value::Float(*value as f64));
            }
            (Expr::String(..), Parameter::Any | Parameter::Text)
            | (Expr::Bool(..), Parameter::Any | Parameter::Bool)
            | (Expr::Number(..), Parameter::Any)
            | (Expr::Number(_, Number::Float(_)), Parameter::Float) => {}
            (Expr::String(..) | Expr::Number(..) | Expr::Bool(..), _) => {
                let reason = match parameter.literal_name() {
                    Some(wanted) => format!("expected {wanted}; found {}", text()),
                    None => format!(
                        "can't handle {} for arg of type {}",
                        text(),
                        parameter.type_name()
                    ),
                };
                return Err(self.fail(expression, &reason));
            }
            _ => {}
        }
        let value = self.expression(expression, dot)?;
        validate(value, parameter).map_err(|reason| self.fail(expression, &reason))
    }

    fn fail(&self, expression: &Expr, reason: &str) -> Stop {
        let text = node_text::expression(expression);
        self.failed(expression.pos(), &text, reason)
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
