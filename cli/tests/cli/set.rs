//! `set`: types stay, structures stay, and where the value comes from.

use super::desk::Desk;
use super::screen::Screen;

const PLAIN: &str =
    "db:\n  host: localhost\n  port: 5432\n  ratio: 0.5\n  tls: true\nlist:\n  - a\n  - b\nnone:\n";

fn desk() -> Desk {
    let desk = Desk::with_rule();
    desk.encrypted("f.yaml", PLAIN);
    desk
}

#[test]
fn the_type_of_what_stands_there_is_kept() {
    let desk = desk();
    for (path, value) in [
        ("db.host", "5432"),
        ("db.port", "5433"),
        ("db.ratio", "2.5"),
        ("db.tls", "false"),
        ("list.1", "true"),
        ("none", "1"),
        ("new.key", "7"),
    ] {
        desk.run(["set", "f.yaml", path, value]).good();
    }
    desk.run(["set", "f.yaml", "list.0", "--type", "int", "4"])
        .good();
    desk.run(["set", "f.yaml", "as_json", "--json", "{\"a\": [1]}"])
        .good();
    desk.run(["set", "f.yaml", "db.port", "--string", "none"])
        .good();
    insta::assert_snapshot!("set_types", desk.run(["decrypt", "f.yaml"]).good());
}

#[test]
fn surprises_are_refused() {
    let desk = desk();
    let before = desk.read("f.yaml");
    let mut text = String::new();
    for words in [
        &["set", "f.yaml", "db.port", "http"][..],
        &["set", "f.yaml", "db.tls", "yes"],
        &["set", "f.yaml", "db", "x"],
        &["set", "f.yaml", "db.host.name", "x"],
        &["set", "f.yaml", "db.host", "--json", "{\"a\": 1}"],
        &["set", "f.yaml", "list", "--json", "{\"a\": 1}"],
        &["set", "f.yaml", "list.2", "x"],
        &["set", "f.yaml", "list.7", "x"],
        &["set", "f.yaml", "db.port", "--type", "int", "x"],
        &["set", "plain.yaml", "a", "x"],
        &["set", "missing.yaml", "a", "x"],
    ] {
        desk.write("plain.yaml", "a: 1\n");
        text += &desk.transcript(words);
        assert_eq!(desk.read("f.yaml"), before, "{words:?}");
    }
    insta::assert_snapshot!("set_surprises", text);
    desk.run(["set", "--force", "f.yaml", "db", "x"]).good();
    desk.run(["set", "--force", "f.yaml", "list.2", "c"]).good();
    let text = desk.run(["decrypt", "f.yaml"]).good();
    assert!(text.contains("db: x") && text.contains("- c"), "{text}");
    // The sops front-end replaces as sops does.
    desk.run(["sops", "set", "f.yaml", "[\"list\"]", "\"y\""])
        .good();
}

#[test]
fn a_value_comes_from_standard_input_a_file_or_an_unseen_prompt() {
    let desk = desk();
    desk.run_with(["set", "f.yaml", "db.host", "--stdin"], b"one\n")
        .good();
    assert_eq!(desk.run(["get", "f.yaml", "db.host"]).good(), "one");
    desk.run_with(["set", "f.yaml", "db.host", "-"], b"two\r\n")
        .good();
    assert_eq!(desk.run(["get", "f.yaml", "db.host"]).good(), "two");
    desk.run_with(["set", "f.yaml", "db.host", "--stdin", "--raw"], b"three\n")
        .good();
    assert_eq!(desk.run(["get", "f.yaml", "db.host"]).good(), "three\n");
    let mut screen = Screen::start(&desk, &["set", "f.yaml", "db.host"]);
    screen.expect("New value of db.host: ");
    // The terminal is made silent after the question is shown.
    std::thread::sleep(std::time::Duration::from_millis(300));
    screen.send("unseen\n");
    let (code, shown) = screen.finish();
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains("unseen"), "{shown}");
    assert_eq!(desk.run(["get", "f.yaml", "db.host"]).good(), "unseen");
}

/// The watch of the prompt is over by then, and the keyboard still ends the program.
#[test]
fn a_key_command_that_hangs_after_the_prompt_is_left_with_ctrl_c() {
    let mut desk = desk();
    let before = desk.read("f.yaml");
    let none = desk.home().join("none.txt");
    std::fs::write(&none, "").unwrap();
    desk.set("SOPS_AGE_KEY_FILE", none.to_str().unwrap());
    let command = "sh -c 'trap \"\" INT; echo it hangs > /dev/tty; exec sleep 90'";
    desk.set("SOPS_AGE_KEY_CMD", command);
    let mut screen = Screen::start(&desk, &["set", "f.yaml", "db.host"]);
    screen.expect("New value of db.host:");
    screen.send("typed\n");
    screen.expect("it hangs");
    screen.send("\x03");
    let (code, shown) = screen.finish();
    assert_eq!(code, 130, "{shown}");
    assert_eq!(desk.read("f.yaml"), before, "{shown}");
}
