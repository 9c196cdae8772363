//! Reads JSON into nodes with spans: one pass, no recursion, strings without escapes stay where they are.

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::data::Data;
use crate::error::ParseError;
use crate::tree::{Block, Key, Node, NodeId, Span, Text, Tree, Value};

/// How deep collections may nest, as in the reference's own library.
const DEEPEST: usize = 10_000;

/// How deep the `sops` block may nest; real ones have five levels.
const DEEPEST_BLOCK: usize = 64;

/// The key of the block.
pub(super) const BLOCK: &[u8] = b"sops";

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads a whole file.
pub(super) fn parse(text: SecretBytes) -> Result<Tree, ParseError> {
    let bytes = text.expose();
    if u32::try_from(bytes.len()).is_err() {
        return Err(ParseError::at(b"", 0, "the file is larger than 4 GiB"));
    }
    if let Err(wrong) = std::str::from_utf8(bytes) {
        let at = wrong.valid_up_to();
        return Err(ParseError::at(bytes, at, "invalid UTF-8"));
    }
    let mut reader = Reader::new(bytes);
    reader.at = without_mark(bytes);
    reader.document()?;
    let (nodes, decoded) = (reader.nodes, reader.decoded.finish());
    let mut tree = Tree {
        text,
        decoded,
        nodes,
        documents: vec![0],
        blocks: Vec::new(),
        attachments: Vec::new(),
        hidden: Vec::new(),
    };
    take_block(&mut tree)?;
    Ok(tree)
}

/// Where the text begins after a byte order mark.
pub(super) fn without_mark(text: &[u8]) -> usize {
    if text.starts_with(BYTE_ORDER_MARK) {
        BYTE_ORDER_MARK.len()
    } else {
        0
    }
}

/// Reads one scalar that fills `text` entirely.
pub(super) fn parse_scalar(text: &[u8]) -> Option<Data> {
    std::str::from_utf8(text).ok()?;
    if !u32::try_from(text.len()).is_ok_and(|len| len > 0) {
        return None;
    }
    let mut reader = Reader::new(text);
    let value = reader.scalar().ok()?;
    if reader.at != text.len() {
        return None;
    }
    let decoded = reader.decoded.expose();
    Some(match value {
        Value::Null => Data::Null,
        Value::Bool(value) => Data::Bool(value),
        Value::Int(value) => Data::Int(value),
        Value::Float(value) => Data::Float(value),
        Value::Str(Text::File(span)) => Data::Str(SecretBytes::copy_of(&text[span.range()])),
        Value::Str(Text::Decoded(span)) => Data::Str(SecretBytes::copy_of(&decoded[span.range()])),
        _ => return None,
    })
}

/// Moves the `sops` member out of the nodes.
fn take_block(tree: &mut Tree) -> Result<(), ParseError> {
    let mut found = None;
    let mut before: Option<NodeId> = None;
    let mut last: Option<NodeId> = None;
    for child in tree.children(0) {
        if tree.key(child) == Some(BLOCK) {
            let at = tree.nodes[child].place as usize;
            if found.is_some() {
                return Err(ParseError::at(
                    tree.text.expose(),
                    at,
                    "a second sops block in one document",
                ));
            }
            found = Some(child);
            before = last;
        }
        last = Some(child);
    }
    let Some(node) = found else { return Ok(()) };
    let Node { site, end, .. } = tree.nodes[node];
    let end = end as usize;
    if tree.depth(node) > DEEPEST_BLOCK {
        let at = site.start as usize;
        let reason = "the sops block nests too deeply";
        return Err(ParseError::at(tree.text.expose(), at, reason));
    }
    let after = (end < tree.nodes.len()).then_some(end);
    let cut = match (before, after) {
        (Some(before), _) => {
            let from = tree.nodes[before].site.end as usize;
            let comma = memchr::memchr(b',', &tree.text.expose()[from..])
                .expect("a comma stands between two members");
            from + comma..site.end as usize
        }
        (None, Some(after)) => tree.nodes[node].place as usize..tree.nodes[after].place as usize,
        (None, None) => tree.nodes[0].site.start as usize + 1..site.end as usize,
    };
    let block = Block {
        cut: Span::new(cut),
        label: Span::default(),
        fields: tree
            .children(node)
            .filter(|_| tree.nodes[node].value == Value::Map)
            .map(|field| {
                let name = tree.key(field).unwrap_or_default();
                let name = String::from_utf8_lossy(name).into_owned();
                (name, tree.nodes[field].site)
            })
            .collect(),
        data: Data::of(tree, node),
    };
    tree.blocks.push(block);
    let removed = u32::try_from(end - node).expect("nodes are counted in 32 bits");
    tree.nodes.drain(node..end);
    tree.nodes[0].end -= removed;
    for later in &mut tree.nodes[node..] {
        later.end -= removed;
    }
    Ok(())
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    decoded: SecretWriter,
}

impl<'a> Reader<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            nodes: Vec::new(),
            decoded: SecretWriter::default(),
        }
    }

    fn document(&mut self) -> Result<(), ParseError> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => {}
            None => return Err(self.wrong("the file is empty, it must hold a JSON object")),
            Some(b'[') => {
                return Err(self.wrong(
                    "the top level must be an object; wrap the list in one, such as {\"data\": […]}",
                ));
            }
            Some(_) => return Err(self.wrong("the top level must be an object")),
        }
        let mut open = vec![self.open(Key::None, self.at, Value::Map)];
        while let Some(&top) = open.last() {
            self.skip_space();
            let is_map = self.nodes[top].value == Value::Map;
            let close = if is_map { b'}' } else { b']' };
            let is_first = self.nodes.len() == top + 1;
            match self.peek() {
                Some(byte) if byte == close => {
                    self.at += 1;
                    self.nodes[top].site.end = self.offset();
                    self.nodes[top].end = self.count();
                    open.pop();
                    continue;
                }
                Some(b',') if !is_first => {
                    self.at += 1;
                    self.skip_space();
                }
                Some(_) if is_first => {}
                Some(_) if is_map => {
                    return Err(self.wrong("expected a comma or the end of the object"));
                }
                Some(_) => return Err(self.wrong("expected a comma or the end of the list")),
                None => return Err(self.wrong("the file ends inside an object or a list")),
            }
            let place = self.at;
            let key = if is_map { self.key()? } else { Key::None };
            let value = match self.peek() {
                Some(b'{') => Value::Map,
                Some(b'[') => Value::List,
                _ => {
                    let start = self.at;
                    let value = self.scalar()?;
                    let end = self.count() + 1;
                    self.nodes.push(Node {
                        key,
                        value,
                        site: Span::new(start..self.at),
                        end,
                        place: Span::new(place..place).start,
                    });
                    continue;
                }
            };
            if open.len() == DEEPEST {
                return Err(self.wrong("objects and lists nest too deeply"));
            }
            open.push(self.open(key, place, value));
        }
        self.skip_space();
        if self.at < self.text.len() {
            return Err(self.wrong("text after the end of the document"));
        }
        Ok(())
    }

    fn open(&mut self, key: Key, place: usize, value: Value) -> NodeId {
        self.nodes.push(Node {
            key,
            value,
            site: Span::new(self.at..self.at),
            end: 0,
            place: Span::new(place..place).start,
        });
        self.at += 1;
        self.nodes.len() - 1
    }

    fn key(&mut self) -> Result<Key, ParseError> {
        if self.peek() != Some(b'"') {
            return Err(self.wrong("expected a key in double quotes"));
        }
        let key = Key::Text(self.string()?);
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(self.wrong("expected a colon after the key"));
        }
        self.at += 1;
        self.skip_space();
        Ok(key)
    }

    fn scalar(&mut self) -> Result<Value, ParseError> {
        match self.peek() {
            Some(b'"') => self.string().map(Value::Str),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true", Value::Bool(true)),
            Some(b'f') => self.word(b"false", Value::Bool(false)),
            Some(b'n') => self.word(b"null", Value::Null),
            Some(_) => Err(self.wrong("expected a value")),
            None => Err(self.wrong("the file ends where a value is expected")),
        }
    }

    fn word(&mut self, word: &[u8], value: Value) -> Result<Value, ParseError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.wrong("expected a value"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, ParseError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.wrong("expected a digit")),
        }
        if matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.wrong("a number may not start with a zero"));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).expect("digits are ASCII");
        if let Ok(value) = text.parse() {
            return Ok(Value::Int(value)); // a fraction or an exponent does not parse so
        }
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Value::Float(value)),
            _ => {
                self.at = start;
                Err(self.wrong("the number is outside the range of a 64-bit float"))
            }
        }
    }

    fn digits(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.wrong("expected a digit"));
        }
        Ok(())
    }

    /// Reads a string from its opening quote on.
    fn string(&mut self) -> Result<Text, ParseError> {
        let start = self.at + 1;
        let rest = &self.text[start..];
        let Some(stop) = memchr::memchr2(b'"', b'\\', rest) else {
            return Err(self.wrong("the string has no end"));
        };
        self.refuse_controls(start, start + stop)?;
        if rest[stop] == b'"' {
            self.at = start + stop + 1;
            return Ok(Text::File(Span::new(start..start + stop)));
        }
        let opening = self.at;
        let decoded_from = self.decoded.len();
        self.at = start;
        loop {
            let rest = &self.text[self.at..];
            let Some(stop) = memchr::memchr2(b'"', b'\\', rest) else {
                self.at = opening;
                return Err(self.wrong("the string has no end"));
            };
            self.refuse_controls(self.at, self.at + stop)?;
            self.decoded.push(&rest[..stop]);
            self.at += stop;
            if rest[stop] == b'"' {
                self.at += 1;
                return Ok(Text::Decoded(Span::new(decoded_from..self.decoded.len())));
            }
            self.escape()?;
        }
    }

    fn refuse_controls(&self, from: usize, to: usize) -> Result<(), ParseError> {
        match self.text[from..to].iter().position(|byte| *byte < 0x20) {
            None => Ok(()),
            Some(at) => Err(ParseError::at(
                self.text,
                from + at,
                "a control character in a string must be escaped",
            )),
        }
    }

    /// Reads an escape from its backslash on.
    fn escape(&mut self) -> Result<(), ParseError> {
        let byte = match self.text.get(self.at + 1) {
            Some(b'"') => b'"',
            Some(b'\\') => b'\\',
            Some(b'/') => b'/',
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(self.wrong("unknown escape in a string")),
        };
        self.decoded.push_byte(byte);
        self.at += 2;
        Ok(())
    }

    /// A surrogate without its partner becomes U+FFFD, as in the reference; its spelling stays in the file.
    fn unicode_escape(&mut self) -> Result<(), ParseError> {
        let Some(unit) = self.code_unit(self.at) else {
            return Err(self.wrong("expected four hexadecimal digits after \\u"));
        };
        self.at += 6;
        let pair = [unit, self.code_unit(self.at).unwrap_or_default()];
        let mut decoded = char::decode_utf16(pair);
        let first = decoded.next().expect("there are two units");
        if first.is_ok() && decoded.next().is_none() {
            self.at += 6; // both units made one character
        }
        let character = first.unwrap_or(char::REPLACEMENT_CHARACTER);
        let mut buffer = [0; 4];
        self.decoded
            .push(character.encode_utf8(&mut buffer).as_bytes());
        Ok(())
    }

    fn code_unit(&self, at: usize) -> Option<u16> {
        let escape = self.text.get(at..at + 6)?;
        if !escape.starts_with(b"\\u") || !escape[2..].iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let digits = std::str::from_utf8(&escape[2..]).expect("digits are ASCII");
        u16::from_str_radix(digits, 16).ok()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn offset(&self) -> u32 {
        Span::new(self.at..self.at).start
    }

    fn count(&self) -> u32 {
        u32::try_from(self.nodes.len()).expect("there are fewer nodes than bytes")
    }

    fn wrong(&self, reason: &str) -> ParseError {
        ParseError::at(self.text, self.at, reason)
    }
}
