//! The stores of sealwright against real servers.
//!
//! One set of cases runs over every store; each store adds what only it has. Faults come from a proxy of ours, with a seed
//! that is printed and can be given (`SEALWRIGHT_SEED`); `SEALWRIGHT_CASES` says how many there are.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::print_stdout,
    reason = "seeds are shown, so that a run can be repeated"
)]

mod vaults {
    mod aws;
    mod aws_rows;
    mod aws_sign_in;
    mod azure;
    mod cases;
    mod clouds;
    mod documentation;
    mod doppler;
    mod fault;
    mod files;
    mod frugal;
    mod gcp;
    mod generators;
    mod gitlab;
    mod hostile;
    mod hostile_clouds;
    mod hostile_sign_in;
    mod json_paths;
    mod kubernetes;
    mod onepassword;
    mod openbao;
    mod openbao_auth;
    mod openbao_push;
    mod openbao_raft;
    mod publish;
    mod registries;
    mod roles;
    mod support;
    mod transit;
    mod vals;
    mod vault_clouds;
    mod webhook;
}
