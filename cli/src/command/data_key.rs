//! The data key of a file: recovered through its master keys, wrapped by them, and the report when none of them works.

use std::sync::Arc;
use std::time::Duration;

use sealwright_crypto::data_key::DataKey;
use sealwright_crypto::key_kind::KeyFields;
use sealwright_crypto::master_key::{MasterKey, Wrapped};
use sealwright_documents::keyring::{
    self, GroupReport, Holder, KeyReport, Lock, Outcome, Report, UnwrapError, Unwrapped, WrapError,
};
use sealwright_documents::metadata::{KeyEntry, KeyGroup, Metadata, Timestamp};

use super::Settings;
use crate::error::{Error, Fault, Kind, Result};
use crate::terminal::Level;
use crate::visible::without_secrets;
use crate::wait::block_on;
use crate::world::World;

/// Kinds of keys in the order in which they are tried; others follow in file order.
#[derive(Debug)]
pub(crate) struct Order(Vec<String>);

impl Order {
    /// Reads a list such as `age,pgp`; names are not checked, as upstream does not either.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self> {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return Ok(Self(keyring::DEFAULT_ORDER.map(str::to_owned).to_vec()));
        };
        let names: Vec<String> = text.split(',').map(str::to_owned).collect();
        for (at, name) in names.iter().enumerate() {
            if names[..at].contains(name) {
                return Err(Error::of(Fault::RepeatedKind(name.clone())));
            }
        }
        Ok(Self(names))
    }
}

/// Recovers the data key of a file. Groups are asked until there are enough of them (D23).
pub(crate) fn recover(
    world: &World,
    settings: &Settings,
    metadata: &Metadata,
) -> Result<Unwrapped> {
    let order = Order::parse(settings.decryption_order.as_deref())?;
    let mut groups = Vec::new();
    for group in &metadata.groups {
        let mut ways: Vec<(Arc<dyn MasterKey>, &Wrapped)> = Vec::new();
        for entry in group {
            let keys = world.keys.ways(&entry.key, settings, &world.terminal);
            ways.extend(keys.into_iter().map(|key| (key, &entry.enc)));
        }
        groups.push(ways);
    }
    let locks: Vec<Vec<Lock<'_>>> = groups
        .iter()
        .map(|ways| {
            let locks = ways.iter().map(|(key, wrapped)| Lock {
                key: &**key,
                wrapped,
            });
            locks.collect()
        })
        .collect();
    let timer = |time: Duration| world.network.sleep(time);
    let unwrapping = keyring::unwrap(&locks, metadata.shamir_threshold, &order.0, &timer);
    let unwrapped = block_on(unwrapping).map_err(|error| match error {
        UnwrapError::NotEnough(report) => unrecovered(&report),
        error => Error::new(
            Kind::NoDataKey,
            "the recovered key parts do not make a data key",
        )
        .because(error),
    })?;
    let log = |level, text: &str| world.terminal.log(level, "SOPS", text);
    let keys = unwrapped.report.groups.iter().flat_map(|group| &group.keys);
    for key in keys.filter(|key| key.outcome == Outcome::Opened) {
        log(
            Level::Debug,
            &format!("the data key came from {}", key.identity),
        );
    }
    log(Level::Info, "Data key recovered successfully");
    Ok(unwrapped)
}

/// What can be done about keys that did not open, once for each kind; an SSH key is told apart from other age keys.
fn advice(report: &Report) -> Vec<String> {
    let groups = report.groups.iter().filter(|group| !group.opened);
    let mut seen = Vec::new();
    let mut hints = Vec::new();
    for KeyReport { kind, identity, .. } in groups.flat_map(|group| &group.keys) {
        let hint = (kind.advice)(identity);
        let subject = hint.split(':').next().map(str::to_owned);
        if crate::keys::can_use(kind) && !seen.contains(&subject) {
            seen.push(subject);
            hints.push(hint);
        }
    }
    hints
}

/// The report of 3.9: what came of each group, each key and each place that was looked at. Groups that no one had to be
/// asked for are left out.
fn unrecovered(report: &Report) -> Error {
    let mut lines = Vec::new();
    for (index, group) in report.groups.iter().enumerate() {
        let verdict = match group.opened {
            true => "SUCCESS",
            false => "FAILED",
        };
        lines.push(String::new());
        lines.push(format!("Group {index}: {verdict}"));
        if !group.opened {
            lines.extend(lines_of_keys(group));
        }
    }
    let Report {
        groups,
        needed,
        recovered,
    } = report;
    let summary = if groups.len() == 1 {
        "No master key of the file could be used. One of the keys named above is needed: make its \
         private half available in one of the places listed there, or ask someone who holds it to \
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
    lines.push(String::new());
    lines.extend(wrap(&summary, 75));
    let mut error = Error::of(Fault::Unwrap).report(lines);
    error.hints = advice(report);
    error
}

/// The keys of a group with their reasons. A key that was reached in several ways is one, with a reason for each.
fn lines_of_keys(group: &GroupReport) -> Vec<String> {
    if group.keys.is_empty() {
        return vec!["  the group holds no key".to_owned()];
    }
    let same = |one: &KeyReport, other: &KeyReport| {
        one.kind == other.kind && one.identity == other.identity
    };
    let mut lines = Vec::new();
    for ways in group.keys.chunk_by(same) {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(format!("  {}: FAILED", ways[0].identity));
        for way in ways {
            let (Outcome::Failed(reason) | Outcome::NotMine(reason)) = &way.outcome else {
                continue;
            };
            for reason in std::iter::once(reason).chain(&way.tried) {
                // A private key in what a command or a server says goes on in the next lines.
                let reason = without_secrets(reason);
                for (at, line) in wrap(&reason, 60).iter().enumerate() {
                    let bullet = if at == 0 { "- | " } else { "  | " };
                    lines.push(format!("    {bullet}{line}"));
                }
            }
        }
    }
    lines
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
    Wrapping::new(world, settings, groups, threshold)?.finish(world, now, |holders, timer| {
        block_on(keyring::wrap(key, holders, threshold, timer))
    })
}

/// Wraps a recovered data key for other groups. Keys that stay keep the time at which they came, and what they wrapped
/// where that is what they still would hold.
pub(crate) fn rewrap_for(
    world: &World,
    settings: &Settings,
    key: &Unwrapped,
    before: &[KeyGroup],
    groups: &[Vec<KeyFields>],
    threshold: u32,
    now: &Timestamp,
) -> Result<(Vec<KeyGroup>, u32)> {
    let mut wrapping = Wrapping::new(world, settings, groups, threshold)?;
    for (number, group) in wrapping.keys.iter_mut().enumerate() {
        let Some(old) = before.get(number) else {
            continue;
        };
        for key in group {
            let known = old.iter().find(|entry| entry.key == key.fields);
            key.kept = known.map(|entry| entry.enc.clone());
        }
    }
    let (mut wrapped, threshold) = wrapping.finish(world, now, |holders, timer| {
        block_on(keyring::rewrap(key, holders, threshold, timer))
    })?;
    keep_times(&mut wrapped, before);
    Ok((wrapped, threshold))
}

/// Gives keys that were in a file before the time at which they came.
pub(crate) fn keep_times(groups: &mut [KeyGroup], before: &[KeyGroup]) {
    for entry in groups.iter_mut().flatten() {
        let known = before.iter().flatten().find(|old| old.key == entry.key);
        if let Some(old) = known {
            entry.created_at = old.created_at.clone();
        }
    }
}

/// Groups of keys that are about to wrap.
struct Wrapping {
    keys: Vec<Vec<KeyToWrap>>,
    threshold: u32,
}

struct KeyToWrap {
    fields: KeyFields,
    key: Arc<dyn MasterKey>,
    kept: Option<Wrapped>,
}

impl Wrapping {
    fn new(
        world: &World,
        settings: &Settings,
        groups: &[Vec<KeyFields>],
        threshold: u32,
    ) -> Result<Self> {
        if !settings.local_keys && settings.key_services.is_empty() {
            return Err(not_wrapped(&[
                "no key services provided, cannot update master keys".into(),
            ]));
        }
        let key = |fields: &KeyFields| KeyToWrap {
            fields: fields.clone(),
            key: world.keys.serve(fields, settings, &world.terminal),
            kept: None,
        };
        let groups = groups.iter().map(|group| group.iter().map(key).collect());
        let keys: Vec<Vec<KeyToWrap>> = groups.collect();
        Ok(Self {
            threshold: match (keys.len(), threshold) {
                (1, given) => given,
                (count, 0) => u32::try_from(count).unwrap_or(u32::MAX),
                (_, given) => given,
            },
            keys,
        })
    }

    fn finish(
        self,
        world: &World,
        now: &Timestamp,
        work: impl FnOnce(
            &[Vec<Holder<'_>>],
            keyring::Timer<'_>,
        ) -> std::result::Result<Vec<Vec<Wrapped>>, WrapError>,
    ) -> Result<(Vec<KeyGroup>, u32)> {
        let holders: Vec<Vec<Holder<'_>>> = self
            .keys
            .iter()
            .map(|group| {
                let holders = group.iter().map(|key| Holder {
                    key: &*key.key,
                    kept: key.kept.clone(),
                });
                holders.collect()
            })
            .collect();
        let timer = |time: Duration| world.network.sleep(time);
        let wrapped = work(&holders, &timer).map_err(|error| match error {
            WrapError::NoGroups | WrapError::EmptyGroup { .. } => {
                not_wrapped(&["empty key group provided".into()])
            }
            WrapError::Share(error) => not_wrapped(&[error.to_string()]),
            WrapError::Keys(failures) => {
                let reasons = failures.iter().map(|failure| {
                    let tried = failure.tried.iter().map(|line| format!("; {line}"));
                    format!(
                        "failed to encrypt new data key with master key {:?}: {}{}",
                        failure.identity,
                        failure.reason,
                        tried.collect::<String>()
                    )
                });
                not_wrapped(&reasons.collect::<Vec<_>>())
            }
            error => not_wrapped(&[error.to_string()]),
        })?;
        let groups = self.keys.iter().zip(wrapped).map(|(keys, wraps)| {
            let entries = keys.iter().zip(wraps).map(|(key, enc)| KeyEntry {
                key: key.fields.clone(),
                created_at: key.fields.kind().dated.then(|| now.clone()),
                enc,
            });
            entries.collect()
        });
        Ok((groups.collect(), self.threshold))
    }
}

fn not_wrapped(reasons: &[String]) -> Error {
    Error::of(Fault::Wrap).because(reasons.join(" "))
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
