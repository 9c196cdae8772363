//! The steps from upstream's programs to this one, and back. Pure.
//!
//! On the way there nothing that upstream needs is removed or changed beyond two numbers that are written down beside them:
//! its Deployment is stopped, and its Service leads to our replicas. The definitions stay upstream's until the last step.

mod back;
mod finish;

use k8s_openapi::api::core::v1::Service;
use serde_json::json;

use super::cluster::Seen;
use super::program::{self, Component, REPLICAS, Workload};
use super::report::{Program, Runs, State, Step};
use super::tools::Tools;

/// Where to, and by which means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// To this program.
    Forward,
    /// To upstream's.
    Back,
}

/// On a Service that leads to other pods than upstream's: what it selected.
const SELECTOR: &str = "sealwright.dev/selector";

/// The names of our releases.
const SEALED_SECRETS_RELEASE: &str = "sealwright";
const EXTERNAL_SECRETS_RELEASE: &str = "sealwright-external-secrets";

/// Works out the steps for each program that upstream works for, or that we do when the way is back.
pub(super) fn steps(
    seen: &Seen,
    states: &[(Program, State)],
    direction: Direction,
    tools: &Tools,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for (program, state) in states {
        let (is_of, upstream): (fn(&Workload) -> bool, Component) = match program {
            Program::SealedSecrets => (Workload::unseals, Component::SealedSecrets),
            Program::ExternalSecrets => (Workload::syncs, Component::ExternalSecrets),
            Program::Sops | Program::Sealwright => continue,
        };
        let side = Side {
            program: *program,
            theirs: seen
                .workloads
                .iter()
                .filter(|one| one.component == upstream)
                .collect(),
            ours: seen
                .workloads
                .iter()
                .filter(|one| one.is_ours() && is_of(one))
                .collect(),
            seen,
            tools,
        };
        match (direction, state) {
            (Direction::Forward, State::Absent | State::Unknown) => {}
            // One release would stand in for all of them, with the flags and the keys of one.
            (Direction::Forward, _) if program::working(side.theirs.iter().copied()).len() > 1 => {}
            (Direction::Forward, State::Adopted) => side.finish(&mut steps),
            (Direction::Forward, _) => side.forward(&mut steps),
            (Direction::Back, _) => side.back(&mut steps),
        }
    }
    if direction == Direction::Forward {
        remove_left_over_webhooks(seen, tools, &mut steps);
    }
    steps
}

/// What there is of one program and of ours in its place.
struct Side<'a> {
    program: Program,
    theirs: Vec<&'a Workload>,
    ours: Vec<&'a Workload>,
    seen: &'a Seen,
    tools: &'a Tools,
}

impl Side<'_> {
    fn step(&self, title: String, commands: Vec<Vec<String>>, back: Vec<Vec<String>>) -> Step {
        Step {
            program: self.program,
            title,
            runs: Runs::Here,
            commands,
            back,
        }
    }

    fn release(&self) -> &'static str {
        match self.program {
            Program::ExternalSecrets => EXTERNAL_SECRETS_RELEASE,
            _ => SEALED_SECRETS_RELEASE,
        }
    }

    /// Where our release goes: sealing keys are looked for in the controller's own namespace.
    fn namespace(&self) -> String {
        let theirs = self.theirs.first().map(|one| one.namespace.clone());
        let keys = self.seen.keys.first().map(|key| key.namespace.clone());
        match self.program {
            Program::SealedSecrets => theirs.or(keys).unwrap_or_else(|| "kube-system".to_owned()),
            _ => theirs.unwrap_or_else(|| "external-secrets".to_owned()),
        }
    }

    fn forward(&self, steps: &mut Vec<Step>) {
        let tools = self.tools;
        let namespace = self.namespace();
        if self.program == Program::SealedSecrets && !self.seen.keys.is_empty() {
            let out = format!("sealing-keys-{namespace}.yaml");
            steps.push(Step {
                program: self.program,
                title:
                    "back up the sealing keys, encrypted for the recipients in .sops.yaml or --age"
                        .to_owned(),
                runs: Runs::First,
                commands: vec![tools.sealwright(&[
                    "sealing-key",
                    "export",
                    "--controller-namespace",
                    &namespace,
                    "--out",
                    &out,
                ])],
                back: Vec::new(),
            });
        }
        for one in self.theirs.iter().filter(|one| one.replicas > 0) {
            let replicas = format!("{REPLICAS}={}", one.replicas);
            steps.push(self.step(
                format!("stop {}", one.place()),
                vec![
                    tools.kubectl(&[
                        "annotate",
                        "--overwrite",
                        "deployment",
                        &one.name,
                        "--namespace",
                        &one.namespace,
                        &replicas,
                    ]),
                    self.scale(one, 0),
                    self.wait_for_end(one),
                ],
                vec![self.scale(one, one.replicas)],
            ));
        }
        self.install(&namespace, steps);
        for service in self.their_services() {
            let (name, place) = names(service);
            let selector = json!({
                "app.kubernetes.io/name": "sealwright",
                "app.kubernetes.io/instance": self.release(),
            });
            let old = selector_of(service);
            steps.push(self.step(
                format!("let the Service {place}/{name}, which kubeseal asks, lead to the new controller"),
                vec![
                    tools.kubectl(&[
                        "annotate",
                        "--overwrite",
                        "service",
                        &name,
                        "--namespace",
                        &place,
                        &format!("{SELECTOR}={old}"),
                    ]),
                    self.select(&name, &place, &selector),
                ],
                vec![self.select(&name, &place, &old)],
            ));
        }
        self.finish(steps);
    }

    fn install(&self, namespace: &str, steps: &mut Vec<Step>) {
        let tools = self.tools;
        let release = self.release();
        let mut words = vec![
            "upgrade",
            "--install",
            release,
            &tools.chart,
            "--namespace",
            namespace,
        ];
        let (sealed, external) = match self.program {
            Program::SealedSecrets => (
                "sealedSecrets.enabled=true",
                "externalSecrets.enabled=false",
            ),
            _ => (
                "sealedSecrets.enabled=false",
                "externalSecrets.enabled=true",
            ),
        };
        let mut values = vec![
            sealed.to_owned(),
            external.to_owned(),
            // Upstream's stay what they are, so that it finds them again.
            "crds.create=false".to_owned(),
            // Upstream's chart has one of the usual name.
            "rbac.clusterRoleName=sealwright-unsealer".to_owned(),
            "rbac.namespacedRolesName=sealwright-unsealer".to_owned(),
        ];
        for one in &self.theirs {
            values.extend(program::values(one));
        }
        // The last one of a name counts.
        values.extend(tools.values.iter().cloned());
        values.dedup();
        for value in &values {
            words.extend(["--set", value.as_str()]);
        }
        let theirs = self.theirs.iter();
        let labels: Vec<String> = theirs.flat_map(|one| program::labels(one)).collect();
        for label in &labels {
            // `true` is a text here.
            words.extend(["--set-string", label.as_str()]);
        }
        let rollout = tools.kubectl(&[
            "rollout",
            "status",
            &format!("deployment/{release}"),
            "--namespace",
            namespace,
            "--timeout=5m",
        ]);
        steps.push(self.step(
            format!("install the release {release}"),
            vec![tools.helm(&words), rollout],
            vec![tools.helm(&["uninstall", release, "--namespace", namespace, "--wait"])],
        ));
    }

    /// Services in front of upstream's controller, but that of its metrics, which nothing but a scraper asks.
    fn their_services(&self) -> Vec<&Service> {
        if self.program != Program::SealedSecrets {
            return Vec::new();
        }
        let services = self.seen.services.iter();
        let found = services.filter(|service| {
            // In upstream's chart and manifests it has the name of the Deployment; its port is a value of the chart.
            let (name, namespace) = names(service);
            let mut theirs = self.theirs.iter();
            theirs.any(|one| one.namespace == namespace && one.name == name)
        });
        found.collect()
    }

    fn scale(&self, one: &Workload, replicas: i32) -> Vec<String> {
        self.tools.kubectl(&[
            "scale",
            "deployment",
            &one.name,
            "--namespace",
            &one.namespace,
            &format!("--replicas={replicas}"),
        ])
    }

    /// Two programs must not work on the same objects, so the last pod has to be gone.
    fn wait_for_end(&self, one: &Workload) -> Vec<String> {
        self.tools.kubectl(&[
            "wait",
            "--for=delete",
            "pod",
            "--namespace",
            &one.namespace,
            "--selector",
            &one.selector,
            "--timeout=2m",
        ])
    }

    fn select(&self, name: &str, namespace: &str, selector: &serde_json::Value) -> Vec<String> {
        // A merge would leave the old labels beside the new ones; "add" replaces, too.
        let patch = json!([{"op": "add", "path": "/spec/selector", "value": selector}]);
        self.tools.kubectl(&[
            "patch",
            "service",
            name,
            "--namespace",
            namespace,
            "--type=json",
            &format!("--patch={patch}"),
        ])
    }
}

fn names(service: &Service) -> (String, String) {
    let metadata = &service.metadata;
    (
        metadata.name.clone().unwrap_or_default(),
        metadata.namespace.clone().unwrap_or_default(),
    )
}

fn selector_of(service: &Service) -> serde_json::Value {
    let selector = service
        .spec
        .as_ref()
        .and_then(|spec| spec.selector.as_ref());
    json!(selector.cloned().unwrap_or_default())
}

/// A webhook whose server has gone blocks every change. It is part of no way back: its server has gone, too.
fn remove_left_over_webhooks(seen: &Seen, tools: &Tools, steps: &mut Vec<Step>) {
    for webhook in &seen.webhooks {
        if webhook.blocks && !seen.answers(&webhook.service) {
            steps.push(Step {
                program: Program::ExternalSecrets,
                title: format!(
                    "remove the webhook {}, whose server has gone and which blocks all changes",
                    webhook.name
                ),
                runs: Runs::Here,
                commands: vec![tools.kubectl(&[
                    "delete",
                    "validatingwebhookconfiguration",
                    &webhook.name,
                ])],
                back: Vec::new(),
            });
        }
    }
}

#[cfg(test)]
mod tests;
