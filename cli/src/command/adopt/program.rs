//! Upstream's Deployments, and the values of our chart that take over their flags and pods.

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
