//! Directives, anchors and tags.

use crate::tree::{Span, Text};

use super::super::characters::is_word;
use super::super::token::{Kind, Token};
use super::{Scanned, Scanner};

impl Scanner<'_> {
    /// Reads a line that starts with `%`.
    pub(super) fn scan_directive(&mut self) -> Scanned<Token> {
        let start = self.pos;
        let name_end = start + 1 + self.words(start + 1);
        let name = &self.src[start + 1..name_end];
        if name.is_empty() || !self.is_blankz(name_end) {
            return Err(self.error(start, "expected the name of a directive after `%`"));
        }
        let (kind, text) = match name {
            b"YAML" => {
                let from = self.blanks_end(name_end);
                let (dot, end) = (
                    self.digits_end(from),
                    self.digits_end(self.digits_end(from) + 1),
                );
                let fits = |len: usize| (1..=2).contains(&len);
                if self.at(dot) != b'.' || !fits(dot - from) || !fits(end - dot - 1) {
                    return Err(self.error(from, "expected a version number after `%YAML`"));
                }
                self.pos = end;
                (Kind::VersionDirective, from..end)
            }
            b"TAG" => {
                let handle = self.blanks_end(name_end);
                let handle_end = self.tag_handle_end(handle);
                let is_handle =
                    handle_end == handle + 1 || self.src[handle..handle_end].ends_with(b"!");
                if self.at(handle) != b'!' || !is_handle || !self.is_blank(handle_end) {
                    return Err(self.error(handle, "expected a handle such as `!e!` after `%TAG`"));
                }
                let prefix = self.blanks_end(handle_end);
                let end = self.uri_end(prefix)?;
                if end == prefix || !self.is_blankz(end) {
                    return Err(self.error(prefix, "expected a prefix after the handle of `%TAG`"));
                }
                self.pos = end;
                (Kind::TagDirective, handle..end)
            }
            _ => return Err(self.error(start, "unknown directive")),
        };
        self.newlines = 0;
        let token = self.token(kind, start, self.pos);
        self.pos = self.blanks_end(self.pos);
        if self.at(self.pos) == b'#' {
            self.pos = self.line_end(self.pos);
        }
        if !self.is_breakz(self.pos) {
            return Err(self.error(self.pos, "expected the end of the line after a directive"));
        }
        self.skip_line();
        Ok(Token {
            text: Text::File(Span::new(text)),
            ..token
        })
    }

    /// Reads `&name` or `*name`.
    pub(super) fn scan_anchor(&mut self, kind: Kind) -> Scanned<Token> {
        let start = self.pos;
        let end = start + 1 + self.words(start + 1);
        let ends_well = self.is_blankz(end)
            || matches!(
                self.at(end),
                b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`'
            );
        if end == start + 1 || !ends_well {
            return Err(self.error(
                start,
                "the name of an anchor has ASCII letters, digits, `-` and `_` only",
            ));
        }
        self.pos = end;
        self.newlines = 0;
        Ok(Token {
            text: Text::File(Span::new(start + 1..end)),
            ..self.token(kind, start, end)
        })
    }

    /// Reads a tag; its parts are told apart when it is used.
    pub(super) fn scan_tag(&mut self) -> Scanned<Token> {
        let start = self.pos;
        let end = if self.at(start + 1) == b'<' {
            let end = self.uri_end(start + 2)?;
            if end == start + 2 || self.at(end) != b'>' {
                return Err(self.error(start, "expected `>` at the end of the tag"));
            }
            end + 1
        } else {
            let handle_end = self.tag_handle_end(start);
            let is_handle = handle_end > start + 1 && self.src[start..handle_end].ends_with(b"!");
            let end = self.uri_end(handle_end)?;
            if is_handle && end == handle_end {
                return Err(self.error(start, "expected a name after the handle of the tag"));
            }
            end
        };
        if !self.is_blankz(end) {
            return Err(self.error(end, "expected a blank after the tag"));
        }
        self.pos = end;
        self.newlines = 0;
        Ok(self.token(Kind::Tag, start, end))
    }

    fn words(&self, from: usize) -> usize {
        self.rest(from)
            .iter()
            .take_while(|byte| is_word(**byte))
            .count()
    }

    fn digits_end(&self, from: usize) -> usize {
        from + self
            .rest(from)
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    }

    pub(super) fn blanks_end(&self, from: usize) -> usize {
        let is_blank = |byte: &&u8| matches!(**byte, b' ' | b'\t');
        from + self.rest(from).iter().take_while(is_blank).count()
    }

    fn tag_handle_end(&self, from: usize) -> usize {
        let end = from + 1 + self.words(from + 1);
        end + usize::from(self.at(end) == b'!')
    }

    /// The end of the characters of a URI; `%` must be followed by two hexadecimal digits that make up UTF-8.
    fn uri_end(&self, from: usize) -> Scanned<usize> {
        let mut end = from;
        loop {
            match self.at(end) {
                byte if is_word(byte) => end += 1,
                b';' | b'/' | b'?' | b':' | b'@' | b'&' | b'=' | b'+' | b'$' | b',' | b'.'
                | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' | b'[' | b']' => end += 1,
                b'%' => end = self.uri_escape_end(end)?,
                _ => return Ok(end),
            }
        }
    }

    fn uri_escape_end(&self, from: usize) -> Scanned<usize> {
        let octet = |at: usize| -> Option<u8> {
            let digits = self.rest(at).get(..3)?.strip_prefix(b"%")?;
            u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16)
                .ok()
                .filter(|_| digits.iter().all(u8::is_ascii_hexdigit))
        };
        let wrong = || self.error(from, "wrong escape in a tag");
        let width = match octet(from).ok_or_else(wrong)? {
            0..0x80 => 1,
            0xC0..0xE0 => 2,
            0xE0..0xF0 => 3,
            0xF0..0xF8 => 4,
            _ => return Err(wrong()),
        };
        let continues = |index| octet(from + 3 * index).is_some_and(|byte| byte & 0xC0 == 0x80);
        if !(1..width).all(continues) {
            return Err(wrong());
        }
        Ok(from + 3 * width)
    }
}
