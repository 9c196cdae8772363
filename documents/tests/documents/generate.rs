//! Makes documents with all that is odd in their format. Secret texts carry [`MARK`], so that a leak is found.

/// Stands in every secret value and comment, and in nothing else.
pub(crate) const MARK: &str = "s3cr3t";

/// A document in pieces that can be left out.
#[derive(Clone)]
pub(crate) struct Case {
    /// What stands before the pieces.
    pub(crate) head: Vec<u8>,
    /// Members, lines or bytes.
    pub(crate) pieces: Vec<Vec<u8>>,
    /// What stands between them.
    pub(crate) between: Vec<u8>,
    /// What stands behind them.
    pub(crate) tail: Vec<u8>,
}

impl Case {
    /// The whole document.
    pub(crate) fn text(&self) -> Vec<u8> {
        let inner = self.pieces.join(&self.between[..]);
        [&self.head[..], &inner, &self.tail].concat()
    }
}

/// Pseudo-random choices, the same for the same seed.
pub(crate) struct Dice(u64);

impl Dice {
    /// Starts from a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_F491_4F6C_DD1D))
    }

    /// A number below `below`.
    pub(crate) fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % below as u64) as usize
    }

    /// One of several.
    pub(crate) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.roll(count) == 0
    }

    fn secret(&mut self) -> String {
        format!("{MARK}{:x}", self.roll(1 << 16))
    }
}

/// JSON with every spelling of strings and numbers, and odd white space.
pub(crate) fn json(dice: &mut Dice) -> Case {
    let newline = dice.pick(&["\n", "\n", "\r\n", "", " "]);
    let indent = dice.pick(&["  ", "\t", "    ", "", " "]);
    let colon = dice.pick(&[": ", ":", " : ", ":\n"]);
    let mut pieces = Vec::new();
    for _ in 0..dice.roll(8) {
        let key = json_key(dice);
        let value = json_value(dice, 0);
        let blank = dice.pick(&["", "", "", " ", "\n\n"]);
        pieces.push(format!("{newline}{indent}{key}{colon}{value}{blank}").into_bytes());
    }
    let mark = if dice.one_in(10) { "\u{feff}" } else { "" };
    Case {
        head: format!("{mark}{}{{", dice.pick(&["", "", "\n", " "])).into_bytes(),
        pieces,
        between: b",".to_vec(),
        tail: format!("{newline}}}{}", dice.pick(&["\n", "", "\n\n", " \t"])).into_bytes(),
    }
}

fn json_key(dice: &mut Dice) -> String {
    let keys = [
        "\"a\"",
        "\"b\"",
        "\"\"",
        "\"x:y\"",
        "\"k\\u0065y\"",
        "\"sops_\"",
        "\"open_unencrypted\"",
        "\"pick_me\"",
        "\"ключ\"",
        "\"q\\\"\"",
    ];
    dice.pick(&keys).to_owned()
}

fn json_value(dice: &mut Dice, depth: usize) -> String {
    let secret = dice.secret();
    match dice.roll(if depth < 4 { 16 } else { 12 }) {
        0 => "null".into(),
        1 => dice.pick(&["true", "false"]).into(),
        2 => dice
            .pick(&[
                "0",
                "-0",
                "42",
                "9223372036854775807",
                "-9223372036854775808",
            ])
            .into(),
        3 => dice
            .pick(&[
                "1.0",
                "1e3",
                "1E+3",
                "-0.0",
                "0.1e-9",
                "9223372036854775808",
                "1e21",
                "1.50",
            ])
            .into(),
        4 => "\"\"".into(),
        5 => format!("\"{secret}\\u00e9\\u003C\\/\\t\\\\ <&>\""),
        6 => format!("\"{secret}\\ud83d\\ude00 \\ud800x\""),
        7 => format!("\"{secret}ж\u{1f600}\u{2028}\u{7f}\""),
        8 => format!("\"-----BEGIN\\n{secret}\\n-----END\\n\""),
        9 => format!("\"{}\"", secret.repeat(1 + dice.roll(40))),
        10 | 11 => format!("\"{secret}\""),
        12 | 13 => {
            let count = dice.roll(4);
            let values: Vec<String> = (0..count).map(|_| json_value(dice, depth + 1)).collect();
            let open = dice.pick(&["[", "[ ", "[\n\t\t"]);
            format!("{open}{}]", values.join(dice.pick(&[", ", ",", " ,\n"])))
        }
        _ => {
            let count = dice.roll(4);
            let members: Vec<String> = (0..count)
                .map(|_| format!("{}: {}", json_key(dice), json_value(dice, depth + 1)))
                .collect();
            format!("{{{}}}", members.join(dice.pick(&[", ", ",", ",\r\n    "])))
        }
    }
}

/// dotenv with all that other readers would interpret.
pub(crate) fn dotenv(dice: &mut Dice) -> Case {
    let newline = dice.pick(&["\n", "\n", "\n", "\r\n"]);
    let mut pieces = Vec::new();
    for _ in 0..dice.roll(10) {
        let key = dice.pick(&[
            "A",
            "B",
            "export C",
            "D ",
            "",
            " e",
            "pick_me",
            "F_unencrypted",
            "sops",
            "Ж",
        ]);
        let secret = dice.secret();
        let line = match dice.roll(12) {
            0 if newline == "\n" => Vec::new(),
            0 | 1 => format!("#{}{secret}", dice.pick(&["", " ", "# "])).into_bytes(),
            2 => b"#".to_vec(),
            3 => format!("{key}=").into_bytes(),
            4 => format!("{key}=\"{secret} # x\" # y").into_bytes(),
            5 => format!("{key}= {secret}\\nmore\\\\n\\ ").into_bytes(),
            6 => [format!("{key}={secret}").as_bytes(), b"\xff\xe9\0"].concat(),
            7 => format!("{key}='{secret}'=$HOME`x`").into_bytes(),
            _ => format!("{key}={secret}").into_bytes(),
        };
        pieces.push(line);
    }
    Case {
        head: if dice.one_in(10) {
            b"\xef\xbb\xbf#".to_vec()
        } else {
            Vec::new()
        },
        tail: if pieces.is_empty() || dice.one_in(4) {
            Vec::new()
        } else {
            newline.as_bytes().to_vec()
        },
        pieces,
        between: newline.as_bytes().to_vec(),
    }
}

/// INI with every way to write a key, a value and a comment.
pub(crate) fn ini(dice: &mut Dice) -> Case {
    let newline = dice.pick(&["\n", "\n", "\n", "\r\n"]);
    let mut pieces = Vec::new();
    for _ in 0..dice.roll(14) {
        pieces.push(ini_line(dice, newline).into_bytes());
    }
    Case {
        head: if dice.one_in(10) {
            b"\xef\xbb\xbf".to_vec()
        } else {
            Vec::new()
        },
        tail: if pieces.is_empty() || dice.one_in(4) {
            Vec::new()
        } else {
            newline.as_bytes().to_vec()
        },
        pieces,
        between: newline.as_bytes().to_vec(),
    }
}

fn ini_line(dice: &mut Dice, newline: &str) -> String {
    let keys = [
        "a",
        "b",
        "  c",
        "\"q=r\"",
        "`s:t`",
        "\"\"\"u\"\"\"",
        "-",
        "pick_me",
        "v_unencrypted",
        "w x",
        "ж",
    ];
    let key = dice.pick(&keys);
    let equals = dice.pick(&[" = ", "=", ":", " : ", "\t=  "]);
    let secret = dice.secret();
    let value = match dice.roll(14) {
        0 => String::new(),
        1 => format!("\"{secret}\""),
        2 => format!("' {secret} '"),
        3 => format!("`{secret} # ; \" '`"),
        4 => format!("\"\"\"{secret}\"\"\" {secret}"),
        5 => format!("\"\"\"{secret}{newline}  two {newline}{newline}three\"\"\""),
        6 => format!("`{secret}{newline}[x]{newline}` ; {secret}"),
        7 => format!("{secret}\\{newline}  {secret}"),
        8 => format!("\"{secret}\" {secret}"),
        9 => format!("C:\\{secret}"),
        10 => format!("  {secret}   "),
        _ => secret.clone(),
    };
    match dice.roll(16) {
        0 => String::new(),
        1 => dice
            .pick(&[
                "[s]",
                "[t]",
                "  [u v]",
                "[DEFAULT]",
                "[pick_me]",
                "[w_unencrypted]",
            ])
            .into(),
        2 => format!("[{}] ; {secret}", dice.pick(&["s", "x", "y]z"])),
        3 => format!("[j] {secret}"),
        4 | 5 => format!("{}{secret}", dice.pick(&["; ", "#", "  # ", ";;; ", "#;"])),
        6 => dice.pick(&["#", ";", " ##  "]).into(),
        7 => format!("{key}{equals}{value} ; {secret}"),
        8 => format!("{key}{equals}#{secret}"),
        _ => format!("{key}{equals}{value}"),
    }
}

/// Bytes of any kind, and text that looks like something.
pub(crate) fn binary(dice: &mut Dice) -> Case {
    let mut pieces = Vec::new();
    for _ in 0..dice.roll(6) {
        let piece = match dice.roll(6) {
            0 => b"{\"data\": \"x\", \"sops\": {\"version\": \"1\"}}".to_vec(),
            1 => b"{\"sops\": ".to_vec(),
            2 => b"ENC[AES256_GCM,data:".to_vec(),
            3 => vec![0; dice.roll(40)],
            _ => (0..dice.roll(400)).map(|_| dice.roll(256) as u8).collect(),
        };
        pieces.push(piece);
        pieces.push(dice.secret().into_bytes());
    }
    Case {
        head: Vec::new(),
        pieces,
        between: Vec::new(),
        tail: Vec::new(),
    }
}
