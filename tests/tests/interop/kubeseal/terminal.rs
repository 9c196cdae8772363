//! `kubeseal` before a person: hints, and a name and a password for the API server.

use std::path::Path;
use std::time::Duration;

use sealwright_tests::harness::{programs, upstream};
use serde_json::json;

use super::door::{Answers, Door};
use super::{BOTH, Bench, Program};
use crate::at_terminal::AtTerminal;

const TYPED: &str = r#"{"metadata":{"name":"typed","namespace":"ns1"},"stringData":{"a":"b"}}"#;

impl Bench {
    /// Starts a shell at a terminal of its own, in which `kubeseal` is the program.
    fn at_terminal(&self, program: Program, script: &str) -> AtTerminal {
        let mut command = AtTerminal::command(Path::new("sh"));
        let kubeseal = match program {
            Program::Theirs => format!("{} \"$@\"", upstream::kubeseal().display()),
            Program::Ours => format!("{} kubeseal \"$@\"", programs::sealwright().display()),
        };
        command
            .args(["-c", &format!("kubeseal() {{ {kubeseal}; }}; {script}")])
            .current_dir(&self.folder)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path());
        AtTerminal::run(command)
    }
}

fn hint(program: Program, value: bool) -> &'static str {
    match (program, value) {
        (Program::Theirs, false) => "tty detected: expecting json/yaml k8s resource",
        (Program::Theirs, true) => "tty detected: expecting a secret to encrypt",
        (Program::Ours, false) => "reading a manifest in YAML or JSON from the terminal",
        (Program::Ours, true) => "reading the value to seal from the terminal",
    }
}

#[test]
fn k45_who_sits_before_a_terminal_is_told_that_input_is_awaited() {
    let bench = Bench::new();
    bench.write("in.json", TYPED);
    let sealed = bench.ok(Program::Theirs, &["--cert", "cert.pem"], TYPED);
    bench.write("sealed.json", &sealed);
    for program in BOTH {
        let mut session = bench.at_terminal(program, "kubeseal --cert cert.pem");
        session.expect(hint(program, false));
        session.send(&format!("{TYPED}\n\u{4}"));
        let (code, screen) = session.finish();
        assert_eq!(code, 0, "{screen}");
        assert!(screen.contains("\"kind\": \"SealedSecret\""), "{screen}");

        let raw = "kubeseal --cert cert.pem --raw --scope cluster-wide";
        let mut session = bench.at_terminal(program, raw);
        session.expect(hint(program, true));
        session.send("value\n\u{4}");
        let (code, screen) = session.finish();
        assert_eq!(code, 0, "{screen}");
        assert!(!screen.contains(hint(program, false)), "{screen}");

        // With a file, or nothing to read, there is no such note.
        for script in [
            "kubeseal --cert cert.pem -f in.json",
            "kubeseal --cert cert.pem < in.json",
            "kubeseal --cert cert.pem --fetch-cert",
            "kubeseal --cert cert.pem --raw --scope cluster-wide --from-file in.json",
            "kubeseal --recovery-unseal --recovery-private-key key.pem -f sealed.json",
            "kubeseal --version",
        ] {
            let (code, screen) = bench.at_terminal(program, script).finish();
            assert_eq!(code, 0, "{program:?} {script}: {screen}");
            for value in [false, true] {
                assert!(!screen.contains(hint(program, value)), "{script}: {screen}");
            }
        }
    }
    // A key that does nothing is told of, at a terminal only.
    let script = "kubeseal --cert cert.pem -f in.json --recovery-private-key key.pem";
    for program in BOTH {
        let (code, screen) = bench.at_terminal(program, script).finish();
        assert_eq!(code, 0, "{screen}");
        assert!(screen.contains("warning: "), "{program:?}: {screen}");
    }
}

#[test]
fn k38_k39_k81_a_name_and_a_password_are_asked_for_at_the_terminal() {
    let bench = Bench::new();
    let door = Door::open(Answers {
        certificate: bench.read("cert.pem"),
        ..Answers::default()
    });
    bench.write("config", &door.kubeconfig(&json!({})));
    bench.write("in.json", TYPED);
    let sign_in = |program, script: &str| {
        let mut session = bench.at_terminal(program, script);
        session.expect("Please enter Username: ");
        session.send("me\n");
        session.expect("Please enter Password: ");
        // The terminal is made silent after the question is shown.
        std::thread::sleep(Duration::from_millis(300));
        session.send("s3cret w0rd\n");
        let (code, screen) = session.finish();
        assert_eq!(code, 0, "{program:?} {script}: {screen}");
        assert!(!screen.contains("s3cret"), "{screen}");
        let asked = door.asked();
        let who: Vec<_> = asked.into_iter().map(|asked| asked.who).collect();
        (who, screen)
    };
    let script = "kubeseal --kubeconfig config --fetch-cert";
    let [theirs, ours] = BOTH.map(|program| sign_in(program, script));
    assert_eq!(ours.0, theirs.0, "and the same was asked with it");
    assert!(ours.0[0]["authorization"][0].starts_with("Basic "));
    assert!(ours.1.contains("BEGIN CERTIFICATE"), "{}", ours.1);
    // Where input or output is a file, the question still reaches the person; there the reference gives up.
    for script in [
        "kubeseal --kubeconfig config < in.json",
        "kubeseal --kubeconfig config -f in.json > out.json",
    ] {
        let (who, _) = sign_in(Program::Ours, script);
        assert_eq!(who[0], ours.0[0], "{script}");
    }
    assert!(!bench.read("out.json").contains("Please"));

    // Credentials that were given are not asked for.
    bench.write("config", &door.kubeconfig(&json!({ "token": "t" })));
    let (code, screen) = bench.at_terminal(Program::Ours, script).finish();
    assert_eq!(code, 0, "{screen}");
    assert!(!screen.contains("Please"), "{screen}");
    // Without a terminal there is no question: it ends, and prints the certificate alone.
    bench.write("config", &door.kubeconfig(&json!({})));
    let args = ["--kubeconfig", "config", "--fetch-cert"];
    assert_eq!(bench.ok(Program::Ours, &args, ""), bench.read("cert.pem"));
    // And Ctrl-D is no name.
    let mut session = bench.at_terminal(Program::Ours, script);
    session.expect("Please enter Username: ");
    session.send("\u{4}");
    let (code, screen) = session.finish();
    assert_eq!(code, 1, "{screen}");
    assert!(screen.contains("no name was given"), "{screen}");
}
