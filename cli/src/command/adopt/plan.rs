//! The steps from upstream's programs to this one, and back. Pure.
//!
//! On the way there nothing that upstream needs is removed or changed beyond two numbers that are written down beside them:
//! its Deployment is stopped, and its Service leads to our replicas. The definitions stay upstream's until the last step.

use k8s_openapi::api::core::v1::Service;
use serde_json::json;

use super::cluster::Seen;
use super::program::{self, REPLICAS, Runs as Runs_, Workload};
use super::{Program, Runs, State, Step};

/// Where to, and by which means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// To this program.
    Forward,
    /// To upstream's.
    Back,
}

/// How the cluster is reached, and what is at hand.
pub(super) struct Tools {
    pub(super) kubeconfig: Option<String>,
    pub(super) context: Option<String>,
    pub(super) chart: String,
    /// Values of the chart that were asked for.
    pub(super) values: Vec<String>,
    /// The controller's program is here, too; it has a command of its own that cleans statuses.
    pub(super) has_controller: bool,
}

/// On a Service that leads to other pods than upstream's: what it selected.
const SELECTOR: &str = "sealwright.dev/selector";

/// The names of our releases.
const SEALED_SECRETS_RELEASE: &str = "sealwright";
const EXTERNAL_SECRETS_RELEASE: &str = "sealwright-external-secrets";

impl Tools {
    fn kubectl(&self, words: &[&str]) -> Vec<String> {
        let mut line = vec!["kubectl".to_owned()];
        line.extend(words.iter().map(|word| (*word).to_owned()));
        self.reach(&mut line, "--context");
        line
    }

    fn helm(&self, words: &[&str]) -> Vec<String> {
        let mut line = vec!["helm".to_owned()];
        line.extend(words.iter().map(|word| (*word).to_owned()));
        self.reach(&mut line, "--kube-context");
        line
    }

    fn sealwright(&self, words: &[&str]) -> Vec<String> {
        let mut line = vec!["sealwright".to_owned()];
        line.extend(words.iter().map(|word| (*word).to_owned()));
        self.reach(&mut line, "--context");
        line
    }

    fn reach(&self, line: &mut Vec<String>, context: &str) {
        if let Some(kubeconfig) = &self.kubeconfig {
            line.push(format!("--kubeconfig={kubeconfig}"));
        }
        if let Some(name) = &self.context {
            line.push(format!("{context}={name}"));
        }
    }
}

/// Returns true if a command line installs this project's chart.
pub(super) fn installs(words: &[String]) -> bool {
    words.iter().any(|word| word == "--install")
}

/// Works out the steps for each program that upstream works for, or that we do when the way is back.
pub(super) fn steps(
    seen: &Seen,
    states: &[(Program, State)],
    direction: Direction,
    tools: &Tools,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for (program, state) in states {
        let (is_of, upstream): (fn(&Workload) -> bool, Runs_) = match program {
            Program::SealedSecrets => (Workload::unseals, Runs_::SealedSecrets),
            Program::ExternalSecrets => (Workload::syncs, Runs_::ExternalSecrets),
            Program::Sops | Program::Sealwright => continue,
        };
        let side = Side {
            program: *program,
            theirs: seen
                .workloads
                .iter()
                .filter(|one| one.runs == upstream)
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

    /// What remains to be done by hand when all is as it should be.
    fn finish(&self, steps: &mut Vec<Step>) {
        let tools = self.tools;
        let theirs: Vec<&Workload> = self
            .seen
            .workloads
            .iter()
            .filter(|one| one.is_of(self.program))
            .collect();
        if theirs.is_empty() {
            return;
        }
        // What is webhook's first: the API server refuses changes as soon as it does not answer.
        let mut commands: Vec<Vec<String>> = Vec::new();
        if self.program == Program::ExternalSecrets {
            for webhook in &self.seen.webhooks {
                commands.push(tools.kubectl(&[
                    "delete",
                    "validatingwebhookconfiguration",
                    &webhook.name,
                ]));
            }
        }
        let mut records: Vec<(&str, &str)> = Vec::new();
        for one in &theirs {
            // What the release holds beside it stays Helm's.
            if !self.seen.is_shared(one, |other| other.is_of(self.program)) {
                records.extend(one.record());
            }
        }
        records.sort_unstable();
        records.dedup();
        for (namespace, release) in records {
            // Helm would delete the definitions of the release, and the API server all their objects.
            let record = format!("owner=helm,name={release}");
            commands.push(tools.kubectl(&[
                "delete",
                "secret",
                "--namespace",
                namespace,
                "--selector",
                &record,
            ]));
        }
        for one in &theirs {
            let namespace = &one.namespace;
            let Some(labels) = one.labels_of_chart() else {
                commands.push(tools.kubectl(&[
                    "delete",
                    "deployment",
                    &one.name,
                    "--namespace",
                    namespace,
                ]));
                continue;
            };
            commands.push(tools.kubectl(&[
                "delete",
                "deployment,service,serviceaccount,role,rolebinding,poddisruptionbudget",
                "--namespace",
                namespace,
                "--selector",
                labels,
            ]));
            commands.push(tools.kubectl(&[
                "delete",
                "clusterrole,clusterrolebinding",
                "--selector",
                labels,
            ]));
        }
        let release = self.release();
        let namespace = self
            .ours
            .first()
            .map_or_else(|| self.namespace(), |one| one.namespace.clone());
        let mut words = vec![
            "upgrade",
            release,
            &tools.chart,
            "--namespace",
            &namespace,
            "--reuse-values",
            "--take-ownership",
            "--set",
            "crds.create=true",
        ];
        // The name that kubeseal looks for, which is free now.
        let service = self
            .their_services()
            .first()
            .map(|service| names(service).0);
        let name = service.map(|name| format!("fullnameOverride={name}"));
        if let Some(name) = &name {
            words.extend(["--set", name]);
        }
        commands.push(tools.helm(&words));
        steps.push(Step {
            program: self.program,
            title: format!("remove what is left of the {}", self.program.title()),
            runs: Runs::Last,
            commands,
            back: Vec::new(),
        });
    }

    fn back(&self, steps: &mut Vec<Step>) {
        let tools = self.tools;
        let stopped: Vec<_> = self
            .theirs
            .iter()
            .filter_map(|one| Some((one, one.replicas_before?)))
            .collect();
        if stopped.is_empty() {
            return;
        }
        for one in &self.ours {
            let mut commands = vec![self.scale(one, 0), self.wait_for_end(one)];
            if let Some(release) = &one.release {
                let words = [
                    "uninstall",
                    release,
                    "--namespace",
                    &one.namespace,
                    "--wait",
                ];
                commands.push(tools.helm(&words));
            }
            steps.push(self.step(
                format!(
                    "stop {}; definitions, objects, keys and Secrets stay",
                    one.place()
                ),
                commands,
                Vec::new(),
            ));
        }
        if self.program == Program::SealedSecrets {
            let mut line = vec![
                "sealwright-controller".to_owned(),
                "clean-status".to_owned(),
            ];
            if let Some(kubeconfig) = &tools.kubeconfig {
                line.push(format!("--kubeconfig={kubeconfig}"));
            }
            // It takes the kubeconfig's own context.
            let runs = match tools.has_controller && tools.context.is_none() {
                true => Runs::Here,
                false => Runs::First,
            };
            steps.push(Step {
                program: self.program,
                title: "remove the conditions that upstream's controller does not know".to_owned(),
                runs,
                commands: vec![line],
                back: Vec::new(),
            });
        }
        for service in &self.seen.services {
            let (name, place) = names(service);
            let annotations = service.metadata.annotations.as_ref();
            let Some(old) = annotations.and_then(|all| all.get(SELECTOR)) else {
                continue;
            };
            let Ok(old) = serde_json::from_str::<serde_json::Value>(old) else {
                continue;
            };
            if self.program != Program::SealedSecrets {
                continue;
            }
            steps.push(self.step(
                format!("let the Service {place}/{name} lead to upstream's controller"),
                vec![
                    self.select(&name, &place, &old),
                    tools.kubectl(&[
                        "annotate",
                        "service",
                        &name,
                        "--namespace",
                        &place,
                        &format!("{SELECTOR}-"),
                    ]),
                ],
                Vec::new(),
            ));
        }
        for (one, replicas) in stopped {
            steps.push(self.step(
                format!("start {}", one.place()),
                vec![
                    self.scale(one, replicas),
                    tools.kubectl(&[
                        "annotate",
                        "deployment",
                        &one.name,
                        "--namespace",
                        &one.namespace,
                        &format!("{REPLICAS}-"),
                    ]),
                ],
                Vec::new(),
            ));
        }
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
mod tests {
    use super::*;

    fn workload(
        namespace: &str,
        name: &str,
        image: &str,
        release: &str,
        args: &[&str],
    ) -> Workload {
        let labels = json!({"app.kubernetes.io/name": name, "app.kubernetes.io/instance": release});
        let deployment = json!({
            "metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": {
                "meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"spec": {"containers": [
                {"name": "c", "image": image, "args": args}]}}},
        });
        Workload::of(&serde_json::from_value(deployment).unwrap()).unwrap()
    }

    fn operator(namespace: &str) -> Workload {
        let image = "x/external-secrets:v2.9.0";
        workload(
            namespace,
            "external-secrets",
            image,
            "es",
            &["--concurrent=1"],
        )
    }

    fn tools() -> Tools {
        Tools {
            kubeconfig: None,
            context: None,
            chart: "chart".to_owned(),
            values: Vec::new(),
            has_controller: false,
        }
    }

    fn lines(steps: &[Step]) -> Vec<String> {
        let commands = steps.iter().flat_map(|step| &step.commands);
        commands.map(|words| words.join(" ")).collect()
    }

    fn forward(seen: &Seen, state: State) -> Vec<Step> {
        let states = [(Program::ExternalSecrets, state)];
        steps(seen, &states, Direction::Forward, &tools())
    }

    #[test]
    fn the_last_step_deletes_what_is_of_upstreams_chart_and_nothing_else_of_its_release() {
        let webhook = workload(
            "es",
            "external-secrets-webhook",
            "x/external-secrets:v2.9.0",
            "es",
            &["webhook"],
        );
        let mut seen = Seen {
            workloads: vec![operator("es"), webhook],
            ..Seen::default()
        };
        let last = |seen: &Seen| lines(&forward(seen, State::Adopted)).join("\n");
        let all = last(&seen);
        assert!(all.contains("kubectl delete secret --namespace es --selector owner=helm,name=es"));
        for chart in ["external-secrets", "external-secrets-webhook"] {
            let labels = format!(
                "kubectl delete clusterrole,clusterrolebinding --selector \
                 app.kubernetes.io/instance=es,app.kubernetes.io/name={chart}\n"
            );
            assert!(all.contains(&labels), "{all}");
        }
        // A release with other programs in it keeps its record, and they their Deployments.
        seen.other_releases = [("es".to_owned(), "es".to_owned())].into();
        let all = last(&seen);
        assert!(!all.contains("owner=helm"), "{all}");
        assert!(all.contains("app.kubernetes.io/name=external-secrets-webhook"));
        seen.other_releases.clear();
        let image = "x/sealed-secrets-controller:0.40.0";
        let sealed = workload("es", "sealed-secrets", image, "es", &[]);
        seen.workloads.push(sealed);
        assert!(!last(&seen).contains("owner=helm"));
        // Labels that do not say which chart of the release it is select nothing.
        seen.workloads = vec![Workload {
            selector: "app.kubernetes.io/instance=es".to_owned(),
            ..operator("es")
        }];
        let all = last(&seen);
        assert!(!all.contains("clusterrole"), "{all}");
        assert!(all.contains("kubectl delete deployment external-secrets --namespace es\n"));
    }

    #[test]
    fn the_service_of_another_port_leads_to_ours_too() {
        let service = |name: &str, port: i32| -> Service {
            serde_json::from_value(json!({
                "metadata": {"name": name, "namespace": "kube-system"},
                "spec": {"ports": [{"port": port}], "selector": {"app.kubernetes.io/name": "sealed-secrets"}},
            }))
            .unwrap()
        };
        let image = "x/sealed-secrets-controller:0.40.0";
        let seen = Seen {
            workloads: vec![workload("kube-system", "sealed-secrets", image, "s", &[])],
            services: vec![
                service("sealed-secrets", 80),
                service("sealed-secrets-metrics", 8081),
            ],
            ..Seen::default()
        };
        let states = [(Program::SealedSecrets, State::Upstream)];
        let all = lines(&steps(&seen, &states, Direction::Forward, &tools())).join("\n");
        assert!(all.contains("kubectl patch service sealed-secrets --namespace"));
        assert!(!all.contains("sealed-secrets-metrics"), "{all}");
    }

    #[test]
    fn nothing_is_installed_where_a_controller_may_work_unseen() {
        let mut seen = Seen {
            only: Some("team".into()),
            ..Seen::default()
        };
        assert!(forward(&seen, State::Unknown).is_empty());
        seen.workloads = vec![operator("one"), operator("two")];
        assert!(forward(&seen, State::Upstream).is_empty());
        seen.workloads.pop();
        assert!(lines(&forward(&seen, State::Upstream))[0].starts_with("kubectl annotate"));
    }
}
