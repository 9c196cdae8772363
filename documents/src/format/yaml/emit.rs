//! Writes values afresh, in upstream's layout: blocks, one entry per line.

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::data::Data;
use crate::error::EmitError;
use crate::format::{Layout, indentation};

use super::characters::{self, break_len};
use super::read::UNIT;
use super::spell::{self, Spot, next_level};

/// A key longer than this is written behind `?`, as the reference does.
const MAX_SIMPLE_KEY: usize = 128;

/// The columns per level that were asked for.
pub(super) fn unit_of(layout: Layout, default: usize) -> Result<usize, EmitError> {
    match layout.indent {
        None => Ok(default),
        Some(0) => Ok(UNIT),
        Some(indent @ 2..=9) => Ok(usize::try_from(indent).expect("between 2 and 9")),
        Some(1 | 10..) => Ok(2),
        Some(_) => Err(EmitError::new(
            "",
            "the indentation of YAML cannot be negative",
        )),
    }
}

/// Writes documents with `---` between them.
pub(super) fn documents(documents: &[Data], unit: usize) -> Result<SecretBytes, EmitError> {
    let mut emitter = Emitter::new(unit);
    for (index, document) in documents.iter().enumerate() {
        if index > 0 {
            emitter.out.push(b"---\n");
        }
        emitter.document(document)?;
    }
    Ok(emitter.out.finish())
}

/// Writes blocks of lines.
pub(super) struct Emitter {
    pub(super) out: SecretWriter,
    unit: usize,
    /// Whether what is written is read as the very data: floats without a fraction stay floats, and comments stay in their
    /// collection.
    is_exact: bool,
    /// The path to what is being written, for messages.
    path: Vec<String>,
    /// How many blanks stand before lines.
    blanks: usize,
}

impl Emitter {
    pub(super) fn new(unit: usize) -> Self {
        Self {
            out: SecretWriter::default(),
            unit,
            is_exact: false,
            path: Vec::new(),
            blanks: 0,
        }
    }

    /// One whose output is read as the very data that were written.
    pub(super) fn exact(unit: usize) -> Self {
        Self {
            is_exact: true,
            ..Self::new(unit)
        }
    }

    /// Writes a document that must be a map.
    pub(super) fn document(&mut self, document: &Data) -> Result<(), EmitError> {
        match document {
            Data::Map(entries) if has_values(entries.iter().map(|(_, value)| value)) => {
                self.map(entries, 0, false)
            }
            Data::Map(entries) => {
                self.comments(entries.iter().map(|(_, value)| value), 0)?;
                self.out.push(b"{}\n");
                Ok(())
            }
            _ => Err(EmitError::new("", "a YAML document must be a map")),
        }
    }

    /// Writes a value that stands for itself.
    pub(super) fn lone(&mut self, value: &Data) -> Result<(), EmitError> {
        match value {
            Data::Map(_) => self.document(value),
            Data::List(items) if has_values(items.iter()) => self.list(items, 0, false),
            Data::List(_) => {
                self.out.push(b"[]\n");
                Ok(())
            }
            _ => {
                let spot = self.spot(0, true);
                let scalar = value.as_scalar().expect("not a collection");
                spell::scalar(scalar, &spot, &mut self.out)?;
                self.out.push_byte(b'\n');
                Ok(())
            }
        }
    }

    /// Writes one entry of a map, from its column on to the end of its last line.
    pub(super) fn entry(
        &mut self,
        key: &[u8],
        value: &Data,
        inline: &[&Data],
        column: usize,
    ) -> Result<(), EmitError> {
        self.path.push(String::from_utf8_lossy(key).into_owned());
        let is_simple =
            key.len() <= MAX_SIMPLE_KEY && (0..key.len()).all(|at| break_len(&key[at..]) == 0);
        if is_simple {
            let spot = self.spot(column, false);
            spell::string(key, &spot, &mut self.out);
        } else {
            self.out.push(b"? ");
            let spot = self.spot(column, true);
            spell::string(key, &spot, &mut self.out);
            self.out.push_byte(b'\n');
            self.indent(column)?;
        }
        self.out.push_byte(b':');
        self.value(value, inline, column, next_level(column, self.unit))?;
        self.path.pop();
        Ok(())
    }

    /// Writes what stands behind a colon or a dash, up to the end of its last line.
    fn value(
        &mut self,
        value: &Data,
        inline: &[&Data],
        column: usize,
        deeper: usize,
    ) -> Result<(), EmitError> {
        match value {
            Data::Map(entries) if has_values(entries.iter().map(|(_, value)| value)) => {
                self.out.push_byte(b'\n');
                self.map(entries, deeper, false)?;
                return self.comments(inline.iter().copied(), column);
            }
            Data::List(items) if has_values(items.iter()) => {
                self.out.push_byte(b'\n');
                self.list(items, deeper, false)?;
                return self.comments(inline.iter().copied(), column);
            }
            Data::Map(entries) => {
                let inside: Vec<&Data> = entries.iter().map(|(_, value)| value).collect();
                self.empty(b"{}", &inside, deeper)?;
            }
            Data::List(items) => {
                let inside: Vec<&Data> = items.iter().collect();
                self.empty(b"[]", &inside, deeper)?;
            }
            _ => {
                self.out.push_byte(b' ');
                let spot = self.spot(column, inline.is_empty());
                let scalar = value.as_scalar().expect("not a collection");
                let from = self.out.len();
                let written = spell::scalar(scalar, &spot, &mut self.out);
                written.map_err(|error| EmitError::new(self.path.join("."), error.reason))?;
                if self.is_exact {
                    stay_float(value, from, &mut self.out);
                }
            }
        }
        let mut rest = inline;
        if let [Data::Comment { text, .. }, others @ ..] = inline {
            self.out.push(b" #");
            self.comment_line(text.expose())?;
            rest = others;
        }
        self.out.push_byte(b'\n');
        self.comments(rest.iter().copied(), column)
    }

    fn empty(&mut self, sign: &[u8], inside: &[&Data], deeper: usize) -> Result<(), EmitError> {
        if inside.is_empty() {
            self.out.push_byte(b' ');
        } else {
            self.out.push_byte(b'\n');
            self.comments(inside.iter().copied(), deeper)?;
            self.indent(deeper)?;
        }
        self.out.push(sign);
        Ok(())
    }

    /// Writes the entries of a map that has some; `begun` when the line of the first one has begun already.
    pub(super) fn map(
        &mut self,
        entries: &[(SecretBytes, Data)],
        column: usize,
        mut begun: bool,
    ) -> Result<(), EmitError> {
        let mut index = 0;
        let mut last = None;
        while let Some((key, value)) = entries.get(index) {
            index += 1;
            if let Data::Comment { .. } = value {
                // Above a dash they are written by the list.
                if !begun {
                    self.comments([value].into_iter(), column)?;
                }
                continue;
            }
            last = Some((index, value));
            if !begun {
                self.indent(column)?;
            }
            begun = false;
            let inline = entries[index..]
                .iter()
                .map(|(_, value)| value)
                .take_while(|value| matches!(value, Data::Comment { inline: true, .. }))
                .collect::<Vec<_>>();
            index += inline.len();
            self.entry(key.expose(), value, &inline, column)?;
        }
        self.part_from_what_follows(last.filter(|(at, _)| *at < index));
        Ok(())
    }

    /// Writes the elements of a list that has some; `begun` when the line of the first one has begun already.
    pub(super) fn list(
        &mut self,
        items: &[Data],
        column: usize,
        mut begun: bool,
    ) -> Result<(), EmitError> {
        let mut index = 0;
        let mut last = None;
        while let Some(item) = items.get(index) {
            index += 1;
            if let Data::Comment { .. } = item {
                if !begun {
                    self.comments([item].into_iter(), column)?;
                }
                continue;
            }
            last = Some((index, item));
            if let (Data::Map(entries), false, false) = (item, begun, self.is_exact) {
                let above = entries.iter().map(|(_, value)| value);
                let above = above.take_while(|value| matches!(value, Data::Comment { .. }));
                if has_values(entries.iter().map(|(_, value)| value)) {
                    self.comments(above, column)?;
                }
            }
            if !begun {
                self.indent(column)?;
            }
            begun = false;
            self.path.push(index.to_string());
            self.out.push_byte(b'-');
            let inline = items[index..]
                .iter()
                .take_while(|value| matches!(value, Data::Comment { inline: true, .. }))
                .collect::<Vec<_>>();
            index += inline.len();
            // Comments are all that is left.
            let is_followed = index < items.len() && !has_values(items[index..].iter());
            match item {
                // As a block it would take the comments behind it, or give them to a collection further out.
                _ if self.is_exact && is_followed && has_entries(item) && !has_comments(item) => {
                    self.out.push_byte(b' ');
                    flow(item, &mut self.out)?;
                    self.out.push_byte(b'\n');
                    self.comments(inline.into_iter(), column)?;
                }
                // On the line of the dash the comments above its first value would belong to the list around it.
                _ if self.is_exact && begins_with_comment(item) => {
                    self.value(item, &inline, column, column + 2)?;
                }
                Data::Map(entries) if has_values(entries.iter().map(|(_, value)| value)) => {
                    self.out.push_byte(b' ');
                    self.map(entries, column + 2, true)?;
                    self.comments(inline.into_iter(), column)?;
                }
                Data::List(items) if has_values(items.iter()) => {
                    self.out.push_byte(b' ');
                    self.list(items, column + 2, true)?;
                    self.comments(inline.into_iter(), column)?;
                }
                _ => self.value(item, &inline, column, column + 2)?,
            }
            self.path.pop();
        }
        self.part_from_what_follows(last.filter(|(at, _)| *at < index));
        Ok(())
    }

    /// Ends the comments behind the last value of a collection in a blank line where that value is a block: without one they
    /// would be read as a part of the block.
    fn part_from_what_follows(&mut self, last: Option<(usize, &Data)>) {
        let is_block = last.is_some_and(|(_, value)| has_entries(value));
        if self.is_exact && is_block {
            self.out.push_byte(b'\n');
        }
    }

    /// Writes comments, each on its own lines. Those of INI have several, and the marks of the later ones are in their text.
    fn comments<'a>(
        &mut self,
        comments: impl Iterator<Item = &'a Data>,
        column: usize,
    ) -> Result<(), EmitError> {
        for comment in comments {
            if let Data::Comment { text, .. } = comment {
                for (at, line) in text.expose().split(|byte| *byte == b'\n').enumerate() {
                    self.indent(column)?;
                    match (at, line.starts_with(b"#")) {
                        (0, _) => self.out.push_byte(b'#'),
                        (_, false) => self.out.push(b"# "),
                        (_, true) => {}
                    }
                    self.comment_line(line)?;
                    self.out.push_byte(b'\n');
                }
            }
        }
        Ok(())
    }

    fn comment_line(&mut self, line: &[u8]) -> Result<(), EmitError> {
        let is_line = (0..line.len()).all(|at| break_len(&line[at..]) == 0);
        if !is_line || characters::check(line).is_err() {
            let reason = "a comment with characters that YAML has no place for";
            return Err(EmitError::new(self.path.join("."), reason));
        }
        self.out.push(line);
        Ok(())
    }

    fn indent(&mut self, column: usize) -> Result<(), EmitError> {
        self.blanks += column;
        let others = self.out.len().saturating_sub(self.blanks);
        if indentation::is_excessive(self.blanks, others, indentation::IN_A_DOCUMENT) {
            return Err(EmitError::new(self.path.join("."), indentation::EXCESSIVE));
        }
        for _ in 0..column {
            self.out.push_byte(b' ');
        }
        Ok(())
    }

    fn spot(&self, column: usize, allows_block: bool) -> Spot {
        Spot {
            in_flow: false,
            allows_block,
            // A comment behind a text that keeps its blank lines is read as one about another entry.
            allows_keep: !self.is_exact,
            column,
            unit: self.unit,
        }
    }
}

fn has_entries(value: &Data) -> bool {
    match value {
        Data::Map(entries) => has_values(entries.iter().map(|(_, value)| value)),
        Data::List(items) => has_values(items.iter()),
        _ => false,
    }
}

fn begins_with_comment(value: &Data) -> bool {
    let first = match value {
        Data::Map(entries) => entries.first().map(|(_, value)| value),
        Data::List(items) => items.first(),
        _ => None,
    };
    matches!(first, Some(Data::Comment { .. }))
}

fn has_comments(value: &Data) -> bool {
    match value {
        Data::Map(entries) => entries.iter().any(|(_, value)| has_comments(value)),
        Data::List(items) => items.iter().any(has_comments),
        value => matches!(value, Data::Comment { .. }),
    }
}

fn has_values<'a>(mut values: impl Iterator<Item = &'a Data>) -> bool {
    values.any(|value| !matches!(value, Data::Comment { .. }))
}

/// Writes a value on one line, as it may stand anywhere. Comments have no place there.
pub(super) fn flow(value: &Data, out: &mut SecretWriter) -> Result<(), EmitError> {
    let spot = Spot {
        in_flow: true,
        allows_block: false,
        allows_keep: false,
        column: 0,
        unit: UNIT,
    };
    match value {
        Data::Map(entries) => {
            out.push_byte(b'{');
            let mut is_first = true;
            for (key, value) in entries {
                if matches!(value, Data::Comment { .. }) {
                    continue;
                }
                if !is_first {
                    out.push(b", ");
                }
                is_first = false;
                if key.len() > MAX_SIMPLE_KEY {
                    out.push(b"? ");
                }
                spell::string(key.expose(), &spot, out);
                out.push(b": ");
                flow(value, out)?;
            }
            out.push_byte(b'}');
        }
        Data::List(items) => {
            out.push_byte(b'[');
            let mut is_first = true;
            for item in items
                .iter()
                .filter(|item| !matches!(item, Data::Comment { .. }))
            {
                if !is_first {
                    out.push(b", ");
                }
                is_first = false;
                flow(item, out)?;
            }
            out.push_byte(b']');
        }
        Data::Comment { .. } => {}
        _ => {
            let from = out.len();
            spell::scalar(value.as_scalar().expect("not a collection"), &spot, out)?;
            stay_float(value, from, out);
        }
    }
    Ok(())
}

/// Gives a float whose text begins at `from` a fraction if it has none. The reference lets it become an integer.
fn stay_float(value: &Data, from: usize, out: &mut SecretWriter) {
    let is_digit = |byte: &u8| byte.is_ascii_digit() || *byte == b'-';
    if matches!(value, Data::Float(_)) && out.expose()[from..].iter().all(is_digit) {
        out.push(b".0");
    }
}
