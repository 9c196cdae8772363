//! From tokens to events: the grammar, as a machine with a stack of states and no recursion.

mod flow;

use crate::error::ParseError;
use crate::tree::{Span, Text};

use super::scanner::Scanner;
use super::tag::{Directives, Tag};
use super::token::{Kind, Style, Token};

/// What an event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    StreamEnd,
    /// `explicit` when there is a `---`.
    DocumentStart,
    DocumentEnd,
    Alias,
    Scalar,
    SequenceStart,
    SequenceEnd,
    MappingStart,
    MappingEnd,
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) what: What,
    pub(super) style: Style,
    /// The bytes, from the tag on where there is one, else from the content on.
    pub(super) start: usize,
    pub(super) end: usize,
    /// Where the node begins, its anchor included.
    pub(super) node_start: usize,
    pub(super) text: Text,
    pub(super) anchor: Option<Span>,
    pub(super) tag: Tag,
    /// The indentation of the block collection around it.
    pub(super) indent: i32,
    /// For a scalar whether it stands in a flow collection, for a collection whether it is one.
    pub(super) flow: bool,
    /// Whether comments were handed over with it.
    pub(super) has_comments: bool,
}

/// The comments of the last event.
#[derive(Debug, Default)]
pub(super) struct Comments {
    pub(super) head: Vec<Span>,
    pub(super) line: Vec<Span>,
    pub(super) foot: Vec<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    ImplicitDocumentStart,
    DocumentStart,
    DocumentContent,
    DocumentEnd,
    BlockNode,
    BlockSequenceEntry { first: bool },
    IndentlessSequenceEntry,
    BlockMappingKey { first: bool },
    BlockMappingValue,
    FlowSequenceEntry { first: bool },
    FlowPairKey,
    FlowPairValue,
    FlowPairEnd,
    FlowMappingKey { first: bool },
    FlowMappingValue,
    FlowMappingEmptyValue,
    End,
}

/// The parser over a scanner.
pub(super) struct Events<'a> {
    pub(super) scanner: Scanner<'a>,
    state: State,
    states: Vec<State>,
    /// Where open collections began, for messages.
    opened: Vec<usize>,
    directives: Directives,
    stem_comment: Vec<Span>,
    /// The comments of the last event that has some.
    pub(super) comments: Comments,
}

type Parsed<T> = Result<T, ParseError>;

impl<'a> Events<'a> {
    pub(super) fn new(src: &'a [u8]) -> Parsed<Self> {
        let mut scanner = Scanner::new(src)?;
        scanner.peek()?;
        scanner.skip_token();
        Ok(Self {
            scanner,
            state: State::ImplicitDocumentStart,
            states: Vec::new(),
            opened: Vec::new(),
            directives: Directives::default(),
            stem_comment: Vec::new(),
            comments: Comments::default(),
        })
    }

    /// The next event; after the end of the stream the end again.
    pub(super) fn next(&mut self) -> Parsed<Event> {
        match self.state {
            State::ImplicitDocumentStart => self.document_start(true),
            State::DocumentStart => self.document_start(false),
            State::DocumentContent => self.document_content(),
            State::DocumentEnd => self.document_end(),
            State::BlockNode => self.node(true, false),
            State::BlockSequenceEntry { first } => self.block_sequence_entry(first),
            State::IndentlessSequenceEntry => self.indentless_sequence_entry(),
            State::BlockMappingKey { first } => self.block_mapping_key(first),
            State::BlockMappingValue => self.block_mapping_value(),
            State::FlowSequenceEntry { first } => self.flow_sequence_entry(first),
            State::FlowPairKey => self.flow_pair_key(),
            State::FlowPairValue => self.flow_pair_value(),
            State::FlowPairEnd => self.flow_pair_end(),
            State::FlowMappingKey { first } => self.flow_mapping_key(first),
            State::FlowMappingValue => self.flow_mapping_value(),
            State::FlowMappingEmptyValue => {
                let token = self.scanner.peek()?;
                self.state = State::FlowMappingKey { first: false };
                Ok(self.absent(token.start, &token, true))
            }
            State::End => {
                let token = self.scanner.peek()?;
                Ok(self.event(What::StreamEnd, &token))
            }
        }
    }

    // -- documents ---------------------------------------------------------------------------------------------------

    fn document_start(&mut self, implicit: bool) -> Parsed<Event> {
        let mut token = self.scanner.peek()?;
        if !implicit {
            while token.kind == Kind::DocumentEnd {
                self.scanner.skip_token();
                token = self.scanner.peek()?;
            }
        }
        let is_explicit = matches!(
            token.kind,
            Kind::VersionDirective | Kind::TagDirective | Kind::DocumentStart
        );
        if token.kind == Kind::StreamEnd {
            self.state = State::End;
            return Ok(self.event(What::StreamEnd, &token));
        }
        if implicit && !is_explicit {
            self.directives.reset();
            self.states.push(State::DocumentEnd);
            self.state = State::BlockNode;
            let mut event = self.event(What::DocumentStart, &token);
            // The part of the head before its last blank line is about the document.
            let head = &mut self.scanner.head_comment;
            if let Some(blank) = head.iter().rposition(|line| line.is_empty()) {
                let rest = head.split_off(blank + 1);
                head.pop();
                self.comments = Comments {
                    head: std::mem::replace(head, rest),
                    ..Comments::default()
                };
                event.has_comments = true;
            }
            return Ok(event);
        }
        self.process_directives()?;
        let start = token;
        token = self.scanner.peek()?;
        if token.kind != Kind::DocumentStart {
            return Err(self
                .scanner
                .error(token.start, "expected `---` before another document"));
        }
        self.states.push(State::DocumentEnd);
        self.state = State::DocumentContent;
        let event = self.event(What::DocumentStart, &start);
        self.scanner.skip_token();
        Ok(Event {
            end: token.end,
            ..event
        })
    }

    fn process_directives(&mut self) -> Parsed<()> {
        self.directives.reset();
        let mut has_version = false;
        loop {
            let token = self.scanner.peek()?;
            let text = self.scanner.content(token.text);
            let wrong = match token.kind {
                Kind::VersionDirective if has_version => Some("a second `%YAML` directive"),
                Kind::VersionDirective
                    if text != b"1.1" && text != b"01.1" && text != b"1.01" && text != b"01.01" =>
                {
                    Some("only `%YAML 1.1` is supported")
                }
                Kind::VersionDirective => {
                    has_version = true;
                    None
                }
                Kind::TagDirective if !self.directives.add(text) => {
                    Some("a second `%TAG` directive for this handle")
                }
                Kind::TagDirective => None,
                _ => return Ok(()),
            };
            if let Some(reason) = wrong {
                return Err(self.scanner.error(token.start, reason));
            }
            self.scanner.skip_token();
        }
    }

    fn document_content(&mut self) -> Parsed<Event> {
        let token = self.scanner.peek()?;
        if matches!(
            token.kind,
            Kind::VersionDirective
                | Kind::TagDirective
                | Kind::DocumentStart
                | Kind::DocumentEnd
                | Kind::StreamEnd
        ) {
            self.pop_state();
            return Ok(self.absent(token.start, &token, false));
        }
        self.node(true, false)
    }

    fn document_end(&mut self) -> Parsed<Event> {
        let token = self.scanner.peek()?;
        if token.kind == Kind::DocumentEnd {
            self.scanner.skip_token();
        }
        self.state = State::DocumentStart;
        let mut event = self.event(What::DocumentEnd, &token);
        self.take_comments(&mut event);
        if event.has_comments && self.comments.foot.is_empty() {
            self.comments.foot = std::mem::take(&mut self.comments.head);
        }
        Ok(event)
    }

    // -- nodes -------------------------------------------------------------------------------------------------------

    fn node(&mut self, block: bool, indentless_sequence: bool) -> Parsed<Event> {
        let mut token = self.scanner.peek()?;
        if token.kind == Kind::Alias {
            self.pop_state();
            let mut event = self.event(What::Alias, &token);
            self.take_comments(&mut event);
            self.scanner.skip_token();
            return Ok(event);
        }
        let node_start = token.start;
        let (mut anchor, mut tag) = (None, None);
        let mut end = token.start;
        for _ in 0..2 {
            match token.kind {
                Kind::Anchor if anchor.is_none() => {
                    anchor = Some(match token.text {
                        Text::File(span) | Text::Decoded(span) => span,
                    });
                }
                Kind::Tag if tag.is_none() => tag = Some(token),
                _ => break,
            }
            end = token.end;
            self.scanner.skip_token();
            token = self.scanner.peek()?;
        }
        let start = tag.map_or(token.start, |tag| tag.start);
        let is_tagged = tag.is_some();
        let tag = match tag {
            None => Tag::None,
            Some(tag) => {
                let spelling = &self.scanner.src()[tag.start..tag.end];
                let Some(tag) = self.directives.resolve(spelling) else {
                    return Err(self.scanner.error(tag.start, "unknown tag handle"));
                };
                tag
            }
        };
        let mut event = Event {
            start,
            node_start,
            anchor,
            tag,
            ..self.event(What::Scalar, &token)
        };
        match token.kind {
            Kind::BlockEntry if indentless_sequence => {
                self.state = State::IndentlessSequenceEntry;
                event.what = What::SequenceStart;
                event.flow = false;
            }
            Kind::Scalar => {
                self.pop_state();
                self.take_comments(&mut event);
                self.scanner.skip_token();
            }
            Kind::FlowSequenceStart => {
                self.state = State::FlowSequenceEntry { first: true };
                event.what = What::SequenceStart;
                event.flow = true;
                self.take_comments(&mut event);
            }
            Kind::FlowMappingStart => {
                self.state = State::FlowMappingKey { first: true };
                event.what = What::MappingStart;
                event.flow = true;
                self.take_comments(&mut event);
            }
            Kind::BlockSequenceStart if block => {
                self.state = State::BlockSequenceEntry { first: true };
                event.what = What::SequenceStart;
                event.flow = false;
                self.take_stem(&mut event);
            }
            Kind::BlockMappingStart if block => {
                self.state = State::BlockMappingKey { first: true };
                event.what = What::MappingStart;
                event.flow = false;
                self.take_stem(&mut event);
            }
            _ if anchor.is_some() || is_tagged => {
                self.pop_state();
                event = Event {
                    end,
                    start: start.min(end),
                    style: Style::Absent,
                    text: Text::File(Span::new(end..end)),
                    ..event
                };
            }
            _ => {
                let reason = match token.kind {
                    Kind::BlockEntry => "a list element cannot start here",
                    Kind::StreamEnd => "unexpected end of the file",
                    _ => "expected a value",
                };
                return Err(self.scanner.error(token.start, reason));
            }
        }
        Ok(event)
    }

    fn block_sequence_entry(&mut self, first: bool) -> Parsed<Event> {
        if first {
            self.open()?;
        }
        let token = self.scanner.peek()?;
        match token.kind {
            Kind::BlockEntry => {
                let dash_end = token.end;
                self.take_dash()?;
                let token = self.scanner.peek()?;
                if !matches!(token.kind, Kind::BlockEntry | Kind::BlockEnd) {
                    self.states.push(State::BlockSequenceEntry { first: false });
                    return self.node(true, false);
                }
                self.state = State::BlockSequenceEntry { first: false };
                Ok(self.absent(dash_end, &token, false))
            }
            Kind::BlockEnd => {
                self.pop_state();
                self.opened.pop();
                let event = self.event(What::SequenceEnd, &token);
                self.scanner.skip_token();
                Ok(event)
            }
            _ => Err(self.unexpected(&token, "expected `-` as in the lines above")),
        }
    }

    fn indentless_sequence_entry(&mut self) -> Parsed<Event> {
        let token = self.scanner.peek()?;
        if token.kind != Kind::BlockEntry {
            self.pop_state();
            return Ok(self.event(What::SequenceEnd, &token));
        }
        let dash_end = token.end;
        self.take_dash()?;
        let token = self.scanner.peek()?;
        if !matches!(
            token.kind,
            Kind::BlockEntry | Kind::Key | Kind::Value | Kind::BlockEnd
        ) {
            self.states.push(State::IndentlessSequenceEntry);
            return self.node(true, false);
        }
        self.state = State::IndentlessSequenceEntry;
        Ok(self.absent(dash_end, &token, false))
    }

    /// Passes a dash; the head comments before it are about the collection that follows, if one does.
    fn take_dash(&mut self) -> Parsed<()> {
        let stem = self.scanner.head_comment.len();
        self.scanner.skip_token();
        if stem == 0 {
            return Ok(());
        }
        let token = self.scanner.peek()?;
        if matches!(
            token.kind,
            Kind::BlockSequenceStart | Kind::BlockMappingStart
        ) {
            let rest = self.scanner.head_comment.split_off(stem);
            self.stem_comment = std::mem::replace(&mut self.scanner.head_comment, rest);
        }
        Ok(())
    }

    fn block_mapping_key(&mut self, first: bool) -> Parsed<Event> {
        if first {
            self.open()?;
        }
        let token = self.scanner.peek()?;
        match token.kind {
            Kind::Key => {
                let key_end = token.end;
                self.scanner.skip_token();
                let token = self.scanner.peek()?;
                if !matches!(token.kind, Kind::Key | Kind::Value | Kind::BlockEnd) {
                    self.states.push(State::BlockMappingValue);
                    return self.node(true, true);
                }
                self.state = State::BlockMappingValue;
                Ok(self.absent(key_end, &token, false))
            }
            Kind::BlockEnd => {
                self.pop_state();
                self.opened.pop();
                let mut event = self.event(What::MappingEnd, &token);
                self.take_comments(&mut event);
                self.scanner.skip_token();
                Ok(event)
            }
            _ => Err(self.unexpected(
                &token,
                "expected a key at the indentation of the ones above",
            )),
        }
    }

    fn block_mapping_value(&mut self) -> Parsed<Event> {
        let token = self.scanner.peek()?;
        if token.kind != Kind::Value {
            self.state = State::BlockMappingKey { first: false };
            // No `:` at all, as after `? key`.
            return Ok(self.absent(token.start, &token, false));
        }
        let colon_end = token.end;
        self.scanner.skip_token();
        let token = self.scanner.peek()?;
        if !matches!(token.kind, Kind::Key | Kind::Value | Kind::BlockEnd) {
            self.states.push(State::BlockMappingKey { first: false });
            return self.node(true, true);
        }
        self.state = State::BlockMappingKey { first: false };
        Ok(self.absent(colon_end, &token, false))
    }

    // -- pieces ------------------------------------------------------------------------------------------------------

    fn open(&mut self) -> Parsed<()> {
        let token = self.scanner.peek()?;
        self.opened.push(token.start);
        self.scanner.skip_token();
        Ok(())
    }

    fn pop_state(&mut self) {
        self.state = self.states.pop().expect("pushed where the node began");
    }

    fn unexpected(&self, token: &Token, reason: &str) -> ParseError {
        let at = self.opened.last().copied().unwrap_or(0);
        let (line, _) = crate::error::position(self.scanner.src(), at);
        let reason = format!("{reason} (in the collection that starts on line {line})");
        self.scanner.error(token.start, reason)
    }

    fn event(&self, what: What, token: &Token) -> Event {
        Event {
            what,
            style: token.style,
            start: token.start,
            end: token.end,
            node_start: token.start,
            text: token.text,
            anchor: None,
            tag: Tag::None,
            indent: token.indent,
            flow: token.in_flow,
            has_comments: false,
        }
    }

    /// An empty value where none is written.
    fn absent(&self, at: usize, token: &Token, flow: bool) -> Event {
        Event {
            style: Style::Absent,
            start: at,
            end: at,
            node_start: at,
            text: Text::File(Span::new(at..at)),
            flow,
            ..self.event(What::Scalar, token)
        }
    }

    fn take_comments(&mut self, event: &mut Event) {
        self.stem_comment.clear();
        let scanner = &mut self.scanner;
        if scanner.head_comment.is_empty()
            && scanner.line_comment.is_empty()
            && scanner.foot_comment.is_empty()
        {
            return;
        }
        self.comments = Comments {
            head: std::mem::take(&mut scanner.head_comment),
            line: std::mem::take(&mut scanner.line_comment),
            foot: std::mem::take(&mut scanner.foot_comment),
        };
        event.has_comments = true;
    }

    fn take_stem(&mut self, event: &mut Event) {
        if !self.stem_comment.is_empty() {
            self.comments = Comments {
                head: std::mem::take(&mut self.stem_comment),
                ..Comments::default()
            };
            event.has_comments = true;
        }
    }
}
