//! What was found, what follows from it, and the steps: for a person and as JSON.

use sealwright_resources::generator::Generator;
use serde_json::{Value, json};

use crate::error::Result;
use crate::visible::without_secrets;
use crate::world::World;

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
    pub(super) fn add_generators(&mut self, kind: &str, places: &[String]) {
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

    /// Prints what was found, and the steps that are not run.
    pub(super) fn tell(&self, world: &World, back: bool, run: bool) -> Result<()> {
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

    /// The same as JSON.
    pub(super) fn json(&self, run: bool, done: usize, failed: bool) -> Value {
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

/// One of the programs that this one takes the place of, or this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Program {
    SealedSecrets,
    ExternalSecrets,
    Sops,
    Sealwright,
}

impl Program {
    pub(super) fn title(self) -> &'static str {
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

    pub(super) fn text(self) -> &'static str {
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

/// The first of some places, each named once, and how many more there are.
pub(super) fn some(places: &[String]) -> String {
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

/// A command line as one types it.
pub(super) fn shell_line(words: &[String]) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_pasted_into_a_shell() {
        let words = ["kubectl", "--set", "a=b\\,c", "it's", ""].map(str::to_owned);
        assert_eq!(shell_line(&words), r"kubectl --set 'a=b\,c' 'it'\''s' ''");
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = (0..7).map(|number| number.to_string()).collect();
        assert_eq!(some(&names), "0, 1, 2, 3, 4 and 2 more");
        assert_eq!(some(&names[..2]), "0, 1");
    }
}
