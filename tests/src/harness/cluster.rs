//! A real Kubernetes API server, with RBAC, garbage collection and Services, and without nodes.
//!
//! [`cluster`] gives the one that all cases of a test binary share; each case works in a [`Namespace`] of its own. A case that
//! stops or restarts the API server starts its own with [`Cluster::start`].

mod account;
mod api_server;
mod certificates;
mod egress;
mod requests;
mod service;

use std::fmt::Debug;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::account::{Account, rule};
use self::api_server::{answers, start_api_server, start_controller_manager, start_etcd};
pub use self::requests::Request;
use super::sandbox::Sandbox;
use super::server::Server;
use super::upstream;

const UNPOISONED: &str = "nothing panics while it holds the API server";

/// The cluster that all cases of this test binary share. The first call starts it.
///
/// # Panics
///
/// Fails each test that needs it when it cannot be started, and says why.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();
    match CLUSTER.get_or_init(|| Cluster::try_start("")) {
        Ok(cluster) => cluster,
        Err(error) => panic!("no cluster: {error}"),
    }
}

/// An API server with what belongs to it.
#[derive(Debug)]
pub struct Cluster {
    // Servers are stopped before their folder is removed: fields are dropped in this order.
    api_server: Mutex<Server>,
    // Held for its drop, and behind a lock because the cluster is shared between threads.
    _others: Mutex<[Server; 2]>,
    port: u16,
    admin: PathBuf,
    routes: egress::Routes,
    sandbox: Sandbox,
}

impl Cluster {
    /// Starts a cluster of one's own, which ends when it is dropped.
    ///
    /// # Panics
    ///
    /// Fails the test when it cannot be started, and says why.
    pub fn start() -> Self {
        Self::start_with_admission("")
    }

    /// The same, with further admission plugins.
    ///
    /// # Panics
    ///
    /// As [`Cluster::start`].
    pub fn start_with_admission(plugins: &str) -> Self {
        Self::try_start(plugins).unwrap_or_else(|error| panic!("no cluster: {error}"))
    }

    fn try_start(admission: &str) -> Result<Self, String> {
        let sandbox = Sandbox::new()?;
        certificates::write(sandbox.path())?;
        let routes = egress::Routes::default();
        egress::serve(&sandbox.path().join("egress.sock"), routes.clone())
            .map_err(|error| format!("cannot serve the way out of the cluster: {error}"))?;
        let (etcd, etcd_url) = start_etcd(&sandbox)?;
        let folder = sandbox.path().to_owned();
        let admin = |port: u16| {
            let user = serde_json::json!({
                "client-certificate": folder.join("admin.crt"),
                "client-key": folder.join("admin.key"),
            });
            write_kubeconfig(&folder, "admin", port, "default", &user)
        };
        let (api_server, port) = start_api_server(&sandbox, &etcd_url, admission, &admin)?;
        let admin = admin(port)?;
        let controller_manager = start_controller_manager(&sandbox, &admin)?;
        Ok(Self {
            api_server: Mutex::new(api_server),
            _others: Mutex::new([controller_manager, etcd]),
            port,
            admin,
            routes,
            sandbox,
        })
    }

    /// A client of the administrator. Each test needs its own: a client belongs to the runtime it was made in.
    pub async fn client(&self) -> Client {
        client_of(&self.admin).await
    }

    /// The administrator's kubeconfig file.
    pub fn kubeconfig(&self) -> &Path {
        &self.admin
    }

    /// The address of the API server.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The port of the API server on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate of the authority that the API server's own certificate comes from.
    pub fn authority(&self) -> PathBuf {
        self.sandbox.path().join("ca.crt")
    }

    /// The folder for whatever else has to vanish with the cluster; servers beside it are started in it.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Creates a namespace for one case; its name begins with `case`.
    pub async fn namespace(&self, case: &str) -> Namespace<'_> {
        self.namespace_named(&format!("{case}-{}", number())).await
    }

    /// Creates a namespace of this very name, for what depends on it.
    pub async fn namespace_named(&self, name: &str) -> Namespace<'_> {
        let client = self.client().await;
        let name = name.to_owned();
        let mut object = NamespaceObject::default();
        object.metadata.name = Some(name.clone());
        let namespaces: Api<NamespaceObject> = Api::all(client.clone());
        namespaces
            .create(&PostParams::default(), &object)
            .await
            .expect("a namespace can be created");
        Namespace {
            cluster: self,
            client,
            name,
        }
    }

    /// Applies manifests by the real `kubectl`, as the administrator, and waits until CustomResourceDefinitions in them are served.
    pub fn apply(&self, manifests: &str) {
        let file = self
            .sandbox
            .path()
            .join(format!("manifests-{}.yaml", number()));
        std::fs::write(&file, manifests).expect("the sandbox can be written");
        let file = file.to_str().expect("a readable path");
        self.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", file]);
        if manifests.contains("kind: CustomResourceDefinition")
            || manifests.contains("\"CustomResourceDefinition\"")
        {
            self.kubectl(&[
                "wait",
                "--for=condition=Established",
                "--timeout=30s",
                "crd",
                "--all",
            ]);
        }
    }

    /// Runs the real `kubectl` as the administrator and returns what it prints; a failure fails the test.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(upstream::kubectl());
        command.arg("--kubeconfig").arg(&self.admin).args(arguments);
        let output = run(&mut command, b"");
        assert!(
            output.status.success(),
            "kubectl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("kubectl prints UTF-8")
    }

    /// Every request so far, oldest first. The API server writes a request down right after it has answered it, so a caller that
    /// waits for one looks again with [`eventually`].
    pub fn requests(&self) -> Vec<Request> {
        requests::read(&self.sandbox.path().join("audit.log"), "")
    }

    /// Every request of a user so far, as [`Cluster::requests`].
    pub fn requests_of(&self, user: &str) -> Vec<Request> {
        requests::read(&self.sandbox.path().join("audit.log"), user)
    }

    /// Kills the API server; watches break and requests are refused until [`Cluster::start_api_server`].
    pub fn stop_api_server(&self) {
        self.api_server.lock().expect(UNPOISONED).stop();
    }

    /// Starts the API server again on the same port, with all of its data.
    ///
    /// # Panics
    ///
    /// Fails the test when it does not come up.
    pub fn start_api_server(&self) {
        let again = self
            .api_server
            .lock()
            .expect(UNPOISONED)
            .start_again(|| answers(&self.admin));
        again.unwrap_or_else(|error| panic!("{error}"));
    }

    fn write_kubeconfig(
        &self,
        name: &str,
        namespace: &str,
        user: &serde_json::Value,
    ) -> Result<PathBuf, String> {
        write_kubeconfig(self.sandbox.path(), name, self.port, namespace, user)
    }
}

/// A namespace for one case.
pub struct Namespace<'a> {
    cluster: &'a Cluster,
    client: Client,
    name: String,
}

impl<'a> Namespace<'a> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cluster it is in.
    pub fn cluster(&self) -> &'a Cluster {
        self.cluster
    }

    /// The administrator's client, of this test's runtime.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The objects of one kind in this namespace, as the administrator.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Creates an object here as the administrator.
    pub async fn create<K>(&self, object: &K) -> K
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize,
        K::DynamicType: Default,
    {
        self.api()
            .create(&PostParams::default(), object)
            .await
            .expect("the administrator may create it")
    }

    async fn create_in_cluster<K>(&self, object: &K) -> K
    where
        K: Resource + Clone + Debug + DeserializeOwned + Serialize,
        K::DynamicType: Default,
    {
        let api: Api<K> = Api::all(self.client.clone());
        api.create(&PostParams::default(), object)
            .await
            .expect("the administrator may create it")
    }
}

/// Asks until there is an answer.
///
/// # Panics
///
/// Fails the test after two minutes, naming `what` was waited for: the garbage collector looks for new kinds of objects only
/// every half minute, and machines under load are slow.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    let mut pause = Duration::from_millis(10);
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "waited in vain: {what}"
        );
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}

/// Runs a program with `input` on its standard input and returns what it printed.
///
/// # Panics
///
/// Fails the test when the program cannot be run at all.
pub fn run(command: &mut Command, input: &[u8]) -> Output {
    let name = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {name}: {error}"));
    let mut pipe = child.stdin.take().expect("standard input is piped");
    std::thread::scope(|scope| {
        // A program that does not read its input to the end is free to do so.
        scope.spawn(move || drop(pipe.write_all(input)));
        child
            .wait_with_output()
            .unwrap_or_else(|error| panic!("cannot run {name}: {error}"))
    })
}

async fn client_of(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig of ours");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("a kubeconfig of ours"))
        .expect("a client of a kubeconfig of ours")
}

fn write_kubeconfig(
    folder: &Path,
    name: &str,
    port: u16,
    namespace: &str,
    user: &serde_json::Value,
) -> Result<PathBuf, String> {
    let text = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "test", "cluster": {
            "server": format!("https://127.0.0.1:{port}"),
            "certificate-authority": folder.join("ca.crt"),
        }}],
        "users": [{ "name": "test", "user": user }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test", "namespace": namespace } }],
        "current-context": "test",
    });
    let path = folder.join(format!("{name}.kubeconfig"));
    let written = std::fs::write(&path, text.to_string());
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(path)
}

/// A number that is new in this process: names, addresses.
fn number() -> u32 {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}
