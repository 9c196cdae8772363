//! Binary: the whole file is one value; encrypted it is a JSON object `{"data": "ENC[…]", "sops": {…}}`.
//!
//! In the plain tree the only leaf covers the file. In the encrypted tree it covers the string, and two cuts take away what
//! stands before and behind it, so that decrypting leaves the bytes alone.

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::data::Data;
use crate::error::{EmitError, ParseError};
use crate::format::json::Json;
use crate::format::{Format, Layout, Prepared, Step};
use crate::scalar::Scalar;
use crate::splice::Edit;
use crate::tree::{Block, Key, Node, NodeId, Span, Text, Tree, Value};

/// The binary format.
pub struct Binary;

const DATA: &[u8] = b"data";
const BLOCK: &[u8] = b"sops";

/// The root of a tree that is JSON throughout: a document under a name that says nothing.
const OTHER_JSON: u32 = u32::MAX;

impl Format for Binary {
    fn name(&self) -> &'static str {
        "binary"
    }

    fn parse(&self, text: SecretBytes) -> Result<Tree, ParseError> {
        let bytes = text.expose();
        if u32::try_from(bytes.len()).is_err() {
            return Err(ParseError::at(b"", 0, "the file is larger than 4 GiB"));
        }
        if looks_encrypted(bytes) {
            let mut tree = Json.parse(text)?;
            if !tree.blocks.is_empty() {
                cover(&mut tree);
                return Ok(tree);
            }
            return Ok(plain(tree.text));
        }
        Ok(plain(text))
    }

    fn of_encrypted(&self, tree: &Tree) -> Option<&'static dyn Format> {
        (tree.nodes[0].place == OTHER_JSON).then_some(&Json as &dyn Format)
    }

    fn prepare(&self, tree: Tree) -> Result<Prepared, ParseError> {
        Ok(Prepared {
            tree,
            former: Vec::new(),
            former_text: None,
        })
    }

    fn moved(&self, place: u32, moved: &mut dyn FnMut(u32) -> u32) -> u32 {
        match place {
            OTHER_JSON => place,
            offset => moved(offset),
        }
    }

    fn spell(
        &self,
        tree: &Tree,
        _: NodeId,
        scalar: Scalar<'_>,
        out: &mut SecretWriter,
    ) -> Result<(), EmitError> {
        match scalar {
            Scalar::Str(text) if tree.nodes[0].place != OTHER_JSON => {
                out.push(text);
                Ok(())
            }
            _ => Err(no_data()),
        }
    }

    fn spell_encrypted(&self, tree: &Tree, at: NodeId, text: &[u8], out: &mut SecretWriter) {
        Json.spell_encrypted(tree, at, text, out);
    }

    fn read_spelling(&self, tree: &Tree, _: NodeId, spelling: &[u8]) -> Option<Data> {
        (tree.nodes[0].place != OTHER_JSON).then(|| Data::Str(SecretBytes::copy_of(spelling)))
    }

    fn write_block(
        &self,
        tree: &Tree,
        block: &Data,
        layout: Layout,
    ) -> Result<Vec<Edit>, EmitError> {
        if !tree.blocks.is_empty() {
            return Json.write_block(tree, block, layout);
        }
        // The object around the value, as the reference lays it out: `{"data": "", "sops": {…}}` split at the value.
        let object = Data::Map(vec![
            (SecretBytes::copy_of(DATA), Data::str("")),
            (SecretBytes::copy_of(BLOCK), block.copy()),
        ]);
        let object = Json.render(&[object], layout)?;
        let object = object.expose();
        let value = memchr::memmem::find(object, b"\"\"").expect("the value is empty");
        let end = tree.text.len();
        // An empty value is never encrypted, so no other program writes it.
        let head = if end == 0 { value + 2 } else { value };
        let insert = |at: usize, text: &[u8]| Edit {
            span: Span::new(at..at),
            text: SecretBytes::copy_of(text),
        };
        Ok(vec![
            insert(0, &object[..head]),
            insert(end, &object[value + 2..]),
        ])
    }

    fn render(&self, documents: &[Data], _: Layout) -> Result<SecretBytes, EmitError> {
        let [document] = documents else {
            return Err(EmitError::new(
                "",
                "a binary file holds exactly one document",
            ));
        };
        match document.get("data") {
            Some(Data::Str(text)) => Ok(SecretBytes::copy_of(text.expose())),
            _ => Err(no_data()),
        }
    }

    fn render_value(&self, value: &Data, _: Layout) -> Result<SecretBytes, EmitError> {
        let text = match value {
            Data::Map(_) => value.get("data").ok_or_else(no_data)?,
            text => text,
        };
        match text {
            Data::Str(text) => Ok(SecretBytes::copy_of(text.expose())),
            _ => Err(EmitError::new("", "a binary file can only extract text")),
        }
    }

    fn set(
        &self,
        tree: &Tree,
        path: &[Step],
        value: &Data,
        _: Layout,
    ) -> Result<Vec<Edit>, EmitError> {
        let wrong = || {
            EmitError::new(
                "",
                "a binary file has a single text value, under the key data",
            )
        };
        let [Step::Key(key)] = path else {
            return Err(wrong());
        };
        let (b"data", Data::Str(text)) = (key.as_bytes(), value) else {
            return Err(wrong());
        };
        if tree.nodes.len() != 2 || tree.nodes[0].place == OTHER_JSON {
            return Err(wrong());
        }
        if tree.scalar(1) == Some(Scalar::Str(text.expose())) {
            return Ok(Vec::new());
        }
        Ok(vec![Edit {
            span: tree.nodes[1].site,
            text: SecretBytes::copy_of(text.expose()),
        }])
    }

    fn remove(&self, _: &Tree, _: NodeId) -> Result<Vec<Edit>, EmitError> {
        Err(EmitError::new(
            "data",
            "a binary file cannot be without its value",
        ))
    }

    fn reserves(&self, key: &[u8]) -> bool {
        Json.reserves(key)
    }
}

fn no_data() -> EmitError {
    EmitError::new(
        "",
        "no binary data in the document; the output type json writes it as it is",
    )
}

fn looks_encrypted(text: &[u8]) -> bool {
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    first == Some(&b'{')
        && memchr::memmem::find(text, b"\"sops\"").is_some()
        && memchr::memmem::find(text, b"\"mac\"").is_some()
}

fn plain(text: SecretBytes) -> Tree {
    let site = Span::new(0..text.len());
    let node = |key, value, end| Node {
        key,
        value,
        site,
        end,
        place: 0,
    };
    let key = Key::Text(Text::Decoded(Span::new(0..DATA.len())));
    Tree {
        text,
        decoded: SecretBytes::copy_of(DATA),
        nodes: vec![
            node(Key::None, Value::Map, 2),
            node(key, Value::Str(Text::File(site)), 2),
        ],
        documents: vec![0],
        blocks: Vec::new(),
        attachments: Vec::new(),
        hidden: Vec::new(),
    }
}

/// Lays the cuts around the value of an encrypted tree.
fn cover(tree: &mut Tree) {
    let is_ours = tree.nodes.len() == 2
        && tree.key(1) == Some(DATA)
        && matches!(tree.nodes[1].value, Value::Str(_));
    if !is_ours {
        tree.nodes[0].place = OTHER_JSON;
        return;
    }
    let whole = Span::new(0..tree.text.len());
    tree.nodes[0].site.end = whole.end;
    let site = tree.nodes[1].site;
    let is_empty = matches!(tree.scalar(1), Some(Scalar::Str(text)) if text.is_empty());
    if is_empty {
        tree.nodes[1].site.end = site.start;
        tree.nodes[1].value = Value::Str(Text::File(tree.nodes[1].site));
    }
    let behind = if is_empty { site.start } else { site.end };
    tree.blocks[0].cut = Span::new(0..site.start as usize);
    tree.blocks.push(Block {
        cut: Span::new(behind as usize..tree.text.len()),
        label: Span::default(),
        fields: Vec::new(),
        data: Data::Map(Vec::new()),
    });
}

#[cfg(test)]
mod tests;
