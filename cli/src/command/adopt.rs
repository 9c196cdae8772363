//! `adopt`: what upstream's programs have left in a cluster or a repository, and the steps from them to this one and back.
//!
//! Looking reads only: of Secrets nothing but their metadata. The steps are command lines of `kubectl`, `helm` and this
//! program, which are printed, or run one after the other with `--run`. Each step that is run has a way back, which
//! `adopt --back` works out from what the cluster says, so that no file of an earlier run is needed.

mod cluster;
mod judge;
mod plan;
mod program;
mod repository;
mod tools;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sealwright_resources::generator::Generator;
use serde_json::{Value, json};

use self::cluster::Seen;
use self::plan::Direction;
use self::tools::{Tools, installs};
use super::Settings;
use super::seal::in_cluster;
use crate::cluster::{ClusterOptions, Lister};
use crate::error::{Error, Kind, Result};
use crate::visible::without_secrets;
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

/// One of the programs that this one takes the place of, or this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Program {
    SealedSecrets,
    ExternalSecrets,
    Sops,
    Sealwright,
}

impl Program {
    fn title(self) -> &'static str {
        match self {
            Self::SealedSecrets => "Sealed Secrets",
            Self::ExternalSecrets => "External Secrets Operator",
            Self::Sops => "sops",
            Self::Sealwright => "sealwright",
        }
    }

    /// Its name in JSON.
    fn name(self) -> &'static str {
        match self {
            Self::SealedSecrets => "sealed-secrets",
            Self::ExternalSecrets => "external-secrets",
            Self::Sops => "sops",
            Self::Sealwright => "sealwright",
        }
    }
}

/// Who does the work of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing of it is there.
    Absent,
    /// Upstream's program works.
    Upstream,
    /// This program works in its place.
    Adopted,
    /// Both work on the same objects.
    Both,
    /// Its objects are there, and no program looks after them.
    Idle,
    /// Its objects are there. Its Deployment may be, too, where it was not looked for.
    Unknown,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Upstream => "upstream",
            Self::Adopted => "adopted",
            Self::Both => "both",
            Self::Idle => "idle",
            Self::Unknown => "unknown",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Absent => "not there",
            Self::Upstream => "upstream's program works",
            Self::Adopted => "sealwright works in its place",
            Self::Both => "upstream's program and sealwright work on the same objects",
            Self::Idle => "no program looks after its objects",
            Self::Unknown => "whether a program looks after its objects is not known",
        }
    }
}

/// Something that was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) program: Program,
    /// What it is, in a word.
    pub(super) kind: &'static str,
    /// Its name, or how many there are.
    pub(super) name: String,
    pub(super) text: String,
}

/// Something that has to be known before a take-over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) program: Program,
    /// It would not work; otherwise it is only worth a word.
    pub(super) blocks: bool,
    /// What it is about.
    pub(super) object: String,
    pub(super) text: String,
    /// What to do about it.
    pub(super) remedy: String,
}

/// Who runs a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runs {
    /// `--run` does.
    Here,
    /// A person does, before the others.
    First,
    /// A person does, when all is as it should be; there is no way back from it.
    Last,
}

/// A step of a take-over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) program: Program,
    pub(super) title: String,
    pub(super) runs: Runs,
    pub(super) commands: Vec<Vec<String>>,
    /// What takes it back.
    pub(super) back: Vec<Vec<String>>,
}

/// What was found, and what follows from it.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) states: Vec<(Program, State)>,
    pub(super) items: Vec<Item>,
    pub(super) problems: Vec<Problem>,
    pub(super) steps: Vec<Step>,
}

impl Report {
    /// Adds the generators of a kind, and that this build lacks the kind where it does.
    fn add_generators(&mut self, kind: &str, places: &[String]) {
        let program = Program::ExternalSecrets;
        self.items.push(Item {
            program,
            kind: "generators",
            name: kind.to_owned(),
            text: some(places),
        });
        if matches!(Generator::parse(kind, Value::Null), Ok(Generator::Other(_))) {
            self.problems.push(Problem {
                program,
                blocks: true,
                object: some(places),
                text: format!("this build has no generator {kind}"),
                remedy: "take the values from a store, or keep the operator for now".to_owned(),
            });
        }
    }
}

/// The first of some places, each named once, and how many more there are.
fn some(places: &[String]) -> String {
    const NAMED: usize = 5;
    let mut each: Vec<&str> = Vec::new();
    for place in places {
        if each.last() != Some(&place.as_str()) {
            each.push(place);
        }
    }
    let mut text = each[..each.len().min(NAMED)].join(", ");
    if each.len() > NAMED {
        text.push_str(&format!(" and {} more", each.len() - NAMED));
    }
    text
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

impl Report {
    fn tell(&self, world: &World, back: bool, run: bool) -> Result<()> {
        let say = |line: &str| world.terminal.say(line);
        for program in [
            Program::SealedSecrets,
            Program::ExternalSecrets,
            Program::Sops,
            Program::Sealwright,
        ] {
            let state = self.states.iter().find(|(known, _)| *known == program);
            let has_more = self.items.iter().any(|item| item.program == program)
                || self
                    .problems
                    .iter()
                    .any(|problem| problem.program == program);
            match state {
                Some((_, state)) => say(&format!("{}: {}", program.title(), state.text()))?,
                None if has_more => say(program.title())?,
                None => {}
            }
            self.tell_program(world, program)?;
        }
        let shown: Vec<&Step> = self
            .steps
            .iter()
            .filter(|step| !run || step.runs != Runs::Here)
            .collect();
        match (shown.is_empty(), back) {
            (true, _) if run && !self.steps.is_empty() => return Ok(()),
            (true, false) if self.problems.is_empty() => return say("nothing to do"),
            (true, false) => return say("no steps"),
            (true, true) => return say("there is nothing to go back from"),
            (false, true) => say("steps of the way back:")?,
            (false, false) => say("steps:")?,
        }
        for (number, step) in shown.iter().enumerate() {
            let when = match step.runs {
                Runs::Here => "",
                Runs::First => " (first, by hand)",
                Runs::Last => {
                    " (last, by hand, when all is as it should be: there is no way back from it)"
                }
            };
            say(&format!("  {}. {}{when}", number + 1, step.title))?;
            for words in &step.commands {
                say(&format!("       {}", shell_line(words)))?;
            }
            for words in &step.back {
                say(&format!("     back: {}", shell_line(words)))?;
            }
        }
        Ok(())
    }

    fn tell_program(&self, world: &World, program: Program) -> Result<()> {
        for item in self.items.iter().filter(|item| item.program == program) {
            let text = match item.text.as_str() {
                "" => String::new(),
                text => format!(": {text}"),
            };
            world
                .terminal
                .say_message(&format!("    {} {}{text}", item.kind, item.name))?;
        }
        for problem in self
            .problems
            .iter()
            .filter(|problem| problem.program == program)
        {
            let mark = if problem.blocks { "problem" } else { "note" };
            world.terminal.say_message(&format!(
                "    {mark}: {}: {}; {}",
                problem.object, problem.text, problem.remedy
            ))?;
        }
        Ok(())
    }

    fn json(&self, run: bool, done: usize, failed: bool) -> Value {
        let states = self.states.iter();
        let items = self.items.iter();
        let problems = self.problems.iter();
        let mut here = 0;
        let steps = self.steps.iter().map(|step| {
            let number = here;
            here += usize::from(step.runs == Runs::Here);
            let status = match (run && step.runs == Runs::Here, number.cmp(&done)) {
                (false, _) => "planned",
                (true, std::cmp::Ordering::Less) => "done",
                (true, std::cmp::Ordering::Equal) if failed => "failed",
                (true, _) => "planned",
            };
            json!({
                "program": step.program.name(),
                "title": step.title,
                "commands": step.commands.iter().map(|words| shell_line(words)).collect::<Vec<_>>(),
                "back": step.back.iter().map(|words| shell_line(words)).collect::<Vec<_>>(),
                "when": match step.runs {
                    Runs::Here => "run",
                    Runs::First => "first",
                    Runs::Last => "last",
                },
                "status": status,
            })
        });
        let steps: Vec<Value> = steps.collect();
        json!({
            "programs": states.map(|(program, state)| json!({
                "program": program.name(),
                "state": state.name(),
            })).collect::<Vec<_>>(),
            "found": items.map(|item| json!({
                "program": item.program.name(),
                "kind": item.kind,
                "name": item.name,
                "text": without_secrets(&item.text),
            })).collect::<Vec<_>>(),
            "problems": problems.map(|problem| json!({
                "program": problem.program.name(),
                "object": problem.object,
                "message": without_secrets(&problem.text),
                "remedy": without_secrets(&problem.remedy),
                "blocks": problem.blocks,
            })).collect::<Vec<_>>(),
            "steps": steps,
        })
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

/// A command line as one types it.
fn shell_line(words: &[String]) -> String {
    let quoted = words.iter().map(|word| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,@%+".contains(&byte);
        match !word.is_empty() && word.bytes().all(is_plain) {
            true => word.clone(),
            false => format!("'{}'", word.replace('\'', r"'\''")),
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// A number with its noun.
pub(super) fn count_of(count: usize, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {many}"),
    }
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

    #[test]
    fn a_command_line_can_be_pasted_into_a_shell() {
        let words = ["kubectl", "--set", "a=b\\,c", "it's", ""].map(str::to_owned);
        assert_eq!(shell_line(&words), r"kubectl --set 'a=b\,c' 'it'\''s' ''");
    }
}
