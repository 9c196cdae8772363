//! Generated hostile templates: each ends within its budget, without a crash and within the memory that a pod has.
//!
//! `SEALWRIGHT_SEED` chooses others, `SEALWRIGHT_CASES` their number (60 by default, 1,000 in a soak run). How hostile
//! they are is a matter of record: `docs/src/templates.md` has the figures.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test prints its seed and fails by panicking"
)]

#[path = "hostile/generator.rs"]
mod generator;

use std::time::Duration;

use generator::Hostile;
use rustix::time::{ClockId, clock_gettime};
use sealwright_template::{Budget, Cause, Context, Dialect, Limits, Options, Template};

/// What the controller's shipped memory limit leaves for one rendering, with room for the tests around it.
const MOST_MEMORY_KIB: u64 = 100 * 1024;

#[test]
fn each_ends_within_its_budget() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
    };
    let seed = number("SEALWRIGHT_SEED", 1);
    let soak = std::env::var("SEALWRIGHT_SOAK").is_ok();
    let count = number("SEALWRIGHT_CASES", if soak { 1000 } else { 60 });
    println!("SEALWRIGHT_SEED={seed} SEALWRIGHT_CASES={count}");
    // In the short run the limit is tighter, so that many templates take little time.
    let limits = Limits {
        time: Duration::from_millis(if soak { 2000 } else { 250 }),
        ..Limits::default()
    };
    let mut hostile = Hostile::new(seed);
    let mut refused = 0;
    // As large as the stacks of the controller's threads.
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    let running = thread.spawn(move || {
        for case in 0..count {
            let source = hostile.template();
            let shown = &source[..source.len().min(300)];
            let began = processor_time();
            let result = render(&source, limits);
            let took = processor_time() - began;
            // One key or one hash may be begun just before the end of the time.
            assert!(
                took < limits.time + Duration::from_secs(8),
                "case {case} took {took:?} of processor time: {shown}"
            );
            match result {
                Ok(length) => assert!(length <= limits.memory, "case {case}: {shown}"),
                Err(Cause::Budget) => refused += 1,
                Err(_) => {}
            }
            let peak = peak_memory_kib();
            assert!(
                peak < MOST_MEMORY_KIB,
                "case {case} took {peak} KiB: {shown}"
            );
        }
        refused
    });
    let refused = running.unwrap().join().expect("no template panics");
    assert!(
        refused * 2 > count,
        "only {refused} of {count} were refused"
    );
}

#[test]
fn keys_that_are_aliases_count_as_often_as_they_are_named() {
    let source = r#"{{ $key := repeat 20000 "x" -}}
{{ fromYaml (printf "a: &x %s\nb: [%s]" $key (repeat 90 "{*x : 1},")) | len }}"#;
    let limits = |memory| Limits {
        memory,
        ..Limits::default()
    };
    let rendered = |memory| render_as(Dialect::ExternalSecrets, source, limits(memory));
    assert!(rendered(16 << 20).is_ok());
    assert!(matches!(rendered(1_600_000), Err(Cause::Budget)));
}

#[test]
fn small_maps_count_as_much_as_they_take() {
    let maps = |count| {
        let made =
            format!(r#"{{{{ fromJson (printf "[%s0]" (repeat {count} "{{\"a\":0}},")) | len }}}}"#);
        render(&made, Limits::default())
    };
    assert!(maps(5_000).is_ok());
    // They would take more than 20 MiB.
    assert!(matches!(maps(35_000), Err(Cause::Budget)));
}

#[test]
fn a_password_is_derived_in_the_slow_lane_only() {
    let derived = |memory| {
        let source = r#"{{ derivePassword 1 "long" "p" "u" "s" }}"#;
        let limits = Limits {
            memory,
            ..Limits::default()
        };
        render(source, limits)
    };
    assert!(derived(16 << 20).is_ok());
    // What an object may use at first.
    assert!(matches!(derived(4 << 20), Err(Cause::Budget)));
}

fn render(source: &str, limits: Limits) -> Result<usize, Cause> {
    render_as(Dialect::SealedSecrets, source, limits)
}

fn render_as(dialect: Dialect, source: &str, limits: Limits) -> Result<usize, Cause> {
    let options = Options::of(dialect).with_limits(limits);
    let budget = Budget::new(limits);
    let mut context = Context::default();
    context.insert("user", b"admin");
    let template = Template::parse_within("out", source, &options, &budget);
    template
        .and_then(|template| template.render_within(&context, &budget))
        .map(|text| text.len())
        .map_err(|error| error.cause())
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap(),
        u32::try_from(time.tv_nsec).unwrap(),
    )
}

/// The most memory that this process ever took.
fn peak_memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let line = line.expect("Linux tells the peak");
    let number = line.split_whitespace().nth(1).unwrap();
    number.parse().unwrap()
}
