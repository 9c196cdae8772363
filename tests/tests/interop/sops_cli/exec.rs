//! `exec-env` and `exec-file`: environment, shells, users, named pipes, exit codes.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use super::{Desk, Whose, run};

fn desk() -> Desk {
    let desk = Desk::with_rule();
    desk.theirs_encrypts(
        "a.env",
        "FOO=bar\nMULTI=one\\ntwo\nHOME=/secret/home\n",
        &[],
    );
    desk.theirs_encrypts(
        "a.yaml",
        "s: text\ni: 5\nf: 1.50\nbig: 1e6\nyes: true\nn: null\nd: 2025-01-02\n",
        &[],
    );
    desk
}

/// The standard output of both programs, which must be the same.
#[track_caller]
fn same(desk: &Desk, words: &[&str]) -> String {
    let (theirs, ours) = (desk.theirs(words), desk.ours(words));
    assert_eq!(
        (theirs.code, theirs.show_out()),
        (ours.code, ours.show_out()),
        "{words:?}: {}",
        ours.err
    );
    ours.show_out()
}

#[test]
fn s113_s114_s115_values_reach_a_shell_command_over_inherited_variables() {
    let desk = desk();
    let shown = same(
        &desk,
        &[
            "exec-env",
            "a.env",
            "printf '%s|%s|%s|%s' \"$FOO\" \"$MULTI\" \"$HOME\" \"$0\"",
        ],
    );
    assert_eq!(shown, "bar|one\ntwo|/secret/home|/bin/sh");
    let shown = same(
        &desk,
        &[
            "exec-env",
            "a.yaml",
            "printf '%s,' \"$s\" \"$i\" \"$f\" \"$big\" \"$yes\"",
        ],
    );
    assert_eq!(shown, "text,5,1.5,1E+06,true,");
    // What no environment can hold is refused (S115).
    for (name, text) in [
        ("map.yaml", "a: {b: c}\n"),
        ("list.yaml", "a: [b]\n"),
        ("equals.yaml", "a=b: c\n"),
    ] {
        desk.theirs_encrypts(name, text, &[]);
        for whose in [Whose::Theirs, Whose::Ours] {
            desk.run(whose, ["exec-env", name, "true"]).fails(1);
        }
    }
    for (name, text) in [("none.env", "=v\nA=1\n"), ("none.yaml", "\"\": v\nA: 1\n")] {
        desk.theirs_encrypts(name, text, &[]);
        assert_eq!(same(&desk, &["exec-env", name, "printf %s \"$A\""]), "1");
    }
    // Null is nothing here, where the reference says <nil> (D12).
    assert_eq!(
        desk.ours(["exec-env", "a.yaml", "printf '%s' \"[$n]\""])
            .good(),
        "[]"
    );
}

#[test]
fn s52_s53_s54_pristine_user_and_same_process() {
    let mut desk = desk();
    desk.set("INHERITED", "yes");
    let shown = same(&desk, &["exec-env", "a.env", "printf %s \"$INHERITED\""]);
    assert_eq!(shown, "yes");
    let shown = same(
        &desk,
        &[
            "exec-env",
            "--pristine",
            "a.env",
            "printf '%s.%s' \"$INHERITED\" \"$FOO\"",
        ],
    );
    assert_eq!(shown, ".bar");
    assert_eq!(
        same(
            &desk,
            &["exec-env", "--same-process", "a.env", "printf %s \"$FOO\""]
        ),
        "bar"
    );
    let ran = desk.ours(["exec-env", "--same-process", "a.env", "exit 9"]);
    assert_eq!((ran.code, ran.err.as_str()), (9, ""));
    for words in [
        ["exec-env", "--user", "no-such-user", "a.env", "true"],
        ["exec-file", "--user", "no-such-user", "a.env", "true"],
    ] {
        same(&desk, &words);
        assert_eq!(desk.ours(words).code, 1);
    }
    if rustix::process::getuid().is_root() {
        let shown = same(
            &desk,
            &[
                "exec-env",
                "--user",
                "nobody",
                "a.env",
                "id -un; id -Gn; echo $USER $LOGNAME",
            ],
        );
        assert!(
            shown.starts_with("nobody\n") && shown.ends_with("nobody nobody\n"),
            "{shown}"
        );
    } else {
        desk.ours(["exec-env", "--user", "nobody", "a.env", "true"])
            .fails(1);
    }
}

#[test]
fn s51_s122_in_the_background_a_command_has_no_input_and_output() {
    let desk = desk();
    let ran = desk.ours([
        "exec-env",
        "--background=true",
        "a.env",
        "echo seen; printf %s \"$FOO\" > made",
    ]);
    assert!(
        ran.err.contains("deprecated") && ran.out.is_empty(),
        "{}",
        ran.err
    );
    for _ in 0..100 {
        if desk.path("made").exists() && desk.read("made") == "bar" {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("the command in the background did nothing");
}

#[test]
fn s118_s119_s121_a_pipe_or_a_file_of_the_wished_name() {
    let desk = desk();
    assert_eq!(
        same(
            &desk,
            &[
                "exec-file",
                "a.env",
                "test -p {} && basename {} && stat -c %a {} && stat -c %a $(dirname {})"
            ]
        ),
        "tmp-file\n600\n700\n"
    );
    let shown = same(
        &desk,
        &[
            "exec-file",
            "--no-fifo",
            "--filename",
            "my.env",
            "a.env",
            "test -f {} && basename {} && stat -c %a {}; cat {} {}",
        ],
    );
    assert!(shown.starts_with("my.env\n600\nFOO=bar\n"), "{shown}");
    let shown = desk
        .ours(["exec-file", "--no-fifo", "a.env", "basename {}"])
        .good();
    assert!(
        shown.starts_with("tmp-file") && shown.trim().len() > "tmp-file".len(),
        "{shown}"
    );
    // The pipe serves a reader; one that never comes holds nothing up.
    assert!(same(&desk, &["exec-file", "a.env", "cat {}"]).starts_with("FOO=bar\n"));
    same(&desk, &["exec-file", "a.env", "true"]);
    assert_eq!(
        same(
            &desk,
            &[
                "exec-file",
                "--input-type",
                "dotenv",
                "--output-type",
                "json",
                "a.env",
                "head -c 10 {}"
            ]
        ),
        "{\n\t\"FOO\": "
    );
}

#[test]
fn s120_s122_a_name_stays_inside_and_the_folder_goes_away() {
    let desk = desk();
    for name in ["/abs", "../up", "a/../../b", "no/folder"] {
        let words = [
            "exec-file",
            "--no-fifo",
            "--filename",
            name,
            "a.env",
            "true",
        ];
        for whose in [Whose::Theirs, Whose::Ours] {
            desk.run(whose, words).fails(1);
        }
    }
    for name in ["a/../b", "x/", "./x", "x//."] {
        for kind in ["--no-fifo=true", "--no-fifo=false"] {
            let command = "basename {}; head -c 3 {}";
            let words = ["exec-file", kind, "--filename", name, "a.env", command];
            assert!(same(&desk, &words).ends_with("\nFOO"), "{name} {kind}");
        }
    }
    let folder = desk.ours(["exec-file", "--no-fifo", "a.env", "dirname {}; exit 3"]);
    assert_eq!(folder.code, 3);
    assert!(!Path::new(folder.text().trim()).exists());
}

#[test]
fn s122_a_signal_to_us_removes_the_plaintext() {
    let desk = desk();
    let mut child = desk
        .command(Whose::Ours)
        .args([
            "exec-file",
            "--no-fifo",
            "a.env",
            "echo {} > where; sleep 20",
        ])
        .spawn()
        .unwrap();
    while !desk.path("where").exists() || desk.bytes("where").is_empty() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let file = desk.read("where").trim().to_owned();
    assert!(std::fs::read_to_string(&file).unwrap().contains("FOO=bar"));
    let killed = std::process::Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    child.wait().unwrap();
    assert!(!Path::new(&file).exists());
}

#[test]
fn a_signal_to_us_reaches_the_command_and_the_code_is_that_of_the_real_program() {
    let desk = desk();
    for (whose, words) in [
        (Whose::Ours, ["exec-env", "a.env"]),
        (Whose::Ours, ["exec-file", "a.env"]),
        (Whose::Theirs, ["exec-env", "a.env"]),
        (Whose::Theirs, ["exec-file", "a.env"]),
    ] {
        for (signal, number) in [("TERM", 15), ("HUP", 1)] {
            // The parent of the tests may have had it ignored.
            let mut command = std::process::Command::new("env");
            desk.furnish(&mut command);
            let mut child = command
                .arg("--default-signal=TERM,HUP")
                .arg(desk.program(whose))
                .args(words)
                .arg("trap 'touch asked; exit 0' TERM HUP; touch runs; sleep 2 & wait")
                .spawn()
                .unwrap();
            while !desk.path("runs").exists() {
                std::thread::sleep(Duration::from_millis(5));
            }
            std::fs::remove_file(desk.path("runs")).unwrap();
            let killed = std::process::Command::new("kill")
                .args([&format!("-{signal}"), &child.id().to_string()])
                .status();
            assert!(killed.unwrap().success());
            let status = child.wait().unwrap();
            // A shell shows both as 128 and the number.
            let code = status.code().or_else(|| Some(128 + status.signal()?));
            assert_eq!(code, Some(128 + number), "{whose:?} {words:?} {signal}");
            if whose == Whose::Ours {
                std::fs::remove_file(desk.path("asked")).expect("the command is asked to end");
            }
        }
    }
}

#[test]
fn what_was_ignored_at_the_start_stays_ignored() {
    let desk = desk();
    let mut command = std::process::Command::new("nohup");
    desk.furnish(&mut command);
    let mut child = command
        .arg(desk.program(Whose::Ours))
        .args([
            "exec-file",
            "--no-fifo",
            "a.env",
            "touch runs; sleep 1; cp {} copy",
        ])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while !desk.path("runs").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let killed = std::process::Command::new("kill")
        .args(["-HUP", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    assert!(child.wait().unwrap().success());
    assert!(desk.read("copy").contains("FOO=bar"));
}

#[test]
fn a_reader_that_goes_away_ends_the_output_without_a_word() {
    let desk = Desk::with_rule();
    let values: String = (0..20_000).map(|at| format!("k{at}: v\n")).collect();
    desk.write("big.yaml", values);
    desk.ours(["encrypt", "-i", "big.yaml"]).good();
    for whose in [Whose::Theirs, Whose::Ours] {
        for words in [["decrypt", "big.yaml"], ["encrypt", "big.txt"]] {
            desk.write("big.txt", vec![b'x'; 1 << 20]);
            let mut child = desk
                .command(whose)
                .args(words)
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            drop(child.stdout.take());
            let output = child.wait_with_output().unwrap();
            let code = output.status.code();
            let code = code.or_else(|| Some(128 + output.status.signal()?));
            assert_eq!(code, Some(141), "{whose:?} {words:?}");
            assert!(output.stderr.is_empty(), "{whose:?} {words:?}");
        }
    }
}

#[test]
fn s116_exec_env_goes_by_the_name_alone() {
    let desk = desk();
    desk.write("noname", desk.bytes("a.env"));
    for whose in [Whose::Theirs, Whose::Ours] {
        desk.run(whose, ["exec-env", "noname", "true"]).fails(1);
    }
}

#[test]
fn our_own_verb_passes_arguments_as_they_are() {
    let desk = desk();
    let ran = desk.sealwright([
        "exec-env", "a.env", "--", "printf", "%s,", "a b", "it's", "$FOO",
    ]);
    assert_eq!(ran.good(), "a b,it's,$FOO,");
    let ran = desk.sealwright(["exec-file", "a.env", "--", "head", "-n", "1", "{}"]);
    assert_eq!(ran.good(), "FOO=bar\n");
    // Standard input belongs to the command.
    let mut command = desk.command(Whose::Sealwright);
    command.args(["exec-env", "a.env", "--", "cat"]);
    assert_eq!(run(&mut command, b"for the child").good(), "for the child");
}
