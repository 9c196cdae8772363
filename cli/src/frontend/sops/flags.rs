//! Every flag of the `sops` front-end; [`commands`](super::commands) says which command has which. Those of master keys
//! are made from the table of key kinds.

use std::sync::LazyLock;

use sealwright_crypto::key_kind::{self, KeyKind};

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing, or a boolean after `=`; the default.
    Bool(bool),
    /// A text; the default.
    Text(&'static str),
    /// A whole number, 0 when not given.
    Int,
    /// A text, any number of times.
    List,
}

/// One flag.
#[derive(Debug)]
pub(super) struct Flag {
    /// Its names; the first is the one it is asked for by.
    pub(super) names: &'static [&'static str],
    pub(super) takes: Takes,
    /// The variable that stands in for it.
    pub(super) variable: Option<&'static str>,
    pub(super) help: &'static str,
}

const fn flag(names: &'static [&'static str], takes: Takes, help: &'static str) -> Flag {
    Flag {
        names,
        takes,
        variable: None,
        help,
    }
}

const fn with_variable(
    names: &'static [&'static str],
    takes: Takes,
    variable: &'static str,
    help: &'static str,
) -> Flag {
    Flag {
        names,
        takes,
        variable: Some(variable),
        help,
    }
}

/// What a command does with the keys that its flags name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyFlags {
    /// Encrypts a new file for them.
    Use,
    /// Adds them to a file or removes them.
    Change,
    /// Makes a group of them.
    Group,
    /// Takes the settings of their kinds.
    Settings,
    /// Takes those settings that are bound to what a key wraps.
    BoundSettings,
}

impl KeyFlags {
    /// The flags, in the order of the table.
    pub(super) fn flags(self) -> &'static [Flag] {
        static USE: LazyLock<Vec<Flag>> = LazyLock::new(|| of_kinds(KeyFlags::Use));
        static CHANGE: LazyLock<Vec<Flag>> = LazyLock::new(|| of_kinds(KeyFlags::Change));
        static GROUP: LazyLock<Vec<Flag>> = LazyLock::new(|| of_kinds(KeyFlags::Group));
        static SETTINGS: LazyLock<Vec<Flag>> = LazyLock::new(|| of_settings(false));
        static BOUND: LazyLock<Vec<Flag>> = LazyLock::new(|| of_settings(true));
        match self {
            Self::Settings => &SETTINGS,
            Self::BoundSettings => &BOUND,
            Self::Use => &USE,
            Self::Change => &CHANGE,
            Self::Group => &GROUP,
        }
    }
}

/// Makes the flags of all kinds. They live as long as the program, as the flags that are written out do.
fn of_kinds(purpose: KeyFlags) -> Vec<Flag> {
    let mut flags = Vec::new();
    for kind in key_kind::ALL {
        let key_kind::FlagNames {
            names,
            variable,
            one,
            many,
            note,
            ..
        } = kind.flags;
        let change = |prefix: &str, help: String| {
            let name: &'static str = format!("{prefix}{}", names[0]).leak();
            flag(Box::leak(Box::new([name])), TEXT, help.leak())
        };
        match purpose {
            KeyFlags::Use => {
                let help = format!("comma list of {many}{note}");
                flags.push(with_variable(names, TEXT, variable, help.leak()));
            }
            KeyFlags::Change => {
                flags.push(change("add-", format!("add these {many}")));
                flags.push(change("rm-", format!("remove these {many}")));
            }
            KeyFlags::Group => {
                let help = format!("{one} for the new group; may be repeated");
                flags.push(flag(&names[..1], Takes::List, help.leak()));
            }
            KeyFlags::Settings | KeyFlags::BoundSettings => {}
        }
    }
    flags
}

fn of_settings(bound_only: bool) -> Vec<Flag> {
    let settings = KeyKind::settings().map(|(_, _, setting)| setting);
    let wanted = settings.filter(|setting| setting.is_bound || !bound_only);
    let flags = wanted.map(|setting| {
        let name = Box::leak(Box::new([setting.flag]));
        flag(name, TEXT, setting.help)
    });
    flags.collect()
}

const SWITCH: Takes = Takes::Bool(false);
const TEXT: Takes = Takes::Text("");

pub(super) static HELP: Flag = flag(&["help", "h"], SWITCH, "show this help");
pub(super) static VERSION: Flag = flag(&["version", "v"], SWITCH, "show the version");

pub(super) static LOCAL_SERVICE: Flag = with_variable(
    &["enable-local-keyservice"],
    Takes::Bool(true),
    "SOPS_ENABLE_LOCAL_KEYSERVICE",
    "use the keys of this machine (switch off with =false)",
);
pub(super) static SERVICE: Flag = with_variable(
    &["keyservice"],
    Takes::List,
    "SOPS_KEYSERVICE",
    "ask this key service too: tcp://host:port or unix:///path; may be repeated",
);
pub(super) static IN_PLACE: Flag = flag(
    &["in-place", "i"],
    SWITCH,
    "write the result back to the file",
);
pub(super) static OUTPUT: Flag = flag(&["output"], TEXT, "write the result to this file");
pub(super) static EXTRACT: Flag = flag(
    &["extract"],
    TEXT,
    "only the value at this path, such as '[\"a\"][0]'",
);
pub(super) static INPUT_TYPE: Flag = flag(
    &["input-type"],
    TEXT,
    "json, yaml, dotenv, ini or binary; by default what the file name says",
);
pub(super) static OUTPUT_TYPE: Flag = flag(
    &["output-type"],
    TEXT,
    "json, yaml, dotenv, ini or binary; by default what the file name says",
);
pub(super) static IGNORE_MAC: Flag =
    flag(&["ignore-mac"], SWITCH, "do not check the MAC of the file");
pub(super) static FILENAME_OVERRIDE: Flag = flag(
    &["filename-override"],
    TEXT,
    "take this name for rules and types; needed to encrypt standard input",
);
pub(super) static DECRYPTION_ORDER: Flag = with_variable(
    &["decryption-order"],
    TEXT,
    "SOPS_DECRYPTION_ORDER",
    "comma list of kinds of keys to try first (default: age,pgp)",
);
pub(super) static UNENCRYPTED_SUFFIX: Flag = flag(
    &["unencrypted-suffix"],
    TEXT,
    "leave values under keys with this ending plain",
);
pub(super) static ENCRYPTED_SUFFIX: Flag = flag(
    &["encrypted-suffix"],
    TEXT,
    "encrypt only values under keys with this ending",
);
pub(super) static UNENCRYPTED_REGEX: Flag = flag(
    &["unencrypted-regex"],
    TEXT,
    "leave values under matching keys plain",
);
pub(super) static ENCRYPTED_REGEX: Flag = flag(
    &["encrypted-regex"],
    TEXT,
    "encrypt only values under matching keys",
);
pub(super) static UNENCRYPTED_COMMENT_REGEX: Flag = flag(
    &["unencrypted-comment-regex"],
    TEXT,
    "leave values with a matching comment plain",
);
pub(super) static ENCRYPTED_COMMENT_REGEX: Flag = flag(
    &["encrypted-comment-regex"],
    TEXT,
    "encrypt only values with a matching comment",
);
pub(super) static MAC_ONLY_ENCRYPTED: Flag = flag(
    &["mac-only-encrypted"],
    SWITCH,
    "compute the MAC over encrypted values only",
);
pub(super) static THRESHOLD: Flag = flag(
    &["shamir-secret-sharing-threshold"],
    Takes::Int,
    "how many key groups it takes to recover the data key",
);
pub(super) static SHOW_MASTER_KEYS: Flag = flag(
    &["show-master-keys", "s"],
    SWITCH,
    "show the sops block in the editor too",
);
pub(super) static VALUE_FILE: Flag = flag(
    &["value-file"],
    SWITCH,
    "the value is the name of a file that holds it",
);
pub(super) static VALUE_STDIN: Flag = flag(
    &["value-stdin"],
    SWITCH,
    "read the value from standard input",
);
pub(super) static IDEMPOTENT: Flag = flag(
    &["idempotent"],
    SWITCH,
    "do nothing when there is nothing to do",
);
pub(super) static BACKGROUND: Flag = flag(
    &["background"],
    SWITCH,
    "start the command and do not wait (deprecated)",
);
pub(super) static PRISTINE: Flag = flag(
    &["pristine"],
    SWITCH,
    "give the command no variables but the decrypted ones",
);
pub(super) static USER: Flag = flag(&["user"], TEXT, "run the command as this user");
pub(super) static SAME_PROCESS: Flag = flag(
    &["same-process"],
    SWITCH,
    "become the command instead of starting it",
);
pub(super) static NO_FIFO: Flag = flag(
    &["no-fifo"],
    SWITCH,
    "hand over a regular file instead of a named pipe",
);
pub(super) static FILENAME: Flag = flag(
    &["filename"],
    TEXT,
    "the name of the file that the command gets",
);
pub(super) static YES: Flag = flag(&["yes", "y"], SWITCH, "do not ask");
pub(super) static OMIT_EXTENSIONS: Flag = flag(
    &["omit-extensions"],
    SWITCH,
    "publish under names without extensions",
);
pub(super) static RECURSIVE: Flag =
    flag(&["recursive"], SWITCH, "publish everything below a folder");
pub(super) static VERBOSE: Flag = flag(&["verbose"], SWITCH, "say more on standard error");
pub(super) static NETWORK: Flag = flag(
    &["network", "net"],
    Takes::Text("tcp"),
    "listen on tcp or unix",
);
pub(super) static ADDRESS: Flag = flag(
    &["address", "addr"],
    Takes::Text("127.0.0.1:5000"),
    "listen on this address or socket",
);
pub(super) static PROMPT: Flag = flag(
    &["prompt"],
    SWITCH,
    "ask on the terminal before each use of a key",
);
pub(super) static FILE: Flag = flag(&["file", "f"], TEXT, "the file to change");
pub(super) static DECRYPT: Flag = flag(
    &["decrypt", "d"],
    SWITCH,
    "decrypt a file, print the result",
);
pub(super) static ENCRYPT: Flag = flag(
    &["encrypt", "e"],
    SWITCH,
    "encrypt a file, print the result",
);
pub(super) static ROTATE: Flag = flag(
    &["rotate", "r"],
    SWITCH,
    "make a new data key and re-encrypt all values",
);
pub(super) static SET: Flag = flag(&["set"], TEXT, "set one value: '[\"a\"][0] \"json\"'");
pub(super) static CONFIG: Flag = with_variable(
    &["config"],
    TEXT,
    "SOPS_CONFIG",
    "the configuration file; by default .sops.yaml here or above",
);
pub(super) static INDENT: Flag = flag(
    &["indent"],
    Takes::Int,
    "columns per level in YAML and JSON that is rewritten",
);
pub(super) static DISABLE_VERSION_CHECK: Flag = with_variable(
    &["disable-version-check"],
    SWITCH,
    "SOPS_DISABLE_VERSION_CHECK",
    "with --version: do not look for a newer release (which this program never does)",
);
pub(super) static CHECK_FOR_UPDATES: Flag = flag(
    &["check-for-updates"],
    SWITCH,
    "with --version: look for a newer release",
);
