//! `sealwright adopt`, as clap reads it.

use std::path::PathBuf;

use clap::Args;

use super::everywhere::Everywhere;
use crate::cluster::ClusterOptions;
use crate::command;
use crate::error::Result;
use crate::world::World;

/// Report what sops, Sealed Secrets and the External Secrets Operator have left behind, and how to migrate to sealwright and
/// back.
///
/// Without paths, examines the cluster, and reads only the metadata of its Secrets; otherwise examines files and folders.
/// Nothing is changed without --run. The steps are command lines of kubectl, helm and sealwright; --run runs those that can
/// be undone, one after the other, and stops at the first that fails.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealwright adopt\n  sealwright adopt --run --set image.registry=registry.example.com\n  \
        sealwright adopt --back --run\n  \
        sealwright --output json adopt --check .   # in CI"
)]
pub(super) struct Adopt {
    /// Files and folders of a repository.
    #[arg(conflicts_with_all = ["kubeconfig", "context", "namespace", "back", "run", "set"])]
    paths: Vec<PathBuf>,
    /// The kubeconfig file.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<String>,
    /// The context of the kubeconfig.
    #[arg(long)]
    context: Option<String>,
    /// Examine only this namespace.
    #[arg(long, short)]
    namespace: Option<String>,
    /// The chart that is installed: a folder, or what helm takes.
    #[arg(long, value_name = "CHART", default_value = command::Adopt::CHART)]
    chart: String,
    /// An additional chart value, such as image.registry=registry.example.com (repeatable). It overrides what upstream's
    /// flags mean.
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Return to upstream's programs.
    #[arg(long)]
    back: bool,
    /// Run the steps.
    #[arg(long)]
    run: bool,
    /// Do not ask before running the steps.
    #[arg(long, requires = "run")]
    yes: bool,
    /// Fail when something would not work.
    #[arg(long)]
    check: bool,
}

impl Adopt {
    /// Does what was asked.
    pub(super) fn perform(self, world: &World, everywhere: &Everywhere) -> Result<()> {
        command::Adopt {
            paths: self.paths,
            cluster: ClusterOptions {
                kubeconfig: self.kubeconfig,
                context: self.context,
                ..ClusterOptions::default()
            },
            namespace: self.namespace,
            chart: self.chart,
            values: self.set,
            back: self.back,
            run: self.run,
            yes: self.yes,
            check: self.check,
            json: everywhere.json(),
            settings: everywhere.settings(),
        }
        .run(world)
    }
}
