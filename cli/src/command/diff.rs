//! `diff` and `git textconv`: what changed in encrypted files, value by value, for people and for Git.
//!
//! Values are masked unless they are to be revealed. The mask of a value is a fingerprint of its ciphertext, which needs no
//! key: a value that did not change keeps its ciphertext, so equal masks mean equal values, and a mask tells nothing to
//! someone who can read the file anyway.

mod leaves;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use memchr::memmem;
use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::envelope::Encrypted;
use serde_json::json;

use self::leaves::{Leaves, leaves};
use super::{Input, Settings, absolute, batch, document, key_names};
use crate::error::{Error, Kind, Result, reason};
use crate::file;
use crate::terminal::Colour;
use crate::visible::without_secrets;
use crate::world::World;

/// Shows what changed in encrypted files since a revision.
#[derive(Debug)]
pub(crate) struct Diff {
    /// A revision of Git.
    pub(crate) revision: String,
    /// Files and folders; everything below the working folder without one.
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) reveal: bool,
    pub(crate) json: bool,
    pub(crate) settings: Settings,
}

/// One difference between two versions of a file.
struct Difference {
    mark: char,
    path: String,
    before: Option<SecretBytes>,
    after: Option<SecretBytes>,
}

impl Diff {
    /// Prints the differences of each file that is or was encrypted.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        git(["rev-parse", "--git-dir"].map(OsStr::new))
            .map_err(|error| error.hint("`diff` compares with a revision of a Git repository"))?;
        let mut entries = Vec::new();
        let (mut shown, mut unreadable) = (0, 0);
        for changed in self.changed_files()? {
            let path = &changed.path;
            let name = path.to_string_lossy();
            let (before, after) = match self.views(world, &changed) {
                Ok((None, None)) => continue,
                Ok(views) => views,
                Err(reason) => {
                    shown += 1;
                    unreadable += 1;
                    let reason = without_secrets(&reason);
                    if self.json {
                        entries.push(json!({ "file": name, "changes": [], "message": reason }));
                    } else {
                        let file = crate::visible::shown(path);
                        world
                            .terminal
                            .say(&format!("{file}: unreadable: {reason}"))?;
                    }
                    continue;
                }
            };
            shown += 1;
            let differences = differences(before, after);
            if self.json {
                let changes: Vec<_> = differences
                    .iter()
                    .map(|change| {
                        let mut entry = json!({ "path": change.path, "change": change.name() });
                        if self.reveal {
                            entry["before"] = change.before.as_ref().map(text_of).into();
                            entry["after"] = change.after.as_ref().map(text_of).into();
                        }
                        entry
                    })
                    .collect();
                entries.push(json!({ "file": name, "changes": changes }));
                continue;
            }
            world
                .terminal
                .say(&format!("{}:", crate::visible::shown(path)))?;
            if differences.is_empty() {
                world
                    .terminal
                    .say("    encrypted again, no value changed")?;
            }
            for change in differences {
                world.terminal.say_painted(
                    change.colour(),
                    &format!("    {}", change.line(self.reveal)),
                )?;
            }
        }
        if self.json {
            world.terminal.say_json(&json!({ "files": entries }))?;
        } else if shown == 0 {
            world.terminal.remark("no encrypted file differs");
        }
        match unreadable {
            0 => Ok(()),
            files => Err(Error::new(
                Kind::Read,
                batch::count(files, "cannot be read", "cannot be read"),
            )),
        }
    }

    /// What Git says differs, relative to the working folder.
    fn changed_files(&self) -> Result<Vec<Changed>> {
        let words = [
            "diff",
            "--name-status",
            "--no-renames",
            "--ignore-submodules=all",
            "--relative",
            "-z",
            &self.revision,
            "--",
        ];
        let paths = self.paths.iter().map(|path| path.as_os_str());
        let listed = git(words.into_iter().map(OsStr::new).chain(paths))?;
        let mut fields = listed.split(|byte| *byte == 0);
        let mut changed = Vec::new();
        while let (Some(status), Some(name)) = (fields.next(), fields.next()) {
            changed.push(Changed {
                path: PathBuf::from(OsStr::from_bytes(name)),
                was_there: matches!(status, b"M" | b"D"),
            });
        }
        Ok(changed)
    }

    /// What a file was and is, or why that cannot be told.
    fn views(
        &self,
        world: &World,
        changed: &Changed,
    ) -> std::result::Result<(Option<View>, Option<View>), String> {
        let path = &changed.path;
        let mut object = OsString::from(&self.revision);
        object.push(":./");
        object.push(path);
        let before = match git([OsStr::new("show"), object.as_os_str()]) {
            Ok(text) => self
                .view(world, path, text.into())
                .map_err(|reason| format!("in {}: {reason}", self.revision))?,
            Err(error) if changed.was_there => return Err(error.message()),
            Err(_) => None,
        };
        let after = match file::read(path) {
            Ok(read) => self.view(world, path, read.bytes)?,
            Err(error) if is_gone(&error) => None,
            Err(error) => return Err(reason(&error)),
        };
        Ok((before, after))
    }

    /// The values of a version; `None` for a plain file.
    fn view(
        &self,
        world: &World,
        path: &Path,
        text: SecretBytes,
    ) -> std::result::Result<Option<View>, String> {
        let format = document::input_format(&self.settings, path);
        let has = |mark: &str| memmem::find(text.expose(), mark.as_bytes()).is_some();
        let is_marked = format.name() != "binary" && has("sops") && has("ENC[AES256_GCM");
        let encrypted = match document::parse_any_version(format, text) {
            Ok(encrypted) => encrypted,
            Err(error) if is_marked && error.kind != Kind::NotEncrypted => {
                return Err(error.message());
            }
            Err(_) => return Ok(None),
        };
        let from = Input::File(absolute(path).map_err(|error| error.message())?);
        let plain = document::open(world, &self.settings, &from, &encrypted).ok();
        Ok(Some(View {
            masks: leaves(encrypted.tree()),
            plain: plain.map(|plain| leaves(plain.tree())),
            recipients: key_names(encrypted.metadata()).into_iter().collect(),
        }))
    }
}

/// A file that Git says differs.
struct Changed {
    path: PathBuf,
    /// Whether it certainly was a file in the revision.
    was_there: bool,
}

/// Whether there is no file any more.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
    )
}

impl Difference {
    fn name(&self) -> &'static str {
        match self.mark {
            '+' => "added",
            '-' => "removed",
            _ => "changed",
        }
    }

    fn colour(&self) -> Colour {
        match self.mark {
            '+' => Colour::Green,
            '-' => Colour::Red,
            _ => Colour::Yellow,
        }
    }

    fn line(&self, reveal: bool) -> String {
        let Self {
            mark,
            path,
            before,
            after,
        } = self;
        match (reveal, before, after) {
            (true, Some(before), Some(after)) => {
                format!("{mark} {path}: {} -> {}", text_of(before), text_of(after))
            }
            (true, Some(value), None) | (true, None, Some(value)) => {
                format!("{mark} {path}: {}", text_of(value))
            }
            _ => format!("{mark} {path}"),
        }
    }
}

/// What is in a version of a file.
#[derive(Default)]
struct View {
    /// Ciphertexts as masks.
    masks: Leaves,
    /// The values, where a key here opens the file.
    plain: Option<Leaves>,
    recipients: BTreeSet<String>,
}

fn text_of(value: &SecretBytes) -> String {
    String::from_utf8_lossy(value.expose()).into_owned()
}

fn differences(before: Option<View>, after: Option<View>) -> Vec<Difference> {
    let alone = before.is_none() || after.is_none();
    let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
    let mut found = Vec::new();
    for (mark, here, there) in [
        ('-', &before.recipients, &after.recipients),
        ('+', &after.recipients, &before.recipients),
    ] {
        for recipient in here.difference(there) {
            found.push(Difference {
                mark,
                path: format!("recipient {recipient}"),
                before: None,
                after: None,
            });
        }
    }
    // Values tell more than ciphertexts, which a rotation changes all at once; but both sides have to be opened.
    let empty = Leaves::new();
    let (old_values, new_values) = match (&before.plain, &after.plain) {
        (Some(old), Some(new)) => (old, new),
        (Some(old), None) if alone => (old, &empty),
        (None, Some(new)) if alone => (&empty, new),
        _ => (&before.masks, &after.masks),
    };
    let paths: BTreeSet<&String> = old_values.keys().chain(new_values.keys()).collect();
    for path in paths {
        let (old, new) = (old_values.get(path), new_values.get(path));
        let mark = match (old, new) {
            (Some(old), Some(new)) if old == new => continue,
            (Some(_), Some(_)) => '~',
            (Some(_), None) => '-',
            (None, _) => '+',
        };
        found.push(Difference {
            mark,
            path: path.clone(),
            before: old.map(|value| SecretBytes::copy_of(value.expose())),
            after: new.map(|value| SecretBytes::copy_of(value.expose())),
        });
    }
    found
}

/// Writes a file as `git diff` should compare it.
#[derive(Debug)]
pub(crate) struct Textconv {
    pub(crate) file: PathBuf,
    pub(crate) reveal: bool,
    pub(crate) settings: Settings,
}

impl Textconv {
    /// Prints the values of an encrypted file, one a line. Anything else is printed as it is: `git diff` must never fail for
    /// a file that is plain, or that no key here opens.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        let text = file::read(&self.file)
            .map_err(|error| {
                let text = format!("cannot read {}", crate::visible::shown(&self.file));
                Error::new(Kind::Read, text).because(error)
            })?
            .into_bytes();
        let format = document::input_format(&self.settings, &self.file);
        let Ok(encrypted) = Encrypted::parse(format, SecretBytes::copy_of(text.expose())) else {
            // Git hands over copies under names of its own, which say nothing about the format.
            return match self.guessed(&text) {
                Some(encrypted) => self.print(world, &encrypted),
                None => world.terminal.out(text.expose()),
            };
        };
        self.print(world, &encrypted)
    }

    fn guessed(&self, text: &SecretBytes) -> Option<Encrypted> {
        ["yaml", "json", "dotenv", "ini"]
            .into_iter()
            .find_map(|name| {
                let format = sealwright_documents::format::by_name(name)?;
                Encrypted::parse(format, SecretBytes::copy_of(text.expose())).ok()
            })
    }

    fn print(&self, world: &World, encrypted: &Encrypted) -> Result<()> {
        let from = Input::File(absolute(&self.file)?);
        let plain = self
            .reveal
            .then(|| document::open(world, &self.settings, &from, encrypted).ok())
            .flatten();
        if let Some(plain) = plain {
            return world.terminal.out(plain.text().expose());
        }
        for name in key_names(encrypted.metadata()) {
            world.terminal.say(&format!("# {name}"))?;
        }
        for (path, value) in leaves(encrypted.tree()) {
            world
                .terminal
                .say(&format!("{path}: {}", text_of(&value)))?;
        }
        Ok(())
    }
}

/// Runs Git in the working folder, and gives what it prints.
fn git<'a>(words: impl IntoIterator<Item = &'a OsStr>) -> Result<Vec<u8>> {
    let words: Vec<&OsStr> = words.into_iter().collect();
    let verb = words.first().map(|word| word.to_string_lossy());
    let verb = verb.unwrap_or_default();
    let failed = || Error::generic(format!("git {verb} failed"));
    let mut child = Command::new("git")
        .args(&words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Error::generic("cannot run git").because(error))?;
    let mut out = Vec::new();
    let mut err = String::new();
    let mut stderr = child.stderr.take().expect("it is a pipe");
    let reader = std::thread::spawn(move || {
        let _ = stderr.read_to_string(&mut err);
        err
    });
    let read = child
        .stdout
        .take()
        .expect("it is a pipe")
        .read_to_end(&mut out);
    let err = reader.join().unwrap_or_default();
    let status = child.wait().map_err(|error| failed().because(error))?;
    read.map_err(|error| failed().because(error))?;
    match status.success() {
        true => Ok(out),
        // Git may add its whole usage.
        false => Err(failed().because(err.lines().next().unwrap_or_default().to_owned())),
    }
}
