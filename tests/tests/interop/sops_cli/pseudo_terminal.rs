//! The program at a terminal: a real editor, prompts, passphrases, progress.

use std::path::PathBuf;
use std::time::Duration;

use super::{Desk, Whose};
use crate::at_terminal::AtTerminal;

impl AtTerminal {
    /// Starts the program of that name of a desk with these words.
    pub(super) fn start(desk: &Desk, whose: Whose, words: &[&str]) -> Self {
        let mut command = AtTerminal::command(&desk.program(whose));
        command.args(words);
        desk.furnish(&mut command);
        Self::run(command)
    }
}

fn desk() -> Desk {
    let mut desk = Desk::with_rule();
    desk.set("EDITOR", "ed -s -p ed>");
    desk.write("a.yaml", "# kept\nuser:   admin\npassword: s3cr3t\n");
    desk.ours(["encrypt", "-i", "a.yaml"]).good();
    desk
}

#[test]
fn s105_s110_a_real_editor_at_a_terminal_changes_one_value() {
    let desk = desk();
    let before = desk.read("a.yaml");
    let mut session = AtTerminal::start(&desk, Whose::Ours, &["edit", "a.yaml"]);
    session.expect("ed>");
    session.send("g/s3cr3t/s//n3w/\n");
    session.expect("ed>");
    session.send("w\nq\n");
    let (code, screen) = session.finish();
    assert_eq!(code, 0, "{screen}");
    assert_eq!(
        desk.ours(["decrypt", "a.yaml"]).good(),
        "# kept\nuser:   admin\npassword: n3w\n"
    );
    desk.theirs(["decrypt", "a.yaml"]).good();
    // The value that was not touched keeps its ciphertext: a difference shows what was edited.
    let line = |text: &str, key: &str| {
        text.lines()
            .find(|line| line.starts_with(key))
            .unwrap()
            .to_owned()
    };
    let after = desk.read("a.yaml");
    assert_eq!(line(&before, "user:"), line(&after, "user:"));
    assert_ne!(line(&before, "password:"), line(&after, "password:"));
}

#[test]
fn hints_are_for_people_at_a_terminal() {
    let desk = desk();
    let words = ["set", "a.yaml", "[\"user\"]", "text"];
    let session = AtTerminal::start(&desk, Whose::Ours, &words);
    let (_, screen) = session.finish();
    assert!(screen.contains("hint:"), "{screen}");
    assert!(screen.contains("a text needs its quotes"), "{screen}");
    let [theirs, ours] =
        [Whose::Theirs, Whose::Ours].map(|whose| desk.run(whose, words).err.lines().count());
    assert_eq!(ours, theirs);
}

#[test]
fn s108_an_edit_that_changes_nothing_writes_nothing() {
    let desk = desk();
    let before = (
        desk.bytes("a.yaml"),
        std::fs::metadata(desk.path("a.yaml"))
            .unwrap()
            .modified()
            .unwrap(),
    );
    let mut session = AtTerminal::start(&desk, Whose::Ours, &["a.yaml"]);
    session.expect("ed>");
    session.send("w\nq\n");
    let (code, screen) = session.finish();
    assert_eq!(code, 200, "{screen}");
    assert!(
        screen.contains("File has not changed, exiting."),
        "{screen}"
    );
    let after = (
        desk.bytes("a.yaml"),
        std::fs::metadata(desk.path("a.yaml"))
            .unwrap()
            .modified()
            .unwrap(),
    );
    assert_eq!(before, after);
}

#[test]
fn s109_a_spoiled_text_goes_back_to_the_editor() {
    let desk = desk();
    let before = desk.bytes("a.yaml");
    let mut session = AtTerminal::start(&desk, Whose::Ours, &["edit", "a.yaml"]);
    session.expect("ed>");
    session.send("$a\nbroken: [\n.\nw\nq\n");
    session.expect("cannot be encrypted");
    session.expect("Enter");
    assert_eq!(desk.bytes("a.yaml"), before);
    session.send("\n");
    session.expect("ed>");
    // It is the edited text that opens again, not the old one.
    session.send("g/broken/s/.*/mended: true/\nw\nq\n");
    let (code, screen) = session.finish();
    assert_eq!(code, 0, "{screen}");
    assert!(
        desk.ours(["decrypt", "a.yaml"])
            .good()
            .ends_with("mended: true\n")
    );
}

#[test]
fn s106_ctrl_c_in_the_pause_leaves_file_and_no_plaintext() {
    let desk = desk();
    let before = desk.bytes("a.yaml");
    let shm = private_folders();
    let mut session = AtTerminal::start(&desk, Whose::Ours, &["edit", "a.yaml"]);
    session.expect("ed>");
    session.send("$a\nbroken: [\n.\nw\nq\n");
    session.expect("Enter");
    session.send("\u{3}");
    let (code, screen) = session.finish();
    assert_ne!(code, 0, "{screen}");
    assert_eq!(desk.bytes("a.yaml"), before);
    let left: Vec<PathBuf> = private_folders()
        .into_iter()
        .filter(|path| !shm.contains(path) && holds(path, "n3v3r"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn ctrl_c_in_the_editor_is_the_editors() {
    let desk = desk();
    let mut session = AtTerminal::start(&desk, Whose::Ours, &["edit", "a.yaml"]);
    session.expect("ed>");
    session.send("\u{3}");
    session.expect("?");
    session.send("g/s3cr3t/s//n3w/\n");
    session.expect("ed>");
    session.send("w\nq\n");
    let (code, screen) = session.finish();
    assert_eq!(code, 0, "{screen}");
    assert!(desk.ours(["decrypt", "a.yaml"]).good().contains("n3w"));
}

/// However late the signal is seen to: the editor may be gone by then.
#[test]
fn ctrl_c_just_before_the_editor_ends_is_the_editors() {
    let mut desk = desk();
    desk.write(
        "editor.sh",
        "trap '' INT; kill -INT 0; echo \"round: $$\" >\"$1\"\n",
    );
    desk.set("EDITOR", "sh editor.sh");
    for round in 0..200 {
        let session = AtTerminal::start(&desk, Whose::Ours, &["edit", "a.yaml"]);
        let (code, screen) = session.finish();
        assert_eq!(code, 0, "round {round}: {screen}");
    }
}

#[test]
fn ctrl_c_in_a_command_is_the_commands() {
    let desk = desk();
    let words = [
        "exec-env",
        "a.yaml",
        "trap 'echo understood; exit 5' INT; echo ready; sleep 5 & wait",
    ];
    let mut session = AtTerminal::start(&desk, Whose::Ours, &words);
    session.expect("ready");
    session.send("\u{3}");
    session.expect("understood");
    let (code, screen) = session.finish();
    assert_eq!(code, 5, "{screen}");
}

#[test]
fn an_editor_that_dies_leaves_the_terminal_as_it_was() {
    let mut desk = desk();
    desk.write("editor.sh", "stty -echo -icanon; echo raw; kill -9 $$\n");
    desk.write("after.sh", "\"$SOPS\" edit a.yaml; echo code $?; stty -a\n");
    desk.set("EDITOR", "sh editor.sh");
    desk.set("SOPS", desk.program(Whose::Ours).to_str().unwrap());
    let words = ["exec-env", "a.yaml", "sh after.sh"];
    let mut session = AtTerminal::start(&desk, Whose::Ours, &words);
    session.expect("raw");
    session.expect("code 201");
    session.expect(" icanon");
    session.expect(" echo ");
    let (code, screen) = session.finish();
    assert_eq!(code, 0, "{screen}");
}

/// The folders that editors of this program work in.
pub(super) fn private_folders() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/dev/shm")
        .into_iter()
        .flatten()
        .flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().contains("/sealwright-edit-"))
        .collect()
}

/// Whether a file below holds a text. Links are not followed: one leads to our program, whose help has examples.
pub(super) fn holds(folder: &std::path::Path, text: &str) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => holds(&path, text),
            Ok(kind) if kind.is_file() => std::fs::read(&path).is_ok_and(|bytes| {
                bytes
                    .windows(text.len())
                    .any(|part| part == text.as_bytes())
            }),
            _ => false,
        }
    })
}

#[test]
fn s132_updatekeys_asks_until_the_answer_is_clear() {
    let desk = desk();
    desk.write(
        ".sops.yaml",
        format!(
            "creation_rules:\n  - age: {},{}\n",
            desk.recipients[0], desk.recipients[1]
        ),
    );
    let before = desk.bytes("a.yaml");
    for (answer, changed) in [("n", false), ("y", true)] {
        let mut session = AtTerminal::start(&desk, Whose::Ours, &["updatekeys", "a.yaml"]);
        session.expect("(y/n):");
        session.send("perhaps\n");
        session.expect("(y/n):");
        session.send(&format!("{answer}\n"));
        let (code, screen) = session.finish();
        assert_eq!(code, 0, "{screen}");
        assert_eq!(desk.bytes("a.yaml") != before, changed, "{screen}");
        assert!(screen.contains("+++"), "{screen}");
    }
}

#[test]
fn a_passphrase_is_asked_for_on_the_terminal_and_not_shown() {
    let mut desk = Desk::new();
    let locked = include_str!("../../../../crypto/tests/fixtures/age/locked.txt");
    let open = include_str!("../../../../crypto/tests/fixtures/age/x25519.txt");
    let recipient = open
        .lines()
        .find_map(|line| line.strip_prefix("# public key: "))
        .unwrap();
    std::fs::write(desk.home().join("locked.txt"), locked).unwrap();
    desk.set(
        "SOPS_AGE_KEY_FILE",
        desk.home().join("locked.txt").to_str().unwrap(),
    );
    desk.theirs_encrypts("a.yaml", "a: open\n", &["--age", recipient]);
    for (typed, expected) in [("open sesame", 0), ("sesame open", 128)] {
        let mut session = AtTerminal::start(&desk, Whose::Ours, &["decrypt", "a.yaml"]);
        session.expect("Enter passphrase");
        session.expect(": ");
        // The terminal is made silent after the question is shown.
        std::thread::sleep(Duration::from_millis(300));
        session.send(&format!("{typed}\n"));
        let (code, screen) = session.finish();
        assert_eq!(code, expected, "{screen}");
        assert!(!screen.contains(typed), "{screen}");
        assert_eq!(screen.contains("a: open"), expected == 0);
    }
}

#[test]
fn progress_and_colours_are_for_terminals_only() {
    let desk = Desk::with_rule();
    for at in 0..4 {
        desk.write(&format!("many/{at}.yaml"), "a: 1\n");
    }
    let words = ["encrypt", "--in-place", "many"];
    let session = AtTerminal::start(&desk, Whose::Sealwright, &words);
    let (code, screen) = session.finish();
    assert_eq!(code, 0, "{screen}");
    assert!(
        screen.contains("4/4 ") && screen.contains("\u{1b}[K"),
        "{screen:?}"
    );
    let quiet = desk.sealwright(["rotate", "many"]);
    assert_eq!(quiet.code, 0);
    assert!(
        !quiet.err.contains('\u{1b}') && !quiet.err.contains("/4"),
        "{:?}",
        quiet.err
    );
}
