//! Parses YAML documents into nodes, resolving scalars by YAML 1.1 as `kubectl` does.

use std::collections::HashMap;
use std::rc::Rc;

use granit_parser::{Event, Parser, ScalarStyle};
use thiserror::Error;
use zeroize::Zeroize;

use super::{Node, refusal};

/// The text is not valid YAML. The reason never quotes it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct SyntaxError {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub reason: String,
    /// The message of the YAML parser that Kubernetes programs use, where it is known and quotes nothing.
    pub known_as: Option<String>,
}

/// Returns true for the control characters that the YAML parser of Kubernetes programs rejects.
pub(crate) fn is_control(letter: char) -> bool {
    !matches!(
        letter,
        '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..
    )
}

/// The approximate size of a node in memory, including a short scalar and its slot in a list.
pub const NODE_SIZE: usize = 160;

/// The most nodes that one stream may expand to through aliases: far above any manifest, far below a YAML bomb.
const MOST_NODES: usize = 1_000_000;

/// The deepest nesting allowed, counting what aliases expand to: far above any manifest. Reading and dropping nodes is
/// recursive, so the depth is bounded by the stack.
const MOST_LEVELS: usize = 500;

/// The most bytes of text that the aliases of one object may expand to. The API server stores no object above 1.5 MiB.
///
/// An alias costs one node however long its text is, but converting the nodes to a value copies the text each time.
const MOST_COPIED: usize = 2 << 20;

/// The same limit for a stream of any number of objects: a fixed part, plus one in proportion to the length of the stream.
const COPIED_OF_STREAM: usize = 4 << 20;
const COPIED_PER_BYTE: usize = 8;

/// Says why a line is not valid YAML without quoting it, which the message of the parser may do.
fn reason(text: &str, line: usize) -> String {
    let line = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let indentation = line.len() - line.trim_start_matches([' ', '\t']).len();
    if line[..indentation].contains('\t') {
        "no valid YAML: a tab cannot indent, only blanks can".to_owned()
    } else {
        "no valid YAML".to_owned()
    }
}

/// Parses every document that is not empty. Returns each with the line on which it starts.
///
/// # Errors
///
/// Fails, with the position, if the text is not valid YAML or if its aliases expand to far more than the text itself.
pub fn read(text: &[u8]) -> Result<Vec<(usize, Node)>, SyntaxError> {
    let bounds = Bounds {
        nodes: usize::MAX,
        copied: COPIED_OF_STREAM.saturating_add(COPIED_PER_BYTE.saturating_mul(text.len())),
    };
    documents(text, false, bounds)
}

/// Like [`read`], but accepts at most `most_nodes` nodes. A node takes up to [`NODE_SIZE`] bytes, which can be a hundred
/// times its length in the text. Aliases may add 2 MiB of text.
///
/// # Errors
///
/// Fails as [`read`] does, and if the stream has more nodes.
pub fn read_within(text: &[u8], most_nodes: usize) -> Result<Vec<(usize, Node)>, SyntaxError> {
    documents(text, false, Bounds::of_object(most_nodes))
}

/// Parses only the first document. Returns `None` if it is empty. Limits its nodes as [`read_within`] does.
///
/// # Errors
///
/// Fails as [`read_within`] does.
pub fn first_within(text: &[u8], most_nodes: usize) -> Result<Option<Node>, SyntaxError> {
    let documents = documents(text, true, Bounds::of_object(most_nodes))?;
    Ok(documents.into_iter().next().map(|(_, node)| node))
}

/// Limits on what a stream may expand to in memory.
#[derive(Clone, Copy, Default)]
struct Bounds {
    /// The number of nodes, with every alias expanded.
    nodes: usize,
    /// Bytes of text that aliases duplicate.
    copied: usize,
}

impl Bounds {
    fn of_object(nodes: usize) -> Self {
        Self {
            nodes,
            copied: MOST_COPIED,
        }
    }
}

fn documents(
    text: &[u8],
    only_first: bool,
    bounds: Bounds,
) -> Result<Vec<(usize, Node)>, SyntaxError> {
    let text = std::str::from_utf8(text).map_err(|error| {
        let at = error.valid_up_to();
        let line = text[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = at
            - text[..at]
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1)
            + 1;
        SyntaxError {
            line,
            column,
            reason: "not UTF-8".to_owned(),
            known_as: None,
        }
    })?;
    if let Some(at) = text.find(is_control) {
        let before = &text[..at];
        return Err(SyntaxError {
            line: before.matches('\n').count() + 1,
            column: before.rsplit('\n').next().unwrap_or_default().len() + 1,
            reason: "control characters are not allowed".to_owned(),
            known_as: Some("control characters are not allowed".to_owned()),
        });
    }
    let mut builder = Builder {
        bounds,
        ..Builder::default()
    };
    let last = last_line(text);
    let mut documents = Vec::new();
    let mut start = 1;
    for step in Parser::new_from_str(text) {
        let (event, span) = step.map_err(|error| SyntaxError {
            line: error.marker().line(),
            column: error.marker().col() + 1,
            reason: reason(text, error.marker().line()),
            known_as: refusal::words(error.kind(), error.marker().line(), text),
        })?;
        let line = span.start.line();
        match event {
            Event::DocumentStart(..) => {
                builder.anchors.clear();
                start = 0;
            }
            Event::DocumentEnd => {
                if let Some(node) = builder.root.take().filter(|node| !node.is_null()) {
                    documents.push((start, Rc::unwrap_or_clone(node)));
                }
                if only_first {
                    break;
                }
            }
            event => {
                if start == 0
                    && !matches!(
                        event,
                        Event::Comment(..) | Event::StreamStart | Event::StreamEnd
                    )
                {
                    start = line;
                }
                // A scalar ends past the last character of the last line only if it ends with the stream.
                builder.ends = last.is_some_and(|(number, width)| {
                    span.end.line() > number
                        || (span.end.line() == number && span.end.col() >= width)
                });
                builder.take(event, line)?;
            }
        }
    }
    Ok(documents)
}

/// Returns the number and the length of the last line, unless it is blank or ends with a line break.
fn last_line(text: &str) -> Option<(usize, usize)> {
    let line = text.rsplit('\n').next().unwrap_or_default();
    let number = text.matches('\n').count() + 1;
    (!line.trim().is_empty()).then(|| (number, line.chars().count()))
}

#[derive(Default)]
struct Builder {
    /// Whether the event ends at the end of the stream, without a line break.
    ends: bool,
    open: Vec<Open>,
    anchors: HashMap<usize, (Rc<Node>, Extent)>,
    root: Option<Rc<Node>>,
    /// The number of nodes so far, with every alias expanded.
    nodes: usize,
    /// Bytes of text so far, with every alias expanded.
    bytes: usize,
    /// How many of these bytes come from aliases.
    copied: usize,
    bounds: Bounds,
}

struct Open {
    anchor: usize,
    is_map: bool,
    children: Vec<Rc<Node>>,
    nodes_before: usize,
    bytes_before: usize,
    /// The depth of the deepest child.
    levels: usize,
}

/// The size of a node, including its descendants and expanded aliases.
#[derive(Clone, Copy)]
struct Extent {
    nodes: usize,
    bytes: usize,
    levels: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), SyntaxError> {
        let refuse = |reason: &str| {
            Err(SyntaxError {
                line,
                column: 1,
                reason: reason.to_owned(),
                known_as: None,
            })
        };
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref().map(ToString::to_string).unwrap_or_default();
                let mut text = text.into_owned();
                let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                // The parser of Kubernetes programs does not add a final line break that is missing in the text.
                if is_block && self.ends && text.ends_with('\n') {
                    text.truncate(text.len() - 1);
                }
                let node = scalar(&text, style, &tag);
                let bytes = text.len();
                text.zeroize();
                let Some(node) = node else {
                    return refuse("a scalar does not fit its tag");
                };
                self.nodes += 1;
                self.bytes += bytes;
                let extent = Extent {
                    nodes: 1,
                    bytes,
                    levels: 0,
                };
                self.put(Rc::new(node), anchor, extent);
            }
            Event::SequenceStart(_, anchor, _) | Event::MappingStart(_, anchor, _) => {
                let is_map = matches!(event, Event::MappingStart(..));
                self.nodes += 1;
                if self.open.len() >= MOST_LEVELS {
                    return refuse("the nodes nest too deeply");
                }
                self.open.push(Open {
                    anchor,
                    is_map,
                    children: Vec::new(),
                    nodes_before: self.nodes,
                    bytes_before: self.bytes,
                    levels: 0,
                });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop().expect("the parser pairs its events");
                if open.is_map && open.children.iter().step_by(2).any(|key| key.is_null()) {
                    return refuse("a key is missing");
                }
                let is_nested = |key: &Rc<Node>| matches!(**key, Node::List(_) | Node::Map(_));
                if open.is_map && open.children.iter().step_by(2).any(is_nested) {
                    return refuse("a key is a list or a map");
                }
                let node = if open.is_map {
                    map(open.children)
                } else {
                    Some(Node::List(open.children))
                };
                let Some(node) = node else {
                    let known = "map merge requires map or sequence of maps as the value";
                    return refuse("a merge key needs a map").map_err(|error| SyntaxError {
                        known_as: Some(known.to_owned()),
                        ..error
                    });
                };
                let extent = Extent {
                    nodes: self.nodes - open.nodes_before + 1,
                    bytes: self.bytes - open.bytes_before,
                    levels: open.levels + 1,
                };
                self.put(Rc::new(node), open.anchor, extent);
            }
            Event::Alias(id) => {
                let Some((node, extent)) = self
                    .anchors
                    .get(&id)
                    .map(|(node, extent)| (Rc::clone(node), *extent))
                else {
                    return refuse("an alias stands within its own anchor");
                };
                if self.open.len() + extent.levels > MOST_LEVELS {
                    return refuse("the nodes nest too deeply");
                }
                self.nodes += extent.nodes;
                self.bytes += extent.bytes;
                self.copied += extent.bytes;
                if self.nodes > MOST_NODES || self.copied > self.bounds.copied {
                    return refuse("the aliases stand for too much");
                }
                self.put(node, 0, extent);
            }
            _ => {}
        }
        match self.nodes > self.bounds.nodes {
            true => refuse("there are too many nodes"),
            false => Ok(()),
        }
    }

    fn put(&mut self, node: Rc<Node>, anchor: usize, extent: Extent) {
        if anchor != 0 {
            self.anchors.insert(anchor, (Rc::clone(&node), extent));
        }
        match self.open.last_mut() {
            Some(open) => {
                open.levels = open.levels.max(extent.levels);
                open.children.push(node);
            }
            None => self.root = Some(node),
        }
    }
}

/// Pairs keys with values, and merges the entries of `<<`, over which the own entries of the map take precedence.
fn map(children: Vec<Rc<Node>>) -> Option<Node> {
    let mut merged = Vec::new();
    let mut own = Vec::with_capacity(children.len() / 2);
    let mut children = children.into_iter();
    while let (Some(key), Some(value)) = (children.next(), children.next()) {
        if key.as_string() != Some("<<") {
            own.push((key, value));
            continue;
        }
        let sources = match &*value {
            Node::Map(_) => vec![Rc::clone(&value)],
            Node::List(items) => items.iter().rev().map(Rc::clone).collect(),
            _ => return None,
        };
        for source in sources {
            let Node::Map(entries) = &*source else {
                return None;
            };
            merged.extend(
                entries
                    .iter()
                    .map(|(key, value)| (Rc::clone(key), Rc::clone(value))),
            );
        }
    }
    merged.extend(own);
    Some(Node::Map(merged))
}

fn scalar(text: &str, style: ScalarStyle, tag: &str) -> Option<Node> {
    let plain = style == ScalarStyle::Plain;
    Some(match tag.rsplit([':', '!']).next().unwrap_or_default() {
        "str" => Node::text(text.to_owned()),
        "binary" => {
            let compact: String = text.split_ascii_whitespace().collect();
            let bytes = sealwright_crypto::sealing::base64::decode(compact.as_bytes()).ok()?;
            Node::text(String::from_utf8(bytes).ok()?)
        }
        "bool" | "int" | "float" | "null" => {
            let node = resolve(text);
            (!matches!(node, Node::Text(_))).then_some(node)?
        }
        _ if plain && !tag.is_empty() && !tag.starts_with("tag:yaml.org") => {
            Node::text(text.to_owned())
        }
        _ if plain => resolve(text),
        _ => Node::text(text.to_owned()),
    })
}

/// Resolves a plain scalar by the rules of YAML 1.1 that Kubernetes' programs use.
pub(super) fn resolve(text: &str) -> Node {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Node::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => {
            return Node::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => {
            return Node::Bool(false);
        }
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Node::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Node::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Node::Float(f64::NAN),
        _ => {}
    }
    if !text
        .starts_with(|letter: char| letter.is_ascii_digit() || matches!(letter, '+' | '-' | '.'))
    {
        return Node::text(text.to_owned());
    }
    let digits = text.replace('_', "");
    if let Some(number) = integer(&digits) {
        return number;
    }
    if is_float(&digits)
        && let Ok(value) = digits.parse::<f64>()
        && value.is_finite()
    {
        return Node::Float(value);
    }
    Node::text(text.to_owned())
}

fn integer(digits: &str) -> Option<Node> {
    let (negative, rest) = match digits.as_bytes() {
        [b'-', ..] => (true, &digits[1..]),
        [b'+', ..] => (false, &digits[1..]),
        _ => (false, digits),
    };
    let (radix, rest) = match rest.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &rest[2..]),
        [b'0', b'o' | b'O', ..] => (8, &rest[2..]),
        [b'0', b'b' | b'B', ..] => (2, &rest[2..]),
        [b'0', _, ..] => (8, &rest[1..]),
        _ => (10, rest),
    };
    if rest.is_empty() || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let value = i128::from_str_radix(rest, radix).ok()?;
    let value = if negative { -value } else { value };
    (i128::from(i64::MIN)..=i128::from(u64::MAX))
        .contains(&value)
        .then_some(Node::Int(value))
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let all_digits =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => all_digits(fraction),
        Some((whole, fraction)) => {
            all_digits(whole) && (fraction.is_empty() || all_digits(fraction))
        }
        None => all_digits(mantissa),
    };
    mantissa_fits
        && exponent.is_none_or(|text| all_digits(text.strip_prefix(['-', '+']).unwrap_or(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: &str = "the aliases stand for too much";

    fn reason(documents: Result<Vec<(usize, Node)>, SyntaxError>) -> Option<String> {
        documents.err().map(|error| error.reason)
    }

    #[test]
    fn aliases_of_a_long_text_are_counted_in_bytes() {
        let long = "x".repeat(60_000);
        let text = |item: &str, times: usize| {
            let items = item.repeat(times);
            format!("a: &x {long}\nb: &y [*x, *x]\nc: [{items}]\n")
        };
        // A text, a key, and what is below a list.
        for (item, few, many) in [("*x, ", 30, 40), ("{*x : 1}, ", 30, 40), ("*y, ", 15, 20)] {
            let within = |times| read_within(text(item, times).as_bytes(), MOST_NODES);
            assert_eq!(reason(within(few)), None, "{item}");
            assert_eq!(reason(within(many)).as_deref(), Some(REFUSED), "{item}");
            let first = first_within(text(item, many).as_bytes(), MOST_NODES);
            assert!(first.is_err(), "{item}");
        }
        // A stream may hold many objects.
        assert_eq!(reason(read(text("*x, ", 70).as_bytes())), None);
        let refused = reason(read(text("*x, ", 100).as_bytes()));
        assert_eq!(refused.as_deref(), Some(REFUSED));
    }

    #[test]
    fn aliases_do_not_nest_deeper_than_what_is_written() {
        let nested = |links: usize| {
            let (open, close) = ("[".repeat(50), "]".repeat(50));
            let mut text = "a0: &a0 [x]\n".to_owned();
            for link in 1..links {
                text += &format!("a{link}: &a{link} {open}*a{}{close}\n", link - 1);
            }
            read(text.as_bytes())
        };
        assert_eq!(reason(nested(9)), None);
        let refused = reason(nested(12));
        assert_eq!(refused.as_deref(), Some("the nodes nest too deeply"));
    }
}
