//! Which namespace objects get, from flags and kubeconfigs.

use serde_json::json;

use super::super::door::Answers;
use super::super::{BOTH, Bench, SECRET, masked};
use super::told;

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
        let [theirs, ours] = BOTH.map(|program| masked(&bench.ok(program, &args, bare)));
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
            masked(&told(&output).0)
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
