//! Plain texts that are made to take time and memory, each of about a given size.

/// A text, and the name that says its format.
pub(super) struct Attack {
    pub(super) name: &'static str,
    /// The end of the file's name.
    pub(super) suffix: &'static str,
    pub(super) text: String,
}

/// An ordinary file of that size: short values, each on a line of its own.
pub(super) fn ordinary(suffix: &str, size: usize) -> String {
    match suffix {
        "json" => format!(
            "{{{}\"k\": 1}}",
            numbered(size, |at| format!("\"k{at}\": \"v\",\n"))
        ),
        "ini" => "[s]\n".to_owned() + &numbered(size, |at| format!("k{at} = v\n")),
        "env" => numbered(size, |at| format!("k{at}=v\n")),
        "bin" => "x".repeat(size),
        _ => numbered(size, |at| format!("k{at}: v\n")),
    }
}

/// All of them.
pub(super) fn all(size: usize) -> Vec<Attack> {
    let mut list = yaml(size);
    list.extend(json(size));
    list.extend(dotenv(size));
    list.extend(ini(size));
    list.push(Attack {
        name: "zeros",
        suffix: "bin",
        text: "\0".repeat(size),
    });
    list
}

fn yaml(size: usize) -> Vec<Attack> {
    let levels = (2 * size).isqrt();
    let deep = |unit: &str| {
        (0..levels)
            .map(|at| format!("{}{unit}", " ".repeat(at)))
            .collect::<String>()
    };
    let half = size / 2;
    named(
        "yaml",
        [
            (
                "flow lists in each other",
                format!("a: {}{}\n", "[".repeat(half), "]".repeat(half)),
            ),
            (
                "flow maps in each other",
                format!("a: {}{}\n", "{a: ".repeat(size / 5), "}".repeat(size / 5)),
            ),
            (
                "flow lists that never end",
                format!("a: {}", "[".repeat(size)),
            ),
            (
                "block maps in each other",
                deep("a:\n") + &" ".repeat(levels) + "b: 1\n",
            ),
            (
                "block lists in each other",
                "a:\n".to_owned() + &deep("-\n"),
            ),
            (
                "lists on one line",
                format!("a:\n  {}x\n", "- ".repeat(half)),
            ),
            (
                "explicit keys in each other",
                format!("{}x\n", "? ".repeat(half)),
            ),
            (
                "explicit keys",
                numbered(size, |at| format!("? k{at}\n: v\n")),
            ),
            ("comments below thousands of levels", {
                let levels = (half * 2).isqrt();
                let blocks: String = (0..levels)
                    .map(|at| format!("{}a:\n", " ".repeat(at)))
                    .collect();
                let pad = " ".repeat(levels.min(1_000));
                blocks
                    + &" ".repeat(levels)
                    + "b: 1\n"
                    + &format!("{pad}# c\n").repeat(half / (levels.min(1_000) + 4))
            }),
            ("comments at falling depths", {
                let levels = size.isqrt();
                let down: String = (0..levels)
                    .map(|at| format!("{}a:\n", " ".repeat(at)))
                    .collect();
                let up: String = (0..levels)
                    .rev()
                    .map(|at| format!("{}# c\n", " ".repeat(at)))
                    .collect();
                down + &" ".repeat(levels) + "b: 1\n" + &up
            }),
            ("anchors", numbered(size, |at| format!("k{at}: &x{at} v\n"))),
            (
                "one anchor again and again",
                numbered(size, |at| format!("k{at}: &x v\n")),
            ),
            (
                "aliases of a scalar",
                format!("a: &x v\nb: [{}]\n", "*x, ".repeat(size / 4)),
            ),
            (
                "aliases of a long scalar",
                format!(
                    "a: &x {}\nb: [{}]\n",
                    "x".repeat(half),
                    "*x, ".repeat(size / 8)
                ),
            ),
            (
                "aliases of a list",
                format!("a: &x [1, 2, 3]\nb: [{}]\n", "*x, ".repeat(size / 4)),
            ),
            (
                "aliases of comments",
                format!(
                    "a: &x\n{}  k: 1\nb:\n{}",
                    "  # c\n".repeat(half / 6),
                    "- *x\n".repeat(half / 5)
                ),
            ),
            (
                "aliases of a list with many comments",
                format!(
                    "a:\n{}- &x [1]\nb: [{}]\n",
                    "# c\n".repeat(half / 4),
                    "*x, 1, ".repeat(half / 7)
                ),
            ),
            (
                "a wide list below a thousand levels",
                format!(
                    "{}[{}1]{}\n",
                    "{a: ".repeat(900),
                    "1, ".repeat(size / 3),
                    "}".repeat(900)
                ),
            ),
            ("aliases far to the right", {
                let far = " ".repeat(size.isqrt());
                let entries = numbered(half, |at| format!("  k{at}: v\n"));
                let aliases = numbered(half, |at| format!("{far}k{at}: *x\n"));
                format!("a: &x\n  # c\n{entries}b:\n{aliases}")
            }),
            ("documents behind anchors", {
                let anchors = numbered(half, |at| format!("k{at}: &x{at} v # c\n"));
                anchors + &"---\na: b\nsops: {mac: x}\n".repeat(half / 26)
            }),
            ("aliases of aliases", {
                let first = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
                (1..30).fold(first, |all, at| {
                    all + &format!(
                        "a{at}: &a{at} [{}]\n",
                        vec![format!("*a{}", at - 1); 9].join(", ")
                    )
                })
            }),
            (
                "merges",
                "a: &x {k: v}\n".to_owned() + &numbered(size, |at| format!("k{at}: {{<<: *x}}\n")),
            ),
            (
                "an alias in itself",
                format!("a: &x [{}*x]\n", "*x, ".repeat(size / 4)),
            ),
            (
                "comments on their own lines",
                "a: 1\n".to_owned() + &"# c\n".repeat(size / 4) + "b: 1\n",
            ),
            (
                "comments at the end",
                "a: 1\n".to_owned() + &"# c\n".repeat(size / 4),
            ),
            (
                "comments and blank lines",
                "a: 1\n".to_owned() + &"# c\n\n".repeat(size / 5),
            ),
            (
                "comments beside values",
                numbered(size, |at| format!("k{at}: v # c\n")),
            ),
            (
                "comments in a list",
                "a:\n".to_owned() + &"- x\n# c\n".repeat(size / 8),
            ),
            (
                "comments of nothing in a list",
                "a:\n".to_owned() + &"-\n# c\n".repeat(size / 6),
            ),
            (
                "comments in brackets",
                format!("a: [ # c\n{}x]\n", " x, # c\n".repeat(size / 8)),
            ),
            (
                "comments behind tags",
                "a:\n".to_owned() + &"- ! # c\n".repeat(size / 8),
            ),
            (
                "empty comments",
                "a:\n".to_owned() + &"- x\n#\n".repeat(size / 6),
            ),
            ("one comment", format!("a: 1 # {}\n", "c".repeat(size))),
            ("documents", "a: 1\n---\n".repeat(size / 9) + "a: 1\n"),
            ("empty documents", "---\n".repeat(size / 4)),
            (
                "documents in braces",
                "{a: 1}\n---\n".repeat(size / 11) + "a: 1\n",
            ),
            (
                "ends of documents",
                format!("a: 1\n{}", "...\n".repeat(size / 4)),
            ),
            ("a long key", format!("{}: v\n", "k".repeat(size))),
            (
                "a long explicit key",
                format!("? {}\n: v\n", "k".repeat(size)),
            ),
            (
                "long keys",
                format!("{}: v\n", "k".repeat(1_000)).repeat(1 + size / 1_004),
            ),
            ("digits", format!("a: {}\n", "9".repeat(size))),
            ("hexadecimal digits", format!("a: 0x{}\n", "f".repeat(size))),
            (
                "digits after a point",
                format!("a: 0.{}\n", "9".repeat(size)),
            ),
            ("a large exponent", format!("a: 1e{}\n", "9".repeat(size))),
            ("underscores", format!("a: 1{}\n", "_1".repeat(half))),
            ("sixties", format!("a: 1{}\n", ":59".repeat(size / 3))),
            ("numbers", numbered(size, |at| format!("k{at}: 1e5\n"))),
            (
                "a large indentation",
                format!("a:\n{}b: 1\n", " ".repeat(size)),
            ),
            (
                "growing blanks",
                (0..size.isqrt())
                    .map(|at| format!("k{at}:{}v\n", " ".repeat(at + 1)))
                    .collect(),
            ),
            ("byte order marks", "\u{feff}".repeat(size / 3) + "a: 1\n"),
            (
                "marks inside",
                format!("a: {}\n", "\u{feff}".repeat(size / 3)),
            ),
            ("CRLF", numbered(size, |at| format!("k{at}: v\r\n"))),
            ("CR", numbered(size, |at| format!("k{at}: v\r"))),
            ("NUL", format!("a: {}\n", "\0".repeat(size))),
            ("line breaks", "\n".repeat(size)),
            (
                "line breaks in a text",
                format!("a: \"x{}y\"\n", "\n".repeat(size)),
            ),
            (
                "line breaks in a plain text",
                format!("a: x{} y\n", "\n".repeat(size)),
            ),
            (
                "a folded text",
                "a: >\n".to_owned() + &"  x\n".repeat(size / 4),
            ),
            (
                "a folded text of blank lines",
                format!("a: >\n  x\n{}", "\n".repeat(size)),
            ),
            (
                "a kept text of blank lines",
                format!("a: |+\n  x\n{}", "\n".repeat(size)),
            ),
            (
                "block texts",
                numbered(size, |at| format!("k{at}: |\n  v\n")),
            ),
            ("a wide list", format!("a: [{}]\n", "1, ".repeat(size / 3))),
            (
                "a wide map",
                format!("a: {{{}}}\n", numbered(size, |at| format!("k{at}: v, "))),
            ),
            (
                "a wide list of nothing",
                format!("a: [{}x]\n", "~, ".repeat(size / 3)),
            ),
            ("pairs", format!("a: [{}]\n", "a: b, ".repeat(size / 6))),
            ("duplicate keys", "a: 1\n".repeat(size / 5)),
            (
                "duplicate keys in braces",
                format!("a: {{{}}}\n", "a: 1, ".repeat(size / 6)),
            ),
            (
                "a quote that never ends",
                format!("a: \"{}", "x".repeat(size)),
            ),
            ("escapes", format!("a: \"{}\"\n", "\\x41".repeat(size / 4))),
            ("single quotes", format!("a: '{}'\n", "''".repeat(half))),
            ("tags", numbered(size, |at| format!("k{at}: !t v\n"))),
            ("a long tag", format!("a: !{} v\n", "t".repeat(size))),
            (
                "directives",
                numbered(size, |at| format!("%TAG !t{at}! !\n")) + "---\na: 1\n",
            ),
            (
                "unknown directives",
                "%X\n".repeat(size / 3) + "---\na: 1\n",
            ),
            ("colons", ":".repeat(size)),
            ("question marks", "?\n".repeat(half)),
            ("dashes", "- \n".repeat(size / 3)),
            ("tabs", format!("a:{}1\n", "\t".repeat(size))),
            (
                "possible keys",
                format!("[{}]\n", "\"a\" ".repeat(size / 4)),
            ),
            (
                "wide breaks",
                format!("a: \"{}\"\n", "\u{2028}".repeat(size / 3)),
            ),
            (
                "binary",
                format!("a: !!binary {}\n", "AAAA".repeat(size / 4)),
            ),
            (
                "bad ciphertexts",
                numbered(size, |at| format!("k{at}: ENC[AES256_GCM,data:\n")),
            ),
            (
                "lists in lists in a stream",
                "a:\n- - x\n  - y\n---\n".repeat(size / 17) + "a: 1\n",
            ),
        ],
    )
}

fn json(size: usize) -> Vec<Attack> {
    let half = size / 2;
    named(
        "json",
        [
            (
                "arrays in each other",
                format!("{{\"a\": {}{}}}", "[".repeat(half), "]".repeat(half)),
            ),
            (
                "objects in each other",
                format!("{}1{}", "{\"a\":".repeat(size / 6), "}".repeat(size / 6)),
            ),
            (
                "arrays that never end",
                format!("{{\"a\": {}", "[".repeat(size)),
            ),
            (
                "a wide array",
                format!("{{\"a\": [{}1]}}", "1,".repeat(half)),
            ),
            (
                "empty arrays",
                format!("{{\"a\": [{}[]]}}", "[],".repeat(size / 3)),
            ),
            (
                "duplicate keys",
                format!("{{{}\"a\":1}}", "\"a\":1,".repeat(size / 6)),
            ),
            ("a long key", format!("{{\"{}\": 1}}", "k".repeat(size))),
            (
                "a long text",
                format!("{{\"a\": \"{}\"}}", "x".repeat(size)),
            ),
            (
                "escapes",
                format!("{{\"a\": \"{}\"}}", "\\u0041".repeat(size / 6)),
            ),
            (
                "escaped keys",
                format!(
                    "{{{}\"z\": 1}}",
                    numbered(size, |at| format!("\"\\u0041{at}\":1,"))
                ),
            ),
            (
                "half surrogates",
                format!("{{\"a\": \"{}\"}}", "\\ud800".repeat(size / 6)),
            ),
            ("digits", format!("{{\"a\": {}}}", "9".repeat(size))),
            (
                "digits after a point",
                format!("{{\"a\": 0.{}}}", "9".repeat(size)),
            ),
            (
                "a large exponent",
                format!("{{\"a\": 1e{}}}", "9".repeat(size)),
            ),
            ("white space", format!("{{{}\"a\": 1}}", "\n".repeat(size))),
            (
                "byte order marks",
                "\u{feff}".repeat(size / 3) + "{\"a\": 1}",
            ),
            ("NUL", format!("{{\"a\": \"{}\"}}", "\0".repeat(size))),
            (
                "text behind it",
                format!("{{\"a\": 1}}{}", " {}".repeat(size / 3)),
            ),
            (
                "a quote that never ends",
                format!("{{\"a\": \"{}", "x".repeat(size)),
            ),
            (
                "bad ciphertexts",
                format!(
                    "{{{}\"z\": 1}}",
                    numbered(size, |at| format!("\"k{at}\":\"ENC[AES256_GCM,\","))
                ),
            ),
            ("only brackets", "[".repeat(size)),
        ],
    )
}

fn dotenv(size: usize) -> Vec<Attack> {
    named(
        "env",
        [
            ("a long key", format!("{}=1\n", "k".repeat(size))),
            ("a long value", format!("a={}\n", "x".repeat(size))),
            ("escapes", format!("a={}\n", "\\n".repeat(size / 2))),
            ("comments", "#c\n".repeat(size / 3) + "a=1\n"),
            ("empty comments", "#\n".repeat(size / 2) + "a=1\n"),
            ("line breaks", "\n".repeat(size) + "a=1\n"),
            ("duplicate keys", "a=1\n".repeat(size / 4)),
            ("equals signs", format!("a{}\n", "=".repeat(size))),
            ("no equals sign", "a\n".repeat(size / 2)),
            ("empty values", numbered(size, |at| format!("k{at}=\n"))),
            ("CRLF", numbered(size, |at| format!("k{at}=v\r\n"))),
            ("CR", format!("a={}\n", "\r".repeat(size))),
            ("NUL", format!("a={}\n", "\0".repeat(size))),
            ("byte order marks", "\u{feff}".repeat(size / 3) + "a=1\n"),
            (
                "fields of the block",
                numbered(size, |at| format!("sops_age__list_{at}__map_enc=v\n")),
            ),
            (
                "deep fields of the block",
                format!("sops_{}=v\n", "a__map_".repeat(size / 7)),
            ),
            (
                "a large index",
                format!(
                    "sops_age__list_{}__map_enc=v\na=1\n",
                    "9".repeat(size.min(1_000))
                ),
            ),
            ("null", numbered(size, |at| format!("k{at}=<nil>\n"))),
            (
                "bad ciphertexts",
                numbered(size, |at| format!("k{at}=ENC[AES256_GCM,data:\n")),
            ),
        ],
    )
}

fn ini(size: usize) -> Vec<Attack> {
    named(
        "ini",
        [
            ("sections", numbered(size, |at| format!("[s{at}]\na=1\n"))),
            ("empty sections", numbered(size, |at| format!("[s{at}]\n"))),
            ("one section again and again", "[s]\na=1\n".repeat(size / 8)),
            (
                "sections in each other",
                format!("[{}a]\na=1\n", "a.".repeat(size / 2)),
            ),
            ("a long section", format!("[{}]\na=1\n", "s".repeat(size))),
            ("a long key", format!("[s]\n{}=1\n", "k".repeat(size))),
            ("a long value", format!("[s]\na={}\n", "x".repeat(size))),
            (
                "duplicate keys",
                "[s]\n".to_owned() + &"a=1\n".repeat(size / 4),
            ),
            (
                "lines that go on",
                format!("[s]\na = {}x\n", "x \\\n".repeat(size / 4)),
            ),
            (
                "comments",
                "[s]\n".to_owned() + &"; c\n".repeat(size / 4) + "a=1\n",
            ),
            (
                "comments beside values",
                "[s]\n".to_owned() + &numbered(size, |at| format!("k{at}=v ; c\n")),
            ),
            (
                "three quotes that never end",
                format!("[s]\na=\"\"\"{}\n", "x\n".repeat(size / 2)),
            ),
            (
                "three quotes",
                "[s]\n".to_owned() + &numbered(size, |at| format!("k{at}=\"\"\"v\n\"\"\"\n")),
            ),
            ("back quotes", format!("[s]\na=`{}\n", "`".repeat(size))),
            (
                "references",
                "[s]\na=%(b)s\nb=%(a)s\n".to_owned()
                    + &numbered(size, |at| format!("k{at}=%(a)s\n")),
            ),
            (
                "automatic keys",
                "[s]\n".to_owned() + &"-=1\n".repeat(size / 4),
            ),
            (
                "CRLF",
                "[s]\r\n".to_owned() + &numbered(size, |at| format!("k{at}=v\r\n")),
            ),
            ("NUL", format!("[s]\na={}\n", "\0".repeat(size))),
            (
                "byte order marks",
                "\u{feff}".repeat(size / 3) + "[s]\na=1\n",
            ),
            ("line breaks", "\n".repeat(size) + "[s]\na=1\n"),
            ("brackets", "[".repeat(size)),
            (
                "null",
                "[s]\n".to_owned() + &numbered(size, |at| format!("k{at}=<nil>\n")),
            ),
        ],
    )
}

fn named<const N: usize>(suffix: &'static str, list: [(&'static str, String); N]) -> Vec<Attack> {
    let attacks = list
        .into_iter()
        .map(|(name, text)| Attack { name, suffix, text });
    attacks.collect()
}

/// Numbered pieces, until the size is reached.
fn numbered(size: usize, piece: impl Fn(usize) -> String) -> String {
    let mut out = String::with_capacity(size + 64);
    let mut at = 0;
    while out.len() < size {
        out.push_str(&piece(at));
        at += 1;
    }
    out
}
