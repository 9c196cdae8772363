//! The marks that Git leaves where two changes of one place meet.

/// The line of the first mark of an unresolved conflict, counted from 1.
pub(crate) fn unresolved(text: &[u8]) -> Option<usize> {
    let starts = |mark: &'static [u8]| move |line: &[u8]| line.starts_with(mark);
    let mut lines = text.split(|byte| *byte == b'\n');
    let at = lines.position(starts(b"<<<<<<< "))?;
    lines.find(|line| starts(b">>>>>>> ")(line))?;
    Some(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_marks_make_a_conflict() {
        assert_eq!(
            unresolved(b"a\n<<<<<<< x\nb\n=======\nc\n>>>>>>> y\n"),
            Some(2)
        );
        assert_eq!(unresolved(b"a: 1\n<<<<<<< x\n"), None);
    }
}
