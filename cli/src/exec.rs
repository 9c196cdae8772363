//! Running a command of the user's with secrets in its environment or in a file.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use rustix::fs::{FileType, Mode};
use rustix::process::{Gid, Signal, Uid};
use sealwright_crypto::secret::SecretBytes;

use crate::error::{Error, Kind, Result};
use crate::private::{self, PrivateFolder};
use crate::signals::{Child, Watch, code_of, from_keyboard};

/// Who the command runs as.
#[derive(Debug)]
pub(crate) struct User {
    name: String,
    home: OsString,
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

/// How a command is run.
#[derive(Debug, Default)]
pub(crate) struct How {
    /// Start it and do not wait.
    pub(crate) background: bool,
    /// Without the variables of this process.
    pub(crate) pristine: bool,
    /// Become it instead of starting it.
    pub(crate) same_process: bool,
    /// As another user.
    pub(crate) user: Option<User>,
}

/// Runs a command through the shell with these variables added (S113, S114). Gives its exit code; with `same_process` it
/// does not come back.
pub(crate) fn with_environment(
    how: &How,
    command: &OsStr,
    variables: &[(SecretBytes, SecretBytes)],
) -> Result<()> {
    if let Some(user) = &how.user {
        become_user(user)?;
    }
    let mut shell = shell(how, command);
    for (name, value) in variables {
        shell.env(
            OsStr::from_bytes(name.expose()),
            OsStr::from_bytes(value.expose()),
        );
    }
    if how.same_process {
        let error = shell.exec();
        return Err(Error::generic("cannot run /bin/sh").because(error));
    }
    run(how, shell, Foreground::watch(), None)
}

/// How the file of [`with_file`] is made.
#[derive(Debug, Default)]
pub(crate) struct FileOptions {
    /// A regular file instead of a named pipe.
    pub(crate) no_fifo: bool,
    /// Its name.
    pub(crate) name: Option<String>,
    /// Whether the command is made of words in single quotes, and so every `{}` stands in them.
    pub(crate) in_quotes: bool,
}

/// Runs a command through the shell with every `{}` in it replaced by the path of a file with this content (S118–S122).
pub(crate) fn with_file(
    how: &How,
    command: &OsStr,
    content: SecretBytes,
    options: &FileOptions,
) -> Result<()> {
    if let Some(user) = &how.user {
        become_user(user)?;
    }
    let name = match &options.name {
        Some(name) => local_name(name)?,
        None if options.no_fifo => format!("tmp-file{}", random_digits()).into(),
        None => "tmp-file".into(),
    };
    // Before there is plaintext: a signal would leave it behind.
    let foreground = Foreground::watch();
    let folder = PrivateFolder::create(private::EXEC).map_err(|error| {
        Error::generic("cannot make a private folder for the decrypted file").because(error)
    })?;
    let path = folder.path().join(&name);
    let failed = |error: std::io::Error| {
        Error::generic(format!("cannot make the temporary file {name:?}")).because(error)
    };
    if options.no_fifo {
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        file.write_all(content.expose()).map_err(failed)?;
    } else {
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .map_err(|errno| failed(errno.into()))?;
        let path = path.clone();
        // It serves one reader. If none comes, it waits until the process ends.
        std::thread::spawn(move || {
            if let Ok(mut fifo) = File::options().write(true).open(&path) {
                // A reader that stops early is its own business.
                let _ = fifo.write_all(content.expose());
            }
        });
    }
    let path = path.as_os_str().as_bytes();
    let command = match options.in_quotes {
        true => replace_braces(command, &in_quotes(path)),
        false => replace_braces(command, path),
    };
    run(how, shell(how, &command), foreground, Some(folder))
}

fn shell(how: &How, command: &OsStr) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command);
    if how.pristine {
        shell.env_clear();
    }
    if let Some(user) = &how.user {
        shell.env("HOME", &user.home);
        shell.env("USER", &user.name);
        shell.env("LOGNAME", &user.name);
    }
    shell
}

/// The command that this program waits for, or will, and the watch that passes signals on to it. Ctrl+C reaches it by
/// itself.
struct Foreground {
    child: Child,
    watch: Watch,
}

impl Foreground {
    fn watch() -> Self {
        let child = Child::default();
        let watched = child.clone();
        let watch = Watch::start(move |signal| {
            if from_keyboard(signal) {
                watched.note(signal);
            } else {
                watched.pass_on(signal);
            }
        });
        Self { child, watch }
    }
}

/// Starts the shell and waits for it. A signal that asks this program to end is passed on to the shell, and this program
/// ends after it with the code of that signal, which is what a shell shows for upstream. What the command makes of
/// Ctrl+C is its own business. If the signal came before the shell was started, it is not started.
fn run(
    how: &How,
    mut shell: Command,
    Foreground { child, watch }: Foreground,
    folder: Option<PrivateFolder>,
) -> Result<()> {
    let failed = |error: std::io::Error| Error::generic("cannot run /bin/sh").because(error);
    let ended_by = |signal| Error::new(Kind::Child(code_of(signal)), "");
    if how.background {
        shell
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let started = match child.got() {
            Some(signal) => Err(ended_by(signal)),
            None => shell.spawn().map_err(failed),
        };
        drop(folder);
        return started.map(drop);
    }
    let started = child.start(&mut shell, Some(&watch));
    drop(folder);
    drop(watch);
    let status = match (started, child.got()) {
        (Ok(status), _) => status,
        (Err(_), Some(signal)) => return Err(ended_by(signal)),
        (Err(error), None) => return Err(failed(error)),
    };
    let asked = child
        .got()
        .filter(|signal| *signal != Signal::INT || status.signal() == Some(signal.as_raw()));
    if status.success() && asked.is_none() {
        return Ok(());
    }
    let text = match status.success() {
        true => String::new(),
        false => describe(status),
    };
    let code = asked.map_or_else(|| code(status), code_of);
    Err(Error::new(Kind::Child(code), text))
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal: {signal}"),
        (None, None) => status.to_string(),
    }
}

/// The exit code to pass on; 255 when a signal ended the child (S117).
fn code(status: ExitStatus) -> u8 {
    status
        .code()
        .map_or(255, |code| u8::try_from(code & 0xff).unwrap_or(255))
}

/// A name that stays in its folder (S120), cleaned as by Go.
fn local_name(name: &str) -> Result<PathBuf> {
    let mut clean = PathBuf::new();
    let mut local = !name.is_empty();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::ParentDir => local &= clean.pop(),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => local = false,
        }
    }
    if local {
        Ok(clean)
    } else {
        Err(Error::generic(format!(
            "--filename {name:?} must be a name inside the temporary folder"
        )))
    }
}

/// A text as it stands between single quotes of a shell.
pub(crate) fn in_quotes(text: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b'\'' => quoted.extend_from_slice(br"'\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted
}

fn replace_braces(command: &OsStr, path: &[u8]) -> OsString {
    let command = command.as_bytes();
    let mut out = Vec::with_capacity(command.len() + path.len());
    let mut at = 0;
    while at < command.len() {
        if command[at..].starts_with(b"{}") {
            out.extend_from_slice(path);
            at += 2;
        } else {
            out.push(command[at]);
            at += 1;
        }
    }
    OsString::from(OsStr::from_bytes(&out))
}

fn random_digits() -> String {
    let mut bytes = [0; 4];
    // A name, no secret: a clash is refused by the exclusive creation.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u32::from_ne_bytes(bytes).to_string()
}

impl User {
    /// Looks a user up by name in the system's own files, then through `getent` where users come from a directory.
    pub(crate) fn find(name: &str) -> Result<Self> {
        let unknown = || Error::generic(format!("user: unknown user {name}"));
        let line = match find_line(Path::new("/etc/passwd"), name) {
            Some(line) => line,
            None => getent("passwd", name).ok_or_else(unknown)?,
        };
        let fields: Vec<&str> = line.split(':').collect();
        let number = |at: usize| fields.get(at).and_then(|text| text.parse::<u32>().ok());
        let (Some(uid), Some(gid)) = (number(2), number(3)) else {
            return Err(unknown());
        };
        Ok(Self {
            name: name.to_owned(),
            home: OsString::from(fields.get(5).copied().unwrap_or("/")),
            uid,
            gid,
            groups: groups_of(name, gid),
        })
    }
}

fn find_line(file: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text
        .lines()
        .find(|line| line.split(':').next() == Some(name))?;
    Some(line.to_owned())
}

fn getent(database: &str, name: &str) -> Option<String> {
    let output = Command::new("getent")
        .args([database, name])
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines()
        .next()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
}

fn groups_of(name: &str, gid: u32) -> Vec<u32> {
    let ids = Command::new("id")
        .args(["-G", name])
        .stderr(Stdio::null())
        .output();
    let mut groups: Vec<u32> = match ids {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .split_whitespace()
            .filter_map(|text| text.parse().ok())
            .collect(),
        _ => fs::read_to_string("/etc/group")
            .unwrap_or_default()
            .lines()
            .filter(|line| {
                line.rsplit(':')
                    .next()
                    .is_some_and(|members| members.split(',').any(|member| member == name))
            })
            .filter_map(|line| line.split(':').nth(2)?.parse().ok())
            .collect(),
    };
    if !groups.contains(&gid) {
        groups.insert(0, gid);
    }
    groups
}

/// Gives this thread, and so every child and thread it starts, another user's identity (S123). There is no way back.
fn become_user(user: &User) -> Result<()> {
    let failed = |what: &str, errno: rustix::io::Errno| {
        Error::generic(format!("cannot become the user {} ({what})", user.name)).because(errno)
    };
    let groups: Vec<Gid> = user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    rustix::thread::set_thread_groups(&groups).map_err(|errno| failed("groups", errno))?;
    let gid = Gid::from_raw(user.gid);
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(|errno| failed("group", errno))?;
    let uid = Uid::from_raw(user.uid);
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(|errno| failed("user", errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s120_names_stay_inside() {
        for (good, clean) in [
            ("a", "a"),
            ("a/b", "a/b"),
            ("a/../b", "b"),
            ("./a", "a"),
            ("a//.", "a"),
        ] {
            assert_eq!(local_name(good).unwrap(), Path::new(clean), "{good}");
        }
        for bad in ["", "/a", "../a", "a/../../b"] {
            assert!(local_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn s121_every_pair_of_braces_is_replaced() {
        let replaced = replace_braces(OsStr::new("cat {} {}; echo {x}"), b"/t/f");
        assert_eq!(replaced, "cat /t/f /t/f; echo {x}");
    }

    #[test]
    fn root_is_found() {
        let root = User::find("root").unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert!(root.groups.contains(&0));
        assert!(User::find("no such user").is_err());
    }
}
