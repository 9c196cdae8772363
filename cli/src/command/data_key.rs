//! The data key of a file: recovered through its master keys, wrapped by them, and the report when none of them works.

use sealwright_crypto::data_key::{DataKey, KeyPart};
use sealwright_crypto::master_key::{KeyError, Kind as KeyKind};
use sealwright_crypto::shamir;
use sealwright_documents::metadata::{KeyEntry, KeyFields, KeyGroup, Metadata, Timestamp};

use super::Settings;
use crate::error::{Error, Kind, Result};
use crate::terminal::Level;
use crate::wait::block_on;
use crate::world::World;

/// Kinds of keys in the order in which they are tried; others follow in file order.
#[derive(Debug)]
pub(crate) struct Order(Vec<String>);

impl Order {
    /// Reads a list such as `age,pgp`; names are not checked, as the incumbent does not either.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self> {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return Ok(Self(vec!["age".into(), "pgp".into()]));
        };
        let names: Vec<String> = text.split(',').map(str::to_owned).collect();
        for (at, name) in names.iter().enumerate() {
            if names[..at].contains(name) {
                return Err(Error::new(
                    Kind::DecryptionOrder,
                    format!("Duplicate decryption key type: {name}"),
                ));
            }
        }
        Ok(Self(names))
    }

    fn sort<'a>(&self, group: &'a KeyGroup) -> Vec<&'a KeyEntry> {
        let mut keys: Vec<&KeyEntry> = group.iter().collect();
        keys.sort_by_key(|entry| {
            let name = entry.key.kind().section();
            self.0
                .iter()
                .position(|listed| listed == name)
                .unwrap_or(self.0.len())
        });
        keys
    }
}

/// How the report of [`recover`] begins; clients search for it.
pub(crate) const FAILED: &str = "Failed to get the data key required to decrypt the SOPS file.";

/// What came of one group of keys.
struct Attempt {
    part: Option<KeyPart>,
    opened_by: Option<String>,
    failures: Vec<Failure>,
}

/// Why a key did not open its group.
struct Failure {
    kind: KeyKind,
    identity: String,
    reasons: Vec<String>,
}

/// Recovers the data key of a file. Groups are asked until there are enough of them (D23).
pub(crate) fn recover(world: &World, settings: &Settings, metadata: &Metadata) -> Result<DataKey> {
    let order = Order::parse(settings.decryption_order.as_deref())?;
    let alone = metadata.groups.len() == 1;
    let needed = match (alone, metadata.shamir_threshold as usize) {
        (true, _) => 1,
        (false, 0) => metadata.groups.len(),
        (false, threshold) => threshold.max(2),
    };
    let mut attempts = Vec::new();
    let mut found = 0;
    for group in &metadata.groups {
        if found >= needed {
            break;
        }
        let attempt = ask_group(world, settings, &order.sort(group));
        found += usize::from(attempt.part.is_some());
        attempts.push(attempt);
    }
    if found < needed {
        return Err(unrecovered(attempts, needed));
    }
    let mut parts: Vec<KeyPart> = Vec::new();
    for attempt in attempts {
        if let Some(name) = attempt.opened_by {
            world.terminal.log(
                Level::Debug,
                "SOPS",
                &format!("the data key came from {name}"),
            );
        }
        parts.extend(attempt.part);
    }
    let damaged = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(
            Kind::NoDataKey,
            "the recovered key parts do not make a data key",
        )
        .because(error)
    };
    let whole = match &parts[..] {
        [part] if alone => KeyPart::copy_of(part.expose()),
        shares => shamir::combine(shares).map_err(|error| damaged(error.into()))?,
    };
    let key = DataKey::from_part(&whole).map_err(|error| damaged(error.into()))?;
    world
        .terminal
        .log(Level::Info, "SOPS", "Data key recovered successfully");
    Ok(key)
}

fn ask_group(world: &World, settings: &Settings, keys: &[&KeyEntry]) -> Attempt {
    let mut attempt = Attempt {
        part: None,
        opened_by: None,
        failures: Vec::new(),
    };
    for entry in keys {
        let key = world.keys.serve(&entry.key, settings, &world.terminal);
        let mut reasons = Vec::new();
        match block_on(key.unwrap_key(&entry.enc)) {
            Ok(Some(part)) => {
                attempt.opened_by = Some(key.identity());
                attempt.part = Some(part);
                return attempt;
            }
            Ok(None) => reasons.push(not_here(entry.key.kind())),
            Err(KeyError { reason, tried, .. }) => {
                reasons.push(reason);
                reasons.extend(tried);
            }
        }
        attempt.failures.push(Failure {
            kind: entry.key.kind(),
            identity: key.identity(),
            reasons,
        });
    }
    attempt
}

/// Where a private key was looked for that is not there.
fn not_here(kind: KeyKind) -> String {
    let home = match std::env::var_os("GNUPGHOME").filter(|home| !home.is_empty()) {
        Some(home) => format!("GNUPGHOME, {}", home.to_string_lossy()),
        None => "~/.gnupg; GNUPGHOME is not set".to_owned(),
    };
    match kind {
        KeyKind::Pgp => format!("gpg has no private key for it (looked in {home})"),
        _ => "its private key is not here".to_owned(),
    }
}

/// What can be done about keys that did not open, once for each kind.
fn advice(attempts: &[Attempt]) -> Vec<String> {
    let failed = || {
        let groups = attempts.iter().filter(|attempt| attempt.part.is_none());
        groups.flat_map(|attempt| &attempt.failures)
    };
    let of = |kind: KeyKind| failed().find(move |failure| failure.kind == kind);
    let is_ssh = |failure: &&Failure| failure.identity.starts_with("ssh-");
    let ages = || failed().filter(|failure| failure.kind == KeyKind::Age);
    let mut hints = Vec::new();
    if let Some(Failure { identity, .. }) = ages().find(|failure| !is_ssh(failure)) {
        hints.push(format!(
            "age: let SOPS_AGE_KEY_FILE name the file that holds the identity (AGE-SECRET-KEY-…) of {identity}, or add it to sops/age/keys.txt in your settings"
        ));
    }
    if let Some(Failure { identity, .. }) = ages().find(is_ssh) {
        hints.push(format!(
            "SSH: let SOPS_AGE_SSH_PRIVATE_KEY_FILE name the private half of {identity}"
        ));
    }
    if let Some(Failure { identity, .. }) = of(KeyKind::Pgp) {
        hints.push(format!(
            "OpenPGP: `gpg --list-secret-keys {identity}` must show the key; import it with `gpg --import`, or let GNUPGHOME name the folder that has it"
        ));
    }
    hints
}

/// The report of 3.9: what came of each group, each key and each place that was looked at.
fn unrecovered(attempts: Vec<Attempt>, needed: usize) -> Error {
    let mut report = Vec::new();
    let mut recovered = 0;
    for (index, attempt) in attempts.iter().enumerate() {
        let verdict = match attempt.part {
            Some(_) => "SUCCESS",
            None => "FAILED",
        };
        recovered += usize::from(attempt.part.is_some());
        report.push(String::new());
        report.push(format!("Group {index}: {verdict}"));
        if attempt.part.is_some() {
            continue;
        }
        for (at, failure) in attempt.failures.iter().enumerate() {
            if at > 0 {
                report.push(String::new());
            }
            report.push(format!("  {}: FAILED", failure.identity));
            for reason in &failure.reasons {
                for (at, line) in wrap(reason, 60).iter().enumerate() {
                    let bullet = if at == 0 { "- | " } else { "  | " };
                    report.push(format!("    {bullet}{line}"));
                }
            }
        }
        if attempt.failures.is_empty() {
            report.push("  the group holds no key".to_owned());
        }
    }
    let summary = if attempts.len() == 1 {
        "No master key of the file could be used. One of the keys named above is needed: make its \
         private half available in one of the places listed there, or ask somebody who holds it to \
         add a key of yours."
            .to_owned()
    } else {
        let lacking = match needed - recovered {
            1 => "one key of one more group is needed".to_owned(),
            more => format!("one key of each of {more} more groups is needed"),
        };
        format!(
            "The data key is shared among the groups of the file, and {needed} of them are needed; \
             {recovered} could be used: {lacking}."
        )
    };
    report.push(String::new());
    report.extend(wrap(&summary, 75));
    let mut error = Error::new(Kind::NoDataKey, FAILED).report(report);
    error.hints = advice(&attempts);
    error
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("it starts with one");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// Wraps a data key for groups of keys; gives the groups as a file has them and the threshold to write.
pub(crate) fn wrap_for(
    world: &World,
    settings: &Settings,
    key: &DataKey,
    groups: &[Vec<KeyFields>],
    threshold: u32,
    now: &Timestamp,
) -> Result<(Vec<KeyGroup>, u32)> {
    let failed = |reasons: Vec<String>| {
        Error::generic(format!(
            "Could not generate data key: [{}]",
            reasons.join(" ")
        ))
    };
    if !settings.local_keys && settings.key_services.is_empty() {
        return Err(failed(vec![
            "no key services provided, cannot update master keys".into(),
        ]));
    }
    if groups.is_empty() || groups.iter().any(Vec::is_empty) {
        return Err(failed(vec!["empty key group provided".into()]));
    }
    let threshold = match (groups.len(), threshold) {
        (1, given) => given,
        (count, 0) => u32::try_from(count).unwrap_or(u32::MAX),
        (_, given) => given,
    };
    let parts = if groups.len() == 1 {
        vec![key.to_part()]
    } else {
        shamir::split(key, groups.len(), threshold as usize)
            .map_err(|error| failed(vec![error.to_string()]))?
    };
    let mut wrapped = Vec::new();
    let mut reasons = Vec::new();
    for (group, part) in groups.iter().zip(&parts) {
        let mut entries = KeyGroup::new();
        for fields in group {
            let key = world.keys.serve(fields, settings, &world.terminal);
            match block_on(key.wrap_key(part)) {
                Ok(enc) => entries.push(KeyEntry {
                    key: fields.clone(),
                    created_at: (fields.kind() != KeyKind::Age).then(|| now.clone()),
                    enc,
                }),
                Err(error) => {
                    let tried = error.tried.iter().map(|line| format!("; {line}"));
                    reasons.push(format!(
                        "failed to encrypt new data key with master key {:?}: {error}{}",
                        key.identity(),
                        tried.collect::<String>()
                    ));
                }
            }
        }
        wrapped.push(entries);
    }
    if reasons.is_empty() {
        Ok((wrapped, threshold))
    } else {
        Err(failed(reasons))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_no_kind_twice() {
        assert_eq!(
            Order::parse(Some("age,pgp,age")).unwrap_err().kind,
            Kind::DecryptionOrder
        );
        assert_eq!(Order::parse(None).unwrap().0, ["age", "pgp"]);
        assert_eq!(Order::parse(Some("kms")).unwrap().0, ["kms"]);
    }

    #[test]
    fn long_reasons_are_wrapped() {
        assert_eq!(wrap("aa bb cc", 5), ["aa bb", "cc"]);
    }
}
