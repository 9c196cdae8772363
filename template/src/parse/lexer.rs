//! The source of a template as tokens, one at a time (Go: `text/template/parse/lex.go`).

use std::fmt;
use std::ops::Range;

use crate::dialect::Delimiters;
use crate::tree::Position;

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Error(Fault),
    Bool,
    /// A printable character that stands for itself, such as a comma.
    Char,
    CharConstant,
    Complex,
    Assign,
    Declare,
    End,
    Field,
    Identifier,
    LeftDelimiter,
    LeftParen,
    Number,
    Pipe,
    RawText,
    RightDelimiter,
    RightParen,
    Space,
    QuotedText,
    Text,
    Variable,
    Dot,
    Nil,
    Keyword(Keyword),
}

/// The words that control.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Keyword {
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Range,
    Template,
    With,
}

/// What is wrong with a text that is no token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    UnclosedComment,
    CommentBeforeDelimiter,
    UnclosedAction,
    UnclosedParen,
    UnexpectedParen,
    ExpectedDeclaration,
    BadCharacter(char),
    UnknownCharacter(char),
    UnterminatedQuote,
    UnterminatedRawQuote,
    UnterminatedCharacter,
    BadNumber,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnclosedComment => f.write_str("unclosed comment"),
            Self::CommentBeforeDelimiter => f.write_str("comment ends before closing delimiter"),
            Self::UnclosedAction => f.write_str("unclosed action"),
            Self::UnclosedParen => f.write_str("unclosed left paren"),
            Self::UnexpectedParen => f.write_str("unexpected right paren"),
            Self::ExpectedDeclaration => f.write_str("expected :="),
            Self::BadCharacter(rune) => write!(f, "bad character U+{:04X}", u32::from(*rune)),
            Self::UnknownCharacter(rune) => write!(
                f,
                "unrecognized character in action: U+{:04X}",
                u32::from(*rune)
            ),
            Self::UnterminatedQuote => f.write_str("unterminated quoted string"),
            Self::UnterminatedRawQuote => f.write_str("unterminated raw quoted string"),
            Self::UnterminatedCharacter => f.write_str("unterminated character constant"),
            Self::BadNumber => f.write_str("bad number syntax"),
        }
    }
}

/// A piece of the source.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) source: Range<usize>,
    pub(super) line: usize,
}

impl Token {
    pub(super) fn position(&self) -> Position {
        Position {
            offset: self.source.start,
            line: self.line,
        }
    }
}

/// Reads tokens.
pub(super) struct Lexer<'a> {
    source: &'a str,
    left: &'a str,
    right: &'a str,
    at: usize,
    line: usize,
    inside_action: bool,
    open_parens: usize,
    failed: bool,
}

const LEFT_COMMENT: &str = "/*";
const RIGHT_COMMENT: &str = "*/";
/// A trim marker: a minus and a white space.
const TRIM_LENGTH: usize = 2;

impl<'a> Lexer<'a> {
    pub(super) fn new(source: &'a str, delimiters: &'a Delimiters) -> Self {
        Self {
            source,
            left: &delimiters.left,
            right: &delimiters.right,
            at: 0,
            line: 1,
            inside_action: false,
            open_parens: 0,
            failed: false,
        }
    }

    /// Reads the next token; behind an error there is only the end.
    pub(super) fn next(&mut self) -> Token {
        if self.failed {
            return self.token(self.source.len(), Kind::End);
        }
        let token = loop {
            let token = match self.inside_action {
                true => self.action(),
                false => self.text(),
            };
            // What a trim marker left of a text, or a comment.
            let is_nothing = token.kind == Kind::Text && token.source.is_empty();
            if !is_nothing {
                break token;
            }
        };
        self.failed = matches!(token.kind, Kind::Error(_));
        token
    }

    /// Text up to the next action, or the mark that opens it.
    fn text(&mut self) -> Token {
        let start = self.at;
        let Some(found) = self.rest().find(self.left) else {
            self.at = self.source.len();
            let kind = if self.at > start {
                Kind::Text
            } else {
                Kind::End
            };
            return self.token(start, kind);
        };
        let mark = self.at + found;
        let behind = mark + self.left.len();
        let trims = has_left_trim(&self.source[behind..]);
        if found > 0 {
            let mut end = mark;
            if trims {
                end = start + self.source[start..mark].trim_end_matches(is_space).len();
            }
            self.at = end;
            let text = self.token(start, Kind::Text);
            self.skip_to(mark);
            return text;
        }
        let content = behind + if trims { TRIM_LENGTH } else { 0 };
        if self.source[content..].starts_with(LEFT_COMMENT) {
            self.skip_to(content);
            if let Err(fault) = self.comment() {
                return self.fault(fault);
            }
            let at = self.at;
            return self.token(at, Kind::Text);
        }
        self.at = behind;
        let token = self.token(mark, Kind::LeftDelimiter);
        self.skip_to(content);
        self.inside_action = true;
        self.open_parens = 0;
        token
    }

    fn comment(&mut self) -> Result<(), Fault> {
        let start = self.at + LEFT_COMMENT.len();
        let end = self.source[start..].find(RIGHT_COMMENT);
        let end = start + end.ok_or(Fault::UnclosedComment)? + RIGHT_COMMENT.len();
        self.skip_to(end);
        let trims = self
            .right_delimiter()
            .ok_or(Fault::CommentBeforeDelimiter)?;
        self.close(trims);
        Ok(())
    }

    /// One token inside an action.
    fn action(&mut self) -> Token {
        let start = self.at;
        if let Some(trims) = self.right_delimiter() {
            if self.open_parens > 0 {
                return self.fault(Fault::UnclosedParen);
            }
            self.inside_action = false;
            let mark = start + if trims { TRIM_LENGTH } else { 0 };
            let token = Token {
                kind: Kind::RightDelimiter,
                source: mark..mark + self.right.len(),
                line: self.line,
            };
            self.close(trims);
            return token;
        }
        let Some(rune) = self.bump() else {
            return self.fault(Fault::UnclosedAction);
        };
        match rune {
            rune if is_space(rune) => self.space(start),
            '=' => self.token(start, Kind::Assign),
            ':' => match self.bump() {
                Some('=') => self.token(start, Kind::Declare),
                _ => self.fault(Fault::ExpectedDeclaration),
            },
            '|' => self.token(start, Kind::Pipe),
            '"' => self.quote(start),
            '`' => match self.rest().find('`') {
                Some(length) => {
                    self.at += length + 1;
                    self.token(start, Kind::RawText)
                }
                None => self.fault(Fault::UnterminatedRawQuote),
            },
            '$' => self.name(start, Kind::Variable, Kind::Variable),
            '\'' => self.character(start),
            '.' if !self.peek().is_some_and(|rune| rune.is_ascii_digit()) => {
                self.name(start, Kind::Field, Kind::Dot)
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.at = start;
                self.number(start)
            }
            rune if is_alphanumeric(rune) => self.identifier(start),
            '(' => {
                self.open_parens += 1;
                self.token(start, Kind::LeftParen)
            }
            ')' if self.open_parens == 0 => self.fault(Fault::UnexpectedParen),
            ')' => {
                self.open_parens -= 1;
                self.token(start, Kind::RightParen)
            }
            ' '..='~' => self.token(start, Kind::Char),
            other => self.fault(Fault::UnknownCharacter(other)),
        }
    }

    fn space(&mut self, start: usize) -> Token {
        while self.peek().is_some_and(is_space) {
            self.bump();
        }
        // The last white space may belong to a trim marker.
        let last = self.at - 1;
        if has_right_trim(&self.source[last..])
            && self.source[last + TRIM_LENGTH..].starts_with(self.right)
        {
            self.at = last;
            if last == start {
                return self.action();
            }
        }
        self.token(start, Kind::Space)
    }

    fn quote(&mut self, start: usize) -> Token {
        loop {
            match self.bump() {
                Some('"') => return self.token(start, Kind::QuotedText),
                Some('\\') if !matches!(self.peek(), None | Some('\n')) => {
                    self.bump();
                }
                None | Some('\n' | '\\') => return self.fault(Fault::UnterminatedQuote),
                Some(_) => {}
            }
        }
    }

    fn character(&mut self, start: usize) -> Token {
        loop {
            match self.bump() {
                Some('\'') => return self.token(start, Kind::CharConstant),
                Some('\\') if !matches!(self.peek(), None | Some('\n')) => {
                    self.bump();
                }
                None | Some('\n' | '\\') => return self.fault(Fault::UnterminatedCharacter),
                Some(_) => {}
            }
        }
    }

    /// A field or variable; alone, a dot is the dot.
    fn name(&mut self, start: usize, kind: Kind, alone: Kind) -> Token {
        if self.at_terminator() {
            return self.token(start, alone);
        }
        self.skip_alphanumeric();
        if !self.at_terminator() {
            return self.bad_character();
        }
        self.token(start, kind)
    }

    fn identifier(&mut self, start: usize) -> Token {
        self.skip_alphanumeric();
        if !self.at_terminator() {
            return self.bad_character();
        }
        let kind = match &self.source[start..self.at] {
            "block" => Kind::Keyword(Keyword::Block),
            "break" => Kind::Keyword(Keyword::Break),
            "continue" => Kind::Keyword(Keyword::Continue),
            "define" => Kind::Keyword(Keyword::Define),
            "else" => Kind::Keyword(Keyword::Else),
            "end" => Kind::Keyword(Keyword::End),
            "if" => Kind::Keyword(Keyword::If),
            "range" => Kind::Keyword(Keyword::Range),
            "template" => Kind::Keyword(Keyword::Template),
            "with" => Kind::Keyword(Keyword::With),
            "nil" => Kind::Nil,
            "true" | "false" => Kind::Bool,
            _ => Kind::Identifier,
        };
        self.token(start, kind)
    }

    fn bad_character(&mut self) -> Token {
        let rune = self.peek().unwrap_or('\u{fffd}');
        self.fault(Fault::BadCharacter(rune))
    }

    fn number(&mut self, start: usize) -> Token {
        if !self.scan_number() {
            return self.fault(Fault::BadNumber);
        }
        if matches!(self.peek(), Some('+' | '-')) {
            if !self.scan_number() || !self.source[..self.at].ends_with('i') {
                return self.fault(Fault::BadNumber);
            }
            return self.token(start, Kind::Complex);
        }
        self.token(start, Kind::Number)
    }

    fn scan_number(&mut self) -> bool {
        self.accept("+-");
        let mut digits = "0123456789_";
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        let exponent = match digits.len() {
            11 => "eE",
            23 => "pP",
            _ => "",
        };
        if self.accept(exponent) {
            self.accept("+-");
            self.accept_run("0123456789_");
        }
        self.accept("i");
        !self.peek().is_some_and(is_alphanumeric)
    }

    fn accept(&mut self, any: &str) -> bool {
        let found = self.peek().is_some_and(|rune| any.contains(rune));
        if found {
            self.bump();
        }
        found
    }

    fn accept_run(&mut self, any: &str) {
        while self.accept(any) {}
    }

    fn skip_alphanumeric(&mut self) {
        while self.peek().is_some_and(is_alphanumeric) {
            self.bump();
        }
    }

    /// Returns true where a word may end.
    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(rune) if is_space(rune) => true,
            Some(_) => self.rest().starts_with(self.right),
        }
    }

    /// Whether the closing mark is next, and then whether it trims what follows.
    fn right_delimiter(&self) -> Option<bool> {
        let rest = self.rest();
        if has_right_trim(rest) && rest[TRIM_LENGTH..].starts_with(self.right) {
            return Some(true);
        }
        rest.starts_with(self.right).then_some(false)
    }

    /// Goes behind the closing mark, and with a trim marker behind the white space that follows.
    fn close(&mut self, trims: bool) {
        let mut at = self.at + self.right.len();
        if trims {
            at += TRIM_LENGTH;
            at = self.source.len() - self.source[at..].trim_start_matches(is_space).len();
        }
        self.skip_to(at);
    }

    fn skip_to(&mut self, at: usize) {
        let skipped = &self.source.as_bytes()[self.at.min(at)..at];
        self.line += memchr::memchr_iter(b'\n', skipped).count();
        self.at = at;
    }

    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let rune = self.peek()?;
        self.at += rune.len_utf8();
        Some(rune)
    }

    /// Ends a token here; it stands on the line on which it begins.
    fn token(&mut self, start: usize, kind: Kind) -> Token {
        let token = Token {
            kind,
            source: start..self.at.max(start),
            line: self.line,
        };
        let inside = &self.source.as_bytes()[token.source.clone()];
        self.line += memchr::memchr_iter(b'\n', inside).count();
        token
    }

    fn fault(&mut self, fault: Fault) -> Token {
        Token {
            kind: Kind::Error(fault),
            source: self.at..self.at,
            line: self.line,
        }
    }
}

fn is_space(rune: char) -> bool {
    matches!(rune, ' ' | '\t' | '\r' | '\n')
}

fn is_alphanumeric(rune: char) -> bool {
    rune == '_' || rune.is_alphanumeric()
}

fn has_left_trim(text: &str) -> bool {
    matches!(text.as_bytes(), [b'-', space, ..] if is_space(char::from(*space)))
}

fn has_right_trim(text: &str) -> bool {
    matches!(text.as_bytes(), [space, b'-', ..] if is_space(char::from(*space)))
}
