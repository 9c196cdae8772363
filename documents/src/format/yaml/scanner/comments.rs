//! To which token a comment belongs: head, line or foot, by the rules of yaml.v3.
//!
//! An encrypted comment is bound to the path of the collection that holds it, so the rules are followed to the letter,
//! odd ones included (how far is looked ahead, how CR LF counts as two ends of a line here).

use crate::tree::Span;

use super::super::token::{Comment, Kind, Mark, Position};
use super::Scanner;

/// How far a comment is looked for.
const LOOKAHEAD: usize = 512;

impl Scanner<'_> {
    /// A comment behind a dash that opens a list is about what follows, not about the dash.
    pub(super) fn lift_comment_under_dash(&mut self) {
        let is_first_dash = matches!(
            self.tokens.as_slice(),
            [.., a, b] if a.kind == Kind::BlockSequenceStart && b.kind == Kind::BlockEntry
        );
        if !is_first_dash || self.is_break(self.pos) {
            return;
        }
        let (at, line) = (self.pos as i64, i64::from(self.line));
        if let Some(comment) = self.comments.last_mut()
            && comment.position == Position::Line
        {
            comment.position = Position::Head;
            if comment.start.line == line - 1 {
                comment.token_mark = at;
            }
        }
    }

    /// Takes a comment that stands on the same line behind what was just read.
    pub(super) fn scan_line_comment(&mut self, token_mark: i64) {
        if self.newlines > 0 {
            return;
        }
        let blanks = self
            .rest(self.pos)
            .iter()
            .take(LOOKAHEAD)
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count();
        if blanks == LOOKAHEAD || self.at(self.pos + blanks) != b'#' {
            return;
        }
        self.pos += blanks;
        let start = self.mark();
        let line = self.take_comment_line();
        self.comments.push(Comment {
            position: Position::Line,
            scan_mark: 0,
            token_mark,
            start,
            end: 0,
            lines: vec![line],
        });
    }

    /// Takes the comment lines that start here, and splits them into feet of what stands before and the head of what
    /// follows.
    pub(super) fn scan_comments(&mut self, scan_mark: Mark) {
        let (mut scan_mark, scan_line) = (scan_mark.at, scan_mark.line);
        let last = self.tokens.len() - 1;
        let token = match self.tokens[last].kind {
            Kind::FlowEntry if last > 0 => self.tokens[last - 1],
            _ => self.tokens[last],
        };
        let mut token_mark = token.mark;
        let mut start = Mark::default();
        let mut next_indent = i64::from(self.indent.max(0));
        let mut recent_empty = false;
        let mut first_empty = self.newlines <= 1;
        let here = self.mark();
        let (mut line, mut column) = (here.line, here.column);
        let mut lines: Vec<Span> = Vec::new();
        // A comment on this line may still be the foot of what stands before; below it, it is not.
        let mut foot_line = -1;
        if scan_line > 0 {
            foot_line = line - self.newlines + 1;
            if self.newlines == 0 && column > 1 {
                foot_line += 1;
            }
        }
        let mut peek = 0;
        while peek < LOOKAHEAD {
            column += 1;
            let at = self.pos + peek;
            let byte = self.at(at);
            if matches!(byte, b' ' | b'\t') {
                peek += 1;
                continue;
            }
            let closes_flow = self.flow_level > 0 && matches!(byte, b']' | b'}');
            if closes_flow || self.is_breakz(at) {
                if closes_flow || !recent_empty {
                    let is_foot = closes_flow
                        || (first_empty
                            && ((start.line == foot_line && token.kind != Kind::Value)
                                || start.column - 1 < next_indent));
                    if is_foot {
                        if !lines.is_empty() {
                            if start.column - 1 < next_indent {
                                token_mark = start.at;
                            }
                            self.comments.push(Comment {
                                position: Position::Foot,
                                scan_mark,
                                token_mark,
                                start,
                                end: at as i64,
                                lines: std::mem::take(&mut lines),
                            });
                            scan_mark = at as i64;
                            token_mark = scan_mark;
                        }
                    } else if !lines.is_empty() && at < self.src.len() {
                        lines.push(Span::default());
                    }
                }
                if !self.is_break(at) {
                    break;
                }
                first_empty = false;
                recent_empty = true;
                column = 0;
                line += 1;
                peek += 1;
                continue;
            }
            if !lines.is_empty() && column - 1 < next_indent && column != start.column {
                self.comments.push(Comment {
                    position: Position::Foot,
                    scan_mark,
                    token_mark,
                    start,
                    end: at as i64,
                    lines: std::mem::take(&mut lines),
                });
                scan_mark = at as i64;
                token_mark = scan_mark;
            }
            if byte != b'#' {
                break;
            }
            if lines.is_empty() {
                start = Mark {
                    at: at as i64,
                    line,
                    column,
                };
            }
            recent_empty = false;
            while self.pos < at {
                if self.skip_line() == 0 {
                    self.skip();
                }
            }
            lines.push(self.take_comment_line());
            // The end of the line itself is not looked at again.
            peek = 1;
            column = 0;
            line = i64::from(self.line);
            next_indent = i64::from(self.indent.max(0));
        }
        if !lines.is_empty() {
            self.comments.push(Comment {
                position: Position::Head,
                scan_mark,
                token_mark: start.at,
                start,
                end: (self.pos + peek) as i64 - 1,
                lines,
            });
        }
    }

    /// Takes the rest of a line, from its mark on.
    fn take_comment_line(&mut self) -> Span {
        let start = self.pos;
        self.pos = self.line_end(start);
        self.newlines = 0;
        Span::new(start..self.pos)
    }
}
