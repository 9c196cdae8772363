//! The examples of the documentation run: every block marked `console` in `docs/src`.
//!
//! The blocks of a page are one session in a folder of their own, with a home that holds no key. A line that begins with
//! `$ ` is a command for the shell; the lines below it up to the next command are what it prints, both streams together.
//! Where a printed line differs from run to run, `…` stands for any text in it; a block without printed lines only has
//! to succeed. A command that is followed by `[N]` on a line of its own ends with that code.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Desk, run};

#[test]
fn every_console_example_of_the_documentation_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut pages = Vec::new();
    collect(&root.join("docs/src"), &mut pages);
    let mut examples = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        let name = page.strip_prefix(root).unwrap().display().to_string();
        // A page's keys are its own affair.
        let mut desk = Desk::new();
        std::fs::remove_file(desk.key_file()).unwrap();
        desk.set("SOPS_AGE_KEY_FILE", "");
        std::os::unix::fs::symlink(
            desk.program(super::Whose::Sealwright),
            desk.root.path().join("bin/sealwright"),
        )
        .unwrap();
        std::os::unix::fs::symlink(
            desk.program(super::Whose::Sealwright),
            desk.root.path().join("bin/kubeseal"),
        )
        .unwrap();
        for step in steps(&text) {
            examples += 1;
            let mut shell = Command::new("sh");
            desk.furnish(&mut shell);
            let path = format!(
                "{}:{}",
                desk.root.path().join("bin").display(),
                std::env::var("PATH").unwrap()
            );
            shell
                .env("PATH", path)
                .env_remove("SOPS_AGE_KEY_FILE")
                .args(["-c", &format!("exec 2>&1\n{}", step.command)]);
            let ran = run(&mut shell, b"");
            let printed = ran.show_out();
            assert_eq!(ran.code, step.code, "{name}: $ {}\n{printed}", step.command);
            if !step.printed.is_empty() {
                assert!(
                    matches(&step.printed, &printed),
                    "{name}: $ {}\nprints\n{printed}\nand not\n{}",
                    step.command,
                    step.printed
                );
            }
        }
    }
    assert!(examples >= 10, "only {examples} examples were found");
}

struct Step {
    command: String,
    printed: String,
    code: i32,
}

fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let (true, Some(command)) = (inside, line.strip_prefix("$ ")) {
            steps.push(Step {
                command: command.to_owned(),
                printed: String::new(),
                code: 0,
            });
        } else if let (true, Some(step)) = (inside, steps.last_mut()) {
            let code = line
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']')?.parse().ok());
            match code {
                Some(code) => step.code = code,
                // A command goes on after a backslash.
                None if step.printed.is_empty() && step.command.ends_with('\\') => {
                    step.command.push('\n');
                    step.command.push_str(line.trim_start_matches("> "));
                }
                None => {
                    step.printed.push_str(line);
                    step.printed.push('\n');
                }
            }
        }
    }
    steps
}

/// Whether a text is a pattern in which `…` stands for anything, lines included.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.trim_end().split('…');
    let Some(mut rest) = parts
        .next()
        .and_then(|first| text.trim_end().strip_prefix(first))
    else {
        return false;
    };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}

fn collect(folder: &Path, pages: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, pages);
        } else if path.extension().is_some_and(|ending| ending == "md") {
            pages.push(path);
        }
    }
    pages.sort();
}

#[test]
fn a_pattern_is_met_or_not() {
    assert!(matches("a … c\n", "a b\nx c\n"));
    assert!(matches("same\n", "same\n"));
    assert!(!matches("a … c", "a b"));
    assert!(!matches("same", "other"));
}
