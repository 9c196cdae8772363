//! Random trouble, and an oracle that knows what may be in the Secrets while it lasts and what must be in them afterwards.
//!
//! Two values of one key always say the same, so a Secret that is made of two readings, or half written, is seen at once. The vault
//! answers with everything that networks and middlemen do, values change, targets are deleted and edited, the store is deleted and
//! made again, the controller is killed and another replica takes over. The same goes for PushSecrets and what they leave in the
//! vault: a remote value is one that its Secret has had, is gone when its PushSecret is, and is left alone when another owner wrote it. `SEALWRIGHT_SEED` chooses other trouble, and `SEALWRIGHT_SOAK=1` makes it ten minutes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sealwright_tests::harness::cluster::eventually;
use sealwright_tests::harness::fault_proxy::{FAULTS, Fault, FaultProxy};
use sealwright_tests::harness::generated;
use sealwright_tests::harness::openbao::{OpenBao, ROOT};
use serde_json::{Value, json};

use super::rig;
use super::scene::{Scene, bao_store, bao_token, condition, external_secret, put, secret};

const OBJECTS: usize = 8;
const KEYS: usize = 4;
const PUSHES: usize = 3;
/// A value of the vault that another owner wrote, and a PushSecret that would overwrite it.
const FOREIGN: &str = "faults-foreign";

/// A generator of numbers that is the same for the same seed everywhere (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}

/// What the vault has, and has had.
struct Oracle {
    versions: BTreeMap<usize, usize>,
}

impl Oracle {
    fn key_of(object: usize) -> usize {
        object % KEYS
    }

    fn value(key: usize, version: usize, half: &str) -> String {
        format!("key-{key} version-{version} {half}")
    }

    /// Judges a Secret while there is trouble: it is whole, and made of something that the vault has had.
    fn judge(&self, object: usize, secret: &Value) {
        let key = Self::key_of(object);
        let text = |name: &str| {
            let value = secret["data"][name].as_str()?;
            let bytes = sealwright_crypto::sealing::base64::decode(value.as_bytes()).unwrap();
            Some(String::from_utf8(bytes).unwrap())
        };
        // What a test has edited is not the controller's.
        let (Some(left), Some(right)) = (text("left"), text("right")) else {
            panic!("es-{object} is not whole: {secret}");
        };
        if left == "edited" {
            return;
        }
        let known = (0..=self.versions[&key]).any(|version| {
            left == Self::value(key, version, "left") && right == Self::value(key, version, "right")
        });
        assert!(known, "es-{object} is made of {left:?} and {right:?}");
    }

    /// Says whether a Secret is what it must be when there is no more trouble.
    fn is_right(&self, object: usize, secret: &Value) -> bool {
        let key = Self::key_of(object);
        ["left", "right"].iter().all(|half| {
            let value = Self::value(key, self.versions[&key], half);
            secret["data"][*half] == *sealwright_crypto::sealing::base64::encode(value.as_bytes())
        })
    }
}

/// What the Secrets of PushSecrets hold, and which PushSecrets there are to be.
#[derive(Default)]
struct Pushes {
    versions: [usize; PUSHES],
    wanted: [bool; PUSHES],
}

impl Pushes {
    fn value(push: usize, version: usize) -> String {
        format!("push-{push} version-{version}")
    }

    async fn write(&mut self, scene: &Scene, push: usize) {
        self.versions[push] += 1;
        let value = Self::value(push, self.versions[push]);
        scene
            .apply(0, secret(&format!("source-{push}"), json!({"v": value})))
            .await;
    }

    /// Makes a PushSecret, unless one is still on its way out.
    async fn make(&mut self, scene: &Scene, push: usize) {
        if scene
            .get(0, "PushSecret", &format!("ps-{push}"))
            .await
            .is_none()
        {
            let object = push_secret(
                &format!("ps-{push}"),
                &format!("source-{push}"),
                &format!("faults-pushed-{push}"),
            );
            scene.apply(0, object).await;
            self.wanted[push] = true;
        }
    }

    async fn remove(&mut self, scene: &Scene, push: usize) {
        scene
            .try_delete(0, "PushSecret", &format!("ps-{push}"))
            .await;
        self.wanted[push] = false;
    }

    /// Judges what is in the vault while there is trouble.
    fn judge(&self, bao: &OpenBao) {
        for push in 0..PUSHES {
            if let Some(value) = remote(bao, &format!("faults-pushed-{push}")) {
                let known =
                    (1..=self.versions[push]).any(|version| value == Self::value(push, version));
                assert!(known, "the vault has {value:?} of push {push}");
            }
        }
        let foreign = remote(bao, FOREIGN);
        assert_eq!(foreign.as_deref(), Some("of another version-owner"));
    }

    /// Says whether a remote value is what it must be when there is no more trouble.
    async fn is_right(&self, scene: &Scene, bao: &OpenBao, push: usize) -> bool {
        let there = scene.get(0, "PushSecret", &format!("ps-{push}")).await;
        let remote = remote(bao, &format!("faults-pushed-{push}"));
        match self.wanted[push] {
            true => {
                let ready = there.is_some_and(|object| condition(&object)["status"] == "True");
                ready && remote == Some(Self::value(push, self.versions[push]))
            }
            false => there.is_none() && remote.is_none(),
        }
    }
}

fn push_secret(name: &str, source: &str, key: &str) -> Value {
    json!({"apiVersion": "external-secrets.io/v1alpha1", "kind": "PushSecret", "metadata": {"name": name},
        "spec": {"refreshInterval": "1s", "deletionPolicy": "Delete",
            "secretStoreRefs": [{"name": "bao-push", "kind": "SecretStore"}],
            "selector": {"secret": {"name": source}},
            "data": [{"match": {"secretKey": "v", "remoteRef": {"remoteKey": key, "property": "v"}}}]}})
}

/// The value of a key of the vault now, which is asked without the proxy.
fn remote(bao: &OpenBao, key: &str) -> Option<String> {
    let (status, answer) = bao.try_api(ROOT, "GET", &format!("secret/data/{key}"), None);
    let value = answer["data"]["data"]["v"].as_str()?;
    (status == 200).then(|| value.to_owned())
}

fn write(bao: &OpenBao, key: usize, version: usize) {
    let values = json!({
        "left": Oracle::value(key, version, "left"),
        "right": Oracle::value(key, version, "right"),
    });
    put(bao, &format!("faults-{key}"), &values);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_never_makes_half_a_secret_and_leaves_nothing_behind() {
    let soaks = std::env::var_os("SEALWRIGHT_SOAK").is_some();
    let length = Duration::from_secs(if soaks { 600 } else { 20 });
    let mut dice = Dice(generated::seed(15));
    let bao = rig::vault().server();
    let proxy = FaultProxy::start(bao.port());
    let mut scene = Scene::start("faults", 1, "").await;
    let mut oracle = Oracle {
        versions: (0..KEYS).map(|key| (key, 0)).collect(),
    };
    for key in 0..KEYS {
        write(bao, key, 0);
    }
    scene.apply(0, bao_token()).await;
    scene.apply(0, bao_store("bao", &proxy.address())).await;
    for object in 0..OBJECTS {
        let value = |half: &str| json!({"secretKey": half, "remoteRef": {"key": format!("faults-{}", Oracle::key_of(object)), "property": half}});
        // Absence would take a Secret away, so a fault that looks like it would be seen.
        let policy = ["Retain", "Delete", "Merge"][object % 3];
        let spec = json!({"secretStoreRef": {"name": "bao"}, "refreshInterval": "1s",
            "target": {"deletionPolicy": policy}, "data": [value("left"), value("right")]});
        scene
            .apply(0, external_secret(&format!("es-{object}"), spec))
            .await;
    }
    for object in 0..OBJECTS {
        scene
            .eventually_ready(0, &format!("es-{object}"), true)
            .await;
    }

    // A store of their own: one that PushSecrets hold is not gone when it is deleted.
    scene
        .apply(0, bao_store("bao-push", &proxy.address()))
        .await;
    put(bao, FOREIGN, &json!({"v": "of another version-owner"}));
    let mut pushes = Pushes::default();
    for push in 0..PUSHES {
        pushes.write(&scene, push).await;
        pushes.make(&scene, push).await;
    }
    let over = push_secret("ps-over", "source-0", FOREIGN);
    scene.apply(0, over).await;

    let start = Instant::now();
    let (mut rounds, mut store_is_there) = (0, true);
    while start.elapsed() < length {
        rounds += 1;
        let object = dice.below(OBJECTS);
        let name = format!("es-{object}");
        match dice.below(15) {
            0..4 => proxy.always(FAULTS[dice.below(FAULTS.len())]),
            4..6 => {
                let key = dice.below(KEYS);
                let version = oracle.versions[&key] + 1;
                // It counts from the moment at which the vault may give it out.
                oracle.versions.insert(key, version);
                write(bao, key, version);
            }
            6 => {
                let edited = json!({"stringData": {"left": "edited"}});
                if scene.get(0, "Secret", &name).await.is_some() {
                    scene.try_patch(0, "Secret", &name, edited).await;
                }
            }
            7 => scene.try_delete(0, "Secret", &name).await,
            // A store that is gone for a while is no proof that its values are.
            8 if store_is_there => {
                scene.delete(0, "SecretStore", "bao").await;
                store_is_there = false;
            }
            8 | 9 => {
                scene.apply(0, bao_store("bao", &proxy.address())).await;
                store_is_there = true;
            }
            10 => {
                let touched = json!({"metadata": {"annotations": {"touched": rounds.to_string()}}});
                scene.patch(0, "ExternalSecret", &name, touched).await;
            }
            11 => pushes.write(&scene, dice.below(PUSHES)).await,
            12 => pushes.remove(&scene, dice.below(PUSHES)).await,
            13 => pushes.make(&scene, dice.below(PUSHES)).await,
            // Another replica takes over from one that is killed.
            _ if dice.below(4) == 0 => {
                let killed = scene.controller.take();
                scene.start_replica();
                drop(killed);
            }
            _ => {}
        }
        for object in 0..OBJECTS {
            if let Some(secret) = scene.get(0, "Secret", &format!("es-{object}")).await {
                oracle.judge(object, &secret);
            }
        }
        pushes.judge(bao);
    }
    assert!(rounds > 0, "no round of trouble");

    proxy.always(Fault::None);
    scene.apply(0, bao_store("bao", &proxy.address())).await;
    for object in 0..OBJECTS {
        let name = format!("es-{object}");
        eventually(&format!("{name} is what it must be"), async || {
            let secret = scene.get(0, "Secret", &name).await?;
            let object_now = scene.get(0, "ExternalSecret", &name).await?;
            let ready = condition(&object_now)["status"] == "True";
            (ready && oracle.is_right(object, &secret)).then_some(())
        })
        .await;
    }
    for push in 0..PUSHES {
        eventually(&format!("push {push} is what it must be"), async || {
            pushes.is_right(&scene, bao, push).await.then_some(())
        })
        .await;
    }
    pushes.judge(bao);
    let over = scene.get(0, "PushSecret", "ps-over").await.unwrap();
    assert_eq!(condition(&over)["status"], "False", "{over}");
    let log = scene.controller.as_ref().unwrap().log_text();
    assert!(!log.contains("version-"), "a value is in the log");
    assert!(!log.contains("panicked"));
    let events =
        scene
            .cluster()
            .kubectl(&["get", "events", "--namespace", scene.name(0), "-o", "yaml"]);
    assert!(!events.contains("version-"), "a value is in an event");
}
