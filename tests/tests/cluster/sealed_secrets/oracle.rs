//! Random writes to a few objects, and an oracle that knows what each was written last.
//!
//! Values, templates, labels, specs that do not unseal, reverts, deletions and edits of Secrets, two writes within milliseconds,
//! deletion and re-creation under the same name, and the controller killed in the middle. After every burst the cluster has to
//! become what the oracle says, without any further push. `SEALWRIGHT_CASES` sets the number of bursts, `SEALWRIGHT_SEED` the seed,
//! and `SEALWRIGHT_SOAK=1` makes it a long run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams, PostParams};
use sealwright_crypto::sealing::Certificate;
use sealwright_resources::scope::Scope;
use sealwright_resources::sealed_secret::SealedSecret;
use sealwright_tests::harness::cluster::{cluster, eventually};
use sealwright_tests::harness::generated;
use serde_json::{Value, json};

use super::rig::{Rig, condition, data, sealed_for};

const OBJECTS: usize = 6;

/// A generator of numbers that is the same for the same seed everywhere (SplitMix64).
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// One version of an object, and what comes out of it.
#[derive(Clone)]
struct Version {
    spec: Value,
    /// Nothing, if it does not unseal.
    secret: Option<(BTreeMap<String, String>, Option<String>)>,
}

/// An object and what the oracle knows of it.
struct Subject {
    name: String,
    namespace: String,
    certificate: Arc<Certificate>,
    sealed: Api<SealedSecret>,
    secrets: Api<Secret>,
    dice: Dice,
    counter: u32,
    /// The last good versions, to come back to.
    good: Vec<Version>,
    /// Nothing, if there is no such object.
    last: Option<Version>,
    journal: Vec<String>,
}

impl Subject {
    fn seal(&self, values: &[(&str, &str)]) -> SealedSecret {
        sealed_for(
            &self.certificate,
            Scope::Strict,
            &self.namespace,
            &self.name,
            values,
        )
    }

    /// A version that was never there before.
    fn fresh(&mut self) -> Version {
        self.counter += 1;
        let value = format!("{}-{}", self.name, self.counter);
        let count = 1 + self.dice.below(4);
        let keys: Vec<String> = (0..count).map(|number| format!("k{number}")).collect();
        let values: Vec<(&str, &str)> = keys
            .iter()
            .map(|key| (key.as_str(), value.as_str()))
            .collect();
        let mut spec = serde_json::to_value(self.seal(&values).spec).unwrap();
        let mut expected: BTreeMap<String, String> = keys
            .iter()
            .map(|key| (key.clone(), value.clone()))
            .collect();
        let mut label = None;
        if self.dice.below(3) == 0 {
            spec["template"]["data"] = json!({"t": format!("{{{{ .k0 }}}}+{}", self.counter)});
            expected.insert("t".into(), format!("{value}+{}", self.counter));
        }
        if self.dice.below(3) == 0 {
            label = Some(format!("l{}", self.counter));
            spec["template"]["metadata"]["labels"] = json!({"oracle": label});
        }
        let version = Version {
            spec,
            secret: Some((expected, label)),
        };
        self.good.push(version.clone());
        version
    }

    /// A version that does not unseal.
    fn broken(&mut self) -> Version {
        let mut version = self.fresh();
        self.good.pop();
        version.spec["encryptedData"]["k0"] = "AgBy".into();
        version.secret = None;
        version
    }

    async fn write(&mut self, version: Version) {
        // The status is written in between, so that the version may be another one by now.
        loop {
            let params = PostParams::default();
            let written = match self.sealed.get_opt(&self.name).await.unwrap() {
                None => {
                    let mut object = serde_json::to_value(self.seal(&[])).unwrap();
                    object["spec"] = version.spec.clone();
                    let object = serde_json::from_value(object).unwrap();
                    self.sealed.create(&params, &object).await
                }
                Some(mut object) => {
                    object.spec = serde_json::from_value(version.spec.clone()).unwrap();
                    self.sealed.replace(&self.name, &params, &object).await
                }
            };
            match written {
                Ok(_) => break,
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => panic!("{error}"),
            }
        }
        self.last = Some(version);
    }

    async fn delete(&mut self) {
        gone(self.sealed.delete(&self.name, &Default::default()).await);
        self.last = None;
    }

    async fn step(&mut self) {
        let step = self.dice.below(12);
        self.journal.push(format!("{step}"));
        match step {
            0..=2 => {
                let version = self.fresh();
                self.write(version).await;
            }
            3 => {
                for _ in 0..2 {
                    let version = self.fresh();
                    self.write(version).await;
                }
            }
            4 => {
                let version = self.broken();
                self.write(version).await;
            }
            5 | 6 => {
                let at = self.dice.below(self.good.len().max(1) as u64) as usize;
                if let Some(version) = self.good.get(at).cloned() {
                    self.write(version).await;
                }
            }
            7 => gone(self.secrets.delete(&self.name, &Default::default()).await),
            8 => {
                let patch = json!({"stringData": {"k0": "edited", "alien": "x"}});
                let patch = Patch::Merge(patch);
                gone(
                    self.secrets
                        .patch(&self.name, &PatchParams::default(), &patch)
                        .await,
                );
            }
            9 => {
                let note = json!({"metadata": {"labels": {"note": format!("n{}", self.counter)}}});
                let patch = Patch::Merge(note);
                gone(
                    self.sealed
                        .patch(&self.name, &PatchParams::default(), &patch)
                        .await,
                );
            }
            10 => {
                self.delete().await;
                let version = self.fresh();
                self.write(version).await;
            }
            _ => self.delete().await,
        }
    }

    /// Waits until the cluster is as it was asked to be.
    async fn settle(&mut self) {
        let what = format!("{} after {}", self.name, self.journal.join(" "));
        eventually(&what, async || self.is_settled().await.then_some(())).await;
        self.journal.clear();
    }

    async fn is_settled(&self) -> bool {
        let sealed = self.sealed.get_opt(&self.name).await.unwrap();
        let secret = self.secrets.get_opt(&self.name).await.unwrap();
        let (Some(sealed), Some(last)) = (&sealed, &self.last) else {
            // The Secret of an object that is gone is the garbage collector's.
            return sealed.is_none() && self.last.is_none() && secret.is_none();
        };
        let Some(status) = &sealed.status else {
            return false;
        };
        let expected = if last.secret.is_some() {
            "True"
        } else {
            "False"
        };
        if status.observed_generation != sealed.metadata.generation
            || status.conditions.is_empty()
            || condition(sealed, "Synced").status != expected
        {
            return false;
        }
        let (Some((values, label)), Some(secret)) = (&last.secret, &secret) else {
            return last.secret.is_none();
        };
        let labels = secret.metadata.labels.clone().unwrap_or_default();
        data(secret) == *values && labels.get("oracle") == label.as_ref()
    }
}

/// What was to be changed may not be there.
fn gone<T>(result: kube::Result<T>) {
    match result {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_becomes_what_was_written_last_whatever_happened_in_between() {
    let seed = generated::seed(any_seed());
    let bursts = generated::cases(4, 200);
    let mut rig = Rig::start(cluster(), "oracle", &[]).await;
    let certificate = Arc::new(rig.certificate());
    let mut dice = Dice(seed);
    let mut subjects: Vec<Subject> = (0..OBJECTS)
        .map(|number| Subject {
            name: format!("s{number}"),
            namespace: rig.namespace.name().to_owned(),
            certificate: Arc::clone(&certificate),
            sealed: rig.sealed_secrets(),
            secrets: rig.secrets(),
            dice: Dice(dice.below(u64::MAX)),
            counter: 0,
            good: Vec::new(),
            last: None,
            journal: Vec::new(),
        })
        .collect();
    for burst in 0..bursts {
        let working: Vec<_> = subjects
            .drain(..)
            .map(|mut subject| {
                tokio::spawn(async move {
                    for _ in 0..1 + subject.dice.below(6) {
                        subject.step().await;
                        let pause = [0, 0, 3, 20, 150][subject.dice.below(5) as usize];
                        tokio::time::sleep(Duration::from_millis(pause)).await;
                    }
                    subject
                })
            })
            .collect();
        if burst % 2 == 1 {
            tokio::time::sleep(Duration::from_millis(dice.below(300))).await;
            rig.kill_and_restart(0);
        }
        for work in working {
            subjects.push(work.await.unwrap());
        }
        let settling: Vec<_> = subjects.iter_mut().map(Subject::settle).collect();
        futures::future::join_all(settling).await;
    }
}

/// A seed that differs from run to run.
fn any_seed() -> u64 {
    std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0) % 1_000_000
}
