//! Slices and maps.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::{MAX_DEPTH, Value, too_deep};
use crate::budget::{Budget, Charge, Exceeded};
use crate::text::Text;

/// What a slice holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListKind {
    /// `[]interface {}`
    Any,
    /// `[]string`
    Text,
    /// `[]int`
    Int,
    /// `[][]interface {}`
    Lists,
}

/// A slice; nil slices are empty, but JSON tells them apart.
#[derive(Clone)]
pub(crate) struct List {
    pub(crate) kind: ListKind,
    items: Option<Arc<Items>>,
}

struct Items {
    values: Vec<Value>,
    height: usize,
    charge: OnceLock<Charge>,
}

/// What a list takes beside what is in it.
pub(crate) const CONTAINER_SIZE: usize = size_of::<Items>() + 64;
/// What an entry of a map takes.
pub(crate) const ENTRY_SIZE: usize = size_of::<Text>() + size_of::<Value>() + 32;
/// What a map takes beside its entries: a [`BTreeMap`] makes room for eleven with the first one.
const MAP_SIZE: usize = CONTAINER_SIZE + 11 * (size_of::<Text>() + size_of::<Value>());

impl List {
    pub(crate) fn new(kind: ListKind, values: Vec<Value>) -> Self {
        let height = 1 + values.iter().map(Value::height).max().unwrap_or(0);
        Self {
            kind,
            items: Some(Arc::new(Items {
                values,
                height,
                charge: OnceLock::new(),
            })),
        }
    }

    pub(crate) fn nil(kind: ListKind) -> Self {
        Self { kind, items: None }
    }

    pub(crate) fn is_nil(&self) -> bool {
        self.items.is_none()
    }

    pub(crate) fn items(&self) -> &[Value] {
        self.items.as_ref().map_or(&[], |items| &items.values)
    }

    pub(crate) fn height(&self) -> usize {
        self.items.as_ref().map_or(1, |items| items.height)
    }

    pub(super) fn adopt(
        &self,
        budget: &Budget,
        inner: &dyn Fn(&Value) -> Result<(), Exceeded>,
    ) -> Result<(), Exceeded> {
        let Some(items) = &self.items else {
            return Ok(());
        };
        if items.charge.get().is_some() {
            return Ok(());
        }
        let bytes = CONTAINER_SIZE + items.values.capacity() * size_of::<Value>();
        let _ = items.charge.set(budget.charge(bytes)?);
        items.values.iter().try_for_each(inner)
    }
}

impl Drop for Items {
    fn drop(&mut self) {
        drop_all(std::mem::take(&mut self.values));
    }
}

/// Drops values one by one: a level of recursion for every level of nesting would need a stack as deep as a template
/// can nest them.
fn drop_all(mut open: Vec<Value>) {
    while let Some(value) = open.pop() {
        match value {
            Value::List(List {
                items: Some(items), ..
            }) => {
                if let Some(mut items) = Arc::into_inner(items) {
                    open.append(&mut items.values);
                }
            }
            Value::Dict(Dict(Some(inner))) => {
                if let Some(inner) = Arc::into_inner(inner) {
                    let mut inner = inner.into_inner().unwrap_or_else(PoisonError::into_inner);
                    open.extend(std::mem::take(&mut inner.entries).into_values());
                }
            }
            _ => {}
        }
    }
}

/// A map of texts, which no function changes.
#[derive(Clone)]
pub(crate) struct TextMap(Arc<TextEntries>);

struct TextEntries {
    entries: BTreeMap<Text, Text>,
    charge: OnceLock<Charge>,
}

impl TextMap {
    pub(crate) fn new(entries: BTreeMap<Text, Text>) -> Self {
        Self(Arc::new(TextEntries {
            entries,
            charge: OnceLock::new(),
        }))
    }

    pub(crate) fn entries(&self) -> &BTreeMap<Text, Text> {
        &self.0.entries
    }

    pub(super) fn adopt(&self, budget: &Budget) -> Result<(), Exceeded> {
        if self.0.charge.get().is_some() {
            return Ok(());
        }
        let bytes = MAP_SIZE + self.0.entries.len() * ENTRY_SIZE;
        let _ = self.0.charge.set(budget.charge(bytes)?);
        for (key, value) in &self.0.entries {
            key.adopt(budget)?;
            value.adopt(budget)?;
        }
        Ok(())
    }
}

/// A map that functions change in place: every holder sees the change, as in Go.
#[derive(Clone)]
pub(crate) struct Dict(Option<Arc<Mutex<Inner>>>);

struct Inner {
    entries: BTreeMap<Text, Value>,
    /// At least the levels below; it never goes down.
    height: usize,
    charge: Option<Charge>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop_all(std::mem::take(&mut self.entries).into_values().collect());
    }
}

impl Dict {
    pub(crate) fn new(entries: BTreeMap<Text, Value>) -> Self {
        let height = 1 + entries.values().map(Value::height).max().unwrap_or(0);
        Self(Some(Arc::new(Mutex::new(Inner {
            entries,
            height,
            charge: None,
        }))))
    }

    pub(crate) fn nil() -> Self {
        Self(None)
    }

    pub(crate) fn is_nil(&self) -> bool {
        self.0.is_none()
    }

    /// The entries as they are now.
    pub(crate) fn entries(&self) -> BTreeMap<Text, Value> {
        self.lock()
            .map(|inner| inner.entries.clone())
            .unwrap_or_default()
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Value> {
        self.lock()?.entries.get(key).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().map_or(0, |inner| inner.entries.len())
    }

    pub(crate) fn height(&self) -> usize {
        self.lock().map_or(1, |inner| inner.height)
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(own), Some(theirs)) => Arc::ptr_eq(own, theirs),
            _ => false,
        }
    }

    /// Sets an entry, unless the map would come to hold itself: Go dies of that when it prints
    /// the map, and here its values would never be wiped.
    pub(crate) fn set(&self, key: Text, value: Value, budget: &Budget) -> Result<(), String> {
        if self.is_nil() {
            return Err("assignment to entry in nil map".to_owned());
        }
        let height = 1 + value.height();
        if height > MAX_DEPTH {
            return Err(too_deep());
        }
        if self.is_inside(&value, budget, 0)? {
            return Err("a map cannot hold itself".to_owned());
        }
        let mut replaced = None;
        if let Some(mut inner) = self.lock() {
            inner.height = inner.height.max(height);
            replaced = inner.entries.insert(key, value);
            if replaced.is_none()
                && let Some(charge) = &mut inner.charge
            {
                charge.grow(ENTRY_SIZE)?;
            }
        }
        drop(replaced);
        Ok(())
    }

    pub(crate) fn unset(&self, key: &Text) {
        let removed = self.lock().and_then(|mut inner| {
            let removed = inner.entries.remove(key);
            if removed.is_some()
                && let Some(charge) = &mut inner.charge
            {
                charge.shrink(ENTRY_SIZE);
            }
            removed
        });
        drop(removed);
    }

    fn is_inside(&self, value: &Value, budget: &Budget, depth: usize) -> Result<bool, String> {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        match value {
            Value::Dict(other) => {
                if self.is_same(other) {
                    return Ok(true);
                }
                budget.tick(16 * (1 + other.len()))?;
                for value in other.entries().values() {
                    if self.is_inside(value, budget, depth + 1)? {
                        return Ok(true);
                    }
                }
            }
            Value::List(list) if list.height() > 1 => {
                budget.tick(16 * list.items().len())?;
                for value in list.items() {
                    if self.is_inside(value, budget, depth + 1)? {
                        return Ok(true);
                    }
                }
            }
            _ => {}
        }
        Ok(false)
    }

    pub(super) fn adopt(
        &self,
        budget: &Budget,
        inner: &dyn Fn(&Value) -> Result<(), Exceeded>,
    ) -> Result<(), Exceeded> {
        let entries = {
            let Some(mut own) = self.lock() else {
                return Ok(());
            };
            if own.charge.is_some() {
                return Ok(());
            }
            let bytes = MAP_SIZE + own.entries.len() * ENTRY_SIZE;
            own.charge = Some(budget.charge(bytes)?);
            own.entries.clone()
        };
        for (key, value) in &entries {
            key.adopt(budget)?;
            inner(value)?;
        }
        Ok(())
    }

    fn lock(&self) -> Option<MutexGuard<'_, Inner>> {
        let inner = self.0.as_ref()?;
        Some(inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
