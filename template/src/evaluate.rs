//! Runs a parsed template.

mod arguments;
mod control;

use std::ops::Range;

use jiff::Timestamp;
use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::budget::{Budget, Charge, Exceeded};
use crate::dialect::MissingKey;
use crate::error::{Cause, TemplateError};
use crate::format;
use crate::function::Environment;
use crate::functions::{dates, versions};
use crate::parse::Parsed;
use crate::tree::{Command, List, Node, Number, Operand, OperandKind, Pipe, Position};
use crate::value::Value;

/// Blocks and templates inside one another; Go allows 100,000 and needs a growing stack for it.
const MAX_DEPTH: usize = 120;
/// The work that a step of the evaluation counts as.
const STEP: usize = 64;

/// Renders the template that has the template's own name.
pub(crate) fn render(
    template: &Parsed,
    dot: &Value,
    now: Timestamp,
    budget: &Budget,
) -> Result<SecretBytes, TemplateError> {
    let start = Position { offset: 0, line: 1 };
    let charge = budget.charge(0).map_err(|exceeded| {
        TemplateError::at_line(&template.name, 1, Cause::Budget, exceeded.into())
    })?;
    let mut state = State {
        template,
        budget,
        out: SecretWriter::with_most(budget.room()),
        charge,
        name: &template.name,
        variables: vec![("$", dot.clone())],
        depth: 0,
        environment: Environment {
            now,
            budget: budget.clone(),
            dialect: template.options.dialect,
        },
    };
    let root = &template.trees[&template.name];
    let result = match dot.adopt(budget) {
        Ok(()) => state.list(root, dot),
        Err(reason) => Err(state.failed(start, "", Cause::Budget, reason)),
    };
    match result {
        Ok(()) => {
            // What was rendered lives on beside the other templates of its object.
            state.charge.keep();
            Ok(state.out.finish())
        }
        Err(Stop::Failed(error)) => Err(*error),
        Err(Stop::Break | Stop::Continue) => {
            unreachable!("the parser allows them in loops only")
        }
    }
}

/// Why a walk ends early.
enum Stop {
    Break,
    Continue,
    Failed(Box<TemplateError>),
}

type Walk<T> = Result<T, Stop>;

struct State<'a> {
    template: &'a Parsed,
    budget: &'a Budget,
    out: SecretWriter,
    /// The memory that the output takes.
    charge: Charge,
    /// The template that is running.
    name: &'a str,
    variables: Vec<(&'a str, Value)>,
    depth: usize,
    environment: Environment,
}

impl<'a> State<'a> {
    fn list(&mut self, tree: &'a List, dot: &Value) -> Walk<()> {
        for node in &tree.nodes {
            match node {
                Node::Text(position, range) => {
                    let text = &self.template.source[range.clone()];
                    self.write(*position, text.as_bytes())?;
                }
                Node::Action(pipe) => self.action(pipe, dot)?,
                Node::Branch(branch) => {
                    self.enter(branch.position)?;
                    self.branch(branch, dot)?;
                    self.depth -= 1;
                }
                Node::Loop(range) => {
                    self.enter(range.pipe.position)?;
                    self.range(range, dot)?;
                    self.depth -= 1;
                }
                Node::Call(call) => {
                    self.enter(call.position)?;
                    self.call(call, dot)?;
                    self.depth -= 1;
                }
                Node::Break => return Err(Stop::Break),
                Node::Continue => return Err(Stop::Continue),
            }
        }
        Ok(())
    }

    fn action(&mut self, pipe: &'a Pipe, dot: &Value) -> Walk<()> {
        let value = self.pipeline(pipe, dot)?;
        if !pipe.variables.is_empty() {
            return Ok(());
        }
        match &value {
            Value::Nil => self.write(pipe.position, b"<no value>"),
            Value::Text(text) => self.write(pipe.position, text.bytes()),
            value => {
                let text = format::sprint(value, self.budget)
                    .map_err(|exceeded| self.exceeded(pipe.position, exceeded))?;
                self.write(pipe.position, text.bytes())
            }
        }
    }

    fn write(&mut self, position: Position, bytes: &[u8]) -> Walk<()> {
        let counted = self.charge.grow(bytes.len());
        let counted = counted.and_then(|()| self.budget.tick(STEP + bytes.len()));
        counted.map_err(|exceeded| self.exceeded(position, exceeded))?;
        self.out.push(bytes);
        Ok(())
    }

    fn pipeline(&mut self, pipe: &'a Pipe, dot: &Value) -> Walk<Value> {
        let value = self.pipeline_value(pipe, dot)?;
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(pipe.position, name, value.clone())?;
            } else {
                self.variables.push((name, value.clone()));
            }
        }
        Ok(value)
    }

    fn pipeline_value(&mut self, pipe: &'a Pipe, dot: &Value) -> Walk<Value> {
        let mut last: Option<Value> = None;
        let mut last_is_literal = false;
        for command in &pipe.commands {
            let value = self.command(command, dot, last, last_is_literal)?;
            last_is_literal = match command.operands.as_slice() {
                [operand] => matches!(operand.kind, OperandKind::Text(_)),
                _ => false,
            };
            last = Some(value);
        }
        Ok(last.unwrap_or(Value::Nil))
    }

    fn command(
        &mut self,
        command: &'a Command,
        dot: &Value,
        last: Option<Value>,
        last_is_literal: bool,
    ) -> Walk<Value> {
        self.step(command.position)?;
        let Some((first, rest)) = command.operands.split_first() else {
            unreachable!("the parser refuses empty commands");
        };
        match &first.kind {
            OperandKind::Function(name) => {
                let call = FunctionCall {
                    position: command.position,
                    source: &command.source,
                    name,
                    arguments: rest,
                    last_is_literal,
                };
                return self.function(&call, dot, last);
            }
            OperandKind::Field(names) => {
                return self.fields(first, (dot.clone(), names), rest, dot, last);
            }
            OperandKind::Chain(inner, names) => {
                let receiver = self.operand(inner, dot)?;
                return self.fields(first, (receiver, names), rest, dot, last);
            }
            OperandKind::Variable(name, names) if !names.is_empty() => {
                let receiver = self.variable(first.position, name)?;
                return self.fields(first, (receiver, names), rest, dot, last);
            }
            _ => {}
        }
        if !rest.is_empty() || last.is_some() {
            let text = self.written(&first.source);
            let reason = format!("can't give argument to non-function {text}");
            return Err(self.misused(first, reason));
        }
        if matches!(first.kind, OperandKind::Nil) {
            return Err(self.misused(first, "nil is not a command".to_owned()));
        }
        self.operand(first, dot)
    }

    /// Evaluates an operand of any type.
    fn operand(&mut self, operand: &'a Operand, dot: &Value) -> Walk<Value> {
        match &operand.kind {
            OperandKind::Dot => Ok(dot.clone()),
            OperandKind::Nil => Ok(Value::Nil),
            OperandKind::Bool(value) => Ok(Value::Bool(*value)),
            OperandKind::Text(text) => Ok(Value::Text(text.clone())),
            OperandKind::Number(Number::Int(value)) => Ok(Value::Int(*value)),
            OperandKind::Number(Number::Float(value)) => Ok(Value::Float(*value)),
            OperandKind::Number(Number::TooLarge) => {
                let reason = format!("{} overflows int", self.written(&operand.source));
                Err(self.misused(operand, reason))
            }
            OperandKind::Variable(name, names) => {
                let value = self.variable(operand.position, name)?;
                self.fields(operand, (value, names), &[], dot, None)
            }
            OperandKind::Field(names) => self.fields(operand, (dot.clone(), names), &[], dot, None),
            OperandKind::Chain(inner, names) => {
                let receiver = self.operand(inner, dot)?;
                self.fields(operand, (receiver, names), &[], dot, None)
            }
            OperandKind::Pipe(pipe) => self.pipeline(pipe, dot),
            OperandKind::Function(name) => {
                let call = FunctionCall {
                    position: operand.position,
                    source: &operand.source,
                    name,
                    arguments: &[],
                    last_is_literal: false,
                };
                self.function(&call, dot, None)
            }
        }
    }

    /// Follows `.a.b.c`; the last name may be a method and take arguments.
    fn fields(
        &mut self,
        node: &'a Operand,
        (mut receiver, names): (Value, &'a [String]),
        arguments: &'a [Operand],
        dot: &Value,
        last: Option<Value>,
    ) -> Walk<Value> {
        let Some((method, path)) = names.split_last() else {
            return Ok(receiver);
        };
        for name in path {
            receiver = self.field(node, &receiver, name, &[])?;
        }
        let mut values = Vec::with_capacity(arguments.len() + 1);
        for argument in arguments {
            values.push(self.operand(argument, dot)?);
        }
        values.extend(last);
        self.field(node, &receiver, method, &values)
    }

    fn field(
        &mut self,
        node: &Operand,
        receiver: &Value,
        name: &str,
        arguments: &[Value],
    ) -> Walk<Value> {
        self.step(node.position)?;
        let has_arguments = !arguments.is_empty();
        let missing = |zero: Value| match self.template.options.missing_key {
            MissingKey::NoValue => Ok(Value::Nil),
            MissingKey::Zero => Ok(zero),
            MissingKey::Error => {
                let reason = format!("map has no entry for key {name:?}");
                Err((Cause::MissingKey, reason))
            }
        };
        let result = match receiver {
            Value::Nil => Ok(Value::Nil),
            Value::TextMap(_) | Value::Dict(_) if has_arguments => Err((
                Cause::Evaluation,
                format!("{name} is not a method but has arguments"),
            )),
            Value::TextMap(map) => match map.entries().get(name.as_bytes()) {
                Some(text) => Ok(Value::Text(text.clone())),
                None => missing(Value::text("")),
            },
            Value::Dict(dict) => match dict.get(name.as_bytes()) {
                Some(value) => Ok(value),
                None => missing(Value::Nil),
            },
            Value::Certificate(pair) if !has_arguments && name == "Cert" => {
                Ok(Value::Text(pair.cert.clone()))
            }
            Value::Certificate(pair) if !has_arguments && name == "Key" => {
                Ok(Value::Text(pair.key.clone()))
            }
            other => {
                let called = match other {
                    Value::Time(time) => dates::method(time, name, arguments),
                    Value::Duration(nanoseconds) => {
                        dates::duration_method(*nanoseconds, name, arguments)
                    }
                    Value::Version(version) => versions::method(version, name, arguments),
                    _ => None,
                };
                called
                    .unwrap_or_else(|| Err(no_field(other, name)))
                    .map_err(|reason| (Cause::Evaluation, reason))
            }
        };
        let value = result.map_err(|(cause, reason)| {
            let text = self.written(&node.source);
            self.failed(node.position, text, cause, reason)
        })?;
        self.adopted(node.position, value)
    }

    fn function(
        &mut self,
        call: &FunctionCall<'a>,
        dot: &Value,
        last: Option<Value>,
    ) -> Walk<Value> {
        self.step(call.position)?;
        let name = call.name;
        if name == "and" || name == "or" {
            return self.and_or(call, dot, last);
        }
        let Some(function) = self.template.options.dialect.find(name) else {
            unreachable!("the parser knows the functions of the dialect");
        };
        let given = call.arguments.len() + usize::from(last.is_some());
        function
            .check_count(name, given)
            .map_err(|reason| self.failed_call(call, Cause::Function, reason))?;
        let mut values = Vec::with_capacity(given);
        for (index, argument) in call.arguments.iter().enumerate() {
            values.push(self.argument(argument, function.parameter(index), dot)?);
        }
        if let Some(last) = last {
            let parameter = function.parameter(given - 1);
            values.push(
                arguments::validate(last, parameter)
                    .map_err(|reason| self.failed_call(call, Cause::Function, reason))?,
            );
        }
        let value = function
            .run(&mut self.environment, &values)
            .map_err(|reason| {
                // What an author wrote into his template is no secret; a text put together from
                // values may be one.
                let is_literal = match call.arguments {
                    [operand] => matches!(operand.kind, OperandKind::Text(_)),
                    [] => call.last_is_literal,
                    _ => false,
                };
                let reason = match name == "fail" && !is_literal {
                    true => "the template failed on purpose (its text may hold values)".to_owned(),
                    false => reason,
                };
                let reason = format!("error calling {name}: {reason}");
                self.failed_call(call, Cause::Function, reason)
            })?;
        self.adopted(call.position, value)
    }

    /// `and` and `or` stop at the first argument that decides.
    fn and_or(&mut self, call: &FunctionCall<'a>, dot: &Value, last: Option<Value>) -> Walk<Value> {
        if call.arguments.is_empty() && last.is_none() {
            let reason = format!(
                "wrong number of args for {}: want at least 1 got 0",
                call.name
            );
            return Err(self.failed_call(call, Cause::Function, reason));
        }
        let mut value = Value::Nil;
        for argument in call.arguments {
            value = self.operand(argument, dot)?;
            if value.is_true() == (call.name == "or") {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn variable(&mut self, position: Position, name: &str) -> Walk<Value> {
        let found = self.variables.iter().rposition(|(known, _)| *known == name);
        self.searched(position, found)?;
        match found {
            Some(index) => Ok(self.variables[index].1.clone()),
            None => Err(self.undefined(position, name)),
        }
    }

    fn assign(&mut self, position: Position, name: &str, value: Value) -> Walk<()> {
        let found = self.variables.iter().rposition(|(known, _)| *known == name);
        self.searched(position, found)?;
        match found {
            Some(index) => {
                self.variables[index].1 = value;
                Ok(())
            }
            None => Err(self.undefined(position, name)),
        }
    }

    /// As in Go, an assignment is a declaration to the parser, so that it finds the variable of `{{ $l = list $l }}`.
    fn undefined(&self, position: Position, name: &str) -> Stop {
        let reason = format!("undefined variable: {name}");
        self.failed(position, name, Cause::Evaluation, reason)
    }

    /// Counts how many variables were looked at.
    fn searched(&self, position: Position, found: Option<usize>) -> Walk<()> {
        let looked_at = self.variables.len() - found.unwrap_or(0);
        self.budget
            .tick(4 * looked_at)
            .map_err(|exceeded| self.exceeded(position, exceeded))
    }

    /// Lets a value count from the moment on in which the template holds it.
    fn adopted(&self, position: Position, value: Value) -> Walk<Value> {
        match value.adopt(self.budget) {
            Ok(()) => Ok(value),
            Err(reason) => Err(self.failed(position, "", Cause::Budget, reason)),
        }
    }

    /// Goes a level deeper; the caller comes back up.
    fn enter(&mut self, position: Position) -> Walk<()> {
        self.step(position)?;
        if self.depth == MAX_DEPTH {
            let reason = format!("exceeded maximum template depth ({MAX_DEPTH})");
            return Err(self.failed(position, "", Cause::Budget, reason));
        }
        self.depth += 1;
        Ok(())
    }

    fn step(&self, position: Position) -> Walk<()> {
        self.budget
            .tick(STEP)
            .map_err(|exceeded| self.exceeded(position, exceeded))
    }

    fn written(&self, source: &Range<usize>) -> &'a str {
        let written = self.template.source[source.clone()].trim();
        written
            .strip_prefix('(')
            .and_then(|inner| inner.strip_suffix(')'))
            .filter(|inner| !inner.contains(['(', ')']))
            .unwrap_or(written)
    }

    fn exceeded(&self, position: Position, exceeded: Exceeded) -> Stop {
        self.failed(position, "", Cause::Budget, exceeded.into())
    }

    fn misused(&self, operand: &Operand, reason: String) -> Stop {
        let text = self.written(&operand.source);
        self.failed(operand.position, text, Cause::Evaluation, reason)
    }

    fn failed_call(&self, call: &FunctionCall<'a>, cause: Cause, reason: String) -> Stop {
        let text = self.written(call.source);
        self.failed(call.position, text, cause, reason)
    }

    /// `template: name:line:column: executing "name" at <node>: reason`.
    fn failed(&self, position: Position, node: &str, cause: Cause, reason: String) -> Stop {
        let source = self.template.source.as_bytes();
        let before = &source[..position.offset.min(source.len())];
        let column = before.len() - memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let cause = match self.budget.is_exceeded() {
            true => Cause::Budget,
            false => cause,
        };
        let error = TemplateError::at_line(&self.template.name, position.line, cause, reason);
        Stop::Failed(Box::new(error.executing(column, self.name, node)))
    }
}

/// A function as it is called.
struct FunctionCall<'a> {
    position: Position,
    source: &'a Range<usize>,
    name: &'a str,
    arguments: &'a [Operand],
    /// Whether the value that comes through the pipe stands literally in the template.
    last_is_literal: bool,
}

fn no_field(receiver: &Value, name: &str) -> String {
    format!(
        "can't evaluate field {name} in type {}",
        receiver.type_name()
    )
}
