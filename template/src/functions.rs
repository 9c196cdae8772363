//! The functions that templates may call: Go's own and those of sprig, but for the three that
//! look at the machine (`env`, `expandenv`, `getHostByName`).

mod builtin;
mod certificates;
pub(super) mod dates;
mod dicts;
mod dsa;
mod encodings;
mod jwk;
mod lists;
mod numbers;
mod passwords;
mod paths;
mod pem;
mod pkcs12;
mod reflection;
pub(super) mod regexes;
mod rsa;
mod strings;
mod urls;
pub(super) mod versions;
mod yaml;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::dialect::Dialect;
use crate::function::{Entry, Function};

impl Dialect {
    /// Looks a function up; `and` and `or` are part of the language.
    pub(crate) fn find(self, name: &str) -> Option<Function> {
        self.functions().get(name).copied()
    }

    /// Returns true if a template of this dialect may name the function.
    pub(crate) fn knows(self, name: &str) -> bool {
        matches!(name, "and" | "or") || self.functions().contains_key(name)
    }

    /// Lists the names of all functions.
    #[cfg(test)]
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        self.functions().keys().copied().chain(["and", "or"])
    }

    fn functions(self) -> &'static BTreeMap<&'static str, Function> {
        static SEALED_SECRETS: LazyLock<BTreeMap<&'static str, Function>> =
            LazyLock::new(|| sprig().collect());
        static EXTERNAL_SECRETS: LazyLock<BTreeMap<&'static str, Function>> = LazyLock::new(|| {
            sprig()
                .chain(external_secrets())
                .filter(|(name, _)| *name != "fail")
                .collect()
        });
        match self {
            Self::SealedSecrets => &SEALED_SECRETS,
            Self::ExternalSecrets => &EXTERNAL_SECRETS,
        }
    }
}

/// Lists Go's own functions and those of sprig. Later entries win: sprig's `slice` hides Go's own, as it does there.
pub(crate) fn sprig() -> impl Iterator<Item = Entry> {
    [
        builtin::FUNCTIONS,
        certificates::FUNCTIONS,
        dates::FUNCTIONS,
        dicts::FUNCTIONS,
        encodings::FUNCTIONS,
        lists::FUNCTIONS,
        numbers::FUNCTIONS,
        passwords::FUNCTIONS,
        paths::FUNCTIONS,
        reflection::FUNCTIONS,
        regexes::FUNCTIONS,
        strings::FUNCTIONS,
        urls::FUNCTIONS,
        versions::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// Lists what the External Secrets Operator adds, and what it has in another form than sprig 3.3.
pub(crate) fn external_secrets() -> impl Iterator<Item = Entry> {
    [
        encodings::EXTERNAL_SECRETS,
        jwk::FUNCTIONS,
        passwords::EXTERNAL_SECRETS,
        pem::FUNCTIONS,
        pkcs12::FUNCTIONS,
        rsa::FUNCTIONS,
        yaml::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
    .copied()
}
