//! A secret that exists nowhere else goes through every command with `-v`: it appears only where it should.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::pseudo_terminal::{holds, private_folders};
use super::{Desk, Ran, Whose};

const CANARY: &str = "canary-8f41c2d97b";

/// Where the secret may be seen.
#[derive(Clone, Copy, PartialEq)]
enum Seen {
    /// On standard output.
    Out,
    /// Nowhere.
    Nowhere,
}

/// Runs a command while somebody reads the process list and the folders for temporary files.
fn watched(desk: &Desk, whose: Whose, words: &[&str], input: &str) -> (Ran, bool) {
    let over = AtomicBool::new(false);
    let own: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut leaked = false;
            while !over.load(Ordering::Relaxed) {
                for entry in fs::read_dir("/proc").unwrap().flatten() {
                    let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                    leaked |= line
                        .windows(CANARY.len())
                        .any(|part| part == CANARY.as_bytes());
                }
                leaked |= holds(&desk.root.path().join("tmp"), CANARY);
                std::thread::sleep(Duration::from_millis(2));
            }
            leaked
        });
        let mut command = desk.command(whose);
        command.args(own).stdin(Stdio::piped());
        let ran = super::run(&mut command, input.as_bytes());
        over.store(true, Ordering::Relaxed);
        (ran, watcher.join().unwrap())
    })
}

#[test]
fn the_canary_is_seen_only_where_it_belongs() {
    let mut desk = Desk::with_rule();
    desk.set("EDITOR", "sed -i s/other/changed/");
    let yaml = format!("a: {CANARY}\nb: other\n");
    let json = format!("{{\"a\": \"{CANARY}\"}}");
    let reset = |desk: &Desk| {
        desk.write("plain.yaml", &yaml);
        for name in ["a.yaml", "bad.yaml", "mac.yaml"] {
            desk.theirs_encrypts(name, &yaml, &[]);
        }
        desk.theirs_encrypts("a.json", &json, &[]);
        desk.theirs_encrypts("a.env", format!("A={CANARY}\n"), &[]);
        desk.theirs_encrypts(
            "stranger.yaml",
            &yaml,
            &["--age", &desk.recipients[2].clone()],
        );
        let text = desk.read("bad.yaml").replacen("iv:", "iv:AAAA", 1);
        desk.write("bad.yaml", text);
        let text = desk.read("mac.yaml");
        desk.write("mac.yaml", format!("{}: 1\n{text}", "added"));
        desk.write("value", format!("\"{CANARY}\""));
        desk.write("spoiled.yaml", format!("a: [{CANARY}\nb: '\n"));
        desk.write("double.json", format!("{{\"sops\": \"{CANARY}\"}}"));
        desk.write("broken.json", format!("{{\"a\": \"{CANARY}\", }}"));
        desk.write("broken.env", format!("{CANARY}\n"));
        desk.write("broken.ini", format!("[{CANARY}\n"));
    };
    let other = desk.recipients[1].clone();
    let quoted = format!("\"{CANARY}\"");
    let spoiled = format!("{{\"x\": {CANARY}");
    use Seen::{Nowhere, Out};
    use Whose::{Ours, Sealwright};
    let cases: Vec<(Whose, Vec<&str>, &str, Seen)> = vec![
        (Ours, vec!["encrypt", "plain.yaml"], "", Nowhere),
        (Ours, vec!["encrypt", "-i", "plain.yaml"], "", Nowhere),
        (
            Ours,
            vec!["-v", "encrypt", "--filename-override", "x.yaml"],
            &yaml,
            Nowhere,
        ),
        (Ours, vec!["encrypt", "spoiled.yaml"], "", Nowhere),
        (Ours, vec!["encrypt", "double.json"], "", Nowhere),
        (Ours, vec!["encrypt", "broken.json"], "", Nowhere),
        (Ours, vec!["encrypt", "broken.env"], "", Nowhere),
        (Ours, vec!["encrypt", "broken.ini"], "", Nowhere),
        (Ours, vec!["--verbose", "-e", "plain.yaml"], "", Nowhere),
        (Ours, vec!["decrypt", "a.yaml"], "", Out),
        (
            Ours,
            vec!["--verbose", "decrypt", "--extract", "[\"a\"]", "a.yaml"],
            "",
            Out,
        ),
        (
            Ours,
            vec![
                "--verbose",
                "decrypt",
                "--extract",
                "[\"nothing\"]",
                "a.yaml",
            ],
            "",
            Nowhere,
        ),
        (
            Ours,
            vec!["--verbose", "decrypt", "--output-type", "ini", "a.yaml"],
            "",
            Nowhere,
        ),
        (Ours, vec!["--verbose", "-d", "a.yaml"], "", Out),
        (Ours, vec!["--verbose", "decrypt", "bad.yaml"], "", Nowhere),
        (Ours, vec!["--verbose", "decrypt", "mac.yaml"], "", Nowhere),
        (
            Ours,
            vec!["--verbose", "decrypt", "stranger.yaml"],
            "",
            Nowhere,
        ),
        (Ours, vec!["--verbose", "rotate", "a.yaml"], "", Nowhere),
        (
            Ours,
            vec!["--verbose", "set", "--value-stdin", "a.json", "[\"b\"]"],
            &quoted,
            Nowhere,
        ),
        (
            Ours,
            vec!["--verbose", "set", "--value-stdin", "a.json", "[\"b\"]"],
            &spoiled,
            Nowhere,
        ),
        (
            Ours,
            vec![
                "--verbose",
                "set",
                "--value-file",
                "a.json",
                "[\"b\"]",
                "value",
            ],
            "",
            Nowhere,
        ),
        (
            Ours,
            vec!["--verbose", "set", "--value-stdin", "a.env", "[\"b\"][0]"],
            &quoted,
            Nowhere,
        ),
        (
            Ours,
            vec!["--verbose", "unset", "a.json", "[\"a\"]"],
            "",
            Nowhere,
        ),
        (
            Ours,
            vec!["--verbose", "unset", "a.json", "[\"a\"][\"b\"]"],
            "",
            Nowhere,
        ),
        (Ours, vec!["--verbose", "edit", "a.yaml"], "", Nowhere),
        (
            Ours,
            vec!["--verbose", "exec-env", "a.env", "printf %s \"$A\""],
            "",
            Out,
        ),
        (
            Ours,
            vec!["--verbose", "exec-env", "a.env", "true"],
            "",
            Nowhere,
        ),
        (
            Ours,
            vec!["--verbose", "exec-file", "a.env", "cat {}"],
            "",
            Out,
        ),
        (
            Ours,
            vec!["--verbose", "exec-file", "--no-fifo", "a.env", "true"],
            "",
            Nowhere,
        ),
        (Ours, vec!["--verbose", "filestatus", "a.yaml"], "", Nowhere),
        (
            Ours,
            vec!["--verbose", "updatekeys", "-y", "a.yaml"],
            "",
            Nowhere,
        ),
        (
            Ours,
            vec!["groups", "add", "--file", "a.yaml", "--age", &other],
            "",
            Nowhere,
        ),
        (
            Ours,
            vec!["publish", "--verbose", "--yes", "a.yaml"],
            "",
            Nowhere,
        ),
        (
            Sealwright,
            vec!["-v", "encrypt", "--in-place", "plain.yaml"],
            "",
            Nowhere,
        ),
        (
            Sealwright,
            vec!["-v", "encrypt", "--dry-run", "plain.yaml"],
            "",
            Nowhere,
        ),
        (
            Sealwright,
            vec![
                "-v",
                "--output",
                "json",
                "encrypt",
                "--in-place",
                "spoiled.yaml",
            ],
            "",
            Nowhere,
        ),
        (Sealwright, vec!["-v", "decrypt", "a.yaml"], "", Out),
        (
            Sealwright,
            vec!["-v", "decrypt", "--dry-run", "a.yaml"],
            "",
            Nowhere,
        ),
        (Sealwright, vec!["-v", "get", "a.yaml", "a"], "", Out),
        (
            Sealwright,
            vec!["-v", "set", "--stdin", "a.json", "b"],
            CANARY,
            Nowhere,
        ),
        (
            Sealwright,
            vec![
                "-v", "--output", "json", "set", "--stdin", "--json", "a.json", "b",
            ],
            &spoiled,
            Nowhere,
        ),
        (Sealwright, vec!["-v", "rotate", "a.yaml"], "", Nowhere),
        (
            Sealwright,
            vec!["-v", "updatekeys", "--check", "."],
            "",
            Nowhere,
        ),
        (
            Sealwright,
            vec!["-v", "--output", "json", "status", "."],
            "",
            Nowhere,
        ),
        (
            Sealwright,
            vec!["-v", "config", "explain", "a.yaml"],
            "",
            Nowhere,
        ),
    ];
    let shm: BTreeSet<_> = private_folders().into_iter().collect();
    for (whose, words, input, seen) in cases {
        reset(&desk);
        let (ran, leaked) = watched(&desk, whose, &words, input);
        assert!(
            !leaked,
            "{words:?}: in the process list or a temporary file"
        );
        assert!(
            !ran.err.contains(CANARY),
            "{words:?}: on standard error: {}",
            ran.err
        );
        let out = ran.show_out();
        assert_eq!(
            out.contains(CANARY),
            seen == Out,
            "{words:?}: {out}{}",
            ran.err
        );
        if seen == Out {
            assert_eq!(ran.code, 0, "{words:?}: {}", ran.err);
        }
        for (name, bytes) in desk.files() {
            let plain = [
                "plain.yaml",
                "value",
                "spoiled.yaml",
                "double.json",
                "broken.json",
                "broken.env",
                "broken.ini",
            ];
            let text = String::from_utf8_lossy(&bytes);
            assert!(
                plain.contains(&name.as_str()) || !text.contains(CANARY),
                "{words:?}: in {name}"
            );
        }
        assert!(
            !holds(&desk.home(), CANARY),
            "{words:?}: in the home folder"
        );
        let left = private_folders()
            .into_iter()
            .any(|path| !shm.contains(&path) && holds(&path, CANARY));
        assert!(!left, "{words:?}: a private folder was left");
    }
}
