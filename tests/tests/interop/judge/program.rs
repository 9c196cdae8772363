//! Our side as a program, called by the name `sops`: that of another commit shows what the judge would have found in it.

use std::fs;
use std::process::{Command, Stdio};

use sealwright_tests::harness::programs;
use serde_json::json;
use tempfile::TempDir;

use super::ours::Step;
use super::upstream::{Holder, Settings};

pub(super) struct Program {
    folder: TempDir,
    format: &'static str,
    holder: &'static Holder,
}

impl Program {
    pub(super) fn new(format: &'static str, holder: &'static Holder) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            format,
            holder,
        }
    }

    pub(super) fn encrypt(&self, text: &[u8], settings: &Settings) -> Result<Vec<u8>, String> {
        // The older form has the flags of all rules in every version.
        let mut words = vec!["--encrypt".to_owned(), "--age".to_owned()];
        words.push(self.holder.recipient.clone());
        if let Some((field, pattern)) = settings.rule {
            words.extend([format!("--{}", field.replace('_', "-")), pattern.to_owned()]);
        }
        if settings.mac_only {
            words.push("--mac-only-encrypted".into());
        }
        self.run(text, words, &[])
    }

    pub(super) fn decrypt(&self, text: &[u8]) -> Result<Vec<u8>, String> {
        self.run(text, vec!["decrypt".into()], &[])
    }

    pub(super) fn set(&self, text: &[u8], path: &[Step], value: &str) -> Result<Vec<u8>, String> {
        self.change(text, "set", &[index(path), json!(value).to_string()])
    }

    pub(super) fn unset(&self, text: &[u8], path: &[Step]) -> Result<Vec<u8>, String> {
        self.change(text, "unset", &[index(path)])
    }

    fn change(&self, text: &[u8], verb: &str, more: &[String]) -> Result<Vec<u8>, String> {
        self.run(text, vec![verb.into()], more)?;
        Ok(fs::read(self.folder.path().join(self.name())).unwrap())
    }

    fn name(&self) -> String {
        match self.format {
            "dotenv" => "case.env".into(),
            format => format!("case.{format}"),
        }
    }

    fn run(&self, text: &[u8], words: Vec<String>, more: &[String]) -> Result<Vec<u8>, String> {
        fs::write(self.folder.path().join(self.name()), text).unwrap();
        let mut command = Command::new(programs::sealwright());
        self.holder.furnish(&mut command);
        let output = command
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .arg("sops")
            .args(words)
            .arg(self.name())
            .args(more)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}

fn index(path: &[Step]) -> String {
    path.iter()
        .map(|step| match step {
            Step::Key(key) => format!("[{}]", json!(key)),
            Step::Index(index) => format!("[{index}]"),
        })
        .collect()
}
