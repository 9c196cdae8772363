//! Makes YAML with comments at every position, keys of every spelling, empty collections and documents, and aliases.

use super::{Case, Dice};

/// A stream of documents, in pieces that can be left out.
pub(super) fn yaml(dice: &mut Dice) -> Case {
    let mut writer = Writer {
        dice,
        anchors: Vec::new(),
        count: 0,
    };
    let mut head = String::new();
    match writer.dice.roll(16) {
        0 => head.push_str("---\n"),
        1 => {
            let comment = writer.comment();
            head.push_str(&format!("%YAML 1.1\n---\n{comment}\n\n"));
        }
        2 => {
            let comment = writer.comment();
            head.push_str(&format!("--- {comment}\n"));
        }
        3 => {
            let comment = writer.comment();
            head.push_str(&format!("---\n{comment}\n\n"));
        }
        4 => {
            let comment = writer.comment();
            head.push_str(&format!("{comment}\n\n"));
        }
        _ => {}
    }
    let mut pieces = Vec::new();
    let is_stream = writer.dice.roll(6) == 0;
    let count = 1 + writer.dice.roll(6);
    for index in 0..count {
        if is_stream && index > 0 && writer.dice.roll(3) == 0 {
            writer.anchors.clear();
            pieces.push(writer.between_documents());
            if writer.dice.roll(3) == 0 {
                pieces.push(writer.empty_document());
                pieces.push(writer.between_documents());
            }
        }
        pieces.push(writer.entry(0, 0));
    }
    if is_stream && writer.dice.roll(4) == 0 {
        let empty = writer.empty_document() + &writer.between_documents();
        pieces.insert(0, empty);
    }
    if writer.dice.roll(5) == 0 {
        pieces.extend(writer.alias_of_a_collection());
    }
    if writer.dice.roll(6) == 0 {
        let blank = writer.dice.pick(&["", "\n"]).to_owned();
        let comment = writer.comment();
        pieces.push(format!("{blank}{comment}\n"));
    }
    Case {
        head: head.into_bytes(),
        pieces: pieces.into_iter().map(String::into_bytes).collect(),
        between: Vec::new(),
        tail: Vec::new(),
    }
}

struct Writer<'a> {
    dice: &'a mut Dice,
    /// Anchors of collections, and of scalars.
    anchors: Vec<(String, bool)>,
    count: usize,
}

impl Writer<'_> {
    fn one_in(&mut self, count: usize) -> bool {
        self.dice.roll(count) == 0
    }

    fn comment(&mut self) -> String {
        self.count += 1;
        let number = self.count;
        match self.dice.roll(12) {
            0 => "#".into(),
            1..=4 => format!("# note {number}"),
            5 => format!("#note{number}"),
            _ => format!("# c{number}"),
        }
    }

    /// A comment on the rest of a line, mostly none, and the end of the line.
    fn line_end(&mut self, often: usize) -> String {
        match self.one_in(often) {
            true => format!(" {}\n", self.comment()),
            false => "\n".into(),
        }
    }

    /// Lines of comments and blank lines, mostly none.
    fn lines(&mut self, column: usize) -> String {
        let mut out = String::new();
        while self.one_in(7) {
            if self.one_in(4) {
                out.push('\n');
            }
            let column = match self.dice.roll(8) {
                0 => column + 2,
                1 => column.saturating_sub(2),
                _ => column,
            };
            out.push_str(&format!("{}{}\n", " ".repeat(column), self.comment()));
            if self.one_in(4) {
                out.push('\n');
            }
        }
        out
    }

    fn between_documents(&mut self) -> String {
        match self.dice.roll(6) {
            0 => format!("--- {}\n", self.comment()),
            1 => format!("---\n{}\n", self.comment()),
            2 => "...\n---\n".into(),
            3 => format!("...\n{}\n---\n", self.comment()),
            _ => "---\n".into(),
        }
    }

    fn empty_document(&mut self) -> String {
        match self.dice.roll(5) {
            0 => format!("{{}} {}\n", self.comment()),
            1 => format!("{}\n{{}}\n", self.comment()),
            2 => "null\n".into(),
            _ => "{}\n".into(),
        }
    }

    fn key(&mut self) -> String {
        self.count += 1;
        let number = self.count;
        match self.dice.roll(14) {
            0 => format!("\"q {number}\""),
            1 => format!("'it''s{number}'"),
            2 => format!("{}{number}", "long".repeat(35)),
            3 => format!("? \"a\\nb{number}\"\n"),
            4 => format!("? plain{number}\n"),
            5 => format!("w{number}_unencrypted"),
            6 => format!("data{number}"),
            7 => format!("a{number}a"),
            _ => format!("k{number}"),
        }
    }

    /// Blanks, a key, its colon and its value, up to the end of the line.
    fn entry(&mut self, column: usize, depth: usize) -> String {
        let above = self.lines(column);
        above + &" ".repeat(column) + &self.entry_here(column, depth)
    }

    /// The same without what stands before it.
    fn entry_here(&mut self, column: usize, depth: usize) -> String {
        let key = self.key();
        let mut out = key.clone();
        if key.ends_with('\n') {
            if self.one_in(6) {
                out.insert_str(key.len() - 1, &format!(" {}", self.comment()));
            }
            out.push_str(&" ".repeat(column));
        }
        out.push(':');
        out + &self.value(column, depth, false)
    }

    /// What stands behind a colon or a dash.
    fn value(&mut self, column: usize, depth: usize, in_list: bool) -> String {
        let end = self.line_end(4);
        match self.dice.roll(if depth < 3 { 24 } else { 15 }) {
            0..=4 => format!(" {}{end}", self.scalar()),
            5 => end,
            6 => format!(
                " {}{end}",
                self.dice.pick(&["[]", "{}", "~", "\"\"", "[ ]", "{ }"])
            ),
            7 => format!(" {}{end}", self.flow(0)),
            8 => {
                let first = self.line_end(2);
                let (open, close) = [("[", "]"), ("{", "}")][self.dice.roll(2)];
                let pad = " ".repeat(column + 3);
                let inner = match open {
                    "[" => self.scalar(),
                    _ => format!("f: {}", self.scalar()),
                };
                let second = self.line_end(4);
                format!(" {open}{first}{pad}{inner}{second}{pad}{close}{end}")
            }
            9 if !self.anchors.is_empty() => {
                let at = self.dice.roll(self.anchors.len());
                format!(" *{}{end}", self.anchors[at].0)
            }
            10 => {
                let name = self.anchor(false);
                match self.dice.roll(3) {
                    0 => format!(" &{name}{end}"),
                    _ => format!(" &{name} {}{end}", self.scalar()),
                }
            }
            11 => format!(" {}{end}", self.dice.pick(&["!", "!!str", "!!null"])),
            12 => {
                let mark = self.dice.pick(&["|", "|-", ">", "|+"]);
                let pad = " ".repeat(column + 2);
                format!(" {mark}\n{pad}text\n{pad}more\n")
            }
            13 => {
                let name = self.anchor(true);
                format!(" &{name} {}{end}", self.flow(0))
            }
            14 => format!(" {}{end}", self.scalar()),
            15..=18 => self.block(column, depth, in_list, String::new()),
            19 | 20 => {
                let name = format!(" &{}", self.anchor(true));
                self.block(column, depth, in_list, name)
            }
            _ => self.block(column, depth, in_list, String::new()),
        }
    }

    /// A collection and, as the last entry of the document, its alias with a comment: upstream finds it on the line of the block.
    fn alias_of_a_collection(&mut self) -> Option<String> {
        let mut of_collections = self
            .anchors
            .iter()
            .filter(|(_, is_collection)| *is_collection);
        let name = of_collections.next_back()?.0.clone();
        let key = self.key();
        let end = self.line_end(1);
        key.ends_with(|c: char| c != '\n')
            .then(|| format!("{key}: *{name}{end}"))
    }

    fn anchor(&mut self, is_collection: bool) -> String {
        self.count += 1;
        let name = format!("x{}", self.count);
        self.anchors.push((name.clone(), is_collection));
        name
    }

    /// A collection below its key or dash; its anchor is not named in it.
    fn block(&mut self, column: usize, depth: usize, in_list: bool, anchor: String) -> String {
        let own = anchor.trim_start_matches([' ', '&']).to_owned();
        let known = self.anchors.len();
        if !own.is_empty() {
            self.anchors.retain(|(name, _)| *name != own);
        }
        let is_list = self.dice.roll(2) == 0;
        let steps = [2, 2, 4, 0, 1];
        let step = match self.dice.roll(steps.len()) {
            3 if !is_list || in_list => 2,
            at => steps[at],
        };
        let inner = column + step;
        let count = 1 + self.dice.roll(3);
        // The first element may stand on the line of the dash.
        let is_compact = in_list && anchor.is_empty() && self.one_in(2);
        let mut out = String::new();
        if is_compact {
            out.push(' ');
        } else {
            out.push_str(&anchor);
            out.push_str(&self.line_end(5));
        }
        for index in 0..count {
            let is_here = is_compact && index == 0;
            let column = if is_compact { column + 2 } else { inner };
            if !is_here {
                out.push_str(&self.lines(column));
                out.push_str(&" ".repeat(column));
            }
            if is_list {
                out.push('-');
                out.push_str(&self.value(column, depth + 1, true));
            } else {
                out.push_str(&self.entry_here(column, depth + 1));
            }
        }
        if self.one_in(6) {
            let column = if is_compact { column + 2 } else { inner };
            out.push_str(&format!("{}{}\n", " ".repeat(column), self.comment()));
        }
        if !own.is_empty() {
            let _ = known;
            self.anchors.push((own, true));
        }
        out
    }

    fn flow(&mut self, depth: usize) -> String {
        let count = self.dice.roll(4);
        let is_list = self.dice.roll(2) == 0;
        let items: Vec<String> = (0..count)
            .map(|_| {
                let value = match self.dice.roll(6) {
                    0 if depth < 2 => self.flow(depth + 1),
                    1 if !self.anchors.is_empty() => {
                        let at = self.dice.roll(self.anchors.len());
                        format!("*{} ", self.anchors[at].0)
                    }
                    _ => self.flow_scalar(),
                };
                self.count += 1;
                match is_list {
                    true => value,
                    false => format!("f{}: {value}", self.count),
                }
            })
            .collect();
        let (open, close) = if is_list { ("[", "]") } else { ("{", "}") };
        format!("{open}{}{close}", items.join(", "))
    }

    fn flow_scalar(&mut self) -> String {
        self.count += 1;
        match self.dice.roll(4) {
            0 => self.dice.pick(&["1", "true", "1.5", "null"]).into(),
            1 => format!("\"s {}\"", self.count),
            _ => format!("s{}", self.count),
        }
    }

    fn scalar(&mut self) -> String {
        self.count += 1;
        match self.dice.roll(10) {
            0 => self
                .dice
                .pick(&["1", "true", "1.5", "0x1F", "2024-01-01", "null"])
                .into(),
            1 => format!("\"s {}\"", self.count),
            2 => format!("'s {}'", self.count),
            3 => format!("s{} two words", self.count),
            _ => format!("s{}", self.count),
        }
    }
}
