//! Upstream's own packages, behind one program that stays.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;

use sealwright_crypto::age;
use serde_json::{Value, json};

use super::Dice;
use super::ours::Step;
use sealwright_tests::harness::upstream;

/// The data key of all files.
pub(super) const KEY: [u8; 32] = *b"0123456789abcdef0123456789ABCDEF";
/// Who is named in them, and what stands for the wrapped key: it is never asked for.
pub(super) const RECIPIENT: &str = "age1lzd99uklcjnc0e7d860axevet2cz99ce9pq6tzuzd05l5nr28ams36nvun";
pub(super) const WRAPPED: &str = "not needed here";

/// Who can open the files, when it is programs that are judged: those make their own data keys.
pub(super) struct Holder {
    pub(super) recipient: String,
    identity: String,
    /// [`KEY`] for the recipient.
    wrapped: String,
}

impl Holder {
    /// The holder of all keys, when the environment names programs to judge.
    pub(super) fn of_programs() -> Option<&'static Self> {
        static HOLDER: LazyLock<Option<Holder>> =
            LazyLock::new(|| std::env::var_os("SEALWRIGHT_PROGRAMS").map(|_| Holder::new()));
        HOLDER.as_ref()
    }

    fn new() -> Self {
        let generated = age::generate();
        let mut program = Command::new(upstream::age())
            .args(["--armor", "--recipient", &generated.recipient])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = program.stdin.take().unwrap();
        input.write_all(&KEY).unwrap();
        drop(input);
        let output = program.wait_with_output().unwrap();
        Self {
            recipient: generated.recipient,
            identity: generated.identity.expose().trim().to_owned(),
            wrapped: String::from_utf8(output.stdout).unwrap(),
        }
    }

    /// Lets a command open the files.
    pub(super) fn furnish(&self, command: &mut Command) {
        command.env("SOPS_AGE_KEY", &self.identity);
    }
}

/// How a document is encrypted.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) rule: Option<(&'static str, &'static str)>,
    pub(super) mac_only: bool,
}

impl Settings {
    pub(super) fn roll(dice: &mut Dice) -> Self {
        let rules = [
            None,
            None,
            Some(("unencrypted_suffix", "_unencrypted")),
            Some(("encrypted_suffix", "a")),
            Some(("unencrypted_regex", "^(b|meta|.*password)$")),
            Some(("encrypted_regex", r"(data|secret|a|^w\d)")),
            Some(("unencrypted_comment_regex", "note")),
            Some(("unencrypted_comment_regex", "note")),
            Some(("encrypted_comment_regex", "note")),
            Some(("encrypted_comment_regex", "note")),
        ];
        Self {
            rule: rules[dice.roll(rules.len())],
            mac_only: dice.roll(4) == 0,
        }
    }

    pub(super) fn by(field: &'static str, pattern: &'static str) -> Self {
        Self {
            rule: Some((field, pattern)),
            mac_only: false,
        }
    }

    /// Whether comments decide what is encrypted.
    pub(super) fn is_on_comments(&self) -> bool {
        self.rule
            .is_some_and(|(field, _)| field.ends_with("comment_regex"))
    }

    pub(super) fn shown(&self) -> String {
        let rule = self.rule.map(|(field, text)| format!("{field} {text}"));
        let mac = if self.mac_only {
            ", mac_only_encrypted"
        } else {
            ""
        };
        rule.unwrap_or_else(|| "no rule".into()) + mac
    }
}

/// A text and what upstream's tree has in it, one value per document.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) text: Vec<u8>,
    pub(super) listing: Vec<Value>,
}

pub(super) struct Upstream {
    program: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Upstream {
    pub(super) fn start() -> Self {
        let mut command = Command::new(upstream::sops_oracle());
        if let Some(holder) = Holder::of_programs() {
            holder.furnish(&mut command);
        }
        let mut program = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            input: program.stdin.take().unwrap(),
            output: BufReader::new(program.stdout.take().unwrap()),
            program,
        }
    }

    /// A plain text as a tree.
    pub(super) fn list(&mut self, format: &str, text: &[u8]) -> Result<Vec<Value>, String> {
        Ok(self.ask("list", format, text, json!({}))?.listing)
    }

    /// An encrypted text as a tree.
    pub(super) fn list_encrypted(
        &mut self,
        format: &str,
        text: &[u8],
    ) -> Result<Vec<Value>, String> {
        Ok(self.ask("list encrypted", format, text, json!({}))?.listing)
    }

    /// The encrypted text, and the tree before it was written.
    pub(super) fn encrypt(
        &mut self,
        format: &str,
        text: &[u8],
        settings: &Settings,
    ) -> Result<Listed, String> {
        let (field, pattern) = settings.rule.unwrap_or_default();
        let (recipient, wrapped) = match Holder::of_programs() {
            Some(holder) => (holder.recipient.as_str(), holder.wrapped.as_str()),
            None => (RECIPIENT, WRAPPED),
        };
        let with = json!({
            "Field": field, "Pattern": pattern, "MacOnly": settings.mac_only, "Recipient": recipient, "Wrapped": wrapped,
        });
        self.ask("encrypt", format, text, with)
    }

    /// The tree of the plain text. Not all trees can be written.
    pub(super) fn decrypt(&mut self, format: &str, text: &[u8]) -> Result<Vec<Value>, String> {
        Ok(self
            .ask("decrypt", format, text, json!({"ListOnly": true}))?
            .listing)
    }

    /// The plain text as upstream writes it.
    pub(super) fn decrypted_text(&mut self, format: &str, text: &[u8]) -> Result<Vec<u8>, String> {
        Ok(self.ask("decrypt", format, text, json!({}))?.text)
    }

    pub(super) fn extract(
        &mut self,
        format: &str,
        text: &[u8],
        path: &[Step],
    ) -> Result<Value, String> {
        let answer = self.ask("extract", format, text, json!({"Path": steps(path)}))?;
        Ok(Value::Array(answer.listing))
    }

    /// The encrypted text after a change, and the tree before it was encrypted; the tree alone with `list_only`.
    pub(super) fn set(
        &mut self,
        format: &str,
        text: &[u8],
        path: &[Step],
        value: &str,
        list_only: bool,
    ) -> Result<Listed, String> {
        let with = json!({"Path": steps(path), "Value": value, "ListOnly": list_only});
        self.ask("set", format, text, with)
    }

    /// The same without the value there.
    pub(super) fn unset(
        &mut self,
        format: &str,
        text: &[u8],
        path: &[Step],
        list_only: bool,
    ) -> Result<Listed, String> {
        let with = json!({"Path": steps(path), "ListOnly": list_only});
        self.ask("unset", format, text, with)
    }

    fn ask(
        &mut self,
        step: &str,
        format: &str,
        text: &[u8],
        mut with: Value,
    ) -> Result<Listed, String> {
        with["Op"] = step.into();
        with["Format"] = format.into();
        with["Text"] = hex(text).into();
        let makes_its_own = step != "encrypt" && Holder::of_programs().is_some();
        with["Key"] = if makes_its_own {
            "".into()
        } else {
            hex(&KEY).into()
        };
        writeln!(self.input, "{with}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        if answer.is_empty() {
            // Some documents end upstream's programs altogether.
            *self = Self::start();
            return Err("it dies".into());
        }
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        if let Some(error) = answer.get("error") {
            return Err(error.as_str().unwrap().to_owned());
        }
        let text = answer["text"].as_str().map_or(Vec::new(), unhex);
        let listing = match answer["listing"].take() {
            Value::Array(listing) => listing,
            _ => Vec::new(),
        };
        Ok(Listed { text, listing })
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        drop(self.program.kill());
        drop(self.program.wait());
    }
}

fn steps(path: &[Step]) -> Value {
    path.iter()
        .map(|step| match step {
            Step::Key(key) => Value::from(key.as_str()),
            Step::Index(index) => Value::from(*index),
        })
        .collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
        .collect()
}

/// A text of a listing.
pub(super) fn text_of(hexadecimal: &str) -> Option<String> {
    String::from_utf8(unhex(hexadecimal)).ok()
}
