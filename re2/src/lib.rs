//! Translates Go's regular expressions (RE2 syntax) for the `regex` crate.
//!
//! Neither engine supports look-around or back-references. This crate translates where their syntax differs: in RE2,
//! `\d`, `\w`, `\s` and `\b` are ASCII-only; a `{` that does not start a repetition is a literal; `&&`, `--` and `[` are
//! literals inside a class; octal escapes and `\Q…\E` exist; and `\<` is an ordinary character. Creation rules, templates,
//! rewrites and store searches all go through this translation.

/// Why RE2 rejects an expression. The text never quotes the expression, which may contain secret values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(&'static str);

/// Translates an expression. Capture groups keep their numbers and names.
///
/// # Errors
///
/// Fails if RE2 rejects the expression. What both engines reject, such as an unmatched bracket or an unknown property, may
/// be left for `regex` to report.
pub fn translate(text: &str) -> Result<String, Refused> {
    Translation::of(text).map_err(Refused)
}

struct Translation<'a> {
    rest: &'a str,
    out: String,
    /// Whether a repetition operator may come next, and whether the previous item was one.
    repeatable: bool,
    repeated: bool,
}

type Step = Result<(), &'static str>;

impl<'a> Translation<'a> {
    fn of(text: &'a str) -> Result<String, &'static str> {
        let mut translation = Self {
            rest: text,
            out: String::with_capacity(text.len() + 16),
            repeatable: false,
            repeated: false,
        };
        while let Some(c) = translation.next() {
            translation.step(c)?;
        }
        Ok(translation.out)
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn eat(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn atom(&mut self, text: &str) {
        self.out.push_str(text);
        (self.repeatable, self.repeated) = (true, false);
    }

    fn literal(&mut self, c: char) {
        let text = literal(c);
        self.atom(&text);
    }

    fn step(&mut self, c: char) -> Step {
        match c {
            '*' | '+' | '?' => {
                let text = c.to_string();
                return self.repeat(&text);
            }
            '{' => match repetition(self.rest) {
                Some((text, rest)) => {
                    self.rest = rest;
                    let counts = text[1..text.len() - 1].split(',');
                    let limit = |n: &str| n.is_empty() || n.parse::<u32>().is_ok_and(|n| n <= 1000);
                    if !counts.into_iter().all(limit) {
                        return Err("repetition counts end at 1000");
                    }
                    return self.repeat(&text);
                }
                None => self.literal('{'),
            },
            '(' => self.group()?,
            ')' => self.atom(")"),
            '|' => {
                self.out.push('|');
                (self.repeatable, self.repeated) = (false, false);
            }
            '[' => self.class()?,
            '\\' => self.escape()?,
            '^' | '$' | '.' => self.atom(c.encode_utf8(&mut [0; 4])),
            _ => self.literal(c),
        }
        Ok(())
    }

    fn repeat(&mut self, text: &str) -> Step {
        if self.repeated {
            return Err("a repetition cannot be repeated");
        }
        if !self.repeatable {
            return Err("nothing to repeat");
        }
        self.out.push_str(text);
        if self.eat("?") {
            self.out.push('?');
        }
        self.repeated = true;
        Ok(())
    }

    fn group(&mut self) -> Step {
        (self.repeatable, self.repeated) = (false, false);
        if !self.rest.starts_with('?') {
            self.out.push('(');
            return Ok(());
        }
        let named = ["?P<", "?<"]
            .iter()
            .find_map(|mark| self.rest.strip_prefix(mark));
        if let Some(rest) = named {
            let end = rest.find('>').ok_or("a group name has no end")?;
            let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            if end == 0 || !rest[..end].bytes().all(word) {
                return Err("invalid group name, or look-around, which does not exist here");
            }
            // Go allows group names that begin with a digit and `regex` does not. Such a group keeps only its number.
            match rest.as_bytes()[0].is_ascii_digit() {
                true => self.out.push('('),
                false => self.out.push_str(&format!("(?P<{}>", &rest[..end])),
            }
            self.rest = &rest[end + 1..];
            return Ok(());
        }
        let end = self
            .rest
            .find([':', ')'])
            .ok_or("a group with flags has no end")?;
        let flags = &self.rest[1..end];
        if flags.is_empty() && self.rest[end..].starts_with(')')
            || !flags.chars().all(|flag| "imsU-".contains(flag))
            || flags.matches('-').count() > 1
            || flags.ends_with('-')
        {
            return Err("invalid group, or look-around, which does not exist here");
        }
        self.out.push_str("(?");
        self.out.push_str(flags);
        self.out.push_str(&self.rest[end..=end]);
        self.rest = &self.rest[end + 1..];
        Ok(())
    }

    fn escape(&mut self) -> Step {
        let c = self.rest.chars().next().ok_or("a backslash at the end")?;
        match c {
            'd' | 'D' | 's' | 'S' | 'w' | 'W' => {
                self.next();
                let text = format!("[{}]", perl_class(c).expect("one of these"));
                self.atom(&text);
            }
            'b' | 'B' => {
                self.next();
                self.atom(if c == 'b' { r"(?-u:\b)" } else { r"(?-u:\B)" });
            }
            'A' | 'z' => {
                self.next();
                self.atom(if c == 'A' { r"\A" } else { r"\z" });
            }
            'p' | 'P' => {
                let text = self.property()?;
                self.atom(&text);
            }
            'C' => return Err(r"\C is not supported"),
            'Q' => {
                self.next();
                let (quoted, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
                self.rest = rest;
                for c in quoted.chars() {
                    self.literal(c);
                }
            }
            _ => {
                let c = self.escaped_char()?;
                self.literal(c);
            }
        }
        Ok(())
    }

    /// Copies a property class, such as `\pL`, which both engines spell the same way.
    fn property(&mut self) -> Result<String, &'static str> {
        let len = if self.rest[1..].starts_with('{') {
            self.rest
                .find('}')
                .ok_or("a character property has no end")?
                + 1
        } else {
            let name = self.rest[1..].chars().next();
            1 + name.ok_or("a character property has no name")?.len_utf8()
        };
        let (text, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok(format!(r"\{text}"))
    }

    /// Reads the escaped character after a backslash.
    fn escaped_char(&mut self) -> Result<char, &'static str> {
        let c = self.next().ok_or("a backslash at the end")?;
        let invalid = "invalid escape";
        Ok(match c {
            'a' => '\u{7}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' => {
                let (digits, rest) = if let Some(rest) = self.rest.strip_prefix('{') {
                    rest.split_once('}').ok_or(invalid)?
                } else {
                    let digits = self.rest.get(..2).ok_or(invalid)?;
                    (digits, &self.rest[2..])
                };
                self.rest = rest;
                if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(invalid);
                }
                let code = u32::from_str_radix(digits, 16).map_err(|_| invalid)?;
                char::from_u32(code).ok_or(invalid)?
            }
            '0'..='7' => {
                let digits = |text: &str, most: usize| {
                    text.bytes()
                        .take(most)
                        .take_while(|b| (b'0'..=b'7').contains(b))
                        .count()
                };
                let more = digits(self.rest, 2);
                if c != '0' && more == 0 {
                    return Err("back-references do not exist here");
                }
                let text = format!("{c}{}", &self.rest[..more]);
                self.rest = &self.rest[more..];
                let code = u32::from_str_radix(&text, 8).map_err(|_| invalid)?;
                char::from_u32(code).ok_or(invalid)?
            }
            _ if c.is_ascii() && !c.is_ascii_alphanumeric() => c,
            _ => return Err(invalid),
        })
    }

    fn class(&mut self) -> Step {
        let mut class = String::from(if self.eat("^") { "[^" } else { "[" });
        let mut first = true;
        loop {
            let c = self
                .rest
                .chars()
                .next()
                .ok_or("a character class has no end")?;
            if c == ']' && !first {
                self.next();
                break;
            }
            first = false;
            if c == '['
                && let Some(rest) = self.rest.strip_prefix("[:")
                && let Some(end) = rest.find(":]")
            {
                let name = rest[..end].trim_start_matches('^');
                if !POSIX_CLASSES.contains(&name) {
                    return Err("unknown character class");
                }
                self.rest = &rest[end + 2..];
                class.push_str(&format!("[:{}:]", &rest[..end]));
                continue;
            }
            if c == '\\' {
                let escaped = self.rest[1..]
                    .chars()
                    .next()
                    .ok_or("a backslash at the end")?;
                if let Some(set) = perl_class(escaped) {
                    self.rest = &self.rest[2..];
                    class.push_str(&if set.starts_with('^') {
                        format!("[{set}]")
                    } else {
                        set.to_owned()
                    });
                    continue;
                }
                if matches!(escaped, 'p' | 'P') {
                    self.rest = &self.rest[1..];
                    class.push_str(&self.property()?);
                    continue;
                }
            }
            let low = self.class_char()?;
            class.push_str(&literal(low));
            if self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                self.next();
                let high = self.class_char()?;
                if high < low {
                    return Err("invalid range in a character class");
                }
                class.push('-');
                class.push_str(&literal(high));
            }
        }
        class.push(']');
        self.atom(&class);
        Ok(())
    }

    fn class_char(&mut self) -> Result<char, &'static str> {
        match self.next().ok_or("a character class has no end")? {
            '\\' => self.escaped_char(),
            c => Ok(c),
        }
    }
}

const POSIX_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// The bracketed contents that stand for a Perl class.
fn perl_class(c: char) -> Option<&'static str> {
    Some(match c {
        'd' => "0-9",
        'D' => "^0-9",
        's' => r"\t\n\x0c\r ",
        'S' => r"^\t\n\x0c\r ",
        'w' => "0-9A-Za-z_",
        'W' => "^0-9A-Za-z_",
        _ => return None,
    })
}

fn literal(c: char) -> String {
    if c.is_ascii_alphanumeric() || !c.is_ascii() && !c.is_control() {
        c.to_string()
    } else {
        format!(r"\x{{{:x}}}", u32::from(c))
    }
}

/// `{n}`, `{n,}` or `{n,m}` whose opening brace was read, and what follows it.
fn repetition(rest: &str) -> Option<(String, &str)> {
    let (inside, after) = rest.split_once('}')?;
    let (low, high) = inside.split_once(',').unwrap_or((inside, "0"));
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (number(low) && (high.is_empty() || number(high))).then(|| (format!("{{{inside}}}"), after))
}

#[cfg(test)]
mod tests {
    use regex::bytes::Regex;

    use super::*;

    fn compile(pattern: &str) -> Option<Regex> {
        Regex::new(&translate(pattern).ok()?).ok()
    }

    #[test]
    fn t68_re2_semantics() {
        let cases = [
            (r"^\d+$", "12", true),
            (r"^\d+$", "١٢", false),
            (r"^\w+$", "é", false),
            (r"^\W$", "é", true),
            (r"^[^\W]$", "é", false),
            (r"^[\w.]+$", "a.b", true),
            (r"\bfoo\b", "éfooé", true),
            (r"\s", "\u{a0}", false),
            (r"\s", "\u{b}", false),
            ("a{b", "a{b", true),
            ("a{,2}", "a{,2}", true),
            ("^a{2,3}$", "aaa", true),
            ("{", "{", true),
            ("^.$", "é", true),
            ("^[é-ü]$", "ö", true),
            (r"^\Qa.b\E$", "a.b", true),
            (r"^\Qa.b\E$", "axb", false),
            (r"^\101$", "A", true),
            (r"^\x41\x{42}$", "AB", true),
            (r"^[a&&b]+$", "a&b", true),
            (r"^[[]$", "[", true),
            (r"^[]a]+$", "]a", true),
            (r"^[a\-z]+$", "a-z", true),
            (r"^[+--]+$", "+,-", true),
            // After a class such as `\d`, a hyphen is a literal, because Go follows Perl here.
            (r"^[\d-x]+$", "1-x", true),
            ("^[a-c-e]+$", "b-e", true),
            ("^[a-c-e]+$", "d", false),
            (r"^[[:alpha:]_]+$", "a_b", true),
            (r"^\pL+$", "éa", true),
            (r"^[\p{Greek}]+$", "αβ", true),
            ("(?i)SECRET", "mysecret", true),
            ("(?i:a)b", "Ab", true),
            ("(?P<name>a)|b", "b", true),
            (r"\<a\>", "<a>", true),
            ("^(data|stringData)$", "stringData", true),
            ("", "anything", true),
            ("a||b", "x", true),
            (r"a\.b", "axb", false),
            ("#", "a#", true),
            ("~", "~", true),
        ];
        for (pattern, text, expected) in cases {
            let found = compile(pattern).map(|regex| regex.is_match(text.as_bytes()));
            assert_eq!(found, Some(expected), "{pattern} on {text}");
        }
    }

    #[test]
    fn what_re2_refuses_is_refused() {
        let wrong = [
            "(",
            ")",
            "[",
            "[a",
            "*",
            "a**",
            "a{1001}",
            "(?=a)",
            "(?!a)",
            "(?<=a)",
            "(?<!a)",
            r"(a)\1",
            r"\",
            r"\y",
            r"\C",
            "[z-a]",
            "(?x)a",
            "a{3,2}",
            r"\p{Nowhere}",
            "[[:none:]]",
            "|*",
            "(?i",
        ];
        for pattern in wrong {
            assert!(compile(pattern).is_none(), "{pattern} was taken");
        }
        assert_eq!(
            translate("a**").unwrap_err().to_string(),
            "a repetition cannot be repeated"
        );
    }

    #[test]
    fn groups_keep_their_numbers_and_names() {
        let regex = compile(r"(?P<first>a)(?<second>b)(c)(?:d)(?P<5th>e)").unwrap();
        let groups = regex.captures(b"abcde").unwrap();
        assert_eq!(&groups["first"], b"a");
        assert_eq!(&groups["second"], b"b");
        assert_eq!((&groups[3], &groups[4]), (&b"c"[..], &b"e"[..]));
        assert_eq!(groups.len(), 5);
    }
}
