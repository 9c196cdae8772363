//! The record of what is done (`docs/src/auditing.md`), beside the real program on the same PostgreSQL server.

use std::path::PathBuf;
use std::process::Command;

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sealwright_tests::harness::incumbents;
use sealwright_tests::harness::postgres::{Postgres, ServerIdentity};

use super::{Desk, Ran, Whose, run};

/// Never to be seen anywhere.
const PASSWORD: &str = "canary-in-the-connection-string";
const BOTH: [Whose; 2] = [Whose::Theirs, Whose::Ours];

/// A desk on a machine whose `/etc/sops/audit.yaml` says something. The file is the system's, so the programs see a copy of
/// `/etc` in a mount namespace of their own.
struct Audited {
    desk: Desk,
    etc: PathBuf,
}

impl Audited {
    fn new() -> Self {
        let desk = Desk::with_rule();
        let etc = desk.root.path().join("etc");
        std::fs::create_dir(&etc).unwrap();
        // What cannot be read is not needed.
        let _ = Command::new("cp")
            .arg("-a")
            .arg("/etc/.")
            .arg(&etc)
            .output();
        std::fs::create_dir_all(etc.join("sops")).unwrap();
        Self { desk, etc }
    }

    /// Writes the configuration: one database for each connection string.
    fn ask(&self, strings: &[&str]) {
        let list: String = strings
            .iter()
            .map(|text| format!("    - connection_string: {}\n", serde_json::json!(text)))
            .collect();
        self.write(&format!("backends:\n  postgres:\n{list}"));
    }

    fn write(&self, config: &str) {
        std::fs::write(self.etc.join("sops/audit.yaml"), config).unwrap();
    }

    fn command(&self, whose: Whose, words: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        self.desk.furnish(&mut command);
        if !rustix::process::getuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command
            .args([
                "--mount",
                "sh",
                "-c",
                "mount --bind \"$0\" /etc && exec \"$@\"",
            ])
            .arg(&self.etc)
            .arg(self.desk.program(whose))
            .args(words);
        command
    }

    /// Runs a command line; the password is in nothing that it prints, whatever comes of it. Of the real program that is
    /// not asked: it prints connection strings.
    #[track_caller]
    fn run(&self, whose: Whose, words: &[&str], input: &[u8]) -> Ran {
        let ran = run(&mut self.command(whose, words), input);
        if whose != Whose::Theirs {
            assert!(
                !ran.err.contains("canary") && !ran.show_out().contains("canary"),
                "{words:?}: {}",
                ran.err
            );
        }
        ran
    }
}

/// The statements of the documentation, with our password.
fn schema() -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/auditing.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, from) = page.split_once("```sql\n").expect("the page has the table");
    let (statements, _) = from.split_once("```").unwrap();
    statements.replace("change-me", PASSWORD)
}

const ACCESS: &str = "local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256";

fn server(access: &str, identity: Option<ServerIdentity<'_>>) -> Postgres {
    let server = Postgres::start(access, identity).unwrap_or_else(|error| panic!("{error}"));
    server.sql(&schema()).unwrap();
    server
}

fn rows(server: &Postgres) -> Vec<String> {
    let rows = server
        .sql("SELECT action, username, file FROM audit_event ORDER BY id")
        .unwrap();
    server.sql("TRUNCATE audit_event").unwrap();
    rows
}

fn url(server: &Postgres) -> String {
    let port = server.port();
    format!("postgres://sops:{PASSWORD}@127.0.0.1:{port}/postgres?sslmode=disable")
}

#[test]
fn s177_s178_the_same_rows_as_by_the_real_program() {
    let mut machine = Audited::new();
    let server = server(ACCESS, None);
    machine.ask(&[&url(&server)]);
    let desk = &machine.desk;
    desk.theirs_encrypts("a.yaml", "a: 1\nb: x\n", &[]);
    desk.theirs_encrypts("sub/a.json", "{\"a\": 1}", &[]);
    desk.theirs_encrypts(
        "foreign.yaml",
        "a: 1\n",
        &["--age", &desk.recipients[2].clone()],
    );
    let encrypted = desk.read("a.yaml");
    let flip = |mark: &str| {
        let at = encrypted.find(mark).unwrap() + mark.len();
        let other = if &encrypted[at..=at] == "A" { "B" } else { "A" };
        format!("{}{other}{}", &encrypted[..at], &encrypted[at + 1..])
    };
    desk.write("mac.yaml", encrypted.replace("a: ENC", "other: ENC"));
    desk.write("value.yaml", flip("a: ENC[AES256_GCM,data:"));
    let no_mac = encrypted.lines().filter(|line| !line.contains(" mac:"));
    desk.write(
        "nomac.yaml",
        no_mac.map(|line| format!("{line}\n")).collect::<String>(),
    );
    desk.write("plain.yaml", "p: 1\n");
    desk.theirs_encrypts("groups.yaml", "a: 1\n", &[]);
    let second = desk.recipients[1].clone();
    desk.theirs([
        "groups",
        "add",
        "-i",
        "--file",
        "groups.yaml",
        "--age",
        &second,
    ])
    .good();
    std::os::unix::fs::symlink("a.yaml", desk.path("link.yaml")).unwrap();
    desk.write(
        "two.sops.yaml",
        format!(
            "creation_rules:\n  - age: {},{second}\n",
            desk.recipients[0]
        ),
    );
    machine.desk.set("SOPS_EDITOR", "sed -i s/x/y/");
    machine.desk.set("EDITOR", "true");
    let start = machine.desk.files();
    let here = machine.desk.work().canonicalize().unwrap();
    let here = here.to_str().unwrap();

    // Command lines, what they read, and the actions they leave, all with the file named last here.
    let cases: &[(&[&str], &str, &[&str], &str)] = &[
        (&["encrypt", "plain.yaml"], "", &["encrypt"], "/plain.yaml"),
        (
            &["encrypt", "-i", "plain.yaml"],
            "",
            &["encrypt"],
            "/plain.yaml",
        ),
        (&["-e", "plain.yaml"], "", &["encrypt"], "/plain.yaml"),
        (
            &["encrypt", "--filename-override", "sub/x.yaml"],
            "a: 1\n",
            &["encrypt"],
            "",
        ),
        (
            &["encrypt", "--filename-override", "x.yaml", "plain.yaml"],
            "",
            &["encrypt"],
            "/plain.yaml",
        ),
        (&["encrypt", "a.yaml"], "", &[], ""),
        (&["encrypt", "missing.yaml"], "", &[], ""),
        (&["decrypt", "a.yaml"], "", &["decrypt"], "/a.yaml"),
        (&["-d", "a.yaml"], "", &["decrypt"], "/a.yaml"),
        (&["decrypt", "-i", "a.yaml"], "", &["decrypt"], "/a.yaml"),
        (
            &["decrypt", "--output", "o.yaml", "a.yaml"],
            "",
            &["decrypt"],
            "/a.yaml",
        ),
        (
            &["decrypt", "--output-type", "json", "a.yaml"],
            "",
            &["decrypt"],
            "/a.yaml",
        ),
        (
            &["decrypt", "--extract", "[\"a\"]", "./sub/../a.yaml"],
            "",
            &["decrypt"],
            "/a.yaml",
        ),
        (
            &["decrypt", "--extract", "[\"none\"]", "a.yaml"],
            "",
            &["decrypt"],
            "/a.yaml",
        ),
        (&["decrypt", "sub/a.json"], "", &["decrypt"], "/sub/a.json"),
        (&["decrypt", "link.yaml"], "", &["decrypt"], "/link.yaml"),
        (
            &["decrypt", "--input-type", "yaml", "--output-type", "yaml"],
            &encrypted,
            &["decrypt"],
            "",
        ),
        (
            &["decrypt", "--filename-override", "x.yaml"],
            &encrypted,
            &["decrypt"],
            "",
        ),
        (&["decrypt", "plain.yaml"], "", &[], ""),
        (&["decrypt", "foreign.yaml"], "", &[], ""),
        (&["decrypt", "mac.yaml"], "", &["decrypt"], "/mac.yaml"),
        (&["decrypt", "nomac.yaml"], "", &["decrypt"], "/nomac.yaml"),
        (
            &["decrypt", "--ignore-mac", "nomac.yaml"],
            "",
            &["decrypt"],
            "/nomac.yaml",
        ),
        (&["decrypt", "value.yaml"], "", &["decrypt"], "/value.yaml"),
        (
            &["rotate", "a.yaml"],
            "",
            &["rotate", "decrypt", "encrypt"],
            "/a.yaml",
        ),
        (
            &["rotate", "-i", "a.yaml"],
            "",
            &["rotate", "decrypt", "encrypt"],
            "/a.yaml",
        ),
        (
            &["-r", "-i", "a.yaml"],
            "",
            &["rotate", "decrypt", "encrypt"],
            "/a.yaml",
        ),
        (
            &["rotate", "-i", "--add-age", &second, "a.yaml"],
            "",
            &["rotate", "decrypt", "encrypt"],
            "/a.yaml",
        ),
        (
            &["rotate", "-i", "foreign.yaml"],
            "",
            &["rotate"],
            "/foreign.yaml",
        ),
        (
            &["rotate", "-i", "value.yaml"],
            "",
            &["rotate", "decrypt"],
            "/value.yaml",
        ),
        (
            &["set", "a.yaml", "[\"a\"]", "2"],
            "",
            &["decrypt", "encrypt"],
            "/a.yaml",
        ),
        (
            &["set", "a.yaml", "[\"a\"]", "1"],
            "",
            &["decrypt", "encrypt"],
            "/a.yaml",
        ),
        (
            &["set", "--idempotent", "a.yaml", "[\"a\"]", "1"],
            "",
            &["decrypt", "encrypt"],
            "/a.yaml",
        ),
        (
            &["set", "--value-stdin", "a.yaml", "[\"c\"]"],
            "2",
            &["decrypt", "encrypt"],
            "/a.yaml",
        ),
        (
            &["--set", "[\"a\"] 2", "a.yaml"],
            "",
            &["decrypt", "encrypt"],
            "/a.yaml",
        ),
        (&["set", "a.yaml", "[\"a\"]", "no json"], "", &[], ""),
        (
            &["unset", "a.yaml", "[\"a\"]"],
            "",
            &["decrypt", "encrypt"],
            "/a.yaml",
        ),
        (
            &["unset", "a.yaml", "[\"none\"]"],
            "",
            &["decrypt"],
            "/a.yaml",
        ),
        (
            &["unset", "--idempotent", "a.yaml", "[\"none\"]"],
            "",
            &["decrypt"],
            "/a.yaml",
        ),
        (
            &["exec-env", "a.yaml", "test -n \"$b\""],
            "",
            &["decrypt"],
            "/a.yaml",
        ),
        (
            &["exec-env", "--same-process", "a.yaml", "test -n \"$b\""],
            "",
            &["decrypt"],
            "/a.yaml",
        ),
        (
            &["exec-file", "a.yaml", "grep -q b {}"],
            "",
            &["decrypt"],
            "/a.yaml",
        ),
        (&["edit", "a.yaml"], "", &["decrypt", "encrypt"], "/a.yaml"),
        (&["a.yaml"], "", &["decrypt", "encrypt"], "/a.yaml"),
        (&["edit", "sub/a.json"], "", &["decrypt"], "/sub/a.json"),
        (&["edit", "new.yaml"], "", &["encrypt"], "/new.yaml"),
        (
            &["--config", "two.sops.yaml", "updatekeys", "-y", "a.yaml"],
            "",
            &[],
            "",
        ),
        (
            &["groups", "add", "-i", "--file", "a.yaml", "--age", &second],
            "",
            &[],
            "",
        ),
        (
            &["groups", "delete", "-i", "--file", "groups.yaml", "0"],
            "",
            &[],
            "",
        ),
        (&["filestatus", "a.yaml"], "", &[], ""),
        (&["publish", "-y", "a.yaml"], "", &[], ""),
        (&["--version", "--disable-version-check"], "", &[], ""),
    ];
    let mut total = 0;
    for (words, input, actions, file) in cases {
        let [theirs, ours] = BOTH.map(|whose| {
            for (name, content) in &start {
                if machine.desk.path(name).is_symlink() {
                    continue;
                }
                machine.desk.write(name, content);
            }
            for name in machine
                .desk
                .files()
                .keys()
                .filter(|name| !start.contains_key(*name))
            {
                std::fs::remove_file(machine.desk.path(name)).unwrap();
            }
            let ran = machine.run(whose, words, input.as_bytes());
            (rows(&server), ran)
        });
        assert_eq!(
            ours.0, theirs.0,
            "{words:?}: {}{}",
            ours.1.err, theirs.1.err
        );
        assert_eq!(
            ours.1.code, theirs.1.code,
            "{words:?}: {}{}",
            ours.1.err, theirs.1.err
        );
        let expected: Vec<String> = actions
            .iter()
            .map(|action| format!("{action}|root|{here}{file}"))
            .collect();
        assert_eq!(ours.0, expected, "{words:?}");
        total += expected.len();
    }
    assert!(total > 50, "{total} rows were compared");
}

#[test]
fn s178_own_verbs_are_on_record_too() {
    let machine = Audited::new();
    let server = server(ACCESS, None);
    // Twice the same database: each gets a row.
    machine.ask(&[&url(&server), &url(&server)]);
    let desk = &machine.desk;
    for name in ["a.yaml", "b.yaml"] {
        desk.theirs_encrypts(name, "a: 1\n", &[]);
    }
    let here = desk.work().canonicalize().unwrap();
    let here = here.to_str().unwrap();
    for (words, actions) in [
        (vec!["decrypt", "a.yaml"], vec!["decrypt a"]),
        (vec!["get", "a.yaml", "a"], vec!["decrypt a"]),
        (
            vec!["rotate", "--dry-run", "a.yaml"],
            vec!["rotate a", "decrypt a", "encrypt a"],
        ),
        (vec!["status", "."], vec![]),
        (
            vec!["rotate", "."],
            vec![
                "rotate a",
                "decrypt a",
                "encrypt a",
                "rotate b",
                "decrypt b",
                "encrypt b",
            ],
        ),
    ] {
        machine.run(Whose::Sealwright, &words, b"").good();
        let mut found = rows(&server);
        let mut expected: Vec<String> = actions
            .iter()
            .map(|event| {
                let (action, file) = event.split_once(' ').unwrap();
                format!("{action}|root|{here}/{file}.yaml")
            })
            .flat_map(|row| [row.clone(), row])
            .collect();
        // Files are worked on side by side.
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{words:?}");
    }
}

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

/// A variable whose name PostgreSQL does not know, as a password with a space and no quotes makes one.
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

#[test]
fn s175_connection_strings_do_what_they_do_in_the_real_program() {
    let ca = {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &ca)
        .unwrap();
    let access = "local all all scram-sha-256\n\
                  hostssl all encrypted 127.0.0.1/32 scram-sha-256\n\
                  hostnossl all plain 127.0.0.1/32 password\n\
                  host all legacy 127.0.0.1/32 md5\n\
                  host all sops 127.0.0.1/32 scram-sha-256";
    let server = server(
        access,
        Some(ServerIdentity {
            certificate: &certificate.pem(),
            key: &key.serialize_pem(),
        }),
    );
    server
        .sql(&format!(
            "CREATE ROLE encrypted LOGIN PASSWORD '{PASSWORD}' IN ROLE sops;
             CREATE ROLE plain LOGIN PASSWORD '{PASSWORD}' IN ROLE sops;
             SET password_encryption = md5;
             CREATE ROLE legacy LOGIN PASSWORD '{PASSWORD}' IN ROLE sops;
             CREATE SCHEMA elsewhere;
             CREATE TABLE elsewhere.audit_event (LIKE public.audit_event INCLUDING ALL);
             GRANT USAGE ON SCHEMA elsewhere TO sops;
             GRANT INSERT ON elsewhere.audit_event TO sops"
        ))
        .unwrap();
    let mut machine = Audited::new();
    machine.desk.theirs_encrypts("a.yaml", "a: 1\n", &[]);
    let file = |name: &str, text: &str, mode: u32| {
        use std::os::unix::fs::PermissionsExt as _;
        let path = machine.desk.home().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let root = file("ca.pem", &ca.pem(), 0o644);
    let itself = file("server.pem", &certificate.pem(), 0o644);
    let other = {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let other = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        file("other.pem", &other.pem(), 0o644)
    };
    let port = server.port();
    let passwords = file(
        "passwords",
        &format!(
            "# mine\n127.0.0.1:1:*:*:wrong\n127.0.0.1:{port}:postgres:sops:{PASSWORD}\nlocalhost:*:*:sops:{PASSWORD}\n"
        ),
        0o600,
    );
    let open = file("open", &format!("*:*:*:*:{PASSWORD}\n"), 0o644);
    let sockets = server.sockets().to_str().unwrap().to_owned();
    let url = |user: &str, host: &str, more: &str| {
        format!("postgres://{user}:{PASSWORD}@{host}:{port}/postgres?{more}")
    };
    let pairs = |more: &str| format!("port={port} user=sops dbname=postgres {more}");
    let key_pair = |more: &str| pairs(&format!("host=127.0.0.1 password={PASSWORD} {more}"));

    // A connection string, and whether it leads to a row.
    let cases: Vec<(String, bool)> = vec![
        // Encryption.
        (url("sops", "127.0.0.1", ""), true),
        (url("encrypted", "127.0.0.1", ""), true),
        (url("encrypted", "127.0.0.1", "sslmode=require"), true),
        (url("encrypted", "127.0.0.1", "sslmode=disable"), false),
        (url("encrypted", "127.0.0.1", "sslmode=allow"), true),
        (url("encrypted", "127.0.0.1", "sslmode=prefer"), true),
        (url("plain", "127.0.0.1", "sslmode=disable"), true),
        (url("plain", "127.0.0.1", "sslmode=allow"), true),
        (url("plain", "127.0.0.1", "sslmode=prefer"), false),
        (url("plain", "127.0.0.1", "sslmode=require"), false),
        (url("legacy", "127.0.0.1", "sslmode=require"), true),
        (url("legacy", "127.0.0.1", "sslmode=disable"), true),
        (
            url("sops", "127.0.0.1", "sslmode=prefer&sslnegotiation=direct"),
            false,
        ),
        (
            url("sops", "127.0.0.1", "ssl_min_protocol_version=TLSv1.3"),
            true,
        ),
        (
            url("sops", "127.0.0.1", "ssl_max_protocol_version=TLSv1.2"),
            true,
        ),
        (url("sops", "localhost", "sslsni=0"), true),
        // Verification.
        (
            url(
                "sops",
                "localhost",
                &format!("sslmode=verify-full&sslrootcert={root}"),
            ),
            true,
        ),
        (
            url(
                "sops",
                "127.0.0.1",
                &format!("sslmode=verify-full&sslrootcert={root}"),
            ),
            false,
        ),
        (
            url(
                "sops",
                "127.0.0.1",
                &format!("sslmode=verify-ca&sslrootcert={root}"),
            ),
            true,
        ),
        (
            url(
                "sops",
                "127.0.0.1",
                &format!("sslmode=require&sslrootcert={root}"),
            ),
            true,
        ),
        (
            url(
                "sops",
                "localhost",
                &format!("sslmode=verify-full&sslrootcert={itself}"),
            ),
            true,
        ),
        (
            url(
                "sops",
                "127.0.0.1",
                &format!("sslmode=verify-full&sslrootcert={itself}"),
            ),
            false,
        ),
        (
            url(
                "sops",
                "127.0.0.1",
                &format!("sslmode=verify-ca&sslrootcert={itself}"),
            ),
            true,
        ),
        (
            url(
                "sops",
                "localhost",
                &format!("sslmode=verify-full&sslrootcert={other}"),
            ),
            false,
        ),
        (
            url(
                "sops",
                "localhost",
                &format!("sslmode=verify-ca&sslrootcert={other}"),
            ),
            false,
        ),
        (
            url(
                "sops",
                "localhost",
                &format!("sslmode=require&sslrootcert={other}"),
            ),
            false,
        ),
        (
            url(
                "sops",
                "localhost",
                "sslmode=require&sslrootcert=/nowhere.pem",
            ),
            true,
        ),
        (
            url(
                "sops",
                "localhost",
                "sslmode=verify-ca&sslrootcert=/nowhere.pem",
            ),
            false,
        ),
        (url("sops", "localhost", "sslmode=verify-ca"), false),
        (url("sops", "localhost", "sslmode=verify-full"), false),
        (url("sops", "localhost", "sslrootcert=system"), false),
        (
            url("sops", "localhost", "sslrootcert=system&sslmode=require"),
            false,
        ),
        (
            key_pair(&format!(
                "hostaddr=127.0.0.1 host=localhost sslmode=verify-full sslrootcert='{root}'"
            )),
            true,
        ),
        // Forms and places.
        (key_pair("sslmode=disable"), true),
        (
            key_pair("sslmode = 'disable'\n application_name='a b'"),
            true,
        ),
        (key_pair("sslmode=bad"), false),
        (key_pair("search_path=elsewhere"), true),
        (key_pair("options='-c search_path=nowhere'"), false),
        (pairs(&format!("host={sockets} password={PASSWORD}")), true),
        (
            format!("postgres://sops:{PASSWORD}@/postgres?host={sockets}&port={port}"),
            true,
        ),
        (
            format!(
                "host=127.0.0.1,127.0.0.1 port=1,{port} user=sops dbname=postgres password={PASSWORD}"
            ),
            true,
        ),
        (
            format!(
                "postgresql://sops:{PASSWORD}@127.0.0.1,localhost/postgres?port=1,{port}&load_balance_hosts=random"
            ),
            true,
        ),
        (
            key_pair("connect_timeout=5 target_session_attrs=read-write"),
            true,
        ),
        (key_pair("target_session_attrs=read-only"), false),
        (key_pair("client_encoding=UTF8 datestyle='ISO, MDY'"), true),
        (key_pair("client_encoding=LATIN1"), false),
        // Passwords from elsewhere.
        (pairs("host=127.0.0.1"), false),
        (
            pairs(&format!("host=127.0.0.1 passfile='{passwords}'")),
            true,
        ),
        (
            pairs(&format!("host={sockets} passfile='{passwords}'")),
            true,
        ),
        (pairs(&format!("host=127.0.0.1 passfile='{open}'")), false),
        (pairs("host=127.0.0.1 password=wrong"), false),
    ];
    // The rows of a decryption, and that it says as much by itself.
    let rows_of = |machine: &Audited, whose: Whose, string: &str| {
        machine.ask(&[string]);
        let ran = machine.run(whose, &["decrypt", "a.yaml"], b"");
        let found = server
            .sql(
                "SELECT action FROM public.audit_event UNION ALL SELECT action FROM elsewhere.audit_event;
                 TRUNCATE public.audit_event, elsewhere.audit_event",
            )
            .unwrap();
        let (code, out) = if found.is_empty() {
            (1, "")
        } else {
            (0, "a: 1\n")
        };
        assert_eq!(
            (ran.code, ran.show_out().as_str()),
            (code, out),
            "{whose:?} {string}: {}",
            ran.err
        );
        (found, ran.err)
    };
    let mut wrong = Vec::new();
    let mut check = |machine: &Audited, string: &str, works: bool| {
        let expected: &[&str] = if works { &["decrypt"] } else { &[] };
        for whose in BOTH {
            let (found, err) = rows_of(machine, whose, string);
            if found != expected {
                wrong.push(format!("{whose:?} {string}: {found:?} {err}"));
            }
        }
    };
    for (string, works) in &cases {
        check(&machine, string, *works);
    }
    // The real program's client forgets a part of the handshake (ALPN) that servers insist on; ours does not.
    let direct = url("sops", "127.0.0.1", "sslmode=require&sslnegotiation=direct");
    assert_eq!(rows_of(&machine, Whose::Ours, &direct).0, ["decrypt"]);
    // What the string leaves open comes from variables.
    for (name, value) in [
        ("PGHOST", "127.0.0.1".to_owned()),
        ("PGPORT", port.to_string()),
        ("PGDATABASE", "postgres".to_owned()),
        ("PGUSER", "sops".to_owned()),
        ("PGPASSWORD", PASSWORD.to_owned()),
        ("PGSSLMODE", "verify-ca".to_owned()),
        ("PGSSLROOTCERT", root.clone()),
    ] {
        machine.desk.set(name, value);
    }
    check(&machine, "", true);
    check(&machine, "sslmode=disable", true);
    check(&machine, "user=nobody", false);
    machine.desk.set("PGSSLROOTCERT", other);
    check(&machine, "", false);
    machine.desk.set("PGSSLROOTCERT", root);
    machine.desk.set("PGREQUIREAUTH", "none");
    check(&machine, "", false);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn s178_s179_a_connection_lost_while_an_editor_is_open() {
    let mut machine = Audited::new();
    let server = server(ACCESS, None);
    machine.ask(&[&url(&server)]);
    machine.desk.theirs_encrypts("a.yaml", "a: 1\n", &[]);
    let before = machine.desk.bytes("a.yaml");
    let statement = |sql: &str| {
        format!(
            "{} -h {} -p {} -U postgres -d postgres -qAtc \"{sql}\" >/dev/null",
            incumbents::psql().display(),
            server.sockets().display(),
            server.port()
        )
    };
    let editor = |machine: &mut Audited, first: &str| {
        machine.desk.write(
            "editor.sh",
            format!("{first} && sleep 1.5 && sed -i s/1/2/ \"$1\"\n"),
        );
        let script = machine.desk.path("editor.sh");
        machine
            .desk
            .set("EDITOR", format!("sh {}", script.display()));
    };
    // The server throws everybody out, as one that is started anew does.
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'sops'";
    let kick = statement(others);
    editor(&mut machine, &kick);
    let here = machine.desk.work().canonicalize().unwrap();
    for whose in BOTH {
        machine.desk.write("a.yaml", &before);
        machine.run(whose, &["edit", "a.yaml"], b"").good();
        let expected =
            ["decrypt", "encrypt"].map(|action| format!("{action}|root|{}/a.yaml", here.display()));
        assert_eq!(rows(&server), expected, "{whose:?}");
    }
    // It no longer takes rows: what was edited is not written.
    let close = statement("REVOKE INSERT ON audit_event FROM sops");
    editor(&mut machine, &close);
    for whose in BOTH {
        server.sql("GRANT INSERT ON audit_event TO sops").unwrap();
        machine.desk.write("a.yaml", &before);
        machine.run(whose, &["edit", "a.yaml"], b"").fails(1);
        assert_eq!(machine.desk.bytes("a.yaml"), before, "{whose:?}");
        assert_eq!(rows(&server).len(), 1, "{whose:?}");
    }
}
