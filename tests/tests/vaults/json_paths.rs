//! Paths into JSON beside the library that upstream's stores follow and set them with (gjson 1.18, sjson 1.2.5): what a
//! `property` leads to, and what a push makes of a document.

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealwright_providers::json;
use sealwright_tests::harness::generated::{cases, seed};
use sealwright_tests::harness::{oracle, upstream};
use serde_json::{Value, json};

/// A small generator: the same questions for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below as u64).unwrap()
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

const NAMES: &[&str] = &[
    "a", "b", "ab", "a.b", "c d", "0", "1", "é", "user", "*", "a*", "x|y", "#", "@this", "",
];
const SCALARS: &[&str] = &[
    "\"x\"",
    "\"y z\"",
    "\"\"",
    "\"<&>\"",
    "\"a\\\"b\"",
    "\"\\u00e9\\n\"",
    "\"{\\\"a\\\": 1}\"",
    "1",
    "0",
    "-7",
    "3.50",
    "1e3",
    "12345678901234567890",
    "0.1",
    "true",
    "false",
    "null",
];

/// A document as people have them, and a little odd.
fn document(dice: &mut Dice, depth: usize, out: &mut String) {
    let kind = if depth == 0 { 0 } else { dice.below(5) };
    match kind {
        0 | 1 => out.push_str(dice.pick(SCALARS)),
        2 => {
            out.push('[');
            for number in 0..dice.below(4) {
                if number > 0 {
                    out.push_str(dice.pick(&[",", ", ", " ,\n"]));
                }
                document(dice, depth - 1, out);
            }
            out.push(']');
        }
        _ => object(dice, depth, out),
    }
}

fn object(dice: &mut Dice, depth: usize, out: &mut String) {
    out.push('{');
    let mut names: Vec<&str> = (0..dice.below(5)).map(|_| dice.pick(NAMES)).collect();
    // What a member means that is there twice, no one relies on.
    names.sort_unstable();
    names.dedup();
    for (number, name) in names.iter().enumerate() {
        if number > 0 {
            out.push_str(dice.pick(&[",", ", "]));
        }
        out.push_str(&Value::from(*name).to_string());
        out.push_str(dice.pick(&[":", ": "]));
        document(dice, depth - 1, out);
    }
    out.push('}');
}

fn query(dice: &mut Dice) -> String {
    let left = dice.pick(&["a", "b", "user", "", "a.b", "0"]);
    let operator = dice.pick(&["==", "=", "!=", "<", "<=", ">", ">=", "%", "!%"]);
    let right = dice.pick(&["\"x\"", "\"y*\"", "1", "0", "3.5", "true", "\"*\"", "x"]);
    let all = dice.pick(&["", "#"]);
    match dice.below(6) {
        0 if !left.is_empty() => format!("#({left}){all}"),
        1 => format!("#({left}==~true){all}"),
        _ => format!("#({left}{operator}{right}){all}"),
    }
}

/// A path as people write them. Left out is what the library itself is of two minds about: members without a name, and going
/// on inside of a text that `@tostr` has made or `@fromstr` may not understand.
fn path(dice: &mut Dice, depth: usize) -> String {
    let mut path = String::new();
    for number in 0..=dice.below(3) {
        if number > 0 {
            path.push_str(dice.pick(&[".", ".", ".", "|"]));
        }
        let part = match dice.below(12) {
            0..=4 => dice.pick(&NAMES[..NAMES.len() - 1]).to_owned(),
            5 => dice.pick(&NAMES[..NAMES.len() - 1]).replace('.', "\\."),
            6 => dice.pick(&["#", "0", "1", "2"]).to_owned(),
            7 => dice.pick(&["*", "a*", "?", "*b", "a?b"]).to_owned(),
            8 => query(dice),
            9 => dice
                .pick(&[
                    "@this", "@reverse", "@keys", "@values", "@flatten", "@valid", "@ugly",
                ])
                .to_owned(),
            10 if depth > 0 => {
                let one = self::path(dice, depth - 1);
                let two = self::path(dice, depth - 1);
                match dice.below(3) {
                    0 => format!("{{{one},{two}}}"),
                    1 => format!("{{\"n\":{one}}}"),
                    _ => format!("[{one},{two}]"),
                }
            }
            _ => dice.pick(&["a", "b", "user"]).to_owned(),
        };
        path.push_str(&part);
    }
    path.push_str(match dice.below(20) {
        0 => "|@tostr",
        1 => "|@fromstr",
        _ => "",
    });
    path
}

/// Asks the oracle about all questions in one go.
fn asked(questions: &[Value]) -> Vec<Option<Vec<u8>>> {
    let answers = oracle::ask(&mut Command::new(upstream::json_path_oracle()), questions);
    let texts = answers.iter().map(|answer| {
        let text = STANDARD.decode(answer["text"].as_str().unwrap_or_default());
        (answer["exists"] == true).then(|| text.unwrap())
    });
    texts.collect()
}

/// Differences, which are few or none, with what led to them.
fn differences(
    what: &str,
    questions: &[Value],
    ours: impl Fn(&[u8], &str) -> Option<Vec<u8>>,
    excused: impl Fn(&Option<Vec<u8>>, &Option<Vec<u8>>) -> bool,
    one_in: usize,
) {
    let mut told = Vec::new();
    let mut found = 0;
    for (question, theirs) in questions.iter().zip(asked(questions)) {
        let document = STANDARD
            .decode(question["document"].as_str().unwrap())
            .unwrap();
        let path = question["path"].as_str().unwrap();
        let ours = ours(&document, path);
        found += usize::from(theirs.is_some());
        if ours != theirs && !excused(&ours, &theirs) {
            let text = |it: &Option<Vec<u8>>| {
                it.as_ref()
                    .map(|it| String::from_utf8_lossy(it).into_owned())
            };
            told.push(format!(
                "{} at {path:?}: ours {:?}, theirs {:?}",
                String::from_utf8_lossy(&document),
                text(&ours),
                text(&theirs)
            ));
        }
    }
    println!(
        "{what}: {} questions, {found} with an answer",
        questions.len()
    );
    assert!(found * 20 > questions.len(), "the questions lead nowhere");
    let shown = told.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    println!("{what}: {} differ:\n{shown}", told.len());
    assert!(
        told.len().saturating_mul(one_in) <= questions.len(),
        "{what}"
    );
}

fn generated(
    own: u64,
    long: usize,
    mut path: impl FnMut(&mut Dice) -> String,
    set: bool,
) -> Vec<Value> {
    let mut dice = Dice(seed(own) | 1);
    let count = cases(20_000, long);
    (0..count)
        .map(|_| {
            let mut text = String::new();
            object(&mut dice, 3, &mut text);
            let mut question = json!({"document": STANDARD.encode(&text), "path": path(&mut dice)});
            if set {
                question["set"] = "n<e>w".into();
            }
            question
        })
        .collect()
}

#[test]
fn properties_lead_where_upstreams_library_leads() {
    let questions = generated(0x5ea1_0000_0071, 400_000, |dice| path(dice, 1), false);
    let ours = |document: &[u8], path: &str| {
        let found = json::path::get(document, path);
        found.map(|found| found.text().expose().to_vec())
    };
    // What is left are lists and queries behind patterns and pipes, in combinations that no one writes.
    differences("get", &questions, ours, |_, _| false, 1_000);
}

#[test]
fn pushed_properties_make_what_upstreams_library_makes() {
    // Names and numbers: what else a path may hold, the library refuses.
    let names = |dice: &mut Dice| {
        let parts = (0..=dice.below(3))
            .map(|_| dice.pick(&["a", "b", "ab", "a\\.b", "user", "0", "1", "c d"]));
        parts.collect::<Vec<_>>().join(".")
    };
    let questions = generated(0x5ea1_0000_0072, 400_000, names, true);
    let ours = |document: &[u8], path: &str| {
        let changed = json::edit::set(document, path, b"n<e>w");
        changed.map(|changed| changed.expose().to_vec())
    };
    let same = |ours: &Option<Vec<u8>>, theirs: &Option<Vec<u8>>| {
        let parsed = |it: &Option<Vec<u8>>| {
            it.as_ref()
                .and_then(|it| serde_json::from_slice::<Value>(it).ok())
        };
        parsed(ours) == parsed(theirs)
    };
    // The library keeps other spaces, and replaces a scalar or pads an array on the way, where ours refuses.
    let excused =
        |ours: &Option<Vec<u8>>, theirs: &Option<Vec<u8>>| ours.is_none() || same(ours, theirs);
    differences("set", &questions, ours, excused, usize::MAX);
}
