//! Finalizers: what keeps a deleted object until what it stands for has ended.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde_json::json;

use crate::action;
use crate::api::{Api, ApiError, jitter};
use crate::frame::kind::{Kind, Trouble};
use crate::frame::object::Key;

/// Returns true if the object has this finalizer.
pub(super) fn is_set(metadata: &ObjectMeta, finalizer: &str) -> bool {
    let mut finalizers = metadata.finalizers.iter().flatten();
    finalizers.any(|known| known == finalizer)
}

/// Adds a finalizer or takes it away, and touches nothing else; the object must still be of the version that was seen.
pub(super) async fn set<K: Resource<DynamicType = ()>>(
    api: &Api,
    key: &Key,
    metadata: &ObjectMeta,
    finalizer: &str,
    wanted: bool,
) -> Result<(), ApiError> {
    let mut finalizers = metadata.finalizers.clone().unwrap_or_default();
    finalizers.retain(|known| known != finalizer);
    if wanted {
        finalizers.push(finalizer.to_owned());
    }
    let patch = json!({
        "finalizers": finalizers,
        "resourceVersion": metadata.resource_version,
    });
    action::patch_metadata::<K>(api, key, patch).await.map(drop)
}

/// When it is tried again to end something outside of the cluster: the longer that has failed, the more seldom.
pub(super) fn again(metadata: &ObjectMeta, now: Timestamp) -> Duration {
    const SHORTEST: Duration = Duration::from_secs(15);
    const LONGEST: Duration = Duration::from_secs(900);
    let deleted = metadata.deletion_timestamp.as_ref();
    let since = deleted.map(|deleted| now.duration_since(deleted.0));
    let since = since.and_then(|since| Duration::try_from(since).ok());
    let wait = (since.unwrap_or_default() / 8).clamp(SHORTEST, LONGEST);
    wait + jitter(wait)
}

/// Takes a finalizer away from an object that has ended. Returns when to try again if the API server refuses.
pub(super) async fn release<K: Kind>(
    kind: &K,
    key: &Key,
    metadata: &ObjectMeta,
    finalizer: &str,
) -> Option<Duration> {
    match set::<K::Object>(kind.frame().api(), key, metadata, finalizer, false).await {
        Err(error) if !error.is_not_found() => {
            kind.trouble(key, Trouble::Fetch, &error);
            Some(Duration::from_secs(5))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    #[test]
    fn what_cannot_be_ended_for_long_is_tried_more_seldom() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let seconds = |ago: i64| {
            let deleted = Timestamp::from_second(1_800_000_000 - ago).unwrap();
            let metadata = ObjectMeta {
                deletion_timestamp: Some(Time(deleted)),
                ..ObjectMeta::default()
            };
            again(&metadata, now).as_secs()
        };
        // The clock of the API server may be ahead.
        for soon in [-60, 0, 60] {
            assert!((15..=18).contains(&seconds(soon)), "{soon}");
        }
        assert!((450..=562).contains(&seconds(3600)));
        assert!((900..=1125).contains(&seconds(1_000_000)));
    }
}
