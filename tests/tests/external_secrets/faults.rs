//! Random trouble, and an oracle that knows what may be in the Secrets while it lasts and what must be in them afterwards.
//!
//! Two values of one key always say the same, so a Secret that is made of two readings, or half written, is seen at once. The vault
//! answers with everything that networks and middlemen do, it is sealed and it is killed; the API server is stopped and started;
//! of two replicas the one that works is killed; values change, targets are deleted and edited, the store is deleted and made again.
//! The same goes for PushSecrets and what they leave in the vault: a remote value is one that its Secret has had, is there as long
//! as the status says so, is gone when its PushSecret is, and is left alone when another owner wrote it. No status claims a value
//! that is older than it says. After each chapter of trouble, the vault is sealed in the middle of peace: everything says so, and
//! nothing is touched. `SEALWRIGHT_SEED` chooses other trouble, and `SEALWRIGHT_SOAK=1` makes it ten minutes.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sealwright_tests::harness::cluster::{Cluster, eventually};
use sealwright_tests::harness::fault_proxy::{FAULTS, Fault, FaultProxy};
use sealwright_tests::harness::generated;
use sealwright_tests::harness::openbao::{OpenBao, ROOT};
use sealwright_tests::harness::server::Server;
use serde_json::json;

use super::fault_oracle::{
    Claims, EDITED, KEYS, OBJECTS, PUSHES, Pushes, Values, has_failed, is_ready, now, refreshed,
};
use super::rig;
use super::scene::{Scene, bao_store, bao_token, external_secret, leads};

/// How old a value may be, in seconds. An object that has failed takes an answer that is newer than its first question, and no
/// older than a minute.
const AFTER_FAILURES: i64 = 65;
/// An object that has not failed takes one of this moment, and statuses have whole seconds.
const IN_PEACE: i64 = 2;
/// How long the slowest retry takes, on a machine under load.
const PATIENCE: Duration = Duration::from_secs(240);

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

    /// A time that is shorter than this.
    fn shorter(&mut self, than: Duration) -> Duration {
        let limit = usize::try_from(than.as_millis()).unwrap().max(1);
        Duration::from_millis(self.below(limit) as u64)
    }
}

/// What happens once in every chapter; the seed says when, and in which order.
#[derive(Clone, Copy, Debug)]
enum Outage {
    ApiServerIsRestarted,
    VaultIsSealed,
    VaultIsKilled,
    LeaderIsKilled,
}

const OUTAGES: [Outage; 4] = [
    Outage::ApiServerIsRestarted,
    Outage::VaultIsSealed,
    Outage::VaultIsKilled,
    Outage::LeaderIsKilled,
];

#[derive(Clone, Copy, PartialEq)]
enum Vault {
    Open,
    Sealed,
    Killed,
    /// It is unsealed, and may not take calls yet.
    Waking,
}

/// What is waited for.
#[derive(Clone, Copy)]
enum Goal {
    /// Everything is what it must be, and was refreshed after this second.
    Right { since: i64 },
    /// Everything says that it could not be refreshed, and is what it was.
    Failed,
}

struct Replica {
    server: Server,
    metrics: u16,
}

/// The API server of this test, which it stops.
fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(rig::start)
}

struct World {
    dice: Dice,
    scene: Scene,
    replicas: Vec<Replica>,
    bao: OpenBao,
    vault: Vault,
    proxy: FaultProxy,
    lets_through: bool,
    /// The second after which the vault has given the controller no answer.
    dark: Option<i64>,
    store_is_there: bool,
    values: Values,
    pushes: Pushes,
    rounds: usize,
}

impl World {
    async fn start(dice: Dice) -> Self {
        let bao = OpenBao::start_raft().unwrap_or_else(|error| panic!("{error}"));
        eventually_takes_writes(&bao).await;
        let values = Values::start(&bao);
        let proxy = FaultProxy::start(bao.port());
        let scene = Scene::start_on(cluster(), "faults").await;
        scene.apply(0, bao_token()).await;
        scene.apply(0, bao_store("bao", &proxy.address())).await;
        for object in 0..OBJECTS {
            let value = |half: &str| json!({"secretKey": half, "remoteRef": {"key": format!("faults-{}", Values::key_of(object)), "property": half}});
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
        let pushes = Pushes::start(&scene, &bao).await;
        let mut world = Self {
            dice,
            scene,
            replicas: Vec::new(),
            bao,
            vault: Vault::Open,
            proxy,
            lets_through: true,
            dark: None,
            store_is_there: true,
            values,
            pushes,
            rounds: 0,
        };
        world.keep_replica();
        world.add_replica();
        world
    }

    /// Starts another replica, which waits for the lead.
    fn add_replica(&mut self) {
        self.scene.start_replica();
        self.keep_replica();
    }

    fn keep_replica(&mut self) {
        self.replicas.push(Replica {
            server: self.scene.controller.take().unwrap(),
            metrics: self.scene.metrics,
        });
    }

    /// Kills the replica that works, or any if none does at the moment.
    fn kill_leader(&mut self) {
        let leader = self
            .replicas
            .iter()
            .position(|replica| leads(replica.metrics));
        let mut killed = self.replicas.remove(leader.unwrap_or(0));
        killed.server.stop();
        judge_log(&killed.server);
    }

    fn set_fault(&mut self, fault: Fault) {
        self.proxy.always(fault);
        self.lets_through = matches!(fault, Fault::None | Fault::Late);
        self.note_dark();
    }

    fn note_dark(&mut self) {
        let answers = self.lets_through && matches!(self.vault, Vault::Open | Vault::Waking);
        self.dark = match answers {
            true => None,
            // What is under way may still come within this second.
            false => Some(self.dark.unwrap_or_else(|| now() + 1)),
        };
    }

    /// Lets everything happen for a while, and each outage once.
    async fn trouble(&mut self, length: Duration) {
        let mut outages = OUTAGES.to_vec();
        while !outages.is_empty() {
            let outage = outages.remove(self.dice.below(outages.len()));
            let part = length / u32::try_from(OUTAGES.len()).unwrap();
            let (start, before) = (Instant::now(), self.dice.shorter(part / 2));
            self.random_steps(start + before).await;
            println!("round {}: {outage:?}", self.rounds);
            self.begin(outage).await;
            let lasts = self.dice.shorter(part / 2);
            self.random_steps(Instant::now() + lasts).await;
            self.unseal_vault();
            self.random_steps(start + part).await;
            self.wait_for_vault().await;
        }
    }

    /// Takes steps until this moment, and at least one.
    async fn random_steps(&mut self, until: Instant) {
        loop {
            self.step().await;
            self.judge(AFTER_FAILURES).await;
            if Instant::now() >= until {
                return;
            }
        }
    }

    async fn step(&mut self) {
        self.rounds += 1;
        let object = self.dice.below(OBJECTS);
        let name = format!("es-{object}");
        match self.dice.below(14) {
            0..4 => {
                let fault = FAULTS[self.dice.below(FAULTS.len())];
                self.set_fault(fault);
            }
            4..6 => {
                let key = self.dice.below(KEYS);
                if self.vault == Vault::Open {
                    self.values.write(&self.bao, key);
                }
            }
            6 => {
                let edited = json!({"stringData": {"left": EDITED}});
                if self.scene.get(0, "Secret", &name).await.is_some() {
                    self.scene.try_patch(0, "Secret", &name, edited).await;
                }
            }
            7 => {
                self.scene.try_delete(0, "Secret", &name).await;
                self.values.note_deletion(object);
            }
            // A store that is gone for a while is no proof that its values are.
            8 if self.store_is_there => {
                self.scene.delete(0, "SecretStore", "bao").await;
                self.store_is_there = false;
            }
            8 | 9 => self.make_store().await,
            10 => {
                let touched =
                    json!({"metadata": {"annotations": {"touched": self.rounds.to_string()}}});
                self.scene.patch(0, "ExternalSecret", &name, touched).await;
            }
            11 => {
                let push = self.dice.below(PUSHES);
                self.pushes.write(&self.scene, push).await;
            }
            12 => {
                let push = self.dice.below(PUSHES);
                self.pushes.remove(&self.scene, push).await;
            }
            _ => {
                let push = self.dice.below(PUSHES);
                self.pushes.make(&self.scene, push).await;
            }
        }
    }

    async fn make_store(&mut self) {
        let store = bao_store("bao", &self.proxy.address());
        self.scene.apply(0, store).await;
        self.store_is_there = true;
    }

    async fn begin(&mut self, outage: Outage) {
        match outage {
            Outage::ApiServerIsRestarted => {
                self.scene.cluster().stop_api_server();
                // Nothing of this is seen as it happens.
                for _ in 0..self.dice.below(3) {
                    let key = self.dice.below(KEYS);
                    self.values.write(&self.bao, key);
                }
                let kills = self.dice.below(2) == 0;
                if kills {
                    self.kill_leader();
                }
                let pause = self.dice.shorter(Duration::from_secs(5));
                tokio::time::sleep(pause).await;
                self.scene.cluster().start_api_server();
                if kills {
                    self.add_replica();
                }
            }
            Outage::VaultIsSealed => self.seal_vault(),
            Outage::VaultIsKilled => {
                self.bao.stop();
                self.vault = Vault::Killed;
                self.note_dark();
            }
            Outage::LeaderIsKilled => {
                self.kill_leader();
                self.add_replica();
            }
        }
    }

    fn seal_vault(&mut self) {
        self.bao.seal();
        self.vault = Vault::Sealed;
        self.note_dark();
    }

    /// Starts the vault if it was killed, and unseals it.
    fn unseal_vault(&mut self) {
        if self.vault == Vault::Killed {
            self.bao.start_again();
        }
        if self.vault != Vault::Open {
            self.bao.unseal();
            self.vault = Vault::Waking;
            self.note_dark();
        }
    }

    async fn wait_for_vault(&mut self) {
        if self.vault == Vault::Waking {
            eventually_takes_writes(&self.bao).await;
            self.vault = Vault::Open;
        }
    }

    /// Judges everything as it is now. Values may be so many seconds older than the refresh that a status tells of.
    async fn judge(&mut self, age: i64) {
        let claims = Claims {
            age,
            dark: self.dark,
        };
        for number in 0..OBJECTS {
            let name = format!("es-{number}");
            let object = self.scene.get(0, "ExternalSecret", &name).await;
            let object = object.expect("no one deletes it");
            let secret = self.scene.get(0, "Secret", &name).await;
            self.values.judge(number, &object, secret.as_ref(), claims);
        }
        let bao = Some(&self.bao).filter(|_| self.vault == Vault::Open);
        self.pushes.judge(&self.scene, bao, claims).await;
    }

    /// Judges again and again, until the goal is reached.
    async fn judge_until(&mut self, goal: Goal, age: i64) {
        let start = Instant::now();
        while let Some(wrong) = self.falls_short(goal).await {
            assert!(start.elapsed() < PATIENCE, "waited in vain: {wrong}");
            self.judge(age).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Returns what is not what the goal asks for.
    async fn falls_short(&self, goal: Goal) -> Option<String> {
        for number in 0..OBJECTS {
            let name = format!("es-{number}");
            let object = self.scene.get(0, "ExternalSecret", &name).await;
            let object = object.expect("no one deletes it");
            let secret = self.scene.get(0, "Secret", &name).await;
            let is_right = secret.is_some_and(|secret| self.values.is_right(number, &secret));
            let says_so = match goal {
                Goal::Right { since } => is_ready(&object) && refreshed(&object) > Some(since),
                Goal::Failed => has_failed(&object),
            };
            if !is_right || !says_so {
                let status = &object["status"];
                return Some(format!(
                    "{name}, whose Secret is right: {is_right}, {status}"
                ));
            }
        }
        for push in 0..PUSHES {
            let is_reached = match goal {
                Goal::Right { since } => {
                    let pushes = &self.pushes;
                    pushes.is_right(&self.scene, &self.bao, push, since).await
                }
                Goal::Failed => self.pushes.has_failed(&self.scene, push).await,
            };
            if !is_reached {
                return Some(format!("ps-{push}"));
            }
        }
        None
    }

    /// Ends all trouble, and waits until everything is what it must be.
    async fn calm(&mut self) {
        self.set_fault(Fault::None);
        self.make_store().await;
        let since = now();
        self.judge_until(Goal::Right { since }, AFTER_FAILURES)
            .await;
    }

    /// Changes every value, and seals the vault where there is no other trouble: what is new is in its place before a status says
    /// so, then everything says that it could not be refreshed and nothing is touched, and everything recovers by itself.
    async fn seal_in_peace(&mut self) {
        for key in 0..KEYS {
            self.values.write(&self.bao, key);
        }
        for push in 0..PUSHES {
            self.pushes.write(&self.scene, push).await;
        }
        let since = now();
        self.judge_until(Goal::Right { since }, IN_PEACE).await;
        self.seal_vault();
        self.judge_until(Goal::Failed, IN_PEACE).await;
        for _ in 0..5 {
            assert_eq!(self.falls_short(Goal::Failed).await, None);
            self.judge(IN_PEACE).await;
        }
        self.unseal_vault();
        self.wait_for_vault().await;
        let since = now();
        self.judge_until(Goal::Right { since }, IN_PEACE).await;
    }
}

/// A vault that was started or unsealed a moment ago refuses writes for a while.
async fn eventually_takes_writes(bao: &OpenBao) {
    eventually("the vault takes writes", async || {
        let body = json!({"data": {"v": "awake"}});
        let (status, _) = bao.try_api(ROOT, "POST", "secret/data/faults-awake", Some(&body));
        (status == 200).then_some(())
    })
    .await;
}

fn judge_log(server: &Server) {
    let log = server.log_text();
    assert!(!log.contains("version-"), "a value is in the log");
    assert!(!log.contains("panicked"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_never_makes_half_a_secret_and_leaves_nothing_behind() {
    let (length, chapter) = match generated::is_soak() {
        true => (Duration::from_secs(600), Duration::from_secs(40)),
        false => (Duration::ZERO, Duration::from_secs(20)),
    };
    let dice = Dice(generated::seed(15));
    let mut world = World::start(dice).await;
    let start = Instant::now();
    loop {
        world.trouble(chapter).await;
        world.calm().await;
        world.seal_in_peace().await;
        if start.elapsed() >= length {
            break;
        }
    }
    println!(
        "{} rounds of trouble in {:?}",
        world.rounds,
        start.elapsed()
    );
    for replica in &world.replicas {
        judge_log(&replica.server);
    }
    let scene = &world.scene;
    let events =
        scene
            .cluster()
            .kubectl(&["get", "events", "--namespace", scene.name(0), "-o", "yaml"]);
    assert!(!events.contains("version-"), "a value is in an event");
}
