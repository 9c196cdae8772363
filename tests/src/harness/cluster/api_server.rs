//! How etcd, the API server and the controller manager are started.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::Api;

use super::client_of;
use crate::harness::sandbox::Sandbox;
use crate::harness::server::{Server, free_port};
use crate::harness::upstream::program;

pub(super) fn start_etcd(sandbox: &Sandbox) -> Result<(Server, String), String> {
    let data = sandbox.folder("etcd")?;
    let prepare = || {
        let (client, peer) = (free_port()?, free_port()?);
        let (client, peer) = (
            format!("http://127.0.0.1:{client}"),
            format!("http://127.0.0.1:{peer}"),
        );
        let mut command = Command::new(program("etcd"));
        command.arg("--data-dir").arg(&data).args([
            "--listen-client-urls",
            &client,
            "--advertise-client-urls",
            &client,
        ]);
        command.args([
            "--listen-peer-urls",
            &peer,
            "--initial-advertise-peer-urls",
            &peer,
        ]);
        command.args([
            "--initial-cluster",
            &format!("default={peer}"),
            "--unsafe-no-fsync",
            "--log-level",
            "warn",
        ]);
        Ok((command, client))
    };
    // The API server is what really asks etcd; a listener is enough to start it.
    Server::start(sandbox, "etcd", prepare, |client| connects(client))
}

pub(super) fn start_api_server(
    sandbox: &Sandbox,
    etcd: &str,
    admission: &str,
    write_kubeconfig: &dyn Fn(u16) -> Result<PathBuf, String>,
) -> Result<(Server, u16), String> {
    let folder = sandbox.path();
    let socket = folder.join("egress.sock");
    write(
        folder,
        "egress.yaml",
        &format!(
            "apiVersion: apiserver.k8s.io/v1beta1\nkind: EgressSelectorConfiguration\negressSelections:\n- name: cluster\n  connection:\n    \
         proxyProtocol: HTTPConnect\n    transport: {{uds: {{udsName: {}}}}}\n",
            socket.display()
        ),
    )?;
    write(
        folder,
        "audit.yaml",
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n",
    )?;
    let prepare = || {
        let port = free_port()?;
        let kubeconfig = write_kubeconfig(port)?;
        let file = |flag: &str, name: &str| format!("--{flag}={}", folder.join(name).display());
        let mut command = Command::new(program("kube-apiserver"));
        command
            .arg(format!("--etcd-servers={etcd}"))
            .arg(format!("--secure-port={port}"));
        command.args([
            file("tls-cert-file", "server.crt"),
            file("tls-private-key-file", "server.key"),
            file("client-ca-file", "ca.crt"),
            file("service-account-key-file", "accounts.pub"),
            file("service-account-signing-key-file", "accounts.key"),
            file("egress-selector-config-file", "egress.yaml"),
            file("audit-policy-file", "audit.yaml"),
            file("audit-log-path", "audit.log"),
            file("cert-dir", "apiserver"),
        ]);
        command.args([
            "--bind-address=127.0.0.1",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.0.0.0/16",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
            "--allow-privileged=true",
        ]);
        if !admission.is_empty() {
            command.arg(format!("--enable-admission-plugins={admission}"));
        }
        Ok((command, (port, kubeconfig)))
    };
    let (server, (port, _)) =
        Server::start(sandbox, "kube-apiserver", prepare, |(_, kubeconfig)| {
            answers(kubeconfig)
        })?;
    Ok((server, port))
}

pub(super) fn start_controller_manager(
    sandbox: &Sandbox,
    kubeconfig: &Path,
) -> Result<Server, String> {
    let prepare = || {
        let file = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
        let mut command = Command::new(program("kube-controller-manager"));
        command.args([
            file("kubeconfig", kubeconfig),
            file(
                "service-account-private-key-file",
                &sandbox.path().join("accounts.key"),
            ),
            file("root-ca-file", &sandbox.path().join("ca.crt")),
        ]);
        command.args([
            "--leader-elect=false",
            "--use-service-account-credentials=false",
            "--secure-port=0",
            "--controllers=garbage-collector-controller,namespace-controller,serviceaccount-controller,\
             serviceaccount-token-controller,root-ca-certificate-publisher-controller,clusterrole-aggregation-controller",
        ]);
        Ok((command, ()))
    };
    let (server, ()) = Server::start(sandbox, "kube-controller-manager", prepare, |()| {
        ask(kubeconfig, async |client| {
            let accounts: Api<ServiceAccount> = Api::namespaced(client, "default");
            accounts.get("default").await.map(drop)
        })
    })?;
    Ok(server)
}

/// Whether the API server is up with all of its start hooks done, RBAC's built-in roles among them.
pub(super) fn answers(kubeconfig: &Path) -> Result<(), String> {
    let readyz = http::Request::get("/readyz")
        .body(Vec::new())
        .expect("a constant request");
    ask(kubeconfig, async |client| {
        client.request_text(readyz).await.map(drop)
    })
}

/// One question to the API server, in a runtime of its own, because the harness is started inside of any test's.
fn ask<F>(kubeconfig: &Path, question: F) -> Result<(), String>
where
    F: AsyncFnOnce(kube::Client) -> kube::Result<()> + Send,
{
    thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let runtime = runtime.map_err(|error| error.to_string())?;
            runtime.block_on(async {
                let client = client_of(kubeconfig).await;
                question(client).await.map_err(|error| error.to_string())
            })
        });
        asking
            .join()
            .map_err(|_| "the question to the API server failed".to_owned())?
    })
}

fn connects(url: &str) -> Result<(), String> {
    let address = url.trim_start_matches("http://");
    std::net::TcpStream::connect(address)
        .map(drop)
        .map_err(|error| format!("{address}: {error}"))
}

fn write(folder: &Path, name: &str, text: &str) -> Result<(), String> {
    std::fs::write(folder.join(name), text).map_err(|error| format!("cannot write {name}: {error}"))
}
