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

/// What is said of a comment that would be in clear where upstream encrypts it.
pub(super) const UNCOVERED_COMMENT: &str = "the encrypted file has no place for it";

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
        let rule = (self.format.name() != "binary").then_some(rule);
        let metadata = Metadata::new(vec![vec![entry]], 0, rule, settings.mac_only);
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

/// What a plain text has in it, as our reader reads it.
#[derive(Default)]
pub(super) struct Read {
    /// The texts of comments, those that aliases repeat among them.
    pub(super) comments: Vec<String>,
    /// The documents of a YAML text.
    pub(super) documents: Vec<ReadDocument>,
}

/// A document of a YAML text.
#[derive(Default)]
pub(super) struct ReadDocument {
    /// Where its content begins.
    pub(super) start: usize,
    /// Whether comments and a blank line stand before it.
    pub(super) has_head: bool,
    /// Whether it begins with anything but a key at the first column, or would need comments in brackets.
    pub(super) is_odd: bool,
    /// The keys of entries with aliases of collections that have comments in them, beside them or right above them.
    pub(super) aliases: Vec<String>,
    /// The ways to aliases of collections that have comments and nothing else, as the numbers of values.
    pub(super) aliases_of_nothing: Vec<Vec<usize>>,
}

/// Reads a plain text; nothing is in one that cannot be read.
pub(super) fn read(format: &str, text: &[u8]) -> Read {
    let of_format = format::by_name(format).unwrap();
    let Ok(tree) = of_format.parse(SecretBytes::copy_of(text)) else {
        return Read::default();
    };
    let of_nodes = (0..tree.nodes.len()).filter_map(|node| comment_of(&tree, node));
    let of_hidden = tree.hidden.iter().map(|it| &text[it.text.range()]);
    let comments = of_nodes.chain(of_hidden).filter(|it| !it.is_empty());
    let comments = comments.map(hex).collect();
    let documents = match format {
        "yaml" => {
            let roots = tree.documents.iter();
            roots
                .map(|root| read_document(&tree, *root as usize))
                .collect()
        }
        _ => Vec::new(),
    };
    Read {
        comments,
        documents,
    }
}

fn comment_of(tree: &Tree, node: NodeId) -> Option<&[u8]> {
    match tree.nodes[node].value {
        sealwright_documents::tree::Value::Comment { text, .. } => Some(tree.content(text)),
        _ => None,
    }
}

fn values_of(tree: &Tree, node: NodeId) -> impl Iterator<Item = NodeId> {
    tree.children(node)
        .filter(|child| comment_of(tree, *child).is_none())
}

fn read_document(tree: &Tree, root: NodeId) -> ReadDocument {
    let text = tree.text.expose();
    let start = tree.nodes[root].site.start as usize;
    let begins_line = matches!(text[..start].last(), None | Some(b'\n' | b'\r'))
        || text[..start] == *b"\xef\xbb\xbf";
    let is_marked = matches!(text.get(start), Some(b'{' | b'&' | b'!' | b'*'));
    let before = text[..start].rsplit(|byte| *byte == b'\n');
    let mut before = before.skip(1).take_while(|line| !line.starts_with(b"---"));
    let mut read = ReadDocument {
        start,
        has_head: before.any(|line| line.trim_ascii().is_empty())
            && before.any(|line| line.trim_ascii().starts_with(b"#")),
        is_odd: !begins_line || is_marked || values_of(tree, root).next().is_none(),
        ..ReadDocument::default()
    };
    for (number, child) in values_of(tree, root).enumerate() {
        let mut way = vec![number];
        if read_aliases(tree, child, &mut way, &mut read) {
            let key = tree.key(child).unwrap_or_default();
            read.aliases.push(format!("string {}", hex(key)));
        }
    }
    read
}

/// Notes the aliases of collections in a value, and returns whether one has comments in it or beside it.
fn read_aliases(tree: &Tree, node: NodeId, way: &mut Vec<usize>, read: &mut ReadDocument) -> bool {
    use sealwright_documents::tree::Value;
    if !matches!(tree.nodes[node].value, Value::Map | Value::List) {
        return false;
    }
    if tree.spelling(node).starts_with(b"*") {
        let inside = node + 1..tree.nodes[node].end as usize;
        let comments = inside.clone().filter(|at| comment_of(tree, *at).is_some());
        let hidden = tree.hidden.iter().map(|it| it.parent as usize);
        let hidden = hidden.filter(|parent| (node..inside.end).contains(parent));
        let count = comments.count();
        if count > 0 && count == inside.len() {
            read.aliases_of_nothing.push(way.clone());
            return false;
        }
        let count = count + hidden.count();
        let behind = &tree.text.expose()[tree.nodes[node].site.end as usize..];
        let line = behind.split(|byte| *byte == b'\n').next();
        let is_in_brackets = line.is_some_and(|line| {
            let content = line.trim_ascii();
            !content.is_empty() && !content.starts_with(b"#")
        });
        read.is_odd |= count > 0 && is_in_brackets;
        let is_beside = line.is_some_and(|line| line.contains(&b'#'));
        return count > 0 || is_beside || has_comment_above(tree, node);
    }
    let mut has_some = false;
    for (number, child) in values_of(tree, node).enumerate() {
        way.push(number);
        has_some |= read_aliases(tree, child, way, read);
        way.pop();
    }
    has_some
}

/// Whether nothing but signs stands before a node on its line, and a comment on the lines above it.
fn has_comment_above(tree: &Tree, node: NodeId) -> bool {
    let before = &tree.text.expose()[..tree.nodes[node].site.start as usize];
    let mut lines = before.rsplit(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let is_sign = |byte: &u8| matches!(byte, b'-' | b'?' | b':' | b' ');
    lines.next().is_some_and(|line| line.iter().all(is_sign))
        && lines
            .find(|line| !line.is_empty())
            .is_some_and(|line| line.starts_with(b"#"))
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
