//! What may be in Secrets, in statuses and in the vault while there is trouble, and what must be there when it is over.

use std::time::{SystemTime, UNIX_EPOCH};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sealwright_crypto::sealing::base64;
use sealwright_tests::harness::openbao::{OpenBao, ROOT};
use serde_json::{Value, json};

use super::scene::{Scene, condition, put, secret};

/// ExternalSecrets, and the keys of the vault that they read.
pub(crate) const OBJECTS: usize = 8;
pub(crate) const KEYS: usize = 4;
/// PushSecrets.
pub(crate) const PUSHES: usize = 3;
/// A key of the vault that another owner wrote, and a PushSecret would overwrite.
pub(crate) const FOREIGN: &str = "faults-foreign";
/// What a test writes to a Secret in the place of a value.
pub(crate) const EDITED: &str = "edited";
const OF_ANOTHER_OWNER: &str = "of another version-owner";

/// The second of the clock.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// The second in which the last refresh of an object began, by its status.
pub(crate) fn refreshed(object: &Value) -> Option<i64> {
    let time = object["status"].get("refreshTime")?;
    let time: Time = serde_json::from_value(time.clone()).ok()?;
    Some(time.0.as_second())
}

pub(crate) fn is_ready(object: &Value) -> bool {
    condition(object)["status"] == "True"
}

pub(crate) fn has_failed(object: &Value) -> bool {
    condition(object)["status"] == "False"
}

/// What a status may claim.
#[derive(Clone, Copy)]
pub(crate) struct Claims {
    /// By how many seconds a value may be older than the refresh that the status tells of.
    pub(crate) age: i64,
    /// The second after which the vault gave no one an answer.
    pub(crate) dark: Option<i64>,
}

impl Claims {
    /// An object that is ready was refreshed while there were answers.
    fn judge(self, object: &Value) {
        let Some(dark) = self.dark.filter(|_| is_ready(object)) else {
            return;
        };
        let began = refreshed(object).expect("what is ready was refreshed");
        assert!(
            began <= dark + self.age,
            "no answer since {dark}, and yet {object}"
        );
    }
}

/// A condition agrees with itself: success has its reason and its message, and so does failure have its reason.
fn judge_condition(object: &Value, (reason, message): (&str, &str), failure: &str) {
    let ready = condition(object);
    let is_success =
        ready["status"] == "True" && ready["reason"] == reason && ready["message"] == message;
    let is_failure = ready["status"] == "False" && ready["reason"] == failure;
    assert!(is_success || is_failure, "{object}");
}

/// What the vault has, and has had. Each key has two values, which always say the same.
pub(crate) struct Values {
    /// By key, the second in which each version before the present one was replaced.
    replaced: [Vec<i64>; KEYS],
    /// The Secrets that the test itself has deleted, until they are seen again.
    deleted: [bool; OBJECTS],
}

impl Values {
    /// Writes the first version of every key.
    pub(crate) fn start(bao: &OpenBao) -> Self {
        for key in 0..KEYS {
            write(bao, key, 0);
        }
        Self {
            replaced: Default::default(),
            deleted: [false; OBJECTS],
        }
    }

    /// Writes the next version of a key.
    pub(crate) fn write(&mut self, bao: &OpenBao, key: usize) {
        write(bao, key, self.replaced[key].len() + 1);
        self.replaced[key].push(now());
    }

    /// Takes note of a Secret that the test has deleted.
    pub(crate) fn note_deletion(&mut self, number: usize) {
        self.deleted[number] = true;
    }

    pub(crate) fn key_of(number: usize) -> usize {
        number % KEYS
    }

    fn value(key: usize, version: usize, half: &str) -> String {
        format!("key-{key} version-{version} {half}")
    }

    /// Judges an object, and the Secret that was read after it, while there is trouble: the Secret is there, it is whole, it is
    /// made of something that the vault has had, and the status claims nothing else.
    pub(crate) fn judge(
        &mut self,
        number: usize,
        object: &Value,
        secret: Option<&Value>,
        claims: Claims,
    ) {
        let synced = ("SecretSynced", "secret synced");
        judge_condition(object, synced, "SecretSyncedError");
        claims.judge(object);
        let Some(secret) = secret else {
            let deleted = self.deleted[number];
            assert!(deleted, "the Secret of es-{number} is lost: {object}");
            return;
        };
        self.deleted[number] = false;
        let (Some(left), Some(right)) = (text(secret, "left"), text(secret, "right")) else {
            panic!("es-{number} is not whole: {secret}");
        };
        // What a test has edited is not the controller's.
        if left == EDITED {
            return;
        }
        let key = Self::key_of(number);
        let replaced = &self.replaced[key];
        let version = (0..=replaced.len()).find(|version| {
            left == Self::value(key, *version, "left")
                && right == Self::value(key, *version, "right")
        });
        let version =
            version.unwrap_or_else(|| panic!("es-{number} is made of {left:?} and {right:?}"));
        let Some(replaced) = replaced.get(version).filter(|_| is_ready(object)) else {
            return;
        };
        let began = refreshed(object).expect("what is ready was refreshed");
        assert!(
            began <= replaced + claims.age,
            "es-{number} has {left:?}, which was replaced in {replaced}, and yet {object}"
        );
    }

    /// Returns true if a Secret is what it must be when there is no more trouble.
    pub(crate) fn is_right(&self, number: usize, secret: &Value) -> bool {
        let key = Self::key_of(number);
        let version = self.replaced[key].len();
        ["left", "right"]
            .iter()
            .all(|half| text(secret, half) == Some(Self::value(key, version, half)))
    }
}

/// A value of a Secret.
fn text(secret: &Value, name: &str) -> Option<String> {
    let value = secret["data"][name].as_str()?;
    let bytes = base64::decode(value.as_bytes()).unwrap();
    Some(String::from_utf8(bytes).unwrap())
}

fn write(bao: &OpenBao, key: usize, version: usize) {
    let values = json!({
        "left": Values::value(key, version, "left"),
        "right": Values::value(key, version, "right"),
    });
    put(bao, &format!("faults-{key}"), &values);
}

/// What the Secrets of PushSecrets hold, and which PushSecrets there are to be.
#[derive(Default)]
pub(crate) struct Pushes {
    versions: [usize; PUSHES],
    /// The second in which each Secret got its present value.
    written: [i64; PUSHES],
    wanted: [bool; PUSHES],
}

impl Pushes {
    /// Writes the Secrets, makes the PushSecrets, and one more that must not succeed.
    pub(crate) async fn start(scene: &Scene, bao: &OpenBao) -> Self {
        put(bao, FOREIGN, &json!({"v": OF_ANOTHER_OWNER}));
        let mut pushes = Self::default();
        for push in 0..PUSHES {
            pushes.write(scene, push).await;
            pushes.make(scene, push).await;
        }
        let over = push_secret("ps-over", "source-0", FOREIGN);
        scene.apply(0, over).await;
        pushes
    }

    fn value(push: usize, version: usize) -> String {
        format!("push-{push} version-{version}")
    }

    /// Writes the next value of a Secret that is pushed.
    pub(crate) async fn write(&mut self, scene: &Scene, push: usize) {
        self.versions[push] += 1;
        let value = Self::value(push, self.versions[push]);
        scene
            .apply(0, secret(&format!("source-{push}"), json!({"v": value})))
            .await;
        self.written[push] = now();
    }

    /// Makes a PushSecret, unless one is still on its way out.
    pub(crate) async fn make(&mut self, scene: &Scene, push: usize) {
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

    /// Deletes a PushSecret.
    pub(crate) async fn remove(&mut self, scene: &Scene, push: usize) {
        scene
            .try_delete(0, "PushSecret", &format!("ps-{push}"))
            .await;
        self.wanted[push] = false;
    }

    /// Judges the PushSecrets while there is trouble, and what is in the vault if it can be asked: a remote value is one that its
    /// Secret has had, and one that counts as pushed is there. PushSecrets are told nothing that was read before.
    pub(crate) async fn judge(&self, scene: &Scene, bao: Option<&OpenBao>, claims: Claims) {
        let claims = Claims {
            age: claims.age.min(2),
            ..claims
        };
        for push in 0..PUSHES {
            let object = scene.get(0, "PushSecret", &format!("ps-{push}")).await;
            let object = object.filter(|object| {
                object["metadata"].get("deletionTimestamp").is_none()
                    && !condition(object).is_null()
            });
            if let Some(object) = &object {
                let synced = ("Synced", "PushSecret synced successfully");
                judge_condition(object, synced, "Errored");
                claims.judge(object);
            }
            let Some(bao) = bao else { continue };
            let held = remote(bao, &format!("faults-pushed-{push}"));
            let version = self.versions[push];
            if let Some(value) = &held {
                let known = (1..=version).any(|version| *value == Self::value(push, version));
                assert!(known, "the vault has {value:?} of push {push}");
            }
            if let Some(object) = object.filter(is_ready) {
                let held = held.unwrap_or_else(|| panic!("it was pushed and is gone: {object}"));
                // A push that began after the Secret was written has pushed what was written.
                if refreshed(&object) > Some(self.written[push]) {
                    assert_eq!(held, Self::value(push, version), "{object}");
                }
            }
        }
        let over = scene.get(0, "PushSecret", "ps-over").await;
        assert!(!over.as_ref().is_some_and(is_ready), "{over:?}");
        if let Some(bao) = bao {
            let foreign = remote(bao, FOREIGN);
            assert_eq!(foreign.as_deref(), Some(OF_ANOTHER_OWNER));
        }
    }

    /// Returns true if a PushSecret and its remote value are what they must be when there is no more trouble, and it was pushed
    /// after this second.
    pub(crate) async fn is_right(
        &self,
        scene: &Scene,
        bao: &OpenBao,
        push: usize,
        since: i64,
    ) -> bool {
        let object = scene.get(0, "PushSecret", &format!("ps-{push}")).await;
        let held = remote(bao, &format!("faults-pushed-{push}"));
        match (self.wanted[push], object) {
            (true, Some(object)) => {
                is_ready(&object)
                    && refreshed(&object) > Some(since)
                    && held == Some(Self::value(push, self.versions[push]))
            }
            (false, None) => held.is_none(),
            _ => false,
        }
    }

    /// Returns true if a PushSecret says that it cannot push, if there is to be one.
    pub(crate) async fn has_failed(&self, scene: &Scene, push: usize) -> bool {
        let object = scene.get(0, "PushSecret", &format!("ps-{push}")).await;
        !self.wanted[push] || object.as_ref().is_some_and(has_failed)
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
