//! Makes up templates that hurt: deep, large, slow, and mixtures. Nothing here is needed to render an ordinary Secret.

/// A small generator of pseudo-random numbers (xorshift64*), so that a seed can be given again.
pub(crate) struct Hostile(u64);

impl Hostile {
    /// Starts with a seed.
    #[must_use]
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next template.
    pub(crate) fn template(&mut self) -> String {
        let mut template = match self.below(3) {
            0 => self.deep(),
            1 => self.large(),
            _ => self.slow(),
        };
        // Some hide in a block, a definition or behind ordinary text.
        for _ in 0..self.below(3) {
            template = match self.below(6) {
                0 => format!("{{{{ if true }}}}{template}{{{{ end }}}}"),
                1 => format!("{{{{ with .user }}}}{template}{{{{ end }}}}"),
                2 => format!(
                    "{{{{ range until {} }}}}{template}{{{{ end }}}}",
                    1 + self.below(3)
                ),
                3 => format!("user={{{{ .user }}}}\n{template}"),
                4 => format!("{template}{{{{ .user | b64enc }}}}"),
                _ => format!("{template}\n{}", self.large()),
            };
        }
        template
    }

    /// What nests: values, blocks, chains, parentheses, calls.
    fn deep(&mut self) -> String {
        let many = usize::try_from(self.between(20_000, 200_000)).expect("small");
        match self.below(12) {
            0 => format!(
                "{{{{ $l := list }}}}{{{{ range until {many} }}}}{{{{ $l = list $l }}}}{{{{ end }}}}"
            ),
            1 => format!(
                "{{{{ $l := list 1 }}}}{{{{ range until {many} }}}}{{{{ $l = append (list) $l }}}}{{{{ end }}}}{{{{ len $l }}}}"
            ),
            2 => format!(
                "{{{{ $d := dict }}}}{{{{ range until {many} }}}}{{{{ $d = dict \"k\" $d \"n\" . }}}}{{{{ end }}}}"
            ),
            3 => format!(
                "{{{{ $d := dict }}}}{{{{ $e := $d }}}}{{{{ range until {many} }}}}{{{{ $n := dict }}}}{{{{ $_ := set $e \"k\" $n }}}}{{{{ $e = $n }}}}{{{{ end }}}}"
            ),
            4 => format!(
                "{{{{if 1}}}}{}{{{{end}}}}",
                "{{else if 1}}".repeat(many.min(90_000))
            ),
            5 => format!(
                "{{{{with 0}}}}{}{{{{end}}}}",
                "{{else with 0}}".repeat(many.min(80_000))
            ),
            6 => "{{if 1}}".repeat(many.min(100_000)),
            7 => format!(
                "{{{{ {}1{} }}}}",
                "(".repeat(many.min(300_000)),
                ")".repeat(many.min(300_000))
            ),
            8 => {
                "{{ define \"t\" }}{{ template \"t\" . }}{{ end }}{{ template \"t\" . }}".to_owned()
            }
            9 => format!(
                "{{{{ $l := list }}}}{{{{ range until {many} }}}}{{{{ $l = prepend (list 1 2) $l }}}}{{{{ end }}}}{{{{ toJson $l }}}}"
            ),
            10 => format!(
                "{{{{ $l := list }}}}{{{{ range until {many} }}}}{{{{ $l = list $l }}}}{{{{ end }}}}{{{{ deepEqual $l (list $l) }}}}"
            ),
            _ => format!(
                "{{{{ fromJson (printf \"%s%s\" (repeat {many} \"[\") (repeat {many} \"]\")) }}}}"
            ),
        }
    }

    /// What takes memory.
    fn large(&mut self) -> String {
        let size = self.between(2_000_000, 17_000_000);
        let count = self.between(20, 120);
        let some = self.between(200_000, 2_000_000);
        match self.below(18) {
            0 => format!(
                "{{{{ $l := list }}}}{{{{ range until {count} }}}}{{{{ $l = append $l (repeat {size} \"x\") }}}}{{{{ end }}}}"
            ),
            1 => format!(
                "{{{{ $d := dict }}}}{{{{ range $i, $_ := until {count} }}}}{{{{ $_ := set $d (toString $i) (repeat {size} \"x\") }}}}{{{{ end }}}}"
            ),
            2 => format!(
                "{{{{ $x := \"0123456789abcdef\" }}}}{{{{ range until {count} }}}}{{{{ $x = printf \"%s%s\" $x $x }}}}{{{{ end }}}}{{{{ len $x }}}}"
            ),
            3 => format!(
                "{{{{ $x := list 1 2 3 }}}}{{{{ range until {count} }}}}{{{{ $x = concat $x $x }}}}{{{{ end }}}}"
            ),
            4 => {
                format!("{{{{ range until {count} }}}}{{{{ repeat {some} \"ab\" }}}}{{{{ end }}}}")
            }
            5 => format!(
                "{{{{ $a := until 999999 }}}}{{{{ $l := list }}}}{{{{ range until {count} }}}}{{{{ $l = append $l (until 999999) }}}}{{{{ end }}}}"
            ),
            6 => format!(
                "{{{{ $l := list }}}}{{{{ range until {count} }}}}{{{{ $l = append $l (splitList \"\" (repeat {some} \"a\")) }}}}{{{{ end }}}}"
            ),
            7 => format!("{{{{ $x := repeat {some} \"a \" }}}}{{{{ wrapWith 1 $x $x | len }}}}"),
            8 => format!(
                "{{{{ $x := repeat {some} \"\\n\" }}}}{{{{ indent {count} $x | len }}}}{{{{ indent 100000 (repeat 150 $x | trunc 1000) | len }}}}"
            ),
            9 => format!(
                "{{{{ $x := repeat {some} \"a\" }}}}{{{{ regexReplaceAll \"a\" $x $x | len }}}}"
            ),
            10 => format!(
                "{{{{ $j := fromJson (printf \"[%s0]\" (repeat {some} \"[],\")) }}}}{{{{ len $j }}}}"
            ),
            11 => format!(
                "{{{{ $x := repeat {size} \"aB\" }}}}{{{{ camelcase $x | len }}}}{{{{ snakecase $x | len }}}}"
            ),
            12 => format!(
                "{{{{ $f := repeat {count} \"%999999d\" }}}}{{{{ printf $f 1 | len }}}}{{{{ printf $f 2 | len }}}}"
            ),
            13 => format!(
                "{{{{ $x := repeat {size} \"\\\\\" }}}}{{{{ quote $x $x $x $x | len }}}}{{{{ toJson (list $x $x $x $x $x $x) | len }}}}"
            ),
            14 => format!(
                "{{{{ $l := list (repeat {some} \"a\") }}}}{{{{ range 12 }}}}{{{{ $l = concat $l $l }}}}{{{{ end }}}}{{{{ join \",\" $l | len }}}}{{{{ toString $l | len }}}}"
            ),
            15 => format!(
                "{{{{ $l := list }}}}{{{{ range until 26 }}}}{{{{ $l = list $l $l }}}}{{{{ end }}}}{{{{ toJson $l | len }}}}{{{{ toString $l | len }}}}{{{{ $_ := deepCopy $l }}}}{{{{ {count} }}}}"
            ),
            16 => format!(
                "{{{{ seq 1 {some} | len }}}}{{{{ $l := list }}}}{{{{ range until {count} }}}}{{{{ $l = append $l (seq 1 {some}) }}}}{{{{ end }}}}"
            ),
            _ => format!(
                "{{{{ randAlphaNum {size} | len }}}}{{{{ shuffle (repeat {some} \"ab\") | len }}}}"
            ),
        }
    }

    /// What takes time.
    fn slow(&mut self) -> String {
        let count = self.between(50, 5000);
        let text = self.between(100_000, 900_000);
        match self.below(16) {
            0 => format!("{{{{ range until {count} }}}}{{{{ $_ := genPrivateKey \"rsa\" }}}}{{{{ end }}}}"),
            1 => format!("{{{{ range until {count} }}}}{{{{ $_ := genCA \"x\" 365 }}}}{{{{ end }}}}"),
            2 => format!("{{{{ range until {count} }}}}{{{{ $_ := bcrypt (toString .) }}}}{{{{ end }}}}"),
            3 => format!("{{{{ range until {count} }}}}{{{{ $_ := htpasswd \"u\" \"p\" }}}}{{{{ end }}}}"),
            4 => format!("{{{{ range until {count} }}}}{{{{ derivePassword 1 \"long\" \"p\" \"u\" (toString .) }}}}{{{{ end }}}}"),
            5 => format!("{{{{ range until {count} }}}}{{{{ range until {count} }}}}{{{{ range until {count} }}}}{{{{ end }}}}{{{{ end }}}}{{{{ end }}}}"),
            6 => "{{ define \"t\" }}{{ if lt (len .) 60 }}{{ template \"t\" (append . 1) }}{{ template \"t\" (append . 1) }}{{ end }}{{ end }}{{ template \"t\" (list) }}".to_owned(),
            7 => format!("{{{{ $l := until {} }}}}{{{{ uniq $l | len }}}}{{{{ without $l 1 2 3 | len }}}}", 20 * count),
            8 => format!("{{{{ $x := repeat {text} \"A\" }}}}{{{{ regexFindAll \".*[^A-Z]|[A-Z]\" $x -1 | len }}}}"),
            9 => format!("{{{{ $x := repeat {text} \"a\" }}}}{{{{ regexMatch \"(a?){{200}}a{{200}}$\" (printf \"%sb\" $x) }}}}"),
            10 => "{{ $l := list }}{{ range until 50 }}{{ $l = list $l $l }}{{ end }}{{ $_ := set (dict) \"a\" $l }}{{ has 1 (list $l $l) }}".to_owned(),
            11 => "{{ $l := list }}{{ range until 50 }}{{ $l = list $l $l }}{{ end }}{{ $m := list }}{{ range until 50 }}{{ $m = list $m $m }}{{ end }}{{ deepEqual $l $m }}".to_owned(),
            12 => format!("{{{{ $x := repeat {text} \"é\" }}}}{{{{ range until {count} }}}}{{{{ $_ := trimAll $x $x }}}}{{{{ $_ := upper $x }}}}{{{{ end }}}}"),
            13 => format!("{{{{ $x := repeat {text} \"a\" }}}}{{{{ range until {count} }}}}{{{{ $_ := sha512sum $x | b64enc | b64dec | html | js | urlquery }}}}{{{{ $_ := replace \"a\" \"b\" $x }}}}{{{{ end }}}}"),
            14 => format!("{{{{ mulf {} }}}}", "9999999 ".repeat(usize::try_from(count * 20).expect("small"))),
            _ => format!("{{{{ range until {count} }}}}{{{{ range until 100000 }}}}{{{{ $x := printf \"%d-%d\" . . }}}}{{{{ if eq $x \"no\" }}}}no{{{{ end }}}}{{{{ end }}}}{{{{ end }}}}"),
        }
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 33) % end
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }
}
