//! `kubeseal` before a cluster: who it says it is, where it asks, and what it makes of the answers, beside the real one.
//! Every user has a token: without any credential the real one asks the terminal for a name and a password
//! (`terminal.rs`).

use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use serde_json::json;

use super::door::{Answers, Asked, Door};
use super::{BOTH, Bench, Program, SECRET};

impl Bench {
    /// A door that serves this bench's certificate.
    fn door(&self, answers: Answers) -> Door {
        Door::open(Answers {
            certificate: self.read("cert.pem"),
            ..answers
        })
    }

    /// Runs both programs on the same door and compares what they ask; gives what they said.
    fn asked_alike(
        &self,
        door: &Door,
        args: &[&str],
        env: &[(&str, &str)],
        input: &str,
    ) -> ([Output; 2], Vec<Asked>) {
        door.asked();
        let mut asked = Vec::new();
        let outputs = BOTH.map(|program| {
            let output = self.run_with(program, args, env, input);
            asked.push(door.asked());
            output
        });
        let compact = |asked: &[Asked]| -> Vec<_> {
            asked
                .iter()
                .map(|asked| {
                    (
                        asked.method.clone(),
                        asked.path.clone(),
                        asked.who.clone(),
                        parsed(&asked.body),
                    )
                })
                .collect()
        };
        assert_eq!(
            compact(&asked[1]),
            compact(&asked[0]),
            "{args:?} {env:?} {:?}",
            outputs.each_ref().map(told)
        );
        (outputs, asked.swap_remove(1))
    }
}

fn parsed(body: &str) -> serde_json::Value {
    serde_json::from_str(body).unwrap_or_else(|_| body.into())
}

fn told(output: &Output) -> (String, String, Option<i32>) {
    (
        String::from_utf8(output.stdout.clone()).unwrap(),
        String::from_utf8(output.stderr.clone()).unwrap(),
        output.status.code(),
    )
}

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
fn k35_the_environment_leads_where_it_leads_the_incumbent() {
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
fn k58_k59_the_namespace_comes_from_flag_context_or_default() {
    let bench = Bench::new();
    let door = bench.door(Answers::default());
    bench.write("config", &door.kubeconfig(&json!({ "token": "t" })));
    let bare = "kind: Secret\nmetadata: {name: a}\nstringData: {a: b}\n";
    let cases: &[&[&str]] = &[
        &["--kubeconfig", "config"],
        &["--kubeconfig", "config", "--context", "other"],
        &["--kubeconfig", "config", "-n", "flagged"],
        &["-n", "flagged"],
        &["--kubeconfig", "config", "--scope", "cluster-wide"],
        &["--kubeconfig", "config", "--scope", "namespace-wide"],
    ];
    for case in cases {
        let args = [&["--cert", "cert.pem", "-o", "yaml"], *case].concat();
        let [theirs, ours] = BOTH.map(|program| super::masked(&bench.ok(program, &args, bare)));
        assert_eq!(ours, theirs, "{case:?}");
    }
    // Without any kubeconfig: sealing misses the namespace, one value misses the configuration.
    for args in [
        &["--cert", "cert.pem"][..],
        &["--cert", "cert.pem", "--raw", "--name", "x"],
    ] {
        let [theirs, ours] = BOTH.map(|program| told(&bench.run(program, args, bare)));
        assert_eq!((ours.2, theirs.2), (Some(1), Some(1)), "{args:?}");
        assert_eq!(ours.1.lines().next(), theirs.1.lines().next(), "{args:?}");
    }
    let [theirs, ours] = BOTH
        .map(|program| told(&bench.run(program, &["--cert", "cert.pem", "-n", "other"], SECRET)));
    assert_eq!(ours, theirs, "a contradiction");
}

#[test]
fn k58_k81_a_kubeconfig_that_leads_nowhere_gives_no_namespace() {
    let bench = Bench::new();
    let door = bench.door(Answers::default());
    let whole: serde_json::Value =
        serde_json::from_str(&door.kubeconfig(&json!({ "token": "t" }))).unwrap();
    let write = |name: &str, change: &dyn Fn(&mut serde_json::Value)| {
        let mut config = whole.clone();
        change(&mut config);
        bench.write(name, &config.to_string());
    };
    write("config", &|_| {});
    write("gone", &|config| config["current-context"] = "gone".into());
    write("unset", &|config| config["current-context"] = "".into());
    write("lost", &|config| {
        config["contexts"][0]["context"]["cluster"] = "gone".into();
    });
    write("mute", &|config| {
        config["clusters"][0]["cluster"] = json!({});
    });
    let bare = "kind: Secret\nmetadata: {name: a}\nstringData: {a: b}\n";
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);
    let cases: &[Case<'_>] = &[
        (&["--kubeconfig", "config", "--context", "stagin"], &[]),
        (&["--kubeconfig", "config", "--cluster", "absent"], &[]),
        (&["--kubeconfig", "gone"], &[]),
        (&["--kubeconfig", "unset"], &[]),
        (&["--kubeconfig", "lost"], &[]),
        (&["--kubeconfig", "mute"], &[]),
        (&["--certificate-authority", "cert.pem"], &[]),
        (&[], &[("KUBECONFIG", "/dev/null")]),
        (&[], &[("POD_NAMESPACE", "of-pod")]),
    ];
    for (flags, env) in cases {
        for mode in [&[][..], &["--raw", "--name", "x"]] {
            let args = [&["--cert", "cert.pem"], *flags, mode].concat();
            let [theirs, ours] =
                BOTH.map(|program| told(&bench.run_with(program, &args, env, bare)));
            assert_eq!((ours.2, theirs.2), (Some(1), Some(1)), "{args:?} {ours:?}");
            assert_eq!(ours.0, "", "{args:?}");
            assert_eq!(
                ours.1.lines().next(),
                theirs.1.lines().next(),
                "{args:?} {env:?}"
            );
        }
        // Nor does one of them lead to a controller.
        let args = [&["--fetch-cert"], *flags].concat();
        let (outputs, asked) = bench.asked_alike(&door, &args, env, "");
        assert!(asked.is_empty(), "{args:?} {asked:?}");
        let codes = outputs.each_ref().map(|output| output.status.code());
        assert_eq!(codes, [Some(1), Some(1)], "{args:?}");
    }
    // Of several files, the first that names a context does.
    let list = format!("{0}unset:{0}config", bench.path("").display());
    for flags in [
        &["--kubeconfig", "unset", "--server", "https://127.0.0.1:1"][..],
        &[],
    ] {
        let args = [&["--cert", "cert.pem", "-o", "yaml"], flags].concat();
        let env = [("KUBECONFIG", list.as_str())];
        let [theirs, ours] = BOTH.map(|program| {
            let output = bench.run_with(program, &args, &env, bare);
            super::masked(&told(&output).0)
        });
        assert_eq!(ours, theirs, "{flags:?}");
        let namespace = match flags {
            [] => "  namespace: from-main",
            _ => "  namespace: default",
        };
        assert!(
            ours.lines().any(|line| line == namespace),
            "{flags:?}: {ours}"
        );
    }
}

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
        super::masked(&String::from_utf8(output.stdout).unwrap())
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
