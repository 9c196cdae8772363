//! What must not be shown is not.

use std::path::{Path, PathBuf};

use super::Bench;

/// Plaintext and private keys stand in no output but that of unsealing, in no message and in no file that stays.
#[test]
fn canaries_show_up_nowhere() {
    let bench = Bench::new();
    let key = bench.read("old.key");
    let key_line = key.lines().nth(3).unwrap().to_owned();
    let canaries = [
        "c4n4ry",
        "YzRuNHJ5",
        "M0bjRyeS",
        "NG40cnkt",
        key_line.as_str(),
    ];
    bench.write(
        "broken.yaml",
        "kind: Secret\nmetadata: {name: c4n4ry, namespace: [}\nstringData: {a: c4n4ry}\n",
    );
    bench.write(
        "base64.yaml",
        "kind: Secret\nmetadata: {name: a, namespace: b}\ndata: {a: 'c4n4ry c4n4ry'}\n",
    );
    bench.write("typed.yaml", "kind: Secret\nmetadata: {name: a, namespace: b}\nimmutable: c4n4ry\nstringData: {a: {b: c4n4ry}}\n");
    bench.write(
        "huge.yaml",
        &format!(
            "kind: Secret\nmetadata: {{name: a}}\nstringData: {{a: \"{}",
            "c4n4ry".repeat(5000)
        ),
    );
    bench.write("broken.key", &key.replace("END RSA", "END"));
    bench.write("secret.key", &format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: k}}\nstringData: {{tls.key: '{key_line}'}}\n"));
    bench.ok(&[
        "seal",
        "secret.yaml",
        "--cert",
        "old.crt",
        "--out",
        "sealed.yaml",
    ]);
    bench.write("template.yaml", &bench.read("sealed.yaml").replace("  template:\n", "  template:\n    data:\n      x: '{{ fail .one }}{{ atoi .two }}'\n      y: '{{ mustRegexMatch .one `x` }}{{ .one.two }}'\n"));
    let inputs: Vec<PathBuf> = files(bench.folder.path());
    let runs: &[&[&str]] = &[
        &["seal", "secret.yaml", "--cert", "old.crt"],
        &[
            "--verbose",
            "seal",
            "secret.yaml",
            "--cert",
            "old.crt",
            "--format",
            "json",
        ],
        &[
            "seal",
            "secret.yaml",
            "--cert",
            "old.crt",
            "--out",
            "sealed.yaml",
            "--key",
            "old.key",
        ],
        &[
            "seal",
            "secret.yaml",
            "--cert",
            "old.crt",
            "--merge-into",
            "sealed.yaml",
        ],
        &[
            "seal",
            "secret.yaml",
            "--cert",
            "old.crt",
            "--raw",
            "--name",
            "a",
            "-n",
            "b",
        ],
        &["seal", "secret.yaml", "--cert", "old.key"],
        &["seal", "secret.yaml", "--cert", "absent"],
        &[
            "seal",
            "secret.yaml",
            "--cert",
            "old.crt",
            "--out",
            "absent/x.yaml",
        ],
        &["seal", "secret.yaml", "--cert", "old.crt", "-n", "other"],
        &["seal", "broken.yaml", "--cert", "old.crt"],
        &["seal", "base64.yaml", "--cert", "old.crt"],
        &["seal", "typed.yaml", "--cert", "old.crt"],
        &["seal", "huge.yaml", "--cert", "old.crt"],
        &["seal", "old.key", "--cert", "old.crt"],
        &["unseal", "--key", "broken.key", "sealed.yaml"],
        &["unseal", "--key", "secret.key", "sealed.yaml"],
        &["unseal", "--key", "secret.yaml", "sealed.yaml"],
        &["unseal", "--key", "new.key", "sealed.yaml"],
        &["unseal", "--key", "old.key", "template.yaml"],
        &["unseal", "--key", "old.key", "secret.yaml"],
        &["unseal", "--key", "old.key", "old.key"],
        &[
            "reseal",
            "--key",
            "old.key",
            "--cert",
            "new.crt",
            "--dry-run",
            "sealed.yaml",
        ],
        &[
            "reseal",
            "--key",
            "old.key",
            "--cert",
            "new.crt",
            "--output",
            "json",
            "sealed.yaml",
        ],
        &[
            "reseal",
            "--key",
            "old.key",
            "--cert",
            "old.crt",
            "secret.yaml",
            "broken.yaml",
            "old.key",
        ],
        &["cert", "--cert", "old.key"],
        &["validate", "secret.yaml"],
        &["sealing-key", "--key", "old.key", "--cert", "y.crt"],
        &[
            "kubeseal",
            "--cert",
            "old.crt",
            "-f",
            "secret.yaml",
            "-w",
            "kubeseal.yaml",
            "-v",
            "9",
        ],
        &["kubeseal", "--cert", "old.crt", "-f", "typed.yaml"],
        &[
            "kubeseal",
            "--cert",
            "old.crt",
            "-f",
            "secret.yaml",
            "--merge-into",
            "secret.yaml",
        ],
        &[
            "kubeseal",
            "--recovery-unseal",
            "--recovery-private-key",
            "broken.key",
            "-f",
            "sealed.yaml",
        ],
        &[
            "kubeseal",
            "--recovery-unseal",
            "--recovery-private-key",
            "old.key",
            "-f",
            "template.yaml",
        ],
        &[
            "kubeseal",
            "--cert",
            "old.crt",
            "--raw",
            "--from-file",
            "secret.yaml",
            "--name",
            "a",
            "-n",
            "b",
        ],
    ];
    for args in runs {
        let output = bench.run(args);
        for stream in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(stream);
            for canary in canaries {
                assert!(
                    !text.contains(canary),
                    "{canary} in what {args:?} says: {text}"
                );
            }
        }
        for file in files(bench.folder.path()) {
            let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
            let is_new = !inputs.contains(&file) || file.ends_with("sealed.yaml");
            for canary in canaries.iter().filter(|_| is_new) {
                assert!(
                    !text.contains(canary),
                    "{canary} in {} after {args:?}",
                    file.display()
                );
            }
        }
        assert_eq!(
            std::fs::read_dir(bench.path("tmp")).unwrap().count(),
            0,
            "{args:?}"
        );
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
