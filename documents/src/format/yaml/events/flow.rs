//! Collections in brackets and braces.

use super::super::token::{Kind, Token};
use super::{Event, Events, Parsed, State, What};

impl Events<'_> {
    pub(super) fn flow_sequence_entry(&mut self, first: bool) -> Parsed<Event> {
        if first {
            self.open()?;
        }
        let mut token = self.scanner.peek()?;
        if token.kind != Kind::FlowSequenceEnd {
            if !first {
                token = self.flow_entry(&token, "expected `,` or `]`")?;
            }
            if token.kind == Kind::Key {
                self.state = State::FlowPairKey;
                let event = self.event(What::MappingStart, &token);
                self.scanner.skip_token();
                return Ok(Event {
                    flow: true,
                    ..event
                });
            }
            if token.kind != Kind::FlowSequenceEnd {
                self.states.push(State::FlowSequenceEntry { first: false });
                return self.node(false, false);
            }
        }
        self.flow_end(What::SequenceEnd, &token)
    }

    pub(super) fn flow_entry(&mut self, token: &Token, reason: &str) -> Parsed<Token> {
        if token.kind != Kind::FlowEntry {
            return Err(self.unexpected(token, reason));
        }
        self.scanner.skip_token();
        self.scanner.peek()
    }

    pub(super) fn flow_end(&mut self, what: What, token: &Token) -> Parsed<Event> {
        self.pop_state();
        self.opened.pop();
        let mut event = self.event(what, token);
        self.take_comments(&mut event);
        self.scanner.skip_token();
        Ok(event)
    }

    pub(super) fn flow_pair_key(&mut self) -> Parsed<Event> {
        let token = self.scanner.peek()?;
        if !matches!(
            token.kind,
            Kind::Value | Kind::FlowEntry | Kind::FlowSequenceEnd
        ) {
            self.states.push(State::FlowPairValue);
            return self.node(false, false);
        }
        // yaml.v3 takes the token here, whatever it is.
        self.scanner.skip_token();
        self.state = State::FlowPairValue;
        Ok(self.absent(token.start, &token, true))
    }

    pub(super) fn flow_pair_value(&mut self) -> Parsed<Event> {
        let mut token = self.scanner.peek()?;
        let mut at = token.start;
        if token.kind == Kind::Value {
            at = token.end;
            self.scanner.skip_token();
            token = self.scanner.peek()?;
            if !matches!(token.kind, Kind::FlowEntry | Kind::FlowSequenceEnd) {
                self.states.push(State::FlowPairEnd);
                return self.node(false, false);
            }
        }
        self.state = State::FlowPairEnd;
        Ok(self.absent(at, &token, true))
    }

    pub(super) fn flow_pair_end(&mut self) -> Parsed<Event> {
        let token = self.scanner.peek()?;
        self.state = State::FlowSequenceEntry { first: false };
        // The token ends the list, not the pair.
        let mut event = self.event(What::MappingEnd, &token);
        event.end = event.start;
        Ok(event)
    }

    pub(super) fn flow_mapping_key(&mut self, first: bool) -> Parsed<Event> {
        if first {
            self.open()?;
        }
        let mut token = self.scanner.peek()?;
        if token.kind != Kind::FlowMappingEnd {
            if !first {
                token = self.flow_entry(&token, "expected `,` or `}`")?;
            }
            if token.kind == Kind::Key {
                self.scanner.skip_token();
                let token = self.scanner.peek()?;
                if !matches!(
                    token.kind,
                    Kind::Value | Kind::FlowEntry | Kind::FlowMappingEnd
                ) {
                    self.states.push(State::FlowMappingValue);
                    return self.node(false, false);
                }
                self.state = State::FlowMappingValue;
                return Ok(self.absent(token.start, &token, true));
            }
            if token.kind != Kind::FlowMappingEnd {
                self.states.push(State::FlowMappingEmptyValue);
                return self.node(false, false);
            }
        }
        self.flow_end(What::MappingEnd, &token)
    }

    pub(super) fn flow_mapping_value(&mut self) -> Parsed<Event> {
        let mut token = self.scanner.peek()?;
        let mut at = token.start;
        if token.kind == Kind::Value {
            at = token.end;
            self.scanner.skip_token();
            token = self.scanner.peek()?;
            if !matches!(token.kind, Kind::FlowEntry | Kind::FlowMappingEnd) {
                self.states.push(State::FlowMappingKey { first: false });
                return self.node(false, false);
            }
        }
        self.state = State::FlowMappingKey { first: false };
        Ok(self.absent(at, &token, true))
    }
}
