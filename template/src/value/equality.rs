//! `reflect.DeepEqual`, and copies that share nothing.

use super::{Dict, List, MAX_DEPTH, Value, too_deep};
use crate::budget::Budget;

impl Value {
    /// Compares with everything inside. A value that hangs together in many ways is walked once per way, so it is the
    /// budget that ends it.
    pub(crate) fn deep_equal(&self, other: &Self, budget: &Budget) -> Result<bool, String> {
        self.equal(other, budget, 0)
    }

    fn equal(&self, other: &Self, budget: &Budget, depth: usize) -> Result<bool, String> {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        budget.tick(8)?;
        Ok(match (self, other) {
            (Self::Nil, Self::Nil) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b))
            | (Self::Int64(a), Self::Int64(b))
            | (Self::Duration(a), Self::Duration(b)) => a == b,
            (Self::Uint8(a), Self::Uint8(b)) => a == b,
            (Self::Uint64(a), Self::Uint64(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => {
                if a.bytes().len() == b.bytes().len() {
                    budget.tick(a.bytes().len() / 8)?;
                }
                a == b
            }
            (Self::List(a), Self::List(b)) => {
                if a.kind != b.kind
                    || a.is_nil() != b.is_nil()
                    || a.items().len() != b.items().len()
                {
                    return Ok(false);
                }
                for (a, b) in a.items().iter().zip(b.items()) {
                    if !a.equal(b, budget, depth + 1)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::TextMap(a), Self::TextMap(b)) => {
                budget.tick(a.entries().len() * 8)?;
                a.entries() == b.entries()
            }
            (Self::Dict(a), Self::Dict(b)) => {
                if a.is_nil() != b.is_nil() || a.len() != b.len() {
                    return Ok(false);
                }
                let (left, right) = (a.entries(), b.entries());
                for (key, a) in &left {
                    let Some(b) = right.get(key) else {
                        return Ok(false);
                    };
                    if !a.equal(b, budget, depth + 1)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::Time(a), Self::Time(b)) => a == b,
            (Self::Certificate(a), Self::Certificate(b)) => a == b,
            (Self::Version(a), Self::Version(b)) => a == b,
            _ => false,
        })
    }

    /// Copies lists and maps with everything inside.
    pub(crate) fn deep_copy(&self, budget: &Budget) -> Result<Self, String> {
        let mut charge = budget.charge(0)?;
        self.copy(budget, &mut charge, 0)
    }

    fn copy(
        &self,
        budget: &Budget,
        charge: &mut crate::budget::Charge,
        depth: usize,
    ) -> Result<Self, String> {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        budget.tick(16)?;
        charge.grow(size_of::<Self>())?;
        Ok(match self {
            Self::List(list) if !list.is_nil() => {
                let items = list.items().iter();
                let items = items.map(|item| item.copy(budget, charge, depth + 1));
                let items = items.collect::<Result<_, _>>()?;
                Self::List(List::new(list.kind, items)).counted(budget)?
            }
            Self::Dict(dict) if !dict.is_nil() => {
                let mut copied = std::collections::BTreeMap::new();
                for (key, value) in dict.entries() {
                    copied.insert(key, value.copy(budget, charge, depth + 1)?);
                }
                Self::Dict(Dict::new(copied)).counted(budget)?
            }
            other => other.clone(),
        })
    }
}
