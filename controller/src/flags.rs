//! The flags and environment variables of the Sealed Secrets controller, and a few of our own.
//!
//! The syntax is that of Go programs: `--flag value` or `--flag=value`, a switch is on when it is
//! named and off with `--flag=false`, words that are no flags are ignored. Every flag can also be
//! given as `SEALED_SECRETS_<FLAG>`; the command line wins over the environment, and an invalid
//! value in the environment is ignored, as the incumbent does it.

pub(crate) mod duration;

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;

use crate::log;

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
    let mut raw = Raw::default();
    for definition in DEFINITIONS {
        let variable = format!(
            "SEALED_SECRETS_{}",
            definition.name.to_uppercase().replace('-', "_")
        );
        if let Some(value) = environment(&variable) {
            // Ignored when invalid: a deployment of the incumbent must keep starting.
            let _ = raw.set(definition, &value);
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
            raw.set(definition, &value)
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
    if raw.switch("version") {
        return Ok(Invocation::Version);
    }
    raw.settle().map(Box::new).map(Invocation::Run)
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

struct Definition {
    name: &'static str,
    kind: Kind,
    /// Empty for hidden flags.
    help: &'static str,
}

/// The kind of a flag with its default.
#[derive(Clone, Copy)]
enum Kind {
    Text(&'static str),
    Switch(bool),
    Whole(i64),
    Float(&'static str),
    Time(Duration),
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::Switch(_) => "",
            Self::Whole(_) => "int",
            Self::Float(_) => "float32",
            Self::Time(_) => "duration",
        }
    }

    fn default(self) -> String {
        match self {
            Self::Text(text) | Self::Float(text) => text.to_owned(),
            Self::Switch(on) => on.to_string(),
            Self::Whole(number) => number.to_string(),
            Self::Time(time) => duration::write(time),
        }
    }
}

const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

const fn flag(name: &'static str, kind: Kind, help: &'static str) -> Definition {
    Definition { name, kind, help }
}

/// Every flag there is.
const DEFINITIONS: &[Definition] = &[
    flag(
        "key-prefix",
        Kind::Text("sealed-secrets-key"),
        "Prefix of the names of sealing key Secrets, and exact name of the one from before 0.9.",
    ),
    flag(
        "key-size",
        Kind::Whole(4096),
        "Bits of generated sealing keys: 2048, 3072, 4096 or 8192.",
    ),
    flag(
        "key-ttl",
        Kind::Time(hours(87600)),
        "How long the certificate of a generated key is valid.",
    ),
    flag(
        "my-cn",
        Kind::Text(""),
        "Common name of issuer and subject of generated certificates.",
    ),
    flag(
        "key-renew-period",
        Kind::Time(hours(720)),
        "Interval at which new sealing keys are generated; 0 means never by timer.",
    ),
    flag(
        "key-order-priority",
        Kind::Text("CertNotBefore"),
        "Which time makes a sealing key the newest: CertNotBefore or SecretCreationTimestamp.",
    ),
    flag(
        "accept-deprecated-v1-data",
        Kind::Switch(true),
        "Accept the deprecated field spec.data.",
    ),
    flag(
        "key-cutoff-time",
        Kind::Text(""),
        "Generate a new key at start if the newest one is older than this (RFC 1123 with numeric zone, as date -R prints).",
    ),
    flag(
        "all-namespaces",
        Kind::Switch(true),
        "Watch all namespaces, or only the own one.",
    ),
    flag(
        "additional-namespaces",
        Kind::Text(""),
        "Comma-separated list of namespaces to watch beside the own one; switches the watch of all namespaces off.",
    ),
    flag(
        "label-selector",
        Kind::Text(""),
        "Only SealedSecrets with these labels are looked at.",
    ),
    flag(
        "rate-limit",
        Kind::Whole(2),
        "Sustained requests per second on each of /v1/verify and /v1/rotate.",
    ),
    flag(
        "rate-limit-burst",
        Kind::Whole(2),
        "Requests beyond the rate limit that are let through at once.",
    ),
    flag(
        "privatekey-annotations",
        Kind::Text(""),
        "Comma-separated annotations (k=v) of generated key Secrets.",
    ),
    flag(
        "privatekey-labels",
        Kind::Text(""),
        "Comma-separated labels (k=v) of generated key Secrets.",
    ),
    flag(
        "old-gc-behavior",
        Kind::Switch(false),
        "Delete the Secret of a deleted SealedSecret ourselves instead of leaving it to the garbage collector.",
    ),
    flag(
        "update-status",
        Kind::Switch(true),
        "Write the status subresource of SealedSecrets.",
    ),
    flag(
        "watch-for-secrets",
        Kind::Switch(false),
        "Accepted for compatibility: key Secrets are always watched.",
    ),
    flag(
        "skip-recreate",
        Kind::Switch(false),
        "Do not watch Secrets: a deleted or changed target is only put back when its SealedSecret changes.",
    ),
    flag(
        "log-info-stdout",
        Kind::Switch(true),
        "Write INFO and below to stdout and the rest to stderr; off means everything to stderr.",
    ),
    flag(
        "log-level",
        Kind::Text("INFO"),
        "Log level: DEBUG, INFO, WARN or ERROR.",
    ),
    flag(
        "log-format",
        Kind::Text("text"),
        "Log format: text or json.",
    ),
    flag(
        "max-unseal-retries",
        Kind::Whole(5),
        "Quick retries of a failing SealedSecret before it is only retried slowly.",
    ),
    flag(
        "kubeclient-qps",
        Kind::Float("-1"),
        "Limit of requests per second to the API server; negative means that its own fairness (429, Retry-After) is the only limit.",
    ),
    flag(
        "kubeclient-burst",
        Kind::Whole(10),
        "Burst beyond kubeclient-qps.",
    ),
    flag(
        "listen-addr",
        Kind::Text(":8080"),
        "HTTP address of certificate, verify, rotate and probes.",
    ),
    flag(
        "listen-metrics-addr",
        Kind::Text(":8081"),
        "HTTP address of the metrics.",
    ),
    flag(
        "read-timeout",
        Kind::Time(Duration::from_secs(120)),
        "How long a request may take to arrive.",
    ),
    flag(
        "write-timeout",
        Kind::Time(Duration::from_secs(120)),
        "How long an answer may take.",
    ),
    flag("rotate-period", Kind::Time(hours(720)), ""),
    flag(
        "metrics-omit-secret-labels",
        Kind::Switch(false),
        "Leave out the metric condition_info, which names SealedSecrets.",
    ),
    flag(
        "version",
        Kind::Switch(false),
        "Print version information and exit.",
    ),
    flag(
        "leader-elect",
        Kind::Switch(true),
        "Take turns with other replicas through a Lease; without permission for it the process goes on alone.",
    ),
    flag(
        "leader-elect-lease",
        Kind::Text("sealed-secrets-controller"),
        "Name of the Lease in the own namespace.",
    ),
    flag(
        "kubeconfig",
        Kind::Text(""),
        "Path of a kubeconfig; by default the pod's service account is used.",
    ),
];

/// The values given, as text that was checked.
#[derive(Default)]
struct Raw {
    given: Vec<(&'static str, String)>,
}

impl Raw {
    fn set(&mut self, definition: &'static Definition, value: &str) -> Result<(), String> {
        match definition.kind {
            Kind::Text(_) => {}
            Kind::Switch(_) => {
                switch(value).ok_or_else(|| {
                    format!("strconv.ParseBool: parsing {value:?}: invalid syntax")
                })?;
            }
            Kind::Whole(_) => {
                value
                    .parse::<i64>()
                    .map_err(|_| format!("strconv.ParseInt: parsing {value:?}: invalid syntax"))?;
            }
            Kind::Float(_) => {
                value.parse::<f32>().map_err(|_| {
                    format!("strconv.ParseFloat: parsing {value:?}: invalid syntax")
                })?;
            }
            Kind::Time(_) => {
                duration::parse(value)
                    .ok_or_else(|| format!("time: invalid duration {value:?}"))?;
            }
        }
        // C30: the old name writes the same variable, so whichever comes last wins.
        let name = match definition.name {
            "rotate-period" => {
                self.given.push(("rotate-period", value.to_owned()));
                "key-renew-period"
            }
            name => name,
        };
        self.given.push((name, value.to_owned()));
        Ok(())
    }

    fn text(&self, name: &str) -> String {
        self.given
            .iter()
            .rev()
            .find(|(given, _)| *given == name)
            .map_or_else(
                || {
                    DEFINITIONS
                        .iter()
                        .find(|definition| definition.name == name)
                        .expect("a flag of the table")
                        .kind
                        .default()
                },
                |(_, value)| value.clone(),
            )
    }

    fn switch(&self, name: &str) -> bool {
        switch(&self.text(name)).expect("checked when it was set")
    }

    fn whole(&self, name: &str) -> i64 {
        self.text(name).parse().expect("checked when it was set")
    }

    fn time(&self, name: &str) -> Duration {
        duration::parse(&self.text(name)).expect("checked when it was set")
    }

    /// Turns texts into what the program works with.
    fn settle(&self) -> Result<Flags, FlagError> {
        let mut notices = Vec::new();
        if self.given.iter().any(|(name, _)| *name == "rotate-period") {
            notices.push(
                "Flag --rotate-period has been deprecated, please use key-renew-period instead"
                    .to_owned(),
            );
        }
        let key_prefix = self.text("key-prefix");
        check_key_prefix(&key_prefix)?;
        let key_order_priority = match self.text("key-order-priority").as_str() {
            "CertNotBefore" => KeyOrder::CertNotBefore,
            "SecretCreationTimestamp" => KeyOrder::SecretCreationTimestamp,
            other => {
                notices.push(format!(
                    "Invalid keyOrderPriority {other:?}. Use CertNotBefore or SecretCreationTimestamp"
                ));
                KeyOrder::CertNotBefore
            }
        };
        let key_cutoff_time = match self.text("key-cutoff-time").as_str() {
            "" => None,
            text => Some(parse_cutoff(text).ok_or_else(|| {
                FlagError::Unusable(format!(
                    "cannot read --key-cutoff-time {text:?}: a date such as \"Mon, 02 Jan 2006 15:04:05 -0700\" is needed"
                ))
            })?),
        };
        let level = match log::Level::parse(&self.text("log-level")) {
            Some(level) => level,
            None => {
                notices.push(format!(
                    "log level {:?} is not known, INFO is used",
                    self.text("log-level")
                ));
                log::Level::INFO
            }
        };
        let qps: f32 = self
            .text("kubeclient-qps")
            .parse()
            .expect("checked when it was set");
        let at_least_one = |name: &'static str| -> Result<u32, FlagError> {
            u32::try_from(self.whole(name))
                .ok()
                .filter(|rate| *rate > 0)
                .ok_or_else(|| FlagError::Unusable(format!("--{name} must be at least 1")))
        };
        let not_negative =
            |name: &'static str| u32::try_from(self.whole(name).max(0)).unwrap_or(u32::MAX);
        Ok(Flags {
            key_prefix,
            key_size: usize::try_from(self.whole("key-size")).unwrap_or_default(),
            key_ttl: self.time("key-ttl"),
            my_cn: self.text("my-cn"),
            key_renew_period: self.time("key-renew-period"),
            key_order_priority,
            accept_deprecated_v1_data: self.switch("accept-deprecated-v1-data"),
            key_cutoff_time,
            all_namespaces: self.switch("all-namespaces"),
            additional_namespaces: namespaces(&self.text("additional-namespaces")),
            label_selector: self.text("label-selector"),
            rate_limit: at_least_one("rate-limit")?,
            rate_limit_burst: not_negative("rate-limit-burst"),
            privatekey_annotations: self.pairs("privatekey-annotations", &mut notices),
            privatekey_labels: self.pairs("privatekey-labels", &mut notices),
            old_gc_behavior: self.switch("old-gc-behavior"),
            update_status: self.switch("update-status"),
            skip_recreate: self.switch("skip-recreate"),
            log: log::Settings {
                level,
                json: self.text("log-format") == "json",
                info_to_stdout: self.switch("log-info-stdout"),
            },
            max_unseal_retries: not_negative("max-unseal-retries"),
            kubeclient_qps: Some(qps).filter(|qps| *qps > 0.0),
            kubeclient_burst: not_negative("kubeclient-burst").max(1),
            listen_addr: self.text("listen-addr"),
            listen_metrics_addr: self.text("listen-metrics-addr"),
            read_timeout: self.time("read-timeout"),
            write_timeout: self.time("write-timeout"),
            metrics_omit_secret_labels: self.switch("metrics-omit-secret-labels"),
            leader_elect: self.switch("leader-elect"),
            leader_elect_lease: self.text("leader-elect-lease"),
            kubeconfig: self.text("kubeconfig"),
            notices,
        })
    }

    /// `k=v,k2=v2`; what the incumbent panics on is reported and left out, and a second `=` is
    /// part of the value instead of cutting it.
    fn pairs(&self, name: &str, notices: &mut Vec<String>) -> Vec<(String, String)> {
        let text = self.text(name);
        let mut pairs: Vec<(String, String)> = Vec::new();
        for entry in text
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
        {
            match entry.split_once('=') {
                Some((key, value)) if !key.is_empty() => {
                    pairs.push((key.to_owned(), value.to_owned()))
                }
                _ => notices.push(format!(
                    "--{name}: {entry:?} has no value (k=v), it is left out"
                )),
            }
        }
        pairs
    }
}

/// T52: trimmed first, then made unique.
fn namespaces(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

fn check_key_prefix(prefix: &str) -> Result<(), FlagError> {
    const LONGEST: usize = 245;
    if prefix.len() > LONGEST {
        return Err(FlagError::Unusable(format!(
            "name is too long, must be shorter than {LONGEST}, got {}",
            prefix.len()
        )));
    }
    match prefix
        .chars()
        .find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-'))
    {
        Some(illegal) => Err(FlagError::Unusable(format!(
            "name contains illegal character {illegal}"
        ))),
        None => Ok(()),
    }
}

fn parse_cutoff(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()
}

#[cfg(test)]
mod tests {
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
