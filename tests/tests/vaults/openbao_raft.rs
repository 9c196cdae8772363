//! A server with storage of its own that is sealed, and killed, in the middle of reads: what is read meanwhile is unavailable,
//! never absent and never wrong, and the same store works again once the server does.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sealwright_providers::fetch::{Fetcher, Lane, StoreIdentity};
use sealwright_providers::outcome::{Answer, StoreError, Trouble};
use sealwright_providers::remote::{Find, NamePattern, RemoteRef};
use sealwright_providers::settings::RetrySettings;
use sealwright_tests::harness::openbao::{OpenBao, ROOT};
use serde_json::{Value, json};

use super::support::{config, connection, mount, vault};

/// How long readers may take to see that a server is gone, or back.
const BOUND: Duration = Duration::from_secs(60);
const KEYS: usize = 20;

/// What the readers have seen: how often each kind of error, and how many good answers.
#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    good: AtomicUsize,
    failed: AtomicUsize,
    kinds: Mutex<BTreeSet<&'static str>>,
}

impl Seen {
    /// Waits until so many more have been counted.
    async fn more(&self, counter: &AtomicUsize, what: &str) {
        let start = counter.load(Ordering::SeqCst);
        let until = Instant::now() + BOUND;
        while counter.load(Ordering::SeqCst) < start + KEYS {
            assert!(
                Instant::now() < until,
                "{what}: {:?}",
                self.kinds.lock().unwrap()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn judge(&self, error: &StoreError) {
        self.failed.fetch_add(1, Ordering::SeqCst);
        let trouble = error.trouble();
        self.kinds.lock().unwrap().insert(trouble.name());
        assert_eq!(trouble, Trouble::Unavailable, "{error:?}");
        assert!(!format!("{error:?}").contains("canary"));
    }
}

async fn lane_of(manifest: &Value) -> Arc<Lane> {
    let (mut connection, _) = connection(ROOT);
    connection.timeout = Some(Duration::from_secs(5));
    connection.retry = Some(RetrySettings {
        max_retries: Some(0),
        retry_interval: None,
    });
    let fetcher = Fetcher::default();
    let identity = StoreIdentity::new("raft", 1, None);
    let connect = || async { config(manifest).connect(&connection).await };
    fetcher.lane(&identity, connect).await.unwrap()
}

/// Reads one key after another, one that is not there among them, until it is told to stop.
async fn reader(lane: Arc<Lane>, number: usize, seen: Arc<Seen>) {
    let find = Find {
        name: Some(NamePattern::new("^key-7$").unwrap()),
        ..Find::default()
    };
    while !seen.stop.load(Ordering::SeqCst) {
        for key in 0..KEYS {
            let at = RemoteRef::new(format!("key-{key}")).property("a");
            match lane.get(&at, Duration::ZERO).await {
                Ok(Answer::Found(value)) => {
                    assert_eq!(value.expose(), format!("canary-{key}").as_bytes());
                    seen.good.fetch_add(1, Ordering::SeqCst);
                }
                Ok(Answer::Absent(_)) => panic!("key-{key} is there"),
                Err(error) => seen.judge(&error),
            }
        }
        match lane
            .get(&RemoteRef::new(format!("none-{number}")), Duration::ZERO)
            .await
        {
            Ok(Answer::Found(_)) => panic!("it is not there"),
            Ok(Answer::Absent(_)) => {}
            Err(error) => seen.judge(&error),
        }
        match lane.find(&find, Duration::ZERO).await {
            Ok(answer) => assert_eq!(answer.found().unwrap().len(), 1),
            Err(error) => seen.judge(&error),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_sealed_or_killed_in_the_middle_of_reads_is_unavailable_and_comes_back() {
    let server = OpenBao::start_raft().unwrap_or_else(|error| panic!("{error}"));
    mount(&server, "kv", 2);
    for key in 0..KEYS {
        let body = json!({"data": {"a": format!("canary-{key}")}});
        server.api("POST", &format!("kv/data/key-{key}"), Some(&body));
    }
    let bao = json!({"openBao": {"server": server.address(), "path": "kv",
        "auth": {"tokenSecretRef": {"name": "vault", "key": "token"}}}});
    let mut readers = Vec::new();
    let seen = Arc::new(Seen::default());
    for manifest in [vault(&server.address(), Some("kv"), "v2"), bao] {
        let lane = lane_of(&manifest).await;
        for number in 0..4 {
            readers.push(tokio::spawn(reader(
                Arc::clone(&lane),
                number,
                Arc::clone(&seen),
            )));
        }
    }
    seen.more(&seen.good, "at first").await;
    for round in 0..2 {
        let told = |what: &str| format!("round {round}: {what}");
        server.seal();
        seen.more(&seen.failed, &told("while it is sealed")).await;
        server.unseal();
        seen.more(&seen.good, &told("after it was unsealed")).await;
        server.stop();
        seen.more(&seen.failed, &told("while it is down")).await;
        server.start_again();
        seen.more(&seen.failed, &told("while it is up and sealed"))
            .await;
        server.unseal();
        seen.more(&seen.good, &told("after it came back")).await;
    }
    seen.stop.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
}
