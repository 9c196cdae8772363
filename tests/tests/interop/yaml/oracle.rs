//! Both readers' answers in one form.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::format::{Format, yaml::Yaml};
use sealwright_documents::tree::{Key, Tree, Value};
use sealwright_tests::harness::incumbents;

/// The reference's reader.
pub(super) struct Oracle {
    program: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Oracle {
    pub(super) fn start() -> Self {
        let mut program = Command::new(incumbents::yaml_oracle())
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
        reading.comments.sort();
        Ok(reading)
    }
}

/// What one reader makes of a text.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// All documents with their keys, kinds and values.
    pub(super) values: String,
    /// The keys on the way to the collection, which bind its ciphertext, and the comment with its mark: `##` when it shares its line with a value.
    pub(super) comments: Vec<(String, String)>,
    /// Paths of what is written as an alias.
    aliases: Vec<String>,
}

/// What differs between our reading and the reference's, beside what is meant to.
///
/// Meant: the reference drops some comments altogether (behind `{`, behind an anchor before a block), which we keep; it
/// repeats the comments inside of an anchored collection for every alias; and it takes a comment behind the mark of a
/// block scalar for one on the line of a value, which we only do once the value is to be encrypted.
pub(super) fn difference(ours: &Reading, theirs: &Reading, text: &[u8]) -> Result<(), Difference> {
    if ours.values != theirs.values {
        let (theirs, ours) = (&theirs.values, &ours.values);
        return Err(Difference::Values(format!(
            "reference: {theirs}\nours:      {ours}"
        )));
    }
    let is_copy = |path: &String| {
        ours.aliases
            .iter()
            .any(|alias| path == alias || path.starts_with(&format!("{alias}/")))
    };
    let only_in = |these: &Reading, those: &Reading| {
        let mut rest = those.comments.clone();
        let mut only = Vec::new();
        for comment in &these.comments {
            match rest.iter().position(|other| other == comment) {
                Some(at) => drop(rest.remove(at)),
                None => only.push(comment.clone()),
            }
        }
        only
    };
    let missing: Vec<_> = only_in(theirs, ours)
        .into_iter()
        .filter(|(path, comment)| !is_copy(path) && !is_behind_a_block_mark(text, comment))
        .collect();
    let added: Vec<_> = only_in(ours, theirs)
        .into_iter()
        .filter(|(_, comment)| {
            let text = comment.trim_start_matches("##");
            let is_dropped = !theirs
                .comments
                .iter()
                .any(|(_, other)| other.ends_with(text));
            !is_dropped
        })
        .collect();
    if missing.is_empty() && added.is_empty() {
        return Ok(());
    }
    Err(Difference::Comments(format!(
        "comments that only the reference has: {missing:?}, that only we have: {added:?}"
    )))
}

/// How two readings differ.
#[derive(Debug)]
pub(super) enum Difference {
    /// In what the values are, or in whether there are any.
    Values(String),
    /// In the collection to which a comment belongs.
    #[allow(dead_code, reason = "shown by `Debug` when a test fails")]
    Comments(String),
}

fn is_behind_a_block_mark(text: &[u8], comment: &str) -> bool {
    let Some(comment) = comment.strip_prefix("##") else {
        return false;
    };
    text.split(|byte| matches!(byte, b'\n' | b'\r'))
        .any(|line| {
            let shown = line.escape_ascii().to_string();
            let before = shown
                .strip_suffix(comment)
                .and_then(|line| line.strip_suffix('#'));
            before.is_some_and(|before| {
                let sign = before.replace("\\t", " ");
                let sign = sign
                    .trim_end()
                    .trim_end_matches(['+', '-', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
                sign.ends_with(['|', '>'])
            })
        })
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
            let mut index = 0;
            for part in &parts[1..] {
                if is_comment(part) {
                    let comment = comment(part[0].as_str().unwrap(), &text_of(&part[1]));
                    out.comments.push((path.to_owned(), comment));
                    continue;
                }
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

fn comment(mark: &str, text: &[u8]) -> String {
    format!("{mark}{}", text.escape_ascii())
}

/// What we read.
pub(super) fn ours(text: &[u8]) -> Result<Reading, String> {
    let tree = Yaml
        .parse(SecretBytes::copy_of(text))
        .map_err(|error| error.to_string())?;
    let mut reading = Reading::default();
    for (index, root) in tree.documents.iter().enumerate() {
        reading.values.push_str("--- ");
        let mut paths = vec![index.to_string()];
        show_node(&tree, *root as usize, &mut paths, &mut reading);
    }
    reading.comments.sort();
    Ok(reading)
}

/// Shows a node; `paths` are those of it and of the collections around it.
fn show_node(tree: &Tree, at: usize, paths: &mut Vec<String>, out: &mut Reading) {
    let node = tree.nodes[at];
    let path = paths[paths.len() - 1].clone();
    let content = |text| tree.content(text).escape_ascii().to_string();
    if tree.spelling(at).starts_with(b"*") {
        out.aliases.push(path.clone());
    }
    match node.value {
        Value::Map | Value::List => {
            out.values
                .push(if node.value == Value::Map { 'm' } else { 'l' });
            out.values.push('(');
            let mut index = 0;
            for child in tree.children(at) {
                if let Value::Comment {
                    text,
                    inline,
                    above,
                } = tree.nodes[child].value
                {
                    let mark = if inline { "##" } else { "#" };
                    let owner = paths[paths.len() - 1 - usize::from(above)].clone();
                    out.comments
                        .push((owner, comment(mark, tree.content(text))));
                    continue;
                }
                let mut inner = path.clone();
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
                paths.push(inner);
                show_node(tree, child, paths, out);
                paths.pop();
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
    show_node(&tree, 1, &mut vec![String::new()], &mut out);
    out.values
}
