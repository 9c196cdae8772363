//! One run of one side.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Side;
use crate::harness::programs::program_beside_this;

/// What one run took.
pub(super) struct Sample {
    pub(super) milliseconds: f64,
    pub(super) processor_milliseconds: f64,
    pub(super) peak_mib: f64,
}

/// Runs the side once, under the small program that measures.
pub(super) fn sample(side: &Side, folder: &Path) -> Result<Sample, String> {
    let output = folder.join(format!("{}.out", side.name));
    let input = side.input.as_deref().unwrap_or(Path::new("/dev/null"));
    let mut command = Command::new(program_beside_this(
        "measured",
        "sealwright-tests --features bench",
    )?);
    command
        .arg(input)
        .arg(&output)
        .arg(side.command.get_program())
        .args(side.command.get_args());
    // An empty home: neither side reads the settings of whoever runs the benchmark.
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder)
        .current_dir(folder);
    command.envs(
        side.command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect::<Vec<(&OsStr, &OsStr)>>(),
    );
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", side.name);
    let measured = command
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| failed(&error))?;
    let told = String::from_utf8_lossy(&measured.stdout).into_owned();
    let numbers: Vec<f64> = told
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let [wall, processor, peak, code] = numbers[..] else {
        return Err(failed(&String::from_utf8_lossy(&measured.stderr)));
    };
    if code != 0.0 {
        return Err(failed(&format!(
            "exit code {code}: {}",
            String::from_utf8_lossy(&measured.stderr)
        )));
    }
    if !(side.check)(&fs::read(&output).map_err(|error| failed(&error))?) {
        return Err(failed(&"printed something else than it has to"));
    }
    Ok(Sample {
        milliseconds: wall / 1e6,
        processor_milliseconds: processor / 1e3,
        peak_mib: peak / 1024.0,
    })
}
