//! dotenv: a line per value, read without any regard to quotes, spaces or `export`, as the reference reads it.
//!
//! The two characters `\n` in a value are a line break. The `sops` block is a run of lines `sops_…` at the end. A file
//! without a final line break keeps none behind its block, which tells that the one before the block is not its own.

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::data::Data;
use crate::error::{EmitError, ParseError};
use crate::flatten::{Flat, flatten, unflatten, write_scalar};
use crate::format::flat_block::{OldLine, rewrite};
use crate::format::{Format, Layout, Prepared, Step};
use crate::scalar::Scalar;
use crate::splice::Edit;
use crate::tree::{Block, Key, Node, NodeId, Span, Text, Tree, Value};

/// The dotenv format.
pub struct Dotenv;

/// How all lines of the block start.
const PREFIX: &[u8] = b"sops_";

/// How upstream writes null.
const NULL: &[u8] = b"<nil>";

impl Format for Dotenv {
    fn name(&self) -> &'static str {
        "dotenv"
    }

    fn suffixes(&self) -> &'static [&'static str] {
        &[".env"]
    }

    fn parse(&self, text: SecretBytes) -> Result<Tree, ParseError> {
        parse(text)
    }

    fn null(&self) -> Option<&'static [u8]> {
        Some(NULL)
    }

    /// What is read so is written so: nothing needs a change.
    fn prepare(&self, tree: Tree) -> Result<Prepared, ParseError> {
        Ok(Prepared {
            tree,
            former: Vec::new(),
            former_text: None,
        })
    }

    fn spell(
        &self,
        tree: &Tree,
        at: NodeId,
        scalar: Scalar<'_>,
        out: &mut SecretWriter,
    ) -> Result<(), EmitError> {
        let wrong = |reason: &str| EmitError::new(path_of(tree, at), reason);
        match scalar {
            Scalar::Null => return Err(wrong("dotenv has no null")),
            Scalar::Str(text) => write_text(text, out),
            Scalar::Comment(text) if text.contains(&b'\n') => {
                return Err(wrong("a comment in dotenv has one line"));
            }
            other => write_scalar(other, out),
        }
        Ok(())
    }

    fn spell_encrypted(&self, _: &Tree, _: NodeId, text: &[u8], out: &mut SecretWriter) {
        out.push(text);
    }

    fn read_spelling(&self, tree: &Tree, at: NodeId, spelling: &[u8]) -> Option<Data> {
        if spelling.contains(&b'\n') {
            return None;
        }
        Some(match tree.nodes[at].value {
            Value::Comment { inline, .. } => Data::Comment {
                text: SecretBytes::copy_of(spelling),
                inline,
            },
            Value::Null if spelling == NULL => Data::Null,
            _ => Data::Str(read_text(spelling)),
        })
    }

    fn write_block(&self, tree: &Tree, block: &Data, _: Layout) -> Result<Vec<Edit>, EmitError> {
        write_block(tree, &flatten(block)?)
    }

    fn render(&self, documents: &[Data], _: Layout) -> Result<SecretBytes, EmitError> {
        let [Data::Map(entries)] = documents else {
            return Err(EmitError::new("", "a dotenv file holds exactly one map"));
        };
        let mut out = SecretWriter::default();
        write_document(entries, &mut out)?;
        Ok(out.finish())
    }

    fn render_value(&self, value: &Data, _: Layout) -> Result<SecretBytes, EmitError> {
        match value {
            Data::Str(text) => Ok(SecretBytes::copy_of(text.expose())),
            Data::Map(entries) => {
                let mut out = SecretWriter::default();
                write_document(entries, &mut out)?;
                Ok(out.finish())
            }
            _ => Err(EmitError::new("", "dotenv can only extract text")),
        }
    }

    fn set(
        &self,
        tree: &Tree,
        path: &[Step],
        value: &Data,
        _: Layout,
    ) -> Result<Vec<Edit>, EmitError> {
        let [Step::Key(name)] = path else {
            return Err(EmitError::new("", "a path in dotenv is a single key"));
        };
        let name = name.as_bytes();
        let mut out = SecretWriter::default();
        if let Some(node) = tree.children(0).find(|node| tree.key(*node) == Some(name)) {
            if Data::of(tree, node) == *value {
                return Ok(Vec::new());
            }
            write_value(name, value, &mut out)?;
            return Ok(vec![Edit {
                span: tree.nodes[node].site,
                text: out.finish(),
            }]);
        }
        let text = tree.text.expose();
        let at = tree
            .blocks
            .last()
            .map(|block| block.cut)
            .filter(|cut| cut.end as usize == text.len())
            .map_or(text.len(), |cut| cut.start as usize);
        let starts_line = at == 0 || text[at - 1] == b'\n';
        if !starts_line {
            out.push_byte(b'\n');
        }
        write_key(name, &mut out)?;
        write_value(name, value, &mut out)?;
        if starts_line {
            out.push_byte(b'\n');
        }
        Ok(vec![Edit {
            span: Span::new(at..at),
            text: out.finish(),
        }])
    }

    fn remove(&self, tree: &Tree, node: NodeId) -> Result<Vec<Edit>, EmitError> {
        let text = tree.text.expose();
        let site = tree.nodes[node].site.range();
        let mut start = memchr::memrchr(b'\n', &text[..site.start]).map_or(0, |end| end + 1);
        let end = if site.end < text.len() {
            site.end + 1
        } else {
            start = start.saturating_sub(1);
            site.end
        };
        Ok(vec![Edit {
            span: Span::new(start..end),
            text: SecretBytes::default(),
        }])
    }

    fn reserves(&self, key: &[u8]) -> bool {
        key.starts_with(PREFIX)
    }
}

/// A key, a value or a comment of the file before it becomes a node.
struct Line {
    span: std::ops::Range<usize>,
    equals: usize,
}

fn parse(text: SecretBytes) -> Result<Tree, ParseError> {
    let bytes = text.expose();
    if u32::try_from(bytes.len()).is_err() {
        return Err(ParseError::at(b"", 0, "the file is larger than 4 GiB"));
    }
    let mut nodes = vec![Node {
        key: Key::None,
        value: Value::Map,
        site: Span::new(0..bytes.len()),
        end: 0,
        place: 0,
    }];
    let mut decoded = SecretWriter::default();
    let mut of_block: Vec<Line> = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let end = memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |at| start + at);
        let line = &bytes[start..end];
        let count = u32::try_from(nodes.len() + 1).expect("there are fewer nodes than bytes");
        if line.first() == Some(&b'#') {
            let site = Span::new(start + 1..end);
            nodes.push(Node {
                key: Key::None,
                value: Value::Comment {
                    text: Text::File(site),
                    inline: false,
                    above: 0,
                },
                site,
                end: count,
                place: 0,
            });
        } else if !line.is_empty() {
            let Some(equals) = memchr::memchr(b'=', line) else {
                return Err(ParseError::at(bytes, start, "the line has no ="));
            };
            let equals = start + equals;
            if line.starts_with(PREFIX) {
                of_block.push(Line {
                    span: start..end,
                    equals,
                });
            } else {
                let site = Span::new(equals + 1..end);
                nodes.push(Node {
                    key: Key::Text(Text::File(Span::new(start..equals))),
                    value: Value::Str(content(bytes, site, &mut decoded)),
                    site,
                    end: count,
                    place: 0,
                });
            }
        }
        start = end + 1;
    }
    nodes[0].end = u32::try_from(nodes.len()).expect("there are fewer nodes than bytes");
    let blocks = blocks(bytes, &of_block)?;
    Ok(Tree {
        decoded: decoded.finish(),
        nodes,
        documents: vec![0],
        blocks,
        text,
        attachments: Vec::new(),
        hidden: Vec::new(),
    })
}

fn content(bytes: &[u8], site: Span, decoded: &mut SecretWriter) -> Text {
    let value = &bytes[site.range()];
    if memchr::memmem::find(value, b"\\n").is_none() {
        return Text::File(site);
    }
    let from = decoded.len();
    decode(value, decoded);
    Text::Decoded(Span::new(from..decoded.len()))
}

/// One block for each run of lines; the first has the whole content.
fn blocks(bytes: &[u8], lines: &[Line]) -> Result<Vec<Block>, ParseError> {
    let flat: Vec<Flat> = lines
        .iter()
        .map(|line| Flat {
            key: bytes[line.span.start + PREFIX.len()..line.equals].to_vec(),
            value: read_text(&bytes[line.equals + 1..line.span.end])
                .expose()
                .to_vec(),
        })
        .collect();
    let mut data = Some(unflatten(&flat).map_err(|(at, reason)| {
        let at = lines.get(at.unwrap_or(0)).map_or(0, |line| line.span.start);
        ParseError::at(bytes, at, reason)
    })?);
    let mut blocks: Vec<Block> = Vec::new();
    for (line, flat) in lines.iter().zip(&flat) {
        let whole = line.span.start..(line.span.end + 1).min(bytes.len());
        let name = String::from_utf8_lossy(&flat.key).into_owned();
        let field = (name, Span::new(whole.clone()));
        match blocks.last_mut() {
            Some(block) if block.cut.end as usize == whole.start => {
                block.cut.end = field.1.end;
                block.fields.push(field);
            }
            _ => blocks.push(Block {
                cut: field.1,
                label: Span::default(),
                fields: vec![field],
                data: data.take().unwrap_or(Data::Map(Vec::new())),
            }),
        }
    }
    if let Some(last) = blocks.last_mut()
        && last.cut.end as usize == bytes.len()
        && !bytes.ends_with(b"\n")
        && last.cut.start > 0
    {
        last.cut.start -= 1;
    }
    Ok(blocks)
}

fn write_block(tree: &Tree, new: &[Flat]) -> Result<Vec<Edit>, EmitError> {
    let text = tree.text.expose();
    let spell = |line: &Flat, out: &mut SecretWriter| {
        out.push(PREFIX);
        out.push(&line.key);
        out.push_byte(b'=');
        write_text(&line.value, out);
    };
    if tree.blocks.is_empty() {
        let starts_line = text.is_empty() || text.ends_with(b"\n");
        let mut out = SecretWriter::default();
        for line in new {
            if !starts_line {
                out.push_byte(b'\n');
            }
            spell(line, &mut out);
            if starts_line {
                out.push_byte(b'\n');
            }
        }
        return Ok(vec![Edit {
            span: Span::new(text.len()..text.len()),
            text: out.finish(),
        }]);
    }
    let fields = tree.blocks.iter().flat_map(|block| &block.fields);
    let old: Vec<OldLine> = fields
        .map(|(_, span)| {
            let whole = span.range();
            let end = whole.end - usize::from(text[whole.clone()].ends_with(b"\n"));
            let equals = memchr::memchr(b'=', &text[whole.clone()])
                .expect("a line of the block has an equals sign");
            let value = whole.start + equals + 1..end;
            OldLine {
                flat: Flat {
                    key: text[whole.start + PREFIX.len()..whole.start + equals].to_vec(),
                    value: read_text(&text[value.clone()]).expose().to_vec(),
                },
                whole,
                value,
            }
        })
        .collect();
    let spell_value = |line: &Flat, out: &mut SecretWriter| write_text(&line.value, out);
    Ok(rewrite(text, &old, new, b"\n", &spell, &spell_value))
}

fn read_text(spelling: &[u8]) -> SecretBytes {
    let mut out = SecretWriter::with_capacity(spelling.len());
    decode(spelling, &mut out);
    out.finish()
}

fn decode(spelling: &[u8], out: &mut SecretWriter) {
    let mut copied = 0;
    for at in memchr::memmem::find_iter(spelling, b"\\n") {
        out.push(&spelling[copied..at]);
        out.push_byte(b'\n');
        copied = at + 2;
    }
    out.push(&spelling[copied..]);
}

fn write_text(text: &[u8], out: &mut SecretWriter) {
    let mut copied = 0;
    for at in memchr::memchr_iter(b'\n', text) {
        out.push(&text[copied..at]);
        out.push(b"\\n");
        copied = at + 1;
    }
    out.push(&text[copied..]);
}

fn write_document(
    entries: &[(SecretBytes, Data)],
    out: &mut SecretWriter,
) -> Result<(), EmitError> {
    for (key, value) in entries {
        if let Data::Comment { text, .. } = value {
            for line in text.expose().split(|byte| *byte == b'\n') {
                out.push_byte(b'#');
                out.push(line);
                out.push_byte(b'\n');
            }
            continue;
        }
        write_key(key.expose(), out)?;
        write_value(key.expose(), value, out)?;
        out.push_byte(b'\n');
    }
    Ok(())
}

fn write_key(key: &[u8], out: &mut SecretWriter) -> Result<(), EmitError> {
    let wrong = |reason: &str| Err(EmitError::new(String::from_utf8_lossy(key), reason));
    if key.starts_with(PREFIX) {
        return wrong("keys that start with sops_ are reserved for the sops block");
    }
    if key.starts_with(b"#") || key.iter().any(|byte| matches!(byte, b'=' | b'\n')) {
        return wrong("dotenv cannot hold this key");
    }
    out.push(key);
    out.push_byte(b'=');
    Ok(())
}

fn write_value(key: &[u8], value: &Data, out: &mut SecretWriter) -> Result<(), EmitError> {
    let wrong = |reason: &str| Err(EmitError::new(String::from_utf8_lossy(key), reason));
    match value {
        Data::Null => return wrong("dotenv has no null"),
        Data::List(_) | Data::Map(_) => return wrong("dotenv cannot hold lists or maps"),
        Data::Str(text) => write_text(text.expose(), out),
        other => write_scalar(other.as_scalar().expect("no collection"), out),
    }
    Ok(())
}

fn path_of(tree: &Tree, at: NodeId) -> String {
    String::from_utf8_lossy(tree.key(at).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests;
