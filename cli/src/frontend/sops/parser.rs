//! Upstream's command line rules (urfave/cli v1 on Go's `flag`), as `parity/sops.md` 3.1 describes them.
//!
//! - `-x` and `--x` are the same for every name; a boolean takes a value only after `=`.
//! - Before a command, parsing stops at the first operand. After one, the flags that the command knows are moved before
//!   its operands; the word after a boolean flag moves with it and then ends the flags.
//! - A flag beats its variable; of repeated texts the last counts, lists grow.

use std::ffi::{OsStr, OsString};

use sealwright_crypto::go_bool::read_bool;

use super::commands::Command;
use super::flags::{Flag, Takes};

/// The values of one command's flags.
#[derive(Debug)]
pub(super) struct Values {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    flag: &'static Flag,
    value: Value,
    /// Whether it stood on the command line.
    given: bool,
}

#[derive(Clone, Debug)]
enum Value {
    Bool(bool),
    Text(String),
    Int(i64),
    List(Vec<String>),
}

/// The command line makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UsageError {
    #[error("flag provided but not defined: -{0}")]
    Unknown(String),
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    #[error("flag needs an argument: -{0}")]
    NoValue(String),
    #[error("invalid boolean value {value:?} for -{name}: parse error")]
    NotBoolean { name: String, value: String },
    #[error("invalid value {value:?} for flag -{name}: parse error")]
    NotInteger { name: String, value: String },
    #[error("could not parse {value} as bool value for flag {name}: {value:?} is no boolean")]
    VariableNotBoolean { name: &'static str, value: String },
    #[error("Cannot use two forms of the same flag: {0} {1}")]
    TwoForms(&'static str, &'static str),
    #[error("{0:?} is not valid UTF-8")]
    NotText(OsString),
}

impl UsageError {
    /// Whether a variable is wrong and not the command line, so that no help text is called for.
    pub(super) fn is_about_variable(&self) -> bool {
        matches!(self, Self::VariableNotBoolean { .. })
    }
}

/// Reads the words after the program's name, or after a command that is not reordered. Gives the values and the
/// operands.
pub(super) fn parse(
    command: &Command,
    words: &[OsString],
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<(Values, Vec<OsString>), UsageError> {
    let mut values = Values::defaults(command, variable)?;
    let mut given: Vec<&'static str> = Vec::new();
    let mut words = words.iter();
    let operands = loop {
        let rest = words.as_slice();
        let Some(word) = words.next() else {
            break Vec::new();
        };
        let bytes = word.as_encoded_bytes();
        if bytes.len() < 2 || bytes[0] != b'-' {
            break rest.to_vec();
        }
        if bytes == b"--" {
            break words.as_slice().to_vec();
        }
        let text = text(word)?;
        let body = strip_dashes(text);
        if body.is_empty() || body.starts_with(['-', '=']) {
            return Err(UsageError::Syntax(text.to_owned()));
        }
        let (name, value) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (body, None),
        };
        let (index, form) = values
            .find(name)
            .ok_or_else(|| UsageError::Unknown(name.to_owned()))?;
        given.push(form);
        let value = match (value, &values.entries[index].value) {
            (Some(value), _) => Some(value),
            (None, Value::Bool(_)) => None,
            (None, _) => match words.next() {
                Some(word) => Some(self::text(word)?),
                None => return Err(UsageError::NoValue(name.to_owned())),
            },
        };
        values.set(index, name, value)?;
    };
    for entry in &values.entries {
        let mut forms = entry.flag.names.iter().filter(|name| given.contains(name));
        if let (Some(first), Some(second)) = (forms.next(), forms.next()) {
            return Err(UsageError::TwoForms(first, second));
        }
    }
    Ok((values, operands))
}

/// Moves the flags that `command` knows before its operands, as upstream does for every command.
pub(super) fn reorder(command: &Command, words: &[OsString]) -> Vec<OsString> {
    let mut flags = Vec::with_capacity(words.len());
    let mut rest = Vec::new();
    let mut may_be_value = false;
    for (at, word) in words.iter().enumerate() {
        let is_flag = is_flag(command, word);
        if may_be_value && !is_flag {
            may_be_value = false;
            flags.push(word.clone());
        } else if word == "--" {
            // The mark ends the flags, so it goes before the operands that stood in front of it, too.
            rest.insert(0, word.clone());
            rest.extend_from_slice(&words[at + 1..]);
            break;
        } else if is_flag {
            may_be_value = !word.as_encoded_bytes().contains(&b'=');
            flags.push(word.clone());
        } else {
            rest.push(word.clone());
        }
    }
    flags.append(&mut rest);
    flags
}

fn is_flag(command: &Command, word: &OsStr) -> bool {
    let Some(text) = word.to_str() else {
        return false;
    };
    if text == "-" || text == "--" || !text.starts_with('-') {
        return false;
    }
    let body = strip_dashes(text);
    let name = body.split('=').next().unwrap_or(body);
    command.flags().any(|flag| flag.names.contains(&name))
}

fn strip_dashes(word: &str) -> &str {
    let word = word.strip_prefix('-').unwrap_or(word);
    word.strip_prefix('-').unwrap_or(word)
}

fn text(word: &OsStr) -> Result<&str, UsageError> {
    word.to_str()
        .ok_or_else(|| UsageError::NotText(word.to_owned()))
}

impl Values {
    fn defaults(
        command: &Command,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, UsageError> {
        let mut entries = Vec::new();
        for flag in command.flags() {
            let from_variable = flag.variable.and_then(variable);
            let value = match (flag.takes, from_variable) {
                (Takes::Bool(default), None) => Value::Bool(default),
                (Takes::Bool(_), Some(text)) if text.is_empty() => Value::Bool(false),
                (Takes::Bool(_), Some(text)) => match read_bool(&text) {
                    Some(value) => Value::Bool(value),
                    None => {
                        return Err(UsageError::VariableNotBoolean {
                            name: flag.names[0],
                            value: text,
                        });
                    }
                },
                (Takes::Text(default), None) => Value::Text(default.to_owned()),
                (Takes::Text(_), Some(text)) => Value::Text(text),
                (Takes::Int, _) => Value::Int(0),
                (Takes::List, None) => Value::List(Vec::new()),
                (Takes::List, Some(text)) => {
                    Value::List(text.split(',').map(|item| item.trim().to_owned()).collect())
                }
            };
            entries.push(Entry {
                flag,
                value,
                given: false,
            });
        }
        Ok(Self { entries })
    }

    fn find(&self, name: &str) -> Option<(usize, &'static str)> {
        self.entries.iter().enumerate().find_map(|(at, entry)| {
            let form = entry.flag.names.iter().find(|known| **known == name)?;
            Some((at, *form))
        })
    }

    fn set(&mut self, index: usize, name: &str, value: Option<&str>) -> Result<(), UsageError> {
        let entry = &mut self.entries[index];
        match &mut entry.value {
            Value::Bool(slot) => {
                *slot = match value {
                    None => true,
                    Some(text) => read_bool(text).ok_or_else(|| UsageError::NotBoolean {
                        name: name.to_owned(),
                        value: text.to_owned(),
                    })?,
                };
            }
            Value::Text(slot) => *slot = value.unwrap_or_default().to_owned(),
            Value::Int(slot) => {
                let text = value.unwrap_or_default();
                *slot = read_int(text).ok_or_else(|| UsageError::NotInteger {
                    name: name.to_owned(),
                    value: text.to_owned(),
                })?;
            }
            Value::List(items) => {
                if !entry.given {
                    items.clear(); // what stood in the variable
                }
                items.push(value.unwrap_or_default().to_owned());
            }
        }
        entry.given = true;
        Ok(())
    }

    /// Takes over what stood on the command line before the command, where the command has the same flag and was not
    /// given it; gives the names of those that it does not have. (Upstream ignores them all in silence: D18.)
    pub(super) fn inherit(&mut self, before: &Values) -> Vec<&'static str> {
        let mut unknown = Vec::new();
        for outer in before.entries.iter().filter(|entry| entry.given) {
            let name = outer.flag.names[0];
            match self
                .entries
                .iter_mut()
                .find(|entry| entry.flag.names[0] == name)
            {
                Some(entry) if entry.given || !same_takes(entry.flag, outer.flag) => {}
                Some(entry) => {
                    entry.value = outer.value.clone();
                    entry.given = true;
                }
                None => unknown.push(name),
            }
        }
        unknown
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.entries
            .iter()
            .find(|entry| entry.flag.names[0] == name)
            .map(|entry| &entry.value)
    }

    /// Whether a switch is on; a command that does not have it never has it on.
    pub(super) fn on(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Bool(true)))
    }

    /// Whether a switch that is on by default was switched off.
    pub(super) fn off(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Bool(false)))
    }

    /// A text; empty when not given.
    pub(super) fn text(&self, name: &str) -> &str {
        match self.get(name) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// A text that was given and is not empty.
    pub(super) fn some_text(&self, name: &str) -> Option<String> {
        Some(self.text(name))
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    }

    /// A number; 0 when not given.
    pub(super) fn int(&self, name: &str) -> i64 {
        match self.get(name) {
            Some(Value::Int(value)) => *value,
            _ => 0,
        }
    }

    /// A number that was given.
    pub(super) fn some_int(&self, name: &str) -> Option<i64> {
        let mut given = self.entries.iter().filter(|entry| entry.given);
        let is_given = given.any(|entry| entry.flag.names[0] == name);
        is_given.then(|| self.int(name))
    }

    /// A list.
    pub(super) fn list(&self, name: &str) -> &[String] {
        match self.get(name) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }
}

fn same_takes(one: &Flag, other: &Flag) -> bool {
    std::mem::discriminant(&one.takes) == std::mem::discriminant(&other.takes)
}

/// A Go integer in base 0: decimal, or with a prefix for another base.
fn read_int(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(digits, base)
        .ok()
        .and_then(|value| value.checked_mul(sign))
}

#[cfg(test)]
mod tests {
    use super::super::commands::ROOT;
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn command(name: &str) -> &'static Command {
        ROOT.commands
            .iter()
            .find(|command| command.name == name)
            .unwrap()
    }

    fn parse_command(name: &str, line: &str) -> Result<(Values, Vec<OsString>), UsageError> {
        let command = command(name);
        parse(command, &reorder(command, &words(line)), &|_| None)
    }

    #[test]
    fn t58_flags_may_follow_the_file() {
        let (values, operands) = parse_command("encrypt", "f -i --age X").unwrap();
        assert!(values.on("in-place"));
        assert_eq!(values.text("age"), "X");
        assert_eq!(operands, words("f"));
    }

    #[test]
    fn a_word_after_a_boolean_ends_the_flags() {
        let (values, operands) = parse_command("encrypt", "-i f --age X").unwrap();
        assert!(values.on("in-place"));
        assert_eq!(values.text("age"), "");
        assert_eq!(operands, words("f --age X"));
    }

    #[test]
    fn the_root_stops_at_the_first_operand() {
        let (values, operands) = parse(&ROOT, &words("-d --output=x f -i"), &|_| None).unwrap();
        assert!(values.on("decrypt") && !values.on("in-place"));
        assert_eq!(values.text("output"), "x");
        assert_eq!(operands, words("f -i"));
    }

    #[test]
    fn dashes_are_alike_and_there_is_no_bundling() {
        let (values, _) = parse(&ROOT, &words("-decrypt --i f"), &|_| None).unwrap();
        assert!(values.on("decrypt") && values.on("in-place"));
        let refused = parse(&ROOT, &words("-ei f"), &|_| None).unwrap_err();
        assert_eq!(refused.to_string(), "flag provided but not defined: -ei");
    }

    #[test]
    fn booleans_take_values_after_an_equals_sign() {
        let (values, _) = parse(&ROOT, &words("--i=false -d=T"), &|_| None).unwrap();
        assert!(!values.on("in-place") && values.on("decrypt"));
        assert!(parse(&ROOT, &words("--i=yes"), &|_| None).is_err());
    }

    #[test]
    fn l3_the_last_of_repeated_flags_wins() {
        let (values, _) = parse(
            &ROOT,
            &words("--output-type \"yaml\" -d --output-type yaml f"),
            &|_| None,
        )
        .unwrap();
        assert_eq!(values.text("output-type"), "yaml");
    }

    #[test]
    fn variables_are_defaults() {
        let variable = |name: &str| match name {
            "SOPS_KEYSERVICE" => Some("tcp://a, tcp://b".to_owned()),
            "SOPS_AGE_RECIPIENTS" => Some("X".to_owned()),
            "SOPS_ENABLE_LOCAL_KEYSERVICE" => Some(String::new()),
            _ => None,
        };
        let (values, _) = parse(&ROOT, &words("f"), &variable).unwrap();
        assert_eq!(values.list("keyservice"), ["tcp://a", "tcp://b"]);
        assert_eq!(values.text("age"), "X");
        assert!(values.off("enable-local-keyservice"));
        let (values, _) = parse(&ROOT, &words("--keyservice x --age Y f"), &variable).unwrap();
        assert_eq!(values.list("keyservice"), ["x"]);
        assert_eq!(values.text("age"), "Y");
        let garbage = parse(&ROOT, &words("f"), &|_| Some("perhaps".to_owned()));
        assert!(matches!(
            garbage,
            Err(UsageError::VariableNotBoolean { .. })
        ));
    }

    #[test]
    fn two_forms_of_one_flag_are_refused() {
        let refused = parse(&ROOT, &words("-i --in-place f"), &|_| None).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "Cannot use two forms of the same flag: in-place i"
        );
    }

    #[test]
    fn integers_are_read_in_base_0() {
        assert_eq!(read_int("0x10"), Some(16));
        assert_eq!(read_int("017"), Some(15));
        assert_eq!(read_int("-1"), Some(-1));
        assert_eq!(read_int("0"), Some(0));
        assert_eq!(read_int("--1"), None);
        assert_eq!(read_int(""), None);
    }

    #[test]
    fn two_dashes_end_the_flags() {
        let (values, operands) = parse_command("decrypt", "--output x -- -i").unwrap();
        assert_eq!(values.text("output"), "x");
        assert!(!values.on("in-place"));
        assert_eq!(operands, words("-i"));
    }

    #[test]
    fn two_dashes_behind_an_operand_are_none_themselves() {
        for (line, left) in [
            ("f -- -i", "f -i"),
            ("-i=true f --", "f"),
            ("f --output x -- y", "f y"),
            ("f -- --", "f --"),
            ("-i -- f", "f"),
        ] {
            let (_, operands) = parse_command("decrypt", line).unwrap();
            assert_eq!(operands, words(left), "{line}");
        }
        // What follows a flag that takes a value is the value.
        let (values, operands) = parse_command("decrypt", "f --output -- y").unwrap();
        assert_eq!(values.text("output"), "--");
        assert_eq!(operands, words("f y"));
    }
}
