//! The benchmark: whole processes, upstream and sealwright in turn in one run, on the same inputs.
//!
//! What counts are the ratios: times depend on the machine, but both sides had the same one at the same time. The rows
//! are a list ([`rows::ROWS`]); the results go to `target/bench.json` and as a table to the terminal.

mod controller;
mod external_secrets;
mod inputs;
mod lateness;
mod measure;
mod report;
pub mod rows;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use self::rows::{ROWS, Row};

/// One program of a comparison, ready to run.
pub struct Side {
    /// Its name in the table.
    pub name: &'static str,
    /// What is run; whole processes are compared.
    pub command: Command,
    /// A file for its standard input.
    pub input: Option<PathBuf>,
    /// What its output has to be, so that doing nothing is not fast.
    pub check: fn(&[u8]) -> bool,
    /// How often it is run: what takes seconds is run less often.
    pub runs: usize,
}

/// What one side took.
#[derive(Debug, Clone, Serialize)]
struct Taken {
    name: &'static str,
    /// The median of the wall clock, in milliseconds.
    milliseconds: f64,
    /// All of them, in the order of the runs.
    all_milliseconds: Vec<f64>,
    /// The median of the processor time, in milliseconds.
    processor_milliseconds: f64,
    /// The greatest peak of resident memory, in MiB.
    peak_mib: f64,
}

/// A measured row.
#[derive(Debug, Serialize)]
struct Measured {
    name: &'static str,
    title: String,
    sides: Vec<Taken>,
}

/// Returns true if the name of the row begins with one of `names`, or if there are none.
fn is_chosen(row: &str, names: &[String]) -> bool {
    names.is_empty() || names.iter().any(|name| row.starts_with(name.as_str()))
}

/// Measures the rows whose names begin with one of `names` (all, if there are none), tells the table line by line and writes the results.
///
/// # Errors
///
/// Says which side of which row failed or printed something else than it has to.
pub fn run(names: &[String], tell: &mut dyn FnMut(&str)) -> Result<(), String> {
    let chosen = |row: &str| is_chosen(row, names);
    let mut results = Vec::new();
    for row in ROWS.iter().filter(|row| chosen(row.name)) {
        let folder = tempfile::Builder::new()
            .prefix("sealwright-bench-")
            .tempdir();
        let folder =
            folder.map_err(|error| format!("cannot create a temporary folder: {error}"))?;
        let measured =
            measure_row(row, folder.path()).map_err(|error| format!("{}: {error}", row.name))?;
        report::table(&measured).iter().for_each(|line| tell(line));
        results.push(measured);
    }
    if chosen("F6") {
        for measured in controller::measure().map_err(|error| format!("F6: {error}"))? {
            report::table(&measured).iter().for_each(|line| tell(line));
            results.push(measured);
        }
    }
    if names.is_empty() || names.iter().any(|name| name.starts_with("F7")) {
        for measured in external_secrets::measure(names).map_err(|error| format!("F7: {error}"))? {
            report::table(&measured).iter().for_each(|line| tell(line));
            results.push(measured);
        }
    }
    let sizes = report::sizes();
    report::size_table(&sizes)
        .iter()
        .for_each(|line| tell(line));
    let path = report::write(&results, &sizes)?;
    tell(&format!("written to {}", path.display()));
    Ok(())
}

fn measure_row(row: &Row, folder: &Path) -> Result<Measured, String> {
    let mut sides = (row.prepare)(folder)?;
    let rounds = sides.iter().map(|side| side.runs).max().unwrap_or_default();
    let mut samples: Vec<Vec<measure::Sample>> = sides.iter().map(|_| Vec::new()).collect();
    // In turn, so that whatever else the machine does meets all sides alike.
    for round in 0..rounds {
        for (side, samples) in sides.iter_mut().zip(&mut samples) {
            if round < side.runs {
                samples.push(measure::sample(side, folder)?);
            }
        }
    }
    let sides = sides
        .iter()
        .zip(&samples)
        .map(|(side, samples)| taken(side.name, samples))
        .collect();
    Ok(Measured {
        name: row.name,
        title: row.title.to_owned(),
        sides,
    })
}

fn taken(name: &'static str, samples: &[measure::Sample]) -> Taken {
    let all = |part: fn(&measure::Sample) -> f64| samples.iter().map(part).collect::<Vec<_>>();
    Taken {
        name,
        milliseconds: median(all(|sample| sample.milliseconds)),
        all_milliseconds: all(|sample| sample.milliseconds),
        processor_milliseconds: median(all(|sample| sample.processor_milliseconds)),
        peak_mib: all(|sample| sample.peak_mib)
            .into_iter()
            .fold(0.0, f64::max),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[odd / 2],
        even => (values[even / 2 - 1] + values[even / 2]) / 2.0,
    }
}
