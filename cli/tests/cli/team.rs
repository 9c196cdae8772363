//! `recipients add|remove|list` and `status --by recipient`: people come and go.

use super::desk::{Desk, KEYS};
use super::schema::assert_is;
use super::screen::Screen;

/// Two rules: the first for everyone's files, the second for production.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.write(
        ".sops.yaml",
        format!(
            "# the team\ncreation_rules:\n  - path_regex: ^prod/\n    age: >-\n      {}\n  - path_regex: ^dev/ # for all\n    age:\n      - {} # alice\n",
            KEYS[0].0, KEYS[0].0
        ),
    );
    desk.encrypted("dev/a.yaml", "a: 1\nb: x\n");
    desk.encrypted("dev/b.json", "{\"a\": 1}\n");
    desk.encrypted("prod/a.yaml", "a: 1\n");
    desk.write("dev/plain.yaml", "a: 1\n");
    desk
}

#[test]
fn people_come_and_go() {
    let desk = desk();
    let (dev, prod) = (desk.read("dev/a.yaml"), desk.read("prod/a.yaml"));
    let bob = KEYS[1].0;
    let mut text = desk.transcript(&["recipients", "list"]);
    text += &desk.transcript(&["recipients", "add", bob, "--name", "bob"]);
    text += &desk.transcript(&[
        "recipients",
        "add",
        bob,
        "dev",
        "--name",
        "bob",
        "--dry-run",
    ]);
    text += &desk.transcript(&["recipients", "add", bob, "dev", "--name", "bob"]);
    assert_eq!(desk.read("dev/a.yaml"), dev, "no one agreed");
    assert!(!desk.read(".sops.yaml").contains(bob));
    text += &desk.transcript(&["recipients", "add", bob, "dev", "--name", "bob", "--yes"]);
    text += &desk.settled(&desk.read(".sops.yaml"));
    assert!(desk.read("dev/a.yaml").contains(bob));
    assert_eq!(desk.read("prod/a.yaml"), prod, "its rule was not meant");
    text += &desk.transcript(&["recipients", "add", "bob", "dev", "--yes"]);
    text += &desk.transcript(&["recipients", "add", "bob", "prod/new.yaml", "--yes"]);
    text += &desk.transcript(&["status", "--by", "recipient", "."]);
    text += &desk.transcript(&["recipients", "list", "prod/a.yaml"]);
    text += &desk.transcript(&["recipients", "remove", "bob", "--dry-run"]);
    let before = desk.read("dev/a.yaml");
    text += &desk.transcript(&["recipients", "remove", "bob", "--yes"]);
    text += &desk.settled(&desk.read(".sops.yaml"));
    let after = desk.read("dev/a.yaml");
    assert!(!after.contains(bob));
    let value = |text: &str| text.lines().next().unwrap().to_owned();
    assert_ne!(value(&before), value(&after), "the data key is a new one");
    text += &desk.transcript(&["recipients", "remove", "bob", "--yes"]);
    text += &desk.transcript(&["recipients", "remove", bob, "--yes"]);
    assert_eq!(desk.read("dev/plain.yaml"), "a: 1\n");
    insta::assert_snapshot!("team", text);
}

/// Which files a rule is for is not known behind one that cannot be used, so no file is left out without a word.
#[test]
fn no_one_is_taken_out_by_rules_that_cannot_be_used() {
    let desk = Desk::new();
    desk.rule(&[0, 1], "");
    desk.encrypted("dev/a.yaml", "a: 1\n");
    let rules = format!(
        "creation_rules:\n  - path_regex: prod/(?!x)\n    age: {0},{1}\n  - age: {0},{1}\n",
        KEYS[0].0, KEYS[1].0
    );
    desk.write(".sops.yaml", &rules);
    let err = desk
        .run(["recipients", "remove", KEYS[1].0, "--all", "--yes"])
        .fails(1);
    assert!(err.contains("creation_rules[0].path_regex"), "{err}");
    assert_eq!(desk.read(".sops.yaml"), rules);
}

#[test]
fn nothing_is_written_when_a_file_cannot_follow() {
    let desk = desk();
    let configuration = desk.read(".sops.yaml");
    let before = desk.read("dev/a.yaml");
    desk.write(
        "dev/broken.yaml",
        before.replace("ENC[AES256_GCM,data:", "ENC[AES256_GCM,data:AA"),
    );
    let mut text = desk.transcript(&["recipients", "remove", "alice", "--yes"]);
    std::fs::remove_file(desk.path("dev/broken.yaml")).unwrap();
    // The last one cannot leave, nor can someone lock themselves out without saying so.
    text += &desk.transcript(&["recipients", "remove", "alice", "dev", "--yes"]);
    text += &desk.transcript(&[
        "recipients",
        "add",
        KEYS[2].0,
        "dev",
        "--yes",
        "--name",
        "eve",
    ]);
    let with_eve = (desk.read(".sops.yaml"), desk.read("dev/a.yaml"));
    text += &desk.transcript(&["recipients", "remove", "alice", "dev"]);
    assert_eq!((desk.read(".sops.yaml"), desk.read("dev/a.yaml")), with_eve);
    text += &desk.transcript(&["recipients", "add", "carol", "dev"]);
    text += &desk.transcript(&["recipients", "add", KEYS[0].1, "dev"]);
    text += &desk.transcript(&["recipients", "add", "age1nonsense", "dev"]);
    text += &desk.transcript(&["recipients", "add", KEYS[1].0, "other/x.yaml"]);
    text += &desk.transcript(&["recipients", "add", KEYS[1].0, "dev", "--group", "1"]);
    let token = "hvs.CAESIJlU9JMYEhOPYv4igdhm9PnZDrabYTobQ4Ymnlq1qY";
    let with_token = desk.transcript(&["recipients", "add", token, "dev"]);
    assert_eq!(
        with_token.matches(token).count(),
        1,
        "only as it was typed: {with_token}"
    );
    assert_ne!(configuration, with_eve.0);
    insta::assert_snapshot!("team_refused", text.replace(KEYS[0].1, "[THE KEY]"));
}

#[test]
fn a_person_sees_the_plan_and_is_asked() {
    let desk = desk();
    let before = desk.read("dev/a.yaml");
    for (answer, code) in [("n\n", 1), ("y\n", 0)] {
        let mut screen = Screen::start(
            &desk,
            &["recipients", "add", KEYS[1].0, "dev", "--name", "bob"],
        );
        screen.expect("dev/a.yaml: would be updated");
        screen.expect("Go on? (y/n):");
        screen.send(answer);
        let (ended, shown) = screen.finish();
        assert_eq!(ended, code, "{shown}");
        assert_eq!(desk.read("dev/a.yaml") == before, code == 1, "{shown}");
    }
}

/// The files were looked at under a watch of their own, which is over when the question is asked.
#[test]
fn a_person_can_leave_with_ctrl_c_instead_of_an_answer() {
    let desk = desk();
    let configuration = desk.read(".sops.yaml");
    let before = desk.read("dev/a.yaml");
    let mut screen = Screen::start(
        &desk,
        &["recipients", "add", KEYS[1].0, "dev", "--name", "bob"],
    );
    screen.expect("Go on? (y/n):");
    screen.send("\x03");
    let (code, shown) = screen.finish();
    assert_eq!(code, 130, "{shown}");
    assert_eq!(desk.read("dev/a.yaml"), before, "{shown}");
    assert_eq!(desk.read(".sops.yaml"), configuration, "{shown}");
}

/// A run that was cut off after the configuration is started again.
#[test]
fn a_second_run_finishes_what_the_first_began() {
    let desk = desk();
    desk.run([
        "recipients",
        "add",
        KEYS[1].0,
        "--all",
        "--yes",
        "--name",
        "bob",
    ])
    .good();
    let text = desk.read(".sops.yaml");
    let without: String = text
        .lines()
        .filter(|line| !line.contains(KEYS[1].0))
        .map(|line| format!("{line}\n"))
        .collect();
    desk.write(".sops.yaml", without);
    desk.run(["recipients", "remove", KEYS[1].0, "--yes"])
        .good();
    for name in ["dev/a.yaml", "dev/b.json", "prod/a.yaml"] {
        assert!(!desk.read(name).contains(KEYS[1].0), "{name}");
    }
}

/// Who is to leave may be a recipient of just the file that cannot be read.
#[test]
fn files_that_cannot_be_read_are_not_passed_over() {
    let desk = desk();
    let broken = desk.read("dev/a.yaml").replacen("a: ENC", "a: [ENC", 1);
    desk.write("dev/a.yaml", broken);
    let words = ["status", "--by", "recipient", "."];
    let ran = desk.run(words);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines[1..3], ["    dev/b.json", "    prod/a.yaml"]);
    assert!(
        lines[3].starts_with("dev/a.yaml: unreadable: line "),
        "{ran:?}"
    );
    assert_eq!(ran.fails(2), "1 file cannot be read\n");
    let ran = desk.run([&["--output", "json"], &words[..]].concat());
    let value = assert_is("by_recipient", ran.out.trim_end());
    assert_eq!(value["unreadable_files"][0]["file"], "dev/a.yaml");
    assert_eq!(value["unreadable_files"][0]["status"], "unreadable");
    let failure = assert_is("failure", ran.fails(2).trim_end());
    assert_eq!(failure["error"], "unreadable");
}
