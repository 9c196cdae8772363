//! What a repository holds for upstream's programs: encrypted files, manifests, charts that install them, scripts that call
//! them. No file is written and no key is used.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use sealwright_crypto::key_kind;
use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::envelope::Encrypted;
use sealwright_providers::store::OTHER_PROVIDERS;
use sealwright_resources::generator;
use sealwright_resources::manifest;
use serde_json::Value;

use super::report::{Item, Problem, Program, Report, Runs, Step, count_of, some};
use crate::command::found::{What, what_is};
use crate::command::{Settings, absolute, document, format_by_suffix};
use crate::error::{Error, Kind, Result};
use crate::keys::can_use;
use crate::visible::shown;
use crate::world::World;

/// Larger files are no manifests and no scripts.
const LARGEST: u64 = 4 << 20;

/// Looks at files and folders.
pub(super) fn look(world: &World, settings: &Settings, paths: &[PathBuf]) -> Result<Report> {
    let mut seen = Repository::default();
    for path in paths {
        let path = absolute(path)?;
        if !path.exists() {
            let text = format!("{} is not there", shown(&path));
            return Err(Error::new(Kind::NoFile, text));
        }
        let walk = WalkBuilder::new(&path)
            .hidden(false)
            .require_git(false)
            .filter_entry(|entry| entry.file_name() != ".git")
            .sort_by_file_name(Ord::cmp)
            .build();
        for entry in walk {
            match entry {
                Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) => {
                    seen.file(settings, entry.path());
                }
                Ok(_) => {}
                Err(error) => seen
                    .unreadable
                    .push(("a folder".to_owned(), error.to_string())),
            }
        }
    }
    seen.configuration(world, settings);
    Ok(seen.report())
}

/// What was found.
#[derive(Default)]
struct Repository {
    encrypted: usize,
    versions: BTreeSet<String>,
    /// How many files have a key of each kind.
    keys: BTreeMap<&'static str, usize>,
    unusable: BTreeMap<&'static str, Vec<String>>,
    unreadable: Vec<(String, String)>,
    /// What is wrong with the configuration.
    findings: Vec<String>,
    /// Files by kind of object.
    objects: BTreeMap<String, Vec<String>>,
    plain_secrets: Vec<String>,
    v1beta1: Vec<String>,
    providers: BTreeMap<String, Vec<String>>,
    generators: BTreeMap<String, Vec<String>>,
    /// Files that install a chart of upstream's.
    charts: BTreeMap<&'static str, Vec<String>>,
    /// Lines that call a program.
    calls: BTreeMap<&'static str, Vec<String>>,
}

impl Repository {
    fn file(&mut self, settings: &Settings, path: &Path) {
        let name = shown(path);
        match what_is(path, settings) {
            Ok(What::Encrypted) => self.encrypted(settings, path, name),
            Ok(What::Sealed | What::Plain) => self.plain(path, &name),
            Err(error) => self.unreadable.push((name, crate::error::reason(&error))),
        }
    }

    fn encrypted(&mut self, settings: &Settings, path: &Path, name: String) {
        self.encrypted += 1;
        let format = document::input_format(settings, path);
        let parsed = read(path)
            .map_err(|error| crate::error::reason(&error))
            .and_then(|text| Encrypted::parse(format, text).map_err(|error| error.to_string()));
        match parsed {
            Err(reason) => self.unreadable.push((name, reason)),
            Ok(file) => {
                let metadata = file.metadata();
                self.versions.insert(metadata.version.clone());
                let entries = metadata.groups.iter().flatten();
                let kinds: BTreeSet<&str> = entries.map(|entry| entry.key.kind().section).collect();
                for kind in key_kind::ALL {
                    if kinds.contains(kind.section) {
                        *self.keys.entry(kind.title).or_default() += 1;
                        if !can_use(kind) {
                            self.unusable
                                .entry(kind.title)
                                .or_default()
                                .push(name.clone());
                        }
                    }
                }
            }
        }
    }

    fn plain(&mut self, path: &Path, name: &str) {
        if !std::fs::metadata(path).is_ok_and(|metadata| metadata.len() <= LARGEST) {
            return;
        }
        let Ok(text) = read(path) else {
            return;
        };
        let text = text.expose();
        let is_manifest =
            format_by_suffix(path).is_some_and(|format| matches!(format.name(), "yaml" | "json"));
        // Templates of charts and other texts that are no manifests are none.
        if is_manifest {
            for object in &objects(text) {
                self.object(object, name);
            }
            let plain = manifest::read_secrets_among(text).unwrap_or_default();
            if plain.iter().any(|secret| secret.iter().next().is_some()) {
                self.plain_secrets.push(name.to_owned());
            }
        }
        if is_script(path, text)
            && let Ok(text) = std::str::from_utf8(text)
        {
            for (number, line) in text.lines().enumerate() {
                for program in ["sops", "kubeseal"] {
                    if calls(line, program) {
                        let place = format!("{name}:{}", number + 1);
                        self.calls.entry(program).or_default().push(place);
                    }
                }
            }
        }
    }

    fn object(&mut self, object: &Value, name: &str) {
        let version = object["apiVersion"].as_str().unwrap_or_default();
        let kind = object["kind"].as_str().unwrap_or_default();
        let group = version.split('/').next().unwrap_or_default();
        let here = || name.to_owned();
        match (group, kind) {
            ("bitnami.com", "SealedSecret") | ("external-secrets.io", _) => {
                self.objects
                    .entry(kind.to_owned())
                    .or_default()
                    .push(here());
            }
            (generator::GROUP, _) => {
                let kind = match kind == generator::CLUSTER_KIND {
                    true => object["spec"]["kind"].as_str().unwrap_or_default(),
                    false => kind,
                };
                self.generators
                    .entry(kind.to_owned())
                    .or_default()
                    .push(here());
            }
            _ => {}
        }
        if version == "external-secrets.io/v1beta1" {
            self.v1beta1.push(here());
        }
        if group == "external-secrets.io"
            && matches!(kind, "SecretStore" | "ClusterSecretStore")
            && let Some((provider, _)) = object["spec"]["provider"]
                .as_object()
                .and_then(|provider| provider.iter().next())
        {
            self.providers
                .entry(provider.clone())
                .or_default()
                .push(here());
        }
        for chart in charts(object) {
            self.charts.entry(chart).or_default().push(here());
        }
    }

    fn configuration(&mut self, world: &World, settings: &Settings) {
        match world.configuration(settings) {
            Err(error) => self.findings.push(error.message()),
            Ok(None) => {}
            Ok(Some(config)) => {
                let place = shown(config.path());
                let findings = crate::command::config::findings(&config).into_iter();
                self.findings.extend(
                    findings.map(|(line, field, text)| format!("{place}:{line}: {field}: {text}")),
                );
            }
        }
    }

    fn report(self) -> Report {
        let mut report = Report::default();
        self.report_sops(&mut report);
        self.report_objects(&mut report);
        for (program, places) in &self.calls {
            report.items.push(Item {
                program: if *program == "sops" {
                    Program::Sops
                } else {
                    Program::SealedSecrets
                },
                kind: "called in",
                name: count_of(places.len(), "line", "lines"),
                text: some(places),
            });
            if let Some(step) = link(program) {
                report.steps.push(step);
            }
        }
        for (chart, places) in &self.charts {
            let program = match *chart {
                "sealed-secrets" => Program::SealedSecrets,
                _ => Program::ExternalSecrets,
            };
            report.items.push(Item {
                program,
                kind: "chart",
                name: (*chart).to_owned(),
                text: format!("installed by {}", some(places)),
            });
            report.steps.push(Step {
                program,
                title: format!("in {}: install this project's chart in the place of {chart}, after `sealwright adopt` has shown the steps for the cluster", some(places)),
                runs: Runs::Last,
                commands: Vec::new(),
                back: Vec::new(),
            });
        }
        report
    }

    fn report_sops(&self, report: &mut Report) {
        let program = Program::Sops;
        if self.encrypted > 0 {
            let kinds: Vec<String> = self
                .keys
                .iter()
                .map(|(kind, count)| format!("{kind} {count}"))
                .collect();
            let versions: Vec<&str> = self.versions.iter().map(String::as_str).collect();
            report.items.push(Item {
                program,
                kind: "encrypted files",
                name: self.encrypted.to_string(),
                text: format!(
                    "keys of {}; written by version {}",
                    kinds.join(", "),
                    versions.join(", ")
                ),
            });
        }
        for (kind, files) in &self.unusable {
            report.problems.push(Problem {
                program,
                blocks: true,
                object: some(files),
                text: format!("this build cannot use keys of {kind}"),
                remedy: "the files need a key of another kind as well, if that one is the only one"
                    .to_owned(),
            });
        }
        for (file, reason) in &self.unreadable {
            report.problems.push(Problem {
                program,
                blocks: true,
                object: file.clone(),
                text: reason.clone(),
                remedy: "sops cannot read it either, or it is a fault to report".to_owned(),
            });
        }
        for finding in &self.findings {
            report.problems.push(Problem {
                program,
                blocks: false,
                object: "configuration".to_owned(),
                text: finding.clone(),
                remedy: "`sealwright config check` says more".to_owned(),
            });
        }
    }

    fn report_objects(&self, report: &mut Report) {
        for (kind, files) in &self.objects {
            let program = match kind.as_str() {
                "SealedSecret" => Program::SealedSecrets,
                _ => Program::ExternalSecrets,
            };
            report.items.push(Item {
                program,
                kind: "manifests of kind",
                name: kind.clone(),
                text: format!("{}, in {}", files.len(), some(files)),
            });
        }
        let program = Program::ExternalSecrets;
        for (provider, files) in &self.providers {
            if OTHER_PROVIDERS.contains(&provider.as_str()) {
                report.problems.push(Problem {
                    program,
                    blocks: true,
                    object: some(files),
                    text: format!("this build has no provider {provider}"),
                    remedy: "let the operator look after these stores".to_owned(),
                });
            }
        }
        for (kind, files) in &self.generators {
            report.add_generators(kind, files);
        }
        if !self.v1beta1.is_empty() {
            report.problems.push(Problem {
                program,
                blocks: false,
                object: some(&self.v1beta1),
                text: "external-secrets.io/v1beta1 is not served by default".to_owned(),
                remedy: "change them to external-secrets.io/v1, or install the chart with crds.unsafeServeV1Beta1=true".to_owned(),
            });
        }
        if !self.plain_secrets.is_empty() {
            report.problems.push(Problem {
                program: Program::Sealwright,
                blocks: false,
                object: some(&self.plain_secrets),
                text: "Secrets in plaintext".to_owned(),
                remedy: "`sealwright encrypt --in-place` or `sealwright seal` them".to_owned(),
            });
        }
    }
}

/// Reads a file, and touches nothing beside it.
fn read(path: &Path) -> std::io::Result<SecretBytes> {
    std::fs::read(path).map(SecretBytes::from)
}

/// The objects of a manifest but its Secrets, whose values stay out of types that are not wiped.
fn objects(text: &[u8]) -> Vec<Value> {
    let Ok(kinds) = manifest::kinds(text) else {
        return Vec::new();
    };
    let kinds: BTreeSet<&str> = kinds.iter().map(String::as_str).collect();
    if !kinds.contains("Secret") {
        return manifest::read_values(text).unwrap_or_default();
    }
    let others = kinds.into_iter().filter(|kind| *kind != "Secret");
    others
        .flat_map(|kind| manifest::read_objects(text, kind).unwrap_or_default())
        .collect()
}

/// The charts of upstream's that an object installs.
fn charts(object: &Value) -> Vec<&'static str> {
    let mut names: Vec<&Value> = vec![
        // Flux' HelmRelease and Argo CD's Application.
        &object["spec"]["chart"]["spec"]["chart"],
        &object["spec"]["source"]["chart"],
    ];
    let sources = object["spec"]["sources"].as_array().into_iter().flatten();
    names.extend(sources.map(|source| &source["chart"]));
    // Kustomize, and a chart that depends on others.
    for list in ["helmCharts", "dependencies"] {
        let entries = object[list].as_array().into_iter().flatten();
        names.extend(entries.map(|entry| &entry["name"]));
    }
    ["sealed-secrets", "external-secrets"]
        .into_iter()
        .filter(|chart| names.iter().any(|name| name.as_str() == Some(chart)))
        .collect()
}

/// Whether a file tells machines what to run.
fn is_script(path: &Path, text: &[u8]) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let in_workflows = path.components().any(|part| {
        matches!(
            part.as_os_str().to_str(),
            Some(".github" | ".circleci" | ".gitea" | ".forgejo")
        )
    });
    let by_name = [
        "Makefile",
        "GNUmakefile",
        "justfile",
        "Justfile",
        "Taskfile.yml",
        "Taskfile.yaml",
        "Jenkinsfile",
        "Dockerfile",
        "Containerfile",
        "Tiltfile",
        ".envrc",
        ".gitlab-ci.yml",
        ".pre-commit-config.yaml",
        "azure-pipelines.yml",
        "bitbucket-pipelines.yml",
    ];
    by_name.contains(&name)
        || [".sh", ".bash", ".zsh", ".fish", ".ps1", ".mk"]
            .iter()
            .any(|suffix| name.ends_with(suffix))
        || (in_workflows && (name.ends_with(".yml") || name.ends_with(".yaml")))
        || text.starts_with(b"#!")
}

/// Whether a line calls a program: its name stands where a shell looks for one.
fn calls(line: &str, program: &str) -> bool {
    let line = line.trim_start();
    if line.starts_with('#') {
        return false;
    }
    line.match_indices(program).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + program.len()..]);
        let ends = after.is_empty() || after.starts_with([' ', '\t', '"', '\'', ')']);
        let begins = before.is_empty()
            || before.ends_with(['/', '"', '\'', '(', '`', '@'])
            || before.ends_with([' ', '\t']) && {
                let word = before.split_whitespace().next_back().unwrap_or_default();
                // A list's dash, a key of YAML, an operator of the shell, or a word that takes a command.
                word.is_empty()
                    || word.ends_with([':', '|', '&', ';', '-', '=', '{', '@'])
                    || matches!(
                        word,
                        "exec"
                            | "sudo"
                            | "env"
                            | "then"
                            | "do"
                            | "else"
                            | "if"
                            | "!"
                            | "xargs"
                            | "command"
                            | "time"
                            | "RUN"
                    )
            };
        begins && ends
    })
}

/// The step that lets the name of a program lead to this one, unless it does.
fn link(program: &'static str) -> Option<Step> {
    let own = std::env::current_exe().ok()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file());
    if found.and_then(|path| path.canonicalize().ok()) == own.canonicalize().ok() {
        return None;
    }
    let place = std::env::home_dir()?.join(".local/bin").join(program);
    let word = |path: &Path| path.to_string_lossy().into_owned();
    Some(Step {
        program: if program == "sops" {
            Program::Sops
        } else {
            Program::SealedSecrets
        },
        title: format!(
            "let the name {program} lead to this program, on each machine that calls it, before others on the search path"
        ),
        runs: Runs::First,
        commands: vec![vec!["ln".into(), "-s".into(), word(&own), word(&place)]],
        back: vec![vec!["rm".into(), word(&place)]],
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_is_told_from_a_mention() {
        for (line, is_call) in [
            ("sops -d a.yaml > b.yaml", true),
            ("  - run: sops exec-env a.yaml make", true),
            ("\t@sops --decrypt $<", true),
            ("TOKEN=$(sops -d --extract '[\"a\"]' a.yaml)", true),
            ("cat a | sops --encrypt /dev/stdin", true),
            ("if ! sops filestatus a; then", true),
            ("/usr/local/bin/sops -d a", true),
            ("    sops", true),
            ("# sops -d a.yaml", false),
            ("apt install sops", false),
            (
                "curl -LO https://example.com/getsops/sops/releases/x",
                false,
            ),
            ("sops.yaml", false),
            ("echo we use sops here", false),
        ] {
            assert_eq!(calls(line, "sops"), is_call, "{line}");
        }
    }

    #[test]
    fn charts_are_found_in_what_installs_them() {
        let flux = json!({"kind": "HelmRelease", "spec": {"chart": {"spec": {"chart": "external-secrets"}}}});
        let argo =
            json!({"kind": "Application", "spec": {"sources": [{"chart": "sealed-secrets"}]}});
        let depends = json!({"apiVersion": "v2", "name": "platform", "dependencies": [
            {"name": "sealed-secrets"}, {"name": "external-secrets"}]});
        assert_eq!(charts(&flux), ["external-secrets"]);
        assert_eq!(charts(&argo), ["sealed-secrets"]);
        assert_eq!(charts(&depends), ["sealed-secrets", "external-secrets"]);
        assert_eq!(charts(&json!({"name": "sealed-secrets"})), [""; 0]);
    }
}
