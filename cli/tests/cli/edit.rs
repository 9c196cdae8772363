//! `edit` never loses a text: whatever fails after the editor has closed, the text can be resumed.

use std::path::{Path, PathBuf};

use super::desk::{Desk, KEYS, run};
use super::screen::Screen;

/// A desk with an encrypted file, and a shell script as the editor.
fn desk(editor: &str) -> Desk {
    let mut desk = Desk::in_memory();
    desk.encrypted("a.yaml", "user: admin\npassword: s3cr3t\n");
    desk.write("editor.sh", editor);
    desk.set("EDITOR", "sh editor.sh");
    desk
}

/// The kept texts. They lie in memory below the folder of the desk, so they go with it.
fn kept(desk: &Desk) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(desk.root().join("run")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The other program that writes the file while the editor is open.
fn other(desk: &Desk, line: &str) {
    desk.write("other.sh", format!("'{}' {line}\n", super::desk::program()));
}

#[test]
fn a_text_that_cannot_be_written_is_kept_and_resumed_on_top_of_the_other_change() {
    let desk = desk("sed -i s/s3cr3t/n3w/ \"$1\"; echo 'more: 1' >> \"$1\"; sh other.sh\n");
    other(&desk, "set a.yaml user root");
    let err = desk.run(["edit", "a.yaml"]).fails(3);
    assert!(err.contains("was changed by another program"), "{err}");
    assert!(err.contains("edit --resume"), "{err}");
    let [place] = &kept(&desk)[..] else {
        panic!("one text is kept: {err}")
    };
    assert!(err.contains(place.to_str().unwrap()), "{err}");
    let mode = |path: &Path| {
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions())
            & 0o777
    };
    assert_eq!((mode(place), mode(&place.join("a.yaml"))), (0o700, 0o600));
    desk.write("editor.sh", "cp \"$1\" seen; echo 'again: 2' >> \"$1\"\n");
    desk.run(["edit", "--resume", "a.yaml"]).good();
    assert_eq!(desk.read("seen"), "user: root\npassword: n3w\nmore: 1\n");
    assert_eq!(
        desk.run(["decrypt", "a.yaml"]).good(),
        "user: root\npassword: n3w\nmore: 1\nagain: 2\n"
    );
    assert_eq!(kept(&desk), [] as [PathBuf; 0]);
    desk.run(["edit", "--resume", "a.yaml"]).fails(100);
}

/// A kept text exists nowhere else, so no way to end the run that resumes it wipes it.
#[test]
fn a_resumed_text_outlives_what_ends_the_run() {
    let desk = desk("sed -i s/s3cr3t/n3w/ \"$1\"; sh other.sh\n");
    other(&desk, "set a.yaml user root");
    desk.run(["edit", "a.yaml"]).fails(3);
    let resume = ["edit", "--resume", "a.yaml"];

    // Ctrl+C ends the editor.
    desk.write("editor.sh", "kill -INT $$\n");
    let err = desk.run(resume).fails(1);
    assert!(err.contains("edit --resume a.yaml"), "{err}");
    assert_eq!(kept(&desk).len(), 1);

    // The program is asked to end while the editor is open.
    desk.write("editor.sh", "kill -TERM $PPID; exec sleep 60\n");
    desk.run(resume).fails(1);
    assert_eq!(kept(&desk).len(), 1);

    // Ctrl+C at the question.
    desk.write("editor.sh", "echo '{[' >> \"$1\"\n");
    let mut screen = Screen::start(&desk, &resume);
    screen.expect("Press Enter");
    screen.send("\x03");
    let (code, shown) = screen.finish();
    assert_eq!(code, 1, "{shown}");
    assert_eq!(kept(&desk).len(), 1);

    desk.write("editor.sh", "sed -i '/{\\[/d' \"$1\"\n");
    desk.run(resume).good();
    assert_eq!(
        desk.run(["decrypt", "a.yaml"]).good(),
        "user: root\npassword: n3w\n"
    );
    assert_eq!(kept(&desk), [] as [PathBuf; 0]);
}

#[test]
fn a_text_that_was_edited_behind_a_link_is_found_from_everywhere() {
    let desk = desk("sed -i s/s3cr3t/n3w/ \"$1\"; sh other.sh\n");
    other(&desk, "set a.yaml user root");
    std::os::unix::fs::symlink("work", desk.root().join("lnk")).unwrap();
    let edit = |shell: &str, words: &[&str]| {
        let mut command = desk.command();
        command.env("PWD", desk.root().join(shell)).args(words);
        run(command, b"")
    };
    edit("lnk", &["edit", "a.yaml"]).fails(3);
    desk.write("editor.sh", "true\n");
    desk.write("b.yaml", desk.read("a.yaml"));
    edit("work", &["edit", "--resume", "b.yaml"]).fails(100);
    edit("work", &["edit", "--resume", "a.yaml"]).good();
    assert_eq!(
        desk.run(["decrypt", "a.yaml"]).good(),
        "user: root\npassword: n3w\n"
    );
}

#[test]
fn changes_of_one_value_are_left_to_the_person() {
    let desk = desk("sed -i s/s3cr3t/mine/ \"$1\"; sh other.sh\n");
    other(&desk, "set a.yaml password theirs");
    desk.run(["edit", "a.yaml"]).fails(3);
    desk.write("editor.sh", "cp \"$1\" seen; echo >> \"$1\"\n");
    let err = desk.run(["edit", "--resume", "a.yaml"]).fails(1);
    assert!(
        err.contains("line 2: an unresolved merge conflict"),
        "{err}"
    );
    let seen = desk.read("seen");
    assert!(
        seen.contains("password: theirs") && seen.contains("password: mine"),
        "{seen}"
    );
    desk.write(
        "editor.sh",
        "sed -i -e '/^<<<<<<< /,/^=======/d' -e '/^>>>>>>> /d' \"$1\"\n",
    );
    desk.run(["edit", "--resume", "a.yaml"]).good();
    let text = desk.run(["decrypt", "a.yaml"]).good();
    assert_eq!(text.trim_end(), "user: admin\npassword: mine");
}

#[test]
fn a_text_that_cannot_be_encrypted_is_kept() {
    let desk = desk("echo '{[' >> \"$1\"\n");
    let err = desk.run(["edit", "a.yaml"]).fails(1);
    assert!(err.contains("cannot be encrypted"), "{err}");
    assert_eq!(kept(&desk).len(), 1, "{err}");
    desk.write("editor.sh", "sed -i 's/{\\[/mended: 1/' \"$1\"\n");
    desk.run(["edit", "--resume", "a.yaml"]).good();
    assert!(desk.run(["decrypt", "a.yaml"]).good().contains("mended: 1"));
    assert_eq!(kept(&desk), [] as [PathBuf; 0]);
}

#[test]
fn a_file_that_cannot_be_written_is_refused_before_the_editor_opens() {
    let desk = desk("touch opened\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o444);
    std::fs::set_permissions(desk.path("a.yaml"), mode).unwrap();
    let err = desk.run(["edit", "a.yaml"]).fails(3);
    assert!(err.contains("a.yaml is read-only (mode 0444)"), "{err}");
    assert!(!desk.path("opened").exists());
}

#[test]
fn an_editor_that_dies_after_saving_loses_nothing() {
    let desk = desk("sed -i s/s3cr3t/n3w/ \"$1\"; kill -9 $$\n");
    desk.run(["edit", "a.yaml"]).fails(201);
    assert_eq!(kept(&desk).len(), 1);
    // What was not changed is not kept.
    desk.write("editor.sh", "kill -9 $$\n");
    desk.encrypted("b.yaml", "a: 1\n");
    desk.run(["edit", "b.yaml"]).fails(201);
    assert_eq!(kept(&desk).len(), 1);
    std::fs::remove_dir_all(&kept(&desk)[0]).unwrap();
}

#[test]
fn a_new_file_that_appears_meanwhile_is_not_overwritten() {
    let desk = desk("sed -i s/Welcome/Hello/ \"$1\"; sh other.sh\n");
    desk.write("other.sh", "echo 'by: another' > new.yaml\n");
    let err = desk.run(["edit", "new.yaml"]).fails(3);
    assert!(err.contains("was made by another program"), "{err}");
    assert_eq!(desk.read("new.yaml"), "by: another\n");
    assert_eq!(kept(&desk).len(), 1, "{err}");
    std::fs::remove_file(desk.path("new.yaml")).unwrap();
    desk.write("editor.sh", "echo 'more: 1' >> \"$1\"\n");
    desk.run(["edit", "--resume", "new.yaml"]).good();
    let text = desk.run(["decrypt", "new.yaml"]).good();
    assert!(text.contains("Hello") && text.contains("more: 1"), "{text}");
}

#[test]
fn a_threshold_that_is_changed_by_hand_is_refused() {
    let desk = desk("sed -i 's/shamir_threshold: 2/shamir_threshold: 1/' \"$1\"\n");
    let config = format!(
        "creation_rules:\n  - shamir_threshold: 2\n    key_groups:\n      - age: [{}]\n      - age: [{}]\n",
        KEYS[0].0, KEYS[1].0
    );
    desk.write(".sops.yaml", config);
    desk.encrypted("two.yaml", "a: 1\n");
    let before = desk.read("two.yaml");
    let err = desk
        .run(["sops", "edit", "--show-master-keys", "two.yaml"])
        .fails(1);
    assert!(err.contains("threshold"), "{err}");
    assert_eq!(desk.read("two.yaml"), before);
}
