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
