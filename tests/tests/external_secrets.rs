//! The controller of ExternalSecrets beside recorded answers of the real operator, on a real API server with OpenBao.
//! `cargo test --features cluster --test external_secrets`, after `make servers`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "external_secrets/case.rs"]
mod case;
#[path = "external_secrets/compare.rs"]
mod compare;
#[path = "external_secrets/crowd.rs"]
mod crowd;
#[path = "external_secrets/deletions.rs"]
mod deletions;
#[path = "external_secrets/fault_oracle.rs"]
mod fault_oracle;
#[path = "external_secrets/faults.rs"]
mod faults;
#[path = "external_secrets/frugal.rs"]
mod frugal;
#[path = "external_secrets/generators.rs"]
mod generators;
#[path = "external_secrets/kinds.rs"]
mod kinds;
#[path = "external_secrets/picture.rs"]
mod picture;
#[path = "external_secrets/policy.rs"]
mod policy;
#[path = "external_secrets/pushes.rs"]
mod pushes;
#[path = "external_secrets/recorded.rs"]
mod recorded;
#[path = "external_secrets/refresh.rs"]
mod refresh;
#[path = "external_secrets/refusals.rs"]
mod refusals;
#[path = "external_secrets/rig.rs"]
mod rig;
#[path = "external_secrets/roles.rs"]
mod roles;
#[path = "external_secrets/scale.rs"]
mod scale;
#[path = "external_secrets/scene.rs"]
mod scene;
#[path = "external_secrets/support.rs"]
mod support;
#[path = "external_secrets/take_over.rs"]
mod take_over;
#[path = "external_secrets/traps.rs"]
mod traps;
