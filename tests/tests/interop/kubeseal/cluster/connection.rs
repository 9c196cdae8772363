//! Who `kubeseal` says it is, where it asks, and how it gets there.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::super::door::Answers;
use super::super::{BOTH, Bench, Program, SECRET};
use super::told;

#[test]
fn k22_to_k40_k81_who_asks_and_where() {
    let bench = Bench::new();
    let door = bench.door(Answers::default());
    bench.write("config", &door.kubeconfig(&json!({ "token": "of-u" })));
    bench.write("ca.pem", &door.authority);
    let server = format!("https://127.0.0.1:{}", door.port);
    let by_name = format!("https://localhost:{}", door.port);
    let plain = format!("http://127.0.0.1:{}", door.port);
    let cases: &[&[&str]] = &[
        &[],
        &["--context", "other"],
        &["--user", "v"],
        &["--cluster", "c"],
        &["--token", "from-flag"],
        &["--as", "someone"],
        &[
            "--as",
            "someone",
            "--as-uid",
            "77",
            "--as-group",
            "a",
            "--as-group",
            "b,c",
        ],
        &["--server", &server],
        // No credential is shown over plain HTTP.
        &["--server", &plain],
        &[
            "--server",
            &plain,
            "--token",
            "from-flag",
            "--as",
            "someone",
        ],
        &["--server", &by_name],
        &[
            "--server",
            &by_name,
            "--tls-server-name",
            "api.cluster.invalid",
        ],
        &["--server", &by_name, "--insecure-skip-tls-verify"],
        &["--server", &server, "--certificate-authority", "ca.pem"],
        &["--server", &server, "--certificate-authority", "cert.pem"],
        &["--request-timeout", "5s"],
        &["--request-timeout", "90"],
        &["--request-timeout", "1500ms"],
        &["--request-timeout", "0"],
        &["--request-timeout", "soon"],
        &["--disable-compression"],
        &["--controller-namespace", "elsewhere"],
        &["--context", "absent"],
        &["--cluster", "absent"],
        &["--user", "absent"],
    ];
    for case in cases {
        let args = [&["--kubeconfig", "config", "--fetch-cert"], *case].concat();
        let (outputs, _) = bench.asked_alike(&door, &args, &[], "");
        assert_eq!(
            outputs[0].status.code(),
            outputs[1].status.code(),
            "{case:?}"
        );
    }
    for user in [
        json!({ "username": "me", "password": "pw" }),
        json!({ "token": "t", "as": "them", "as-groups": ["x", "y"], "as-user-extra": { "scope": ["z"] } }),
        json!({ "tokenFile": bench.path("token") }),
        json!({ "token": "direct", "tokenFile": bench.path("token") }),
    ] {
        bench.write("token", "from-file\n");
        bench.write("config", &door.kubeconfig(&user));
        let (outputs, _) =
            bench.asked_alike(&door, &["--kubeconfig", "config", "--fetch-cert"], &[], "");
        assert!(
            outputs[1].status.success(),
            "{user}: {:?}",
            told(&outputs[1])
        );
    }
}

#[test]
fn k26_k34_k36_flags_about_tls_count_more_than_a_kubeconfig() {
    let bench = Bench::new();
    let door = bench.door(Answers::default());
    bench.write("ca.pem", &door.authority);
    let server = format!("https://127.0.0.1:{}", door.port);
    let by_name = format!("https://localhost:{}", door.port);
    let whole: serde_json::Value =
        serde_json::from_str(&door.kubeconfig(&json!({ "token": "t" }))).unwrap();
    let write = |name: &str, cluster: serde_json::Value| {
        let mut config = whole.clone();
        config["clusters"][0]["cluster"] = cluster;
        bench.write(name, &config.to_string());
    };
    let authority = whole["clusters"][0]["cluster"]["certificate-authority-data"].clone();
    write(
        "insecure",
        json!({ "server": server, "insecure-skip-tls-verify": true }),
    );
    write(
        "named",
        json!({ "server": by_name, "tls-server-name": "api.cluster.invalid",
                "certificate-authority-data": authority.clone() }),
    );
    write(
        "both",
        json!({ "server": server, "insecure-skip-tls-verify": true,
                "certificate-authority-data": authority }),
    );
    // How often the door is asked: for the Service and the certificate, or not at all.
    let cases: &[(&str, &[&str], usize)] = &[
        ("insecure", &[], 2),
        ("insecure", &["--certificate-authority", "ca.pem"], 2),
        ("insecure", &["--certificate-authority", "cert.pem"], 0),
        (
            "insecure",
            &[
                "--certificate-authority",
                "ca.pem",
                "--insecure-skip-tls-verify",
            ],
            0,
        ),
        ("named", &[], 2),
        ("named", &["--server", &by_name], 0),
        (
            "named",
            &[
                "--server",
                &by_name,
                "--tls-server-name",
                "api.cluster.invalid",
            ],
            2,
        ),
        ("both", &[], 0),
        ("both", &["--insecure-skip-tls-verify"], 2),
    ];
    for (config, flags, times) in cases {
        let args = [&["--kubeconfig", *config, "--fetch-cert"], *flags].concat();
        let (outputs, asked) = bench.asked_alike(&door, &args, &[], "");
        let codes = outputs.each_ref().map(|output| output.status.code());
        assert_eq!(codes[1], codes[0], "{config} {flags:?}");
        assert_eq!(asked.len(), *times, "{config} {flags:?}");
    }
}

#[test]
fn k81_a_plugin_gives_the_token() {
    let bench = Bench::new();
    let door = bench.door(Answers::default());
    bench.write(
        "plugin.sh",
        "#!/bin/sh\nprintf '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"%s-%s\"}}' \"$1\" \"$EXTRA\"\n",
    );
    std::fs::set_permissions(
        bench.path("plugin.sh"),
        std::fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    let exec = json!({ "exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": bench.path("plugin.sh"), "args": ["plugged"],
        "env": [{ "name": "EXTRA", "value": "in" }], "interactiveMode": "Never",
    } });
    bench.write("config", &door.kubeconfig(&exec));
    let (outputs, asked) = bench.asked_alike(
        &door,
        &["--kubeconfig", "config", "--fetch-cert"],
        &[("PATH", "/usr/bin:/bin")],
        "",
    );
    assert!(outputs[1].status.success(), "{:?}", told(&outputs[1]));
    assert_eq!(asked[0].who["authorization"], ["Bearer plugged-in"]);
}

#[test]
fn k81_kubeconfigs_are_found_as_kubectl_finds_them() {
    let bench = Bench::new();
    let door = bench.door(Answers::default());
    let whole: serde_json::Value =
        serde_json::from_str(&door.kubeconfig(&json!({ "token": "t" }))).unwrap();
    let part = |keys: &[&str]| {
        let mut part = whole.clone();
        part.as_object_mut()
            .unwrap()
            .retain(|key, _| keys.contains(&key.as_str()) || key == "kind" || key == "apiVersion");
        part.to_string()
    };
    bench.write("one", &part(&["clusters", "current-context"]));
    bench.write("two", &part(&["contexts", "users"]));
    std::fs::create_dir(bench.path(".kube")).unwrap();
    bench.write(".kube/config", &whole.to_string());
    let here = bench.path("");
    let list = format!("{0}one:{0}absent:{0}two", here.display());
    for env in [
        &[("KUBECONFIG", list.as_str())][..],
        &[],
        &[("KUBECONFIG", "")],
    ] {
        let (outputs, asked) = bench.asked_alike(&door, &["--fetch-cert"], env, "");
        assert!(
            outputs[1].status.success(),
            "{env:?}: {:?}",
            told(&outputs[1])
        );
        assert_eq!(asked.len(), 2);
    }
    // The flag's file has to be there; a missing one of the variable is as good as none.
    for (args, env) in [
        (&["--kubeconfig", "absent", "--fetch-cert"][..], &[][..]),
        (&["--fetch-cert"], &[("KUBECONFIG", "absent")]),
    ] {
        let (outputs, asked) = bench.asked_alike(&door, args, env, "");
        let [theirs, ours] = outputs.each_ref().map(told);
        assert_eq!(
            (ours.2, asked.len()),
            (theirs.2, 0),
            "{args:?} {env:?} {ours:?}"
        );
        assert_eq!(ours.2, Some(1));
    }
}

#[test]
fn k35_a_proxy_leads_to_the_api_server() {
    let bench = Bench::new();
    let door = bench.door(Answers::default());
    let mut config: serde_json::Value =
        serde_json::from_str(&door.kubeconfig(&json!({ "token": "t" }))).unwrap();
    // The name does not exist: only the proxy can lead there.
    config["clusters"][0]["cluster"]["server"] = "https://api.cluster.invalid:6443".into();
    bench.write("config", &config.to_string());
    let proxy = format!("http://127.0.0.1:{}", door.port);
    for program in BOTH {
        let args = [
            "--kubeconfig",
            "config",
            "--proxy-url",
            &proxy,
            "--fetch-cert",
        ];
        assert_eq!(
            bench.ok(program, &args, ""),
            bench.read("cert.pem"),
            "{program:?}"
        );
    }
    config["clusters"][0]["cluster"]["proxy-url"] = proxy.into();
    bench.write("config", &config.to_string());
    for program in BOTH {
        let args = ["--kubeconfig", "config", "--fetch-cert"];
        assert_eq!(
            bench.ok(program, &args, ""),
            bench.read("cert.pem"),
            "{program:?}"
        );
    }
}

#[test]
fn k35_the_environment_leads_where_it_leads_upstream() {
    let bench = Bench::new();
    let door = bench.door(Answers::default());
    let whole: serde_json::Value =
        serde_json::from_str(&door.kubeconfig(&json!({ "token": "t" }))).unwrap();
    let through = format!("http://127.0.0.1:{}", door.port);
    let through = through.as_str();
    let bare = through.trim_start_matches("http://");
    let far = "https://api.cluster.invalid:6443";
    for (name, server, proxy) in [
        ("near", None, None),
        ("far", Some(far), None),
        ("named", Some(far), Some(through)),
    ] {
        let mut config = whole.clone();
        let cluster = &mut config["clusters"][0]["cluster"];
        if let Some(server) = server {
            cluster["server"] = server.into();
        }
        if let Some(proxy) = proxy {
            cluster["proxy-url"] = proxy.into();
        }
        bench.write(name, &config.to_string());
    }
    let nobody = "http://127.0.0.1:1";
    // A kubeconfig, variables, whether the certificate comes, and whether through the proxy.
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], bool, bool);
    let cases: &[Case<'_>] = &[
        ("near", &[("HTTPS_PROXY", nobody)], true, false),
        (
            "near",
            &[("HTTPS_PROXY", nobody), ("NO_PROXY", "localhost,")],
            true,
            false,
        ),
        ("far", &[("HTTPS_PROXY", through)], true, true),
        ("far", &[("https_proxy", bare)], true, true),
        (
            "far",
            &[("HTTPS_PROXY", through), ("NO_PROXY", "127.0.0.1")],
            true,
            true,
        ),
        (
            "far",
            &[
                ("HTTPS_PROXY", through),
                ("NO_PROXY", "10.0.0.0/8, cluster.invalid:443,"),
            ],
            true,
            true,
        ),
        (
            "far",
            &[("HTTPS_PROXY", through), ("NO_PROXY", "*.cluster.invalid")],
            false,
            false,
        ),
        ("named", &[("NO_PROXY", "127.0.0.1")], true, true),
        (
            "named",
            &[("HTTPS_PROXY", nobody), ("no_proxy", "*")],
            true,
            true,
        ),
    ];
    for (config, env, comes, proxied) in cases {
        let args = [
            "--kubeconfig",
            *config,
            "--fetch-cert",
            "--request-timeout",
            "10s",
        ];
        for program in BOTH {
            door.asked();
            let output = bench.run_with(program, &args, env, "");
            let asked = door.asked();
            let seen = asked.iter().any(|asked| asked.method == "CONNECT");
            assert_eq!(
                (output.status.success(), seen),
                (*comes, *proxied),
                "{program:?} {config} {env:?} {:?}",
                told(&output)
            );
        }
    }
}

#[test]
fn k40_a_server_that_says_nothing_is_waited_for_as_long_as_was_asked() {
    let bench = Bench::new();
    let door = bench.door(Answers::default());
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("https://{}", silent.local_addr().unwrap());
    bench.write("config", &door.kubeconfig(&json!({ "token": "t" })));
    for program in BOTH {
        let start = std::time::Instant::now();
        let args = [
            "--kubeconfig",
            "config",
            "--server",
            &server,
            "--fetch-cert",
        ];
        let args = [&args[..], &["--request-timeout", "1s"]].concat();
        let (out, errors, code) = told(&bench.run(program, &args, ""));
        assert_eq!((out.as_str(), code), ("", Some(1)), "{program:?} {errors}");
        let took = start.elapsed().as_secs();
        assert!((1..20).contains(&took), "{program:?} took {took} s");
        if program == Program::Ours {
            assert!(
                errors.contains("no answer within the --request-timeout of 1s"),
                "{errors}"
            );
        }
    }
    // A limit that is none only matters when a cluster is asked.
    let args = ["--cert", "cert.pem", "--request-timeout", "soon"];
    let codes = BOTH.map(|program| bench.run(program, &args, SECRET).status.code());
    assert_eq!(codes, [Some(0), Some(0)]);
}
