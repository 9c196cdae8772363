//! Files that are made to take time and memory: they cost no more than their size explains.
//!
//! The measure is an ordinary file of the same format, worked on by the same verb: a hostile one may take [`FACTOR`] times
//! as much for each of its bytes, beside what every run takes. `SEALWRIGHT_SOAK=1` tries every verb on larger files.

#[path = "hostile/attacks.rs"]
mod attacks;
#[path = "hostile/blocks.rs"]
mod blocks;
#[path = "hostile/cost.rs"]
mod cost;

use std::fmt::Write as _;

use super::{Desk, run};
use cost::Scale;

/// An encrypted file, and its block.
fn encrypted(desk: &Desk) -> (String, String) {
    desk.write("f.yaml", "a: 1\n");
    desk.ours(["encrypt", "-i", "f.yaml"]).good();
    let file = desk.read("f.yaml");
    let block = file[file.find("sops:").unwrap()..].to_owned();
    (file, block)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let number = (0..3).fold(0u32, |all, at| {
            all << 8 | u32::from(three.get(at).copied().unwrap_or(0))
        });
        for digit in 0..4 {
            out.push(match digit <= three.len() {
                true => DIGITS[(number >> (18 - 6 * digit)) as usize & 63] as char,
                false => '=',
            });
        }
    }
    out
}

#[test]
fn an_age_header_of_thousands_of_stanzas_is_read_once() {
    let desk = Desk::with_rule();
    let (file, _) = encrypted(&desk);
    let mut header = "age-encryption.org/v1\n".to_owned();
    for _ in 0..2_000 {
        header.push_str("-> X25519 CEQXBGmRYHIMcCvyjxOsbMyPBi2kmW+wWh4rNpY3nDM\n");
        header.push_str("Xqj+Y3UBkOYJtHvDEJmVFQZbCaJFEVHC5WxlhZ+xZBs\n");
    }
    header.push_str("--- gxhoSa5BciRDt8lOpYNcx4EYtKpS0CJ06F3ZwN82VaM\n0123456789abcdef");
    let mut armor = String::new();
    let encoded = base64(header.as_bytes());
    for line in encoded.as_bytes().chunks(64) {
        let line = std::str::from_utf8(line).unwrap();
        writeln!(armor, "            {line}").unwrap();
    }
    let begin = file.find("FILE-----\n").unwrap() + 10;
    let end = file.find("            -----END").unwrap();
    let file = format!("{}{armor}{}", &file[..begin], &file[end..]);
    desk.write("hostile.yaml", file);
    // Each stanza is tried with X25519, which takes half a second in a debug build; a header that is read anew for each takes a minute.
    let mut scale = Scale::new();
    scale.allow_milliseconds(1_500.0);
    let (ran, errors) = scale.within(&desk, "sops decrypt", "hostile.yaml");
    assert_eq!(ran.code, 128, "{errors}");
    assert!(errors.matches("X25519").count() < 3, "{errors}");
}

#[test]
fn many_aliases_of_a_long_text_are_refused_early() {
    let desk = Desk::with_rule();
    let (_, block) = encrypted(&desk);
    let long = "x".repeat(100_000);
    let aliases = "*x, ".repeat(25_000);
    desk.write(
        "hostile.yaml",
        format!("a: &x {long}\nb: [{aliases}]\n{block}"),
    );
    let mut scale = Scale::new();
    let (ran, errors) = scale.within(&desk, "sops decrypt", "hostile.yaml");
    assert!(ran.code > 0 && errors.contains("aliases"), "{errors}");
    desk.write(
        "hostile.yaml",
        format!("a: &x {long}\nb: [{}]\n", "*x, ".repeat(4_000)),
    );
    let (ran, errors) = scale.within(&desk, "sops encrypt", "hostile.yaml");
    assert!(ran.code > 0 && errors.contains("aliases"), "{errors}");
    // As keys, too.
    desk.write(
        "hostile.yaml",
        format!("a: &x {long}\nb: [{}]\n", "{*x : 1}, ".repeat(4_000)),
    );
    let (ran, errors) = scale.within(&desk, "sops encrypt", "hostile.yaml");
    assert!(ran.code > 0 && errors.contains("aliases"), "{errors}");
}

/// Without `SEALWRIGHT_SOAK=1` one file of so many is tried.
const SLICE: usize = 10;

/// The size of the files that are made, and whether every verb is tried on each.
fn extent() -> (usize, bool) {
    let soaks = std::env::var_os("SEALWRIGHT_SOAK").is_some_and(|value| value == "1");
    if soaks {
        (400_000, true)
    } else {
        (50_000, false)
    }
}

/// A desk in a repository whose last commit has a small encrypted file of each format under the name that is worked on.
fn repository() -> Desk {
    let desk = Desk::with_rule();
    for suffix in ["yaml", "json", "env", "ini", "bin"] {
        let file = format!("copy.{suffix}");
        desk.write(&file, attacks::ordinary(suffix, 10));
        desk.ours(["encrypt", "-i", &file]).good();
        desk.write(&format!("real.{suffix}"), desk.bytes(&file));
    }
    for words in [
        &["init", "-q"][..],
        &["add", "."],
        &[
            "-c",
            "user.name=n",
            "-c",
            "user.email=e",
            "commit",
            "-q",
            "-m",
            "m",
        ],
    ] {
        let mut git = std::process::Command::new("git");
        desk.furnish(&mut git);
        run(git.args(words), b"").good();
    }
    desk
}

#[test]
fn no_plain_file_costs_more_than_its_size_explains() {
    let (size, every) = extent();
    let desk = repository();
    let mut scale = Scale::new();
    let mut faults = Vec::new();
    let mut tried = 0;
    for (number, attack) in attacks::all(size).into_iter().enumerate() {
        if !every && number % SLICE != 0 {
            continue;
        }
        let suffix = attack.suffix;
        let file = format!("hostile.{suffix}");
        let real = desk.read(&format!("real.{suffix}"));
        let mut judge = |what: &str, verbs: &[&str]| {
            for (at, verb) in verbs.iter().enumerate() {
                // Of the others one a file, another one for each.
                if every || *verb == "sops encrypt" || at == number % verbs.len() {
                    tried += 1;
                    let judged = scale.judge(&desk, verb, &file);
                    faults.extend(
                        judged
                            .err()
                            .map(|fault| format!("{suffix}, {}{what}: {fault}", attack.name)),
                    );
                }
            }
        };
        desk.write(&file, &attack.text);
        judge("", &cost::PLAIN);
        if let Some(text) = blocks::spliced(suffix, &attack.text, &real) {
            desk.write(&file, text);
            judge(" with a block", &cost::ENCRYPTED);
        }
        desk.write(&file, &attack.text);
        if desk.ours(["encrypt", "-i", &file]).code == 0 {
            judge(", encrypted", &cost::ENCRYPTED);
        }
    }
    let list = faults.join("\n");
    assert!(faults.is_empty(), "{} of {tried}:\n{list}", faults.len());
}

#[test]
fn no_block_costs_more_than_its_size_explains() {
    let (size, every) = extent();
    let desk = repository();
    let mut scale = Scale::new();
    let mut faults = Vec::new();
    for (number, (name, text)) in blocks::blocks(&desk.read("real.json"), size)
        .into_iter()
        .enumerate()
    {
        if !every && number % SLICE != 0 {
            continue;
        }
        // What an expression takes has a limit of its own, that of the library: it is not the size of the file that counts.
        scale.allow_expression(name.contains("_regex"));
        for (at, verb) in cost::ENCRYPTED.iter().enumerate() {
            if !every && at != 0 && at != number % cost::ENCRYPTED.len() {
                continue;
            }
            // JSON is YAML, too.
            for file in ["hostile.json", "hostile.yaml"] {
                desk.write(file, &text);
                let judged = scale.judge(&desk, verb, file);
                faults.extend(judged.err().map(|fault| format!("{file}, {name}: {fault}")));
            }
        }
    }
    let list = faults.join("\n");
    assert!(faults.is_empty(), "{}:\n{list}", faults.len());
}
