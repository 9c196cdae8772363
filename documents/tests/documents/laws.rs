//! What must hold for every document.

use sealwright_crypto::data_key::{DataKey, KeyPart};
use sealwright_crypto::key_kind::AGE;
use sealwright_crypto::master_key::Wrapped;
use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::data::Data;
use sealwright_documents::envelope::{
    Document, EncryptError, Encrypted, Warning, decrypt, decrypt_to_edit, encrypt,
};
use sealwright_documents::format::{Format, Layout, Step};
use sealwright_documents::metadata::{KeyEntry, KeyFields, Metadata};
use sealwright_documents::scalar::Scalar;
use sealwright_documents::selection::SelectionRule;
use sealwright_documents::splice::apply;
use sealwright_documents::tree::{NodeId, Tree, Value};

use super::generate::{Dice, MARK};

/// Checks everything about a text whose secrets are marked; `Ok(false)` when the format refuses it as a plain document.
pub(crate) fn hold(format: &'static dyn Format, text: &[u8], seed: u64) -> Result<bool, String> {
    check(format, text, seed, true)
}

/// Checks the same about any text, but for secrets that stayed in sight.
pub(crate) fn round_trip(
    format: &'static dyn Format,
    text: &[u8],
    seed: u64,
) -> Result<bool, String> {
    check(format, text, seed, false)
}

fn check(
    format: &'static dyn Format,
    text: &[u8],
    seed: u64,
    is_marked: bool,
) -> Result<bool, String> {
    let text = SecretBytes::copy_of(text);
    let Ok(document) = Document::parse(format, SecretBytes::copy_of(text.expose())) else {
        return Ok(false);
    };
    if document.reserved_key().is_some() {
        return Ok(false);
    }
    let mut dice = Dice::new(seed);
    let (rule, mac_only) = rule(format, &mut dice);
    let hides_all = is_marked && rule.is_none();
    let metadata = metadata(rule, mac_only);
    let key = key();
    let now = "2024-05-06T07:08:09Z".parse().expect("a time");
    let layout = Layout {
        indent: match format.name() {
            "yaml" => [None, Some(2), Some(3)][dice.roll(3)],
            _ => [None, Some(2), Some(-1)][dice.roll(3)],
        },
    };

    let encrypted = match encrypt(document, metadata, &key, None, now, layout) {
        Ok(encrypted) => encrypted.text,
        // YAML has keys and numbers that it reads and that cannot be encrypted.
        Err(EncryptError::Key(_) | EncryptError::Unsupported(_)) => return Ok(false),
        Err(error) if error.to_string().contains("not supported") => return Ok(false),
        // Among any bytes there are layouts that are refused aloud; generated documents have none.
        Err(error)
            if !is_marked
                && error.to_string().contains("layout cannot be kept")
                && may_refuse_layout(text.expose()) =>
        {
            return Ok(false);
        }
        Err(error) => return Err(format!("cannot be encrypted: {error}")),
    };
    if hides_all && has_mark_outside_of_plain_names(encrypted.expose()) {
        return Err("a secret stands in the encrypted text".into());
    }
    let file = Encrypted::parse(format, SecretBytes::copy_of(encrypted.expose()))
        .map_err(|error| format!("the encrypted text is not read: {error}"))?;
    let plain = decrypt(&file, &key).map_err(|error| format!("does not open: {error}"))?;
    let is_odd = |warning: &&Warning| !matches!(warning, Warning::LooksEncrypted(_));
    if let Some(warning) = plain.warnings.iter().find(is_odd) {
        return Err(format!("a warning: {warning}"));
    }
    if plain.document.text() != &text {
        let got = plain.document.text().expose().escape_ascii().to_string();
        return Err(format!("comes back as {got}"));
    }
    same_tree(format, plain.document.tree())?;
    quiet(&file, &key, layout)?;
    one_value(&file, &key, &mut dice, layout)?;
    Ok(true)
}

/// The layouts that cannot be kept: a block at the end of a document in a line break that is not ASCII, and one at the
/// margin with a comment behind its mark.
fn may_refuse_layout(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let has_wide_break = text.contains(['\u{85}', '\u{2028}', '\u{2029}']);
    let is_noted = |line: &str| line.starts_with(['|', '>']) && line.contains('#');
    has_wide_break || text.split(['\n', '\r']).any(is_noted)
}

/// Saving without a change changes nothing.
fn quiet(file: &Encrypted, key: &DataKey, layout: Layout) -> Result<(), String> {
    let (plain, memory) =
        decrypt_to_edit(file, key).map_err(|error| format!("does not open to edit: {error}"))?;
    let later = "2025-05-06T07:08:09Z".parse().expect("a time");
    let metadata = file.metadata().clone();
    let mut document = plain.document;
    if file.format().name() == "yaml" {
        // As editors and `set` do; comments may belong elsewhere where no block follows.
        document = Document::parse(
            file.format(),
            SecretBytes::copy_of(document.text().expose()),
        )
        .map_err(|error| format!("the decrypted text is not read: {error}"))?;
    }
    let again = encrypt(document, metadata, key, Some(memory), later, layout)
        .map_err(|error| format!("cannot be encrypted again: {error}"))?;
    if again.changed || again.text != *file.text() {
        let got = again.text.expose().escape_ascii().to_string();
        let was = file.text().expose().escape_ascii().to_string();
        return Err(format!(
            "saving unchanged changes the file from {was} to {got}"
        ));
    }
    Ok(())
}

/// Setting one value changes no other ciphertext, and the value is there afterwards.
fn one_value(
    file: &Encrypted,
    key: &DataKey,
    dice: &mut Dice,
    layout: Layout,
) -> Result<(), String> {
    let format = file.format();
    let (plain, memory) =
        decrypt_to_edit(file, key).map_err(|error| format!("does not open to edit: {error}"))?;
    let tree = plain.document.tree();
    let candidates: Vec<(NodeId, Vec<Step>)> = (0..tree.nodes.len())
        .filter(|node| matches!(tree.scalar(*node), Some(Scalar::Str(_))))
        .filter_map(|node| Some((node, steps(tree, node)?)))
        .collect();
    if candidates.is_empty() {
        return Ok(());
    }
    let in_place = (0..tree.nodes.len()).all(|node| {
        file.tree().nodes.len() == tree.nodes.len() && tree.key(node) == file.tree().key(node)
    });
    let (node, path) = &candidates[dice.roll(candidates.len())];
    let value =
        Data::str(dice.pick(&["new", "two words", "a#b;c", "\"quoted\"", " blank ", "x\\"]));
    let edits = match format.set(tree, path, &value, layout) {
        Ok(edits) => edits,
        Err(error) => return Err(format!("cannot set {path:?}: {error}")),
    };
    let changed = apply(tree.text.expose(), &edits);
    let document = Document::parse(format, changed)
        .map_err(|error| format!("what was set at {path:?} is not read: {error}"))?;
    let found = match format.name() {
        // A comment may belong elsewhere when the block above it becomes one line.
        "yaml" => {
            let before = values(tree).take_while(|at| at < node).count();
            values(document.tree()).nth(before)
        }
        _ => find(document.tree(), path),
    };
    let there = found.map(|node| Data::of(document.tree(), node));
    if there.as_ref() != Some(&value) {
        return Err(format!("what was set at {path:?} is read otherwise"));
    }
    let later = "2025-05-06T07:08:09Z".parse().expect("a time");
    let metadata = file.metadata().clone();
    let again = encrypt(document, metadata, key, Some(memory), later, layout)
        .map_err(|error| format!("cannot be encrypted after a change: {error}"))?;
    let again = Encrypted::parse(format, again.text)
        .map_err(|error| format!("not read after a change: {error}"))?;
    let (before, after) = (file.tree(), again.tree());
    let same_keys = |a: &Tree, b: &Tree| {
        a.nodes.len() == b.nodes.len() && (0..a.nodes.len()).all(|node| a.key(node) == b.key(node))
    };
    if !in_place || !same_keys(before, after) {
        return Ok(()); // lines of INI may have moved, and nodes with them
    }
    let may_move_comments = format.name() == "yaml" && may_move_comments(tree, *node);
    let mut changed_values = 1;
    for other in (0..before.nodes.len()).filter(|other| other != node) {
        let is_nan = matches!(before.scalar(other), Some(Scalar::Float(value)) if value.is_nan());
        let is_moved = matches!(before.scalar(other), Some(Scalar::Comment(_)))
            && keys(before, other) != keys(after, other);
        if is_moved && !may_move_comments {
            return Err(format!("setting {path:?} moved a comment"));
        }
        let is_same = before.scalar(other) == after.scalar(other) || is_nan;
        // What stands between a tag and its value is one with the comment behind them while the file is encrypted.
        let lost_a_part = may_move_comments
            && matches!(before.scalar(other), Some(Scalar::Comment(_)))
            && tree.spelling(*node).contains(&b'#');
        let is_other = keys(before, *node) != keys(before, other);
        if !is_same && !is_moved && !lost_a_part && is_other {
            return Err(format!("setting {path:?} changed another value"));
        }
        changed_values += usize::from(!is_same); // an alias of it
    }
    // In INI a comment beside a key is one with those above it, and goes above when the value needs other quotes.
    let is_simple =
        format.name() != "ini" || !tree.text.expose().iter().any(|b| b"#;`\"".contains(b));
    let is_one_line = |tree: &Tree| !tree.spelling(*node).contains(&b'\n');
    if is_simple && is_one_line(tree) && is_one_line(before) {
        few_lines(
            file.text().expose(),
            again.text().expose(),
            may_move_comments,
            changed_values,
        )?;
    }
    decrypt(&again, key).map_err(|error| format!("does not open after a change: {error}"))?;
    Ok(())
}

/// Between two versions only the lines of changed values differ, and of the block the MAC, the time and the hints.
fn few_lines(
    before: &[u8],
    after: &[u8],
    may_move_comments: bool,
    values: usize,
) -> Result<(), String> {
    let lines = |text: &[u8]| -> Vec<Vec<u8>> {
        text.split(|byte| *byte == b'\n')
            .map(|line| match may_move_comments {
                true => line.trim_ascii_start().to_vec(), // to the column of their new collection
                false => line.to_vec(),
            })
            .collect()
    };
    let mut old = lines(before);
    let mut new = lines(after);
    new.retain(|line| match old.iter().position(|other| other == line) {
        Some(at) => {
            old.remove(at);
            false
        }
        None => true,
    });
    let of_block = |line: &Vec<u8>| {
        let line = line.trim_ascii_start();
        let line = line.strip_prefix(b"sops_").unwrap_or(line);
        let line = line.strip_prefix(b"\"").unwrap_or(line);
        ["mac", "lastmodified", "sealwright"]
            .iter()
            .any(|field| line.starts_with(field.as_bytes()))
    };
    new.retain(|line| !of_block(line));
    if new.len() > values {
        let shown: Vec<String> = new
            .iter()
            .map(|line| line.escape_ascii().to_string())
            .collect();
        return Err(format!(
            "one new value changes {} lines: {shown:?}",
            new.len()
        ));
    }
    Ok(())
}

/// Whether comments may belong to another collection when a value is replaced: those below it when its lines become one,
/// one behind its tag when that goes, and one behind an alias that is written out. They are bound to their collection, so
/// their ciphertexts change.
fn may_move_comments(tree: &Tree, node: NodeId) -> bool {
    let is_around = |outer: &NodeId| tree.nodes[*outer].end as usize > node;
    let text = tree.spelling(node);
    text.contains(&b'\n')
        || text.starts_with(b"!")
        || (0..=node)
            .filter(is_around)
            .any(|outer| tree.spelling(outer).starts_with(b"*"))
}

/// The keys that a leaf is bound to. Equal values with the same keys are one to the memory.
fn keys(tree: &Tree, node: NodeId) -> Vec<&[u8]> {
    let is_around = |outer: &NodeId| tree.nodes[*outer].end as usize > node;
    let mut outer: Vec<NodeId> = (0..=node).filter(is_around).collect();
    if let Value::Comment { above, .. } = tree.nodes[node].value {
        outer.truncate(outer.len() - 1 - usize::from(above));
    }
    outer
        .into_iter()
        .filter_map(|outer| tree.key(outer))
        .collect()
}

/// The tree that decryption builds is the one that reading its text gives.
fn same_tree(format: &'static dyn Format, tree: &Tree) -> Result<(), String> {
    let again = format
        .parse(SecretBytes::copy_of(tree.text.expose()))
        .map_err(|error| format!("the decrypted text is not read: {error}"))?;
    // The tree of a YAML file keeps how the ciphertexts were spelled (the lowest bits, and the one for comments inside, of
    // which a ciphertext has none), and its comments where they were read: before the block.
    const SPELLING: u32 = 7 | 1 << 9;
    let is_yaml = format.name() == "yaml";
    if tree.nodes.len() != again.nodes.len() || (!is_yaml && tree.documents != again.documents) {
        return Err("the decrypted tree has another shape than its text".into());
    }
    let all = |tree: &Tree| (0..tree.nodes.len()).collect::<Vec<_>>();
    let (ours, theirs) = match is_yaml {
        true => (values(tree).collect(), values(&again).collect()),
        false => (all(tree), all(&again)),
    };
    for (node, other) in ours.into_iter().zip(theirs) {
        let (a, b) = (&tree.nodes[node], &again.nodes[other]);
        let is_there = match is_yaml {
            true => {
                matches!(a.value, Value::Map | Value::List)
                    || (a.site, a.place & !SPELLING) == (b.site, b.place & !SPELLING)
            }
            false => (a.site, a.end, a.place) == (b.site, b.end, b.place),
        };
        if !is_there {
            return Err(format!("node {node} lies at {a:?} and is read at {b:?}"));
        }
        let is_same = match (tree.scalar(node), again.scalar(other)) {
            (Some(Scalar::Float(_)), Some(_)) | (None, None) => true,
            (a, b) => a == b,
        };
        if !is_same || tree.key(node) != again.key(other) {
            return Err(format!("node {node} says something else than its text"));
        }
    }
    Ok(())
}

/// The nodes that are no comments.
fn values(tree: &Tree) -> impl Iterator<Item = NodeId> + '_ {
    (0..tree.nodes.len()).filter(|at| !matches!(tree.nodes[*at].value, Value::Comment { .. }))
}

/// The path to a node that no earlier node shares; `None` for what `set` cannot reach.
fn steps(tree: &Tree, node: NodeId) -> Option<Vec<Step>> {
    let mut path = Vec::new();
    let mut at = *tree.documents.first()? as usize;
    while at != node {
        let child = tree
            .children(at)
            .find(|child| *child <= node && tree.nodes[*child].end as usize > node)?;
        let is_value = |child: &NodeId| !matches!(tree.nodes[*child].value, Value::Comment { .. });
        let index = tree
            .children(at)
            .filter(is_value)
            .position(|other| other == child);
        path.push(match tree.key(child) {
            Some(key) => Step::Key(String::from_utf8(key.to_vec()).ok()?),
            None => Step::Index(index?),
        });
        at = child;
    }
    (find(tree, &path) == Some(node)).then_some(path)
}

fn find(tree: &Tree, path: &[Step]) -> Option<NodeId> {
    let mut at = *tree.documents.first()? as usize;
    for step in path {
        at = step.find(tree, at)?;
    }
    Some(at)
}

fn has_mark_outside_of_plain_names(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    text.lines()
        .any(|line| line.contains(MARK) && !line.contains("_unencrypted"))
        && !text.contains("_unencrypted")
}

fn rule(format: &'static dyn Format, dice: &mut Dice) -> (Option<SelectionRule>, bool) {
    if format.name() == "binary" {
        return (None, false);
    }
    let rules = [
        ("encrypted_regex", "pick_me|^a$"),
        ("unencrypted_regex", "^pick"),
        ("encrypted_suffix", "_me"),
        ("unencrypted_suffix", "e"),
        ("unencrypted_suffix", "nothing ends so"),
        ("encrypted_comment_regex", "c"),
        ("unencrypted_comment_regex", "[aeiou]$"),
    ];
    let rule = rules
        .get(dice.roll(2 * rules.len()))
        .and_then(|(field, text)| SelectionRule::of_field(field, (*text).into()));
    (rule, dice.roll(4) == 0)
}

fn key() -> DataKey {
    DataKey::from_part(&KeyPart::from((0..32).collect::<Vec<u8>>())).expect("32 bytes")
}

fn metadata(rule: Option<SelectionRule>, mac_only: bool) -> Metadata {
    let armor = "-----BEGIN AGE ENCRYPTED FILE-----\nYQ==\n-----END AGE ENCRYPTED FILE-----\n";
    let entry = KeyEntry {
        key: KeyFields::of(&AGE, "age1a"),
        created_at: None,
        enc: Wrapped(armor.into()),
    };
    Metadata::new(vec![vec![entry]], 0, rule, mac_only)
}
