//! The record of what is done (`docs/src/auditing.md`), beside the real program on the same PostgreSQL server.

use std::path::PathBuf;
use std::process::Command;

use sealwright_tests::harness::postgres::{Postgres, ServerIdentity};
use sealwright_tests::harness::upstream;

use super::{Desk, Ran, Whose, run};

#[path = "audit/connection_strings.rs"]
mod connection_strings;
#[path = "audit/refusals.rs"]
mod refusals;

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
            upstream::psql().display(),
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
    // The server drops all connections, as a restart does.
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

/// The real program waits for ever.
#[test]
fn s179_a_server_that_hangs_while_an_editor_is_open() {
    let mut machine = Audited::new();
    let server = server(ACCESS, None);
    machine.ask(&[&(url(&server) + "&connect_timeout=2")]);
    machine.desk.theirs_encrypts("a.yaml", "a: 1\n", &[]);
    let before = machine.desk.bytes("a.yaml");
    let postmaster = server.pid().unwrap();
    machine.desk.write(
        "editor.sh",
        format!(
            "{} -h {} -p {} -U postgres -d postgres -qAtc \"SELECT pid FROM pg_stat_activity WHERE usename = 'sops'\" >backends\n\
             kill -STOP {postmaster} $(cat backends) && sleep 1.5 && sed -i s/1/2/ \"$1\"\n",
            upstream::psql().display(),
            server.sockets().display(),
            server.port()
        ),
    );
    let script = machine.desk.path("editor.sh");
    machine
        .desk
        .set("EDITOR", format!("sh {}", script.display()));
    let ran = machine.run(Whose::Ours, &["edit", "a.yaml"], b"");
    let stopped = format!("kill -CONT {postmaster} {}", machine.desk.read("backends"));
    run(
        Command::new("sh").args(["-c", &stopped.replace('\n', " ")]),
        b"",
    )
    .good();
    let err = ran.fails(1);
    assert!(err.contains("no answer in time"), "{err}");
    assert_eq!(machine.desk.bytes("a.yaml"), before);
    assert_eq!(rows(&server).len(), 1);
}
