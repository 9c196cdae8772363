//! Pipelines, commands and operands.

use crate::error::Cause;
use crate::text::Text;
use crate::tree::{Command, Operand, OperandKind, Pipe};

use super::lexer::{Kind, Token};
use super::{NODE_SIZE, Parse, Parser, literal};

impl Parser<'_> {
    pub(super) fn pipeline(&mut self, context: &str, end: Kind) -> Parse<Pipe> {
        self.spend(NODE_SIZE)?;
        let first = self.next_non_space();
        let mut pipe = Pipe {
            position: first.position(),
            variables: Vec::new(),
            assigns: false,
            commands: Vec::new(),
        };
        self.put_back(first);
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.next_non_space();
            match token.kind {
                kind if kind == end => break,
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawText
                | Kind::QuotedText
                | Kind::Variable
                | Kind::LeftParen => {
                    self.put_back(token);
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => return Err(self.unexpected(&token, context)),
            }
        }
        self.check_pipeline(&pipe, context)?;
        Ok(pipe)
    }

    fn check_pipeline(&self, pipe: &Pipe, context: &str) -> Parse<()> {
        if pipe.commands.is_empty() {
            return Err(self.error(&format!("missing value for {context}")));
        }
        for (index, command) in pipe.commands.iter().enumerate().skip(1) {
            let is_value = matches!(
                command.operands.first().map(|operand| &operand.kind),
                Some(
                    OperandKind::Bool(_)
                        | OperandKind::Dot
                        | OperandKind::Nil
                        | OperandKind::Number(_)
                        | OperandKind::Text(_)
                )
            );
            if is_value {
                let reason = format!("non executable command in pipeline stage {}", index + 1);
                return Err(self.error(&reason));
            }
        }
        Ok(())
    }

    /// `$x :=`, `$x =`, and in a range `$k, $v :=`.
    pub(super) fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Parse<()> {
        loop {
            let variable = self.next_non_space();
            if variable.kind != Kind::Variable {
                self.put_back(variable);
                return Ok(());
            }
            let behind = self.next();
            let next = match behind.kind {
                Kind::Space => self.next_non_space(),
                _ => behind.clone(),
            };
            let is_comma = next.kind == Kind::Char && &self.source[next.source.clone()] == ",";
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    pipe.assigns = next.kind == Kind::Assign;
                    self.declare(pipe, &variable)?;
                    return Ok(());
                }
                Kind::Char if is_comma => {
                    self.declare(pipe, &variable)?;
                    if context == "range" && pipe.variables.len() < 2 {
                        let token = self.next_non_space();
                        let goes_on = matches!(
                            token.kind,
                            Kind::Variable | Kind::RightDelimiter | Kind::RightParen
                        );
                        self.put_back(token);
                        if goes_on {
                            continue;
                        }
                        return Err(self.error("range can only initialize variables"));
                    }
                    return Err(self.error(&format!("too many declarations in {context}")));
                }
                _ => {
                    // An argument; the white space behind it counts.
                    self.put_back(next);
                    if behind.kind == Kind::Space {
                        self.put_back(behind);
                    }
                    self.put_back(variable);
                    return Ok(());
                }
            }
        }
    }

    fn declare(&mut self, pipe: &mut Pipe, variable: &Token) -> Parse<()> {
        let name = self.source[variable.source.clone()].to_owned();
        self.spend(2 * (name.len() + size_of::<String>()))?;
        self.variables.push(name.clone());
        pipe.variables.push(name);
        Ok(())
    }

    pub(super) fn command(&mut self) -> Parse<Command> {
        self.spend(NODE_SIZE)?;
        let first = self.next_non_space();
        let position = first.position();
        self.put_back(first);
        let mut operands = Vec::new();
        loop {
            let token = self.next_non_space();
            self.put_back(token);
            if let Some(operand) = self.operand()? {
                operands.push(operand);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelimiter | Kind::RightParen => self.put_back(token),
                Kind::Pipe => {}
                _ => return Err(self.unexpected(&token, "operand")),
            }
            break;
        }
        let Some(last) = operands.last() else {
            return Err(self.error("empty command"));
        };
        let source = position.offset..last.source.end;
        Ok(Command {
            position,
            operands,
            source,
        })
    }

    /// A term with the fields behind it.
    pub(super) fn operand(&mut self) -> Parse<Option<Operand>> {
        let Some(mut operand) = self.term()? else {
            return Ok(None);
        };
        let mut names = Vec::new();
        loop {
            let token = self.next();
            if token.kind != Kind::Field {
                self.put_back(token);
                break;
            }
            names.push(self.field_name(&token)?);
            operand.source.end = token.source.end;
        }
        if names.is_empty() {
            return Ok(Some(operand));
        }
        match &mut operand.kind {
            OperandKind::Field(more) | OperandKind::Variable(_, more) => more.append(&mut names),
            OperandKind::Bool(_)
            | OperandKind::Text(_)
            | OperandKind::Number(_)
            | OperandKind::Nil
            | OperandKind::Dot => {
                return Err(self.error("unexpected . after a term"));
            }
            _ => {
                self.spend(NODE_SIZE)?;
                let (position, source) = (operand.position, operand.source.clone());
                operand = Operand {
                    position,
                    kind: OperandKind::Chain(Box::new(operand), names),
                    source,
                };
            }
        }
        Ok(Some(operand))
    }

    fn field_name(&mut self, token: &Token) -> Parse<String> {
        let name = self.source[token.source.clone()].trim_start_matches('.');
        self.spend(name.len() + size_of::<String>())?;
        Ok(name.to_owned())
    }

    fn term(&mut self) -> Parse<Option<Operand>> {
        let token = self.next_non_space();
        if token.kind == Kind::LeftParen {
            return self.parenthesized(&token).map(Some);
        }
        let Some(kind) = self.word(&token)? else {
            self.put_back(token);
            return Ok(None);
        };
        self.spend(NODE_SIZE)?;
        Ok(Some(Operand {
            position: token.position(),
            kind,
            source: token.source,
        }))
    }

    fn parenthesized(&mut self, paren: &Token) -> Parse<Operand> {
        self.deeper()?;
        let pipe = self.pipeline("parenthesized pipeline", Kind::RightParen)?;
        self.depth -= 1;
        let start = paren.source.start;
        Ok(Operand {
            position: paren.position(),
            kind: OperandKind::Pipe(pipe),
            source: start..self.written_until(start),
        })
    }

    /// A term of one token.
    fn word(&mut self, token: &Token) -> Parse<Option<OperandKind>> {
        let written = &self.source[token.source.clone()];
        Ok(Some(match token.kind {
            Kind::Identifier => {
                if !self.options.dialect.knows(written) {
                    let reason = format!("function {written:?} not defined");
                    return Err(self.error_of(Cause::UnknownFunction, &reason));
                }
                OperandKind::Function(written.to_owned())
            }
            Kind::Dot => OperandKind::Dot,
            Kind::Nil => OperandKind::Nil,
            Kind::Variable => {
                self.tick(self.variables.len())?;
                if !self.variables.iter().any(|known| known == written) {
                    return Err(self.error(&format!("undefined variable {written:?}")));
                }
                OperandKind::Variable(written.to_owned(), Vec::new())
            }
            Kind::Field => OperandKind::Field(vec![self.field_name(token)?]),
            Kind::Bool => OperandKind::Bool(written == "true"),
            Kind::Number | Kind::CharConstant | Kind::Complex => {
                let number = match token.kind {
                    Kind::Number => literal::number(written),
                    Kind::CharConstant => literal::character(written),
                    _ => Err("complex numbers are not supported"),
                };
                OperandKind::Number(number.map_err(|reason| self.error(reason))?)
            }
            Kind::QuotedText => {
                let text = literal::unquote(written).ok_or_else(|| self.error("invalid syntax"))?;
                self.spend(text.len())?;
                OperandKind::Text(Text::from(text))
            }
            Kind::RawText => {
                self.spend(written.len())?;
                OperandKind::Text(Text::from(literal::unquote_raw(written)))
            }
            _ => return Ok(None),
        }))
    }
}
