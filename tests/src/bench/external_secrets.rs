//! F7: ExternalSecrets of a real API server over the keys of an OpenBao.
//!
//! What counts beside the time is how often the vault was asked, by its own audit log. The incumbent asks twice for each
//! object with two values, whatever the keys.

use std::process::Command;
use std::time::{Duration, Instant};

use super::controller::{metrics, taken};
use super::{Measured, Taken};
use crate::harness::cluster::{Cluster, Namespace};
use crate::harness::load::Load;
use crate::harness::openbao::OpenBao;
use crate::harness::programs;
use crate::harness::server::{Server, free_port};

const LOAD: Load = Load {
    objects: 1000,
    keys: 50,
    interval: "1h",
};
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(600);

/// Measures all that F7 is made of.
pub(super) fn measure() -> Result<Vec<Measured>, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| format!("cannot start a runtime: {error}"))?;
    runtime.block_on(async {
        let cluster = Cluster::start();
        let definitions = sealwright_resources::external_secrets_definitions(false);
        let all: Vec<String> = definitions.iter().map(ToString::to_string).collect();
        cluster.apply(&all.join("\n---\n"));
        let bao = OpenBao::start()?;
        let namespace = cluster.namespace("f7").await;
        LOAD.create(&namespace, &bao, &bao.address()).await?;
        let (cold, calls) = cold_start(&cluster, &namespace, &bao).await?;
        let title = format!(
            "cold start with {} ExternalSecrets x 2 values over {} keys, sealwright alone: {calls} reads of the vault",
            LOAD.objects, LOAD.keys
        );
        Ok(vec![Measured {
            name: "F7-cold",
            title,
            sides: vec![cold],
        }])
    })
}

/// From the start of the controller until every object is synced; with the number of reads.
async fn cold_start(
    cluster: &Cluster,
    namespace: &Namespace<'_>,
    bao: &OpenBao,
) -> Result<(Taken, usize), String> {
    let prepare = || {
        let (live, port) = (free_port()?, free_port()?);
        let mut command = Command::new(programs::sealwright_controller());
        command.arg("external-secrets");
        command.env("KUBECONFIG", cluster.kubeconfig());
        command.arg(format!("--namespace={}", namespace.name()));
        command.arg(format!("--live-addr=127.0.0.1:{live}"));
        command.arg(format!("--metrics-addr=127.0.0.1:{port}"));
        Ok((command, port))
    };
    let ready = |port: &u16| metrics(*port).map(drop);
    let start = Instant::now();
    let (server, port) = Server::start(cluster.sandbox(), "f7", prepare, ready)?;
    loop {
        let text = metrics(port)?;
        let synced = Load::ready(&text);
        if synced >= LOAD.objects {
            break;
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("{synced} of {} objects are synced", LOAD.objects));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let cold = taken("sealwright-controller", start.elapsed(), server.pid())?;
    Ok((cold, Load::reads(namespace, bao)))
}
