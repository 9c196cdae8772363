//! From bytes to tokens, by the rules of libyaml as yaml.v3 has them.
//!
//! What a file means is what yaml.v3 reads, leniencies included: the MAC of a file hangs on it. So this follows the
//! model of that scanner (simple keys, a stack of indents, comments as a queue beside the tokens) and not the grammar
//! of YAML 1.2. Nothing is copied where the content of a scalar is spelled as it is.

mod comments;
mod directives;
mod scalars;
mod tokens;

use sealwright_crypto::secret::SecretWriter;

use crate::error::ParseError;
use crate::tree::{Span, Text};

use super::characters::{self, Alphabet, break_len};
use super::token::{Comment, Kind, Mark, Style, Token};

/// Nesting deeper than this is refused, as in yaml.v3.
const MAX_DEPTH: usize = 10_000;
/// A key without `?` ends at most so many characters after its start.
const MAX_SIMPLE_KEY: usize = 1024;

type Scanned<T> = Result<T, ParseError>;

/// A place where a key without `?` may have begun.
#[derive(Clone, Copy)]
struct SimpleKey {
    possible: bool,
    required: bool,
    token_number: usize,
    start: usize,
    line: u32,
    column: i32,
}

/// The scanner with its queue of tokens.
pub(super) struct Scanner<'a> {
    src: &'a [u8],
    alphabet: Alphabet,
    pos: usize,
    line: u32,
    line_start: usize,
    /// The last column that was asked for: offset and column.
    column_at: (usize, i32),
    /// Line breaks since the last character that is no blank.
    newlines: i64,
    indent: i32,
    indents: Vec<i32>,
    flow_level: usize,
    simple_key_allowed: bool,
    simple_keys: Vec<SimpleKey>,
    /// Tokens; those before `head` are taken already and kept only for the last ones to be looked at.
    tokens: Vec<Token>,
    head: usize,
    tokens_parsed: usize,
    token_available: bool,
    started: bool,
    comments: Vec<Comment>,
    comments_head: usize,
    /// Comments that belong to the next event.
    pub(super) head_comment: Vec<Span>,
    pub(super) line_comment: Vec<Span>,
    pub(super) foot_comment: Vec<Span>,
    /// Content that is spelled otherwise.
    pub(super) decoded: SecretWriter,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(src: &'a [u8]) -> Scanned<Self> {
        let alphabet = characters::check(src)
            .map_err(|(offset, reason)| ParseError::at(src, offset, reason))?;
        Ok(Self {
            src,
            alphabet,
            pos: alphabet.start,
            line: 0,
            line_start: alphabet.start,
            column_at: (alphabet.start, 0),
            newlines: 0,
            indent: -1,
            indents: Vec::new(),
            flow_level: 0,
            simple_key_allowed: true,
            simple_keys: Vec::new(),
            tokens: Vec::with_capacity(128),
            head: 0,
            tokens_parsed: 0,
            token_available: false,
            started: false,
            comments: Vec::new(),
            comments_head: 0,
            head_comment: Vec::new(),
            line_comment: Vec::new(),
            foot_comment: Vec::new(),
            decoded: SecretWriter::default(),
        })
    }

    /// The text that is scanned.
    pub(super) fn src(&self) -> &'a [u8] {
        self.src
    }

    /// The bytes of a text.
    pub(super) fn content(&self, text: Text) -> &[u8] {
        match text {
            Text::File(span) => &self.src[span.range()],
            Text::Decoded(span) => &self.decoded.expose()[span.range()],
        }
    }

    /// Looks at the next token and deals out the comments that stand before it.
    pub(super) fn peek(&mut self) -> Scanned<Token> {
        if !self.token_available {
            self.fetch_more_tokens()?;
        }
        let token = self.tokens[self.head];
        if self.comments_head < self.comments.len() {
            self.unfold_comments(&token);
        }
        Ok(token)
    }

    /// Takes the token that was looked at.
    pub(super) fn skip_token(&mut self) {
        self.token_available = false;
        self.tokens_parsed += 1;
        self.head += 1;
        if self.head > 96 {
            // The comment rules look back at up to two tokens.
            self.tokens.drain(..self.head - 2);
            self.head = 2;
        }
    }

    /// An error at an offset.
    pub(super) fn error(&self, offset: usize, reason: impl Into<String>) -> ParseError {
        ParseError::at(self.src, offset, reason)
    }

    // -- characters --------------------------------------------------------------------------------------------------

    /// The byte at an offset; 0 behind the end, where the text itself has none.
    fn at(&self, offset: usize) -> u8 {
        self.src.get(offset).copied().unwrap_or(0)
    }

    fn rest(&self, offset: usize) -> &'a [u8] {
        self.src.get(offset..).unwrap_or(&[])
    }

    fn is_blank(&self, offset: usize) -> bool {
        matches!(self.at(offset), b' ' | b'\t')
    }

    fn is_break(&self, offset: usize) -> bool {
        break_len(self.rest(offset)) > 0
    }

    fn is_breakz(&self, offset: usize) -> bool {
        offset >= self.src.len() || self.is_break(offset)
    }

    fn is_blankz(&self, offset: usize) -> bool {
        match self.at(offset) {
            b' ' | b'\t' | b'\n' | b'\r' => true,
            0xC2 | 0xE2 => self.is_break(offset),
            0 => offset >= self.src.len(),
            _ => false,
        }
    }

    fn column(&mut self) -> i32 {
        let from = if self.alphabet.ascii {
            return column_number(self.pos - self.line_start);
        } else if (self.line_start..=self.pos).contains(&self.column_at.0) {
            self.column_at
        } else {
            (self.line_start, 0)
        };
        let between = &self.src[from.0..self.pos];
        let characters = between.iter().filter(|b| (**b & 0xC0) != 0x80).count();
        self.column_at = (self.pos, from.1 + column_number(characters));
        self.column_at.1
    }

    fn mark(&mut self) -> Mark {
        Mark {
            at: self.pos as i64,
            line: i64::from(self.line),
            column: i64::from(self.column()),
        }
    }

    /// Passes one character that is no line break.
    fn skip(&mut self) {
        let byte = self.at(self.pos);
        if !matches!(byte, b' ' | b'\t') {
            self.newlines = 0;
        }
        self.pos += char_width(byte);
    }

    /// Passes a line break and gives its length; 0 when there is none.
    fn skip_line(&mut self) -> usize {
        let len = break_len(self.rest(self.pos));
        if len > 0 {
            self.pos += len;
            self.line += 1;
            self.line_start = self.pos;
            self.newlines += 1;
        }
        len
    }

    // -- the queue ---------------------------------------------------------------------------------------------------

    fn push(&mut self, token: Token) {
        self.tokens.push(token);
    }

    /// Inserts a token before the one with this number.
    fn insert(&mut self, number: usize, token: Token) {
        let index = self.head + (number - self.tokens_parsed);
        self.tokens.insert(index, token);
    }

    fn token(&self, kind: Kind, start: usize, end: usize) -> Token {
        Token {
            kind,
            style: Style::Plain,
            mark: start as i64,
            start,
            end,
            text: Text::File(Span::new(start..end)),
            indent: self.indent,
            in_flow: self.flow_level > 0,
        }
    }

    fn next_token_number(&self) -> usize {
        self.tokens_parsed + (self.tokens.len() - self.head)
    }

    fn fetch_more_tokens(&mut self) -> Scanned<()> {
        // Two tokens of lookahead: comments at the foot of something are known only behind it.
        loop {
            if self.head + 2 < self.tokens.len() {
                let number = self.tokens_parsed;
                let index = self
                    .simple_keys
                    .partition_point(|key| key.token_number < number);
                // Keys on outer levels are older; only one that stands at the head can still change it.
                let pending = self.simple_keys[index..]
                    .iter()
                    .take_while(|key| key.token_number == number)
                    .position(|key| key.possible);
                match pending {
                    Some(offset) if self.simple_key_is_valid(index + offset)? => {}
                    _ => break,
                }
            }
            self.fetch_next_token()?;
        }
        self.token_available = true;
        Ok(())
    }

    fn fetch_next_token(&mut self) -> Scanned<()> {
        if !self.started {
            self.started = true;
            self.simple_keys.push(SimpleKey {
                possible: false,
                required: false,
                token_number: 0,
                start: 0,
                line: 0,
                column: 0,
            });
            let start = self.token(Kind::StreamStart, self.pos, self.pos);
            self.push(Token { mark: 0, ..start });
            return Ok(());
        }
        if self
            .tokens
            .last()
            .is_some_and(|last| last.kind == Kind::StreamEnd)
        {
            // Lookahead past the end gives the end again, which is never taken.
            let end = self.token(Kind::StreamEnd, self.pos, self.pos);
            self.push(end);
            return Ok(());
        }
        let scan_mark = self.mark();
        self.scan_to_next_token(scan_mark)?;
        let column = self.column();
        if self.indent > column {
            self.unroll_indent(column, scan_mark);
        }
        if self.pos >= self.src.len() {
            return self.fetch_stream_end();
        }
        let byte = self.src[self.pos];
        if column == 0 {
            match byte {
                b'%' => return self.fetch_directive(),
                b'-' if self.is_document_indicator() => {
                    return self.fetch_document_indicator(Kind::DocumentStart);
                }
                b'.' if self.is_document_indicator() => {
                    return self.fetch_document_indicator(Kind::DocumentEnd);
                }
                _ => {}
            }
        }
        let in_flow = self.flow_level > 0;
        let comment_mark = match byte {
            // What follows on the line belongs to what stands before the indicator.
            b':' if !in_flow => self.tokens.last().map(|token| token.mark),
            b',' if in_flow => self.tokens.last().map(|token| token.mark),
            _ => None,
        }
        .unwrap_or(self.pos as i64);
        match byte {
            b'[' => self.fetch_flow_start(Kind::FlowSequenceStart)?,
            b'{' => self.fetch_flow_start(Kind::FlowMappingStart)?,
            b']' => self.fetch_flow_end(Kind::FlowSequenceEnd)?,
            b'}' => self.fetch_flow_end(Kind::FlowMappingEnd)?,
            b',' => self.fetch_flow_entry()?,
            b'-' if self.is_blankz(self.pos + 1) => self.fetch_block_entry()?,
            b'?' if in_flow || self.is_blankz(self.pos + 1) => self.fetch_key()?,
            b':' if in_flow || self.is_blankz(self.pos + 1) => self.fetch_value()?,
            b'*' => self.fetch_anchor(Kind::Alias)?,
            b'&' => self.fetch_anchor(Kind::Anchor)?,
            b'!' => self.fetch_tag()?,
            b'|' | b'>' if !in_flow => self.fetch_block_scalar()?,
            b'\'' | b'"' => self.fetch_quoted()?,
            b'-' if !self.is_blank(self.pos + 1) => self.fetch_plain()?,
            b'?' | b':' if !in_flow => self.fetch_plain()?,
            b'\t' => {
                return Err(self.error(self.pos, "a tab cannot be used for indentation"));
            }
            b'-' | b'?' | b':' | b'#' | b'|' | b'>' | b'%' | b'@' | b'`' => {
                let reason = format!("`{}` cannot start a value, quote it", byte as char);
                return Err(self.error(self.pos, reason));
            }
            _ => self.fetch_plain()?,
        }
        let after_dash = self
            .tokens
            .last()
            .is_some_and(|last| last.kind == Kind::BlockEntry);
        if !after_dash {
            self.scan_line_comment(comment_mark);
        }
        Ok(())
    }

    /// Whether `---` or `...` stands here and a blank behind it; the column is known to be 0.
    fn is_document_indicator(&self) -> bool {
        let rest = self.rest(self.pos);
        (rest.starts_with(b"---") || rest.starts_with(b"...")) && self.is_blankz(self.pos + 3)
    }

    // -- simple keys and indents -------------------------------------------------------------------------------------

    fn simple_key_is_valid(&mut self, index: usize) -> Scanned<bool> {
        let key = self.simple_keys[index];
        if !key.possible {
            return Ok(false);
        }
        if key.line < self.line || self.is_longer_than_a_key(key.start) {
            if key.required {
                return Err(self.error(key.start, "expected `:` after this key"));
            }
            self.simple_keys[index].possible = false;
            return Ok(false);
        }
        Ok(true)
    }

    fn is_longer_than_a_key(&self, start: usize) -> bool {
        let bytes = self.pos - start;
        bytes > MAX_SIMPLE_KEY
            && (self.alphabet.ascii
                || bytes > 4 * MAX_SIMPLE_KEY
                || self.src[start..self.pos]
                    .iter()
                    .filter(|b| (**b & 0xC0) != 0x80)
                    .count()
                    > MAX_SIMPLE_KEY)
    }

    fn save_simple_key(&mut self) -> Scanned<()> {
        if !self.simple_key_allowed {
            return Ok(());
        }
        let column = self.column();
        let key = SimpleKey {
            possible: true,
            required: self.flow_level == 0 && self.indent == column,
            token_number: self.next_token_number(),
            start: self.pos,
            line: self.line,
            column,
        };
        self.remove_simple_key()?;
        *self.simple_keys.last_mut().expect("one per level") = key;
        Ok(())
    }

    fn remove_simple_key(&mut self) -> Scanned<()> {
        let key = self.simple_keys.last_mut().expect("one per level");
        if key.possible {
            if key.required {
                let start = key.start;
                return Err(self.error(start, "expected `:` after this key"));
            }
            key.possible = false;
        }
        Ok(())
    }

    /// Opens a block collection when the column is deeper than the one around it.
    fn roll_indent(
        &mut self,
        column: i32,
        number: Option<usize>,
        kind: Kind,
        start: usize,
    ) -> Scanned<()> {
        if self.flow_level > 0 || self.indent >= column {
            return Ok(());
        }
        if self.indents.len() >= MAX_DEPTH {
            return Err(self.error(start, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.indents.push(self.indent);
        self.indent = column;
        let token = self.token(kind, start, start);
        match number {
            Some(number) => self.insert(number, token),
            None => self.push(token),
        }
        Ok(())
    }

    /// Closes the block collections that are deeper than the column.
    fn unroll_indent(&mut self, column: i32, scan_mark: Mark) {
        if self.flow_level > 0 {
            return;
        }
        let mut mark = scan_mark.at - 1;
        while self.indent > column {
            // The end moves before comments that stand at the indentation of the block that encloses it.
            let mut stop = mark;
            for comment in self.comments.iter().rev() {
                if comment.end < stop {
                    break;
                }
                if comment.start.column == i64::from(self.indent) + 1 {
                    mark = comment.start.at;
                }
                stop = comment.scan_mark;
            }
            let end = self.token(Kind::BlockEnd, self.pos, self.pos);
            self.push(Token { mark, ..end });
            self.indent = self.indents.pop().expect("deeper than its parent");
        }
    }
}

fn column_number(characters: usize) -> i32 {
    i32::try_from(characters).unwrap_or(i32::MAX)
}

/// The length of the character that starts with this byte.
fn char_width(byte: u8) -> usize {
    match byte {
        0..0xC0 => 1,
        0xC0..0xE0 => 2,
        0xE0..0xF0 => 3,
        _ => 4,
    }
}
