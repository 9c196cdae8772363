//! The tokens, each from its first character.

use super::super::token::{Kind, Mark, Position, Token};
use super::{MAX_DEPTH, Scanned, Scanner, SimpleKey};

impl Scanner<'_> {
    pub(super) fn fetch_stream_end(&mut self) -> Scanned<()> {
        if self.column() != 0 {
            // The end counts as a line of its own: no key goes on there.
            self.line += 1;
            self.line_start = self.pos;
        }
        let mark = self.mark();
        self.unroll_indent(-1, mark);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        let end = self.token(Kind::StreamEnd, self.pos, self.pos);
        self.push(end);
        Ok(())
    }

    pub(super) fn fetch_directive(&mut self) -> Scanned<()> {
        let mark = self.mark();
        self.unroll_indent(-1, mark);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        let token = self.scan_directive()?;
        self.push(token);
        Ok(())
    }

    pub(super) fn fetch_document_indicator(&mut self, kind: Kind) -> Scanned<()> {
        let mark = self.mark();
        self.unroll_indent(-1, mark);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        self.push_indicator(kind, 3);
        Ok(())
    }

    pub(super) fn push_indicator(&mut self, kind: Kind, len: usize) {
        let token = self.token(kind, self.pos, self.pos + len);
        self.pos += len;
        self.newlines = 0;
        self.push(token);
    }

    pub(super) fn fetch_flow_start(&mut self, kind: Kind) -> Scanned<()> {
        self.save_simple_key()?;
        if self.flow_level >= MAX_DEPTH {
            return Err(self.error(self.pos, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.simple_keys.push(SimpleKey {
            possible: false,
            required: false,
            token_number: self.next_token_number(),
            start: self.pos,
            line: self.line,
            column: 0,
        });
        // The start itself still stands in what is around it.
        let token = self.token(kind, self.pos, self.pos + 1);
        self.flow_level += 1;
        self.simple_key_allowed = true;
        self.pos += 1;
        self.newlines = 0;
        self.push(token);
        Ok(())
    }

    pub(super) fn fetch_flow_end(&mut self, kind: Kind) -> Scanned<()> {
        self.remove_simple_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            self.simple_keys.pop();
        }
        self.simple_key_allowed = false;
        self.push_indicator(kind, 1);
        Ok(())
    }

    pub(super) fn fetch_flow_entry(&mut self) -> Scanned<()> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.push_indicator(Kind::FlowEntry, 1);
        Ok(())
    }

    pub(super) fn fetch_block_entry(&mut self) -> Scanned<()> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(self.error(self.pos, "a list element cannot start here"));
            }
            let column = self.column();
            self.roll_indent(column, None, Kind::BlockSequenceStart, self.pos)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.push_indicator(Kind::BlockEntry, 1);
        Ok(())
    }

    pub(super) fn fetch_key(&mut self) -> Scanned<()> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(self.error(self.pos, "a key cannot start here"));
            }
            let column = self.column();
            self.roll_indent(column, None, Kind::BlockMappingStart, self.pos)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = self.flow_level == 0;
        self.push_indicator(Kind::Key, 1);
        Ok(())
    }

    pub(super) fn fetch_value(&mut self) -> Scanned<()> {
        let level = self.simple_keys.len() - 1;
        if self.simple_key_is_valid(level)? {
            let key = self.simple_keys[level];
            let token = self.token(Kind::Key, key.start, key.start);
            self.insert(key.token_number, token);
            self.roll_indent(
                key.column,
                Some(key.token_number),
                Kind::BlockMappingStart,
                key.start,
            )?;
            self.simple_keys[level].possible = false;
            self.simple_key_allowed = false;
        } else {
            if self.flow_level == 0 {
                if !self.simple_key_allowed {
                    return Err(self.error(
                        self.pos,
                        "a value cannot start here: `: ` in a plain value must be quoted",
                    ));
                }
                let column = self.column();
                self.roll_indent(column, None, Kind::BlockMappingStart, self.pos)?;
            }
            self.simple_key_allowed = self.flow_level == 0;
        }
        self.push_indicator(Kind::Value, 1);
        Ok(())
    }

    pub(super) fn fetch_anchor(&mut self, kind: Kind) -> Scanned<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let token = self.scan_anchor(kind)?;
        self.push(token);
        Ok(())
    }

    pub(super) fn fetch_tag(&mut self) -> Scanned<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let token = self.scan_tag()?;
        self.push(token);
        Ok(())
    }

    pub(super) fn fetch_block_scalar(&mut self) -> Scanned<()> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        let token = self.scan_block_scalar()?;
        self.push(token);
        Ok(())
    }

    pub(super) fn fetch_quoted(&mut self) -> Scanned<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let token = self.scan_quoted()?;
        self.push(token);
        Ok(())
    }

    pub(super) fn fetch_plain(&mut self) -> Scanned<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let token = self.scan_plain()?;
        self.push(token);
        Ok(())
    }

    /// Passes blanks, comments and line breaks.
    pub(super) fn scan_to_next_token(&mut self, scan_mark: Mark) -> Scanned<()> {
        loop {
            let tabs = self.flow_level > 0 || !self.simple_key_allowed;
            while self.at(self.pos) == b' ' || (tabs && self.at(self.pos) == b'\t') {
                self.pos += 1;
            }
            if !self.comments.is_empty() {
                self.lift_comment_under_dash();
            }
            if self.at(self.pos) == b'#' {
                self.scan_comments(scan_mark);
            }
            if self.skip_line() == 0 {
                return Ok(());
            }
            if self.flow_level == 0 {
                self.simple_key_allowed = true;
            }
        }
    }

    pub(super) fn unfold_comments(&mut self, token: &Token) {
        while let Some(comment) = self.comments.get_mut(self.comments_head) {
            if token.mark < comment.token_mark {
                break;
            }
            match comment.position {
                Position::Head if token.kind == Kind::BlockEnd => break,
                Position::Head => self.head_comment.append(&mut comment.lines),
                Position::Line => self.line_comment.append(&mut comment.lines),
                Position::Foot => self.foot_comment.append(&mut comment.lines),
                Position::Spent => {}
            }
            comment.position = Position::Spent;
            comment.start = Mark::default();
            comment.end = 0;
            comment.scan_mark = 0;
            self.comments_head += 1;
        }
    }
}
