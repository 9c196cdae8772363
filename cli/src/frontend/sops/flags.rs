//! Every flag and command of the `sops` front-end, in one list: the parser, the help and the completion read it.

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

/// One command.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) name: &'static str,
    /// What stands after the options in the usage line.
    pub(super) operands: &'static str,
    pub(super) summary: &'static str,
    pub(super) flags: &'static [&'static Flag],
    pub(super) commands: &'static [Command],
    pub(super) examples: &'static [(&'static str, &'static str)],
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

const SWITCH: Takes = Takes::Bool(false);
const TEXT: Takes = Takes::Text("");

pub(super) static HELP: Flag = flag(&["help", "h"], SWITCH, "show this help");
pub(super) static VERSION: Flag = flag(&["version", "v"], SWITCH, "show the version");

static LOCAL_SERVICE: Flag = with_variable(
    &["enable-local-keyservice"],
    Takes::Bool(true),
    "SOPS_ENABLE_LOCAL_KEYSERVICE",
    "use the keys of this machine (switch off with =false)",
);
static SERVICE: Flag = with_variable(
    &["keyservice"],
    Takes::List,
    "SOPS_KEYSERVICE",
    "ask this key service too: tcp://host:port or unix:///path; may be repeated",
);
static IN_PLACE: Flag = flag(
    &["in-place", "i"],
    SWITCH,
    "write the result back to the file",
);
static OUTPUT: Flag = flag(&["output"], TEXT, "write the result to this file");
static EXTRACT: Flag = flag(
    &["extract"],
    TEXT,
    "only the value at this path, such as '[\"a\"][0]'",
);
static INPUT_TYPE: Flag = flag(
    &["input-type"],
    TEXT,
    "json, yaml, dotenv, ini or binary; by default what the file name says",
);
static OUTPUT_TYPE: Flag = flag(
    &["output-type"],
    TEXT,
    "json, yaml, dotenv, ini or binary; by default what the file name says",
);
static IGNORE_MAC: Flag = flag(&["ignore-mac"], SWITCH, "do not check the MAC of the file");
static FILENAME_OVERRIDE: Flag = flag(
    &["filename-override"],
    TEXT,
    "take this name for rules and types; needed to encrypt standard input",
);
static DECRYPTION_ORDER: Flag = with_variable(
    &["decryption-order"],
    TEXT,
    "SOPS_DECRYPTION_ORDER",
    "comma list of kinds of keys to try first (default: age,pgp)",
);
static KMS: Flag = with_variable(
    &["kms", "k"],
    TEXT,
    "SOPS_KMS_ARN",
    "comma list of AWS KMS key ARNs, each with +role-ARN if need be",
);
static AWS_PROFILE: Flag = flag(&["aws-profile"], TEXT, "the AWS profile for KMS keys");
static GCP_KMS: Flag = with_variable(
    &["gcp-kms"],
    TEXT,
    "SOPS_GCP_KMS_IDS",
    "comma list of Google Cloud KMS resource ids",
);
static HCKMS: Flag = with_variable(
    &["hckms"],
    TEXT,
    "SOPS_HUAWEICLOUD_KMS_IDS",
    "comma list of Huawei Cloud KMS key ids (region:uuid)",
);
static AZURE_KV: Flag = with_variable(
    &["azure-kv"],
    TEXT,
    "SOPS_AZURE_KEYVAULT_URLS",
    "comma list of Azure Key Vault key URLs",
);
static VAULT: Flag = with_variable(
    &["hc-vault-transit"],
    TEXT,
    "SOPS_VAULT_URIS",
    "comma list of Vault transit key URLs",
);
static PGP: Flag = with_variable(
    &["pgp", "p"],
    TEXT,
    "SOPS_PGP_FP",
    "comma list of OpenPGP fingerprints",
);
static AGE: Flag = with_variable(
    &["age", "a"],
    TEXT,
    "SOPS_AGE_RECIPIENTS",
    "comma list of age recipients",
);
static UNENCRYPTED_SUFFIX: Flag = flag(
    &["unencrypted-suffix"],
    TEXT,
    "leave values under keys with this ending plain",
);
static ENCRYPTED_SUFFIX: Flag = flag(
    &["encrypted-suffix"],
    TEXT,
    "encrypt only values under keys with this ending",
);
static UNENCRYPTED_REGEX: Flag = flag(
    &["unencrypted-regex"],
    TEXT,
    "leave values under matching keys plain",
);
static ENCRYPTED_REGEX: Flag = flag(
    &["encrypted-regex"],
    TEXT,
    "encrypt only values under matching keys",
);
static UNENCRYPTED_COMMENT_REGEX: Flag = flag(
    &["unencrypted-comment-regex"],
    TEXT,
    "leave values with a matching comment plain",
);
static ENCRYPTED_COMMENT_REGEX: Flag = flag(
    &["encrypted-comment-regex"],
    TEXT,
    "encrypt only values with a matching comment",
);
static MAC_ONLY_ENCRYPTED: Flag = flag(
    &["mac-only-encrypted"],
    SWITCH,
    "compute the MAC over encrypted values only",
);
static ENCRYPTION_CONTEXT: Flag = flag(
    &["encryption-context"],
    TEXT,
    "comma list of key:value pairs for KMS keys",
);
static THRESHOLD: Flag = flag(
    &["shamir-secret-sharing-threshold"],
    Takes::Int,
    "how many key groups it takes to recover the data key",
);
static ADD_AGE: Flag = flag(&["add-age"], TEXT, "add these age recipients");
static RM_AGE: Flag = flag(&["rm-age"], TEXT, "remove these age recipients");
static ADD_PGP: Flag = flag(&["add-pgp"], TEXT, "add these OpenPGP fingerprints");
static RM_PGP: Flag = flag(&["rm-pgp"], TEXT, "remove these OpenPGP fingerprints");
static ADD_KMS: Flag = flag(&["add-kms"], TEXT, "add these AWS KMS keys");
static RM_KMS: Flag = flag(&["rm-kms"], TEXT, "remove these AWS KMS keys");
static ADD_GCP_KMS: Flag = flag(&["add-gcp-kms"], TEXT, "add these Google Cloud KMS keys");
static RM_GCP_KMS: Flag = flag(&["rm-gcp-kms"], TEXT, "remove these Google Cloud KMS keys");
static ADD_HCKMS: Flag = flag(&["add-hckms"], TEXT, "add these Huawei Cloud KMS keys");
static RM_HCKMS: Flag = flag(&["rm-hckms"], TEXT, "remove these Huawei Cloud KMS keys");
static ADD_AZURE_KV: Flag = flag(&["add-azure-kv"], TEXT, "add these Azure Key Vault keys");
static RM_AZURE_KV: Flag = flag(&["rm-azure-kv"], TEXT, "remove these Azure Key Vault keys");
static ADD_VAULT: Flag = flag(
    &["add-hc-vault-transit"],
    TEXT,
    "add these Vault transit keys",
);
static RM_VAULT: Flag = flag(
    &["rm-hc-vault-transit"],
    TEXT,
    "remove these Vault transit keys",
);
static SHOW_MASTER_KEYS: Flag = flag(
    &["show-master-keys", "s"],
    SWITCH,
    "show the sops block in the editor too",
);
static VALUE_FILE: Flag = flag(
    &["value-file"],
    SWITCH,
    "the value is the name of a file that holds it",
);
static VALUE_STDIN: Flag = flag(
    &["value-stdin"],
    SWITCH,
    "read the value from standard input",
);
static IDEMPOTENT: Flag = flag(
    &["idempotent"],
    SWITCH,
    "do nothing when there is nothing to do",
);
static BACKGROUND: Flag = flag(
    &["background"],
    SWITCH,
    "start the command and do not wait (deprecated)",
);
static PRISTINE: Flag = flag(
    &["pristine"],
    SWITCH,
    "give the command no variables but the decrypted ones",
);
static USER: Flag = flag(&["user"], TEXT, "run the command as this user");
static SAME_PROCESS: Flag = flag(
    &["same-process"],
    SWITCH,
    "become the command instead of starting it",
);
static NO_FIFO: Flag = flag(
    &["no-fifo"],
    SWITCH,
    "hand over a regular file instead of a named pipe",
);
static FILENAME: Flag = flag(
    &["filename"],
    TEXT,
    "the name of the file that the command gets",
);
static YES: Flag = flag(&["yes", "y"], SWITCH, "do not ask");
static OMIT_EXTENSIONS: Flag = flag(
    &["omit-extensions"],
    SWITCH,
    "publish under names without extensions",
);
static RECURSIVE: Flag = flag(&["recursive"], SWITCH, "publish everything below a folder");
static VERBOSE: Flag = flag(&["verbose"], SWITCH, "say more on standard error");
static NETWORK: Flag = flag(
    &["network", "net"],
    Takes::Text("tcp"),
    "listen on tcp or unix",
);
static ADDRESS: Flag = flag(
    &["address", "addr"],
    Takes::Text("127.0.0.1:5000"),
    "listen on this address or socket",
);
static PROMPT: Flag = flag(
    &["prompt"],
    SWITCH,
    "ask on the terminal before each use of a key",
);
static FILE: Flag = flag(&["file", "f"], TEXT, "the file to change");
static DECRYPT: Flag = flag(
    &["decrypt", "d"],
    SWITCH,
    "decrypt a file, print the result",
);
static ENCRYPT: Flag = flag(
    &["encrypt", "e"],
    SWITCH,
    "encrypt a file, print the result",
);
static ROTATE: Flag = flag(
    &["rotate", "r"],
    SWITCH,
    "make a new data key and encrypt all values anew",
);
static SET: Flag = flag(&["set"], TEXT, "set one value: '[\"a\"][0] \"json\"'");
static CONFIG: Flag = with_variable(
    &["config"],
    TEXT,
    "SOPS_CONFIG",
    "the configuration file; by default .sops.yaml here or above",
);
static INDENT: Flag = flag(
    &["indent"],
    Takes::Int,
    "columns per level in YAML and JSON that is written anew",
);
static DISABLE_VERSION_CHECK: Flag = with_variable(
    &["disable-version-check"],
    SWITCH,
    "SOPS_DISABLE_VERSION_CHECK",
    "with --version: do not look for a newer release (which this program never does)",
);
static CHECK_FOR_UPDATES: Flag = flag(
    &["check-for-updates"],
    SWITCH,
    "with --version: look for a newer release",
);
static GROUP_PGP: Flag = flag(
    &["pgp"],
    Takes::List,
    "an OpenPGP fingerprint for the new group; may be repeated",
);
static GROUP_KMS: Flag = flag(
    &["kms"],
    Takes::List,
    "an AWS KMS ARN for the new group; may be repeated",
);
static GROUP_GCP_KMS: Flag = flag(
    &["gcp-kms"],
    Takes::List,
    "a Google Cloud KMS id for the new group; may be repeated",
);
static GROUP_HCKMS: Flag = flag(
    &["hckms"],
    Takes::List,
    "a Huawei Cloud KMS key id for the new group; may be repeated",
);
static GROUP_AZURE_KV: Flag = flag(
    &["azure-kv"],
    Takes::List,
    "an Azure Key Vault key URL for the new group; may be repeated",
);
static GROUP_VAULT: Flag = flag(
    &["hc-vault-transit"],
    Takes::List,
    "a Vault transit key URL for the new group; may be repeated",
);
static GROUP_AGE: Flag = flag(
    &["age"],
    Takes::List,
    "an age recipient for the new group; may be repeated",
);

/// The program itself: its flags before a command, and all of the mode without a command.
pub(super) static ROOT: Command = Command {
    name: "sops",
    operands: "[file]",
    summary: "encrypted files for Git: edit, encrypt, decrypt and share them",
    flags: &[
        &DECRYPT,
        &ENCRYPT,
        &ROTATE,
        &DISABLE_VERSION_CHECK,
        &CHECK_FOR_UPDATES,
        &KMS,
        &AWS_PROFILE,
        &GCP_KMS,
        &HCKMS,
        &AZURE_KV,
        &VAULT,
        &PGP,
        &AGE,
        &IN_PLACE,
        &EXTRACT,
        &INPUT_TYPE,
        &OUTPUT_TYPE,
        &SHOW_MASTER_KEYS,
        &ADD_GCP_KMS,
        &RM_GCP_KMS,
        &ADD_HCKMS,
        &RM_HCKMS,
        &ADD_AZURE_KV,
        &RM_AZURE_KV,
        &ADD_KMS,
        &RM_KMS,
        &ADD_VAULT,
        &RM_VAULT,
        &ADD_AGE,
        &RM_AGE,
        &ADD_PGP,
        &RM_PGP,
        &IGNORE_MAC,
        &MAC_ONLY_ENCRYPTED,
        &UNENCRYPTED_SUFFIX,
        &ENCRYPTED_SUFFIX,
        &UNENCRYPTED_REGEX,
        &ENCRYPTED_REGEX,
        &UNENCRYPTED_COMMENT_REGEX,
        &ENCRYPTED_COMMENT_REGEX,
        &CONFIG,
        &ENCRYPTION_CONTEXT,
        &SET,
        &THRESHOLD,
        &INDENT,
        &VERBOSE,
        &OUTPUT,
        &FILENAME_OVERRIDE,
        &DECRYPTION_ORDER,
        &LOCAL_SERVICE,
        &SERVICE,
        &HELP,
        &VERSION,
    ],
    commands: &[
        COMPLETION,
        EXEC_ENV,
        EXEC_FILE,
        PUBLISH,
        KEYSERVICE,
        FILESTATUS,
        GROUPS,
        UPDATEKEYS,
        DECRYPT_COMMAND,
        ENCRYPT_COMMAND,
        ROTATE_COMMAND,
        EDIT,
        SET_COMMAND,
        UNSET,
    ],
    examples: &[
        ("edit a file", "sops secrets.yaml"),
        ("encrypt a file in place", "sops encrypt -i secrets.yaml"),
        (
            "print one value",
            "sops decrypt --extract '[\"db\"][\"password\"]' secrets.yaml",
        ),
        (
            "run a program with the values in its environment",
            "sops exec-env app.env ./server",
        ),
    ],
};

const ENCRYPT_COMMAND: Command = Command {
    name: "encrypt",
    operands: "[file]",
    summary: "encrypt a file, or standard input, and print the result",
    flags: &[
        &IN_PLACE,
        &OUTPUT,
        &KMS,
        &AWS_PROFILE,
        &GCP_KMS,
        &HCKMS,
        &AZURE_KV,
        &VAULT,
        &PGP,
        &AGE,
        &INPUT_TYPE,
        &OUTPUT_TYPE,
        &UNENCRYPTED_SUFFIX,
        &ENCRYPTED_SUFFIX,
        &UNENCRYPTED_REGEX,
        &ENCRYPTED_REGEX,
        &ENCRYPTION_CONTEXT,
        &THRESHOLD,
        &FILENAME_OVERRIDE,
        &LOCAL_SERVICE,
        &SERVICE,
        &HELP,
    ],
    commands: &[],
    examples: &[
        (
            "for one recipient",
            "sops encrypt --age age1… secrets.yaml > secrets.enc.yaml",
        ),
        (
            "from a pipe",
            "generate | sops encrypt --filename-override app.env > app.env",
        ),
    ],
};

const DECRYPT_COMMAND: Command = Command {
    name: "decrypt",
    operands: "[file]",
    summary: "decrypt a file, or standard input, and print the result",
    flags: &[
        &IN_PLACE,
        &EXTRACT,
        &OUTPUT,
        &INPUT_TYPE,
        &OUTPUT_TYPE,
        &IGNORE_MAC,
        &FILENAME_OVERRIDE,
        &DECRYPTION_ORDER,
        &LOCAL_SERVICE,
        &SERVICE,
        &HELP,
    ],
    commands: &[],
    examples: &[
        (
            "one value",
            "sops decrypt --extract '[\"db\"][\"password\"]' secrets.yaml",
        ),
        ("as JSON", "sops decrypt --output-type json secrets.yaml"),
    ],
};

const ROTATE_COMMAND: Command = Command {
    name: "rotate",
    operands: "file",
    summary: "make a new data key, encrypt all values anew, add and remove master keys",
    flags: &[
        &IN_PLACE,
        &OUTPUT,
        &INPUT_TYPE,
        &OUTPUT_TYPE,
        &ENCRYPTION_CONTEXT,
        &ADD_GCP_KMS,
        &RM_GCP_KMS,
        &ADD_HCKMS,
        &RM_HCKMS,
        &ADD_AZURE_KV,
        &RM_AZURE_KV,
        &ADD_KMS,
        &RM_KMS,
        &ADD_VAULT,
        &RM_VAULT,
        &ADD_AGE,
        &RM_AGE,
        &ADD_PGP,
        &RM_PGP,
        &FILENAME_OVERRIDE,
        &DECRYPTION_ORDER,
        &LOCAL_SERVICE,
        &SERVICE,
        &HELP,
    ],
    commands: &[],
    examples: &[(
        "after somebody left",
        "sops rotate -i --rm-age age1… secrets.yaml",
    )],
};

const EDIT: Command = Command {
    name: "edit",
    operands: "file",
    summary: "decrypt a file into an editor and encrypt what comes back",
    flags: &[
        &KMS,
        &AWS_PROFILE,
        &GCP_KMS,
        &HCKMS,
        &AZURE_KV,
        &VAULT,
        &PGP,
        &AGE,
        &INPUT_TYPE,
        &OUTPUT_TYPE,
        &UNENCRYPTED_SUFFIX,
        &ENCRYPTED_SUFFIX,
        &UNENCRYPTED_REGEX,
        &ENCRYPTED_REGEX,
        &ENCRYPTION_CONTEXT,
        &THRESHOLD,
        &SHOW_MASTER_KEYS,
        &IGNORE_MAC,
        &DECRYPTION_ORDER,
        &LOCAL_SERVICE,
        &SERVICE,
        &HELP,
    ],
    commands: &[],
    examples: &[(
        "with another editor",
        "SOPS_EDITOR='code --wait' sops edit secrets.yaml",
    )],
};

const SET_COMMAND: Command = Command {
    name: "set",
    operands: "file index [value]",
    summary: "set one value of an encrypted file; the value is JSON",
    flags: &[
        &INPUT_TYPE,
        &OUTPUT_TYPE,
        &VALUE_FILE,
        &VALUE_STDIN,
        &THRESHOLD,
        &IGNORE_MAC,
        &DECRYPTION_ORDER,
        &IDEMPOTENT,
        &LOCAL_SERVICE,
        &SERVICE,
        &HELP,
    ],
    commands: &[],
    examples: &[
        (
            "a text",
            "sops set secrets.yaml '[\"db\"][\"password\"]' '\"s3cr3t\"'",
        ),
        (
            "without a trace in the process list",
            "sops set --value-stdin secrets.yaml '[\"key\"]' < key.json",
        ),
    ],
};

const UNSET: Command = Command {
    name: "unset",
    operands: "file index",
    summary: "remove one value of an encrypted file",
    flags: &[
        &INPUT_TYPE,
        &OUTPUT_TYPE,
        &THRESHOLD,
        &IGNORE_MAC,
        &DECRYPTION_ORDER,
        &IDEMPOTENT,
        &LOCAL_SERVICE,
        &SERVICE,
        &HELP,
    ],
    commands: &[],
    examples: &[(
        "a list element",
        "sops unset secrets.yaml '[\"tokens\"][0]'",
    )],
};

const EXEC_ENV: Command = Command {
    name: "exec-env",
    operands: "[file to decrypt] [command to run]",
    summary: "run a command with the decrypted values in its environment",
    flags: &[
        &BACKGROUND,
        &PRISTINE,
        &USER,
        &SAME_PROCESS,
        &DECRYPTION_ORDER,
        &LOCAL_SERVICE,
        &SERVICE,
        &HELP,
    ],
    commands: &[],
    examples: &[("a server", "sops exec-env app.env ./server")],
};

const EXEC_FILE: Command = Command {
    name: "exec-file",
    operands: "[file to decrypt] [command to run]",
    summary: "run a command with the decrypted file as a named pipe or file; {} stands for its path",
    flags: &[
        &BACKGROUND,
        &NO_FIFO,
        &USER,
        &INPUT_TYPE,
        &OUTPUT_TYPE,
        &FILENAME,
        &DECRYPTION_ORDER,
        &LOCAL_SERVICE,
        &SERVICE,
        &HELP,
    ],
    commands: &[],
    examples: &[(
        "a program that wants a file",
        "sops exec-file config.json 'server --config {}'",
    )],
};

const PUBLISH: Command = Command {
    name: "publish",
    operands: "file",
    summary: "put a file or folder where the destination rules say",
    flags: &[
        &YES,
        &OMIT_EXTENSIONS,
        &RECURSIVE,
        &VERBOSE,
        &DECRYPTION_ORDER,
        &LOCAL_SERVICE,
        &SERVICE,
        &HELP,
    ],
    commands: &[],
    examples: &[],
};

const KEYSERVICE: Command = Command {
    name: "keyservice",
    operands: "",
    summary: "lend this machine's keys to others over gRPC",
    flags: &[&NETWORK, &ADDRESS, &PROMPT, &VERBOSE, &HELP],
    commands: &[],
    examples: &[(
        "on a socket",
        "sops keyservice --network unix --address /run/user/1000/sops.sock",
    )],
};

const FILESTATUS: Command = Command {
    name: "filestatus",
    operands: "file",
    summary: "tell whether a file is encrypted, as JSON",
    flags: &[&INPUT_TYPE, &LOCAL_SERVICE, &SERVICE, &HELP],
    commands: &[],
    examples: &[],
};

const GROUPS: Command = Command {
    name: "groups",
    operands: "",
    summary: "add and remove key groups of a file",
    flags: &[&HELP],
    commands: &[
        Command {
            name: "add",
            operands: "",
            summary: "add a key group to a file",
            flags: &[
                &FILE,
                &GROUP_PGP,
                &GROUP_KMS,
                &AWS_PROFILE,
                &GROUP_GCP_KMS,
                &GROUP_HCKMS,
                &GROUP_AZURE_KV,
                &GROUP_VAULT,
                &GROUP_AGE,
                &IN_PLACE,
                &THRESHOLD,
                &ENCRYPTION_CONTEXT,
                &LOCAL_SERVICE,
                &SERVICE,
                &HELP,
            ],
            commands: &[],
            examples: &[(
                "a second group",
                "sops groups add -i --file secrets.yaml --age age1…",
            )],
        },
        Command {
            name: "delete",
            operands: "[index]",
            summary: "remove a key group from a file; the first has index 0",
            flags: &[
                &FILE,
                &IN_PLACE,
                &THRESHOLD,
                &LOCAL_SERVICE,
                &SERVICE,
                &HELP,
            ],
            commands: &[],
            examples: &[(
                "the second group",
                "sops groups delete -i --file secrets.yaml 1",
            )],
        },
    ],
    examples: &[],
};

const UPDATEKEYS: Command = Command {
    name: "updatekeys",
    operands: "file",
    summary: "give files the master keys that the configuration names for them",
    flags: &[&YES, &INPUT_TYPE, &LOCAL_SERVICE, &SERVICE, &HELP],
    commands: &[],
    examples: &[(
        "all at once, without questions",
        "sops updatekeys -y secrets/*.yaml",
    )],
};

const COMPLETION: Command = Command {
    name: "completion",
    operands: "",
    summary: "print a completion script for a shell",
    flags: &[&HELP],
    commands: &[
        Command {
            name: "bash",
            operands: "",
            summary: "print a completion script for bash",
            flags: &[&HELP],
            commands: &[],
            examples: &[],
        },
        Command {
            name: "zsh",
            operands: "",
            summary: "print a completion script for zsh",
            flags: &[&HELP],
            commands: &[],
            examples: &[],
        },
    ],
    examples: &[],
};
