//! F6: controllers on a real API server, from a cold start, after a restart, and with a new object in between.
//!
//! A controller is no command that ends, so it is measured from the outside: it is done when its own metrics say of every
//! object that it is synced, and the Secrets are there. Each side has a namespace of its own with a key and objects of
//! its own, in the same cluster, one after the other, under the roles that its own manifests give it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams, PostParams};
use sealwright_crypto::sealing::{Certificate, PrivateKey};
use sealwright_crypto::secret::SecretBytes;
use sealwright_resources::plain_secret::PlainSecret;
use sealwright_resources::scope::Scope;
use sealwright_resources::sealed_secret::{SealedSecret, custom_resource_definition, seal};
use serde_json::json;

use super::{Measured, Taken};
use crate::harness::cluster::{Account, Cluster, Namespace, rule};
use crate::harness::server::{Server, free_port};
use crate::harness::{programs, upstream};

/// Values in each object.
const VALUES: usize = 5;
/// How many objects upstream gets at its defaults, which let it make five requests a second.
const FEW: usize = 100;
/// How many it gets without that limit.
const MANY: usize = 1000;
/// How many the figure speaks of.
const MOST: usize = 4000;
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(900);

/// Measures all that F6 is made of.
pub(super) fn measure() -> Result<Vec<Measured>, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| format!("cannot start a runtime: {error}"))?;
    runtime.block_on(async {
        let cluster = Cluster::start();
        let crd = custom_resource_definition();
        cluster.apply(&serde_json::to_string(&crd).expect("a CRD is JSON"));
        let theirs = Program::Theirs { limits: true };
        let few_theirs = run(&cluster, theirs, FEW).await?;
        let few_ours = run(&cluster, Program::Ours, FEW).await?;
        let theirs = Program::Theirs { limits: false };
        let many_theirs = run(&cluster, theirs, MANY).await?;
        let many_ours = run(&cluster, Program::Ours, MANY).await?;
        let most_ours = run(&cluster, Program::Ours, MOST).await?;
        let row = |name, title: &str, sides| Measured {
            name,
            title: title.to_owned(),
            sides,
        };
        Ok(vec![
            row(
                "F6-defaults",
                "cold start with 100 SealedSecrets, both at their defaults",
                vec![few_theirs.cold, few_ours.cold],
            ),
            row(
                "F6-cold",
                "cold start with 1,000 SealedSecrets, upstream without its limits",
                vec![many_theirs.cold, many_ours.cold],
            ),
            row(
                "F6-cold-4000",
                "cold start with 4,000 SealedSecrets, sealwright alone",
                vec![most_ours.cold],
            ),
            row(
                "F6-new",
                "a new object during the cold start, of 1,000 and of 4,000",
                vec![many_theirs.new, many_ours.new, most_ours.new],
            ),
            row(
                "F6-restart",
                "restart with 1,000 SealedSecrets, nothing changed",
                vec![many_theirs.restart, many_ours.restart],
            ),
            row(
                "F6-restart-4000",
                "restart with 4,000 SealedSecrets, nothing changed, sealwright alone",
                vec![most_ours.restart],
            ),
        ])
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Program {
    /// Upstream, with the limits of its client or without.
    Theirs {
        limits: bool,
    },
    Ours,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Theirs { .. } => "controller",
            Self::Ours => "sealwright-controller",
        }
    }

    async fn account(self, namespace: &Namespace<'_>) -> Result<Account, String> {
        if self == Self::Ours {
            apply_shipped(namespace)?;
            return Ok(namespace
                .existing_account("sealed-secrets-controller")
                .await);
        }
        let rules = [
            rule("bitnami.com", &["sealedsecrets"], &["get", "list", "watch"]),
            rule("bitnami.com", &["sealedsecrets/status"], &["update"]),
            rule(
                "",
                &["secrets"],
                &["get", "list", "create", "update", "delete", "watch"],
            ),
            rule("", &["events"], &["create", "patch"]),
            rule("", &["namespaces"], &["get"]),
        ];
        Ok(namespace
            .cluster_account("sealed-secrets-controller", &rules)
            .await)
    }

    fn command(self, account: &Account) -> Command {
        let mut command = match self {
            Self::Theirs { .. } => account.in_pod(&upstream::sealed_secrets_controller()),
            Self::Ours => account.in_pod(&programs::sealwright_controller()),
        };
        command.arg("--all-namespaces=false");
        // As the Deployment says: a container that is restarted in its Pod keeps its Lease.
        command.env("POD_NAME", "bench-0").env("POD_UID", "bench");
        if self == (Self::Theirs { limits: false }) {
            command.arg("--kubeclient-qps=-1");
        }
        command
    }
}

/// What one side took.
struct Figures {
    cold: Taken,
    new: Taken,
    restart: Taken,
}

async fn run(cluster: &Cluster, program: Program, count: usize) -> Result<Figures, String> {
    let namespace = cluster.namespace(&format!("f6-{count}")).await;
    let account = program.account(&namespace).await?;
    let certificate = create_key(&namespace).await?;
    create_objects(&namespace, &certificate, count).await?;
    let new = sealed(&namespace, &certificate, "new")?;

    let prepare = || {
        let (port, metrics) = (free_port()?, free_port()?);
        let mut command = program.command(&account);
        command.arg(format!("--listen-addr=127.0.0.1:{port}"));
        command.arg(format!("--listen-metrics-addr=127.0.0.1:{metrics}"));
        Ok((command, metrics))
    };
    let listens = |port: &u16| synced(*port).map(drop);
    let start = Instant::now();
    let (mut server, port) = Server::start(cluster.sandbox(), namespace.name(), prepare, listens)?;
    wait_for(port, count / 10 + 1).await?;
    let new_took = create_and_wait(&namespace, &new).await?;
    wait_for(port, count + 1).await?;
    let name = program.name();
    let cold = taken(name, start.elapsed(), server.pid())?;
    check(&namespace, count + 1).await?;

    server.stop();
    let start = Instant::now();
    server.start_again(|| listens(&port))?;
    wait_for(port, count + 1).await?;
    let restart = taken(name, start.elapsed(), server.pid())?;
    server.stop();
    let new = Taken {
        milliseconds: milliseconds(new_took),
        all_milliseconds: vec![milliseconds(new_took)],
        ..cold.clone()
    };
    Ok(Figures { cold, new, restart })
}

/// Applies the namespaced variant of what this repository ships.
fn apply_shipped(namespace: &Namespace<'_>) -> Result<(), String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/namespaced");
    let output = Command::new(upstream::kubectl())
        .arg("kustomize")
        .arg(folder)
        .output()
        .map_err(|error| format!("cannot run kubectl: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let manifests = String::from_utf8_lossy(&output.stdout);
    let here = format!("namespace: {}", namespace.name());
    namespace
        .cluster()
        .apply(&manifests.replace("namespace: kube-system", &here));
    Ok(())
}

async fn create_key(namespace: &Namespace<'_>) -> Result<Certificate, String> {
    let failed = |error: &dyn std::fmt::Display| format!("cannot make a sealing key: {error}");
    let key = PrivateKey::generate(4096).map_err(|error| failed(&error))?;
    // As old as it is now: neither side makes another one meanwhile.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_err(|error| failed(&error))?.as_secs();
    let now = i64::try_from(now).map_err(|error| failed(&error))?;
    let certificate =
        Certificate::self_signed(&key, "", now, 86_400).map_err(|error| failed(&error))?;
    let pem = key.to_pkcs1_pem().map_err(|error| failed(&error))?;
    let secret = json!({
        "metadata": {"name": "bench-key", "labels": {"sealedsecrets.bitnami.com/sealed-secrets-key": "active"}},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.key": String::from_utf8_lossy(pem.expose()), "tls.crt": certificate.to_pem()},
    });
    let secret: Secret = serde_json::from_value(secret).map_err(|error| failed(&error))?;
    namespace.create(&secret).await;
    Ok(certificate)
}

fn sealed(
    namespace: &Namespace<'_>,
    certificate: &Certificate,
    name: &str,
) -> Result<SealedSecret, String> {
    let mut secret = PlainSecret::named(namespace.name(), name);
    for value in 0..VALUES {
        let text = format!("hidden value {value} of {name}");
        secret.insert(
            &format!("value-{value}"),
            SecretBytes::copy_of(text.as_bytes()),
        );
    }
    seal(&secret, certificate, Scope::Strict).map_err(|error| error.to_string())
}

async fn create_objects(
    namespace: &Namespace<'_>,
    certificate: &Certificate,
    count: usize,
) -> Result<(), String> {
    let api: Api<SealedSecret> = namespace.api();
    let create = |number: usize| {
        let object = sealed(namespace, certificate, &format!("s{number}"));
        let api = &api;
        async move {
            let created = api.create(&PostParams::default(), &object?).await;
            created.map(drop).map_err(|error| error.to_string())
        }
    };
    let mut all = futures::stream::iter((0..count).map(create)).buffer_unordered(20);
    while let Some(created) = all.next().await {
        created?;
    }
    Ok(())
}

/// What a controller says of itself.
pub(super) fn metrics(port: u16) -> Result<String, String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    ask().map_err(|error| error.to_string())
}

/// How many objects the controller says to be synced.
fn synced(port: u16) -> Result<usize, String> {
    let text = metrics(port)?;
    let series = text.lines().filter(|line| {
        line.starts_with("sealed_secrets_controller_condition_info{")
            && line.contains("condition=\"Synced\"")
            && line.ends_with(" 1")
    });
    Ok(series.count())
}

async fn wait_for(port: u16, count: usize) -> Result<(), String> {
    let start = Instant::now();
    loop {
        let now = synced(port)?;
        if now >= count {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            return Err(format!(
                "{now} of {count} objects are synced after {} s",
                PATIENCE.as_secs()
            ));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn create_and_wait(
    namespace: &Namespace<'_>,
    new: &SealedSecret,
) -> Result<Duration, String> {
    let start = Instant::now();
    namespace.create(new).await;
    let secrets: Api<Secret> = namespace.api();
    while start.elapsed() < PATIENCE {
        let found = secrets.get_metadata_opt("new").await;
        if found.map_err(|error| error.to_string())?.is_some() {
            return Ok(start.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err("the new object was never unsealed".to_owned())
}

/// A program that does nothing is not fast.
async fn check(namespace: &Namespace<'_>, count: usize) -> Result<(), String> {
    let secrets: Api<Secret> = namespace.api();
    let made = secrets
        .list(&ListParams::default())
        .await
        .map_err(|error| error.to_string())?;
    let right = made.iter().filter(|secret| {
        let name = secret.metadata.name.as_deref().unwrap_or_default();
        let data = secret.data.as_ref();
        let value = data.and_then(|data| data.get("value-0"));
        value.is_some_and(|value| value.0 == format!("hidden value 0 of {name}").as_bytes())
    });
    match right.count() {
        right if right == count => Ok(()),
        right => Err(format!("{right} of {count} Secrets are right")),
    }
}

pub(super) fn taken(name: &'static str, wall: Duration, pid: Option<u32>) -> Result<Taken, String> {
    let pid = pid.ok_or_else(|| format!("{name} does not run"))?;
    let read = |file: &str| {
        fs::read_to_string(format!("/proc/{pid}/{file}"))
            .map_err(|error| format!("cannot read /proc/{pid}/{file}: {error}"))
    };
    // User and system time are the 14th and 15th field, in hundredths of a second; the name may hold blanks.
    let stat = read("stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    Ok(Taken {
        name,
        milliseconds: milliseconds(wall),
        all_milliseconds: vec![milliseconds(wall)],
        processor_milliseconds: ticks * 10.0,
        peak_mib: memory(pid, "VmHWM:")?,
    })
}

/// A line of a process's status that is an amount of memory, in MiB.
pub(super) fn memory(pid: u32, line: &str) -> Result<f64, String> {
    let path = format!("/proc/{pid}/status");
    let status =
        fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
    let words = status.lines().find_map(|text| text.strip_prefix(line));
    let kib = words.and_then(|words| words.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.ok_or_else(|| format!("{path} has no {line}"))? / 1024.0)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
