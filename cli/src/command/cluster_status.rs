//! `status --cluster`: every object that keeps a Secret, its state, its age, and when it is looked at next.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sealwright_resources::external_secret::ExternalSecret;
use sealwright_resources::external_secret::refresh::{self, Due};
use sealwright_resources::external_secret::status::Condition as ExternalCondition;
use sealwright_resources::push_secret::{self, PushSecret};
use sealwright_resources::sealed_secret::SealedSecret;
use serde_json::{Value, json};

use super::seal::in_cluster;
use crate::cluster::{ClusterOptions, Lister};
use crate::error::{Error, Kind, Result};
use crate::world::World;

/// Tells how the objects of a cluster are.
pub(crate) struct ClusterStatus {
    pub(crate) cluster: ClusterOptions,
    /// Only the objects of this namespace.
    pub(crate) namespace: Option<String>,
    /// Fail when an object is not ready.
    pub(crate) check: bool,
    pub(crate) json: bool,
}

/// One object.
struct Row {
    kind: &'static str,
    namespace: String,
    name: String,
    /// `None` while no controller has said anything.
    ready: Option<bool>,
    reason: String,
    /// When it was last brought up to date.
    synced: Option<Timestamp>,
    next: Option<Timestamp>,
}

impl ClusterStatus {
    /// Prints a line, or a JSON object, for each object.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        let rows = in_cluster(async {
            let lister = Lister::connect(&self.cluster).await?;
            let path = |group: &str, plural: &str| match &self.namespace {
                Some(namespace) => format!("/apis/{group}/namespaces/{namespace}/{plural}"),
                None => format!("/apis/{group}/{plural}"),
            };
            let external = path("external-secrets.io/v1", "externalsecrets");
            let pushes = path("external-secrets.io/v1alpha1", "pushsecrets");
            let sealed = path("bitnami.com/v1alpha1", "sealedsecrets");
            let now = Timestamp::now();
            let external: Option<Vec<ExternalSecret>> = lister.list(&external).await?;
            let pushes: Option<Vec<PushSecret>> = lister.list(&pushes).await?;
            let sealed: Option<Vec<SealedSecret>> = lister.list(&sealed).await?;
            let is_known = external.is_some() || pushes.is_some() || sealed.is_some();
            let external = external.unwrap_or_default();
            let mut rows: Vec<Row> = external.iter().map(|one| of_external(one, now)).collect();
            rows.extend(pushes.unwrap_or_default().iter().map(of_push));
            rows.extend(sealed.unwrap_or_default().iter().map(of_sealed));
            Ok(is_known.then_some(rows))
        })?;
        let mut rows = rows.ok_or_else(|| {
            Error::generic("the cluster knows neither ExternalSecrets nor SealedSecrets")
        })?;
        rows.sort_by(|a, b| (&a.namespace, a.kind, &a.name).cmp(&(&b.namespace, b.kind, &b.name)));
        let bad = rows.iter().filter(|row| row.ready != Some(true)).count();
        if self.json {
            let objects: Vec<Value> = rows.iter().map(Row::json).collect();
            let value = json!({ "objects": objects, "not_ready": bad });
            world.terminal.say_json(&value)?;
        } else {
            let now = Timestamp::now();
            for row in &rows {
                world.terminal.say(&row.line(now))?;
            }
            let ready = rows.len() - bad;
            world
                .terminal
                .remark(&format!("{ready} ready, {bad} not ready"));
        }
        match self.check && bad > 0 {
            true => Err(Error::new(Kind::Outdated, "")),
            false => Ok(()),
        }
    }
}

impl Row {
    fn line(&self, now: Timestamp) -> String {
        let state = match self.ready {
            Some(true) => "ready",
            Some(false) => "not ready",
            None => "unknown",
        };
        let reason = match self.reason.as_str() {
            "" => String::new(),
            reason => format!(" ({reason})"),
        };
        let synced = match self.synced {
            Some(time) => format!(", synced {} ago", span(now.duration_since(time))),
            None => String::new(),
        };
        let next = match self.next {
            Some(time) if time > now => format!(", next in {}", span(time.duration_since(now))),
            Some(_) => ", due now".to_owned(),
            None => String::new(),
        };
        format!(
            "{} {}/{}: {state}{reason}{synced}{next}",
            self.kind, self.namespace, self.name
        )
    }

    fn json(&self) -> Value {
        json!({
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "ready": self.ready,
            "reason": self.reason,
            "synced": self.synced.map(|time| time.to_string()),
            "next": self.next.map(|time| time.to_string()),
        })
    }
}

/// A time as people say it: the largest unit alone.
fn span(time: SignedDuration) -> String {
    let seconds = time.as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn ready_of(conditions: &[ExternalCondition]) -> (Option<bool>, String) {
    let ready = conditions
        .iter()
        .find(|condition| condition.kind == "Ready");
    match ready {
        Some(ready) => (
            Some(ready.status == "True"),
            ready.reason.clone().unwrap_or_default(),
        ),
        None => (None, String::new()),
    }
}

fn of_external(object: &ExternalSecret, now: Timestamp) -> Row {
    let conditions = object.status.as_ref().map(|status| &status.conditions[..]);
    let (ready, reason) = ready_of(conditions.unwrap_or_default());
    Row {
        kind: "ExternalSecret",
        namespace: object.namespace().to_owned(),
        name: object.name().to_owned(),
        ready,
        reason,
        synced: refresh::last_refresh(object),
        next: match refresh::next(object, now, &TimeZone::UTC) {
            Due::At(time) => Some(time),
            Due::Now => Some(now),
            Due::Never => None,
        },
    }
}

fn of_push(object: &PushSecret) -> Row {
    let conditions = object.status.as_ref().map(|status| &status.conditions[..]);
    let (ready, reason) = ready_of(conditions.unwrap_or_default());
    let synced = object
        .status
        .as_ref()
        .and_then(|status| status.refresh_time.as_ref());
    Row {
        kind: "PushSecret",
        namespace: object.metadata.namespace.clone().unwrap_or_default(),
        name: object.metadata.name.clone().unwrap_or_default(),
        ready,
        reason,
        synced: synced.map(|time| time.0),
        next: push_secret::refresh::next(object, Timestamp::now()),
    }
}

fn of_sealed(object: &SealedSecret) -> Row {
    let status = object.status.as_ref();
    let conditions = status
        .map(|status| &status.conditions[..])
        .unwrap_or_default();
    let synced = conditions
        .iter()
        .find(|condition| condition.kind == "Synced");
    Row {
        kind: "SealedSecret",
        namespace: object.metadata.namespace.clone().unwrap_or_default(),
        name: object.metadata.name.clone().unwrap_or_default(),
        ready: synced.map(|synced| synced.status == "True"),
        reason: synced
            .map(|synced| synced.reason.clone())
            .unwrap_or_default(),
        synced: None,
        next: None,
    }
}
