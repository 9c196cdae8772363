//! A last line without a line break, which gets one before the `sops` block follows.

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::splice::Edit;
use crate::tree::{Span, Tree, Value};

use super::super::block::line_break;
use super::super::characters::break_len;
use super::super::place::Place;
use super::super::token::Style;

/// Ends a file in a line break; a block at its end that has none must not gain one.
pub(super) fn end_last_line(tree: &Tree, edits: &mut Vec<Edit>) {
    let text = tree.text.expose();
    let len = text.len();
    if edits
        .iter()
        .any(|edit| edit.span.end as usize == len && edit.text.expose().ends_with(b"\n"))
    {
        return;
    }
    let blanks = text.iter().rev().take_while(|byte| **byte == b' ').count();
    if matches!(text[..len - blanks].last(), Some(b'\n' | b'\r')) && !reaches_end(tree) {
        edits.push(Edit {
            span: Span::new(len - blanks..len),
            text: SecretBytes::default(),
        });
        return;
    }
    let last = tree.nodes.iter().rev().find(|node| {
        matches!(
            Place::of(node.place).style(),
            Style::Literal | Style::Folded
        ) && node.site.end as usize == len
            && !Place::of(node.place).holds_comment()
    });
    if let Some(last) = last {
        let start = last.site.start as usize;
        let site = &text[last.site.range()];
        let header_end = (0..site.len())
            .find(|at| break_len(&site[*at..]) > 0)
            .unwrap_or(site.len());
        let header = &site[..header_end];
        let mark = header.iter().position(|byte| matches!(byte, b'|' | b'>'));
        if let (Some(mark), true) = (mark, header_end < site.len()) {
            let signs = header[mark + 1..]
                .iter()
                .take_while(|byte| matches!(byte, b'+' | b'-' | b'0'..=b'9'));
            let end = mark + 1 + signs.clone().count();
            let mut new = SecretWriter::default();
            new.push_byte(b'-');
            signs
                .filter(|byte| byte.is_ascii_digit())
                .for_each(|digit| new.push_byte(*digit));
            edits.push(Edit {
                span: Span::new(start + mark + 1..start + end),
                text: new.finish(),
            });
        }
    }
    edits.push(Edit {
        span: Span::new(len..len),
        text: SecretBytes::copy_of(line_break(tree)),
    });
}

fn reaches_end(tree: &Tree) -> bool {
    let len = tree.text.len();
    tree.nodes.iter().rev().any(|node| {
        !matches!(node.value, Value::Map | Value::List) && node.site.end as usize == len
    })
}
