//! The way back: ours is stopped, and upstream's program started again.

use serde_json::json;

use super::super::program::{Component, REPLICAS, Workload};
use super::super::report::{Program, Runs, Step};
use super::{SELECTOR, Side, names};

impl Side<'_> {
    /// Goes back to what was there before, as far as `adopt` stopped it.
    pub(super) fn back(&self, steps: &mut Vec<Step>) {
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
            let step = match one.unseals() && one.syncs() && !self.other_goes_back() {
                true => self.switch_off(one),
                false => self.stop(one),
            };
            // One that works in the place of both programs is stopped once.
            if !steps.iter().any(|known| known.commands == step.commands) {
                steps.push(step);
            }
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

    /// Returns true if the other program of upstream was stopped, too, and is started again.
    fn other_goes_back(&self) -> bool {
        let other = match self.program {
            Program::SealedSecrets => Component::ExternalSecrets,
            _ => Component::SealedSecrets,
        };
        let mut workloads = self.seen.workloads.iter();
        workloads.any(|one| one.component == other && one.replicas_before.is_some())
    }

    /// Stops one of ours, and removes its release unless that holds something else: upstream's program, for example.
    fn stop(&self, one: &Workload) -> Step {
        let mut commands = vec![self.scale(one, 0), self.wait_for_end(one)];
        if let Some((namespace, release)) = self.own_record(one) {
            let words = ["uninstall", release, "--namespace", namespace, "--wait"];
            commands.push(self.tools.helm(&words));
        }
        let place = one.place();
        let title = format!("stop {place}; definitions, objects, keys and Secrets stay");
        self.step(title, commands, Vec::new())
    }

    /// Ends the work of one of ours for this program. It goes on with that of the other one, which has nothing to go back to.
    fn switch_off(&self, one: &Workload) -> Step {
        let (value, flag) = match self.program {
            Program::SealedSecrets => ("sealedSecrets.enabled=false", "enable-sealed-secrets"),
            _ => ("externalSecrets.enabled=false", "enable-external-secrets"),
        };
        let rollout = self.tools.kubectl(&[
            "rollout",
            "status",
            &format!("deployment/{}", one.name),
            "--namespace",
            &one.namespace,
            "--timeout=5m",
        ]);
        let (runs, command) = match self.own_record(one) {
            Some((namespace, release)) => {
                let chart = self.tools.chart.as_str();
                let words = [
                    "upgrade",
                    release,
                    chart,
                    "--namespace",
                    namespace,
                    "--reuse-values",
                    "--set",
                    value,
                ];
                (Runs::Here, self.tools.helm(&words))
            }
            // Which of the containers it is, and who else writes the Deployment, is for a person to judge.
            None => {
                let path = "/spec/template/spec/containers/0/args/-";
                let flag = format!("--{flag}=false");
                let patch = json!([{"op": "add", "path": path, "value": flag}]);
                let words = [
                    "patch",
                    "deployment",
                    &one.name,
                    "--namespace",
                    &one.namespace,
                    "--type=json",
                    &format!("--patch={patch}"),
                ];
                (Runs::First, self.tools.kubectl(&words))
            }
        };
        let title = format!(
            "switch off in {} what stands for the {}",
            one.place(),
            self.program.title()
        );
        Step {
            runs,
            ..self.step(title, vec![command, rollout], Vec::new())
        }
    }

    /// Namespace and name of the release of one of ours, if it holds nothing else.
    fn own_record<'b>(&self, one: &'b Workload) -> Option<(&'b str, &'b str)> {
        let is_it =
            |other: &Workload| (&other.namespace, &other.name) == (&one.namespace, &one.name);
        one.record().filter(|_| !self.seen.is_shared(one, is_it))
    }
}
