//! The values of our chart that reproduce the flags and pods of an upstream program.

use super::component::Component;
use super::flag::{Becomes, becomes};
use super::workload::Workload;

/// Returns the arguments of `helm --set` that take over the flags of a Deployment and the ServiceAccount of its pods.
pub(crate) fn values(workload: &Workload) -> Vec<String> {
    let mut values = Vec::new();
    for (flag, value) in &workload.flags {
        match becomes(workload.component, flag) {
            Some(Becomes::Value(name)) => values.push(format!("{name}={}", escaped(value))),
            Some(Becomes::List(name)) => {
                let names: Vec<&str> = entries(value).collect();
                values.push(format!("{name}={{{}}}", names.join(",")));
            }
            Some(Becomes::Extra) => values.push(format!("extraArgs.{flag}={}", escaped(value))),
            Some(Becomes::Scope | Becomes::OfChart | Becomes::Nothing | Becomes::Files) | None => {}
        }
    }
    values.extend(roles(workload).iter().map(|value| (*value).to_owned()));
    // Unless a store names another ServiceAccount, clouds and vaults authenticate the operator by this one.
    if let (Component::ExternalSecrets, Some(account)) = (workload.component, &workload.account) {
        values.push("serviceAccount.create=false".to_owned());
        values.push(format!("serviceAccount.name={account}"));
    }
    values
}

/// Returns the arguments of `helm --set-string` that take over the labels of the pods. Clouds rely on such labels: Azure
/// injects a token into pods that carry a certain one.
pub(crate) fn labels(workload: &Workload) -> Vec<String> {
    if workload.component != Component::ExternalSecrets {
        return Vec::new();
    }
    let labels = workload.labels.iter().map(|(name, value)| {
        let name = name.replace('.', r"\.");
        format!("podLabels.{name}={}", escaped(value))
    });
    labels.collect()
}

/// Returns the chart values that select its RBAC roles. A program that works in single namespaces gets no cluster-wide role,
/// because it may not have had one before.
fn roles(workload: &Workload) -> &'static [&'static str] {
    let is_off = |name: &str| workload.flag(name) == Some("false");
    let names_some = |name: &str| {
        workload
            .flag(name)
            .is_some_and(|list| entries(list).next().is_some())
    };
    match workload.component {
        Component::SealedSecrets
            if is_off("all-namespaces") || names_some("additional-namespaces") =>
        {
            &["rbac.clusterRole=false", "rbac.namespacedRoles=true"]
        }
        // These are the flags that upstream's chart sets with scopedRBAC.
        Component::ExternalSecrets
            if names_some("namespace")
                && is_off("enable-cluster-store-reconciler")
                && is_off("enable-cluster-external-secret-reconciler")
                && is_off("enable-cluster-push-secret-reconciler") =>
        {
            &["scopedRBAC=true"]
        }
        _ => &[],
    }
}

/// Escapes a value for `helm --set`.
fn escaped(value: &str) -> String {
    let value = value.replace('\\', r"\\").replace(',', r"\,");
    // An opening brace would start a list.
    match value.starts_with('{') {
        true => format!(r"\{value}"),
        false => value,
    }
}

/// Splits a comma-separated list, without empty entries.
fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
}
