//! SealedSecrets that the controller validates and encrypts again.

use serde_json::json;

use super::super::door::Answers;
use super::super::{BOTH, Bench, Program, SECRET};
use super::told;

#[test]
fn k72_t20_t33_validating_a_stream_waits_out_the_rate_limit() {
    let bench = Bench::new();
    let door = bench.door(Answers {
        closed: vec!["second"],
        put_off: 1,
        ..Answers::default()
    });
    bench.write("config", &door.kubeconfig(&json!({ "token": "t" })));
    let sealed = bench.ok(Program::Ours, &["--cert", "cert.pem", "-o", "yaml"], SECRET);
    let first = sealed.split("\n---\n").next().unwrap();
    let args = ["--kubeconfig", "config", "--validate"];
    let (outputs, asked) = bench.asked_alike(&door, &args, &[], first);
    for output in &outputs {
        assert_eq!(told(output), (String::new(), String::new(), Some(0)));
    }
    let tries: Vec<_> = asked[1..]
        .iter()
        .map(|asked| asked.method.as_str())
        .collect();
    assert_eq!(tries, ["POST", "POST"], "429, and then once more");
    let (outputs, _) = bench.asked_alike(&door, &args, &[], &sealed);
    let [theirs, ours] = outputs.each_ref().map(told);
    assert_eq!(ours, theirs);
    assert_eq!(ours.1, "error: unable to decrypt sealed secret: second\n");
}

#[test]
fn t37_validating_nothing_or_nonsense_is_an_error_here() {
    let bench = Bench::new();
    let door = bench.door(Answers::default());
    bench.write("config", &door.kubeconfig(&json!({ "token": "t" })));
    for input in [
        "",
        "kind: [",
        "kind: Secret\nmetadata: {name: a}\nspec: {}\n",
    ] {
        let output = bench.run(
            Program::Ours,
            &["--kubeconfig", "config", "--validate"],
            input,
        );
        assert_eq!(output.status.code(), Some(1), "{input:?}");
        assert_eq!(door.asked().len(), 0);
    }
}

#[test]
fn k16_k73_t47_re_encrypting_keeps_what_the_controller_leaves_out() {
    let bench = Bench::new();
    let door = bench.door(Answers::default());
    bench.write("config", &door.kubeconfig(&json!({ "token": "t" })));
    let one = SECRET.split("---\n").next().unwrap();
    let sealed = bench.ok(Program::Theirs, &["--cert", "cert.pem", "-o", "yaml"], one);
    let args = ["--kubeconfig", "config", "--re-encrypt", "-o", "yaml"];
    let (outputs, _) = bench.asked_alike(&door, &args, &[], &sealed);
    let [theirs, ours] = outputs.each_ref().map(told);
    assert_eq!(ours, theirs, "nothing is left out: the same text");

    let with_data = sealed.replace(
        "  template:\n",
        "  template:\n    data:\n      url: 'x://{{ .foo }}'\n",
    );
    let renewed = bench.ok(Program::Ours, &args, &with_data);
    assert!(renewed.contains("url: x://{{ .foo }}"), "K85: {renewed}");
    // Written back to the file it came from, in the form of its name.
    bench.write("sealed.yaml", &sealed);
    let args = [
        "--kubeconfig",
        "config",
        "--re-encrypt",
        "-f",
        "sealed.yaml",
    ];
    assert_eq!(bench.ok(Program::Ours, &args, ""), "");
    assert_eq!(bench.read("sealed.yaml"), theirs.0, "K48");
}

#[test]
fn k17_t40_the_old_name_of_re_encrypt_says_so_where_scripts_expect_it() {
    let bench = Bench::new();
    let door = bench.door(Answers::default());
    bench.write("config", &door.kubeconfig(&json!({ "token": "t" })));
    let one = SECRET.split("---\n").next().unwrap();
    let sealed = bench.ok(Program::Theirs, &["--cert", "cert.pem", "-o", "yaml"], one);
    for (args, env) in [
        (&["--rotate", "-o", "yaml"][..], &[][..]),
        (&["--rotate", "--rotate"], &[]),
        (
            &[
                "--re-encrypt",
                "--rotate=false",
                "--cert",
                "cert.pem",
                "--fetch-cert",
            ],
            &[],
        ),
        (&[], &[("SEALED_SECRETS_ROTATE", "true")]),
        (&["--rotate", "--version"], &[]),
    ] {
        let args = [&["--kubeconfig", "config"], args].concat();
        let (outputs, _) = bench.asked_alike(&door, &args, env, &sealed);
        let [theirs, ours] = outputs.each_ref().map(told);
        let said = ours.0.starts_with("Flag --rotate has been deprecated, ");
        assert_eq!(said, env.is_empty(), "{ours:?}");
        let version = |text: &str| text.replace("version: v", "version: ");
        assert_eq!(
            (version(&ours.0), &ours.1, ours.2),
            (version(&theirs.0), &theirs.1, Some(0)),
            "{args:?} {env:?}"
        );
    }
    // In a file there is the object alone.
    let args = ["--kubeconfig", "config", "--rotate", "-w", "out.yaml"];
    let written = BOTH.map(|program| {
        let output = bench.run(program, &args, &sealed);
        assert_eq!(told(&output).0.lines().count(), 1, "{program:?}");
        bench.read("out.yaml")
    });
    assert_eq!(written[1], written[0]);
}

#[test]
fn k73_a_refusal_changes_no_file() {
    let bench = Bench::new();
    let door = bench.door(Answers {
        closed: vec!["demo"],
        ..Answers::default()
    });
    bench.write("config", &door.kubeconfig(&json!({ "token": "t" })));
    let one = SECRET.split("---\n").next().unwrap();
    let sealed = bench.ok(Program::Ours, &["--cert", "cert.pem", "-o", "yaml"], one);
    bench.write("sealed.yaml", &sealed);
    let args = [
        "--kubeconfig",
        "config",
        "--re-encrypt",
        "-f",
        "sealed.yaml",
    ];
    let output = bench.run(Program::Ours, &args, "");
    let (_, errors, code) = told(&output);
    assert_eq!(code, Some(1));
    assert!(
        errors.starts_with("error: cannot re-encrypt secret: "),
        "{errors}"
    );
    assert_eq!(bench.read("sealed.yaml"), sealed);
}

#[test]
fn sealwright_validate_names_every_file_with_a_fault() {
    let bench = Bench::new();
    let door = bench.door(Answers {
        closed: vec!["second"],
        ..Answers::default()
    });
    bench.write("config", &door.kubeconfig(&json!({ "token": "t" })));
    let sealed = bench.ok(Program::Ours, &["--cert", "cert.pem", "-o", "yaml"], SECRET);
    let first = sealed.split("\n---\n").next().unwrap();
    bench.write("good.yaml", first);
    bench.write("both.yaml", &sealed);
    bench.write("broken.yaml", "kind: [");
    let validate = |files: &[&str]| {
        let mut command =
            std::process::Command::new(sealwright_tests::harness::programs::sealwright());
        command
            .args(["validate", "--kubeconfig", "config", "--output", "json"])
            .args(files)
            .current_dir(&bench.folder)
            .env_clear()
            .env("HOME", bench.folder.path());
        let output = command.output().unwrap();
        let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let part = if output.status.success() {
            "validated"
        } else {
            "failure"
        };
        (crate::schema::assert_is(part, &told), output.status.code())
    };
    let (told, code) = validate(&["good.yaml"]);
    assert_eq!((told, code), (json!({ "valid": 1 }), Some(0)));
    let (told, code) = validate(&["broken.yaml", "both.yaml", "good.yaml"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        told["message"],
        "broken.yaml: line 1, column 7: no valid YAML\nboth.yaml: unable to decrypt sealed secret: second"
    );
    // A cluster that is not there is said once.
    bench.write("config", "{}");
    let (told, code) = validate(&["good.yaml", "both.yaml"]);
    assert_eq!(code, Some(1), "{told}");
    assert_eq!(
        told["message"].as_str().unwrap().lines().count(),
        1,
        "{told}"
    );
}
