//! The last step, by hand: what is left of upstream's program is removed, and its definitions become ours.

use super::super::program::{Component, Workload};
use super::super::report::{Program, Runs, Step};
use super::{Side, names};

impl Side<'_> {
    /// What remains to be done by hand when all is as it should be.
    pub(super) fn finish(&self, steps: &mut Vec<Step>) {
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
            // Ours runs as the operator's account.
            let kinds = match one.component {
                Component::ExternalSecrets if one.account.is_some() => {
                    "deployment,service,role,rolebinding,poddisruptionbudget"
                }
                _ => "deployment,service,serviceaccount,role,rolebinding,poddisruptionbudget",
            };
            commands.push(tools.kubectl(&[
                "delete",
                kinds,
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
}
