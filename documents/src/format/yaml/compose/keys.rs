//! Keys of maps, and what merge keys take.

use std::hash::BuildHasher as _;

use crate::tree::{Key, NodeId, Value};

use super::super::events::{Event, What};
use super::super::tag::Tag;
use super::super::token::Style;

use super::{Composed, Composer, PendingKey};

impl Composer<'_> {
    pub(super) fn key(&mut self, event: &Event) -> Composed<()> {
        let frame = self.frames.last().expect("checked by the caller");
        let map = frame.node;
        let foot = self.take_key_comments(event, map);
        let (key, is_merge) = match event.what {
            What::Scalar => {
                let is_merge = matches!(event.style, Style::Plain)
                    && matches!(event.tag, Tag::None | Tag::Merge)
                    && self.events.scanner.content(event.text) == b"<<";
                let is_merge = is_merge
                    || (event.tag == Tag::Merge
                        && self.events.scanner.content(event.text) == b"<<");
                (self.scalar_key(event)?, is_merge)
            }
            What::Alias => {
                self.has_alias_keys = true;
                let name = self.events.scanner.content(event.text);
                match self.anchors.find(name) {
                    Some(target) => match target.key {
                        Some(key) => {
                            self.count_alias_key(key, event)?;
                            (key, false)
                        }
                        None => {
                            return Err(self.error(
                                event.start,
                                "a key that is a map or a list is not supported",
                            ));
                        }
                    },
                    None => return Err(self.error(event.start, "unknown anchor")),
                }
            }
            _ => {
                return Err(self.error(
                    event.start,
                    "a key that is a map or a list is not supported",
                ));
            }
        };
        if let (What::Scalar, Some(anchor)) = (event.what, event.anchor) {
            let name = self.events.scanner.src()[anchor.range()].to_vec();
            let value = self.value(event)?;
            self.anchors.define_key(name, key, value);
        }
        let frame = self.frames.last_mut().expect("checked by the caller");
        frame.key = Some(PendingKey {
            key,
            start: event.node_start,
            is_merge,
            is_alias: event.what == What::Alias,
            foot,
        });
        Ok(())
    }

    fn scalar_key(&mut self, event: &Event) -> Composed<Key> {
        Ok(match self.value(event)? {
            Value::Str(text) => Key::Text(text),
            _ => Key::NotText(event.text),
        })
    }

    /// Refuses a map with two equal keys.
    pub(super) fn check_keys(&mut self, map: NodeId) -> Composed<()> {
        let end = self.nodes[map].end as usize;
        let mut hashes = std::mem::take(&mut self.hashes);
        hashes.clear();
        let mut child = map + 1;
        while child < end {
            if let Some(name) = self.key_name(child) {
                hashes.push((self.hasher.hash_one(name), child as u32));
            }
            child = self.nodes[child].end as usize;
        }
        hashes.sort_unstable();
        let same = |pair: &[(u64, u32)]| {
            pair[0].0 == pair[1].0
                && self.key_name(pair[0].1 as usize) == self.key_name(pair[1].1 as usize)
        };
        let twice = hashes
            .windows(2)
            .find(|pair| same(pair))
            .map(|pair| pair[1].1 as usize);
        self.hashes = hashes;
        match twice {
            None => Ok(()),
            Some(node) => {
                let name = self.key_name(node).unwrap_or_default();
                let name = String::from_utf8_lossy(name).into_owned();
                let reason = format!("the key `{name}` occurs twice in this map");
                Err(self.error(self.starts[node] as usize, reason))
            }
        }
    }

    pub(super) fn key_name(&self, node: NodeId) -> Option<&[u8]> {
        match self.nodes[node].key {
            Key::None => None,
            Key::Text(text) | Key::NotText(text) => Some(self.events.scanner.content(text)),
        }
    }

    pub(super) fn check_merge_list(&self, list: NodeId) -> Composed<()> {
        let end = self.nodes[list].end as usize;
        let mut child = list + 1;
        while child < end {
            if self.nodes[child].value != Value::Map {
                let at = self.starts[child] as usize;
                return Err(self.error(at, "`<<` takes a map or a list of maps"));
            }
            child = self.nodes[child].end as usize;
        }
        Ok(())
    }
}
