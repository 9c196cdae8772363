//! Where deep values of a document end.

use std::ops::Range;

use super::scan::{DEPTH, next_start, skip_value};

/// On every so many levels the ends of values are kept. Those between are looked through again on each level, so a byte is looked
/// at about this often at most.
const LEVELS: usize = 16;

/// How long a value has to be for its end to be kept: twice what two levels that are kept have between them. So what is kept takes
/// less room than the document, however its values are nested.
const SHORTEST: usize = 4 * LEVELS;

/// The ends of objects and arrays on some levels, so that who goes down into a document level by level does not look through all
/// that is further in on each.
pub(super) struct Ends(Vec<(usize, usize)>);

impl Ends {
    /// Finds them in the text of a checked value.
    pub(super) fn of(text: &[u8]) -> Self {
        let mut ends = Vec::new();
        // Where those begin that are open.
        let mut open = Vec::new();
        let mut in_text = false;
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            match byte {
                b'"' => in_text = !in_text,
                b'\\' => at += 1,
                _ if in_text => {}
                b'{' | b'[' => open.push(at),
                b'}' | b']' => {
                    if let Some(start) = open.pop()
                        && is_kept_level(open.len())
                        && at + 1 - start >= SHORTEST
                    {
                        ends.push((start, at + 1));
                    }
                }
                _ => {}
            }
            at += 1;
        }
        ends.sort_unstable();
        Self(ends)
    }

    /// Where the next value behind `at` stands in the text, which is on this level, the whole one being on level 0; nothing at the
    /// end of the object or array.
    pub(super) fn next(&self, text: &[u8], at: &mut usize, level: usize) -> Option<Range<usize>> {
        let start = next_start(text, *at)?;
        let end = self.end_of(text, start, level)?;
        *at = end;
        Some(start..end)
    }

    fn end_of(&self, text: &[u8], start: usize, level: usize) -> Option<usize> {
        let mut at = start;
        let mut open: usize = 0;
        loop {
            match text.get(at)? {
                b'{' | b'[' => match self.behind(at, level + open) {
                    Some(end) => at = end,
                    None => {
                        open += 1;
                        at += 1;
                    }
                },
                b'}' | b']' => {
                    open = open.checked_sub(1)?;
                    at += 1;
                }
                b'"' => at = skip_value(text, at, DEPTH).ok()?,
                _ if open == 0 => return skip_value(text, at, DEPTH).ok(),
                _ => at += 1,
            }
            if open == 0 {
                return Some(at);
            }
        }
    }

    /// The end of the object or array that begins there on this level, if it is kept.
    fn behind(&self, start: usize, level: usize) -> Option<usize> {
        if !is_kept_level(level) {
            return None;
        }
        let place = self.0.binary_search_by_key(&start, |(begins, _)| *begins);
        place.ok().map(|place| self.0[place].1)
    }
}

fn is_kept_level(level: usize) -> bool {
    level > 0 && level.is_multiple_of(LEVELS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(levels: usize, inside: &str) -> String {
        format!("{}{inside}{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn every_value_ends_where_it_ends() {
        let (short, long) = (chain(20, ""), chain(90, "1, \"\\\"]\", 2"));
        let text = format!(
            r#"[[], {short}, "{short}", {{"a]": {long}, "b": [{short}, {long}, true, {long}]}}, {long}, 3]"#
        );
        let text = text.as_bytes();
        let ends = Ends::of(text);
        assert!(ends.0.len() > 10);
        let (mut level, mut in_text, mut at, mut values) = (0, false, 0, 0);
        while let Some(byte) = text.get(at) {
            match byte {
                b'"' => in_text = !in_text,
                b'\\' => at += 1,
                _ if in_text => {}
                b'{' | b'[' => {
                    let end = skip_value(text, at, DEPTH).ok();
                    assert_eq!(ends.end_of(text, at, level), end, "{at}");
                    values += 1;
                    level += 1;
                }
                b'}' | b']' => level -= 1,
                _ => {}
            }
            at += 1;
        }
        assert_eq!(level, 0);
        assert!(values > 400, "{values}");
    }

    #[test]
    fn what_is_kept_takes_less_room_than_the_document() {
        let flat = format!("[{}[]]", "[[\"]\\\"[\"]],".repeat(100));
        assert!(Ends::of(flat.as_bytes()).0.is_empty());
        for levels in [17, 33, 49, 100, 198] {
            for inside in [0, 40, 400] {
                let value = chain(levels, &format!("\"{}\"", "x".repeat(inside)));
                let text = format!("[{}0]", format!("{value},").repeat(1000));
                let kept = Ends::of(text.as_bytes()).0;
                let room = size_of_val(&kept[..]);
                assert!(room < text.len(), "{levels} {inside}: {room}");
            }
        }
    }
}
