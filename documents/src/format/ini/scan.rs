//! Reads INI line by line as the reference's library reads it, and says where everything lies.
//!
//! Its rules in short: a section name goes up to the last `]` of the line; a key goes up to the first `=` or `:`; a value
//! is trimmed, everything from its first `#` or `;` is a comment, one pair of quotes comes off; a value in backquotes or
//! triple quotes may have several lines and takes no comment on its own line; a backslash at the end of a line joins the
//! next. Comment lines wait for the next section or key, and a comment beside that one joins them.

use std::ops::Range;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

/// A section header or a key, with the comment lines before it.
pub(super) struct Entry {
    /// Comment lines, from the mark to the end of the line; blank lines between them are left out.
    pub(super) comments: Vec<Range<usize>>,
    /// The first byte of its first line.
    pub(super) start: usize,
    /// Just past its last line, the line break included.
    pub(super) end: usize,
    /// The comment beside it, from its mark.
    pub(super) inline: Option<Range<usize>>,
    /// What it is.
    pub(super) kind: Kind,
}

/// What an entry is.
pub(super) enum Kind {
    /// `[name]`.
    Section {
        /// The name.
        name: Range<usize>,
        /// What stands behind the bracket, trimmed.
        tail: Range<usize>,
    },
    /// `name = value`.
    Key {
        /// The name.
        name: Name,
        /// Where the name with its quotes ends.
        name_end: usize,
        /// The `=` or `:`.
        delimiter: usize,
        /// The bytes that another value replaces.
        site: Range<usize>,
        /// The value.
        value: Content,
    },
}

/// The name of a key.
pub(super) enum Name {
    /// In the text.
    Text(Range<usize>),
    /// `-`, which counts from 1 in each section.
    Counted(usize),
}

/// A value.
pub(super) enum Content {
    /// In the text as it is.
    File(Range<usize>),
    /// Joined from several lines.
    Joined(SecretBytes),
}

/// Everything in a file.
pub(super) struct Scan {
    /// Sections and keys.
    pub(super) entries: Vec<Entry>,
    /// Comment lines after the last of them.
    pub(super) trailing: Vec<Range<usize>>,
}

/// The bytes of a value, what it says, and the comment beside it.
type Found = (Range<usize>, Content, Option<Range<usize>>);

/// Where reading failed, and why.
pub(super) type Wrong = (usize, &'static str);

/// Reads a whole text.
pub(super) fn scan(text: &[u8]) -> Result<Scan, Wrong> {
    let mut scanner = Scanner {
        text,
        at: if text.starts_with(b"\xEF\xBB\xBF") {
            3
        } else {
            0
        },
    };
    if text.starts_with(b"\xFE\xFF") || text.starts_with(b"\xFF\xFE") {
        return Err((0, "UTF-16 is not read, only UTF-8"));
    }
    let mut scan = Scan {
        entries: Vec::new(),
        trailing: Vec::new(),
    };
    let mut counted = 0;
    while scanner.at < text.len() {
        let whole = scanner.line();
        let line = whole.start + trim_start(&text[whole.clone()])..whole.end;
        let entry = match text[line.clone()].first() {
            None => continue,
            Some(b'#' | b';') => {
                scan.trailing.push(line);
                continue;
            }
            Some(b'[') => {
                counted = 0;
                scanner.section(line)?
            }
            Some(_) => scanner.key(line, &mut counted)?,
        };
        scan.entries.push(Entry {
            comments: std::mem::take(&mut scan.trailing),
            start: whole.start,
            end: scanner.at,
            ..entry
        });
    }
    Ok(scan)
}

/// Reads the key at the start of a text.
pub(super) fn scan_key(text: &[u8]) -> Result<Entry, Wrong> {
    let mut scanner = Scanner { text, at: 0 };
    let line = scanner.line();
    scanner.key(line, &mut 0)
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    /// The next line with its line break; empty at the end.
    fn line(&mut self) -> Range<usize> {
        let start = self.at;
        self.at =
            memchr::memchr(b'\n', &self.text[start..]).map_or(self.text.len(), |at| start + at + 1);
        start..self.at
    }

    fn section(&self, line: Range<usize>) -> Result<Entry, Wrong> {
        let Some(close) = memchr::memrchr(b']', &self.text[line.clone()]) else {
            return Err((line.start, "the section name has no closing bracket"));
        };
        let name = line.start + 1..line.start + close;
        if name.is_empty() {
            return Err((line.start, "the section has no name"));
        }
        let tail = self.trimmed(name.end + 1..line.end);
        let inline = find_comment(&self.text[tail.clone()]).map(|at| tail.start + at..tail.end);
        Ok(Entry::new(inline, Kind::Section { name, tail }))
    }

    fn key(&mut self, line: Range<usize>, counted: &mut usize) -> Result<Entry, Wrong> {
        let text = self.text;
        let bytes = &text[line.clone()];
        let quote: &[u8] = match bytes[0] {
            b'"' if bytes.len() > 6 && bytes.starts_with(b"\"\"\"") => b"\"\"\"",
            b'"' => b"\"",
            b'`' => b"`",
            _ => b"",
        };
        let no_delimiter = (line.start, "the line has neither = nor :");
        let (name, name_end, delimiter) = if quote.is_empty() {
            let delimiter = find_delimiter(bytes).ok_or(no_delimiter)?;
            let name = self.trimmed(line.start..line.start + delimiter);
            let end = name.end;
            (name, end, line.start + delimiter)
        } else {
            let close = memchr::memmem::find(&bytes[quote.len()..], quote)
                .ok_or((line.start, "the key has no closing quote"))?;
            let after = close + 2 * quote.len();
            let delimiter = after + find_delimiter(&bytes[after..]).ok_or(no_delimiter)?;
            let start = line.start + quote.len();
            let name = self.trimmed(start..start + close);
            (name, line.start + after, line.start + delimiter)
        };
        if name.is_empty() {
            return Err((line.start, "the key has no name"));
        }
        let name = if &text[name.clone()] == b"-" {
            *counted += 1;
            Name::Counted(*counted)
        } else {
            Name::Text(name)
        };
        let (site, value, inline) = self.value(delimiter + 1..line.end)?;
        Ok(Entry::new(
            inline,
            Kind::Key {
                name,
                name_end,
                delimiter,
                site,
                value,
            },
        ))
    }

    fn value(&mut self, rest: Range<usize>) -> Result<Found, Wrong> {
        let text = self.text;
        let start = rest.start + trim_start(&text[rest.clone()]);
        if start == rest.end {
            let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
            let blanks = text[rest.clone()].iter().take_while(|byte| blank(byte));
            let at = rest.start + blanks.count();
            return Ok((at..at, Content::File(at..at), None));
        }
        let line = start..rest.end;
        let bytes = &text[line.clone()];
        let quote: &[u8] = match bytes {
            [b'"', b'"', b'"', _, ..] => b"\"\"\"",
            [b'`', ..] => b"`",
            _ => b"",
        };
        if !quote.is_empty() {
            let inner = start + quote.len();
            return match memchr::memmem::rfind(&text[inner..line.end], quote) {
                // What stands behind the closing quote is ignored, comments as well.
                Some(close) => {
                    let content = Content::File(inner..inner + close);
                    Ok((self.trimmed(line), content, None))
                }
                None => self.several_lines(start, inner, quote),
            };
        }
        let line = self.trimmed(line);
        if text[line.end - 1] == b'\\' {
            return Ok(self.continued(line));
        }
        let inline = find_comment(&text[line.clone()]).map(|at| line.start + at..line.end);
        let end = inline.as_ref().map_or(line.end, |comment| comment.start);
        let site = self.trimmed(line.start..end);
        let mut content = site.clone();
        let bytes = &text[site.clone()];
        if let [quote @ (b'"' | b'\''), inner @ .., last] = bytes
            && quote == last
            && !inner.contains(quote)
        {
            content = site.start + 1..site.end - 1;
        }
        Ok((site, Content::File(content), inline))
    }

    fn several_lines(&mut self, start: usize, inner: usize, quote: &[u8]) -> Result<Found, Wrong> {
        let text = self.text;
        loop {
            let line = self.line();
            let Some(close) = memchr::memmem::rfind(&text[line.clone()], quote) else {
                if !text[line.clone()].ends_with(b"\n") {
                    return Err((start, "the value has no closing quote"));
                }
                continue;
            };
            let close = line.start + close;
            let rest = self.trimmed(close + quote.len()..line.end);
            if text[rest.clone()].ends_with(b"\\") {
                if !text[line].ends_with(b"\n") {
                    return Err((start, "the value has no closing quote"));
                }
                continue; // a backslash behind the closing quote makes it none
            }
            let inline = find_comment(&text[rest.clone()]).map(|at| rest.start + at..rest.end);
            let end = inline.as_ref().map_or(rest.end, |comment| comment.start);
            let site = self.trimmed(start..end.max(close + quote.len()));
            return Ok((site, Content::File(inner..close), inline));
        }
    }

    fn continued(&mut self, first: Range<usize>) -> Found {
        let mut joined = SecretWriter::default();
        joined.push(&self.text[first.start..first.end - 1]);
        let mut end = first.end;
        loop {
            let line = self.line();
            let next = self.trimmed(line);
            if next.is_empty() {
                break;
            }
            end = next.end;
            joined.push(&self.text[next]);
            if !joined.expose().ends_with(b"\\") {
                break;
            }
            joined.truncate(joined.len() - 1);
        }
        (first.start..end, Content::Joined(joined.finish()), None)
    }

    fn trimmed(&self, range: Range<usize>) -> Range<usize> {
        let bytes = &self.text[range.clone()];
        let start = trim_start(bytes);
        let end = trim_end(&bytes[start..]) + start;
        range.start + start..range.start + end
    }
}

impl Entry {
    fn new(inline: Option<Range<usize>>, kind: Kind) -> Self {
        Self {
            comments: Vec::new(),
            start: 0,
            end: 0,
            inline,
            kind,
        }
    }
}

fn find_comment(text: &[u8]) -> Option<usize> {
    memchr::memchr2(b'#', b';', text)
}

fn find_delimiter(text: &[u8]) -> Option<usize> {
    memchr::memchr2(b'=', b':', text)
}

/// How many bytes of white space a text starts with, of Unicode's as well.
pub(super) fn trim_start(text: &[u8]) -> usize {
    let mut at = 0;
    while at < text.len() {
        let len = match text[at] {
            b' ' | 9..=13 => 1,
            0..0x80 => break,
            _ => {
                let longest = &text[at..text.len().min(at + 3)];
                match first_char(longest) {
                    Some(space) if space.is_whitespace() => space.len_utf8(),
                    _ => break,
                }
            }
        };
        at += len;
    }
    at
}

/// How long a text is without the white space at its end.
pub(super) fn trim_end(text: &[u8]) -> usize {
    let mut end = text.len();
    while end > 0 {
        let len = match text[end - 1] {
            b' ' | 9..=13 => 1,
            0..0x80 => break,
            _ => {
                // No white space takes more than three bytes.
                let found = (1..=end.min(3)).find_map(|len| {
                    let space = first_char(&text[end - len..end])?;
                    (space.len_utf8() == len).then_some(space)
                });
                match found {
                    Some(space) if space.is_whitespace() => space.len_utf8(),
                    _ => break,
                }
            }
        };
        end -= len;
    }
    end
}

fn first_char(text: &[u8]) -> Option<char> {
    text.utf8_chunks().next()?.valid().chars().next()
}
