//! The hooks of this repository, run by the real pre-commit before commits of another one.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sealwright_tests::harness::cluster::run;
use sealwright_tests::harness::{programs, upstream};
use tempfile::TempDir;

const RULES: &str = "creation_rules:\n  - path_regex: secrets/\n    age: age1xlfde4vg8lqd47wvyk2chvgw769vtr59rxrqmflu7tp3dzl284cq0cme47\n";
const SECRET: &str =
    "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\nstringData:\n  password: hunter2\n";
/// There is nothing in it to hide.
const EMPTY: &str = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: token\n  annotations:\n    kubernetes.io/service-account.name: robot\ntype: kubernetes.io/service-account-token\n";
const SEALED: &str = "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: db\nspec:\n  encryptedData:\n    password: AgB\n";

/// Two repositories: ours with the hooks, and one that uses them.
struct Repositories {
    root: TempDir,
}

impl Repositories {
    fn new() -> Self {
        let new = Self {
            root: tempfile::tempdir().unwrap(),
        };
        let hooks = new.root.path().join("hooks");
        std::fs::create_dir(&hooks).unwrap();
        std::fs::write(
            hooks.join(".pre-commit-hooks.yaml"),
            include_str!("../../../.pre-commit-hooks.yaml"),
        )
        .unwrap();
        let user = new.root.path().join("user");
        std::fs::create_dir_all(user.join("secrets")).unwrap();
        for folder in [&hooks, &user] {
            new.git(folder, &["init", "--quiet"]);
        }
        new.git(&hooks, &["add", "."]);
        new.git(&hooks, &["commit", "--quiet", "--message", "hooks"]);
        new.git(&hooks, &["tag", "v0.1.0"]);
        // As the page about CI has it, but for where the repository lies.
        let page = include_str!("../../../docs/src/how-to/ci.md");
        let (_, config) = page.split_once("```yaml\nrepos:").unwrap();
        let (config, _) = config.split_once("```").unwrap();
        let config = format!("repos:{config}");
        let ours = "https://github.com/sealwright/sealwright";
        assert!(config.contains(ours), "{config}");
        new.write(
            ".pre-commit-config.yaml",
            &config.replace(ours, hooks.to_str().unwrap()),
        );
        new.write(".sops.yaml", RULES);
        new.git(&user, &["add", "."]);
        new
    }

    fn user(&self) -> PathBuf {
        self.root.path().join("user")
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.user().join(name), text).unwrap();
    }

    /// A program with a home of its own and ours on the search path.
    fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        let ours = programs::sealwright();
        let path = std::env::var_os("PATH").unwrap();
        let path = std::env::join_paths(
            std::iter::once(ours.parent().unwrap().to_owned()).chain(std::env::split_paths(&path)),
        );
        command
            .current_dir(folder)
            .env("PATH", path.unwrap())
            .env("HOME", self.root.path())
            .env("GIT_CONFIG_NOSYSTEM", "1");
        for (name, value) in [
            ("GIT_AUTHOR_NAME", "test"),
            ("GIT_AUTHOR_EMAIL", "test@example.com"),
            ("GIT_COMMITTER_NAME", "test"),
            ("GIT_COMMITTER_EMAIL", "test@example.com"),
        ] {
            command.env(name, value);
        }
        command
    }

    fn git(&self, folder: &Path, words: &[&str]) {
        let output = run(self.command(Path::new("git"), folder).args(words), b"");
        assert!(output.status.success(), "{words:?}: {output:?}");
    }

    /// Adds files and runs the hooks on what would be committed.
    fn commit(&self, files: &[(&str, &str)]) -> (bool, String) {
        for (name, text) in files {
            self.write(name, text);
        }
        self.git(&self.user(), &["add", "."]);
        let mut command = self.command(&upstream::pre_commit(), &self.user());
        let Output {
            status,
            stdout,
            stderr,
        } = run(
            command.args(["-m", "pre_commit", "run", "--color=never"]),
            b"",
        );
        let text = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
        self.git(&self.user(), &["reset", "--quiet", "--hard"]);
        (status.success(), text)
    }
}

#[test]
fn the_hooks_refuse_plaintext_with_a_rule_and_secrets_in_clear_and_nothing_else() {
    let repositories = Repositories::new();
    repositories.git(
        &repositories.user(),
        &["commit", "--quiet", "--message", "begin"],
    );

    let (passed, text) = repositories.commit(&[
        ("sealed.yaml", SEALED),
        ("token.yaml", EMPTY),
        (
            "chart.yaml",
            "kind: Secret\ndata:\n  a: {{ .Values.a | b64enc }}\n",
        ),
        ("values.yaml", "a: 1\n"),
    ]);
    assert!(passed, "{text}");
    assert_eq!(text.matches("Passed").count(), 2, "{text}");

    let (passed, text) = repositories.commit(&[("secrets/a.yaml", "token: one\n")]);
    assert!(!passed, "{text}");
    assert!(
        text.contains("secrets/a.yaml: plain (a rule covers it)"),
        "{text}"
    );
    assert!(
        text.contains("1 file that has a rule is not encrypted"),
        "{text}"
    );
    assert!(!text.contains("Secret in plaintext:"), "{text}");

    let both = format!("{SEALED}---\n{SECRET}");
    let json = r#"{"apiVersion": "v1", "kind": "List", "items": [{"kind": "Secret", "metadata": {"name": "one"}, "data": {"a": "Yg=="}}]}"#;
    let (passed, text) = repositories.commit(&[("both.yaml", &both), ("list.json", json)]);
    assert!(!passed, "{text}");
    assert!(
        text.contains("both.yaml: plain (Secret in plaintext: db)"),
        "{text}"
    );
    assert!(
        text.contains("list.json: plain (Secret in plaintext: one)"),
        "{text}"
    );
    assert!(text.contains("2 files hold Secrets in plaintext"), "{text}");
    assert!(
        text.contains("`sealwright seal FILE` seals a Secret"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
}
