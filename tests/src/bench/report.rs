//! The table in the terminal and the file of results.

use std::fs;
use std::path::PathBuf;

use serde::Serialize;

use super::Measured;
use crate::harness::{programs, upstream};

/// The width of the longest bar.
const BAR: f64 = 30.0;

/// The size of one program.
#[derive(Debug, Serialize)]
pub(super) struct Size {
    name: &'static str,
    mib: f64,
}

pub(super) fn table(row: &Measured) -> Vec<String> {
    let longest = row
        .sides
        .iter()
        .map(|side| side.milliseconds)
        .fold(0.0, f64::max);
    let ours = row
        .sides
        .iter()
        .find(|side| side.name.starts_with("sealwright"));
    let mut lines = vec![String::new(), format!("{}  {}", row.name, row.title)];
    for side in &row.sides {
        let ratio = match ours {
            Some(ours) if ours.name != side.name => {
                format!(
                    "{:6.1}x time, {:4.1}x memory",
                    side.milliseconds / ours.milliseconds,
                    side.peak_mib / ours.peak_mib
                )
            }
            _ => String::new(),
        };
        lines.push(format!(
            "  {:22} {:30} {:>10} {:>9}  {ratio}",
            side.name,
            bar(side.milliseconds / longest),
            duration(side.milliseconds),
            format!("{:.1} MiB", side.peak_mib),
        ));
    }
    lines
}

pub(super) fn sizes() -> Vec<Size> {
    let programs = [
        ("sops", upstream::sops()),
        ("kubeseal", upstream::kubeseal()),
        ("controller", upstream::sealed_secrets_controller()),
        ("sealwright", programs::sealwright()),
        ("sealwright-controller", programs::sealwright_controller()),
    ];
    let size = |path: PathBuf| {
        fs::metadata(path).map_or(f64::NAN, |metadata| metadata.len() as f64 / 1_048_576.0)
    };
    programs
        .into_iter()
        .map(|(name, path)| Size {
            name,
            mib: size(path),
        })
        .collect()
}

pub(super) fn size_table(sizes: &[Size]) -> Vec<String> {
    let longest = sizes.iter().map(|size| size.mib).fold(0.0, f64::max);
    let lines = sizes.iter().map(|size| {
        format!(
            "  {:22} {:30} {:>10}",
            size.name,
            bar(size.mib / longest),
            format!("{:.1} MiB", size.mib)
        )
    });
    [String::new(), "F8  size of the program".to_owned()]
        .into_iter()
        .chain(lines)
        .collect()
}

/// Writes `bench.json` beside the folder of the programs.
pub(super) fn write(rows: &[Measured], sizes: &[Size]) -> Result<PathBuf, String> {
    let this = std::env::current_exe()
        .map_err(|error| format!("cannot tell where this program is: {error}"))?;
    let path = this.ancestors().nth(2).unwrap_or(&this).join("bench.json");
    let text = serde_json::to_string_pretty(&serde_json::json!({
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "rows": rows,
        "sizes": sizes,
    }));
    let text = text.map_err(|error| format!("cannot write the results: {error}"))?;
    fs::write(&path, text + "\n")
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(path)
}

fn bar(part: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (part * BAR * 8.0).round().max(1.0) as usize;
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

fn duration(milliseconds: f64) -> String {
    match milliseconds {
        short if short < 100.0 => format!("{short:.2} ms"),
        middle if middle < 1000.0 => format!("{middle:.0} ms"),
        long => format!("{:.2} s", long / 1000.0),
    }
}
