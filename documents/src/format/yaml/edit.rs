//! Changes a YAML text in place: one value, one entry more, one entry less.
//!
//! Every change is carried out on the text, read again, and compared with what it ought to say. Where the first way does
//! not (an anchor that others name, a block at the end of a file without a line break), another one is tried: the value
//! on one line, then with what stands around it, then the same with all aliases written out.

mod append;
mod place_of_change;
mod remove;
mod wanted;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::data::Data;
use crate::error::EmitError;
use crate::format::{Layout, Reached, Step, follow};
use crate::splice::{Edit, apply};
use crate::tree::{NodeId, Span, Tree, Value};

use super::block;
use super::compose;
use super::emit::{self, Emitter};
use super::place::Place;
use super::prepare;
use super::read;
use super::spell::{self, next_level};

use place_of_change::Surroundings;

/// How much is written for a change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Values as lines where they have some.
    Lines,
    /// Values on one line, which fits where blocks do not.
    OneLine,
    /// The whole collection in brackets around a value, or the blank lines behind an entry that goes.
    Around,
}

/// One change of a tree.
enum Change {
    /// A node gets another value.
    Replace(NodeId, Data),
    /// A collection gets one entry more, with a key if it is a map.
    Append(NodeId, Option<SecretBytes>, Data),
    /// A node goes, with its key.
    Remove(NodeId),
}

/// The edits that set a value; none when it is there already.
pub(super) fn set(
    tree: &Tree,
    path: &[Step],
    value: &Data,
    layout: Layout,
) -> Result<Vec<Edit>, EmitError> {
    let name = Step::spell(path);
    check_depth(tree, &name)?;
    let change = match follow(tree, path)? {
        Reached::Place(node) if Data::of(tree, node) == *value => return Ok(Vec::new()),
        Reached::Place(node) if matches!(tree.nodes[node].value, Value::Comment { .. }) => {
            let reason = "a comment stands there, not a value";
            return Err(EmitError::new(name, reason));
        }
        Reached::Place(node) => Change::Replace(node, value.copy()),
        Reached::Scalar(node, rest) => Change::Replace(node, nested(rest, value)),
        Reached::Collection(node, rest) => {
            let key = match &rest[0] {
                Step::Key(key) => Some(Data::key(key)),
                Step::Index(_) | Step::IndexWithComments(_) => None,
            };
            Change::Append(node, key, nested(&rest[1..], value))
        }
    };
    carry_out(tree, &change, layout, &name)
}

/// The edits that remove a node with its key.
pub(super) fn remove(tree: &Tree, node: NodeId) -> Result<Vec<Edit>, EmitError> {
    let name = tree.path(node);
    check_depth(tree, &name)?;
    carry_out(tree, &Change::Remove(node), Layout::default(), &name)
}

/// A value inside the new collections that lead to it.
fn nested(path: &[Step], value: &Data) -> Data {
    path.iter()
        .rev()
        .fold(value.copy(), |inner, step| match step {
            Step::Key(key) => Data::Map(vec![(Data::key(key), inner)]),
            Step::Index(_) | Step::IndexWithComments(_) => Data::List(vec![inner]),
        })
}

/// Refuses a tree that has more levels than can be rewritten.
fn check_depth(tree: &Tree, name: &str) -> Result<(), EmitError> {
    match prepare::is_too_deep(tree) {
        true => Err(EmitError::new(
            name,
            "the file is nested too deeply to be changed",
        )),
        false => Ok(()),
    }
}

fn carry_out(
    tree: &Tree,
    change: &Change,
    layout: Layout,
    name: &str,
) -> Result<Vec<Edit>, EmitError> {
    let refuse = || {
        let reason = "the layout around it leaves no place for this change, write it by hand";
        EmitError::new(name, reason)
    };
    let unit = emit::unit_of(layout, read::unit(tree))?;
    let wanted = wanted::documents(tree, change);
    let in_text = |text: SecretBytes, change: &Change| -> Result<Option<Vec<Edit>>, EmitError> {
        let Ok(composition) = compose::compose(text) else {
            return Ok(None);
        };
        for way in [Way::Lines, Way::OneLine, Way::Around] {
            let editor = Editor {
                around: Surroundings::new(&composition),
                tree: &composition.tree,
                unit,
                way,
                on_one_line: way == Way::OneLine,
            };
            let Some(mut edits) = editor.edits(change)? else {
                continue;
            };
            edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
            let text = apply(composition.tree.text.expose(), &edits);
            let says = compose::compose(text).is_ok_and(|read| {
                read.tree.blocks.len() == tree.blocks.len() && wanted::is_said(&read.tree, &wanted)
            });
            if says {
                return Ok(Some(edits));
            }
        }
        Ok(None)
    };
    if let Some(edits) = in_text(SecretBytes::copy_of(tree.text.expose()), change)? {
        return Ok(edits);
    }
    // With aliases written out, and a line break at the end.
    let composed = compose::compose(SecretBytes::copy_of(tree.text.expose()));
    let composed = composed.map_err(|_| refuse())?.tree;
    let prepared = prepare::prepare(composed).map_err(|_| refuse())?.tree;
    let change = change.moved(tree, &prepared).ok_or_else(refuse)?;
    let text = SecretBytes::copy_of(prepared.text.expose());
    let edits = in_text(text, &change)?.ok_or_else(refuse)?;
    Ok(vec![Edit {
        span: Span::new(0..tree.text.len()),
        text: apply(prepared.text.expose(), &edits),
    }])
}

impl Change {
    fn node(&self) -> NodeId {
        match self {
            Change::Replace(node, _) | Change::Append(node, ..) | Change::Remove(node) => *node,
        }
    }

    /// The same change of a tree that has the same values, and its comments elsewhere.
    fn moved(&self, from: &Tree, to: &Tree) -> Option<Self> {
        let is_value =
            |tree: &Tree, at: usize| !matches!(tree.nodes[at].value, Value::Comment { .. });
        if !is_value(from, self.node()) {
            return None;
        }
        let before = (0..self.node()).filter(|at| is_value(from, *at)).count();
        let node = (0..to.nodes.len())
            .filter(|at| is_value(to, *at))
            .nth(before)?;
        Some(match self {
            Change::Replace(_, value) => Change::Replace(node, value.copy()),
            Change::Append(_, key, value) => {
                let key = key.as_ref().map(|key| SecretBytes::copy_of(key.expose()));
                Change::Append(node, key, value.copy())
            }
            Change::Remove(_) => Change::Remove(node),
        })
    }
}

/// Writes one change.
struct Editor<'a> {
    tree: &'a Tree,
    around: Surroundings<'a>,
    unit: usize,
    way: Way,
    /// Whether new values are written on one line.
    on_one_line: bool,
}

impl Editor<'_> {
    /// The edits; `None` when this way there is no place for it.
    fn edits(&self, change: &Change) -> Result<Option<Vec<Edit>>, EmitError> {
        let node = change.node();
        // What an alias stands for has no bytes: the alias itself is written out.
        let alias = (0..=node).find(|at| {
            let place = Place::of(self.tree.nodes[*at].place);
            let is_changed = *at < node || matches!(change, Change::Append(..));
            let is_around = self.tree.nodes[*at].end as usize > node;
            is_changed && is_around && place.is_alias()
        });
        if let Some(alias) = alias {
            // On one line its comments would be lost, and with them what a rule about comments selects.
            if prepare::alias_has_comments(self.tree, alias) {
                return Ok(None);
            }
            let Some(value) = wanted::value(self.tree, alias, change) else {
                return Ok(None);
            };
            return self.flow_at(self.tree.nodes[alias].site, &value).map(Some);
        }
        if Place::of(self.tree.nodes[node].place).is_copy() {
            return Ok(None);
        }
        if self.way == Way::Around {
            return self.with_surroundings(change);
        }
        match change {
            Change::Replace(node, value) => self.replace(*node, value),
            Change::Append(node, key, value) => self.append(*node, key.as_ref(), value),
            Change::Remove(node) => self.remove(*node),
        }
    }

    /// Writes the outermost collection in brackets around a change in which no comment would be lost; or removes an entry with
    /// the blank lines behind it, which would become part of a text before it.
    fn with_surroundings(&self, change: &Change) -> Result<Option<Vec<Edit>>, EmitError> {
        let tree = self.tree;
        let node = change.node();
        let has = |at: NodeId| (at..tree.nodes[at].end as usize).contains(&node);
        let is_in_brackets = |at: &NodeId| {
            let is_changed = *at < node || matches!(change, Change::Append(..));
            is_changed && has(*at) && Place::of(tree.nodes[*at].place).is_flow()
        };
        let mut in_brackets = (0..=node).filter(is_in_brackets).peekable();
        if in_brackets.peek().is_none() {
            let Change::Remove(at) = change else {
                return Ok(None);
            };
            let start = self.around.sign_of(*at);
            let Some(line) = start.and_then(|start| self.around.line_of(start)) else {
                return Ok(None);
            };
            let mut end = self.around.next_line(self.around.end_of_value(*at));
            while end < tree.text.len() && self.around.rest_is_blank(end) {
                end = self.around.next_line(end);
            }
            return Ok(Some(vec![
                self.with_comments_at(self.column(*at), line..end),
            ]));
        };
        let goes = match change {
            Change::Remove(at) | Change::Replace(at, _) => *at..tree.nodes[*at].end as usize,
            Change::Append(..) => 0..0,
        };
        let keeps_comment = |root: NodeId| {
            let site = tree.nodes[root].site.range();
            (root..tree.nodes[root].end as usize)
                .filter(|at| !goes.contains(at))
                .map(|at| tree.nodes[at])
                .filter(|node| site.contains(&(node.site.start as usize)))
                .any(|node| matches!(node.value, Value::Comment { .. }))
        };
        // A pair in a list has no braces of its own: a comment behind it would move if it were given some without need.
        let is_pair = |at: &NodeId| {
            let mut words = tree.spelling(*at).split(u8::is_ascii_whitespace);
            let word = words.find(|word| !matches!(word.first(), None | Some(b'!' | b'&')));
            !word.is_some_and(|word| word.starts_with(b"{") || word.starts_with(b"["))
        };
        let (pairs, braced): (Vec<NodeId>, Vec<NodeId>) = in_brackets
            .filter(|root| !keeps_comment(*root))
            .partition(is_pair);
        let Some(root) = braced.first().or(pairs.first()).copied() else {
            return Ok(None);
        };
        match wanted::value(tree, root, change) {
            Some(value) => self.flow_at(tree.nodes[root].site, &value).map(Some),
            None => Ok(None),
        }
    }

    /// Cuts lines, and puts the comments that follow them at a column: further in, they would become part of a text before them.
    fn with_comments_at(&self, column: usize, range: std::ops::Range<usize>) -> Edit {
        let text = self.tree.text.expose();
        let (mut at, mut end) = (range.end, range.end);
        let mut lines = SecretWriter::default();
        while at < text.len() {
            let next = self.around.next_line(at);
            let line = &text[at..next];
            let content = line.trim_ascii_start();
            if content.starts_with(b"#") {
                lines.push(&text[end..at]);
                (0..column).for_each(|_| lines.push_byte(b' '));
                lines.push(content);
                end = next;
            } else if !content.is_empty() {
                break;
            }
            at = next;
        }
        edit(Span::new(range.start..end), lines)
    }

    fn flow_at(&self, site: Span, value: &Data) -> Result<Vec<Edit>, EmitError> {
        let mut out = SecretWriter::default();
        emit::flow(value, &mut out)?;
        Ok(vec![edit(site, out)])
    }

    // -- another value -----------------------------------------------------------------------------------------------

    fn replace(&self, at: NodeId, value: &Data) -> Result<Option<Vec<Edit>>, EmitError> {
        let tree = self.tree;
        let node = tree.nodes[at];
        let place = Place::of(node.place);
        let is_block_collection =
            matches!(node.value, Value::Map | Value::List) && !place.is_flow() && !place.is_alias();
        if is_block_collection {
            return self.replace_block(at, value);
        }
        let mut out = SecretWriter::default();
        match (value.as_scalar(), value) {
            (Some(_), Data::Str(text))
                if !self.on_one_line && spell::quoted(text.expose(), place.style(), &mut out) =>
            {
                return Ok(Some(vec![edit(node.site, out)]));
            }
            (Some(scalar), _) if !self.on_one_line => {
                read::spell(tree, at, scalar, &mut out)?;
                return Ok(Some(vec![edit(node.site, out)]));
            }
            _ => {}
        }
        let was_empty = !matches!(node.value, Value::Map | Value::List)
            || tree
                .children(at)
                .all(|child| matches!(tree.nodes[child].value, Value::Comment { .. }));
        let end = node.site.end as usize;
        let opens_block = !self.on_one_line
            && !place.in_flow()
            && !place.is_alias()
            && was_empty
            && has_entries(value)
            && self.around.rest_is_blank(end);
        if opens_block {
            let start = node.site.start as usize;
            if let Some(colon) = self.around.sign_before(start) {
                return self.block_behind(colon..end, at, value).map(Some);
            }
        }
        if place.style() == super::token::Style::Absent && node.site.is_empty() {
            out.push_byte(b' ');
        }
        emit::flow(value, &mut out)?;
        Ok(Some(vec![edit(node.site, out)]))
    }

    /// Replaces a collection that is written as a block, and what stands between its entries.
    fn replace_block(&self, at: NodeId, value: &Data) -> Result<Option<Vec<Edit>>, EmitError> {
        let tree = self.tree;
        let start = tree.nodes[at].site.start as usize;
        let end = self.around.end_of(at);
        let is_document = tree.documents.contains(&(at as u32));
        if is_document {
            return Ok(None);
        }
        let writes_lines = has_entries(value) && !self.on_one_line;
        if let Some(line) = self.around.line_of(start) {
            if let Some(sign) = self.around.sign_before(line) {
                if writes_lines {
                    return self.block_behind(sign..end, at, value).map(Some);
                }
                let mut out = SecretWriter::default();
                out.push_byte(b' ');
                self.on_the_spot(at, end, value, &mut out)?;
                return Ok(Some(vec![edit(Span::new(sign..end), out)]));
            }
            // A comment stands between the key and its value, and stays.
            let mut out = SecretWriter::default();
            let deeper = next_level(self.column(at), self.unit);
            if writes_lines {
                self.block_lines(value, deeper, &mut out)?;
            } else {
                (0..deeper).for_each(|_| out.push_byte(b' '));
                self.on_the_spot(at, end, value, &mut out)?;
            }
            return Ok(Some(vec![edit(Span::new(line..end), out)]));
        }
        let mut out = SecretWriter::default();
        self.on_the_spot(at, end, value, &mut out)?;
        Ok(Some(vec![edit(Span::new(start..end), out)]))
    }

    /// Writes a value where it stands, without line breaks around it.
    fn on_the_spot(
        &self,
        at: NodeId,
        end: usize,
        value: &Data,
        out: &mut SecretWriter,
    ) -> Result<(), EmitError> {
        match value.as_scalar() {
            Some(scalar) if !self.on_one_line => {
                let spot = read::spot_until(self.tree, at, end, self.unit);
                spell::scalar(scalar, &spot, out)
            }
            _ => emit::flow(value, out),
        }
    }

    /// Writes a collection as lines below its key or dash.
    fn block_behind(
        &self,
        range: std::ops::Range<usize>,
        at: NodeId,
        value: &Data,
    ) -> Result<Vec<Edit>, EmitError> {
        let column = self.column(at);
        let is_element = matches!(self.tree.nodes[at].key, crate::tree::Key::None);
        let mut out = SecretWriter::default();
        out.push(block::line_break(self.tree));
        let deeper = if is_element {
            column + 2
        } else {
            next_level(column, self.unit)
        };
        self.block_lines(value, deeper, &mut out)?;
        Ok(vec![edit(Span::new(range), out)])
    }

    /// Writes the lines of a collection without the last line break.
    fn block_lines(
        &self,
        value: &Data,
        column: usize,
        out: &mut SecretWriter,
    ) -> Result<(), EmitError> {
        let mut emitter = Emitter::new(self.unit);
        match value {
            Data::Map(entries) => emitter.map(entries, column, false)?,
            Data::List(items) => emitter.list(items, column, false)?,
            _ => return Err(EmitError::new("", "a scalar has no lines of its own")),
        }
        let lines = block::with_line_breaks(self.tree, emitter.out.finish());
        let lines = lines.expose();
        let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
        out.push(lines.strip_suffix(b"\r").unwrap_or(lines));
        Ok(())
    }

    /// The column of the collection around a node.
    fn column(&self, at: NodeId) -> usize {
        usize::try_from(Place::of(self.tree.nodes[at].place).indent()).unwrap_or(0)
    }
}

fn edit(span: Span, text: SecretWriter) -> Edit {
    Edit {
        span,
        text: text.finish(),
    }
}

fn has_entries(value: &Data) -> bool {
    match value {
        Data::Map(entries) => !entries.is_empty(),
        Data::List(items) => !items.is_empty(),
        _ => false,
    }
}
