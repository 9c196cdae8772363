//! Generated command lines and configurations, run by the real program and by ours on the same files.
//!
//! Compared are the exit code, which files were written, what is in them (decrypted by the other program), which keys,
//! groups, selection and threshold they carry, which values stayed plain, what is on standard output, and the texts on
//! standard error that clients search for. Where we differ on purpose, [`excuse`] says which decision it is.
//!
//! `SEALWRIGHT_INTEROP_SEED` sets where to begin, `SEALWRIGHT_INTEROP_LINES` how many lines are tried.

use std::collections::BTreeMap;
use std::fs;

use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::envelope::{Document, Encrypted};
use sealwright_documents::format::{self, Format};
use serde_json::{Value, json};

use super::super::sops_format::generate::Dice;
use super::super::sops_format::{normal, value_of};
use super::{Desk, Ran, Whose, run};

#[test]
fn generated_command_lines_do_the_same() {
    let setting = |name: &str, default: u64| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let first = setting("SEALWRIGHT_INTEROP_SEED", 0);
    let count = setting("SEALWRIGHT_INTEROP_LINES", 360);
    let bench = Bench::new();
    let mut failures = Vec::new();
    let mut codes = BTreeMap::new();
    let mut excused = BTreeMap::new();
    for seed in first..first + count {
        let line = Line::roll(&mut Dice::new(seed), &bench);
        let theirs = bench.perform(Whose::Theirs, &line);
        let ours = bench.perform(Whose::Ours, &line);
        *codes.entry(theirs.ran.code).or_insert(0) += 1;
        let Err(reason) = compare(&bench, &line, &theirs, &ours) else {
            continue;
        };
        match excuse(&line, &theirs, &ours) {
            Some(decision) => *excused.entry(decision).or_insert(0) += 1,
            None => failures.push(format!(
                "seed {seed}: {reason}\n  {}\n  theirs {}: {}  ours {}: {}",
                line.show(),
                theirs.ran.code,
                clip(&theirs.ran.err),
                ours.ran.code,
                clip(&ours.ran.err),
            )),
        }
    }
    let list = failures.join("\n");
    assert!(
        failures.is_empty(),
        "{} of {count} (codes of the real program: {codes:?}; by decision: {excused:?}):\n{list}",
        failures.len()
    );
    assert!(
        count < 300 || codes.len() > 8,
        "too few outcomes were reached: {codes:?}"
    );
}

/// Where we differ from the real program on purpose; the numbers are those of `docs/src/parity/sops-cli.md`.
fn excuse(line: &Line, theirs: &Deed, ours: &Deed) -> Option<&'static str> {
    let (they, we) = (&theirs.ran, &ours.ran);
    let words = line.words.join(" ");
    if matches!(they.code, 0 | 1) && we.code == 203 && words.contains("enc.bin") {
        return Some("S80: an encrypted file is not encrypted again as binary");
    }
    if (they.code, we.code) == (0, 7) && we.err.contains("an index into a map") {
        return Some("D7: an index into a map is an error, the reference does nothing in silence");
    }
    if (they.code, we.code) == (0, 1) && we.err.contains("text after the end of the document") {
        return Some("what follows a JSON document is refused, the reference drops it");
    }
    if matches!(they.code, 1 | 4) && matches!(we.code, 7 | 91) && we.err.contains("is negative") {
        return Some("D7: a negative index is refused before the file is read");
    }
    if they.err.contains("goroutine ") || they.err.contains("panic:") {
        return (we.code != 0 && we.code != 101)
            .then_some("D7: a panic of the reference is an error here");
    }
    if (they.code, we.code) == (201, 1) && we.err.contains("nobody is there to correct it") {
        return Some("D4: a spoiled edit ends where nobody answers");
    }
    if (they.code, we.code) == (0, 0) && words.contains("set ") && ours.written.is_empty() {
        return Some("S101: a set that changes nothing writes nothing");
    }
    if words.contains("groups add") && they.code == 0 && we.code == 1 {
        return Some("D8: a group without a working key is not written");
    }
    if words.contains("groups delete") && they.code == 0 && we.err.contains("the last group") {
        return Some("D8: nor is a file without any group");
    }
    if (they.code, we.code) == (1, 1)
        && they.err.contains("Could not unmarshal input data")
        && we.err.contains("sops metadata not found")
    {
        return Some("what is no JSON is a binary file that is not encrypted, not a broken one");
    }
    if they.code == 1 && we.code == 4 && we.err.contains("an indentation of") {
        return Some(
            "D7: an indentation that makes the reference panic is refused before the file is changed",
        );
    }
    if (they.code, we.code) == (1, 1) && we.err.contains("invalid regular expression") {
        return Some("D2: a broken pattern is refused before anything else");
    }
    if (they.code, we.code) == (4, 1) && we.err.contains("nobody is there to correct it") {
        return Some("D4: a spoiled edit ends where nobody answers");
    }
    if we.code == 4 && they.code == 0 {
        return Some("D12, D13, D21: what a format cannot hold is refused");
    }
    if words.contains("set ")
        && they.code == 7
        && we.code != 7
        && line.words.iter().any(|word| word == "[1, \"two\"]")
    {
        return Some("D6: arrays can be set");
    }
    None
}

fn clip(text: &str) -> String {
    let mut text: String = text.chars().take(700).collect();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// What clients search for on standard error; both say it, or neither.
const MARKERS: [&str; 16] = [
    "sops metadata not found",
    "config file not found, or has no creation rules, and no keys provided through command line options",
    "config file not found",
    "no matching creation rules found",
    "MAC mismatch",
    "Failed to get the data key required to decrypt the SOPS file.",
    "cannot operate on non-existent file",
    "cannot operate on both --output and --in-place",
    "must specify --filename-override when reading from stdin",
    "cannot use --in-place when reading from stdin",
    "error parsing --extract path",
    "Error: no file specified",
    "No help topic for",
    "flag provided but not defined",
    "File has not changed, exiting.",
    "Could not generate data key: [empty key group provided]",
];

/// One command line in one setting.
struct Line {
    words: Vec<String>,
    config: Option<String>,
    variables: Vec<(&'static str, String)>,
    input: Vec<u8>,
}

impl Line {
    fn show(&self) -> String {
        format!(
            "sops {:?} with {:?}, input {:?}, config {:?}",
            self.words,
            self.variables,
            String::from_utf8_lossy(&self.input),
            self.config
        )
    }

    fn roll(dice: &mut Dice, bench: &Bench) -> Self {
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
    fn fill(&mut self) {
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

/// The fixtures, made once by the real program.
struct Bench {
    desk: Desk,
    fixtures: BTreeMap<String, Vec<u8>>,
}

const YAML: &str = "# head\ndb:\n    user: admin # inline\n    password: s3cr3t\nlist:\n    - one\n    - 2\n    - true\nport: 8080\nprice: 1.5\non: true\nempty: \"\"\nnothing: null\nnote_unencrypted: open\n";
const JSON: &str = "{\n\t\"db\": {\n\t\t\"user\": \"admin\",\n\t\t\"password\": \"s3cr3t\"\n\t},\n\t\"list\": [\n\t\t\"one\",\n\t\t2\n\t],\n\t\"port\": 8080,\n\t\"on\": true\n}\n";
const ENV: &str = "# comment\nuser=admin\npassword=s3cr3t two\nmulti=a\\nb\nempty=\n";
const INI: &str = "[db]\nuser     = admin\npassword = s3cr3t\n\n[list]\na = 1\n";
const FLAT: &str = "user: admin\npassword: \"multi\\nline\"\nint: 5\nfloat: 1.50\non: true\n";

impl Bench {
    fn new() -> Self {
        let desk = Desk::new();
        desk.write("plain.yaml", YAML);
        desk.write("sub/plain.yaml", YAML);
        desk.write("plain.json", JSON);
        desk.write("map.json", "{\"one\": {\"two\": 2}}");
        desk.write("plain.env", ENV);
        desk.write("plain.ini", INI);
        desk.write("plain.bin", [0, 1, 2, 254, 255]);
        desk.write("noise", "just a text");
        desk.write("broken.yaml", "a: [1\nb: }");
        desk.write("empty.yaml", "");
        desk.write("multi.yaml", "a: 1\n---\nb: two\n");
        desk.write("value.json", "{\"from\": \"file\"}");
        desk.write("change.sh", "echo '# more' >> \"$1\"\n");
        // The reference opens a spoiled text again and again where nobody answers (D4), so the second time fails.
        desk.write(
            "spoil.sh",
            "test -e spoiled && exit 1; touch spoiled; echo '{[' >> \"$1\"\n",
        );
        for (name, text) in [
            ("enc.yaml", YAML),
            ("sub/enc.yaml", YAML),
            ("enc.json", JSON),
            ("enc.env", ENV),
            ("enc.ini", INI),
            ("enc.bin", "binary \u{0}"),
            ("enc-multi.yaml", "a: 1\n---\nb: two\n"),
            ("a b$§😀.yaml", "k: v\n"),
            ("flat.yaml", FLAT),
        ] {
            desk.theirs_encrypts(name, text, &[]);
        }
        desk.theirs_encrypts(
            "regex.yaml",
            YAML,
            &["--encrypted-regex", "^(password|list)$"],
        );
        desk.theirs_encrypts(
            "stranger.yaml",
            YAML,
            &["--age", &desk.recipients[2].clone()],
        );
        let groups = |other: usize| {
            format!(
                "creation_rules:\n  - shamir_threshold: 2\n    key_groups:\n      - age: [{}]\n      - age: [{}]\n",
                desk.recipients[0], desk.recipients[other]
            )
        };
        for (name, other) in [("two.yaml", 1), ("halved.yaml", 2)] {
            desk.write("groups.yaml", groups(other));
            desk.write(name, YAML);
            desk.theirs(["--config", "groups.yaml", "encrypt", name, "-i"])
                .good();
        }
        fs::remove_file(desk.path("groups.yaml")).unwrap();
        let bad = desk
            .read("enc.yaml")
            .replace("note_unencrypted: open", "note_unencrypted: changed");
        desk.write("badmac.yaml", bad);
        let without: String = desk
            .read("enc.yaml")
            .lines()
            .filter(|line| !line.contains("mac: ENC"))
            .map(|line| format!("{line}\n"))
            .collect();
        desk.write("nomac.yaml", without);
        desk.write("other.conf", format!("creation_rules:\n  - path_regex: \\.yaml$\n    age: {}\n    encrypted_regex: ^password$\n", desk.recipients[1]));
        let fixtures = desk.files();
        Self { desk, fixtures }
    }

    fn roll_config(&self, dice: &mut Dice) -> Option<String> {
        let [a, b, c] = [0, 1, 2].map(|at| &self.desk.recipients[at]);
        let text = match dice.roll(16) {
            0..=3 => return None,
            4 => format!("creation_rules:\n  - age: {a}\n"),
            5 => format!(
                "creation_rules:\n  - path_regex: sub/.*\n    age: {b}\n  - path_regex: \\.yaml$\n    age: [{a}, {b}]\n    unencrypted_regex: ^port$\n"
            ),
            6 => format!(
                "creation_rules:\n  - path_regex: ^enc\\.yaml$\n    age: {a}\n  - path_regex: json\n    age: '{a}, {b}'\n    mac_only_encrypted: true\n"
            ),
            7 => format!(
                "creation_rules:\n  - key_groups:\n      - age: [{a}]\n      - age: [{b}]\n    shamir_threshold: {}\n",
                1 + dice.roll(3)
            ),
            8 => format!(
                "creation_rules:\n  - key_groups:\n      - merge:\n          - age: [{a}]\n        age: [{b}, {a}]\n      - age: [{c}]\n"
            ),
            9 => "creation_rules: []\n".to_owned(),
            10 => String::new(),
            11 => "creation_rules:\n  - path_regex: \"(\"\n    age: x\n".to_owned(),
            12 => format!(
                "stores:\n  yaml:\n    indent: 2\n  json:\n    indent: 3\ncreation_rules:\n  - age: {a}\n    encrypted_suffix: word\n"
            ),
            13 => format!(
                "destination_rules:\n  - path_regex: sub\n    s3_bucket: b\n    gcs_bucket: c\n  - path_regex: nothing\n    vault_path: x\ncreation_rules:\n  - path_regex: nothing\n    age: {a}\n"
            ),
            14 => "creation_rules:\n  - key_groups: [{}]\n".to_owned(),
            _ => dice
                .one(&[
                    "creation_rules: 5\n",
                    "a: [\n",
                    "creation_rules:\n  - age: {x: y}\n",
                    "creation_rules:\n  - encrypted_suffix: a\n    unencrypted_suffix: b\n",
                    "creation_rules:\n  - unknown: field\n",
                ])
                .to_owned(),
        };
        Some(text)
    }

    fn perform(&self, whose: Whose, line: &Line) -> Deed {
        fs::remove_dir_all(self.desk.work()).unwrap();
        for (name, bytes) in &self.fixtures {
            self.desk.write(name, bytes);
        }
        if let Some(config) = &line.config {
            self.desk.write(".sops.yaml", config);
        }
        let mut command = self.desk.command(whose);
        command.args(&line.words);
        command.envs(line.variables.iter().map(|(name, value)| (name, value)));
        let ran = run(command.env("NO_COLOR", "1"), &line.input);
        let mut written = self.desk.files();
        written.remove(".sops.yaml");
        let mut gone = Vec::new();
        for (name, bytes) in &self.fixtures {
            match written.get(name) {
                Some(now) if now == bytes => drop(written.remove(name)),
                Some(_) => {}
                None => gone.push(name.clone()),
            }
        }
        Deed { ran, written, gone }
    }

    /// What a program decrypts of these bytes, as JSON where they hold values.
    fn decrypted(&self, whose: Whose, kind: &dyn Format, bytes: &[u8]) -> Result<Value, String> {
        let mut command = self.desk.command(whose);
        command.env("SOPS_AGE_KEY", self.desk.identities.join("\n"));
        let out = match kind.name() {
            "binary" | "yaml" => kind.name(),
            _ => "json",
        };
        command.args(["decrypt", "--input-type", kind.name(), "--output-type", out]);
        let ran = run(&mut command, bytes);
        if ran.code != 0 {
            return Err(format!("{whose:?} cannot decrypt it: {}", ran.err));
        }
        if out == "yaml" {
            let kind = format::by_name(out).unwrap();
            return plain(kind, &ran.out).ok_or_else(|| format!("{whose:?} wrote no YAML"));
        }
        Ok(match serde_json::from_slice(&ran.out) {
            Ok(value) if matches!(kind.name(), "ini" | "dotenv") => texts(value),
            Ok(value) if out == "json" => normal(value),
            _ => json!(ran.out),
        })
    }
}

/// What a program did with the files.
struct Deed {
    ran: Ran,
    written: BTreeMap<String, Vec<u8>>,
    gone: Vec<String>,
}

fn compare(bench: &Bench, line: &Line, theirs: &Deed, ours: &Deed) -> Result<(), String> {
    if theirs.ran.code != ours.ran.code {
        return Err("another exit code".into());
    }
    let names = |deed: &Deed| deed.written.keys().cloned().collect::<Vec<_>>();
    if (names(theirs), &theirs.gone) != (names(ours), &ours.gone) {
        return Err(format!(
            "they wrote {:?}, we {:?}",
            names(theirs),
            names(ours)
        ));
    }
    for (name, bytes) in &theirs.written {
        same_content(bench, bytes, &ours.written[name])
            .map_err(|reason| format!("{name}: {reason}"))?;
    }
    let help = |ran: &Ran| ran.out.starts_with(b"NAME:") || ran.out.starts_with(b"Incorrect Usage");
    if help(&theirs.ran) || help(&ours.ran) {
        if help(&theirs.ran) != help(&ours.ran) {
            return Err("one of the two printed help".into());
        }
    } else if !line.words.iter().any(|word| word == "updatekeys") {
        same_content(bench, &theirs.ran.out, &ours.ran.out)
            .map_err(|reason| format!("standard output: {reason}"))?;
    }
    for marker in MARKERS {
        if theirs.ran.err.contains(marker) != ours.ran.err.contains(marker) {
            return Err(format!("only one of the two says {marker:?}"));
        }
    }
    Ok(())
}

fn same_content(bench: &Bench, theirs: &[u8], ours: &[u8]) -> Result<(), String> {
    if theirs == ours {
        return Ok(());
    }
    let show = || {
        format!(
            "\n--- theirs\n{}\n--- ours\n{}",
            String::from_utf8_lossy(theirs),
            String::from_utf8_lossy(ours)
        )
    };
    match (encrypted(theirs), encrypted(ours)) {
        (Some(one), Some(other)) => {
            let (one_kind, other_kind) = (one.format(), other.format());
            if one_kind.name() != other_kind.name() {
                return Err(format!("{} against {}", one_kind.name(), other_kind.name()));
            }
            let (outer, inner) = (header(&one), header(&other));
            if outer != inner {
                return Err(format!("other metadata: {outer} against {inner}"));
            }
            let flat = matches!(one_kind.name(), "ini" | "dotenv");
            let (outer, inner) = (
                masked(value_of(one.tree()), flat),
                masked(value_of(other.tree()), flat),
            );
            if outer != inner {
                return Err(format!(
                    "other values are encrypted: {outer} against {inner}"
                ));
            }
            let only_data =
                matches!(&inner, Value::Object(map) if map.len() == 1 && map.contains_key("data"));
            let (one_kind, other_kind) = match format::by_name("binary") {
                Some(binary) if one_kind.name() == "json" && only_data => (binary, binary),
                _ => (one_kind, other_kind),
            };
            let outer = bench.decrypted(Whose::Ours, one_kind, theirs);
            let inner = bench.decrypted(Whose::Theirs, other_kind, ours);
            match (outer, inner) {
                (Ok(outer), Ok(inner)) if outer == inner => Ok(()),
                (Err(_), Err(_)) => Ok(()),
                (outer, inner) => Err(format!("other values: {outer:?} against {inner:?}")),
            }
        }
        (None, None) => {
            let same = ["json", "yaml", "dotenv", "ini"].iter().any(|name| {
                let kind = format::by_name(name).unwrap();
                matches!((plain(kind, theirs), plain(kind, ours)), (Some(one), Some(other)) if one == other)
            });
            if same {
                Ok(())
            } else {
                Err(format!("other content{}", show()))
            }
        }
        _ => Err(format!("only one of the two is encrypted{}", show())),
    }
}

fn encrypted(bytes: &[u8]) -> Option<Encrypted> {
    ["json", "yaml", "ini", "dotenv"].iter().find_map(|name| {
        let kind = format::by_name(name).unwrap();
        Encrypted::parse(kind, SecretBytes::copy_of(bytes)).ok()
    })
}

fn plain(kind: &'static dyn Format, bytes: &[u8]) -> Option<Value> {
    let document = Document::parse(kind, SecretBytes::copy_of(bytes)).ok()?;
    Some(value_of(document.tree()))
}

/// What the metadata says, without what differs each time.
fn header(file: &Encrypted) -> Value {
    let metadata = file.metadata();
    let groups: Vec<Vec<String>> = metadata
        .groups
        .iter()
        .map(|group| group.iter().map(|entry| entry.key.identity()).collect())
        .collect();
    let selection = metadata.selection();
    json!({
        "groups": groups,
        "threshold": metadata.shamir_threshold,
        "selection": [selection.field(), selection.text()],
        "mac_only_encrypted": metadata.mac_only_encrypted,
        "version": metadata.version,
    })
}

/// Ciphertexts as their type. A number that `set` wrote has another type here (D5), and a flat format knows no types.
fn masked(value: Value, flat: bool) -> Value {
    match value {
        Value::String(text) if text.starts_with("ENC[AES256_GCM,") => {
            let kind = text.rsplit("type:").next().unwrap_or_default();
            let kind = if flat {
                "str"
            } else {
                kind.trim_end_matches(']')
            };
            Value::from(format!("ENC {}", kind.replace("float", "int")))
        }
        Value::Array(items) => items.into_iter().map(|item| masked(item, flat)).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (key, masked(value, flat)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}

/// Numbers as texts, for formats that know no others.
fn texts(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.to_string()),
        Value::Bool(value) => Value::from(value.to_string()),
        Value::Array(items) => items.into_iter().map(texts).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (key, texts(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}
