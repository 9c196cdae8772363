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
    pub(super) fn read(&mut self, text: &[u8]) -> Result<String, String> {
        let mut line: String = text.iter().map(|byte| format!("{byte:02x}")).collect();
        line.push('\n');
        self.input.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        if let Some(error) = answer.get("error") {
            return Err(error.as_str().unwrap().to_owned());
        }
        let mut out = String::new();
        for document in answer["documents"].as_array().into_iter().flatten() {
            out.push_str("--- ");
            show(document, &mut out);
        }
        Ok(out)
    }
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

fn show(value: &serde_json::Value, out: &mut String) {
    let parts = value.as_array().unwrap();
    let kind = parts[0].as_str().unwrap();
    match kind {
        "m" | "l" => {
            let comments = parts[1..].iter().filter(|part| is_comment(part));
            let mut comments: Vec<String> = comments
                .map(|part| comment(part[0].as_str().unwrap(), &text_of(&part[1])))
                .collect();
            comments.sort();
            out.push_str(kind);
            out.push('(');
            out.push_str(&comments.concat());
            for part in parts[1..].iter().filter(|part| !is_comment(part)) {
                if kind == "m" {
                    show(&part[0], out);
                    out.push_str(": ");
                    show(&part[1], out);
                } else {
                    show(part, out);
                }
                out.push_str(", ");
            }
            out.push(')');
        }
        "float" => {
            let text = String::from_utf8(text_of(&parts[1])).unwrap();
            write!(out, "float {:?}", text.parse::<f64>().unwrap()).unwrap();
        }
        "unsigned" => out.push_str(kind),
        _ => write!(out, "{kind} {}", text_of(&parts[1]).escape_ascii()).unwrap(),
    }
}

fn is_comment(part: &serde_json::Value) -> bool {
    matches!(part[0].as_str(), Some("#" | "##"))
}

fn comment(mark: &str, text: &[u8]) -> String {
    format!("{mark}{} ", text.escape_ascii())
}

/// What we read, in the same form.
pub(super) fn ours(text: &[u8]) -> Result<String, String> {
    let tree = Yaml
        .parse(SecretBytes::copy_of(text))
        .map_err(|error| error.to_string())?;
    let mut out = String::new();
    for root in &tree.documents {
        out.push_str("--- ");
        show_node(&tree, *root as usize, &mut out);
    }
    Ok(out)
}

fn show_node(tree: &Tree, at: usize, out: &mut String) {
    let node = tree.nodes[at];
    let content = |text| tree.content(text).escape_ascii().to_string();
    match node.value {
        Value::Map | Value::List => {
            let mut comments = Vec::new();
            let mut values = Vec::new();
            for child in tree.children(at) {
                match tree.nodes[child].value {
                    Value::Comment { text, inline } => {
                        comments.push(comment(if inline { "##" } else { "#" }, tree.content(text)));
                    }
                    _ => values.push(child),
                }
            }
            comments.sort();
            out.push(if node.value == Value::Map { 'm' } else { 'l' });
            out.push('(');
            out.push_str(&comments.concat());
            for child in values {
                match tree.nodes[child].key {
                    Key::None => {}
                    Key::Text(text) => write!(out, "str {}: ", content(text)).unwrap(),
                    Key::NotText(text) => {
                        write!(out, "{}: ", not_text(tree.content(text))).unwrap();
                    }
                }
                show_node(tree, child, out);
                out.push_str(", ");
            }
            out.push(')');
        }
        Value::Null => out.push_str("null "),
        Value::Bool(value) => write!(out, "bool {value}").unwrap(),
        Value::Int(value) => write!(out, "int {value}").unwrap(),
        Value::Float(value) => write!(out, "float {value:?}").unwrap(),
        Value::Time(text) => write!(out, "time {}", content(text)).unwrap(),
        Value::Str(text) => write!(out, "str {}", content(text)).unwrap(),
        Value::Unsupported(_) => out.push_str("unsigned"),
        Value::Comment { .. } => unreachable!("a comment is no document"),
    }
}

/// A key that is no text, read as a value: our tree has its spelling only.
fn not_text(spelling: &[u8]) -> String {
    let text = [b"k: ", spelling, b"\n"].concat();
    let Ok(tree) = Yaml.parse(SecretBytes::copy_of(&text)) else {
        return format!("not text {}", spelling.escape_ascii());
    };
    let mut out = String::new();
    show_node(&tree, 1, &mut out);
    out
}
