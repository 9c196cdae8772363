//! `adopt`: what upstream's programs have left in a cluster or a repository, and the steps from them to this one and back.
//!
//! Looking reads only: of Secrets nothing but their metadata. The steps are command lines of `kubectl`, `helm` and this
//! program, which are printed, or run one after the other with `--run`. Each step that is run has a way back, which
//! `adopt --back` works out from what the cluster says, so that no file of an earlier run is needed.

mod cluster;
mod judge;
mod plan;
mod program;
mod report;
mod repository;
mod tools;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use self::cluster::Seen;
use self::plan::Direction;
use self::report::{Problem, Program, Report, Runs, Step, count_of, shell_line};
use self::tools::{Tools, installs};
use super::Settings;
use super::seal::in_cluster;
use crate::cluster::{ClusterOptions, Lister};
use crate::error::{Error, Kind, Result};
use crate::world::World;

/// Looks at a cluster, or at files, and says how to move to this program or back.
pub(crate) struct Adopt {
    /// Files and folders; a cluster is looked at when there are none.
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) cluster: ClusterOptions,
    /// Only this namespace, for those who may not list all.
    pub(crate) namespace: Option<String>,
    /// Where the chart is.
    pub(crate) chart: String,
    /// Values of the chart beside those that upstream's flags mean.
    pub(crate) values: Vec<String>,
    /// The way back to upstream's programs.
    pub(crate) back: bool,
    /// Run the steps.
    pub(crate) run: bool,
    /// Ask no question before that.
    pub(crate) yes: bool,
    /// Fail when something would not work.
    pub(crate) check: bool,
    pub(crate) json: bool,
    pub(crate) settings: Settings,
}

impl Adopt {
    /// Where the chart is in a copy of the repository.
    pub(crate) const CHART: &'static str = "deploy/chart";

    /// Looks, tells, and runs the steps where that is asked for.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        let mut report = match self.paths.is_empty() {
            false => repository::look(world, &self.settings, &self.paths)?,
            true => self.look_at_cluster()?,
        };
        report.items.sort_by_key(|item| item.program);
        report.problems.sort_by_key(|problem| problem.program);
        if !self.json {
            report.tell(world, self.back, self.run)?;
        }
        let (done, failure) = match self.run {
            true => self.run_steps(world, &report),
            false => (0, None),
        };
        if self.json {
            let value = report.json(self.run, done, failure.is_some());
            world.terminal.say_json(&value)?;
        }
        if let Some(error) = failure {
            return Err(error);
        }
        let blocking = report.problems.iter().filter(|problem| problem.blocks);
        match (self.check, blocking.count()) {
            (false, _) | (_, 0) => Ok(()),
            (true, _) if self.json => Err(Error::new(Kind::Outdated, "")),
            (true, count) => Err(Error::new(
                Kind::Outdated,
                count_of(count, "problem", "problems"),
            )),
        }
    }

    fn look_at_cluster(&self) -> Result<Report> {
        let namespace = self.namespace.as_deref();
        let seen = in_cluster(async {
            let lister = Lister::connect(&self.cluster).await?;
            Seen::look(&lister, namespace).await
        })?;
        let mut report = judge::judge(&seen);
        let tools = Tools {
            kubeconfig: self.cluster.kubeconfig.clone(),
            context: self.cluster.context.clone(),
            chart: self.chart.clone(),
            values: self.values.clone(),
            has_controller: on_path("sealwright-controller"),
        };
        let direction = match self.back {
            true => Direction::Back,
            false => Direction::Forward,
        };
        report.steps = plan::steps(&seen, &report.states, direction, &tools);
        let mut commands = report.steps.iter().flat_map(|step| &step.commands);
        if commands.any(|words| installs(words)) && !names_image(&self.values) {
            report.problems.push(Problem {
                program: Program::Sealwright,
                blocks: false,
                object: "image".to_owned(),
                text: "no registry is named, and releases have no image of the controller"
                    .to_owned(),
                remedy: PUSH_IMAGE.to_owned(),
            });
        }
        Ok(report)
    }

    /// Runs the steps that are to be run here. Returns how many were done, and why the next one was not.
    fn run_steps(&self, world: &World, report: &Report) -> (usize, Option<Error>) {
        let steps: Vec<&Step> = report
            .steps
            .iter()
            .filter(|step| step.runs == Runs::Here)
            .collect();
        if steps.is_empty() {
            return (0, None);
        }
        let blocking = report.problems.iter().filter(|problem| problem.blocks);
        if !self.back && blocking.count() > 0 {
            let error = Error::new(
                Kind::Outdated,
                "something would not work, so no step was run",
            )
            .hint("what is marked as a problem has to be settled first");
            return (0, Some(error));
        }
        // The first step stops upstream's controller. One that is stopped, with nothing in its place, would be the worst of all.
        if let Err(error) = self.can_run(&steps) {
            return (0, Some(error));
        }
        if !self.yes {
            let question = format!(
                "Run {} of {}?",
                count_of(steps.len(), "step", "steps"),
                if self.back {
                    "the way back"
                } else {
                    "the take-over"
                }
            );
            let asked = match self.json || !world.terminal.reads_from_person() {
                true => None,
                false => world.terminal.ask_yes_no(&question),
            };
            if asked != Some(true) {
                let error = Error::new(Kind::Interrupted, "no step was run");
                let error = match asked {
                    Some(_) => error,
                    None => error.hint("with --yes they are run without a question"),
                };
                return (0, Some(error));
            }
        }
        for (number, step) in steps.iter().enumerate() {
            world.terminal.tell(&step.title);
            for words in &step.commands {
                world.terminal.tell(&format!("    {}", shell_line(words)));
                if let Err(error) = perform(words, Stdio::from(std::io::stderr())) {
                    let error = match step.back.is_empty() {
                        true => error,
                        false => error.hint("`sealwright adopt --back` tells the way back"),
                    };
                    return (number, Some(error));
                }
            }
        }
        (steps.len(), None)
    }

    /// Checks that the programs and the chart that the steps need are there.
    fn can_run(&self, steps: &[&Step]) -> Result<()> {
        let commands = steps.iter().flat_map(|step| &step.commands);
        for words in commands {
            let program = words.first().map(String::as_str).unwrap_or_default();
            if program != "sealwright" && !on_path(program) {
                let text = format!("{program} is not on the search path, so no step was run");
                return Err(Error::generic(text));
            }
            let is_here = Path::new(&self.chart).exists() || self.chart.contains("://");
            // A name such as `repository/chart` is for helm to know.
            let is_folder = self.chart == Self::CHART || self.chart.starts_with(['.', '/']);
            if words.contains(&self.chart) && is_folder && !is_here {
                let text = format!("the chart {} is not here, so no step was run", self.chart);
                return Err(Error::generic(text).hint(
                    "it is in the repository of sealwright; `--chart` takes its folder, or what helm takes",
                ));
            }
            if installs(words) && !names_image(&self.values) {
                let text =
                    "no registry is named for the image of the controller, so no step was run";
                return Err(Error::generic(text).hint(PUSH_IMAGE));
            }
        }
        try_installations(steps)
    }
}

/// Lets helm check the installations against the cluster: values that the chart refuses, objects of other releases.
fn try_installations(steps: &[&Step]) -> Result<()> {
    let commands = steps.iter().flat_map(|step| &step.commands);
    for words in commands.filter(|words| installs(words)) {
        let mut trial = words.clone();
        trial.push("--dry-run".to_owned());
        perform(&trial, Stdio::null())
            .map_err(|error| Error::generic(format!("{}, so no step was run", error.message())))?;
    }
    Ok(())
}

/// Runs one command line; what it prints goes to `stdout`, and its errors to standard error.
fn perform(words: &[String], stdout: Stdio) -> Result<()> {
    let failed = |reason: String| Error::generic(format!("{}: {reason}", shell_line(words)));
    let (name, arguments) = words
        .split_first()
        .expect("a command line begins with a program");
    let program = match name.as_str() {
        "sealwright" => std::env::current_exe()
            .map(OsString::from)
            .map_err(|error| failed(error.to_string()))?,
        name => OsString::from(name),
    };
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(stdout)
        .status()
        .map_err(|error| failed(error.to_string()))?;
    match status.success() {
        true => Ok(()),
        false => Err(failed(status.to_string())),
    }
}

/// What to do about an installation without an image.
const PUSH_IMAGE: &str =
    "push one to a registry that the cluster can pull from, and pass --set image.registry=REGISTRY";

/// Returns true if values of the chart, as `--set` takes them, say where the image is.
fn names_image(values: &[String]) -> bool {
    let mut values = values.iter().flat_map(|value| value.split(','));
    values.any(|value| {
        let name = value.split('=').next().unwrap_or_default().trim();
        matches!(name, "image.registry" | "image.repository")
    })
}

/// Whether the shell would find a program of this name.
fn on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_named_by_its_registry_or_its_repository() {
        for (values, is_named) in [
            (vec![], false),
            (vec!["image.tag=1", "replicaCount=1"], false),
            (vec!["image.registry=registry.example.com"], true),
            (
                vec!["replicaCount=1,image.repository=team/controller"],
                true,
            ),
        ] {
            let values: Vec<String> = values.into_iter().map(str::to_owned).collect();
            assert_eq!(names_image(&values), is_named, "{values:?}");
        }
    }
}
