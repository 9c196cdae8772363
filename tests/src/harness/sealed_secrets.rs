//! The real Sealed Secrets controller, run against the API server of the harness.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use super::cluster::{Namespace, rule, run};
use super::server::{Server, free_port};
use super::upstream;

/// The name that `kubeseal` looks for by default.
pub const CONTROLLER_NAME: &str = "sealed-secrets-controller";

/// Upstream's controller in a namespace, with the rights its own manifests give it, reachable as a Service.
#[derive(Debug)]
pub struct Controller {
    /// The running program; its log is in it.
    pub server: Server,
    /// The loopback port of its HTTP API.
    pub port: u16,
    namespace: String,
    kubeconfig: PathBuf,
}

impl Controller {
    /// Starts the controller with additional `flags` in `namespace` and waits until it serves its certificate. The
    /// SealedSecret CRD has to be there.
    ///
    /// # Panics
    ///
    /// Fails the test when the controller does not come up, and says why.
    pub async fn start(namespace: &Namespace<'_>, flags: &[&str]) -> Self {
        let rules = [
            rule(
                "bitnami.com",
                &["sealedsecrets"],
                &["get", "list", "watch", "update"],
            ),
            rule("bitnami.com", &["sealedsecrets/status"], &["update"]),
            rule(
                "",
                &["secrets"],
                &["get", "list", "watch", "create", "update", "delete"],
            ),
            rule("", &["events"], &["create", "patch"]),
            rule("", &["namespaces"], &["get"]),
        ];
        let account = namespace.cluster_account(CONTROLLER_NAME, &rules).await;
        let program = upstream::sealed_secrets_controller();
        let prepare = || {
            let (port, metrics) = (free_port()?, free_port()?);
            let mut command = account.in_pod(&program);
            command.arg(format!("--listen-addr=127.0.0.1:{port}"));
            command.arg(format!("--listen-metrics-addr=127.0.0.1:{metrics}"));
            command.args(flags);
            Ok((command, port))
        };
        let started = Server::start(
            namespace.cluster().sandbox(),
            namespace.name(),
            prepare,
            |port| {
                TcpStream::connect(("127.0.0.1", *port))
                    .map(drop)
                    .map_err(|error| error.to_string())
            },
        );
        let (server, port) = started.unwrap_or_else(|error| {
            panic!("the Sealed Secrets controller needs to mount over /var/run in a namespace of its own: {error}")
        });
        namespace.expose(CONTROLLER_NAME, 8080, port).await;
        let kubeconfig = namespace.cluster().kubeconfig().to_owned();
        Self {
            server,
            port,
            namespace: namespace.name().to_owned(),
            kubeconfig,
        }
    }

    /// Runs the real `kubeseal` against this controller, found through the service proxy; a failure fails the test.
    pub fn kubeseal(&self, arguments: &[&str], input: &str) -> String {
        let mut command = Command::new(upstream::kubeseal());
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        command.args([
            "--controller-namespace",
            &self.namespace,
            "--controller-name",
            CONTROLLER_NAME,
        ]);
        let output = run(command.args(arguments), input.as_bytes());
        assert!(
            output.status.success(),
            "kubeseal {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("kubeseal prints UTF-8")
    }
}
