//! From a data key to the wraps of all master keys, and back.
//!
//! With one key group every master key wraps the whole data key. With several, the data key is split in Shamir shares,
//! one for each group, and every master key of a group wraps its share.
//!
//! # Contract
//!
//! - **Wrapping** asks all keys at once and fails as a whole, with every reason.
//! - **Unwrapping** asks the keys of a group in the decryption order and takes the first that opens. Only as many groups
//!   are asked as are still needed (D23), those at once.
//! - Keys of this machine are asked one after the other, because each may ask a person; nothing else is begun while one of
//!   them works, and no clock runs.
//! - A far key that is silent does not hold up the others: after [`FAR_SILENCE`] the next far key of the group is asked as
//!   well, after [`NEAR_SILENCE`] the next key of this machine. Each far key has the time of
//!   [`MasterKey::patience`]; the first that opens wins, and the calls of the others are dropped.
//! - What was asked and what came of it is a [`Report`].
//!
//! Futures are polled by the thread that waits, so keys that work in their `poll` (a prompt, gpg) keep to these rules; far
//! keys must not block there.

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

/// Completes after a time: a library does not know the clock.
pub type Timer<'a> = &'a (dyn Fn(Duration) -> Pending<'static, ()> + Send + Sync);

/// The kinds of keys that are tried first by default.
pub const DEFAULT_ORDER: [&str; 2] = ["age", "pgp"];

/// How long far keys may be silent before the next far key is asked as well. Most answer sooner, and a call that is not
/// needed costs money and a line in an audit log.
pub const FAR_SILENCE: Duration = Duration::from_secs(2);

/// How long far keys may be silent before a key of this machine is asked as well, which may bother a person.
pub const NEAR_SILENCE: Duration = Duration::from_secs(5);

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
    /// What each group held; `None` where no one had to be asked.
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

/// Recovers the data key. `order` names kinds of keys; those come first, in that order, the others as they stand. A key
/// that can be reached in several ways stands in its group several times, one after the other.
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

/// Asks the keys of a group until one opens; gives what came of those that answered, in the order in which they stand.
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
            // While a key of this machine works nothing else is begun.
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

/// Waits for a key as long as it may take.
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

/// The result of a future, or `None` when it takes too long. The clock starts only for what is not ready at once.
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
    pub kind: &'static KeyKind,
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
    /// It needs a private key that is not here; the text says so in the words of its kind.
    NotMine(String),
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
    pub kind: &'static KeyKind,
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
