//! A namespace with the shipped manifests in it, and our controller running under their ServiceAccount.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use sealwright_crypto::sealing::Certificate;
use sealwright_crypto::secret::SecretBytes;
use sealwright_resources::plain_secret::PlainSecret;
use sealwright_resources::scope::Scope;
use sealwright_resources::sealed_secret::{SealedSecret, seal};
use sealwright_tests::harness::cluster::{Account, Cluster, Namespace, eventually};
use sealwright_tests::harness::server::{Server, free_port};
use sealwright_tests::harness::{programs, upstream};
use serde_json::json;

/// Longer than the controller needs for anything it does at once.
pub(super) const A_MOMENT: Duration = Duration::from_millis(1500);

/// A namespace and the controller that works in it.
pub(super) struct Rig<'a> {
    pub(super) namespace: Namespace<'a>,
    /// The ServiceAccount that is shipped.
    pub(super) account: Account,
    flags: Vec<String>,
    environment: Vec<(&'static str, std::ffi::OsString)>,
    replicas: Vec<Replica>,
}

struct Replica {
    server: Server,
    port: u16,
    metrics: u16,
}

/// Which of the shipped variants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    Namespaced,
    ClusterWide,
}

impl<'a> Rig<'a> {
    /// Starts one controller for a namespace of its own and waits until it is ready.
    pub(super) async fn start(cluster: &'a Cluster, case: &str, flags: &[&str]) -> Self {
        let mut rig = Self::prepare(cluster, case, Variant::Namespaced).await;
        rig.flags
            .extend(flags.iter().map(|flag| (*flag).to_owned()));
        rig.add_replica();
        rig
    }

    /// Applies the manifests to a new namespace and starts nothing.
    pub(super) async fn prepare(cluster: &'a Cluster, case: &str, variant: Variant) -> Self {
        let namespace = cluster.namespace(case).await;
        let account = install(&namespace, variant).await;
        let mut flags = vec![
            "--key-size=2048".to_owned(),
            "--log-level=DEBUG".to_owned(),
            // Tests come from there, and name their own callers.
            "--trusted-proxies=127.0.0.1".to_owned(),
            format!("--kubeconfig={}", account.kubeconfig.display()),
        ];
        flags.extend(shipped_arguments(&namespace).await);
        Self {
            namespace,
            account,
            flags,
            environment: Vec::new(),
            replicas: Vec::new(),
        }
    }

    /// Adds a flag for the replicas to come.
    pub(super) fn flag(&mut self, flag: &str) {
        self.flags.push(flag.to_owned());
    }

    /// Grants the ServiceAccount another namespace, as the comment in deploy/namespaced/kustomization.yaml says.
    pub(super) fn permit_in(&self, other: &Namespace<'_>) {
        let roles = include_str!("../../../../deploy/namespaced/unsealer.yaml");
        let there = format!("namespace: {}", other.name());
        let roles = roles.replace("namespace: kube-system", &there);
        let account = |namespace: &str| {
            format!("name: sealed-secrets-controller\n    namespace: {namespace}")
        };
        assert!(roles.contains(&account(other.name())));
        let roles = roles.replace(&account(other.name()), &account(self.namespace.name()));
        self.namespace.cluster().apply(&roles);
    }

    /// Names the kubeconfig by the variable and not by the flag.
    pub(super) fn kubeconfig_by_variable(&mut self) {
        self.flags.retain(|flag| !flag.starts_with("--kubeconfig="));
        let path = self.account.kubeconfig.clone().into_os_string();
        self.environment.push(("KUBECONFIG", path));
    }

    /// Starts one more controller and waits until it is ready.
    pub(super) fn add_replica(&mut self) {
        let replica = self.launch("/readyz");
        self.replicas.push(replica);
    }

    /// Starts one more controller and waits only until it answers.
    pub(super) fn add_unready_replica(&mut self) {
        let replica = self.launch("/healthz");
        self.replicas.push(replica);
    }

    fn launch(&self, probe: &'static str) -> Replica {
        let prepare = || {
            let (port, metrics) = (free_port()?, free_port()?);
            let mut command = Command::new(programs::sealwright_controller());
            command.env("POD_NAMESPACE", self.namespace.name());
            command.arg(format!("--listen-addr=127.0.0.1:{port}"));
            command.arg(format!("--listen-metrics-addr=127.0.0.1:{metrics}"));
            command.args(&self.flags);
            command.envs(self.environment.iter().cloned());
            Ok((command, (port, metrics)))
        };
        let name = format!("{}-{}", self.namespace.name(), self.replicas.len());
        let sandbox = self.namespace.cluster().sandbox();
        let started = Server::start(sandbox, &name, prepare, |(port, _)| ready(*port, probe));
        let (server, (port, metrics)) = started.unwrap_or_else(|error| panic!("{error}"));
        Replica {
            server,
            port,
            metrics,
        }
    }

    /// Kills a controller with SIGKILL and starts it again.
    pub(super) fn kill_and_restart(&mut self, number: usize) {
        self.kill(number);
        self.restart(number);
    }

    /// Kills a controller with SIGKILL.
    pub(super) fn kill(&mut self, number: usize) {
        self.replicas[number].server.stop();
    }

    /// Starts a controller that was stopped.
    pub(super) fn restart(&mut self, number: usize) {
        let Replica { server, port, .. } = &mut self.replicas[number];
        let port = *port;
        server
            .start_again(|| ready(port, "/readyz"))
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// Starts a controller that was stopped, and waits only until it answers.
    pub(super) fn restart_unready(&mut self, number: usize) {
        let Replica { server, port, .. } = &mut self.replicas[number];
        let port = *port;
        server
            .start_again(|| ready(port, "/healthz"))
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// Asks a controller to end, as a cluster does, and says how it ended.
    pub(super) fn terminate(&mut self, number: usize) -> String {
        self.replicas[number]
            .server
            .terminate(Duration::from_secs(20))
            .unwrap()
    }

    /// The process of a controller.
    pub(super) fn pid(&self, number: usize) -> u32 {
        self.replicas[number].server.pid().unwrap()
    }

    /// Makes the first controller answer for the Service that is shipped.
    pub(super) async fn serve(&self) {
        let port = self.replicas[0].port;
        let name = "sealed-secrets-controller";
        self.namespace.answer_for(name, None, 8080, port).await;
    }

    /// The loopback port of the first controller's HTTP door.
    pub(super) fn port(&self) -> u16 {
        self.replicas[0].port
    }

    /// Everything all controllers printed.
    pub(super) fn logs(&self) -> String {
        self.replicas
            .iter()
            .map(|replica| replica.server.log_text())
            .collect()
    }

    /// A request to the first controller.
    pub(super) fn http(&self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        Reply::to(self.replicas[0].port, method, path, headers, body)
    }

    /// The metrics of a controller.
    pub(super) fn metrics_of(&self, number: usize) -> String {
        Reply::to(self.replicas[number].metrics, "GET", "/metrics", "", "").body
    }

    /// Whether a controller says that it leads; one that does not answer does not.
    pub(super) fn leads(&self, number: usize) -> bool {
        let port = self.replicas[number].metrics;
        let reply = Reply::try_to(port, "GET", "/metrics", "", "");
        reply.is_ok_and(|reply| reply.body.contains("sealwright_leader 1\n"))
    }

    /// The value of one series of the first controller, 0 if there is none.
    pub(super) fn metric(&self, series: &str) -> f64 {
        let prefix = match series.starts_with("sealwright_") {
            true => format!("{series} "),
            false => format!("sealed_secrets_controller_{series} "),
        };
        self.metrics_of(0)
            .lines()
            .find_map(|line| line.strip_prefix(&prefix)?.parse().ok())
            .unwrap_or_default()
    }

    /// The certificate that is served.
    pub(super) fn certificate(&self) -> Certificate {
        let reply = self.http("GET", "/v1/cert.pem", "", "");
        assert_eq!(reply.status, 200, "{}", reply.body);
        Certificate::from_pem(reply.body.as_bytes()).unwrap()
    }

    /// A SealedSecret of this namespace for the certificate that is served.
    pub(super) fn sealed(&self, name: &str, values: &[(&str, &str)]) -> SealedSecret {
        self.sealed_in(Scope::Strict, name, values)
    }

    /// The same in another scope.
    pub(super) fn sealed_in(
        &self,
        scope: Scope,
        name: &str,
        values: &[(&str, &str)],
    ) -> SealedSecret {
        sealed_for(
            &self.certificate(),
            scope,
            self.namespace.name(),
            name,
            values,
        )
    }

    pub(super) fn sealed_secrets(&self) -> Api<SealedSecret> {
        self.namespace.api()
    }

    pub(super) fn secrets(&self) -> Api<Secret> {
        self.namespace.api()
    }

    /// Creates a SealedSecret as the administrator.
    pub(super) async fn create(&self, sealed: &SealedSecret) -> SealedSecret {
        self.sealed_secrets()
            .create(&PostParams::default(), sealed)
            .await
            .unwrap()
    }

    /// Replaces the spec of a SealedSecret.
    pub(super) async fn update(
        &self,
        name: &str,
        change: impl Fn(&mut SealedSecret),
    ) -> SealedSecret {
        loop {
            let mut sealed = self.sealed_secrets().get(name).await.unwrap();
            change(&mut sealed);
            let params = PostParams::default();
            match self.sealed_secrets().replace(name, &params, &sealed).await {
                Ok(sealed) => return sealed,
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(super) async fn create_secret(&self, json: serde_json::Value) -> Secret {
        let secret = serde_json::from_value(json).unwrap();
        self.secrets()
            .create(&PostParams::default(), &secret)
            .await
            .unwrap()
    }

    pub(super) async fn patch_secret(&self, name: &str, patch: serde_json::Value) -> Secret {
        self.secrets()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap()
    }

    pub(super) async fn delete_secret(&self, name: &str) {
        self.secrets()
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    pub(super) async fn secret(&self, name: &str) -> Option<Secret> {
        self.secrets().get_opt(name).await.unwrap()
    }

    /// Waits until the Secret has exactly these values.
    pub(super) async fn eventually_data(&self, name: &str, values: &[(&str, &str)]) -> Secret {
        eventually(&format!("{name} has {values:?}"), async || {
            let secret = self.secret(name).await?;
            (data(&secret) == owned(values)).then_some(secret)
        })
        .await
    }

    /// Waits until the SealedSecret says that it is, or is not, synced in its present generation.
    pub(super) async fn eventually_synced(&self, name: &str, synced: &str) -> SealedSecret {
        eventually(&format!("{name} is Synced={synced}"), async || {
            let sealed = self.sealed_secrets().get_opt(name).await.unwrap()?;
            let status = sealed.status.as_ref()?;
            let current = status.observed_generation == sealed.metadata.generation;
            (current && condition(&sealed, "Synced").status == synced).then_some(sealed)
        })
        .await
    }

    /// The Events about the SealedSecret: type, reason, message, count.
    pub(super) async fn events(&self, name: &str) -> Vec<(String, String, String, i32)> {
        let events: Api<Event> = self.namespace.api();
        let list = events.list(&ListParams::default()).await.unwrap();
        list.items
            .into_iter()
            .filter(|event| event.involved_object.name.as_deref() == Some(name))
            .map(|event| {
                let source = event.source.unwrap_or_default();
                assert_eq!(source.component.as_deref(), Some("sealed-secrets"));
                (
                    event.type_.unwrap_or_default(),
                    event.reason.unwrap_or_default(),
                    event.message.unwrap_or_default(),
                    event.count.unwrap_or_default(),
                )
            })
            .collect()
    }

    pub(super) async fn eventually_event(&self, name: &str, reason: &str) -> String {
        eventually(&format!("{name} has an event {reason}"), async || {
            let events = self.events(name).await;
            events
                .into_iter()
                .find(|(_, known, _, _)| known == reason)
                .map(|(_, _, message, _)| message)
        })
        .await
    }

    /// The Lease that the replicas compete for.
    pub(super) async fn lease(&self) -> Lease {
        let leases: Api<Lease> = self.namespace.api();
        leases.get("sealed-secrets-controller").await.unwrap()
    }

    /// The names of the active key Secrets.
    pub(super) async fn key_names(&self) -> Vec<String> {
        let selector = "sealedsecrets.bitnami.com/sealed-secrets-key=active";
        let params = ListParams::default().labels(selector);
        let list = self.secrets().list(&params).await.unwrap();
        list.items
            .into_iter()
            .filter_map(|secret| secret.metadata.name)
            .collect()
    }
}

/// An answer of the HTTP door.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn to(port: u16, method: &str, path: &str, headers: &str, body: &str) -> Self {
        Self::try_to(port, method, path, headers, body).unwrap()
    }

    fn try_to(
        port: u16,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> std::io::Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        )?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        Ok(Self {
            status: head
                .split(' ')
                .nth(1)
                .and_then(|code| code.parse().ok())
                .unwrap_or_default(),
            head: head.to_owned(),
            body: body.to_owned(),
        })
    }
}

fn ready(port: u16, probe: &str) -> Result<(), String> {
    let reply = Reply::try_to(port, "GET", probe, "", "").map_err(|error| error.to_string())?;
    match reply.status {
        200 => Ok(()),
        other => Err(format!("{probe} answers {other}")),
    }
}

/// Seals values for a certificate.
pub(crate) fn sealed_for(
    certificate: &Certificate,
    scope: Scope,
    namespace: &str,
    name: &str,
    values: &[(&str, &str)],
) -> SealedSecret {
    let mut secret = PlainSecret::named(namespace, name);
    scope.annotate(&mut secret.metadata);
    for (key, value) in values {
        secret.insert(key, SecretBytes::copy_of(value.as_bytes()));
    }
    seal(&secret, certificate, scope).unwrap()
}

/// The values of a Secret as text.
pub(super) fn data(secret: &Secret) -> BTreeMap<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let data = secret.data.iter().flatten();
    data.map(|(key, value)| (key.clone(), text(&value.0)))
        .collect()
}

fn owned(values: &[(&str, &str)]) -> BTreeMap<String, String> {
    values
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// One condition of a SealedSecret.
pub(crate) fn condition(
    sealed: &SealedSecret,
    kind: &str,
) -> sealwright_resources::condition::Condition {
    let conditions = &sealed.status.as_ref().expect("a status").conditions;
    let found = conditions.iter().find(|condition| condition.kind == kind);
    found
        .unwrap_or_else(|| panic!("no condition {kind} in {conditions:?}"))
        .clone()
}

/// The resource version of a Secret.
pub(super) fn version(secret: &Secret) -> String {
    secret.metadata.resource_version.clone().unwrap()
}

/// The arguments in the Deployment that was applied.
async fn shipped_arguments(namespace: &Namespace<'_>) -> Vec<String> {
    let deployments: Api<Deployment> = namespace.api();
    let deployment = deployments.get("sealed-secrets-controller").await.unwrap();
    let pod = deployment.spec.unwrap().template.spec.unwrap();
    pod.containers[0].args.clone().unwrap_or_default()
}

/// Applies what `deploy/` ships, for this namespace, and gives their ServiceAccount.
async fn install(namespace: &Namespace<'_>, variant: Variant) -> Account {
    let name = namespace.name();
    let folder = match variant {
        Variant::Namespaced => "namespaced",
        Variant::ClusterWide => "cluster-wide",
    };
    let folder = format!("{}/../deploy/{folder}", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(upstream::kubectl())
        .args(["kustomize", &folder])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let manifests = String::from_utf8(output.stdout).unwrap();
    namespace
        .cluster()
        .apply(&manifests.replace("namespace: kube-system", &format!("namespace: {name}")));
    let account = namespace
        .existing_account("sealed-secrets-controller")
        .await;
    // The API server learns of roles a moment later.
    let client = namespace.cluster().client().await;
    let reviews: Api<k8s_openapi::api::authorization::v1::SubjectAccessReview> = Api::all(client);
    for (group, resource) in [("bitnami.com", "sealedsecrets"), ("", "secrets")] {
        let review = serde_json::from_value(json!({"spec": {
            "user": format!("system:serviceaccount:{name}:sealed-secrets-controller"),
            "resourceAttributes": {"group": group, "resource": resource, "verb": "get", "namespace": name},
        }}))
        .unwrap();
        eventually("the API server knows the roles", async || {
            let answer = reviews.create(&PostParams::default(), &review).await.ok()?;
            answer.status.filter(|status| status.allowed).map(drop)
        })
        .await;
    }
    account
}
