//! Connection strings, by both programs against one server.

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sealwright_tests::harness::postgres::ServerIdentity;

use super::{Audited, BOTH, PASSWORD, Whose, server};

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
    let sockets = server.sockets().to_str().unwrap().to_owned();
    let url = |user: &str, host: &str, more: &str| {
        format!("postgres://{user}:{PASSWORD}@{host}:{port}/postgres?{more}")
    };
    let pairs = |more: &str| format!("port={port} user=sops dbname=postgres {more}");
    let key_pair = |more: &str| pairs(&format!("host=127.0.0.1 password={PASSWORD} {more}"));

    let tls = |host: &str, more: &str| url("sops", host, more);
    // A connection string, and whether it leads to a row.
    let cases: Vec<(String, bool)> = vec![
        // Encryption.
        (tls("127.0.0.1", ""), true),
        (url("encrypted", "127.0.0.1", ""), true),
        (url("encrypted", "127.0.0.1", "sslmode=require"), true),
        (url("encrypted", "127.0.0.1", "sslmode=disable"), false),
        (url("plain", "127.0.0.1", "sslmode=disable"), true),
        (url("plain", "127.0.0.1", "sslmode=require"), false),
        (url("legacy", "127.0.0.1", "sslmode=require"), true),
        (url("legacy", "127.0.0.1", "sslmode=disable"), true),
        // Verification.
        (
            tls(
                "localhost",
                &format!("sslmode=verify-full&sslrootcert={root}"),
            ),
            true,
        ),
        (
            tls(
                "127.0.0.1",
                &format!("sslmode=verify-full&sslrootcert={root}"),
            ),
            false,
        ),
        (
            tls(
                "127.0.0.1",
                &format!("sslmode=verify-ca&sslrootcert={root}"),
            ),
            true,
        ),
        (
            tls("127.0.0.1", &format!("sslmode=require&sslrootcert={root}")),
            true,
        ),
        (
            tls(
                "localhost",
                &format!("sslmode=verify-full&sslrootcert={itself}"),
            ),
            true,
        ),
        (
            tls(
                "127.0.0.1",
                &format!("sslmode=verify-full&sslrootcert={itself}"),
            ),
            false,
        ),
        (
            tls(
                "127.0.0.1",
                &format!("sslmode=verify-ca&sslrootcert={itself}"),
            ),
            true,
        ),
        (
            tls(
                "localhost",
                &format!("sslmode=verify-full&sslrootcert={other}"),
            ),
            false,
        ),
        (
            tls(
                "localhost",
                &format!("sslmode=verify-ca&sslrootcert={other}"),
            ),
            false,
        ),
        (
            tls("localhost", &format!("sslmode=require&sslrootcert={other}")),
            false,
        ),
        (
            tls("localhost", "sslmode=verify-ca&sslrootcert=/nowhere.pem"),
            false,
        ),
        (tls("localhost", "sslmode=verify-ca"), false),
        (tls("localhost", "sslmode=verify-full"), false),
        // Forms and places.
        (key_pair("sslmode=disable"), true),
        (key_pair("sslmode = 'disable'\n connect_timeout='5'"), true),
        (key_pair("sslmode=bad"), false),
        (pairs(&format!("host={sockets} password={PASSWORD}")), true),
        (
            format!("postgres://sops:{PASSWORD}@/postgres?host={sockets}&port={port}"),
            true,
        ),
        (pairs("host=127.0.0.1"), false),
        (pairs("host=127.0.0.1 password=wrong"), false),
    ];
    // What upstream's client takes and this program refuses by name.
    let refused = [
        (url("sops", "127.0.0.1", "sslmode=prefer"), "sslmode"),
        (key_pair("hostaddr=127.0.0.1"), "hostaddr"),
        (key_pair("search_path=elsewhere"), "search_path"),
        (key_pair("options='-c search_path=elsewhere'"), "options"),
        (key_pair("application_name=a"), "application_name"),
        (pairs("host=127.0.0.1 passfile=/nowhere"), "passfile"),
        (key_pair("sslnegotiation=postgres"), "sslnegotiation"),
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
    for (string, name) in &refused {
        let (found, err) = rows_of(&machine, Whose::Ours, string);
        assert_eq!(found, [""; 0], "{string}");
        assert!(err.contains(&format!("`{name}`")), "{string}: {err}");
    }
    // Where the mode says `require`, a server is verified with authorities that the user keeps.
    let kept = machine.desk.home().join(".postgresql");
    std::fs::create_dir(&kept).unwrap();
    let kept = kept.join("root.crt");
    std::fs::copy(&root, &kept).unwrap();
    check(&machine, &tls("127.0.0.1", "sslmode=require"), true);
    std::fs::copy(&other, &kept).unwrap();
    check(&machine, &tls("127.0.0.1", "sslmode=require"), false);
    check(&machine, &tls("127.0.0.1", ""), true);
    std::fs::remove_file(&kept).unwrap();
    // The password alone may come from a variable.
    machine.desk.set("PGPASSWORD", PASSWORD);
    check(&machine, &pairs("host=127.0.0.1"), true);
    machine.desk.set("PGHOST", "127.0.0.1");
    check(&machine, &pairs("host=127.0.0.1"), true);
    let (found, err) = rows_of(&machine, Whose::Ours, &pairs(""));
    assert_eq!(found, [""; 0]);
    assert!(err.contains("PGHOST"), "{err}");
    machine.desk.set("PGREQUIREAUTH", "none");
    check(&machine, &pairs("host=127.0.0.1"), false);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
