//! The values given, and what the program makes of them.

use std::time::Duration;

use jiff::Timestamp;
use sealwright_crypto::go_bool::read_bool;
use sealwright_template::{Limits, go_duration};

use super::table::{Definition, Kind};
use super::{FlagError, Flags, KeyOrder, Personality, selector, unusable};
use crate::leader::ElectionSettings;
use crate::log;
use crate::server::TrustedProxies;

/// A duration; no flag has a use for a negative one.
fn duration(text: &str) -> Option<Duration> {
    Duration::try_from(go_duration::parse(text)?).ok()
}

/// The values given, as text that was checked.
pub(super) struct Values {
    tables: Vec<&'static [Definition]>,
    given: Vec<(&'static str, String)>,
}

impl Values {
    /// Has a default for each flag of `tables`.
    pub(super) fn new(tables: Vec<&'static [Definition]>) -> Self {
        Self {
            tables,
            given: Vec::new(),
        }
    }

    /// The flag of that name.
    pub(super) fn find(&self, name: &str) -> Option<&'static Definition> {
        let mut all = self.tables.iter().copied().flatten();
        all.find(|definition| definition.name == name)
    }

    /// Returns true if the flag was given a value.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.given.iter().any(|(given, _)| *given == name)
    }

    /// The value of `one` if it was given, else that of `other`.
    fn text_of(&self, one: &str, other: &str) -> String {
        self.text(if self.is_given(one) { one } else { other })
    }

    /// Takes a value when its flag can have it; the reason when not.
    pub(super) fn set(
        &mut self,
        definition: &'static Definition,
        value: &str,
    ) -> Result<(), String> {
        match definition.kind {
            Kind::Text(_) => {}
            Kind::Switch(_) => {
                read_bool(value).ok_or_else(|| {
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
                duration(value).ok_or_else(|| format!("time: invalid duration {value:?}"))?;
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

    pub(super) fn text(&self, name: &str) -> String {
        self.given
            .iter()
            .rev()
            .find(|(given, _)| *given == name)
            .map_or_else(
                || self.find(name).expect("a flag of the table").kind.default(),
                |(_, value)| value.clone(),
            )
    }

    pub(super) fn switch(&self, name: &str) -> bool {
        read_bool(self.text(name)).expect("checked when it was set")
    }

    pub(super) fn whole(&self, name: &str) -> i64 {
        self.text(name).parse().expect("checked when it was set")
    }

    pub(super) fn time(&self, name: &str) -> Duration {
        duration(&self.text(name)).expect("checked when it was set")
    }

    /// A label selector. One that is wrong is an error wherever it comes from: without it the controller would take objects that
    /// it was not to take.
    pub(super) fn selector(&self, flag: &'static str) -> Result<String, FlagError> {
        let value = self.text(flag);
        match selector::check(&value) {
            Ok(()) => Ok(value),
            Err(error) => Err(FlagError::Invalid {
                flag,
                value,
                reason: error.to_string(),
            }),
        }
    }

    /// Turns texts into what the program works with.
    pub(super) fn settle(&self, personality: Personality) -> Result<Flags, FlagError> {
        let is_operator = personality == Personality::ExternalSecrets;
        let on = |name, default: bool| match self.is_given(name) {
            true => self.switch(name),
            false => default,
        };
        let sealed_secrets = on("enable-sealed-secrets", !is_operator);
        let external_secrets = on("enable-external-secrets", is_operator);
        if !sealed_secrets && !external_secrets {
            return Err(unusable(
                "--enable-sealed-secrets and --enable-external-secrets are both off: there is nothing to do",
            ));
        }
        let mut notices = self.notices_of_operator();
        if self.is_given("rotate-period") {
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
        // Upstream's default of 50 a second is a limit of its library; here the API server's own fairness is the limit.
        let qps = match self.is_given("kubeclient-qps") {
            false if self.is_given("client-qps") => self.text("client-qps"),
            _ => self.text("kubeclient-qps"),
        };
        let qps: f32 = qps.parse().expect("checked when it was set");
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
            label_selector: self.selector("label-selector")?,
            rate_limit: at_least_one("rate-limit")?,
            rate_limit_burst: not_negative("rate-limit-burst"),
            privatekey_annotations: self.pairs("privatekey-annotations", &mut notices),
            privatekey_labels: self.pairs("privatekey-labels", &mut notices),
            old_gc_behavior: self.switch("old-gc-behavior"),
            update_status: self.switch("update-status"),
            skip_recreate: self.switch("skip-recreate"),
            log: match is_operator {
                true => self.zap_log()?,
                false => log::LogSettings {
                    level,
                    form: match self.text("log-format").as_str() {
                        "json" => log::Form::Json,
                        _ => log::Form::Text,
                    },
                    info_to_stdout: self.switch("log-info-stdout"),
                },
            },
            max_unseal_retries: not_negative("max-unseal-retries"),
            kubeclient_qps: Some(qps).filter(|qps| *qps > 0.0),
            kubeclient_burst: not_negative(match self.is_given("kubeclient-burst") {
                false if self.is_given("client-qps") => "client-burst",
                _ => "kubeclient-burst",
            })
            .max(1),
            listen_addr: match is_operator && !self.is_given("listen-addr") {
                // The metrics of that personality are where this port is otherwise.
                true => ":8083".to_owned(),
                false => self.text("listen-addr"),
            },
            listen_metrics_addr: match is_operator {
                true => self.text_of("listen-metrics-addr", "metrics-addr"),
                false => self.text_of("metrics-addr", "listen-metrics-addr"),
            },
            metrics_tls: self.metrics_tls()?,
            metrics_auth: self.switch("metrics-auth"),
            live_addr: Some(self.text("live-addr"))
                .filter(|_| is_operator || self.is_given("live-addr")),
            read_timeout: self.time("read-timeout"),
            write_timeout: self.time("write-timeout"),
            metrics_omit_secret_labels: self.switch("metrics-omit-secret-labels"),
            election: match is_operator {
                true => self.operator_election()?,
                false => self.switch("leader-elect").then(|| ElectionSettings {
                    lease: self.text("leader-elect-lease"),
                    duration: Duration::from_secs(15),
                    deadline: Duration::from_secs(8),
                    period: Duration::from_secs(2),
                }),
            },
            sealed_secrets,
            external_secrets: match external_secrets {
                true => Some(self.external_secrets()?),
                false => None,
            },
            trusted_proxies: TrustedProxies::parse(&self.text("trusted-proxies")).map_err(
                |entry| {
                    FlagError::Unusable(format!(
                        "--trusted-proxies: {entry:?} is neither an IP address nor a CIDR range"
                    ))
                },
            )?,
            template_limits: self.template_limits()?,
            kubeconfig: self.text("kubeconfig"),
            notices,
        })
    }

    fn template_limits(&self) -> Result<Limits, FlagError> {
        let text = self.text("template-memory-limit");
        let memory = size(&text).ok_or_else(|| {
            FlagError::Unusable(format!(
                "--template-memory-limit: {text:?} is no size: a number of bytes is needed, or one with Ki, Mi or Gi"
            ))
        })?;
        let limits = Limits {
            time: self.time("template-time-limit"),
            memory,
        };
        match limits {
            Limits { memory: 0, .. } => {
                Err(unusable("--template-memory-limit must be more than 0"))
            }
            limits if limits.time.is_zero() => {
                Err(unusable("--template-time-limit must be more than 0"))
            }
            limits => Ok(limits),
        }
    }

    /// `k=v,k2=v2`; what upstream panics on is reported and left out, and a second `=` is
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
pub(super) fn namespaces(text: &str) -> Vec<String> {
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

/// Reads a number of bytes as Kubernetes writes them.
fn size(text: &str) -> Option<usize> {
    let units = [("Ki", 10), ("Mi", 20), ("Gi", 30)];
    let unit = units.iter().find(|(unit, _)| text.ends_with(unit));
    let (digits, shift) = match unit {
        Some((unit, shift)) => (text.strip_suffix(unit)?, *shift),
        None => (text, 0),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<usize>().ok()?.checked_mul(1 << shift)
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
