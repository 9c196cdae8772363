//! In what two listings of one document set may differ, by the decisions about its plain text, and whether they do in more.

use serde_json::Value;

use super::decisions::Decision;
use super::listing::{
    HIDDEN, is_any_comment, name_of, normal, take_comments, take_empty_texts, take_last_comments,
};

/// What may differ. Values never may.
#[derive(Clone, Debug, Default)]
pub(super) struct Allowed {
    documents: Vec<InDocument>,
    /// Empty texts in lists.
    pub(super) empty_texts: bool,
    /// The texts of comments that upstream's reader loses. With the block behind them it may find those at the end.
    lost: Vec<String>,
    /// The texts of comments that upstream's reader attaches to whatever comes next.
    pub(super) unplaced: Vec<String>,
}

/// What may differ in one document.
#[derive(Clone, Debug, Default)]
pub(super) struct InDocument {
    /// In which collection the comments behind its last value stand.
    pub(super) at_the_end: bool,
    /// In which collection any comment stands.
    pub(super) rewritten: bool,
    /// Whether comments and a blank line stand before its first entry.
    pub(super) has_head: bool,
    /// The keys of entries in which an alias of a collection is written out: in which collection the comments in them and
    /// beside them stand, whether more of them are encrypted, and whether upstream's reader loses one in our file.
    pub(super) written_out: Vec<String>,
    /// Where aliases of collections without values stand, as the numbers of values on the way: whether their comments are in
    /// them, beside them or not there.
    pub(super) of_nothing: Vec<Vec<usize>>,
}

impl Allowed {
    pub(super) fn new(
        documents: Vec<InDocument>,
        decisions: &[Decision],
        lost: Vec<String>,
        unplaced: Vec<String>,
    ) -> Self {
        Self {
            documents,
            empty_texts: decisions.contains(&Decision::EmptyComment),
            lost,
            unplaced,
        }
    }

    /// Whether upstream may find a comment after a change that it loses in the plain text, or attach one at the head of a
    /// document to another entry.
    pub(super) fn may_find_more(&self) -> bool {
        !self.lost.is_empty() || self.documents.iter().any(|it| it.has_head)
    }

    /// Whether comments may have another place when a key comes behind them, or when those without a text are left out.
    pub(super) fn depends_on_what_follows(&self) -> bool {
        let ends_in_comment = self.documents.iter().any(|it| it.at_the_end);
        ends_in_comment || self.empty_texts || !self.lost.is_empty()
    }

    /// Where two listings differ in more.
    pub(super) fn difference(&self, theirs: &[Value], ours: &[Value]) -> Option<String> {
        let show = |what: String| {
            let [theirs, ours] = [theirs, ours].map(|it| normal(&Value::Array(it.to_vec())));
            Some(format!(
                "{what}\n    upstream {theirs}\n    ours     {ours}"
            ))
        };
        if theirs.len() != ours.len() {
            return show("other documents".into());
        }
        let mut gaps = Gaps::default();
        // The comments of aliases of nothing, upstream's and ours.
        let (mut repeated, mut kept) = (Vec::new(), Vec::new());
        let mut of_written_out = (Vec::new(), Vec::new());
        for (index, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
            let within = self.documents.get(index).cloned().unwrap_or_default();
            let mut apart = (Vec::new(), Vec::new());
            let [theirs, ours] =
                [(theirs, &mut repeated), (ours, &mut kept)].map(|(document, comments)| {
                    let mut document = normal(document);
                    for path in &within.of_nothing {
                        take_comments_at(&mut document, path, comments);
                    }
                    document
                });
            let theirs = self.prepared(theirs, &within, &mut apart.0, &mut of_written_out.0);
            let ours = self.prepared(ours, &within, &mut apart.1, &mut of_written_out.1);
            if !gaps.add(&theirs, &ours) {
                return show("other values, or other order".into());
            }
            gaps.add_unordered(apart.0, apart.1);
        }
        let mut moved = Gaps::default();
        moved.add_unordered(of_written_out.0, of_written_out.1);
        // More of them may be encrypted.
        moved.forgive_covered();
        moved.missing.pop();
        gaps.missing.append(&mut moved.missing);
        gaps.extra.append(&mut moved.extra);
        // Those that we have in them upstream may have beside them.
        take_known(&mut gaps.missing, &kept);
        repeated.append(&mut kept);
        take_known(&mut gaps.extra, &repeated);
        self.forgive(&mut gaps);
        if gaps.missing.is_empty() && gaps.extra.is_empty() {
            return None;
        }
        show(format!(
            "comments that we lack: {:?}, and that upstream lacks: {:?}",
            gaps.missing, gaps.extra
        ))
    }

    /// A listing as it is compared: without what may differ, and the comments that may stand elsewhere by themselves.
    fn prepared(
        &self,
        mut document: Value,
        within: &InDocument,
        apart: &mut Vec<String>,
        of_written_out: &mut Vec<String>,
    ) -> Value {
        take_comments_of(&mut document, &within.written_out, of_written_out);
        if within.rewritten {
            take_comments(&mut document, apart);
        } else if within.at_the_end {
            take_last_comments(&mut document, apart);
        }
        if self.empty_texts {
            take_empty_texts(&mut document);
        }
        document
    }

    /// Takes out what upstream's reader has no place for, or loses.
    fn forgive(&self, gaps: &mut Gaps) {
        for side in [&mut gaps.missing, &mut gaps.extra] {
            take_known(side, &self.unplaced);
        }
        take_known(&mut gaps.extra, &self.lost);
        if !self.unplaced.is_empty() {
            // Beside them more may be encrypted.
            gaps.forgive_covered();
        }
    }
}

/// Takes comments out that have one of these texts; one that is encrypted may be any of them.
fn take_known(comments: &mut Vec<String>, known: &[String]) {
    let mut left = known.to_vec();
    comments.retain(
        |comment| match left.iter().position(|text| text == comment) {
            Some(at) => {
                left.remove(at);
                false
            }
            None => true,
        },
    );
    comments.retain(|comment| comment != HIDDEN || left.pop().is_none());
}

/// The comments that only one of two listings has at a place.
#[derive(Default)]
struct Gaps {
    /// Only upstream's.
    missing: Vec<String>,
    /// Only ours.
    extra: Vec<String>,
}

impl Gaps {
    /// Goes through two values side by side. Gives false when they differ in more than comments.
    fn add(&mut self, theirs: &Value, ours: &Value) -> bool {
        let (Value::Array(theirs), Value::Array(ours)) = (theirs, ours) else {
            return theirs == ours;
        };
        let (mut theirs, mut ours) = (&theirs[..], &ours[..]);
        loop {
            let (of_theirs, rest) = split_comments(theirs);
            let (of_ours, other_rest) = split_comments(ours);
            if of_theirs != of_ours {
                let (missing, extra) = (self.missing.len(), self.extra.len());
                self.add_unordered(of_theirs.clone(), of_ours.clone());
                let has_others = missing < self.missing.len() || extra < self.extra.len();
                if !has_others {
                    return false;
                }
            }
            let (Some((their_value, rest)), Some((our_value, other_rest))) =
                (rest.split_first(), other_rest.split_first())
            else {
                return rest.is_empty() && other_rest.is_empty();
            };
            if !self.add(their_value, our_value) {
                return false;
            }
            (theirs, ours) = (rest, other_rest);
        }
    }

    /// Takes out comments that are in clear in upstream's listing and encrypted in ours.
    fn forgive_covered(&mut self) {
        let missing = &mut self.missing;
        self.extra.retain(|comment| {
            let clear = missing.iter().position(|other| other != HIDDEN);
            match clear.filter(|_| comment == HIDDEN) {
                Some(at) => {
                    missing.remove(at);
                    false
                }
                None => true,
            }
        });
    }

    /// Notes what only one of two lists has.
    fn add_unordered(&mut self, theirs: Vec<String>, ours: Vec<String>) {
        let mut left = ours;
        for comment in theirs {
            match left.iter().position(|other| *other == comment) {
                Some(at) => drop(left.remove(at)),
                None => self.missing.push(comment),
            }
        }
        self.extra.append(&mut left);
    }
}

/// The comments at the start of a list of children, and the rest.
fn split_comments(children: &[Value]) -> (Vec<String>, &[Value]) {
    let count = children.iter().take_while(|child| is_any_comment(child));
    let (comments, rest) = children.split_at(count.count());
    (comments.iter().map(name_of).collect(), rest)
}

/// Takes the comments of a collection at a path, which is told by the numbers of values.
fn take_comments_at(value: &mut Value, path: &[usize], out: &mut Vec<String>) {
    let Value::Array(items) = value else {
        return;
    };
    let Some((number, rest)) = path.split_first() else {
        let comments = items.iter().filter(|item| is_any_comment(item));
        out.extend(comments.map(name_of));
        items.retain(|item| !is_any_comment(item));
        return;
    };
    let is_map = items.first() == Some(&Value::from("m"));
    let mut values = items[1..].iter_mut().filter(|item| !is_any_comment(item));
    if let Some(child) = values.nth(*number) {
        let child = if is_map { &mut child[1] } else { child };
        take_comments_at(child, rest, out);
    }
}

/// Takes the comments in entries of a map, and those beside them.
fn take_comments_of(map: &mut Value, keys: &[String], out: &mut Vec<String>) {
    if keys.is_empty() {
        return;
    }
    let Value::Array(items) = map else {
        return;
    };
    let is_one = |item: &Value| {
        let key = item.get(0).and_then(Value::as_str);
        key.is_some_and(|key| keys.iter().any(|known| known == key))
    };
    let mut is_beside = vec![false; items.len()];
    for at in (0..items.len()).filter(|at| is_one(&items[*at])) {
        let before = (0..at).rev().take_while(|at| is_any_comment(&items[*at]));
        let behind = (at + 1..items.len()).take_while(|at| is_any_comment(&items[*at]));
        before.chain(behind).for_each(|at| is_beside[at] = true);
    }
    let mut taken = Vec::new();
    for (at, item) in items.iter_mut().enumerate() {
        if is_beside[at] {
            taken.push(name_of(item));
        } else if is_one(item) {
            take_comments(item, &mut taken);
        }
    }
    out.append(&mut taken);
    let mut at = 0;
    items.retain(|_| {
        at += 1;
        !is_beside[at - 1]
    });
}
