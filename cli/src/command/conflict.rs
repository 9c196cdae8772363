//! The marks that Git leaves where two changes of one place meet.

/// The line of the first mark of an unresolved conflict, counted from 1.
pub(crate) fn unresolved(text: &[u8]) -> Option<usize> {
    let first = mark(text, b"<<<<<<< ")?;
    mark(&text[first..], b">>>>>>> ")?;
    Some(1 + memchr::memchr_iter(b'\n', &text[..first]).count())
}

/// Where the first line begins that starts with this mark.
fn mark(text: &[u8], mark: &[u8]) -> Option<usize> {
    memchr::memmem::find_iter(text, mark).find(|at| *at == 0 || text[at - 1] == b'\n')
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
