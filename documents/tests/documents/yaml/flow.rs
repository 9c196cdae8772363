//! Makes maps and lists in braces and brackets.

use super::Maker;

impl Maker<'_> {
    /// A document in braces.
    pub(super) fn braces(&mut self, out: &mut String) {
        let inner = self.dice.roll(5);
        let flow = self.flow_of(true, inner, 1);
        out.push_str(&" ".repeat(self.dice.roll(3)));
        out.push_str(&flow);
        self.end_line(out);
    }

    pub(super) fn flow(&mut self, inner: usize, depth: usize) -> String {
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
