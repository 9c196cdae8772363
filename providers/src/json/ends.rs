//! Where deep values of a document end.

use std::ops::Range;

use super::scan::{DEPTH, next_start, skip_value};

/// How many levels a value has in it at least for its end to be kept. Lower ones are looked through again on each level, so a
/// byte is looked at this often at most; and what is kept takes less room than the document.
const LEVELS: usize = 16;

/// The ends of the objects and arrays that are deep, so that who goes down into them level by level does not look through all
/// that is further in on each.
pub(super) struct Ends(Vec<(usize, usize)>);

impl Ends {
    /// Finds them in the text of a checked value.
    pub(super) fn of(text: &[u8]) -> Self {
        let mut ends = Vec::new();
        // Of each that is open: the place of its end, and how many levels were seen in it.
        let mut open: Vec<(usize, usize)> = Vec::new();
        let mut in_text = false;
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            match byte {
                b'"' => in_text = !in_text,
                b'\\' => at += 1,
                _ if in_text => {}
                b'{' | b'[' => {
                    open.push((ends.len(), 0));
                    ends.push((at, 0));
                }
                b'}' | b']' => {
                    if let Some((place, levels)) = open.pop() {
                        match levels < LEVELS {
                            // Those in it have even fewer.
                            true => ends.truncate(place),
                            false => ends[place].1 = at + 1,
                        }
                        if let Some((_, outer)) = open.last_mut() {
                            *outer = levels.saturating_add(1).max(*outer);
                        }
                    }
                }
                _ => {}
            }
            at += 1;
        }
        Self(ends)
    }

    /// Where the next value behind `at` stands in the text; nothing at the end of the object or array.
    pub(super) fn next(&self, text: &[u8], at: &mut usize) -> Option<Range<usize>> {
        let start = next_start(text, *at)?;
        let end = match self.behind(start) {
            Some(end) => end,
            None => skip_value(text, start, DEPTH).ok()?,
        };
        *at = end;
        Some(start..end)
    }

    /// The end of the value that begins there, if it is kept.
    fn behind(&self, start: usize) -> Option<usize> {
        let place = self.0.binary_search_by_key(&start, |(begins, _)| *begins);
        place.ok().map(|place| self.0[place].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_deep_values_are_kept() {
        let flat = format!("[{}[]]", "[[\"]\\\"[\"]],".repeat(100));
        assert!(Ends::of(flat.as_bytes()).0.is_empty());
        let (open, close) = ("[".repeat(20), "]".repeat(20));
        let deep = format!("[[], {open}{close}, \"{open}\", {{\"a\": {open}1{close}}}]");
        let ends = Ends::of(deep.as_bytes());
        assert_eq!(ends.behind(0), Some(deep.len()));
        for value in [&format!("{open}{close}"), &format!("{open}1{close}")] {
            let start = deep.find(value.as_str()).unwrap();
            assert_eq!(ends.behind(start), Some(start + value.len()));
            assert_eq!(ends.behind(start + 4), None);
        }
        assert_eq!(ends.behind(1), None);
    }
}
