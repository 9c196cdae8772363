//! What is measured on: made on the spot, the same for all sides.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};

use crate::harness::programs::output;
use crate::harness::upstream;

/// An age identity and its recipient.
pub(super) struct AgeKey {
    pub(super) secret: String,
    pub(super) recipient: String,
}

impl AgeKey {
    pub(super) fn generate() -> Result<Self, String> {
        let text = output(&mut Command::new(upstream::age_keygen()))?;
        let find = |mark: &str| {
            text.lines()
                .find_map(|line| line.find(mark).map(|at| line[at..].to_owned()))
        };
        match (find("AGE-SECRET-KEY-"), find("age1")) {
            (Some(secret), Some(recipient)) => Ok(Self { secret, recipient }),
            _ => Err("age-keygen printed no key".to_owned()),
        }
    }
}

/// A YAML file of `maps` maps with `values` values each.
pub(super) fn maps_of_values(maps: usize, values: usize) -> String {
    let mut text = String::new();
    for map in 0..maps {
        // Writing to a String does not fail.
        let _ = writeln!(text, "map-{map}:");
        for value in 0..values {
            let _ = writeln!(
                text,
                "    value-{value}: secret number {value} of map {map}"
            );
        }
    }
    text
}

/// The text as a file encrypted by a program with the reference's arguments.
pub(super) fn encrypted(
    mut command: Command,
    folder: &Path,
    text: &str,
    key: &AgeKey,
) -> Result<PathBuf, String> {
    let file = folder.join("values.yaml");
    fs::write(&file, text).map_err(|error| error.to_string())?;
    command
        .args(["encrypt", "--in-place", "--age", &key.recipient])
        .arg(&file)
        .current_dir(folder);
    output(&mut command)?;
    Ok(file)
}

/// The certificate of a sealing key of the size that controllers make; the key goes to `key.pem` beside it.
pub(super) fn sealing_certificate(folder: &Path) -> Result<PathBuf, String> {
    let make = || -> Result<(String, String), rcgen::Error> {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096)?;
        let certificate = CertificateParams::new(Vec::new())?.self_signed(&key)?;
        Ok((key.serialize_pem(), certificate.pem()))
    };
    let path = folder.join("cert.pem");
    let (key, certificate) =
        make().map_err(|error| format!("cannot make a certificate: {error}"))?;
    fs::write(folder.join("key.pem"), key).map_err(|error| error.to_string())?;
    fs::write(&path, certificate).map_err(|error| error.to_string())?;
    Ok(path)
}

/// A stream of Secret manifests.
pub(super) fn secrets(count: usize, values: usize) -> String {
    let mut text = String::new();
    for secret in 0..count {
        let _ = writeln!(
            text,
            "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: secret-{secret}\n  namespace: bench\nstringData:"
        );
        for value in 0..values {
            let _ = writeln!(text, "  value-{value}: hidden value {value} of {secret}");
        }
    }
    text
}
