//! What a Deployment runs, and which values of our chart mean what its flags mean.

mod chart;
mod component;
mod container;
mod flag;
mod pod;
mod workload;

#[cfg(test)]
mod tests;

pub(super) use self::chart::{labels, values};
pub(super) use self::component::Component;
pub(super) use self::flag::{Becomes, becomes};
pub(super) use self::workload::{REPLICAS, Workload, release_of, working};
