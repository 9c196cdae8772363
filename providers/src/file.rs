//! The store that is a folder, or one file: for laptops, tests and the demonstration.
//!
//! A folder has a file for each key; a file is a map whose members are the keys. A file may be encrypted: the program that
//! offers File stores says how it is decrypted ([`Decrypt`]). Keys never lead out of the folder: no `..`, no absolute
//! path, and no symbolic link on the way.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::BoxFuture;
use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::json::{self, Json, Kind};
use crate::outcome::{Absent, Answer, Outcome, Proof, StoreError, Trouble, shown};
use crate::remote::{Find, MetadataPolicy, PushItem, PushSource, RemoteRef, SecretMap};
use crate::settings::file::FileSettings;
pub use crate::store::files::{Decrypt, Files};
use crate::store::{
    Capabilities, Content, Deleted, Match, Payload, Pushed, ReadKey, Store, Validation, WriteMode,
};

/// How large a file may be.
const LARGEST: u64 = 16 << 20;
/// How many files one search may list.
const MOST_FILES: usize = 100_000;

/// A folder, or a file.
pub struct FileStore {
    name: String,
    path: PathBuf,
    is_folder: bool,
    decrypt: Option<Arc<dyn Decrypt>>,
}

impl FileStore {
    /// Makes the store.
    ///
    /// # Errors
    ///
    /// When the path is not allowed, or nothing is there.
    pub fn new(settings: &FileSettings, files: Option<&Files>) -> Result<Self, StoreError> {
        let Some(files) = files else {
            return Err(
                StoreError::new(Trouble::Unsupported, "File stores are switched off here")
                    .public()
                    .with_hint("the controller allows them below --file-store-root only"),
            );
        };
        let given = Path::new(&settings.path);
        let path = if files.anywhere {
            files.base.join(given)
        } else {
            let relative = given.strip_prefix("/").unwrap_or(given);
            below(&files.base, &relative.to_string_lossy())?
        };
        let name = format!("File {}", shown(&settings.path));
        let metadata = fs::metadata(&path).map_err(|error| {
            let trouble = match error.kind() {
                io::ErrorKind::NotFound => Trouble::Invalid,
                io::ErrorKind::PermissionDenied => Trouble::Forbidden,
                _ => Trouble::Unavailable,
            };
            StoreError::new(trouble, io_reason(&error)).at_store(&name)
        })?;
        Ok(Self {
            name,
            path,
            is_folder: metadata.is_dir(),
            decrypt: files.decrypt.clone(),
        })
    }

    fn read_file(&self, path: &Path, whole: bool) -> Result<Option<SecretBytes>, StoreError> {
        let file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(io_error(&error)),
        };
        let metadata = file.metadata().map_err(|error| io_error(&error))?;
        if metadata.is_dir() {
            return Ok(None);
        }
        if !metadata.is_file() {
            return Err(StoreError::invalid("it is no regular file"));
        }
        let too_large = || {
            StoreError::new(
                Trouble::TooLarge,
                format!("it has more than {LARGEST} bytes"),
            )
        };
        if metadata.len() > LARGEST {
            return Err(too_large());
        }
        let most = usize::try_from(LARGEST).unwrap_or(usize::MAX);
        let mut bytes = SecretWriter::default();
        bytes
            .read_from(&file, usize::try_from(metadata.len()).unwrap_or(most) + 1)
            .map_err(|error| io_error(&error))?;
        if bytes.len() > most {
            return Err(too_large());
        }
        let bytes = bytes.finish();
        match &self.decrypt {
            Some(decrypt) => decrypt
                .open(path, bytes, whole)
                .map(Some)
                .map_err(|reason| StoreError::new(Trouble::Unauthenticated, reason)),
            None => Ok(Some(bytes)),
        }
    }

    fn read_key(&self, key: &str) -> Outcome<Payload> {
        let absent = || Ok(Answer::Absent(Absent::proved(Proof::NoSuchKey)));
        if self.is_folder {
            let path = below(&self.path, key)?;
            // The folder itself must be there: one that is not mounted proves nothing.
            fs::metadata(&self.path).map_err(|error| io_error(&error))?;
            return match self.read_file(&path, false)? {
                Some(bytes) => Ok(Answer::Found(Payload::whole(bytes))),
                None => absent(),
            };
        }
        let Some(bytes) = self.read_file(&self.path, true)? else {
            return Err(StoreError::new(
                Trouble::Unavailable,
                "the file is not there any more",
            ));
        };
        match document(&bytes)?.member(key) {
            Some(value) => Ok(Answer::Found(Payload::whole(value.unquoted()))),
            None => absent(),
        }
    }

    fn names(&self) -> Result<Vec<String>, StoreError> {
        if !self.is_folder {
            let Some(bytes) = self.read_file(&self.path, true)? else {
                return Err(StoreError::new(
                    Trouble::Unavailable,
                    "the file is not there any more",
                ));
            };
            let names = document(&bytes)?.members();
            return Ok(names.map(|(name, _)| name.expose().to_owned()).collect());
        }
        let mut names = Vec::new();
        let mut folders = vec![(self.path.clone(), String::new())];
        while let Some((folder, prefix)) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(|error| io_error(&error))? {
                let entry = entry.map_err(|error| io_error(&error))?;
                let name = entry.file_name();
                let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
                    continue;
                };
                // Of the entry itself: links are not followed.
                let kind = entry.file_type().map_err(|error| io_error(&error))?;
                let key = format!("{prefix}{name}");
                if kind.is_dir() {
                    folders.push((entry.path(), format!("{key}/")));
                } else if kind.is_file() {
                    names.push(key);
                }
                if names.len() + folders.len() > MOST_FILES {
                    return Err(StoreError::new(
                        Trouble::TooLarge,
                        format!("there are more than {MOST_FILES} files"),
                    ));
                }
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn placed<T>(
        &self,
        result: Result<T, StoreError>,
        verb: &str,
        key: &str,
    ) -> Result<T, StoreError> {
        result.map_err(|error| {
            error
                .while_trying(format!("{verb} `{}`", shown(key)))
                .at_store(&self.name)
        })
    }

    fn write_key(
        &self,
        item: &PushItem,
        value: &SecretBytes,
        mode: WriteMode,
    ) -> Result<Pushed, StoreError> {
        if !self.is_folder {
            return Err(StoreError::new(
                Trouble::Unsupported,
                "a store that is one file is not written to",
            )
            .with_hint("edit the file, or use a folder"));
        }
        let path = below(&self.path, &item.remote_key)?;
        let before = self.read_file(&path, false)?;
        let next = match item.wanted_property() {
            None => SecretBytes::copy_of(value.expose()),
            Some(property) => {
                let mut members = match &before {
                    None => BTreeMap::new(),
                    Some(bytes) => document(bytes)?
                        .members()
                        .map(|(name, value)| {
                            (name.expose().to_owned(), SecretBytes::copy_of(value.raw()))
                        })
                        .collect(),
                };
                let mut text = SecretWriter::default();
                json::write_text(value.expose(), json::Html::Plain, &mut text);
                members.insert(property.to_owned(), text.finish());
                json::object_of_raw(&members)
            }
        };
        let done = match &before {
            None => Pushed::Created,
            Some(before) if *before == next => Pushed::Unchanged,
            Some(_) => Pushed::Updated,
        };
        if mode == WriteMode::Apply && done != Pushed::Unchanged {
            replace(&path, &next).map_err(|error| io_error(&error))?;
        }
        Ok(done)
    }
}

/// Writes a file for its owner alone, whole or not at all.
fn replace(path: &Path, bytes: &SecretBytes) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(folder)?;
    io::Write::write_all(&mut file, bytes.expose())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// The object that a file holds.
fn document(bytes: &SecretBytes) -> Result<Json<'_>, StoreError> {
    Json::parse(bytes.expose())
        .ok()
        .filter(|value| value.kind() == Kind::Object)
        .ok_or_else(|| StoreError::new(Trouble::Malformed, "the file is no map of keys and values"))
}

/// The path of a key below a folder, if it stays there.
fn below(folder: &Path, key: &str) -> Result<PathBuf, StoreError> {
    let refused = |reason: &str| Err(StoreError::invalid(reason.to_owned()).public());
    let mut path = folder.to_owned();
    for part in key.split('/') {
        if part.is_empty() || part == "." || part == ".." || part.contains(['\\', '\0']) {
            return refused("a key is a path of names: no `..`, no empty part, no leading slash");
        }
        path.push(part);
        if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.file_type().is_symlink()) {
            return refused("the key leads over a symbolic link, which is not followed");
        }
    }
    Ok(path)
}

fn io_reason(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or folder",
        io::ErrorKind::PermissionDenied => "this user may not read it",
        io::ErrorKind::NotADirectory => "a part of the path is no folder",
        io::ErrorKind::StorageFull => "the disk is full",
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read only",
        _ => "it cannot be read or written",
    }
}

fn io_error(error: &io::Error) -> StoreError {
    let trouble = match error.kind() {
        io::ErrorKind::PermissionDenied => Trouble::Forbidden,
        _ => Trouble::Unavailable,
    };
    StoreError::new(trouble, io_reason(error))
}

impl Store for FileStore {
    fn describe(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ReadWrite
    }

    fn locate(&self, at: &RemoteRef) -> Result<ReadKey, StoreError> {
        let located = || {
            if at.wanted_version().is_some() {
                return Err(StoreError::invalid("files have no versions").public());
            }
            if at.metadata == MetadataPolicy::Fetch {
                return Err(StoreError::invalid("files have no metadata").public());
            }
            Ok(ReadKey::value(at.key.clone(), None))
        };
        self.placed(located(), "read", &at.key)
    }

    fn read<'a>(&'a self, key: &'a ReadKey) -> BoxFuture<'a, Outcome<Payload>> {
        Box::pin(async move { self.placed(self.read_key(&key.key), "read", &key.key) })
    }

    fn value(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretBytes> {
        let Some(property) = at.wanted_property() else {
            return Ok(Answer::Found(SecretBytes::copy_of(payload.bytes())));
        };
        let found = json::path::get_literal_first(payload.bytes(), property).ok_or_else(|| {
            StoreError::new(
                Trouble::Missing,
                format!("the value has no property {:?}", shown(property)),
            )
            .public()
        });
        self.placed(found.map(|found| found.text()), "read", &at.key)
            .map(Answer::Found)
    }

    fn map(&self, at: &RemoteRef, payload: &Payload) -> Outcome<SecretMap> {
        let Answer::Found(value) = self.value(at, payload)? else {
            return Ok(Answer::Found(SecretMap::new()));
        };
        self.placed(json::object_values(value.expose()), "read", &at.key)
            .map(Answer::Found)
    }

    fn list<'a>(&'a self, what: &'a Find) -> BoxFuture<'a, Outcome<Vec<Match>>> {
        Box::pin(async move {
            let listed = || {
                if what.tags.is_some() {
                    return Err(
                        StoreError::new(Trouble::Unsupported, "files have no tags").public()
                    );
                }
                let mut names = self.names()?;
                if let Some(path) = what.path.as_deref().filter(|path| !path.is_empty()) {
                    let folder = format!("{}/", path.trim_matches('/'));
                    names.retain(|name| name.starts_with(&folder));
                }
                if let Some(pattern) = &what.name {
                    names.retain(|name| pattern.matches(name));
                }
                Ok(names)
            };
            let names = self.placed(listed(), "find in", what.path.as_deref().unwrap_or("/"))?;
            Ok(Answer::Found(
                names
                    .into_iter()
                    .map(|name| Match {
                        content: Content::At(ReadKey::value(name.as_str(), None)),
                        name,
                    })
                    .collect(),
            ))
        })
    }

    fn push<'a>(
        &'a self,
        source: &'a PushSource,
        item: &'a PushItem,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Pushed, StoreError>> {
        Box::pin(async move {
            let value = source.value(item);
            let pushed = value.and_then(|value| self.write_key(item, &value, mode));
            self.placed(pushed, "push", &item.remote_key)
        })
    }

    fn delete<'a>(
        &'a self,
        item: &'a PushItem,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Deleted, StoreError>> {
        Box::pin(async move {
            let deleted = || {
                if !self.is_folder || item.wanted_property().is_some() {
                    return Err(StoreError::new(
                        Trouble::Unsupported,
                        "only whole files of a folder are deleted",
                    ));
                }
                let path = below(&self.path, &item.remote_key)?;
                if !path.is_file() {
                    return Ok(Deleted::Nothing);
                }
                if mode == WriteMode::Apply {
                    fs::remove_file(&path).map_err(|error| io_error(&error))?;
                }
                Ok(Deleted::Key)
            };
            self.placed(deleted(), "delete", &item.remote_key)
        })
    }

    fn exists<'a>(&'a self, item: &'a PushItem) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let there = || {
                let Answer::Found(payload) = self.read_key(&item.remote_key)? else {
                    return Ok(false);
                };
                Ok(item.wanted_property().is_none_or(|property| {
                    json::path::get_literal_first(payload.bytes(), property).is_some()
                }))
            };
            self.placed(there(), "look for", &item.remote_key)
        })
    }

    fn validate(&self) -> BoxFuture<'_, Result<Validation, StoreError>> {
        Box::pin(async move {
            let readable = || {
                if self.is_folder {
                    fs::read_dir(&self.path)
                        .map(drop)
                        .map_err(|error| io_error(&error))
                } else {
                    self.names().map(drop)
                }
            };
            self.placed(readable(), "open", &self.path.to_string_lossy())?;
            Ok(Validation::Ready)
        })
    }

    fn neighbours<'a>(&'a self, _: &'a RemoteRef) -> BoxFuture<'a, Vec<String>> {
        Box::pin(async move { self.names().unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests;
