//! Makes values of every style.

use super::{Maker, Scope};

impl Maker<'_> {
    pub(super) fn plain(&mut self) -> String {
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

    pub(super) fn single(&mut self, inner: usize) -> String {
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

    pub(super) fn double(&mut self, inner: usize) -> String {
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

    pub(super) fn block_scalar(&mut self, indent: usize, out: &mut String) {
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
}
