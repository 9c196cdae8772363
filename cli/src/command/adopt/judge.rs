//! Turns what was found in a cluster into findings and problems. Pure.

use std::collections::{BTreeMap, BTreeSet};

use sealwright_providers::store::OTHER_PROVIDERS;

use super::cluster::{Object, Seen};
use super::program::{self, Becomes, Component, Workload};
use super::report::{Item, Problem, Program, Report, State, count_of, some};

/// Reports what was found and what would not work. The plan adds the steps.
pub(super) fn judge(seen: &Seen) -> Report {
    let mut report = Report {
        states: vec![
            (Program::SealedSecrets, sealed_state(seen)),
            (Program::ExternalSecrets, external_state(seen)),
        ],
        ..Report::default()
    };
    for workload in &seen.workloads {
        add_workload(workload, &mut report);
    }
    add_sealed_secrets(seen, &mut report);
    add_external_secrets(seen, &mut report);
    if !seen.decrypting.is_empty() {
        report.items.push(Item {
            program: Program::Sops,
            kind: "Kustomizations of Flux",
            name: seen.decrypting.len().to_string(),
            text: format!(
                "{} decrypt with sops; they can read what sealwright encrypts, so nothing changes for them",
                some(&seen.decrypting)
            ),
        });
    }
    for (program, state) in &report.states {
        let (blocks, remedy) = match state {
            State::Both => (true, "scale one of them to 0"),
            State::Unknown => (
                false,
                "examine the whole cluster, or the namespace of the controller",
            ),
            _ => continue,
        };
        report.problems.push(Problem {
            program: *program,
            blocks,
            object: "controllers".to_owned(),
            text: state.text().to_owned(),
            remedy: remedy.to_owned(),
        });
    }
    add_several(seen, &mut report);
    add_shared(seen, &mut report);
    for (what, reason) in &seen.hidden {
        report.problems.push(Problem {
            program: Program::Sealwright,
            blocks: false,
            object: (*what).to_owned(),
            text: reason.clone(),
            remedy: "they are missing from this report".to_owned(),
        });
    }
    report
}

/// Reports Helm releases that contain other programs besides upstream's.
fn add_shared(seen: &Seen, report: &mut Report) {
    let mut known = BTreeSet::new();
    for one in &seen.workloads {
        let programs = [Program::SealedSecrets, Program::ExternalSecrets];
        let Some(program) = programs.into_iter().find(|program| one.is_of(*program)) else {
            continue;
        };
        let is_shared = seen.is_shared(one, |other| other.is_of(program));
        if let Some((namespace, release)) = one.record()
            && is_shared
            && known.insert((program, one.record()))
        {
            report.problems.push(Problem {
                program,
                blocks: false,
                object: format!("Helm release {namespace}/{release}"),
                text: "it contains other programs as well, so the last step keeps Helm's record of it"
                    .to_owned(),
                remedy: "before removing the chart from it, make sure that the release sets helm.sh/resource-policy: keep on \
                         the definitions; otherwise Helm deletes them, and the API server deletes all their objects"
                    .to_owned(),
            });
        }
    }
}

/// Reports a program with several controllers in the cluster, because the plan can only replace a single one.
fn add_several(seen: &Seen, report: &mut Report) {
    for (program, component) in [
        (Program::SealedSecrets, Component::SealedSecrets),
        (Program::ExternalSecrets, Component::ExternalSecrets),
    ] {
        let places = program::working(
            seen.workloads
                .iter()
                .filter(|one| one.component == component),
        );
        if places.len() > 1 {
            let places: Vec<String> = places.into_iter().map(Workload::place).collect();
            report.problems.push(Problem {
                program,
                blocks: true,
                object: "controllers".to_owned(),
                text: format!(
                    "several controllers of upstream's program are running: {}",
                    some(&places)
                ),
                remedy: "replace each by hand with its own release of the chart".to_owned(),
            });
        }
    }
}

fn state(seen: &Seen, works: impl Fn(&Workload) -> bool, has_objects: bool) -> State {
    let active = |ours: bool| {
        let mut workloads = seen.workloads.iter();
        workloads.any(|one| works(one) && one.is_ours() == ours && one.replicas > 0)
    };
    match (active(false), active(true)) {
        (true, true) => State::Both,
        (true, false) => State::Upstream,
        (false, true) => State::Adopted,
        (false, false) if seen.workloads.iter().any(works) => State::Idle,
        (false, false) if has_objects && !seen.shows_all_controllers() => State::Unknown,
        (false, false) if has_objects => State::Idle,
        (false, false) => State::Absent,
    }
}

fn sealed_state(seen: &Seen) -> State {
    let has_objects = !seen.keys.is_empty() || !seen.sealed_secrets.is_empty();
    state(seen, Workload::unseals, has_objects)
}

fn external_state(seen: &Seen) -> State {
    let has_objects = !seen.external_secrets.is_empty() || !seen.stores.is_empty();
    state(seen, Workload::syncs, has_objects)
}

fn add_workload(workload: &Workload, report: &mut Report) {
    let (program, kind) = match workload.component {
        Component::SealedSecrets => (Program::SealedSecrets, "deployment"),
        Component::ExternalSecrets => (Program::ExternalSecrets, "deployment"),
        Component::Webhook => (Program::ExternalSecrets, "webhook"),
        Component::CertController => (Program::ExternalSecrets, "certcontroller"),
        Component::Sealwright { .. } => (Program::Sealwright, "deployment"),
    };
    let mut parts = vec![
        format!("version {}", workload.version),
        count_of(
            usize::try_from(workload.replicas).unwrap_or_default(),
            "replica",
            "replicas",
        ),
    ];
    if let Some(before) = workload.replicas_before {
        parts.push(format!("had {before} before adopt stopped it"));
    }
    if let Some(release) = &workload.release {
        parts.push(format!("of the Helm release {release}"));
    }
    if !workload.flags.is_empty() && !workload.is_ours() {
        let flags: Vec<String> = workload
            .flags
            .iter()
            .map(|(name, value)| format!("--{name}={value}"))
            .collect();
        parts.push(format!("flags {}", flags.join(" ")));
    }
    report.items.push(Item {
        program,
        kind,
        name: workload.place(),
        text: parts.join(", "),
    });
    if matches!(
        workload.component,
        Component::SealedSecrets | Component::ExternalSecrets
    ) {
        for (flag, value) in &workload.flags {
            match program::becomes(workload.component, flag) {
                None => report.problems.push(Problem {
                    program,
                    blocks: true,
                    object: format!("deployment {}", workload.place()),
                    text: format!("our controller does not support the flag --{flag}"),
                    remedy: "remove it first, and check that everything still works".to_owned(),
                }),
                Some(Becomes::Files) if value == "false" => {}
                Some(Becomes::Files) => report.problems.push(Problem {
                    program,
                    blocks: true,
                    object: format!("deployment {}", workload.place()),
                    text: format!(
                        "the flag --{flag} needs a certificate, which our chart does not mount"
                    ),
                    remedy: "serve the metrics without TLS first, and restrict access to them with a NetworkPolicy"
                        .to_owned(),
                }),
                Some(Becomes::Nothing) => report.problems.push(Problem {
                    program,
                    blocks: false,
                    object: format!("deployment {}", workload.place()),
                    text: format!("the flag --{flag} has no effect here"),
                    remedy: "no action is needed".to_owned(),
                }),
                Some(_) => {}
            }
        }
        if !workload.beside.is_empty() {
            report.problems.push(Problem {
                program,
                blocks: false,
                object: format!("deployment {}", workload.place()),
                text: format!(
                    "these settings of its pods are not taken over: {}",
                    workload.beside.join(", ")
                ),
                remedy: "pass what you still need with --set; the chart has values such as extraEnv, extraVolumes and tolerations"
                    .to_owned(),
            });
        }
        if let Some((manager, name)) = &workload.manager {
            report.problems.push(Problem {
                program,
                blocks: false,
                object: format!("deployment {}", workload.place()),
                text: format!("{manager} manages it ({name}) and would start it again"),
                remedy: "make the same change in Git, or suspend that object in the meantime"
                    .to_owned(),
            });
        }
    }
}

fn add_sealed_secrets(seen: &Seen, report: &mut Report) {
    let program = Program::SealedSecrets;
    let mut item = |kind, name: String, text: String| {
        report.items.push(Item {
            program,
            kind,
            name,
            text,
        });
    };
    for definition in seen.definitions.iter().filter(|one| one.is_sealed_secrets) {
        let release = match &definition.release {
            Some(release) => format!(", of the Helm release {release}"),
            None => String::new(),
        };
        item(
            "definition",
            definition.name.clone(),
            format!("serves {}{release}", definition.served.join(", ")),
        );
    }
    let mut keys: BTreeMap<&str, Vec<&super::cluster::Key>> = BTreeMap::new();
    for key in &seen.keys {
        keys.entry(&key.namespace).or_default().push(key);
    }
    for (namespace, keys) in &keys {
        let active = keys.iter().filter(|key| key.is_active).count();
        let newest = keys.iter().max_by(|a, b| a.created.cmp(&b.created));
        let newest = newest.map_or(String::new(), |key| {
            format!(", the newest is {} of {}", key.name, key.created)
        });
        item(
            "sealing keys in",
            (*namespace).to_owned(),
            format!("{} ({active} active){newest}", keys.len()),
        );
    }
    if !seen.sealed_secrets.is_empty() {
        let not: Vec<&Object> = seen
            .sealed_secrets
            .iter()
            .filter(|object| object.is("Synced") != Some(true))
            .collect();
        item(
            "SealedSecrets",
            seen.sealed_secrets.len().to_string(),
            ready_text(seen.sealed_secrets.len(), &not, "synced"),
        );
    }
    for workload in seen
        .workloads
        .iter()
        .filter(|one| one.component == Component::SealedSecrets)
    {
        let is_known = !seen.hidden.iter().any(|(what, _)| *what == "sealing keys");
        if is_known && !keys.contains_key(workload.namespace.as_str()) {
            report.problems.push(Problem {
                program,
                blocks: true,
                object: format!("namespace {}", workload.namespace),
                text: "it has no sealing key, so no existing SealedSecret could be unsealed"
                    .to_owned(),
                remedy: "restore the keys from a backup with `sealwright sealing-key import`"
                    .to_owned(),
            });
        }
    }
    let deprecated: Vec<String> = seen
        .sealed_secrets
        .iter()
        .filter(|object| object.has_deprecated_data())
        .map(Object::place)
        .collect();
    if !deprecated.is_empty() {
        report.problems.push(Problem {
            program,
            blocks: false,
            object: "SealedSecrets".to_owned(),
            text: format!("{} use the deprecated field spec.data", some(&deprecated)),
            remedy: "it still works; reseal them at your convenience".to_owned(),
        });
    }
}

fn add_external_secrets(seen: &Seen, report: &mut Report) {
    let program = Program::ExternalSecrets;
    let definitions: Vec<_> = seen
        .definitions
        .iter()
        .filter(|one| !one.is_sealed_secrets)
        .collect();
    if !definitions.is_empty() {
        let of_release = definitions.iter().find_map(|one| one.release.clone());
        report.items.push(Item {
            program,
            kind: "definitions",
            name: definitions.len().to_string(),
            text: of_release.map_or(String::new(), |release| {
                format!("of the Helm release {release}; uninstalling it deletes them and all their objects, unless it was installed to keep them")
            }),
        });
    }
    for definition in &definitions {
        let is_main = definition.name == "externalsecrets.external-secrets.io";
        if is_main && !definition.served.iter().any(|version| version == "v1") {
            report.problems.push(Problem {
                program,
                blocks: true,
                object: definition.name.clone(),
                text: format!("it serves {} but not v1", definition.served.join(", ")),
                remedy: "upgrade to a release of the operator that serves v1 first".to_owned(),
            });
        }
        if let Some(service) = &definition.converter
            && !seen.answers(service)
        {
            report.problems.push(Problem {
                program,
                blocks: true,
                object: definition.name.clone(),
                text: format!(
                    "the Service {}/{} converts between its versions, but does not answer",
                    service.0, service.1
                ),
                remedy: format!(
                    "kubectl patch crd {} --type merge --patch '{{\"spec\":{{\"conversion\":{{\"strategy\":\"None\",\"webhook\":null}}}}}}'",
                    definition.name
                ),
            });
        }
    }
    for (kind, objects, condition) in [
        ("ExternalSecrets", &seen.external_secrets, "Ready"),
        (
            "ClusterExternalSecrets",
            &seen.cluster_external_secrets,
            "Ready",
        ),
        ("PushSecrets", &seen.push_secrets, "Ready"),
    ] {
        if objects.is_empty() {
            continue;
        }
        let not: Vec<&Object> = objects
            .iter()
            .filter(|object| object.is(condition) != Some(true))
            .collect();
        report.items.push(Item {
            program,
            kind,
            name: objects.len().to_string(),
            text: ready_text(objects.len(), &not, "ready"),
        });
    }
    add_stores(seen, report);
    add_webhooks(seen, report);
    let all = [&seen.external_secrets, &seen.stores, &seen.push_secrets];
    let mut old: BTreeMap<&str, usize> = BTreeMap::new();
    for object in all.into_iter().flatten() {
        if let Some(manager) = object.written_as_v1beta1() {
            *old.entry(manager).or_default() += 1;
        }
    }
    for (manager, count) in old {
        report.problems.push(Problem {
            program,
            blocks: false,
            object: count_of(count, "object", "objects"),
            text: format!("written by {manager} as external-secrets.io/v1beta1"),
            remedy: "change the manifests to external-secrets.io/v1, or install the chart with crds.unsafeServeV1Beta1=true later".to_owned(),
        });
    }
}

fn add_stores(seen: &Seen, report: &mut Report) {
    let program = Program::ExternalSecrets;
    let mut providers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for store in &seen.stores {
        providers
            .entry(store.provider())
            .or_default()
            .push(store.place());
    }
    for (provider, stores) in providers {
        report.items.push(Item {
            program,
            kind: "stores of",
            name: provider.to_owned(),
            text: some(&stores),
        });
        if OTHER_PROVIDERS.contains(&provider) {
            report.problems.push(Problem {
                program,
                blocks: true,
                object: some(&stores),
                text: format!("this build has no provider {provider}"),
                remedy: "give these stores a controller class of their own, and leave that class to the operator".to_owned(),
            });
        }
    }
    let mut kinds: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (kind, object) in &seen.generators {
        kinds.entry(kind).or_default().push(object.place());
    }
    for (kind, objects) in kinds {
        report.add_generators(kind, &objects);
    }
}

fn add_webhooks(seen: &Seen, report: &mut Report) {
    let program = Program::ExternalSecrets;
    for webhook in &seen.webhooks {
        let (namespace, name) = &webhook.service;
        let answers = seen.answers(&webhook.service);
        report.items.push(Item {
            program,
            kind: "validating webhook",
            name: webhook.name.clone(),
            text: format!(
                "calls the Service {namespace}/{name}, which {}",
                if answers {
                    "answers"
                } else {
                    "does not answer"
                }
            ),
        });
        if !answers && webhook.blocks {
            // The plan removes it, but users who proceed without the plan have to know.
            report.problems.push(Problem {
                program,
                blocks: false,
                object: webhook.name.clone(),
                text: "it is left over, and makes the API server refuse every change of the objects it validates"
                    .to_owned(),
                remedy: format!(
                    "kubectl delete validatingwebhookconfiguration {}",
                    webhook.name
                ),
            });
        }
    }
}

fn ready_text(all: usize, not: &[&Object], word: &str) -> String {
    match not.len() {
        0 => format!("all {word}"),
        count => {
            let places: Vec<String> = not.iter().map(|object| object.place()).collect();
            format!("{} {word}, {count} not ({})", all - count, some(&places))
        }
    }
}

#[cfg(test)]
mod tests;
