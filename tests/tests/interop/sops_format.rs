//! Documents: what the real `sops` encrypts we decrypt, and the other way round.
//!
//! Documents are made at random from a seed; a case that fails is cut down to the chunks that matter, and shown with its
//! seed. `SEALWRIGHT_INTEROP_CASES` sets how many documents of each format are tried, `SEALWRIGHT_INTEROP_SEED` the first
//! seed.

use std::{
    future::{Future, pending},
    path::PathBuf,
    pin::pin,
    process::Command,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use sealwright_crypto::{
    age::{self, AgeKey, Identities},
    data_key::DataKey,
    key_kind::AGE,
    master_key::{Callbacks, MasterKey, Pending},
    secret::{SecretBytes, SecretText},
    surroundings::{Call, Outcome, Surroundings},
};
use sealwright_documents::{
    data::Data,
    envelope::{self, Document, Encrypted},
    format::{self, Format, Layout},
    keyring::{self, Holder, Lock},
    metadata::{KeyEntry, KeyFields, Metadata},
    selection::SelectionRule,
};
use sealwright_tests::harness::{cluster::run, incumbents};
use serde_json::Value;
use tempfile::TempDir;

#[path = "sops_format/generate.rs"]
pub(crate) mod generate;

use generate::Dice;

#[test]
fn generated_json_goes_both_ways() {
    both_ways("json", generate::json);
}

#[test]
fn generated_dotenv_goes_both_ways() {
    both_ways("dotenv", generate::dotenv);
}

#[test]
fn generated_ini_goes_both_ways() {
    both_ways("ini", generate::ini);
}

#[test]
fn generated_yaml_goes_both_ways() {
    both_ways("yaml", generate::yaml);
}

#[test]
fn binary_goes_both_ways() {
    let desk = Desk::new();
    let format = format::by_name("binary").unwrap();
    let mut dice = Dice::new(7);
    let types = ["--input-type=binary", "--output-type=binary"];
    let lens = [0, 1, 2, 100, 70_000];
    let more = (0..cases() / 10)
        .map(|_| 1 + dice.roll(3000))
        .collect::<Vec<_>>();
    for len in lens.into_iter().chain(more) {
        let bytes: Vec<u8> = (0..len).map(|_| dice.roll(256) as u8).collect();
        let settings = Settings {
            groups: [1, 3][dice.roll(2)],
            ..Settings::default()
        };
        let ours = desk.encrypt(format, &bytes, &settings);
        let read = desk.sops(&["decrypt", types[0], types[1]], "f", &ours);
        assert_eq!(read.unwrap(), bytes, "{len} bytes");
        let theirs = desk.sops(
            &["encrypt", types[0], types[1], "--age", &desk.recipients[0]],
            "f",
            &bytes,
        );
        assert_eq!(desk.decrypt(format, &theirs.unwrap()).unwrap().0, bytes);
        let rotated = desk.sops(&["rotate", types[0], types[1]], "f", &ours);
        assert_eq!(desk.decrypt(format, &rotated.unwrap()).unwrap().0, bytes);
    }
}

/// A comment is bound to the collection that the reference's reader finds for it, which is not always the one around it.
#[test]
fn comments_at_odd_places_are_opened_by_the_reference() {
    let desk = Desk::new();
    let format = format::by_name("yaml").unwrap();
    for text in [
        "a:\n  - x\n  # canary\n  -\nb: y\n",
        "a:\n  - - x\n    # canary\n    -\n  - z\nb: y\n",
        "a:\n  b:\n    - x\n    # canary\n    - !!str\n  c: z\n",
        "a:\n  - x\n  # canary\n  - &n\nb: *n\n",
        "c:\n- |\n t\n   \n# canary\nd: y\n",
    ] {
        let ours = desk.encrypt(format, text.as_bytes(), &Settings::default());
        assert!(!String::from_utf8_lossy(&ours).contains("canary"), "{text}");
        let read = desk.sops(&["decrypt"], "o.yaml", &ours).unwrap();
        let read = String::from_utf8(read).unwrap();
        assert!(read.contains("# canary"), "{text}: {read}");
        assert_eq!(desk.decrypt(format, &ours).unwrap().0, text.as_bytes());
    }
}

#[test]
fn sops_age_reads_ours_as_it_reads_theirs() {
    // INI it does not read at all.
    for name in ["yaml", "json", "dotenv"] {
        read_by_another(name, |desk, format, text| {
            let file = desk
                .folder
                .path()
                .join(format!("o{}", format.suffixes()[0]));
            std::fs::write(&file, text).unwrap();
            let mut command = Command::new(incumbents::sops_age());
            command
                .arg(&file)
                .env("SOPS_AGE_KEY", desk.identities[0].expose());
            let read = desk.output(&mut command, None)?;
            serde_json::from_slice(&read).map_err(|error| error.to_string())
        });
    }
}

#[test]
fn rops_reads_ours_as_it_reads_theirs() {
    for name in ["yaml", "json"] {
        read_by_another(name, |desk, format, text| {
            // rops takes a file by name only from a terminal.
            let mut command = Command::new(incumbents::rops());
            command
                .args(["decrypt", "--format", format.name()])
                .env("ROPS_AGE", desk.identities[0].expose());
            let read = desk.output(&mut command, Some(text))?;
            let document = Document::parse(format, SecretBytes::copy_of(&read))
                .map_err(|error| error.to_string())?;
            Ok(value_of(document.tree()))
        });
    }
}

/// Generated documents, encrypted by the reference and by us: another reader that takes the one takes the other, and
/// reads the same.
fn read_by_another(
    name: &'static str,
    read: impl Fn(&Desk, &'static dyn Format, &[u8]) -> Result<Value, String>,
) {
    let generate = match name {
        "yaml" => generate::yaml,
        "json" => generate::json,
        "dotenv" => generate::dotenv,
        _ => generate::ini,
    };
    let desk = Desk::new();
    let format = format::by_name(name).unwrap();
    // Values in clear stay as they are spelled, and neither reader knows the reference's way with `2024-01-01`.
    let settings = Settings {
        rule: Some(("unencrypted_suffix", "nothing ends so")),
        groups: 1,
        ..Settings::default()
    };
    let wanted = (cases() / 25).max(10);
    let mut compared = 0;
    for seed in (first_seed()..).take(8 * wanted as usize) {
        let mut chunks = generate(&mut Dice::new(seed));
        chunks.truncate(4); // neither reads times or comments in lists, so small documents are read more often
        let text = join(name, &chunks, &settings);
        if name == "yaml" && text.contains("[\n") {
            continue; // goes on at the column of its key, which YAML 1.2 forbids and the reference reads
        }
        let Ok(theirs) = desk.sops_encrypt(format, &text, &settings) else {
            continue;
        };
        let Ok(expected) = read(&desk, format, &theirs) else {
            continue;
        };
        let ours = desk.encrypt(format, text.as_bytes(), &settings);
        let got = read(&desk, format, &ours).unwrap_or_else(|error| {
            let shown = String::from_utf8_lossy(&ours);
            panic!("{name}, seed {seed}: it reads theirs and not ours: {error}\n{shown}")
        });
        assert_eq!(normal(got), normal(expected), "{name}, seed {seed}\n{text}");
        compared += 1;
        if compared == wanted {
            return;
        }
    }
    assert!(
        compared * 2 >= wanted,
        "{name}: only {compared} documents are read by the other program"
    );
}

/// How many documents of each format are tried.
fn cases() -> u64 {
    let count = std::env::var("SEALWRIGHT_INTEROP_CASES").ok();
    count.and_then(|count| count.parse().ok()).unwrap_or(400)
}

fn first_seed() -> u64 {
    let seed = std::env::var("SEALWRIGHT_INTEROP_SEED").ok();
    seed.and_then(|seed| seed.parse().ok()).unwrap_or(0)
}

/// How a document is encrypted.
#[derive(Clone, Debug, Default)]
struct Settings {
    rule: Option<(&'static str, &'static str)>,
    mac_only: bool,
    groups: usize,
    /// Whether lines end in CRLF.
    crlf: bool,
    /// Whether the text begins with a byte order mark.
    mark: bool,
    /// Whether the reference saves our file in between.
    between: bool,
}

impl Settings {
    fn roll(name: &str, dice: &mut Dice) -> Self {
        let rules = [
            None,
            Some(("unencrypted_suffix", "_unencrypted")),
            Some(("encrypted_suffix", "_enc")),
            Some(("unencrypted_regex", "^(meta|k[0-9]*x|.*password)$")),
            Some(("encrypted_regex", r"(data|secret|\bs|^\w\d)")),
            Some(("unencrypted_comment_regex", "public")),
            Some(("encrypted_comment_regex", "sops:enc|note")),
        ];
        Self {
            rule: rules[dice.roll(rules.len())],
            mac_only: dice.roll(4) == 0,
            groups: [1, 1, 1, 2, 3][dice.roll(5)],
            crlf: name != "dotenv" && dice.roll(8) == 0,
            mark: matches!(name, "yaml" | "ini") && dice.roll(20) == 0,
            between: dice.roll(4) == 0,
        }
    }
}

fn both_ways(name: &'static str, generate: fn(&mut Dice) -> Vec<String>) {
    let desk = Desk::new();
    let format = format::by_name(name).unwrap();
    let mut failures = Vec::new();
    let mut values = 0;
    for seed in first_seed()..first_seed() + cases() {
        let mut dice = Dice::new(seed);
        let settings = Settings::roll(name, &mut dice);
        let mut chunks = generate(&mut dice);
        let Err(reason) = case(&desk, format, &chunks, &settings, &mut values) else {
            continue;
        };
        let mut reason = reason;
        // Cut down: leave out one chunk after the other as long as the case still fails.
        let mut at = 0;
        while at < chunks.len() {
            let mut fewer = chunks.clone();
            fewer.remove(at);
            match case(&desk, format, &fewer, &settings, &mut 0) {
                Err(still) => (chunks, reason) = (fewer, still),
                Ok(()) => at += 1,
            }
        }
        let text = join(name, &chunks, &settings);
        failures.push(format!(
            "seed {seed}, {settings:?}: {reason}\n{text}\n{text:?}\n"
        ));
        if failures.len() == 5 {
            break;
        }
    }
    assert!(failures.is_empty(), "{name}: {}", failures.join("\n"));
}

fn join(name: &str, chunks: &[String], settings: &Settings) -> String {
    let mut text: String = match name {
        "json" => format!("{{\n  {}\n}}\n", chunks.join(",\n  ")),
        "dotenv" => chunks.iter().map(|line| format!("{line}\n")).collect(),
        _ => chunks.concat(),
    };
    if settings.crlf {
        text = text.replace('\n', "\r\n");
    }
    if settings.mark {
        text.insert(0, '\u{feff}');
    }
    text
}

/// One document both ways.
fn case(
    desk: &Desk,
    format: &'static dyn Format,
    chunks: &[String],
    settings: &Settings,
    values: &mut usize,
) -> Result<(), String> {
    let text = join(format.name(), chunks, settings);
    let input = format!("--input-type={}", format.name());
    let parsed = Document::parse(format, SecretBytes::copy_of(text.as_bytes()));
    let theirs = desk.sops_encrypt(format, &text, settings);
    let document = match (parsed, &theirs) {
        (Ok(document), Ok(_)) => document,
        // Refused by both, or by us alone where the reference loses something silently: nothing to compare.
        (Err(_), Err(_)) => return Ok(()),
        (Err(error), Ok(_)) => return Err(format!("sops reads it and we do not: {error}")),
        (Ok(_), Err(error)) => return Err(format!("we read it and sops does not: {error}")),
    };
    let plain = value_of(document.tree());
    *values += count(&plain);

    let theirs = theirs?;
    let file = format!("f{}", format.suffixes().first().unwrap_or(&""));
    let (_, tree) = match desk.decrypt(format, &theirs) {
        Ok(decrypted) => decrypted,
        Err(error) => {
            // What it cannot read itself is its own affair (an unencrypted `-0.0` comes back as `-0`, another value).
            if desk
                .sops(&["decrypt", &input, "--output-type=json"], &file, &theirs)
                .is_err()
            {
                return Ok(());
            }
            let shown = String::from_utf8_lossy(&theirs);
            return Err(format!(
                "we cannot decrypt what sops encrypted: {error}\n{shown}"
            ));
        }
    };
    if tree != plain {
        // What it changed while encrypting is its own affair (an empty comment of a list becomes an empty text).
        let own = desk.read_by_sops(format, &theirs, document.tree().documents.len());
        if own.is_ok_and(|own| normal(own) == normal(tree.clone())) {
            return Ok(());
        }
        return Err(format!(
            "what sops encrypted decrypts to {tree}, not {plain}"
        ));
    }

    let ours = desk.encrypt(format, text.as_bytes(), settings);
    let shown = String::from_utf8_lossy(&ours).into_owned();
    let (back, _) = desk
        .decrypt(format, &ours)
        .map_err(|error| format!("we cannot decrypt our own: {error}\n{shown}"))?;
    if back != text.as_bytes() {
        return Err(format!(
            "not byte-exact: {:?}\n{shown}",
            String::from_utf8_lossy(&back)
        ));
    }
    let read = desk
        .read_by_sops(format, &ours, document.tree().documents.len())
        .map_err(|error| format!("sops cannot decrypt ours: {error}\n{shown}"))?;
    let (read, plain) = (normal(read), normal(plain));
    if read != plain {
        return Err(format!(
            "ours decrypts with sops to {read}, not {plain}\n{shown}"
        ));
    }
    if settings.between {
        saved_in_between(desk, format, &ours, plain)
            .map_err(|error| format!("{error}\n{shown}"))?;
    }
    Ok(())
}

/// The reference adds a value to our file: it still decrypts to the same data and that value.
fn saved_in_between(
    desk: &Desk,
    format: &'static dyn Format,
    ours: &[u8],
    mut plain: Value,
) -> Result<(), String> {
    let path = match format.name() {
        "ini" => r#"["zz"]["added"]"#,
        _ => r#"["zz"]"#,
    };
    let added = match format.name() {
        "ini" => serde_json::json!({"added": "by sops"}),
        _ => Value::from("by sops"),
    };
    let saved = desk.saved_by_sops(format, ours, path, "\"by sops\"")?;
    let first = match &mut plain {
        Value::Array(documents) => &mut documents[0],
        document => document,
    };
    first
        .as_object_mut()
        .ok_or("the first document is no map")?
        .insert("zz".to_owned(), added);
    let (_, read) = desk.decrypt(format, &saved).map_err(|error| {
        let saved = String::from_utf8_lossy(&saved);
        format!("saved by sops in between we cannot decrypt it: {error}\n{saved}")
    })?;
    let read = normal(read);
    if read != plain {
        return Err(format!(
            "saved by sops in between it decrypts to {read}, not {plain}"
        ));
    }
    Ok(())
}

/// The document of a tree as JSON, several as a list, without comments; the last of equal keys wins, as in what reads it.
pub(crate) fn value_of(tree: &sealwright_documents::tree::Tree) -> Value {
    fn convert(data: &Data) -> Value {
        match data {
            Data::Null | Data::Comment { .. } => Value::Null,
            Data::Bool(value) => Value::from(*value),
            Data::Int(value) => Value::from(*value),
            Data::Float(value) if value.is_finite() => Value::from(*value),
            Data::Float(value) => Value::from(value.to_string()),
            Data::Time(text) => Value::from(text.clone()),
            Data::Str(text) => Value::from(String::from_utf8_lossy(text.expose()).into_owned()),
            Data::List(items) => items
                .iter()
                .filter(|item| !matches!(item, Data::Comment { .. }))
                .map(convert)
                .collect(),
            Data::Map(entries) => entries
                .iter()
                .filter(|(_, value)| !matches!(value, Data::Comment { .. }))
                .map(|(key, value)| {
                    (
                        String::from_utf8_lossy(key.expose()).into_owned(),
                        convert(value),
                    )
                })
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
    let of = |root: &u32| normal(convert(&Data::of(tree, *root as usize)));
    match &tree.documents[..] {
        [root] => of(root),
        roots => roots.iter().map(of).collect(),
    }
}

/// Numbers as floats, an empty section that INI always has left out.
pub(crate) fn normal(value: Value) -> Value {
    match value {
        Value::Number(number) if number.as_i64().is_some() => Value::from(number),
        Value::Number(number) => {
            let float = number.as_f64().unwrap();
            let whole = float as i64;
            if whole as f64 == float && float.abs() < 9e15 {
                Value::from(whole)
            } else {
                Value::from(float)
            }
        }
        Value::Array(items) => items.into_iter().map(normal).collect(),
        Value::Object(map) => map
            .into_iter()
            .filter(|(key, value)| {
                key != "DEFAULT" || value != &Value::Object(serde_json::Map::new())
            })
            .map(|(key, value)| (key, normal(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}

fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(map) => map.values().map(count).sum(),
        _ => 1,
    }
}

/// A folder with three age keys, and both programs working in it.
struct Desk {
    folder: TempDir,
    recipients: Vec<String>,
    identities: Vec<SecretText>,
}

impl Desk {
    fn new() -> Self {
        let keys: Vec<age::Generated> = (0..3).map(|_| age::generate()).collect();
        Self {
            folder: tempfile::tempdir().unwrap(),
            recipients: keys.iter().map(|key| key.recipient.to_string()).collect(),
            identities: keys
                .iter()
                .map(|key| SecretText::copy_of(key.identity.expose()))
                .collect(),
        }
    }

    fn keys(&self) -> Vec<Box<dyn MasterKey>> {
        let identities = Identities::new(Arc::new(Env(self.all_identities())), Arc::new(Nobody));
        self.recipients
            .iter()
            .map(|recipient| {
                Box::new(AgeKey::parse(recipient, &identities).unwrap()) as Box<dyn MasterKey>
            })
            .collect()
    }

    fn all_identities(&self) -> String {
        let each: Vec<&str> = self.identities.iter().map(SecretText::expose).collect();
        each.join("\n")
    }

    fn encrypt(&self, format: &'static dyn Format, text: &[u8], settings: &Settings) -> Vec<u8> {
        let key = DataKey::generate();
        let keys = self.keys();
        let groups: Vec<Vec<Holder<'_>>> = keys
            .iter()
            .take(settings.groups.max(1))
            .map(|key| {
                vec![Holder {
                    key: &**key,
                    kept: None,
                }]
            })
            .collect();
        let wraps = finish(keyring::wrap(&key, &groups, 2, &never)).unwrap();
        let groups = wraps
            .into_iter()
            .zip(&self.recipients)
            .map(|(mut wraps, recipient)| {
                vec![KeyEntry {
                    key: KeyFields::of(&AGE, recipient),
                    created_at: None,
                    enc: wraps.remove(0),
                }]
            });
        let rule = settings
            .rule
            .and_then(|(field, text)| SelectionRule::of_field(field, text.to_owned()))
            .unwrap_or_default();
        let rule = (format.name() != "binary").then_some(rule);
        let metadata = Metadata::new(groups.collect(), 2, rule, settings.mac_only);
        let document = Document::parse(format, SecretBytes::copy_of(text)).unwrap();
        let now = jiff::Timestamp::now();
        let out = envelope::encrypt(document, metadata, &key, None, now, Layout::default());
        out.unwrap().text.expose().to_vec()
    }

    fn decrypt(
        &self,
        format: &'static dyn Format,
        text: &[u8],
    ) -> Result<(Vec<u8>, Value), String> {
        let file =
            Encrypted::parse(format, SecretBytes::copy_of(text)).map_err(|e| e.to_string())?;
        let keys = self.keys();
        let locks: Vec<Vec<Lock<'_>>> = file
            .metadata()
            .groups
            .iter()
            .map(|group| {
                group
                    .iter()
                    .map(|entry| Lock {
                        key: &**keys
                            .iter()
                            .find(|key| key.identity() == entry.key.identity())
                            .unwrap(),
                        wrapped: &entry.enc,
                    })
                    .collect()
            })
            .collect();
        let threshold = file.metadata().shamir_threshold;
        let unwrapped =
            finish(keyring::unwrap(&locks, threshold, &[], &never)).map_err(|e| e.to_string())?;
        let out = envelope::decrypt(&file, &unwrapped.key).map_err(|e| e.to_string())?;
        if !out.warnings.is_empty() {
            return Err(format!("{:?}", out.warnings));
        }
        let value = value_of(out.document.tree());
        let again = Document::parse(format, SecretBytes::copy_of(out.document.text().expose()));
        let again = again.map_err(|error| format!("the plain text is not read: {error}"))?;
        if value_of(again.tree()) != value {
            return Err(format!(
                "the plain text reads as {}, not {value}",
                value_of(again.tree())
            ));
        }
        Ok((out.document.into_text().expose().to_vec(), value))
    }

    fn sops_encrypt(
        &self,
        format: &'static dyn Format,
        text: &str,
        settings: &Settings,
    ) -> Result<Vec<u8>, String> {
        let mut rule = String::from("creation_rules:\n  - key_groups:\n");
        for recipient in self.recipients.iter().take(settings.groups.max(1)) {
            rule.push_str(&format!("      - age: [{recipient}]\n"));
        }
        if settings.groups > 1 {
            rule.push_str("    shamir_threshold: 2\n");
        }
        if let Some((field, text)) = settings.rule {
            rule.push_str(&format!("    {field}: '{text}'\n"));
        }
        if settings.mac_only {
            rule.push_str("    mac_only_encrypted: true\n");
        }
        std::fs::write(self.folder.path().join(".sops.yaml"), rule).unwrap();
        let types = [
            format!("--input-type={}", format.name()),
            format!("--output-type={}", format.name()),
        ];
        let file = format!("p{}", format.suffixes().first().unwrap_or(&""));
        self.sops(&["encrypt", &types[0], &types[1]], &file, text.as_bytes())
    }

    /// What the reference reads in a file: as JSON, which is its own printing and another's reading, or, where that
    /// cannot say all, as YAML.
    fn read_by_sops(
        &self,
        format: &'static dyn Format,
        text: &[u8],
        documents: usize,
    ) -> Result<Value, String> {
        let input = format!("--input-type={}", format.name());
        let file = format!("f{}", format.suffixes().first().unwrap_or(&""));
        let run = |output| self.sops(&["decrypt", &input, output], &file, text);
        if documents == 1
            && let Ok(json) = run("--output-type=json")
        {
            return serde_json::from_slice(&json).map_err(|error| error.to_string());
        }
        let yaml = run("--output-type=yaml")?;
        let format = format::by_name("yaml").unwrap();
        let document = Document::parse(format, SecretBytes::copy_of(&yaml));
        let document = document.map_err(|error| format!("what it prints is not read: {error}"))?;
        Ok(value_of(document.tree()))
    }

    /// A file after the reference set a value in it.
    fn saved_by_sops(
        &self,
        format: &'static dyn Format,
        text: &[u8],
        path: &str,
        value: &str,
    ) -> Result<Vec<u8>, String> {
        let name = format!("s{}", format.suffixes().first().unwrap_or(&""));
        let file = self.folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(incumbents::sops());
        command.arg("set").arg(&file).args([path, value]);
        self.output(&mut command, None)
            .map_err(|error| format!("sops cannot set a value in ours: {error}"))?;
        Ok(std::fs::read(&file).unwrap())
    }

    fn sops(&self, arguments: &[&str], name: &str, content: &[u8]) -> Result<Vec<u8>, String> {
        let path: PathBuf = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let mut command = Command::new(incumbents::sops());
        command.args(arguments).arg(&path);
        self.output(&mut command, None)
    }

    /// Runs a program in the folder, with the identities and nothing else in its surroundings.
    fn output(&self, command: &mut Command, input: Option<&[u8]>) -> Result<Vec<u8>, String> {
        let kept: Vec<_> = command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("SOPS_AGE_KEY", self.all_identities())
            .env("SOPS_DISABLE_VERSION_CHECK", "1")
            .envs(kept)
            .current_dir(self.folder.path());
        let output = run(command, input.unwrap_or_default());
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(format!(
                "{} {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            ))
        }
    }
}

fn finish<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("age keys do not wait"),
    }
}

fn never(_: std::time::Duration) -> Pending<'static, ()> {
    Box::pin(pending())
}

/// Surroundings with nothing but the identities.
struct Env(String);

impl Surroundings for Env {
    fn var(&self, name: &str) -> Option<std::ffi::OsString> {
        (name == "SOPS_AGE_KEY").then(|| self.0.clone().into())
    }

    fn home(&self) -> Option<PathBuf> {
        None
    }

    fn config_dir(&self) -> Option<PathBuf> {
        None
    }

    fn read(&self, _: &std::path::Path, _: usize) -> std::io::Result<SecretBytes> {
        Err(std::io::ErrorKind::NotFound.into())
    }

    fn run(&self, _: &Call<'_>) -> std::io::Result<Outcome> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

struct Nobody;

impl Callbacks for Nobody {
    fn show(&self, _: &str) {}

    fn passphrase(&self, _: &str) -> Option<SecretText> {
        None
    }

    fn ask(&self, _: &str) -> Option<String> {
        None
    }
}
