//! One entry more.

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::data::Data;
use crate::error::EmitError;
use crate::splice::Edit;
use crate::tree::{NodeId, Span};

use super::super::characters::at_line_start;
use super::super::emit::Emitter;
use super::super::place::Place;
use super::super::{block, emit, spell};
use super::{Editor, edit};

impl Editor<'_> {
    pub(super) fn append(
        &self,
        at: NodeId,
        key: Option<&SecretBytes>,
        value: &Data,
    ) -> Result<Option<Vec<Edit>>, EmitError> {
        if Place::of(self.tree.nodes[at].place).is_flow() {
            return self.append_to_flow(at, key, value).map(Some);
        }
        let tree = self.tree;
        let last = self.around.values_of(at).last();
        let is_root = tree.documents.contains(&(at as u32));
        let (place, column) = match last {
            Some(last) => {
                let end = self.around.end_of_value(last);
                (self.around.next_line(end), self.column(last))
            }
            None if is_root => {
                let end = tree.nodes[at].site.end;
                let block = tree.blocks.iter().find(|block| block.cut.start <= end);
                (block.map_or(end, |block| block.cut.start) as usize, 0)
            }
            None => return Ok(None),
        };
        let mut emitter = Emitter::new(self.unit);
        let before = &tree.text.expose()[..place];
        if !at_line_start(before) {
            emitter.out.push_byte(b'\n');
        }
        match key {
            _ if self.on_one_line => {
                (0..column).for_each(|_| emitter.out.push_byte(b' '));
                match key {
                    Some(key) => {
                        spell::write_double(key.expose(), &mut emitter.out);
                        emitter.out.push(b": ");
                    }
                    None => emitter.out.push(b"- "),
                }
                emit::flow(value, &mut emitter.out)?;
                emitter.out.push_byte(b'\n');
            }
            Some(key) => {
                let entry = (SecretBytes::copy_of(key.expose()), value.copy());
                emitter.map(&[entry], column, false)?;
            }
            None => emitter.list(&[value.copy()], column, false)?,
        }
        let text = block::with_line_breaks(tree, emitter.out.finish());
        Ok(Some(vec![Edit {
            span: Span::new(place..place),
            text,
        }]))
    }

    fn append_to_flow(
        &self,
        at: NodeId,
        key: Option<&SecretBytes>,
        value: &Data,
    ) -> Result<Vec<Edit>, EmitError> {
        let tree = self.tree;
        let node = tree.nodes[at];
        if self.on_one_line {
            let mut entries = Data::of(tree, at);
            match (&mut entries, key) {
                (Data::Map(entries), Some(key)) => {
                    entries.push((SecretBytes::copy_of(key.expose()), value.copy()));
                }
                (Data::List(items), _) => items.push(value.copy()),
                _ => {}
            }
            return self.flow_at(node.site, &entries);
        }
        let mut out = SecretWriter::default();
        let place = match self.around.values_of(at).last() {
            Some(last) => {
                let start = self.around.start_of(last);
                out.push_byte(b',');
                match self.around.line_of(start) {
                    Some(line) => {
                        out.push(block::line_break(tree));
                        out.push(&tree.text.expose()[line..start]);
                    }
                    None => out.push_byte(b' '),
                }
                self.around.end_of_value(last)
            }
            None => node.site.end as usize - 1,
        };
        if let Some(key) = key {
            let mut entry = SecretWriter::default();
            let entries = Data::Map(vec![(SecretBytes::copy_of(key.expose()), value.copy())]);
            emit::flow(&entries, &mut entry)?;
            let entry = entry.expose();
            out.push(&entry[1..entry.len() - 1]);
        } else {
            emit::flow(value, &mut out)?;
        }
        Ok(vec![edit(Span::new(place..place), out)])
    }
}
