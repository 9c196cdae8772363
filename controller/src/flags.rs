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
mod selector;
mod table;
mod values;

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use sealwright_pflag::{CommandLine, Found, Name, Part, Problem};
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
    /// Print the list of all metrics, for the documentation.
    Metrics,
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
    #[error("unknown shorthand flag: {0:?} in {1}")]
    UnknownShort(char, String),
    /// The last word names a flag that wants a value.
    #[error("flag needs an argument: {0}")]
    MissingValue(String),
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

impl From<Problem> for FlagError {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Unknown(name) => Self::Unknown(name),
            Problem::UnknownShort { letter, word } => Self::UnknownShort(letter, word),
            Problem::MissingValue { name } => Self::MissingValue(name),
        }
    }
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
    if arguments == ["metrics"] {
        return Ok(Invocation::Metrics);
    }
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

/// What a command line names.
enum Named {
    Help,
    Flag(&'static Definition),
}

impl Values {
    /// Reads a command line; nothing behind a flag that asks for help is looked at.
    fn read(&mut self, arguments: Vec<String>) -> Result<Line, FlagError> {
        let mut line = Line::default();
        let mut arguments = CommandLine::new(arguments);
        while let Some(part) = arguments.read(|name| self.named(name))? {
            match part {
                Part::Flag {
                    flag: Named::Help, ..
                } => {
                    line.asks_for_help = true;
                    break;
                }
                Part::Flag {
                    flag: Named::Flag(definition),
                    value,
                    ..
                } => self
                    .set(definition, &value)
                    .map_err(|reason| FlagError::Invalid {
                        flag: definition.name,
                        value,
                        reason,
                    })?,
                Part::Word(word) => line.words.push(word),
            }
        }
        Ok(line)
    }

    /// Looks a flag up: none has a letter but the one that asks for help.
    fn named(&self, name: Name<'_>) -> Option<Found<Named>> {
        match name {
            Name::Long("help") | Name::Short('h') => Some(Found {
                flag: Named::Help,
                is_switch: true,
            }),
            Name::Long(name) => self.find(name).map(|definition| Found {
                flag: Named::Flag(definition),
                is_switch: matches!(definition.kind, Kind::Switch(_)),
            }),
            Name::Short(_) => None,
        }
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
mod tests;
