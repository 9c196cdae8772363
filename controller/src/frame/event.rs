//! Events as upstream writes them: `core/v1`, repeats counted up.
//!
//! As Kubernetes' own client libraries do it: the same content within ten minutes is one Event
//! with a count, and one object gets 25 writes at once and then one every five minutes.

use std::collections::HashMap;
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde_json::{Value, json};

/// The same content within this is a repeat.
const SAME: SignedDuration = SignedDuration::from_mins(10);
const BURST: u32 = 25;
const REFILL: SignedDuration = SignedDuration::from_mins(5);
/// As many are remembered; forgetting one costs a new Event in place of a count.
const MOST_REMEMBERED: usize = 1024;
/// The longest message an API server takes.
const LONGEST_MESSAGE: usize = 1024;

/// Something that the users of an object should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// The component that it comes from, by the name of the program that users know.
    pub(crate) component: &'static str,
    pub(crate) namespace: String,
    /// `apiVersion`, `kind`, `name`, `uid`, `resourceVersion` of the object.
    pub(crate) object: Value,
    pub(crate) uid: String,
    pub(crate) name: String,
    pub(crate) warning: bool,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Event {
    /// An event about the object with this metadata.
    pub(crate) fn about<K: Resource<DynamicType = ()>>(
        component: &'static str,
        metadata: &ObjectMeta,
        warning: bool,
        reason: &'static str,
        message: String,
    ) -> Self {
        Self {
            component,
            namespace: metadata.namespace.clone().unwrap_or_default(),
            object: json!({
                "apiVersion": K::api_version(&()),
                "kind": K::kind(&()),
                "namespace": metadata.namespace,
                "name": metadata.name,
                "uid": metadata.uid,
                "resourceVersion": metadata.resource_version,
            }),
            uid: metadata.uid.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            warning,
            reason,
            message,
        }
    }
}

/// What to send.
pub(crate) struct Write {
    /// The Event to count up, if there is one.
    pub(crate) again: Option<String>,
    /// What changes in it.
    pub(crate) patch: Value,
    /// The Event if there is none yet.
    pub(crate) event: Value,
}

/// Remembers what was told.
#[derive(Default)]
pub(crate) struct Recorder(Mutex<Memory>);

#[derive(Default)]
struct Memory {
    told: HashMap<(String, &'static str, String), Told>,
    allowances: HashMap<String, Allowance>,
}

struct Told {
    event: String,
    first: Timestamp,
    last: Timestamp,
    count: u32,
}

struct Allowance {
    left: u32,
    refilled: Timestamp,
}

impl Recorder {
    /// Decides how to tell, or not to tell because the object has been talked about enough.
    pub(crate) fn write(&self, event: &Event, now: Timestamp) -> Option<Write> {
        let mut memory = self.0.lock().expect("no holder panics");
        if memory.told.len() >= MOST_REMEMBERED {
            memory
                .told
                .retain(|_, told| now.duration_since(told.last) < SAME);
            if memory.told.len() >= MOST_REMEMBERED {
                memory.told.clear();
            }
        }
        if memory.allowances.len() >= MOST_REMEMBERED {
            memory
                .allowances
                .retain(|_, allowance| now.duration_since(allowance.refilled) < REFILL);
            if memory.allowances.len() >= MOST_REMEMBERED {
                memory.allowances.clear();
            }
        }
        let allowance = memory
            .allowances
            .entry(event.uid.clone())
            .or_insert(Allowance {
                left: BURST,
                refilled: now,
            });
        // The clock may have been set back.
        allowance.refilled = allowance.refilled.min(now);
        while allowance.left < BURST && now.duration_since(allowance.refilled) >= REFILL {
            allowance.left += 1;
            allowance.refilled += REFILL;
        }
        if allowance.left == BURST {
            allowance.refilled = now;
        }
        allowance.left = allowance.left.checked_sub(1)?;

        let message = shortened(&event.message);
        let key = (event.uid.clone(), event.reason, message.clone());
        let known = memory
            .told
            .get_mut(&key)
            .filter(|told| now.duration_since(told.last) < SAME);
        let (again, told) = match known {
            Some(told) => {
                told.last = now;
                told.count += 1;
                (Some(told.event.clone()), &*told)
            }
            None => {
                let nanoseconds = now.as_nanosecond();
                let told = Told {
                    event: format!("{}.{nanoseconds:x}", event.name),
                    first: now,
                    last: now,
                    count: 1,
                };
                memory.told.insert(key.clone(), told);
                (None, &memory.told[&key])
            }
        };
        Some(Write {
            again,
            patch: json!({"count": told.count, "lastTimestamp": seconds(told.last)}),
            event: json!({
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": told.event, "namespace": event.namespace},
                "involvedObject": event.object,
                "type": if event.warning { "Warning" } else { "Normal" },
                "reason": event.reason,
                "message": message,
                "source": {"component": event.component},
                "reportingComponent": event.component,
                "firstTimestamp": seconds(told.first),
                "lastTimestamp": seconds(told.last),
                "count": told.count,
            }),
        })
    }
}

fn seconds(time: Timestamp) -> String {
    let whole = Timestamp::from_second(time.as_second()).unwrap_or(time);
    whole.to_string()
}

fn shortened(message: &str) -> String {
    let mut end = message.len().min(LONGEST_MESSAGE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(message: &str) -> Event {
        Event {
            component: "sealed-secrets",
            namespace: "ns".into(),
            object: json!({"kind": "SealedSecret"}),
            uid: "u".into(),
            name: "a".into(),
            warning: true,
            reason: "ErrUnsealFailed",
            message: message.into(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    #[test]
    fn t46_events_are_core_v1_with_upstreams_component() {
        let write = Recorder::default().write(&event("x"), at(0)).unwrap();
        assert!(write.again.is_none());
        assert_eq!(write.event["source"]["component"], "sealed-secrets");
        assert_eq!(
            (&write.event["apiVersion"], &write.event["type"]),
            (&"v1".into(), &"Warning".into())
        );
        assert_eq!(write.event["firstTimestamp"], "2023-11-14T22:13:20Z");
    }

    #[test]
    fn c86_repeats_are_counted_within_ten_minutes() {
        let recorder = Recorder::default();
        let first = recorder.write(&event("x"), at(0)).unwrap();
        let second = recorder.write(&event("x"), at(1)).unwrap();
        assert_eq!(
            second.again.as_deref(),
            first.event["metadata"]["name"].as_str()
        );
        assert_eq!(second.patch["count"], 2);
        assert!(recorder.write(&event("y"), at(2)).unwrap().again.is_none());
        assert!(
            recorder
                .write(&event("x"), at(700))
                .unwrap()
                .again
                .is_none()
        );
    }

    #[test]
    fn one_object_cannot_flood_the_events() {
        let recorder = Recorder::default();
        let written = (0..100)
            .filter(|number| recorder.write(&event(&number.to_string()), at(0)).is_some())
            .count();
        assert_eq!(written, 25);
        assert!(recorder.write(&event("x"), at(299)).is_none());
        assert!(recorder.write(&event("x"), at(301)).is_some());
        assert!(recorder.write(&event("x"), at(302)).is_none());
    }

    #[test]
    fn a_clock_that_is_set_back_silences_no_object() {
        let recorder = Recorder::default();
        let later = 100_000;
        for number in 0..100 {
            let _ = recorder.write(&event(&number.to_string()), at(later));
        }
        assert!(recorder.write(&event("x"), at(0)).is_none());
        assert!(recorder.write(&event("x"), at(301)).is_some());
    }

    #[test]
    fn messages_are_cut_at_a_character() {
        let long = "ж".repeat(2000);
        assert_eq!(shortened(&long).len(), 1024);
        assert_eq!(shortened(&format!("a{long}")).len(), 1023);
    }
}
