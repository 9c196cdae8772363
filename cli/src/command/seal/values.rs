//! A SealedSecret as a file of values: one is read, set, removed, or all are edited. New values need the certificate only;
//! those that stay keep their sealed text, whether a key here opens them or not.

use std::path::{Path, PathBuf};

use sealwright_crypto::sealing::{Certificate, base64};
use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::data::Data;
use sealwright_documents::format::{Format, Layout, Step, by_name};
use sealwright_documents::scalar::Scalar;
use sealwright_documents::splice;
use sealwright_documents::tree::{NodeId, Tree, Value};
use sealwright_resources::keyring::Keyring;
use sealwright_resources::manifest;
use sealwright_resources::scope::Scope;
use sealwright_resources::sealed_secret::SealedSecret;

use super::CertificateSource;
use super::in_file::{child, format_of, is_sealed_secret, json_of, parse};
use crate::change::{Change, Input, Output};
use crate::command::{conflict, edit};
use crate::editor::{Kept, Session};
use crate::error::{Error, Fault, Kind, Result};
use crate::file::{self, Content, Original};
use crate::visible::shown;
use crate::world::World;

/// How many names of values an error lists.
const MOST_NAMES: usize = 20;

/// The SealedSecret that is the first document of a file.
pub(crate) struct SealedFile {
    path: PathBuf,
    original: Original,
    text: SecretBytes,
    format: &'static dyn Format,
    sealed: SealedSecret,
}

impl SealedFile {
    /// Reads a file, which no other run of this program changes meanwhile.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let original = file::read_to_update(path).map_err(|error| {
            Error::new(Kind::Read, format!("cannot read {}", shown(path))).because(error)
        })?;
        let text = SecretBytes::copy_of(original.bytes.expose());
        let format = format_of(path, &text);
        let tree = parse(format, SecretBytes::copy_of(text.expose()), &shown(path))?;
        let root = tree.documents.first().map(|root| *root as NodeId);
        let root = root.filter(|root| is_sealed_secret(&tree, *root));
        let root = root.ok_or_else(|| {
            Error::generic(format!(
                "the first document of {} is no SealedSecret",
                shown(path)
            ))
        })?;
        let json = json_of(&tree, root, &shown(path))?;
        let sealed = manifest::read_first_sealed_secret(json.expose()).map_err(|error| {
            Error::generic(format!("cannot use {}", shown(path))).because(error)
        })?;
        if sealed.spec.data.is_some() {
            return Err(Error::generic(format!(
                "{} has the deprecated form with spec.data",
                shown(path)
            ))
            .hint(
                "unseal it and seal it again: the deprecated form has no place for single values",
            ));
        }
        Ok(Self {
            path: path.to_owned(),
            original,
            text,
            format,
            sealed,
        })
    }

    /// The value of a key, opened with the private keys of a backup.
    pub(crate) fn get(&self, key: &str, keys: &Keyring) -> Result<SecretBytes> {
        let sealed = self.sealed_text(key)?;
        self.unseal(sealed, keys).ok_or_else(|| {
            let text = format!("cannot unseal {key} of {}", shown(&self.path));
            match keys.len() {
                0 => Error::new(Kind::NoDataKey, text)
                    .hint("its value is in the cluster; --key names a backup of private keys"),
                1 => Error::new(Kind::NoDataKey, text)
                    .hint("the one private key of the backup was tried"),
                many => Error::new(Kind::NoDataKey, text)
                    .hint(format!("{many} private keys of the backup were tried")),
            }
        })
    }

    fn sealed_text(&self, key: &str) -> Result<&str> {
        let text = self.sealed.spec.encrypted_data.get(key);
        text.map(String::as_str).ok_or_else(|| {
            let keys = self.sealed.spec.encrypted_data.keys();
            let mut known: Vec<&str> = keys.map(String::as_str).take(MOST_NAMES).collect();
            if self.sealed.spec.encrypted_data.len() > MOST_NAMES {
                known.push("…");
            }
            Error::generic(format!("there is no value {key:?}"))
                .hint(format!("it has {}", known.join(", ")))
        })
    }

    fn unseal(&self, sealed: &str, keys: &Keyring) -> Option<SecretBytes> {
        let bytes = base64::decode(sealed.as_bytes()).ok()?;
        let label = Scope::label_of(&self.sealed.metadata);
        keys.unseal(&bytes, &label, None)
            .ok()
            .map(|(value, _)| value)
    }

    /// Seals a value into the file. One that a key here shows to be there already keeps its text.
    pub(crate) fn set(
        &mut self,
        key: &str,
        value: &SecretBytes,
        to: &Certificate,
        keys: &Keyring,
    ) -> Result<()> {
        if key.is_empty()
            || key.len() > 253
            || !key
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        {
            return Err(Error::new(
                Kind::Path,
                format!("{key:?} cannot be the name of a value of a Secret"),
            )
            .hint("letters, digits, - _ and . are allowed"));
        }
        let old = self.sealed.spec.encrypted_data.get(key);
        if let Some(old) = old
            && self.unseal(old, keys).as_ref() == Some(value)
        {
            return Ok(());
        }
        let label = Scope::label_of(&self.sealed.metadata);
        let sealed = to
            .seal(value.expose(), &label)
            .map_err(|error| Error::generic(format!("cannot seal {key}")).because(error))?;
        let sealed = base64::encode(&sealed);
        self.edit(|format, tree| {
            let path = ["spec", "encryptedData", key].map(|step| Step::Key(step.to_owned()));
            format.set(tree, &path, &Data::str(&sealed), Layout { indent: Some(2) })
        })?;
        self.sealed
            .spec
            .encrypted_data
            .insert(key.to_owned(), sealed);
        Ok(())
    }

    /// Removes a value.
    pub(crate) fn unset(&mut self, key: &str) -> Result<()> {
        self.sealed_text(key)?;
        self.edit(|format, tree| {
            let root = tree.documents.first().map_or(0, |root| *root as NodeId);
            let item = child(tree, root, "spec")
                .and_then(|spec| child(tree, spec, "encryptedData"))
                .and_then(|items| child(tree, items, key));
            match item {
                Some(item) => format.remove(tree, item),
                None => Ok(Vec::new()),
            }
        })?;
        self.sealed.spec.encrypted_data.remove(key);
        Ok(())
    }

    fn edit(
        &mut self,
        edits: impl FnOnce(
            &dyn Format,
            &Tree,
        ) -> std::result::Result<
            Vec<splice::Edit>,
            sealwright_documents::error::EmitError,
        >,
    ) -> Result<()> {
        let text = std::mem::take(&mut self.text);
        let tree = parse(self.format, text, &shown(&self.path))?;
        let edits = edits(self.format, &tree).map_err(|error| {
            Error::new(Kind::Emit, format!("cannot change {}", shown(&self.path))).because(error)
        })?;
        self.text = splice::apply(tree.text.expose(), &edits);
        Ok(())
    }

    /// What would be written.
    pub(crate) fn change(self) -> Result<Change> {
        manifest::read_first_sealed_secret(self.text.expose()).map_err(|error| {
            Error::generic(format!(
                "the change would spoil {}; nothing was written",
                shown(&self.path)
            ))
            .because(error)
        })?;
        let is_new = self.text != self.original.bytes;
        Ok(Change {
            from: Input::File(self.path),
            to: Output::InPlace,
            bytes: is_new.then_some(self.text),
            original: Some(self.original),
            content: Content::Encrypted,
            keys: Vec::new(),
            notes: Vec::new(),
            warnings: Vec::new(),
        })
    }

    /// Shows the values in an editor, seals those that come back changed, and delivers the result. The text is kept until
    /// that is done, and goes on from `kept`, as with every edit.
    pub(crate) fn edit_values(
        self,
        world: &World,
        (to, keys): (&CertificateSource, &Keyring),
        kept: Option<Kept>,
        deliver: impl FnOnce(Change) -> Result<()>,
    ) -> Result<()> {
        let certificate = match to {
            // What cannot be used should not be found out about afterwards. A controller is asked only for what there is to seal.
            CertificateSource::Named(_) => Some(to.load()?),
            CertificateSource::Controller(..) => None,
        };
        let before = self.shown_values(keys);
        let text = before.text(&self.sealed)?;
        let path = self.path.clone();
        let mut session = match kept {
            None => Session::open(&world.terminal, &path.with_extension("yaml"), &text, false)?,
            Some(kept) => edit::resume(world, kept, &text)?,
        };
        let done = self
            .edited(
                world,
                (to, keys),
                certificate,
                &mut session,
                (&before, &text),
            )
            .and_then(deliver);
        edit::end(done, session, &path, &text)
    }

    /// What would be written of the text that the editor leaves.
    fn edited(
        mut self,
        world: &World,
        (to, keys): (&CertificateSource, &Keyring),
        mut certificate: Option<Certificate>,
        session: &mut Session,
        (before, text): (&Values, &SecretBytes),
    ) -> Result<Change> {
        loop {
            let edited = session.run(None)?;
            if edited.text == *text {
                let unchanged = Error::of(Fault::Unchanged);
                return Err(match session.waiting_hint() {
                    Some(hint) if edited.returned_at_once => unchanged.hint(hint),
                    _ => unchanged,
                });
            }
            // An attempt that fails half way leaves nothing behind.
            let start = (
                SecretBytes::copy_of(self.text.expose()),
                self.sealed.clone(),
            );
            let conflict = match session.is_resumed() {
                true => conflict::unresolved(edited.text.expose()),
                false => None,
            };
            let tried = match conflict {
                Some(line) => Err(Error::new(
                    Kind::Parse,
                    format!("line {line}: an unresolved merge conflict"),
                )),
                None => read_values(edited.text)
                    .and_then(|after| self.take(before, after, (to, &mut certificate), keys)),
            };
            let Err(error) = tried else {
                return self.change();
            };
            (self.text, self.sealed) = start;
            for line in error.lines() {
                world.terminal.tell(&line);
            }
            let again = world.terminal.reads_from_person()
                && world.terminal.ask_yes_no("Edit it again?") == Some(true);
            if !again {
                return Err(Error::new(error.kind, "nothing was written"));
            }
        }
    }

    /// Puts edited values into the file. The certificate is loaded when it is not there yet.
    fn take(
        &mut self,
        before: &Values,
        after: Vec<(String, SecretBytes)>,
        (to, loaded): (&CertificateSource, &mut Option<Certificate>),
        keys: &Keyring,
    ) -> Result<()> {
        for (at, (key, _)) in after.iter().enumerate() {
            if after[..at].iter().any(|(known, _)| known == key) {
                return Err(Error::new(Kind::Parse, format!("{key:?} appears twice")));
            }
        }
        for (key, value) in &after {
            let old = before.0.iter().find(|(known, _)| known == key);
            if old.is_some_and(|(_, old)| old.is(value)) {
                continue;
            }
            let certificate = match &mut *loaded {
                Some(certificate) => certificate,
                None => loaded.insert(to.load()?),
            };
            self.set(key, value, certificate, keys)?;
        }
        for (key, _) in &before.0 {
            if !after.iter().any(|(known, _)| known == key) {
                self.unset(key)?;
            }
        }
        Ok(())
    }

    fn shown_values(&self, keys: &Keyring) -> Values {
        let items = self.sealed.spec.encrypted_data.iter();
        Values(
            items
                .map(|(key, sealed)| {
                    let value = match self.unseal(sealed, keys) {
                        None => Shown::Sealed,
                        Some(value) => match std::str::from_utf8(value.expose()) {
                            Ok(_) => Shown::Text(value),
                            Err(_) => Shown::Binary,
                        },
                    };
                    (key.clone(), value)
                })
                .collect(),
        )
    }
}

/// What stands in the editor for a value that no key here opens.
const SEALED: &str = "<sealed>";
/// What stands in the editor for a value that is no text.
const BINARY: &str = "<binary>";

/// The values of a SealedSecret as an editor shows them.
struct Values(Vec<(String, Shown)>);

enum Shown {
    Text(SecretBytes),
    Sealed,
    Binary,
}

impl Shown {
    /// Whether an edited text means that the value stays.
    fn is(&self, edited: &SecretBytes) -> bool {
        match self {
            Shown::Text(text) => text == edited,
            Shown::Sealed => edited.expose() == SEALED.as_bytes(),
            Shown::Binary => edited.expose() == BINARY.as_bytes(),
        }
    }
}

impl Values {
    fn text(&self, sealed: &SealedSecret) -> Result<SecretBytes> {
        let name = sealed.metadata.name.as_deref().unwrap_or_default();
        let head = format!(
            "# The values of the SealedSecret {name}. Those that stay as they are keep their sealed text.\n\
             # {SEALED} stands for a value that no key here opens: leave it, or write a new one.\n"
        );
        let values = self.0.iter().map(|(key, value)| {
            let value = match value {
                Shown::Text(text) => Data::Str(SecretBytes::copy_of(text.expose())),
                Shown::Sealed => Data::str(SEALED),
                Shown::Binary => Data::str(BINARY),
            };
            (Data::key(key), value)
        });
        let yaml = by_name("yaml").expect("YAML is in the list of formats");
        let body = yaml
            .render(&[Data::Map(values.collect())], Layout::default())
            .map_err(|error| Error::new(Kind::Emit, "cannot show the values").because(error))?;
        let mut text =
            sealwright_crypto::secret::SecretWriter::with_capacity(head.len() + body.len());
        text.push(head.as_bytes());
        text.push(body.expose());
        Ok(text.finish())
    }
}

/// Reads what came back from the editor.
fn read_values(text: SecretBytes) -> Result<Vec<(String, SecretBytes)>> {
    let yaml = by_name("yaml").expect("YAML is in the list of formats");
    let tree = yaml
        .parse(text)
        .map_err(|error| Error::new(Kind::Parse, "cannot read the values").because(error))?;
    let Some(root) = tree.documents.first().map(|root| *root as NodeId) else {
        return Ok(Vec::new());
    };
    let mut values = Vec::new();
    for node in tree.children(root) {
        if matches!(tree.nodes[node].value, Value::Comment { .. }) {
            continue;
        }
        let key = tree.key(node).and_then(|key| std::str::from_utf8(key).ok());
        let key = key.ok_or_else(|| Error::new(Kind::Parse, "a name is no text"))?;
        let value = match tree.scalar(node) {
            Some(Scalar::Str(text)) => SecretBytes::copy_of(text),
            Some(Scalar::Null) => SecretBytes::default(),
            // 5432 and true are texts in a Secret.
            Some(_) => SecretBytes::copy_of(tree.spelling(node)),
            None => {
                return Err(Error::new(
                    Kind::Parse,
                    format!("the value of {key} is no text"),
                ));
            }
        };
        values.push((key.to_owned(), value));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_editor_shows_is_read_back() {
        let text = |text: &str| SecretBytes::copy_of(text.as_bytes());
        let values = Values(vec![
            ("tls.crt".into(), Shown::Text(text("a\nb\n"))),
            ("port".into(), Shown::Text(text("5432"))),
            ("other".into(), Shown::Sealed),
            ("blob".into(), Shown::Binary),
            ("empty".into(), Shown::Text(text(""))),
        ]);
        let shown = values
            .text(&SealedSecret::new("db", Default::default()))
            .unwrap();
        let read = read_values(shown).unwrap();
        assert_eq!(read.len(), values.0.len());
        for ((key, value), (known, shown)) in read.iter().zip(&values.0) {
            assert!(key == known && shown.is(value), "{key}");
        }
        let plain = read_values(text("port: 5432\non: true\nnothing:\n")).unwrap();
        let plain: Vec<&[u8]> = plain.iter().map(|(_, value)| value.expose()).collect();
        assert_eq!(plain, [&b"5432"[..], b"true", b""]);
        assert!(read_values(text("a: [1]\n")).is_err());
    }
}
