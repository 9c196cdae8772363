//! The words of each command.

use super::{TYPES, Words};

impl Words<'_> {
    pub(super) fn encrypt(&mut self) {
        self.everywhere();
        self.push("encrypt");
        let late = self.dice.chance(50);
        if late {
            self.of(&[
                "plain.yaml",
                "plain.json",
                "plain.env",
                "plain.ini",
                "plain.bin",
                "sub/plain.yaml",
                "noise",
            ]);
        }
        self.keys(55);
        self.types(12);
        self.selection();
        self.outputs();
        self.maybe_one(6, "--shamir-secret-sharing-threshold", &["1", "2", "3"]);
        self.maybe_one(8, "--filename-override", &["x.yaml", "sub/x.json", "x.env"]);
        self.maybe_one(2, "--encryption-context", &["a:b", "a", "a:b:c"]);
        self.services();
        if !late {
            self.file();
        }
    }

    pub(super) fn decrypt(&mut self) {
        self.everywhere();
        self.push("decrypt");
        let late = self.dice.chance(50);
        if late {
            self.encrypted_file();
        }
        self.types(15);
        self.maybe_one(
            18,
            "--extract",
            &[
                "[\"db\"]",
                "[\"db\"][\"password\"]",
                "[\"list\"][0]",
                "[\"list\"][9]",
                "[\"nothing\"]",
                "[\"list\"][-1]",
                "db",
                "[\"port\"]",
                "[\"port\"][0]",
                "[\"on\"]",
                "[\"price\"]",
                "[\"",
                "[]",
                "['db']['user']",
                "[\"list\"]",
            ],
        );
        self.maybe(10, &["--ignore-mac"]);
        self.outputs();
        self.maybe_one(8, "--filename-override", &["x.yaml", "x.json", "x.env"]);
        self.maybe_one(5, "--decryption-order", &["age", "pgp,age", "age,age"]);
        self.services();
        if !late {
            self.file();
        }
    }

    pub(super) fn rotate(&mut self) {
        self.everywhere();
        self.push("rotate");
        let recipients = self.desk.recipients.clone();
        self.maybe_one(25, "--add-age", &[&recipients[1], &recipients[2], "junk"]);
        self.maybe_one(15, "--rm-age", &[&recipients[0], &recipients[1], "junk"]);
        self.types(5);
        self.outputs();
        self.services();
        self.encrypted_file();
    }

    const PATHS: [&'static str; 17] = [
        "[\"db\"][\"password\"]",
        "[\"new\"]",
        "[\"db\"][\"new\"]",
        "[\"list\"][0]",
        "[\"list\"][7]",
        "[\"a\"][\"b\"][\"c\"]",
        "[\"db\"]",
        "[\"port\"]",
        "db",
        "[\"list\"]",
        "[\"sops\"]",
        "[\"db\"][\"user\"][\"deep\"]",
        "[\"list\"][\"x\"]",
        "[0]",
        "[\"db\"][0]",
        "[\"list\"][-1]",
        "[\"on\"]",
    ];

    pub(super) fn set(&mut self) {
        self.everywhere();
        self.push("set");
        let by_file = self.dice.chance(10);
        let by_input = self.dice.chance(10);
        if by_file {
            self.push("--value-file");
        }
        if by_input {
            self.push("--value-stdin");
        }
        let late = self.dice.chance(40);
        if late {
            // The word after a switch would end the flags.
            self.maybe(30, &["--idempotent=true"]);
            self.maybe(6, &["--ignore-mac=true"]);
        }
        if by_file || by_input {
            let last = self.words.pop().unwrap();
            self.push(&format!("{last}=true"));
        }
        self.encrypted_file();
        let path = self.dice.one(&Self::PATHS).to_owned();
        self.push(&path);
        let value = self.dice.one(&[
            "\"text\"",
            "true",
            "null",
            "{\"x\": 1, \"y\": [1, 2.5]}",
            "\"s3cr3t\"",
            "8080",
            "1.5",
            "nonsense",
            "",
            "\"a\nb\"",
            "{}",
            "[1, \"two\"]",
        ]);
        if by_file {
            self.push("value.json");
        } else if !by_input {
            let value = value.to_owned();
            self.push(&value);
        }
        if !late {
            self.maybe(30, &["--idempotent"]);
        }
    }

    pub(super) fn unset(&mut self) {
        self.everywhere();
        self.push("unset");
        self.maybe(30, &["--idempotent=true"]);
        self.encrypted_file();
        let path = self.dice.one(&Self::PATHS).to_owned();
        self.push(&path);
        self.maybe(4, &["surplus"]);
    }

    pub(super) fn edit(&mut self) {
        self.push("edit");
        self.keys(10);
        self.types(4);
        self.maybe(8, &["--ignore-mac"]);
        if self.dice.chance(80) {
            self.encrypted_file();
        } else {
            self.of(&[
                "fresh.yaml",
                "fresh.json",
                "fresh.env",
                "fresh.ini",
                "fresh",
            ]);
        }
    }

    pub(super) fn exec_env(&mut self) {
        self.push("exec-env");
        self.maybe(20, &["--pristine=true"]);
        self.maybe(8, &["--same-process=true"]);
        self.maybe(3, &["--user", "no-such-user"]);
        self.of(&["enc.env", "enc.env", "enc.ini", "enc.yaml", "flat.yaml"]);
        let command = self
            .dice
            .one(&[
                "printf %s:%s \"$user\" \"$password\"",
                "exit 7",
                "kill -9 $$",
                "true",
                "printf %s \"$HOME\"",
                "no-such-program",
                "printf '%s,%s,%s' \"$int\" \"$float\" \"$on\"",
            ])
            .to_owned();
        self.push(&command);
        self.maybe(4, &["surplus"]);
    }

    pub(super) fn exec_file(&mut self) {
        self.push("exec-file");
        self.maybe(40, &["--no-fifo=true"]);
        self.maybe_one(
            20,
            "--filename",
            &["name.txt", "../up", "/abs", "no/folder"],
        );
        self.types(10);
        self.encrypted_file();
        let command = self
            .dice
            .one(&[
                "cat {}",
                "basename {} | cut -c1-8",
                "exit 9",
                // A second reader that comes in time waits for ever, and must not hold our pipes meanwhile.
                "cat {} {} >/dev/null 2>&1 & sleep 0; exit 0",
                "true",
                "test -p {} && echo fifo || echo file",
            ])
            .to_owned();
        self.push(&command);
    }

    pub(super) fn filestatus(&mut self) {
        self.everywhere();
        self.push("filestatus");
        self.maybe_one(15, "--input-type", &TYPES);
        self.file();
    }

    pub(super) fn groups_add(&mut self) {
        self.push("groups");
        self.push("add");
        let recipients = self.desk.recipients.clone();
        self.maybe_one(85, "--age", &[&recipients[1], &recipients[0]]);
        self.maybe(60, &["-i"]);
        self.maybe_one(20, "--shamir-secret-sharing-threshold", &["1", "2"]);
        self.push("--file");
        self.encrypted_file();
        self.maybe(4, &["surplus"]);
    }

    pub(super) fn groups_delete(&mut self) {
        self.push("groups");
        self.push("delete");
        self.maybe(60, &["-i=true"]);
        self.maybe_one(30, "--shamir-secret-sharing-threshold", &["1", "2"]);
        self.push("--file");
        self.of(&["two.yaml", "two.yaml", "enc.yaml"]);
        let index = self.dice.one(&["0", "1", "x", "-1", "5"]).to_owned();
        self.push(&index);
    }

    pub(super) fn updatekeys(&mut self) {
        self.everywhere();
        self.push("updatekeys");
        self.maybe(80, &["-y"]);
        self.maybe_one(6, "--input-type", &TYPES);
        self.encrypted_file();
        if self.dice.chance(25) {
            self.encrypted_file();
        }
    }

    pub(super) fn publish(&mut self) {
        self.push("publish");
        self.maybe(60, &["--yes=true"]);
        self.maybe(20, &["--recursive=true"]);
        self.of(&["enc.yaml", "sub", "plain.yaml", "missing.yaml"]);
    }

    pub(super) fn legacy(&mut self) {
        self.everywhere();
        self.maybe(45, &["-d"]);
        self.maybe(35, &["-e"]);
        self.maybe(8, &["-r"]);
        self.maybe_one(
            10,
            "--set",
            &[
                "[\"new\"] \"x\"",
                "[\"db\"][\"user\"] 5",
                "[\"new\"]\"x\"",
                "nonsense",
            ],
        );
        self.keys(30);
        self.types(10);
        self.maybe(25, &["-i"]);
        self.maybe_one(8, "--output", &["out.yaml", "out.json"]);
        self.maybe_one(8, "--extract", &["[\"db\"]", "[\"nothing\"]", "db"]);
        self.maybe(5, &["--verbose"]);
        self.maybe_one(4, "--add-age", &[&self.desk.recipients[1].clone()]);
        self.selection();
        self.file();
    }

    pub(super) fn help(&mut self) {
        let words = self.dice.one(&[
            "--help",
            "-h",
            "help",
            "h",
            "help encrypt",
            "help nothing",
            "decrypt --help",
            "groups",
            "groups add -h",
            "completion",
            "completion fish",
            "groups help delete",
        ]);
        for word in words.split(' ') {
            self.push(word);
        }
    }

    pub(super) fn version(&mut self) {
        let words = self.dice.one(&[
            "--version --disable-version-check",
            "-version --disable-version-check",
            "--disable-version-check -v",
        ]);
        for word in words.split(' ') {
            self.push(word);
        }
    }

    pub(super) fn nonsense(&mut self) {
        let words = self.dice.one(&[
            "--frob",
            "-ei",
            "decrypt --frob enc.yaml",
            "encrypt --age",
            "",
            "frobnicate",
            "rotate",
            "set enc.yaml",
            "unset enc.yaml",
            "exec-env enc.env",
            "exec-file",
            "groups delete",
            "updatekeys",
            "filestatus",
            "publish",
            "edit",
            "--in-place=maybe plain.yaml",
            "groups frob",
            "keyservice --network bogus",
            "---",
            "-- enc.yaml",
        ]);
        for word in words.split_whitespace() {
            self.push(word);
        }
    }
}
