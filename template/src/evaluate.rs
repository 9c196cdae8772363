//! Runs a parsed template.

mod arguments;
mod node_text;

use gotmpl::parse::{
    BranchNode, CommandNode, Expr, ListNode, Node, Number, PipeNode, Pos, TemplateNode,
};
use jiff::Timestamp;
use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::dialect::MissingKey;
use crate::error::TemplateError;
use crate::format;
use crate::function::Environment;
use crate::functions::{dates, versions};
use crate::parse::Parsed;
use crate::text::Text;
use crate::value::Value;

/// Blocks and templates inside one another; Go allows 100,000 and needs a growing stack for it.
const MAX_DEPTH: usize = 120;
/// Evaluated nodes per template; a template that loops for ever ends here.
const MAX_STEPS: u64 = 5_000_000;
/// Bytes of output; Kubernetes stores a Secret of at most 1 MiB.
const MAX_OUTPUT: usize = 16 * 1024 * 1024;

/// Renders the template that has the template's own name.
pub(crate) fn render(
    template: &Parsed,
    dot: Value,
    now: Timestamp,
) -> Result<SecretBytes, TemplateError> {
    let mut state = State {
        template,
        out: SecretWriter::with_capacity(4 * 1024),
        name: &template.name,
        variables: vec![("$".to_owned(), dot.clone())],
        depth: 0,
        steps: 0,
        environment: Environment { now },
    };
    let root = &template.trees[&template.name];
    match state.list(root, &dot) {
        Ok(()) => Ok(state.out.finish()),
        Err(Stop::Failed(error)) => Err(error),
        Err(Stop::Break | Stop::Continue) => {
            unreachable!("the parser allows them in loops only")
        }
    }
}

/// Why a walk ends early.
enum Stop {
    Break,
    Continue,
    Failed(TemplateError),
}

type Walk<T> = Result<T, Stop>;

struct State<'a> {
    template: &'a Parsed,
    out: SecretWriter,
    /// The template that is running.
    name: &'a str,
    variables: Vec<(String, Value)>,
    depth: usize,
    steps: u64,
    environment: Environment,
}

impl<'a> State<'a> {
    fn list(&mut self, tree: &'a ListNode, dot: &Value) -> Walk<()> {
        for node in &tree.nodes {
            self.node(node, dot)?;
        }
        Ok(())
    }

    fn node(&mut self, node: &'a Node, dot: &Value) -> Walk<()> {
        match node {
            Node::Text(text) => self.write(text.pos, text.text.as_bytes()),
            Node::Action(action) => {
                let value = self.pipeline(&action.pipe, dot)?;
                if !action.pipe.decl.is_empty() {
                    return Ok(());
                }
                match &value {
                    Value::Nil => self.write(action.pos, b"<no value>"),
                    value => self.write(action.pos, format::sprint(value).bytes()),
                }
            }
            Node::If(branch) => self.deeper(branch.pos, |state| state.branch(branch, dot, false)),
            Node::With(branch) => self.deeper(branch.pos, |state| state.branch(branch, dot, true)),
            Node::Range(branch) => self.deeper(branch.pos, |state| state.range(branch, dot)),
            Node::Template(call) => self.deeper(call.pos, |state| state.call(call, dot)),
            Node::List(tree) => self.list(tree, dot),
            Node::Define(_) => Ok(()),
            Node::Break(_) => Err(Stop::Break),
            Node::Continue(_) => Err(Stop::Continue),
        }
    }

    fn write(&mut self, pos: Pos, bytes: &[u8]) -> Walk<()> {
        if self.out.len() + bytes.len() > MAX_OUTPUT {
            return Err(self.failed(pos, "", "the output is too large"));
        }
        self.out.push(bytes);
        Ok(())
    }

    fn branch(&mut self, branch: &'a BranchNode, dot: &Value, sets_dot: bool) -> Walk<()> {
        let mark = self.variables.len();
        let value = self.pipeline(&branch.pipe, dot)?;
        let result = if value.is_true() {
            self.list(&branch.body, if sets_dot { &value } else { dot })
        } else {
            self.otherwise(branch, dot)
        };
        self.variables.truncate(mark);
        result
    }

    fn otherwise(&mut self, branch: &'a BranchNode, dot: &Value) -> Walk<()> {
        match &branch.else_body {
            Some(tree) => self.list(tree, dot),
            None => Ok(()),
        }
    }

    fn range(&mut self, branch: &'a BranchNode, dot: &Value) -> Walk<()> {
        let mark = self.variables.len();
        let declared = &branch.pipe.decl;
        let value = self.pipeline_value(&branch.pipe, dot)?;
        if !branch.pipe.is_assign {
            for name in declared {
                self.variables.push((name.to_string(), Value::Nil));
            }
        }
        let items: Box<dyn Iterator<Item = (Value, Value)>> = match &value {
            Value::Nil => Box::new(std::iter::empty()),
            Value::Int(_) | Value::Int64(_) | Value::Uint8(_) | Value::Uint64(_) => {
                if declared.len() > 1 {
                    let reason = "can't use an integer to iterate over more than one variable";
                    return Err(self.failed(branch.pos, "range", reason));
                }
                let (end, typed): (i64, fn(i64) -> Value) = match value {
                    Value::Int(end) => (end, Value::Int),
                    Value::Int64(end) => (end, Value::Int64),
                    Value::Uint8(end) => (i64::from(end), Value::Int),
                    Value::Uint64(end) => (i64::try_from(end).unwrap_or(i64::MAX), |n| {
                        Value::Uint64(n.unsigned_abs())
                    }),
                    _ => unreachable!("matched above"),
                };
                Box::new((0..end).map(move |n| (Value::Nil, typed(n))))
            }
            Value::List(list) => {
                let items = list.items().to_vec();
                Box::new((0..).map(Value::Int).zip(items))
            }
            Value::TextMap(map) => {
                let entries: Vec<_> = map
                    .iter()
                    .map(|(key, text)| (Value::Text(key.clone()), Value::Text(text.clone())))
                    .collect();
                Box::new(entries.into_iter())
            }
            Value::Dict(dict) => {
                let entries = dict.entries().into_iter();
                Box::new(entries.map(|(key, value)| (Value::Text(key), value)))
            }
            other => {
                let reason = format!(
                    "range can't iterate over a value of type {}",
                    other.type_name()
                );
                return Err(self.failed(branch.pos, "range", &reason));
            }
        };
        let body = self.variables.len();
        let mut is_empty = true;
        let mut result = Ok(());
        for (index, item) in items {
            is_empty = false;
            self.step(branch.pos)?;
            self.bind(branch, index, item.clone())?;
            result = self.list(&branch.body, &item);
            self.variables.truncate(body);
            match result {
                Ok(()) => {}
                Err(Stop::Continue) => result = Ok(()),
                Err(Stop::Break) => {
                    result = Ok(());
                    break;
                }
                Err(Stop::Failed(_)) => break,
            }
        }
        if is_empty {
            result = self.otherwise(branch, dot);
        }
        self.variables.truncate(mark);
        result
    }

    /// Gives the loop variables their values.
    fn bind(&mut self, branch: &BranchNode, index: Value, item: Value) -> Walk<()> {
        let top = self.variables.len();
        match (branch.pipe.decl.as_slice(), branch.pipe.is_assign) {
            ([], _) => {}
            ([one], true) => self.assign(branch.pos, one, item)?,
            ([first, second, ..], true) => {
                self.assign(branch.pos, first, index)?;
                self.assign(branch.pos, second, item)?;
            }
            ([_], false) => self.variables[top - 1].1 = item,
            ([_, _, ..], false) => {
                self.variables[top - 1].1 = item;
                self.variables[top - 2].1 = index;
            }
        }
        Ok(())
    }

    fn call(&mut self, call: &'a TemplateNode, dot: &Value) -> Walk<()> {
        let Some((name, tree)) = self.template.trees.get_key_value(call.name.as_str()) else {
            let reason = format!("template {:?} not defined", call.name.as_str());
            return Err(self.failed(call.pos, &node_text::template(call), &reason));
        };
        let argument = match &call.pipe {
            Some(pipe) => self.pipeline(pipe, dot)?,
            None => Value::Nil,
        };
        // A template inherits no variables.
        let variables = vec![("$".to_owned(), argument.clone())];
        let outer = std::mem::replace(&mut self.variables, variables);
        let outer_name = std::mem::replace(&mut self.name, name);
        let result = self.list(tree, &argument);
        self.variables = outer;
        self.name = outer_name;
        result
    }

    fn pipeline(&mut self, pipe: &'a PipeNode, dot: &Value) -> Walk<Value> {
        let value = self.pipeline_value(pipe, dot)?;
        for name in &pipe.decl {
            if pipe.is_assign {
                self.assign(pipe.pos, name, value.clone())?;
            } else {
                self.variables.push((name.to_string(), value.clone()));
            }
        }
        Ok(value)
    }

    fn pipeline_value(&mut self, pipe: &'a PipeNode, dot: &Value) -> Walk<Value> {
        let mut last: Option<Value> = None;
        let mut last_is_literal = false;
        for command in &pipe.commands {
            let value = self.command(command, dot, last, last_is_literal)?;
            last_is_literal = matches!(command.args.as_slice(), [Expr::String(..)]);
            last = Some(value);
        }
        Ok(last.unwrap_or(Value::Nil))
    }

    fn command(
        &mut self,
        command: &'a CommandNode,
        dot: &Value,
        last: Option<Value>,
        last_is_literal: bool,
    ) -> Walk<Value> {
        self.step(command.pos)?;
        let Some((first, rest)) = command.args.split_first() else {
            return Err(self.failed(command.pos, "", "empty command"));
        };
        match first {
            Expr::Identifier(_, name) => {
                return self.function(command, name, rest, dot, last, last_is_literal);
            }
            Expr::Field(_, names) => {
                let chain = (dot.clone(), names.as_slice());
                return self.fields(first, chain, rest, dot, last);
            }
            Expr::Chain(_, inner, names) => {
                let receiver = self.expression(inner, dot)?;
                return self.fields(first, (receiver, names), rest, dot, last);
            }
            Expr::Variable(_, name, names) if !names.is_empty() => {
                let receiver = self.variable(first.pos(), name)?;
                return self.fields(first, (receiver, names), rest, dot, last);
            }
            _ => {}
        }
        if !rest.is_empty() || last.is_some() {
            let text = node_text::expression(first);
            let reason = format!("can't give argument to non-function {text}");
            return Err(self.failed(first.pos(), &text, &reason));
        }
        if matches!(first, Expr::Nil(_)) {
            return Err(self.failed(first.pos(), "nil", "nil is not a command"));
        }
        self.expression(first, dot)
    }

    /// Evaluates an operand whose type nobody prescribes.
    fn expression(&mut self, expression: &'a Expr, dot: &Value) -> Walk<Value> {
        match expression {
            Expr::Dot(_) => Ok(dot.clone()),
            Expr::Nil(_) => Ok(Value::Nil),
            Expr::Bool(_, value) => Ok(Value::Bool(*value)),
            Expr::String(pos, text) => Ok(Value::Text(self.literal(*pos, text))),
            Expr::Number(pos, number) => match number {
                Number::Int(value) => Ok(Value::Int(*value)),
                Number::Float(value) => Ok(Value::Float(*value)),
                Number::Uint(value) => {
                    let reason = format!("{value} overflows int");
                    Err(self.failed(*pos, &value.to_string(), &reason))
                }
            },
            Expr::Variable(pos, name, names) => {
                let value = self.variable(*pos, name)?;
                if names.is_empty() {
                    return Ok(value);
                }
                self.fields(expression, (value, names), &[], dot, None)
            }
            Expr::Field(_, names) => self.fields(expression, (dot.clone(), names), &[], dot, None),
            Expr::Chain(_, inner, names) => {
                let receiver = self.expression(inner, dot)?;
                self.fields(expression, (receiver, names), &[], dot, None)
            }
            Expr::Pipe(_, pipe) => self.pipeline(pipe, dot),
            Expr::Identifier(pos, name) => {
                self.step(*pos)?;
                self.invoke(*pos, name, name, &[], dot, None, false)
            }
        }
    }

    /// A string literal; escapes that make no UTF-8 are read again from the source, because the
    /// parser's strings cannot hold them.
    fn literal(&self, pos: Pos, text: &str) -> Text {
        let source = &self.template.source.as_bytes()[pos.offset.min(self.template.source.len())..];
        match node_text::unquote_bytes(source) {
            Some(bytes) => Text::from(bytes),
            None => Text::from(text),
        }
    }

    /// Follows `.a.b.c`; the last name may be a method and take arguments.
    fn fields(
        &mut self,
        node: &'a Expr,
        (mut receiver, names): (Value, &'a [gotmpl::parse::SmolStr]),
        arguments: &'a [Expr],
        dot: &Value,
        last: Option<Value>,
    ) -> Walk<Value> {
        let Some((method, path)) = names.split_last() else {
            return Ok(receiver);
        };
        for name in path {
            receiver = self.field(node, &receiver, name, Vec::new())?;
        }
        let mut values = Vec::with_capacity(arguments.len() + 1);
        for argument in arguments {
            values.push(self.expression(argument, dot)?);
        }
        values.extend(last);
        self.field(node, &receiver, method, values)
    }

    fn field(
        &mut self,
        node: &Expr,
        receiver: &Value,
        name: &str,
        arguments: Vec<Value>,
    ) -> Walk<Value> {
        let has_arguments = !arguments.is_empty();
        let result = match receiver {
            Value::Nil => Ok(Value::Nil),
            Value::TextMap(_) | Value::Dict(_) if has_arguments => {
                Err(format!("{name} is not a method but has arguments"))
            }
            Value::TextMap(map) => match map.get(&Text::from(name)) {
                Some(text) => Ok(Value::Text(text.clone())),
                None => self.missing(name, || Value::text("")),
            },
            Value::Dict(dict) => match dict.get(&Text::from(name)) {
                Some(value) => Ok(value),
                None => self.missing(name, || Value::Nil),
            },
            Value::Certificate(pair) if !has_arguments => match name {
                "Cert" => Ok(Value::Text(pair.cert.clone())),
                "Key" => Ok(Value::Text(pair.key.clone())),
                _ => Err(no_field(receiver, name)),
            },
            Value::Time(time) => dates::method(time, name, &arguments)
                .unwrap_or_else(|| Err(no_field(receiver, name))),
            Value::Version(version) => versions::method(version, name, &arguments)
                .unwrap_or_else(|| Err(no_field(receiver, name))),
            _ => Err(no_field(receiver, name)),
        };
        result.map_err(|reason| self.failed(node.pos(), &node_text::expression(node), &reason))
    }

    /// What a field gives that its map does not have.
    fn missing(&self, name: &str, zero: impl Fn() -> Value) -> Result<Value, String> {
        match self.template.options.missing_key {
            MissingKey::NoValue => Ok(Value::Nil),
            MissingKey::Zero => Ok(zero()),
            MissingKey::Error => Err(format!("map has no entry for key {name:?}")),
        }
    }

    fn function(
        &mut self,
        command: &'a CommandNode,
        name: &'a str,
        arguments: &'a [Expr],
        dot: &Value,
        last: Option<Value>,
        last_is_literal: bool,
    ) -> Walk<Value> {
        let text = node_text::command(command);
        self.invoke(
            command.pos,
            &text,
            name,
            arguments,
            dot,
            last,
            last_is_literal,
        )
    }

    #[allow(clippy::too_many_arguments)] // two callers, and a struct would only rename these
    fn invoke(
        &mut self,
        pos: Pos,
        text: &str,
        name: &'a str,
        arguments: &'a [Expr],
        dot: &Value,
        last: Option<Value>,
        last_is_literal: bool,
    ) -> Walk<Value> {
        if name == "and" || name == "or" {
            return self.and_or(pos, text, name, arguments, dot, last);
        }
        let Some(function) = self.template.options.dialect.find(name) else {
            let reason = format!("{name:?} is not a defined function");
            return Err(self.failed(pos, text, &reason));
        };
        let given = arguments.len() + usize::from(last.is_some());
        function
            .check_count(name, given)
            .map_err(|reason| self.failed(pos, text, &reason))?;
        let mut values = Vec::with_capacity(given);
        for (index, argument) in arguments.iter().enumerate() {
            values.push(self.argument(argument, function.parameter(index), dot)?);
        }
        if let Some(last) = last {
            let parameter = function.parameter(given - 1);
            values.push(
                arguments::validate(last, parameter)
                    .map_err(|reason| self.failed(pos, text, &reason))?,
            );
        }
        function
            .run(&mut self.environment, &values)
            .map_err(|reason| {
                // What an author wrote into his template is no secret; a text put together from
                // values may be one.
                let reason = match arguments {
                    _ if name != "fail" => reason,
                    [Expr::String(..)] => reason,
                    [] if last_is_literal => reason,
                    _ => "the template failed on purpose (its text may hold values)".to_owned(),
                };
                self.failed(pos, text, &format!("error calling {name}: {reason}"))
            })
    }

    /// `and` and `or` stop at the first argument that decides.
    fn and_or(
        &mut self,
        pos: Pos,
        text: &str,
        name: &str,
        arguments: &'a [Expr],
        dot: &Value,
        last: Option<Value>,
    ) -> Walk<Value> {
        if arguments.is_empty() && last.is_none() {
            let reason = format!("wrong number of args for {name}: want at least 1 got 0");
            return Err(self.failed(pos, text, &reason));
        }
        let mut value = Value::Nil;
        for argument in arguments {
            value = self.expression(argument, dot)?;
            if value.is_true() == (name == "or") {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn variable(&mut self, pos: Pos, name: &str) -> Walk<Value> {
        let found = self.variables.iter().rev().find(|(known, _)| known == name);
        match found {
            Some((_, value)) => Ok(value.clone()),
            None => Err(self.failed(pos, name, &format!("undefined variable: {name}"))),
        }
    }

    fn assign(&mut self, pos: Pos, name: &str, value: Value) -> Walk<()> {
        let found = self
            .variables
            .iter_mut()
            .rev()
            .find(|(known, _)| known == name);
        match found {
            Some((_, old)) => {
                *old = value;
                Ok(())
            }
            None => Err(self.failed(pos, name, &format!("undefined variable: {name}"))),
        }
    }

    fn deeper(&mut self, pos: Pos, walk: impl FnOnce(&mut Self) -> Walk<()>) -> Walk<()> {
        self.step(pos)?;
        if self.depth == MAX_DEPTH {
            let reason = format!("exceeded maximum template depth ({MAX_DEPTH})");
            return Err(self.failed(pos, "", &reason));
        }
        self.depth += 1;
        let result = walk(self);
        self.depth -= 1;
        result
    }

    fn step(&mut self, pos: Pos) -> Walk<()> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(self.failed(pos, "", "the template runs for too long"));
        }
        Ok(())
    }

    /// `template: name:line:column: executing "name" at <node>: reason`.
    fn failed(&self, pos: Pos, node: &str, reason: &str) -> Stop {
        let source = &self.template.source;
        let before = &source.as_bytes()[..pos.offset.min(source.len())];
        let column = before
            .iter()
            .rev()
            .take_while(|&&byte| byte != b'\n')
            .count();
        let name = &self.template.name;
        Stop::Failed(TemplateError(format!(
            "template: {name}:{}:{column}: executing {:?} at <{node}>: {reason}",
            pos.line, self.name
        )))
    }
}

fn no_field(receiver: &Value, name: &str) -> String {
    format!(
        "can't evaluate field {name} in type {}",
        receiver.type_name()
    )
}
