//! What keys need from the place the program runs in: variables, files and other programs.
//!
//! Keys ask through the trait [`Surroundings`], so that a test or another front-end can put something else there.

#[cfg(test)]
pub(crate) mod fake;

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use crate::secret::{SecretBytes, SecretWriter};

/// Where key material may lie, and what may be run to get it.
pub trait Surroundings: Send + Sync {
    /// Reads an environment variable; `None` when it is not set, which differs from empty.
    fn var(&self, name: &str) -> Option<OsString>;
    /// The user's home directory.
    fn home(&self) -> Option<PathBuf>;
    /// The directory of the user's settings, such as `~/.config`.
    fn config_dir(&self) -> Option<PathBuf>;
    /// Reads a whole file, which may be a pipe; more than `limit` bytes are an error.
    fn read(&self, path: &Path, limit: usize) -> io::Result<SecretBytes>;
    /// Runs a program to its end, without a shell.
    fn run(&self, call: &Call<'_>) -> io::Result<Outcome>;
}

/// A program to be run.
pub struct Call<'a> {
    /// The program: a path, or a name to be looked for in `PATH`.
    pub program: &'a OsStr,
    /// Its arguments. No secret belongs here: every user of the machine can read them.
    pub arguments: &'a [&'a str],
    /// Variables added to the inherited ones.
    pub variables: &'a [(&'a str, &'a str)],
    /// What it reads; nothing stands for an empty input.
    pub input: Option<&'a [u8]>,
}

/// What came of a program.
pub struct Outcome {
    /// How it ended, as text for a report; `None` when it succeeded.
    pub failure: Option<String>,
    /// What it wrote to its standard output.
    pub output: SecretBytes,
    /// What it wrote to its standard error, at most 64 KiB of it.
    pub complaint: Vec<u8>,
}

/// The process's own environment, the file system, and real programs.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemSurroundings;

const COMPLAINT_LIMIT: u64 = 64 * 1024;
const OUTPUT_LIMIT: usize = 64 * 1024 * 1024;

impl Surroundings for SystemSurroundings {
    fn var(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn home(&self) -> Option<PathBuf> {
        let name = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
        directory(self.var(name))
    }

    fn config_dir(&self) -> Option<PathBuf> {
        if cfg!(windows) {
            return directory(self.var("AppData"));
        }
        directory(self.var("XDG_CONFIG_HOME")).or_else(|| {
            let below_home = if cfg!(target_os = "macos") {
                "Library/Application Support"
            } else {
                ".config"
            };
            self.home().map(|home| home.join(below_home))
        })
    }

    fn read(&self, path: &Path, limit: usize) -> io::Result<SecretBytes> {
        let file = File::open(path)?;
        let expected = usize::try_from(file.metadata()?.len()).unwrap_or(0);
        read_to_end(file, expected, limit)
    }

    fn run(&self, call: &Call<'_>) -> io::Result<Outcome> {
        let mut child = Command::new(call.program)
            .args(call.arguments)
            .envs(call.variables.iter().copied())
            .stdin(match call.input {
                Some(_) => Stdio::piped(),
                None => Stdio::null(),
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("its output is piped");
        let stderr = child.stderr.take().expect("its errors are piped");

        // All three pipes move at once: a program that fills one while we wait on another would never end.
        let (output, complaint) = thread::scope(|scope| {
            if let (Some(mut stdin), Some(input)) = (stdin, call.input) {
                // A program may leave its input unread; its exit status tells more than the broken pipe.
                scope.spawn(move || drop(stdin.write_all(input)));
            }
            let complaint = scope.spawn(move || {
                let mut stderr = stderr;
                let mut kept = Vec::new();
                drop(stderr.by_ref().take(COMPLAINT_LIMIT).read_to_end(&mut kept));
                drop(io::copy(&mut stderr, &mut io::sink()));
                kept
            });
            let output = read_to_end(stdout, 4096, OUTPUT_LIMIT);
            (output, complaint.join().unwrap_or_default())
        });
        let status = child.wait()?;
        Ok(Outcome {
            failure: (!status.success()).then(|| status.to_string()),
            output: output?,
            complaint,
        })
    }
}

/// A directory that a variable names; a relative one would depend on where the program was started.
fn directory(value: Option<OsString>) -> Option<PathBuf> {
    value.map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Reads into a buffer that is never copied unwiped; `expected` is a guess of the size.
fn read_to_end(mut from: impl Read, expected: usize, limit: usize) -> io::Result<SecretBytes> {
    let mut bytes = SecretWriter::with_capacity(expected.min(limit) + 1);
    let mut chunk = expected.clamp(512, 64 * 1024);
    loop {
        let filled = bytes.len();
        match from.read(bytes.extend_zeroed(chunk)) {
            Ok(0) => {
                bytes.truncate(filled);
                return Ok(bytes.finish());
            }
            Ok(got) => bytes.truncate(filled + got),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => bytes.truncate(filled),
            Err(error) => return Err(error),
        }
        if bytes.len() > limit {
            return Err(io::Error::other(format!("more than {limit} bytes")));
        }
        chunk = 512.max(expected.saturating_sub(bytes.len()).min(64 * 1024));
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn call<'a>(arguments: &'a [&'a str], input: Option<&'a [u8]>) -> Outcome {
        SystemSurroundings
            .run(&Call {
                program: OsStr::new("sh"),
                arguments,
                variables: &[("SEALWRIGHT_TEST", "a b")],
                input,
            })
            .unwrap()
    }

    #[test]
    fn a_program_gets_input_and_variables_and_gives_output_and_complaint() {
        let outcome = call(
            &[
                "-c",
                "cat; printf '%s' \"$SEALWRIGHT_TEST\"; echo oh >&2; exit 3",
            ],
            Some(b"in:"),
        );
        assert_eq!(outcome.output.expose(), b"in:a b");
        assert_eq!(outcome.complaint, b"oh\n");
        assert_eq!(outcome.failure.as_deref(), Some("exit status: 3"));
    }

    #[test]
    fn large_pipes_in_all_directions_do_not_block() {
        let input = vec![b'x'; 1 << 20];
        let outcome = call(
            &[
                "-c",
                "dd if=/dev/zero bs=1024 count=1024 >&2 2>/dev/null; cat",
            ],
            Some(&input),
        );
        assert_eq!(outcome.output.len(), 1 << 20);
        assert!(outcome.complaint.len() <= COMPLAINT_LIMIT as usize);
        assert!(outcome.failure.is_none());
    }

    #[test]
    fn a_program_that_ignores_its_input_is_no_error() {
        let outcome = call(&["-c", "exec true"], Some(&vec![0; 1 << 20]));
        assert!(outcome.failure.is_none());
    }

    #[test]
    fn files_are_read_whole_up_to_the_limit() {
        let directory =
            std::env::temp_dir().join(format!("sw-surroundings-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("file");
        let content: Vec<u8> = (0..100_000u32).map(|i| i as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let read = SystemSurroundings.read(&path, 100_000).unwrap();
        assert_eq!(read.expose(), content);
        assert!(SystemSurroundings.read(&path, 99_999).is_err());
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
