//! Where the bytes of a text lie after it was spliced.

use crate::tree::Span;

/// The replacements that were made, in ascending order.
#[derive(Default)]
pub(super) struct Relocation {
    moves: Vec<Move>,
    /// The replacement before which the last question ended: questions mostly ascend.
    cursor: usize,
}

#[derive(Clone, Copy)]
struct Move {
    old: Span,
    new: Span,
}

impl Relocation {
    pub(super) fn with_capacity(count: usize) -> Self {
        Self {
            moves: Vec::with_capacity(count),
            cursor: 0,
        }
    }

    /// Notes that `old` became `new`.
    pub(super) fn push(&mut self, old: Span, new: Span) {
        self.moves.push(Move { old, new });
    }

    /// Where an offset that lies inside no replaced bytes went. The end of replaced bytes goes to the end of the new
    /// ones, their start to the start.
    pub(super) fn offset(&mut self, old: u32) -> u32 {
        self.seek(old);
        if let Some(next) = self.moves.get(self.cursor)
            && next.old.start < old
        {
            return next.new.start;
        }
        match self.cursor.checked_sub(1).map(|at| self.moves[at]) {
            Some(last) => last.new.end + (old - last.old.end),
            None => old,
        }
    }

    /// Puts the cursor on the first replacement that ends behind an offset, from wherever it is.
    fn seek(&mut self, old: u32) {
        while self.cursor > 0 && self.moves[self.cursor - 1].old.end > old {
            self.cursor -= 1;
        }
        while self.cursor < self.moves.len() && self.moves[self.cursor].old.end <= old {
            self.cursor += 1;
        }
    }

    /// Whether an offset lies inside replaced bytes.
    pub(super) fn is_gone(&mut self, old: u32) -> bool {
        self.seek(old);
        let at = self.moves.get(self.cursor);
        at.is_some_and(|it| it.old.start <= old && old < it.old.end)
    }

    /// Where a span went whose ends lie inside no replaced bytes.
    pub(super) fn span(&mut self, old: Span) -> Span {
        let start = self.offset(old.start);
        Span {
            start,
            end: self.offset(old.end).max(start),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_move_with_what_was_replaced_before_them() {
        let mut moved = Relocation::default();
        let span = |range: std::ops::Range<usize>| Span::new(range);
        moved.push(span(4..6), span(4..10));
        moved.push(span(8..8), span(12..15));
        moved.push(span(9..12), span(16..16));
        let cases = [
            (0, 0),
            (4, 4),
            (6, 10),
            (7, 11),
            (8, 15),
            (9, 16),
            (12, 16),
            (13, 17),
            (3, 3),
            (20, 24),
        ];
        for (old, new) in cases {
            assert_eq!(moved.offset(old), new, "{old}");
        }
    }

    #[test]
    fn what_is_gone_is_gone_whatever_was_asked_before() {
        let mut moved = Relocation::default();
        moved.push(Span::new(0..9), Span::new(0..0));
        moved.push(Span::new(9..12), Span::new(0..3));
        moved.push(Span::new(12..20), Span::new(3..3));
        for before in [0, 5, 12, 20, 30] {
            moved.offset(before);
            assert!(moved.is_gone(4), "after {before}");
            moved.offset(before);
            assert!(moved.is_gone(19) && !moved.is_gone(20), "after {before}");
        }
    }
}
