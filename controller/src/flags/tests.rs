use super::table::hours;
use super::values::namespaces;
use super::*;

fn run(words: &[&str], environment: &[(&str, &str)]) -> Flags {
    match parse(
        Personality::SealedSecrets,
        words.iter().map(|word| (*word).to_owned()),
        |name| {
            environment
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        },
    )
    .unwrap()
    {
        Invocation::Run(flags) => *flags,
        _ => panic!("the controller should run"),
    }
}

fn refused(words: &[&str]) -> String {
    parse(
        Personality::SealedSecrets,
        words.iter().map(|word| (*word).to_owned()),
        |_| None,
    )
    .unwrap_err()
    .to_string()
}

#[test]
fn c1_to_c29_defaults_are_upstreams() {
    let flags = run(&[], &[]);
    assert_eq!(flags.key_prefix, "sealed-secrets-key");
    assert_eq!(flags.key_size, 4096);
    assert_eq!(flags.key_ttl, hours(87600));
    assert_eq!(flags.key_renew_period, hours(720));
    assert_eq!((flags.rate_limit, flags.rate_limit_burst), (2, 2));
    assert!(flags.all_namespaces && flags.update_status && flags.accept_deprecated_v1_data);
    assert_eq!(flags.listen_addr, ":8080");
    assert_eq!(flags.listen_metrics_addr, ":8081");
    assert_eq!(flags.max_unseal_retries, 5);
    assert_eq!(flags.read_timeout, Duration::from_secs(120));
}

#[test]
fn the_budget_of_templates_can_be_set() {
    assert_eq!(run(&[], &[]).template_limits, Limits::default());
    let limits = |time: u64, memory| Limits {
        time: Duration::from_millis(time),
        memory,
    };
    let words = ["--template-time-limit=500ms", "--template-memory-limit=4Mi"];
    assert_eq!(run(&words, &[]).template_limits, limits(500, 4 << 20));
    let environment = [("SEALED_SECRETS_TEMPLATE_MEMORY_LIMIT", "65536")];
    assert_eq!(run(&[], &environment).template_limits, limits(2000, 65536));
    for (word, reason) in [
        (
            "--template-time-limit=0s",
            "--template-time-limit must be more than 0",
        ),
        ("--template-memory-limit=0", "more than 0"),
        ("--template-memory-limit=16MB", "\"16MB\" is no size"),
        ("--template-memory-limit=99999999999Gi", "no size"),
        ("--template-memory-limit=-1", "no size"),
        ("--template-memory-limit=", "no size"),
    ] {
        let told = refused(&[word]);
        assert!(told.contains(reason), "{word}: {told}");
    }
}

#[test]
fn c24_no_client_side_limit_unless_asked_for() {
    assert_eq!(run(&[], &[]).kubeclient_qps, None);
    assert_eq!(run(&["--kubeclient-qps=-1"], &[]).kubeclient_qps, None);
    assert_eq!(
        run(&["--kubeclient-qps", "20"], &[]).kubeclient_qps,
        Some(20.0)
    );
}

#[test]
fn t28_the_command_line_wins_and_bad_environment_is_ignored() {
    let environment = [
        ("SEALED_SECRETS_KEY_SIZE", "2048"),
        ("SEALED_SECRETS_MY_CN", "env"),
        ("SEALED_SECRETS_KEY_TTL", "ten days"),
        ("SEALED_SECRETS_UPDATE_STATUS", ""),
    ];
    let flags = run(&["--my-cn=line"], &environment);
    assert_eq!((flags.key_size, flags.my_cn.as_str()), (2048, "line"));
    assert_eq!(flags.key_ttl, hours(87600));
    assert!(flags.update_status);
    let version = |name: &str| (name == "SEALED_SECRETS_VERSION").then(|| "1".to_owned());
    assert!(matches!(
        parse(Personality::SealedSecrets, [], version),
        Ok(Invocation::Version)
    ));
}

#[test]
fn c32_to_c34_help_errors_and_positional_arguments() {
    assert!(matches!(
        parse(Personality::SealedSecrets, ["-h".to_owned()], |_| None),
        Ok(Invocation::Usage(_))
    ));
    assert!(matches!(
        parse(Personality::SealedSecrets, ["--help".to_owned()], |_| None),
        Ok(Invocation::Usage(_))
    ));
    assert_eq!(refused(&["--nope"]), "unknown flag: --nope");
    assert_eq!(refused(&["-x"]), "unknown shorthand flag: 'x' in -x");
    assert_eq!(refused(&["--my-cn"]), "flag needs an argument: --my-cn");
    assert!(
        refused(&["--key-size=big"])
            .starts_with("invalid argument \"big\" for \"--key-size\" flag")
    );
    let flags = run(
        &[
            "controller",
            "--update-status=false",
            "more",
            "--skip-recreate",
        ],
        &[],
    );
    assert!(!flags.update_status && flags.skip_recreate);
    let usage = usage(Personality::SealedSecrets);
    assert!(usage.contains("--key-renew-period duration"));
    assert!(!usage.contains("rotate-period"));
}

#[test]
fn c12_c14_c15_what_panics_in_upstream_is_an_answer_here() {
    assert!(refused(&["--rate-limit=0"]).contains("at least 1"));
    let flags = run(&["--privatekey-labels", "a=b=c,broken, d=e"], &[]);
    assert_eq!(
        flags.privatekey_labels,
        [("a".into(), "b=c".into()), ("d".into(), "e".into())]
    );
    assert_eq!(flags.notices.len(), 1);
}

#[test]
fn c1_c8_bad_prefix_and_cutoff_are_fatal() {
    assert!(refused(&["--key-prefix=A"]).contains("illegal character A"));
    assert!(refused(&[&format!("--key-prefix={}", "a".repeat(246))]).contains("too long"));
    assert!(refused(&["--key-cutoff-time=tomorrow"]).contains("key-cutoff-time"));
    let flags = run(
        &["--key-cutoff-time", "Mon, 02 Jan 2006 15:04:05 -0700"],
        &[],
    );
    assert_eq!(flags.key_cutoff_time.unwrap().as_second(), 1_136_239_445);
}

#[test]
fn a_selector_that_the_api_server_would_refuse_is_fatal() {
    let expected = "invalid argument \"team in (a\" for \"--label-selector\" flag: at position 11: it ends, where a value, a comma or ) is expected";
    assert_eq!(refused(&["--label-selector=team in (a"]), expected);
    // Of the environment too: without the selector, objects of others would be taken.
    let environment = |name: &str| {
        let named = name == "SEALED_SECRETS_LABEL_SELECTOR";
        named.then(|| "team in (a".to_owned())
    };
    let error = parse(Personality::SealedSecrets, [], environment).unwrap_err();
    assert_eq!(error.to_string(), expected);
    let error = operator(&["--object-selector", "team=a b"]).unwrap_err();
    let expected = "invalid argument \"team=a b\" for \"--object-selector\" flag: at position 8: found \"b\", where a comma or the end is expected";
    assert_eq!(error.to_string(), expected);
    let flags = run(&["--label-selector=team notin (a,b),!x"], &[]);
    assert_eq!(flags.label_selector, "team notin (a,b),!x");
}

#[test]
fn t52_namespaces_are_trimmed_before_they_are_made_unique() {
    assert_eq!(namespaces("a, a,,b "), ["a", "b"]);
}

#[test]
fn c30_the_old_name_of_the_period_still_works() {
    let flags = run(&["--rotate-period=1h"], &[]);
    assert_eq!(flags.key_renew_period, hours(1));
    assert_eq!(flags.notices.len(), 1);
}

fn operator(words: &[&str]) -> Result<Invocation, FlagError> {
    let words = words.iter().map(|word| (*word).to_owned());
    // The environment is upstream's of Sealed Secrets only.
    parse(Personality::ExternalSecrets, words, |_| {
        Some("x".to_owned())
    })
}

fn operator_flags(words: &[&str]) -> Flags {
    match operator(words).unwrap() {
        Invocation::Run(flags) => *flags,
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_flag_has_two_meanings() {
    for definition in OPERATOR {
        let other = SEALED_SECRETS
            .iter()
            .find(|one| one.name == definition.name);
        assert!(other.is_none(), "{}", definition.name);
    }
}

#[test]
fn the_personality_is_the_name_or_the_first_word() {
    let choose = |program: &str, words: &[&str]| {
        let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let personality = Personality::choose(program, &mut words);
        (personality, words)
    };
    let external = Personality::ExternalSecrets;
    assert_eq!(choose("/bin/external-secrets", &["webhook"]).0, external);
    let (personality, rest) = choose(
        "sealwright-controller",
        &["external-secrets", "--concurrent=2"],
    );
    assert_eq!(
        (personality, rest),
        (external, vec!["--concurrent=2".to_owned()])
    );
    let (personality, rest) = choose("controller", &["controller", "--my-cn=x"]);
    assert_eq!((personality, rest.len()), (Personality::SealedSecrets, 2));
}

#[test]
fn e1_to_e32_defaults_are_upstreams() {
    let flags = operator_flags(&[]);
    assert_eq!(flags.listen_metrics_addr, ":8080");
    assert_eq!(flags.live_addr.as_deref(), Some(":8082"));
    assert!(!flags.sealed_secrets && flags.election.is_none());
    assert_eq!(flags.log.form, log::Form::Zap(log::ZapTime::Epoch));
    let external = flags.external_secrets.unwrap();
    assert_eq!(external.controller_class, "default");
    assert_eq!(external.object_selector, "");
    assert!(external.namespaces.is_empty());
    assert_eq!(external.concurrent, 12);
    assert_eq!(external.store_requeue_interval, Duration::from_secs(300));
    assert_eq!(external.generator_gc_grace_period, Duration::from_secs(120));
    assert!(external.cluster_stores && external.secret_stores && external.push_secrets);
    assert!(external.flood_gate && external.generator_state);
    assert!(!external.generic_targets && !external.extended_metric_labels);
    assert_eq!(external.template_delimiters, ("{{".into(), "}}".into()));
    // As the other personality it is off, and its addresses are not upstream's of the operator.
    let flags = run(&[], &[]);
    assert_eq!((flags.external_secrets, flags.live_addr), (None, None));
}

#[test]
fn e6_to_e11_election_and_limits() {
    let flags = operator_flags(&[
        "--enable-leader-election",
        "--leader-election-id=own",
        "--leader-election-lease-duration=30s",
        "--leader-election-renew-deadline=20s",
        "--leader-election-retry-period=4s",
        "--client-qps=10",
        "--client-burst=20",
    ]);
    let election = flags.election.unwrap();
    assert_eq!(election.lease, "own");
    let times = [election.duration, election.deadline, election.period];
    assert_eq!(times.map(|time| time.as_secs()), [30, 20, 4]);
    assert_eq!(
        (flags.kubeclient_qps, flags.kubeclient_burst),
        (Some(10.0), 20)
    );
    let short = [
        "--enable-leader-election",
        "--leader-election-lease-duration=9s",
    ];
    assert!(
        operator(&short)
            .unwrap_err()
            .to_string()
            .contains("longer than")
    );
    let lease = operator_flags(&["--enable-leader-election"])
        .election
        .unwrap()
        .lease;
    assert_eq!(lease, "external-secrets-controller");
}

#[test]
fn e41_to_e57_the_helpers_are_commands() {
    let helper = |words: &[&str]| match operator(words).unwrap() {
        Invocation::Helper(flags) => *flags,
        other => panic!("{other:?}"),
    };
    // As upstream's chart calls them.
    let flags = helper(&[
        "webhook",
        "--port=10250",
        "--dns-name=external-secrets-webhook.default.svc",
        "--cert-dir=/tmp/certs",
        "--check-interval=5m",
        "--metrics-addr=:8080",
        "--healthz-addr=:8081",
        "--loglevel=info",
        "--zap-time-encoding=epoch",
    ]);
    assert_eq!(
        (flags.metrics_addr.as_str(), flags.healthz_addr.as_str()),
        (":8080", ":8081")
    );
    assert!(matches!(
        flags.work,
        external_secrets::HelperWork::Webhook { port: 10_250, .. }
    ));
    let flags = helper(&[
        "certcontroller",
        "--crd-requeue-interval=5m",
        "--service-name=external-secrets-webhook",
        "--service-namespace=default",
        "--secret-name=external-secrets-webhook",
        "--secret-namespace=default",
        "--metrics-addr=:8080",
        "--healthz-addr=:8081",
        "--loglevel=info",
        "--zap-time-encoding=epoch",
        "--enable-partial-cache=true",
    ]);
    let interval = Duration::from_secs(300);
    assert_eq!(
        flags.work,
        external_secrets::HelperWork::CertController { interval }
    );
    assert_eq!(
        operator(&["serve"]).unwrap_err().to_string(),
        "unknown command \"serve\" for \"external-secrets\""
    );
    assert_eq!(
        operator(&["webhook", "--concurrent=1"])
            .unwrap_err()
            .to_string(),
        "unknown flag: --concurrent"
    );
    // Documented by upstream, and never there.
    assert!(operator(&["--pulumi-oidc-cache-size=1"]).is_err());
}

#[test]
fn e2_to_e4_metrics_are_not_left_open_by_a_flag_that_closes_them() {
    let error = |words: &[&str]| operator(words).unwrap_err().to_string();
    assert_eq!(
        error(&["--metrics-auth"]),
        "--metrics-auth needs --metrics-secure"
    );
    let closed = ["--metrics-auth", "--metrics-secure"];
    assert!(error(&closed).contains("--metrics-cert-dir"));
    assert!(operator_flags(&[closed[0], closed[1], "--metrics-cert-dir=/etc/tls"]).metrics_auth);
    assert!(!operator_flags(&[]).metrics_auth);
    assert!(error(&["--metrics-secure"]).contains("--metrics-cert-dir"));
    let folder = ["--metrics-secure", "--metrics-cert-dir=/etc/tls"];
    let tls = operator_flags(&folder).metrics_tls.unwrap();
    assert_eq!(tls.certificate, std::path::Path::new("/etc/tls/tls.crt"));
    assert!(error(&[folder[0], folder[1], "--tls-min-version=1.1"]).contains("1.1"));
}

#[test]
fn refresh_flags_need_an_address() {
    let refresh = |words: &[&str]| operator_flags(words).external_secrets.unwrap().refresh;
    assert_eq!(refresh(&[]), None);
    let server = refresh(&["--refresh-addr=:8084", "--refresh-token-file=/t"]).unwrap();
    assert_eq!(server.listen, ":8084");
    assert_eq!(server.token_file, Some("/t".into()));
    assert_eq!(server.tls, None);
    let server = refresh(&["--refresh-addr=:8084", "--refresh-cert-dir=/tls"]).unwrap();
    assert_eq!(server.token_file, None);
    let tls = server.tls.unwrap();
    assert_eq!(tls.key, std::path::Path::new("/tls/tls.key"));
    for alone in ["--refresh-token-file=/t", "--refresh-cert-dir=/tls"] {
        let error = operator(&[alone]).unwrap_err().to_string();
        assert!(error.contains("--refresh-addr"), "{error}");
    }
}

#[test]
fn either_side_can_be_switched_on_and_off() {
    let flags = operator_flags(&["--enable-sealed-secrets", "--key-size=2048"]);
    assert!(flags.sealed_secrets && flags.external_secrets.is_some());
    assert_eq!(
        (flags.key_size, flags.listen_addr.as_str()),
        (2048, ":8083")
    );
    let both = run(&["--enable-external-secrets", "--concurrent=3"], &[]);
    assert_eq!(both.external_secrets.unwrap().concurrent, 3);
    assert!(refused(&["--enable-sealed-secrets=false"]).contains("nothing to do"));
}
