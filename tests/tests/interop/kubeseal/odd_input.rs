//! What clusters, editors and years have left in manifests, beside the real program.

use serde_json::json;

use super::{BOTH, Bench, Program, masked};

#[test]
fn t17_the_null_timestamps_of_old_files_are_read_and_not_written() {
    let bench = Bench::new();
    let secret = "apiVersion: v1\nkind: Secret\nmetadata:\n  creationTimestamp: null\n  name: old\n  namespace: ns1\nstringData:\n  foo: bar\n";
    for format in ["json", "yaml"] {
        let args = ["--cert", "cert.pem", "-o", format];
        let [theirs, ours] = BOTH.map(|program| masked(&bench.ok(program, &args, secret)));
        assert_eq!(ours, theirs);
        assert!(!ours.contains("creationTimestamp"), "{ours}");
    }
    // As kubeseal wrote them until the client libraries 0.34: three nulls, and an empty status.
    let sealed = bench.ok(
        Program::Theirs,
        &["--cert", "cert.pem", "-o", "yaml"],
        secret,
    );
    let old = sealed
        .replace("metadata:\n", "metadata:\n  creationTimestamp: null\n")
        .replace(
            "    metadata:\n  creationTimestamp: null\n",
            "    metadata:\n      creationTimestamp: null\n",
        );
    let old = format!("{old}status: {{}}\n");
    assert_eq!(old.matches("creationTimestamp: null").count(), 2, "{old}");
    for format in ["json", "yaml"] {
        let opened = BOTH.map(|program| bench.unseal(program, &old, format));
        assert_eq!(opened[1], opened[0]);
    }
    // Merging leaves the file's own lines alone.
    bench.write("old.yaml", &old);
    let more = "metadata: {name: old, namespace: ns1}\nstringData: {more: x}\n";
    bench.ok(
        Program::Ours,
        &["--cert", "cert.pem", "--merge-into", "old.yaml"],
        more,
    );
    let merged = bench.read("old.yaml");
    for line in old.lines() {
        assert!(
            merged.lines().any(|kept| kept == line),
            "{line} is gone: {merged}"
        );
    }
    assert!(
        bench
            .unseal(Program::Theirs, &merged, "yaml")
            .contains("  more: eA==\n")
    );
}

#[test]
fn t18_what_the_api_server_keeps_in_the_metadata_is_treated_alike() {
    let bench = Bench::new();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": { "foo": "YmFy" },
        "metadata": {
            "name": "live", "namespace": "ns1", "generateName": "li", "uid": "u", "resourceVersion": "7",
            "selfLink": "/x", "generation": 3, "creationTimestamp": "2020-01-02T03:04:05Z",
            "deletionTimestamp": "2020-01-02T03:04:05Z", "deletionGracePeriodSeconds": 30,
            "finalizers": ["a/b"], "labels": { "l": "1" },
            "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{}", "own": "1" },
            "ownerReferences": [{ "apiVersion": "v1", "kind": "X", "name": "x", "uid": "y" }],
            "managedFields": [{ "manager": "kubectl", "operation": "Update", "apiVersion": "v1",
                                "time": "2020-01-02T03:04:05Z", "fieldsType": "FieldsV1",
                                "fieldsV1": { "f:data": { ".": {}, "f:foo": {} } } }],
        },
    });
    for format in ["json", "yaml"] {
        for scope in ["strict", "cluster-wide"] {
            let args = ["--cert", "cert.pem", "-o", format, "--scope", scope];
            let [theirs, ours] =
                BOTH.map(|program| masked(&bench.ok(program, &args, &secret.to_string())));
            assert_eq!(ours, theirs);
            for kept in ["managedFields", "generateName", "finalizers", "f:foo"] {
                assert!(ours.contains(kept), "{kept} in {ours}");
            }
        }
    }
}

#[test]
fn k77_what_stands_beside_a_sealed_secret_does_not_hide_it() {
    let bench = Bench::new();
    let secret = "metadata: {name: a, namespace: b}\nstringData: {foo: bar}\n";
    let sealed = bench.ok(
        Program::Theirs,
        &["--cert", "cert.pem", "-o", "yaml"],
        secret,
    );
    let other = "---\nkind: ConfigMap\nmetadata: {name: x}\n";
    let args = ["--recovery-unseal", "--recovery-private-key", "key.pem"];
    // The reference opens the first document and overlooks the others; one that is something else ends it.
    let expected = bench.ok(Program::Theirs, &args, &format!("{sealed}{other}"));
    for (input, left_out) in [
        (format!("{sealed}{other}"), "left out: document 2 (line "),
        (format!("{other}{sealed}"), "left out: document 1 (line "),
    ] {
        let output = bench.run(Program::Ours, &args, &input);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{errors}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
        assert!(errors.starts_with(left_out), "{errors}");
        assert!(errors.ends_with(", a ConfigMap\n"), "{errors}");
    }
    for program in BOTH {
        let code = bench.run(program, &args, other).status.code();
        assert_eq!(code, Some(1), "{program:?}");
    }
}

#[test]
fn k45_an_input_that_cannot_be_read_is_told_in_the_known_words() {
    let bench = Bench::new();
    let words = "error: Could not read file specified with --secret-file";
    for program in BOTH {
        let output = bench.run(program, &["--cert", "cert.pem", "-f", "absent.yaml"], "");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{program:?}");
        assert!(errors.starts_with(words), "{program:?} {errors}");
    }
    // Also where nothing of it is read.
    for mode in [
        &["--raw", "--name", "a", "-n", "b"][..],
        &["--raw", "--name", "a", "-n", "b", "--from-file", "cert.pem"],
        &["--fetch-cert"],
    ] {
        for (input, code) in [("absent.yaml", 1), ("key.pem", 0), (".", 0)] {
            let args = [mode, &["--cert", "cert.pem", "-f", input]].concat();
            for program in BOTH {
                let output = bench.run(program, &args, "value");
                let errors = String::from_utf8(output.stderr).unwrap();
                assert_eq!(output.status.code(), Some(code), "{program:?} {args:?}");
                assert_eq!(errors.starts_with(words), code == 1, "{program:?} {errors}");
            }
        }
    }
    // The reference reads a folder for ever.
    std::fs::create_dir(bench.path("folder")).unwrap();
    let output = bench.run(Program::Ours, &["--cert", "cert.pem", "-f", "folder"], "");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors.starts_with(words) && errors.contains("is a directory"),
        "{errors}"
    );
}

#[test]
fn k46_an_output_that_is_no_file_is_written_to() {
    // Never the reference here: as an administrator it puts a file in the place of /dev/stdout.
    let bench = Bench::new();
    let secret = "metadata: {name: a, namespace: b}\nstringData: {foo: bar}\n";
    let expected = masked(&bench.ok(Program::Ours, &["--cert", "cert.pem"], secret));
    let args = ["--cert", "cert.pem", "-w", "/dev/stdout"];
    assert_eq!(masked(&bench.ok(Program::Ours, &args, secret)), expected);

    // What others have written to the same file stays.
    let shell = |script: &str| {
        let mut command = std::process::Command::new("bash");
        let program = sealwright_tests::harness::programs::sealwright();
        command
            .args(["-c", script])
            .current_dir(&bench.folder)
            .env("SEALWRIGHT", program);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    bench.write("in.yaml", secret);
    shell(
        "(echo before; \"$SEALWRIGHT\" kubeseal --cert cert.pem -f in.yaml -w /dev/stdout; echo after) >> out",
    );
    assert_eq!(
        masked(&bench.read("out")),
        format!("before\n{expected}after\n")
    );
    shell(
        "\"$SEALWRIGHT\" kubeseal --cert cert.pem -f in.yaml -w >(cat > through; touch done); while [ ! -e done ]; do sleep 0.05; done",
    );
    assert_eq!(masked(&bench.read("through")), expected);
}
