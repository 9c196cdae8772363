//! What networks, proxies and tired servers do: never a wrong value, never an absence that was not proved, never a secret
//! in an error, and recovery without a restart. Every store with a server here goes through the same rounds. To a webhook a 404
//! is an absence whoever says it, unless it is a page.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use sealwright_crypto::secret::SecretBytes;
use sealwright_providers::credential::WholeSecret;
use sealwright_providers::credential::held::Held;
use sealwright_providers::outcome::{Answer, Outcome, Trouble};
use sealwright_providers::remote::RemoteRef;
use sealwright_providers::settings::RetrySettings;
use sealwright_providers::store::{Connection, Store};
use sealwright_tests::harness::clouds::Clouds;
use sealwright_tests::harness::cluster;
use sealwright_tests::harness::double::Double;
use sealwright_tests::harness::fault_proxy::{FAULTS, Fault, FaultProxy};
use sealwright_tests::harness::generated::{cases, seed};
use sealwright_tests::harness::moto::REGION;
use sealwright_tests::harness::server::{Server, free_port};
use sealwright_tests::harness::upstream::kubectl;
use serde_json::{Value, json};

use super::support::{behind_proxy, connect_with, holding, in_clouds, mount, openbao, vault};

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

/// What the rounds are made with.
struct Trial<'a> {
    /// The manifest part of the store; its value lies under `there`, and nothing under `gone`.
    manifest: Value,
    held: Arc<Held>,
    there: RemoteRef,
    gone: RemoteRef,
    /// Says what happens to the next answers.
    spoil: &'a dyn Fn(&[Fault]),
    seed: u64,
    /// Whether any 404 that is no page means that nothing is there.
    believes_404: bool,
}

impl Trial<'_> {
    /// The store, bounded so that a fault costs a second at most.
    async fn store(&self) -> Arc<dyn Store> {
        let connection = Connection {
            credentials: Arc::clone(&self.held) as Arc<_>,
            timeout: Some(Duration::from_millis(700)),
            retry: Some(RetrySettings {
                // To AWS this is one attempt, to the others one repetition.
                max_retries: Some(1),
                retry_interval: None,
            }),
            ..Connection::default()
        };
        connect_with(&self.manifest, &connection).await
    }

    async fn rounds(&self) {
        let count = u64::try_from(cases(40, 500)).unwrap();
        let seed = seed(self.seed);
        let mut dice = Dice(seed | 1);
        let mut current = self.store().await;
        for round in 0..count {
            // Every kind in turn once, and then by chance; sometimes in the middle of a login.
            let fault = match FAULTS.get(usize::try_from(round).unwrap()) {
                Some(fault) => *fault,
                None => dice.pick(&FAULTS),
            };
            if dice.next().is_multiple_of(4) {
                current = self.store().await;
            }
            let spared = usize::try_from(dice.next() % 3).unwrap();
            let mut faults = vec![Fault::None; spared];
            faults.push(fault);
            let told = format!("seed {seed}, round {round}: {faults:?}");
            (self.spoil)(&faults);
            let denied = matches!(fault, Fault::OtherJson(404) | Fault::Empty(404));
            let both = async {
                let value = current.get(&self.there).await;
                let is_denied = denied && self.believes_404;
                if !(is_denied && matches!(value, Ok(Answer::Absent(_)))) {
                    check(
                        &value,
                        |value| value.expose() == CANARY.as_bytes(),
                        true,
                        &told,
                    );
                }
                let absent = current.get(&self.gone).await;
                check(&absent, |_| false, false, &told);
            };
            let bounded = tokio::time::timeout(Duration::from_secs(60), both).await;
            assert!(bounded.is_ok(), "it never ended: {told}");
            (self.spoil)(&[]);
            let recovered = recovered(&current, &self.there).await;
            let recovered = recovered.unwrap_or_else(|error| panic!("{error} after {told}"));
            assert_eq!(
                recovered.found().unwrap().expose(),
                CANARY.as_bytes(),
                "{told}"
            );
        }
    }
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
    let secret = json!({"data": {"a": CANARY}});
    server.api("POST", "faults/data/k", Some(&secret));
    let login = json!({"type": "userpass"});
    server.api("POST", "sys/auth/faults", Some(&login));
    let rules = r#"path "faults/*" { capabilities = ["read", "list"] }"#;
    let policy = json!({"policy": rules});
    server.api("PUT", "sys/policies/acl/faults", Some(&policy));
    let user = json!({"password": TOKEN_CANARY, "token_policies": "faults"});
    server.api("POST", "auth/faults/users/jo", Some(&user));
    let proxy = FaultProxy::start(server.port());
    let held = Held::default();
    held.put("user", "password", TOKEN_CANARY.as_bytes());
    let mut manifest = vault(&proxy.address(), Some("faults"), "v2");
    manifest["vault"]["auth"] = json!({"userPass": {"path": "faults", "username": "jo",
        "secretRef": {"name": "user", "key": "password"}}});
    let trial = Trial {
        manifest,
        held: Arc::new(held),
        there: RemoteRef::new("k").property("a"),
        gone: RemoteRef::new("nothing"),
        spoil: &|faults| proxy.next(faults),
        seed: 0x5ea1_0000_0001,
        believes_404: false,
    };
    trial.rounds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seeded_faults_of_openbao_by_its_own_provider() {
    let server = openbao();
    mount(server, "faults-bao", 2);
    let secret = json!({"data": {"a": CANARY}});
    server.api("POST", "faults-bao/data/k", Some(&secret));
    let proxy = FaultProxy::start(server.port());
    let held = Held::default();
    let root = sealwright_tests::harness::openbao::ROOT;
    held.put("vault", "token", root.as_bytes());
    let trial = Trial {
        manifest: json!({"openBao": {"server": proxy.address(), "path": "faults-bao",
            "auth": {"tokenSecretRef": {"name": "vault", "key": "token"}}}}),
        held: Arc::new(held),
        there: RemoteRef::new("k").property("a"),
        gone: RemoteRef::new("nothing"),
        spoil: &|faults| proxy.next(faults),
        seed: 0x5ea1_0000_0002,
        believes_404: false,
    };
    trial.rounds().await;
}

/// Runs the rounds on a service of AWS: in a process of its own, whose environment leads through a proxy.
async fn of_aws(case: &str, service: &str, target: &str, body: Value, seed: u64) {
    let Some(proxy) = behind_proxy(&format!("fault::{case}"), |moto| {
        moto.call(target, &body);
    }) else {
        return;
    };
    let trial = Trial {
        manifest: json!({"aws": {"service": service, "region": REGION}}),
        held: Arc::default(),
        there: RemoteRef::new("k"),
        gone: RemoteRef::new("nothing"),
        spoil: &|faults| proxy.next(faults),
        seed,
        believes_404: false,
    };
    trial.rounds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seeded_faults_of_aws_secrets_manager() {
    of_aws(
        "seeded_faults_of_aws_secrets_manager",
        "SecretsManager",
        "secretsmanager.CreateSecret",
        json!({"Name": "k", "SecretString": CANARY}),
        0x5ea1_0000_0003,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seeded_faults_of_aws_parameter_store() {
    of_aws(
        "seeded_faults_of_aws_parameter_store",
        "ParameterStore",
        "AmazonSSM.PutParameter",
        json!({"Name": "k", "Type": "SecureString", "Value": CANARY}),
        0x5ea1_0000_0004,
    )
    .await;
}

/// Runs the rounds on a double behind TLS.
async fn of_cloud(clouds: &Clouds, manifest: Value, held: Held, there: RemoteRef, seed: u64) {
    let trial = Trial {
        manifest,
        held: Arc::new(held),
        there,
        gone: RemoteRef::new("nothing"),
        spoil: &|faults| {
            let names: Vec<String> = faults.iter().map(|fault| format!("{fault:?}")).collect();
            clouds.control("spoil", &json!(names));
        },
        seed,
        believes_404: false,
    };
    trial.rounds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seeded_faults_of_google_secret_manager() {
    let case = "fault::seeded_faults_of_google_secret_manager";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    let value = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, CANARY);
    clouds.control("google/secret", &json!({"name": "k", "versions": [value]}));
    let held = Held::default();
    let account = clouds.control("google/account", &json!({}));
    held.put("google", "key", account.to_string().as_bytes());
    let manifest = json!({"gcpsm": {"projectID": "shop", "auth": {"secretRef": {
        "secretAccessKeySecretRef": {"name": "google", "key": "key"}}}}});
    of_cloud(
        &clouds,
        manifest,
        held,
        RemoteRef::new("k"),
        0x5ea1_0000_0005,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seeded_faults_of_azure_key_vault() {
    let case = "fault::seeded_faults_of_azure_key_vault";
    let Some(clouds) = in_clouds(case, &[]) else {
        return;
    };
    let secret = json!({"vault": "shop.vault.azure.net", "name": "k", "values": [CANARY]});
    clouds.control("azure/secret", &secret);
    let client = clouds.control("azure/client", &json!({}));
    let held = Held::default();
    for key in ["client", "secret"] {
        held.put("azure", key, client[key].as_str().unwrap().as_bytes());
    }
    let manifest = json!({"azurekv": {"vaultUrl": "https://shop.vault.azure.net", "tenantId": client["tenant"],
        "authSecretRef": {"clientId": {"name": "azure", "key": "client"},
            "clientSecret": {"name": "azure", "key": "secret"}}}});
    of_cloud(
        &clouds,
        manifest,
        held,
        RemoteRef::new("k"),
        0x5ea1_0000_0006,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seeded_faults_of_gitlab() {
    let Some(clouds) = in_clouds("fault::seeded_faults_of_gitlab", &[]) else {
        return;
    };
    let variable = json!({"kind": "projects", "id": 7, "key": "k", "value": CANARY});
    clouds.control("gitlab/variable", &variable);
    let manifest = json!({"gitlab": {"url": "https://gitlab.example/", "projectID": "7",
        "auth": {"SecretRef": {"accessToken": {"name": "secret", "key": "token"}}}}});
    let held = holding(&clouds, "gitlab");
    of_cloud(
        &clouds,
        manifest,
        held,
        RemoteRef::new("k"),
        0x5ea1_0000_0007,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seeded_faults_of_doppler() {
    let Some(clouds) = in_clouds("fault::seeded_faults_of_doppler", &[]) else {
        return;
    };
    clouds.control("doppler/secret", &json!({"name": "k", "value": CANARY}));
    let manifest = json!({"doppler": {"project": "shop", "config": "prd",
        "auth": {"secretRef": {"dopplerToken": {"name": "secret", "key": "token"}}}}});
    let held = holding(&clouds, "doppler");
    of_cloud(
        &clouds,
        manifest,
        held,
        RemoteRef::new("k"),
        0x5ea1_0000_0008,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seeded_faults_of_kubernetes() {
    let namespace = cluster().namespace("store-faults").await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": CANARY},
        "metadata": {"name": "k", "namespace": namespace.name()}});
    namespace.cluster().apply(&secret.to_string());
    // The API server speaks TLS only, so its own client leads there.
    let prepare = || {
        let port = free_port()?;
        let mut command = Command::new(kubectl());
        command
            .arg("--kubeconfig")
            .arg(cluster().kubeconfig())
            .args(["proxy", "--port", &port.to_string()]);
        Ok((command, port))
    };
    let ready = |port: &u16| {
        let connected = TcpStream::connect(("127.0.0.1", *port));
        connected.map(drop).map_err(|error| error.to_string())
    };
    let started = Server::start(cluster().sandbox(), "kubectl-proxy", prepare, ready);
    let (_server, port) = started.unwrap_or_else(|error| panic!("{error}"));
    let proxy = FaultProxy::start(port);
    let held = Held::default();
    held.put("reader", "token", TOKEN_CANARY.as_bytes());
    let trial = Trial {
        manifest: json!({"kubernetes": {"remoteNamespace": namespace.name(), "server": {"url": proxy.address()},
            "auth": {"token": {"bearerToken": {"name": "reader", "key": "token"}}}}}),
        held: Arc::new(held),
        there: RemoteRef::new("k").property("a"),
        gone: RemoteRef::new("nothing"),
        spoil: &|faults| proxy.next(faults),
        seed: 0x5ea1_0000_000a,
        believes_404: false,
    };
    trial.rounds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seeded_faults_of_onepassword() {
    let Some(clouds) = in_clouds("fault::seeded_faults_of_onepassword", &[]) else {
        return;
    };
    let fields = json!([{"label": "password", "value": CANARY}]);
    let item = json!({"vault": "shop", "item": {"title": "k", "fields": fields}});
    clouds.control("connect/item", &item);
    let manifest = json!({"onepassword": {"connectHost": "https://connect.example", "vaults": {"shop": 1},
        "auth": {"secretRef": {"connectTokenSecretRef": {"name": "secret", "key": "token"}}}}});
    let held = holding(&clouds, "connect");
    of_cloud(
        &clouds,
        manifest,
        held,
        RemoteRef::new("k"),
        0x5ea1_0000_0009,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seeded_faults_of_a_webhook() {
    let double = Double::start(|asked| match asked.path.as_str() {
        _ if asked.headers.get("x-token").map(String::as_str) != Some(TOKEN_CANARY) => {
            (401, json!({"error": "no token"}))
        }
        "/secrets/k" => (200, json!({"result": {"a": CANARY}})),
        _ => (404, json!({"error": "no such secret"})),
    });
    let port = double.address().rsplit_once(':').unwrap().1;
    let proxy = FaultProxy::start(port.parse().unwrap());
    let held = Held::default();
    let secret = WholeSecret {
        data: BTreeMap::from([(
            "token".to_owned(),
            SecretBytes::copy_of(TOKEN_CANARY.as_bytes()),
        )]),
        labels: BTreeMap::from([("external-secrets.io/type".to_owned(), "webhook".to_owned())]),
    };
    held.put_secret("", "hook", secret);
    let url = format!("{}/secrets/{{{{ .remoteRef.key }}}}", proxy.address());
    let trial = Trial {
        manifest: json!({"webhook": {"url": url, "headers": {"X-Token": "{{ .auth.token }}"},
            "result": {"jsonPath": "$.result.a"}, "secrets": [{"name": "auth", "secretRef": {"name": "hook"}}]}}),
        held: Arc::new(held),
        there: RemoteRef::new("k"),
        gone: RemoteRef::new("nothing"),
        spoil: &|faults| proxy.next(faults),
        seed: 0x5ea1_0000_000b,
        believes_404: true,
    };
    trial.rounds().await;
}
