//! The way back: ours is stopped, and upstream's program started again.

use super::super::program::REPLICAS;
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
}
