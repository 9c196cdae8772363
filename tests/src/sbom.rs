//! A software bill of materials in the format CycloneDX 1.6, from what cargo says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::programs;

/// Makes the document of these packages of this workspace, built for a target.
///
/// # Errors
///
/// Says what cargo says.
pub fn of_workspace(target: &str, packages: &[String]) -> Result<Value, String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let cargo = |words: &[&str], more: &[String]| {
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(program);
        programs::output(
            command
                .args(words)
                .arg("--locked")
                .args(more)
                .current_dir(root),
        )
    };
    let metadata = cargo(
        &[
            "metadata",
            "--format-version=1",
            "--filter-platform",
            target,
        ],
        &[],
    )?;
    let named: Vec<String> = packages
        .iter()
        .map(|package| format!("--package={package}"))
        .collect();
    let edges = "--edges=normal,no-proc-macro";
    let tree = cargo(
        &[
            "tree",
            "--prefix=none",
            "--format={p}",
            edges,
            "--target",
            target,
        ],
        &named,
    )?;
    let lock = std::fs::read_to_string(format!("{root}/Cargo.lock"))
        .map_err(|error| format!("cannot read Cargo.lock: {error}"))?;
    make(&metadata, &lock, &tree, packages)
}

/// Makes the document of these packages of the workspace out of the texts of `cargo metadata`, `Cargo.lock`, and `cargo tree`,
/// which alone knows the features that the packages are built with.
///
/// # Errors
///
/// Says what is not there or cannot be read.
pub fn make(metadata: &str, lock: &str, tree: &str, packages: &[String]) -> Result<Value, String> {
    let metadata: Value = serde_json::from_str(metadata)
        .map_err(|error| format!("this is no output of cargo metadata: {error}"))?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let by_id: BTreeMap<String, Value> = list(&metadata["packages"])
        .into_iter()
        .map(|package| (text(&package["id"]), package))
        .collect();
    let nodes: BTreeMap<String, Value> = list(&metadata["resolve"]["nodes"])
        .into_iter()
        .map(|node| (text(&node["id"]), node))
        .collect();
    if nodes.is_empty() {
        return Err("cargo metadata was asked for no dependencies".to_owned());
    }
    let built = built(tree);
    let mut roots = Vec::new();
    for name in packages {
        let found = by_id
            .iter()
            .find(|(_, package)| package["name"] == **name && package["source"].is_null());
        let (id, _) = found.ok_or_else(|| format!("the workspace has no package {name}"))?;
        roots.push(id.clone());
    }
    let mut seen: BTreeSet<String> = roots.iter().cloned().collect();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut queue: VecDeque<String> = roots.iter().cloned().collect();
    while let Some(id) = queue.pop_front() {
        let below = edges.entry(id.clone()).or_default();
        for dependency in list(&nodes[&id]["deps"]) {
            // Dependencies of the build and of tests are not in the program.
            let kinds = list(&dependency["dep_kinds"]);
            let other = text(&dependency["pkg"]);
            let is_built = built.contains(&name_and_version(&by_id[&other]));
            if !is_built || !kinds.iter().any(|kind| kind["kind"].is_null()) {
                continue;
            }
            below.insert(other.clone());
            if seen.insert(other.clone()) {
                queue.push_back(other);
            }
        }
    }
    let checksums = checksums(lock);
    let component = |id: &String| component(&by_id[id], &checksums);
    let parts: Vec<Value> = seen
        .iter()
        .filter(|id| !roots.contains(id))
        .map(component)
        .collect();
    let programs: Vec<Value> = roots
        .iter()
        .map(|id| {
            let mut program = component(id);
            program["type"] = "application".into();
            program
        })
        .collect();
    let version = programs.first().map(|program| program["version"].clone());
    let reference = |id: &String| reference(&by_id[id]);
    let mut dependencies: Vec<Value> = edges
        .iter()
        .map(|(id, below)| {
            json!({"ref": reference(id), "dependsOn": below.iter().map(reference).collect::<Vec<_>>()})
        })
        .collect();
    dependencies.push(json!({
        "ref": "sealwright-release",
        "dependsOn": roots.iter().map(reference).collect::<Vec<_>>(),
    }));
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "bom-ref": "sealwright-release", "name": "sealwright",
                "version": version, "components": programs},
        },
        "components": parts,
        "dependencies": dependencies,
    }))
}

/// The packages that `cargo tree --prefix none --format {p}` lists, by name and version.
fn built(tree: &str) -> BTreeSet<(String, String)> {
    let packages = tree.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        Some((name.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
    });
    packages.collect()
}

fn name_and_version(package: &Value) -> (String, String) {
    (text(&package["name"]), text(&package["version"]))
}

fn component(package: &Value, checksums: &BTreeMap<(String, String), String>) -> Value {
    let (name, version) = (text(&package["name"]), text(&package["version"]));
    let mut component = json!({
        "type": "library",
        "bom-ref": reference(package),
        "name": name,
        "version": version,
        "purl": reference(package),
    });
    if let Some(license) = package["license"].as_str() {
        // An old spelling of `OR`.
        let expression = license.replace('/', " OR ");
        component["licenses"] = json!([{"expression": expression}]);
    }
    if let Some(description) = package["description"].as_str() {
        component["description"] = description.trim().into();
    }
    if let Some(repository) = package["repository"].as_str() {
        component["externalReferences"] = json!([{"type": "vcs", "url": repository}]);
    }
    if let Some(checksum) = checksums.get(&(name, version)) {
        component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
    }
    component
}

/// The address of a package in the registry.
fn reference(package: &Value) -> String {
    format!(
        "pkg:cargo/{}@{}",
        text(&package["name"]),
        text(&package["version"])
    )
}

/// The checksums of `Cargo.lock`, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    for entry in lock.split("[[package]]") {
        let field = |name: &str| {
            let mut lines = entry.lines();
            let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""))?;
            Some(line.trim_end_matches('"').to_owned())
        };
        if let (Some(name), Some(version), Some(checksum)) =
            (field("name"), field("version"), field("checksum"))
        {
            found.insert((name, version), checksum);
        }
    }
    found
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
