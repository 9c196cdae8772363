//! Surroundings that hold what a test puts there and remember what was asked of them.

use std::{
    collections::HashMap,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use super::{Call, Outcome, Surroundings};
use crate::{
    master_key::Callbacks,
    secret::{SecretBytes, SecretText},
};

#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) variables: HashMap<&'static str, String>,
    pub(crate) files: HashMap<PathBuf, Vec<u8>>,
    /// What commands print; a command that is not here cannot be run.
    pub(crate) commands: HashMap<&'static str, Result<Vec<u8>, i32>>,
    pub(crate) home: Option<PathBuf>,
    /// Everything that was read or run, in order.
    pub(crate) log: Mutex<Vec<String>>,
}

impl Fake {
    pub(crate) fn with(variables: &[(&'static str, &str)]) -> Self {
        Self {
            variables: variables
                .iter()
                .map(|&(name, value)| (name, value.to_owned()))
                .collect(),
            home: Some("/home/nobody".into()),
            ..Self::default()
        }
    }

    pub(crate) fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), content.into());
        self
    }

    pub(crate) fn command(mut self, program: &'static str, prints: Result<&str, i32>) -> Self {
        let prints = prints.map(|text| text.as_bytes().to_vec());
        self.commands.insert(program, prints);
        self
    }

    pub(crate) fn shared(self) -> Arc<Self> {
        Arc::new(self)
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

impl Surroundings for Fake {
    fn var(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).map(OsString::from)
    }

    fn home(&self) -> Option<PathBuf> {
        self.home.clone()
    }

    fn config_dir(&self) -> Option<PathBuf> {
        Some(self.home()?.join(".config"))
    }

    fn read(&self, path: &Path, limit: usize) -> io::Result<SecretBytes> {
        self.log
            .lock()
            .unwrap()
            .push(format!("read {}", path.display()));
        match self.files.get(path) {
            Some(content) if content.len() <= limit => Ok(SecretBytes::copy_of(content)),
            Some(_) => Err(io::Error::other("too long")),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn run(&self, call: &Call<'_>) -> io::Result<Outcome> {
        let program = call.program.to_str().unwrap();
        self.log.lock().unwrap().push(format!(
            "run {program} {:?} with {:?}",
            call.arguments, call.variables
        ));
        let prints = self
            .commands
            .get(program)
            .ok_or(io::Error::from(io::ErrorKind::NotFound))?;
        Ok(Outcome {
            failure: prints.as_ref().err().map(|code| format!("exit {code}")),
            output: SecretBytes::copy_of(prints.as_deref().unwrap_or_default()),
            complaint: Vec::new(),
        })
    }
}

/// A person who knows one passphrase, or nobody.
#[derive(Default)]
pub(crate) struct Person {
    pub(crate) passphrase: Option<&'static str>,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Person {
    pub(crate) fn knowing(passphrase: &'static str) -> Arc<Self> {
        Arc::new(Self {
            passphrase: Some(passphrase),
            asked: Mutex::default(),
        })
    }

    pub(crate) fn nobody() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Callbacks for Person {
    fn show(&self, message: &str) {
        self.asked.lock().unwrap().push(format!("show {message}"));
    }

    fn passphrase(&self, what: &str) -> Option<SecretText> {
        self.asked.lock().unwrap().push(what.to_owned());
        self.passphrase.map(SecretText::copy_of)
    }

    fn ask(&self, what: &str) -> Option<String> {
        self.asked.lock().unwrap().push(what.to_owned());
        Some("yes".to_owned())
    }
}

/// Finishes a future that never waits, without a runtime.
pub(crate) fn finish<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits for something"),
    }
}
