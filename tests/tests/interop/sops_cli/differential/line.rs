//! Command lines at random, with a configuration, variables and standard input.

use super::super::super::sops_format::generate::Dice;
use super::super::Desk;
use super::bench::Bench;

/// One command line in one setting.
pub(super) struct Line {
    pub(super) words: Vec<String>,
    pub(super) config: Option<String>,
    pub(super) variables: Vec<(&'static str, String)>,
    pub(super) input: Vec<u8>,
}

impl Line {
    pub(super) fn show(&self) -> String {
        format!(
            "sops {:?} with {:?}, input {:?}, config {:?}",
            self.words,
            self.variables,
            String::from_utf8_lossy(&self.input),
            self.config
        )
    }

    pub(super) fn roll(dice: &mut Dice, bench: &Bench) -> Self {
        let config = bench.roll_config(dice);
        let mut variables = Vec::new();
        if dice.chance(8) {
            variables.push(("SOPS_AGE_RECIPIENTS", bench.desk.recipients[1].clone()));
        }
        if dice.chance(5) {
            let order = dice.one(&["age,pgp", "pgp,age", "age,age", "age,kms", "nothing"]);
            variables.push(("SOPS_DECRYPTION_ORDER", order.to_owned()));
        }
        if dice.chance(4) {
            let value = dice.one(&["false", "0", "", "perhaps"]);
            variables.push(("SOPS_ENABLE_LOCAL_KEYSERVICE", value.to_owned()));
        }
        if dice.chance(4) {
            variables.push((
                "SOPS_CONFIG",
                dice.one(&["other.conf", "nowhere.yaml"]).to_owned(),
            ));
        }
        let editor = dice.one(&[
            "true",
            "false",
            "sh change.sh",
            "'open",
            "no-such-editor",
            "sh spoil.sh",
        ]);
        variables.push(("EDITOR", editor.to_owned()));
        let mut input = Vec::new();
        if dice.chance(30) {
            let name = dice.one(&FILES);
            input = bench.fixtures.get(name).cloned().unwrap_or_default();
        }
        let mut words = Words {
            dice,
            desk: &bench.desk,
            words: Vec::new(),
        };
        words.fill();
        Self {
            words: words.words,
            config,
            variables,
            input,
        }
    }
}

/// The files that are there, and two that are not.
const FILES: [&str; 28] = [
    "plain.yaml",
    "plain.json",
    "plain.env",
    "plain.ini",
    "plain.bin",
    "noise",
    "enc.yaml",
    "enc.json",
    "enc.env",
    "enc.ini",
    "enc.bin",
    "sub/enc.yaml",
    "sub/plain.yaml",
    "two.yaml",
    "halved.yaml",
    "stranger.yaml",
    "badmac.yaml",
    "nomac.yaml",
    "regex.yaml",
    "broken.yaml",
    "empty.yaml",
    "multi.yaml",
    "enc-multi.yaml",
    "a b$§😀.yaml",
    "map.json",
    "missing.yaml",
    "enc.yaml",
    "missing/x.json",
];

const TYPES: [&str; 6] = ["yaml", "json", "dotenv", "ini", "binary", "bogus"];

/// Makes the words of a command line.
struct Words<'a> {
    dice: &'a mut Dice,
    desk: &'a Desk,
    words: Vec<String>,
}

/// What makes the words of one kind of command.
type Make<'a> = fn(&mut Words<'a>);

impl Words<'_> {
    /// Makes the words, in some lines with the mark that ends the flags somewhere near their end.
    fn fill(&mut self) {
        self.fill_command();
        let ends_flags = [
            "decrypt",
            "edit",
            "encrypt",
            "exec-env",
            "exec-file",
            "filestatus",
            "rotate",
            "set",
            "unset",
        ];
        let has = |names: &[&str]| {
            let mut words = self.words.iter();
            words.any(|word| names.contains(&word.as_str()))
        };
        let takes_it = has(&ends_flags) && !has(&["help", "h", "-h", "--help"]);
        if takes_it && self.dice.chance(6) {
            let before = self.dice.roll(2).min(self.words.len() - 1);
            self.words
                .insert(self.words.len() - before, "--".to_owned());
        }
    }

    fn fill_command(&mut self) {
        let kinds: [(usize, Make<'_>); 17] = [
            (18, Self::encrypt),
            (18, Self::decrypt),
            (8, Self::rotate),
            (9, Self::set),
            (7, Self::unset),
            (5, Self::edit),
            (6, Self::exec_env),
            (5, Self::exec_file),
            (6, Self::filestatus),
            (6, Self::groups_add),
            (5, Self::groups_delete),
            (7, Self::updatekeys),
            (4, Self::publish),
            (12, Self::legacy),
            (2, Self::help),
            (2, Self::version),
            (4, Self::nonsense),
        ];
        let total: usize = kinds.iter().map(|kind| kind.0).sum();
        let mut at = self.dice.roll(total);
        for (weight, make) in kinds {
            if at < weight {
                return make(self);
            }
            at -= weight;
        }
    }

    fn push(&mut self, word: &str) {
        self.words.push(word.to_owned());
    }

    fn maybe(&mut self, percent: usize, words: &[&str]) {
        if self.dice.chance(percent) {
            for word in words {
                self.push(word);
            }
        }
    }

    fn maybe_one(&mut self, percent: usize, flag: &str, values: &[&str]) {
        if self.dice.chance(percent) {
            let value = self.dice.one(values).to_owned();
            if self.dice.chance(30) {
                self.push(&format!("{flag}={value}"));
            } else {
                self.push(flag);
                self.push(&value);
            }
        }
    }

    fn everywhere(&mut self) {
        self.maybe_one(4, "--config", &["other.conf", "nowhere.yaml", ".sops.yaml"]);
        self.maybe_one(4, "--indent", &["2", "4", "0", "-1", "x"]);
        self.maybe(4, &["--mac-only-encrypted"]);
    }

    fn file(&mut self) {
        if self.dice.chance(96) {
            let name = self.dice.one(&FILES).to_owned();
            self.push(&name);
        }
        self.maybe(3, &["surplus"]);
    }

    fn of(&mut self, names: &[&str]) {
        let name = if self.dice.chance(85) {
            self.dice.one(names)
        } else {
            self.dice.one(&FILES)
        };
        let name = name.to_owned();
        self.push(&name);
    }

    fn encrypted_file(&mut self) {
        self.of(&[
            "enc.yaml",
            "enc.json",
            "enc.env",
            "enc.ini",
            "sub/enc.yaml",
            "two.yaml",
            "regex.yaml",
            "enc-multi.yaml",
        ]);
    }

    fn types(&mut self, percent: usize) {
        self.maybe_one(percent, "--input-type", &TYPES);
        self.maybe_one(percent, "--output-type", &TYPES);
    }

    fn keys(&mut self, percent: usize) {
        let recipients = self.desk.recipients.clone();
        let both = format!("{},{}", recipients[0], recipients[1]);
        let some = [
            recipients[0].as_str(),
            recipients[1].as_str(),
            both.as_str(),
            "age1nonsense",
            "",
        ];
        self.maybe_one(percent, "--age", &some);
    }

    fn selection(&mut self) {
        self.maybe_one(
            10,
            "--encrypted-regex",
            &["^(password|list)$", "secret", "("],
        );
        self.maybe_one(8, "--unencrypted-regex", &["^(port|db)$", "."]);
        self.maybe_one(6, "--encrypted-suffix", &["word", "_enc"]);
        self.maybe_one(6, "--unencrypted-suffix", &["t", "_plain"]);
    }

    fn outputs(&mut self) {
        self.maybe(25, &["-i"]);
        self.maybe_one(
            12,
            "--output",
            &["out.yaml", "out.json", "enc.yaml", "no/such/folder"],
        );
    }

    fn services(&mut self) {
        self.maybe(3, &["--enable-local-keyservice=false"]);
        self.maybe_one(
            2,
            "--keyservice",
            &["tcp://127.0.0.1:1", "nonsense", "unix:///nowhere"],
        );
    }

    fn encrypt(&mut self) {
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

    fn decrypt(&mut self) {
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

    fn rotate(&mut self) {
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

    fn set(&mut self) {
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

    fn unset(&mut self) {
        self.everywhere();
        self.push("unset");
        self.maybe(30, &["--idempotent=true"]);
        self.encrypted_file();
        let path = self.dice.one(&Self::PATHS).to_owned();
        self.push(&path);
        self.maybe(4, &["surplus"]);
    }

    fn edit(&mut self) {
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

    fn exec_env(&mut self) {
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

    fn exec_file(&mut self) {
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

    fn filestatus(&mut self) {
        self.everywhere();
        self.push("filestatus");
        self.maybe_one(15, "--input-type", &TYPES);
        self.file();
    }

    fn groups_add(&mut self) {
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

    fn groups_delete(&mut self) {
        self.push("groups");
        self.push("delete");
        self.maybe(60, &["-i=true"]);
        self.maybe_one(30, "--shamir-secret-sharing-threshold", &["1", "2"]);
        self.push("--file");
        self.of(&["two.yaml", "two.yaml", "enc.yaml"]);
        let index = self.dice.one(&["0", "1", "x", "-1", "5"]).to_owned();
        self.push(&index);
    }

    fn updatekeys(&mut self) {
        self.everywhere();
        self.push("updatekeys");
        self.maybe(80, &["-y"]);
        self.maybe_one(6, "--input-type", &TYPES);
        self.encrypted_file();
        if self.dice.chance(25) {
            self.encrypted_file();
        }
    }

    fn publish(&mut self) {
        self.push("publish");
        self.maybe(60, &["--yes=true"]);
        self.maybe(20, &["--recursive=true"]);
        self.of(&["enc.yaml", "sub", "plain.yaml", "missing.yaml"]);
    }

    fn legacy(&mut self) {
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

    fn help(&mut self) {
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

    fn version(&mut self) {
        let words = self.dice.one(&[
            "--version --disable-version-check",
            "-version --disable-version-check",
            "--disable-version-check -v",
        ]);
        for word in words.split(' ') {
            self.push(word);
        }
    }

    fn nonsense(&mut self) {
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
