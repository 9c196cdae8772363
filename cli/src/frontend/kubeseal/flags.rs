//! The flags of `kubeseal`: two dashes, values with a blank or `=`, an environment variable for each.

use sealwright_crypto::go_bool::read_bool;
use sealwright_pflag::{CommandLine, Found, Name, Part, Problem};

use crate::cluster::{ClusterOptions, ControllerService};

/// What a flag takes.
#[derive(Clone, Copy, PartialEq)]
enum Takes {
    /// Nothing, or `=true` and `=false`.
    Switch,
    /// One value; the last one counts.
    Value,
    /// A comma-separated list, repeatable.
    List,
    /// One value each time, repeatable, commas kept.
    Repeated,
    /// A logging flag: accepted, checked for its shape, without effect, as nothing is logged.
    Log,
    /// A logging switch.
    LogSwitch,
}

struct Flag {
    name: &'static str,
    short: Option<char>,
    takes: Takes,
    help: &'static str,
}

const fn flag(name: &'static str, short: Option<char>, takes: Takes, help: &'static str) -> Flag {
    Flag {
        name,
        short,
        takes,
        help,
    }
}

#[rustfmt::skip]
const FLAGS: &[Flag] = &[
    flag("allow-empty-data", None, Takes::Switch, "accept Secrets without any data"),
    flag("cert", None, Takes::Value, "certificate file or URL to seal with; no cluster is asked then"),
    flag("controller-name", None, Takes::Value, "name of the controller's Service (default sealed-secrets-controller)"),
    flag("controller-namespace", None, Takes::Value, "namespace of the controller's Service (default kube-system)"),
    flag("fetch-cert", None, Takes::Switch, "print the controller's certificate"),
    flag("format", Some('o'), Takes::Value, "output format: json or yaml (default json)"),
    flag("from-file", None, Takes::List, "with --raw: the file that holds the value; KEY=PATH is accepted"),
    flag("help", Some('h'), Takes::Switch, "show this text"),
    flag("kubeconfig", None, Takes::Value, "kubeconfig file"),
    flag("merge-into", None, Takes::Value, "SealedSecret file to add the sealed values to, in place"),
    flag("name", None, Takes::Value, "name of the Secret; needed with --raw in strict scope"),
    flag("raw", None, Takes::Switch, "seal one value and print it alone"),
    flag("re-encrypt", None, Takes::Switch, "let the controller reseal a SealedSecret with its newest key"),
    flag("rotate", None, Takes::Switch, ""),
    flag("recovery-private-key", None, Takes::List, "private key files or Secrets for --recovery-unseal"),
    flag("recovery-unseal", None, Takes::Switch, "unseal without the cluster, with --recovery-private-key"),
    flag("scope", None, Takes::Value, "strict, namespace-wide or cluster-wide (default strict)"),
    flag("sealed-secret-file", Some('w'), Takes::Value, "output file; .yaml and .yml write YAML"),
    flag("secret-file", Some('f'), Takes::Value, "input file instead of standard input"),
    flag("validate", None, Takes::Switch, "ask the controller whether a SealedSecret can be unsealed"),
    flag("version", None, Takes::Switch, "show the version"),
    flag("as", None, Takes::Value, "user to impersonate"),
    flag("as-group", None, Takes::Repeated, "group to impersonate, repeatable"),
    flag("as-uid", None, Takes::Value, "UID to impersonate"),
    flag("certificate-authority", None, Takes::Value, "file of the API server's certificate authority"),
    flag("client-certificate", None, Takes::Value, "client certificate file"),
    flag("client-key", None, Takes::Value, "client key file"),
    flag("cluster", None, Takes::Value, "cluster of the kubeconfig"),
    flag("context", None, Takes::Value, "context of the kubeconfig"),
    flag("disable-compression", None, Takes::Switch, "ask for uncompressed answers"),
    flag("insecure-skip-tls-verify", None, Takes::Switch, "do not check the API server's certificate"),
    flag("namespace", Some('n'), Takes::Value, "namespace of the Secret"),
    flag("password", None, Takes::Value, "password for the API server"),
    flag("proxy-url", None, Takes::Value, "proxy to the API server"),
    flag("request-timeout", None, Takes::Value, "time limit of one request, such as 5s; 0 for none"),
    flag("server", None, Takes::Value, "address of the API server"),
    flag("tls-server-name", None, Takes::Value, "name expected in the API server's certificate"),
    flag("token", None, Takes::Value, "bearer token"),
    flag("user", None, Takes::Value, "user of the kubeconfig"),
    flag("username", None, Takes::Value, "user name for the API server"),
    flag("add_dir_header", None, Takes::LogSwitch, ""),
    flag("alsologtostderr", None, Takes::LogSwitch, ""),
    flag("alsologtostderrthreshold", None, Takes::Log, ""),
    flag("legacy_stderr_threshold_behavior", None, Takes::LogSwitch, ""),
    flag("log_backtrace_at", None, Takes::Log, ""),
    flag("log_dir", None, Takes::Log, ""),
    flag("log_file", None, Takes::Log, ""),
    flag("log_file_max_size", None, Takes::Log, ""),
    flag("logtostderr", None, Takes::LogSwitch, ""),
    flag("one_output", None, Takes::LogSwitch, ""),
    flag("skip_headers", None, Takes::LogSwitch, ""),
    flag("skip_log_headers", None, Takes::LogSwitch, ""),
    flag("stderrthreshold", None, Takes::Log, ""),
    flag("v", Some('v'), Takes::Log, ""),
    flag("vmodule", None, Takes::Log, ""),
];

/// The flags as given, by name.
#[derive(Default)]
pub(crate) struct Flags {
    given: Vec<(&'static str, String)>,
    /// How often a flag was set by its old name.
    old_names: usize,
}

/// A flag is unknown or its value is not possible; usage follows, with exit code 2.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct FlagError(pub(crate) String);

impl From<Problem> for FlagError {
    fn from(problem: Problem) -> Self {
        Self(match problem {
            Problem::Unknown(name) => format!("unknown flag: --{name}{}", did_you_mean(&name)),
            Problem::UnknownShort { letter, word } => {
                format!("unknown shorthand flag: '{letter}' in {word}")
            }
            Problem::MissingValue { name } => format!("flag needs an argument: {name}"),
        })
    }
}

/// Looks a flag up.
fn find(name: Name<'_>) -> Option<Found<&'static Flag>> {
    let flag = FLAGS.iter().find(|flag| match name {
        Name::Long(long) => flag.name == long,
        Name::Short(letter) => flag.short == Some(letter),
    })?;
    let is_switch = matches!(flag.takes, Takes::Switch | Takes::LogSwitch);
    Some(Found { flag, is_switch })
}

impl Flags {
    /// Reads the environment and then the command line, which wins; lists are added up. Positional arguments are
    /// ignored, as scripts leave some behind.
    pub(crate) fn parse(
        args: impl IntoIterator<Item = String>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, FlagError> {
        let mut flags = Self::default();
        for flag in FLAGS
            .iter()
            .filter(|flag| !matches!(flag.takes, Takes::Log | Takes::LogSwitch))
        {
            let name = format!(
                "SEALED_SECRETS_{}",
                flag.name.to_ascii_uppercase().replace('-', "_")
            );
            if let Some(value) = variable(&name)
                && check(flag, &value).is_ok()
            {
                flags.set(flag, value); // an impossible value in a variable is ignored
                flags.old_names = 0; // and an old name in one is not spoken of
            }
        }
        let mut line = CommandLine::new(args);
        while let Some(part) = line.read(find)? {
            // Positional arguments are ignored.
            if let Part::Flag { flag, name, value } = part {
                check(flag, &value).map_err(|reason| {
                    FlagError(format!(
                        "invalid argument {value:?} for {name:?} flag: {reason}"
                    ))
                })?;
                flags.set(flag, value);
            }
        }
        Ok(flags)
    }

    /// Notes a value; the old name of a flag sets the flag.
    fn set(&mut self, flag: &'static Flag, value: String) {
        if flag.name == "rotate" {
            self.old_names += 1;
            self.given.push(("re-encrypt", value));
        } else {
            self.given.push((flag.name, value));
        }
    }

    /// What is to be said of flags that have a newer name: once for each time one was set.
    pub(crate) fn notices(&self) -> impl Iterator<Item = String> {
        (0..self.old_names).map(|_| {
            "Flag --rotate has been deprecated, please use --re-encrypt instead".to_owned()
        })
    }

    /// Whether a switch is on.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.value(name)
            .is_some_and(|text| read_bool(text) == Some(true))
    }

    /// The last value of a flag.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.given
            .iter()
            .rev()
            .find(|(given, _)| *given == name)
            .map(|(_, value)| value.as_str())
    }

    /// The last value of a flag, unless it is empty.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.value(name)
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
    }

    /// The values of a comma-separated, repeatable flag.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let values = self.given.iter().filter(|(given, _)| *given == name);
        values
            .flat_map(|(_, value)| comma_separated(value))
            .collect()
    }

    /// The controller's Service.
    pub(crate) fn controller(&self) -> ControllerService {
        ControllerService {
            namespace: self
                .text("controller-namespace")
                .unwrap_or_else(|| "kube-system".to_owned()),
            name: self
                .text("controller-name")
                .unwrap_or_else(|| "sealed-secrets-controller".to_owned()),
        }
    }

    /// What is said about the cluster.
    pub(crate) fn cluster(&self) -> ClusterOptions {
        let switch = |name| self.value(name).map(|_| self.is_on(name));
        let groups = self.given.iter().filter(|(given, _)| *given == "as-group");
        ClusterOptions {
            kubeconfig: self.text("kubeconfig"),
            context: self.text("context"),
            cluster: self.text("cluster"),
            user: self.text("user"),
            namespace: self.text("namespace"),
            server: self.text("server"),
            certificate_authority: self.text("certificate-authority"),
            tls_server_name: self.text("tls-server-name"),
            proxy_url: self.text("proxy-url"),
            insecure_skip_tls_verify: switch("insecure-skip-tls-verify"),
            disable_compression: switch("disable-compression"),
            token: self.text("token"),
            client_certificate: self.text("client-certificate"),
            client_key: self.text("client-key"),
            username: self.text("username"),
            password: self.text("password"),
            impersonate: self.text("as"),
            impersonate_uid: self.text("as-uid"),
            impersonate_groups: groups.map(|(_, value)| value.clone()).collect(),
            request_timeout: self.text("request-timeout"),
        }
    }
}

/// The usage text.
pub(crate) fn usage() -> String {
    let mut text = String::from(
        "Seals Kubernetes Secrets, so that only the controller of one cluster can open them.\n\n\
         Usage: kubeseal [flags] < secret.yaml > sealedsecret.json\n\n\
         Examples:\n\
         \x20 kubectl create secret generic db --dry-run=client --from-literal=pw=1 -o json | kubeseal -o yaml > db.yaml\n\
         \x20 kubeseal --fetch-cert > cert.pem && kubeseal --cert cert.pem -f secret.yaml -w sealed.yaml\n\
         \x20 kubeseal --recovery-unseal --recovery-private-key backup.yaml < sealed.yaml\n\nFlags:\n",
    );
    for flag in FLAGS.iter().filter(|flag| !flag.help.is_empty()) {
        let short = flag
            .short
            .map_or_else(|| "    ".to_owned(), |letter| format!("-{letter}, "));
        let value = if flag.takes == Takes::Switch {
            ""
        } else {
            " VALUE"
        };
        text.push_str(&format!(
            "  {short}{:<34} {}\n",
            format!("--{}{value}", flag.name),
            flag.help
        ));
    }
    text.push_str("\nEach flag can be set by SEALED_SECRETS_<FLAG>, such as SEALED_SECRETS_CONTROLLER_NAME.\n");
    text.push_str("Logging flags (-v, --logtostderr, …) are accepted and change nothing.\n");
    text
}

fn check(flag: &Flag, value: &str) -> Result<(), String> {
    match (flag.name, flag.takes) {
        (_, Takes::Switch | Takes::LogSwitch) => match read_bool(value) {
            Some(_) => Ok(()),
            None => Err("expected true or false".to_owned()),
        },
        ("scope", _) if !matches!(value, "" | "strict" | "namespace-wide" | "cluster-wide") => {
            Err("must be one of: strict, namespace-wide, cluster-wide".to_owned())
        }
        ("v" | "log_file_max_size", _) if value.parse::<i64>().is_err() => {
            Err("expected a number".to_owned())
        }
        _ => Ok(()),
    }
}

/// One line of CSV: a field in double quotes may hold commas, and quotes doubled.
fn comma_separated(line: &str) -> Vec<String> {
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            _ => field.push(letter),
        }
    }
    if !field.is_empty() || !fields.is_empty() {
        fields.push(field);
    }
    fields
}

fn did_you_mean(name: &str) -> String {
    let near = FLAGS
        .iter()
        .filter(|flag| !flag.help.is_empty())
        .find(|flag| {
            flag.name.starts_with(name)
                || name.starts_with(flag.name)
                || flag.name.replace('-', "") == name.replace(['-', '_'], "")
        });
    near.map_or_else(String::new, |flag| {
        format!(" (did you mean --{}?)", flag.name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Flags, FlagError> {
        Flags::parse(args.iter().map(|arg| (*arg).to_owned()), |_| None)
    }

    #[test]
    fn k43_long_options_need_two_dashes_and_positionals_are_ignored() {
        let flags = parse(&[
            "left",
            "-oyaml",
            "--scope=cluster-wide",
            "behind",
            "-w",
            "out.yaml",
            "--raw",
        ])
        .unwrap();
        assert_eq!(flags.value("format"), Some("yaml"));
        assert_eq!(flags.value("scope"), Some("cluster-wide"));
        assert_eq!(flags.value("sealed-secret-file"), Some("out.yaml"));
        assert!(flags.is_on("raw") && !flags.is_on("validate"));
        assert!(parse(&["-cert", "x"]).is_err());
        let error = parse(&["--alow-empty-data"]).err().unwrap();
        assert!(
            error.0.starts_with("unknown flag: --alow-empty-data"),
            "{error}"
        );
    }

    #[test]
    fn t40_two_dashes_a_short_help_and_notices_of_old_names() {
        assert!(parse(&["-validate"]).is_err());
        assert!(parse(&["-h"]).unwrap().is_on("help"));
        let flags = parse(&["--rotate"]).unwrap();
        assert!(flags.is_on("re-encrypt"));
        assert_eq!(
            flags.notices().collect::<Vec<_>>(),
            ["Flag --rotate has been deprecated, please use --re-encrypt instead"]
        );
        // One flag with two names: the last word counts.
        let flags = parse(&["--re-encrypt", "--rotate=false"]).unwrap();
        assert!(!flags.is_on("re-encrypt"));
        assert_eq!(parse(&["--re-encrypt"]).unwrap().notices().count(), 0);
    }

    #[test]
    fn k15_a_wrong_scope_is_refused() {
        let error = parse(&["--scope", "Strict"]).err().unwrap();
        assert!(
            error
                .0
                .ends_with("must be one of: strict, namespace-wide, cluster-wide"),
            "{error}"
        );
    }

    #[test]
    fn k42_variables_count_less_than_flags_and_lists_add_up() {
        let variable = |name: &str| match name {
            "SEALED_SECRETS_CONTROLLER_NAME" => Some("from-variable".to_owned()),
            "SEALED_SECRETS_SCOPE" => Some("nonsense".to_owned()),
            "SEALED_SECRETS_RECOVERY_PRIVATE_KEY" => Some("a,b".to_owned()),
            _ => None,
        };
        let args = [
            "--recovery-private-key",
            "\"c,d\",e",
            "--controller-name",
            "from-flag",
        ];
        let flags = Flags::parse(args.map(str::to_owned), variable).unwrap();
        assert_eq!(flags.controller().name, "from-flag");
        assert_eq!(
            flags.value("scope"),
            None,
            "an impossible value in a variable is ignored"
        );
        assert_eq!(flags.list("recovery-private-key"), ["a", "b", "c,d", "e"]);
    }

    #[test]
    fn k41_logging_flags_are_accepted() {
        assert!(
            parse(&[
                "-v",
                "5",
                "--logtostderr",
                "--vmodule",
                "a=1",
                "--stderrthreshold=2"
            ])
            .is_ok()
        );
        assert!(parse(&["-v", "loud"]).is_err());
    }
}
