//! Makes up templates: expressions of every type out of functions, literals and the values at hand.

/// A small generator of pseudo-random numbers (xorshift64*), so that a failing seed can be given again.
pub(crate) struct Generator(u64);

/// What an expression gives.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Int,
    /// How often or how far: small, as Go makes lists and texts of billions until the machine ends it.
    Count,
    Float,
    Bool,
    List,
    Dict,
    Any,
}

/// Functions by what they give, with the kinds of their arguments. What is random in Go is left out.
const TEXTS: &[(&str, &[Kind])] = &[
    ("upper", &[Kind::Text]),
    ("lower", &[Kind::Text]),
    ("title", &[Kind::Text]),
    ("untitle", &[Kind::Text]),
    ("swapcase", &[Kind::Text]),
    ("snakecase", &[Kind::Text]),
    ("kebabcase", &[Kind::Text]),
    ("camelcase", &[Kind::Text]),
    ("trim", &[Kind::Text]),
    ("trimAll", &[Kind::Text, Kind::Text]),
    ("trimSuffix", &[Kind::Text, Kind::Text]),
    ("trimPrefix", &[Kind::Text, Kind::Text]),
    ("nospace", &[Kind::Text]),
    ("initials", &[Kind::Text]),
    ("trunc", &[Kind::Int, Kind::Text]),
    ("abbrev", &[Kind::Int, Kind::Text]),
    ("abbrevboth", &[Kind::Int, Kind::Int, Kind::Text]),
    ("substr", &[Kind::Int, Kind::Int, Kind::Text]),
    ("repeat", &[Kind::Count, Kind::Text]),
    ("wrap", &[Kind::Count, Kind::Text]),
    ("wrapWith", &[Kind::Count, Kind::Text, Kind::Text]),
    ("indent", &[Kind::Count, Kind::Text]),
    ("nindent", &[Kind::Count, Kind::Text]),
    ("replace", &[Kind::Text, Kind::Text, Kind::Text]),
    ("plural", &[Kind::Text, Kind::Text, Kind::Int]),
    ("quote", &[Kind::Any, Kind::Any]),
    ("squote", &[Kind::Any]),
    ("cat", &[Kind::Any, Kind::Any]),
    ("toString", &[Kind::Any]),
    ("join", &[Kind::Text, Kind::Any]),
    ("b64enc", &[Kind::Text]),
    ("b64dec", &[Kind::Text]),
    ("b32enc", &[Kind::Text]),
    ("b32dec", &[Kind::Text]),
    ("sha1sum", &[Kind::Text]),
    ("sha256sum", &[Kind::Text]),
    ("adler32sum", &[Kind::Text]),
    ("toJson", &[Kind::Any]),
    ("toPrettyJson", &[Kind::Any]),
    ("toRawJson", &[Kind::Any]),
    ("typeOf", &[Kind::Any]),
    ("kindOf", &[Kind::Any]),
    ("base", &[Kind::Text]),
    ("dir", &[Kind::Text]),
    ("clean", &[Kind::Text]),
    ("ext", &[Kind::Text]),
    ("seq", &[Kind::Count, Kind::Count]),
    ("seq", &[Kind::Count]),
    ("html", &[Kind::Any]),
    ("js", &[Kind::Text]),
    ("urlquery", &[Kind::Any]),
    ("print", &[Kind::Any, Kind::Any, Kind::Any]),
    ("println", &[Kind::Any, Kind::Any]),
    ("regexQuoteMeta", &[Kind::Text]),
    ("durationRound", &[Kind::Any]),
    ("duration", &[Kind::Any]),
    ("regexReplaceAll \"[a-c]+|$\"", &[Kind::Text, Kind::Text]),
    (
        "regexReplaceAllLiteral \"(l|x)\"",
        &[Kind::Text, Kind::Text],
    ),
    ("regexFind \"[^a-m ]+\"", &[Kind::Text]),
    ("date \"2006-01-02T15:04:05Z07:00 Mon\"", &[Kind::Int]),
    (
        "dateInZone \"Jan _2 06 3:04PM MST -0700\"",
        &[Kind::Int, Kind::Text],
    ),
    (
        "printf \"%v|%5v|%-8v|%q\"",
        &[Kind::Any, Kind::Any, Kind::Any, Kind::Text],
    ),
    (
        "printf \"%s %d %x %T\"",
        &[Kind::Any, Kind::Any, Kind::Any, Kind::Any],
    ),
    (
        "printf \"%08.3f|%+d|%#x|%e\"",
        &[Kind::Float, Kind::Int, Kind::Int, Kind::Float],
    ),
    ("printf", &[Kind::Text, Kind::Any]),
];
const INTS: &[(&str, &[Kind])] = &[
    ("len", &[Kind::Text]),
    ("len", &[Kind::List]),
    ("int", &[Kind::Any]),
    ("atoi", &[Kind::Text]),
    ("len", &[Kind::Dict]),
];
const INT64S: &[(&str, &[Kind])] = &[
    ("add", &[Kind::Any, Kind::Any]),
    ("add1", &[Kind::Any]),
    ("sub", &[Kind::Any, Kind::Any]),
    ("mul", &[Kind::Any, Kind::Any]),
    ("div", &[Kind::Any, Kind::Any]),
    ("mod", &[Kind::Any, Kind::Any]),
    ("max", &[Kind::Any, Kind::Any]),
    ("min", &[Kind::Any, Kind::Any]),
    ("int64", &[Kind::Any]),
    ("toDecimal", &[Kind::Any]),
    ("index", &[Kind::Text, Kind::Int]),
];
const FLOATS: &[(&str, &[Kind])] = &[
    ("float64", &[Kind::Any]),
    ("floor", &[Kind::Any]),
    ("ceil", &[Kind::Any]),
    ("round", &[Kind::Any, Kind::Int]),
    ("addf", &[Kind::Any, Kind::Any]),
    ("add1f", &[Kind::Any]),
    ("subf", &[Kind::Any, Kind::Any]),
    ("mulf", &[Kind::Any, Kind::Any]),
    ("divf", &[Kind::Any, Kind::Any]),
    ("maxf", &[Kind::Any, Kind::Any]),
    ("minf", &[Kind::Any, Kind::Any]),
];
const BOOLS: &[(&str, &[Kind])] = &[
    ("eq", &[Kind::Text, Kind::Text]),
    ("eq", &[Kind::Any, Kind::Any]),
    ("ne", &[Kind::Int, Kind::Int]),
    ("lt", &[Kind::Int, Kind::Int]),
    ("le", &[Kind::Text, Kind::Text]),
    ("gt", &[Kind::Float, Kind::Float]),
    ("ge", &[Kind::Any, Kind::Any]),
    ("not", &[Kind::Any]),
    ("contains", &[Kind::Text, Kind::Text]),
    ("hasPrefix", &[Kind::Text, Kind::Text]),
    ("hasSuffix", &[Kind::Text, Kind::Text]),
    ("empty", &[Kind::Any]),
    ("all", &[Kind::Any, Kind::Any]),
    ("any", &[Kind::Any, Kind::Any]),
    ("has", &[Kind::Any, Kind::List]),
    ("hasKey", &[Kind::Dict, Kind::Text]),
    ("deepEqual", &[Kind::Any, Kind::Any]),
    ("kindIs \"string\"", &[Kind::Any]),
    ("typeIs \"int64\"", &[Kind::Any]),
    ("isAbs", &[Kind::Text]),
    ("regexMatch \"^[\\\\w.]*\\\\d$\"", &[Kind::Text]),
    ("semverCompare \"^1.2 || ~0.4.1\"", &[Kind::Text]),
];
const LISTS: &[(&str, &[Kind])] = &[
    ("list", &[]),
    ("list", &[Kind::Any, Kind::Any, Kind::Any]),
    ("append", &[Kind::List, Kind::Any]),
    ("prepend", &[Kind::List, Kind::Any]),
    ("concat", &[Kind::List, Kind::List]),
    ("rest", &[Kind::List]),
    ("initial", &[Kind::List]),
    ("reverse", &[Kind::List]),
    ("uniq", &[Kind::List]),
    ("compact", &[Kind::List]),
    ("without", &[Kind::List, Kind::Any]),
    ("slice", &[Kind::List, Kind::Int, Kind::Int]),
    ("chunk 2", &[Kind::List]),
    ("until", &[Kind::Count]),
    ("untilStep", &[Kind::Count, Kind::Count, Kind::Count]),
    ("splitList", &[Kind::Text, Kind::Text]),
    ("sortAlpha", &[Kind::Any]),
    ("toStrings", &[Kind::Any]),
    ("regexFindAll \"[a-z]\"", &[Kind::Text, Kind::Int]),
    ("regexSplit \"[ae]|\"", &[Kind::Text, Kind::Int]),
    ("pluck \"a\"", &[Kind::Dict, Kind::Dict]),
    ("deepCopy", &[Kind::List]),
];
const DICTS: &[(&str, &[Kind])] = &[
    ("dict", &[]),
    ("dict", &[Kind::Text, Kind::Any, Kind::Text, Kind::Any]),
    ("dict \"a\"", &[Kind::Any]),
    ("set", &[Kind::Dict, Kind::Text, Kind::Any]),
    ("unset", &[Kind::Dict, Kind::Text]),
    ("pick", &[Kind::Dict, Kind::Text]),
    ("omit", &[Kind::Dict, Kind::Text]),
    ("deepCopy", &[Kind::Dict]),
    ("urlParse", &[Kind::Text]),
    ("merge", &[Kind::Dict, Kind::Dict]),
    ("mergeOverwrite", &[Kind::Dict, Kind::Dict]),
];
const ANYS: &[(&str, &[Kind])] = &[
    ("default", &[Kind::Any, Kind::Any]),
    ("coalesce", &[Kind::Any, Kind::Any]),
    ("ternary", &[Kind::Any, Kind::Any, Kind::Bool]),
    ("first", &[Kind::List]),
    ("last", &[Kind::List]),
    ("get", &[Kind::Dict, Kind::Text]),
    ("fromJson", &[Kind::Text]),
    ("dig \"a\" \"x\"", &[Kind::Any, Kind::Dict]),
    ("index", &[Kind::List, Kind::Int]),
    ("index", &[Kind::Dict, Kind::Text]),
    ("and", &[Kind::Any, Kind::Any]),
    ("or", &[Kind::Any, Kind::Any]),
    ("split", &[Kind::Text, Kind::Text]),
    ("splitn", &[Kind::Text, Kind::Int, Kind::Text]),
    ("semver", &[Kind::Text]),
    ("toDate \"2006-01-02\"", &[Kind::Text]),
];
const LITERALS: &[&str] = &[
    "\"\"",
    "\"a\"",
    "\"Hello World\"",
    "\"  two  blanks \"",
    "\"camelCase HTTPServer2go\"",
    "\"snake_case-and kebab\"",
    "\"ünïcödé ß İ ǆ €\"",
    "\"\\xff\\x80raw\"",
    "\"tab\\tnew\\nline\"",
    "\"12\"",
    "\"-3.75\"",
    "\"0x1f\"",
    "\"true\"",
    "\"2024-02-29\"",
    "\"1.2.3-rc.1+b\"",
    "\"0.4.7\"",
    "\"aGk=\"",
    "\"MFRGG===\"",
    "\"/a/../b//c.d\"",
    "\"https://u:p@h:1/x y?q=1#f\"",
    "\"Europe/Berlin\"",
    "\"1h30m\"",
    "\"[1,{\\\"a\\\":null},\\\"x\\\"]\"",
    "\"{\\\"a\\\":{\\\"x\\\":2}}\"",
    "\",\"",
    "\"l\"",
    "`raw \"quoted\"`",
];
const FIELDS: &[&str] = &[
    "$.user",
    "$.bin",
    "$.html",
    "$.num",
    "$.multi",
    "$.empty",
    "$.json",
    "(index $ \"with.dots\")",
    "$.user",
];

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A template of a few pieces.
    pub(crate) fn template(&mut self) -> String {
        let mut out = String::new();
        for _ in 0..=self.below(3) {
            out.push_str(&self.piece(2));
        }
        out
    }

    fn piece(&mut self, depth: usize) -> String {
        let any = |this: &mut Self| this.expression(Kind::Any, 3);
        match self.below(if depth == 0 { 8 } else { 14 }) {
            0 => "text \n ".to_owned(),
            1 => format!("{{{{- {} -}}}}", any(self)),
            2 => format!(
                "{{{{ {} | {} }}}}",
                any(self),
                self.pick(&["toJson", "quote", "toString", "len", "empty", "default 7"])
            ),
            3..=7 => format!("{{{{ {} }}}}", any(self)),
            8 => format!(
                "{{{{ if {} }}}}{}{{{{ else }}}}{}{{{{ end }}}}",
                any(self),
                self.piece(depth - 1),
                self.piece(depth - 1)
            ),
            9 => format!(
                "{{{{ range $i, $e := {} }}}}{{{{ $i }}}}={{{{ $e }}}}{}{{{{ else }}}}none{{{{ end }}}}",
                self.expression(Kind::List, 2),
                self.piece(depth - 1)
            ),
            10 => format!(
                "{{{{ range {} }}}}[{{{{ . }}}}]{{{{ end }}}}",
                self.expression(Kind::Dict, 2)
            ),
            11 => format!(
                "{{{{ with {} }}}}({{{{ . }}}}){}{{{{ else }}}}-{{{{ end }}}}",
                any(self),
                self.piece(depth - 1)
            ),
            12 => format!(
                "{{{{ $x := {} }}}}{{{{ $x }}}}{{{{ $x = {} }}}}{{{{ $x }}}}",
                any(self),
                any(self)
            ),
            _ => format!(
                "{{{{ $d := {} }}}}{{{{ $_ := set $d {} {} }}}}{{{{ $d }}}}",
                self.expression(Kind::Dict, 1),
                self.expression(Kind::Text, 1),
                any(self)
            ),
        }
    }

    fn expression(&mut self, kind: Kind, depth: usize) -> String {
        if depth == 0 || matches!(kind, Kind::Count) || self.below(4) == 0 {
            return self.leaf(kind);
        }
        let table = match kind {
            Kind::Text => TEXTS,
            Kind::Int | Kind::Count => INTS,
            Kind::Float => FLOATS,
            Kind::Bool => BOOLS,
            Kind::List => LISTS,
            Kind::Dict => DICTS,
            Kind::Any => match self.below(10) {
                0..=3 => TEXTS,
                4 => INTS,
                5 => INT64S,
                6 => FLOATS,
                7 => BOOLS,
                8 => return self.either_collection(depth),
                _ => ANYS,
            },
        };
        let (name, parameters) = table[self.below(table.len())];
        let arguments: Vec<String> = parameters
            .iter()
            .map(|&parameter| self.expression(parameter, depth - 1))
            .collect();
        match arguments.split_last() {
            Some((last, others)) if self.below(4) == 0 => {
                format!(
                    "({last} | {})",
                    [&[name.to_owned()], others].concat().join(" ")
                )
            }
            _ => format!("({name} {})", arguments.join(" ")),
        }
    }

    fn either_collection(&mut self, depth: usize) -> String {
        let kind = if self.below(2) == 0 {
            Kind::List
        } else {
            Kind::Dict
        };
        self.expression(kind, depth)
    }

    fn leaf(&mut self, kind: Kind) -> String {
        match kind {
            Kind::Text if self.below(3) == 0 => self.pick(FIELDS),
            Kind::Text => self.pick(LITERALS),
            Kind::Int => self.pick(&[
                "0",
                "1",
                "2",
                "3",
                "5",
                "7",
                "12",
                "-1",
                "0x10",
                "1700000000",
            ]),
            Kind::Count => self.pick(&["0", "1", "2", "3", "7", "12", "-1", "0x10"]),
            Kind::Float => {
                self.pick(&["0.0", "1.5", "-2.25", "1e3", "1e-7", "123456789.125", "3.0"])
            }
            Kind::Bool => self.pick(&["true", "false"]),
            Kind::List => self.pick(&[
                "(list 1 2 3)",
                "(list \"b\" \"a\" nil 0 \"a\")",
                "(list)",
                "(until 4)",
                "(splitList \",\" \"x,y,,z\")",
            ]),
            Kind::Dict => self.pick(&[
                "(dict)",
                "(dict \"a\" 1 \"b\" \"x\")",
                "(dict \"a\" (dict \"x\" 1 \"y\" \"\") \"l\" (list 1))",
                "(dict \"a\" \"\" \"n\" nil \"l\" (list))",
            ]),
            Kind::Any => match self.below(6) {
                0 => self.leaf(Kind::Int),
                1 => self.leaf(Kind::Float),
                2 => self.leaf(Kind::Bool),
                3 => self.pick(&["$.missing", "$.user", "(list)", "(dict)", "$.bin"]),
                _ => self.leaf(Kind::Text),
            },
        }
    }

    fn pick(&mut self, texts: &[&str]) -> String {
        texts[self.below(texts.len())].to_owned()
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap() % end
    }
}
