//! Paths of the foreign programs. A program that is not there fails the test that asks for it, and says what to do.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::cache;
use super::pins::{self, Pin, Recipe, SOAK_PINS};
use super::toolchain;

/// The reference program for encrypted files.
pub fn sops() -> PathBuf {
    program("sops")
}

/// The reference program of age.
pub fn age() -> PathBuf {
    program("age")
}

/// Makes age keys.
pub fn age_keygen() -> PathBuf {
    program("age-keygen")
}

/// The reference program that seals.
pub fn kubeseal() -> PathBuf {
    program("kubeseal")
}

/// The reference controller that unseals.
pub fn sealed_secrets_controller() -> PathBuf {
    program("controller")
}

/// Go's own template engine with sprig, as a program of ours.
pub fn template_oracle() -> PathBuf {
    program("template-oracle")
}

/// The library with which upstream's stores follow paths into JSON, as a program of ours.
pub fn json_path_oracle() -> PathBuf {
    program("json-path-oracle")
}

/// The reference's own YAML reader, as a program of ours.
pub fn yaml_oracle() -> PathBuf {
    program("yaml-oracle")
}

/// Upstream's own packages for encrypted files, as a program of ours.
pub fn sops_oracle() -> PathBuf {
    program("sops-oracle")
}

/// The YAML test suite: prints its cases, one line of JSON each.
pub fn yaml_suite() -> PathBuf {
    program("yaml-suite")
}

/// OpenBao: server and client of a vault.
pub fn bao() -> PathBuf {
    program("bao")
}

/// The client of the API server.
pub fn kubectl() -> PathBuf {
    program("kubectl")
}

/// Renders and installs charts.
pub fn helm() -> PathBuf {
    program("helm")
}

/// Says what Flux and Argo CD say of objects, by their own code.
pub fn gitops_verdicts() -> PathBuf {
    program("gitops-verdicts")
}

/// Tests alerting rules, from the system.
pub fn promtool() -> PathBuf {
    system("promtool").unwrap_or_else(|| {
        panic!(
            "promtool is not installed: run `make servers` as root, or install Debian's prometheus"
        )
    })
}

/// Scrapes metrics, from the same package of the system.
pub fn prometheus() -> PathBuf {
    system("prometheus").unwrap_or_else(|| {
        panic!(
            "prometheus is not installed: run `make servers` as root, or install Debian's prometheus"
        )
    })
}

/// An independent reader and writer of encrypted files, in Rust.
pub fn rops() -> PathBuf {
    program("rops")
}

/// An independent reader of encrypted files, in TypeScript: `sops-age FILE` prints the values as JSON.
pub fn sops_age() -> PathBuf {
    program("sops-age")
}

/// An independent sealer, in TypeScript: `aes-gcm-rsa-oaep CERTIFICATE SCOPE NAMESPACE NAME < values.json`.
pub fn aes_gcm_rsa_oaep() -> PathBuf {
    program("aes-gcm-rsa-oaep")
}

/// A Python with the clients of `sops`: Ansible with `community.sops`, and `sopsy`.
pub fn sops_clients() -> PathBuf {
    program("sops-clients")
}

/// A Python with `moto`, a double of AWS, and the vendor's own client.
pub fn moto() -> PathBuf {
    program("moto")
}

/// A Python with `pre-commit`, which runs hooks before a commit.
pub fn pre_commit() -> PathBuf {
    program("pre-commit")
}

/// A Python with the clients of Azure and Google, which also runs their doubles.
pub fn cloud_clients() -> PathBuf {
    program("cloud-clients")
}

/// A database server.
pub fn postgres() -> PathBuf {
    program("postgres")
}

/// Makes the folder of a database server.
pub fn initdb() -> PathBuf {
    program("initdb")
}

/// The client of a database server.
pub fn psql() -> PathBuf {
    program("psql")
}

/// A Python with `kseal`, a client of `kubeseal`; or why it is not there: it asks for Python 3.12, which not every
/// machine has.
///
/// # Errors
///
/// Says that there is no such Python.
///
/// # Panics
///
/// Fails the test where there is such a Python and it has not been built.
pub fn kseal() -> Result<PathBuf, String> {
    match left_out(pin_of("kseal")) {
        Some(reason) => Err(reason),
        None => Ok(program("kseal")),
    }
}

/// Reads secrets by references to stores: `vals get ref+vault://…`. Only `make soak` builds it.
pub fn vals() -> PathBuf {
    program("vals")
}

/// Why this machine goes without a program of the list, if it does.
pub fn left_out(pin: &Pin) -> Option<String> {
    match pin.recipe {
        Recipe::NewerPython { least } if !cache::place(pin).exists() => {
            toolchain::python(least).err()
        }
        _ => None,
    }
}

/// A line editor, from the system, for tests at a terminal.
pub fn ed() -> PathBuf {
    system("ed").unwrap_or_else(|| {
        panic!("ed is not installed: run `make servers` as root, or install Debian's ed")
    })
}

/// GnuPG, from the system.
pub fn gpg() -> PathBuf {
    system("gpg").unwrap_or_else(|| {
        panic!("gpg is not installed: run `make servers` as root, or install Debian's gnupg")
    })
}

/// The program of that name in the lists of [`pins`].
///
/// # Panics
///
/// Fails the test when the program has not been built.
pub fn program(name: &str) -> PathBuf {
    let pin = pin_of(name);
    let path = cache::place(pin).join("bin").join(name);
    let is_soaked = SOAK_PINS.iter().any(|soaked| soaked.name == pin.name);
    let target = if is_soaked { "soak" } else { "servers" };
    assert!(
        path.exists(),
        "{name} {} is not built ({} does not exist): run `make {target}`",
        pin.version,
        path.display()
    );
    path
}

fn pin_of(name: &str) -> &'static Pin {
    pins::all()
        .find(|pin| pin.programs.iter().any(|(_, known)| *known == name))
        .unwrap_or_else(|| panic!("{name} is not in the list of pins"))
}

/// Sees to what comes from the system's own packages: GnuPG, an editor, and what tests alerting rules.
///
/// # Errors
///
/// Names what is missing and cannot be had.
pub fn ensure_system() -> Result<(), String> {
    for (program, package) in [("gpg", "gnupg"), ("ed", "ed"), ("promtool", "prometheus")] {
        if system(program).is_some() {
            continue;
        }
        let installed = Command::new("apt-get")
            .args(["install", "--yes", "--no-install-recommends", package])
            .output();
        if system(program).is_none() {
            return Err(format!(
                "{program} is missing and apt-get could not install it; install it by hand\n{installed:?}"
            ));
        }
    }
    Ok(())
}

fn system(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| Path::is_file(path))
}
