//! The files that a list of files and folders means, and what each of them is.
//!
//! Encrypted files are found by what is in them, whatever their names are, so a folder verb finds all that this program
//! ever encrypted there; plain files are found by the creation rules. Hidden folders are looked into like others. `.git` and
//! links are never entered: links lead to files of other folders or round in circles. Plain files that `.gitignore` names
//! are passed over, encrypted ones never are. Whatever is passed over is counted.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use memchr::memmem;
use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::envelope::{Encrypted, ReadError};
use sealwright_documents::metadata::MetadataError;
use sealwright_resources::manifest;

use super::{Settings, absolute, document, format_by_suffix};
use crate::error::{Error, Kind, Result};
use crate::file;
use crate::visible::visible_path;
use crate::world::World;

/// What a file is, without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// It has a `sops` block.
    Encrypted,
    /// A manifest whose Secrets are all sealed.
    Sealed,
    /// Anything else.
    Plain,
}

/// Which files of folders a command is for. A file that is named is always meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Plain files that a creation rule covers; without rules, those that a document format claims by name.
    Plain,
    /// Encrypted files.
    Encrypted,
    /// Manifests with SealedSecrets.
    Sealed,
    /// Manifests with plain Secrets.
    Secrets,
    /// Encrypted files, manifests with SealedSecrets, and plain files as for [`Wanted::Plain`].
    Any,
    /// Those, and manifests with plain Secrets.
    AnyOrSecrets,
    /// As [`Wanted::Any`], for a command that tells by itself which rules cannot be used: they cover nothing.
    AnyByUsableRules,
}

impl Wanted {
    /// Whether the creation rules decide, so that nothing is known without them.
    fn goes_by_rules(self) -> bool {
        matches!(self, Wanted::Plain | Wanted::Any | Wanted::AnyOrSecrets)
    }
}

/// Why a file of a folder was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Skipped {
    /// It is encrypted, and the command is for plain files.
    Encrypted,
    /// It holds SealedSecrets.
    Sealed,
    /// It is plain, and the command is for others.
    Plain,
    /// It is plain, and no creation rule covers it.
    NoRule,
    /// It is plain, and `.gitignore` names it.
    Ignored,
    /// A symbolic link.
    Link,
    /// A pipe, a socket or a device.
    Special,
    /// It tells Git or this program what to do, and must stay readable.
    Configuration,
}

impl Skipped {
    /// Its name in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Skipped::Encrypted => "encrypted",
            Skipped::Sealed => "sealed",
            Skipped::Plain => "plain",
            Skipped::NoRule => "no_rule",
            Skipped::Ignored => "ignored",
            Skipped::Link => "link",
            Skipped::Special => "special",
            Skipped::Configuration => "configuration",
        }
    }

    /// What is said of so many files.
    pub(crate) fn count(self, files: usize) -> String {
        match self {
            Skipped::Encrypted => format!("{files} encrypted already"),
            Skipped::Sealed => format!("{files} sealed"),
            Skipped::Plain => format!("{files} plain"),
            Skipped::NoRule => format!("{files} without a rule"),
            Skipped::Ignored => format!("{files} in .gitignore"),
            Skipped::Link if files == 1 => "1 link".to_owned(),
            Skipped::Link => format!("{files} links"),
            Skipped::Special if files == 1 => "1 special file".to_owned(),
            Skipped::Special => format!("{files} special files"),
            Skipped::Configuration => format!("{files} of configuration"),
        }
    }
}

/// What a list of files and folders means.
#[derive(Default)]
pub(crate) struct Found {
    /// The files to work on, each once, folders in the order of their names.
    pub(crate) files: Vec<PathBuf>,
    /// Folders and files that cannot be looked into.
    pub(crate) unreadable: Vec<(PathBuf, Error)>,
    /// What was passed over in folders.
    pub(crate) skipped: Vec<(PathBuf, Skipped)>,
    /// Whether a folder was among what was named.
    pub(crate) in_folders: bool,
}

impl Found {
    /// Looks at files and folders. What a killed run left beside a file is cleared away on the way. Where rules decide, a
    /// configuration that cannot be read is an error, and a file whose rule is not known is unreadable.
    pub(crate) fn look(
        world: &World,
        settings: &Settings,
        paths: &[PathBuf],
        wanted: Wanted,
    ) -> Result<Self> {
        if wanted.goes_by_rules() {
            super::check_configuration(world, settings)?;
        }
        let mut found = Self::default();
        for path in paths {
            let path = absolute(path)?;
            if path.is_dir() {
                found.in_folders = true;
                let mut ignores = Ignores::above(&path);
                Walk {
                    world,
                    settings,
                    wanted,
                    found: &mut found,
                }
                .folder(&path, &mut ignores, false);
            } else {
                found.files.push(path);
            }
        }
        let mut seen = HashSet::new();
        found.files.retain(|file| seen.insert(file.clone()));
        Ok(found)
    }

    /// How many files were passed over for each reason.
    pub(crate) fn skipped_counts(&self) -> BTreeMap<Skipped, usize> {
        let mut counts = BTreeMap::new();
        for (_, reason) in &self.skipped {
            *counts.entry(*reason).or_default() += 1;
        }
        counts
    }
}

struct Walk<'a> {
    world: &'a World,
    settings: &'a Settings,
    wanted: Wanted,
    found: &'a mut Found,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, ignores: &mut Ignores, ignored: bool) {
        let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                let text = format!("cannot read the folder {}", crate::visible::shown(folder));
                let error = Error::new(Kind::Read, text).because(error);
                self.found.unreadable.push((folder.to_owned(), error));
                return;
            }
        };
        entries.sort_by_key(std::fs::DirEntry::file_name);
        let depth = ignores.enter(folder);
        for entry in entries {
            // What vanished since is not there.
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let path = entry.path();
            if kind.is_dir() {
                if entry.file_name() != ".git" {
                    let ignored = ignored || ignores.name(&path, true);
                    self.folder(&path, ignores, ignored);
                }
            } else if kind.is_file() {
                file::clear_remains(&path);
                if path.exists() {
                    let ignored = ignored || ignores.name(&path, false);
                    self.file(path, ignored);
                }
            } else if kind.is_symlink() {
                self.found.skipped.push((path, Skipped::Link));
            } else {
                self.found.skipped.push((path, Skipped::Special));
            }
        }
        ignores.leave(depth);
    }

    fn file(&mut self, path: PathBuf, ignored: bool) {
        let judged = what_is(&path, self.settings)
            .map_err(|error| {
                let text = format!("cannot read {}", crate::visible::shown(&path));
                Error::new(Kind::Read, text).because(error)
            })
            .and_then(|what| self.passed_over(&path, what, ignored));
        match judged {
            Ok(None) => self.found.files.push(path),
            Ok(Some(reason)) => self.found.skipped.push((path, reason)),
            Err(error) => self.found.unreadable.push((path, error)),
        }
    }

    /// Why the command is not for a file; `None` if it is.
    fn passed_over(&self, path: &Path, what: What, ignored: bool) -> Result<Option<Skipped>> {
        use Wanted::{Any, AnyByUsableRules, AnyOrSecrets, Encrypted, Plain, Sealed, Secrets};

        Ok(match (what, self.wanted) {
            (What::Encrypted, Encrypted | Any | AnyOrSecrets | AnyByUsableRules)
            | (What::Sealed, Sealed | Any | AnyOrSecrets | AnyByUsableRules) => None,
            (What::Encrypted, _) => Some(Skipped::Encrypted),
            (What::Sealed, _) => Some(Skipped::Sealed),
            (What::Plain, _) if is_configuration(path) => Some(Skipped::Configuration),
            (What::Plain, _) if ignored => Some(Skipped::Ignored),
            (What::Plain, Secrets | AnyOrSecrets) if holds_secrets(path)? => None,
            (What::Plain, Encrypted | Sealed | Secrets) => Some(Skipped::Plain),
            (What::Plain, Plain | Any | AnyOrSecrets | AnyByUsableRules) => {
                let covered = match super::covers(self.world, self.settings, path) {
                    Err(_) if self.wanted == AnyByUsableRules => Some(false),
                    covered => covered?,
                };
                match covered {
                    Some(true) => None,
                    None if format_by_suffix(path).is_some() => None,
                    Some(false) | None => Some(Skipped::NoRule),
                }
            }
        })
    }
}

/// Files that Git and this program must be able to read.
fn is_configuration(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    matches!(
        name,
        Some(".sops.yaml" | ".sops.yml" | ".gitignore" | ".gitattributes" | ".gitmodules")
    )
}

/// Looks at what is in a file. Of a large one only both ends are read: the block stands at one of them in every file that
/// a program wrote. What a pipe or a device gives is gone once it is read, so it is never looked into.
pub(crate) fn what_is(path: &Path, settings: &Settings) -> io::Result<What> {
    if !std::fs::metadata(path)?.is_file() {
        return Ok(What::Plain);
    }
    let mut ends = Vec::new();
    let whole = read_ends(path, &mut ends)?;
    if has_marks_of_encrypted(&ends)
        && opens_as_encrypted(path, settings, file::read(path)?.into_bytes())
    {
        return Ok(What::Encrypted);
    }
    if has_name_of_manifest(path) && memmem::find(&ends, b"SealedSecret").is_some() {
        let sealed = match whole {
            true => holds_only_sealed(&ends),
            false if std::fs::metadata(path)?.len() > LARGEST_MANIFEST => false,
            false => holds_only_sealed(file::read(path)?.bytes.expose()),
        };
        if sealed {
            return Ok(What::Sealed);
        }
    }
    Ok(What::Plain)
}

/// Whether a manifest may have that name.
fn has_name_of_manifest(path: &Path) -> bool {
    format_by_suffix(path).is_some_and(|format| matches!(format.name(), "yaml" | "json"))
}

/// Returns true if a file is a manifest whose Secrets are all sealed.
pub(crate) fn is_sealed(path: &Path, settings: &Settings) -> bool {
    matches!(what_is(path, settings), Ok(What::Sealed))
}

/// Whether a plain file is a manifest with a Secret.
fn holds_secrets(path: &Path) -> Result<bool> {
    Ok(manifest_with_secrets(path)?.is_some_and(|text| {
        manifest::kinds(text.expose()).is_ok_and(|kinds| kinds.iter().any(|kind| kind == "Secret"))
    }))
}

/// Names the Secrets of a plain manifest whose values anyone can read. A text that is no YAML, such as a template of Helm, has none.
pub(crate) fn secrets_in_clear(path: &Path) -> Result<Vec<String>> {
    let text = manifest_with_secrets(path)?;
    let names = text.and_then(|text| manifest::secrets_with_values(text.expose()).ok());
    Ok(names.unwrap_or_default())
}

/// The largest manifest that is looked through for Secrets and SealedSecrets. Its objects take several times as much memory.
const LARGEST_MANIFEST: u64 = 64 << 20;

/// The text of a manifest that speaks of Secrets. One that is too large for that is an error: no one knows what is in it.
fn manifest_with_secrets(path: &Path) -> Result<Option<SecretBytes>> {
    if !has_name_of_manifest(path) {
        return Ok(None);
    }
    let failed = |error: io::Error| {
        let text = format!("cannot read {}", crate::visible::shown(path));
        Error::new(Kind::Read, text).because(error)
    };
    if !speaks_of_secrets(File::open(path).map_err(failed)?).map_err(failed)? {
        return Ok(None);
    }
    if std::fs::metadata(path).map_err(failed)?.len() > LARGEST_MANIFEST {
        let text = "it has more than 64 MiB, so it is not looked through for Secrets";
        return Err(failed(io::Error::other(text)));
    }
    let read = file::read(path).map_err(failed)?;
    Ok(Some(read.into_bytes()))
}

/// Whether the word stands anywhere in a text, however large it is.
fn speaks_of_secrets(mut text: impl Read) -> io::Result<bool> {
    const WORD: &[u8] = b"Secret";
    let mut part = Vec::new();
    loop {
        // What may be the beginning of the word at the end of a part belongs to the next one.
        part.drain(..part.len().saturating_sub(WORD.len() - 1));
        if text.by_ref().take(END).read_to_end(&mut part)? == 0 {
            return Ok(false);
        }
        if memmem::find(&part, WORD).is_some() {
            return Ok(true);
        }
    }
}

/// Returns true if what was read from a path certainly has a `sops` block. The text decides, and not the path again: what a
/// pipe gives is gone.
pub(crate) fn is_encrypted(path: &Path, settings: &Settings, text: &SecretBytes) -> bool {
    has_marks_of_encrypted(text.expose())
        && opens_as_encrypted(path, settings, SecretBytes::copy_of(text.expose()))
}

fn has_marks_of_encrypted(text: &[u8]) -> bool {
    let has = |mark: &str| memmem::find(text, mark.as_bytes()).is_some();
    has("sops") && has("ENC[AES256_GCM")
}

/// How much of each end of a file is looked at.
const END: u64 = 1 << 20;

/// Reads a file, or both ends of a large one; returns true if that is all of it.
fn read_ends(path: &Path, ends: &mut Vec<u8>) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    if len <= 2 * END {
        file.take(2 * END).read_to_end(ends)?;
        return Ok(true);
    }
    (&mut file).take(END).read_to_end(ends)?;
    file.seek(SeekFrom::End(-(END as i64)))?;
    file.take(END).read_to_end(ends)?;
    Ok(false)
}

/// Whether a text with the marks of an encrypted one is one. In a format that its name claims, a text that cannot be read
/// is for the command to report.
fn opens_as_encrypted(path: &Path, settings: &Settings, text: SecretBytes) -> bool {
    let format = document::input_format(settings, path);
    match Encrypted::parse(format, text) {
        Ok(_) => true,
        Err(ReadError::Metadata(MetadataError::NotFound)) => false,
        Err(_) => format.name() != "binary",
    }
}

/// Whether every Secret of a manifest is sealed.
fn holds_only_sealed(text: &[u8]) -> bool {
    let (mut sealed, mut is_plain_text) = (false, true);
    for at in memmem::find_iter(text, b"kind") {
        let rest = &text[at + 4..];
        let is_mark = |byte: &u8| matches!(byte, b'"' | b'\'' | b':' | b' ' | b'\t');
        let marks = rest.iter().take_while(|byte| is_mark(byte)).count();
        if !rest[..marks].contains(&b':') {
            continue;
        }
        let word = &rest[marks..];
        let end = word
            .iter()
            .position(|byte| !byte.is_ascii_alphanumeric())
            .unwrap_or(word.len());
        match &word[..end] {
            b"Secret" => return false,
            b"SealedSecret" => sealed = true,
            // A tag, an anchor, an escape or another line: only a reader of YAML knows what it says.
            _ => is_plain_text &= end > 0 && word.get(end) != Some(&b'\\'),
        }
    }
    let is_secret = |kind: &String| kind == "Secret";
    sealed && (is_plain_text || !manifest::kinds(text).is_ok_and(|all| all.iter().any(is_secret)))
}

/// The `.gitignore` files on the way to a folder, outermost first.
struct Ignores {
    files: Vec<(PathBuf, Gitignore)>,
    /// The folder that is looked through.
    start: PathBuf,
    /// The same without links: those above it belong to its repository.
    real: PathBuf,
}

impl Ignores {
    /// Those above a folder, up to the root of the repository that it is in.
    fn above(folder: &Path) -> Self {
        let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let mut ignores = Self {
            files: Vec::new(),
            start: folder.to_owned(),
            real: real.clone(),
        };
        let root = real
            .ancestors()
            .skip(1)
            .find(|above| above.join(".git").exists());
        let Some(root) = root else {
            return ignores;
        };
        let mut way: Vec<&Path> = real
            .ancestors()
            .skip(1)
            .take_while(|above| above.starts_with(root))
            .collect();
        way.reverse();
        for above in way {
            ignores.enter(above);
        }
        ignores
    }

    /// Reads the file of a folder, and gives how many there were before.
    fn enter(&mut self, folder: &Path) -> usize {
        let depth = self.files.len();
        let mut builder = GitignoreBuilder::new(folder);
        let mut any = false;
        for name in [".git/info/exclude", ".gitignore"] {
            let path = folder.join(name);
            // A pattern that cannot be read names nothing.
            any |= path.is_file() && builder.add(path).is_none();
        }
        if any && let Ok(file) = builder.build() {
            self.files.push((folder.to_owned(), file));
        }
        depth
    }

    fn leave(&mut self, depth: usize) {
        self.files.truncate(depth);
    }

    /// Whether the innermost file that says anything about a path names it.
    fn name(&self, path: &Path, is_folder: bool) -> bool {
        let real = match path.strip_prefix(&self.start) {
            Ok(below) => self.real.join(below),
            Err(_) => path.to_owned(),
        };
        self.files
            .iter()
            .rev()
            .map(|(folder, file)| match path.starts_with(folder) {
                true => file.matched(path, is_folder),
                false => file.matched(&real, is_folder),
            })
            .find(|answer| !answer.is_none())
            .is_some_and(|answer| answer.is_ignore())
    }
}

/// What is said of a path in the list of what was passed over.
pub(crate) fn skipped_line(path: &Path, reason: Skipped) -> String {
    let why = match reason {
        Skipped::Encrypted => "encrypted already",
        Skipped::Sealed => "holds SealedSecrets",
        Skipped::Plain => "plain",
        Skipped::NoRule => "no creation rule covers it",
        Skipped::Ignored => ".gitignore names it",
        Skipped::Link => "a link",
        Skipped::Special => "a special file",
        Skipped::Configuration => "configuration",
    };
    let path = visible_path(crate::visible::relative(path));
    format!("skipped {path}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_wherever_it_stands() {
        let end = usize::try_from(END).unwrap();
        for before in [0, 5, end - 3, end, 3 * end - 1] {
            let text = format!("{}Secret{}", "x".repeat(before), "y".repeat(end));
            assert!(speaks_of_secrets(text.as_bytes()).unwrap(), "{before}");
        }
        assert!(!speaks_of_secrets(&b"kind: ConfigMap"[..]).unwrap());
    }

    #[test]
    fn a_manifest_counts_as_sealed_when_no_secret_in_it_is_plain() {
        for (text, sealed) in [
            ("kind: SealedSecret\n", true),
            ("{\"kind\": \"SealedSecret\"}", true),
            ("kind: SealedSecret\n---\nkind: ConfigMap\n", true),
            ("kind: SealedSecret\n---\nkind: Secret\n", false),
            ("# kindly a SealedSecret\nkind: ConfigMap\n", false),
            ("kind: SealedSecret\n---\nkind: !!str Secret\n", false),
            ("kind: SealedSecret\n---\nkind: \"Se\\x63ret\"\n", false),
            ("kind: SealedSecret\n---\nkind:\n  Secret\n", false),
            (
                "kind: SealedSecret\n---\nspec:\n  kind:\n    type: string\n",
                true,
            ),
        ] {
            assert_eq!(holds_only_sealed(text.as_bytes()), sealed, "{text}");
        }
    }
}
