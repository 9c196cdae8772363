//! Documents between files and the envelope: read, decrypted, turned into another format, looked into.

use std::path::Path;

use sealwright_crypto::data_key::DataKey;
use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use sealwright_documents::data::Data;
use sealwright_documents::envelope::{
    DecryptError, Decrypted, Document, Encrypted, ReadError, Warning, decrypt, decrypt_unverified,
};
use sealwright_documents::error::EmitError;
use sealwright_documents::format::json::WIDEST_INDENT;
use sealwright_documents::format::{Format, Layout, Step, by_name, choose};
use sealwright_documents::metadata::MetadataError;
use sealwright_documents::splice::{Edit, Splicer};
use sealwright_documents::tree::{NodeId, Tree, Value};

use super::{Input, Settings, conflict, data_key};
use crate::audit::Action;
use crate::config::Config;
use crate::error::{Error, Fault, Result};
use crate::file::{self, Original};
use crate::terminal::Level;
use crate::world::World;

/// Reads what a command works on. `to_update` keeps other programs of ours from writing the file meanwhile.
pub(crate) fn read(from: &Input, to_update: bool) -> Result<Original> {
    match from {
        Input::Stdin => file::read_stdin()
            .map(Original::of_pipe)
            .map_err(|error| Error::of(Fault::ReadStdin).because(error)),
        Input::File(path) => {
            let read = if to_update {
                file::read_to_update(path)
            } else {
                file::read(path)
            };
            read.map_err(|error| Error::of(Fault::ReadFile(path.clone())).because(error))
        }
    }
}

/// The format of what is read.
pub(crate) fn input_format(settings: &Settings, name: &Path) -> &'static dyn Format {
    choose(settings.input_type, name)
}

/// The format of what is written: as told, or by the name (T59). A name that says nothing leaves it to the type of the
/// input in our own front-end.
pub(crate) fn output_format(settings: &Settings, name: &Path) -> &'static dyn Format {
    let follows = settings.output_follows_input && by_suffix(name).is_none();
    let told = settings
        .output_type
        .or(settings.input_type.filter(|_| follows));
    choose(told, name)
}

/// The format of an encrypted output: as above, but what is no binary file is written whole, as JSON. Upstream stores binary
/// files as JSON, so that is what it writes, whether the type was given or the name says nothing (Ansible's `sops_encrypt`
/// lives by it). A binary file in JSON is what a binary file is anyway, and JSON could not hold its bytes before they are
/// encrypted.
pub(crate) fn encrypted_output_format(
    settings: &Settings,
    name: &Path,
    input: &'static dyn Format,
) -> &'static dyn Format {
    let output = output_format(settings, name);
    match (output.name(), input.name()) {
        ("json", "binary") => input,
        ("binary", "binary") => output,
        ("binary", _) => by_name("json").expect("JSON is in the list of formats"),
        _ => output,
    }
}

/// The columns per level of an encrypted output: those of the format that was told, whichever of the two is written for JSON
/// and for binary files.
pub(crate) fn encrypted_layout(
    settings: &Settings,
    config: Option<&Config>,
    name: &Path,
) -> Result<Layout> {
    layout(settings, config, output_format(settings, name))
}

/// Reads an encrypted text and checks its version. Under a name without a type may lie a whole document in JSON, which is what
/// upstream writes there and reads again: then the format of what is read is JSON.
pub(crate) fn parse_encrypted(format: &'static dyn Format, text: SecretBytes) -> Result<Encrypted> {
    let encrypted = parse_any_version(format, text)?;
    encrypted
        .metadata()
        .version()
        .map_err(|error| Error::generic(error.to_string()))?;
    Ok(encrypted)
}

/// Reads an encrypted text whatever its version says.
pub(crate) fn parse_any_version(
    format: &'static dyn Format,
    text: SecretBytes,
) -> Result<Encrypted> {
    let conflict = conflict::unresolved(text.expose());
    Encrypted::parse(format, text).map_err(|error| match (error, conflict) {
        (ReadError::Parse(_) | ReadError::Metadata(_), Some(line)) => {
            Error::of(Fault::ParseEncrypted(format.name()))
                .because(format!("line {line}: an unresolved merge conflict"))
        }
        // Nothing at all is above all not encrypted.
        (ReadError::Parse(error), _) if error.empty => Error::of(Fault::NotEncrypted),
        (ReadError::Metadata(MetadataError::NotFound), _) => Error::of(Fault::NotEncrypted),
        (ReadError::Parse(error), _) => {
            Error::of(Fault::ParseEncrypted(format.name())).because(error)
        }
        (error, _) => Error::generic(error.to_string()),
    })
}

/// Decrypts a document with its data key.
pub(crate) fn decrypt_with(
    world: &World,
    file: &Encrypted,
    key: &DataKey,
    ignore_mac: bool,
) -> Result<Document> {
    let decrypted = if ignore_mac {
        let unverified = decrypt_unverified(file, key).map_err(|error| decrypt_error(&error))?;
        if let Err(error) = unverified.mac() {
            world
                .terminal
                .warn(&format!("the MAC is ignored as asked for: {error}"));
        }
        unverified.accept()
    } else {
        decrypt(file, key).map_err(|error| decrypt_error(&error))?
    };
    Ok(take(world, decrypted))
}

/// Tells the warnings of a decryption, and hands out the document.
pub(crate) fn take(world: &World, decrypted: Decrypted) -> Document {
    for warning in &decrypted.warnings {
        let text = warning.to_string();
        match warning {
            Warning::CommentKept(_) | Warning::CommentsKept(_) => {
                world.terminal.log(Level::Warning, "SOPS", &text);
            }
            _ => world.terminal.advise(&text),
        }
    }
    decrypted.document
}

/// Says what kind of failure a decryption met.
pub(crate) fn decrypt_error(error: &DecryptError) -> Error {
    if error.is_about_mac() {
        Error::of(Fault::Mac)
            .because(error.to_string())
            .hint("if you know who changed the file and why, --ignore-mac decrypts it all the same")
    } else if let DecryptError::Emit(error) = error {
        emit_error(error)
    } else {
        Error::of(Fault::Decrypt).because(error.to_string())
    }
}

/// Recovers the data key of a file, to decrypt its values: that goes on record as soon as it is possible.
pub(crate) fn key_to_decrypt(
    world: &World,
    settings: &Settings,
    from: &Input,
    file: &Encrypted,
) -> Result<DataKey> {
    let key = data_key::recover(world, settings, file.metadata())?.key;
    world.record(Action::Decrypt, from)?;
    Ok(key)
}

/// Recovers the data key of a file and decrypts it.
pub(crate) fn open(
    world: &World,
    settings: &Settings,
    from: &Input,
    file: &Encrypted,
) -> Result<Document> {
    let key = key_to_decrypt(world, settings, from, file)?;
    decrypt_with(world, file, &key, false)
}

/// Says that a format cannot hold something.
pub(crate) fn emit_error(error: &EmitError) -> Error {
    let text = if error.path.is_empty() {
        error.reason.clone()
    } else {
        error.to_string()
    };
    Error::of(Fault::Emit).because(text)
}

/// Refuses a document that has no text in its format.
pub(crate) fn check_plain(document: &Document) -> Result<()> {
    let checked = document.format().check_plain(document.tree());
    checked.map_err(|error| emit_error(&error))
}

/// The text of a document in a format: as it is when it is in that format already, otherwise written in its spelling.
pub(crate) fn text_in(
    document: Document,
    format: &'static dyn Format,
    layout: Layout,
) -> Result<SecretBytes> {
    if document.format().name() == format.name() {
        check_plain(&document)?;
        return Ok(document.into_text());
    }
    render(Data::listed(document.tree()), format, layout)
}

/// As [`text_in`], but a format of one document gets what upstream gives it: the first document, and INI the sections of
/// all (D13). With an indentation that was asked for on the command line, the document is laid out with it.
pub(crate) fn text_as_upstream(
    world: &World,
    settings: &Settings,
    document: Document,
    format: &'static dyn Format,
    layout: Layout,
) -> Result<SecretBytes> {
    let count = document.tree().documents.len();
    let is_same = document.format().name() == format.name();
    if is_same && settings.indent.is_some() && matches!(format.name(), "yaml" | "json") {
        return render(Data::listed(document.tree()), format, layout);
    }
    if count < 2 || is_same {
        return text_in(document, format, layout);
    }
    let mut documents = Data::listed(document.tree());
    match format.name() {
        "json" | "dotenv" => {
            documents.truncate(1);
            let left = format!(
                "only the first of {count} documents is written: {} holds one",
                format.name()
            );
            world.terminal.advise(&left);
        }
        "ini" => {
            let sections = documents.drain(..).flat_map(|document| match document {
                Data::Map(entries) => entries,
                _ => Vec::new(),
            });
            documents = vec![Data::Map(sections.collect())];
        }
        _ => {}
    }
    render(documents, format, layout)
}

fn render(
    documents: Vec<Data>,
    format: &'static dyn Format,
    layout: Layout,
) -> Result<SecretBytes> {
    let error = |error| {
        let error = emit_error(&error);
        if format.name() == "binary" {
            error.hint(
                "the output type is binary because the name says nothing else: give --output-type",
            )
        } else {
            error
        }
    };
    format.render(&documents, layout).map_err(error)
}

/// The columns per level for what is rewritten in a format: as told, or as configured.
pub(crate) fn layout(
    settings: &Settings,
    config: Option<&Config>,
    format: &'static dyn Format,
) -> Result<Layout> {
    let indent = settings
        .indent
        .or_else(|| config.and_then(|config| config.indent(format)));
    // YAML has nine columns per level at most, and takes more for two.
    let possible = match format.name() {
        "yaml" => 0..=i32::MAX,
        "json" | "binary" => -1..=WIDEST_INDENT,
        _ => return Ok(Layout::default()),
    };
    match indent {
        Some(indent) if !possible.contains(&indent) => {
            Err(Error::of(Fault::Emit).because(format!(
                "an indentation of {indent} is not possible in {}",
                format.name()
            )))
        }
        indent => Ok(Layout { indent }),
    }
}

/// Finds a value in the first document.
pub(crate) fn find(tree: &Tree, path: &[Step]) -> std::result::Result<NodeId, String> {
    let mut at = tree.documents.first().map_or(0, |root| *root as usize);
    for step in path {
        let next = match (step, tree.nodes[at].value) {
            (Step::Key(key), Value::Map) => step
                .find(tree, at)
                .ok_or_else(|| format!("component [{key:?}] not found"))?,
            (Step::Index(index) | Step::IndexWithComments(index), Value::List) => step
                .find(tree, at)
                .ok_or_else(|| format!("component [{index}] not found: the list is shorter"))?,
            (Step::Key(key), _) => {
                return Err(format!(
                    "component [{key:?}] needs a map, and there is none"
                ));
            }
            (Step::Index(index) | Step::IndexWithComments(index), Value::Map) => {
                return Err(format!(
                    "component [{index}] not found: a map has keys and no indices"
                ));
            }
            (Step::Index(index) | Step::IndexWithComments(index), _) => {
                return Err(format!(
                    "component [{index}] needs a list, and there is none"
                ));
            }
        };
        at = next;
    }
    Ok(at)
}

/// What `--extract` prints (2.8): a map as a document, a text as it is, anything else as the format spells it.
pub(crate) fn extract(
    tree: &Tree,
    path: &[Step],
    format: &'static dyn Format,
    layout: Layout,
) -> Result<SecretBytes> {
    let node = find(tree, path).map_err(|reason| Error::of(Fault::Extract).because(reason))?;
    let value = Data::of(tree, node);
    match value {
        Data::Str(text) => Ok(text),
        Data::Map(_) => format
            .render(&[value], layout)
            .map_err(|error| emit_error(&error)),
        other => format
            .render_value(&other, layout)
            .map_err(|error| emit_error(&error)),
    }
}

/// A value as one object of JSON with `value` in it.
pub(crate) fn extract_json(tree: &Tree, path: &[Step]) -> Result<SecretBytes> {
    let node = find(tree, path).map_err(|reason| Error::of(Fault::Extract).because(reason))?;
    value_json(Data::of(tree, node))
}

/// A value as one object of JSON with `value` in it.
pub(crate) fn value_json(value: Data) -> Result<SecretBytes> {
    let json = by_name("json").expect("JSON is in the list of formats");
    let value = Data::Map(vec![(Data::key("value"), value)]);
    let text = json
        .render(&[value], Layout { indent: Some(0) })
        .map_err(|error| emit_error(&error))?;
    // Strings of JSON have no line breaks in them.
    let mut line = SecretWriter::with_capacity(text.len() + 1);
    for part in text.expose().split(|byte| *byte == b'\n') {
        line.push(part);
    }
    line.push(b"\n");
    Ok(line.finish())
}

/// Applies edits to a text.
pub(crate) fn apply(text: &SecretBytes, mut edits: Vec<Edit>) -> SecretBytes {
    edits.sort_by_key(|edit| edit.span.start);
    let more: usize = edits.iter().map(|edit| edit.text.len()).sum();
    let mut splicer = Splicer::new(text.expose(), text.len() + more);
    for edit in edits {
        let out: &mut SecretWriter = splicer.replace(edit.span);
        out.push(edit.text.expose());
    }
    splicer.finish()
}

/// The format that a path names by its end, if any does.
pub(crate) fn by_suffix(path: &Path) -> Option<&'static dyn Format> {
    let format = choose(None, path);
    let binary = by_name("binary").map(Format::name);
    (Some(format.name()) != binary).then_some(format)
}
