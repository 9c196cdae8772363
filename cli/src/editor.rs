//! The user's editor: found, started on a private file, its result read back.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sealwright_crypto::secret::SecretBytes;
use sealwright_crypto::shell_words;

use crate::error::{Error, Kind, Result};
use crate::file;
use crate::private::{self, PrivateFolder};
use crate::signals::{Child, Watch, end, from_keyboard};
use crate::terminal::{Terminal, TerminalModes};

/// A file open for editing. Dropping it wipes the text, unless the text was kept before and is edited on.
#[derive(Debug)]
pub(crate) struct Session {
    // For as long as the plaintext is there, the pause between two editors included: the handlers of a process outlive
    // the watch, so a signal after its end would be lost. Dropped before the folder.
    watch: Option<Watch>,
    editor: Child,
    modes: TerminalModes,
    folder: PrivateFolder,
    path: PathBuf,
    words: Vec<OsString>,
}

/// What lies beside the text of a session: the text that the editor showed first, which file it is of, and what the text
/// is called where that is not the name of the file.
const SHOWN: &str = ".sealwright-shown";
const NAME: &str = ".sealwright-name";
/// A text on its way into the place of another.
const NEXT: &str = ".sealwright-next";
const TARGET: &str = ".sealwright-target";
/// Exists when the text has the `sops` block in it.
const BLOCK: &str = ".sealwright-block";

impl Session {
    /// Puts `text` into a private file whose name is the last part of `name`, so that the editor knows its kind.
    pub(crate) fn open(
        terminal: &Terminal,
        name: &Path,
        text: &SecretBytes,
        with_block: bool,
    ) -> Result<Self> {
        let words = find_editor()?;
        let folder = PrivateFolder::create(private::EDIT).map_err(cannot_show)?;
        if !folder.in_memory() {
            terminal.warn(
                "this system has no folder in memory: the decrypted text lies on a disk while it is edited",
            );
        }
        let path = text_in(folder.path(), name);
        let session = Self::in_folder(folder, words, path);
        write_new(&session.path, text.expose()).map_err(cannot_show)?;
        if with_block {
            write_new(&session.folder.path().join(BLOCK), b"").map_err(cannot_show)?;
        }
        Ok(session)
    }

    /// Opens a kept text again, with another text in its place. `shown` is what the file has now.
    pub(crate) fn reopen(kept: Kept, text: &SecretBytes, shown: &SecretBytes) -> Result<Self> {
        let words = find_editor()?;
        let folder = PrivateFolder::reopen(kept.folder.clone()).ok_or_else(|| {
            Error::generic(format!(
                "the kept text in {} is open in another run",
                kept.folder.display()
            ))
        })?;
        let session = Self::in_folder(folder, words, kept.text);
        // Never without either text: the kept one exists nowhere else.
        let next = session.folder.path().join(NEXT);
        let again = |path: &Path, bytes: &[u8]| {
            let _ = std::fs::remove_file(&next);
            write_new(&next, bytes)?;
            std::fs::rename(&next, path)
        };
        let done = again(&session.path, text.expose())
            .and_then(|()| again(&session.folder.path().join(SHOWN), shown.expose()));
        done.map(|()| session).map_err(cannot_show)
    }

    fn in_folder(folder: PrivateFolder, words: Vec<OsString>, path: PathBuf) -> Self {
        let (editor, modes) = (Child::default(), TerminalModes::now());
        Self {
            watch: Some(watch(&folder, &editor, &modes)),
            folder,
            editor,
            modes,
            path,
            words,
        }
    }

    /// Whether the text was kept by an earlier run.
    pub(crate) fn is_resumed(&self) -> bool {
        self.folder.is_kept()
    }

    /// Wipes the text: it is in its file now, or no one wants it.
    pub(crate) fn close(self) {
        let Self { watch, folder, .. } = self;
        drop(watch);
        folder.discard();
    }

    /// Keeps the text for [`Kept::find`] when it was changed: it was edited, and could not be written. `shown` is what the
    /// editor showed first. Gives the place of the text, if it is kept.
    pub(crate) fn keep(self, target: &Path, shown: &SecretBytes) -> Option<PathBuf> {
        let Self {
            watch,
            folder,
            path,
            ..
        } = self;
        drop(watch);
        match file::read(&path) {
            Ok(text) if text.bytes == *shown => {
                folder.discard();
                return None;
            }
            Ok(text) if !text.bytes.is_empty() => {}
            // The editor left nothing.
            _ if !folder.is_kept() => return None,
            _ => {}
        }
        let name = path.file_name().unwrap_or_default();
        let beside = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            path.exists() || write_new(&path, bytes).is_ok()
        };
        // Without them the text is still there to be copied from.
        let _ = beside(SHOWN, shown.expose())
            && (target.file_name() == Some(name) || beside(NAME, name.as_bytes()))
            && beside(TARGET, target.as_os_str().as_bytes());
        let kept = folder.keep().ok()?;
        Some(kept.join(name))
    }

    /// Runs the editor and reads the text back; `line` is where it should open.
    pub(crate) fn run(&mut self, line: Option<usize>) -> Result<Edited> {
        let (program, arguments) = self
            .words
            .split_first()
            .expect("an editor has at least one word");
        let mut command = Command::new(program);
        command.args(arguments);
        if let Some(argument) = line.and_then(|line| line_argument(program, line)) {
            command.arg(argument);
        }
        command.arg(&self.path);
        let started = Instant::now();
        let status = self.editor.start(&mut command, self.watch.as_ref());
        if self.editor.got().is_some() {
            // The watch is about to end the program; nothing may be written any more.
            drop(self.watch.take());
        }
        let failed = || {
            Error::new(
                Kind::Editor,
                format!("Could not run editor {}", Path::new(program).display()),
            )
        };
        let status = status.map_err(|error| {
            failed()
                .because(error)
                .hint("set SOPS_EDITOR or EDITOR to a program with its arguments, such as 'vim' or 'code --wait'")
        })?;
        if !status.success() {
            self.modes.restore();
            if status.signal() == Some(Signal::INT.as_raw()) {
                return Err(Error::new(
                    Kind::Interrupted,
                    "the edit was interrupted; the file is unchanged",
                ));
            }
            return Err(failed().because(status.to_string()));
        }
        let original = file::read(&self.path).map_err(|error| {
            Error::new(Kind::Editor, "cannot read what the editor left").because(error)
        })?;
        // Editors may replace the file under another mask.
        let _ = std::fs::set_permissions(&self.path, std::fs::Permissions::from_mode(0o600));
        let returned_at_once = started.elapsed() < Duration::from_millis(500);
        Ok(Edited {
            text: original.bytes,
            returned_at_once,
        })
    }

    /// What to try when the editor came back at once and changed nothing: a graphical one needs to be told to wait.
    pub(crate) fn waiting_hint(&self) -> Option<String> {
        let program = Path::new(&self.words[0]).file_name()?.to_str()?;
        let wait = match program {
            "code" | "code-insiders" | "codium" | "cursor" | "zed" | "subl" | "atom"
            | "windsurf" => "--wait",
            "gvim" | "mvim" => "--nofork",
            "kate" => "--block",
            "gedit" | "gnome-text-editor" => "--standalone",
            "idea" | "pycharm" | "goland" => "--wait",
            _ => return None,
        };
        let given = self.words.iter().any(|word| {
            word == wait
                || (wait == "--wait" && word == "-w")
                || (wait == "--nofork" && word == "-f")
        });
        (!given).then(|| {
            format!(
                "{program} may have returned before you were done: set EDITOR='{program} {wait}'"
            )
        })
    }
}

/// An edited text that could not be written and waits to be edited on.
#[derive(Debug)]
pub(crate) struct Kept {
    folder: PathBuf,
    /// Where the text lies in it.
    text: PathBuf,
    /// The file that was edited.
    pub(crate) target: PathBuf,
    /// Whether the text has the `sops` block in it.
    pub(crate) with_block: bool,
}

impl Kept {
    /// The kept texts of this user.
    pub(crate) fn find() -> Vec<Self> {
        let found = PrivateFolder::kept().into_iter();
        found
            .filter_map(|folder| {
                let read = |name: &str| std::fs::read(folder.join(name)).map(OsString::from_vec);
                let target = PathBuf::from(read(TARGET).ok()?);
                let name = read(NAME).map_or_else(|_| target.clone(), PathBuf::from);
                Some(Self {
                    text: text_in(&folder, &name),
                    target,
                    with_block: folder.join(BLOCK).exists(),
                    folder,
                })
            })
            .collect()
    }

    /// The folder it lies in.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The text as it was edited, and as it was shown before.
    pub(crate) fn texts(&self) -> Result<(SecretBytes, SecretBytes)> {
        let read = |path: PathBuf| {
            file::read(&path)
                .map(file::Original::into_bytes)
                .map_err(|error| {
                    let text = format!("cannot read the kept text {}", path.display());
                    Error::new(Kind::Read, text).because(error)
                })
        };
        Ok((read(self.text.clone())?, read(self.folder.join(SHOWN))?))
    }
}

/// Where the text of a file lies in a private folder.
fn text_in(folder: &Path, name: &Path) -> PathBuf {
    folder.join(name.file_name().unwrap_or(OsStr::new("file")))
}

fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(bytes))
}

fn cannot_show(error: std::io::Error) -> Error {
    Error::new(Kind::Write, "cannot make a private file for the editor").because(error)
}

/// Ends the program on a signal: the editor first, then the plaintext (S106). Ctrl+C while the editor runs is the
/// editor's alone: emacs takes it for "not that", ed for "stop printing".
fn watch(folder: &PrivateFolder, editor: &Child, modes: &TerminalModes) -> Watch {
    let (editor, modes, wiper) = (editor.clone(), modes.clone(), folder.wiper());
    Watch::start(move |signal| {
        if editor.is_running() && from_keyboard(signal) {
            return;
        }
        editor.pass_on(signal);
        editor.wait_at_most(Duration::from_secs(1));
        wiper.wipe();
        modes.restore();
        end(1)
    })
}

/// What came back from the editor.
#[derive(Debug)]
pub(crate) struct Edited {
    /// The text.
    pub(crate) text: SecretBytes,
    /// Whether the editor ended faster than a person edits.
    pub(crate) returned_at_once: bool,
}

/// `SOPS_EDITOR`, else `EDITOR`, as words; else the first of vim, nano and vi that is there (S105).
fn find_editor() -> Result<Vec<OsString>> {
    for variable in ["SOPS_EDITOR", "EDITOR"] {
        let Some(value) = std::env::var_os(variable).filter(|value| !value.is_empty()) else {
            continue;
        };
        let words = value
            .to_str()
            .and_then(|text| shell_words::split(text).ok());
        return match words {
            Some(words) if !words.is_empty() => Ok(words.into_iter().map(OsString::from).collect()),
            _ => Err(Error::new(
                Kind::Editor,
                format!("invalid {variable}: quotes do not match, or there is no word in it"),
            )),
        };
    }
    for program in ["vim", "nano", "vi"] {
        if in_path(program) {
            return Ok(vec![OsString::from(program)]);
        }
    }
    Err(Error::new(
        Kind::Editor,
        "No editor available: none of vim, nano and vi is installed",
    )
    .hint("set SOPS_EDITOR or EDITOR"))
}

fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| {
        std::fs::metadata(folder.join(program))
            .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    })
}

/// The argument that opens a known editor at a line.
fn line_argument(program: &OsStr, line: usize) -> Option<String> {
    let name = Path::new(program).file_name()?.to_str()?;
    let knows = matches!(
        name,
        "vi" | "vim"
            | "nvim"
            | "view"
            | "gvim"
            | "nano"
            | "pico"
            | "emacs"
            | "emacsclient"
            | "joe"
            | "micro"
            | "kak"
            | "mg"
    );
    knows.then(|| format!("+{line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_editors_open_at_a_line() {
        assert_eq!(line_argument(OsStr::new("/usr/bin/vim"), 3).unwrap(), "+3");
        assert_eq!(line_argument(OsStr::new("cp"), 3), None);
    }
}
