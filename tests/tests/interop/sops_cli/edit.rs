//! `edit` without a terminal: which editor, what it sees, what comes of it.

use std::time::Duration;

use super::pseudo_terminal::holds;
use super::{Desk, Whose, run};

fn desk(editor: &str) -> Desk {
    let mut desk = Desk::with_rule();
    desk.write("editor.sh", editor);
    desk.set("EDITOR", "sh editor.sh");
    desk.write("a.yaml", "user: admin\npassword: s3cr3t\n");
    desk.ours(["encrypt", "-i", "a.yaml"]).good();
    desk
}

#[test]
fn s105_the_editor_is_found_split_and_given_the_path_last() {
    let mut desk = desk("printf '%s\\n' \"$@\" > seen; sed -i s/admin/root/ \"$3\"\n");
    desk.set("EDITOR", "false");
    desk.set("SOPS_EDITOR", "sh editor.sh 'two words' -x # a comment");
    desk.ours(["edit", "a.yaml"]).good();
    let seen = desk.read("seen");
    let words: Vec<&str> = seen.lines().collect();
    assert_eq!(words[..2], ["two words", "-x"]);
    assert!(words[2].ends_with("/a.yaml") && words.len() == 3, "{seen}");
    assert_eq!(
        desk.ours(["decrypt", "a.yaml"]).good(),
        "user: root\npassword: s3cr3t\n"
    );
    // An empty variable counts as not set.
    desk.set("SOPS_EDITOR", "");
    desk.ours(["edit", "a.yaml"]).fails(201);
}

#[test]
fn s106_the_plaintext_lies_alone_in_a_private_folder_and_is_gone_afterwards() {
    let desk = desk(
        "stat -c '%a' \"$1\" \"$(dirname \"$1\")\" > seen; ls -A \"$(dirname \"$1\")\" >> seen; dirname \"$1\" >> seen; stat -f -c %T \"$1\" >> seen\n",
    );
    desk.ours(["edit", "a.yaml"]).fails(200);
    let seen = desk.read("seen");
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines[..3], ["600", "700", "a.yaml"]);
    assert!(!std::path::Path::new(lines[3]).exists());
    if std::path::Path::new("/dev/shm").is_dir() {
        assert_eq!(lines[4], "tmpfs", "memory is preferred to a disk");
    }
}

#[test]
fn s112_a_new_file_starts_with_a_sample_as_the_real_program_has_it() {
    let desk = desk("cp \"$1\" shown; echo >> \"$1\"\n");
    for name in ["new.yaml", "new.json", "new.env", "new.ini", "new"] {
        let mut keys = Vec::new();
        for whose in [Whose::Theirs, Whose::Ours] {
            desk.run(whose, ["edit", name]).good();
            let shown = desk.read("shown");
            let names: Vec<String> = [
                "hello",
                "example_key",
                "example_array",
                "example_number",
                "example_booleans",
                "example_multiline",
                "[Welcome!]",
            ]
            .iter()
            .filter(|key| shown.contains(**key))
            .map(|key| (*key).to_owned())
            .collect();
            keys.push(names);
            let other = if whose == Whose::Ours {
                Whose::Theirs
            } else {
                Whose::Ours
            };
            desk.run(other, ["decrypt", name]).good();
            std::fs::remove_file(desk.path(name)).unwrap();
        }
        assert_eq!(keys[0], keys[1], "{name}");
    }
}

#[test]
fn s112_d4_without_anybody_there_a_spoiled_edit_ends() {
    let desk = desk("echo '{[' >> \"$1\"\n");
    let before = desk.bytes("a.yaml");
    let err = desk.ours(["edit", "a.yaml"]).fails(1);
    assert!(err.contains("cannot be encrypted"), "{err}");
    assert_eq!(desk.bytes("a.yaml"), before);
}

#[test]
fn s109_a_line_on_standard_input_reopens_the_edited_text() {
    let desk = desk(
        "if [ -e once ]; then sed -i s/.{.*// \"$1\"; sed -i '/^{/d' \"$1\"; else touch once; echo '{[' >> \"$1\"; sed -i s/admin/root/ \"$1\"; fi\n",
    );
    let ran = run(desk.command(Whose::Ours).args(["edit", "a.yaml"]), b"\n");
    ran.good();
    assert_eq!(
        desk.ours(["decrypt", "a.yaml"]).good(),
        "user: root\npassword: s3cr3t\n"
    );
}

#[test]
fn s111_d3_with_the_block_in_view_edits_are_kept() {
    let desk = desk("grep -q '^sops:' \"$1\" && sed -i s/admin/root/ \"$1\"\n");
    desk.ours(["edit", "--show-master-keys", "a.yaml"]).good();
    assert_eq!(
        desk.ours(["decrypt", "a.yaml"]).good(),
        "user: root\npassword: s3cr3t\n"
    );
    desk.theirs(["decrypt", "a.yaml"]).good();
}

#[test]
fn s107_s110_the_version_is_raised_and_other_types_are_written() {
    let desk = desk("sed -i s/admin/root/ \"$1\"\n");
    let older = desk
        .read("a.yaml")
        .replace("version: 3.13.3", "version: 3.9.0");
    desk.write("a.yaml", older);
    desk.ours(["edit", "a.yaml"]).good();
    assert!(desk.read("a.yaml").contains("version: 3.13.3"));
}

#[test]
fn a_file_that_somebody_else_changed_meanwhile_is_left_alone() {
    let desk = desk("sed -i s/admin/root/ \"$1\"; env -u SOPS_EDITOR sh other.sh\n");
    let program = desk.program(Whose::Ours);
    desk.write(
        "other.sh",
        format!(
            "'{}' set a.yaml '[\"user\"]' '\"third\"'\n",
            program.display()
        ),
    );
    let err = desk.ours(["edit", "a.yaml"]).fails(3);
    assert!(err.contains("changed by another program"), "{err}");
    assert_eq!(
        desk.ours(["decrypt", "a.yaml"]).good(),
        "user: third\npassword: s3cr3t\n"
    );
}

#[test]
fn s106_a_killed_or_terminated_edit_leaves_the_file_and_nothing_on_a_disk() {
    let mut desk = desk("touch open; trap 'touch asked' TERM INT; sleep 30 & wait\n");
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    desk.set("XDG_RUNTIME_DIR", memory.path().to_str().unwrap());
    let before = desk.bytes("a.yaml");
    for signal in ["TERM", "INT", "KILL"] {
        // Without a terminal, which the tests may have been started with: a SIGINT from its keyboard would be the editor's.
        let mut command = std::process::Command::new("setsid");
        desk.furnish(&mut command);
        let mut child = command
            .args(["--wait", "env", "--default-signal=INT,TERM,HUP"])
            .arg(desk.program(Whose::Ours))
            .args(["edit", "a.yaml"])
            .spawn()
            .unwrap();
        while !desk.path("open").exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        std::fs::remove_file(desk.path("open")).unwrap();
        let killed = std::process::Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status();
        assert!(killed.unwrap().success());
        let status = child.wait().unwrap();
        assert_eq!(desk.bytes("a.yaml"), before);
        assert!(
            !holds(desk.root.path(), "s3cr3t"),
            "plaintext on a disk after SIG{signal}"
        );
        let left = std::fs::read_dir(memory.path()).unwrap().count();
        if signal == "KILL" {
            // No process was left to wipe it: it is in memory, and its owner's alone, and the next edit does.
            assert_eq!(left, 1);
        } else {
            assert_eq!(status.code(), Some(1), "SIG{signal}");
            assert_eq!(left, 0, "SIG{signal}");
            assert!(desk.path("asked").exists(), "the editor is asked to end");
            std::fs::remove_file(desk.path("asked")).unwrap();
        }
    }
}
