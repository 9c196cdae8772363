//! The flags of the Sealed Secrets controller and of the External Secrets Operator, and a few of our own.
//!
//! The syntax is that of Go programs: `--flag value` or `--flag=value`, a switch is on when it is named and off with
//! `--flag=false`. No flag of one upstream program has the name of one of the other, so both personalities take all of
//! them; a personality decides the defaults, how logs look, and how a wrong command line is answered.
//!
//! As Sealed Secrets, words that are no flags are ignored, and every flag can also be given as `SEALED_SECRETS_<FLAG>`: the
//! command line wins over the environment, and an invalid value in the environment is ignored, as upstream does it. As
//! External Secrets, a word that is no flag is a command.

pub(crate) mod external_secrets;
mod table;
mod values;

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use sealwright_template::Limits;
use thiserror::Error;

use self::external_secrets::{
    CERT_CONTROLLER, ExternalSecretsFlags, HelperFlags, OPERATOR, WEBHOOK,
};
use self::table::{Definition, Kind, SEALED_SECRETS};
use self::values::Values;
use crate::leader::ElectionSettings;
use crate::log;
use crate::server::TrustedProxies;
use crate::tls::TlsSettings;

/// Which upstream program this one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Personality {
    /// The Sealed Secrets controller.
    SealedSecrets,
    /// The External Secrets Operator.
    ExternalSecrets,
}

impl Personality {
    /// Chooses by the name that the program was called by, or by its first word, which is taken away then.
    pub(crate) fn choose(program: &str, arguments: &mut Vec<String>) -> Self {
        let named = |name: &str| match name {
            "external-secrets" => Some(Self::ExternalSecrets),
            "sealed-secrets" => Some(Self::SealedSecrets),
            _ => None,
        };
        let program = program.rsplit('/').next().unwrap_or_default();
        if let Some(personality) = named(program) {
            return personality;
        }
        match arguments.first().and_then(|word| named(word)) {
            Some(personality) => {
                arguments.remove(0);
                personality
            }
            None => Self::SealedSecrets,
        }
    }
}

/// What the controller was told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Flags {
    pub(crate) key_prefix: String,
    pub(crate) key_size: usize,
    pub(crate) key_ttl: Duration,
    pub(crate) my_cn: String,
    pub(crate) key_renew_period: Duration,
    pub(crate) key_order_priority: KeyOrder,
    pub(crate) accept_deprecated_v1_data: bool,
    pub(crate) key_cutoff_time: Option<Timestamp>,
    pub(crate) all_namespaces: bool,
    pub(crate) additional_namespaces: Vec<String>,
    pub(crate) label_selector: String,
    pub(crate) rate_limit: u32,
    pub(crate) rate_limit_burst: u32,
    pub(crate) privatekey_annotations: Vec<(String, String)>,
    pub(crate) privatekey_labels: Vec<(String, String)>,
    pub(crate) old_gc_behavior: bool,
    pub(crate) update_status: bool,
    pub(crate) skip_recreate: bool,
    pub(crate) log: log::LogSettings,
    pub(crate) max_unseal_retries: u32,
    /// Requests a second; nothing means that only the API server's own fairness limits us.
    pub(crate) kubeclient_qps: Option<f32>,
    pub(crate) kubeclient_burst: u32,
    pub(crate) listen_addr: String,
    pub(crate) listen_metrics_addr: String,
    /// The metrics are served over HTTPS.
    pub(crate) metrics_tls: Option<TlsSettings>,
    /// Only users of the cluster who may `get` them read the metrics.
    pub(crate) metrics_auth: bool,
    /// Where the probes are answered beside `listen_addr`.
    pub(crate) live_addr: Option<String>,
    pub(crate) read_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) metrics_omit_secret_labels: bool,
    /// Nothing means that this process leads without asking.
    pub(crate) election: Option<ElectionSettings>,
    pub(crate) sealed_secrets: bool,
    pub(crate) external_secrets: Option<ExternalSecretsFlags>,
    pub(crate) trusted_proxies: TrustedProxies,
    /// What the templates of one object may use.
    pub(crate) template_limits: Limits,
    pub(crate) kubeconfig: String,
    /// What is worth a word in the log once it is there.
    pub(crate) notices: Vec<String>,
}

/// Which time decides which sealing key is the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyOrder {
    /// The start of the certificate's validity.
    CertNotBefore,
    /// When the Secret that holds the key was created.
    SecretCreationTimestamp,
}

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Invocation {
    /// Be the controller.
    Run(Box<Flags>),
    /// Be one of the External Secrets Operator's helpers.
    Helper(Box<HelperFlags>),
    /// Print the version.
    Version,
    /// Print the usage.
    Usage(String),
    /// Print the custom resource definitions.
    Crd,
    /// Print those of External Secrets.
    ExternalSecretsCrds {
        /// The version v1beta1 is served too.
        serve_v1beta1: bool,
    },
}

/// A command line that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum FlagError {
    /// There is no such flag.
    #[error("unknown flag: --{0}")]
    Unknown(String),
    /// There is no such command.
    #[error("unknown command {0:?} for \"external-secrets\"")]
    UnknownCommand(String),
    /// There is no such short flag.
    #[error("unknown shorthand flag: {0:?} in -{1}")]
    UnknownShort(char, String),
    /// The last word names a flag that wants a value.
    #[error("flag needs an argument: --{0}")]
    MissingValue(&'static str),
    /// The value is not one this flag can have.
    #[error("invalid argument {value:?} for \"--{flag}\" flag: {reason}")]
    Invalid {
        /// The flag.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The flags are well formed but ask for what cannot be.
    #[error("{0}")]
    Unusable(String),
}

fn unusable(text: &str) -> FlagError {
    FlagError::Unusable(text.to_owned())
}

/// Reads the command line (without the program's name) and the environment.
pub(crate) fn parse(
    personality: Personality,
    arguments: impl IntoIterator<Item = String>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Invocation, FlagError> {
    let mut arguments: Vec<String> = arguments.into_iter().collect();
    if arguments.first().is_some_and(|first| first == "crd") {
        return Ok(match personality {
            Personality::SealedSecrets => Invocation::Crd,
            Personality::ExternalSecrets => Invocation::ExternalSecretsCrds {
                serve_v1beta1: arguments.iter().any(|word| word == "--serve-v1beta1"),
            },
        });
    }
    match personality {
        Personality::SealedSecrets => {
            let mut values = Values::new(vec![SEALED_SECRETS, OPERATOR]);
            for definition in SEALED_SECRETS {
                let variable = format!(
                    "SEALED_SECRETS_{}",
                    definition.name.to_uppercase().replace('-', "_")
                );
                if let Some(value) = environment(&variable) {
                    // Ignored when invalid: a deployment of upstream must keep starting.
                    let _ = values.set(definition, &value);
                }
            }
            if values.read(arguments)?.asks_for_help {
                return Ok(Invocation::Usage(usage(personality)));
            }
            if values.switch("version") {
                return Ok(Invocation::Version);
            }
            values
                .settle(personality)
                .map(Box::new)
                .map(Invocation::Run)
        }
        Personality::ExternalSecrets => {
            let command = arguments
                .iter()
                .position(|word| word == "webhook" || word == "certcontroller")
                .map(|at| arguments.remove(at));
            let tables = match command.as_deref() {
                None => vec![OPERATOR, SEALED_SECRETS],
                Some("webhook") => WEBHOOK.to_vec(),
                Some(_) => CERT_CONTROLLER.to_vec(),
            };
            let help = match &command {
                None => usage(personality),
                Some(command) => usage_of(&format!("external-secrets {command}"), &tables),
            };
            let mut values = Values::new(tables);
            let line = values.read(arguments)?;
            if line.asks_for_help {
                return Ok(Invocation::Usage(help));
            }
            if let Some(word) = line.words.into_iter().next() {
                return Err(FlagError::UnknownCommand(word));
            }
            match command.as_deref() {
                None if values.switch("version") => Ok(Invocation::Version),
                None => values
                    .settle(personality)
                    .map(Box::new)
                    .map(Invocation::Run),
                Some("webhook") => values.webhook().map(Box::new).map(Invocation::Helper),
                Some(_) => values
                    .cert_controller()
                    .map(Box::new)
                    .map(Invocation::Helper),
            }
        }
    }
}

/// What a command line holds beside flags.
#[derive(Default)]
struct Line {
    asks_for_help: bool,
    words: Vec<String>,
}

impl Values {
    /// Reads a command line; nothing behind a flag that asks for help is looked at.
    fn read(&mut self, arguments: Vec<String>) -> Result<Line, FlagError> {
        let mut line = Line::default();
        let mut arguments = arguments.into_iter();
        while let Some(word) = arguments.next() {
            if word == "--" {
                line.words.extend(arguments);
                break;
            }
            if let Some(long) = word.strip_prefix("--") {
                let (name, value) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (long, None),
                };
                if name == "help" {
                    line.asks_for_help = true;
                    break;
                }
                let definition = self
                    .find(name)
                    .ok_or_else(|| FlagError::Unknown(name.to_owned()))?;
                let value = match value {
                    Some(value) => value,
                    None if matches!(definition.kind, Kind::Switch(_)) => "true".to_owned(),
                    None => arguments
                        .next()
                        .ok_or(FlagError::MissingValue(definition.name))?,
                };
                self.set(definition, &value)
                    .map_err(|reason| FlagError::Invalid {
                        flag: definition.name,
                        value,
                        reason,
                    })?;
            } else if let Some(short) = word.strip_prefix('-').filter(|short| !short.is_empty()) {
                let letter = short.chars().next().expect("not empty");
                if letter == 'h' {
                    line.asks_for_help = true;
                    break;
                }
                return Err(FlagError::UnknownShort(letter, short.to_owned()));
            } else {
                line.words.push(word);
            }
        }
        Ok(line)
    }
}

/// The usage text of a personality.
pub(crate) fn usage(personality: Personality) -> String {
    match personality {
        Personality::SealedSecrets => {
            usage_of("sealwright-controller", &[SEALED_SECRETS])
                + "\nThe flags of the External Secrets Operator are accepted too: see `sealwright-controller external-secrets --help`.\n"
        }
        Personality::ExternalSecrets => {
            usage_of("external-secrets", &[OPERATOR])
                + "\nCommands: webhook, certcontroller, crd. The flags of the Sealed Secrets controller are accepted too: see `sealwright-controller --help`.\n"
        }
    }
}

fn usage_of(program: &str, tables: &[&'static [Definition]]) -> String {
    let mut text = format!("Usage of {program}:\n");
    let mut definitions: Vec<_> = tables
        .iter()
        .copied()
        .flatten()
        .filter(|definition| !definition.help.is_empty())
        .collect();
    definitions.sort_by_key(|definition| definition.name);
    let label = |definition: &Definition| {
        format!("      --{} {}", definition.name, definition.kind.word())
            .trim_end()
            .to_owned()
    };
    let width = definitions
        .iter()
        .map(|definition| label(definition).len())
        .max()
        .unwrap_or_default();
    for definition in definitions {
        let default = match definition.kind.default() {
            default if default.is_empty() || default == "false" => String::new(),
            default if matches!(definition.kind, Kind::Text(_)) => {
                format!(" (default {default:?})")
            }
            default => format!(" (default {default})"),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:<width$}   {}{default}",
            label(definition),
            definition.help
        );
    }
    text
}

#[cfg(test)]
mod tests {
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
    fn c1_to_c29_defaults_are_the_incumbents() {
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
    fn c12_c14_c15_what_panics_in_the_incumbent_is_an_answer_here() {
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
        assert!(
            operator_flags(&[closed[0], closed[1], "--metrics-cert-dir=/etc/tls"]).metrics_auth
        );
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
}
