//! From a data key to the wraps of all master keys, and back.
//!
//! With one key group every master key wraps the whole data key. With several, the data key is split in Shamir shares,
//! one for each group, and every master key of a group wraps its share.
//!
//! Wrapping asks all keys at once and fails as a whole, with every reason. Unwrapping asks one key after the other, in
//! the decryption order, because a key may ask a person; it stops at the first key of a group that opens and at the first
//! groups that are enough. What was tried and what came of it is a [`Report`].

use std::time::Duration;

use futures::future::{Either, join_all, select};
use sealwright_crypto::data_key::{DataKey, KeyPart, WrongKeyLength};
use sealwright_crypto::master_key::{Kind, MasterKey, Pending, Wrapped};
use sealwright_crypto::shamir::{self, ShamirError};

#[cfg(test)]
mod tests;

/// Completes after a time: a library does not know the clock.
pub type Timer<'a> = &'a (dyn Fn(Duration) -> Pending<'static, ()> + Send + Sync);

/// The kinds of keys that are tried first when nobody says otherwise.
pub const DEFAULT_ORDER: [&str; 2] = ["age", "pgp"];

/// A master key that shall be able to open a file.
pub struct Holder<'a> {
    /// The key.
    pub key: &'a dyn MasterKey,
    /// What it made of the data key before, to be kept while that is what it still would hold.
    pub kept: Option<Wrapped>,
}

/// A master key with what it made of its part of the data key.
pub struct Lock<'a> {
    /// The key.
    pub key: &'a dyn MasterKey,
    /// The `enc` of its entry.
    pub wrapped: &'a Wrapped,
}

/// A data key that was recovered, and the parts by which.
pub struct Unwrapped {
    /// The data key.
    pub key: DataKey,
    /// What each group held; `None` where nobody had to be asked.
    parts: Vec<Option<KeyPart>>,
    threshold: usize,
    /// Who was asked, and what came of it.
    pub report: Report,
}

static_assertions::assert_not_impl_any!(Unwrapped: Clone, std::fmt::Debug);

/// How many groups it takes: all of them when nothing is said, one when there is one.
pub fn effective_threshold(groups: usize, threshold: u32) -> Result<usize, WrapError> {
    match (groups, threshold as usize) {
        (0, _) => Err(WrapError::NoGroups),
        (1, _) => Ok(1),
        (groups, 0) => Ok(groups),
        (groups, 1) => Err(WrapError::Share(ShamirError::ThresholdTooSmall {
            threshold: groups.min(1),
        })),
        (groups, threshold) if threshold > groups => {
            Err(WrapError::Share(ShamirError::ThresholdTooLarge {
                threshold,
                parts: groups,
            }))
        }
        (_, threshold) => Ok(threshold),
    }
}

/// Wraps a data key for all groups, all keys at once.
pub async fn wrap(
    key: &DataKey,
    groups: &[Vec<Holder<'_>>],
    threshold: u32,
    timer: Timer<'_>,
) -> Result<Vec<Vec<Wrapped>>, WrapError> {
    let parts = split(key, groups, threshold)?;
    wrap_parts(&parts, groups, false, timer).await
}

/// Wraps a recovered data key for changed groups. Keys whose part stays the same keep their wraps.
pub async fn rewrap(
    unwrapped: &Unwrapped,
    groups: &[Vec<Holder<'_>>],
    threshold: u32,
    timer: Timer<'_>,
) -> Result<Vec<Vec<Wrapped>>, WrapError> {
    let needed = effective_threshold(groups.len(), threshold)?;
    let was_shared = unwrapped.parts.len() > 1;
    if groups.len() == 1 && !was_shared {
        let parts = [unwrapped.key.to_part()];
        return wrap_parts(&parts, groups, true, timer).await;
    }
    // Shares can stay when as many are made and as many needed, and when the share of every new key is at hand.
    let stays = was_shared
        && groups.len() == unwrapped.parts.len()
        && needed == unwrapped.threshold
        && groups.iter().zip(&unwrapped.parts).all(|(group, part)| {
            part.is_some() || group.iter().all(|holder| holder.kept.is_some())
        });
    if stays {
        let parts: Vec<KeyPart> = unwrapped
            .parts
            .iter()
            .map(|part| KeyPart::copy_of(part.as_ref().map_or(&[], KeyPart::expose)))
            .collect();
        return wrap_parts(&parts, groups, true, timer).await;
    }
    let parts = split(&unwrapped.key, groups, threshold)?;
    wrap_parts(&parts, groups, false, timer).await
}

fn split(
    key: &DataKey,
    groups: &[Vec<Holder<'_>>],
    threshold: u32,
) -> Result<Vec<KeyPart>, WrapError> {
    match effective_threshold(groups.len(), threshold)? {
        1 => Ok(vec![key.to_part()]),
        threshold => shamir::split(key, groups.len(), threshold).map_err(WrapError::Share),
    }
}

async fn wrap_parts(
    parts: &[KeyPart],
    groups: &[Vec<Holder<'_>>],
    keep: bool,
    timer: Timer<'_>,
) -> Result<Vec<Vec<Wrapped>>, WrapError> {
    if let Some(group) = groups.iter().position(Vec::is_empty) {
        return Err(WrapError::EmptyGroup { group });
    }
    let all = groups.iter().zip(parts).map(|(group, part)| {
        join_all(group.iter().map(|holder| async move {
            if let Some(kept) = holder.kept.as_ref().filter(|_| keep) {
                return Ok(kept.clone());
            }
            let wrapping = holder.key.wrap_key(part);
            match within(holder.key.patience(), wrapping, timer).await {
                Some(Ok(wrapped)) => Ok(wrapped),
                Some(Err(error)) => Err((error.reason, error.tried)),
                None => Err((too_late(holder.key), Vec::new())),
            }
        }))
    });
    let mut failures = Vec::new();
    let mut wrapped = Vec::new();
    for (number, (results, group)) in join_all(all).await.into_iter().zip(groups).enumerate() {
        let mut wraps = Vec::new();
        for (result, holder) in results.into_iter().zip(group) {
            match result {
                Ok(wrap) => wraps.push(wrap),
                Err((reason, tried)) => failures.push(WrapFailure {
                    group: number,
                    kind: holder.key.kind(),
                    identity: holder.key.identity(),
                    reason,
                    tried,
                }),
            }
        }
        wrapped.push(wraps);
    }
    if failures.is_empty() {
        Ok(wrapped)
    } else {
        Err(WrapError::Keys(failures))
    }
}

/// Recovers the data key. `order` names kinds of keys; those come first, in that order, the others as they stand.
pub async fn unwrap(
    groups: &[Vec<Lock<'_>>],
    threshold: u32,
    order: &[String],
    timer: Timer<'_>,
) -> Result<Unwrapped, UnwrapError> {
    let threshold = match (groups.len(), threshold as usize) {
        (0 | 1, _) => 1,
        (groups, 0) => groups,
        (_, threshold) => threshold,
    };
    let mut report = Report {
        groups: groups.iter().map(|_| GroupReport::default()).collect(),
        needed: threshold,
        recovered: 0,
    };
    let mut parts: Vec<Option<KeyPart>> = groups.iter().map(|_| None).collect();
    for (number, group) in groups.iter().enumerate() {
        if report.recovered >= threshold {
            break;
        }
        let rank = |lock: &&Lock<'_>| {
            let section = lock.key.kind().section();
            let place = order.iter().position(|kind| kind == section);
            place.unwrap_or(order.len())
        };
        let mut locks: Vec<&Lock<'_>> = group.iter().collect();
        locks.sort_by_key(rank);
        for lock in locks {
            let (outcome, tried, part) = try_lock(lock, timer).await;
            report.groups[number].keys.push(KeyReport {
                kind: lock.key.kind(),
                identity: lock.key.identity(),
                outcome,
                tried,
            });
            if part.is_some() {
                parts[number] = part;
                report.groups[number].opened = true;
                report.recovered += 1;
                break;
            }
        }
    }
    if report.recovered < threshold {
        return Err(UnwrapError::NotEnough(report));
    }
    let mut held = parts.iter().flatten().map(|p| KeyPart::copy_of(p.expose()));
    let whole = if groups.len() > 1 {
        let shares: Vec<KeyPart> = held.collect();
        shamir::combine(&shares).map_err(UnwrapError::Share)?
    } else {
        held.next().expect("one part was recovered")
    };
    Ok(Unwrapped {
        key: DataKey::from_part(&whole).map_err(UnwrapError::Length)?,
        parts,
        threshold,
        report,
    })
}

async fn try_lock(lock: &Lock<'_>, timer: Timer<'_>) -> (Outcome, Vec<String>, Option<KeyPart>) {
    let unwrapping = lock.key.unwrap_key(lock.wrapped);
    match within(lock.key.patience(), unwrapping, timer).await {
        Some(Ok(Some(part))) if part.expose().is_empty() => (
            Outcome::Failed("it opened to nothing".into()),
            Vec::new(),
            None,
        ),
        Some(Ok(Some(part))) => (Outcome::Opened, Vec::new(), Some(part)),
        Some(Ok(None)) => (Outcome::NotMine, Vec::new(), None),
        Some(Err(error)) => (Outcome::Failed(error.reason), error.tried, None),
        None => (Outcome::Failed(too_late(lock.key)), Vec::new(), None),
    }
}

/// The result of a future, or `None` when it takes too long.
async fn within<T>(limit: Duration, work: Pending<'_, T>, timer: Timer<'_>) -> Option<T> {
    match select(work, timer(limit)).await {
        Either::Left((result, _)) => Some(result),
        Either::Right(_) => None,
    }
}

fn too_late(key: &dyn MasterKey) -> String {
    format!("no answer within {} s", key.patience().as_secs())
}

/// Who was asked for a data key, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The groups in file order.
    pub groups: Vec<GroupReport>,
    /// How many groups it takes.
    pub needed: usize,
    /// How many opened.
    pub recovered: usize,
}

/// What came of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupReport {
    /// Whether one of its keys opened.
    pub opened: bool,
    /// The keys that were asked, in the order in which they were; none when the group was not needed any more.
    pub keys: Vec<KeyReport>,
}

/// What came of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyReport {
    /// The kind of key.
    pub kind: Kind,
    /// Which one.
    pub identity: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Every source that was looked at, and what it said.
    pub tried: Vec<String>,
}

/// The answer of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It opened.
    Opened,
    /// It needs a private key that nobody here has.
    NotMine,
    /// It should have opened and failed, for this reason.
    Failed(String),
}

/// A data key cannot be wrapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// There is no key group.
    #[error("no key groups were given")]
    NoGroups,
    /// A group has no keys.
    #[error("key group {group} is empty")]
    EmptyGroup {
        /// Its number, from 0.
        group: usize,
    },
    /// The threshold does not fit the groups.
    #[error("cannot share the data key among the key groups: {0}")]
    Share(#[source] ShamirError),
    /// Keys failed; all of them are listed.
    #[error("cannot wrap the data key with {}", names(.0))]
    Keys(Vec<WrapFailure>),
}

/// A master key could not wrap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrapFailure {
    /// The number of its group, from 0.
    pub group: usize,
    /// The kind of key.
    pub kind: Kind,
    /// Which one.
    pub identity: String,
    /// Why.
    pub reason: String,
    /// Every source that was looked at.
    pub tried: Vec<String>,
}

fn names(failures: &[WrapFailure]) -> String {
    let each = failures.iter().map(|failure| {
        let WrapFailure {
            identity, reason, ..
        } = failure;
        format!("{identity} ({reason})")
    });
    each.collect::<Vec<_>>().join(", ")
}

/// A data key cannot be recovered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnwrapError {
    /// Not enough groups opened.
    #[error("cannot recover the data key: {} of {} needed key groups opened", .0.recovered, .0.needed)]
    NotEnough(Report),
    /// The shares do not fit together.
    #[error("cannot combine the shares of the key groups: {0}")]
    Share(#[source] ShamirError),
    /// What came out is no data key.
    #[error("what the master keys hold is no data key: {0}")]
    Length(#[source] WrongKeyLength),
}
