//! Where we differ from upstream on purpose: predicates on the plain text, and what may differ where one holds.
//!
//! `docs/src/parity/decisions.md` gives the reasons.

use serde_json::{Value, json};

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
    /// Comments behind the last value of a document: in our file the block follows them, and upstream may find them in another
    /// collection. Several documents share this.
    CommentAtTheEnd,
    /// A document that is no block at the first column cannot take a block: we rewrite it, and upstream may find its comments
    /// in another collection.
    WrittenAnew,
    /// A comment behind a tag or an anchor without a value: upstream attaches it to whatever comes next, and where that is an
    /// alias or the end of the document, our file has something else there. Its place is not compared.
    CommentBehindNothing,
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

impl Decision {
    /// The decisions that a plain text is about.
    pub(super) fn of(format: &str, text: &[u8], plain: Option<&Vec<Value>>) -> Vec<Self> {
        let of_any = |holds: fn(&Value) -> bool| plain.is_some_and(|it| it.iter().any(holds));
        let list = match format {
            "json" => vec![
                (Self::JsonNotUtf8, std::str::from_utf8(text).is_err()),
                (Self::JsonWithMark, text.starts_with("\u{feff}".as_bytes())),
                (Self::TextBehindJson, has_tail(text)),
            ],
            "yaml" => vec![
                (Self::EmptyComment, of_any(has_empty_comment)),
                (Self::TextWithTab, of_any(has_text_with_tab)),
                (Self::CommentAtTheEnd, of_any(ends_in_comment)),
                (Self::WrittenAnew, has_odd_root(text)),
                (
                    Self::AliasWrittenOut,
                    text.contains(&b'#') && super::ours::has_alias_of_collection(text),
                ),
                (
                    Self::AliasOfNothing,
                    text.contains(&b'*') && of_any(has_lone_comments),
                ),
                (Self::CommentBehindNothing, has_comment_behind_nothing(text)),
            ],
            _ => Vec::new(),
        };
        let held = list.into_iter().filter(|(_, holds)| *holds);
        held.map(|(decision, _)| decision).collect()
    }

    /// Whether we refuse what upstream takes.
    pub(super) fn we_refuse(self) -> bool {
        matches!(self, Self::TextBehindJson | Self::JsonNotUtf8)
    }

    /// Whether upstream refuses what we take.
    pub(super) fn they_refuse(self) -> bool {
        matches!(self, Self::JsonWithMark | Self::TextWithTab)
    }
}

/// Whether a document of a YAML text with comments begins with anything but a key at the first column.
fn has_odd_root(text: &[u8]) -> bool {
    let mut begins = true;
    let mut is_odd = false;
    for line in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let is_marker = line.starts_with(b"---") || line.starts_with(b"...");
        let content = match is_marker {
            true => line[3..].trim_ascii(),
            false => line.trim_ascii(),
        };
        begins |= is_marker;
        if !begins || content.is_empty() || content.starts_with(b"#") || line.starts_with(b"%") {
            continue;
        }
        begins = false;
        is_odd |= is_marker || matches!(line[0], b' ' | b'{' | b'&' | b'!' | b'*');
    }
    is_odd && text.contains(&b'#')
}

/// Whether a comment has nothing but a tag or an anchor before it, and behind it comes an alias, or nothing but absent values.
fn has_comment_behind_nothing(text: &[u8]) -> bool {
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
    (0..lines.len()).any(|at| {
        let rest = &lines[at + 1..];
        let document = rest.iter().take_while(|line| !line.starts_with(b"---"));
        is_behind_nothing(lines[at])
            && (rest.iter().any(|line| line.contains(&b'*'))
                || document
                    .into_iter()
                    .all(|line| is_absent(line) || is_behind_nothing(line)))
    })
}

/// Whether a line ends in a comment with nothing but a tag or an anchor before it.
fn is_behind_nothing(line: &[u8]) -> bool {
    let Some(mark) = line.windows(2).rposition(|two| two == b" #") else {
        return false;
    };
    let before = line[..mark].trim_ascii();
    let word = before.rsplit(|byte| *byte == b' ').next();
    word.is_some_and(|word| word.starts_with(b"!") || word.starts_with(b"&"))
}

fn has_text_with_tab(listing: &Value) -> bool {
    let items = listing.as_array().map_or(&[][..], Vec::as_slice);
    let is_text = |text: &str| text.starts_with("09") && text.contains("0a");
    match items {
        [kind, Value::String(text)] if kind == "str" => is_text(text),
        _ => items.iter().any(has_text_with_tab),
    }
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

/// Whether a collection has comments and nothing else.
fn has_lone_comments(listing: &Value) -> bool {
    let items = listing.as_array().map_or(&[][..], Vec::as_slice);
    let is_collection = matches!(items.first().and_then(Value::as_str), Some("m" | "l"));
    let is_comment = |item: &Value| item.get(0) == Some(&json!("#"));
    (is_collection && items.len() > 1 && items[1..].iter().all(is_comment))
        || items.iter().any(has_lone_comments)
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
