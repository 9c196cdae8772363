//! Wraps a data key with every master key of a file, and recovers it from them.
//!
//! With one key group, every master key wraps the whole data key. With several, the data key is split into Shamir shares,
//! one per group, and every master key of a group wraps the share of that group.
//!
//! # Contract
//!
//! - **Wrapping** asks all keys concurrently. If any key fails, the whole operation fails and lists every reason.
//! - **Unwrapping** tries the keys of a group in the decryption order and stops at the first that succeeds. It tries only as
//!   many groups as are still needed (D23), those concurrently.
//! - Local keys are tried one at a time, because each may prompt the user. Nothing else starts while a local key works, and
//!   it has no timeout.
//! - A remote key that does not answer does not hold up the others. After [`FAR_SILENCE`] the next remote key of the group
//!   is tried as well, and after [`NEAR_SILENCE`] the next local key. Each remote key times out after
//!   [`MasterKey::patience`]. The first success wins, and the pending calls are dropped.
//! - Which keys were tried, and what each answered, is recorded in a [`Report`].
//!
//! The waiting thread polls all futures itself. A local key may therefore block in `poll` (a prompt, gpg) without breaking
//! these rules; a remote key must not.

use std::task::Poll;
use std::time::Duration;

use futures::future::{Either, join_all, select};
use futures::stream::{FuturesUnordered, StreamExt as _};
use sealwright_crypto::data_key::{DataKey, KeyPart, WrongKeyLength};
use sealwright_crypto::key_kind::KeyKind;
use sealwright_crypto::master_key::{KeyError, MasterKey, Pending, Wrapped};
use sealwright_crypto::shamir::{self, ShamirError};

#[cfg(test)]
mod tests;

/// Creates a future that completes after a delay. The program provides it, because this crate has no clock.
pub type Timer<'a> = &'a (dyn Fn(Duration) -> Pending<'static, ()> + Send + Sync);

/// The key types that are tried first by default.
pub const DEFAULT_ORDER: [&str; 2] = ["age", "pgp"];

/// How long to wait for remote keys before trying the next remote key as well. Most answer sooner, and an unnecessary call
/// costs money and an entry in an audit log.
pub const FAR_SILENCE: Duration = Duration::from_secs(2);

/// How long to wait for remote keys before trying a local key as well, which may prompt the user.
pub const NEAR_SILENCE: Duration = Duration::from_secs(5);

/// A master key that a file is encrypted for.
pub struct Holder<'a> {
    /// The key.
    pub key: &'a dyn MasterKey,
    /// Its existing wrap of the data key, which is kept while the wrapped part stays the same.
    pub kept: Option<Wrapped>,
}

/// A master key and its wrap of the data key, or of a share of it.
pub struct Lock<'a> {
    /// The key.
    pub key: &'a dyn MasterKey,
    /// The `enc` of its entry.
    pub wrapped: &'a Wrapped,
}

/// A recovered data key, and the parts it was recovered from.
pub struct Unwrapped {
    /// The data key.
    pub key: DataKey,
    /// The part of each group; `None` for a group that was not needed.
    parts: Vec<Option<KeyPart>>,
    threshold: usize,
    /// Which keys were tried, and what each answered.
    pub report: Report,
}

static_assertions::assert_not_impl_any!(Unwrapped: Clone, std::fmt::Debug);

/// Returns how many groups are needed: all of them if `threshold` is 0, and 1 if there is only one.
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

/// Wraps a data key for all groups, with all keys concurrently.
pub async fn wrap(
    key: &DataKey,
    groups: &[Vec<Holder<'_>>],
    threshold: u32,
    timer: Timer<'_>,
) -> Result<Vec<Vec<Wrapped>>, WrapError> {
    let parts = split(key, groups, threshold)?;
    wrap_parts(&parts, groups, false, timer).await
}

/// Wraps a recovered data key for changed groups. Keys whose part is unchanged keep their wraps.
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
    // The shares can stay if their number and the threshold are unchanged, and the share of every new key is known.
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
            patiently(holder.key, wrapping, timer).await
        }))
    });
    let mut failures = Vec::new();
    let mut wrapped = Vec::new();
    for (number, (results, group)) in join_all(all).await.into_iter().zip(groups).enumerate() {
        let mut wraps = Vec::new();
        for (result, holder) in results.into_iter().zip(group) {
            match result {
                Ok(wrap) => wraps.push(wrap),
                Err(KeyError { reason, tried }) => failures.push(WrapFailure {
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

/// Recovers the data key. The key types that `order` names are tried first, in that order, then the others in file order. A
/// key that can be reached in several ways appears in its group once for each, in a row.
pub async fn unwrap(
    groups: &[Vec<Lock<'_>>],
    threshold: u32,
    order: &[String],
    timer: Timer<'_>,
) -> Result<Unwrapped, UnwrapError> {
    let threshold = match (groups.len(), threshold as usize) {
        (0 | 1, _) => 1,
        (groups, 0) => groups,
        (_, threshold) => threshold.max(2),
    };
    let mut report = Report {
        groups: groups.iter().map(|_| GroupReport::default()).collect(),
        needed: threshold,
        recovered: 0,
    };
    let mut parts: Vec<Option<KeyPart>> = groups.iter().map(|_| None).collect();
    let mut rest = groups.iter().enumerate();
    let mut asked = FuturesUnordered::new();
    while report.recovered < threshold {
        while asked.len() + report.recovered < threshold
            && let Some((number, group)) = rest.next()
        {
            asked.push(async move { (number, ask_group(group, order, timer).await) });
        }
        let Some((number, (keys, part))) = asked.next().await else {
            break;
        };
        report.groups[number] = GroupReport {
            opened: part.is_some(),
            keys,
        };
        report.recovered += usize::from(part.is_some());
        parts[number] = part;
    }
    drop(asked);
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

/// Tries the keys of a group until one unwraps its part. Also returns the answers so far, in the order of the keys.
async fn ask_group(
    group: &[Lock<'_>],
    order: &[String],
    timer: Timer<'_>,
) -> (Vec<KeyReport>, Option<KeyPart>) {
    let mut locks: Vec<&Lock<'_>> = group.iter().collect();
    locks.sort_by_key(|lock| {
        let section = lock.key.kind().section;
        let place = order.iter().position(|kind| kind == section);
        place.unwrap_or(order.len())
    });
    let mut reports: Vec<Option<KeyReport>> = locks.iter().map(|_| None).collect();
    let mut opened = None;
    let mut asked = FuturesUnordered::new();
    let mut near_asked = 0;
    let mut next = 0;
    while opened.is_none() {
        let following = locks.get(next);
        let answer = match following {
            Some(_) if asked.is_empty() => None,
            // Nothing else starts while a local key works.
            Some(lock) if near_asked == 0 => {
                let silence = match lock.key.is_far() {
                    true => FAR_SILENCE,
                    false => NEAR_SILENCE,
                };
                within(silence, asked.next(), timer).await
            }
            _ => Some(asked.next().await),
        };
        match answer {
            None => {
                let (at, lock) = (next, locks[next]);
                asked.push(async move { (at, try_lock(lock, timer).await) });
                near_asked += usize::from(!lock.key.is_far());
                next += 1;
            }
            Some(Some((at, (report, part)))) => {
                near_asked -= usize::from(!locks[at].key.is_far());
                reports[at] = Some(report);
                opened = part;
            }
            Some(None) => break,
        }
    }
    (reports.into_iter().flatten().collect(), opened)
}

async fn try_lock(lock: &Lock<'_>, timer: Timer<'_>) -> (KeyReport, Option<KeyPart>) {
    let unwrapping = lock.key.unwrap_key(lock.wrapped);
    let (outcome, tried, part) = match patiently(lock.key, unwrapping, timer).await {
        Ok(Some(part)) if part.expose().is_empty() => {
            let reason = "it opened to nothing".to_owned();
            (Outcome::Failed(reason), Vec::new(), None)
        }
        Ok(Some(part)) => (Outcome::Opened, Vec::new(), Some(part)),
        Ok(None) => {
            let KeyError { reason, tried } = lock.key.not_mine(lock.wrapped);
            (Outcome::NotMine(reason), tried, None)
        }
        Err(KeyError { reason, tried }) => (Outcome::Failed(reason), tried, None),
    };
    let report = KeyReport {
        kind: lock.key.kind(),
        identity: lock.key.identity(),
        outcome,
        tried,
    };
    (report, part)
}

/// Waits for a key, and gives up on a remote one after its timeout.
async fn patiently<T>(
    key: &dyn MasterKey,
    work: Pending<'_, Result<T, KeyError>>,
    timer: Timer<'_>,
) -> Result<T, KeyError> {
    if !key.is_far() {
        return work.await;
    }
    let seconds = key.patience().as_secs();
    let late = || Err(KeyError::new(format!("no answer within {seconds} s")));
    within(key.patience(), work, timer)
        .await
        .unwrap_or_else(late)
}

/// Returns the result of a future, or `None` on timeout. A future that is ready at once never starts the timer.
async fn within<T>(
    limit: Duration,
    mut work: impl Future<Output = T> + Unpin,
    timer: Timer<'_>,
) -> Option<T> {
    if let Poll::Ready(result) = futures::poll!(&mut work) {
        return Some(result);
    }
    match select(work, timer(limit)).await {
        Either::Left((result, _)) => Some(result),
        Either::Right(_) => None,
    }
}

/// Which keys were tried to recover a data key, and what each answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The groups in file order.
    pub groups: Vec<GroupReport>,
    /// How many groups are needed.
    pub needed: usize,
    /// How many groups gave their part.
    pub recovered: usize,
}

/// The result of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupReport {
    /// Whether one of its keys unwrapped the part.
    pub opened: bool,
    /// The keys that were tried, in order; empty if the group was no longer needed.
    pub keys: Vec<KeyReport>,
}

/// The result of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyReport {
    /// The kind of key.
    pub kind: &'static KeyKind,
    /// Which one.
    pub identity: String,
    /// Its answer.
    pub outcome: Outcome,
    /// Every source that was searched, and what it said.
    pub tried: Vec<String>,
}

/// The answer of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It opened.
    Opened,
    /// The private key is not available here. The text says so in the terms of the key type.
    NotMine(String),
    /// The key should have worked but failed, for this reason.
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
    pub kind: &'static KeyKind,
    /// Which one.
    pub identity: String,
    /// Why.
    pub reason: String,
    /// Every source that was searched.
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
    /// The recovered bytes are not a data key.
    #[error("the master keys do not hold a valid data key: {0}")]
    Length(#[source] WrongKeyLength),
}
