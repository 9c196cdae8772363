//! Every command of the `sops` front-end with its flags, in one list: the parser, the help and the completion read it.

use super::flags::*;

/// One command.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) name: &'static str,
    /// What stands after the options in the usage line.
    pub(super) operands: &'static str,
    pub(super) summary: &'static str,
    own_flags: &'static [&'static Flag],
    /// The flags of master keys that it has, too.
    key_flags: &'static [KeyFlags],
    pub(super) commands: &'static [Command],
    pub(super) examples: &'static [(&'static str, &'static str)],
}

impl Command {
    /// Its flags, in the order of the help.
    pub(super) fn flags(&self) -> impl Iterator<Item = &'static Flag> {
        let keys = self.key_flags.iter().flat_map(|keys| keys.flags());
        self.own_flags.iter().copied().chain(keys)
    }
}

/// The program itself: its flags before a command, and all of the mode without a command.
pub(super) static ROOT: Command = Command {
    name: "sops",
    operands: "[file]",
    summary: "encrypted files for Git: edit, encrypt, decrypt and share them",
    own_flags: &[
        &DECRYPT,
        &ENCRYPT,
        &ROTATE,
        &DISABLE_VERSION_CHECK,
        &CHECK_FOR_UPDATES,
        &IN_PLACE,
        &EXTRACT,
        &INPUT_TYPE,
        &OUTPUT_TYPE,
        &SHOW_MASTER_KEYS,
        &IGNORE_MAC,
        &MAC_ONLY_ENCRYPTED,
        &UNENCRYPTED_SUFFIX,
        &ENCRYPTED_SUFFIX,
        &UNENCRYPTED_REGEX,
        &ENCRYPTED_REGEX,
        &UNENCRYPTED_COMMENT_REGEX,
        &ENCRYPTED_COMMENT_REGEX,
        &CONFIG,
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
    key_flags: &[KeyFlags::Use, KeyFlags::Settings, KeyFlags::Change],
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
    own_flags: &[
        &IN_PLACE,
        &OUTPUT,
        &INPUT_TYPE,
        &OUTPUT_TYPE,
        &UNENCRYPTED_SUFFIX,
        &ENCRYPTED_SUFFIX,
        &UNENCRYPTED_REGEX,
        &ENCRYPTED_REGEX,
        &THRESHOLD,
        &FILENAME_OVERRIDE,
        &LOCAL_SERVICE,
        &SERVICE,
        &HELP,
    ],
    key_flags: &[KeyFlags::Use, KeyFlags::Settings],
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
    own_flags: &[
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
    key_flags: &[],
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
    summary: "make a new data key, re-encrypt all values, add and remove master keys",
    own_flags: &[
        &IN_PLACE,
        &OUTPUT,
        &INPUT_TYPE,
        &OUTPUT_TYPE,
        &FILENAME_OVERRIDE,
        &DECRYPTION_ORDER,
        &LOCAL_SERVICE,
        &SERVICE,
        &HELP,
    ],
    key_flags: &[KeyFlags::Change, KeyFlags::BoundSettings],
    commands: &[],
    examples: &[(
        "after someone left",
        "sops rotate -i --rm-age age1… secrets.yaml",
    )],
};

const EDIT: Command = Command {
    name: "edit",
    operands: "file",
    summary: "decrypt a file into an editor and encrypt what comes back",
    own_flags: &[
        &INPUT_TYPE,
        &OUTPUT_TYPE,
        &UNENCRYPTED_SUFFIX,
        &ENCRYPTED_SUFFIX,
        &UNENCRYPTED_REGEX,
        &ENCRYPTED_REGEX,
        &THRESHOLD,
        &SHOW_MASTER_KEYS,
        &IGNORE_MAC,
        &DECRYPTION_ORDER,
        &LOCAL_SERVICE,
        &SERVICE,
        &HELP,
    ],
    key_flags: &[KeyFlags::Use, KeyFlags::Settings],
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
    own_flags: &[
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
    key_flags: &[],
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
    own_flags: &[
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
    key_flags: &[],
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
    own_flags: &[
        &BACKGROUND,
        &PRISTINE,
        &USER,
        &SAME_PROCESS,
        &DECRYPTION_ORDER,
        &LOCAL_SERVICE,
        &SERVICE,
        &HELP,
    ],
    key_flags: &[],
    commands: &[],
    examples: &[("a server", "sops exec-env app.env ./server")],
};

const EXEC_FILE: Command = Command {
    name: "exec-file",
    operands: "[file to decrypt] [command to run]",
    summary: "run a command with the decrypted file as a named pipe or file; {} stands for its path",
    own_flags: &[
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
    key_flags: &[],
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
    own_flags: &[
        &YES,
        &OMIT_EXTENSIONS,
        &RECURSIVE,
        &VERBOSE,
        &DECRYPTION_ORDER,
        &LOCAL_SERVICE,
        &SERVICE,
        &HELP,
    ],
    key_flags: &[],
    commands: &[],
    examples: &[],
};

const KEYSERVICE: Command = Command {
    name: "keyservice",
    operands: "",
    summary: "lend this machine's keys to others over gRPC",
    own_flags: &[&NETWORK, &ADDRESS, &PROMPT, &VERBOSE, &HELP],
    key_flags: &[],
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
    own_flags: &[&INPUT_TYPE, &LOCAL_SERVICE, &SERVICE, &HELP],
    key_flags: &[],
    commands: &[],
    examples: &[],
};

const GROUPS: Command = Command {
    name: "groups",
    operands: "",
    summary: "add and remove key groups of a file",
    own_flags: &[&HELP],
    key_flags: &[],
    commands: &[
        Command {
            name: "add",
            operands: "",
            summary: "add a key group to a file",
            own_flags: &[
                &FILE,
                &IN_PLACE,
                &THRESHOLD,
                &LOCAL_SERVICE,
                &SERVICE,
                &HELP,
            ],
            key_flags: &[KeyFlags::Group, KeyFlags::Settings],
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
            own_flags: &[
                &FILE,
                &IN_PLACE,
                &THRESHOLD,
                &LOCAL_SERVICE,
                &SERVICE,
                &HELP,
            ],
            key_flags: &[],
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
    own_flags: &[&YES, &INPUT_TYPE, &LOCAL_SERVICE, &SERVICE, &HELP],
    key_flags: &[],
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
    own_flags: &[&HELP],
    key_flags: &[],
    commands: &[
        Command {
            name: "bash",
            operands: "",
            summary: "print a completion script for bash",
            own_flags: &[&HELP],
            key_flags: &[],
            commands: &[],
            examples: &[],
        },
        Command {
            name: "zsh",
            operands: "",
            summary: "print a completion script for zsh",
            own_flags: &[&HELP],
            key_flags: &[],
            commands: &[],
            examples: &[],
        },
    ],
    examples: &[],
};
