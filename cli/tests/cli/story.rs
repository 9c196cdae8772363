//! The first hour of a team, at a terminal, from an empty home folder to a person who left.

use super::desk::{Desk, run};
use super::screen::Screen;

#[test]
fn from_nothing_to_a_person_who_left() {
    let desk = Desk::fresh();

    // Alice sets the repository up. Three questions, and no more.
    let mut screen = Screen::start(&desk, &["init"]);
    screen.expect("Your name among the recipients");
    screen.send("alice\n");
    screen.expect("There is no age key. Make one in");
    screen.send("y\n");
    screen.expect("Which files are encrypted");
    screen.send("\n");
    let (code, shown) = screen.finish();
    assert_eq!(code, 0, "{shown}");
    assert!(desk.read(".sops.yaml").contains("# alice"), "{shown}");

    let plain = "# the shop\ndb:\n    user:   'shop'\n    password: \"s3cr3t\"\n";
    desk.write("secrets/db.yaml", plain);
    desk.run(["doctor"]).fails(1);
    desk.run(["encrypt", "--in-place", "secrets/"]).good();
    desk.run(["doctor"]).good();
    desk.git(&["add", "."]);
    desk.git(&["commit", "--quiet", "--message", "secrets"]);

    // Bob has a key of his own, which opens nothing yet.
    let bob_file = desk.home().join("bob.txt");
    let bob_key = desk
        .run(["keygen".as_ref(), "--out".as_ref(), bob_file.as_os_str()])
        .good();
    let bob_key = bob_key.trim();
    let as_bob = || {
        let mut command = desk.command();
        command
            .env("HOME", desk.root().join("tmp"))
            .env("SOPS_AGE_KEY_FILE", &bob_file)
            .args(["decrypt", "secrets/db.yaml"]);
        run(command, b"")
    };
    as_bob().fails(128);

    let mut screen = Screen::start(&desk, &["recipients", "add", bob_key, "--name", "bob"]);
    screen.expect("secrets/db.yaml: would be updated");
    screen.expect("Go on? (y/n):");
    screen.send("y\n");
    let (code, shown) = screen.finish();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(as_bob().good(), plain);

    // What `git diff` shows is who came, and no ciphertext.
    let shown = desk.git(&["diff"]);
    assert!(shown.contains(&format!("+# age {bob_key}")), "{shown}");
    assert!(
        shown.contains(&format!("+      - {bob_key} # bob")),
        "{shown}"
    );
    assert!(!shown.contains("ENC["), "{shown}");
    desk.git(&["commit", "--quiet", "--all", "--message", "bob joins"]);
    let with_bob = desk.read("secrets/db.yaml");

    let mut screen = Screen::start(&desk, &["recipients", "remove", "bob"]);
    screen.expect("secrets/db.yaml: would be rotated");
    screen.expect("Go on? (y/n):");
    screen.send("y\n");
    let (code, shown) = screen.finish();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("change the values that matter"), "{shown}");

    // Bob's key opens nothing any more, and neither does a data key that he may have kept: every value is another text.
    as_bob().fails(128);
    let without_bob = desk.read("secrets/db.yaml");
    assert!(!without_bob.contains(bob_key) && !desk.read(".sops.yaml").contains(bob_key));
    let texts = |text: &str| -> Vec<String> {
        let texts = text.split("ENC[").skip(1);
        texts
            .map(|rest| rest.split(']').next().unwrap().to_owned())
            .collect()
    };
    let (before, after) = (texts(&with_bob), texts(&without_bob));
    assert_eq!(before.len(), after.len());
    assert!(
        before.iter().all(|text| !after.contains(text)),
        "{without_bob}"
    );
    // Not even with the block of the file that he could open.
    let block = with_bob.find("\nsops:").unwrap();
    let values = without_bob.find("\nsops:").unwrap();
    desk.write(
        "secrets/db.yaml",
        format!("{}{}", &without_bob[..values], &with_bob[block..]),
    );
    let err = as_bob();
    assert_ne!(err.code, 0, "{}", err.out);
    assert!(!err.out.contains("s3cr3t"));
    desk.write("secrets/db.yaml", &without_bob);
    assert_eq!(desk.run(["decrypt", "secrets/db.yaml"]).good(), plain);
    desk.run(["doctor"]).good();
}
