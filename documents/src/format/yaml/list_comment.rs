//! Comments where upstream had written elements of a list.

use sealwright_crypto::cipher::{Kind, encrypted_kind};
use sealwright_crypto::secret::SecretWriter;

use crate::error::EmitError;
use crate::format::indentation;
use crate::splice::Edit;
use crate::tree::{Key, NodeId, Span, Tree, Value};

use super::block::line_break;
use super::characters::{self, break_len};
use super::place::Place;

/// Writes a comment where an element of a list stands. A list of nothing else stays a list: an empty one.
pub(super) fn spell(tree: &Tree, at: NodeId, comment: &[u8]) -> Result<Edit, EmitError> {
    let refuse = |reason: &str| EmitError::new(tree.path(at), reason);
    let node = tree.nodes[at];
    if !matches!(node.key, Key::None) || !matches!(node.value, Value::Str(_)) {
        return Err(refuse("a comment stands where no element of a list is"));
    }
    characters::check(comment).map_err(|(_, reason)| refuse(reason))?;
    let column = usize::try_from(Place::of(node.place).indent()).unwrap_or(0);
    let breaks = (0..comment.len()).filter(|at| break_len(&comment[*at..]) > 0);
    let blanks = breaks.count().saturating_mul(column + 4);
    if indentation::is_excessive(blanks, comment.len(), indentation::IN_A_VALUE) {
        return Err(refuse("a comment with too many lines for its place"));
    }
    if Place::of(node.place).in_flow() {
        return Ok(in_flow(tree, at, comment));
    }
    let text = tree.text.expose();
    let start = node.site.start as usize;
    let line = line_start(text, start);
    let before = &text[line..start];
    let dash = before
        .iter()
        .rposition(|byte| *byte == b'-')
        .map(|dash| line + dash)
        .filter(|dash| text[dash + 1..start].iter().all(|byte| *byte == b' '))
        .ok_or_else(|| refuse("a comment stands where none can"))?;
    let column = dash - line;
    // Dashes of outer lists may stand before it; they stay, and what follows on the next line is theirs.
    let is_alone = text[line..dash]
        .iter()
        .all(|byte| matches!(byte, b' ' | b'-'));
    let mut out = SecretWriter::default();
    let mut from = dash;
    let is_first = at > 0 && tree.nodes[at - 1].value == Value::List;
    if is_first && tree.nodes[at - 1].end as usize > at && has_only_comments(tree, at - 1) {
        if matches!(tree.nodes[at - 1].key, Key::None) && tree.children(at - 1).count() == 1 {
            // Behind the brackets it would be an element of the list around.
            out.push(b"  [ ");
            lines(comment, column + 4, tree, &mut out);
            out.push(line_break(tree));
            indent(column + 2, &mut out);
            out.push_byte(b']');
            return Ok(Edit {
                span: Span::new(from..node.site.end as usize),
                text: out.finish(),
            });
        }
        out.push(b"  [] ");
    } else if !is_alone {
        // Behind the colon of a key that stands behind `?`: the list begins on a line of its own.
        let blanks = text[line..dash].iter().rev();
        from -= blanks.take_while(|byte| **byte == b' ').count();
        out.push(line_break(tree));
        indent(column, &mut out);
    }
    lines(comment, column, tree, &mut out);
    Ok(Edit {
        span: Span::new(from..node.site.end as usize),
        text: out.finish(),
    })
}

/// In brackets a comment takes the rest of a line, and the comma behind it goes.
fn in_flow(tree: &Tree, at: NodeId, comment: &[u8]) -> Edit {
    let text = tree.text.expose();
    let site = tree.nodes[at].site.range();
    let blanks = |from: usize| {
        let rest = text[from..].iter();
        rest.take_while(|byte| byte.is_ascii_whitespace()).count()
    };
    let mut end = site.end;
    let comma = end + blanks(end);
    if text.get(comma) == Some(&b',') {
        end = comma + 1;
        end += blanks(end);
    }
    let column = usize::try_from(Place::of(tree.nodes[at].place).indent()).unwrap_or(0) + 4;
    let mut out = SecretWriter::default();
    out.push(line_break(tree));
    indent(column, &mut out);
    lines(comment, column, tree, &mut out);
    out.push(line_break(tree));
    indent(column, &mut out);
    Edit {
        span: Span::new(site.start..end),
        text: out.finish(),
    }
}

fn lines(comment: &[u8], column: usize, tree: &Tree, out: &mut SecretWriter) {
    let mut rest = comment;
    loop {
        let end = (0..rest.len()).find(|at| break_len(&rest[*at..]) > 0);
        out.push_byte(b'#');
        out.push(&rest[..end.unwrap_or(rest.len())]);
        let Some(end) = end else {
            return;
        };
        rest = &rest[end + break_len(&rest[end..])..];
        out.push(line_break(tree));
        indent(column, out);
    }
}

fn indent(column: usize, out: &mut SecretWriter) {
    (0..column).for_each(|_| out.push_byte(b' '));
}

fn line_start(text: &[u8], offset: usize) -> usize {
    let before = &text[..offset];
    let end = before.iter().rposition(|byte| *byte == b'\n');
    end.map_or(0, |at| at + 1)
}

/// Whether all elements of an encrypted list are comments.
fn has_only_comments(tree: &Tree, list: NodeId) -> bool {
    tree.children(list)
        .all(|child| match tree.nodes[child].value {
            Value::Comment { .. } => true,
            Value::Str(text) => encrypted_kind(tree.content(text)) == Some(Kind::Comment),
            _ => false,
        })
}
