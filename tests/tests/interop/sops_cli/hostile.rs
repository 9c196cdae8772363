//! Files that are made to take time and memory: they cost no more than their size explains.
//!
//! The limits are the system's: a process that exceeds them is killed, and the exit code tells.

use std::fmt::Write as _;

use super::{Desk, Ran, Whose, run};

/// Seconds of processor time, and address space in kilobytes: the program itself, and many times the file.
fn bounded(desk: &Desk, words: &[&str], file: &str) -> Ran {
    let kilobytes = desk.bytes(file).len() / 1024;
    let (seconds, space) = (10 + kilobytes / 100, 600_000 + 200 * kilobytes);
    let mut command = desk.command(Whose::Ours);
    let program = command.get_program().to_owned();
    command = {
        let mut shell = std::process::Command::new("sh");
        desk.furnish(&mut shell);
        shell
    };
    command
        .arg("-c")
        .arg(format!(
            "ulimit -t {seconds}; ulimit -v {space}; exec \"$0\" \"$@\""
        ))
        .arg(program)
        .args(words)
        .arg(file);
    run(&mut command, b"")
}

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
    let ran = bounded(&desk, &["decrypt"], "hostile.yaml");
    assert_eq!(ran.code, 128, "{}", ran.err);
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
    let ran = bounded(&desk, &["decrypt"], "hostile.yaml");
    assert!(
        ran.code > 0 && ran.err.contains("aliases"),
        "{} {}",
        ran.code,
        ran.err
    );
    desk.write(
        "hostile.yaml",
        format!("a: &x {long}\nb: [{}]\n", "*x, ".repeat(4_000)),
    );
    let ran = bounded(&desk, &["encrypt"], "hostile.yaml");
    assert!(
        ran.code > 0 && ran.err.contains("aliases"),
        "{} {}",
        ran.code,
        ran.err
    );
}
