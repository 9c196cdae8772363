//! Which leaves of a document are secret.
//!
//! A file has one rule at most. A [`Selector`] is the rule compiled once; a [`Scope`] is what the rule made of the path
//! down to one collection, so that each key is looked at once, however deep it lies.

mod pattern;

pub(crate) use pattern::LARGEST;
pub use pattern::{InvalidPattern, Pattern};

/// The rule of a file, as its `sops` block has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectionRule {
    /// Everything is secret but what lies under a key that ends so.
    UnencryptedSuffix(String),
    /// Only what lies under a key that ends so is secret.
    EncryptedSuffix(String),
    /// Everything is secret but what lies under a key that matches.
    UnencryptedRegex(String),
    /// Only what lies under a key that matches is secret.
    EncryptedRegex(String),
    /// Everything is secret but what a matching comment stands over.
    UnencryptedCommentRegex(String),
    /// Only what a matching comment stands over is secret.
    EncryptedCommentRegex(String),
}

impl Default for SelectionRule {
    /// The rule of files that name none.
    fn default() -> Self {
        Self::UnencryptedSuffix("_unencrypted".to_owned())
    }
}

impl SelectionRule {
    /// The fields of the `sops` block, of rules and (with `-` for `_`) the flags, one for each kind of rule.
    pub const FIELDS: [&str; 6] = [
        "unencrypted_suffix",
        "encrypted_suffix",
        "unencrypted_regex",
        "encrypted_regex",
        "unencrypted_comment_regex",
        "encrypted_comment_regex",
    ];

    /// The rule that a field with this text states; `None` for another field, and for an empty text: an empty suffix or
    /// expression would hit every key, so everywhere (blocks, creation rules, flags) it counts as not given.
    pub fn of_field(field: &str, text: String) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        Some(match field {
            "unencrypted_suffix" => Self::UnencryptedSuffix(text),
            "encrypted_suffix" => Self::EncryptedSuffix(text),
            "unencrypted_regex" => Self::UnencryptedRegex(text),
            "encrypted_regex" => Self::EncryptedRegex(text),
            "unencrypted_comment_regex" => Self::UnencryptedCommentRegex(text),
            "encrypted_comment_regex" => Self::EncryptedCommentRegex(text),
            _ => return None,
        })
    }

    /// The field that states this rule.
    pub fn field(&self) -> &'static str {
        match self {
            Self::UnencryptedSuffix(_) => "unencrypted_suffix",
            Self::EncryptedSuffix(_) => "encrypted_suffix",
            Self::UnencryptedRegex(_) => "unencrypted_regex",
            Self::EncryptedRegex(_) => "encrypted_regex",
            Self::UnencryptedCommentRegex(_) => "unencrypted_comment_regex",
            Self::EncryptedCommentRegex(_) => "encrypted_comment_regex",
        }
    }

    /// The suffix or the regular expression.
    pub fn text(&self) -> &str {
        match self {
            Self::UnencryptedSuffix(text)
            | Self::EncryptedSuffix(text)
            | Self::UnencryptedRegex(text)
            | Self::EncryptedRegex(text)
            | Self::UnencryptedCommentRegex(text)
            | Self::EncryptedCommentRegex(text) => text,
        }
    }

    /// Compiles the rule. A broken pattern is an error: encrypting with it would leave secrets in clear (D2).
    pub fn compile(&self) -> Result<Selector, InvalidRule> {
        self.compile_with(|text| Pattern::new(text).map(Some))
    }

    /// Compiles the rule to decrypt. A broken pattern matches nothing, as in the program that wrote the file (D2).
    pub fn compile_leniently(&self) -> Selector {
        self.compile_with(|text| Ok(Pattern::new(text).ok()))
            .expect("broken patterns were taken")
    }

    pub(crate) fn compile_with(
        &self,
        pattern: impl Fn(&str) -> Result<Option<Pattern>, InvalidPattern>,
    ) -> Result<Selector, InvalidRule> {
        let test = match self {
            Self::UnencryptedSuffix(text) | Self::EncryptedSuffix(text) => {
                Test::Suffix(text.clone().into_bytes())
            }
            _ => pattern(self.text())
                .map_err(|source| InvalidRule {
                    field: self.field(),
                    source,
                })?
                .map_or(Test::Never, Test::Pattern),
        };
        Ok(Selector {
            test,
            on_comments: matches!(
                self,
                Self::UnencryptedCommentRegex(_) | Self::EncryptedCommentRegex(_)
            ),
            hit_is_secret: matches!(
                self,
                Self::EncryptedSuffix(_) | Self::EncryptedRegex(_) | Self::EncryptedCommentRegex(_)
            ),
        })
    }
}

/// A rule has a regular expression that does not compile.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot use {field}")]
pub struct InvalidRule {
    /// The field that states the rule.
    pub field: &'static str,
    /// What is wrong with the expression.
    #[source]
    pub source: InvalidPattern,
}

/// A compiled rule.
#[derive(Debug)]
pub struct Selector {
    test: Test,
    on_comments: bool,
    hit_is_secret: bool,
}

#[derive(Debug)]
enum Test {
    Suffix(Vec<u8>),
    Pattern(Pattern),
    Never,
}

/// What a rule made of the way down to a collection, and of the comments in it that are still active.
///
/// Comments are active for the item that follows them and for everything in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope {
    inherited: bool,
    own: bool,
}

impl Selector {
    /// Whether the rule looks at comments instead of keys.
    pub fn is_on_comments(&self) -> bool {
        self.on_comments
    }

    /// The scope of a collection, or of a leaf, that stands under `key` in `scope` (`None` in a list). To be asked in
    /// document order; it ends the comments that were active for the item.
    pub fn enter(&self, scope: &mut Scope, key: Option<&[u8]>) -> Scope {
        let hit = scope.inherited || scope.own;
        if self.on_comments {
            scope.own = false;
        }
        Scope {
            inherited: hit || !self.on_comments && key.is_some_and(|key| self.test.hits(key)),
            own: false,
        }
    }

    /// Whether a leaf with this scope is secret.
    pub fn is_secret(&self, leaf: Scope) -> bool {
        (leaf.inherited || leaf.own) == self.hit_is_secret
    }

    /// Whether a comment of a collection is secret, in document order. `text` is what stands in the file: plain when
    /// the file is encrypted, perhaps encrypted when it is decrypted.
    pub fn is_secret_comment(&self, scope: &mut Scope, text: &[u8]) -> bool {
        if !self.on_comments {
            return self.is_secret(*scope);
        }
        let before = self.is_secret(*scope);
        scope.own |= self.test.hits(text);
        // The comment that makes what follows secret is itself left readable; the one that leaves it readable is, too.
        if self.hit_is_secret {
            before
        } else {
            self.is_secret(*scope)
        }
    }

    /// Whether a comment that upstream does not see is secret: it selects nothing, and its collection decides.
    pub(crate) fn is_secret_unseen(&self, scope: Scope) -> bool {
        self.is_secret(Scope {
            own: false,
            ..scope
        })
    }

    /// Whether a comment's ciphertext would be taken for the comment that the rule looks for: then what follows it
    /// could not be decrypted any more.
    pub fn mistakes(&self, encrypted_comment: &[u8]) -> bool {
        self.on_comments && !self.hit_is_secret && self.test.hits(encrypted_comment)
    }
}

impl Test {
    fn hits(&self, text: &[u8]) -> bool {
        match self {
            Test::Suffix(suffix) => text.ends_with(suffix),
            Test::Pattern(pattern) => pattern.is_match(text),
            Test::Never => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(field: &str, text: &str) -> Selector {
        let rule = SelectionRule::of_field(field, text.to_owned()).unwrap();
        assert_eq!((rule.field(), rule.text()), (field, text));
        rule.compile().unwrap()
    }

    /// Whether the leaf at a path of keys is secret.
    fn secret(selector: &Selector, path: &[&str]) -> bool {
        let mut scope = Scope::default();
        for key in path {
            scope = selector.enter(&mut scope, Some(key.as_bytes()));
        }
        selector.is_secret(scope)
    }

    #[test]
    fn an_empty_pattern_is_no_rule() {
        for field in SelectionRule::FIELDS {
            assert_eq!(
                SelectionRule::of_field(field, String::new()),
                None,
                "{field}"
            );
        }
    }

    #[test]
    fn t45_t46_every_key_on_the_way_counts() {
        let default = SelectionRule::default().compile().unwrap();
        assert!(secret(&default, &["a", "b"]));
        assert!(!secret(&default, &["a_unencrypted", "b"]));
        assert!(!secret(&default, &["a", "b_unencrypted"]));
        let suffix = selector("encrypted_suffix", "_enc");
        assert!(secret(&suffix, &["x_enc", "y"]) && !secret(&suffix, &["x", "y_unencrypted"]));
        let regex = selector("encrypted_regex", "^(data|stringData)$");
        assert!(secret(&regex, &["data", "x"]) && !secret(&regex, &["metadata", "x"]));
        let regex = selector("unencrypted_regex", "meta");
        assert!(!secret(&regex, &["metadata", "x"]) && secret(&regex, &["data", "x"]));
    }

    #[test]
    fn comments_at_a_path_follow_the_path_alone() {
        let regex = selector("encrypted_regex", "^secret$");
        let mut root = Scope::default();
        assert!(!regex.is_secret_comment(&mut root, b" secret"));
        let mut inside = regex.enter(&mut root, Some(b"secret"));
        assert!(regex.is_secret_comment(&mut inside, b" note"));
    }

    #[test]
    fn a_comment_that_selects_stays_readable_and_later_ones_do_not() {
        let rule = selector("encrypted_comment_regex", "sops:enc");
        let mut root = Scope::default();
        assert!(!rule.is_secret_comment(&mut root, b" sops:enc"));
        assert!(rule.is_secret_comment(&mut root, b" second line"));
        let mut map = rule.enter(&mut root, Some(b"a"));
        let leaf = rule.enter(&mut map, Some(b"b"));
        assert!(rule.is_secret(leaf), "active for the whole subtree");
        let next = rule.enter(&mut root, Some(b"c"));
        assert!(!rule.is_secret(next), "the item has ended it");
    }

    #[test]
    fn t67_unencrypted_comments() {
        let rule = selector("unencrypted_comment_regex", "^ public");
        let mut root = Scope::default();
        assert!(rule.is_secret_comment(&mut root, b" before"));
        assert!(!rule.is_secret_comment(&mut root, b" public"));
        assert!(!rule.is_secret_comment(&mut root, b" after"));
        let leaf = rule.enter(&mut root, Some(b"a"));
        assert!(!rule.is_secret(leaf));
        let leaf = rule.enter(&mut root, Some(b"b"));
        assert!(rule.is_secret(leaf));
        assert!(selector("unencrypted_comment_regex", "ENC").mistakes(b"ENC[...]"));
    }

    #[test]
    fn d2_a_broken_pattern() {
        let rule = SelectionRule::EncryptedRegex("(".into());
        assert_eq!(
            rule.compile().unwrap_err().to_string(),
            "cannot use encrypted_regex"
        );
        assert!(!secret(&rule.compile_leniently(), &["a"]));
        let rule = SelectionRule::UnencryptedRegex("(".into());
        assert!(secret(&rule.compile_leniently(), &["a"]));
    }
}
