//! Our side: what the commands do, on texts. It is the packages, or the programs that the environment names.

use sealwright_crypto::data_key::{DataKey, KeyPart};
use sealwright_crypto::key_kind::AGE;
use sealwright_crypto::master_key::Wrapped;
use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::data::Data;
use sealwright_documents::envelope::{
    Document, Encrypted, decrypt, decrypt_to_edit, encrypt, uncovered,
};
use sealwright_documents::format::{self, Format, Layout};
use sealwright_documents::metadata::{KeyEntry, KeyFields, Metadata};
use sealwright_documents::selection::SelectionRule;
use sealwright_documents::splice::apply;
use sealwright_documents::tree::{NodeId, Tree};
use serde_json::{Value, json};

use super::program::Program;
use super::upstream::{Holder, KEY, RECIPIENT, Settings, WRAPPED, hex};

/// A step of a path as the command line of upstream has it: comments of a list count as elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl Step {
    fn of_format(&self) -> format::Step {
        match self {
            Step::Key(key) => format::Step::Key(key.clone()),
            Step::Index(index) => format::Step::IndexWithComments(*index),
        }
    }
}

/// What is said of a change that is refused because another value would be in clear after it.
pub(super) const UNCOVERED: &str = "in clear";

/// Who encrypts, decrypts and changes on our side.
pub(super) struct Ours(Side);

enum Side {
    Packages(Packages),
    Program(Program),
}

impl Ours {
    pub(super) fn new(format: &'static str) -> Self {
        Self(match Holder::of_programs() {
            None => Side::Packages(Packages::new(format)),
            Some(holder) => Side::Program(Program::new(format, holder)),
        })
    }

    pub(super) fn encrypt(&self, text: &[u8], settings: &Settings) -> Result<Vec<u8>, String> {
        match &self.0 {
            Side::Packages(packages) => packages.encrypt(text, settings),
            Side::Program(program) => program.encrypt(text, settings),
        }
    }

    pub(super) fn decrypt(&self, text: &[u8]) -> Result<Vec<u8>, String> {
        match &self.0 {
            Side::Packages(packages) => packages.decrypt(text),
            Side::Program(program) => program.decrypt(text),
        }
    }

    /// A value in the form of a listing; `None` where a program prints it, and it is not told what it was.
    pub(super) fn extract(&self, text: &[u8], path: &[Step]) -> Option<Result<Value, String>> {
        match &self.0 {
            Side::Packages(packages) => Some(packages.extract(text, path)),
            Side::Program(_) => None,
        }
    }

    pub(super) fn set(&self, text: &[u8], path: &[Step], value: &str) -> Result<Vec<u8>, String> {
        match &self.0 {
            Side::Packages(packages) => packages.set(text, path, value),
            Side::Program(program) => program.set(text, path, value),
        }
    }

    pub(super) fn unset(&self, text: &[u8], path: &[Step]) -> Result<Vec<u8>, String> {
        match &self.0 {
            Side::Packages(packages) => packages.unset(text, path),
            Side::Program(program) => program.unset(text, path),
        }
    }
}

struct Packages {
    format: &'static dyn Format,
    key: DataKey,
}

impl Packages {
    fn new(format: &str) -> Self {
        Self {
            format: format::by_name(format).unwrap(),
            key: DataKey::from_part(&KeyPart::from(KEY.to_vec())).unwrap(),
        }
    }

    fn read(&self, text: &[u8]) -> Result<Document, String> {
        Document::parse(self.format, SecretBytes::copy_of(text)).map_err(|it| it.to_string())
    }

    fn file(&self, text: &[u8]) -> Result<Encrypted, String> {
        Encrypted::parse(self.format, SecretBytes::copy_of(text)).map_err(|it| it.to_string())
    }

    fn encrypt(&self, text: &[u8], settings: &Settings) -> Result<Vec<u8>, String> {
        let entry = KeyEntry {
            key: KeyFields::of(&AGE, RECIPIENT),
            created_at: None,
            enc: Wrapped(WRAPPED.into()),
        };
        let rule = settings
            .rule
            .and_then(|(field, text)| SelectionRule::of_field(field, text.to_owned()))
            .unwrap_or_default();
        let metadata = Metadata::new(vec![vec![entry]], 0, Some(rule), settings.mac_only);
        let document = self.read(text)?;
        let now = jiff::Timestamp::now();
        let out = encrypt(document, metadata, &self.key, None, now, Layout::default());
        Ok(out.map_err(|it| it.to_string())?.text.expose().to_vec())
    }

    fn decrypt(&self, text: &[u8]) -> Result<Vec<u8>, String> {
        let file = self.file(text)?;
        let plain = decrypt(&file, &self.key).map_err(|it| it.to_string())?;
        Ok(plain.document.into_text().expose().to_vec())
    }

    fn extract(&self, text: &[u8], path: &[Step]) -> Result<Value, String> {
        let file = self.file(text)?;
        let plain = decrypt(&file, &self.key).map_err(|it| it.to_string())?;
        let tree = plain.document.tree();
        let node = find(tree, path).ok_or("not found")?;
        Ok(show(&Data::of(tree, node)))
    }

    fn set(&self, text: &[u8], path: &[Step], value: &str) -> Result<Vec<u8>, String> {
        self.change(text, |tree| {
            let steps: Vec<format::Step> = path.iter().map(Step::of_format).collect();
            let edits = self
                .format
                .set(tree, &steps, &Data::str(value), Layout::default());
            edits.map_err(|it| it.to_string())
        })
    }

    fn unset(&self, text: &[u8], path: &[Step]) -> Result<Vec<u8>, String> {
        self.change(text, |tree| {
            let node = find(tree, path).ok_or("not found")?;
            let edits = self.format.remove(tree, node);
            edits.map_err(|it| it.to_string())
        })
    }

    fn change(
        &self,
        text: &[u8],
        work: impl FnOnce(&Tree) -> Result<Vec<sealwright_documents::splice::Edit>, String>,
    ) -> Result<Vec<u8>, String> {
        let file = self.file(text)?;
        let (plain, memory) = decrypt_to_edit(&file, &self.key).map_err(|it| it.to_string())?;
        let tree = plain.document.tree();
        let mut edits = work(tree)?;
        edits.sort_by_key(|edit| edit.span.start);
        let changed = apply(tree.text.expose(), &edits);
        let document = Document::parse(self.format, changed).map_err(|it| it.to_string())?;
        if let Some(place) = uncovered(&plain.document, &document, file.metadata()) {
            return Err(format!("{UNCOVERED}: {place}"));
        }
        let out = encrypt(
            document,
            file.metadata().clone(),
            &self.key,
            Some(memory),
            jiff::Timestamp::now(),
            Layout::default(),
        );
        Ok(out.map_err(|it| it.to_string())?.text.expose().to_vec())
    }
}

/// How many comments with a text our reader finds in a plain text, those that aliases repeat among them.
pub(super) fn comments(format: &str, text: &[u8]) -> usize {
    let format = format::by_name(format).unwrap();
    let Ok(tree) = format.parse(SecretBytes::copy_of(text)) else {
        return 0;
    };
    let of_nodes = tree.nodes.iter().filter(|node| match node.value {
        sealwright_documents::tree::Value::Comment { text, .. } => !tree.content(text).is_empty(),
        _ => false,
    });
    of_nodes.count() + tree.hidden.iter().filter(|it| !it.text.is_empty()).count()
}

/// Whether a YAML text has an alias of a map or a list.
pub(super) fn has_alias_of_collection(text: &[u8]) -> bool {
    use sealwright_documents::tree::Value;
    let yaml = format::by_name("yaml").unwrap();
    yaml.parse(SecretBytes::copy_of(text)).is_ok_and(|tree| {
        (0..tree.nodes.len()).any(|node| {
            matches!(tree.nodes[node].value, Value::Map | Value::List)
                && tree.spelling(node).starts_with(b"*")
        })
    })
}

fn find(tree: &Tree, path: &[Step]) -> Option<NodeId> {
    let root = tree.documents[0] as usize;
    path.iter()
        .try_fold(root, |node, step| step.of_format().find(tree, node))
}

/// A value in the form of a listing.
fn show(value: &Data) -> Value {
    let leaf = |kind: &str, text: &[u8]| json!([kind, hex(text)]);
    match value {
        Data::Null => json!(["null", ""]),
        Data::Bool(value) => leaf("bool", value.to_string().as_bytes()),
        Data::Int(value) => leaf("int", value.to_string().as_bytes()),
        Data::Float(value) if value.is_nan() => leaf("float", b"NaN"),
        Data::Float(value) if value.is_infinite() => {
            leaf("float", if *value > 0.0 { b"+Inf" } else { b"-Inf" })
        }
        Data::Float(value) => leaf("float", value.to_string().as_bytes()),
        Data::Time(text) => leaf("time", text.as_bytes()),
        Data::Str(text) => leaf("str", text.expose()),
        Data::Comment { text, .. } => leaf("#", text.expose()),
        Data::List(items) => {
            let mut out = vec![json!("l")];
            out.extend(items.iter().map(show));
            Value::Array(out)
        }
        Data::Map(entries) => {
            let mut out = vec![json!("m")];
            out.extend(entries.iter().map(|(key, value)| match value {
                Data::Comment { .. } => show(value),
                _ => json!([format!("string {}", hex(key.expose())), show(value)]),
            }));
            Value::Array(out)
        }
    }
}
