//! What networks, proxies and tired servers do: never a wrong value, never an absence that was not proved, never a secret
//! in an error, and recovery without a restart.

use std::sync::Arc;
use std::time::Duration;

use sealwright_crypto::secret::SecretBytes;
use sealwright_providers::outcome::{Answer, Outcome, Trouble};
use sealwright_providers::remote::RemoteRef;
use sealwright_providers::settings::RetrySettings;
use sealwright_providers::store::{Connection, Store};
use sealwright_tests::harness::fault_proxy::{FAULTS, Fault, FaultProxy};
use sealwright_tests::harness::generated::{cases, seed};
use serde_json::json;

use super::support::{connect_with, connection, mount, openbao, vault};

const CANARY: &str = "canary-of-a-value";
const TOKEN_CANARY: &str = "canary-of-a-password";

/// A small generator: the same faults for the same seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.next() % of.len() as u64).unwrap()]
    }
}

fn check<T>(outcome: &Outcome<T>, expected: impl Fn(&T) -> bool, is_there: bool, told: &str) {
    match outcome {
        Ok(Answer::Found(value)) => assert!(is_there && expected(value), "a wrong value: {told}"),
        Ok(Answer::Absent(_)) => assert!(!is_there, "an absence that is none: {told}"),
        Err(error) => {
            let shown = format!("{error} {error:?} {:?}", error.hint());
            assert!(!shown.contains("canary"), "{shown}");
        }
    }
}

/// The store, bounded so that a fault costs a second at most.
async fn store(proxy: &FaultProxy) -> Arc<dyn Store> {
    let (connection, held) = connection("unused");
    held.put("user", "password", TOKEN_CANARY.as_bytes());
    let connection = Connection {
        timeout: Some(Duration::from_millis(700)),
        retry: Some(RetrySettings {
            max_retries: Some(0),
            retry_interval: None,
        }),
        ..connection
    };
    let mut manifest = vault(&proxy.address(), Some("faults"), "v2");
    manifest["vault"]["auth"] = json!({"userPass": {"path": "faults", "username": "jo",
        "secretRef": {"name": "user", "key": "password"}}});
    connect_with(&manifest, &connection).await
}

/// Reads without faults. A machine under load may take longer than the store waits, so it may ask more than once.
async fn recovered(store: &Arc<dyn Store>, at: &RemoteRef) -> Outcome<SecretBytes> {
    let mut outcome = store.get(at).await;
    for _ in 0..20 {
        match &outcome {
            Err(error) if error.trouble() == Trouble::Unavailable => outcome = store.get(at).await,
            _ => break,
        }
    }
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn seeded_faults_never_give_a_wrong_answer() {
    let server = openbao();
    mount(server, "faults", 2);
    server.api(
        "POST",
        "faults/data/k",
        Some(&json!({"data": {"a": CANARY}})),
    );
    server.api(
        "POST",
        "sys/auth/faults",
        Some(&json!({"type": "userpass"})),
    );
    let rules = r#"path "faults/*" { capabilities = ["read", "list"] }"#;
    server.api(
        "PUT",
        "sys/policies/acl/faults",
        Some(&json!({"policy": rules})),
    );
    let user = json!({"password": TOKEN_CANARY, "token_policies": "faults"});
    server.api("POST", "auth/faults/users/jo", Some(&user));
    let count = u64::try_from(cases(60, 500)).unwrap();
    let seed = seed(0x5ea1_0000_0001);
    let proxy = FaultProxy::start(server.port());
    let mut dice = Dice(seed | 1);
    let there = RemoteRef::new("k").property("a");
    let gone = RemoteRef::new("nothing");
    let mut current = store(&proxy).await;
    for round in 0..count {
        // Every kind in turn once, and then by chance; sometimes in the middle of a login.
        let kinds = FAULTS.len() as u64;
        let fault = match FAULTS.get(usize::try_from(round).unwrap()) {
            Some(fault) => *fault,
            None => dice.pick(&FAULTS),
        };
        if dice.next().is_multiple_of(4) {
            current = store(&proxy).await;
        }
        let spared = usize::try_from(dice.next() % 3).unwrap();
        let mut faults = vec![Fault::None; spared];
        faults.push(fault);
        let told = format!("seed {seed}, round {round} of {kinds} kinds: {faults:?}");
        proxy.next(&faults);
        let both = async {
            let value = current.get(&there).await;
            check(
                &value,
                |value| value.expose() == CANARY.as_bytes(),
                true,
                &told,
            );
            let absent = current.get(&gone).await;
            check(&absent, |_| false, false, &told);
        };
        let bounded = tokio::time::timeout(Duration::from_secs(60), both).await;
        assert!(bounded.is_ok(), "it never ended: {told}");
        proxy.next(&[]);
        let recovered = recovered(&current, &there).await;
        let recovered = recovered.unwrap_or_else(|error| panic!("{error} after {told}"));
        assert_eq!(
            recovered.found().unwrap().expose(),
            CANARY.as_bytes(),
            "{told}"
        );
    }
}
