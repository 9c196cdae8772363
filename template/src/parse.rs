//! Parsing, with the rules and the errors of Go (`text/template/parse`).

mod lexer;
mod literal;
mod pipeline;

use std::collections::BTreeMap;
use std::ops::Range;

use zeroize::Zeroizing;

use self::lexer::{Keyword, Kind, Lexer, Token};
use crate::budget::{Budget, Charge};
use crate::dialect::Options;
use crate::error::{Cause, TemplateError};
use crate::tree::{Branch, Call, List, Loop, Node, Position};

/// Blocks and parentheses inside one another. Every walk over a tree recurses, so this bounds the stack.
const MAX_DEPTH: usize = 100;
/// What a node costs beside its texts.
const NODE_SIZE: usize = 160;

/// A template and those that it defines, as trees.
pub(crate) struct Parsed {
    pub(crate) name: String,
    /// May hold plaintext: an ExternalSecret can take its template from a Secret.
    pub(crate) source: Zeroizing<String>,
    pub(crate) trees: BTreeMap<String, List>,
    pub(crate) options: Options,
    /// The memory of the trees counts as long as they live.
    _charge: Charge,
}

static_assertions::assert_not_impl_any!(Parsed: std::fmt::Debug, Clone);

/// Parses a template within a budget.
pub(crate) fn parse(
    name: &str,
    source: &str,
    options: &Options,
    budget: &Budget,
) -> Result<Parsed, TemplateError> {
    let mut parser = Parser {
        name,
        source,
        options,
        budget,
        lexer: Lexer::new(source, &options.delimiters),
        ahead: Vec::with_capacity(3),
        line: 1,
        last_end: 0,
        action_line: None,
        variables: vec!["$".to_owned()],
        loops: 0,
        depth: 0,
        trees: BTreeMap::new(),
        charge: budget
            .charge(source.len())
            .map_err(|exceeded| TemplateError::at_line(name, 1, Cause::Budget, exceeded.into()))?,
    };
    let root = parser.root().map_err(|error| *error)?;
    parser.add(name.to_owned(), root).map_err(|error| *error)?;
    Ok(Parsed {
        name: name.to_owned(),
        source: Zeroizing::new(source.to_owned()),
        trees: parser.trees,
        options: options.clone(),
        _charge: parser.charge,
    })
}

/// Boxed: the parser recurses, and an error would make its frames large.
type Parse<T> = Result<T, Box<TemplateError>>;

struct Parser<'a> {
    name: &'a str,
    source: &'a str,
    options: &'a Options,
    budget: &'a Budget,
    lexer: Lexer<'a>,
    /// Tokens that were put back, the next one last.
    ahead: Vec<Token>,
    /// The line of the last token, and where it ends.
    line: usize,
    last_end: usize,
    /// Where the action began that is being read.
    action_line: Option<usize>,
    /// The variables that exist here.
    variables: Vec<String>,
    /// Loops around the place that is being read.
    loops: usize,
    depth: usize,
    trees: BTreeMap<String, List>,
    charge: Charge,
}

/// What ends a list.
enum Ending {
    End,
    Else,
}

/// One step through a list.
enum Step {
    Node(Node),
    Ending(Ending),
}

impl<'a> Parser<'a> {
    /// The template itself; only here may others be defined.
    fn root(&mut self) -> Parse<List> {
        let mut root = List::default();
        loop {
            let token = self.next();
            match token.kind {
                Kind::End => return Ok(root),
                Kind::LeftDelimiter => {
                    let word = self.next_non_space();
                    if word.kind == Kind::Keyword(Keyword::Define) {
                        self.definition()?;
                        continue;
                    }
                    self.put_back(word);
                }
                _ => {}
            }
            self.put_back(token);
            match self.step()? {
                Step::Node(node) => root.nodes.push(node),
                Step::Ending(Ending::End) => return Err(self.error("unexpected {{end}}")),
                Step::Ending(Ending::Else) => return Err(self.error("unexpected {{else}}")),
            }
        }
    }

    fn definition(&mut self) -> Parse<()> {
        const CONTEXT: &str = "define clause";
        let token = self.next_non_space();
        let name = self.template_name(token, CONTEXT)?;
        let token = self.next_non_space();
        if token.kind != Kind::RightDelimiter {
            return Err(self.unexpected(&token, CONTEXT));
        }
        let body = self.separate_list(CONTEXT)?;
        self.add(name, body)
    }

    /// The body of a definition or block, which sees no variables of what is around it.
    fn separate_list(&mut self, context: &str) -> Parse<List> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let loops = std::mem::take(&mut self.loops);
        let (body, ending) = self.list()?;
        self.variables = variables;
        self.loops = loops;
        match ending {
            Ending::End => Ok(body),
            Ending::Else => Err(self.error(&format!("unexpected {{{{else}}}} in {context}"))),
        }
    }

    /// Takes a tree up; an empty one never replaces another one.
    fn add(&mut self, name: String, tree: List) -> Parse<()> {
        let is_empty = tree.is_empty(self.source);
        match self.trees.get(&name) {
            Some(old) if !old.is_empty(self.source) => {
                if !is_empty {
                    let reason = format!("multiple definition of template {name:?}");
                    return Err(self.error(&reason));
                }
            }
            _ => {
                self.trees.insert(name, tree);
            }
        }
        Ok(())
    }

    /// Nodes up to an `end` or `else`.
    fn list(&mut self) -> Parse<(List, Ending)> {
        self.deeper()?;
        let mut list = List::default();
        let ending = loop {
            let token = self.next_non_space();
            if token.kind == Kind::End {
                return Err(self.error("unexpected EOF"));
            }
            self.put_back(token);
            match self.step()? {
                Step::Node(node) => list.nodes.push(node),
                Step::Ending(ending) => break ending,
            }
        };
        self.depth -= 1;
        Ok((list, ending))
    }

    /// A text or an action.
    fn step(&mut self) -> Parse<Step> {
        let token = self.next_non_space();
        match token.kind {
            Kind::Text => {
                self.spend(NODE_SIZE)?;
                Ok(Step::Node(Node::Text(token.position(), token.source)))
            }
            Kind::LeftDelimiter => {
                self.action_line = Some(token.line);
                let step = self.action()?;
                self.action_line = None;
                Ok(step)
            }
            _ => Err(self.unexpected(&token, "input")),
        }
    }

    fn action(&mut self) -> Parse<Step> {
        self.spend(NODE_SIZE)?;
        let token = self.next_non_space();
        let Kind::Keyword(keyword) = token.kind else {
            self.put_back(token);
            let pipe = self.pipeline("command", Kind::RightDelimiter)?;
            return Ok(Step::Node(Node::Action(pipe)));
        };
        let node = match keyword {
            Keyword::Else => {
                let next = self.next_non_space();
                match next.kind {
                    // The `if` or `with` behind it is read where its own `if` or `with` is.
                    Kind::Keyword(Keyword::If | Keyword::With) => self.put_back(next),
                    Kind::RightDelimiter => self.put_back(next),
                    _ => return Err(self.unexpected(&next, "else")),
                }
                return Ok(Step::Ending(Ending::Else));
            }
            Keyword::End => {
                let next = self.next_non_space();
                if next.kind != Kind::RightDelimiter {
                    return Err(self.unexpected(&next, "end"));
                }
                return Ok(Step::Ending(Ending::End));
            }
            Keyword::If => Node::Branch(self.branch(token.position(), Keyword::If)?),
            Keyword::With => Node::Branch(self.branch(token.position(), Keyword::With)?),
            Keyword::Range => Node::Loop(Box::new(self.range()?)),
            Keyword::Template => Node::Call(self.call(&token)?),
            Keyword::Block => Node::Call(self.block(&token)?),
            Keyword::Break => self.jump("{{break}}", Node::Break)?,
            Keyword::Continue => self.jump("{{continue}}", Node::Continue)?,
            Keyword::Define => return Err(self.unexpected(&token, "command")),
        };
        Ok(Step::Node(node))
    }

    fn jump(&mut self, word: &str, node: Node) -> Parse<Node> {
        let next = self.next_non_space();
        if next.kind != Kind::RightDelimiter {
            return Err(self.unexpected(&next, word));
        }
        if self.loops == 0 {
            return Err(self.error(&format!("{word} outside {{{{range}}}}")));
        }
        Ok(node)
    }

    /// An `if` or `with` with its whole chain of `else if` or `else with`.
    fn branch(&mut self, position: Position, keyword: Keyword) -> Parse<Branch> {
        let context = match keyword {
            Keyword::If => "if",
            _ => "with",
        };
        let mark = self.variables.len();
        let mut branch = Branch {
            position,
            sets_dot: keyword == Keyword::With,
            arms: Vec::new(),
            otherwise: None,
        };
        loop {
            self.spend(NODE_SIZE)?;
            let pipe = self.pipeline(context, Kind::RightDelimiter)?;
            let (body, ending) = self.list()?;
            branch.arms.push((pipe, body));
            match ending {
                Ending::End => break,
                Ending::Else => {
                    let next = self.next_non_space();
                    if next.kind == Kind::Keyword(keyword) {
                        continue;
                    }
                    branch.otherwise = Some(self.otherwise(next)?);
                    break;
                }
            }
        }
        self.variables.truncate(mark);
        Ok(branch)
    }

    /// What follows an `else` that begins no further arm.
    fn otherwise(&mut self, next: Token) -> Parse<List> {
        if next.kind != Kind::RightDelimiter {
            return Err(self.unexpected(&next, "input"));
        }
        match self.list()? {
            (list, Ending::End) => Ok(list),
            (_, Ending::Else) => Err(self.error("expected end; found {{else}}")),
        }
    }

    fn range(&mut self) -> Parse<Loop> {
        let mark = self.variables.len();
        let pipe = self.pipeline("range", Kind::RightDelimiter)?;
        self.loops += 1;
        let (body, ending) = self.list()?;
        self.loops -= 1;
        let otherwise = match ending {
            Ending::End => None,
            Ending::Else => {
                let next = self.next_non_space();
                Some(self.otherwise(next)?)
            }
        };
        self.variables.truncate(mark);
        Ok(Loop {
            pipe,
            body,
            otherwise,
        })
    }

    fn call(&mut self, keyword: &Token) -> Parse<Call> {
        const CONTEXT: &str = "template clause";
        let token = self.next_non_space();
        let position = token.position();
        let name = self.template_name(token, CONTEXT)?;
        let next = self.next_non_space();
        let argument = if next.kind == Kind::RightDelimiter {
            None
        } else {
            self.put_back(next);
            Some(self.pipeline(CONTEXT, Kind::RightDelimiter)?)
        };
        Ok(Call {
            position,
            name,
            argument,
            source: keyword.source.start..self.written_until(keyword.source.start),
        })
    }

    /// A definition that is called where it stands.
    fn block(&mut self, keyword: &Token) -> Parse<Call> {
        const CONTEXT: &str = "block clause";
        let token = self.next_non_space();
        let position = token.position();
        let name = self.template_name(token, CONTEXT)?;
        let argument = Some(self.pipeline(CONTEXT, Kind::RightDelimiter)?);
        let source = keyword.source.start..self.written_until(keyword.source.start);
        let body = self.separate_list(CONTEXT)?;
        self.add(name.clone(), body)?;
        Ok(Call {
            position,
            name,
            argument,
            source,
        })
    }

    fn template_name(&mut self, token: Token, context: &str) -> Parse<String> {
        let written = &self.source[token.source.clone()];
        let name = match token.kind {
            Kind::QuotedText => literal::unquote(written),
            Kind::RawText => Some(literal::unquote_raw(written)),
            _ => return Err(self.unexpected(&token, context)),
        };
        let name = name.and_then(|name| String::from_utf8(name).ok());
        let name = name.ok_or_else(|| self.error("invalid syntax"))?;
        self.spend(name.len())?;
        Ok(name)
    }

    /// Where the last token that was read ends.
    fn written_until(&self, start: usize) -> usize {
        self.last_end.max(start)
    }

    fn next(&mut self) -> Token {
        let token = self.ahead.pop().unwrap_or_else(|| self.lexer.next());
        self.line = token.line;
        self.last_end = token.source.end;
        token
    }

    fn next_non_space(&mut self) -> Token {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    fn put_back(&mut self, token: Token) {
        self.ahead.push(token);
    }

    fn deeper(&mut self) -> Parse<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let reason = format!("blocks or parentheses nest deeper than {MAX_DEPTH} levels");
            return Err(self.error_of(Cause::Budget, &reason));
        }
        Ok(())
    }

    /// Counts memory that the trees take, and the time it took to get here.
    fn spend(&mut self, bytes: usize) -> Parse<()> {
        let spent = self
            .charge
            .grow(bytes)
            .and_then(|()| self.budget.tick(bytes));
        spent.map_err(|exceeded| self.error_of(Cause::Budget, &String::from(exceeded)))
    }

    fn tick(&mut self, work: usize) -> Parse<()> {
        let ticked = self.budget.tick(work);
        ticked.map_err(|exceeded| self.error_of(Cause::Budget, &String::from(exceeded)))
    }

    fn unexpected(&self, token: &Token, context: &str) -> Box<TemplateError> {
        if let Kind::Error(fault) = token.kind {
            let start = match self.action_line {
                Some(line) if line != token.line => {
                    let words = match fault {
                        lexer::Fault::UnclosedAction => "started at",
                        _ => "in action started at",
                    };
                    format!(" {words} {}:{line}", self.name)
                }
                _ => String::new(),
            };
            return self.error(&format!("{fault}{start}"));
        }
        let written: &Range<usize> = &token.source;
        let written = &self.source[written.clone()];
        let shown = match token.kind {
            Kind::End => "EOF".to_owned(),
            Kind::Keyword(_) | Kind::Dot | Kind::Nil => format!("<{written}>"),
            _ if written.chars().count() > 10 => {
                format!("{:?}...", written.chars().take(10).collect::<String>())
            }
            _ => format!("{written:?}"),
        };
        self.error(&format!("unexpected {shown} in {context}"))
    }

    fn error(&self, reason: &str) -> Box<TemplateError> {
        self.error_of(Cause::Syntax, reason)
    }

    fn error_of(&self, cause: Cause, reason: &str) -> Box<TemplateError> {
        let reason = reason.to_owned();
        Box::new(TemplateError::at_line(self.name, self.line, cause, reason))
    }
}
