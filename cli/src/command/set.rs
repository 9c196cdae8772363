//! `set`: one value of an encrypted file.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::data::Data;
use sealwright_documents::envelope::{Document, Memory, decrypt_to_edit, uncovered};
use sealwright_documents::format::{Format, Layout, Step, by_name};
use sealwright_documents::metadata::Metadata;
use sealwright_documents::tree::Tree;

use super::typed_value::{self, ValueType};
use super::{Change, Input, Output, Settings, check_order, document, encrypt};
use crate::audit::Action;
use crate::error::{Error, Fault, Kind, Result};
use crate::file::{self, Content};
use crate::world::World;

/// Where the new value comes from.
#[derive(Debug)]
pub(crate) enum SetValue {
    /// JSON on standard input.
    Stdin,
    /// JSON in a file.
    File(PathBuf),
    /// JSON.
    Json(SecretBytes),
    /// A text, which gets a type.
    Text(SecretBytes, ValueType),
}

/// What `set` may replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replacing {
    /// Whatever stands there, and a scalar on the way, as upstream does (S99).
    Anything,
    /// A value by a value of its kind.
    SameKind,
}

impl SetValue {
    /// JSON that was given on the command line.
    pub(crate) fn json(text: &[u8]) -> Self {
        Self::Json(SecretBytes::copy_of(text))
    }

    fn read(self) -> Result<Read> {
        Ok(Read::Data(match self {
            SetValue::Text(text, wanted) => return Ok(Read::Text(text, wanted)),
            SetValue::Json(text) => parse_json(text)?,
            SetValue::Stdin => parse_json(read_value_stdin()?)?,
            SetValue::File(path) => parse_json(read_value_file(&path)?)?,
        }))
    }
}

/// A value that was read.
enum Read {
    Data(Data),
    /// Its type depends on what stands in its place.
    Text(SecretBytes, ValueType),
}

impl Read {
    fn in_place_of(&self, tree: &Tree, path: &[Step]) -> Result<Data> {
        match self {
            Read::Data(data) => Ok(data.copy()),
            Read::Text(text, wanted) => {
                typed_value::typed(SecretBytes::copy_of(text.expose()), *wanted, tree, path)
            }
        }
    }
}

/// Reads a value from standard input.
pub(crate) fn read_value_stdin() -> Result<SecretBytes> {
    file::read_stdin().map_err(|error| {
        Error::new(Kind::Path, "cannot read the value from standard input").because(error)
    })
}

/// Reads a value from a file.
pub(crate) fn read_value_file(path: &Path) -> Result<SecretBytes> {
    let read = file::read(path).map_err(|error| {
        Error::generic(format!("cannot read the value from {}", path.display())).because(error)
    })?;
    Ok(read.into_bytes())
}

/// A value of more levels is not set, because each takes a stack frame.
const MAX_DEPTH: usize = 1_000;

/// Reads any JSON value, through the JSON format so that nothing of it stays behind unwiped.
fn parse_json(text: SecretBytes) -> Result<Data> {
    let wrong = |reason: String| {
        Error::of(Fault::NoJson)
            .because(reason)
            .hint("a text needs its quotes: '\"text\"'")
    };
    let json = by_name("json").expect("JSON is in the list of formats");
    let mut wrapped = sealwright_crypto::secret::SecretWriter::with_capacity(text.len() + 16);
    wrapped.push(b"{\"v\":");
    wrapped.push(text.expose());
    wrapped.push(b"\n}");
    let tree = json
        .parse(wrapped.finish())
        .map_err(|error| wrong(error.reason))?;
    let root = tree.documents.first().map_or(0, |root| *root as usize);
    // Beside those of the value there is the object around it, and a scalar in it.
    if tree.depth(root) > MAX_DEPTH + 2 {
        return Err(wrong(format!(
            "it is nested more than {MAX_DEPTH} levels deep"
        )));
    }
    let children: Vec<_> = tree.children(root).collect();
    match &children[..] {
        [only] => Ok(last_of_each_key(Data::of(&tree, *only))),
        _ => Err(wrong("it is more than one value".into())),
    }
}

/// The last of several equal keys counts, as in upstream's JSON.
fn last_of_each_key(value: Data) -> Data {
    match value {
        Data::Map(entries) => {
            let keys = entries.iter().enumerate();
            let last: std::collections::HashMap<&[u8], usize> =
                keys.map(|(at, (key, _))| (key.expose(), at)).collect();
            let keys = entries.iter().enumerate();
            let counts: Vec<bool> = keys
                .map(|(at, (key, _))| last.get(key.expose()) == Some(&at))
                .collect();
            let entries = entries.into_iter().zip(counts);
            let counted = entries.filter(|(_, counts)| *counts);
            Data::Map(
                counted
                    .map(|((key, value), _)| (key, last_of_each_key(value)))
                    .collect(),
            )
        }
        Data::List(items) => Data::List(items.into_iter().map(last_of_each_key).collect()),
        other => other,
    }
}

/// Sets one value of the first document.
#[derive(Debug)]
pub(crate) struct Set {
    pub(crate) file: PathBuf,
    /// What types and rules go by.
    pub(crate) name: PathBuf,
    pub(crate) path: Vec<Step>,
    pub(crate) value: SetValue,
    pub(crate) replacing: Replacing,
    /// Leave the file alone when the value is there already.
    pub(crate) idempotent: bool,
    pub(crate) ignore_mac: bool,
    pub(crate) settings: Settings,
}

impl Set {
    /// Does it, in place.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        self.change(world)?.finish(&world.terminal)
    }

    /// Computes the result.
    pub(crate) fn change(self, world: &World) -> Result<Change> {
        // A wrong configuration is reported before a wrong value, as upstream does.
        world.configuration(&self.settings)?;
        let value = self.value.read()?;
        check_order(&self.settings)?;
        let path = self.path;
        let idempotent = self.idempotent;
        let replacing = self.replacing;
        let from = Input::File(self.file.clone());
        Update {
            file: self.file,
            name: self.name,
            ignore_mac: self.ignore_mac,
            settings: self.settings,
        }
        .change(world, &|format, tree, layout| {
            let value = value.in_place_of(tree, &path)?;
            if replacing == Replacing::SameKind {
                typed_value::refuse_surprises(tree, &path, &value)?;
            }
            if let (true, Ok(node)) = (idempotent, document::find(tree, &path))
                && Data::of(tree, node) == value
            {
                // Upstream encrypts before it sees that nothing has changed; readers of the table know that pair.
                world.record(Action::Encrypt, &from)?;
                return Ok(None);
            }
            if let Some(Step::Key(key)) = path.first()
                && format.reserves(key.as_bytes())
            {
                return Err(Error::of(Fault::Reserved(key.to_owned())));
            }
            // A flat format cannot hold what the path or value asks for; in the others the path is wrong.
            let kind = match format.name() {
                "dotenv" | "ini" => Kind::Emit,
                _ => Kind::Path,
            };
            let edits = format
                .set(tree, &path, &value, layout)
                .map_err(|error| Error::new(kind, format!("cannot set the value: {error}")))?;
            Ok(Some(document::apply(&tree.text, edits)))
        })
    }
}

/// What changes the text of a plain document; `None` leaves the file alone.
type Work<'a> = &'a dyn Fn(&'static dyn Format, &Tree, Layout) -> Result<Option<SecretBytes>>;

/// A small change of an encrypted file in place.
pub(crate) struct Update {
    pub(crate) file: PathBuf,
    pub(crate) name: PathBuf,
    pub(crate) ignore_mac: bool,
    pub(crate) settings: Settings,
}

impl Update {
    /// Decrypts, works on the text, encrypts with the same key.
    pub(crate) fn change(self, world: &World, work: Work<'_>) -> Result<Change> {
        let settings = &self.settings;
        let config = world.configuration(settings)?;
        let from = Input::File(self.file);
        let mut original = document::read(&from, true)?;
        let input = document::input_format(settings, &self.name);
        let file = document::parse_encrypted(input, original.take_bytes())?;
        let input = file.format();
        let output = document::encrypted_output_format(settings, &self.name, input);
        let same_format = input.name() == output.name();
        let key = document::key_to_decrypt(world, settings, &from, &file)?;
        let metadata: Metadata = file.metadata().clone();
        let (plain, memory): (Document, Option<Memory<'_>>) = if self.ignore_mac {
            (document::decrypt_with(world, &file, &key, true)?, None)
        } else {
            let (decrypted, memory) =
                decrypt_to_edit(&file, &key).map_err(|error| document::decrypt_error(&error))?;
            let plain = document::take(world, decrypted);
            (plain, same_format.then_some(memory))
        };
        let layout = document::layout(settings, config.as_deref(), input)?;
        let keys = super::key_names(&metadata);
        document::check_plain(&plain)?;
        let changed = work(input, plain.tree(), layout)?;
        let (bytes, warnings) = match changed {
            None => (None, Vec::new()),
            Some(text) => {
                let before = plain;
                let plain = encrypt::parse_plain(input, text)?;
                encrypt::refuse_encrypted(&plain)?;
                if let Some(place) = uncovered(&before, &plain, &metadata) {
                    let reason = format!(
                        "{place}: this change would leave the value in clear, because a comment decides whether it is encrypted; edit the file instead"
                    );
                    return Err(Error::new(Kind::EncryptTree, reason));
                }
                let layout = document::encrypted_layout(settings, config.as_deref(), &self.name)?;
                let plain = encrypt::in_format(plain, output, layout)?;
                let now = Timestamp::now();
                let writing = encrypt::Writing {
                    world,
                    from: &from,
                    now,
                    layout,
                };
                let written = writing.write(plain, metadata, &key, memory)?;
                (written.changed.then_some(written.bytes), written.warnings)
            }
        };
        Ok(Change {
            from,
            to: Output::InPlace,
            original: Some(original),
            bytes,
            content: Content::Encrypted,
            keys,
            notes: Vec::new(),
            warnings,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Result<Data> {
        parse_json(SecretBytes::copy_of(text.as_bytes()))
    }

    #[test]
    fn d5_d6_values_are_any_json() {
        assert_eq!(json("5").unwrap(), Data::Int(5));
        assert_eq!(json("5.5").unwrap(), Data::Float(5.5));
        assert_eq!(json("\"x\"").unwrap(), Data::str("x"));
        assert_eq!(json("null").unwrap(), Data::Null);
        assert_eq!(
            json("{\"a\": 1, \"a\": [{\"b\": 1, \"b\": 2}]}").unwrap(),
            json("{\"a\": [{\"b\": 2}]}").unwrap()
        );
        assert_eq!(
            json("[1, true]").unwrap(),
            Data::List(vec![Data::Int(1), Data::Bool(true)])
        );
    }

    #[test]
    fn s98_what_is_no_json_is_refused() {
        for wrong in ["", "x", "1 2", "1, \"w\": 2", "1}", "\"x", "{\"a\":1} junk"] {
            assert_eq!(json(wrong).unwrap_err().kind, Kind::Path, "{wrong}");
        }
        for depth in [300, 5_000] {
            let nested = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
            assert_eq!(json(&nested).is_ok(), depth < 1_000, "{depth}");
        }
    }
}
