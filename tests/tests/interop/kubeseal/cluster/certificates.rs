//! Certificates from a controller, from addresses and from files.

use serde_json::json;

use super::super::door::Answers;
use super::super::{BOTH, Bench, SECRET, masked};
use super::told;

#[test]
fn k66_to_k69_t19_the_certificate_comes_through_the_service_proxy() {
    for port_name in ["", "http"] {
        let bench = Bench::new();
        let door = bench.door(Answers {
            port_name,
            ..Answers::default()
        });
        bench.write("config", &door.kubeconfig(&json!({ "token": "t" })));
        let args = ["--kubeconfig", "config", "--fetch-cert"];
        let (outputs, asked) = bench.asked_alike(&door, &args, &[], "");
        for output in &outputs {
            assert_eq!(
                told(output),
                (bench.read("cert.pem"), String::new(), Some(0))
            );
        }
        assert_eq!(
            asked[1].path,
            format!(
                "/api/v1/namespaces/kube-system/services/http:sealed-secrets-controller:{port_name}/proxy/v1/cert.pem"
            )
        );
        assert_eq!(asked[1].accept, "application/x-pem-file, */*");
    }
}

#[test]
fn k67_a_service_that_is_not_there_is_named_with_the_flags_that_name_it() {
    let bench = Bench::new();
    let door = bench.door(Answers::default());
    bench.write("config", &door.kubeconfig(&json!({ "token": "t" })));
    let args = [
        "--kubeconfig",
        "config",
        "--fetch-cert",
        "--controller-name",
        "absent",
    ];
    let (outputs, _) = bench.asked_alike(&door, &args, &[], "");
    let [theirs, ours] = outputs.each_ref().map(told);
    assert_eq!(ours.2, Some(1));
    assert_eq!(
        (ours.1.trim_end(), ours.2),
        (theirs.1.trim_end(), theirs.2),
        "message and code"
    );
}

#[test]
fn k70_certificates_come_from_urls_and_variables_too() {
    let bench = Bench::new();
    let door = bench.door(Answers::default());
    let url = format!(
        "http://127.0.0.1:{}/api/v1/namespaces/kube-system/services/http:sealed-secrets-controller:/proxy/v1/cert.pem",
        door.port
    );
    let file = format!("file://{}", bench.path("cert.pem").display());
    for cert in [url.as_str(), &file, "cert.pem", "./cert.pem"] {
        for program in BOTH {
            let echoed = bench.ok(program, &["--cert", cert, "--fetch-cert"], "");
            assert_eq!(echoed, bench.read("cert.pem"), "{program:?} {cert}: K66");
        }
    }
    let env = [
        ("SEALED_SECRETS_CERT", "cert.pem"),
        ("SEALED_SECRETS_FORMAT", "yaml"),
    ];
    let [theirs, ours] = BOTH.map(|program| {
        let output = bench.run_with(program, &[], &env, SECRET);
        masked(&String::from_utf8(output.stdout).unwrap())
    });
    assert_eq!(ours, theirs, "K42");
    for missing in [
        format!("http://127.0.0.1:{}/absent.pem", door.port),
        "absent.pem".to_owned(),
    ] {
        let [theirs, ours] =
            BOTH.map(|program| told(&bench.run(program, &["--cert", &missing], SECRET)));
        assert_eq!((ours.2, theirs.2), (Some(1), Some(1)), "{missing}");
        assert_eq!(ours.1, theirs.1, "I13: {missing}");
    }
}

#[test]
fn k70_urls_of_certificates_name_users_and_lead_elsewhere() {
    let bench = Bench::new();
    let door = bench.door(Answers::default());
    let here = format!("127.0.0.1:{}", door.port);
    let there = format!("localhost:{}", door.port);
    let abroad = format!("to/http://{there}/hops/1");
    let as_another = format!("to/http://you:too@{here}/hops/1");
    // What stands before the host, the path, and how often is asked, if a certificate comes.
    let cases: &[(&str, &str, Option<usize>)] = &[
        ("", "hops/0", Some(1)),
        ("", "hops/9", Some(10)),
        ("", "hops/10", None),
        ("me:p%40ss@", "hops/2", Some(3)),
        ("me@", "hops/0", Some(1)),
        ("me:p%40ss@", abroad.as_str(), Some(3)),
        ("me:p%40ss@", as_another.as_str(), Some(3)),
        ("me:p%40ss@", "to/ftp://files.example/cert.pem", None),
        ("me:p%40ss@", "absent.pem", None),
    ];
    for (user, path, times) in cases {
        let url = format!("http://{user}{here}/{path}");
        let args = ["--cert", &url, "--fetch-cert"];
        let (outputs, asked) = bench.asked_alike(&door, &args, &[], "");
        let [theirs, ours] = outputs.each_ref().map(told);
        assert_eq!((&ours.0, ours.2), (&theirs.0, theirs.2), "{url}");
        match times {
            Some(times) => assert_eq!(
                (ours.0, asked.len()),
                (bench.read("cert.pem"), *times),
                "{url}"
            ),
            None => {
                assert_eq!(ours.2, Some(1), "{url}");
                assert!(!ours.1.contains("p%40ss"), "{}", ours.1);
            }
        }
    }
    // Plain requests go to a proxy as they are, whatever port they are for.
    let proxy = format!("http://{here}");
    let args = ["--cert", "http://certs.invalid/hops/1", "--fetch-cert"];
    let env = [("HTTP_PROXY", proxy.as_str())];
    let (outputs, asked) = bench.asked_alike(&door, &args, &env, "");
    assert_eq!(
        told(&outputs[1]),
        (bench.read("cert.pem"), String::new(), Some(0))
    );
    assert_eq!(asked.len(), 2);
}
