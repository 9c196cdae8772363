//! The values of our chart that say what the flags and the pods of an upstream program said.

use super::component::Component;
use super::flag::{Becomes, becomes};
use super::workload::Workload;

/// The flags of a Deployment, and the account of its pods, as words of `helm`'s `--set`.
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
    // Clouds and vaults know the operator by its account, where a store names no other one.
    if let (Component::ExternalSecrets, Some(account)) = (workload.component, &workload.account) {
        values.push("serviceAccount.create=false".to_owned());
        values.push(format!("serviceAccount.name={account}"));
    }
    values
}

/// The labels of a Deployment's pods as words of `helm`'s `--set-string`. Clouds go by them: those of Azure give a token to
/// pods with one of theirs.
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

/// The values of the chart that say which roles it makes: none for the whole cluster where the program works in
/// single namespaces, as it may have had none before.
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
        // As upstream's chart runs it with scopedRBAC.
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

/// A text as a value in `helm`'s `--set`.
fn escaped(value: &str) -> String {
    let value = value.replace('\\', r"\\").replace(',', r"\,");
    // A list would begin so.
    match value.starts_with('{') {
        true => format!(r"\{value}"),
        false => value,
    }
}

/// The entries of a list with commas between them.
fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
}
