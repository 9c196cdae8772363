//! What comes from files and peers is shown with control characters made visible, so that no one agrees to something else
//! than what stands there.

use super::desk::{Desk, KEYS, run};
use super::screen::Screen;

/// Moves the cursor up, erases the line, and writes another over it; an eight-bit control, a change of direction.
const TRICKS: [&str; 4] = [
    "\u{1b}[1A\u{1b}[2Kage1innocent",
    "\r\u{1b}[Kage1innocent",
    "\u{9b}1A\u{9b}2Kage1innocent",
    "\u{202e}tnecconni1ega",
];

/// An encrypted file whose block names one more recipient, spelled with tricks.
fn desk(trick: &str) -> Desk {
    let desk = Desk::with_rule();
    desk.encrypted("a.yaml", "password: s3cr3t\n");
    let quoted: String = trick
        .chars()
        .map(|c| match c.is_ascii_graphic() {
            true => c.to_string(),
            false => format!("\\u{:04x}", u32::from(c)),
        })
        .collect();
    let text = desk.read("a.yaml");
    let (at, _) = text.match_indices("        - ").next().unwrap();
    let entry = format!(
        "        - recipient: \"{quoted}\"\n          enc: |\n            -----BEGIN AGE ENCRYPTED FILE-----\n            YQ==\n            -----END AGE ENCRYPTED FILE-----\n"
    );
    desk.write("a.yaml", format!("{}{entry}{}", &text[..at], &text[at..]));
    desk
}

#[test]
fn updatekeys_cannot_be_deceived() {
    for trick in TRICKS {
        let desk = desk(trick);
        let mut screen = Screen::start(&desk, &["sops", "updatekeys", "a.yaml"]);
        screen.expect("(y/n)");
        let shown = screen.text();
        // The line of the recipient that goes is there, and is the only one that names it.
        let gone: Vec<&str> = shown
            .lines()
            .filter(|line| line.trim_start().starts_with("---"))
            .collect();
        assert_eq!(gone.len(), 1, "{shown}");
        assert!(gone[0].contains("\\u{"), "{shown}");
        assert!(shown.contains("The following changes"), "{shown}");
        assert!(shown.contains(KEYS[0].0), "{shown}");
        screen.send("n\n");
        screen.finish();
    }
}

#[test]
fn nothing_that_a_terminal_obeys_leaves_the_program_in_a_message() {
    for trick in TRICKS {
        let desk = desk(trick);
        let name = format!("b{trick}.yaml");
        desk.write(&name, "a: 1\n");
        desk.write("cut.yaml", format!("a: '{trick}\nb: 2\n"));
        let lines: [&[&str]; 12] = [
            &["status", "a.yaml"],
            &["status", "."],
            &["--output", "json", "status", "."],
            &["updatekeys", "--dry-run", "a.yaml"],
            &["rotate", "a.yaml"],
            &["rotate", "--accept-recipients", "a.yaml"],
            &["--output", "json", "rotate", "a.yaml"],
            &["encrypt", "cut.yaml"],
            &["decrypt", &name],
            &["encrypt", "--age", trick, &name],
            &[trick],
            &["sops", "decrypt", &name],
        ];
        for words in lines {
            let ran = desk.run(words);
            for text in [&ran.out, &ran.err] {
                let obeyed = text
                    .chars()
                    .find(|c| (c.is_control() && *c != '\n' && *c != '\t') || *c == '\u{202e}');
                assert_eq!(obeyed, None, "{words:?}: {text:?}");
            }
        }
        // In JSON the same text comes back.
        let out = desk.run(["--output", "json", "status", "a.yaml"]).good();
        assert!(out.contains("\\u00") || out.contains("\\u20"), "{out}");
    }
}

/// A name that looks like a token of GitHub.
const TOKEN: &str = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";

/// Scripts work on with what they read; only messages leave tokens out.
#[test]
fn names_in_results_are_as_they_are() {
    let desk = Desk::with_rule();
    for name in ["npm_registry_credentials.yaml", TOKEN] {
        desk.write(name, "a: 1\n");
        let text = desk.run(["encrypt", "-i", name]).good();
        assert_eq!(text, format!("{name}: encrypted\n"));
        let text = desk.run(["status", name]).good();
        assert!(text.starts_with(&format!("{name}: encrypted, ")), "{text}");
        let text = desk.run(["--output", "json", "status", name]).good();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["files"][0]["file"], name);
        let text = desk.run(["--output", "json", "rotate", name]).good();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["files"][0]["file"], name);
    }
    desk.write(
        "store.yaml",
        "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: { name: s, namespace: n }\n\
         spec: { provider: { file: { path: vault } } }\n",
    );
    desk.write(&format!("vault/{TOKEN}"), "x");
    let list = ["store", "ls", "--store", "store.yaml"];
    assert_eq!(desk.run(list).good(), format!("{TOKEN}\n"));
    let text = desk.run([&["--output", "json"], &list[..]].concat()).good();
    assert_eq!(text, format!("{{\"keys\":[\"{TOKEN}\"]}}\n"));
}

/// Where a recipient belongs, a private key is shown by no verb.
#[test]
fn a_private_key_among_recipients_is_not_shown() {
    let desk = Desk::with_rule();
    desk.encrypted("a.yaml", "a: 1\n");
    let secret = KEYS[2].1;
    let text = desk.read("a.yaml").replace(KEYS[0].0, secret);
    desk.write("a.yaml", text);
    let rule = desk.read(".sops.yaml").replace(KEYS[0].0, secret);
    desk.write("rule.yaml", rule);
    // Any text may be the fingerprint of a key.
    desk.write("pgp.yaml", format!("creation_rules:\n  - pgp: {secret}\n"));
    for words in [
        &["status", "a.yaml"][..],
        &["--output", "json", "status", "a.yaml"],
        &["status", "--by", "recipient", "a.yaml"],
        &["--output", "json", "status", "--by", "recipient", "a.yaml"],
        &["doctor", "a.yaml"],
        &["--output", "json", "doctor", "a.yaml"],
        &["updatekeys", "--dry-run", "a.yaml"],
        &["--output", "json", "updatekeys", "--dry-run", "a.yaml"],
        &["git", "textconv", "a.yaml"],
        &["--config", "rule.yaml", "recipients", "list"],
        &[
            "--config",
            "rule.yaml",
            "--output",
            "json",
            "recipients",
            "list",
        ],
        &["--config", "pgp.yaml", "config", "explain", "a.yaml"],
        &[
            "--config", "pgp.yaml", "--output", "json", "config", "explain", "a.yaml",
        ],
    ] {
        let ran = desk.run(words);
        let text = format!("{}{}", ran.out, ran.err);
        assert!(!text.contains(secret), "{words:?}: {text}");
    }
}

/// A report breaks what a command says into lines, and a key in armor is on all of them.
#[test]
fn a_private_key_in_a_reason_is_not_shown() {
    let mut desk = Desk::new();
    desk.rule(&[2], "");
    desk.encrypted("a.yaml", "a: 1\n");
    let body = "MIIEvQ".repeat(10);
    desk.write(
        "says.sh",
        format!("echo 'no: -----BEGIN PRIVATE KEY----- {body} {body} {body}' >&2; exit 1\n"),
    );
    desk.set("SOPS_AGE_KEY_CMD", "sh says.sh");
    for words in [
        &["decrypt", "a.yaml"][..],
        &["--output", "json", "decrypt", "a.yaml"],
        &["rotate", "a.yaml"],
        &["--output", "json", "rotate", "a.yaml"],
        &["sops", "decrypt", "a.yaml"],
    ] {
        let ran = desk.run(words);
        let text = format!("{}{}", ran.out, ran.err);
        assert!(text.contains("PRIVATE KEY"), "{words:?}: {text}");
        assert!(!text.contains("MIIEvQ"), "{words:?}: {text}");
    }
}

/// A key service shows what a client on the network asks for, and waits for an answer.
#[test]
fn a_key_service_that_asks_cannot_be_deceived() {
    for trick in TRICKS {
        let desk = desk(trick);
        let socket = desk.root().join("s");
        let address = socket.to_str().unwrap();
        let words = [
            "sops",
            "keyservice",
            "--prompt",
            "--network",
            "unix",
            "--address",
            address,
        ];
        let mut screen = Screen::start(&desk, &words);
        screen.expect("Listening on");
        let service = format!("unix://{address}");
        // The key with the tricks comes first: the service has no such key, and its log names it. Then it asks whether the
        // one that it has may be used.
        let mut client = desk.command();
        client.args([
            "sops",
            "decrypt",
            "--enable-local-keyservice=false",
            "--keyservice",
            &service,
            "a.yaml",
        ]);
        let client = std::thread::spawn(|| run(client, b""));
        screen.expect("Respond to request");
        let shown = screen.text();
        assert!(shown.contains("Listening on"), "{shown}");
        assert!(shown.contains("age key with recipient \\"), "{shown}");
        assert!(shown.contains("\\u{"), "{shown}");
        screen.send("n\n");
        assert_eq!(client.join().unwrap().code, 128);
    }
}
