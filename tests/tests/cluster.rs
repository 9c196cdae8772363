//! Cases against a real API server. `cargo test --features cluster --test cluster`, after `make servers`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "cluster/adopt.rs"]
mod adopt;
#[path = "cluster/chart.rs"]
mod chart;
#[path = "cluster/command_line.rs"]
mod command_line;
#[path = "cluster/drift.rs"]
mod drift;
#[path = "cluster/harness.rs"]
mod harness;
#[path = "cluster/kubelet.rs"]
mod kubelet;
#[path = "cluster/left_nothing.rs"]
mod left_nothing;
#[path = "cluster/objects.rs"]
mod objects;
#[path = "cluster/permissions.rs"]
mod permissions;
#[path = "cluster/personality.rs"]
mod personality;
#[path = "cluster/prometheus.rs"]
mod prometheus;
#[path = "../../cli/tests/cli/schema.rs"]
mod schema;
#[path = "cluster/sealed_secrets.rs"]
mod sealed_secrets;
#[path = "cluster/verdicts.rs"]
mod verdicts;
