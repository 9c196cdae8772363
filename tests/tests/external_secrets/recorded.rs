//! Every recorded case is played against our controller.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::case::Case;
use super::compare::differences;
use super::picture;
use super::rig::{Rig, Vault};

/// How long a picture may take to become the recorded one, on a machine under load.
const PATIENCE: Duration = Duration::from_secs(60);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/eso")
}

/// What `make test` plays; `make soak` plays all, which takes several minutes.
const SLICE: &[&str] = &[
    "data-",
    "creation-",
    "deletion-",
    "generator-",
    "generic-",
    "hash-",
    "push-",
    "template-data",
];

fn cases() -> Vec<Case> {
    let wanted = std::env::var("SEALWRIGHT_CASE").ok();
    let soaks = std::env::var_os("SEALWRIGHT_SOAK").is_some();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder().join("cases"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .iter()
        .filter_map(|file| {
            let name = file.file_stem().unwrap().to_str().unwrap();
            let text = std::fs::read_to_string(file).unwrap();
            let case = Case::read(name, &text);
            let chosen = match wanted.as_deref() {
                Some(wanted) => name.starts_with(wanted),
                None => soaks || SLICE.iter().any(|beginning| name.starts_with(beginning)),
            };
            chosen.then_some(case)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorded_cases_look_as_the_real_operator_left_them() {
    let answers: Value =
        serde_json::from_slice(&std::fs::read(folder().join("answers.json")).unwrap()).unwrap();
    let vault = Vault::start().await;
    let mut groups: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    for case in cases() {
        groups
            .entry(case.flags().to_owned())
            .or_default()
            .push(case);
    }
    let mut failures = Vec::new();
    let mut count = 0;
    for (flags, cases) in groups {
        let rig = Rig::prepare().await;
        let stage = rig.stage(&vault).await;
        let mut plays = Vec::new();
        for case in &cases {
            plays.push(case.begin(&stage).await);
        }
        let controller = rig.controller(&flags);
        let outcomes = cases.iter().zip(plays).map(|(case, play)| {
            let expected = &answers["cases"][&case.name];
            let flaky = flaky(&case.name, &answers["flaky"][&case.name]);
            run(case, play, expected, flaky)
        });
        for (case, found) in cases.iter().zip(futures::future::join_all(outcomes).await) {
            count += 1;
            if !found.is_empty() {
                failures.push(format!("{}:\n    {}", case.name, found.join("\n    ")));
            }
        }
        drop(controller);
    }
    assert!(
        failures.is_empty(),
        "{} of {count} cases differ:\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

/// Plays all phases of a case; returns the differences of the first picture that never became the recorded one.
async fn run(
    case: &Case,
    mut play: super::case::Play<'_>,
    expected: &Value,
    flaky: BTreeMap<usize, Vec<String>>,
) -> Vec<String> {
    for (index, phase) in case.phases().iter().enumerate() {
        play.phase(phase).await;
        let nothing = Vec::new();
        let flaky = flaky.get(&index).unwrap_or(&nothing);
        let start = Instant::now();
        loop {
            let actual = picture::take(&play).await;
            let found = differences(&expected[index], &actual, flaky);
            if found.is_empty() {
                break;
            }
            if start.elapsed() > PATIENCE {
                let found = found.into_iter();
                return found.map(|one| format!("phase {index}: {one}")).collect();
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    Vec::new()
}

/// The paths that differ between runs of the real operator, by phase, and those that only a cluster without a garbage
/// collector has.
fn flaky(name: &str, paths: &Value) -> BTreeMap<usize, Vec<String>> {
    let mut by_phase: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    // Where this was recorded, what a deleted ExternalSecret owned stayed; here it goes sooner or later.
    if name == "generic-configmap" {
        by_phase.insert(3, vec!["/ConfigMap out".to_owned()]);
    }
    for path in paths.as_array().into_iter().flatten() {
        let path = path.as_str().unwrap().trim_start_matches('/');
        let (phase, path) = path.split_once('/').unwrap();
        by_phase
            .entry(phase.parse().unwrap())
            .or_default()
            .push(format!("/{path}"));
    }
    by_phase
}
