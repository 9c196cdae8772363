//! How late ExternalSecrets are refreshed: the time at which a watch shows the next refresh of each, against the time at which it
//! was due by its status.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::{StreamExt, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, WatchEvent, WatchParams};
use serde_json::json;

/// How long a refresh of all objects may take beside their interval.
const PATIENCE: Duration = Duration::from_secs(600);

/// How late the objects were, in milliseconds and in order. One that was early has a number below zero.
pub(super) struct Lateness(Vec<f64>);

impl Lateness {
    /// Lets all objects be refreshed at this interval, and measures one refresh of each.
    pub(super) async fn measure(
        api: &Api<DynamicObject>,
        objects: usize,
        every: Duration,
    ) -> Result<Self, String> {
        // Statuses have whole seconds: what was refreshed before is told apart from what is refreshed for the new interval.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let since = clock().as_secs();
        refresh_every(api, objects, every).await?;
        let (mut waiting, mut version) = refreshed_since(api, objects, since).await?;
        let (start, mut late) = (Instant::now(), Vec::with_capacity(waiting.len()));
        while !waiting.is_empty() {
            let waited = start.elapsed();
            if waited > every + PATIENCE {
                let left = waiting.len();
                return Err(format!("{left} objects were not refreshed in {waited:?}"));
            }
            let watch = api.watch(&WatchParams::default(), &version).await;
            let mut events = pin!(watch.map_err(|error| error.to_string())?);
            while let Some(event) = events.next().await {
                let arrived = clock();
                let object = match event.map_err(|error| error.to_string())? {
                    WatchEvent::Added(object) | WatchEvent::Modified(object) => object,
                    WatchEvent::Error(status) => {
                        return Err(format!("the watch ends: {}", status.message));
                    }
                    WatchEvent::Bookmark(bookmark) => {
                        version = bookmark.metadata.resource_version;
                        continue;
                    }
                    WatchEvent::Deleted(_) => continue,
                };
                let now = refreshed(&object);
                version = object.metadata.resource_version.unwrap_or_default();
                let name = object.metadata.name.unwrap_or_default();
                let Some(before) = waiting.get(&name).copied() else {
                    continue;
                };
                if now.is_none_or(|now| now <= before) {
                    continue;
                }
                waiting.remove(&name);
                let due = Duration::from_secs(before) + every;
                late.push((arrived.as_secs_f64() - due.as_secs_f64()) * 1000.0);
                if waiting.is_empty() {
                    break;
                }
            }
        }
        late.sort_by(f64::total_cmp);
        Ok(Self(late))
    }

    /// All of them.
    pub(super) fn all(&self) -> &[f64] {
        &self.0
    }

    /// By how much so many of a hundred were not exceeded.
    pub(super) fn of_hundred(&self, part: usize) -> f64 {
        self.0[(self.0.len() * part / 100).min(self.0.len() - 1)]
    }
}

/// The time by the clock, since the epoch of Unix.
fn clock() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default()
}

/// The second in which the last refresh of an object began, by its status.
fn refreshed(object: &DynamicObject) -> Option<u64> {
    let time = object.data["status"]["refreshTime"].clone();
    let time: Time = serde_json::from_value(time).ok()?;
    u64::try_from(time.0.as_second()).ok()
}

async fn refresh_every(
    api: &Api<DynamicObject>,
    objects: usize,
    every: Duration,
) -> Result<(), String> {
    let spec = json!({"spec": {"refreshInterval": format!("{}s", every.as_secs())}});
    let spec = Patch::Merge(spec);
    let patch = |number: usize| {
        let spec = &spec;
        async move {
            let name = format!("es-{number}");
            let patched = api.patch(&name, &PatchParams::default(), spec).await;
            patched.map(drop).map_err(|error| error.to_string())
        }
    };
    let mut all = stream::iter((0..objects).map(patch)).buffer_unordered(20);
    while let Some(patched) = all.next().await {
        patched?;
    }
    Ok(())
}

/// Waits until all objects were refreshed since then; returns when each was, and the version of that.
async fn refreshed_since(
    api: &Api<DynamicObject>,
    objects: usize,
    since: u64,
) -> Result<(BTreeMap<String, u64>, String), String> {
    let start = Instant::now();
    loop {
        let all = api.list(&ListParams::default()).await;
        let all = all.map_err(|error| error.to_string())?;
        let version = all.metadata.resource_version.unwrap_or_default();
        let times = all.items.into_iter().filter_map(|object| {
            let time = refreshed(&object).filter(|time| *time >= since)?;
            Some((object.metadata.name?, time))
        });
        let times: BTreeMap<String, u64> = times.collect();
        if times.len() >= objects {
            return Ok((times, version));
        }
        if start.elapsed() > PATIENCE {
            let there = times.len();
            return Err(format!("only {there} of {objects} objects were refreshed"));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
