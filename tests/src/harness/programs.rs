//! The programs of this workspace, as cargo has built them, and what any program prints.

use std::path::PathBuf;
use std::process::Command;

/// The command line program.
///
/// # Panics
///
/// Fails the test when the program has not been built.
pub fn sealwright() -> PathBuf {
    program_beside_this("sealwright", "sealwright").unwrap_or_else(|error| panic!("{error}"))
}

/// The controller.
///
/// # Panics
///
/// Fails the test when the program has not been built.
pub fn sealwright_controller() -> PathBuf {
    program_beside_this("sealwright-controller", "sealwright-controller")
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Finds a program of this workspace: in the folder that `SEALWRIGHT_PROGRAMS` names (a way to test
/// packaged programs), else where cargo puts the programs of the profile of the one that runs now.
pub(crate) fn program_beside_this(name: &str, package: &str) -> Result<PathBuf, String> {
    if let Some(folder) = std::env::var_os("SEALWRIGHT_PROGRAMS") {
        let path = PathBuf::from(folder).join(name);
        return match path.is_file() {
            true => Ok(path),
            false => Err(format!("SEALWRIGHT_PROGRAMS has no {}", path.display())),
        };
    }
    beside_this(name, package)
}

/// Finds a program of this workspace where cargo puts the programs of the profile of the one that runs now.
pub(crate) fn beside_this(name: &str, package: &str) -> Result<PathBuf, String> {
    let this = std::env::current_exe()
        .map_err(|error| format!("cannot tell where this program is: {error}"))?;
    let folders = this.ancestors().skip(1).take(2);
    let mut places = folders.map(|folder| folder.join(name));
    places.find(|path| path.is_file()).ok_or_else(|| {
        format!(
            "{name} is not built beside {}: run `cargo build -p {package}` (`make test` does)",
            this.display()
        )
    })
}

/// Runs a program for what it prints.
///
/// # Errors
///
/// Says what was run and what it complained of.
pub fn output(command: &mut Command) -> Result<String, String> {
    let output = command
        .output()
        .map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
