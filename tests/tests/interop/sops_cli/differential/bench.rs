//! The files that command lines work on, and what a program did with them.

use std::collections::BTreeMap;
use std::fs;

use sealwright_documents::format::{self, Format};
use serde_json::{Value, json};

use super::super::super::sops_format::generate::Dice;
use super::super::super::sops_format::normal;
use super::super::{Desk, Ran, Whose, run};
use super::compare::{plain, texts};
use super::line::Line;

/// The fixtures, made once by the real program.
pub(super) struct Bench {
    pub(super) desk: Desk,
    pub(super) fixtures: BTreeMap<String, Vec<u8>>,
}

const YAML: &str = "# head\ndb:\n    user: admin # inline\n    password: s3cr3t\nlist:\n    - one\n    - 2\n    - true\nport: 8080\nprice: 1.5\non: true\nempty: \"\"\nnothing: null\nnote_unencrypted: open\n";
const JSON: &str = "{\n\t\"db\": {\n\t\t\"user\": \"admin\",\n\t\t\"password\": \"s3cr3t\"\n\t},\n\t\"list\": [\n\t\t\"one\",\n\t\t2\n\t],\n\t\"port\": 8080,\n\t\"on\": true\n}\n";
const ENV: &str = "# comment\nuser=admin\npassword=s3cr3t two\nmulti=a\\nb\nempty=\n";
const INI: &str = "[db]\nuser     = admin\npassword = s3cr3t\n\n[list]\na = 1\n";
const FLAT: &str = "user: admin\npassword: \"multi\\nline\"\nint: 5\nfloat: 1.50\non: true\n";

impl Bench {
    pub(super) fn new() -> Self {
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
        // The reference opens a spoiled text again and again without a person to answer (D4), so the second time fails.
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

    pub(super) fn roll_config(&self, dice: &mut Dice) -> Option<String> {
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

    pub(super) fn perform(&self, whose: Whose, line: &Line) -> Deed {
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
    pub(super) fn decrypted(
        &self,
        whose: Whose,
        kind: &dyn Format,
        bytes: &[u8],
    ) -> Result<Value, String> {
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
pub(super) struct Deed {
    pub(super) ran: Ran,
    pub(super) written: BTreeMap<String, Vec<u8>>,
    pub(super) gone: Vec<String>,
}
