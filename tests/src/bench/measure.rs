//! One run of one side.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::Side;
pub(super) use crate::harness::measure::Sample;
use crate::harness::measure::measure;

/// Runs the side once, under the small program that measures.
pub(super) fn sample(side: &Side, folder: &Path) -> Result<Sample, String> {
    let output = folder.join(format!("{}.out", side.name));
    let input = side.input.as_deref().unwrap_or(Path::new("/dev/null"));
    let mut command = Command::new(side.command.get_program());
    // An empty home: neither side reads the settings of the user who runs the benchmark.
    command
        .args(side.command.get_args())
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder)
        .current_dir(folder);
    for (name, value) in side.command.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", side.name);
    let (taken, errors) = measure(&command, input, &output).map_err(|error| failed(&error))?;
    if taken.code != 0 {
        return Err(failed(&format!("exit code {}: {errors}", taken.code)));
    }
    if !(side.check)(&fs::read(&output).map_err(|error| failed(&error))?) {
        return Err(failed(&"printed something else than it has to"));
    }
    Ok(taken)
}
