//! `if`, `with`, `range` and `template`.

use super::{State, Stop, Walk};
use crate::error::Cause;
use crate::text::Text;
use crate::tree::{Branch, Call, Loop, Position};
use crate::value::{ENTRY_SIZE, TextMap, Value};

impl<'a> State<'a> {
    pub(super) fn branch(&mut self, branch: &'a Branch, dot: &Value) -> Walk<()> {
        let mark = self.variables.len();
        let mut result = None;
        for (pipe, body) in &branch.arms {
            let value = self.pipeline(pipe, dot)?;
            if value.is_true() {
                let dot = if branch.sets_dot { &value } else { dot };
                result = Some(self.list(body, dot));
                break;
            }
        }
        let result = match (result, &branch.otherwise) {
            (Some(result), _) => result,
            (None, Some(tree)) => self.list(tree, dot),
            (None, None) => Ok(()),
        };
        self.variables.truncate(mark);
        result
    }

    pub(super) fn range(&mut self, range: &'a Loop, dot: &Value) -> Walk<()> {
        let mark = self.variables.len();
        let depth = self.depth;
        let position = range.pipe.position;
        let value = self.pipeline_value(&range.pipe, dot)?;
        if !range.pipe.assigns {
            for name in &range.pipe.variables {
                self.variables.push((name, Value::Nil));
            }
        }
        let mut items = self.items(range, value)?;
        let body = self.variables.len();
        let mut is_empty = true;
        let mut result = Ok(());
        while let Some((index, item)) = items.next() {
            is_empty = false;
            self.step(position)?;
            self.bind(range, index, item.clone())?;
            result = self.list(&range.body, &item);
            self.variables.truncate(body);
            match result {
                Ok(()) => {}
                Err(Stop::Failed(_)) => break,
                Err(Stop::Continue) => result = Ok(()),
                Err(Stop::Break) => {
                    result = Ok(());
                    break;
                }
            }
            // A loop is left in the middle of what is inside of it.
            self.depth = depth;
        }
        if is_empty && let Some(tree) = &range.otherwise {
            result = self.list(tree, dot);
        }
        self.depth = depth;
        self.variables.truncate(mark);
        result
    }

    fn items(&mut self, range: &Loop, value: Value) -> Walk<Items> {
        let position = range.pipe.position;
        let is_number = matches!(
            value,
            Value::Int(_) | Value::Int64(_) | Value::Uint8(_) | Value::Uint64(_)
        );
        if is_number && range.pipe.variables.len() > 1 {
            let reason = "can't use an integer to iterate over more than one variable";
            let reason = reason.to_owned();
            return Err(self.failed(position, "range", Cause::Evaluation, reason));
        }
        Ok(match value {
            Value::Nil => Items::Numbers(0, 0, Value::Int),
            Value::Int(end) => Items::Numbers(0, end, Value::Int),
            Value::Int64(end) => Items::Numbers(0, end, Value::Int64),
            Value::Uint8(end) => Items::Numbers(0, i64::from(end), Value::Int),
            Value::Uint64(end) => {
                let end = i64::try_from(end).unwrap_or(i64::MAX);
                Items::Numbers(0, end, |n| Value::Uint64(n.unsigned_abs()))
            }
            Value::List(list) => Items::List(0, list),
            Value::TextMap(map) => {
                let keys: Vec<Text> = map.entries().keys().cloned().collect();
                let charge = self.budget.charge(keys.len() * size_of::<Text>());
                let charge = charge.map_err(|exceeded| self.exceeded(position, exceeded))?;
                Items::TextMap(keys.into_iter(), map, charge)
            }
            Value::Dict(dict) => {
                // The loop goes over the entries as they are now, whatever its body does to them.
                let charge = self.budget.charge(dict.len() * ENTRY_SIZE);
                let charge = charge.map_err(|exceeded| self.exceeded(position, exceeded))?;
                Items::Dict(dict.entries().into_iter(), charge)
            }
            other => {
                let reason = format!(
                    "range can't iterate over a value of type {}",
                    other.type_name()
                );
                return Err(self.failed(position, "range", Cause::Evaluation, reason));
            }
        })
    }

    /// Gives the loop variables their values.
    fn bind(&mut self, range: &Loop, index: Value, item: Value) -> Walk<()> {
        let top = self.variables.len();
        let position: Position = range.pipe.position;
        match (range.pipe.variables.as_slice(), range.pipe.assigns) {
            ([], _) => {}
            ([one], true) => self.assign(position, one, item)?,
            ([first, second, ..], true) => {
                self.assign(position, first, index)?;
                self.assign(position, second, item)?;
            }
            ([_], false) => self.variables[top - 1].1 = item,
            ([_, _, ..], false) => {
                self.variables[top - 1].1 = item;
                self.variables[top - 2].1 = index;
            }
        }
        Ok(())
    }

    pub(super) fn call(&mut self, call: &'a Call, dot: &Value) -> Walk<()> {
        let Some((name, tree)) = self.template.trees.get_key_value(&call.name) else {
            let reason = format!("template {:?} not defined", call.name);
            let node = format!("{{{{{}", self.written(&call.source));
            return Err(self.failed(call.position, &node, Cause::Evaluation, reason));
        };
        let argument = match &call.argument {
            Some(pipe) => self.pipeline(pipe, dot)?,
            None => Value::Nil,
        };
        // A template inherits no variables.
        let variables = vec![("$", argument.clone())];
        let outer = std::mem::replace(&mut self.variables, variables);
        let outer_name = std::mem::replace(&mut self.name, name);
        let result = self.list(tree, &argument);
        self.variables = outer;
        self.name = outer_name;
        result
    }
}

/// What a loop goes over.
enum Items {
    Numbers(i64, i64, fn(i64) -> Value),
    List(usize, crate::value::List),
    TextMap(
        std::vec::IntoIter<Text>,
        TextMap,
        #[allow(dead_code)] // held for its memory
        crate::budget::Charge,
    ),
    Dict(
        std::collections::btree_map::IntoIter<Text, Value>,
        #[allow(dead_code)] // held for its memory
        crate::budget::Charge,
    ),
}

impl Items {
    fn next(&mut self) -> Option<(Value, Value)> {
        match self {
            Self::Numbers(at, end, typed) => (*at < *end).then(|| {
                *at += 1;
                (Value::Nil, typed(*at - 1))
            }),
            Self::List(at, list) => {
                let item = list.items().get(*at)?.clone();
                *at += 1;
                let index = i64::try_from(*at - 1).unwrap_or(i64::MAX);
                Some((Value::Int(index), item))
            }
            Self::TextMap(keys, map, _) => {
                let key = keys.next()?;
                let text = map.entries().get(&key)?.clone();
                Some((Value::Text(key), Value::Text(text)))
            }
            Self::Dict(entries, _) => {
                let (key, value) = entries.next()?;
                Some((Value::Text(key), value))
            }
        }
    }
}
