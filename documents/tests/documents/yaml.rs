//! Makes YAML with every style of value, key and comment.

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

/// Puts in, takes out and repeats what matters to the grammar.
pub(crate) fn damage(mut case: Case, dice: &mut Dice) -> Case {
    const PIECES: [&str; 52] = [
        "\n",
        " ",
        "  ",
        "#",
        " #x",
        "- ",
        "-",
        ": ",
        ":",
        "? ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "'",
        "\"",
        "|",
        ">",
        "|+\n",
        ">-\n",
        "&x ",
        "*x",
        "!!str ",
        "!",
        "%",
        "---\n",
        "...\n",
        "\t",
        "\r\n",
        "\r",
        "\u{85}",
        "\u{2028}",
        "\\",
        "a: b\n",
        "x",
        "1",
        "~",
        "<<: ",
        "\u{feff}",
        "\u{7f}",
        "é",
        "@",
        "`",
        "!<",
        "|2",
        "\n\n",
        "\n# c\n",
        "%YAML 1.2\n",
        "- - ",
        "? - ",
        "\0",
    ];
    for _ in 0..=dice.roll(3) {
        if case.pieces.is_empty() {
            break;
        }
        let which = dice.roll(case.pieces.len());
        let piece = &mut case.pieces[which];
        let boundary = |piece: &[u8], mut at: usize| {
            while piece.get(at).is_some_and(|byte| byte & 0xC0 == 0x80) {
                at += 1;
            }
            at
        };
        let at = boundary(piece, dice.roll(piece.len() + 1));
        let end = boundary(piece, (at + dice.roll(4)).min(piece.len()));
        let new = PIECES[dice.roll(PIECES.len())].as_bytes();
        match dice.roll(4) {
            0 => drop(piece.splice(at..end, new.iter().copied())),
            1 => drop(piece.drain(at..end)),
            _ => drop(piece.splice(at..at, new.iter().copied())),
        }
    }
    case
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

    fn plain(&mut self) -> String {
        let secret = self.secret();
        if self.scope == Scope::Odd && self.one_in(25) {
            let odd = [
                "18446744073709551615",
                "9223372036854775808",
                "!!int abc",
                "!!float 1e400",
                "*unknown",
                "\"\\q\"",
                "!!binary %",
                "- x",
                "a: b",
                "@x",
                "`x",
                "%x",
                "&a &b x",
                "!!int 0x",
                "[",
                "}",
                "'",
                "\"",
                "\tx",
                "? x",
                "! !x y",
                "!a!b c",
                "<<",
                "!!merge <<",
            ];
            return self.dice.pick(&odd).to_owned();
        }
        match self.dice.roll(4) {
            0 => self
                .dice
                .pick(&[
                    "true",
                    "True",
                    "FALSE",
                    "yes",
                    "No",
                    "on",
                    "y",
                    "N",
                    "null",
                    "Null",
                    "~",
                    "0",
                    "-0",
                    "42",
                    "+5",
                    "0x1F",
                    "0o17",
                    "017",
                    "0777",
                    "09",
                    "0b11",
                    "-0b11",
                    "1_000",
                    "1__0",
                    "9223372036854775807",
                    "-9223372036854775808",
                    "18446744073709551616",
                    "1.5",
                    ".5",
                    "5.",
                    "1e3",
                    "1E+3",
                    "12e03",
                    "1_000.5",
                    "-1.5e-7",
                    "1e21",
                    "100000.0",
                    "1000000.0",
                    ".inf",
                    "-.Inf",
                    "+.INF",
                    ".nan",
                    ".NaN",
                    "1e400",
                    "1.2.3",
                    "_",
                    "0x",
                    "0xg",
                    "-",
                    "+",
                    ".",
                    "..",
                    "...x",
                    "---x",
                    "=",
                    "<<",
                    "2024-01-01",
                    "2024-1-1",
                    "2024-01-01T10:00:00.5+02:00",
                    "2001-12-14t21:59:43.10-05:00",
                    "2001-12-15 2:59:43.10",
                    "2001-12-14 21:59:43.10 -5",
                    "2024-13-45",
                    "20:30:20",
                    "190:20:30",
                    "12:30:45.6",
                    "0o8",
                    "08",
                    "0.",
                    "1e",
                    "inf",
                    "nan",
                    "0b2",
                    "-0x1f",
                    "+0o7",
                    "1,000",
                    "2024-01-01T10:00:00Z",
                    "2024-02-30",
                    "0001-01-01",
                ])
                .into(),
            1 => format!(
                "{secret}{}",
                self.dice.pick(&[
                    ":x",
                    "#y",
                    " 'z'",
                    "\"",
                    "[]",
                    "{}",
                    ", ,",
                    " - -",
                    "?",
                    "!",
                    "&*",
                    "%@`",
                    "é\u{2029}",
                    "\u{1f600}",
                    "\u{a0}",
                    "=",
                    "\\n",
                    "://x.example/?a=b&c=d",
                ])
            )
            .replace('\u{2029}', "ж"),
            2 => format!("-{secret}"),
            _ => secret,
        }
    }

    fn single(&mut self, inner: usize) -> String {
        let secret = self.secret();
        let pad = " ".repeat(inner);
        match self.dice.roll(6) {
            0 => format!("'{secret}\n{pad}folded'"),
            1 => format!("'{secret}  \n\n{pad}  folded '"),
            2 => format!("' it''s {secret}: # '"),
            3 => self
                .dice
                .pick(&["'5'", "'true'", "'~'", "' '", "'2024-01-01'", "''''"])
                .into(),
            _ => format!("'{secret}'"),
        }
    }

    fn double(&mut self, inner: usize) -> String {
        let secret = self.secret();
        let pad = " ".repeat(inner);
        match self.dice.roll(8) {
            0 => format!("\"{secret}\n{pad}folded\""),
            1 => format!("\"{secret}\\\n{pad}\\  joined\\t\""),
            2 => format!("\"{secret}\\n\\x41\\u00e9\\U0001F600\\0\\a\\e\\_\\N\\L\\P\\\"\\\\\""),
            3 => format!("\" {secret}  \n\n\n{pad}far \""),
            4 => self
                .dice
                .pick(&[
                    "\"5\"",
                    "\"true\"",
                    "\"\\x00\"",
                    "\" \"",
                    "\"\\n\\n\"",
                    "\"\\ \"",
                ])
                .into(),
            5 => format!("\"-----BEGIN X\\n{secret}\\n-----END X\\n\""),
            _ => format!("\"{secret}\""),
        }
    }

    fn block_scalar(&mut self, indent: usize, out: &mut String) {
        let mark = self.dice.pick(&["|", "|", ">"]);
        let chomp = self.dice.pick(&["", "", "-", "+"]);
        let deeper = 1 + self.dice.roll(5);
        let tells = self.one_in(4);
        out.push(' ');
        out.push_str(mark);
        if tells && self.one_in(2) {
            out.push_str(&format!("{chomp}{deeper}"));
        } else if tells {
            out.push_str(&format!("{deeper}{chomp}"));
        } else {
            out.push_str(chomp);
        }
        if self.one_in(12) {
            out.push(' ');
            out.push_str(&self.comment());
        } else {
            out.push_str(self.dice.pick(&["\n", "\n", "\n", " \n"]));
        }
        let pad = " ".repeat(indent + deeper);
        for index in 0..self.dice.roll(5) {
            let lead = if index > 0 || tells {
                self.dice.pick(&["", "", "", "  ", "\t"])
            } else {
                ""
            };
            let secret = self.secret();
            let line = match self.dice.roll(8) {
                0 => "\n".into(),
                1 => format!("{pad}{lead}# {secret}\n"),
                2 => format!("{pad}{lead}{secret}: - [\n"),
                3 => format!("{pad}{lead}{secret}  \n"),
                4 => format!("{pad}{lead}ключ {secret}\n"),
                5 if index > 0 => format!("{pad}  \n"),
                _ => format!("{pad}{lead}{secret}\n"),
            };
            out.push_str(&line);
        }
        while self.one_in(5) {
            out.push('\n');
        }
    }

    /// A document in braces.
    fn braces(&mut self, out: &mut String) {
        let inner = self.dice.roll(5);
        let flow = self.flow_of(true, inner, 1);
        out.push_str(&" ".repeat(self.dice.roll(3)));
        out.push_str(&flow);
        self.end_line(out);
    }

    fn flow(&mut self, inner: usize, depth: usize) -> String {
        let is_map = self.one_in(2);
        self.flow_of(is_map, inner, depth)
    }

    fn flow_of(&mut self, is_map: bool, inner: usize, depth: usize) -> String {
        let pad = " ".repeat(inner);
        let count = self.dice.roll(4);
        let mut out = String::from(if is_map { "{" } else { "[" });
        let breaks = self.one_in(4);
        let space = |maker: &mut Self, out: &mut String| {
            if breaks {
                if maker.one_in(6) {
                    out.push(' ');
                    out.push_str(&maker.comment());
                    out.push_str(&pad);
                } else {
                    out.push_str(&format!("\n{pad}"));
                }
            } else {
                out.push_str(maker.dice.pick(&["", " ", " "]));
            }
        };
        for index in 0..count {
            space(self, &mut out);
            if is_map || self.one_in(10) {
                let key = self
                    .key()
                    .replace(['[', '{', '#', '\'', '"'], "_")
                    .replace("x:y", "xy");
                let quoted = self.one_in(4);
                self.count += 1;
                match self.dice.roll(12) {
                    0 => out.push_str(&format!("? {key} : ")),
                    1 if is_map => {
                        out.push_str(&key);
                        out.push_str(if index + 1 < count { ", " } else { " " });
                        continue;
                    }
                    _ if quoted => out.push_str(&format!("\"q{}\":", self.count)),
                    _ => out.push_str(&format!("{key}: ")),
                }
            }
            let value = self.flow_value(inner, depth);
            out.push_str(&value);
            if index + 1 < count || self.one_in(6) {
                out.push_str(self.dice.pick(&[",", ",", " ,"]));
                if !breaks {
                    out.push(' ');
                }
            }
        }
        space(self, &mut out);
        out.push(if is_map { '}' } else { ']' });
        out
    }

    fn flow_value(&mut self, inner: usize, depth: usize) -> String {
        if !self.anchors.is_empty() && self.one_in(12) {
            let name = &self.anchors[self.dice.roll(self.anchors.len())];
            return format!("*{name} ");
        }
        match self.dice.roll(if depth < 4 { 10 } else { 7 }) {
            0 => self.single(inner),
            1 | 2 => self.double(inner),
            3 => self
                .dice
                .pick(&[
                    "1",
                    "true",
                    "~",
                    "null",
                    "0x1F",
                    "1.50",
                    "2024-01-01",
                    "no",
                    "''",
                ])
                .into(),
            4 => format!("!!str {}", self.secret()),
            5 | 6 => format!(
                "{}{}",
                self.secret(),
                self.dice
                    .pick(&["", "", " two", ":x", "-", "\n "])
                    .replace("\n", &format!("\n{}", " ".repeat(inner)))
            )
            .trim_end()
            .to_owned(),
            _ => self.flow(inner, depth + 1),
        }
    }
}
