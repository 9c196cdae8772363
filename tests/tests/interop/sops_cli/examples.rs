//! The examples of the documentation run: every block marked `console` in `docs/src`.
//!
//! The blocks of a page are one session in a folder of their own, with a home that holds no key. A line that begins with
//! `$ ` is a command for the shell; the lines below it up to the next command are what it prints, both streams together.
//! Where a printed line differs from run to run, `…` stands for any text in it; a block without printed lines only has
//! to succeed. A command that is followed by `[N]` on a line of its own ends with that code.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Desk, run};

#[test]
fn every_console_example_of_the_documentation_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut pages = Vec::new();
    collect(&root.join("docs/src"), &mut pages);
    // The tests of `cli` follow these, files that they write included.
    pages.retain(|page| {
        let is_guide = |part: &str| page.starts_with(root.join("docs/src").join(part));
        !is_guide("how-to") && !is_guide("tutorial.md")
    });
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

/// Examples of the help that ask a cluster or a vault at an address of its own; the tests of those run them.
const NEED_A_SERVER: [&str; 11] = [
    "sealwright adopt",
    "sealwright adopt --run --set image.registry=registry.example.com",
    "sealwright adopt --back --run",
    "sealwright cert > cert.pem",
    "sealwright validate sealed.yaml",
    "sealwright fetch --store store.yaml --credentials token.enc.yaml app/db#password",
    "sealwright --output json fetch --extract vault://vault.example:8200/secret/app/db",
    "sealwright push --dry-run --from-file tls.key vault:secret/web#tls.key",
    "sealwright store check vault:secret/app/db",
    "sealwright sealing-key export --out sealing-keys.yaml",
    "sealwright sealing-key import sealing-keys.yaml",
];

/// The example that asks for a passphrase; the test of `keygen` types one.
const NEEDS_A_TERMINAL: &str = "sealwright keygen --passphrase --out work.agekey";

/// An ExternalSecret of that store, and what else `template` and `fetch -f` speak of.
const EXTERNAL_SECRET: &str = "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata:\n  name: db\n  namespace: prod\n\
    spec:\n  secretStoreRef:\n    name: files\n  target:\n    template:\n      data:\n        url: 'db://{{ .user }}'\n\
    \u{20} data:\n    - secretKey: user\n      remoteRef:\n        key: app/db\n        property: user\n";

/// A store of the files below `vault`.
const STORE: &str = "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata:\n  name: files\n  namespace: prod\n\
    spec:\n  provider:\n    file:\n      path: vault\n";

#[test]
fn every_example_of_the_help_runs() {
    let desk = Desk::with_rule();
    let mut examples = 0;
    for verb in leaves(&desk, Vec::new()) {
        let help = help_of(&desk, &verb);
        let lines: Vec<&str> = help
            .lines()
            .skip_while(|line| !line.starts_with("Example"))
            .skip(1)
            .collect();
        assert!(!lines.is_empty(), "{verb:?} has no example");
        for line in lines {
            let example = line.strip_prefix("  ").unwrap_or_default();
            assert!(
                example.contains("sealwright") && line.len() < 100,
                "{verb:?}: a line that a terminal breaks cannot be copied: {line}"
            );
            if !NEED_A_SERVER.contains(&example) && example != NEEDS_A_TERMINAL {
                perform(&verb, example);
            }
            examples += 1;
        }
    }
    assert!(examples > 30, "only {examples} examples were found");
}

fn help_of(desk: &Desk, verb: &[String]) -> String {
    let words = verb.iter().map(String::as_str).chain(["--help"]);
    desk.sealwright(words).good()
}

/// The verbs that have no verbs below them.
fn leaves(desk: &Desk, verb: Vec<String>) -> Vec<Vec<String>> {
    let help = help_of(desk, &verb);
    let below: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    if below.is_empty() {
        return vec![verb];
    }
    let each = below.into_iter().flat_map(|name| {
        let mut verb = verb.clone();
        verb.push(name.to_owned());
        leaves(desk, verb)
    });
    each.collect()
}

/// Runs an example where everything is that it speaks of.
fn perform(verb: &[String], example: &str) {
    let mut desk = Desk::new();
    let both = desk.recipients[..2].join(",");
    desk.write(".sops.yaml", format!("creation_rules:\n  - age: {both}\n"));
    if verb[0] == "recipients" {
        let [alice, bob, ..] = &desk.recipients[..] else {
            panic!("the desk has two keys")
        };
        let rule = format!("creation_rules:\n  - age:\n      - {alice}\n      - {bob} # bob\n");
        desk.write(".sops.yaml", rule);
    }
    if verb[0] == "publish" {
        let rules = desk.read(".sops.yaml")
            + "destination_rules:\n  - s3_bucket: bucket\n    path_regex: ''\n";
        desk.write(".sops.yaml", rules);
        desk.write("secrets/app.yaml", "a: 1\n");
    }
    if verb[0] == "keygen" {
        desk.set("SOPS_AGE_KEY_FILE", "");
    }
    desk.set("XDG_CONFIG_HOME", "");
    desk.set("PASSWORD", "pw");
    desk.set("EDITOR", "sed -i s/admin/root/");
    let bin = desk.root.path().join("bin");
    let put = |name: &str, script: &str| {
        let path = bin.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    };
    std::os::unix::fs::symlink(
        desk.program(super::Whose::Sealwright),
        bin.join("sealwright"),
    )
    .unwrap();
    put("generate", "echo A=b");
    put("server", "cat \"$2\" > /dev/null");
    put("code", "sed -i s/admin/root/ \"$2\"");
    put("kubectl", "cat secret.yaml");
    put("jq", "cat > /dev/null");
    put("man", "grep -q TH");
    std::fs::create_dir_all(desk.home().join(".local/share/man/man1")).unwrap();
    std::fs::create_dir_all(desk.home().join(".local/share/bash-completion/completions")).unwrap();
    desk.write("server", "#!/bin/sh\ntest \"$A\" = b\n");
    std::fs::set_permissions(desk.path("server"), PermissionsExt::from_mode(0o755)).unwrap();
    let app = "db:\n  user: admin\n  password: old\na.b: [first]\nreplicas: 1\n";
    for (name, text) in [
        ("app.yaml", app),
        ("secrets/db.yaml", app),
        ("app.env", "A=b\n"),
        ("config.json", "{\"a\": 1}\n"),
        ("vault/db", r#"{"user": "u", "password": "p"}"#),
        ("vault/app/db", r#"{"user": "u", "password": "p"}"#),
        ("store.yaml", STORE),
        ("externalsecret.yaml", EXTERNAL_SECRET),
        ("values.yaml", "user: admin\n"),
        ("values.enc.yaml", "user: admin\n"),
        ("configmap.yaml", "kind: ConfigMap\nmetadata:\n  name: a\n"),
    ] {
        desk.write(name, text);
    }
    let encrypts = verb[0] == "encrypt";
    if !encrypts {
        let files = ["app.yaml", "secrets", "app.env", "config.json"];
        desk.sealwright(["encrypt", "-i"].iter().chain(&files))
            .good();
    }
    // What the file has then is what the rule does not say: only a removal brings it back.
    if verb[..] == ["groups", "delete"] {
        let age = desk.recipients[1].clone();
        desk.sealwright([
            "groups",
            "add",
            "app.yaml",
            "--threshold",
            "2",
            "--age",
            &age,
        ])
        .good();
    }
    desk.write(
        "secret.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  namespace: prod\nstringData:\n  pw: old\n",
    );
    for (key, cert) in [("backup.yaml", "cert.pem"), ("new.key", "new.pem")] {
        desk.sealwright([
            "sealing-key",
            "--bits",
            "2048",
            "--key",
            key,
            "--cert",
            cert,
        ])
        .good();
    }
    std::fs::create_dir_all(desk.path("clusters/prod")).unwrap();
    for out in ["sealed.yaml", "clusters/prod/db.yaml"] {
        desk.sealwright(["seal", "secret.yaml", "--cert", "cert.pem", "--out", out])
            .good();
    }
    if verb[0] == "sealing-key" {
        let indented = |name: &str| desk.read(name).replace('\n', "\n    ");
        let text = format!(
            "kind: Secret\nmetadata:\n  name: key\nstringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
            indented("cert.pem"),
            indented("backup.yaml")
        );
        desk.write("main.key", text);
        std::fs::remove_file(desk.path("cert.pem")).unwrap();
    }
    if verb[0] == "diff" || verb[0] == "git" {
        let mut git = Command::new("sh");
        desk.furnish(&mut git);
        let script = "git init -q . && git add . && for n in 1 2; do \
            git -c user.name=n -c user.email=e@example.com commit -q --allow-empty -m $n; done";
        run(
            git.env("PATH", std::env::var("PATH").unwrap())
                .args(["-c", script]),
            b"",
        )
        .good();
    }
    let mut shell = Command::new("sh");
    desk.furnish(&mut shell);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let command = example.replace("age1…", &desk.recipients[1]);
    let ran = run(shell.env("PATH", path).args(["-c", &command]), b"");
    // With --check there is something to do here, and the rule covers files that are plain.
    let has_work = verb[0] == "reseal" && example.contains("--check");
    let has_problems = verb[0] == "doctor" && !example.contains("secrets/");
    let has_secrets = example.contains("--check-secrets");
    let code = i32::from(has_work || has_problems || has_secrets);
    assert_eq!(ran.code, code, "$ {example}\n{}{}", ran.show_out(), ran.err);
}

#[test]
fn a_pattern_is_met_or_not() {
    assert!(matches("a … c\n", "a b\nx c\n"));
    assert!(matches("same\n", "same\n"));
    assert!(!matches("a … c", "a b"));
    assert!(!matches("same", "other"));
}
