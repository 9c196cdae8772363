//! `edit`: decrypted into an editor, encrypted when it comes back.
//!
//! The plaintext lies in a private folder only ([`crate::private`]). The file itself is read once before and written once
//! after; when another program wrote it meanwhile, it is left alone. An edited text that could not be written, for
//! whatever reason, is kept and can be resumed on top of what the file is by then.

mod merge;
mod sample;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sealwright_crypto::data_key::DataKey;
use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::envelope::{Document, Encrypted, Memory, decrypt_to_edit};
use sealwright_documents::error::ParseError;
use sealwright_documents::format::{Format, Layout};
use sealwright_documents::metadata::{Metadata, VERSION};

use super::new_keys::NewKeys;
use super::sharing::{Recipients, Wanted};
use super::{
    Change, Input, KeyTexts, Output, SelectionTexts, Settings, conflict, document, encrypt,
};
use crate::editor::{Kept, Session};
use crate::error::{Error, Fault, Kind, Result};
use crate::file::{Content, Original};
use crate::terminal::{Colour, Terminal};
use crate::working_folder::is_same;
use crate::world::World;

/// Edits a file.
#[derive(Debug)]
pub(crate) struct Edit {
    pub(crate) file: PathBuf,
    /// What types and rules go by.
    pub(crate) name: PathBuf,
    pub(crate) keys: KeyTexts,
    pub(crate) selection: SelectionTexts,
    pub(crate) threshold: u32,
    pub(crate) mac_only_encrypted: bool,
    /// Show the `sops` block too.
    pub(crate) show_master_keys: bool,
    pub(crate) ignore_mac: bool,
    pub(crate) recipients: Recipients,
    /// The text of an earlier edit to go on with; it says which file is edited.
    pub(crate) kept: Option<Kept>,
    pub(crate) settings: Settings,
}

impl Edit {
    /// Opens the file in the editor, and writes it when it was changed.
    pub(crate) fn run(mut self, world: &World) -> Result<()> {
        let kept = self.kept.take();
        if let Some(kept) = &kept {
            self.file.clone_from(&kept.target);
            self.name.clone_from(&kept.target);
            self.show_master_keys = kept.with_block;
        }
        let config = world.configuration(&self.settings)?;
        let input = document::input_format(&self.settings, &self.name);
        let output = document::output_format(&self.settings, &self.name);
        let layout = document::layout(&self.settings, config.as_deref(), output)?;
        let target = match self.file.try_exists() {
            Ok(false) => self.new_file(world, output, layout)?,
            _ => self.existing_file(world, input)?,
        };
        self.edit(world, target, kept, output, layout)
    }

    fn existing_file(&self, world: &World, input: &'static dyn Format) -> Result<Target> {
        let from = Input::File(self.file.clone());
        let mut original = document::read(&from, false)?;
        let file = document::parse_encrypted(input, original.take_bytes())?;
        self.recipients.check(
            world,
            &self.settings,
            &self.name,
            file.metadata(),
            Wanted::default(),
        )?;
        let key = document::key_to_decrypt(world, &self.settings, &from, &file)?;
        let mut metadata = file.metadata().clone();
        raise_version(&mut metadata)?;
        Ok(Target {
            original,
            file: Some(file),
            metadata,
            key,
        })
    }

    /// The data key of a new file is made first: without keys there is nothing to edit for (S112).
    fn new_file(
        &self,
        world: &World,
        format: &'static dyn Format,
        _layout: Layout,
    ) -> Result<Target> {
        let recipe = NewKeys {
            name: &self.name,
            keys: &self.keys,
            selection: &self.selection,
            threshold: self.threshold,
            mac_only_encrypted: self.mac_only_encrypted,
            format,
            settings: &self.settings,
        }
        .resolve(world)?;
        let (metadata, key) = recipe
            .make(world, &self.settings, Timestamp::now())
            .map_err(|error| Error {
                kind: Kind::NoDataKey,
                text: error.text.replacen(
                    "Could not generate data key:",
                    "Error encrypting the data key with one or more master keys:",
                    1,
                ),
                ..error
            })?;
        Ok(Target {
            original: Original::absent(),
            file: None,
            metadata,
            key,
        })
    }

    /// Shows the text and writes what comes back. The text is kept until it is on disk: whatever fails after the editor
    /// has closed, it can be resumed.
    fn edit(
        &self,
        world: &World,
        target: Target,
        kept: Option<Kept>,
        format: &'static dyn Format,
        layout: Layout,
    ) -> Result<()> {
        let Target {
            original,
            file,
            mut metadata,
            key,
        } = target;
        let (plain, memory) = match &file {
            Some(file) => {
                let (plain, memory) = self.decrypt(world, file, &key)?;
                let same_format = plain.format().name() == format.name();
                let plain = encrypt::in_format(plain, format, layout)?;
                (plain, memory.filter(|_| same_format))
            }
            None => (
                encrypt::parse_plain(format, sample::sample(format, layout)?)?,
                None,
            ),
        };
        let shown = self.shown(&plain, &metadata, format, layout)?;
        let mut session = match kept {
            None => Session::open(&world.terminal, &self.file, &shown, self.show_master_keys)?,
            Some(kept) => resume(world, kept, &shown)?,
        };
        let from = Input::File(self.file.clone());
        let work = || {
            let edited = self.edit_until_good(world, &mut session, &shown, format)?;
            if let Some(block) = edited.metadata {
                keep_keys(&mut metadata, block)?;
            }
            let written = encrypt::Writing {
                world,
                from: &from,
                now: Timestamp::now(),
                layout,
            }
            .write(edited.document, metadata, &key, memory)?;
            Change {
                from: from.clone(),
                to: Output::InPlace,
                original: Some(original),
                bytes: Some(written.bytes),
                content: Content::Encrypted,
                keys: Vec::new(),
                notes: Vec::new(),
                warnings: written.warnings,
            }
            .finish(&world.terminal)
        };
        let done = work();
        end(done, session, &self.file, &shown)
    }

    fn decrypt<'a>(
        &self,
        world: &World,
        file: &'a Encrypted,
        key: &DataKey,
    ) -> Result<(Document, Option<Memory<'a>>)> {
        if self.ignore_mac {
            return Ok((document::decrypt_with(world, file, key, true)?, None));
        }
        let (decrypted, memory) =
            decrypt_to_edit(file, key).map_err(|error| document::decrypt_error(&error))?;
        Ok((document::take(world, decrypted), Some(memory)))
    }

    /// What the editor shows: the plain text, with the block behind it when asked for.
    fn shown(
        &self,
        plain: &Document,
        metadata: &Metadata,
        format: &'static dyn Format,
        layout: Layout,
    ) -> Result<SecretBytes> {
        document::check_plain(plain)?;
        if !self.show_master_keys {
            return Ok(SecretBytes::copy_of(plain.text().expose()));
        }
        let edits = format
            .write_block(plain.tree(), &metadata.to_data(), layout)
            .map_err(|error| document::emit_error(&error))?;
        Ok(document::apply(plain.text(), edits))
    }

    /// Runs the editor until what it leaves can be encrypted. A person is asked before it opens again; when no one is
    /// there, the edit ends (D4).
    fn edit_until_good(
        &self,
        world: &World,
        session: &mut Session,
        shown: &SecretBytes,
        format: &'static dyn Format,
    ) -> Result<Good> {
        let resumed = session.is_resumed();
        let mut line = None;
        loop {
            let edited = session.run(line)?;
            if edited.text == *shown {
                let mut unchanged = Error::of(Fault::Unchanged);
                if edited.returned_at_once
                    && let Some(hint) = session.waiting_hint()
                {
                    unchanged = unchanged.hint(hint);
                }
                return Err(unchanged);
            }
            match self.judge(edited.text, resumed, format) {
                Ok(good) => return Ok(good),
                Err(bad) => {
                    line = bad.line;
                    ask_again(&world.terminal, &bad, resumed)?;
                }
            }
        }
    }

    /// Whether an edited text can be encrypted.
    fn judge(
        &self,
        text: SecretBytes,
        resumed: bool,
        format: &'static dyn Format,
    ) -> std::result::Result<Good, Bad> {
        if (resumed || format.name() != "binary")
            && let Some(line) = conflict::unresolved(text.expose())
        {
            return Err(Bad {
                line: Some(line),
                reason: format!("line {line}: an unresolved merge conflict"),
            });
        }
        let metadata = if self.show_master_keys {
            let tree = format
                .parse(SecretBytes::copy_of(text.expose()))
                .map_err(Bad::from)?;
            let block = tree.blocks.first().ok_or_else(|| Bad {
                line: None,
                reason: "the sops block is gone".into(),
            })?;
            let metadata = Metadata::from_data(&block.data).map_err(|error| Bad {
                line: None,
                reason: error.to_string(),
            })?;
            Some((metadata, cut_blocks(&tree)))
        } else {
            None
        };
        let (metadata, text) = match metadata {
            Some((metadata, text)) => (Some(metadata), text),
            None => (None, text),
        };
        let document = Document::parse(format, text).map_err(Bad::from)?;
        if let Some((node, key)) = document.reserved_key() {
            let site = document.tree().nodes[node].site;
            return Err(Bad {
                line: Some(document.tree().position(site.start).0),
                reason: format!("the top-level key {key:?} is reserved for encrypted files"),
            });
        }
        Ok(Good { document, metadata })
    }
}

/// What is edited: a file, or one to be.
struct Target {
    /// What the file was; nothing else is written over.
    original: Original,
    /// `None` for a new file.
    file: Option<Encrypted>,
    metadata: Metadata,
    key: DataKey,
}

/// The kept text that is to be resumed: of the file that was named, or the only one where the path is empty.
pub(crate) fn find_kept(file: &Path) -> Result<Kept> {
    let mut found = Kept::find();
    if !file.as_os_str().is_empty() {
        found.retain(|kept| is_same_place(&kept.target, file));
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Error::new(Kind::NoFile, "no edited text is waiting to be resumed").hint(
            "an edit is kept when its text could not be written, until this machine restarts",
        )),
        _ => Err(
            Error::generic("several edited texts are waiting to be resumed")
                .report(found.iter().map(|kept| {
                    format!("  {} in {}", kept.target.display(), kept.folder().display())
                }))
                .hint("name the file; of several texts of one file, remove the folders that you do not need"),
        ),
    }
}

/// Whether two paths are one name in one folder: it may have been edited behind a link, and the shell calls a folder as it came
/// there.
fn is_same_place(one: &Path, other: &Path) -> bool {
    let folders = (one.parent(), other.parent());
    one == other
        || (one.file_name() == other.file_name()
            && matches!(folders, (Some(one), Some(other)) if is_same(one, other)))
}

/// Opens a kept text again, with what changed in the file meanwhile.
pub(super) fn resume(world: &World, kept: Kept, shown: &SecretBytes) -> Result<Session> {
    let (edited, first) = kept.texts()?;
    let merged = merge::merge(&first, shown, &edited);
    if merged.conflict {
        world.terminal.tell(
            "the file and the kept text changed in the same place: both versions are between <<<<<<< and >>>>>>>",
        );
    }
    Session::reopen(kept, &merged.text, shown)
}

/// Ends a session once its text is in the file, or was given up. Otherwise the text is kept, and the error says where it is
/// and how to go on. A text that an earlier run kept exists nowhere else: Ctrl+C does not give it up.
pub(super) fn end(
    done: Result<()>,
    session: Session,
    file: &Path,
    shown: &SecretBytes,
) -> Result<()> {
    let error = match done {
        Ok(()) => {
            session.close();
            return Ok(());
        }
        Err(error) => error,
    };
    let is_given_up = match error.kind {
        Kind::Unchanged => true,
        Kind::Interrupted => !session.is_resumed(),
        _ => false,
    };
    if is_given_up {
        session.close();
        return Err(error);
    }
    let Some(place) = session.keep(file, shown) else {
        return Err(error);
    };
    let folder = place.parent().unwrap_or(&place).display();
    Err(error
        .hint(format!(
            "the edited text is kept in {}; `sealwright edit --resume {}` opens it again",
            place.display(),
            crate::visible::shown(file)
        ))
        .hint(format!("to throw it away: rm -r {folder}")))
}

/// An edited text that can be encrypted.
struct Good {
    document: Document,
    metadata: Option<Metadata>,
}

/// What is wrong with an edited text.
struct Bad {
    line: Option<usize>,
    reason: String,
}

impl From<ParseError> for Bad {
    fn from(error: ParseError) -> Self {
        Self {
            line: Some(error.line),
            reason: error.to_string(),
        }
    }
}

fn ask_again(terminal: &Terminal, bad: &Bad, resumed: bool) -> Result<()> {
    terminal.tell_marked(
        Colour::Red,
        "The edited text cannot be encrypted:",
        &bad.reason,
    );
    terminal.tell(match resumed {
        false => "Press Enter to edit it again, or Ctrl+C to give up and leave the file as it is.",
        true => "Press Enter to edit it again, or Ctrl+C to stop; `sealwright edit --resume` goes on with it.",
    });
    match terminal.ask_line("") {
        Some(_) => Ok(()),
        None => Err(Error::generic(format!(
            "the edited text cannot be encrypted and no one is there to correct it: {}",
            bad.reason
        ))),
    }
}

/// The text without its `sops` blocks.
fn cut_blocks(tree: &sealwright_documents::tree::Tree) -> SecretBytes {
    let edits = tree
        .blocks
        .iter()
        .map(|block| sealwright_documents::splice::Edit {
            span: block.cut,
            text: SecretBytes::default(),
        })
        .collect();
    document::apply(&tree.text, edits)
}

/// Takes over what a person may change in the block: the keys that stay, the selection (D3). A new key would have nothing
/// wrapped, and another threshold would not be that of the parts that are.
fn keep_keys(metadata: &mut Metadata, edited: Metadata) -> Result<()> {
    for entry in edited.groups.iter().flatten() {
        let known = metadata.groups.iter().flatten().any(|old| old == entry);
        if !known {
            return Err(Error::generic(format!(
                "the key {} cannot be added or changed by hand: it would not hold the data key",
                entry.key.identity()
            ))
            .hint("add keys with rotate --add-… or updatekeys"));
        }
    }
    if edited.groups.len() != metadata.groups.len() || edited.groups.iter().any(Vec::is_empty) {
        return Err(Error::generic(
            "key groups cannot be added or removed by hand: use `groups`",
        ));
    }
    if edited.shamir_threshold != metadata.shamir_threshold {
        return Err(Error::generic(
            "the threshold cannot be changed by hand: the data key was split for the old one",
        )
        .hint("`groups add` and `groups delete` take a threshold, `updatekeys` lowers it with the groups"));
    }
    metadata.groups = edited.groups;
    metadata.selection = edited.selection;
    metadata.mac_only_encrypted = edited.mac_only_encrypted;
    Ok(())
}

/// A file that an older program wrote gets our version (T40).
fn raise_version(metadata: &mut Metadata) -> Result<()> {
    let version = metadata
        .version()
        .map_err(|error| Error::new(Kind::Version, error.to_string()))?;
    if version.is_older_than_ours() {
        metadata.version = VERSION.to_owned();
    }
    Ok(())
}
