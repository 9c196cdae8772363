//! A cluster to play with, as the tests have it: prints its kubeconfig and lives until it is interrupted.

#![allow(
    clippy::print_stdout,
    reason = "the kubeconfig is for the user's shell"
)]

use std::thread;

use sealwright_tests::harness::cluster::Cluster;

fn main() {
    let cluster = Cluster::start();
    println!("export KUBECONFIG={}", cluster.kubeconfig().display());
    loop {
        thread::park();
    }
}
