//! `init`: from an empty repository to the first encrypted file. It is safe to run again: what is there already stays.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sealwright_crypto::secret::SecretBytes;
use serde_json::json;

use super::keygen::{self, NewKey};
use super::{KeyOrName, Settings};
use crate::config::{Config, Place, rule_text};
use crate::error::{Error, Kind, Result};
use crate::file::{self, Content};
use crate::visible::shown;
use crate::working_folder::working_folder;
use crate::world::World;

/// Sets a folder up for encrypted files.
#[derive(Debug)]
pub(crate) struct Init {
    /// Keys to encrypt for; otherwise the one of this person is found or made.
    pub(crate) keys: Vec<KeyOrName>,
    /// The name of this person among the recipients.
    pub(crate) name: Option<String>,
    /// Which files are encrypted.
    pub(crate) path_regex: Option<String>,
    /// Take what would be proposed, and ask nothing.
    pub(crate) yes: bool,
    pub(crate) dry_run: bool,
    pub(crate) json: bool,
    pub(crate) settings: Settings,
}

/// What is proposed as the files to encrypt.
const FILES: &str = "(^|/)secrets/";

/// Lines for `.gitignore`: what must never be committed.
const IGNORED: [&str; 3] = ["keys.txt", "*.agekey", "*.dec.*"];

/// Lines for `.gitattributes`: how `git diff` shows encrypted files.
const ATTRIBUTES: [&str; 4] = [
    "*.yaml diff=sealwright",
    "*.yml diff=sealwright",
    "*.json diff=sealwright",
    "*.env diff=sealwright",
];

/// What a step did, or would do.
struct Step {
    what: String,
    is_new: bool,
}

impl Init {
    /// Asks at most three questions, and writes what is missing.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        let gone = |error: std::io::Error| {
            Error::generic("the working folder is not there").because(error)
        };
        let here = working_folder().map_err(gone)?;
        let path = match &self.settings.config {
            Some(path) => super::absolute(path)?,
            None => here.join(".sops.yaml"),
        };
        let mut steps = Vec::new();
        let (config, key) = match path.exists() {
            true => (Config::read(&Place::of(&path)?)?, None),
            false => {
                let keys = self.keys(world, &mut steps)?;
                let path_regex = self.files(world)?;
                let first = keys.first().map(|(key, _)| key.clone());
                let text = rule_text::new_text(path_regex.as_deref(), &keys);
                let text = SecretBytes::from(text.into_bytes());
                let config =
                    Config::of_text(&Place::of(&path)?, SecretBytes::copy_of(text.expose()))?;
                if let Some(problem) = config.rules().problems().first() {
                    return Err(Error::generic(problem.to_string()));
                }
                if !self.dry_run {
                    let absent = file::Original::absent();
                    file::replace(
                        &world.terminal,
                        &path,
                        &text,
                        Content::Encrypted,
                        Some(&absent),
                    )?;
                }
                (config, first)
            }
        };
        steps.push(Step {
            what: format!("configuration {}", shown(&path)),
            is_new: key.is_some(),
        });
        // Behind a link it is the repository that Git finds.
        if let Some(root) = repository(&std::env::current_dir().map_err(gone)?) {
            steps.push(self.lines(world, &here.join(".gitignore"), &IGNORED)?);
            steps.push(self.lines(world, &here.join(".gitattributes"), &ATTRIBUTES)?);
            steps.push(self.textconv(&root)?);
        }
        self.tell(world, &config, &steps)
    }

    /// The keys of the first rule with the names of their holders.
    fn keys(&self, world: &World, steps: &mut Vec<Step>) -> Result<Vec<(String, Option<String>)>> {
        let name = match &self.name {
            Some(name) => Some(name.clone()),
            None => {
                let proposed = std::env::var("USER").ok().filter(|name| !name.is_empty());
                self.ask(world, "Your name among the recipients", proposed.as_deref())?
            }
        };
        if !self.keys.is_empty() {
            let mut named = name;
            return self
                .keys
                .iter()
                .map(|key| match key.recipient()? {
                    Some(text) => Ok((text, named.take())),
                    None => Err(Error::generic(format!("{:?} is no key", key.0))),
                })
                .collect();
        }
        if let Some((place, recipient)) = keygen::first_recipient(world) {
            steps.push(Step {
                what: format!("age key {recipient} of {place}"),
                is_new: false,
            });
            return Ok(vec![(recipient, name)]);
        }
        let place = keygen::default_place()?;
        let agreed = self.yes
            || self.dry_run
            || match self.asks(world) {
                true => world
                    .terminal
                    .ask_yes_no(&format!(
                        "There is no age key. Make one in {}?",
                        place.display()
                    ))
                    .unwrap_or(false),
                false => false,
            };
        if !agreed {
            return Err(
                Error::generic("there is no age key, and none was named").hint(
                    "--yes makes one, `sealwright keygen` too, and --key names one that you have",
                ),
            );
        }
        let recipient = match self.dry_run {
            true => "age1…".to_owned(),
            false => {
                let key = NewKey::make(false);
                key.store(world, &place, None)?;
                key.recipient().to_owned()
            }
        };
        steps.push(Step {
            what: format!("age key {recipient} in {}", place.display()),
            is_new: true,
        });
        Ok(vec![(recipient, name)])
    }

    fn files(&self, world: &World) -> Result<Option<String>> {
        match &self.path_regex {
            Some(pattern) => Ok(Some(pattern.clone())),
            None => self.ask(
                world,
                "Which files are encrypted, as a regular expression for their paths",
                Some(FILES),
            ),
        }
    }

    fn asks(&self, world: &World) -> bool {
        !self.yes && !self.json && !self.dry_run && world.terminal.reads_from_person()
    }

    /// Asks with a proposal, which an empty answer takes.
    fn ask(&self, world: &World, question: &str, proposed: Option<&str>) -> Result<Option<String>> {
        if !self.asks(world) {
            return Ok(proposed.map(str::to_owned));
        }
        let question = match proposed {
            Some(proposed) => format!("{question} [{proposed}]: "),
            None => format!("{question}: "),
        };
        match world.terminal.ask_line(&question) {
            Some(answer) if answer.is_empty() => Ok(proposed.map(str::to_owned)),
            Some(answer) => Ok(Some(answer)),
            None => Err(Error::new(Kind::Interrupted, "nothing was written")),
        }
    }

    /// Adds the lines that a file lacks.
    fn lines(&self, world: &World, path: &Path, wanted: &[&str]) -> Result<Step> {
        let failed = |error: std::io::Error| {
            Error::new(Kind::Read, format!("cannot read {}", shown(path))).because(error)
        };
        let original = match file::read_to_update(path) {
            Ok(original) => original,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => file::Original::absent(),
            Err(error) => return Err(failed(error)),
        };
        let mut text = original.bytes.expose().to_vec();
        let has = |text: &[u8], line: &str| {
            text.split(|byte| *byte == b'\n')
                .any(|known| known.trim_ascii() == line.as_bytes())
        };
        let missing: Vec<&str> = wanted
            .iter()
            .copied()
            .filter(|line| !has(&text, line))
            .collect();
        let step = Step {
            what: shown(path),
            is_new: !missing.is_empty(),
        };
        if missing.is_empty() || self.dry_run {
            return Ok(step);
        }
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        for line in missing {
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        }
        file::replace(
            &world.terminal,
            path,
            &text.into(),
            Content::Encrypted,
            Some(&original),
        )?;
        Ok(step)
    }

    /// Lets `git diff` show encrypted files through this program, in this clone.
    fn textconv(&self, root: &Path) -> Result<Step> {
        const NAME: &str = "diff.sealwright.textconv";

        let git = |words: &[&str]| {
            Command::new("git")
                .arg("-C")
                .arg(root)
                .arg("config")
                .args(words)
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .output()
        };
        let known = git(&["--get", NAME]).is_ok_and(|output| output.status.success());
        let step = Step {
            what: format!("git config {NAME}"),
            is_new: !known,
        };
        if !known && !self.dry_run {
            let done = git(&[NAME, "sealwright git textconv"]);
            if !done.is_ok_and(|output| output.status.success()) {
                return Err(Error::generic(format!("cannot set {NAME} with git"))
                    .hint("everything else is done; without it `git diff` shows ciphertexts"));
            }
        }
        Ok(step)
    }

    fn tell(&self, world: &World, config: &Config, steps: &[Step]) -> Result<()> {
        if self.json {
            let steps: Vec<_> = steps
                .iter()
                .map(|step| json!({ "what": step.what, "new": step.is_new }))
                .collect();
            return world.terminal.say_json(&json!({ "steps": steps }));
        }
        for step in steps {
            let state = match (step.is_new, self.dry_run) {
                (true, true) => "would be written",
                (true, false) => "written",
                (false, _) => "as it was",
            };
            world.terminal.say(&format!("{}: {state}", step.what))?;
        }
        let rule = config.rules().creation_rules.iter().flatten().next();
        let example = match rule.map(|rule| rule.path_regex.text.as_str()) {
            Some(FILES) => "secrets/",
            _ => "FILE",
        };
        world.terminal.remark(&format!(
            "next: `sealwright encrypt --in-place {example}`, and `sealwright recipients add` for others"
        ));
        Ok(())
    }
}

/// The working tree that a folder is in.
fn repository(folder: &Path) -> Option<PathBuf> {
    let mut above = folder.ancestors();
    above
        .find(|folder| folder.join(".git").exists())
        .map(Path::to_owned)
}
