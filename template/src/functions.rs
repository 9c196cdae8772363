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

use crate::function::Entry;

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
