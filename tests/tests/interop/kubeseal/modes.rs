//! The flags and modes of `kubeseal` one by one, beside the real one.

use std::process::Output;

use serde_json::json;

use super::{BOTH, Bench, Program, SECRET, masked};

const ONE: &str = "kind: Secret\nmetadata: {name: demo, namespace: ns1}\nstringData: {foo: bar}\n";

fn told(output: &Output) -> (String, String, Option<i32>) {
    (
        String::from_utf8(output.stdout.clone()).unwrap(),
        String::from_utf8(output.stderr.clone()).unwrap(),
        output.status.code(),
    )
}

impl Bench {
    /// Both print the same, but for the sealed values.
    fn same(&self, args: &[&str], input: &str) -> String {
        let [theirs, ours] = BOTH.map(|program| masked(&self.ok(program, args, input)));
        assert_eq!(ours, theirs, "{args:?} {input}");
        ours
    }

    /// Both refuse, with the same first line.
    fn same_refusal(&self, args: &[&str], input: &str) {
        let [theirs, ours] = BOTH.map(|program| told(&self.run(program, args, input)));
        assert_eq!(
            (ours.2, theirs.2),
            (Some(1), Some(1)),
            "{args:?}: {ours:?} {theirs:?}"
        );
        assert_eq!(ours.1.lines().next(), theirs.1.lines().next(), "{args:?}");
    }
}

#[test]
fn k1_to_k21_flags_alter_what_is_sealed_as_in_upstream() {
    let bench = Bench::new();
    bench.write("in.yaml", ONE);
    let cert = ["--cert", "cert.pem"];
    let cases: &[&[&str]] = &[
        &[],
        &["-o", "YAML"],
        &["--format=json"],
        &["--format="],
        &["-f", "in.yaml", "-oyaml"],
        &["--name", "other", "-o", "yaml"],
        &["--scope", "", "-o", "yaml"],
        &["--scope=cluster-wide", "-n", "elsewhere", "-o", "yaml"],
        &["ignored", "-o", "yaml", "words"],
        &[
            "-n",
            "ns1",
            "--controller-name",
            "x",
            "--controller-namespace",
            "y",
        ],
        &["-v", "4", "--logtostderr", "-o", "yaml"],
    ];
    for case in cases {
        bench.same(&[&cert, *case].concat(), ONE);
    }
    let empty = "kind: Secret\nmetadata: {name: demo, namespace: ns1}\n";
    bench.same(
        &["--cert", "cert.pem", "--allow-empty-data", "-o", "yaml"],
        empty,
    );
    for (args, input) in [
        (&["--cert", "cert.pem"][..], empty),
        (
            &["--cert", "cert.pem"],
            "kind: Secret\nmetadata: {namespace: a}\nstringData: {a: b}\n",
        ),
        (&["--cert", "cert.pem", "-o", "xml"], ONE),
        (&["--cert", "cert.pem", "-n", "ns2"], ONE),
        (&["--cert", "cert.pem", "--from-file", "in.yaml"], ONE),
        (&["--cert", "cert.pem", "--raw", "-n", "a"], "x"),
        (
            &[
                "--cert",
                "cert.pem",
                "--raw",
                "-n",
                "a",
                "--name",
                "b",
                "--from-file",
                "cert.pem,key.pem",
            ],
            "",
        ),
        (
            &[
                "--cert",
                "cert.pem",
                "--raw",
                "--scope",
                "cluster-wide",
                "--from-file",
                "k=absent",
            ],
            "",
        ),
    ] {
        if args.contains(&"k=absent") {
            let codes = BOTH.map(|program| bench.run(program, args, input).status.code());
            assert_eq!(codes, [Some(1), Some(1)]);
        } else {
            bench.same_refusal(args, input);
        }
    }
}

#[test]
fn k20_k21_k44_help_and_version() {
    let bench = Bench::new();
    for args in [
        &["--version"][..],
        &[
            "--version",
            "--help",
            "--cert",
            "absent",
            "--raw",
            "--validate",
        ],
    ] {
        assert_eq!(
            bench.ok(Program::Ours, args, ""),
            "kubeseal version: 0.40.0\n"
        );
        assert!(
            bench
                .ok(Program::Theirs, args, "")
                .starts_with("kubeseal version: v0.40.0")
        );
    }
    let help = bench.ok(Program::Ours, &["--help"], "");
    let theirs = bench.run(Program::Theirs, &["--help"], "");
    let theirs = format!("{}{}", told(&theirs).0, told(&theirs).1);
    for word in theirs
        .split_whitespace()
        .filter(|word| word.starts_with("--") && !word.contains('*'))
    {
        let flag = word
            .trim_end_matches([',', '.', ')', '"', '\''])
            .split('=')
            .next()
            .unwrap();
        let logs = [
            "--log", "--skip", "--stderr", "--v", "--also", "--one", "--add", "--legacy",
        ];
        if !logs.iter().any(|log| flag.starts_with(log)) {
            assert!(
                help.contains(flag) || flag == "--rotate",
                "{flag} is in the help"
            );
        }
    }
}

#[test]
fn t3_k15_strict_does_not_take_marks_away() {
    let bench = Bench::new();
    for annotations in [
        json!({ "sealedsecrets.bitnami.com/cluster-wide": "true" }),
        json!({ "sealedsecrets.bitnami.com/namespace-wide": "true" }),
        json!({ "sealedsecrets.bitnami.com/namespace-wide": "true", "sealedsecrets.bitnami.com/cluster-wide": "true" }),
        json!({ "sealedsecrets.bitnami.com/cluster-wide": "TRUE" }),
    ] {
        let secret = json!({ "metadata": { "name": "a", "namespace": "b", "annotations": annotations }, "stringData": { "a": "b" } });
        for scope in ["", "strict", "namespace-wide", "cluster-wide"] {
            bench.same(
                &["--cert", "cert.pem", "-o", "yaml", "--scope", scope],
                &secret.to_string(),
            );
        }
    }
}

#[test]
fn k46_k47_output_files() {
    let bench = Bench::new();
    for name in ["a.yaml", "a.yml", "a.json", "a"] {
        let [theirs, ours] = BOTH.map(|program| {
            bench.ok(program, &["--cert", "cert.pem", "-w", name], ONE);
            masked(&bench.read(name))
        });
        assert_eq!(ours, theirs, "{name}");
    }
    // A mode that prints nothing leaves the file alone, where the reference empties it.
    let before = bench.read("a.yaml");
    let args = [
        "--cert",
        "cert.pem",
        "--merge-into",
        "a.yaml",
        "-w",
        "a.json",
    ];
    let kept = bench.read("a.json");
    bench.ok(
        Program::Ours,
        &args,
        "metadata: {name: x}\nstringData: {more: x}\n",
    );
    assert_eq!(bench.read("a.json"), kept, "K47");
    assert_ne!(bench.read("a.yaml"), before);
    let left = std::fs::read_dir(bench.path("")).unwrap().count();
    let failed = bench.run(
        Program::Ours,
        &["--cert", "cert.pem", "-w", "a.yaml", "-n", "no"],
        ONE,
    );
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(
        std::fs::read_dir(bench.path("")).unwrap().count(),
        left,
        "no temporary file stays"
    );
}

#[test]
fn k50_k53_k55_k57_streams_lists_and_kinds() {
    let bench = Bench::new();
    let args = ["--cert", "cert.pem", "-o", "yaml"];
    for input in [
        r#"{"metadata":{"name":"a","namespace":"b"},"stringData":{"x":"1"}}{"kind":"Secret","metadata":{"name":"c","namespace":"d"},"data":{"y":"MQ=="}}"#,
        r#"{"KIND":"Secret","MetaData":{"NAME":"a","nameSpace":"b"},"STRINGDATA":{"X":"1"},"unknown":{"a":1}}"#,
        "metadata: {name: a, namespace: b}\nstringData: {x: '1', x: '2'}\n",
        "---\n---\nmetadata: {name: a, namespace: b}\nstringData: {x: '1'}\n---\n# nothing\n---\n",
        "metadata: &m {name: a, namespace: b}\nstringData: {<<: {x: y}, z: '1'}\n",
        "metadata: {name: a, namespace: b}\ndata: {x: null, y: ''}\n",
        "metadata: {name: a, namespace: b}\nstringData:\n  x: |\n    a\n    b\n  y: >-\n    c\n    d\n",
        "metadata: {name: a, namespace: b}\r\nstringData: {x: y}\r\n",
        "\u{feff}metadata: {name: a, namespace: b}\nstringData: {x: y}\n",
        "{\"metadata\":{\"name\":\"a\",\"namespace\":\"b\"},\"stringData\":{\"x\":\"1\"}}\n---\n{\"metadata\":{\"name\":\"c\",\"namespace\":\"b\"},\"stringData\":{\"y\":\"1\"}}\n",
        "{\"metadata\":{\"name\":\"a\",\"namespace\":\"b\"},\"stringData\":{\"x\":\"1\"}}\n---\nmetadata: {name: c, namespace: d}\nstringData: {y: z}\n",
        "{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: b}, stringData: {x: y}}\n",
    ] {
        bench.same(&args, input);
    }
    // The reference seals it; a ConfigMap in the stream is a mistake here.
    let config_map = "kind: ConfigMap\nmetadata: {name: a, namespace: b}\ndata: {a: Zm9v}\n";
    assert_eq!(
        bench.run(Program::Ours, &args, config_map).status.code(),
        Some(1),
        "K50"
    );
    // The reference sees one Secret without data.
    let list = "kind: List\nitems:\n- {kind: Secret, metadata: {name: a, namespace: b}, stringData: {a: b}}\n- {kind: Secret, metadata: {name: c, namespace: b}, stringData: {a: b}}\n";
    assert_eq!(
        bench
            .ok(Program::Ours, &args, list)
            .matches("kind: SealedSecret")
            .count(),
        2,
        "K53"
    );
    let output = bench.run(
        Program::Ours,
        &args,
        &format!("{ONE}---\nmetadata: {{name: x}}\n"),
    );
    assert_eq!(
        (told(&output).0.as_str(), output.status.code()),
        ("", Some(1)),
        "K57: all or nothing"
    );
}

#[test]
fn k58_expired_and_foreign_certificates_are_refused() {
    let bench = Bench::new();
    let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)
        .unwrap();
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    parameters.not_before = rcgen::date_time_ymd(2001, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2002, 3, 4);
    bench.write("old.pem", &parameters.self_signed(&key).unwrap().pem());
    let [theirs, ours] = BOTH.map(|program| told(&bench.run(program, &["--cert", "old.pem"], ONE)));
    assert_eq!(ours.1.lines().next(), theirs.1.lines().next());
    assert_eq!((ours.2, theirs.2), (Some(1), Some(1)));
    let ec = rcgen::KeyPair::generate().unwrap();
    let ec = rcgen::CertificateParams::new(Vec::new())
        .unwrap()
        .self_signed(&ec)
        .unwrap();
    bench.write("ec.pem", &ec.pem());
    bench.write("empty.pem", "");
    for cert in ["ec.pem", "empty.pem", "key.pem"] {
        for program in BOTH {
            assert_ne!(
                bench.run(program, &["--cert", cert], ONE).status.code(),
                Some(0),
                "{program:?} {cert}"
            );
        }
    }
}

#[test]
fn k77_k78_k79_backups_in_all_forms_open() {
    let bench = Bench::new();
    let sealed = bench.ok(Program::Theirs, &["--cert", "cert.pem", "-o", "yaml"], ONE);
    let pem = bench.read("key.pem");
    let certificate = bench.read("cert.pem");
    let encoded = |text: &str| sealwright_crypto::sealing::base64::encode(text.as_bytes());
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "k" },
                         "data": { "tls.key": encoded(&pem), "tls.crt": encoded(&certificate) } });
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": [secret, secret] });
    let bare = json!({ "items": [secret] });
    let backups = [
        pem.clone(),
        format!("{certificate}{pem}"),
        secret.to_string(),
        format!("{secret}\n{secret}"),
        format!("---\n{}\n---\n{}\n", yaml(&secret), yaml(&secret)),
        list.to_string(),
        yaml(&list),
        bare.to_string(),
    ];
    for backup in &backups {
        bench.write("backup", backup);
        let args = [
            "--recovery-unseal",
            "--recovery-private-key",
            "backup",
            "--kubeconfig",
            "/absent",
        ];
        let opened = BOTH.map(|program| bench.ok(program, &args, &sealed));
        assert_eq!(opened[1], opened[0], "{backup}");
    }
    // What the reference reads as no key at all is an error that says so.
    let ec = rcgen::KeyPair::generate().unwrap().serialize_pem();
    for backup in [
        String::new(),
        ec,
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
            .to_owned(),
    ] {
        bench.write("backup", &backup);
        let args = ["--recovery-unseal", "--recovery-private-key", "backup"];
        let (_, errors, code) = told(&bench.run(Program::Ours, &args, &sealed));
        assert_eq!(code, Some(1));
        assert!(
            errors.starts_with("error: cannot use backup as a backup of private keys"),
            "{errors}"
        );
    }
    // A SecretList, and a Secret behind a List, which the reference refuses or overlooks.
    let other = json!({ "kind": "SecretList", "items": [secret] });
    for backup in [
        other.to_string(),
        format!(
            "{}\n---\n{}\n",
            yaml(&json!({ "kind": "List", "items": [] })),
            yaml(&secret)
        ),
    ] {
        bench.write("backup", &backup);
        bench.ok(
            Program::Ours,
            &["--recovery-unseal", "--recovery-private-key", "backup"],
            &sealed,
        );
    }
    let (_, errors, code) = told(&bench.run(Program::Ours, &["--recovery-unseal"], &sealed));
    assert_eq!(code, Some(1));
    assert!(
        errors.contains("no key could decrypt secret (foo)"),
        "I14: {errors}"
    );
}

/// JSON is YAML; a reader that looks for a brace takes it for YAML behind a comment.
fn yaml(value: &serde_json::Value) -> String {
    format!("# yaml\n{value}")
}

#[test]
fn k83_k84_t48_t49_t50_templates_are_rendered_offline_as_there() {
    let bench = Bench::new();
    let sealed = bench.ok(
        Program::Theirs,
        &["--cert", "cert.pem", "-o", "yaml"],
        SECRET.split("---\n").next().unwrap(),
    );
    for data in [
        "      url: 'x://{{ .foo }}@{{ .sibling }}'\n      sibling: '{{ .multi | quote }}'\n",
        "      foo: 'loses {{ .bin }}'\n",
        "      foo: null\n      all: '{{ toJson . }}'\n      self: '{{ .self }}'\n",
        "      gone: null\n      n: '{{ len . }}'\n      missing: '{{ .nothing }}{{ index . \"no\" }}'\n",
    ] {
        let with_data = sealed.replace("  template:\n", &format!("  template:\n    data:\n{data}"));
        for format in ["json", "yaml"] {
            let opened = BOTH.map(|program| bench.unseal(program, &with_data, format));
            assert_eq!(opened[1], opened[0], "{data}");
        }
    }
    let broken = sealed.replace(
        "  template:\n",
        "  template:\n    data:\n      foo: '{{ env \"HOME\" }}'\n",
    );
    let args = ["--recovery-unseal", "--recovery-private-key", "key.pem"];
    for program in BOTH {
        let (_, errors, code) = told(&bench.run(program, &args, &broken));
        assert_eq!(code, Some(1));
        assert!(
            errors.contains("template: foo:1: function \"env\" not defined (foo)"),
            "T50: {errors}"
        );
    }
    // Merging keeps a null, and the texts beside it.
    let file = sealed.replace(
        "  template:\n",
        "  template:\n    data:\n      foo: null\n      raw: '{{ .foo }}'\n",
    );
    bench.write("sealed.yaml", &file);
    bench.ok(
        Program::Ours,
        &["--cert", "cert.pem", "--merge-into", "sealed.yaml"],
        "metadata: {name: x}\nstringData: {more: x}\n",
    );
    assert!(
        bench
            .read("sealed.yaml")
            .contains("      foo: null\n      raw: '{{ .foo }}'\n"),
        "K83"
    );
}

#[test]
fn k74_k75_k76_merging_where_upstream_crashes_or_loses() {
    let bench = Bench::new();
    // No maps to merge into, several inputs, several documents: a crash, a loss and a loss there.
    bench.write(
        "sealed.yaml",
        "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: demo\n  namespace: ns1\nspec:\n  template: {}\n---\nkind: ConfigMap # kept\n",
    );
    let more = "metadata: {name: x, labels: {l: '1'}, annotations: {a: '2'}}\nstringData: {a: one}\n---\nmetadata: {name: y}\nstringData: {b: two}\n";
    bench.ok(
        Program::Ours,
        &["--cert", "cert.pem", "--merge-into", "sealed.yaml"],
        more,
    );
    let merged = bench.read("sealed.yaml");
    assert!(
        merged.ends_with("---\nkind: ConfigMap # kept\n"),
        "{merged}"
    );
    let first = merged.split("---\n").next().unwrap();
    let opened = bench.unseal(Program::Theirs, first, "yaml");
    for part in [
        "  a: b25l\n",
        "  b: dHdv\n",
        "    l: \"1\"\n",
        "    a: \"2\"\n",
    ] {
        assert!(opened.contains(part), "{part} in {opened}");
    }
    // JSON files stay JSON, and keep their layout.
    let json = bench.ok(Program::Theirs, &["--cert", "cert.pem"], ONE);
    bench.write("sealed.json", &json);
    bench.ok(
        Program::Ours,
        &["--cert", "cert.pem", "--merge-into", "sealed.json"],
        "metadata: {name: x}\nstringData: {added: x}\n",
    );
    let merged = bench.read("sealed.json");
    assert!(
        bench
            .unseal(Program::Theirs, &merged, "yaml")
            .contains("  added: eA==\n"),
        "{merged}"
    );
    // A document in braces is YAML all the same.
    bench.write(
        "braces.yaml",
        "{apiVersion: bitnami.com/v1alpha1, kind: SealedSecret, metadata: {name: demo, namespace: ns1}, spec: {encryptedData: {}, template: {}}}\n",
    );
    bench.ok(
        Program::Ours,
        &["--cert", "cert.pem", "--merge-into", "braces.yaml"],
        "metadata: {name: x}\nstringData: {added: x}\n",
    );
    // The reference opens it where it does not begin as JSON.
    let merged = format!("# YAML\n{}", bench.read("braces.yaml"));
    assert!(
        bench
            .unseal(Program::Theirs, &merged, "yaml")
            .contains("  added: eA==\n"),
        "{merged}"
    );
    bench.write("other.yaml", "kind: ConfigMap\napiVersion: v1\n");
    for program in BOTH {
        let args = ["--cert", "cert.pem", "--merge-into", "other.yaml"];
        assert_eq!(
            bench.run(program, &args, ONE).status.code(),
            Some(1),
            "{program:?}"
        );
    }
}

#[test]
fn k59_k74_a_merge_goes_by_the_namespace_of_the_file_and_of_the_flag() {
    let bench = Bench::new();
    let secret = "metadata: {name: demo, namespace: team, labels: {l: x}, annotations: {a: x}}\nstringData: {foo: bar}\n";
    let yaml = ["--cert", "cert.pem", "-o", "yaml"];
    let sealed = bench.ok(Program::Theirs, &yaml, secret);
    let is_kept = |line: &&str| !line.trim_start().starts_with("namespace: ");
    let bare: Vec<_> = sealed.lines().filter(is_kept).collect();
    let bare = bare.join("\n") + "\n";
    assert!(!bare.contains("team"), "{bare}");
    let more = "metadata: {name: x, namespace: else}\nstringData: {more: x}\n";
    let unplaced = "metadata: {name: x}\nstringData: {more: x}\n";
    for program in BOTH {
        let merge = |file: &str, namespace: &str, input: &str| {
            bench.write("merged.yaml", file);
            let args = [&yaml[..], &["--merge-into", "merged.yaml", "-n", namespace]].concat();
            let told = told(&bench.run(program, &args, input));
            (told, bench.read("merged.yaml"))
        };
        // A file without a namespace is merged into for that of the flag.
        let ((_, errors, code), merged) = merge(&bare, "team", unplaced);
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{program:?}");
        let placed = merged.replacen("  name: demo\n", "  name: demo\n  namespace: team\n", 1);
        let opened = bench.unseal(Program::Theirs, &placed, "yaml");
        assert!(opened.contains("  more: eA==\n"), "{program:?}: {opened}");
        // Of a file with one the input's does not count, and the flag has to agree.
        let ((_, errors, code), _) = merge(&sealed, "team", more);
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{program:?}");
        let ((_, errors, code), merged) = merge(&sealed, "prod", unplaced);
        assert_eq!(code, Some(1), "{program:?}");
        let words =
            "namespace mismatch: input secret is in namespace \"team\" but \"prod\" was specified";
        assert!(errors.contains(words), "{program:?}: {errors}");
        assert_eq!(merged, sealed, "{program:?}");
        // Without any, the flag is compared with the input's.
        let ((_, errors, code), merged) = merge(&bare, "team", more);
        assert_eq!(code, Some(1), "{program:?}");
        assert!(
            errors.contains("namespace \"else\" but \"team\""),
            "{program:?}: {errors}"
        );
        assert_eq!(merged, bare, "{program:?}");
    }
}

/// An object without a value in any field of a Secret is passed over; one with an empty map of data is a Secret.
#[test]
fn objects_that_say_nothing_are_no_secrets() {
    let bench = Bench::new();
    let real = "metadata: {name: a, namespace: b}\ndata: {x: eA==}\n";
    for input in [
        "x: 1\n",
        "{}\n",
        "kind: ''\n",
        "type: ''\n",
        "stringData: null\n",
        "metadata: {}\n",
        "metadata: {creationTimestamp: null}\n",
        "metadata: {labels: {}}\n",
        "metadata: {name: a}\n",
        "apiVersion: v1\n",
        "kind: Secret\n",
        "immutable: false\n",
        "data: {}\n",
        &format!("x: 1\n---\n{real}"),
        &format!("{real}---\n{{}}\n---\nnull\n"),
    ] {
        let [theirs, ours] = BOTH.map(|program| {
            let (out, errors, code) = told(&bench.run(program, &["--cert", "cert.pem"], input));
            (out.matches("\"SealedSecret\"").count(), errors, code)
        });
        assert_eq!(ours, theirs, "{input}");
    }
}
