//! Every recorded case is played against our controller.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use kube::Client;
use serde_json::Value;
use tokio::sync::watch;

use super::case::{Case, Play};
use super::compare::differences;
use super::picture::{self, Snapshot};
use super::rig::{self, Rig};

/// How long a picture may take to become the recorded one, on a machine under load.
const PATIENCE: Duration = Duration::from_secs(60);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/eso")
}

/// What the real operator made of the cases.
pub(crate) fn answers() -> Value {
    serde_json::from_slice(&std::fs::read(folder().join("answers.json")).unwrap()).unwrap()
}

/// All cases, or those whose name begins with SEALWRIGHT_CASE.
pub(crate) fn cases() -> Vec<Case> {
    let wanted = std::env::var("SEALWRIGHT_CASE").ok();
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
            let wanted = wanted.as_deref().unwrap_or_default();
            name.starts_with(wanted).then_some(case)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorded_cases_look_as_the_real_operator_left_them() {
    let answers = answers();
    let vault = rig::vault();
    let rig = Rig::prepare().await;
    let stage = rig.stage(vault).await;
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
        let begun = cases.iter().map(|case| case.begin(&stage));
        let plays: Vec<Play<'_>> = stream::iter(begun).buffered(8).collect().await;
        let controller = rig.controller(&flags);
        validated(&stage.client).await;
        let (shown, pictures) = watch::channel(None);
        let outcomes = cases.iter().zip(plays).map(|(case, play)| {
            let expected = &answers["cases"][&case.name];
            let flaky = flaky(&case.name, &answers["flaky"][&case.name]);
            run(case, play, expected, flaky, pictures.clone())
        });
        let outcomes = futures::future::join_all(outcomes);
        let outcomes = tokio::select! {
            outcomes = outcomes => outcomes,
            () = take_pictures(&stage.client, &shown) => unreachable!("it goes on for ever"),
        };
        for (case, found) in cases.iter().zip(outcomes) {
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

/// Waits until the stores that were there before the controller are validated: cases begin when everything is quiet.
async fn validated(client: &Client) {
    // Stores of another class never are.
    const LONGEST: Duration = Duration::from_secs(20);
    let start = Instant::now();
    while start.elapsed() < LONGEST && !Snapshot::take(client).await.is_validated() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Looks at the cluster again and again, for all cases.
async fn take_pictures(client: &Client, shown: &watch::Sender<Option<Snapshot>>) {
    loop {
        let snapshot = Snapshot::take(client).await;
        shown.send_replace(Some(snapshot));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Plays all phases of a case; returns the differences of the first picture that never became the recorded one.
async fn run(
    case: &Case,
    mut play: Play<'_>,
    expected: &Value,
    flaky: BTreeMap<usize, Vec<String>>,
    mut pictures: watch::Receiver<Option<Snapshot>>,
) -> Vec<String> {
    for (index, phase) in case.phases().iter().enumerate() {
        play.phase(phase).await;
        let expected = &expected[index];
        let nothing = Vec::new();
        let flaky = flaky.get(&index).unwrap_or(&nothing);
        let start = Instant::now();
        loop {
            let found = {
                let snapshot = pictures
                    .wait_for(|picture| {
                        picture
                            .as_ref()
                            .is_some_and(|picture| picture.is_after(start))
                    })
                    .await
                    .expect("pictures are taken as long as a case is played");
                let snapshot = snapshot.as_ref().expect("it was waited for");
                let with_vault = expected.get("vault").is_some();
                let actual =
                    tokio::task::block_in_place(|| picture::of(&play, snapshot, with_vault));
                differences(expected, &actual, flaky)
            };
            if found.is_empty() {
                break;
            }
            if start.elapsed() > PATIENCE {
                let found = found.into_iter();
                return found.map(|one| format!("phase {index}: {one}")).collect();
            }
            pictures
                .changed()
                .await
                .expect("pictures are taken as long as a case is played");
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
