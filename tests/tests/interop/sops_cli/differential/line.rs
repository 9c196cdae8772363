//! Command lines at random, with a configuration, variables and standard input.

#[path = "line/commands.rs"]
mod commands;

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
}
