//! The functions that templates may call: Go's own and those of sprig, but for the three that
//! look at the machine (`env`, `expandenv`, `getHostByName`).

mod builtin;
mod certificates;
pub(super) mod dates;
mod dicts;
mod encodings;
mod lists;
mod numbers;
mod passwords;
mod paths;
mod reflection;
mod regexes;
mod strings;
mod urls;
pub(super) mod versions;

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
