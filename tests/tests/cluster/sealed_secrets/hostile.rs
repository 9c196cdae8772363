//! SealedSecrets that are made to hurt, and the others beside them.

#![allow(
    clippy::print_stdout,
    reason = "the figures of a soak run belong to its output"
)]

#[path = "../../../../template/tests/hostile/generator.rs"]
mod generator;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use sealwright_crypto::sealing::Certificate;
use sealwright_resources::scope::Scope;
use sealwright_tests::harness::cluster::{Namespace, cluster, eventually};
use sealwright_tests::harness::generated;
use serde_json::{Value, json};

use self::generator::Hostile;
use super::http_clients::{LIMIT, peak_memory};
use super::rig::{Rig, Variant, sealed_for};

/// Objects that each need all the time that there is for one. Together they take longer than what is done meanwhile.
const BUSY: usize = 5;
/// Objects of another author, each of which is waited for before the next one is made.
const BYSTANDERS: usize = 5;

fn untyped(namespace: &Namespace<'_>) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("bitnami.com", "v1alpha1", "SealedSecret");
    let resource = ApiResource::from_gvk_with_plural(&kind, "sealedsecrets");
    Api::namespaced_with(namespace.client().clone(), namespace.name(), &resource)
}

fn manifest(name: &str, template: Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
        "metadata": {"name": name},
        "spec": {"encryptedData": {}, "template": template},
    }))
    .unwrap()
}

/// What the API server takes, and what its author is told; where that is nothing, it may as well become a Secret.
fn hostile() -> Vec<(&'static str, Value, &'static str)> {
    let text = |text: &str| json!({"data": {"out": text}});
    let budget = "budget";
    vec![
        (
            "nested-list",
            text("{{ $l := list }}{{ range until 200000 }}{{ $l = list $l }}{{ end }}"),
            "nest",
        ),
        (
            "else-if",
            text(&format!(
                "{{{{if 1}}}}{}{{{{end}}}}",
                "{{else if 1}}".repeat(100_000)
            )),
            "",
        ),
        (
            "parentheses",
            text(&format!(
                "{{{{ {}1{} }}}}",
                "(".repeat(100_000),
                ")".repeat(100_000)
            )),
            "nest",
        ),
        (
            "repeats",
            text(
                "{{ $l := list }}{{ range until 30 }}{{ $l = append $l (repeat 16777216 \"x\") }}{{ end }}",
            ),
            budget,
        ),
        (
            "keys",
            text("{{ range until 50000 }}{{ $_ := genPrivateKey \"rsa\" }}{{ end }}"),
            budget,
        ),
        (
            "calls-itself",
            text("{{ define \"t\" }}{{ template \"t\" . }}{{ end }}{{ template \"t\" . }}"),
            "depth",
        ),
        (
            "many-templates",
            json!({"data": (0..2000).map(|number| {
                (format!("k{number}"), Value::from("{{ repeat 100000 \"x\" | len }}{{ range until 99999 }}{{ end }}"))
            }).collect::<serde_json::Map<_, _>>()}),
            budget,
        ),
        (
            "no-generation",
            json!({"metadata": {"generation": "x"}}),
            "spec.template.metadata.generation cannot be read",
        ),
        (
            "no-owners",
            json!({"metadata": {"ownerReferences": 5}}),
            "spec.template.metadata.ownerReferences cannot be read",
        ),
    ]
}

/// What the status says about an object, which is nothing if it has become a Secret.
async fn told(objects: &Api<DynamicObject>, name: &str) -> Option<String> {
    let object = objects.get(name).await.unwrap();
    let conditions = object.data["status"]["conditions"].as_array()?;
    let synced = conditions.iter().find(|one| one["type"] == "Synced")?;
    let message = synced["message"].as_str().unwrap_or_default();
    Some(message.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_templates_cost_their_author_only() {
    let cluster = cluster();
    let author = cluster.namespace("hostile-author").await;
    let mut rig = Rig::prepare(cluster, "hostile-bystander", Variant::Namespaced).await;
    rig.permit_in(&author);
    rig.flag(&format!("--additional-namespaces={}", author.name()));
    rig.add_replica();
    let pid = rig.pid(0);
    let objects = untyped(&author);
    let create = async |name: &str, template: Value| {
        let object = manifest(name, template);
        objects
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    };
    for (name, template, _) in hostile() {
        create(name, template).await;
    }
    let busy = "{{ range until 99999 }}{{ range until 99999 }}{{ end }}{{ end }}";
    for number in 0..BUSY {
        create(&format!("busy-{number}"), json!({"data": {"out": busy}})).await;
    }

    // All of them came first, and the others do not wait for them.
    let certificate = rig.certificate();
    for number in 0..BYSTANDERS {
        let name = format!("bystander-{number}");
        let values = [("foo", "bar")];
        let sealed = sealed_for(
            &certificate,
            Scope::Strict,
            rig.namespace.name(),
            &name,
            &values,
        );
        rig.create(&sealed).await;
        rig.eventually_synced(&name, "True").await;
    }
    let mut waiting = 0;
    for number in 0..BUSY {
        waiting += usize::from(told(&objects, &format!("busy-{number}")).await.is_none());
    }
    assert!(waiting > 0, "the bystanders were the last to be served");

    for (name, _, expected) in hostile() {
        let began = Instant::now();
        // Its thread gets what others leave.
        let message = loop {
            if let Some(message) = told(&objects, name).await {
                break message;
            }
            assert!(began.elapsed() < Duration::from_secs(300), "{name}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        assert!(message.contains(expected), "{name}: {message:?}");
    }
    assert_eq!(rig.pid(0), pid, "it was never restarted");
    assert_eq!(rig.http("GET", "/healthz", "", "").status, 200);
    let peak = peak_memory(pid);
    assert!(peak < LIMIT, "{} MiB", peak >> 20);
}

#[tokio::test]
async fn many_objects_of_the_largest_size_fit_into_the_memory_limit() {
    const OBJECTS: usize = 48;
    let mut rig = Rig::start(cluster(), "large-objects", &[]).await;
    let objects = untyped(&rig.namespace);
    // Nothing of it opens, which is told soon.
    let value = "x".repeat(1_400_000);
    for number in 0..OBJECTS {
        let mut object = manifest(&format!("large-{number}"), json!({}));
        object.data["spec"]["encryptedData"] = json!({"k": value});
        objects
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    }
    // All of them in one listing.
    rig.kill_and_restart(0);
    rig.create(&rig.sealed("small", &[("foo", "bar")])).await;
    rig.eventually_synced("small", "True").await;
    for number in 0..OBJECTS {
        let name = format!("large-{number}");
        eventually("it is told of", async || told(&objects, &name).await).await;
    }
    let peak = peak_memory(rig.pid(0));
    assert!(peak < LIMIT, "{} MiB", peak >> 20);
}

#[tokio::test]
async fn an_object_that_is_nested_deeply_hides_no_other() {
    let mut rig = Rig::start(cluster(), "deep-objects", &[]).await;
    for (name, levels) in [("deep", 300), ("deeper", 2000)] {
        let mut object = serde_json::to_value(rig.sealed(name, &[("foo", "bar")])).unwrap();
        // The API server keeps what it does not know there, and notes who owns each level of it.
        object["spec"]["template"]["metadata"]["unknown"] = "DEEP".into();
        let deep = format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        let text = object.to_string().replace("\"DEEP\"", &deep);
        rig.namespace.cluster().apply(&text);
    }
    for restart in [false, true] {
        // As the watch shows them, and as a listing does.
        if restart {
            rig.kill_and_restart(0);
        }
        let name = format!("ordinary-{restart}");
        rig.create(&rig.sealed(&name, &[("foo", "bar")])).await;
        rig.eventually_synced(&name, "True").await;
        for name in ["deep", "deeper"] {
            rig.eventually_data(name, &[("foo", "bar")]).await;
            rig.delete_secret(name).await;
            rig.eventually_data(name, &[("foo", "bar")]).await;
        }
    }
    assert!(!rig.logs().contains("cannot watch"), "{}", rig.logs());
}

/// A percentile of some durations.
fn percentile(sorted: &[Duration], hundredths: usize) -> Duration {
    sorted[(sorted.len() * hundredths).div_ceil(100) - 1]
}

/// Between two bystanders: they wait for the hostile templates, and are not a load themselves.
const PAUSE: Duration = Duration::from_millis(100);

/// Makes SealedSecrets one after the other until `enough`; returns how long each took to become a Secret, in order.
async fn bystanders(
    rig: &Rig<'_>,
    certificate: &Certificate,
    prefix: &str,
    mut enough: impl FnMut(usize) -> bool,
) -> Vec<Duration> {
    let mut took = Vec::new();
    while !enough(took.len()) {
        let name = format!("{prefix}-{}", took.len());
        let values = [("foo", "bar")];
        let here = rig.namespace.name();
        let sealed = sealed_for(certificate, Scope::Strict, here, &name, &values);
        let began = Instant::now();
        rig.create(&sealed).await;
        while rig.secret(&name).await.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert!(began.elapsed() < Duration::from_secs(120), "{name}");
        }
        took.push(began.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    took.sort();
    took
}

/// Sixty bystanders beside sixty generated templates, under the shipped limits. `SEALWRIGHT_SOAK=1` makes it 1,000 templates and 600
/// bystanders, and goes on until the last template has ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_hostile_templates_end_and_a_bystander_keeps_its_p99() {
    let seed = generated::seed(1);
    let count = generated::cases(60, 1000);
    let samples = if generated::is_soak() { 600 } else { 60 };
    let cluster = cluster();
    let author = cluster.namespace("generated-author").await;
    let mut rig = Rig::prepare(cluster, "generated-bystander", Variant::Namespaced).await;
    rig.permit_in(&author);
    rig.flag(&format!("--additional-namespaces={}", author.name()));
    rig.add_replica();
    let pid = rig.pid(0);
    let certificate = rig.certificate();
    // The first one waits for the controller's start.
    bystanders(&rig, &certificate, "first", |count| count == 1).await;
    let alone = bystanders(&rig, &certificate, "alone", |count| count == samples).await;

    let objects = untyped(&author);
    let mut generator = Hostile::new(seed);
    let mut names = Vec::new();
    for number in 0..count {
        let name = format!("h{number}");
        let object = manifest(&name, json!({"data": {"out": generator.template()}}));
        match objects.create(&PostParams::default(), &object).await {
            Ok(_) => names.push(name),
            // Larger than the API server stores.
            Err(kube::Error::Api(status)) if matches!(status.code, 413 | 500) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(
        names.len() * 10 >= count * 8,
        "{} of {count} were stored",
        names.len()
    );
    let all_told = Arc::new(AtomicBool::new(false));
    let telling = tokio::spawn({
        let (objects, all_told, names) = (objects.clone(), Arc::clone(&all_told), names.clone());
        async move {
            for name in &names {
                while told(&objects, name).await.is_none() {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
            all_told.store(true, Ordering::Relaxed);
        }
    });
    let beside = bystanders(&rig, &certificate, "beside", |count| {
        assert!(!telling.is_finished() || all_told.load(Ordering::Relaxed));
        match generated::is_soak() {
            true => all_told.load(Ordering::Relaxed) && count >= samples,
            false => count == samples,
        }
    })
    .await;
    let ended = all_told.load(Ordering::Relaxed);
    telling.abort();
    assert_eq!(rig.pid(0), pid, "it was never restarted");
    assert_eq!(rig.http("GET", "/healthz", "", "").status, 200);
    let peak = peak_memory(pid);
    let [before, after] = [&alone, &beside].map(|times| percentile(times, 99));
    println!(
        "{} hostile templates, all ended: {ended}; p99 {before:?} alone, {after:?} beside them ({} samples), medians {:?} and {:?}; {} MiB",
        names.len(),
        beside.len(),
        percentile(&alone, 50),
        percentile(&beside, 50),
        peak >> 20
    );
    assert!(peak < LIMIT, "{} MiB", peak >> 20);
    // The machine that runs the short test is shared with other tests, so it shows that no one waits for the hostile ones.
    let most = match generated::is_soak() {
        true => before * 2,
        false => before * 2 + Duration::from_secs(5),
    };
    assert!(after < most, "{before:?} alone, {after:?} beside them");
}
