//! A temporary folder that is gone when its owner is, however the owner ends.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use super::programs::program_beside_this;

/// A folder of its own for servers and their data. Removed when dropped, and also when the process is killed.
#[derive(Debug)]
pub struct Sandbox {
    path: PathBuf,
    keeper: Child,
    line: Option<ChildStdin>,
}

impl Sandbox {
    /// Creates the folder and starts its keeper.
    ///
    /// # Errors
    ///
    /// Says what could not be created or started.
    pub fn new() -> Result<Self, String> {
        let folder = tempfile::Builder::new()
            .prefix("sealwright-test-")
            .tempdir();
        let folder =
            folder.map_err(|error| format!("cannot create a temporary folder: {error}"))?;
        let mut keeper = supervisor("folder")?;
        let mut keeper = keeper
            .arg(folder.path())
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start the supervisor: {error}"))?;
        let line = keeper.stdin.take();
        Ok(Self {
            path: folder.keep(),
            keeper,
            line,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A new folder inside.
    ///
    /// # Errors
    ///
    /// Says what could not be created.
    pub fn folder(&self, name: &str) -> Result<PathBuf, String> {
        let path = self.path.join(name);
        std::fs::create_dir_all(&path)
            .map_err(|error| format!("cannot create {}: {error}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.line.take());
        drop(self.keeper.wait());
    }
}

/// The supervisor, out of reach of the terminal's signals.
pub(super) fn supervisor(mode: &str) -> Result<Command, String> {
    let mut command = Command::new(program_beside_this("supervisor", "sealwright-tests")?);
    command.arg(mode).process_group(0);
    Ok(command)
}
