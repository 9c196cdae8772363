//! The verbs of sealing, without a cluster: what changes, what stays, what is told, and that secrets are told nowhere.

#[path = "sealing/canaries.rs"]
mod canaries;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use sealwright_tests::harness::programs;

/// Two sealing keys, an old one and a new one, in a folder of their own.
struct Bench {
    folder: tempfile::TempDir,
}

const SECRET: &str = "kind: Secret\nmetadata: {name: demo, namespace: ns1}\nstringData: {one: c4n4ry-1, two: c4n4ry-2}\n";

impl Bench {
    fn new() -> Self {
        static KEYS: OnceLock<Vec<(&str, Vec<u8>)>> = OnceLock::new();
        let folder = tempfile::tempdir().unwrap();
        let bench = Self { folder };
        std::fs::create_dir(bench.path("tmp")).unwrap();
        let keys = KEYS.get_or_init(|| {
            bench.ok(&[
                "sealing-key",
                "--bits",
                "2048",
                "--key",
                "old.key",
                "--cert",
                "old.crt",
            ]);
            bench.ok(&[
                "sealing-key",
                "--bits",
                "2048",
                "--key",
                "new.key",
                "--cert",
                "new.crt",
            ]);
            ["old.key", "old.crt", "new.key", "new.crt"]
                .map(|name| (name, std::fs::read(bench.path(name)).unwrap()))
                .into()
        });
        for (name, bytes) in keys {
            std::fs::write(bench.path(name), bytes).unwrap();
        }
        bench.write("secret.yaml", SECRET);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(programs::sealwright());
        command
            .args(args)
            .current_dir(&self.folder)
            .env_clear()
            .env("HOME", self.folder.path())
            .env("TMPDIR", self.path("tmp"))
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "full")
            .stdin(Stdio::null());
        command.output().unwrap()
    }

    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {errors}");
        // Verbs over folders end with one line of totals.
        let is_total = |line: &str| line.contains("reseal");
        assert!(errors.lines().all(is_total), "{args:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn code(&self, args: &[&str]) -> i32 {
        self.run(args).status.code().unwrap()
    }
}

#[test]
fn sealed_values_that_did_not_change_keep_their_text() {
    let bench = Bench::new();
    let seal = [
        "seal",
        "secret.yaml",
        "--cert",
        "old.crt",
        "--out",
        "sealed.yaml",
    ];
    bench.ok(&seal);
    let first = bench.read("sealed.yaml");
    let keyed = [&seal[..], &["--key", "old.key"]].concat();
    let modified = || {
        std::fs::metadata(bench.path("sealed.yaml"))
            .unwrap()
            .modified()
            .unwrap()
    };
    let before = modified();
    bench.ok(&keyed);
    assert_eq!(
        (bench.read("sealed.yaml"), modified()),
        (first.clone(), before),
        "nothing changed, nothing is written"
    );

    bench.write("secret.yaml", &SECRET.replace("c4n4ry-2", "another"));
    bench.ok(&keyed);
    let second = bench.read("sealed.yaml");
    let changed: Vec<_> = first
        .lines()
        .zip(second.lines())
        .filter(|(a, b)| a != b)
        .collect();
    assert_eq!(changed.len(), 1);
    assert!(changed[0].1.starts_with("    two: "));

    let output = bench.run(&seal);
    assert!(output.status.success());
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("without a private key (--key), unchanged values cannot be recognised")
    );
    assert_ne!(bench.read("sealed.yaml"), second);
    // A certificate of another key: the old texts would be of no use to its controller.
    let other = [
        "seal",
        "secret.yaml",
        "--cert",
        "new.crt",
        "--out",
        "sealed.yaml",
        "--key",
        "old.key",
    ];
    bench.ok(&other);
    assert!(
        bench
            .ok(&["unseal", "--key", "new.key", "sealed.yaml"])
            .contains("two: YW5vdGhlcg==")
    );
}

#[test]
fn a_tree_is_resealed_where_it_stands_and_only_what_needs_it() {
    let bench = Bench::new();
    let old = bench.ok(&["seal", "secret.yaml", "--cert", "old.crt"]);
    let new = bench.ok(&["seal", "secret.yaml", "--cert", "new.crt"]);
    let json = bench.ok(&[
        "seal",
        "secret.yaml",
        "--cert",
        "old.crt",
        "--format",
        "json",
    ]);
    let mixed = format!(
        "# head\n{}---\n# beside\nkind:   ConfigMap\ndata: {{q: 'SealedSecret'}}\n",
        old.replace("spec:", "spec: # kept")
    );
    bench.write("tree/a/mixed.yaml", &mixed);
    bench.write("tree/current.yaml", &new);
    bench.write(
        "tree/list.json",
        &format!("{{\"kind\": \"List\",\n   \"items\": [{json}, {{\"kind\": \"ConfigMap\"}}]}}\n"),
    );
    bench.write("tree/values.yaml", "text: about SealedSecret\n");
    bench.write(
        "tree/helm.yaml",
        "{{ if .Values.x }}\na: SealedSecret\n{{ end }}\n",
    );
    bench.write("tree/.git/ignored.yaml", &old);
    std::fs::write(
        bench.path("both.key"),
        bench.read("old.key") + &bench.read("new.key"),
    )
    .unwrap();
    let reseal = ["reseal", "--key", "both.key", "--cert", "new.crt"];
    let check = [&reseal[..], &["--check", "tree"]].concat();

    assert_eq!(bench.code(&check), 1, "something would change");
    assert_eq!(
        bench.code(&[&reseal[..], &["--dry-run", "tree"]].concat()),
        0
    );
    assert_eq!(bench.read("tree/a/mixed.yaml"), mixed, "neither writes");
    let told = bench.ok(&[&reseal[..], &["tree"]].concat());
    assert_eq!(told.matches(": resealed\n").count(), 2, "{told}");
    assert_eq!(bench.code(&check), 0, "and then nothing would");
    assert_eq!(bench.read("tree/current.yaml"), new);
    assert_eq!(bench.read("tree/.git/ignored.yaml"), old);

    let resealed = bench.read("tree/a/mixed.yaml");
    assert_eq!(resealed.lines().count(), mixed.lines().count());
    for (before, after) in mixed.lines().zip(resealed.lines()) {
        assert_eq!(
            before == after,
            !before.contains(": Ag") && !before.contains(": AQ"),
            "{before}"
        );
    }
    let first = resealed.split("---\n").nth(1).unwrap();
    bench.write("first.yaml", first);
    assert!(
        bench
            .ok(&["unseal", "--key", "new.key", "first.yaml"])
            .contains("one: YzRuNHJ5LTE=")
    );

    let all = [&reseal[..], &["--all", "tree/current.yaml"]].concat();
    bench.ok(&all);
    assert_ne!(bench.read("tree/current.yaml"), new, "--all means all");
    // A file that cannot be opened or read is told, and the others are done.
    bench.write("bad/unreadable.yaml", "kind: SealedSecret\nspec: [\n");
    bench.write("bad/good.yaml", &old);
    let output = bench.run(&[&reseal[..], &["bad"]].concat());
    assert!(!output.status.success());
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("bad/unreadable.yaml")
    );
    assert_ne!(bench.read("bad/good.yaml"), old);
    let json = bench.ok(&[&reseal[..], &["--check", "--output", "json", "tree"]].concat());
    assert!(json.contains("\"outdated\":0"), "{json}");
}

/// Quotes, and the blocks that people wrap long values in.
#[test]
fn resealed_values_stand_as_they_stood() {
    let bench = Bench::new();
    let sealed = bench.ok(&["seal", "secret.yaml", "--cert", "old.crt"]);
    for (before, behind) in [
        ("'", "'"),
        ("\"", "\" # note"),
        ("|-\n        ", ""),
        (">-  # note\n      ", ""),
        ("|\n      ", ""),
        ("|2\n      ", ""),
        ("!!str ", ""),
    ] {
        // The value called `one` in this form, the other as it is.
        let of_one = |text: &str| {
            let (head, rest) = text.split_once("    one: ").unwrap();
            let (value, tail) = rest.split_once('\n').unwrap();
            format!("{head}    one: {before}{value}{behind}\n{tail}")
        };
        let text = of_one(&sealed);
        bench.write("a.yaml", &text);
        bench.ok(&[
            "reseal", "--all", "--key", "old.key", "--cert", "old.crt", "a.yaml",
        ]);
        let resealed = bench.read("a.yaml");
        let shape = |text: &str| -> Vec<String> {
            let is_base64 = |word: &str| word.len() > 300;
            let words = text.split_inclusive([' ', '\n', '\'', '"']);
            words
                .map(|word| match is_base64(word) {
                    true => "VALUE".to_owned() + &word[word.len() - 1..],
                    false => word.to_owned(),
                })
                .collect()
        };
        assert_ne!(resealed, text);
        if before == "!!str " {
            assert!(!resealed.contains("!!str"), "a tag goes: {resealed}");
        } else {
            assert_eq!(shape(&resealed), shape(&text), "{resealed}");
        }
        let opened = bench.ok(&["unseal", "--key", "old.key", "a.yaml"]);
        assert!(opened.contains("one: YzRuNHJ5LTE="), "{opened}");
        assert!(opened.contains("two: YzRuNHJ5LTI="), "{opened}");
    }
}

#[test]
fn p17_p19_unsealing_and_certificates_without_a_cluster() {
    let bench = Bench::new();
    bench.ok(&[
        "seal",
        "secret.yaml",
        "--cert",
        "old.crt",
        "--out",
        "sealed.yaml",
    ]);
    let opened = bench.ok(&[
        "unseal",
        "--key",
        "new.key",
        "--key",
        "old.key",
        "--format",
        "json",
        "sealed.yaml",
    ]);
    let opened: serde_json::Value = serde_json::from_str(&opened).unwrap();
    assert_eq!(opened["data"]["one"], "YzRuNHJ5LTE=");
    assert_eq!(
        bench.code(&["unseal", "--key", "new.key", "sealed.yaml"]),
        1
    );
    assert_eq!(
        bench.ok(&["cert", "--cert", "old.crt"]),
        bench.read("old.crt")
    );
    let told: serde_json::Value =
        serde_json::from_str(&bench.ok(&["cert", "--cert", "old.crt", "--output", "json"]))
            .unwrap();
    assert!(told["fingerprint"].as_str().unwrap().starts_with("SHA256:"));
    assert_eq!(
        (told["bits"].as_u64(), told["expired"].as_bool()),
        (Some(2048), Some(false))
    );
    let key = bench.read("old.key");
    assert_ne!(
        bench.code(&["sealing-key", "--key", "old.key", "--cert", "x.crt"]),
        0,
        "a key is never overwritten"
    );
    assert_eq!(bench.read("old.key"), key);
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(bench.path("old.key"))
        .unwrap()
        .permissions()
        .mode();
    let fresh = [
        "sealing-key",
        "--bits",
        "2048",
        "--key",
        "fresh.key",
        "--cert",
        "fresh.crt",
    ];
    bench.ok(&fresh);
    let fresh = std::fs::metadata(bench.path("fresh.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(fresh & 0o777, 0o600, "{mode:o}");
}

/// The guide's commands, run as they stand there, one after the other.
#[test]
fn the_commands_of_the_guide_work() {
    let folder = tempfile::tempdir().unwrap();
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/sealing.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let blocks: Vec<&str> = guide
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(blocks.len() > 4, "the guide has examples");
    std::fs::create_dir(folder.path().join("bin")).unwrap();
    for name in ["sealwright", "kubeseal"] {
        std::os::unix::fs::symlink(programs::sealwright(), folder.path().join("bin").join(name))
            .unwrap();
    }
    let output = Command::new("sh")
        .args(["-euc", &blocks.concat()])
        .current_dir(&folder)
        .env_clear()
        .env("HOME", folder.path())
        .env(
            "PATH",
            format!("{}:/usr/bin:/bin", folder.path().join("bin").display()),
        )
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{errors}");
    assert!(
        errors.lines().all(|line| line.contains("reseal")),
        "{errors}"
    );
    assert!(told.ends_with("nothing to reseal\n"), "{told}");
}

#[test]
fn a_dry_run_of_seal_tells_and_writes_nothing() {
    let bench = Bench::new();
    let to = |more: &[&'static str]| [&["seal", "secret.yaml", "--cert", "old.crt"], more].concat();
    let told = bench.ok(&to(&["--out", "sealed.yaml", "--dry-run"]));
    assert_eq!(told, "sealed.yaml: would be sealed\n");
    assert!(!bench.path("sealed.yaml").exists());
    assert_eq!(bench.ok(&to(&["--out", "sealed.yaml"])), "");
    let sealed = bench.read("sealed.yaml");

    let merge = to(&["--merge-into", "sealed.yaml", "--dry-run"]);
    assert_eq!(bench.ok(&merge), "sealed.yaml: would be sealed\n");
    // With a key at hand it can tell that nothing would change.
    let key = ["--out", "sealed.yaml", "--key", "old.key", "--dry-run"];
    assert_eq!(bench.ok(&to(&key)), "");
    let key = [&key[..], &["--output", "json"]].concat();
    let report: serde_json::Value = serde_json::from_str(&bench.ok(&to(&key))).unwrap();
    assert_eq!(report["files"][0]["status"], "unchanged", "{report}");
    assert_eq!(bench.read("sealed.yaml"), sealed);
}

#[test]
fn manifests_are_json_where_json_is_asked_for() {
    let bench = Bench::new();
    let json = |args: &[&str]| -> serde_json::Value {
        serde_json::from_str(&bench.ok(args)).unwrap_or_else(|error| panic!("{args:?}: {error}"))
    };
    let seal = ["seal", "secret.yaml", "--cert", "old.crt"];
    let sealed = json(&[&seal[..], &["--output", "json"]].concat());
    assert_eq!(sealed["kind"], "SealedSecret");
    bench.write("sealed.json", &sealed.to_string());
    let unseal = ["unseal", "--key", "old.key", "sealed.json"];
    let opened = json(&[&unseal[..], &["--output", "json"]].concat());
    assert_eq!(opened["kind"], "Secret");
    // What is said of the form itself counts more.
    let yaml = bench.ok(&[&unseal[..], &["--output", "json", "--format", "yaml"]].concat());
    assert!(yaml.starts_with("---\napiVersion: v1\n"), "{yaml}");
    assert!(bench.ok(&unseal).starts_with("---\n"));
}

#[test]
fn what_needs_a_cluster_and_has_none_says_what_to_do() {
    let bench = Bench::new();
    for args in [
        &["cert"][..],
        &["seal", "secret.yaml"],
        &[
            "seal",
            "--raw",
            "--name",
            "a",
            "--cert",
            "old.crt",
            "secret.yaml",
        ],
    ] {
        let output = bench.run(args);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(
            errors.contains("hint: no kubeconfig leads to a cluster"),
            "{errors}"
        );
    }
    let output = bench.run(&["cert", "--kubeconfig", "absent"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        errors,
        "cannot use the kubeconfig: absent: no such file or directory\n"
    );
}
