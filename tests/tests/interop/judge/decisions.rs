//! Where we differ from upstream on purpose: predicates on the plain text, and what may differ where one holds.
//!
//! `docs/src/parity/decisions.md` gives the reasons.

use serde_json::{Value, json};

use super::allowed::{Allowed, InDocument};
use super::listing::{comment_texts, is_comment};
use super::ours;
use super::upstream::hex;

/// A deliberate difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Decision {
    /// An empty comment: in an encrypted list upstream makes an empty text of it; we keep it.
    EmptyComment,
    /// Text behind the object of a JSON file: upstream drops it silently, we refuse.
    TextBehindJson,
    /// JSON that is not UTF-8: upstream replaces what it cannot read, we refuse.
    JsonNotUtf8,
    /// JSON that begins with a byte order mark: upstream refuses it.
    JsonWithMark,
    /// A text of several lines that begins with a tab, in clear: upstream cannot write it.
    TextWithTab,
    /// A text of several lines that begins with a blank, in clear: inside of lists upstream loses the blank.
    TextWithBlank,
    /// A comment that upstream's reader loses, and we do not.
    CommentLost,
    /// Comments behind the last value of a document: in our file the block follows them, and upstream may find them in another
    /// collection. Several documents share this.
    CommentAtTheEnd,
    /// A document that is no block at the first column cannot take a block: we rewrite it, and upstream may find its comments
    /// in another collection.
    Rewritten,
    /// A comment behind a tag or an anchor without a value: upstream attaches it to whatever comes next, and where that is an
    /// alias or the end of the document, our file has something else there. Its place is not compared.
    CommentBehindNothing,
    /// Such a comment decides about another one that upstream encrypts, and has no place before it in our file: we refuse.
    CommentUncovered,
    /// An alias of a collection is written out where it stands. Comments beside it may belong to the collection then, or those
    /// in it to one around it.
    AliasWrittenOut,
    /// An alias of a collection that has comments and nothing else: upstream repeats the comments, and we do not.
    AliasOfNothing,
    /// Comments that upstream's own layout attaches elsewhere when it is read again: indices of that file are not asked for.
    CommentMovedByLayout,
    /// A comment stays on its line when the entry beside it goes; upstream keeps it in its collection, and in INI puts it over
    /// the entry before. By a rule about comments another value may be encrypted then, and none less.
    ChangeCovers,
    /// A change after which a comment would leave another value in clear is refused.
    ChangeUncovers,
}

/// What is decided about a plain text, and what may differ by it.
pub(super) fn about(
    format: &str,
    text: &[u8],
    plain: Option<&Vec<Value>>,
) -> (Vec<Decision>, Allowed) {
    let of_any = |holds: fn(&Value) -> bool| plain.is_some_and(|it| it.iter().any(holds));
    let mut lost = Vec::new();
    let behind_nothing = match format {
        "yaml" => comments_behind_nothing(text),
        _ => Vec::new(),
    };
    let mut documents: Vec<InDocument> = Vec::new();
    if let Some(plain) = plain {
        let read = ours::read(format, text);
        lost = read.comments;
        let mut listed = Vec::new();
        plain
            .iter()
            .for_each(|document| comment_texts(document, &mut listed));
        for comment in listed {
            if let Some(at) = lost.iter().position(|other| *other == comment) {
                lost.swap_remove(at);
            }
        }
        let starts: Vec<usize> = read.documents.iter().map(|it| it.start).collect();
        // Where an alias is written out behind such a comment, the document is written again.
        let written_again: Vec<Option<usize>> = behind_nothing
            .iter()
            .filter(|comment| comment.is_before_alias)
            .map(|comment| starts.iter().rposition(|start| *start <= comment.at))
            .collect();
        documents = read
            .documents
            .into_iter()
            .zip(plain)
            .enumerate()
            .map(|(number, (read, plain))| InDocument {
                at_the_end: ends_in_comment(plain),
                has_head: read.has_head,
                rewritten: has_comment(plain)
                    && (read.is_odd || written_again.contains(&Some(number))),
                written_out: read.aliases,
                of_nothing: read.aliases_of_nothing,
            })
            .collect();
    }
    let unplaced: Vec<String> = behind_nothing.into_iter().map(|it| it.text).collect();
    let in_any = |holds: fn(&InDocument) -> bool| documents.iter().any(holds);
    let list = match format {
        "json" => vec![
            (Decision::JsonNotUtf8, std::str::from_utf8(text).is_err()),
            (
                Decision::JsonWithMark,
                text.starts_with("\u{feff}".as_bytes()),
            ),
            (Decision::TextBehindJson, has_tail(text)),
        ],
        "yaml" => vec![
            (Decision::EmptyComment, of_any(has_empty_comment)),
            (Decision::TextWithTab, of_any(has_text_with_tab)),
            (Decision::CommentLost, !lost.is_empty()),
            (Decision::CommentAtTheEnd, in_any(|it| it.at_the_end)),
            (Decision::Rewritten, in_any(|it| it.rewritten)),
            (
                Decision::AliasWrittenOut,
                in_any(|it| !it.written_out.is_empty()),
            ),
            (
                Decision::AliasOfNothing,
                in_any(|it| !it.of_nothing.is_empty()),
            ),
            (Decision::CommentBehindNothing, !unplaced.is_empty()),
        ],
        _ => Vec::new(),
    };
    let held = list.into_iter().filter(|(_, holds)| *holds);
    let decisions: Vec<Decision> = held.map(|(decision, _)| decision).collect();
    let allowed = Allowed::new(documents, &decisions, lost, unplaced);
    (decisions, allowed)
}

impl Decision {
    /// Whether we refuse what upstream takes.
    pub(super) fn we_refuse(self) -> bool {
        matches!(self, Self::TextBehindJson | Self::JsonNotUtf8)
    }

    /// Whether it allows a difference of two listings.
    pub(super) fn allows(self) -> bool {
        matches!(
            self,
            Self::EmptyComment
                | Self::CommentLost
                | Self::CommentAtTheEnd
                | Self::Rewritten
                | Self::CommentBehindNothing
                | Self::AliasWrittenOut
                | Self::AliasOfNothing
        )
    }

    /// Whether upstream refuses what we take.
    pub(super) fn they_refuse(self) -> bool {
        matches!(self, Self::JsonWithMark | Self::TextWithTab)
    }
}

/// A comment that has nothing but a tag or an anchor before it.
struct BehindNothing {
    /// Where its line begins.
    at: usize,
    text: String,
    /// Whether an alias comes next.
    is_before_alias: bool,
}

/// The comments that have nothing but a tag or an anchor before them, where behind it comes an alias, or nothing but absent values
/// to the end of the document.
fn comments_behind_nothing(text: &[u8]) -> Vec<BehindNothing> {
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let is_absent = |line: &[u8]| {
        let content = line.trim_ascii();
        let word = content
            .rsplit(|byte| *byte == b' ')
            .next()
            .unwrap_or(content);
        word.is_empty()
            || content.starts_with(b"#")
            || matches!(word[0], b'!' | b'&')
            || word.ends_with(b":")
            || word.ends_with(b"-")
    };
    let mut at = 0;
    let mut found = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let start = at;
        at += line.len() + 1;
        let Some(comment) = comment_behind_nothing(line) else {
            continue;
        };
        let mut document = lines[number + 1..]
            .iter()
            .take_while(|line| !line.starts_with(b"---") && !line.starts_with(b"..."));
        let next = document.find(|line| !is_absent(line) && comment_behind_nothing(line).is_none());
        let is_before_alias = next.is_some_and(|line| line.contains(&b'*'));
        if is_before_alias || next.is_none() {
            found.push(BehindNothing {
                at: start,
                text: hex(comment),
                is_before_alias,
            });
        }
    }
    found
}

/// The comment at the end of a line that has nothing but a tag or an anchor before it.
pub(super) fn comment_behind_nothing(line: &[u8]) -> Option<&[u8]> {
    let mark = line.windows(2).rposition(|two| two == b" #")?;
    let before = line[..mark].trim_ascii();
    let word = before.rsplit(|byte| *byte == b' ').next()?;
    let comment = &line[mark + 2..];
    let is_nothing = word.starts_with(b"!") || word.starts_with(b"&");
    is_nothing.then(|| comment.strip_suffix(b"\r").unwrap_or(comment))
}

/// Whether there is any comment in a document.
fn has_comment(listing: &Value) -> bool {
    match listing {
        Value::Array(items) => is_comment(listing) || items.iter().any(has_comment),
        _ => false,
    }
}

/// What upstream cannot write of the texts in clear in a listing.
pub(super) fn unwritable(listing: &Value) -> Option<Decision> {
    let items = listing.as_array().map_or(&[][..], Vec::as_slice);
    match items {
        [kind, Value::String(text)] if kind == "str" && has_line_break(text) => match &text[..2] {
            "09" => Some(Decision::TextWithTab),
            "20" => Some(Decision::TextWithBlank),
            _ => None,
        },
        _ => items.iter().filter_map(unwritable).min(),
    }
}

fn has_line_break(hex: &str) -> bool {
    hex.as_bytes().chunks(2).any(|byte| byte == b"0a")
}

fn has_text_with_tab(listing: &Value) -> bool {
    unwritable(listing) == Some(Decision::TextWithTab)
}

/// Whether the last thing in a document is a comment, or the last collection in it ends so.
fn ends_in_comment(listing: &Value) -> bool {
    let last = listing.as_array().and_then(|items| items.last());
    match last {
        Some(Value::Array(pair)) if pair.first() == Some(&json!("#")) => true,
        Some(last) => ends_in_comment(last),
        None => false,
    }
}

fn has_empty_comment(listing: &Value) -> bool {
    let items = listing.as_array().map_or(&[][..], Vec::as_slice);
    items.contains(&json!(["#", ""])) || items.iter().any(has_empty_comment)
}

/// Whether something stands behind the first JSON value of a text.
fn has_tail(text: &[u8]) -> bool {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
    match values.next() {
        Some(Ok(_)) => text[values.byte_offset()..]
            .iter()
            .any(|byte| !byte.is_ascii_whitespace()),
        _ => false,
    }
}
