//! Makes a document ready to be encrypted in place, and checks that its values and comments keep their cover.
//!
//! Preparing may move a comment: a document in braces is laid out in lines, an alias is written out. A rule about keys then
//! finds the comment in another collection, and a rule about comments finds it before another value. Where that would leave
//! a comment or a value in clear that was secret, or where upstream's reader would lose a comment that it finds in the plain text, the
//! document is written again with its comments in upstream's order; where that does not help either, it is refused.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::error::{EncryptError, Place};
use super::walk::{Walk, secret_values};
use crate::attachment::Spot;
use crate::error::ParseError;
use crate::format::{Format, Prepared};
use crate::selection::Selector;
use crate::splice::apply;
use crate::tree::{Node, NodeId, Tree, Value};

/// Makes a document ready. A rule selects in it what it selects in the document as it was.
pub(super) fn make_ready(
    format: &'static dyn Format,
    tree: Tree,
    selector: &Selector,
) -> Result<Prepared, EncryptError> {
    let cover = Cover::of(&tree, selector);
    let finish = |prepared| without_empty_comments(format, prepared, selector);
    let in_place = finish(format.prepare(tree)?)?;
    let Some(cover) = cover else {
        return Ok(in_place);
    };
    let uncovered = cover.first_lost(&in_place.tree, selector);
    let listed = listed_comments(&in_place.tree);
    if uncovered.is_none() && listed >= cover.listed {
        return Ok(in_place);
    }
    let read = || format.parse(in_place.original_text());
    let again = format.prepare_listed(read()?);
    if uncovered.is_none() {
        // Upstream would lose a comment, and nothing else is wrong.
        return Ok(match again.map(|again| again.map(finish)) {
            Ok(Some(Ok(again)))
                if cover.first_lost(&again.tree, selector).is_none()
                    && listed_comments(&again.tree) > listed =>
            {
                again
            }
            _ => in_place,
        });
    }
    let Some(again) = again? else {
        return Ok(in_place);
    };
    let again = finish(again)?;
    match cover.first_lost(&again.tree, selector) {
        None => Ok(again),
        Some(Lost::Value(value)) => Err(EncryptError::Selection(Place::of(&read()?, value))),
        Some(Lost::Comment(comment)) => {
            let text = comment_hash(&again.tree, comment, &cover.hasher);
            let plain = read()?;
            let is_it = |node: &NodeId| comment_hash(&plain, *node, &cover.hasher) == text;
            let place = (0..plain.nodes.len()).find(is_it).unwrap_or(0);
            Err(EncryptError::CommentUncovered(Place::of(&plain, place)))
        }
    }
}

/// What a rule says of a plain document that has comments, or that the rule looks at comments in.
struct Cover {
    /// The values, with whether each is secret; only for a rule about comments, which can lose track of them.
    values: Option<Vec<(NodeId, bool)>>,
    /// The comments by their text: how many are in clear, and whether one is secret.
    comments: HashMap<u64, (usize, bool)>,
    /// How many comments upstream lists.
    listed: usize,
    hasher: RandomState,
}

/// What has lost its cover: a node of the plain document, or a comment of the prepared one.
enum Lost {
    Value(NodeId),
    Comment(NodeId),
}

impl Cover {
    /// `None` when there is nothing that preparing could uncover.
    fn of(tree: &Tree, selector: &Selector) -> Option<Self> {
        let is_on_comments = selector.is_on_comments();
        if !is_on_comments && !tree.nodes.iter().any(is_comment) {
            return None;
        }
        let hasher = RandomState::new();
        Some(Self {
            values: is_on_comments.then(|| secret_values(tree, selector)),
            comments: comments(tree, selector, &hasher).into_iter().fold(
                HashMap::new(),
                |mut all, (node, text, is_secret)| {
                    let (clear, has_secret) = all.entry(text).or_default();
                    // A rule about comments says nothing of one that upstream does not list.
                    let is_unseen = is_on_comments && is_dropped(tree, node);
                    *clear += usize::from(!is_secret || is_unseen);
                    *has_secret |= is_secret;
                    all
                },
            ),
            listed: listed_comments(tree),
            hasher,
        })
    }

    /// The first value whose selection differs in a prepared tree, or the first comment in clear that was secret.
    fn first_lost(&self, prepared: &Tree, selector: &Selector) -> Option<Lost> {
        if let Some(values) = &self.values {
            let got = secret_values(prepared, selector);
            let mut pairs = values.iter().zip(&got);
            if let Some((wanted, _)) = pairs.find(|(wanted, got)| wanted.1 != got.1) {
                return Some(Lost::Value(wanted.0));
            }
        }
        let mut clear: HashMap<u64, usize> = HashMap::new();
        let comments = comments(prepared, selector, &self.hasher).into_iter();
        let mut in_clear = comments.filter(|(_, _, is_secret)| !is_secret);
        in_clear
            .find(|(_, text, _)| {
                let count = clear.entry(*text).or_default();
                *count += 1;
                let (was_clear, was_secret) = self.comments.get(text).copied().unwrap_or_default();
                was_secret && *count > was_clear
            })
            .map(|(node, ..)| Lost::Comment(node))
    }
}

/// The comments of a plain tree that have a text, with the hash of the text and whether they are secret.
fn comments(tree: &Tree, selector: &Selector, hasher: &RandomState) -> Vec<(NodeId, u64, bool)> {
    let mut walk = Walk::new(tree, selector, false);
    let mut found = Vec::new();
    while let Some(Ok(leaf)) = walk.next() {
        if let Some(text) = comment_hash(tree, leaf.node, hasher) {
            found.push((leaf.node, text, leaf.is_secret));
        }
    }
    found
}

fn comment_hash(tree: &Tree, node: NodeId, hasher: &RandomState) -> Option<u64> {
    let Value::Comment { text, .. } = tree.nodes[node].value else {
        return None;
    };
    let text = tree.content(text);
    (!text.is_empty()).then(|| hasher.hash_one(text))
}

fn is_comment(node: &Node) -> bool {
    matches!(node.value, Value::Comment { .. })
}

/// Whether upstream's reader loses a comment.
fn is_dropped(tree: &Tree, comment: NodeId) -> bool {
    let attachments = &tree.attachments;
    let found = attachments.binary_search_by_key(&comment, |it| it.comment as usize);
    found.is_ok_and(|at| attachments[at].spot == Spot::DROPPED)
}

/// How many comments with a text upstream lists, each once.
fn listed_comments(tree: &Tree) -> usize {
    // What an alias repeats has no bytes of its own.
    let is_own = |comment: u32| !tree.nodes[comment as usize].site.is_empty();
    let attached = tree.attachments.iter();
    let listed = attached.filter(|it| it.spot != Spot::DROPPED && is_own(it.comment));
    let hidden = tree.hidden.iter();
    let hidden = hidden.filter(|it| it.spot != Spot::DROPPED && !it.text.is_empty());
    listed.count() + hidden.count()
}

/// Takes empty comments out of encrypted lists. They have no encrypted form, and upstream would read them as elements; the
/// former text brings them back.
fn without_empty_comments(
    format: &'static dyn Format,
    prepared: Prepared,
    selector: &Selector,
) -> Result<Prepared, EncryptError> {
    let tree = &prepared.tree;
    let is_empty = |node: &Node| {
        let Value::Comment { text, .. } = node.value else {
            return false;
        };
        tree.content(text).is_empty()
    };
    if !tree.nodes.iter().any(is_empty) {
        return Ok(prepared);
    }
    let mut edits = Vec::new();
    let mut walk = Walk::new(tree, selector, false);
    while let Some(Ok(leaf)) = walk.next() {
        if leaf.in_list && leaf.is_secret && is_empty(&tree.nodes[leaf.node]) {
            let removed = format.remove(tree, leaf.node);
            edits.extend(removed.map_err(|_| ParseError::layout(tree.text.expose()))?);
        }
    }
    if edits.is_empty() {
        return Ok(prepared);
    }
    let text = apply(tree.text.expose(), &edits);
    // What follows a comment decides about its collection, so the rest is made ready once more.
    let again = format.prepare(format.parse(text)?)?;
    Ok(prepared.with_tree(again.tree))
}
