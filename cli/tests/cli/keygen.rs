//! `keygen`: where keys go, and what must not happen to them.

use super::desk::Desk;
use super::screen::Screen;

#[test]
fn keys_go_to_the_place_that_is_searched() {
    let desk = Desk::fresh();
    let out = desk.run(["keygen"]).good();
    let place = desk.home().join(".config/sops/age/keys.txt");
    let text = std::fs::read_to_string(&place).unwrap();
    assert!(text.contains(out.trim()), "{out}");
    desk.run(["init", "--yes"]).good();
    assert!(desk.read(".sops.yaml").contains(out.trim()));
    // A key is never written over another one.
    let err = desk.run(["keygen"]).fails(3);
    assert!(err.contains("exists already"), "{err}");
    assert_eq!(std::fs::read_to_string(&place).unwrap(), text);
    let printed = desk.run(["keygen", "--out", "-"]).good();
    assert!(printed.contains("AGE-SECRET-KEY-1"), "{printed}");
}

#[test]
fn a_failed_run_leaves_no_folder_behind() {
    let desk = Desk::fresh();
    // Without a terminal no one can be asked for a passphrase.
    let err = desk
        .run(["keygen", "--passphrase", "--out", "new/folder/keys.txt"])
        .fails(1);
    assert!(err.contains("no passphrase was given"), "{err}");
    assert!(!desk.path("new").exists());
}

/// Neither a key nor the empty beginning of one is left where there is no room for it.
#[test]
fn a_full_disk_leaves_no_file_behind() {
    let desk = Desk::fresh();
    let mut command = std::process::Command::new("sh");
    desk.furnish(&mut command);
    // As on a full disk: no file may grow.
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" keygen --out keys.txt";
    command.args(["-c", script, super::desk::program()]);
    let err = super::desk::run(command, b"").fails(3);
    assert!(err.contains("keys.txt"), "{err}");
    assert!(!desk.path("keys.txt").exists());
    desk.run(["keygen", "--out", "keys.txt"]).good();
    let metadata = std::fs::metadata(desk.path("keys.txt")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_key_behind_a_passphrase_opens_with_it() {
    let desk = Desk::fresh();
    let mut screen = Screen::start(&desk, &["keygen", "--passphrase"]);
    screen.expect("Passphrase of the new key: ");
    screen.send("correct horse\n");
    screen.expect("The same again: ");
    screen.send("correct horse\n");
    let (code, shown) = screen.finish();
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains("correct"), "{shown}");
    let recipient = shown
        .split_whitespace()
        .find(|word| word.starts_with("age1"))
        .unwrap()
        .to_owned();
    let place = desk.home().join(".config/sops/age/keys.txt");
    let text = std::fs::read_to_string(place).unwrap();
    assert!(
        text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"),
        "{text}"
    );

    desk.run(["init", "--yes", "--key", &recipient]).good();
    desk.encrypted("secrets/a.yaml", "a: 1\n");
    let mut screen = Screen::start(&desk, &["decrypt", "secrets/a.yaml"]);
    screen.expect("Enter passphrase for identity");
    screen.send("correct horse\n");
    screen.expect("a: 1");
    assert_eq!(screen.finish().0, 0);
    let mut screen = Screen::start(&desk, &["decrypt", "secrets/a.yaml"]);
    screen.expect("Enter passphrase for identity");
    screen.send("wrong\n");
    let (code, shown) = screen.finish();
    assert_eq!(code, 128, "{shown}");
    assert!(shown.contains("the passphrase is wrong"), "{shown}");
}

#[test]
fn hybrid_keys_work_from_end_to_end() {
    let desk = Desk::fresh();
    let recipient = desk.run(["keygen", "--hybrid"]).good();
    assert!(recipient.starts_with("age1pq1"), "{recipient}");
    desk.run(["init", "--yes"]).good();
    desk.encrypted("secrets/a.yaml", "a: 1\n");
    assert_eq!(desk.run(["decrypt", "secrets/a.yaml"]).good(), "a: 1\n");
}
