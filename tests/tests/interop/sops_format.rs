//! Documents: what the real `sops` encrypts we decrypt, and the other way round.
//!
//! Documents are made at random from a seed; a case that fails is cut down to the chunks that matter, and shown with its
//! seed. `SEALWRIGHT_INTEROP_CASES` sets how many documents of each format are tried, `SEALWRIGHT_INTEROP_SEED` the first
//! seed.

use std::process::Command;

use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::data::Data;
use sealwright_documents::envelope::Document;
use sealwright_documents::format::{self, Format};
use sealwright_tests::harness::upstream;
use serde_json::Value;

#[path = "sops_format/desk.rs"]
mod desk;
#[path = "sops_format/generate.rs"]
pub(crate) mod generate;

use desk::Desk;
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
            let mut command = Command::new(upstream::sops_age());
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
            let mut command = Command::new(upstream::rops());
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
