//! How the paths of `result.jsonPath` are written.

use std::str::Chars;

use super::{Step, Test, refused};
use crate::outcome::StoreError;

/// How long a path may be: it may be made of what a tenant writes.
const LONGEST: usize = 64 << 10;
/// How deep parentheses may be nested in a filter.
const DEPTH: usize = 32;

const NO_KEY: &str = "has a bracket that is not closed, or holds something else than `*`, a filter, a slice, numbers, and names in quotes";
const NO_TEST: &str = "has a filter that is not supported: it compares paths that begin with `@` or `$`, texts, numbers, true and false by == and !=";

/// Reads a path.
///
/// # Errors
///
/// Says what of it is not valid or not supported.
pub(super) fn parse(path: &str) -> Result<Vec<Step>, StoreError> {
    if path.len() > LONGEST {
        return Err(refused("is longer than 64 KiB"));
    }
    let path = path.trim();
    let mut reader = Reader {
        rest: path.strip_prefix('$').unwrap_or(path),
        in_filter: false,
    };
    let mut steps = Vec::new();
    // The dollar may be missing, and with it the first dot.
    if !reader.rest.is_empty() && !reader.rest.starts_with(['.', '[']) {
        steps.push(reader.named("is not valid")?);
    }
    loop {
        reader.space();
        if reader.rest.is_empty() {
            return Ok(steps);
        }
        steps.push(reader.step()?);
    }
}

/// Reads a path from its beginning to its end.
struct Reader<'a> {
    rest: &'a str,
    in_filter: bool,
}

impl<'a> Reader<'a> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    /// Takes a mark, if it is next.
    fn take(&mut self, mark: &str) -> bool {
        self.space();
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn close(&mut self, mark: &str, why: &str) -> Result<(), StoreError> {
        match self.take(mark) {
            true => Ok(()),
            false => Err(refused(why)),
        }
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|character: char| !belongs(character));
        let (taken, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        taken
    }

    fn step(&mut self) -> Result<Step, StoreError> {
        if let Some(rest) = self.rest.strip_prefix("..") {
            self.rest = rest;
            let step = match rest.starts_with('[') {
                true => self.bracket()?,
                false => self.named("wants a name, `*` or a bracket behind `..`")?,
            };
            return match step {
                Step::Name(name) => Ok(Step::Below(name)),
                Step::Slice { .. } => Err(refused("has a slice behind `..`")),
                step => Ok(Step::Everywhere(Box::new(step))),
            };
        }
        if self.rest.starts_with('[') {
            return self.bracket();
        }
        match self.rest.strip_prefix('.') {
            Some(rest) => {
                self.rest = rest;
                self.named("is not valid")
            }
            None => Err(refused("is not valid")),
        }
    }

    fn named(&mut self, why: &str) -> Result<Step, StoreError> {
        match self.name() {
            "" => Err(refused(why)),
            "*" => Ok(Step::All),
            name => Ok(Step::Name(name.to_owned())),
        }
    }

    /// Takes a name without quotes. Outside of filters only a dot or a bracket ends it.
    fn name(&mut self) -> &'a str {
        if self.in_filter {
            self.take_while(|character| {
                character.is_alphanumeric() || matches!(character, '_' | '-')
            })
        } else {
            self.take_while(|character| !matches!(character, '.' | '['))
                .trim_end()
        }
    }

    fn bracket(&mut self) -> Result<Step, StoreError> {
        self.take("[");
        if self.take("*") {
            self.close("]", NO_KEY)?;
            return Ok(Step::All);
        }
        if self.take("?") {
            if self.in_filter {
                return Err(refused(NO_TEST));
            }
            self.in_filter = true;
            let test = self.test(0)?;
            self.in_filter = false;
            self.close("]", NO_TEST)?;
            return Ok(Step::Filter(test));
        }
        let first = self.key()?;
        self.space();
        if self.rest.starts_with(':') {
            return self.slice(first);
        }
        let first = first.ok_or_else(|| refused(NO_KEY))?;
        if self.take("]") {
            return Ok(first);
        }
        let mut keys = vec![first];
        while self.take(",") {
            keys.push(self.key()?.ok_or_else(|| refused(NO_KEY))?);
        }
        self.close("]", NO_KEY)?;
        Ok(Step::Each(keys))
    }

    /// Takes a name in quotes or a number, if one is next.
    fn key(&mut self) -> Result<Option<Step>, StoreError> {
        self.space();
        if self.at_quote() {
            return self.text().map(|text| Some(Step::Name(text)));
        }
        let number = self.number();
        if number.is_empty() {
            return Ok(None);
        }
        match number.parse::<i64>() {
            Ok(index) => Ok(Some(Step::Index(index))),
            Err(_) => Err(refused(NO_KEY)),
        }
    }

    fn slice(&mut self, first: Option<Step>) -> Result<Step, StoreError> {
        let mut bounds = [bound(first)?, None, None];
        for place in &mut bounds[1..] {
            if !self.take(":") {
                break;
            }
            *place = bound(self.key()?)?;
        }
        self.close("]", NO_KEY)?;
        let [from, to, by] = bounds;
        Ok(Step::Slice {
            from: from.unwrap_or(0),
            to: to.unwrap_or(i64::MAX),
            by: by.unwrap_or(1),
        })
    }

    fn test(&mut self, depth: usize) -> Result<Test, StoreError> {
        let left = self.operand(depth)?;
        let wanted = if self.take("==") {
            true
        } else if self.take("!=") {
            false
        } else {
            return Ok(left);
        };
        let right = self.operand(depth)?;
        Ok(Test::Equal {
            wanted,
            sides: Box::new((left, right)),
        })
    }

    fn operand(&mut self, depth: usize) -> Result<Test, StoreError> {
        if self.take("(") {
            if depth == DEPTH {
                return Err(refused("has too many parentheses"));
            }
            let test = self.test(depth + 1)?;
            self.close(")", NO_TEST)?;
            return Ok(test);
        }
        for (mark, from_root) in [("@", false), ("$", true)] {
            if self.take(mark) {
                let steps = self.plain_steps()?;
                return Ok(Test::Path { from_root, steps });
            }
        }
        if self.at_quote() {
            return self.text().map(Test::Text);
        }
        let of_number = |character: char| character.is_ascii_digit() || character == '-';
        if self.rest.starts_with(of_number) {
            let number = self.number().parse::<f64>();
            return number.map(Test::Number).map_err(|_| refused(NO_TEST));
        }
        match self.name() {
            "true" => Ok(Test::Bool(true)),
            "false" => Ok(Test::Bool(false)),
            _ => Err(refused(NO_TEST)),
        }
    }

    /// The steps of a path in a filter, which leads to one value.
    fn plain_steps(&mut self) -> Result<Vec<Step>, StoreError> {
        let mut steps = Vec::new();
        loop {
            self.space();
            if !self.rest.starts_with(['.', '[']) {
                return Ok(steps);
            }
            let step = self.step()?;
            if step.finds_several() {
                return Err(refused(
                    "has a path in a filter that may find several values",
                ));
            }
            steps.push(step);
        }
    }

    /// Takes what numbers are written with.
    fn number(&mut self) -> &'a str {
        self.take_while(|character| {
            character.is_ascii_digit() || matches!(character, '-' | '+' | '.' | 'e' | 'E')
        })
    }

    fn at_quote(&self) -> bool {
        self.rest.starts_with(['"', '\'', '`'])
    }

    /// Takes a text in quotes.
    fn text(&mut self) -> Result<String, StoreError> {
        let mut characters = self.rest.chars();
        let mark = characters.next();
        let mut text = String::new();
        loop {
            let next = characters.next();
            if next == mark {
                self.rest = characters.as_str();
                return Ok(text);
            }
            text.push(match next {
                None => return Err(refused("has a text that is not closed")),
                Some('\\') if mark != Some('`') => escaped(&mut characters)
                    .ok_or_else(|| refused("has an escape that is not supported"))?,
                Some(character) => character,
            });
        }
    }
}

fn bound(step: Option<Step>) -> Result<Option<i64>, StoreError> {
    match step {
        None => Ok(None),
        Some(Step::Index(at)) => Ok(Some(at)),
        Some(_) => Err(refused(NO_KEY)),
    }
}

/// What is meant by what stands behind a backslash, as Go has it.
fn escaped(characters: &mut Chars<'_>) -> Option<char> {
    let digits = match characters.next()? {
        'a' => return Some('\u{7}'),
        'b' => return Some('\u{8}'),
        'f' => return Some('\u{c}'),
        'n' => return Some('\n'),
        'r' => return Some('\r'),
        't' => return Some('\t'),
        'v' => return Some('\u{b}'),
        character @ ('\\' | '\'' | '"') => return Some(character),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => return None,
    };
    let mut code = 0_u32;
    for _ in 0..digits {
        code = (code << 4) | characters.next()?.to_digit(16)?;
    }
    // A byte beyond ASCII is no character.
    char::from_u32(code).filter(|character| digits > 2 || character.is_ascii())
}
