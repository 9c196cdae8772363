//! Cases with upstream's own programs. `cargo test --features interop --test interop`, after `make servers`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "interop/at_terminal.rs"]
mod at_terminal;
#[path = "interop/controller.rs"]
mod controller;
#[path = "interop/demo.rs"]
mod demo;
#[path = "interop/install.rs"]
mod install;
#[path = "interop/judge.rs"]
mod judge;
#[path = "interop/keys.rs"]
mod keys;
#[path = "interop/kubeseal.rs"]
mod kubeseal;
#[path = "../../cli/tests/cli/page.rs"]
mod page;
#[path = "interop/pre_commit.rs"]
mod pre_commit;
#[path = "interop/reference.rs"]
mod reference;
#[path = "../../cli/tests/cli/schema.rs"]
mod schema;
#[path = "interop/sealing.rs"]
mod sealing;
#[path = "interop/sops_cli.rs"]
mod sops_cli;
#[path = "interop/sops_format.rs"]
mod sops_format;
#[path = "interop/upstream_programs.rs"]
mod upstream_programs;

#[path = "interop/template.rs"]
mod template;
#[path = "interop/yaml.rs"]
mod yaml;
