//! Random documents, made of chunks that can be left out one by one.

/// A stream of pseudo-random numbers, the same for a seed in every run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5EED)
    }

    /// A number below `below`.
    pub(crate) fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % below as u64) as usize
    }

    pub(crate) fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.roll(100) < percent
    }
}

const KEYS: [&str; 16] = [
    "alpha",
    "beta",
    "data",
    "stringData",
    "password",
    "name_unencrypted",
    "token_enc",
    "x.y",
    "a:b",
    "with space",
    "ключ",
    "meta",
    "secret",
    "db-user",
    "K",
    "public",
];

const TEXTS: [&str; 23] = [
    "x",
    "<nil>",
    "hello world",
    "s3cr3t!",
    "päßwörd",
    "日本語",
    "😀 smile",
    "a: b",
    "- dash",
    "# hash",
    "it's",
    "say \"hi\"",
    "back\\slash",
    "<tag> & co",
    "yes",
    "null",
    "017",
    "1.0",
    "2024-01-01",
    "  lead",
    "trail ",
    "=",
    "ENC[",
];

/// A key that no other chunk of the document has: `number` makes it so.
fn key(dice: &mut Dice, number: usize) -> String {
    let name = dice.one(&KEYS);
    match name {
        "x.y" | "with space" | "ключ" => format!("{number}{name}"),
        _ if dice.chance(30) => format!("{name}{number}_{name}"),
        _ => format!("k{number}{name}"),
    }
}

/// The members of a JSON object.
pub(crate) fn json(dice: &mut Dice) -> Vec<String> {
    (0..2 + dice.roll(30))
        .map(|number| {
            let colon = dice.one(&[": ", ":", " : ", ":\n\t"]);
            let mut out = format!("{}{colon}", json_text(&key(dice, number), dice));
            json_value(dice, 0, &mut out);
            out
        })
        .collect()
}

fn json_text(text: &str, dice: &mut Dice) -> String {
    let escape_all = dice.chance(10);
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            _ if escape_all && (c as u32) < 0x10000 => {
                out.push_str(&format!("\\u{:04X}", c as u32))
            }
            '<' if dice.chance(50) => out.push_str("\\u003c"),
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

fn json_value(dice: &mut Dice, depth: usize, out: &mut String) {
    match dice.roll(if depth < 4 { 14 } else { 11 }) {
        0 => out.push_str("null"),
        1 => out.push_str(dice.one(&["true", "false"])),
        2 => out.push_str(dice.one(&[
            "0",
            "-1",
            "42",
            "9223372036854775807",
            "-9223372036854775808",
        ])),
        3 => out.push_str(dice.one(&[
            "1.5",
            "1.0",
            "-0.0",
            "1e3",
            "1E-7",
            "0.1",
            "123456789.5",
            "1e21",
            "5e-324",
            "9223372036854775808",
        ])),
        4 => out.push_str("\"\""),
        5 => {
            let text = format!("{}\n{}", dice.one(&TEXTS), dice.one(&TEXTS));
            out.push_str(&json_text(&text, dice));
        }
        6..=10 => {
            let text = dice.one(&TEXTS);
            out.push_str(&json_text(text, dice));
        }
        11 => {
            out.push_str(dice.one(&["[", "[ ", "[\n"]));
            for at in 0..dice.roll(5) {
                out.push_str(if at > 0 { ", " } else { "" });
                json_value(dice, depth + 1, out);
            }
            out.push(']');
        }
        _ => {
            out.push_str(dice.one(&["{", "{ ", "{\n  "]));
            for at in 0..dice.roll(5) {
                out.push_str(if at > 0 {
                    dice.one(&[",", ", ", ",\n    "])
                } else {
                    ""
                });
                out.push_str(&json_text(&key(dice, at), dice));
                out.push_str(": ");
                json_value(dice, depth + 1, out);
            }
            out.push('}');
        }
    }
}

/// The lines of a dotenv file.
pub(crate) fn dotenv(dice: &mut Dice) -> Vec<String> {
    (0..2 + dice.roll(30))
        .map(|number| match dice.roll(12) {
            0 => String::new(),
            1 | 2 => format!(
                "#{}",
                dice.one(&[" public", " note", "", " ключ", " sops:enc"])
            ),
            3 => format!("export {}{number}={}", dice.one(&KEYS), dice.one(&TEXTS)),
            4 => format!("E{number}="),
            5 => format!("M{number}=a\\nb{}", dice.one(&TEXTS)),
            6 => format!("Q{number}=\"{}\"", dice.one(&TEXTS)),
            _ => format!(
                "{}={}{}",
                key(dice, number),
                dice.one(&TEXTS),
                dice.one(&["", "\r", " "])
            ),
        })
        .collect()
}

/// The sections of an INI file; the first has no header.
pub(crate) fn ini(dice: &mut Dice) -> Vec<String> {
    (0..1 + dice.roll(6))
        .map(|section| {
            let mut out = if section == 0 {
                String::new()
            } else {
                format!(
                    "[{}{section}]\n",
                    dice.one(&["main", "data", "with space", "ключ"])
                )
            };
            for number in 0..dice.roll(8) {
                if dice.chance(20) {
                    out.push_str(&format!(
                        "{}{}\n",
                        dice.one(&["; ", "# ", ";"]),
                        dice.one(&["public", "note"])
                    ));
                }
                let value = dice.one(&[
                    "x",
                    "<nil>",
                    "hello world",
                    "päßwörd",
                    "\"quoted\"",
                    "'single'",
                    "`a#b`",
                    "5",
                    "true",
                    "\"\"\"two\nlines\"\"\"",
                    "https://x.example/?a=b",
                    "",
                ]);
                let name = dice.one(&[
                    "alpha",
                    "beta",
                    "data",
                    "name_unencrypted",
                    "token_enc",
                    "secret",
                ]);
                out.push_str(&format!(
                    "{name}{number}{}{value}\n",
                    dice.one(&["=", " = ", ": ", "   = "])
                ));
            }
            out
        })
        .collect()
}

/// The top-level entries of a YAML stream, with the comments and blank lines over them, and the marks between documents.
pub(crate) fn yaml(dice: &mut Dice) -> Vec<String> {
    let mut chunks = Vec::new();
    let mut has_anchor = false;
    let streams = dice.chance(20);
    for number in 0..2 + dice.roll(20) {
        if streams && dice.chance(15) {
            let mark = dice.one(&["---\n", "--- # next\n", "...\n---\n", "---\n# head\n"]);
            chunks.push(mark.to_owned());
            has_anchor = false;
        }
        let mut out = String::new();
        match dice.roll(12) {
            0 => {
                let value = dice.one(&[
                    "&x text",
                    "&x\n  in: 1\n  deep: [a, ~]",
                    "&x 0x1F",
                    "&x\n- one # first\n- two",
                    "&x {a: &y b, c: *y}",
                ]);
                out.push_str(&format!("k{number}anchor: {value}\n"));
                has_anchor = true;
            }
            1 | 2 if has_anchor => out.push_str(&alias(dice, number)),
            _ => yaml_entry(dice, number, 0, 0, &mut out),
        }
        chunks.push(out);
    }
    chunks
}

fn alias(dice: &mut Dice, number: usize) -> String {
    let value = dice.one(&[
        " *x\n",
        " *x # inline\n",
        "\n  - *x\n  - b\n",
        "\n  <<: *x\n  own: 1\n",
        " [*x, 1]\n",
        " {m: *x}\n",
    ]);
    format!("k{number}alias:{value}")
}

fn yaml_key(dice: &mut Dice, number: usize) -> String {
    let key = key(dice, number);
    match dice.roll(6) {
        0 => format!("\"{key}\""),
        1 => format!("'{key}'"),
        _ => key,
    }
}

fn yaml_entry(dice: &mut Dice, number: usize, indent: usize, depth: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    if dice.chance(10) {
        out.push('\n');
    }
    while dice.chance(12) {
        let text = dice.one(&[
            "# note",
            "#public",
            "# public",
            "#",
            "# ключ: x",
            "## twice",
            "# sops:enc",
        ]);
        out.push_str(&format!("{pad}{text}\n"));
    }
    out.push_str(&format!("{pad}{}:", yaml_key(dice, number)));
    yaml_value(dice, indent, depth, out);
}

/// What stands behind a key and its colon, line end included.
fn yaml_value(dice: &mut Dice, indent: usize, depth: usize, out: &mut String) {
    let inner = indent + [2, 2, 2, 4, 3, 1][dice.roll(6)];
    let pad = " ".repeat(inner);
    match dice.roll(if depth < 4 { 15 } else { 9 }) {
        0..=3 => {
            out.push(' ');
            out.push_str(&yaml_scalar(dice));
            if dice.chance(10) {
                out.push_str("  # inline");
            }
            out.push('\n');
        }
        4 => {
            let text = dice.one(&TEXTS).replace('\'', "''");
            out.push_str(&format!(" '{text}'\n"));
        }
        5 => {
            let text = dice.one(&TEXTS).replace('\\', "\\\\").replace('"', "\\\"");
            out.push_str(&format!(
                " \"{text}{}\"\n",
                dice.one(&["", "\\n", "\\t", "\\u00e9", "\\x41"])
            ));
        }
        6 => {
            out.push_str(dice.one(&[" |\n", " |-\n", " |+\n", " >\n", " >-\n"]));
            let pad = " ".repeat(inner.max(indent + 1));
            for _ in 0..1 + dice.roll(4) {
                let line = dice.one(&[
                    "line",
                    "another one",
                    "key: value",
                    "- item",
                    "ключ",
                    "# no comment",
                ]);
                out.push_str(&format!("{pad}{line}\n"));
                if dice.chance(15) {
                    out.push('\n');
                }
            }
        }
        7 => out.push_str(dice.one(&[
            " {}\n", " []\n", " ~\n", "\n", " null\n", " \"\"\n", " ''\n",
        ])),
        8 => out.push_str(dice.one(&[
            " [a, 1, true]\n",
            " {a: 1, b: x}\n",
            " [1, [2, 3], {k: v}]\n",
            " [\n  a,\n  b ]\n",
            " { 'q': \"w\" }\n",
        ])),
        9..=11 => {
            out.push('\n');
            for at in 0..1 + dice.roll(4) {
                yaml_entry(dice, at, inner, depth + 1, out);
            }
        }
        _ => {
            out.push('\n');
            let pad = if dice.chance(30) {
                " ".repeat(indent)
            } else {
                pad
            };
            for _ in 0..1 + dice.roll(4) {
                if dice.chance(10) {
                    out.push_str(&format!("{pad}# between\n"));
                }
                match dice.roll(5) {
                    0 if depth < 3 => {
                        let mut entry = String::new();
                        yaml_entry(dice, 0, pad.len() + 2, depth + 2, &mut entry);
                        let entry = entry.trim_start_matches('\n').to_owned();
                        match entry.trim_start().strip_prefix('#') {
                            Some(_) => out.push_str(&format!("{pad}- plain\n")),
                            None => {
                                out.push_str(&format!("{pad}- {}", entry.trim_start_matches(' ')))
                            }
                        }
                    }
                    1 => out.push_str(&format!("{pad}- - {}\n{pad}  - y\n", yaml_scalar(dice))),
                    _ => out.push_str(&format!("{pad}- {}\n", yaml_scalar(dice))),
                }
            }
        }
    }
}

fn yaml_scalar(dice: &mut Dice) -> String {
    dice.one(&[
        "x",
        "hello world",
        "päßwörd",
        "日本語",
        "42",
        "-7",
        "0x1F",
        "0o17",
        "017",
        "1_000",
        "1.5",
        "1.0",
        ".5",
        "1e3",
        "5.",
        "true",
        "False",
        "yes",
        "no",
        "null",
        "~",
        "2024-01-01",
        "2024-01-01T10:00:00.5+02:00",
        "2001-12-15 2:59:43.10",
        "12:30:45",
        "a:b",
        "it's",
        "a#b",
        "-a",
        "=",
        "\"q\"",
        "'s'",
        "09",
        "+5",
        "!!str 5",
        "!foo bar",
        "\"two\\nlines\"",
        "'it''s'",
        "https://x.example/?a=b&c=d",
        "😀",
        "!!float 5",
        "!!int \"5\"",
        "!!binary aGVsbG8=",
        "0b101",
        "0777",
        "1e400",
        "9223372036854775807",
        "99999999999999999999",
        "-0",
        "2001-12-14t21:59:43.10-05:00",
        "2001-12-14 21:59:43.10 -5",
        "<<",
        "a  b",
        "\"\\u2028 \\x07\"",
    ])
    .to_owned()
}
