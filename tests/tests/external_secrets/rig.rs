//! The API server with our definitions, our controller, and a vault.

use std::process::Command;
use std::sync::OnceLock;

use sealwright_tests::harness::cluster::Cluster;
use sealwright_tests::harness::openbao::{OpenBao, ROOT};
use sealwright_tests::harness::programs;
use sealwright_tests::harness::server::{Server, free_port};
use serde_json::{Value, json};

use super::case::Stage;

/// The API server for controllers that look at everything. They must not look after the same objects, so they take turns.
fn whole() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(start)
}

/// The API server for controllers of single namespaces, which work side by side.
pub(crate) fn shared() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(start)
}

/// Starts an API server that has the definitions that our program prints.
pub(crate) fn start() -> Cluster {
    let cluster = Cluster::start();
    let definitions = sealwright_resources::external_secrets_definitions(false);
    let all: Vec<String> = definitions.iter().map(ToString::to_string).collect();
    cluster.apply(&all.join("\n---\n"));
    cluster
}

static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The API server for controllers that look at everything, and the turn to use it.
pub(crate) struct Rig {
    cluster: &'static Cluster,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

impl Rig {
    /// Waits for the turn.
    pub(crate) async fn prepare() -> Self {
        let turn = TURN.lock().await;
        Self {
            cluster: whole(),
            _turn: turn,
        }
    }

    pub(crate) fn cluster(&self) -> &'static Cluster {
        self.cluster
    }

    /// What cases need to know.
    pub(crate) async fn stage<'a>(&self, vault: &'a Vault) -> Stage<'a> {
        stage_of(self.cluster, vault).await
    }

    /// Starts the controller with these flags, and waits until it is ready.
    pub(crate) fn controller(&self, flags: &str) -> Server {
        controller(self.cluster, "external-secrets", flags)
    }
}

/// What cases on a cluster need to know.
pub(crate) async fn stage_of<'a>(cluster: &Cluster, vault: &'a Vault) -> Stage<'a> {
    let authority = std::fs::read(cluster.authority()).unwrap();
    Stage {
        client: cluster.client().await,
        api_server: cluster.url(),
        authority: sealwright_crypto::sealing::base64::encode(&authority),
        vault: Some(vault),
    }
}

/// Starts a controller of the administrator with these flags, and waits until it is ready.
pub(crate) fn controller(cluster: &Cluster, name: &str, flags: &str) -> Server {
    controller_with(cluster, name, flags, &[])
}

/// The same with these variables in its environment.
pub(crate) fn controller_with(
    cluster: &Cluster,
    name: &str,
    flags: &str,
    variables: &[(&'static str, String)],
) -> Server {
    let flags = words(flags);
    let prepare = || {
        let (live, metrics) = (free_port()?, free_port()?);
        let mut command = Command::new(programs::sealwright_controller());
        command.arg("external-secrets");
        command.env("KUBECONFIG", cluster.kubeconfig());
        command.envs(variables.iter().map(|(name, value)| (*name, value)));
        command.arg("--loglevel=debug");
        command.arg("--concurrent=8");
        command.arg(format!("--live-addr=127.0.0.1:{live}"));
        command.arg(format!("--metrics-addr=127.0.0.1:{metrics}"));
        command.args(&flags);
        Ok((command, live))
    };
    let started = Server::start(cluster.sandbox(), name, prepare, |port| {
        std::net::TcpStream::connect(("127.0.0.1", *port))
            .map(drop)
            .map_err(|error| error.to_string())
    });
    started.unwrap_or_else(|error| panic!("{error}")).0
}

/// Splits flags as a shell does, with double quotes.
fn words(flags: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for letter in flags.chars() {
        match letter {
            '"' => quoted = !quoted,
            ' ' if !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            letter => word.push(letter),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The OpenBao of all tests that do not disturb it; each has paths of its own.
pub(crate) fn vault() -> &'static Vault {
    static VAULT: OnceLock<Vault> = OnceLock::new();
    VAULT.get_or_init(Vault::start)
}

/// Another one, because recorded cases are played there too and change what they find under the same paths.
pub(crate) fn vault_of_take_over() -> &'static Vault {
    static VAULT: OnceLock<Vault> = OnceLock::new();
    VAULT.get_or_init(Vault::start)
}

/// OpenBao, with the engines and the role that cases use.
pub(crate) struct Vault {
    server: OpenBao,
}

impl Vault {
    fn start() -> Self {
        let server = OpenBao::start().unwrap_or_else(|error| panic!("no OpenBao: {error}"));
        let vault = Self { server };
        vault.ask(
            "POST",
            "sys/mounts/kv1",
            &json!({"type": "kv", "options": {"version": "1"}}),
        );
        vault.ask("POST", "sys/auth/approle", &json!({"type": "approle"}));
        let policy = json!({"policy": "path \"*\" { capabilities = [\"create\", \"read\", \"update\", \"delete\", \"list\"] }"});
        vault.ask("PUT", "sys/policies/acl/all", &policy);
        vault.ask(
            "POST",
            "auth/approle/role/the-role",
            &json!({"token_policies": "all", "token_ttl": "1h"}),
        );
        vault.ask(
            "POST",
            "auth/approle/role/the-role/role-id",
            &json!({"role_id": "the-role"}),
        );
        vault.ask(
            "POST",
            "auth/approle/role/the-role/custom-secret-id",
            &json!({"secret_id": "the-secret"}),
        );
        vault
    }

    pub(crate) fn server(&self) -> &OpenBao {
        &self.server
    }

    pub(crate) fn url(&self) -> String {
        self.server.address()
    }

    pub(crate) fn token(&self) -> &str {
        ROOT
    }

    pub(crate) async fn put(&self, path: &str, value: &Value) {
        self.ask(
            "POST",
            &format!("secret/data/{path}"),
            &json!({"data": value}),
        );
    }

    pub(crate) async fn set_metadata(&self, path: &str, metadata: &Value) {
        let body = json!({"custom_metadata": metadata});
        self.ask("POST", &format!("secret/metadata/{path}"), &body);
    }

    pub(crate) async fn remove(&self, path: &str) {
        self.ask("DELETE", &format!("secret/metadata/{path}"), &Value::Null);
    }

    /// Everything of a case in the KV engine of version 2: data, metadata and version by path.
    pub(crate) fn content(&self, namespace: &str) -> Value {
        let mut found = serde_json::Map::new();
        let mut folders = vec![format!("{namespace}/")];
        while let Some(folder) = folders.pop() {
            let path = format!("secret/metadata/{folder}");
            let (status, list) = self.server.try_api(ROOT, "LIST", &path, None);
            if status == 404 {
                continue;
            }
            for key in list["data"]["keys"].as_array().unwrap() {
                let path = format!("{folder}{}", key.as_str().unwrap());
                if path.ends_with('/') {
                    folders.push(path);
                    continue;
                }
                let data = format!("secret/data/{path}");
                let (_, answer) = self.server.try_api(ROOT, "GET", &data, None);
                let metadata = &answer["data"]["metadata"];
                let shown = json!({
                    "custom_metadata": metadata["custom_metadata"],
                    "data": answer["data"]["data"],
                    "version": metadata["version"],
                });
                found.insert(format!("/{path}"), shown);
            }
        }
        Value::Object(found)
    }

    fn ask(&self, method: &str, path: &str, body: &Value) {
        let body = Some(body).filter(|body| !body.is_null());
        self.server.api(method, path, body);
    }
}
