//! Scalars: plain, quoted, and in blocks.

use crate::tree::{Span, Text};

use super::super::characters::break_len;
use super::super::token::{Kind, Style, Token};
use super::{Scanned, Scanner};

/// What a block scalar does with the line breaks at its end.
#[derive(Clone, Copy, PartialEq)]
enum Chomp {
    Strip,
    Clip,
    Keep,
}

/// Where the content of a scalar is gathered: nowhere as long as it is one stretch of the file.
struct Gather {
    stretch: std::ops::Range<usize>,
    decoded: Option<usize>,
}

impl Scanner<'_> {
    /// The end of the line that `from` lies on, without its break.
    pub(in super::super) fn line_end(&self, from: usize) -> usize {
        let rest = self.rest(from);
        if !self.alphabet.odd_blanks {
            return from + memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        }
        let mut at = 0;
        while at < rest.len() && break_len(&rest[at..]) == 0 {
            at += 1;
        }
        from + at
    }

    // -- plain -------------------------------------------------------------------------------------------------------

    /// Reads a scalar without quotes, over as many lines as it has.
    pub(super) fn scan_plain(&mut self) -> Scanned<Token> {
        let start = self.pos;
        let indent = self.indent + 1;
        let mut text = Gather::new(start);
        let mut end = start;
        let mut leading_blanks = false;
        // The line breaks passed since the last character: the first one and those after it.
        let (mut first_break, mut more_breaks) = (Span::default(), Span::default());
        let mut blanks_from = start;
        loop {
            let byte = self.at(self.pos);
            if matches!(byte, b'-' | b'.')
                && self.pos == self.line_start
                && self.is_document_indicator()
            {
                break;
            }
            if byte == b'#' {
                break;
            }
            let run_end = self.plain_run_end(self.pos);
            if run_end > self.pos {
                if leading_blanks {
                    text.decode(self);
                    self.fold(first_break, more_breaks);
                    leading_blanks = false;
                    text.extend(self, self.pos, run_end);
                } else {
                    text.extend(self, blanks_from, run_end);
                }
                self.pos = run_end;
                self.newlines = 0;
                end = run_end;
            }
            if !self.is_blank(self.pos) && !self.is_break(self.pos) {
                break;
            }
            blanks_from = self.pos;
            loop {
                match self.at(self.pos) {
                    b' ' => self.pos += 1,
                    b'\t' => {
                        if leading_blanks && self.column() < indent {
                            return Err(
                                self.error(self.pos, "a tab cannot be used for indentation")
                            );
                        }
                        self.pos += 1;
                    }
                    _ => {
                        let from = self.pos;
                        if self.skip_line() == 0 {
                            break;
                        }
                        if leading_blanks {
                            more_breaks.end = self.pos as u32;
                        } else {
                            leading_blanks = true;
                            first_break = Span::new(from..self.pos);
                            more_breaks = Span::new(self.pos..self.pos);
                        }
                    }
                }
            }
            if self.flow_level == 0 && self.column() < indent {
                break;
            }
        }
        if leading_blanks {
            self.simple_key_allowed = true;
        }
        let text = text.finish(self);
        Ok(Token {
            text,
            ..self.token(Kind::Scalar, start, end)
        })
    }

    /// The end of a run without blanks in a plain scalar.
    fn plain_run_end(&self, from: usize) -> usize {
        let rest = self.rest(from);
        let mut at = 0;
        if self.flow_level == 0 && !self.alphabet.odd_blanks {
            while let Some(found) = memchr::memchr3(b' ', b'\n', b':', &rest[at..]) {
                at += found;
                if rest[at] != b':' || self.is_blankz(from + at + 1) {
                    return from + at;
                }
                at += 1;
            }
            return from + rest.len();
        }
        while at < rest.len() {
            match rest[at] {
                b' ' | b'\t' | b'\n' | b'\r' => break,
                b':' if self.is_blankz(from + at + 1) => break,
                b',' | b'?' | b'[' | b']' | b'{' | b'}' if self.flow_level > 0 => break,
                0xC2 | 0xE2 if break_len(&rest[at..]) > 0 => break,
                _ => at += 1,
            }
        }
        from + at
    }

    /// Appends what line breaks inside of a scalar without lines of its own stand for.
    fn fold(&mut self, first: Span, more: Span) {
        let first = &self.src[first.range()];
        let wide = first.starts_with(b"\xE2");
        if wide {
            self.decoded.push(first);
        } else if more.is_empty() && !first.is_empty() {
            self.decoded.push_byte(b' ');
        }
        self.push_breaks(more);
    }

    /// Appends the line breaks of a stretch that has only blanks beside them: as LF, separators of Unicode as they are.
    fn push_breaks(&mut self, span: Span) {
        let mut at = span.start as usize;
        while at < span.end as usize {
            let len = break_len(self.rest(at));
            if len == 0 {
                at += 1;
                continue;
            }
            if self.src[at] == 0xE2 {
                self.decoded.push(&self.src[at..at + len]);
            } else {
                self.decoded.push_byte(b'\n');
            }
            at += len;
        }
    }

    // -- quoted ------------------------------------------------------------------------------------------------------

    /// Reads a scalar in single or double quotes.
    pub(super) fn scan_quoted(&mut self) -> Scanned<Token> {
        let start = self.pos;
        let quote = self.src[start];
        let single = quote == b'\'';
        self.pos += 1;
        self.newlines = 0;
        let mut text = Gather::new(self.pos);
        loop {
            if self.pos == self.line_start && self.is_document_indicator() {
                return Err(self.error(self.pos, "a document ends inside of a quoted value"));
            }
            if self.pos >= self.src.len() {
                return Err(self.error(start, "the closing quote is missing"));
            }
            let mut leading_blanks = false;
            // Characters up to a blank.
            loop {
                let run_end = self.quoted_run_end(quote);
                if run_end > self.pos {
                    text.extend(self, self.pos, run_end);
                    self.pos = run_end;
                    self.newlines = 0;
                }
                if self.is_blankz(self.pos) {
                    break;
                }
                let next = self.at(self.pos + 1);
                if single {
                    if next != quote {
                        break;
                    }
                    text.decode(self);
                    self.decoded.push_byte(quote);
                    self.pos += 2;
                } else if self.at(self.pos) == quote {
                    break;
                } else if self.is_break(self.pos + 1) {
                    // An escaped line break stands for nothing.
                    text.decode(self);
                    self.pos += 1;
                    self.skip_line();
                    leading_blanks = true;
                    break;
                } else {
                    text.decode(self);
                    self.take_escape()?;
                }
            }
            if self.at(self.pos) == quote {
                break;
            }
            let blanks_from = self.pos;
            let (mut first_break, mut more_breaks) = (Span::default(), Span::default());
            while self.is_blank(self.pos) || self.is_break(self.pos) {
                if self.is_blank(self.pos) {
                    self.pos += 1;
                    continue;
                }
                let from = self.pos;
                self.skip_line();
                if leading_blanks {
                    more_breaks = Span::new(
                        if more_breaks.is_empty() {
                            from
                        } else {
                            more_breaks.start as usize
                        }..self.pos,
                    );
                } else {
                    leading_blanks = true;
                    first_break = Span::new(from..self.pos);
                }
            }
            if leading_blanks {
                text.decode(self);
                // After an escaped break there is no first one, and nothing to fold.
                self.fold(first_break, more_breaks);
            } else {
                text.extend(self, blanks_from, self.pos);
            }
        }
        self.pos += 1;
        self.newlines = 0;
        let text = text.finish(self);
        let style = if single { Style::Single } else { Style::Double };
        Ok(Token {
            style,
            text,
            ..self.token(Kind::Scalar, start, self.pos)
        })
    }

    fn quoted_run_end(&self, quote: u8) -> usize {
        let rest = self.rest(self.pos);
        let mut at = 0;
        while at < rest.len() {
            match rest[at] {
                b' ' | b'\t' | b'\n' | b'\r' => break,
                byte if byte == quote => break,
                b'\\' if quote == b'"' => break,
                0xC2 | 0xE2 if break_len(&rest[at..]) > 0 => break,
                _ => at += 1,
            }
        }
        self.pos + at
    }

    fn take_escape(&mut self) -> Scanned<()> {
        let digits = match self.at(self.pos + 1) {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            simple => {
                let stands_for: &[u8] = match simple {
                    b'0' => b"\0",
                    b'a' => b"\x07",
                    b'b' => b"\x08",
                    b't' | b'\t' => b"\t",
                    b'n' => b"\n",
                    b'v' => b"\x0b",
                    b'f' => b"\x0c",
                    b'r' => b"\r",
                    b'e' => b"\x1b",
                    b' ' => b" ",
                    b'"' => b"\"",
                    b'\'' => b"'",
                    b'\\' => b"\\",
                    b'N' => b"\xC2\x85",
                    b'_' => b"\xC2\xA0",
                    b'L' => b"\xE2\x80\xA8",
                    b'P' => b"\xE2\x80\xA9",
                    _ => return Err(self.error(self.pos, "unknown escape in double quotes")),
                };
                self.decoded.push(stands_for);
                self.pos += 2;
                self.newlines = 0;
                return Ok(());
            }
        };
        let code = self.rest(self.pos + 2).get(..digits).unwrap_or(&[]);
        if code.len() < digits || !code.iter().all(u8::is_ascii_hexdigit) {
            return Err(self.error(self.pos, "expected hexadecimal digits after this escape"));
        }
        let number = code.iter().fold(0u64, |number, digit| {
            let digit = (*digit as char).to_digit(16).expect("a hexadecimal digit");
            number << 4 | u64::from(digit)
        });
        let character = u32::try_from(number).ok().and_then(char::from_u32);
        let Some(character) = character else {
            return Err(self.error(self.pos, "this escape is no character"));
        };
        self.decoded
            .push(character.encode_utf8(&mut [0; 4]).as_bytes());
        self.pos += 2 + digits;
        self.newlines = 0;
        Ok(())
    }

    // -- blocks ------------------------------------------------------------------------------------------------------

    /// Reads a literal or folded block. The token ends before the break of the last line that counts.
    pub(super) fn scan_block_scalar(&mut self) -> Scanned<Token> {
        let start = self.pos;
        let literal = self.src[start] == b'|';
        self.pos += 1;
        self.newlines = 0;
        let (chomp, increment) = self.scan_block_header(start)?;
        let header_end = self.pos;
        self.pos = self.blanks_end(self.pos);
        if self.at(self.pos) == b'#' {
            self.scan_line_comment(start as i64);
        }
        if !self.is_breakz(self.pos) {
            return Err(self.error(
                self.pos,
                "expected the end of the line after the block mark",
            ));
        }
        self.skip_line();
        let mut indent = match increment {
            0 => 0,
            _ => self.indent.max(0) + increment,
        };
        let from = self.decoded.len();
        let mut end = header_end;
        let mut last_break = Span::default();
        let mut trailing = self.pos..self.pos;
        self.scan_block_breaks(&mut indent, &mut trailing)?;
        let mut after_blank = false;
        while self.pos < self.src.len() && self.column() == indent {
            let starts_blank = self.is_blank(self.pos);
            let folds = !literal
                && !after_blank
                && !starts_blank
                && !last_break.is_empty()
                && self.src[last_break.start as usize] != 0xE2;
            if !folds {
                self.push_breaks(last_break);
            } else if !self.has_break(&trailing) {
                self.decoded.push_byte(b' ');
            }
            self.push_breaks(Span::new(trailing.clone()));
            after_blank = starts_blank;
            end = self.line_end(self.pos);
            if end > self.pos {
                let line = &self.src[self.pos..end];
                if !line.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
                    self.newlines = 0; // a line of blanks is one more empty line to the comments below
                }
                self.decoded.push(line);
                self.pos = end;
            }
            self.skip_line();
            last_break = Span::new(end..self.pos);
            trailing = self.pos..self.pos;
            self.scan_block_breaks(&mut indent, &mut trailing)?;
        }
        if chomp != Chomp::Strip {
            self.push_breaks(last_break);
            // A separator of Unicode is content, and ends the site only where no other break follows.
            let is_wide = !last_break.is_empty() && self.src[last_break.start as usize] == 0xE2;
            if is_wide && self.has_break(&trailing) {
                end = last_break.end as usize;
            }
        }
        if chomp == Chomp::Keep {
            self.push_breaks(Span::new(trailing.clone()));
            // Every break counts but the last, which ends the site as it would end any other line.
            let breaks_end = self.breaks_end(trailing.clone());
            if let Some(last) = breaks_end {
                end = last;
            }
        }
        let text = Text::Decoded(Span::new(from..self.decoded.len()));
        let style = if literal {
            Style::Literal
        } else {
            Style::Folded
        };
        Ok(Token {
            style,
            text,
            ..self.token(Kind::Scalar, start, end)
        })
    }

    fn scan_block_header(&mut self, start: usize) -> Scanned<(Chomp, i32)> {
        let (mut chomp, mut increment) = (None, None);
        loop {
            match self.at(self.pos) {
                b'+' if chomp.is_none() => chomp = Some(Chomp::Keep),
                b'-' if chomp.is_none() => chomp = Some(Chomp::Strip),
                b'0' if increment.is_none() => {
                    return Err(self.error(start, "the indentation of a block cannot be 0"));
                }
                digit @ b'1'..=b'9' if increment.is_none() => {
                    increment = Some(i32::from(digit - b'0'));
                }
                _ => break,
            }
            self.pos += 1;
        }
        Ok((chomp.unwrap_or(Chomp::Clip), increment.unwrap_or(0)))
    }

    /// Passes indentation and empty lines; finds out the indentation when it is not known yet.
    fn scan_block_breaks(
        &mut self,
        indent: &mut i32,
        passed: &mut std::ops::Range<usize>,
    ) -> Scanned<()> {
        let mut deepest = 0;
        loop {
            let mut column = self.column();
            while (*indent == 0 || column < *indent) && self.at(self.pos) == b' ' {
                self.pos += 1;
                column += 1;
            }
            deepest = deepest.max(column);
            if (*indent == 0 || column < *indent) && self.at(self.pos) == b'\t' {
                return Err(self.error(self.pos, "a tab cannot be used for indentation"));
            }
            if self.skip_line() == 0 {
                break;
            }
            passed.end = self.pos;
        }
        if *indent == 0 {
            *indent = deepest.max(self.indent + 1).max(1);
        }
        Ok(())
    }

    fn has_break(&self, range: &std::ops::Range<usize>) -> bool {
        range.clone().any(|at| self.is_break(at))
    }

    /// Where the last line break of a stretch starts.
    fn breaks_end(&self, range: std::ops::Range<usize>) -> Option<usize> {
        let (mut at, mut last) = (range.start, None);
        while at < range.end {
            let len = break_len(self.rest(at));
            if len > 0 {
                last = Some(at);
            }
            at += len.max(1);
        }
        last
    }
}

impl Gather {
    fn new(start: usize) -> Self {
        Self {
            stretch: start..start,
            decoded: None,
        }
    }

    /// Takes the content over into the buffer of decoded texts, to go on there.
    fn decode(&mut self, scanner: &mut Scanner<'_>) {
        if self.decoded.is_none() {
            self.decoded = Some(scanner.decoded.len());
            scanner.decoded.push(&scanner.src[self.stretch.clone()]);
        }
    }

    /// Appends a stretch of the file.
    fn extend(&mut self, scanner: &mut Scanner<'_>, from: usize, to: usize) {
        match self.decoded {
            Some(_) => scanner.decoded.push(&scanner.src[from..to]),
            None => {
                if self.stretch.is_empty() {
                    self.stretch.start = from;
                }
                self.stretch.end = to;
            }
        }
    }

    fn finish(self, scanner: &Scanner<'_>) -> Text {
        match self.decoded {
            Some(from) => Text::Decoded(Span::new(from..scanner.decoded.len())),
            None => Text::File(Span::new(self.stretch)),
        }
    }
}
