//! Programs of ours around an upstream library: a question a line, and an answer a line.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::thread;

use serde_json::Value;

/// Asks all questions in one go. The answers come in their order.
///
/// # Panics
///
/// Fails the test when the program cannot be run, says something else than JSON, or ends badly: with the question it ended at.
#[must_use]
pub fn ask(program: &mut Command, questions: &[Value]) -> Vec<Value> {
    let text: Vec<u8> = questions
        .iter()
        .flat_map(|question| format!("{question}\n").into_bytes())
        .collect();
    let mut oracle = program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the oracle can be run");
    let mut input = oracle.stdin.take().expect("it is piped");
    let output = BufReader::new(oracle.stdout.take().expect("it is piped"));
    // A program that dies closes its input; what it died of is said below.
    let writer = thread::spawn(move || drop(input.write_all(&text)));
    let answers: Vec<Value> = output
        .lines()
        .map(|line| {
            let line = line.expect("the oracle prints text");
            serde_json::from_str(&line).expect("the oracle prints JSON")
        })
        .collect();
    writer.join().expect("the writer does not panic");
    let ended = oracle.wait().expect("the oracle ends");
    assert!(
        ended.success(),
        "the oracle ended with {ended} at {:?}",
        questions.get(answers.len())
    );
    answers
}
