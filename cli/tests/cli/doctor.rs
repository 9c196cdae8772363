//! `doctor`: what is found, and what has to be done.

use super::desk::{Desk, KEYS};

/// What each build says of itself is not the matter here.
fn without_build(text: &str) -> String {
    let is_of_build = |line: &&str| !line.starts_with("key types") && !line.starts_with("stores: ");
    let lines = text.lines().filter(is_of_build);
    let lines = lines.map(|line| match line.find(",\"configuration\":") {
        Some(at) if line.starts_with("{\"build\":") => format!("{{…{}", &line[at..]),
        _ => line.to_owned(),
    });
    lines.map(|line| line + "\n").collect()
}

#[test]
fn a_tree_of_all_sorts() {
    let desk = Desk::new();
    desk.write(
        ".sops.yaml",
        format!(
            "creation_rules:\n  - path_regex: ^s/\n    age:\n      - {} # alice\n  - path_regex: ^e/\n    age: {} # eve\n",
            KEYS[0].0, KEYS[2].0
        ),
    );
    let mut text = desk.transcript(&["doctor"]);
    desk.encrypted("s/a.yaml", "a: 1\n");
    desk.encrypted("e/others.yaml", "a: 1\n");
    text += &desk.transcript(&["doctor"]);
    text += &desk.transcript(&["--strict", "doctor", "e"]);
    desk.write("s/plain.yaml", "a: 1\n");
    desk.write("s/more.env", "A=1\n");
    desk.write("other.txt", "x\n");
    let file = desk.read("s/a.yaml");
    desk.write("s/broken.yaml", file.replace("sops:", "sops: 5\nx:"));
    desk.run([
        "rotate",
        "--add-age",
        KEYS[1].0,
        "--accept-recipients",
        "s/a.yaml",
    ])
    .good();
    text += &desk.transcript(&["doctor", "."]);
    text += &desk.transcript(&["--output", "json", "doctor", "s"]);
    desk.write(
        ".sops.yaml",
        "creation_rules:\n  - path_regex: (\n    age: x\n    nonsense: 1\n",
    );
    text += &desk.transcript(&["doctor", "other.txt"]);
    desk.write(".sops.yaml", "creation_rules: 5\n");
    text += &desk.transcript(&["doctor", "other.txt"]);
    insta::assert_snapshot!("doctor", without_build(&text));
}

#[test]
fn someone_without_anything_learns_what_to_do() {
    let desk = Desk::fresh();
    let text = desk.transcript(&["doctor"]);
    assert!(text.contains("no .sops.yaml here"), "{text}");
    assert!(
        text.contains("none; `sealwright keygen` makes one"),
        "{text}"
    );
    let json = desk.run(["--output", "json", "doctor"]).good();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["configuration"], serde_json::Value::Null);
    assert_eq!(json["problems"], 0);
}
