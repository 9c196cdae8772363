//! What must hold for every text that a format reads.

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::data::Data;
use crate::flatten::{Flat, flatten};
use crate::format::{Format, Layout};
use crate::scalar::Scalar;
use crate::splice::{Edit, Splicer, apply};
use crate::tree::{Span, Tree, Value};

/// A small and a large block, with what is hard to spell in them.
pub(super) fn blocks() -> [Data; 2] {
    let map = |entries: Vec<(&str, Data)>| {
        let entry = |(key, value): (&str, Data)| (SecretBytes::copy_of(key.as_bytes()), value);
        Data::Map(entries.into_iter().map(entry).collect())
    };
    let age = |recipient: &str| {
        let armor = "-----BEGIN AGE ENCRYPTED FILE-----\nYQ==\n-----END AGE ENCRYPTED FILE-----\n";
        map(vec![
            ("enc", Data::str(armor)),
            ("recipient", Data::str(recipient)),
        ])
    };
    [
        map(vec![
            ("lastmodified", Data::str("2020-01-01T00:00:00Z")),
            (
                "mac",
                Data::str("ENC[AES256_GCM,data:YQ==,iv:YQ==,tag:YQ==,type:str]"),
            ),
            ("version", Data::str("3.13.3")),
        ]),
        map(vec![
            ("age", Data::List(vec![age("age1a"), age("age1b")])),
            ("encrypted_regex", Data::str("^(a|\"b\"|c#;<d>|=)$")),
            ("lastmodified", Data::str("2021-01-01T00:00:00Z")),
            (
                "mac",
                Data::str("ENC[AES256_GCM,data:Yg==,iv:YQ==,tag:YQ==,type:str]"),
            ),
            ("shamir_threshold", Data::Int(2)),
            ("version", Data::str("3.13.3")),
        ]),
    ]
}

/// Checks everything; gives `false` when the format refuses the text.
pub(super) fn hold(format: &dyn Format, text: &[u8]) -> bool {
    let Ok(tree) = format.parse(SecretBytes::copy_of(text)) else {
        return false;
    };
    assert!(tree.text.expose() == text, "the text stays");
    is_well_formed(&tree);
    if !tree.blocks.is_empty() {
        return true;
    }
    let prepared = match format.prepare(tree) {
        Ok(prepared) => prepared,
        // YAML refuses a few layouts aloud.
        Err(error) if error.reason.contains("layout cannot be kept") => return false,
        Err(error) => panic!("what is read can be prepared: {error}"),
    };
    let tree = prepared.tree;
    is_well_formed(&tree);
    for (node, former) in &prepared.former {
        assert!(
            tree.spelling(*node) != former.expose(),
            "a hint without a need"
        );
    }
    spelling_comes_back(format, &tree);
    if format.name() != "binary" {
        blocks_come_and_go(format, &tree); // binary has no block without an encrypted value
    }
    values_come_and_go(format, &tree);
    true
}

fn is_well_formed(tree: &Tree) {
    let mut last = 0;
    for (at, node) in tree.nodes.iter().enumerate() {
        assert!(node.end as usize > at && node.end as usize <= tree.nodes.len());
        let is_leaf = !matches!(node.value, Value::Map | Value::List);
        assert!(!is_leaf || node.end as usize == at + 1);
        if is_leaf {
            assert!(node.site.start >= last && node.site.end >= node.site.start);
            last = node.site.end;
        }
    }
    assert!(last as usize <= tree.text.len());
}

/// A site reads as its content, and what we spell reads so, too.
fn spelling_comes_back(format: &dyn Format, tree: &Tree) {
    for at in 0..tree.nodes.len() {
        let Some(scalar) = tree.scalar(at) else {
            continue;
        };
        let content = Data::of(tree, at);
        let read = format.read_spelling(tree, at, tree.spelling(at));
        assert!(same(read.as_ref(), &content), "its own spelling at {at}");
        let mut out = SecretWriter::default();
        format
            .spell(tree, at, scalar, &mut out)
            .expect("what is read can be spelled");
        let read = format.read_spelling(tree, at, out.expose());
        assert!(same(read.as_ref(), &content), "our spelling at {at}");
    }
}

/// Floats without a fraction are spelled as integers, as in the reference.
fn same(read: Option<&Data>, content: &Data) -> bool {
    match (read, content) {
        (Some(Data::Int(read)), Data::Float(content)) => *read as f64 == *content,
        (Some(Data::Float(read)), Data::Float(content)) => read.to_bits() == content.to_bits(),
        (Some(Data::Comment { text, .. }), Data::Comment { text: other, .. }) => text == other,
        (Some(read), content) => read == content,
        (None, _) => false,
    }
}

fn blocks_come_and_go(format: &dyn Format, tree: &Tree) {
    let [small, large] = blocks();
    for (first, second) in [(&small, &large), (&large, &small)] {
        let edits = format
            .write_block(tree, first, Layout::default())
            .expect("a block fits");
        let with = apply(tree.text.expose(), &edits);
        let with = format.parse(with).expect("a text with a block is read");
        is_well_formed(&with);
        assert!(says(&with) == flat(first), "the block is read as written");
        assert!(
            cut(&with) == tree.text,
            "cutting the block brings the text back"
        );
        let nothing = format.write_block(&with, first, Layout::default()).unwrap();
        assert!(nothing.is_empty(), "nothing changed, nothing is written");

        let edits = format
            .write_block(&with, second, Layout::default())
            .expect("a block fits");
        let again = format
            .parse(apply(with.text.expose(), &edits))
            .expect("a text with a changed block is read");
        assert!(
            says(&again) == flat(second),
            "the changed block is read as written"
        );
        assert!(
            cut(&again) == tree.text,
            "cutting the changed block brings the text back"
        );
    }
}

/// Replaces every leaf by a ciphertext and writes a block, then the other way round.
fn values_come_and_go(format: &dyn Format, tree: &Tree) {
    const CIPHERTEXT: &[u8] = b"ENC[AES256_GCM,data:cA==,iv:cQ==,tag:cg==,type:str]";
    let mut edits = Vec::new();
    for (at, node) in tree.nodes.iter().enumerate() {
        let encrypts = match tree.scalar(at) {
            None | Some(Scalar::Null) => false,
            Some(Scalar::Str(text) | Scalar::Comment(text)) => !text.is_empty(),
            Some(_) => true,
        };
        if encrypts {
            let mut out = SecretWriter::default();
            format.spell_encrypted(tree, at, CIPHERTEXT, &mut out);
            edits.push(Edit {
                span: node.site,
                text: out.finish(),
            });
        }
    }
    let count = edits.len();
    edits.extend(
        format
            .write_block(tree, &blocks()[1], Layout::default())
            .unwrap(),
    );
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    let encrypted = format
        .parse(apply(tree.text.expose(), &edits))
        .expect("an encrypted text is read");
    is_well_formed(&encrypted);
    assert!(!encrypted.blocks.is_empty());
    assert_eq!(encrypted.nodes.len(), tree.nodes.len(), "the same nodes");

    let mut changed = 0;
    let mut splicer = Splicer::new(encrypted.text.expose(), tree.text.len());
    let mut cuts = encrypted.blocks.iter().map(|block| block.cut).peekable();
    for at in 0..tree.nodes.len() {
        assert!(tree.key(at) == encrypted.key(at), "the same keys");
        if encrypted.scalar(at).is_none() {
            continue;
        }
        let is_ours = match encrypted.scalar(at) {
            Some(Scalar::Str(text) | Scalar::Comment(text)) => text == CIPHERTEXT,
            _ => false,
        };
        if !is_ours {
            assert!(
                same(Some(&Data::of(&encrypted, at)), &Data::of(tree, at)),
                "what is not encrypted reads as before"
            );
            continue;
        }
        let site = encrypted.nodes[at].site;
        while let Some(span) = cuts.next_if(|span| span.start <= site.start) {
            splicer.replace(span);
        }
        splicer.replace(site).push(tree.spelling(at));
        changed += 1;
    }
    for span in cuts {
        splicer.replace(span);
    }
    assert_eq!(changed, count);
    assert!(
        splicer.finish() == tree.text,
        "decrypting brings the text back"
    );
}

/// Formats without types give back text: what counts is what the fields say.
fn flat(block: &Data) -> Vec<Flat> {
    let mut lines = flatten(block).expect("no two fields of one name");
    lines.sort_by(|a, b| a.key.cmp(&b.key));
    lines
}

fn says(tree: &Tree) -> Vec<Flat> {
    flat(&tree.blocks[0].data)
}

fn cut(tree: &Tree) -> SecretBytes {
    let edit = |span: Span| Edit {
        span,
        text: SecretBytes::default(),
    };
    let edits: Vec<Edit> = tree.blocks.iter().map(|block| edit(block.cut)).collect();
    apply(tree.text.expose(), &edits)
}

/// A stream of pseudo-random numbers, the same in every run.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// A number below `below`.
    pub(super) fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % below as u64) as usize
    }
}

/// Changes texts at random, with pieces that matter to the format, and checks what is still read.
pub(super) fn hold_for_mutations(
    format: &dyn Format,
    seeds: &[&[u8]],
    pieces: &[&[u8]],
    rounds: u64,
) {
    let mut read = 0;
    for round in 0..rounds {
        let mut dice = Dice(round);
        let mut text = seeds[dice.roll(seeds.len())].to_vec();
        for _ in 0..=dice.roll(4) {
            let at = dice.roll(text.len() + 1);
            let end = (at + dice.roll(4)).min(text.len());
            let piece = pieces[dice.roll(pieces.len())];
            match dice.roll(3) {
                0 => drop(text.splice(at..at, piece.iter().copied())),
                1 => drop(text.splice(at..end, piece.iter().copied())),
                _ => drop(text.drain(at..end)),
            }
        }
        let outcome =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| hold(format, &text)));
        match outcome {
            Ok(true) => read += 1,
            Ok(false) => {}
            Err(panic) => {
                let shown = String::from_utf8_lossy(&text).into_owned();
                panic!(
                    "round {round}, text {shown:?}: {:?}",
                    panic.downcast_ref::<String>()
                );
            }
        }
    }
    assert!(
        read > rounds / 20,
        "too few mutations were readable: {read} of {rounds}"
    );
}
