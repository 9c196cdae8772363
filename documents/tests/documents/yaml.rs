//! Makes YAML with every style of value, key and comment.

#[path = "yaml/damage.rs"]
mod damage;
#[path = "yaml/flow.rs"]
mod flow;
#[path = "yaml/scalars.rs"]
mod scalars;

pub(crate) use damage::damage;

use super::generate::{Case, Dice, MARK};

/// What a document may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "each test has its own scope")]
pub(crate) enum Scope {
    /// Only what can be encrypted.
    Plain,
    /// Also what the format reads and the envelope refuses: keys that are no text, unsigned numbers, a document as an
    /// alias.
    Odd,
}

/// A stream of documents.
pub(crate) fn yaml(dice: &mut Dice, scope: Scope) -> Case {
    let newline = dice.pick(&["\n", "\n", "\n", "\n", "\r\n"]);
    let mut maker = Maker {
        dice,
        scope,
        anchors: Vec::new(),
        maps: Vec::new(),
        count: 0,
    };
    let mut pieces = Vec::new();
    let mut head = String::new();
    if maker.dice.roll(12) == 0 {
        head.push('\u{feff}');
    }
    match maker.dice.roll(14) {
        0 => head.push_str("---\n"),
        1 => head.push_str("# top\n\n---\n"),
        2 => head.push_str("%YAML 1.1\n---\n"),
        3 => head.push_str("\n\n"),
        4 => head.push_str("--- # on the line\n"),
        _ => {}
    }
    // Documents that stand further in, or in braces, are rewritten to be encrypted.
    let (indent, in_braces) = match maker.dice.roll(20) {
        0 | 1 => (1 + maker.dice.roll(4), false),
        2 => (0, true),
        _ => (0, false),
    };
    let count = if in_braces { 1 } else { maker.dice.roll(9) };
    for index in 0..count {
        if index > 0 && maker.dice.roll(25) == 0 {
            let between = [
                "---\n",
                "---\n# next\n",
                "...\n---\n",
                "...\n# x\n---\n",
                "--- # y\n",
            ];
            pieces.push(maker.dice.pick(&between).to_owned());
            maker.anchors.clear();
            maker.maps.clear();
        }
        let mut out = String::new();
        if in_braces {
            maker.braces(&mut out);
        } else {
            maker.entry(indent, 0, &mut out);
        }
        pieces.push(out);
    }
    if maker.dice.roll(8) == 0 {
        pieces.push(maker.comment());
    }
    let mut tail = match maker.dice.roll(10) {
        0 => "...\n",
        1 => "\n\n",
        2 => "\n# end\n",
        _ => "",
    }
    .to_owned();
    if pieces.is_empty() && !head.contains("---") {
        tail = "{}\n".into();
    }
    if maker.dice.roll(8) == 0 {
        // No line break at the end.
        let last = if tail.is_empty() {
            pieces.last_mut()
        } else {
            Some(&mut tail)
        };
        if let Some(last) = last {
            last.truncate(last.trim_end_matches('\n').len());
        }
    }
    let bytes = |text: String| text.replace('\n', newline).into_bytes();
    Case {
        head: bytes(head),
        pieces: pieces.into_iter().map(bytes).collect(),
        between: Vec::new(),
        tail: bytes(tail),
    }
}

struct Maker<'a> {
    dice: &'a mut Dice,
    scope: Scope,
    /// Names of values of any kind.
    anchors: Vec<String>,
    /// Names of maps.
    maps: Vec<String>,
    count: usize,
}

impl Maker<'_> {
    fn one_in(&mut self, count: usize) -> bool {
        self.dice.roll(count) == 0
    }

    fn secret(&mut self) -> String {
        format!("{MARK}{:x}", self.dice.roll(1 << 16))
    }

    fn comment(&mut self) -> String {
        let secret = self.secret();
        let shape = self
            .dice
            .pick(&["# ", "#", "#  ", "## ", "#\t", "# ключ: - "]);
        format!("{shape}{secret}\n")
    }

    fn comments(&mut self, indent: usize, out: &mut String) {
        if self.one_in(8) {
            out.push_str(self.dice.pick(&["\n", "\n", "  \n", "\n\n"]));
        }
        while self.one_in(7) {
            let indent = match self.dice.roll(8) {
                0 => indent + 1,
                1 => indent.saturating_sub(1),
                _ => indent,
            };
            let comment = self.comment();
            out.push_str(&" ".repeat(indent));
            out.push_str(&comment);
            if self.one_in(8) {
                out.push('\n');
            }
        }
    }

    /// One entry of a map, line ends included.
    fn entry(&mut self, indent: usize, depth: usize, out: &mut String) {
        self.comments(indent, out);
        out.push_str(&" ".repeat(indent));
        self.entry_behind(indent, depth, out);
    }

    /// One entry whose line has begun.
    fn entry_behind(&mut self, indent: usize, depth: usize, out: &mut String) {
        if !self.maps.is_empty() && self.one_in(12) {
            let one = self.maps[self.dice.roll(self.maps.len())].clone();
            let two = self.maps[self.dice.roll(self.maps.len())].clone();
            // A map may have the key only once.
            if depth > 0 && self.scope == Scope::Odd || self.one_in(3) {
                out.push_str(&match self.dice.roll(3) {
                    0 => format!("<<: [*{one}, *{two}]\n"),
                    _ => format!("<<: *{one}\n"),
                });
                return;
            }
        }
        let key = self.key();
        if self.one_in(25) {
            out.push_str(&format!("? {key}\n{}:", " ".repeat(indent)));
        } else {
            out.push_str(&key);
            out.push_str(self.dice.pick(&[":", ":", ":", ":", " :"]));
        }
        self.value(indent, depth, false, out);
    }

    fn key(&mut self) -> String {
        self.count += 1;
        let number = self.count;
        if self.scope == Scope::Odd && self.one_in(30) {
            let odd = [
                "1",
                "true",
                "~",
                "1.5",
                "2024-01-01",
                "!!binary aGk=",
                "null",
                "!!str 5",
                "&k x",
                "0x1F",
                "*a1 ",
                "yes",
                "a",
                "a",
                "!!int 7",
                "[a]",
                "{a: b}",
            ];
            return self.dice.pick(&odd).to_owned();
        }
        match self.dice.roll(14) {
            0 => format!("\"k{number}\""),
            1 => format!("'k{number}'"),
            2 => format!("\"k\\x41 {number}\""),
            3 => format!("key with blanks {number}"),
            4 => format!("ключ{number}"),
            5 => format!("k{number}_unencrypted"),
            6 => format!("pick_me{number}"),
            7 => format!("x:y{number}"),
            8 => format!("&k{number} k{number}"),
            9 => format!("!!str k{number}"),
            10 => format!("k{number}#'\"[{{"),
            _ => format!("k{number}"),
        }
    }

    /// What stands behind a colon or a dash, line end included.
    fn value(&mut self, indent: usize, depth: usize, in_list: bool, out: &mut String) {
        let inner = indent + [2, 2, 2, 4, 3, 1, 8][self.dice.roll(7)];
        let choices = if depth < 4 { 24 } else { 17 };
        let kind = self.dice.roll(choices);
        if !self.anchors.is_empty() && self.one_in(14) {
            let name = self.anchors[self.dice.roll(self.anchors.len())].clone();
            out.push_str(&format!(" *{name}"));
            return self.end_line(out);
        }
        let anchor = self.one_in(9).then(|| {
            self.count += 1;
            format!("a{}", self.count)
        });
        if let Some(name) = &anchor {
            out.push_str(&format!(" &{name}"));
        }
        match kind {
            0..=4 => {
                let scalar = self.plain();
                out.push_str(&format!(" {scalar}"));
                self.end_line(out);
            }
            5 => {
                let quoted = self.single(inner);
                out.push_str(&format!("{}{quoted}", self.blank()));
                self.end_line(out);
            }
            6 | 7 => {
                let quoted = self.double(inner);
                out.push_str(&format!("{}{quoted}", self.blank()));
                self.end_line(out);
            }
            8 => {
                // Plain text over several lines.
                out.push_str(&format!(" {}", self.secret()));
                for _ in 0..1 + self.dice.roll(3) {
                    let pad = " ".repeat(inner + self.dice.roll(3));
                    let line = self
                        .dice
                        .pick(&["two", "- dash", "a?b", "x#y", "é", "{", "\n"]);
                    match line {
                        "\n" => out.push_str(&format!("\n\n{pad}more")),
                        line => out.push_str(&format!("\n{pad}{line}")),
                    }
                }
                self.end_line(out);
            }
            9..=11 => self.block_scalar(indent, out),
            12 => {
                out.push_str(self.dice.pick(&["", " ", " ~", " null", " ''", " \"\""]));
                self.end_line(out);
            }
            13 => {
                let tagged = [
                    "!!str 5",
                    "!!int \"5\"",
                    "!!float 5",
                    "!!binary aGVsbG8=",
                    "!foo bar",
                    "!!str",
                    "!!null ''",
                    "!!bool \"true\"",
                    "!<tag:yaml.org,2002:str> 7",
                    "! 8",
                    "!!binary gIGC",
                    "!!timestamp 2024-01-01",
                    "!!set {x, y}",
                ];
                out.push_str(&format!(" {}", self.dice.pick(&tagged)));
                self.end_line(out);
            }
            14 | 15 => {
                let flow = self.flow(inner, depth + 1);
                out.push_str(&format!("{}{flow}", self.blank()));
                self.end_line(out);
            }
            16 => {
                let text = self
                    .dice
                    .pick(&["{}", "[]", "{ }", "[\n  ]", "{ # in\n    }"]);
                let text = text.replace("\n", &format!("\n{}", " ".repeat(inner)));
                out.push_str(&format!(" {text}"));
                self.end_line(out);
            }
            17..=20 if in_list && anchor.is_none() && self.one_in(2) => {
                // A map on the line of its dash.
                let blanks = 1 + self.dice.roll(3);
                out.push_str(&" ".repeat(blanks));
                self.entry_behind(indent + 1 + blanks, depth + 1, out);
                for _ in 0..self.dice.roll(3) {
                    self.entry(indent + 1 + blanks, depth + 1, out);
                }
            }
            17..=20 => {
                self.end_line(out);
                for _ in 0..1 + self.dice.roll(4) {
                    self.entry(inner, depth + 1, out);
                }
                if self.one_in(10) {
                    out.push_str(&" ".repeat(inner));
                    out.push_str(&self.comment());
                }
                if let Some(name) = &anchor {
                    self.maps.push(name.clone());
                }
            }
            _ if in_list && anchor.is_none() && self.one_in(2) => {
                // A list on the line of its dash.
                out.push_str(" -");
                self.value(indent + 2, depth + 1, true, out);
                for _ in 0..self.dice.roll(3) {
                    self.element(indent + 2, depth + 1, out);
                }
            }
            _ => {
                self.end_line(out);
                let column = if !in_list && self.one_in(3) {
                    indent
                } else {
                    inner
                };
                for _ in 0..1 + self.dice.roll(4) {
                    self.element(column, depth + 1, out);
                }
                if self.one_in(10) {
                    out.push_str(&" ".repeat(column));
                    out.push_str(&self.comment());
                }
            }
        }
        if let Some(name) = anchor {
            self.anchors.push(name);
        }
    }

    fn element(&mut self, indent: usize, depth: usize, out: &mut String) {
        self.comments(indent, out);
        out.push_str(&" ".repeat(indent));
        out.push('-');
        self.value(indent, depth, true, out);
    }

    fn blank(&mut self) -> &'static str {
        self.dice.pick(&[" ", " ", " ", "  ", " \t"])
    }

    fn end_line(&mut self, out: &mut String) {
        match self.dice.roll(12) {
            0 | 1 => {
                out.push_str(self.dice.pick(&[" ", "  ", "\t"]));
                out.push_str(&self.comment());
            }
            2 => out.push_str(" \n"),
            _ => out.push('\n'),
        }
    }
}
