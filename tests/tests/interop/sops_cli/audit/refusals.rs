//! What is not done because it cannot be recorded.

use super::{ACCESS, Audited, BOTH, PASSWORD, Whose, rows, schema, server, url};

/// Everything that would decrypt or write.
const WORK: [&[&str]; 9] = [
    &["decrypt", "a.yaml"],
    &["decrypt", "-i", "a.yaml"],
    &["rotate", "-i", "a.yaml"],
    &["set", "a.yaml", "[\"a\"]", "2"],
    &["unset", "a.yaml", "[\"a\"]"],
    &["edit", "a.yaml"],
    &["exec-env", "a.yaml", "touch ran"],
    &["exec-file", "a.yaml", "touch ran"],
    &["encrypt", "-i", "plain.yaml"],
];

/// Neither program does anything of [`WORK`]; ours says why.
#[track_caller]
fn nothing_is_done(machine: &Audited, why: &str) {
    let before = machine.desk.files();
    for whose in [Whose::Theirs, Whose::Ours, Whose::Sealwright] {
        for words in WORK {
            if whose == Whose::Sealwright && words.len() > 2 && words[1] == "-i" {
                continue; // its verbs have no such flag
            }
            let ran = machine.run(whose, words, b"");
            assert_eq!(
                (ran.code, ran.show_out().as_str()),
                (1, ""),
                "{whose:?} {words:?}: {}",
                ran.err
            );
            assert!(
                whose == Whose::Theirs || (ran.err.contains("audit.yaml") && ran.err.contains(why)),
                "{whose:?} {words:?}: {}",
                ran.err
            );
            assert_eq!(machine.desk.files(), before, "{whose:?} {words:?}");
        }
    }
}

#[test]
fn s176_s179_what_cannot_be_recorded_is_not_done() {
    let mut machine = Audited::new();
    let mut server = server(ACCESS, None);
    machine.desk.set("EDITOR", "sh -c 'echo x: 1 > $0'");
    machine
        .desk
        .theirs_encrypts("a.yaml", "a: plaintext\n", &[]);
    machine.desk.write("plain.yaml", "p: 1\n");
    machine.ask(&[&url(&server)]);
    for (statement, why) in [
        (
            "REVOKE INSERT ON audit_event FROM sops",
            "permission denied",
        ),
        (
            "REVOKE USAGE ON SEQUENCE audit_event_id_seq FROM sops",
            "permission denied",
        ),
        ("DROP TABLE audit_event", "does not exist"),
    ] {
        server
            .sql("DROP TABLE IF EXISTS audit_event; DROP ROLE sops")
            .unwrap();
        server.sql(&schema()).unwrap();
        server.sql(statement).unwrap();
        nothing_is_done(&machine, why);
        // What needs no record goes on.
        for whose in BOTH {
            machine.run(whose, &["filestatus", "a.yaml"], b"").good();
        }
    }
    // One database of two is not enough.
    server.sql("DROP ROLE sops").unwrap();
    server.sql(&schema()).unwrap();
    machine.ask(&[
        &url(&server),
        &url(&server).replace("/postgres?", "/other?"),
    ]);
    nothing_is_done(&machine, "database \"other\" does not exist");
    machine.ask(&[&url(&server).replace(PASSWORD, "canary")]);
    nothing_is_done(&machine, "password authentication failed");
    assert_eq!(rows(&server), [""; 0]);

    machine.ask(&[&url(&server)]);
    server.stop();
    nothing_is_done(&machine, "refused");
    // Nor does a command start that would record nothing.
    for words in [
        vec!["filestatus", "a.yaml"],
        vec!["updatekeys", "-y", "a.yaml"],
        vec!["keyservice"],
    ] {
        for whose in BOTH {
            machine.run(whose, &words, b"").fails(1);
        }
    }
}

#[test]
fn s175_a_configuration_that_makes_no_sense_stops_every_command() {
    let mut machine = Audited::new();
    machine.desk.set("EDITOR", "sh -c 'echo x: 1 > $0'");
    machine
        .desk
        .theirs_encrypts("a.yaml", "a: plaintext\n", &[]);
    machine.desk.write("plain.yaml", "p: 1\n");
    let before = machine.desk.files();
    for config in [
        "backends: [\n",
        "backends:\n  postgres: canary\n",
        "backends:\n  postgres:\n    - connection_string: postgres://u:canary@127.0.0.1:1/d?sslmode=canary\n",
        "backends:\n  postgres:\n    - connection_string: host=127.0.0.1 port=1 password=my canary\n",
        "backends:\n  postgres:\n    - connection_string: postgres://u:12/canary@127.0.0.1/d\n",
    ] {
        machine.write(config);
        for words in WORK {
            let theirs = machine.run(Whose::Theirs, words, b"");
            assert!(theirs.code != 0 && theirs.out.is_empty(), "{config}");
            let err = machine.run(Whose::Ours, words, b"").fails(1);
            assert!(err.contains("/etc/sops/audit.yaml"), "{err}");
        }
        machine.run(Whose::Ours, &["--version"], b"").good();
        assert_eq!(machine.desk.files(), before);
    }
    for config in ["", "backends: {}\n", "backends:\n  postgres: []\n"] {
        machine.write(config);
        for whose in BOTH {
            let out = machine.run(whose, &["decrypt", "a.yaml"], b"").good();
            assert_eq!(out, "a: plaintext\n");
        }
    }
}

/// A setting whose name is not known, as a password with a space and no quotes makes one.
#[test]
fn half_a_password_is_not_shown_by_what_the_server_says() {
    let machine = Audited::new();
    let server = server(ACCESS, None);
    machine.desk.theirs_encrypts("a.yaml", "a: 1\n", &[]);
    for more in [
        "canary_second=half",
        "search_path='\"canary",
        "work_mem=canary",
        "port_canary=1",
    ] {
        machine.ask(&[&format!(
            "host=127.0.0.1 port={} user=sops password={PASSWORD} dbname=postgres sslmode=disable {more}",
            server.port()
        )]);
        let ran = machine.run(Whose::Ours, &["--verbose", "decrypt", "a.yaml"], b"");
        assert_eq!(
            (ran.code, ran.show_out().as_str()),
            (1, ""),
            "{more}: {}",
            ran.err
        );
    }
}
