//! Makes a tree of what was scanned: sections are maps below the root, `DEFAULT` is always the first.

use std::collections::HashMap;
use std::ops::Range;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::attachment::{Attachment, Spot};
use crate::error::ParseError;
use crate::flatten::{Flat, unflatten};
use crate::tree::{Block, Key, Node, NodeId, Span, Text, Tree, Value};

use super::scan::{Content, Entry, Kind, Name, Scan, scan, trim_end};

/// The section of keys that stand before any header.
pub(super) const DEFAULT: &[u8] = b"DEFAULT";

/// The section of the block.
pub(super) const BLOCK: &[u8] = b"sops";

/// The place of the root of a tree whose leaves cannot all be replaced where they stand.
pub(super) const IRREGULAR: u32 = u32::MAX;

/// A value only at the very end of a file: with a line break behind it, it would open a text of several lines.
pub(super) const LONE_QUOTES: &[u8; 3] = b"\"\"\"";

/// Reads a whole file.
pub(super) fn parse(text: SecretBytes) -> Result<Tree, ParseError> {
    let bytes = text.expose();
    if u32::try_from(bytes.len()).is_err() {
        return Err(ParseError::at(b"", 0, "the file is larger than 4 GiB"));
    }
    let scan = scan(bytes).map_err(|(at, reason)| ParseError::at(bytes, at, reason))?;
    let mut reader = Reader::new(bytes);
    reader.read(&scan)?;
    let Reader {
        nodes,
        decoded,
        blocks,
        attachments,
        ..
    } = reader;
    Ok(Tree {
        decoded: decoded.finish(),
        nodes,
        documents: vec![0],
        blocks,
        text,
        attachments,
        hidden: Vec::new(),
    })
}

struct Reader<'a> {
    text: &'a [u8],
    nodes: Vec<Node>,
    decoded: SecretWriter,
    blocks: Vec<Block>,
    section: NodeId,
    names: HashMap<Vec<u8>, NodeId>,
    attachments: Vec<Attachment>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a [u8]) -> Self {
        let mut reader = Self {
            text,
            nodes: Vec::new(),
            decoded: SecretWriter::default(),
            blocks: Vec::new(),
            section: 1,
            names: HashMap::new(),
            attachments: Vec::new(),
        };
        reader.push(Key::None, Value::Map, 0..text.len(), 0);
        let default = reader.decode(DEFAULT);
        reader.push(Key::Text(default), Value::Map, 0..0, 0);
        reader
    }

    fn read(&mut self, scan: &Scan) -> Result<(), ParseError> {
        let mut repeated = None;
        let mut at = 0;
        while let Some(entry) = scan.entries.get(at) {
            at += 1;
            match &entry.kind {
                Kind::Section { name, .. } if &self.text[name.clone()] == BLOCK => {
                    // The comment before the header is ours: the reference would drop it with its block.
                    self.comment(&entry.comments, None);
                    let is_key = |entry: &&Entry| matches!(entry.kind, Kind::Key { .. });
                    let lines = &scan.entries[at..];
                    let count = lines.iter().take_while(is_key).count();
                    self.block(entry, &lines[..count])?;
                    at += count;
                }
                Kind::Section { name, tail } => {
                    if !tail.is_empty() {
                        self.nodes[0].place = IRREGULAR;
                    }
                    self.close_section();
                    let key = Key::Text(Text::File(Span::new(name.clone())));
                    self.section =
                        self.push(key, Value::Map, entry.start..entry.start, entry.start);
                    self.comment(&entry.comments, entry.inline.clone());
                }
                Kind::Key {
                    name,
                    name_end,
                    delimiter,
                    site,
                    value,
                } => {
                    let gap = &self.text[*name_end..*delimiter];
                    if trim_end(gap) > 0 || self.text[site.clone()] == *LONE_QUOTES {
                        self.nodes[0].place = IRREGULAR;
                    }
                    let above = !entry.comments.is_empty();
                    let comment = self.nodes.len();
                    if above {
                        self.comment(&entry.comments, entry.inline.clone());
                    }
                    let text = match value {
                        Content::File(range) => Text::File(Span::new(range.clone())),
                        Content::Joined(text) => self.decode(text.expose()),
                    };
                    let key = match name {
                        Name::Text(range) => Text::File(Span::new(range.clone())),
                        Name::Counted(number) => self.decode(format!("#{number}").as_bytes()),
                    };
                    let owned = self.content(key).to_vec();
                    let known = self.names.get(&owned).copied();
                    if above {
                        // Upstream lists what stands over a key behind it.
                        self.attachments.push(Attachment {
                            comment: Span::new(comment..comment).start,
                            spot: Spot::after(known.unwrap_or(self.nodes.len()), 0),
                        });
                    }
                    if let Some(first) = known {
                        // The last value counts, at the place of the first.
                        self.nodes[first].value = Value::Str(text);
                        self.nodes[0].place = IRREGULAR;
                        repeated = Some(entry.start);
                    } else {
                        let key = Key::Text(key);
                        let node = self.push(key, Value::Str(text), site.clone(), entry.start);
                        self.names.insert(owned, node);
                    }
                    if !above {
                        self.comment(&[], entry.inline.clone());
                    }
                }
            }
        }
        self.comment(&scan.trailing, None);
        self.close_section();
        self.nodes[0].end = self.count();
        if let (Some(at), false) = (repeated, self.blocks.is_empty()) {
            let reason = "a key is there twice in one section of an encrypted file";
            return Err(ParseError::at(self.text, at, reason));
        }
        Ok(())
    }

    fn close_section(&mut self) {
        let extent_end = self.nodes.last().map_or(0, |node| node.site.end);
        let count = self.count();
        let section = &mut self.nodes[self.section];
        section.end = count;
        section.site.end = extent_end.max(section.site.start);
        self.names.clear();
    }

    /// Adds the comment of an entry: lines above it, one beside it, or both, which are one for the reference.
    fn comment(&mut self, lines: &[Range<usize>], inline: Option<Range<usize>>) {
        if !lines.is_empty() && inline.is_some() {
            self.nodes[0].place = IRREGULAR;
        }
        let parts: Vec<Range<usize>> = lines.iter().cloned().chain(inline).collect();
        let Some(first) = parts.first().cloned() else {
            return;
        };
        let site = comment_site(self.text, if lines.is_empty() { &parts } else { lines });
        let text = match &parts[..] {
            [_] => Text::File(Span::new(site.clone())),
            _ => {
                let content = comment_text(parts.iter().map(|part| &self.text[part.clone()]));
                if *content.expose() == self.text[site.clone()] {
                    Text::File(Span::new(site.clone()))
                } else {
                    self.decode(content.expose())
                }
            }
        };
        let value = Value::Comment {
            text,
            inline: lines.is_empty(),
            above: 0,
        };
        self.push(Key::None, value, site, first.start);
    }

    fn block(&mut self, header: &Entry, lines: &[Entry]) -> Result<(), ParseError> {
        let text = self.text;
        if !self.blocks.is_empty() {
            let reason = "a second sops section in one file";
            return Err(ParseError::at(text, header.start, reason));
        }
        let mut flat = Vec::new();
        let mut fields = Vec::new();
        for line in lines {
            let (key, value) = block_line(text, line);
            let name = String::from_utf8_lossy(&key).into_owned();
            fields.push((name, Span::new(line.start..line.end)));
            flat.push(Flat { key, value });
        }
        let data = unflatten(&flat).map_err(|(at, reason)| {
            let at = at.map_or(header.start, |at| lines[at].start);
            ParseError::at(text, at, reason)
        })?;
        let end = lines.last().unwrap_or(header).end;
        self.blocks.push(Block {
            cut: Span::new(cut_start(text, header.start, end)..end),
            label: Span::default(),
            fields,
            data,
        });
        Ok(())
    }

    fn push(&mut self, key: Key, value: Value, site: Range<usize>, place: usize) -> NodeId {
        let end = self.count() + 1;
        self.nodes.push(Node {
            key,
            value,
            site: Span::new(site),
            end,
            place: Span::new(place..place).start,
        });
        self.nodes.len() - 1
    }

    fn decode(&mut self, text: &[u8]) -> Text {
        let from = self.decoded.len();
        self.decoded.push(text);
        Text::Decoded(Span::new(from..self.decoded.len()))
    }

    fn content(&self, text: Text) -> &[u8] {
        match text {
            Text::File(span) => &self.text[span.range()],
            Text::Decoded(span) => &self.decoded.expose()[span.range()],
        }
    }

    fn count(&self) -> u32 {
        u32::try_from(self.nodes.len()).expect("there are fewer nodes than bytes")
    }
}

/// The bytes of a comment that a ciphertext replaces: behind the marks of the first line, up to the end of the last.
fn comment_site(text: &[u8], lines: &[Range<usize>]) -> Range<usize> {
    let first = &lines[0];
    let last = &lines[lines.len() - 1];
    let end = last.start + trim_end(&text[last.clone()]);
    (first.start + marks(&text[first.clone()])).min(end)..end
}

/// What the lines of a comment say together: without the marks of the first.
pub(super) fn comment_text<'a>(lines: impl Iterator<Item = &'a [u8]>) -> SecretBytes {
    let mut content = SecretWriter::default();
    for line in lines {
        content.push(line);
    }
    let text = content.expose();
    let end = trim_end(text);
    SecretBytes::copy_of(&text[marks(text).min(end)..end])
}

/// How many bytes at the start of a comment are marks: its first byte and blanks, any number of them.
fn marks(comment: &[u8]) -> usize {
    let is_mark = |byte: &&u8| **byte == comment[0] || **byte == b' ';
    comment.iter().take_while(is_mark).count()
}

/// The flattened key and value of a line of the block. Newer writers escape line breaks, some older ones did not.
pub(super) fn block_line(text: &[u8], line: &Entry) -> (Vec<u8>, Vec<u8>) {
    let Kind::Key { name, value, .. } = &line.kind else {
        return (Vec::new(), Vec::new());
    };
    let key = match name {
        Name::Text(range) => text[range.clone()].to_vec(),
        Name::Counted(number) => format!("#{number}").into_bytes(),
    };
    let value = match value {
        Content::File(range) => &text[range.clone()],
        Content::Joined(text) => text.expose(),
    };
    let mut unescaped = Vec::with_capacity(value.len());
    let mut copied = 0;
    for at in memchr::memmem::find_iter(value, b"\\n") {
        unescaped.extend_from_slice(&value[copied..at]);
        unescaped.push(b'\n');
        copied = at + 2;
    }
    unescaped.extend_from_slice(&value[copied..]);
    (key, unescaped)
}

/// Where the block with its surroundings begins: the blank line before it is its own, and where the file ends without a
/// line break, the one that ends the line before it as well.
fn cut_start(text: &[u8], header: usize, end: usize) -> usize {
    let mut start = header;
    let ends_line = |at: usize| {
        let before = &text[..at];
        if before.ends_with(b"\r\n") {
            Some(at - 2)
        } else if before.ends_with(b"\n") {
            Some(at - 1)
        } else {
            None
        }
    };
    if let Some(blank) = ends_line(start)
        && (blank == 0 || text[blank - 1] == b'\n')
    {
        start = blank;
    }
    if end == text.len()
        && !text.ends_with(b"\n")
        && let Some(open) = ends_line(start)
    {
        start = open;
    }
    start
}
