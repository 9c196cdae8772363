//! The API server with our definitions, our controller, and a vault.

use std::process::Command;

use sealwright_tests::harness::cluster::Cluster;
use sealwright_tests::harness::openbao::{OpenBao, ROOT};
use sealwright_tests::harness::server::{Server, free_port};
use sealwright_tests::harness::{cluster, programs};
use serde_json::{Value, json};

use super::case::Stage;

/// The API server, ready for cases.
pub(crate) struct Rig {
    cluster: &'static Cluster,
}

impl Rig {
    /// Applies the definitions that our program prints.
    pub(crate) async fn prepare() -> Self {
        let cluster = cluster();
        for definition in sealwright_resources::external_secrets_definitions(false) {
            cluster.apply(&definition.to_string());
        }
        Self { cluster }
    }

    /// What cases need to know.
    pub(crate) async fn stage<'a>(&self, vault: &'a Vault) -> Stage<'a> {
        let authority = std::fs::read(self.cluster.authority()).unwrap();
        Stage {
            client: self.cluster.client().await,
            api_server: self.cluster.url(),
            authority: sealwright_crypto::sealing::base64::encode(&authority),
            vault: Some(vault),
        }
    }

    /// Starts the controller with these flags, and waits until it is ready.
    pub(crate) fn controller(&self, flags: &str) -> Server {
        let flags = words(flags);
        let prepare = || {
            let (live, metrics) = (free_port()?, free_port()?);
            let mut command = Command::new(programs::sealwright_controller());
            command.arg("external-secrets");
            command.env("KUBECONFIG", self.cluster.kubeconfig());
            command.arg("--loglevel=debug");
            command.arg("--concurrent=8");
            command.arg(format!("--live-addr=127.0.0.1:{live}"));
            command.arg(format!("--metrics-addr=127.0.0.1:{metrics}"));
            command.args(&flags);
            Ok((command, live))
        };
        let started = Server::start(
            self.cluster.sandbox(),
            "external-secrets",
            prepare,
            |port| {
                std::net::TcpStream::connect(("127.0.0.1", *port))
                    .map(drop)
                    .map_err(|error| error.to_string())
            },
        );
        started.unwrap_or_else(|error| panic!("{error}")).0
    }
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

/// OpenBao, with the engines and the role that cases use.
pub(crate) struct Vault {
    server: OpenBao,
}

impl Vault {
    pub(crate) async fn start() -> Self {
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

    fn ask(&self, method: &str, path: &str, body: &Value) {
        let body = Some(body).filter(|body| !body.is_null());
        self.server.api(method, path, body);
    }
}
