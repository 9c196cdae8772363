//! What the process itself takes: the `process_*` series that Go programs have. Those of the Go runtime have no
//! counterpart (C75).

use prometheus::proto::MetricFamily;

use super::collected::{Collected, Kind, family};

pub(super) fn collector() -> Collected {
    Collected::new("process_cpu_seconds_total", collect)
}

fn collect() -> Vec<MetricFamily> {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else {
        return Vec::new();
    };
    // The second field is the program's name in parentheses and may hold blanks.
    let Some((_, fields)) = stat.rsplit_once(')') else {
        return Vec::new();
    };
    let fields: Vec<f64> = fields
        .split_ascii_whitespace()
        .map(|field| field.parse().unwrap_or_default())
        .collect();
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or_default();
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let boot = std::fs::read_to_string("/proc/stat")
        .ok()
        .and_then(|stat| {
            let line = stat.lines().find(|line| line.starts_with("btime "))?;
            line[6..].trim().parse::<f64>().ok()
        })
        .unwrap_or_default();
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    [
        (
            "process_cpu_seconds_total",
            Kind::Counter,
            "Total user and system CPU time spent in seconds.",
            (field(14) + field(15)) / ticks,
        ),
        (
            "process_max_fds",
            Kind::Gauge,
            "Maximum number of open file descriptors.",
            limit.unwrap_or(u64::MAX) as f64,
        ),
        (
            "process_open_fds",
            Kind::Gauge,
            "Number of open file descriptors.",
            open as f64,
        ),
        (
            "process_resident_memory_bytes",
            Kind::Gauge,
            "Resident memory size in bytes.",
            field(24) * rustix::param::page_size() as f64,
        ),
        (
            "process_start_time_seconds",
            Kind::Gauge,
            "Start time of the process since unix epoch in seconds.",
            boot + field(22) / ticks,
        ),
        (
            "process_virtual_memory_bytes",
            Kind::Gauge,
            "Virtual memory size in bytes.",
            field(23),
        ),
    ]
    .into_iter()
    .map(|(name, kind, help, value)| family(name, kind, help, vec![(Vec::new(), value)]))
    .collect()
}
