//! A folder to work in, a home beside it, three age keys, and the program.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// Keys made for these tests, always the same so that transcripts are. The first two can be opened, the third cannot.
pub(crate) const KEYS: [(&str, &str); 3] = [
    (
        "age1xlfde4vg8lqd47wvyk2chvgw769vtr59rxrqmflu7tp3dzl284cq0cme47",
        "AGE-SECRET-KEY-1JLXQLTVM94FQ9J29V9QVHQZQC2NX7JSR2LAA7ECRL0HXVEM0YVCQ7JSSS9",
    ),
    (
        "age1twl7e9sz227hy5vpmgdagpx8e2ucxp9pyfd0c6ztk36sf69rvceq65htfd",
        "AGE-SECRET-KEY-1D29GC7J8F6FQNJX9KH2JV2VP0AX3YCLP5820TLQS3N4MKLVUPYYQZVZP7X",
    ),
    (
        "age1wmzfjjste6klq46pyl4d769ljzrxhnrp952maywq8ga6u2wfcu7qz9x8fp",
        "AGE-SECRET-KEY-1X0FTPFQNGC7ADRDNWG0GUHLTFGHVJTA8A77K8ZFSMAAJYVT5292SPTQHNZ",
    ),
];

/// A place to run the program in.
pub(crate) struct Desk {
    root: TempDir,
    variables: Vec<(String, String)>,
    /// Whether the person has keys already.
    has_keys: bool,
}

/// What a run did.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The standard output of a success.
    #[track_caller]
    pub(crate) fn good(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.err, self.out);
        self.out
    }

    /// The standard error of a failure with that code.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}{}", self.err, self.out);
        self.err
    }
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    /// A desk with a rule, all of it in memory, as private folders want to be.
    pub(crate) fn in_memory() -> Self {
        let mut desk = Self::at(tempfile::tempdir_in("/dev/shm").unwrap());
        let run = desk.root().join("run");
        desk.set("XDG_RUNTIME_DIR", run.to_str().unwrap());
        desk.rule(&[0], "");
        desk
    }

    fn at(root: TempDir) -> Self {
        let desk = Self {
            root,
            variables: Vec::new(),
            has_keys: true,
        };
        for folder in ["home", "work", "tmp", "run"] {
            fs::create_dir(desk.root.path().join(folder)).unwrap();
        }
        fs::set_permissions(
            desk.root.path().join("run"),
            std::os::unix::fs::PermissionsExt::from_mode(0o700),
        )
        .unwrap();
        let own = format!("{}\n{}\n", KEYS[0].1, KEYS[1].1);
        fs::write(desk.root.path().join("home/keys.txt"), own).unwrap();
        desk
    }

    /// The desk of someone who has no key yet, with Git, and with the program in the path.
    pub(crate) fn fresh() -> Self {
        let mut desk = Self::new();
        desk.has_keys = false;
        fs::remove_file(desk.home().join("keys.txt")).unwrap();
        let folder = Path::new(program()).parent().unwrap().to_str().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        desk.set("PATH", &format!("{folder}:{path}"));
        for role in ["AUTHOR", "COMMITTER"] {
            desk.set(&format!("GIT_{role}_NAME"), "alice");
            desk.set(&format!("GIT_{role}_EMAIL"), "alice@example.com");
        }
        desk.git(&["init", "--quiet", "--initial-branch=main"]);
        desk
    }

    /// Runs Git in the working folder, and gives what it prints.
    #[track_caller]
    pub(crate) fn git(&self, words: &[&str]) -> String {
        let mut command = Command::new("git");
        self.furnish(&mut command);
        command.args(words);
        run(command, b"").good()
    }

    /// A desk whose configuration names the first key for every file.
    pub(crate) fn with_rule() -> Self {
        let desk = Self::new();
        desk.rule(&[0], "");
        desk
    }

    /// Writes a configuration with one rule for these keys and what else it says.
    pub(crate) fn rule(&self, keys: &[usize], more: &str) {
        let keys: Vec<&str> = keys.iter().map(|key| KEYS[*key].0).collect();
        let text = format!("creation_rules:\n  - age: {}\n{more}", keys.join(","));
        self.write(".sops.yaml", text);
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("work").join(name)
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Writes a file and encrypts it with the program.
    pub(crate) fn encrypted(&self, name: &str, content: &str) {
        self.write(name, content);
        self.run(["encrypt", "-i", name]).good();
    }

    /// A command in the working folder, with nothing of this process's environment.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(program());
        self.furnish(&mut command);
        command
    }

    pub(crate) fn furnish(&self, command: &mut Command) {
        command
            .current_dir(self.root.path().join("work"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .env("TMPDIR", self.root.path().join("tmp"))
            .envs(
                self.has_keys
                    .then(|| ("SOPS_AGE_KEY_FILE", self.home().join("keys.txt"))),
            )
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
    }

    pub(crate) fn run<I: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = I>) -> Ran {
        self.run_with(words, b"")
    }

    /// Runs the program with that standard input.
    pub(crate) fn run_with<I: AsRef<OsStr>>(
        &self,
        words: impl IntoIterator<Item = I>,
        input: &[u8],
    ) -> Ran {
        let mut command = self.command();
        command.args(words);
        run(command, input)
    }

    /// Runs the program and writes down what a person would see, with what differs from run to run replaced.
    pub(crate) fn transcript(&self, words: &[&str]) -> String {
        self.transcript_with(words, "")
    }

    /// The same with a standard input.
    pub(crate) fn transcript_with(&self, words: &[&str], input: &str) -> String {
        let ran = self.run_with(words, input.as_bytes());
        let mut text = format!("$ sealwright {}\n", words.join(" "));
        text.push_str(&ran.out);
        if !ran.out.is_empty() && !ran.out.ends_with('\n') {
            text.push_str("[no line break]\n");
        }
        for line in ran.err.lines() {
            writeln!(text, "! {line}").unwrap();
        }
        if ran.code != 0 {
            writeln!(text, "[exit {}]", ran.code).unwrap();
        }
        self.settled(&text)
    }

    /// Replaces what differs from run to run: the folder, keys by the names of people, times, ciphertexts.
    pub(crate) fn settled(&self, text: &str) -> String {
        let root = self.root.path().canonicalize().unwrap();
        let mut text = text.replace(root.to_str().unwrap(), "[ROOT]");
        for (key, name) in KEYS.iter().zip(["ALICE", "BOB", "EVE"]) {
            text = text.replace(key.0, &format!("age1[{name}]"));
        }
        let mut lines: Vec<String> = text.lines().map(without_times).collect();
        for line in &mut lines {
            while let Some(start) = line.find("ENC[AES256_GCM")
                && let Some(end) = line[start..].find(']')
            {
                line.replace_range(start..=start + end, "[CIPHERTEXT]");
            }
        }
        let mut text = lines.join("\n");
        text.push('\n');
        text
    }
}

/// Runs a command to its end.
pub(crate) fn run(mut command: Command, input: &[u8]) -> Ran {
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
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Ran {
        code: status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&stdout).into_owned(),
        err: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

/// The program under test.
pub(crate) fn program() -> &'static str {
    env!("CARGO_BIN_EXE_sealwright")
}

/// Replaces times such as `2026-01-02T03:04:05Z`.
fn without_times(line: &str) -> String {
    const SHAPE: &str = "0000-00-00T00:00:00Z";
    let fits = |part: &str| {
        part.bytes()
            .zip(SHAPE.bytes())
            .all(|(byte, shape)| match shape {
                b'0' => byte.is_ascii_digit(),
                shape => byte == shape,
            })
    };
    let mut line = line.to_owned();
    let mut at = 0;
    while at + SHAPE.len() <= line.len() {
        if line.is_char_boundary(at)
            && line.is_char_boundary(at + SHAPE.len())
            && fits(&line[at..at + SHAPE.len()])
        {
            line.replace_range(at..at + SHAPE.len(), "[TIME]");
        }
        at += 1;
    }
    line
}
