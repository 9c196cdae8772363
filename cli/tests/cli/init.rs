//! `init` sets a folder up, and is safe to run again.

use super::desk::{Desk, KEYS, run};

/// The files that `init` writes, one after the other.
fn written(desk: &Desk) -> String {
    let mut text = String::new();
    for name in [".sops.yaml", ".gitignore", ".gitattributes"] {
        text += &format!("--- {name}\n{}", desk.read(name));
    }
    desk.settled(&text)
}

#[test]
fn a_key_that_is_there_is_used_and_a_second_run_changes_nothing() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path(".git")).unwrap();
    desk.write(".gitignore", "target\nkeys.txt");
    let mut text = desk.transcript(&["init", "--dry-run", "--name", "alice"]);
    assert!(!desk.path(".sops.yaml").exists());
    std::fs::remove_dir(desk.path(".git")).unwrap();
    desk.git(&["init", "--quiet"]);
    text += &desk.transcript(&["init", "--yes", "--name", "alice"]);
    text += &written(&desk);
    let before = written(&desk);
    text += &desk.transcript(&["init", "--yes", "--name", "someone else"]);
    assert_eq!(written(&desk), before);
    text += &desk.transcript(&["--output", "json", "init", "--yes"]);
    insta::assert_snapshot!("init", text);
    assert_eq!(
        desk.git(&["config", "diff.sealwright.textconv"]),
        "sealwright git textconv\n"
    );
    desk.write("secrets/a.yaml", "a: 1\n");
    desk.run(["encrypt", "--in-place", "secrets"]).good();
    assert_eq!(desk.run(["get", "secrets/a.yaml", "a"]).good(), "1\n");
}

#[test]
fn behind_a_link_files_have_the_names_of_the_working_folder() {
    let desk = Desk::new();
    desk.git(&["init", "--quiet"]);
    std::os::unix::fs::symlink("work", desk.root().join("lnk")).unwrap();
    let mut command = desk.command();
    command
        .env("PWD", desk.root().join("lnk"))
        .args(["init", "--yes"]);
    let text = run(command, b"").good();
    for line in [
        "configuration .sops.yaml: written",
        ".gitignore: written",
        "git config diff.sealwright.textconv: written",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{text}");
    }
}

#[test]
fn without_a_key_one_is_made_where_it_is_searched() {
    let desk = Desk::fresh();
    let refused = desk.transcript(&["init"]);
    assert!(!desk.home().join(".config").exists(), "{refused}");
    assert!(!desk.path(".sops.yaml").exists(), "{refused}");
    let out = desk.run(["init", "--yes"]).good();
    let keys = std::fs::read_to_string(desk.home().join(".config/sops/age/keys.txt")).unwrap();
    let recipient = keys
        .lines()
        .find_map(|line| line.strip_prefix("# public key: "));
    assert!(desk.read(".sops.yaml").contains(recipient.unwrap()));
    assert!(out.contains(recipient.unwrap()), "{out}");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(desk.home().join(".config/sops/age/keys.txt"))
            .unwrap()
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    insta::assert_snapshot!("init_refused", refused);
}

#[test]
fn keys_and_files_can_be_named() {
    let desk = Desk::new();
    let words = [
        "init",
        "--yes",
        "--key",
        KEYS[0].0,
        "--key",
        KEYS[2].0,
        "--name",
        "alice",
        "--path-regex",
        r"\.enc\.yaml$",
    ];
    let mut text = desk.transcript(&words);
    text += &desk.settled(&desk.read(".sops.yaml"));
    assert!(!desk.path(".gitignore").exists(), "no repository is there");
    let other = Desk::new();
    text += &other.transcript(&["init", "--yes", "--key", KEYS[0].1]);
    text += &other.transcript(&["init", "--yes", "--key", "alice"]);
    text += &other.transcript(&["init", "--yes", "--key", "1234567890ABCDEF"]);
    text += &other.transcript(&["init", "--yes", "--path-regex", "("]);
    assert!(!other.path(".sops.yaml").exists());
    insta::assert_snapshot!("init_named", text.replace(KEYS[0].1, "[THE KEY]"));
}
