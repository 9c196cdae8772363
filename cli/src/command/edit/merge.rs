//! Puts a kept edit onto a file that another program changed meanwhile.
//!
//! Each side's change is the range of lines between what it has in common with the first text at both ends. Ranges that do
//! not touch are both taken; otherwise both stand in the text between the marks that Git uses, and a person decides.

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

/// The first line of a range that a person has to decide about.
const OURS: &[u8] = b"<<<<<<< the file as it is now\n";
const BETWEEN: &[u8] = b"=======\n";
const YOURS: &[u8] = b">>>>>>> your edited text\n";

/// A text that both changes are in.
pub(super) struct Merged {
    pub(super) text: SecretBytes,
    /// Whether a person has to decide about a part of it.
    pub(super) conflict: bool,
}

/// Merges what became of `first` in the file and in the editor.
pub(super) fn merge(first: &SecretBytes, file: &SecretBytes, edited: &SecretBytes) -> Merged {
    let (first, file, edited) = (lines(first), lines(file), lines(edited));
    let (theirs, yours) = (
        Change::between(&first, &file),
        Change::between(&first, &edited),
    );
    let size = |lines: &[&[u8]]| lines.iter().map(|line| line.len()).sum::<usize>();
    let mut out = SecretWriter::with_capacity(size(&first) + size(&file) + size(&edited) + 128);
    let mut conflict = false;
    if theirs.is_none() || theirs == yours {
        push(&mut out, &edited);
    } else if yours.is_none() {
        push(&mut out, &file);
    } else if theirs.end < yours.start || (theirs.end == yours.start && !theirs.touches(&yours)) {
        apply(&mut out, &first, &theirs, &yours);
    } else if yours.end < theirs.start || (yours.end == theirs.start && !theirs.touches(&yours)) {
        apply(&mut out, &first, &yours, &theirs);
    } else {
        conflict = true;
        let (start, end) = (theirs.start.min(yours.start), theirs.end.max(yours.end));
        push(&mut out, &first[..start]);
        for (mark, change) in [(OURS, &theirs), (BETWEEN, &yours)] {
            out.push(mark);
            push(&mut out, &first[start..change.start]);
            push(&mut out, change.new);
            push(&mut out, &first[change.end..end]);
            if !out.is_empty() && out.expose().last() != Some(&b'\n') {
                out.push(b"\n");
            }
        }
        out.push(YOURS);
        push(&mut out, &first[end..]);
    }
    Merged {
        text: out.finish(),
        conflict,
    }
}

/// What a side made of a range of lines.
#[derive(PartialEq, Eq)]
struct Change<'a> {
    start: usize,
    end: usize,
    new: &'a [&'a [u8]],
}

impl<'a> Change<'a> {
    fn between(old: &[&[u8]], new: &'a [&'a [u8]]) -> Self {
        let most = old.len().min(new.len());
        let start = (0..most).take_while(|at| old[*at] == new[*at]).count();
        let tail = (0..most - start)
            .take_while(|at| old[old.len() - 1 - at] == new[new.len() - 1 - at])
            .count();
        Self {
            start,
            end: old.len() - tail,
            new: &new[start..new.len() - tail],
        }
    }

    fn is_none(&self) -> bool {
        self.start == self.end && self.new.is_empty()
    }

    /// Two insertions at one place have no order.
    fn touches(&self, other: &Change<'_>) -> bool {
        self.start == self.end || other.start == other.end
    }
}

fn apply(out: &mut SecretWriter, first: &[&[u8]], before: &Change<'_>, after: &Change<'_>) {
    push(out, &first[..before.start]);
    push(out, before.new);
    push(out, &first[before.end..after.start]);
    push(out, after.new);
    push(out, &first[after.end..]);
}

fn push(out: &mut SecretWriter, lines: &[&[u8]]) {
    for line in lines {
        out.push(line);
    }
}

fn lines(text: &SecretBytes) -> Vec<&[u8]> {
    text.expose()
        .split_inclusive(|byte| *byte == b'\n')
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(first: &str, file: &str, edited: &str) -> (String, bool) {
        let bytes = |text: &str| SecretBytes::copy_of(text.as_bytes());
        let merged = merge(&bytes(first), &bytes(file), &bytes(edited));
        let text = String::from_utf8(merged.text.expose().to_vec()).unwrap();
        (text, merged.conflict)
    }

    #[test]
    fn changes_apart_are_both_taken() {
        let first = "a: 1\nb: 2\nc: 3\n";
        let file = "a: 9\nb: 2\nc: 3\n";
        assert_eq!(
            merged(first, file, "a: 1\nb: 2\nc: 8\nd: 4\n"),
            ("a: 9\nb: 2\nc: 8\nd: 4\n".into(), false)
        );
        assert_eq!(
            merged(first, "a: 1\nb: 2\n", "x: 0\na: 1\nb: 2\nc: 3\n"),
            ("x: 0\na: 1\nb: 2\n".into(), false)
        );
        assert_eq!(merged(first, first, "a: 5\n"), ("a: 5\n".into(), false));
        let longer = "a: 1\nb: 2\nc: 3\nd: 4\n";
        assert_eq!(merged(first, first, longer), (longer.into(), false));
        assert_eq!(merged(first, longer, first), (longer.into(), false));
        assert_eq!(merged(first, file, file), (file.into(), false));
    }

    #[test]
    fn changes_of_one_place_stand_side_by_side() {
        let (text, conflict) = merged("a: 1\nb: 2\n", "a: 1\nb: 3", "a: 1\nb: 4\n");
        assert!(conflict);
        assert_eq!(
            text,
            "a: 1\n<<<<<<< the file as it is now\nb: 3\n=======\nb: 4\n>>>>>>> your edited text\n"
        );
        assert_eq!(
            super::super::super::conflict::unresolved(text.as_bytes()),
            Some(2)
        );
        // Two insertions at one place, in either order of the sides.
        assert!(merged("a\n", "a\nx\n", "a\ny\n").1);
    }
}
