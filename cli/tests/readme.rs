//! The tour of README.md and the pages of the book that only need the program do what they show.
//!
//! Each ```` ```console ```` block of the tour is a session: a line that begins with `$ ` is a command, lines that begin
//! with `> ` continue it, and what follows is what it prints. `…` stands for what differs from run to run; a line that is
//! nothing else stands for any number of lines, and `[1]` at the end for an exit code. Commands run in an empty home, one after the other in one folder.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

struct Step {
    line: usize,
    command: String,
    prints: Vec<String>,
}

/// The commands of the README's tour.
fn tour(readme: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for (at, line) in readme.lines().enumerate() {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            _ if !inside => {}
            _ => {
                if let Some(command) = line.strip_prefix("$ ") {
                    steps.push(Step {
                        line: at + 1,
                        command: command.to_owned(),
                        prints: Vec::new(),
                    });
                    continue;
                }
                let step = steps.last_mut().expect("a session begins with a command");
                match line.strip_prefix("> ").filter(|_| step.prints.is_empty()) {
                    Some(more) => step.command.push_str(&format!("\n{more}")),
                    None => step.prints.push(line.to_owned()),
                }
            }
        }
    }
    steps
}

/// Returns true if a line has the pieces of `pattern`, in their order.
fn fits(pattern: &str, line: &str) -> bool {
    let pieces: Vec<&str> = pattern.split('…').collect();
    let [first, .., last] = &pieces[..] else {
        return pattern == line;
    };
    let Some(mut rest) = line.strip_prefix(first) else {
        return false;
    };
    for piece in &pieces[1..pieces.len() - 1] {
        let Some(at) = rest.find(piece) else {
            return false;
        };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

fn all_fit(patterns: &[String], lines: &[&str]) -> bool {
    match (patterns, lines) {
        ([], lines) => lines.is_empty(),
        ([any, rest @ ..], lines) if any.trim() == "…" => {
            (0..=lines.len()).any(|skipped| all_fit(rest, &lines[skipped..]))
        }
        (_, []) => false,
        ([pattern, patterns @ ..], [line, lines @ ..]) => {
            fits(pattern, line) && all_fit(patterns, lines)
        }
    }
}

#[test]
fn the_tour_does_what_it_shows() {
    follow("README.md");
}

#[test]
fn the_first_hour_does_what_it_shows() {
    follow("docs/src/first-hour.md");
}

#[test]
fn the_tutorial_and_the_how_to_pages_do_what_they_show() {
    let start = std::time::Instant::now();
    follow("docs/src/tutorial.md");
    // Ten minutes are for those who read; the program takes seconds.
    assert!(start.elapsed() < std::time::Duration::from_secs(60));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/how-to");
    for page in std::fs::read_dir(folder).unwrap() {
        let page = page.unwrap().file_name();
        follow(&format!("docs/src/how-to/{}", page.to_str().unwrap()));
    }
}

/// Runs the commands of a page in one folder, and compares what they print.
fn follow(name: &str) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    let page = std::fs::read_to_string(page).unwrap();
    let steps = tour(&page);
    assert!(steps.len() > 2, "the commands are there");

    let home = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_sealwright"));
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", program.parent().unwrap().display());
    for Step {
        line,
        command,
        mut prints,
    } in steps
    {
        let code = prints
            .last()
            .and_then(|last| last.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
        if code.is_some() {
            prints.pop();
        }
        let output = Command::new("sh")
            .args(["-c", &format!("exec 2>&1\n{command}")])
            .current_dir(home.path())
            .env_clear()
            .env("PATH", &path)
            .env("HOME", home.path())
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = printed.lines().collect();
        assert!(
            output.status.code() == Some(code.unwrap_or(0)) && all_fit(&prints, &lines),
            "{name}, line {line}: $ {command}\nended with {}, printed:\n{printed}\nand not:\n{}",
            output.status,
            prints.join("\n")
        );
    }
}

/// The pages of the book, by their paths below `docs/src`.
fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The targets of the links of a page, without those in code.
fn links(page: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut in_code = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // Every second part between backticks is code.
        let text: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for (at, _) in text.match_indices("](") {
            let rest = &text[at + 2..];
            links.push(rest.split([')', ' ']).next().unwrap().to_owned());
        }
    }
    links
}

/// The name that mdBook and GitHub give a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().replace('`', "");
    let kept = text
        .chars()
        .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.map(|letter| {
        if letter == ' ' {
            '-'
        } else {
            letter.to_ascii_lowercase()
        }
    })
    .collect()
}

#[test]
fn every_page_is_in_the_summary_and_every_link_leads_somewhere() {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src");
    let root = book.join("../..");
    let summary = std::fs::read_to_string(book.join("SUMMARY.md")).unwrap();
    let listed = links(&summary);
    let mut all = Vec::new();
    pages(&book, &mut all);
    for page in &all {
        let name = page.strip_prefix(&book).unwrap().to_str().unwrap();
        let times = listed.iter().filter(|link| *link == name).count();
        assert_eq!(
            times,
            usize::from(name != "SUMMARY.md"),
            "{name} in SUMMARY.md"
        );
    }
    for name in [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
    ] {
        all.push(root.join(name));
    }
    let mut wrong = Vec::new();
    for page in &all {
        let text = std::fs::read_to_string(page).unwrap();
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") || link.contains('…') {
                continue;
            }
            let (path, fragment) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => page.clone(),
                path => page.parent().unwrap().join(path),
            };
            let shown = || {
                format!(
                    "{}: {link}",
                    page.strip_prefix(&root).unwrap_or(page).display()
                )
            };
            if !target.exists() {
                wrong.push(shown());
            } else if !fragment.is_empty() {
                let there = std::fs::read_to_string(&target).unwrap();
                let mut headings = there.lines().filter(|line| line.starts_with('#'));
                if !headings.any(|heading| anchor(heading) == fragment) {
                    wrong.push(shown());
                }
            }
        }
        // A page of the book may not lead out of it: the published book has nothing there.
        if page.starts_with(&book) {
            for link in links(&text).iter().filter(|link| link.starts_with("../")) {
                let target = page.parent().unwrap().join(link.split('#').next().unwrap());
                if let Ok(target) = target.canonicalize()
                    && !target.starts_with(book.canonicalize().unwrap())
                {
                    wrong.push(format!("{}: {link} leads out of the book", page.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn patterns_of_the_tour() {
    assert!(fits("age1…", "age1qqq"));
    assert!(fits(
        "  a: ENC[…,type:str]",
        "  a: ENC[AES256_GCM,data:x,type:str]"
    ));
    assert!(!fits("a … b", "a c"));
    assert!(!fits("identical", "identical "));
    let patterns = ["a", "…", "z"].map(str::to_owned);
    assert!(all_fit(&patterns, &["a", "z"]));
    assert!(all_fit(&patterns, &["a", "b", "c", "z"]));
    assert!(!all_fit(&patterns, &["a", "b"]));
}
