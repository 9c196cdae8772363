//! Templates: what Go's `text/template` with sprig renders, we render, byte for byte; what it refuses, we refuse.
//!
//! The judge is `servers/template-oracle`, a program of ours around Go's own engine and sprig 3.3.0 with the functions
//! that the Sealed Secrets controller offers. Error texts are not compared: ours name no values.

#[path = "template/generator.rs"]
mod generator;

use std::process::Command;

use sealwright_crypto::sealing::base64;
use sealwright_template::{Context, Dialect, Options, Template};
use sealwright_tests::harness::{generated, oracle, upstream};
use serde_json::{Map, Value, json};

use generator::Generator;

/// The values that the templates see.
const DATA: [(&str, &[u8]); 8] = [
    ("user", b"admin"),
    ("with.dots", b"dotted"),
    ("bin", b"\xffa\xc3\x28b\x00 \xe9z"),
    ("html", b"<a>&'\""),
    ("num", b"42"),
    ("multi", b"l1\nl2\n"),
    ("empty", b""),
    ("json", b"{\"a\":{\"b\":[1,2]},\"c\":\"d\"}"),
];

#[test]
fn t45_written_templates_render_as_in_go() {
    let cases: Vec<String> = include_str!("template/cases.txt")
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    assert!(cases.len() > 250, "the list of cases is there");
    agree(&cases);
}

#[test]
fn t45_generated_templates_render_as_in_go() {
    let (seed, count) = (generated::seed(1), generated::cases(4_000, 40_000));
    let mut generator = Generator::new(seed);
    let cases: Vec<String> = (0..count).map(|_| generator.template()).collect();
    let rendered = agree(&cases);
    // Cases that are refused prove little: most must run.
    assert!(
        rendered * 2 > cases.len(),
        "{rendered} of {} ran",
        cases.len()
    );
}

/// Renders all templates on both sides, compares, and tells how many ran.
fn agree(templates: &[String]) -> usize {
    let theirs = ask_go(templates);
    assert_eq!(theirs.len(), templates.len());
    let mut rendered = 0;
    let mut differences = Vec::new();
    for (template, theirs) in templates.iter().zip(theirs) {
        let ours = render(template);
        match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) if ours == theirs => rendered += 1,
            (Err(_), Err(_)) => {}
            _ => differences.push(format!(
                "{template}\n    go:   {}\n    ours: {}",
                shown(&theirs),
                shown(&ours)
            )),
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {} templates differ:\n{}",
        differences.len(),
        templates.len(),
        differences[..differences.len().min(25)].join("\n")
    );
    rendered
}

fn render(template: &str) -> Result<Vec<u8>, String> {
    let mut context = Context::default();
    for (key, value) in DATA {
        context.insert(key, value);
    }
    Template::parse("t", template, &Options::of(Dialect::SealedSecrets))
        .and_then(|template| template.render(&context))
        .map(|text| text.expose().to_vec())
        .map_err(|error| error.to_string())
}

/// Asks the oracle about all templates in one go.
fn ask_go(templates: &[String]) -> Vec<Result<Vec<u8>, String>> {
    let data: Map<String, Value> = DATA
        .iter()
        .map(|(key, value)| ((*key).to_owned(), json!(base64::encode(value))))
        .collect();
    let questions: Vec<Value> = templates
        .iter()
        .map(|template| json!({"template": template, "data": data}))
        .collect();
    let mut go = Command::new(upstream::template_oracle());
    let answers = oracle::ask(go.env("TZ", "UTC"), &questions);
    let results = answers.iter().map(|answer| match answer.get("error") {
        Some(error) => Err(error.as_str().unwrap().to_owned()),
        None => Ok(answer["output"]
            .as_str()
            .map(|text| base64::decode(text.as_bytes()).unwrap())
            .unwrap_or_default()),
    });
    results.collect()
}

fn shown(result: &Result<Vec<u8>, String>) -> String {
    match result {
        Ok(text) => format!("{:?}", String::from_utf8_lossy(text)),
        Err(error) => format!("error {error}"),
    }
}
