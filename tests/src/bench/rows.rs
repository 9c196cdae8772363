//! The list of what is measured. The names are those of the project's figures.

use std::path::Path;
use std::process::Command;

use super::Side;
use super::inputs::{AgeKey, encrypted, maps_of_values, sealing_certificate, secrets};
use crate::harness::{programs, upstream};

/// One comparison.
pub struct Row {
    /// The figure's name.
    pub name: &'static str,
    /// What is done, in a few words.
    pub title: &'static str,
    /// Makes the inputs in a folder and returns the sides, upstream's first and sealwright last.
    pub prepare: fn(&Path) -> Result<Vec<Side>, String>,
}

/// All rows, in the order of the table.
pub const ROWS: &[Row] = &[
    Row {
        name: "F0",
        title: "start and print the version",
        prepare: start,
    },
    Row {
        name: "F1",
        title: "decrypt 10 values, YAML, age key",
        prepare: |folder| decrypt(folder, 1, 10, [41, 41, 41]),
    },
    Row {
        name: "F2-decrypt",
        title: "decrypt 100,000 values in 1,000 maps",
        prepare: |folder| decrypt(folder, 1000, 100, [3, 5, 5]),
    },
    Row {
        name: "F2-encrypt",
        title: "encrypt 100,000 values in 1,000 maps",
        prepare: |folder| encrypt(folder, 1000, 100),
    },
    Row {
        name: "F2b",
        title: "decrypt 20,000 values in one map",
        prepare: |folder| decrypt(folder, 1, 20_000, [3, 5, 5]),
    },
    Row {
        name: "F2b-large",
        title: "decrypt 100,000 values in one map (sops would take half a minute)",
        prepare: |folder| {
            let mut sides = decrypt(folder, 1, 100_000, [0, 5, 5])?;
            sides.retain(|side| side.runs > 0);
            Ok(sides)
        },
    },
    Row {
        name: "F3-small",
        title: "decrypt 10,000 values, sealwright alone",
        prepare: |folder| decrypt_alone(folder, 100),
    },
    Row {
        name: "F3-large",
        title: "decrypt 1,000,000 values, sealwright alone",
        prepare: |folder| decrypt_alone(folder, 10_000),
    },
    Row {
        name: "F4",
        title: "seal 1,000 Secrets with 3 values, RSA-4096, one stream",
        prepare: seal,
    },
    Row {
        name: "F5-one",
        title: "unseal one value, RSA-4096, with a backup of the key",
        prepare: |folder| unseal(folder, 1),
    },
    Row {
        name: "F5-many",
        title: "unseal 200 values of one SealedSecret, RSA-4096",
        prepare: |folder| unseal(folder, 200),
    },
];

fn start(_: &Path) -> Result<Vec<Side>, String> {
    let mut sops = Command::new(upstream::sops());
    sops.args(["--version", "--disable-version-check"]);
    let mut kubeseal = Command::new(upstream::kubeseal());
    kubeseal.arg("--version");
    let mut ours = Command::new(programs::sealwright());
    ours.arg("--version");
    let side = |name, command| Side {
        name,
        command,
        input: None,
        check: |output| !output.is_empty(),
        runs: 31,
    };
    Ok(vec![
        side("sops", sops),
        side("kubeseal", kubeseal),
        side("sealwright", ours),
    ])
}

fn decrypt(
    folder: &Path,
    maps: usize,
    values: usize,
    runs: [usize; 3],
) -> Result<Vec<Side>, String> {
    let key = AgeKey::generate()?;
    // Where the reference is not measured it does not make the file either: it would take half a minute.
    let mut writer = Command::new(upstream::sops());
    if runs[0] == 0 {
        writer = Command::new(programs::sealwright());
        writer.arg("sops");
    }
    let file = encrypted(writer, folder, &maps_of_values(maps, values), &key)?;
    let side = |name, program: &Path, arguments: &[&str], runs| {
        let mut command = Command::new(program);
        command.args(arguments).arg(&file);
        command.env("SOPS_AGE_KEY", &key.secret);
        Side {
            name,
            command,
            input: None,
            check: holds_values,
            runs,
        }
    };
    // rops takes a file by name only from a terminal, so it reads the same file as its input.
    let mut rops = Command::new(upstream::rops());
    rops.args(["decrypt", "--format", "yaml"])
        .env("ROPS_AGE", &key.secret);
    let rops = Side {
        name: "rops",
        command: rops,
        input: Some(file.clone()),
        check: holds_values,
        runs: runs[1],
    };
    Ok(vec![
        side("sops", &upstream::sops(), &["decrypt"], runs[0]),
        rops,
        side(
            "sealwright",
            &programs::sealwright(),
            &["sops", "decrypt"],
            runs[2],
        ),
    ])
}

fn decrypt_alone(folder: &Path, maps: usize) -> Result<Vec<Side>, String> {
    let mut sides = decrypt(folder, maps, 100, [0, 0, 3])?;
    sides.retain(|side| side.runs > 0);
    Ok(sides)
}

fn encrypt(folder: &Path, maps: usize, values: usize) -> Result<Vec<Side>, String> {
    let key = AgeKey::generate()?;
    let file = folder.join("plain.yaml");
    std::fs::write(&file, maps_of_values(maps, values)).map_err(|error| error.to_string())?;
    let side = |name, program: &Path, arguments: &[&str], runs| {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .args(["--age", &key.recipient])
            .arg(&file);
        Side {
            name,
            command,
            input: None,
            check: is_encrypted,
            runs,
        }
    };
    // rops takes a file by name only from a terminal, so it reads the same file as its input.
    let mut rops = Command::new(upstream::rops());
    rops.args(["encrypt", "--format", "yaml", "--age", &key.recipient]);
    let rops = Side {
        name: "rops",
        command: rops,
        input: Some(file.clone()),
        check: is_encrypted,
        runs: 5,
    };
    Ok(vec![
        side("sops", &upstream::sops(), &["encrypt"], 3),
        rops,
        side(
            "sealwright",
            &programs::sealwright(),
            &["sops", "encrypt"],
            5,
        ),
    ])
}

fn seal(folder: &Path) -> Result<Vec<Side>, String> {
    let certificate = sealing_certificate(folder)?;
    let stream = folder.join("secrets.yaml");
    std::fs::write(&stream, secrets(1000, 3)).map_err(|error| error.to_string())?;
    let side = |name, program: &Path, arguments: &[&str]| {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .args(["--format", "yaml", "--cert"])
            .arg(&certificate);
        Side {
            name,
            command,
            input: Some(stream.clone()),
            check: holds_sealed_secrets,
            runs: 7,
        }
    };
    Ok(vec![
        side("kubeseal", &upstream::kubeseal(), &[]),
        side("sealwright", &programs::sealwright(), &["kubeseal"]),
    ])
}

fn unseal(folder: &Path, values: usize) -> Result<Vec<Side>, String> {
    let certificate = sealing_certificate(folder)?;
    let sealed = folder.join("sealed.json");
    let mut seal = Command::new(upstream::kubeseal());
    seal.arg("--cert").arg(&certificate);
    let plain = folder.join("one.yaml");
    std::fs::write(&plain, secrets(1, values)).map_err(|error| error.to_string())?;
    seal.arg("--secret-file").arg(&plain);
    seal.arg("--sealed-secret-file").arg(&sealed);
    let done = seal.output().map_err(|error| error.to_string())?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned());
    }
    let side = |name, program: &Path, arguments: &[&str]| {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .args(["--recovery-unseal", "--recovery-private-key"])
            .arg(folder.join("key.pem"));
        Side {
            name,
            command,
            input: Some(sealed.clone()),
            check: holds_a_secret,
            runs: 15,
        }
    };
    Ok(vec![
        side("kubeseal", &upstream::kubeseal(), &[]),
        side("sealwright", &programs::sealwright(), &["kubeseal"]),
    ])
}

fn holds_a_secret(output: &[u8]) -> bool {
    // "hidden value 0 of 0"
    String::from_utf8_lossy(output).contains("\"value-0\": \"aGlkZGVuIHZhbHVlIDAgb2YgMA==\"")
}

fn holds_values(output: &[u8]) -> bool {
    String::from_utf8_lossy(output).contains("value-0: secret number 0 of map 0")
}

fn is_encrypted(output: &[u8]) -> bool {
    let text = String::from_utf8_lossy(output);
    text.contains("ENC[AES256_GCM,")
        && text.contains("mac: ENC[")
        && !text.contains("secret number")
}

fn holds_sealed_secrets(output: &[u8]) -> bool {
    let text = String::from_utf8_lossy(output);
    text.matches("kind: SealedSecret").count() == 1000
        && text.contains("name: secret-999")
        && !text.contains("hidden")
}
