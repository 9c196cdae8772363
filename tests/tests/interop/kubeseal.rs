//! `kubeseal` both ways, offline: what either program seals the other opens, and the output has the same shape.

#[path = "kubeseal/cluster.rs"]
mod cluster;
#[path = "kubeseal/door.rs"]
mod door;
#[path = "kubeseal/generated.rs"]
mod generated;
#[path = "kubeseal/modes.rs"]
mod modes;
#[path = "kubeseal/odd_input.rs"]
mod odd_input;
#[path = "kubeseal/terminal.rs"]
mod terminal;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use sealwright_tests::harness::{programs, upstream};

/// A folder with a key pair of the test, in which both programs run.
struct Bench {
    folder: tempfile::TempDir,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Program {
    Theirs,
    Ours,
}

impl Program {
    fn other(self) -> Self {
        if self == Program::Theirs {
            Program::Ours
        } else {
            Program::Theirs
        }
    }
}

const BOTH: [Program; 2] = [Program::Theirs, Program::Ours];

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key =
            rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)
                .unwrap();
        let certificate = rcgen::CertificateParams::new(Vec::new())
            .unwrap()
            .self_signed(&key)
            .unwrap();
        std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
        std::fs::write(folder.path().join("cert.pem"), certificate.pem()).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn run(&self, program: Program, args: &[&str], input: &str) -> Output {
        self.run_with(program, args, &[], input)
    }

    fn run_with(
        &self,
        program: Program,
        args: &[&str],
        env: &[(&str, &str)],
        input: &str,
    ) -> Output {
        let mut command = match program {
            Program::Theirs => Command::new(upstream::kubeseal()),
            Program::Ours => {
                let mut command = Command::new(programs::sealwright());
                command.arg("kubeseal");
                command
            }
        };
        command
            .args(args)
            .current_dir(&self.folder)
            .env_clear()
            .env("HOME", self.folder.path())
            .envs(env.iter().copied());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        let feeding = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let output = child.wait_with_output().unwrap();
        feeding.join().unwrap();
        output
    }

    /// Runs a command that must succeed, and quietly.
    fn ok(&self, program: Program, args: &[&str], input: &str) -> String {
        let output = self.run(program, args, input);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program:?} {args:?}: {errors}");
        assert_eq!(errors, "", "{program:?} {args:?} is quiet on success");
        String::from_utf8(output.stdout).unwrap()
    }

    fn unseal(&self, program: Program, sealed: &str, format: &str) -> String {
        self.ok(
            program,
            &[
                "--recovery-unseal",
                "--recovery-private-key",
                "key.pem",
                "-o",
                format,
            ],
            sealed,
        )
    }
}

/// Replaces every sealed value by a mark, so that two sealings can be compared.
fn masked(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let cut = ["\"AQ", " AQ"]
            .iter()
            .find_map(|mark| line.find(mark).map(|at| at + mark.len() - 2));
        match cut.filter(|at| line.len() - at > 200) {
            Some(at) => out.push_str(&format!(
                "{}SEALED{}",
                &line[..at],
                if line.ends_with(',') { "," } else { "" }
            )),
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

const SECRET: &str = r#"apiVersion: v1
kind: Secret
metadata:
  name: demo
  namespace: ns1
  labels: {a10: x, a2: "yes", B: "1.0", app: demo}
  annotations:
    long: word word word word word word word word word word word word word word word word word word word word word word
    quoted-long: "x: word word word word word word word word word word word word word word word word word word word"
    multi: "a\nb\n"
    no-final: "a\nb"
    two: "a\n\n"
    only: "\n"
    tab: "a\tb"
    tab-lines: "a\tb\nc"
    blank-end: "a \nb"
    html: <a>&"x"
    colon: "a: b"
    quote: it's
    lead: " a"
    date: "2020-01-01"
    time: "12:30:45"
    number: "1e3"
    octal: "010"
    hash: "a #b"
    dash: "- a"
    tilde: "~"
    json: '{"a": 1}'
    percent: "%a"
    wide: "ü\U0001F600"
    nothing: ""
    "y": "y"
    "1": one
type: Opaque
immutable: true
data: {bin: AAEC/w==}
stringData: {foo: bar, empty: "", multi: "x\ny\n"}
---
kind: Secret
metadata: {name: second, namespace: ns2, finalizers: [a/b], generateName: g}
stringData: {a: 0x1F, b: yes, c: 1.50}
"#;

#[test]
fn k61_k62_output_has_the_same_shape() {
    let bench = Bench::new();
    for format in ["json", "yaml"] {
        for scope in ["strict", "namespace-wide", "cluster-wide"] {
            let args = ["--cert", "cert.pem", "-o", format, "--scope", scope];
            let [theirs, ours] = BOTH.map(|program| masked(&bench.ok(program, &args, SECRET)));
            assert_eq!(ours, theirs, "{format} {scope}");
        }
    }
}

#[test]
fn k54_k84_either_opens_what_the_other_seals() {
    let bench = Bench::new();
    for sealer in BOTH {
        for scope in ["strict", "namespace-wide", "cluster-wide"] {
            for document in SECRET.split("---\n") {
                let args = ["--cert", "cert.pem", "-o", "yaml", "--scope", scope];
                let sealed = bench.ok(sealer, &args, document);
                for format in ["json", "yaml"] {
                    let opened = BOTH.map(|opener| bench.unseal(opener, &sealed, format));
                    assert_eq!(
                        opened[1], opened[0],
                        "sealed by {sealer:?}, {scope}, {format}"
                    );
                }
            }
        }
    }
}

#[test]
fn k71_raw_values() {
    let bench = Bench::new();
    bench.write("value", "v4lue\n");
    for program in BOTH {
        let args = [
            "--cert",
            "cert.pem",
            "--raw",
            "--name",
            "demo",
            "-n",
            "ns1",
            "--from-file",
            "value",
        ];
        let sealed = bench.ok(program, &args, "");
        assert!(!sealed.ends_with('\n'));
        let object = format!(
            "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {{name: demo, namespace: ns1}}\n\
             spec:\n  encryptedData: {{k: {sealed}}}\n"
        );
        let opened = bench.unseal(program.other(), &object, "yaml");
        assert!(
            opened.contains("  k: djRsdWUK\n"),
            "with its final newline: {opened}"
        );
    }
}

#[test]
fn k74_merging_keeps_the_file_as_it_is() {
    let bench = Bench::new();
    let sealed = bench.ok(
        Program::Theirs,
        &["--cert", "cert.pem", "-o", "yaml"],
        SECRET.split("---\n").next().unwrap(),
    );
    let file = format!("# kept\n{sealed}---\n# another document\nkind: ConfigMap\n");
    bench.write("sealed.yaml", &file);
    let more = "kind: Secret\nmetadata: {name: other, labels: {new: label}}\nstringData: {added: canary-a, foo: canary-f}\n";
    bench.ok(
        Program::Ours,
        &["--cert", "cert.pem", "--merge-into", "sealed.yaml"],
        more,
    );
    let merged = bench.read("sealed.yaml");
    let gone: Vec<_> = file
        .lines()
        .filter(|line| !merged.lines().any(|new| new == *line))
        .collect();
    assert_eq!(gone.len(), 1, "only the value of foo is another: {gone:?}");
    assert!(gone[0].starts_with("    foo: "));
    assert!(
        merged.starts_with("# kept\n---\n")
            && merged.ends_with("---\n# another document\nkind: ConfigMap\n")
    );
    let first = merged
        .split("\n---\n")
        .find(|document| document.contains("SealedSecret"))
        .unwrap();
    let opened = bench.unseal(Program::Theirs, first, "yaml");
    for expected in [
        "added: Y2FuYXJ5LWE=",
        "foo: Y2FuYXJ5LWY=",
        "bin: AAEC/w==",
        "new: label",
    ] {
        assert!(opened.contains(expected), "{expected} in {opened}");
    }
    let again = [
        "--cert",
        "cert.pem",
        "--merge-into",
        "sealed.yaml",
        "--scope",
        "cluster-wide",
    ];
    let refused = bench.run(Program::Ours, &again, more);
    assert_eq!(
        refused.status.code(),
        Some(1),
        "T38: values of another scope would never open"
    );
    assert_eq!(bench.read("sealed.yaml"), merged);
}

#[test]
fn k49_what_cannot_be_sealed_is_an_error_and_writes_nothing() {
    let bench = Bench::new();
    let good = SECRET.split("---\n").next().unwrap();
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "no data",
            "kind: Secret\nmetadata: {name: a, namespace: b}\n",
            &[],
        ),
        (
            "no name",
            "kind: Secret\nmetadata: {namespace: b}\nstringData: {a: canary}\n",
            &[],
        ),
        (
            "no namespace",
            "kind: Secret\nmetadata: {name: b}\nstringData: {a: canary}\n",
            &[],
        ),
        ("mismatch", good, &["-n", "other"]),
        (
            "base64",
            "metadata: {name: a, namespace: b}\ndata: {a: 'canary canary'}\n",
            &[],
        ),
        ("nothing", "", &[]),
        ("format", good, &["-o", "toml", "-w", "out.txt"]),
        (
            "broken in the middle",
            &format!("{good}---\nkind: Secret\n bad: [canary\n---\n{good}"),
            &[],
        ),
    ];
    for (what, input, more) in cases {
        bench.write("out.yaml", "old");
        let args = [&["--cert", "cert.pem", "-w", "out.yaml"], *more].concat();
        let output = bench.run(Program::Ours, &args, input);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{what}: {errors}");
        assert!(
            errors.starts_with("error: ") && !errors.contains("canary"),
            "{what}: {errors}"
        );
        assert_eq!(bench.read("out.yaml"), "old", "{what}");
        assert!(!bench.path("out.txt").exists(), "{what}");
        if *what != "broken in the middle" {
            assert_eq!(
                bench.run(Program::Theirs, &args, input).status.code(),
                Some(1),
                "{what}, the reference too"
            );
        }
    }
    for program in BOTH {
        assert_eq!(
            bench.run(program, &["--scope", "Strict"], "").status.code(),
            Some(2),
            "{program:?}"
        );
        assert_eq!(
            bench.run(program, &["--no-such"], "").status.code(),
            Some(2),
            "{program:?}"
        );
    }
}

#[test]
fn k46_the_output_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    let good = SECRET.split("---\n").next().unwrap();
    bench.ok(
        Program::Ours,
        &["--cert", "cert.pem", "-w", "out.yaml"],
        good,
    );
    assert!(
        bench.read("out.yaml").starts_with("---\n"),
        "the extension decides"
    );
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&bench.path("out.yaml")), 0o600);
}

#[test]
fn a_javascript_client_seals_and_we_unseal() {
    let bench = Bench::new();
    let mut client = Command::new(upstream::aes_gcm_rsa_oaep());
    client
        .args(["cert.pem", "strict", "ns1", "demo"])
        .current_dir(&bench.folder);
    let mut child = client
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(br#"{"k": "from javascript"}"#)
        .unwrap();
    let sealed = child.wait_with_output().unwrap();
    assert!(sealed.status.success());
    let opened = bench.unseal(
        Program::Ours,
        std::str::from_utf8(&sealed.stdout).unwrap(),
        "yaml",
    );
    assert!(opened.contains("  k: ZnJvbSBqYXZhc2NyaXB0\n"), "{opened}");
}
