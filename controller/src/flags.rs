//! The flags and environment variables of the Sealed Secrets controller, and a few of our own.
//!
//! The syntax is that of Go programs: `--flag value` or `--flag=value`, a switch is on when it is
//! named and off with `--flag=false`, words that are no flags are ignored. Every flag can also be
//! given as `SEALED_SECRETS_<FLAG>`; the command line wins over the environment, and an invalid
//! value in the environment is ignored, as the incumbent does it.

pub(crate) mod duration;
mod table;
mod values;

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;

use self::table::{DEFINITIONS, Definition, Kind};
use self::values::Values;
use crate::log;
use crate::server::TrustedProxies;

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
    pub(crate) log: log::Settings,
    pub(crate) max_unseal_retries: u32,
    /// Requests a second; nothing means that only the API server's own fairness limits us.
    pub(crate) kubeclient_qps: Option<f32>,
    pub(crate) kubeclient_burst: u32,
    pub(crate) listen_addr: String,
    pub(crate) listen_metrics_addr: String,
    pub(crate) read_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) metrics_omit_secret_labels: bool,
    pub(crate) leader_elect: bool,
    pub(crate) leader_elect_lease: String,
    pub(crate) trusted_proxies: TrustedProxies,
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
    /// Print the version.
    Version,
    /// Print the usage.
    Help,
    /// Print the custom resource definitions.
    Crd,
}

/// A command line that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum FlagError {
    /// There is no such flag.
    #[error("unknown flag: --{0}")]
    Unknown(String),
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

/// Reads the command line (without the program's name) and the environment.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = String>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Invocation, FlagError> {
    let mut values = Values::default();
    for definition in DEFINITIONS {
        let variable = format!(
            "SEALED_SECRETS_{}",
            definition.name.to_uppercase().replace('-', "_")
        );
        if let Some(value) = environment(&variable) {
            // Ignored when invalid: a deployment of the incumbent must keep starting.
            let _ = values.set(definition, &value);
        }
    }

    let mut arguments = arguments.into_iter().peekable();
    if arguments.peek().is_some_and(|first| first == "crd") {
        return Ok(Invocation::Crd);
    }
    while let Some(word) = arguments.next() {
        if word == "--" {
            break;
        }
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            if name == "help" {
                return Ok(Invocation::Help);
            }
            let definition = DEFINITIONS
                .iter()
                .find(|definition| definition.name == name)
                .ok_or_else(|| FlagError::Unknown(name.to_owned()))?;
            let value = match value {
                Some(value) => value,
                None if matches!(definition.kind, Kind::Switch(_)) => "true".to_owned(),
                None => arguments
                    .next()
                    .ok_or(FlagError::MissingValue(definition.name))?,
            };
            values
                .set(definition, &value)
                .map_err(|reason| FlagError::Invalid {
                    flag: definition.name,
                    value,
                    reason,
                })?;
        } else if let Some(short) = word.strip_prefix('-').filter(|short| !short.is_empty()) {
            let letter = short.chars().next().expect("not empty");
            if letter == 'h' {
                return Ok(Invocation::Help);
            }
            return Err(FlagError::UnknownShort(letter, short.to_owned()));
        }
    }
    if values.switch("version") {
        return Ok(Invocation::Version);
    }
    values.settle().map(Box::new).map(Invocation::Run)
}

/// The usage text.
pub(crate) fn usage() -> String {
    let mut text = "Usage of sealwright-controller:\n".to_owned();
    let mut definitions: Vec<_> = DEFINITIONS
        .iter()
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
        match parse(words.iter().map(|word| (*word).to_owned()), |name| {
            environment
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
        .unwrap()
        {
            Invocation::Run(flags) => *flags,
            _ => panic!("the controller should run"),
        }
    }

    fn refused(words: &[&str]) -> String {
        parse(words.iter().map(|word| (*word).to_owned()), |_| None)
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
        assert!(matches!(parse([], version), Ok(Invocation::Version)));
    }

    #[test]
    fn c32_to_c34_help_errors_and_positional_arguments() {
        assert!(matches!(
            parse(["-h".to_owned()], |_| None),
            Ok(Invocation::Help)
        ));
        assert!(matches!(
            parse(["--help".to_owned()], |_| None),
            Ok(Invocation::Help)
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
        assert!(usage().contains("--key-renew-period duration"));
        assert!(!usage().contains("rotate-period"));
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
}
