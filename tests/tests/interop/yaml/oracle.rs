//! Both readers' answers in one form.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::attachment::Listed;
use sealwright_documents::format::{Format, yaml::Yaml};
use sealwright_documents::tree::{Key, Text, Tree, Value};
use sealwright_tests::harness::upstream;

/// The reference's reader.
pub(super) struct Oracle {
    program: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Oracle {
    pub(super) fn start() -> Self {
        let mut program = Command::new(upstream::yaml_oracle())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: program.stdin.take().unwrap(),
            output: BufReader::new(program.stdout.take().unwrap()),
            program,
        }
    }

    /// What the reference reads.
    pub(super) fn read(&mut self, text: &[u8]) -> Result<Reading, String> {
        let mut line: String = text.iter().map(|byte| format!("{byte:02x}")).collect();
        line.push('\n');
        self.input.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        if let Some(error) = answer.get("error") {
            return Err(error.as_str().unwrap().to_owned());
        }
        let mut reading = Reading::default();
        let documents = answer["documents"].as_array().into_iter().flatten();
        for (index, document) in documents.enumerate() {
            reading.values.push_str("--- ");
            show(document, &index.to_string(), &mut reading);
        }
        Ok(reading)
    }
}

/// What one reader makes of a text.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// All documents with their keys, kinds and values.
    pub(super) values: String,
    /// Each comment in the order of upstream's tree: the keys on the way to its collection, which bind its ciphertext,
    /// how many values stand before it there, and the comment.
    pub(super) comments: Vec<(String, usize, String)>,
}

/// What differs between our reading and upstream's.
pub(super) fn difference(ours: &Reading, theirs: &Reading) -> Result<(), Difference> {
    if ours.values != theirs.values {
        let (theirs, ours) = (&theirs.values, &ours.values);
        return Err(Difference::Values(format!(
            "reference: {theirs}\nours:      {ours}"
        )));
    }
    let (ours, theirs) = (&ours.comments, &theirs.comments);
    if ours == theirs {
        return Ok(());
    }
    let place = ours.iter().zip(theirs).position(|(a, b)| a != b);
    let at = place.unwrap_or(ours.len().min(theirs.len()));
    let reason = format!(
        "comment {at}: reference {:?}, ours {:?}",
        theirs.get(at),
        ours.get(at)
    );
    match owners(ours) == owners(theirs) {
        true => Err(Difference::Order(reason)),
        false => Err(Difference::Owner(reason)),
    }
}

/// Each comment with the collection that it belongs to, without the order there.
fn owners(comments: &[(String, usize, String)]) -> Vec<(&String, &String)> {
    let owners = comments.iter().map(|(path, _, comment)| (path, comment));
    let mut owners: Vec<_> = owners.collect();
    owners.sort();
    owners
}

/// How two readings differ.
#[derive(Debug)]
pub(super) enum Difference {
    /// In what the values are, or in whether there are any.
    Values(String),
    /// In the collection to which a comment belongs, which binds its ciphertext, or in whether there is the comment.
    Owner(String),
    /// In the order of comments and values in one collection.
    Order(String),
}

impl Drop for Oracle {
    fn drop(&mut self) {
        drop(self.program.kill());
        drop(self.program.wait());
    }
}

fn text_of(value: &serde_json::Value) -> Vec<u8> {
    let text = value.as_str().unwrap().as_bytes();
    let digits = text.chunks(2);
    digits
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
        .collect()
}

fn show(value: &serde_json::Value, path: &str, out: &mut Reading) {
    let parts = value.as_array().unwrap();
    let kind = parts[0].as_str().unwrap();
    match kind {
        "m" | "l" => {
            out.values.push_str(kind);
            out.values.push('(');
            let (mut index, mut values) = (0, 0);
            for part in &parts[1..] {
                if is_comment(part) {
                    let comment = text_of(&part[1]).escape_ascii().to_string();
                    out.comments.push((path.to_owned(), values, comment));
                    continue;
                }
                values += 1;
                let mut inner = path.to_owned();
                if kind == "m" {
                    write!(inner, "/{index}").unwrap();
                    index += 1;
                }
                if kind == "m" {
                    show(&part[0], &inner, out);
                    out.values.push_str(": ");
                    show(&part[1], &inner, out);
                } else {
                    show(part, &inner, out);
                }
                out.values.push_str(", ");
            }
            out.values.push(')');
        }
        "float" => {
            let text = String::from_utf8(text_of(&parts[1])).unwrap();
            write!(out.values, "float {:?}", text.parse::<f64>().unwrap()).unwrap();
        }
        "unsigned" => out.values.push_str(kind),
        _ => write!(out.values, "{kind} {}", text_of(&parts[1]).escape_ascii()).unwrap(),
    }
}

fn is_comment(part: &serde_json::Value) -> bool {
    matches!(part[0].as_str(), Some("#" | "##"))
}

/// What we read.
pub(super) fn ours(text: &[u8]) -> Result<Reading, String> {
    let tree = Yaml
        .parse(SecretBytes::copy_of(text))
        .map_err(|error| error.to_string())?;
    let mut reading = Reading::default();
    for (index, root) in tree.documents.iter().enumerate() {
        reading.values.push_str("--- ");
        show_node(&tree, *root as usize, &index.to_string(), &mut reading);
    }
    Ok(reading)
}

/// Shows a node; `path` is that of the collections around it.
fn show_node(tree: &Tree, at: usize, path: &str, out: &mut Reading) {
    let node = tree.nodes[at];
    let content = |text| tree.content(text).escape_ascii().to_string();
    match node.value {
        Value::Map | Value::List => {
            out.values
                .push(if node.value == Value::Map { 'm' } else { 'l' });
            out.values.push('(');
            let (mut index, mut values) = (0, 0);
            for child in tree.listed_children(at) {
                let child = match child {
                    Listed::Node(child) => child,
                    Listed::Hidden(span) => {
                        let comment = content(Text::File(span));
                        out.comments.push((path.to_owned(), values, comment));
                        continue;
                    }
                };
                if let Value::Comment { text, .. } = tree.nodes[child].value {
                    out.comments.push((path.to_owned(), values, content(text)));
                    continue;
                }
                values += 1;
                let mut inner = path.to_owned();
                if node.value == Value::Map {
                    write!(inner, "/{index}").unwrap();
                    index += 1;
                }
                match tree.nodes[child].key {
                    Key::None => {}
                    Key::Text(text) => write!(out.values, "str {}: ", content(text)).unwrap(),
                    Key::NotText(text) => {
                        write!(out.values, "{}: ", not_text(tree.content(text))).unwrap();
                    }
                }
                show_node(tree, child, &inner, out);
                out.values.push_str(", ");
            }
            out.values.push(')');
        }
        Value::Null => out.values.push_str("null "),
        Value::Bool(value) => write!(out.values, "bool {value}").unwrap(),
        Value::Int(value) => write!(out.values, "int {value}").unwrap(),
        Value::Float(value) => write!(out.values, "float {value:?}").unwrap(),
        Value::Time(text) => write!(out.values, "time {}", content(text)).unwrap(),
        Value::Str(text) => write!(out.values, "str {}", content(text)).unwrap(),
        Value::Unsupported(_) => out.values.push_str("unsigned"),
        Value::Comment { .. } => unreachable!("a comment is no document"),
    }
}

/// A key that is no text, read as a value: our tree has its spelling only.
fn not_text(spelling: &[u8]) -> String {
    let text = [b"k: ", spelling, b"\n"].concat();
    let Ok(tree) = Yaml.parse(SecretBytes::copy_of(&text)) else {
        return format!("not text {}", spelling.escape_ascii());
    };
    let mut out = Reading::default();
    show_node(&tree, 1, "", &mut out);
    out.values
}
