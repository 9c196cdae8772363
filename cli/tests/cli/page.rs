//! Pages of the reference, which the programs write: these, and the controller in the cases with upstream's programs.

use std::path::Path;

/// Compares a page with what it should be.
pub(crate) fn compare(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs/src/reference")
        .join(name);
    if std::env::var_os("SEALWRIGHT_WRITE").is_some() {
        std::fs::write(&path, page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/src/reference/{name} is not what the program says; SEALWRIGHT_WRITE=1 writes it again"
    );
}
