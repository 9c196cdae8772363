//! What one run of a program takes: time, memory, exit code.

use std::path::Path;
use std::process::{Command, Stdio};

use super::programs::beside_this;

/// What a run took.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Wall clock.
    pub milliseconds: f64,
    /// Time of all processors.
    pub processor_milliseconds: f64,
    /// The peak of resident memory.
    pub peak_mib: f64,
    /// The exit code; -1 for a death by signal.
    pub code: i32,
}

/// Runs a command once, under the small program that measures, with that standard input and output. Returns also what it
/// prints on standard error. Environment and folder are those of the command.
///
/// # Errors
///
/// Says what kept the program from being run.
pub fn measure(command: &Command, input: &Path, output: &Path) -> Result<(Sample, String), String> {
    let mut measuring = Command::new(beside_this("measured", "sealwright-tests")?);
    measuring
        .env_clear()
        .arg(input)
        .arg(output)
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            measuring.env(name, value);
        }
    }
    if let Some(folder) = command.get_current_dir() {
        measuring.current_dir(folder);
    }
    let measured = measuring
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| format!("cannot run {measuring:?}: {error}"))?;
    let errors = String::from_utf8_lossy(&measured.stderr).into_owned();
    let told = String::from_utf8_lossy(&measured.stdout);
    let numbers: Vec<f64> = told
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let [wall, processor, peak, code] = numbers[..] else {
        return Err(format!("{measuring:?}: {errors}"));
    };
    let taken = Sample {
        milliseconds: wall / 1e6,
        processor_milliseconds: processor / 1e3,
        peak_mib: peak / 1024.0,
        code: code as i32,
    };
    Ok((taken, errors))
}
