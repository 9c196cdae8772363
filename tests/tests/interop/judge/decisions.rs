//! Where we differ from upstream on purpose: predicates on the plain text, and what may differ where one holds.
//!
//! `docs/src/parity/decisions.md` gives the reasons.

use serde_json::{Value, json};

use super::upstream::Settings;

/// A deliberate difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Decision {
    /// An empty comment, which upstream's own layout may move into a list and turn into an empty text; we keep it.
    EmptyComment,
    /// Text behind the object of a JSON file: upstream drops it silently, we refuse.
    TextBehindJson,
    /// JSON that is not UTF-8: upstream replaces what it cannot read, we refuse.
    JsonNotUtf8,
    /// JSON that begins with a byte order mark: upstream refuses it.
    JsonWithMark,
    /// Comments at the end of a document, or between documents, belong to the last collection; in our file the block follows them, and upstream
    /// may find them further out.
    CommentAtTheEnd,
    /// Comments in and beside collections that an alias repeats: some cannot be written where upstream lists them.
    CommentAndAlias,
    /// Comments that upstream's own layout attaches elsewhere when it is read again.
    CommentMovedByLayout,
    /// A comment behind a tag or an anchor without a value: upstream attaches it to whatever comes next, and in our file that
    /// may be the block.
    CommentBehindNothing,
    /// A change that would touch more than the value is refused.
    ChangeRefused,
}

impl Decision {
    /// The decision that a plain text is about, if any is.
    pub(super) fn of(
        format: &str,
        text: &[u8],
        plain: Option<&Vec<Value>>,
        settings: &Settings,
    ) -> Option<Self> {
        let _ = settings;
        match format {
            "json" if std::str::from_utf8(text).is_err() => Some(Self::JsonNotUtf8),
            "json" if text.starts_with("\u{feff}".as_bytes()) => Some(Self::JsonWithMark),
            "json" if has_tail(text) => Some(Self::TextBehindJson),
            "yaml" if plain.is_some_and(|it| it.iter().any(has_empty_comment)) => {
                Some(Self::EmptyComment)
            }
            "yaml" if text.split(|byte| *byte == b'\n').any(is_behind_nothing) => {
                Some(Self::CommentBehindNothing)
            }
            "yaml" if text.contains(&b'*') && text.contains(&b'#') => Some(Self::CommentAndAlias),
            "yaml"
                if plain.is_some_and(|it| {
                    it.iter().any(ends_in_comment) || it.len() > 1 && text.contains(&b'#')
                }) =>
            {
                Some(Self::CommentAtTheEnd)
            }
            _ => None,
        }
    }

    /// Whether we refuse what upstream takes.
    pub(super) fn we_refuse(self) -> bool {
        matches!(self, Self::TextBehindJson | Self::JsonNotUtf8)
    }

    /// Whether upstream refuses what we take.
    pub(super) fn they_refuse(self) -> bool {
        self == Self::JsonWithMark
    }

    /// Whether a rule about comments may select other leaves because of that.
    pub(super) fn moves_selection(self, settings: &Settings) -> bool {
        let by_comments = settings
            .rule
            .is_some_and(|(field, _)| field.ends_with("comment_regex"));
        by_comments && matches!(self, Self::CommentBehindNothing | Self::CommentAndAlias)
    }

    /// Whether upstream may list comments elsewhere in our file than in the plain text.
    pub(super) fn moves_comments(self) -> bool {
        matches!(
            self,
            Self::CommentAtTheEnd
                | Self::CommentAndAlias
                | Self::CommentBehindNothing
                | Self::EmptyComment
        )
    }

    /// Whether upstream's own file says something else than the plain text.
    pub(super) fn they_change_the_data(self) -> bool {
        self == Self::EmptyComment
    }
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
