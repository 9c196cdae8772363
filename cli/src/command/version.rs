//! What this build is: its version and commit, what it can use, and with which upstream programs it is compatible.

use std::collections::BTreeMap;

use sealwright_crypto::key_kind;
use sealwright_providers::store::OWN_PROVIDERS;
use serde_json::{Value, json};

use crate::error::Result;
use crate::keys::can_use;
use crate::world::World;

/// The upstream programs whose files, flags and answers this program has, and what it has of later versions.
const CONTRACTS: [(&str, &str, &str); 3] = [
    ("sops", sealwright_documents::metadata::VERSION, ""),
    ("Sealed Secrets", "0.40.0", ""),
    (
        "External Secrets Operator",
        "2.9.0",
        " with the known changes to 2.14",
    ),
];

/// The commit that this program was built of, where the build could tell.
const COMMIT: &str = env!("SEALWRIGHT_COMMIT");

/// `--version --verbose`.
pub(crate) fn show(world: &World, as_json: bool) -> Result<()> {
    if as_json {
        return world.terminal.say_json(&build());
    }
    lines().iter().try_for_each(|line| world.terminal.say(line))
}

/// For people.
pub(crate) fn lines() -> Vec<String> {
    let contracts: Vec<String> = CONTRACTS
        .iter()
        .map(|(program, version, later)| format!("{program} {version}{later}"))
        .collect();
    let kinds = kinds();
    let mut lines = vec![
        format!("sealwright {}", env!("CARGO_PKG_VERSION")),
        format!("commit: {COMMIT}"),
        format!("compatible with: {}", contracts.join(", ")),
        format!("key types: {}", listed(kinds.get(&true))),
    ];
    if kinds.contains_key(&false) {
        lines.push(format!(
            "key types preserved in files but not usable: {}",
            listed(kinds.get(&false))
        ));
    }
    lines.push(format!("stores: {}", OWN_PROVIDERS.join(", ")));
    lines
}

fn listed(kinds: Option<&Vec<&'static str>>) -> String {
    kinds.map(|kinds| kinds.join(", ")).unwrap_or_default()
}

/// For programs.
pub(crate) fn build() -> Value {
    let kinds = kinds();
    let contracts: serde_json::Map<String, Value> = CONTRACTS
        .iter()
        .map(|(program, version, _)| ((*program).to_owned(), (*version).into()))
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": COMMIT,
        "contracts": contracts,
        "key_kinds": kinds.get(&true).cloned().unwrap_or_default(),
        "other_key_kinds": kinds.get(&false).cloned().unwrap_or_default(),
        "stores": OWN_PROVIDERS,
    })
}

/// Which kinds of keys this build can use, and which it only knows in files.
fn kinds() -> BTreeMap<bool, Vec<&'static str>> {
    let mut kinds: BTreeMap<bool, Vec<&'static str>> = BTreeMap::new();
    for kind in key_kind::ALL.into_iter().rev() {
        kinds.entry(can_use(kind)).or_default().push(kind.title);
    }
    kinds
}
