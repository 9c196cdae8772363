//! Groups that take turns, so that one with a great deal to do makes itself wait.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Items that wait, by their groups.
pub(crate) struct Turns<G, T> {
    groups: HashMap<G, VecDeque<T>>,
    order: VecDeque<G>,
}

impl<G, T> Default for Turns<G, T> {
    fn default() -> Self {
        Self {
            groups: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<G: Clone + Eq + Hash, T> Turns<G, T> {
    /// Puts an item behind those of its group, and a group that has had none behind the others.
    pub(crate) fn push(&mut self, group: G, item: T) {
        match self.groups.entry(group) {
            Entry::Occupied(mut items) => items.get_mut().push_back(item),
            Entry::Vacant(items) => {
                self.order.push_back(items.key().clone());
                items.insert(VecDeque::from([item]));
            }
        }
    }

    /// Takes the first item of the first group that may have a turn.
    pub(crate) fn pop(&mut self, mut may: impl FnMut(&G) -> bool) -> Option<T> {
        let at = self.order.iter().position(&mut may)?;
        let group = self.order.remove(at)?;
        let Entry::Occupied(mut items) = self.groups.entry(group) else {
            unreachable!("a group that waits for its turn has items");
        };
        let item = items.get_mut().pop_front();
        match items.get().is_empty() {
            true => drop(items.remove()),
            false => self.order.push_back(items.key().clone()),
        }
        item
    }

    /// Returns true if nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_may_not_have_a_turn_keeps_its_place() {
        let mut turns = Turns::default();
        for (group, item) in [("a", 1), ("a", 2), ("b", 3), ("a", 4)] {
            turns.push(group, item);
        }
        assert_eq!(turns.pop(|_| true), Some(1));
        assert_eq!(turns.pop(|group| *group == "a"), Some(2));
        assert_eq!(turns.pop(|_| false), None);
        assert_eq!(turns.pop(|_| true), Some(3));
        assert_eq!(turns.pop(|_| true), Some(4));
        assert!(turns.is_empty() && turns.pop(|_| true).is_none());
    }
}
