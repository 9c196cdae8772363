//! The program called `sops`, beside the real one: command lines, exit codes, outside clients, terminals, kills.
//!
//! Every case works in a folder of its own with a home of its own, so neither the keys nor the configuration of the person who
//! runs the tests has a part in it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use sealwright_crypto::age;
use sealwright_tests::harness::{programs, upstream};
use tempfile::TempDir;

#[path = "sops_cli/audit.rs"]
mod audit;
#[path = "sops_cli/canary.rs"]
mod canary;
#[path = "sops_cli/clients.rs"]
mod clients;
#[path = "sops_cli/differential.rs"]
mod differential;
#[path = "sops_cli/edit.rs"]
mod edit;
#[path = "sops_cli/examples.rs"]
mod examples;
#[path = "sops_cli/exec.rs"]
mod exec;
#[path = "sops_cli/exit_codes.rs"]
mod exit_codes;
#[path = "sops_cli/formats.rs"]
mod formats;
#[path = "sops_cli/functional.rs"]
mod functional;
#[path = "sops_cli/hostile.rs"]
mod hostile;
#[path = "sops_cli/key_reports.rs"]
mod key_reports;
#[path = "sops_cli/key_service.rs"]
mod key_service;
#[path = "sops_cli/kills.rs"]
mod kills;
#[path = "sops_cli/many_files.rs"]
mod many_files;
#[path = "sops_cli/markers.rs"]
mod markers;
#[path = "sops_cli/own_verbs.rs"]
mod own_verbs;
#[path = "sops_cli/pseudo_terminal.rs"]
mod pseudo_terminal;
#[path = "sops_cli/rules.rs"]
mod rules;
#[path = "sops_cli/sentences.rs"]
mod sentences;
#[path = "sops_cli/stdin_forms.rs"]
mod stdin_forms;

/// Whose program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// The real `sops`.
    Theirs,
    /// Our program, through a link named `sops`.
    Ours,
    /// Our program by its own name.
    Sealwright,
}

/// What a program did.
#[derive(Clone, Debug)]
struct Ran {
    code: i32,
    out: Vec<u8>,
    err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            // The codes of these programs; a death by signal is none of them.
            code: output.status.code().unwrap_or(-1),
            out: output.stdout,
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.out).expect("the output is text")
    }

    /// The output of a success.
    #[track_caller]
    fn good(self) -> String {
        assert_eq!(self.code, 0, "{}\n{}", self.err, self.show_out());
        String::from_utf8(self.out).expect("the output is text")
    }

    /// The standard error of a failure with that code.
    #[track_caller]
    fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}\n{}", self.err, self.show_out());
        self.err
    }

    fn show_out(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }
}

/// A folder to work in, a home beside it, keys, and the programs.
struct Desk {
    root: TempDir,
    /// The first two can be opened here, the third cannot.
    recipients: Vec<String>,
    identities: Vec<String>,
    variables: BTreeMap<String, String>,
}

impl Desk {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let keys: Vec<age::Generated> = (0..3).map(|_| age::generate()).collect();
        let desk = Self {
            recipients: keys.iter().map(|key| key.recipient.to_string()).collect(),
            identities: keys
                .iter()
                .map(|key| key.identity.expose().trim().to_owned())
                .collect(),
            variables: BTreeMap::new(),
            root,
        };
        for folder in ["home", "bin", "work", "tmp"] {
            fs::create_dir(desk.root.path().join(folder)).unwrap();
        }
        std::os::unix::fs::symlink(programs::sealwright(), desk.root.path().join("bin/sops"))
            .unwrap();
        let own = desk.identities[..2].join("\n");
        fs::write(desk.key_file(), own + "\n").unwrap();
        desk
    }

    /// A desk whose configuration names the first recipient for every file.
    fn with_rule() -> Self {
        let desk = Self::new();
        desk.rule("");
        desk
    }

    /// Writes a configuration with one rule for the first recipient and what else it says.
    fn rule(&self, more: &str) {
        let text = format!("creation_rules:\n  - age: {}\n{more}", self.recipients[0]);
        self.write(".sops.yaml", text);
    }

    fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    fn key_file(&self) -> PathBuf {
        self.root.path().join("home/keys.txt")
    }

    fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.work().join(name)
    }

    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.insert(name.to_owned(), value.into());
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8(self.bytes(name)).unwrap()
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn program(&self, whose: Whose) -> PathBuf {
        match whose {
            Whose::Theirs => upstream::sops(),
            Whose::Ours => self.root.path().join("bin/sops"),
            Whose::Sealwright => programs::sealwright(),
        }
    }

    /// A command in the working folder, with nothing of this process's environment.
    fn command(&self, whose: Whose) -> Command {
        let mut command = Command::new(self.program(whose));
        self.furnish(&mut command);
        command
    }

    fn furnish(&self, command: &mut Command) {
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .current_dir(self.work())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.home())
            .env("TMPDIR", self.root.path().join("tmp"))
            .env("SOPS_AGE_KEY_FILE", self.key_file())
            .envs(&self.variables);
    }

    fn run<I: AsRef<OsStr>>(&self, whose: Whose, words: impl IntoIterator<Item = I>) -> Ran {
        let mut command = self.command(whose);
        command.args(words);
        run(&mut command, b"")
    }

    fn ours<I: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = I>) -> Ran {
        self.run(Whose::Ours, words)
    }

    fn theirs<I: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = I>) -> Ran {
        self.run(Whose::Theirs, words)
    }

    fn sealwright<I: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = I>) -> Ran {
        self.run(Whose::Sealwright, words)
    }

    /// Lets the real program encrypt a text into a file.
    fn theirs_encrypts(&self, name: &str, text: impl AsRef<[u8]>, more: &[&str]) {
        self.write(name, text);
        let mut all = vec!["encrypt"];
        if !more.contains(&"--age") {
            all.extend(["--age", &self.recipients[0]]);
        }
        all.extend_from_slice(more);
        all.extend(["--in-place=true", name]);
        self.theirs(all).good();
    }

    /// Everything in the working folder, by path.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.work(), &self.work(), &mut files);
        files
    }
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_string_lossy();
            files.insert(name.into_owned(), fs::read(&path).unwrap_or_default());
        }
    }
}

/// Runs a command with that standard input, to its end.
fn run(command: &mut Command, input: &[u8]) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut pipe = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A program need not read it.
    let writer = std::thread::spawn(move || drop(pipe.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Ran::of(output)
}
