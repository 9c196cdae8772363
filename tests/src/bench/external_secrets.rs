//! F7: ExternalSecrets of a real API server over the keys of an OpenBao.
//!
//! What counts beside the time is how often the vault was asked, by its own audit log. Upstream asks twice for each
//! object with two values, whatever the keys. Then the objects are refreshed at a short interval, and each is watched until its
//! next refresh: how late that is.

use std::process::Command;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;

use super::controller::{memory, metrics, taken};
use super::lateness::Lateness;
use super::{Measured, Taken, is_chosen};
use crate::harness::cluster::{Cluster, Namespace};
use crate::harness::load::Load;
use crate::harness::openbao::OpenBao;
use crate::harness::programs;
use crate::harness::server::{Server, free_port};

/// What every run measures.
const USUAL: &[Size] = &[Size {
    cold: "F7-cold",
    refresh: "F7-refresh",
    new: "F7-new",
    late: "F7-late",
    objects: 1000,
    keys: 50,
    every: Duration::from_secs(30),
}];
/// What is measured when it is asked for by name.
const LARGE: &[Size] = &[
    Size {
        cold: "F7-10000-cold",
        refresh: "F7-10000-refresh",
        new: "F7-10000-new",
        late: "F7-10000-late",
        objects: 10_000,
        keys: 500,
        every: Duration::from_secs(300),
    },
    Size {
        cold: "F7-20000-cold",
        refresh: "F7-20000-refresh",
        new: "F7-20000-new",
        late: "F7-20000-late",
        objects: 20_000,
        keys: 1000,
        every: Duration::from_secs(600),
    },
];
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(900);
/// A time at which nothing was refreshed: an object whose status says it is due.
const LONG_AGO: &str = "2020-01-01T00:00:00Z";
/// A new object is created so often while all others are refreshed.
const PAUSE: Duration = Duration::from_millis(100);

/// A load, and the names of its rows.
struct Size {
    cold: &'static str,
    refresh: &'static str,
    new: &'static str,
    late: &'static str,
    objects: usize,
    keys: usize,
    /// The interval at which their lateness is measured.
    every: Duration,
}

/// Measures the rows of F7 that are chosen: the large ones only by a name of theirs.
pub(super) fn measure(names: &[String]) -> Result<Vec<Measured>, String> {
    let large = |size: &&Size| {
        let prefix = size.cold.trim_end_matches("-cold");
        names.iter().any(|name| name.starts_with(prefix))
    };
    let mut sizes: Vec<&Size> = LARGE.iter().filter(large).collect();
    if sizes.is_empty() {
        sizes.extend(USUAL);
    }
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
        let mut measured = Vec::new();
        for size in sizes {
            let wants_late = is_chosen(size.late, names);
            measured.extend(size.measure(&cluster, &bao, wants_late).await?);
        }
        Ok(measured)
    })
}

impl Size {
    /// Measures the rows of this size. Lateness is left out unless it is wanted, because it takes longer than all the other rows.
    async fn measure(
        &self,
        cluster: &Cluster,
        bao: &OpenBao,
        wants_late: bool,
    ) -> Result<Vec<Measured>, String> {
        let load = Load {
            objects: self.objects,
            keys: self.keys,
            interval: "1h",
        };
        let namespace = cluster.namespace(&format!("f7-{}", self.objects)).await;
        load.create(&namespace, bao, &bao.address()).await?;
        let (objects, keys) = (self.objects, self.keys);

        // The API server keeps whole seconds of their creation, and what was read within that second is too old for them.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut controller = Controller::start(cluster, &namespace)?;
        let took = controller.watch.wait(|text| Load::ready(text) >= objects)?;
        let cold = controller.taken(took)?;
        let cold_reads = Load::reads(&namespace, bao);
        let settled = controller.resident()?;
        controller.server.stop();

        make_due(&namespace, objects).await?;
        let mut controller = Controller::start(cluster, &namespace)?;
        let watch = controller.watch;
        watch.wait(|text| refreshed(text, objects) > 0)?;
        let all_refreshed = tokio::task::spawn_blocking(move || {
            watch.wait(|text| refreshed(text, objects) >= objects)
        });
        let mut new = Vec::new();
        while new.is_empty() || !all_refreshed.is_finished() {
            let created = Instant::now();
            let number = objects + new.len();
            load.create_one(&namespace, number).await?;
            wait_for_one(&namespace, &format!("es-{number}")).await?;
            new.push(created.elapsed());
            tokio::time::sleep(PAUSE).await;
        }
        let took = all_refreshed.await.map_err(|error| error.to_string())??;
        let refresh = controller.taken(took)?;
        let refresh_reads = Load::reads(&namespace, bao) - cold_reads;
        check(&namespace).await?;
        let (all, every) = (objects + new.len(), self.every);
        let late = match wants_late {
            true => {
                let lateness = Lateness::measure(&external_secrets(&namespace), all, every).await?;
                Some((
                    lateness,
                    controller.taken(controller.watch.start.elapsed())?,
                ))
            }
            false => None,
        };
        controller.server.stop();

        new.sort();
        let worst = new[new.len() * 99 / 100].as_secs_f64() * 1000.0;
        let new_ones = Taken {
            milliseconds: new[new.len() / 2].as_secs_f64() * 1000.0,
            all_milliseconds: new.iter().map(|took| took.as_secs_f64() * 1000.0).collect(),
            ..refresh.clone()
        };
        let row = |name, title, side| Measured {
            name,
            title,
            sides: vec![side],
        };
        let mut rows = vec![
            row(
                self.cold,
                format!(
                    "cold start with {objects} ExternalSecrets x 2 values over {keys} keys, sealwright alone: {cold_reads} reads of the vault, \
                     {settled:.1} MiB afterwards"
                ),
                cold,
            ),
            row(
                self.refresh,
                format!("all {objects} are due at once: {refresh_reads} reads of the vault"),
                refresh,
            ),
            row(
                self.new,
                format!(
                    "a new one meanwhile, until it is ready: the median of {}; 99 of 100 within {worst:.0} ms",
                    new.len()
                ),
                new_ones,
            ),
        ];
        if let Some((lateness, steady)) = late {
            let title = format!(
                "how late each of {all} is at an interval of {} s, until its status is seen: the median; 99 of 100 at most {:.0} ms, \
                 the earliest {:.0} ms early",
                every.as_secs(),
                lateness.of_hundred(99),
                lateness.of_hundred(0).min(0.0).abs()
            );
            let taken = Taken {
                milliseconds: lateness.of_hundred(50).max(0.0),
                all_milliseconds: lateness.all().to_vec(),
                ..steady
            };
            rows.push(row(self.late, title, taken));
        }
        Ok(rows)
    }
}

/// The controller of a namespace.
struct Controller {
    server: Server,
    watch: Watch,
}

impl Controller {
    fn start(cluster: &Cluster, namespace: &Namespace<'_>) -> Result<Self, String> {
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
        Ok(Self {
            server,
            watch: Watch { port, start },
        })
    }

    fn taken(&self, time: Duration) -> Result<Taken, String> {
        taken("sealwright-controller", time, self.server.pid())
    }

    /// What it holds now, in MiB.
    fn resident(&self) -> Result<f64, String> {
        let pid = self.server.pid().ok_or("the controller does not run")?;
        memory(pid, "VmRSS:")
    }
}

/// Reads the metrics of a controller.
#[derive(Clone, Copy)]
struct Watch {
    port: u16,
    start: Instant,
}

impl Watch {
    /// Waits until the metrics say so, and tells how long after the start that was. They grow with the objects: to read them takes at
    /// most a tenth of the time.
    fn wait(self, done: impl Fn(&str) -> bool) -> Result<Duration, String> {
        loop {
            let asked = Instant::now();
            if done(&metrics(self.port)?) {
                return Ok(self.start.elapsed());
            }
            if self.start.elapsed() > PATIENCE {
                return Err(format!("not done after {} s", PATIENCE.as_secs()));
            }
            std::thread::sleep((asked.elapsed() * 9).max(Duration::from_millis(50)));
        }
    }
}

/// How many of the first objects the controller has handled since it was started.
fn refreshed(metrics: &str, objects: usize) -> usize {
    let series = metrics.lines();
    let series = series.filter(|line| line.starts_with("externalsecret_sync_calls_total{"));
    let numbers = series.filter_map(|line| line.split_once("name=\"es-")?.1.split('"').next());
    let numbers = numbers.filter_map(|number| number.parse::<usize>().ok());
    numbers.filter(|number| *number < objects).count()
}

fn external_secrets(namespace: &Namespace<'_>) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("external-secrets.io", "v1", "ExternalSecret");
    let resource = ApiResource::from_gvk(&kind);
    Api::namespaced_with(namespace.client().clone(), namespace.name(), &resource)
}

/// Lets the status of every object say that it was refreshed long ago.
async fn make_due(namespace: &Namespace<'_>, objects: usize) -> Result<(), String> {
    let api = external_secrets(namespace);
    let status = Patch::Merge(json!({"status": {"refreshTime": LONG_AGO}}));
    let patch = |number: usize| {
        let (api, status) = (&api, &status);
        async move {
            let name = format!("es-{number}");
            let parameters = PatchParams::default();
            let patched = api.patch_status(&name, &parameters, status).await;
            patched.map(drop).map_err(|error| error.to_string())
        }
    };
    let mut all = stream::iter((0..objects).map(patch)).buffer_unordered(20);
    while let Some(patched) = all.next().await {
        patched?;
    }
    Ok(())
}

async fn wait_for_one(namespace: &Namespace<'_>, name: &str) -> Result<(), String> {
    let api = external_secrets(namespace);
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let object = api.get(name).await.map_err(|error| error.to_string())?;
        if object.data["status"]["conditions"][0]["status"] == "True" {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(format!("{name} is never ready"))
}

/// A program that does nothing is not fast.
async fn check(namespace: &Namespace<'_>) -> Result<(), String> {
    let (api, parameters) = (external_secrets(namespace), ListParams::default());
    let all = api.list(&parameters).await;
    let all = all.map_err(|error| error.to_string())?;
    let old = all.iter().filter(|object| {
        let time = object.data["status"]["refreshTime"].as_str();
        time.is_none_or(|time| time <= LONG_AGO)
    });
    match old.count() {
        0 => Ok(()),
        old => Err(format!("{old} objects were not refreshed")),
    }
}
